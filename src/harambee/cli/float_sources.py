"""`harambee float`: how long an agent's float lasts, and where the nearest is sold."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from harambee.cli.terminal import json_option, network_option, one_sentence, print_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from harambee.handset.doors import AccountView, Door, FloatSources, Outlook, Seller
    from harambee.handset.handset import Handset
    from harambee.handset.places import Place

NEIGHBOURS_SHOWN: Final = 5


@click.command()
@click.argument("who")
@click.option(
    "--near", metavar="LAT,LON", help="Where you are; default: what your super-agent knows."
)
@network_option
@json_option
def float(  # noqa: A001 - the command's name
    who: str, near: str | None, folder: Path, as_json: bool
) -> None:
    """Show how long WHO's float lasts, and who sells float: super-agent, head office, banks, neighbours.

    Neighbours are agents who agreed to sell what they have above what they keep. The money for
    float goes from hand to hand; the float itself is a movement of the ledger.

    \b
    Examples:
      harambee float agent-1
      harambee float agent-1 --near -1.2864,36.8172
      harambee pay agent-2 agent-1 5,000 --kind float-sale
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.handset_use import handset_errors, read_parties, with_handset
    from harambee.handset.places import PlaceError, parse_pair

    with one_sentence(PlaceError, as_json=as_json):
        given = None if near is None else parse_pair(near)
    with handset_errors(as_json=as_json):
        known, parties = read_parties(folder)
        wallet = parties.wallet(who)
        found = with_handset(known, wallet, None, lambda handset: _look(handset, given))
    rows = [row | {"name": parties.name_of(row["account"])} for row in found.rows]
    if as_json:
        print_json(_document(found, rows))
    else:
        _show(found, rows)


@dataclass(frozen=True)
class _Found:
    account: int
    outlook: "Outlook"
    here: "Place | None"
    rows: list[dict[str, Any]]
    """Sources, nearest and surest first."""


async def _look(handset: "Handset", given: "Place | None") -> _Found:
    """Ask every super-agent for its own sellers; each knows only its own agents."""
    from harambee.handset.doors import FloatSources

    number = handset.wallet.account
    view = await handset.account(number)
    outlook = await handset.outlook(number)
    here = given or await _first(handset.doors, lambda door: door.place(number))
    answers = await asyncio.gather(
        *(door.float_sources(here) for door in handset.doors), return_exceptions=True
    )
    sources = [answer for answer in answers if isinstance(answer, FloatSources)]
    rows = await _standing(handset, view, sources)
    rows += _neighbours(number, sources)
    for row in rows:
        row["suggested_cents"] = min(outlook.top_up_cents, max(0, row["surplus_cents"]))
    return _Found(number, outlook, here, rows)


async def _standing(
    handset: "Handset", view: "AccountView", sources: "Sequence[FloatSources]"
) -> list[dict[str, Any]]:
    """Return the own super-agent, the head office and the banks."""
    from harambee.ledger.records import region_of

    region = region_of(view.account)
    rows = [
        _row("super-agent", seller)
        for source in sources
        for seller in source.floats
        if region_of(seller.account) == region
    ]
    if view.head_office:
        office = await handset.account_now(view.head_office)
        rows.append(
            {"source": "head office", "account": view.head_office, "distance_m": None}
            | {"surplus_cents": max(0, office.balance_cents)}
        )
    for issuer in handset.genesis.document.issuers:
        bank = await handset.account_now(issuer.account)
        room = max(0, issuer.limit_cents + bank.balance_cents)
        row = {"source": "bank", "account": issuer.account, "distance_m": None}
        rows.append(row | {"surplus_cents": room})
    return rows


def _neighbours(number: int, sources: "Sequence[FloatSources]") -> list[dict[str, Any]]:
    sellers = [s for source in sources for s in source.agents if s.account != number]
    # Without a place nobody is near; then who has most comes first.
    sellers.sort(key=lambda s: (s.distance_m is None, s.distance_m or 0, -s.surplus_cents))
    return [_row("neighbour", seller) for seller in sellers[:NEIGHBOURS_SHOWN]]


def _row(source: str, seller: "Seller") -> dict[str, Any]:
    return {
        "source": source,
        "account": seller.account,
        "distance_m": seller.distance_m,
        "surplus_cents": seller.surplus_cents,
    }


async def _first(
    doors: "Sequence[Door]", ask: "Callable[[Door], Awaitable[Place | None]]"
) -> "Place | None":
    """Return what the first door knows that knows anything."""
    from harambee.handset.doors import DoorError

    for door in doors:
        try:
            found = await ask(door)
        except DoorError:
            continue  # it is dead or does not know; another one may
        if found is not None:
            return found
    return None


def _document(found: _Found, rows: list[dict[str, Any]]) -> dict[str, Any]:
    here = found.here
    return {
        "account": found.account,
        "float_cents": found.outlook.float_cents,
        "low": found.outlook.low,
        "lasts_until_ms": found.outlook.lasts_until_ms,
        "top_up_cents": found.outlook.top_up_cents,
        "sentence": found.outlook.sentence,
        "place": None if here is None else {"latitude": here.latitude, "longitude": here.longitude},
        "sources": rows,
    }


def _show(found: _Found, rows: list[dict[str, Any]]) -> None:
    from harambee.handset.places import spoken
    from harambee.money.amounts import format_cents

    click.echo(f"Float {format_cents(found.outlook.float_cents)}. {found.outlook.sentence}")
    if found.here is None:
        click.echo("Nobody knows where you are: --near LAT,LON sorts neighbours by distance.")
    for row in rows:
        away = "" if row["distance_m"] is None else spoken(row["distance_m"])
        suggested = (
            f"  buy {format_cents(row['suggested_cents'])}" if row["suggested_cents"] else ""
        )
        click.echo(
            f"  {row['source']:<12} {row['name']:<20} {away:>8}  "
            f"has {format_cents(row['surplus_cents']):>20}{suggested}"
        )
