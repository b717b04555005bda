"""Cuts and frames: what a fold goes on from, taken from histories that a simulator's liars have made.

Whoever holds a cut finds the same state for it, to the byte, in whatever order the blocks came; and a fold
that goes on from there ends where one ends that has folded everything.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import pytest

from harambee.ledger.image import Page, load, pages_of
from harambee.ledger.ledger import Ledger
from harambee.protocol.chains import Chains
from harambee.protocol.cuts import Cut, Members, cut_below, in_order, name_of
from harambee.protocol.effects import Effects, Name
from harambee.protocol.fold import Fold
from harambee.protocol.frame import FrameBroken, read_frame, write_frame
from harambee.protocol.slot import Slot
from harambee.protocol.wire import Block
from harambee.sim.machine import Machine
from harambee.sim.run import Run
from harambee.sim.story import find_story


@dataclass
class State:
    """The state at a cut: pages and frame."""

    pages: list[Page]
    frame: bytes
    lanes: int


class Holder:
    """One super-agent's journal, and what can be made of it."""

    def __init__(self, machine: Machine) -> None:
        town = machine.world.town
        self.machine, self.town, self.checking = machine, town, machine.world.checking
        self.blocks = [self.read(data) for data in machine.disk]
        self.at = {name_of(block): k for k, block in enumerate(self.blocks)}
        ids = [(b.author, b.incarnation, b.height) for b in self.blocks]
        self.forked = {author for k, (author, _, _) in enumerate(ids) if ids[k] in ids[:k]}

    def read(self, data: bytes) -> Block:
        block = self.checking.read(data)
        assert isinstance(block, Block)
        return block

    def begin(self, base: State | None) -> Fold:
        ledger = self.town.ledger()
        if base is not None:
            ledger = Ledger(len(ledger.accounts) >> 20, ledger.tariffs[:1], ledger.key_days)
            load(ledger, base.pages)
        ledger.original_at = self.original
        fold = Fold(self.town.network, self.town.committee, ledger, self.checking)
        if base is not None:
            frame = read_frame(base.frame, self.town.committee.n, self.town.committee.q)
            fold.begin_at(frame, lambda name: self.at[name], len(self.blocks))
        return fold

    def original(self, position: int, index: int):
        return self.blocks[position].orders[index]

    @cached_property
    def chains(self) -> Chains:
        fold = self.begin(None)
        for _ in fold.fold(enumerate(self.machine.disk)):
            pass
        return fold.chains

    def cut(self, anchor: Name) -> Cut:
        cut = cut_below(self.chains, anchor)
        assert cut is not None
        return cut

    def state_at(self, cut: Cut, base: State | None) -> State:
        fold = self.begin(base)

        def is_folded(name: Name) -> bool:
            at = fold.chains.find(name.author, name.height, name.digest, name.incarnation)
            return at is not None

        members = Members(cut, self.forked, lambda name: self.blocks[self.at[name]], is_folded)
        effects = Effects()
        for position, block in in_order(enumerate(self.blocks), members):
            fold.fold_one(position, block, effects)
        fold.decide_everything(effects)
        frame = fold.frame(lambda position: self.machine.disk[position])
        before = self.town.committee.n if base is None else base.lanes
        written = write_frame(frame, before)
        return State(list(pages_of(fold.ledger)), written, len(fold.chains.lanes))


def final_state(
    fold: Fold, blocks: Iterable[tuple[int, bytes]]
) -> tuple[bytes, list[tuple[int, int, int]], list[Slot]]:
    """The ledger, how far each author's chains are final whichever lane that is, and the open slots."""
    for _ in fold.fold(blocks):
        pass
    fold.decide_everything(Effects())
    chains = fold.chains
    final = {(lane.author, lane.incarnation): 0 for lane in chains.lanes}
    for lane, height in zip(chains.lanes, chains.final.tolist(), strict=True):
        chain = lane.author, lane.incarnation
        final[chain] = max(final[chain], height)
    open_slots = sorted(dispute.slot for dispute in fold.frame(lambda _: b"").slots)
    return fold.ledger.digest(), sorted((*chain, at) for chain, at in final.items()), open_slots


CASES = [
    ("different-blocks-to-different-peers", 2),
    ("lost-and-old-disks", 5),
]
MORE = [
    ("two-orders-split-three-ways", 3),
    ("holds-that-end-once", 6),
    ("garbage-and-floods", 1),
    ("a-recovery-storm", 4),
    ("a-convict-signs-on", 7),
    ("reordered-doubled-late", 8),
    *((story, seed) for story, _ in CASES for seed in range(10, 20)),
]


@pytest.mark.parametrize(
    ("story", "seed"), [*CASES, *(pytest.param(*case, marks=pytest.mark.soak) for case in MORE)]
)
def test_whoever_holds_a_cut_finds_the_same_state_and_goes_on_from_it(
    story: str, seed: int
) -> None:
    run = Run(find_story(story), seed)
    run.tell()
    dice = random.Random(seed)
    one, two = (Holder(machine) for machine in dice.sample(run.world.honest, 2))
    shared = [name_of(block) for block in one.blocks if name_of(block) in two.at]
    anchors = [shared[len(shared) * part // 3] for part in (1, 2)]
    whole = final_state(one.begin(None), enumerate(one.machine.disk))
    base_one = base_two = None
    for anchor in anchors:
        cut = one.cut(anchor)
        assert cut == two.cut(anchor)
        base_one, base_two = one.state_at(cut, base_one), two.state_at(cut, base_two)
        assert base_one.pages == base_two.pages, "the same ledger"
        assert base_one.frame == base_two.frame, "the same frame"
        assert final_state(one.begin(base_one), enumerate(one.machine.disk)) == whole


def test_a_frame_of_anything_else_is_refused() -> None:
    run = Run(find_story("a-recovery-storm"), 9)
    run.tell()
    holder = Holder(run.world.honest[0])
    cut = holder.cut(name_of(holder.blocks[len(holder.blocks) // 2]))
    state = holder.state_at(cut, None)
    n, q = holder.town.committee.n, holder.town.committee.q
    dice = random.Random(9)
    refused = 0
    for _ in range(100):
        content = bytearray(state.frame)
        match dice.randrange(3):
            case 0:
                content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
            case 1:
                del content[dice.randrange(len(content)) :]
            case 2:
                at = dice.randrange(len(content))
                content[at : at + 4] = b"\xff\xff\xff\xff"
        try:
            frame = read_frame(bytes(content), n, q)
            fold = holder.begin(None)
            fold.begin_at(frame, lambda name: holder.at.get(name, 0), len(holder.blocks))
        except FrameBroken:
            refused += 1
    assert refused > 50
