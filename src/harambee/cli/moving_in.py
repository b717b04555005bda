"""What `harambee init --accounts` says of an incumbent's file: a bar, a report of refusals, a table."""

import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from harambee.node.account_files import Tell
    from harambee.node.development import Bank
    from harambee.node.moving_in import Count, Incumbent

REPORT_COLUMNS: Final = ("line", "reason", "sentence")
_BANK: Final = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_-]{0,39})=(?P<limit>.+)", re.ASCII)


def banks_of(
    _ctx: click.Context, _parameter: click.Parameter, values: Sequence[str]
) -> "tuple[Bank, ...]":
    """Return the banks that NAME=LIMIT texts name; click.BadParameter."""
    from harambee.money.amounts import AmountError, parse_cents
    from harambee.node.development import Bank

    banks: dict[str, Bank] = {}
    for value in values:
        found = _BANK.fullmatch(value)
        if found is None:
            raise click.BadParameter(f"{value!r} is not NAME=LIMIT, as in treasury-bank=5000000")
        if found["name"] in banks:
            raise click.BadParameter(f"there are two banks {found['name']}")
        try:
            banks[found["name"]] = Bank(found["name"], parse_cents(found["limit"]))
        except AmountError as error:
            raise click.BadParameter(str(error)) from error
    return tuple(banks.values())


@contextmanager
def progress(what: str) -> "Iterator[Tell]":
    """A bar on standard error that is told how much of the file is read, and gone when it is."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    # Where nobody looks, a bar would be empty lines above the one sentence of a failure.
    silent = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=silent) as bar:
        task = bar.add_task(what, total=None)

        def tell(done: int, whole: int) -> None:
            bar.update(task, completed=done, total=whole)

        yield tell


def report_file(file: Path) -> Path:
    """Return where the refused rows of a file are reported."""
    return file.with_name(f"{file.name}.refused.csv")


def write_report(incumbent: "Incumbent", target: Path, tell: "Tell") -> None:
    """Write every refused row as it stands, with line, reason and sentence; OSError, AccountFileError.

    For its owner's eyes alone, whole or not at all, and also where nothing is refused.
    """
    aside = target.with_name(f".{target.name}.new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            text = io.TextIOWrapper(opened, "utf-8", newline="")
            rows = csv.writer(text, lineterminator="\n")
            rows.writerow([*REPORT_COLUMNS, *incumbent.file.columns])
            for row, reason, sentence in incumbent.refusals(tell):
                rows.writerow([row.line, reason.name.lower(), sentence, *row.cells])
            text.flush()
            os.fsync(descriptor)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def document_of(incumbent: "Incumbent", report: Path) -> dict[str, Any]:
    """Return what became of the rows, for programs; rows and cents add up to the file's."""
    tally = incumbent.tally
    whole, accepted, refused = (
        tally.total(),
        tally.total(accepted=True),
        tally.total(accepted=False),
    )
    return {
        "rows": whole.rows,
        "cents": whole.cents,
        "accepted": accepted.rows,
        "accepted_cents": accepted.cents,
        "refused": refused.rows,
        "refused_cents": refused.cents,
        "without_amount": tally.without_amount,
        "shared_keys": tally.shared_keys,
        "by_kind_and_reason": [
            {"kind": kind, "reason": reason.name.lower(), "rows": count.rows, "cents": count.cents}
            for (kind, reason), count in sorted(tally.counts.items())
        ],
        "report": str(report),
    }


def table_of(incumbent: "Incumbent") -> str:
    """Return what became of the rows, for people."""
    tally = incumbent.tally
    lines = [_line("kind", "", "rows", "Ksh")]
    lines += [
        _count(kind, reason.name.lower().replace("_", " "), count)
        for (kind, reason), count in sorted(tally.counts.items())
    ]
    lines += [
        _count("all", "accepted", tally.total(accepted=True)),
        _count("all", "refused", tally.total(accepted=False)),
        _count("all", "", tally.total()),
    ]
    if tally.without_amount:
        lines.append(f"{tally.without_amount:,} refused rows have no amount that can be added up.")
    if tally.shared_keys:
        lines.append(f"{tally.shared_keys:,} accepted accounts share their key with another one.")
    return "\n".join(lines)


def _count(kind: str, reason: str, count: "Count") -> str:
    from harambee.money.amounts import format_cents

    return _line(kind, reason, f"{count.rows:,}", format_cents(count.cents).replace("Ksh", ""))


def _line(kind: str, reason: str, rows: str, shillings: str) -> str:
    return f"{kind:<10} {reason:<20} {rows:>12} {shillings:>24}"


def read_and_report(
    file: Path, report: Path, read: "Callable[[Path, Tell], Incumbent]"
) -> "Incumbent":
    """Judge a file and write the report of what was refused; AccountFileError, OSError."""
    with progress("Reading") as tell:
        incumbent = read(file, tell)
    with progress("Reporting") as tell:
        write_report(incumbent, report, tell)
    return incumbent
