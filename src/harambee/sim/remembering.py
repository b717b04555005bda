"""Checks that are computed once for all replicas of a simulated network: they are functions of bytes."""

import numpy as np
import numpy.typing as npt

from harambee.protocol.checking import Checking, Forms, Keys, Orders
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import Block, Glance

REMEMBERED_MAX = 1 << 15


class RememberingChecking(Checking):
    """Remembers the newest answers. What is asked is the key: nothing is ever taken on trust."""

    def __init__(self, *rest: object) -> None:
        super().__init__(*rest)  # type: ignore[arg-type]
        self._read: dict[bytes, Block | Malformed] = {}
        self._signed: dict[bytes, bool] = {}
        self._orders: dict[tuple[bytes, bytes, bytes], npt.NDArray[np.bool_]] = {}

    def read(self, data: bytes) -> Block | Malformed:
        """Parse a block, once."""
        found = self._read.get(data)
        if found is None:
            found = self._read[data] = super().read(data)
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
        asked = orders.tobytes(), keys.tobytes(), forms.tobytes()
        found = self._orders.get(asked)
        if found is None:
            found = self._orders[asked] = super().orders_hold(orders, keys, forms)
            _forget_oldest(self._orders)
        return found.copy()


def _forget_oldest(memory: dict) -> None:  # type: ignore[type-arg]
    if len(memory) > REMEMBERED_MAX:
        del memory[next(iter(memory))]
