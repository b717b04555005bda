"""Agents in a network of processes: commissions exactly once over `kill -9`, every movement, the own view."""

import json
import os
import random
import signal
import threading
import time
from collections import defaultdict
from functools import partial

import numpy as np
import pytest
from tests.accept.quiet_network import (
    Customer,
    QuietNetwork,
    get,
    ledger_of,
    quiet_population,
    request,
    submit,
    until,
)
from tests.accept.test_up_and_pay import agreed, document_of, harambee, processes_of, up
from tests.cli.test_movements import MOVEMENTS_TYPED

from harambee.crypto.signatures import KeyPair
from harambee.handset.orders import order_id
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ORDER, ORDER_BYTES
from harambee.node.network_folder import load_network
from harambee.traffic.temporary_network import TemporaryNetwork, free_ports

pytestmark = [pytest.mark.accept, pytest.mark.timeout(420)]

KILLS = 4
DEPOSIT_CENTS = 100_00
COMMISSION_CENTS = 4_00
DEPOSITS_EACH = 30
PAID_S = 90
OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def paying():
    """A quiet network whose super-agents pay their agents."""
    with TemporaryNetwork(4, quiet_population(), pay_commissions=True) as running:
        yield QuietNetwork(running)


def agents_of(network):
    parties = network.running.network.parties
    first = parties.crowd.customers
    return [
        Customer(int(parties.numbers[row]), KeyPair(parties.seeds[row].tobytes()))
        for row in range(first, first + parties.crowd.agents)
    ]


def opening_of(network, agent):
    parties = network.running.network.parties
    (row,) = np.flatnonzero(parties.numbers == agent.account)
    return int(parties.openings_cents[row])


def finals_of(url):
    answer = request(url, "GET", "/v1/finals?after=0&limit=65536")
    return np.frombuffer(answer.body, ORDER)


def deposit(network, agent, sequence, **changes):
    customer = int(network.running.network.parties.numbers[sequence])
    changes = {"sequence": sequence, "kind": OrderKind.DEPOSIT, "fee_cents": 0} | changes
    return network.sign(agent, network.body(agent, customer, DEPOSIT_CENTS, **changes))


def make_deposits(network, agent, doors, failures):
    """One agent's deposits, one after the other, each at whichever door takes it."""
    try:
        for sequence in range(DEPOSITS_EACH):
            order = deposit(network, agent, sequence)
            until(partial(is_final_somewhere, network, order, doors), lambda: "no door takes it")
    except Exception as failure:  # noqa: BLE001 - told to the test, whose thread this is not
        failures.append(failure)


def is_final_somewhere(network, order, doors):
    for door in doors:
        try:
            if submit(network.urls[door], [order], 2_000)[0]["state"] == "final":
                return True
        except (OSError, AssertionError):
            continue  # killed, or not serving yet
    return False


def test_each_deposits_commission_arrives_once_though_its_super_agent_is_killed(paying):
    dice = random.Random(5)
    agents, failures = agents_of(paying), []
    threads = [
        threading.Thread(target=make_deposits, args=(paying, agent, [1, 2, 3, 0], failures))
        for agent in agents
    ]
    for thread in threads:
        thread.start()
    first = paying.names[0]
    for _ in range(KILLS):
        # At any instant: it may be reading, signing, or have an order on its way.
        time.sleep(dice.uniform(0.2, 1.5))
        paying.running.kill(first)
        paying.running.restart(first)
        paying.running.wait_ready((first,))
    for thread in threads:
        thread.join()
    assert failures == []
    wanted = len(agents) * DEPOSITS_EACH

    def paid():
        return int((finals_of(paying.urls[1])["kind"] == OrderKind.DEPOSIT_COMMISSION).sum())

    until(lambda: paid() >= wanted, lambda: f"{paid()} of {wanted} are paid", PAID_S)
    paying.state()
    network = paying.running.network.network
    for url in paying.urls:
        finals = finals_of(url)
        deposits = finals[finals["kind"] == OrderKind.DEPOSIT]
        commissions = finals[finals["kind"] == OrderKind.DEPOSIT_COMMISSION]
        names = {order_id(network, row.tobytes()): row for row in deposits}
        references = [row["reference"].tobytes() for row in commissions]
        assert len(references) == wanted
        assert set(references) == set(names), "each deposit's, and each once"
        assert set(commissions["amount"].tolist()) == {COMMISSION_CENTS}
        # Every agent is paid in the order of his deposits.
        turns = defaultdict(list)
        for row in np.sort(commissions, order=["payer", "sequence"]):
            made = names[row["reference"].tobytes()]
            assert made["payer"] == row["payee"]
            turns[int(row["payee"])].append(int(made["sequence"]))
        assert all(turn == sorted(turn) for turn in turns.values())
        for agent in agents:
            earned = DEPOSITS_EACH * (COMMISSION_CENTS - DEPOSIT_CENTS)
            held = get(url, f"/v1/accounts/{agent.account}").document["balance_cents"]
            assert held == opening_of(paying, agent) + earned
    nothing_is_owed(paying.running.folder.addresses)


