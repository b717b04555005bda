"""Which account an alias names: an open-addressed table of 40-byte rows, for kernels."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.kernels import find_alias, move_aliases
from harambee.ledger.pages import Leaves, Section, leaves_of_parts
from harambee.ledger.records import ALIAS

FIRST_ROWS: Final = 1 << 10

# Python's own secret for hashing, new in each process: which aliases collide is nobody's to know.
# Nothing that leaves this table depends on it.
_KEY0: Final = np.uint64(hash(b"harambee alias table 0") & 0xFFFFFFFFFFFFFFFF)
_KEY1: Final = np.uint64(hash(b"harambee alias table 1") & 0xFFFFFFFFFFFFFFFF)


class Aliases:
    """Every claimed alias with its owner and its next slot."""

    key0: Final = _KEY0
    key1: Final = _KEY1

    def __init__(self) -> None:
        self.rows: npt.NDArray[np.void] = np.zeros(FIRST_ROWS, ALIAS)
        self._count = 0
        self._leaves: Leaves | None = None

    def __len__(self) -> int:
        return self._count

    def reserve(self, more: int) -> None:
        """Make room for `more` aliases, so that at most three rows in four are taken."""
        rows = len(self.rows)
        while 4 * (self._count + more) > 3 * rows:
            rows *= 2
        if rows > len(self.rows):
            grown = np.zeros(rows, ALIAS)
            move_aliases(self.rows, grown, self.key0, self.key1)
            self.rows = grown

    def changed(self, new: int) -> None:
        """Note that kernels wrote into `rows`, and how many aliases are new."""
        self._count += new
        self._leaves = None

    def get(self, alias: bytes) -> tuple[int, int] | None:
        """Return (owner, next slot), or None where nobody has claimed it."""
        row = self.rows[self._find(alias)]
        following = int(row["next_sequence"])
        return (int(row["owner"]), following) if following else None

    def put(self, alias: bytes, owner: int, following: int) -> None:
        """Enter an alias, or change it; `following` is its next slot, at least 1."""
        assert following > 0, "zero is what tells an empty row"
        self.reserve(1)
        row = self.rows[self._find(alias)]
        new = int(row["next_sequence"] == 0)
        row["alias"] = np.frombuffer(alias, np.uint8)
        row["owner"] = owner
        row["next_sequence"] = following
        self.changed(new)

    def following(self) -> dict[bytes, int]:
        """Return the next slot of every alias that is entered."""
        taken = self.rows[self.rows["next_sequence"] != 0]
        return {row["alias"].tobytes(): int(row["next_sequence"]) for row in taken}

    def pages(self) -> Iterator[tuple[int, bytes]]:
        """Yield (page number, content) of all of them, ascending (docs/wire.md section 18)."""
        taken = self.rows[self.rows["next_sequence"] != 0]
        words = np.ascontiguousarray(taken["alias"]).view(">u8").reshape(-1, 4)
        ascending = taken[np.lexsort(words.T[::-1])]
        numbers = page_numbers(ascending["alias"])
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        ends = np.append(starts, len(ascending))[1:]
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            yield int(numbers[start]), ascending[start:end].tobytes()

    def put_many(self, entries: npt.NDArray[np.void]) -> None:
        """Enter aliases that are not entered yet, an ALIAS array; each has a next slot of at least 1."""
        self.reserve(len(entries))
        move_aliases(np.array(entries, ALIAS), self.rows, self.key0, self.key1)
        self.changed(len(entries))

    def leaves(self) -> Leaves:
        """Return the leaves of their pages in the tree of all pages."""
        if self._leaves is None:
            self._leaves = leaves_of_parts(Section.ALIASES, list(self.pages()))
        return self._leaves

    def _find(self, alias: bytes) -> int:
        assert len(alias) == 32, "an alias is a hash of 32 bytes"
        return int(find_alias(self.rows, np.frombuffer(alias, np.uint8), self.key0, self.key1))


def page_numbers(aliases: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return on which page each of (k, 32) aliases stands, (k,): its first two bytes, big-endian."""
    return aliases[:, 0].astype(np.int64) << 8 | aliases[:, 1]
