"""Key files: private, complete, never overwritten; and what is said when they are not."""

import json
import os
import stat

import numpy as np
import pytest

from harambee.crypto import p256
from harambee.crypto.keyfiles import (
    KeyFileError,
    StoredKey,
    read_key_file,
    read_owner_key_file,
    read_seeds,
    replace_key_file,
    write_key_file,
    write_seeds,
)
from harambee.crypto.signatures import from_seed

KEY = StoredKey("super-agent", from_seed(bytes(range(32))), "for development only")
SEEDS = np.arange(5 * 32, dtype=np.uint8).reshape(5, 32)


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key.json"
    write_key_file(path, KEY)
    return path


@pytest.fixture
def seed_file(tmp_path):
    path = tmp_path / "customers.seeds"
    write_seeds(path, SEEDS)
    return path


def test_what_was_written_is_read(key_file, seed_file):
    assert read_key_file(key_file) == KEY
    assert read_key_file(key_file, "super-agent") == KEY
    assert np.array_equal(read_seeds(seed_file), SEEDS)


def test_the_format_is_plain_json(key_file):
    assert json.loads(key_file.read_text()) == {
        "version": 1,
        "kind": "super-agent",
        "seed": bytes(range(32)).hex(),
        "comment": "for development only",
    }


def test_a_p256_key_is_in_a_file_that_older_programs_refuse(tmp_path):
    key = StoredKey("customer", p256.generate())
    write_key_file(tmp_path / "phone.key", key)
    assert read_owner_key_file(tmp_path / "phone.key", "customer") == key
    document = json.loads((tmp_path / "phone.key").read_text())
    assert (document["version"], document["type"]) == (2, "p256")
    with pytest.raises(KeyFileError, match="holds a P-256 key, and an Ed25519 key is needed"):
        read_key_file(tmp_path / "phone.key")


def test_a_key_of_either_type_takes_the_place_of_the_other(tmp_path, key_file):
    key = StoredKey("super-agent", p256.generate())
    replace_key_file(key_file, key)
    assert read_owner_key_file(key_file) == key
    replace_key_file(key_file, KEY)
    assert read_owner_key_file(key_file) == read_key_file(key_file) == KEY


def test_no_seeds_at_all_are_a_seed_file_too(tmp_path):
    write_seeds(tmp_path / "none", SEEDS[:0])
    assert read_seeds(tmp_path / "none").shape == (0, 32)


def test_files_are_created_for_their_owner_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        write_key_file(tmp_path / "key", KEY)
        write_seeds(tmp_path / "seeds", SEEDS)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666])
def test_a_file_that_others_could_touch_is_refused(key_file, seed_file, mode):
    for path, read in ((key_file, read_key_file), (seed_file, read_seeds)):
        path.chmod(mode)
        with pytest.raises(KeyFileError, match=f"mode {mode:04o}.: chmod 600 it first"):
            read(path)
        path.chmod(0o400)
        read(path)


def test_a_key_is_never_overwritten(key_file, seed_file):
    for path, write in (
        (key_file, lambda: write_key_file(key_file, KEY)),
        (seed_file, lambda: write_seeds(seed_file, SEEDS)),
    ):
        before = path.read_bytes()
        with pytest.raises(KeyFileError, match="exists already"):
            write()
        assert path.read_bytes() == before


def test_a_dangling_link_is_not_followed(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError, match="exists already"):
        write_key_file(tmp_path / "link", KEY)
    assert not (tmp_path / "elsewhere").exists()


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeyFileError, match="No space left on device"):
        write_key_file(tmp_path / "key", KEY)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(KeyFileError, match="there is no key file"):
        read_key_file(tmp_path / "missing")
    with pytest.raises(KeyFileError, match="cannot create"):
        write_key_file(tmp_path / "no folder" / "key", KEY)
    with pytest.raises(KeyFileError, match="not a plain file"):
        read_seeds(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(KeyFileError, match="not a plain file"):
        read_key_file(tmp_path / "pipe")


def test_another_kind_of_key_is_refused(key_file):
    with pytest.raises(KeyFileError, match="of kind 'super-agent', not 'customer'"):
        read_key_file(key_file, "customer")


GOOD = {"version": 1, "kind": "customer", "seed": "00" * 32, "comment": ""}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "not JSON text"),
        (json.dumps(GOOD)[:-9], "not JSON text"),
        ("\xff", "not JSON text"),
        ("[]", "it needs version, kind, seed and comment"),
        (json.dumps(GOOD | {"seed": None}), "it needs version, kind, seed and comment"),
        (json.dumps({"version": 1, "kind": "customer"}), "it needs version"),
        (json.dumps(GOOD | {"version": 3}), "has version 3; this program reads up to 2"),
        (json.dumps(GOOD | {"version": 2}), "holds a key of type None"),
        (json.dumps(GOOD | {"version": 2, "type": "p521"}), "holds a key of type 'p521'"),
        (json.dumps(GOOD | {"version": 2, "type": "p256"}), "is damaged: its seed is not"),
        (json.dumps(GOOD | {"seed": "00" * 31}), "its seed is not 32 bytes in hexadecimal"),
        (json.dumps(GOOD | {"seed": "zz" * 32}), "its seed is not 32 bytes in hexadecimal"),
        (" " * 70_000, "too large for a key file"),
    ],
)
def test_a_damaged_key_file_is_one_clear_sentence(key_file, text, sentence):
    key_file.write_text(text, encoding="latin-1")
    with pytest.raises(KeyFileError, match=sentence):
        read_key_file(key_file)


def test_an_error_never_quotes_the_secret(key_file):
    key_file.write_text(key_file.read_text()[:-4])
    with pytest.raises(KeyFileError) as caught:
        read_key_file(key_file)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert KEY.keypair.seed.hex() not in str(caught.value)


def test_a_damaged_seed_file_is_one_clear_sentence(seed_file):
    whole = seed_file.read_bytes()
    seed_file.write_bytes(whole[:-1])
    with pytest.raises(KeyFileError, match="ends in the middle of a seed"):
        read_seeds(seed_file)
    seed_file.write_bytes(whole[32:])
    with pytest.raises(KeyFileError, match="not a file of development seeds"):
        read_seeds(seed_file)


def test_a_stored_key_never_shows_its_seed():
    assert repr(KEY.keypair.seed) not in repr(KEY)
    assert KEY.keypair.seed.hex() not in repr(KEY)


def test_a_key_takes_the_place_of_another_whole_and_private(key_file, monkeypatch):
    new = StoredKey("super-agent", from_seed(bytes(32)), "the next one")
    replace_key_file(key_file, new)
    assert read_key_file(key_file) == new
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("harambee.crypto.durable_files.os.fsync", full)
    with pytest.raises(KeyFileError, match="No space left"):
        replace_key_file(key_file, KEY)
    assert read_key_file(key_file) == new


def test_a_key_replaces_no_other_file(tmp_path, key_file):
    with pytest.raises(KeyFileError, match="there is no key file"):
        replace_key_file(tmp_path / "none", KEY)
    key_file.chmod(0o644)
    with pytest.raises(KeyFileError, match="can be read or written by others"):
        replace_key_file(key_file, KEY)
