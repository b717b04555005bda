"""Governance at the terminal: operators' keys, and doors by the names of super-agents."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from harambee.cli.handset_use import handset_errors, with_doors
from harambee.cli.terminal import FailureError, network_words, one_sentence, print_json, program
from harambee.crypto.keyfiles import KeyFileError, read_key_file
from harambee.crypto.signatures import KeyPair
from harambee.handset.approvals import sign_approval
from harambee.handset.doors import Door, DoorError, DoorProblemError, ProposalSeen
from harambee.handset.network_file import KnownNetwork
from harambee.handset.orders import OrderBody, order_id

KIND_OPERATOR: Final = "operator"
SPREAD_S: Final = 20
"""How long to wait until the others have heard of a proposal, or it is final."""
POLL_S: Final = 0.2
PREFIX_MIN: Final = 6

T = TypeVar("T")


@contextmanager
def governance_errors(*, as_json: bool) -> Iterator[None]:
    """Say in one sentence whatever can fail here."""
    with one_sentence(DoorError, KeyFileError, as_json=as_json), handset_errors(as_json=as_json):
        yield


def index_of(known: KnownNetwork, name: str) -> int:
    """Return the index of a super-agent; FailureError if there is none of this name."""
    names = [door.name for door in known.doors]
    if name not in names:
        raise FailureError(f"There is no super-agent {name}; there are {', '.join(names)}.")
    return names.index(name)


def operators_of(folder: Path, super_agent: str) -> dict[str, KeyPair]:
    """Return the operators of a super-agent whose keys lie on this machine, by name."""
    home = folder / "super-agents" / super_agent / "operators"
    return {
        file.name.removesuffix(".key"): read_key_file(file, KIND_OPERATOR).keypair
        for file in sorted(home.glob("*.key"))
    }


def operator_key(folder: Path, super_agent: str, name: str | None) -> tuple[str, KeyPair]:
    """Return an operator's name and key: the one named, or the first; FailureError if none is here."""
    found = operators_of(folder, super_agent)
    if not found:
        raise FailureError(f"No operator of {super_agent} has a key on this machine.")
    if name is None:
        return next(iter(found.items()))
    if name not in found:
        here = ", ".join(found)
        raise FailureError(f"{super_agent} has no operator {name} with a key here, only {here}.")
    return name, found[name]


def with_door(known: KnownNetwork, index: int, use: Callable[[Door], Awaitable[T]]) -> T:
    """Run `use` with the door of one super-agent."""
    return with_doors(
        known, None, lambda doors: use(next(door for door in doors if door.index == index))
    )


def bring_proposal(
    known: KnownNetwork,
    folder: Path,
    body: OrderBody,
    at: str,
    operator: str | None,
    more: dict[str, Any] | None = None,
) -> ProposalSeen:
    """Propose an order at a super-agent, with one operator's approval; FailureError, DoorError."""
    index = index_of(known, at)
    name, keypair = operator_key(folder, at, operator)
    network = known.genesis.network
    written = body.to_bytes()
    approval = sign_approval(keypair, network, index, order_id(network, written))
    extra = dict(more or {})
    order: dict[str, Any] = {"bytes": (written + bytes(64)).hex()}
    if "possession" in extra:
        order["possession"] = extra.pop("possession")
    document = {"order": order, "approval": {"operator": name, "signature": approval.hex()}}
    return with_door(known, index, lambda door: door.propose(document | extra))


def find_proposal(known: KnownNetwork, text: str, at: str | None) -> ProposalSeen:
    """Return a proposal by the beginning of its id, as the first door that knows it tells it."""
    prefix = text.strip().lower()
    if len(prefix) < PREFIX_MIN or not all(sign in "0123456789abcdef" for sign in prefix):
        raise click.BadParameter(f"a proposal is named by {PREFIX_MIN} or more digits of its id")

    async def look(doors: list[Door]) -> list[ProposalSeen]:
        heard = False
        for door in doors:
            try:
                listed = await door.proposals()
            except DoorError:
                continue
            heard = True
            found = {one.id: one for one in listed if one.id.startswith(prefix)}
            if found:
                return list(found.values())
        if not heard:
            raise DoorError("No super-agent can be reached.")
        return []

    found = with_doors(known, at, look)
    if not found:
        raise FailureError("No super-agent knows such a proposal; it may not have spread yet.")
    if len(found) > 1:
        raise FailureError("There are several proposals that begin so; give more of the id.")
    return found[0]


async def seen_by(doors: list[Door]) -> list[ProposalSeen]:
    """Return every proposal that one of the doors knows, as the one tells it that has seen most votes."""
    told = await asyncio.gather(*(door.proposals() for door in doors), return_exceptions=True)
    listed = [one for one in told if not isinstance(one, BaseException)]
    for failure in told:
        if isinstance(failure, BaseException) and not isinstance(failure, DoorError):
            raise failure
    if not listed:
        raise DoorError("No super-agent can be reached.")
    seen: dict[str, ProposalSeen] = {}
    for one in itertools.chain.from_iterable(listed):
        known = seen.get(one.id)
        if known is None or len(one.voted) > len(known.voted):
            seen[one.id] = one
    return list(seen.values())


async def until_known(door: Door, name: bytes) -> ProposalSeen | None:
    """Return a proposal once a door knows it; None if it does not in time, or cannot be reached."""
    try:
        async with asyncio.timeout(SPREAD_S):
            while True:
                found = await door.proposal(name)
                if found is not None:
                    return found
                await asyncio.sleep(POLL_S)
    except (TimeoutError, DoorError):
        return None


async def until_ended(doors: list[Door], name: bytes) -> ProposalSeen | None:
    """Return a proposal as the first door that answers tells it, once it has ended or time is up."""
    seen: ProposalSeen | None = None
    try:
        async with asyncio.timeout(SPREAD_S):
            while seen is None or seen.state == "waiting":
                seen = await _told(doors, name) or seen
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        pass  # it waits still; the caller says so
    return seen


async def _told(doors: list[Door], name: bytes) -> ProposalSeen | None:
    for door in doors:
        try:
            return await door.proposal(name)
        except DoorProblemError:
            raise
        except DoorError:
            continue
    return None


def show_proposal(proposal: ProposalSeen, folder: Path, *, at: str) -> None:
    """Print a new proposal and how it goes on."""
    click.echo(f"{proposal.id[:12]}  {proposal.what}")
    click.echo(
        f"  Proposed at {at}, approved there by {', '.join(proposal.approved_by) or 'nobody'}."
    )
    click.echo(f"  {proposal.sentence} It dies after {proposal.dies_after}.")
    words = network_words(folder)
    click.echo(
        f"  Approve it: {program()} approve {proposal.id[:12]} --at {at} --operator NAME{words}"
    )


def proposal_document(proposal: ProposalSeen) -> dict[str, Any]:
    """Return a proposal as --json prints it."""
    return {name: getattr(proposal, name) for name in proposal.__struct_fields__}


def tell(proposal: ProposalSeen, folder: Path, *, at: str, as_json: bool) -> None:
    """Print a new proposal for people, or for programs."""
    if as_json:
        print_json(proposal_document(proposal))
    else:
        show_proposal(proposal, folder, at=at)
