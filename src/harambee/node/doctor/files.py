"""Configuration, certificates and keys: whether they can be read, are private, and belong together."""

import ipaddress
import os
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from harambee.crypto.device_keys import DeviceKeyError, DeviceKeyPlace
from harambee.crypto.key_places import EnvironmentKey, KeyPlace, read_key
from harambee.crypto.keyfiles import ANYONE_ELSE, KeyFileError, read_key_file
from harambee.ledger.records import (
    OPENING,
    POSITION_COMMISSION,
    POSITION_ENROLMENT,
    account_number,
)
from harambee.merchants.credentials import FILE as CREDENTIALS_FILE
from harambee.merchants.files import merchant_files
from harambee.node.config import OPERATORS_NEEDED, NodeConfig
from harambee.node.doctor.findings import Finding, as_sentence, fine, look, wrong
from harambee.node.network_folder import (
    KIND_ENROLMENT,
    KIND_SIGNING,
    KIND_TREASURY,
    NetworkFolderError,
    read_directory_key,
)
from harambee.node.profile_store import KIND_SEALING, older_key_file
from harambee.node.tls import TlsError, key_digest
from harambee.protocol.genesis import Genesis

CONFIGURATION = "configuration"
PERMISSIONS = "permissions"
KEYS = "keys"
CERTIFICATES = "certificates"


def configuration(config: NodeConfig, genesis: Genesis) -> Iterator[Finding]:
    """Look for what is allowed and seldom meant."""
    findings = list(_unmeant(config, development=genesis.document.development))
    yield from findings or [fine(CONFIGURATION, f"{config.file} is a configuration.")]


def _unmeant(config: NodeConfig, *, development: bool) -> Iterator[Finding]:
    if len(config.operators) < OPERATORS_NEEDED:
        yield look(
            CONFIGURATION,
            "There are no operators: this super-agent votes for no freeze, no new key and no tariff.",
            "name two people and their public keys under operators in node.toml",
        )
    if development:
        return
    if config.callbacks_private:
        yield look(
            CONFIGURATION,
            "Callbacks may go to addresses inside this network, where merchants should not reach.",
            "take callbacks_private out of node.toml",
        )
    if not _is_loopback(config.listen_http.host):
        yield look(
            CONFIGURATION,
            f"Handsets are served without TLS on {config.listen_http}, which others can reach.",
            "listen on loopback, behind a proxy with TLS",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def permissions(config: NodeConfig) -> Iterator[Finding]:
    """Look whether secrets are their owner's alone, and everything is one owner's."""
    findings = [
        *(found for file in secret_files(config) for found in _of_secret(file, config.journal)),
        *(found for folder in _own_folders(config) for found in _of_folder(folder)),
    ]
    yield from findings or [fine(PERMISSIONS, "Keys and folders are their owner's alone.")]


def secret_files(config: NodeConfig) -> list[Path]:
    """Return the files that nobody but their owner may read, as far as they are there."""
    home = config.file.resolve().parent
    places = [config.directory_key, config.signing_key, config.enrolment_key, config.treasury_key]
    files = [place for place in places if isinstance(place, Path)]
    files += [config.tls_key, config.profile_key, older_key_file(config.profile_key)]
    files += [*merchant_files(home), config.merchants / CREDENTIALS_FILE]
    files += sorted((home / "operators").glob("*.key"))
    return [file for file in files if file.exists()]


def _own_folders(config: NodeConfig) -> list[Path]:
    folders = [config.journal, config.profiles, config.governance, config.merchants, config.phones]
    return [folder for folder in [*folders, config.texts_folder] if folder.exists()]


def _of_secret(file: Path, journal: Path) -> Iterator[Finding]:
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & ANYONE_ELSE:
        yield wrong(
            PERMISSIONS,
            f"{file} can be read or written by others (mode {mode:04o}).",
            f"chmod 600 {file}, and think who may have read it",
        )
    if journal.exists() and owner_of(journal) != owner_of(file):
        yield look(
            PERMISSIONS,
            f"{file} belongs to user {owner_of(file)}, and the journal to {owner_of(journal)}.",
            f"chown it to the user that the super-agent runs as: {file}",
        )


def owner_of(file: Path) -> int:
    """Return the number of the user whom a file belongs to."""
    return file.stat().st_uid


def _of_folder(folder: Path) -> Iterator[Finding]:
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & ANYONE_ELSE:
        yield wrong(
            PERMISSIONS,
            f"{folder} is open to others (mode {mode:04o}).",
            f"chmod 700 {folder}",
        )
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield look(
            PERMISSIONS,
            f"{folder} cannot be written by this user.",
            "run the super-agent as the user that the folder belongs to",
        )


def certificates(config: NodeConfig, genesis: Genesis, index: int) -> Iterator[Finding]:
    """Look whether everybody's certificate has the key that the genesis pins, and ours its own."""
    members = genesis.committee.members
    pinned = {
        config.certificates / f"{member.name}.crt": member.tls_key_digest for member in members
    }
    pinned[config.tls_certificate] = members[index].tls_key_digest
    findings = [found for file, digest in pinned.items() for found in _of_certificate(file, digest)]
    if not findings:
        findings = list(_of_tls_key(config))
    yield from findings or [
        fine(CERTIFICATES, f"All {len(members)} certificates have the keys that the genesis names.")
    ]


def _of_certificate(file: Path, pinned: bytes) -> Iterator[Finding]:
    ask = "get the certificate that its owner showed when the network was made"
    try:
        found = key_digest(file.read_bytes())
    except OSError as error:
        yield wrong(CERTIFICATES, f"{file} cannot be read: {error.strerror}.", ask)
    except TlsError as error:
        yield wrong(CERTIFICATES, f"{file}: {error}.", ask)
    else:
        if found != pinned:
            yield wrong(CERTIFICATES, f"{file} does not have the key that the genesis names.", ask)


def _of_tls_key(config: NodeConfig) -> Iterator[Finding]:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            config.tls_certificate, config.tls_key
        )
    except (OSError, ssl.SSLError) as error:
        yield wrong(
            CERTIFICATES,
            f"{config.tls_key} is not the key of {config.tls_certificate}: {error}.",
            "put the key back that belongs to the certificate",
        )


