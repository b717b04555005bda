"""The console's buttons on a development network: to kill, start, pause and damage super-agents.

`harambee up` owns the processes, so it alone can do this. It listens on a port of the loopback address for
whoever brings the token that it printed inside the console's address, behind the `#`, which browsers send
to nobody. What is broken is broken for real: a kill is SIGKILL, a pause is SIGSTOP, and damage is a flipped
bit of a block in the journal's file.
"""

import hmac
import json
import mmap
import os
import secrets
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from harambee.cli.processes import Child, Children, SwitchError

if TYPE_CHECKING:
    from harambee.node.network_folder import NetworkFolder

BEHIND_THE_END: Final = 64
"""A block so far from the journal's end is damaged: the others hold it, whatever was under way."""
FLIPPED: Final = 4
"""The bit that is flipped."""
REQUEST_S: Final = 5
"""A request that takes longer to arrive is not read to its end."""
PATH: Final = "/super-agents"


class BreakingError(Exception):
    """What a button asks for cannot be done; the message is one sentence."""


@dataclass
class Breaker:
    """What may be done to a network's processes. Its methods may be called in any thread."""

    network: "NetworkFolder"
    children: Children
    say: Callable[[str], None]
    """Tells the terminal."""
    _paused: set[int] = field(default_factory=set)
    """The processes that are stopped, by their ids."""

    def state(self) -> list[dict[str, Any]]:
        """Return of each super-agent whether it is running, paused or ended."""
        with self.children.lock:
            return [
                {"name": name, "state": self._state(child, name)}
                for name in self.network.names
                for child in self.children.children
                if name in child.names
            ]

    def do(self, action: str, name: str) -> None:
        """Kill, start, pause, resume or damage a super-agent; BreakingError."""
        actions = {
            "kill": self._kill,
            "start": self._start,
            "pause": self._pause,
            "resume": self._resume,
            "damage": self._damage,
        }
        with self.children.lock:
            child = next((c for c in self.children.children if name in c.names), None)
            if child is None or action not in actions:
                raise BreakingError("There is no such super-agent or no such button.")
            try:
                actions[action](child, name)
            except SwitchError as error:
                raise BreakingError(str(error)) from error

    def _state(self, child: Child, name: str) -> str:
        if child.process.poll() is not None or name in child.off:
            return "ended"
        return "paused" if child.process.pid in self._paused else "running"

    def _kill(self, child: Child, name: str) -> None:
        if self._state(child, name) == "ended":
            raise BreakingError(f"{name} has ended already.")
        if child.switches is not None:
            child.switch(name, on=False)
        else:
            child.process.kill()
            child.process.wait()
            child.mourned = True
        self.say(f"{name}: killed by the console.")

    def _start(self, child: Child, name: str) -> None:
        if self._state(child, name) != "ended":
            raise BreakingError(f"{name} runs already.")
        if child.process.poll() is not None:
            self.children.restart(child)
        else:
            child.switch(name, on=True)
        self.say(f"{name}: started by the console.")

    def _pause(self, child: Child, name: str) -> None:
        if child.switches is not None:
            raise BreakingError(
                f"{name} shares its process with others; it can be killed, not paused."
            )
        if self._state(child, name) != "running":
            raise BreakingError(f"{name} does not run.")
        child.process.send_signal(signal.SIGSTOP)
        self._paused.add(child.process.pid)
        self.say(f"{name}: paused by the console; it neither hears nor speaks.")

    def _resume(self, child: Child, name: str) -> None:
        if self._state(child, name) != "paused":
            raise BreakingError(f"{name} is not paused.")
        child.process.send_signal(signal.SIGCONT)
        self._paused.discard(child.process.pid)
        self.say(f"{name}: goes on.")

    def _damage(self, child: Child, name: str) -> None:
        from harambee.node.config import read_config

        if self._state(child, name) != "ended":
            self._kill(child, name)
        try:
            position = damage_journal(read_config(self.network.node_file(name)).journal)
        finally:
            self._start(child, name)
        self.say(f"{name}: killed, block {position} of its journal damaged, and started again.")


def damage_journal(folder: Path) -> int:
    """Flip a bit of a stored block, wherever it lies in the file; returns the block's position.

    Nobody may be writing to the journal. BreakingError where there is no block to damage.
    """
    from harambee.node.journal import JournalError, JournalReader

    try:
        with JournalReader.open_to_read(folder) as journal:
            position = journal.count - BEHIND_THE_END
            block = journal.read(position) if position >= 0 else b""
    except JournalError as error:
        raise BreakingError(f"{error}.") from error
    found = 0
    if block:
        with (folder / "data.mdb").open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
            # Pages are copied when they change, so the same bytes may lie in pages that are free.
            at = content.find(block)
            while at >= 0:
                content[at + len(block) // 2] ^= FLIPPED
                found += 1
                at = content.find(block, at + 1)
            content.flush()
            os.fsync(file.fileno())
    if not found:
        raise BreakingError("Its journal has too few blocks yet; try again in a while.")
    return position


class Buttons:
    """A port of the loopback address behind which the breaker is; use it in a `with`."""

    def __init__(self, breaker: Breaker, origins: Sequence[str]) -> None:
        """`origins` are the addresses whose pages may press the buttons."""
        self.token = secrets.token_urlsafe(24)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.breaker, self._server.token = breaker, self.token
        self._server.origins = frozenset(origins)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def fragment(self) -> str:
        """What stands behind the `#` of the console's address."""
        return f"control={self.port}.{self.token}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    breaker: Breaker
    token: str
    origins: frozenset[str]


class _Handler(BaseHTTPRequestHandler):
    """GET /super-agents and POST /super-agents/NAME/ACTION, with the token, from the console's pages."""

    server: _Server
    timeout = REQUEST_S

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: what it does is told by the breaker."""

    def do_OPTIONS(self) -> None:
        """Tell a browser that the console's pages may send the token."""
        self._answer(HTTPStatus.NO_CONTENT, None)

    def do_GET(self) -> None:
        """Tell how it stands with each process."""
        if self._may_ask() and self.path == PATH:
            self._answer(HTTPStatus.OK, self.server.breaker.state())
        else:
            self._refuse(HTTPStatus.FORBIDDEN, "This is for the console of this network.")

    def do_POST(self) -> None:
        """Press a button."""
        parts = self.path.removeprefix(PATH).split("/")
        if not self._may_ask() or not self.path.startswith(PATH) or len(parts) != 3:
            self._refuse(HTTPStatus.FORBIDDEN, "This is for the console of this network.")
            return
        _, name, action = parts
        try:
            self.server.breaker.do(action, name)
        except BreakingError as error:
            self._refuse(HTTPStatus.CONFLICT, str(error))
        else:
            self._answer(HTTPStatus.OK, self.server.breaker.state())

    def _may_ask(self) -> bool:
        """Whether the token is right; and the host, so that no other name can stand for this address."""
        said = self.headers.get("authorization", "").encode()
        host = self.headers.get("host", "")
        is_right = hmac.compare_digest(said, f"Bearer {self.server.token}".encode())
        return is_right and host == f"127.0.0.1:{self.server.server_address[1]}"

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        self._answer(status, {"detail": sentence})

    def _answer(self, status: HTTPStatus, document: Any) -> None:
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        if (origin := self.headers.get("origin", "")) in self.server.origins:
            self.send_header("access-control-allow-origin", origin)
            self.send_header("access-control-allow-headers", "authorization")
            self.send_header("access-control-allow-methods", "GET, POST")
            self.send_header("vary", "origin")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
