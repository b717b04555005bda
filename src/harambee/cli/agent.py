"""`harambee agent`: what an agent wants to see when the shop opens, and when it closes."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from harambee.cli.terminal import FailureError, json_option, network_option, print_json
from harambee.ledger.days import EAST_AFRICA

if TYPE_CHECKING:
    from harambee.cli.parties import Parties
    from harambee.handset.agent_book import Book, Cash, Posting
    from harambee.handset.doors import AccountView, Line, Shop
    from harambee.handset.float_forecast import Outlook
    from harambee.handset.handset import Handset

PAGE_LINES: Final = 500
PAGES_MAX: Final = 10
"""A busy shop does some hundred transactions a day; so many pages are more than a week of it."""
POSTINGS_SHOWN: Final = 12
SHOPS_NAMED: Final = 5


@click.command()
@click.argument("who")
@click.option("--cash", metavar="AMOUNT", help="What is in the drawer now; kept on this machine.")
@click.option("--shops", "with_shops", is_flag=True, help="Show the shops of a head office.")
@network_option
@json_option
def agent(who: str, cash: str | None, with_shops: bool, folder: Path, as_json: bool) -> None:
    """Show an agent's float, cash, commission and today's book.

    Cash follows from the orders once you have counted it: give it with --cash, and again after float
    was paid for in cash.

    \b
    Examples:
      harambee agent agent-1 --cash 50,000
      harambee agent agent-1
      harambee agent head-office-1 --shops
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.handset_use import handset_errors, read_parties, with_handset
    from harambee.handset.agent_book import BookError
    from harambee.money.amounts import AmountError, parse_cents

    with handset_errors(as_json=as_json):
        try:
            cash_cents = None if cash is None else parse_cents(cash)
            known, parties = read_parties(folder)
            wallet = parties.wallet(who)
            seen = with_handset(known, wallet, None, lambda handset: _look(handset, cash_cents))
        except (AmountError, BookError) as error:
            raise FailureError(f"{error}".rstrip(".") + ".") from error
    if as_json:
        print_json(_document(seen, parties))
    elif with_shops:
        _show_shops(seen, parties)
    else:
        _show(seen, parties)


@dataclass(frozen=True)
class _Seen:
    """All that the view shows."""

    account: int
    view: "AccountView"
    today: int
    now_ms: int
    book: "Book"
    """As far back as it was read."""
    cash: "Cash | None"
    cash_cents: int | None
    outlook: "Outlook"
    shops: "list[Shop]"
    """Of this account, if it is a head office."""
    siblings: "list[Shop]"
    """The other shops and operators of its head office."""


async def _look(handset: "Handset", cash_cents: int | None) -> _Seen:
    """Ask for everything; the account as w super-agents say, the rest as one tells it."""
    import time

    from harambee.handset.agent_book import book_of, counted, flows_of, read_cash, write_cash
    from harambee.handset.float_forecast import outlook
    from harambee.handset.handset import HandsetError
    from harambee.ledger.records import AccountKind

    number, today = handset.wallet.account, handset.day()
    view = await handset.account(number)
    kept = read_cash(handset.wallet)
    shops = await handset.shops(number)
    if view.kind is not AccountKind.AGENT and not shops:
        raise HandsetError(f"This account is a {view.kind.name.lower()}'s and not an agent's.")
    oldest_day = min(today - 7, today if kept is None else kept.day)
    lines, whole = await _lines(handset, oldest_day)
    book = book_of(number, lines)
    if cash_cents is not None:
        kept = counted(cash_cents, today, book)
        write_cash(handset.wallet, kept)
    reached = whole or (kept is not None and bool(lines) and lines[-1].order["day"] < kept.day)
    balance = lines[0].balance_cents if lines else view.balance_cents
    now_ms = time.time_ns() // 1_000_000
    siblings = await handset.shops(view.head_office) if view.head_office else []
    return _Seen(
        account=number,
        view=view,
        today=today,
        now_ms=now_ms,
        book=book,
        cash=kept,
        cash_cents=kept.now_cents(book) if kept is not None and reached else None,
        outlook=outlook(flows_of(AccountKind.AGENT, lines), balance, now_ms),
        shops=shops,
        siblings=[shop for shop in siblings if shop.account != number],
    )


async def _lines(handset: "Handset", oldest_day: int) -> "tuple[list[Line], bool]":
    """Return the statement's lines back to a day, newest first, and whether nothing older is left."""
    lines: list[Line] = []
    before = None
    for _ in range(PAGES_MAX):
        page = await handset.statement(PAGE_LINES, before)
        lines += page.lines
        before = page.next_before
        if before is None:
            return lines, True
        # An order's day may be one off the day on which it became final.
        if page.lines and int(page.lines[-1].order.get("day", 0)) < oldest_day - 1:
            break
    return lines, False


