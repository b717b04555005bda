"""C2B: where payments are confirmed, and payments of a development network."""

from types import SimpleNamespace

import pytest
from tests.gateways.daraja.fakes import FOREIGN, PAYBILL, PHONE, TILL, Door, FakePort

from harambee.gateways.daraja.simulator import AskingSimulator
from harambee.merchants.port import Urls, Verdict

CONFIRM = "https://shop.example/confirm"
VALIDATE = "https://shop.example/validate"


def register_call(**changes):
    fields = {
        "ShortCode": PAYBILL,
        "ResponseType": "Completed",
        "ConfirmationURL": CONFIRM,
        "ValidationURL": VALIDATE,
    }
    return fields | changes


def simulate_call(**changes):
    fields = {
        "ShortCode": int(PAYBILL),
        "CommandID": "CustomerPayBillOnline",
        "Amount": 100,
        "Msisdn": int(PHONE),
        "BillRefNumber": "TEST-001",
    }
    return fields | changes


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(
    ("said", "accepted"), [("Completed", True), ("Cancelled", False), ("Canceled", False)]
)
def test_addresses_are_kept_with_the_form_of_their_version(
    door, merchants, version, said, accepted
):
    reply = door.post(f"/mpesa/c2b/{version}/registerurl", register_call(ResponseType=said))
    assert reply.status == 200
    assert list(reply.document) == [
        "OriginatorCoversationID",
        "ResponseCode",
        "ResponseDescription",
    ]
    assert (reply.document["ResponseCode"], reply.document["ResponseDescription"]) == (
        "0",
        "Success",
    )
    assert merchants.urls == {PAYBILL: Urls(CONFIRM, VALIDATE, accepted, f"daraja.c2b.{version}")}


def test_nobody_needs_to_be_asked_before(door, merchants):
    assert door.post("/mpesa/c2b/v1/registerurl", register_call(ValidationURL="")).status == 200
    assert merchants.urls[PAYBILL].validation == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ShortCode", FOREIGN),
        ("ShortCode", "x"),
        ("ResponseType", "Maybe"),
        ("ConfirmationURL", ""),
        ("ConfirmationURL", "shop.example"),
        ("ValidationURL", "gopher://shop.example"),
    ],
)
def test_a_wrong_field_of_a_registration_is_named(door, merchants, field, value):
    error = door.post("/mpesa/c2b/v2/registerurl", register_call(**{field: value})).error
    assert error == (400, "400.002.02", f"Bad Request - Invalid {field}")
    assert not merchants.urls


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_customer_of_a_development_network_pays(door, version):
    reply = door.post(f"/mpesa/c2b/{version}/simulate", simulate_call())
    assert reply.status == 200
    assert reply.document["ResponseCode"] == "0"
    assert "OriginatorCoversationID" in reply.document
    assert door.gateway._daraja._simulator.paid == [(f"+{PHONE}", PAYBILL, 10_000, "TEST-001")]


def test_goods_need_no_reference(door):
    call = simulate_call(ShortCode=TILL, CommandID="CustomerBuyGoodsOnline", BillRefNumber=None)
    assert door.post("/mpesa/c2b/v2/simulate", call).status == 200
    assert door.gateway._daraja._simulator.paid == [(f"+{PHONE}", TILL, 10_000, "")]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ShortCode", FOREIGN),
        ("CommandID", "BusinessPayment"),
        ("Amount", "1.5"),
        ("Msisdn", "254"),
        ("BillRefNumber", "x" * 41),
    ],
)
def test_a_wrong_field_of_a_simulation_is_named(door, field, value):
    error = door.post("/mpesa/c2b/v1/simulate", simulate_call(**{field: value})).error
    assert error == (400, "400.002.02", f"Bad Request - Invalid {field}")
    assert not door.gateway._daraja._simulator.paid


def test_in_a_development_network_the_customer_is_asked():
    port = FakePort()
    door = Door(port, AskingSimulator(port))
    assert door.post("/mpesa/c2b/v2/simulate", simulate_call()).status == 200
    [ask] = door.merchants.asks
    assert (ask.short_code, ask.msisdn, ask.amount_cents) == (PAYBILL, f"+{PHONE}", 10_000)
    assert (ask.account, ask.callback_url, ask.form) == ("TEST-001", "", "")


def test_nobody_is_asked_for_what_the_biller_does_not_want():
    port = FakePort()
    door = Door(port, AskingSimulator(port))
    door.merchants.verdict = Verdict(accepted=False, code="C2B00012")
    assert door.post("/mpesa/c2b/v2/simulate", simulate_call()).status == 200
    assert not door.merchants.asks


def test_nobody_simulates_in_a_network_with_real_money():
    port = FakePort(genesis=SimpleNamespace(document=SimpleNamespace(development=False)))
    with pytest.raises(AssertionError, match="real money"):
        AskingSimulator(port)


def test_nobody_pays_by_simulation_where_money_is_real():
    sentence = "Payments are simulated in development networks only."
    error = Door().post("/mpesa/c2b/v1/simulate", simulate_call()).error
    assert error == (500, "500.001.1001", sentence)
