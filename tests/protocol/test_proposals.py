"""Directed traces of recovery: which proposals a replica takes for proved, and whom it joins."""

import numpy as np
import pytest
from tests.protocol.network import (
    NETWORK,
    SECOND,
    START_NS,
    SUPER_AGENT_KEYS,
    customers,
    make_block,
    make_committee,
    make_ledger,
    make_order,
)

from harambee.crypto.hashing import TAG_ORDER, digest, signed_prefix
from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import BODY_BYTES, ORDER
from harambee.protocol.disputes import LONE_VIEWS
from harambee.protocol.effects import SendBlock
from harambee.protocol.frame import write_frame
from harambee.protocol.messages import BlockArrived, HeadsArrived, OrdersOffered, PeerUp
from harambee.protocol.recovery_entries import (
    ABSTAINS,
    SKIP,
    Fence,
    Proposal,
    Recovery,
    Vote,
    write_recovery,
)
from harambee.protocol.replica import Replica
from harambee.protocol.slot import Slot
from harambee.protocol.wire import NO_DIGEST, read_block

PEOPLE = customers(12)
NOTHING = np.zeros(0, ORDER)
# Led in view 1 by one of those who speak here, and not by the replica that looks on.
ANN = next(p for p in PEOPLE if Slot.of_account(p, 0).leader(1, 4) == 1)
BEN = PEOPLE[-1] if PEOPLE[-1] != ANN else PEOPLE[0]
SLOT = Slot.of_account(ANN, 0)
ORDER_A = make_order(ANN, BEN, 10_000, 0)
LAST = 2 + LONE_VIEWS
"""The last view in which a lone order that passes is waited for."""
NAME_A = digest(signed_prefix(TAG_ORDER, NETWORK), ORDER_A.tobytes()[:BODY_BYTES])


class Scribes:
    """Authors 1 to 3, who write whatever they are told, and replica 0, which looks on."""

    def __init__(self):
        self.replica = Replica(
            NETWORK, make_committee(4), 0, SUPER_AGENT_KEYS[0], make_ledger(4, 12)
        )
        self.newest = dict.fromkeys((1, 2, 3), (0, NO_DIGEST))
        self.referenced = {author: {} for author in (1, 2, 3)}

    def write(self, author, references=(), orders=None, **entries):
        """A block that references the newest blocks of these authors; returns its name."""
        height, previous = self.newest[author]
        known = self.referenced[author]
        fresh = [to for to in sorted(references) if self.newest[to][0] > known.get(to, 0)]
        known.update((to, self.newest[to][0]) for to in fresh)
        names = tuple((to, *self.newest[to]) for to in fresh)
        recovery = write_recovery(Recovery(**entries))
        data, name = make_block(author, height + 1, previous, names, orders, b"", recovery)
        self.newest[author] = height + 1, name
        self.replica.receive(BlockArrived(author, data), START_NS)
        self.replica.act(START_NS, may_speak=False)
        assert self.replica.counters.malformed == 0
        return author, 0, height + 1, name

    def fence(self, author, view=1, references=()):
        return self.write(author, references, fences=(Fence(SLOT, view, NOTHING),))

    def propose(self, author, value, proof, view=1):
        others = [a for a in (1, 2, 3) if a != author]
        before = len(self.proposals(view))
        self.write(author, others, proposals=(Proposal(SLOT, view, value, tuple(proof)),))
        return len(self.proposals(view)) > before

    def proposals(self, view):
        return self.replica.disputes.get(SLOT).proposals.get(view, [])


@pytest.fixture
def certified():
    """ORDER_A has three votes; each of the three fences with the certificate in its past."""
    scribes = Scribes()
    scribes.write(1, orders=ORDER_A)
    scribes.write(2, (1,))
    scribes.write(3, (1, 2))
    return scribes, [
        scribes.fence(3),
        scribes.fence(2, references=(3,)),
        scribes.fence(1, references=(2, 3)),
    ]


@pytest.fixture
def free():
    """The order lies in a block that nobody but its author votes for; three fence."""
    scribes = Scribes()
    scribes.write(1, orders=ORDER_A)
    return scribes, [scribes.fence(author) for author in (1, 2, 3)]


