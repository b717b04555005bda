"""What follows from blocks: what is final, and the ledger after it. Nobody's own view enters into it.

Blocks whose past is held go in, one after the other; what comes out depends on the set of them alone, and not
on the order in which they came: which orders are final, and so every byte of the ledger. A replica folds what
it receives while it speaks itself (`replica.py`); whoever only looks (an auditor, an observer, whoever makes
a checkpoint) folds, and that is all.

`chains.py` counts whole chains at once; `doubts.py` and `disputes.py` count the slots that somebody refused,
fenced or fought over, or in which an order lies twice; `applying.py` brings what is final to the ledger;
`placing.py` says where a block belongs.

**Liars.** An author that forks, or votes twice, is convicted, and the evidence is in the effects. What it
said still counts, in every branch.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.kinds import IS_GOVERNED, OrderKind, Space
from harambee.ledger.ledger import Ledger
from harambee.ledger.records import KEY_FORM_MASK
from harambee.protocol.applying import Applier
from harambee.protocol.ballots import ballot_of
from harambee.protocol.chains import NEVER, Chains, Heights, Lane, Rows
from harambee.protocol.checking import Checking
from harambee.protocol.committee import Committee
from harambee.protocol.disputes import Candidate, Dispute, Disputes, FenceAt, Place, Votes
from harambee.protocol.doubts import Abstention, Doubt, Doubts, Group, acknowledging
from harambee.protocol.effects import Effects, Evidence, Name, Proposed, TwoVotes
from harambee.protocol.frame import Frame, FrameBroken, OpenBlock
from harambee.protocol.kept_orders import KeptOrders
from harambee.protocol.malformed import Malformed
from harambee.protocol.placing import Past, Placed, past_of, place
from harambee.protocol.recovery_entries import ABSTAINS, SKIP
from harambee.protocol.slot import Slot
from harambee.protocol.tally import Tally
from harambee.protocol.wire import NO_DIGEST, Block, Glance

Orders = npt.NDArray[np.void]
RefusedIn = dict[tuple[int, int], frozenset[int]]
"""The indices that a block refuses, by (lane, height) of the block in which they lie."""

PROPOSED_MAX: Final = 64
"""Governance orders of one block that people are told of; an honest one has a few."""
FOLDED_AT_ONCE: Final = 64
"""How many blocks of a journal are folded before disputes are decided."""
PATROL_SLOTS: Final = 32
"""How many disputed slots are looked at in each turn without a reason."""
NONE: Final = -1, 0
"""As (lane, height): no block."""


@dataclass(slots=True)
class Held:
    """A block whose whole past is held, as long as its orders are not all final."""

    block: Block
    position: int
    era: int
    signatures: npt.NDArray[np.bool_] | None = None
    """Which orders' signatures hold; None while not checked."""
    keys_changed: int = 0
    """How often keys had changed in the ledger when they were checked."""
    possessions: npt.NDArray[np.bool_] | None = None
    apart: set[int] = field(default_factory=set)
    """Orders that were refused once: they are counted one by one, or lie in decided slots."""


class VotesOn:
    """What a block newly votes on, itself included: by lane, (first, last) of heights.

    Read only where something is counted one by one, which is rare: so it is written out only then.
    """

    __slots__ = ("_lane_and_height", "_newly", "_spans")

    def __init__(self, newly: npt.NDArray[np.int64], lane: int, height: int) -> None:
        """`newly` is what `Chains.extend` returned for the block."""
        self._newly, self._lane_and_height = newly, (lane, height)
        self._spans: dict[int, tuple[int, int]] | None = None

    @property
    def spans(self) -> dict[int, tuple[int, int]]:
        """By lane the first and the last height."""
        if self._spans is None:
            self._spans = {on: (first, last) for on, first, last in self._newly.tolist()}
            lane, height = self._lane_and_height
            self._spans[lane] = height, height
        return self._spans


@dataclass(slots=True)
class Watch:
    """Which disputed slots are to be looked at, and what was found the last time."""

    hot: dict[Slot, int] = field(default_factory=dict)
    """Something happened to them since they were looked at; numbered in the order in which it began."""
    owing: dict[Slot, int] = field(default_factory=dict)
    """About them one's next blocks have something to say; numbered so too."""
    numbers: int = 0
    patrol: list[Slot] = field(default_factory=list)
    """They have not been looked at for a while."""
    convicts: dict[int, int] = field(default_factory=dict)
    """Up to which height all orders in the lanes of convicted authors are counted one by one."""
    counted_at: int = -1
    """How many blocks were held when certified slots were last counted."""

    def touch(self, slots: Iterable[Slot]) -> None:
        """Something happened to these slots."""
        for slot in slots:
            if slot not in self.hot:
                self.numbers += 1
                self.hot[slot] = self.owing.get(slot, self.numbers)

    def touched(self) -> list[Slot]:
        """What is hot, in the order in which it began to be looked at."""
        return sorted(self.hot, key=self.hot.__getitem__)

    def look_again(self, slots: Iterable[Slot]) -> None:
        """What was owed about these slots is being said, or came about otherwise."""
        self.touch(slots)
        for slot in slots:
            self.owing.pop(slot, None)

    def drop(self, slot: Slot) -> None:
        """There is nothing to say about this slot any more."""
        self.hot.pop(slot, None)
        self.owing.pop(slot, None)


