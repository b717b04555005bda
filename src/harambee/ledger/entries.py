"""The log of statement entries: one for each applied order, chained through those it touched.

It is derived: a fold over the journal writes it anew, so it is never on disk and every start begins
with an empty one.
"""

import mmap
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.records import ENTRY

RESERVED_ENTRIES: Final = 1 << 28
"""Address space for so many at once, 13 GB of it; memory is taken page by page, as they are written."""
_MAP_NORESERVE: Final = 0x4000
"""Linux: promise no memory for the mapping. Python names it from 3.13 on."""


class EntryLog:
    """An append-only ENTRY array in memory; kernels write at its end."""

    def __init__(self) -> None:
        self.count = 0
        self._rows = _reserved(RESERVED_ENTRIES)

    @property
    def written(self) -> npt.NDArray[np.void]:
        """The entries so far, read-only; not a copy."""
        view = self._rows[: self.count]
        view.setflags(write=False)
        return view

    def room_for(self, more: int) -> npt.NDArray[np.void]:
        """Return all rows, of which `count` are written and at least `more` are free."""
        if self.count + more > len(self._rows):
            grown = _reserved(2 * len(self._rows))
            grown[: self.count] = self._rows[: self.count]
            self._rows = grown
        return self._rows


def _reserved(entries: int) -> npt.NDArray[np.void]:
    """Return rows of zeros that take no memory until they are written."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    memory = mmap.mmap(-1, entries * ENTRY.itemsize, flags=flags)
    # Large pages: fewer faults while it is written, fewer misses while it is walked.
    memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, ENTRY)
