"""One slot of PROTOCOL section 3, as a world of blocks that is never too large to be searched.

A world holds every block that anybody made, hidden ones too. What the section's box defines block by block
is computed once, when a block is added, from the blocks under it; `definitions.py` holds the box word for
word, and a test holds one to the other.

Sets are integers: of blocks (bit = the block's number) and of authors (bit = the author). A block's parents
always have smaller numbers, so the newest block of a chain is the highest bit of a set.

What is left out, because no rule about a single slot reads it: signatures, money, durability and time. An
order is a name, the payer signs as many as she likes, and every check of section 2 that depends on the
state is one answer: "this replica doubts that order".
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.model.rules import CONTRACT, Rules

SKIP = "skip"
"""The value that burns the sequence; every other value is the name of an order."""

LONE_VIEWS = 2
"""For how many views after the first w a lone order that passes is not skipped; so few that it matters."""


class Vote(NamedTuple):
    """What is voted on, certified, acknowledged and final: a value in a view."""

    view: int
    value: str


class Proposal(NamedTuple):
    """A leader's entry of section 3; the proof is the fence blocks that free or bind the value."""

    view: int
    value: str
    proof: tuple["Block", ...]


class Author(NamedTuple):
    """Who signs a chain: two blocks of one height are a fork only within an incarnation."""

    member: int
    incarnation: int = 0


@dataclass(slots=True, eq=False)
class Block:
    """One block with what it says about the slot, and below the line what follows from its past."""

    number: int
    author: Author
    previous: "Block | None"
    references: tuple["Block", ...]
    orders: tuple[str, ...]
    """included orders of this slot: the author's own votes in view 0, if it may vote"""
    refused: frozenset[tuple[int, str]]
    """rejections: (number of the block that includes it, order)"""
    fence: int
    """the view fenced in this block, 0 for none"""
    justification: tuple[str, ...]
    """signed orders that the fence carries, so that everyone can join"""
    proposal: Proposal | None
    votes: tuple[Vote, ...]
    """explicit votes, in views ≥ 1"""

    past: int = 0
    chain: int = 0
    covered: int = 0
    """every block that this chain's references have voted on so far"""
    view: int = 0
    """fence(B, s) of the box: the highest view fenced in this chain, this block included"""
    fenced: tuple[int, ...] = ()
    """for each author the highest view fenced in the past"""
    ballots: dict[Vote, int] = field(default_factory=dict)
    """vote -> who gave it, in the past"""
    receipts: dict[Vote, int] = field(default_factory=dict)
    """certificate -> who acknowledged it, in the past"""
    statement: Vote | None = None
    """of a fence block: the certificate that it reports"""
    proposal_is_valid: bool = False

    def follows(self, earlier: "Block") -> bool:
        """Whether the earlier block is in this one's chain."""
        return bool(self.chain >> earlier.number & 1)


