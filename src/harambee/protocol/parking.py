"""Blocks that wait for their past, found by what they lack.

A liar decides what it sends, so everything here is bounded for each author (`limits.py`). What only its
author vouches for gets little room; what w peers hold, or another author's block stands on, gets more. Where
room is short the lowest blocks stay: those that are needed first, whether a chain is fetched upwards or a
branch is followed down. What finds no room is fetched again later. A block is named by its digest; two blocks
with one id may both have to be fetched, because honest blocks may stand on either.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from harambee.protocol.effects import FetchNamed, Name
from harambee.protocol.limits import (
    FEW_BLOCKS,
    FEW_BYTES,
    NAMED_ANSWER_NS,
    NAMED_DOUBLINGS_MAX,
    NAMES_MAX,
    PARKED_BLOCKS_MAX,
    PARKED_BYTES_MAX,
)
from harambee.protocol.wire import Block, names_in

AHEAD_TURNS_MAX: Final = 4
"""A block that only a reference named, and no parked block waits for yet, is asked for so often."""
LONG_AGO: Final = -(1 << 62)


@dataclass(slots=True)
class _Parked:
    block: Block
    peers: list[int]
    """Who sent it: they hold its past."""
    vouched: bool
    """Whether others than its author vouch for it."""
    lacks: bytes = b""
    """The digest of the block for which it waits."""


@dataclass(slots=True)
class _Lacking:
    name: Name
    waiters: list[bytes]
    """Parked blocks that wait for this one first of all; none for one that is asked for ahead."""
    peers: list[int]
    """Who sent the blocks that wait for it: they hold it."""
    vouched: bool = False
    """Whether another author's block stands on it, or one that others vouch for."""
    asked_at: int = -1
    turn: int = 0


@dataclass(slots=True)
class _Room:
    """What waits of one author, of one kind."""

    blocks_max: int
    bytes_max: int
    parked: dict[bytes, int] = field(default_factory=dict)
    """Where each block stands in its author's chains, by digest: incarnation and height as one number."""
    bytes_taken: int = 0


