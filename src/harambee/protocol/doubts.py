"""Orders that somebody refused, in slots where nothing else happened: counted by block and refusers.

A refusal alone makes no fight: the slot has one order, in one block, and nobody opened it. Then everybody
who voted on the block voted for the order, but for those who refused it; so all orders of a block that the
same lanes refused stand or fall together, and one count serves them all. A super-agent that refuses whatever
it is shown costs the others a count for each block, and not one for each order.

So it is with one that lost its disk and **abstains** (`reentry.py`): from that block of its chain on it
votes for the order no more, nor does it acknowledge it, but for what it acknowledged before. That is known
when it abstains: so all orders of a block that the same lanes refuse and abstain from, having acknowledged
them or not, stand or fall together, however many blocks an author takes to say so.

As soon as more happens in such a slot (another order, another block, a fence for a view, a vote), it becomes
a dispute (`disputes.py`), which takes over all that is noted here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from harambee.ledger.memory import reserved
from harambee.protocol.chains import CLOCK, NEVER, Chains, Rows
from harambee.protocol.disputes import Clock, Place
from harambee.protocol.slot import Slot

Ballot = npt.NDArray[np.int32]


@dataclass(slots=True, eq=False)
class Abstention:
    """A block by which its author takes no part any more in some slots."""

    lane: int
    height: int
    clock_before: Clock
    """The clock of the block before it: the last of its chain that acknowledges."""
    clock: Clock
    _silenced: tuple[int, int] = (0, 0)
    """How many lanes there were, and which of them it lies below: bit = lane."""

    @classmethod
    def by_newest(cls, chains: Chains, lane: int) -> "Abstention":
        """One by the newest block of a lane."""
        clock = chains.head_row(lane)[CLOCK].copy()
        return cls(lane, int(chains.heads[lane]), chains.clock_before(lane), clock)

    def silenced(self, chains: Chains) -> int:
        """The lanes whose newest blocks are of its chain, itself or above it: bit = lane."""
        lanes = len(chains.lanes)
        if self._silenced[0] != lanes:
            branches = sum(
                1 << lane
                for lane in range(chains.members, lanes)
                if chains.contains(lane, int(chains.heads[lane]), self.lane, self.height)
            )
            self._silenced = lanes, 1 << self.lane | branches
        return self._silenced[1]


@dataclass(slots=True)
class Group:
    """Orders of one block that the same lanes refuse, and abstain from alike."""

    ballot: Ballot
    """(lanes,): the height at which a lane votes for them, NEVER where it does not."""
    rows: dict[int, None]
    silenced: int = 0
    """The lanes that abstain: bit = lane."""
    acknowledging: int = 0
    """Those of them that acknowledged before."""
    certified: bool = False
    """Whether q authors vote for them."""

    def is_certified(self, chains: Chains) -> bool:
        """Whether q authors vote for them, in all held blocks; once they do, they do."""
        ballot = self.ballot[: len(chains.lanes)]
        self.certified = self.certified or chains.are_enough(ballot != NEVER)
        return self.certified

    def is_certified_in(self, chains: Chains, clock: Clock) -> bool:
        """Whether the votes of q authors lie in a past with this clock."""
        return chains.are_enough(self.ballot[: len(clock)] <= clock)

    def mend(self, seen: npt.NDArray[np.bool_]) -> None:
        """Who abstains acknowledges only what it did before.

        `seen` (lanes,), whose newest blocks have the certificate in their past, is written to.
        """
        if self.silenced:
            for lane in range(len(seen)):
                if self.silenced >> lane & 1:
                    seen[lane] = self.acknowledging >> lane & 1


@dataclass(slots=True)
class Doubt:
    """One block with orders that somebody refused or abstains from."""

    lane: int
    height: int
    votes: dict[int, int]
    """The height at which a lane votes on the block, by lane."""
    refusers: dict[int, int] = field(default_factory=dict)
    """By row, the lanes whose vote on the block leaves it out: bit = lane."""
    slots: dict[int, Slot] = field(default_factory=dict)
    """By row."""
    abstentions: dict[int, tuple[Abstention, ...]] = field(default_factory=dict)
    """By row the blocks that abstain in its slot, no two of one chain;"""
    acknowledging: dict[int, int] = field(default_factory=dict)
    """and the lanes of those that acknowledged the order before: bit = lane."""
    _groups: dict[tuple[int, int, int], Group] | None = None
    """By refusers, who abstains, and who of them acknowledged before."""
    _lanes: int = 0
    """How many lanes there were when they were found."""

    def add(self, row: int, slot: Slot) -> None:
        """An order is refused for the first time, or abstained from; who voted before, voted for it."""
        self.refusers[row] = 0
        self.slots[row] = slot
        self._groups = None

    def drop(self, rows: Iterable[int]) -> None:
        """These orders are decided, or counted elsewhere."""
        for row in rows:
            del self.refusers[row]
            del self.slots[row]
            self.abstentions.pop(row, None)
            self.acknowledging.pop(row, None)
        self._groups = None

    def abstains(self, chains: Chains, lane: int, row: int) -> bool:
        """Whether a lane's newest block abstains in the slot of an order, or stands on one that does."""
        found = self.abstentions.get(row, ())
        return any(abstention.silenced(chains) >> lane & 1 for abstention in found)

    def abstain(self, chains: Chains, rows: list[int], abstention: Abstention) -> None:
        """A lane's newest block abstains in the slots of these orders, in which its chain had not.

        They change their groups one by one: a liar may abstain in one of very many with each of its blocks.
        """
        groups, lane = self._grouped(chains), 1 << abstention.lane
        acknowledges: dict[tuple[int, int, int], bool] = {}
        for row in rows:
            key = self._key(chains, row)
            group = groups[key]
            if key not in acknowledges:
                acknowledges[key] = group.is_certified_in(chains, abstention.clock_before)
            del group.rows[row]
            self.abstentions[row] = (*self.abstentions.get(row, ()), abstention)
            if acknowledges[key]:
                self.acknowledging[row] = self.acknowledging.get(row, 0) | lane
            other = self._key(chains, row)
            if other not in groups:
                certified = group.certified
                groups[other] = Group(group.ballot.copy(), {}, *other[1:], certified)
            groups[other].rows[row] = None
            if not group.rows:
                del groups[key]

    def cast(self, chains: Chains, lane: int, height: int, refused: Iterable[int]) -> None:
        """A lane's newest block votes on this one, leaving out the refused rows."""
        if lane in self.votes:
            return
        self.votes[lane] = height
        silent = [row for row in self.abstentions if self.abstains(chains, lane, row)]
        for row in (*refused, *silent):
            if row in self.refusers:
                self.refusers[row] |= 1 << lane
                self._groups = None
        if self._groups is not None and lane < self._lanes:
            for group in self._groups.values():
                group.ballot[lane] = height

    def votes_for(self, row: int) -> dict[int, int]:
        """The height at which a lane votes for an order, by lane."""
        refusers = self.refusers[row]
        return {lane: at for lane, at in self.votes.items() if not refusers >> lane & 1}

    def groups(self, chains: Chains) -> list[Group]:
        """Its orders by who refuses them and who abstains."""
        return list(self._grouped(chains).values())

    def _key(self, chains: Chains, row: int) -> tuple[int, int, int]:
        silenced = 0
        for abstention in self.abstentions.get(row, ()):
            silenced |= abstention.silenced(chains)
        return self.refusers[row], silenced, self.acknowledging.get(row, 0)

    def _grouped(self, chains: Chains) -> dict[tuple[int, int, int], Group]:
        lanes = len(chains.lanes)
        if self._groups is None or self._lanes < lanes:
            everybody = np.full(lanes, NEVER, np.int32)
            everybody[list(self.votes)] = list(self.votes.values())
            found: dict[tuple[int, int, int], Group] = {}
            for row, refusers in self.refusers.items():
                key = self._key(chains, row)
                group = found.get(key)
                if group is None:
                    ballot = everybody.copy()
                    ballot[[lane for lane in self.votes if refusers >> lane & 1]] = NEVER
                    group = found[key] = Group(ballot, {}, *key[1:])
                group.rows[row] = None
            self._groups, self._lanes = found, lanes
        return self._groups


