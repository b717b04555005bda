"""Evidence convicts a liar before a stranger, and nobody else whatever the bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.network import (
    NETWORK,
    OPENING_CENTS,
    SUPER_AGENT_KEYS,
    Listener,
    customers,
    make_block,
    make_committee,
    make_order,
)

from harambee.crypto.signatures import sign
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ORDER
from harambee.protocol.effects import Ballot, Name, TwoVotes
from harambee.protocol.evidence import (
    Conviction,
    read_evidence,
    write_evidence,
    write_two_votes,
)
from harambee.protocol.malformed import Malformed
from harambee.protocol.messages import OrdersOffered
from harambee.protocol.recovery_entries import Fence, Recovery, Vote, write_recovery
from harambee.protocol.slot import Slot
from harambee.protocol.wire import (
    NO_DIGEST,
    Draft,
    block_prefix,
    read_block,
    write_block,
    write_rejection,
)

ANN, BEN, CYD = customers(3)
COMMITTEE = make_committee(4)
ONE, ONE_NAME = make_block(3, 1, NO_DIGEST, (), make_order(ANN, BEN, 10_000, 0))
OTHER, _ = make_block(3, 1, NO_DIGEST, (), make_order(ANN, CYD, 20_000, 0))
SLOT = Slot.of_account(ANN, 0)
FORK = write_evidence(NETWORK, ONE, OTHER)


def voting(value, height, previous):
    fence = Fence(SLOT, 1, np.zeros(0, ORDER))
    recovery = write_recovery(Recovery((fence,), (), (Vote(SLOT, 1, value),)))
    return make_block(3, height, previous, recovery=recovery)


def test_a_fork_convicts_its_author():
    assert read_evidence(FORK, NETWORK, COMMITTEE) == Conviction(
        3, "signed two different blocks of height 1"
    )


def test_two_votes_in_one_view_convict_and_two_alike_do_not():
    first, name = voting(bytes(32), 1, NO_DIGEST)
    second, _ = voting(b"x" * 32, 2, name)
    same, _ = voting(bytes(32), 2, name)
    found = read_evidence(write_evidence(NETWORK, first, second), NETWORK, COMMITTEE)
    assert isinstance(found, Conviction)
    assert (found.culprit, "two different values" in found.why) == (3, True)
    assert isinstance(
        read_evidence(write_evidence(NETWORK, first, same), NETWORK, COMMITTEE), Malformed
    )


def signed_by_another():
    unsigned, name = write_block(Draft(NETWORK, 0, 3, 1, NO_DIGEST, 7, ()))
    return unsigned + sign(SUPER_AGENT_KEYS[2], block_prefix(NETWORK, 0) + name)


HONEST = {
    "one block twice": write_evidence(NETWORK, ONE, ONE),
    "a chain": write_evidence(NETWORK, ONE, make_block(3, 2, ONE_NAME)[0]),
    "two authors": write_evidence(NETWORK, ONE, make_block(2, 1, NO_DIGEST)[0]),
    "forged signature": write_evidence(NETWORK, ONE, signed_by_another()),
    "a reference more": write_evidence(
        NETWORK, make_block(2, 1, NO_DIGEST)[0], make_block(1, 1, NO_DIGEST)[0]
    ),
    "nothing": b"",
    "something behind": FORK + b"x",
    "cut short": FORK[:-1],
    "another network": write_evidence(bytes(32), ONE, OTHER),
}


@pytest.mark.parametrize("case", HONEST)
def test_forged_evidence_convicts_nobody(case):
    assert isinstance(read_evidence(HONEST[case], NETWORK, COMMITTEE), Malformed)


@given(st.integers(0, len(FORK) - 1), st.integers(1, 255))
def test_no_changed_byte_convicts_somebody_else(place, change):
    altered = bytearray(FORK)
    altered[place] ^= change
    found = read_evidence(bytes(altered), NETWORK, COMMITTEE)
    assert isinstance(found, Malformed)


@given(st.binary(max_size=400))
def test_garbage_convicts_nobody(data):
    assert isinstance(read_evidence(data, NETWORK, COMMITTEE), Malformed)


# -- two votes in view 0 ----------------------------------------------------------------------------------

A, B = make_order(ANN, BEN, 10_000, 0), make_order(ANN, CYD, 20_000, 0)


class Story:
    """Blocks by the name of whoever signs them; author 3 is the voter, who is to be convicted or not."""

    def __init__(self):
        self.blocks = {}
        self.newest = {author: Name(author, 0, 0, NO_DIGEST) for author in (1, 2, 3)}

    def write(self, author, references=(), orders=None, refuses=(), recovery=b""):
        """A block on its author's newest; `refuses` are names whose first order is refused."""
        before = self.newest[author]
        code = np.array([int(Outcome.SLOT_TAKEN)], np.uint8)
        rejections = b"".join(
            write_rejection(r.author, 0, r.height, 1, np.array([0]), code) for r in refuses
        )
        names = [(name.author, name.height, name.digest) for name in references]
        data, digest = make_block(
            author, before.height + 1, before.digest, names, orders, rejections, recovery
        )
        name = Name(author, 0, before.height + 1, digest)
        self.newest[author] = name
        self.blocks[name] = data
        return name

    def told(self, *ballots):
        """What a file of these two ballots proves."""
        content = write_two_votes(NETWORK, TwoVotes(3, ballots), self.blocks.get)
        return read_evidence(content, NETWORK, COMMITTEE)

    def shown(self):
        """A replica to which all blocks are shown. It votes for A, so B is refused and counted apart."""
        listener = Listener()
        for data in self.blocks.values():
            listener.hear_blocks(data)
            listener.speak()
        return listener


