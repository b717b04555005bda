"""Paying out, paying others, taking back and asking: what each call tells the merchant's home to do."""

import re

import pytest
from tests.gateways.daraja.fakes import FOREIGN, PAYBILL, PHONE, Door, FakePort

from harambee.merchants.port import Deed, MerchantsError, Reason

TIMEOUT, RESULT = "https://shop.example/timeout", "https://shop.example/result"
ADDRESSES = {"QueueTimeOutURL": TIMEOUT, "ResultURL": RESULT}
B2C = "/mpesa/b2c/v3/paymentrequest"

CALLS = {
    B2C: {
        "OriginatorConversationID": "one-payment",
        "InitiatorName": "testapi",
        "SecurityCredential": "Y3JlZGVudGlhbA==",
        "CommandID": "BusinessPayment",
        "Amount": 10,
        "PartyA": int(PAYBILL),
        "PartyB": int(PHONE),
        "Remarks": "Test B2C",
        "Occassion": "Test",
    },
    "/mpesa/b2pochi/v1/paymentrequest": {
        "InitiatorName": "testapi",
        "SecurityCredential": "Y3JlZGVudGlhbA==",
        "CommandID": "BusinessPayToPochi",
        "Amount": "10",
        "PartyA": PAYBILL,
        "PartyB": PHONE,
        "Remarks": "Pochi test",
    },
    "/mpesa/b2b/v1/paymentrequest": {
        "Initiator": "testapi",
        "SecurityCredential": "Y3JlZGVudGlhbA==",
        "Command ID": "BusinessPayBill",
        "SenderIdentifierType": "4",
        "RecieverIdentifierType": "4",
        "Amount": "239",
        "PartyA": PAYBILL,
        "PartyB": FOREIGN,
        "AccountReference": "353353",
        "Remarks": "OK",
    },
    "/mpesa/b2b/v1/remittax": {
        "Initiator": "testapi",
        "SecurityCredential": "Y3JlZGVudGlhbA==",
        "CommandID": "PayTaxToKRA",
        "SenderIdentifierType": "4",
        "RecieverIdentifierType": "4",
        "Amount": "100",
        "PartyA": PAYBILL,
        "PartyB": "572572",
        "AccountReference": "PRN-1",
        "Remarks": "OK",
    },
    "/mpesa/reversal/v1/request": {
        "Initiator": "testapi",
        "SecurityCredential": "Y3JlZGVudGlhbA==",
        "CommandID": "TransactionReversal",
        "Transaction ID": "NLJ7RT61SV",
        "Amount": 10,
        "ReceiverParty": PAYBILL,
        "RecieverIdentifierType": "11",
        "Remarks": "Test reversal",
        "Occasion": "",
    },
    "/mpesa/transactionstatus/v1/query": {
        "Initiator": "testapi",
        "SecurityCredential": "Y3JlZGVudGlhbA==",
        "CommandID": "TransactionStatusQuery",
        "TransactionID": "NLJ7RT61SV",
        "OriginalConversationID": None,
        "PartyA": int(PAYBILL),
        "IdentifierType": 4,
        "Remarks": "Status check",
        "Occasion": None,
    },
    "/mpesa/accountbalance/v1/query": {
        "Initiator": "testapi",
        "SecurityCredential": "Y3JlZGVudGlhbA==",
        "CommandID": "AccountBalance",
        "PartyA": int(PAYBILL),
        "IdentifierType": 4,
        "Remarks": "Balance check",
    },
}


def call_of(path, **changes):
    return CALLS[path] | ADDRESSES | changes


