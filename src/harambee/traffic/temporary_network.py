"""A network to break: super-agents as processes of this machine, in a folder that is thrown away.

`TemporaryNetwork` makes the folder, starts one process for each super-agent, waits until all serve,
kills and restarts them as asked, and leaves nothing behind, whatever happened in between. A load
sees only `Network`: doors, keys and openings, which a running network's folder gives as well.
"""

import asyncio
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Final, Self
from urllib.parse import urlsplit

import numpy as np

from harambee.crypto.signatures import KeyPair
from harambee.handset.believing import HandsetError
from harambee.handset.doors import open_doors
from harambee.handset.network_file import NetworkFileError, read_network
from harambee.handset.orders import today
from harambee.handset.tariffs import tariff_of_day
from harambee.ledger.records import AccountKind
from harambee.money.tariff import Tariff
from harambee.node.development import Population, Residents
from harambee.node.network_folder import (
    CHECKPOINT_MINUTES,
    NetworkFolder,
    NetworkFolderError,
    create_network,
    load_network,
)
from harambee.node.sandbox import PARTIES as SANDBOX_PARTIES
from harambee.traffic.generator import Door
from harambee.traffic.parties import Parties, parties_of
from harambee.traffic.processes import Leaving
from harambee.traffic.verdict import Openings

READY_S: Final = 120
"""A super-agent that does not serve after so long will not; compiling its kernels takes a while."""
POLL_S: Final = 0.05
STOP_S: Final = 10
LOG_TAIL_LINES: Final = 5
# Below the ports that Linux gives to outgoing connections, above those that services like.
PORTS: Final = range(20_000, 32_000)

Command = Callable[[Path], list[str]]


class NetworkError(Exception):
    """The network cannot be started or used; the message is one sentence."""


@dataclass(frozen=True)
class Network:
    """What a load needs to know of a network."""

    doors: list[Door]
    network: bytes
    quorum: int
    tariff: Tariff
    parties: Parties
    folder: NetworkFolder
    tariffs: Mapping[int, Tariff]
    """By version."""

    @cached_property
    def openings(self) -> Openings:
        """All accounts as they were opened: what a verdict begins with."""
        opened = self.folder.openings
        return Openings(
            np.ascontiguousarray(opened["number"]),
            opened["balance"].astype(np.int64),
            opened["next_sequence"].astype(np.uint32),
            self.tariffs,
        )

    @property
    def super_agents(self) -> int:
        """How many there are."""
        return len(self.doors)


def network_of(folder: NetworkFolder) -> Network:
    """Return the network of a folder, as a load sees it; NetworkError if nobody can pay in it."""
    residents = folder.population()
    try:
        parties = parties_of(_demo_residents(folder) if residents is None else residents)
    except ValueError as error:
        raise NetworkError(f"the network in {folder.folder} is not for load: {error}") from error
    return Network(
        doors=[Door(address.name, address.http) for address in folder.addresses],
        network=folder.genesis.network,
        quorum=folder.genesis.committee.q,
        tariff=folder.genesis.tariffs[-1],
        parties=parties,
        folder=folder,
        tariffs={tariff.version: tariff for tariff in folder.genesis.tariffs},
    )


def running_network(folder: Path) -> Network:
    """Return the network that serves from a folder of this machine, at today's prices; NetworkError."""
    try:
        network = network_of(load_network(folder))
        tariff = asyncio.run(_tariff_of_today(folder))
    except (NetworkFolderError, NetworkFileError, HandsetError) as error:
        raise NetworkError(str(error).rstrip(".")) from error
    return replace(network, tariff=tariff, tariffs={**network.tariffs, tariff.version: tariff})


async def _tariff_of_today(folder: Path) -> Tariff:
    known = read_network(folder)
    async with open_doors(known.doors) as doors:
        return await tariff_of_day(known.genesis, doors, today())


