"""The processes of a network on this machine, each with one super-agent or several in it."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from harambee.node.network_folder import NetworkFolder

STOP_S: Final = 15


@dataclass
class Child:
    """One process, and the super-agents in it."""

    names: tuple[str, ...]
    process: subprocess.Popen[bytes]
    log: Path
    files: tuple[Path, ...]
    """Their configurations."""
    mourned: bool = False

    @property
    def spoken(self) -> str:
        """Their names, as they stand in a sentence."""
        return " and ".join(self.names)


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

    def kill(self) -> None:
        """End all at once, as `kill -9` does; what they answered is on disk."""
        for child in self.alive():
            child.process.kill()

    def restart(self, child: Child) -> None:
        """Start one that has ended."""
        assert child.process.poll() is not None, "it has ended"
        with child.log.open("ab") as output:
            child.process = _spawn(child.files, output)
        child.mourned = False


def start(network: "NetworkFolder", processes: int) -> Children:
    """Start the super-agents in so many processes, dealt out in turn."""
    children = Children()
    try:
        for place in range(min(processes, len(network.names))):
            names = network.names[place::processes]
            log = network.node_file(names[0]).with_name("node.log")
            files = tuple(network.node_file(name) for name in names)
            with log.open("ab") as output:
                process = _spawn(files, output)
            children.children.append(Child(names, process, log, files))
    except BaseException:
        children.kill()
        raise
    return children


def _spawn(files: Sequence[Path], output: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "harambee", "node"]
    for file in files:
        command += ["--config", str(file)]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        # Ctrl-C is for the parent, which then stops its children in order.
        process_group=0,
    )
