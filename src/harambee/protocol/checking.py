"""Reading blocks and checking signatures: pure functions of bytes, in one place.

A replica asks here and nowhere else, so that a shell with many replicas in one process may remember answers
instead of computing them again for each.
"""

import numpy as np
import numpy.typing as npt

from harambee.crypto.hashing import TAG_ORDER, TAG_POSSESSION, digest_many, signed_prefix
from harambee.crypto.keys import PublicKey, verify_many
from harambee.crypto.keys import verify as verify_owner
from harambee.crypto.signatures import verify
from harambee.ledger.records import BODY_BYTES, KEY_FORM_MASK, ORDER
from harambee.protocol.chains import RowsMemory
from harambee.protocol.committee import Committee
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import Block, Glance, block_prefix, glance, read_on

Orders = npt.NDArray[np.void]
Keys = npt.NDArray[np.uint8]
Forms = npt.NDArray[np.uint8]


class Checking:
    """The checks of one network."""

    rows: RowsMemory | None = None
    """Where replicas of one process keep what they know of blocks' pasts; None where there is but one."""

    def __init__(self, network: bytes, committee: Committee, threads: int = 1) -> None:
        """`threads` is over how many threads orders' signatures are spread."""
        self._network = network
        self._committee = committee
        self._threads = threads
        self._block_prefix = block_prefix(network, committee.epoch)
        self._order_prefix = signed_prefix(TAG_ORDER, network)
        self._possession_prefix = signed_prefix(TAG_POSSESSION, network)

    def glance(self, data: bytes) -> Glance | Malformed:
        """Read what a block's fixed head says, and no more."""
        return glance(data, self._network, self._committee.n)

    def read(self, data: bytes, seen: Glance | None = None) -> Block | Malformed:
        """Parse a block; `seen` is what a glance at it has seen already."""
        glanced = self.glance(data) if seen is None else seen
        if isinstance(glanced, Malformed):
            return glanced
        return read_on(glanced, self._network, self._committee.n)

    def block_holds(self, block: Block | Glance) -> bool:
        """Whether its author has signed the block."""
        key = self._committee.members[block.author].key
        return verify(key, self._block_prefix + block.digest, block.signature)

    def orders_hold(self, orders: Orders, keys: Keys, forms: Forms) -> npt.NDArray[np.bool_]:
        """Which of (n,) orders the owners of (n, 32) keys have signed; `forms`, (n,), are the keys'."""
        rows = np.ascontiguousarray(orders).view(np.uint8).reshape(len(orders), ORDER.itemsize)
        bodies, marks = rows[:, :BODY_BYTES], rows[:, BODY_BYTES:]
        return verify_many(self._order_prefix, bodies, keys, forms, marks, self._threads)

    def ids_of(self, orders: Orders) -> npt.NDArray[np.uint8]:
        """The ids of (n,) orders, (n, 32)."""
        rows = np.ascontiguousarray(orders).view(np.uint8).reshape(len(orders), ORDER.itemsize)
        return digest_many(self._order_prefix, rows[:, :BODY_BYTES])

    def possession_holds(self, order: np.void, signature: bytes) -> bool:
        """Whether the new key that an order brings has signed it."""
        body = order.tobytes()[:BODY_BYTES]
        key = PublicKey(int(order["options"][1]) & KEY_FORM_MASK, order["reference"].tobytes())
        return verify_owner(key, self._possession_prefix + body, signature)
