"""`harambee proposals` and `harambee approve`: what waits for operators, and their yes."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harambee.cli.terminal import FailureError, json_option, network_option, print_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from harambee.crypto.signatures import KeyPair
    from harambee.handset.doors import Door, ProposalSeen
    from harambee.handset.network_file import KnownNetwork

ALL = "all"


@click.command()
@click.argument("name", metavar="[ID]", required=False)
@click.option(
    "--at", metavar="SUPER-AGENT", help="Whose view to show; default: everybody's together."
)
@network_option
@json_option
def proposals(name: str | None, at: str | None, folder: Path, as_json: bool) -> None:
    """Show what is proposed in governance, who has approved it, and which super-agents voted.

    All super-agents are asked: one hears of a proposal when the first of them has voted for it.
    With an ID, or the beginning of one, every super-agent is asked about that proposal.

    \b
    Examples:
      harambee proposals
      harambee proposals 3f9a1c
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.governance_use import (
        find_proposal,
        governance_errors,
        proposal_document,
        seen_by,
    )
    from harambee.cli.handset_use import read_parties, with_doors

    with governance_errors(as_json=as_json):
        known, _ = read_parties(folder)
        if name is not None:
            _show_everywhere(known, find_proposal(known, name, at), as_json=as_json)
            return
        listed = with_doors(known, at, lambda doors: seen_by(doors if at is None else doors[:1]))
    if as_json:
        print_json({"proposals": [proposal_document(one) for one in listed]})
        return
    if not listed:
        click.echo("Nothing is proposed.")
    for one in listed:
        click.echo(f"{one.id[:12]}  {one.state:<8}  {one.what}  ({one.proposed_by})")
        click.echo(f"  {_progress(one)}")


def _progress(one: "ProposalSeen") -> str:
    voted = ", ".join(one.voted) or "nobody"
    lives = f"; it dies after {one.dies_after}" if one.state == "waiting" else ""
    return f"{one.sentence} Voted: {voted}{lives}."


def _show_everywhere(known: "KnownNetwork", one: "ProposalSeen", *, as_json: bool) -> None:
    from harambee.cli.governance_use import proposal_document
    from harambee.cli.handset_use import with_doors
    from harambee.handset.doors import DoorError

    async def ask(doors: "list[Door]") -> "dict[str, ProposalSeen | None]":
        views: dict[str, ProposalSeen | None] = {}
        for door in doors:
            try:
                views[door.name] = await door.proposal(bytes.fromhex(one.id))
            except DoorError:
                views[door.name] = None
        return views

    views = with_doors(known, None, ask)
    if as_json:
        document = proposal_document(one)
        document["at"] = {
            name: None if seen is None else proposal_document(seen) for name, seen in views.items()
        }
        print_json(document)
        return
    click.echo(f"{one.id}\n{one.what}")
    click.echo(f"{_progress(one)}")
    for name, seen in views.items():
        if seen is None:
            click.echo(f"  {name:<12} does not know it, or cannot be reached")
            continue
        approved = ", ".join(seen.approved_by) or "nobody"
        voted = "voted" if name in seen.voted else "has not voted"
        click.echo(f"  {name:<12} {seen.state}; approved by {approved}; {voted}")


