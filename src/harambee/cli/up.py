"""`harambee up`: a whole network on this machine, each super-agent a process of its own where they are few.

The folder is made if it is missing and resumed if it is there. One that dies is named, and the
others go on: that is what they are for.
"""

import http.client
import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click

from harambee.cli.breaking import Breaker, Buttons
from harambee.cli.processes import ALONE_MAX, Children, processes_for, start
from harambee.cli.sandbox_handsets import SandboxHandsets, sandbox_lines
from harambee.cli.terminal import (
    FailureError,
    network_option,
    network_words,
    one_sentence,
    program,
)

if TYPE_CHECKING:
    from types import FrameType

    from harambee.node.development import DemoAccount
    from harambee.node.network_folder import NetworkFolder

POLL_S: Final = 0.2
BAR_WIDTH: Final = 30
DEMO_SHOWN: Final = 3
DEMO_PARTIES: Final = ("agent-1", "head-office-1", "till-1", "paybill-1", "airtime-1")
LOG_TAIL_BYTES: Final = 4_000
PAGE_BYTES: Final = 4_096
"""A journal's records take whole pages."""
BLOCK_HEAD_BYTES: Final = 256
"""About, with the signature and what the journal adds."""
LOG_TAIL_LINES: Final = 5


@click.command()
@click.option(
    "--super-agents",
    type=click.IntRange(1, 100),
    help="How many, when the network is made; default 4.",
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    help="In how many processes; default: each super-agent has its own, and more than ten share two for "
    "each core.",
)
@click.option(
    "--key-days",
    type=click.IntRange(0, 30),
    help="For how many days a new key can be refused, when the network is made; default 0.",
)
@click.option(
    "--no-sandbox",
    is_flag=True,
    help="Do not answer for the sandbox's customers; nobody pays what they are asked then.",
)
@click.option(
    "--no-buttons",
    is_flag=True,
    help="Let nobody kill, pause or damage super-agents from the console.",
)
@network_option
def up(
    super_agents: int | None,
    processes: int | None,
    key_days: int | None,
    no_sandbox: bool,
    no_buttons: bool,
    folder: Path,
) -> None:
    """Start a network of super-agents on this machine; Ctrl-C stops it.

    Any of them serves any handset. Started again, the network goes on where it was. The customers whom
    developers of payment software know from the incumbent's sandbox are there, and pay what they are
    asked by themselves. The console's address has buttons to break super-agents with; who has only the part
    before the # can look and not touch.

    \b
    Examples:
      harambee up
      harambee up --super-agents 7 --network ./seven
      harambee up --super-agents 100 --network ./hundred
      harambee up --no-sandbox
    """  # noqa: D301 - click's sign for lines to keep
    network = _open(folder, super_agents, key_days)
    _refuse_taken_ports(network)
    with ExitStack() as leave:
        children = start(network, processes or processes_for(len(network.names)))
        leave.callback(children.stop)
        handsets = SandboxHandsets(folder)
        leave.callback(handsets.stop)
        stop = threading.Event()

        def kill() -> None:
            handsets.kill()
            children.kill()

        leave.enter_context(_signals(stop.set, kill))
        if _wait_ready(network, children, stop):
            _join_head_offices(network, folder)
            if not no_sandbox:
                handsets.start()
            buttons = None
            if network.genesis.document.development and not no_buttons:
                origins = [address.http for address in network.addresses]
                breaker = Breaker(network, children, click.echo)
                buttons = leave.enter_context(Buttons(breaker, origins))
                children.come_back = True
            _greet(network, folder, buttons, answered=not no_sandbox)
            _watch(network, children, handsets, stop)
        click.echo("\nStopping ...")
    click.echo("Stopped. `harambee up` goes on where this ended.")


def _open(folder: Path, super_agents: int | None, key_days: int | None) -> "NetworkFolder":
    """Return the network in the folder; makes it if there is none."""
    from harambee.node.network_folder import NetworkFolderError, create_network, load_network

    with one_sentence(NetworkFolderError):
        if not (folder / "genesis.json").exists():
            click.echo(f"Making a network in {folder} ...")
            return create_network(folder, super_agents=super_agents or 4, key_days=key_days or 0)
        network = load_network(folder)
    if super_agents is not None and super_agents != len(network.names):
        raise FailureError(
            f"The network in {folder} has {len(network.names)} super-agents; name another folder "
            f"with --network for one of {super_agents}."
        )
    if key_days is not None and key_days != network.genesis.key_days:
        raise FailureError(
            f"In the network in {folder} a new key can be refused for {network.genesis.key_days} days; "
            "name another folder with --network for another one."
        )
    return network


