"""How e-money moves between parties: each order's debit, split to where its credits go.

A payment out of one super-agent's region into another's leaves the first with less of its
customers' money and the second with more, so the first owes the second that much. To whom an order
credits is the ledger's to say (`credits_of`); here it is only added up, by day and pair of parties.
Orders of one payee are added up as arrays: what he and his head office do not get stays with the
super-agent of the payer's region, as its revenue and as excise.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harambee.ledger.kinds import MOVEMENTS, Commission, OrderKind, kind_table
from harambee.ledger.payees import PayeeTable
from harambee.ledger.records import POSITION_BITS, revenue_account
from harambee.ledger.rules import Credits, Order, Payment, as_moved, credits_of
from harambee.money.amounts import MAX_AMOUNT_CENTS
from harambee.money.tariff import FeeMode, Tariff
from harambee.oversight.settlement_parties import PARTIES_MAX, SettlementParties

Orders = npt.NDArray[np.void]

ORDERS_AT_ONCE: Final = 1_024
"""So few orders are added up as 64-bit integers; larger sums are Python's, which cannot overflow."""
assert 2 * ORDERS_AT_ONCE * MAX_AMOUNT_CENTS < 2**63

SPLITS_REMEMBERED: Final = 1 << 16
"""How many different amounts and terms are remembered before they are computed anew."""

_KINDS: Final = kind_table()
_BY_TABLE: Final = tuple(int(kind) for kind, row in MOVEMENTS.items() if row.by_table)
_SHARED: Final = tuple(
    int(kind)
    for kind, row in MOVEMENTS.items()
    if row.moves_money
    and not row.by_table
    and not row.house
    and (row.commission is not Commission.NONE or row.fee_mode is not FeeMode.PAYER)
)
"""Kinds that pay one payee, and part of whose money is his head office's or charge is his.

How an order of them is split depends on its `_TERMS` alone. A kind that is neither plain nor one of
these is asked for its credits order by order.
"""
_TERMS: Final = np.dtype(
    [("kind", "u1"), ("tariff", "<u2"), ("amount", "<u8"), ("fee", "<u4"), ("options", "u1", 3)]
)
assert _TERMS.itemsize == 18


class NotFinalError(ValueError):
    """An order that no super-agent accepts is told as final; the message is one sentence."""


class Split(NamedTuple):
    """Where the money of an order of one payee goes, in cents."""

    payee: int
    head_office: int
    """To the payee's head office, which is of his region."""
    revenue: int
    excise: int
    """Both of the payer's region."""


class Flow(NamedTuple):
    """So many cents went from one party to another, by orders of one day; never to itself."""

    day: int
    payer: int
    """Row of the party in `SettlementParties.all`."""
    payee: int
    cents: int


class Splitter:
    """Says how orders of one payee are split, and remembers it: most amounts come again."""

    def __init__(self, tariffs: Mapping[int, Tariff]) -> None:
        """`tariffs` are those that orders name, by version."""
        self.tariffs: Final = tariffs
        self._splits: dict[bytes, Split] = {}

    def shared(self, orders: Orders) -> npt.NDArray[np.int64]:
        """Return the `Split` of each of (n,) orders, (n, 4), all of kinds that share (`_SHARED`)."""
        terms = np.zeros(len(orders), _TERMS)
        assert _TERMS.names is not None
        for name in _TERMS.names:
            terms[name] = orders[name]
        keys, first, rows = np.unique(
            terms.view(f"V{_TERMS.itemsize}"), return_index=True, return_inverse=True
        )
        found = np.zeros((len(keys), len(Split._fields)), np.int64)
        for place, (key, row) in enumerate(zip(keys.tolist(), first.tolist(), strict=True)):
            split = self._splits.get(key)
            if split is None:
                if len(self._splits) >= SPLITS_REMEMBERED:
                    self._splits.clear()
                split = self._splits[key] = self._split(Order.of(orders[row]))
            found[place] = split
        return found[rows]

    def _split(self, order: Order) -> Split:
        credited = _credited(order, self.tariffs)
        (payee,) = credited.payees
        assert payee.payee == order.payee, "such kinds pay whom they name"
        office = 0 if credited.head_office is None else credited.head_office.cents
        return Split(payee.cents, office, credited.revenue.cents, credited.excise.cents)


