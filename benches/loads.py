"""A load of so many seconds on anything that has the doors of a network, and what it measured."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.node.development import Population
from harambee.traffic.bench_network import OPENING_CENTS, payments
from harambee.traffic.book import Book, Tally
from harambee.traffic.generator import Generator, Pace
from harambee.traffic.parties import keys_of, population_of
from harambee.traffic.temporary_network import Network
from harambee.traffic.workload import Crowd, party_balances

ITSELF: Final = "load generator"
BATCH: Final = 256
BATCHES_IN_FLIGHT: Final = 12
"""Of a closed loop, over all doors together."""
BATCHES_IN_FLIGHT_OPEN: Final = 64
"""An open loop must not be held up by its own bound."""
WARM_UP_ORDERS: Final = 4_000
STEADY_FROM: Final = 10
STEADY_UNTIL: Final = 90
"""Percent of the answers; before and after, a load begins and ends."""
RATE_MOST: Final = 25_000
"""More orders a second than this machine can sign, send and hear of: a closed loop's supply."""


@dataclass(frozen=True, slots=True)
class Load:
    """One load: the log, what it came to, and what every process used for it."""

    book: Book
    per_second: float
    """Final payments a second, without the beginning and the end of the load."""
    latency_ms_p50: float
    latency_ms_p99: float
    unanswered: int
    cpu_seconds: dict[str, float]

    def as_json(self) -> dict[str, object]:
        """The fields, for programs."""
        return {
            "per_second": round(self.per_second, 1),
            "latency_ms_p50": round(self.latency_ms_p50, 1),
            "latency_ms_p99": round(self.latency_ms_p99, 1),
            "unanswered": self.unanswered,
            "cpu_seconds": self.cpu_seconds,
        }


def population(accounts: int, super_agents: int, seed: int) -> Population:
    """Return so many customers, with money for days of payments; the same for the same seed."""
    crowd = Crowd(accounts, 0, 0, 0)
    return population_of(crowd, party_balances(crowd, OPENING_CENTS), super_agents, seed)


def closed(network: Network) -> Pace:
    """As fast as it goes, with the same number of orders in flight however many doors there are."""
    return Pace(batch=BATCH, in_flight=max(1, BATCHES_IN_FLIGHT // len(network.doors)))


def even(network: Network, rate: float, patience_s: float = 60) -> Pace:
    """So many orders a second, whether or not they are answered."""
    in_flight = BATCHES_IN_FLIGHT_OPEN // len(network.doors)
    return Pace(rate=rate, batch=BATCH, in_flight=max(1, in_flight), patience_s=patience_s)


def load(
    network: Network,
    pace: Pace,
    seconds: float,
    dice: np.random.Generator,
    pids: Mapping[str, Sequence[int]],
    midway: Callable[[], None] | None = None,
) -> Load:
    """Sign payments, offer them for so long and follow them to their end; LoadError.

    `midway` is called in the middle of it, in the loop's own thread.
    """
    count = int((RATE_MOST if pace.rate is None else pace.rate) * seconds)
    return asyncio.run(_load(payments(network, count, dice), network, pace, seconds, pids, midway))


def warm_up(network: Network, dice: np.random.Generator) -> Book:
    """Let everybody compile, connect and fill caches; LoadError."""
    count = min(WARM_UP_ORDERS, network.parties.crowd.customers)
    orders = payments(network, count, dice)
    return asyncio.run(_load(orders, network, closed(network), 60, {}, None)).book


async def _load(
    orders: npt.NDArray[np.void],
    network: Network,
    pace: Pace,
    seconds: float,
    pids: Mapping[str, Sequence[int]],
    midway: Callable[[], None] | None,
) -> Load:
    book = Book(orders)
    payers = keys_of(orders, network.parties)
    generator = Generator(book, network.doors, network.network, payers, network.quorum, pace)
    await generator.prepare(presign=True)
    everybody = {**pids, ITSELF: [os.getpid()]}
    before = {name: _cpu(them) for name, them in everybody.items()}

    def on_start() -> None:
        loop = asyncio.get_running_loop()
        if pace.rate is None:
            loop.call_later(seconds, generator.stop)
        if midway is not None:
            loop.call_later(seconds / 2, midway)

    await generator.run(on_start)
    used = {name: round(_cpu(them) - before[name], 2) for name, them in everybody.items()}
    tally = book.tally()
    return Load(
        book,
        _speed(book, tally, pace, seconds),
        tally.latency_ms_p50,
        tally.latency_ms_p99,
        tally.unanswered,
        used,
    )


def _speed(book: Book, tally: Tally, pace: Pace, seconds: float) -> float:
    """Final payments a second while the load was steady.

    The delay of the first answers is no slowness, nor is the wait for the last. A load so short that
    this leaves less than half of it is counted whole.
    """
    if not tally.final:
        return 0.0
    early, late = np.nanpercentile(book.told_at[: book.count], [STEADY_FROM, STEADY_UNTIL])
    until = min(seconds, tally.seconds) if pace.rate is None else late
    if until - early < seconds / 2:
        return tally.final_per_second
    return float(book.finals_between(early, until) / (until - early))


def _cpu(pids: Sequence[int]) -> float:
    """Seconds that these processes have used, and the children that they have outlived.

    A server's own helpers come and go, so one that has ended counts with its parent.
    """
    ticks = 0
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):
            continue
        # The name in parentheses may hold spaces; what follows it does not.
        ticks += sum(int(field) for field in stat.rpartition(")")[2].split()[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")
