"""`harambee balance` and `harambee statement`: what an account holds, and what moved it."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from harambee.cli.terminal import json_option, network_option, print_json
from harambee.ledger.days import EAST_AFRICA

if TYPE_CHECKING:
    from harambee.handset.doors import Line

DAY: Final = click.DateTime(formats=["%Y-%m-%d"])
FROM_DEFAULT: Final = click.core.ParameterSource.DEFAULT


@click.command()
@click.argument("who")
@network_option
@json_option
def balance(who: str, folder: Path, as_json: bool) -> None:
    """Show what WHO's account holds, as enough super-agents say alike to be believed.

    WHO is a demo customer's name or number, or somebody registered on this machine.

    \b
    Example:
      harambee balance customer-2
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.handset_use import handset_errors, read_parties, with_handset
    from harambee.money.amounts import format_cents

    with handset_errors(as_json=as_json):
        known, parties = read_parties(folder)
        found = with_handset(known, parties.wallet(who), None, lambda handset: handset.balance())
    if as_json:
        document = {
            "account": found.account,
            "balance_cents": found.cents,
            "held_cents": found.held_cents,
            "frozen_cents": found.frozen_cents,
            "available_cents": found.available_cents,
            "agreed": found.agreed,
        }
        print_json(document)
        return
    doubt = "" if found.agreed else " (the super-agents differ just now)"
    click.echo(f"Account {found.account} holds {format_cents(found.cents)}{doubt}.")
    bound = {"held": found.held_cents, "frozen": found.frozen_cents}
    parts = [f"{format_cents(cents)} is {word}" for word, cents in bound.items() if cents]
    if parts:
        click.echo(
            f"Of it {' and '.join(parts)}; {format_cents(found.available_cents)} is available."
        )


@click.command()
@click.argument("who")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="Lines.")
@click.option("--before", type=click.IntRange(0), help="Entries older than this one.")
@click.option(
    "--format", "form", type=click.Choice(["text", "csv", "pdf"]), help="A whole statement."
)
@click.option("--from", "first", type=DAY, metavar="DATE", help="Its first day, YYYY-MM-DD.")
@click.option("--to", "last", type=DAY, metavar="DATE", help="Its last day.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write it to a file."
)
@network_option
@json_option
@click.pass_context
def statement(
    ctx: click.Context,
    who: str,
    limit: int,
    before: int | None,
    form: str | None,
    first: datetime | None,
    last: datetime | None,
    output: Path | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Show what moved WHO's account, newest first, as one super-agent tells it.

    With --format, --from, --to or -o it is a whole statement of that period: oldest first, with
    charges and commissions as lines of their own, a running balance and totals that add up.

    \b
    Examples:
      harambee statement customer-1 --limit 5
      harambee statement customer-1 --format pdf --from 2026-03-01 --to 2026-03-31 -o march.pdf
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.handset_use import handset_errors, read_parties, with_handset

    if form or first or last or output:
        named = [n for n in ("limit", "before") if ctx.get_parameter_source(n) is not FROM_DEFAULT]
        if named:
            raise click.UsageError(
                f"--{named[0]} is for the short list, not for a whole statement."
            )
        from harambee.cli.whole_statement import Period, tell

        if as_json and output is None:
            raise click.UsageError("--json with a whole statement needs a file for it: -o FILE.")
        tell(folder, who, Period.of(first, last), form or "text", output, as_json=as_json)
        return
    with handset_errors(as_json=as_json):
        known, parties = read_parties(folder)
        wallet = parties.wallet(who)
        page = with_handset(known, wallet, None, lambda handset: handset.statement(limit, before))
    if as_json:
        lines = [_document(line) for line in page.lines]
        print_json({"account": wallet.account, "lines": lines, "next_before": page.next_before})
        return
    if not page.lines:
        click.echo("Nothing has moved this account yet.")
    for line in page.lines:
        click.echo(_line(line, wallet.account))
    if page.next_before is not None:
        click.echo(f"Older: --before {page.next_before}")


def _document(line: "Line") -> dict[str, Any]:
    return {
        "entry": line.entry,
        "time_ms": line.time_ms,
        "change_cents": line.change_cents,
        "balance_cents": line.balance_cents,
        "order": line.order,
    }


def payer_of(order: dict[str, Any]) -> Any:
    """Return whose money an order of a statement is about: what ends a hold, either side may sign."""
    hold = order.get("hold")
    return hold.get("payer") if isinstance(hold, dict) else order.get("payer")


def _line(line: "Line", account: int) -> str:
    from harambee.money.amounts import format_cents

    when = datetime.fromtimestamp(line.time_ms // 1000, EAST_AFRICA).strftime("%Y-%m-%d %H:%M:%S")
    order = line.order
    payer = payer_of(order)
    other = f"to {order.get('payee')}" if payer == account else f"from {payer}"
    sign = "+" if line.change_cents > 0 else ""
    what = str(order.get("kind", "")).replace("_", " ")
    return (
        f"{when}  {order.get('receipt_code', ''):10}  {what:<13}  {other:<15}  "
        f"{sign + format_cents(line.change_cents):>16}  {format_cents(line.balance_cents):>16}"
    )
