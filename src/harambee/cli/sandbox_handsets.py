"""The sandbox's customers beside `harambee up`: a process in which their handsets pay what they are asked."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harambee.cli.terminal import network_words, program

LOG: Final = "sandbox-handsets.log"
STOP_S: Final = 5
RESTART_S: Final = 2.0
"""The least time between two starts; one that cannot run is not tried without a pause."""


@dataclass
class SandboxHandsets:
    """That process; without a sandbox in the network's folder it is never started."""

    folder: Path
    _process: subprocess.Popen[bytes] | None = None
    _started_s: float = 0.0

    def start(self) -> None:
        """Start it, if there are such customers here; what it does stands in a log."""
        from harambee.node.sandbox import read_sandbox

        found = read_sandbox(self.folder)
        if found is None or not found.customers:
            return
        names = [customer.name for customer in found.customers]
        command = [sys.executable, "-m", "harambee", "--network", str(self.folder), "handset"]
        command += [*names, "--approve", "all", "--json"]
        self._started_s = time.monotonic()
        with (self.folder / LOG).open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the parent, which then stops its children in order.
                process_group=0,
            )

    def tend(self) -> None:
        """Start it again if it has ended."""
        if self._process is None or self._process.poll() is None:
            return
        if time.monotonic() - self._started_s >= RESTART_S:
            self.start()

    def stop(self) -> None:
        """Ask it to end, and end it if it takes too long; what it was paying goes on at its next start."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()


def sandbox_lines(folder: Path, url: str, *, answered: bool) -> list[str]:
    """Return what software that asks customers to pay is configured with; nothing without a sandbox.

    `answered` says whether this process answers for the customers.
    """
    from harambee.node.sandbox import FILE, SHORT_CODE, read_sandbox

    found = read_sandbox(folder)
    if found is None:
        return []
    telephones = " and ".join(one.telephone.removeprefix("+") for one in found.customers)
    names = " ".join(one.name for one in found.customers)
    pay = f"{program()} handset {names} --approve all{network_words(folder)}"
    return [
        f"\nSoftware that speaks Daraja: any super-agent serves it; {folder / FILE} has more.",
        f"  base URL {url}, short code {SHORT_CODE}",
        f"  consumer key {found.consumer_key}, secret {found.consumer_secret}",
        f"  passkey {found.passkey}",
        f"  {telephones} pay what they are asked{'' if answered else f' by: {pay}'}",
    ]
