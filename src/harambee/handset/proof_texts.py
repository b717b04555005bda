"""A text that somebody shows, held against the proof of the payment that it tells of.

Anybody can type a text. What a proof can confirm of it are the receipt code, the amount, the charge
that the payer bore, the day, and which way the money went. Names and balances are in no order: of
those the text remains the only word.
"""

import re
from datetime import timedelta
from enum import StrEnum
from typing import Final

from harambee.handset.proofs import ProofError, Proven
from harambee.ledger.kinds import LIMITED, MOVEMENTS, OrderKind
from harambee.ledger.rules import as_moved, named_hold
from harambee.money.amounts import format_cents
from harambee.texts.reading import Told, read_text
from harambee.texts.wording import told_of

DAYS_APART_MAX: Final = 2
"""An order is final within a day of its own, and the clock in a text may differ by another."""

_NUMBERED: Final = re.compile(r"(?:account|akaunti) ([0-9]{1,10})", re.ASCII)


class Side(StrEnum):
    """Whose text it is."""

    PAYER = "payer"
    PAYEE = "payee"


def check_text(proven: Proven, text: str) -> Side:
    """Return whose text of this payment it is; ProofError, with one sentence, if it is none of it."""
    sides = dict(zip(Side, told_of(proven.order), strict=True))
    kinds = {kind: side for side, kind in sides.items() if kind is not None}
    readings = read_text(text, kinds)
    if not readings:
        raise ProofError(
            "The text is forged or of another payment: it is not worded as the one about "
            f"{proven.kind.name.lower().replace('_', ' ')} is."
        )
    # Whose text it is and in which language, its words say; so there is one reading and no more.
    (told,) = readings
    side = kinds[told.kind]
    _check_told(proven, told, side)
    return side


def _check_told(proven: Proven, told: Told, side: Side) -> None:
    if told.code != proven.receipt_code:
        raise _not_of_it(f"its code is {told.code}, and the proof's is {proven.receipt_code}")
    if side is Side.PAYEE and not _says_payees_amount(proven):
        raise ProofError("The proof has this code, but does not say how much this payee received.")
    amount = _amount_told(proven)
    if told.amount_cents is not None and told.amount_cents != amount:
        said = format_cents(told.amount_cents)
        raise _not_of_it(f"it says {said}, and proven are {format_cents(amount)}")
    if side is Side.PAYER and told.cost_cents not in (None, proven.fee_cents):
        raise _not_of_it(f"the proven charge is {format_cents(proven.fee_cents)}")
    if abs(told.day - proven.day) > timedelta(days=DAYS_APART_MAX):
        raise _not_of_it(
            f"it is dated {told.day.isoformat()}, and the order {proven.day.isoformat()}"
        )
    other = proven.payee if side is Side.PAYER else proven.payer
    if not _may_show(proven, told.other, side, other):
        raise _not_of_it(f"it says {told.other}, and proven is account {other}")


def _amount_told(proven: Proven) -> int:
    """Return which amount a text of it tells: of a void, what was held."""
    if proven.kind is OrderKind.VOID:
        return int(named_hold(proven.order)["amount"])
    return proven.amount_cents


def _says_payees_amount(proven: Proven) -> bool:
    """Say whether a payee is told the order's own amount: not a row of a table, nor a share."""
    return not proven.is_bulk and proven.kind is not OrderKind.DEPOSIT_COMMISSION


def _may_show(proven: Proven, shown: str | None, side: Side, other: int) -> bool:
    """Say whether the other side may be shown so; a number of a shop may be its public one."""
    found = None if shown is None else _NUMBERED.fullmatch(shown)
    moved = as_moved(proven.order).kind
    movement = MOVEMENTS[OrderKind(moved) if moved in set(OrderKind) else proven.kind]
    kinds = movement.payees if side is Side.PAYER else movement.payers
    return found is None or not set(kinds) <= set(LIMITED) or int(found[1]) == other


def _not_of_it(why: str) -> ProofError:
    return ProofError(f"The text is forged or of another payment: {why}.")