class FlowReader:
    """Says what final orders moved between the parties of one network."""

    def __init__(self, parties: SettlementParties, tariffs: Mapping[int, Tariff]) -> None:
        """`tariffs` are those that the orders name, by version."""
        self.parties: Final = parties
        self._splitter = Splitter(tariffs)

    def flows(self, orders: Orders, tables: Mapping[int, PayeeTable]) -> Iterator[Flow]:
        """Yield what (n,) final ORDER records moved; a pair of parties may come more than once.

        NotFinalError where one cannot be final.
        `tables` are the PAYEE tables of the bulk orders among them, by row.
        """
        for start in range(0, len(orders), ORDERS_AT_ONCE):
            part = orders[start : start + ORDERS_AT_ONCE]
            kinds = part["kind"]
            one_payee = (_KINDS["plain"][kinds] == 1) | np.isin(kinds, _SHARED)
            yield from self._of_one_payee(part[one_payee])
            others = np.flatnonzero(~one_payee & (_KINDS["moves_money"][kinds] == 1))
            for row in others.tolist():
                yield from self._of_any(part[row], tables.get(start + row))

    def _of_one_payee(self, orders: Orders) -> Iterator[Flow]:
        """Add up orders whose money goes to the payee, his head office and the payer's region."""
        payee_cents, taken_cents = orders["amount"].astype(np.int64), orders["fee"].astype(np.int64)
        office_cents = np.zeros(len(orders), np.int64)
        shared = np.flatnonzero(np.isin(orders["kind"], _SHARED))
        if len(shared):
            splits = self._splitter.shared(orders[shared])
            payee_cents[shared], office_cents[shared] = splits[:, 0], splits[:, 1]
            taken_cents[shared] = splits[:, 2] + splits[:, 3]
        payers, payees = orders["payer"], orders["payee"]
        towards = [
            self.parties.rows_of(payees),
            self.parties.rows_of(_revenue_accounts(payees)),  # a head office is of that region too
            self.parties.rows_of(_revenue_accounts(payers)),
        ]
        keys = np.stack(
            [
                np.tile(orders["day"].astype(np.int64), 3),
                np.tile(self.parties.rows_of(payers), 3),
                np.concatenate(towards),
            ]
        )
        cents = np.concatenate([payee_cents, office_cents, taken_cents])
        counts = (keys[1] != keys[2]) & (cents > 0)
        keys, cents = keys[:, counts], cents[counts]
        if not len(cents):
            return
        # One number for a day and two parties: two of 4,096 and a day of 65,536 fit 40 bits.
        packed = (keys[0] * PARTIES_MAX + keys[1]) * PARTIES_MAX + keys[2]
        pairs, rows = np.unique(packed, return_inverse=True)
        sums = np.zeros(len(pairs), np.int64)
        np.add.at(sums, rows, cents)
        for pair, total in zip(pairs.tolist(), sums.tolist(), strict=True):
            rest, payee = divmod(pair, PARTIES_MAX)
            day, payer = divmod(rest, PARTIES_MAX)
            yield Flow(day, payer, payee, total)

    def _of_any(self, record: np.void, table: PayeeTable | None) -> Iterator[Flow]:
        """Yield what one order moved, by each of its credits."""
        # A release is signed by whoever ends the hold, and debits the one whose money was held.
        order = as_moved(Order.of(record))
        payments = None if table is None else tuple(Payment(*row) for row in table.tolist())
        credited = _credited(order, self._splitter.tariffs, payments)
        numbers = np.array([order.payer, *(one.payee for one in credited.all)], np.uint32)
        payer, *payees = self.parties.rows_of(numbers).tolist()
        for payee, payment in zip(payees, credited.all, strict=True):
            if payee != payer and payment.cents:
                yield Flow(order.day, payer, payee, payment.cents)


def _revenue_accounts(numbers: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Return the revenue account of the region of each of (n,) accounts."""
    first: npt.NDArray[np.uint32] = numbers >> np.uint32(POSITION_BITS) << np.uint32(POSITION_BITS)
    return first | np.uint32(revenue_account(0))


def excise_cents_of(orders: Orders, splitter: Splitter) -> npt.NDArray[np.int64]:
    """Return the tax inside the charge of each of (n,) final ORDER records, whoever bore it.

    NotFinalError where one cannot be final.
    """
    found = np.zeros(len(orders), np.int64)
    kinds = orders["kind"]
    shared = np.isin(kinds, _SHARED)
    if shared.any():
        found[shared] = splitter.shared(orders[shared])[:, 3]
    by_fee = (_KINDS["plain"][kinds] == 1) | np.isin(kinds, _BY_TABLE)
    rows = np.flatnonzero(by_fee & (orders["fee"] > 0))
    if len(rows):
        fees = orders["fee"][rows].astype(np.int64)
        keys, places = np.unique(
            orders["tariff"][rows].astype(np.int64) << 32 | fees, return_inverse=True
        )
        tariffs = splitter.tariffs
        if not {key >> 32 for key in keys.tolist()} <= tariffs.keys():
            raise NotFinalError("an order names a tariff that this network does not have")
        taxes = [tariffs[key >> 32].excise_cents(key & 0xFFFFFFFF) for key in keys.tolist()]
        found[rows] = np.array(taxes, np.int64)[places]
    others = ~by_fee & ~shared & (_KINDS["moves_money"][kinds] == 1)
    for row in np.flatnonzero(others).tolist():
        found[row] = _credited(Order.of(orders[row]), splitter.tariffs).excise.cents
    return found


def _credited(
    order: Order, tariffs: Mapping[int, Tariff], table: tuple[Payment, ...] | None = None
) -> Credits:
    tariff = tariffs.get(order.tariff)
    credited = None if tariff is None else credits_of(order, tariff, table)
    if credited is None:
        raise NotFinalError(
            f"order {order.sequence} of account {order.payer} is told as final, and cannot be"
        )
    return credited


def kind_name(code: int) -> str:
    """Return the name of an order's kind, or its number if this version has no name for it."""
    return OrderKind(code).name.lower() if code in set(OrderKind) else str(code)