def _document(seen: _Seen, parties: "Parties") -> dict[str, Any]:
    from harambee.handset.float_forecast import sentence
    from harambee.ledger.kinds import OrderKind

    today = seen.book.on(seen.today)
    totals = {kind: today.total(kind) for kind in OrderKind}
    found = seen.outlook
    return {
        "account": seen.account,
        "float_cents": found.balance_cents,
        "cash_cents": seen.cash_cents,
        "commission_today_cents": today.commission_cents,
        "head_office": seen.view.head_office or None,
        "others_of_head_office": [shop.account for shop in seen.siblings],
        "shops": [
            {
                "account": shop.account,
                "name": parties.name_of(shop.account),
                "float_cents": shop.float_cents,
            }
            for shop in seen.shops
        ],
        "today": {
            "day": seen.today,
            "totals": {
                kind.name.lower(): {"count": total.count, "cents": total.cents}
                for kind, total in totals.items()
                if total.count
            },
            "lines": [
                {
                    "receipt_code": posting.receipt_code,
                    "time_ms": posting.time_ms,
                    "kind": posting.kind.name.lower(),
                    "other": posting.other,
                    "amount_cents": posting.amount_cents,
                    "float_cents": posting.float_cents,
                    "commission_cents": posting.commission_cents,
                    "cash_cents": posting.cash_cents,
                }
                for posting in today.postings
            ],
        },
        "outlook": {
            "low": found.is_low,
            "lasts_until_ms": found.lasts_until_ms,
            "needed_today_cents": found.needed_today_cents,
            "top_up_cents": found.top_up_cents,
            "sentence": sentence(found, seen.now_ms),
        },
    }


def _show(seen: _Seen, parties: "Parties") -> None:
    from harambee.handset.float_forecast import sentence
    from harambee.ledger.kinds import MOVEMENTS
    from harambee.money.amounts import format_cents

    today = seen.book.on(seen.today)
    name = parties.name_of(seen.account)
    click.echo(f"{name}, account {seen.account}")
    click.echo(f"  Float       {format_cents(seen.outlook.balance_cents):>18}")
    if seen.cash_cents is not None:
        click.echo(f"  Cash        {format_cents(seen.cash_cents):>18}")
    elif seen.cash is None:
        click.echo("  Cash         not counted yet; say --cash AMOUNT once")
    else:
        click.echo("  Cash         counted too long ago; say --cash AMOUNT again")
    click.echo(f"  Commission  {format_cents(today.commission_cents):>18}  earned today")
    if seen.view.head_office:
        others = ", ".join(parties.name_of(shop.account) for shop in seen.siblings[:SHOPS_NAMED])
        more = f"; with it {others}" if others else ""
        click.echo(f"  Head office  {parties.name_of(seen.view.head_office)}{more}")
    if seen.shops:
        click.echo(f"  Shops        {len(seen.shops)}; --shops shows them")
    warning = "LOW FLOAT: " if seen.outlook.is_low else ""
    click.echo(f"\n  {warning}{sentence(seen.outlook, seen.now_ms)}")
    if seen.outlook.is_low:
        click.echo(f"  harambee float {name} shows where float is sold.")
    click.echo("\n  Today's book")
    for kind, movement in MOVEMENTS.items():
        total = today.total(kind)
        if total.count and movement.moves_money:
            what = kind.name.lower().replace("_", " ")
            click.echo(f"    {what:<20}{total.count:>6}  {format_cents(total.cents):>18}")
    if not today.postings:
        click.echo("    nothing yet")
    for posting in today.postings[:POSTINGS_SHOWN]:
        click.echo(_line(posting, parties))
    if len(today.postings) > POSTINGS_SHOWN:
        click.echo(
            f"    ... and {len(today.postings) - POSTINGS_SHOWN} more: harambee statement {name}"
        )


def _line(posting: "Posting", parties: "Parties") -> str:
    from harambee.money.amounts import format_cents

    when = datetime.fromtimestamp(posting.time_ms // 1000, EAST_AFRICA).strftime("%H:%M")
    what = posting.kind.name.lower().replace("_", " ")
    earned = (
        f"  earned {format_cents(posting.commission_cents)}" if posting.commission_cents else ""
    )
    return (
        f"    {when}  {posting.receipt_code:10}  {what:<18}  {parties.name_of(posting.other):<18}  "
        f"{format_cents(posting.amount_cents):>16}{earned}"
    )


def _show_shops(seen: _Seen, parties: "Parties") -> None:
    from harambee.money.amounts import format_cents

    today = seen.book.on(seen.today)
    click.echo(
        f"{parties.name_of(seen.account)} has {len(seen.shops)} shops and operators; its share of "
        f"their commissions today is {format_cents(today.commission_cents)}."
    )
    for shop in seen.shops:
        click.echo(
            f"  {parties.name_of(shop.account):<20} account {shop.account:<12} "
            f"float {format_cents(shop.float_cents):>18}"
        )
