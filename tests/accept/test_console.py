"""The console in a real browser: a super-agent is killed by the button under load, and comes back."""

import json

import pytest
from tests.accept.browser import Browser
from tests.accept.console_stage import SIZES, Payments, resized, stage
from tests.accept.quiet_network import get, submit, until

pytestmark = [
    pytest.mark.accept,
    pytest.mark.alone,
    pytest.mark.timeout(600),
]

PAGE_BYTES_MAX = 300_000
PAGES = ("network", "money", "order", "super-agent")
NOTICED_S = 30
RED = "rgb(179, 38, 30)"
CAUGHT_UP_S = 120


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    with stage(tmp_path_factory.mktemp("console")) as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    with Browser() as opened:
        yield opened


@pytest.fixture
def page(browser, network):
    opened = browser.phone()
    resized(opened, "desktop")
    opened.goto(network.console)
    opened.until("document.querySelectorAll('#members tr').length === 4")
    yield opened
    opened.close()


def state_of(page, name):
    """What the table says of a super-agent: its state in a word, and its heights."""
    return page.run(
        f"""(() => {{
            const row = document.querySelector('#members tr[data-name="{name}"]');
            const [, state, height, final] = [...row.children].map((cell) => cell.textContent);
            return {{ state, height: +height.replace(/,/g, ""), final: +final.replace(/,/g, "") }};
        }})()"""
    )


def is_in_state(page, name, state):
    page.until(
        f"""document.querySelector('#members tr[data-name="{name}"] .is-{state}') !== null""",
        CAUGHT_UP_S if state == "up" else NOTICED_S,
    )


def press(page, action, name):
    button = f"""document.querySelector('[aria-label="{action} {name}"]')"""
    page.until(f"!{button}.disabled && !{button}.hidden", NOTICED_S)
    page.run(f"{button}.click()")


def colour_of(name):
    """The colour of a super-agent's mark, as the page computes it."""
    return f"""getComputedStyle([...document.querySelectorAll('#ring a')].find((one) =>
        one.getAttribute('aria-label').startsWith('{name}:')).querySelector('.body')).fill"""


def more_payments(payments, count=20):
    """Wait until so many more are final."""
    wanted = payments.final + count
    until(lambda: payments.final >= wanted, lambda: f"{payments.final} are final", CAUGHT_UP_S)


def test_a_super_agent_is_killed_by_the_button_and_catches_up(network, page):
    victim = network.names[-1]
    with Payments(network) as payments:
        more_payments(payments)
        page.until("document.querySelector('#newest tr')")
        green = page.run(colour_of(victim))
        press(page, "Kill", victim)
        is_in_state(page, victim, "down")
        page.until(f"document.querySelector('#alarms').innerText.includes('{victim} is down')")
        assert green != RED
        page.until(f"{colour_of(victim)} === '{RED}'")  # the mark fades into its new colour
        more_payments(payments)
        page.until("parseInt(document.querySelector('.centre').textContent) > 0")
        assert "It pays: 3 of 4" in page.text
        assert page.run("document.querySelector('#difference').textContent") == "0"
        before = state_of(page, victim)["height"]
        press(page, "Start", victim)
        is_in_state(page, victim, "up")
        more_payments(payments)
        until(
            lambda: state_of(page, victim)["height"] > before,
            lambda: f"it says nothing: {state_of(page, victim)}",
        )
    assert not payments.refused
    page.until("document.querySelector('#digest-words').innerText.startsWith('Equal: 4 of 4')", 60)
    shown = page.run("document.querySelector('#digest-value').textContent")
    told = {get(url, "/v1/digest").document["digest"] for url in network.quiet.urls}
    assert told == {shown}
    assert page.console() == []


def test_the_page_outlives_the_super_agent_that_served_it(network, page):
    served_by = network.names[0]
    with Payments(network) as payments:
        press(page, "Kill", served_by)
        is_in_state(page, served_by, "down")
        assert f"Seen through {network.names[1]}" in page.text
        more_payments(payments)
        press(page, "Start", served_by)
        is_in_state(page, served_by, "up")
        page.until(f"document.querySelector('#verdict').innerText.includes('through {served_by}')")
    assert not payments.refused


def test_a_paused_one_is_silent_and_goes_on(network, page):
    name = network.names[2]
    press(page, "Pause", name)
    is_in_state(page, name, "down")
    page.until(f"""document.querySelector('tr[data-name="{name}"]').innerText.includes('paused')""")
    press(page, "Resume", name)
    is_in_state(page, name, "up")


