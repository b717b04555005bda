"""When the payments of a standing order are due: which one, on which day.

A day is one of East Africa's, counted from 1970. Each period has one payment, numbered from 1; what falls
on a day that a month has not got is due on that month's last.
"""

import calendar
import datetime as dt
from typing import Final

import msgspec

DAYS_MAX: Final = 40 * 366
EAST_AFRICA_S: Final = 3 * 3_600
DAY_S: Final = 86_400
ONCE, DAILY, WEEKLY = 1, 2, 3
MONTHS_OF: Final = {4: 1, 5: 2, 6: 3, 7: 6, 8: 12}
"""Monthly, every two months, quarterly, every half year and every year."""
WORDS: Final = {
    ONCE: "once",
    DAILY: "every day",
    WEEKLY: "every week",
    4: "every month",
    5: "every two months",
    6: "every three months",
    7: "every six months",
    8: "every year",
}
_EPOCH: Final = dt.date(1970, 1, 1)
DAY_MAX: Final = (dt.date(2200, 1, 1) - _EPOCH).days


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often, from when and until when: what a customer agrees to besides amount and payee."""

    kind: str
    """Of the requests by which it is paid: "pay_bill" or "buy_goods"."""
    frequency: int
    """1 to 8, as WORDS has them."""
    first_day: int
    last_day: int

    @property
    def are_possible(self) -> bool:
        """Whether somebody can agree to them."""
        return (
            self.kind in ("pay_bill", "buy_goods")
            and self.frequency in WORDS
            and 0 <= self.first_day <= self.last_day < DAY_MAX
            and self.last_day - self.first_day <= DAYS_MAX
        )

    def number_on(self, day: int) -> int:
        """Return the number of the payment that is due in the period of this day; 0 where none is."""
        if not self.first_day <= day <= self.last_day:
            return 0
        since = day - self.first_day
        if self.frequency == ONCE:
            return 1
        if self.frequency == DAILY:
            return since + 1
        if self.frequency == WEEKLY:
            return since // 7 + 1
        first, now = date_of(self.first_day), date_of(day)
        months = (now.year - first.year) * 12 + now.month - first.month
        due_on = min(first.day, calendar.monthrange(now.year, now.month)[1])
        if now.day < due_on:
            months -= 1
        return months // MONTHS_OF[self.frequency] + 1

    @property
    def words(self) -> str:
        """The terms for people."""
        return f"{WORDS[self.frequency]} from {date_of(self.first_day)} to {date_of(self.last_day)}"


def day_of(time_ms: int) -> int:
    """Return East Africa's day of a time in milliseconds since 1970 UTC."""
    return (time_ms // 1_000 + EAST_AFRICA_S) // DAY_S


def date_of(day: int) -> dt.date:
    """Return the date of a day."""
    return _EPOCH + dt.timedelta(days=day)


def number_of(date: dt.date) -> int:
    """Return the day of a date."""
    return (date - _EPOCH).days
