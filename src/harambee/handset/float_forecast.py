"""How long an agent's float lasts: a forecast that can be explained in one sentence.

An agent's days resemble each other hour by hour: deposits come in the morning, withdrawals in the
evening. So what an hour is expected to take out of the float is the average of what the same hour
took on the days before, up to seven of them, each day counting half as much as the day after it.
An hour that no earlier day covers is expected to be like the average hour so far. The forecast
walks from now on, hour by hour, and says when nothing is left.

Money is whole cents and time whole milliseconds throughout; hours and days are of UTC+3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from harambee.handset.orders import EAST_AFRICA_S
from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import AccountKind
from harambee.money.amounts import format_cents

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
DAYS: Final = 7
"""How many days back the forecast looks; the newest counts 2**6, the oldest once."""
HORIZON_HOURS: Final = 48
SOON_MS: Final = 2 * HOUR_MS
"""Float that ends sooner than this is low, even if the day ends sooner still."""
ROUND_CENTS: Final = 1_000_00
"""Suggestions are whole thousands of shillings."""

_AGENTS_BUSINESS: Final = frozenset({OrderKind.DEPOSIT, OrderKind.WITHDRAW, OrderKind.AIRTIME})

_ZONE_MS: Final = EAST_AFRICA_S * 1_000


class Flow(NamedTuple):
    """One movement of an agent's business: positive cents came into the float, negative left it."""

    time_ms: int
    cents: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be expected of a float."""

    balance_cents: int
    lasts_until_ms: int | None
    """When nothing is left, in milliseconds since 1970; None if it lasts two days at least."""
    needed_today_cents: int
    """The most that the rest of the day is expected to take out at once."""
    top_up_cents: int
    """What to buy, in whole thousands of shillings, to get through the day; 0 if there is enough."""
    is_low: bool
    """Whether to warn: it ends within two hours, or before the day does."""


def is_business(account: AccountKind, order: OrderKind, change_cents: int) -> bool:
    """Whether an order tells how fast an account's float is used, and not how it is topped up.

    For an agent that is what he does with customers; for a super-agent's float what it sells.
    """
    if account is AccountKind.FLOAT:
        return order is OrderKind.FLOAT_SALE and change_cents < 0
    return order in _AGENTS_BUSINESS


def outlook(flows: Sequence[Flow], balance_cents: int, now_ms: int) -> Outlook:
    """Forecast a float of `balance_cents` from the business so far, in any order.

    Flows that lie after now are left out; those of more than seven days back only say that the
    book reaches back so far.
    """
    expected = _Expected([flow for flow in flows if flow.time_ms <= now_ms], now_ms)
    day_ends_ms = now_ms + DAY_MS - (now_ms + _ZONE_MS) % DAY_MS
    left, taken, needed_today = balance_cents, 0, 0
    lasts_until = now_ms if balance_cents <= 0 else None
    at = now_ms
    for _ in range(HORIZON_HOURS):
        until = at + HOUR_MS - (at + _ZONE_MS) % HOUR_MS
        use = expected.use_cents(at, until)
        if lasts_until is None and use > left:
            lasts_until = at + (until - at) * left // use
        left, taken, at = left - use, taken + use, until
        if until <= day_ends_ms:
            needed_today = max(needed_today, taken)
    short = max(0, needed_today - balance_cents)
    soon = lasts_until is not None and lasts_until < max(day_ends_ms, now_ms + SOON_MS)
    return Outlook(
        balance_cents=balance_cents,
        lasts_until_ms=lasts_until,
        needed_today_cents=needed_today,
        top_up_cents=-(-short // ROUND_CENTS) * ROUND_CENTS,
        is_low=soon,
    )


class _Expected:
    """What each hour of the day is expected to take out of the float."""

    def __init__(self, flows: Sequence[Flow], now_ms: int) -> None:
        oldest_ms = now_ms - DAYS * DAY_MS
        begun_ms = min((flow.time_ms for flow in flows), default=now_ms)
        self._first_ms = max(begun_ms, oldest_ms)
        """From here on the book says all that happened."""
        self._now_ms = now_ms
        self._taken: dict[int, int] = {}
        """Net cents that left the float, by hour since 1970 of UTC+3."""
        for flow in flows:
            if flow.time_ms < oldest_ms:
                continue
            hour = _hour(flow.time_ms)
            self._taken[hour] = self._taken.get(hour, 0) - flow.cents
        self._hours = max(HOUR_MS, now_ms - self._first_ms)
        self._all = sum(self._taken.values())

    def use_cents(self, start_ms: int, end_ms: int) -> int:
        """Return the net cents that this part of one hour takes; below zero where it brings some."""
        hour = _hour(start_ms)
        weight, weighted = 0, 0
        for days_back in range(1, DAYS + 1):
            like = hour - 24 * days_back
            # Only hours that the book covers from beginning to end say something.
            if _begins_ms(like) >= self._first_ms and _begins_ms(like + 1) <= self._now_ms:
                counts = 1 << DAYS - days_back
                weight += counts
                weighted += counts * self._taken.get(like, 0)
        length = end_ms - start_ms
        if weight:
            return weighted * length // (weight * HOUR_MS)
        return self._all * length // self._hours


def _hour(time_ms: int) -> int:
    return (time_ms + _ZONE_MS) // HOUR_MS


def _begins_ms(hour: int) -> int:
    return hour * HOUR_MS - _ZONE_MS


def sentence(found: Outlook, now_ms: int) -> str:
    """Return the outlook in words, as an agent reads it."""
    until = found.lasts_until_ms
    if until is None:
        return "At the usual rate the float lasts two days or more."
    when = f"At this rate the float lasts until about {clock(until, now_ms)}"
    if until <= now_ms:
        when = "The float is used up"
    if not found.top_up_cents:
        return f"{when}."
    return f"{when}; {format_cents(found.top_up_cents)} more would carry you through today."


def clock(time_ms: int, now_ms: int) -> str:
    """Return a moment as people say it, to the half hour: "3 PM", "4:30 PM tomorrow"."""
    half = HOUR_MS // 2
    rounded = (time_ms + _ZONE_MS + half // 2) // half
    day, place = divmod(rounded, 48)
    hour, minutes = divmod(place, 2)
    shown = f"{(hour + 11) % 12 + 1}{':30' if minutes else ''} {'AM' if hour < 12 else 'PM'}"
    days = day - (now_ms + _ZONE_MS) // DAY_MS
    return shown + ("" if days == 0 else " tomorrow" if days == 1 else f" in {days} days")
