"""Where the orders of kept blocks lie, found by slot: arrays over all of them, one pass for each question.

A slot becomes disputed long after its orders came, and one order may lie in as many blocks as there are
doors. To look through every kept block then would cost more than all the counting.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from harambee.crypto.hashing import digest
from harambee.ledger.kinds import IS_ELSEWHERE
from harambee.ledger.memory import reserved
from harambee.protocol.disputes import Place
from harambee.protocol.slot import Slot

Orders = npt.NDArray[np.void]

KEPT: Final = np.dtype(
    [
        ("whose", "<u8"),
        ("sequence", "<u4"),
        ("elsewhere", "?"),
        ("lane", "<i4"),
        ("height", "<i4"),
        ("row", "<i4"),
    ],
    align=True,
)
"""`whose` the slot is: the payer's number; `elsewhere`, where it is in no payer's, some bytes of a digest."""
ROOM: Final = 4_096
MARK_BITS: Final = 22
"""A mark is so many bits of a slot: among 100,000 kept orders one in forty shares another slot's."""
_MIX_WHOSE: Final = np.uint64(0x9E37_79B9_7F4A_7C15)
_MIX_SEQUENCE: Final = np.uint64(0xC2B2_AE3D_27D4_EB4F)
"""Odd constants, which spread what is multiplied by them over the highest bits."""


class KeptOrders:
    """The orders of kept blocks. Not thread-safe; belongs to one replica."""

    def __init__(self, accounts: int, *, with_marks: bool = True) -> None:
        """`accounts` is the number of account rows; without marks nothing is found that lies twice."""
        self._rows = np.zeros(ROOM, KEPT)
        self._used = 0
        self._gone: set[tuple[int, int]] = set()
        """Blocks that are kept no longer and whose rows still stand here, (lane, height)."""
        self._gone_rows = 0
        self._counts: npt.NDArray[np.int32] = reserved(accounts, np.dtype(np.int32))
        """How many orders of each payer are kept."""
        self._marks: npt.NDArray[np.int32] = reserved(1 << MARK_BITS, np.dtype(np.int32))
        """How many kept orders have each mark: those of one slot have the same."""
        self._has_marks = with_marks

    def add(self, lane: int, height: int, orders: Orders) -> None:
        """A block is kept from now on."""
        used = self._used + len(orders)
        if used > len(self._rows):
            self._make_room(used)
            used = self._used + len(orders)
        new = self._rows[self._used : used]
        new["whose"], new["sequence"] = _whose_all(orders), orders["sequence"]
        new["elsewhere"] = IS_ELSEWHERE[orders["kind"]]
        new["lane"], new["height"], new["row"] = lane, height, np.arange(len(orders))
        self._used = used
        self._count(orders, 1, new["whose"] if self._has_marks else None)

    def drop(self, lane: int, height: int, orders: Orders) -> None:
        """A block is kept no longer."""
        self._gone.add((lane, height))
        self._gone_rows += len(orders)
        self._count(orders, -1, _whose_all(orders) if self._has_marks else None)

    def of_payer(self, payer: int) -> int:
        """How many kept orders a payer has."""
        return int(self._counts[payer]) if payer < len(self._counts) else 0

    def lies_alone(self, slot: Slot) -> bool:
        """Whether one kept order lies in a payer's slot, and no second one."""
        return self.of_payer(slot.payer) == 1 or len(self.places(slot)) == 1

    def rows_lying_twice(self, orders: Orders) -> list[int]:
        """Which of a kept block's orders lie in slots in which another kept order lies, or the same again."""
        marks = _marks_of(_whose_all(orders), orders["sequence"])
        slots = {
            row: Slot.of(orders[row]) for row in np.flatnonzero(self._marks[marks] > 1).tolist()
        }
        # Who fills a block with orders of one slot makes nobody look for it more than once.
        twice = {slot for slot in set(slots.values()) if len(self.places(slot)) > 1}
        return [row for row, slot in slots.items() if slot in twice]

    def places(self, slot: Slot) -> list[Place]:
        """Where orders of a slot lie, in the order in which they came.

        For a slot that is no payer's, they may be some of another one with the same bytes of its digest.
        """
        rows = self._rows[: self._used]
        if slot.is_of_account and not self.of_payer(slot.payer):
            return []
        same = (rows["whose"] == _whose(slot)) & (rows["sequence"] == slot.sequence)
        same &= rows["elsewhere"] != slot.is_of_account
        found = rows[same][["lane", "height", "row"]].tolist()
        return [Place(*place) for place in found if place[:2] not in self._gone]

    def _count(self, orders: Orders, change: int, whose: npt.NDArray[np.uint64] | None) -> None:
        payers = orders["payer"]
        _add_up(self._counts, payers[payers < len(self._counts)].astype(np.int64), change)
        if whose is not None:
            _add_up(self._marks, _marks_of(whose, orders["sequence"]), change)

    def _make_room(self, used: int) -> None:
        """Leave out the rows of blocks that are gone; where too few are, take twice the room."""
        rows = self._rows[: self._used]
        if self._gone_rows > self._used // 2:
            gone = np.array(list(self._gone), np.int64)
            stay = ~np.isin(_blocks_of(rows["lane"], rows["height"]), _blocks_of(*gone.T))
            rows = rows[stay]
            used -= self._used - len(rows)
            self._gone.clear()
            self._gone_rows = 0
        self._rows = np.zeros(max(ROOM, 2 * used), KEPT)
        self._rows[: len(rows)] = rows
        self._used = len(rows)


def _blocks_of(
    lanes: npt.NDArray[np.signedinteger], heights: npt.NDArray[np.signedinteger]
) -> npt.NDArray[np.int64]:
    """Blocks by lane and height, (n,), each as one number."""
    numbers: npt.NDArray[np.int64] = lanes.astype(np.int64) << 32 | heights
    return numbers


def _whose(slot: Slot) -> np.uint64:
    """Whose a slot is, in eight bytes: so every hold's slot 0 is found without those of all others."""
    if slot.is_of_account:
        return np.uint64(slot.payer)
    return np.uint64(int.from_bytes(digest(slot.written())[:8], "little"))


def _whose_all(orders: Orders) -> npt.NDArray[np.uint64]:
    """Whose the slots of these orders are, (n,)."""
    whose: npt.NDArray[np.uint64] = orders["payer"].astype(np.uint64)
    for row in np.flatnonzero(IS_ELSEWHERE[orders["kind"]]).tolist():
        whose[row] = _whose(Slot.of(orders[row]))
    return whose


def _marks_of(
    whose: npt.NDArray[np.uint64], sequences: npt.NDArray[np.uint32]
) -> npt.NDArray[np.int64]:
    """The marks of slots, (n,)."""
    mixed = whose * _MIX_WHOSE ^ sequences.astype(np.uint64) * _MIX_SEQUENCE
    return (mixed * _MIX_WHOSE >> np.uint64(64 - MARK_BITS)).astype(np.int64)


@njit(cache=True)
def _add_up(counts: npt.NDArray[np.int32], rows: npt.NDArray[np.int64], change: int) -> None:
    """Change the count of each row, as often as it is named."""
    for row in rows:
        counts[row] += change