@dataclass(slots=True)
class Counters:
    """What has happened since the start; for people to look at."""

    applied: int = 0
    refused_at_door: int = 0
    refused_in_blocks: int = 0
    signatures: int = 0
    blocks: int = 0
    malformed: int = 0
    skipped: int = 0
    convictions: int = 0
    taken: int = 0
    """Blocks that were news, and were kept."""
    deferred: int = 0
    """Blocks beyond a limit of their author's, to be fetched later."""


class Fold:
    """All held blocks of one network, what is final by them, and the ledger. Not thread-safe."""

    def __init__(
        self,
        network: bytes,
        committee: Committee,
        ledger: Ledger,
        checking: Checking | None = None,
        *,
        is_exact: bool = True,
    ) -> None:
        """`ledger` is as the genesis opens it. `checking` may be shared by folds of one network.

        `is_exact`: votes for one order in several blocks count together at once, as the definition has it.
        Otherwise such an order may wait for one of its blocks, which costs a liar's copies nothing.
        """
        self.network, self.committee, self.ledger = network, committee, ledger
        self._checking = checking or Checking(network, committee)
        self.counters = Counters()
        # A frame is the same wherever it is folded, so what is in it comes from the blocks folded alone.
        remembered = None if is_exact else self._checking.rows
        self.chains = Chains(committee.n, committee.q, remembered=remembered)
        rows = len(ledger.accounts)
        self.disputes, self.doubts = Disputes(rows), Doubts(rows)
        self.convicted: set[int] = set()
        """Authors whose word is not relied on any more."""
        self._is_exact = is_exact
        self._applier, self._kept = Applier(ledger), KeptOrders(rows, with_marks=is_exact)
        self._position = 0
        self._spoke_at = 0
        """How many blocks were held when the newest came that is one's own, where one speaks oneself."""
        self._open: list[dict[int, Held]] = [{} for _ in committee.members]
        """Blocks with orders that are not final yet: for each lane, by height."""
        self._newest_open: npt.NDArray[np.int64] = np.zeros(committee.n, np.int64)
        """Each lane's newest block with orders, final or not."""
        self._applied: npt.NDArray[np.int64] = np.zeros(committee.n, np.int64)
        """Up to which height each lane's blocks were applied."""
        self._undecided: dict[tuple[int, int], Held] = {}
        """Blocks that are final themselves, but for disputed orders; by (lane, height)."""
        self._era, self._era_heads = 0, self.chains.heads.copy()
        self._watch, self._tally = Watch(), Tally()
        self._begun = False
        """Whether it went on from a frame."""

    def fold(self, blocks: Iterable[tuple[int, bytes]]) -> Iterator[Effects]:
        """Fold blocks, each after its past, with their positions in a journal; yields what each led to.

        Those that the frame covers from which this fold went on, are left out. Authors' signatures were
        checked when the blocks came, and are not checked again. Raises JournalBroken where a block does not
        continue what came before.
        """
        end = self._position
        for count, (position, data) in enumerate(blocks):
            block = self._checking.read(data)
            end = max(end, position + 1)
            if isinstance(block, Malformed):
                raise JournalBroken(position, block.why)
            if self._begun and self.covers(block):
                continue
            effects = Effects()
            self.fold_one(position, block, effects)
            if count % FOLDED_AT_ONCE == 0:
                self._decide_disputes(effects)
            yield effects
        self._position = end
        effects = Effects()
        self._decide_disputes(effects)
        yield effects

    def fold_one(self, position: int, block: Block, effects: Effects) -> None:
        """Fold one block, which stands so in the journal; JournalBroken where it continues nothing."""
        self._position = position
        if self._is_held(block):
            raise JournalBroken(self._position, "it stands there twice")
        past = past_of(self.chains, block)
        if not isinstance(past, Past):
            raise JournalBroken(self._position, "its past is missing")
        placed = place(self.chains, block, past)
        if placed is None:
            raise JournalBroken(self._position, "it does not continue its author's chain")
        self._integrate(block, placed, effects)

    # -- for who does more than fold --------------------------------------------------------------

    def _is_held_now(self, lane: int, held: Held, effects: Effects) -> None:
        """A block was integrated, and nothing that it says is counted yet."""

    def _is_counted_now(
        self, lane: int, block: Block, votes_on: VotesOn, refused: RefusedIn
    ) -> None:
        """What a block says is counted, and nothing is applied yet that is final by it."""

    def _is_final_now(self, lane: int, height: int, orders: Orders, apart: list[int]) -> None:
        """A block is final and about to be applied, but for the rows that are counted `apart`."""

    def _is_certified_now(self, doubt: Doubt, group: Group, authors: npt.NDArray[np.bool_]) -> None:
        """Doubted orders are certified and not final: these authors acknowledge them, (members,)."""

    def _may_convict(self, author: int) -> bool:  # noqa: ARG002 - for who is an author itself
        """Whether an author is convicted where two of its votes show that it lies."""
        return True

    # -- what is held -------------------------------------------------------------------------------

    @property
    def blocks_integrated(self) -> int:
        """How many blocks are held: the journal's next position."""
        return self._position

    @property
    def blocks_held(self) -> int:
        """How many blocks it knows, bodies or not: those in the cut that it began at, and those since."""
        bases = [lane.base for lane in self.chains.lanes]
        return int(self.chains.heads.sum()) - sum(bases)

    @property
    def open_blocks(self) -> int:
        """How many held blocks have orders that are not final."""
        return sum(len(open_) for open_ in self._open)

    def _head_of(self, author: int) -> Name:
        lane = self.chains.current[author]
        height = int(self.chains.heads[lane])
        digest = self.chains.digest_at(lane, height) or NO_DIGEST
        return Name(author, self.chains.lanes[lane].incarnation, height, digest)

    def _is_held(self, block: Block | Glance) -> bool:
        found = self.chains.find(block.author, block.height, block.digest, block.incarnation)
        return found is not None

    def _held_with_id(self, block: Block | Glance) -> Name | None:
        """A held block with this one's id: another one, for this one is not held."""
        for lane in self.chains.lanes_of[block.author]:
            about = self.chains.lanes[lane]
            if about.incarnation == block.incarnation and block.height > about.base:
                digest = self.chains.digest_at(lane, block.height)
                if digest is not None:
                    return Name(block.author, block.incarnation, block.height, digest)
        return None

    def _is_named_held(self, name: Name) -> bool:
        found = self.chains.find(name.author, name.height, name.digest, name.incarnation)
        return found is not None

    # -- taking blocks ------------------------------------------------------------------------------

    def _take(self, block: Block, past: Past, effects: Effects) -> bool:
        """Integrate a block whose past is held; False if it breaks a rule of chains."""
        placed = place(self.chains, block, past)
        if placed is None:
            self.counters.malformed += 1
            return False
        beside = self._held_with_id(block)
        if beside is not None:
            self._convict(Evidence(block.author, beside, block.data), effects)
        self._integrate(block, placed, effects)
        return True

    def _integrate(self, block: Block, placed: Placed, effects: Effects) -> None:
        """Take a block whose past is held and which extends its chain: from here on nothing may fail."""
        lane = placed.lane if isinstance(placed.lane, int) else self._open_lane(placed.lane)
        newly = self.chains.extend(
            lane, block.digest, placed.references, placed.newly, len(block.orders)
        )
        held = Held(block, self._position, self._era)
        self._position += 1
        self.counters.blocks += 1
        if len(block.orders):
            if IS_GOVERNED[block.orders["kind"]].any():
                effects.proposed += _proposed_in(block)
            self._open[lane][block.height] = held
            self._newest_open[lane] = block.height
            self._keep(lane, block)
        votes_on = VotesOn(newly, lane, block.height)
        self._is_held_now(lane, held, effects)
        refused = self._refused_by(block, placed.references[:, 0])
        self._dispute(block, lane, votes_on, refused, effects)
        self._is_counted_now(lane, block, votes_on, refused)
        self._apply_final(effects)
        self._dispute_what_is_old(lane)

    def _open_lane(self, about: Lane) -> int:
        lane = self.chains.open_lane(about)
        self._open.append({})
        self._applied = np.append(self._applied, about.base)
        self._newest_open = np.append(self._newest_open, 0)
        self._era_heads = np.append(self._era_heads, about.base)
        lanes = (self.chains.lanes[other] for other in self.chains.lanes_of[about.author])
        if sum(other.incarnation == about.incarnation for other in lanes) > 1:
            self.convicted.add(about.author)  # a branch: whoever follows it, is read by name
        return lane

    def _convict(self, evidence: Evidence | TwoVotes, effects: Effects) -> None:
        if evidence.culprit in self.convicted:
            return
        self.convicted.add(evidence.culprit)
        self.counters.convictions += 1
        effects.evidence.append(evidence)

    def _keep(self, lane: int, block: Block) -> None:
        """A block's orders are kept from now on."""
        self._kept.add(lane, block.height, block.orders)

    def _keep_no_more(self, lane: int, block: Block) -> None:
        self._kept.drop(lane, block.height, block.orders)

    def _held_at(self, lane: int, height: int) -> Held | None:
        return self._open[lane].get(height) or self._undecided.get((lane, height))

    def _let_go(self, lane: int, height: int) -> None:
        """Forget a block that is final, once everything in it is decided."""
        held = self._undecided.get((lane, height))
        if held is None or self.doubts.at(lane, height) is not None:
            return
        if not self.disputes.indices_in(lane, height):
            del self._undecided[lane, height]
            self._keep_no_more(lane, held.block)

    # -- counting -----------------------------------------------------------------------------------

    def _refused_by(self, block: Block, referenced: Heights) -> RefusedIn:
        """What a held block refuses; `referenced` (k,) are the lanes of what it references."""
        owner, lanes = self.chains.owner, referenced.tolist()
        return {
            (owner(lanes[row], rejection.height), rejection.height): rejection.rows
            for rejection, row in zip(block.rejections, block.rejected_under, strict=True)
        }

    def _next_in(self, slot: Slot) -> int:
        """The next sequence of a slot's subject here."""
        return self.ledger.next_in(Space(slot.space), slot.subject)

    def _is_next(self, slot: Slot) -> bool:
        return slot.sequence == self._next_in(slot)

    def _is_decided(self, slot: Slot) -> bool:
        return slot.sequence < self._next_in(slot) or self._applier.waits_in(slot)

    def _ids_of(self, orders: Orders) -> npt.NDArray[np.uint8]:
        return self._checking.ids_of(orders)

    def _dispute(
        self,
        block: Block,
        lane: int,
        votes_on: VotesOn,
        refused: RefusedIn,
        effects: Effects,
    ) -> None:
        """Take what the newest block of a lane says about disputed slots, and what it opens.

        `refused` is `_refused_by` of it.
        """
        ignore = lane, block.height
        for (on, at), indices in refused.items():
            self._dispute_refused(on, at, indices, ignore)
        self._open_what_is_touched(block, lane)
        # A block's fences take effect before its references and its orders.
        for fence in block.recovery.fences:
            self.disputes.fence(self.chains, lane, fence)
        for row in self.disputes.disputed_rows(block.orders):
            self._add_place(Place(lane, block.height, row), block.orders[row : row + 1])
        if len(self.doubts):
            self.doubts.cast_votes(self.chains, lane, block.height, votes_on.spans, refused)
        if len(self.disputes):
            passed = self.disputes.cast_votes(self.chains, lane, votes_on.spans, refused)
            self._watch.touch(passed)
        for fence in block.recovery.fences:
            self.disputes.state(self.chains, lane, fence.slot)
        for proposal in block.recovery.proposals:
            self.disputes.propose(self.chains, lane, proposal)
        for vote in block.recovery.votes:
            other = self.disputes.vote(self.chains, lane, vote)
            if other is not None:
                self._convict_for_two_votes(block, other, effects)

    def _open_what_is_touched(self, block: Block, lane: int) -> None:
        """Dispute the slots in which there is more, by a lane's newest block, than one order in one block."""
        ignore = lane, block.height
        abstained = self._abstain(block, lane)
        for slot in block.recovery.slots():
            if slot not in abstained and not self._is_decided(slot):
                self.disputes.note_entry(self._open_dispute(slot, ignore), lane)
                self._watch.touch((slot,))
        for row in self.doubts.doubted_rows(block.orders):
            slot = Slot.of(block.orders[row])
            known = self.doubts.place_of(slot)
            if known is not None and (known.lane, known.height) != ignore:
                self._open_dispute(slot, ignore)
        # Votes for one order count together, wherever it lies: what lies twice is counted one by one.
        for row in self._kept.rows_lying_twice(block.orders) if self._is_exact else ():
            slot = Slot.of(block.orders[row])
            if not self._is_decided(slot):
                self._open_dispute(slot, ignore)

    def _abstain(self, block: Block, lane: int) -> dict[Slot, None]:
        """Count abstentions of a lane's newest block by group; returns the slots for which that is enough.

        It is where one order lies in the slot, and the block says nothing else about it.
        """
        recovery = block.recovery
        fenced = [fence.slot for fence in recovery.fences if fence.view == ABSTAINS]
        if not fenced:
            return {}
        others = {p.slot for p in recovery.proposals} | {v.slot for v in recovery.votes}
        counted: dict[Slot, None] = {}
        for slot in fenced:
            if slot in others or self._is_decided(slot) or self.disputes.get(slot) is not None:
                continue
            if self.doubts.place_of(slot) is not None or self._doubt(slot, (lane, block.height)):
                counted[slot] = None
        self.doubts.abstain(self.chains, counted, Abstention.by_newest(self.chains, lane))
        return counted

    def _doubt(self, slot: Slot, ignore: tuple[int, int]) -> bool:
        """Begin to doubt the only order of a payer's slot; False where there is none, or another one."""
        if not slot.is_of_account:
            return False
        places = self._kept.places(slot)
        held = self._held_at(places[0].lane, places[0].height) if len(places) == 1 else None
        if held is None:
            return False
        held.apart.add(places[0].row)
        self.doubts.add(self.chains, places[0], slot, ignore)
        return True

    def _convict_for_two_votes(
        self, block: Block, other: tuple[int, int], effects: Effects
    ) -> None:
        digest = self.chains.digest_at(*other)
        if digest is not None:
            name = Name(block.author, self.chains.lanes[other[0]].incarnation, other[1], digest)
            self._convict(Evidence(block.author, name, block.data), effects)

    def _convict_for_two_orders(self, dispute: Dispute, effects: Effects) -> None:
        """Convict who voted for two orders of a slot in view 0, where evidence of it has a bounded size."""
        for lane, *names in dispute.voted_twice(self.chains):
            culprit = self.chains.lanes[lane].author
            if culprit in self.convicted or not self._may_convict(culprit):
                continue
            one, other = (ballot_of(self.chains, dispute, name, lane) for name in names)
            if one is not None and other is not None:
                self._convict(TwoVotes(culprit, (one, other)), effects)

    def _dispute_refused(
        self, on: int, at: int, indices: frozenset[int], ignore: tuple[int, int]
    ) -> None:
        """From the first refusal on, the orders of a slot are counted one by one."""
        held = self._held_at(on, at)
        if held is None:
            return  # every order in it is applied already
        for index in sorted(indices - held.apart):
            if index >= len(held.block.orders):
                continue
            held.apart.add(index)
            slot = Slot.of(held.block.orders[index])
            if self.disputes.get(slot) is not None or self.doubts.place_of(slot) is not None:
                continue
            self.counters.refused_in_blocks += 1
            if self._is_decided(slot):
                continue
            if slot.is_of_account and self._kept.lies_alone(slot):
                self.doubts.add(self.chains, Place(on, at, index), slot, ignore)
            else:
                self._open_dispute(slot, ignore)

    def _open_dispute(self, slot: Slot, ignore: tuple[int, int]) -> Dispute:
        """The dispute over a slot; if it is a new one, with all that held blocks have said before."""
        dispute = self.disputes.get(slot)
        if dispute is not None:
            return dispute
        dispute = self.disputes.add(slot)
        self._watch.touch((slot,))
        doubted = self.doubts.place_of(slot)
        if doubted is not None:
            self._take_over(dispute, doubted)
        for at, order in self._orders_of(slot):
            if at != doubted:
                self._add_place(at, order)
                self.disputes.scan_votes(self.chains, dispute, at, ignore)
        return dispute

    def waiting_in(self, slot: Slot) -> list[tuple[Place, Block]]:
        """Where orders of a slot lie that are not final, and in which blocks."""
        found = []
        for at, _ in self._orders_of(slot):
            held = self._held_at(at.lane, at.height)
            assert held is not None, "it is open"
            found.append((at, held.block))
        return found

    def _orders_of(self, slot: Slot) -> Iterator[tuple[Place, Orders]]:
        """The orders of a slot in blocks that are not final, and where they lie."""
        for at in self._kept.places(slot):
            held = self._open[at.lane].get(at.height)
            if held is not None:
                order = held.block.orders[at.row : at.row + 1]
                if slot.is_of_account or Slot.of(order[0]) == slot:
                    yield at, order

    def _take_over(self, dispute: Dispute, at: Place) -> None:
        """A doubted order becomes part of a dispute, with the votes that are known."""
        doubt, held = self.doubts.at(at.lane, at.height), self._held_at(at.lane, at.height)
        assert doubt is not None
        assert held is not None
        self._add_place(at, held.block.orders[at.row : at.row + 1])
        self._take_doubted(dispute, doubt, at)
        self.doubts.drop(doubt, [at.row])

    def _take_doubted(self, dispute: Dispute, doubt: Doubt, at: Place) -> None:
        """Write what is known about a doubted order into a dispute in which it lies."""
        name = dispute.places[at]
        votes = dispute.votes.setdefault(Candidate(0, name), Votes())
        votes.cast_all(doubt.votes_for(at.row), at)
        for a in doubt.abstentions.get(at.row, ()):
            stated = Candidate(0, name) if votes.are_enough_in(self.chains, a.clock) else None
            dispute.add_fence(
                self.chains, a.lane, FenceAt(a.height, ABSTAINS, a.clock_before, stated)
            )

    def _add_place(self, at: Place, order: Orders) -> None:
        dispute = self.disputes.get(Slot.of(order[0]))
        assert dispute is not None, "the slot is disputed"
        name = self._ids_of(order)[0].tobytes()
        self.disputes.add_place(dispute, at, name, order)

    def _apart_in(self, lane: int, height: int) -> list[int]:
        """The orders of a block that are counted one by one."""
        return self.disputes.indices_in(lane, height) + self.doubts.rows_in(lane, height)

    def _decide_disputes(self, effects: Effects) -> None:
        """Count the disputed slots; apply what is final, and forget those that are decided."""
        self._dispute_convicts()
        watch = self._watch
        if not len(self.disputes) and not len(self.doubts):
            return
        news = self._position != watch.counted_at
        watch.counted_at = self._position
        if not watch.patrol:
            watch.patrol = self.disputes.slots()
        patrol = dict.fromkeys(watch.patrol[:PATROL_SLOTS])
        del watch.patrol[:PATROL_SLOTS]
        clocks = self.chains.clocks()
        if news and len(self.doubts):
            self._decide_doubts(clocks, effects)
        stirred = self._tally.stirred(self.chains, clocks) if news else ()
        for slot in dict.fromkeys((*stirred, *watch.touched(), *patrol)):
            dispute = self.disputes.get(slot)
            if dispute is None:
                continue
            self._convict_for_two_orders(dispute, effects)
            if self._is_decided(slot) or (
                self._count(dispute, clocks, effects) and self._is_decided(slot)
            ):
                self._close(dispute)
            elif slot in patrol:
                watch.touch((slot,))
        self._apply_waiting(effects)

    def decide_everything(self, effects: Effects) -> None:
        """Count every disputed slot, again as long as that decides one: nothing is left to another turn."""
        applied = -1
        while applied != self.counters.applied + self.counters.skipped:
            applied = self.counters.applied + self.counters.skipped
            self._watch.touch(self.disputes.slots())
            self._decide_disputes(effects)

    def _dispute_convicts(self) -> None:
        """Count one by one what lies in blocks of convicted authors.

        One order may lie in two branches, with half of the votes on either: no branch alone makes it final.
        """
        for author in sorted(self.convicted):
            for lane in self.chains.lanes_of[author]:
                done = self._watch.convicts.get(lane, 0)
                if self._newest_open[lane] <= done:
                    continue
                self._watch.convicts[lane] = int(self._newest_open[lane])
                for height, held in list(self._open[lane].items()):
                    for order in held.block.orders if height > done else ():
                        slot = Slot.of(order)
                        if not self._is_decided(slot):
                            self._open_dispute(slot, NONE)

    def _decide_doubts(self, clocks: Rows, effects: Effects) -> None:
        """Count the doubted orders, group by group; apply what is final."""
        certified, blocks = self.doubts.certified(self.chains), self.counters.blocks
        due = [group for _, group in certified if group.is_due(blocks, self._spoke_at)]
        if due:
            found = acknowledging(self.chains, clocks, due)
            for group, authors in zip(due, found, strict=True):
                group.count(authors, self.committee.q, blocks)
        for doubt, group in certified:
            if group.missing > 0:
                assert group.acknowledged_by is not None, "it was counted"
                self._is_certified_now(doubt, group, group.acknowledged_by)
                continue
            held = self._held_at(doubt.lane, doubt.height)
            assert held is not None, "a block is held as long as one of its slots is undecided"
            rows = list(group.rows)
            self.doubts.drop(doubt, rows)
            self._apply(held, np.array(rows, np.uint32), effects)
            self._let_go(doubt.lane, doubt.height)

    def _count(self, dispute: Dispute, clocks: Rows, effects: Effects) -> bool:
        """See what is certified in an undecided slot, who acknowledges it, and whether it is final."""
        candidates = dispute.may_be_final(self.chains)
        self._tally.keep(dispute.slot, candidates)
        for candidate in candidates:
            ballot = dispute.votes[candidate].row(len(self.chains.lanes))
            seen = self._tally.put(dispute.slot, candidate, ballot, clocks, self.chains)
            authors = dispute.acknowledging(self.chains, seen, candidate)
            if len(authors) >= self.committee.q:
                if candidate.value == SKIP:
                    self._skip(dispute.slot, effects)
                else:
                    self._settle(dispute, candidate.value, effects)
                return True
        return False

    def _close(self, dispute: Dispute) -> None:
        self._watch.drop(dispute.slot)
        self._tally.drop(dispute.slot)
        for at in self.disputes.close(dispute):
            self._let_go(*at)

    def _dispute_what_is_old(self, lane: int) -> None:
        """A lane has grown: count one by one what stays undecided so long that rows begin to be forgotten.

        So a dispute that is opened later never needs a row that is no longer kept.
        """
        quarter = self.chains.window // 4
        if self.chains.heads[lane] - self._era_heads[lane] < quarter:
            return
        self._era += 1
        self._era_heads = self.chains.heads.copy()
        for open_ in self._open:
            for held in list(open_.values()):
                if held.era == self._era - 2:
                    for order in held.block.orders:
                        slot = Slot.of(order)
                        if not self._is_decided(slot):
                            self._open_dispute(slot, NONE)

    # -- applying -----------------------------------------------------------------------------------

    def _apply_final(self, effects: Effects) -> None:
        """Apply what has become final with its whole block, disputed orders excepted."""
        if self.chains.has_more_final:
            final = self.chains.final
            for lane in np.flatnonzero(final > self._applied).tolist():
                self._apply_final_of(lane, int(final[lane]), effects)
        self._apply_waiting(effects)

    def _apply_final_of(self, lane: int, final: int, effects: Effects) -> None:
        """Apply a lane's blocks up to the height that is final."""
        for height in range(int(self._applied[lane]) + 1, final + 1):
            held = self._open[lane].pop(height, None)
            if held is None:
                continue
            indices = np.arange(len(held.block.orders), dtype=np.uint32)
            apart = self._apart_in(lane, height)
            self._is_final_now(lane, height, held.block.orders, apart)
            if apart:
                self._undecided[lane, height] = held
                indices = np.delete(indices, apart)
            else:
                self._keep_no_more(lane, held.block)
            self._apply(held, indices, effects)
        self._applied[lane] = final

    def _apply(self, held: Held, indices: npt.NDArray[np.uint32], effects: Effects) -> None:
        """Apply final orders of a block; those that wait for another one are kept."""
        block = held.block
        done = self._applier.apply(block.orders[indices], held.position, indices, block.tables)
        self._note_applied(done, effects)

    def _apply_waiting(self, effects: Effects) -> None:
        """Apply those that waited for something that has happened since."""
        for done in self._applier.apply_waiting():
            self._note_applied(done, effects)

    def _note_applied(self, done: Orders, effects: Effects) -> None:
        if len(done):
            self.counters.applied += len(done)
            effects.settled.append(done)

    def _settle(self, dispute: Dispute, name: bytes, effects: Effects) -> None:
        """Apply the order that is final in a disputed slot.

        Its id leaves the signature out: of several copies, the first that its payer signed stands for it.
        """
        found = []
        for at, lies_there in dispute.places.items():
            held = self._held_at(at.lane, at.height)
            assert held is not None, "a block is held as long as one of its slots is undecided"
            if lies_there == name:
                found.append((held.position, at.row, held))
        found.sort(key=lambda place: place[:2])
        first = found[0]
        if len(found) > 1:
            first = next((p for p in found if self._is_signed(p[2], p[1])), first)
        _, row, held = first
        self._apply(held, np.array([row], np.uint32), effects)

    def _skip(self, slot: Slot, effects: Effects) -> bool:
        """Burn a slot: the sequence goes on, and nothing else happens. False while it is not the next one.

        The slot before it is not decided here yet then; this one is looked at again.
        """
        if not self._applier.skip(slot):
            return False
        self.counters.skipped += 1
        effects.skipped.append(slot)
        return True

    # -- frames -----------------------------------------------------------------------------------

    def frame(self, block_at: Callable[[int], bytes]) -> Frame:
        """Return what another fold goes on from that begins with this ledger (frame.py).

        `block_at` reads a block by its position in the journal.
        """
        slots = {slot: self.disputes.get(slot) for slot in self.disputes.slots()}
        found = {
            slot: d for slot, d in slots.items() if d is not None and not self._is_decided(slot)
        }
        blocks: dict[tuple[int, int], OpenBlock] = {}
        for lane, height, held in self._all_open():
            for row in self._undecided_rows(held.block.orders):
                blocks[lane, height] = OpenBlock(lane, height, held.block.data)
                slot = Slot.of(held.block.orders[row])
                if slots.get(slot) is None:
                    dispute = found.setdefault(slot, Dispute(slot))
                    self._write_out(dispute, Place(lane, height, row), held)
        waiting = []
        for position, row in self._applier.places_waiting():
            data = block_at(position)
            block = self._checking.read(data)
            assert isinstance(block, Block), "it was read before"
            lane = self._lane_of(block)
            blocks[lane, block.height] = OpenBlock(lane, block.height, data)
            waiting.append(Place(lane, block.height, row))
        return Frame(self.chains, tuple(blocks.values()), tuple(found.values()), tuple(waiting))

    def _all_open(self) -> Iterator[tuple[int, int, Held]]:
        for lane, open_ in enumerate(self._open):
            for height, held in open_.items():
                yield lane, height, held
        for (lane, height), held in self._undecided.items():
            yield lane, height, held

    def _undecided_rows(self, orders: Orders) -> list[int]:
        rows = np.flatnonzero(self.ledger.following(orders) <= orders["sequence"]).tolist()
        return [row for row in rows if not self._applier.waits_in(Slot.of(orders[row]))]

    def _write_out(self, dispute: Dispute, at: Place, held: Held) -> None:
        """Write an order of a slot that is not disputed out vote by vote."""
        order = held.block.orders[at.row : at.row + 1]
        name = self._ids_of(order)[0].tobytes()
        dispute.orders.setdefault(name, order)
        dispute.places[at] = name
        doubt = self.doubts.at(at.lane, at.height)
        if doubt is not None and at.row in doubt.slots:
            self._take_doubted(dispute, doubt, at)
            return
        cast = dispute.votes.setdefault(Candidate(0, name), Votes())
        for lane, first in enumerate(self.chains.first_votes(at.lane, at.height).tolist()):
            if first != NEVER:
                cast.cast(lane, first, at)

    def _lane_of(self, block: Block) -> int:
        """The lane of a held block, of which the window may know no more than its chain."""
        lane = self.chains.find(block.author, block.height, block.digest, block.incarnation)
        if lane is not None:
            return lane
        lanes = self.chains.lanes_of[block.author]
        return next(k for k in lanes if self.chains.lanes[k].incarnation == block.incarnation)

    def begin_at(
        self, frame: Frame, position_of: Callable[[Name], int], next_position: int
    ) -> None:
        """Go on from a frame, with the ledger that belongs to it; before anything else.

        `position_of` finds an open block in the journal, whose next position is `next_position`. Raises
        FrameBroken where frame and ledger, or frame and blocks, cannot belong together.
        """
        assert not self._position
        assert not self._begun
        self._begun = True
        self.chains.become(frame.chains)
        self._begin_lanes(len(self.chains.lanes))
        held = {at: self._read_open(at, position_of) for at in frame.blocks}
        by_place = {(at.lane, at.height): block for at, block in held.items()}
        disputed = {(at.lane, at.height) for dispute in frame.slots for at in dispute.places}
        for at in sorted(disputed):
            if at not in by_place:
                raise FrameBroken("an open slot of the frame lies in a block that it has not")
            self._hold_open(*at, by_place[at])
        for dispute in frame.slots:
            self._go_on_with(dispute)
        for lane, height, row in frame.waiting:
            block = by_place.get((lane, height))
            if block is None or row >= len(block.block.orders):
                raise FrameBroken("what waits in the frame lies nowhere")
            order = block.block.orders[row : row + 1]
            self._applier.wait(order, block.position, row, block.block.tables)
        self._position = next_position

    def covers(self, block: Block | Glance | Name) -> bool:
        """Whether a block lies below the newest one of its lane: whether it is held, however long ago."""
        return self.chains.covers(block.author, block.incarnation, block.height, block.digest)

    def _begin_lanes(self, lanes: int) -> None:
        """Make room for so many lanes, of which nothing is held."""
        chains = self.chains
        self._open = [{} for _ in range(lanes)]
        self._newest_open = np.zeros(lanes, np.int64)
        self._applied = chains.final.copy()
        self._era_heads = chains.heads.copy()
        incarnations = [(lane.author, lane.incarnation) for lane in chains.lanes]
        forked = {at for at in incarnations if incarnations.count(at) > 1}
        self.convicted |= {author for author, _ in forked}

    def _read_open(self, at: OpenBlock, position_of: Callable[[Name], int]) -> Held:
        block = self._checking.read(at.data)
        if isinstance(block, Malformed) or self._lane_of(block) != at.lane:
            raise FrameBroken("an open block of the frame is none")
        if block.height != at.height or not self.covers(block):
            raise FrameBroken("an open block of the frame is not the one that stands there")
        name = Name(block.author, block.incarnation, block.height, block.digest)
        return Held(block, position_of(name), self._era)

    def _hold_open(self, lane: int, height: int, held: Held) -> None:
        if height <= self.chains.final[lane]:
            self._undecided[lane, height] = held
        else:
            self._open[lane][height] = held
        self._newest_open[lane] = max(int(self._newest_open[lane]), height)
        self._keep(lane, held.block)

    def _go_on_with(self, written: Dispute) -> None:
        """Go on with an open slot."""
        if self.disputes.get(written.slot) is not None or self._is_decided(written.slot):
            raise FrameBroken("a slot of the frame stands there twice, or is decided")
        dispute = self.disputes.add(written.slot)
        for at in written.places:
            held = self._held_at(at.lane, at.height)
            assert held is not None, "they were looked for"
            order = held.block.orders[at.row : at.row + 1]
            if not len(order) or Slot.of(order[0]) != written.slot:
                raise FrameBroken("a slot of the frame is not that of its order")
            self._add_place(at, order)
        for candidate, votes in written.votes.items():
            cast = dispute.votes.setdefault(candidate, Votes())
            for lane, height in votes.heights.items():
                cast.cast(lane, height, None if candidate.view else votes.place_of(lane))
        for lane, fences in written.fences.items():
            for fence in fences:
                dispute.add_fence(self.chains, lane, fence)
        dispute.proposals = written.proposals
        speaking = {
            *dispute.fences,
            *(p.lane for found in dispute.proposals.values() for p in found),
        }
        for lane in sorted(speaking):
            self.disputes.note_entry(dispute, lane)
        self._watch.touch((written.slot,))

    # -- signatures ---------------------------------------------------------------------------------

    def _note_checked(self, held: Held, signatures: npt.NDArray[np.bool_]) -> None:
        held.signatures = signatures
        held.keys_changed = self.ledger.keys_changed
        held.possessions = self._possessions_of(held.block.orders, held.block.possessions)

    def _signatures_in(self, held: Held) -> npt.NDArray[np.bool_]:
        """Which orders of a held block are signed by the keys that their payers have now."""
        if held.signatures is None:
            self._note_checked(held, self._signatures_of(held.block.orders))
        elif held.keys_changed != self.ledger.keys_changed:
            self._check_new_keys(held, held.signatures)
        assert held.signatures is not None
        return held.signatures

    def _check_new_keys(self, held: Held, signatures: npt.NDArray[np.bool_]) -> None:
        """Check the orders again whose payers have another key than when they were checked."""
        orders = held.block.orders
        rows = self._rows_with_new_keys(orders, held.keys_changed)
        if len(rows):
            signatures[rows] = self._signatures_of(orders[rows])
        held.keys_changed = self.ledger.keys_changed

    def _rows_with_new_keys(self, orders: Orders, keys_changed: int) -> npt.NDArray[np.intp]:
        """Which orders' payers have another key since keys had changed so often."""
        if keys_changed == self.ledger.keys_changed:
            return np.zeros(0, np.intp)
        whose = self.ledger.keys_changed_since(keys_changed)
        if whose is None:
            return np.arange(len(orders))
        return np.flatnonzero(np.isin(orders["payer"], whose))

    def _is_signed(self, held: Held, row: int) -> bool:
        return bool(self._signatures_in(held)[row])

    def _signatures_of(self, orders: Orders) -> npt.NDArray[np.bool_]:
        keys, forms, known = self.ledger.keys_of(orders["payer"])
        taking = np.flatnonzero(orders["kind"] == OrderKind.TAKE_KEY)
        keys[taking] = orders["reference"][taking]  # the new key signs for itself
        forms[taking] = orders["options"][taking, 2] & KEY_FORM_MASK
        self.counters.signatures += len(orders)
        return self._checking.orders_hold(orders, keys, forms) & known

    def _possessions_of(
        self, orders: Orders, signatures: dict[int, bytes]
    ) -> npt.NDArray[np.bool_]:
        holds = np.zeros(len(orders), np.bool_)
        for index, signature in signatures.items():
            holds[index] = self._checking.possession_holds(orders[index], signature)
        return holds


class JournalBroken(Exception):  # noqa: N818 - it names what is the matter, as the shell prints it
    """A journal that does not fold: which block, and why."""

    def __init__(self, position: int, why: str) -> None:
        """`position` is the journal's."""
        super().__init__(f"block {position} of the journal cannot be used: {why}")
        self.position = position


def _proposed_in(block: Block) -> list[Proposed]:
    """The governance orders of a block, with what travels beside them; of very many the first."""
    found = []
    name = Name(block.author, block.incarnation, block.height, block.digest)
    rows = np.flatnonzero(IS_GOVERNED[block.orders["kind"]])
    for row in rows[:PROPOSED_MAX].tolist():
        content = block.tables.get(block.orders[row]["reference"].tobytes())
        found.append(
            Proposed(
                block.orders[row : row + 1].copy(),
                name,
                block.possessions.get(row),
                None if content is None else content.tobytes(),
            )
        )
    return found
