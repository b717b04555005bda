"""`harambee flags`: what looks odd among a day's payments, with the rule that says so."""

from pathlib import Path
from typing import Final

import click

from harambee.cli.terminal import json_option, network_option, one_sentence, print_json
from harambee.cli.watching import DAY, day_text, days_ago, watched

SHOWN: Final = 40
"""Flags that a terminal shows; a file has all of them."""


@click.command()
@click.argument("day", type=DAY, required=False)
@click.option(
    "--csv",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write all flags to this file.",
)
@click.option("--via", metavar="NAME", help="Read this super-agent's journal; default: any.")
@click.option("--rules", "only_rules", is_flag=True, help="Explain the rules, and ask nobody.")
@network_option
@json_option
def flags(
    day: int | None,
    target: Path | None,
    via: str | None,
    only_rules: bool,
    folder: Path,
    as_json: bool,
) -> None:
    """Show accounts of DAY at which somebody should look. Default: yesterday.

    A flag accuses nobody and stops nothing. It names its rule; the rules and their numbers, with the
    reason for each, are shown by --rules. Final orders are read from a super-agent while it runs,
    those of DAY and of the seven days before it.

    \b
    Examples:
      harambee flags
      harambee flags 2026-11-27 --csv flags.csv
      harambee flags --rules
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.export import FLAG_COLUMNS, flag_row
    from harambee.oversight.day_reading import read_day
    from harambee.oversight.flags import flags_of
    from harambee.oversight.inquiry import NoAnswerError
    from harambee.oversight.tables import TableError, table

    if only_rules:
        _explain(as_json=as_json)
        return
    asked = days_ago(1) if day is None else day
    seen = watched(folder, as_json=as_json)
    with one_sentence(NoAnswerError, as_json=as_json):
        read = seen.ask_one(via, lambda inquirer: read_day(inquirer, seen.known.genesis, asked))
    found = flags_of(read)
    if target is not None:
        with (
            one_sentence(TableError, OSError, as_json=as_json),
            table(target, FLAG_COLUMNS) as sink,
        ):
            sink.write([flag_row(seen, asked, flag) for flag in found])
    if as_json:
        rows = [
            {"flag": flag.name, "account": flag.account, "super_agent": seen.home(flag.account)}
            | {"count": flag.count, "amount_cents": flag.cents, "sentence": flag.sentence}
            for flag in found
        ]
        print_json(
            {"day": asked, "date": day_text(asked), "orders": len(read.orders)} | {"flags": rows}
        )
        return
    click.echo(f"{day_text(asked)}: {len(read.orders):,} final orders, {len(found)} flags.")
    for flag in found[:SHOWN]:
        where = f"{flag.account} ({seen.home(flag.account)})"
        click.echo(f"  {flag.name:<15} {where:<22} {flag.sentence}")
    if len(found) > SHOWN:
        click.echo(f"  ... and {len(found) - SHOWN} more: --csv FILE has all of them")


def _explain(*, as_json: bool) -> None:
    from harambee.oversight.flags import RULES, THRESHOLDS

    rules = {name: (rule.__doc__ or "").strip() for name, rule in RULES.items()}
    if as_json:
        numbers = {name: one._asdict() for name, one in THRESHOLDS.items()}
        print_json({"rules": rules, "thresholds": numbers})
        return
    for name, sentence in rules.items():
        click.echo(f"{name:<15} {sentence}")
    click.echo()
    for name, (value, reason) in THRESHOLDS.items():
        click.echo(f"{name:<26} {value:>9,}  {reason}")
