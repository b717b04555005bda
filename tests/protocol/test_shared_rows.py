"""What replicas of one process know of a block's past is computed once, and is what each would compute."""

import random

import numpy as np
import pytest
from tests.protocol.network import (
    NETWORK,
    SUPER_AGENT_KEYS,
    make_block,
    make_committee,
    make_ledger,
)

from harambee.protocol.chains import CERTIFIED, VOTED, Chains, Lane
from harambee.protocol.fold import Fold
from harambee.protocol.remembering import Memory, RememberingChecking
from harambee.protocol.replica import Replica
from harambee.protocol.wire import NO_DIGEST

MEMBERS, QUORUM = 4, 3


class Counting(Memory[object]):
    """A memory that counts how often it knew."""

    def __init__(self):
        super().__init__(1 << 20)
        self.known = 0

    def get(self, name):
        found = super().get(name)
        self.known += found is not None
        return found


def name_of(lane, height, branch=0):
    return bytes([lane, branch]) + height.to_bytes(30, "little")


def grow(dice, several, lanes):
    """Add one block to each of several chains: of a random lane, with random references."""
    first = several[0]
    lane = dice.choice(lanes)
    author = first.lanes[lane].author
    voted = first.head_row(lane)[VOTED]
    references = [
        (other, int(first.heads[other]))
        for other in lanes
        if first.lanes[other].author != author
        and first.heads[other] > max(voted[other], first.lanes[other].base)
        and dice.random() < 0.7
    ]
    height = int(first.heads[lane]) + 1
    for chains in several:
        chains.extend(lane, name_of(lane, height), np.array(references, np.int64).reshape(-1, 2))
    for chains in several[1:]:
        assert (chains.row(lane, height) == first.row(lane, height)).all()
        assert (chains.final == first.final).all()


def assert_final_is_what_a_quorum_acknowledges(chains):
    ranked = np.sort(chains.acknowledged, axis=0)[::-1]
    assert chains.final.tolist() == ranked[QUORUM - 1].tolist()
    assert chains.final.any(), "the case is not an empty one"


@pytest.mark.parametrize("seed", range(10))
def test_shared_rows_are_those_that_each_would_compute(seed):
    dice, memory = random.Random(seed), Counting()
    several = [Chains(MEMBERS, QUORUM)] + [
        Chains(MEMBERS, QUORUM, remembered=memory) for _ in range(3)
    ]
    for _ in range(150):
        grow(dice, several, range(MEMBERS))
    assert memory.known == 2 * 150, "the first that asks computes"
    assert_final_is_what_a_quorum_acknowledges(several[1])


@pytest.mark.parametrize("seed", range(5))
def test_a_new_incarnation_goes_on_sharing_with_those_that_know_it(seed):
    dice, memory = random.Random(seed), Counting()
    alone, one, other = (
        Chains(MEMBERS, QUORUM),
        Chains(MEMBERS, QUORUM, remembered=memory),
        Chains(MEMBERS, QUORUM, remembered=memory),
    )
    for _ in range(60):
        grow(dice, (alone, one, other), range(MEMBERS))
    lane = Lane(2, 1, -1, 0)
    assert alone.open_lane(lane) == one.open_lane(lane) == MEMBERS
    known = memory.known
    # `other` has not seen the new chain yet: its rows have no place for it.
    for chains in (alone, one, other):
        chains.extend(0, name_of(0, int(one.heads[0]) + 1), np.zeros((0, 2), np.int64))
    assert memory.known == known, "who counts other lanes asks for something else"
    other.open_lane(lane)
    for _ in range(150):
        grow(dice, (alone, one, other), [0, 1, 3, MEMBERS])
    assert memory.known == known + 150
    assert_final_is_what_a_quorum_acknowledges(one)


