"""The blocks that an observer has taken, in the order in which it folded them, in plain files.

    blocks-000000000000     from this position on: length u32, block, BLAKE2b checksum of 16 bytes, each
    blocks-000000004711

What a crash has cut off at the end is taken again from doors. What a checkpoint covers is forgotten file by
file. One writes; others may read meanwhile what was there when they opened it.
"""

import bisect
import fcntl
import hashlib
import itertools
import os
import threading
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from harambee.crypto.durable_files import sync_folder
from harambee.protocol.effects import Name
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import BLOCK_BYTES_MAX, glance

FILE_BYTES: Final = 16 << 20
"""A file ends with the block that makes it so long."""
SIZE_BYTES: Final = 4
CHECKSUM_BYTES: Final = 16
PATTERN: Final = "blocks-[0-9]*"
LOCK_NAME: Final = "lock"


class LogError(Exception):
    """The observer's folder cannot be used; one sentence."""


class BlockLog:
    """Blocks by position. One thread appends, several may read."""

    def __init__(self, folder: Path, network: bytes, members: int) -> None:
        """Use `open`."""
        self.folder = folder
        self._network, self._members = network, members
        self._first = 0
        """The position of the first block that was here when it was opened."""
        self._starts: list[int] = []
        """The first position of each file, ascending."""
        self._offsets = array("Q")
        """Where each block lies in its file, from the first position on that is here."""
        self._sizes = array("L")
        self._positions: dict[bytes, int] = {}
        """By digest."""
        self._names: dict[tuple[int, int, int], bytes] = {}
        """The first digest of each id; another one beside it is a fork."""
        self._forked: set[int] = set()
        self._end = 0
        self._lock: int | None = None
        self._reading = threading.Lock()
        self._opened: tuple[int, int] | None = None
        """The file that is read: its first position and descriptor."""
        self._writing: int | None = None

    @classmethod
    def open(cls, folder: Path, network: bytes, members: int, *, to_read: bool = False) -> Self:
        """Open it; LogError where it is another network's, in use, or damaged."""
        log = cls(folder, network, members)
        if not to_read:
            log._take_folder()
        log._check_network(to_read=to_read)
        starts = sorted(int(file.name.split("-")[1]) for file in folder.glob(PATTERN))
        for place, start in enumerate(starts):
            log._scan(start, is_last=place == len(starts) - 1, to_read=to_read)
        return log

    def close(self) -> None:
        """End; what was appended is durable after `sync`."""
        for descriptor in (self._lock, self._writing, self._opened and self._opened[1]):
            if descriptor is not None:
                os.close(descriptor)
        self._lock = self._writing = self._opened = None

    def _take_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self.folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LogError(f"another observer works in {self.folder}") from error

    def _check_network(self, *, to_read: bool) -> None:
        file = self.folder / "network"
        try:
            if file.read_text().strip() != self._network.hex():
                raise LogError(f"{self.folder} is an observer's folder of another network")
        except FileNotFoundError as error:
            if to_read:
                sentence = f"there is no observer's folder {self.folder}: start `harambee observe`"
                raise LogError(sentence) from error
            file.write_text(self._network.hex() + "\n")

    def _scan(self, start: int, *, is_last: bool, to_read: bool) -> None:
        if self._starts and start != self.count:
            # Files in between were forgotten; what is behind them keeps its positions.
            missing = start - self.count
            if missing < 0:
                raise LogError(f"{self._file(start)} overlaps the file before it")
            self._offsets.extend([0] * missing)
            self._sizes.extend([0] * missing)
        elif not self._starts:
            self._first = start
        self._starts.append(start)
        at = 0
        content = self._file(start).read_bytes()
        while at < len(content):
            size = int.from_bytes(content[at : at + SIZE_BYTES], "little")
            end = at + SIZE_BYTES + size + CHECKSUM_BYTES
            block = content[at + SIZE_BYTES : end - CHECKSUM_BYTES]
            whole = size <= BLOCK_BYTES_MAX and end <= len(content)
            if not whole or content[end - CHECKSUM_BYTES : end] != _checksum(block):
                if not is_last:
                    raise LogError(f"{self._file(start)} is damaged: remove {self.folder}")
                if not to_read:
                    os.truncate(self._file(start), at)
                break
            self._note(block, at + SIZE_BYTES)
            at = end
        self._end = at

    def _note(self, block: bytes, offset: int) -> None:
        seen = glance(block, self._network, self._members)
        if isinstance(seen, Malformed):
            raise LogError(f"{self.folder} holds a block that is none: {seen.why}")
        position = self.count
        self._offsets.append(offset)
        self._sizes.append(len(block))
        self._positions[seen.digest] = position
        place = seen.author, seen.incarnation, seen.height
        if self._names.setdefault(place, seen.digest) != seen.digest:
            self._forked.add(seen.author)

    def _file(self, start: int) -> Path:
        return self.folder / f"blocks-{start:012}"

    # -- a BlockSource ------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """The next block's position."""
        return self._first + len(self._offsets)

    def read(self, position: int) -> bytes:
        """One block; LogError where it was forgotten or is damaged."""
        row = position - self._first
        if not 0 <= row < len(self._offsets) or not self._sizes[row]:
            raise LogError(f"{self.folder} does not hold block {position} any more")
        start = self._starts[bisect.bisect_right(self._starts, position) - 1]
        size = self._sizes[row] + CHECKSUM_BYTES
        with self._reading:
            if self._opened is None or self._opened[0] != start:
                if self._opened is not None:
                    os.close(self._opened[1])
                self._opened = start, os.open(self._file(start), os.O_RDONLY)
            content = os.pread(self._opened[1], size, self._offsets[row])
        block = content[:-CHECKSUM_BYTES]
        if content[-CHECKSUM_BYTES:] != _checksum(block):
            raise LogError(f"{self._file(start)} is damaged: remove {self.folder}")
        return block

    def blocks(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """All that are here from a position on, with their positions."""
        for position in range(max(start, self._first), self.count):
            if self._sizes[position - self._first]:
                yield position, self.read(position)

    def find_digest(self, name: Name) -> bytes | None:
        """Exactly this block, or None if it is not here."""
        position = self.position_of(name)
        return None if position is None else self.read(position)

    def position_of(self, name: Name) -> int | None:
        """Where exactly this block is, or None if nowhere."""
        return self._positions.get(name.digest)

    def __contains__(self, digest: bytes) -> bool:
        """Whether the block of this digest is here."""
        return digest in self._positions

    def forked(self) -> set[int]:
        """The authors of whom several blocks with one id are here."""
        return set(self._forked)

    # -- for the one that writes --------------------------------------------------------------------

    def append(self, block: bytes) -> int:
        """Add a block, which is durable after `sync`; returns its position. OSError."""
        if not self._starts or self._end >= FILE_BYTES:
            self._begin_file()
        if self._writing is None:
            self._writing = os.open(self._file(self._starts[-1]), os.O_WRONLY | os.O_APPEND)
        position = self.count
        record = len(block).to_bytes(SIZE_BYTES, "little") + block + _checksum(block)
        written = 0
        while written < len(record):
            written += os.write(self._writing, record[written:])
        self._note(block, self._end + SIZE_BYTES)
        self._end += len(record)
        return position

    def _begin_file(self) -> None:
        self.sync()
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None
        if not self._starts:
            self._first = 0
        self._starts.append(self.count)
        self._end = 0
        self._file(self.count).touch(mode=0o600)
        sync_folder(self.folder)

    def sync(self) -> None:
        """Make durable what was appended; OSError."""
        if self._writing is not None:
            os.fdatasync(self._writing)

    def clear(self) -> None:
        """Forget everything: what lies here belongs to a beginning that was broken off. OSError."""
        for descriptor in (self._writing, self._opened and self._opened[1]):
            if descriptor is not None:
                os.close(descriptor)
        self._writing = self._opened = None
        for start in self._starts:
            self._file(start).unlink()
        sync_folder(self.folder)
        self._first = self._end = 0
        self._starts, self._offsets, self._sizes = [], array("Q"), array("L")
        self._positions, self._names, self._forked = {}, {}, set()

    def forget(self, until: int, kept: set[int]) -> int:
        """Remove the files below a position that have none of these blocks; returns how many. OSError."""
        removed = 0
        for start, end in itertools.pairwise(list(self._starts)):
            if end > until or any(start <= position < end for position in kept):
                continue
            self._file(start).unlink()
            self._starts.remove(start)
            for position in range(start, end):
                self._sizes[position - self._first] = 0
            removed += 1
        if removed:
            here = {k: p for k, p in self._positions.items() if self._sizes[p - self._first]}
            self._names = {place: k for place, k in self._names.items() if k in here}
            self._positions = here
        return removed


def _checksum(block: bytes) -> bytes:
    return hashlib.blake2b(block, digest_size=CHECKSUM_BYTES).digest()
