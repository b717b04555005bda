"""What a super-agent that took a checkpoint's pages keeps of the blocks that it held before.

Blocks in the cut are in the state already. Those outside of it, one's own newest perhaps, are folded behind
it if they can still be placed: what they name directly has to be held, and near enough to be known by its
digest. The others were out of reach before there was a checkpoint (docs/checkpoints.md, "Late branches").

One thing must not be passed over. A frame has the promises of all of this author's blocks in the cut. If the
cut has a block of this author that its own disk has not, that disk is an old one, and there may be further
promises that only a liar knows: then this is no way to begin, unless under a new incarnation.
"""

from collections.abc import Callable, Iterable

from harambee.protocol.chains import Chains
from harambee.protocol.effects import Name
from harambee.protocol.wire import Block


def blocks_left(
    chains: Chains, blocks: Iterable[tuple[int, Block]]
) -> tuple[list[int], list[Block]]:
    """Return which held blocks are to be folded behind a cut, and which can be placed no more.

    `chains` are those of the frame; `blocks` (position, block) come each after its past, blocks of the cut
    among them or not.
    """
    left: list[int] = []
    lost: list[Block] = []
    known: set[bytes] = set()
    for position, block in blocks:
        if chains.covers(block.author, block.incarnation, block.height, block.digest):
            continue
        if all(_is_known(chains, known, name) for name in _named_by(block)):
            known.add(block.digest)
            left.append(position)
        else:
            lost.append(block)
    return left, lost


def _named_by(block: Block) -> tuple[Name, ...]:
    if block.height == 1:
        return block.references
    before = Name(block.author, block.incarnation, block.height - 1, block.previous)
    return before, *block.references


def _is_known(chains: Chains, known: set[bytes], name: Name) -> bool:
    if name.digest in known:
        return True
    return chains.find(name.author, name.height, name.digest, name.incarnation) is not None


def is_own_disk_whole(
    chains: Chains, index: int, holds: Callable[[Name], bool], lost: Iterable[Block]
) -> bool:
    """Whether this author's disk has its own blocks of the cut, and each later one can still be placed."""
    for lane in chains.lanes_of[index]:
        about, height = chains.lanes[lane], int(chains.heads[lane])
        digest = chains.digest_at(lane, height) if height > about.base else None
        if digest is not None and not holds(Name(index, about.incarnation, height, digest)):
            return False
    return all(block.author != index for block in lost)
