"""Keys in files and in the environment: found, or refused in one sentence that quotes no secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.crypto.key_places import EnvironmentKey, parse_place, read_key, read_variable
from harambee.crypto.keyfiles import KeyFileError, StoredKey, write_key_file
from harambee.crypto.signatures import from_seed

SEED = bytes(range(32))
PLACE = EnvironmentKey("HARAMBEE_SIGNING_KEY")


def test_a_place_is_a_path_beside_the_file_or_a_variable(tmp_path):
    assert parse_place("signing.key", tmp_path) == tmp_path / "signing.key"
    assert str(parse_place("/run/secrets/signing.key", tmp_path)) == "/run/secrets/signing.key"
    assert parse_place("env:HARAMBEE_SIGNING_KEY", tmp_path) == PLACE


@pytest.mark.parametrize(
    "text", ["env:", "env:1A", "env:A B", "env:A=B", "env:Ä", "env:" + "A" * 129]
)
def test_what_is_no_name_of_a_variable_is_refused(text, tmp_path):
    with pytest.raises(ValueError, match="stands the name of a variable"):
        parse_place(text, tmp_path)


def test_a_key_is_the_same_from_a_file_and_from_a_variable(tmp_path, monkeypatch):
    file = tmp_path / "signing.key"
    write_key_file(file, StoredKey("super-agent", from_seed(SEED)))
    monkeypatch.setenv(PLACE.variable, SEED.hex() + "\n")
    assert read_key(PLACE, "super-agent").public == read_key(file, "super-agent").public
    monkeypatch.setenv(PLACE.variable, SEED.hex().upper())
    assert read_variable(PLACE) == SEED


def test_a_variable_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv(PLACE.variable, raising=False)
    with pytest.raises(KeyFileError, match="the environment's HARAMBEE_SIGNING_KEY is not set"):
        read_key(PLACE, "super-agent")


@given(st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=80))
def test_what_is_no_seed_is_refused_without_being_repeated(value):
    if len(value.strip()) == 64 and all(c in "0123456789abcdefABCDEF" for c in value.strip()):
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PLACE.variable, value)
        with pytest.raises(KeyFileError) as refused:
            read_variable(PLACE)
    assert str(refused.value) == f"{PLACE} is not 64 hexadecimal digits"
