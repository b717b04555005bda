"""Replicas among each other: what becomes final, what never does, and what a crash must not change."""

import random

import numpy as np
import pytest
from tests.protocol.network import (
    BANK,
    MS,
    NETWORK,
    OPENING_CENTS,
    SECOND,
    START_NS,
    SUPER_AGENT_KEYS,
    TODAY,
    Listener,
    Network,
    customer_key,
    customers,
    make_block,
    make_committee,
    make_ledger,
    make_order,
)

from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.protocol.fold import JournalBroken
from harambee.protocol.messages import BlockArrived, OrdersOffered, PeerUp
from harambee.protocol.replica import Replica
from harambee.protocol.wire import NO_DIGEST, write_rejection

ANN, BEN, CYD, DAN = customers(4)


def test_a_payment_is_final_on_every_replica_within_a_few_blocks():
    network = Network()
    network.run(1)
    order = make_order(ANN, BEN, 10_000, 0)
    network.offer(2, order)
    began = network.now
    network.until(lambda: network.is_final(order))
    assert network.now - began < 200 * MS
    assert {network.balance(i, BEN) for i in range(4)} == {OPENING_CENTS + 10_000}
    network.assert_sound()
    network.assert_same()


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 10])
def test_networks_of_every_size_agree(n):
    network = Network(n=n)
    network.run(1)
    orders = [make_order(payer, BEN, 10_000, 0) for payer in (ANN, CYD, DAN)]
    for place, order in enumerate(orders):
        network.offer(place % n, order)
    network.until(lambda: all(network.is_final(order) for order in orders))
    network.assert_sound()
    network.assert_same()


def test_the_same_order_at_all_doors_and_ten_times_is_one_debit():
    network = Network()
    network.run(1)
    order = make_order(ANN, BEN, 10_000, 0)
    for turn in range(10):
        network.offer(turn % 4, order, ticket=turn)
        network.run(0.01)
    network.run(2)
    fee = int(order["fee"][0])
    for index in range(4):
        assert network.balance(index, ANN) == OPENING_CENTS - 10_000 - fee
        assert network.balance(index, BEN) == OPENING_CENTS + 10_000
        assert network.nodes[index].replica.counters.applied == 1
    network.assert_same()


@pytest.mark.parametrize("seed", range(40))
def test_two_orders_for_one_slot_are_never_both_final(seed):
    network = Network(seed=seed)
    network.run(1)
    first, second = make_order(ANN, BEN, 10_000, 0), make_order(ANN, CYD, 20_000, 0)
    network.offer(seed % 4, first)
    network.offer((seed + 1 + seed % 3) % 4, second)
    network.run(3)
    network.assert_sound()
    network.assert_same()
    fates = {network.final_in_slot(node, first) for node in network.nodes}
    assert len(fates) == 1, "all say the same, be it that nothing is final"


@pytest.mark.parametrize("seed", range(12))
def test_random_traffic_over_a_bad_network_ends_the_same_everywhere(seed):
    network = Network(seed=seed, people=12, loss=0.05, delay_ms=(1, 120))
    dice = random.Random(seed)
    people = customers(12)
    sequence = dict.fromkeys(people, 0)
    network.run(1)
    spent = 0
    for _ in range(60):
        payer, payee = dice.sample(people, 2)
        order = make_order(payer, payee, dice.randrange(10_000, 60_000), sequence[payer])
        door = dice.randrange(4)
        network.pay(door, order)
        sequence[payer] += 1
        spent += int(order["fee"][0])
    network.loss = 0
    network.run(3)
    network.assert_sound()
    network.assert_same()
    assert network.balance(0, 1) == spent, "every fee is with the region's revenue account"


@pytest.mark.parametrize("seed", range(20))
def test_kill_at_any_moment_loses_nothing_that_was_told(seed):
    network = Network(seed=seed, people=12, delay_ms=(1, 40))
    dice = random.Random(1_000 + seed)
    people = customers(12)
    sequence = dict.fromkeys(people, 0)
    network.run(1)
    for round_ in range(8):
        victim = dice.randrange(4)
        for _ in range(6):
            payer, payee = dice.sample(people, 2)
            order = make_order(payer, payee, dice.randrange(10_000, 60_000), sequence[payer])
            for door in dice.sample(range(4), 2):
                network.offer(door, order)
            network.run(dice.random() * 0.08)
            if any(network.is_final(order, i) for i in range(4) if network.nodes[i].up):
                sequence[payer] += 1
        before = list(network.nodes[victim].settled)
        network.kill(victim)
        network.run(dice.random() * 0.6)
        network.restart(victim)
        kept = network.nodes[victim].replica.ledger
        for body in before:
            payer, slot = int.from_bytes(body[:4], "little"), int.from_bytes(body[20:24], "little")
            assert kept.entry_of_slot(payer, slot) is not None, f"lost in round {round_}"
        network.until(lambda victim=victim: network.nodes[victim].replica.speaking)
    network.run(3)
    network.assert_sound()
    network.assert_same()
    assert not any(node.replica.convicted for node in network.nodes), "nobody forked its chain"


