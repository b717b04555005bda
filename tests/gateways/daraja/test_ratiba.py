"""Ratiba: a customer is asked to agree to a standing order."""

import datetime as dt
import json

import pytest
from tests.gateways.daraja.fakes import FOREIGN, PAYBILL, PHONE, TILL, merchant

from harambee.gateways.daraja.bodies import CallbackBodies
from harambee.handset.standing_orders import Terms, number_of
from harambee.merchants.port import Delivery, Event, EventKind, RequestState, Trade

CREATE = "/standingorder/v1/createStandingOrderExternal"


def call(**changes):
    fields = {
        "StandingOrderName": "Rent",
        "StartDate": "20191201",
        "EndDate": "20201130",
        "BusinessShortCode": PAYBILL,
        "TransactionType": "Standing Order Customer Pay Bill",
        "ReceiverPartyIdentifierType": "4",
        "Amount": "4500",
        "PartyA": PHONE,
        "CallBackURL": "https://shop.example/ratiba",
        "AccountReference": "HOUSE-7",
        "TransactionDesc": "Rent",
        "Frequency": "4",
    }
    return fields | changes


def day(*date):
    return number_of(dt.date(*date))


def test_a_customer_is_asked_to_agree(door, merchants):
    document = door.post(CREATE, call()).document
    assert document["ResponseHeader"].pop("responseRefID")
    accepted = "Request accepted for processing"
    assert document == {
        "ResponseHeader": {
            "responseCode": "200",
            "responseDescription": accepted,
            "ResultDesc": "The service request is processed successfully.",
        },
        "ResponseBody": {"responseDescription": accepted, "responseCode": "200"},
    }
    [ask] = merchants.asks
    assert (ask.short_code, ask.msisdn) == (f"paybill:{PAYBILL}", f"+{PHONE}")
    assert (ask.amount_cents, ask.account, ask.text) == (450_000, "HOUSE-7", "Rent")
    assert ask.terms == Terms("pay_bill", 4, day(2019, 12, 1), day(2020, 11, 30))
    assert (ask.under, ask.number) == ("", 0)


@pytest.mark.parametrize("frequency", range(1, 9))
def test_a_till_is_paid_as_often(door, merchants, frequency):
    changes = {"BusinessShortCode": TILL, "ReceiverPartyIdentifierType": "2"}
    kind = {"TransactionType": "Standing Order Customer Pay Marchant", "Frequency": frequency}
    assert door.post(CREATE, call(**changes, **kind)).status == 200
    assert merchants.asks[0].terms.kind == "buy_goods"
    assert merchants.asks[0].terms.frequency == frequency


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Frequency", "0"),
        ("Frequency", "9"),
        ("StartDate", "20191301"),
        ("StartDate", "1 Dec"),
        ("StartDate", "00010101"),
        ("StartDate", "99991231"),
        ("EndDate", "20191130"),
        ("EndDate", ""),
        ("EndDate", "21991231"),
        ("Amount", "0"),
        ("PartyA", "12"),
        ("ReceiverPartyIdentifierType", "1"),
        ("BusinessShortCode", FOREIGN),
        ("CallBackURL", "shop"),
        ("StandingOrderName", ""),
        ("AccountReference", "x" * 41),
    ],
)
def test_a_field_that_is_wrong_is_named(door, merchants, name, value):
    error = door.post(CREATE, call(**{name: value})).error
    assert error == (400, "400.002.02", f"Bad Request - Invalid {name}")
    assert not merchants.asks


def test_what_is_over_already_is_not_asked_for(door):
    error = door.post(CREATE, call(StartDate="20180101", EndDate="20191124")).error
    assert error == (400, "400.002.02", "Bad Request - Invalid EndDate")


def test_a_short_code_of_the_other_kind_is_no_merchant(door):
    error = door.post(CREATE, call(ReceiverPartyIdentifierType="2")).error
    assert error == (500, "500.001.1001", "Merchant does not exist")


def callback(door, merchants, state):
    reference = door.post(CREATE, call()).document["ResponseHeader"]["responseRefID"]
    view = merchants.ends(merchants.asks[0].name, state)
    event = Event("e", 1, EventKind.REQUEST_ENDED, f"paybill:{PAYBILL}", 1, view)
    delivery = Delivery(event, "https://shop.example", "daraja.ratiba")
    _, content = CallbackBodies({})(delivery, merchant(PAYBILL, Trade.PAYBILL), 1)
    return reference, view.name, json.loads(content)


def test_an_agreement_is_told_in_small_letters(door, merchants):
    reference, name, told = callback(door, merchants, RequestState.AGREED)
    assert told == {
        "responseHeader": {
            "responseRefID": reference,
            "requestRefID": name,
            "responseCode": "0",
            "responseDescription": "The service request is processed successfully.",
        },
        "responseBody": {
            "responseData": [
                {"name": "TransactionID", "value": name},
                {"name": "responseCode", "value": "0"},
                {"name": "Status", "value": "OKAY"},
                {"name": "Msisdn", "value": "******149"},
            ]
        },
    }


@pytest.mark.parametrize(
    ("state", "code"), [(RequestState.DECLINED, "1032"), (RequestState.EXPIRED, "1037")]
)
def test_what_is_not_agreed_to_is_told_in_capitals(door, merchants, state, code):
    reference, _, told = callback(door, merchants, state)
    assert told["ResponseHeader"]["responseRefID"] == reference
    assert told["ResponseHeader"]["responseCode"] == code
    data = {row["Name"]: row["Value"] for row in told["ResponseBody"]["ResponseData"]}
    assert data == {
        "TransactionID": "0000000000",
        "responseCode": code,
        "Status": "ERROR",
        "Msisdn": "******149",
    }
