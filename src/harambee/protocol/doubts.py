"""Orders that somebody refused, in slots where nothing else happened: counted by block and refusers.

A refusal alone makes no fight: the slot has one order, in one block, and nobody fenced it. Then everybody
who voted on the block voted for the order, but for those who refused it; so all orders of a block that the
same lanes refused stand or fall together, and one count serves them all. A super-agent that refuses whatever
it is shown costs the others a count for each block, and not one for each order.

As soon as more happens in such a slot (another order, another block, a fence, a vote), it becomes a dispute
(`disputes.py`), which takes over every vote that is noted here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from harambee.ledger.memory import reserved
from harambee.protocol.chains import NEVER, Chains, Rows
from harambee.protocol.disputes import Place
from harambee.protocol.slot import Slot

Ballot = npt.NDArray[np.int32]


@dataclass(slots=True)
class Group:
    """Orders of one block that the same lanes refuse."""

    ballot: Ballot
    """(lanes,): the height at which a lane votes for them, NEVER where it does not."""
    rows: list[int]
    certified: bool = False
    """Whether q authors vote for them."""

    def is_certified(self, chains: Chains) -> bool:
        """Whether q authors vote for them, in all held blocks; once they do, they do."""
        ballot = self.ballot[: len(chains.lanes)]
        self.certified = self.certified or chains.are_enough(ballot != NEVER)
        return self.certified


@dataclass(slots=True)
class Doubt:
    """One block with orders that somebody refused."""

    lane: int
    height: int
    votes: dict[int, int]
    """The height at which a lane votes on the block, by lane."""
    refusers: dict[int, int] = field(default_factory=dict)
    """By row, the lanes whose vote on the block leaves it out: bit = lane."""
    slots: dict[int, Slot] = field(default_factory=dict)
    """By row."""
    _groups: list[Group] | None = None

    def add(self, row: int, slot: Slot) -> None:
        """An order is refused for the first time; who voted before, voted for it."""
        self.refusers[row] = 0
        self.slots[row] = slot
        self._groups = None

    def drop(self, rows: Iterable[int]) -> None:
        """These orders are decided, or counted elsewhere."""
        for row in rows:
            del self.refusers[row]
            del self.slots[row]
        self._groups = None

    def cast(self, lane: int, height: int, refused: Iterable[int]) -> None:
        """A lane's block votes on this one, leaving out the refused rows."""
        if lane in self.votes:
            return
        self.votes[lane] = height
        for row in refused:
            if row in self.refusers:
                self.refusers[row] |= 1 << lane
                self._groups = None
        for group in self._groups or ():
            if lane < len(group.ballot):
                group.ballot[lane] = height

    def votes_for(self, row: int) -> dict[int, int]:
        """The height at which a lane votes for an order, by lane."""
        refusers = self.refusers[row]
        return {lane: at for lane, at in self.votes.items() if not refusers >> lane & 1}

    def groups(self, lanes: int) -> list[Group]:
        """Its orders by who refuses them; `lanes` is how many there are by now."""
        if self._groups is None or len(self._groups[0].ballot) < lanes:
            everybody = np.full(lanes, NEVER, np.int32)
            everybody[list(self.votes)] = list(self.votes.values())
            found: dict[int, Group] = {}
            for row, refusers in self.refusers.items():
                group = found.get(refusers)
                if group is None:
                    ballot = everybody.copy()
                    ballot[[lane for lane in self.votes if refusers >> lane & 1]] = NEVER
                    group = found[refusers] = Group(ballot, [])
                group.rows.append(row)
            self._groups = list(found.values())
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

    def doubted(self, orders: npt.NDArray[np.void]) -> list[Slot]:
        """In which doubted slots these orders lie."""
        if not self._by_slot:
            return []
        payers = orders["payer"]
        inside = np.flatnonzero(payers < len(self._marked))
        rows = inside[self._marked[payers[inside]]]
        slots = (Slot.of(orders[row]) for row in rows.tolist())
        return [slot for slot in slots if slot in self._by_slot]

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

    def cast_votes(
        self,
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
                    doubt.cast(lane, height, refused.get((on, at), ()))

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
        lanes = len(chains.lanes)
        return [
            (doubt, group)
            for doubt in self.all()
            if len(doubt.votes) >= chains.quorum
            for group in doubt.groups(lanes)
            if group.is_certified(chains)
        ]


def acknowledging(chains: Chains, clocks: Rows, groups: list[Group]) -> npt.NDArray[np.bool_]:
    """Which authors acknowledge each group in some held block, (groups, members).

    `clocks` are `Chains.clocks()`: what a lane acknowledges only grows, so its newest block speaks for it.
    """
    lanes = len(chains.lanes)
    ballots = np.empty((len(groups), lanes), np.int32)
    for k, group in enumerate(groups):
        ballots[k] = group.ballot[:lanes]
    seen = chains.acknowledging(clocks, ballots)
    found = np.zeros((len(groups), chains.members), np.bool_)
    for lane, author in enumerate(chains.author_of.tolist()):
        found[:, author] |= seen[:, lane]
    return found