def test_what_is_certified_is_proposed_and_nothing_else(certified):
    scribes, proof = certified
    assert not scribes.propose(1, SKIP, proof)
    assert not scribes.propose(1, b"x" * 32, proof)
    assert scribes.propose(1, NAME_A, proof)
    (taken,) = scribes.proposals(1)
    assert taken.forced


def test_a_proposal_needs_fences_of_a_quorum(free):
    scribes, proof = free
    assert not scribes.propose(1, SKIP, proof[:2])
    assert not scribes.propose(1, SKIP, [proof[0], proof[0], proof[1]])
    assert scribes.propose(1, SKIP, proof)


def test_a_proposal_needs_fences_of_its_own_view(free):
    scribes, proof = free
    higher = scribes.fence(3, view=2)
    assert not scribes.propose(1, SKIP, [*proof[:2], higher])


def test_a_proposal_needs_its_proof_in_its_past(free):
    scribes, proof = free
    height, previous = scribes.newest[1]
    recovery = write_recovery(Recovery((), (Proposal(SLOT, 1, SKIP, tuple(proof)),)))
    data, _ = make_block(1, height + 1, previous, (), None, b"", recovery)
    scribes.replica.receive(BlockArrived(1, data), START_NS)
    assert not scribes.proposals(1), "the others' fences are not below it"


def test_only_the_leader_proposes(free):
    scribes, proof = free
    assert not scribes.propose(2, SKIP, proof)
    assert not scribes.propose(3, NAME_A, proof)
    assert scribes.propose(1, NAME_A, proof)


@pytest.mark.parametrize(
    ("view", "may_be_an_order"), [(2, True), (LAST + 1, True), (LAST + 4, False)]
)
def test_a_free_order_is_proposed_in_odd_views_and_while_a_lone_one_is_waited_for(
    free, view, may_be_an_order
):
    scribes, _ = free
    leader = SLOT.leader(view, 4)
    assert leader in (1, 2, 3)
    proof = [scribes.fence(author, view=view) for author in (1, 2, 3)]
    assert scribes.propose(leader, NAME_A, proof, view=view) == may_be_an_order
    assert scribes.propose(leader, SKIP, proof, view=view)


def test_a_replica_joins_w_others_and_not_fewer():
    scribes = Scribes()
    scribes.write(1, orders=ORDER_A)
    scribes.fence(2)
    rescuer = scribes.replica.rescuer
    assert not rescuer.plan([SLOT], START_NS).fences, "one alone may be a liar"
    scribes.fence(3)
    assert rescuer.plan([SLOT], START_NS).fences == {SLOT: 1}


def test_those_who_abstain_are_not_joined():
    scribes = Scribes()
    scribes.write(1, orders=ORDER_A)
    scribes.fence(2, view=ABSTAINS)
    scribes.fence(3, view=ABSTAINS)
    assert not scribes.replica.rescuer.plan([SLOT], START_NS).fences


def test_a_vote_outside_the_view_of_its_fence_counts_for_nothing(free):
    scribes, _ = free
    scribes.write(2, votes=(Vote(SLOT, 2, SKIP),))
    dispute = scribes.replica.disputes.get(SLOT)
    assert all(candidate.view != 2 for candidate in dispute.votes)
    scribes.write(2, votes=(Vote(SLOT, 1, SKIP),))
    assert any(candidate.view == 1 for candidate in dispute.votes)


def test_two_votes_in_one_view_convict(free):
    scribes, _ = free
    scribes.write(2, votes=(Vote(SLOT, 1, SKIP),))
    assert not scribes.replica.convicted
    scribes.write(2, votes=(Vote(SLOT, 1, NAME_A),))
    assert scribes.replica.convicted == {2}


def test_the_highest_certificate_is_the_one_that_binds(certified):
    """View 0 has a certificate for the order, view 1 one for skip: from there on it is skip."""
    scribes, _ = certified
    for author in (1, 2, 3):
        scribes.write(author, votes=(Vote(SLOT, 1, SKIP),))
    proof = [scribes.fence(author, view=2, references={1, 2, 3} - {author}) for author in (1, 2, 3)]
    leader = SLOT.leader(2, 4)
    assert not scribes.propose(leader, NAME_A, proof, view=2)
    assert scribes.propose(leader, SKIP, proof, view=2)
    (taken,) = scribes.proposals(2)
    assert taken.forced


