"""B2B express: a business is asked to pay another one."""

import json
from dataclasses import replace

import pytest
from tests.gateways.daraja.fakes import (
    FOREIGN,
    OTHER_KEY,
    OTHER_SECRET,
    PAYBILL,
    TILL,
    merchant,
    payment,
)

from harambee.gateways.daraja.bodies import CallbackBodies
from harambee.ledger.outcomes import Outcome
from harambee.merchants.port import Delivery, Event, EventKind, RequestState, Trade

PUSH = "/v1/ussdpush/get-msisdn"


def call(**changes):
    fields = {
        "primaryShortCode": FOREIGN,
        "receiverShortCode": PAYBILL,
        "amount": "100",
        "paymentRef": "INV-7",
        "callbackUrl": "https://shop.example/express",
        "partnerName": "Vendor",
        "RequestRefID": "REQ001",
    }
    return fields | changes


def test_a_business_is_asked_to_pay(door, merchants):
    reply = door.post(PUSH, call())
    assert (reply.status, reply.document) == (
        200,
        {"code": "0", "status": "USSD Initiated Successfully"},
    )
    [ask] = merchants.asks
    assert (ask.short_code, ask.payer, ask.msisdn) == (PAYBILL, f"paybill:{FOREIGN}", "")
    assert (ask.amount_cents, ask.account, ask.text) == (10_000, "INV-7", "Vendor")
    assert (ask.form, ask.callback_url) == ("daraja.b2b-express", "https://shop.example/express")
    assert not ask.fresh, "its name says what it is"


def test_the_payers_software_may_ask_too_and_strangers_to_both_may_not(door):
    foreign = door.token(OTHER_KEY, OTHER_SECRET)
    assert door.post(PUSH, call(), token=foreign).status == 200
    error = door.post(PUSH, call(primaryShortCode=TILL), token=foreign).error
    assert error == (400, "400.002.02", "Bad Request - Invalid receiverShortCode")


def test_the_same_reference_on_the_same_day_is_the_same_request(door, merchants):
    for _ in range(2):
        assert door.post(PUSH, call()).status == 200
    [ask] = merchants.asks
    duplicate = (500, "500.002.1001", "Duplicate OriginatorConversationID.")
    assert door.post(PUSH, call(amount="200")).error == duplicate
    merchants.ends(ask.name, RequestState.DECLINED)
    assert door.post(PUSH, call()).error == duplicate
    door.now_ms += 86_400_000
    assert door.post(PUSH, call()).status == 200
    assert door.post(PUSH, call(RequestRefID="REQ002")).status == 200
    assert len({ask.name for ask in merchants.asks}) == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("primaryShortCode", "12"),
        ("receiverShortCode", FOREIGN),
        ("receiverShortCode", None),
        ("amount", "1.50"),
        ("amount", 0),
        ("paymentRef", "x" * 41),
        ("callbackUrl", "ftp://shop.example"),
        ("RequestRefID", ""),
        ("partnerName", ["Vendor"]),
    ],
)
def test_a_field_that_is_wrong_is_named(door, merchants, name, value):
    error = door.post(PUSH, call(**{name: value})).error
    assert error == (400, "400.002.02", f"Bad Request - Invalid {name}")
    assert not merchants.asks


def test_a_business_that_nobody_knows_cannot_be_asked(door):
    error = door.post(PUSH, call(primaryShortCode="999999")).error
    assert error == (500, "500.001.1001", "Merchant does not exist")


def callback(door, merchants, state, reason=0, paid=None):
    door.post(PUSH, call())
    view = merchants.ends(merchants.asks[0].name, state, reason, paid)
    event = Event("e", 1, EventKind.REQUEST_ENDED, f"paybill:{PAYBILL}", 1, view)
    headers, content = CallbackBodies({})(
        Delivery(event, "https://shop.example", "daraja.b2b-express"),
        merchant(PAYBILL, Trade.PAYBILL),
        1,
    )
    assert headers == {"content-type": "application/json"}
    return json.loads(content)


def test_a_payment_is_told(door, merchants):
    told = callback(door, merchants, RequestState.PAID, paid=replace(payment(), msisdn=""))
    conversation = told.pop("conversationID")
    assert conversation.startswith("AG_20191125_")
    assert told == {
        "resultCode": "0",
        "resultDesc": "The service request is processed successfully.",
        "amount": "100.0",
        "requestId": "REQ001",
        "resultType": "0",
        "transactionId": "NLJ7RT61SV",
        "status": "SUCCESS",
    }


@pytest.mark.parametrize(
    ("state", "reason", "code", "sentence"),
    [
        (RequestState.DECLINED, 0, "4001", "User cancelled transaction"),
        (RequestState.EXPIRED, 0, "1037", "DS timeout user cannot be reached"),
        (
            RequestState.DECLINED,
            Outcome.BALANCE_INSUFFICIENT,
            "1",
            "The balance is insufficient for the transaction.",
        ),
    ],
)
def test_why_there_is_no_payment_is_told(door, merchants, state, reason, code, sentence):
    assert callback(door, merchants, state, reason) == {
        "resultCode": code,
        "resultDesc": sentence,
        "amount": "100.0",
        "requestId": "REQ001",
        "paymentReference": "INV-7",
    }
