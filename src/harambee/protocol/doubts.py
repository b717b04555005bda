"""Orders that somebody refused, in slots where nothing else happened: counted by block and refusers.

A refusal alone makes no fight: the slot has one order, in one block, and nobody opened it. Then everybody
who voted on the block voted for the order, but for those who refused it; so all orders of a block that the
same lanes refused stand or fall together, and one count serves them all. A super-agent that refuses whatever
it is shown costs the others a count for each block, and not one for each order.

So it is with one that lost its disk and **abstains** (`reentry.py`): from that block of its chain on it
votes for the order no more, nor does it acknowledge it, and all orders of a block in which the same blocks
abstain stand or fall together.

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


@dataclass(frozen=True, slots=True, eq=False)
class Abstention:
    """A block by which its author takes no part any more in some slots."""

    lane: int
    height: int
    clock_before: Clock
    """The clock of the block before it: the last of its chain that acknowledges."""
    clock: Clock

    @classmethod
    def by_newest(cls, chains: Chains, lane: int) -> "Abstention":
        """One by the newest block of a lane."""
        clock = chains.head_row(lane)[CLOCK].copy()
        return cls(lane, int(chains.heads[lane]), chains.clock_before(lane), clock)

    def binds(self, chains: Chains, lane: int, height: int) -> bool:
        """Whether it lies in the chain that ends in (lane, height)."""
        return chains.contains(lane, height, self.lane, self.height)


@dataclass(slots=True)
class Group:
    """Orders of one block that the same lanes refuse, and in which the same blocks abstain."""

    ballot: Ballot
    """(lanes,): the height at which a lane votes for them, NEVER where it does not."""
    rows: list[int]
    abstentions: tuple[Abstention, ...] = ()
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

    def abstains(self, chains: Chains, lane: int) -> bool:
        """Whether a lane's newest block acknowledges them no more."""
        height = int(chains.heads[lane])
        return any(abstention.binds(chains, lane, height) for abstention in self.abstentions)

    def mend(self, chains: Chains, seen: npt.NDArray[np.bool_]) -> None:
        """Who abstains acknowledges what its last block before that did.

        `seen` (lanes,), whose newest blocks have its certificate in their past, is written to.
        """
        branches = range(chains.members, len(chains.lanes))
        for abstention in self.abstentions:
            for lane in {abstention.lane, *branches}:
                if seen[lane] and abstention.binds(chains, lane, int(chains.heads[lane])):
                    before = lane == abstention.lane
                    seen[lane] = before and self.is_certified_in(chains, abstention.clock_before)


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
    abstentions: dict[Abstention, set[int]] = field(default_factory=dict)
    """The rows in whose slots a block abstains."""
    _groups: list[Group] | None = None

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
        for abstention, silent in list(self.abstentions.items()):
            silent.difference_update(rows)
            if not silent:
                del self.abstentions[abstention]
        self._groups = None

    def abstain(self, row: int, abstention: Abstention) -> None:
        """A block abstains in the slot of an order."""
        self.abstentions.setdefault(abstention, set()).add(row)
        self._groups = None

    def abstentions_in(self, row: int) -> tuple[Abstention, ...]:
        """The blocks that abstain in the slot of an order."""
        return tuple(found for found, rows in self.abstentions.items() if row in rows)

    def cast(self, chains: Chains, lane: int, height: int, refused: Iterable[int]) -> None:
        """A lane's block votes on this one, leaving out the refused rows."""
        if lane in self.votes:
            return
        self.votes[lane] = height
        silent = (
            row
            for abstention, rows in self.abstentions.items()
            if abstention.binds(chains, lane, height)
            for row in rows
        )
        for row in (*refused, *silent):
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
        """Its orders by who refuses them and abstains; `lanes` is how many there are by now."""
        if self._groups is None or len(self._groups[0].ballot) < lanes:
            everybody = np.full(lanes, NEVER, np.int32)
            everybody[list(self.votes)] = list(self.votes.values())
            found: dict[tuple[int, tuple[Abstention, ...]], Group] = {}
            for row, refusers in self.refusers.items():
                abstentions = self.abstentions_in(row)
                group = found.get((refusers, abstentions))
                if group is None:
                    ballot = everybody.copy()
                    ballot[[lane for lane in self.votes if refusers >> lane & 1]] = NEVER
                    group = found[refusers, abstentions] = Group(ballot, [], abstentions)
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
        if at is None:
            return False
        found = self._by_place[at.lane][at.height].abstentions_in(at.row)
        return any(a.binds(chains, lane, int(chains.heads[lane])) for a in found)

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

    def abstain(self, chains: Chains, slot: Slot, abstention: Abstention) -> None:
        """A lane's newest block abstains in a doubted slot, unless its chain does so already."""
        if not self.abstains(chains, abstention.lane, slot):
            at = self._by_slot[slot]
            self._by_place[at.lane][at.height].abstain(at.row, abstention)

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

    `clocks` are `Chains.clocks()`: what a lane acknowledges only grows, so its newest block speaks for it; or
    where it abstains, the one before that.
    """
    lanes = len(chains.lanes)
    ballots = np.empty((len(groups), lanes), np.int32)
    for k, group in enumerate(groups):
        ballots[k] = group.ballot[:lanes]
    seen = chains.acknowledging(clocks, ballots)
    for k, group in enumerate(groups):
        group.mend(chains, seen[k])
    found = np.zeros((len(groups), chains.members), np.bool_)
    for lane, author in enumerate(chains.author_of.tolist()):
        found[:, author] |= seen[:, lane]
    return found
