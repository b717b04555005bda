"""What is computed once for all replicas of one process: functions of bytes, and of what bytes name.

What is asked is the key of each memory: nothing is ever taken on trust. A block's digest names its whole
past, so what a block knows is asked by that. Any number of threads may ask at once; two that ask the same at
the same moment may both compute it.
"""

from typing import Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from harambee.ledger.records import ORDER_BYTES
from harambee.protocol.chains import Rows
from harambee.protocol.checking import Checking, Forms, Keys, Orders
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import Block, Glance

REMEMBERED_BYTES: Final = 64 << 20
"""So many bytes of blocks each memory of them holds at least, and twice as many at most."""
ORDERS_REMEMBERED_BYTES: Final = 32 << 20
ROWS_REMEMBERED_BYTES: Final = 16 << 20
ENTRY_BYTES: Final = 256
"""About what an answer takes beside what was asked and what it says."""

T = TypeVar("T")


class Memory(Generic[T]):
    """Answers by what was asked, the newest of them: two generations, of which the older one is let go whole.

    Each step is one step for other threads as well, so no lock is needed.
    """

    def __init__(self, bytes_max: int) -> None:
        """A generation ends once it takes so many bytes, with those of answers that say their `nbytes`."""
        self._bytes_max = bytes_max
        self._bytes = 0
        self._young: dict[bytes, T] = {}
        self._old: dict[bytes, T] = {}

    def get(self, asked: bytes) -> T | None:
        """Return the answer, or None where it was never known or is forgotten."""
        found = self._young.get(asked)
        if found is None and (found := self._old.get(asked)) is not None:
            self.put(asked, found)
        return found

    def put(self, asked: bytes, answer: T) -> None:
        """Remember an answer."""
        self._young[asked] = answer
        self._bytes += ENTRY_BYTES + len(asked) + getattr(answer, "nbytes", 0)
        if self._bytes > self._bytes_max:
            self._old, self._young, self._bytes = self._young, {}, 0


class RememberingChecking(Checking):
    """Remembers the newest answers."""

    def __init__(self, *rest: object) -> None:
        super().__init__(*rest)  # type: ignore[arg-type]
        self._glances: Memory[Glance | Malformed] = Memory(REMEMBERED_BYTES)
        self._read: Memory[Block | Malformed] = Memory(REMEMBERED_BYTES)
        self._signed: Memory[bool] = Memory(REMEMBERED_BYTES)
        self._ids: Memory[npt.NDArray[np.uint8]] = Memory(ORDERS_REMEMBERED_BYTES)
        self._orders: Memory[bool] = Memory(ORDERS_REMEMBERED_BYTES)
        """By order, key and its form: replicas ask for the same ones in other company."""
        self.rows = Memory[Rows](ROWS_REMEMBERED_BYTES)

    def glance(self, data: bytes) -> Glance | Malformed:
        """Read what a block's fixed head says, once."""
        found = self._glances.get(data)
        if found is None:
            found = super().glance(data)
            self._glances.put(data, found)
        return found

    def read(self, data: bytes, seen: Glance | None = None) -> Block | Malformed:
        """Parse a block, once."""
        found = self._read.get(data)
        if found is None:
            found = super().read(data, seen)
            self._read.put(data, found)
        return found

    def block_holds(self, block: Block | Glance) -> bool:
        """Whether its author has signed the block."""
        found = self._signed.get(block.data)
        if found is None:
            found = super().block_holds(block)
            self._signed.put(block.data, found)
        return found

    def ids_of(self, orders: Orders) -> npt.NDArray[np.uint8]:
        """The ids of orders, (n, 32)."""
        asked = orders.tobytes()
        found = self._ids.get(asked)
        if found is None:
            found = super().ids_of(orders)
            self._ids.put(asked, found)
        return found.copy()

    def orders_hold(self, orders: Orders, keys: Keys, forms: Forms) -> npt.NDArray[np.bool_]:
        """Which orders are signed by the owners of these keys."""
        signed = np.ascontiguousarray(orders).view(np.uint8).reshape(len(orders), ORDER_BYTES)
        asked = np.concatenate((signed, keys, forms.astype(np.uint8)[:, None]), axis=1)
        names = [row.tobytes() for row in asked]
        answers = [self._orders.get(name) for name in names]
        new = [row for row, answer in enumerate(answers) if answer is None]
        if new:
            holds = super().orders_hold(orders[new], keys[new], forms[new])
            for row, answer in zip(new, holds.tolist(), strict=True):
                answers[row] = answer
                self._orders.put(names[row], answer)
        return np.array(answers, np.bool_)