def _refuse_taken_ports(network: "NetworkFolder") -> None:
    """FailureError if somebody listens where a super-agent is to listen."""
    for address in network.addresses:
        url = urlsplit(address.http)
        assert url.hostname is not None
        assert url.port is not None
        for host, port in ((url.hostname, url.port), (address.peer.host, address.peer.port)):
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((host, port))
                except OSError as error:
                    raise FailureError(
                        f"Super-agent {address.name} cannot listen on {host}:{port} ({error.strerror}): "
                        "is the network running already?"
                    ) from error


class _signals:  # noqa: N801 - used as a function in a `with`
    """While it is entered, a signal asks to stop; a second one does not wait any more."""

    def __init__(self, ask: Callable[[], None], insist: Callable[[], None]) -> None:
        self._ask, self._insist = ask, insist
        self._asked = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._handle)

    def __exit__(self, *_error: object) -> None:
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)

    def _handle(self, _number: int, _frame: "FrameType | None") -> None:
        (self._insist if self._asked else self._ask)()
        self._asked = True


def _wait_ready(network: "NetworkFolder", children: Children, stop: threading.Event) -> bool:
    """Wait until every living super-agent serves; False if the wait was ended by a signal."""
    from rich.console import Console

    console = Console(stderr=True)
    waiting = {address.name: address.http for address in network.addresses}
    began = time.monotonic()
    with console.status("Starting ...") as line:
        while waiting and not stop.is_set():
            for name in _mourn(network, children):
                waiting.pop(name, None)
            waiting = {name: url for name, url in waiting.items() if not _is_ready(url)}
            served = len(network.names) - len(waiting)
            seconds = int(time.monotonic() - began)
            hint = "; the first start compiles for a minute" if seconds > 10 else ""
            bars = {name: _pages_of(url) for name, url in waiting.items()}
            told = "".join(f"\n  {name} {bar}" for name, bar in bars.items() if bar)
            line.update(
                f"{served} of {len(network.names)} super-agents serve ({seconds} s{hint}){told}"
            )
            if waiting:
                stop.wait(POLL_S)
    return not stop.is_set()


def _is_ready(url: str) -> bool:
    return _get(url, "/readyz") is not None


def _get(url: str, path: str) -> bytes | None:
    """Return what a super-agent answers; None where it does not answer, or not with 200."""
    address = urlsplit(url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=1)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return content if answer.status == http.client.OK else None


