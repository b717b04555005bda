"""One simulated super-agent: a replica, its disk and its clock, driven by the loop that ships.

As in `node.engine`, what has come is received, then the replica acts once, then the new blocks are made
durable, and only then anything of it is seen outside. A crash can come at every point of that. A disk that
has damaged blocks is mended as `node.mending` does it, before the replica reads it. A ledger whose balances
do not add up to zero ends the super-agent, which then reads its journal anew.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from harambee.handset.orders import order_id
from harambee.ledger.image import load
from harambee.ledger.kinds import OrderKind, Space
from harambee.ledger.payees import PayeeTable
from harambee.ledger.records import BODY_BYTES, NOBODY, ROW_OF_TABLE, SEQUENCE_LAST
from harambee.ledger.side_tables import SlotKey, subject_of_hold
from harambee.money.tariff import Tariff
from harambee.protocol.effects import Effects, Evidence, FetchNamed, Name, Outgoing, TwoVotes
from harambee.protocol.evidence import write_found
from harambee.protocol.malformed import Malformed
from harambee.protocol.messages import (
    ApprovalsChanged,
    BlockArrived,
    Message,
    OrdersOffered,
    PeerDown,
    PeerUp,
    WordArrived,
)
from harambee.protocol.page_catchup import PageCatchUp
from harambee.protocol.page_wire import IndexRows
from harambee.protocol.reentry import Phase
from harambee.protocol.replica import Replica
from harambee.protocol.slot import Slot
from harambee.protocol.wire import Block
from harambee.sim.auditor import SKIPPED, Subject, subject_told
from harambee.sim.checkpoints import Asked, CheckpointKeeper, Fetching
from harambee.sim.disk import Disk
from harambee.sim.marks import note_recovery

if TYPE_CHECKING:
    from harambee.sim.world import World

Orders = npt.NDArray[np.void]

MS: Final = 1_000_000
HOLD_WALK_MAX: Final = 1_000
"""How many of a payer's newest entries are looked through for the end of a hold."""
ENDS: Final = (OrderKind.RELEASE, OrderKind.VOID)
FULL_RETRY_NS: Final = 50 * MS
OPERATOR_NS: Final = 400 * MS
"""How long an operator takes to see that a super-agent has stopped, and to let it rejoin."""
ASK_NS: Final = 1_000 * MS
"""How long a peer has to give a damaged block back, before another one is asked."""
MENDING_ROUNDS_MAX: Final = 30
"""After so many the operator is told that nobody has the block."""
ADD_UP_NS: Final = 250 * MS
"""How often the sum of all balances is looked at."""


