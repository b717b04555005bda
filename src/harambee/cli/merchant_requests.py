"""`harambee requests`, `accept`, `decline` and `handset`: what merchants ask a customer to pay."""

import asyncio
import signal
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
    from harambee.handset.answering import Answer
    from harambee.handset.handset import Balance, Handset, Payment
    from harambee.handset.network_file import KnownNetwork
    from harambee.handset.requesting import CheckedRequest
    from harambee.handset.wallet import Wallet

via_option = click.option(
    "--via", metavar="NAME", help="The super-agent to try first; any will do."
)


@click.command()
@click.argument("who")
@via_option
@network_option
@json_option
def requests(who: str, via: str | None, folder: Path, as_json: bool) -> None:
    """Show what merchants ask WHO to pay.

    Only what a super-agent has signed for a merchant is shown, and only until it expires.

    \b
    Examples:
      harambee requests customer-1
      harambee requests 0708374149 --json
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.handset_use import handset_errors, read_parties, with_handset
    from harambee.handset.requesting import now_ms, waiting

    with handset_errors(as_json=as_json):
        known, parties = read_parties(folder)
        found = with_handset(known, parties.wallet(who), via, waiting)
    if as_json:
        print_json({"requests": [request_document(one) for one in found]})
        return
    for one in found:
        left_s = max(0, one.said.expires_ms - now_ms()) // 1_000
        click.echo(f"{one.said.name}  {_shown(one)}; {left_s} s left")
    if found:
        click.echo(
            f"`harambee accept {who} NAME` pays one, `harambee decline {who} NAME` does not."
        )
    else:
        click.echo("Nobody asks for anything.")


@click.command()
@click.argument("who")
@click.argument("name", required=False)
@via_option
@network_option
@json_option
def accept(who: str, name: str | None, via: str | None, folder: Path, as_json: bool) -> None:
    """Pay what a merchant asks WHO for, or agree to a standing order.

    NAME is the request's, or its beginning, as `harambee requests` shows it; none is needed where one
    waits. A request is paid once, however often this is run. What a standing order says is paid by a
    handset that stays (`harambee handset`), when it is due.

    \b
    Examples:
      harambee accept customer-1
      harambee accept customer-1 ws_CO_28112026
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.handset_use import handset_errors, read_parties, with_handset
    from harambee.handset.agreed import agree, pay_due
    from harambee.handset.requesting import approve, waiting

    async def use(
        handset: "Handset",
    ) -> "tuple[CheckedRequest, Payment | None, Balance | None]":
        request = _named(await waiting(handset), name)
        if request.said.terms is not None:
            await agree(handset, request)
            return request, None, None
        pay = pay_due if request.said.under else approve
        payment = await pay(handset, request)
        balance = await handset.balance_after(payment) if payment.receipts else None
        return request, payment, balance

    with handset_errors(as_json=as_json):
        known, parties = read_parties(folder)
        request, payment, balance = with_handset(known, parties.wallet(who), via, use)
    if payment is not None:
        _tell_paid(request, payment, balance, known, as_json=as_json)
    elif as_json:
        print_json(request_document(request) | {"status": "agreed"})
    else:
        click.echo(f"Agreed: {_shown(request)}.")


