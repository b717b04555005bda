"""The load's own log: every order that is offered, and what the network said of it and when.

Nothing here asks the network afterwards. `verdict` compares this log with what every super-agent
holds: an order that was told final and is then missing somewhere is lost.

Row i < n is order i; row n + i is the cancel that closes its slot if it is refused. The rows are
the wire bytes, filled in as they are signed, so the log holds exactly what was sent.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ORDER

Rows = npt.NDArray[np.int64]
Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the orders of a book."""

    offered: int
    final: int
    rejected: int
    unanswered: int
    cancelled: int
    reasons: dict[str, int]
    seconds: float
    final_per_second: float
    latency_ms_p50: float
    latency_ms_p99: float

    def as_json(self) -> dict[str, Any]:
        """The fields, for programs."""
        return {
            "offered": self.offered,
            "final": self.final,
            "rejected": self.rejected,
            "unanswered": self.unanswered,
            "cancelled": self.cancelled,
            "reasons": self.reasons,
            "seconds": round(self.seconds, 3),
            "final_per_second": round(self.final_per_second, 1),
            "latency_ms_p50": round(self.latency_ms_p50, 1),
            "latency_ms_p99": round(self.latency_ms_p99, 1),
        }


class Book:
    """All orders of one load. Times are seconds since the load began; NaN: not yet."""

    def __init__(self, orders: npt.NDArray[np.void]) -> None:
        """Take n orders without sequence, day and signature, in the order of offering."""
        assert orders.dtype == ORDER
        self.count = len(orders)
        # Zeros that are never touched take no memory, so the second half is nearly free.
        self.orders = np.zeros(2 * self.count, ORDER)
        self.orders[: self.count] = orders
        self.signed = np.zeros(2 * self.count, np.bool_)
        self.due_at: Seconds = np.full(self.count, np.nan)
        """When an open loop wanted it sent; its latency counts from then."""
        self.sent_at: Seconds = np.full(2 * self.count, np.nan)
        """When it was first sent."""
        self.told_at: Seconds = np.full(2 * self.count, np.nan)
        """When a super-agent said that it is final."""
        self.reasons = np.zeros(self.count, np.uint8)
        """The Outcome of the refusal that led to a cancel."""
        self.overtaken = np.zeros(self.count, np.bool_)
        """An order that is not ours became final in its slot, or its slot was closed without one."""

    def draw_cancels(self, rows: Rows) -> Rows:
        """Write the cancels of these orders, not signed yet; returns their rows."""
        cancels = rows + self.count
        drawn = np.zeros(len(rows), ORDER)
        for field in ("payer", "sequence", "tariff"):
            drawn[field] = self.orders[field][rows]
        drawn["payee"] = drawn["payer"]
        drawn["kind"] = OrderKind.CANCEL
        self.orders[cancels] = drawn
        self.signed[cancels] = False
        return cancels

    @property
    def told_final(self) -> Rows:
        """The rows, orders and cancels, that were told final."""
        return np.flatnonzero(~np.isnan(self.told_at))

    def finals_between(self, start: float, stop: float) -> int:
        """How many payments were told final in that time."""
        told = self.told_at[: self.count]
        return int(np.count_nonzero((told >= start) & (told < stop)))

    def latencies_ms(self) -> Seconds:
        """The latency of every final payment: from when it was due, or else first sent."""
        told, sent = self.told_at[: self.count], self.sent_at[: self.count]
        since = np.where(np.isnan(self.due_at), sent, self.due_at)
        return (told - since)[~np.isnan(told)] * 1000

    @property
    def is_final(self) -> npt.NDArray[np.bool_]:
        """For each order, whether it was told final."""
        return ~np.isnan(self.told_at[: self.count])

    @property
    def is_refused(self) -> npt.NDArray[np.bool_]:
        """For each order, whether its slot was closed by its cancel, or without it."""
        return ~np.isnan(self.told_at[self.count :]) | self.overtaken

    def tally(self) -> Tally:
        """Add it all up."""
        return tally_of([self], float(np.nanmax(self.told_at, initial=0.0)))


def tally_of(books: Sequence[Book], seconds: float) -> Tally:
    """Add up the books of one load that took so long."""
    final = sum(int(np.count_nonzero(book.is_final)) for book in books)
    rejected = sum(int(np.count_nonzero(book.is_refused)) for book in books)
    offered = sum(int(np.count_nonzero(~np.isnan(book.sent_at[: book.count]))) for book in books)
    reasons: Counter[str] = Counter()
    for book in books:
        codes, times = np.unique(book.reasons[book.is_refused], return_counts=True)
        for code, n in zip(codes.tolist(), times.tolist(), strict=True):
            reasons[Outcome(code).name] += n
    latencies = np.concatenate([book.latencies_ms() for book in books] or [np.empty(0)])
    p50, p99 = np.percentile(latencies, [50, 99]) if len(latencies) else (0.0, 0.0)
    return Tally(
        offered=offered,
        final=final,
        rejected=rejected,
        unanswered=offered - final - rejected,
        cancelled=sum(int(np.count_nonzero(~np.isnan(b.told_at[b.count :]))) for b in books),
        reasons=dict(reasons),
        seconds=seconds,
        final_per_second=final / seconds if seconds else 0.0,
        latency_ms_p50=float(p50),
        latency_ms_p99=float(p99),
    )
