"""Blocks that wait for their past: a branch that grows while it is read is asked for ahead."""

from tests.protocol.network import (
    MS,
    NETWORK,
    START_NS,
    SUPER_AGENT_KEYS,
    make_block,
    make_committee,
    make_ledger,
)

from harambee.protocol.effects import Fetch, FetchNamed, Name
from harambee.protocol.limits import NAMED_ANSWER_NS, NAMES_MAX
from harambee.protocol.messages import BlockArrived, FetchEnded, PeerUp
from harambee.protocol.parking import AHEAD_TURNS_MAX, Parking
from harambee.protocol.replica import Replica
from harambee.protocol.wire import NO_DIGEST, read_block

MEMBERS = 4
FORKER, FOLLOWER, PEER = 3, 1, 2


def branch_of(length):
    """A forker's branch, by name, and the chain of an author whose every block refers to the newest of it."""
    names, followers = [], []
    before = previous = NO_DIGEST
    for height in range(1, length + 1):
        _, before = make_block(FORKER, height, before)
        names.append(Name(FORKER, 0, height, before))
        data, previous = make_block(FOLLOWER, height, previous, [(FORKER, height, before)])
        followers.append(read_block(data, NETWORK, MEMBERS))
    return names, followers


def parked(followers):
    """All but the first wait for the one before them, and the first for the branch."""
    parking = Parking(MEMBERS)
    for block in followers:
        parking.add(block, PEER, vouched=True)
    return parking


def asked(parking, now):
    requests, _ = parking.requests(parking.lacking(), {PEER}, now)
    return [name for request in requests for name in request.names]


def test_a_branch_is_asked_for_as_far_as_parked_blocks_refer_to_it():
    names, followers = branch_of(40)
    parking = parked(followers)
    parking.wait(followers[0].digest, names[0])
    assert asked(parking, 0) == [names[0]], "one by one it would be, at one for each answer"
    parking.look_ahead([FORKER], lambda name: name.height <= 5, MS)
    assert asked(parking, 2 * MS) == names[5:], "but for those that are held"
    assert all(parking.is_wanted(name.digest) for name in names[5:])


def test_what_a_parked_block_waits_for_is_asked_for_before_what_lies_ahead():
    names, followers = branch_of(20)
    parking = parked(followers)
    parking.look_ahead([FORKER], lambda name: name.height == 1, 0)
    parking.wait(followers[0].digest, names[0])
    assert parking.lacking()[0] == names[0]
    assert parking.arrived(names[0].digest) == [followers[0].digest]


def test_names_of_blocks_that_do_not_exist_are_few_and_forgotten():
    names, followers = branch_of(NAMES_MAX + 50)
    parking = parked(followers)
    now = 0
    for turn in range(AHEAD_TURNS_MAX):
        parking.look_ahead([FORKER], lambda _: False, now)
        assert len(parking.lacking()) == NAMES_MAX
        assert len(asked(parking, now)) == NAMES_MAX
        now += NAMED_ANSWER_NS << turn + 1  # each time more patiently
    parking.look_ahead([FORKER], lambda _: True, now)
    assert not any(parking.is_wanted(name.digest) for name in names)


def test_what_an_answer_left_out_is_asked_for_by_name():
    """An answer may end early, and the author may never speak again: nobody would claim the block anew."""
    replica = Replica(NETWORK, make_committee(4), 0, SUPER_AGENT_KEYS[0], make_ledger(4, 2))
    _, name = make_block(FORKER, 1, NO_DIGEST)
    data, _ = make_block(FOLLOWER, 1, NO_DIGEST, [(FORKER, 1, name)])
    replica.receive(PeerUp(FOLLOWER), START_NS)
    replica.receive(BlockArrived(FOLLOWER, data), START_NS)
    (fetch,) = requests(replica, START_NS, Fetch)
    assert (fetch.peer, fetch.ranges[0].author) == (FOLLOWER, FORKER)
    assert not requests(replica, START_NS + MS, FetchNamed)
    replica.receive(FetchEnded(FOLLOWER), START_NS + 2 * MS)
    found = [requests(replica, START_NS + at * MS, FetchNamed) for at in (2, 3, 4)]
    assert [FetchNamed(FOLLOWER, (Name(FORKER, 0, 1, name),))] in found


def requests(replica, now, kind):
    return [sent for sent in replica.act(now).send if isinstance(sent, kind)]
