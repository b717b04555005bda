"""Where a block belongs, and whether it keeps the rules of its chain: functions of the block and its past.

No rule here may read what only some replicas still hold, or they would part for ever: an order's own validity
is the voters' business, and never makes a block invalid.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harambee.protocol.chains import CLOCK, VOTED, Chains, Heights, Lane, Rows
from harambee.protocol.effects import Name
from harambee.protocol.wire import NO_DIGEST, Block, names_in


@dataclass(frozen=True, slots=True)
class Placed:
    """A block that continues its author's chain by the rules."""

    lane: int | Lane
    """The lane whose next block it is, or the one to open for it."""
    references: npt.NDArray[np.int64]
    """(lane, height), shape (k, 2)."""
    newly: npt.NDArray[np.int64] | None = None
    """What it newly votes on besides itself, (lane, first, last), (k, 3); None while that is to be found."""


@dataclass(frozen=True, slots=True)
class Past:
    """Where the immediate past of a block lies, all of which is held."""

    previous: int | None
    """The lane of its author's block before it; None for the first of a chain."""
    references: Heights
    """The lane of each block that it references, (k,)."""


def past_of(chains: Chains, block: Block) -> Past | Name:
    """Where a block's immediate past is held, or the first block of it that is not."""
    previous = None
    if block.height > 1:
        previous = chains.find(block.author, block.height - 1, block.previous, block.incarnation)
        if previous is None:
            return Name(block.author, block.incarnation, block.height - 1, block.previous)
    found, all_held = chains.find_all(block.names)
    if not all_held:
        missing = np.flatnonzero(found < 0)
        return names_in(block.names[missing[:1]])[0]
    return Past(previous, found)


def place(chains: Chains, block: Block, past: Past) -> Placed | None:
    """Where a block belongs whose past is held, as it is now; None if it breaks a rule of chains.

    PROTOCOL section 1: heights are contiguous; a reference extends the previous one to that author; a
    rejection is of a block that this one newly votes on. And one rule of our own (decision 14): nobody
    references an author whose fork lies in the block's own past, nor has a fork of its own there. Honest
    authors never do, and so the branches that a past can hold are bounded.
    """
    lane = _lane_for(chains, block, past)
    if lane is None or not _re_enters_as_it_must(block):
        return None
    names, before = block.names, _row_before(chains, block, past)
    if not chains.several and isinstance(lane, int):
        votes = chains.new_votes(names, past.references, before[VOTED])
        if votes is None:
            return None
        references, newly = votes
        kept = not block.rejections or _rejects_new_votes(block, newly[:, 1] - 1)
        return Placed(lane, references, newly) if kept else None
    since = _since(chains, block, past.references, before[VOTED])
    if since is None:
        return None
    references = np.empty((len(names), 2), np.int64)
    references[:, 0] = past.references
    references[:, 1] = names["height"]
    apart = chains.several.intersection((block.author, *names["author"].tolist()))
    if apart or not isinstance(lane, int):
        clock = _clock(chains, references, before[CLOCK])
        if any(chains.forked_in(clock, author) for author in sorted(apart)):
            return None
        if _stands_beside(chains, clock, lane, block):
            return None
    if block.rejections and not _rejects_new_votes(block, since):
        return None
    return Placed(lane, references)


def _rejects_new_votes(block: Block, since: npt.NDArray[np.integer]) -> bool:
    """Whether all its rejections are of blocks that it newly votes on: above `since`, (k,), by reference."""
    if -1 in block.rejected_under:
        return False
    before, heights = since.tolist(), block.names["height"].tolist()
    return all(
        before[row] < rejection.height <= heights[row]
        for rejection, row in zip(block.rejections, block.rejected_under, strict=True)
    )


def _since(
    chains: Chains, block: Block, to: Heights, voted: npt.NDArray[np.int32]
) -> npt.NDArray[np.int32] | None:
    """The height of the reference before each one to the same chain, (k,); None if one does not extend it."""
    since: npt.NDArray[np.int32] = voted[to]
    extends = block.names["height"] > since
    for k, author in enumerate(block.names["author"].tolist()):
        if author in chains.several:
            (name,) = names_in(block.names[k : k + 1])
            extended = _extends_reference(chains, voted, name, int(to[k]))
            if extended is None:
                return None
            since[k] = extended
        elif not extends[k]:
            return None
    return since


def _clock(
    chains: Chains, references: Heights, before: npt.NDArray[np.int32]
) -> npt.NDArray[np.int32]:
    """The clock of a block, but for itself; `before` is the one of its author's block before it."""
    if not len(references):
        return before.copy()
    clock: npt.NDArray[np.int32] = np.maximum(before, chains.clock_over(references))
    return clock


def _lane_for(chains: Chains, block: Block, past: Past) -> int | Lane | None:
    """The lane whose next block this is, or a new one: a branch, or another incarnation."""
    if block.height == 1:
        if block.previous != NO_DIGEST:
            return None
        for lane in chains.lanes_of[block.author]:
            empty = chains.heads[lane] == 0
            if chains.lanes[lane].incarnation == block.incarnation and empty:
                return lane
        return Lane(block.author, block.incarnation, -1, 0)
    previous = past.previous
    assert previous is not None, "it has one"
    if chains.heads[previous] == block.height - 1:
        return previous
    return Lane(block.author, block.incarnation, previous, block.height - 1)


def _re_enters_as_it_must(block: Block) -> bool:
    """A new incarnation begins by saying so, and nothing else says it."""
    entry = block.recovery.re_entry
    begins = block.incarnation > 0 and block.height == 1
    if not begins:
        return entry is None
    return entry is not None and entry.incarnation == block.incarnation


def _row_before(chains: Chains, block: Block, past: Past) -> Rows:
    if past.previous is None:
        return np.zeros((3, len(chains.lanes)), np.int32)
    return chains.row(past.previous, block.height - 1)


def _extends_reference(chains: Chains, voted: Rows, name: Name, to: int) -> int | None:
    """The height of the reference before this one to the same chain; None if it does not extend it."""
    since = 0
    for lane in chains.lanes_of[name.author]:
        reached = int(voted[lane])
        if not reached:
            continue
        incarnation = chains.lanes[lane].incarnation
        if incarnation > name.incarnation:
            return None
        if incarnation < name.incarnation:
            continue
        if name.height <= reached or not chains.contains(to, name.height, lane, reached):
            return None
        since = max(since, reached)
    return since


def _stands_beside(chains: Chains, clock: Rows, lane: int | Lane, block: Block) -> bool:
    """Whether the block's past holds a block of its own author that is not below it."""
    for other in chains.lanes_of[block.author]:
        height = int(clock[other])
        if not height or chains.lanes[other].incarnation != block.incarnation:
            continue
        if isinstance(lane, int):
            below = chains.contains(lane, block.height - 1, other, height)
        else:
            below = lane.parent >= 0 and chains.contains(lane.parent, lane.base, other, height)
        if not below:
            return True
    return False