def test_a_replica_votes_once_in_a_view_whatever_its_leader_proposes(free):
    scribes, proof = free
    assert scribes.propose(1, SKIP, proof)
    assert scribes.propose(1, NAME_A, proof)
    assert len(votes_said(scribes)) == 1


@pytest.mark.parametrize(("cents", "votes"), [(10_000, 1), (2_000_000, 0)])
def test_a_free_order_is_voted_for_only_if_it_passes_every_check(cents, votes):
    """A liar may propose what its payer cannot pay; nobody has judged it before."""
    order = make_order(ANN, BEN, cents, 0)
    name = digest(signed_prefix(TAG_ORDER, NETWORK), order.tobytes()[:BODY_BYTES])
    scribes = Scribes()
    scribes.write(1, orders=order)
    assert scribes.propose(1, name, [scribes.fence(author) for author in (1, 2, 3)])
    assert [vote.value for vote in votes_said(scribes)] == [name] * votes


@pytest.mark.parametrize(
    ("cents", "view", "votes"),
    [
        (10_000, 1, 0),
        (10_000, 2, 0),
        (10_000, 3, 0),
        (10_000, LAST, 0),
        (10_000, LAST + 1, 1),
        (2_000_000, 1, 0),
        (2_000_000, 2, 0),
        (2_000_000, 3, 1),
    ],
)
def test_a_lone_order_is_not_skipped_before_it_was_waited_for(cents, view, votes):
    """Of four two lead, one of them honest; from then on it matters whether the payer can pay it."""
    scribes = Scribes()
    scribes.write(1, orders=make_order(ANN, BEN, cents, 0))
    proof = [scribes.fence(author, view=view) for author in (1, 2, 3)]
    assert scribes.propose(SLOT.leader(view, 4), SKIP, proof, view=view)
    assert [vote.value for vote in votes_said(scribes)] == [SKIP] * votes


def test_a_payer_who_signed_a_cancel_too_may_be_skipped_at_once():
    scribes = Scribes()
    scribes.write(1, orders=ORDER_A)
    scribes.write(2, orders=make_order(ANN, ANN, 0, 0, kind=OrderKind.CANCEL))
    assert scribes.propose(1, SKIP, [scribes.fence(author) for author in (1, 2, 3)])
    assert [vote.value for vote in votes_said(scribes)] == [SKIP]


def test_what_the_payer_has_not_signed_makes_no_second_order():
    scribes = Scribes()
    scribes.write(1, orders=ORDER_A)
    forged = make_order(ANN, ANN, 0, 0, kind=OrderKind.CANCEL)
    forged["signature"][0, 0] ^= 1
    scribes.write(2, orders=forged)
    assert scribes.propose(1, SKIP, [scribes.fence(author) for author in (1, 2, 3)])
    assert votes_said(scribes) == []


@pytest.mark.parametrize(
    ("cents", "view", "is_proposed"),
    [
        (10_000, 1, True),
        (10_000, 2, True),
        (2_000_000, 2, True),
        (10_000, 4, True),
        (2_000_000, 4, False),
    ],
)
def test_whoever_leads_proposes_the_lone_order(cents, view, is_proposed):
    """Even if it does not pass: whoever leads may be behind."""
    payer = next(p for p in PEOPLE if Slot.of_account(p, 0).leader(view, 4) == 0 and p != BEN)
    slot = Slot.of_account(payer, 0)
    order = make_order(payer, BEN, cents, 0)
    name = digest(signed_prefix(TAG_ORDER, NETWORK), order.tobytes()[:BODY_BYTES])
    scribes = Scribes()
    scribes.write(1, orders=order)
    for author in (1, 2, 3):
        scribes.write(author, fences=(Fence(slot, view, NOTHING),))
    said = [block.recovery for block in said_by(scribes)]
    value = name if is_proposed else SKIP
    assert [(p.view, p.value) for entries in said for p in entries.proposals] == [(view, value)]
    passes = cents == 10_000
    votes = [vote.value for entries in said for vote in entries.votes]
    assert votes == [value] * (passes or not is_proposed), (
        "its own word is no reason to vote for it"
    )


