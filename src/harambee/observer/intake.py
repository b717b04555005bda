"""Blocks on their way from doors into the observer's ledger: checked, put in order, folded.

A block that does not check is its door's doing, for it was changed or made up on the way; nothing of it gets
further. One that its author signed and that breaks the rules of chains is its author's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from harambee.observer.following import Following
from harambee.protocol.effects import Name
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import Block

CHAIN_BYTES_MAX: Final = 8 << 20
"""Of one chain blocks of so many bytes wait for their past; more are asked for when these are folded."""
WAITING_BYTES_MAX: Final = 256 << 20
"""And of all chains; but of a chain of which nothing waits, the next block may always come."""

Chain = tuple[int, int]
"""Author and incarnation."""


@dataclass(slots=True)
class Intake:
    """What was taken of doors and is not folded yet."""

    following: Following
    broken: list[Block] = field(default_factory=list)
    """Blocks that their authors signed and that break the rules of chains."""
    _waiting: dict[Chain, dict[bytes, Block]] = field(default_factory=dict)
    """By digest."""
    _refused: set[bytes] = field(default_factory=set)

    def flaw_of(self, data: bytes, chain: Chain, height: int) -> str | None:
        """Check what a door sent as this block of a chain, and keep it; what is wrong with it, if it is."""
        committee = self.following.genesis.committee
        author = committee.members[chain[0]].name
        block = self.following.fold.read(data)
        if isinstance(block, Malformed):
            return f"a block {height} of {author} that was changed, or is none: {block.why}"
        if (block.author, block.incarnation, block.height) != (*chain, height):
            return f"another block where block {height} of {author} was asked for"
        if block.epoch != committee.epoch or not self.following.fold.is_signed(block):
            return f"a block {height} of {author} that {author} has not signed"
        self.keep(block)
        return None

    def keep(self, block: Block) -> None:
        """Keep a block that its author has signed, until its past is here."""
        if block.digest not in self._refused and not self.following.fold.holds(block):
            self._waiting.setdefault((block.author, block.incarnation), {})[block.digest] = block

    def reached(self, chain: Chain) -> int:
        """How far a chain is folded, or waits."""
        waiting = (block.height for block in self._waiting.get(chain, {}).values())
        return max((self.following.height_of(chain), *waiting))

    def has_room(self, chain: Chain) -> bool:
        """Whether more of a chain may be asked for."""
        mine = _bytes_of(self._waiting.get(chain, {}))
        if not mine:
            return True
        everybody = sum(map(_bytes_of, self._waiting.values()))
        return mine < CHAIN_BYTES_MAX and everybody < WAITING_BYTES_MAX

    def knows(self, name: Name) -> bool:
        """Whether a block is folded, waits, or was refused."""
        chain = name.author, name.incarnation
        waits = name.digest in self._waiting.get(chain, ())
        return waits or name.digest in self._refused or self.following.fold.holds(name)

    def fold(self) -> int:
        """Fold whatever has its past here; how many were."""
        folded, before = 0, -1
        while folded != before:
            before = folded
            for chain in list(self._waiting):
                folded += self._fold_chain(chain)
        return folded

    def _fold_chain(self, chain: Chain) -> int:
        folded = 0
        waiting = self._waiting[chain]
        for block in sorted(waiting.values(), key=lambda block: block.height):
            if not self.following.fold.holds(block):
                if self.following.lacks(block) is not None:
                    # Another branch may have its past, and no longer chain has.
                    if block.author not in self.following.fold.chains.several:
                        break
                    continue
                if self.following.take(block):
                    folded += 1
                else:
                    self._refused.add(block.digest)
                    self.broken.append(block)
            del waiting[block.digest]
        if not waiting:
            del self._waiting[chain]
        return folded

    def missing(self) -> Iterator[Name]:
        """Blocks that others stand on and that are not here, each as often as it is lacked."""
        for waiting in self._waiting.values():
            for block in waiting.values():
                name = self.following.lacks(block)
                if name is not None and not self.knows(name):
                    yield name

    def drop(self) -> None:
        """Forget what waits: it is asked for again, maybe of another door."""
        self._waiting.clear()


def _bytes_of(waiting: dict[bytes, Block]) -> int:
    return sum(len(block.data) for block in waiting.values())
