"""An agent's book: what his statement says of a day, and what must be in his drawer.

Float is in the ledger; cash is not. But every deposit puts cash into the drawer and every
withdrawal takes it out, so cash follows from one figure that the agent counts himself and the
orders since. Days are those that the orders carry, which are the same at every super-agent.

Float that is bought or sold may be paid for in cash or otherwise, and the ledger does not know: it
is shown apart, and whoever pays it in cash counts the drawer again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from harambee.handset.doors import Line
from harambee.handset.float_forecast import Flow, is_business
from harambee.handset.wallet import Wallet, WalletError, replace_file
from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import AccountKind
from harambee.money.amounts import MAX_AMOUNT_CENTS

CASH_FILE: Final = "cash.json"
CASH_FILE_BYTES_MAX: Final = 4_096


class BookError(ValueError):
    """A statement's line is not one that a book can be made of; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Posting:
    """One order as it stands in an agent's book; cents."""

    receipt_code: str
    time_ms: int
    day: int
    kind: OrderKind
    other: int
    """The account on the other side."""
    amount_cents: int
    float_cents: int
    """What it changed in the float, commission included."""
    commission_cents: int
    cash_cents: int
    """What it changed in the drawer."""


@dataclass(frozen=True, slots=True)
class Total:
    """Movements of one sort: how many, and their amounts together."""

    count: int = 0
    cents: int = 0


@dataclass(frozen=True, slots=True)
class Book:
    """An agent's book of some days, newest first."""

    postings: tuple[Posting, ...]

    def total(self, kind: OrderKind) -> Total:
        """Return the movements of a kind."""
        cents = [posting.amount_cents for posting in self.postings if posting.kind is kind]
        return Total(len(cents), sum(cents))

    @property
    def commission_cents(self) -> int:
        """What was earned, the head office's share not included; as a head office, its share."""
        return sum(posting.commission_cents for posting in self.postings)

    @property
    def cash_cents(self) -> int:
        """What all of it changed in the drawer."""
        return sum(posting.cash_cents for posting in self.postings)

    @property
    def float_cents(self) -> int:
        """What all of it changed in the float."""
        return sum(posting.float_cents for posting in self.postings)

    def on(self, day: int) -> "Book":
        """Return the book of one day."""
        return Book(tuple(posting for posting in self.postings if posting.day == day))

    def since(self, day: int) -> "Book":
        """Return the book from a day on, that day included."""
        return Book(tuple(posting for posting in self.postings if posting.day >= day))


def book_of(account: int, lines: Iterable[Line]) -> Book:
    """Return the book that a statement's lines make; BookError for what is none of a statement."""
    return Book(tuple(_posting(account, line) for line in lines))


def flows_of(account: AccountKind, lines: Sequence[Line]) -> list[Flow]:
    """Return the business in a statement, as a forecast needs it; BookError as `book_of`."""
    return [
        Flow(line.time_ms, line.change_cents)
        for line in lines
        if is_business(account, _kind(line.order), line.change_cents)
    ]


def _posting(account: int, line: Line) -> Posting:
    order = line.order
    kind = _kind(order)
    payer, payee, amount = (_whole(order, name) for name in ("payer", "payee", "amount_cents"))
    paid = payer == account
    commission = cash = 0
    match kind:
        case OrderKind.WITHDRAW if payee == account:
            commission, cash = line.change_cents - amount, -amount
        case OrderKind.WITHDRAW if not paid:
            commission = line.change_cents  # a head office's share of a shop's commission
        case OrderKind.DEPOSIT_COMMISSION if not paid:
            commission = line.change_cents
        case OrderKind.DEPOSIT | OrderKind.AIRTIME if paid:
            cash = amount
    code = order.get("receipt_code", "")
    return Posting(
        receipt_code=code if isinstance(code, str) else "",
        time_ms=line.time_ms,
        day=_whole(order, "day"),
        kind=kind,
        other=payee if paid else payer,
        amount_cents=amount,
        float_cents=line.change_cents,
        commission_cents=commission,
        cash_cents=cash,
    )


def _kind(order: dict[str, Any]) -> OrderKind:
    name = order.get("kind")
    if not isinstance(name, str) or name.upper() not in OrderKind.__members__:
        raise BookError("The statement has an order of a kind that is not known here.")
    return OrderKind[name.upper()]


def _whole(order: dict[str, Any], name: str) -> int:
    value = order.get(name)
    if type(value) is not int:
        raise BookError(f"The statement has an order without {name}.")
    return value


class Cash(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was in the drawer when a day began; a small file that the agent's handset keeps."""

    day: int
    opening_cents: int

    def now_cents(self, book: Book) -> int:
        """Return what must be in the drawer, by a book that reaches back to that day."""
        return self.opening_cents + book.since(self.day).cash_cents


def counted(cash_cents: int, today: int, book: Book) -> Cash:
    """Return what the drawer had this morning if there is so much in it now."""
    return Cash(today, cash_cents - book.on(today).cash_cents)


def read_cash(wallet: Wallet) -> Cash | None:
    """Return what the handset keeps; None if nothing yet. WalletError for a damaged file."""
    file = wallet.folder / CASH_FILE
    try:
        with file.open("rb") as opened:
            cash = msgspec.json.decode(opened.read(CASH_FILE_BYTES_MAX), type=Cash)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WalletError(f"Cannot read {file}: {error.strerror}.") from error
    except msgspec.DecodeError as error:
        raise WalletError(f"{file} is damaged; count your cash and set it with --cash.") from error
    if abs(cash.opening_cents) > MAX_AMOUNT_CENTS:
        raise WalletError(f"{file} is damaged; count your cash and set it with --cash.")
    return cash


def write_cash(wallet: Wallet, cash: Cash) -> None:
    """Keep it durably, as a whole; WalletError."""
    with wallet.locked():
        replace_file(wallet.folder / CASH_FILE, msgspec.json.encode(cash))
