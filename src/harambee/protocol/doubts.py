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
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.memory import reserved
from harambee.protocol.chains import CLOCK, NEVER, Chains, Rows
from harambee.protocol.disputes import Clock, Place, between
from harambee.protocol.slot import Slot

Ballot = npt.NDArray[np.int32]

_Key = tuple[int, int, int]
"""Which lanes refuse an order, which abstain, and which of those acknowledged it before: bit = lane."""

_NOTHING: Final[frozenset[int]] = frozenset()


@dataclass(slots=True, eq=False)
class Abstention:
    """A block by which its author takes no part any more in some slots."""

    lane: int
    height: int
    clock_before: Clock
    """The clock of the block before it: the last of its chain that acknowledges."""
    clock: Clock
    silenced: int = 0
    """The lanes whose newest blocks are itself or stand above it, as of the last `look`: bit = lane."""

    @classmethod
    def by_newest(cls, chains: Chains, lane: int) -> "Abstention":
        """One by the newest block of a lane."""
        clock = chains.head_row(lane)[CLOCK].copy()
        made = cls(lane, int(chains.heads[lane]), chains.clock_before(lane), clock)
        made.look(chains)
        return made

    def look(self, chains: Chains) -> None:
        """See which lanes there are by now that stand above it."""
        self.silenced = 1 << self.lane
        for lane in range(chains.members, len(chains.lanes)):
            if chains.contains(lane, int(chains.heads[lane]), self.lane, self.height):
                self.silenced |= 1 << lane


