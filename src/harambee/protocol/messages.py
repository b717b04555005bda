"""What can happen to a replica: the only inputs of `Replica.receive`."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from harambee.ledger.records import ORDER_BYTES
from harambee.protocol.effects import Name, Range


@dataclass(frozen=True, slots=True)
class BlockArrived:
    """Bytes that claim to be a block, from the super-agent `peer`."""

    peer: int
    data: bytes


@dataclass(frozen=True, slots=True)
class HeadsArrived:
    """`peer` says which heads it holds durably: one for each author, then loose ends (`Replica.heads`)."""

    peer: int
    heads: npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class HeadsAsked:
    """`peer` asks for this replica's heads."""

    peer: int


@dataclass(frozen=True, slots=True)
class FetchAsked:
    """`peer` asks for blocks."""

    peer: int
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class NamedAsked:
    """`peer` asks for exactly these blocks."""

    peer: int
    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class FetchEnded:
    """`peer` has answered the last fetch as far as it can."""

    peer: int


@dataclass(frozen=True, slots=True)
class PeerUp:
    """The link to `peer` stands."""

    peer: int


@dataclass(frozen=True, slots=True)
class PeerDown:
    """The link to `peer` is gone."""

    peer: int


@dataclass(frozen=True, slots=True)
class OrdersOffered:
    """Orders brought to this door by a handset. `orders` is an ORDER array of shape (n,)."""

    ticket: int
    orders: npt.NDArray[np.void]
    attachments: dict[int, bytes] = field(default_factory=dict)
    """Possession signatures of enrolments, by index."""
    tables: dict[int, bytes] = field(default_factory=dict)
    """What orders name by digests, by index: PAYEE rows of bulk pay-outs as bytes, and tariffs."""

    @property
    def room(self) -> int:
        """How many orders' room it takes where it waits, its tables included."""
        return len(self.orders) + sum(map(len, self.tables.values())) // ORDER_BYTES


@dataclass(frozen=True, slots=True)
class ApprovalsChanged:
    """Which governance orders two operators of this super-agent have approved: all of them, by id."""

    approved: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class WordArrived:
    """Bytes that claim to be somebody's word for a checkpoint, told by `peer`."""

    peer: int
    content: bytes


@dataclass(frozen=True, slots=True)
class WordsTold:
    """`peer` has told every word that it was asked for; none, where it knows of no checkpoint."""

    peer: int


@dataclass(frozen=True, slots=True)
class IndexArrived:
    """A part of a checkpoint's index, as `peer` has it; of `parts` 0 where it has none of it."""

    peer: int
    checkpoint: bytes
    part: int
    parts: int
    rows: npt.NDArray[np.void]
    """An INDEX_ROW array."""


@dataclass(frozen=True, slots=True)
class PageArrived:
    """A page of a checkpoint, as `peer` has it; empty where it has not got it."""

    peer: int
    checkpoint: bytes
    section: int
    page: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Message = (
    BlockArrived
    | HeadsArrived
    | HeadsAsked
    | FetchAsked
    | NamedAsked
    | FetchEnded
    | PeerUp
    | PeerDown
    | OrdersOffered
    | ApprovalsChanged
    | WordArrived
    | WordsTold
    | IndexArrived
    | PageArrived
    | Tick
)
