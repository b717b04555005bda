"""Checkpoints on disk: a folder for each, whole or not there at all.

    0000000012-5f0c…/       number, and how its digest begins
        document            the checkpoint as it is signed
        words               those who have signed it: signer u16, signature 64, for each
        index               an INDEX array: where each page lies, ascending by section and page
        accounts-0003       a region's pages, one after the other
        aliases, rest, frame
        entries-0-9041      this replica's own statement entries of these numbers, an ENTRY array
        newest              and whose newest they are, a NEWEST array
        local.json          where to go on in this replica's journal

Files that are as they were in the checkpoint before are hard links to that one's. Pages, document and words
are the same at every super-agent; entries, `newest` and `local.json` are this replica's own.

Whatever is read is held against the digests in the document, page by page: a flipped bit is found by who
reads it and never passed on.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Final, Self

import msgspec
import numpy as np
import numpy.typing as npt

from harambee.crypto.durable_files import replace_file, sync_folder
from harambee.ledger.image import Page
from harambee.ledger.pages import (
    PAGE_ACCOUNTS,
    PAGE_LEAF,
    Leaves,
    Section,
    digest_of,
    root_of_pages,
)
from harambee.ledger.records import ENTRY, POSITION_BITS
from harambee.protocol.account_proofs import Piece, piece_of
from harambee.protocol.checkpoint import (
    DOCUMENT_BYTES,
    Checkpoint,
    Word,
    read_checkpoint,
    word_holds,
)
from harambee.protocol.committee import Committee
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import SIGNATURE_BYTES

INDEX: Final = np.dtype([("leaf", PAGE_LEAF), ("length", "<u4"), ("offset", "<u8")])
NEWEST: Final = np.dtype([("account", "<u4"), ("entry", "<u8")])
"""An account and its newest statement entry plus one."""
PAGES_OF_REGION_BITS: Final = POSITION_BITS - 10
SYNC_BYTES: Final = 16 << 20
"""A checkpoint is written so much at a time: a disk that is busy with it still takes blocks in between."""
_SIGNER_BYTES: Final = 2
_WORD_BYTES: Final = _SIGNER_BYTES + SIGNATURE_BYTES

Index = npt.NDArray[np.void]


class CheckpointDamaged(Exception):  # noqa: N818 - what has happened, not whose error it is
    """A stored checkpoint is not what was written; one sentence."""


class Local(msgspec.Struct, forbid_unknown_fields=True):
    """What belongs to this replica's own journal."""

    until: int
    """All blocks of the journal below this position lie in the cut,"""
    left: list[int]
    """but for those at these positions, ascending."""
    entries: int
    """How many statement entries there are."""


