"""Agents over HTTP: a head office's shops, how long a float lasts, and where float is sold nearby.

All of it is as public as an account's balance and statement are. Who sells float to neighbours is
told only of agents who agreed to that (`node.agent_places`).
"""

import time
from typing import Final

import msgspec
import numpy as np

from harambee.gateways.http.answers import Answer, json_answer
from harambee.gateways.http.problems import bad_request, not_found
from harambee.gateways.http.requests import U32_MAX, Request
from harambee.handset.float_forecast import outlook, sentence
from harambee.handset.places import Place, PlaceError, distance_m, parse_place
from harambee.ledger.records import KIND_MASK, POSITION_FLOAT, AccountKind, account_number
from harambee.node.agent_places import AgentPlace
from harambee.node.float_watch import flows_of
from harambee.node.port import Port

SHOPS_DEFAULT: Final = 100
SHOPS_MAX: Final = 1_000
FORECAST_LINES: Final = 500
SOURCES_DEFAULT: Final = 10
SOURCES_MAX: Final = 50
SOURCES_LOOKED_AT: Final = 500
"""So many of the nearest sellers are asked for a surplus; who is further away is no neighbour."""
_WITH_FLOAT: Final = frozenset({AccountKind.AGENT, AccountKind.FLOAT})


class ShopRow(msgspec.Struct):
    """An agent under a head office, and his float."""

    account: int
    float_cents: int


class ShopsDocument(msgspec.Struct):
    """The agents under a head office, ascending; `next_after` is the `after` of the next page."""

    account: int
    shops: list[ShopRow]
    next_after: int | None


class FloatDocument(msgspec.Struct):
    """What an agent's float is, and how long it lasts at the usual rate."""

    account: int
    float_cents: int
    low: bool
    lasts_until_ms: int | None
    needed_today_cents: int
    top_up_cents: int
    sentence: str


class PlaceDocument(msgspec.Struct):
    """Where a shop is, in degrees."""

    account: int
    latitude: float
    longitude: float
    sells_float: bool


class OwnFloat(msgspec.Struct):
    """A float of the super-agent's own, and what it can sell."""

    account: int
    surplus_cents: int


class SellerRow(msgspec.Struct):
    """An agent who sells float, and how far away he is if both places are known."""

    account: int
    surplus_cents: int
    latitude: float
    longitude: float
    distance_m: int | None


class FloatSourcesDocument(msgspec.Struct):
    """Who sells float at this super-agent."""

    super_agent: str
    floats: list[OwnFloat]
    agents: list[SellerRow]


async def shops(port: Port, request: Request) -> Answer:
    """GET /v1/accounts/{number}/shops: the agents under a head office, and what each has.

    Ascending by account; `after` is the last one of the page before.
    """
    number = request.captured_number(0, "the account number")
    if await port.account(number) is None:
        raise not_found("ACCOUNT_UNKNOWN", "There is no account of this number.")
    limit = max(1, request.number("limit", SHOPS_DEFAULT, SHOPS_MAX))
    after = request.number("after", 0, U32_MAX)
    found = await port.shops(number)
    page = found[found > after][:limit]
    records = await port.accounts(page)
    rows = [
        ShopRow(account, cents)
        for account, cents in zip(page.tolist(), records["balance"].tolist(), strict=True)
    ]
    following = rows[-1].account if len(page) < int((found > after).sum()) else None
    return json_answer(ShopsDocument(number, rows, following))


async def float_outlook(port: Port, request: Request) -> Answer:
    """GET /v1/accounts/{number}/float: what an agent's float is, and how long it lasts."""
    number = request.captured_number(0, "the account number")
    account = await port.account(number)
    if account is None:
        raise not_found("ACCOUNT_UNKNOWN", "There is no account of this number.")
    kind = int(account["flags"][0]) & KIND_MASK
    if kind not in _WITH_FLOAT:
        raise not_found("NO_FLOAT", "Only agents and super-agents have float.")
    lines = await port.statement(number, FORECAST_LINES, None)
    now_ms = time.time_ns() // 1_000_000
    flows = flows_of(lines, AccountKind(kind))
    found = outlook(flows, int(account["balance"][0]), now_ms)
    return json_answer(
        FloatDocument(
            account=number,
            float_cents=found.balance_cents,
            low=found.is_low,
            lasts_until_ms=found.lasts_until_ms,
            needed_today_cents=found.needed_today_cents,
            top_up_cents=found.top_up_cents,
            sentence=sentence(found, now_ms),
        )
    )


async def place(port: Port, request: Request) -> Answer:
    """GET /v1/agents/{number}: where a shop of this super-agent's is."""
    number = request.captured_number(0, "the account number")
    row = port.agent_places().get(number)
    if row is None:
        raise not_found("PLACE_UNKNOWN", "This super-agent does not know where this agent is.")
    return json_answer(
        PlaceDocument(
            account=number,
            latitude=row.place.latitude,
            longitude=row.place.longitude,
            sells_float=row.sells_above_cents is not None,
        )
    )


async def float_sources(port: Port, request: Request) -> Answer:
    """GET /v1/float-sources: who sells float here, nearest first if `latitude` and `longitude` are given.

    The super-agent's own floats, and agents who agreed to sell what they have above what they keep.
    """
    limit = max(1, request.number("limit", SOURCES_DEFAULT, SOURCES_MAX))
    here = _here(request)
    regions = port.genesis.committee.members[port.index].regions
    own = np.array([account_number(region, POSITION_FLOAT) for region in regions], np.uint32)
    balances = (await port.accounts(own))["balance"].tolist()
    return json_answer(
        FloatSourcesDocument(
            super_agent=port.genesis.committee.members[port.index].name,
            floats=[
                OwnFloat(account, max(0, cents))
                for account, cents in zip(own.tolist(), balances, strict=True)
            ],
            agents=await _sellers(port, here, limit),
        )
    )


def _here(request: Request) -> Place | None:
    given = [name in request.query for name in ("latitude", "longitude")]
    if not any(given):
        return None
    try:
        return parse_place(request.query.get("latitude", ""), request.query.get("longitude", ""))
    except PlaceError as error:
        raise bad_request("PLACE_INVALID", str(error)) from error


async def _sellers(port: Port, here: Place | None, limit: int) -> list[SellerRow]:
    """Return the agents who have something to sell, nearest first, or who has most."""
    sellers = [row for row in port.agent_places().values() if row.sells_above_cents is not None]
    away = {row.account: distance_m(here, row.place) for row in sellers} if here else {}
    sellers.sort(key=lambda row: (away.get(row.account, 0), row.account))
    del sellers[SOURCES_LOOKED_AT:]
    records = await port.accounts(np.array([row.account for row in sellers], np.uint32))
    surplus = {
        row.account: _surplus_cents(row, record)
        for row, record in zip(sellers, records, strict=True)
    }
    found = [row for row in sellers if surplus[row.account] > 0]
    if here is None:
        found.sort(key=lambda row: -surplus[row.account])
    return [
        SellerRow(
            account=row.account,
            surplus_cents=surplus[row.account],
            latitude=row.place.latitude,
            longitude=row.place.longitude,
            distance_m=away.get(row.account),
        )
        for row in found[:limit]
    ]


def _surplus_cents(row: AgentPlace, record: np.void) -> int:
    """What an agent has above what he keeps; nothing if the account is no agent's."""
    if row.sells_above_cents is None or int(record["flags"]) & KIND_MASK != AccountKind.AGENT:
        return 0
    free = int(record["balance"]) - int(record["held"]) - int(record["frozen"])
    return free - row.sells_above_cents
