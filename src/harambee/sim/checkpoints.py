"""Checkpoints of simulated super-agents, and catch-up by their pages, where a story says `checkpoints_every`.

Made by the same functions as on a real machine, but at once and in memory. Super-agents take turns to choose
a cut; whoever hears of it makes the same from its own disk, and signs. Who begins with an empty disk asks for
pages first, by the state machine that ships.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from harambee.ledger.image import Page, load, pages_of
from harambee.ledger.pages import (
    Leaves,
    Section,
    cut_into_pages,
    digest_of,
    leaves_of_parts,
    root_of_pages,
)
from harambee.protocol.checkpoint import Checkpoint, Words, read_word, sign_checkpoint
from harambee.protocol.cuts import Cut, Members, cut_below, in_order, tips_of
from harambee.protocol.effects import EVERYONE, AskIndex, AskPages, AskWords, Effects, Name
from harambee.protocol.fold import Fold
from harambee.protocol.frame import read_frame, write_frame
from harambee.protocol.malformed import Malformed
from harambee.protocol.messages import (
    IndexArrived,
    Message,
    PageArrived,
    PeerDown,
    PeerUp,
    WordArrived,
    WordsTold,
)
from harambee.protocol.page_catchup import PageCatchUp, Step
from harambee.protocol.page_landing import blocks_left
from harambee.protocol.page_wire import INDEX_ROW, IndexRows, index_rows, parts_of
from harambee.protocol.wire import NO_DIGEST, Block

if TYPE_CHECKING:
    from harambee.sim.machine import Machine

LOOK_NS: Final = 250_000_000
"""How often a super-agent looks whether there is a checkpoint to be made."""
SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """`peer` asks for words, a part of an index, or pages."""

    peer: int
    what: AskWords | AskIndex | AskPages


@dataclass(frozen=True, slots=True)
class Kept:
    """One checkpoint, as one machine has it."""

    checkpoint: Checkpoint
    pages: dict[tuple[int, int], bytes]
    rows: IndexRows
    lanes: int
    until: int
    """All blocks of this machine's disk below this position lie in the cut,"""
    left: tuple[int, ...]
    """but for those at these positions."""

    def ledger_pages(self) -> Iterator[Page]:
        """Yield the ledger's pages in their order."""
        for (section, number), content in self.pages.items():
            if section != Section.FRAME:
                yield Page(section, number, content)

    def frame(self) -> bytes:
        """Return the frame."""
        return b"".join(self.pages[place] for place in self.pages if place[0] == Section.FRAME)


