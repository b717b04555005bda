"""Holds, refunds and reversals as orders that a handset makes, and a hold as doors tell of it.

Nothing here asks anybody: `holding.py` does. A hold is named by its payer and the sequence in which
it was made; `docs/wire.md` section 4 is the layout of what refers to it.
"""

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from harambee.handset.orders import NO_OPTIONS, OrderBody, OrderError
from harambee.ledger.house_rules import AUTHORISATION_BIT, HOLD_DAYS_MAX, HOLDABLE
from harambee.ledger.kinds import MOVEMENTS, OrderKind
from harambee.ledger.records import NAMED_HOLD, NAMED_SLOT
from harambee.money.tariff import FeeMode, NoBandError, Tariff

_NAMED_HOLD: Final = struct.Struct("<IIQIHBB8x")
_NAMED_SLOT: Final = struct.Struct("<II24x")
assert _NAMED_HOLD.size == NAMED_HOLD.itemsize
assert _NAMED_SLOT.size == NAMED_SLOT.itemsize


class HoldState(StrEnum):
    """How it stands with a hold."""

    HELD = "held"
    RELEASED = "released"
    VOIDED = "voided"


@dataclass(frozen=True, slots=True)
class HoldView:
    """A hold, the same at every honest door that knows as much of it; amounts in cents."""

    payer: int
    sequence: int
    payee: int
    amount_cents: int
    fee_cents: int
    tariff: int
    day: int
    days: int
    """So many days after `day` the side that waits may end it alone."""
    movement: OrderKind
    """What it becomes when it is released."""
    fee_mode: FeeMode
    is_authorisation: bool
    """Whether the payee has the first word; otherwise the payer has."""
    state: HoldState = HoldState.HELD
    slot: int = 0
    """While it is held: which of its own slots its end will be in."""
    released_cents: int = 0
    ended_by: int | None = None
    """The account that signed what ended it."""

    @property
    def is_open(self) -> bool:
        """Whether nobody has ended it yet."""
        return self.state is HoldState.HELD

    @property
    def free_day(self) -> int:
        """From this day on either side may end it alone."""
        return self.day + self.days


def hold_options(movement: OrderKind, days: int, agreed: FeeMode, *, authorisation: bool) -> bytes:
    """Return the option bytes of a hold; OrderError for terms that no super-agent accepts.

    `agreed` is who bears the charge of a bill, as the biller's account says.
    """
    if movement not in HOLDABLE:
        name = movement.name.lower().replace("_", " ")
        raise OrderError(f"Money is held for a send, a buy goods or a pay bill, not for a {name}.")
    if not 1 <= days <= HOLD_DAYS_MAX:
        raise OrderError(f"Money is held for 1 to {HOLD_DAYS_MAX} days.")
    mode = agreed if movement is OrderKind.PAY_BILL else FeeMode.PAYER
    return bytes([movement, days, mode | (AUTHORISATION_BIT if authorisation else 0)])


def released_fee_cents(hold: HoldView, cents: int, tariff: Tariff | None) -> int:
    """Return the payer's fee if so much of a hold is released; OrderError for what cannot be.

    `tariff` is the hold's, where it is known here; for all of it the hold itself says the fee.
    """
    if not 0 < cents <= hold.amount_cents:
        raise OrderError("A release pays more than nothing, and no more than is held.")
    if cents == hold.amount_cents:
        return hold.fee_cents
    if tariff is None:
        raise OrderError(f"Tariff version {hold.tariff} is not known here: release all of it.")
    movement = MOVEMENTS[hold.movement]
    mode = hold.fee_mode if movement.fee_mode is None else movement.fee_mode
    try:
        return tariff.charge(movement.fee_table, mode, cents).payer_cents
    except NoBandError as error:
        sentence = str(error)
        raise OrderError(f"{sentence[0].upper()}{sentence[1:]}.") from error


def release_of(hold: HoldView, signer: int, cents: int, fee_cents: int, day: int) -> OrderBody:
    """Return the order by which a side of a hold releases so much of it."""
    return _ending(OrderKind.RELEASE, hold, signer, cents, fee_cents, day)


def void_of(hold: HoldView, signer: int, day: int) -> OrderBody:
    """Return the order by which a side of a hold gives all of it back."""
    return _ending(OrderKind.VOID, hold, signer, 0, 0, day)


def _ending(
    kind: OrderKind, hold: HoldView, signer: int, cents: int, fee_cents: int, day: int
) -> OrderBody:
    reference = _NAMED_HOLD.pack(
        hold.payer,
        hold.sequence,
        hold.amount_cents,
        hold.fee_cents,
        hold.day,
        hold.movement,
        hold.fee_mode,
    )
    return OrderBody(
        payer=signer,
        payee=hold.payee,
        amount_cents=cents,
        fee_cents=fee_cents,
        sequence=hold.slot,
        kind=kind,
        tariff=hold.tariff,
        day=day,
        options=NO_OPTIONS,
        reference=reference,
    )


def slot_reference(payer: int, sequence: int) -> bytes:
    """Return the reference that names a payment by its slot."""
    return _NAMED_SLOT.pack(payer, sequence)


def slot_named(body: OrderBody) -> tuple[int, int]:
    """Return the slot of the hold, or of the payment, that an order names."""
    payer, sequence = struct.unpack_from("<II", body.reference)
    return payer, sequence
