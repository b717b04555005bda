"""Backups of one super-agent: what another machine needs to become it, but for what it promised since.

A backup is a folder. It is made while the super-agent runs: LMDB copies its files as they were at one
moment, and files of checkpoints and of the archive never change. The order matters: checkpoints before the
journal, which has all that they cover; the journal before the archive, which has what leaves it meanwhile.
The manifest comes last, so that a backup without one is none.

A restored journal is an old disk. Its super-agent may have said more than it shows, and must not vote as
if it had not; so it is marked as re-entering before it gets its name (`Journal.re_entering`).
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Literal, NamedTuple

import lmdb
import msgspec

from harambee.crypto.durable_files import replace_file, sync_folder
from harambee.merchants.credentials import FILE as CREDENTIALS_FILE
from harambee.merchants.files import is_merchant_file, merchant_files
from harambee.node.archive import Archive
from harambee.node.config import ConfigError, NodeConfig, read_config
from harambee.node.journal import (
    ARCHIVE_NAME,
    DATA_NAME,
    Journal,
    JournalError,
    JournalLacks,
    JournalReader,
)
from harambee.node.profile_store import older_key_file
from harambee.protocol.wire import digest_of

MANIFEST: Final = "manifest.json"
MANIFEST_BYTES_MAX: Final = 64 << 20
CONFIG: Final = "node.toml"
JOURNAL: Final = "journal"
PROFILES: Final = "profiles"
MERCHANTS: Final = "merchants"
PHONES: Final = "phones"
MERCHANT_FILES: Final = "merchant-files"
"""What a super-agent begins with of merchants, as it lies beside its configuration: it has secrets."""
CERTIFICATES: Final = "certificates"
CHECKPOINTS: Final = "checkpoints"
"""A folder beside the journal's."""

SHARED: Final = ("genesis", "openings")
"""What is the same for all of a network: where something else lies, there is another network."""
# Field of the configuration -> name in the backup.
PUBLIC_FILES: Final = {
    "genesis": "genesis.json",
    "openings": "openings.bin",
    "addresses": "addresses.json",
    "tls_certificate": "tls.crt",
    "agent_places": "agents.csv",
}
KEY_FILES: Final = {
    "directory_key": "keys/directory.key",
    "signing_key": "keys/signing.key",
    "enrolment_key": "keys/enrolment.key",
    "treasury_key": "keys/treasury.key",
    "tls_key": "keys/tls.key",
    "profile_key": "keys/profile.key",
}
OLDER_PROFILE_KEY: Final = "keys/profile.key.old"

PRIVATE_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
_CHUNK_BYTES: Final = 1 << 20


class BackupError(Exception):
    """There is no backup, or none can be made or restored; the message is one sentence."""


Natural = Annotated[int, msgspec.Meta(ge=0)]
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class KeptFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a backup."""

    path: str
    """Within the backup, with slashes."""
    bytes: Natural
    sha256: Digest


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backup holds."""

    harambee_backup: Literal[1] = 1
    name: str
    """The super-agent's."""
    network: Digest
    author: Annotated[int, msgspec.Meta(ge=0, lt=1 << 16)]
    epoch: Natural
    made: str
    """When, as YYYY-MM-DDTHH:MM:SSZ."""
    positions: Natural
    """How many blocks; the journal's next position."""
    newest: Digest | None
    """The digest of the last of them; null where none is, or it is damaged."""
    archived: Natural
    """How many of them were in the archive."""
    keys: bool
    """Whether the secret keys are in it."""
    files: list[KeptFile]

    @property
    def size(self) -> int:
        """All files together, in bytes."""
        return sum(file.bytes for file in self.files)


@dataclass
class Progress:
    """How far a backup or a restoration is, in bytes; for another thread to look at."""

    total: int = 0
    _done: int = 0
    _growing: Path | None = None

    def add(self, size: int) -> None:
        """So many more are done."""
        self._done += size

    @property
    def done(self) -> int:
        """How many are done, those of a file that LMDB writes included."""
        size = 0
        if self._growing is not None:
            with contextlib.suppress(OSError):
                size = self._growing.stat().st_size
        return min(self.total, self._done + size)

    @contextlib.contextmanager
    def growing(self, file: Path) -> Iterator[None]:
        """While this lasts, the file's size counts too."""
        self._growing = file
        try:
            yield
        finally:
            self._growing = None


