"""A day is closed by real processes: one is killed under payments and comes back, and all agree.

The night between the day and its close is a clock: the super-agents are started again with theirs two
days on, by a `sitecustomize` that only they read.
"""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from tests.accept.quiet_network import (
    CROWD,
    Customer,
    QuietNetwork,
    get,
    quiet_population,
    request,
    submit,
)

from harambee.cli.watching import day_text
from harambee.crypto.signatures import KeyPair
from harambee.handset.orders import today
from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import ORDER, region_of
from harambee.oversight.day_close import read_close
from harambee.traffic.temporary_network import TemporaryNetwork

pytestmark = [pytest.mark.accept, pytest.mark.timeout(420)]

DAYS_ON = 2
CLOCK = f"""
import time

_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + {DAYS_ON} * 86_400
time.time_ns = lambda: _time_ns() + {DAYS_ON} * 86_400_000_000_000
"""
PAYERS = 24


@pytest.fixture(scope="module")
def network():
    with TemporaryNetwork(4, quiet_population()) as running:
        yield QuietNetwork(running)


def harambee(network, *words):
    """Run a command to its end, as somebody at a terminal does."""
    return subprocess.run(
        [sys.executable, "-m", "harambee", "--network", str(network.running.folder.folder), *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def document_of(network, *words, status=0):
    done = harambee(network, *words, "--json")
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def party_of_the_crowd(network, row):
    parties = network.running.network.parties
    return Customer(int(parties.numbers[row]), KeyPair(parties.seeds[row].tobytes()))


def carry(network, door, order):
    (fate,) = submit(network.urls[door], [order])
    assert fate["state"] == "final", fate


def pay_all_ways(network, day, sequence, doors):
    """Customers pay those of another super-agent, withdraw, and take money from a bank."""
    customers = [party_of_the_crowd(network, row) for row in range(PAYERS)]
    agent = party_of_the_crowd(network, CROWD.customers)
    bank = party_of_the_crowd(network, CROWD.customers + CROWD.agents + CROWD.merchants)
    tariff = network.running.network.tariff
    withdrawal = {"kind": OrderKind.WITHDRAW, "fee_cents": 29_00, "day": day, "sequence": sequence}
    assert tariff.version == 2, "what a withdrawal of 500 shillings costs is by hand"
    for turn, payer in enumerate(customers):
        door = doors[turn % len(doors)]
        if turn % 6 == 0:
            body = network.body(payer, agent.account, 500_00, **withdrawal)
        else:
            payee = customers[(turn + 1) % PAYERS].account
            body = network.body(payer, payee, 100_00 + turn, day=day, sequence=sequence)
        carry(network, door, network.sign(payer, body))
    grant = {"kind": OrderKind.BANK_WITHDRAWAL, "fee_cents": 0, "day": day, "sequence": sequence}
    body = network.body(bank, customers[0].account, 700_00, **grant)
    carry(network, doors[0], network.sign(bank, body))
    return PAYERS + 1


def finals_of(network, door):
    """Every final order, as a super-agent tells them."""
    answer = request(network.urls[door], "GET", "/v1/finals?after=0&limit=65536")
    return np.frombuffer(answer.body, ORDER)


def restart_with_clock(network, tmp_path, monkeypatch, names):
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    before = os.environ.get("PYTHONPATH")
    path = str(tmp_path) if before is None else f"{tmp_path}{os.pathsep}{before}"
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONPATH", path)
        for name in names:
            network.running.restart(name)
    network.running.wait_ready(tuple(names))


def test_a_day_is_closed_though_one_was_killed_and_all_agree(network, tmp_path, monkeypatch):
    day = today()
    date, names = day_text(day), list(network.names)
    made = pay_all_ways(network, day, 0, [0, 1, 2, 3])
    network.running.kill(names[3])
    made += pay_all_ways(network, day, 1, [0, 1, 2])
    network.running.restart(names[3])
    network.running.wait_ready((names[3],))
    network.state()
    finals = finals_of(network, 0)
    assert len(finals) == made

    # The day is not over: nobody signs, and all say the same.
    draft = document_of(network, "close-day", date, status=1)
    assert (draft["status"], draft["orders"], draft["signed"]) == ("provisional", made, [])
    documents = {get(url, f"/v1/days/{day}/close").document["document"] for url in network.urls}
    assert len(documents) == 1
    close = read_close(bytes.fromhex(documents.pop()))
    check_against_orders(finals, close, network)
    line = document_of(network, "trust")
    assert line["agreeing"] == 4
    assert line["circulation_cents"] == line["owed_cents"] == close.circulation_cents

    # Two days later: three of four are enough, the fourth is named, and then agrees.
    for name in names:
        network.running.kill(name)
    restart_with_clock(network, tmp_path, monkeypatch, names[:3])
    file = tmp_path / "day.close"
    settled = document_of(network, "close-day", date, "-o", str(file))
    assert (settled["status"], settled["signed"]) == ("settled", names[:3])
    assert [row["super_agent"] for row in settled["missing"]] == names[3:]
    assert settled["orders"] == made
    assert [row["position_cents"] for row in settled["parties"]] == list(close.positions_cents)
    restart_with_clock(network, tmp_path, monkeypatch, names[3:])
    whole = document_of(network, "close-day", date)
    assert (whole["signed"], whole["differing"], whole["missing"]) == (names, [], [])
    assert whole["debts"] == settled["debts"] != []

    export = tmp_path / "day.csv"
    assert document_of(network, "export", date, "-o", str(export))["rows"] == made
    rows = list(csv.DictReader(export.read_text().splitlines()))
    assert sum(int(row["amount_cents"]) for row in rows) == int(finals["amount"].sum())
    assert document_of(network, "flags", date)["orders"] == made

    # Fewer than q: it says so. The file needs nobody.
    for name in names[2:]:
        network.running.kill(name)
    short = document_of(network, "close-day", date, status=1)
    assert short["sentence"] == (
        f"{date} is not settled: 2 of the 3 super-agents that are needed have signed the same."
    )
    for name in names[:2]:
        network.running.kill(name)
    assert document_of(network, "close-day", "--check", str(file))["signed"] == names[:3]


def check_against_orders(finals, close, network):
    """Positions by hand: what each order's payee got, and nobody else moves between super-agents."""
    owners = {
        region: index
        for index, member in enumerate(network.running.folder.genesis.committee.members)
        for region in member.regions
    }
    banks = {party.number: row for row, party in enumerate(close.parties) if party.is_bank}
    positions = [0] * len(close.parties)
    for order in finals:
        payer, payee, cents = int(order["payer"]), int(order["payee"]), int(order["amount"])
        if order["kind"] == OrderKind.WITHDRAW:
            cents += 8_00  # the agent's commission, by hand from the tariff
        positions[banks.get(payer, owners[region_of(payer)])] -= cents
        positions[banks.get(payee, owners[region_of(payee)])] += cents
    assert positions == list(close.positions_cents)
    assert sum(close.positions_cents) == 0
    assert sum(cents != 0 for cents in positions) >= 4