def test_a_restart_keeps_the_locks():
    """A vote given before a crash binds after it: the other order of the slot is refused."""
    network = Network()
    network.run(1)
    network.cut = {(0, p) for p in range(1, 4)}
    first, second = make_order(ANN, BEN, 10_000, 0), make_order(ANN, CYD, 20_000, 0)
    network.offer(0, first)
    network.run(0.3)
    network.kill(0)
    network.restart(0)
    network.run(0.5)
    network.offer(0, second, ticket=7)
    network.run(0.3)
    assert network.nodes[0].refused[7, 0] == Outcome.SLOT_TAKEN
    network.cut = set()
    network.until(lambda: network.is_final(first))
    network.assert_sound()


@pytest.mark.parametrize("restarts", [False, True], ids=["at once", "after a restart"])
@pytest.mark.parametrize("settled", [False, True], ids=["open", "decided"])
def test_who_votes_late_votes_for_no_rival_of_what_it_has_locked(settled, restarts):
    """A block may be final, disputed orders excepted, before one votes on it: its rivals are still refused.

    Replica 0 votes for `first`. Author 2's block has `rival` and another payer's order; author 1 refuses the
    rival, 3 does not, and their blocks make the whole block final before 0 says anything again. Or even the
    rival is final, because author 1 lies and votes for both: still no second vote of 0's.
    """
    first, rival = make_order(ANN, BEN, 10_000, 0), make_order(ANN, CYD, 20_000, 0)
    other = make_order(DAN, CYD, 10_000, 0)
    listener = Listener()
    one, one_name = make_block(1, 1, NO_DIGEST, (), first)
    listener.hear_blocks(one)
    (voting,) = listener.speak()
    assert not voting.rejections
    two, two_name = make_block(2, 1, NO_DIGEST, (), np.concatenate([rival, other]))
    taken = np.array([int(Outcome.SLOT_TAKEN)], np.uint8)
    refused = b"" if settled else write_rejection(2, 0, 1, 2, np.array([0]), taken)
    one_2, one_2_name = make_block(1, 2, one_name, [(2, 1, two_name)], None, refused)
    three, three_name = make_block(3, 1, NO_DIGEST, [(2, 1, two_name)])
    one_3, _ = make_block(1, 3, one_2_name, [(3, 1, three_name)])
    first_refused = write_rejection(1, 0, 1, 1, np.array([0]), taken)
    three_2, _ = make_block(3, 2, three_name, [(1, 2, one_2_name)], None, first_refused)
    sees = [(1, 2, one_2_name), (3, 1, three_name)]
    two_2, _ = make_block(2, 2, two_name, sees, None, first_refused)
    late = [two, one_2, three, one_3, three_2, two_2]
    listener.hear_blocks(*late)
    if restarts:
        listener = Listener()
        listener.replica.restore(enumerate([one, voting.data, *late]))
    assert listener.replica.ledger.next_sequence(DAN) == 1
    (answer,) = listener.speak()
    assert listener.replica.ledger.next_sequence(ANN) == settled
    (rejection,) = answer.rejections
    assert (rejection.author, rejection.height, rejection.indices.tolist()) == (2, 1, [0])


def test_f_dead_change_nothing_and_one_more_stops_it_until_one_comes_back():
    network = Network()
    network.run(1)
    network.kill(3)
    order = make_order(ANN, BEN, 10_000, 0)
    network.offer(0, order)
    network.until(lambda: network.is_final(order))
    network.kill(2)
    stuck = make_order(ANN, BEN, 20_000, 1)
    network.offer(0, stuck)
    network.run(5)
    assert not network.is_final(stuck, 0)
    assert not network.is_final(stuck, 1)
    network.restart(3)
    network.until(lambda: network.is_final(stuck))
    network.restart(2)
    network.until(lambda: network.is_final(stuck))
    network.run(1)
    network.assert_sound()
    network.assert_same()


