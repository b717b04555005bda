"""Digests, and the prefixes that keep roles and networks apart."""

import hashlib

import pytest

from harambee.crypto.hashing import TAG_BLOCK, TAG_ORDER, TAGS, digest, signed_prefix


def test_a_digest_is_blake2b_256_of_the_parts_joined():
    whole = hashlib.blake2b(b"harambee", digest_size=32).digest()
    assert digest(b"hara", bytearray(b"mb"), memoryview(b"ee")) == whole
    assert digest() == hashlib.blake2b(digest_size=32).digest()


def test_the_tags_are_those_of_the_wire_format():
    """They are inside every signature ever made: this list only grows."""
    assert [tag.rstrip(b"\0").decode() for tag in TAGS] == [
        "hrb1:order",
        "hrb1:block",
        "hrb1:receipt",
        "hrb1:possession",
        "hrb1:checkpoint",
        "hrb1:genesis",
        "hrb1:evidence",
        "hrb1:refusal",
        "hrb1:profile",
        "hrb1:name-check",
        "hrb1:day-close",
        "hrb1:approval",
        "hrb1:request",
        "hrb1:requests?",
        "hrb1:decline",
        "hrb1:announce",
        "hrb1:phone-desk",
    ]


def test_prefixes_of_roles_and_networks_differ():
    networks = (bytes(32), bytes(31) + b"\1")
    prefixes = {signed_prefix(tag, network) for tag in TAGS for network in networks}
    assert len(prefixes) == 2 * len(TAGS)
    assert {len(prefix) for prefix in prefixes} == {48}
    assert signed_prefix(TAG_ORDER, bytes(32)) != signed_prefix(TAG_BLOCK, bytes(32))


def test_a_prefix_needs_a_known_role_and_a_whole_network():
    with pytest.raises(ValueError, match="not a role tag"):
        signed_prefix(b"hrb1:order", bytes(32))
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        signed_prefix(TAG_ORDER, bytes(31))
