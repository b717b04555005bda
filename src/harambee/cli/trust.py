"""`harambee trust`: e-money in circulation against what the banks owe, as several super-agents say."""

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from harambee.cli.terminal import FailureError, json_option, network_option, print_json
from harambee.cli.watching import Watched, watched

if TYPE_CHECKING:
    from harambee.oversight.inquiry import Inquirer, TrustView

TRIES: Final = 5
"""Answers of one moment differ while a bank's order is on its way; so often all are asked again."""
AGAIN_S: Final = 0.3


@click.command()
@network_option
@json_option
def trust(folder: Path, as_json: bool) -> None:
    """Show e-money in circulation, what each bank owes, and how the trust money is spread.

    Every super-agent is asked, and w that say the same are believed. Circulation is added up over
    all accounts but the banks', and must be what the banks owe; no bank may owe more than it has
    attested. More than a quarter of the trust money in one bank is an alarm and stops no payment.

    \b
    Examples:
      harambee trust
      harambee trust --json
    """  # noqa: D301 - click's sign for lines to keep
    seen = watched(folder, as_json=as_json)
    needed = seen.known.genesis.committee.w
    for attempt in range(TRIES):
        if attempt:
            time.sleep(AGAIN_S)
        views, silent = seen.ask(_ask)
        said, agreeing = _most(views)
        if agreeing >= needed or len(views) < needed:
            break
    sentence = _why_not(said, agreeing, needed, list(silent.values()))
    document = _document(seen, views, said, silent) | {"agreeing": agreeing, "needed": needed}
    if as_json:
        print_json(document | {"sentence": sentence})
    else:
        _show(document)
    if sentence is not None:
        raise FailureError(sentence)


async def _ask(asked: "list[Inquirer]") -> "tuple[dict[int, TrustView], dict[int, str]]":
    from harambee.oversight.inquiry import ask_all

    return await ask_all(asked, lambda inquirer: inquirer.trust())


def _most(views: "dict[int, TrustView]") -> "tuple[TrustView | None, int]":
    """Return what most say, and how many."""
    ranked = Counter(views.values()).most_common(1)
    return ranked[0] if ranked else (None, 0)


def _why_not(said: "TrustView | None", agreeing: int, needed: int, silent: list[str]) -> str | None:
    """Return in one sentence what is wrong; None if all is well."""
    if said is None:
        return f"No super-agent answers: {'; '.join(silent)}."
    if agreeing < needed:
        return f"Only {agreeing} super-agents say the same, and {needed} must."
    if said.circulation_cents != sum(bank.owed_cents for bank in said.banks):
        return "E-money in circulation is not what the banks owe."
    above = [bank for bank in said.banks if bank.owed_cents > bank.limit_cents]
    if above:
        return f"{above[0].name or above[0].account} owes more than it has attested."
    return None


def _document(
    seen: Watched,
    views: "dict[int, TrustView]",
    said: "TrustView | None",
    silent: dict[int, str],
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "agree": [seen.super_agent(index) for index, view in views.items() if view == said],
        "differ": [
            {
                "super_agent": seen.super_agent(index),
                "circulation_cents": view.circulation_cents,
                "owed_cents": view.owed_cents,
            }
            for index, view in views.items()
            if view != said
        ],
        "missing": [
            {"super_agent": seen.super_agent(index), "why": why} for index, why in silent.items()
        ],
    }
    if said is None:
        return document
    return document | {
        "circulation_cents": said.circulation_cents,
        "owed_cents": sum(bank.owed_cents for bank in said.banks),
        "banks": [
            {
                "name": seen.bank(bank.account),
                "account": bank.account,
                "owed_cents": bank.owed_cents,
                "limit_cents": bank.limit_cents,
                "share_basis_points": bank.share_basis_points,
                "alarm": bank.alarm,
            }
            for bank in said.banks
        ],
        "alarms": sum(bank.alarm for bank in said.banks),
    }


def _show(document: dict[str, Any]) -> None:
    from harambee.money.amounts import format_cents

    if "banks" in document:
        circulation, owed = (
            format_cents(document[name]) for name in ("circulation_cents", "owed_cents")
        )
        click.echo(f"E-money in circulation  {circulation}")
        click.echo(f"Owed by the banks       {owed}")
        for bank in document["banks"]:
            whole, rest = divmod(bank["share_basis_points"], 100)
            ring = "  more than a quarter of the trust money" if bank["alarm"] else ""
            click.echo(
                f"  {bank['name']:<20} owes {format_cents(bank['owed_cents']):>24} of at most "
                f"{format_cents(bank['limit_cents']):>24}  {whole}.{rest:02}%{ring}"
            )
    if document["agree"]:
        click.echo(f"So say {', '.join(document['agree'])}.")
    for row in document["differ"]:
        said = format_cents(row["circulation_cents"])
        click.echo(f"{row['super_agent']} differs: {said} in circulation.")
    for row in document["missing"]:
        click.echo(f"{row['super_agent']} is missing: {row['why']}.")
