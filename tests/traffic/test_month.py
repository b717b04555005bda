"""The orders of a month: a part of it, who is paid, who settles with whom."""

from dataclasses import replace

import numpy as np
import pytest

from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import POSITION_BITS, REGION_ACCOUNTS
from harambee.money.tariff import shipped_tariff
from harambee.traffic.month import WAYS, Month, Tally, figures_of, part_of
from harambee.traffic.nation import make_nation
from harambee.traffic.profile import ProfileError, read_month

TARIFF = shipped_tariff(2)


@pytest.fixture(scope="module")
def hour():
    return read_month()[0]


@pytest.fixture
def month(hour):
    return Month(hour, make_nation(hour, 400, 2, seed=1), TARIFF, seed=1)


def counts(month):
    return {
        kind: sum(a.count for profile in month for a in profile.actions if a.kind is kind)
        for kind in OrderKind
    }


@pytest.mark.parametrize("per_million", [1_000, 10_000, 333_333, 1_000_000])
def test_a_part_has_its_share_of_each_kind_to_one(hour, per_million):
    whole = tuple(replace(hour, hour=step) for step in range(1, 50))
    part = part_of(whole, per_million)
    assert counts(part) == {k: n * per_million // 1_000_000 for k, n in counts(whole).items()}
    sizes = [profile.transactions for profile in part]
    assert max(sizes) - min(sizes) <= 5, "the kinds are spread over the hours as they were"


def test_all_of_a_month_is_the_month(hour):
    assert part_of((hour,), 1_000_000) == (hour,)


def test_a_part_without_transactions_is_none(hour):
    with pytest.raises(ProfileError, match="so small a part"):
        part_of((hour,), 1)


def test_employers_pay_in_turn_with_the_fee_of_each_salary(hour):
    nation = make_nation(hour, 400, 2, seed=1, employers_each=3)
    month = Month(hour, nation, TARIFF, seed=1)
    orders = month.pay_outs(nation.customers[::10])
    assert (orders["kind"] == OrderKind.PAY_OUT).all()
    assert orders["payee"].tolist() == nation.customers[::10].tolist()
    assert set(orders["payer"].tolist()) == set(nation.employers.tolist())
    assert orders["amount"].min() >= 15_000_00
    assert set(orders["fee"].tolist()) <= {11_00, 13_00}


def test_commissions_name_their_deposits_and_the_head_office(month):
    agents = month.nation.agents[:8]
    deposits = month.orders(OrderKind.DEPOSIT, agents, month.nation.customers[:8], 500_00)
    deposits["amount"][3] = 10_00  # too little for a commission
    orders = month.commissions(deposits, bytes(48))
    assert orders["payee"].tolist() == np.delete(agents, 3).tolist()
    assert set(orders["amount"].tolist()) == {8_00}
    assert len({row.tobytes() for row in orders["reference"]}) == 7
    places = orders["options"] @ np.array([1, 256, 65_536])
    offices = np.delete(month.nation.offices_of_agents[:8], 3) & (REGION_ACCOUNTS - 1)
    assert places.tolist() == offices.tolist()
    assert offices.any()


def test_a_settlement_moves_what_there_is(month):
    orders = month.settlement(np.array([5_00, 0]), np.array([70, 80]))
    assert orders["kind"].tolist() == [
        OrderKind.TREASURY,
        OrderKind.EXCISE_REMITTANCE,
        OrderKind.EXCISE_REMITTANCE,
    ]
    assert orders["amount"].tolist() == [5_00, 70, 80]
    assert orders["payee"].tolist() == [3, month.nation.authority, month.nation.authority]


def test_super_agents_fund_their_own_commissions(month):
    orders = month.funding(9_00)
    assert (orders["payer"] >> POSITION_BITS).tolist() == [0, 1]
    assert (orders["payer"] + 0).tolist() == [3, REGION_ACCOUNTS + 3]
    assert orders["payee"].tolist() == [2, REGION_ACCOUNTS + 2]


def test_a_tally_counts_what_was_accepted_and_why_others_were_not(month):
    orders = month.orders(
        OrderKind.SEND, month.nation.customers[:3], month.nation.customers[3:6], 7_00
    )
    orders["kind"][2] = OrderKind.DEPOSIT
    tally = Tally()
    tally.note(np.array([0, 0, WAYS.index("deposit")]), orders, np.array([0, 23, 23], np.uint8))
    assert tally.transactions_accepted == tally.accepted[0, 7] == 1
    due = dict.fromkeys(("revenue", "excise", "agents", "head_offices"), 0)
    figures = figures_of(tally, {"due": due, "paid": due})
    assert figures["refused"] == {"balance_insufficient": 2}
    assert figures["agents_without_float"] == 1
