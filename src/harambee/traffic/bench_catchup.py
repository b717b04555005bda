"""How long a super-agent takes to catch up that was gone while the others went on.

One real process, as in `bench_replica`, and everybody else simulated. First the others say what the absence
has, minutes of it, as fast as it can be written down; then links come up, payments go on at an even rate, and
the real one reads what it missed, while it is sent what is new. It has caught up once less than a second of
payments separates it from the others.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import uvloop

from harambee.traffic.bench_network import OPENING_CENTS
from harambee.traffic.bench_replica import (
    BUSY,
    PATIENCE_S,
    POLL_S,
    READY,
    Nation,
    Stream,
    signed_payments,
)
from harambee.traffic.parties import population_of
from harambee.traffic.processes import rss_bytes
from harambee.traffic.simulated_peers import REAL, SimulatedPeers
from harambee.traffic.temporary_network import NetworkError, TemporaryNetwork
from harambee.traffic.workload import Crowd, party_balances

SURE_S: Final = 5
"""So long it must stay that close."""


@dataclass(frozen=True, slots=True)
class Absence:
    """What one was gone from."""

    super_agents: int
    active: int
    """Customers that pay."""
    rate: int
    """Orders a second, meanwhile and afterwards."""
    seconds: int
    """Of absence."""
    pace_s: float
    seed: int

    @property
    def most_s(self) -> int:
        """The bench gives up after so long."""
        return 60 + self.seconds // 2


def bench_catch_up(size: Absence, tell: Callable[[str], None]) -> dict[str, Any]:
    """Let one come back, and measure; NetworkError."""
    crowd = Crowd(size.active, 0, 0, 0)
    balances = party_balances(crowd, OPENING_CENTS)
    population = population_of(crowd, balances, size.super_agents, size.seed)
    tell(f"Starting one of {size.super_agents} super-agents")
    with TemporaryNetwork(
        size.super_agents,
        population,
        pace_ms=round(size.pace_s * 1_000),
        checkpoint_minutes=0,
        only=REAL,
    ) as running:
        return uvloop.run(_measure(size, running, tell))


async def _measure(
    size: Absence, running: TemporaryNetwork, tell: Callable[[str], None]
) -> dict[str, Any]:
    missed = size.rate * size.seconds
    tell(f"Signing {missed + size.rate * size.most_s:,} payments")
    later = size.rate * size.most_s
    orders = signed_payments(running.network, missed + later, slice(None), size.seed)
    stream = Stream(orders, size.super_agents - 1)
    peers = SimulatedPeers(running.folder, size.pace_s, stream.take)
    nation = Nation(running.network, peers, stream, running.pids)
    each = max(1, round(size.rate * size.pace_s / (size.super_agents - 1)))
    stream.begin(missed, each=each)
    while stream.given < stream.end:
        tell(f"Writing down what is missed: {stream.given:,} of {missed:,} orders")
        peers.say_all()
    behind_blocks, behind_bytes = peers.said.blocks, peers.said.bytes
    await nation.until_answers(READY, BUSY)
    began = time.perf_counter()
    caught_up_s: float | None = None
    async with aiohttp.ClientSession() as session, peers.linked():
        stream.begin(later, rate=size.rate)
        async with peers.speaking():
            while caught_up_s is None or time.perf_counter() - began - caught_up_s < SURE_S:
                await asyncio.sleep(POLL_S)
                final = await _final(session, running.network.doors[REAL].url)
                lacks = stream.given - final
                now_s = time.perf_counter() - began
                tell(f"Catching up: {lacks:,} orders behind after {now_s:.0f} s")
                if lacks > size.rate:
                    caught_up_s = None
                elif caught_up_s is None:
                    caught_up_s = now_s
                if now_s > size.most_s - PATIENCE_S:
                    raise NetworkError(f"it is {lacks:,} orders behind after {now_s:.0f} seconds")
    return {
        "seconds": round(caught_up_s, 2),
        "missed_orders": missed,
        "missed_blocks": behind_blocks,
        "missed_bytes": behind_bytes,
        "missed_seconds": size.seconds,
        "rate": size.rate,
        "orders_per_second": round((missed + size.rate * caught_up_s) / caught_up_s),
        "super_agents": size.super_agents,
        "served_blocks": peers.served,
        "rss_bytes": rss_bytes(running.pids[running.network.doors[REAL].name]),
        "seed": size.seed,
    }


async def _final(session: aiohttp.ClientSession, url: str) -> int:
    async with session.get(url + "/v1/status") as answer:
        return int((await answer.json())["final_total"])
