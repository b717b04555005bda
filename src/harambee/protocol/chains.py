"""Who has seen, voted for, certified and acknowledged what: finality as arithmetic on heights.

Every author's blocks form one chain, so "everything of author c up to height h" is one number, and what a
block knows is three rows of n numbers:

    clock[c]      the highest block of c in this block's past, itself included
    voted[c]      the highest block of c that this block's *author* has referenced: it votes for all below
    certified[c]  the highest block of c for which q distinct authors' votes are in this block's past

A block acknowledges what is certified in its own past, so `certified` is also what it acknowledges; and a
block of c is **final** once q distinct authors' newest blocks acknowledge it. No order is looked at: the
cost of agreement does not grow with the number of payments. Orders that somebody refused, or that lie in
several blocks, are the exception, and `contests.py` counts them one by one.

(PROTOCOL section 2; the votes inside blocks are Mysticeti's, arXiv 2310.14821, the two phases are Sui
Lutris's, arXiv 2310.18042.)

Rows are kept for a window of heights for each author. Where a count needs a row that is no longer kept,
it takes nothing for it: it then knows less than is true, which delays finality and never makes any. Its
author's next blocks reference newer heads, and are counted in full.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

CLOCK: Final = 0
VOTED: Final = 1
CERTIFIED: Final = 2

WINDOW_MAX: Final = 1 << 16
WINDOW_MIN: Final = 1 << 10
ROW_BUDGET: Final = 1 << 26
"""About how many bytes the rows of a whole network may take; decides the window."""

Heights = npt.NDArray[np.int64]


def window_for(members: int) -> int:
    """How many heights of each author are kept: a power of two, fewer the larger the committee."""
    row_bytes = 3 * members * np.dtype(np.int64).itemsize + 32
    window = WINDOW_MAX
    while window > WINDOW_MIN and window * members * row_bytes > ROW_BUDGET:
        window >>= 1
    return window


class Chains:
    """The rows of all authors' recent blocks. Not thread-safe; belongs to one replica."""

    def __init__(self, members: int, quorum: int, window: int | None = None) -> None:
        """`quorum` is q; `window` a power of two, by default what `window_for` says."""
        self.members = members
        self.quorum = quorum
        self.window = window or window_for(members)
        assert self.window & (self.window - 1) == 0, "a power of two, so that a mask finds the row"
        self.heads: Heights = np.zeros(members, np.int64)
        """Highest block held of each author; 0 for none."""
        self.final: Heights = np.zeros(members, np.int64)
        """Highest block of each author that is final."""
        self._rows: npt.NDArray[np.int64] = np.zeros((members, self.window, 3, members), np.int64)
        self._digests: npt.NDArray[np.uint8] = np.zeros((members, self.window, 32), np.uint8)

    def digest_at(self, author: int, height: int) -> bytes | None:
        """The digest of a held block, or None if it is not held or below the window."""
        if not 0 < height <= self.heads[author] or self.heads[author] - height >= self.window:
            return None
        name: bytes = self._digests[author, height & (self.window - 1)].tobytes()
        return name

    def row(self, author: int, height: int) -> npt.NDArray[np.int64]:
        """The three rows (3, n) of a held block inside the window; a view."""
        assert 0 < height <= self.heads[author]
        row: npt.NDArray[np.int64] = self._rows[author, height & (self.window - 1)]
        return row

    def head_row(self, author: int) -> npt.NDArray[np.int64]:
        """The rows (3, n) of the author's newest block; zeros if there is none."""
        height = int(self.heads[author])
        return self.row(author, height) if height else np.zeros((3, self.members), np.int64)

    def extend(
        self, author: int, digest: bytes, references: tuple[tuple[int, int, bytes], ...]
    ) -> None:
        """Add the author's next block, whose references are all held and extend its earlier ones."""
        height = int(self.heads[author]) + 1
        self._digests[author, height & (self.window - 1)] = np.frombuffer(digest, np.uint8)
        count = len(references)
        authors = np.fromiter((a for a, _, _ in references), np.int64, count)
        heights = np.fromiter((h for _, h, _ in references), np.int64, count)
        _extend(
            self._rows,
            self.heads,
            self.final,
            self.window - 1,
            self.quorum,
            author,
            authors,
            heights,
        )

    def certified_if_referenced(self) -> Heights:
        """What a block would certify, per author, that referenced every head held now."""
        return _certified_now(self._rows, self.heads, self.window - 1, self.quorum)

    def supporters(
        self, occurrences: npt.NDArray[np.int64], rejected: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.bool_], bool]:
        """Count one contested order over all its occurrences.

        `occurrences` (k, 2) are (author, height); `rejected` (k, n) says who refused it there. Returns who
        acknowledges it (n,), and whether the votes in *all* held blocks certify it already.
        """
        return _supporters(
            self._rows, self.heads, self.window - 1, self.quorum, occurrences, rejected
        )


