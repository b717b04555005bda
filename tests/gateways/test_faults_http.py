"""Bad luck to order, at the door of a development network and of no other."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateways.conftest import Client, FakePort
from tests.gateways.test_http import JSON_VALUES
from tests.gateways.test_merchants_http import ASK, ask

FAULTS = "/v1/sandbox/faults"
NONE = {
    "late_s": 0.0,
    "late_share": 0.0,
    "lost_share": 0.0,
    "doubled_share": 0.0,
    "dies_after_pushes": 0,
}


def test_faults_are_shown_and_changed(client, port):
    assert ask(client, "GET", FAULTS).document == NONE
    wanted = {"late_s": 2, "late_share": 0.5, "lost_share": 0.25, "dies_after_pushes": 3}
    changed = ask(client, "PUT", FAULTS, wanted)
    assert (changed.status, changed.document) == (200, NONE | wanted)
    assert ask(client, "GET", FAULTS).document == NONE | wanted
    assert port.merchants.faults.dies_after_pushes == 3
    assert ask(client, "PUT", FAULTS, {"doubled_share": 1}).document == NONE | {
        "doubled_share": 1.0
    }, "what is left out is not done"


@pytest.mark.parametrize(
    "wanted",
    [
        {"late_share": 1.5},
        {"lost_share": -0.1},
        {"doubled_share": True},
        {"late_s": 61},
        {"dies_after_pushes": 0.5},
        {"late_ms": 5},
    ],
)
def test_no_other_faults_are_taken(client, port, wanted):
    refused = ask(client, "PUT", FAULTS, wanted)
    assert (refused.status, refused.document["code"]) == (400, "BODY_INVALID")
    assert ask(client, "GET", FAULTS).document == NONE


def test_where_money_is_real_there_is_no_such_door(client, port):
    port.genesis.document.development = False
    for method, body in (("GET", b""), ("PUT", NONE | {"lost_share": 1})):
        refused = ask(client, method, FAULTS, body)
        assert (refused.status, refused.document["code"]) == (404, "RESOURCE_UNKNOWN")
    assert port.merchants.faults.lost_share == 0


def test_what_is_answered_is_counted_and_what_is_refused_is_not(client, port):
    assert ask(client, "POST", "/v1/requests", ASK | {"name": "order-7"}).status == 201
    assert ask(client, "POST", "/v1/requests", ASK | {"amount_cents": 0}).status == 400
    assert ask(client, "GET", "/v1/requests/order-7").status == 200
    assert port.merchants.answered == 1


@given(JSON_VALUES | st.dictionaries(st.sampled_from(sorted(NONE)), JSON_VALUES))
def test_whatever_is_wanted_there_is_an_answer(wanted):
    client = Client(FakePort())
    assert asyncio.run(client.ask("PUT", FAULTS, wanted)).status in (200, 400)
