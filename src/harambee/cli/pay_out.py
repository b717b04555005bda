"""`harambee pay-out`: everybody in a file, by one signature for each ten thousand of them."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harambee.cli.terminal import (
    FailureError,
    json_option,
    network_option,
    one_sentence,
    print_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harambee.handset.network_file import KnownNetwork
    from harambee.handset.pay_outs import PayOut


@click.command("pay-out")
@click.argument("payer", metavar="FROM")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--name",
    metavar="TEXT",
    help="What this pay-out is called; default: the file's name. Under one name nobody is paid twice.",
)
@click.option("--via", metavar="NAME", help="The super-agent to try first; any will do.")
@network_option
@json_option
def pay_out(
    payer: str, file: Path, name: str | None, via: str | None, folder: Path, as_json: bool
) -> None:
    """Pay everybody in FILE from the business FROM.

    FILE is a CSV file with a row for each payee: who, and how many shillings. Who is an account
    number, a telephone number, or a name that `harambee pay` knows. A first row of headings and
    empty rows are left out.

    \b
      payee,amount
      0712345678,1500
      1048592,"12,000.50"

    Everything is checked before anything is signed. If the command is broken off, run it again:
    whoever was paid under this name is not paid again. To pay the same file once more, next month
    say, give it another --name.

    \b
    Examples:
      harambee pay-out employer wages.csv
      harambee pay-out employer wages.csv --name "wages, March"
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.handset_use import handset_errors, read_parties, with_handset
    from harambee.cli.parties import PartyError
    from harambee.handset.pay_outs import FILE_BYTES_MAX, PayOuts, RowsError, read_rows
    from harambee.handset.telephone import TelephoneError

    with handset_errors(as_json=as_json), one_sentence(RowsError, OSError, as_json=as_json):
        known, parties = read_parties(folder)
        wallet = parties.wallet(payer)
        with file.open("rb") as opened:
            rows = read_rows(opened.read(FILE_BYTES_MAX + 1))
        with _progress() as tell:
            paid = with_handset(
                known,
                wallet,
                via,
                lambda handset: PayOuts(
                    handset, parties.payee, (PartyError, TelephoneError), tell
                ).pay(file.name if name is None else name, rows),
            )
    if as_json:
        print_json(_document(paid, known))
    if paid.status != "final":
        raise FailureError(_failure(paid))
    if not as_json:
        click.echo(_lines(paid))


@contextmanager
def _progress() -> "Iterator[Callable[[str, int, int], None]]":
    """A bar on standard error that is told what is being done, and gone when it is done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Reading", total=None)

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield tell


def _failure(paid: "PayOut") -> str:
    if not paid.paid_rows and not paid.paid_before:
        return paid.sentence
    done = paid.paid_rows + paid.paid_before
    return f"{done:,} of {paid.rows:,} payees are paid; then: {paid.sentence}"


def _lines(paid: "PayOut") -> str:
    from harambee.money.amounts import format_cents

    if not paid.paid_rows:
        return (
            f"All {paid.rows:,} payees had been paid before under this name; nothing was paid now.\n"
            "  To pay them once more, give this pay-out another --name."
        )
    codes = ", ".join(payment.receipt_code for payment in paid.payments)
    before = f"  {paid.paid_before:,} others had been paid before.\n" if paid.paid_before else ""
    taken = sum(payment.latency_ms for payment in paid.payments)
    orders = f"{len(paid.payments)} order{'s' if len(paid.payments) > 1 else ''}"
    return (
        f"{codes} Confirmed. {format_cents(paid.paid_cents)} paid to {paid.paid_rows:,} payees, "
        f"fees {format_cents(paid.fee_cents)}.\n{before}  Final after {taken} ms, by {orders}."
    )


def _document(paid: "PayOut", known: "KnownNetwork") -> dict[str, Any]:
    from harambee.cli.pay import payment_document

    return {
        "status": str(paid.status),
        "sentence": paid.sentence,
        "rows": paid.rows,
        "paid_before": paid.paid_before,
        "paid_rows": paid.paid_rows,
        "paid_cents": paid.paid_cents,
        "fee_cents": paid.fee_cents,
        "orders": [payment_document(payment, known) for payment in paid.payments],
    }
