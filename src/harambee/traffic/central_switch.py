"""The other system: one switch in the middle, as a queue.

While it is up it takes so many payments a minute, in the order in which they came. While it is down every
payment fails at once. Of the people whose payment failed, some share comes again in the minute in which it
is back, all of them ahead of whoever pays for the first time then; the others have paid in cash, walked
home or gone without, and do not come again. A switch that is back is whole at once, and loses nothing of
what it had taken: kinder than most.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from harambee.traffic.sampled_day import MINUTES, Outage, SampledOrder

PAYMENTS_A_SECOND: Final = 6_000
"""What the country's switch carries in service, in 2025; it was designed for twice as many."""
SECONDS_A_MINUTE: Final = 60
AGAIN_PERCENT: Final = 50
"""How many of a hundred come again: nobody has published it, so it is an option of the command."""


@dataclass(slots=True)
class _Queued:
    """What still waits of an order."""

    came: int
    cents: int
    payments: int


@dataclass(slots=True)
class CentralDay:
    """What came of a day's orders, in whole cents."""

    paid: list[int] = field(default_factory=lambda: [0] * MINUTES)
    """Cents that were paid in each minute of the day."""
    paid_after_midnight_cents: int = 0
    delayed_cents: int = 0
    """Cents that were paid in a later minute than somebody wanted to pay them."""
    given_up_cents: int = 0
    silent_minutes: int = 0
    """Minutes in which somebody wanted to pay, and nobody could."""
    caught_up_at: int = 0
    """The minute of the day from which nobody has to wait any longer; 0 if nobody ever had to."""


def central_day(
    orders: Sequence[SampledOrder],
    outage: Outage,
    again_percent: int = AGAIN_PERCENT,
    payments_a_second: int = PAYMENTS_A_SECOND,
) -> CentralDay:
    """Return what a switch that is down for a while makes of a day's orders."""
    assert 0 <= again_percent <= 100
    assert payments_a_second > 0, "a switch that takes nothing never catches up"
    day = CentralDay()
    arriving = {order.minute: order for order in orders}
    queue: deque[_Queued] = deque()
    failed: list[_Queued] = []
    minute = 0
    while minute < MINUTES or queue or failed:
        order = arriving.get(minute)
        if outage.covers(minute):
            if order is not None:
                again = order.value_cents * again_percent // 100
                day.given_up_cents += order.value_cents - again
                failed.append(_Queued(minute, again, order.payments * again_percent // 100))
                day.silent_minutes += order.minutes
        else:
            queue.extend(failed)
            failed.clear()
            if order is not None:
                queue.append(_Queued(minute, order.value_cents, order.payments))
            width = 1 if order is None else order.minutes
            _serve(day, queue, minute, width * payments_a_second * SECONDS_A_MINUTE)
        minute += 1 if order is None else order.minutes
    return day


def _serve(day: CentralDay, queue: deque[_Queued], minute: int, room: int) -> None:
    """Take from the head of the queue what one minute has room for."""
    while queue:
        head = queue[0]
        taken = min(room, head.payments)
        # The last payments of an order take all of its cents that are left.
        cents = head.cents if taken == head.payments else head.cents * taken // head.payments
        if minute < MINUTES:
            day.paid[minute] += cents
        else:
            day.paid_after_midnight_cents += cents
        if cents and minute > head.came:
            day.delayed_cents += cents
            day.caught_up_at = minute + 1
        head.cents -= cents
        head.payments -= taken
        room -= taken
        if head.payments:
            break
        queue.popleft()
