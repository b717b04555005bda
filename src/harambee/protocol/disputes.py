"""Slots that are counted one by one: refused, fenced or fought over.

Whole chains are counted by `chains.py`. That is exact for an order which nobody refused, in a slot which
nobody fenced. Every other slot is a **dispute**, and this module is PROTOCOL sections 2 and 3 written out for
it: who votes for what in which view, who has fenced it, what is certified in whose past, who acknowledges,
what is final, what a fence states, which proposals are proved. All of it is a function of the blocks held:
two replicas that hold the same blocks find the same. What a replica *does* about a dispute, is in
`recovery.py`.

A vote is kept as the height at which a lane first casts it. Then "the certificate is in the past of a block"
is: q distinct authors have a lane whose vote stands no higher than that block's clock. What was counted for a
past stays so: whatever lies in it was held when its block was, so answers about fences are kept.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harambee.ledger.kinds import IS_ELSEWHERE
from harambee.ledger.memory import reserved
from harambee.protocol.chains import CLOCK, NEVER, Chains
from harambee.protocol.recovery_entries import ABSTAINS, SKIP, Fence, Proposal, Vote
from harambee.protocol.slot import Slot

Orders = npt.NDArray[np.void]
Clock = npt.NDArray[np.int32]


LONE_VIEWS: Final = 16
"""For so many views after the first w nobody skips the only order of a slot who finds that it passes."""


class Candidate(NamedTuple):
    """What can become final in a slot: a value in a view."""

    view: int
    value: bytes
    """An order id, or SKIP in views above 0."""


class Place(NamedTuple):
    """Where an order lies."""

    lane: int
    height: int
    row: int


@dataclass(frozen=True, slots=True, eq=False)
class FenceAt:
    """A fence in a block."""

    height: int
    view: int
    clock_before: Clock
    """The clock of the block before it: the last that acknowledges in lower views."""
    statement: Candidate | None
    """The highest certificate of a lower view in the fencing block's past."""


@dataclass(frozen=True, slots=True)
class ProposalAt:
    """A proved proposal in a block."""

    lane: int
    height: int
    value: bytes
    forced: bool
    """Whether a statement of its proof holds a certificate for it: then it is voted for unchecked."""


@dataclass(slots=True)
class Votes:
    """Who votes for one candidate, and since when."""

    heights: dict[int, int] = field(default_factory=dict)
    """The height at which a lane first casts its vote, by lane."""
    _place: Place | None = None
    """In view 0: where the order lies, for which most lanes vote;"""
    _elsewhere: dict[int, Place] = field(default_factory=dict)
    """and where that is another place, by lane."""
    _row: Clock | None = None

    def __len__(self) -> int:
        """How many lanes vote for it."""
        return len(self.heights)

    def cast(self, lane: int, height: int, place: Place | None = None) -> None:
        """A lane's block votes for it, in view 0 at a place; the lowest block counts."""
        if height >= self.heights.get(lane, NEVER):
            return
        self.heights[lane] = height
        if self._row is not None and lane < len(self._row):
            self._row[lane] = height
        self._place = self._place or place
        if place is not None and place != self._place:
            self._elsewhere[lane] = place
        else:
            self._elsewhere.pop(lane, None)

    def cast_all(self, votes: dict[int, int], place: Place) -> None:
        """Cast the votes for a place, height by lane."""
        if self.heights:
            for lane, height in votes.items():
                self.cast(lane, height, place)
        else:
            self.heights, self._place, self._row = dict(votes), place, None

    def place_of(self, lane: int) -> Place:
        """Where the order lies for which a lane votes in view 0."""
        place = self._elsewhere.get(lane, self._place)
        assert place is not None, "votes in view 0 are for an order at a place"
        return place

    def row(self, lanes: int) -> Clock:
        """The heights as an array (lanes,), NEVER where a lane does not vote; not to be written to."""
        if self._row is None or len(self._row) < lanes:
            self._row = np.full(lanes, NEVER, np.int32)
            self._row[list(self.heights)] = list(self.heights.values())
        return self._row[:lanes]

    def are_enough(self, chains: Chains) -> bool:
        """Whether q authors vote for it, in all held blocks."""
        if len(self.heights) < chains.quorum:
            return False
        return chains.are_enough(self.row(len(chains.lanes)) != NEVER)

    def are_enough_in(self, chains: Chains, clock: Clock) -> bool:
        """Whether the votes of q authors lie in a past with this clock."""
        if len(self.heights) < chains.quorum:
            return False
        # A lane that was opened since then lies in no such past.
        return chains.are_enough(self.row(len(chains.lanes))[: len(clock)] <= clock)