def told(path, deed, form, **facts):
    return path, {"deed": deed, "form": form} | facts


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        told(
            B2C,
            Deed.PAY_CUSTOMER,
            "daraja.result.b2c",
            amount_cents=1_000,
            payee=f"+{PHONE}",
            name="one-payment",
        ),
        told(
            "/mpesa/b2pochi/v1/paymentrequest",
            Deed.PAY_CUSTOMER,
            "daraja.result.b2c",
            amount_cents=1_000,
            payee=f"pochi:+{PHONE}",
        ),
        told(
            "/mpesa/b2b/v1/paymentrequest",
            Deed.PAY_BUSINESS,
            "daraja.result.b2b",
            amount_cents=23_900,
            payee=f"paybill:{FOREIGN}",
            extra={"QueueTimeOutURL": TIMEOUT, "AccountReference": "353353"},
        ),
        told(
            "/mpesa/b2b/v1/remittax",
            Deed.PAY_BUSINESS,
            "daraja.result.b2b",
            amount_cents=10_000,
            payee="paybill:572572",
            extra={"QueueTimeOutURL": TIMEOUT, "AccountReference": "PRN-1"},
        ),
        told(
            "/mpesa/reversal/v1/request",
            Deed.REVERSE,
            "daraja.result.reversal",
            amount_cents=1_000,
            subject="NLJ7RT61SV",
        ),
        told(
            "/mpesa/transactionstatus/v1/query",
            Deed.STATUS,
            "daraja.result.status",
            subject="NLJ7RT61SV",
        ),
        told("/mpesa/accountbalance/v1/query", Deed.BALANCE, "daraja.result.balance"),
    ],
)
def test_each_call_becomes_an_instruction(door, merchants, path, expected):
    reply = door.post(path, call_of(path))
    assert reply.status == 200, reply.body
    [instruction] = merchants.instructions.values()
    assert {name: getattr(instruction, name) for name in expected} == expected
    assert (instruction.short_code, instruction.initiator) == (PAYBILL, "testapi")
    assert (instruction.credential, instruction.result_url) == ("Y3JlZGVudGlhbA==", RESULT)
    assert instruction.remarks == CALLS[path]["Remarks"]
    assert instruction.extra["QueueTimeOutURL"] == TIMEOUT
    assert reply.document == {
        "ConversationID": instruction.conversation,
        "OriginatorConversationID": instruction.name,
        "ResponseCode": "0",
        "ResponseDescription": "Accept the service request successfully.",
    }
    assert re.fullmatch(r"AG_20191125_[0-9a-f]{20}", instruction.conversation)


@pytest.mark.parametrize("command", ["BusinessPayment", "SalaryPayment", "PromotionPayment"])
@pytest.mark.parametrize("version", ["v1", "v3"])
def test_both_versions_pay_customers(door, merchants, version, command):
    path = f"/mpesa/b2c/{version}/paymentrequest"
    assert door.post(path, call_of(B2C, CommandID=command)).status == 200
    assert merchants.instructions["one-payment"].deed is Deed.PAY_CUSTOMER


@pytest.mark.parametrize(
    ("command", "payee"),
    [
        ("BusinessPayBill", f"paybill:{FOREIGN}"),
        ("BusinessBuyGoods", f"till:{FOREIGN}"),
        ("BusinessPayToBulk", f"paybill:{FOREIGN}"),
    ],
)
def test_the_command_says_what_a_payees_short_code_is(door, merchants, command, payee):
    path = "/mpesa/b2b/v1/paymentrequest"
    assert door.post(path, call_of(path, **{"Command ID": command})).status == 200
    [instruction] = merchants.instructions.values()
    assert instruction.payee == payee


@pytest.mark.parametrize("path", CALLS)
def test_an_instruction_without_a_name_gets_one_of_its_own(door, merchants, path):
    for _ in range(2):
        assert door.post(path, call_of(path, OriginatorConversationID=None)).status == 200
    first, second = merchants.instructions.values()
    assert len(first.name) == len(second.name) == 34
    assert first.conversation != second.conversation


@pytest.mark.parametrize("again", [{}, {"Amount": 20}])
def test_a_name_is_used_once_even_for_the_same(door, merchants, again):
    assert door.post(B2C, call_of(B2C)).status == 200
    error = door.post(B2C, call_of(B2C, **again)).error
    assert error == (500, "500.002.1001", "Duplicate OriginatorConversationID.")
    assert merchants.instructions["one-payment"].amount_cents == 1_000


def marked(mark):
    return [(b"x-idempotency-key", mark)]


def test_what_a_client_marks_and_sends_again_is_done_once(door, merchants):
    call = call_of(B2C, OriginatorConversationID=None)
    token = door.token()
    first, again = (door.post(B2C, call, token, marked(b"mark")) for _ in range(2))
    assert first.status == 200
    assert first.document == again.document
    assert len(merchants.instructions) == 1


