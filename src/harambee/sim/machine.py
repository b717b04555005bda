"""One simulated super-agent: a replica, its disk and its clock, driven by the loop that ships.

As in `node.engine`, what has come is received, then the replica acts once, then the new blocks are made
durable, and only then anything of it is seen outside. A crash can come at every point of that.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np

from harambee.ledger.records import BODY_BYTES
from harambee.protocol.effects import Effects, Outgoing
from harambee.protocol.malformed import Malformed
from harambee.protocol.messages import Message, OrdersOffered
from harambee.protocol.reentry import Phase
from harambee.protocol.replica import Replica
from harambee.sim.auditor import SKIPPED

if TYPE_CHECKING:
    from harambee.sim.world import World

MS: Final = 1_000_000
FULL_RETRY_NS: Final = 50 * MS
OPERATOR_NS: Final = 400 * MS
"""How long an operator takes to see that a super-agent has stopped, and to let it rejoin."""


class Machine:
    """A super-agent that keeps the rules."""

    honest = True

    def __init__(self, world: "World", index: int) -> None:
        """`index` is its place in the committee."""
        self.world = world
        self.index = index
        self.disk: list[bytes] = []
        self.up = True
        self.full = False
        self.skew_ns = 0
        self.life = 0
        self.refused: dict[tuple[int, int], int] = {}
        """(ticket, index) -> outcome, of orders refused here."""
        self.replica = self.make_replica()
        self._inbox: list[Message] = []
        self._waiting = Effects()
        self._busy = False
        self._turn_at = -1
        self._turn_ns = world.story.turn_ms * MS

    def make_replica(self) -> Replica:
        """A replica that has read nothing."""
        return self.world.make_replica(self.index, Replica)

    # -- what comes -------------------------------------------------------------------------------

    def receive(self, message: Message) -> None:
        """Something comes over a link, or to the door."""
        if not self.up:
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
        if not self._busy and (self._turn_at < 0 or at < self._turn_at):
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
        self.disk += effects.persist
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
        decided: list[tuple[int, int, np.void | None]] = [
            (slot.payer, slot.sequence, None) for slot in effects.skipped
        ]
        for orders in effects.settled:
            payers, sequences = orders["payer"].tolist(), orders["sequence"].tolist()
            decided += zip(payers, sequences, orders, strict=True)
        for payer, sequence, order in sorted(decided, key=lambda told: told[:2]):
            if order is None:
                self.skip(payer, sequence)
            else:
                self.settle(order)

    def _look(self, effects: Effects) -> None:
        marks = self.world.marks
        if effects.evidence:
            marks.hit("a super-agent was convicted", len(effects.evidence))
        if len(self.replica.chains.lanes) > self.world.story.super_agents and any(
            lane.parent >= 0 or (lane.incarnation == 0 and index >= self.world.story.super_agents)
            for index, lane in enumerate(self.replica.chains.lanes)
        ):
            marks.hit("both branches of a fork were held")
        if effects.halted is not None:
            self.world.later(self.world.now + OPERATOR_NS, self._rejoin, self.life)

    def _rejoin(self, life: int) -> None:
        """The operator sees that it has stopped, and lets it come back."""
        if life != self.life or not self.up:
            return
        self.crash()
        self.restart(re_enter=True)

    # -- what goes --------------------------------------------------------------------------------

    def settle(self, order: np.void) -> None:
        """An order became final here."""
        payer = int(order["payer"])
        balance = int(self.replica.ledger.accounts[payer]["balance"])
        self.world.auditor.settled(self.index, order.tobytes()[:BODY_BYTES], balance)

    def skip(self, payer: int, sequence: int) -> None:
        """A slot was closed without an order here."""
        self.world.marks.hit("a slot was skipped")
        self.world.auditor.skipped(self.index, payer, sequence)

    def send(self, outgoing: Outgoing) -> None:
        """Something leaves."""
        self.world.send(self, outgoing)

    def says(self, payer: int, sequence: int) -> bytes | None:
        """What it would tell a customer of a slot: a body, SKIPPED, or None for not decided."""
        ledger = self.replica.ledger
        if not self.up or sequence >= ledger.next_sequence(payer):
            return None
        entry = ledger.entry_of_slot(payer, sequence)
        if entry is None:
            return SKIPPED
        place = ledger.entries[entry]
        if int(place["position"]) >= len(self.disk):
            return None  # not durable yet
        block = self.world.checking.read(self.disk[int(place["position"])])
        assert not isinstance(block, Malformed), "it was read before"
        body: bytes = block.orders[int(place["index"])].tobytes()[:BODY_BYTES]
        return body

    def offer(self, ticket: int, orders: np.ndarray) -> None:
        """A handset brings orders."""
        self.receive(OrdersOffered(ticket, orders))

    # -- what befalls it --------------------------------------------------------------------------

    def crash(self) -> None:
        """`kill -9`: what was not durable is gone, and of what was under way all or nothing is."""
        self.up = False
        self.life += 1
        self._inbox, self._waiting, self._busy, self._turn_at = [], Effects(), False, -1
        self.world.link_down(self.index)

    def forget(self, blocks: int) -> None:
        """The disk has lost its newest blocks, which it had promised to keep."""
        del self.disk[max(0, len(self.disk) - blocks) :]

    def restart(self, *, re_enter: bool = False) -> None:
        """Start again from the disk."""
        if self.up:
            return
        self.replica = self.make_replica()
        self.replica.restore(self.disk)
        if re_enter:
            self.replica.re_enter()
        self.up = True
        if self.honest:
            self.world.auditor.restarted(self.index)
        self.world.link_up(self.index)
        self.act_at(self.world.now)

    @property
    def at_rest(self) -> bool:
        """Whether nothing is open here."""
        replica = self.replica
        return (
            self.up
            and replica.halted is None
            and replica.re_entering.phase in (Phase.NONE, Phase.ABSTAINING)
            and not len(replica.disputes)
            and not len(replica.doubts)
            and not replica.queued
        )


Maker = Callable[["World", int], Machine]
