"""A day of the country's payments as a few orders: to the cent, and in a real month's proportions."""

import pytest

from harambee.traffic.profile import ProfileError
from harambee.traffic.sampled_day import (
    CENTS_A_DAY,
    HOURS,
    MINUTES,
    PAYMENTS_A_DAY,
    Outage,
    read_hours,
    sample_day,
)

MONTH = 24_576_685
"""Transactions in aggregatedTransactions.csv."""


def test_the_hours_that_ship_are_those_of_the_whole_month():
    hours = read_hours()
    assert len(hours) == HOURS
    assert sum(hour.count for hour in hours) == MONTH


@pytest.mark.parametrize("minutes_each", [1, 5, 30, 60])
def test_the_orders_of_a_day_stand_for_all_of_it_to_the_cent(minutes_each):
    orders = sample_day(read_hours(), 1, minutes_each)
    assert [order.minute for order in orders] == list(range(0, MINUTES, minutes_each))
    assert sum(order.minutes for order in orders) == MINUTES
    assert sum(order.value_cents for order in orders) == CENTS_A_DAY
    assert sum(order.payments for order in orders) == PAYMENTS_A_DAY
    assert all(order.amount_cents > 0 and order.value_cents >= 0 for order in orders)


def test_an_hour_has_the_same_value_in_whatever_orders_it_is_cut():
    def evening(minutes_each):
        orders = sample_day(read_hours(), 1, minutes_each)
        return sum(o.value_cents for o in orders if Outage(17 * 60, 21 * 60).covers(o.minute))

    # 44 of 100 shillings are paid in these four hours, as in the month.
    assert evening(1) == evening(60) == 7_183_113_486_20


def test_the_seed_draws_amounts_and_nothing_else():
    one, other = sample_day(read_hours(), 1), sample_day(read_hours(), 2)
    assert one == sample_day(read_hours(), 1)
    assert [o.amount_cents for o in one] != [o.amount_cents for o in other]
    assert [o.value_cents for o in one] == [o.value_cents for o in other]


def test_a_profile_without_an_hour_is_refused(monkeypatch):
    rows = ["hour,count,sum", *(f"{hour},1,1" for hour in range(1, HOURS))]
    monkeypatch.setattr("harambee.traffic.sampled_day.shipped", lambda _name: rows)
    with pytest.raises(ProfileError, match="twenty-four hours"):
        read_hours()
