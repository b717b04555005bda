"""`harambee pay` and `harambee cancel`: money leaves, or does not, and says so in one line."""

import sys
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
    from collections.abc import Awaitable

    from harambee.handset.doors import NameView
    from harambee.handset.handset import Balance, Handset, Payment
    from harambee.handset.network_file import KnownNetwork
    from harambee.handset.wallet import Wallet

NAMED_MAX = 4
"""So many super-agents are named in a sentence."""
KINDS = (
    "send",
    "withdraw",
    "deposit",
    "buy-goods",
    "pay-bill",
    "airtime",
    "pay-out",
    "business-transfer",
    "bank-deposit",
    "bank-withdrawal",
    "float-sale",
    "join-head-office",
    "treasury",
    "excise-remittance",
)
"""Whatever a person signs one at a time; a super-agent pays commissions by itself."""


# A negative amount is an amount that is refused in words, not an unknown option.
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("payer", metavar="FROM")
@click.argument("payee", metavar="TO")
@click.argument("amount", required=False)
@click.option(
    "--kind", type=click.Choice(KINDS), help="Default: the only one there is between the two."
)
@click.option("--account", metavar="TEXT", help="Of a bill: the account at the biller.")
@click.option("--for", "airtime_for", metavar="NUMBER", help="Of airtime: whose telephone.")
@click.option("--via", metavar="NAME", help="The super-agent to try first; any will do.")
@click.option(
    "--window",
    metavar="TIME",
    help="Hold it first, and send it after so long: 90s, 10m, 1h. Ctrl-C leaves it held.",
)
@click.option("--yes", is_flag=True, help="Do not ask on a terminal whether this is the payee.")
@network_option
@json_option
def pay(
    payer: str,
    payee: str,
    amount: str | None,
    kind: str | None,
    account: str | None,
    airtime_for: str | None,
    via: str | None,
    window: str | None,
    yes: bool,
    folder: Path,
    as_json: bool,
) -> None:
    """Pay AMOUNT shillings from FROM to TO.

    FROM is a demo account, or somebody registered on this machine: their key signs here. TO is a
    name, an account number, a telephone number or a short code. The movement follows from who
    pays whom; where there are several, --kind says which. A super-agent's own accounts are
    float:NAME, revenue:NAME, commission:NAME and excise:NAME.

    \b
    Examples:
      harambee pay customer-1 customer-2 100
      harambee pay customer-1 0700000002 1,000.50
      harambee pay customer-1 agent-1 500                  withdraw: take the cash when it is final
      harambee pay agent-1 customer-1 500                  deposit
      harambee pay customer-1 till:100001 250              buy goods
      harambee pay customer-1 paybill:200001 99 --account INV-7
      harambee pay customer-1 airtime-1 50 --kind airtime
      harambee pay float:amani agent-1 20,000              float, from the super-agent
      harambee pay agent-1 agent-2 5,000                   float, to a neighbour
      harambee pay agent-2 head-office-1 --kind join-head-office
      harambee pay customer-1 0700000002 100 --window 10m  ten minutes to think again

    On a terminal the payee's masked name is shown first, and nothing is sent without a Yes.

    If no super-agent answers in time, run the same command again: the same signed order is sent
    again, and ten tries are one payment.
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.handset_use import handset_errors, read_parties, with_handset
    from harambee.cli.payment_text import payee_shown, payment_text, reference_shown
    from harambee.cli.window import WINDOWED, Windowed, window_seconds
    from harambee.ledger.kinds import MOVEMENTS, OrderKind
    from harambee.money.amounts import AmountError, parse_cents

    movement = None if kind is None else OrderKind[kind.replace("-", "_").upper()]
    window_s = None if window is None else window_seconds(window)
    if window_s is not None and (airtime_for is not None or kind not in (None, *WINDOWED)):
        raise click.UsageError(f"--window is for {', '.join(WINDOWED)}.")
    if amount is None and (movement is None or MOVEMENTS[movement].moves_money):
        raise click.UsageError("Missing argument 'AMOUNT': say how much.")
    with one_sentence(AmountError, as_json=as_json):
        cents = 0 if amount is None else parse_cents(amount)
    with handset_errors(as_json=as_json):
        known, parties = read_parties(folder)
        wallet = parties.wallet(payer)
        target = parties.payee(payee)
        name = None
        asks = not (yes or as_json) and _is_terminal()
        if asks or as_json:
            target = with_handset(known, wallet, via, lambda handset: handset.payee_number(target))
            name = _name_of(known, wallet, via, target, aloud=asks)
            if asks and name is not None and not click.confirm(_question(cents, name, kind)):
                raise FailureError("Nothing was sent.")
        if window_s is not None:
            name_said = None if name is None else name.name
            paid = Windowed(known, parties, payer, payee, name_said, via, as_json=as_json)
            paid.pay(target, cents, account, window_s)
            return
        payment, balance = with_handset(
            known,
            wallet,
            via,
            lambda handset: _paid(
                handset,
                handset.pay(target, cents, movement, account=account, airtime_for=airtime_for),
            ),
        )
        names = {row.account: row.name for row in parties.demo()}
    known_as = names.get(payment.payee) if name is None else name.name
    other = payee_shown(payment.payee, payee, known_as)
    reference = reference_shown(account, airtime_for)
    left = None if balance is None else balance.cents
    text = payment_text(payment, other, balance_cents=left, reference=reference)
    _tell(payment, known, text, as_json=as_json, wanted=("final",), name=name)


async def _paid(
    handset: "Handset", paying: "Awaitable[Payment]"
) -> "tuple[Payment, Balance | None]":
    """Pay, and ask for the balance that the text tells."""
    payment = await paying
    return payment, await handset.balance_after(payment) if payment.receipts else None


@click.command()
@click.argument("payer", metavar="WHO")
@network_option
@json_option
def cancel(payer: str, folder: Path, as_json: bool) -> None:
    """Cancel WHO's payment that is still open.

    A payment is open when no super-agents could say in time what became of it. It ends as
    cancelled, or as final if it had become so meanwhile; then the next payment can be made.
    """
    from harambee.cli.handset_use import handset_errors, read_parties, with_handset
    from harambee.cli.payment_text import payment_text
    from harambee.texts.parties import Party

    with handset_errors(as_json=as_json):
        known, parties = read_parties(folder)
        payment = with_handset(known, parties.wallet(payer), None, lambda handset: handset.cancel())
    text = payment_text(payment, Party(payment.payee))
    _tell(payment, known, text, as_json=as_json, wanted=("cancelled", "refused"), name=None)


def _is_terminal() -> bool:
    """Say whether somebody reads the question and can answer it."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _name_of(
    known: "KnownNetwork", wallet: "Wallet", via: str | None, payee: int, *, aloud: bool
) -> "NameView | None":
    """Return the payee's masked name and number; None, and why if that is to be said, if unknown."""
    from harambee.cli.handset_use import name_of
    from harambee.handset.naming import NoNameError

    try:
        return name_of(known, wallet, via, payee)
    except NoNameError as error:
        if aloud:
            click.echo(f"No name can be shown: {error}")
        return None


