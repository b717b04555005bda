"""Whoever tries to make a replica work or remember without end, is bounded; and nothing honest is lost.

Author 3, or a customer, is the hostile one. Work is counted (blocks parsed, signatures checked, entries
kept), never timed.
"""

import tracemalloc

import numpy as np
import pytest
from tests.protocol.network import (
    MS,
    NETWORK,
    SECOND,
    SUPER_AGENT_KEYS,
    Listener,
    customers,
    heads_of,
    make_block,
    make_order,
)

from harambee.crypto.signatures import sign
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ORDER
from harambee.protocol import fold
from harambee.protocol.effects import Fetch, FetchNamed
from harambee.protocol.fold import PATROL_SLOTS
from harambee.protocol.limits import (
    BLOCK_NS_MIN,
    BLOCKS,
    FEW_BLOCKS,
    FEW_BYTES,
    FORGED_WORK,
    NAMED_ANSWER_NS,
    NAMED_DOUBLINGS_MAX,
    OFFER_DOUBLINGS_MAX,
    PARKED_BLOCKS_MAX,
    STRAY_SLOTS_MAX,
    WORK,
    Allowance,
    Rate,
)
from harambee.protocol.messages import (
    FetchEnded,
    HeadsArrived,
    OrdersOffered,
    PeerDown,
)
from harambee.protocol.recovery import (
    OPEN_AGAIN_NS,
    REGION_OPENS,
    VIEW_NS_MIN,
    VIEWS_CAP,
    Rescuer,
)
from harambee.protocol.recovery_entries import (
    FENCE_ORDERS_MAX,
    Fence,
    Recovery,
    ReEntry,
    write_recovery,
)
from harambee.protocol.slot import Slot
from harambee.protocol.wire import (
    BLOCK_ORDERS_MAX,
    INCARNATIONS_MAX,
    NO_DIGEST,
    Draft,
    block_prefix,
    write_block,
    write_rejection,
)

ANN, BEN, CYD, DAN, *CROWD = customers(12)
LIAR = 3
NO_ORDERS = np.zeros(0, ORDER)


def chain(count, author=LIAR, height=0, previous=NO_DIGEST, **parts):
    """So many blocks of one author, each on the one before, as (bytes, name)."""
    made = []
    for at in range(height + 1, height + count + 1):
        data, previous = make_block(author, at, previous, **parts)
        made.append((data, previous))
    return made


def fetches(listener, kind=Fetch):
    found = [out for out in listener.sent if isinstance(out, kind)]
    listener.sent.clear()
    return found


def serve(listener, blocks):
    """Answer what the listener asks of author 3, as author 3."""
    for fetch in fetches(listener):
        for part in fetch.ranges:
            listener.hear_blocks(
                *(data for data, _ in blocks[part.first - 1 : part.last]), peer=LIAR
            )
        listener.hear(FetchEnded(fetch.peer))


def held(listener, author=LIAR):
    return int(listener.replica.chains.heads[listener.replica.chains.current[author]])


# -- tokens -------------------------------------------------------------------------------------------


def test_an_allowance_comes_back_with_time_and_not_by_clocks_that_are_set():
    allowance = Allowance(Rate(10, 100))
    assert allowance.lasts(0)
    allowance.pay(1_000)
    assert not allowance.lasts(0)
    assert allowance.back_at() == (100 + 25) * SECOND // 10, "overdrawn by a burst at most"
    assert not allowance.lasts(allowance.back_at() - 1)
    assert allowance.lasts(allowance.back_at())
    allowance.pay(30)
    assert not allowance.lasts(0), "a clock that is set back brings nothing"
    assert not allowance.lasts(SECOND)
    assert allowance.lasts(4 * SECOND)
    assert allowance.lasts(10**6 * SECOND)
    assert allowance.left() == 100, "what is not used in a year is not used at once"


# -- what an author pushes --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flood():
    """More blocks than an author may push at once."""
    return chain(BLOCKS.burst + 300)


