"""The kinds of order, as one table: who may pay whom, at which price, and what the order must say.

Both the readable rules and the compiled kernels read this table, so a new movement is one new row.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.records import AccountKind
from harambee.money.tariff import FeeMode, FeeTable


class OrderKind(IntEnum):
    """The `kind` byte of an order (docs/wire.md section 4). Codes are never reused."""

    SEND = 1
    WITHDRAW = 2
    DEPOSIT = 3
    BUY_GOODS = 4
    BANK_DEPOSIT = 5
    CANCEL = 6
    ENROL = 7
    CLAIM = 8
    FLOAT_SALE = 9
    BANK_WITHDRAWAL = 10
    PAY_BILL = 11
    AIRTIME = 12
    PAY_OUT = 13
    BULK_PAY_OUT = 14
    BUSINESS_TRANSFER = 15
    DEPOSIT_COMMISSION = 16
    TREASURY = 17
    EXCISE_REMITTANCE = 18
    JOIN_HEAD_OFFICE = 19
    HOLD = 20
    RELEASE = 21
    VOID = 22
    REFUND = 23
    ASK_REVERSAL = 24
    REFUSE_REVERSAL = 25
    DISPUTE = 26
    CHANGE_KEY = 27
    REFUSE_KEY = 28
    TAKE_KEY = 29
    ADOPT_LIMIT = 30
    FREEZE = 64
    UNFREEZE = 65
    CLOSE = 66
    SET_TIER = 67
    ATTEST = 68
    NEW_TARIFF = 69
    REQUEST_KEY = 70


class Space(IntEnum):
    """Whose slots an order is in; in one slot at most one order ever becomes final."""

    ACCOUNT = 0
    """The payer's own: one after the other."""
    ALIAS = 1
    """The alias's that a claim names."""
    GOVERNANCE = 2
    """Those of what is governed: an account, or the tariff."""
    HOLD = 3
    """Those of a hold, so that it is released or voided once, whoever of the two signs."""


_CUSTOMER: Final = AccountKind.CUSTOMER
_AGENT: Final = AccountKind.AGENT
_MERCHANT: Final = AccountKind.MERCHANT
_BUSINESS: Final = AccountKind.BUSINESS
_BANK: Final = AccountKind.BANK
_REVENUE: Final = AccountKind.REVENUE
_COMMISSION: Final = AccountKind.COMMISSION
_FLOAT: Final = AccountKind.FLOAT
_EXCISE: Final = AccountKind.EXCISE
_POCHI: Final = AccountKind.POCHI
_ENROLMENT: Final = AccountKind.ENROLMENT

PARTIES: Final = (_CUSTOMER, _AGENT, _MERCHANT, _BUSINESS, _POCHI)
"""Whom a super-agent enrols; all other accounts are its own, or a bank's."""

LIMITED: Final = (_CUSTOMER, _POCHI)
"""Whose amounts, days and balances the tariff limits, by the account's tier."""


class Commission(IntEnum):
    """Where an agent's commission comes from; such orders name his head office in their options."""

    NONE = 0
    OF_THE_CHARGE = 1
    """The charge has it inside: what the tariff's table says for the amount."""
    OF_THE_AMOUNT = 2
    """The amount itself is a commission."""


@dataclass(frozen=True)
class Movement:
    """One row: the account kinds on either side, and how the order is priced."""

    payers: tuple[AccountKind, ...]
    payees: tuple[AccountKind, ...]
    fee_table: FeeTable = FeeTable.NONE
    moves_money: bool = True
    fee_mode: FeeMode | None = FeeMode.PAYER
    """Who bears the charge; None where the order says so in its first option byte."""
    commission: Commission = Commission.NONE
    needs_reference: bool = False
    """Whether a reference of zeros is refused."""
    by_table: bool = False
    """Whether payees and amounts stand in a table beside the order, which is to its payer."""
    by_document: bool = False
    """Whether a document travels beside the order, which names it by its digest."""
    space: Space = Space.ACCOUNT
    to_itself: bool = False
    """Whether it names its payer as the payee, too."""
    has_figure: bool = False
    """Whether an amount stands in an order that moves none."""
    house: bool = False
    """Whether it is one of the rules of the house: rare, and left to `house_rules` by the kernels."""


_ANYONE: Final = tuple(kind for kind in AccountKind if kind is not AccountKind.NONE)

_Kinds = tuple[AccountKind, ...]


