"""The archive: blocks that agreement needs no more, in plain files beside the journal.

What super-agents have signed as a checkpoint no longer depends on the blocks behind it. They leave
the database and stay readable here: for auditors, for refunds, for peers that fetch. The format is in
docs/wire.md, section 17. What the archive promises:

- When `append` has returned, the blocks are on disk; when it has raised, or `kill -9` came, all that
  was here before still is.
- A file is written aside and renamed, so one that has its name is whole, and never changes after. A
  file may be replaced by one that has all its blocks and more. So copies and hard links are safe at any
  time.
- An operator may take files away, and bring them back. What lay in them is not here meanwhile.
- What a file says of itself is believed within bounds: one that lies about counts or lengths is
  refused as a whole, with a sentence, and every block has its checksum.

A file counts from its first position up to the first of the next file. So one position is looked up in
one file, and a crash between the renames of two files leaves nothing but copies that nobody reads.

One thread at a time may write, and only the owner of the journal. Any number may read meanwhile, in
other processes too: whoever does not find a position looks at the folder again.
"""

import bisect
import contextlib
import itertools
import logging
import os
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harambee.crypto.durable_files import sync_folder
from harambee.node.sealing import CHECKSUM_BYTES, opened, sealed
from harambee.protocol.wire import BLOCK_BYTES_MAX

MAGIC: Final = b"hrb1:archive".ljust(16, b"\0")
FILE_BYTES: Final = 64 << 20
"""A file ends with the block that makes it this large."""
NETWORK_BYTES: Final = 32

_HEAD: Final = struct.Struct("<16s32sIH2xI")
_ENTRY: Final = struct.Struct("<QI")
assert (_HEAD.size, _ENTRY.size) == (60, 12)
_OWNER: Final = ("network", "epoch", "author")
_NAME: Final = re.compile(r"blocks-(\d{12,})\.archive", re.ASCII)
_ASIDE: Final = re.compile(r"\.blocks-\d{12,}\.archive\.new", re.ASCII)

# Every so many blocks of a file a mark is kept; a look-up walks from the mark before. 16 bytes for
# so many blocks are 25 MB for a hundred million.
_MARK_EVERY: Final = 64
# What one read takes while walking over lengths.
_WINDOW_BYTES: Final = 64 << 10
# So much is written between two syncs: a disk that is asked for 64 MB at once lets others wait.
_SYNC_BYTES: Final = 1 << 20

log: Final = logging.getLogger(__name__)


class ArchiveRefused(Exception):  # noqa: N818 - what has happened, not whose error it is
    """A file is not an archive of this journal's blocks; the message is one sentence."""


class ArchiveDamaged(Exception):  # noqa: N818 - what has happened, not whose error it is
    """The archive should have this block, and cannot give it; the message is one sentence."""

    def __init__(self, why: str, position: int) -> None:
        super().__init__(why)
        self.position = position


