"""Orders as a handset makes them: 64 bytes of body, signed on the device, 128 in all.

One order at a time and without arrays; `docs/wire.md` section 4 is the layout, and a test holds it
to the dtype of `ledger.records`.
"""

import struct
import time
from dataclasses import dataclass
from typing import Final

from harambee.crypto.hashing import TAG_ORDER, TAG_POSSESSION, digest, signed_prefix
from harambee.crypto.keys import OwnerKey, sign
from harambee.ledger.kinds import MOVEMENTS, Commission, OrderKind
from harambee.ledger.records import (
    BODY_BYTES,
    ORDER_BYTES,
    PAYEE,
    REGION_ACCOUNTS,
    AccountKind,
    region_of,
)
from harambee.money.amounts import MAX_AMOUNT_CENTS
from harambee.money.tariff import FeeMode, NoBandError, Tariff

_BODY: Final = struct.Struct("<IIQIIBHH3s32s")
assert _BODY.size == BODY_BYTES
KIND_AT: Final = 24
"""Where the kind stands in an order's bytes."""
PAYEE_ROW: Final = struct.Struct("<IQ")
"""A row of a payee table: account number and cents."""
assert PAYEE_ROW.size == PAYEE.itemsize

NO_OPTIONS: Final = bytes(3)
NO_REFERENCE: Final = bytes(32)
BILL_ACCOUNT_MAX: Final = 40
EAST_AFRICA_S: Final = 3 * 3_600
SECONDS_PER_DAY: Final = 86_400


class OrderError(ValueError):
    """An order that cannot be made; the message is one sentence for the customer."""


@dataclass(frozen=True, slots=True)
class OrderBody:
    """What a payer signs; amounts in cents."""

    payer: int
    payee: int
    amount_cents: int
    fee_cents: int
    sequence: int
    kind: OrderKind
    tariff: int
    day: int
    options: bytes = NO_OPTIONS
    reference: bytes = NO_REFERENCE

    def to_bytes(self) -> bytes:
        """Return the 64 bytes; OrderError if a number does not fit its field."""
        try:
            return _BODY.pack(
                self.payer,
                self.payee,
                self.amount_cents,
                self.fee_cents,
                self.sequence,
                self.kind,
                self.tariff,
                self.day,
                self.options,
                self.reference,
            )
        except struct.error as error:
            raise OrderError("A number of the order does not fit its field.") from error

    @classmethod
    def from_bytes(cls, order: bytes) -> "OrderBody":
        """Return the body of an order's 64 or 128 bytes; ValueError if its kind is unknown."""
        payer, payee, amount, fee, sequence, kind, *rest = _BODY.unpack(order[:BODY_BYTES])
        return cls(payer, payee, amount, fee, sequence, OrderKind(kind), *rest)


def today() -> int:
    """Return the day number for an order signed now: days since 1970-01-01 in UTC+3."""
    return (int(time.time()) + EAST_AFRICA_S) // SECONDS_PER_DAY


def order_id(network: bytes, order: bytes) -> bytes:
    """Return the 32 bytes that name an order; its signature is left out."""
    return digest(signed_prefix(TAG_ORDER, network), order[:BODY_BYTES])


def sign_order(keypair: OwnerKey, network: bytes, body: OrderBody) -> bytes:
    """Return the 128 bytes of an order, signed; the same each time."""
    unsigned = body.to_bytes()
    order = unsigned + sign(keypair, signed_prefix(TAG_ORDER, network) + unsigned)
    assert len(order) == ORDER_BYTES
    return order


def sign_possession(keypair: OwnerKey, network: bytes, body: OrderBody) -> bytes:
    """Return a new key's 64-byte signature of its own enrolment."""
    return sign(keypair, signed_prefix(TAG_POSSESSION, network) + body.to_bytes())


def cancel_of(body: OrderBody, day: int) -> OrderBody:
    """Return the order that burns the slot of `body`: to itself, of nothing."""
    return OrderBody(
        payer=body.payer,
        payee=body.payer,
        amount_cents=0,
        fee_cents=0,
        sequence=body.sequence,
        kind=OrderKind.CANCEL,
        tariff=body.tariff,
        day=day,
    )


