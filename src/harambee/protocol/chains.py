"""Who has seen, voted for, certified and acknowledged what: finality as arithmetic on heights.

An honest author's blocks form one chain, so "everything of author c up to height h" is one number. A liar's
may fork, and a super-agent that lost its disk begins a new chain; so what is counted are **lanes**: a lane is
one unforked run of one author's blocks. Lanes 0 to n - 1 are the first that this replica saw of each author;
a branch is a lane of its own that stands on a block of its parent. What a block knows is three rows, with one
number for each lane c:

    clock[c]      the highest block of c in this block's past, itself included
    voted[c]      the highest block of c that this block's *author* has referenced: it votes for all below
    certified[c]  the highest block of c for which q distinct authors' votes are in this block's past

A block acknowledges what is certified in its own past, so `certified` is also what it acknowledges; and a
block of c is **final** once q distinct authors' newest blocks acknowledge it. Authors are counted, never
lanes: an author's vote in any branch is its vote, and no conviction takes it back. No order is looked at: the
cost of agreement does not grow with the number of payments. Orders in slots that somebody refused, fenced or
signed twice are the exception, and `disputes.py` counts them one by one.

(PROTOCOL section 2; the votes inside blocks are Mysticeti's, arXiv 2310.14821, the two phases are Sui
Lutris's, arXiv 2310.18042.)

Rows are kept for a window of heights for each lane. Where a count needs a row that is no longer kept, it
takes nothing for it: it then knows less than is true, which delays finality and never makes any. Its author's
next blocks reference newer heads, and are counted in full.

The kernels that every block goes through keep the interpreter's lock: they take microseconds, and where other
threads wait for the lock, whoever gives it up waits a thousand times as long to have it back.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from numba import njit

from harambee.ledger.memory import reserved
from harambee.ledger.records import readable

CLOCK: Final = 0
VOTED: Final = 1
CERTIFIED: Final = 2

WINDOW_MAX: Final = 1 << 16
WINDOW_MIN: Final = 1 << 8
ROW_BUDGET: Final = 1 << 25
"""About how many bytes the rows of a whole network may take; decides the window."""
NEVER: Final = (1 << 31) - 1
"""The height of a vote that was not cast: above every block."""
LANES_MORE: Final = 8
"""For at least how many more lanes room is made when there is none."""

_LANE_WRITTEN: Final = struct.Struct("<iiii")

KEPT: Final = np.dtype([("digest", "u1", 32), ("orders", "<u4")])
"""What is kept of a block beside its rows."""

Heights = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Lane:
    """One unforked run of an author's blocks: heights above `base`, on top of its parent's up to `base`."""

    author: int
    incarnation: int
    parent: int
    """The lane on which it stands; -1 where it begins a chain."""
    base: int
    """The highest block that belongs to the parent; 0 where it begins a chain."""


class RowsMemory(Protocol):
    """What replicas of one process know of blocks' pasts, by what names a block and the lanes counted."""

    def get(self, name: bytes, /) -> Rows | None:
        """The rows (3, lanes) of a block, if somebody has computed them whole and they are not forgotten."""

    def put(self, name: bytes, rows: Rows, /) -> None:
        """Remember rows, which nobody writes to any more."""


def window_for(members: int) -> int:
    """How many heights of each lane are kept: a power of two, fewer the larger the committee."""
    row_bytes = 3 * members * np.dtype(np.int32).itemsize + 32
    window = WINDOW_MAX
    while window > WINDOW_MIN and window * members * row_bytes > ROW_BUDGET:
        window >>= 1
    return window


def _reserved(shape: tuple[int, ...], kind: type[np.integer[Any]]) -> npt.NDArray[Any]:
    """Zeros that take memory only where a row is written: a window is wide, and young chains are short."""
    return reserved(math.prod(shape), np.dtype(kind)).reshape(shape)