class World:
    """Every block of a trace, and what is final in it."""

    def __init__(self, n: int, rules: Rules = CONTRACT, first_leader: int = 0):
        self.n, self.rules, self.first_leader = n, rules, first_leader
        self.f = (n - 1) // 3
        self.q = 2 * self.f + 1 if rules.small_quorum else n - self.f
        self.w = self.f + 1
        self.blocks: list[Block] = []
        self.signed_by: dict[Author, int] = {}
        self.showing_orders = 0
        """the blocks that show an order to whoever reads them"""
        self.proposals: list[Block] = []
        self.fences: dict[int, list[Block]] = {}
        self.receipts: dict[Vote, int] = {}
        self.finals: set[str] = set()
        """every value that is final in some set of blocks closed under past"""

    def leader(self, view: int) -> int:
        return (self.first_leader + view) % self.n

    def add(
        self,
        author: Author,
        previous: Block | None = None,
        references: Iterable[Block] = (),
        *,
        orders: tuple[str, ...] = (),
        refused: frozenset[tuple[int, str]] = frozenset(),
        fence: int = 0,
        justification: tuple[str, ...] = (),
        proposal: Proposal | None = None,
        votes: tuple[Vote, ...] = (),
    ) -> Block:
        """Add a well-formed block, and count what it makes certified, acknowledged and final."""
        block = Block(
            len(self.blocks),
            author,
            previous,
            tuple(references),
            orders,
            refused,
            fence if self.counts(author) else 0,
            justification,
            proposal,
            votes,
        )
        newly_covered = self._place(block)
        self._register(block)
        self._vote(block, newly_covered)
        self._acknowledge(block)
        self._state(block)
        block.proposal_is_valid = proposal is not None and self._is_valid(block, proposal)
        return block

    def counts(self, author: Author) -> bool:
        """Section 7: who lost its disk abstains in the slots that were open then."""
        return author.incarnation == 0 or self.rules.wiped_votes_on

    def _place(self, block: Block) -> int:
        """Find the block's past and chain; return the blocks that it is the first of its chain to vote on."""
        previous, before = block.previous, 0
        parents = block.references
        block.past = block.chain = 1 << block.number
        if previous:
            parents = (previous, *parents)
            block.chain |= previous.chain
            block.view = previous.view
            before = previous.covered
        for reference in block.references:
            again = before & self.signed_by[reference.author]
            assert not again & ~reference.chain, "a reference extends the one before it"
            block.covered |= reference.chain
        block.covered |= before
        block.view = max(block.view, block.fence)
        fenced = [0] * self.n
        for parent in parents:
            block.past |= parent.past
            fenced = list(map(max, fenced, parent.fenced))
        if block.fence:
            fenced[block.author.member] = max(fenced[block.author.member], block.fence)
        block.fenced = tuple(fenced)
        return block.covered & ~before

    def _register(self, block: Block) -> None:
        self.blocks.append(block)
        bit = 1 << block.number
        self.signed_by[block.author] = self.signed_by.get(block.author, 0) | bit
        if block.orders or block.justification:
            self.showing_orders |= bit
        if block.fence:
            self.fences.setdefault(block.fence, []).append(block)
        if block.proposal:
            self.proposals.append(block)

    def _vote(self, block: Block, newly_covered: int) -> None:
        block.ballots = self._inherit(block, "ballots")
        if not self.counts(block.author):
            return
        everyone_once = block.author.member
        ballot = 1 << (block.number if self.rules.every_block_is_a_ballot else everyone_once)
        for vote in self._votes(block, newly_covered):
            block.ballots[vote] = block.ballots.get(vote, 0) | ballot

    def _votes(self, block: Block, newly_covered: int) -> Iterator[Vote]:
        """votes(B, s) of the box; a fence takes effect before its block's orders and references."""
        if block.view == 0 or self.rules.fenced_vote:
            for order in block.orders:
                yield Vote(0, order)
            for voted in self.blocks_of(newly_covered & self.showing_orders):
                for order in voted.orders:
                    if (voted.number, order) not in block.refused:
                        yield Vote(0, order)
        if block.view:
            yield from (vote for vote in block.votes if vote.view == block.view)

    def _acknowledge(self, block: Block) -> None:
        """ack(B, s, v, x) of the box, and what it makes final."""
        block.receipts = self._inherit(block, "receipts")
        if self.counts(block.author):
            limit = self._acknowledges_from(block)
            for vote in self.quorums(block.ballots, block.past):
                if vote.view >= limit:
                    self._receive(vote, block)
        found = block.ballots if self.rules.certificate_is_final else block.receipts
        everywhere = (1 << len(self.blocks)) - 1
        for vote, who in found.items():
            self.receipts[vote] = self.receipts.get(vote, 0) | who
        self.finals |= {value for _, value in self.quorums(found, block.past)}
        self.finals |= {value for _, value in self.quorums(self.receipts, everywhere)}

    def _receive(self, vote: Vote, block: Block) -> None:
        block.receipts[vote] = block.receipts.get(vote, 0) | 1 << block.author.member

    def _acknowledges_from(self, block: Block) -> int:
        """The lowest view in which the block may acknowledge."""
        if self.rules.fenced_acknowledge:
            return 0
        if self.rules.fence_starts_after_its_block:
            return block.previous.view if block.previous else 0
        return block.view

    def _inherit(self, block: Block, name: str) -> dict[Vote, int]:
        """What the parents know of ballots or of receipts, put together."""
        known: dict[Vote, int] = dict(getattr(block.previous, name)) if block.previous else {}
        for reference in block.references:
            for vote, who in getattr(reference, name).items():
                known[vote] = known.get(vote, 0) | who
        return known

    def _state(self, block: Block) -> None:
        """stmt(F, s, v) of the box: computed from the past, so it cannot be false."""
        if not block.fence:
            return
        if self.rules.most_voted:
            mine = 1 << block.author.member
            below = [vote for vote, who in block.ballots.items() if who & mine]
        elif self.rules.fence_starts_after_its_block:
            before = block.previous
            below = self.quorums(before.ballots, before.past) if before else []
        else:
            below = self.quorums(block.ballots, block.past)
        below = [vote for vote in sorted(below) if vote.view < block.fence]
        if below:
            block.statement = below[0] if self.rules.lowest_certificate else below[-1]

    def _is_valid(self, block: Block, proposal: Proposal) -> bool:
        """Whether the proposal is the right leader's and its proof frees, or demands, its value."""
        if block.author.member != self.leader(proposal.view):
            return False
        if self.rules.proposals_unchecked:
            return True
        if len({fence.author.member for fence in proposal.proof}) < self.q:
            return False
        for fence in proposal.proof:
            if fence.fence != proposal.view or not block.past >> fence.number & 1:
                return False
        demanded = self.demanded(proposal.proof)
        if demanded:
            return proposal.value in demanded
        if proposal.value == SKIP:
            return True
        return self.may_be_an_order(proposal.view)

    def is_early(self, view: int) -> bool:
        """Whether liars alone may have led so far: one of w leaders in a row is honest."""
        return view <= self.w

    def is_patient(self, view: int) -> bool:
        """Whether who finds that a lone order passes still waits for it."""
        return view <= self.w + LONE_VIEWS

    def may_be_an_order(self, view: int) -> bool:
        """Whether a free proposal of a view may be something else than the skip."""
        return view % 2 == 1 or self.is_patient(view) or self.rules.orders_in_every_view

    def demanded(self, proof: Iterable[Block]) -> list[str]:
        """The values that a proof allows, sorted; none where it leaves the proposal free."""
        statements = sorted(fence.statement for fence in proof if fence.statement)
        if not statements or self.rules.statements_are_ignored:
            return []
        values = [vote.value for vote in statements]
        if self.rules.most_voted:
            most = max(values.count(value) for value in values)
            return sorted({value for value in values if values.count(value) == most})
        if self.rules.any_certificate:
            return sorted(set(values))
        chosen = statements[0] if self.rules.lowest_certificate else statements[-1]
        return sorted({value for view, value in statements if view == chosen.view})

    def quorums(self, who_of: dict[Vote, int], held: int) -> list[Vote]:
        """The votes, or certificates, that q authors stand behind."""
        out = self.forked(held) if self.rules.conviction_uncounts else 0
        return [vote for vote, who in who_of.items() if (who & ~out).bit_count() >= self.q]

    def forked(self, held: int) -> int:
        """The authors who signed two branches, as far as the held blocks show."""
        found = 0
        for author, signed in self.signed_by.items():
            seen = signed & held
            if seen and seen & ~self.blocks[seen.bit_length() - 1].chain:
                found |= 1 << author.member
        return found

    def newest(self, held: int) -> Block | None:
        """The newest of a set of blocks: the head, if they are one chain."""
        return self.blocks[held.bit_length() - 1] if held else None

    def blocks_of(self, held: int) -> Iterator[Block]:
        """The blocks of a set, oldest first."""
        while held:
            lowest = held & -held
            held ^= lowest
            yield self.blocks[lowest.bit_length() - 1]
