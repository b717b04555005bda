"""The processes of a network on this machine, each with one super-agent or several in it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from harambee.node.network_folder import NetworkFolder

STOP_S: Final = 15
SWITCH_S: Final = 60
ALONE_MAX: Final = 10
"""More super-agents than these share processes."""
PROCESSES_A_CORE: Final = 2
"""While one waits for its disk, or for the interpreter, the other one computes."""


@dataclass
class Child:
    """One process, and the super-agents in it."""

    names: tuple[str, ...]
    process: subprocess.Popen[bytes]
    log: Path
    files: tuple[Path, ...]
    """Their configurations."""
    switches: socket.socket | None = None
    """Where each of several can be switched off and on."""
    off: set[str] = field(default_factory=set)
    """Those that are switched off."""
    mourned: bool = False

    @property
    def spoken(self) -> str:
        """Their names, as they stand in a sentence."""
        return " and ".join(self.names)

    def close(self) -> None:
        """It has ended: there is nothing left to switch."""
        if self.switches is not None:
            self.switches.close()

    def switch(self, name: str, *, on: bool) -> None:
        """Switch one of several off or on; SwitchError."""
        assert self.switches is not None, "it has several"
        try:
            self.switches.settimeout(SWITCH_S)
            asked = {"super_agent": name, "on": on}
            self.switches.sendall(json.dumps(asked).encode() + b"\n")
            answer = json.loads(_read_line(self.switches))
        except (OSError, ValueError) as error:
            raise SwitchError(
                f"The process of {self.names[0]} does not answer: {error}."
            ) from error
        if "detail" in answer:
            raise SwitchError(str(answer["detail"]))
        (self.off.discard if on else self.off.add)(name)


class SwitchError(Exception):
    """A super-agent cannot be switched; the message is one sentence."""


def _read_line(end: socket.socket) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        part = end.recv(4_096)
        if not part:
            raise ConnectionResetError("it has ended")
        line += part
    return bytes(line)


@dataclass
class Children:
    """The processes of a network."""

    children: list[Child] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Whoever starts or ends one in another thread than the terminal's has it."""
    come_back: bool = False
    """Whether somebody may start them again who have ended, even where all have."""

    def dead(self) -> list[Child]:
        """Return those that ended and were not yet spoken of."""
        return [c for c in self.children if not c.mourned and c.process.poll() is not None]

    def alive(self) -> list[Child]:
        """Return those that run."""
        return [c for c in self.children if c.process.poll() is None]

    def stop(self) -> None:
        """Ask all to end, and end those that take too long."""
        for child in self.alive():
            child.process.terminate()
            # One that is paused hears nothing before it goes on.
            child.process.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + STOP_S
        for child in self.children:
            try:
                child.process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            child.close()

    def kill(self) -> None:
        """End all at once, as `kill -9` does; what they answered is on disk."""
        for child in self.alive():
            child.process.kill()

    def restart(self, child: Child) -> None:
        """Start one that has ended."""
        assert child.process.poll() is not None, "it has ended"
        child.close()
        child.process, child.switches = _spawn(child.files, child.log)
        child.off.clear()
        child.mourned = False


def start(network: "NetworkFolder", processes: int) -> Children:
    """Start the super-agents in so many processes, dealt out in turn."""
    children = Children()
    try:
        for place in range(min(processes, len(network.names))):
            names = network.names[place::processes]
            log = network.node_file(names[0]).with_name("node.log")
            files = tuple(network.node_file(name) for name in names)
            process, switches = _spawn(files, log)
            children.children.append(Child(names, process, log, files, switches))
    except BaseException:
        children.kill()
        raise
    return children


def processes_for(super_agents: int) -> int:
    """Return how many processes so many are dealt out to, where nobody says: the first few have their own."""
    shared = PROCESSES_A_CORE * (os.cpu_count() or 1)
    return super_agents if super_agents <= ALONE_MAX else min(super_agents, shared)


def _spawn(
    files: Sequence[Path], log: Path
) -> "tuple[subprocess.Popen[bytes], socket.socket | None]":
    """Start a process; returns also where its super-agents can be switched, if there are several."""
    command = [sys.executable, "-m", "harambee", "node"]
    for file in files:
        command += ["--config", str(file)]
    mine, theirs = socket.socketpair() if len(files) > 1 else (None, None)
    with log.open("ab") as output, theirs or contextlib.nullcontext():
        passed = (theirs.fileno(),) if theirs is not None else ()
        process = subprocess.Popen(
            [*command, *(f"--switches={end}" for end in passed)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=passed,
            # Ctrl-C is for the parent, which then stops its children in order.
            process_group=0,
        )
    return process, mine
