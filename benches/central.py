"""The central ledger as a whole, to run beside a network: PostgreSQL, its gateways, and a judge.

`TemporaryCentral` opens the accounts of a network, with the same numbers, keys and balances, and
shows a load the same face: doors, keys, openings. The judge reads the journal, adds it up herself,
and compares it with the accounts and with what the load was told, as `traffic.verdict` does it with
a super-agent.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from benches.gateway import Settings
from benches.postgres import PRIMARY, STANDBYS, Cluster
from harambee.ledger.records import ORDER
from harambee.node.network_folder import NetworkFolder
from harambee.traffic.generator import Door
from harambee.traffic.processes import Leaving
from harambee.traffic.temporary_network import Network, ended_by_signal, free_ports, network_of
from harambee.traffic.verdict import duplicates_in, lost_in

LEDGER: Final = Path(__file__).with_name("central_ledger.sql")
READY_S: Final = 60
STOP_S: Final = 10
POLL_S: Final = 0.05

Orders = npt.NDArray[np.void]


class CentralError(Exception):
    """The central ledger cannot be started; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Mode:
    """How the gateways bring orders into the database."""

    connections: int = 2
    """Of each gateway."""
    orders_max: int = 512
    """Most orders in one transaction; 0: each is a transaction of its own."""
    check_signatures: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """What the judge found in one server."""

    orders: int
    lost: int
    duplicated: int
    conserved: bool

    @property
    def clean(self) -> bool:
        """Nothing lost, nothing doubled, no cent made."""
        return not self.lost and not self.duplicated and self.conserved


class TemporaryCentral(Leaving):
    """Use it in a `with`; PostgresError or CentralError if a process does not come up."""

    def __init__(self, opened: NetworkFolder, gateways: int) -> None:
        """Open the accounts of a network; its super-agents need not run."""
        self._opened = opened
        self._gateways = gateways
        self._processes: list[subprocess.Popen[bytes]] = []
        self._leave = ExitStack()
        base = free_ports(gateways)
        self._ports = range(base, base + gateways)
        doors = [Door(f"gateway-{port - base}", f"http://127.0.0.1:{port}") for port in self._ports]
        # One refusal is enough where there is one ledger.
        self.network: Network = replace(network_of(opened), doors=doors, quorum=1)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(ended_by_signal())
            self._scratch = Path(tempfile.mkdtemp(prefix="harambee-central-"))
            stack.callback(shutil.rmtree, self._scratch, ignore_errors=True)
            # The servers may run as somebody else, who must be able to pass.
            self._scratch.chmod(0o711)
            servers = self._scratch / "servers"
            servers.mkdir(mode=0o700)
            self.cluster = stack.enter_context(Cluster(servers))
            stack.callback(self.stop_gateways)
            asyncio.run(self._open())
            self._leave = stack.pop_all()
        return self

    @property
    def pids(self) -> dict[str, list[int]]:
        """All processes that run now, by what they are."""
        gateways = [process.pid for process in self._processes]
        return self.cluster.pids | {"gateways": gateways}

    def start_gateways(self, mode: Mode) -> None:
        """Start the gateways, or start them anew in another mode, and wait until they answer."""
        self.stop_gateways()
        for port in self._ports:
            settings = Settings(
                socket=self.cluster.socket(PRIMARY),
                port=port,
                network=self.network.network.hex(),
                tariff=self.network.tariff.to_document(),
                **asdict(mode),
            )
            file = self._scratch / f"gateway-{port}.json"
            file.write_text(json.dumps(asdict(settings)), encoding="utf-8")
            with file.with_suffix(".log").open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "benches.gateway", str(file)],
                        cwd=Path(__file__).parent.parent,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        process_group=0,
                    )
                )
        for process, port in zip(self._processes, self._ports, strict=True):
            self._wait_ready(process, port)

    def stop_gateways(self) -> None:
        """End them; the database stays."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def judge(self, told: Orders, server: str = PRIMARY) -> Finding:
        """Compare a server's journal with its accounts, with the openings and with what was told."""
        return asyncio.run(self._judge(told, server))

    def promote_standbys(self) -> None:
        """Make each standby a primary of its own: what they hold can be examined then."""
        for name in STANDBYS:
            self.cluster.promote(name)

    async def _open(self) -> None:
        opened = self._opened.openings
        limits = self.network.tariff.limits
        connection = await self.cluster.connect()
        try:
            await connection.execute(LEDGER.read_text(encoding="utf-8"))
            await connection.copy_records_to_table(
                "account",
                records=zip(
                    opened["number"].tolist(),
                    [key.tobytes() for key in opened["key"]],
                    opened["flags"].tolist(),
                    opened["balance"].tolist(),
                    opened["next_sequence"].tolist(),
                    strict=True,
                ),
                columns=["number", "key", "flags", "balance", "next_sequence"],
            )
            await connection.execute(
                "INSERT INTO limits VALUES ($1, $2)", limits.daily_cents, limits.balance_cents
            )
            await connection.execute("VACUUM ANALYZE")
        finally:
            await connection.close()
        await self.cluster.add_standbys()

    async def _judge(self, told: Orders, server: str) -> Finding:
        connection = await self.cluster.connect(server)
        try:
            journal = await connection.fetch("SELECT signed, fee FROM journal")
            accounts = await connection.fetch(
                "SELECT number, balance, next_sequence FROM account ORDER BY number"
            )
        finally:
            await connection.close()
        orders = np.frombuffer(b"".join(row["signed"] for row in journal), ORDER)
        fees = sum(row["fee"] for row in journal)
        held = np.array([tuple(row) for row in accounts], np.int64)
        balances, sequences = self._recompute(orders)
        conserved = (
            np.array_equal(held[:, 1], balances)
            and np.array_equal(held[:, 2], sequences)
            and int(held[:, 1].sum()) + fees == 0
        )
        return Finding(
            len(orders),
            int(np.count_nonzero(lost_in(told, orders))),
            duplicates_in(orders),
            conserved,
        )

    def _recompute(self, orders: Orders) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """What the signed orders make of the openings: balances in cents, and next sequences."""
        opened = self._opened.openings
        balances = opened["balance"].astype(np.int64)
        sequences = opened["next_sequence"].astype(np.int64)
        payers = np.searchsorted(opened["number"], orders["payer"])
        payees = np.searchsorted(opened["number"], orders["payee"])
        amounts = orders["amount"].astype(np.int64)
        np.subtract.at(balances, payers, amounts + orders["fee"])
        np.add.at(balances, payees, amounts)
        np.add.at(sequences, payers, 1)
        return balances, sequences

    def _wait_ready(self, process: subprocess.Popen[bytes], port: int) -> None:
        end = time.monotonic() + READY_S
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
                    return
            except (urllib.error.URLError, OSError) as error:
                if process.poll() is not None or time.monotonic() > end:
                    log = (self._scratch / f"gateway-{port}.log").read_text(encoding="utf-8")
                    last = log.strip().splitlines()[-1:] or ["it wrote nothing"]
                    raise CentralError(f"a gateway does not serve: {last[0]}") from error
            time.sleep(POLL_S)
