"""What one super-agent is told when it starts: the file behind `harambee node --config FILE`.

TOML, one flat table; only the operators are names with a key each. Paths are relative to the file
itself, so that a network's folder can be moved. Every error is one sentence that names the file and
the field.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from harambee.crypto.device_keys import DeviceKeyPlace
from harambee.crypto.key_places import KeyPlace, SecretPlace, parse_place
from harambee.node.logs import LogFormat
from harambee.texts.languages import Language

PORT_MAX: Final = 65_535
FILE_BYTES_MAX: Final = 64 * 1024
OPERATORS_NEEDED: Final = 2
"""So many of a super-agent's operators approve before it votes for what is governed."""
OPERATORS_MAX: Final = 64
OPERATOR_KEY_BYTES: Final = 32

_OPERATOR: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}", re.ASCII)
_HEX_KEY: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_FIELD: Final = re.compile(r"(?P<what>.*?) - at `\$\.(?P<field>[^`]*)`")


class ConfigError(ValueError):
    """A configuration cannot be read or is not valid; the message is one sentence."""


class Address(NamedTuple):
    """Where somebody listens: a host name or IP address, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Return the address that "host:port" or "[v6]:port" names; ConfigError otherwise."""
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ConfigError(f"{text!r} is ambiguous: write an IPv6 address as [address]:port")
        if not colon or not host or not (port.isascii() and port.isdigit()):
            raise ConfigError(f"{text!r} is not an address of the form host:port")
        if int(port) > PORT_MAX:
            raise ConfigError(f"{text!r} has a port above {PORT_MAX}")
        return cls(host, int(port))


LogLevel = Literal["debug", "info", "warning", "error"]
Milliseconds = Annotated[int, msgspec.Meta(ge=1, le=60_000)]
NameChecks = Annotated[int, msgspec.Meta(ge=0, le=100)]
Text = Annotated[str, msgspec.Meta(min_length=1)]
CheckpointMinutes = Annotated[float, msgspec.Meta(ge=0, le=10_080)]
TextAdapter = Literal["outbox", "africastalking", "smpp", "off"]
ShortCode = Annotated[str, msgspec.Meta(pattern="^(paybill:[0-9]{5,7})?$", max_length=15)]
SOURCES_MAX: Final = 32
Brand = Annotated[str, msgspec.Meta(min_length=1, max_length=16)]


