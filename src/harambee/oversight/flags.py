"""Patterns in a day's payments at which somebody should look: flags, and what each of them means.

A flag accuses nobody and stops nothing. Each rule is one sentence and a few numbers, so that whoever
is asked why an account was flagged can answer; what is too low or too high is changed in
`THRESHOLDS`. The functions are pure: a day's final orders and the accounts' flags go in, values
come out. They see no name and no telephone number, for there are none in the ledger.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harambee.ledger.kinds import LIMITED, MOVEMENTS, OrderKind
from harambee.ledger.records import KIND_MASK, TIER_MASK, TIER_SHIFT
from harambee.money.amounts import format_cents
from harambee.money.tariff import Tariff

Orders = npt.NDArray[np.void]
Rows = npt.NDArray[np.int64]

SLIM: Final = np.dtype(
    [
        ("payer", "<u4"),
        ("payee", "<u4"),
        ("amount", "<u8"),
        ("kind", "u1"),
        ("tariff", "<u2"),
    ]
)
"""What flags read of an ORDER: 19 bytes, so that a day of a country fits into memory."""
assert SLIM.itemsize == 19

DAYS_BEFORE: Final = 7
"""So many days before the one that is looked at are read, to know who is new and who is known."""
WHOLE_BASIS_POINTS: Final = 10_000


class Threshold(NamedTuple):
    """A number that a rule compares with, and why it is this one."""

    value: int
    reason: str


THRESHOLDS: Final[dict[str, Threshold]] = {
    "near_basis_points": Threshold(
        9_000, "a tenth below a limit is the room that whoever avoids it leaves"
    ),
    "near_payments": Threshold(
        2, "the daily limit is twice that of a payment, so two near it are all that a day allows"
    ),
    "part_payments": Threshold(4, "three equal payments in a day are still rent, fees and fare"),
    "part_spread_basis_points": Threshold(
        11_000, "parts of one sum differ by less than a tenth; errands do not"
    ),
    "fan_in": Threshold(5, "a family or a table of friends that pools money is smaller"),
    "fan_out": Threshold(5, "as many as came in: money that is collected to be used goes to one"),
    "through_cents": Threshold(
        50_000_00, "below it are wages and market days, which go as they come"
    ),
    "through_basis_points": Threshold(9_000, "what is left is about the charges"),
    "through_most_basis_points": Threshold(
        11_000, "whoever lets out much more than came in spends what was there before"
    ),
    "young_days": Threshold(DAYS_BEFORE, "so far back enrolments are read"),
    "new_counterparties": Threshold(
        10, "a new customer's first week has a few shops and relatives, not ten people in a day"
    ),
    "undone": Threshold(5, "an unlucky day has one or two"),
    "undone_basis_points": Threshold(3_333, "a third of a day's orders taken back is a habit"),
}
"""Every number of every rule."""

UNDOING: Final = (
    OrderKind.CANCEL,
    OrderKind.VOID,
    OrderKind.REFUND,
    OrderKind.ASK_REVERSAL,
)
"""Kinds by which an earlier order, or its effect, is taken back; its payer is who does it."""
COMING_IN: Final = (
    OrderKind.SEND,
    OrderKind.DEPOSIT,
    OrderKind.PAY_OUT,
    OrderKind.BANK_WITHDRAWAL,
)
"""How money comes to a customer; rows of bulk pay-outs, which are wages, are not counted."""
_LIMITED: Final = tuple(int(kind) for kind in LIMITED)


@dataclass(frozen=True, eq=False)
class Day:
    """A day's final orders, and what is known of the days before; arrays of SLIM or ORDER records."""

    orders: Orders
    """(n,), in the order in which they became final at one super-agent."""
    earlier: Orders
    """(m,), of DAYS_BEFORE days."""
    accounts: npt.NDArray[np.uint32]
    """(k,), ascending: every account that pays or is paid on the day."""
    flags: npt.NDArray[np.uint32]
    """(k,), their flags in the ledger."""
    tariffs: Mapping[int, Tariff]

    def flags_of(self, numbers: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        """Return the flags of (n,) accounts, 0 where one is not among them."""
        if not len(self.accounts):
            return np.zeros(len(numbers), np.uint32)
        places = np.searchsorted(self.accounts, numbers)
        places[places == len(self.accounts)] = 0
        found = self.accounts[places] == numbers
        return np.where(found, self.flags[places], np.uint32(0))

    def is_customer(self, numbers: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
        """Return which of (n,) accounts are customers' or pochi: those whom the tariff limits."""
        return np.isin(self.flags_of(numbers) & KIND_MASK, _LIMITED)


@dataclass(frozen=True, slots=True)
class Flag:
    """One account at which somebody should look."""

    name: str
    account: int
    count: int
    """How many payments, people or orders the rule counted."""
    cents: int
    """How much money is in them."""
    sentence: str


Rule = Callable[[Day], Iterator[Flag]]
RULES: Final[dict[str, Rule]] = {}
"""Every rule by its flag's name."""


def _rule(rule: Rule) -> Rule:
    RULES[rule.__name__] = rule
    return rule


def flags_of(day: Day) -> list[Flag]:
    """Return every flag of a day, by rule, the most money first."""
    return [
        flag
        for rule in RULES.values()
        for flag in sorted(rule(day), key=lambda flag: (-flag.cents, flag.account))
    ]


def _value(name: str) -> int:
    return THRESHOLDS[name].value


def _grouped(keys: npt.NDArray[np.uint32]) -> Iterator[tuple[int, Rows]]:
    """Yield each key and its rows, ascending."""
    order = np.argsort(keys, kind="stable")
    found, starts = np.unique(keys[order], return_index=True)
    if len(found):
        yield from zip(found.tolist(), np.split(order, starts[1:]), strict=True)


def _cents(orders: Orders) -> int:
    return sum(orders["amount"].tolist())


def _limited_payments(day: Day) -> tuple[Orders, Rows, Rows]:
    """Return customers' payments, with the limits for one payment and for a day that each is under."""
    moves = [
        int(kind)
        for kind, row in MOVEMENTS.items()
        if row.moves_money and not row.by_table and not row.house
    ]
    paid = day.orders[np.isin(day.orders["kind"], moves)]
    paid = paid[day.is_customer(paid["payer"])]
    tiers = day.flags_of(paid["payer"]) >> TIER_SHIFT & TIER_MASK
    once, daily = np.zeros(len(paid), np.int64), np.zeros(len(paid), np.int64)
    pairs = np.stack([paid["tariff"].astype(np.int64), tiers.astype(np.int64)], axis=1)
    kinds, places = np.unique(pairs, axis=0, return_inverse=True)
    for place, (version, tier) in enumerate(kinds.tolist()):
        limits = day.tariffs[version].limits_of(tier) if version in day.tariffs else (0, 0, 0)
        own = places.reshape(-1) == place
        once[own], daily[own] = limits[:2]
    return paid, once, daily


@_rule
def below_limit(day: Day) -> Iterator[Flag]:
    """Several payments of one account lie just below the limit for one payment."""
    paid, once, _ = _limited_payments(day)
    # The least whole cents that are so near.
    least = -(-once * _value("near_basis_points") // WHOLE_BASIS_POINTS)
    near = (once > 0) & (paid["amount"] >= least.astype(np.uint64))
    for account, rows in _grouped(paid["payer"][near]):
        if len(rows) >= _value("near_payments"):
            total = _cents(paid[near][rows])
            yield Flag(
                "below_limit",
                account,
                len(rows),
                total,
                f"{len(rows)} payments within a tenth of the limit of a payment, "
                f"{format_cents(total)} together.",
            )


@_rule
def equal_parts(day: Day) -> Iterator[Flag]:
    """An account uses up its daily limit in several payments of nearly the same size."""
    paid, _, daily = _limited_payments(day)
    for account, rows in _grouped(paid["payer"]):
        if len(rows) < _value("part_payments"):
            continue
        parts = paid["amount"][rows].tolist()
        total, limit = sum(parts), int(daily[rows].max())
        is_used_up = total * WHOLE_BASIS_POINTS >= limit * _value("near_basis_points") > 0
        is_even = max(parts) * WHOLE_BASIS_POINTS <= min(parts) * _value("part_spread_basis_points")
        if is_used_up and is_even:
            yield Flag(
                "equal_parts",
                account,
                len(parts),
                total,
                f"The limit of the day is used up by {len(parts)} payments of nearly the same size, "
                f"{format_cents(total)} together.",
            )


@_rule
def fan_in_fan_out(day: Day) -> Iterator[Flag]:
    """Many people send to one account, and after that it sends to many others, within the day."""
    sent = day.orders[day.orders["kind"] == OrderKind.SEND]
    payees = dict(_grouped(sent["payee"]))
    for account, out in _grouped(sent["payer"]):
        coming = payees.get(account)
        if coming is None or min(len(coming), len(out)) < min(_value("fan_in"), _value("fan_out")):
            continue
        people, first = np.unique(sent["payer"][coming], return_index=True)
        if len(people) < _value("fan_in"):
            continue
        # The row by which so many people have sent; what goes out earlier is not theirs.
        full = int(coming[np.sort(first)[_value("fan_in") - 1]])
        after = out[out > full]
        others = np.unique(sent["payee"][after])
        if len(others) >= _value("fan_out"):
            total = _cents(sent[after])
            yield Flag(
                "fan_in_fan_out",
                account,
                len(people) + len(others),
                total,
                f"{len(people)} people sent to this account, which then sent {format_cents(total)} "
                f"to {len(others)} others.",
            )


@_rule
def pass_through(day: Day) -> Iterator[Flag]:
    """Most of what came to a customer's account leaves it within the day, and it is not little."""
    orders = day.orders
    came = orders[np.isin(orders["kind"], COMING_IN)]
    came = came[day.is_customer(came["payee"])]
    paid, _, _ = _limited_payments(day)
    leaving = {account: _cents(paid[rows]) for account, rows in _grouped(paid["payer"])}
    for account, rows in _grouped(came["payee"]):
        total, left = _cents(came[rows]), leaving.get(account, 0)
        least, most = _value("through_basis_points"), _value("through_most_basis_points")
        passes = total * least <= left * WHOLE_BASIS_POINTS <= total * most
        if total >= _value("through_cents") and passes:
            yield Flag(
                "pass_through",
                account,
                len(rows),
                min(total, left),
                f"{format_cents(total)} came in and {format_cents(left)} went out on the same day.",
            )


@_rule
def young_and_busy(day: Day) -> Iterator[Flag]:
    """A newly enrolled account sends to, or is sent to by, many people it never dealt with before."""
    enrolled = [
        orders["payee"][orders["kind"] == OrderKind.ENROL] for orders in (day.earlier, day.orders)
    ]
    young = np.unique(np.concatenate(enrolled))
    known = {(account, other) for account, other, _ in _dealings(day.earlier, young)}
    met: dict[int, dict[int, int]] = {}
    for account, other, cents in _dealings(day.orders, young):
        if (account, other) not in known:
            others = met.setdefault(account, {})
            others[other] = others.get(other, 0) + cents
    for account, others in met.items():
        if len(others) >= _value("new_counterparties"):
            total = sum(others.values())
            yield Flag(
                "young_and_busy",
                account,
                len(others),
                total,
                f"Enrolled within {_value('young_days')} days, and dealt with {len(others)} people "
                f"whom it had not met, {format_cents(total)} together.",
            )


def _dealings(orders: Orders, accounts: npt.NDArray[np.uint32]) -> Iterator[tuple[int, int, int]]:
    """Yield (account, the other one, cents) of everything sent by or to one of (k,) accounts."""
    sent = orders[orders["kind"] == OrderKind.SEND]
    for mine, other in (("payer", "payee"), ("payee", "payer")):
        own = sent[np.isin(sent[mine], accounts)]
        yield from zip(own[mine].tolist(), own[other].tolist(), own["amount"].tolist(), strict=True)


@_rule
def churn(day: Day) -> Iterator[Flag]:
    """An account takes back much of what it orders."""
    orders = day.orders
    undone = np.isin(orders["kind"], UNDOING)
    for account, rows in _grouped(orders["payer"]):
        count = int(undone[rows].sum())
        often = count * WHOLE_BASIS_POINTS >= len(rows) * _value("undone_basis_points")
        if count >= _value("undone") and often:
            yield Flag(
                "churn",
                account,
                count,
                _cents(orders[rows[undone[rows]]]),
                f"{count} of its {len(rows)} orders take back an earlier one.",
            )


def slim(orders: Orders) -> Orders:
    """Return what flags read of (n,) ORDER records: a SLIM array, a copy."""
    found = np.zeros(len(orders), SLIM)
    assert SLIM.names is not None
    for name in SLIM.names:
        found[name] = orders[name]
    return found


def accounts_in(orders: Orders) -> npt.NDArray[np.uint32]:
    """Return every account that pays or is paid by (n,) orders, ascending."""
    both = np.concatenate([orders["payer"], orders["payee"]])
    return np.unique(both).astype(np.uint32)
