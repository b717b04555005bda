"""What a handset knows of the network before it asks anyone: the genesis, and where doors are.

The genesis alone decides whom it believes. Opening accounts are no business of a handset; it never
reads them, so that a phone need not hold a country's.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from harambee.money.tariff import TariffError
from harambee.protocol.genesis import FORMAT, Genesis, GenesisDocument


class NetworkFileError(Exception):
    """The network's files cannot be read; the message is one sentence."""


class DoorAddress(msgspec.Struct, frozen=True):
    """Where one super-agent serves handsets; the file has more, for super-agents."""

    name: str
    http: str


@dataclass(frozen=True, eq=False)
class KnownNetwork:
    """The genesis, and the doors in the committee's order."""

    genesis: Genesis
    doors: tuple[DoorAddress, ...]


def read_committee(folder: Path) -> Genesis:
    """Return the genesis in `folder`, or that is this file; NetworkFileError if none can be read.

    Whoever only verifies what super-agents signed needs this alone, and no address.
    """
    file = folder if folder.is_file() else folder / "genesis.json"
    try:
        document = msgspec.json.decode(file.read_bytes(), type=GenesisDocument)
    except FileNotFoundError as error:
        raise _no_network(folder) from error
    except (OSError, msgspec.DecodeError) as error:
        raise NetworkFileError(f"The network in {folder} cannot be read: {error}.") from error
    if document.format != FORMAT:
        raise NetworkFileError(
            f"{file} has format {document.format}; this software reads format {FORMAT}."
        )
    genesis = Genesis(document, b"")
    try:
        assert genesis.tariffs, "a network has a tariff"
        assert genesis.committee.members
        assert genesis.regions
    except (KeyError, ValueError, TariffError, AssertionError) as error:
        raise NetworkFileError(f"The network in {folder} is damaged: {error}.") from error
    return genesis


def read_network(folder: Path) -> KnownNetwork:
    """Return the network in `folder`; NetworkFileError if there is none that can be read."""
    genesis = read_committee(folder)
    try:
        content = (folder / "addresses.json").read_bytes()
        addresses = msgspec.json.decode(content, type=list[DoorAddress])
    except FileNotFoundError as error:
        raise _no_network(folder) from error
    except (OSError, msgspec.DecodeError) as error:
        raise NetworkFileError(f"The network in {folder} cannot be read: {error}.") from error
    places = {address.name: address for address in addresses}
    try:
        doors = tuple(places[member.name] for member in genesis.committee.members)
    except KeyError as error:
        raise NetworkFileError(f"The network in {folder} is damaged: {error}.") from error
    return KnownNetwork(genesis, doors)


def _no_network(folder: Path) -> NetworkFileError:
    return NetworkFileError(
        f"There is no network in {folder}: start one with `harambee up`, or name its folder "
        "with --network."
    )
