"""A statement that adds up: entries of one account, as rows with a running balance.

One order may be several rows of one receipt: the payment, the charge that the account bore, the
commission that it earned. Every sheet is checked as it is made: each row's balance is the one before
it plus what came in less what went out, from the opening balance to the closing one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum, auto
from typing import Final

from harambee.ledger.days import EAST_AFRICA
from harambee.ledger.records import AccountKind, excise_account, revenue_account
from harambee.statements.details import OTHER, wording_of

COMPLETED: Final = "Completed"
CANCELLED: Final = "Cancelled"
PERSONAL: Final = (AccountKind.CUSTOMER, AccountKind.POCHI)


class StatementError(ValueError):
    """What a super-agent told does not add up; the message is one sentence."""


class Side(Enum):
    """Where in an order the account stands."""

    PAYER = auto()
    PAYEE = auto()
    SHARE = auto()
    """It received a share of the charge or of the commission."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One order as it touched the account, as a super-agent tells it; amounts in cents."""

    receipt_code: str
    kind: str
    """The OrderKind's name in lower case."""
    side: Side
    other: int | None
    time_ms: int
    """Of the block in which the order lies: it was begun then, and complete within a second or so."""
    change_cents: int
    balance_cents: int
    charge_cents: int = 0
    commission_cents: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One line, in the columns that people know."""

    receipt_no: str
    completed_ms: int
    details: str
    status: str
    paid_in_cents: int
    withdrawn_cents: int
    balance_cents: int
    initiated_ms: int
    reason_type: str
    other_party: str


@dataclass(frozen=True)
class Sheet:
    """A whole statement; rows oldest first. StatementError where it does not add up."""

    account: int
    holder: str
    """How the account is called: a name, or its number."""
    kind: AccountKind
    first_day: date | None
    last_day: date | None
    opening_cents: int
    closing_cents: int
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        balance = self.opening_cents
        for row in self.rows:
            balance += row.paid_in_cents - row.withdrawn_cents
            if row.balance_cents != balance:
                raise StatementError(f"The statement does not add up at receipt {row.receipt_no}.")
        if balance != self.closing_cents:
            raise StatementError("The statement does not add up to its closing balance.")

    @property
    def paid_in_cents(self) -> int:
        """All that came in."""
        return sum(row.paid_in_cents for row in self.rows)

    @property
    def withdrawn_cents(self) -> int:
        """All that went out."""
        return sum(row.withdrawn_cents for row in self.rows)

    @property
    def is_personal(self) -> bool:
        """Whether it is a customer's; organisations have more columns."""
        return self.kind in PERSONAL

    @property
    def period(self) -> str:
        """Its period in words."""
        match self.first_day, self.last_day:
            case None, None:
                return "all entries"
            case first, None:
                return f"from {first}"
            case None, last:
                return f"to {last}"
            case first, last:
                return f"{first} to {last}"


def within(entries: Sequence[Entry], first_day: date | None, last_day: date | None) -> slice:
    """Return which of the entries, oldest first, make a period: from its first to its last one.

    Authors' clocks differ by a little, so an entry between two of the period belongs to it whatever
    its own time says: a statement with a hole would not add up.
    """
    days = [day_of(entry.time_ms) for entry in entries]
    inside = [
        at
        for at, day in enumerate(days)
        if (first_day is None or day >= first_day) and (last_day is None or day <= last_day)
    ]
    if inside:
        return slice(inside[0], inside[-1] + 1)
    # Nothing in it: the balance is that after all entries before it.
    before = [at for at, day in enumerate(days) if first_day is not None and day < first_day]
    at = before[-1] + 1 if before else 0
    return slice(at, at)


def sheet_of(
    account: int,
    kind: AccountKind,
    entries: Sequence[Entry],
    balance_cents: int,
    *,
    first_day: date | None = None,
    last_day: date | None = None,
    names: Mapping[int, str] | None = None,
) -> Sheet:
    """Return the statement of a period, from entries that come oldest first and reach back to it.

    `balance_cents` is what the account holds after the newest entry, and says so where there is
    none. `names` are the accounts whose names the reader may see. StatementError if it does not add up.
    """
    known = names or {}
    part = within(entries, first_day, last_day)
    chosen = entries[part]
    opening = balance_cents
    if entries:
        at = entries[min(part.start, len(entries) - 1)]
        ended = part.start >= len(entries)
        opening = at.balance_cents if ended else at.balance_cents - at.change_cents
    rows = tuple(row for entry in chosen for row in _rows(entry, known))
    return Sheet(
        account,
        known.get(account, f"account {account}"),
        kind,
        first_day,
        last_day,
        opening,
        chosen[-1].balance_cents if chosen else opening,
        rows,
    )


def _rows(entry: Entry, names: Mapping[int, str]) -> list[Row]:
    """Return the rows of one entry: the payment, then its charge, then its commission."""
    wording = wording_of(entry.kind)
    other = "" if entry.other is None else names.get(entry.other, f"account {entry.other}")
    payment = entry.change_cents + entry.charge_cents - entry.commission_cents
    parts = []
    if payment or not (entry.charge_cents or entry.commission_cents):
        parts.append((_details(entry, other), payment))
    if entry.charge_cents:
        parts.append((f"{wording.reason} Charge", -entry.charge_cents))
    if entry.commission_cents:
        about = f" of {other}" if entry.side is Side.SHARE else ""
        parts.append((f"{wording.reason} Commission{about}", entry.commission_cents))
    balance = entry.balance_cents - entry.change_cents
    rows = []
    for details, cents in parts:
        balance += cents
        rows.append(
            Row(
                receipt_no=entry.receipt_code,
                completed_ms=entry.time_ms,
                details=details,
                status=CANCELLED if entry.kind == "cancel" else COMPLETED,
                paid_in_cents=max(cents, 0),
                withdrawn_cents=max(-cents, 0),
                balance_cents=balance,
                initiated_ms=entry.time_ms,
                reason_type=wording.reason,
                other_party=other,
            )
        )
    return rows


def _details(entry: Entry, other: str) -> str:
    wording = wording_of(entry.kind)
    if entry.side is Side.SHARE:
        return f"{wording.reason} Charge of {other}"
    text = wording.paying if entry.side is Side.PAYER else wording.receiving
    return text.replace(OTHER, other).rstrip()


def side_of(account: int, payer: int, payee: int) -> Side:
    """Return where in an order the account stands. A bulk pay-out's payees stand in its table."""
    if account == payer:
        return Side.PAYER
    takers = (revenue_account(payer), excise_account(payer))
    by_table = payer == payee and account not in takers
    return Side.PAYEE if account == payee or by_table else Side.SHARE


def day_of(time_ms: int) -> date:
    """Return the East African day of a time, milliseconds since 1970."""
    return datetime.fromtimestamp(time_ms // 1000, EAST_AFRICA).date()


def shown_time(time_ms: int) -> str:
    """Return "2026-03-03 17:28:09", East African time."""
    return datetime.fromtimestamp(time_ms // 1000, EAST_AFRICA).strftime("%Y-%m-%d %H:%M:%S")
