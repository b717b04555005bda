"""A statement as CSV, after RFC 4180, for spreadsheets and bookkeeping.

Every record has the same fields. The first after the headings is the opening balance, the last one
the closing balance with the totals. A name that a spreadsheet would take for a formula is quoted
with an apostrophe, as OWASP has it: it comes from whoever registered it.
"""

import csv
import io
from collections.abc import Callable
from typing import Final

from harambee.money.amounts import CENTS_PER_SHILLING
from harambee.statements.columns import columns_of
from harambee.statements.sheet import Row, Sheet

FORMULA_SIGNS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
_AMOUNTS: Final[dict[str, Callable[[Row], int | None]]] = {
    "Paid In": lambda row: row.paid_in_cents or None,
    "Withdrawn": lambda row: row.withdrawn_cents or None,
    "Balance": lambda row: row.balance_cents,
}


def comma_separated(sheet: Sheet) -> str:
    """Return the statement as CSV text with CRLF after each record; to be written as UTF-8."""
    headings = [column.heading for column in columns_of(sheet)]
    written = io.StringIO()
    writer = csv.writer(written, dialect="excel", lineterminator="\r\n")
    writer.writerow(headings)
    opening = {"Details": "Opening Balance", "Balance": _number(sheet.opening_cents)}
    writer.writerow([opening.get(heading, "") for heading in headings])
    for row in sheet.rows:
        writer.writerow(
            [
                _amount_cell(row, column.heading) if column.is_amount else safe(column.text(row))
                for column in columns_of(sheet)
            ]
        )
    closing = {
        "Details": "Closing Balance",
        "Paid In": _number(sheet.paid_in_cents),
        "Withdrawn": _number(sheet.withdrawn_cents),
        "Balance": _number(sheet.closing_cents),
    }
    writer.writerow([closing.get(heading, "") for heading in headings])
    return written.getvalue()


def safe(text: str) -> str:
    """Return a cell that no spreadsheet computes."""
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_SIGNS) else text


def _amount_cell(row: Row, heading: str) -> str:
    cents = _AMOUNTS[heading](row)
    return "" if cents is None else _number(cents)


def _number(cents: int) -> str:
    """Return "-1000.50": a number that every program reads, without separators."""
    shillings, rest = divmod(abs(cents), CENTS_PER_SHILLING)
    return f"{'-' if cents < 0 else ''}{shillings}.{rest:02d}"
