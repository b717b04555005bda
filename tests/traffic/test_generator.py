"""The load generator against doors that finalise, refuse, are full, are late, and die."""

import asyncio

import numpy as np
import pytest
from tests.traffic.fake_network import NETWORK, PENDING, FakeDoor, FakeNetwork, refused

from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ORDER
from harambee.traffic import generator
from harambee.traffic.book import Book, tally_of
from harambee.traffic.generator import Generator, LoadError, Pace
from harambee.traffic.verdict import Openings, judge

QUORUM = 3
HURRIED = Pace(batch=16, in_flight=2, wait_ms=50, patience_s=5)


def orders_in_turn(network, count, amount=100):
    """`count` payments of `amount`, payer after payer, each to the next one in the circle."""
    people = len(network.numbers)
    orders = np.zeros(count, ORDER)
    orders["kind"] = OrderKind.SEND
    orders["payer"] = network.numbers[np.arange(count) % people]
    orders["payee"] = network.numbers[(np.arange(count) + 1) % people]
    orders["amount"] = amount
    return orders


def offer(network, orders, pace=HURRIED, presign=False, meanwhile=None):
    """Run a load to its end; returns the book, the generator and the verdict."""
    book = Book(orders)

    async def load():
        async with network.open():
            load = Generator(
                book, network.doors, NETWORK, (network.numbers, network.secrets), QUORUM, pace
            )
            if presign:
                await load.prepare(presign=True)
            if meanwhile is not None:
                meanwhile(load)
            await load.run()
            for fake in network.fakes:
                fake.dead = False
            openings = Openings(
                network.numbers,
                network.openings["balance"].astype(np.int64),
                network.openings["next_sequence"].astype(np.uint32),
            )
            return load, await judge(book, network.doors, openings, deadline_s=1)

    load, verdict = asyncio.run(load())
    return book, load, verdict


def four_doors(**faults):
    return [faults.get(name, FakeDoor(name)) for name in ("amani", "baraka", "chapa", "dada")]


def test_every_order_becomes_final_once_and_in_turn():
    network = FakeNetwork(four_doors(), people=20)
    book, _, verdict = offer(network, orders_in_turn(network, 300))
    tally = book.tally()
    assert (tally.offered, tally.final, tally.rejected, tally.unanswered) == (300, 300, 0, 0)
    assert len(network.finals) == 300
    assert verdict.clean
    finals = np.frombuffer(b"".join(network.finals), ORDER)
    for payer in network.numbers:
        assert finals["sequence"][finals["payer"] == payer].tolist() == list(range(15))


def test_all_doors_are_used():
    network = FakeNetwork(four_doors(), people=200)
    offer(network, orders_in_turn(network, 400))
    assert all(fake.requests for fake in network.fakes)


def test_presigned_orders_are_sent_as_they_were_signed():
    network = FakeNetwork(four_doors(), people=20)
    book, _, verdict = offer(network, orders_in_turn(network, 100), presign=True)
    assert book.tally().final == 100
    assert verdict.clean


def test_a_door_that_dies_loses_nothing_and_its_orders_go_elsewhere_in_the_same_bytes():
    network = FakeNetwork(four_doors(), people=50)
    dying = network.fakes[1]

    def die_at_second_sight(_order, _times):
        dying.dead = True

    dying.judge = die_at_second_sight
    book, load, verdict = offer(network, orders_in_turn(network, 500))
    assert book.tally().final == 500
    assert load.failovers > 0
    assert load.doors[1].broken > 0
    assert verdict.clean


def test_a_door_that_dies_before_answering_has_its_orders_asked_again_in_the_same_bytes():
    network = FakeNetwork(four_doors(), people=10)
    for fake in network.fakes[1:]:
        fake.dead = True
    network.fakes[0].judge = lambda _order, times: PENDING if times == 1 else None
    network.fakes[1].dead = False
    book, _, verdict = offer(network, orders_in_turn(network, 10))
    assert book.tally().final == 10
    assert set(network.fakes[0].seen) | set(network.fakes[1].seen) == set(network.finals)
    assert verdict.clean