class Restored(NamedTuple):
    """What a restoration did."""

    manifest: Manifest
    journal: bool
    """Whether the journal comes from the backup: a journal with the very same blocks is left as it is."""
    re_entering: bool
    """Whether it is marked, now or from before, to come back under a new incarnation."""
    replaced: Path | None
    """Where the journal lies that was there before."""
    left: list[Path]
    """Other files that were there already, and stay as they are."""
    missing: list[Path]
    """Keys that must be there before it can be started."""


# -- making one -----------------------------------------------------------------------------------


def back_up(
    config: NodeConfig, target: Path, progress: Progress, *, with_keys: bool = False
) -> Manifest:
    """Make a backup in `target`, which must be missing or empty; the super-agent may run meanwhile.

    Secret keys are in it only `with_keys`. BackupError when it cannot be made; what there is of it then
    has no manifest.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackupError(f"{target} exists and is not an empty folder")
    try:
        with JournalReader.open_to_read(config.journal) as journal:
            return _Backup(config, target, progress).make(journal, with_keys=with_keys)
    except JournalError as error:
        raise BackupError(str(error)) from error
    except (OSError, lmdb.Error) as error:
        raise BackupError(f"no backup could be made in {target}: {error}") from error


class _Backup:
    """One backup while it is made."""

    def __init__(self, config: NodeConfig, target: Path, progress: Progress) -> None:
        self._config = config
        self._target = target
        self._progress = progress

    def make(self, journal: JournalReader, *, with_keys: bool) -> Manifest:
        config, target, progress = self._config, self._target, self._progress
        loose = list(self._loose_files(with_keys=with_keys))
        databases = [
            journal.folder / DATA_NAME,
            config.profiles / DATA_NAME,
            config.merchants / DATA_NAME,
            config.phones / DATA_NAME,
        ]
        linked = [*journal.archive.files(), *config.checkpoints.glob("[0-9]*/*")]
        sources = [*databases, *linked, *(source for source, _, _ in loose)]
        # Each is copied, and read once more for its digest.
        progress.total = 2 * sum(map(_size_of, sources))
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        link_checkpoints(config.checkpoints, target / CHECKPOINTS, progress)
        self._copy_database(JOURNAL, journal.copy_to)
        with JournalReader.open_to_read(target / JOURNAL) as copied:
            positions, archived = copied.count, copied.pruned
        newest = _digest_at(journal, positions - 1)
        (target / JOURNAL / "lock.mdb").unlink(missing_ok=True)
        link_archive(journal.archive, target / JOURNAL / ARCHIVE_NAME, progress)
        if (config.profiles / DATA_NAME).exists():
            self._copy_database(PROFILES, lambda place: _copy_lmdb(config.profiles, place))
        if (config.merchants / DATA_NAME).exists():
            self._copy_database(MERCHANTS, lambda place: _copy_lmdb(config.merchants, place))
        if (config.phones / DATA_NAME).exists():
            self._copy_database(PHONES, lambda place: _copy_lmdb(config.phones, place))
        for source, path, mode in loose:
            copy_file(source, target / path, mode, progress)
        manifest = Manifest(
            name=config.name,
            network=journal.network.hex(),
            author=journal.author,
            epoch=journal.epoch,
            made=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            positions=positions,
            newest=newest,
            archived=archived,
            keys=with_keys,
            files=[self._kept(file) for file in sorted(target.rglob("*")) if file.is_file()],
        )
        for folder in [target, *(place for place in target.rglob("*") if place.is_dir())]:
            sync_folder(folder)
        content = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        replace_file(target / MANIFEST, content)
        progress.total = progress.done
        return manifest

    def _loose_files(self, *, with_keys: bool) -> Iterator[tuple[Path, str, int]]:
        """Yield (file, name in the backup, mode) of everything but what lies in databases."""
        config = self._config
        yield config.file, CONFIG, PUBLIC_MODE
        for field_name, path in PUBLIC_FILES.items():
            source = getattr(config, field_name)
            if source is not None and source.exists():
                yield source, path, PUBLIC_MODE
        for source in sorted(config.certificates.glob("*.crt")):
            yield source, f"{CERTIFICATES}/{source.name}", PUBLIC_MODE
        if with_keys:
            for source, path in _key_files(config):
                yield source, path, PRIVATE_MODE
            older = older_key_file(config.profile_key)
            if older.exists():
                yield older, OLDER_PROFILE_KEY, PRIVATE_MODE
            credentials = config.merchants / CREDENTIALS_FILE
            if credentials.exists():
                yield credentials, f"{MERCHANTS}/{CREDENTIALS_FILE}", PRIVATE_MODE
            for source in merchant_files(config.file.parent):
                path = source.relative_to(config.file.parent).as_posix()
                yield source, f"{MERCHANT_FILES}/{path}", PRIVATE_MODE

    def _copy_database(self, name: str, copy: Callable[[Path], None]) -> None:
        place = self._target / name
        place.mkdir(mode=0o700)
        file = place / DATA_NAME
        with self._progress.growing(file):
            copy(place)
        file.chmod(PRIVATE_MODE)
        with file.open("rb") as copied:
            os.fsync(copied.fileno())
        self._progress.add(file.stat().st_size)

    def _kept(self, file: Path) -> KeptFile:
        path = file.relative_to(self._target).as_posix()
        return KeptFile(path, file.stat().st_size, digest_of_file(file, self._progress))


def _key_files(config: NodeConfig) -> Iterator[tuple[Path, str]]:
    """Yield (file, name in the backup) of each key that is in a file; others are in none."""
    for field_name, path in KEY_FILES.items():
        place = getattr(config, field_name)
        if isinstance(place, Path):
            yield place, path


def link_archive(archive: Archive, target: Path, progress: Progress) -> None:
    """Give all files of an archive a second name in `target`, or copy them to another disk.

    The owner may write meanwhile. A file that is split has its later pieces named before its first one,
    so as soon as all names are those of the files that were linked, no block is missing.
    """
    linked: dict[str, tuple[int, int]] = {}
    while True:
        there: dict[str, tuple[int, int]] = {}
        for file in archive.files():
            with contextlib.suppress(FileNotFoundError):
                state = file.stat()
                there[file.name] = (state.st_ino, state.st_mtime_ns)
        if there == linked:
            return
        target.mkdir(mode=0o700, exist_ok=True)
        for name in linked.keys() - there.keys():
            (target / name).unlink()
            del linked[name]
        for name, identity in there.items():
            if linked.get(name) != identity:
                linked.pop(name, None)
                with contextlib.suppress(FileNotFoundError):
                    linked[name] = link_or_copy(archive.folder / name, target / name, progress)


def link_checkpoints(source: Path, target: Path, progress: Progress) -> None:
    """Give the files of all checkpoints a second name in `target`, or copy them to another disk.

    A checkpoint is a folder that has its name as long as it is whole; one that is removed meanwhile is
    left out.
    """
    for folder in sorted(source.glob("[0-9]*")):
        place = target / folder.name
        target.mkdir(mode=0o700, exist_ok=True)
        place.mkdir(mode=0o700)
        try:
            for file in sorted(folder.iterdir()):
                link_or_copy(file, place / file.name, progress)
        except FileNotFoundError:
            shutil.rmtree(place)


def link_or_copy(source: Path, target: Path, progress: Progress) -> tuple[int, int]:
    """Give a file that never changes a second name, or copy it; inode and time of the source."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target, follow_symlinks=True)
    except FileNotFoundError:
        raise
    except OSError:
        return copy_file(source, target, PRIVATE_MODE, progress)
    state = target.stat()
    progress.add(state.st_size)
    return state.st_ino, state.st_mtime_ns


