"""Hakikisha: a customer's name before she is paid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateways.daraja.fakes import FOREIGN, KEY, PAYBILL, PHONE

from harambee.gateways.daraja.hakikisha import names_of
from harambee.merchants.port import MerchantsError, Reason

ASK = "/mpesa/b2c/hakikisha/v1/hakikisha"


def call(**body):
    return {
        "header": {"requestID": "8aeefeea-8713", "timestamp": "1748933384"},
        "body": {"msisdn": PHONE, "shortcode": PAYBILL} | body,
    }


def test_a_name_is_told_as_far_as_a_payer_may_know_it(door, merchants):
    merchants.names[f"+{PHONE}"] = "BRIAN K."
    assert door.post(ASK, call()).document == {
        "header": {
            "requestID": "8aeefeea-8713",
            "timestamp": "1748933384",
            "status": "200",
            "message": "Success",
        },
        "body": {"firstName": "BRIAN", "middleName": "", "lastName": "K******"},
    }
    assert merchants.asked_for == [(KEY, PAYBILL, f"+{PHONE}")]


def test_what_a_client_leaves_out_of_the_header_is_made_up(door, merchants):
    merchants.names[f"+{PHONE}"] = "DUKA LA PILI"
    document = door.post(ASK, {"body": call()["body"]}).document
    assert document["header"]["requestID"]
    assert document["header"]["timestamp"] == str(door.now_ms // 1_000)
    assert document["body"]["firstName"] == "DUKA LA PILI"


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"header": {}}, "shortcode"),
        (call(shortcode=FOREIGN), "shortcode"),
        (call(msisdn="12"), "msisdn"),
        ({"body": [PHONE]}, "body"),
        (call() | {"header": "none"}, "header"),
        (call() | {"header": {"requestID": "x" * 65}}, "requestID"),
    ],
)
def test_a_field_that_is_wrong_is_named(door, merchants, document, field):
    error = door.post(ASK, document).error
    assert error == (400, "400.002.02", f"Bad Request - Invalid {field}")
    assert not merchants.asked_for


def test_who_has_asked_too_often_is_told_so(door, merchants):
    merchants.fails = None
    token = door.token()
    assert door.post(ASK, call(), token).error[:2] == (404, "404.001.01")

    async def locked(*_):
        raise MerchantsError(Reason.QUOTA, "There are no more until tomorrow.")

    merchants.name_of_number = locked
    assert door.post(ASK, call(), token).error == (500, "500.003.03", "Quota Violation")


@given(st.text())
def test_every_name_has_three_parts_and_nothing_is_added_to_it(shown):
    first, middle, last = names_of(shown)
    assert middle == ""
    assert first in shown
    assert last == "" or last[0] in shown
