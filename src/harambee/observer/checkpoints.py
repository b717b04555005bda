"""Checkpoints as doors show them: whose word holds, which one is true, and its pages fetched and checked."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.handset.doors import DoorError
from harambee.ledger.pages import (
    PAGE_BYTES,
    Leaves,
    Section,
    digest_of,
    root_of_pages,
)
from harambee.observer.alarms import Alarms
from harambee.observer.block_log import BlockLog
from harambee.observer.sources import INDEX_ROW, INDEX_ROWS, Shown, Source
from harambee.protocol.checkpoint import Checkpoint, Word, Words, read_checkpoint, word_holds
from harambee.protocol.frame import FrameBroken, read_frame
from harambee.protocol.genesis import Genesis
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import digest_of as digest_of_block
from harambee.storage.checkpoint_store import CheckpointStore, Draft, Local, Stored

PAGES_AT_ONCE: Final = 4
"""So many pages are asked of one door at a time."""
IN_VAIN_MAX: Final = 3
"""So often all doors are asked in a row and none has a page that is missing."""


class NotFetchedError(Exception):
    """The checkpoint could not be had from these doors; one sentence."""


@dataclass(slots=True)
class Progress:
    """How far the fetching of pages is."""

    done: int = 0
    pages: int = 0


def hear(genesis: Genesis, source: Source, shown: Shown, alarms: Alarms) -> list[Word]:
    """Return the words that a door shows for a checkpoint and that hold; what does not rings an alarm."""
    committee = genesis.committee
    checkpoint = read_checkpoint(shown.document, genesis.network, committee)
    if isinstance(checkpoint, Malformed):
        sentence = f"{source.name} shows a checkpoint that is none: {checkpoint.why}."
        alarms.ring("words", source.index, source.name, sentence)
        return []
    found = []
    named = f"checkpoint {checkpoint.number} ({checkpoint.digest.hex()[:12]})"
    for signer, signature in shown.words:
        word = Word(checkpoint, signer, signature)
        if signer >= committee.n:
            what = f"signed by super-agent {signer}, whom this network does not have"
        elif not word_holds(word, committee):
            signed_by = committee.members[signer].name
            what = f"as signed by {signed_by}, and {signed_by} has not signed it"
        else:
            found.append(word)
            continue
        sentence = f"{source.name} shows {named} {what}."
        alarms.ring("words", source.index, source.name, sentence)
    return found


async def hear_all(
    genesis: Genesis, sources: Sequence[Source], alarms: Alarms, words: Words
) -> dict[bytes, list[Source]]:
    """Ask every door for its checkpoints, and take the words; who shows which, by digest."""
    asked = await asyncio.gather(*(s.checkpoints() for s in sources), return_exceptions=True)
    who: dict[bytes, list[Source]] = {}
    for source, answer in zip(sources, asked, strict=True):
        if isinstance(answer, DoorError):
            continue
        if isinstance(answer, BaseException):
            raise answer
        for shown in answer:
            held = hear(genesis, source, shown, alarms)
            for word in held:
                words.add(word)
            if held:
                who.setdefault(held[0].checkpoint.digest, []).append(source)
    return who


def ring_for_others(genesis: Genesis, words: Words, true: Checkpoint, alarms: Alarms) -> None:
    """Ring for everybody who has signed another state of a cut than the true one."""
    for word in words.against(true):
        name = genesis.committee.members[word.signer].name
        sentence = (
            f"{name} has signed another checkpoint {true.number} than the one that "
            f"{genesis.committee.w} or more super-agents have signed, of the same blocks."
        )
        alarms.ring("checkpoint", word.signer, name, sentence)


def newest_true(words: Words) -> Checkpoint | None:
    """The newest checkpoint that w super-agents have signed."""
    true = [checkpoint for checkpoint in words.all() if words.is_true(checkpoint.digest)]
    return max(true, key=lambda checkpoint: checkpoint.blocks, default=None)


@dataclass(slots=True)
class Fetching:
    """Fetches one checkpoint from several doors, page by page."""

    genesis: Genesis
    checkpoint: Checkpoint
    sources: list[Source]
    """Who shows it, without those that were found lying."""
    alarms: Alarms
    progress: Progress

    async def fetch(self, store: CheckpointStore, log: BlockLog, words: Sequence[Word]) -> Stored:
        """Return it as it is stored, with its open blocks in the log. NotFetchedError, OSError."""
        index = await self._index()
        self.progress.pages = len(index)
        writer = store.writer(None)
        frame = bytearray()
        for group in _groups(index):
            contents = await self._pages(group)
            writer.pages(np.ascontiguousarray(group["leaf"]), _giving(contents))
            if group[0]["leaf"]["section"] == Section.FRAME:
                frame += b"".join(contents)
        try:
            read = read_frame(bytes(frame), self.genesis.committee.n, self.genesis.committee.q)
        except FrameBroken as error:
            raise NotFetchedError(f"the checkpoint's frame cannot be read: {error}") from error
        for block in sorted(read.blocks, key=lambda block: (block.lane, block.height)):
            if digest_of_block(block.data) not in log:
                log.append(block.data)
        log.sync()
        stored = writer.finish(self.checkpoint, Draft(Local(log.count, [], 0)))
        stored.keep_words(words)
        return stored

    async def _index(self) -> npt.NDArray[np.void]:
        """The checkpoint's index, from the first door whose leads to what is signed."""
        for source in list(self.sources):
            try:
                index = await self._index_from(source)
            except DoorError:
                continue
            leaves = np.ascontiguousarray(index["leaf"])
            of_frame = leaves["section"] == Section.FRAME
            roots = root_of_pages(leaves[~of_frame]), root_of_pages(leaves[of_frame])
            if roots == (self.checkpoint.ledger_root, self.checkpoint.frame_root):
                return index
            self._drop(source, "an index that does not lead to what is signed")
        raise NotFetchedError("no super-agent shows the whole checkpoint")

    async def _index_from(self, source: Source) -> npt.NDArray[np.void]:
        wanted = self.checkpoint.ledger_pages + self.checkpoint.frame_pages
        parts = [np.zeros(0, INDEX_ROW)]
        count = 0
        while count < wanted:
            part = await source.pages(self.checkpoint.digest, count)
            if not len(part) or len(part) > INDEX_ROWS:
                break
            parts.append(part)
            count += len(part)
        return np.concatenate(parts)[:wanted]

    async def _pages(self, group: npt.NDArray[np.void]) -> list[bytes]:
        """The contents of some pages, from all doors at once, each checked when it comes."""
        contents: list[bytes | None] = [None] * len(group)
        wanted = list(range(len(group) - 1, -1, -1))
        in_vain = 0
        while wanted:
            if not self.sources or in_vain >= IN_VAIN_MAX:
                raise NotFetchedError("no super-agent shows all pages of the checkpoint")
            left: list[int] = []
            before = len(wanted), len(self.sources)
            work = [
                self._fetch_some(source, group, wanted, contents, left)
                for source in self.sources
                for _ in range(PAGES_AT_ONCE)
            ]
            await asyncio.gather(*work)
            wanted += left
            in_vain = in_vain + 1 if (len(wanted), len(self.sources)) == before else 0
        return [content for content in contents if content is not None]

    async def _fetch_some(
        self,
        source: Source,
        group: npt.NDArray[np.void],
        wanted: list[int],
        contents: list[bytes | None],
        left: list[int],
    ) -> None:
        """Fetch what is wanted from one door, as long as it serves what checks; the rest stays `left`."""
        while wanted and source in self.sources:
            at = wanted.pop()
            leaf = group[at]["leaf"]
            section, number = int(leaf["section"]), int(leaf["page"])
            try:
                content = await source.page(self.checkpoint.digest, section, number)
            except DoorError:
                content = None
            if content is None:
                left.append(at)
                return
            if len(content) > PAGE_BYTES or digest_of(content) != leaf["digest"].tobytes():
                left.append(at)
                self._drop(source, f"page {number} of section {section} that is not what is signed")
                return
            contents[at] = content
            self.progress.done += 1

    def _drop(self, source: Source, what: str) -> None:
        if source in self.sources:
            self.sources.remove(source)
            sentence = (
                f"{source.name} serves, of checkpoint {self.checkpoint.number} "
                f"({self.checkpoint.digest.hex()[:12]}), {what}."
            )
            self.alarms.ring("page", source.index, source.name, sentence)


def _groups(index: npt.NDArray[np.void]) -> Iterator[npt.NDArray[np.void]]:
    """Cut an index into parts that lie in one file each."""
    leaves: Leaves = index["leaf"]
    region = np.where(leaves["section"] == Section.ACCOUNTS, leaves["page"] >> 10, 0)
    files = leaves["section"].astype(np.int64) << 32 | region
    cuts = np.flatnonzero(np.diff(files)) + 1
    yield from np.split(index, cuts)


def _giving(contents: list[bytes]) -> Callable[[Leaves], Iterable[bytes]]:
    return lambda _leaves: contents
