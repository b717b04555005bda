"""A handset at the terminal: a network's files, a wallet, and doors open for one command."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from harambee.cli.parties import Parties, PartyError
from harambee.cli.terminal import FailureError, one_sentence
from harambee.handset.doors import Door, NameView, open_doors
from harambee.handset.handset import Handset, HandsetError
from harambee.handset.naming import find_name
from harambee.handset.network_file import KnownNetwork, NetworkFileError, read_network
from harambee.handset.wallet import Wallet, WalletError

T = TypeVar("T")


@contextmanager
def handset_errors(*, as_json: bool) -> Iterator[None]:
    """Say in one sentence whatever a handset can fail at."""
    expected = (HandsetError, WalletError, NetworkFileError, PartyError)
    with one_sentence(*expected, as_json=as_json):
        yield


def read_parties(folder: Path) -> tuple[KnownNetwork, Parties]:
    """Return the network in `folder` and everybody it knows by name."""
    known = read_network(folder)
    members = known.genesis.committee.members
    first_regions = tuple((member.name, member.regions[0]) for member in members if member.regions)
    return known, Parties(folder, known.genesis.network, first_regions)


def with_doors(
    known: KnownNetwork, via: str | None, use: Callable[[list[Door]], Awaitable[T]]
) -> T:
    """Run `use` with the network's doors, the one named `via` first."""
    names = [door.name for door in known.doors]
    if via is not None and via not in names:
        raise FailureError(f"There is no super-agent {via}; there are {', '.join(names)}.")

    async def run() -> T:
        async with open_doors(known.doors) as doors:
            return await use(sorted(doors, key=lambda door: door.name != via))

    return asyncio.run(run())


def with_handset(
    known: KnownNetwork, wallet: Wallet, via: str | None, use: Callable[[Handset], Awaitable[T]]
) -> T:
    """Run `use` with a handset of this wallet."""
    return with_doors(known, via, lambda doors: use(Handset(known.genesis, doors, wallet)))


def name_of(known: KnownNetwork, wallet: Wallet, via: str | None, payee: int) -> NameView:
    """Return a payee's masked name; NoNameError if none can be shown."""
    return with_doors(
        known,
        via,
        lambda doors: find_name(known.genesis, doors, wallet.keypair, wallet.account, payee),
    )
