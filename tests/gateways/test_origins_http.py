"""Pages of other super-agents ask this one: what browsers are told, and what they never may."""

import asyncio

import pytest

from harambee.crypto.hashing import digest
from harambee.gateways.http.origins import PREFLIGHT_S_MAX

ELSEWHERE = (("origin", "http://127.0.0.1:9999"),)


def ask(client, *arguments, **named):
    return asyncio.run(client.ask(*arguments, **named))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/network", 200),
        ("/v1/accounts/16", 200),
        ("/v1/accounts/99", 404),
        ("/v1/nothing", 404),
    ],
)
def test_whatever_is_answered_pages_of_others_may_read_it(client, path, status):
    reply = ask(client, "GET", path, sent=ELSEWHERE)
    assert reply.status == status
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in reply.headers


@pytest.mark.parametrize("path", ["/", "/metrics", "/readyz", "/mpesa/stkpush/v1/processrequest"])
def test_what_is_not_for_wallets_is_not_open_to_them(client, path):
    for method in ("GET", "OPTIONS"):
        reply = ask(client, method, path, sent=ELSEWHERE)
        assert not any(name.startswith("access-control") for name in reply.headers)


@pytest.mark.parametrize(
    ("path", "methods"),
    [("/v1/orders", "POST"), ("/v1/accounts/16", "GET"), ("/v1/merchants/174379/webhook", "PUT")],
)
def test_a_preflight_names_the_methods_and_is_soon_forgotten(client, path, methods):
    sent = (
        *ELSEWHERE,
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    )
    reply = ask(client, "OPTIONS", path, sent=sent)
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["access-control-allow-methods"] == methods
    # A merchant's secret travels in a header of its own, and no page may send that one.
    assert reply.headers["access-control-allow-headers"] == "content-type"
    assert 0 < int(reply.headers["access-control-max-age"]) <= PREFLIGHT_S_MAX == 600


def test_a_preflight_for_nothing_is_a_problem_that_can_be_read(client):
    reply = ask(client, "OPTIONS", "/v1/nothing", sent=ELSEWHERE)
    assert (reply.status, reply.code) == (404, "RESOURCE_UNKNOWN")
    assert reply.headers["access-control-allow-origin"] == "*"


def test_the_genesis_is_the_document_of_which_the_network_is_the_hash(client, port):
    reply = ask(client, "GET", "/v1/genesis")
    assert reply.headers["content-type"] == "application/json"
    told = ask(client, "GET", "/v1/network").document
    assert digest(b"harambee genesis", reply.body).hex() == told["network"]
    assert port.genesis.canonical == reply.body


def test_the_network_says_where_its_doors_are(client, port):
    doors = ask(client, "GET", "/v1/network").document["doors"]
    assert [door["name"] for door in doors] == [m.name for m in port.genesis.committee.members]
    assert doors[1] == {"name": port.genesis.committee.members[1].name, "http": doors[1]["http"]}
    assert doors[1]["http"] == "http://127.0.0.1:8402"
