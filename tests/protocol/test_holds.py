"""A hold ends exactly once: whoever dies, whoever comes first, at whichever doors the two sides are."""

import numpy as np
import pytest
from tests.protocol.network import (
    SECOND,
    TARIFF,
    Network,
    customers,
    make_order,
    sign_again,
)

from harambee.ledger.house_rules import AUTHORISATION_BIT
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import BODY_BYTES, NAMED_HOLD, NAMED_SLOT, ORDER, ORDER_BYTES
from harambee.ledger.rules import Order, named_slot
from harambee.money.tariff import FeeTable

ANN, BEN, CYD, DAN = customers(4)
CENTS = 10_000
KEY = ANN, 0


def hold_order(payer, payee, cents, sequence, authorisation=False):
    order = make_order(payer, payee, cents, sequence, kind=OrderKind.HOLD)
    order["fee"] = TARIFF.fee_cents(FeeTable.SEND, cents)
    order["options"] = [[OrderKind.SEND, 1, AUTHORISATION_BIT if authorisation else 0]]
    return sign_again(order)


def end_order(kind, hold, signer, cents=0, sequence=0):
    named = np.zeros(1, NAMED_HOLD)
    named["payer"], named["sequence"] = hold["payer"], hold["sequence"]
    named["amount"], named["fee"] = hold["amount"], hold["fee"]
    named["day"], named["movement"] = hold["day"], OrderKind.SEND
    order = make_order(signer, int(hold["payee"][0]), cents, sequence, kind=kind)
    if kind == OrderKind.RELEASE:
        order["fee"] = TARIFF.fee_cents(FeeTable.SEND, cents)
    order["reference"] = named.view(np.uint8).reshape(1, 32)
    return sign_again(order)


def release(hold, signer=ANN, cents=CENTS, sequence=0):
    return end_order(OrderKind.RELEASE, hold, signer, cents, sequence)


def void(hold, signer=ANN, sequence=0):
    return end_order(OrderKind.VOID, hold, signer, 0, sequence)


def about(kind, signer, payee, original, cents=0, sequence=0):
    named = np.zeros(1, NAMED_SLOT)
    named["payer"], named["sequence"] = original["payer"], original["sequence"]
    order = make_order(signer, payee, cents, sequence, kind=kind)
    order["reference"] = named.view(np.uint8).reshape(1, 32)
    return sign_again(order)


def held(network, node, key=KEY):
    """Whether a hold is open on a node."""
    return key in node.replica.ledger.side.holds


def has_ended(network, key=KEY, nodes=None):
    """Whether a hold was made and has ended on all who are up."""
    nodes = [node for node in network.nodes if node.up] if nodes is None else nodes
    ledgers = [node.replica.ledger for node in nodes]
    return all(
        ledger.next_sequence(key[0]) > key[1] and key not in ledger.side.holds for ledger in ledgers
    )


def ends_told(node, key=KEY):
    """The bodies by which a hold was ended, as a node told them."""
    found = []
    for body in node.settled:
        order = Order.of(np.frombuffer(body.ljust(ORDER_BYTES, b"\0"), ORDER)[0])
        if order.kind in {OrderKind.RELEASE, OrderKind.VOID} and named_slot(order) == key:
            found.append(body)
    return found


def assert_ended_once(network, *may):
    """Everybody told one end of the hold, the same; it is one of these, and the money went accordingly."""
    network.assert_sound()
    network.assert_same()
    told = {end for node in network.nodes if node.up for end in ends_told(node)}
    assert len(told) == 1
    (end,) = told
    assert end in {order.tobytes()[:BODY_BYTES] for order in may}
    released = end[24] == OrderKind.RELEASE
    cents = int.from_bytes(end[8:16], "little")
    fee = int.from_bytes(end[16:20], "little")
    for index, node in enumerate(network.nodes):
        if node.up:
            assert int(node.replica.ledger.accounts[ANN]["held"]) == 0
            assert network.balance(index, ANN) == network.opening - (cents + fee) * released
            assert network.balance(index, BEN) == network.opening + cents * released
    return end


