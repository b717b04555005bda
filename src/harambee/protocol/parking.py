"""Blocks that wait for their past, found by what they lack.

A liar decides what it sends, so everything here is bounded for each author: heights may run only so far
ahead, bytes only so high. A block is named by its digest; two blocks with one id may both have to be fetched,
because honest blocks may stand on either.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from harambee.protocol.effects import FetchNamed, Name
from harambee.protocol.wire import Block

PARKED_BLOCKS_MAX: Final = 2_048
PARKED_BYTES_MAX: Final = 64 << 20
"""Blocks of one author that wait for their past; it bounds what a liar can make us keep."""
NAMED_ANSWER_NS: Final = 1_000_000_000
"""How long a block that was asked for by name may take, before another peer is asked."""
NAMES_MAX: Final = 256
AHEAD_TURNS_MAX: Final = 4
"""A block that only a reference named, and no parked block waits for yet, is asked for so often."""


@dataclass(slots=True)
class _Lacking:
    name: Name
    waiters: list[bytes]
    """Parked blocks that wait for this one first of all; none for one that is asked for ahead."""
    peers: list[int]
    """Who sent the blocks that wait for it: they hold it."""
    asked_at: int = -1
    turn: int = 0


class Parking:
    """Parked blocks by digest, and the names of what they wait for."""

    def __init__(self, members: int) -> None:
        """Nothing waits yet."""
        self._blocks: dict[bytes, tuple[Block, int]] = {}
        self._lacking: dict[bytes, _Lacking] = {}
        self._bytes = [0] * members
        self._heights: list[dict[tuple[int, int], int]] = [{} for _ in range(members)]
        """For each author: how many parked blocks have this incarnation and height."""
        self._looked_ahead_at: dict[int, int] = {}

    def __len__(self) -> int:
        """How many blocks wait."""
        return len(self._blocks)

    def __contains__(self, digest: bytes) -> bool:
        """Whether this block waits."""
        return digest in self._blocks

    def is_wanted(self, digest: bytes) -> bool:
        """Whether a parked block waits for this one."""
        return digest in self._lacking

    def has_room_for(self, block: Block, head: int) -> bool:
        """Whether a block may wait; the next of its author, and what others wait for, always may."""
        ahead = block.height - head
        if ahead == 1 or self.is_wanted(block.digest):
            return True
        return (
            ahead <= PARKED_BLOCKS_MAX
            and self._bytes[block.author] + len(block.data) <= PARKED_BYTES_MAX
        )

    def add(self, block: Block, peer: int) -> None:
        """Park a block that came from `peer`."""
        self._blocks[block.digest] = block, peer
        self._bytes[block.author] += len(block.data)
        key = block.incarnation, block.height
        heights = self._heights[block.author]
        heights[key] = heights.get(key, 0) + 1

    def get(self, digest: bytes) -> Block | None:
        """A parked block."""
        found = self._blocks.get(digest)
        return None if found is None else found[0]

    def take(self, digest: bytes) -> Block:
        """Take a parked block out."""
        block, _ = self._blocks.pop(digest)
        self._bytes[block.author] -= len(block.data)
        key = block.incarnation, block.height
        heights = self._heights[block.author]
        heights[key] -= 1
        if not heights[key]:
            del heights[key]
        return block

    def wait(self, digest: bytes, lacking: Name) -> None:
        """A parked block waits for another one."""
        _, peer = self._blocks[digest]
        entry = self._lacking.setdefault(lacking.digest, _Lacking(lacking, [], []))
        if digest not in entry.waiters:
            entry.waiters.append(digest)
        if peer not in entry.peers:
            entry.peers.append(peer)

    def arrived(self, digest: bytes) -> list[bytes]:
        """This block is held, or will never be: the parked blocks that waited for it."""
        entry = self._lacking.pop(digest, None)
        return [] if entry is None else entry.waiters

    def reach(self, author: int, incarnation: int, height: int) -> int:
        """How far the parked blocks go on without a gap above `height`."""
        heights = self._heights[author]
        while (incarnation, height + 1) in heights:
            height += 1
        return height

    def lacking(self) -> list[Name]:
        """What parked blocks wait for and is not parked itself; what is asked for ahead comes last."""
        missing = [e for digest, e in self._lacking.items() if digest not in self._blocks]
        missing.sort(key=lambda entry: not entry.waiters)
        return [entry.name for entry in missing]

    def look_ahead(self, author: int, is_held: Callable[[Name], bool], now: int) -> None:
        """Note the blocks of an author that parked blocks refer to, and that will be lacking next.

        A branch is found block by block, each only when the one before it is held. An author that forks
        and goes on would be faster than one such block for each answer.
        """
        last = self._looked_ahead_at.get(author)
        if last is not None and 0 <= now - last < NAMED_ANSWER_NS >> 2:
            return
        self._looked_ahead_at[author] = now
        ahead = [d for d, e in self._lacking.items() if not e.waiters]
        for digest in ahead:
            if self._lacking[digest].turn >= AHEAD_TURNS_MAX or digest in self._blocks:
                del self._lacking[digest]
        room = NAMES_MAX - len(ahead)
        for block, peer in self._blocks.values():
            if room <= 0:
                return
            for name in block.references:
                known = name.digest in self._blocks or name.digest in self._lacking
                if name.author == author and not known and not is_held(name):
                    self._lacking[name.digest] = _Lacking(name, [], [peer])
                    room -= 1

    def requests(
        self, names: list[Name], up: set[int], now: int
    ) -> tuple[list[FetchNamed], int | None]:
        """Ask for these blocks by name, each of one peer that holds it; when to look again."""
        asked: dict[int, list[Name]] = {}
        wake: int | None = None
        for name in names[:NAMES_MAX]:
            entry = self._lacking[name.digest]
            due = entry.asked_at + NAMED_ANSWER_NS
            if entry.asked_at < 0 or not now < due <= now + NAMED_ANSWER_NS:
                able = [peer for peer in entry.peers if peer in up] or sorted(up)
                if not able:
                    continue
                asked.setdefault(able[entry.turn % len(able)], []).append(name)
                entry.turn += 1
                entry.asked_at = now
                due = now + NAMED_ANSWER_NS
            wake = due if wake is None else min(wake, due)
        return [FetchNamed(peer, tuple(found)) for peer, found in sorted(asked.items())], wake