@dataclass(frozen=True)
class Stored:
    """One checkpoint in its folder."""

    folder: Path
    checkpoint: Checkpoint

    @cached_property
    def index(self) -> Index:
        """Where the pages lie. CheckpointDamaged where that is not what was signed."""
        content = (self.folder / "index").read_bytes()
        if len(content) % INDEX.itemsize:
            raise CheckpointDamaged(f"{self.folder / 'index'} is damaged")
        index = np.frombuffer(content, INDEX)
        leaves = np.ascontiguousarray(index["leaf"])
        is_frame = leaves["section"] == Section.FRAME
        said = self.checkpoint
        if (root_of_pages(leaves[~is_frame]), root_of_pages(leaves[is_frame])) != (
            said.ledger_root,
            said.frame_root,
        ):
            raise CheckpointDamaged(f"{self.folder / 'index'} is damaged")
        return index

    @property
    def leaves(self) -> Leaves:
        """The leaves of its pages, ascending."""
        return np.ascontiguousarray(self.index["leaf"])

    @cached_property
    def local(self) -> Local:
        """Where to go on in the journal."""
        try:
            return msgspec.json.decode((self.folder / "local.json").read_bytes(), type=Local)
        except msgspec.DecodeError as error:
            raise CheckpointDamaged(f"{self.folder / 'local.json'} is damaged: {error}") from error

    def page(self, section: int, number: int) -> bytes | None:
        """Return the content of a page, or None if there is none; CheckpointDamaged if it is that."""
        leaves = self.index["leaf"]
        key = _order_of(leaves)
        at = int(np.searchsorted(key, section << 32 | number))
        if at == len(key) or key[at] != section << 32 | number:
            return None
        row = self.index[at]
        with (self.folder / _file_of(section, number)).open("rb") as file:
            return self._read(file, row)

    def piece(self, account: int) -> Piece | None:
        """Return an account's piece of its page, or None if there is no such page; CheckpointDamaged."""
        content = self.page(Section.ACCOUNTS, account // PAGE_ACCOUNTS)
        if content is None:
            return None
        leaves = self.leaves
        return piece_of(account, content, leaves[leaves["section"] != Section.FRAME])

    def pages(self, *, frame: bool) -> Iterator[Page]:
        """Yield the pages of the ledger, or of the frame, each held against its digest."""
        index = self.index
        of_frame = index["leaf"]["section"] == Section.FRAME
        opened: tuple[str, BinaryIO] | None = None
        try:
            for row in index[of_frame == frame]:
                section, number = int(row["leaf"]["section"]), int(row["leaf"]["page"])
                name = _file_of(section, number)
                if opened is None or opened[0] != name:
                    if opened is not None:
                        opened[1].close()
                    opened = name, (self.folder / name).open("rb")
                yield Page(section, number, self._read(opened[1], row))
        finally:
            if opened is not None:
                opened[1].close()

    def _read(self, file: BinaryIO, row: np.void) -> bytes:
        file.seek(int(row["offset"]))
        content = file.read(int(row["length"]))
        if digest_of(content) != row["leaf"]["digest"].tobytes():
            leaf = row["leaf"]
            raise CheckpointDamaged(
                f"page {int(leaf['page'])} of section {int(leaf['section'])} "
                f"of the checkpoint {self.folder} is damaged on the disk"
            )
        return content

    def frame(self) -> bytes:
        """Return the frame."""
        return b"".join(page.content for page in self.pages(frame=True))

    def entries(self) -> list[npt.NDArray[np.void]]:
        """Return the statement entries, ENTRY arrays one behind the other; read when they are looked at."""
        return [np.memmap(file, ENTRY, "r") for file in self.entry_files()]

    def entry_files(self) -> list[Path]:
        """The files of the statement entries, in their order."""
        files = list(self.folder.glob("entries-*"))
        return sorted(files, key=lambda file: int(file.name.split("-")[1]))

    def newest(self) -> npt.NDArray[np.void]:
        """Return whose newest entries are which, a NEWEST array."""
        return np.fromfile(self.folder / "newest", NEWEST)

    def words(self, committee: Committee) -> list[Word]:
        """Return who has signed it, as far as that is kept and holds."""
        try:
            content = (self.folder / "words").read_bytes()
        except FileNotFoundError:
            return []
        found = []
        for at in range(0, len(content) - _WORD_BYTES + 1, _WORD_BYTES):
            signer = int.from_bytes(content[at : at + _SIGNER_BYTES], "little")
            word = Word(self.checkpoint, signer, content[at + _SIGNER_BYTES : at + _WORD_BYTES])
            if signer < committee.n and word_holds(word, committee):
                found.append(word)
        return found

    def keep_words(self, words: Sequence[Word]) -> None:
        """Keep who has signed it, in the place of what was kept; OSError."""
        written = (word.signer.to_bytes(_SIGNER_BYTES, "little") + word.signature for word in words)
        replace_file(self.folder / "words", b"".join(written))


@dataclass(slots=True)
class Draft:
    """What a checkpoint is made of, before its document is known."""

    local: Local
    entries: npt.NDArray[np.void] = field(default_factory=lambda: np.zeros(0, ENTRY))
    """Those behind the entries of the checkpoint before."""
    newest: npt.NDArray[np.void] = field(default_factory=lambda: np.zeros(0, NEWEST))


class CheckpointStore:
    """All checkpoints of one super-agent."""

    def __init__(self, folder: Path, network: bytes, committee: Committee) -> None:
        """`folder` need not be there yet."""
        self.folder = folder
        self._network, self._committee = network, committee

    def all(self) -> list[Stored]:
        """Return those that are whole by their names and documents, oldest first."""
        found = []
        for folder in self.folder.glob("[0-9]*-*") if self.folder.is_dir() else ():
            try:
                content = (folder / "document").read_bytes()[: DOCUMENT_BYTES + 1]
            except OSError:
                continue
            checkpoint = read_checkpoint(content, self._network, self._committee)
            if not isinstance(checkpoint, Malformed) and folder.name == _name_of(checkpoint):
                found.append(Stored(folder, checkpoint))
        return sorted(found, key=lambda s: (s.checkpoint.number, s.checkpoint.digest))

    def find(self, digest: bytes) -> Stored | None:
        """Return the checkpoint with this digest, if it is here."""
        return next((s for s in self.all() if s.checkpoint.digest == digest), None)

    def remove(self, stored: Stored) -> None:
        """Take a checkpoint away: first its name, so that it is never there in part."""
        aside = self.folder / f".{stored.folder.name}.gone"
        stored.folder.rename(aside)
        shutil.rmtree(aside)

    def clean_up(self) -> None:
        """Take away what a crash has left half made or half removed."""
        for folder in self.folder.glob(".*") if self.folder.is_dir() else ():
            if folder.name != _aside_name():  # that is being written
                shutil.rmtree(folder, ignore_errors=True)

    def writer(self, base: Stored | None) -> "Writer":
        """Begin to write a checkpoint that follows another one."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Writer.begin(self.folder, base)


@dataclass
class Writer:
    """Writes one checkpoint beside the others; it appears when `finish` returns."""

    folder: Path
    aside: Path
    base: Stored | None
    on_bytes: Callable[[int], None] | None = None
    """Hears how many bytes were written or linked, after each piece."""
    _rows: list[Index] = field(default_factory=list)

    @classmethod
    def begin(cls, folder: Path, base: Stored | None) -> Self:
        """Make the folder aside."""
        aside = folder / _aside_name()
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700)
        return cls(folder, aside, base)

    def pages(self, leaves: Leaves, read: Callable[[Leaves], Iterable[bytes]]) -> None:
        """Write the pages of some leaves, ascending; `read` returns the contents of some of them.

        A file whose pages are all as they were in the base becomes a link to that one's.
        """
        before = np.zeros(0, INDEX) if self.base is None else self.base.index
        files, files_before = _files_of(leaves), _files_of(before["leaf"])
        for file in np.unique(files).tolist():
            some, there = leaves[files == file], before[files_before == file]
            name = _file_of(int(some[0]["section"]), int(some[0]["page"]))
            if np.ascontiguousarray(there["leaf"]).tobytes() == some.tobytes():
                assert self.base is not None, "it has these pages"
                os.link(self.base.folder / name, self.aside / name)
                self._rows.append(there)
                self._note(int(there["length"].sum()))
            else:
                self._rows.append(self._write(name, some, read(some)))

    def _write(self, name: str, leaves: Leaves, contents: Iterable[bytes]) -> Index:
        rows = np.zeros(len(leaves), INDEX)
        rows["leaf"] = leaves
        offset = synced = 0
        with (self.aside / name).open("wb") as file:
            for row, content in zip(rows, contents, strict=True):
                row["length"], row["offset"] = len(content), offset
                file.write(content)
                offset += len(content)
                if offset - synced >= SYNC_BYTES:
                    file.flush()
                    os.fdatasync(file.fileno())
                    self._note(offset - synced)
                    synced = offset
            file.flush()
            os.fsync(file.fileno())
        self._note(offset - synced)
        return rows

    def _note(self, count: int) -> None:
        if self.on_bytes is not None:
            self.on_bytes(count)

    def finish(self, checkpoint: Checkpoint, draft: Draft) -> Stored:
        """Write the rest, and give the folder its name; OSError."""
        before = [] if self.base is None else self.base.entry_files()
        for file in before:
            os.link(file, self.aside / file.name)
        start = 0 if self.base is None else self.base.local.entries
        if len(draft.entries):
            self._put(f"entries-{start}-{draft.local.entries}", draft.entries.tobytes())
        self._put("newest", draft.newest.tobytes())
        self._put("index", np.concatenate(self._rows).tobytes())
        self._put("local.json", msgspec.json.encode(draft.local))
        self._put("document", checkpoint.to_bytes())
        sync_folder(self.aside)
        place = self.folder / _name_of(checkpoint)
        if place.exists():
            shutil.rmtree(self.aside)
        else:
            self.aside.rename(place)
        sync_folder(self.folder)
        return Stored(place, checkpoint)

    def _put(self, name: str, content: bytes) -> None:
        with (self.aside / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _aside_name() -> str:
    return f".making-{os.getpid()}"


def _name_of(checkpoint: Checkpoint) -> str:
    return f"{checkpoint.number:010}-{checkpoint.digest.hex()[:16]}"


def _file_of(section: int, page: int) -> str:
    match section:
        case Section.ACCOUNTS:
            return f"accounts-{page >> PAGES_OF_REGION_BITS:04}"
        case Section.ALIASES:
            return "aliases"
        case Section.REST:
            return "rest"
    return "frame"


def _order_of(leaves: Leaves) -> npt.NDArray[np.int64]:
    order: npt.NDArray[np.int64] = leaves["section"].astype(np.int64) << 32 | leaves["page"]
    return order


def _files_of(leaves: Leaves) -> npt.NDArray[np.int64]:
    """Return a number for the file of each page, ascending as pages do."""
    region = np.where(leaves["section"] == Section.ACCOUNTS, leaves["page"], 0)
    files: npt.NDArray[np.int64] = _order_of(leaves) >> 32 << 32 | region >> PAGES_OF_REGION_BITS
    return files
