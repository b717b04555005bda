"""Seeded dice that play the network, the payer and the liars against the honest replicas of one slot.

A trace is a seed: the same seed gives the same blocks, whatever PYTHONHASHSEED says, for nothing here
iterates over a set. The dice first choose a temper (how closed the links, how forking the liars, how hasty
the replicas), then a few hundred steps; a world of one temper reaches cases that a mean one never would.
"""

import random
from dataclasses import dataclass

from tests.model.players import Replica, heal, reenter
from tests.model.rules import CONTRACT, Rules
from tests.model.slot_model import SKIP, Author, Block, Proposal, Vote, World

ORDERS = ("unga", "chai", "sukari")
"""What one payer signs for one slot: an honest one the first, a thief up to all of them."""


@dataclass(frozen=True, slots=True)
class Temper:
    """What one trace's dice are loaded with; probabilities, but for the steps of a phase."""

    phase: int
    """steps until the links change"""
    openness: tuple[float, ...]
    """how a link may be, drawn for each pair at the start of a phase"""
    lying: float
    """that a step is a liar's"""
    impatience: float
    doubt: float
    """that an honest replica doubts an order"""
    ignoring: float
    """that a block leaves out a reference that it could have"""
    restarting: float
    forking: float
    starting_over: float
    """that a liar's fork starts at height 1"""
    fencing: float
    """that a liar's block fences"""
    loyalty: float
    """that a liar works for the order it prefers, and refuses every other"""

    @classmethod
    def draw(cls, dice: random.Random, n: int) -> "Temper":
        return cls(
            phase=n * dice.choice((2, 4, 8)),
            openness=dice.choice(((0.05, 0.3, 1.0), (0.0, 1.0), (0.5, 0.9), (0.0, 0.0, 1.0))),
            lying=dice.choice((0.1, 0.25, 0.4)),
            impatience=dice.choice((0.02, 0.1, 0.3)),
            doubt=dice.choice((0.0, 0.0, 0.2)),
            ignoring=dice.choice((0.0, 0.1)),
            restarting=dice.choice((0.0, 0.03, 0.1)),
            forking=dice.choice((0.0, 0.1, 0.5)),
            starting_over=dice.choice((0.0, 0.3)),
            fencing=dice.choice((0.1, 0.3, 0.6)),
            loyalty=dice.choice((0.5, 0.9)),
        )


