"""How far a super-agent has sent its texts: one small file, written whole or not at all.

Entries are counted anew at every start, by a fold that puts a disputed order a little earlier or later
than it stood when it was live. So the file has, beside the count, the names of the newest entries: where
their blocks lie in the journal, which never changes.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from harambee.crypto.durable_files import replace_file

FORMAT: Final = 1
RECENT: Final = 2_048
"""How many entries are known by name. A restart begins so far back and passes over those."""
MARK: Final = np.dtype([("position", "<u8"), ("index", "<u4"), ("payee", "<u4")])
"""One entry's name: the rows of a payee table lie in one place and differ by whom they pay."""
FILE_BYTES_MAX: Final = 1 << 20


class CursorError(Exception):
    """The file cannot be read or written; the message is one sentence."""


class _Document(msgspec.Struct):
    format: int
    entries: int
    blocks: int
    recent: bytes


@dataclass
class TextCursor:
    """What was told. `entries` is the next entry to look at, in this process's count."""

    file: Path
    entries: int = 0
    recent: OrderedDict[bytes, None] = field(default_factory=OrderedDict)

    @classmethod
    def read(cls, file: Path, begins: int, entries: int, blocks: int) -> "TextCursor":
        """Return where to go on, in a ledger of so many entries over a journal of so many blocks.

        Without a file, texts begin with entry `begins`. With a file of a longer journal, this one was
        lost and is being read anew from the others: texts begin with it, and the courier passes over
        what is old. CursorError if the file is damaged.
        """
        try:
            if file.stat().st_size > FILE_BYTES_MAX:
                raise CursorError(f"{file} is too large to be a cursor")
            document = msgspec.json.decode(file.read_bytes(), type=_Document)
        except FileNotFoundError:
            return cls(file, begins)
        except (OSError, msgspec.DecodeError) as error:
            raise CursorError(f"{file} cannot be read: {error}") from error
        if document.format != FORMAT or len(document.recent) % MARK.itemsize:
            raise CursorError(f"{file} is of another version or damaged")
        if document.blocks > blocks:
            return cls(file, 0)
        marks = np.frombuffer(document.recent, MARK)
        recent = OrderedDict.fromkeys(mark.tobytes() for mark in marks)
        return cls(file, max(0, min(document.entries, entries) - RECENT), recent)

    def told(self, marks: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
        """Return which of these MARK (n,) were told, as far as they are recent."""
        return np.array([mark.tobytes() in self.recent for mark in marks], np.bool_)

    def advance(self, marks: npt.NDArray[np.void]) -> None:
        """Note that these next entries are done."""
        self.entries += len(marks)
        for mark in marks[-RECENT:]:
            self.recent[mark.tobytes()] = None
            self.recent.move_to_end(mark.tobytes())
        while len(self.recent) > RECENT:
            self.recent.popitem(last=False)

    def write(self, blocks: int) -> None:
        """Make it durable, beside a journal of so many blocks; CursorError if the disk does not take it."""
        document = _Document(FORMAT, self.entries, blocks, b"".join(self.recent))
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self.file, msgspec.json.encode(document))
        except OSError as error:
            raise CursorError(f"{self.file} cannot be written: {error.strerror}") from error


def marks_of(entries: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Return the MARK (n,) of ENTRY (n,)."""
    marks = np.zeros(len(entries), MARK)
    for name in ("position", "index", "payee"):
        marks[name] = entries[name]
    return marks
