"""Every final order to a merchant is told to its desk, whatever fails on the way."""

import asyncio
import time
from types import SimpleNamespace

import numpy as np
import pytest

from harambee.merchants.ground import GroundError
from harambee.merchants.store import MerchantStoreError
from harambee.node import merchant_watch
from harambee.node.merchant_watch import MerchantWatch

ENTRY = np.dtype([("payee", "<u4"), ("number", "<u4")])
MERCHANT = 7


class FakeService:
    """A ledger's entries, each an order of its own number."""

    def __init__(self, payees):
        self.entries = np.array([(payee, i) for i, payee in enumerate(payees)], ENTRY)

    def ready(self):
        return None

    async def ask(self, question):
        ledger = SimpleNamespace(entry_count=len(self.entries), entries=self.entries)
        return question(SimpleNamespace(ledger=ledger))

    async def give_way(self, took_s):
        assert took_s >= 0
        await asyncio.sleep(0)

    async def orders_at(self, entries):
        return entries["number"]

    async def told_by(self, entries):
        now_ms = time.time_ns() // 1_000_000
        return None, np.full(len(entries), now_ms, np.int64)


class FakeDesk:
    """Notes what it is told; fails as often as a test says."""

    def __init__(self, read=None):
        self.read, self.told, self.failures, self.is_followed = read, [], [], asyncio.Event()

    def accounts(self):
        return np.array([MERCHANT], np.uint32)

    def read_up_to(self):
        return self.read

    async def note_read(self, entries, blocks):
        self.read = entries, blocks

    def followed(self):
        self.is_followed.set()

    async def take_final(self, order, time_ms):
        if self.failures:
            raise self.failures.pop()
        self.told.append(int.from_bytes(order, "little"))


def followed(service, desk, blocks=1):
    """Let a watch follow until the desk hears that everything was told."""

    async def main():
        watch = MerchantWatch(service, desk, lambda: blocks)
        task = asyncio.create_task(watch.run())
        try:
            async with asyncio.timeout(10):
                await desk.is_followed.wait()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def test_payments_to_merchants_are_told_and_no_others():
    desk = FakeDesk(read=(0, 1))
    followed(FakeService([1, MERCHANT, 2, MERCHANT, MERCHANT]), desk)
    assert sorted(desk.told) == [1, 3, 4]
    assert desk.read[0] == 5


@pytest.mark.parametrize("failure", [GroundError("asleep"), MerchantStoreError("full"), KeyError()])
def test_what_fails_is_told_again_and_nothing_is_passed_over(monkeypatch, failure):
    monkeypatch.setattr(merchant_watch, "RETRY_S", 0.01)
    monkeypatch.setattr(merchant_watch, "WINDOW", 2)
    desk = FakeDesk(read=(0, 1))
    desk.failures = [failure] * 3
    followed(FakeService([MERCHANT] * 9), desk)
    assert set(desk.told) == set(range(9))


def test_a_start_goes_back_some(monkeypatch):
    monkeypatch.setattr(merchant_watch, "BACK", 3)
    desk = FakeDesk(read=(8, 1))
    followed(FakeService([MERCHANT] * 10), desk)
    assert sorted(desk.told) == [5, 6, 7, 8, 9]


def test_a_journal_that_was_lost_is_followed_from_its_beginning():
    desk = FakeDesk(read=(8, 5))
    followed(FakeService([MERCHANT] * 10), desk, blocks=1)
    assert sorted(desk.told) == list(range(10))


def test_a_desk_that_is_new_on_an_old_ledger_tells_what_comes_and_not_what_was():
    desk = FakeDesk()
    followed(FakeService([MERCHANT] * 4), desk, blocks=1)
    assert desk.told == []
    desk = FakeDesk()
    followed(FakeService([MERCHANT] * 4), desk, blocks=0)
    assert sorted(desk.told) == [0, 1, 2, 3]
