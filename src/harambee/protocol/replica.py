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
of everything. `chains.py` counts whole chains at once; `contests.py` counts the orders that somebody
refused; `slots.py` keeps what this replica has promised; `catchup.py` knows what it lacks; the ledger
below knows accounts and rules, and no super-agents.

**What is in here.** One door in, `receive(message, now)`, one value out, `Effects`. Time is an argument
(nanoseconds since 1970). No sockets, files, threads, clocks or dice: both shells, the real one and the
simulated one, drive this same object with the same loop, so what is simulated is what ships.

**Durability.** `Effects.persist` comes before everything else in `Effects`. A lock is taken only while one's
own block is made, and that block *is* the lock's record: it says which blocks it votes for and which orders
it refuses. So a vote is durable before it leaves, and `restore` finds every promise in one's own chain.

**What is not here yet.** Recovery (views above 0), re-entry after a lost disk, branches of forked authors.
Until then a payer who signs two orders for one slot can block her own account, never another's; a replica
that learns of a block of its own that it does not hold stops speaking and says so; an author who forks is
noticed and no longer referenced.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.crypto.hashing import TAG_ORDER, TAG_POSSESSION, digest_many, signed_prefix
from harambee.crypto.signatures import KeyPair, sign, verify, verify_many
from harambee.ledger.kinds import OrderKind
from harambee.ledger.ledger import Applied, Ledger
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import BODY_BYTES, ORDER
from harambee.protocol.catchup import CatchUp
from harambee.protocol.chains import CERTIFIED, VOTED, Chains
from harambee.protocol.committee import Committee
from harambee.protocol.contests import Contests
from harambee.protocol.effects import (
    EVERYONE,
    AskHeads,
    Effects,
    Refused,
    SendBlock,
    SendHeads,
    Serve,
)
from harambee.protocol.messages import (
    BlockArrived,
    FetchAsked,
    FetchEnded,
    HeadsArrived,
    HeadsAsked,
    Message,
    OrdersOffered,
    PeerDown,
    PeerUp,
    Tick,
)
from harambee.protocol.slots import Offer, Slots
from harambee.protocol.wire import (
    NO_DIGEST,
    REJECTION_BYTES_MAX,
    SIGNATURE_BYTES,
    Block,
    Draft,
    Malformed,
    block_prefix,
    read_block,
    write_block,
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
"""A contested order is put into a block again no sooner than this after the last time."""
PARKED_BLOCKS_MAX: Final = 2_048
PARKED_BYTES_MAX: Final = 64 << 20
"""Blocks of one author that wait for their past; it bounds what a liar can make us keep."""
DOOR_ORDERS_MAX: Final = 1 << 16
BLOCK_ORDERS: Final = 4_096
"""How many orders this author puts into one block; the wire allows more."""
READ_FIRST_BLOCKS: Final = 64
"""With so many blocks of an author to catch up with, a replica reads first, and speaks and checks then."""
REFUSAL_BYTES: Final = REJECTION_BYTES_MAX - (64 << 10)
"""An author votes on no further block in this one of its own, once its refusals take so many bytes."""


def day_of(now: int) -> int:
    """The day number of a moment in nanoseconds since 1970 (docs/wire.md section 3)."""
    return (now + ZONE_NS) // DAY_NS


@dataclass(slots=True)
class Held:
    """A block whose whole past is held, as long as its orders are not all final."""

    block: Block
    position: int
    signatures: npt.NDArray[np.bool_] | None = None
    """Which orders' signatures hold; None while not checked."""
    possessions: npt.NDArray[np.bool_] | None = None


@dataclass(slots=True)
class Waiting:
    """Orders at this door, in the order of arrival, with the tickets under which they came."""

    orders: Orders
    ids: npt.NDArray[np.uint8]
    ticket: int
    indices: npt.NDArray[np.intp]
    possessions: dict[int, bytes]
    """By row of `orders`."""
    until: int
    """Orders that wait for the one before them do so until then; nanoseconds."""


@dataclass(slots=True)
class Counters:
    """What has happened since the start; for people to look at."""

    applied: int = 0
    refused_at_door: int = 0
    refused_in_blocks: int = 0
    signatures: int = 0
    blocks: int = 0
    malformed: int = 0
    forks: int = 0


@dataclass(slots=True)
class Pace:
    """How often a replica speaks; nanoseconds."""

    block_ns: int = 20_000_000
    heartbeat_ns: int = 1_000_000_000


class Replica:
    """The deterministic core of one super-agent. Not thread-safe; one shell owns it."""

    def __init__(
        self,
        network: bytes,
        committee: Committee,
        index: int,
        key: KeyPair,
        ledger: Ledger,
        pace: Pace | None = None,
        verify_threads: int = 1,
    ) -> None:
        """`index` is this super-agent's place in the committee, `key` signs its blocks."""
        assert committee.members[index].key == key.public, "the key is the one in the genesis"
        self.network = network
        self.committee = committee
        self.index = index
        self.ledger = ledger
        self.pace = pace or Pace()
        self.counters = Counters()
        self.chains = Chains(committee.n, committee.q)
        self.slots = Slots(len(ledger.accounts))
        self.contests = Contests()
        self.catch_up = CatchUp(committee.n, index)
        self.convicted: set[int] = set()
        self.halted: str | None = None
        self.speaking = False
        """Whether q authors (itself included) have said how far this author's chain goes."""
        self.peers_up: set[int] = set()
        self._key = key
        self._threads = verify_threads
        self._block_prefix = block_prefix(network, committee.epoch)
        self._order_prefix = signed_prefix(TAG_ORDER, network)
        self._possession_prefix = signed_prefix(TAG_POSSESSION, network)
        self._position = 0
        self._open: list[dict[int, Held]] = [{} for _ in committee.members]
        """Blocks with orders that are not final yet: for each author, by height."""
        self._applied: npt.NDArray[np.int64] = np.zeros(committee.n, np.int64)
        self._undecided: dict[tuple[int, int], Held] = {}
        """Blocks that are final themselves, but for contested orders; by (author, height)."""
        self._parked: list[dict[int, Block]] = [{} for _ in committee.members]
        self._parked_bytes = [0] * committee.n
        self._waiters: dict[tuple[int, int], list[tuple[int, int]]] = {}
        """(author, height) that is lacked -> the parked blocks that wait for it."""
        self._deferred: list[tuple[Orders, int, npt.NDArray[np.uint32]]] = []
        self._door: list[Waiting] = []
        self._ahead: list[Waiting] = []
        self._door_orders = 0
        self._last_block_at = 0
        self.reading_up = False
        """Whether so much is missing that it reads first, and speaks then."""
        self._told: dict[int, tuple[tuple[int, bytes], ...]] = {}

    # -- the door ---------------------------------------------------------------------------------

    def receive(self, message: Message, now: int) -> Effects:
        """Take one event at the moment `now`; what it leads to. Never raises for what others sent."""
        effects = Effects()
        match message:
            case BlockArrived():
                self._on_block(message, effects)
            case OrdersOffered():
                self._on_orders(message, now, effects)
            case HeadsArrived():
                self._on_heads(message)
            case FetchAsked():
                effects.send.append(Serve(message.peer, message.ranges))
            case FetchEnded():
                self.catch_up.answered(message.peer)
                self._told.setdefault(message.peer, ())
            case HeadsAsked():
                effects.send.append(SendHeads(message.peer, self.heads()))
            case PeerUp():
                self.peers_up.add(message.peer)
                effects.send += [AskHeads(message.peer), SendHeads(message.peer, self.heads())]
            case PeerDown():
                self.peers_up.discard(message.peer)
                self.catch_up.forget(message.peer)
            case Tick():
                pass
        return effects

    def act(self, now: int, *, may_speak: bool = True) -> Effects:
        """Do what is due at `now`, after any number of `receive`: count, speak, ask, say when to wake.

        Kept apart from `receive` so that a shell that has taken many messages acts on them once.
        """
        effects = Effects()
        self._last_block_at = min(self._last_block_at, now)  # a clock that was set back
        self._decide_contests(effects)
        self._begin_to_speak()
        self.reading_up = self._is_far_behind()
        if self.halted is None and self.speaking and may_speak and not self.reading_up:
            due = self._last_block_at + self.pace.block_ns
            if now >= due and (self._has_something_to_say(now) or self._heartbeat_due(now)):
                self._speak(now, effects)
                self._decide_contests(effects)
            heartbeat = self._last_block_at + self.pace.heartbeat_ns
            effects.wake_at = (
                max(now + 1, self._last_block_at + self.pace.block_ns)
                if self._has_something_to_say(now)
                else heartbeat
            )
        requests, wake = self.catch_up.requests(
            self._heads_with_parked(),
            self.peers_up,
            now,
            eager=self.reading_up or not self.speaking,
        )
        effects.send += requests
        if wake is not None:
            effects.wake_at = wake if effects.wake_at is None else min(wake, effects.wake_at)
        if effects.wake_at is None:
            effects.wake_at = now + self.pace.heartbeat_ns
        effects.halted = self.halted
        return effects

    def restore(self, blocks: Iterable[bytes]) -> None:
        """Fold a journal, in its own order, before anything is received. Its blocks were checked then.

        Raises JournalBroken where a block does not continue what came before: a damaged journal.
        """
        effects = Effects()
        for data in blocks:
            block = read_block(data, self.network, self.committee.n)
            if isinstance(block, Malformed) or self._lacks(block) is not None:
                position = self._position
                why = block.why if isinstance(block, Malformed) else "its past is missing"
                raise JournalBroken(position, why)
            if not self._extends(block):
                raise JournalBroken(self._position, "it does not continue its author's chain")
            self._integrate(block, effects, restoring=True)
            effects = Effects()
        self._decide_contests(Effects())

    # -- what people may look at ------------------------------------------------------------------

    def heads(self) -> tuple[tuple[int, bytes], ...]:
        """(height, digest) of each author's newest held block."""
        return tuple(
            (height, self.chains.digest_at(author, height) or NO_DIGEST)
            for author, height in enumerate(self.chains.heads.tolist())
        )

    @property
    def height(self) -> int:
        """The height of this author's newest block."""
        return int(self.chains.heads[self.index])

    @property
    def blocks_integrated(self) -> int:
        """How many blocks are held: the journal's next position."""
        return self._position

    @property
    def queued(self) -> int:
        """How many orders wait at this door."""
        return self._door_orders

    @property
    def open_blocks(self) -> int:
        """How many held blocks have orders that are not final."""
        return sum(len(open_) for open_ in self._open)

    def behind(self) -> int:
        """How many blocks its peers are known to hold that this replica does not."""
        best = self.catch_up.held_by.max(axis=0)
        return int(np.maximum(best - self.chains.heads, 0).sum())

    # -- blocks from others -----------------------------------------------------------------------

    def _on_block(self, message: BlockArrived, effects: Effects) -> None:
        block = read_block(message.data, self.network, self.committee.n)
        if isinstance(block, Malformed):
            self.counters.malformed += 1
            return
        author, height = block.author, block.height
        if block.epoch != self.committee.epoch or block.incarnation or block.recovery:
            self.counters.malformed += 1
            return
        if height <= self.chains.heads[author]:
            self._notice_fork(block)
            return
        if height in self._parked[author] or not self._has_room_for(block):
            return
        if not verify(
            self.committee.members[author].key, self._block_prefix + block.digest, block.signature
        ):
            self.counters.malformed += 1
            return
        if author == self.index:
            self.halted = (
                f"a peer holds block {height} of this super-agent, but its own journal ends at "
                f"{self.height}: this is a lost or an old disk, and its promises are lost with it"
            )
            return
        self._note_what_is_held(message.peer, block)
        self._parked[author][height] = block
        self._parked_bytes[author] += len(block.data)
        self._integrate_from(author, height, effects)

    def _has_room_for(self, block: Block) -> bool:
        """Whether a block may wait here for its past; the very next one of its author always may."""
        ahead = block.height - int(self.chains.heads[block.author])
        waiting = self._parked_bytes[block.author]
        return ahead == 1 or (
            ahead <= PARKED_BLOCKS_MAX and waiting + len(block.data) <= PARKED_BYTES_MAX
        )

    def _note_what_is_held(self, peer: int, block: Block) -> None:
        """A block leaves its author only when its past is durable there: the author holds all it names."""
        for holder in {peer, block.author} - {self.index}:
            self.catch_up.holds(holder, block.author, block.height)
        if block.author != self.index:
            for author, height, _ in block.references:
                self.catch_up.holds(block.author, author, height)

    def _notice_fork(self, block: Block) -> None:
        known = self.chains.digest_at(block.author, block.height)
        if known is None or known == block.digest or block.author in self.convicted:
            return
        if verify(
            self.committee.members[block.author].key,
            self._block_prefix + block.digest,
            block.signature,
        ):
            self.convicted.add(block.author)
            self.counters.forks += 1

    def _lacks(self, block: Block) -> tuple[int, int] | None:
        """The first block of this one's past that is not held, as (author, height)."""
        heads = self.chains.heads
        if heads[block.author] < block.height - 1:
            return block.author, block.height - 1
        for author, height, _ in block.references:
            if heads[author] < height:
                return author, height
        return None

    def _extends(self, block: Block) -> bool:
        """Whether a block whose past is held continues its author's chain by the rules."""
        chains = self.chains
        if block.height != chains.heads[block.author] + 1:
            return False
        previous = chains.digest_at(block.author, block.height - 1) or NO_DIGEST
        if block.previous != previous:
            return False
        voted = chains.head_row(block.author)[VOTED]
        references = {}
        for author, height, name in block.references:
            if height <= voted[author] or chains.digest_at(author, height) != name:
                return False
            references[author] = height
        for rejection in block.rejections:
            # No rule here may read what only some replicas still hold: they would part for ever.
            # So how many orders the refused block really has, is looked at where refusals count.
            last = references.get(rejection.author, 0)
            if (
                rejection.author >= len(voted)
                or not voted[rejection.author] < rejection.height <= last
            ):
                return False
        return True

    def _integrate_from(self, author: int, height: int, effects: Effects) -> None:
        """Integrate a parked block if its past is held, and then whatever has waited for it."""
        ready = [(author, height)]
        while ready:
            author, height = ready.pop()
            block = self._parked[author].get(height)
            if block is None:
                continue
            lacking = self._lacks(block)
            if lacking is not None:
                waiters = self._waiters.setdefault(lacking, [])
                if (author, height) not in waiters:
                    waiters.append((author, height))
                continue
            del self._parked[author][height]
            self._parked_bytes[author] -= len(block.data)
            if not self._extends(block):
                self.counters.malformed += 1
                continue
            self._integrate(block, effects, restoring=False)
            ready += self._waiters.pop((author, height), [])
            if height + 1 in self._parked[author]:
                ready.append((author, height + 1))

    def _heads_with_parked(self) -> npt.NDArray[np.int64]:
        heads = self.chains.heads.copy()
        for author, parked in enumerate(self._parked):
            while parked and int(heads[author]) + 1 in parked:
                heads[author] += 1
        return heads

    def _integrate(self, block: Block, effects: Effects, *, restoring: bool) -> None:
        """Take a block whose past is held and which extends its chain: from here on nothing may fail."""
        author = block.author
        voted_before = self.chains.head_row(author)[VOTED].copy()
        self.chains.extend(author, block.digest, block.references)
        held = Held(block, self._position)
        self._position += 1
        self.counters.blocks += 1
        if not restoring:
            effects.persist.append(block.data)
        if len(block.orders):
            self._open[author][block.height] = held
            if not restoring and author != self.index and not self.reading_up:
                self._check_signatures(held)
            self._find_occurrences(block)
        self._contest(block)
        if restoring and author == self.index:
            self._lock_as_voted(block, voted_before)
        self._apply_final(effects)

    def _check_signatures(self, held: Held) -> None:
        orders = held.block.orders
        held.signatures = self._signatures_of(orders)
        held.possessions = self._possessions_of(orders, held.block.possessions)

    def _signatures_of(self, orders: Orders) -> npt.NDArray[np.bool_]:
        keys, known = self.ledger.keys_of(orders["payer"])
        rows = _bytes_of(orders)
        self.counters.signatures += len(orders)
        holds = verify_many(
            self._order_prefix, rows[:, :BODY_BYTES], keys, rows[:, BODY_BYTES:], self._threads
        )
        return holds & known

    def _possessions_of(
        self, orders: Orders, signatures: dict[int, bytes]
    ) -> npt.NDArray[np.bool_]:
        holds = np.zeros(len(orders), np.bool_)
        for index, signature in signatures.items():
            order = orders[index]
            body = order.tobytes()[:BODY_BYTES]
            holds[index] = verify(
                order["reference"].tobytes(), self._possession_prefix + body, signature
            )
        return holds

    def _lock_as_voted(self, block: Block, voted_before: npt.NDArray[np.int64]) -> None:
        """Take again the locks that one's own block is the record of."""
        self._lock_accepted(Held(block, 0), set())
        refused = {(r.author, r.height): set(r.indices.tolist()) for r in block.rejections}
        for author, height, _ in block.references:
            for at in range(int(voted_before[author]) + 1, height + 1):
                held = self._open[author].get(at)
                if held is not None:
                    self._lock_accepted(held, refused.get((author, at), set()))

    def _lock_accepted(self, held: Held, refused: set[int]) -> None:
        orders = held.block.orders
        codes = np.where(self._slots_open(orders), 0, int(Outcome.SEQUENCE_STALE)).astype(np.uint8)
        codes[[index for index in refused if index < len(codes)]] = Outcome.SLOT_TAKEN
        self.slots.lock(orders, self._ids_of(orders), codes)

    def _slots_open(self, orders: Orders) -> npt.NDArray[np.bool_]:
        """Which of these orders' slots have nothing applied in them yet, (n,)."""
        following = self.ledger.next_sequences(orders["payer"])
        open_ = following <= orders["sequence"]
        for i in np.flatnonzero(orders["kind"] == OrderKind.CLAIM).tolist():
            alias = self.ledger.alias(orders[i]["reference"].tobytes())
            open_[i] = (0 if alias is None else alias[1]) <= int(orders[i]["sequence"])
        return open_

    def _ids_of(self, orders: Orders) -> npt.NDArray[np.uint8]:
        return digest_many(self._order_prefix, _bytes_of(orders)[:, :BODY_BYTES])

    # -- counting ---------------------------------------------------------------------------------

    def _contest(self, block: Block) -> None:
        """Note whom a block refuses: from now on those orders are counted one by one."""
        for rejection in block.rejections:
            place = rejection.author, rejection.height
            held = self._open[rejection.author].get(rejection.height) or self._undecided.get(place)
            if held is None:
                continue  # every order in it is applied already
            indices = rejection.indices[rejection.indices < len(held.block.orders)]
            self.counters.refused_in_blocks += len(indices)
            indices = indices[self._slots_open(held.block.orders[indices])]
            orders = held.block.orders[indices]
            for row, (name, index) in enumerate(
                zip(self._ids_of(orders), indices.tolist(), strict=True)
            ):
                self._open_contest(name.tobytes(), orders[row : row + 1])
                self.contests.add_occurrence(name.tobytes(), *place, index).add(block.author)

    def _open_contest(self, name: bytes, order: Orders) -> None:
        if self.contests.get(name) is not None:
            return
        self.contests.open(name, order)
        for author, open_ in enumerate(self._open):
            for height, held in open_.items():
                self._note_occurrences(name, order, author, height, held.block.orders)

    def _find_occurrences(self, block: Block) -> None:
        """Whether a new block holds orders that are contested already."""
        if not len(self.contests):
            return
        if not np.isin(block.orders["payer"], self.contests.payers()).any():
            return
        for name, contest in self.contests.named():
            self._note_occurrences(name, contest.order, block.author, block.height, block.orders)

    def _note_occurrences(
        self, name: bytes, order: Orders, author: int, height: int, orders: Orders
    ) -> None:
        same = (orders["payer"] == order["payer"]) & (orders["sequence"] == order["sequence"])
        for index in np.flatnonzero(same).tolist():
            if self._ids_of(orders[index : index + 1])[0].tobytes() == name:
                self.contests.add_occurrence(name, author, height, index)

    def _apply_final(self, effects: Effects) -> None:
        """Apply what has become final with its whole block, contested orders excepted."""
        final = self.chains.final
        for author in np.flatnonzero(final > self._applied).tolist():
            for height in range(int(self._applied[author]) + 1, int(final[author]) + 1):
                held = self._open[author].pop(height, None)
                if held is None:
                    continue
                indices = np.arange(len(held.block.orders), dtype=np.uint32)
                contested = self.contests.indices_in(author, height)
                if contested:
                    self._undecided[author, height] = held
                    indices = np.delete(indices, contested)
                self._apply(held.block.orders[indices], held.position, indices, effects)
            self._applied[author] = final[author]

    def _apply(
        self, orders: Orders, position: int, indices: npt.NDArray[np.uint32], effects: Effects
    ) -> None:
        """Apply final orders; keep those that wait for another one, and try them again after it."""
        pending = [(orders, position, indices)]
        while pending:
            orders, position, indices = pending.pop()
            if not len(orders):
                continue
            states = self.ledger.apply(orders, position, indices)
            waits = states == Applied.WAITING
            if waits.any():
                self._deferred.append((orders[waits], position, indices[waits]))
            done = orders[states == Applied.APPLIED]
            if len(done):
                self.counters.applied += len(done)
                self.slots.release(done)
                effects.settled.append(done)
                if self._deferred:
                    pending, self._deferred = self._deferred, []

    def _decide_contests(self, effects: Effects) -> None:
        """Count the contested orders; apply those that are final, forget those whose slot is decided."""
        for name, contest in self.contests.named():
            if self._slots_open(contest.order)[0]:
                acknowledges, _ = contest.standing(self.chains)
                if acknowledges.sum() < self.committee.q:
                    continue
                author, height, index = min(contest.occurrences)
                held = self._open[author].get(height) or self._undecided[author, height]
                self._apply(contest.order, held.position, np.array([index], np.uint32), effects)
            for place in self.contests.close(name):
                self._undecided.pop(place, None)

    # -- the broker -------------------------------------------------------------------------------

    def _on_orders(self, message: OrdersOffered, now: int, effects: Effects) -> None:
        orders = message.orders
        if not len(orders):
            return
        possessions = self._possessions_of(orders, message.attachments)
        everyone = np.ones(len(orders), np.bool_)
        codes = self.ledger.check(orders, everyone, possessions, day_of(now))
        if self.halted is not None or self._door_orders + len(orders) > DOOR_ORDERS_MAX:
            codes[:] = Outcome.BROKER_BUSY
        worth = np.flatnonzero((codes == Outcome.ACCEPTED) | (codes == Outcome.SEQUENCE_AHEAD))
        holds = self._signatures_of(orders[worth])
        codes[worth[~holds]] = Outcome.SIGNATURE_INVALID
        ids = self._ids_of(orders)
        known = self.slots.offer(orders, ids, codes)
        self._offer_contested_again(ids, codes, known, now)
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
        possessions = {
            row: message.attachments[index]
            for row, index in enumerate(rows.tolist())
            if index in message.attachments
        }
        until = now + PATIENCE_AHEAD_NS
        queue.append(
            Waiting(message.orders[rows], ids[rows], message.ticket, rows, possessions, until)
        )
        self._door_orders += len(rows)

    def _offer_contested_again(
        self, ids: npt.NDArray[np.uint8], codes: Codes, known: npt.NDArray[np.uint8], now: int
    ) -> None:
        """An order that some refused may be offered again, in a new block, after a while."""
        if not len(self.contests):
            return
        for i in np.flatnonzero((codes == Outcome.ACCEPTED) & (known == Offer.KNOWN)).tolist():
            contest = self.contests.get(ids[i].tobytes())
            if contest is not None and now >= contest.offered_again + OFFER_AGAIN_NS:
                contest.offered_again = now
                known[i] = Offer.NEW

    def _refuse(
        self, ticket: int, indices: npt.NDArray[np.intp], codes: Codes, effects: Effects
    ) -> None:
        refused = codes != Outcome.ACCEPTED
        if refused.any():
            self.counters.refused_at_door += int(refused.sum())
            effects.refused.append(Refused(ticket, indices[refused], codes[refused]))

    # -- speaking ---------------------------------------------------------------------------------

    def _on_heads(self, message: HeadsArrived) -> None:
        for author, (height, _) in enumerate(message.heads[: self.committee.n]):
            self.catch_up.holds(message.peer, author, height)
        self._told[message.peer] = message.heads

    def _begin_to_speak(self) -> None:
        """Speak only once q authors, itself included, have told how far this author's chain goes."""
        if self.speaking or self.halted is not None:
            return
        heard = [
            heads for heads in self._told.values() if heads and heads[self.index][0] <= self.height
        ]
        if len(heard) + 1 < self.committee.q:
            return
        for author in range(self.committee.n):
            claimed = sorted((heads[author][0] for heads in heard), reverse=True)
            # The w-th highest claim is at most what an honest peer holds: liars cannot delay a start.
            believed = claimed[self.committee.f] if len(claimed) > self.committee.f else 0
            if author != self.index and believed > self.chains.heads[author]:
                return
        self.speaking = True

    def _is_far_behind(self) -> bool:
        """Whether w peers hold so much more that this replica should read first.

        It would otherwise judge, and check the signatures of, what became final long ago.
        """
        if self.committee.n == 1:
            return False
        believed = np.sort(self.catch_up.held_by, axis=0)[-self.committee.w]
        return bool((believed - self.chains.heads > READ_FIRST_BLOCKS).any())

    def _heartbeat_due(self, now: int) -> bool:
        return now >= self._last_block_at + self.pace.heartbeat_ns

    def _has_something_to_say(self, now: int) -> bool:
        del now
        return (
            bool(self._door or self._ahead)
            or self._owes_a_vote()
            or self._owes_an_acknowledgement()
        )

    def _owes_a_vote(self) -> bool:
        voted = self.chains.head_row(self.index)[VOTED]
        return any(
            author != self.index
            and author not in self.convicted
            and open_
            and next(reversed(open_)) > voted[author]
            for author, open_ in enumerate(self._open)
        )

    def _owes_an_acknowledgement(self) -> bool:
        mine = self.chains.head_row(self.index)[CERTIFIED]
        certified: npt.NDArray[np.int64] | None = None
        for author, open_ in enumerate(self._open):
            for height in open_:
                if height > mine[author]:
                    if certified is None:
                        certified = self.chains.certified_if_referenced()
                    if height <= certified[author]:
                        return True
                    break
        for _, contest in self.contests.named():
            acknowledges, certified_now = contest.standing(self.chains)
            if certified_now and not acknowledges[self.index]:
                return True
        return False

    def _speak(self, now: int, effects: Effects) -> None:
        """Make, sign and integrate one's next block: votes, refusals, acknowledgements, new orders."""
        today = day_of(now)
        references, rejections = self._vote(today)
        orders, attachments = self._take_from_door(now, today, effects)
        height = self.height + 1
        unsigned, name = write_block(
            Draft(
                network=self.network,
                epoch=self.committee.epoch,
                author=self.index,
                height=height,
                previous=self.chains.digest_at(self.index, height - 1) or NO_DIGEST,
                time_ms=now // 1_000_000,
                references=references,
                rejections=rejections,
                orders=orders,
                attachments=attachments,
            )
        )
        signature = sign(self._key, self._block_prefix + name)
        assert len(signature) == SIGNATURE_BYTES
        block = read_block(unsigned + signature, self.network, self.committee.n)
        assert isinstance(block, Block), block
        assert self._extends(block), "an honest author's block keeps the rules"
        self._last_block_at = now
        effects.send.append(SendBlock(EVERYONE, block.data))
        self._integrate(block, effects, restoring=False)

    def _vote(self, today: int) -> tuple[tuple[tuple[int, int, bytes], ...], bytes]:
        """Reference every held head, and so vote: lock each order that keeps the rules, refuse the rest.

        Where refusals fill a block, the references end there and the rest has its turn in the next one.
        """
        voted = self.chains.head_row(self.index)[VOTED]
        references: list[tuple[int, int, bytes]] = []
        refusals = bytearray()
        for author in np.flatnonzero(self.chains.heads > voted).tolist():
            if author == self.index or author in self.convicted:
                continue
            reached = int(self.chains.heads[author])
            for height, held in self._open[author].items():
                if height <= voted[author]:
                    continue
                if len(refusals) > REFUSAL_BYTES:
                    reached = height - 1
                    break
                codes = self._judge(held, today)
                refused = np.flatnonzero(codes)
                if len(refused):
                    refusals += write_rejection(author, height, len(codes), refused, codes[refused])
            if reached > voted[author]:
                name = self.chains.digest_at(author, reached)
                assert name is not None, "what is open lies within the window"
                references.append((author, reached, name))
        return tuple(references), bytes(refusals)

    def _judge(self, held: Held, today: int) -> Codes:
        if held.signatures is None or held.possessions is None:
            self._check_signatures(held)
        assert held.signatures is not None
        assert held.possessions is not None
        orders = held.block.orders
        codes = self.ledger.check(orders, held.signatures, held.possessions, today)
        self.slots.lock(orders, self._ids_of(orders), codes)
        return codes

    def _take_from_door(self, now: int, today: int, effects: Effects) -> tuple[bytes, bytes]:
        """The orders for the next block: checked once more, and locked."""
        self._admit_those_that_waited(now, today, effects)
        taken: list[bytes] = []
        attachments: list[bytes] = []
        count = 0
        while self._door and count < BLOCK_ORDERS:
            waiting = self._door.pop(0)
            if len(waiting.orders) > BLOCK_ORDERS - count:
                self._door.insert(0, _part(waiting, slice(BLOCK_ORDERS - count, None)))
                waiting = _part(waiting, slice(None, BLOCK_ORDERS - count))
            orders = waiting.orders
            self._door_orders -= len(orders)
            possessions = np.zeros(len(orders), np.bool_)
            possessions[list(waiting.possessions)] = True
            holds = np.ones(len(orders), np.bool_)
            codes = self.ledger.check(orders, holds, possessions, today)
            refused = codes != Outcome.ACCEPTED
            self.slots.lock(orders, waiting.ids, codes)
            if refused.any():
                self.slots.withdraw(orders[refused], waiting.ids[refused])
            self._refuse(waiting.ticket, waiting.indices, codes, effects)
            accepted = np.flatnonzero(codes == Outcome.ACCEPTED)
            place = {int(row): count + k for k, row in enumerate(accepted.tolist())}
            attachments += [
                write_possession(place[row], signature)
                for row, signature in waiting.possessions.items()
                if row in place
            ]
            taken.append(orders[accepted].tobytes())
            count += len(accepted)
        return b"".join(taken), b"".join(attachments)

    def _admit_those_that_waited(self, now: int, today: int, effects: Effects) -> None:
        """Orders that came before the one before them: see whether it is final here by now."""
        waited, self._ahead = self._ahead, []
        for waiting in waited:
            orders = waiting.orders
            holds = np.ones(len(orders), np.bool_)
            possessions = np.zeros(len(orders), np.bool_)
            possessions[list(waiting.possessions)] = True
            codes = self.ledger.check(orders, holds, possessions, today)
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


class JournalBroken(Exception):  # noqa: N818 - it names what is the matter, as the shell prints it
    """A journal that does not fold: which block, and why."""

    def __init__(self, position: int, why: str) -> None:
        """`position` is the journal's."""
        super().__init__(f"block {position} of the journal cannot be used: {why}")
        self.position = position


def _bytes_of(orders: Orders) -> npt.NDArray[np.uint8]:
    """An ORDER array as rows of bytes, (n, 128), without a copy where the orders lie together."""
    contiguous = np.ascontiguousarray(orders)
    return contiguous.view(np.uint8).reshape(len(orders), ORDER.itemsize)


def _part(waiting: Waiting, rows: "slice | npt.NDArray[np.intp]") -> Waiting:
    """Some rows of what waits, with what belongs to them."""
    chosen = np.arange(len(waiting.orders))[rows]
    return Waiting(
        waiting.orders[chosen],
        waiting.ids[chosen],
        waiting.ticket,
        waiting.indices[chosen],
        {
            new: waiting.possessions[old]
            for new, old in enumerate(chosen.tolist())
            if old in waiting.possessions
        },
        waiting.until,
    )
