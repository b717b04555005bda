"""How long float lasts: tables that an agent could check by hand, and what holds for any book."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.handset.float_forecast import (
    DAY_MS,
    HOUR_MS,
    ROUND_CENTS,
    Flow,
    clock,
    is_business,
    outlook,
    sentence,
)
from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import AccountKind

MIDNIGHT = 20_000 * DAY_MS - 3 * HOUR_MS
"""The beginning of a day in UTC+3."""


def at(hour, day=0, minute=0):
    return MIDNIGHT + day * DAY_MS + hour * HOUR_MS + minute * 60_000


def week(uses, days=range(-7, 0)):
    """A book in which each day's hour takes so many shillings, in the middle of the hour."""
    return [
        Flow(at(hour, day, 30), -shillings * 100)
        for day in days
        for hour, shillings in uses.items()
        if shillings
    ]


ALWAYS = [Flow(at(0, -8), 0)]
"""A book that reaches back a whole week, and in which nothing moved."""


@pytest.mark.parametrize(
    ("flows", "shillings", "now", "lasts_until", "needed", "top_up", "low"),
    [
        # Nothing known: float lasts, unless there is none.
        ([], 1_000, at(9), None, 0, 0, False),
        ([], 0, at(9), at(9), 0, 0, True),
        # Ksh1,000 an hour from 9 to 17: from 9:00 on 8,000 are needed; 6,000 last until 15:00.
        (week(dict.fromkeys(range(9, 17), 1000)), 6_000, at(9), at(15), 8_000, 2_000, True),
        (week(dict.fromkeys(range(9, 17), 1000)), 8_000, at(9), at(9, 1), 8_000, 0, False),
        (week(dict.fromkeys(range(9, 17), 1000)), 16_500, at(9), None, 8_000, 0, False),
        # Half an hour later half of an hour's need is past.
        (week(dict.fromkeys(range(9, 17), 1000)), 6_000, at(9, 0, 30), at(15, 0, 30), 7_500, 2_000, True),
        # In the evening there is no need until tomorrow, and then it is not low.
        (week(dict.fromkeys(range(9, 17), 1000), range(-6, 1)), 500, at(18), at(9, 1, 30), 0, 0, False),
        # But what ends within two hours is low, tomorrow or not.
        (week({0: 1_000}, range(-6, 1)), 500, at(23), at(0, 1, 30), 0, 0, True),
        # Deposits before noon, withdrawals after: the morning's need counts, not the day's sum.
        (week({9: 5_000, 15: -9_000}), 2_000, at(9), at(9, 0, 24), 5_000, 3_000, True),
        # Suggestions are whole thousands, upwards.
        (week({9: 1_001}), 0, at(8), at(8), 1_001, 2_000, True),
        # Younger than a day: the rate so far. 500 in two hours, so 250 an hour, and 1,000 last four.
        ([Flow(at(8), -250_00), Flow(at(9), -250_00)], 1_000, at(10), at(14), 3_500, 3_000, True),
        # Older than a week does not count, nor what lies in the future.
        ([Flow(at(9, -8), -9_000_00), Flow(at(20), -9_000_00)], 10, at(10), None, 0, 0, False),
    ],
)  # fmt: skip
def test_the_table(flows, shillings, now, lasts_until, needed, top_up, low):
    # A shop that has been there for longer than a week, or one that has just opened.
    known = ALWAYS if len(flows) > 5 else []
    found = outlook(known + flows, shillings * 100, now)
    assert found.lasts_until_ms == lasts_until
    assert found.needed_today_cents == needed * 100
    assert (found.top_up_cents, found.is_low) == (top_up * 100, low)


def test_newer_days_count_twice_as_much_as_the_day_before():
    flows = ALWAYS + week({9: 700}, days=[-2]) + week({9: 1_400}, days=[-1])
    found = outlook(flows, 10_000_00, at(9))
    weights = sum(2**n for n in range(7))
    assert found.needed_today_cents == (64 * 1_400_00 + 32 * 700_00) // weights


def test_hours_before_the_book_began_say_nothing():
    flows = [Flow(at(8, -2), 0), *week({9: 1_000}, days=[-2, -1])]
    assert outlook(flows, 10_000_00, at(9)).needed_today_cents == 1_000_00


_FLOWS = st.lists(
    st.builds(Flow, st.integers(at(0, -9), at(0, 2)), st.integers(-50_000_00, 50_000_00)),
    max_size=60,
)


@given(_FLOWS, st.integers(0, 500_000_00), st.integers(at(0), at(0, 1) - 1))
def test_what_holds_for_every_book(flows, balance, now):
    found = outlook(flows, balance, now)
    assert found == outlook(flows[::-1], balance, now), "the order of the book does not matter"
    assert found.needed_today_cents >= 0
    assert found.top_up_cents % ROUND_CENTS == 0
    until = found.lasts_until_ms
    assert until is None or now <= until <= now + 2 * DAY_MS
    # Who buys what is suggested gets through the day, and not a thousand more than needed.
    bought = outlook(flows, balance + found.top_up_cents, now)
    assert bought.top_up_cents == 0
    assert bought.balance_cents < max(found.needed_today_cents, balance) + ROUND_CENTS
    if found.top_up_cents:
        assert found.is_low
    # More float never lasts shorter.
    more = outlook(flows, balance + 1_000_00, now).lasts_until_ms
    assert more is None or (until is not None and more >= until)


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        (at(15), "3 PM"),
        (at(15, 0, 14), "3 PM"),
        (at(15, 0, 16), "3:30 PM"),
        (at(0, 1), "12 AM tomorrow"),
        (at(12), "12 PM"),
        (at(9, 1, 30), "9:30 AM tomorrow"),
        (at(9, 2), "9 AM in 2 days"),
    ],
)
def test_a_moment_in_words(moment, said):
    assert clock(moment, at(9)) == said


def test_the_outlook_in_words():
    flows = ALWAYS + week(dict.fromkeys(range(9, 17), 10000))
    now = at(9)
    said = sentence(outlook(flows, 60_000_00, now), now)
    assert said == (
        "At this rate the float lasts until about 3 PM; "
        "Ksh20,000.00 more would carry you through today."
    )
    assert sentence(outlook(flows, 0, now), now).startswith("The float is used up; Ksh80,000.00")
    assert sentence(outlook([], 5, now), now) == (
        "At the usual rate the float lasts two days or more."
    )


@pytest.mark.parametrize(
    ("account", "order", "change", "counts"),
    [
        (AccountKind.AGENT, OrderKind.DEPOSIT, -5, True),
        (AccountKind.AGENT, OrderKind.WITHDRAW, 5, True),
        (AccountKind.AGENT, OrderKind.AIRTIME, -5, True),
        (AccountKind.AGENT, OrderKind.FLOAT_SALE, 5, False),
        (AccountKind.AGENT, OrderKind.BANK_DEPOSIT, -5, False),
        (AccountKind.FLOAT, OrderKind.FLOAT_SALE, -5, True),
        (AccountKind.FLOAT, OrderKind.FLOAT_SALE, 5, False),
        (AccountKind.FLOAT, OrderKind.TREASURY, -5, False),
    ],
)
def test_what_is_business_and_what_a_top_up(account, order, change, counts):
    assert is_business(account, order, change) is counts
