"""The people of a simulated network, with handsets as `harambee.handset` has them and keys of both types.

An honest one signs an order, brings the same bytes to one door after another, believes what w super-agents
say, and cancels what q of them refuse; a patient one offers it again the next day. A spender spends what she
receives as soon as one super-agent says that it is hers. A crook signs two or three orders for one slot and
brings them to different doors at once. Strays are orders that break a rule whatever happens. Two people who
claim one phone number go to two super-agents. Traitors always say what a customer would like to hear.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from harambee.crypto.hashing import digest
from harambee.crypto.p256 import P256KeyPair
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import BODY_BYTES
from harambee.sim.house import House
from harambee.sim.machine import MS, Machine
from harambee.sim.strays import sign_oddly, stray
from harambee.sim.town import BANK, DESKS_MAX, NEWER_KIND

if TYPE_CHECKING:
    from harambee.sim.world import World

Orders = npt.NDArray[np.void]

LOOK_NS: Final = 250 * MS
OFFER_AGAIN_NS: Final = 1_000 * MS
PATIENCE_PACES: Final = 8
"""A handset waits for as long as a payment may well take, where super-agents speak rarely."""
DOORS_DOUBLINGS_MAX: Final = 3
"""Each time that it has waited in vain it goes to twice as many further doors, up to eight."""
CANCEL_DOORS: Final = 16
"""To how many doors at once a cancel goes: each puts it into a block, and one honest one is enough."""
CLAIM_LOOKS: Final = 4
"""After so many looks a claim goes to the next door."""
CLAIM_TICKETS: Final = 1 << 20
SMALLEST_CENTS: Final = 10_000
SIGN_ODDLY: Final = 0.25
"""How often payers sign in a way on which verifiers differ, in stories with strays."""
TILL_PAYS: Final = 0.1
"""How often it is the till that pays, where everybody pays one till."""
CROWD: Final = 1_000
"""From so many people on, nobody makes a list of those who are free."""
PAID_MAX: Final = 20
"""A business pays fewer people than these at once."""
KIND_AT: Final = 24
"""Where the kind stands in an order's body."""
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
    day: int
    offers: int = 0
    cancelled: bool = False
    odd: bool = False
    """Whether the signature is valid and yet one that not every verifier accepts."""
    refused_on: int = 0
    """The day on which a patient payer was refused; she comes back on another one."""
    refused_by: set[int] = field(default_factory=set)


@dataclass
class Claim:
    """A phone number that two people want, each at a desk of her own."""

    number: int
    alias: bytes
    owners: tuple[int, int]
    orders: tuple[Orders, Orders]
    door: int


