"""A small month: every transaction is accounted for, and the books close to the cent or say not."""

import numpy as np
import pytest

from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import POSITION_BITS, AccountKind
from harambee.money.tariff import shipped_tariff
from harambee.traffic import bench_month
from harambee.traffic.bench_month import WAYS, closing_cents
from harambee.traffic.nation import drawn_by, make_nation, open_ledger
from harambee.traffic.profile import ProfileError, read_month

# Two days: the second begins with hour 24. In the first, agents take much cash in and hand out none.
MONTH = """\
action,month,day,hour,count,sum,avg,std,step
CASH_IN,10,0,1,3000,0,350000,120000,1
CASH_OUT,10,1,0,400,0,150000,120000,24
TRANSFER,10,1,0,200,0,500000,400000,24
PAYMENT,10,1,1,900,0,10000,9000,25
DEBIT,10,1,1,50,0,10000,9000,25
CASH_IN,10,1,1,300,0,150000,120000,25
"""


@pytest.fixture(scope="module")
def month_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("month") / "month.csv"
    file.write_text(MONTH)
    return file


@pytest.fixture(scope="module")
def figures(month_file):
    return bench_month.bench_month(read_month(month_file), customers=900, super_agents=3)


def test_the_books_close_to_the_cent(figures):
    assert figures["closes"]
    assert figures["conserved"]
    assert figures["charged_cents"] > figures["revenue_cents"] > figures["excise_cents"] > 0
    assert figures["remitted_cents"] == figures["excise_cents"]
    assert figures["head_offices_commission_cents"] > 0


def test_every_transaction_is_accepted_or_refused(figures):
    assert figures["transactions"] == 4_850
    assert figures["accepted"] + sum(figures["refused"].values()) == figures["transactions"]
    assert figures["hours"] == 3


def test_agents_without_float_refuse(figures):
    assert 0 < figures["agents_without_float"] <= figures["refused"]["balance_insufficient"]


def test_around_the_month_everybody_is_paid(figures):
    assert figures["salaries"] == 900
    assert figures["bulk_orders"] == 3
    assert figures["deposit_commissions"] > 500
    assert figures["entries"] > figures["accepted"] + figures["deposit_commissions"] + 900


def test_the_same_seed_gives_the_same_month(month_file, figures):
    timed = {"seconds", "kernel_seconds", "orders_per_second", "rss_bytes"}
    again = bench_month.bench_month(read_month(month_file), customers=900, super_agents=3)
    assert {k: v for k, v in again.items() if k not in timed} == {
        k: v for k, v in figures.items() if k not in timed
    }
    other = bench_month.bench_month(read_month(month_file), customers=900, super_agents=3, seed=2)
    assert other["moved_cents"] != figures["moved_cents"]
    assert other["closes"]


def test_progress_counts_transactions(month_file):
    shown = []
    bench_month.bench_month(
        read_month(month_file),
        customers=900,
        super_agents=3,
        progress=lambda *done: shown.append(done),
    )
    assert shown == [(3_000, 4_850), (3_600, 4_850), (4_850, 4_850)]


@pytest.fixture(scope="module")
def run(month_file):
    month = read_month(month_file)
    run = bench_month._Month(month[0], 900, 3, seed=1)
    run.begin()
    for profile in month:
        run.hour(profile)
    return run


def found(run):
    return {name: run.balance_of(numbers) for name, numbers in run.nation.groups().items()}


def test_all_ways_to_pay_are_taken(run):
    assert run.tally.accepted.sum(axis=1).all(), dict(
        zip(WAYS, run.tally.accepted.sum(axis=1).tolist(), strict=True)
    )


@pytest.mark.parametrize("way", range(len(WAYS)), ids=WAYS)
def test_a_payment_that_is_not_in_the_books_is_found(run, way):
    assert closing_cents(run.tally, run.nation, run.tariff)["balances"] == found(run)
    run.tally.accepted[way, 500] += 1
    assert closing_cents(run.tally, run.nation, run.tariff)["balances"] != found(run)
    run.tally.accepted[way, 500] -= 1


def test_a_cent_that_goes_elsewhere_is_found(run):
    revenue, excise = (int(run.nation.groups()[name][0]) for name in ("revenue", "excise"))
    accounts = run.ledger.accounts["balance"]
    accounts[revenue] += 1
    accounts[excise] -= 1
    assert run.ledger.total_cents() == 0
    assert closing_cents(run.tally, run.nation, run.tariff)["balances"] != found(run)
    accounts[revenue] -= 1
    accounts[excise] += 1


def test_commissions_name_the_deposits_they_are_for(run):
    entries = run.ledger.entries
    kinds = run.ledger.accounts["flags"][entries["payer"]] & 15
    assert np.count_nonzero(kinds == AccountKind.COMMISSION) == run.tally.commissions


def test_a_nation_has_its_groups_in_every_region_and_adds_up():
    profile = read_month()[0]
    nation = make_nation(profile, 1_000, 4, seed=1)
    groups = nation.groups()
    everybody = np.concatenate(list(groups.values()))
    assert len(np.unique(everybody)) == len(everybody) == len(nation.openings) - 4  # enrolments
    assert int(nation.openings["balance"].sum()) == 0
    for name in ("customers", "agents", "head_offices", "employers"):
        assert set((groups[name] >> POSITION_BITS).tolist()) == {0, 1, 2, 3}
    has_office = nation.offices_of_agents != 0
    assert 0 < has_office.sum() < len(nation.agents)
    assert np.isin(nation.offices_of_agents[has_office], nation.head_offices).all()
    regions = nation.agents >> POSITION_BITS
    assert (nation.offices_of_agents >> POSITION_BITS == regions)[has_office].all()
    assert open_ledger(nation, shipped_tariff(2)).total_cents() == 0


def test_more_people_than_there_is_room_for():
    with pytest.raises(ValueError, match="do not fit 1 regions"):
        make_nation(read_month()[0], 1_048_570, 1, seed=1)


def test_who_acts_often_is_drawn_often():
    dice = np.random.default_rng(1)
    drawn = np.bincount(drawn_by(dice, np.cumsum([1.0, 0.0, 9.0]), 1_000), minlength=3)
    assert drawn[1] == 0
    assert 50 < drawn[0] < 150


def test_a_file_that_is_no_month(tmp_path):
    file = tmp_path / "no.csv"
    file.write_text("nothing\n1\n")
    with pytest.raises(ProfileError, match="does not have the columns"):
        read_month(file)


def test_the_months_hours_are_those_that_have_transactions(month_file):
    hours = read_month(month_file)
    assert [profile.hour for profile in hours] == [1, 24, 25]
    assert [len(profile.actions) for profile in hours] == [1, 2, 3]
    assert sum(profile.transactions for profile in hours) == 4_850


def test_refusals_are_counted_by_kind(run):
    kinds = {OrderKind(kind) for kind, _ in run.tally.refused}
    assert (OrderKind.DEPOSIT, Outcome.BALANCE_INSUFFICIENT) in run.tally.refused
    assert OrderKind.JOIN_HEAD_OFFICE not in kinds