def copy_file(source: Path, target: Path, mode: int, progress: Progress) -> tuple[int, int]:
    """Copy a file durably, with this mode from its first moment; inode and time of the source."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with source.open("rb") as opened:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as written:
            while chunk := opened.read(_CHUNK_BYTES):
                written.write(chunk)
                progress.add(len(chunk))
            written.flush()
            os.fsync(descriptor)
        state = os.fstat(opened.fileno())
    return state.st_ino, state.st_mtime_ns


def digest_of_file(file: Path, progress: Progress) -> str:
    """Return SHA-256 of a file, in hexadecimal."""
    hashed = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK_BYTES):
            hashed.update(chunk)
            progress.add(len(chunk))
    return hashed.hexdigest()


def _size_of(file: Path) -> int:
    """Return how large a file is, 0 if it is not there (any more)."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _digest_at(journal: JournalReader, position: int) -> str | None:
    """Return the digest of a block, in hexadecimal; None where it cannot be read."""
    try:
        return digest_of(journal.read(position)).hex()
    except (IndexError, JournalLacks):
        return None


def _copy_lmdb(source: Path, target: Path) -> None:
    with lmdb.open(str(source), max_dbs=8, readonly=True) as environment:
        environment.copy(str(target), compact=True)


# -- restoring one --------------------------------------------------------------------------------


