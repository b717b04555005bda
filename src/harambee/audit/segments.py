"""Signatures to be checked, in pieces that anybody can check: bytes in, an answer out.

A segment has with it all that its answer depends on: the network, the committee's keys, what was signed, by
which key it should be, and the signature. So the same function runs in this process, in another one and on
another machine, needs no file there, and always gives the same answer.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.crypto import signatures
from harambee.crypto.hashing import TAG_ORDER, TAG_POSSESSION, signed_prefix
from harambee.crypto.keys import PublicKey, verify, verify_many
from harambee.crypto.rows import Rows
from harambee.ledger.records import BODY_BYTES, KEY_FORM_MASK, ORDER
from harambee.protocol.wire import SIGNATURE_BYTES, block_prefix

BLOCK_SIGNED: Final = np.dtype(
    [
        ("position", "<u8"),
        ("author", "<u2"),
        ("digest", "u1", 32),
        ("signature", "u1", SIGNATURE_BYTES),
    ]
)
"""A block as far as its author's signature goes; its digest was computed from its bytes."""

PLACE: Final = np.dtype([("position", "<u8"), ("row", "<u4")])
"""Where an order lies: the position of its block in the journal, and its row in the block."""

ORDER_SIGNED: Final = np.dtype(
    [("position", "<u8"), ("row", "<u4"), ("form", "u1"), ("key", "u1", 32), ("order", ORDER)]
)
"""An order that was applied, where it lies, and the key that its payer had in its slot."""

POSSESSION: Final = np.dtype(
    [("position", "<u8"), ("row", "<u4"), ("order", ORDER), ("signature", "u1", SIGNATURE_BYTES)]
)
"""An order that was applied and brings a key, and what that key signed; zeros where nothing came."""

VERIFIED_TOGETHER: Final = 4_096
"""So many signatures are put into one equation; a forged one in it is searched for in these."""

Places = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Segment:
    """So much of a journal as one worker checks at once; plain bytes, to be sent anywhere."""

    number: int
    network: bytes
    epoch: int
    keys: bytes
    """The committee's public keys, 32 bytes each, in its order."""
    blocks: bytes
    """A BLOCK_SIGNED array."""
    orders: bytes
    """An ORDER_SIGNED array."""
    possessions: bytes
    """A POSSESSION array."""


@dataclass(frozen=True, slots=True)
class SegmentReport:
    """What a segment's signatures are; equal for equal segments, wherever it was made."""

    number: int
    signatures_checked: int
    """Of blocks, orders and new keys together."""
    bad_blocks: bytes
    """Positions of blocks that are not signed by their authors, a u64 array."""
    bad_orders: bytes
    """A PLACE array of orders that are not signed by the keys they came with."""
    bad_possessions: bytes
    """A PLACE array of orders whose new key has not signed."""


def check_segment(segment: Segment) -> SegmentReport:
    """Check every signature of a segment: a pure function of its bytes."""
    blocks = np.frombuffer(segment.blocks, BLOCK_SIGNED)
    orders = np.frombuffer(segment.orders, ORDER_SIGNED)
    possessions = np.frombuffer(segment.possessions, POSSESSION)
    proven = _possessions_hold(segment, possessions)
    return SegmentReport(
        segment.number,
        len(blocks) + len(orders) + len(possessions),
        blocks["position"][~_blocks_hold(segment, blocks)].tobytes(),
        places_of(orders[~_orders_hold(segment, orders)]).tobytes(),
        places_of(possessions[~proven]).tobytes(),
    )


def places_of(rows: npt.NDArray[np.void]) -> Places:
    """Where these orders lie, a PLACE array, (n,) as `rows`."""
    places = np.zeros(len(rows), PLACE)
    for name in ("position", "row"):
        places[name] = rows[name]
    return places


def body_is_signed(network: bytes, order: bytes, key: PublicKey) -> bool:
    """Whether one order, 128 bytes, is signed by a key."""
    prefix = signed_prefix(TAG_ORDER, network)
    return verify(key, prefix + order[:BODY_BYTES], order[BODY_BYTES:])


def _blocks_hold(segment: Segment, blocks: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    members = np.frombuffer(segment.keys, np.uint8).reshape(-1, 32)
    prefix = block_prefix(segment.network, segment.epoch)
    keys = members[blocks["author"]]
    return signatures.verify_many(prefix, blocks["digest"], keys, blocks["signature"])


def _orders_hold(segment: Segment, orders: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    prefix = signed_prefix(TAG_ORDER, segment.network)
    records = _bytes_in(orders, "order")
    holds = np.zeros(len(orders), np.bool_)
    for start in range(0, len(orders), VERIFIED_TOGETHER):
        some = slice(start, start + VERIFIED_TOGETHER)
        bodies, marks = records[some, :BODY_BYTES], records[some, BODY_BYTES:]
        holds[some] = verify_many(prefix, bodies, orders["key"][some], orders["form"][some], marks)
    return holds


def _possessions_hold(segment: Segment, rows: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Whether each new key has signed the order that brings it, by the tag for that."""
    prefix = signed_prefix(TAG_POSSESSION, segment.network)
    bodies = _bytes_in(rows, "order")[:, :BODY_BYTES]
    orders = rows["order"]
    forms = orders["options"][:, 1] & np.uint8(KEY_FORM_MASK)
    return verify_many(prefix, bodies, orders["reference"], forms, rows["signature"])


def _bytes_in(rows: npt.NDArray[np.void], name: str) -> Rows:
    """The bytes of one field of packed records, (n, size): a view, rows lie apart."""
    assert rows.dtype.fields is not None
    dtype, at = rows.dtype.fields[name][:2]
    every: Rows = rows.view(np.uint8).reshape(len(rows), rows.dtype.itemsize)
    return every[:, at : at + dtype.itemsize]


@dataclass(slots=True)
class Cutting:
    """Gathers what is to be checked, and cuts it into segments of a bounded size."""

    network: bytes
    epoch: int
    keys: bytes
    orders_each: int
    _number: int = 0
    _signatures: int = 0
    _blocks: list[bytes] = field(default_factory=list)
    _orders: list[bytes] = field(default_factory=list)
    _possessions: list[bytes] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        """Whether it is time to `cut`."""
        return self._signatures >= self.orders_each

    def add_block(self, position: int, author: int, digest: bytes, signature: bytes) -> None:
        """A block whose author's signature is to be checked."""
        head = position.to_bytes(8, "little") + author.to_bytes(2, "little")
        self._blocks.append(head + digest + signature)
        self._signatures += 1

    def add_orders(self, orders: npt.NDArray[np.void]) -> None:
        """Orders, an ORDER_SIGNED array."""
        self._orders.append(orders.tobytes())
        self._signatures += len(orders)

    def add_possessions(self, rows: npt.NDArray[np.void]) -> None:
        """New keys, a POSSESSION array."""
        self._possessions.append(rows.tobytes())
        self._signatures += len(rows)

    def cut(self) -> Segment | None:
        """What was gathered since the last one; None if nothing was."""
        if not self._signatures:
            return None
        segment = Segment(
            self._number,
            self.network,
            self.epoch,
            self.keys,
            b"".join(self._blocks),
            b"".join(self._orders),
            b"".join(self._possessions),
        )
        self._number, self._signatures = self._number + 1, 0
        self._blocks, self._orders, self._possessions = [], [], []
        return segment