def keys(config: NodeConfig, genesis: Genesis, index: int) -> Iterator[Finding]:
    """Look whether each key can be read and is the one that the network knows."""
    findings = [
        *_of_signing_key(config, genesis, index),
        *_of_region_key(config.enrolment_key, KIND_ENROLMENT, POSITION_ENROLMENT, genesis, index),
        *_of_region_key(config.treasury_key, KIND_TREASURY, POSITION_COMMISSION, genesis, index),
        *_of_directory_key(config),
        *_of_profile_key(config),
        *_of_operators(config, development=genesis.document.development),
    ]
    yield from findings or [fine(KEYS, "All keys are there, and those that the network knows.")]


def _of_signing_key(config: NodeConfig, genesis: Genesis, index: int) -> Iterator[Finding]:
    try:
        found = read_key(config.signing_key, KIND_SIGNING)
    except (KeyFileError, DeviceKeyError) as error:
        yield _unread(config.signing_key, error)
        return
    if found.public != genesis.committee.members[index].key:
        yield wrong(
            KEYS,
            f"{config.signing_key} is not the key that the genesis names.",
            "put the right key back; with another one it can never speak",
        )


def _of_region_key(
    place: KeyPlace, kind: str, position: int, genesis: Genesis, index: int
) -> Iterator[Finding]:
    """Hold a key against that of an account of each region, as it was opened."""
    try:
        found = read_key(place, kind)
    except (KeyFileError, DeviceKeyError) as error:
        yield _unread(place, error)
        return
    openings = np.frombuffer(genesis.openings, OPENING)
    for region in genesis.committee.members[index].regions:
        number = account_number(region, position)
        row = np.flatnonzero(openings["number"] == number)
        if len(row) and openings["key"][row[0]].tobytes() != found.public:
            yield look(
                KEYS,
                f"{place} is not the key that account {number} was opened with.",
                "unless the account has been given this key since, put the right one back",
            )


def _of_directory_key(config: NodeConfig) -> Iterator[Finding]:
    try:
        read_directory_key(config.directory_key)
    except NetworkFolderError as error:
        yield wrong(KEYS, as_sentence(error), "get it from its backup, or from the committee")


def _of_profile_key(config: NodeConfig) -> Iterator[Finding]:
    if not config.profile_key.exists() and not (config.profiles / "data.mdb").exists():
        return  # it is made at the first start
    try:
        read_key_file(config.profile_key, KIND_SEALING)
    except KeyFileError as error:
        yield _unread(config.profile_key, error)


def _of_operators(config: NodeConfig, *, development: bool) -> Iterator[Finding]:
    there = sorted((config.file.resolve().parent / "operators").glob("*.key"))
    if there and not development:
        yield look(
            KEYS,
            f"The operators' own keys lie here ({there[0].name}): who has this machine, approves alone.",
            "let each operator keep her key elsewhere",
        )


def _unread(place: KeyPlace, error: KeyFileError | DeviceKeyError) -> Finding:
    remedy = "put the key back from its backup, mode 0600"
    if isinstance(place, EnvironmentKey):
        remedy = "set it, as the super-agent's unit does; this command needs the same environment"
    if isinstance(place, DeviceKeyPlace):
        remedy = "see that the device is there, its library is installed and its PIN is right"
    return wrong(KEYS, as_sentence(error), remedy)