def gullible():
    """Author 3 references A's block by name, and B's from two blocks above."""
    story = Story()
    a = story.write(1, orders=A)
    votes_a = story.write(3, [a])
    early = story.write(2)
    sees = story.write(3, [early])
    b = story.write(2, orders=B)
    above = [story.write(2), story.write(2)]
    idle = story.write(3)
    votes_b = story.write(3, [above[1]])
    first = Ballot(0, a, (votes_a,))
    second = Ballot(0, b, (votes_b, idle, sees), (above[1], above[0]))
    return story, first, second


def test_a_replica_convicts_who_votes_for_two_orders_of_a_slot_and_a_stranger_believes_it():
    story, first, second = gullible()
    assert story.told(first, second) == Conviction(3, "voted for two different orders in one slot")
    listener = story.shown()
    (found,) = listener.evidence
    assert (found.culprit, set(found.ballots)) == (3, {first, second})
    content = write_two_votes(NETWORK, found, story.blocks.get)
    assert read_evidence(content, NETWORK, COMMITTEE).culprit == 3
    assert len(content) < 8_192
    # Its votes count as before, it is referenced no more, and nothing is said of it twice.
    dispute = listener.replica.disputes.get(SLOT)
    assert all(3 in votes.heights for votes in dispute.votes.values())
    listener.hear_blocks(story.blocks[story.write(3)], story.blocks[story.write(2)])
    (block,) = listener.speak(after_ms=1_000)
    assert [name.author for name in block.references] == [2]
    assert listener.replica.convicted == {3}
    assert len(listener.evidence) == 1


def test_who_carries_one_order_and_votes_for_its_rival_is_convicted():
    story = Story()
    own = story.write(3, orders=A)
    b = story.write(2, orders=B)
    votes_b = story.write(3, [b])
    (found,) = story.shown().evidence
    assert set(found.ballots) == {Ballot(0, own), Ballot(0, b, (votes_b,))}
    assert isinstance(story.told(*found.ballots), Conviction)


def test_votes_long_ago_are_evidence_only_where_few_heads_show_them():
    story = Story()
    votes_a = story.write(3, [story.write(1, orders=A)])
    story.write(2, orders=B)
    for _ in range(70):
        above = story.write(2)
    story.write(3, [above])
    assert votes_a
    assert not story.shown().evidence


def refusing():
    story, first, _ = gullible()
    b = story.write(2, orders=B)
    votes = story.write(3, [b], refuses=[b])
    return story, first, Ballot(0, b, (votes,))


def fencing():
    """It fences the slot in the same block: what that block references, is no vote."""
    story, first, _ = gullible()
    b = story.write(2, orders=B)
    fence = write_recovery(Recovery((Fence(SLOT, 1, np.zeros(0, ORDER)),)))
    votes = story.write(3, [b], recovery=fence)
    return story, first, Ballot(0, b, (votes,))


def refused_before():
    """The block was refused by an earlier reference: a later one covers it, and does not vote on it."""
    story = Story()
    first = Ballot(0, (a := story.write(1, orders=A)), (story.write(3, [a]),))
    b = story.write(2, orders=B)
    refuses = story.write(3, [b], refuses=[b])
    above = story.write(2)
    votes = story.write(3, [above])
    return story, first, Ballot(0, b, (votes, refuses), (above,))


def start_not_shown():
    story, first, second = gullible()
    return story, first, Ballot(0, second.block, second.voting[:2], second.chain)


