"""Hours of real statistics: what flows between a hundred parties is what the ledger's balances did."""

import numpy as np
import pytest

from harambee.ledger.payees import NO_TABLES
from harambee.ledger.records import KIND_MASK, OPENING, POSITION_BITS, AccountKind
from harambee.oversight.flags import RULES, Day, accounts_in, flags_of, slim
from harambee.oversight.flows import FlowReader
from harambee.oversight.settlement_parties import SettlementParties
from harambee.traffic import bench_month
from harambee.traffic.profile import read_profile

SUPER_AGENTS = 7
HOURS = 3


@pytest.fixture(scope="module")
def month():
    """Some hours of the month, all orders that were applied, and what every account changed by."""
    profile = read_profile()
    run = bench_month._Month(profile, 20_000, SUPER_AGENTS, 1)
    parts, tables = [], {}
    apply = run.ledger.apply

    def remembering(orders, position, indices, given=NO_TABLES):
        parts.append(orders.copy())
        tables.update(given)
        return apply(orders, position, indices, given)

    run.ledger.apply = remembering
    before = run.ledger.accounts["balance"].copy()
    run.begin()
    for _ in range(HOURS):
        run.hour(profile)
    run.settle()
    return run, np.concatenate(parts), tables, run.ledger.accounts["balance"] - before


def test_positions_are_what_each_partys_accounts_changed_by(month):
    run, orders, tables, changes = month
    kinds = run.ledger.accounts["flags"] & KIND_MASK
    banks = np.zeros(int((kinds == AccountKind.BANK).sum()), OPENING)
    banks["number"], banks["flags"] = np.flatnonzero(kinds == AccountKind.BANK), AccountKind.BANK
    parties = SettlementParties([[region] for region in range(SUPER_AGENTS)], banks)
    by_row = {
        row: tables[orders[row]["reference"].tobytes()]
        for row in np.flatnonzero(orders["kind"] == 14).tolist()
    }
    positions = [0] * len(parties.all)
    for flow in FlowReader(parties, {2: run.tariff}).flows(orders, by_row):
        positions[flow.payer] -= flow.cents
        positions[flow.payee] += flow.cents
    expected = [0] * len(parties.all)
    numbers = np.flatnonzero(changes).astype(np.uint32)
    for number, row in zip(numbers.tolist(), parties.rows_of(numbers).tolist(), strict=True):
        assert row >= SUPER_AGENTS or number >> POSITION_BITS == row
        expected[row] += int(changes[number])
    assert positions == expected
    assert sum(positions) == 0
    assert all(positions[:SUPER_AGENTS]), "everybody owes or is owed"


def test_ordinary_traffic_raises_few_flags(month):
    run, orders, _, _ = month
    numbers = accounts_in(orders)
    flags = run.ledger.accounts["flags"][numbers]
    found = flags_of(Day(slim(orders), slim(orders[:0]), numbers, flags, {2: run.tariff}))
    assert len(found) * 100 < len(numbers), "less than one account in a hundred"
    assert {flag.name for flag in found} <= set(RULES)
