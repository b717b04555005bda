"""How fast one super-agent is that replicates a nation: real process, real links, real signatures.

One super-agent of a hundred brokers a hundredth of the traffic and replicates all of it. So one real process
is started, and this program speaks for all others (`simulated_peers`). Customers' orders are signed before
the clock starts. The real one checks every signature, votes, writes everything to its disk, acknowledges and
applies; its own customers pay at its door meanwhile, and believe what it tells them.

Two runs: as fast as it goes, with a window of orders on the way; then at an even pace, for latency. What the
clock measures is the real one's own count of what is final.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import numpy as np
import numpy.typing as npt
import uvloop

from harambee.crypto.hashing import TAG_ORDER, signed_prefix
from harambee.crypto.signatures import sign_many
from harambee.ledger.records import BODY_BYTES, ORDER_BYTES
from harambee.traffic.bench_apply import occurrence
from harambee.traffic.bench_network import OPENING_CENTS, payments
from harambee.traffic.book import Book, Tally
from harambee.traffic.generator import (
    ACCOUNTS_PER_REQUEST,
    Generator,
    Pace,
    ask_accounts,
    today,
)
from harambee.traffic.parties import keys_of, population_of
from harambee.traffic.processes import cpu_seconds, rss_bytes
from harambee.traffic.simulated_peers import REAL, SimulatedPeers
from harambee.traffic.temporary_network import Network, NetworkError, TemporaryNetwork
from harambee.traffic.workload import Crowd, party_balances

POLL_S: Final = 0.25
"""So often the real super-agent looks at itself; no other answer is fresher."""
READY_S: Final = 120
READY: Final = 200
BUSY: Final = 503
"""It listens, and reads its journal or waits for the others."""
PATIENCE_S: Final = 30
"""After so long without one order becoming final, the run has failed."""
OWN_ROOM: Final = 4
CALLED_MINUTES: Final = 0.02
"""Whoever is called for a checkpoint makes it once half of this is over; nobody's turn comes by itself."""
ITSELF: Final = "simulated peers"

Orders = npt.NDArray[np.void]


