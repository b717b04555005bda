"""The genesis: its id is over canonical bytes that no later field changes."""

import hashlib

import msgspec
import pytest

from harambee.ledger.records import OPENING_ALIAS
from harambee.protocol.genesis import (
    KEY_DAYS_MAX,
    Genesis,
    GenesisDocument,
    GenesisError,
    MemberDocument,
    read_genesis,
)

OPENINGS = b""


def document(**more):
    members = [MemberDocument("amani", "11" * 32, "22" * 32, [0])]
    digest = hashlib.sha256(OPENINGS).hexdigest()
    return GenesisDocument(1, "old", True, 0, "2026-01-01", members, [], [], [], 0, digest, **more)


def test_a_network_from_before_the_days_to_refuse_a_key_keeps_its_id():
    """Computed by the software before that field was added: these bytes, and this id."""
    genesis = Genesis(document(), OPENINGS)
    assert genesis.canonical == (
        b'{"format":1,"name":"old","development":true,"epoch":0,"created":"2026-01-01",'
        b'"super_agents":[{"name":"amani","key":"' + b"11" * 32 + b'","tls_key_digest":"'
        b"" + b"22" * 32 + b'","regions":[0]}],"tariffs":[],"issuers":[],"aliases":[],'
        b'"openings_count":0,"openings_digest":"'
        b'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}'
    )
    assert (
        genesis.network.hex() == "32a8bf843e9fcac5eeac30416cbfee6054897aa31e042e374cd59fd21ac1ea93"
    )


def test_the_days_are_part_of_the_id_and_within_bounds():
    written = msgspec.json.encode(document(key_days=3))
    genesis = read_genesis(written, OPENINGS)
    assert genesis.key_days == 3
    assert genesis.network != Genesis(document(), OPENINGS).network
    assert read_genesis(msgspec.json.encode(document()), OPENINGS).key_days == 0
    for days in (-1, KEY_DAYS_MAX + 1):
        with pytest.raises(GenesisError, match="key_days is"):
            read_genesis(msgspec.json.encode(document(key_days=days)), OPENINGS)


def test_aliases_beside_the_document_are_part_of_the_id():
    aliases = bytes(2 * OPENING_ALIAS.itemsize)
    said = {"aliases_count": 2, "aliases_digest": hashlib.sha256(aliases).hexdigest()}
    written = msgspec.json.encode(document(**said))
    genesis = read_genesis(written, OPENINGS, aliases)
    assert genesis.aliases == aliases
    assert genesis.network != Genesis(document(), OPENINGS).network
    for other in (b"", aliases[:-1], aliases[:-1] + b"1"):
        with pytest.raises(GenesisError, match="the aliases are not those"):
            read_genesis(written, OPENINGS, other)
    with pytest.raises(GenesisError, match="the aliases are not those"):
        read_genesis(msgspec.json.encode(document()), OPENINGS, aliases)
    miscounted = msgspec.json.encode(document(**(said | {"aliases_count": 3})))
    with pytest.raises(GenesisError, match="not as many aliases"):
        read_genesis(miscounted, OPENINGS, aliases)