class TemporaryNetwork(Leaving):
    """Use it in a `with`; NetworkError if a super-agent does not come up."""

    def __init__(
        self,
        super_agents: int,
        population: Population | None,
        command: Command | None = None,
        *,
        customers: int = 0,
        agents_each: int = 0,
        regions_each: int = 1,
        pay_commissions: bool = False,
        dormant_each: int = 0,
        pace_ms: int | None = None,
        checkpoint_minutes: float = CHECKPOINT_MINUTES,
        only: int | None = None,
    ) -> None:
        """`customers` have telephone numbers and names; a `population` has not, and is large.

        Without `pay_commissions` nothing moves but the load: what is offered is what is counted.

        With `only`, an index, that super-agent alone is started: whoever plays the others waits for it.
        """
        self._pay_commissions = pay_commissions
        self._pace_ms, self._only = pace_ms, only
        self._checkpoint_minutes = checkpoint_minutes
        self._population, self._customers, self._agents = population, customers, agents_each
        self._super_agents = super_agents
        self._regions_each, self._dormant_each = regions_each, dormant_each
        self._command = command or _node_command
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._leave = ExitStack()
        self.killed: list[str] = []
        """The names of those that were killed, in order, whether or not they came back."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(ended_by_signal())
            scratch = Path(tempfile.mkdtemp(prefix="harambee-"))
            stack.callback(shutil.rmtree, scratch, ignore_errors=True)
            stack.callback(self._stop_all)
            self._create(scratch / "network")
            for name in self.started:
                self._start(name)
            if self._only is None:
                self.wait_ready(self.started)
            self._leave = stack.pop_all()
        return self

    @property
    def started(self) -> tuple[str, ...]:
        """The names of the super-agents that have a process of their own."""
        names = self.folder.names
        return names if self._only is None else (names[self._only],)

    @property
    def pids(self) -> dict[str, int]:
        """The processes that run now, by name of super-agent."""
        return {
            name: process.pid for name, process in self._processes.items() if process.poll() is None
        }

    def kill(self, name: str) -> None:
        """`kill -9`: the process has no chance to say or save anything."""
        process = self._processes[name]
        process.kill()
        process.wait()
        self.killed.append(name)

    def stop(self, name: str) -> None:
        """Let it end in order, as its operator does; NetworkError if it does not."""
        process = self._processes[name]
        process.terminate()
        try:
            status = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            raise NetworkError(f"{name} does not end within {STOP_S} seconds") from None
        if status:
            raise NetworkError(f"{name} ended with status {status}: {self._last_words(name)}")

    def restart(self, name: str) -> None:
        """Start one that has ended again, from what it left on disk; `wait_ready` waits for it."""
        assert self._processes[name].poll() is not None, "it runs"
        self._start(name)

    def wait_ready(self, names: tuple[str, ...], deadline_s: float = READY_S) -> None:
        """Return when all of them serve; NetworkError if one ends or takes too long."""
        end = time.monotonic() + deadline_s
        for name in names:
            while not self.is_ready(name):
                if time.monotonic() > end:
                    raise NetworkError(f"{name} does not serve after {deadline_s:.0f} seconds")
                time.sleep(POLL_S)

    def is_ready(self, name: str) -> bool:
        """Whether it serves now; NetworkError if its process has ended by itself."""
        status = self._processes[name].poll()
        if status is not None:
            said = self._last_words(name)
            raise NetworkError(f"{name} ended with status {status}: {said}")
        address = urlsplit(self._http_of(name))
        assert address.hostname is not None
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=1)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _http_of(self, name: str) -> str:
        return self.folder.addresses[self.folder.names.index(name)].http

    def _create(self, folder: Path) -> None:
        base = free_ports(2 * self._super_agents)
        try:
            self.folder = create_network(
                folder,
                super_agents=self._super_agents,
                name="temporary",
                customers=self._customers,
                agents_per_super_agent=self._agents,
                population=self._population,
                regions_each=self._regions_each,
                dormant_each=self._dormant_each,
                pay_commissions=self._pay_commissions,
                pace_ms=self._pace_ms,
                checkpoint_minutes=self._checkpoint_minutes,
                base_http_port=base,
                base_peer_port=base + self._super_agents,
            )
            self.network = network_of(self.folder)
        except NetworkFolderError as error:
            raise NetworkError(str(error)) from error

    def _log_file(self, name: str) -> Path:
        return self.folder.folder / f"{name}.log"

    def _start(self, name: str) -> None:
        with self._log_file(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(  # noqa: S603 - our own program
                self._command(self.folder.node_file(name)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for us alone: we stop them in order, and the story has its end.
                process_group=0,
            )

    def _stop_all(self) -> None:
        running = [process for process in self._processes.values() if process.poll() is None]
        for process in running:
            process.terminate()
        end = time.monotonic() + STOP_S
        for process in running:
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _last_words(self, name: str) -> str:
        text = self._log_file(name).read_text(encoding="utf-8", errors="replace")
        lines = [line for line in text.splitlines() if line.strip()]
        return " / ".join(lines[-LOG_TAIL_LINES:]) or "it wrote nothing"


def free_ports(count: int) -> int:
    """Return the first of so many ports in a row that nobody listens on now; NetworkError."""
    # Two networks that start together begin their search in different places.
    places = len(PORTS) // count
    for turn in range(places):
        base = PORTS.start + (os.getpid() + turn) % places * count
        if all(_is_free(port) for port in range(base, base + count)):
            return base
    raise NetworkError(f"there are no {count} free ports in a row on this machine")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _node_command(config: Path) -> list[str]:
    return [sys.executable, "-m", "harambee", "node", "--config", str(config)]


@contextmanager
def ended_by_signal() -> Iterator[None]:
    """Make SIGTERM end this program as Ctrl-C does, so that nothing it started outlives it."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # not the main thread: whoever started it answers for signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _demo_residents(folder: NetworkFolder) -> Residents:
    """The demo's customers and agents, as a small crowd.

    Those of a head office are left out: the crowd's withdrawals name none. So are those who changed to a
    key of another type than Ed25519: the crowd's orders are signed in one batch. So are the customers of
    the sandbox: handsets of theirs may be paying, and an account has one order in flight.
    """
    people = [
        person
        for person in folder.demo()
        if isinstance(person.keypair, KeyPair)
        and person.name not in SANDBOX_PARTIES
        and (
            person.kind is AccountKind.CUSTOMER
            or (person.kind is AccountKind.AGENT and not person.head_office)
        )
    ]
    numbers = np.array([person.account for person in people], np.uint32)
    seeds = np.frombuffer(b"".join(p.keypair.seed for p in people), np.uint8).reshape(-1, 32)
    opened = folder.openings
    rows = np.searchsorted(opened["number"], numbers)
    return Residents(
        numbers,
        np.array([person.kind for person in people], np.uint8),
        seeds,
        opened["balance"][rows].astype(np.int64),
    )
