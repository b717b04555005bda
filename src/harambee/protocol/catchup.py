"""Knowing what one lacks, and whom to ask for it: ordinary catch-up from several peers at once.

Peers say which heads they hold, and every block tells what its author held. Where a gap stays open for
longer than a block normally needs to arrive by itself, the missing heights are asked for, each author's
from one peer at a time, different authors' from different peers. A peer that does not answer in time is
passed over. Whatever arrives is checked like any other block, so a lying peer can only waste time.

A peer answers one fetch after the other, in the order in which they came, and says only that an answer has
ended, not which. So its fetches are numbered here: an answer that ends says nothing of those behind it.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from harambee.ledger.records import readable
from harambee.protocol.effects import Fetch, Range

PATIENCE_NS: Final = 60_000_000
"""How long a gap may stay open before it is fetched: a block under way arrives sooner."""
ANSWER_NS_MAX: Final = 2_000_000_000
"""A peer that sends nothing for so long is passed over;"""
ANSWERS_MAX: Final = 5
"""and so is one that sends some of what was asked for and never all, after so many times as long."""
RANGE_BLOCKS_MAX: Final = 512
RANGE_BLOCKS_MIN: Final = 16
AT_ONCE: Final = 4_096
AT_ONCE_BYTES: Final = 4 << 20
"""So many blocks, and about so many bytes of them, are on the way at most, of all authors together: what can
be read within a second or two. What waits here to be read would otherwise seem not to have come, and be
asked for again."""
BLOCK_BYTES_FIRST: Final = 32 << 10
"""How large a block is taken to be before one has come."""
MEAN_OF: Final = 16
"""Of so many blocks lately, the mean size says how many to ask for."""


@dataclass(slots=True)
class _Request:
    peer: int
    first: int
    last: int
    deadline: int
    fetch: int
    """The number of the fetch of which it is a part."""


@dataclass(slots=True)
class CatchUp:
    """What peers hold, and what has been asked of whom."""

    members: int
    me: int
    held_by: npt.NDArray[np.int64] = field(init=False)
    """(n, n): row p says the highest height of each author that peer p is known to hold."""
    incarnations: list[int] = field(init=False)
    """Which incarnation of each author the heights are of."""
    _asked: dict[int, _Request] = field(default_factory=dict)
    _gap_since: dict[int, int] = field(default_factory=dict)
    _empty_claims: dict[int, _Request] = field(default_factory=dict)
    """What was answered since the last requests, by author."""
    _fetches: int = 0
    """How many were sent."""
    _unanswered: dict[int, deque[tuple[int, int]]] = field(default_factory=dict)
    """For each peer its fetches that have no answer yet: (number, when), in the order of sending."""
    _turn: int = 0
    _heard: dict[int, int] = field(default_factory=dict)
    """When a block last came from a peer that it was asked for."""
    _block_bytes: int = BLOCK_BYTES_FIRST
    """The mean size of blocks that were asked for and came lately."""

    def __post_init__(self) -> None:
        """Nothing is known yet."""
        self.held_by = np.zeros((self.members, self.members), np.int64)
        self.incarnations = [0] * self.members

    def hears(self, peer: int, author: int, height: int, size: int, now: int) -> None:
        """A block of `size` bytes came from `peer`: if it was asked for, it is answering all that was."""
        asked = self._asked.get(author)
        if asked is not None and asked.peer == peer and asked.first <= height <= asked.last:
            self._heard[peer] = now
            self._block_bytes += (size - self._block_bytes) // MEAN_OF

    def holds(self, peer: int, author: int, height: int) -> None:
        """`peer` is known to hold the author's chain up to `height`."""
        self.held_by[peer, author] = max(self.held_by[peer, author], height)

    def holds_all(
        self, peer: int, authors: npt.NDArray[np.integer], heights: npt.NDArray[np.integer]
    ) -> None:
        """`peer` is known to hold these authors' chains, each named once, up to these heights."""
        row = self.held_by[peer]
        row[authors] = np.maximum(row[authors], heights)

    def holds_named(
        self, peer: int, names: npt.NDArray[np.void], incarnations: npt.NDArray[np.int64]
    ) -> None:
        """`peer` is known to hold the blocks that a REFERENCE array (k,) names, and those below them.

        Names of other incarnations than these, (n,), by author, say nothing.
        """
        _raise_to_named(self.held_by[peer], readable(names, names.dtype), incarnations)

    def is_claimed(self, author: int, height: int, peers: set[int]) -> bool:
        """Whether one of these peers is taken to hold the author's chain up to this height."""
        return bool((self.held_by[sorted(peers), author] >= height).any())

    def are_ahead(self, heights: npt.NDArray[np.int64], peers: int) -> npt.NDArray[np.bool_]:
        """Of which authors at least so many peers hold more than these heights, (n,)."""
        ahead: npt.NDArray[np.bool_] = (self.held_by > heights).sum(axis=0) >= peers
        return ahead

    def held_by_enough(self, peers: int) -> npt.NDArray[np.int64]:
        """The height up to which at least so many peers are known to hold each author's chain, (n,)."""
        row = self.members - peers
        heights: npt.NDArray[np.int64] = np.partition(self.held_by, row, axis=0)[row]
        return heights

    def begin(self, author: int, incarnation: int) -> None:
        """The author begins a new chain: what is known of who holds the old one says nothing of it."""
        assert incarnation > self.incarnations[author]
        self.incarnations[author] = incarnation
        self.held_by[:, author] = 0
        self._asked.pop(author, None)
        self._gap_since.pop(author, None)
        self._empty_claims.pop(author, None)

    def forget(self, peer: int) -> None:
        """The link to `peer` is gone: what was asked of it will not come."""
        self._asked = {author: r for author, r in self._asked.items() if r.peer != peer}
        self._unanswered.pop(peer, None)

    def note_fetch(self, peer: int, now: int) -> int:
        """Something is being fetched from `peer`, who will say when it was answered: its number."""
        self._fetches += 1
        self._unanswered.setdefault(peer, deque()).append((self._fetches, now))
        return self._fetches

    def answered(self, peer: int) -> None:
        """`peer` has sent what it could for its oldest fetch: ask on at once where a gap is left.

        What it was asked for in that one and did not bring, it is not taken to hold any more.
        """
        unanswered = self._unanswered.get(peer)
        if not unanswered:
            return
        fetch, _ = unanswered.popleft()
        for author in [author for author, r in self._asked.items() if r.fetch == fetch]:
            request = self._asked.pop(author)
            self._empty_claims[author] = request
            self._gap_since[author] = self._gap_since.get(author, 0) - PATIENCE_NS

    def requests(
        self,
        heads: npt.NDArray[np.int64],
        up: set[int],
        now: int,
        *,
        ends: npt.NDArray[np.int64],
        eager: bool,
        without: set[int],
    ) -> tuple[list[Fetch], int | None]:
        """What to fetch now, and when to look again (None: when something happens).

        `heads` are the heights up to which each chain is held, parked blocks included; `ends` those up to
        which blocks may be fetched now; `eager` leaves
        out the patience, for a replica that knows that it is behind; `without` are convicted authors,
        of whose blocks only those are fetched, by name, that others stand on.
        """
        ranges: dict[int, list[Range]] = {}
        fetches: dict[int, int] = {}
        wake: int | None = None
        self._forget_empty_claims(heads, ends)
        self._forget_unanswered(now)
        peers = sorted(up)
        best = np.minimum(self.held_by[peers].max(axis=0), ends) if peers else heads
        lacking = [a for a in np.flatnonzero(best > heads).tolist() if a not in without]
        room = self._room_for_each(heads, lacking, now)
        for author in lacking:
            since = min(self._gap_since.setdefault(author, now), now)
            asked = self._asked.get(author)
            if asked is not None and self._is_awaited(asked, int(heads[author]), now):
                until = self._waits_until(asked)
                wake = until if wake is None else min(wake, until)
                continue
            if not room:
                continue
            due = since if eager else since + PATIENCE_NS
            if now < due:
                wake = due if wake is None else min(wake, due)
                continue
            peer = self._choose(author, int(heads[author]), peers, asked, fetches)
            if peer not in fetches:
                fetches[peer] = self.note_fetch(peer, now)
            last = min(
                int(self.held_by[peer, author]),
                int(heads[author]) + room,
                int(ends[author]),
            )
            first = int(heads[author]) + 1
            self._asked[author] = _Request(peer, first, last, now + ANSWER_NS_MAX, fetches[peer])
            ranges.setdefault(peer, []).append(
                Range(author, first, last, self.incarnations[author])
            )
            wake = now + ANSWER_NS_MAX if wake is None else wake
        for author in [a for a in self._gap_since if best[a] <= heads[a]]:
            del self._gap_since[author]
            self._asked.pop(author, None)
        return [Fetch(peer, tuple(parts)) for peer, parts in sorted(ranges.items())], wake

    def _room_for_each(self, heads: npt.NDArray[np.int64], lacking: list[int], now: int) -> int:
        """How many blocks of each author may be asked for now that are not on the way yet."""
        asked = [
            author
            for author in lacking
            if author in self._asked
            and self._is_awaited(self._asked[author], int(heads[author]), now)
        ]
        under_way = sum(
            max(
                0, self._asked[author].last - max(int(heads[author]), self._asked[author].first - 1)
            )
            for author in asked
        )
        left = min(AT_ONCE, AT_ONCE_BYTES // max(1, self._block_bytes)) - under_way
        if left < RANGE_BLOCKS_MIN:
            return 0
        each = left // max(1, len(lacking) - len(asked))
        return min(RANGE_BLOCKS_MAX, max(RANGE_BLOCKS_MIN, each))

    def _is_awaited(self, asked: _Request, height: int, now: int) -> bool:
        """Whether more of an answer may still come to an author's chain that is held up to `height`.

        Not where the clock was set back since it was asked for.
        """
        return height < asked.last and self._is_in_time(asked, now)

    def _is_in_time(self, asked: _Request, now: int) -> bool:
        return now < self._waits_until(asked) and asked.deadline <= now + ANSWER_NS_MAX

    def _waits_until(self, asked: _Request) -> int:
        """How long an answer is waited for: longer, while its peer goes on answering."""
        quiet = self._heard.get(asked.peer, 0) + ANSWER_NS_MAX
        longest = asked.deadline + (ANSWERS_MAX - 1) * ANSWER_NS_MAX
        return max(asked.deadline, min(quiet, longest))

    def _forget_empty_claims(
        self, heads: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
    ) -> None:
        """A peer that has answered and brought nothing new claims more than it holds.

        But for what came and was left out, because the author's limits were reached meanwhile.
        """
        for author, request in self._empty_claims.items():
            if heads[author] < request.first <= ends[author]:
                self.held_by[request.peer, author] = min(
                    self.held_by[request.peer, author], heads[author]
                )
        self._empty_claims.clear()

    def _forget_unanswered(self, now: int) -> None:
        """Whoever drops a fetch never answers it: what is older than any answer is waited for no more."""
        for unanswered in self._unanswered.values():
            while unanswered and not 0 <= now - unanswered[0][1] < ANSWERS_MAX * ANSWER_NS_MAX:
                unanswered.popleft()

    def _choose(
        self,
        author: int,
        height: int,
        peers: list[int],
        failed: _Request | None,
        fetches: dict[int, int],
    ) -> int:
        """The next peer in turn that holds more, preferably not the one that has just failed.

        Of the others rather one that owes no answer, but for the `fetches` that are being put together.
        """
        able = [p for p in np.flatnonzero(self.held_by[:, author] > height).tolist() if p in peers]
        silent = failed.peer if failed is not None and height < failed.last else None
        others = [p for p in able if p != silent] or able
        free = [p for p in others if p in fetches or not self._unanswered.get(p)] or others
        self._turn += 1
        return free[self._turn % len(free)]


@njit(cache=True)
def _raise_to_named(
    row: npt.NDArray[np.int64],
    names: npt.NDArray[np.void],
    incarnations: npt.NDArray[np.int64],
) -> None:
    for k in range(names.shape[0]):
        author = names[k]["author"]
        if incarnations[author] == names[k]["incarnation"]:
            row[author] = max(row[author], np.int64(names[k]["height"]))
