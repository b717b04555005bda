"""How long a checkpoint takes to be made, to be made again after more orders, and to be begun at.

A nation's folder and a journal are written first, which no clock sees. Then what a super-agent does is done,
by the same processes: the first checkpoint from the genesis, the second from the first and the journal behind
it, and a start from the second. Each is a process of its own, so that its memory is what it alone takes.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from harambee.node.checkpoint_process import Made, Request
from harambee.node.journal import Journal
from harambee.node.network_folder import NetworkFolder, create_network
from harambee.protocol.cuts import Cut
from harambee.protocol.effects import Name
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import read_block
from harambee.storage.checkpoint_store import CheckpointStore, Stored
from harambee.traffic.bench_audit import BEGAN_MS, ORDERS_EACH, signed_orders
from harambee.traffic.bench_network import OPENING_CENTS
from harambee.traffic.parties import population_of
from harambee.traffic.temporary_network import network_of
from harambee.traffic.workload import Crowd, party_balances
from harambee.traffic.written_journals import Chorus, chorus_of, write_journal

ACTIVE: Final = 20_000
AT_ONCE: Final = 1 << 18
_BEGIN: Final = """
import json, resource, sys, time
from pathlib import Path
from harambee.node.beginning import make_ledger
from harambee.storage.beginning import begin, blocks_behind
from harambee.storage.checkpoint_store import CheckpointStore
from harambee.node.config import read_config
from harambee.node.journal import JournalReader
from harambee.node.network_folder import genesis_of
from harambee.protocol.fold import Fold
from harambee.protocol.warm import warm_up
warm_up()
began = time.perf_counter()
config = read_config(Path(sys.argv[1]))
genesis = genesis_of(config, with_openings=False)
stored = CheckpointStore(config.checkpoints, genesis.network, genesis.committee).all()[-1]
with JournalReader.open_to_read(config.journal) as journal:
    fold = Fold(genesis.network, genesis.committee, make_ledger(genesis, journal, stored))
    begin(fold, journal, stored)
    for _ in fold.fold(blocks_behind(journal, stored)):
        pass