class Stream:
    """The nation's signed orders, given out to whoever makes a block."""

    def __init__(self, orders: Orders, peers: int) -> None:
        """`orders` are given out in turn; `peers` share them."""
        self._bytes = memoryview(orders.tobytes())
        self._count, self._peers = len(orders), peers
        self.given = 0
        self.end = 0
        """How many may be given until the next `begin`."""
        self._rate: float | None = None
        self._each = 0
        self._began, self._first = 0.0, 0
        self._window, self._final = 0, 0

    def begin(
        self, count: int, *, rate: float | None = None, window: int = 0, each: int = 0
    ) -> None:
        """Give out so many more: at a rate a second, with at most `window` on the way, or `each` in turn."""
        self._first, self.end = self.given, min(self.given + count, self._count)
        self._rate, self._window, self._final = rate, window, self.given
        self._each = each
        self._began = time.perf_counter()

    def note_final(self, count: int) -> None:
        """So many of all that were given are final."""
        self._final = count

    def take(self, _peer: int) -> bytes:
        """The orders of the next block, as bytes."""
        if self._each:
            most = self._each
        elif self._rate is not None:
            due = self._first + int((time.perf_counter() - self._began) * self._rate)
            most = due - self.given
        else:
            # Nobody alone takes the whole window: the nation's payments come to all doors.
            on_the_way = self.given - self._final
            most = min(self._window - on_the_way, -(-self._window // self._peers))
        most = max(0, min(most, self.end - self.given))
        first = self.given * ORDER_BYTES
        self.given += most
        return bytes(self._bytes[first : first + most * ORDER_BYTES])


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the nation: what its super-agent did, and what its own customers saw."""

    orders: int
    """The nation's, and those of its own customers that were final in the same time."""
    seconds: float
    own: Tally
    own_payers: npt.NDArray[np.uint32]
    cpu_seconds: dict[str, float]
    blocks: int
    bytes: int
    latest_s: float

    @property
    def final_per_second(self) -> float:
        """Orders of the nation and of its own customers, from the first offered to the last final."""
        return self.orders / self.seconds

    def as_json(self) -> dict[str, Any]:
        """The fields, for programs."""
        return {
            "orders": self.orders,
            "seconds": round(self.seconds, 3),
            "final_per_second": round(self.final_per_second, 1),
            "blocks_per_second": round(self.blocks / self.seconds, 1),
            "megabytes_per_second": round(self.bytes / self.seconds / 1e6, 3),
            "peers_late_ms_max": round(self.latest_s * 1_000, 1),
            "cpu_seconds": self.cpu_seconds,
            "own": self.own.as_json(),
        }


def signed_payments(network: Network, count: int, who: slice, seed: int) -> Orders:
    """Return payments by some of the customers, in the order of offering, signed."""
    orders = payments(network, count, np.random.default_rng([seed, 5]), who)
    orders["sequence"] = occurrence(orders["payer"])
    orders["day"] = today()
    numbers, secrets = keys_of(orders, network.parties)
    bodies = orders.view(np.uint8).reshape(-1, ORDER_BYTES)[:, :BODY_BYTES]
    rows = np.searchsorted(numbers, orders["payer"])
    prefix = signed_prefix(TAG_ORDER, network.network)
    orders["signature"] = sign_many(prefix, bodies, secrets[rows], os.cpu_count() or 1)
    return orders


class Nation:
    """The real super-agent and those that are simulated, from its door on."""

    def __init__(
        self, network: Network, peers: SimulatedPeers, stream: Stream, pids: dict[str, int]
    ) -> None:
        """`pids` are the processes whose time is told."""
        self._network, self._peers, self._stream, self._pids = network, peers, stream, pids
        self._door = network.doors[REAL]
        self._own_final = 0

    async def until_answers(self, *statuses: int) -> None:
        """Wait until the real super-agent answers so when asked if it is ready; NetworkError."""
        end = time.monotonic() + READY_S
        async with aiohttp.ClientSession() as session:
            while time.monotonic() < end:
                try:
                    async with session.get(self._door.url + "/readyz") as answer:
                        if answer.status in statuses:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(POLL_S)
        raise NetworkError(f"{self._door.name} does not serve after {READY_S} seconds")

    async def run(
        self,
        count: int,
        own: Orders,
        own_rate: float,
        progress: Callable[[int], None],
        *,
        rate: float | None = None,
        window: int = 0,
    ) -> Run:
        """Let the nation make `count` orders, and the real one's customers theirs; LoadError."""
        stream, said = self._stream, self._peers.said
        said.latest_s = 0.0
        blocks, octets, first = said.blocks, said.bytes, stream.given
        before = {name: cpu_seconds(pid) for name, pid in self._pids.items()}
        book = Book(own)
        load = Generator(
            book,
            [self._door],
            self._network.network,
            keys_of(own, self._network.parties),
            1,
            Pace(rate=own_rate, in_flight=64),
        )
        await load.prepare(presign=True)
        began = time.perf_counter()
        stream.begin(count, rate=rate, window=window)
        ended, _ = await asyncio.gather(self._until_final(load, progress), load.run())
        self._own_final += book.tally().final
        seconds = ended - began
        used = {name: round(cpu_seconds(pid) - before[name], 2) for name, pid in self._pids.items()}
        return Run(
            stream.given - first + book.finals_between(0, seconds),
            seconds,
            book.tally(),
            book.orders["payer"][: book.count][book.is_final],
            used,
            said.blocks - blocks,
            said.bytes - octets,
            said.latest_s,
        )

    async def _until_final(self, load: Generator, progress: Callable[[int], None]) -> float:
        """Tell the stream what is final until all of it is; returns when that was."""
        stream = self._stream
        newest, moved = -1, time.monotonic()
        async with aiohttp.ClientSession() as session:
            while True:
                total = int((await self._status(session))["final_total"])
                # About: the total is a quarter of a second old, and customers are told a moment later.
                others = total - self._own_final - load.decided
                stream.note_final(others)
                progress(others)
                if total != newest:
                    newest, moved = total, time.monotonic()
                if stream.given >= stream.end:
                    load.stop()  # its customers have no more to say than the others
                    sent = int(np.count_nonzero(~np.isnan(load.book.sent_at)))
                    if total >= self._own_final + sent + stream.end:
                        return time.perf_counter()
                if time.monotonic() - moved > PATIENCE_S:
                    raise NetworkError(
                        f"{self._door.name} has made nothing final for {PATIENCE_S} seconds;"
                        f" {stream.given - others:,} orders are on the way"
                    )
                await asyncio.sleep(POLL_S)

    async def agrees(self, payers: npt.NDArray[np.uint32]) -> bool:
        """Whether everybody has paid as often as `payers` names them, by the real super-agent's ledger."""
        numbers, times = np.unique(payers, return_counts=True)
        async with aiohttp.ClientSession() as session:
            for start in range(0, len(numbers), ACCOUNTS_PER_REQUEST):
                piece = slice(start, start + ACCOUNTS_PER_REQUEST)
                held = await ask_accounts(session, [self._door], numbers[piece])
                if not np.array_equal(held["next_sequence"], times[piece]):
                    return False
        return True

    async def settled_status(self) -> dict[str, Any]:
        """What the real super-agent says of itself, once it has checked the last signatures; NetworkError.

        What is final before it was to vote on it, it checks when it speaks the next time.
        """
        end = time.monotonic() + PATIENCE_S
        async with aiohttp.ClientSession() as session:
            while time.monotonic() < end:
                found = await self._status(session)
                if found["signatures_checked"] >= found["final_total"]:
                    return found
                await asyncio.sleep(POLL_S)
        raise NetworkError(f"{self._door.name} has not checked every signature")

    async def _status(self, session: aiohttp.ClientSession) -> dict[str, Any]:
        async with session.get(self._door.url + "/v1/status") as answer:
            found: dict[str, Any] = await answer.json()
            return found


@dataclass(frozen=True, slots=True)
class Nationwide:
    """How large a nation is, and how it pays."""

    super_agents: int
    accounts: int
    """Of the whole nation, about."""
    active: int
    """Customers that pay; the others are there."""
    rate: int
    """Orders a second, where they come at an even pace."""
    window: int
    """Orders on the way, where they come as fast as they can."""
    pace_s: float
    """Between two blocks of one super-agent."""
    seconds: int
    """For how long they come."""
    seed: int
    with_checkpoint: bool = False
    """Whether there is one run more, while the real one makes a checkpoint."""


def bench_replica(size: Nationwide, tell: Callable[[str], None]) -> dict[str, Any]:
    """Start the one, speak for the others, and measure; `tell` is told what goes on.

    NetworkError, LoadError.
    """
    crowd = Crowd(size.active, 0, 0, 0)
    population = population_of(
        crowd, party_balances(crowd, OPENING_CENTS), size.super_agents, size.seed
    )
    tell(f"Making a network of {size.super_agents} super-agents with {size.accounts:,} accounts")
    with TemporaryNetwork(
        size.super_agents,
        population,
        dormant_each=max(0, size.accounts - size.active) // size.super_agents,
        pace_ms=round(size.pace_s * 1_000),
        checkpoint_minutes=CALLED_MINUTES if size.with_checkpoint else 0,
        only=REAL,
    ) as running:
        return uvloop.run(_measure(size, running, tell))


async def _measure(
    size: Nationwide, running: TemporaryNetwork, tell: Callable[[str], None]
) -> dict[str, Any]:
    network = running.network
    count = size.rate * size.seconds
    fast_runs = 2 if size.with_checkpoint else 1
    mine = max(1, size.active // size.super_agents)
    warm_up = size.rate
    total = (fast_runs + 1) * count + warm_up
    tell(f"Signing {total:,} payments")
    orders = signed_payments(network, total, slice(mine, None), size.seed)
    stream = Stream(orders, size.super_agents - 1)
    peers = SimulatedPeers(running.folder, size.pace_s, stream.take)
    pids = running.pids | {ITSELF: os.getpid()}
    nation = Nation(network, peers, stream, pids)
    dice = np.random.default_rng([size.seed, 6])
    own_rate = size.rate / (size.super_agents - 1)
    runs: list[Run] = []
    mine_paid = []
    await nation.until_answers(READY, BUSY)
    async with peers.linked(), contextlib.AsyncExitStack() as leave:
        tell("Waiting for the super-agent")
        await nation.until_answers(READY)
        # Nobody has said anything before: a ledger of this size takes a minute to open.
        await leave.enter_async_context(peers.speaking())
        for what, orders_of_run, rate in (
            ("Warming up", warm_up, None),
            *[("As fast as it goes", count, None)] * fast_runs,
            (f"At {size.rate:,} a second", count, size.rate),
        ):
            if len(runs) == fast_runs > 1:
                peers.call_for_checkpoint()
            # More than it has time for, should it be slow: what is not offered in time, is not offered.
            own_count = max(1, OWN_ROOM * orders_of_run // size.super_agents)
            own = payments(network, own_count, dice, slice(mine))

            def show(final: int, what: str = what) -> None:
                tell(f"{what}: {final:,} of {stream.end:,} are final")

            run = await nation.run(
                orders_of_run, own, own_rate, show, rate=rate, window=size.window
            )
            runs.append(run)
            mine_paid.append(run.own_payers)
        status = await nation.settled_status()
        agrees = await nation.agrees(np.concatenate([orders["payer"], *mine_paid]))
    rss = rss_bytes(pids[network.doors[REAL].name])
    _, fast, *making, even = runs
    beside: dict[str, Any] = {}
    if making:
        share = making[0].final_per_second / fast.final_per_second
        beside = {
            "while_making": making[0].as_json(),
            "making_share": round(share, 3),
            "checkpoint_making": status["checkpoint_making"],
            "checkpoint_alarms": status["checkpoint_alarms"],
        }
    return beside | {
        "final_per_second": round(fast.final_per_second, 1),
        "latency_ms_p50": round(even.own.latency_ms_p50, 1),
        "latency_ms_p99": round(even.own.latency_ms_p99, 1),
        "super_agents": size.super_agents,
        "accounts": len(running.folder.openings),
        "active": size.active,
        "rss_bytes": rss,
        "pace_ms": round(size.pace_s * 1_000),
        "fast": fast.as_json(),
        "even": even.as_json(),
        "conserved": status["total_cents"] == 0,
        "each_paid_once": agrees,
        "final": status["final_total"],
        "signatures_checked": status["signatures_checked"],
        "seed": size.seed,
    }