class Crowd:
    """Everybody who pays."""

    def __init__(self, world: "World") -> None:
        """Who is a crook is decided by the seed."""
        self.world = world
        people = world.town.people
        crooks = round(world.story.crooks * len(people))
        self._crooks = set(world.dice.sample(people, crooks))
        patient = round(world.story.patient * len(people))
        self._patient = set(world.dice.sample(people, patient)) if patient else set()
        spenders = round(world.story.spenders * len(people))
        self._spenders = set(world.dice.sample(people, spenders)) if spenders else set()
        if spenders:
            world.on_settled = self._receive
        self._received: set[tuple[int, int]] = set()
        """The slots whose orders have been received somewhere."""
        self._claims: dict[int, Claim] = {}
        self._sequence = dict.fromkeys((*people, *world.town.employers), 0)
        self._busy: set[int] = set()
        self._open: dict[int, Payment] = {}
        self._strays = 0
        self.claimed = 0
        self.offered = 0
        self.final = 0
        self.rejected = 0
        self.latencies_ms: list[float] = []
        self.house = House(world, self)
        self._patience_ns = max(OFFER_AGAIN_NS, PATIENCE_PACES * world.story.pace_ms * MS)

    def plan(self) -> None:
        """Plan when people want to pay."""
        story = self.world.story
        start = self.world.now
        for count, want in (
            (story.orders, self._want_to_pay),
            (story.strays, self._throw_stray),
            (story.claims, self._want_a_number),
            (story.pay_outs, self._want_to_pay_out),
            (story.holds, self.house.want_to_hold),
            (story.freezes, self.house.want_to_freeze),
        ):
            for _ in range(count):
                at = start + int(self.world.dice.random() * story.seconds * 1_000) * MS
                self.world.later(at, want)

    @property
    def open(self) -> int:
        """How many payments and claims are not decided, and holds and freezes not ended."""
        return len(self._open) + len(self._claims) + self.house.open

    @property
    def stuck(self) -> int:
        """How many payments of honest people are not decided."""
        return sum(not payment.crooked for payment in self._open.values())

    def _want_to_pay(self) -> None:
        world, story = self.world, self.world.story
        payer = self.somebody_free()
        if payer is None:
            world.later(world.now + LOOK_NS, self._want_to_pay)
            return
        till = world.town.people[0]
        others = [number for number in world.town.people[:64] if number != payer]
        payee = world.dice.choice(others)
        crooked = payer in self._crooks
        kind = int(OrderKind.SEND)
        if story.to_one_till:
            # A till may hold any amount, and pays into the bank.
            kind = OrderKind.BANK_DEPOSIT if payer == till else OrderKind.BUY_GOODS
            payee = BANK if payer == till else till
        if story.news and world.dice.random() < story.news:
            kind = NEWER_KIND
        orders = []
        for _ in range(world.dice.choice((2, 2, 3)) if crooked else 1):
            amount = world.dice.randrange(10_000, story.most_cents)
            orders.append(self._sign(payer, payee, amount, kind))
            payee = world.dice.choice(others)
        payment = self._begin(payer, orders, world.dice.randrange(story.super_agents))
        if story.strays and world.dice.random() < SIGN_ODDLY:
            payment.odd = sign_oddly(world.town, orders[0], payment.number)
        if crooked:
            world.marks.hit("a payer signed two orders for one slot")
            for door in range(story.super_agents):
                self.bring(payment.number, world.dice.choice(orders), door)
        else:
            for more in range(story.doors_at_once):
                door = (payment.door + more) % story.super_agents
                self.bring(payment.number, orders[0], door)

    def hold(self, payer: int, payee: int, amount: int, *, authorises: bool) -> None:
        """Somebody holds money instead of sending it."""
        world, sequence = self.world, self._sequence[payer]
        hold = world.town.hold(payer, payee, amount, sequence, world.today, authorises=authorises)
        payment = self._begin(payer, [hold], world.dice.randrange(world.story.super_agents))
        payment.crooked = False
        self.bring(payment.number, hold, payment.door)

    def _want_to_pay_out(self) -> None:
        """A business pays some people at once; a crooked one signs two tables for one slot."""
        world, story = self.world, self.world.story
        free = [number for number in world.town.employers if number not in self._busy]
        if not free:
            world.later(world.now + LOOK_NS, self._want_to_pay_out)
            return
        payer = world.dice.choice(free)
        crooked = world.dice.random() < story.crooks
        orders = []
        for _ in range(2 if crooked else 1):
            paid = world.dice.sample(world.town.people[:64], world.dice.randrange(1, PAID_MAX))
            rows = [(number, world.dice.randrange(10_000, story.most_cents)) for number in paid]
            sequence = self._sequence[payer]
            orders.append(world.town.pay_out(payer, rows, sequence, world.today))
        payment = self._begin(payer, orders, world.dice.randrange(story.super_agents))
        payment.crooked = crooked
        for door in range(story.super_agents) if crooked else (payment.door,):
            self.bring(payment.number, world.dice.choice(orders), door)

    def somebody_free(self) -> int | None:
        """Somebody who has no payment under way; None if everybody has."""
        people, dice = self.world.town.people, self.world.dice
        if (
            self.world.story.to_one_till
            and people[0] not in self._busy
            and dice.random() < TILL_PAYS
        ):
            return people[0]
        if len(people) > CROWD:
            if len(self._busy) == len(people):
                return None
            while (payer := dice.choice(people)) in self._busy:
                pass
            return payer
        free = [number for number in people if number not in self._busy]
        return dice.choice(free) if free else None

    def _sign(self, payer: int, payee: int, amount: int, kind: int) -> Orders:
        sequence = self._sequence[payer]
        return self.world.town.send(payer, payee, amount, sequence, self.world.today, kind)

    def _begin(self, payer: int, orders: list[Orders], door: int) -> Payment:
        """A payment is under way; somebody will look after it."""
        world = self.world
        self._busy.add(payer)
        self.offered += 1
        payment = Payment(
            number=self.offered,
            payer=payer,
            sequence=self._sequence[payer],
            orders=orders,
            began=world.now,
            crooked=payer in self._crooks,
            door=door,
            offered_at=world.now,
            day=world.today,
        )
        self._open[payment.number] = payment
        if len(orders) > 1:
            world.auditor.contested.add((payment.payer, payment.sequence))
        world.later(world.now + LOOK_NS, self._look, payment)
        return payment

    def _receive(self, machine: Machine, order: np.void) -> None:
        """An order is final somewhere: whom it pays, may spend it there at once."""
        world, payee = self.world, int(order["payee"])
        slot = int(order["payer"]), int(order["sequence"])
        if slot in self._received or order["kind"] == OrderKind.CANCEL:
            return
        self._received.add(slot)
        if payee not in self._spenders or payee in self._busy or world.calm:
            return
        balance = int(machine.replica.ledger.accounts[payee]["balance"])
        amount = min(balance - world.town.fee_cents(balance), world.story.most_cents)
        if amount < SMALLEST_CENTS:
            return
        seen = sum(m.replica.ledger.next_sequence(slot[0]) > slot[1] for m in world.honest)
        if seen * 2 <= len(world.honest):
            world.marks.hit("a credit was spent that half had not seen")
        others = [number for number in world.town.people[:64] if number != payee]
        spent = self._sign(payee, world.dice.choice(others), amount, OrderKind.SEND)
        self.bring(self._begin(payee, [spent], machine.index).number, spent, machine.index)

    def _throw_stray(self) -> None:
        """Somebody brings an order to every door that none may ever carry out."""
        world = self.world
        payer, payee = world.dice.sample(world.town.people, 2)
        good = self._sign(payer, payee, world.dice.randrange(20_000, 90_000), OrderKind.SEND)
        self._strays += 1
        good["reference"] = np.frombuffer(digest(b"stray", bytes([self._strays % 256])), np.uint8)
        order = stray(world.town, self._strays, world.town.sign(good))
        world.auditor.forbid(order.tobytes())
        for door in range(world.story.super_agents):
            self.bring(-self._strays, order, door)
        world.later(world.now + OFFER_AGAIN_NS, self._see_stray_refused, -self._strays, payer)

    def _see_stray_refused(self, ticket: int, payer: int) -> None:
        for machine in self.world.honest:
            if machine.refused.pop((ticket, 0), None) is not None:
                self.world.marks.hit("a stray order was refused")
                if self._signs_in_hardware(payer):
                    self.world.marks.hit("a stray order by a P-256 key was refused")

    def _signs_in_hardware(self, person: int) -> bool:
        return isinstance(self.world.town.secret_of(person), P256KeyPair)

    def _want_a_number(self) -> None:
        """Two people ask at two desks for one number, in the same moment; or at one desk that errs."""
        world = self.world
        number = len(self._claims) + self.claimed + 1
        alias = digest(b"number", number.to_bytes(4, "little"))
        desks = min(DESKS_MAX, world.story.super_agents)
        at = world.dice.randrange(desks), world.dice.randrange(desks)
        one, other = world.dice.sample(world.town.people, 2)
        orders = (
            world.town.claim(at[0], one, alias, 0, world.today),
            world.town.claim(at[1], other, alias, 0, world.today),
        )
        claim = self._claims[number] = Claim(number, alias, (one, other), orders, 0)
        world.auditor.contested.add((alias, 0))
        world.marks.hit("a number was claimed twice")
        for order, door in zip(orders, at, strict=True):
            self.bring(-CLAIM_TICKETS - number, order, door)
        world.later(world.now + LOOK_NS, self._look_for_number, claim)

    def _look_for_number(self, claim: Claim) -> None:
        """Whose number it is, by the word of w; a claim that hears nothing goes to the next door."""
        world, committee = self.world, self.world.town.committee
        liars = sum(machine.up for machine in world.machines if not machine.honest)
        words: dict[tuple[int, int], int] = {}
        for machine in world.honest:
            said = machine.names(claim.alias)
            if said is not None:
                words[said] = words.get(said, 0) + 1
        if any(count + min(liars, committee.f) >= committee.w for count in words.values()):
            del self._claims[claim.number]
            self.claimed += 1
            return
        claim.door += 1
        if claim.door % CLAIM_LOOKS == 0:
            for order in claim.orders:
                door = (claim.door // CLAIM_LOOKS) % world.story.super_agents
                self.bring(-CLAIM_TICKETS - claim.number, order, door)
        world.later(world.now + LOOK_NS, self._look_for_number, claim)

    def bring(self, ticket: int, order: Orders, door: int) -> None:
        """Bring an order to a door; what it answers is looked at later."""
        world = self.world
        machine = world.machines[door]
        low, high = world.story.delay_ms
        delay = int(world.dice.uniform(low, high) * MS)
        world.later(world.now + delay, machine.offer, ticket, order)

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
                if outcome == Outcome.DAY_WRONG:
                    world.marks.hit("an order died of age")
                elif outcome == Outcome.KIND_UNKNOWN:
                    world.marks.hit("a newer order was refused")
        if len(payment.refused_by) + liars >= committee.q and not payment.cancelled:
            self._take_refusal(payment)
        if world.now - payment.offered_at >= self._patience_ns and not self._sleeps(payment):
            self._offer_again(payment)
        world.later(world.now + LOOK_NS, self._look, payment)

    def _take_refusal(self, payment: Payment) -> None:
        """Cancel it; but the patient sleep over it once, for an order that is refused is not dead."""
        today = self.world.today
        if payment.payer in self._patient and not self.world.calm and not payment.refused_on:
            payment.refused_on = today
            payment.refused_by.clear()
        elif not self._sleeps(payment):
            self._cancel(payment)

    def _sleeps(self, payment: Payment) -> bool:
        return payment.refused_on == self.world.today and not self.world.calm

    def _offer_again(self, payment: Payment) -> None:
        world = self.world
        payment.offered_at = world.now
        more = min(1 << min(payment.offers, DOORS_DOUBLINGS_MAX), world.story.super_agents)
        payment.offers += 1
        world.marks.hit("an order was brought to another door")
        order = payment.orders[-1]
        doors = self._next_doors(payment, more)
        payment.door = doors[-1]
        if payment.cancelled:
            doors = self._doors_for_cancel(payment)
        elif payment.refused_by or payment.refused_on:
            doors = list(range(world.story.super_agents))
        for door in doors:
            self.bring(payment.number, order, door)

    def _doors_for_cancel(self, payment: Payment) -> list[int]:
        """All doors; where they are many, the next ones."""
        doors = self.world.story.super_agents
        return (
            list(range(doors)) if doors <= CANCEL_DOORS else self._next_doors(payment, CANCEL_DOORS)
        )

    def _next_doors(self, payment: Payment, count: int) -> list[int]:
        return [(payment.door + k) % self.world.story.super_agents for k in range(1, count + 1)]

    def _cancel(self, payment: Payment) -> None:
        world = self.world
        payment.cancelled = True
        world.marks.hit("a refused order was cancelled")
        cancel = world.town.cancel(payment.payer, payment.sequence, world.today)
        payment.orders.append(cancel)
        world.auditor.contested.add((payment.payer, payment.sequence))
        for door in self._doors_for_cancel(payment):
            self.bring(payment.number, cancel, door)

    def _close(self, payment: Payment, said: bytes, wished: bytes) -> None:
        del self._open[payment.number]
        self._busy.discard(payment.payer)
        self._sequence[payment.payer] = payment.sequence + 1
        ours = [order for order in payment.orders if order.tobytes()[:BODY_BYTES] == said]
        for order in ours:
            self.world.auditor.believed(order.tobytes())
        if ours and (payment.crooked or said == wished):
            self.final += 1
            if payment.refused_on:
                self.world.marks.hit("a refused order was paid the next day")
            if said[KIND_AT] == OrderKind.HOLD:
                self.house.held(ours[0])
            if payment.odd:
                self.world.marks.hit("an oddly signed order was paid")
            if said[KIND_AT] == OrderKind.BULK_PAY_OUT:
                self.world.marks.hit("a pay-out was paid")
            if self._signs_in_hardware(payment.payer):
                self.world.marks.hit("a payment by a P-256 key was final")
            if wished[KIND_AT] == NEWER_KIND:
                self.world.marks.hit("a newer order was paid")
            self.latencies_ms.append((self.world.now - payment.began) / MS)
        else:
            self.rejected += 1
