"""The journal: every block that this super-agent holds, in the order in which it took them in.

What agreement needs no more may lie in the archive beside it (harambee.node.archive): `prune` moves it
there, and it is read as before.

It is the only database (docs/wire.md, section 11); all state is a fold over it. What it promises:
when `append` has returned, the blocks are on disk, all of them; when it has raised, none of them is
in the journal; and `kill -9` at any instant leaves it as after the last whole `append`. LMDB gives
exactly that: a transaction writes only pages that nothing refers to, syncs them, then writes and
syncs one page that refers to them. So a crash leaves nothing to repair, and reading never waits for
writing.

A disk that changes what it was given is another matter: every block stands with a checksum, and one
that does not match is never returned. `damaged` finds such blocks, and `repair` puts the same block, from
somebody who still holds it, in its place.

One thread at a time may append, and another one prune meanwhile, which writes in moments between two
appends. Any number of threads may read meanwhile, each in a transaction
that is short, because a long one would keep freed pages from being used again. Other processes may
read too, by `Journal.open_to_read`: auditors, backups.
"""

import contextlib
import fcntl
import logging
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import lmdb
import numpy as np
import numpy.typing as npt

from harambee.node.archive import FILE_BYTES, Archive, ArchiveDamaged
from harambee.node.sealing import opened, sealed
from harambee.protocol.effects import Name
from harambee.protocol.wire import digest_of

FORMAT: Final = 3
FORMAT_BEFORE: Final = 2
"""Without an archive. Read as it is; its owner makes it of the format of today."""
MAP_BYTES: Final = 64 << 30
"""Address space kept free for the journal; the file grows as it is written."""

NETWORK_BYTES: Final = 32
HEAD_BYTES: Final = 160
LOCK_NAME: Final = "journal.lock"
ARCHIVE_NAME: Final = "archive"
DATA_NAME: Final = "data.mdb"
"""What LMDB calls the file."""

# author u16 at 2, height u32 at 8, incarnation u16 at 12 of a block's fixed head
_HEAD: Final = struct.Struct("<2xH4xIH")
_POSITION_KEY: Final = struct.Struct(">Q")
_ID_KEY: Final = struct.Struct(">HHI")
_POSITION: Final = struct.Struct("<Q")
_U16: Final = struct.Struct("<H")
_U32: Final = struct.Struct("<I")
assert _HEAD.size == 14
DIGEST_BYTES: Final = 32
_META_RE_ENTERING: Final = b"re-entering"
_META_PRUNED: Final = b"pruned"
_META_ARCHIVED: Final = b"archived"
READERS_MAX: Final = 512
"""Threads that read at one time, in all processes."""

# What pruning deletes in one transaction: as much as can be in the time, and so many at the least.
_PRUNE_S: Final = 0.002
_PRUNE_BLOCKS: Final = 16
# What one read transaction of `Journal.blocks` copies out.
_CHUNK_BLOCKS: Final = 1_024
_CHUNK_BYTES: Final = 8 << 20
# The largest block and the pages around it; a disk with less left is called full.
_ROOM_BYTES: Final = 5 << 20

log: Final = logging.getLogger(__name__)


class JournalError(Exception):
    """The folder cannot be this super-agent's journal; the message is one sentence."""


class JournalFull(Exception):  # noqa: N818 - what has happened, not whose error it is
    """The blocks could not be made durable, and none of them is in the journal; one sentence.

    The disk is full or broken, or the map is used up. Appending may be tried again, and will go on
    failing until somebody has made room; reading goes on.
    """


class JournalLacks(Exception):  # noqa: N818 - what has happened, not whose error it is
    """A block was here and cannot be had; the message is one sentence."""

    def __init__(self, folder: Path, position: int, why: str) -> None:
        super().__init__(f"block {position} of the journal {folder} {why}")
        self.position = position


class JournalDamaged(JournalLacks):
    """A stored block is not what was written. It can be repaired."""

    def __init__(self, folder: Path, position: int) -> None:
        super().__init__(folder, position, "is damaged on the disk")


class JournalPruned(JournalLacks):
    """A block was moved to the archive, and somebody has taken it away from there."""

    def __init__(self, folder: Path, position: int) -> None:
        super().__init__(folder, position, "was moved to its archive, and is not there any more")


class Written(NamedTuple):
    """A block as a journal stores it."""

    digest: bytes
    content: bytes
    """The block with its checksum behind it."""

    @property
    def nbytes(self) -> int:
        """How many bytes it takes, as arrays say it."""
        return len(self.content)


