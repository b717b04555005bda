"""Histories of one slot that break a wrong design, step by step; the dice would need too long to find them.

A story is told under some rules and returns its world; the honest in it do what those rules say, so the
same steps end in two finals under the wrong design and in one under the contract. Super-agents have
letters: the honest from A on, the liars Y and Z. `unga` and `chai` are two orders that the payer signed for
the one slot.
"""

from tests.model.players import Replica, reenter
from tests.model.rules import Rules
from tests.model.slot_model import Author, Block, Proposal, Vote, World

UNGA, CHAI = "unga", "chai"


class Stage:
    """Who plays in a story, and how one tells what they do."""

    def __init__(self, n: int, rules: Rules, leading_view_1: str):
        f = (n - 1) // 3
        self.letters = "ABCDE"[: n - f] + "YZ"[2 - f :]
        self.world = World(n, rules, first_leader=self.letters.index(leading_view_1) - 1)
        self.honest = {
            letter: Replica(self.world, index)
            for index, letter in enumerate(self.letters)
            if letter < "Y"
        }
        self._said: dict[str, Block] = {}

    def says(self, who: str, *heard: Block, offer: str | None = None, impatient: bool = False):
        """An honest one hears these blocks, each with its past, and says its next."""
        self.honest[who].hear(*heard)
        return self.honest[who].speak(offer, impatient=impatient)

    def lies(self, who: str, *seen: Block, after: Block | None = None, **entries):
        """A liar's block, on the branch that it likes and with whatever entries it likes."""
        return self.world.add(Author(self.letters.index(who)), after, seen, **entries)

    def talk(self, *, impatient: bool = False) -> list[Block]:
        """Every honest one hears what all the others said last, and then each says its next."""
        heads = [one.head for one in self.honest.values() if one.head]
        for one in self.honest.values():
            one.hear(*heads)
        return [one.speak(impatient=impatient) for one in self.honest.values()]

    def talk_until_acknowledged(self, proposal: Block) -> None:
        """All honest ones vote on what they take for valid, hear the votes, and acknowledge."""
        for who in self.honest:
            self.says(who, proposal)
        self.talk()
        self.talk()


def a_certificate_kept_secret(rules: Rules) -> World:
    """The liars hide a certificate of view 0 until view 1 has decided otherwise, and then show it."""
    stage = Stage(7, rules, leading_view_1="D")
    says, lies = stage.says, stage.lies

    # A, B and C vote for unga, D and E for chai.
    a = says("A", offer=UNGA)
    b, c = says("B", a), says("C", a)
    d = says("D", offer=CHAI)
    says("E", d)

    # The liars' votes make q = 5 for unga; both acknowledge, and nobody hears of it.
    y = lies("Y", a)
    z = lies("Z", a, b, c, y)
    secret = lies("Y", b, c, z, after=y)
    assert Vote(0, UNGA) in secret.receipts

    # All honest ones fence view 1. No certificate is in their past, so D may propose chai.
    stage.talk(impatient=True)
    proposal = stage.talk()[3]
    assert proposal.proposal
    assert proposal.proposal.value == CHAI
    stage.talk_until_acknowledged(proposal)
    assert stage.world.finals == {CHAI}

    # Now A, B and C see the certificate of unga. With Y and Z they would be q who acknowledge it.
    for who in "ABC":
        says(who, secret)
    return stage.world


def a_vote_behind_the_fence(rules: Rules) -> World:
    """Chai is final, unknown to all; then references behind fences are counted as votes for unga."""
    stage = Stage(7, rules, leading_view_1="Y")
    says, lies = stage.says, stage.lies

    # A, B, C, D and the liar Z vote for chai, and all five acknowledge it; each has heard of one other.
    a = says("A", offer=CHAI)
    b, c, d = says("B", a), says("C", a), says("D", a)
    z = lies("Z", a, b, c, d)
    for who in "ABCD":
        says(who, z)
    assert stage.world.finals == {CHAI}

    # E knows only unga: from Y, and from Z's other branch.
    y = lies("Y", orders=(UNGA,))
    e = says("E", y, lies("Z", y))
    e_fence = says("E", impatient=True)

    # A and B fence view 1 in blocks that reference unga and refuse nothing. If those are votes, unga has
    # a certificate of view 0 beside that of chai, and the fences of B, C and D report unga.
    a_fence = says("A", e, impatient=True)
    b_fence = says("B", a_fence, impatient=True)
    c_fence = says("C", b_fence, impatient=True)
    d_fence = says("D", b_fence, impatient=True)

    # The liar Y leads view 1, and leaves out the fence of A, which reports chai.
    y_fence = lies("Y", c_fence, d_fence, e_fence, after=y, fence=1)
    proof = (b_fence, c_fence, d_fence, e_fence, y_fence)
    proposal = lies("Y", after=y_fence, proposal=Proposal(1, UNGA, proof))
    stage.talk_until_acknowledged(proposal)
    return stage.world


