"""People and operators who use the rules of the house: holds that end, accounts that are frozen.

Somebody holds money for somebody else; then the payer, the payee or both at once end it, each at a door of
her own, and only one end may ever be final. Operators freeze an account and let it go again: each honest
super-agent's two operators approve after a while, at their own door. Some freezes find one approval too few;
those must never do anything, whatever traitors add.
"""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.kinds import OrderKind, Space
from harambee.ledger.side_tables import SlotKey, subject_of_account
from harambee.sim.auditor import slot_of
from harambee.sim.machine import MS, Machine

if TYPE_CHECKING:
    from harambee.sim.customers import Crowd
    from harambee.sim.world import World

Orders = npt.NDArray[np.void]

LOOK_NS: Final = 250 * MS
AGAIN_LOOKS: Final = 4
"""After so many looks an end goes to the next door."""
HELD_NS_MAX: Final = 1_500 * MS
APPROVE_NS_MAX: Final = 1_500 * MS
FROZEN_NS: Final = 2_000 * MS
TICKETS: Final = 1 << 21
"""Tickets below minus this are of the house."""


@dataclass
class Ending:
    """A hold that somebody is to end."""

    number: int
    key: SlotKey
    hold: Orders
    orders: list[Orders]
    """What was signed for the hold's next slot."""
    sequence: int
    rivals: bool
    day: int = 0
    """On which they were signed."""
    looks: int = 0


@dataclass
class Proposal:
    """A freeze, or its end, that operators are asked to approve."""

    number: int
    order: Orders
    account: int
    sequence: int
    approve: list[Machine]
    """The super-agents whose operators will."""
    enough: bool
    """Whether those are q."""