class Document(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The file, as written. What is optional has its default here."""

    name: Text
    genesis: Text
    openings: Text
    addresses: Text
    certificates: Text
    directory_key: Text
    signing_key: Text
    enrolment_key: Text
    treasury_key: Text
    tls_key: Text
    tls_certificate: Text
    journal: Text = "journal"
    profile_key: Text = "profile.key"
    profiles: Text = "profiles"
    name_checks_daily: NameChecks = 5
    listen_http: Text = "127.0.0.1:8401"
    listen_peer: Text = "127.0.0.1:9401"
    pace_ms: Milliseconds = 20
    heartbeat_ms: Milliseconds = 1_000
    pay_commissions: bool = True
    agent_places: Text | None = None
    log_level: LogLevel = "info"
    log_format: LogFormat = "text"
    texts: TextAdapter = "outbox"
    texts_folder: Text = "texts"
    texts_language: Language = Language.ENGLISH
    texts_brand: Brand = "Harambee"
    operators: dict[str, str] = {}
    sms_address: str = ""
    sms_user: str = ""
    sms_secret: str = ""
    sms_sender: Annotated[str, msgspec.Meta(max_length=20)] = ""
    phones: Text = "phones"
    ussd_sources: list[str] = msgspec.field(default_factory=lambda: ["127.0.0.0/8", "::1/128"])
    ussd_airtime: ShortCode = ""
    governance: Text = "governance"
    merchants: Text = "merchants"
    callbacks_private: bool = False
    checkpoints: Text = "checkpoints"
    checkpoint_minutes: CheckpointMinutes = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """One super-agent's configuration; all paths are absolute.

    docs/configuration.md is written from the sentences under the fields (harambee.node.config_reference).
    """

    file: Path
    """The file that this was read from."""
    name: str
    """The super-agent's name in the genesis, which gives it its index."""
    genesis: Path
    """What all super-agents agree on before the first block; its hash is the network's id."""
    openings: Path
    """The opening accounts; `aliases.bin`, where there is one, lies beside it."""
    addresses: Path
    """Where all super-agents listen; not part of the genesis, because addresses change."""
    certificates: Path
    """A folder with every super-agent's TLS certificate, NAME.crt, pinned by the genesis."""
    directory_key: SecretPlace
    """Keys the hash of telephone numbers; the same at every super-agent, and nobody else's."""
    signing_key: KeyPlace
    """Signs blocks, receipts and checkpoints; the genesis names it."""
    enrolment_key: KeyPlace
    """Signs enrolments, claims of numbers and proposals."""
    treasury_key: KeyPlace
    """The key of the region's revenue, commission, float and excise accounts."""
    tls_key: Path
    """The key of the links to other super-agents."""
    tls_certificate: Path
    """Its certificate, as the others have it."""
    journal: Path
    """The journal's folder."""
    profile_key: Path
    """The key that seals profiles on this super-agent's disk."""
    profiles: Path
    """The folder of the profiles that it holds."""
    name_checks_daily: int
    """How many checks of a name a day may stay without a payment to the payee."""
    listen_http: Address
    """Where it listens to handsets and operators; put a proxy with TLS in front of it."""
    listen_peer: Address
    """Where it listens to the other super-agents."""
    pace_ms: int
    """The least time between two blocks, when there is something to say; 100 over a country."""
    heartbeat_ms: int
    """The time between two blocks when there is not; not below `pace_ms`."""
    pay_commissions: bool
    """Whether deposit commissions are paid as soon as their deposits are final."""
    agent_places: Path | None
    """Where this super-agent's agents are and who of them sells float: a CSV file."""
    log_level: LogLevel
    """From which level on it logs."""
    log_format: LogFormat = "text"
    """Lines for people, or one JSON object a line: time, level, logger, message, super_agent."""
    texts: TextAdapter = "off"
    """Where confirmations to this super-agent's accounts go."""
    texts_folder: Path = Path("texts")
    """Of the outbox, and of the note how far texts were sent."""
    texts_language: Language = Language.ENGLISH
    """Of accounts that have chosen none."""
    texts_brand: str = "Harambee"
    """How texts call the network."""
    sms_address: str = ""
    """Of `africastalking` the address of its API, at first the real one; of `smpp` host:port of the SMSC."""
    sms_user: str = ""
    """The user name there; of `smpp` the system id."""
    sms_secret: str = ""
    """Where the API key or password is: a path, for its owner alone to read, or `env:NAME`."""
    sms_sender: str = ""
    """From whom texts come: a short code or a name that the provider has approved."""
    phones: Path = Path("phones")
    """The folder of what is kept of feature phones: their keys and PINs, sealed by `profile_key`."""
    ussd_sources: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Networks from which USSD callbacks are taken; whoever can post there can say who dials."""
    ussd_airtime: str = ""
    """The short code of who sells airtime to feature phones, `paybill:123456`; nothing for nobody."""
    operators: Mapping[str, bytes] = field(default_factory=dict)
    """Who may approve what is governed, two at least or nobody: name -> Ed25519 public key."""
    governance: Path = Path("governance")
    """The folder of proposals and approvals."""
    merchants: Path = Path("merchants")
    """The folder of what is kept of merchants, their requests and callbacks."""
    callbacks_private: bool = False
    """Whether callbacks may go to addresses inside a network, as on a development machine."""
    checkpoints: Path = Path("checkpoints")
    """The folder of checkpoints."""
    checkpoint_minutes: float = 10
    """How long after one checkpoint the next one is begun; 0 for none."""


def read_config(file: Path) -> NodeConfig:
    """Return the configuration in a TOML file.

    ConfigError if the file is missing or unreadable, or a field is missing, unknown or wrong.
    """
    try:
        if file.stat().st_size > FILE_BYTES_MAX:
            raise ConfigError(f"{file} is too large for a configuration")
        content = file.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"there is no configuration {file}") from None
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    try:
        document = msgspec.toml.decode(content, type=Document)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: {_in_words(str(error))}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid TOML: {error}") from None
    if document.heartbeat_ms < document.pace_ms:
        raise ConfigError(f"{file}: heartbeat_ms must not be below pace_ms")
    folder = file.resolve().parent
    return NodeConfig(
        file=file,
        name=document.name,
        genesis=folder / document.genesis,
        openings=folder / document.openings,
        addresses=folder / document.addresses,
        certificates=folder / document.certificates,
        directory_key=_secret_place(file, "directory_key", document.directory_key),
        signing_key=_key_place(file, "signing_key", document.signing_key),
        enrolment_key=_key_place(file, "enrolment_key", document.enrolment_key),
        treasury_key=_key_place(file, "treasury_key", document.treasury_key),
        tls_key=folder / document.tls_key,
        tls_certificate=folder / document.tls_certificate,
        journal=folder / document.journal,
        profile_key=folder / document.profile_key,
        profiles=folder / document.profiles,
        name_checks_daily=document.name_checks_daily,
        listen_http=_address(file, "listen_http", document.listen_http),
        listen_peer=_address(file, "listen_peer", document.listen_peer),
        pace_ms=document.pace_ms,
        heartbeat_ms=document.heartbeat_ms,
        pay_commissions=document.pay_commissions,
        agent_places=None if document.agent_places is None else folder / document.agent_places,
        log_level=document.log_level,
        log_format=document.log_format,
        texts=document.texts,
        texts_folder=folder / document.texts_folder,
        texts_language=document.texts_language,
        texts_brand=document.texts_brand,
        operators=_operators(file, document.operators),
        sms_address=document.sms_address,
        sms_user=document.sms_user,
        sms_secret=document.sms_secret,
        sms_sender=document.sms_sender,
        phones=folder / document.phones,
        ussd_sources=_sources(file, document.ussd_sources),
        ussd_airtime=document.ussd_airtime,
        governance=folder / document.governance,
        merchants=folder / document.merchants,
        callbacks_private=document.callbacks_private,
        checkpoints=folder / document.checkpoints,
        checkpoint_minutes=document.checkpoint_minutes,
    )


def _operators(file: Path, written: Mapping[str, str]) -> dict[str, bytes]:
    """Return the operators and their keys; ConfigError unless there are two at least, or none."""
    found: dict[str, bytes] = {}
    for name, text in written.items():
        if not _OPERATOR.fullmatch(name):
            raise ConfigError(f"{file}: operators: {name!r} is no name of letters and digits")
        if not _HEX_KEY.fullmatch(text.lower()):
            raise ConfigError(f"{file}: operators: the key of {name} is not 64 hexadecimal digits")
        key = bytes.fromhex(text)
        if key in found.values():
            raise ConfigError(f"{file}: operators: {name} has the key of another one")
        found[name] = key
    if found and not OPERATORS_NEEDED <= len(found) <= OPERATORS_MAX:
        raise ConfigError(
            f"{file}: operators: there are {OPERATORS_NEEDED} to {OPERATORS_MAX}, not {len(found)}"
        )
    return found


def _sources(file: Path, written: list[str]) -> tuple[str, ...]:
    """Return the networks from which callbacks are taken; ConfigError if one is none."""
    if len(written) > SOURCES_MAX:
        raise ConfigError(f"{file}: ussd_sources: there are at most {SOURCES_MAX}")
    for text in written:
        try:
            ipaddress.ip_network(text)
        except ValueError:
            raise ConfigError(f"{file}: ussd_sources: {text!r} is no network") from None
    return tuple(written)


def _key_place(file: Path, name: str, text: str) -> KeyPlace:
    """Return where a key is; ConfigError names file and field."""
    try:
        return parse_place(text, file.resolve().parent)
    except ValueError as error:
        raise ConfigError(f"{file}: {name}: {error}") from None


def _secret_place(file: Path, name: str, text: str) -> SecretPlace:
    """Return where a secret is; ConfigError names file and field."""
    place = _key_place(file, name, text)
    if isinstance(place, DeviceKeyPlace):
        raise ConfigError(f"{file}: {name}: it has to be read, and a device keeps its keys")
    return place


def _address(file: Path, name: str, text: str) -> Address:
    """Return a field that is an address; ConfigError names file and field."""
    try:
        return Address.parse(text)
    except ConfigError as error:
        raise ConfigError(f"{file}: {name}: {error}") from None


def _in_words(text: str) -> str:
    """Return the decoder's message with the field first."""
    if match := _FIELD.fullmatch(text):
        return f"{match['field']}: {match['what'][0].lower()}{match['what'][1:]}"
    return text[0].lower() + text[1:]
