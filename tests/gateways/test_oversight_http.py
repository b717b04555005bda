"""Days, their orders and the trust line over HTTP: what is answered, and what is nobody's to ask."""

import asyncio

import numpy as np
import pytest
from tests.gateways.conftest import TODAY, FakePort

from harambee.node.port import FINAL_ROW, CloseAnswer, DayPage, UnavailableError
from harambee.oversight.trust_line import trust_line


class Desk:
    def __init__(self):
        self.asked = []
        self.signature = b"s" * 64
        self.lags = False

    async def close(self, day):
        if self.lags:
            raise UnavailableError("This super-agent reads what it missed: 3 blocks to go.")
        self.asked.append(day)
        return CloseAnswer(b"close", self.signature)

    async def flows(self, day):
        return b"flows of %d" % day

    async def orders(self, day, after, limit):
        self.asked.append((day, after, limit))
        rows = np.zeros(2, FINAL_ROW)
        rows["author"], rows["time_ms"] = [0, 3], [5, 6]
        return DayPage(rows, after + 2, 9)

    async def trust(self):
        return trust_line(900, [(700, -600, 1_000), (701, -300, 200)])


def ask(client, *arguments, **named):
    return asyncio.run(client.ask(*arguments, **named))


@pytest.fixture
def port():
    found = FakePort()
    found.oversight = Desk()
    return found


def test_a_close_with_its_signature_and_without(client, port):
    reply = ask(client, "GET", f"/v1/days/{TODAY - 2}/close")
    assert reply.document == {
        "super_agent": 0,
        "day": TODAY - 2,
        "document": b"close".hex(),
        "signature": "73" * 64,
    }
    port.oversight.signature = None
    assert ask(client, "GET", f"/v1/days/{TODAY + 1}/close").document["signature"] is None
    assert port.oversight.asked == [TODAY - 2, TODAY + 1]


def test_flows_and_a_page_of_orders(client, port):
    reply = ask(client, "GET", "/v1/days/7/flows")
    assert (reply.status, reply.body) == (200, b"flows of 7")
    reply = ask(client, "GET", "/v1/days/7/orders", query=b"after=4&limit=2")
    rows = np.frombuffer(reply.body, FINAL_ROW)
    assert (rows["author"].tolist(), rows["time_ms"].tolist()) == ([0, 3], [5, 6])
    assert (reply.headers["harambee-next"], reply.headers["harambee-end"]) == ("6", "9")
    ask(client, "GET", "/v1/days/7/orders", query=b"limit=99999999")
    ask(client, "GET", "/v1/days/7/orders", query=b"limit=0")
    assert port.oversight.asked == [(7, 4, 2), (7, 0, 16_384), (7, 0, 1)]


def test_the_trust_line(client):
    document = ask(client, "GET", "/v1/trust").document
    assert (document["circulation_cents"], document["owed_cents"]) == (900, 900)
    assert document["holds"] is False, "the second bank is above its limit"
    assert [bank["share_basis_points"] for bank in document["banks"]] == [6_666, 3_333]
    assert [bank["within_limit"] for bank in document["banks"]] == [True, False]
    assert [bank["alarm"] for bank in document["banks"]] == [True, True]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"/v1/days/{TODAY + 2}/close", 404, "DAY_AHEAD"),
        ("/v1/days/65536/close", 400, "NUMBER_INVALID"),
        ("/v1/days/-1/close", 400, "NUMBER_INVALID"),
        ("/v1/days/2026-01-01/orders", 400, "NUMBER_INVALID"),
        ("/v1/days//flows", 400, "NUMBER_INVALID"),
        ("/v1/days/٣/flows", 400, "NUMBER_INVALID"),
        ("/v1/days/7", 404, "RESOURCE_UNKNOWN"),
        ("/v1/days/7/close/8", 404, "RESOURCE_UNKNOWN"),
    ],
)
def test_what_is_no_day_is_a_problem_in_a_sentence(client, path, status, code):
    reply = ask(client, "GET", path)
    assert (reply.status, reply.code) == (status, code)


def test_wrong_numbers_and_methods(client):
    assert ask(client, "GET", "/v1/days/7/orders", query=b"after=x").status == 400
    assert ask(client, "POST", "/v1/trust").status == 405


def test_who_lags_is_unavailable(client, port):
    port.oversight.lags = True
    reply = ask(client, "GET", "/v1/days/7/close")
    assert (reply.status, reply.code) == (503, "UNAVAILABLE")