@dataclass(frozen=True, slots=True)
class OrderAt:
    """A disputed order in a block: whoever votes on the block, votes for it."""

    dispute: "Dispute"
    place: Place
    votes: Votes
    """For the order in view 0, wherever it lies."""


@dataclass(slots=True)
class Dispute:
    """Everything that the held blocks say about one slot."""

    slot: Slot
    orders: dict[bytes, Orders] = field(default_factory=dict)
    """By order id, ORDER arrays of shape (1,): those that lie in held blocks."""
    places: dict[Place, bytes] = field(default_factory=dict)
    votes: dict[Candidate, Votes] = field(default_factory=dict)
    fences: dict[int, list[FenceAt]] = field(default_factory=dict)
    """Ascending, by lane."""
    proposals: dict[int, list[ProposalAt]] = field(default_factory=dict)
    """By view."""
    offered_again: int = 0
    """When this door last put one of its orders into a block again; nanoseconds."""
    offers: int = 0
    """How often it has done so."""
    strays_of: set[int] = field(default_factory=set)
    """The lanes that speak of recovery here, as long as no order of the slot lies in any held block."""
    _passed: dict[Candidate, int] = field(default_factory=dict)
    """Candidates that cannot become final any more, by how many lanes there were: only a new one matters."""
    _views: dict[int, int] = field(default_factory=dict)
    """The highest view that an author has fenced in any lane, abstentions left out."""
    _before: dict[tuple[int, int, Candidate], bool] = field(default_factory=dict)
    """By lane and height of a fence: whether the block before it acknowledges a candidate."""

    # -- what a chain says ------------------------------------------------------------------------

    def fence(self, chains: Chains, lane: int, height: int) -> int:
        """The highest view fenced in the chain that ends in (lane, height), that block included."""
        view = 0
        while lane >= 0 and self.fences:
            for fence in self.fences.get(lane, ()):
                if fence.height <= height and fence.view > view:
                    view = fence.view
            if lane < chains.members:
                break  # the first lane of its author stands on no other
            height = min(height, chains.lanes[lane].base)
            lane = chains.lanes[lane].parent
        return view

    def view_of(self, author: int) -> int:
        """The highest view that an author has fenced, in any lane, abstentions left out."""
        return self._views.get(author, 0)

    def fenced_by(self, authors: int) -> int:
        """The highest view that so many authors have fenced, in any lane, abstentions left out."""
        if len(self._views) < authors:
            return 0
        return sorted(self._views.values(), reverse=True)[authors - 1]

    def add_fence(self, chains: Chains, lane: int, fence: FenceAt) -> None:
        """A block of a lane fences the slot for a view higher than any before in its chain."""
        self.fences.setdefault(lane, []).append(fence)
        if fence.view != ABSTAINS:
            author = chains.lanes[lane].author
            self._views[author] = max(self._views.get(author, 0), fence.view)

    def abstaining(self, chains: Chains) -> set[int]:
        """The authors who will not vote here, for they may have forgotten a promise."""
        return {
            chains.lanes[lane].author
            for lane, fences in self.fences.items()
            if any(fence.view == ABSTAINS for fence in fences)
        }

    def comes_by_itself(self, chains: Chains, sees: Callable[[], Clock]) -> bool:
        """Whether nobody has fenced the slot and the next blocks make an order final.

        That is so if its certificate lies in what one's next block will have in its past, as `sees` says; to
        open the slot then would only take back acknowledgements that are under way. A certificate that needs
        the vote of a convict whom nobody references will never be acknowledged.
        """
        if self._views:
            return False
        near = [votes for votes in self.votes.values() if len(votes) >= chains.quorum]
        if not near:
            return False
        clock = sees()
        return any(votes.are_enough_in(chains, clock) for votes in near)

    def vote_of(self, chains: Chains, lane: int, view: int) -> bytes | None:
        """The value that a lane's chain has voted for in a view, or None."""
        for candidate, votes in sorted(self.votes.items()):
            if candidate.view == view and any(
                votes.heights.get(lane_, NEVER) <= chains.heads[lane] for lane_ in chains.line(lane)
            ):
                return candidate.value
        return None

    def voted_twice(self, chains: Chains) -> list[tuple[int, bytes, bytes]]:
        """(lane, one order id, another) where a lane votes for two orders in view 0.

        Branches of one chain are left out: to sign two is evidence already.
        """
        if len(self.orders) < 2:
            return []
        orders = sorted(c for c, votes in self.votes.items() if c.view == 0 and votes)
        lanes = len(chains.lanes)
        times = sum((self.votes[c].row(lanes) != NEVER).astype(np.int32) for c in orders)
        twice: list[tuple[int, bytes, bytes]] = []
        for lane in np.flatnonzero(times > 1).tolist():
            first, *others = [c.value for c in orders if lane in self.votes[c].heights]
            if chains.lanes[lane].parent < 0:
                twice += [(lane, first, other) for other in others]
        return twice

    # -- what a past says -------------------------------------------------------------------------

    def certificate(self, chains: Chains, clock: Clock, below: int) -> Candidate | None:
        """The candidate of the highest view less than `below` that q authors voted for in a past."""
        certified = [
            candidate
            for candidate, votes in self.votes.items()
            if candidate.view < below and votes.are_enough_in(chains, clock)
        ]
        return max(certified, default=None)

    # -- what all that is held says ---------------------------------------------------------------

    def certified(self, chains: Chains) -> list[Candidate]:
        """What q authors voted for, in all held blocks."""
        return sorted(c for c, votes in self.votes.items() if votes.are_enough(chains))

    def may_be_final(self, chains: Chains) -> list[Candidate]:
        """What is certified, and not passed over by too many."""
        lanes = len(chains.lanes)
        return [c for c in self.certified(chains) if self._passed.get(c) != lanes]

    def acknowledging(
        self, chains: Chains, seen: npt.NDArray[np.bool_], candidate: Candidate
    ) -> set[int]:
        """The authors who acknowledge a candidate in some held block.

        `seen` (lanes,) says which lanes' newest blocks see its certificate. What a lane acknowledges only
        grows until it fences a higher view, so its newest block speaks for it, or the one before that fence.
        """
        seen = seen.copy()
        for lane in self._fenced_lanes(chains):
            seen[lane] = self._acknowledged_before(chains, lane, candidate, acknowledges=seen[lane])
        authors = set(chains.author_of[np.flatnonzero(seen)].tolist())
        if len(authors) < chains.quorum:
            self._note_if_passed(chains, candidate, authors)
        return authors

    def _note_if_passed(self, chains: Chains, candidate: Candidate, authors: set[int]) -> None:
        """Count a candidate no more, once too few are left who have not fenced a higher view."""
        if len(self.fences) <= chains.members - chains.quorum:
            return
        may_still = {
            lane.author
            for k, lane in enumerate(chains.lanes)
            if self.fence(chains, k, int(chains.heads[k])) <= candidate.view
        }
        if len(authors | may_still) < chains.quorum:
            self._passed[candidate] = len(chains.lanes)

    def _fenced_lanes(self, chains: Chains) -> list[int]:
        """The lanes whose own blocks, or those that they stand on, fence."""
        if not self.fences:
            return []
        branches = range(chains.members, len(chains.lanes))
        return [*self.fences, *(lane for lane in branches if lane not in self.fences)]

    def _acknowledged_before(
        self, chains: Chains, lane: int, candidate: Candidate, *, acknowledges: bool
    ) -> bool:
        """Whether a lane acknowledges a candidate, or did in the block before it fenced a higher view."""
        base, parent = chains.lanes[lane].base, chains.lanes[lane].parent
        if parent >= 0 and self.fence(chains, parent, base) > candidate.view:
            return False
        fence = next((f for f in self.fences.get(lane, ()) if f.view > candidate.view), None)
        if fence is None:
            return acknowledges
        key = lane, fence.height, candidate
        if key not in self._before:
            self._before[key] = self.votes[candidate].are_enough_in(chains, fence.clock_before)
        return self._before[key]