class Damage(NamedTuple):
    """What of an archive cannot be read."""

    positions: npt.NDArray[np.int64]
    """(n,) blocks whose checksum does not match, ascending."""
    ranges: list[tuple[int, int, str]]
    """(first, end, sentence) of each file that is refused: the positions for which it counts."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """Where the blocks of one file lie. Made by walking over it once."""

    identity: tuple[int, int, int]
    count: int
    last: int
    marks: npt.NDArray[np.int64]
    """(m,) positions of every _MARK_EVERY-th block."""
    places: npt.NDArray[np.int64]
    """(m,) where in the file its entry begins."""


class _Window:
    """A file, read through a window that is moved over it."""

    def __init__(self, descriptor: int) -> None:
        state = os.fstat(descriptor)
        self.size = state.st_size
        self.identity = (state.st_ino, state.st_size, state.st_mtime_ns)
        """A file that has the same name and another identity is another one."""
        self._descriptor = descriptor
        self._begin = 0
        self._data = b""

    def read(self, offset: int, size: int) -> bytes:
        """Return so many bytes, or fewer where the file or its disk has no more."""
        try:
            return os.pread(self._descriptor, size, offset)
        except OSError:
            return b""

    def entry(self, offset: int, before: int) -> tuple[int, int]:
        """Return (position, length) of the entry that begins there; ArchiveRefused where none can.

        `before` is the position of the entry before it.
        """
        if not self._begin <= offset <= self._begin + len(self._data) - _ENTRY.size:
            self._begin, self._data = offset, self.read(offset, _WINDOW_BYTES)
        try:
            position, length = _ENTRY.unpack_from(self._data, offset - self._begin)
        except struct.error:
            raise ArchiveRefused(f"it ends where the block behind {before} should begin") from None
        if position <= before:
            raise ArchiveRefused(f"position {position} stands behind {before}")
        if length > BLOCK_BYTES_MAX or offset + _bytes_of(length) > self.size:
            raise ArchiveRefused(f"block {position} cannot have {length} bytes")
        return position, length

    def content(self, offset: int, length: int) -> bytes:
        """Return what lies behind the head of the entry there: the block and its checksum."""
        begin, size = offset + _ENTRY.size, length + CHECKSUM_BYTES
        within = begin - self._begin
        if 0 <= within <= len(self._data) - size:
            return self._data[within : within + size]
        return self.read(begin, size)


class Archive:
    """The archive of one journal. Nothing is open between two calls."""

    def __init__(self, folder: Path, network: bytes, epoch: int, author: int) -> None:
        """`folder` may be missing; `network` has 32 bytes, `author` is whose journal it is."""
        assert len(network) == NETWORK_BYTES
        self.folder = folder
        self._owner = (MAGIC, network, epoch, author)
        self._firsts: list[int] = []
        """The first position of every file, ascending, as the folder was seen last."""
        self._shapes: dict[int, _Shape] = {}
        self._look()

    # -- reading ----------------------------------------------------------------------------------

    def files(self) -> list[Path]:
        """Return the files that are there now, ascending by their positions."""
        self._look()
        return [self._file(first) for first in self._firsts]

    def end(self) -> int:
        """Return the position behind the last block that is here, 0 where none is; ArchiveRefused."""
        self._look()
        while self._firsts:
            with contextlib.suppress(FileNotFoundError), self._open(self._firsts[-1]) as (shape, _):
                return shape.last + 1
            self._look()
        return 0

    def read(self, position: int) -> bytes | None:
        """Return a block, or None where it is not here.

        ArchiveDamaged where it is not what was written, or the file that counts for it is refused. The
        first look into a file walks over it, which takes as long as reading it.
        """
        try:
            return self._read(position)
        except (KeyError, FileNotFoundError):
            self._look()
        try:
            return self._read(position)
        except (KeyError, FileNotFoundError):
            return None

    def has(self, position: int) -> bool:
        """Say whether a block is here, damaged or not, in a file that is not refused."""
        self._look()
        entry = next(self._entries(position), None) if self._firsts else None
        return entry is not None and entry.position == position

    def blocks(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield (position, block) from `start` on, ascending; what is not here is left out.

        ArchiveDamaged at a block that is, or at the first position of a file that is refused.
        """
        for entry in self._entries(start):
            block = opened(entry.content)
            if block is None:
                raise ArchiveDamaged(f"block {entry.position} is damaged", entry.position)
            yield entry.position, block

    def damage(self) -> Damage:
        """Return what cannot be read. Reads the whole archive."""
        positions: list[int] = []
        ranges: list[tuple[int, int, str]] = []
        self._look()
        for first in self._firsts:
            end = self._end_of(first)
            try:
                with self._open(first) as (shape, window):
                    positions.extend(
                        entry.position
                        for entry in _until(end, _walk(window, shape))
                        if opened(entry.content) is None
                    )
            except FileNotFoundError:
                continue
            except ArchiveRefused as refused:
                ranges.append((first, end, str(refused)))
        return Damage(np.array(positions, np.int64), ranges)

    # -- writing ----------------------------------------------------------------------------------

    def append(self, blocks: Iterable[tuple[int, bytes]], end: int = 0) -> None:
        """Put (position, block) in, ascending, and make them durable; OSError where that failed.

        `end` is the position behind the last one that was ever put in: where the files end before it,
        somebody has taken the last ones away, and nothing is put into those before them.

        Most are behind all others and get files of their own. Those that belong between others are
        merged with their file; one that is here already is replaced. A file that is refused and in
        whose range blocks come is moved aside.
        """
        entries = (_Entry(position, sealed(block)) for position, block in blocks)
        newest = next(entries, None)
        if newest is None:
            return
        if not self.folder.exists():
            self.folder.mkdir(mode=0o700)
            sync_folder(self.folder.parent)
        for file in self.folder.iterdir():
            if _ASIDE.fullmatch(file.name):  # a crash left it
                file.unlink()
        self._look()
        firsts = list(self._firsts)
        for _, group in itertools.groupby(
            itertools.chain((newest,), entries),
            lambda entry: (bisect.bisect_right(firsts, entry.position), entry.position >= end),
        ):
            self._merge(group, end)
            self._look()

    def cut(self, end: int) -> None:
        """Forget the blocks from position `end` on, durably; OSError where that failed."""
        self._look()
        for first in reversed(self._firsts):
            if first >= end:
                self._file(first).unlink()
                continue
            with contextlib.ExitStack() as stack:
                try:
                    shape, window = stack.enter_context(self._open(first))
                except ArchiveRefused as refused:
                    self._set_aside(first, refused)
                    continue
                if shape.last >= end:
                    self._write(_until(end, _walk(window, shape)))
        if self.folder.exists():
            sync_folder(self.folder)
        self._look()

    # -- files ------------------------------------------------------------------------------------

    def _look(self) -> None:
        """See which files there are."""
        try:
            names = [file.name for file in self.folder.iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            names = []
        firsts = sorted(int(found[1]) for name in names if (found := _NAME.fullmatch(name)))
        for gone in self._shapes.keys() - set(firsts):
            self._shapes.pop(gone, None)
        self._firsts = firsts

    def _file(self, first: int) -> Path:
        return self.folder / f"blocks-{first:012}.archive"

    def _end_of(self, position: int) -> int:
        """Return where the file that counts for a position ends to count."""
        firsts = self._firsts
        after = bisect.bisect_right(firsts, position)
        return firsts[after] if after < len(firsts) else 1 << 62

    @contextlib.contextmanager
    def _open(self, first: int) -> Iterator[tuple[_Shape, _Window]]:
        """Open a file and say where its blocks lie; FileNotFoundError, or ArchiveRefused."""
        file = self._file(first)
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not file.is_symlink():
                raise
            raise ArchiveRefused(f"{file} cannot be read: {error.strerror}") from error
        try:
            window = _Window(descriptor)
            shape = self._shapes.get(first)
            if shape is None or shape.identity != window.identity:
                try:
                    shape = _shape_of(window, first, self._owner)
                except ArchiveRefused as refused:
                    raise ArchiveRefused(f"{file} is refused: {refused}") from None
                self._shapes[first] = shape
            yield shape, window
        finally:
            os.close(descriptor)

    def _read(self, position: int) -> bytes:
        """As `read`, in the files that were seen last; KeyError or FileNotFoundError."""
        firsts = self._firsts
        at = bisect.bisect_right(firsts, position) - 1
        if at < 0:
            raise KeyError(position)
        try:
            with self._open(firsts[at]) as (shape, window):
                for entry in _walk(window, shape, position):
                    if entry.position != position:
                        break
                    block = opened(entry.content)
                    if block is None:
                        raise ArchiveDamaged(f"block {position} is damaged", position)
                    return block
        except ArchiveRefused as refused:
            raise ArchiveDamaged(str(refused), position) from refused
        raise KeyError(position)

    def _entries(self, start: int) -> Iterator["_Entry"]:
        """Yield the entries from `start` on; ArchiveDamaged(first position) at a refused file."""
        self._look()
        while True:
            firsts = self._firsts
            at = max(0, bisect.bisect_right(firsts, start) - 1)
            if at == len(firsts):
                return
            try:
                with self._open(firsts[at]) as (shape, window):
                    end = self._end_of(firsts[at])
                    for entry in _walk(window, shape, start):
                        if entry.position >= end:
                            break
                        start = entry.position + 1
                        yield entry
            except FileNotFoundError:
                self._look()
                continue
            except ArchiveRefused as refused:
                raise ArchiveDamaged(str(refused), max(start, firsts[at])) from refused
            self._look()
            after = bisect.bisect_right(self._firsts, max(start - 1, firsts[at]))
            if after == len(self._firsts):
                return
            start = max(start, self._firsts[after])

    def _merge(self, entries: Iterator["_Entry"], end: int) -> None:
        """Write entries that one file counts for, with those that it has."""
        newest = next(entries)
        entries = itertools.chain((newest,), entries)
        at = bisect.bisect_right(self._firsts, newest.position) - 1
        first = None if at < 0 else self._firsts[at]
        with contextlib.ExitStack() as stack:
            if first is not None:
                try:
                    shape, window = stack.enter_context(self._open(first))
                except FileNotFoundError:
                    pass
                except ArchiveRefused as refused:
                    self._set_aside(first, refused)
                else:
                    # One that is half full, and has nothing behind what comes, stays as it is.
                    grows = (
                        window.size < FILE_BYTES // 2
                        and not shape.last + 1 < end <= newest.position
                    )
                    if shape.last >= newest.position or grows:
                        old = _until(self._end_of(first), _walk(window, shape))
                        entries = _merged(old, entries)
            self._write(entries)

    def _set_aside(self, first: int, refused: ArchiveRefused) -> None:
        file = self._file(first)
        log.error("%s; it is kept as %s.refused", refused, file.stem)
        file.rename(file.with_suffix(".refused"))

    def _write(self, entries: Iterator["_Entry"]) -> None:
        """Write entries into files of FILE_BYTES, all of them aside, then name the last one first.

        The first one may replace a file whose blocks are in the others: it must come last.
        """
        written: list[tuple[Path, Path]] = []
        try:
            for entry in entries:
                file = self._file(entry.position)
                aside = file.with_name(f".{file.name}.new")
                written.append((aside, file))
                self._write_one(aside, itertools.chain((entry,), entries))
            for number, (aside, file) in enumerate(reversed(written), 1):
                if number == len(written) > 1:
                    sync_folder(self.folder)
                aside.replace(file)
            sync_folder(self.folder)
        except BaseException:
            for aside, _ in written:
                aside.unlink(missing_ok=True)
            raise

    def _write_one(self, file: Path, entries: Iterator["_Entry"]) -> None:
        """Take entries for one file and write it, durably but for its name."""
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as opened_file:
            opened_file.write(bytes(_HEAD.size))
            size, synced, count = _HEAD.size, 0, 0
            for entry in entries:
                length = len(entry.content) - CHECKSUM_BYTES
                opened_file.write(_ENTRY.pack(entry.position, length))
                opened_file.write(entry.content)
                size += _ENTRY.size + len(entry.content)
                count += 1
                if size - synced >= _SYNC_BYTES:
                    opened_file.flush()
                    os.fdatasync(descriptor)
                    synced = size
                if size >= FILE_BYTES:
                    break
            opened_file.seek(0)
            opened_file.write(_HEAD.pack(*self._owner, count))
            opened_file.flush()
            os.fsync(descriptor)


class _Entry(NamedTuple):
    """A block as it lies in a file."""

    position: int
    content: bytes
    """The block, and its checksum behind it: whether they match is for who reads."""


def _merged(old: Iterator[_Entry], new: Iterator[_Entry]) -> Iterator[_Entry]:
    """Yield both, ascending; where both have a position, the new one."""
    waiting = next(old, None)
    for entry in new:
        while waiting is not None and waiting.position < entry.position:
            yield waiting
            waiting = next(old, None)
        if waiting is not None and waiting.position == entry.position:
            waiting = next(old, None)
        yield entry
    if waiting is not None:
        yield waiting
        yield from old


def _until(end: int, entries: Iterator[_Entry]) -> Iterator[_Entry]:
    return itertools.takewhile(lambda entry: entry.position < end, entries)


def _bytes_of(length: int) -> int:
    """Return what a block of this length takes in a file."""
    return _ENTRY.size + length + CHECKSUM_BYTES


def _shape_of(window: _Window, first: int, owner: tuple[bytes, bytes, int, int]) -> _Shape:
    """Walk over a file and say where its blocks lie; ArchiveRefused says what it lies about."""
    head = window.read(0, _HEAD.size)
    if len(head) < _HEAD.size or not head.startswith(MAGIC):
        raise ArchiveRefused("it does not begin as an archive does")
    *found, count = _HEAD.unpack(head)
    for what, one, other in zip(("kind", *_OWNER), found, owner, strict=True):
        if one != other:
            raise ArchiveRefused(f"it is of another {what}")
    if head != _HEAD.pack(*owner, count):
        raise ArchiveRefused("its head has bytes that should be zero")
    if not 0 < count <= (window.size - _HEAD.size) // _bytes_of(0):
        raise ArchiveRefused(f"it cannot have {count} blocks in {window.size} bytes")
    marks: list[int] = []
    places: list[int] = []
    offset, before = _HEAD.size, first - 1
    for number in range(count):
        position, length = window.entry(offset, before)
        if number % _MARK_EVERY == 0:
            marks.append(position)
            places.append(offset)
        before = position
        offset += _bytes_of(length)
    if marks[0] != first:
        raise ArchiveRefused(f"it begins with block {marks[0]} and not {first}")
    if offset != window.size:
        raise ArchiveRefused(f"it has {window.size - offset} bytes behind its last block")
    return _Shape(
        window.identity, count, before, np.array(marks, np.int64), np.array(places, np.int64)
    )


def _walk(window: _Window, shape: _Shape, start: int = 0) -> Iterator[_Entry]:
    """Yield the entries of a file from position `start` on; ArchiveRefused if it has changed."""
    mark = max(0, int(np.searchsorted(shape.marks, start, "right")) - 1)
    offset, before = int(shape.places[mark]), int(shape.marks[mark]) - 1
    for _ in range(mark * _MARK_EVERY, shape.count):
        before, length = window.entry(offset, before)
        if before >= start:
            yield _Entry(before, window.content(offset, length))
        offset += _bytes_of(length)
