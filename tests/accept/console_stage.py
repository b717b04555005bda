"""A development network as `harambee up` runs it, with payments all the while, to look at its console."""

import http.client
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

from tests.accept.browser import Page
from tests.accept.quiet_network import Customer, QuietNetwork, quiet_population, until

from harambee.node.network_folder import NetworkFolder, create_network
from harambee.traffic.temporary_network import (
    Network,
    TemporaryNetwork,
    free_ports,
    network_of,
)

SERVE_S = 180
STOP_S = 30
PAYERS = 12
SIZES = {"desktop": (1280, 900), "phone": (360, 760)}


@dataclass
class Running:
    """What `QuietNetwork` needs of a network."""

    network: Network
    folder: NetworkFolder


@dataclass
class Stage:
    """A network that serves, and where its console is."""

    folder: NetworkFolder
    quiet: QuietNetwork
    console: str
    """The address that `harambee up` printed, with the part behind the #."""
    said: Path

    @property
    def names(self) -> tuple[str, ...]:
        return self.folder.names


@contextmanager
def stage(place: Path) -> Iterator[Stage]:
    """Four super-agents in a folder of their own; stopped at the end."""
    base = free_ports(8)
    folder = create_network(
        place / "network",
        population=quiet_population(),
        base_http_port=base,
        base_peer_port=base + 4,
    )
    said = place / "up.txt"
    with said.open("wb") as output:
        command = [sys.executable, "-m", "harambee", "up", "--network", str(folder.folder)]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        until(
            lambda: "Ctrl-C stops it." in said.read_text() or process.poll() is not None,
            lambda: f"it does not serve: {said.read_text()}",
            SERVE_S,
        )
        found = re.search(r"http://\S+/console/#control=\S+", said.read_text())
        assert found is not None, said.read_text()
        quiet = QuietNetwork(cast("TemporaryNetwork", Running(network_of(folder), folder)))
        yield Stage(folder, quiet, found[0], said)
    finally:
        process.terminate()
        process.wait(STOP_S)


@dataclass
class Payments:
    """A few customers pay each other over and over, each through whichever super-agent answers."""

    stage: Stage
    final: int = 0
    refused: list[dict[str, Any]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        customers = [self.stage.quiet.customer() for _ in range(PAYERS)]
        for half in (customers[::2], customers[1::2]):
            self._threads.append(threading.Thread(target=self._pay, args=(half,)))
            self._threads[-1].start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _pay(self, customers: list[Customer]) -> None:
        turn = 0
        while not self._stop.is_set():
            sequence, who = divmod(turn, len(customers))
            payer, payee = customers[who], customers[(who + 1) % len(customers)]
            body = self.stage.quiet.body(payer, payee.account, 1_00, sequence=sequence)
            self._until_final(self.stage.quiet.sign(payer, body), turn)
            turn += 1

    def _until_final(self, order: bytes, turn: int) -> None:
        """Bring the same bytes to one super-agent after the other until one says what became of them."""
        urls = self.stage.quiet.urls
        while not self._stop.is_set():
            turn += 1
            fate = _offer(urls[turn % len(urls)], order)
            if fate is None or fate["state"] == "pending":
                continue
            if fate["state"] == "final":
                self.final += 1
            else:
                self.refused.append(fate)
            return


def resized(page: Page, shape: str) -> None:
    """Show a page as wide as a desk's screen, or a phone's."""
    width, height = SIZES[shape]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    page.call("Emulation.setDeviceMetricsOverride", metrics)
    page.call("Emulation.setScrollbarsHidden", {"hidden": True})


def _offer(url: str, order: bytes) -> dict[str, Any] | None:
    """Return what a super-agent says of an order; None where it does not answer, or does not serve."""
    host, _, port = url.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=1)
    try:
        body = json.dumps({"orders": [{"bytes": order.hex()}]})
        head = {"content-type": "application/json"}
        connection.request("POST", "/v1/orders?wait_ms=800", body, head)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    if answer.status != http.client.OK:
        return None
    fate: dict[str, Any] = json.loads(content)["orders"][0]
    return fate
