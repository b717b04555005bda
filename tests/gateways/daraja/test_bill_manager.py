"""Bill Manager: opting in, invoices, and payments of them."""

import json

import pytest
from tests.gateways.daraja.fakes import (
    FOREIGN,
    KEY,
    OTHER_KEY,
    OTHER_SECRET,
    PAYBILL,
    PHONE,
    TILL,
    merchant,
    payment,
)

from harambee.gateways.daraja.bodies import CallbackBodies
from harambee.merchants.port import Delivery, Event, EventKind, Trade

BILLS = "/v1/billmanager-invoice"
PUSHES = "https://shop.example/bills"
OPT_IN = {
    "shortcode": PAYBILL,
    "email": "bills@shop.example",
    "officialContact": "0710000000",
    "sendReminders": "1",
    "logo": "",
    "callbackurl": PUSHES,
}
INVOICE = {
    "externalReference": "INV-2019-11",
    "billedFullName": "Customer 1",
    "billedPhoneNumber": PHONE,
    "billedPeriod": "November 2019",
    "invoiceName": "Water",
    "dueDate": "2019-12-12",
    "accountReference": "METER-7",
    "amount": "800",
    "invoiceItems": [
        {"itemName": "Water", "amount": "700"},
        {"itemName": "Meter", "amount": "100"},
    ],
}
PAID = {
    "paymentDate": "2019-12-01",
    "paidAmount": "1",
    "accountReference": "METER-7",
    "transactionId": "NLJ7RT61SV",
    "phoneNumber": PHONE,
    "fullName": "Customer 1",
    "invoiceName": "Water",
    "externalReference": "INV-2019-11",
}
WHOLE = {
    f"{BILLS}/optin": OPT_IN,
    f"{BILLS}/change-optin-details": OPT_IN,
    f"{BILLS}/single-invoicing": INVOICE,
    f"{BILLS}/bulk-invoicing": [INVOICE],
    f"{BILLS}/cancel-single-invoice": {"externalReference": "INV-2019-11"},
    f"{BILLS}/cancel-bulk-invoices": [{"externalReference": "INV-2019-11"}],
    f"{BILLS}/reconciliation": PAID,
}
SUCCESS = {"resmsg": "Success", "rescode": "200"}
NOT_OPTED_IN = (404, "404.001.01", "This software has not opted in for a short code.")


@pytest.fixture
def opted(door):
    reply = door.post(f"{BILLS}/optin", OPT_IN)
    assert reply.document == {"app_key": KEY} | SUCCESS
    return door


def test_software_opts_in_and_changes_its_mind(opted, merchants):
    billing = merchants.merchants[PAYBILL].billing
    assert (billing.consumer_key, billing.callback_url) == (KEY, PUSHES)
    assert (billing.reminders, billing.form) == (True, "daraja.bill-manager")
    changed = OPT_IN | {"callbackurl": "https://shop.example/other", "sendReminders": "0"}
    assert opted.post(f"{BILLS}/change-optin-details", changed).document == SUCCESS
    billing = merchants.merchants[PAYBILL].billing
    assert (billing.callback_url, billing.reminders) == ("https://shop.example/other", False)


def test_nothing_is_changed_that_was_not_opted_in_for(door):
    wrong = (400, "400.002.02", "Bad Request - Invalid shortcode")
    assert door.post(f"{BILLS}/change-optin-details", OPT_IN).error == wrong
    assert door.post(f"{BILLS}/optin", OPT_IN | {"shortcode": FOREIGN}).error == wrong


@pytest.mark.parametrize("call", ["single-invoicing", "cancel-single-invoice", "reconciliation"])
def test_without_opting_in_there_are_no_invoices(door, call):
    assert door.post(f"{BILLS}/{call}", WHOLE[f"{BILLS}/{call}"]).error == NOT_OPTED_IN


def test_another_softwares_opting_in_is_not_ones_own(opted):
    token = opted.token(OTHER_KEY, OTHER_SECRET)
    assert opted.post(f"{BILLS}/single-invoicing", INVOICE, token).error == NOT_OPTED_IN


