"""Many super-agents on one machine: up, paying, a third of them down, one more, and back.

The network is started as anybody starts it, by `harambee up`, and broken as anybody breaks it, by the
buttons of its console. Four loads of payments at an even rate, through all super-agents in turn whether they
are up or not: with all of them, with f killed, with one more killed, while nothing may become final, and
after that one was started again, when what was offered meanwhile has to. At the end every super-agent that
runs is examined.
"""

import asyncio
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harambee.node.network_folder import NetworkFolder, NetworkFolderError, create_network
from harambee.traffic.bench_network import OPENING_CENTS, payments
from harambee.traffic.book import Book
from harambee.traffic.generator import Generator, Pace
from harambee.traffic.parties import keys_of, population_of
from harambee.traffic.temporary_network import (
    Network,
    NetworkError,
    ended_by_signal,
    free_ports,
    network_of,
)
from harambee.traffic.verdict import judge_told
from harambee.traffic.workload import Crowd, party_balances

LOADS: Final = 3
WAIT_MS: Final = 10_000
"""How long a request waits: longer than a payment takes where everybody speaks once a second."""
IN_FLIGHT: Final = 8
SERVE_S: Final = 600
STOP_S: Final = 60
POLL_S: Final = 0.25
PATIENCE_S: Final = 120
"""A load of which nothing becomes final for so long has ended."""
SETTLE_S: Final = 10
"""So long those that are left are given to see that others are gone."""
SERVES: Final = "Ctrl-C stops it."
BUTTONS: Final = re.compile(r"/console/#control=(\d+)\.(\S+)")


@dataclass(frozen=True, slots=True)
class Gathering:
    """What is measured."""

    super_agents: int
    processes: int | None
    """None for what `harambee up` takes by itself."""
    rate: float
    """Payments a second."""
    seconds: int
    """Of each load."""
    seed: int

    @property
    def payments(self) -> int:
        """Of each load."""
        return round(self.rate * self.seconds)


@dataclass(frozen=True, slots=True)
class Up:
    """`harambee up`, and its buttons."""

    network: Network
    control: int
    """The port of the buttons."""
    token: str

    def press(self, action: str, name: str) -> None:
        """Press a button; NetworkError where it says why not."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.control}/super-agents/{name}/{action}",
            method="POST",
            headers={"Authorization": f"Bearer {self.token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=SERVE_S) as answer:  # noqa: S310
                answer.read()
        except urllib.error.HTTPError as error:
            detail = json.loads(error.read()).get("detail", "")
            raise NetworkError(f"{name} could not be told to {action}: {detail}") from error
        except OSError as error:
            raise NetworkError(f"{name} could not be told to {action}: {error}") from error


class Load:
    """Payments at an even rate, each by somebody else."""

    def __init__(self, network: Network, orders: npt.NDArray[np.void], rate: float) -> None:
        """`orders` as an ORDER array, not signed yet."""
        self.book = Book(orders)
        pace = Pace(rate=rate, batch=1, in_flight=IN_FLIGHT, wait_ms=WAIT_MS, patience_s=PATIENCE_S)
        self.generator = Generator(
            self.book,
            network.doors,
            network.network,
            keys_of(orders, network.parties),
            network.quorum,
            pace,
        )


def bench_together(size: Gathering, tell: Callable[[str], None]) -> dict[str, Any]:
    """Start them, pay, break a third and one more, and pay again; NetworkError, LoadError, VerdictError."""
    crowd = Crowd(LOADS * size.payments, 0, 0, 0)
    population = population_of(
        crowd, party_balances(crowd, OPENING_CENTS), size.super_agents, size.seed
    )
    with tempfile.TemporaryDirectory(prefix="harambee-") as scratch, ended_by_signal():
        base = free_ports(2 * size.super_agents)
        try:
            folder = create_network(
                Path(scratch) / "network",
                super_agents=size.super_agents,
                name="temporary",
                population=population,
                pay_commissions=False,
                base_http_port=base,
                base_peer_port=base + size.super_agents,
            )
        except NetworkFolderError as error:
            raise NetworkError(str(error)) from error
        tell(f"Starting {size.super_agents} super-agents")
        began = time.monotonic()
        with _up(folder, Path(scratch) / "up.txt", size.processes) as up:
            ready_s = time.monotonic() - began
            return {"serves_after_s": round(ready_s, 1), **asyncio.run(_pay(size, up, tell))}


@contextmanager
def _up(folder: NetworkFolder, said: Path, processes: int | None) -> Iterator[Up]:
    """A network that serves; NetworkError when it does not."""
    command = [sys.executable, "-m", "harambee", "up", "--no-sandbox"]
    command += ["--network", str(folder.folder)]
    if processes is not None:
        command += ["--processes", str(processes)]
    with said.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own program
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C is for us alone, who stop it then.
            process_group=0,
        )
    try:
        end = time.monotonic() + SERVE_S
        while SERVES not in (text := said.read_text(encoding="utf-8")):
            if process.poll() is not None or time.monotonic() > end:
                raise NetworkError(f"the network does not serve: {text[-2_000:]}")
            time.sleep(POLL_S)
        found = BUTTONS.search(text)
        if found is None:
            raise NetworkError("the network has no buttons")
        yield Up(network_of(folder), int(found[1]), found[2])
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _pay(size: Gathering, up: Up, tell: Callable[[str], None]) -> dict[str, Any]:
    network, f = up.network, up.network.folder.genesis.committee.f
    names = list(network.folder.names)
    down = [str(name) for name in np.random.default_rng(size.seed).permutation(names)[: f + 1]]
    count = size.payments
    # Everybody pays once: what one load left open holds nobody up in the next one.
    orders = payments(network, LOADS * count, np.random.default_rng([size.seed, 4]))
    loads = [Load(network, part, size.rate) for part in np.split(orders, LOADS)]
    for load in loads:
        await load.generator.prepare(presign=True)

    tell(f"{count:,} payments with all {size.super_agents}")
    await loads[0].generator.run()
    for number, name in enumerate(down[:f]):
        tell(f"Killing {number + 1} of {f}")
        await asyncio.to_thread(up.press, "kill", name)
    tell(f"{count:,} payments with {f} of {size.super_agents} down")
    await loads[1].generator.run()
    tell(f"Killing {down[f]}, one more than the network can miss")
    await asyncio.to_thread(up.press, "kill", down[f])
    await asyncio.sleep(SETTLE_S)
    halted = asyncio.create_task(loads[2].generator.run())
    tell(f"{count:,} payments with {f + 1} down: none may become final")
    await asyncio.sleep(size.seconds)
    final_while_halted = loads[2].generator.decided
    tell(f"Starting {down[f]} again")
    await asyncio.to_thread(up.press, "start", down[f])
    began = time.monotonic()
    while not loads[2].generator.decided and not halted.done():  # noqa: ASYNC110
        await asyncio.sleep(POLL_S)
    pays_again_s = time.monotonic() - began
    await halted

    tell("Examining every super-agent that runs")
    alive = [door for door in network.doors if door.name not in down[:f]]
    told = np.concatenate([load.book.orders[load.book.told_final] for load in loads])
    verdict = await judge_told(told, alive, network.openings)
    return {
        "super_agents": size.super_agents,
        "down": f,
        "rate": size.rate,
        "with_all": loads[0].book.tally().as_json(),
        "with_f_down": loads[1].book.tally().as_json(),
        "final_with_one_more_down": final_while_halted,
        "pays_again_after_s": round(pays_again_s, 1),
        "after_that": loads[2].book.tally().as_json(),
        **verdict.as_json(),
        "seed": size.seed,
    }
