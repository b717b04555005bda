"""Callbacks, as the clients' own documentation shows them; and what a biller answers."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateways.daraja.fakes import PAYBILL, PHONE, TILL, merchant, payment

from harambee.gateways.daraja.bodies import CallbackBodies
from harambee.gateways.daraja.shillings import decimal, number, two_decimals
from harambee.ledger.outcomes import Outcome
from harambee.merchants.port import (
    Deed,
    Delivery,
    Event,
    EventKind,
    Instruction,
    Reason,
    RequestState,
    RequestView,
    Result,
    Trade,
    Urls,
    Verdict,
)

SHOP = merchant(PAYBILL, Trade.PAYBILL)
DONE = "The service request is processed successfully."
QUEUE = {
    "Key": "QueueTimeoutURL",
    "Value": "https://shop.example/timeout",
}
ENDED_MS = 1_720_295_332_000
"""6 July 2024, 22:48:52 in Nairobi."""

BODIES = CallbackBodies(
    {"harambee.v1": lambda delivery, merchant, now_ms: ({"x": "1"}, str(now_ms).encode())}
)


def sent(form, facts, kind, shop=SHOP):
    event = Event("event-1", 1, kind, shop.short_code, ENDED_MS, facts)
    headers, content = BODIES(Delivery(event, "https://shop.example/", form), shop, ENDED_MS)
    assert headers == {"content-type": "application/json"}
    return content


def view(state, reason=0, paid=None):
    return RequestView(
        id=bytes(32),
        name="ws_CO_191220191020363925",
        short_code=PAYBILL,
        payee=40,
        payer=50,
        msisdn=f"+{PHONE}",
        amount_cents=100,
        account="INV-001",
        text="",
        made_ms=0,
        expires_ms=60_000,
        state=state,
        reason=reason,
        payment=paid,
        extra={"MerchantRequestID": "29115-34620561-1"},
    )


def instruction(deed, **changes):
    facts = {
        "deed": deed,
        "consumer_key": "key",
        "short_code": PAYBILL,
        "initiator": "testapi",
        "credential": "",
        "name": "53e3-4aa8-9fe0-8fb5e4092cdd3533373",
        "conversation": "AG_20240706_2010364430d9bbdaf872",
        "form": "",
        "result_url": "https://shop.example/result",
        "amount_cents": 1_000,
        "extra": {"QueueTimeOutURL": QUEUE["Value"]},
    }
    return Instruction(**(facts | changes))


def result_sent(form, instructed, **facts):
    result = Result(instructed, **({"outcome": Outcome.ACCEPTED, "ended_ms": ENDED_MS} | facts))
    return json.loads(sent(form, result, EventKind.INSTRUCTION_ENDED))


def parameters_of(document):
    rows = document["Result"]["ResultParameters"]["ResultParameter"]
    assert all(set(row) == {"Key", "Value"} for row in rows)
    return {row["Key"]: row["Value"] for row in rows}


def test_a_request_that_was_paid():
    content = sent("daraja.stk", view(RequestState.PAID, paid=payment()), EventKind.REQUEST_ENDED)
    assert content == (
        b'{"Body":{"stkCallback":{"MerchantRequestID":"29115-34620561-1",'
        b'"CheckoutRequestID":"ws_CO_191220191020363925","ResultCode":0,'
        b'"ResultDesc":"The service request is processed successfully.",'
        b'"CallbackMetadata":{"Item":[{"Name":"Amount","Value":1.0},'
        b'{"Name":"MpesaReceiptNumber","Value":"NLJ7RT61SV"},'
        b'{"Name":"TransactionDate","Value":20191219102115},'
        b'{"Name":"PhoneNumber","Value":254708374149}]}}}}'
    )


@pytest.mark.parametrize(
    ("state", "reason", "code", "sentence"),
    [
        (RequestState.DECLINED, 0, 1032, "Request cancelled by user"),
        (RequestState.EXPIRED, 0, 1037, "DS timeout user cannot be reached"),
        (
            RequestState.DECLINED,
            int(Outcome.BALANCE_INSUFFICIENT),
            1,
            "The balance is insufficient for the transaction.",
        ),
    ],
)
def test_a_request_that_was_not_paid_has_no_metadata(state, reason, code, sentence):
    content = sent("daraja.stk", view(state, reason), EventKind.REQUEST_ENDED)
    assert json.loads(content) == {
        "Body": {
            "stkCallback": {
                "MerchantRequestID": "29115-34620561-1",
                "CheckoutRequestID": "ws_CO_191220191020363925",
                "ResultCode": code,
                "ResultDesc": sentence,
            }
        }
    }


CONFIRMATION = {
    "TransactionType": "Pay Bill",
    "TransID": "NLJ7RT61SV",
    "TransTime": "20191219102115",
    "TransAmount": "1.00",
    "BusinessShortCode": PAYBILL,
    "BillRefNumber": "INV-001",
    "InvoiceNumber": "",
    "OrgAccountBalance": "25.00",
    "ThirdPartyTransID": "",
    "MSISDN": PHONE,
    "FirstName": "CUSTOMER",
    "MiddleName": "NUMBER",
    "LastName": "ONE",
}
MASKED = {"MSISDN": "2547 ***** 149", "MiddleName": "", "LastName": ""}


def test_a_payment_by_the_first_version_shows_who_paid():
    content = sent("daraja.c2b.v1", payment(), EventKind.PAYMENT_RECEIVED)
    assert json.loads(content) == CONFIRMATION


def test_a_payment_by_the_second_version_masks_who_paid():
    content = sent("daraja.c2b.v2", payment(), EventKind.PAYMENT_RECEIVED)
    assert json.loads(content) == CONFIRMATION | MASKED


def test_a_payment_to_a_till_of_whom_little_is_known():
    unknown = payment(msisdn=None, payer_name=None, balance_cents=None, account="")
    shop = merchant(TILL, Trade.TILL)
    for form in ("daraja.c2b.v1", "daraja.c2b.v2"):
        document = json.loads(sent(form, unknown, EventKind.PAYMENT_RECEIVED, shop))
        assert (document["TransactionType"], document["BusinessShortCode"]) == ("Buy Goods", TILL)
        assert [document[name] for name in ("MSISDN", "FirstName", "OrgAccountBalance")] == [""] * 3


def test_a_question_has_no_balance_and_the_form_of_the_registration():
    for form, expected in (
        ("daraja.c2b.v1", CONFIRMATION),
        ("daraja.c2b.v2", CONFIRMATION | MASKED),
    ):
        shop = replace(SHOP, urls=Urls("https://shop.example/", form=form))
        _, content = BODIES.question(payment(), shop)
        assert json.loads(content) == expected | {"OrgAccountBalance": ""}


def test_a_customer_was_paid():
    document = result_sent(
        "daraja.result.b2c",
        instruction(Deed.PAY_CUSTOMER, payee=f"+{PHONE}"),
        receipt_code="SG632NMUAB",
        payee_name="CUSTOMER NUMBER ONE",
        balance_cents=895_926_960,
    )
    assert parameters_of(document) == {
        "TransactionAmount": 10,
        "TransactionReceipt": "SG632NMUAB",
        "ReceiverPartyPublicName": f"{PHONE} - CUSTOMER NUMBER ONE",
        "TransactionCompletedDateTime": "06.07.2024 22:48:52",
        "B2CUtilityAccountAvailableFunds": 8_959_269.6,
        "B2CWorkingAccountAvailableFunds": 0.0,
        "B2CRecipientIsRegisteredCustomer": "Y",
        "B2CChargesPaidAccountAvailableFunds": 0.0,
    }
    del document["Result"]["ResultParameters"]
    assert document == {
        "Result": {
            "ResultType": 0,
            "ResultCode": 0,
            "ResultDesc": DONE,
            "OriginatorConversationID": "53e3-4aa8-9fe0-8fb5e4092cdd3533373",
            "ConversationID": "AG_20240706_2010364430d9bbdaf872",
            "TransactionID": "SG632NMUAB",
            "ReferenceData": {"ReferenceItem": QUEUE},
        }
    }


def test_a_pochi_is_shown_as_its_telephone():
    told = instruction(Deed.PAY_CUSTOMER, payee=f"pochi:+{PHONE}")
    document = result_sent("daraja.result.b2c", told, payee_name="SHOP")
    assert parameters_of(document)["ReceiverPartyPublicName"] == f"{PHONE} - SHOP"


def test_a_business_was_paid():
    told = instruction(
        Deed.PAY_BUSINESS,
        amount_cents=19_000,
        payee="paybill:600000",
        extra={"QueueTimeOutURL": QUEUE["Value"], "AccountReference": "353353"},
    )
    document = result_sent(
        "daraja.result.b2b",
        told,
        receipt_code="QKA81LK5CY",
        payee_name="Biller",
        balance_cents=618_683,
        fee_cents=2_300,
    )
    funds = "{Amount={CurrencyCode=KES, MinimumAmount=618683, BasicAmount=6186.83}}"
    assert parameters_of(document) == {
        "DebitAccountBalance": funds,
        "Amount": "190.00",
        "DebitPartyAffectedAccountBalance": "Utility Account|KES|6186.83|6186.83|0.00|0.00",
        "TransCompletedTime": "20240706224852",
        "DebitPartyCharges": "Fee|KES|23.00",
        "ReceiverPartyPublicName": "600000 - Biller",
        "Currency": "KES",
        "InitiatorAccountCurrentBalance": funds,
    }
    bill = {"Key": "BillReferenceNumber", "Value": "353353"}
    assert document["Result"]["ReferenceData"] == {"ReferenceItem": [bill, QUEUE]}


def test_a_balance_is_all_in_one_account():
    document = result_sent(
        "daraja.result.balance", instruction(Deed.BALANCE), balance_cents=22_803_700
    )
    assert parameters_of(document) == {
        "AccountBalance": (
            "Working Account|KES|0.00|0.00|0.00|0.00"
            "&Utility Account|KES|228037.00|228037.00|0.00|0.00"
            "&Charges Paid Account|KES|0.00|0.00|0.00|0.00"
            "&Organization Settlement Account|KES|0.00|0.00|0.00|0.00"
        ),
        "BOCompletedTime": 20_240_706_224_852,
    }


def test_a_status_tells_of_the_payment():
    document = result_sent(
        "daraja.result.status",
        instruction(Deed.STATUS, subject="NLJ7RT61SV", amount_cents=0),
        payment=payment(amount_cents=30_050),
        payment_kind="pay_bill",
        debit_party=f"{PHONE} - CUSTOMER NUMBER ONE",
        credit_party=f"{PAYBILL} - Merchant {PAYBILL}",
        fee_cents=500,
    )
    assert parameters_of(document) == {
        "DebitPartyName": f"{PHONE} - CUSTOMER NUMBER ONE",
        "CreditPartyName": f"{PAYBILL} - Merchant {PAYBILL}",
        "OriginatorConversationID": "53e3-4aa8-9fe0-8fb5e4092cdd3533373",
        "InitiatedTime": 20_191_219_102_115,
        "DebitAccountType": "Utility Account",
        "DebitPartyCharges": "Fee|KES|5.00",
        "TransactionReason": "",
        "ReasonType": "Pay Bill",
        "TransactionStatus": "Completed",
        "FinalisedTime": 20_191_219_102_115,
        "Amount": 300.5,
        "ConversationID": "AG_20240706_2010364430d9bbdaf872",
        "ReceiptNo": "NLJ7RT61SV",
    }


def test_a_reversal_gives_back():
    document = result_sent(
        "daraja.result.reversal",
        instruction(Deed.REVERSE, subject="NLJ7RT61SV", amount_cents=10_000),
        receipt_code="SG632NMUAC",
        balance_cents=5_166_100,
        payment=payment(),
        payee_name="CUSTOMER NUMBER ONE",
    )
    assert parameters_of(document) == {
        "DebitAccountBalance": "Utility Account|KES|51661.00|51661.00|0.00|0.00",
        "Amount": 100,
        "TransCompletedTime": 20_240_706_224_852,
        "OriginalTransactionID": "NLJ7RT61SV",
        "Charge": 0,
        "CreditPartyPublicName": f"{PHONE} - CUSTOMER NUMBER ONE",
        "DebitPartyPublicName": f"{PAYBILL} - Merchant {PAYBILL}",
    }


@pytest.mark.parametrize(
    "form", ["b2c", "b2b", "balance", "status", "reversal"], ids=lambda form: form
)
@pytest.mark.parametrize(
    ("ended", "code", "sentence"),
    [
        (
            {"outcome": Outcome.BALANCE_INSUFFICIENT},
            1,
            "The balance is insufficient for the transaction.",
        ),
        (
            {"outcome": None, "reason": Reason.CREDENTIAL_WRONG},
            2001,
            "The initiator information is invalid.",
        ),
        (
            {"outcome": None, "reason": Reason.NOT_FOUND},
            "R000002",
            "The OriginalTransactionID is invalid.",
        ),
        ({"outcome": None}, 17, "System internal error."),
        ({"outcome": Outcome.DAY_WRONG, "sentence": "Sign it again."}, 17, "Sign it again."),
        (
            {"outcome": Outcome.BALANCE_INSUFFICIENT, "sentence": "Ours."},
            1,
            "The balance is insufficient for the transaction.",
        ),
    ],
)
def test_what_was_not_done_has_a_code_and_no_parameters(form, ended, code, sentence):
    document = result_sent(f"daraja.result.{form}", instruction(Deed.STATUS), **ended)["Result"]
    assert (document["ResultCode"], document["ResultDesc"]) == (code, sentence)
    assert document["TransactionID"] == ""
    assert "ResultParameters" not in document
    assert QUEUE in (
        document["ReferenceData"]["ReferenceItem"]
        if form == "b2b"
        else [document["ReferenceData"]["ReferenceItem"]]
    )


def test_other_forms_are_made_by_others():
    event = Event("event-1", 1, EventKind.PAYMENT_RECEIVED, PAYBILL, ENDED_MS, payment())
    made = BODIES(Delivery(event, "https://shop.example/", "harambee.v1"), SHOP, 77)
    assert made == ({"x": "1"}, b"77")
    with pytest.raises(ValueError, match="nobody makes callbacks of the form 'fax'"):
        BODIES(Delivery(event, "https://shop.example/", "fax"), SHOP, 77)


MALFORMED = Verdict(
    accepted=False, code="C2B00016", sentence="The biller's answer could not be read."
)


@pytest.mark.parametrize(
    ("status", "content", "verdict"),
    [
        (200, {"ResultCode": "0", "ResultDesc": "Accepted"}, Verdict(accepted=True)),
        (200, {"ResultCode": 0, "ResultDesc": "Accepted"}, Verdict(accepted=True)),
        (
            200,
            {"ResultCode": "0", "ThirdPartyTransID": "BILL-7"},
            Verdict(accepted=True, third_party_id="BILL-7"),
        ),
        (
            200,
            {"ResultCode": "C2B00012", "ResultDesc": "Invalid Account Number"},
            Verdict(accepted=False, code="C2B00012", sentence="Invalid Account Number"),
        ),
        (200, {"ResultCode": "C2B00016"}, Verdict(accepted=False, code="C2B00016")),
        (200, {"ResultCode": "C2B00017", "ResultDesc": "?"}, MALFORMED),
        (200, {"ResultCode": "1"}, MALFORMED),
        (200, {"ResultCode": 1}, MALFORMED),
        (200, {"ResultCode": False}, MALFORMED),
        (200, {"ResultCode": None}, MALFORMED),
        (200, {}, MALFORMED),
        (200, [], MALFORMED),
        (500, {"ResultCode": "0"}, MALFORMED),
        (204, {"ResultCode": "0"}, MALFORMED),
        (200, b"", MALFORMED),
        (200, b"[" * 10_000, MALFORMED),
        (200, b'{"ResultCode":"0"' + b" " * (16 << 10) + b"}", MALFORMED),
    ],
)
def test_a_biller_says_yes_in_one_way_only(status, content, verdict):
    said = content if isinstance(content, bytes) else json.dumps(content).encode()
    assert BODIES.verdict(status, said) == verdict


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(
    st.integers(100, 599),
    st.one_of(
        st.binary(),
        st.fixed_dictionaries(
            {},
            optional={
                "ResultCode": st.sampled_from(["C2B00011", "C2B00013"]) | json_values,
                "ResultDesc": json_values,
                "ThirdPartyTransID": json_values,
            },
        ).map(lambda document: json.dumps(document).encode()),
    ),
)
def test_whatever_a_biller_answers_is_a_verdict(status, content):
    verdict = BODIES.verdict(status, content)
    for text in (verdict.code, verdict.sentence, verdict.third_party_id):
        assert len(text) <= 100
        assert text.isprintable()
    if verdict.accepted:
        assert status == 200
        assert json.loads(content)["ResultCode"] in (0, "0")
    else:
        assert verdict.code.startswith("C2B0001")


@given(st.integers(-(10**15), 10**15))
def test_an_amount_is_the_same_in_every_spelling(cents):
    text = two_decimals(cents)
    assert int(text.replace(".", "")) == cents
    assert bytes(decimal(cents)).decode() == text.removesuffix("0")
    assert json.loads(bytes(number(cents))) == json.loads(bytes(decimal(cents)))
    assert (b"." in bytes(number(cents))) == bool(cents % 100)