def _of_the_house(payers: _Kinds, payees: _Kinds, **more: Any) -> Movement:
    """A row of the house; it moves no money unless it says so."""
    return Movement(payers, payees, **{"moves_money": False, "house": True} | more)


def _governed(payees: _Kinds, payers: _Kinds = (_ENROLMENT,), **more: Any) -> Movement:
    """A row for what super-agents approve: proposed by one of them, about an account or the tariff."""
    return _of_the_house(payers, payees, space=Space.GOVERNANCE, **more)


MOVEMENTS: Final[dict[OrderKind, Movement]] = {
    OrderKind.SEND: Movement((_CUSTOMER, _POCHI), (_CUSTOMER, _POCHI), FeeTable.SEND),
    OrderKind.WITHDRAW: Movement(
        (_CUSTOMER, _POCHI), (_AGENT,), FeeTable.WITHDRAW, commission=Commission.OF_THE_CHARGE
    ),
    OrderKind.DEPOSIT: Movement((_AGENT,), (_CUSTOMER,), FeeTable.DEPOSIT),
    OrderKind.BUY_GOODS: Movement(
        (_CUSTOMER, _POCHI), (_MERCHANT,), FeeTable.BUY_GOODS, fee_mode=FeeMode.PAYEE
    ),
    OrderKind.BANK_DEPOSIT: Movement(PARTIES, (_BANK,), FeeTable.BANK_DEPOSIT),
    OrderKind.CANCEL: Movement(_ANYONE, _ANYONE, moves_money=False, to_itself=True),
    OrderKind.ENROL: Movement((_ENROLMENT,), (), moves_money=False),
    OrderKind.CLAIM: Movement(_ANYONE, _ANYONE, moves_money=False, space=Space.ALIAS),
    OrderKind.FLOAT_SALE: Movement((_FLOAT, _AGENT, _BANK), (_FLOAT, _AGENT)),
    OrderKind.BANK_WITHDRAWAL: Movement((_BANK,), PARTIES, FeeTable.BANK_WITHDRAWAL),
    OrderKind.PAY_BILL: Movement(
        (_CUSTOMER, _POCHI), (_BUSINESS,), FeeTable.PAY_BILL, fee_mode=None, needs_reference=True
    ),
    OrderKind.AIRTIME: Movement((_CUSTOMER, _POCHI, _AGENT), (_BUSINESS,), FeeTable.AIRTIME),
    OrderKind.PAY_OUT: Movement((_BUSINESS, _MERCHANT), (_CUSTOMER, _POCHI), FeeTable.PAY_OUT),
    OrderKind.BULK_PAY_OUT: Movement(
        (_BUSINESS,), (_CUSTOMER, _POCHI), FeeTable.PAY_OUT, by_table=True
    ),
    OrderKind.BUSINESS_TRANSFER: Movement(
        (_BUSINESS, _MERCHANT), (_BUSINESS, _MERCHANT), FeeTable.BUSINESS_TRANSFER
    ),
    OrderKind.DEPOSIT_COMMISSION: Movement(
        (_COMMISSION,), (_AGENT,), commission=Commission.OF_THE_AMOUNT, needs_reference=True
    ),
    OrderKind.TREASURY: Movement(
        (_REVENUE, _COMMISSION, _FLOAT), (_REVENUE, _COMMISSION, _FLOAT, _BANK)
    ),
    OrderKind.EXCISE_REMITTANCE: Movement((_EXCISE,), (_BUSINESS, _BANK)),
    OrderKind.JOIN_HEAD_OFFICE: Movement((_AGENT,), (_AGENT, _BUSINESS), moves_money=False),
    OrderKind.HOLD: _of_the_house(
        (_CUSTOMER, _POCHI), (_CUSTOMER, _POCHI, _MERCHANT, _BUSINESS), has_figure=True
    ),
    OrderKind.RELEASE: _of_the_house(
        _ANYONE, (_CUSTOMER, _POCHI, _MERCHANT, _BUSINESS), space=Space.HOLD, moves_money=True
    ),
    OrderKind.VOID: _of_the_house(
        _ANYONE, (_CUSTOMER, _POCHI, _MERCHANT, _BUSINESS), space=Space.HOLD
    ),
    OrderKind.REFUND: _of_the_house(PARTIES, PARTIES, moves_money=True),
    OrderKind.ASK_REVERSAL: _of_the_house(PARTIES, PARTIES, has_figure=True),
    OrderKind.REFUSE_REVERSAL: _of_the_house(PARTIES, PARTIES),
    OrderKind.DISPUTE: _of_the_house(PARTIES, PARTIES),
    OrderKind.CHANGE_KEY: _of_the_house(_ANYONE, _ANYONE, to_itself=True),
    OrderKind.REFUSE_KEY: _of_the_house(_ANYONE, _ANYONE, to_itself=True),
    OrderKind.TAKE_KEY: _of_the_house(_ANYONE, _ANYONE, to_itself=True),
    OrderKind.ADOPT_LIMIT: _of_the_house((_BANK,), (_BANK,), to_itself=True, has_figure=True),
    OrderKind.FREEZE: _governed(_ANYONE, has_figure=True),
    OrderKind.UNFREEZE: _governed(_ANYONE, has_figure=True),
    OrderKind.CLOSE: _governed(_ANYONE),
    OrderKind.SET_TIER: _governed((_CUSTOMER, _POCHI)),
    OrderKind.ATTEST: _governed((_BANK,), (_BANK,), has_figure=True, to_itself=True),
    OrderKind.NEW_TARIFF: _governed((_ENROLMENT,), to_itself=True, by_document=True),
    OrderKind.REQUEST_KEY: _governed(_ANYONE),
}
assert MOVEMENTS.keys() == set(OrderKind), "every kind has its row"

