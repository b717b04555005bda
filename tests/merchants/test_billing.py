"""Invoices: kept by a merchant's ring, and what is told when one is paid."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.merchants.test_requests import raised
from tests.merchants.town import KEY, PAYBILL, until

from harambee.handset.orders import bill_reference
from harambee.merchants.billing import _Copy, _Errand
from harambee.merchants.desk import _bill_key
from harambee.merchants.port import Billing, Invoice, Reason
from harambee.merchants.rows import InvoiceRow, RowError, read_row, write_row

OF = f"paybill:{PAYBILL}"
INVOICE = Invoice("INV-1", "a-1 ", "Water", "November", "2026-12-12", 10_000)


async def opt_in(town, receiver, door=0):
    billing = Billing(KEY, town.now_ms(), f"{receiver.url}/bills", "bills")
    await town.desks[door].set_billing(OF, billing)
    for desk in town.desks.values():
        await until(lambda desk=desk: desk._book.find(OF).billing == billing)


def knows(town, index, account="A-1"):
    return town.stores[index].is_invoiced(OF, account)


def test_an_invoice_is_kept_by_the_ring_and_its_payment_is_told_besides(play):
    async def scenario(town, receiver):
        await opt_in(town, receiver)
        await town.desks[0].keep_invoice(KEY, OF, INVOICE)
        assert [knows(town, index) for index in range(4)] == [False, True, True, True]
        for account, told in (("A-1", 1), ("B-1", 0)):
            await town.desks[0].announce(town.announcement(account))
            order = town.bill(account)
            await town.make_final(order)
            event = f"pay_{town.customer.account}_{len(town.finals)}"
            await until(lambda event=event: event in town.events(1, OF))
            await until(lambda told=told: sum(receiver.accepted.values()) == told or told == 0)
        assert list(receiver.accepted) == [f"pay_{town.customer.account}_1"]

    play(scenario)


def test_it_is_told_when_the_home_is_dead(play):
    async def scenario(town, receiver):
        await opt_in(town, receiver)
        await town.desks[0].keep_invoice(KEY, OF, INVOICE)
        await town.desks[0].announce(town.announcement("A-1"))
        place = _bill_key(town.paybill.account, bill_reference(town.paybill.account, "A-1"))
        payer = town.customer.account
        for index in (2, 3):
            await until(lambda index=index: town.stores[index].bill(payer, place))
        await town.stop(town.home)
        await town.make_final(town.bill("A-1"))
        await until(lambda: sum(receiver.accepted.values()) == 1)

    play(scenario)


def test_the_same_invoice_is_kept_once_and_another_one_has_another_reference(play):
    async def scenario(town, receiver):
        keep = town.desks[0].keep_invoice
        await keep(KEY, OF, INVOICE)
        await keep(KEY, OF, INVOICE)
        assert town.stores[1].invoices_count() == 1
        other = replace(INVOICE, amount_cents=1)
        assert await raised(keep(KEY, OF, other)) is Reason.NAME_TAKEN
        await town.desks[3].cancel_invoice(KEY, OF, "INV-1")
        assert [knows(town, index) for index in range(4)] == [False] * 4
        assert await raised(town.desks[3].cancel_invoice(KEY, OF, "INV-1")) is Reason.NOT_FOUND
        await keep(KEY, OF, other)

    play(scenario)


def test_who_was_away_gets_the_invoices_when_it_is_back(play):
    async def scenario(town, receiver):
        await town.stop(2)
        await town.desks[0].keep_invoice(KEY, OF, INVOICE)
        await town.start(2)
        await until(lambda: knows(town, 2))

    play(scenario)


def test_a_home_that_is_alone_keeps_no_invoice_for_sure(play):
    async def scenario(town, receiver):
        town.separate(1, 2, 3)
        keep = town.desks[0].keep_invoice
        assert await raised(keep(KEY, OF, INVOICE)) is Reason.UNAVAILABLE
        town.join(1, 2, 3)
        await keep(KEY, OF, INVOICE)

    play(scenario)


def test_only_the_merchants_software_and_its_home_have_a_word(play):
    async def scenario(town, receiver):
        for desk in town.desks.values():
            assert await raised(desk.keep_invoice("key-2", OF, INVOICE)) is Reason.INVALID
            assert await raised(desk.keep_invoice(KEY, "999999", INVOICE)) is (
                Reason.MERCHANT_UNKNOWN
            )
            nameless = replace(INVOICE, reference="")
            assert await raised(desk.keep_invoice(KEY, OF, nameless)) is Reason.INVALID
        await town.desks[0].keep_invoice(KEY, OF, INVOICE)
        row = town.stores[1].invoice(OF, "INV-1")
        forged = _Copy(OF, replace_row(row, "INV-2"))
        assert await town.desks[2]._billing.take(3, write_row(forged)) == 0
        assert await town.desks[2]._billing.take(1, write_row(forged)) == 1
        await town.stop(town.home)
        assert await raised(town.desks[0].keep_invoice(KEY, OF, INVOICE)) is Reason.UNAVAILABLE

    play(scenario)


def test_a_payment_is_acknowledged_if_it_was_made(play):
    async def scenario(town, receiver):
        await town.make_final(town.bill("A-1"))
        await until(lambda: town.events(1, OF))
        [(_, event)] = town.stores[1].events(OF, 0, 10)
        code = event.payment.receipt_code
        for desk in town.desks.values():
            await desk.acknowledge(KEY, OF, code, 100)
            assert await raised(desk.acknowledge(KEY, OF, code, 101)) is Reason.NOT_FOUND
            assert await raised(desk.acknowledge(KEY, OF, "NOTHING", 100)) is Reason.NOT_FOUND

    play(scenario)


def replace_row(row, reference):
    return InvoiceRow(replace(row.invoice, reference=reference), row.made_ms)


@pytest.mark.parametrize("kind", [_Errand, _Copy])
@given(content=st.binary(max_size=60))
def test_garbage_is_no_row(kind, content):
    with pytest.raises(RowError):
        read_row(content, kind)