def test_who_has_seen_a_fork_asks_nobody():
    """Two replicas may have numbered the two branches the other way round."""
    memory, first = Counting(), np.zeros((0, 2), np.int64)
    replicas = [Chains(MEMBERS, QUORUM, remembered=memory) for _ in range(2)]
    branches = [name_of(0, 1, branch) for branch in (1, 2)]
    for chains, order in zip(replicas, (branches, branches[::-1]), strict=True):
        chains.extend(0, order[0], first)
        chains.extend(chains.open_lane(Lane(0, 0, -1, 0)), order[1], first)
    for chains, lane in zip(replicas, (0, MEMBERS), strict=True):
        assert chains.find(0, 1, branches[0]) == lane
        chains.extend(1, name_of(1, 1), np.array([(lane, 1)]))
    assert memory.known == 0
    assert [chains.row(1, 1)[VOTED].tolist() for chains in replicas] == [
        [1, 1, 0, 0, 0],
        [0, 1, 0, 0, 1],
    ]


def test_what_goes_on_from_a_frame_goes_on_counting_and_sharing():
    dice, memory = random.Random(1), Counting()
    whole = Chains(MEMBERS, QUORUM)
    for _ in range(60):
        grow(dice, (whole,), range(MEMBERS))
    begun = [Chains(MEMBERS, QUORUM, remembered=memory) for _ in range(2)]
    for chains in begun:
        frame = Chains(MEMBERS, QUORUM)
        frame.begin_at(whole.heads, whole.final, whole.acknowledged)
        for lane in range(MEMBERS):
            frame.keep(lane, *whole.kept_of(lane))
        chains.become(frame)
    for _ in range(100):
        grow(dice, (whole, *begun), range(MEMBERS))
    assert memory.known == 100


def test_what_was_cut_off_by_a_window_is_given_to_nobody():
    """Else what a lane acknowledges would fall with its height, for who knew more of the block before."""
    memory, none = Counting(), np.zeros((0, 2), np.int64)
    knowing, ahead = (Chains(MEMBERS, QUORUM, window=8, remembered=memory) for _ in range(2))
    begun = [
        (0, 1, none),
        (1, 1, np.array([(0, 1)])),
        (2, 1, np.array([(0, 1)])),
        (0, 2, np.array([(1, 1), (2, 1)])),
    ]
    slow = [(3, 1, np.array([(0, 2)])), (3, 2, none)]
    for chains in (knowing, ahead):
        for lane, height, references in begun:
            chains.extend(lane, name_of(lane, height), references)
    for height in range(2, 14):
        ahead.extend(1, name_of(1, height), none)
        ahead.extend(2, name_of(2, height), none)
    # Their lanes differ while the first of the slow lane's blocks comes, and not any more at the second.
    ahead.open_lane(Lane(2, 1, -1, 0))
    knowing.extend(3, name_of(3, 1), slow[0][2])
    for lane, height, references in slow:
        ahead.extend(lane, name_of(lane, height), references)
    knowing.open_lane(Lane(2, 1, -1, 0))
    knowing.extend(3, name_of(3, 2), none)
    assert ahead.row(3, 2)[CERTIFIED][0] == 0, "cut off"
    assert [int(knowing.row(3, height)[CERTIFIED][0]) for height in (1, 2)] == [1, 1]
    assert knowing.first_acknowledgements(0, 1)[3] == 1


def test_a_fold_that_makes_a_frame_computes_by_itself():
    """Frames are compared byte by byte; a row may be cut off where the window of who computed it was."""
    committee, checking = make_committee(4), RememberingChecking(NETWORK, make_committee(4))
    checking.rows = Counting()
    blocks = [make_block(author, 1, NO_DIGEST)[0] for author in range(4)]
    for _ in range(2):
        fold = Fold(NETWORK, committee, make_ledger(4, 2), checking)
        assert list(fold.fold(enumerate(blocks)))
    assert checking.rows.known == 0
    for index in range(2):
        key = SUPER_AGENT_KEYS[index]
        replica = Replica(NETWORK, committee, index, key, make_ledger(4, 2), checking=checking)
        replica.restore(enumerate(blocks), {})
    assert checking.rows.known == 4
