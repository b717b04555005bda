"""Refunds, and asking for money back: whoever received a payment returns it, and nobody else can.

To ask, to refuse and to dispute move no money: they stand in the ledger for both sides, and for
whoever judges between them, to see.
"""

from harambee.handset.agreement import DisagreementError
from harambee.handset.doors import AccountView, ReversalView
from harambee.handset.handset import Handset, HandsetError, Payment, believed
from harambee.handset.holding import find_payment, hold_view
from harambee.handset.holds import slot_reference
from harambee.handset.orders import OrderBody
from harambee.handset.tariffs import tariff_of_day
from harambee.ledger.house_rules import REFUNDABLE
from harambee.ledger.kinds import OrderKind

ASKS = frozenset({OrderKind.ASK_REVERSAL, OrderKind.DISPUTE})
"""What the payer of the payment signs; the rest is for its payee."""


async def refund(handset: Handset, named: str, amount_cents: int | None = None) -> Payment:
    """Give a payment back, all that is left of it or so much, to who made it."""
    original = await _original(handset, named, OrderKind.REFUND)
    cents = amount_cents
    if cents is None:
        cents = await _paid_cents(handset, original)
        cents -= (await state_of(handset, original)).refunded_cents
        if cents <= 0:
            raise HandsetError("All of this payment has been given back already.")
    return await _say(handset, OrderKind.REFUND, original, cents)


async def ask(handset: Handset, named: str, amount_cents: int | None = None) -> Payment:
    """Ask for a payment back, all of it or so much."""
    original = await _original(handset, named, OrderKind.ASK_REVERSAL)
    if (await state_of(handset, original)).asked_cents:
        raise HandsetError("This payment was asked back already; that is done once.")
    cents = await _paid_cents(handset, original) if amount_cents is None else amount_cents
    return await _say(handset, OrderKind.ASK_REVERSAL, original, cents)


async def refuse(handset: Handset, named: str) -> Payment:
    """Refuse to give a payment back."""
    original = await _original(handset, named, OrderKind.REFUSE_REVERSAL)
    _demand_asked(state := await state_of(handset, original))
    if state.refused:
        raise HandsetError("You have refused already to give this payment back.")
    return await _say(handset, OrderKind.REFUSE_REVERSAL, original, 0)


async def dispute(handset: Handset, named: str) -> Payment:
    """Dispute a payment that was asked back."""
    original = await _original(handset, named, OrderKind.DISPUTE)
    _demand_asked(state := await state_of(handset, original))
    if state.disputed:
        raise HandsetError("You have disputed this payment already.")
    return await _say(handset, OrderKind.DISPUTE, original, 0)


async def show(handset: Handset, named: str) -> tuple[OrderBody, ReversalView]:
    """Return a payment, and what became of the wish to have it back."""
    original = await find_payment(handset, named)
    if original.kind not in REFUNDABLE:
        raise HandsetError(_not_refundable(original))
    return original, await state_of(handset, original)


async def state_of(handset: Handset, original: OrderBody) -> ReversalView:
    """Return what became of the wish to have a payment back, as w super-agents say."""
    key = original.payer, original.sequence
    try:
        found = await believed(handset.genesis, handset.doors, lambda door: door.reversal(*key))
    except DisagreementError as error:
        raise HandsetError(str(error)) from error
    if found is None:
        raise HandsetError(_not_refundable(original))
    return found


async def _original(handset: Handset, named: str, kind: OrderKind) -> OrderBody:
    """Return the payment that is named, if the own account is the side of it that signs such an order."""
    original = await find_payment(handset, named)
    if original.kind not in REFUNDABLE:
        raise HandsetError(_not_refundable(original))
    signer = original.payer if kind in ASKS else original.payee
    if signer != handset.wallet.account:
        side = "made" if kind in ASKS else "received"
        raise HandsetError(f"Only who {side} this payment can do that: account {signer}.")
    return original


def _demand_asked(state: ReversalView) -> None:
    if not state.asked_cents:
        raise HandsetError("Nobody has asked for this payment back.")


async def _paid_cents(handset: Handset, original: OrderBody) -> int:
    """Return what a payment has paid: of a hold, what was released of it."""
    if original.kind is not OrderKind.HOLD:
        return original.amount_cents
    found = await hold_view(handset, (original.payer, original.sequence))
    if not found.released_cents:
        raise HandsetError(f"Nothing of this hold was paid: it is {found.state}.")
    return found.released_cents


async def _say(handset: Handset, kind: OrderKind, original: OrderBody, cents: int) -> Payment:
    other, day = original.payee if kind in ASKS else original.payer, handset.day()
    version = handset.genesis.tariffs[0].version
    if kind is OrderKind.REFUND:  # the others move no money, and pay by no tariff
        version = (await tariff_of_day(handset.genesis, handset.doors, day)).version

    async def make(own: AccountView, sequence: int) -> OrderBody:
        return OrderBody(
            payer=own.account,
            payee=other,
            amount_cents=cents,
            fee_cents=0,
            sequence=sequence,
            kind=kind,
            tariff=version,
            day=day,
            reference=slot_reference(original.payer, original.sequence),
        )

    return await handset.sign_next(make)


def _not_refundable(original: OrderBody) -> str:
    name = original.kind.name.lower().replace("_", " ")
    return f"An order of this kind, {name}, cannot be given back."
