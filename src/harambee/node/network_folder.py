"""A network's folder: the genesis, where everyone listens, and the keys of who lives here.

    genesis.json            what all replicas agree on before the first block
    openings.bin            the opening accounts, an OPENING array; the genesis has its digest
    aliases.bin             their numbers' keyed hashes, an OPENING_ALIAS array, where accounts were
                            moved here; the genesis has its digest
    head-offices.csv        account numbers of agents and of the head offices that they are to join;
                            each signs for itself that it does
    addresses.json          [{name, peer, http}]; not in the genesis, because addresses change
    directory.key           the committee's key for hashing telephone numbers, hexadecimal, 0600
    certificates/NAME.crt   every super-agent's TLS certificate; the genesis pins the keys
    super-agents/NAME/      node.toml, signing.key, enrolment.key, treasury.key, profile.key, tls.key,
                            tls.crt, agents.csv, and the profiles of the demo accounts
    super-agents/NAME/merchants.json and more    FOR DEVELOPMENT ONLY: the merchants of sandbox.json
    super-agents/NAME/operators/WHO.key    FOR DEVELOPMENT ONLY: the keys of its operators
    sandbox.json            FOR DEVELOPMENT ONLY: what software that asks for payments is configured with
    keys/                   FOR DEVELOPMENT ONLY: demo.json and the demo accounts' keys
    population.bin, .seeds  FOR DEVELOPMENT ONLY: a crowd's accounts, and the seeds of their keys

`create_network` makes such a folder whole or not at all; `load_network` reads one and checks it.
Every error is a NetworkFolderError of one sentence.
"""

import contextlib
import hashlib
import json
import mmap
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec
import numpy as np
import numpy.typing as npt

from harambee.crypto.device_keys import DeviceKeyError
from harambee.crypto.key_places import (
    EnvironmentKey,
    KeyPlace,
    SecretPlace,
    read_key,
    read_variable,
)
from harambee.crypto.keyfiles import (
    ANYONE_ELSE,
    KeyFileError,
    StoredKey,
    read_owner_key_file,
    read_seeds,
    write_key_file,
    write_seeds,
)
from harambee.crypto.signatures import KeyPair, Signer, generate
from harambee.ledger.records import (
    OPENING,
    OPENING_ALIAS,
    POSITION_COMMISSION,
    POSITION_ENROLMENT,
    POSITION_EXCISE,
    POSITION_FLOAT,
    POSITION_REVENUE,
    REGION_BITS,
    SUPPLY_CENTS_MAX,
    AccountKind,
    account_number,
    region_of,
)
from harambee.merchants.files import MerchantFilesError
from harambee.money.tariff import NEWEST_VERSION, TariffError, shipped_tariff
from harambee.node.account_files import AccountFile, Tell
from harambee.node.agent_places import HEADER
from harambee.node.config import PORT_MAX, Address, ConfigError, NodeConfig, read_config
from harambee.node.demo_profiles import write_demo_profiles
from harambee.node.development import (
    AGENT_CENTS,
    AIRTIME_CODE,
    COMMISSION_CENTS,
    FLOAT_CENTS,
    POPULATION,
    REMARK,
    Bank,
    DemoAccount,
    Issuer,
    Openings,
    Population,
    Residents,
    banks_for,
    demo_accounts,
    demo_businesses,
    demo_places,
    issue,
    name_of,
    settle,
    trust,
)
from harambee.node.directory import KEY_BYTES, alias_of
from harambee.node.moving_in import Incumbent, judge
from harambee.node.profile_store import ProfileStoreError, write_sealing_key
from harambee.node.sandbox import FILE as SANDBOX_FILE
from harambee.node.sandbox import sandbox_accounts, write_sandbox
from harambee.node.tls import TlsError, create_certificate, key_digest
from harambee.protocol.genesis import (
    FORMAT,
    KEY_DAYS_MAX,
    AliasDocument,
    Genesis,
    GenesisDocument,
    GenesisError,
    IssuerDocument,
    MemberDocument,
    read_genesis,
    read_genesis_document,
)
from harambee.protocol.wire import MEMBERS_MAX

