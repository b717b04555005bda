"""The kinds of order, as one table: who may pay whom, at which fee, with which options.

Both the readable rules and the compiled kernels read this table, so a new movement is one new row.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.records import AccountKind
from harambee.money.tariff import FeeTable


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


PARTIES: Final = (AccountKind.CUSTOMER, AccountKind.AGENT, AccountKind.MERCHANT, AccountKind.BUSINESS)


@dataclass(frozen=True)
class Movement:
    """One row: the account kinds on either side and the fee table of the tariff."""

    payers: tuple[AccountKind, ...]
    payees: tuple[AccountKind, ...]
    fee_table: FeeTable = FeeTable.NONE
    moves_money: bool = True


_ANYONE: Final = tuple(kind for kind in AccountKind if kind is not AccountKind.NONE)

MOVEMENTS: Final[dict[OrderKind, Movement]] = {
    OrderKind.SEND: Movement((AccountKind.CUSTOMER,), (AccountKind.CUSTOMER,), FeeTable.SEND),
    OrderKind.WITHDRAW: Movement((AccountKind.CUSTOMER,), (AccountKind.AGENT,), FeeTable.WITHDRAW),
    OrderKind.DEPOSIT: Movement((AccountKind.AGENT,), (AccountKind.CUSTOMER,)),
    OrderKind.BUY_GOODS: Movement((AccountKind.CUSTOMER,), (AccountKind.MERCHANT,)),
    OrderKind.BANK_DEPOSIT: Movement(PARTIES, (AccountKind.BANK,)),
    OrderKind.CANCEL: Movement(_ANYONE, _ANYONE, moves_money=False),
    OrderKind.ENROL: Movement((AccountKind.ENROLMENT,), (), moves_money=False),
    OrderKind.CLAIM: Movement(_ANYONE, _ANYONE, moves_money=False),
    OrderKind.FLOAT_SALE: Movement(
        (AccountKind.FLOAT, AccountKind.AGENT, AccountKind.BANK), (AccountKind.FLOAT, AccountKind.AGENT)
    ),
    OrderKind.BANK_WITHDRAWAL: Movement((AccountKind.BANK,), PARTIES),
}
assert MOVEMENTS.keys() == set(OrderKind), "every kind has its row"


@dataclass(frozen=True)
class KindTable:
    """`MOVEMENTS` as arrays of 256 for kernels: bit k of a mask allows account kind k; zero: kind unknown."""

    payer_mask: npt.NDArray[np.uint16]
    payee_mask: npt.NDArray[np.uint16]
    fee_table: npt.NDArray[np.uint8]
    moves_money: npt.NDArray[np.uint8]


def _mask(kinds: tuple[AccountKind, ...]) -> int:
    return sum(1 << int(kind) for kind in kinds)


def kind_table() -> KindTable:
    """The table for kernels; made once and shared."""
    table = KindTable(
        np.zeros(256, np.uint16), np.zeros(256, np.uint16), np.zeros(256, np.uint8), np.zeros(256, np.uint8)
    )
    for kind, movement in MOVEMENTS.items():
        table.payer_mask[kind] = _mask(movement.payers)
        table.payee_mask[kind] = _mask(movement.payees)
        table.fee_table[kind] = int(movement.fee_table)
        table.moves_money[kind] = movement.moves_money
    return table
