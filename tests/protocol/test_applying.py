"""Final orders in whatever order they come: the ledger ends as if they had come in theirs."""

import random

import numpy as np
import pytest
from tests.protocol.network import customers, make_ledger, make_order

from harambee.ledger.kinds import Space
from harambee.ledger.side_tables import subject_of_account
from harambee.protocol.applying import Applier
from harambee.protocol.slot import Slot

PEOPLE, EACH = 6, 8


@pytest.fixture(scope="module")
def gapless():
    """Of each payer so many orders in a row, as a list for each payer."""
    numbers = customers(PEOPLE)
    return [
        [
            make_order(payer, numbers[(k + 1 + sequence % (PEOPLE - 1)) % PEOPLE], 1_000, sequence)
            for sequence in range(EACH)
        ]
        for k, payer in enumerate(numbers)
    ]


def blocks_of(chains, dice, most):
    """The orders in no order at all, in blocks of a few."""
    orders = [order for chain in chains for order in chain]
    dice.shuffle(orders)
    blocks = []
    while orders:
        count = dice.randint(1, most)
        blocks.append(np.concatenate(orders[:count]))
        del orders[:count]
    return blocks


@pytest.mark.parametrize("seed", range(12))
def test_all_are_applied_once_whatever_order_they_come_in(gapless, seed):
    dice = random.Random(seed)
    applier = Applier(make_ledger(4, PEOPLE))
    skipped = {dice.randrange(PEOPLE): dice.randrange(EACH - 2) for _ in range(2)}
    chains = [
        [order for order in chain if order["sequence"][0] != skipped.get(k)]
        for k, chain in enumerate(gapless)
    ]
    burnt = {Slot.of(gapless[k][sequence][0]) for k, sequence in skipped.items()}
    told = []
    for position, orders in enumerate(blocks_of(chains, dice, 5)):
        told.append(applier.apply(orders, position, np.arange(len(orders), dtype=np.uint32)))
        if dice.random() < 0.5:
            told += applier.apply_waiting()
        burnt = {slot for slot in burnt if not applier.skip(slot)}
    for _ in range(PEOPLE * EACH):
        burnt = {slot for slot in burnt if not applier.skip(slot)}
        told += applier.apply_waiting()
    assert not burnt, "a slot is skipped once the orders before it are applied"
    told += applier.apply_waiting()
    assert len(applier) == 0
    expected = [order for chain in chains for order in chain]
    assert sorted(order.tobytes() for batch in told for order in batch) == sorted(
        order.tobytes() for order in expected
    )
    in_order = make_ledger(4, PEOPLE)
    for k, chain in enumerate(gapless):
        for sequence, order in enumerate(chain):
            if sequence == skipped.get(k):
                assert in_order.skip(
                    Space.ACCOUNT, subject_of_account(int(order["payer"][0])), sequence
                )
            else:
                in_order.apply(order, 0, np.zeros(1, np.uint32))
    assert applier.ledger.digest() == in_order.digest()


def test_a_final_order_waits_in_its_slot_until_the_one_before_it_is_applied(gapless):
    applier = Applier(make_ledger(4, PEOPLE))
    first, second = gapless[0][:2]
    row = np.zeros(1, np.uint32)
    assert len(applier.apply(second, 1, row)) == 0
    assert applier.waits_in(Slot.of(second[0]))
    assert not applier.waits_in(Slot.of(first[0]))
    assert applier.apply_waiting() == []
    assert len(applier.apply(first, 0, row)) == 1
    (applied,) = applier.apply_waiting()
    assert applied.tobytes() == second.tobytes()
    assert not applier.waits_in(Slot.of(second[0]))
    # Where it lies is remembered: statements are read from there.
    assert applier.ledger.entries["position"].tolist() == [0, 1]