seconds = time.perf_counter() - began
digest = fold.ledger.digest().hex()
print(json.dumps({"seconds": seconds, "digest": digest, "root": stored.checkpoint.ledger_root.hex(),
    "rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
"""

Tell = Callable[[str], None]


class BenchError(Exception):
    """A checkpoint could not be made or begun at; one sentence."""


@dataclass(frozen=True, slots=True)
class Nation:
    """How large it is."""

    super_agents: int
    accounts: int
    orders: int
    """Between the first checkpoint and the second."""
    seed: int


def bench_checkpoint(size: Nation, tell: Tell) -> dict[str, Any]:
    """Write a nation's journal, make two checkpoints and begin at the second; the figures. BenchError."""
    crowd = Crowd(min(ACTIVE, size.accounts), 0, 0, 0)
    balances = party_balances(crowd, OPENING_CENTS)
    population = population_of(crowd, balances, size.super_agents, size.seed)
    home = Path(tempfile.mkdtemp(prefix="harambee-bench-checkpoint-"))
    try:
        tell(f"Opening {size.accounts:,} accounts")
        folder = create_network(
            home / "network",
            super_agents=size.super_agents,
            population=population,
            dormant_each=max(0, size.accounts - ACTIVE) // size.super_agents,
        )
        config = folder.node(0)
        store = CheckpointStore(
            config.checkpoints, folder.genesis.network, folder.genesis.committee
        )
        writer = _Writer(folder, size)
        writer.write(size.super_agents, tell)
        tell("Making the first checkpoint")
        first, first_s = _made(folder, store, None, writer.cut())
        writer.write(size.orders, tell)
        tell(f"Making the second checkpoint, {size.orders:,} orders later")
        second, second_s = _made(folder, store, first, writer.cut())
        tell("Beginning at it")
        began = _begun(folder)
        if began["digest"] != began["root"] or began["root"] != second.checkpoint.ledger_root.hex():
            raise BenchError("a start from the checkpoint ended with another ledger")
        files = [file for file in second.folder.iterdir() if file.is_file()]
        written = sum(f.stat().st_size for f in files if f.stat().st_nlink == 1)
        return {
            "accounts": second.checkpoint.accounts,
            "orders": size.orders,
            "super_agents": size.super_agents,
            "pages": second.checkpoint.ledger_pages,
            "bytes": sum(file.stat().st_size for file in files),
            "bytes_written_again": written,
            "first_seconds": round(first_s, 2),
            "second_seconds": round(second_s, 2),
            "start_seconds": round(began["seconds"], 2),
            "rss_bytes": began["rss_bytes"],
            "seed": size.seed,
        }
    finally:
        shutil.rmtree(home, ignore_errors=True)


class _Writer:
    """Writes one super-agent's journal, more and more of it."""

    def __init__(self, folder: NetworkFolder, size: Nation) -> None:
        self._folder, self._size = folder, size
        self._network = network_of(folder)
        self._chorus: Chorus = chorus_of(folder, BEGAN_MS)
        self._dice = np.random.default_rng([size.seed, 5])
        self._sequences = np.zeros(int(self._network.parties.numbers.max()) + 1, np.uint32)

    def _journal(self) -> Journal:
        epoch = self._folder.genesis.committee.epoch
        return Journal.open(self._folder.node(0).journal, self._network.network, 0, epoch)

    def write(self, orders: int, tell: Tell) -> None:
        """Write so many more orders, and what makes them final."""
        with self._journal() as journal:
            for start in range(0, orders, AT_ONCE):
                tell(f"Signing and writing orders: {start:,} of {orders:,}")
                count = min(AT_ONCE, orders - start)
                signed = signed_orders(self._network, count, self._sequences, self._dice)
                write_journal(journal, self._chorus, signed, self._size.super_agents, ORDERS_EACH)

    def cut(self) -> Cut:
        """The past of the newest block: everybody has spoken about everything before it."""
        genesis = self._folder.genesis
        tips: dict[int, Name] = {}
        with self._journal() as journal:
            for position in range(journal.count - 1, -1, -1):
                block = read_block(journal.read(position), genesis.network, genesis.committee.n)
                if isinstance(block, Malformed):
                    raise BenchError(f"the journal has a block that is none: {block.why}")
                name = Name(block.author, block.incarnation, block.height, block.digest)
                tips.setdefault(block.author, name)
                if len(tips) == genesis.committee.n:
                    break
        anchor = next(iter(tips.values()))
        return Cut(anchor, tuple(sorted(tips.values())))


def _made(
    folder: NetworkFolder, store: CheckpointStore, base: Stored | None, cut: Cut
) -> tuple[Stored, float]:
    """Let the process make a checkpoint that a super-agent has make it; seconds."""
    request = msgspec.json.encode(Request.of(folder.node_file(0), base, cut))
    began = time.perf_counter()
    words = [sys.executable, "-m", "harambee.node.checkpoint_process"]
    ended = subprocess.run(words, input=request, stdout=subprocess.PIPE, check=False)  # noqa: S603
    took_s = time.perf_counter() - began
    lines = ended.stdout.splitlines()
    made = msgspec.json.decode(lines[-1], type=Made) if lines else Made(why="it said nothing")
    stored = store.find(bytes.fromhex(made.digest)) if made.digest else None
    if stored is None:
        raise BenchError(f"no checkpoint was made: {made.why}")
    return stored, took_s


def _begun(folder: NetworkFolder) -> dict[str, Any]:
    words = [sys.executable, "-c", _BEGIN, str(folder.node_file(0))]
    ended = subprocess.run(words, stdout=subprocess.PIPE, check=False, env=os.environ)  # noqa: S603
    if ended.returncode:
        raise BenchError("a start from the checkpoint failed")
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found
