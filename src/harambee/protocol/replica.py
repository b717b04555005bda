"""One super-agent's replica: everything that keeps money safe, and nothing of the outside world.

**What it promises.** *Safety*: no two orders become final in one slot; what is final is applied together,
once, on every replica, and no cent is lost or made; this holds whatever up to f super-agents do, on any
network, however slow. *Liveness*: while q super-agents run and reach each other, an order that its payer
signed once becomes final within three blocks' time.

**How.** A payment takes two steps of one-way broadcast, all inside one signed block per author and pace:

    the broker puts the order into its block          (that is its own vote)
    voters reference the block, refusing what breaks a rule           -> certificate: q votes
    blocks whose own past holds the certificate acknowledge it        -> final: q acknowledgements

Nothing is agreed upon between payments of different payers, so there is no leader, no round and no order
of everything. `fold.py` says what follows from the blocks that are held: what is final, and the ledger.
Here is what a super-agent does about it: `recovery.py` frees slots that are fought over, `parking.py` keeps
blocks whose past is missing, `slots.py` what this replica has promised, `catchup.py` what it lacks; the
ledger below knows accounts and rules, and no super-agents.

**What is in here.** One door in, `receive(message, now)`, one value out, `Effects`. Time is an argument
(nanoseconds since 1970). No sockets, files, threads, clocks or dice: both shells, the real one and the
simulated one, drive this same object with the same loop, so what is simulated is what ships.

**Durability.** `Effects.persist` comes before everything else in `Effects`. A lock is taken only while one's
own block is made, and that block *is* the lock's record: it says which blocks it votes for and which orders
it refuses. So a vote is durable before it leaves, and `restore` finds every promise in one's own chain.

**Liars.** An author that forks, or votes twice, is convicted: evidence goes out with the effects, and this
replica references it no more. What it said before still counts, in every
branch; what honest authors' blocks stand on is fetched by name, whatever its author did.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.crypto.keys import is_p256
from harambee.crypto.signatures import Signer, sign
from harambee.ledger.kinds import (
    HAS_CONTENT,
    IS_ELSEWHERE,
    IS_GOVERNED,
    IS_HOUSE,
    OrderKind,
    Space,
)
from harambee.ledger.ledger import Ledger
from harambee.ledger.outcomes import Outcome
from harambee.ledger.payees import (
    TABLE_BYTES_MAX,
    TARIFF_BYTES_MAX,
    Tables,
    document_digest,
    table_digest,
    tables_of,
)
from harambee.protocol.catchup import RANGE_BLOCKS_MAX, CatchUp
from harambee.protocol.chains import CERTIFIED, CLOCK, VOTED, Lane
from harambee.protocol.checking import Checking
from harambee.protocol.committee import Committee
from harambee.protocol.disputes import Dispute
from harambee.protocol.doubts import Doubt, Group
from harambee.protocol.effects import (
    EVERYONE,
    AskHeads,
    Effects,
    Evidence,
    Fetch,
    FetchNamed,
    Name,
    Proposed,
    Range,
    Refused,
    SendBlock,
    SendHeads,
    Serve,
    ServeNamed,
)
from harambee.protocol.fold import NONE, Fold, Held, RefusedIn, VotesOn
from harambee.protocol.frame import Frame
from harambee.protocol.limits import (
    BLOCK_NS_MIN,
    DOOR_TABLE_BYTES_MAX,
    FEW_BLOCKS,
    OFFER_DOUBLINGS_MAX,
    STRAY_SLOTS_MAX,
    VOUCHED_SHIFT,
    AuthorLimits,
    cost_of,
    cost_of_forged,
    cost_of_p256,
    room_of,
)
from harambee.protocol.malformed import Malformed
from harambee.protocol.messages import (
    ApprovalsChanged,
    BlockArrived,
    FetchAsked,
    FetchEnded,
    HeadsArrived,
    HeadsAsked,
    Message,
    NamedAsked,
    OrdersOffered,
    PeerDown,
    PeerUp,
    Tick,
)
from harambee.protocol.offers import HEADS_AGAIN_NS, Offers
from harambee.protocol.parking import Parking
from harambee.protocol.placing import Past, past_of, place
from harambee.protocol.recovery import Plan, Rescuer
from harambee.protocol.recovery_entries import (
    ABSTAINS,
    Recovery,
    ReEntry,
    write_recovery,
)
from harambee.protocol.reentry import ABSTENTIONS_MAX, Phase, ReEntering
from harambee.protocol.slot import Slot
from harambee.protocol.slots import Offer, Slots
from harambee.protocol.wire import (
    ATTACHMENT_BYTES_MAX,
    INCARNATIONS_MAX,
    LOOSE_ENDS_MAX,
    NO_DIGEST,
    REFERENCE,
    REJECTION_BYTES_MAX,
    SIGNATURE_BYTES,
    Block,
    Draft,
    Glance,
    attached_bytes,
    block_prefix,
    names_in,
    write_block,
    write_content,
    write_possession,
    write_rejection,
)

Orders = npt.NDArray[np.void]
Codes = npt.NDArray[np.uint8]

DAY_NS: Final = 86_400_000_000_000
ZONE_NS: Final = 3 * 3_600_000_000_000
"""Days begin at midnight in UTC+3, the customers' clock."""
PATIENCE_AHEAD_NS: Final = 1_500_000_000
"""How long an order waits at the door for the one before it, which may be final elsewhere already."""
OFFER_AGAIN_NS: Final = 2_000_000_000
"""A contested order is put into a block again no sooner than this after the first time, and twice as long
after each further one."""
INSIST_NS: Final = 2_000_000_000
"""An order that is offered again so long after it was first offered again, is not getting through;"""
INSIST_PACES: Final = 24
"""and no sooner than after so many of one's own blocks, where people speak rarely, or are too busy to speak
more often: a payment takes about four of them."""
INSISTENT_MAX: Final = 1 << 14
DOOR_ORDERS_MAX: Final = 1 << 16
BLOCK_ORDERS: Final = 4_096
"""How many orders this author puts into one block; the wire allows more."""
PROPOSED_RESTORED_MAX: Final = 4_096
"""Those of a journal, the newest: what is older has died of age or is in the ledger."""
CHECKED_TOGETHER: Final = 512
"""So many orders are checked at once; fewer wait for others, or until this author speaks."""
READ_FIRST_BLOCKS: Final = 64
"""With so many blocks of an author to catch up with, a replica reads first, and speaks and checks then."""
REFUSAL_BYTES: Final = REJECTION_BYTES_MAX - (64 << 10)
"""An author votes on no further block in this one of its own, once its refusals take so many bytes."""


def day_of(now: int) -> int:
    """The day number of a moment in nanoseconds since 1970 (docs/wire.md section 3)."""
    return (now + ZONE_NS) // DAY_NS


@dataclass(slots=True)
class Unchecked:
    """Blocks whose orders' signatures are to be checked before this author votes."""

    blocks: list[Held] = field(default_factory=list)
    orders: int = 0

    def add(self, held: Held) -> None:
        """One more block."""
        self.blocks.append(held)
        self.orders += len(held.block.orders)


@dataclass(frozen=True, slots=True)
class Late:
    """A block that was final before this author voted on it: what a reference to it has to refuse."""

    orders: int
    """How many orders the block has."""
    rows: npt.NDArray[np.intp]
    """Those that were not applied from here: a rival may have this author's vote already."""


@dataclass(slots=True)
class Waiting:
    """Orders at this door, in the order of arrival, with the tickets under which they came."""

    orders: Orders
    ids: npt.NDArray[np.uint8]
    ticket: int
    indices: npt.NDArray[np.intp]
    possessions: dict[int, bytes]
    """By row of `orders`."""
    tables: dict[int, bytes]
    """Payee tables, by row of `orders`: each the one that its order names."""
    until: int
    """Orders that wait for the one before them do so until then; nanoseconds."""
    keys_changed: int
    """How often keys had changed in the ledger when their signatures were checked."""

    def payees(self) -> Tables:
        """The payee tables as the ledger reads them."""
        return tables_of(self.tables.values())

    def that_fit(self, room: int, attachment_bytes: int) -> int:
        """How many of these orders, from the first on, go into a block that has so much room left."""
        for row in sorted({*self.possessions, *self.tables}):
            attached = (self.possessions.get(row), self.tables.get(row))
            attachment_bytes -= sum(attached_bytes(part) for part in attached if part is not None)
            if attachment_bytes < 0:
                return min(room, row)
        return min(room, len(self.orders))