def test_one_that_was_away_catches_up_from_the_others():
    network = Network(people=12)
    network.run(1)
    network.kill(1)
    people = customers(12)
    for sequence in range(30):
        orders = [make_order(payer, people[0], 10_000, sequence) for payer in people[1:]]
        network.offer(sequence % 4 if sequence % 4 != 1 else 0, *orders)
        network.run(0.2)
    network.restart(1)
    network.until(lambda: network.nodes[1].replica.speaking)
    network.run(1)
    network.assert_same()
    assert network.nodes[1].replica.counters.applied == 30 * 11


def test_an_order_ahead_of_its_turn_waits_for_the_one_before_it():
    network = Network()
    network.run(1)
    first, second = make_order(ANN, BEN, 10_000, 0), make_order(ANN, BEN, 20_000, 1)
    network.offer(0, first)
    network.offer(1, second, ticket=5)
    network.until(lambda: network.is_final(second))
    assert (5, 0) not in network.nodes[1].refused
    network.offer(2, make_order(CYD, BEN, 10_000, 5), ticket=6)
    network.run(0.1)
    assert network.nodes[2].refused[6, 0] == Outcome.SEQUENCE_AHEAD


BAD_ORDERS = {
    "unknown payer": ({"payer": 99_999}, Outcome.PAYER_UNKNOWN),
    "unknown payee": ({"payee": 99_999}, Outcome.PAYEE_UNKNOWN),
    "payer is payee": ({"payee": ANN}, Outcome.PAYER_IS_PAYEE),
    "wrong key": ({"key": customer_key(BEN)}, Outcome.SIGNATURE_INVALID),
    "wrong day": ({"day": TODAY + 2}, Outcome.DAY_WRONG),
    "skipped sequence": ({"sequence": 3}, Outcome.SEQUENCE_AHEAD),
}


@pytest.mark.parametrize("case", BAD_ORDERS)
def test_a_bad_order_is_refused_with_its_reason_and_changes_nothing(case):
    changes, outcome = BAD_ORDERS[case]
    fields = {"payer": ANN, "payee": BEN, "amount": 10_000, "sequence": 0} | changes
    network = Network()
    network.run(1)
    before = network.nodes[0].replica.ledger.digest()
    network.offer(0, make_order(**fields), ticket=1)
    network.run(1)
    assert network.nodes[0].refused[1, 0] == outcome
    assert network.nodes[0].replica.ledger.digest() == before
    assert network.nodes[0].replica.slots.in_use == 0


def test_a_voter_refuses_what_a_lying_broker_includes():
    """Author 3 lies: it puts a forged order beside a good one. The good one becomes final, it does not."""
    network = Network()
    network.kill(3)
    network.run(1)
    forged = make_order(ANN, BEN, 50_000, 0, key=customer_key(BEN))
    good = make_order(CYD, DAN, 10_000, 0)
    data, _ = make_block(3, 1, NO_DIGEST, (), np.concatenate([forged, good]))
    for peer in range(3):
        network._later(0, peer, BlockArrived(3, data))
    network.until(lambda: network.is_final(good))
    network.run(1)
    assert not any(network.final_in_slot(node, forged) for node in network.nodes[:3])
    assert all(network.balance(i, BEN) == OPENING_CENTS for i in range(3))
    later = make_order(ANN, BEN, 10_000, 0)
    network.offer(0, later)
    network.until(lambda: network.is_final(later))
    network.assert_sound()
    network.assert_same()
    assert network.nodes[0].replica.open_blocks == 0, "nothing of the liar's block is kept"


@pytest.mark.parametrize("seed", range(10))
def test_a_lying_author_who_votes_for_everything_makes_nothing_final_twice(seed):
    """Author 3 includes two orders of one slot in blocks shown to all; each honest one takes one."""
    network = Network(seed=seed)
    network.kill(3)
    network.run(1)
    first, second = make_order(ANN, BEN, 10_000, 0), make_order(ANN, CYD, 20_000, 0)
    one, name = make_block(3, 1, NO_DIGEST, (), first)
    two, _ = make_block(3, 2, name, (), second)
    for peer in range(3):
        network._later(network.dice.randrange(50) * MS, peer, BlockArrived(3, one))
        network._later(network.dice.randrange(50) * MS, peer, BlockArrived(3, two))
    network.offer(seed % 3, second)
    network.run(2)
    network.assert_sound()
    network.assert_same()