class Doubts:
    """All doubted orders, found by slot and by place."""

    def __init__(self, accounts: int) -> None:
        """`accounts` is the number of account rows."""
        self._by_slot: dict[Slot, Place] = {}
        self._by_place: dict[int, dict[int, Doubt]] = {}
        self._marked: npt.NDArray[np.bool_] = reserved(accounts, np.dtype(np.bool_))
        """Payers who have had a doubted order: the quick way to know that one has none."""

    def __len__(self) -> int:
        """How many orders are doubted."""
        return len(self._by_slot)

    def place_of(self, slot: Slot) -> Place | None:
        """Where the doubted order of a slot lies, if it is one."""
        return self._by_slot.get(slot)

    def at(self, lane: int, height: int) -> Doubt | None:
        """The doubt about a block."""
        return self._by_place.get(lane, {}).get(height)

    def all(self) -> list[Doubt]:
        """Every doubted block, lane by lane."""
        return [doubt for heights in self._by_place.values() for doubt in heights.values()]

    def rows_in(self, lane: int, height: int) -> list[int]:
        """Which orders of a block are doubted, ascending."""
        doubt = self.at(lane, height)
        return [] if doubt is None else sorted(doubt.slots)

    def doubted_rows(self, orders: npt.NDArray[np.void]) -> list[int]:
        """Which of these orders lie in doubted slots."""
        if not self._by_slot:
            return []
        payers = orders["payer"]
        inside = np.flatnonzero(payers < len(self._marked))
        rows = inside[self._marked[payers[inside]]]
        return [row for row in rows.tolist() if Slot.of(orders[row]) in self._by_slot]

    def abstains(self, chains: Chains, lane: int, slot: Slot) -> bool:
        """Whether a lane's chain abstains in a doubted slot."""
        at = self._by_slot.get(slot)
        return at is not None and self._by_place[at.lane][at.height].abstains(chains, lane, at.row)

    def add(self, chains: Chains, place: Place, slot: Slot, ignore: tuple[int, int]) -> None:
        """Begin to doubt the one order of a slot.

        Block `ignore` (lane, height), under way now, says itself what it votes for.
        """
        heights = self._by_place.setdefault(place.lane, {})
        doubt = heights.get(place.height)
        if doubt is None:
            votes = {
                lane: at
                for lane, at in enumerate(chains.first_votes(place.lane, place.height).tolist())
                if at != NEVER and (lane, at) != ignore
            }
            doubt = heights[place.height] = Doubt(place.lane, place.height, votes)
        doubt.add(place.row, slot)
        self._by_slot[slot] = place
        self._marked[slot.payer] = True

    def abstain(self, chains: Chains, slots: Iterable[Slot], abstention: Abstention) -> None:
        """A lane's newest block abstains in these doubted slots, but for those in which its chain does so."""
        by_block: dict[tuple[int, int], list[int]] = {}
        for slot in slots:
            if not self.abstains(chains, abstention.lane, slot):
                lane, height, row = self._by_slot[slot]
                by_block.setdefault((lane, height), []).append(row)
        for (lane, height), rows in by_block.items():
            self._by_place[lane][height].abstain(chains, rows, abstention)

    def cast_votes(
        self,
        chains: Chains,
        lane: int,
        height: int,
        votes_on: Iterable[tuple[int, int, int]],
        refused: dict[tuple[int, int], frozenset[int]],
    ) -> None:
        """Note what a lane's newest block votes for; `votes_on` are (lane, first, last) of heights."""
        if not self._by_slot:
            return
        for on, first, last in votes_on:
            heights = self._by_place.get(on)
            if not heights:
                continue
            for at, doubt in heights.items():
                if first <= at <= last:
                    doubt.cast(chains, lane, height, refused.get((on, at), ()))

    def drop(self, doubt: Doubt, rows: list[int]) -> None:
        """These orders of a block are decided, or counted elsewhere."""
        for row in rows:
            del self._by_slot[doubt.slots[row]]
        doubt.drop(rows)
        if not doubt.slots:
            del self._by_place[doubt.lane][doubt.height]
            if not self._by_place[doubt.lane]:
                del self._by_place[doubt.lane]

    def certified(self, chains: Chains) -> list[tuple[Doubt, Group]]:
        """What q authors voted for, in all held blocks."""
        return [
            (doubt, group)
            for doubt in self.all()
            if len(doubt.votes) >= chains.quorum
            for group in doubt.groups(chains)
            if group.is_certified(chains)
        ]


def acknowledging(chains: Chains, clocks: Rows, groups: list[Group]) -> npt.NDArray[np.bool_]:
    """Which authors acknowledge each group in some held block, (groups, members).

    `clocks` are `Chains.clocks()`: what a lane acknowledges only grows, so its newest block speaks for it, as
    long as it does not abstain.
    """
    lanes = len(chains.lanes)
    ballots = np.empty((len(groups), lanes), np.int32)
    for k, group in enumerate(groups):
        ballots[k] = group.ballot[:lanes]
    seen = chains.acknowledging(clocks, ballots)
    for k, group in enumerate(groups):
        group.mend(seen[k])
    found = np.zeros((len(groups), chains.members), np.bool_)
    for lane, author in enumerate(chains.author_of.tolist()):
        found[:, author] |= seen[:, lane]
    return found