def an_older_certificate(rules: Rules) -> World:
    """Unga is final in view 1; two who missed it report a certificate of view 0 to a liar who leads."""
    stage = Stage(7, rules, leading_view_1="E")
    says, lies = stage.says, stage.lies

    # A and E vote for unga, B, C and D for chai; with the liars chai has a certificate that they hide.
    a = says("A", offer=UNGA)
    says("E", a)
    b = says("B", offer=CHAI)
    c, d = says("C", b), says("D", b)
    y = lies("Y", b)
    z = hidden = lies("Z", b, c, d, y)

    # All honest ones fence view 1. E leads it, is free, and proposes unga; A, B and the liars vote.
    fences = stage.talk(impatient=True)
    proposal = says("E", *fences)
    assert proposal.proposal
    assert proposal.proposal.value == UNGA
    a, b = says("A", proposal), says("B", proposal)
    y = lies("Y", proposal, after=y, fence=1, votes=(Vote(1, UNGA),))
    z = lies("Z", proposal, after=z, fence=1, votes=(Vote(1, UNGA),))

    # They, E and the liars acknowledge: final in view 1, though nobody has heard it from the others.
    for who in "ABE":
        says(who, a, b, y, z)
    y = lies("Y", a, b, z, after=y)
    z = lies("Z", a, b, y, after=z)
    assert stage.world.finals == {UNGA}

    # C and D have missed view 1. They fence view 2, and of certificates they know only the hidden one.
    c_fence = says("C", *fences, hidden, impatient=True)
    d_fence = says("D", *fences, hidden, impatient=True)
    a_fence = says("A", impatient=True)
    assert c_fence.statement == d_fence.statement == Vote(0, CHAI)

    # The liar Y leads view 2 and proposes chai, although the fence of A reports unga, of view 1.
    y = lies("Y", a_fence, c_fence, d_fence, after=y, fence=2)
    z = lies("Z", y, after=z, fence=2)
    proof = (a_fence, c_fence, d_fence, y, z)
    proposal = lies("Y", z, after=y, proposal=Proposal(2, CHAI, proof))
    stage.talk_until_acknowledged(proposal)
    return stage.world


def a_disk_lost_between_two_votes(rules: Rules) -> World:
    """Only a liar knows what C promised; C comes back with an empty disk and promises the opposite."""
    stage = Stage(4, rules, leading_view_1="A")
    says, lies = stage.says, stage.lies

    # A votes for chai. B, the liar Z and C vote for unga; C acknowledges, and only Z hears it.
    a = says("A", offer=CHAI)
    b = says("B", offer=UNGA)
    z = lies("Z", b)
    promised = says("C", b, z)
    assert Vote(0, UNGA) in promised.receipts

    # C loses its disk and asks the three others, of whom Z keeps silent.
    stage.honest["C"] = reenter(stage.honest["C"], [stage.honest["A"], stage.honest["B"]])
    assert stage.honest["C"].head is None

    # A, Z on its other branch, and C, if it votes on, are q for chai.
    z_forked = lies("Z", a)
    c = says("C", a, z_forked)
    says("A", c)
    lies("Z", c, after=z_forked)

    # Z shows B what C had promised before.
    says("B", lies("Z", promised, after=z))
    return stage.world


def a_fork_after_the_fact(rules: Rules) -> World:
    """Unga is final with the vote of a liar, who then forks; whoever uncounts it begins again."""
    stage = Stage(4, rules, leading_view_1="C")
    says, lies = stage.says, stage.lies

    # A, B and the liar Z vote for unga and acknowledge it. A hears all of it and tells its payer: final.
    a = says("A", offer=UNGA)
    b = says("B", a)
    z = lies("Z", a, b)
    says("A", says("B", z), z)
    assert stage.honest["A"].decided
    assert stage.world.finals == {UNGA}

    # Z forks before C, which knows nothing yet and fences view 1.
    says("C", lies("Z", orders=(CHAI,)), impatient=True)

    # Everybody hears of both branches; B fences too, and A joins the two. If Z is uncounted, nothing is
    # certified, and C may propose chai.
    stage.talk(impatient=True)
    stage.talk()
    proposal = stage.talk()[2]
    stage.talk_until_acknowledged(proposal)
    return stage.world