@click.command()
@click.argument("who")
@click.argument("name", required=False)
@via_option
@network_option
@json_option
def decline(who: str, name: str | None, via: str | None, folder: Path, as_json: bool) -> None:
    """Tell a merchant that WHO does not pay what it asks for.

    NAME is the request's, or its beginning, as `harambee requests` shows it; none is needed where one
    waits.

    \b
    Example:
      harambee decline customer-1
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.handset_use import handset_errors, read_parties, with_handset
    from harambee.handset.requesting import decline as decline_request
    from harambee.handset.requesting import waiting

    async def use(handset: "Handset") -> "CheckedRequest":
        request = _named(await waiting(handset), name)
        await decline_request(handset, request)
        return request

    with handset_errors(as_json=as_json):
        known, parties = read_parties(folder)
        request = with_handset(known, parties.wallet(who), via, use)
    if as_json:
        print_json(request_document(request) | {"status": "declined"})
    else:
        click.echo(f"Declined: {_shown(request)}.")


@click.command(name="standing-orders")
@click.argument("who")
@click.option("--end", "ended", metavar="NAME", help="Agree no more to the one of this name.")
@network_option
@json_option
def standing_orders(who: str, ended: str | None, folder: Path, as_json: bool) -> None:
    """Show the standing orders that WHO has agreed to, or end one.

    What was agreed to lies in the wallet alone: what ended there is paid no more, whatever is asked.

    \b
    Examples:
      harambee standing-orders customer-1
      harambee standing-orders customer-1 --end sto_20261128_0011223344556677
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.handset_use import handset_errors, read_parties
    from harambee.handset.agreed import Agreements
    from harambee.money.amounts import format_cents

    with handset_errors(as_json=as_json):
        _, parties = read_parties(folder)
        agreements = Agreements(parties.wallet(who))
        found = agreements.all()
        if ended is not None:
            found = {name: one for name, one in found.items() if one.said.name == ended}
            for name in found:
                agreements.end(name)
    if ended is not None and not found:
        raise FailureError("There is no such standing order.")
    if as_json:
        rows = [
            {
                "name": one.said.name,
                "short_code": one.said.short_code,
                "payee": one.said.payee,
                "amount_cents": one.said.amount_cents,
                "terms": one.words,
                "paid_number": one.last_number,
            }
            for one in found.values()
        ]
        print_json({"standing_orders": rows, "ended": ended is not None})
        return
    for one in found.values():
        amount = format_cents(one.said.amount_cents)
        click.echo(f"{one.said.name}  {amount} {one.words} to {one.said.payee_name}")
    if ended is not None or not found:
        click.echo("Ended." if ended is not None else "Nothing was agreed to.")


@click.command()
@click.argument("who", nargs=-1, required=True)
@click.option(
    "--approve",
    "most",
    metavar="all|MAX|agreed",
    required=True,
    help="Pay whatever is asked, each request of at most so many shillings, or only what was agreed to.",
)
@via_option
@network_option
@json_option
def handset(who: tuple[str, ...], most: str, via: str | None, folder: Path, as_json: bool) -> None:
    """Be the handset of each WHO, and pay by itself what merchants ask, until Ctrl-C.

    For development, tests and machines: nobody is asked. What is more than MAX waits for `harambee
    accept`. With --json each answer is an object on a line of its own.

    \b
    Examples:
      harambee handset customer-1 --approve all
      harambee handset 0708374149 0722000000 --approve 1,000 --json
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.handset_use import handset_errors, read_parties
    from harambee.money.amounts import AmountError, parse_cents

    with one_sentence(AmountError, as_json=as_json):
        most_cents = {"all": None, "agreed": 0}.get(most, 0)
        if most not in ("all", "agreed"):
            most_cents = parse_cents(most)
    with handset_errors(as_json=as_json):
        known, parties = read_parties(folder)
        wallets = [parties.wallet(one) for one in who]
    if len({wallet.account for wallet in wallets}) < len(wallets):
        raise click.UsageError("Name each account once.")

    def tell(answer: "Answer") -> None:
        if as_json:
            print_json(_answer_document(answer))
        else:
            click.echo(_answer_line(answer))

    if not as_json:
        click.echo(f"{' and '.join(who)} listens; Ctrl-C stops it.")
    _answer_for_all(known, wallets, via, most_cents, tell)


def _answer_for_all(
    known: "KnownNetwork",
    wallets: "list[Wallet]",
    via: str | None,
    most_cents: int | None,
    tell: Any,
) -> None:
    """Answer for every wallet until a signal comes; what is being paid then is gone on with next time."""
    from harambee.cli.handset_use import with_doors
    from harambee.handset.answering import Answering
    from harambee.handset.doors import Door
    from harambee.handset.handset import Handset

    async def run(doors: list[Door]) -> None:
        async def answer() -> None:
            async with asyncio.TaskGroup() as group:
                for wallet in wallets:
                    handset = Handset(known.genesis, doors, wallet)
                    group.create_task(Answering(handset, most_cents, tell).run())

        running = asyncio.create_task(answer())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, running.cancel)
        try:
            await running
        except asyncio.CancelledError:
            if not running.cancelled():
                raise

    with_doors(known, via, run)


def _named(found: "list[CheckedRequest]", name: str | None) -> "CheckedRequest":
    """Return the one request that is meant; FailureError where it is none, or several."""
    fit = [
        one
        for one in found
        if name is None or one.said.name.startswith(name) or one.id.hex().startswith(name.lower())
    ]
    fit = [one for one in fit if one.said.name == name] or fit
    if len(fit) == 1:
        return fit[0]
    if not fit:
        raise FailureError("No such request waits for an answer.")
    raise FailureError(f"Say which: {', '.join(one.said.name for one in fit)}.")


def _shown(request: "CheckedRequest") -> str:
    """Return who asks for how much and what for; the texts are the merchant's."""
    from harambee.money.amounts import format_cents

    said = request.said
    who = f"{said.payee_name} ({said.short_code or said.payee})"
    what = "".join(f", {text}" for text in (said.account, said.text) if text)
    often = "" if said.terms is None else f" {said.terms.words}"
    return f"{format_cents(said.amount_cents)}{often} to {who}{what}"