def test_a_silent_door_is_left_after_the_wait(monkeypatch):
    monkeypatch.setattr(generator, "GRACE_S", 0.1)
    network = FakeNetwork(four_doors(), people=50)
    network.fakes[2].silent = True
    monkeypatch.setattr(generator, "PROBE_S", 30)
    book, load, verdict = offer(network, orders_in_turn(network, 300))
    assert book.tally().final == 300
    assert load.failovers > 0
    assert verdict.clean


def test_a_full_door_is_tried_again_later():
    network = FakeNetwork(four_doors(), people=20)
    for fake in network.fakes:
        fake.full_for = 2
    book, _, _ = offer(network, orders_in_turn(network, 60))
    assert book.tally().final == 60


@pytest.mark.parametrize("outcome", [Outcome.BROKER_BUSY, Outcome.SEQUENCE_AHEAD])
def test_later_is_not_a_refusal(outcome):
    network = FakeNetwork(four_doors(), people=20)
    for fake in network.fakes:
        fake.judge = lambda _order, times: refused(outcome) if times == 1 else None
    book, _, _ = offer(network, orders_in_turn(network, 60))
    tally = book.tally()
    assert (tally.final, tally.rejected) == (60, 0)


def test_one_door_that_refuses_alone_is_overruled():
    wrong = FakeDoor("baraka", judge=lambda _order, _times: refused(Outcome.BALANCE_INSUFFICIENT))
    network = FakeNetwork(four_doors(baraka=wrong), people=40)
    book, _, verdict = offer(network, orders_in_turn(network, 200))
    tally = book.tally()
    assert (tally.final, tally.rejected) == (200, 0)
    assert wrong.requests
    assert verdict.clean


def test_what_q_doors_refuse_is_cancelled_and_the_payer_goes_on():
    network = FakeNetwork(four_doors(), people=10, balance_cents=1_000)
    orders = orders_in_turn(network, 40)
    orders["amount"][10:20] = 10**6  # everyone's second
    book, _, verdict = offer(network, orders)
    tally = book.tally()
    assert (tally.final, tally.rejected, tally.cancelled) == (30, 10, 10)
    assert tally.reasons == {"BALANCE_INSUFFICIENT": 10}
    assert len(network.finals) == 40
    assert verdict.clean
    rows = [raw for raw in network.fakes[0].seen if raw[8:16] == (10**6).to_bytes(8, "little")]
    refusing = sum(set(rows) <= set(fake.seen) for fake in network.fakes)
    assert rows
    assert refusing >= 1


def test_a_refused_order_has_been_to_q_distinct_doors_before_it_is_cancelled():
    network = FakeNetwork(four_doors(), people=2, balance_cents=0)
    offer(network, orders_in_turn(network, 1))
    order = next(raw for fake in network.fakes for raw in fake.seen if raw[24] == OrderKind.SEND)
    assert [fake.seen.get(order, 0) for fake in network.fakes].count(1) == QUORUM


def test_a_final_that_nobody_told_is_found_in_its_slot():
    network = FakeNetwork(four_doors(), people=10)

    def final_but_stale(order, times):
        if order.tobytes() not in network.finals:
            network.finalise(order)
        return refused(Outcome.SEQUENCE_STALE)

    for fake in network.fakes:
        fake.judge = final_but_stale
    book, _, verdict = offer(network, orders_in_turn(network, 30))
    tally = book.tally()
    assert (tally.final, tally.rejected) == (30, 0)
    assert verdict.clean


def test_a_slot_that_somebody_else_took_counts_as_refused():
    network = FakeNetwork(four_doors(), people=3)

    def taken_by_another(order, times):
        slot = (int(order["payer"]), int(order["sequence"]))
        if order["sequence"] == 0:
            if slot not in network.by_slot:
                other = order.copy()
                other["amount"] = 7
                network.finalise(other)
            return refused(Outcome.SEQUENCE_STALE)
        return None

    for fake in network.fakes:
        fake.judge = taken_by_another
    book, _, verdict = offer(network, orders_in_turn(network, 6))
    tally = book.tally()
    assert (tally.final, tally.rejected, tally.cancelled) == (3, 3, 0)
    assert tally.reasons == {"SEQUENCE_STALE": 3}
    assert verdict.clean


