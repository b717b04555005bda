"""STK push and its query."""

import json
import re

import pytest
from tests.gateways.daraja.fakes import FOREIGN, PAYBILL, PHONE, TILL, password, payment

from harambee.gateways.daraja.errors import LOCKED
from harambee.ledger.outcomes import Outcome
from harambee.merchants.port import MerchantsError, Reason, RequestState

PUSH = "/mpesa/stkpush/v1/processrequest"
QUERY = "/mpesa/stkpushquery/v1/query"
AT = "20191125150115"
CALLBACK = "https://shop.example/callback"
ABSENT = object()


def push_call(**changes):
    fields = {
        "BusinessShortCode": int(PAYBILL),
        "Password": password(PAYBILL, AT),
        "Timestamp": AT,
        "TransactionType": "CustomerPayBillOnline",
        "Amount": 1,
        "PartyA": int(PHONE),
        "PartyB": int(PAYBILL),
        "PhoneNumber": int(PHONE),
        "CallBackURL": CALLBACK,
        "AccountReference": "INV-001",
        "TransactionDesc": "Test payment",
    } | changes
    return {name: value for name, value in fields.items() if value is not ABSENT}


def query_call(checkout, **changes):
    fields = {
        "BusinessShortCode": PAYBILL,
        "Password": password(PAYBILL, AT),
        "Timestamp": AT,
        "CheckoutRequestID": checkout,
    }
    return fields | changes


def pushed(door, **changes):
    reply = door.post(PUSH, push_call(**changes))
    assert reply.status == 200, reply.body
    return reply.document


def test_a_push_asks_the_customer(door, merchants):
    document = pushed(door)
    accepted = "Success. Request accepted for processing"
    assert list(document) == [
        "MerchantRequestID",
        "CheckoutRequestID",
        "ResponseCode",
        "ResponseDescription",
        "CustomerMessage",
    ]
    assert re.fullmatch(r"[0-9]{5}-[0-9]{8}-1", document["MerchantRequestID"])
    assert re.fullmatch(r"ws_CO_25112019150115[0-9]{12}", document["CheckoutRequestID"])
    assert document["ResponseCode"] == "0"
    assert document["ResponseDescription"] == document["CustomerMessage"] == accepted
    [ask] = merchants.asks
    assert (ask.short_code, ask.msisdn, ask.amount_cents) == (PAYBILL, f"+{PHONE}", 100)
    assert (ask.account, ask.text) == ("INV-001", "Test payment")
    assert (ask.name, ask.form) == (document["CheckoutRequestID"], "daraja.stk")
    assert ask.callback_url == CALLBACK
    assert ask.extra == {"MerchantRequestID": document["MerchantRequestID"]}


@pytest.mark.parametrize("amount", [10, "10", 10.0, "10.0", "10.00", " 10 "])
def test_an_amount_is_whole_shillings_as_number_or_text(door, merchants, amount):
    pushed(door, Amount=amount)
    assert merchants.asks[0].amount_cents == 1_000


@pytest.mark.parametrize(
    "amount",
    [0, -1, "0.00", "10.50", 10.5, "1e3", "ten", "", None, True, [1], {}, "1,000", 10**12],
)
def test_no_other_amount_is_asked_for(door, merchants, amount):
    error = door.post(PUSH, push_call(Amount=amount)).error
    assert error == (400, "400.002.02", "Bad Request - Invalid Amount")
    assert not merchants.asks


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("BusinessShortCode", "12"),
        ("BusinessShortCode", ABSENT),
        ("PartyB", "shop"),
        ("PartyB", FOREIGN),
        ("PartyA", "12345"),
        ("PartyA", None),
        ("PhoneNumber", "0712345678"),
        ("PhoneNumber", ABSENT),
        ("TransactionType", "CustomerPaysLater"),
        ("CallBackURL", "ftp://shop.example/"),
        ("CallBackURL", "https://"),
        ("CallBackURL", "https://shop.example:99999/"),
        ("CallBackURL", ""),
        ("CallBackURL", "https://shop.example/" + "x" * 1_024),
        ("AccountReference", ""),
        ("AccountReference", "x" * 41),
        ("AccountReference", "bell\a"),
        ("TransactionDesc", "x" * 101),
        ("Timestamp", "now"),
        ("Timestamp", "2019112515011"),
        ("Password", ""),
    ],
)
def test_a_wrong_field_is_named(door, merchants, field, value):
    error = door.post(PUSH, push_call(**{field: value})).error
    assert error == (400, "400.002.02", f"Bad Request - Invalid {field}")
    assert not merchants.asks


def test_a_number_with_an_exponent_is_no_amount(door):
    body = json.dumps(push_call(Amount="?")).replace('"?"', "1e3").encode()
    error = door.post(PUSH, body).error
    assert error == (400, "400.002.02", "Bad Request - Invalid Amount")


def test_references_longer_than_documented_are_taken(door, merchants):
    pushed(door, AccountReference="x" * 40, TransactionDesc="y" * 100)
    assert (len(merchants.asks[0].account), len(merchants.asks[0].text)) == (40, 100)


@pytest.mark.parametrize("timestamp", ["20191125120115", "19700101000000", "99999999999999"])
def test_a_timestamp_is_only_hashed(door, timestamp):
    pushed(door, Timestamp=timestamp, Password=password(PAYBILL, timestamp))