def _pages_of(url: str) -> str:
    """Return a bar of the pages that a super-agent fetches before it begins; empty where it fetches none."""
    status = _get(url, "/v1/status")
    facts = json.loads(status).get("catching_up") if status else None
    if not facts:
        return ""
    done, of = facts["pages"], max(1, facts["of"])
    bar = "#" * (BAR_WIDTH * done // of)
    return f"{bar:.<{BAR_WIDTH}} {done:,} of {of:,} pages from {len(facts['from'])} peers"


def _mourn(network: "NetworkFolder", children: Children) -> list[str]:
    """Say which processes ended; returns their super-agents. FailureError when none is left."""
    names: list[str] = []
    with children.lock:
        for child in children.dead():
            child.mourned = True
            names += child.names
            status = child.process.returncode
            click.echo(f"{child.spoken} ended with status {status}; {_last_words(child.log)}")
            for name in child.names:
                click.echo(f"  bring it back: {program()} node --config {network.node_file(name)}")
        if not children.alive() and not children.come_back:
            raise FailureError("No super-agent is left running.")
    return names


def _last_words(log: Path) -> str:
    try:
        text = log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
    except OSError:
        text = ""
    lines = [line for line in text.splitlines() if line.strip()][-LOG_TAIL_LINES:]
    return f"the end of {log}:\n    " + "\n    ".join(lines) if lines else f"{log} says nothing."


def _join_head_offices(network: "NetworkFolder", folder: Path) -> None:
    """Let the demo's shops join their head office; that is an order, and the genesis has none."""
    from harambee.cli.handset_use import read_parties, with_handset
    from harambee.handset.handset import Handset, HandsetError
    from harambee.handset.wallet import WalletError
    from harambee.ledger.kinds import OrderKind

    async def join(handset: Handset, head_office: int) -> None:
        if not (await handset.account(handset.wallet.account)).head_office:
            await handset.pay(head_office, 0, OrderKind.JOIN_HEAD_OFFICE)

    known, parties = read_parties(folder)
    for shop in network.demo():
        if shop.head_office:
            try:
                wallet, office = parties.wallet(shop.name), shop.head_office
                with_handset(known, wallet, None, partial(join, head_office=office))
            except (HandsetError, WalletError) as error:
                click.echo(f"{shop.name} could not join its head office: {error}")


def _greet(
    network: "NetworkFolder", folder: Path, buttons: Buttons | None, *, answered: bool
) -> None:
    """Say where everyone listens, and what can be tried where there are demo accounts."""
    count = len(network.names)
    committee = network.genesis.committee
    click.echo(
        f"{count} super-agents serve; any of them takes any payment, {committee.f} may fail."
    )
    for address in network.addresses:
        click.echo(f"  {address.name:<12} {address.http}/")
    if count > ALONE_MAX:
        click.echo(
            f"  so many write some {_gigabytes_an_hour(network):.0f} GB an hour here, even idle"
        )
    first = f"{network.addresses[0].http}/console/"
    if buttons is None:
        click.echo(f"The console, from any of them: {first}")
    else:
        click.echo("The console, from any of them; this address has buttons to break super-agents:")
        click.echo(f"  {first}#{buttons.fragment}")
    if not network.genesis.key_days:
        click.echo(
            "  a new key takes over at once here; a real network gives its owner days to refuse"
        )
    people = [person for person in network.demo() if person.msisdn or person.short_code]
    if people:
        _show_demo(network, folder, people)
    for line in sandbox_lines(folder, network.addresses[0].http, answered=answered):
        click.echo(line)
    click.echo("\nCtrl-C stops it.")


def _gigabytes_an_hour(network: "NetworkFolder") -> float:
    """What all journals grow by while nobody pays: each has every block, and each block names all others."""
    from harambee.protocol.wire import REFERENCE_BYTES

    count = len(network.names)
    blocks_an_hour = count * 3_600_000 / network.node(0).heartbeat_ms
    pages = -(-(BLOCK_HEAD_BYTES + REFERENCE_BYTES * (count - 1)) // PAGE_BYTES)
    return blocks_an_hour * count * pages * PAGE_BYTES / 1e9


def _show_demo(network: "NetworkFolder", folder: Path, people: "Sequence[DemoAccount]") -> None:
    """Say who can pay with keys in the open, and give an example to paste."""
    click.echo("\nDemo accounts, with keys in the open, for development only:")
    customers = [person for person in people if person.kind.name == "CUSTOMER"]
    for person in customers[:DEMO_SHOWN]:
        click.echo(f"  {person.name:<14} {person.msisdn:<14} account {person.account}")
    shown = customers[:DEMO_SHOWN]
    for name in DEMO_PARTIES:
        for person in people:
            if person.name == name:
                click.echo(f"  {name:<14} {person.short_code:<14} account {person.account}")
                shown.append(person)
    if len(people) > len(shown):
        click.echo(f"  ... and {len(people) - len(shown)} more in {network.keys / 'demo.json'}")
    words = network_words(folder)
    if len(customers) > 1:
        first, second = customers[0].name, customers[1].name
        click.echo("\nTry it, in another terminal:")
        click.echo(f"  {program()} pay {first} {second} 100{words}")
        click.echo(f"  {program()} balance {second}{words}")
    if customers and any(person.name == DEMO_PARTIES[0] for person in people):
        click.echo(f"  {program()} pay {DEMO_PARTIES[0]} {customers[0].name} 500{words}")
        click.echo(f"  {program()} agent {DEMO_PARTIES[0]}{words}")


def _watch(
    network: "NetworkFolder", children: Children, handsets: SandboxHandsets, stop: threading.Event
) -> None:
    """Return when a signal comes; say so when a super-agent dies, and bring the sandbox's handsets back."""
    while not stop.wait(POLL_S):
        _mourn(network, children)
        handsets.tend()
