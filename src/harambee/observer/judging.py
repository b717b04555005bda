"""Checkpoints that super-agents have signed, held against the observer's own computation at their cuts.

It is computed anew from the observer's disk, as a super-agent does it. What is the same and signed by w
super-agents becomes the place from which this observer goes on.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from harambee.observer.alarms import Alarms
from harambee.observer.checkpoints import hear_all
from harambee.observer.following import Following
from harambee.observer.intake import Chain
from harambee.observer.sources import Source
from harambee.protocol.checkpoint import Checkpoint, Words
from harambee.protocol.cuts import Cut, cut_below
from harambee.protocol.effects import Name
from harambee.protocol.frame import Frame, read_frame
from harambee.protocol.genesis import Genesis
from harambee.protocol.wire import Block
from harambee.storage.checkpoint_making import NotMade, make
from harambee.storage.checkpoint_store import CheckpointStore, Stored

KEPT: Final = 2
"""So many checkpoints stay in the folder."""
OWN_KEPT: Final = 256
SAME: Final = (
    "anchor",
    "cut",
    "time_ms",
    "blocks",
    "orders",
    "accounts",
    "aliases",
    "in_circulation",
    "ledger_pages",
    "ledger_root",
)
"""What any computation of a cut has to find."""


@dataclass(slots=True)
class Judge:
    """Hears words, computes, rings."""

    genesis: Genesis
    store: CheckpointStore
    alarms: Alarms
    words: Words
    following: Following
    base: Stored | None
    """From where this observer goes on after a restart."""
    _own: dict[Name, Checkpoint] = field(default_factory=dict)
    """What was computed here, by anchor; the newest."""
    _unmade: set[Name] = field(default_factory=set)
    """Anchors at which nothing could be computed."""
    _candidates: dict[bytes, Stored] = field(default_factory=dict)
    """What was computed as somebody has signed it, until w have."""

    def clean_up(self) -> None:
        """Take away what was computed before and that too few have signed: it is computed again. OSError."""
        self.store.clean_up()
        for stored in self.store.all():
            if len(stored.words(self.genesis.committee)) < self.genesis.committee.w:
                self.store.remove(stored)

    async def look(self, sources: Sequence[Source], *, sound: bool) -> None:
        """Ask who has signed what; compute one more cut, if its blocks are here; OSError.

        `sound` says that nothing is wrong with the observer's own ledger.
        """
        await hear_all(self.genesis, sources, self.alarms, self.words)
        computed = False
        for said in self.words.all():
            mine = self._own.get(said.anchor)
            if mine is None and not computed and sound and said.anchor not in self._unmade:
                cut = self._cut_of(said)
                if cut is None:
                    continue
                computed = True  # one in each look: a liar may name any block as an anchor
                mine = await self._compute(said, cut)
            if mine is not None:
                self._judge(said, mine)
        self._keep_words()

    def _cut_of(self, said: Checkpoint) -> Cut | None:
        """The cut of a checkpoint, if its blocks are here and it lies above the base."""
        chains, anchor = self.following.fold.chains, said.anchor
        if chains.find(anchor.author, anchor.height, anchor.digest, anchor.incarnation) is None:
            return None
        cut = cut_below(chains, anchor)
        if cut is None:
            return None
        reached = {(tip.author, tip.incarnation): tip.height for tip in cut.tips}
        base = _heights_in(self._frame_of(self.base)) if self.base is not None else {}
        above = all(reached.get(chain, 0) >= height for chain, height in base.items())
        return cut if above and reached != base else None

    def _frame_of(self, stored: Stored) -> Frame:
        committee = self.genesis.committee
        return read_frame(stored.frame(), committee.n, committee.q)

    async def _compute(self, said: Checkpoint, cut: Cut) -> Checkpoint | None:
        """Compute the state at a cut anew from the disk; None where that cannot be done from the base."""
        log = self.following.log
        log.sync()
        named = said.number, said.previous
        try:
            stored = await asyncio.to_thread(
                make, self.genesis, log, self.store, self.base, cut, _quiet, named
            )
        except NotMade:
            # Its cut is none that follows the base: nothing can be said of it from here.
            self._unmade.add(said.anchor)
            return None
        mine = stored.checkpoint
        self._own[said.anchor] = mine
        if len(self._own) > OWN_KEPT:
            del self._own[next(iter(self._own))]
        if mine == said:
            self._candidates[said.digest] = stored
            if len(self._candidates) > KEPT:
                self.store.remove(self._candidates.pop(next(iter(self._candidates))))
        else:
            self.store.remove(stored)
        return mine

    def _judge(self, said: Checkpoint, mine: Checkpoint) -> None:
        """Ring for everybody who has signed another state of a cut than its blocks make."""
        chains = self.following.fold.chains
        # How lanes are numbered that came later depends on the checkpoint before.
        framed = len(chains.lanes) == chains.members
        names = (*SAME, "frame_pages", "frame_root") if framed else SAME
        if all(getattr(said, name) == getattr(mine, name) for name in names):
            if self.words.is_true(said.digest) and said.digest in self._candidates:
                self._go_on_from(self._candidates.pop(said.digest))
            return
        members = self.genesis.committee.members
        anchor = f"block {said.anchor.height} of {members[said.anchor.author].name}"
        for word in self.words.for_(said.digest):
            name = members[word.signer].name
            sentence = (
                f"{name} has signed checkpoint {said.number} ({said.digest.hex()[:12]}) of what lies "
                f"below {anchor}, and the blocks there make another state."
            )
            self.alarms.ring("checkpoint", word.signer, name, sentence)

    def _go_on_from(self, stored: Stored) -> None:
        """From now on a restart begins at this checkpoint; blocks that it covers are forgotten. OSError."""
        stored.keep_words(self.words.for_(stored.checkpoint.digest))
        before, self.base = self.base, stored
        for old in self.store.all():
            waits = old.checkpoint.digest in self._candidates
            if old not in (before, stored) and not waits:
                self.store.remove(old)
        needed = set(stored.local.left)
        for open_block in self._frame_of(stored).blocks:
            block = self.following.fold.read(open_block.data)
            assert isinstance(block, Block), "this observer has written it"
            name = Name(block.author, block.incarnation, block.height, block.digest)
            position = self.following.log.position_of(name)
            assert position is not None, "it was folded from there"
            needed.add(position)
        self.following.log.forget(stored.local.until, needed)

    def _keep_words(self) -> None:
        """Words that came later are kept as well: with w of them a proof can be made. OSError."""
        if self.base is None:
            return
        words = self.words.for_(self.base.checkpoint.digest)
        if len(words) > len(self.base.words(self.genesis.committee)):
            self.base.keep_words(words)


def _heights_in(frame: Frame) -> dict[Chain, int]:
    """How far each chain goes in a frame."""
    found: dict[Chain, int] = {}
    for lane, head in zip(frame.chains.lanes, frame.chains.heads.tolist(), strict=True):
        chain = lane.author, lane.incarnation
        found[chain] = max(found.get(chain, 0), head)
    return {chain: head for chain, head in found.items() if head}


def newest_base(store: CheckpointStore, genesis: Genesis) -> Stored | None:
    """Return the newest stored checkpoint that w super-agents have signed."""
    signed = [s for s in store.all() if len(s.words(genesis.committee)) >= genesis.committee.w]
    return max(signed, key=lambda stored: stored.checkpoint.blocks, default=None)


def _quiet(_what: str, _done: int, _total: int) -> None:
    """Say nothing of how far a checkpoint is made."""
