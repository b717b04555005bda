"""What part of an order's effect on one account was the charge that it bore, or what it earned.

A statement shows these as lines of their own: the payment, its charge, the commission. They are
read off the order and its tariff, as the effect itself is (`rules.credits_of`), and add nothing to it.
"""

from typing import NamedTuple

from harambee.ledger.kinds import MOVEMENTS, Commission, OrderKind
from harambee.ledger.records import excise_account, revenue_account
from harambee.ledger.rules import Order, as_moved, charge_of, credits_of, sides_of
from harambee.money.tariff import FeeMode, Tariff


class Shares(NamedTuple):
    """Parts of what an order changed in an account's balance, in cents, none below zero."""

    charge_cents: int = 0
    """What it bore of the charge; the change is less by it."""
    commission_cents: int = 0
    """What it earned; the change is more by it."""


def shares_of(number: int, order: Order, tariff: Tariff) -> Shares:
    """Return an account's shares of an order that was applied; none of one that moves no money."""
    if order.kind not in MOVEMENTS or not MOVEMENTS[OrderKind(order.kind)].moves_money:
        return Shares()
    order = as_moved(order)
    movement = MOVEMENTS[OrderKind(order.kind)]
    charge = order.fee_cents if number == order.payer else 0
    if movement.by_table:
        return Shares(charge)
    if number == order.payee and movement.fee_mode is not FeeMode.PAYER:
        charged = charge_of(order, tariff, order.amount_cents)
        assert charged is not None, "it was applied"
        charge += charged.payee_cents
    if movement.commission is Commission.NONE:
        return Shares(charge)
    credited = credits_of(order, tariff)
    assert credited is not None, "it was applied"
    commission = 0
    if number == order.payee:
        received = sum(cents for _, cents in credited.payees)
        of_the_amount = movement.commission is Commission.OF_THE_AMOUNT
        commission += received if of_the_amount else received - order.amount_cents
    if credited.head_office is not None and number == credited.head_office.payee:
        commission += credited.head_office.cents
    return Shares(charge, commission)


def other_side(number: int, order: Order) -> int | None:
    """Return whom an account's line of an order is about; None where it is about nobody else.

    The payer sees the payee and the payee the payer. Who only receives a share sees who caused it:
    a head office its agent, revenue and excise accounts the payer.
    """
    payer, payee = sides_of(order)
    if number == payer:
        return None if payee == number else payee
    earns = order.kind in MOVEMENTS and MOVEMENTS[OrderKind(order.kind)].commission
    is_system = number in (revenue_account(payer), excise_account(payer))
    return payee if earns and number != payee and not is_system else payer