PRIVATE: Final = stat.S_IRUSR | stat.S_IWUSR
PUBLIC: Final = PRIVATE | stat.S_IRGRP | stat.S_IROTH
KIND_SIGNING: Final = "super-agent"
KIND_ENROLMENT: Final = "enrolment"
KIND_TREASURY: Final = "treasury"
KIND_DEMO: Final = "development"
KIND_OPERATOR: Final = "operator"
OPERATORS: Final = ("first", "second")
"""Who approves at each super-agent of a development network."""
SANDBOX_HOME: Final = 0
"""The region in which the parties of the sandbox are: the first super-agent's."""
REGIONS_MAX: Final = 1 << REGION_BITS
ALIASES_FILE: Final = "aliases.bin"
"""Beside the file of openings; a network without such a file has all its aliases in the genesis."""
ALIASES_AT_ONCE: Final = 1 << 16
HEAD_OFFICES_FILE: Final = "head-offices.csv"
CHECKPOINT_MINUTES: Final = 10.0
PACE_MS: Final = 20
"""The least time between two blocks of a super-agent, where few are on one machine."""
BLOCKS_A_SECOND_MAX: Final = 7_400
"""So many blocks all of them together receive in a second, on two cores; where they are more, they speak less
often."""
HEARTBEAT_MS: Final = 1_000
PACES_IN_A_HEARTBEAT: Final = 4

WARNING: Final = """\
FOR DEVELOPMENT ONLY.
These are the secret keys of the demonstration's accounts. They lie here in the open so that anyone
who tries this network out can pay with them. No account of a real person may ever use them.
"""

NODE_TOML: Final = """\
# Super-agent {name} of the network {network}. Paths are relative to this file.
name = "{name}"

genesis = "../../genesis.json"
openings = "../../openings.bin"
addresses = "../../addresses.json"
certificates = "../../certificates"
directory_key = "../../directory.key"

signing_key = "signing.key"
enrolment_key = "enrolment.key"
treasury_key = "treasury.key"
tls_key = "tls.key"
tls_certificate = "tls.crt"
journal = "journal"

# What merchants ask for and are told (docs/merchants.md); callbacks may go to this machine itself.
merchants = "merchants"
callbacks_private = true

# The state of the ledger, made and signed so often (docs/checkpoints.md); 0 for never.
checkpoints = "checkpoints"
checkpoint_minutes = {checkpoint_minutes}

# Who its customers are, sealed by this key (docs/profiles.md), and how many checks of a name a day
# may stay without a payment.
profile_key = "profile.key"
profiles = "profiles"
name_checks_daily = 5

# Customers' handsets, and the other super-agents.
listen_http = "{http}"
listen_peer = "{peer}"

# Pay each deposit's commission to the agent as soon as the deposit is final, out of the commission account.
pay_commissions = {pay_commissions}
# Where this super-agent's agents are, and who of them sells float to neighbours.
agent_places = "agents.csv"

# At least this long between two blocks, and at most that long.
pace_ms = {pace_ms}
heartbeat_ms = {heartbeat_ms}

# Confirmations to the accounts of its region: "outbox" appends them to texts/outbox.jsonl, "off" writes none.
texts = "outbox"

# Feature phones (docs/feature-phones.md): who may call back, and who sells them airtime.
phones = "phones"
ussd_sources = ["127.0.0.0/8", "::1/128"]
ussd_airtime = "{airtime}"
texts_language = "en"

# Whose approvals count here: of two of these people this super-agent votes for a freeze, a new key, a new
# tariff (docs/governance.md). Names, and their public keys in hexadecimal.
operators = {{ {operators} }}

log_level = "info"
"""


