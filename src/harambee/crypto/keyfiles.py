"""Secret keys on disk: files that their owner alone can read.

A key file is JSON text with one seed: of an Ed25519 key in version 1. Version 2 names the type, and is
written for other keys only, so that an older program refuses those instead of misreading them. A seed
file is binary, with as many development seeds as a test network has customers. Both are created with
mode 0600, never over an existing file, and refused when anyone but the owner could have read them.
Every error is one sentence for the person at the keyboard.
"""

import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import numpy as np

from harambee.crypto.durable_files import replace_file, sync_folder
from harambee.crypto.keys import OwnerKey
from harambee.crypto.p256 import P256KeyPair
from harambee.crypto.rows import Rows, check_rows
from harambee.crypto.signatures import SEED_BYTES, KeyPair

KEY_FILE_VERSION: Final = 1
TYPED_VERSION: Final = 2
TYPE_P256: Final = "p256"
OWNER_ONLY: Final = stat.S_IRUSR | stat.S_IWUSR
ANYONE_ELSE: Final = stat.S_IRWXG | stat.S_IRWXO

# A key file is some 200 bytes; whatever is larger than this was named by mistake.
KEY_FILE_BYTES_MAX: Final = 64 * 1024

# The first row of a seed file; the seeds follow. It shows in any hex dump what the file is for.
SEEDS_HEADER: Final = b"harambee DEVELOPMENT seeds 1\0\0\0\0"
assert len(SEEDS_HEADER) == SEED_BYTES


class KeyFileError(Exception):
    """A key file cannot be written, read or trusted; the text is one clear sentence."""


Key_co = TypeVar("Key_co", bound=OwnerKey, covariant=True)


@dataclass(frozen=True, slots=True)
class StoredKey(Generic[Key_co]):
    """What a key file holds: the key, what kind of key it is ("super-agent"), and a remark."""

    kind: str
    keypair: Key_co
    comment: str = field(default="")


def write_key_file(path: Path, key: StoredKey[OwnerKey]) -> None:
    """Create `path`, mode 0600, with the key; KeyFileError if it exists or cannot be written."""
    _create(path, _written(key))


def replace_key_file(path: Path, key: StoredKey[OwnerKey]) -> None:
    """Put a key into the place of the one in `path`, durably: after a crash one of them is there, whole.

    For a key that was made durable elsewhere before. KeyFileError, and the old key stays, if it cannot
    be written or there is none to replace.
    """
    read_owner_key_file(path)
    try:
        replace_file(path, _written(key))
    except OSError as error:
        message = f"cannot write {path}: {error.strerror}"
        raise KeyFileError(message) from error


def read_key_file(path: Path, kind: str | None = None) -> StoredKey[KeyPair]:
    """Return the Ed25519 key in `path`, of the given kind if one is given.

    KeyFileError if it is missing, readable by others, damaged, or a key of another kind or type.
    """
    stored = read_owner_key_file(path, kind)
    if not isinstance(stored.keypair, KeyPair):
        message = f"{path} holds a P-256 key, and an Ed25519 key is needed here"
        raise KeyFileError(message)
    return StoredKey(stored.kind, stored.keypair, stored.comment)


def read_owner_key_file(path: Path, kind: str | None = None) -> StoredKey[OwnerKey]:
    """Return the key in `path`, of whichever type; otherwise as `read_key_file`."""
    content = _read_private(path, KEY_FILE_BYTES_MAX)
    try:
        record: Any = json.loads(content)
    except ValueError:  # from None: the text of the error, or its object, could quote the seed
        message = f"{path} is not a complete key file: it is not JSON text"
        raise KeyFileError(message) from None
    key = _key_of(path, record)
    if kind is not None and key.kind != kind:
        message = f"{path} holds a key of kind {key.kind!r}, not {kind!r}"
        raise KeyFileError(message)
    return key


def write_seeds(path: Path, seeds: Rows) -> None:
    """Create `path`, mode 0600, with (n, 32) development seeds; KeyFileError if it exists."""
    check_rows("seeds", seeds, width=SEED_BYTES)
    _create(path, SEEDS_HEADER + seeds.tobytes())


