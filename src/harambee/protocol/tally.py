"""Which disputes to count again: those whose certificate a lane has come to see.

What is certified in a disputed slot becomes final by acknowledgements, and any block may bring one. To count
every such slot after every block would cost slots times authors for nothing, most of the time. So this keeps,
for each certified candidate, who votes for it and which lanes are known to see that; a new block is held
against all of them in one pass, and only where it sees a certificate that its lane did not see before is the
dispute counted again (`disputes.py`, which alone knows of fences).
"""

from collections.abc import Collection, Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from harambee.protocol.chains import NEVER, Chains, Heights, Rows, holds_quorum
from harambee.protocol.disputes import Candidate
from harambee.protocol.slot import Slot

ROWS_MORE: Final = 64
"""For at least how many more candidates room is made when there is none."""

Key = tuple[Slot, Candidate]


class Tally:
    """The certified candidates of disputed slots. Not thread-safe; belongs to one replica."""

    def __init__(self) -> None:
        """Nothing is certified."""
        self._row_of: dict[Slot, dict[Candidate, int]] = {}
        self._keys: list[Key | None] = []
        self._free: list[int] = []
        self._ballots: Rows = np.zeros((0, 0), np.int32)
        """(rows, lanes): the height at which a lane votes, NEVER where it does not."""
        self._seen: npt.NDArray[np.bool_] = np.zeros((0, 0), np.bool_)
        """(rows, lanes): whether the lane's newest block sees the certificate."""
        self._counted: Heights = np.zeros(0, np.int64)
        """Each lane's height when it was held against all rows."""

    def put(
        self, slot: Slot, candidate: Candidate, ballot: Rows, clocks: Rows, chains: Chains
    ) -> npt.NDArray[np.bool_]:
        """Keep a candidate as it is now, and return which lanes' newest blocks see its certificate, (lanes,).

        `ballot` is (lanes,), `clocks` are `Chains.clocks()`.
        """
        lanes = len(ballot)
        self._make_room(lanes)
        rows = self._row_of.setdefault(slot, {})
        row = rows.get(candidate)
        if row is None:
            row = rows[candidate] = self._free.pop()
            self._keys[row] = slot, candidate
        seen: npt.NDArray[np.bool_] = chains.acknowledging(clocks, ballot[np.newaxis])[0]
        self._ballots[row, :lanes] = ballot
        self._seen[row, :lanes] = seen
        return seen

    def keep(self, slot: Slot, candidates: Collection[Candidate]) -> None:
        """Forget the slot's other candidates: they cannot become final any more."""
        rows = self._row_of.get(slot, {})
        for candidate in [c for c in rows if c not in candidates]:
            self._let_go(rows.pop(candidate))

    def drop(self, slot: Slot) -> None:
        """The slot is decided."""
        for row in self._row_of.pop(slot, {}).values():
            self._let_go(row)

    def _let_go(self, row: int) -> None:
        self._keys[row] = None
        self._ballots[row] = NEVER
        self._seen[row] = False
        self._free.append(row)

    def stirred(self, chains: Chains, clocks: Rows) -> Iterable[Slot]:
        """The slots whose certificate a lane sees that did not before; `clocks` are `Chains.clocks()`."""
        lanes = len(chains.lanes)
        self._make_room(lanes)
        newer = np.flatnonzero(self._counted[:lanes] != chains.heads)
        self._counted[:lanes] = chains.heads
        if not self._row_of:
            return {}
        stirred = np.zeros(len(self._keys), np.bool_)
        _see(
            self._ballots,
            self._seen,
            clocks,
            lanes,
            newer,
            chains.author_of,
            chains.members,
            chains.quorum,
            stirred,
        )
        found = [self._keys[row] for row in np.flatnonzero(stirred).tolist()]
        return dict.fromkeys(key[0] for key in found if key is not None)

    def unseen_by(self, lane: int) -> list[Key]:
        """The certified candidates that a lane's newest block does not see."""
        if not self._row_of:
            return []
        rows = np.flatnonzero(~self._seen[:, lane]).tolist()
        return [key for key in (self._keys[row] for row in rows) if key is not None]

    def _make_room(self, lanes: int) -> None:
        rows, width = self._ballots.shape
        more_rows = 0 if self._free else max(ROWS_MORE, rows)
        if not more_rows and lanes <= width:
            return
        width = max(width, lanes)
        ballots = np.full((rows + more_rows, width), NEVER, np.int32)
        seen = np.zeros((rows + more_rows, width), np.bool_)
        counted = np.zeros(width, np.int64)
        ballots[:rows, : self._ballots.shape[1]] = self._ballots
        seen[:rows, : self._seen.shape[1]] = self._seen
        counted[: len(self._counted)] = self._counted
        self._ballots, self._seen, self._counted = ballots, seen, counted
        self._keys += [None] * more_rows
        self._free += range(rows, rows + more_rows)


@njit(cache=True, nogil=True)
def _see(
    ballots: Rows,
    seen: npt.NDArray[np.bool_],
    clocks: Rows,
    lanes: int,
    newer: Heights,
    author_of: Heights,
    members: int,
    quorum: int,
    stirred: npt.NDArray[np.bool_],
) -> None:
    counted = np.zeros(members, np.bool_)
    for k in range(ballots.shape[0]):
        for i in range(newer.shape[0]):
            lane = newer[i]
            if not seen[k, lane] and holds_quorum(
                ballots[k, :lanes], clocks[lane], author_of, members, quorum, counted
            ):
                seen[k, lane] = True
                stirred[k] = True