def request_document(request: "CheckedRequest") -> dict[str, Any]:
    """Return a request for programs."""
    said = request.said
    return {
        "request": said.name,
        "id": request.id.hex(),
        "short_code": said.short_code,
        "payee": said.payee,
        "payee_name": said.payee_name,
        "payer": said.payer,
        "amount_cents": said.amount_cents,
        "kind": said.kind,
        "account": said.account,
        "text": said.text,
        "made_ms": said.made_ms,
        "expires_ms": said.expires_ms,
        "terms": None if said.terms is None else said.terms.words,
        "under": said.under,
    }


def _tell_paid(
    request: "CheckedRequest",
    payment: "Payment",
    balance: "Balance | None",
    known: "KnownNetwork",
    *,
    as_json: bool,
) -> None:
    from harambee.cli.pay import payment_document, signers
    from harambee.cli.payment_text import payment_text
    from harambee.texts.parties import Party

    if as_json:
        print_json(payment_document(payment, known) | {"request": request.said.name})
    if payment.status != "final":
        raise FailureError(payment.sentence)
    if as_json:
        return
    text = payment_text(
        payment,
        Party(payment.payee, request.said.payee_name),
        balance_cents=None if balance is None else balance.cents,
        reference=request.said.account or None,
    )
    click.echo(
        f"Final after {payment.latency_ms} ms, on the signed receipts of {signers(payment, known)}."
    )
    if text is not None:
        click.echo(text)


def _answer_line(answer: "Answer") -> str:
    said, payment = answer.request.said, answer.payment
    head = f"{said.name}  {_shown(answer.request)}: "
    if payment is not None and payment.status == "final":
        return f"{head}{payment.receipt_code}, final after {payment.latency_ms} ms"
    return f"{head}{answer.status}. {answer.sentence}"


def _answer_document(answer: "Answer") -> dict[str, Any]:
    payment = answer.payment
    return request_document(answer.request) | {
        "status": answer.status,
        "sentence": answer.sentence,
        "receipt_code": "" if payment is None else payment.receipt_code,
        "outcome": "" if payment is None else payment.outcome.name,
        "latency_ms": 0 if payment is None else payment.latency_ms,
    }