def read_manifest(source: Path) -> Manifest:
    """Return what a backup says of itself; BackupError where it is none, or lacks a file."""
    file = source / MANIFEST
    try:
        if file.stat().st_size > MANIFEST_BYTES_MAX:
            raise BackupError(f"{file} is too large for a manifest")
        manifest = msgspec.json.decode(file.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise BackupError(f"{source} is no backup, or one that was not finished") from None
    except OSError as error:
        raise BackupError(f"cannot read {file}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackupError(f"{file} is no manifest of a backup: {error}") from None
    for kept in manifest.files:
        path = PurePosixPath(kept.path)
        if path.is_absolute() or ".." in path.parts or path.as_posix() != kept.path:
            raise BackupError(f"{file} names a file outside the backup: {kept.path}")
    return manifest


def check_files(source: Path, manifest: Manifest, progress: Progress) -> None:
    """Raise BackupError, naming the file, unless all are there and have their digests."""
    for kept in manifest.files:
        file = source / kept.path
        try:
            if file.is_symlink() or file.stat().st_size != kept.bytes:
                raise BackupError(f"{file} is not the file that the manifest names")
            found = digest_of_file(file, progress)
        except OSError as error:
            raise BackupError(f"cannot read {file}: {error.strerror}") from error
        if found != kept.sha256:
            raise BackupError(f"{file} is not the file that the manifest names")


def restore(source: Path, config_file: Path, progress: Progress) -> Restored:
    """Put a backup where a configuration says; without a file there, the backup's own gets its place.

    Checks all of it first. BackupError when it is damaged or of another super-agent, when a journal that
    holds more lies there, or when something cannot be written. The super-agent must not run.
    """
    manifest = read_manifest(source)
    progress.total = 2 * manifest.size
    check_files(source, manifest, progress)
    # Beside where it is to be, so that its paths mean the same.
    staged = config_file.with_name(f".{config_file.name}.restoring")
    try:
        if not config_file.exists():
            config_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            staged.unlink(missing_ok=True)
            copy_file(source / CONFIG, staged, PUBLIC_MODE, progress)
        config = read_config(staged if staged.exists() else config_file)
        restored = _Restoration(source, manifest, config, progress).make()
        if staged.exists():
            staged.replace(config_file)
            sync_folder(config_file.parent)
    except (ConfigError, JournalError) as error:
        raise BackupError(str(error)) from error
    except (OSError, lmdb.Error) as error:
        raise BackupError(f"{source} could not be restored: {error}") from error
    finally:
        staged.unlink(missing_ok=True)
    progress.total = progress.done
    return restored


@dataclass
class _Restoration:
    """One restoration while it lasts."""

    source: Path
    manifest: Manifest
    config: NodeConfig
    progress: Progress
    left: list[Path] = field(default_factory=list)
    re_entering: bool = True

    def make(self) -> Restored:
        config, manifest = self.config, self.manifest
        if config.name != manifest.name:
            raise BackupError(f"this is a backup of {manifest.name}, and not of {config.name}")
        paths = {kept.path: kept for kept in manifest.files}
        for field_name in SHARED:
            kept, there = paths.get(PUBLIC_FILES[field_name]), getattr(config, field_name)
            if kept and there.exists() and digest_of_file(there, Progress()) != kept.sha256:
                raise BackupError(f"{there} is of another network than the backup")
        is_same = self._holds_the_same()
        targets = dict(self._targets())
        for path, (target, mode) in targets.items():
            if path in paths:
                self._put(path, target, mode)
        for name in sorted(
            {path.split("/")[1] for path in paths if path.startswith(f"{CHECKPOINTS}/")}
        ):
            self._put_checkpoint(name)
        replaced = None if is_same else self._put_journal()
        missing = [key for key, _ in _key_files(config) if not key.exists()]
        return Restored(manifest, not is_same, self.re_entering, replaced, self.left, missing)

    def _targets(self) -> Iterator[tuple[str, tuple[Path, int]]]:
        """Yield (path in the backup, (where it belongs, mode)) of all but journal and checkpoints."""
        config = self.config
        for field_name, path in PUBLIC_FILES.items():
            if getattr(config, field_name) is not None:
                yield path, (getattr(config, field_name), PUBLIC_MODE)
        for target, path in _key_files(config):
            yield path, (target, PRIVATE_MODE)
        yield OLDER_PROFILE_KEY, (older_key_file(config.profile_key), PRIVATE_MODE)
        yield f"{PROFILES}/{DATA_NAME}", (config.profiles / DATA_NAME, PRIVATE_MODE)
        yield f"{PHONES}/{DATA_NAME}", (config.phones / DATA_NAME, PRIVATE_MODE)
        for name in (DATA_NAME, CREDENTIALS_FILE):
            yield f"{MERCHANTS}/{name}", (config.merchants / name, PRIVATE_MODE)
        for kept in self.manifest.files:
            if kept.path.startswith(f"{MERCHANT_FILES}/"):
                beside = kept.path.removeprefix(f"{MERCHANT_FILES}/")
                if not is_merchant_file(beside):
                    raise BackupError(f"a backup has no {kept.path}")
                yield kept.path, (config.file.parent / beside, PRIVATE_MODE)
            if kept.path.startswith(f"{CERTIFICATES}/"):
                name = PurePosixPath(kept.path).name
                yield kept.path, (config.certificates / name, PUBLIC_MODE)

    def _put(self, path: str, target: Path, mode: int) -> None:
        """Copy a file to where it belongs, unless something is there."""
        if target.exists():
            self.left.append(target)
            return
        aside = target.with_name(f".{target.name}.restoring")
        aside.unlink(missing_ok=True)
        copy_file(self.source / path, aside, mode, self.progress)
        aside.replace(target)
        sync_folder(target.parent)

    def _put_checkpoint(self, name: str) -> None:
        """Put a checkpoint in its place, whole, unless one is there."""
        target = self.config.checkpoints / name
        if target.exists():
            self.left.append(target)
            return
        aside = target.with_name(f".{name}.restoring")
        if aside.exists():
            shutil.rmtree(aside)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside.mkdir(mode=0o700)
        begin = f"{CHECKPOINTS}/{name}/"
        for kept in self.manifest.files:
            if kept.path.startswith(begin):
                place = aside / kept.path.removeprefix(begin)
                link_or_copy(self.source / kept.path, place, self.progress)
        sync_folder(aside)
        aside.rename(target)
        sync_folder(target.parent)

    def _holds_the_same(self) -> bool:
        """Whether the journal that is there has the very blocks of the backup.

        BackupError if it has more; JournalError if it is another's, damaged or in use.
        """
        if not (self.config.journal / DATA_NAME).exists():
            return False
        with self._open(self.config.journal) as there:
            if there.count > self.manifest.positions:
                raise BackupError(
                    f"the journal {there.folder} holds {there.count} blocks and the backup "
                    f"{self.manifest.positions}: nothing is restored over it"
                )
            newest = _digest_at(there, there.count - 1)
            is_same = there.count == self.manifest.positions and newest == self.manifest.newest
            if newest is None or not is_same:
                return False
            self.re_entering = there.re_entering
            return True

    def _put_journal(self) -> Path | None:
        """Put the journal in its place, marked; returns where the one that was there lies now."""
        place = self.config.journal.resolve()
        staged = place.with_name(f".{place.name}.restoring")
        if staged.exists():
            shutil.rmtree(staged)
        staged.mkdir(mode=0o700, parents=True)
        for kept in self.manifest.files:
            if kept.path == f"{JOURNAL}/{DATA_NAME}":
                copy_file(self.source / kept.path, staged / DATA_NAME, PRIVATE_MODE, self.progress)
            elif kept.path.startswith(f"{JOURNAL}/{ARCHIVE_NAME}/"):
                target = staged / ARCHIVE_NAME / PurePosixPath(kept.path).name
                target.parent.mkdir(mode=0o700, exist_ok=True)
                link_or_copy(self.source / kept.path, target, self.progress)
        with self._open(staged) as journal:
            journal.re_entering = True
        replaced = None
        if place.exists():
            numbers = (place.with_name(f"{place.name}.before-{n}") for n in range(1, 1_000))
            replaced = next(folder for folder in numbers if not folder.exists())
            place.rename(replaced)
        staged.rename(place)
        sync_folder(place.parent)
        return replaced

    def _open(self, folder: Path) -> Journal:
        manifest = self.manifest
        network = bytes.fromhex(manifest.network)
        return Journal.open(folder, network, manifest.author, manifest.epoch)
