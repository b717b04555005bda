"""A month through doors over one real ledger: all is accounted for, and the books close or say not."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from tests.traffic.fake_network import FINAL, PENDING, FakeDoor, FakeNetwork, refused

from harambee.ledger.kinds import OrderKind
from harambee.ledger.ledger import Ledger
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import OPENING, ORDER, POSITION_BITS, AccountKind
from harambee.node.network_folder import create_network
from harambee.traffic import replay_month
from harambee.traffic.generator import LoadError, Pace, today
from harambee.traffic.nation import population_of_nation, settled_nation
from harambee.traffic.profile import read_month
from harambee.traffic.replay_month import MonthReplay, nation_for
from harambee.traffic.temporary_network import network_of

# Two days. In the first, agents take much cash in and hand out none; so some run out of float.
MONTH = """\
action,month,day,hour,count,sum,avg,std,step
CASH_IN,10,0,1,900,0,350000,120000,1
CASH_OUT,10,1,0,120,0,150000,120000,24
TRANSFER,10,1,0,60,0,500000,400000,24
PAYMENT,10,1,1,260,0,10000,9000,25
DEBIT,10,1,1,30,0,10000,9000,25
CASH_IN,10,1,1,90,0,150000,120000,25
"""


class LedgerNetwork(FakeNetwork):
    """Doors over a real ledger: an order is judged and applied as soon as it is there."""

    def __init__(self, folder):
        super().__init__([FakeDoor("amani"), FakeDoor("baraka"), FakeDoor("chapa")], people=1)
        self.ledger = Ledger(folder.genesis.regions, list(folder.genesis.tariffs))
        issuers = {row.account: row.limit_cents for row in folder.genesis.document.issuers}
        self.ledger.open_accounts(folder.openings, issuers)

    def records(self, numbers):
        return self.ledger.records(numbers.astype(np.uint32))

    def _decide(self, order):
        slot = int(order["payer"]), int(order["sequence"])
        if self.by_slot.get(slot) == order.tobytes():
            return FINAL
        one, holds = np.array([order], ORDER), np.ones(1, np.bool_)
        (code,) = self.ledger.check(one, holds, holds, today()).tolist()
        if code:
            return refused(Outcome(code))
        (applied,) = self.ledger.apply(one, 0, np.zeros(1, np.uint32)).tolist()
        assert not applied
        self.finals.append(order.tobytes())
        self.by_slot[slot] = order.tobytes()
        return FINAL


@pytest.fixture(scope="module")
def profiles(tmp_path_factory):
    file = tmp_path_factory.mktemp("month") / "month.csv"
    file.write_text(MONTH)
    return read_month(file)


@pytest.fixture
def prepared(profiles, tmp_path):
    nation = nation_for(profiles, 2, seed=1)
    folder = create_network(
        tmp_path / "network",
        super_agents=2,
        customers=0,
        agents_per_super_agent=0,
        population=population_of_nation(nation, 1),
    )
    return nation, folder, LedgerNetwork(folder)


def run(profiles, prepared):
    nation, folder, doors = prepared

    async def tell():
        async with doors.open():
            network = replace(network_of(folder), doors=doors.doors)
            month = MonthReplay(profiles, nation, folder, network, seed=1)
            await month.run()
            return month, await month.judge()

    return asyncio.run(tell())


def test_all_of_a_month_is_accounted_for_and_its_books_close(profiles, prepared):
    month, verdict = run(profiles, prepared)
    figures, tally = month.figures(), month.load_tally()
    assert month.closes
    assert (verdict.lost, verdict.duplicated) == (0, 0)
    assert figures["transactions"] == month.decided == 1_460
    assert figures["accepted"] + sum(figures["refused"].values()) == 1_460
    assert figures["agents_without_float"] > 0
    kinds = figures["kinds"]
    assert kinds["deposit_commission"]["final"] == figures["deposit_commissions"]
    assert kinds["deposit"]["final"] == figures["deposit_commissions"] > 100
    assert kinds["pay_out"]["final"] == figures["salaries"] == 73
    assert kinds["float_sale"]["final"] > 0
    assert kinds["excise_remittance"]["final"] == 2
    assert figures["remitted_cents"] == figures["excise_cents"] > 0
    assert figures["head_offices_commission_cents"] > 0
    assert sum(counts["offered"] for counts in kinds.values()) == tally.offered
    assert tally.final + tally.rejected == tally.offered
    assert tally.cancelled == tally.rejected == sum(figures["refused"].values())
    assert (figures["days"], figures["regions"]) == (2, 2)


@pytest.mark.parametrize("group", ["customers", "revenue", "commission"])
def test_a_cent_that_went_elsewhere_is_found(profiles, prepared, group):
    nation, folder, doors = prepared
    month = settled_nation(nation, folder.population().numbers, folder.openings)
    honest = doors.ledger.apply
    accounts = doors.ledger.accounts["balance"]
    state = {"taken": False}

    def apply(orders, *rest):
        if orders["kind"][0] == OrderKind.WITHDRAW and not state["taken"]:
            state["taken"] = True
            accounts[month.groups()[group][0]] -= 1
            accounts[month.agents[0]] += 1
        return honest(orders, *rest)

    doors.ledger.apply = apply
    found, verdict = run(profiles, prepared)
    assert not found.closes
    assert not verdict.conserved


def test_a_month_ends_where_an_order_is_never_answered(profiles, prepared, monkeypatch):
    _, _, doors = prepared
    monkeypatch.setattr(replay_month, "PACE", Pace(batch=16, wait_ms=50, patience_s=1))

    def never(order, _times):
        return PENDING if order["kind"] == OrderKind.DEPOSIT else None

    for fake in doors.fakes:
        fake.judge = never
    with pytest.raises(LoadError, match="orders were never answered"):
        run(profiles, prepared)


def test_a_nation_keeps_its_groups_under_a_networks_numbers(prepared):
    nation, folder, _ = prepared
    settled = settled_nation(nation, folder.population().numbers, folder.openings)
    opened = np.frombuffer(folder.genesis.openings, OPENING)
    kinds = dict(zip(opened["number"].tolist(), opened["flags"].tolist(), strict=True))
    for name, numbers in settled.groups().items():
        old = nation.groups()[name]
        assert (numbers >> POSITION_BITS).tolist() == (old >> POSITION_BITS).tolist()
        assert len(set(numbers.tolist())) == len(old)
    assert {kinds[n] for n in settled.customers.tolist()} == {AccountKind.CUSTOMER}
    billers = settled.merchants[settled.merchant_modes >= 0].tolist()
    modes = settled.merchant_modes[settled.merchant_modes >= 0].tolist()
    assert [kinds[n] >> 16 for n in billers] == modes
    has_office = settled.offices_of_agents != 0
    assert has_office.any()
    assert np.isin(settled.offices_of_agents[has_office], settled.head_offices).all()
