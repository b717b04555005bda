"""Honest replicas of one slot: they follow PROTOCOL sections 2, 3 and 7, whatever the others do.

A replica decides nothing by chance. Whoever drives it, the dice of `adversary.py` or a story step by step,
says when it speaks and what it has heard; where the rules leave it a choice, the driver may make it.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from tests.model.slot_model import SKIP, Author, Block, Proposal, Vote, World

PATIENCE = 6
"""Turns that a replica waits in view 0; in view v it waits min(v, PATIENCE) turns more."""


def first(choices: Sequence[Any]) -> Any:
    return choices[0]


class Replica:
    """One honest super-agent: what it holds, its promises, and the block it says next."""

    def __init__(
        self,
        world: World,
        index: int,
        choose: Callable[[Sequence[Any]], Any] = first,
        incarnation: int = 0,
    ):
        self.world, self.choose = world, choose
        self.author = Author(index, incarnation)
        self.held = 0
        self.head: Block | None = None
        self.lock: str | None = None
        self.voted: dict[int, str] = {}
        self.orders: list[str] = []
        """the orders it has seen, in the order in which it saw them"""
        self.doubted: Collection[str] = ()
        """orders that fail a check of section 2 here: it lags, or a limit is reached"""
        self.fenced = (0,) * world.n
        self.receipts: dict[Vote, int] = {}
        self.waited = 0

    @property
    def view(self) -> int:
        """The view of its own newest fence."""
        return self.head.view if self.head else 0

    @property
    def decided(self) -> bool:
        """Whether the slot is final in what it holds."""
        return bool(self.world.quorums(self.receipts, self.held))

    @property
    def shows_why(self) -> bool:
        """Whether the slot is final in the past of its own newest block, which everyone can fetch."""
        return self.head is not None and bool(
            self.world.quorums(self.head.receipts, self.head.past)
        )

    def hear(self, *blocks: Block) -> None:
        """Take blocks in, each with its whole past."""
        for block in blocks:
            new = block.past & ~self.held
            if not new:
                continue
            self.held |= new
            self.fenced = tuple(map(max, self.fenced, block.fenced))
            for vote, who in block.receipts.items():
                self.receipts[vote] = self.receipts.get(vote, 0) | who
            for shown in self.world.blocks_of(new & self.world.showing_orders):
                self._see(*shown.orders, *shown.justification)
        self.world.finals |= {value for _, value in self.world.quorums(self.receipts, self.held)}

    def speak(
        self, offer: str | None = None, *, impatient: bool = False, ignoring: Collection[int] = ()
    ) -> Block:
        """Say the next block; an offered order is included if it may be, impatience fences if it may."""
        if offer:
            self._see(offer)
        references = self._references(ignoring)
        past = self.head.past if self.head else 0
        for reference in references:
            past |= reference.past
        fence = self._fence(impatient=impatient)
        view = max(self.view, fence)
        orders, refused = ((), frozenset()) if view else self._votes_of_view_0(offer, references)
        proposal = self._proposal(view, past)
        self.head = self.world.add(
            self.author,
            self.head,
            references,
            orders=orders,
            refused=refused,
            fence=fence,
            justification=tuple(self.orders[:2]) if fence else (),
            proposal=proposal,
            votes=self._explicit_vote(view, past, proposal),
        )
        self.hear(self.head)
        return self.head

    def restart(self) -> None:
        """Stop and start on the same disk: promises were durable before they left (section 3)."""
        if self.world.rules.restart_forgets:
            self.lock, self.voted = None, {}

    def _see(self, *orders: str) -> None:
        for order in orders:
            if order not in self.orders:
                self.orders.append(order)

    def _references(self, ignoring: Collection[int]) -> tuple[Block, ...]:
        """The newest block of every other author that is not convicted, if it is new to this chain."""
        convicted = self.world.forked(self.held)
        covered = self.head.covered if self.head else 0
        found = []
        for author, signed in sorted(self.world.signed_by.items()):
            if author.member in ignoring or author.member == self.author.member:
                continue
            newest = self.world.newest(signed & self.held & ~covered)
            if newest and not convicted >> author.member & 1:
                found.append(newest)
        return tuple(found)

    def _fence(self, *, impatient: bool) -> int:
        """The view to fence now, or 0: join at w fences, open view 1, or give a later view up."""
        joined = sorted(self.fenced)[-self.world.w]
        if joined > self.view:
            self.waited = 0
            return joined
        if self._is_done() or not self._timer_runs():
            return 0
        self.waited += 1
        if impatient or self.waited > PATIENCE + min(self.view, PATIENCE):
            self.waited = 0
            return self.view + 1
        return 0

    def _is_done(self) -> bool:
        """Whether nobody needs its help any more.

        To know the outcome is not enough: it may rest on the word of a liar that forked since, which no
        honest block will ever reference, so that an honest replica which missed it could not learn it.
        """
        return self.decided if self.world.rules.stops_once_decided else self.shows_why

    def _timer_runs(self) -> bool:
        """In view 0 for whoever knows an order; in view v ≥ 1 only once q authors have fenced ≥ v."""
        if self.view == 0:
            return bool(self.orders)
        return self.world.rules.free_timers or sorted(self.fenced)[-self.world.q] >= self.view

    def _votes_of_view_0(
        self, offer: str | None, references: Iterable[Block]
    ) -> tuple[tuple[str, ...], frozenset[tuple[int, str]]]:
        """The orders included and the orders refused by the next block."""
        included = (offer,) if offer and self._lock(offer) else ()
        covered = self.head.covered if self.head else 0
        new = 0
        for reference in references:
            new |= reference.chain & ~covered
        refused = frozenset(
            (block.number, order)
            for block in self.world.blocks_of(new & self.world.showing_orders)
            for order in block.orders
            if not self._lock(order)
        )
        return included, refused

    def _lock(self, order: str) -> bool:
        """Whether it votes for the order in view 0; the first one takes the lock."""
        if self.lock is None and order not in self.doubted:
            self.lock = order
        return self.lock == order

    def _proposal(self, view: int, past: int) -> Proposal | None:
        """What it proposes as leader of its view, once, when the block's past holds q fences of it."""
        if not view or self.world.leader(view) != self.author.member or view in self.voted:
            return None
        fences: dict[int, Block] = {}
        for block in self.world.fences.get(view, ()):
            if past >> block.number & 1:
                fences.setdefault(block.author.member, block)
        if len(fences) < self.world.q:
            return None
        proof = tuple(fences.values())[: self.world.q]
        choices = self.world.demanded(proof) or self._free_values(view)
        return Proposal(view, self.choose(choices), proof)

    def _free_values(self, view: int) -> list[str]:
        """The only order, as long as it is waited for; in odd views any that passes; otherwise the skip."""
        if self._waits_for_the_only_order(view):
            return self.orders
        good = [order for order in self.orders if order not in self.doubted]
        may_be_order = view % 2 or self.world.rules.orders_in_every_view
        return good if good and may_be_order else [SKIP]

    def _waits_for_the_only_order(self, view: int) -> bool:
        """Whether its payer has signed one order, as far as is known, that may not be skipped yet."""
        if self.world.rules.skips_the_only_order or len(self.orders) != 1:
            return False
        passes = self.orders[0] not in self.doubted
        return self.world.is_early(view) or (passes and self.world.is_patient(view))

    def _explicit_vote(self, view: int, past: int, own: Proposal | None) -> tuple[Vote, ...]:
        """One vote in the view of its own fence, for the first valid proposal that it may vote for."""
        if not view or view in self.voted:
            return ()
        seen = [
            block.proposal
            for block in self.world.proposals
            if block.proposal and block.proposal_is_valid and past >> block.number & 1
        ]
        for proposal in [own] if own else seen:
            if proposal.view == view and self._may_vote_for(proposal):
                self.voted[view] = proposal.value
                return (Vote(view, proposal.value),)
        return ()

    def _may_vote_for(self, proposal: Proposal) -> bool:
        """A certified value is taken without any check, an uncertified order only if it passes them.

        An uncertified skip is not, as long as it waits for the only order.
        """
        if self.world.demanded(proposal.proof):
            return True
        if proposal.value == SKIP:
            return not self._waits_for_the_only_order(proposal.view)
        return proposal.value not in self.doubted


def reenter(lost: Replica, answers: Iterable[Replica]) -> Replica:
    """The same super-agent with an empty disk: it fetches what others hold, under the next incarnation.

    What only a liar knows of its promises stays unknown. Under a design that lets it vote on, it still
    keeps to the promises that it finds in its own chain.
    """
    world, index = lost.world, lost.author.member
    found = Replica(world, index, lost.choose, lost.author.incarnation + 1)
    for other in answers:
        if other.head:
            found.hear(other.head)
    found.head = world.newest(found.held & world.signed_by.get(lost.author, 0))
    for vote, who in found.head.ballots.items() if found.head else ():
        if who >> index & 1:
            if vote.view:
                found.voted[vote.view] = vote.value
            else:
                found.lock = vote.value
    return found


def heal(world: World, replicas: Sequence[Replica]) -> bool:
    """Let all that is said arrive, the liars being silent; say whether no replica stays undecided."""
    for _ in range(40 * world.n):
        heads = [replica.head for replica in replicas if replica.head]
        for replica in replicas:
            replica.hear(*heads)
        if all(replica.decided for replica in replicas):
            return True
        for replica in replicas:
            replica.speak()
    return not any(replica.orders for replica in replicas)
