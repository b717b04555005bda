"""Everything that is looked at, one after the other; what cannot be looked at yet is left out."""

from collections.abc import Iterator
from pathlib import Path

from harambee.node.config import Address, ConfigError, NodeConfig, read_config
from harambee.node.doctor import files, machine, others, stores
from harambee.node.doctor.findings import Finding, as_sentence, wrong
from harambee.node.network_folder import (
    MemberAddress,
    NetworkFolderError,
    genesis_of,
    read_addresses,
)
from harambee.protocol.genesis import Genesis

GENESIS = "genesis"
ADDRESSES = "addresses"


def examine(file: Path) -> list[Finding]:
    """Return what is found of the super-agent of a configuration, whether it runs or not."""
    try:
        config = read_config(file)
    except ConfigError as error:
        return [
            wrong(
                files.CONFIGURATION,
                as_sentence(error),
                "mend the file; docs/configuration.md has every field",
            )
        ]
    try:
        genesis = genesis_of(config, with_openings=True)
    except NetworkFolderError as error:
        return [
            *files.permissions(config),
            wrong(GENESIS, as_sentence(error), "get genesis.json and openings.bin from any member"),
        ]
    return list(_of_member(config, genesis))


def _of_member(config: NodeConfig, genesis: Genesis) -> Iterator[Finding]:
    names = [member.name for member in genesis.committee.members]
    yield from files.configuration(config, genesis)
    yield from files.permissions(config)
    if config.name not in names:
        yield wrong(
            GENESIS, f"The genesis has no super-agent {config.name}.", "mend name in node.toml"
        )
        return
    index = names.index(config.name)
    yield from files.keys(config, genesis, index)
    yield from files.certificates(config, genesis, index)
    status = others.ask_status(f"http://{_asked_at(config.listen_http)}")
    network = genesis.network.hex()
    yield from others.service(status, config.name, network)
    runs = status is not None and (status.name, status.network) == (config.name, network)
    yield from machine.ports(config, runs=runs)
    yield from machine.disk(config)
    yield from machine.memory(genesis.document.openings_count)
    yield from machine.open_files()
    yield from stores.journal(config, genesis, index)
    yield from stores.checkpoints(config, genesis, runs=runs)
    yield from stores.merchants(config, genesis)
    yield from stores.texts(config)
    yield from stores.places(config)
    yield from _of_others(config, genesis, index)


def _of_others(config: NodeConfig, genesis: Genesis, index: int) -> Iterator[Finding]:
    try:
        addresses: tuple[MemberAddress, ...] = read_addresses(config.addresses, genesis)
    except NetworkFolderError as error:
        yield wrong(ADDRESSES, as_sentence(error), "get addresses.json from any member")
        return
    heard = others.ask_all([one for i, one in enumerate(addresses) if i != index])
    if heard:
        yield from others.peers(heard, genesis.committee)
        yield from others.clock(heard)


def _asked_at(address: Address) -> Address:
    """Return where to ask who listens there: who listens everywhere, listens on loopback too."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - these are looked for, not bound
    return Address(everywhere.get(address.host, address.host), address.port)