@dataclass(slots=True)
class Group:
    """Orders of one block that the same lanes refuse, and abstain from alike."""

    ballot: Ballot
    """(lanes,): the height at which a lane votes for them, NEVER where it does not."""
    rows: dict[int, None]
    silenced: tuple[int, ...] = ()
    """The lanes that abstain."""
    acknowledging: int = 0
    """Those of them that acknowledged before: bit = lane."""
    certified: bool = False
    """Whether q authors vote for them."""
    acknowledged_by: npt.NDArray[np.bool_] | None = None
    """The authors who acknowledged them when that was last counted, (members,);"""
    missing: int = 0
    """how many were missing then,"""
    counted_at: int = 0
    """and how many blocks were held."""

    def is_due(self, blocks: int, spoke_at: int) -> bool:
        """Whether what is certified may have the acknowledgements of a quorum, or more of one's own by now.

        A block is of one author. `blocks` are held now, and so many were when one spoke last.
        """
        never = self.acknowledged_by is None
        return never or blocks - self.counted_at >= self.missing or self.counted_at < spoke_at

    def count(self, authors: npt.NDArray[np.bool_], quorum: int, blocks: int) -> None:
        """Note who acknowledges them now, when so many blocks are held."""
        self.acknowledged_by, self.counted_at = authors, blocks
        self.missing = quorum - int(authors.sum())

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
        for lane in self.silenced:
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
    _groups: dict[_Key, Group] | None = None
    """None where they are to be found anew."""
    _keys: dict[int, _Key] = field(default_factory=dict)
    """By row the group in which it is."""
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
            self._leave(row)
            del self.refusers[row]
            del self.slots[row]
            self.abstentions.pop(row, None)
            self.acknowledging.pop(row, None)

    def abstains(self, chains: Chains, lane: int, row: int) -> bool:
        """Whether a lane's newest block abstains in the slot of an order, or stands on one that does."""
        if row not in self.abstentions:
            return False
        self._grouped(chains)
        return bool(self._key(row)[1] >> lane & 1)

    def abstain(self, chains: Chains, rows: list[int], abstention: Abstention) -> None:
        """A lane's newest block abstains in the slots of these orders, in which its chain had not."""
        groups, bit = self._grouped(chains), 1 << abstention.lane
        acknowledged: dict[_Key, bool] = {}
        for row in rows:
            key = self._keys[row]
            if key not in acknowledged:
                acknowledged[key] = groups[key].is_certified_in(chains, abstention.clock_before)
            self.abstentions[row] = (*self.abstentions.get(row, ()), abstention)
            if acknowledged[key]:
                self.acknowledging[row] = self.acknowledging.get(row, 0) | bit
            self._move(row)

    def cast(self, chains: Chains, lane: int, height: int, refused: frozenset[int]) -> None:
        """A lane's newest block votes on this one, leaving out the refused rows."""
        if lane in self.votes:
            return
        if self._groups is None and not refused and not self.abstentions:
            self.votes[lane] = height
            return
        left_out = self.refusers.keys() & refused
        if self.abstentions:
            for group in self._grouped(chains).values():
                if lane in group.silenced:
                    left_out.update(group.rows)
        self.votes[lane] = height
        bit, is_grouped = 1 << lane, self._groups is not None and lane < self._lanes
        for row in left_out:
            self.refusers[row] |= bit
            if is_grouped:
                self._move(row)
        if self._groups is not None and is_grouped:
            for (refusers, _, _), group in self._groups.items():
                if not refusers & bit:
                    group.ballot[lane] = height
        else:
            self._groups = None

    def votes_for(self, row: int) -> dict[int, int]:
        """The height at which a lane votes for an order, by lane."""
        refusers = self.refusers[row]
        return {lane: at for lane, at in self.votes.items() if not refusers >> lane & 1}

    def groups(self, chains: Chains) -> list[Group]:
        """Its orders by who refuses them and who abstains."""
        return list(self._grouped(chains).values())

    def _key(self, row: int) -> _Key:
        found = self.abstentions.get(row)
        if found is None:
            return self.refusers[row], 0, 0
        silenced = 0
        for abstention in found:
            silenced |= abstention.silenced
        return self.refusers[row], silenced, self.acknowledging.get(row, 0)

    def _leave(self, row: int) -> Group | None:
        """Take an order out of its group, if it is in one; a group without orders is forgotten."""
        if self._groups is None:
            return None
        key = self._keys.pop(row)
        group = self._groups[key]
        del group.rows[row]
        if not group.rows:
            del self._groups[key]
        return group

    def _move(self, row: int) -> None:
        """Put an order into the group that is now its own.

        So a block that says something about few orders of very many costs as little.
        """
        group, key = self._leave(row), self._key(row)
        assert group is not None
        assert self._groups is not None
        if key not in self._groups:
            silenced = _lanes_in(key[1])
            self._groups[key] = Group(group.ballot.copy(), {}, silenced, key[2], group.certified)
        self._groups[key].rows[row] = None
        self._keys[row] = key

    def _grouped(self, chains: Chains) -> dict[_Key, Group]:
        lanes = len(chains.lanes)
        if self._groups is None or self._lanes < lanes:
            for abstention in {a for found in self.abstentions.values() for a in found}:
                abstention.look(chains)
            everybody = np.full(lanes, NEVER, np.int32)
            everybody[list(self.votes)] = list(self.votes.values())
            found: dict[_Key, Group] = {}
            for row, refusers in self.refusers.items():
                key = self._keys[row] = self._key(row)
                group = found.get(key)
                if group is None:
                    ballot = everybody.copy()
                    ballot[[lane for lane in self.votes if refusers >> lane & 1]] = NEVER
                    group = found[key] = Group(ballot, {}, _lanes_in(key[1]), key[2])
                group.rows[row] = None
            self._groups, self._lanes = found, lanes
        return self._groups


def _lanes_in(bits: int) -> tuple[int, ...]:
    return tuple(lane for lane in range(bits.bit_length()) if bits >> lane & 1)


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
        votes_on: dict[int, tuple[int, int]],
        refused: dict[tuple[int, int], frozenset[int]],
    ) -> None:
        """Note what a lane's newest block votes for; `votes_on` are by lane (first, last) of heights."""
        for on in filter(self._by_place.__contains__, votes_on):
            heights, (first, last) = self._by_place[on], votes_on[on]
            for at in between(heights, first, last):
                doubt = heights.get(at)
                if doubt is not None:
                    doubt.cast(chains, lane, height, refused.get((on, at), _NOTHING))

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
    members, lanes = chains.members, len(chains.lanes)
    seen = chains.acknowledging(clocks, np.stack([group.ballot[:lanes] for group in groups]))
    for k, group in enumerate(groups):
        group.mend(seen[k])
    found: npt.NDArray[np.bool_] = seen[:, :members].copy()
    for lane in range(members, lanes):
        found[:, chains.author_of[lane]] |= seen[:, lane]
    return found