def gap_in_the_chain():
    story, first, second = gullible()
    return story, first, Ballot(0, second.block, second.voting, second.chain[:1])


def another_voter():
    story, first, _ = gullible()
    b = story.write(2, orders=B)
    return story, first, Ballot(0, b, (story.write(1, [b]),))


def one_order_twice():
    story, first, _ = gullible()
    again = story.write(2, orders=A)
    return story, first, Ballot(0, again, (story.write(3, [again]),))


def another_slot():
    story, first, _ = gullible()
    later = story.write(2, orders=make_order(ANN, BEN, 10_000, 1))
    return story, first, Ballot(0, later, (story.write(3, [later]),))


def no_such_row():
    story, first, second = gullible()
    return story, first, Ballot(1, second.block, second.voting, second.chain)


NO_VOTES = [
    refusing, fencing, refused_before, start_not_shown, gap_in_the_chain, another_voter,
    one_order_twice, another_slot, no_such_row,
]  # fmt: skip


@pytest.mark.parametrize("case", NO_VOTES, ids=lambda case: case.__name__)
def test_what_is_no_second_vote_convicts_nobody(case):
    story, *ballots = case()
    assert isinstance(story.told(*ballots), Malformed)


def test_who_came_back_is_not_convicted_for_referencing_all_of_history():
    """Under a new incarnation everything is referenced anew, with what was refused long ago."""
    story, first, _ = gullible()
    fresh = story.write(2, orders=B)
    names = tuple(Name(*name[:3], name[3]) for name in (first.block, fresh))
    unsigned, digest = write_block(Draft(NETWORK, 0, 3, 5, bytes(32), 0, names, incarnation=1))
    votes = Name(3, 1, 5, digest)
    story.blocks[votes] = unsigned + sign(SUPER_AGENT_KEYS[3], block_prefix(NETWORK, 0) + digest)
    assert isinstance(read_block(story.blocks[votes], NETWORK, 4).incarnation, int)
    ballots = [Ballot(0, block, (votes,)) for block in (first.block, fresh)]
    assert isinstance(story.told(*ballots), Malformed)


TWO_VOTES = write_two_votes(NETWORK, TwoVotes(3, gullible()[1:]), gullible()[0].blocks.get) or b""


@given(st.integers(0, len(TWO_VOTES) - 1), st.integers(1, 255))
def test_no_changed_byte_of_two_ballots_convicts_anybody(place, change):
    altered = bytearray(TWO_VOTES)
    altered[place] ^= change
    found = read_evidence(bytes(altered), NETWORK, COMMITTEE)
    assert isinstance(found, Malformed) or found.culprit == 3


@given(st.integers(0, len(TWO_VOTES) - 1))
def test_two_ballots_cut_short_convict_nobody(length):
    assert isinstance(read_evidence(TWO_VOTES[:length], NETWORK, COMMITTEE), Malformed)


def test_a_restart_finds_what_was_final_only_because_somebody_is_convicted():
    """One order in a convict's block and in an honest one, with less than a quorum for either block."""
    story = Story()
    forked = story.write(3, orders=A)
    copied = story.write(2, orders=A)
    votes = story.write(1, [forked])
    sees = story.write(2, [votes])
    story.write(1, [sees])
    story.write(3, [sees])
    assert copied.height < sees.height
    for convicted, balance in (([], OPENING_CENTS), ([3], OPENING_CENTS + 10_000)):
        replica = Listener().replica
        replica.restore(enumerate(story.blocks.values()), convicted)
        assert replica.ledger.accounts[BEN]["balance"] == balance


def test_a_certificate_that_needs_a_vote_which_nobody_references_keeps_no_slot_shut():
    story = Story()
    a = story.write(1, orders=A)
    votes = story.write(3, [a])
    refuses = story.write(2, [a], refuses=[a])
    listener = Listener()
    fork, _ = make_block(3, 1, NO_DIGEST, [])
    listener.hear_blocks(*(story.blocks[name] for name in (a, votes, refuses)), fork)
    (block,) = listener.speak()
    assert [name.author for name in block.references] == [1, 2]
    blocks = []
    for _ in range(12):
        listener.hear(OrdersOffered(1, A))
        blocks += listener.speak(after_ms=500)
    dispute, chains = listener.replica.disputes.get(SLOT), listener.replica.chains
    assert [sorted(dispute.votes[c].heights) for c in dispute.certified(chains)] == [[0, 1, 3]]
    assert [fence.slot for block in blocks for fence in block.recovery.fences] == [SLOT]
