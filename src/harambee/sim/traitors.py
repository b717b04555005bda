"""Super-agents that lie: each strategy is a machine, or a replica, with one thing done wrongly.

They hold their own keys and nobody else's, hear everything that is sent to them, and know the protocol.
"""

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ORDER
from harambee.protocol.disputes import Dispute
from harambee.protocol.effects import (
    EVERYONE,
    Outgoing,
    SendBlock,
    SendHeads,
    Serve,
    ServeNamed,
)
from harambee.protocol.messages import BlockArrived, FetchEnded, Message
from harambee.protocol.recovery import Plan
from harambee.protocol.recovery_entries import Fence, Recovery
from harambee.protocol.replica import Held, Replica
from harambee.protocol.slot import Slot
from harambee.sim.machine import Machine

if TYPE_CHECKING:
    from harambee.sim.world import World

LATE_NS: Final = 3_000_000_000
GARBAGE_FRAMES: Final = 3


class Traitor(Machine):
    """A machine that the auditor does not believe."""

    honest = False

    def settle(self, order: np.void) -> None:
        """What a traitor says is final, counts for nothing."""

    def skip(self, payer: int, sequence: int) -> None:
        """What a traitor says was skipped, counts for nothing."""


class Silent(Traitor):
    """Hears everything and says nothing."""

    def send(self, outgoing: Outgoing) -> None:
        """Say nothing."""


class Withholder(Traitor):
    """Shows its blocks, and so the certificates in them, to one peer alone."""

    def send(self, outgoing: Outgoing) -> None:
        """Send blocks to the one peer, everything else to whom it is meant for."""
        if isinstance(outgoing, SendBlock):
            favourite = (self.index + 1) % self.world.story.super_agents
            outgoing = SendBlock(favourite, outgoing.data)
        super().send(outgoing)


class Late(Traitor):
    """Speaks seconds after it should: its certificates surface when recovery is over."""

    def send(self, outgoing: Outgoing) -> None:
        """Send later."""
        self.world.later(self.world.now + LATE_NS, self._really_send, outgoing)

    def _really_send(self, outgoing: Outgoing) -> None:
        super().send(outgoing)


class LyingServer(Traitor):
    """Claims to hold everything, and serves garbage to those who ask for it."""

    def send(self, outgoing: Outgoing) -> None:
        """Spoil what is served and what is claimed."""
        match outgoing:
            case Serve(peer, _) | ServeNamed(peer, _):
                for data in self.disk[-GARBAGE_FRAMES:]:
                    self.world.travel(self.index, peer, BlockArrived(self.index, _spoilt(data)))
                self.world.travel(self.index, peer, FetchEnded(self.index))
            case SendHeads(peer, heads):
                claimed = heads.copy()
                claimed["height"] += 10_000
                super().send(SendHeads(peer, claimed))
            case _:
                super().send(outgoing)


class Flooder(Traitor):
    """Sends garbage, cut and altered blocks beside every block of its own."""

    def send(self, outgoing: Outgoing) -> None:
        """Send it, and rubbish with it."""
        super().send(outgoing)
        if isinstance(outgoing, SendBlock) and outgoing.peer == EVERYONE:
            for peer in range(self.world.story.super_agents):
                if peer != self.index:
                    for rubbish in (_spoilt(outgoing.data), outgoing.data[:-1], b"\0" * 64):
                        self.world.travel(self.index, peer, BlockArrived(self.index, rubbish))


class Vanisher(Traitor):
    """A broker that collects votes for the first orders brought to it, and is never heard of again."""

    def send(self, outgoing: Outgoing) -> None:
        """Speak until a block with orders has left."""
        if self.replica.counters.applied and self.replica.height > 1:
            return
        super().send(outgoing)


class _Gullible(Replica):
    """Votes for every order, locks nothing."""

    def _judge(self, held: Held, plan: Plan, today: int) -> npt.NDArray[np.uint8]:
        del plan, today
        return np.zeros(len(held.block.orders), np.uint8)


class YesSayer(Traitor):
    """Votes for both of two rival orders, and for those that nobody may sign."""

    def make_replica(self) -> Replica:
        """A replica without judgement."""
        return self.world.make_replica(self.index, _Gullible)


class _NaySayer(Replica):
    """Refuses every order of others."""

    def _judge(self, held: Held, plan: Plan, today: int) -> npt.NDArray[np.uint8]:
        del plan, today
        return np.full(len(held.block.orders), Outcome.BALANCE_INSUFFICIENT, np.uint8)


