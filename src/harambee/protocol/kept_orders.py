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


class KeptOrders:
    """The orders of kept blocks. Not thread-safe; belongs to one replica."""

    def __init__(self, accounts: int) -> None:
        """`accounts` is the number of account rows."""
        self._rows = np.zeros(ROOM, KEPT)
        self._used = 0
        self._gone: set[tuple[int, int]] = set()
        """Blocks that are kept no longer and whose rows still stand here, (lane, height)."""
        self._gone_rows = 0
        self._counts: npt.NDArray[np.int32] = reserved(accounts, np.dtype(np.int32))
        """How many orders of each payer are kept."""
        self._highest: npt.NDArray[np.uint32] = reserved(accounts, np.dtype(np.uint32))
        """The highest sequence among them, where there are any."""

    def add(self, lane: int, height: int, orders: Orders) -> list[int]:
        """A block is kept from now on. Returns which of its orders lie in the slots of other kept ones.

        Who pays one order after the other has the newest in a slot of its own: that is seen without looking.
        """
        used = self._used + len(orders)
        if used > len(self._rows):
            self._make_room(used)
            used = self._used + len(orders)
        new = self._rows[self._used : used]
        new["whose"], new["sequence"] = orders["payer"], orders["sequence"]
        new["elsewhere"] = IS_ELSEWHERE[orders["kind"]]
        for row in np.flatnonzero(new["elsewhere"]).tolist():
            new["whose"][row] = _whose(Slot.of(orders[row]))
        new["lane"], new["height"], new["row"] = lane, height, np.arange(len(orders))
        self._used = used
        perhaps = new["elsewhere"].copy()
        payers, sequences = np.array(orders["payer"]), np.array(orders["sequence"])
        _count_in(payers, sequences, self._counts, self._highest, perhaps)
        rows = np.flatnonzero(perhaps).tolist()
        return [row for row in rows if len(self.places(Slot.of(orders[row]))) > 1]

    def drop(self, lane: int, height: int, orders: Orders) -> None:
        """A block is kept no longer."""
        self._gone.add((lane, height))
        self._gone_rows += len(orders)
        payers = orders["payer"]
        np.subtract.at(self._counts, payers[payers < len(self._counts)], 1)

    def of_payer(self, payer: int) -> int:
        """How many kept orders a payer has."""
        return int(self._counts[payer]) if payer < len(self._counts) else 0

    def lies_alone(self, slot: Slot) -> bool:
        """Whether one kept order lies in a payer's slot, and no second one."""
        return self.of_payer(slot.payer) == 1 or len(self.places(slot)) == 1

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

    def _make_room(self, used: int) -> None:
        """Leave out the rows of blocks that are gone; where too few are, take twice the room."""
        rows = self._rows[: self._used]
        if self._gone_rows > self._used // 2:
            places = rows[["lane", "height"]].tolist()
            rows = rows[[place not in self._gone for place in places]]
            used -= self._used - len(rows)
            self._gone.clear()
            self._gone_rows = 0
        self._rows = np.zeros(max(ROOM, 2 * used), KEPT)
        self._rows[: len(rows)] = rows
        self._used = len(rows)


def _whose(slot: Slot) -> np.uint64:
    """Whose a slot is, in eight bytes: so every hold's slot 0 is found without those of all others."""
    if slot.is_of_account:
        return np.uint64(slot.payer)
    return np.uint64(int.from_bytes(digest(slot.written())[:8], "little"))


@njit(cache=True, nogil=True)
def _count_in(
    payers: npt.NDArray[np.uint32],
    sequences: npt.NDArray[np.uint32],
    counts: npt.NDArray[np.int32],
    highest: npt.NDArray[np.uint32],
    perhaps: npt.NDArray[np.bool_],
) -> None:
    """Count orders as kept; `perhaps` says which may lie in a slot in which another one lies."""
    for i in range(payers.shape[0]):
        payer, sequence = payers[i], sequences[i]
        if payer >= counts.shape[0]:
            perhaps[i] = True
            continue
        if not perhaps[i]:
            if counts[payer] > 0 and sequence <= highest[payer]:
                perhaps[i] = True
            if counts[payer] == 0 or sequence > highest[payer]:
                highest[payer] = sequence
        counts[payer] += 1
