"""What is kept of merchants: durable in one step, forgotten after some days, never another's."""

import asyncio
import contextlib

import pytest

from harambee.crypto.vault import SealingKey, Vault
from harambee.merchants import store as store_module
from harambee.merchants.port import Deed, EventKind, Instruction, PaymentFacts
from harambee.merchants.rows import BillRow, EventRow, InstructionRow, MerchantRow, RequestRow
from harambee.merchants.store import MerchantStore, MerchantStoreError, NewEvent

NETWORK = b"n" * 32
MERCHANT = "till:174379"


def opened(folder, network=NETWORK, author=0, seed=b"v"):
    return MerchantStore.open(folder, network, author, Vault(SealingKey(seed * 32)))


def event(name, now_ms=1_000, **more):
    payment = PaymentFacts("SK1", b"o" * 128, "174379", 16, 100, now_ms)
    row = EventRow(name, EventKind.PAYMENT_RECEIVED, MERCHANT, now_ms, payment=payment)
    return NewEvent(row, now_ms, [("http://x/", "form")], **more)


def request_row():
    return RequestRow(b"document", 0, bytes(64), "+254712345678", "key")


def in_a_loop(folder, scenario):
    async def main():
        store = opened(folder)
        try:
            return await scenario(store)
        finally:
            await store.close()

    return asyncio.run(main())


def test_an_event_happens_once_and_goes_to_its_addresses(folder):
    async def scenario(store):
        first = await store.write(lambda changes: changes.put_event(MERCHANT, event("pay_1_1")))
        again = await store.write(lambda changes: changes.put_event(MERCHANT, event("pay_1_1")))
        assert (first, again) == (1, None)
        (((cursor, number), delivery),) = store.deliveries()
        assert (cursor, number, delivery.url) == (1, 0, "http://x/")
        assert await store.write(lambda changes: changes.end_delivery(1, 0, "pay_1_1"))
        assert store.is_told("pay_1_1")

    in_a_loop(folder, scenario)


def test_a_change_that_fails_spoils_no_other_and_is_undone(folder):
    async def scenario(store):
        def spoilt(changes):
            changes.put_event(MERCHANT, event("spoilt"))
            raise ZeroDivisionError

        def too_long(changes):
            changes.put_merchant("k" * 600, MerchantRow(1, None))

        good = [
            store.write(lambda changes, i=i: changes.put_event(MERCHANT, event(f"pay_1_{i}")))
            for i in range(3)
        ]
        results = await asyncio.gather(
            good[0],
            store.write(spoilt),
            good[1],
            store.write(too_long),
            good[2],
            return_exceptions=True,
        )
        assert [results[0], results[2], results[4]] == [1, 2, 3]
        assert isinstance(results[1], ZeroDivisionError)
        assert isinstance(results[3], MerchantStoreError)
        assert not store.happened("spoilt")
        assert store.event_of_id("pay_1_2").id == "pay_1_2"

    in_a_loop(folder, scenario)


@pytest.mark.parametrize("text", ["", "x" * 512, "x" * 100_000, "\ud800", "\0"])
def test_what_no_name_is_is_not_here(folder, text):
    async def scenario(store):
        assert store.named(text) is None
        assert store.event_of_code(MERCHANT, text) is None
        assert store.instruction(MERCHANT, text) is None
        assert not store.happened(text)
        assert not store.is_told(text)
        assert store.event_of_id(text) is None

    in_a_loop(folder, scenario)


def test_cursors_that_cannot_be_find_nothing_or_everything(folder):
    async def scenario(store):
        await store.write(lambda changes: changes.put_event(MERCHANT, event("pay_1_1")))
        assert len(store.events(MERCHANT, -5, 10)) == 1
        assert store.events(MERCHANT, 1 << 70, 10) == []
        assert store.events(MERCHANT, 0, 0) == []
        assert store.events("till:17437", 0, 10) == []

    in_a_loop(folder, scenario)