def test_blocks_beyond_an_authors_limit_are_not_looked_at_and_fetched_later(flood):
    listener = Listener()
    listener.hear_blocks(*(data for data, _ in flood))
    assert held(listener) == BLOCKS.burst
    assert listener.checking.signatures == listener.checking.parsed == BLOCKS.burst
    assert listener.replica.counters.deferred == len(flood) - BLOCKS.burst
    listener.speak()
    assert not fetches(listener), "there is no room for them yet"
    # Nothing is lost: as soon as there is, they are asked for.
    listener.speak(after_ms=BLOCKS.burst // 4 * 1_000 // BLOCKS.per_second)
    for _ in range(20):
        listener.speak()
        serve(listener, flood)
    assert held(listener) == len(flood)


def test_what_w_hold_is_taken_without_a_limit(flood):
    """Who is behind catches up at full speed: one of w is honest, and it was within that one's limits."""
    listener = Listener()
    for peer in (1, 2):
        listener.hear(HeadsArrived(peer, heads_of(4, of_3=len(flood))))
    listener.hear_blocks(*(data for data, _ in flood))
    assert held(listener) == len(flood)
    assert listener.replica.counters.deferred == 0


def test_one_that_claims_to_hold_a_flood_does_not_make_w(flood):
    listener = Listener()
    listener.hear(HeadsArrived(LIAR, heads_of(4, of_3=len(flood))))
    listener.hear_blocks(*(data for data, _ in flood), peer=LIAR)
    assert held(listener) == BLOCKS.burst


def test_an_authors_flood_costs_the_others_nothing(flood):
    listener = Listener()
    listener.hear_blocks(*(data for data, _ in flood))
    honest = chain(200, author=1)
    listener.hear_blocks(*(data for data, _ in honest))
    assert held(listener, 1) == 200
    assert not listener.replica.chains.heads[2]


def test_nobody_can_use_up_the_allowance_of_another():
    """Blocks in an honest author's name that it has not signed: only their sender is to blame."""
    listener = Listener()
    unsigned, _ = write_block(Draft(listener.replica.network, 0, 1, 1, NO_DIGEST, 7, ()))
    for _ in range(BLOCKS.burst + 10):
        listener.hear_blocks(unsigned + bytes(64), peer=LIAR)
    assert listener.checking.parsed == 0, "nothing unsigned is parsed"
    listener.hear_blocks(*(data for data, _ in chain(10, author=1)))
    assert held(listener, 1) == 10


def forged_orders(count, payer=ANN, sequence=0):
    """Orders of one slot that its payer has not signed, all different."""
    orders = np.repeat(make_order(payer, BEN, 10_000, sequence), count)
    orders["amount"] += np.arange(count, dtype=np.uint64)
    return orders


def test_forged_orders_cost_their_broker_more_than_honest_ones():
    listener = Listener()
    previous = NO_DIGEST
    for height in range(10):
        orders = forged_orders(BLOCK_ORDERS_MAX)
        ((data, previous),) = chain(1, LIAR, height, previous, orders=orders)
        listener.hear_blocks(data)
    checked = listener.replica.counters.signatures
    assert 0 < checked <= WORK.burst // FORGED_WORK + BLOCK_ORDERS_MAX
    assert listener.replica.counters.deferred > 0
    assert listener.replica.counters.convictions == 0, "throttled, not convicted"


# -- what waits for its past ------------------------------------------------------------------------------


def parentless(count, size=0):
    """Blocks of one height that each stand on another block in author 1's name, which nobody has."""
    orders = np.zeros(size, ORDER) if size else None
    return [
        make_block(LIAR, 1, NO_DIGEST, [(1, 1, k.to_bytes(32, "big"))], orders)[0]
        for k in range(1, count + 1)
    ]


def test_a_few_parentless_blocks_wait_and_their_parents_are_asked_of_their_sender_alone():
    listener = Listener()
    listener.hear_blocks(chain(1, author=1)[0][0])
    blocks = parentless(10 * FEW_BLOCKS)
    tracemalloc.start()
    listener.hear_blocks(*blocks)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    parking = listener.replica._parking
    assert len(parking) == len(parking.lacking()) == FEW_BLOCKS
    assert taken < 4 << 20
    asked = 0
    minutes = 20
    for _ in range(minutes * 60):
        listener.speak(after_ms=1_000)
        for fetch in fetches(listener, FetchNamed):
            assert fetch.peer == LIAR
            asked += len(fetch.names)
    longest = NAMED_ANSWER_NS << NAMED_DOUBLINGS_MAX
    often = NAMED_DOUBLINGS_MAX + 1 + minutes * 60 * SECOND // longest
    assert 0 < asked <= often * FEW_BLOCKS, "what nobody has is asked for less and less"


def test_large_parentless_blocks_are_fewer():
    listener = Listener()
    listener.hear_blocks(*parentless(20, size=BLOCK_ORDERS_MAX))
    assert 0 < listener.replica._parking.bytes_parked <= FEW_BYTES


def test_what_another_author_stands_on_is_bounded_too():
    """An accomplice references a branch that leads down for ever: what waits of it does not grow."""
    listener = Listener()
    branch = chain(PARKED_BLOCKS_MAX + 100, height=10_000)
    tip = branch[-1]
    listener.hear_blocks(make_block(2, 1, NO_DIGEST, [(LIAR, 10_000 + len(branch), tip[1])])[0])
    listener.replica.convicted.add(LIAR)
    for data, _ in reversed(branch):
        listener.now += SECOND // 100
        listener.hear_blocks(data)
    assert len(listener.replica._parking) <= PARKED_BLOCKS_MAX + 2


def test_where_room_is_short_the_lowest_blocks_stay_and_the_rest_is_fetched():
    listener = Listener()
    blocks = chain(4 * FEW_BLOCKS)
    listener.hear_blocks(*(data for data, _ in reversed(blocks[1:])))
    assert len(listener.replica._parking) == FEW_BLOCKS
    listener.hear_blocks(blocks[0][0])
    assert held(listener) == FEW_BLOCKS + 1
    listener.sent.clear()
    for _ in range(20):
        listener.speak()
        serve(listener, blocks)
    assert held(listener) == len(blocks)


# -- what waits to be decided -----------------------------------------------------------------------------


def test_a_crooked_payer_and_a_broker_fill_no_memory_with_orders_of_one_slot():
    """A thousand different orders of one slot, each signed by its payer: a few blocks' worth is kept.

    The broker fences the slot first, so that to carry many is no vote for any: else it would be convicted.
    """
    fence = write_recovery(Recovery(fences=(Fence(Slot.of_account(ANN, 0), 1, NO_ORDERS),)))
    listener = Listener()
    limits = listener.replica._limits
    limits.kept_orders_max = 50
    previous, signed = NO_DIGEST, 0
    blocks = []
    for at in range(1, 41):
        orders = np.concatenate([make_order(ANN, BEN, 10_000 + at * 25 + k, 0) for k in range(25)])
        recovery = fence if at == 1 else b""
        data, previous = make_block(LIAR, at, previous, orders=orders, recovery=recovery)
        blocks.append((data, previous))
        signed += len(orders)
        listener.hear_blocks(data)
        listener.speak()
    dispute = listener.replica.disputes.get(Slot.of_account(ANN, 0))
    assert signed == 1_000
    assert limits.kept[LIAR] == len(dispute.orders) == len(dispute.places) == 50
    fetches(listener)
    # Its blocks without orders are not stopped, nor is anybody else.
    assert held(listener) == 2
    listener.hear_blocks(make_block(LIAR, 3, blocks[1][1])[0])
    assert held(listener) == 3
    listener.hear_blocks(make_block(1, 1, NO_DIGEST, orders=make_order(CYD, BEN, 10_000, 0))[0])
    assert held(listener, 1) == 1


def test_what_a_broker_left_undecided_is_taken_up_when_it_is_decided():
    listener = Listener()
    listener.replica._limits.kept_orders_max = 1
    first, second = (make_order(p, BEN, 10_000, 0) for p in (ANN, CYD))
    ((one, one_name),) = chain(1, orders=first)
    two, two_name = make_block(LIAR, 2, one_name, orders=second)
    listener.hear_blocks(one, two)
    assert held(listener) == 1
    listener.speak()
    assert not fetches(listener)
    # Others vote for the first one, and so it becomes final here.
    names = {}
    for author in (1, 2):
        data, names[author] = make_block(author, 1, NO_DIGEST, [(LIAR, 1, one_name)])
        listener.hear_blocks(data)
    for author, other in ((1, 2), (2, 1)):
        data, _ = make_block(author, 2, names[author], [(other, 1, names[other])])
        listener.hear_blocks(data)
    for _ in range(3):
        listener.speak()
    assert listener.replica.ledger.next_sequence(ANN) == 1
    serve(listener, [(one, one_name), (two, two_name)])
    assert held(listener) == 2


def test_an_author_stays_below_half_of_what_others_keep_of_it_and_says_nothing_instead():
    listener = Listener()
    listener.replica._limits.kept_orders_max = 8
    for payer in CROWD[:8]:
        listener.hear(OrdersOffered(1, make_order(payer, BEN, 10_000, 0)))
        listener.speak()
    said = [block for _ in range(50) for block in listener.speak(after_ms=20)]
    assert len(said) <= 2, "what waits at the door is no reason to speak"
    assert listener.replica._limits.kept[0] == 4
    assert listener.replica.queued == 4, "it waits, and is not lost"


def test_fences_where_no_order_lies_open_few_slots():
    listener = Listener()
    previous, height = NO_DIGEST, 0
    for turn in range(12):
        fences = tuple(
            Fence(Slot.of_account(ANN, 1_000 * (turn + 1) + k), 1, NO_ORDERS) for k in range(400)
        )
        ((data, name),) = chain(
            1, LIAR, height, previous, recovery=write_recovery(Recovery(fences))
        )
        listener.hear_blocks(data)
        if held(listener) > height:
            previous, height = name, height + 1
    assert STRAY_SLOTS_MAX <= len(listener.replica.disputes) <= STRAY_SLOTS_MAX + 400
    ((quiet, _),) = chain(1, LIAR, height, previous)
    listener.hear_blocks(quiet)
    assert held(listener) == height + 1, "its blocks without such entries are taken"


def test_the_door_keeps_one_order_ahead_and_two_of_a_slot():
    listener = Listener()
    ahead = np.concatenate([make_order(ANN, BEN, 10_000, k) for k in range(2, 200)])
    listener.hear(OrdersOffered(1, ahead))
    assert listener.replica.queued == 0
    for k in range(200):
        listener.hear(OrdersOffered(1, make_order(ANN, BEN, 10_000 + k, 0)))
    rescuer = listener.replica.rescuer
    assert listener.replica.queued == 1
    assert [len(case.known) for case in rescuer._cases.values()] == [FENCE_ORDERS_MAX]
    (block,) = listener.speak()
    assert len(block.orders) <= FENCE_ORDERS_MAX


# -- who lies again and again -----------------------------------------------------------------------------


def test_one_item_of_evidence_for_a_culprit():
    listener = Listener()
    for k in range(50):
        data, _ = make_block(LIAR, 1, NO_DIGEST, orders=make_order(ANN, BEN, 10_000 + k, 0))
        listener.hear_blocks(data)
    assert len(listener.evidence) == 1
    assert len(listener.replica.chains.lanes) == 4


@pytest.mark.parametrize("before", [0, 1])
def test_a_liar_who_comes_back_and_then_forks_stops_nobody(before):
    """Two first blocks of one new incarnation, or a branch of a life that is over: evidence, and no more."""
    listener = Listener()
    later = [first_block_of_life(listener, 1, time_ms) for time_ms in (7, 8)]
    old = [first_block_of_life(listener, 0, time_ms) for time_ms in (5, 6)]
    blocks = later if before else [old[0], later[0], old[1]]
    listener.hear_blocks(*blocks)
    assert listener.replica.convicted == {LIAR}
    assert [found.culprit for found in listener.evidence] == [LIAR]
    assert listener.replica.catch_up.incarnations[LIAR] == 1
    folded = Listener().replica
    folded.restore(enumerate(blocks))
    assert folded.convicted == {LIAR}


def first_block_of_life(listener, incarnation, time_ms):
    again = Recovery(re_entry=ReEntry(incarnation, 0, NO_DIGEST)) if incarnation else Recovery()
    unsigned, name = write_block(
        Draft(
            listener.replica.network,
            0,
            LIAR,
            1,
            NO_DIGEST,
            time_ms,
            (),
            recovery=write_recovery(again),
            incarnation=incarnation,
        )
    )
    return unsigned + sign(SUPER_AGENT_KEYS[LIAR], block_prefix(NETWORK, 0) + name)


def test_nobody_begins_anew_for_ever():
    """Every new incarnation takes a lane at everyone's, so their number is bounded by a rule of validity."""
    listener = Listener()
    unsigned, _ = write_block(
        Draft(listener.replica.network, 0, LIAR, 1, NO_DIGEST, 7, (), incarnation=INCARNATIONS_MAX)
    )
    listener.hear_blocks(unsigned + bytes(64))
    assert listener.replica.counters.malformed == 1
    assert listener.checking.signatures == 0


# -- speaking ---------------------------------------------------------------------------------------------


def test_no_pace_is_faster_than_what_others_take():
    assert BLOCK_NS_MIN * BLOCKS.per_second >= 2 * SECOND


def hear_rivals(listener, people):
    """Two orders of each of these payers, for one slot."""
    for cents in (10_000, 20_000):
        orders = [make_order(payer, BEN, cents, 0) for payer in people]
        listener.hear(OrdersOffered(1, np.concatenate(orders)))


def fenced(listener, turns):
    """The slots that the replica fences in so many turns."""
    said = [block for _ in range(turns) for block in listener.speak(after_ms=20)]
    return [fence.slot for block in said for fence in block.recovery.fences]


def test_what_waits_for_others_is_not_looked_at_in_every_turn(monkeypatch):
    """Its own fences are said and q have not come to them: nothing is to be done, however many they are."""
    count = 3 * PATROL_SLOTS
    listener = Listener(people=count + 8)
    hear_rivals(listener, customers(count + 8)[8:])
    assert len(fenced(listener, 5)) == count
    looks = []
    consider = Rescuer._consider
    monkeypatch.setattr(Rescuer, "_consider", lambda *rest: looks.append(consider(*rest)))
    assert not fenced(listener, 20)
    assert 0 < len(looks) <= 20 * PATROL_SLOTS, "but for the patrol, which finds what was missed"


def in_view_1_of_a_dead_leader(people):
    """A listener, and a slot in which it sees two others' fences at once and so joins; q have fenced then."""
    payer = next(p for p in people if Slot.of_account(p, 0).leader(1, 4) == LIAR and p != BEN)
    slot = Slot.of_account(payer, 0)
    listener = Listener()
    entries = write_recovery(Recovery((Fence(slot, 1, NO_ORDERS),)))
    for author, orders in ((1, make_order(payer, BEN, 10_000, 0)), (2, None)):
        data, _ = make_block(author, 1, NO_DIGEST, (), orders, b"", entries)
        listener.hear_blocks(data)
    assert fenced(listener, 5) == [slot]
    return listener, slot


def test_a_view_runs_out_where_q_have_fenced_before_the_replica_looked(monkeypatch):
    monkeypatch.setattr(fold, "PATROL_SLOTS", 0)
    listener, slot = in_view_1_of_a_dead_leader(customers(12))
    assert fenced(listener, VIEW_NS_MIN // (20 * MS) + 5) == [slot]


def test_a_view_runs_out_though_the_clock_is_set_back(monkeypatch):
    """It had run out, and the block that says so was not due yet."""
    monkeypatch.setattr(fold, "PATROL_SLOTS", 0)
    listener, slot = in_view_1_of_a_dead_leader(customers(12))
    listener.now = listener.replica.rescuer.next_timer(listener.now)
    listener.replica.rescuer.next_timer(listener.now)
    listener.now -= 3 * SECOND
    assert not fenced(listener, 100)
    assert fenced(listener, 60) == [slot]


def test_of_a_region_so_many_slots_are_opened_at_once_and_the_others_in_their_turn():
    people = customers(3 * REGION_OPENS + 8)[8:]
    listener = Listener(people=3 * REGION_OPENS + 8)
    hear_rivals(listener, people)
    opened = []
    for more in (1, 1, 1, 0):
        in_time = fenced(listener, 20)
        assert len(in_time) == more * REGION_OPENS
        opened += in_time
        listener.now += OPEN_AGAIN_NS
    assert opened == [Slot.of_account(payer, 0) for payer in people], "in the order of their coming"


def test_views_at_the_cap_run_out_together():
    """However many slots stay undecided: a few blocks in each such time, and not some for each slot."""
    rescuer = Listener().replica.rescuer
    lasts = VIEWS_CAP * VIEW_NS_MIN
    began = [k * SECOND // 100 for k in range(500)]
    ends = {rescuer._runs_out(VIEWS_CAP + k % 3, at) for k, at in enumerate(began)}
    assert len(ends) <= 2
    assert all(rescuer._runs_out(VIEWS_CAP, at) >= at + lasts for at in began)
    assert len({rescuer._runs_out(1, at) for at in began}) == len(began)


def test_a_refused_order_is_offered_again_less_and_less_often():
    """Too few are in reach to decide anything, and a customer insists for an hour."""
    listener = Listener()
    order = make_order(ANN, BEN, 10_000, 0)
    listener.hear(OrdersOffered(1, order))
    (block,) = listener.speak()
    refused = write_rejection(
        0,
        0,
        block.height,
        1,
        np.array([0]),
        np.array([int(Outcome.BALANCE_INSUFFICIENT)], np.uint8),
    )
    for author in (1, 2, 3):
        references = [(0, block.height, block.digest)]
        listener.hear_blocks(make_block(author, 1, NO_DIGEST, references, None, refused)[0])
    listener.hear(PeerDown(1), PeerDown(2))
    carried = 0
    for _ in range(3_600):
        listener.hear(OrdersOffered(1, order))
        carried += sum(len(block.orders) for block in listener.speak(after_ms=1_000))
    assert 1 <= carried <= OFFER_DOUBLINGS_MAX + 2


@pytest.mark.parametrize("disputed", [False, True], ids=["whole block", "one order"])
def test_what_rests_on_the_word_of_a_convict_is_no_reason_to_speak(disputed):
    """Votes of q authors are held, but one of them is referenced no more: no block can acknowledge them."""
    listener = Listener()
    order = make_order(ANN, BEN, 10_000, 0)
    one, name = make_block(1, 1, NO_DIGEST, (), order)
    listener.hear_blocks(one)
    voting, voting_name = make_block(LIAR, 1, NO_DIGEST, [(1, 1, name)])
    other, _ = make_block(LIAR, 1, NO_DIGEST)
    listener.hear_blocks(voting, other)
    assert listener.replica.convicted == {LIAR}
    if disputed:
        code = np.array([int(Outcome.BALANCE_INSUFFICIENT)], np.uint8)
        refusal = write_rejection(1, 0, 1, 1, np.array([0]), code)
        listener.hear_blocks(make_block(2, 1, NO_DIGEST, [(1, 1, name)], None, refusal)[0])
    said = [block for _ in range(250) for block in listener.speak(after_ms=20)]
    assert len(said) <= 2 + 5, "five seconds: its vote, and a heartbeat for each"
    del voting_name
