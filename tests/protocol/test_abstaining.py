"""Who lost its disk takes no part in the slots in which it may have promised something.

It fences them for good, in its blocks. How that is counted is compared with the definition in
`test_definition.py`.
"""

import numpy as np
import pytest
from tests.protocol.network import Network, customers, make_block, make_order

from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ORDER
from harambee.protocol import reentry, replica
from harambee.protocol.messages import BlockArrived
from harambee.protocol.recovery_entries import ABSTAINS, Fence, Recovery, write_recovery
from harambee.protocol.reentry import Phase
from harambee.protocol.slot import Slot

ANN, BEN, CYD, DAN = customers(4)


def lose_disk(network, index):
    network.kill(index)
    network.nodes[index].disk.clear()
    network.restart(index, re_enter=True)
    again = network.nodes[index].replica
    network.until(lambda: again.re_entering.phase == Phase.ABSTAINING)
    network.run(1)
    return again


@pytest.fixture
def one_abstaining():
    """Four, of whom 3 has lost its disk and abstains in Ann's next two slots; and 3 itself."""
    network = Network(delay_ms=(5, 5))
    network.run(1)
    network.pay(3, make_order(ANN, BEN, 10_000, 0))
    return network, lose_disk(network, 3)


def undecided_order(network):
    """One of Ann's in a block of 0, in a slot in which 3 abstains, while 2 is down: nothing comes of it."""
    network.kill(2)
    order = make_order(ANN, CYD, 10_000, 1)
    network.offer(0, order)
    network.run(1)
    return order


def own_blocks(network, index):
    """The blocks that a super-agent has made under its newest incarnation."""
    own = network.nodes[index].replica
    blocks = [own._checking.read(data) for data in network.nodes[index].disk]
    return [b for b in blocks if (b.author, b.incarnation) == (index, own.own_incarnation)]


def assert_it_opened_nothing(network, index):
    blocks = own_blocks(network, index)
    assert {f.view for b in blocks for f in b.recovery.fences} == {ABSTAINS}
    assert not any(b.recovery.votes or b.recovery.proposals for b in blocks)


def test_abstentions_are_counted_by_group_and_make_no_disputes(one_abstaining):
    network, three = one_abstaining
    order = undecided_order(network)
    slot = Slot.of(order[0])
    for index in (0, 1, 3):
        held = network.nodes[index].replica
        assert held.disputes.get(slot) is None
        assert held.doubts.abstains(held.chains, three.lane, slot)
    network.restart(2)
    network.until(lambda: network.is_final(order))
    network.assert_same()


def test_who_abstains_takes_no_order_at_its_door_that_lies_elsewhere(one_abstaining):
    network, three = one_abstaining
    order = undecided_order(network)
    network.offer(3, order, ticket=7)
    network.run(1)
    (place,) = three._kept.places(Slot.of(order[0]))
    assert place.lane == 0
    assert network.nodes[3].refused == {(7, 0): Outcome.SLOT_FENCED}


def test_who_abstains_owes_no_acknowledgement(one_abstaining):
    """What is certified makes whoever acknowledges it speak at once; 3 has nothing to say."""
    network, three = one_abstaining
    network.offer(0, make_order(ANN, CYD, 10_000, 1))
    certified = 0
    for _ in range(1_000):
        network.run(0.001)
        if three.doubts.certified(three.chains):
            certified += 1
            assert not three._owed.items
    assert certified
    assert not len(three.doubts), "it is final"


def test_a_rival_at_its_door_makes_nobody_open_a_slot_who_abstains_in_it(one_abstaining):
    network, _ = one_abstaining
    order = undecided_order(network)
    network.offer(3, order)
    network.run(0.5)
    network.offer(3, make_order(ANN, BEN, 20_000, 1))
    network.run(3)
    assert_it_opened_nothing(network, 3)


def test_two_orders_at_its_own_door_make_it_neither_open_nor_vote(one_abstaining):
    """Nobody else has seen either; what it may have promised there forbids both."""
    network, three = one_abstaining
    network.kill(2)
    network.offer(3, make_order(ANN, CYD, 10_000, 1))
    network.offer(3, make_order(ANN, BEN, 20_000, 1))
    network.run(0.5)
    network.restart(2)
    network.until(lambda: three.ledger.next_sequence(ANN) == 2)
    network.run(1)
    network.assert_same()
    assert_it_opened_nothing(network, 3)


def test_what_it_abstained_from_before_it_refuses_by_name_and_does_not_lock(
    one_abstaining, monkeypatch
):
    """More slots wait than one block has room for: then it references later than it abstains."""
    network, three = one_abstaining
    network.kill(2)
    for module in (reentry, replica):
        monkeypatch.setattr(module, "ABSTENTIONS_MAX", 1)
    orders = np.concatenate([make_order(ANN, CYD, 10_000, 1), make_order(BEN, CYD, 10_000, 0)])
    network.offer(0, orders)
    network.run(1)
    (refusing,) = [b for b in own_blocks(network, 3) if b.rejections]
    (rejection,) = refusing.rejections
    assert rejection.rows == {0, 1}
    assert len(refusing.recovery.fences) == 1, "the other one it had fenced before"
    assert three.slots.locked_id(ANN, 1) is None
    assert three.slots.locked_id(BEN, 0) is None


def test_who_comes_back_abstains_from_what_lies_undecided_in_final_blocks():
    """Seven: 5 and 6 abstain and 4 is away, so the block is final and its order is not."""
    network = Network(n=7, delay_ms=(5, 5))
    network.run(1)
    for index in (5, 6):
        lose_disk(network, index)
    network.kill(4)
    order = make_order(ANN, CYD, 10_000, 0)
    slot = Slot.of(order[0])
    network.offer(0, order)
    network.run(1)
    zero = network.nodes[0].replica
    at = zero.doubts.place_of(slot)
    assert zero.chains.final[at.lane] >= at.height
    six = lose_disk(network, 6)
    network.run(1)
    assert six.own_incarnation == 2
    assert six._own_fence(slot) == ABSTAINS
    assert not network.is_final(order)
    network.restart(4)
    network.until(lambda: network.is_final(order))
    network.assert_same()


@pytest.mark.parametrize("opening", [1, 2])
def test_it_abstains_where_w_opened_a_slot_without_an_order(one_abstaining, opening):
    """A skip has no order, and whoever has its certificate in a past acknowledges it without a word."""
    network, three = one_abstaining
    slot = Slot.of_account(ANN, 1)
    for author in range(opening):
        network.kill(author)
        head = three._head_of(author)
        fence = Fence(slot, 1, np.zeros(0, ORDER))
        data, _ = make_block(
            author,
            head.height + 1,
            head.digest,
            recovery=write_recovery(Recovery((fence,))),
        )
        three.receive(BlockArrived(author, data), network.now)
    network.run(2)
    assert (three._own_fence(slot) == ABSTAINS) == (opening == 2), "one alone may be a liar"
