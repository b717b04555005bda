"""The rules that are read and the rules that are run say the same, whatever they are asked."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.dice import ORDINARY, any_books, any_order
from tests.ledger.town import (
    TODAY,
    after,
    books_of,
    check_all,
    ledger_of,
    order_records,
)

from harambee.ledger import house_rules, invariants, rules
from harambee.ledger.invariants import Snapshot
from harambee.ledger.kinds import MOVEMENTS
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.records import ORDER, PAYEE

SEEDS = range(20)


def drawn(data):
    """Return books from a seed, and a pick of which every choice is drawn and so can be shrunk."""
    books = any_books(random.Random(data.draw(st.integers(0, 999))).choice)
    return books, lambda options: data.draw(st.sampled_from(options))


def arrays_of(books):
    """Return the books' payee tables as kernels take them."""
    return {name: np.array(list(rows), PAYEE) for name, rows in books.tables.items()}


def entries_of(order, books):
    """Return the accounts on each statement entry of an applied order, its payee first."""
    if not MOVEMENTS[order.kind].by_table:
        return [(order.payee, *rules.effects(order, books).statements)]
    credited = rules.credits_of(order, books.tariffs[order.tariff], books.tables[order.reference])
    others = [number for number, cents in (credited.revenue, credited.excise) if cents]
    return [(order.payer, *others), *((payee,) for payee, _ in credited.payees)]


def assert_judged_alike(books, orders, signed, proven):
    """Hold both to each other, for one day and a batch judged against the same books."""
    found = ledger_of(books).check(
        order_records(orders), np.array(signed), np.array(proven), TODAY, arrays_of(books)
    )
    said = [
        rules.judge(order, books, TODAY, signature_holds=s, possession_holds=p)
        for order, s, p in zip(orders, signed, proven, strict=True)
    ]
    assert [Outcome(code).name for code in found.tolist()] == [outcome.name for outcome in said]
    return said


def assert_applied_alike(pick, books, count):
    """Hold both to each other: states, every byte of every account, aliases, statements, entries."""
    ledger, orders, said = ledger_of(books), [], []
    opened = Snapshot.of(ledger)
    statements = {}
    entries = []
    for index in range(count):
        order = any_order(pick, books)
        before = books
        effects = rules.effects(order, books)
        books = after(books, effects)
        orders.append(order)
        said.append(effects.applied)
        if effects.applied is Applied.APPLIED:
            shown = entries_of(order, before)
            for number in effects.statements:
                places = [place for place, touched in enumerate(shown) if number in touched]
                statements.setdefault(number, []).append(len(entries) + places[0])
            entries += [(order.payer, payee, order.sequence, index, 7) for payee, *_ in shown]
    indices = np.arange(count, dtype=np.uint32)
    states = ledger.apply(order_records(orders), 7, indices, arrays_of(books))
    assert [Applied(state) for state in states.tolist()] == said
    found = books_of(ledger)
    assert found.accounts == {n: a for n, a in books.accounts.items() if a != rules.NO_ACCOUNT}
    assert found.aliases == books.aliases
    names = ["payer", "payee", "sequence", "index", "position"]
    assert ledger.entries[names].tolist() == entries
    for number, account in books.accounts.items():
        if account.exists:
            chain = ledger.entries_of(number, len(entries)).tolist()
            assert chain == statements.get(number, [])[::-1]
    leave_out = {
        # The books are no town's: whoever drew them did not make them balance.
        invariants.balances_add_up_to_zero,
        invariants.credits_equal_debits,
        invariants.what_is_held_is_held_by_holds,
        *invariants.RESTING_ON_VOTERS,
    }
    closed = invariants.check(ledger, opened, leave_out=leave_out)
    assert closed.total_cents == opened.total_cents
    for name in ("debited", "credited"):
        moved = sum(order.amount_cents + order.fee_cents for order in moving(orders, said))
        assert closed.sum_of(name) == opened.sum_of(name) + moved
    return said


def moving(orders, states):
    """The applied orders that move money."""
    return [
        order
        for order, state in zip(orders, states, strict=True)
        if state is Applied.APPLIED and MOVEMENTS[order.kind].moves_money
    ]


@given(st.data())
def test_orders_are_judged_alike(data):
    books, pick = drawn(data)
    orders = [any_order(pick, books) for _ in range(pick(range(1, 6)))]
    holds = [pick((True, True, True, False)) for _ in orders]
    assert_judged_alike(books, orders, holds, holds[::-1])


@given(st.data())
def test_orders_are_applied_alike(data):
    books, pick = drawn(data)
    assert_applied_alike(pick, books, pick(range(1, 9)))


def test_every_outcome_is_met_and_judged_alike():
    met, accepted = set(), set()
    for seed in SEEDS:
        dice = random.Random(seed)
        books = any_books(dice.choice)
        orders = [any_order(dice.choice, books) for _ in range(1_000)]
        signed = [dice.random() > 0.02 for _ in orders]
        proven = [dice.random() > 0.2 for _ in orders]
        said = assert_judged_alike(books, orders, signed, proven)
        met.update(said)
        both = zip(orders, said, strict=True)
        accepted.update(order.kind for order, outcome in both if outcome is Outcome.ACCEPTED)
    assert met == {Outcome.ACCEPTED, *rules.RULES}
    assert accepted == set(ORDINARY)


@pytest.mark.parametrize("seed", SEEDS)
def test_long_histories_are_applied_alike(seed):
    pick = random.Random(seed).choice
    met = set(assert_applied_alike(pick, any_books(pick), 300))
    assert met == set(Applied)


@given(st.binary(min_size=64, max_size=64 * 20), st.integers(0, 2**16 - 1))
def test_bytes_that_are_no_order_at_all_are_judged_alike(content, today):
    bodies = [content[start : start + 64] for start in range(0, len(content) - 63, 64)]
    records = np.frombuffer(b"".join(body + bytes(64) for body in bodies), ORDER)
    orders = [rules.Order.of(record) for record in records]
    books = any_books(random.Random(today).choice)
    found = check_all(ledger_of(books), orders, today)
    assert found == [house_rules.judge(order, books, today) for order in orders]