class House:
    """Whatever is no payment."""

    def __init__(self, world: "World", crowd: "Crowd") -> None:
        """Nothing is held, nothing frozen."""
        self.world, self._crowd = world, crowd
        self._endings: dict[int, Ending] = {}
        self._proposals: dict[int, Proposal] = {}
        self._touched: set[int] = set()
        """Accounts that were proposed to be frozen: each once."""
        self._number = 0

    @property
    def open(self) -> int:
        """How many holds and freezes are still to be ended."""
        waiting = sum(proposal.enough for proposal in self._proposals.values())
        return len(self._endings) + waiting

    # -- holds ------------------------------------------------------------------------------------

    def want_to_hold(self) -> None:
        """Somebody holds money for somebody else."""
        world = self.world
        payer = self._crowd.somebody_free()
        if payer is None:
            world.later(world.now + LOOK_NS, self.want_to_hold)
            return
        payee = world.dice.choice([number for number in world.town.people[:64] if number != payer])
        amount = world.dice.randrange(10_000, world.story.most_cents)
        authorises = world.dice.random() < 0.5
        self._crowd.hold(payer, payee, amount, authorises=authorises)

    def held(self, hold: Orders) -> None:
        """A hold is final, as its payer knows: she, the payee or both will end it."""
        self._number += 1
        key = int(hold["payer"][0]), int(hold["sequence"][0])
        rivals = self.world.dice.random() < 0.5
        ending = Ending(self._number, key, hold, [], 0, rivals)
        self._endings[ending.number] = ending
        wait = int(self.world.dice.random() * HELD_NS_MAX)
        self.world.later(self.world.now + wait, self._end, ending)

    def _end(self, ending: Ending) -> None:
        """Sign ends of a hold for its next slot, and bring them to doors."""
        world, hold = self.world, ending.hold
        payer, payee = ending.key[0], int(hold["payee"][0])
        has_first_word = payee if hold["options"][0][2] else payer
        cents = int(hold["amount"][0])
        part = cents if world.dice.random() < 0.5 else world.dice.randrange(cents // 2, cents)
        # The one with the first word may do both; the other may only give in.
        ways = [
            (payer, OrderKind.RELEASE, part),
            (payee, OrderKind.VOID, 0),
            (has_first_word, OrderKind.RELEASE, cents),
            (has_first_word, OrderKind.VOID, 0),
        ]
        chosen = world.dice.sample(ways, 2 if ending.rivals else 1)
        ending.day = world.today
        ending.orders += [
            world.town.ending(kind, hold, signer, captured, ending.sequence, world.today)
            for signer, kind, captured in chosen
        ]
        if ending.rivals:
            world.marks.hit("two ends of a hold were signed at once")
        if len(ending.orders) > 1:
            world.auditor.contested.add(slot_of(ending.orders[0].tobytes()))
        self._bring(ending)
        world.later(world.now + LOOK_NS, self._look, ending)

    def _bring(self, ending: Ending) -> None:
        world = self.world
        for order in ending.orders:
            door = world.dice.randrange(world.story.super_agents)
            self._crowd.bring(-TICKETS - ending.number, order, door)

    def _look(self, ending: Ending) -> None:
        """Believe w; where a slot was closed without an order, sign for the next one."""
        world, committee = self.world, self.world.town.committee
        liars = sum(machine.up for machine in world.traitors)
        words: Counter[bytes | int] = Counter()
        for machine in world.honest:
            said = machine.ended(ending.key)
            if said is not None:
                words[said] += 1
        ending.looks += 1
        for said, count in sorted(words.items(), key=lambda word: str(word[0])):
            if count + min(liars, committee.f) < committee.w:
                continue
            if isinstance(said, bytes):
                self._close(ending, said)
                return
            if said > ending.sequence:
                ending.sequence, ending.rivals, ending.orders = said, False, []
                self._end(ending)
                return
        if world.today > ending.day + 1:
            ending.rivals = False
            self._end(ending)  # what was signed has died of age
            return
        if ending.looks % AGAIN_LOOKS == 0:
            self._bring(ending)
        world.later(world.now + LOOK_NS, self._look, ending)

    def _close(self, ending: Ending, said: bytes) -> None:
        del self._endings[ending.number]
        released = said[24] == OrderKind.RELEASE
        self.world.marks.hit("a hold was released" if released else "a hold was voided")
        for order in ending.orders:
            if order.tobytes()[: len(said)] == said:
                self.world.auditor.believed(order.tobytes())

    # -- freezes ----------------------------------------------------------------------------------

    def want_to_freeze(self) -> None:
        """Operators are asked to freeze somebody; now and then there will be one approval too few."""
        world, committee = self.world, self.world.town.committee
        free = [number for number in world.town.people if number not in self._touched]
        if not free:
            return
        account = world.dice.choice(free)
        self._touched.add(account)
        enough = world.dice.random() < 0.7
        approve = list(world.honest)
        if not enough:
            few = max(0, committee.q - 1 - len(world.traitors))
            approve = world.dice.sample(world.honest, min(few, len(world.honest)))
        self._propose(OrderKind.FREEZE, account, 0, approve, enough=enough)

    def _propose(
        self, kind: OrderKind, account: int, sequence: int, approve: list[Machine], *, enough: bool
    ) -> None:
        world = self.world
        self._number += 1
        order = world.town.governance(kind, account, sequence, world.today)
        if not enough:
            world.auditor.forbidden.add(order.tobytes()[:64])
            world.marks.hit("a freeze found one approval too few")
        proposal = Proposal(self._number, order, account, sequence, approve, enough)
        self._proposals[proposal.number] = proposal
        for machine in approve:
            wait = int(world.dice.random() * APPROVE_NS_MAX)
            world.later(world.now + wait, self._approve, proposal, machine)
        world.later(world.now + LOOK_NS, self._look_at, proposal)

    def _approve(self, proposal: Proposal, machine: Machine) -> None:
        machine.approve(-TICKETS - proposal.number, proposal.order)

    def _look_at(self, proposal: Proposal) -> None:
        """Whether w say that it is final; those who were down offer what their operators approved again."""
        world, committee = self.world, self.world.town.committee
        subject = subject_of_account(proposal.account)
        told = sum(
            machine.next_in(Space.GOVERNANCE, subject) > proposal.sequence
            for machine in world.honest
        )
        if told >= committee.w:
            del self._proposals[proposal.number]
            self._went_through(proposal)
            return
        if proposal.enough or not world.calm:
            for machine in proposal.approve:
                machine.offer_approved(-TICKETS - proposal.number, proposal.order)
            world.later(world.now + LOOK_NS * AGAIN_LOOKS, self._look_at, proposal)

    def _went_through(self, proposal: Proposal) -> None:
        world = self.world
        if proposal.order["kind"][0] == OrderKind.FREEZE:
            world.marks.hit("an account was frozen")
            again = OrderKind.UNFREEZE, proposal.account, proposal.sequence + 1, list(world.honest)
            world.later(world.now + FROZEN_NS, lambda: self._propose(*again, enough=True))
        else:
            world.marks.hit("an account was unfrozen")
