"""QR codes, pulled transactions, and whose a short code is."""

import base64
import io

import pytest
import zxingcpp
from PIL import Image
from tests.gateways.daraja.fakes import FOREIGN, PAYBILL, PHONE, TILL, payment

from harambee.handset.ke_qr import read_fields

QR = "/mpesa/qrcode/v1/generate"
PULL = "/pulltransactions/v1/query"
INFO = "/sfcverify/v1/query/info"


def qr_call(**changes):
    fields = {
        "MerchantName": "TestBiz",
        "RefNo": "QR-001",
        "Amount": 100,
        "TrxCode": "PB",
        "CPI": PAYBILL,
        "Size": "300",
    }
    return fields | changes


def test_a_picture_is_read_back(door):
    reply = door.post(QR, qr_call())
    assert reply.status == 200
    document = reply.document
    assert list(document) == ["ResponseCode", "RequestID", "ResponseDescription", "QRCode"]
    assert document["ResponseCode"].startswith("AG_20191125_")
    assert document["ResponseDescription"] == "QR Code Successfully Generated."
    with Image.open(io.BytesIO(base64.b64decode(document["QRCode"]))) as shown:
        assert shown.format == "PNG"
        assert shown.width == shown.height <= 300
        [code] = zxingcpp.read_barcodes(shown.convert("L"))
    fields = read_fields(code.text)
    assert fields.pop("28") == f"0008ke.go.qr0102PB02{len(PAYBILL):02}{PAYBILL}"
    del fields["63"]
    assert fields == {
        "00": "01",
        "01": "12",
        "52": "0000",
        "53": "404",
        "54": "100.00",
        "58": "KE",
        "59": "TestBiz",
        "60": "KENYA",
        "62": "0506QR-001",
    }


@pytest.mark.parametrize(
    ("kind", "payee"), [("BG", TILL), ("WA", "123456"), ("SM", PHONE), ("SB", FOREIGN)]
)
def test_every_kind_of_payment_has_a_picture(door, kind, payee):
    assert door.post(QR, qr_call(TrxCode=kind, CPI=payee, RefNo="", Size=None)).status == 200


@pytest.mark.parametrize(
    ("field_name", "value"),
    [
        ("MerchantName", ""),
        ("RefNo", "x" * 26),
        ("Amount", 0),
        ("TrxCode", "XX"),
        ("CPI", "shop"),
        ("CPI", PHONE),
        ("Size", "1001"),
        ("Size", "0"),
        ("Size", "wide"),
        ("Size", "²"),
    ],
)
def test_a_wrong_field_of_a_picture_is_named(door, field_name, value):
    error = door.post(QR, qr_call(**{field_name: value})).error
    assert error == (400, "400.002.02", f"Bad Request - Invalid {field_name}")


def test_money_is_sent_to_a_telephone_only(door):
    error = door.post(QR, qr_call(TrxCode="SM", CPI=PAYBILL)).error
    assert error == (400, "400.002.02", "Bad Request - Invalid CPI")


def test_payments_are_pulled_between_two_times(door, merchants):
    merchants.received.append(payment())
    call = {
        "ShortCode": PAYBILL,
        "StartDate": "2019-12-19 10:21:15",
        "EndDate": "2019-12-19",
        "OffSetValue": "0",
    }
    reply = door.post(PULL, call)
    assert reply.status == 200
    document = reply.document
    del document["ResponseRefID"]
    assert document == {
        "ResponseCode": "1000",
        "ResponseMessage": "Success",
        "Response": [
            [
                {
                    "transactionId": "NLJ7RT61SV",
                    "trxDate": "2019-12-19T10:21:15+03:00",
                    "msisdn": int(PHONE),
                    "sender": "CUSTOMER NUMBER ONE",
                    "transactiontype": "c2b-pay-bill-debit",
                    "billreference": "INV-001",
                    "amount": "1.00",
                    "organizationname": f"Merchant {PAYBILL}",
                }
            ]
        ],
    }
    since, until = 1_576_740_075_000, 1_576_789_200_000
    assert merchants.asked_for == [(PAYBILL, since, until, 0, 1_000)]


def test_no_payments_are_an_empty_list(door, merchants):
    merchants.received.append(payment(msisdn=None, payer_name=None))
    call = {"ShortCode": PAYBILL, "StartDate": "2019-12-01", "EndDate": "2019-12-31"}
    [[row]] = door.post(PULL, call).document["Response"]
    assert (row["msisdn"], row["sender"]) == (0, "")
    assert door.post(PULL, call | {"OffSetValue": 1}).document["Response"] == [[]]


@pytest.mark.parametrize(
    ("field_name", "value"),
    [
        ("ShortCode", FOREIGN),
        ("StartDate", "19.12.2019"),
        ("StartDate", "2019-12-32"),
        ("EndDate", "2019-12-18"),
        ("EndDate", ""),
        ("EndDate", "9999-12-31"),
        ("OffSetValue", "-1"),
        ("OffSetValue", "x"),
        ("OffSetValue", "12345678"),
    ],
)
def test_a_wrong_field_of_a_pull_is_named(door, field_name, value):
    call = {"ShortCode": PAYBILL, "StartDate": "2019-12-19 12:00:00", "EndDate": "2019-12-19"}
    error = door.post(PULL, call | {field_name: value}).error
    assert error == (400, "400.002.02", f"Bad Request - Invalid {field_name}")


def test_whoever_may_pull_is_registered_already(door):
    call = {
        "ShortCode": PAYBILL,
        "RequestType": "Pull",
        "NominatedNumber": PHONE,
        "CallBackURL": "https://shop.example/pull",
    }
    document = door.post("/pulltransactions/v1/register", call).document
    del document["ResponseRefID"]
    assert document == {
        "Response Status": "1001",
        "ShortCode": PAYBILL,
        "Response Description": "ShortCode already Registered",
    }


@pytest.mark.parametrize(("kind", "short_code"), [(4, PAYBILL), ("2", TILL), (4, FOREIGN)])
def test_anybody_may_ask_whose_a_short_code_is(door, kind, short_code):
    document = door.post(INFO, {"IdentifierType": kind, "Identifier": int(short_code)}).document
    assert document["OrganizationShortCode"] == short_code
    assert document["OrganizationName"] == f"Merchant {short_code}"
    assert document["ResponseCode"] == "0"


@pytest.mark.parametrize(("kind", "short_code"), [(2, PAYBILL), (4, 999_999)])
def test_a_short_code_of_nobody_is_not_found(door, kind, short_code):
    error = door.post(INFO, {"IdentifierType": kind, "Identifier": short_code}).error
    assert error == (404, "404.001.01", "Resource not found")
    error = door.post(INFO, {"IdentifierType": 1, "Identifier": PAYBILL}).error
    assert error == (400, "400.002.02", "Bad Request - Invalid IdentifierType")