def held_on_all(network, order):
    network.offer(0, order)
    network.until(lambda: all(held(network, node) for node in network.nodes if node.up))


@pytest.mark.parametrize("end", [release, void])
@pytest.mark.parametrize("dead", range(4))
def test_any_one_dies_and_the_hold_ends_through_another(dead, end):
    """The one that dies may be the broker: it had the hold in its own block."""
    network = Network(seed=dead)
    network.run(1)
    hold = hold_order(ANN, BEN, CENTS, 0)
    network.offer(dead, hold)
    network.until(lambda: all(held(network, node) for node in network.nodes))
    network.kill(dead)
    ending = end(hold)
    network.offer((dead + 1) % 4, ending)
    network.until(lambda: has_ended(network))
    network.restart(dead)
    network.run(2)
    assert assert_ended_once(network, ending) == ending.tobytes()[:BODY_BYTES]


@pytest.mark.parametrize("seed", range(5))
def test_the_broker_dies_at_once_and_whoever_has_the_hold_goes_on_with_it(seed):
    network = Network(seed=seed)
    network.run(1)
    hold = hold_order(ANN, BEN, CENTS, 0)
    network.offer(0, hold)
    network.run(0.03 * (seed + 1))
    network.kill(0)
    network.offer(1, hold)  # the handset hears nothing, and brings the same bytes elsewhere
    network.until(lambda: all(held(network, node) for node in network.nodes if node.up))
    ending = release(hold)
    network.offer(2, ending)
    network.until(lambda: has_ended(network))
    network.restart(0)
    network.run(2)
    assert_ended_once(network, ending)


