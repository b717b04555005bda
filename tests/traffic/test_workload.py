"""What is drawn from statistics: the same by the same seed, within limits, mostly affordable."""

from pathlib import Path

import numpy as np
import pytest

from harambee.ledger.kinds import MOVEMENTS, OrderKind
from harambee.money.tariff import shipped_tariff
from harambee.traffic.profile import CENTS_PER_UNIT, ProfileError, read_profile
from harambee.traffic.workload import (
    ASLEEP_BELOW_UNITS,
    Crowd,
    crowd_of,
    expect,
    make_workload,
    opening_balances,
    party_balances,
)

TARIFF = shipped_tariff()
PROFILE = read_profile()
CROWD = crowd_of(PROFILE.transactions, super_agents=4)

HOURS = """\
action,month,day,hour,count,sum,avg,std,step
CASH_IN,10,0,1,30,0,150000,120000,1
TRANSFER,10,0,2,20,0,500000,400000,2
PAYMENT,10,0,2,80,0,10000,9000,2
"""


def test_the_shipped_hour_has_all_five_actions_and_some_thousand_transactions():
    assert {action.kind for action in PROFILE.actions} == {
        OrderKind.SEND,
        OrderKind.WITHDRAW,
        OrderKind.DEPOSIT,
        OrderKind.BUY_GOODS,
        OrderKind.BANK_DEPOSIT,
    }
    assert 2_000 < PROFILE.transactions < 10_000


def test_the_same_seed_makes_the_same_orders_and_another_seed_others():
    first, again, other = (make_workload(PROFILE, CROWD, TARIFF, seed) for seed in (7, 7, 8))
    for name in ("kinds", "payers", "payees", "amounts_cents", "fees_cents"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.payers, other.payers)
    assert np.array_equal(opening_balances(PROFILE, 50, 7), opening_balances(PROFILE, 50, 7))


def test_a_workload_has_the_counts_of_its_hour():
    workload = make_workload(PROFILE, CROWD, TARIFF, seed=1)
    for action in PROFILE.actions:
        assert np.count_nonzero(workload.kinds == action.kind) == action.count


def test_a_limit_keeps_the_proportions():
    workload = make_workload(PROFILE, CROWD, TARIFF, seed=1, limit=1_000)
    assert len(workload) == 1_000
    withdrawals = np.count_nonzero(workload.kinds == OrderKind.WITHDRAW)
    assert 380 < withdrawals < 520  # 2,241 of 4,954 in the whole hour


@pytest.mark.parametrize("seed", range(5))
def test_amounts_are_whole_shillings_within_the_limits_and_fees_are_the_tariffs(seed):
    workload = make_workload(PROFILE, CROWD, TARIFF, seed)
    amounts = workload.amounts_cents
    assert amounts.dtype == np.int64
    assert not np.any(amounts % 100)
    assert amounts.min() >= 100
    assert amounts.max() <= 250_000_00
    assert amounts[workload.kinds == OrderKind.WITHDRAW].min() >= 50_00
    for row in range(0, len(workload), 97):
        table = MOVEMENTS[OrderKind(workload.kinds[row])].fee_table
        assert workload.fees_cents[row] == TARIFF.fee_cents(table, int(amounts[row]))


@pytest.mark.parametrize("seed", range(5))
def test_more_than_half_of_the_orders_are_affordable_and_not_all(seed):
    workload = make_workload(PROFILE, CROWD, TARIFF, seed)
    balances = party_balances(CROWD, opening_balances(PROFILE, CROWD.customers, seed))
    expected = expect(workload, balances, TARIFF)
    assert 0.5 < expected.share < 0.9


def test_who_pays_whom_follows_the_kind():
    workload = make_workload(PROFILE, CROWD, TARIFF, seed=3)
    sorts = np.repeat(
        ["customer", "agent", "merchant", "bank"],
        [CROWD.customers, CROWD.agents, CROWD.merchants, CROWD.banks],
    )
    expected = {
        OrderKind.SEND: ("customer", "customer"),
        OrderKind.WITHDRAW: ("customer", "agent"),
        OrderKind.DEPOSIT: ("agent", "customer"),
        OrderKind.BUY_GOODS: ("customer", "merchant"),
        OrderKind.BANK_DEPOSIT: ("customer", "bank"),
    }
    for kind, (payer, payee) in expected.items():
        rows = workload.kinds == kind
        assert set(sorts[workload.payers[rows]]) == {payer}
        assert set(sorts[workload.payees[rows]]) == {payee}
    assert not np.any(workload.payers == workload.payees)


def test_nobody_who_is_active_opens_with_next_to_nothing():
    balances = opening_balances(PROFILE, 2_000, seed=1)
    assert balances.min() >= ASLEEP_BELOW_UNITS * CENTS_PER_UNIT


def test_activity_is_skewed():
    workload = make_workload(PROFILE, CROWD, TARIFF, seed=1)
    _, times = np.unique(workload.payers, return_counts=True)
    assert times.max() > 3 * times.mean()


def test_expected_share_of_a_tiny_story():
    crowd = Crowd(customers=2, agents=1, merchants=1, banks=1)
    workload = make_workload(PROFILE, crowd, TARIFF, seed=1, limit=20)
    nothing = np.zeros(crowd.parties, np.int64)
    assert expect(workload, nothing, TARIFF).affordable == 0


def test_an_hour_of_a_file_is_read_and_the_missing_tables_are_those_that_ship(tmp_path: Path):
    file = tmp_path / "aggregated.csv"
    file.write_text(HOURS)
    profile = read_profile(file, 2)
    assert profile.hour == 2
    assert profile.transactions == 100
    assert profile.activity == PROFILE.activity
    assert profile.balances == PROFILE.balances


@pytest.mark.parametrize(
    ("text", "hour", "sentence"),
    [
        (HOURS, 18, "have no hour 18, only from 1 to 2"),
        ("action,step\nCASH_IN,1\n", 1, "does not have the columns"),
        (HOURS.replace(",80,", ",many,"), 2, "does not have the columns"),
        (HOURS.replace("10000", "nan"), 2, "negative or infinite"),
        (HOURS.replace(",80,", ",-80,"), 2, "negative or infinite"),
        ("", 1, "there is no row"),
    ],
)
def test_statistics_that_make_no_sense_get_one_sentence(tmp_path, text, hour, sentence):
    file = tmp_path / "hours.csv"
    file.write_text(text)
    with pytest.raises(ProfileError, match=sentence):
        read_profile(file, hour)


def test_a_missing_file_gets_one_sentence(tmp_path):
    with pytest.raises(ProfileError, match="cannot read"):
        read_profile(tmp_path / "absent.csv")