class NetworkFolderError(Exception):
    """A network's folder cannot be made, or read, or trusted; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class MemberAddress:
    """Where one super-agent listens."""

    name: str
    peer: Address
    """For super-agents."""
    http: str
    """For handsets: a URL without a slash at its end."""


@dataclass(frozen=True, eq=False)
class NetworkFolder:
    """A network's folder, read and checked. Rows of `addresses` stand in the committee's order."""

    folder: Path
    genesis: Genesis
    addresses: tuple[MemberAddress, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The super-agents' names, in the committee's order."""
        return tuple(member.name for member in self.genesis.committee.members)

    @property
    def keys(self) -> Path:
        """The folder of the development keys."""
        return self.folder / "keys"

    @cached_property
    def openings(self) -> npt.NDArray[np.void]:
        """The opening accounts, an OPENING array ascending by number, read-only."""
        return np.frombuffer(self.genesis.openings, OPENING)

    def node_file(self, which: str | int) -> Path:
        """Return the configuration file of a super-agent, by name or index in the committee."""
        if isinstance(which, int) and 0 <= which < len(self.names):
            which = self.names[which]
        if which not in self.names:
            known = ", ".join(self.names)
            raise NetworkFolderError(f"there is no super-agent {which} here, only {known}")
        return self.folder / "super-agents" / str(which) / "node.toml"

    def node(self, which: str | int) -> NodeConfig:
        """Return the configuration of a super-agent, by name or index in the committee."""
        try:
            return read_config(self.node_file(which))
        except ConfigError as error:
            raise NetworkFolderError(str(error)) from error

    def operator_file(self, which: str | int, name: str) -> Path:
        """Return where the key of a super-agent's operator lies in a development network."""
        return self.node_file(which).parent / "operators" / f"{name}.key"

    def directory_key(self) -> bytes:
        """Return the committee's key for hashing telephone numbers, 32 bytes."""
        return read_directory_key(self.folder / "directory.key")

    def demo(self) -> tuple[DemoAccount, ...]:
        """Return the demo customers, agents and banks with their keys; none in a real network."""
        file = self.keys / "demo.json"
        if not file.exists():
            return ()
        try:
            return tuple(
                DemoAccount(
                    row["name"],
                    row["account"],
                    row["telephone"],
                    AccountKind[row["kind"].upper()],
                    read_owner_key_file(self.keys / row["key"], KIND_DEMO).keypair,
                    row.get("short_code", ""),
                    row.get("head_office", 0),
                )
                for row in json.loads(_read(file))["accounts"]
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NetworkFolderError(f"{file} is damaged: {error!r}") from error
        except KeyFileError as error:
            raise NetworkFolderError(str(error)) from error

    def population(self) -> Residents | None:
        """Return the crowd's numbers, kinds, seeds and opening balances; None if there is none."""
        file = self.folder / "population.bin"
        if not file.exists():
            return None
        content = _read(file)
        try:
            seeds = read_seeds(self.folder / "population.seeds")
        except KeyFileError as error:
            raise NetworkFolderError(str(error)) from error
        if len(content) != len(seeds) * POPULATION.itemsize:
            raise NetworkFolderError(f"{file} and its seeds do not belong together")
        rows = np.frombuffer(content, POPULATION)
        return Residents(rows["number"].copy(), rows["kind"].copy(), seeds, rows["balance"].copy())


@dataclass(frozen=True, eq=False)
class NodeFiles:
    """What a configuration names, read and checked against the genesis."""

    config: NodeConfig
    genesis: Genesis
    index: int
    """This super-agent's index in the committee."""
    addresses: tuple[MemberAddress, ...]
    certificates: tuple[bytes, ...]
    """PEM, in the committee's order; each has the key that the genesis pins."""
    signing: Signer
    enrolment: Signer
    treasury: Signer
    directory_key: bytes


def pace_for(super_agents: int) -> int:
    """The least time between two blocks of one of so many super-agents on one machine; milliseconds."""
    return max(PACE_MS, 1_000 * super_agents**2 // BLOCKS_A_SECOND_MAX)


def create_network(
    folder: Path,
    *,
    super_agents: int = 4,
    name: str = "demo",
    customers: int = 20,
    agents_per_super_agent: int = 5,
    population: Population | None = None,
    incumbent: Incumbent | None = None,
    trust_banks: Sequence[Bank] = (),
    regions_each: int = 1,
    dormant_each: int = 0,
    banks: int = 2,
    key_days: int = 0,
    pay_commissions: bool = True,
    pace_ms: int | None = None,
    checkpoint_minutes: float = CHECKPOINT_MINUTES,
    base_http_port: int = 8401,
    base_peer_port: int = 9401,
    host: str = "127.0.0.1",
) -> NetworkFolder:
    """Make a development network in `folder`, which must be missing or empty, and return it.

    Super-agent i enrols in region i and listens on base port + i. Of `regions_each` for each, it
    has every n-th, and so many accounts of each of its own kinds. Banks' balances are negative, so
    that all balances add up to zero. Each region has `dormant_each` more accounts whose keys nobody
    has: a network of the size of a nation, for measuring. The folder appears whole, or not at all.
    Owners may refuse a new key for `key_days` days. NetworkFolderError
    when it is taken or cannot be written, or the numbers do not make a network.

    With an `incumbent` there is nobody but its accepted accounts, and `trust_banks`, or two banks where
    none are named, which owe exactly what those hold; floats and commission accounts are empty.
    """
    if customers < 0 or agents_per_super_agent < 0:
        raise NetworkFolderError("there cannot be fewer than no customers or agents")
    _check_numbers(super_agents, regions_each, banks, key_days, base_http_port, base_peer_port)
    if incumbent is not None and regions_each != 1:
        raise NetworkFolderError("accounts are moved into one region for each super-agent")
    regions = super_agents * regions_each
    names = [name_of(i) for i in range(super_agents)]
    addresses = tuple(
        MemberAddress(
            names[i],
            Address(host, base_peer_port + i),
            f"http://{Address(host, base_http_port + i)}",
        )
        for i in range(super_agents)
    )
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    try:
        refuse_taken(folder)
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700, parents=True)
        directory_key = incumbent.directory_key if incumbent else secrets.token_bytes(KEY_BYTES)
        _write(unfinished / "directory.key", directory_key.hex().encode() + b"\n", PRIVATE)
        members, enrolments, treasuries = _create_members(
            unfinished,
            name,
            addresses,
            regions_each,
            pay_commissions=pay_commissions,
            pace_ms=pace_ms or pace_for(super_agents),
            checkpoint_minutes=checkpoint_minutes,
        )
        openings = Openings(regions, dormant_each)
        treasuries = treasuries * regions_each
        people: list[DemoAccount] = []
        aliases_count, aliases_digest = 0, ""
        if incumbent is not None:
            issuers, bankers, numbers = _move_in(openings, incumbent, trust_banks, treasuries)
            aliases_count, aliases_digest = _write_moved(unfinished, incumbent, numbers)
        else:
            people = _open_demo(openings, super_agents, customers, agents_per_super_agent)
            crowd = population or _nobody()
            residents = settle(crowd, openings)
            _open_floats(openings, treasuries)
            residents, issuers, bankers = trust(openings, residents, crowd.flags, banks, regions)
            if population is not None:
                _write_population(unfinished, residents)
        _open_system(openings, enrolments * regions_each, treasuries)
        _write_demo(unfinished / "keys", people + bankers)
        _write_places(unfinished, names, people)
        write_sandbox(unfinished, names, people)
        count, openings_digest = _write_openings(unfinished / "openings.bin", openings)
        document = GenesisDocument(
            format=FORMAT,
            name=name,
            development=True,
            epoch=0,
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            super_agents=members,
            tariffs=[shipped_tariff(NEWEST_VERSION).to_document()],
            issuers=[_issuer_document(issuer) for issuer in issuers],
            aliases=[
                AliasDocument(alias_of(directory_key, number).hex(), person.account)
                for person in people
                for number in (person.msisdn, person.short_code)
                if number
            ],
            openings_count=count,
            openings_digest=openings_digest,
            key_days=key_days,
            aliases_count=aliases_count,
            aliases_digest=aliases_digest,
        )
        pretty = msgspec.json.format(msgspec.json.encode(document), indent=2)
        _write(unfinished / "genesis.json", pretty + b"\n")
        _write_addresses(unfinished / "addresses.json", addresses)
        write_demo_profiles(unfinished / "super-agents", Genesis(document, b""), people + bankers)
        unfinished.rename(folder)
    except (ValueError, KeyFileError, ProfileStoreError, MerchantFilesError) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise NetworkFolderError(str(error)) from error
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise NetworkFolderError(f"cannot make a network in {folder}: {error.strerror}") from error
    return load_network(folder)


def read_incumbent(
    file: Path, *, super_agents: int, trust_banks: Sequence[Bank], tell: Tell
) -> Incumbent:
    """Judge a file of accounts for a network of so many super-agents; AccountFileError, OSError.

    Region i is super-agent i's. Head and rows of the file are told to `tell` as they are read.
    """
    taken = _bank_regions(len(trust_banks) or len(banks_for(0)), super_agents)
    return judge(
        AccountFile(file),
        super_agents=[name_of(i) for i in range(super_agents)],
        tariff=shipped_tariff(NEWEST_VERSION),
        directory_key=secrets.token_bytes(KEY_BYTES),
        taken=np.bincount(taken, minlength=super_agents).tolist(),
        tell=tell,
    )


def _check_numbers(
    super_agents: int,
    regions_each: int,
    banks: int,
    key_days: int,
    base_http_port: int,
    base_peer_port: int,
) -> None:
    """Raise NetworkFolderError unless these numbers make a network."""
    if not 1 <= super_agents <= MEMBERS_MAX:
        raise NetworkFolderError(f"a network has 1 to {MEMBERS_MAX} super-agents")
    if banks < 1:
        raise NetworkFolderError("a network has at least one trust bank")
    regions = super_agents * regions_each
    if not super_agents <= regions <= REGIONS_MAX:
        raise NetworkFolderError(f"a network has 1 to {REGIONS_MAX} regions, in equal parts")
    if not 0 <= key_days <= KEY_DAYS_MAX:
        raise NetworkFolderError(f"the days to refuse a new key are 0 to {KEY_DAYS_MAX}")
    highest = max(base_http_port, base_peer_port) + super_agents - 1
    if min(base_http_port, base_peer_port) < 1 or highest > PORT_MAX:
        raise NetworkFolderError(f"the ports must lie between 1 and {PORT_MAX}")


def load_network(folder: Path) -> NetworkFolder:
    """Return the network in `folder`.

    NetworkFolderError if there is none, a file is missing or unreadable, the opening accounts were
    altered or do not add up, the addresses are not the committee's, or a secret is open to others.
    """
    if not (folder / "genesis.json").exists():
        raise NetworkFolderError(f"there is no network in {folder}: it has no genesis.json")
    genesis = _load_genesis(folder / "genesis.json", folder / "openings.bin")
    addresses = read_addresses(folder / "addresses.json", genesis)
    secret = [folder / "directory.key", folder / "population.seeds"]
    secret += folder.glob("super-agents/*/*.key")
    secret += folder.glob("super-agents/*/operators/*.key")
    secret += folder.glob("super-agents/*/merchant-keys/*.key")
    secret += folder.glob("super-agents/*/merchants.json")
    secret += folder.glob("super-agents/*/initiators.json")
    secret.append(folder / SANDBOX_FILE)
    secret += folder.glob("keys/*.key")
    for file in secret:
        if file.exists():
            _refuse_open(file)
    return NetworkFolder(folder, genesis, addresses)


def load_genesis(folder: Path) -> Genesis:
    """Return the genesis in `folder`, with the opening accounts: all that an auditor needs of it.

    NetworkFolderError if a file is missing or unreadable, or the opening accounts were altered.
    """
    return _load_genesis(folder / "genesis.json", folder / "openings.bin")


def load_node(config: NodeConfig) -> NodeFiles:
    """Return what a configuration names, with every key checked against the genesis.

    NetworkFolderError if a file is missing, unreadable, altered or open to others, or a key is not
    this super-agent's.
    """
    genesis = _load_genesis(config.genesis, config.openings)
    members = genesis.committee.members
    index = next((i for i, member in enumerate(members) if member.name == config.name), None)
    if index is None:
        raise NetworkFolderError(f"{config.file}: name: the genesis has no {config.name!r}")
    certificates = tuple(
        _read_certificate(config.certificates / f"{member.name}.crt", member.tls_key_digest)
        for member in members
    )
    _refuse_open(config.tls_key)
    _read_certificate(config.tls_certificate, members[index].tls_key_digest)
    signing = _read_key(config.signing_key, KIND_SIGNING)
    if signing.public != members[index].key:
        raise NetworkFolderError(f"{config.signing_key} is not the key that the genesis names")
    return NodeFiles(
        config=config,
        genesis=genesis,
        index=index,
        addresses=read_addresses(config.addresses, genesis),
        certificates=certificates,
        signing=signing,
        enrolment=_read_key(config.enrolment_key, KIND_ENROLMENT),
        treasury=_read_key(config.treasury_key, KIND_TREASURY),
        directory_key=read_directory_key(config.directory_key),
    )


def read_addresses(file: Path, genesis: Genesis) -> tuple[MemberAddress, ...]:
    """Return where the committee listens, in its order; NetworkFolderError unless all are there."""
    try:
        rows: dict[str, Any] = {row["name"]: row for row in json.loads(_read(file))}
        return tuple(
            MemberAddress(
                member.name,
                Address.parse(rows[member.name]["peer"]),
                str(rows[member.name]["http"]).rstrip("/"),
            )
            for member in genesis.committee.members
        )
    except KeyError as error:
        raise NetworkFolderError(f"{file} lacks {error.args[0]!r}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise NetworkFolderError(f"{file} is not a list of addresses: {error}") from error


def read_directory_key(file: SecretPlace) -> bytes:
    """Return the 32 bytes of a directory key; NetworkFolderError if it is none, or its file is open."""
    if isinstance(file, EnvironmentKey):
        try:
            return read_variable(file)
        except KeyFileError as error:
            raise NetworkFolderError(str(error)) from error
    content = _read(file)
    _refuse_open(file)
    try:
        key = bytes.fromhex(content.decode("ascii"))
    except ValueError:  # from None: the error's own text could quote the key
        key = b""
    if len(key) != KEY_BYTES:
        raise NetworkFolderError(f"{file} is not {KEY_BYTES} bytes in hexadecimal") from None
    return key


def genesis_of(config: NodeConfig, *, with_openings: bool) -> Genesis:
    """Return the genesis that a configuration names; NetworkFolderError as `load_genesis`.

    Without the opening accounts, which for a nation take a minute to read, it is of use to whoever goes on
    from a checkpoint.
    """
    if with_openings:
        return _load_genesis(config.genesis, config.openings)
    try:
        return read_genesis_document(_read(config.genesis))
    except (GenesisError, TariffError) as error:
        raise NetworkFolderError(f"{config.genesis}: {error}") from error


def _load_genesis(document: Path, openings: Path) -> Genesis:
    """Read and check genesis and opening accounts; NetworkFolderError names the file."""
    content, array = _read(document), _mapped(openings)
    beside = openings.with_name(ALIASES_FILE)
    try:
        genesis = read_genesis(content, array, _mapped(beside) if beside.exists() else b"")
    except (GenesisError, TariffError) as error:
        raise NetworkFolderError(f"{document}: {error}") from error
    if len(array) != genesis.document.openings_count * OPENING.itemsize:
        raise NetworkFolderError(f"{openings} has not as many accounts as the genesis says")
    if int(np.frombuffer(array, OPENING)["balance"].sum()) != 0:
        raise NetworkFolderError(f"the balances in {openings} do not add up to zero")
    return genesis


def _create_members(
    folder: Path,
    network: str,
    addresses: tuple[MemberAddress, ...],
    regions_each: int,
    *,
    pay_commissions: bool,
    pace_ms: int,
    checkpoint_minutes: float,
) -> tuple[list[MemberDocument], list[KeyPair], list[KeyPair]]:
    """Write each super-agent's folder; return members, enrolment keys and treasury keys."""
    (folder / "certificates").mkdir()
    members, enrolments, treasuries = [], [], []
    for i, address in enumerate(addresses):
        home = folder / "super-agents" / address.name
        home.mkdir(parents=True)
        signing, enrolment, treasury = generate(), generate(), generate()
        for file, kind, keypair in (
            ("signing.key", KIND_SIGNING, signing),
            ("enrolment.key", KIND_ENROLMENT, enrolment),
            ("treasury.key", KIND_TREASURY, treasury),
        ):
            comment = f"{kind} key of {address.name}, network {network}"
            write_key_file(home / file, StoredKey(kind, keypair, comment))
        comment = f"seals profiles at {address.name}, network {network}"
        write_sealing_key(home / "profile.key", comment)
        tls_key, certificate = create_certificate(address.name)
        _write(home / "tls.key", tls_key, PRIVATE)
        _write(home / "tls.crt", certificate)
        _write(folder / "certificates" / f"{address.name}.crt", certificate)
        http = address.http.removeprefix("http://")
        text = NODE_TOML.format(
            name=address.name,
            network=json.dumps(network),
            http=http,
            peer=address.peer,
            pay_commissions=json.dumps(pay_commissions),
            pace_ms=pace_ms,
            heartbeat_ms=max(HEARTBEAT_MS, PACES_IN_A_HEARTBEAT * pace_ms),
            checkpoint_minutes=checkpoint_minutes,
            airtime=AIRTIME_CODE,
            operators=_create_operators(home / "operators", address.name, network),
        )
        _write(home / "node.toml", text.encode())
        digest = key_digest(certificate).hex()
        regions = list(range(i, regions_each * len(addresses), len(addresses)))
        members.append(MemberDocument(address.name, signing.public.hex(), digest, regions))
        enrolments.append(enrolment)
        treasuries.append(treasury)
    return members, enrolments, treasuries


def _create_operators(folder: Path, super_agent: str, network: str) -> str:
    """Write the keys of a super-agent's operators; returns them as its configuration has them."""
    folder.mkdir(mode=0o700)
    written = []
    for name in OPERATORS:
        keypair = generate()
        comment = f"operator {name} of {super_agent}, network {network}"
        write_key_file(folder / f"{name}.key", StoredKey(KIND_OPERATOR, keypair, comment))
        written.append(f'{name} = "{keypair.public.hex()}"')
    return ", ".join(written)


def _move_in(
    openings: Openings,
    incumbent: Incumbent,
    trust_banks: Sequence[Bank],
    treasuries: list[KeyPair],
) -> tuple[list[Issuer], list[DemoAccount], npt.NDArray[np.uint32]]:
    """Open an incumbent's accepted accounts and the banks; returns issuers, bankers, each row's account.

    ValueError where the banks may not owe so much, or no ledger can hold it.
    """
    supply = incumbent.tally.total(accepted=True).cents
    if supply > SUPPLY_CENTS_MAX:
        raise ValueError("the accepted balances are more money than a ledger can hold")
    banks = trust_banks or banks_for(supply)
    own = openings.place(_bank_regions(len(banks), len(treasuries)))
    rows, accepted = incumbent.rows, incumbent.accepted
    numbers = np.zeros(len(rows), np.uint32)
    numbers[accepted] = openings.place(rows["region"][accepted])
    names = ("key", "balance", "flags")
    openings.add(numbers[accepted], *(rows[name][accepted] for name in names))
    _open_floats(openings, treasuries, float_cents=0, commission_cents=0)
    issuers, bankers = issue(openings, own, banks)
    return issuers, bankers, numbers


def _bank_regions(banks: int, regions: int) -> npt.NDArray[np.uint16]:
    """Return the regions in which so many banks have their accounts: one after the other, (n,)."""
    return np.arange(banks, dtype=np.uint16) % np.uint16(regions)


def _open_floats(
    openings: Openings,
    treasuries: list[KeyPair],
    float_cents: int = FLOAT_CENTS,
    commission_cents: int = COMMISSION_CENTS,
) -> None:
    """Open each super-agent's float, which it sells to its agents, and what it pays them with."""
    for region, keypair in enumerate(treasuries):
        for position, cents, kind in (
            (POSITION_FLOAT, float_cents, AccountKind.FLOAT),
            (POSITION_COMMISSION, commission_cents, AccountKind.COMMISSION),
        ):
            openings.add_one(account_number(region, position), keypair.public, cents, kind)


def _open_system(openings: Openings, enrolments: list[KeyPair], treasuries: list[KeyPair]) -> None:
    """Open the other accounts of each super-agent.

    This comes last: an enrolment's next sequence is the first position that nobody has.
    """
    for region, (enrolment, treasury) in enumerate(zip(enrolments, treasuries, strict=True)):
        openings.add_one(
            account_number(region, POSITION_ENROLMENT),
            enrolment.public,
            0,
            AccountKind.ENROLMENT,
            openings.next_position(region),
        )
        for position, kind in (
            (POSITION_REVENUE, AccountKind.REVENUE),
            (POSITION_EXCISE, AccountKind.EXCISE),
        ):
            openings.add_one(account_number(region, position), treasury.public, 0, kind)


def _open_demo(
    openings: Openings, super_agents: int, customers: int, agents_each: int
) -> list[DemoAccount]:
    """Open everybody whom a demonstration has; the parties of the sandbox are the last."""
    people = demo_accounts(openings, super_agents, customers, agents_each)
    people = _with_businesses(openings, people)
    return [*people, *sandbox_accounts(openings, SANDBOX_HOME)] if customers else people


def _with_businesses(openings: Openings, people: list[DemoAccount]) -> list[DemoAccount]:
    """Return the demo's people with shops and businesses, if there is an agent and a customer.

    The first agent is a shop of the demo's head office.
    """
    shop = next((i for i, one in enumerate(people) if one.kind is AccountKind.AGENT), None)
    trader = next((one for one in people if one.kind is AccountKind.CUSTOMER), None)
    if shop is None or trader is None:
        return people
    businesses = demo_businesses(openings, people[shop], trader)
    (office,) = {one.head_office for one in businesses} - {0}
    joined = people[shop]._replace(head_office=office)
    return [*people[:shop], joined, *people[shop + 1 :], *businesses]


def _write_places(folder: Path, names: list[str], people: list[DemoAccount]) -> None:
    """Write where each super-agent's demo agents are; every second one sells float to neighbours."""
    rows: dict[str, list[str]] = {name: [",".join(HEADER)] for name in names}
    agents = [one for one in people if one.kind is AccountKind.AGENT]
    for i, (agent, place) in enumerate(zip(agents, demo_places(len(agents)), strict=True)):
        above = AGENT_CENTS // 200 if i % 2 else ""
        row = f"{agent.account},{place.latitude:.4f},{place.longitude:.4f},{above}"
        rows[names[region_of(agent.account)]].append(row)
    for name, lines in rows.items():
        content = "\n".join([*lines, ""]).encode()
        _write(folder / "super-agents" / name / "agents.csv", content)


def _nobody() -> Population:
    """Return the population of a network without a crowd."""
    return Population(np.empty(0, np.uint8), np.empty(0, np.int64), np.empty(0, np.uint16))


def _issuer_document(issuer: Issuer) -> IssuerDocument:
    """Return a trust bank as the genesis writes it."""
    return IssuerDocument(issuer.name, issuer.account, issuer.limit_cents)


def _write_demo(folder: Path, people: list[DemoAccount]) -> None:
    """Write the demo accounts' keys, a list of them, and what they are for."""
    folder.mkdir(mode=0o700)
    _write(folder / "DEVELOPMENT-ONLY.txt", WARNING.encode())
    rows = []
    for person in people:
        file = f"{person.name}.key"
        write_key_file(folder / file, StoredKey(KIND_DEMO, person.keypair, REMARK))
        rows.append(
            {
                "name": person.name,
                "account": person.account,
                "telephone": person.msisdn,
                "kind": person.kind.name.lower(),
                "key": file,
                "short_code": person.short_code,
                "head_office": person.head_office,
            }
        )
    text = json.dumps({"purpose": REMARK, "accounts": rows}, indent=2)
    _write(folder / "demo.json", text.encode() + b"\n")


def _write_population(folder: Path, residents: Residents) -> None:
    """Write a crowd's accounts and the seeds of their keys."""
    rows = np.empty(len(residents.numbers), POPULATION)
    rows["number"] = residents.numbers
    rows["kind"] = residents.kinds
    rows["balance"] = residents.balances
    _write(folder / "population.bin", rows.tobytes())
    write_seeds(folder / "population.seeds", np.ascontiguousarray(residents.seeds))


def _write_openings(file: Path, openings: Openings) -> tuple[int, str]:
    """Write the opening accounts; returns how many they are, and their SHA-256 in hexadecimal."""
    count, hashed = 0, hashlib.sha256()
    with _created(file, PUBLIC) as opened:
        for accounts in openings.by_region():
            content = accounts.tobytes()
            opened.write(content)
            hashed.update(content)
            count += len(accounts)
    return count, hashed.hexdigest()


def _write_moved(
    folder: Path, incumbent: Incumbent, numbers: npt.NDArray[np.uint32]
) -> tuple[int, str]:
    """Write aliases and head offices; returns how many aliases, and their SHA-256 in hexadecimal.

    `numbers` are the accounts of the incumbent's rows.
    """
    hashed, count = hashlib.sha256(), len(incumbent.by_alias)
    with _created(folder / ALIASES_FILE, PUBLIC) as opened:
        for start in range(0, count, ALIASES_AT_ONCE):
            some = incumbent.by_alias[start : start + ALIASES_AT_ONCE]
            aliases = np.empty(len(some), OPENING_ALIAS)
            aliases["alias"] = incumbent.rows["alias"][some]
            aliases["owner"] = numbers[some]
            opened.write(aliases.tobytes())
            hashed.update(aliases.tobytes())
    if len(incumbent.branches):
        pairs = numbers[incumbent.branches].tolist()
        lines = ["account,head_office", *(f"{agent},{office}" for agent, office in pairs), ""]
        _write(folder / HEAD_OFFICES_FILE, "\n".join(lines).encode())
    return count, hashed.hexdigest()


def _write_addresses(file: Path, addresses: tuple[MemberAddress, ...]) -> None:
    """Write where everyone listens."""
    rows = [{"name": a.name, "peer": str(a.peer), "http": a.http} for a in addresses]
    _write(file, json.dumps(rows, indent=2).encode() + b"\n")


def _write(file: Path, content: bytes, mode: int = PUBLIC) -> None:
    """Create a file with this mode and content, and make it durable."""
    with _created(file, mode) as opened:
        opened.write(content)


@contextlib.contextmanager
def _created(file: Path, mode: int) -> Iterator[BinaryIO]:
    """Create a file with this mode; what was written is durable when this is left."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as opened:
        yield opened
        opened.flush()
        os.fsync(descriptor)


def refuse_taken(folder: Path) -> None:
    """Raise NetworkFolderError unless the folder is missing or empty."""
    if (folder / "genesis.json").exists():
        raise NetworkFolderError(f"there is a network in {folder} already")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NetworkFolderError(f"{folder} exists and is not an empty folder")


def _refuse_open(file: Path) -> None:
    """Raise NetworkFolderError if the secret is missing or anyone but its owner could read it."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError as error:
        raise NetworkFolderError(f"cannot read {file}: {error.strerror}") from error
    if mode & ANYONE_ELSE:
        raise NetworkFolderError(
            f"{file} can be read or written by others (mode {mode:04o}): chmod 600 it first"
        )


def _read(file: Path) -> bytes:
    """Return a file's content; NetworkFolderError says why not."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise NetworkFolderError(f"{file} is missing") from None
    except OSError as error:
        raise NetworkFolderError(f"cannot read {file}: {error.strerror}") from error


def _mapped(file: Path) -> memoryview:
    """Return a file's content, which takes memory only while it is looked at; NetworkFolderError."""
    try:
        with file.open("rb") as opened:
            if not os.fstat(opened.fileno()).st_size:
                return memoryview(b"")
            return memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError:
        raise NetworkFolderError(f"{file} is missing") from None
    except OSError as error:
        raise NetworkFolderError(f"cannot read {file}: {error.strerror}") from error


def _read_key(place: KeyPlace, kind: str) -> Signer:
    """Return a key of this kind."""
    try:
        return read_key(place, kind)
    except (KeyFileError, DeviceKeyError) as error:
        raise NetworkFolderError(str(error)) from error


def _read_certificate(file: Path, pinned: bytes) -> bytes:
    """Return a PEM certificate whose key the genesis pins by this digest."""
    content = _read(file)
    try:
        found = key_digest(content)
    except TlsError as error:
        raise NetworkFolderError(f"{file}: {error}") from error
    if found != pinned:
        raise NetworkFolderError(f"{file} does not have the key that the genesis names")
    return content
