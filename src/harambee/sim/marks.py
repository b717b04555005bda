"""Rare paths that a run has taken: so that one knows which a thousand seeds have never reached."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

SOMETIMES: Final = (
    "a block was lost on the way",
    "a block arrived twice",
    "a clock was set apart",
    "a crash lost what was not durable",
    "a disk forgot what it had promised",
    "a disk was full",
    "a disk was wiped",
    "a link was cut",
    "a payer signed two orders for one slot",
    "a refused order was cancelled",
    "a slot was skipped",
    "a slot went to view 1",
    "a slot went to view 2 or higher",
    "a super-agent came back under a new incarnation",
    "a super-agent was convicted",
    "an order was brought to another door",
    "both branches of a fork were held",
)


class Marks:
    """How often each rare path was taken."""

    def __init__(self) -> None:
        self._hits: Counter[str] = Counter()

    def hit(self, name: str, times: int = 1) -> None:
        """Note that the path was taken."""
        assert name in SOMETIMES, name
        self._hits[name] += times

    def as_json(self) -> dict[str, int]:
        """Return how often, for every path."""
        return {name: self._hits[name] for name in SOMETIMES}


def never(runs: Iterable[dict[str, int]]) -> list[str]:
    """Return the paths that none of these runs has taken."""
    total: Counter[str] = Counter()
    for run in runs:
        total.update(run)
    return [name for name in SOMETIMES if not total[name]]
