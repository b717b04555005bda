"""Fetching a checkpoint's pages before a super-agent begins that has little, or was gone for long.

`protocol/page_catchup.py` decides everything; here are the disk, the clock and the log. Pages are kept as
they come in one file, `fetched` in the folder of checkpoints, so an interruption costs nothing. When all are
there, they become a checkpoint as if it had been made here, and the blocks that its frame names stand in the
journal. Then the super-agent begins at it as at any other.
"""

import logging
import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

import numpy as np
import numpy.typing as npt

from harambee.crypto.durable_files import replace_file
from harambee.ledger.pages import Leaves, Section, digest_of
from harambee.node.journal import Journal, JournalPruned
from harambee.protocol.chains import Chains
from harambee.protocol.checkpoint import Checkpoint
from harambee.protocol.effects import Name, Outgoing
from harambee.protocol.frame import FrameBroken, OpenBlock, read_frame
from harambee.protocol.genesis import Genesis
from harambee.protocol.limits import SECOND_NS
from harambee.protocol.malformed import Malformed
from harambee.protocol.messages import Message, PeerUp
from harambee.protocol.page_catchup import PageCatchUp, Progress, Step
from harambee.protocol.page_landing import blocks_left, is_own_disk_whole
from harambee.protocol.page_wire import PAGE_CONTENT_MAX
from harambee.protocol.wire import HEAD_BYTES, INCARNATIONS_MAX, Block, read_block
from harambee.storage.checkpoint_store import (
    CheckpointDamaged,
    CheckpointStore,
    Draft,
    Local,
    Stored,
)

FETCHED: Final = "fetched"
"""The file of pages that belong to no whole checkpoint yet: length u32, content, again and again."""
ONLY_PAGES: Final = "only-pages"
"""A file that says: the blocks that are missing here could not be had. The next start looks for pages."""
GONE_S: Final = 60
"""Whose newest block is older than this, asks for checkpoints before it begins."""
TOLD_EVERY_NS: Final = 3 * SECOND_NS
MEGABYTE: Final = 1_000_000
_LENGTH: Final = struct.Struct("<I")

log: Final = logging.getLogger(__name__)


class FetchedPages:
    """Pages in one file, found by their digests; whatever was torn or changed on the disk is not found."""

    def __init__(self, file: Path) -> None:
        """Read what an interrupted fetch has left there; OSError."""
        self._path = file
        self._places: dict[bytes, tuple[int, int]] = {}
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file: BinaryIO = os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        end = 0
        while len(head := self._file.read(_LENGTH.size)) == _LENGTH.size:
            (length,) = _LENGTH.unpack(head)
            content = self._file.read(length) if 0 < length <= PAGE_CONTENT_MAX else b""
            if not content or len(content) != length:
                break
            self._places[digest_of(content)] = end + _LENGTH.size, length
            end += _LENGTH.size + length
        self._file.seek(end)
        self._file.truncate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._places

    def add(self, content: bytes) -> None:
        """Keep a page; OSError."""
        at = self._file.seek(0, os.SEEK_END)
        self._file.write(_LENGTH.pack(len(content)) + content)
        self._places[digest_of(content)] = at + _LENGTH.size, len(content)

    def read(self, digest: bytes) -> bytes | None:
        """Return a page, or None if it is not here, or not any more."""
        place = self._places.get(digest)
        if place is None:
            return None
        self._file.seek(place[0])
        content = self._file.read(place[1])
        if digest_of(content) != digest:
            del self._places[digest]
            return None
        return content

    def remove(self) -> None:
        """Take the file away: its pages are part of a checkpoint now."""
        self._file.close()
        self._path.unlink(missing_ok=True)