@pytest.mark.parametrize(
    ("mark", "changes", "later_ms"),
    [(b"other", {}, 0), (b"mark", {"Amount": 20}, 0), (b"mark", {}, 86_400_000), (b"", {}, 0)],
)
def test_another_mark_or_call_or_day_is_another_payment(door, merchants, mark, changes, later_ms):
    call = call_of(B2C, OriginatorConversationID=None)
    assert door.post(B2C, call, more=marked(b"mark")).status == 200
    door.now_ms += later_ms
    assert door.post(B2C, call | changes, more=marked(mark)).status == 200
    assert len(merchants.instructions) == 2


def test_a_name_counts_more_than_a_mark(door, merchants):
    assert door.post(B2C, call_of(B2C), more=marked(b"mark")).status == 200
    error = door.post(B2C, call_of(B2C), more=marked(b"mark")).error
    assert error == (500, "500.002.1001", "Duplicate OriginatorConversationID.")
    assert len(merchants.instructions) == 1


def test_a_transaction_is_asked_for_by_its_conversation_too(door, merchants):
    path = "/mpesa/transactionstatus/v1/query"
    call = call_of(path, TransactionID="", OriginalConversationID="one-payment")
    assert door.post(path, call).status == 200
    [instruction] = merchants.instructions.values()
    assert instruction.subject == "one-payment"
    error = door.post(path, call | {"OriginalConversationID": None}).error
    assert error == (400, "400.002.02", "Bad Request - Invalid TransactionID")


WRONG = [
    *(
        (path, field, value)
        for path in CALLS
        for field, value in [
            ("ResultURL", ""),
            ("ResultURL", "mailto:shop"),
            ("QueueTimeOutURL", "timeout"),
            ("SecurityCredential", ""),
            ("SecurityCredential", "x" * 1_025),
            ("Remarks", "x" * 101),
            ("Occasion", "x" * 101),
            ("OriginatorConversationID", "x" * 65),
        ]
    ),
    (B2C, "InitiatorName", ""),
    (B2C, "CommandID", "PayEverybody"),
    (B2C, "PartyA", FOREIGN),
    (B2C, "PartyB", FOREIGN),
    (B2C, "Amount", "9.99"),
    ("/mpesa/b2pochi/v1/paymentrequest", "CommandID", "SalaryPayment"),
    ("/mpesa/b2b/v1/paymentrequest", "PartyB", PHONE),
    ("/mpesa/b2b/v1/paymentrequest", "PartyA", FOREIGN),
    ("/mpesa/b2b/v1/paymentrequest", "Initiator", None),
    ("/mpesa/b2b/v1/paymentrequest", "AccountReference", "x" * 41),
    ("/mpesa/b2b/v1/remittax", "PartyB", FOREIGN),
    ("/mpesa/b2b/v1/remittax", "AccountReference", ""),
    ("/mpesa/b2b/v1/remittax", "CommandID", "BusinessPayBill"),
    ("/mpesa/reversal/v1/request", "ReceiverParty", PHONE),
    ("/mpesa/reversal/v1/request", "CommandID", "Reverse"),
    ("/mpesa/transactionstatus/v1/query", "CommandID", "Ask"),
    ("/mpesa/accountbalance/v1/query", "CommandID", "Balance"),
    ("/mpesa/accountbalance/v1/query", "PartyA", "600001"),
]


@pytest.mark.parametrize(("path", "field", "value"), WRONG)
def test_a_wrong_field_is_named(door, merchants, path, field, value):
    error = door.post(path, call_of(path, **{field: value})).error
    assert error == (400, "400.002.02", f"Bad Request - Invalid {field}")
    assert not merchants.instructions


def test_a_home_that_cannot_be_reached_is_an_internal_error():
    door = Door(FakePort())
    token = door.token()

    async def unreachable(instruction):
        raise MerchantsError(Reason.UNAVAILABLE, "The merchant's home cannot be reached.")

    door.merchants.instruct = unreachable
    error = door.post(B2C, call_of(B2C), token).error
    assert error == (500, "500.003.1001", "The merchant's home cannot be reached.")