class Machine:
    """A super-agent that keeps the rules."""

    honest = True

    def __init__(self, world: "World", index: int) -> None:
        """`index` is its place in the committee."""
        self.world = world
        self.index = index
        self.disk = Disk(world.checking.read)
        self.damaged: dict[int, Name] = {}
        """The blocks on the disk that do not match their checksums, by position, and what they were."""
        self.evidence: dict[int, bytes] = {}
        """Against whom the disk keeps proof."""
        self.forgot = False
        """Whether its disk has ever lost a promise: it counts among the f, and may convict itself."""
        self._has_lost = False
        """Whether it has done so since it started."""
        self.flawed = False
        """Whether its memory has changed by itself since it started: its words count for nothing."""
        self.build = 0
        """Which version of the software it runs."""
        self.up = True
        self.full = False
        self.skew_ns = 0
        self.life = 0
        self.refused: dict[tuple[int, int], int] = {}
        """(ticket, index) -> outcome, of orders refused here."""
        self.checkpoints = CheckpointKeeper(self)
        self.fetching: Fetching | None = None
        """While it asks others for a checkpoint, before it begins."""
        self.replica = self._new_replica()
        self._inbox: list[Message] = []
        self._waiting = Effects()
        self._busy = False
        self._turn_at = -1
        self._turn_ns = world.story.turn_ms * MS
        self._lanes_seen = 0
        self._mending: _Mending | None = None
        self._approved: dict[bytes, None] = {}
        """The governance orders that its operators approved, by id; on a disk that is never lost."""

    def make_replica(self) -> Replica:
        """A replica that has read nothing."""
        return self.world.make_replica(self.index, Replica, self.build)

    def _new_replica(self) -> Replica:
        """The same, with this disk under it."""
        replica = self.make_replica()
        replica.ledger.original_at = self.order_at
        return replica

    def order_at(self, position: int, index: int) -> np.void | None:
        """The order at an index of the block at a position, where that is durable and whole."""
        if position >= len(self.disk) or position in self.damaged:
            return None
        block = self.world.checking.read(self.disk[position])
        if isinstance(block, Malformed) or index >= len(block.orders):
            return None
        order: np.void = block.orders[index]
        return order

    # -- what comes -------------------------------------------------------------------------------

    def asked(self, question: Asked) -> None:
        """Somebody asks for something of a checkpoint."""
        self.world.answer(self.index, question.peer, self.checkpoints.answer(question))

    def receive(self, message: Message) -> None:
        """Something comes over a link, or to the door."""
        if not self.up:
            return
        if self.fetching is not None:
            self.fetching.receive(message)
            return
        if isinstance(message, WordArrived):
            self.checkpoints.hear(message)
            return
        if self._mending is not None:
            self._mend(self._mending, message)
            return
        if self._busy:
            self._inbox.append(message)
            return
        self._waiting.extend(self.replica.receive(message, self.now))
        self.act_at(self.world.now + self._turn_ns)

    @property
    def now(self) -> int:
        """What its clock says."""
        return self.world.now + self.skew_ns

    def act_at(self, at: int) -> None:
        """Let the replica act then, unless it acts before."""
        at = max(at, self.world.now)
        if self.serves and not self._busy and (self._turn_at < 0 or at < self._turn_at):
            self._turn_at = at
            self.world.later(at, self._turn, self.life, at)

    def _turn(self, life: int, at: int) -> None:
        if life != self.life or not self.up or self._busy or at != self._turn_at:
            return
        self._turn_at = -1
        effects, self._waiting = self._waiting, Effects()
        effects.extend(self.replica.act(self.now))
        if effects.persist:
            self._busy = True
            low, high = self.world.story.fsync_ms
            delay = int(self.world.dice.uniform(low, high) * MS)
            self.world.later(self.world.now + delay, self._synced, self.life, effects)
        else:
            self._done(effects)

    def _synced(self, life: int, effects: Effects) -> None:
        if life != self.life:
            return
        if self.full:
            self.world.later(self.world.now + FULL_RETRY_NS, self._synced, life, effects)
            return
        self.disk.extend(effects.persist)
        self._busy = False
        self._done(effects)
        inbox, self._inbox = self._inbox, []
        for message in inbox:
            self.receive(message)

    def _done(self, effects: Effects) -> None:
        self._tell_decided(effects)
        for refused in effects.refused:
            for index, outcome in zip(
                refused.indices.tolist(), refused.outcomes.tolist(), strict=True
            ):
                self.refused[refused.ticket, index] = outcome
        for outgoing in effects.send:
            self.send(outgoing)
        self._look(effects)
        wake = effects.wake_at
        if wake is not None:
            self.act_at(max(wake - self.skew_ns, self.world.now + self._turn_ns))

    def _tell_decided(self, effects: Effects) -> None:
        """Each account's slots in their order: a skipped one may come before one that was paid."""
        decided: list[tuple[Slot, np.void | None]] = [(slot, None) for slot in effects.skipped]
        for orders in effects.settled:
            decided += [(Slot.of(order), order) for order in orders]
        if not decided:
            return
        for slot, order in sorted(decided, key=lambda told: told[0]):
            if order is None:
                self.skip(slot)
            else:
                self.settle(order)
        if self.honest and not self.flawed:
            accounts = self.replica.ledger.accounts
            self.world.auditor.looked(
                self.index,
                lambda number: (int(accounts[number]["balance"]), int(accounts[number]["held"])),
            )

    def _look(self, effects: Effects) -> None:
        for item in effects.evidence:
            self._keep(item)
        self._look_at_lanes()
        if effects.halted is not None:
            self.world.later(self.world.now + OPERATOR_NS, self._rejoin, self.life)

    def _look_at_lanes(self) -> None:
        lanes, members = self.replica.chains.lanes, self.world.story.super_agents
        for lane in lanes[max(members, self._lanes_seen) :]:
            if lane.parent >= 0 or lane.incarnation == 0:
                self.world.marks.hit("both branches of a fork were held")
        self._lanes_seen = len(lanes)

    def _keep(self, item: Evidence | TwoVotes) -> None:
        """Keep evidence beside the journal, and let a stranger look at it."""
        content = write_found(self.world.town.network, item, self._find)
        if content is None:
            assert isinstance(item, TwoVotes), "evidence of a fork names a block that is held"
            return  # its file would be too large
        if isinstance(item, TwoVotes):
            self.world.marks.hit("a super-agent was convicted of two votes in view 0")
        self.world.marks.hit("a super-agent was convicted")
        self.evidence.setdefault(item.culprit, content)
        if self.honest:
            culprit = self.world.machines[item.culprit]
            may_be = not culprit.honest or culprit.forgot
            self.world.auditor.convicted(self.index, item.culprit, content, may_be=may_be)

    def _find(self, name: Name) -> bytes | None:
        position = self.disk.with_digest(name.digest)
        return None if position is None else self.disk[position]

    def _rejoin(self, life: int) -> None:
        """The operator sees that it has stopped, and lets it come back."""
        if life != self.life or not self.up:
            return
        self.crash()
        self.restart(re_enter=True)

    # -- what goes --------------------------------------------------------------------------------

    def settle(self, order: np.void) -> None:
        """An order became final here."""
        if not self.flawed:
            self.world.auditor.settled(self.index, order.tobytes())
        if self.world.on_settled is not None:
            self.world.on_settled(self, order)

    def skip(self, slot: Slot) -> None:
        """A slot was closed without an order here."""
        self.world.marks.hit("a slot was skipped")
        if not self.flawed:
            subject: Subject = (
                slot.payer if slot.is_of_account else subject_told(slot.space, slot.subject)
            )
            self.world.auditor.skipped(self.index, subject, slot.sequence)

    def send(self, outgoing: Outgoing) -> None:
        """Something leaves."""
        if self.honest:
            note_recovery(self.world.marks, self.replica, self.world.checking, outgoing)
        self.world.send(self, outgoing)

    def says(self, payer: int, sequence: int) -> bytes | None:
        """What it would tell a customer of a slot: a body, SKIPPED, or None for not decided."""
        ledger = self.replica.ledger
        if not self.serves or sequence >= ledger.next_sequence(payer):
            return None
        if ledger.is_forgotten(payer, sequence):
            return None
        entry = ledger.entry_of_slot(payer, sequence)
        if entry is None:
            return SKIPPED
        place = ledger.entries[entry]
        order = self.order_at(int(place["position"]), int(place["index"]))
        # Not durable yet, or damaged: it does not say what it cannot show.
        return None if order is None else order.tobytes()[:BODY_BYTES]

    def names(self, alias: bytes) -> tuple[int, int] | None:
        """What it would tell a customer of an alias: the account it names, and its next sequence."""
        if not self.serves or not self.replica.ledger.alias_next(alias):
            return None
        return self.replica.ledger.alias(alias) or (NOBODY, 1)

    def ended(self, hold: SlotKey) -> bytes | int | None:
        """What it would tell of the end of a hold: the body of its order, or the next slot while it lasts.

        None where the hold is not final here, or what ended it cannot be shown.
        """
        ledger = self.replica.ledger
        if not self.serves or hold[1] >= ledger.next_sequence(hold[0]):
            return None
        found = ledger.side.holds.get(hold)
        if found is not None:
            return found.next_sequence
        for entry in ledger.entries_of(hold[0], HOLD_WALK_MAX).tolist():
            place = ledger.entries[entry]
            position = int(place["position"])
            if place["sequence"] != SEQUENCE_LAST or position >= len(self.disk):
                continue
            block = (
                None if position in self.damaged else self.world.checking.read(self.disk[position])
            )
            if not isinstance(block, Block):
                continue
            body: bytes = block.orders[int(place["index"])].tobytes()[:BODY_BYTES]
            if body[24] in ENDS and body[32:40] == subject_of_hold(hold)[:8]:
                return body
        return None

    def next_in(self, space: Space, subject: bytes) -> int:
        """What it would tell of the next slot of what is governed; 0 while it does not answer."""
        return self.replica.ledger.next_in(space, subject) if self.serves else 0

    def approve(self, ticket: int, order: Orders) -> None:
        """Two of its operators approve a governance order: they see to it that this is never forgotten."""
        name = order_id(self.world.town.network, order.tobytes())
        self._approved[name] = None
        self.receive(ApprovalsChanged(frozenset(self._approved)))
        self.offer_approved(ticket, order)

    def offer_approved(self, ticket: int, order: Orders) -> None:
        """Carry what its operators approved: a second time changes nothing."""
        name = order_id(self.world.town.network, order.tobytes())
        if name in self._approved and self.serves:
            self.offer(ticket, order)

    @property
    def serves(self) -> bool:
        """Whether it answers anybody."""
        return self.up and self._mending is None and self.fetching is None

    # -- what it says of checkpoints --------------------------------------------------------------

    def words_told(self) -> list[bytes]:
        """The words that it tells whoever asks."""
        return self.checkpoints.newest_words()

    def index_served(self, name: bytes) -> IndexRows | None:
        """The index of a checkpoint, if it has it."""
        kept = self.checkpoints.kept.get(name)
        return None if kept is None else kept.rows

    def page_served(self, name: bytes, place: tuple[int, int]) -> bytes | None:
        """A page of a checkpoint, empty where it has not got it; None to say nothing."""
        kept = self.checkpoints.kept.get(name)
        return b"" if kept is None else kept.pages.get(place, b"")

    def offer(self, ticket: int, orders: Orders) -> None:
        """A handset brings orders."""
        self.receive(OrdersOffered(ticket, orders, tables=self.world.town.tables_of(orders)))

    # -- what befalls it --------------------------------------------------------------------------

    def crash(self) -> None:
        """`kill -9`: what was not durable is gone, and of what was under way all or nothing is."""
        self.up = False
        self.life += 1
        self._mending = self.fetching = None
        self._inbox, self._waiting, self._busy, self._turn_at = [], Effects(), False, -1
        self.world.link_down(self.index)

    def forget(self, blocks: int) -> None:
        """The disk has lost its newest blocks, which it had promised to keep."""
        self.disk.truncate(max(0, len(self.disk) - blocks))
        self._lose()

    def wipe(self) -> None:
        """The disk is empty."""
        self.disk.truncate(0)
        self.checkpoints.wipe()
        self.evidence.clear()
        self._lose()

    def _lose(self) -> None:
        self.damaged = {p: name for p, name in self.damaged.items() if p < len(self.disk)}
        self.forgot = self._has_lost = True

    def damage(self, position: int, spoil: Callable[[bytes], bytes]) -> None:
        """The disk gives other bytes back for a block than it was given, and their checksum tells so."""
        block = self.world.checking.read(self.disk[position])
        if not isinstance(block, Malformed):
            name = Name(block.author, block.incarnation, block.height, block.digest)
            self.damaged[position] = name
            self.disk.replace(position, spoil(self.disk[position]))

    def flip(self, account: int) -> None:
        """A bit of a balance in memory changes by itself."""
        self.flawed = True
        self.replica.ledger.accounts[account]["balance"] ^= 1 << 20
        self.world.later(self.world.now + ADD_UP_NS, self._add_up, self.life)

    def _add_up(self, life: int) -> None:
        """The sum of all balances is not zero: it ends, and somebody starts it again."""
        if life == self.life and self.up and self.replica.ledger.total_cents():
            self.world.marks.hit("a flipped bit in memory was noticed")
            self.crash()
            self.world.later(self.world.now + OPERATOR_NS, self.restart)

    def restart(self, *, re_enter: bool = False) -> None:
        """Start again from the disk, once that is whole."""
        if self.up:
            return
        self.up = True
        self.flawed = False
        if self.damaged:
            self.world.marks.hit("a damaged block was noticed")
            self._mending = _Mending()
            self.world.later(self.world.now + ASK_NS, self._ask, self.life)
        elif self.world.story.checkpoints_every and (re_enter or not len(self.disk)):
            self._ask_for_pages(re_enter=re_enter)
        else:
            self._open(re_enter=re_enter)
        self.world.link_up(self.index)
        self.act_at(self.world.now)

    def _ask_for_pages(self, *, re_enter: bool) -> None:
        """Begin only when others' checkpoint is here, or it is known that blocks are the way."""
        town = self.world.town

        def begin() -> None:
            assert self.fetching is not None
            up, self.fetching = sorted(self.fetching.up), None
            self._open(re_enter=re_enter)
            for peer in up:
                self.receive(PeerUp(peer))
            self.act_at(self.world.now)

        catch_up = PageCatchUp(town.network, town.committee, len(self.disk))
        self.fetching = Fetching(self, catch_up, begin)
        self.world.later(self.world.now, self.fetching.wake, self.life)

    def _open(self, *, re_enter: bool) -> None:
        """Read the journal."""
        base = self.checkpoints.began_at
        if base is not None:
            ledger = self.world.town.empty_ledger(self.build)
            load(ledger, base.ledger_pages())
            ledger.entries_missing = base.checkpoint.orders
            self.world.ledgers[self.index] = ledger
        self.replica = self._new_replica()
        if base is not None:
            self.checkpoints.begin(self.replica, base)
        self.replica.restore(self.checkpoints.blocks(base), self.evidence)
        if re_enter:
            self.replica.re_enter()
        self.replica.receive(ApprovalsChanged(frozenset(self._approved)), self.now)
        if self.honest:
            whole, self._has_lost = not self._has_lost, False
            held: dict[int, int] = {}
            for (payer, _), hold in self.replica.ledger.side.holds.items():
                held[payer] = held.get(payer, 0) + hold.cents
            self.world.auditor.restarted(self.index, self.accounts(), held, disk_is_whole=whole)

    def accounts(self) -> dict[int, tuple[int, int]]:
        """(balance, next sequence) of everybody who has had an account from the beginning."""
        rows = self.replica.ledger.accounts[[o.number for o in self.world.town.openings]]
        pairs = zip(rows["balance"].tolist(), rows["next_sequence"].tolist(), strict=True)
        numbers = (opening.number for opening in self.world.town.openings)
        return dict(zip(numbers, pairs, strict=True))

    @property
    def tariffs(self) -> tuple[Tariff, ...]:
        """The versions that its ledger knows."""
        return self.replica.ledger.tariffs

    def final_orders(self) -> Iterator[tuple[Orders, dict[int, PayeeTable]]]:
        """All orders that it has applied, in that order, with the payee tables of some by row."""
        entries = self.replica.ledger.entries
        for entry in entries[entries["revenue_previous"] != ROW_OF_TABLE]:
            block = self.world.checking.read(self.disk[int(entry["position"])])
            assert isinstance(block, Block), "it was read before"
            order = block.orders[int(entry["index"]) : int(entry["index"]) + 1]
            table = block.tables.get(order["reference"][0].tobytes())
            yield order, {} if table is None else {0: table}

    # -- a damaged disk ---------------------------------------------------------------------------

    def _mend(self, mending: "_Mending", message: Message) -> None:
        """Say nothing, serve nothing; take the damaged blocks back from whoever has them."""
        match message:
            case PeerUp(peer):
                mending.up[peer] = None
                if len(mending.up) == 1:
                    self._ask(self.life, again=False)
            case PeerDown(peer):
                mending.up.pop(peer, None)
            case BlockArrived(_, data):
                block = self.world.checking.read(data)
                if isinstance(block, Malformed) or not self.world.checking.block_holds(block):
                    return
                for position, name in list(self.damaged.items()):
                    if name.digest == block.digest:
                        self.disk.replace(position, data)
                        del self.damaged[position]
                        self.world.marks.hit("a damaged block was mended")
        if not self.damaged:
            self._mending = None
            self._open(re_enter=False)
            for peer in sorted(mending.up):
                self.receive(PeerUp(peer))
            self.act_at(self.world.now)

    def _ask(self, life: int, *, again: bool = True) -> None:
        """Ask one peer after another; after many rounds the operator gives up what is damaged."""
        mending = self._mending
        if life != self.life or mending is None:
            return
        if again:
            self.world.later(self.world.now + ASK_NS, self._ask, life)
        if mending.rounds == MENDING_ROUNDS_MAX:
            self.world.marks.hit("a damaged block was given up")
            self.crash()
            self.forget(len(self.disk) - min(self.damaged))
            self.restart(re_enter=True)
        elif mending.up:
            up = sorted(mending.up)
            peer = up[mending.rounds % len(up)]
            mending.rounds += 1
            self.world.send(self, FetchNamed(peer, tuple(self.damaged.values())))

    @property
    def is_back(self) -> bool:
        """Whether it takes part, whatever has befallen it."""
        phase = self.replica.re_entering.phase
        return (
            self.serves and self.replica.halted is None and phase in (Phase.NONE, Phase.ABSTAINING)
        )

    @property
    def at_rest(self) -> bool:
        """Whether nothing is open here."""
        replica = self.replica
        return (
            self.is_back
            and not len(replica.disputes)
            and not len(replica.doubts)
            and not replica.queued
        )


@dataclass(slots=True)
class _Mending:
    """What a super-agent knows while it repairs its journal."""

    up: dict[int, None] = field(default_factory=dict)
    rounds: int = 0