def written(block: bytes) -> Written:
    """Return a block (wire format) as a journal stores it; ValueError if it is too short to be one."""
    return Written(digest_of(block), sealed(block))


class _Meta(NamedTuple):
    """Whose journal a folder holds, as its table `meta` says it."""

    format: int
    network: bytes
    author: int
    epoch: int

    @classmethod
    def of(cls, folder: Path, transaction: Any, table: Any) -> Self:
        """Read it; JournalError where it is of a format that is not read here, or not whole."""
        try:
            (found,) = _U32.unpack(transaction.get(b"format", db=table))
            if found < FORMAT_BEFORE:
                raise JournalError(
                    f"the journal {folder} has format {found}, and nothing reads that any more: move it "
                    "away, and see `harambee rejoin`"
                )
            if found > FORMAT:
                raise JournalError(
                    f"a newer version wrote the journal {folder}, which has format {found} (this one "
                    f"reads {FORMAT_BEFORE} and {FORMAT}): install that version again"
                )
            return cls(
                found,
                bytes(transaction.get(b"network", db=table)),
                *_U16.unpack(transaction.get(b"author", db=table)),
                *_U32.unpack(transaction.get(b"epoch", db=table)),
            )
        except (TypeError, struct.error):
            raise JournalError(f"the journal {folder} does not say whose it is") from None

    def fields(self) -> dict[bytes, bytes]:
        """Return it as it is stored."""
        return {
            b"format": _U32.pack(self.format),
            b"network": self.network,
            b"author": _U16.pack(self.author),
            b"epoch": _U32.pack(self.epoch),
        }

    def refuse_another(self, folder: Path, wanted: "_Meta") -> None:
        """Raise JournalError, naming the first difference, unless it is the one that is wanted."""
        if self.network != wanted.network:
            raise JournalError(f"the journal {folder} belongs to another network")
        for what, found, asked in (
            ("super-agent", self.author, wanted.author),
            ("epoch", self.epoch, wanted.epoch),
        ):
            if found != asked:
                raise JournalError(f"the journal {folder} belongs to {what} {found}, not {asked}")


class _Tables(NamedTuple):
    """The tables of an open environment (docs/wire.md, section 11)."""

    blocks: Any
    ids: Any
    forks: Any
    evidence: Any
    meta: Any

    @classmethod
    def of(cls, environment: Any, transaction: Any = None) -> Self:
        """Open all of them; they are made in a transaction that writes, if there is one.

        lmdb.NotFoundError where one is missing and may not be made.
        """
        return cls(
            *(
                environment.open_db(name.encode(), txn=transaction, create=transaction is not None)
                for name in cls._fields
            )
        )


