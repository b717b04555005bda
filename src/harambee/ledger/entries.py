"""The log of statement entries: one for each applied order, chained through those it touched.

It is derived: a fold over the journal writes it anew, so it is never synced and every start begins
with an empty one. In a file it costs the memory of its newest pages only.
"""

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.records import ENTRY

CHUNK_ENTRIES: Final = 1 << 20


class EntryLog:
    """An append-only ENTRY array, in memory or in a file; kernels write at its end."""

    def __init__(self, path: Path | None = None) -> None:
        """Begin an empty log; a file at `path` is written over."""
        self.count = 0
        self._path = path
        self._rows: npt.NDArray[np.void] = np.zeros(0, ENTRY)
        if path is not None:
            path.write_bytes(b"")

    @property
    def written(self) -> npt.NDArray[np.void]:
        """The entries so far, read-only; not a copy."""
        view = self._rows[: self.count]
        view.setflags(write=False)
        return view

    def room_for(self, more: int) -> npt.NDArray[np.void]:
        """Return all rows, of which `count` are written and at least `more` are free."""
        needed = self.count + more
        if needed > len(self._rows):
            chunks = -(-needed // CHUNK_ENTRIES)
            if self._path is not None:
                self._rows = _mapped(self._path, chunks * CHUNK_ENTRIES)
            else:
                # Twice as large, so that copying costs each entry about as much as writing it.
                grown = np.zeros(max(chunks * CHUNK_ENTRIES, 2 * len(self._rows)), ENTRY)
                grown[: self.count] = self._rows[: self.count]
                self._rows = grown
        return self._rows


def _mapped(path: Path, entries: int) -> npt.NDArray[np.void]:
    """Map the file, made longer without writing; what is in it stays."""
    mapped = np.memmap(path, ENTRY, "r+", shape=(entries,))
    return mapped.view(np.ndarray)