class CheckpointKeeper:
    """What one machine does about checkpoints: makes them in turn, signs what it finds too, serves."""

    def __init__(self, machine: "Machine") -> None:
        """There is none."""
        self._machine = machine
        self._town = machine.world.town
        self.kept: dict[bytes, Kept] = {}
        self.words = Words.of(self._town.committee)
        self.began_at: Kept | None = None
        """Where its disk begins, if the blocks below came as pages."""
        self._chosen: Cut | None = None
        """One's own cut, in one's turn, until all of it is durable."""
        every = machine.world.story.checkpoints_every
        self._every_ns = int(every * SECOND_NS)
        if self._every_ns:
            machine.world.later(machine.world.now + LOOK_NS, self._look)

    def wipe(self) -> None:
        """The disk is empty."""
        self.kept.clear()
        self.began_at = self._chosen = None
        self.words = Words.of(self._town.committee)

    def _look(self) -> None:
        """Make what is due: what others have signed, or one of one's own where it is one's turn."""
        world, machine = self._machine.world, self._machine
        world.later(world.now + LOOK_NS, self._look)
        if not machine.serves or not machine.is_back or machine.damaged:
            return
        for theirs in self.words.all():
            is_first = theirs.previous == NO_DIGEST
            if theirs.digest not in self.kept and (is_first or theirs.previous in self.kept):
                self._make_the_same(theirs)
        newest = max(self.kept.values(), key=lambda k: k.checkpoint.number, default=None)
        number = 1 if newest is None else newest.checkpoint.number + 1
        turn = world.now // self._every_ns
        began = world.now % self._every_ns < LOOK_NS
        if any(checkpoint.number >= number for checkpoint in self.words.all()):
            self._chosen = None
        elif began and turn % len(world.machines) == machine.index and machine.replica.height:
            self._chosen = cut_below(machine.replica.chains, machine.replica.own_head)
        mine = None if self._chosen is None else self._make(newest, self._chosen)
        if mine is not None:
            self._chosen = None
            self._keep_and_tell(mine)

    def _make_the_same(self, theirs: Checkpoint) -> None:
        cut = cut_below(self._machine.replica.chains, theirs.anchor)
        if cut is None or cut.digest() != theirs.cut:
            return
        mine = self._make(self.kept.get(theirs.previous), cut)
        if mine is None:
            return
        assert mine.checkpoint == theirs or self._is_lie(theirs), "a cut has one state"
        if mine.checkpoint == theirs:
            self._keep_and_tell(mine)

    def _is_lie(self, theirs: Checkpoint) -> bool:
        signers = {word.signer for word in self.words.for_(theirs.digest)}
        return not any(self._machine.world.machines[signer].honest for signer in signers)

    def _keep_and_tell(self, mine: Kept) -> None:
        machine = self._machine
        self.kept[mine.checkpoint.digest] = mine
        word = sign_checkpoint(mine.checkpoint, machine.index, self._town.keys[machine.index])
        self.words.add(word)
        machine.world.marks.hit("a checkpoint was signed")
        for peer in range(machine.world.story.super_agents):
            if peer != machine.index:
                machine.world.travel(
                    machine.index, peer, WordArrived(machine.index, word.to_bytes())
                )

    def hear(self, message: WordArrived) -> None:
        """Take a word, if it is one."""
        word = read_word(message.content, self._town.network, self._town.committee)
        if not isinstance(word, Malformed):
            self.words.add(word)

    # -- making -----------------------------------------------------------------------------------

    def begin(self, fold: Fold, base: Kept) -> None:
        """Let a fold, whose ledger is that of a checkpoint, go on from there."""
        frame = read_frame(base.frame(), self._town.committee.n, self._town.committee.q)
        fold.begin_at(frame, self._position_of, base.until)

    def _position_of(self, name: Name) -> int:
        position = self._machine.disk.with_digest(name.digest)
        assert position is not None, "the blocks of a frame were made durable before it"
        return position

    def blocks(self, base: Kept | None) -> Iterator[tuple[int, bytes]]:
        """Yield (position, block) of the disk's blocks that a checkpoint does not cover."""
        disk = self._machine.disk
        if base is not None:
            for position in base.left:
                yield position, disk[position]
        for position in range(0 if base is None else base.until, len(disk)):
            yield position, disk[position]

    def _read(self, data: bytes) -> Block:
        block = self._machine.world.checking.read(data)
        assert isinstance(block, Block), "it was read before"
        return block

    def _make(self, base: Kept | None, cut: Cut) -> Kept | None:
        """Make the checkpoint of a cut; None where not all of it is durable here yet."""
        machine, town = self._machine, self._town
        ledger = town.ledger() if base is None else town.empty_ledger()
        ledger.original_at = machine.order_at
        if base is not None:
            load(ledger, base.ledger_pages())
        fold = Fold(town.network, town.committee, ledger, machine.world.checking)
        if base is not None:
            self.begin(fold, base)

        def block_named(name: Name) -> Block:
            return self._read(machine.disk[self._position_of(name)])

        def is_here(tip: Name) -> bool:
            return fold.covers(tip) or machine.disk.with_digest(tip.digest) is not None

        if not all(map(is_here, cut.tips)):
            return None
        members = Members(cut, machine.disk.forked(), block_named, fold.covers)
        all_blocks = list(self.blocks(base))
        effects, folded = Effects(), set()
        blocks = ((position, self._read(data)) for position, data in all_blocks)
        for position, block in in_order(blocks, members):
            fold.fold_one(position, block, effects)
            folded.add(position)
        fold.decide_everything(effects)
        if tips_of(fold.chains, fold.chains.heads.tolist()) != cut.tips:
            return None  # it does not contain the one before
        before = town.committee.n if base is None else base.lanes
        frame = write_frame(fold.frame(machine.disk.__getitem__), before)
        frame_pages = list(cut_into_pages(frame))
        pages = {(page.section, page.number): page.content for page in pages_of(ledger)}
        pages |= {(int(Section.FRAME), number): content for number, content in frame_pages}
        of_ledger, of_frame = ledger.leaves(), leaves_of_parts(Section.FRAME, frame_pages)
        leaves = np.concatenate([of_ledger, of_frame])
        orders = 0 if base is None else base.checkpoint.orders
        checkpoint = Checkpoint(
            epoch=town.committee.epoch,
            network=town.network,
            number=1 if base is None else base.checkpoint.number + 1,
            previous=NO_DIGEST if base is None else base.checkpoint.digest,
            anchor=cut.anchor,
            time_ms=0,
            cut=cut.digest(),
            blocks=fold.blocks_held,
            orders=orders + ledger.entry_count,
            accounts=ledger.account_count,
            aliases=len(ledger.aliases),
            in_circulation=sum(
                max(0, -int(ledger.accounts["balance"][bank])) for bank in ledger.issuers
            ),
            ledger_pages=len(of_ledger),
            frame_pages=len(of_frame),
            ledger_root=root_of_pages(of_ledger),
            frame_root=root_of_pages(of_frame),
        )
        lengths = np.array([len(content) for content in pages.values()])
        left = tuple(position for position, _ in all_blocks if position not in folded)
        return Kept(
            checkpoint,
            pages,
            index_rows(leaves, lengths),
            len(fold.chains.lanes),
            len(machine.disk),
            left,
        )

    # -- serving ----------------------------------------------------------------------------------

    def answer(self, asked: Asked) -> list[Message]:
        """What it sends to who asks."""
        me = self._machine.index
        match asked.what:
            case AskWords():
                told = self._machine.words_told()
                return [*(WordArrived(me, content) for content in told), WordsTold(me)]
            case AskIndex(_, name, part):
                rows = self._machine.index_served(name)
                parts = 0 if rows is None else parts_of(len(rows))
                found = np.zeros(0, INDEX_ROW) if rows is None else rows
                return [IndexArrived(me, name, part, parts, found)]
            case AskPages(_, name, pages):
                contents = [self._machine.page_served(name, place) for place in pages]
                return [
                    PageArrived(me, name, *place, content)
                    for place, content in zip(pages, contents, strict=True)
                    if content is not None
                ]

    def newest_words(self) -> list[bytes]:
        """Every word for the newest checkpoint that enough have signed."""
        true = [c for c in self.words.all() if self.words.is_true(c.digest)]
        return [word.to_bytes() for word in self.words.for_(true[-1].digest)] if true else []