def test_who_has_seen_no_order_in_a_slot_votes_for_no_skip_early():
    """It may be the one from whom a liar has kept it."""
    scribes = Scribes()
    proof = [scribes.fence(author) for author in (1, 2, 3)]
    assert scribes.propose(1, SKIP, proof)
    assert votes_said(scribes) == []


def test_a_cancel_that_comes_after_the_fence_is_carried_by_the_next_one():
    """The payer cannot pay her order and nobody votes for it; she ends that wherever she goes."""
    scribes = Scribes()
    scribes.write(1, orders=make_order(ANN, BEN, 2_000_000, 0))
    for author in (2, 3):
        scribes.fence(author)
    assert any(block.recovery.fences for block in said_by(scribes))
    cancel = make_order(ANN, ANN, 0, 0, kind=OrderKind.CANCEL)
    now = START_NS + 2 * SECOND
    scribes.replica.receive(OrdersOffered(7, cancel), now)
    for author in (2, 3):
        scribes.fence(author, view=2)
    effects = scribes.replica.act(now)
    (block,) = [read_block(sent.data, NETWORK, 4) for sent in effects.send if is_block(sent)]
    assert [fence.view for fence in block.recovery.fences] == [2]
    assert block.orders.tobytes() == cancel.tobytes()


def test_who_opens_a_slot_carries_an_order_that_lies_in_a_convicts_block_alone():
    """Whoever joins it would not see the order otherwise: nobody references the convict any more."""
    scribes = Scribes()
    replica = scribes.replica
    with_order, name = make_block(1, 1, NO_DIGEST, (), ORDER_A, b"", b"")
    fencing = write_recovery(Recovery((Fence(SLOT, 1, NOTHING),), (), ()))
    with_fence, other = make_block(1, 1, NO_DIGEST, (), None, b"", fencing)
    standing, _ = make_block(2, 1, NO_DIGEST, ((1, 1, other),), None, b"", b"")
    for author, data in ((1, with_order), (1, with_fence), (2, standing), (2, with_fence)):
        replica.receive(BlockArrived(author, data), START_NS)
    assert replica.convicted == {1}
    said = said_by(scribes, turns=40)
    (fence,) = [block for block in said if block.recovery.fences]
    assert fence.orders.tobytes() == ORDER_A.tobytes()
    assert name not in {reference.digest for block in said for reference in block.references}


def test_a_free_order_of_an_even_view_is_left_out_of_the_frame(free):
    """Versions that take it for no proposal write the same frame for the same cut."""
    scribes, _ = free
    proof = [scribes.fence(author, view=2) for author in (1, 2, 3)]
    leader = SLOT.leader(2, 4)
    assert scribes.propose(leader, NAME_A, proof, view=2)
    known = scribes.replica.disputes.get(SLOT).proposals
    written = write_frame(scribes.replica.frame(no_blocks), 4)
    known.clear()
    assert written == write_frame(scribes.replica.frame(no_blocks), 4)
    assert scribes.propose(leader, SKIP, proof, view=2)
    assert written != write_frame(scribes.replica.frame(no_blocks), 4)


def no_blocks(position):
    raise AssertionError(f"nothing waits, so no block is read again: {position}")


def votes_said(scribes):
    """The explicit votes of the replica in its next blocks."""
    return [vote for block in said_by(scribes) for vote in block.recovery.votes]


def said_by(scribes, turns=10):
    """The next blocks of the replica."""
    replica, now = scribes.replica, START_NS + SECOND
    for peer in (1, 2, 3):
        replica.receive(PeerUp(peer), now)
        replica.receive(HeadsArrived(peer, replica.heads()), now)
    said = []
    for turn in range(turns):
        effects = replica.act(now + turn * replica.pace.block_ns)
        said += [read_block(sent.data, NETWORK, 4) for sent in effects.send if is_block(sent)]
    assert said
    return said


def is_block(sent):
    return isinstance(sent, SendBlock)