def test_what_is_past_is_forgotten_with_all_its_names_and_the_rest_stays(folder):
    async def scenario(store):
        instruction = Instruction(Deed.BALANCE, "k", "174379", "i", "", "ins", "c", "f", "")
        done = InstructionRow(instruction, 1, done=True)

        def change(changes):
            changes.put_event(MERCHANT, event("old", 10, receipt_code="A", reference=b"r" * 32))
            changes.put_event(MERCHANT, event("new", 90, receipt_code="B", reference=b"s" * 32))
            changes.put_request(b"1" * 32, "ended", request_row(), past_ms=10)
            changes.put_request(b"2" * 32, "waits", request_row(), past_ms=None)
            changes.put_request(b"3" * 32, "again", request_row(), past_ms=10)
            changes.put_request(b"4" * 32, "again", request_row(), past_ms=None)
            changes.put_bill(1, b"a" * 32, BillRow("A", 10))
            changes.put_bill(1, b"b" * 32, BillRow("B", 10))
            changes.put_bill(1, b"b" * 32, BillRow("B", 90))
            changes.put_instruction(MERCHANT, done, past_ms=10)

        await store.write(change)
        while await store.write(lambda changes: changes.forget(50)):
            pass
        assert not store.happened("old")
        assert store.happened("new")
        assert [row.id for _, row in store.events(MERCHANT, 0, 10)] == ["new"]
        assert store.event_of_code(MERCHANT, "A") is None
        assert store.event_of_code(MERCHANT, "B").id == "new"
        assert store.payment_of_reference(b"r" * 32) is None
        assert store.payment_of_reference(b"s" * 32).id == "new"
        assert [place for place, _ in store.deliveries()] == [(2, 0)]
        assert store.request(b"1" * 32) is None
        assert store.named("ended") is None
        assert store.named("waits") == b"2" * 32
        assert store.named("again") == b"4" * 32
        assert store.request(b"3" * 32) is None
        assert store.bill(1, b"a" * 32) is None
        assert store.bill(1, b"b" * 32).time_ms == 90
        assert store.instruction(MERCHANT, "ins") is None

    in_a_loop(folder, scenario)


def test_forgetting_goes_in_small_steps(folder, monkeypatch):
    monkeypatch.setattr(store_module, "FORGOTTEN_AT_ONCE", 4)

    async def scenario(store):
        for i in range(10):
            await store.write(lambda changes, i=i: changes.put_event(MERCHANT, event(f"e{i}", 10)))
        counts = [await store.write(lambda changes: changes.forget(50)) for _ in range(4)]
        assert counts == [4, 4, 2, 0]

    in_a_loop(folder, scenario)


def test_cursors_rise_although_everything_was_forgotten(folder):
    async def first(store):
        await store.write(lambda changes: changes.put_event(MERCHANT, event("old", 10)))
        await store.write(lambda changes: changes.forget(50))

    async def second(store):
        return await store.write(lambda changes: changes.put_event(MERCHANT, event("new", 90)))

    in_a_loop(folder, first)
    assert in_a_loop(folder, second) == 2


def test_a_request_that_waits_again_is_not_forgotten_by_its_earlier_end(folder):
    async def scenario(store):
        def change(changes):
            changes.put_request(b"1" * 32, "name", request_row(), past_ms=10)
            changes.put_request(b"1" * 32, "name", request_row(), past_ms=None)

        await store.write(change)
        await store.write(lambda changes: changes.forget(50))
        assert store.named("name") == b"1" * 32

    in_a_loop(folder, scenario)


def test_a_store_of_another_is_not_opened_and_a_strange_key_opens_no_row(folder):
    async def scenario(store):
        await store.write(
            lambda changes: changes.put_request(b"1" * 32, "n", request_row(), past_ms=None)
        )

    in_a_loop(folder, scenario)
    for other in ({"network": b"o" * 32}, {"author": 1}):
        with pytest.raises(MerchantStoreError, match="belongs to another"):
            opened(folder, **other)
    strange = opened(folder, seed=b"w")
    with pytest.raises(MerchantStoreError, match="cannot be read"):
        strange.request(b"1" * 32)
    asyncio.run(strange.close())


def test_closing_ends_what_waits_and_refuses_what_comes_later(folder):
    async def main():
        store = opened(folder)
        written = [
            asyncio.create_task(
                store.write(lambda changes, i=i: changes.put_event(MERCHANT, event(f"e{i}")))
            )
            for i in range(20)
        ]
        await asyncio.sleep(0)

        def read():
            with contextlib.suppress(MerchantStoreError):
                while True:
                    store.events(MERCHANT, 0, 10)

        readers = [asyncio.create_task(asyncio.to_thread(read)) for _ in range(3)]
        await store.close()
        assert await asyncio.gather(*written) == list(range(1, 21))
        await asyncio.gather(*readers)
        with pytest.raises(MerchantStoreError):
            await store.write(lambda changes: changes.note_read(1, 1))
        with pytest.raises(MerchantStoreError):
            store.merchants()
        await store.close()

    asyncio.run(main())


def test_persons_are_in_no_file_in_the_clear(folder):
    async def scenario(store):
        await store.write(
            lambda changes: changes.put_request(b"1" * 32, "n", request_row(), past_ms=None)
        )

    in_a_loop(folder, scenario)
    assert b"254712345678" not in (folder / "data.mdb").read_bytes()
