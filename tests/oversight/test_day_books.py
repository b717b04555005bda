"""The books of the days read a ledger once: whatever fails in between, nothing is missed or counted twice."""

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger.town import ALL_SERVICES, Town, openings, order_records
from tests.oversight.test_positions import genesis_of, holdings

from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Applied
from harambee.ledger.payees import tables_of
from harambee.node import day_books
from harambee.node.day_books import DayBooks
from harambee.node.port import UnavailableError

TODAY_LINES = (
    "send customer far-customer 100.00",
    "bulk-pay-out business self 150.00 to customer=100.00+far-customer=50.00",
    "withdraw far-customer agent 500.00",
    "cancel customer customer 0.00",
    "bank-withdrawal bank far-customer 70.00",
)


class World:
    """A town's ledger and a service over it, whose journal cannot be read as often as it is told."""

    def __init__(self):
        self.town = Town(ALL_SERVICES)
        self.genesis = genesis_of(openings())
        self.blocks = []
        self.fails = []
        """Whether each following question of the journal fails; none does when they are used up."""

    def apply(self, line):
        order, _ = self.town.order(line.split())
        record = order_records([order])
        tables = tables_of(self.town.tables)
        states = self.town.ledger.apply(record, len(self.blocks), np.zeros(1, np.uint32), tables)
        assert Applied(states[0]) is Applied.APPLIED, line
        self.blocks.append(record)

    def may_fail(self):
        if self.fails and self.fails.pop(0):
            raise UnavailableError("This super-agent cannot tell: a block is damaged.")

    async def ask(self, question):
        self.may_fail()
        await asyncio.sleep(0)
        return question(type("Replica", (), {"ledger": self.town.ledger}))

    async def orders_at(self, entries):
        self.may_fail()
        await asyncio.sleep(0)
        return np.concatenate([self.blocks[at] for at in entries["position"].tolist()])

    async def give_way(self, took_s):
        assert took_s >= 0
        await asyncio.sleep(0)

    async def tables_at(self, orders, entries):
        self.may_fail()
        tables = tables_of(self.town.tables)
        rows = np.flatnonzero(orders["kind"] == OrderKind.BULK_PAY_OUT).tolist()
        return {row: tables[orders[row]["reference"].tobytes()] for row in rows}


@given(
    st.lists(st.sampled_from(TODAY_LINES), max_size=8),
    st.lists(st.booleans(), max_size=12),
    st.sampled_from([1, 2, 3, 100]),
    st.sampled_from([1, 2, 100]),
)
@settings(max_examples=40)
def test_nothing_is_missed_or_counted_twice(lines, fails, scan, read):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(day_books, "SCAN_ENTRIES", scan)
        patched.setattr(day_books, "READ_ORDERS", read)
        world = World()
        books = DayBooks(world)

        async def read_to_the_end():
            while True:
                try:
                    # Two who ask at once read once.
                    await asyncio.gather(books.read_up(), books.read_up())
                except UnavailableError:
                    continue
                return

        async def story():
            for line in lines:
                world.apply(line)
                world.fails = list(fails)
                await read_to_the_end()

        asyncio.run(story())
        ledger = world.town.ledger
        assert books.read_up_to == ledger.entry_count
        days = books.books.days
        assert sum(books.books.book(day).orders for day in days) == len(lines)
        last = days[-1] if days else 0
        found = books.books.close(last).balances_cents
        assert list(found) == holdings(ledger, books.books.parties)