@njit(cache=True, nogil=True)
def _quorum_height(column: npt.NDArray[np.int64], quorum: int) -> int:
    """The q-th largest: the height that at least q of the authors have reached. Sorts in place."""
    column.sort()
    reached: int = column[column.shape[0] - quorum]
    return reached


@njit(cache=True, nogil=True)
def _extend(
    rows: npt.NDArray[np.int64],
    heads: Heights,
    final: Heights,
    mask: int,
    quorum: int,
    author: int,
    authors: npt.NDArray[np.int64],
    heights: npt.NDArray[np.int64],
) -> None:
    members = heads.shape[0]
    height = heads[author] + 1
    row = rows[author, height & mask]
    if height > 1:
        row[:] = rows[author, (height - 1) & mask]
    else:
        row[:] = 0
    for k in range(authors.shape[0]):
        past = rows[authors[k], heights[k] & mask, 0]
        for c in range(members):
            row[0, c] = max(row[0, c], past[c])
        row[1, authors[k]] = heights[k]
    row[0, author] = height
    row[1, author] = height
    heads[author] = height
    column = np.empty(members, np.int64)
    for c in range(members):
        for a in range(members):
            seen = row[0, a]
            kept = seen > 0 and heads[a] - seen <= mask
            column[a] = rows[a, seen & mask, 1, c] if kept else 0
        row[2, c] = max(row[2, c], _quorum_height(column, quorum))
    for c in range(members):
        for a in range(members):
            column[a] = rows[a, heads[a] & mask, 2, c] if heads[a] > 0 else 0
        final[c] = max(final[c], _quorum_height(column, quorum))


@njit(cache=True, nogil=True)
def _certified_now(rows: npt.NDArray[np.int64], heads: Heights, mask: int, quorum: int) -> Heights:
    members = heads.shape[0]
    certified = np.zeros(members, np.int64)
    column = np.empty(members, np.int64)
    for c in range(members):
        for a in range(members):
            column[a] = rows[a, heads[a] & mask, 1, c] if heads[a] > 0 else 0
        certified[c] = _quorum_height(column, quorum)
    return certified


@njit(cache=True, nogil=True)
def _supporters(
    rows: npt.NDArray[np.int64],
    heads: Heights,
    mask: int,
    quorum: int,
    occurrences: npt.NDArray[np.int64],
    rejected: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.bool_], bool]:
    members = heads.shape[0]
    acknowledges = np.zeros(members, np.bool_)
    certified = False
    for viewer in range(members + 1):
        # The last viewer is everybody together: what a block would see that referenced every head.
        if viewer < members and heads[viewer] == 0:
            continue
        votes = 0
        for voter in range(members):
            if viewer < members:  # noqa: SIM108 - two lines for two cases
                seen = rows[viewer, heads[viewer] & mask, 0, voter]
            else:
                seen = heads[voter]
            if seen == 0 or heads[voter] - seen > mask:
                continue
            for k in range(occurrences.shape[0]):
                reach = rows[voter, seen & mask, 1, occurrences[k, 0]]
                if reach >= occurrences[k, 1] and not rejected[k, voter]:
                    votes += 1
                    break
        if votes >= quorum:
            if viewer < members:
                acknowledges[viewer] = True
            else:
                certified = True
    return acknowledges, certified
