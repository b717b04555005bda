"""The text that a payment's payer gets, as the terminal shows it: the same words as on a telephone."""

import time

import numpy as np

from harambee.handset.handset import Payment, PaymentStatus
from harambee.handset.telephone import looks_like_telephone, telephone
from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import ORDER
from harambee.ledger.rules import Order
from harambee.texts.confirmations import Facts, confirmation
from harambee.texts.languages import Language
from harambee.texts.parties import Party
from harambee.texts.wording import TextKind, told_of


def payee_shown(account: int, typed: str, name: str | None = None) -> Party:
    """Return whom a text names: by name if it is known here, and by the number that was typed."""
    number = telephone(typed) if looks_like_telephone(typed) else None
    return Party(account, name, number)


def reference_shown(account: str | None, airtime_for: str | None) -> str | None:
    """Return what a text says a payment is for: an account at a biller, or whose airtime it is."""
    if airtime_for is not None and looks_like_telephone(airtime_for):
        return telephone(airtime_for)
    return account


def payment_text(
    payment: Payment,
    other: Party,
    *,
    balance_cents: int | None = None,
    free_cents: int | None = None,
    reference: str | None = None,
    paid_code: str = "",
    language: Language = Language.ENGLISH,
) -> str | None:
    """Return the text of a payment that is decided; None while it is open, or for what is not told."""
    kind = _kind(payment)
    if kind is None:
        return None
    order = _order_of(payment)
    facts = Facts(
        code=payment.receipt_code,
        time_ms=time.time_ns() // 1_000_000,
        other=other,
        amount_cents=payment.amount_cents,
        balance_cents=balance_cents,
        cost_cents=payment.fee_cents,
        reference=reference,
        outcome=payment.outcome,
        free_cents=free_cents,
        until_day=order.day + order.options[1] if payment.kind is OrderKind.HOLD else 0,
        paid_code=paid_code,
    )
    return confirmation(kind, facts, language)


def _order_of(payment: Payment) -> Order:
    return Order.of(np.frombuffer(payment.order, ORDER)[0])


def _kind(payment: Payment) -> TextKind | None:
    match payment.status:
        case PaymentStatus.FINAL:
            return told_of(_order_of(payment))[0]
        case PaymentStatus.CANCELLED:
            return TextKind.CANCELLED
        case PaymentStatus.REFUSED:
            return TextKind.REFUSED
    return None
