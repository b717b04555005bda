"""The log of statement entries: one for each applied order, chained through those it touched.

It is derived: a fold over the journal writes it anew, so it is never on disk and every start begins
with an empty one.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.memory import expect_dense, reserved
from harambee.ledger.records import ENTRY

RESERVED_ENTRIES: Final = 1 << 28
"""Address space for so many at once, 13 GB of it; memory is taken page by page, as they are written."""

FEW_ENTRIES: Final = 1 << 15
"""Up to here the log takes small pages of memory, 4 kB each, and then large ones."""


class EntryLog:
    """An append-only ENTRY array in memory; kernels write at its end."""

    def __init__(self) -> None:
        self.count = 0
        self._rows = reserved(RESERVED_ENTRIES, ENTRY)
        self._large_from = FEW_ENTRIES

    @property
    def written(self) -> npt.NDArray[np.void]:
        """The entries so far, read-only; not a copy."""
        view = self._rows[: self.count]
        view.setflags(write=False)
        return view

    def room_for(self, more: int) -> npt.NDArray[np.void]:
        """Return all rows, of which `count` are written and at least `more` are free."""
        if self.count >= self._large_from:
            expect_dense(self._rows, self.count, len(self._rows) - self.count)
            self._large_from = len(self._rows)
        if self.count + more > len(self._rows):
            grown = reserved(2 * len(self._rows), ENTRY)
            grown[: self.count] = self._rows[: self.count]
            self._rows = grown
        return self._rows
