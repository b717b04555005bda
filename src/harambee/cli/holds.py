"""`harambee hold`, `release`, `void` and `holds`: money set aside, and what becomes of it."""

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from harambee.cli.terminal import (
    FailureError,
    json_option,
    network_option,
    one_sentence,
    print_json,
)

if TYPE_CHECKING:
    from harambee.cli.parties import Parties
    from harambee.handset.handset import Balance, Handset, Payment
    from harambee.handset.holding import Ended
    from harambee.handset.holds import HoldView
    from harambee.handset.network_file import KnownNetwork

DAYS_MAX: Final = 30
_EPOCH: Final = date(1970, 1, 1)


# A negative amount is an amount that is refused in words, not an unknown option.
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("payer", metavar="FROM")
@click.argument("payee", metavar="TO")
@click.argument("amount")
@click.option(
    "--authorise", is_flag=True, help="TO may take it, or a part of it, without asking again."
)
@click.option(
    "--days",
    type=click.IntRange(1, DAYS_MAX),
    default=1,
    show_default=True,
    help="After so many days the side that waits may end it alone.",
)
@click.option("--account", metavar="TEXT", help="Of a bill: the account at the biller.")
@click.option("--via", metavar="NAME", help="The super-agent to try first; any will do.")
@network_option
@json_option
def hold(
    payer: str,
    payee: str,
    amount: str,
    authorise: bool,
    days: int,
    account: str | None,
    via: str | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Set AMOUNT shillings of FROM's aside for TO.

    Nothing is paid yet, but the money can be spent on nothing else. FROM may release it or void it at
    any time; TO may void it, and release it alone once the days are over. With --authorise it is the
    other way round, as when a hotel takes a deposit: TO may release all or a part of it or void it,
    and FROM may void it alone once the days are over.

    \b
    Examples:
      harambee hold customer-1 customer-2 500
      harambee hold customer-1 till:100001 5,000 --authorise --days 7
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.handset_use import handset_errors, read_parties, with_handset
    from harambee.handset.holding import hold as hold_for
    from harambee.money.amounts import AmountError, parse_cents

    with one_sentence(AmountError, as_json=as_json):
        cents = parse_cents(amount)
    with handset_errors(as_json=as_json):
        known, parties = read_parties(folder)
        wallet, target = parties.wallet(payer), parties.payee(payee)

        async def held(handset: "Handset") -> "tuple[Payment, Balance | None]":
            made = await hold_for(
                handset, target, cents, days=days, authorisation=authorise, account=account
            )
            return made, await handset.balance_after(made) if made.receipts else None

        payment, balance = with_handset(known, wallet, via, held)
    tell_payment(payment, known, parties, payee, as_json=as_json, balance=balance)
    if not as_json:
        code = payment.receipt_code
        click.echo(
            f"`harambee release {payee} {code} [AMOUNT]` takes it."
            if authorise
            else f"`harambee release {payer} {code}` sends it; `harambee void {payer} {code}` takes "
            "it back."
        )


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("who")
@click.argument("named", metavar="HOLD")
@click.argument("amount", required=False)
@click.option("--via", metavar="NAME", help="The super-agent to try first; any will do.")
@network_option
@json_option
def release(
    who: str, named: str, amount: str | None, via: str | None, folder: Path, as_json: bool
) -> None:
    """Let held money be paid: all of it, or AMOUNT shillings of it.

    WHO is one of the two sides of the hold. HOLD is its receipt code, or PAYER/SEQUENCE. What is
    not released of it is the payer's to use again.

    \b
    Examples:
      harambee release customer-1 UKO3JNZ512
      harambee release till:100001 UKO3JNZ512 3,200
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.handset.holding import find_hold
    from harambee.handset.holding import release as release_hold
    from harambee.money.amounts import AmountError, parse_cents

    with one_sentence(AmountError, as_json=as_json):
        cents = None if amount is None else parse_cents(amount)

    async def end(handset: "Handset") -> "Ended":
        return await release_hold(handset, await find_hold(handset, named), cents)

    _end(who, via, folder, end, as_json=as_json)


@click.command()
@click.argument("who")
@click.argument("named", metavar="HOLD")
@click.option("--via", metavar="NAME", help="The super-agent to try first; any will do.")
@network_option
@json_option
def void(who: str, named: str, via: str | None, folder: Path, as_json: bool) -> None:
    """Give held money back to its payer.

    WHO is one of the two sides of the hold. HOLD is its receipt code, or PAYER/SEQUENCE.

    \b
    Example:
      harambee void customer-1 UKO3JNZ512
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.handset.holding import find_hold
    from harambee.handset.holding import void as void_hold

    async def end(handset: "Handset") -> "Ended":
        return await void_hold(handset, await find_hold(handset, named))

    _end(who, via, folder, end, as_json=as_json)


def _end(who: str, via: str | None, folder: Path, end: Any, *, as_json: bool) -> None:
    from harambee.cli.handset_use import handset_errors, read_parties, with_handset

    with handset_errors(as_json=as_json):
        known, parties = read_parties(folder)
        ended = with_handset(known, parties.wallet(who), via, end)
    tell_ended(ended, known, parties, as_json=as_json)


def tell_ended(ended: "Ended", known: "KnownNetwork", parties: "Parties", *, as_json: bool) -> None:
    """Print what became of a release or a void; FailureError unless that is final."""
    from harambee.cli.pay import payment_document, signers
    from harambee.ledger.kinds import OrderKind
    from harambee.money.amounts import format_cents

    payment, found = ended.payment, ended.hold
    if as_json:
        print_json(payment_document(payment, known) | {"hold": hold_document(found)})
    if payment.status != "final":
        raise FailureError(payment.sentence)
    if as_json:
        return
    payer, payee = parties.name_of(found.payer), parties.name_of(found.payee)
    if payment.kind is OrderKind.RELEASE:
        rest = found.amount_cents - payment.amount_cents
        left = f" {format_cents(rest)} of it is free again." if rest else ""
        said = f"{format_cents(payment.amount_cents)} of {payer}'s is paid to {payee}.{left}"
    else:
        said = f"{format_cents(found.amount_cents)} that was held for {payee} is {payer}'s again."
    click.echo(f"{payment.receipt_code} Confirmed. {said}")
    click.echo(
        f"Final after {payment.latency_ms} ms, on the signed receipts of {signers(payment, known)}."
    )


@click.command()
@click.argument("who")
@network_option
@json_option
def holds(who: str, folder: Path, as_json: bool) -> None:
    """Show what is held of WHO's money, and for WHO, as one super-agent tells it.

    \b
    Example:
      harambee holds customer-1
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.handset_use import handset_errors, read_parties, with_handset
    from harambee.handset.holding import open_holds

    with handset_errors(as_json=as_json):
        known, parties = read_parties(folder)
        wallet = parties.wallet(who)
        found = with_handset(known, wallet, None, open_holds)
    regions = known.genesis.regions
    if as_json:
        rows = [hold_document(row) | {"receipt_code": _code(row, regions)} for row in found]
        print_json({"account": wallet.account, "holds": rows})
        return
    if not found:
        click.echo("Nothing is held of this account or for it.")
    for row in found:
        click.echo(_line(row, wallet.account, parties, _code(row, regions)))


def _code(row: "HoldView", regions: int) -> str:
    from harambee.handset.receipt_code import receipt_code

    return receipt_code(row.payer, row.sequence, row.day, regions)


def _line(row: "HoldView", own: int, parties: "Parties", code: str) -> str:
    from harambee.money.amounts import format_cents

    mine = row.payer == own
    other = parties.name_of(row.payee if mine else row.payer)
    first = mine is not row.is_authorisation
    until = (_EPOCH + timedelta(days=row.free_day)).isoformat()
    word = "yours to end" if first else "theirs to end"
    return (
        f"{code}  {row.payer}/{row.sequence:<8}  {'for' if mine else 'from'} {other:<16}  "
        f"{format_cents(row.amount_cents):>16}  {word}; from {until} either side may"
    )


def hold_document(row: "HoldView") -> dict[str, Any]:
    """Return a hold for programs."""
    return {
        "payer": row.payer,
        "sequence": row.sequence,
        "payee": row.payee,
        "amount_cents": row.amount_cents,
        "fee_cents": row.fee_cents,
        "movement": row.movement.name.lower(),
        "authorisation": row.is_authorisation,
        "free_day": (_EPOCH + timedelta(days=row.free_day)).isoformat(),
        "state": str(row.state),
        "released_cents": row.released_cents,
        "ended_by": row.ended_by,
    }


def tell_payment(
    payment: "Payment",
    known: "KnownNetwork",
    parties: "Parties",
    typed: str,
    *,
    as_json: bool,
    balance: "Balance | None" = None,
    paid_code: str = "",
    more: dict[str, Any] | None = None,
) -> None:
    """Print what became of an order in an own slot, with its text; FailureError unless it is final."""
    from harambee.cli.pay import payment_document, signers
    from harambee.cli.payment_text import payee_shown, payment_text

    if as_json:
        print_json(payment_document(payment, known) | (more or {}))
    if payment.status != "final":
        raise FailureError(payment.sentence)
    if as_json:
        return
    names = {row.account: row.name for row in parties.demo()}
    text = payment_text(
        payment,
        payee_shown(payment.payee, typed, names.get(payment.payee)),
        balance_cents=None if balance is None else balance.cents,
        free_cents=None if balance is None else balance.available_cents,
        paid_code=paid_code,
    )
    if payment.resumed:
        click.echo("This was your earlier order; run the command again to make another one.")
    click.echo(
        f"Final after {payment.latency_ms} ms, on the signed receipts of {signers(payment, known)}."
    )
    if text is not None:
        click.echo(text)
