"""Every movement, through each super-agent, with one of them dead, ten times over: one effect.

What each changes stands in `cast.CASES`, to the cent. It is compared with the books of all four,
and no other account may have moved.
"""

from functools import partial

import pytest
from tests.accept.cast import (
    CASES,
    CastNetwork,
    at_once,
    cast_population,
    newest_line,
    submit,
)
from tests.accept.quiet_network import get

from harambee.handset.holds import slot_named
from harambee.ledger.kinds import ENDINGS, GOVERNED, OrderKind
from harambee.ledger.outcomes import SENTENCES
from harambee.traffic.temporary_network import TemporaryNetwork

pytestmark = [pytest.mark.accept, pytest.mark.timeout(300)]

RETRIES = 10
BY_OPERATORS = {OrderKind.TAKE_KEY, OrderKind.REFUSE_KEY, OrderKind.ADOPT_LIMIT}
"""What follows only upon what operators approve, as those do that are governed themselves."""


@pytest.fixture(scope="module")
def town():
    with TemporaryNetwork(4, cast_population()) as running:
        network = CastNetwork(running)
        network.settle_in()
        network.agreed()
        yield network


def changes_between(before, after):
    return {name: after[name] - cents for name, cents in before.items() if after[name] != cents}


def test_no_kind_is_missing():
    assert {case.kind for case in CASES.values()} == set(OrderKind) - GOVERNED - BY_OPERATORS
    for case in CASES.values():
        assert sum(case.changes.values()) == 0


def is_told_alike(town, url, case, offer):
    """Look the order up at a super-agent: its slot, and the statements of whom it touched."""
    body, spelled = offer.body, case.kind.name.lower()
    if case.kind is not OrderKind.CLAIM:
        slot = f"orders/{body.payer}/{body.sequence}"
        if case.kind in ENDINGS:
            slot = "holds/{}/{}/ending".format(*slot_named(body))
        path = f"/v1/{slot}?id={town.id_of(offer)}&wait_ms=10000"
        found = get(url, path).document
        assert found["state"] == "final", found
        order = found["order"]
        assert (order["kind"], order["amount_cents"]) == (spelled, case.cents)
        assert order["options"] == body.options.hex()
        assert order["reference"] == body.reference.hex()
    balances = town.balances(url)
    for name in case.changes or {case.payer: 0} if case.payer in town.numbers else ():
        line = newest_line(url, town.numbers[name])
        assert line["order"]["id"] == town.id_of(offer), name
        assert line["order"]["kind"] == spelled
        assert line["change_cents"] == case.changes.get(name, 0), name
        assert line["balance_cents"] == balances[name], name


@pytest.mark.parametrize("door", range(4), ids=lambda door: f"door {door + 1}")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_movement_through_each_door(town, case, door):
    offer = town.offer(case)
    entries = town.agreed()["entries"]
    before = town.balances(town.urls[door])
    (fate,) = submit([offer], town.urls[door])
    assert fate["state"] == "final", fate
    assert fate["receipt"]["super_agent"] == door
    town.moved_on(offer.body)
    assert town.agreed()["entries"] == entries + case.entries
    for url in town.urls:
        assert changes_between(before, town.balances(url)) == case.changes
        is_told_alike(town, url, case, offer)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_movement_ten_times_over_all_doors_is_one(town, case):
    offer = town.offer(case)
    entries = town.agreed()["entries"]
    before = town.balances(town.urls[0])
    doors = [town.urls[turn % 4] for turn in range(RETRIES)]
    told = at_once([partial(submit, [offer], url) for url in doors])
    town.moved_on(offer.body)
    assert {fate["state"] for (fate,) in told} == {"final"}, told
    assert len({fate["receipt_code"] for (fate,) in told}) == 1
    state = town.agreed()
    assert state["entries"] == entries + case.entries
    # When everybody has it long since, it is still the same one.
    again = [fate for url in town.urls for fate in submit([offer] * RETRIES, url)]
    assert {fate["state"] for fate in again} == {"final"}, again
    assert town.agreed() == state
    for url in town.urls:
        assert changes_between(before, town.balances(url)) == case.changes


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_movement_has_its_refusal_in_words(town, case):
    offer = town.offer(case, **case.wrong)
    state = town.agreed()
    for url in town.urls:
        (fate,) = submit([offer], url)
        assert (fate["state"], fate["outcome"]) == ("refused", case.refused.name)
        assert fate["sentence"] == SENTENCES[case.refused]
    assert town.agreed() == state, "nothing has moved"


@pytest.mark.parametrize("dead", range(4), ids=lambda dead: f"without {dead + 1}")
def test_each_movement_while_one_is_dead(town, dead):
    name = town.running.folder.names[dead]
    living = [url for place, url in enumerate(town.urls) if place != dead]
    town.running.kill(name)
    try:
        for turn, (what, case) in enumerate(CASES.items()):
            offer = town.offer(case, living[turn % 3])
            entries = town.agreed(living)["entries"]
            before = town.balances(living[0])
            (fate,) = submit([offer], living[turn % 3])
            assert fate["state"] == "final", (what, fate)
            town.moved_on(offer.body)
            assert town.agreed(living)["entries"] == entries + case.entries, what
            for url in living:
                assert changes_between(before, town.balances(url)) == case.changes, what
    finally:
        town.running.restart(name)
        town.running.wait_ready((name,))
    town.agreed()
    assert town.balances(town.urls[dead]) == town.balances(living[0])