class NaySayer(Traitor):
    """Refuses whatever it is shown, so that everything is counted one by one."""

    def make_replica(self) -> Replica:
        """A replica that refuses."""
        return self.world.make_replica(self.index, _NaySayer)


class _Opener(Replica):
    """Fences the slots of honest payers that it sees, for no reason."""

    def _plan(self, rescues: list[Slot], now: int) -> Plan:
        plan = super()._plan(rescues, now)
        slots = {
            Slot.of(order): None
            for open_ in self._open
            for held in list(open_.values())[:4]
            for order in held.block.orders[:8]
        }
        fresh = [slot for slot in slots if slot not in plan.fences and not self._own_fence(slot)]
        fences = tuple(Fence(slot, 1, np.zeros(0, ORDER)) for slot in fresh[:64])
        entries = plan.entries
        plan.entries = Recovery((*entries.fences, *fences), entries.proposals, entries.votes)
        plan.fences.update((fence.slot, 1) for fence in fences)
        return plan


class Opener(Traitor):
    """Opens the recovery of slots whose payers are honest."""

    def make_replica(self) -> Replica:
        """A replica that fences."""
        return self.world.make_replica(self.index, _Opener)


class _MuteLeader(Replica):
    """Never proposes anything."""

    def _passes_in_recovery(self, dispute: Dispute, name: bytes) -> bool:
        del dispute, name
        return False

    def _plan(self, rescues: list[Slot], now: int) -> Plan:
        plan = super()._plan(rescues, now)
        plan.entries = Recovery(plan.entries.fences, (), plan.entries.votes)
        return plan


class MuteLeader(Traitor):
    """Joins every recovery and never leads one."""

    def make_replica(self) -> Replica:
        """A replica without proposals."""
        return self.world.make_replica(self.index, _MuteLeader)


class Twins(Traitor):
    """Two replicas with one key, each shown to half of the others: forks, double votes, split orders."""

    def __init__(self, world: "World", index: int) -> None:
        """The other twin is a machine of its own, which the network does not know."""
        super().__init__(world, index)
        self._other = _Twin(world, index)

    def receive(self, message: Message) -> None:
        """Both hear everything that is not the other's."""
        if not self._is_a_twins(message):
            super().receive(message)
            self._other.receive(message)

    def offer(self, ticket: int, orders: np.ndarray) -> None:
        """A handset meets one of them."""
        twin = self if self.world.dice.random() < 0.5 else self._other
        Machine.offer(twin, ticket, orders)

    def _is_a_twins(self, message: Message) -> bool:
        return isinstance(message, BlockArrived) and author_of(message.data) == self.index

    def send(self, outgoing: Outgoing) -> None:
        """Speak to the peers of even index."""
        _send_to_half(self, outgoing, 0)

    def crash(self) -> None:
        """Twins do not crash."""

    def act_at(self, at: int) -> None:
        """Wake both."""
        super().act_at(at)
        other = getattr(self, "_other", None)
        if other is not None and at == self.world.now:
            other.act_at(at)


class _Twin(Traitor):
    def send(self, outgoing: Outgoing) -> None:
        _send_to_half(self, outgoing, 1)

    def receive(self, message: Message) -> None:
        Machine.receive(self, message)


def _send_to_half(machine: Machine, outgoing: Outgoing, half: int) -> None:
    members = machine.world.story.super_agents
    if outgoing.peer != EVERYONE:
        if outgoing.peer % 2 == half or not isinstance(outgoing, SendBlock | SendHeads):
            machine.world.send(machine, outgoing)
        return
    for peer in range(members):
        if peer != machine.index and peer % 2 == half and isinstance(outgoing, SendBlock):
            machine.world.send(machine, SendBlock(peer, outgoing.data))


def author_of(data: bytes) -> int:
    """The author that a block's bytes claim."""
    return int.from_bytes(data[2:4], "little")


def _spoilt(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


MAKERS: Final[dict[str, type[Traitor]]] = {
    "silent": Silent,
    "withholding": Withholder,
    "late": Late,
    "lying about what it holds": LyingServer,
    "flooding": Flooder,
    "vanishing": Vanisher,
    "saying yes to everything": YesSayer,
    "refusing everything": NaySayer,
    "opening honest slots": Opener,
    "a mute leader": MuteLeader,
    "twins": Twins,
}
STRATEGIES: Final = tuple(MAKERS)