@dataclass(slots=True)
class Owed:
    """What is certified and not acknowledged by this author yet."""

    items: set[Hashable] = field(default_factory=set)
    """Disputed candidates, groups of doubts."""
    in_vain: set[Hashable] = field(default_factory=set)
    """What one's newest block did not acknowledge, though it could not have referenced more."""
    vain_heights: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Up to which height of each lane that was so for whole blocks, (lanes,) as there were then."""

    @property
    def asks_for_a_block(self) -> bool:
        """Whether one's next block would acknowledge something that one's newest does not."""
        return not self.items <= self.in_vain


@dataclass(slots=True)
class Pace:
    """How often a replica speaks; nanoseconds."""

    block_ns: int = 20_000_000
    heartbeat_ns: int = 1_000_000_000


class Replica(Fold):
    """The deterministic core of one super-agent. Not thread-safe; one shell owns it."""

    def __init__(
        self,
        network: bytes,
        committee: Committee,
        index: int,
        key: Signer,
        ledger: Ledger,
        pace: Pace | None = None,
        checking: Checking | None = None,
    ) -> None:
        """`index` is this super-agent's place in the committee, `key` signs its blocks.

        `checking` may be shared by the replicas of one network in one process.
        """
        assert committee.members[index].key == key.public, "the key is the one in the genesis"
        # Whoever copies all orders that are under way must not make everybody count them one by one.
        super().__init__(network, committee, ledger, checking, is_exact=False)
        self.index = index
        self.pace = pace or Pace()
        self._block_ns = max(self.pace.block_ns, BLOCK_NS_MIN)
        self._limits = AuthorLimits(committee.n, index)
        self.slots = Slots(len(ledger.accounts))
        self.re_entering = ReEntering(committee, index)
        self.rescuer = Rescuer(
            committee,
            index,
            self.pace.block_ns,
            self.chains,
            self.disputes,
            self._is_next,
            self._passes_in_recovery,
            self._is_signed_anywhere,
            lambda: self.chains.clock_above([self.lane, *self._followed()]),
            self._is_ripe,
            self.re_entering.binds,
        )
        self.catch_up = CatchUp(committee.n, index)
        self.halted: str | None = None
        self.approved: frozenset[bytes] = frozenset()
        """The governance orders that two operators of this super-agent have approved, by id."""
        self.speaking = False
        """Whether q authors (itself included) have said how far this author's chain goes."""
        self.peers_up: set[int] = set()
        self._key = key
        self._block_prefix = block_prefix(network, committee.epoch)
        self._unchecked = Unchecked()
        self._late: list[dict[int, Late]] = [{} for _ in committee.members]
        """For each lane, by height: blocks whose orders were not judged and are no longer open."""
        self._parking, self._offers = Parking(committee.n), Offers()
        self._owed, self._restoring = Owed(), False
        self._insistent: dict[Slot, int] = {}
        """When an order that was known already was first offered again."""
        self._door, self._ahead = list[Waiting](), list[Waiting]()
        self._door_orders, self._today = 0, 0
        self._last_block_at, self._heads_asked_at, self._was_due = 0, 0, False
        """When the last block was made and heads were last asked for, and whether something remained to be
        said at the end of the last turn."""
        self.reading_up = False
        """Whether so much is missing that it reads first, and speaks then."""
        self._told: dict[int, npt.NDArray[np.void]] = {}
        self._told_heads = -1, np.zeros(0, REFERENCE)

    # -- the door ---------------------------------------------------------------------------------

    def receive(self, message: Message, now: int) -> Effects:
        """Take one event at the moment `now`; what it leads to. Never raises for what others sent."""
        effects = Effects()
        match message:
            case BlockArrived():
                self._on_block(message, now, effects)
            case OrdersOffered():
                self._on_orders(message, now, effects)
            case HeadsArrived():
                self._on_heads(message, now, effects)
            case FetchAsked():
                effects.send.append(Serve(message.peer, message.ranges))
            case NamedAsked():
                effects.send.append(ServeNamed(message.peer, message.names))
            case FetchEnded():
                self.catch_up.answered(message.peer)
            case HeadsAsked():
                effects.send.append(SendHeads(message.peer, self.heads()))
            case PeerUp():
                self.peers_up.add(message.peer)
                self._heads_asked_at = now
                effects.send.append(AskHeads(message.peer))
            case PeerDown():
                self.peers_up.discard(message.peer)
                self.catch_up.forget(message.peer)
            case ApprovalsChanged():
                self.approved = message.approved
            case Tick():
                pass
        return effects

    def act(self, now: int, *, may_speak: bool = True) -> Effects:
        """Do what is due at `now`, after any number of `receive`: count, speak, ask, say when to wake.

        Kept apart from `receive` so that a shell that has taken many messages acts on them once.
        """
        effects = Effects()
        self._today = day_of(now)
        self._last_block_at = min(self._last_block_at, now)  # a clock that was set back
        self._decide_disputes(effects)
        self._begin_to_speak()
        self._go_on_re_entering()
        self.reading_up = self._is_far_behind()
        if self.halted is None and self.speaking and may_speak and not self.reading_up:
            due = self._last_block_at + self._block_ns
            owes_a_rescue = self._owes_a_rescue(now)
            if owes_a_rescue and now >= due:
                owes_a_rescue = self._still_owes_a_rescue(now)
            speaks = owes_a_rescue or self._has_something_to_say(now)
            if now >= due and (speaks or self._heartbeat_due(now)):
                waited = now - self._last_block_at if self._was_due else self._block_ns
                self.rescuer.note_stride(waited)
                self._speak(now, effects)
                self._decide_disputes(effects)
                self._note_what_was_in_vain()
                speaks = self._owes_a_rescue(now) or self._has_something_to_say(now)
            self._was_due = speaks
            effects.wake_at = (
                max(now + 1, self._last_block_at + self._block_ns)
                if speaks
                else self._last_block_at + self.pace.heartbeat_ns
            )
            timer = self.rescuer.next_timer(now)
            if timer is not None:
                effects.wake_at = min(effects.wake_at, timer)
        effects.send += [AskHeads(peer) for peer in self._whose_heads_to_ask(now)]
        named, named_wake = self._parking.requests(self._names_to_fetch(now), self.peers_up, now)
        effects.send += named
        ends, limit_wake = self._ends_of_fetches(now)
        requests, wake = self.catch_up.requests(
            self._heads_with_parked(),
            self.peers_up,
            now,
            ends=ends,
            eager=self.reading_up or not self.speaking,
            without=self.convicted,
        )
        effects.send += requests
        if not self.speaking:
            effects.wake_at = self._heads_asked_at + HEADS_AGAIN_NS
        wakes = [at for at in (wake, named_wake, limit_wake, effects.wake_at) if at is not None]
        effects.wake_at = min(wakes, default=now + self.pace.heartbeat_ns)
        effects.halted = self.halted
        return effects

    def re_enter(self) -> None:
        """After `restore`: this super-agent's disk is lost or old, and its operator says so.

        It reads what the others hold, and then begins a new chain (`reentry.py`).
        """
        self.re_entering.phase = Phase.READING

    def restore(
        self, blocks: Iterable[tuple[int, bytes]], convicted: Iterable[int] = ()
    ) -> tuple[Proposed, ...]:
        """Fold a journal's (position, block), in its own order, before anything is received.

        They were checked when they came. Where a frame was begun at, what it covers is left out.

        Returns the newest governance orders in it: whoever keeps proposals may have been stopped before it
        wrote down what the journal has.

        `convicted` are those against whom evidence is kept beside it: what is final only because the orders
        in a convict's blocks are counted one by one, was told already.

        Raises JournalBroken where a block does not continue what came before: a damaged journal.
        """
        proposed: deque[Proposed] = deque(maxlen=PROPOSED_RESTORED_MAX)
        self._restoring = True
        own = self.lane, self.height
        for effects in self.fold(blocks):
            proposed += effects.proposed
            if own != (self.lane, self.height):
                own = self.lane, self.height
                if self.own_incarnation and self.re_entering.phase != Phase.ABSTAINING:
                    self._decide_disputes(Effects())
                    self._go_on_re_entering()
        self._restoring = False
        self.convicted.update(convicted)
        self._decide_disputes(Effects())
        return tuple(proposed)

    # -- what people may look at ------------------------------------------------------------------

    def heads(self) -> npt.NDArray[np.void]:
        """Each author's newest held block, in the lane that is followed; then loose ends: a REFERENCE array.

        A loose end is the newest block of another lane on which no block of this author stands: nobody else
        may ever hear of it. There may be many; each call tells of some of them in turn.
        """
        if self._told_heads[0] != self._position:
            lanes = np.array(self.chains.current + self._loose_ends(), np.int64)
            heads = np.zeros(len(lanes), REFERENCE)
            heads["author"] = self.chains.author_of[lanes]
            heads["incarnation"] = [self.chains.lanes[lane].incarnation for lane in lanes.tolist()]
            heads["height"] = self.chains.heads[lanes]
            heads["digest"] = self.chains.newest(lanes)
            self._told_heads = self._position, heads
        return self._told_heads[1]

    def _loose_ends(self) -> list[int]:
        seen = self.chains.head_row(self.lane)[CLOCK]
        loose = [
            lane
            for lane in range(self.committee.n, len(self.chains.lanes))
            if self.chains.heads[lane] > max(seen[lane], self.chains.lanes[lane].base)
            and lane not in self.chains.current
        ]
        turn = self._position % len(loose) if len(loose) > LOOSE_ENDS_MAX else 0
        return (loose[turn:] + loose[:turn])[:LOOSE_ENDS_MAX]

    @property
    def own_head(self) -> Name:
        """This author's newest block; its digest is zero where there is none."""
        return self._head_of(self.index)

    @property
    def lane(self) -> int:
        """This author's own lane."""
        return self.chains.current[self.index]

    @property
    def own_incarnation(self) -> int:
        """Which life of this author its newest block is of."""
        return self.chains.lanes[self.lane].incarnation

    @property
    def height(self) -> int:
        """The height of this author's newest block."""
        return int(self.chains.heads[self.lane])

    @property
    def takes_part(self) -> bool:
        """Whether this super-agent votes: not while it comes back from a lost disk."""
        return self.re_entering.phase in (Phase.NONE, Phase.ABSTAINING)

    @property
    def queued(self) -> int:
        """How many orders wait at this door."""
        return self._door_orders

    def behind(self) -> int:
        """How many blocks its peers are known to hold that this replica does not."""
        best = self.catch_up.held_by.max(axis=0)
        return int(np.maximum(best - self._heights(), 0).sum())

    def _heights(self) -> npt.NDArray[np.int64]:
        """How far each author's followed lane is held, (n,)."""
        heights: npt.NDArray[np.int64] = self.chains.heads[self.chains.current]
        return heights

    # -- blocks from others -----------------------------------------------------------------------

    def _on_block(self, message: BlockArrived, now: int, effects: Effects) -> None:
        """Take a block, the cheapest checks first: what is known, not wanted or too much costs little."""
        seen = self._checking.glance(message.data)
        if isinstance(seen, Malformed) or seen.epoch != self.committee.epoch:
            self.counters.malformed += 1
            return
        self.catch_up.hears(message.peer, seen.author, seen.height, len(message.data), now)
        if not self._is_news(seen, message.peer):
            return
        free = self._is_held_by_enough(seen)
        if not free and not self._is_within_limits(seen, now):
            self.counters.deferred += 1
            return
        if not self._checking.block_holds(seen):
            self.counters.malformed += 1
            return
        if seen.author == self.index and not self._may_be_told_of(seen):
            self.halted = (
                f"a peer holds block {seen.height} of this super-agent, but its own journal ends at "
                f"{self.height}: this is a lost or an old disk, and its promises are lost with it"
            )
            return
        block = self._checking.read(message.data, seen)
        if isinstance(block, Malformed):
            self.counters.malformed += 1
            return
        self._on_signed_block(block, message.peer, effects, free=free)

    def _is_news(self, seen: Glance, peer: int) -> bool:
        """Whether a block may bring anything: it is not known, and its author is followed or it is wanted."""
        if seen.digest in self._parking:
            self._parking.came_again(seen.digest, peer)
            return False
        if self._is_held(seen):
            return False
        if seen.author in self.convicted and not self._is_wanted(seen.digest):
            return False
        self._note_holder(peer, seen)
        return True

    def _is_wanted(self, digest: bytes) -> bool:
        """Whether a block is taken whatever its author did: others stand on it, or it was asked for."""
        return self._parking.is_wanted(digest) or digest in self._offers

    def _on_signed_block(self, block: Block, peer: int, effects: Effects, *, free: bool) -> None:
        """Take a block that its author has signed; `free` if it costs its author nothing."""
        vouched = self._parking.is_vouched_for(block.digest)
        beside = self._held_with_id(block)
        if beside is not None and block.author != self.index:
            self._convict(Evidence(block.author, beside, block.data), effects)
            if not self._is_wanted(block.digest):
                return
        self._note_what_is_held(block)
        if not free:
            self._limits.allowances[block.author].pay(*cost_of(block, vouched=vouched))
            self._charge_p256(block, vouched=vouched)
        past = past_of(self.chains, block)
        if isinstance(past, Past):
            if self._take(block, past, effects):
                self._integrate_parked(self._parking.arrived(block.digest), effects)
        elif self._parking.add(block, peer, vouched=vouched or free):
            self._parking.wait(block.digest, past)
        else:
            self.counters.deferred += 1
            return
        self.counters.taken += 1

    def _is_held_by_enough(self, block: Glance) -> bool:
        """Whether w super-agents say that they hold a block's height: then an honest one took it."""
        if block.incarnation != self.catch_up.incarnations[block.author]:
            return False
        holders = self.catch_up.held_by[:, block.author] >= block.height
        return int(np.count_nonzero(holders)) >= self.committee.w

    def _is_within_limits(self, seen: Glance, now: int) -> bool:
        """Whether a block that its author pushes may be taken now; if not, it is fetched later."""
        lane = self._lane_before(seen)
        if seen.orders and self._kept_in(lane) >= self._limits.kept_orders_max:
            return False
        if seen.recovery_bytes and self._strays_in(lane) >= STRAY_SLOTS_MAX:
            return False
        return self._limits.allowances[seen.author].lasts(now)

    def _lane_before(self, seen: Glance) -> int:
        """The lane that a block continues; where that is not known yet, the one that is followed."""
        before = self.chains.find(seen.author, seen.height - 1, seen.previous, seen.incarnation)
        return self.chains.current[seen.author] if before is None else before

    def _kept_in(self, lane: int) -> int:
        """How many orders lie in kept blocks of a chain."""
        return sum(self._limits.kept[part] for part in self.chains.line(lane))

    def _strays_in(self, lane: int) -> int:
        """In how many slots without any order a chain speaks of recovery."""
        return sum(self.disputes.strays(part) for part in self.chains.line(lane))

    def _may_be_told_of(self, block: Block | Glance) -> bool:
        """Whether others may hold a block of this author that it does not: from before it re-entered."""
        return self.re_entering.phase == Phase.READING or block.incarnation < self.own_incarnation

    def _note_holder(self, peer: int, block: Block | Glance) -> None:
        """Who sends a block holds it, and so does, if it is its, its author."""
        if block.incarnation == self.chains.followed[1, block.author]:
            self.catch_up.holds(peer, block.author, block.height)

    def _note_what_is_held(self, block: Block) -> None:
        """A block leaves its author only when its past is durable there: the author holds all it names."""
        if block.author != self.index:
            self._note_holder(block.author, block)
        self.catch_up.holds_named(block.author, block.names, self.chains.followed[1])

    def _integrate_parked(self, ready: list[bytes], effects: Effects) -> None:
        """Integrate those of these parked blocks whose past is held, and then what has waited for them."""
        while ready:
            digest = ready.pop()
            block = self._parking.get(digest)
            if block is None:
                continue
            past = past_of(self.chains, block)
            if not isinstance(past, Past):
                self._parking.wait(digest, past)
                continue
            self._parking.take(digest)
            if self._take(block, past, effects):
                ready += self._parking.arrived(digest)

    def _heads_with_parked(self) -> npt.NDArray[np.int64]:
        heights = self._heights()
        if len(self._parking):
            for author, incarnation in enumerate(self.catch_up.incarnations):
                reached = self._parking.reach(author, incarnation, int(heights[author]))
                heights[author] = reached
        return heights

    def _names_to_fetch(self, now: int) -> list[Name]:
        """What parked blocks lack and catch-up by heights does not bring.

        Those are blocks of branches and of convicted authors, and what nobody claims to hold: who sent one
        that stands on it holds it, though it has once ended an answer without it.
        """
        names = self._apart(now)
        if not names:
            return names
        self._parking.look_ahead({name.author for name in names}, self._is_named_held, now)
        return self._apart(now)

    def _apart(self, now: int) -> list[Name]:
        """What parked blocks lack, of authors whose limits are not reached, and catch-up does not bring."""
        names = self._parking.lacking()
        allowances = self._limits.allowances
        lasting = {
            author for author in {name.author for name in names} if allowances[author].lasts(now)
        }
        return [name for name in names if name.author in lasting and self._is_apart(name)]

    def _is_apart(self, name: Name) -> bool:
        """Whether catch-up by heights does not bring this block."""
        head = self._head_of(name.author)
        return (
            name.author in self.convicted
            or name.incarnation != head.incarnation
            or name.height <= head.height
            or not self.catch_up.is_claimed(name.author, name.height, self.peers_up)
        )

    def _ends_of_fetches(self, now: int) -> tuple[npt.NDArray[np.int64], int | None]:
        """Up to which heights each author's blocks may be fetched now, (n,); when that may change by itself.

        What w super-agents hold always may. Beyond that a few, and none while the author's limits are
        reached: what it pushed then was left out, and is fetched afterwards.
        """
        heights = self._heights()
        ahead = np.flatnonzero(self.catch_up.held_by.max(axis=0) > heights).tolist()
        if not ahead:
            return heights, None
        enough = self.catch_up.held_by_enough(self.committee.w)
        ends = np.maximum(enough, heights + FEW_BLOCKS)
        wake: int | None = None
        for author in ahead:
            lane = self.chains.current[author]
            allowance = self._limits.allowances[author]
            if not allowance.lasts(now):
                back = max(now + 1, allowance.back_at())
                wake = back if wake is None else min(wake, back)
            elif (
                self._kept_in(lane) < self._limits.kept_orders_max
                and self._strays_in(lane) < STRAY_SLOTS_MAX
            ):
                continue
            ends[author] = max(int(enough[author]), int(heights[author]))
        return ends, wake

    def _is_held_now(self, lane: int, held: Held, effects: Effects) -> None:
        if not self._restoring:
            effects.persist.append(held.block.data)
        if not len(held.block.orders):
            return
        if not (self._restoring or lane == self.lane or self.reading_up):
            self._unchecked.add(held)
            if self._unchecked.orders >= CHECKED_TOGETHER:
                self._check_what_came()
        if lane != self.lane:  # its own block abstains itself
            self._note_abstentions(held.block.orders)

    def _is_counted_now(
        self, lane: int, block: Block, votes_on: VotesOn, refused: RefusedIn
    ) -> None:
        if lane != self.lane:
            self._note_abstentions_in(block.recovery.slots())
        else:
            self._spoke_at = self.counters.blocks
            if self._restoring:
                self._lock_as_voted(votes_on, refused)
            self._forget_late(votes_on)

    def _keep(self, lane: int, block: Block) -> None:
        super()._keep(lane, block)
        self._limits.kept[lane] += room_of(block)

    def _keep_no_more(self, lane: int, block: Block) -> None:
        super()._keep_no_more(lane, block)
        self._limits.kept[lane] -= room_of(block)

    def _begin_lanes(self, lanes: int) -> None:
        super()._begin_lanes(lanes)
        self._late = [{} for _ in range(lanes)]
        self._limits.kept = [0] * lanes
        for about in self.chains.lanes:
            if about.incarnation > self.catch_up.incarnations[about.author]:
                self.catch_up.begin(about.author, about.incarnation)

    def begin_at(
        self, frame: Frame, position_of: Callable[[Name], int], next_position: int
    ) -> None:
        """Go on from a frame (`Fold.begin_at`), with the promises that this author has made below it."""
        super().begin_at(frame, position_of, next_position)
        for slot in self.disputes.slots():
            dispute = self.disputes.get(slot)
            assert dispute is not None, "it was just begun"
            for lane in self.chains.lanes_of[self.index]:
                self._lock_again(dispute, lane)
        self._note_all_late()

    def go_on_abstaining(self, noted: bytes) -> None:
        """After `begin_at`, and before `restore`: go on with what `ReEntering.to_bytes` noted before."""
        self.re_entering.go_on(noted, self.own_incarnation)
        self._note_all_abstentions()

    def _lock_again(self, dispute: Dispute, lane: int) -> None:
        """Lock the order for which a lane of this author's votes in view 0."""
        for candidate, votes in dispute.votes.items():
            if candidate.view == 0 and lane in votes.heights:
                order = dispute.orders[candidate.value]
                name = np.frombuffer(candidate.value, np.uint8)[np.newaxis]
                self.slots.lock(order, name, np.zeros(1, np.uint8))

    def _note_all_late(self) -> None:
        """What lies below a frame and is not open is not judged any more: a reference to it refuses it all.

        It is decided, and so a refusal changes nothing; but this author may have voted for a rival of it.
        """
        voted = self.chains.head_row(self.lane)[VOTED]
        for lane in self._followed():
            for height in self.chains.kept_heights(lane).tolist():
                orders = self.chains.orders_at(lane, height)
                if orders and height > voted[lane] and height not in self._open[lane]:
                    self._late[lane][height] = Late(orders, np.arange(orders))

    def _note_abstentions(self, orders: Orders) -> None:
        """Where this author may have promised something that it has forgotten, it abstains."""
        self._abstain_in(Slot.of(orders[row]) for row in self.re_entering.rows(orders))

    def _note_abstentions_in(self, slots: Iterable[Slot]) -> None:
        """So it does where recovery goes on without an order: a skip it would acknowledge without a word.

        What fewer than w have opened is a liar's talk, and nothing can come of it.
        """
        for slot in slots:
            dispute = self.disputes.get(slot) if self.re_entering.binds(slot) else None
            if dispute is not None and (dispute.places or dispute.fenced_by(self.committee.w)):
                self._abstain_in((slot,))

    def _abstain_in(self, slots: Iterable[Slot]) -> None:
        self.re_entering.note(
            slot
            for slot in slots
            if not self._is_decided(slot) and self._own_fence(slot) != ABSTAINS
        )

    def _note_all_abstentions(self) -> None:
        """Those in all undecided slots of which held blocks speak."""
        for _, _, held in self._all_open():
            self._note_abstentions(held.block.orders)
        self._note_abstentions_in(self.disputes.slots())

    def _go_on_re_entering(self) -> None:
        """Take part again, once q others have the new chain in theirs."""
        re_entering = self.re_entering
        if (
            re_entering.phase == Phase.READING
            and self._head_of(self.index).incarnation + 1 >= INCARNATIONS_MAX
        ):
            self.halted = (
                f"this super-agent has begun {INCARNATIONS_MAX} chains in this epoch, and may begin no more: "
                "the committee has to give it a new place"
            )
        if re_entering.phase == Phase.NONE and self.own_incarnation:
            re_entering.phase = Phase.ANNOUNCED  # a restart on the way back
        if re_entering.phase == Phase.ANNOUNCED and re_entering.is_recorded(self.chains):
            re_entering.begin_to_abstain(self.ledger)
            self._note_all_abstentions()

    def _open_lane(self, about: Lane) -> int:
        lane = super()._open_lane(about)
        self._late.append({})
        self._limits.kept.append(0)
        if about.incarnation > self.catch_up.incarnations[about.author]:
            self.catch_up.begin(about.author, about.incarnation)
        return lane

    def _check_what_came(self) -> None:
        """Check the signatures of all orders that came in blocks, together: each costs less beside others."""
        came = [held for held in self._unchecked.blocks if held.signatures is None]
        self._unchecked = Unchecked()
        if not came:
            return
        holds = self._signatures_of(np.concatenate([held.block.orders for held in came]))
        ends = np.cumsum([len(held.block.orders) for held in came])
        for held, signatures in zip(came, np.split(holds, ends[:-1]), strict=True):
            self._note_checked(held, signatures)
            self._charge_forged(held)

    def _charge_p256(self, block: Block, *, vouched: bool = False) -> None:
        """A block tells nothing of its payers' keys: it costs what they are here, where they are known."""
        if len(block.orders):
            _, forms, _ = self.ledger.keys_of(block.orders["payer"])
            slower = int(is_p256(forms).sum())
            self._limits.allowances[block.author].pay(*cost_of_p256(slower, vouched=vouched))

    def _charge_forged(self, held: Held) -> None:
        """An honest broker checks at its door who signed an order; one who does not is slowed down."""
        assert held.signatures is not None
        forged = int((~held.signatures).sum())
        if forged:
            self._limits.allowances[held.block.author].pay(*cost_of_forged(forged))

    def _lock_as_voted(self, votes_on: VotesOn, refused: RefusedIn) -> None:
        """Take again the locks that one's own block is the record of."""
        for lane, (first, last) in votes_on.spans.items():
            for at in range(first, last + 1):
                held = self._open[lane].get(at)
                if held is not None:
                    self._lock_accepted(held, refused.get((lane, at), frozenset()))

    def _lock_accepted(self, held: Held, refused: frozenset[int]) -> None:
        orders = held.block.orders
        stale = self.ledger.following(orders) > orders["sequence"]
        codes = np.where(stale, int(Outcome.SEQUENCE_STALE), 0).astype(np.uint8)
        codes[[index for index in refused if index < len(codes)]] = Outcome.SLOT_TAKEN
        codes[self._fenced_rows(orders)] = Outcome.SLOT_FENCED
        self.slots.lock(orders, self._ids_of(orders), codes)

    # -- counting ---------------------------------------------------------------------------------

    def _fenced_rows(self, orders: Orders) -> list[int]:
        """Which of these orders lie in slots that this author has fenced."""
        rows = self.disputes.disputed_rows(orders)
        if self.own_incarnation:  # it may abstain
            rows = sorted({*rows, *self.doubts.doubted_rows(orders)})
        return [row for row in rows if self._own_fence(Slot.of(orders[row])) > 0]

    def _own_fence(self, slot: Slot) -> int:
        dispute = self.disputes.get(slot)
        if dispute is not None:
            return dispute.fence(self.chains, self.lane, self.height)
        return ABSTAINS if self.doubts.abstains(self.chains, self.lane, slot) else 0

    def _is_final_now(self, lane: int, height: int, orders: Orders, apart: list[int]) -> None:
        """A block is final before this author has voted on it, and about to be applied.

        A reference votes for whatever it does not refuse, and soon nobody will know what lay here. So note
        what is not applied from here: what is counted apart, and what comes too late for its slot. This
        author may have voted for a rival of it.
        """
        author = self.chains.lanes[lane].author
        may_be_referenced = author != self.index and self.chains.current[author] == lane
        if not may_be_referenced or height <= self.chains.head_row(self.lane)[VOTED, lane]:
            return
        refuse = self.ledger.following(orders) > orders["sequence"]
        locked = self.slots.locked_rows(orders)
        if len(locked):
            mine = [self.slots.holder(Slot.of(orders[row])) for row in locked.tolist()]
            ids = self._ids_of(orders[locked])
            refuse[locked] = [name != id_.tobytes() for name, id_ in zip(mine, ids, strict=True)]
        refuse[apart] = True
        if refuse.any():
            self._late[lane][height] = Late(len(orders), np.flatnonzero(refuse))

    def _forget_late(self, votes_on: VotesOn) -> None:
        """One's own newest block votes on these heights: it says what it refuses."""
        for lane, (_, last) in votes_on.spans.items():
            for height in [height for height in self._late[lane] if height <= last]:
                del self._late[lane][height]

    def _note_applied(self, done: Orders, effects: Effects) -> None:
        super()._note_applied(done, effects)
        self.slots.release(done)

    def _skip(self, slot: Slot, effects: Effects) -> bool:
        skipped = super()._skip(slot, effects)
        if skipped:
            self.slots.release_slot(slot)
        return skipped

    def _close(self, dispute: Dispute) -> None:
        super()._close(dispute)
        self.rescuer.forget(dispute.slot)
        self._insistent.pop(dispute.slot, None)

    def _may_convict(self, author: int) -> bool:
        return author != self.index

    def _is_certified_now(self, doubt: Doubt, group: Group, authors: npt.NDArray[np.bool_]) -> None:
        if not authors[self.index] and self.lane not in group.silenced:
            self._owed.items.add((doubt.lane, doubt.height, next(iter(group.rows))))

    def _decide_disputes(self, effects: Effects) -> None:
        disputed = bool(len(self.disputes) or len(self.doubts))
        if not disputed or self._position != self._watch.counted_at:
            self._owed.items = set()
        super()._decide_disputes(effects)
        self._owed.items |= {
            (slot, candidate)
            for slot, candidate in self._tally.unseen_by(self.lane)
            if self._own_fence(slot) <= candidate.view
        }

    def _is_signed_anywhere(self, dispute: Dispute, name: bytes) -> bool:
        """Whether a block carries this order as its payer signed it, and the slot is hers to sign in."""
        if not self.ledger.has_a_say(dispute.orders[name][0]):
            return False
        lying = (at for at, lies_there in dispute.places.items() if lies_there == name)
        found = ((self._held_at(at.lane, at.height), at.row) for at in lying)
        return any(held is not None and self._is_signed(held, row) for held, row in found)

    # -- the broker -------------------------------------------------------------------------------

    def _on_orders(self, message: OrdersOffered, now: int, effects: Effects) -> None:
        orders = message.orders
        if not len(orders):
            return
        possessions = self._possessions_of(orders, message.attachments)
        holds = np.ones(len(orders), np.bool_)
        # The rules of the house may search the journal: not for somebody who has signed nothing.
        house = IS_HOUSE[orders["kind"]]
        holds[house] = self._signatures_of(orders[house])
        if message.tables:
            message = replace(message, tables=_tables_in(message))
        tables = message.tables
        codes = self._check(orders, holds, possessions, day_of(now), tables_of(tables.values()))
        absent = self.halted is not None or not self.takes_part
        if absent or self._door_orders + len(orders) > DOOR_ORDERS_MAX:
            codes[:] = Outcome.BROKER_BUSY
        elif tables and not self._has_room_for(tables):
            codes[list(tables)] = Outcome.BROKER_BUSY
        promising = (codes == Outcome.ACCEPTED) | (codes == Outcome.SEQUENCE_AHEAD)
        worth = np.flatnonzero(promising & ~house)
        codes[worth[~self._signatures_of(orders[worth])]] = Outcome.SIGNATURE_INVALID
        ids = self._ids_of(orders)
        self._refuse_fenced(orders, ids, codes, message.tables, self._fenced_rows(orders))
        known = self.slots.offer(orders, ids, codes)
        self._offer_again(message, ids, codes, known, now)
        fresh = np.flatnonzero((codes == Outcome.ACCEPTED) & (known == Offer.NEW))
        ahead = np.flatnonzero(codes == Outcome.SEQUENCE_AHEAD)
        next_but_one = [
            i
            for i in ahead.tolist()
            if int(orders[i]["sequence"]) == self.ledger.next_sequence(int(orders[i]["payer"])) + 1
        ]
        self._queue(self._door, message, ids, fresh, now)
        self._queue(self._ahead, message, ids, np.array(next_but_one, np.intp), now)
        codes[next_but_one] = Outcome.ACCEPTED
        self._refuse(message.ticket, np.arange(len(orders)), codes, effects)

    def _has_room_for(self, tables: dict[int, bytes]) -> bool:
        """Whether these payee tables may wait here too."""
        wait = (table for w in (*self._door, *self._ahead) for table in w.tables.values())
        return sum(map(len, wait)) + sum(map(len, tables.values())) <= DOOR_TABLE_BYTES_MAX

    def _queue(
        self,
        queue: list[Waiting],
        message: OrdersOffered,
        ids: npt.NDArray[np.uint8],
        rows: npt.NDArray[np.intp],
        now: int,
    ) -> None:
        if not len(rows):
            return
        until = now + PATIENCE_AHEAD_NS
        everything = Waiting(
            message.orders,
            ids,
            message.ticket,
            np.arange(len(ids)),
            message.attachments,
            message.tables,
            until,
            self.ledger.keys_changed,
        )
        queue.append(_part(everything, rows))
        self._door_orders += len(rows)

    def _refuse_fenced(
        self,
        orders: Orders,
        ids: npt.NDArray[np.uint8],
        codes: Codes,
        tables: dict[int, bytes],
        rows: list[int],
    ) -> None:
        """An order in a slot that is in recovery takes no lock: its outcome comes from there.

        The next fence carries one that nobody has seen there: a cancel, most likely.
        """
        for row in rows:
            if codes[row] != Outcome.ACCEPTED:
                continue
            codes[row] = Outcome.SLOT_FENCED
            order, name = orders[row : row + 1], ids[row].tobytes()
            slot = Slot.of(order[0])
            dispute = self.disputes.get(slot)
            if dispute is None or name not in dispute.orders:
                self.rescuer.note_order(slot, name, order, tables.get(row))

    def _offer_again(
        self,
        message: OrdersOffered,
        ids: npt.NDArray[np.uint8],
        codes: Codes,
        known: npt.NDArray[np.uint8],
        now: int,
    ) -> None:
        """What the door knows already, or a slot that another order occupies: what a payer comes back with.

        An order that some refused may be offered again, in a new block, after a while. One that is offered
        again and again without success, and a second order in one slot, open its recovery.
        """
        orders, tables = message.orders, message.tables
        for row in np.flatnonzero((codes == Outcome.ACCEPTED) & (known == Offer.KNOWN)).tolist():
            slot = Slot.of(orders[row])
            if not self._is_next(slot) or slot.space == Space.GOVERNANCE:
                continue  # whoever approves a governance order carries it once, and waits for the others
            is_doubted = self.doubts.place_of(slot) is not None
            dispute = self._open_dispute(slot, NONE) if is_doubted else self.disputes.get(slot)
            if dispute is not None and now >= dispute.offered_again + (
                OFFER_AGAIN_NS << min(dispute.offers, OFFER_DOUBLINGS_MAX)
            ):
                dispute.offered_again = now
                dispute.offers += 1
                known[row] = Offer.NEW
            if not self._are_enough_in_reach(dispute):
                self._insistent[slot] = now
            elif not 0 <= now - self._insistent.setdefault(slot, now) < self._patience_ns:
                name = ids[row].tobytes()
                self._open_dispute(slot, NONE)
                order = orders[row : row + 1]
                self.rescuer.note_order(slot, name, order, tables.get(row), insisted=True)
                self._watch.touch((slot,))
        while len(self._insistent) > INSISTENT_MAX:
            del self._insistent[next(iter(self._insistent))]
        for row in np.flatnonzero(codes == Outcome.SLOT_TAKEN).tolist():
            self._note_rival(orders[row : row + 1], ids[row].tobytes(), tables.get(row))

    def _are_enough_in_reach(self, dispute: Dispute | None) -> bool:
        """Whether q could vote in a slot now: without them nothing in it gets through, opened or not."""
        able = self.peers_up | {self.index}
        if dispute is not None:
            able = able - dispute.abstaining(self.chains)
        return len(able) >= self.committee.q

    def _note_rival(self, order: Orders, name: bytes, table: bytes | None = None) -> None:
        """A second valid order in a slot: with the one that occupies it, enough to open its recovery."""
        slot = Slot.of(order[0])
        self.rescuer.note_order(slot, name, order, table)
        occupying = self._occupying(slot)
        if occupying is not None:
            self.rescuer.note_order(slot, *occupying)
        self._watch.touch((slot,))

    def _occupying(self, slot: Slot) -> tuple[bytes, Orders, bytes | None] | None:
        """The order that this replica has locked or queued in a slot: its id, itself, its table if queued."""
        name = self.slots.holder(slot)
        if name is None:
            return None
        for waiting in (*self._door, *self._ahead):
            for row in _rows_in(slot, waiting.orders):
                if waiting.ids[row].tobytes() == name:
                    return name, waiting.orders[row : row + 1], waiting.tables.get(row)
        for _, order in self._orders_of(slot):
            if self._ids_of(order)[0].tobytes() == name:
                return name, order, None
        dispute = self.disputes.get(slot)
        if dispute is not None and name in dispute.orders:
            return name, dispute.orders[name], None
        return None

    def _refuse(
        self, ticket: int, indices: npt.NDArray[np.intp], codes: Codes, effects: Effects
    ) -> None:
        refused = codes != Outcome.ACCEPTED
        if refused.any():
            self.counters.refused_at_door += int(refused.sum())
            effects.refused.append(Refused(ticket, indices[refused], codes[refused]))

    # -- speaking ---------------------------------------------------------------------------------

    def _on_heads(self, message: HeadsArrived, now: int, effects: Effects) -> None:
        heads = message.heads[: self.committee.n]
        followed = self.chains.followed[1]
        same = heads["incarnation"] == followed
        self.catch_up.holds_all(message.peer, heads["author"][same], heads["height"][same])
        for newer in np.flatnonzero(
            (heads["incarnation"] > followed) & (heads["height"] > 0)
        ).tolist():
            if newer != self.index or self.re_entering.phase == Phase.READING:
                last = min(int(heads["height"][newer]), RANGE_BLOCKS_MAX)
                begun = Range(newer, 1, last, int(heads["incarnation"][newer]))
                self.catch_up.note_fetch(message.peer, now)
                effects.send.append(Fetch(message.peer, (begun,)))
        beside = names_in(message.heads[self._are_beside(message.heads)])
        if asked := self._offers.take(message.peer, beside, now):
            effects.send.append(FetchNamed(message.peer, asked))
        self._told[message.peer] = message.heads

    def _are_beside(self, heads: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
        """Which of these a peer holds as the newest of a lane that catch-up by heights never brings.

        They lie in another branch than the one followed here, or their author is convicted. Where that is too
        long ago to say, they are left.
        """
        authors, heights = heads["author"], heads["height"].astype(np.int64)
        held = self._heights()[authors]
        convicted = np.zeros(self.committee.n, np.bool_)
        convicted[list(self.convicted)] = True
        beside: npt.NDArray[np.bool_] = (
            (authors != self.index)
            & (heads["incarnation"] == self.chains.followed[1][authors])
            & (heights > 0)
            & (held - heights < self.chains.window)
            & ((heights <= held) | convicted[authors])
        )
        beside[beside] = self.chains.find_all(heads[beside])[0] < 0
        return beside

    def _whose_heads_to_ask(self, now: int) -> list[int]:
        """Everybody's, where a dispute goes on; and while it may not speak, theirs who have not answered."""
        if self._offers.are_due(self.disputes.oldest(), now):
            return sorted(self.peers_up)
        if self.speaking or 0 <= now - self._heads_asked_at < HEADS_AGAIN_NS:
            return []
        self._heads_asked_at = now
        return sorted(self.peers_up - self._told.keys())

    def _begin_to_speak(self) -> None:
        """Speak only once q authors, itself included, have told how far this author's chain goes."""
        if self.speaking or self.halted is not None:
            return
        reading = self.re_entering.phase == Phase.READING
        heard = [heads for heads in self._told.values() if reading or self._knows_own(heads)]
        # Who has lost its own word counts for nothing itself.
        if len(heard) + (not reading) < self.committee.q:
            return
        # The w-th highest claim is at most what an honest peer holds: liars cannot delay a start.
        if len(heard) > self.committee.f:
            told = np.stack([heads[: self.committee.n] for heads in heard])
            same = told["incarnation"] == self.chains.followed[1]
            claimed = np.sort(np.where(same, told["height"].astype(np.int64), 0), axis=0)[::-1]
            behind = claimed[self.committee.f] > self._heights()
            behind[list(self.convicted)] = False
            if not reading:
                behind[self.index] = False
            if behind.any():
                return
        self.speaking = True

    def _knows_own(self, heads: npt.NDArray[np.void]) -> bool:
        """Whether a peer's word about this author's own chain is no more than is held here."""
        theirs = heads[self.index]
        said = int(theirs["incarnation"]), int(theirs["height"])
        return said <= (self.own_incarnation, self.height)

    def _is_far_behind(self) -> bool:
        """Whether w peers hold so much more that this replica should read first.

        It would otherwise judge, and check the signatures of, what became final long ago.
        """
        if self.committee.n == 1:
            return False
        behind = self.catch_up.are_ahead(self._heights() + READ_FIRST_BLOCKS, self.committee.w)
        behind[list(self.convicted)] = False
        return bool(behind.any())

    def _heartbeat_due(self, now: int) -> bool:
        return now >= self._last_block_at + self.pace.heartbeat_ns

    def _has_something_to_say(self, now: int) -> bool:
        if not self.takes_part:
            return False
        return (
            bool(self._ahead)
            or (bool(self._door) and self._room_for_orders(now) > 0)
            or self.re_entering.has_something_to_say
            or self._owed.asks_for_a_block
            or self._owes_a_vote()
            or self._owes_an_acknowledgement()
        )

    def _followed(self) -> list[int]:
        """The lanes that this author references: one of each other author that is not convicted."""
        return [
            lane
            for author, lane in enumerate(self.chains.current)
            if author != self.index and author not in self.convicted
        ]

    def _owes_a_vote(self) -> bool:
        voted = self.chains.head_row(self.lane)[VOTED]
        newer = np.flatnonzero(self._newest_open > voted).tolist()
        return any(
            self._newest_open[lane] in self._open[lane] and self._is_followed(lane)
            for lane in newer
        )

    def _is_followed(self, lane: int) -> bool:
        """Whether this author references a lane."""
        author = self.chains.lanes[lane].author
        return (
            author != self.index
            and author not in self.convicted
            and self.chains.current[author] == lane
        )

    def _owes_an_acknowledgement(self) -> bool:
        mine = self.chains.head_row(self.lane)[CERTIFIED]
        newer = np.flatnonzero(self._newest_open > mine)
        if not len(newer):
            return False
        certified = self.chains.certified_if_referenced()
        vain = self._owed.vain_heights
        mine = np.maximum(mine, np.pad(vain, (0, len(mine) - len(vain))))
        return any(
            mine[lane] < height <= certified[lane]
            for lane in newer[certified[newer] > mine[newer]].tolist()
            for height in self._open[lane]
        )

    def _note_what_was_in_vain(self) -> None:
        """What one's newest block leaves owed is no reason for another one.

        It rests on the word of somebody whom this author references no more. As soon as others' blocks
        bring more, it is owed for that; and a heartbeat looks again.
        """
        if not self._owes_a_vote():
            self._owed.in_vain = set(self._owed.items)
            self._owed.vain_heights = self.chains.certified_if_referenced()

    def _owes_a_rescue(self, now: int) -> bool:
        """Whether one's next block has a fence, a proposal or a vote to say about some slot.

        Looks only at slots to which something has happened.
        """
        watch = self._watch
        watch.touch(self.rescuer.due(now))
        for slot in watch.touched():
            number = watch.hot.pop(slot)
            if self._is_decided(slot):
                self.rescuer.forget(slot)
                watch.drop(slot)
            elif self.rescuer.owes(slot, now):
                watch.owing[slot] = number
            else:
                watch.drop(slot)
        return bool(watch.owing)

    def _still_owes_a_rescue(self, now: int) -> bool:
        """The same at the moment of speaking: what was owed may have come about without this replica."""
        for slot in list(self._watch.owing):
            if not self._is_decided(slot) and self.rescuer.owes(slot, now):
                return True
            self._watch.look_again((slot,))
        return False

    def _speak(self, now: int, effects: Effects) -> None:
        """Make, sign and integrate one's next block: votes, refusals, acknowledgements, new orders."""
        self._check_what_came()
        today = day_of(now)
        plan = self._plan(list(self._watch.owing), now)
        self._watch.look_again(plan.looked_at)
        references: tuple[Name, ...] = ()
        rejections = orders = attachments = b""
        if plan.takes_part:
            references, rejections = self._vote(plan, today)
            orders, attachments = self._take_from_door(now, today, plan, effects)
        re_entry = plan.entries.re_entry
        height = 1 if re_entry else self.height + 1
        previous = NO_DIGEST if re_entry else self._head_of(self.index).digest
        unsigned, name = write_block(
            Draft(
                network=self.network,
                epoch=self.committee.epoch,
                author=self.index,
                height=height,
                incarnation=re_entry.incarnation if re_entry else self.own_incarnation,
                previous=previous,
                time_ms=now // 1_000_000,
                references=references,
                rejections=rejections,
                recovery=write_recovery(plan.entries),
                orders=orders,
                attachments=attachments,
            )
        )
        signature = sign(self._key, self._block_prefix + name)
        assert len(signature) == SIGNATURE_BYTES
        block = self._checking.read(unsigned + signature)
        assert isinstance(block, Block), block
        past = past_of(self.chains, block)
        assert isinstance(past, Past), "what it references is held"
        placed = place(self.chains, block, past)
        assert placed is not None, "an honest author's block keeps the rules"
        self._last_block_at = now
        self._limits.allowances[self.index].pay(*cost_of(block))
        self._charge_p256(block)
        effects.send.append(SendBlock(EVERYONE, block.data))
        self._integrate(block, placed, effects)

    def _plan(self, rescues: list[Slot], now: int) -> Plan:
        """What the next block says about recovery: of slots, and of this author itself."""
        match self.re_entering.phase:
            case Phase.READING:
                last = self._head_of(self.index)
                begun = ReEntry(last.incarnation + 1, last.height, last.digest)
                self.re_entering.phase = Phase.ANNOUNCED
                return Plan(Recovery(re_entry=begun), takes_part=False)
            case Phase.ANNOUNCED:
                return Plan(takes_part=False)
            case Phase.ABSTAINING:
                slots, all_said = self.re_entering.take()
                others = [slot for slot in rescues if slot not in slots] if all_said else []
                plan = self.rescuer.plan(others, now)
                plan.abstain(slots)
                plan.takes_part = all_said
                return plan
        return self.rescuer.plan(rescues, now)

    def _vote(self, plan: Plan, today: int) -> tuple[tuple[Name, ...], bytes]:
        """Reference every held head, and so vote: lock each order that keeps the rules, refuse the rest.

        Where refusals fill a block, the references end there and the rest has its turn in the next one.
        """
        voted = self.chains.head_row(self.lane)[VOTED]
        references: list[Name] = []
        refusals = bytearray()
        for lane in self._followed():
            about = self.chains.lanes[lane]
            reached = int(self.chains.heads[lane])
            for height in sorted({*self._open[lane], *self._late[lane]}):
                if height <= voted[lane]:
                    continue
                if len(refusals) > REFUSAL_BYTES:
                    reached = height - 1
                    break
                held = self._open[lane].get(height)
                codes = (
                    self._judge_late(lane, height, plan, today)
                    if held is None
                    else self._judge(held, plan, today)
                )
                refused = np.flatnonzero(codes)
                if len(refused):
                    refusals += write_rejection(
                        about.author, about.incarnation, height, len(codes), refused, codes[refused]
                    )
            if reached > voted[lane]:
                name = self.chains.digest_at(lane, reached)
                assert name is not None, "what is open lies within the window"
                references.append(Name(about.author, about.incarnation, reached, name))
        return tuple(references), bytes(refusals)

    def _judge(self, held: Held, plan: Plan, today: int) -> Codes:
        orders, codes = held.block.orders, self._check_held(held, today)
        fencing = (row for slot in plan.fences for row in _rows_in(slot, orders))
        for row in (*self._fenced_rows(orders), *fencing):
            if codes[row] == Outcome.ACCEPTED:
                codes[row] = Outcome.SLOT_FENCED
        ids = self._ids_of(orders)
        for row in np.flatnonzero(
            IS_GOVERNED[orders["kind"]] & (codes == Outcome.ACCEPTED)
        ).tolist():
            if self.slots.holder(Slot.of(orders[row])) is None:
                # Its vote is a block of its own that carries the order: so q such blocks are q signatures.
                codes[row] = Outcome.NOT_APPROVED
        self.slots.lock(orders, ids, codes)
        for row in np.flatnonzero(codes == Outcome.SLOT_TAKEN).tolist():
            self._note_rival(orders[row : row + 1], ids[row].tobytes())
        return codes

    def _judge_late(self, lane: int, height: int, plan: Plan, today: int) -> Codes:
        """What to refuse of a block that was final before this author voted on it."""
        late = self._late[lane][height]
        codes = np.zeros(late.orders, np.uint8)
        codes[late.rows] = Outcome.SEQUENCE_STALE
        held = self._undecided.get((lane, height))
        if held is not None:
            apart = self._apart_in(lane, height)
            codes[apart] = self._judge(held, plan, today)[apart]
        return codes

    def _check_held(self, held: Held, today: int) -> Codes:
        """Every check of a voter but lock and view, on the orders of a held block."""
        signatures, block = self._signatures_in(held), held.block
        assert held.possessions is not None
        return self._check(block.orders, signatures, held.possessions, today, block.tables)

    def _check(
        self,
        orders: Orders,
        signatures: npt.NDArray[np.bool_],
        possessions: npt.NDArray[np.bool_],
        today: int,
        tables: Tables,
    ) -> Codes:
        """What the rules say of (n,) orders, and this super-agent's operators.

        It votes for a governance order only if two of them approve. Nobody else's document is read: to check
        a tariff of many bands takes a second.
        """
        governed = np.flatnonzero(IS_GOVERNED[orders["kind"]])
        if not len(governed):
            return self.ledger.check(orders, signatures, possessions, today, tables)
        names = map(bytes, self._ids_of(orders[governed]))
        unapproved = governed[[name not in self.approved for name in names]]
        unread = unapproved[HAS_CONTENT[orders["kind"][unapproved]]]
        codes = np.full(len(orders), Outcome.NOT_APPROVED, np.uint8)
        read = np.delete(np.arange(len(orders)), unread) if len(unread) else slice(None)
        codes[read] = self.ledger.check(
            orders[read], signatures[read], possessions[read], today, tables
        )
        codes[unapproved[codes[unapproved] == Outcome.ACCEPTED]] = Outcome.NOT_APPROVED
        return codes

    def _is_ripe(self, slot: Slot) -> bool:
        """Whether a slot may be opened as soon as there is a reason.

        One of governance only once the order that this super-agent voted for has died of age: people take
        hours to approve, and nobody alone shall be able to end that by proposing something else.
        """
        if slot.space != Space.GOVERNANCE:
            return True
        mine = self._occupying(slot)
        return mine is not None and int(mine[1]["day"][0]) < self._today - 1

    def _passes_in_recovery(self, dispute: Dispute, name: bytes) -> bool:
        """Whether an order that nobody certified passes every check of a voter but lock and view."""
        for at, found in dispute.places.items():
            held = self._held_at(at.lane, at.height)
            if found == name and held is not None:
                codes = self._check_held(held, self._today)
                if codes[at.row] == Outcome.ACCEPTED:
                    return True
        return False

    def _take_from_door(
        self, now: int, today: int, plan: Plan, effects: Effects
    ) -> tuple[bytes, bytes]:
        """The orders for the next block: checked once more, and locked.

        Who abstains in a slot carries its order all the same, for the others to vote for: an enrolment comes
        to no other door. After them those that recovery carries: in slots that this block fences, so not
        voted for.
        """
        self._admit_those_that_waited(now, today, effects)
        taken: list[bytes] = []
        attachments: list[bytes] = []
        count = 0
        room = self._room_for_orders(now)
        free = ATTACHMENT_BYTES_MAX - sum(map(attached_bytes, plan.tables.values()))
        while self._door and count < room:
            waiting = self._door.pop(0)
            fitting = waiting.that_fit(room - count, free)
            if fitting < len(waiting.orders):
                self._door.insert(0, _part(waiting, slice(fitting, None)))
                waiting = _part(waiting, slice(None, fitting))
            if not fitting:
                break  # the next table waits for the next block
            orders = waiting.orders
            self._door_orders -= len(orders)
            possessions = np.zeros(len(orders), np.bool_)
            possessions[list(waiting.possessions)] = True
            holds = self._still_signed(waiting)
            codes = self._check(orders, holds, possessions, today, waiting.payees())
            fenced = [
                row
                for row, order in enumerate(orders)
                if plan.fences and Slot.of(order) in plan.fences
            ]
            self._refuse_fenced(
                orders,
                waiting.ids,
                codes,
                waiting.tables,
                sorted({*fenced, *self._fenced_rows(orders)}),
            )
            carried = self._abstain_at_door(orders, codes, plan)
            refused = codes != Outcome.ACCEPTED
            refused[carried] = False
            self.slots.lock(orders, waiting.ids, codes)
            codes[carried] = Outcome.ACCEPTED
            if refused.any():
                self.slots.withdraw(orders[refused], waiting.ids[refused])
            for row in np.flatnonzero(codes == Outcome.SLOT_TAKEN).tolist():
                name = waiting.ids[row].tobytes()
                self._note_rival(orders[row : row + 1], name, waiting.tables.get(row))
            self._refuse(waiting.ticket, waiting.indices, codes, effects)
            accepted = np.flatnonzero(codes == Outcome.ACCEPTED)
            place = {int(row): count + k for k, row in enumerate(accepted.tolist())}
            attached = [
                write_possession(place[row], content)
                for row, content in waiting.possessions.items()
                if row in place
            ]
            attached += [
                write_content(place[row], int(orders[row]["kind"]), content)
                for row, content in waiting.tables.items()
                if row in place
            ]
            free -= sum(map(len, attached))
            attachments += attached
            taken.append(orders[accepted].tobytes())
            count += len(accepted)
        taken += [order.tobytes() for order in plan.orders]
        attachments += [
            write_content(count + k, int(plan.orders[k]["kind"][0]), content)
            for k, content in plan.tables.items()
        ]
        return b"".join(taken), b"".join(attachments)

    def _still_signed(self, waiting: Waiting) -> npt.NDArray[np.bool_]:
        """Which orders at this door are signed by the keys that their payers have now.

        The order before one that waited for it may have changed the key: what the old one signed ahead of
        that was checked by the old one.
        """
        holds = np.ones(len(waiting.orders), np.bool_)
        rows = self._rows_with_new_keys(waiting.orders, waiting.keys_changed)
        holds[rows] = self._signatures_of(waiting.orders[rows])
        return holds

    @property
    def _patience_ns(self) -> int:
        """How long an order that is offered again may still come to its end by itself."""
        return max(INSIST_NS, INSIST_PACES * self.rescuer.stride_ns)

    def _room_for_orders(self, now: int) -> int:
        """How many orders this author may put into its next block: well below what others take from it."""
        mine = self._limits.allowances[self.index]
        if not mine.lasts(now) or self._kept_in(self.lane) >= self._limits.kept_orders_max // 2:
            return 0
        return min(BLOCK_ORDERS, mine.left() >> VOUCHED_SHIFT)

    def _abstain_at_door(self, orders: Orders, codes: Codes, plan: Plan) -> list[int]:
        """Abstain in the slots of those orders that need it; their codes say that nothing is locked.

        Returns the rows of those that this block carries; what it has no room for, comes again.
        """
        abstained = [row for row in self.re_entering.rows(orders) if codes[row] == Outcome.ACCEPTED]
        codes[abstained] = Outcome.SLOT_FENCED
        carried = abstained[: max(0, ABSTENTIONS_MAX - len(plan.fences))]
        if carried:
            plan.abstain([Slot.of(orders[row]) for row in carried])
        return carried

    def _admit_those_that_waited(self, now: int, today: int, effects: Effects) -> None:
        """Orders that came before the one before them: see whether it is final here by now."""
        waited, self._ahead = self._ahead, []
        for waiting in waited:
            orders = waiting.orders
            holds = np.ones(len(orders), np.bool_)
            possessions = np.zeros(len(orders), np.bool_)
            possessions[list(waiting.possessions)] = True
            codes = self.ledger.check(orders, holds, possessions, today, waiting.payees())
            still = codes == Outcome.SEQUENCE_AHEAD
            if now < waiting.until and still.any():
                self._ahead.append(_part(waiting, np.flatnonzero(still)))
                codes[still] = Outcome.ACCEPTED
            known = self.slots.offer(orders[~still], waiting.ids[~still], kept := codes[~still])
            codes[~still] = kept
            ready = np.flatnonzero(~still)[(kept == Outcome.ACCEPTED) & (known == Offer.NEW)]
            if len(ready):
                self._door.append(_part(waiting, ready))
            gone = int((codes != Outcome.ACCEPTED).sum()) + int(
                ((kept == Outcome.ACCEPTED) & (known == Offer.KNOWN)).sum()
            )
            self._door_orders -= gone
            self._refuse(waiting.ticket, waiting.indices, codes, effects)


def _rows_in(slot: Slot, orders: Orders) -> list[int]:
    """Which of these orders lie in a slot."""
    if slot.is_of_account:
        same = (orders["payer"] == slot.payer) & (orders["sequence"] == slot.sequence)
    else:
        same = IS_ELSEWHERE[orders["kind"]] & (orders["sequence"] == slot.sequence)
    return [row for row in np.flatnonzero(same).tolist() if Slot.of(orders[row]) == slot]


def _tables_in(message: OrdersOffered) -> dict[int, bytes]:
    """What came beside the orders of an offer, by row: each has what it names, if that came at all.

    The ledger finds it by its digest, so what came with another order counts for this one too.
    """
    contents = [content for content in message.tables.values() if content]
    tables = {table_digest(table): table for table in contents if len(table) <= TABLE_BYTES_MAX}
    tariffs = {document_digest(text): text for text in contents if len(text) <= TARIFF_BYTES_MAX}
    named = {
        row: (tables if kind == OrderKind.BULK_PAY_OUT else tariffs).get(reference.tobytes())
        for row, (kind, reference) in enumerate(
            zip(message.orders["kind"].tolist(), message.orders["reference"], strict=True)
        )
        if HAS_CONTENT[kind]
    }
    return {row: content for row, content in named.items() if content is not None}


def _part(waiting: Waiting, rows: "slice | npt.NDArray[np.intp]") -> Waiting:
    """Some rows of what waits, with what belongs to them."""
    chosen = np.arange(len(waiting.orders))[rows]
    possessions, tables = (
        {new: of[old] for new, old in enumerate(chosen.tolist()) if old in of} if of else {}
        for of in (waiting.possessions, waiting.tables)
    )
    return Waiting(
        waiting.orders[chosen],
        waiting.ids[chosen],
        waiting.ticket,
        waiting.indices[chosen],
        possessions,
        tables,
        waiting.until,
        waiting.keys_changed,
    )
