"""What a holder keeps of a feature phone's account: rows of MessagePack, bounded when they are read."""

from typing import Annotated, Final, TypeVar

import msgspec

from harambee.crypto.signatures import SEED_BYTES, KeyPair, from_seed
from harambee.feature_phones.pins import SALT_BYTES, VERIFIER_BYTES
from harambee.feature_phones.tries import ID_BYTES, TRIES_MAX, Tries, Try
from harambee.texts.languages import Language

ROW_BYTES_MAX: Final = 2_048
HOLDERS_MAX: Final = 3
ORDERS_MAX: Final = 2

U32 = Annotated[int, msgspec.Meta(ge=0, le=(1 << 32) - 1)]
U16 = Annotated[int, msgspec.Meta(ge=0, le=(1 << 16) - 1)]
U63 = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Seed = Annotated[bytes, msgspec.Meta(min_length=SEED_BYTES, max_length=SEED_BYTES)]
Salt = Annotated[bytes, msgspec.Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
Verifier = Annotated[bytes, msgspec.Meta(min_length=VERIFIER_BYTES, max_length=VERIFIER_BYTES)]
TryId = Annotated[bytes, msgspec.Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
OrderBytes = Annotated[bytes, msgspec.Meta(min_length=128, max_length=128)]
Possession = Annotated[bytes, msgspec.Meta(max_length=64)]

R = TypeVar("R")


class RowError(ValueError):
    """These bytes are no row of this kind."""


class KeyRow(msgspec.Struct, frozen=True, array_like=True):
    """A key of an account. Its maker signs with it; another holder only the change to a key of its own."""

    maker: U16
    """The index of the super-agent that made it."""
    seed: Seed

    def __repr__(self) -> str:
        """Return what may be shown: never the seed."""
        return f"KeyRow(maker={self.maker})"

    @property
    def keypair(self) -> KeyPair:
        """The key."""
        return from_seed(self.seed)


class PinRow(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of an owner's PIN, and in which language she reads."""

    version: U63
    """A higher one replaces a lower one."""
    salt: Salt
    verifier: Verifier
    language: Language

    def __repr__(self) -> str:
        """Return what may be shown: nothing of the PIN."""
        return f"PinRow(version={self.version})"


class TryRow(msgspec.Struct, frozen=True, array_like=True):
    """One try that counts."""

    number: U63
    id: TryId


class TriesRow(msgspec.Struct, frozen=True, array_like=True):
    """The tries of an account, as one holder has noted them."""

    mark: U63
    counting: Annotated[list[TryRow], msgspec.Meta(max_length=TRIES_MAX * HOLDERS_MAX)]

    def tries(self) -> Tries:
        """Return them as `tries` computes with them."""
        return Tries(self.mark, frozenset(Try(one.number, one.id) for one in self.counting))

    @classmethod
    def of(cls, tries: Tries) -> "TriesRow":
        """Return a row for them."""
        ordered = sorted(tries.counting, key=lambda one: (one.number, one.id))
        return cls(tries.mark, [TryRow(one.number, one.id) for one in ordered])


class PendingRow(msgspec.Struct, frozen=True, array_like=True):
    """Orders that this holder has signed in one slot that is not decided yet: a payment, and its cancel."""

    orders: Annotated[list[OrderBytes], msgspec.Meta(min_length=1, max_length=ORDERS_MAX)]
    possession: Possession = b""
    """Of the new key, where the order changes it."""


def write_row(row: msgspec.Struct) -> bytes:
    """Return a row's bytes."""
    return msgspec.msgpack.encode(row)


def read_row(content: bytes, kind: type[R]) -> R:
    """Return the row in bytes; RowError if they are none of this kind."""
    if len(content) > ROW_BYTES_MAX:
        raise RowError("a row is too long")
    try:
        return msgspec.msgpack.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise RowError("these bytes are no such row") from error
