"""Sealing at rest: what goes in comes out, from its own place and unaltered, and nothing else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.crypto.vault import KEY_ID_BYTES, SEAL_BYTES, SealingKey, Vault, VaultError

OLD, NEW = SealingKey(b"o" * 32), SealingKey(b"n" * 32)
PLACE = b"account 17, version 1"


@given(st.binary(max_size=2_000), st.binary(max_size=60))
def test_what_was_sealed_opens_in_its_place_alone(content, place):
    vault = Vault(NEW)
    sealed = vault.seal(content, place)
    assert vault.open(sealed, place) == content
    assert len(sealed) == len(content) + SEAL_BYTES
    with pytest.raises(VaultError):
        vault.open(sealed, place + b"x")


@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_record_that_was_altered_anywhere_does_not_open(content, data):
    vault = Vault(NEW)
    sealed = bytearray(vault.seal(content, PLACE))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(VaultError):
        vault.open(bytes(sealed), PLACE)


@given(st.binary(max_size=80))
def test_garbage_does_not_open(garbage):
    with pytest.raises(VaultError):
        Vault(NEW).open(NEW.id + garbage, PLACE)
    with pytest.raises(VaultError):
        Vault(NEW).open(garbage, PLACE)


def test_two_records_of_the_same_content_differ():
    vault = Vault(NEW)
    assert vault.seal(b"the same", PLACE) != vault.seal(b"the same", PLACE)
    assert b"the same" not in vault.seal(b"the same", PLACE)


def test_an_older_key_still_opens_and_seals_no_more():
    sealed = Vault(OLD).seal(b"from before", PLACE)
    both = Vault(NEW, OLD)
    assert both.open(sealed, PLACE) == b"from before"
    assert not both.is_newest(sealed)
    assert both.is_newest(both.seal(b"from now", PLACE))
    with pytest.raises(VaultError, match="a key that is not here"):
        Vault(NEW).open(sealed, PLACE)


def test_a_keys_text_and_name_say_nothing_of_it():
    assert "6f6f" not in repr(OLD)
    assert "oooo" not in repr(OLD)
    assert OLD.id != NEW.id
    assert len(OLD.id) == KEY_ID_BYTES
    assert OLD.seed not in OLD.key + OLD.id
