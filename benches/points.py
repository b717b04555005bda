"""The points of the pictures: one network measured again and again while one thing changes.

Each point is a fresh network of processes of this machine, but for the points of offered load,
which are asked of one network in turn. Each says what was final of what was offered, and how long
it took.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benches.loads import Load, closed, even, load, population, warm_up
from harambee.node.config import read_config
from harambee.traffic.temporary_network import NetworkError, TemporaryNetwork
from harambee.traffic.verdict import judge_told

SHIPPED_PACE: Final = "pace_ms = 20\n"
"""The line of a new network's configuration that a pace replaces."""


PERCENTS: Final = (5, 10, 20, 35, 50, 65, 80, 90, 100)
"""Of the closed loop's speed: more would only measure how long one cares to wait."""


@dataclass(frozen=True, slots=True)
class Point:
    """What one network did, as fast as it goes and at an even rate."""

    super_agents: int
    accounts: int
    pace_ms: int
    rate: int
    """Orders a second that were offered evenly."""
    rate_per_second: float
    """Of these, how many a second were final."""
    latency_ms_p50: float
    latency_ms_p99: float
    fastest_per_second: float
    """Final payments a second of the closed loop; the same for all points of one network."""
    clean: bool


@dataclass(frozen=True, slots=True)
class Subject:
    """A network to be measured, and the even rates that are asked of it."""

    super_agents: int = 4
    accounts: int = 20_000
    pace_ms: int = 20
    rates: tuple[int, ...] = ()
    """None: `PERCENTS` of what the network can do, so that every machine shows where it bends."""


def measure(subject: Subject, seconds: float, seed: int) -> list[Point]:
    """Return a point for each rate of a network; NetworkError, LoadError, VerdictError."""
    people = population(subject.accounts, subject.super_agents, seed)
    dice = np.random.default_rng([seed, 5])
    with TemporaryNetwork(subject.super_agents, people, paced(subject.pace_ms)) as running:
        network = running.network
        books = [warm_up(network, dice)]
        fast = load(network, closed(network), seconds, dice, {})
        rates = subject.rates or tuple(
            max(1, round(fast.per_second * percent / 100)) for percent in PERCENTS
        )
        loads: list[tuple[int, Load]] = [
            (rate, load(network, even(network, rate), seconds, dice, {})) for rate in rates
        ]
        books += [fast.book, *(measured.book for _, measured in loads)]
        told = np.concatenate([book.orders[book.told_final] for book in books])
        verdict = asyncio.run(judge_told(told, network.doors, network.openings))
    return [
        Point(
            super_agents=subject.super_agents,
            accounts=subject.accounts,
            pace_ms=subject.pace_ms,
            rate=rate,
            rate_per_second=round(measured.per_second, 1),
            latency_ms_p50=round(measured.latency_ms_p50, 1),
            latency_ms_p99=round(measured.latency_ms_p99, 1),
            fastest_per_second=round(fast.per_second, 1),
            clean=verdict.clean and not measured.unanswered,
        )
        for rate, measured in loads
    ]


def measure_all(
    subjects: Sequence[Subject], seconds: float, seed: int, show: Callable[[Subject], None]
) -> list[dict[str, Any]]:
    """The points of many networks, one after the other, as a JSON document has them."""
    points: list[dict[str, Any]] = []
    for subject in subjects:
        show(subject)
        points += [asdict(point) for point in measure(subject, seconds, seed)]
    return points


def paced(pace_ms: int) -> Callable[[Path], list[str]]:
    """Return how to start a super-agent with another pace than the shipped one."""

    def command(config: Path) -> list[str]:
        text = config.read_text(encoding="utf-8")
        config.write_text(text.replace(SHIPPED_PACE, f"pace_ms = {pace_ms}\n"), encoding="utf-8")
        if read_config(config).pace_ms != pace_ms:
            raise NetworkError(f"the configuration has no line {SHIPPED_PACE.strip()}")
        return [sys.executable, "-m", "harambee", "node", "--config", str(config)]

    return command
