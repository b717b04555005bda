"""The slots that are open: what this replica has promised, and what waits at its door.

A slot is (payer, sequence), or one of an alias, of a hold, of what is governed. An entry is *queued* while
the order waits at this door to be put into a block; that promises nothing. It is *locked* from the moment
this replica votes for the order until something is final in the slot. Nothing else releases a lock: no
timeout, no clock, no restart (one's own blocks rebuild the locks). PROTOCOL section 2.
"""

from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from harambee.ledger.kinds import IS_ELSEWHERE
from harambee.ledger.memory import reserved
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ORDER, readable
from harambee.protocol.slot import Slot

Orders = npt.NDArray[np.void]
Codes = npt.NDArray[np.uint8]
Digests = npt.NDArray[np.uint8]

SLOT: Final = np.dtype(
    [
        ("id", "u1", 32),
        ("payer", "<u4"),
        ("sequence", "<u4"),
        ("locked", "u1"),
        ("next_free", "<u4"),
    ]
)

_TAKEN: Final = int(Outcome.SLOT_TAKEN)
_BUSY: Final = int(Outcome.BROKER_BUSY)


_NOT_HELD: Final = (b"", False)


class Offer(IntEnum):
    """What the door finds in the slot of an order that keeps every rule."""

    NEW = 0
    KNOWN = 1
    """The same order is already here, queued or locked."""


class Slots:
    """Open slots of accounts, as an array of entries found through one u32 for each account."""

    def __init__(self, rows: int, capacity: int = 1 << 20) -> None:
        """`rows` is the ledger's number of account rows; `capacity` bounds the slots open at once.

        Beyond it an order is refused as BROKER_BUSY, at the door and in blocks alike: bounded work.
        """
        self._open: npt.NDArray[np.uint32] = reserved(rows, np.dtype(np.uint32))
        self._pool: npt.NDArray[np.void] = reserved(capacity, SLOT)
        self._state: npt.NDArray[np.int64] = np.array([0, 0, 1], np.int64)
        """First entry that was given back (0: none), entries in use, first never used (0 is no entry)."""
        self._elsewhere: dict[Slot, tuple[bytes, bool]] = {}
        """Those of aliases, of holds, of what is governed: the order's id, and whether it is locked."""

    @property
    def in_use(self) -> int:
        """How many slots are open here."""
        return int(self._state[1]) + len(self._elsewhere)

    def offer(self, orders: Orders, ids: Digests, codes: Codes) -> npt.NDArray[np.uint8]:
        """Queue the orders whose code is ACCEPTED; turns codes to SLOT_TAKEN where another order waits.

        Returns Offer for each order (meaningful where the code stays ACCEPTED).
        """
        return self._enter(orders, ids, codes, locking=False)

    def lock(self, orders: Orders, ids: Digests, codes: Codes) -> None:
        """Lock the orders whose code is ACCEPTED; turns codes to SLOT_TAKEN where another is locked."""
        self._enter(orders, ids, codes, locking=True)

    def _enter(
        self, orders: Orders, ids: Digests, codes: Codes, *, locking: bool
    ) -> npt.NDArray[np.uint8]:
        known = np.zeros(len(orders), np.uint8)
        _enter_kernel(
            self._open,
            self._pool,
            self._state,
            readable(orders, ORDER),
            readable(ids, np.uint8),
            codes,
            known,
            elsewhere := IS_ELSEWHERE[orders["kind"]],
            locking,
        )
        for i in np.flatnonzero(elsewhere & (codes == 0)):
            key = Slot.of(orders[i])
            name = ids[i].tobytes()
            held = self._elsewhere.get(key)
            if held is not None and held[0] != name and (held[1] or not locking):
                codes[i] = _TAKEN
                continue
            known[i] = Offer.KNOWN if held is not None and held[0] == name else Offer.NEW
            self._elsewhere[key] = (
                name,
                locking or (held is not None and held[0] == name and held[1]),
            )
        return known

    def withdraw(self, orders: Orders, ids: Digests) -> None:
        """Forget queued orders that did not get into a block. Locked ones stay."""
        _release_kernel(
            self._open,
            self._pool,
            self._state,
            readable(orders, ORDER),
            readable(ids, np.uint8),
            elsewhere := IS_ELSEWHERE[orders["kind"]],
            queued_only=True,
        )
        for i in np.flatnonzero(elsewhere):
            key = Slot.of(orders[i])
            if self._elsewhere.get(key) == (ids[i].tobytes(), False):
                del self._elsewhere[key]

    def release(self, orders: Orders) -> None:
        """These orders are final: their slots are decided, whatever was queued or locked there."""
        _release_kernel(
            self._open,
            self._pool,
            self._state,
            readable(orders, ORDER),
            _NO_IDS,
            elsewhere := IS_ELSEWHERE[orders["kind"]],
            queued_only=False,
        )
        if self._elsewhere:
            for i in np.flatnonzero(elsewhere):
                self._elsewhere.pop(Slot.of(orders[i]), None)

    def release_slot(self, slot: Slot) -> None:
        """The slot was skipped: whatever was queued or locked in it is gone."""
        if not slot.is_of_account:
            self._elsewhere.pop(slot, None)
            return
        order = np.zeros(1, ORDER)
        order["payer"], order["sequence"] = slot.payer, slot.sequence
        self.release(order)

    def is_open(self, payer: int, sequence: int) -> bool:
        """Whether an order waits or is locked here in an account's slot."""
        if not 0 <= payer < len(self._open):
            return False
        entry = int(self._open[payer])
        return bool(entry and self._pool[entry]["sequence"] == sequence)

    def locked_rows(self, orders: Orders) -> npt.NDArray[np.intp]:
        """Which of these orders lie in slots where this replica has locked one, whichever it is."""
        payers = orders["payer"]
        inside = payers < len(self._open)
        entries = np.zeros(len(orders), np.uint32)
        entries[inside] = self._open[payers[inside]]
        held = self._pool[entries]
        locked = (entries > 0) & (held["locked"] == 1) & (held["sequence"] == orders["sequence"])
        elsewhere = IS_ELSEWHERE[orders["kind"]]
        locked[elsewhere] = [
            self._elsewhere.get(Slot.of(order), _NOT_HELD)[1] for order in orders[elsewhere]
        ]
        return np.flatnonzero(locked)

    def holder(self, slot: Slot) -> bytes | None:
        """The id of the order that waits or is locked here in a slot."""
        if not slot.is_of_account:
            held = self._elsewhere.get(slot)
            return None if held is None else held[0]
        if not self.is_open(slot.payer, slot.sequence):
            return None
        return bytes(self._pool[int(self._open[slot.payer])]["id"].tobytes())

    def locked_id(self, payer: int, sequence: int) -> bytes | None:
        """The id of the order that this replica has locked in an account's slot."""
        entry = int(self._open[payer])
        slot = self._pool[entry]
        if entry and slot["locked"] and slot["sequence"] == sequence:
            return bytes(slot["id"].tobytes())
        return None


