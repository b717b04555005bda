"""What lies twice among kept orders is found, all of it and nothing else."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import ORDER
from harambee.protocol import kept_orders
from harambee.protocol.disputes import Place
from harambee.protocol.kept_orders import KeptOrders
from harambee.protocol.slot import Slot

ONE_ORDER = st.tuples(
    st.sampled_from([OrderKind.SEND, OrderKind.CLAIM, OrderKind.RELEASE]),
    st.integers(0, 3),
    st.integers(0, 3),
)
BLOCKS = st.lists(st.tuples(st.lists(ONE_ORDER, min_size=1, max_size=5), st.booleans()), max_size=8)


def block_of(rows):
    orders = np.zeros(len(rows), ORDER)
    for order, (kind, whose, sequence) in zip(orders, rows, strict=True):
        order["kind"], order["sequence"] = kind, sequence
        order["payer"] = whose if kind == OrderKind.SEND else 0
        order["reference"][:2] = whose % 256, 1
    return orders


@given(BLOCKS)
def test_an_order_lies_twice_where_its_slot_is_found_twice_in_kept_blocks(blocks):
    kept, there = KeptOrders(4), {}
    for height, (rows, goes) in enumerate(blocks, start=1):
        orders = block_of(rows)
        kept.add(0, height, orders)
        there[height] = orders
        slots = Counter(Slot.of(order) for orders in there.values() for order in orders)
        expected = [row for row, order in enumerate(orders) if slots[Slot.of(order)] > 1]
        assert kept.rows_lying_twice(orders) == expected
        if goes:
            gone = min(there)
            kept.drop(0, gone, there.pop(gone))


PLACES = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), max_size=40)


@given(PLACES)
def test_kept_orders_are_found_where_they_lie_however_often_room_is_made(blocks):
    """Blocks of one order of one slot, in several lanes: what was kept longest goes."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kept_orders, "ROOM", 2)
        kept, there, heights = KeptOrders(4), [], Counter()
        for lane, stay in blocks:
            heights[lane] += 1
            orders = block_of([(OrderKind.SEND, 1, 0)])
            kept.add(lane, heights[lane], orders)
            there.append(Place(lane, heights[lane], 0))
            while len(there) > stay:
                gone = there.pop(0)
                kept.drop(gone.lane, gone.height, orders)
            assert kept.places(Slot.of(orders[0])) == there


def test_payers_who_pay_again_and_again_make_nobody_look_at_all_that_is_kept(monkeypatch):
    """Each in a slot of her own: nothing lies twice, and nothing is searched for."""
    kept = KeptOrders(1_000)
    searched = []
    monkeypatch.setattr(kept, "places", lambda slot: searched.append(slot) or [])
    for sequence in range(30):
        orders = block_of([(OrderKind.SEND, payer, sequence) for payer in range(1_000)])
        kept.add(0, sequence + 1, orders)
        assert kept.rows_lying_twice(orders) == []
    assert len(searched) < 30_000 // 50
