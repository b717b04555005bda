"""Checks that are computed once for all replicas of a simulated network: they are functions of bytes."""

import numpy as np
import numpy.typing as npt

from harambee.ledger.records import ORDER_BYTES
from harambee.protocol.checking import Checking, Forms, Keys, Orders
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import Block, Glance

REMEMBERED_MAX = 1 << 15
ORDERS_REMEMBERED_MAX = 1 << 18


class RememberingChecking(Checking):
    """Remembers the newest answers. What is asked is the key: nothing is ever taken on trust."""

    def __init__(self, *rest: object) -> None:
        super().__init__(*rest)  # type: ignore[arg-type]
        self._read: dict[bytes, Block | Malformed] = {}
        self._signed: dict[bytes, bool] = {}
        self._orders: dict[bytes, bool] = {}
        """By order, key and its form: replicas ask for the same ones in other company."""

    def read(self, data: bytes, seen: Glance | None = None) -> Block | Malformed:
        """Parse a block, once."""
        found = self._read.get(data)
        if found is None:
            found = self._read[data] = super().read(data, seen)
            _forget_oldest(self._read)
        return found

    def block_holds(self, block: Block | Glance) -> bool:
        """Whether its author has signed the block."""
        found = self._signed.get(block.data)
        if found is None:
            found = self._signed[block.data] = super().block_holds(block)
            _forget_oldest(self._signed)
        return found

    def orders_hold(self, orders: Orders, keys: Keys, forms: Forms) -> npt.NDArray[np.bool_]:
        """Which orders are signed by the owners of these keys."""
        signed = np.ascontiguousarray(orders).view(np.uint8).reshape(len(orders), ORDER_BYTES)
        asked = np.concatenate((signed, keys, forms.astype(np.uint8)[:, None]), axis=1)
        names = [row.tobytes() for row in asked]
        new = [row for row, name in enumerate(names) if name not in self._orders]
        if new:
            holds = super().orders_hold(orders[new], keys[new], forms[new])
            for row, found in zip(new, holds.tolist(), strict=True):
                self._orders[names[row]] = found
        answers = np.array([self._orders[name] for name in names], np.bool_)
        while len(self._orders) > ORDERS_REMEMBERED_MAX:
            _forget_oldest(self._orders, ORDERS_REMEMBERED_MAX)
        return answers


def _forget_oldest(memory: dict, most: int = REMEMBERED_MAX) -> None:  # type: ignore[type-arg]
    if len(memory) > most:
        del memory[next(iter(memory))]
