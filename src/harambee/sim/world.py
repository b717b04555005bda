"""The world around simulated super-agents: one seeded clock, the links between them, what befalls them.

Every delay, loss and crash comes from one generator, and things happen in the order of (time, when they were
planned), so a seed is a history, to the byte, on every machine.
"""

import hashlib
import heapq
import random
from collections.abc import Callable
from typing import Any, Final

from harambee.ledger.ledger import Ledger
from harambee.protocol.effects import (
    EVERYONE,
    AskHeads,
    Fetch,
    FetchNamed,
    Outgoing,
    SendBlock,
    SendHeads,
    Serve,
    ServeNamed,
)
from harambee.protocol.messages import (
    BlockArrived,
    FetchAsked,
    FetchEnded,
    HeadsArrived,
    HeadsAsked,
    Message,
    NamedAsked,
    PeerDown,
    PeerUp,
)
from harambee.protocol.remembering import RememberingChecking
from harambee.protocol.replica import DAY_NS, ZONE_NS, Pace, Replica, day_of
from harambee.sim.auditor import Auditor
from harambee.sim.checkpoints import Asked
from harambee.sim.machine import MS, Machine
from harambee.sim.marks import Marks
from harambee.sim.story import Act, Story
from harambee.sim.timeline import Timeline
from harambee.sim.town import Town
from harambee.sim.traitors import MAKERS, author_of

START_NS: Final = 1_790_000_000_000_000_000
SECOND: Final = 1_000 * MS
MOMENT_S: Final = (0.05, 1.5)
"""How long a crash or a partition that chance makes lasts."""