def test_a_deposit_beyond_the_agents_float_is_refused_everywhere(paying):
    agent = agents_of(paying)[0]
    sequence = get(paying.urls[0], f"/v1/accounts/{agent.account}").document["next_sequence"]
    order = deposit(paying, agent, sequence, amount_cents=opening_of(paying, agent))
    before = paying.state()
    for url in paying.urls:
        fate = submit(url, [order])[0]
        assert (fate["state"], fate["outcome"]) == ("refused", Outcome.BALANCE_INSUFFICIENT.name)
        assert fate["sentence"] == "The balance does not cover the amount and the fee."
    assert paying.state() == before


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """`harambee up`, as somebody at a terminal has it."""
    folder = tmp_path_factory.mktemp("demo") / "network"
    base = free_ports(8)
    ports = ["--http-port", str(base), "--peer-port", str(base + 4)]
    assert harambee(folder, "init", *ports).returncode == 0
    with up(folder, folder.with_name("said.txt")) as process:
        yield folder
        os.killpg(process.pid, signal.SIGINT)
        process.wait(30)


def account_of(folder, name):
    return next(one.account for one in load_network(folder).demo() if one.name == name)


def status_of(folder):
    return get(load_network(folder).addresses[0].http, "/v1/status").document


def nothing_is_owed(addresses):
    def owed():
        return [get(a.http, "/v1/status").document["commissions_owed"] for a in addresses]

    until(lambda: not any(owed()), lambda: f"something is owed still: {owed()}")


def test_an_agents_own_view_agrees_with_the_ledger(demo):
    assert document_of(demo, "agent", "agent-1", "--cash", "20,000")["cash_cents"] == 20_000_00
    for words in ("agent-1 customer-1 500", "customer-1 agent-1 300", "agent-1 customer-2 1000"):
        assert document_of(demo, "pay", *words.split())["status"] == "final"
    nothing_is_owed(load_network(demo).addresses)
    agreed(load_network(demo))
    seen = document_of(demo, "agent", "agent-1")
    number = account_of(demo, "agent-1")
    for address in load_network(demo).addresses:
        account = get(address.http, f"/v1/accounts/{number}").document
        lines = get(address.http, f"/v1/accounts/{number}/statement").document["lines"]
        assert seen["float_cents"] == account["balance_cents"]
        assert seen["head_office"] == account["head_office"] == account_of(demo, "head-office-1")
        earned = [
            line["change_cents"] - (line["order"]["kind"] == "withdraw") * 300_00
            for line in lines
            if line["order"]["kind"] in ("withdraw", "deposit_commission")
        ]
        # Four fifths of 8, 9 and 8 shillings; the rest is the head office's.
        assert sorted(earned) == [6_40, 6_40, 7_20]
        assert seen["commission_today_cents"] == sum(earned)
    assert seen["cash_cents"] == 20_000_00 + 500_00 - 300_00 + 1_000_00
    assert seen["float_cents"] == 200_000_00 - 500_00 + 300_00 - 1_000_00 + 20_00
    assert seen["today"]["totals"]["deposit"] == {"count": 2, "cents": 1_500_00}
    assert seen["today"]["totals"]["withdraw"] == {"count": 1, "cents": 300_00}
    office = document_of(demo, "agent", "head-office-1", "--shops")
    assert office["commission_today_cents"] == 5_00
    assert [shop["name"] for shop in office["shops"]] == ["agent-1", "operator-1"]
    status = status_of(demo)
    assert (status["float_cents"], status["float_low"]) == (10_000_000_00, False)
    beyond = harambee(demo, "pay", "agent-1", "customer-3", "250000")
    assert beyond.returncode == 1
    assert beyond.stderr.startswith("The agent's float does not cover a deposit of Ksh250,000.00;")
    sources = document_of(demo, "float", "agent-1")["sources"]
    assert [row["source"] for row in sources[:4]] == ["super-agent", "head office", "bank", "bank"]


