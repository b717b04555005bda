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


PARTIES: Final = (
    AccountKind.CUSTOMER,
    AccountKind.AGENT,
    AccountKind.MERCHANT,
    AccountKind.BUSINESS,
)


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
        (AccountKind.FLOAT, AccountKind.AGENT, AccountKind.BANK),
        (AccountKind.FLOAT, AccountKind.AGENT),
    ),
    OrderKind.BANK_WITHDRAWAL: Movement((AccountKind.BANK,), PARTIES),
}
assert MOVEMENTS.keys() == set(OrderKind), "every kind has its row"


KIND: Final = np.dtype(
    [("payers", "<u2"), ("payees", "<u2"), ("fee_table", "u1"), ("moves_money", "u1")]
)
"""A movement for kernels: bit k of a mask allows account kind k; without payers, no such kind."""
assert all(int(kind) < 16 for kind in AccountKind), "an account kind is a bit of a u16"


def kind_table() -> npt.NDArray[np.void]:
    """Return `MOVEMENTS` for kernels: a read-only KIND array, one row for each value of a byte."""
    table = np.zeros(256, KIND)
    for kind, movement in MOVEMENTS.items():
        row = table[kind]
        row["payers"] = _mask(movement.payers)
        row["payees"] = _mask(movement.payees)
        row["fee_table"] = movement.fee_table
        row["moves_money"] = movement.moves_money
    table.setflags(write=False)
    return table


def _mask(kinds: tuple[AccountKind, ...]) -> int:
    return sum(1 << int(kind) for kind in kinds)