def test_an_invoice_is_kept_once(opted, merchants):
    for _ in range(2):
        reply = opted.post(f"{BILLS}/single-invoicing", INVOICE)
        assert reply.document == {"Status_Message": "Invoice kept successfully"} | SUCCESS
    [(short_code, kept)] = merchants.invoices.values()
    assert short_code == f"paybill:{PAYBILL}"
    assert (kept.reference, kept.account, kept.amount_cents) == ("INV-2019-11", "METER-7", 80_000)
    assert kept.items == (("Water", 70_000), ("Meter", 10_000))
    assert kept.billed_msisdn == f"+{PHONE}"
    changed = INVOICE | {"amount": "900"}
    assert opted.post(f"{BILLS}/single-invoicing", changed).error[:2] == (500, "500.002.1001")


def test_the_short_code_is_the_one_that_was_opted_in_for_last(opted, merchants):
    opted.now_ms += 1
    opted.post(f"{BILLS}/optin", OPT_IN | {"shortcode": TILL})
    opted.post(f"{BILLS}/single-invoicing", INVOICE)
    assert [code for code, _ in merchants.invoices.values()] == [f"till:{TILL}"]


def test_many_invoices_come_as_a_list_and_one_that_is_wrong_stops_all(opted, merchants):
    many = [INVOICE | {"externalReference": f"INV-{number}"} for number in range(3)]
    assert opted.post(f"{BILLS}/bulk-invoicing", many).status == 200
    assert set(merchants.invoices) == {"INV-0", "INV-1", "INV-2"}
    wrong = [INVOICE, INVOICE | {"accountReference": ""}]
    error = opted.post(f"{BILLS}/bulk-invoicing", wrong).error
    assert error == (400, "400.002.02", "Bad Request - Invalid accountReference")
    assert len(merchants.invoices) == 3


@pytest.mark.parametrize("body", [{}, [], [1], [[]], "x", [INVOICE] * 101])
def test_what_is_no_list_of_invoices_is_unreadable(opted, body):
    error = opted.post(f"{BILLS}/bulk-invoicing", body).error
    assert error == (400, "400.002.05", "Invalid Request Payload")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("externalReference", ""),
        ("externalReference", "x" * 65),
        ("amount", "0"),
        ("amount", "1.5"),
        ("accountReference", "x" * 41),
        ("billedPhoneNumber", "12"),
        ("invoiceItems", "Water"),
        ("invoiceItems", [1]),
        ("invoiceItems", [{"itemName": "Water", "amount": "1"}] * 17),
    ],
)
def test_a_field_that_is_wrong_is_named(opted, merchants, name, value):
    error = opted.post(f"{BILLS}/single-invoicing", INVOICE | {name: value}).error
    assert error == (400, "400.002.02", f"Bad Request - Invalid {name}")
    assert not merchants.invoices


def test_an_invoice_is_cancelled_once(opted, merchants):
    opted.post(f"{BILLS}/bulk-invoicing", [INVOICE, INVOICE | {"externalReference": "INV-2"}])
    one = {"externalReference": "INV-2"}
    cancelled = {"Status_Message": "Invoice cancelled successfully"} | SUCCESS
    assert opted.post(f"{BILLS}/cancel-single-invoice", one).document == cancelled
    assert opted.post(f"{BILLS}/cancel-single-invoice", one).error[:2] == (404, "404.001.01")
    rest = [{"externalReference": "INV-2019-11"}]
    assert opted.post(f"{BILLS}/cancel-bulk-invoices", rest).document == cancelled
    assert not merchants.invoices


def test_a_payment_is_booked_if_it_is_one(opted, merchants):
    merchants.received.append(payment())
    assert opted.post(f"{BILLS}/reconciliation", PAID).document == SUCCESS
    for changes in ({"paidAmount": "2"}, {"transactionId": "NLJ7RT61SX"}):
        assert opted.post(f"{BILLS}/reconciliation", PAID | changes).error[0] == 404


def test_a_payment_of_an_invoice_is_told():
    event = Event("e", 1, EventKind.PAYMENT_RECEIVED, f"paybill:{PAYBILL}", 1, payment())
    headers, content = CallbackBodies({})(
        Delivery(event, PUSHES, "daraja.bill-manager"), merchant(PAYBILL, Trade.PAYBILL), 1
    )
    assert headers == {"content-type": "application/json"}
    assert json.loads(content) == {
        "transactionId": "NLJ7RT61SV",
        "paidAmount": "1",
        "msisdn": PHONE,
        "dateCreated": "2019-12-19",
        "accountReference": "INV-001",
        "shortCode": PAYBILL,
    }
