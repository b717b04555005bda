"""The columns of a statement, the same ones in every format."""

from collections.abc import Callable
from typing import Final, NamedTuple

from harambee.money.amounts import format_cents
from harambee.statements.sheet import Row, Sheet, shown_time


class Column(NamedTuple):
    """One column: its heading, and what a row has in it."""

    heading: str
    text: Callable[[Row], str]
    is_amount: bool = False


def amount(cents: int) -> str:
    """Return "1,000.50": the headings of a statement say the currency."""
    return format_cents(cents).replace("Ksh", "")


_RECEIPT: Final = Column("Receipt No.", lambda row: row.receipt_no)
_INITIATED: Final = Column("Initiation Time", lambda row: shown_time(row.initiated_ms))
_COMPLETED: Final = Column("Completion Time", lambda row: shown_time(row.completed_ms))
_DETAILS: Final = Column("Details", lambda row: row.details)
_STATUS: Final = Column("Transaction Status", lambda row: row.status)
_PAID_IN: Final = Column("Paid In", lambda row: _or_nothing(row.paid_in_cents), is_amount=True)
_WITHDRAWN: Final = Column(
    "Withdrawn", lambda row: _or_nothing(row.withdrawn_cents), is_amount=True
)
_BALANCE: Final = Column("Balance", lambda row: amount(row.balance_cents), is_amount=True)
_REASON: Final = Column("Reason Type", lambda row: row.reason_type)
_OTHER_PARTY: Final = Column("Other Party Info", lambda row: row.other_party)

PERSONAL: Final = (_RECEIPT, _COMPLETED, _DETAILS, _STATUS, _PAID_IN, _WITHDRAWN, _BALANCE)
ORGANISATION: Final = (
    _RECEIPT,
    _COMPLETED,
    _INITIATED,
    _DETAILS,
    _STATUS,
    _PAID_IN,
    _WITHDRAWN,
    _BALANCE,
    _REASON,
    _OTHER_PARTY,
)


def columns_of(sheet: Sheet) -> tuple[Column, ...]:
    """Return the columns that the holder of the account knows."""
    return PERSONAL if sheet.is_personal else ORGANISATION


def summary_of(sheet: Sheet) -> list[tuple[str, str]]:
    """Return what stands above the table: whose it is, of when, and its four sums."""
    return [
        ("Account", f"{sheet.account} ({sheet.kind.name.lower()})"),
        ("Name", sheet.holder),
        ("Period", sheet.period),
        ("Opening Balance", f"Ksh {amount(sheet.opening_cents)}"),
        ("Total Paid In", f"Ksh {amount(sheet.paid_in_cents)}"),
        ("Total Withdrawn", f"Ksh {amount(sheet.withdrawn_cents)}"),
        ("Closing Balance", f"Ksh {amount(sheet.closing_cents)}"),
    ]


def _or_nothing(cents: int) -> str:
    return amount(cents) if cents else ""