def test_a_telephone_may_be_spelt_as_people_do(door, merchants):
    pushed(door, PartyA="0708374149", PhoneNumber="+254708374149")
    assert merchants.asks[0].msisdn == f"+{PHONE}"


def test_a_password_of_another_passkey_or_time_is_wrong(door):
    wrong = (500, "500.001.1001", "Wrong credentials")
    for one in (password(PAYBILL, AT, "0" * 64), password(PAYBILL, "20191125150116"), "x"):
        assert door.post(PUSH, push_call(Password=one)).error == wrong
        assert door.post(QUERY, query_call("ws_CO_1", Password=one)).error == wrong


def test_a_short_code_of_nobody_does_not_exist(door):
    call = push_call(BusinessShortCode="999999", Password=password("999999", AT), PartyB=PAYBILL)
    assert door.post(PUSH, call).error == (500, "500.001.1001", "Merchant does not exist")


def test_an_app_asks_for_its_own_short_codes_only(door):
    call = push_call(BusinessShortCode=FOREIGN, Password=password(FOREIGN, AT), PartyB=FOREIGN)
    assert door.post(PUSH, call).error == (500, "500.001.1001", "Wrong credentials")


def test_a_head_office_asks_for_its_till(door, merchants):
    pushed(door, PartyB=TILL, TransactionType="CustomerBuyGoodsOnline")
    assert merchants.asks[0].short_code == f"till:{TILL}"


def test_a_till_is_paid_by_clients_that_know_bills_only(door, merchants):
    pushed(door, PartyB=TILL)
    assert merchants.asks[0].short_code == TILL


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        (Reason.PAYER_UNKNOWN, (400, "400.002.02", "Bad Request - Invalid PhoneNumber")),
        (
            Reason.PAYER_BUSY,
            (
                500,
                "500.001.1001",
                LOCKED,
            ),
        ),
        (Reason.MERCHANT_UNKNOWN, (500, "500.001.1001", "Merchant does not exist")),
        (
            Reason.BUSY,
            (500, "500.003.02", "System is busy. Please try again in few minutes."),
        ),
        (Reason.UNAVAILABLE, (500, "500.003.1001", "A sentence.")),
        (Reason.INVALID, (400, "400.002.05", "A sentence.")),
    ],
)
def test_what_the_port_refuses_has_a_code_of_darajas(door, merchants, reason, error):
    token = door.token()
    merchants.ask_payment = raises(MerchantsError(reason, "A sentence."))
    assert door.post(PUSH, push_call(), token).error == error


def raises(error):
    async def method(*arguments):
        raise error

    return method


def test_a_bug_is_an_internal_error_and_tells_nothing(door, merchants):
    token = door.token()
    merchants.ask_payment = raises(RuntimeError("a secret"))
    reply = door.post(PUSH, push_call(), token)
    assert reply.error == (500, "500.003.1001", "Internal Server Error")
    assert b"secret" not in reply.body


def test_a_request_that_waits_is_being_processed(door):
    checkout = pushed(door)["CheckoutRequestID"]
    error = door.post(QUERY, query_call(checkout)).error
    assert error == (500, "500.001.1001", "The transaction is being processed")


@pytest.mark.parametrize(
    ("state", "reason", "code", "sentence"),
    [
        (RequestState.PAID, 0, "0", "The service request is processed successfully."),
        (RequestState.DECLINED, 0, "1032", "Request cancelled by user"),
        (RequestState.EXPIRED, 0, "1037", "DS timeout user cannot be reached"),
        (
            RequestState.DECLINED,
            Outcome.BALANCE_INSUFFICIENT,
            "1",
            "The balance is insufficient for the transaction.",
        ),
        (
            RequestState.DECLINED,
            Outcome.DAILY_LIMIT_EXCEEDED,
            "4",
            "Declined due to limit rule: would exceed daily transfer limit.",
        ),
        (RequestState.DECLINED, 255, "17", "System internal error."),
    ],
)
def test_a_query_tells_how_a_request_ended(door, merchants, state, reason, code, sentence):
    asked = pushed(door)
    checkout = asked["CheckoutRequestID"]
    merchants.ends(checkout, state, reason, payment() if state is RequestState.PAID else None)
    reply = door.post(QUERY, query_call(checkout))
    assert (reply.status, reply.document) == (
        200,
        {
            "ResponseCode": "0",
            "ResponseDescription": "The service request has been accepted successsfully",
            "MerchantRequestID": asked["MerchantRequestID"],
            "CheckoutRequestID": checkout,
            "ResultCode": code,
            "ResultDesc": sentence,
        },
    )


def test_a_request_of_nobody_or_of_another_is_unknown(door):
    unknown = (400, "400.002.02", "Bad Request - Invalid CheckoutRequestID")
    assert door.post(QUERY, query_call("test-checkout-id")).error == unknown
    checkout = pushed(door)["CheckoutRequestID"]
    moved = query_call(checkout, BusinessShortCode=FOREIGN, Password=password(FOREIGN, AT))
    token = door.token("key-of-another", "secret-of-another")
    assert door.post(QUERY, moved, token).error == unknown
