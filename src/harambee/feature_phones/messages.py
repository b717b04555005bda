"""What doors and holders of feature phones say to each other: MessagePack, bounded when it is read.

They travel as errands over the links between super-agents, which say who is at the other end and hide
what is said: PINs and keys are among it.
"""

from enum import IntEnum, StrEnum, unique
from typing import Annotated, Final, TypeVar

import msgspec

from harambee.feature_phones.rows import U16, U32, U63, KeyRow, PinRow, TriesRow, TryRow
from harambee.ledger.kinds import OrderKind
from harambee.money.amounts import MAX_AMOUNT_CENTS
from harambee.texts.languages import Language

MESSAGE_BYTES_MAX: Final = 8_192
LINES_MAX: Final = 4
SHOWN_MAX: Final = 64

Cents = Annotated[int, msgspec.Meta(ge=0, le=MAX_AMOUNT_CENTS)]
Balance = Annotated[int, msgspec.Meta(ge=-MAX_AMOUNT_CENTS, le=MAX_AMOUNT_CENTS)]
Pin = Annotated[str, msgspec.Meta(pattern="^[0-9]{4}$")]
Shown = Annotated[str, msgspec.Meta(max_length=SHOWN_MAX)]
Reference = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]

M = TypeVar("M")


class MessageError(ValueError):
    """These bytes say nothing of this kind."""


@unique
class Matter(IntEnum):
    """What is asked; codes stand on the wire."""

    SERVES = 1
    """Of a holder: do you serve now?"""
    ROWS = 2
    """Of a holder, by another: what you have of this account's keys and PIN."""
    KEEP = 3
    """Of a holder, by another: keep these."""
    TRIES = 4
    """Of a holder, by another: which tries are noted, and of which version is your PIN?"""
    CLAIM = 5
    """Of a holder, by another: note this try."""
    MARK = 6
    """Of a holder, by another: tries up to this number count no more."""
    RELEASE = 7
    """Of the maker of a key, by another holder: sign nothing with it for now, I take over."""
    TELL = 8
    """Of a holder, by a door: what does the menu need?"""
    NAME = 9
    """Of a holder, by a door: whose is that account?"""
    ACT = 10
    """Of a holder, by a door: do this for the owner, whose PIN is here."""


class Rows(msgspec.Struct, frozen=True, array_like=True):
    """What a holder has of an account, or is to keep."""

    account: U32
    keys: Annotated[list[KeyRow], msgspec.Meta(max_length=3)] = []
    pin: PinRow | None = None


class Noted(msgspec.Struct, frozen=True, array_like=True):
    """What a holder has noted of an account's tries."""

    tries: TriesRow
    granted: bool = True
    pin_version: U63 = 0


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """A try that is to be noted."""

    account: U32
    asked: TryRow
    mark: U63


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """Tries of an account that count no more."""

    account: U32
    number: U63


class OfAccount(msgspec.Struct, frozen=True, array_like=True):
    """An account that is asked about, and another one where two are."""

    account: U32
    other: U32 = 0


class Told(msgspec.Struct, frozen=True, array_like=True):
    """What a menu begins with."""

    known: bool
    """Whether this holder has a PIN of the account."""
    language: Language = Language.ENGLISH
    next_sequence: U32 = 0
    request: bytes = b""
    """A merchant's request that waits: its document, or nothing."""


class Named(msgspec.Struct, frozen=True, array_like=True):
    """A payee as she is shown, or nothing and why."""

    name: Shown = ""
    number: Shown = ""
    locked: bool = False


@unique
class Deed(StrEnum):
    """What an owner can have done."""

    PAY = "pay"
    BALANCE = "balance"
    STATEMENT = "statement"
    NEW_PIN = "new_pin"
    LANGUAGE = "language"
    DECLINE = "decline"


class Act(msgspec.Struct, frozen=True, array_like=True):
    """Something to be done for an account's owner."""

    account: U32
    deed: Deed
    pin: Pin | None = None
    """Not asked for her language, nor to decline a request."""
    first_sequence: U32 = 0
    """The account's next sequence when she began: what was final since then is looked through first."""
    kind: U16 = 0
    payee: U32 = 0
    amount_cents: Cents = 0
    fee_cents: Cents = 0
    reference: Reference = bytes(32)
    new_pin: Pin | None = None
    language: Language | None = None

    def __repr__(self) -> str:
        """Return what may be shown: no PIN."""
        return f"Act(account={self.account}, deed={self.deed})"

    @property
    def order_kind(self) -> OrderKind | None:
        """The kind of the order, if it is one that an owner can give."""
        return OrderKind(self.kind) if self.kind in PAYING else None


PAYING: Final = frozenset(
    {
        OrderKind.SEND,
        OrderKind.WITHDRAW,
        OrderKind.BUY_GOODS,
        OrderKind.PAY_BILL,
        OrderKind.AIRTIME,
    }
)
"""What a feature phone can pay."""


@unique
class Fate(StrEnum):
    """What became of it."""

    DONE = "done"
    SENT = "sent"
    """It is signed and on its way; a text says when it is final."""
    WRONG_PIN = "wrong_pin"
    LOCKED = "locked"
    WEAK_PIN = "weak_pin"
    FUNDS = "funds"
    REFUSED = "refused"
    STALE = "stale"
    """Something else was done with the account since she began."""
    BUSY = "busy"
    """An earlier order is on its way, or another super-agent holds the account just now."""
    UNAVAILABLE = "unavailable"
    """Too few of the holders can be reached, or this one cannot tell."""
    NOT_HERE = "not_here"
    """No feature phone's account, or none of this holder's."""


class Line(msgspec.Struct, frozen=True, array_like=True):
    """A line of the short statement."""

    day: U16
    change_cents: Balance
    kind: U16
    code: Shown


class Done(msgspec.Struct, frozen=True, array_like=True):
    """The answer to an Act."""

    fate: Fate
    code: Shown = ""
    """The receipt code of a payment."""
    tries_left: U16 = 0
    outcome: U16 = 0
    """Why a payment was refused."""
    balance_cents: Balance = 0
    available_cents: Balance = 0
    lines: Annotated[list[Line], msgspec.Meta(max_length=LINES_MAX)] = []


def write(message: msgspec.Struct) -> bytes:
    """Return a message's bytes."""
    return msgspec.msgpack.encode(message)


def read(content: bytes, kind: type[M]) -> M:
    """Return the message in bytes; MessageError if they are none of this kind."""
    if len(content) > MESSAGE_BYTES_MAX:
        raise MessageError("a message is too long")
    try:
        return msgspec.msgpack.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise MessageError("these bytes say nothing of this kind") from error