class JournalReader:
    """An open journal, to be read. Made by `open_to_read`; a context manager that closes itself.

    All that it does may be done by several threads at a time, and while the owner appends.
    """

    def __init__(
        self,
        folder: Path,
        environment: Any,
        tables: _Tables,
        meta: _Meta,
        archive: Path | None = None,
    ) -> None:
        """For `open_to_read`, and for `Journal`."""
        self.folder = folder
        self.archive = Archive(
            archive or folder / ARCHIVE_NAME, meta.network, meta.epoch, meta.author
        )
        self.network = meta.network
        """The network's id, 32 bytes."""
        self.author = meta.author
        """Whose journal it is: a super-agent's index."""
        self.epoch = meta.epoch
        self.format = meta.format
        self._environment = environment
        self._blocks, self._ids, self._forks, self._evidence, self._meta = tables

    @staticmethod
    def open_to_read(folder: Path, archive: Path | None = None) -> "JournalReader":
        """Open anybody's journal, also while its owner runs; it says itself whose it is.

        `archive` is the folder of what was pruned, where it is not `archive/` in the journal's.
        Takes no lock that the owner would notice and changes nothing; on a disk that may be written,
        LMDB notes in its lock file which pages are being read. JournalError when there is no journal,
        when it is of a format that is not read here or damaged, when this user may not use its files, or
        when it is open in this very process: then use what has it open.
        """
        try:
            environment = lmdb.open(
                str(folder), map_size=MAP_BYTES, max_dbs=5, readonly=True, create=False
            )
        except lmdb.Error as error:
            if not (folder / DATA_NAME).exists():
                raise JournalError(f"there is no journal in {folder}") from None
            raise JournalError(f"cannot read the journal {folder}: {error}") from error
        try:
            tables = _Tables.of(environment)
            with environment.begin() as transaction:
                meta = _Meta.of(folder, transaction, tables.meta)
        except BaseException as error:
            environment.close()
            if isinstance(error, lmdb.NotFoundError):
                raise JournalError(f"there is no journal in {folder} yet") from None
            if isinstance(error, lmdb.Error):
                raise JournalError(f"cannot read the journal {folder}: {error}") from error
            raise
        return JournalReader(folder, environment, tables, meta, archive)

    def close(self) -> None:
        """Let go of the folder. No other thread may still be reading."""
        self._environment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def count(self) -> int:
        """How many blocks are durable here; the next position."""
        with self._environment.begin() as transaction:
            return self._count_in(transaction)

    @property
    def pruned(self) -> int:
        """How many of them were moved to the archive."""
        with self._environment.begin() as transaction:
            return self._pruned_in(transaction)

    def _count_in(self, transaction: Any) -> int:
        return int(transaction.stat(self._blocks)["entries"]) + self._pruned_in(transaction)

    def _pruned_in(self, transaction: Any) -> int:
        return int(_POSITION.unpack(transaction.get(_META_PRUNED, bytes(8), db=self._meta))[0])

    @property
    def re_entering(self) -> bool:
        """Whether the operator has said that this disk is a lost or an old one (`harambee rejoin`).

        It stays so until the first block of the new incarnation stands in the journal.
        """
        with self._environment.begin() as transaction:
            return bool(transaction.get(_META_RE_ENTERING, db=self._meta) == b"\1")

    def read(self, position: int) -> bytes:
        """Return the block at a position.

        IndexError if there is none, JournalDamaged if it is that, JournalPruned if it was moved to the
        archive and is not there.
        """
        if not 0 <= position < self.count:
            raise IndexError(f"there is no block at position {position}")
        with self._environment.begin() as transaction:
            return self._block_at(transaction, position)

    def _block_at(self, transaction: Any, position: int) -> bytes:
        """Return the block at a position that is below the count; JournalDamaged, JournalPruned."""
        try:
            stored = transaction.get(_POSITION_KEY.pack(position), db=self._blocks)
        except lmdb.Error as error:
            raise JournalDamaged(self.folder, position) from error
        if stored is None:
            return self._archived(position)
        block = opened(stored)
        if block is None:
            raise JournalDamaged(self.folder, position)
        return block

    def _archived(self, position: int) -> bytes:
        try:
            block = self.archive.read(position)
        except ArchiveDamaged as damage:
            raise JournalDamaged(self.folder, position) from damage
        if block is None:
            raise JournalPruned(self.folder, position)
        return block

    def blocks(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield (position, block) from `start` to the end, blocks appended meanwhile included.

        JournalDamaged at a block that is; JournalPruned at one that is in the archive no more.
        """
        while True:
            chunk, end = self._chunk(start)
            yield from enumerate(chunk, start)
            start += len(chunk)
            if not chunk:
                if start >= end:
                    return
                yield from self._archived_run(start, end)
                start = end

    def _archived_run(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Yield the blocks from `start` to `end`, which all were moved to the archive."""
        try:
            for position, block in self.archive.blocks(start):
                if position != start or start == end:
                    break
                yield position, block
                start += 1
        except ArchiveDamaged as damage:
            if damage.position == start < end:
                raise JournalDamaged(self.folder, start) from damage
        if start < end:
            raise JournalPruned(self.folder, start)

    def copy_to(self, folder: Path) -> None:
        """Write a copy of the database, as it is at one moment, into an empty folder; lmdb.Error.

        What was pruned is not in it. While it lasts, the owner uses no freed page again.
        """
        self._environment.copy(str(folder), compact=True)

    def find(self, author: int, height: int, incarnation: int = 0) -> int | None:
        """Return the position of the first block with this id, or None if there is none."""
        with self._environment.begin() as transaction:
            found = transaction.get(_ID_KEY.pack(author, incarnation, height), db=self._ids)
        if found is None:
            return None
        (position,) = _POSITION.unpack_from(found)
        return int(position)

    def find_digest(self, name: Name) -> bytes | None:
        """Return exactly this block, or None if it is damaged or not here, in the archive neither."""
        key = _ID_KEY.pack(name.author, name.incarnation, name.height)
        with self._environment.begin() as transaction:
            found = transaction.get(key, db=self._ids)
            if found is not None and found[_POSITION.size :] != name.digest:
                found = transaction.get(key + name.digest, db=self._forks)
            if found is None:
                return None
            try:
                return self._block_at(transaction, _POSITION.unpack_from(found)[0])
            except JournalLacks:
                return None

    def counts(self) -> tuple[int, int]:
        """Return how many blocks there are, and how many the index names: the same, if all is well."""
        with self._environment.begin() as transaction:
            named = sum(transaction.stat(table)["entries"] for table in (self._ids, self._forks))
            return self._count_in(transaction), named

    def position_of(self, name: Name) -> int | None:
        """Return where the index says that exactly this block is, damaged or not; None if nowhere."""
        key = _ID_KEY.pack(name.author, name.incarnation, name.height)
        with self._environment.begin() as transaction:
            found = transaction.get(key, db=self._ids)
            if found is not None and found[_POSITION.size :] != name.digest:
                found = transaction.get(key + name.digest, db=self._forks)
        return None if found is None else int(_POSITION.unpack_from(found)[0])

    def names_of(self, positions: set[int]) -> dict[int, Name]:
        """Return the names that the index has for these positions; reads all of the index."""
        named: dict[int, Name] = {}
        with self._environment.begin() as transaction:
            for table in (self._ids, self._forks):
                for key, value in transaction.cursor(db=table):
                    position = _POSITION.unpack_from(value)[0]
                    if position in positions:
                        author, incarnation, height = _ID_KEY.unpack_from(key)
                        digest = (key[_ID_KEY.size :] + value[_POSITION.size :])[:DIGEST_BYTES]
                        named[position] = Name(author, incarnation, height, digest)
        return named

    def above(self, author: int, incarnation: int, height: int) -> list[int]:
        """Return the positions of an author's blocks beyond a height, ascending; of all branches."""
        first = _ID_KEY.pack(author, incarnation, height) + b"\xff" * (DIGEST_BYTES + 1)
        chain = first[: -_U32.size - DIGEST_BYTES - 1]
        found = []
        with self._environment.begin() as transaction:
            for table in (self._ids, self._forks):
                cursor = transaction.cursor(db=table)
                more = cursor.set_range(first)
                while more and cursor.key().startswith(chain):
                    found.append(int(_POSITION.unpack_from(cursor.value())[0]))
                    more = cursor.next()
        return sorted(found)

    def forked(self) -> set[int]:
        """Return the authors of whom several blocks with one id are here."""
        with (
            self._environment.begin() as transaction,
            transaction.cursor(db=self._forks) as cursor,
        ):
            return {_ID_KEY.unpack_from(key)[0] for key in cursor.iternext(values=False)}

    def range_of(
        self, author: int, first: int, last: int, max_bytes: int, incarnation: int = 0
    ) -> list[bytes]:
        """Return the author's blocks of heights `first` to `last`, inclusive, ascending.

        It ends before the first height that is missing, damaged or taken away, and before `max_bytes`
        would be exceeded; but a single block is returned whatever its size, or who fetches would never
        get on.
        """
        found: list[bytes] = []
        size = 0
        with self._environment.begin() as transaction:
            for height in range(first, last + 1):
                key = _ID_KEY.pack(author, incarnation, height)
                position = transaction.get(key, db=self._ids)
                if position is None:
                    break
                try:
                    block = self._block_at(transaction, _POSITION.unpack_from(position)[0])
                except JournalLacks:
                    break
                size += len(block)
                if found and size > max_bytes:
                    break
                found.append(block)
        return found

    def evidence(self) -> dict[int, bytes]:
        """Return the evidence that is kept, by culprit; what is damaged is left out."""
        with self._environment.begin() as transaction:
            kept = {
                int.from_bytes(key, "big"): opened(value)
                for key, value in transaction.cursor(db=self._evidence)
            }
        return {culprit: content for culprit, content in kept.items() if content is not None}

    def damaged(self) -> dict[int, Name]:
        """Return the blocks that are not what was written, by position, with the names they had.

        Reads the whole journal, and the archive: what is damaged there counts, what was taken away from
        there does not. All positions of an archive's file that is refused are damaged, but for those
        that lie elsewhere.
        """
        bad = set(self._damaged_positions())
        if not bad:
            return {}
        named = self.names_of(bad)
        unnamed = bad - named.keys()
        if unnamed:
            raise JournalDamaged(self.folder, min(unnamed))
        return named

    def _damaged_positions(self) -> list[int]:
        """Return the positions of damaged blocks, ascending."""
        count = self.count
        away = np.zeros(count, bool)  # moved to the archive
        bad = np.zeros(count, bool)
        for start in range(0, count, _CHUNK_BLOCKS):
            with self._environment.begin() as transaction:
                for position in range(start, min(count, start + _CHUNK_BLOCKS)):
                    try:
                        stored = transaction.get(_POSITION_KEY.pack(position), db=self._blocks)
                    except lmdb.Error:
                        bad[position] = True
                        continue
                    away[position] = stored is None
                    bad[position] = stored is not None and opened(stored) is None
        if away.any():
            damage = self.archive.damage()
            for position in damage.positions[damage.positions < count]:
                bad[position] |= away[position]
            for first, end, why in damage.ranges:
                log.error("%s", why)
                bad[first:end] |= away[first:end]
        return [int(position) for position in np.flatnonzero(bad)]

    def _chunk(self, start: int) -> tuple[list[bytes], int]:
        """Return a short transaction's worth of blocks that stand here one behind the other, from `start`.

        And, where there are none: the position of the next one that does, or else the end. What is
        between was moved to the archive before this was asked.
        """
        chunk: list[bytes] = []
        size = 0
        with (
            self._environment.begin() as transaction,
            transaction.cursor(db=self._blocks) as cursor,
        ):
            more = cursor.set_range(_POSITION_KEY.pack(start))
            while more and len(chunk) < _CHUNK_BLOCKS and size < _CHUNK_BYTES:
                (position,) = _POSITION_KEY.unpack(cursor.key())
                if position != start + len(chunk):
                    return chunk, position
                block = opened(cursor.value())
                if block is None:
                    if chunk:
                        break
                    raise JournalDamaged(self.folder, start)
                chunk.append(block)
                size += len(block)
                more = cursor.next()
            return chunk, self._count_in(transaction)


class Journal(JournalReader):
    """The open journal of one super-agent, who alone writes it. Made by `open`."""

    def __init__(
        self,
        folder: Path,
        environment: Any,
        tables: _Tables,
        meta: _Meta,
        archive: Path | None,
        lock: int,
    ) -> None:
        """For `open` only: `lock` is a descriptor that holds the folder's lock."""
        super().__init__(folder, environment, tables, meta, archive)
        self._lock = lock
        self._pen = _Pen()
        self._pruning = threading.Lock()
        self._count = super().count
        self._re_entering = super().re_entering

    @classmethod
    def open(
        cls,
        folder: Path,
        network: bytes,
        author: int,
        epoch: int,
        map_bytes: int = MAP_BYTES,
        archive: Path | None = None,
    ) -> Self:
        """Open the journal in `folder`, or make one there if the folder is missing or empty.

        `network` is the network id (32 bytes), `author` this super-agent's index, `archive` the folder
        of what is pruned, where it is not to be `archive/` in the journal's. JournalError when the
        folder belongs to another network, author, epoch or format, is in use by another running
        process, is no journal, or cannot be read and written.
        """
        assert len(network) == NETWORK_BYTES
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalError(f"cannot open the journal {folder}: {error.strerror}") from error
        environment: Any = None
        try:
            _take(lock, folder)
            environment = _environment(folder, map_bytes)
            meta = _Meta(FORMAT, network, author, epoch)
            tables = _prepare(folder, environment, meta)
            _sync_folders(folder)
        except BaseException as error:
            if environment is not None:
                environment.close()
            os.close(lock)
            if isinstance(error, lmdb.Error | OSError):
                raise JournalError(f"cannot open the journal {folder}: {error}") from error
            raise
        return cls(folder, environment, tables, meta, archive, lock)

    def close(self) -> None:
        """Let go of the folder. No other thread may still be reading or appending."""
        super().close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @property
    def count(self) -> int:
        """How many blocks are durable here; the next position."""
        return self._count

    def append(
        self, blocks: Sequence[bytes], as_stored: Callable[[bytes], Written] = written
    ) -> None:
        """Put the blocks (wire format) behind all others and make them durable, all or none.

        When it returns they are on disk. JournalFull when that could not be done; ValueError for
        bytes too short to be a block. Where two blocks have one id, both are found by their digests.
        `as_stored` is `written`, or what remembers its answers.
        """
        ids = [_id_of(block) for block in blocks]
        rows = [as_stored(block) for block in blocks]
        if not ids:
            return
        position = self._count
        try:
            with self._pen.to_append(), self._environment.begin(write=True) as transaction:
                for key, (digest, content) in zip(ids, rows, strict=True):
                    stored = transaction.put(
                        _POSITION_KEY.pack(position), content, append=True, db=self._blocks
                    )
                    assert stored, "positions ascend"
                    place = _POSITION.pack(position)
                    if not transaction.put(key, place + digest, overwrite=False, db=self._ids):
                        transaction.put(key + digest, place, db=self._forks)
                    position += 1
        except lmdb.Error as error:
            why = f"the disk is full ({error})" if _is_full(self.folder) else str(error)
            raise JournalFull(f"the journal {self.folder} cannot be written: {why}") from error
        self._count = position

    # -- pruning ----------------------------------------------------------------------------------

    def prune(
        self, positions: npt.NDArray[np.int64], ended: Callable[[], bool] = lambda: False
    ) -> int:
        """Move the blocks at these positions, (n,) int64 ascending, to the archive; how many were moved.

        Nothing but their place changes: they are found and read as before, and their names stay known.
        A block that was moved before, or is damaged, is left where it is; and so is one that belongs
        between blocks of a file that somebody has taken away, or it would be in the way of that file.

        May be called in another thread than `append`, which it holds up for no more than one short
        transaction; it ends early as soon as `ended()`. Whatever interrupts it, each block is in the
        journal, in the archive or in both, and the next call goes on.

        ValueError for positions that do not ascend or are not all here; JournalFull when one of the two
        cannot be written.
        """
        if len(positions) and (
            positions[0] < 0 or positions[-1] >= self._count or (np.diff(positions) <= 0).any()
        ):
            raise ValueError(f"positions to prune ascend, and are below {self._count}")
        moved = 0
        with self._pruning:
            # A reader that was killed while it read would keep its pages from being used again.
            self._environment.reader_check()
            with self._environment.begin() as transaction:
                end = self._archived_in(transaction)
            kept = self._with_neighbours(self._kept(positions), end)
            while not ended():
                taken: list[int] = []
                try:
                    self.archive.append(_file_of(kept, taken, ended), end)
                except OSError as error:
                    where = self.archive.folder
                    raise JournalFull(f"the archive {where} cannot be written: {error}") from error
                if not taken:
                    break
                end = max(end, taken[-1] + 1)
                moved += self._forget(taken, ended)
        return moved

    def _archived_in(self, transaction: Any) -> int:
        """Return the position behind the last block that was ever moved to the archive."""
        return int(_POSITION.unpack(transaction.get(_META_ARCHIVED, bytes(8), db=self._meta))[0])

    def _with_neighbours(
        self, blocks: Iterator[tuple[int, bytes]], end: int
    ) -> Iterator[tuple[int, bytes]]:
        """Leave out those below `end` whose neighbours in the archive are not there.

        A neighbour is the nearest block that was moved before. Where both are there, no file that was
        taken away has blocks around the place.
        """
        below, above, whole = -1, -1, True
        for position, block in blocks:
            if position < end and not below < position < above:
                below, above = self._gap_around(position, end)
                whole = all(
                    self._is_archived(neighbour)
                    for neighbour in (below, above)
                    if 0 <= neighbour < end
                )
                if not whole:
                    log.warning(
                        "blocks between %d and %d stay in the journal: the archive lacks a file beside",
                        below,
                        above,
                    )
            if whole or position >= end:
                yield position, block

    def _gap_around(self, position: int, end: int) -> tuple[int, int]:
        """Return the nearest positions below and above, from -1 to `end`, that are not in the database."""
        below = above = position
        with self._environment.begin() as transaction:
            while below >= 0 and transaction.get(_POSITION_KEY.pack(below), db=self._blocks):
                below -= 1
            while above < end and transaction.get(_POSITION_KEY.pack(above), db=self._blocks):
                above += 1
        return below, above

    def _is_archived(self, position: int) -> bool:
        try:
            return self.archive.has(position)
        except ArchiveDamaged:
            return False

    def _kept(self, positions: npt.NDArray[np.int64]) -> Iterator[tuple[int, bytes]]:
        """Yield (position, block) of those that are not in the archive yet, ascending."""
        row = 0
        while row < len(positions):
            chunk: list[tuple[int, bytes | None]] = []
            size = 0
            with (
                self._environment.begin() as transaction,
                transaction.cursor(db=self._blocks) as cursor,
            ):
                while row < len(positions) and len(chunk) < _CHUNK_BLOCKS and size < _CHUNK_BYTES:
                    wanted = int(positions[row])
                    if not cursor.set_range(_POSITION_KEY.pack(wanted)):
                        row = len(positions)
                        break
                    (there,) = _POSITION_KEY.unpack(cursor.key())
                    if there == wanted:
                        block = opened(cursor.value())
                        chunk.append((wanted, block))
                        size += len(block or b"")
                        row += 1
                    else:
                        row = int(np.searchsorted(positions, there))
            for position, block in chunk:
                if block is None:
                    log.warning("block %d is damaged, and therefore not pruned", position)
                else:
                    yield position, block

    def _forget(self, taken: list[int], ended: Callable[[], bool]) -> int:
        """Delete blocks that are in the archive, a few at a time; how many."""
        done = 0
        while done < len(taken) and not ended():
            before = done
            try:
                with self._pen.to_prune(), self._environment.begin(write=True) as transaction:
                    end = time.monotonic() + _PRUNE_S
                    while done < len(taken) and (done == before or time.monotonic() < end):
                        some = taken[done : done + _PRUNE_BLOCKS]
                        for position in some:
                            transaction.delete(_POSITION_KEY.pack(position), db=self._blocks)
                        done += len(some)
                    self._add_pruned(transaction, done - before)
                    archived = max(self._archived_in(transaction), taken[done - 1] + 1)
                    transaction.put(_META_ARCHIVED, _POSITION.pack(archived), db=self._meta)
            except lmdb.Error as error:
                raise JournalFull(f"the journal {self.folder} cannot be pruned: {error}") from error
        return done

    def _add_pruned(self, transaction: Any, more: int) -> None:
        pruned = _POSITION.pack(self._pruned_in(transaction) + more)
        transaction.put(_META_PRUNED, pruned, db=self._meta)

    # -- damage -----------------------------------------------------------------------------------

    def repair(self, position: int, name: Name, block: bytes) -> bool:
        """Put a block back in its place; False if it is not the one that stood there.

        The caller has read it as a well-formed block; the digest, which names all of it but the signature,
        is compared here. One that was damaged in the archive comes back to the journal, until it is pruned
        again.
        """
        key = _ID_KEY.pack(name.author, name.incarnation, name.height)
        if _id_of(block) != key or digest_of(block) != name.digest:
            return False
        place = _POSITION_KEY.pack(position)
        with self._pen.to_append(), self._environment.begin(write=True) as transaction:
            if transaction.get(place, db=self._blocks) is None:
                self._add_pruned(transaction, -1)
            transaction.put(place, sealed(block), db=self._blocks)
        return True

    def give_up_damaged(self) -> int:
        """Forget the first damaged block and all behind it, which may stand on it; how many blocks that is.

        Its promises are lost with them: only for who comes back under a new incarnation.
        """
        damaged = self._damaged_positions()
        if not damaged:
            return 0
        whole = damaged[0]
        with self._pen.to_append(), self._environment.begin(write=True) as transaction:
            for position in range(whole, self._count):
                transaction.delete(_POSITION_KEY.pack(position), db=self._blocks)
            kept = transaction.stat(self._blocks)["entries"]
            self._add_pruned(transaction, whole - kept - self._pruned_in(transaction))
            archived = min(self._archived_in(transaction), whole)
            transaction.put(_META_ARCHIVED, _POSITION.pack(archived), db=self._meta)
            for table in (self._ids, self._forks):
                gone = [
                    key
                    for key, value in transaction.cursor(db=table)
                    if _POSITION.unpack_from(value)[0] >= whole
                ]
                for key in gone:
                    transaction.delete(key, db=table)
        given_up, self._count = self._count - whole, whole
        self._cut_archive()
        return given_up

    def _cut_archive(self) -> None:
        """Forget what the archive has of positions that are free again."""
        try:
            self.archive.cut(self._count)
        except OSError as error:
            where = self.archive.folder
            raise JournalFull(f"the archive {where} cannot be written: {error}") from error

    # -- what is kept beside the blocks -----------------------------------------------------------

    def keep_evidence(self, culprit: int, content: bytes) -> None:
        """Keep a piece of evidence durably; the first one against each culprit is enough."""
        try:
            with self._pen.to_append(), self._environment.begin(write=True) as transaction:
                key = culprit.to_bytes(2, "big")
                transaction.put(key, sealed(content), overwrite=False, db=self._evidence)
        except lmdb.Error as error:
            raise JournalFull(f"the journal {self.folder} cannot be written: {error}") from error

    @property
    def re_entering(self) -> bool:
        """As `JournalReader.re_entering`; the owner may change it."""
        return self._re_entering

    @re_entering.setter
    def re_entering(self, value: bool) -> None:
        with self._pen.to_append(), self._environment.begin(write=True) as transaction:
            transaction.put(_META_RE_ENTERING, bytes([value]), db=self._meta)
        self._re_entering = value


class _Pen:
    """Who writes: one at a time, and who appends before who prunes.

    LMDB has one writer too, but promises nobody a turn: a thread that writes one transaction behind the
    other would often get the lock again before one that waits for it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = False
        self._appending = 0

    @contextlib.contextmanager
    def to_append(self) -> Iterator[None]:
        """Write as soon as the one who writes has finished."""
        with self._changed:
            self._appending += 1
            self._changed.wait_for(lambda: not self._taken)
            self._appending -= 1
            self._taken = True
        with self._giving_back():
            yield

    @contextlib.contextmanager
    def to_prune(self) -> Iterator[None]:
        """Write when nobody waits to append."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken and not self._appending)
            self._taken = True
        with self._giving_back():
            yield

    @contextlib.contextmanager
    def _giving_back(self) -> Iterator[None]:
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()


def _file_of(
    kept: Iterator[tuple[int, bytes]], taken: list[int], ended: Callable[[], bool]
) -> Iterator[tuple[int, bytes]]:
    """Yield as many blocks as a file of the archive has, and note their positions in `taken`."""
    size = 0
    for position, block in kept:
        taken.append(position)
        size += len(block)
        yield position, block
        if size >= FILE_BYTES or ended():
            return


def _prepare(folder: Path, environment: Any, meta: _Meta) -> _Tables:
    """Make the tables of a new journal, or check that an old one is this super-agent's.

    One of the format before becomes one of today's, in this one transaction.
    """
    with environment.begin(write=True) as transaction:
        tables = _Tables.of(environment, transaction)
        fields = meta.fields()
        stored = {key: transaction.get(key, db=tables.meta) for key in fields}
        count = transaction.stat(tables.blocks)["entries"]
        if count or any(value is not None for value in stored.values()):
            found = _Meta.of(folder, transaction, tables.meta)
            found.refuse_another(folder, meta)
            if found.format != meta.format:
                log.info(
                    "the journal %s had format %d and has %d from now on: versions that read %d alone "
                    "cannot open it any more",
                    folder,
                    found.format,
                    meta.format,
                    found.format,
                )
        transaction.put(_META_PRUNED, bytes(_POSITION.size), overwrite=False, db=tables.meta)
        for key, value in fields.items():
            transaction.put(key, value, db=tables.meta)
    return tables


def _take(lock: int, folder: Path) -> None:
    """Lock the folder for this process until the descriptor closes, however the process ends."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise JournalError(f"the journal {folder} is in use by another running process") from None


def _environment(folder: Path, map_bytes: int) -> Any:
    """Open the LMDB files in `folder`; JournalError if they are something else."""
    try:
        return lmdb.open(
            str(folder),
            map_size=map_bytes,
            max_dbs=5,
            max_readers=READERS_MAX,
            mode=0o600,
            create=True,
            sync=True,
        )
    except (lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.CorruptedError) as error:
        raise JournalError(f"{folder / DATA_NAME} is damaged or no journal: {error}") from error


def _is_full(folder: Path) -> bool:
    """Say whether the disk has no room for an append: LMDB calls a write cut short an I/O error."""
    try:
        disk = os.statvfs(folder)
    except OSError:  # broken, then, and not full
        return False
    return disk.f_bavail * disk.f_frsize < _ROOM_BYTES


def _sync_folders(folder: Path) -> None:
    """Make the names of new files, and of a new folder, durable: a file without a name is lost."""
    for place in (folder, folder.parent):
        with contextlib.suppress(PermissionError):  # a parent that we may not read was there before
            descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _id_of(block: bytes) -> bytes:
    """Return the key of the block's id in `ids`; ValueError if the bytes are too few."""
    if len(block) < HEAD_BYTES:
        raise ValueError(f"a block has at least {HEAD_BYTES} bytes, not {len(block)}")
    author, height, incarnation = _HEAD.unpack_from(block)
    return _ID_KEY.pack(author, incarnation, height)
