"""Cuts: the past of one block, named by its newest blocks, and the order in which it is folded.

A cut is closed under past, so an author's unforked chain lies in it up to one height, its **tip**; of a chain
that forks there may be several tips. Any block names a cut. What is final in it is a function of the cut, but
how lanes are numbered is not: that depends on which branch of a fork came first. So branches are folded in
the order of their digests, and everybody numbers alike.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from harambee.crypto.hashing import digest
from harambee.protocol.chains import CLOCK, Chains
from harambee.protocol.effects import Name
from harambee.protocol.wire import Block, names_in, write_names


@dataclass(frozen=True, slots=True)
class Cut:
    """All that lies in the past of the anchor, itself included."""

    anchor: Name
    tips: tuple[Name, ...]
    """The blocks on which no block of the same chain in the cut stands, ascending."""

    def digest(self) -> bytes:
        """Return what names the cut, 32 bytes."""
        return digest(write_names(self.tips))


def cut_below(chains: Chains, anchor: Name) -> Cut | None:
    """Return the past of a held block; None where its rows are not kept any more."""
    lane = chains.find(anchor.author, anchor.height, anchor.digest, anchor.incarnation)
    if lane is None:
        return None
    tips = tips_of(chains, chains.row(lane, anchor.height)[CLOCK].tolist())
    return None if tips is None else Cut(anchor, tips)


def tips_of(chains: Chains, clock: list[int]) -> tuple[Name, ...] | None:
    """Return the newest blocks of a past with this clock, ascending; None where one's name is not kept."""
    stood_on = {
        (about.parent, about.base)
        for k, about in enumerate(chains.lanes)
        if about.parent >= 0 and clock[k] > about.base
    }
    tips = []
    for k, about in enumerate(chains.lanes):
        if clock[k] > about.base and (k, clock[k]) not in stood_on:
            name = chains.digest_at(k, clock[k])
            if name is None:
                return None
            tips.append(Name(about.author, about.incarnation, clock[k], name))
    return tuple(sorted(tips))


class Members:
    """Which blocks lie in a cut, of those that stand above what was folded already."""

    def __init__(
        self,
        cut: Cut,
        forked: set[int],
        block_named: Callable[[Name], Block],
        is_folded: Callable[[Name], bool],
    ) -> None:
        """`forked` are the authors of whom blocks with one id are held; `block_named` reads a held block."""
        self.is_folded = is_folded
        self._heights: dict[tuple[int, int], int] = {}
        self._branches: dict[tuple[int, int], list[dict[int, bytes]]] = {}
        """Of forked chains, each branch's blocks: digest by height."""
        for tip in cut.tips:
            chain = tip.author, tip.incarnation
            self._heights[chain] = max(self._heights.get(chain, 0), tip.height)
            if tip.author in forked:
                self._branches.setdefault(chain, []).append(self._walked(tip, block_named))

    def _walked(self, tip: Name, block_named: Callable[[Name], Block]) -> dict[int, bytes]:
        """Return a tip and the blocks below it that are to be folded: digest by height."""
        found = {}
        while tip.height and not self.is_folded(tip):
            found[tip.height] = tip.digest
            previous = block_named(tip).previous
            tip = Name(tip.author, tip.incarnation, tip.height - 1, previous)
        return found

    def __contains__(self, block: Block) -> bool:
        """Whether a held block lies in the cut and is still to be folded."""
        chain = block.author, block.incarnation
        if block.height > self._heights.get(chain, 0) or self.is_folded(name_of(block)):
            return False
        branches = self._branches.get(chain)
        if branches is None:
            return True
        return any(branch.get(block.height) == block.digest for branch in branches)

    def goes_before(self, block: Block) -> Name | None:
        """The block that is to be folded before this one stands in the same place; None if there is none."""
        branches = self._branches.get((block.author, block.incarnation), ())
        beside = [
            branch[block.height]
            for branch in branches
            if block.height in branch
            and branch.get(block.height - 1, block.previous) == block.previous
        ]
        first = min(beside, default=block.digest)
        if first >= block.digest:
            return None
        return name_of(block)._replace(digest=first)


def name_of(block: Block) -> Name:
    """Return a block's name."""
    return Name(block.author, block.incarnation, block.height, block.digest)


def in_order(blocks: Iterable[tuple[int, Block]], members: Members) -> Iterator[tuple[int, Block]]:
    """Yield those (position, block) of a journal that lie in a cut, each after its past.

    Of blocks that stand in one place, the one with the smallest digest comes first. Who takes a block has
    folded it when it asks for the next one.
    """
    later: list[tuple[int, Block]] = []

    def waits(block: Block, waiting: list[tuple[int, Block]]) -> bool:
        first = members.goes_before(block)
        if first is not None and not members.is_folded(first):
            return True
        if not waiting:
            return False
        linked = {block.previous, *(name.digest for name in names_in(block.names))}
        return any(other.digest in linked for _, other in waiting)

    for position, block in blocks:
        if block not in members:
            continue
        if waits(block, later):
            later.append((position, block))
            continue
        yield position, block
        while later:
            rested = len(later)
            for at in range(rested):
                if not waits(later[at][1], later[:at]):
                    yield later.pop(at)
                    break
            if len(later) == rested:
                break
    assert not later, "blocks in one place do not lie in each other's past"
