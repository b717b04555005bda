"""A day with an outage in it, on replicas as they ship: f super-agents are killed, and later come back.

A hundred replicas cannot live through a whole day on a laptop, and need not: between two payments they only
say that they are there. So the day is cut into moments. In a moment the orders of some stretch of the day
are brought at once, to doors drawn by the seed, and the protocol runs, message by message, until all are
final or the moment has lasted as long as a minute's customer might wait. What lies between the moments is
left out. A super-agent is killed while payments are under way at its door; a handset whose door refuses the
connection knocks at another one, and one that hears nothing brings the same bytes elsewhere.

Whoever brought an order that is not final when its moment ends, waits: her order stands, signed, and is
looked after in every later moment.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.records import BODY_BYTES
from harambee.sim.customers import LOOK_NS, PATIENCE_PACES
from harambee.sim.machine import MS, Machine
from harambee.sim.run import REST_STEPS, collecting_seldom
from harambee.sim.story import CROWDED, Story
from harambee.sim.world import SECOND, START_NS, World
from harambee.traffic.sampled_day import MINUTES, Outage, SampledOrder

Progress = Callable[[int, int], None]

ROOMY: Final = 31
"""Up to so many super-agents, a moment costs little enough for many of them."""
MOMENTS: Final = ((CROWDED, 48, 48), (ROOMY, 24, 24), (100, 2, 4))
"""Up to so many super-agents, about so many moments lie outside of the outage, and so many within it."""
BROUGHT_WITHIN_NS: Final = 20 * MS
KILLED_AFTER_NS: Final = 40 * MS
"""The payments have reached their doors by then, and none of them can be final."""
MOMENT_NS: Final = 20 * SECOND
"""How long a moment lasts at most: an order that is not final by then was not paid in its minute."""
SETTLE_NS: Final = 180 * SECOND
"""How long the network may take to serve everybody who waited, and to come to rest at the end."""
OPENING_CENTS: Final = 20_000_00
"""More than any order of the day pays, and its fee."""


@dataclass(slots=True)
class Waiting:
    """A handset and its order."""

    number: int
    sampled: SampledOrder
    signed: npt.NDArray[np.void]
    payer: int
    door: int
    began: int = 0
    offered_at: int = 0
    knocks: int = 0
    """At how many doors it has knocked since it last heard nothing."""


@dataclass(slots=True)
class NetworkDay:
    """What came of a day's orders on the network, in whole cents."""

    paid: list[int] = field(default_factory=lambda: [0] * MINUTES)
    """Cents that became final in each minute of the day; those that waited, in the minute that freed them."""
    delayed_cents: int = 0
    """Cents that became final in a later minute than somebody brought them."""
    lost_cents: int = 0
    """Cents of which a customer was told that they were final and that are not, or that never became so."""
    silent_minutes: int = 0
    """Minutes in which somebody wanted to pay, and nobody could."""
    final: int = 0
    final_in_outage: int = 0
    """Orders that were brought in the outage and became final before it ended."""
    brought_in_outage: int = 0
    undecided: int = 0
    lost: int = 0
    duplicated: int = 0
    conserved: bool = True
    digests_equal: bool = False
    back_after_ms: int = 0
    """Simulated time from the restart until all took part again and nobody waited."""
    simulated_s: int = 0
    moments: int = 0
    pace_ms: int = 0
    latencies_ms: list[int] = field(default_factory=list)
    """Of the orders that became final in their own moment."""
    violations: list[str] = field(default_factory=list)
    history: str = ""


