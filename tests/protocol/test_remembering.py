"""Checks that are computed once for all replicas of a process."""

import threading

import numpy as np
from tests.protocol.network import NETWORK, customer_key, customers, make_committee, make_order

from harambee.protocol.checking import Checking
from harambee.protocol.malformed import Malformed
from harambee.protocol.remembering import ENTRY_BYTES, Memory, RememberingChecking

ANN, BEN = customers(2)
TEN = 10 * (10 + ENTRY_BYTES)
"""Room for ten answers to questions of ten bytes."""


def test_the_newest_answers_are_remembered_and_the_oldest_are_not():
    memory = Memory(TEN)
    for number in range(50):
        memory.put(bytes([number]) * 10, number)
    assert memory.get(bytes([49]) * 10) == 49
    assert memory.get(bytes([0]) * 10) is None
    kept = sum(memory.get(bytes([number]) * 10) is not None for number in range(50))
    assert 10 <= kept <= 23, "one generation at least, and two at most"


def test_what_is_asked_for_again_stays():
    memory = Memory(TEN)
    memory.put(b"asked for", 1)
    for number in range(200):
        memory.put(bytes([number]) * 10, number)
        assert memory.get(b"asked for") == 1


def test_answers_count_where_they_say_how_large_they_are():
    memory = Memory(TEN)
    for number in range(50):
        memory.put(bytes([number]) * 10, np.zeros(TEN // 2, np.uint8))
    kept = sum(memory.get(bytes([number]) * 10) is not None for number in range(50))
    assert 1 <= kept <= 4


def test_many_threads_may_ask_at_once():
    memory = Memory(2 * TEN)
    wrong = []

    def ask(seed):
        for turn in range(2_000):
            name = (seed * turn % 97).to_bytes(10, "little")
            found = memory.get(name)
            if found is not None and found != name:
                wrong.append(name)
            memory.put(name, name)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in (3, 5, 7, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_it_answers_as_the_one_does_that_remembers_nothing():
    plain = Checking(NETWORK, make_committee(4))
    remembering = RememberingChecking(NETWORK, make_committee(4))
    good, bad = make_order(ANN, BEN, 10_000, 0), make_order(ANN, BEN, 20_000, 0)
    bad["amount"] += 1
    orders = np.concatenate((good, bad))
    keys = np.frombuffer(customer_key(ANN).public * 2, np.uint8).reshape(2, 32)
    forms = np.zeros(2, np.uint8)
    for _ in range(2):
        assert remembering.orders_hold(orders, keys, forms).tolist() == [True, False]
        assert np.array_equal(remembering.ids_of(orders), plain.ids_of(orders))
        assert isinstance(remembering.read(b"nothing"), Malformed)
        assert isinstance(remembering.glance(b"nothing"), Malformed)
    assert remembering.orders_hold(orders[::-1], keys, forms).tolist() == [False, True]
    other = np.frombuffer(customer_key(BEN).public * 2, np.uint8).reshape(2, 32)
    assert not remembering.orders_hold(orders, other, forms).any(), (
        "the key is part of the question"
    )


def test_ids_that_somebody_writes_to_are_his_own():
    remembering = RememberingChecking(NETWORK, make_committee(4))
    order = make_order(ANN, BEN, 10_000, 0)
    first = remembering.ids_of(order)
    right = first.copy()
    first[:] = 0
    assert np.array_equal(remembering.ids_of(order), right)