class Parking:
    """Parked blocks by digest, and the names of what they wait for."""

    def __init__(self, members: int) -> None:
        """Nothing waits yet."""
        self._blocks: dict[bytes, _Parked] = {}
        self._lacking: dict[bytes, _Lacking] = {}
        self._few = [_Room(FEW_BLOCKS, FEW_BYTES) for _ in range(members)]
        self._vouched = [_Room(PARKED_BLOCKS_MAX, PARKED_BYTES_MAX) for _ in range(members)]
        self._heights: list[dict[tuple[int, int], int]] = [{} for _ in range(members)]
        """For each author: how many parked blocks have this incarnation and height."""
        self._looked_ahead_at: dict[int, int] = {}

    def __len__(self) -> int:
        """How many blocks wait."""
        return len(self._blocks)

    def __contains__(self, digest: bytes) -> bool:
        """Whether this block waits."""
        return digest in self._blocks

    @property
    def bytes_parked(self) -> int:
        """How many bytes of blocks wait."""
        return sum(room.bytes_taken for room in (*self._few, *self._vouched))

    def is_wanted(self, digest: bytes) -> bool:
        """Whether a parked block waits for this one."""
        return digest in self._lacking

    def is_vouched_for(self, digest: bytes) -> bool:
        """Whether another author's parked block stands on this one, or one that others vouch for."""
        entry = self._lacking.get(digest)
        return entry is not None and entry.vouched

    def add(self, block: Block, peer: int, *, vouched: bool) -> bool:
        """Park a block that came from `peer`; False where there is no room for it."""
        room = (self._vouched if vouched else self._few)[block.author]
        place = _place_of(block)
        while (
            len(room.parked) >= room.blocks_max
            or room.bytes_taken + len(block.data) > room.bytes_max
        ):
            highest = max(room.parked, key=lambda digest: room.parked[digest])
            if room.parked[highest] <= place:
                return False
            self._send_away(highest)
        room.parked[block.digest] = place
        room.bytes_taken += len(block.data)
        self._blocks[block.digest] = _Parked(block, [peer], vouched)
        key = block.incarnation, block.height
        heights = self._heights[block.author]
        heights[key] = heights.get(key, 0) + 1
        return True

    def came_again(self, digest: bytes, peer: int) -> None:
        """A parked block came from `peer` too, who therefore holds what it waits for."""
        parked = self._blocks[digest]
        if peer not in parked.peers:
            parked.peers.append(peer)
        entry = self._lacking.get(parked.lacks)
        if entry is not None and peer not in entry.peers:
            entry.peers.append(peer)

    def get(self, digest: bytes) -> Block | None:
        """A parked block."""
        found = self._blocks.get(digest)
        return None if found is None else found.block

    def take(self, digest: bytes) -> Block:
        """Take a parked block out."""
        parked = self._blocks.pop(digest)
        block = parked.block
        room = (self._vouched if parked.vouched else self._few)[block.author]
        del room.parked[digest]
        room.bytes_taken -= len(block.data)
        key = block.incarnation, block.height
        heights = self._heights[block.author]
        heights[key] -= 1
        if not heights[key]:
            del heights[key]
        return block

    def _send_away(self, digest: bytes) -> None:
        """Make room: a block that waits is forgotten, and what only it waited for."""
        entry = self._lacking.get(self._blocks[digest].lacks)
        self.take(digest)
        if entry is not None:
            entry.waiters.remove(digest)
            if not entry.waiters:
                del self._lacking[entry.name.digest]

    def wait(self, digest: bytes, lacking: Name) -> None:
        """A parked block waits for another one."""
        parked = self._blocks[digest]
        parked.lacks = lacking.digest
        entry = self._lacking.setdefault(lacking.digest, _Lacking(lacking, [], []))
        entry.vouched |= parked.vouched or lacking.author != parked.block.author
        if digest not in entry.waiters:
            entry.waiters.append(digest)
        entry.peers += [peer for peer in parked.peers if peer not in entry.peers]

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

    def look_ahead(self, authors: Iterable[int], is_held: Callable[[Name], bool], now: int) -> None:
        """Note the blocks of these authors that parked blocks refer to, and that will be lacking next.

        A branch is found block by block, each only when the one before it is held. An author that forks
        and goes on would be faster than one such block for each answer.
        """
        due = {
            author
            for author in authors
            if not 0 <= now - self._looked_ahead_at.get(author, LONG_AGO) < NAMED_ANSWER_NS >> 2
        }
        if not due:
            return
        self._looked_ahead_at.update(dict.fromkeys(due, now))
        ahead = [d for d, e in self._lacking.items() if not e.waiters]
        for digest in ahead:
            if self._lacking[digest].turn >= AHEAD_TURNS_MAX or digest in self._blocks:
                del self._lacking[digest]
        room = NAMES_MAX - len(ahead)
        for parked in self._blocks.values():
            if room <= 0:
                return
            names = parked.block.names
            rows = [row for row, author in enumerate(names["author"].tolist()) if author in due]
            for name in names_in(names[rows]) if rows else ():
                known = name.digest in self._blocks or name.digest in self._lacking
                if not known and not is_held(name):
                    vouched = parked.vouched or parked.block.author != name.author
                    self._lacking[name.digest] = _Lacking(name, [], [*parked.peers], vouched)
                    room -= 1

    def requests(
        self, names: list[Name], up: set[int], now: int
    ) -> tuple[list[FetchNamed], int | None]:
        """Ask for these blocks by name, each of one peer that holds it; when to look again.

        Those come first that were asked for the longest time ago, and what is asked for in vain is asked
        for less and less often: a name that nobody has costs little and keeps nobody waiting. What others
        vouch for may be had from anyone, should its senders be gone.
        """
        asked: dict[int, list[Name]] = {}
        wake: int | None = None
        entries = sorted((self._lacking[name.digest] for name in names), key=lambda e: e.asked_at)
        count = 0
        for entry in entries:
            able = [peer for peer in entry.peers if peer in up]
            if not able and entry.vouched:
                able = sorted(up)
            if not able:
                continue
            patience = NAMED_ANSWER_NS << min(entry.turn // len(able), NAMED_DOUBLINGS_MAX)
            due = entry.asked_at + patience
            if entry.asked_at < 0 or not now < due <= now + patience:
                if count == NAMES_MAX:
                    wake = now + NAMED_ANSWER_NS if wake is None else wake
                    break
                count += 1
                asked.setdefault(able[entry.turn % len(able)], []).append(entry.name)
                entry.turn += 1
                entry.asked_at = now
                due = now + NAMED_ANSWER_NS
            wake = due if wake is None else min(wake, due)
        return [FetchNamed(peer, tuple(found)) for peer, found in sorted(asked.items())], wake


def _place_of(block: Block) -> int:
    return block.incarnation << 32 | block.height
