"""How e-money moves between parties: each order's debit, split to where its credits go.

A payment out of one super-agent's region into another's leaves the first with less of its
customers' money and the second with more, so the first owes the second that much. To whom an order
credits is the ledger's to say (`credits_of`); here it is only added up, by day and pair of parties.
Most orders are plain, and are added up as arrays: one payee gets the amount, and the charge stays
with the super-agent of the payer's region, as its revenue and as excise.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harambee.ledger.kinds import MOVEMENTS, OrderKind, kind_table
from harambee.ledger.payees import PayeeTable
from harambee.ledger.records import POSITION_BITS, revenue_account
from harambee.ledger.rules import Order, Payment, credits_of
from harambee.money.amounts import MAX_AMOUNT_CENTS
from harambee.money.tariff import Tariff
from harambee.oversight.settlement_parties import SettlementParties

Orders = npt.NDArray[np.void]

ORDERS_AT_ONCE: Final = 1_024
"""So few orders are added up as 64-bit integers; larger sums are Python's, which cannot overflow."""
assert 2 * ORDERS_AT_ONCE * MAX_AMOUNT_CENTS < 2**63

_KINDS: Final = kind_table()
_BY_TABLE: Final = tuple(int(kind) for kind, row in MOVEMENTS.items() if row.by_table)


class Flow(NamedTuple):
    """So many cents went from one party to another, by orders of one day; never to itself."""

    day: int
    payer: int
    """Row of the party in `SettlementParties.all`."""
    payee: int
    cents: int


def flows_of(
    orders: Orders,
    tables: Mapping[int, PayeeTable],
    parties: SettlementParties,
    tariffs: Mapping[int, Tariff],
) -> Iterator[Flow]:
    """Yield what (n,) final ORDER records moved between parties; a pair may come more than once.

    `tables` are the PAYEE tables of the bulk orders among them, by row; `tariffs` those that the
    orders name, by version.
    """
    for start in range(0, len(orders), ORDERS_AT_ONCE):
        part = orders[start : start + ORDERS_AT_ONCE]
        plain = _KINDS["plain"][part["kind"]] == 1
        yield from _plain_flows(part[plain], parties)
        others = np.flatnonzero(~plain & (_KINDS["moves_money"][part["kind"]] == 1))
        for row in others.tolist():
            yield from _other_flows(part[row], tables.get(start + row), parties, tariffs)


def _plain_flows(orders: Orders, parties: SettlementParties) -> Iterator[Flow]:
    days = orders["day"].astype(np.int64)
    payers = parties.rows_of(orders["payer"])
    payees = parties.rows_of(orders["payee"])
    # A charge stays in its payer's region; it moves only where that payer is a bank.
    takers = parties.rows_of(revenue_account_of_many(orders["payer"]))
    keys = np.stack(
        [np.tile(days, 2), np.tile(payers, 2), np.concatenate([payees, takers])], axis=1
    )
    cents = np.concatenate([orders["amount"].astype(np.int64), orders["fee"].astype(np.int64)])
    counts = (keys[:, 1] != keys[:, 2]) & (cents > 0)
    if not counts.any():
        return
    pairs, rows = np.unique(keys[counts], axis=0, return_inverse=True)
    sums = np.zeros(len(pairs), np.int64)
    np.add.at(sums, rows.reshape(-1), cents[counts])
    for (day, payer, payee), total in zip(pairs.tolist(), sums.tolist(), strict=True):
        yield Flow(day, payer, payee, total)


def revenue_account_of_many(payers: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Return where the fees of (n,) payers go: `revenue_account` of each."""
    base = np.uint32(revenue_account(0))
    regions: npt.NDArray[np.uint32] = payers >> np.uint32(POSITION_BITS) << np.uint32(POSITION_BITS)
    return regions | base


def _other_flows(
    record: np.void,
    table: PayeeTable | None,
    parties: SettlementParties,
    tariffs: Mapping[int, Tariff],
) -> Iterator[Flow]:
    order = Order.of(record)
    payments = None if table is None else tuple(Payment(*row) for row in table.tolist())
    credited = credits_of(order, tariffs[order.tariff], payments)
    assert credited is not None, "it is final"
    credits_ = credited.all
    numbers = np.array([order.payer, *(payment.payee for payment in credits_)], np.uint32)
    payer, *payees = parties.rows_of(numbers).tolist()
    for payee, payment in zip(payees, credits_, strict=True):
        if payee != payer and payment.cents:
            yield Flow(order.day, payer, payee, payment.cents)


def excise_cents_of(orders: Orders, tariffs: Mapping[int, Tariff]) -> npt.NDArray[np.int64]:
    """Return the tax inside the charge of each of (n,) final ORDER records, whoever bore it."""
    found = np.zeros(len(orders), np.int64)
    by_fee = (_KINDS["plain"][orders["kind"]] == 1) | np.isin(orders["kind"], _BY_TABLE)
    pairs = np.stack([orders["tariff"].astype(np.int64), orders["fee"].astype(np.int64)], axis=1)
    rows = np.flatnonzero(by_fee & (orders["fee"] > 0))
    if len(rows):
        kinds, places = np.unique(pairs[rows], axis=0, return_inverse=True)
        taxes = [tariffs[version].excise_cents(fee) for version, fee in kinds.tolist()]
        found[rows] = np.array(taxes, np.int64)[places.reshape(-1)]
    others = ~by_fee & (_KINDS["moves_money"][orders["kind"]] == 1)
    for row in np.flatnonzero(others).tolist():
        order = Order.of(orders[row])
        credited = credits_of(order, tariffs[order.tariff])
        assert credited is not None, "it is final"
        found[row] = credited.excise.cents
    return found


def positions_of(flows: Iterable[Flow], parties: int) -> list[int]:
    """Return each party's position in cents: what it received from others less what it gave them.

    They add up to zero, for every flow is one party's and the other's.
    """
    positions = [0] * parties
    for _, payer, payee, cents in flows:
        positions[payer] -= cents
        positions[payee] += cents
    return positions


def kind_name(code: int) -> str:
    """Return the name of an order's kind, or its number if this version has no name for it."""
    return OrderKind(code).name.lower() if code in set(OrderKind) else str(code)
