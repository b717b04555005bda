"""Feature phones at an operator's desk: an account is opened, a locked PIN may be tried again."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harambee.cli.terminal import FailureError, json_option, network_option, print_json

if TYPE_CHECKING:
    from harambee.handset.phone_papers import PhonePaper


@click.command(name="unlock-pin")
@click.argument("number")
@click.option("--at", metavar="NAME", help="The super-agent; default: any that holds the account.")
@click.option("--operator", metavar="NAME", help="The operator who signs; default: the first one.")
@network_option
@json_option
def unlock_pin(
    number: str, at: str | None, operator: str | None, folder: Path, as_json: bool
) -> None:
    """Let the locked PIN of the feature phone NUMBER be tried again.

    As an operator of one of the three super-agents that hold the account, and only after its owner has
    shown who she is: the document whose copy her super-agent keeps, and her face.

    \b
    Example:
      harambee unlock-pin 0712345678 --at amani
    """  # noqa: D301 - click's sign for lines to keep
    account = _unlocked(folder, number, at, operator, as_json=as_json)
    if as_json:
        print_json({"account": account})
    else:
        click.echo(f"The PIN of account {account} can be tried again.")


def _unlocked(
    folder: Path, number: str, at: str | None, operator: str | None, *, as_json: bool
) -> int:
    """Unlock at the super-agent named, or at the first one that holds the account and can be reached."""
    from harambee.cli.handset_use import handset_errors, read_parties

    with handset_errors(as_json=as_json):
        known, _ = read_parties(folder)
    names = [at] if at is not None else [door.name for door in known.doors]
    for name in names[:-1]:
        try:
            return bring_paper(folder, name, operator, as_json=False, wish="unlock", number=number)
        except FailureError as error:
            click.echo(f"{name}: {error.message}", err=True)
    return bring_paper(folder, names[-1], operator, as_json=as_json, wish="unlock", number=number)


def register_phone(
    number: str,
    person: str,
    language: str,
    at: str | None,
    operator: str | None,
    folder: Path,
    *,
    as_json: bool,
) -> None:
    """Open an account for a feature phone; its owner types her PIN."""
    account = bring_paper(
        folder,
        at,
        operator,
        as_json=as_json,
        wish="register",
        number=number,
        name=person,
        pin=_new_pin(),
        language=language,
    )
    if as_json:
        print_json({"account": account, "custodial": True})
    else:
        click.echo(f"{number} has account {account}; its key is kept by three super-agents.")


def bring_paper(
    folder: Path, at: str | None, operator: str | None, *, as_json: bool, **said: str
) -> int:
    """Sign a paper as an operator and bring it to his super-agent; returns the account."""
    from harambee.cli.governance_use import governance_errors, index_of, operator_key, with_door
    from harambee.cli.handset_use import read_parties
    from harambee.handset.phone_papers import sign_paper

    with governance_errors(as_json=as_json):
        known, _ = read_parties(folder)
        name = at or known.doors[0].name
        index = index_of(known, name)
        who, keypair = operator_key(folder, name, operator)
        paper = _paper(super_agent=index, operator=who, **said)
        content = paper.to_bytes()
        signature = sign_paper(keypair, known.genesis.network, content)
        return with_door(known, index, lambda door: door.phone_paper(content, signature))


def _paper(*, super_agent: int, operator: str, **said: str) -> "PhonePaper":
    import msgspec

    from harambee.handset.phone_papers import PhonePaper

    fields = {
        **said,
        "super_agent": super_agent,
        "operator": operator,
        "time_ms": time.time_ns() // 1_000_000,
    }
    return msgspec.convert(fields, PhonePaper)


def _new_pin() -> str:
    """Return the PIN that the owner chooses: typed twice unseen, or one line where no terminal is."""
    if sys.stdin.isatty():
        return str(click.prompt("PIN, 4 digits", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().strip()