@pytest.mark.parametrize("seed", range(12))
def test_two_of_seven_die_while_both_sides_end_it(seed):
    network = Network(seed=seed, n=7)
    network.run(1)
    hold = hold_order(ANN, BEN, CENTS, 0, authorisation=bool(seed % 2))
    held_on_all(network, hold)
    first = network.dice.randrange(7)
    doomed = [first, (first + 1 + network.dice.randrange(6)) % 7]
    # The side with the first word releases; the other one gives in: both may, at any time.
    both = (
        (release(hold, BEN, CENTS // 2), release(hold, ANN))
        if seed % 2
        else (void(hold, ANN), void(hold, BEN))
    )
    network.offer(doomed[0], both[0])
    network.offer((doomed[0] + 3) % 7, both[1])
    network.run(0.04)
    for index in doomed:
        network.kill(index)
    doors = [index for index in range(7) if index not in doomed]
    network.offer(doors[0], both[0])
    network.offer(doors[1], both[1])
    again = both[0].copy()
    again["sequence"] = 1
    both = (*both, until_ended(network, doors[0], sign_again(again)))
    for index in doomed:
        network.restart(index)
    network.run(3)
    assert_ended_once(network, *both)


@pytest.mark.parametrize("seed", range(12))
def test_a_release_by_one_side_and_a_void_by_the_other_at_two_doors_at_once(seed):
    """Both may: the payee who was authorised releases, and gives in by nothing; the payer releases."""
    network = Network(seed=seed)
    network.run(1)
    hold = hold_order(ANN, BEN, CENTS, 0, authorisation=True)
    held_on_all(network, hold)
    # The payee captures a part at one door and voids at another: he is of two minds, or two tills are.
    ends = release(hold, BEN, CENTS // 2), void(hold, BEN)
    for door in range(4):
        network.offer(door, network.dice.choice(ends))
    began = network.now
    ends = (*ends, until_ended(network, 0, void(hold, BEN, sequence=1)))
    assert network.now - began < 10 * SECOND
    network.run(1)
    assert_ended_once(network, *ends)


def until_ended(network, door, again):
    """Wait for the end; where recovery closes its first slot, what is signed again is the end."""
    network.until(lambda: has_ended(network) or any_skipped(network))
    if not has_ended(network):
        network.offer(door, again)
        network.until(lambda: has_ended(network))
    return again


def any_skipped(network):
    """Whether recovery closed the hold's first slot without an order, everywhere."""
    ledgers = [node.replica.ledger for node in network.nodes if node.up]
    return all(
        KEY in ledger.side.holds and ledger.side.holds[KEY].next_sequence for ledger in ledgers
    )


@pytest.mark.parametrize("seed", range(8))
def test_a_release_by_the_payer_and_a_void_by_the_payee_while_everybody_restarts(seed):
    network = Network(seed=seed, delay_ms=(1, 40))
    network.run(1)
    hold = hold_order(ANN, BEN, CENTS, 0)
    held_on_all(network, hold)
    ends = [release(hold, ANN), void(hold, BEN)]
    network.offer(seed % 4, ends[0])
    network.offer((seed + 1) % 4, ends[1])
    for turn in range(4):
        network.run(network.dice.random() * 0.1)
        network.kill(turn)
        network.run(network.dice.random() * 0.1)
        network.restart(turn)
    # Handsets bring what they signed to the next doors, until they hear how it ended.
    for turn in range(12):
        if has_ended(network):
            break
        slot = 1 if any_skipped(network) else 0
        if slot and len(ends) == 2:
            ends += [release(hold, ANN, sequence=1), void(hold, BEN, sequence=1)]
        network.offer(turn % 4, ends[2 * slot + turn % 2])
        network.run(2.5)
    assert has_ended(network)
    network.run(2)
    assert_ended_once(network, *ends)
    assert not any(node.replica.convicted for node in network.nodes)


def test_the_loser_is_refused_and_the_winner_may_be_brought_again():
    network = Network()
    network.run(1)
    hold = hold_order(ANN, BEN, CENTS, 0)
    held_on_all(network, hold)
    won, lost = release(hold, ANN), void(hold, BEN)
    network.offer(0, won)
    network.until(lambda: has_ended(network))
    network.offer(1, lost, ticket=7)
    network.offer(2, won, ticket=8)
    network.run(0.5)
    assert network.nodes[1].refused[7, 0] is Outcome.HOLD_UNKNOWN
    assert network.nodes[2].refused[8, 0] is Outcome.HOLD_UNKNOWN  # its door recognises it
    assert_ended_once(network, won)


def test_a_hold_does_not_keep_its_payer_from_paying():
    network = Network()
    network.run(1)
    hold = hold_order(ANN, BEN, CENTS, 0)
    held_on_all(network, hold)
    network.pay(1, make_order(ANN, CYD, CENTS, 1))
    network.pay(2, hold_order(ANN, DAN, CENTS, 2))
    network.offer(3, release(hold))
    network.until(lambda: has_ended(network))
    network.run(0.5)
    network.assert_sound()
    network.assert_same()
    assert all((ANN, 2) in node.replica.ledger.side.holds for node in network.nodes)


def test_a_refund_names_a_payment_that_every_voter_finds_on_its_disk():
    network = Network()
    network.run(1)
    paid = make_order(ANN, BEN, CENTS, 0)
    network.pay(0, paid)
    back = about(OrderKind.REFUND, BEN, ANN, paid, CENTS, 0)
    network.pay(1, back)
    too_much = about(OrderKind.REFUND, BEN, ANN, paid, 1, 1)
    network.offer(2, too_much, ticket=3)
    network.run(0.5)
    assert network.nodes[2].refused[3, 0] is Outcome.REFUND_ABOVE_ORIGINAL
    network.kill(3)
    network.restart(3)
    network.run(1)
    network.assert_sound()
    network.assert_same()


def test_who_cannot_read_the_original_refuses_and_the_others_carry_it():
    network = Network()
    network.run(1)
    paid = make_order(ANN, BEN, CENTS, 0)
    network.pay(0, paid)
    network.nodes[3].replica.ledger.original_at = lambda position, index: None
    back = about(OrderKind.REFUND, BEN, ANN, paid, CENTS, 0)
    network.offer(3, back, ticket=5)
    network.run(0.5)
    assert network.nodes[3].refused[5, 0] is Outcome.ORIGINAL_UNKNOWN
    network.pay(1, back)
    network.run(1)
    network.assert_sound()
    network.assert_same()
    for node in network.nodes:
        found = node.replica.ledger.side.reversals[KEY]
        assert found.refunded_cents == CENTS
