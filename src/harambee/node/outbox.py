"""The adapter of the text port that ships: texts appended to a file, one JSON object a line.

Files are of a bounded size and number: the newest is `outbox.jsonl`, older ones `outbox.1.jsonl` and so
on. A line that a crash cut off is ended by the next writer and passed over by readers.
"""

import asyncio
import os
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from harambee.node.texts import Text, TextPortError
from harambee.texts.gsm import segments

FILE_BYTES_MAX: Final = 16 << 20
FILES_MAX: Final = 8
LINE_BYTES_MAX: Final = 4_096
PRIVATE: Final = 0o600


class OutboxLine(msgspec.Struct, frozen=True):
    """One text as the file has it."""

    time_ms: int
    account: int
    language: str
    kind: str
    receipt_code: str
    segments: int
    text: str


def file_of(folder: Path, age: int) -> Path:
    """Return the newest file of an outbox, age 0, or an older one."""
    return folder / ("outbox.jsonl" if age == 0 else f"outbox.{age}.jsonl")


class Outbox:
    """A folder of texts; writes in another thread, so that nothing waits for the disk."""

    def __init__(
        self, folder: Path, *, bytes_max: int = FILE_BYTES_MAX, files_max: int = FILES_MAX
    ) -> None:
        """`bytes_max` bounds one file, `files_max` their number; the folder is made when first used."""
        self._folder = folder
        self._bytes_max = bytes_max
        self._files_max = files_max

    async def send(self, texts: Sequence[Text]) -> None:
        """Append texts, durably; TextPortError where the disk does not take them."""
        try:
            await asyncio.to_thread(self._append, b"".join(map(_line, texts)))
        except OSError as error:
            raise TextPortError(
                f"the outbox {self._folder} cannot be written: {error.strerror}"
            ) from error

    def _append(self, lines: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        newest = file_of(self._folder, 0)
        if newest.exists() and newest.stat().st_size + len(lines) > self._bytes_max:
            self._rotate()
        descriptor = os.open(newest, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        with os.fdopen(descriptor, "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
                if file.read(1) != b"\n":
                    lines = b"\n" + lines
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())

    def _rotate(self) -> None:
        for age in range(self._files_max - 2, -1, -1):
            file = file_of(self._folder, age)
            if file.exists():
                file.replace(file_of(self._folder, age + 1))


def _line(text: Text) -> bytes:
    line = OutboxLine(
        text.time_ms,
        text.account,
        str(text.language),
        text.kind,
        text.receipt_code,
        segments(text.text),
        text.text,
    )
    return msgspec.json.encode(line) + b"\n"


class OutboxReader:
    """Reads an outbox from its end on, while somebody else may be writing it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._inode = -1
        self._offset = 0

    def newest(self, limit: int) -> list[OutboxLine]:
        """Return the newest `limit` texts, oldest first; `further` goes on from there."""
        found: list[OutboxLine] = []
        age = 0
        while len(found) < limit and file_of(self._folder, age).exists():
            lines = deque(self._read(age, 0), maxlen=limit - len(found))
            found = [*lines, *found]
            age += 1
        return found

    def further(self) -> list[OutboxLine]:
        """Return what was written since; after a rotation, the end of the old file too."""
        try:
            inode = file_of(self._folder, 0).stat().st_ino
        except FileNotFoundError:
            return []
        found: list[OutboxLine] = []
        if inode != self._inode:
            if self._inode >= 0 and self._was_rotated():
                found += self._read(1, self._offset)
            self._offset = 0
        return [*found, *self._read(0, self._offset)]

    def _was_rotated(self) -> bool:
        older = file_of(self._folder, 1)
        return older.exists() and older.stat().st_ino == self._inode

    def _read(self, age: int, offset: int) -> Iterator[OutboxLine]:
        with file_of(self._folder, age).open("rb") as file:
            file.seek(offset)
            while line := file.readline(LINE_BYTES_MAX):
                if not line.endswith(b"\n") and len(line) < LINE_BYTES_MAX:
                    break  # it is being written
                offset += len(line)
                try:
                    yield msgspec.json.decode(line, type=OutboxLine)
                except msgspec.DecodeError:
                    continue  # a crash cut it off
            if age == 0:
                self._inode = os.fstat(file.fileno()).st_ino
                self._offset = offset