def test_a_damaged_journal_is_noticed_and_mended(network, page):
    name = network.names[1]
    with Payments(network) as payments:
        more_payments(payments, 100)
        press(page, "Damage", name)
        page.until(f"document.querySelector('#button-answer').innerText === 'Damage {name}: done.'")
        log = network.folder.node_file(name).with_name("node.log")
        until(
            lambda: "the journal is whole again" in log.read_text(),
            lambda: f"it has not noticed: {log.read_text()}",
            CAUGHT_UP_S,
        )
        is_in_state(page, name, "up")
        more_payments(payments)
    assert not payments.refused
    page.until("document.querySelector('#digest-words').innerText.startsWith('Equal: 4 of 4')", 60)


def test_an_order_is_followed_by_its_receipt(network, page):
    customer, payee = network.quiet.customer(), network.quiet.customer()
    fate = network.quiet.pay(1, customer, payee)
    page.run("location.hash = '/order'")
    page.run(f"document.querySelector('#query').value = '{fate['receipt_code'].lower()}'")
    page.run("document.querySelector('#search button').click()")
    page.until("document.querySelector('#path svg')")
    words = page.run("document.querySelector('#path-words').textContent")
    assert words.startswith(f"{network.names[1]} put it into block ")
    assert "3 votes, which are a certificate" in words
    assert "With 3 acknowledgements it was final" in words
    url = network.quiet.urls[0]
    path = get(url, f"/v1/orders/{customer.account}/0/path").document
    drawn = page.run("document.querySelectorAll('#path .vote').length")
    assert drawn == len(path["votes"]) - 1, "the block is its author's own vote"
    page.run("document.querySelector('#query').value = 'QQQQQQQQQQ'")
    page.run("document.querySelector('#search button').click()")
    page.until(
        "/no receipt|knows no final/.test(document.querySelector('#search-answer').innerText)"
    )


def test_an_order_that_waits_for_others_is_seen_to_become_final(network, page):
    """Two of four do not hear: it has too few votes, and becomes final by itself once one goes on."""
    payer, payee = network.quiet.customer(), network.quiet.customer()
    order = network.quiet.sign(payer, network.quiet.body(payer, payee.account, 1_00))
    for name in network.names[2:]:
        press(page, "Pause", name)
        is_in_state(page, name, "down")
    fate = submit(network.quiet.urls[0], [order], wait_ms=500)[0]
    assert fate["state"] == "pending"
    page.until("document.body.innerText.includes('It waits: 2 of 4 super-agents are up')")
    page.run(f"location.hash = '/order/{payer.account}/0'")
    page.until("/ of 4 have voted for it, and 3 are needed/.test(document.body.innerText)")
    page.run("location.hash = '/network'")
    press(page, "Resume", network.names[2])
    page.run(f"location.hash = '/order/{payer.account}/0'")
    page.until("/acknowledgements it was final/.test(document.body.innerText)", CAUGHT_UP_S)
    page.run("location.hash = '/network'")
    press(page, "Resume", network.names[3])
    for name in network.names[2:]:
        is_in_state(page, name, "up")


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_the_screen(page, name, shape):
    resized(page, shape)
    page.run(f"location.hash = '/{name}'")
    page.until(f"!document.querySelector('#page-{name}').hidden")
    assert page.run("document.documentElement.scrollWidth") <= SIZES[shape][0]


def test_the_keyboard_reaches_every_button_and_page(page):
    page.until("document.querySelector('#members .harm:enabled')")
    reached = set()
    for _ in range(60):
        for kind in ("keyDown", "keyUp"):
            key = {"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
            page.call("Input.dispatchKeyEvent", key)
        reached.add(
            page.run(
                "document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText"
            )
        )
    assert {"Network", "Money", "Order", "Super-agent", "To the content"} <= reached
    assert any(label.startswith("Kill ") for label in reached)
    assert any(": up, height" in label for label in reached), "a super-agent on the map"


def test_it_loads_within_a_second_and_is_small(browser, network):
    opened = browser.phone()
    opened.goto(network.quiet.urls[0] + "/console/")
    opened.until("document.querySelectorAll('#members tr').length === 4")
    loaded = json.loads(
        opened.run(
            """JSON.stringify({
                files: performance.getEntriesByType("resource")
                    .filter((one) => one.name.includes("/console/"))
                    .map((one) => one.encodedBodySize),
                ms: performance.getEntriesByType("navigation")[0].loadEventEnd,
            })"""
        )
    )
    assert len(loaded["files"]) >= 8
    assert sum(loaded["files"]) < PAGE_BYTES_MAX
    print(f"the console had loaded after {loaded['ms']:.0f} ms")
    assert opened.run("document.querySelector('th.for-buttons').hidden"), "no token, no buttons"
    opened.close()
