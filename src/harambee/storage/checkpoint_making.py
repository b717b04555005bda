"""Making a checkpoint: the one before, and the journal's blocks up to a cut, folded and written.

It is done beside what runs, from the disk alone. A super-agent does it in a process of its own, so that
payments go on meanwhile, and what it signs was computed once more, from durable blocks and in other memory.
An observer does it to hold what others have signed against its own computation.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from harambee.ledger.ledger import Ledger
from harambee.ledger.pages import (
    PAGE_BYTES,
    PAGES_TOGETHER,
    Leaves,
    Section,
    cut_into_pages,
    leaves_of_parts,
    root_of_pages,
)
from harambee.protocol.checkpoint import Checkpoint
from harambee.protocol.cuts import Cut, Members, in_order, tips_of
from harambee.protocol.effects import Effects, Name
from harambee.protocol.fold import FOLDED_AT_ONCE, Fold
from harambee.protocol.frame import write_frame
from harambee.protocol.genesis import Genesis
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import Block, read_block
from harambee.storage.beginning import begin, fill, name_of_start
from harambee.storage.block_source import BlockSource
from harambee.storage.checkpoint_store import (
    NEWEST,
    CheckpointStore,
    Draft,
    Local,
    Stored,
)

PROGRESS_BLOCKS: Final = 4_096


class NotMade(Exception):  # noqa: N818 - what has happened
    """The checkpoint could not be made; one sentence."""


Progress = Callable[[str, int, int], None]
"""Hears what is done, how much of it, and of how much."""


def make(
    genesis: Genesis,
    journal: BlockSource,
    store: CheckpointStore,
    base: Stored | None,
    cut: Cut,
    progress: Progress,
    named: tuple[int, bytes] | None = None,
) -> Stored:
    """Make the checkpoint of a cut that contains the base's, and return it as it is stored.

    `named` are its number and the digest of the one before it, where these are not the base's successor's.
    Raises NotMade, CheckpointDamaged, JournalBroken, what the journal raises for a block that cannot be read,
    and OSError where it cannot be written.
    """
    ledger = Ledger(genesis.regions, genesis.tariffs, genesis.key_days)
    fill(ledger, genesis, base)
    fold = Fold(genesis.network, genesis.committee, ledger)
    begin(fold, journal, base)
    maker = _Maker(genesis, journal, base, fold, progress, named or name_of_start(base))
    local = maker.fold_up_to(cut)
    return maker.write(store, cut, local)


@dataclass(slots=True)
class _Maker:
    genesis: Genesis
    journal: BlockSource
    base: Stored | None
    fold: Fold
    progress: Progress
    named: tuple[int, bytes]
    entries_before: int = field(init=False)
    lanes_before: int = field(init=False)

    def __post_init__(self) -> None:
        """Note what the base has."""
        self.entries_before = self.fold.ledger.entry_count
        self.lanes_before = len(self.fold.chains.lanes)

    def fold_up_to(self, cut: Cut) -> Local:
        """Fold the blocks of the cut; returns which of the journal's are left."""
        members = Members(cut, self.journal.forked(), self._block_named, self.fold.covers)
        count = self.journal.count
        positions = self._positions(count)
        folded: set[int] = set()
        effects = Effects()
        for position, block in in_order(self._blocks(positions), members):
            self.fold.fold_one(position, block, effects)
            folded.add(position)
            if len(folded) % FOLDED_AT_ONCE == 0:
                self.fold.decide_everything(effects)
                effects = Effects()
            if len(folded) % PROGRESS_BLOCKS == 0:
                self.progress("fold", len(folded), count)
        self.fold.decide_everything(effects)
        chains = self.fold.chains
        if tips_of(chains, chains.heads.tolist()) != cut.tips:
            raise NotMade(
                "the cut does not contain the one of the checkpoint before, or the journal lacks some of it"
            )
        left = [position for position in positions if position not in folded]
        return Local(count, left, self.fold.ledger.entry_count)

    def _positions(self, count: int) -> list[int]:
        """The journal's positions that the base does not cover."""
        if self.base is None:
            return list(range(count))
        local = self.base.local
        return [*local.left, *range(local.until, count)]

    def _blocks(self, positions: list[int]) -> Iterator[tuple[int, Block]]:
        until = 0 if self.base is None else self.base.local.until
        for position in positions:
            if position < until:
                yield position, self._read(self.journal.read(position))
        end = positions[-1] + 1 if positions else until
        for position, data in self.journal.blocks(until):
            if position >= end:
                break
            yield position, self._read(data)

    def _read(self, data: bytes) -> Block:
        block = read_block(data, self.genesis.network, self.genesis.committee.n)
        if isinstance(block, Malformed):
            raise NotMade(f"the journal has a block that is none: {block.why}")
        return block

    def _block_named(self, name: Name) -> Block:
        data = self.journal.find_digest(name)
        if data is None:
            raise NotMade(f"the journal lacks block {name.height} of super-agent {name.author}")
        return self._read(data)

    def write(self, store: CheckpointStore, cut: Cut, local: Local) -> Stored:
        """Write everything, and put the document on top."""
        ledger, base = self.fold.ledger, self.base
        frame = write_frame(self.fold.frame(self.journal.read), self.lanes_before)
        frame_pages = list(cut_into_pages(frame))
        ledger_leaves, frame_leaves = ledger.leaves(), leaves_of_parts(Section.FRAME, frame_pages)
        writer = store.writer(base)
        writer.on_bytes = _counting(self.progress, len(ledger_leaves) * PAGE_BYTES)
        writer.pages(ledger_leaves, self._contents)
        contents = dict(frame_pages)
        writer.pages(frame_leaves, lambda some: (contents[int(leaf["page"])] for leaf in some))
        number, previous = self.named
        chains = self.fold.chains
        bases = np.array([lane.base for lane in chains.lanes])
        orders = ledger.entry_count - self.entries_before
        owed = sum(max(0, -int(ledger.accounts["balance"][bank])) for bank in ledger.issuers)
        checkpoint = Checkpoint(
            epoch=self.genesis.committee.epoch,
            network=self.genesis.network,
            number=number,
            previous=previous,
            anchor=cut.anchor,
            time_ms=self._block_named(cut.anchor).time_ms,
            cut=cut.digest(),
            blocks=int((chains.heads - bases).sum()),
            orders=orders + (0 if base is None else base.checkpoint.orders),
            accounts=ledger.account_count,
            aliases=len(ledger.aliases),
            in_circulation=owed,
            ledger_pages=len(ledger_leaves),
            frame_pages=len(frame_leaves),
            ledger_root=root_of_pages(ledger_leaves),
            frame_root=root_of_pages(frame_leaves),
        )
        accounts, entries = ledger.newest_entries()
        newest = np.zeros(len(accounts), NEWEST)
        newest["account"], newest["entry"] = accounts, entries
        draft = Draft(local, ledger.entries[self.entries_before :], newest)
        return writer.finish(checkpoint, draft)

    def _contents(self, leaves: Leaves) -> Iterator[bytes]:
        """The contents of some pages of the ledger, which are of one section."""
        ledger = self.fold.ledger
        match leaves[0]["section"]:
            case Section.ACCOUNTS:
                numbers = leaves["page"].astype(np.int64)
                for start in range(0, len(numbers), PAGES_TOGETHER):
                    for page in ledger.account_pages(numbers[start : start + PAGES_TOGETHER]):
                        yield page.tobytes()
            case Section.ALIASES:
                yield from (content for _, content in ledger.aliases.pages())
            case _:
                yield from (content for _, content in cut_into_pages(ledger.rest()))


def _counting(progress: Progress, total: int) -> Callable[[int], None]:
    written = 0

    def on_bytes(count: int) -> None:
        nonlocal written
        written += count
        progress("write", written, max(total, written))

    return on_bytes
