"""`harambee key`: an account's key changes, a new one takes over, or the old one says no."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harambee.cli.terminal import (
    FailureError,
    json_option,
    network_option,
    new_key_type_option,
    print_json,
)

if TYPE_CHECKING:
    from harambee.handset.handset import Payment
    from harambee.ledger.records import KeyType


@click.group()
def key() -> None:
    """Change the key of an account, or let a new phone's key take over.

    \b
    Examples:
      harambee key change wanjiku
      harambee key change wanjiku --key-type p256
      harambee key take wanjiku-2
      harambee key refuse wanjiku
    """  # noqa: D301 - click's sign for lines to keep


@key.command()
@click.argument("who", metavar="WHO")
@new_key_type_option
@network_option
@json_option
def change(who: str, key_type: "KeyType | None", folder: Path, as_json: bool) -> None:
    """Give an account a new key, made here; the old key signs for it.

    Both keys lie on disk until the change is final; broken off, the same command goes on.
    """
    from harambee.cli.governance_use import governance_errors
    from harambee.cli.handset_use import read_parties, with_handset
    from harambee.handset.key_changes import change_key

    with governance_errors(as_json=as_json):
        known, parties = read_parties(folder)
        if parties.is_own_account(who):
            raise FailureError(
                "The accounts of a super-agent share one key; it is not changed here."
            )
        payment = with_handset(
            known, parties.wallet(who), None, lambda handset: change_key(handset, key_type)
        )
    _tell(payment, f"{who} signs with a new key from now on.", as_json=as_json)


@key.command()
@click.argument("who", metavar="WHO")
@network_option
@json_option
def refuse(who: str, folder: Path, as_json: bool) -> None:
    """Refuse, with the old key, a new one that was asked for in the owner's name."""
    from harambee.cli.governance_use import governance_errors
    from harambee.cli.handset_use import read_parties, with_handset
    from harambee.handset.key_changes import refuse_key

    with governance_errors(as_json=as_json):
        known, parties = read_parties(folder)
        payment = with_handset(known, parties.wallet(who), None, refuse_key)
    _tell(payment, f"The new key is refused; {who} signs as before.", as_json=as_json)


@key.command()
@click.argument("who", metavar="NAME")
@network_option
@json_option
def take(who: str, folder: Path, as_json: bool) -> None:
    """Let the new phone's key take over, once it is approved and the owner had her days to refuse.

    NAME is what `harambee propose new-key` called the new phone.
    """
    from harambee.cli.governance_use import governance_errors
    from harambee.cli.handset_use import read_parties, with_doors
    from harambee.handset.key_changes import take_key

    with governance_errors(as_json=as_json):
        known, parties = read_parties(folder)
        wallet = parties.registered(who)
        if wallet is None:
            home = parties.handsets / who
            taken = with_doors(known, None, lambda doors: take_key(known.genesis, doors, home))
            wallet = taken.wallet
    if as_json:
        print_json({"status": "final", "name": who, "account": wallet.account})
    else:
        click.echo(
            f"Account {wallet.account} is {who}'s; the key before it signs nothing any more."
        )


def _tell(payment: "Payment", sentence: str, *, as_json: bool) -> None:
    from harambee.handset.handset import PaymentStatus

    if as_json:
        print_json(
            {
                "status": str(payment.status),
                "sentence": payment.sentence,
                "account": payment.payer,
                "order_id": payment.order_id.hex(),
            }
        )
    if payment.status is not PaymentStatus.FINAL:
        raise FailureError(payment.sentence)
    if not as_json:
        click.echo(sentence)
