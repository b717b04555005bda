"""Agents over HTTP: shops in pages, floats with an outlook, places, and who sells float nearby."""

import asyncio

import numpy as np
import pytest

from harambee.handset.places import Place
from harambee.ledger.records import ACCOUNT, AccountKind, account_flags
from harambee.node.agent_places import AgentPlace

AGENT, OFFICE, CUSTOMER = 16, 40, 50
HERE = "latitude=-1.2864&longitude=36.8172"


def ask(client, path, query=""):
    return asyncio.run(client.ask("GET", path, query=query.encode()))


def hold(port, number, kind, cents, *, held=0, head_office=0):
    record = np.zeros(1, ACCOUNT)
    record["flags"], record["balance"], record["held"] = account_flags(kind), cents, held
    record["head_office"] = head_office
    port.accounts_held[number] = record


@pytest.fixture
def town(port):
    """A head office with five shops, and neighbours east of where the shop stands."""
    hold(port, OFFICE, AccountKind.AGENT, 9_000_00)
    hold(port, CUSTOMER, AccountKind.CUSTOMER, 9_000_00)
    hold(port, 3, AccountKind.FLOAT, 1_000_000_00)
    for number in range(AGENT, AGENT + 5):
        hold(port, number, AccountKind.AGENT, number * 1_000_00, head_office=OFFICE)
    port.shops_held[OFFICE] = list(range(AGENT, AGENT + 5))
    for place, number in enumerate(range(AGENT, AGENT + 5)):
        keeps = None if number == AGENT + 1 else 17_500_00
        port.places_held[number] = AgentPlace(
            number, Place(-1.2864, 36.8172 + place / 1_000), keeps
        )
    return port


def test_a_head_offices_shops_come_in_pages(client, town):
    path = f"/v1/accounts/{OFFICE}/shops"
    first = ask(client, path, "limit=2").document
    assert first["shops"] == [
        {"account": AGENT, "float_cents": 16_000_00},
        {"account": AGENT + 1, "float_cents": 17_000_00},
    ]
    last = ask(client, path, f"limit=3&after={first['next_after']}").document
    assert [shop["account"] for shop in last["shops"]] == [18, 19, 20]
    assert last["next_after"] is None
    assert ask(client, f"/v1/accounts/{AGENT}/shops").document["shops"] == []
    assert ask(client, "/v1/accounts/99/shops").code == "ACCOUNT_UNKNOWN"


def test_an_account_says_its_head_office_and_who_bears_a_bills_charge(client, town):
    document = ask(client, f"/v1/accounts/{AGENT}").document
    assert (document["head_office"], document["fee_mode"]) == (OFFICE, "payer")
    assert ask(client, f"/v1/accounts/{OFFICE}").document["head_office"] is None


def test_an_agents_float_has_an_outlook_and_a_customer_none(client, town):
    document = ask(client, f"/v1/accounts/{AGENT}/float").document
    assert (document["float_cents"], document["low"]) == (16_000_00, False)
    assert document["sentence"].startswith("At the usual rate")
    hold(town, AGENT, AccountKind.AGENT, 0)
    empty = ask(client, f"/v1/accounts/{AGENT}/float").document
    assert (empty["low"], empty["sentence"]) == (True, "The float is used up.")
    assert ask(client, f"/v1/accounts/{CUSTOMER}/float").code == "NO_FLOAT"
    assert ask(client, "/v1/accounts/99/float").code == "ACCOUNT_UNKNOWN"


def test_a_place_is_told_and_an_unknown_one_is_not(client, town):
    assert ask(client, f"/v1/agents/{AGENT}").document == {
        "account": AGENT,
        "latitude": -1.2864,
        "longitude": 36.8172,
        "sells_float": True,
    }
    assert not ask(client, f"/v1/agents/{AGENT + 1}").document["sells_float"]
    assert ask(client, f"/v1/agents/{OFFICE}").code == "PLACE_UNKNOWN"


def test_sellers_are_those_who_agreed_and_have_something_to_sell_nearest_first(client, town):
    document = ask(client, "/v1/float-sources", HERE).document
    assert document["floats"] == [{"account": 3, "surplus_cents": 1_000_000_00}]
    # 16 keeps more than it has, and 17 did not agree.
    assert [(row["account"], row["surplus_cents"]) for row in document["agents"]] == [
        (18, 500_00),
        (19, 1_500_00),
        (20, 2_500_00),
    ]
    assert [row["distance_m"] for row in document["agents"]] == [222, 334, 445]
    assert len(ask(client, "/v1/float-sources", f"{HERE}&limit=1").document["agents"]) == 1


def test_without_a_place_who_has_most_comes_first(client, town):
    agents = ask(client, "/v1/float-sources").document["agents"]
    assert [row["account"] for row in agents] == [20, 19, 18]
    assert {row["distance_m"] for row in agents} == {None}


def test_what_is_held_or_not_an_agents_is_no_surplus(client, town):
    hold(town, 20, AccountKind.AGENT, 20_000_00, held=2_500_00)
    hold(town, 19, AccountKind.CUSTOMER, 20_000_00)
    del town.accounts_held[18]
    assert ask(client, "/v1/float-sources", HERE).document["agents"] == []


@pytest.mark.parametrize(
    "query",
    ["latitude=1", "longitude=1", "latitude=91&longitude=1", "latitude=1e1&longitude=1",
     "latitude=&longitude=1", "latitude=nan&longitude=1"],
)  # fmt: skip
def test_what_is_no_place_is_refused(client, town, query):
    assert ask(client, "/v1/float-sources", query).code == "PLACE_INVALID"


def test_a_crowd_of_sellers_costs_no_more_than_some_hundred(client, town):
    for number in range(1_000, 3_000):
        town.places_held[number] = AgentPlace(number, Place(0, number / 100), 0)
        hold(town, number, AccountKind.AGENT, 1_00)
    agents = ask(client, "/v1/float-sources", "latitude=0&longitude=10&limit=500").document[
        "agents"
    ]
    assert [row["account"] for row in agents] == list(range(1_000, 1_050))
