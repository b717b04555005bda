"""A day of a country's payments, as a few orders that stand for all of them.

How much is paid in which hour is that of a real month (`profiles/hours.csv`); how much in the whole day,
and by how many payments, is the country's. Each order stands for some minutes of the day: for their value
and their payments, and all of them together for the day's, to the cent. Both systems that `harambee outage`
compares are given these same orders.
"""

import csv
import random
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from harambee.traffic.profile import CENTS_PER_UNIT, ProfileError, shipped

HOURS: Final = 24
MINUTES_AN_HOUR: Final = 60
MINUTES: Final = HOURS * MINUTES_AN_HOUR
CENTS_A_DAY: Final = 16_300_000_000_00
"""What the country's mobile money carries in a day, at Sh1.5 trillion in three months."""
PAYMENTS_A_DAY: Final = 100_000_000
SPREAD: Final = (50, 150)
"""An order carries from half to one and a half times the mean payment of its hour, in hundredths of it."""


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of the day, in the whole month: how many payments, for how many units of the file."""

    count: int
    units: int


@dataclass(frozen=True, slots=True)
class SampledOrder:
    """An order that is really signed, and what it stands for."""

    minute: int
    """Of the day, in which it is brought; it stands for this one and those up to the next order."""
    minutes: int
    amount_cents: int
    """What it says that it pays."""
    value_cents: int
    """What is paid in the minutes for which it stands."""
    payments: int
    """How many payments that is."""


@dataclass(frozen=True, slots=True)
class Outage:
    """From when to when it lasts, in minutes of the day; the end is no longer part of it."""

    starts: int
    ends: int

    def __post_init__(self) -> None:
        assert 0 <= self.starts < self.ends <= MINUTES, "an outage is a part of one day"

    @property
    def minutes(self) -> int:
        """How long it lasts."""
        return self.ends - self.starts

    def covers(self, minute: int) -> bool:
        """Whether it lasts in a minute."""
        return self.starts <= minute < self.ends


def read_hours() -> tuple[Hour, ...]:
    """Return the hours of the day of the month that ships; ProfileError."""
    rows = list(csv.DictReader(shipped("hours.csv")))
    hours = tuple(Hour(int(row["count"]), int(row["sum"])) for row in rows)
    if [int(row["hour"]) for row in rows] != list(range(HOURS)):
        raise ProfileError("the profile of a day has not got its twenty-four hours in order")
    return hours


def sample_day(hours: tuple[Hour, ...], seed: int, minutes_each: int = 1) -> list[SampledOrder]:
    """Return the orders of a day, one for so many minutes each (a part of an hour), by the clock."""
    assert len(hours) == HOURS
    assert MINUTES_AN_HOUR % minutes_each == 0, "an order stands for minutes of one hour"
    dice = random.Random(seed)
    values = _shared_out(CENTS_A_DAY, [hour.units for hour in hours], minutes_each)
    payments = _shared_out(PAYMENTS_A_DAY, [hour.count for hour in hours], minutes_each)
    orders = []
    for row, (value, count) in enumerate(zip(values, payments, strict=True)):
        hour = hours[row * minutes_each // MINUTES_AN_HOUR]
        mean_cents = hour.units * CENTS_PER_UNIT // hour.count
        amount = mean_cents * dice.randint(*SPREAD) // 100
        orders.append(SampledOrder(row * minutes_each, minutes_each, amount, value, count))
    return orders


def _shared_out(total: int, weights: list[int], minutes_each: int) -> list[int]:
    """Return `total` shared out by the hours' weights, an hour's evenly; the shares add up to it exactly."""
    times = MINUTES_AN_HOUR // minutes_each
    until = list(accumulate(weight for weight in weights for _ in range(times)))
    shares = [total * so_far // until[-1] for so_far in until]
    return [share - before for share, before in zip(shares, [0, *shares], strict=False)]