@dataclass
class Fetching:
    """What a machine knows while it fetches pages, before its replica begins."""

    machine: "Machine"
    catch_up: PageCatchUp
    is_done: Callable[[], None]
    up: dict[int, None] = field(default_factory=dict)
    _pages: dict[bytes, bytes] = field(default_factory=dict)

    def receive(self, message: Message) -> None:
        """Something comes."""
        match message:
            case PeerUp(peer):
                self.up[peer] = None
            case PeerDown(peer):
                self.up.pop(peer, None)
        self._do(self.catch_up.receive(message, self.machine.now))

    def wake(self, life: int) -> None:
        """Time has passed."""
        if life == self.machine.life and self.machine.fetching is self:
            self._do(self.catch_up.act(self.machine.now))

    def _do(self, step: Step) -> None:
        machine, world = self.machine, self.machine.world
        for page in step.keep:
            self._pages[digest_of(page.content)] = page.content
        for lied in step.lied:
            world.marks.hit("a page server was found lying")
            world.auditor.accused(
                machine.index, lied.peer, is_honest=world.machines[lied.peer].honest
            )
        for asked in step.send:
            peers = range(world.story.super_agents) if asked.peer == EVERYONE else [asked.peer]
            for peer in peers:
                if peer != machine.index and isinstance(asked, AskWords | AskIndex | AskPages):
                    world.travel(machine.index, peer, Asked(machine.index, asked))
        if step.compare is not None:
            self._do(self.catch_up.found(self._here(step.compare), machine.now))
        elif step.whole is not None:
            self._land(step.whole)
            self.is_done()
        elif step.by_blocks:
            self.is_done()
        elif step.wake_at is not None:
            delay = max(1, step.wake_at - machine.now)
            world.later(world.now + delay, self.wake, machine.life)

    def _here(self, leaves: Leaves) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        return np.array([leaf["digest"].tobytes() in self._pages for leaf in leaves], np.bool_)

    def _land(self, checkpoint: Checkpoint) -> None:
        """Let the frame's blocks stand on the disk, and keep the checkpoint as where the disk begins."""
        machine, town = self.machine, self.machine.world.town
        rows = self.catch_up.rows()
        pages = {
            (int(leaf["section"]), int(leaf["page"])): self._pages[leaf["digest"].tobytes()]
            for leaf in rows["leaf"]
        }
        content = b"".join(pages[place] for place in pages if place[0] == Section.FRAME)
        frame = read_frame(content, town.committee.n, town.committee.q)
        held = ((at, machine.world.checking.read(data)) for at, data in enumerate(machine.disk))
        whole = [(at, block) for at, block in held if isinstance(block, Block)]
        left, _ = blocks_left(frame.chains, whole)
        for at in frame.blocks:
            block = machine.world.checking.read(at.data)
            assert isinstance(block, Block), "w have signed it"
            if machine.disk.with_digest(block.digest) is None:
                machine.disk.extend([at.data])
        lanes = len(frame.chains.lanes)
        kept = Kept(checkpoint, pages, rows, lanes, len(machine.disk), tuple(left))
        keeper = machine.checkpoints
        keeper.kept[checkpoint.digest] = keeper.began_at = kept
        for word in self.catch_up.words.for_(checkpoint.digest):
            keeper.words.add(word)
        machine.world.marks.hit("a super-agent came back by pages")
