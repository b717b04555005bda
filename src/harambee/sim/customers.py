"""The people of a simulated network, with handsets that do what `harambee.handset` does.

An honest one signs an order, brings the same bytes to one door after another, believes what w super-agents
say, and cancels what q of them refuse. A crook signs two or three orders for one slot and brings them to
different doors at once. Traitors always say what a customer would like to hear.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import BODY_BYTES
from harambee.sim.machine import MS

if TYPE_CHECKING:
    from harambee.sim.world import World

Orders = npt.NDArray[np.void]

LOOK_NS: Final = 250 * MS
OFFER_AGAIN_NS: Final = 1_000 * MS
NOT_YET: Final = frozenset(
    {
        Outcome.SEQUENCE_AHEAD,
        Outcome.SEQUENCE_STALE,
        Outcome.SLOT_TAKEN,
        Outcome.SLOT_FENCED,
        Outcome.SLOT_SKIPPED,
        Outcome.BROKER_BUSY,
    }
)


@dataclass
class Payment:
    """One slot that somebody wants to fill."""

    number: int
    payer: int
    sequence: int
    orders: list[Orders]
    began: int
    crooked: bool
    door: int
    offered_at: int
    cancelled: bool = False
    refused_by: set[int] = field(default_factory=set)


class Crowd:
    """Everybody who pays."""

    def __init__(self, world: "World") -> None:
        """Who is a crook is decided by the seed."""
        self.world = world
        people = world.town.people
        crooks = round(world.story.crooks * len(people))
        self._crooks = set(world.dice.sample(people, crooks))
        self._sequence = dict.fromkeys(people, 0)
        self._busy: set[int] = set()
        self._open: dict[int, Payment] = {}
        self.offered = 0
        self.final = 0
        self.rejected = 0
        self.latencies_ms: list[float] = []

    def plan(self) -> None:
        """Plan when people want to pay."""
        story = self.world.story
        start = self.world.now
        for _ in range(story.orders):
            at = start + int(self.world.dice.random() * story.seconds * 1_000) * MS
            self.world.later(at, self._want_to_pay)

    @property
    def open(self) -> int:
        """How many payments are not decided."""
        return len(self._open)

    @property
    def stuck(self) -> int:
        """How many payments of honest people are not decided."""
        return sum(not payment.crooked for payment in self._open.values())

    def _want_to_pay(self) -> None:
        world, story = self.world, self.world.story
        payer = self._somebody_free()
        if payer is None:
            world.later(world.now + LOOK_NS, self._want_to_pay)
            return
        till = world.town.people[0]
        others = [number for number in world.town.people[:64] if number != payer]
        payee = till if story.to_one_till and payer != till else world.dice.choice(others)
        crooked = payer in self._crooks
        sequence = self._sequence[payer]
        orders = []
        for _ in range(world.dice.choice((2, 2, 3)) if crooked else 1):
            amount = world.dice.randrange(10_000, story.most_cents)
            orders.append(world.town.send(payer, payee, amount, sequence, world.today))
            payee = world.dice.choice(others)
        self._busy.add(payer)
        self.offered += 1
        doors = story.super_agents
        payment = Payment(
            self.offered,
            payer,
            sequence,
            orders,
            world.now,
            crooked,
            world.dice.randrange(doors),
            world.now,
        )
        self._open[payment.number] = payment
        if crooked:
            world.marks.hit("a payer signed two orders for one slot")
            for door in range(doors):
                self._bring(payment, world.dice.choice(orders), door)
        else:
            self._bring(payment, orders[0], payment.door)
        world.later(world.now + LOOK_NS, self._look, payment)

    def _somebody_free(self) -> int | None:
        """One of those who have no payment open, each as likely as any other; None if there is none."""
        people = self.world.town.people
        if len(self._busy) == len(people):
            return None
        while True:
            number = self.world.dice.choice(people)
            if number not in self._busy:
                return number

    def _bring(self, payment: Payment, order: Orders, door: int) -> None:
        """Bring an order to a door; what it answers is looked at later."""
        world = self.world
        machine = world.machines[door]
        low, high = world.story.delay_ms
        delay = int(world.dice.uniform(low, high) * MS)
        world.later(world.now + delay, machine.offer, payment.number, order)

    def _look(self, payment: Payment) -> None:
        """Ask super-agents about the slot; bring the order to the next door, or cancel it."""
        world = self.world
        committee = world.town.committee
        liars = sum(machine.up for machine in world.traitors)
        words: Counter[bytes] = Counter()
        for machine in world.honest:
            said = machine.says(payment.payer, payment.sequence)
            if said is None:
                continue
            words[said] += 1
            if words[said] + min(liars, committee.f) >= committee.w:
                self._close(payment, said, payment.orders[0].tobytes()[:BODY_BYTES])
                return
        for machine in world.honest:
            outcome = machine.refused.pop((payment.number, 0), None)
            if outcome is not None and outcome not in NOT_YET:
                payment.refused_by.add(machine.index)
        if len(payment.refused_by) + liars >= committee.q and not payment.cancelled:
            self._cancel(payment)
        if world.now - payment.offered_at >= OFFER_AGAIN_NS:
            payment.offered_at = world.now
            payment.door = (payment.door + 1) % world.story.super_agents
            world.marks.hit("an order was brought to another door")
            order = payment.orders[-1]
            if payment.refused_by:
                for door in range(world.story.super_agents):
                    self._bring(payment, order, door)
            else:
                self._bring(payment, order, payment.door)
        world.later(world.now + LOOK_NS, self._look, payment)

    def _cancel(self, payment: Payment) -> None:
        world = self.world
        payment.cancelled = True
        world.marks.hit("a refused order was cancelled")
        cancel = world.town.cancel(payment.payer, payment.sequence, world.today)
        payment.orders.append(cancel)
        for door in range(world.story.super_agents):
            self._bring(payment, cancel, door)

    def _close(self, payment: Payment, said: bytes, wished: bytes) -> None:
        del self._open[payment.number]
        self._busy.discard(payment.payer)
        self._sequence[payment.payer] = payment.sequence + 1
        ours = [order for order in payment.orders if order.tobytes()[:BODY_BYTES] == said]
        for order in ours:
            self.world.auditor.believed(order.tobytes())
        if ours and (payment.crooked or said == wished):
            self.final += 1
            self.latencies_ms.append((self.world.now - payment.began) / MS)
        else:
            self.rejected += 1