def moments_of(
    orders: Sequence[SampledOrder], outage: Outage, super_agents: int
) -> list[list[SampledOrder]]:
    """Cut a day into moments; none of them lies on both sides of an edge of the outage.

    The first order of the outage is a moment of its own: in it the super-agents die.
    """
    outside, inside = next(rest for most, *rest in MOMENTS if super_agents <= most)
    before = [order for order in orders if order.minute < outage.starts]
    during = [order for order in orders if outage.covers(order.minute)]
    after = [order for order in orders if order.minute >= outage.ends]
    rest = max(1, len(before) + len(after))
    return [
        *_cut(before, outside * len(before) // rest),
        *_cut(during[:1], 1),
        *_cut(during[1:], inside),
        *_cut(after, outside * len(after) // rest),
    ]


def _cut(orders: list[SampledOrder], parts: int) -> list[list[SampledOrder]]:
    """Cut a list into so many parts of about the same length, none of them empty."""
    parts = min(len(orders), max(1, parts))
    edges = [len(orders) * part // parts for part in range(parts + 1)] if parts else []
    return [orders[low:high] for low, high in pairwise(edges)]


def story_of(super_agents: int, people: int) -> Story:
    """Return the world of the day: no liars, no bad luck but the outage, and a crowd's pace for a crowd."""
    crowded = super_agents > CROWDED
    return Story(
        title="A day with an outage in it",
        super_agents=super_agents,
        traitors=0,
        people=max(2, people),
        crooks=0,
        p256=0,
        opening_cents=OPENING_CENTS,
        pace_ms=500 if crowded else 100,
        turn_ms=100 if crowded else 10,
        heartbeat_ms=60_000,
        delay_ms=(5, 40),
        loss=0,
        doubled=0,
        crashes=0,
        partitions=0,
    ).checked()


class Evening:
    """One day, lived through by one network."""

    def __init__(
        self,
        orders: Sequence[SampledOrder],
        outage: Outage,
        super_agents: int,
        dead: int | Sequence[int],
        seed: int,
    ) -> None:
        """`dead` says how many die in the outage, drawn by the seed, or which."""
        self.world = World(story_of(super_agents, len(orders)), seed)
        if isinstance(dead, int):
            dead = sorted(self.world.dice.sample(range(super_agents), dead))
        self.dead = [self.world.machines[index] for index in dead]
        self.outage = outage
        self.day = NetworkDay()
        self._orders = orders
        self._patience_ns = PATIENCE_PACES * self.world.story.pace_ms * MS
        self._open: dict[int, Waiting] = {}
        self._told: list[Waiting] = []

    def live(self, progress: Progress | None = None) -> NetworkDay:
        """Live through the day; `progress` hears how many moments of how many are over."""
        world, day = self.world, self.day
        moments = moments_of(self._orders, self.outage, world.story.super_agents)
        people = iter(range(len(self._orders)))
        day.moments, day.pace_ms = len(moments), world.story.pace_ms
        is_over = False
        with collecting_seldom():
            world.run_until(world.now + SECOND)
            for done, moment in enumerate(moments):
                if moment[0].minute >= self.outage.ends and not is_over:
                    self._end_outage()
                    is_over = True
                self._live_moment(moment, people)
                if progress is not None:
                    progress(done + 1, len(moments))
            if not is_over:
                self._end_outage()
            self._come_to_rest()
        self._judge()
        return day

    # -- moments ----------------------------------------------------------------------------------

    def _live_moment(self, moment: list[SampledOrder], people: Iterator[int]) -> None:
        """Let the customers of a stretch of the day bring their orders, and see what becomes of them."""
        world, town = self.world, self.world.town
        for sampled in moment:
            number = next(people)
            payer = town.people[number]
            payee = town.people[(number + 1) % len(town.people)]
            signed = town.send(payer, payee, sampled.amount_cents, 0, world.today)
            door = world.dice.randrange(world.story.super_agents)
            at = world.now + int(world.dice.random() * BROUGHT_WITHIN_NS)
            waiting = self._open[number] = Waiting(number, sampled, signed, payer, door, at, at)
            world.later(at, self._knock, waiting)
        in_outage = self.outage.covers(moment[0].minute)
        if in_outage:
            self.day.brought_in_outage += len(moment)
        if moment[0].minute == self.outage.starts:
            for machine in self.dead:
                world.later(world.now + KILLED_AFTER_NS, world.kill, machine)
        ours = {number for number, w in self._open.items() if w.sampled in moment}
        self._wait(MOMENT_NS, moment[0].minute, lambda: not ours & self._open.keys())
        late = [self._open[number] for number in ours & self._open.keys()]
        self.day.silent_minutes += sum(waiting.sampled.minutes for waiting in late)

    def _wait(self, longest_ns: int, minute: int, is_done: Callable[[], bool]) -> None:
        """Let time pass until it is done, while every handset looks after its order."""
        end = self.world.now + longest_ns
        while self.world.now < end and not is_done():
            self.world.run_until(self.world.now + LOOK_NS)
            for waiting in list(self._open.values()):
                self._look(waiting, minute)

    def _knock(self, waiting: Waiting) -> None:
        """Bring an order to a door; where nobody opens, to the next one, until it has been at all."""
        world = self.world
        machine = world.machines[waiting.door]
        low, high = world.story.delay_ms
        travels = int(world.dice.uniform(low, high) * MS)
        waiting.knocks += 1
        if machine.up:
            world.later(world.now + travels, machine.offer, waiting.number, waiting.signed)
        elif waiting.knocks < world.story.super_agents:
            waiting.door = (waiting.door + 1) % world.story.super_agents
            world.later(world.now + travels, self._knock, waiting)

    def _look(self, waiting: Waiting, minute: int) -> None:
        """Ask super-agents about the slot; believe w of them, and go elsewhere after a while."""
        world = self.world
        words: Counter[bytes] = Counter()
        for machine in world.machines:
            said = machine.says(waiting.payer, 0) if machine.up else None
            if said is None:
                continue
            words[said] += 1
            if words[said] >= world.town.committee.w:
                self._close(waiting, said, minute)
                return
        if world.now - waiting.offered_at >= self._patience_ns:
            waiting.offered_at, waiting.knocks = world.now, 0
            waiting.door = (waiting.door + 1) % world.story.super_agents
            world.later(world.now, self._knock, waiting)

    def _close(self, waiting: Waiting, said: bytes, minute: int) -> None:
        """It is final: in its own minute if its moment still lasts, else in the one that freed it."""
        day, sampled = self.day, waiting.sampled
        order = waiting.signed.tobytes()
        if said != order[:BODY_BYTES]:
            day.violations.append(f"something else is final in the slot of order {waiting.number}")
        del self._open[waiting.number]
        self.world.auditor.believed(order)
        self._told.append(waiting)
        paid_at = max(minute, sampled.minute)
        day.final += 1
        day.final_in_outage += self.outage.covers(sampled.minute) and self.outage.covers(paid_at)
        day.paid[min(paid_at, MINUTES - 1)] += sampled.value_cents
        if paid_at > sampled.minute:
            day.delayed_cents += sampled.value_cents
        else:
            day.latencies_ms.append((self.world.now - waiting.began) // MS)

    # -- the end ----------------------------------------------------------------------------------

    def _end_outage(self) -> None:
        """The dead are restarted from their disks; everybody who waited is served."""
        world = self.world
        self._see_that_nothing_was_made()
        began = world.now
        for machine in self.dead:
            machine.restart()
        self._wait(
            SETTLE_NS,
            self.outage.ends,
            lambda: not self._open and all(self._takes_part(machine) for machine in self.dead),
        )
        self.day.back_after_ms = (world.now - began) // MS

    def _takes_part(self, machine: Machine) -> bool:
        """Whether a super-agent that was away has applied all that was paid meanwhile."""
        ledger = machine.replica.ledger
        return machine.is_back and all(ledger.next_sequence(told.payer) for told in self._told)

    def _come_to_rest(self) -> None:
        """Wait until all have rested for a while: what is applied is told to the auditor a turn later."""
        self.world.calm_down()
        end, still = self.world.now + SETTLE_NS, 0
        while self.world.now < end and still < REST_STEPS:
            self._wait(LOOK_NS, MINUTES, lambda: False)
            still = still + 1 if not self._open and self._is_at_rest() else 0

    def _is_at_rest(self) -> bool:
        return all(machine.at_rest for machine in self.world.machines) and self._agree()

    def _agree(self) -> bool:
        return len({machine.replica.ledger.digest() for machine in self.world.machines}) == 1

    def _see_that_nothing_was_made(self) -> None:
        totals = [machine.replica.ledger.total_cents() for machine in self.world.machines]
        self.day.conserved &= not any(totals)

    def _judge(self) -> None:
        """Hold what every super-agent has against what customers were told, and against the auditor."""
        world, day, auditor = self.world, self.day, self.world.auditor
        self._see_that_nothing_was_made()
        for machine in world.machines:
            day.conserved &= not auditor.disagreements(machine.index, machine.accounts())
        vanished = [
            waiting
            for waiting in self._told
            if auditor.decided.get((waiting.payer, 0)) != waiting.signed.tobytes()[:BODY_BYTES]
        ]
        day.undecided, day.lost = len(self._open), len(vanished)
        gone = [*vanished, *self._open.values()]
        day.lost_cents = sum(waiting.sampled.value_cents for waiting in gone)
        day.duplicated = auditor.duplicated
        day.digests_equal = self._agree()
        day.violations += auditor.violations
        day.simulated_s = (world.now - START_NS) // SECOND
        world.remember("ends", auditor.decided, auditor.violations)
        day.history = world.history()
