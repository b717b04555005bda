"""The genesis: everything that all replicas of a network must agree on before the first block.

A JSON document for people, and beside it an array of opening accounts and, where there are many, one of
their aliases; the document names both by their digests. The network id is the hash of its canonical
bytes, so a replica with another genesis is on another network, and no signature crosses over.
"""

import hashlib
import mmap
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from harambee.crypto.hashing import digest
from harambee.ledger.records import OPENING_ALIAS
from harambee.money.tariff import Tariff
from harambee.protocol.committee import Committee, Member

FORMAT = 1
KEY_DAYS_MAX = 30
"""How many days the owner of an account may have at most to refuse a new key."""


class GenesisError(ValueError):
    """The document is not a genesis that this software can read; the message is one sentence."""


class MemberDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A super-agent, as written in the document; keys in hexadecimal."""

    name: str
    key: str
    tls_key_digest: str
    regions: list[int]


class IssuerDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A trust bank: the account that may go negative, and how far."""

    name: str
    account: int
    limit_cents: int


class AliasDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A number that is in the directory from the beginning; its keyed hash in hexadecimal."""

    alias: str
    account: int


class GenesisDocument(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The document itself. Field order is the canonical order.

    A field with a default came later: where it has that, it is left out of the canonical bytes, so
    that networks from before it keep their id.
    """

    format: int
    name: str
    development: bool
    epoch: int
    created: str
    super_agents: list[MemberDocument]
    tariffs: list[dict[str, Any]]
    issuers: list[IssuerDocument]
    aliases: list[AliasDocument]
    openings_count: int
    openings_digest: str
    """SHA-256 of the opening accounts' array, in hexadecimal."""
    key_days: int = 0
    """For how many days the owner of an account may refuse a new key (docs/governance.md)."""
    aliases_count: int = 0
    """How many more aliases lie in an array beside the document; there are too many for text."""
    aliases_digest: str = ""
    """SHA-256 of that array, in hexadecimal; empty where there is none."""


@dataclass(frozen=True)
class Genesis:
    """A genesis, read and checked.

    `openings` is the raw array of OPENING records (ledger.records), `aliases` that of OPENING_ALIAS
    records; aliases of the document itself are apart from these.
    """

    document: GenesisDocument
    openings: bytes | memoryview
    aliases: bytes | memoryview = b""

    def rest(self) -> None:
        """The arrays have been read: where files hold them, their memory is given back till next time."""
        for array in (self.openings, self.aliases):
            memory = array.obj if isinstance(array, memoryview) else None
            if isinstance(memory, mmap.mmap):
                memory.madvise(mmap.MADV_DONTNEED)

    @cached_property
    def canonical(self) -> bytes:
        """The bytes that are hashed: compact JSON in declared field order."""
        return msgspec.json.encode(self.document)

    @cached_property
    def network(self) -> bytes:
        """The network id, 32 bytes."""
        return digest(b"harambee genesis", self.canonical)

    @cached_property
    def committee(self) -> Committee:
        """The super-agents of the first epoch."""
        members = tuple(
            Member(m.name, bytes.fromhex(m.key), bytes.fromhex(m.tls_key_digest), tuple(m.regions))
            for m in self.document.super_agents
        )
        return Committee(self.document.epoch, members)

    @cached_property
    def regions(self) -> int:
        """How many regions there are; they are numbered densely from zero."""
        return 1 + max(region for member in self.committee.members for region in member.regions)

    @property
    def key_days(self) -> int:
        """For how many days the owner of an account may refuse a new key."""
        return self.document.key_days

    @cached_property
    def tariffs(self) -> tuple[Tariff, ...]:
        """The tariff versions in force from the beginning."""
        return tuple(Tariff.from_document(document) for document in self.document.tariffs)


def read_genesis(
    document: bytes, openings: bytes | memoryview, aliases: bytes | memoryview = b""
) -> Genesis:
    """Parse and check; raises GenesisError with one sentence."""
    parsed = read_genesis_document(document).document
    if hashlib.sha256(openings).hexdigest() != parsed.openings_digest:
        message = "the opening accounts are not those that the genesis names: the file was changed"
        raise GenesisError(message)
    digest_found = hashlib.sha256(aliases).hexdigest() if len(aliases) else ""
    if digest_found != parsed.aliases_digest:
        message = (
            "the aliases are not those that the genesis names: the file was changed, or is missing"
        )
        raise GenesisError(message)
    if len(aliases) != parsed.aliases_count * OPENING_ALIAS.itemsize:
        message = "there are not as many aliases as the genesis says"
        raise GenesisError(message)
    return Genesis(parsed, openings, aliases)


def read_genesis_document(document: bytes) -> Genesis:
    """Parse and check the document alone, for who needs no opening accounts; raises GenesisError."""
    try:
        parsed = msgspec.json.decode(document, type=GenesisDocument)
    except msgspec.DecodeError as error:
        message = f"this is not a genesis document: {error}"
        raise GenesisError(message) from error
    if parsed.format != FORMAT:
        message = f"the genesis has format {parsed.format}; this software reads format {FORMAT}"
        raise GenesisError(message)
    if not 0 <= parsed.key_days <= KEY_DAYS_MAX:
        message = f"key_days is {parsed.key_days}, and must be from 0 to {KEY_DAYS_MAX}"
        raise GenesisError(message)
    owned = sorted(region for member in parsed.super_agents for region in member.regions)
    if owned != list(range(len(owned))):
        message = (
            "the regions of the super-agents are not numbered densely from zero, each owned once"
        )
        raise GenesisError(message)
    return Genesis(parsed, b"")