def kind_between(payer: AccountKind, payee: AccountKind) -> OrderKind:
    """Return the one movement there is between accounts of these kinds; OrderError if not one."""
    kinds = [
        kind
        for kind, movement in MOVEMENTS.items()
        if movement.moves_money
        and not movement.by_table
        and not movement.house
        and payer in movement.payers
        and payee in movement.payees
    ]
    between = f"from {_spoken(payer)} to {_spoken(payee)}"
    if not kinds:
        raise OrderError(f"There is no movement {between}.")
    if len(kinds) > 1:
        names = " or ".join(kind.name.lower().replace("_", "-") for kind in kinds)
        raise OrderError(f"Say which kind of movement it is {between}: {names}.")
    return kinds[0]


def check_between(kind: OrderKind, payer: AccountKind, payee: AccountKind) -> None:
    """Raise OrderError unless accounts of these kinds may stand on either side of the movement."""
    movement = MOVEMENTS[kind]
    if payer in movement.payers and payee in movement.payees:
        return
    may = f"from {_any_of(movement.payers)} to {_any_of(movement.payees)}"
    name = kind.name.lower().replace("_", " ")
    raise OrderError(
        f"The movement {name} goes {may}; this would be from {_spoken(payer)} to {_spoken(payee)}."
    )


def check_reference(kind: OrderKind, reference: bytes) -> None:
    """Raise OrderError if such an order must say what it is for, and this reference does not."""
    if not MOVEMENTS[kind].needs_reference or any(reference):
        return
    if kind is OrderKind.PAY_BILL:
        raise OrderError("A bill names the account at the biller that is paid.")
    raise OrderError("This movement names what it is for.")


def check_join(agent: int, head_office: int, joined: int) -> None:
    """Raise OrderError if an agent cannot join this head office; `joined` is the one he has, or 0."""
    if joined:
        raise OrderError(f"This agent has joined a head office already: account {joined}.")
    if region_of(agent) != region_of(head_office):
        raise OrderError("A head office is of the same super-agent as its agents.")


def _any_of(kinds: tuple[AccountKind, ...]) -> str:
    return " or ".join(_spoken(kind) for kind in kinds)


def _spoken(kind: AccountKind) -> str:
    name = kind.name.lower()
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def options_for(kind: OrderKind, payee_fee_mode: FeeMode, payee_head_office: int) -> bytes:
    """Return the three option bytes of an order, as the payee's account has them to be.

    A bill says who bears its charge, a withdrawal which head office has a share in the commission.
    """
    movement = MOVEMENTS[kind]
    if movement.commission is not Commission.NONE:
        return (payee_head_office % REGION_ACCOUNTS).to_bytes(3, "little")
    if movement.fee_mode is None:
        return bytes([payee_fee_mode, 0, 0])
    return NO_OPTIONS


def bill_reference(biller: int, account: str) -> bytes:
    """Return the reference of a bill: 32 bytes that only who knows the account can tell it from.

    `account` is what the payer types as account at the biller: spaces around it and the case of its
    letters do not matter. OrderError unless it has 1 to 40 printable characters.
    """
    text = account.strip().upper()
    if not 1 <= len(text) <= BILL_ACCOUNT_MAX or not text.isprintable():
        raise OrderError(f"An account at a biller has 1 to {BILL_ACCOUNT_MAX} characters.")
    return digest(b"harambee bill", biller.to_bytes(4, "little"), text.encode())


def fee_of(
    tariff: Tariff, kind: OrderKind, amount_cents: int, agreed: FeeMode = FeeMode.PAYER
) -> int:
    """Return the payer's fee in cents; OrderError for amounts that cannot be paid so.

    `agreed` is who bears the charge of a bill, as the biller's account says.
    """
    movement = MOVEMENTS[kind]
    if not movement.moves_money:
        if amount_cents:
            raise OrderError("This movement moves no money: its amount is 0.")
        return 0
    mode = agreed if movement.fee_mode is None else movement.fee_mode
    if amount_cents <= 0:
        raise OrderError("The amount must be more than nothing.")
    if amount_cents > MAX_AMOUNT_CENTS:
        raise OrderError("The amount is larger than any payment can be.")
    try:
        return tariff.charge(movement.fee_table, mode, amount_cents).payer_cents
    except NoBandError as error:
        sentence = str(error)
        raise OrderError(f"{sentence[0].upper()}{sentence[1:]}.") from error
