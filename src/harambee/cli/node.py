"""`harambee node`: one super-agent, or several in one process; node and gateway meet here."""

import asyncio
import gc
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from harambee.cli.terminal import one_sentence

if TYPE_CHECKING:
    from harambee.gateways.http.app import HttpGateway
    from harambee.merchants.port import Bodies
    from harambee.node.config import NodeConfig
    from harambee.node.port import Port

PAGES: Final = ("console", "wallet")
"""Packages whose files are served, each under its name."""
SWITCH_S: Final = 0.0005
"""How long a thread may keep the interpreter while another one waits for it; seconds.

An engine gives it up hundreds of times a second, to check signatures and to sync. To wait for it 5 ms each
time, as Python has it, made payments of a nation wait two and a half times as long (docs/performance.md)."""

SWITCH_OF_MANY_S: Final = 0.005
"""The same where several share it, who take turns to compute (`harambee.node.household`)."""


@click.command()
@click.option(
    "--config",
    "files",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    required=True,
    help="Its node.toml; several of them run several super-agents in this process.",
)
@click.option("--switches", type=int, hidden=True, help="A socket of `harambee up`.")
def node(files: tuple[Path, ...], switches: int | None) -> None:
    """Run a super-agent until it is told to stop (Ctrl-C or SIGTERM).

    \b
    Example:
      harambee node --config harambee-network/super-agents/amani/node.toml
    """  # noqa: D301 - click's sign for lines to keep
    import uvloop

    from harambee.ledger.memory import GARBAGE_THRESHOLDS
    from harambee.node.config import ConfigError, read_config
    from harambee.node.runner import NodeError

    with one_sentence(ConfigError, NodeError, OSError):
        configs = [read_config(file) for file in files]
        sys.setswitchinterval(SWITCH_S if len(configs) == 1 else SWITCH_OF_MANY_S)
        gc.set_threshold(*GARBAGE_THRESHOLDS)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(configs, switches))


def make_gateway(port: "Port") -> "HttpGateway":
    """Return the HTTP gateway of one super-agent."""
    from importlib.resources import files

    from harambee import __version__
    from harambee.gateways.daraja.simulator import AskingSimulator
    from harambee.gateways.http.app import HttpGateway

    pages = {name: files(f"harambee.{name}") for name in PAGES}
    simulator = AskingSimulator(port) if port.genesis.document.development else None
    return HttpGateway(port, __version__, simulator, pages)


def make_bodies() -> "Bodies":
    """Return what makes the callbacks of all forms."""
    from harambee.gateways.daraja.bodies import CallbackBodies
    from harambee.gateways.http import webhooks

    return CallbackBodies({webhooks.FORM: webhooks.body})


async def _serve(configs: "list[NodeConfig]", switches: int | None) -> None:
    """Serve until a signal comes; the node then ends its journal in order."""
    from harambee.node.runner import serve_nodes

    heard = socket.socket(fileno=switches) if switches is not None else None
    serving = asyncio.ensure_future(serve_nodes(configs, make_gateway, make_bodies(), heard))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        if not serving.cancelled():
            raise