def _question(cents: int, name: "NameView", kind: str | None) -> str:
    from harambee.cli.name import shown
    from harambee.money.amounts import format_cents

    amount, who = format_cents(cents), shown(name)
    match kind:
        case "withdraw":
            return f"Withdraw {amount} from {who}?"
        case "buy-goods":
            return f"Pay {amount} to {who}?"
        case _:
            return f"Send {amount} to {who}?"


def _tell(
    payment: "Payment",
    known: "KnownNetwork",
    text: str | None,
    *,
    as_json: bool,
    wanted: tuple[str, ...],
    name: "NameView | None",
) -> None:
    """Print what became of a payment, its text last; FailureError unless that is what was wanted."""
    if as_json:
        named = {
            "payee_name": None if name is None else name.name,
            "payee_number": None if name is None else name.number,
        }
        print_json(payment_document(payment, known) | named)
    if payment.status not in wanted:
        raise FailureError(_failure(payment))
    if not as_json:
        click.echo(_line(payment, known))
        if text is not None:
            click.echo(text)


def _failure(payment: "Payment") -> str:
    """Return why it did not work; who lacks float is told where it is sold."""
    from harambee.ledger.kinds import OrderKind
    from harambee.ledger.outcomes import Outcome

    lacks_float = payment.outcome is Outcome.BALANCE_INSUFFICIENT
    if payment.kind is OrderKind.DEPOSIT and lacks_float:
        return (
            f"The agent's float does not cover a deposit of {_cents(payment)}; "
            f"`harambee float {payment.payer}` shows where float is sold."
        )
    return payment.sentence


def _cents(payment: "Payment") -> str:
    from harambee.money.amounts import format_cents

    return format_cents(payment.amount_cents)


def _line(payment: "Payment", known: "KnownNetwork") -> str:
    from harambee.ledger.kinds import OrderKind

    if payment.status != "final":
        return payment.sentence
    earlier = "This was your earlier payment; run the command again to pay once more.\n"
    if payment.kind is OrderKind.JOIN_HEAD_OFFICE:
        return (
            f"{payment.receipt_code} Confirmed. Account {payment.payer} now belongs to the head "
            f"office {payment.payee}.\n"
            f"Final after {payment.latency_ms} ms, on the signed receipts of {signers(payment, known)}."
        )
    return (
        f"{earlier if payment.resumed else ''}"
        f"Final after {payment.latency_ms} ms, on the signed receipts of {signers(payment, known)}."
    )


def signers(payment: "Payment", known: "KnownNetwork") -> str:
    """Return the names of those on whose receipts a payment is believed; of many, the first few."""
    names = [known.doors[receipt.super_agent].name for receipt in payment.receipts]
    if len(names) <= NAMED_MAX:
        return " and ".join(names)
    return f"{', '.join(names[: NAMED_MAX - 1])} and {len(names) - NAMED_MAX + 1} others"


def payment_document(payment: "Payment", known: "KnownNetwork") -> dict[str, Any]:
    """Return what became of a payment, for programs."""
    return {
        "status": str(payment.status),
        "sentence": payment.sentence,
        "receipt_code": payment.receipt_code,
        "order_id": payment.order_id.hex(),
        "payer": payment.payer,
        "payee": payment.payee,
        "amount_cents": payment.amount_cents,
        "fee_cents": payment.fee_cents,
        "sequence": payment.sequence,
        "kind": payment.kind.name.lower(),
        "outcome": payment.outcome.name,
        "receipts": [
            {
                "super_agent": known.doors[receipt.super_agent].name,
                "signature": receipt.signature.hex(),
            }
            for receipt in payment.receipts
        ],
        "via": payment.via,
        "latency_ms": payment.latency_ms,
        "resumed": payment.resumed,
    }