class Disputes:
    """All disputes whose slots are not decided, found by slot, by payer and by place."""

    def __init__(self, accounts: int) -> None:
        """`accounts` is the number of account rows."""
        self._by_slot: dict[Slot, Dispute] = {}
        self._places: dict[int, dict[int, dict[int, OrderAt]]] = {}
        """lane -> height -> index -> order."""
        self._marked: npt.NDArray[np.uint8] = reserved(accounts, np.dtype(np.uint8))
        """How many slots of each account are disputed: the quick way to know that none is."""
        self._strays: dict[int, int] = {}
        self._elsewhere = 0

    def __len__(self) -> int:
        """How many slots are disputed."""
        return len(self._by_slot)

    def slots(self) -> list[Slot]:
        """The disputed slots, in the order in which they were opened."""
        return list(self._by_slot)

    def oldest(self) -> Slot | None:
        """The slot that has been disputed longest."""
        return next(iter(self._by_slot), None)

    def get(self, slot: Slot) -> Dispute | None:
        """The dispute over a slot, if there is one."""
        return self._by_slot.get(slot)

    def indices_in(self, lane: int, height: int) -> list[int]:
        """Which orders of a block are disputed, and so not decided by the block's own finality."""
        return sorted(self._places.get(lane, {}).get(height, {}))

    def disputed_rows(self, orders: Orders) -> list[int]:
        """Which of these orders lie in disputed slots."""
        if not self._by_slot:
            return []
        payers = orders["payer"]
        inside = payers < len(self._marked)
        marked = np.zeros(len(orders), np.bool_)
        marked[inside] = self._marked[payers[inside]] > 0
        if self._elsewhere:
            marked |= IS_ELSEWHERE[orders["kind"]]
        return [
            row for row in np.flatnonzero(marked).tolist() if Slot.of(orders[row]) in self._by_slot
        ]

    def add(self, slot: Slot) -> Dispute:
        """A new dispute."""
        assert slot not in self._by_slot
        dispute = self._by_slot[slot] = Dispute(slot)
        if not slot.is_of_account:
            self._elsewhere += 1
        elif slot.payer < len(self._marked):
            self._marked[slot.payer] = min(255, int(self._marked[slot.payer]) + 1)
        return dispute

    def strays(self, lane: int) -> int:
        """In how many slots without any order a lane speaks of recovery."""
        return self._strays.get(lane, 0)

    def note_entry(self, dispute: Dispute, lane: int) -> None:
        """A block of this lane fences, proposes or votes in the slot."""
        if not dispute.places and lane not in dispute.strays_of:
            dispute.strays_of.add(lane)
            self._strays[lane] = self.strays(lane) + 1

    def _no_stray(self, dispute: Dispute) -> None:
        for lane in dispute.strays_of:
            self._strays[lane] -= 1
        dispute.strays_of.clear()

    def add_place(self, dispute: Dispute, place: Place, name: bytes, order: Orders) -> None:
        """An order of the slot lies there."""
        self._no_stray(dispute)
        dispute.orders.setdefault(name, order.copy())
        dispute.places[place] = name
        votes = dispute.votes.setdefault(Candidate(0, name), Votes())
        heights = self._places.setdefault(place.lane, {})
        heights.setdefault(place.height, {})[place.row] = OrderAt(dispute, place, votes)

    def scan_votes(
        self, chains: Chains, dispute: Dispute, place: Place, ignore: tuple[int, int]
    ) -> None:
        """Note the votes cast for a place before its slot was disputed: all unrefused and unfenced.

        Block `ignore` (lane, height), under way now, says itself what it votes for.
        """
        firsts = enumerate(chains.first_votes(place.lane, place.height).tolist())
        votes = {lane: at for lane, at in firsts if at != NEVER and (lane, at) != ignore}
        dispute.votes[Candidate(0, dispute.places[place])].cast_all(votes, place)

    def close(self, dispute: Dispute) -> list[tuple[int, int]]:
        """Forget a dispute: its slot is decided. The (lane, height) that have no other one now."""
        slot = dispute.slot
        self._no_stray(dispute)
        del self._by_slot[slot]
        if not slot.is_of_account:
            self._elsewhere -= 1
        elif slot.payer < len(self._marked):
            others = 0
            if self._marked[slot.payer] > 1:
                others = sum(
                    s.space == slot.space and s.subject == slot.subject for s in self._by_slot
                )
            self._marked[slot.payer] = min(255, others)
        left: list[tuple[int, int]] = []
        for place in dispute.places:
            heights = self._places[place.lane]
            del heights[place.height][place.row]
            if not heights[place.height]:
                del heights[place.height]
                left.append((place.lane, place.height))
            if not heights:
                del self._places[place.lane]
        return left

    # -- one block's entries ----------------------------------------------------------------------

    def cast_votes(
        self,
        chains: Chains,
        lane: int,
        votes_on: dict[int, tuple[int, int]],
        refused: dict[tuple[int, int], frozenset[int]],
    ) -> list[Slot]:
        """Note what the newest block of a lane votes for by its references and its own orders.

        `votes_on` are by lane (first, last) of heights, itself included; `refused` are the indices it
        refuses, by (lane, height). Returns the disputed slots that it passed by and that are worth counting:
        a single order that nobody fenced comes to nothing before it has the votes of a quorum.
        """
        height, quorum = int(chains.heads[lane]), chains.quorum
        passed: dict[Slot, None] = {}
        for on in filter(self._places.__contains__, votes_on):
            heights, (first, last) = self._places[on], votes_on[on]
            for at in between(heights, first, last):
                orders = heights.get(at)
                if orders is None:
                    continue
                left_out = refused.get((on, at), ())
                for index, order in orders.items():
                    dispute, votes = order.dispute, order.votes
                    if (
                        index not in left_out
                        and lane not in votes.heights
                        and not (dispute.fences and dispute.fence(chains, lane, height))
                    ):
                        votes.cast(lane, height, order.place)
                    if len(votes.heights) >= quorum or dispute.fences or len(dispute.orders) > 1:
                        passed[dispute.slot] = None
        return list(passed)

    def fence(self, chains: Chains, lane: int, fence: Fence) -> None:
        """Note a fence in the newest block of a lane; its statement comes with `state`."""
        dispute = self._by_slot.get(fence.slot)
        if dispute is None:
            return  # decided
        height = int(chains.heads[lane])
        if fence.view <= dispute.fence(chains, lane, height):
            return
        before = chains.clock_before(lane)
        dispute.add_fence(chains, lane, FenceAt(height, fence.view, before, None))

    def state(self, chains: Chains, lane: int, slot: Slot) -> None:
        """Compute the statement of a fence in the newest block of a lane, once its votes are noted."""
        dispute = self._by_slot.get(slot)
        fences = [] if dispute is None else dispute.fences.get(lane, [])
        if dispute is not None and fences and fences[-1].height == chains.heads[lane]:
            last = fences[-1]
            clock = chains.head_row(lane)[CLOCK]
            statement = dispute.certificate(chains, clock, last.view)
            fences[-1] = FenceAt(last.height, last.view, last.clock_before, statement)

    def vote(self, chains: Chains, lane: int, vote: Vote) -> tuple[int, int] | None:
        """Note an explicit vote in the newest block of a lane: it counts in the view of its own fence.

        Returns the (lane, height) of a vote of the same author for another value in that view, if any.
        """
        dispute = self._by_slot.get(vote.slot)
        height = int(chains.heads[lane])
        if dispute is None or dispute.fence(chains, lane, height) != vote.view:
            return None
        author = chains.lanes[lane].author
        twice = None
        for candidate, votes in dispute.votes.items():
            if candidate.view == vote.view and candidate.value != vote.value:
                for other, at in votes.heights.items():
                    if chains.lanes[other].author == author:
                        twice = other, at
        candidate = Candidate(vote.view, vote.value)
        dispute.votes.setdefault(candidate, Votes()).cast(lane, height)
        return twice

    def propose(self, chains: Chains, lane: int, proposal: Proposal) -> bool:
        """Note a proposal in the newest block of a lane, if it is the leader's and proved."""
        dispute = self._by_slot.get(proposal.slot)
        leader = proposal.slot.leader(proposal.view, chains.members)
        if dispute is None or chains.lanes[lane].author != leader:
            return False
        clock = chains.head_row(lane)[CLOCK]
        statements = []
        authors = set()
        for author, incarnation, height, name in proposal.proof:
            at = chains.find(author, height, name, incarnation)
            fence = None if at is None else _fence_in(dispute, at, height)
            if at is None or fence is None or fence.view != proposal.view or height > clock[at]:
                return False
            authors.add(author)
            statements.append(fence.statement)
        if len(authors) < chains.quorum:
            return False
        certified = [statement for statement in statements if statement is not None]
        if certified:
            view = max(statement.view for statement in certified)
            allowed = {s.value for s in certified if s.view == view}
            if proposal.value not in allowed:
                return False
        elif proposal.value != SKIP and not may_lead_with_an_order(chains, proposal.view):
            return False
        found = ProposalAt(lane, int(chains.heads[lane]), proposal.value, bool(certified))
        dispute.proposals.setdefault(proposal.view, []).append(found)
        return True


def between(heights: Mapping[int, object], first: int, last: int) -> Iterable[int]:
    """At least those of these heights that lie there, whichever are fewer to look at."""
    if len(heights) < last - first:
        return [at for at in heights if first <= at <= last]
    return range(first, last + 1)


def may_lead_with_an_order(chains: Chains, view: int) -> bool:
    """Whether a free proposal of a view may be an order: in odd views, and in those that a lone order has.

    Later even views are for the skip, which needs no check: so a slot is decided even if the honest never
    agree on whether an order passes.
    """
    return view % 2 == 1 or view <= chains.members - chains.quorum + 1 + LONE_VIEWS


def _fence_in(dispute: Dispute, lane: int, height: int) -> FenceAt | None:
    return next((f for f in dispute.fences.get(lane, ()) if f.height == height), None)
