"""How long things took, counted by bounds: a histogram, which sums up over time and over super-agents.

A percentile of each of four super-agents is no percentile of all of them, and one of the last minutes says
nothing of the night; counts can be added and subtracted.
"""

from bisect import bisect_left
from itertools import accumulate
from typing import Final, TypedDict

PAYMENT_BOUNDS_S: Final = (0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 6.0, 10.0, 30.0)
"""From one machine's tenth of a second to what a handset no longer waits for."""
COMMIT_BOUNDS_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
"""From a good disk's millisecond to a broken one's seconds."""


class DurationFacts(TypedDict):
    """What was counted, as the status has it."""

    up_to: list[tuple[float, int]]
    """(bound in seconds, how many took so long at most), ascending."""
    count: int
    """All of them, those above the highest bound too."""
    sum_s: float


class Durations:
    """Counts, by ascending bounds in seconds. Belongs to one thread."""

    def __init__(self, bounds_s: tuple[float, ...]) -> None:
        assert list(bounds_s) == sorted(set(bounds_s)), "bounds ascend"
        self._bounds_s = bounds_s
        self._counts = [0] * (len(bounds_s) + 1)
        """By the first bound that is not exceeded; the last is of what exceeds all."""
        self._sum_s = 0.0

    def add(self, took_s: float) -> None:
        """One more took so long."""
        self._counts[bisect_left(self._bounds_s, took_s)] += 1
        self._sum_s += took_s

    def facts(self) -> DurationFacts:
        """Return what has been counted so far."""
        *up_to, count = accumulate(self._counts)
        return DurationFacts(
            up_to=list(zip(self._bounds_s, up_to, strict=True)),
            count=count,
            sum_s=round(self._sum_s, 6),
        )