@dataclass(slots=True)
class Shelf:
    """The pages that lie on this disk: those that were fetched, and those of older checkpoints."""

    fetched: FetchedPages
    older: list[Stored]
    _in_older: dict[bytes, tuple[Stored, int, int]] = field(default_factory=dict)
    _lost: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Note what older checkpoints have."""
        for stored in self.older:
            with suppress(CheckpointDamaged, OSError):
                for leaf in stored.leaves:
                    place = stored, int(leaf["section"]), int(leaf["page"])
                    self._in_older[leaf["digest"].tobytes()] = place

    def has(self, leaves: Leaves) -> npt.NDArray[np.bool_]:
        """Which of these pages are here, (k,)."""
        digests = (leaf["digest"].tobytes() for leaf in leaves)
        return np.array([self._has(digest) for digest in digests], np.bool_)

    def _has(self, digest: bytes) -> bool:
        return digest in self.fetched or (digest in self._in_older and digest not in self._lost)

    def read(self, leaves: Leaves) -> Iterator[bytes]:
        """Yield the contents of these pages; PageLost at one that the disk has not kept."""
        for leaf in leaves:
            digest = leaf["digest"].tobytes()
            content = self.fetched.read(digest)
            if content is None and digest in self._in_older:
                stored, section, page = self._in_older[digest]
                with suppress(CheckpointDamaged, OSError):
                    content = stored.page(section, page)
            if content is None:
                self._lost.add(digest)
                raise PageLost
            yield content


class PageLost(Exception):  # noqa: N818 - what has happened
    """A page was here, and cannot be read back: it has to be fetched again."""


class NotUsed(Exception):  # noqa: N818 - what has happened
    """The pages are no way to begin here; one sentence."""


@dataclass
class PageFetch:
    """One super-agent's way to a checkpoint that others have."""

    genesis: Genesis
    index: int
    journal: Journal
    folder: Path
    """Of checkpoints."""
    hear: Callable[[float], Message | None]
    """Waits so many seconds for a message; raises where it is time to stop."""
    say: Callable[[Outgoing], None]
    report: Callable[[dict[str, Any] | None], None]
    """Hears how far it is, for the status."""
    now: Callable[[], int] = time.time_ns
    lied: dict[int, str] = field(default_factory=dict)
    """Who sent what nobody honest sends."""
    _told_at: int = 0
    _told_bytes: int = 0

    def is_called_for(self) -> bool:
        """Whether there is so little here, or so old, that the others are asked for a checkpoint first."""
        if self.genesis.committee.n == 1:
            return False
        if not self.journal.count or self.journal.re_entering or self._only_pages:
            return True
        return self.now() - self._newest_ns() > GONE_S * SECOND_NS

    def _newest_ns(self) -> int:
        """When the journal's newest block was made, by its author's clock; now where that cannot be read."""
        try:
            block = self.journal.read(self.journal.count - 1)
        except JournalPruned:
            return 0
        seen = read_block(block, self.genesis.network, self.genesis.committee.n)
        return 0 if isinstance(seen, Malformed) else seen.time_ms * 1_000_000

    @property
    def _only_pages(self) -> bool:
        return (self.folder / ONLY_PAGES).exists()

    def run(self, linked: Iterable[int]) -> Stored | None:
        """Fetch the newest checkpoint that is worth it; None where blocks are the way.

        `linked` are the peers whose links stand. Raises JournalDamaged where a block of one's own that is
        needed is that, JournalFull or OSError where the disk does not take it.
        """
        committee = self.genesis.committee
        store = CheckpointStore(self.folder, self.genesis.network, committee)
        older = store.all()[::-1]
        only_pages = self._only_pages
        with FetchedPages(self.folder / FETCHED) as fetched:
            shelf = Shelf(fetched, older)
            catch_up = PageCatchUp(
                self.genesis.network, committee, self._blocks(older), only_pages=only_pages
            )
            while True:
                whole = self._fetch(catch_up, shelf, [*linked])
                if whole is None:
                    break
                try:
                    stored = self._land(store, catch_up, whole, shelf)
                except PageLost:
                    log.warning("a page that lay here is damaged; it is fetched again")
                    catch_up.begin_again()
                    linked = ()
                    continue
                except (NotUsed, FrameBroken) as why:
                    log.error("checkpoint %d is no way to begin here: %s", whole.number, why)  # noqa: TRY400
                    break
                fetched.remove()
                (self.folder / ONLY_PAGES).unlink(missing_ok=True)
                self.report(None)
                return stored
        (self.folder / ONLY_PAGES).unlink(missing_ok=True)
        self.report(None)
        return None

    def _blocks(self, older: list[Stored]) -> int:
        """How many blocks of the history lie here, as blocks or in a checkpoint."""
        for stored in older:
            with suppress(CheckpointDamaged, OSError):
                behind = self.journal.count - stored.local.until
                return stored.checkpoint.blocks + len(stored.local.left) + behind
        return self.journal.count

    # -- fetching ---------------------------------------------------------------------------------

    def _fetch(self, catch_up: PageCatchUp, shelf: Shelf, linked: list[int]) -> Checkpoint | None:
        """Let everything come; returns the checkpoint whose pages all lie here."""
        step = catch_up.act(self.now())
        for peer in linked:
            step.extend(catch_up.receive(PeerUp(peer), self.now()))
        while True:
            self._do(step, catch_up, shelf)
            if step.compare is not None:
                step = catch_up.found(shelf.has(step.compare), self.now())
                continue
            if step.whole is not None:
                return step.whole
            if step.by_blocks:
                return None
            wait_ns = SECOND_NS if step.wake_at is None else step.wake_at - self.now()
            message = self.hear(min(max(wait_ns, 0), SECOND_NS) / SECOND_NS)
            now = self.now()
            step = catch_up.act(now) if message is None else catch_up.receive(message, now)

    def _do(self, step: Step, catch_up: PageCatchUp, shelf: Shelf) -> None:
        for page in step.keep:
            shelf.fetched.add(page.content)
        for lied in step.lied:
            self.lied[lied.peer] = lied.what
            log.error("%s has sent %s; it is asked nothing more", self._name(lied.peer), lied.what)
        for outgoing in step.send:
            self.say(outgoing)
        if catch_up.target is not None:
            self._tell(catch_up.progress, catch_up.target)

    def _tell(self, progress: Progress, target: Checkpoint) -> None:
        """Say how far it is: in the status always, in the log every few seconds."""
        sources = {self._name(peer): pages for peer, pages in sorted(progress.fetched.items())}
        self.report(
            {
                "checkpoint": target.number,
                "pages": progress.pages,
                "of": progress.of,
                "bytes": progress.bytes,
                "of_bytes": progress.of_bytes,
                "from": sources,
                "liars": [self._name(peer) for peer in sorted(self.lied)],
            }
        )
        now = self.now()
        since = now - self._told_at
        if 0 <= since < TOLD_EVERY_NS and progress.pages < progress.of:
            return
        if self._told_at and progress.bytes > self._told_bytes:
            rate = (progress.bytes - self._told_bytes) * SECOND_NS / max(1, since) / MEGABYTE
            log.info(
                "fetched %d of %d pages of checkpoint %d (%d%%), %.1f MB/s, from %d peers",
                progress.pages,
                progress.of,
                target.number,
                100 * progress.pages // max(1, progress.of),
                rate,
                len(sources),
            )
        self._told_at, self._told_bytes = now, progress.bytes

    def _name(self, peer: int) -> str:
        return self.genesis.committee.members[peer].name

    # -- landing ----------------------------------------------------------------------------------

    def _land(
        self, store: CheckpointStore, catch_up: PageCatchUp, checkpoint: Checkpoint, shelf: Shelf
    ) -> Stored:
        """Make a checkpoint of the pages, as if it had been made here; NotUsed, FrameBroken, PageLost."""
        committee = self.genesis.committee
        leaves = np.ascontiguousarray(catch_up.rows()["leaf"])
        of_frame = leaves["section"] == Section.FRAME
        frame = read_frame(b"".join(shelf.read(leaves[of_frame])), committee.n, committee.q)
        left, lost = blocks_left(frame.chains, self._outside(frame.chains))
        if not self.journal.re_entering and not is_own_disk_whole(
            frame.chains, self.index, self._holds, lost
        ):
            raise NotUsed("it has blocks of this super-agent that lie not in its own journal")
        self._append_missing(frame.chains, frame.blocks)
        writer = store.writer(None)
        writer.pages(leaves[~of_frame], shelf.read)
        writer.pages(leaves[of_frame], shelf.read)
        stored = writer.finish(checkpoint, Draft(Local(self.journal.count, left, 0)))
        stored.keep_words(catch_up.words.for_(checkpoint.digest))
        log.info(
            "checkpoint %d is here: %d accounts, %d orders; %d blocks of this journal lie outside of it",
            checkpoint.number,
            checkpoint.accounts,
            checkpoint.orders,
            len(left),
        )
        return stored

    def _holds(self, name: Name) -> bool:
        return self.journal.position_of(name) is not None

    def _outside(self, chains: Chains) -> Iterator[tuple[int, Block]]:
        """Yield (position, block) of the journal's blocks that may lie outside of the cut, in its order."""
        forked = self.journal.forked() | chains.several
        positions: list[int] = []
        for author in range(self.genesis.committee.n):
            for incarnation in range(INCARNATIONS_MAX):
                height = 0
                if author not in forked:
                    heads = [
                        int(chains.heads[lane])
                        for lane in chains.lanes_of[author]
                        if chains.lanes[lane].incarnation == incarnation
                    ]
                    height = max(heads, default=0)
                positions += self.journal.above(author, incarnation, height)
        for position in sorted(positions):
            try:
                data = self.journal.read(position)
            except JournalPruned:
                continue  # what was pruned lay in a cut that every later one has
            block = read_block(data, self.genesis.network, self.genesis.committee.n)
            if not isinstance(block, Malformed):
                yield position, block

    def _append_missing(self, chains: Chains, blocks: Iterable[OpenBlock]) -> None:
        """Let the frame's blocks stand in the journal, where a start looks them up."""
        missing = []
        for at in blocks:
            about = chains.lanes[at.lane]
            if len(at.data) < HEAD_BYTES:
                raise FrameBroken("an open block of the frame is none")
            block = read_block(at.data, self.genesis.network, self.genesis.committee.n)
            if isinstance(block, Malformed) or (block.author, block.height) != (
                about.author,
                at.height,
            ):
                raise FrameBroken("an open block of the frame is none")
            name = Name(block.author, block.incarnation, block.height, block.digest)
            if not self._holds(name):
                missing.append(at.data)
        self.journal.append(missing)


def look_for_pages_next_time(folder: Path) -> None:
    """Let the next start fetch pages, because the blocks that are missing cannot be had; OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(folder / ONLY_PAGES, b"the blocks that are missing here could not be had\n")
