"""An evening with some super-agents dead: on replicas as they ship, beside the same evening's switch."""

from dataclasses import replace
from itertools import combinations

import pytest

from harambee.protocol.committee import tolerated
from harambee.sim.evening import Evening, moments_of
from harambee.sim.outage_ledger import EVENING, Settings, clock, keep_ledger
from harambee.traffic.sampled_day import CENTS_A_DAY, Outage, read_hours, sample_day

FOUR = Settings(super_agents=4, down=1, minutes_each=30)
IN_EVENING = 8
"""Half hours from 17:00 to 21:00."""


@pytest.fixture(scope="module")
def borne():
    return keep_ledger(FOUR)


@pytest.fixture(scope="module")
def halted():
    return keep_ledger(replace(FOUR, down=2))


def test_with_f_down_nobody_waits(borne):
    found = borne.as_json()
    assert found["final_in_outage"] == found["offered_in_outage"] == IN_EVENING
    assert found["silent_minutes"] == found["shillings_delayed"] == found["shillings_lost"] == 0
    assert found["central_silent_minutes"] == EVENING.minutes
    assert found["final"] == found["offered"]
    assert found["as_promised"]


def test_with_one_more_it_halts_and_pays_when_one_is_back(halted):
    found = halted.as_json()
    assert found["halted"]
    assert found["final_in_outage"] == 0
    assert found["silent_minutes"] == EVENING.minutes
    assert found["shillings_delayed"] == found["shillings_in_outage"]
    assert found["shillings_lost"] == found["duplicated"] == found["undecided"] == 0
    assert found["conserved"]
    assert found["digests_equal"]
    assert found["as_promised"]
    assert halted.network.paid[EVENING.starts : EVENING.ends] == [0] * EVENING.minutes


def test_both_systems_account_for_every_cent_of_the_day(borne, halted):
    for ledger in (borne, halted):
        central = ledger.central
        assert sum(ledger.network.paid) + ledger.network.lost_cents == CENTS_A_DAY
        paid = sum(central.paid) + central.paid_after_midnight_cents
        assert paid + central.given_up_cents == CENTS_A_DAY


def test_the_same_seed_gives_the_same_ledger_to_the_byte(borne):
    assert keep_ledger(FOUR).as_json() == borne.as_json()
    other = keep_ledger(replace(FOUR, seed=2)).as_json()
    assert other["history"] != borne.as_json()["history"]


def test_an_outage_until_midnight_ends_with_the_day():
    late = keep_ledger(replace(FOUR, down=2, outage=Outage(22 * 60, 24 * 60))).as_json()
    assert late["silent_minutes"] == 120
    assert late["final"] == late["offered"]
    assert late["as_promised"]


def dead_sets(members):
    return [dead for count in range(members + 1) for dead in combinations(range(members), count)]


@pytest.mark.parametrize("dead", dead_sets(4), ids=str)
def test_whichever_are_dead_it_serves_while_a_quorum_lives(dead):
    """With the exact sum over these sixteen sets: the simulator halts where the binomial says so."""
    day = sample_day(read_hours(), 1, 60)
    orders = [order for order in day if 17 * 60 <= order.minute <= 19 * 60]
    found = Evening(orders, Outage(17 * 60, 19 * 60), 4, dead, seed=len(dead)).live()
    assert found.brought_in_outage == 2
    assert found.final_in_outage == (2 if len(dead) <= tolerated(4) else 0)
    assert (found.final, found.undecided, found.lost) == (3, 0, 0)
    assert found.conserved
    assert found.digests_equal
    assert not found.violations


@pytest.mark.parametrize("super_agents", [4, 16, 17, 31, 100])
@pytest.mark.parametrize(
    "outage", [EVENING, Outage(0, 60), Outage(23 * 60, 24 * 60), Outage(0, 1_440)]
)
def test_moments_have_every_order_once_and_none_lies_on_an_edge(super_agents, outage):
    orders = sample_day(read_hours(), 1)
    moments = moments_of(orders, outage, super_agents)
    assert [order for moment in moments for order in moment] == orders
    assert all(moments)
    for moment in moments:
        assert len({outage.covers(order.minute) for order in moment}) == 1
    assert [moment[0].minute for moment in moments].count(outage.starts) == 1
    first = next(moment for moment in moments if moment[0].minute == outage.starts)
    assert len(first) == 1


def test_a_minute_is_written_as_people_write_it():
    assert [clock(minute) for minute in (0, 61, 1_440)] == ["00:00", "01:01", "24:00"]
