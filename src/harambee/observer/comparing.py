"""What a door says of its ledger, held against the observer's, where both speak of the same blocks."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.pages import PAGE_ACCOUNTS, Section
from harambee.observer.alarms import Alarms
from harambee.observer.following import Following, Numbers
from harambee.observer.sources import LedgerView, Source

SAMPLE: Final = 64
"""So many accounts are asked for at each door in each look."""
SAMPLE_PAGES: Final = 8
DIFFERENT_MAX: Final = 3
"""A door whose digest differs at equal heights so often in a row lies; an honest one counts a disputed slot a
turn later than others now and then."""
MOVING: Final = ("balance", "debited", "credited", "next_sequence")
"""What a door is held to, of an account. Both totals only ever grow."""


@dataclass(slots=True)
class Seen:
    """What an observer knows of one door."""

    heights: tuple[int, ...] = ()
    """How far it said it was, at the last look."""
    answers: bool = True
    agreed: int = 0
    """How often its digest was the observer's."""
    differed: int = 0
    """How often it was another one, in a row."""
    distrusted: bool = False
    """Whether it served a block or a page that does not check: it is asked for none again."""
    told: "Told | None" = None
    """What it said of some accounts when it agreed on the whole; compared at the next look."""


@dataclass(frozen=True, slots=True)
class Told:
    """Accounts as a door told them, and as they were here when it was asked."""

    numbers: npt.NDArray[np.uint32]
    theirs: npt.NDArray[np.void]
    here: npt.NDArray[np.void]


@dataclass(slots=True)
class Comparing:
    """Compares, and rings."""

    following: Following
    alarms: Alarms
    _dice: np.random.Generator = field(default_factory=np.random.default_rng)
    """A liar shall not know which accounts are asked for."""

    async def compare(
        self, source: Source, seen: Seen, view: LedgerView, mine: Numbers, *, same_chains: bool
    ) -> None:
        """Hold a door's view against what the same blocks make here. DoorError.

        `same_chains` says that its heights are those of the chains that are followed here.
        """
        if view.total_cents:
            what = f"says that all balances add up to {view.total_cents} cents, not to zero"
            self._ring("total", source, what)
        if seen.told is not None:
            self._compare_told(source, seen.told)
            seen.told = None
        if not same_chains or tuple(view.heads) != mine.heights or self.following.is_forked:
            return  # it is behind, or ahead, or heights do not say which branch is meant
        if (view.digest, view.accounts) == (mine.digest.hex(), mine.accounts):
            seen.differed = 0
            seen.agreed += 1
            seen.told = await self._asked(source)
            return
        seen.differed += 1
        if seen.differed >= DIFFERENT_MAX:
            what = (
                f"says that its ledger is {view.digest[:12]}, of {view.accounts} accounts, "
                f"and its blocks make {mine.digest.hex()[:12]}, of {mine.accounts}"
            )
            self._ring("digest", source, what)

    async def _asked(self, source: Source) -> Told:
        """Ask a door for some accounts; they may be moving meanwhile."""
        ledger = self.following.ledger
        leaves = ledger.leaves()
        pages = leaves["page"][leaves["section"] == Section.ACCOUNTS].astype(np.int64)
        some = np.unique(self._dice.choice(pages, SAMPLE_PAGES))
        rows = (some[:, np.newaxis] * PAGE_ACCOUNTS + np.arange(PAGE_ACCOUNTS)).reshape(-1)
        known = rows[ledger.accounts["flags"][rows] != 0]
        numbers = np.unique(self._dice.choice(known, SAMPLE)).astype(np.uint32)
        here = ledger.records(numbers)
        return Told(numbers, await source.records(numbers.tolist()), here)

    def _compare_told(self, source: Source, told: Told) -> None:
        """What did not move here before the door was asked and until now, it has to say as it is."""
        now = self.following.ledger.records(told.numbers)
        still = np.logical_and.reduce([now[name] == told.here[name] for name in MOVING])
        differs = np.logical_or.reduce([now[name] != told.theirs[name] for name in MOVING])
        for at in np.flatnonzero(differs & still)[:1].tolist():
            what = f"tells another balance of account {told.numbers[at]} than the blocks make"
            self._ring("balance", source, what)

    def _ring(self, kind: str, source: Source, what: str) -> None:
        self.alarms.ring(kind, source.index, source.name, f"{source.name} {what}.")