@click.command()
@click.argument("name", metavar="ID")
@click.option(
    "--at", metavar="SUPER-AGENT", required=True, help='Where; "all" for a development network.'
)
@click.option("--operator", metavar="NAME", help="Who approves; with all, both of each.")
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@network_option
@json_option
def approve(
    name: str, at: str, operator: str | None, yes: bool, folder: Path, as_json: bool
) -> None:
    """Approve a proposal as an operator of a super-agent; ID may be its beginning.

    What it does, and what the rules say of it now, is shown before. Two different operators of one
    super-agent must approve, and their approvals count at that super-agent alone. With --at all, on a
    development network, the operators of all approve in turn.

    \b
    Examples:
      harambee approve 3f9a1c --at amani --operator second
      harambee approve 3f9a1c --at all
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.governance_use import (
        find_proposal,
        governance_errors,
        index_of,
        operator_key,
        proposal_document,
        with_door,
    )
    from harambee.cli.handset_use import read_parties
    from harambee.handset.approvals import sign_approval

    with governance_errors(as_json=as_json):
        known, _ = read_parties(folder)
        if at == ALL:
            if operator is not None:
                raise click.UsageError("With --at all every operator approves: name none.")
            found = find_proposal(known, name, None)
            _ask(found, yes=yes)
            ended = _approve_everywhere(known, folder, found, as_json=as_json)
        else:
            index = index_of(known, at)
            who, keypair = operator_key(folder, at, operator)
            found = find_proposal(known, name, at)
            _ask(found, yes=yes)
            wanted = bytes.fromhex(found.id)
            signature = sign_approval(keypair, known.genesis.network, index, wanted)
            ended = with_door(known, index, lambda door: door.approve(wanted, who, signature))
            if not as_json:
                click.echo(f"{who} of {at} approves.")
    if as_json:
        print_json(proposal_document(ended))
    else:
        click.echo(_progress(ended))
    if at == ALL and ended.state != "final":
        raise FailureError("It is not final yet; see `harambee proposals`.")


def _ask(found: "ProposalSeen", *, yes: bool) -> None:
    """Show what would be approved, and what the rules say of it; ask whoever sits at a terminal."""
    click.echo(f"{found.what} Proposed by {found.proposed_by}.", err=True)
    click.echo(found.sentence, err=True)
    if yes or not sys.stdin.isatty():
        return
    if not click.confirm("Approve it?", err=True):
        raise FailureError("Nothing was approved.")


def _approve_everywhere(
    known: "KnownNetwork", folder: Path, found: "ProposalSeen", *, as_json: bool
) -> "ProposalSeen":
    """Let both operators of each super-agent approve in turn: whoever knows the proposal first, first."""
    from harambee.cli.governance_use import operators_of, until_ended
    from harambee.cli.handset_use import with_doors

    wanted, network = bytes.fromhex(found.id), known.genesis.network

    async def run(doors: "list[Door]") -> "ProposalSeen | None":
        known_at = {door.index: await _knows(door, wanted) for door in doors}
        for door in sorted(doors, key=lambda door: not known_at[door.index]):
            operators = operators_of(folder, door.name)
            async for line in _approve_at(door, network, wanted, operators):
                click.echo(line, err=as_json)
        return await until_ended(doors, wanted)

    ended = with_doors(known, None, run)
    if ended is None:
        raise FailureError("No super-agent can be reached.")
    return ended


async def _approve_at(
    door: "Door", network: bytes, wanted: bytes, operators: "dict[str, KeyPair]"
) -> "AsyncIterator[str]":
    """Let the operators of one super-agent approve in turn; yields what became of it, line by line."""
    from harambee.cli.governance_use import until_known
    from harambee.handset.approvals import sign_approval
    from harambee.handset.doors import DoorError, DoorProblemError

    seen = await until_known(door, wanted)
    if seen is None:
        yield f"{door.name} has not heard of it, or cannot be reached."
        return
    for who, keypair in operators.items():
        if who in seen.approved_by:
            continue
        signature = sign_approval(keypair, network, door.index, wanted)
        try:
            await door.approve(wanted, who, signature)
            yield f"{who} of {door.name} approves."
        except DoorProblemError as problem:
            if problem.code not in ("APPROVED_ALREADY", "PROPOSAL_ENDED"):
                yield f"{who} of {door.name} cannot approve: {problem}"
        except DoorError as error:
            yield str(error)


async def _knows(door: "Door", wanted: bytes) -> bool:
    from harambee.handset.doors import DoorError

    try:
        return await door.proposal(wanted) is not None
    except DoorError:
        return False