def test_an_empty_commission_account_says_so_and_pays_later(demo):
    whole = get(load_network(demo).addresses[0].http, "/v1/accounts/2").document["balance_cents"]
    amount = f"{whole // 100}.{whole % 100:02}"
    words = ("commission:amani", "float:amani", amount, "--kind", "treasury")
    assert document_of(demo, "pay", *words)["status"] == "final"
    assert document_of(demo, "pay", "agent-5", "customer-1", "500")["status"] == "final"
    until(
        lambda: "has Ksh0.00, and owes Ksh8.00" in (status_of(demo)["commissions_trouble"] or ""),
        lambda: f"it does not say so: {status_of(demo)}",
    )
    metrics = get(load_network(demo).addresses[0].http, "/metrics").body.decode()
    assert "harambee_commissions_owed 1\nharambee_commissions_owed_cents 800" in "\n".join(
        line for line in metrics.splitlines() if not line.startswith("#")
    )
    words = ("float:amani", "commission:amani", amount, "--kind", "treasury")
    assert document_of(demo, "pay", *words)["status"] == "final"
    nothing_is_owed(load_network(demo).addresses)
    seen = document_of(demo, "agent", "agent-5")
    assert seen["commission_today_cents"] == 8_00
    assert status_of(demo)["commissions_trouble"] is None


def test_every_movement_through_any_super_agent_with_one_dead_and_again_ten_times(demo):
    network = load_network(demo)
    (pid,) = processes_of(network.node_file("chapa"))
    os.kill(pid, signal.SIGKILL)
    alive = [a for a in network.addresses if a.name != "chapa"]
    kinds = set()
    for turn, words in enumerate(MOVEMENTS_TYPED.values()):
        via = network.names[turn % 4]
        done = document_of(demo, "pay", *words.split(), "--via", via)
        assert (done["status"], len(done["receipts"])) == ("final", 2), done
        kinds.add(OrderKind[done["kind"].upper()])
    assert kinds == set(MOVEMENTS_TYPED)
    office = document_of(demo, "agent", "head-office-1")
    assert [shop["name"] for shop in office["shops"]] == ["agent-1", "agent-5", "operator-1"]
    nothing_is_owed(alive)
    until(
        lambda: len({json.dumps(ledger_of(address.http)) for address in alive}) == 1,
        lambda: f"the ledgers differ: {[ledger_of(address.http) for address in alive]}",
    )
    before = ledger_of(alive[0].http)
    finals = finals_of(alive[0].http)
    body = np.ascontiguousarray(finals).tobytes()
    assert len(body) == len(finals) * ORDER_BYTES
    for turn in range(10):
        url = alive[turn % 3].http
        assert request(url, "POST", "/v1/orders?wait_ms=5000", body, OCTETS).status == 200
    assert [ledger_of(address.http) for address in alive] == [before] * 3
    assert before["total_cents"] == 0