class Trace:
    """One history of one slot: `run` it, then ask what was final, or let the network heal.

    f super-agents are faulty: liars, or sometimes one of them only loses its disk.
    """

    def __init__(self, n: int, seed: int, rules: Rules = CONTRACT):
        self.dice = random.Random(seed)
        self.temper = Temper.draw(self.dice, n)
        self.world = World(n, rules, first_leader=self.dice.randrange(n))
        self.orders = ORDERS[: self.dice.choice((1, 2, 2, 2, 3))]
        wipes = rules.wiped_votes_on or self.dice.random() < 0.2
        honest = n - self.world.f
        self.may_stall = wipes and self.dice.random() < 0.5
        """one more is faulty than the network must live through: it must only stay safe"""
        if wipes and not self.may_stall:
            honest += 1
        self.liars = range(honest, n)
        self.replicas = [Replica(self.world, i, self.dice.choice) for i in range(honest)]
        self.offers = [self.dice.choice(self.orders) for _ in self.replicas]
        self.steps = n * self.dice.choice((8, 16, 24))
        self.wipe_at = self.dice.randrange(self.steps) if wipes else -1
        self.links: list[list[float]] = []

    def run(self) -> "Trace":
        for replica in self.replicas:
            replica.doubted = [o for o in self.orders if self._happens(self.temper.doubt)]
        for step in range(self.steps):
            if step % self.temper.phase == 0:
                self._change_links()
            if step == self.wipe_at:
                self._wipe()
            if self.liars and self._happens(self.temper.lying):
                self._lie()
            else:
                self._speak(self.dice.choice(self.replicas))
        return self

    def heals(self) -> bool:
        """Whether the slot is decided everywhere once messages arrive."""
        working = [replica for replica in self.replicas if self.world.counts(replica.author)]
        return heal(self.world, working)

    def skipped_the_only_order(self) -> bool:
        """Whether q authors voted to skip what the payer signed but once and was to be waited for."""
        doubted = any(replica.doubted for replica in self.replicas)
        waits = self.world.is_early if doubted else self.world.is_patient
        return len(self.orders) == 1 and any(
            self.world.quorums({vote: who}, block.past)
            for block in self.world.blocks
            for vote, who in block.ballots.items()
            if vote.value == SKIP and waits(vote.view)
        )

    def _happens(self, probability: float) -> bool:
        return self.dice.random() < probability

    def _change_links(self) -> None:
        everyone = range(self.world.n)
        self.links = [[self.dice.choice(self.temper.openness) for _ in everyone] for _ in everyone]

    def _speak(self, replica: Replica) -> None:
        me = replica.author.member
        for author, signed in sorted(self.world.signed_by.items()):
            if author.member != me and self._happens(self.links[me][author.member]):
                replica.hear(self._some_block(signed))
        if self._happens(self.temper.restarting):
            replica.restart()
        replica.speak(
            self.offers[me] if self._happens(0.25) else None,
            impatient=self._happens(self.temper.impatience),
            ignoring=[i for i in range(self.world.n) if self._happens(self.temper.ignoring)],
        )

    def _some_block(self, signed: int) -> Block:
        """Mostly the newest of a set of blocks."""
        if self._happens(0.7):
            return self.world.blocks[signed.bit_length() - 1]
        return self.dice.choice(list(self.world.blocks_of(signed)))

    def _wipe(self) -> None:
        """One disk is lost; of the q that answer, the liars say nothing of what it had promised."""
        lost = self.dice.choice(self.replicas)
        others = [replica for replica in self.replicas if replica is not lost]
        answers = self.dice.sample(others, self.world.q - len(self.liars))
        self.replicas[lost.author.member] = reenter(lost, answers)

    def _lie(self) -> None:
        """A liar's block: well-formed, or nobody would take it, and otherwise whatever may do harm."""
        world, author = self.world, Author(self.dice.choice(self.liars))
        previous = self._branch(author)
        preferred = self.dice.choice(self.orders)
        references = self._liars_references(author, previous)
        past = previous.past if previous else 0
        for reference in references:
            past |= reference.past
        view = previous.view if previous else 0
        fence = self._liars_fence(view)
        proposal = self._liars_proposal(author, past, preferred)
        world.add(
            author,
            previous,
            references,
            orders=self._liars_orders(preferred) if not fence else (),
            refused=self._liars_refusals(past, preferred),
            fence=fence,
            justification=self.orders[:2],
            proposal=proposal,
            votes=self._liars_votes(max(view, fence)),
        )

    def _branch(self, author: Author) -> Block | None:
        """The block that the next one follows: the newest, or another, which makes a fork."""
        signed = self.world.signed_by.get(author, 0)
        if not signed or not self._happens(self.temper.forking):
            return self.world.newest(signed)
        if self._happens(self.temper.starting_over):
            return None
        return self.dice.choice(list(self.world.blocks_of(signed)))

    def _liars_references(self, author: Author, previous: Block | None) -> list[Block]:
        covered = previous.covered if previous else 0
        found = []
        for other, signed in sorted(self.world.signed_by.items()):
            if other == author or self._happens(0.2):
                continue
            block = self._some_block(signed)
            if not covered & signed & ~block.chain and not covered >> block.number & 1:
                found.append(block)
        return found

    def _liars_fence(self, view: int) -> int:
        """A view above its own, mostly one that others have reached; for it too, views only grow."""
        if not self._happens(self.temper.fencing):
            return 0
        return self.dice.randint(view + 1, max(view + 1, *self.world.fences, 0))

    def _liars_orders(self, preferred: str) -> tuple[str, ...]:
        if self._happens(0.4):
            return ()
        return (preferred,) if self._happens(self.temper.loyalty) else self.orders

    def _liars_refusals(self, past: int, preferred: str) -> frozenset[tuple[int, str]]:
        if not self._happens(self.temper.loyalty):
            return frozenset()
        return frozenset(
            (block.number, order)
            for block in self.world.blocks_of(past & self.world.showing_orders)
            for order in block.orders
            if order != preferred
        )

    def _liars_proposal(self, author: Author, past: int, preferred: str) -> Proposal | None:
        """For a view that it leads: the preferred order, if any proof allows it."""
        views = [v for v in sorted(self.world.fences) if self.world.leader(v) == author.member]
        if not views:
            return None
        view = self.dice.choice(views)
        fences = [block for block in self.world.fences[view] if past >> block.number & 1]
        free = self._proof(fences, preferred)
        demanded = self.world.demanded(free)
        if demanded and not self.world.rules.proposals_unchecked:
            value = preferred if preferred in demanded else self.dice.choice(demanded)
        else:
            value = preferred if view % 2 or self._happens(0.3) else SKIP
        return Proposal(view, value, free)

    def _proof(self, fences: list[Block], preferred: str) -> tuple[Block, ...]:
        """Q fences by distinct authors: those that report nothing first, or the preferred order first."""
        self.dice.shuffle(fences)
        helpful = (None, preferred) if self._happens(0.5) else (preferred,)
        fences.sort(key=lambda block: (block.statement and block.statement.value) not in helpful)
        chosen: dict[int, Block] = {}
        for block in fences:
            chosen.setdefault(block.author.member, block)
        return tuple(chosen.values())[: self.world.q]

    def _liars_votes(self, view: int) -> tuple[Vote, ...]:
        """For everything that was proposed in the view of its fence, or for one thing of it."""
        proposals = [block.proposal for block in self.world.proposals if block.proposal]
        values = sorted({proposal.value for proposal in proposals if proposal.view == view})
        if values and self._happens(0.5):
            values = [self.dice.choice(values)]
        return tuple(Vote(view, value) for value in values)