def test_a_fork_is_noticed_and_its_author_is_no_longer_referenced():
    network = Network()
    network.kill(3)
    network.run(1)
    one, _ = make_block(3, 1, NO_DIGEST, (), make_order(ANN, BEN, 10_000, 0))
    other, _ = make_block(3, 1, NO_DIGEST, (), make_order(ANN, CYD, 20_000, 0))
    network._later(0, 0, BlockArrived(3, one))
    network.run(0.2)
    network._later(0, 0, BlockArrived(3, other))
    network.run(0.2)
    assert network.nodes[0].replica.convicted == {3}
    network.assert_sound()


def test_a_replica_that_lost_its_disk_stops_speaking():
    network = Network()
    network.run(1)
    order = make_order(ANN, BEN, 10_000, 0)
    network.offer(0, order)
    network.until(lambda: network.is_final(order))
    network.kill(0)
    network.nodes[0].disk.clear()
    network.restart(0)
    network.run(3)
    replica = network.nodes[0].replica
    assert replica.halted is not None
    assert "lost or an old disk" in replica.halted
    assert replica.height == 0, "it has said nothing"
    more = make_order(ANN, BEN, 10_000, 1)
    network.offer(1, more)
    network.until(lambda: network.is_final(more, 1))
    network.offer(0, make_order(CYD, BEN, 10_000, 0), ticket=9)
    network.run(0.1)
    assert network.nodes[0].refused[9, 0] == Outcome.BROKER_BUSY


def test_a_replica_says_nothing_before_q_have_told_it_its_own_head():
    replica = Replica(NETWORK, make_committee(4), 0, SUPER_AGENT_KEYS[0], make_ledger(4, 4))
    replica.receive(OrdersOffered(1, make_order(ANN, BEN, 10_000, 0)), START_NS)
    for step in range(10):
        assert not replica.act(START_NS + step * SECOND).persist
    replica.receive(PeerUp(1), START_NS + 11 * SECOND)
    assert not replica.act(START_NS + 12 * SECOND).persist


def test_a_journal_that_does_not_fold_is_named():
    network = Network()
    network.run(1)
    network.offer(0, make_order(ANN, BEN, 10_000, 0))
    network.run(1)
    disk = network.nodes[0].disk
    for broken in (disk[1:], [disk[0], *disk], [*disk[:3], disk[3][:-1], *disk[4:]]):
        with pytest.raises(JournalBroken):
            network._replica(0).restore(enumerate(broken))


def test_a_cancel_burns_the_slot_and_moves_nothing():
    network = Network()
    network.run(1)
    cancel = make_order(ANN, ANN, 0, 0, kind=OrderKind.CANCEL)
    network.offer(1, cancel)
    network.until(lambda: network.is_final(cancel))
    assert network.balance(0, ANN) == OPENING_CENTS
    payment = make_order(ANN, BEN, 10_000, 1)
    network.offer(2, payment)
    network.until(lambda: network.is_final(payment))
    network.assert_sound()


def test_a_short_balance_is_refused_and_payable_after_a_credit():
    network = Network()
    network.run(1)
    order = make_order(ANN, BEN, OPENING_CENTS, 0)  # the fee on top is too much
    network.offer(0, order, ticket=1)
    network.run(0.5)
    assert network.nodes[0].refused[1, 0] == Outcome.BALANCE_INSUFFICIENT
    network.offer(1, make_order(CYD, ANN, 20_000, 0))
    network.run(1)
    network.offer(0, order, ticket=2)
    network.until(lambda: network.is_final(order))
    network.assert_sound()
    assert network.balance(0, BANK) == -8 * OPENING_CENTS


@pytest.mark.parametrize("seed", range(20))
def test_orders_in_flight_at_one_that_dies_do_not_wait_for_its_return(seed):
    network = Network(seed=seed, people=24, delay_ms=(1, 40))
    dice = random.Random(seed)
    people = customers(24)
    network.run(1)
    for sequence in range(3):
        orders = [make_order(payer, people[0], 10_000, sequence) for payer in people[1:]]
        for order in orders:
            network.offer(dice.randrange(4), order)
            network.run(0.004)
        if sequence == 2:
            network.kill(3)
        for order in orders:
            network.pay(dice.randrange(3), order)
    network.run(1)
    network.assert_sound()
    network.assert_same()
    for node in network.nodes[:3]:
        assert node.replica.counters.refused_in_blocks == 0, "the honest never refuse the honest"
