"""A whole statement at the terminal: all pages of a period, as text, CSV or PDF."""

import sys
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

from harambee.cli.accounts import payer_of
from harambee.cli.handset_use import handset_errors, read_parties, with_handset
from harambee.cli.terminal import FailureError, one_sentence, print_json
from harambee.ledger.days import EAST_AFRICA
from harambee.money.amounts import format_cents
from harambee.statements.sheet import (
    Entry,
    Sheet,
    StatementError,
    sheet_of,
    side_of,
)

if TYPE_CHECKING:
    from harambee.handset.handset import Line


@dataclass(frozen=True, slots=True)
class Period:
    """The first and the last day of a statement, in East Africa; None where it has no end there."""

    first: date | None
    last: date | None

    @classmethod
    def of(cls, first: datetime | None, last: datetime | None) -> Self:
        """Return the period that was typed; click.UsageError if it ends before it begins."""
        period = cls(first and first.date(), last and last.date())
        if period.first and period.last and period.first > period.last:
            raise click.UsageError("The period ends before it begins.")
        return period

    @property
    def since_ms(self) -> int | None:
        """When it begins, milliseconds since 1970."""
        if self.first is None:
            return None
        begins = datetime(self.first.year, self.first.month, self.first.day, tzinfo=EAST_AFRICA)
        return (begins - datetime.fromtimestamp(0, EAST_AFRICA)) // timedelta(milliseconds=1)


def tell(
    folder: Path, who: str, period: Period, form: str, output: Path | None, *, as_json: bool
) -> None:
    """Read, make and write a statement; one sentence where that cannot be."""
    with handset_errors(as_json=as_json):
        known, parties = read_parties(folder)
        wallet = parties.wallet(who)
        names = {wallet.account: wallet.folder.name}
        names |= {row.account: row.name for row in parties.demo()}
        found = with_handset(
            known, wallet, None, lambda handset: handset.whole_statement(period.since_ms)
        )
    with one_sentence(StatementError, as_json=as_json):
        sheet = sheet_of(
            wallet.account,
            found.account.kind,
            [_entry(wallet.account, line) for line in reversed(found.lines)],
            found.account.balance_cents,
            first_day=period.first,
            last_day=period.last,
            names=names,
        )
    _write(_rendered(sheet, form), form, output)
    if output is not None:
        _summarise(sheet, form, output, as_json=as_json)


def _entry(account: int, line: "Line") -> Entry:
    order = line.order
    try:
        return Entry(
            receipt_code=str(order["receipt_code"]),
            kind=str(order["kind"]),
            side=side_of(account, int(payer_of(order)), int(order["payee"])),
            other=line.other,
            time_ms=line.time_ms,
            change_cents=line.change_cents,
            balance_cents=line.balance_cents,
            charge_cents=line.charge_cents,
            commission_cents=line.commission_cents,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FailureError("The super-agent's statement cannot be understood.") from error


def _rendered(sheet: Sheet, form: str) -> bytes:
    if form == "csv":
        from harambee.statements.comma_separated import comma_separated

        return comma_separated(sheet).encode()
    if form == "pdf":
        # The library behind it is read only by whoever wants a PDF.
        from harambee.statements.portable_document import portable_document

        return portable_document(sheet)
    from harambee.statements.plain import plain

    return plain(sheet).encode()


def _write(content: bytes, form: str, output: Path | None) -> None:
    if output is not None:
        try:
            output.write_bytes(content)
        except OSError as error:
            raise FailureError(f"Cannot write {output}: {error.strerror}.") from error
        return
    if form == "pdf" and sys.stdout.isatty():
        raise FailureError("A PDF is nothing to read at a terminal: name a file for it with -o.")
    click.echo(content, nl=False)


def _summarise(sheet: Sheet, form: str, output: Path, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "account": sheet.account,
                "file": str(output),
                "format": form,
                "rows": len(sheet.rows),
                "opening_cents": sheet.opening_cents,
                "paid_in_cents": sheet.paid_in_cents,
                "withdrawn_cents": sheet.withdrawn_cents,
                "closing_cents": sheet.closing_cents,
            }
        )
        return
    click.echo(
        f"{output}: {len(sheet.rows)} lines, from {format_cents(sheet.opening_cents)} "
        f"to {format_cents(sheet.closing_cents)}."
    )
