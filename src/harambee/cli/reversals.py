"""`harambee refund` and `harambee reversal`: money that is given back, or asked for."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harambee.cli.terminal import json_option, network_option, one_sentence, print_json

if TYPE_CHECKING:
    from harambee.handset.doors import ReversalView
    from harambee.handset.handset import Balance, Handset, Payment
    from harambee.handset.orders import OrderBody

via_option = click.option(
    "--via", metavar="NAME", help="The super-agent to try first; any will do."
)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("who")
@click.argument("named", metavar="PAYMENT")
@click.argument("amount", required=False)
@via_option
@network_option
@json_option
def refund(
    who: str, named: str, amount: str | None, via: str | None, folder: Path, as_json: bool
) -> None:
    """Give a payment back that WHO received: all that is left of it, or AMOUNT shillings.

    PAYMENT is its receipt code, or PAYER/SEQUENCE. A refund costs nothing, and all refunds of one
    payment together never exceed it.

    \b
    Examples:
      harambee refund till:100001 UKO3JNZ512
      harambee refund customer-2 UKO3JNZ512 50
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.handset.reversing import refund as give_back
    from harambee.money.amounts import AmountError, parse_cents

    with one_sentence(AmountError, as_json=as_json):
        cents = None if amount is None else parse_cents(amount)
    _carry_out(who, via, folder, lambda handset: give_back(handset, named, cents), as_json=as_json)


@click.group()
def reversal() -> None:
    """Ask for a payment back, refuse that, or dispute it.

    Only who received a payment can give it back: `harambee refund`. What is said here moves no
    money; it stands in the ledger for both sides to see.
    """


@reversal.command("ask", context_settings={"ignore_unknown_options": True})
@click.argument("who")
@click.argument("named", metavar="PAYMENT")
@click.argument("amount", required=False)
@via_option
@network_option
@json_option
def ask(
    who: str, named: str, amount: str | None, via: str | None, folder: Path, as_json: bool
) -> None:
    """Ask for a payment back that WHO made: all of it, or AMOUNT shillings. Once for each payment.

    \b
    Example:
      harambee reversal ask customer-1 UKO3JNZ512
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.handset.reversing import ask as ask_back
    from harambee.money.amounts import AmountError, parse_cents

    with one_sentence(AmountError, as_json=as_json):
        cents = None if amount is None else parse_cents(amount)
    _carry_out(who, via, folder, lambda handset: ask_back(handset, named, cents), as_json=as_json)


@reversal.command("refuse")
@click.argument("who")
@click.argument("named", metavar="PAYMENT")
@via_option
@network_option
@json_option
def refuse(who: str, named: str, via: str | None, folder: Path, as_json: bool) -> None:
    """Refuse to give a payment back that WHO received and that was asked for.

    \b
    Example:
      harambee reversal refuse customer-2 UKO3JNZ512
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.handset.reversing import refuse as refuse_back

    _carry_out(who, via, folder, lambda handset: refuse_back(handset, named), as_json=as_json)


@reversal.command("dispute")
@click.argument("who")
@click.argument("named", metavar="PAYMENT")
@via_option
@network_option
@json_option
def dispute(who: str, named: str, via: str | None, folder: Path, as_json: bool) -> None:
    """Dispute a payment that WHO made and asked back.

    \b
    Example:
      harambee reversal dispute customer-1 UKO3JNZ512
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.handset.reversing import dispute as dispute_it

    _carry_out(who, via, folder, lambda handset: dispute_it(handset, named), as_json=as_json)


@reversal.command("show")
@click.argument("who")
@click.argument("named", metavar="PAYMENT")
@network_option
@json_option
def show(who: str, named: str, folder: Path, as_json: bool) -> None:
    """Show whether a payment was asked back, refused, disputed or refunded.

    \b
    Example:
      harambee reversal show customer-1 UKO3JNZ512
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.handset_use import handset_errors, read_parties, with_handset
    from harambee.handset.reversing import show as look

    with handset_errors(as_json=as_json):
        known, parties = read_parties(folder)
        original, state = with_handset(
            known, parties.wallet(who), None, lambda handset: look(handset, named)
        )
    if as_json:
        print_json(state_document(original, state))
        return
    payer, payee = parties.name_of(original.payer), parties.name_of(original.payee)
    click.echo(f"{original.kind.name.lower().replace('_', ' ')} of {payer} to {payee}:")
    for line in _told(original, state):
        click.echo(f"  {line}")


def _told(original: "OrderBody", state: "ReversalView") -> list[str]:
    """Return what has become of a payment, a line for each thing."""
    from harambee.money.amounts import format_cents

    lines = [f"paid      {format_cents(original.amount_cents)}"]
    if state.asked_cents:
        lines.append(f"asked     {format_cents(state.asked_cents)}")
    if state.refunded_cents:
        lines.append(f"refunded  {format_cents(state.refunded_cents)}")
    lines += ["refused"] if state.refused else []
    lines += ["disputed"] if state.disputed else []
    return lines if len(lines) > 1 else [*lines, "nobody has asked for it back"]


def state_document(original: "OrderBody", state: "ReversalView") -> dict[str, Any]:
    """Return what has become of a payment, for programs."""
    return {
        "payer": original.payer,
        "sequence": original.sequence,
        "payee": original.payee,
        "amount_cents": original.amount_cents,
        "kind": original.kind.name.lower(),
        "asked_cents": state.asked_cents,
        "refunded_cents": state.refunded_cents,
        "refused": state.refused,
        "disputed": state.disputed,
    }


def _carry_out(
    who: str,
    via: str | None,
    folder: Path,
    say: "Callable[[Handset], Awaitable[Payment]]",
    *,
    as_json: bool,
) -> None:
    """Say it through the network, and tell what became of it."""
    from harambee.cli.handset_use import handset_errors, read_parties, with_handset
    from harambee.cli.holds import tell_payment
    from harambee.handset.holding import find_payment
    from harambee.handset.holds import slot_named
    from harambee.handset.orders import OrderBody
    from harambee.handset.receipt_code import code_of

    with handset_errors(as_json=as_json):
        known, parties = read_parties(folder)

        async def said(handset: "Handset") -> "tuple[Payment, Balance | None, str]":
            payment = await say(handset)
            payer, sequence = slot_named(OrderBody.from_bytes(payment.order))
            original = await find_payment(handset, f"{payer}/{sequence}")
            code = code_of(original.to_bytes(), known.genesis.regions)
            balance = await handset.balance_after(payment) if payment.receipts else None
            return payment, balance, code

        payment, balance, code = with_handset(known, parties.wallet(who), via, said)
    tell_payment(
        payment,
        known,
        parties,
        "",
        as_json=as_json,
        balance=balance,
        paid_code=code,
        more={"about": code},
    )