class World:
    """A network, its people's town, and what goes on between them."""

    def __init__(self, story: Story, seed: int) -> None:
        """`seed` decides everything that the story leaves open."""
        self.story = story
        self.dice = random.Random(seed)
        self.now = START_NS
        self.marks = Marks()
        self.timeline = Timeline(story.super_agents, START_NS)
        self.town = Town(
            seed,
            story.super_agents,
            story.people,
            story.opening_cents,
            till=story.to_one_till,
            employers=story.employers,
            regions=story.regions,
            p256=story.p256,
        )
        self.checking = RememberingChecking(self.town.network, self.town.committee)
        self.auditor = Auditor(self.town)
        self.offset_ns = 0
        """How far everybody's clocks, people's too, are from the time that is simulated."""
        self.on_settled: Callable[[Machine, Any], None] | None = None
        """Hears of every order that becomes final on an honest super-agent."""
        self.killed = 0
        self.calm = False
        """Chance has done its worst; the network may come to rest."""
        self._events: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._planned = 0
        self._history = hashlib.blake2b(digest_size=32)
        self.ledgers: dict[int, Ledger] = {}
        """What the next replica of a super-agent begins with, if not with the openings."""
        self._cut: set[tuple[int, int]] = set()
        self._up_links: set[tuple[int, int]] = set()
        self.machines: list[Machine] = []
        lying = sorted(story.traitors_at) or sorted(
            self.dice.sample(range(story.super_agents), story.traitors)
        )
        for index in range(story.super_agents):
            maker: type[Machine] = Machine
            if index in lying:
                strategy = self.dice.choice(story.strategies)
                maker = MAKERS[strategy]
                self.timeline.label(index, strategy)
            self.machines.append(maker(self, index))
        self.honest = [machine for machine in self.machines if machine.honest]
        """The super-agents that keep the rules."""
        self.traitors = [machine for machine in self.machines if not machine.honest]
        for machine in self.machines:
            hours = self.dice.uniform(-1, 1) * story.skew_hours
            machine.skew_ns = int(hours * 3_600 * SECOND)
            if hours:
                self.marks.hit("a clock was set apart")
        if story.midnight_at is not None:
            midnight = START_NS + int(story.midnight_at * SECOND)
            self._let_pass(-(midnight + ZONE_NS) % DAY_NS)
            self.later(midnight, self.marks.hit, "midnight passed")
        for index in range(story.super_agents):
            self.link_up(index)

    @property
    def today(self) -> int:
        """The day that people's clocks show."""
        return day_of(self.now + self.offset_ns)

    def make_replica(self, index: int, kind: type[Replica], build: int = 0) -> Replica:
        """A replica that has read nothing, with the ledger as the genesis has it, and of some version."""
        town, story = self.town, self.story
        ledger = self.ledgers.pop(index, None)
        pace = Pace(story.pace_ms * MS, story.heartbeat_ms * MS)
        return kind(
            town.network,
            town.committee,
            index,
            town.keys[index],
            town.ledger(build) if ledger is None else ledger,
            pace,
            self.checking,
        )

    # -- time -------------------------------------------------------------------------------------

    def later(self, at: int, do: Callable[..., None], *what: Any) -> None:
        """Do something at a moment."""
        self._planned += 1
        heapq.heappush(self._events, (max(at, self.now), self._planned, do, what))

    def run_until(self, end: int) -> None:
        """Let happen what happens until then."""
        while self._events and self._events[0][0] <= end:
            self.now, _, do, what = heapq.heappop(self._events)
            do(*what)
        self.now = end

    def history(self) -> str:
        """The digest of everything that has happened."""
        return self._history.hexdigest()

    def remember(self, what: str, *details: object) -> None:
        """Add to the history."""
        line = f"{self.now} {what} {details}\n"
        self._history.update(line.encode())

    # -- links ------------------------------------------------------------------------------------

    def send(self, sender: Machine, outgoing: Outgoing) -> None:
        """Carry what a machine sends to whom it is meant for."""
        index = sender.index
        peers = range(self.story.super_agents) if outgoing.peer == EVERYONE else [outgoing.peer]
        for peer in peers:
            if peer == index:
                continue
            match outgoing:
                case SendBlock(_, data):
                    self.travel(index, peer, BlockArrived(index, data))
                case SendHeads(_, heads):
                    self.travel(index, peer, HeadsArrived(index, heads))
                case AskHeads():
                    self.travel(index, peer, HeadsAsked(index))
                case Fetch(_, ranges):
                    self.travel(index, peer, FetchAsked(index, ranges))
                case FetchNamed(_, names):
                    self.travel(index, peer, NamedAsked(index, names))
                case Serve() | ServeNamed():
                    self._serve(sender, outgoing)

    def _serve(self, server: Machine, asked: Serve | ServeNamed) -> None:
        disk = server.disk
        found: set[int] = set()
        if isinstance(asked, Serve):
            for r in asked.ranges:
                found.update(disk.in_range(r.author, r.incarnation, r.first, r.last))
        else:
            named = (disk.with_digest(name.digest) for name in asked.names)
            found.update(position for position in named if position is not None)
        for position in sorted(found):
            self.travel(server.index, asked.peer, BlockArrived(server.index, disk[position]))
        if isinstance(asked, Serve):
            self.travel(server.index, asked.peer, FetchEnded(server.index))

    def travel(self, sender: int, to: int, message: Message | Asked) -> None:
        """Send one message over one link: it may be late, lost, doubled or overtaken."""
        if (sender, to) in self._cut:
            return
        times = 1
        if not self.calm:
            if self.dice.random() < self.story.loss:
                self.marks.hit("a block was lost on the way")
                return
            if self.dice.random() < self.story.doubled:
                self.marks.hit("a block arrived twice")
                times = 2
        for _ in range(times):
            delay = int(self.dice.uniform(*self.story.delay_ms) * MS)
            life = self.machines[to].life
            self.later(self.now + delay, self._arrive, to, life, message)

    def answer(self, sender: int, to: int, answers: list[Message]) -> None:
        """Send the parts of one answer, which stay in their order, as on a real link; some may be lost."""
        if (sender, to) in self._cut:
            return
        at = self.now + int(self.dice.uniform(*self.story.delay_ms) * MS)
        for part in answers:
            if self.calm or self.dice.random() >= self.story.loss:
                self.later(at, self._arrive, to, self.machines[to].life, part)

    def _arrive(self, to: int, life: int, message: Message | Asked) -> None:
        machine = self.machines[to]
        if machine.up and machine.life == life:
            kind = type(message).__name__
            detail = message.data[-64:] if isinstance(message, BlockArrived) else kind
            self.remember("arrives", to, detail)
            if isinstance(message, Asked):
                machine.asked(message)
            else:
                machine.receive(message)

    def link_up(self, index: int) -> None:
        """A super-agent can be reached again."""
        for peer in range(self.story.super_agents):
            if peer == index or not self.machines[peer].up or not self.machines[index].up:
                continue
            for one, other in ((index, peer), (peer, index)):
                if not self._is_cut(one, other):
                    self.later(self.now, self._arrive, one, self.machines[one].life, PeerUp(other))

    def link_down(self, index: int) -> None:
        """A super-agent is gone, and the others notice that the link broke."""
        for peer, machine in enumerate(self.machines):
            if peer != index and machine.up:
                self.later(self.now, self._arrive, peer, machine.life, PeerDown(index))

    def _is_cut(self, one: int, other: int) -> bool:
        return (one, other) in self._cut or (other, one) in self._cut

    def cut(self, ones: list[int], others: list[int], *, both_ways: bool) -> None:
        """Cut links: what is sent over them is lost, and nobody is told."""
        self.marks.hit("a link was cut")
        for one in ones:
            for other in others:
                if one != other:
                    self._cut.add((one, other))
                    if both_ways:
                        self._cut.add((other, one))

    def heal(self) -> None:
        """Every link works again, and both ends notice."""
        mended, self._cut = sorted(self._cut), set()
        for one, other in mended:
            if self.machines[one].up and self.machines[other].up:
                self.later(self.now, self._arrive, other, self.machines[other].life, PeerUp(one))
                self.later(self.now, self._arrive, one, self.machines[one].life, PeerUp(other))

    # -- what befalls it --------------------------------------------------------------------------

    def plan(self) -> None:
        """Plan what the story says, and what chance adds to it."""
        for act in self.story.acts:
            self.later(START_NS + int(act.at * SECOND), self.act, act)
        end = START_NS + int(self.story.seconds * SECOND)
        for rate, befall in (
            (self.story.crashes, self._crash_somebody),
            (self.story.partitions, self._part_somebody),
        ):
            at = START_NS
            while rate > 0:
                at += int(self.dice.expovariate(rate) * SECOND)
                if at >= end:
                    break
                self.later(at, befall)

    def act(self, act: Act) -> None:
        """Let one thing of the story happen."""
        self.remember("act", act.do, act.who)
        self.timeline.mark(self.now, act.who, act.do)
        everybody = range(self.story.super_agents)
        outside = [index for index in everybody if index not in act.who]
        match act.do:
            case "cut":
                self.cut(list(act.who), list(act.to or outside), both_ways=False)
            case "part":
                self.cut(list(act.who), outside, both_ways=True)
            case "heal":
                self.heal()
            case "night":
                self._let_pass(int(act.hours * 3_600 * SECOND))
            case _:
                for index in act.who:
                    self._befall(self.machines[index], act)

    def _let_pass(self, hours_ns: int) -> None:
        """Time in which nothing happens: everybody's clock goes on."""
        self.offset_ns += hours_ns
        for machine in self.machines:
            machine.skew_ns += hours_ns

    def _befall(self, machine: Machine, act: Act) -> None:
        match act.do:
            case "crash":
                self.kill(machine)
            case "restart":
                machine.restart()
            case "flip":
                machine.flip(self.dice.choice(self.town.people))
            case "upgrade":
                self.kill(machine)
                machine.build += 1
                self.marks.hit("a super-agent was upgraded")
                self.later(self.now + int(act.seconds * SECOND), self._come_back, machine.index)
            case "skew":
                machine.skew_ns += int(act.hours * 3_600 * SECOND)
                self.marks.hit("a clock was set apart")
            case "pause":
                self.cut(
                    [machine.index],
                    [m.index for m in self.machines if m is not machine],
                    both_ways=True,
                )
                self.later(self.now + int(act.seconds * SECOND), self.heal)
            case _:
                self._befall_disk(machine, act)

    def _befall_disk(self, machine: Machine, act: Act) -> None:
        match act.do:
            case "wipe":
                self.kill(machine)
                machine.wipe()
                self.marks.hit("a disk was wiped")
                machine.restart(re_enter=True)
                self.marks.hit("a super-agent came back under a new incarnation")
            case "forget":
                self.kill(machine)
                machine.forget(act.blocks)
                self.marks.hit("a disk forgot what it had promised")
                machine.restart()
            case "tear":
                self.kill(machine)
                last = len(machine.disk) - 1
                while act.own and last and author_of(machine.disk[last]) != machine.index:
                    last -= 1
                machine.damage(last, lambda data: data[: len(data) >> 1])
                machine.restart()
            case "rot":
                for _ in range(act.blocks):
                    machine.damage(self.dice.randrange(len(machine.disk)), _with_flipped_bit)
            case "fill" | "room":
                machine.full = act.do == "fill"
                self.marks.hit("a disk was full")

    def kill(self, machine: Machine) -> None:
        """`kill -9`, if it runs."""
        if machine.up:
            if machine._waiting.persist or machine._busy:  # noqa: SLF001 - the world sees inside
                self.marks.hit("a crash lost what was not durable")
            machine.crash()
            self.killed += 1
            self.timeline.mark(self.now, (machine.index,), "crash")

    def _crash_somebody(self) -> None:
        up = [machine for machine in self.honest if machine.up]
        if not up:
            return
        machine = self.dice.choice(up)
        self.kill(machine)
        # What is more than f liars and lost disks together, is not promised.
        if (
            self.dice.random() < self.story.forgetful
            and self.may_lose_a_disk
            and len(machine.disk) > 1
        ):
            machine.forget(self.dice.randint(1, min(20, len(machine.disk))))
            self.marks.hit("a disk forgot what it had promised")
        self.later(
            self.now + int(self.dice.uniform(*MOMENT_S) * SECOND), self._come_back, machine.index
        )

    @property
    def may_lose_a_disk(self) -> bool:
        """Whether one more lost disk is within what the network bears: it counts among the f."""
        f = self.town.committee.f
        lost = sum(
            machine.replica.halted is not None
            or machine.replica.chains.current[machine.index] >= self.story.super_agents
            for machine in self.honest
        )
        return self.story.traitors + lost < f

    def _come_back(self, index: int) -> None:
        machine = self.machines[index]
        machine.restart()
        self.timeline.mark(self.now, (index,), "restart")

    def _part_somebody(self) -> None:
        members = self.story.super_agents
        apart = self.dice.sample(range(members), self.dice.randint(1, max(1, members // 2)))
        rest = [index for index in range(members) if index not in apart]
        self.cut(apart, rest, both_ways=self.dice.random() < 0.5)
        self.timeline.mark(self.now, tuple(apart), "part")
        self.later(self.now + int(self.dice.uniform(*MOMENT_S) * SECOND), self.heal)

    def calm_down(self) -> None:
        """Chance has done its worst: links heal, disks have room, everybody honest comes back."""
        self.calm = True
        self.heal()
        for machine in self.machines:
            machine.full = False
            machine.restart()


def _with_flipped_bit(data: bytes) -> bytes:
    middle = len(data) >> 1
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]
