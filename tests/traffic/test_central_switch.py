"""The switch in the middle: who waits, who gives up, and that every cent is somewhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.traffic.central_switch import central_day
from harambee.traffic.sampled_day import (
    CENTS_A_DAY,
    MINUTES,
    Outage,
    SampledOrder,
    read_hours,
    sample_day,
)


def orders(*rows):
    """(minute, cents, payments) each."""
    return [SampledOrder(minute, 1, 1, cents, payments) for minute, cents, payments in rows]


def everything(day):
    return sum(day.paid) + day.paid_after_midnight_cents + day.given_up_cents


def test_a_switch_that_is_down_fails_everybody_and_half_come_again():
    day = central_day(orders((10, 101, 60), (11, 200, 60), (13, 500, 60)), Outage(10, 12), 50)
    assert day.silent_minutes == 2
    # Of 101 cents 50 come again: a cent is not halved, and none is lost on the way.
    assert day.given_up_cents == 51 + 100
    assert day.paid[12] == 50 + 100
    assert day.paid[13] == 500
    assert day.delayed_cents == 150
    assert day.caught_up_at == 13


def test_who_comes_for_the_first_time_waits_behind_who_comes_again():
    # One payment a second is sixty a minute.
    busy = orders((10, 600, 60), (11, 600, 60), (12, 60, 60))
    day = central_day(busy, Outage(10, 12), 100, payments_a_second=1)
    assert [day.paid[minute] for minute in (12, 13, 14)] == [600, 600, 60]
    assert day.delayed_cents == 1_260
    assert day.caught_up_at == 15


@pytest.mark.parametrize(("again", "given_up"), [(0, 100), (100, 0)])
def test_nobody_or_everybody_comes_again(again, given_up):
    day = central_day(orders((10, 100, 7)), Outage(10, 11), again)
    assert day.given_up_cents == given_up
    assert day.delayed_cents == 100 - given_up
    assert day.caught_up_at == (12 if again else 0)


def test_a_minute_in_which_nobody_wants_to_pay_is_not_silent():
    assert central_day(orders((9, 1, 1)), Outage(10, 20)).silent_minutes == 0


def test_a_backlog_at_midnight_is_paid_after_it():
    day = central_day(orders((MINUTES - 1, 1_000, 180)), Outage(0, 1), 100, payments_a_second=1)
    assert day.paid[MINUTES - 1] == 333
    assert day.paid_after_midnight_cents == 667
    assert day.caught_up_at == MINUTES + 2


def test_a_day_as_it_is_never_fills_the_switch():
    day = central_day(sample_day(read_hours(), 1), Outage(4 * 60, 4 * 60 + 1))
    assert day.delayed_cents + day.given_up_cents < CENTS_A_DAY // 1_000_000


@given(
    again=st.integers(0, 100),
    speed=st.integers(1, 12_000),
    starts=st.integers(0, MINUTES - 1),
    lasts=st.integers(1, MINUTES),
    rows=st.lists(
        st.tuples(st.integers(0, MINUTES - 1), st.integers(0, 10**12), st.integers(0, 10**6)),
        max_size=30,
        unique_by=lambda row: row[0],
    ),
)
def test_every_cent_is_paid_or_given_up(again, speed, starts, lasts, rows):
    wanted = orders(*sorted(rows))
    day = central_day(wanted, Outage(starts, min(MINUTES, starts + lasts)), again, speed)
    assert everything(day) == sum(order.value_cents for order in wanted)
    assert min(day.paid) >= 0