class Chains:
    """The rows of all lanes' recent blocks. Not thread-safe; belongs to one replica."""

    def __init__(
        self,
        members: int,
        quorum: int,
        window: int | None = None,
        remembered: RowsMemory | None = None,
    ) -> None:
        """`quorum` is q; `window` a power of two, by default what `window_for` says.

        Chains that share what is `remembered` compute a block's rows once: its digest names its whole past,
        so the rows follow from it and from which lane is whose.
        """
        self.members = members
        self.quorum = quorum
        self.window = window or window_for(members)
        assert self.window & (self.window - 1) == 0, "a power of two, so that a mask finds the row"
        self.lanes: list[Lane] = []
        self.lanes_of: list[list[int]] = [[] for _ in range(members)]
        """The lanes of each author, in the order in which they were opened."""
        self.has_more_final = False
        """Whether the newest block has made more of some lane final."""
        self.current: list[int] = list(range(members))
        """The lane of each author that is followed: the first one seen of its newest incarnation."""
        self._heads: Heights = np.zeros(members, np.int64)
        self._final: Heights = np.zeros(members, np.int64)
        self._author_of: npt.NDArray[np.int64] = np.zeros(members, np.int64)
        self._bases: Heights = np.zeros(members, np.int64)
        self.followed: Heights = np.zeros((2, members), np.int64)
        """For each author `current`, and that lane's incarnation."""
        self.several: set[int] = set()
        """The authors that have more than one lane."""
        self._acknowledged: npt.NDArray[np.int32] = np.zeros((members, members), np.int32)
        """(authors, lanes): the highest block of each lane that an author acknowledges."""
        self._beyond: npt.NDArray[np.int32] = np.zeros(members, np.int32)
        """How many authors acknowledge a higher block of each lane than is final; fewer than q."""
        self._remembered = remembered
        self._layout: bytes | None = b""
        """Says which lanes there are; None where two are of one chain, which others may number otherwise."""
        self._rows: Rows = _reserved((3, self.window, members, members), np.int32)
        self._digests: npt.NDArray[np.uint8] = _reserved((members, self.window, 32), np.uint8)
        self._orders: npt.NDArray[np.uint16] = _reserved((members, self.window), np.uint16)
        """How many orders each block has."""
        for author in range(members):
            self.open_lane(Lane(author, 0, -1, 0))

    # -- lanes ------------------------------------------------------------------------------------

    @property
    def heads(self) -> Heights:
        """Highest block held of each lane (its base if none of its own, so 0 for an empty chain)."""
        return self._heads[: len(self.lanes)]

    @property
    def final(self) -> Heights:
        """Highest block of each lane that is final; 0 for none."""
        return self._final[: len(self.lanes)]

    @property
    def author_of(self) -> Heights:
        """The author of each lane."""
        return self._author_of[: len(self.lanes)]

    def open_lane(self, lane: Lane) -> int:
        """Add a lane, still empty; returns its index."""
        index = len(self.lanes)
        if index == len(self._heads):
            self._grow(index + max(LANES_MORE, self.members // 4))
        self.lanes.append(lane)
        self.lanes_of[lane.author].append(index)
        self._heads[index] = self._bases[index] = lane.base
        self._author_of[index] = lane.author
        if len(self.lanes_of[lane.author]) > 1:
            self.several.add(lane.author)
        if lane.incarnation > self.lanes[self.current[lane.author]].incarnation:
            self.current[lane.author] = index
        self._note_layout(lane)
        self.followed[:, lane.author] = (
            self.current[lane.author],
            self.lanes[self.current[lane.author]].incarnation,
        )
        return index

    def _note_layout(self, lane: Lane) -> None:
        if len(self.lanes) <= self.members:
            return  # the first of each author
        incarnations = [self.lanes[other].incarnation for other in self.lanes_of[lane.author]]
        if self._layout is None or incarnations.count(lane.incarnation) > 1:
            self._layout = None
        else:
            about = (lane.author, lane.incarnation, lane.parent, lane.base)
            self._layout += _LANE_WRITTEN.pack(*about)

    def _grow(self, lanes: int) -> None:
        before = len(self._heads)
        for name in ("_heads", "_final", "_author_of", "_bases"):
            grown = np.zeros(lanes, np.int64)
            grown[:before] = getattr(self, name)
            setattr(self, name, grown)
        acknowledged = np.zeros((self.members, lanes), np.int32)
        acknowledged[:, :before] = self._acknowledged
        beyond = np.zeros(lanes, np.int32)
        beyond[:before] = self._beyond
        rows = _reserved((3, self.window, lanes, lanes), np.int32)
        digests = _reserved((lanes, self.window, 32), np.uint8)
        # Heights come first, so that memory which no block has touched yet stays untouched.
        used = min(int(self._heads.max()) + 1, self.window)
        rows[:, :used, :before, :before] = self._rows[:, :used]
        digests[:before] = self._digests
        orders = _reserved((lanes, self.window), np.uint16)
        orders[:before] = self._orders
        self._acknowledged, self._beyond, self._rows = acknowledged, beyond, rows
        self._digests, self._orders = digests, orders

    def owner(self, lane: int, height: int) -> int:
        """The lane that the block at `height` of this lane's chain belongs to: itself or an ancestor."""
        while height <= self.lanes[lane].base and self.lanes[lane].parent >= 0:
            lane = self.lanes[lane].parent
        return lane

    def line(self, lane: int) -> Iterator[int]:
        """A lane and those on which it stands, down to the first of its incarnation."""
        while lane >= 0:
            yield lane
            lane = self.lanes[lane].parent

    def contains(self, lane: int, height: int, block_lane: int, block_height: int) -> bool:
        """Whether the chain that ends in (lane, height) contains the block (block_lane, block_height)."""
        return block_height <= height and self.owner(lane, block_height) == block_lane

    def forked_in(self, clock: npt.NDArray[np.integer], author: int) -> bool:
        """Whether a past with this clock holds two branches of an author's chain."""
        lanes = self.lanes_of[author]
        if len(lanes) == 1:
            return False
        seen = [(lane, int(clock[lane])) for lane in lanes if clock[lane] > 0]
        return any(
            self.lanes[a].incarnation == self.lanes[b].incarnation
            and not self.contains(a, height_a, b, height_b)
            and not self.contains(b, height_b, a, height_a)
            for a, height_a in seen
            for b, height_b in seen
        )

    # -- blocks -----------------------------------------------------------------------------------

    def covers(self, author: int, incarnation: int, height: int, digest: bytes) -> bool:
        """Whether a block is held, or lies so far below the newest of its lane that nobody can tell."""
        for lane in self.lanes_of[author]:
            about = self.lanes[lane]
            below = about.base < height <= self._heads[lane]
            if about.incarnation == incarnation and below:
                name = self.digest_at(lane, height)
                if name is None or name == digest:
                    return True
        return False

    def digest_at(self, lane: int, height: int) -> bytes | None:
        """The digest of a held block of a lane's chain, or None if it is not held or below the window."""
        if self.several:
            lane = self.owner(lane, height)
        head: int = self._heads.item(lane)
        if not max(0, head - self.window) < height <= head:
            return None
        name: bytes = self._digests[lane, height & (self.window - 1)].tobytes()
        return name

    def newest(self, lanes: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """The digests of these lanes' newest blocks, (k, 32); zeros for a lane without a block of its own."""
        heads = self._heads[lanes]
        digests: npt.NDArray[np.uint8] = self._digests[lanes, heads & (self.window - 1)]
        digests[heads == self._bases[lanes]] = 0
        return digests

    def find(self, author: int, height: int, digest: bytes, incarnation: int = 0) -> int | None:
        """The lane to which a held block belongs, or None if it is not held (or below the window)."""
        for lane in self.lanes_of[author]:
            if self.lanes[lane].incarnation != incarnation or height <= self.lanes[lane].base:
                continue
            if self.digest_at(lane, height) == digest:
                return lane
        return None

    def find_all(self, names: npt.NDArray[np.void]) -> tuple[Heights, bool]:
        """The lane of each named block, (k,), -1 where it is not held; and whether all are.

        `names` is a REFERENCE array (k,).
        """
        lanes = np.empty(len(names), np.int64)
        missing: int = _find_followed(
            readable(names, names.dtype),
            self.followed,
            self._heads,
            self._bases,
            self._digests,
            self.window,
            lanes,
        )
        if missing and self.several:
            for at in np.flatnonzero(lanes < 0).tolist():
                name = names[at]
                author = int(name["author"])
                if author in self.several:
                    found = self.find(
                        author,
                        int(name["height"]),
                        name["digest"].tobytes(),
                        int(name["incarnation"]),
                    )
                    lanes[at] = -1 if found is None else found
            missing = int((lanes < 0).sum())
        return lanes, not missing

    def row(self, lane: int, height: int) -> Rows:
        """The three rows (3, lanes) of a held block inside the window; a view."""
        lane = self.owner(lane, height)
        assert 0 < height <= self._heads[lane]
        row: Rows = self._rows[:, height & (self.window - 1), lane, : len(self.lanes)]
        return row

    def head_row(self, lane: int) -> Rows:
        """The rows (3, lanes) of the lane's newest block; zeros if there is none."""
        height = int(self._heads[lane])
        return self.row(lane, height) if height else np.zeros((3, len(self.lanes)), np.int32)

    def clock_before(self, lane: int) -> npt.NDArray[np.int32]:
        """The clock of the block before the lane's newest one, (lanes,); zeros if that begins a chain."""
        height = int(self._heads[lane])
        if height <= 1:
            return np.zeros(len(self.lanes), np.int32)
        clock: npt.NDArray[np.int32] = self.row(lane, height - 1)[CLOCK].copy()
        return clock

    def clocks(self) -> Rows:
        """The clock of each lane's newest block, (lanes, lanes); zeros for a lane without a block."""
        lanes = np.arange(len(self.lanes))
        clocks: Rows = self._rows[CLOCK, self.heads & (self.window - 1), lanes, : len(lanes)]
        clocks[self.heads == self._bases[: len(lanes)]] = 0
        return clocks

    def clock_over(self, blocks: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """The clock of the union of held blocks' pasts, (lanes,); `blocks` are (lane, height), (k, 2)."""
        blocks = self._in_own_lanes(blocks)
        rows = self._rows[CLOCK, blocks[:, 1] & (self.window - 1), blocks[:, 0], : len(self.lanes)]
        clock: npt.NDArray[np.int32] = rows.max(axis=0)
        return clock

    def _in_own_lanes(self, blocks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Blocks as (lane, height), (k, 2), of which some may lie in a lane on which theirs stands."""
        if self.several and (blocks[:, 1] <= self._bases[blocks[:, 0]]).any():
            return np.array(
                [(self.owner(lane, height), height) for lane, height in blocks.tolist()]
            )
        return blocks

    def clock_above(self, lanes: list[int]) -> npt.NDArray[np.int32]:
        """The clock of a block that references the newest blocks of these lanes, (lanes,)."""
        clock: npt.NDArray[np.int32] = self.clocks()[lanes].max(axis=0)
        return clock

    def extend(
        self,
        lane: int,
        digest: bytes,
        references: npt.NDArray[np.int64],
        newly: npt.NDArray[np.int64] | None = None,
        orders: int = 0,
    ) -> npt.NDArray[np.int64]:
        """Add the lane's next block; `references` are (lane, height), (k, 2), held, extending earlier ones.

        It has so many `orders`, and `newly` is what this returns, where that is known.

        Returns what it newly votes on besides itself: (lane, first, last) of heights, (k, 3), ascending.
        """
        height = int(self._heads[lane]) + 1
        self._digests[lane, height & (self.window - 1)] = np.frombuffer(digest, np.uint8)
        self._orders[lane, height & (self.window - 1)] = orders
        if newly is None:
            newly = self._newly(self.head_row(lane)[VOTED], references)
        row = self._rows[:, height & (self.window - 1), lane, : len(self.lanes)]
        if self._remembered is None or self._layout is None:
            self._know(lane, references, newly)
        elif (known := self._remembered.get(name := self._layout + digest)) is not None:
            row[:] = known
        elif self._know(lane, references, newly):
            self._remembered.put(name, row.copy())
        self._heads[lane] = height
        author = self._author_of[lane]
        self.has_more_final = _acknowledge(
            row[CERTIFIED], self._acknowledged, author, self._beyond, self._final, self.quorum
        )
        return newly

    def _know(
        self, lane: int, references: npt.NDArray[np.int64], newly: npt.NDArray[np.int64]
    ) -> bool:
        """Compute the rows of the lane's next block; whether no row that they need was forgotten here.

        Others may only be given what is whole: with less than they know of the block before it, what a lane
        acknowledges would fall with its height.
        """
        held = self._in_own_lanes(references)
        is_whole: bool = _know(
            self._rows,
            self._heads,
            self._author_of,
            len(self.lanes),
            self.members,
            self.window - 1,
            self.quorum,
            lane,
            self.owner(lane, int(self._heads[lane])),
            held,
            newly,
        )
        return is_whole

    # -- what a frame has of them (frame.py) ------------------------------------------------------

    @property
    def acknowledged(self) -> npt.NDArray[np.int32]:
        """The highest block of each lane that each author acknowledges, (members, lanes)."""
        return self._acknowledged[:, : len(self.lanes)]

    def kept_heights(self, lane: int) -> npt.NDArray[np.int64]:
        """The heights of the lane's own blocks whose rows are kept, ascending."""
        head = int(self._heads[lane])
        return np.arange(max(self.lanes[lane].base, head - self.window) + 1, head + 1)

    def kept_of(self, lane: int) -> tuple[npt.NDArray[np.void], Rows]:
        """What is kept of the lane's own blocks: KEPT records, (k,), and rows, (k, 3, lanes)."""
        places = self.kept_heights(lane) & (self.window - 1)
        kept = np.zeros(len(places), KEPT)
        kept["digest"], kept["orders"] = self._digests[lane, places], self._orders[lane, places]
        rows: Rows = self._rows[:, places, lane, : len(self.lanes)].transpose(1, 0, 2)
        return kept, rows

    def keep(self, lane: int, kept: npt.NDArray[np.void], rows: Rows) -> None:
        """Take what `kept_of` returned, into a lane that ends where that one did."""
        places = self.kept_heights(lane) & (self.window - 1)
        self._digests[lane, places] = kept["digest"]
        self._orders[lane, places] = kept["orders"]
        self._rows[:, places, lane, : len(self.lanes)] = rows.transpose(1, 0, 2)

    def begin_at(self, heads: Heights, final: Heights, acknowledged: npt.NDArray[np.int32]) -> None:
        """Let every lane end at these heights, (lanes,); its rows are to follow by `keep`."""
        lanes = len(self.lanes)
        self._heads[:lanes], self._final[:lanes] = heads, final
        self._acknowledged[:, :lanes] = acknowledged
        self._beyond[:lanes] = (acknowledged > final).sum(axis=0)

    def become(self, other: "Chains") -> None:
        """Be what another one is, which is not to be used any more; what is remembered stays."""
        assert (self.members, self.quorum, self.window) == (
            other.members,
            other.quorum,
            other.window,
        )
        vars(self).update(vars(other) | {"_remembered": self._remembered})

    def orders_at(self, lane: int, height: int) -> int:
        """How many orders a kept block has."""
        return int(self._orders[lane, height & (self.window - 1)])

    def new_votes(
        self, names: npt.NDArray[np.void], lanes: Heights, voted: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
        """What a block references and newly votes on, (k, 2) and (k, 3) as `extend` has them.

        `names`, (k,), are found in these `lanes`, and its author has `voted` so far. For chains of one lane
        for each author. None where a reference does not extend the one before it.
        """
        assert not self.several
        references = np.empty((len(names), 2), np.int64)
        newly = np.empty((len(names), 3), np.int64)
        extends = _new_votes(readable(names, names.dtype), lanes, voted, references, newly)
        return (references, newly) if extends else None

    def _newly(
        self, before: npt.NDArray[np.int32], references: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """(lane, first, last) of what references vote on that a chain with these votes has not, (k, 3)."""
        to, last = references[:, 0], references[:, 1]
        if not self._bases[to].any():
            first = before[to].astype(np.int64) + 1
            parts = np.stack((to, first, last), axis=1)[last >= first]
            return np.ascontiguousarray(parts[np.argsort(parts[:, 0])])
        voted: dict[int, int] = {}
        for lane, height in references.tolist():
            part, reach = lane, height
            while part >= 0:
                voted[part] = max(voted.get(part, 0), reach)
                reach, part = self.lanes[part].base, self.lanes[part].parent
        found = [
            (part, max(int(before[part]), self.lanes[part].base) + 1, reach)
            for part, reach in sorted(voted.items())
            if reach > max(int(before[part]), self.lanes[part].base)
        ]
        return np.array(found, np.int64).reshape(-1, 3)

    def certified_if_referenced(self) -> Heights:
        """What a block would certify, per lane, that referenced every head held now."""
        return _certified_now(
            self._rows,
            self._heads,
            self._author_of,
            len(self.lanes),
            self.members,
            self.window - 1,
            self.quorum,
        )

    def acknowledging(self, clocks: Rows, ballots: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Which pasts hold the votes of q authors, (k, lanes).

        `clocks` are (lanes, lanes), a past for each lane; `ballots` (k, lanes) say by which block a lane
        votes, NEVER where it does not.
        """
        found = np.zeros(ballots.shape, np.bool_)
        _acknowledging(ballots, clocks, self.author_of, self.members, self.quorum, found)
        return found

    def are_enough(self, voting: npt.NDArray[np.bool_]) -> bool:
        """Whether these lanes are of q authors; `voting` (k,) is of the first k lanes."""
        lanes = np.flatnonzero(voting)
        # Every author has a lane, so no more of these can share an author than there are lanes besides.
        if len(lanes) < self.quorum or len(lanes) - self.quorum >= len(self.lanes) - self.members:
            return len(lanes) >= self.quorum
        return len(set(self.author_of[lanes].tolist())) >= self.quorum

    def first_votes(self, on: int, height: int) -> npt.NDArray[np.int32]:
        """For each lane the block by which it first votes on block (on, height), NEVER if it does not.

        A vote below the window is taken for one at its lowest height: later than it was, never earlier.
        """
        return self._first_reaching(VOTED, on, height)

    def first_acknowledgements(self, on: int, height: int) -> npt.NDArray[np.int32]:
        """For each lane the block by which it first acknowledges block (on, height), as `first_votes`."""
        return self._first_reaching(CERTIFIED, on, height)

    def lowest_kept(self, lane: int) -> int:
        """The lowest of the lane's own heights whose rows are kept; what lies below is not known."""
        return int(max(self._bases[lane], self._heads[lane] - self.window)) + 1

    def _first_reaching(self, what: int, on: int, height: int) -> npt.NDArray[np.int32]:
        found = np.empty(len(self.lanes), np.int32)
        _first_reaching(self._rows[what], self._heads, self._bases, self.window, on, height, found)
        return found


@njit(cache=True)
def _reach(reached: npt.NDArray[np.int32], row: npt.NDArray[np.int32]) -> None:
    """Raise an author's heights to those of one of its lanes."""
    for c in range(reached.shape[0]):
        reached[c] = max(reached[c], row[c])


@njit(cache=True)
def _raise_to_quorum(reached: Rows, quorum: int, heights: npt.NDArray[np.int32]) -> None:
    """Raise each lane's height to the one that q authors have reached; `reached` is (authors, lanes).

    Bisection on all lanes at once, so that every step is one pass over rows as they lie in memory.
    """
    lanes = reached.shape[1]
    low = heights.copy()
    high = heights.copy()
    for a in range(reached.shape[0]):
        for c in range(lanes):
            high[c] = max(high[c], reached[a, c])
    middle = np.empty(lanes, np.int32)
    count = np.empty(lanes, np.int32)
    widest = np.int32(0)
    for c in range(lanes):
        widest = max(widest, high[c] - low[c])
    while widest > 0:
        for c in range(lanes):
            middle[c] = low[c] + ((high[c] - low[c] + 1) >> 1)
            count[c] = 0
        for a in range(reached.shape[0]):
            for c in range(lanes):
                count[c] += np.int32(reached[a, c] >= middle[c])
        widest = np.int32(0)
        for c in range(lanes):
            if count[c] >= quorum:
                low[c] = middle[c]
            else:
                high[c] = max(low[c], middle[c] - 1)
            widest = max(widest, high[c] - low[c])
    heights[:] = low


@njit(cache=True)
def _know(
    rows: Rows,
    heads: Heights,
    author_of: Heights,
    lanes: int,
    members: int,
    mask: int,
    quorum: int,
    lane: int,
    previous_lane: int,
    references: npt.NDArray[np.int64],
    newly: npt.NDArray[np.int64],
) -> bool:
    """Write the rows of a lane's next block; returns whether all rows that they need are kept."""
    height = heads[lane] + 1
    row = rows[:, height & mask, lane, :lanes]
    if height > 1:
        row[:] = rows[:, (height - 1) & mask, previous_lane, :lanes]
    else:
        row[:] = 0
    for k in range(references.shape[0]):
        _reach(row[0], rows[0, references[k, 1] & mask, references[k, 0], :lanes])
    for k in range(newly.shape[0]):
        row[1, newly[k, 0]] = newly[k, 2]
    row[0, lane] = height
    row[1, lane] = height
    reached = np.zeros((members, lanes), np.int32)
    is_whole = True
    for a in range(lanes):
        seen = row[0, a]
        if seen == 0:
            continue
        if heads[a] - seen <= mask:
            _reach(reached[author_of[a]], rows[1, seen & mask, a, :lanes])
        else:
            is_whole = False
    _raise_to_quorum(reached, quorum, row[2])
    return is_whole


@njit(cache=True)
def _acknowledge(
    certified: npt.NDArray[np.int32],
    acknowledged: Rows,
    author: int,
    beyond: npt.NDArray[np.int32],
    final: Heights,
    quorum: int,
) -> bool:
    """Count what a new block of an author acknowledges; raise what is final where q authors have.

    Returns whether anything was raised. A lane's height is looked for only once q authors are beyond it: by
    bisection of what they acknowledge.
    """
    raised = False
    for c in range(certified.shape[0]):
        before, after = acknowledged[author, c], certified[c]
        if after <= before:
            continue
        acknowledged[author, c] = after
        if not before <= final[c] < after:
            continue
        beyond[c] += 1
        if beyond[c] < quorum:
            continue
        low, high = final[c] + 1, final[c] + 1
        for a in range(acknowledged.shape[0]):
            high = max(high, np.int64(acknowledged[a, c]))
        while low < high:
            middle = low + ((high - low + 1) >> 1)
            count = 0
            for a in range(acknowledged.shape[0]):
                count += int(acknowledged[a, c] >= middle)
            if count >= quorum:
                low = middle
            else:
                high = middle - 1
        final[c] = low
        raised = True
        count = 0
        for a in range(acknowledged.shape[0]):
            count += int(acknowledged[a, c] > low)
        beyond[c] = count
    return raised


@njit(cache=True)
def _certified_now(
    rows: Rows,
    heads: Heights,
    author_of: Heights,
    lanes: int,
    members: int,
    mask: int,
    quorum: int,
) -> Heights:
    reached = np.zeros((members, lanes), np.int32)
    for a in range(lanes):
        _reach(reached[author_of[a]], rows[1, heads[a] & mask, a, :lanes])
    certified = np.zeros(lanes, np.int32)
    _raise_to_quorum(reached, quorum, certified)
    return certified.astype(np.int64)


@njit(cache=True)
def _find_followed(
    names: npt.NDArray[np.void],
    followed: Heights,
    heads: Heights,
    bases: Heights,
    digests: npt.NDArray[np.uint8],
    window: int,
    found: npt.NDArray[np.int64],
) -> int:
    """The lane that is followed of each name's author, where the named block lies in it; else -1.

    Returns how many are not found.
    """
    missing = names.shape[0]
    for k in range(names.shape[0]):
        author = names[k]["author"]
        height = np.int64(names[k]["height"])
        lane = followed[0, author]
        found[k] = -1
        if followed[1, author] != names[k]["incarnation"]:
            continue
        if not bases[lane] < height <= heads[lane] or heads[lane] - height >= window:
            continue
        held = digests[lane, height & (window - 1)]
        same = True
        for i in range(32):
            same = same and held[i] == names[k]["digest"][i]
        if same:
            found[k] = lane
            missing -= 1
    return int(missing)


@njit(cache=True)
def _new_votes(
    names: npt.NDArray[np.void],
    lanes: Heights,
    voted: npt.NDArray[np.int32],
    references: npt.NDArray[np.int64],
    newly: npt.NDArray[np.int64],
) -> bool:
    """Write (lane, height) of each name, and (lane, first, last) of what it votes on beyond these votes.

    False where one does not extend what was referenced before.
    """
    for k in range(names.shape[0]):
        lane, height = lanes[k], np.int64(names[k]["height"])
        references[k, 0], references[k, 1] = lane, height
        newly[k, 0], newly[k, 1], newly[k, 2] = lane, voted[lane] + 1, height
        if height <= voted[lane]:
            return False
    return True


@njit(cache=True, nogil=True)
def _first_reaching(
    rows: Rows,
    heads: Heights,
    bases: Heights,
    window: int,
    on: int,
    height: int,
    found: npt.NDArray[np.int32],
) -> None:
    for lane in range(found.shape[0]):
        head = heads[lane]
        low = max(bases[lane], head - window) + 1
        found[lane] = NEVER
        if low > head or rows[head & (window - 1), lane, on] < height:
            continue
        high = head
        while low < high:
            middle = (low + high) // 2
            if rows[middle & (window - 1), lane, on] >= height:
                high = middle
            else:
                low = middle + 1
        found[lane] = low


@njit(cache=True, nogil=True)
def holds_quorum(
    ballot: npt.NDArray[np.int32],
    clock: npt.NDArray[np.int32],
    author_of: Heights,
    members: int,
    quorum: int,
    counted: npt.NDArray[np.bool_],
) -> bool:
    """Whether a past with this clock (lanes,) holds the votes of q authors.

    `counted` (members,) is for the kernel to write to.
    """
    lanes = clock.shape[0]
    count = np.int32(0)
    for c in range(members):
        count += np.int32(clock[c] >= ballot[c])
    if lanes > members and count < quorum:
        # An author counts once, by whichever of its lanes.
        counted[:] = False
        for c in range(members, lanes):
            author = author_of[c]
            if clock[c] >= ballot[c] and clock[author] < ballot[author] and not counted[author]:
                counted[author] = True
                count += 1
    return bool(count >= quorum)


@njit(cache=True, nogil=True)
def _acknowledging(
    ballots: Rows,
    clocks: Rows,
    author_of: Heights,
    members: int,
    quorum: int,
    found: npt.NDArray[np.bool_],
) -> None:
    counted = np.zeros(members, np.bool_)
    for k in range(ballots.shape[0]):
        for a in range(clocks.shape[0]):
            found[k, a] = holds_quorum(ballots[k], clocks[a], author_of, members, quorum, counted)