HOUSE: Final = frozenset(kind for kind, movement in MOVEMENTS.items() if movement.house)
"""The kinds that are judged and applied by `house_rules`."""
GOVERNED: Final = frozenset(k for k, row in MOVEMENTS.items() if row.space is Space.GOVERNANCE)
"""The kinds for which super-agents vote only when two of their own operators have approved."""


ENDINGS: Final = frozenset(k for k, row in MOVEMENTS.items() if row.space is Space.HOLD)
"""What ends a hold: signed by either side of it, in a slot that is the hold's own."""


def _marked(kinds: Iterable[OrderKind]) -> npt.NDArray[np.bool_]:
    """Return the kinds as a table by the kind byte of an order, (256,), read-only."""
    table = np.zeros(256, np.bool_)
    table[[int(kind) for kind in kinds]] = True
    table.setflags(write=False)
    return table


IS_HOUSE: Final = _marked(HOUSE)
IS_GOVERNED: Final = _marked(GOVERNED)
IS_ELSEWHERE: Final = _marked(k for k, row in MOVEMENTS.items() if row.space is not Space.ACCOUNT)
"""Of the kind byte: whether the order is in a slot that is not its payer's."""
HAS_CONTENT: Final = _marked(k for k, row in MOVEMENTS.items() if row.by_table or row.by_document)
"""Of the kind byte: whether something travels beside the order that it names by a digest."""


KIND: Final = np.dtype(
    [
        ("payers", "<u2"),
        ("payees", "<u2"),
        ("fee_table", "u1"),
        ("moves_money", "u1"),
        ("fee_mode", "u1"),
        ("commission", "u1"),
        ("needs_reference", "u1"),
        ("plain", "u1"),
        ("house", "u1"),
    ]
)
"""A movement for kernels: bit k of a mask allows account kind k; without payers, no such kind.

A plain one moves money from its payer, who bears the charge, to one payee, and has no commission.
"""
assert all(int(kind) < 16 for kind in AccountKind), "an account kind is a bit of a u16"

MODE_OF_THE_ORDER: Final = 3
"""The `fee_mode` of a KIND whose orders say themselves who bears the charge."""
assert MODE_OF_THE_ORDER not in set(FeeMode)


def kind_table() -> npt.NDArray[np.void]:
    """Return `MOVEMENTS` for kernels: a read-only KIND array, one row for each value of a byte."""
    table = np.zeros(256, KIND)
    for kind, movement in MOVEMENTS.items():
        row = table[kind]
        row["payers"] = mask_of(movement.payers)
        row["payees"] = mask_of(movement.payees)
        row["fee_table"] = movement.fee_table
        row["moves_money"] = movement.moves_money
        mode = movement.fee_mode
        row["fee_mode"] = MODE_OF_THE_ORDER if mode is None else mode
        row["commission"] = movement.commission
        row["needs_reference"] = movement.needs_reference
        row["house"] = movement.house
        row["plain"] = (
            movement.moves_money
            and mode is FeeMode.PAYER
            and movement.commission is Commission.NONE
            and not movement.by_table
            and not movement.house
        )
    table.setflags(write=False)
    return table


def mask_of(kinds: tuple[AccountKind, ...]) -> int:
    """Return the kinds as bits."""
    return sum(1 << int(kind) for kind in kinds)