def test_what_nothing_decides_is_unanswered_and_not_lost():
    network = FakeNetwork(four_doors(), people=10)
    for fake in network.fakes:
        fake.judge = lambda order, _times: PENDING if order["payer"] == 16 else None
    book, _, verdict = offer(network, orders_in_turn(network, 20), Pace(wait_ms=10, patience_s=0.2))
    tally = book.tally()
    assert (tally.offered, tally.final, tally.unanswered) == (19, 18, 1)
    assert verdict.clean


def test_an_open_loop_counts_latency_from_when_an_order_was_due():
    network = FakeNetwork(four_doors(), people=50)
    book, _, verdict = offer(network, orders_in_turn(network, 100), Pace(rate=1_000, wait_ms=50))
    assert book.tally().final == 100
    assert book.due_at.tolist() == pytest.approx([i / 1_000 for i in range(100)])
    assert np.all(book.sent_at[:100] >= book.due_at)
    assert book.latencies_ms().tolist() == pytest.approx(
        ((book.told_at[:100] - book.due_at) * 1_000).tolist()
    )
    assert verdict.clean


def test_a_load_that_is_stopped_offers_no_more_and_ends_with_nothing_open():
    network = FakeNetwork(four_doors(), people=50)

    def stop_soon(load):
        def stop(_order, _times):
            load.stop()

        network.fakes[0].judge = stop

    book, _, verdict = offer(network, orders_in_turn(network, 5_000), meanwhile=stop_soon)
    tally = book.tally()
    assert 0 < tally.final < 5_000
    assert tally.unanswered == 0
    assert verdict.clean


def test_an_answer_that_is_no_answer_stops_the_load_with_one_sentence():
    network = FakeNetwork([FakeDoor("amani", judge=lambda _order, _times: (2, 0, 0))], people=5)
    with pytest.raises(LoadError, match="amani answered 15 bytes for 5 orders"):
        offer(network, orders_in_turn(network, 5))


def test_a_slot_that_was_closed_without_an_order_counts_as_refused_and_the_payer_goes_on():
    network = FakeNetwork(four_doors(), people=3)

    def skipped(order, _times):
        row, sequence = int(order["payer"]) - 16, int(order["sequence"])
        if sequence == 0:
            first = network.accounts["next_sequence"][row] == 0
            network.accounts["next_sequence"][row] = max(1, network.accounts["next_sequence"][row])
            # Who waits for it is told what happened; who comes later, that it is over.
            return refused(Outcome.SLOT_SKIPPED if first else Outcome.SEQUENCE_STALE)
        return None

    for fake in network.fakes:
        fake.judge = skipped
    # As after a door that broke: the same bytes come again.
    network.fakes[0].judge = lambda order, times: PENDING if times == 1 else skipped(order, times)
    book, _, verdict = offer(network, orders_in_turn(network, 9))
    tally = book.tally()
    assert (tally.final, tally.rejected, tally.unanswered) == (6, 3, 0)
    assert tally.reasons == {"SLOT_SKIPPED": 3}
    assert verdict.clean


def test_a_load_goes_on_where_the_one_before_it_ended():
    network = FakeNetwork(four_doors(), people=10)
    books = []

    async def two_loads():
        async with network.open():
            payers = network.numbers, network.secrets
            sequences = np.zeros(10, np.int64)
            for count, amount in ((30, 100), (20, 10**7)):
                books.append(Book(orders_in_turn(network, count, amount)))
                load = Generator(books[-1], network.doors, NETWORK, payers, QUORUM, HURRIED)
                load.begin_at(sequences)
                await load.run()
                sequences = load.next_sequences
            return sequences

    assert asyncio.run(two_loads()).tolist() == [5] * 10, "a cancel takes the slot of its order"
    both = tally_of(books, 7.5)
    assert (both.offered, both.final, both.rejected, both.cancelled) == (50, 30, 20, 20)
    assert both.reasons == {"BALANCE_INSUFFICIENT": 20}
    assert both.final_per_second == 4
    assert tally_of([], 0).offered == 0