def read_seeds(path: Path) -> Rows:
    """Return the (n, 32) seeds in `path`, read-only.

    KeyFileError if it is missing, readable by others, damaged, or no seed file.
    """
    content = _read_private(path, None)
    if not content.startswith(SEEDS_HEADER):
        message = f"{path} is not a file of development seeds"
        raise KeyFileError(message)
    if len(content) % SEED_BYTES:
        message = f"{path} is damaged: it ends in the middle of a seed"
        raise KeyFileError(message)
    return np.frombuffer(content, np.uint8, offset=SEED_BYTES).reshape(-1, SEED_BYTES)


def _written(key: StoredKey[OwnerKey]) -> bytes:
    is_ed25519 = isinstance(key.keypair, KeyPair)
    record = {
        "version": KEY_FILE_VERSION if is_ed25519 else TYPED_VERSION,
        **({} if is_ed25519 else {"type": TYPE_P256}),
        "kind": key.kind,
        "seed": key.keypair.seed.hex(),
        "comment": key.comment,
    }
    return (json.dumps(record, indent=2) + "\n").encode()


def _key_of(path: Path, record: object) -> StoredKey[OwnerKey]:
    """Return the key that a key file's JSON value describes; KeyFileError if it is not one."""
    match record:
        case {"version": int(version)} if version not in (KEY_FILE_VERSION, TYPED_VERSION):
            message = f"{path} has version {version}; this program reads up to {TYPED_VERSION}"
            raise KeyFileError(message)
        case {
            "version": int(version),
            "kind": str(kind),
            "seed": str(text),
            "comment": str(comment),
            **others,
        }:
            named = others.get("type") if version == TYPED_VERSION else None
        case _:
            message = f"{path} is not a key file: it needs version, kind, seed and comment"
            raise KeyFileError(message)
    if version == TYPED_VERSION and named != TYPE_P256:
        message = f"{path} holds a key of type {named!r}, which this program does not know"
        raise KeyFileError(message)
    try:
        seed = bytes.fromhex(text)
        return StoredKey(kind, KeyPair(seed) if named is None else P256KeyPair(seed), comment)
    except ValueError:
        message = f"{path} is damaged: its seed is not {SEED_BYTES} bytes in hexadecimal, or none"
        raise KeyFileError(message) from None


def _create(path: Path, content: bytes) -> None:
    """Create `path` with mode 0600 and this content on disk, or leave nothing behind."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    except FileExistsError:
        message = f"{path} exists already, and a key is never overwritten"
        raise KeyFileError(message) from None
    except OSError as error:
        message = f"cannot create {path}: {error.strerror}"
        raise KeyFileError(message) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except OSError as error:
        path.unlink(missing_ok=True)
        message = f"cannot write {path}: {error.strerror}"
        raise KeyFileError(message) from error


def _read_private(path: Path, bytes_max: int | None) -> bytes:
    """Return what the file holds; KeyFileError unless it is a plain file that is the owner's alone.

    The open file is judged, not its name, so that nobody can swap it between check and use.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            _refuse_unsafe(path, os.fstat(descriptor), bytes_max)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read()
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        message = f"there is no key file {path}"
        raise KeyFileError(message) from None
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise KeyFileError(message) from error


def _refuse_unsafe(path: Path, status: os.stat_result, bytes_max: int | None) -> None:
    """Raise KeyFileError if the open file is not plain, not private, or too large."""
    if not stat.S_ISREG(status.st_mode):
        message = f"{path} is not a plain file"
        raise KeyFileError(message)
    if status.st_mode & ANYONE_ELSE:
        mode = stat.S_IMODE(status.st_mode)
        message = f"{path} can be read or written by others (mode {mode:04o}): chmod 600 it first"
        raise KeyFileError(message)
    if bytes_max is not None and status.st_size > bytes_max:
        message = f"{path} is too large for a key file ({status.st_size} bytes)"
        raise KeyFileError(message)