_NO_IDS: Final[Digests] = readable(np.zeros((0, 32), np.uint8), np.uint8)


@njit(cache=True)
def _same(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> bool:
    for k in range(32):  # noqa: SIM110 - numba has no all() over a generator
        if a[k] != b[k]:
            return False
    return True


@njit(cache=True)
def _enter_kernel(
    open_of: npt.NDArray[np.uint32],
    pool: npt.NDArray[np.void],
    state: npt.NDArray[np.int64],
    orders: Orders,
    ids: Digests,
    codes: Codes,
    known: npt.NDArray[np.uint8],
    elsewhere: npt.NDArray[np.bool_],
    locking: bool,  # noqa: FBT001 - a kernel's plain argument
) -> None:
    for i in range(orders.shape[0]):
        if codes[i] != 0 or elsewhere[i]:
            continue
        payer = orders[i]["payer"]
        entry = open_of[payer]
        if entry == 0:
            entry = state[0]
            if entry != 0:
                state[0] = pool[entry]["next_free"]
            elif state[2] < pool.shape[0]:
                entry = state[2]
                state[2] += 1
            else:
                codes[i] = _BUSY
                continue
            state[1] += 1
            open_of[payer] = entry
            pool[entry]["payer"] = payer
            pool[entry]["sequence"] = orders[i]["sequence"]
            pool[entry]["locked"] = 1 if locking else 0
            pool[entry]["id"][:] = ids[i]
        elif _same(pool[entry]["id"], ids[i]):
            known[i] = 1
            if locking:
                pool[entry]["locked"] = 1
        elif locking and (
            pool[entry]["locked"] == 0 or pool[entry]["sequence"] < orders[i]["sequence"]
        ):
            # What waits at this door promises nothing: the order in a block goes first. And who votes in
            # a later slot has known the one before to be decided, even where a fold decides it later.
            pool[entry]["sequence"] = orders[i]["sequence"]
            pool[entry]["locked"] = 1
            pool[entry]["id"][:] = ids[i]
        else:
            codes[i] = _TAKEN


@njit(cache=True)
def _release_kernel(
    open_of: npt.NDArray[np.uint32],
    pool: npt.NDArray[np.void],
    state: npt.NDArray[np.int64],
    orders: Orders,
    ids: Digests,
    elsewhere: npt.NDArray[np.bool_],
    queued_only: bool,  # noqa: FBT001 - a kernel's plain argument
) -> None:
    for i in range(orders.shape[0]):
        if elsewhere[i]:
            continue
        payer = orders[i]["payer"]
        entry = open_of[payer]
        if entry == 0:
            continue
        if queued_only:
            if pool[entry]["locked"] == 1 or not _same(pool[entry]["id"], ids[i]):
                continue
        elif pool[entry]["sequence"] > orders[i]["sequence"]:
            continue
        open_of[payer] = 0
        pool[entry]["next_free"] = state[0]
        state[0] = entry
        state[1] -= 1
