"""How fast a journal is audited: with one core, and with all of them, in the same run.

The journal is written before the clock runs: real blocks of real orders, signed by their payers, in a real
journal on the disk. Both audits must find nothing, and the same ledger; then one bit of one stored block is
flipped, and an audit must name that block.

Beside the clock stands the processor time of the two halves, which a busy neighbour does not change: the one
process that reads and folds, and the workers that check. Their quotient is how many workers it can feed.
"""

import os
import resource
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import lmdb
import numpy as np
import numpy.typing as npt

from harambee.audit.auditing import Audit, audit
from harambee.audit.records import JournalRecords
from harambee.audit.workers import chosen
from harambee.crypto.hashing import TAG_ORDER, signed_prefix
from harambee.crypto.signatures import sign_many
from harambee.ledger.records import BODY_BYTES, ORDER_BYTES
from harambee.node.journal import MAP_BYTES, Journal
from harambee.node.network_folder import NetworkFolder, create_network
from harambee.traffic.bench_apply import occurrence
from harambee.traffic.bench_network import OPENING_CENTS, payments
from harambee.traffic.parties import keys_of, population_of
from harambee.traffic.temporary_network import Network, network_of
from harambee.traffic.workload import Crowd, party_balances
from harambee.traffic.written_journals import chorus_of, write_journal

DAY: Final = 20_000
BEGAN_MS: Final = DAY * 86_400_000
ORDERS_EACH: Final = 2_048
"""Orders of a block, of a network that is as busy as it can be."""
AT_ONCE: Final = 1 << 20
"""Orders that are made and signed together: 128 MB."""
SUPER_AGENTS: Final = 4

Tell = Callable[[str], None]


class BenchError(Exception):
    """An audit did not find what it must; one sentence."""


def bench_audit(orders: int, accounts: int, workers: int, seed: int, tell: Tell) -> dict[str, Any]:
    """Write a journal and audit it; the figures. BenchError where an audit says what is not so."""
    crowd = Crowd(accounts, 0, 0, 0)
    population = population_of(crowd, party_balances(crowd, OPENING_CENTS), SUPER_AGENTS, seed)
    home = Path(tempfile.mkdtemp(prefix="harambee-bench-audit-"))
    try:
        folder = create_network(home / "network", super_agents=SUPER_AGENTS, population=population)
        place = folder.node(0).journal
        _write(folder, place, orders, seed, tell)
        size = (place / "data.mdb").stat().st_size
        runs = {}
        used = {}
        for count in dict.fromkeys((1, workers)):
            before = _cpu_seconds()
            runs[count] = _audited(folder, place, count, tell)
            used[count] = _cpu_seconds() - before
        alone, all_of_them = runs[1], runs[workers]
        for run in runs.values():
            _demand_clean(run, orders)
        if alone.digest != all_of_them.digest:
            raise BenchError("two audits of one journal found two ledgers")
        position = flip_a_bit(place, np.random.default_rng([seed, 9]))
        _demand_named(_audited(folder, place, workers, tell), position)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return {
        "orders_per_second": round(all_of_them.orders_per_second),
        "orders_per_second_one_core": round(alone.orders_per_second),
        "ratio": round(all_of_them.orders_per_second / alone.orders_per_second, 3),
        "orders": orders,
        "accounts": all_of_them.accounts,
        "blocks": all_of_them.blocks,
        "journal_bytes": size,
        "signatures_checked": all_of_them.signatures_checked,
        "seconds": round(all_of_them.seconds, 3),
        "seconds_one_core": round(alone.seconds, 3),
        "workers": workers,
        "cpu_seconds_reading": round(float(used[workers][0]), 2),
        "cpu_seconds_checking": round(float(used[workers][1]), 2),
        "flipped_bit_found": True,
        "seed": seed,
    }


def _cpu_seconds() -> npt.NDArray[np.float64]:
    """Processor time of this process, and of its children that have ended."""
    of = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return np.array([usage.ru_utime + usage.ru_stime for usage in of])


def signed_orders(
    network: Network, count: int, sequences: npt.NDArray[np.uint32], dice: np.random.Generator
) -> npt.NDArray[np.void]:
    """Payments of customers to customers, signed; `sequences` (accounts,) are taken on by them."""
    orders = payments(network, count, dice)
    orders["sequence"] = sequences[orders["payer"]] + occurrence(orders["payer"])
    np.add.at(sequences, orders["payer"], 1)
    orders["day"] = DAY
    numbers, secrets = keys_of(orders, network.parties)
    bodies = orders.view(np.uint8).reshape(-1, ORDER_BYTES)[:, :BODY_BYTES]
    rows = np.searchsorted(numbers, orders["payer"])
    prefix = signed_prefix(TAG_ORDER, network.network)
    orders["signature"] = sign_many(prefix, bodies, secrets[rows], os.cpu_count() or 1)
    return orders


def _write(folder: NetworkFolder, place: Path, count: int, seed: int, tell: Tell) -> None:
    """Write a journal of so many orders."""
    network, dice = network_of(folder), np.random.default_rng([seed, 5])
    chorus = chorus_of(folder, BEGAN_MS)
    sequences = np.zeros(int(network.parties.numbers.max()) + 1, np.uint32)
    with Journal.open(place, network.network, 0, folder.genesis.committee.epoch) as journal:
        for start in range(0, count, AT_ONCE):
            tell(f"Signing and writing orders: {start:,} of {count:,}")
            orders = signed_orders(network, min(AT_ONCE, count - start), sequences, dice)
            write_journal(journal, chorus, orders, SUPER_AGENTS, ORDERS_EACH)


def _audited(folder: NetworkFolder, place: Path, workers: int, tell: Tell) -> Audit:
    with Journal.open_to_read(place) as journal, chosen(workers, None) as who:
        records = JournalRecords(journal)

        def show(done: int) -> None:
            tell(f"Auditing with {workers} workers: {done:,} of {records.count:,} blocks")

        return audit(folder.genesis, records, who, progress=show)[0]


def _demand_clean(found: Audit, orders: int) -> None:
    if not found.ok or found.applied != orders or found.total_cents:
        said = " ".join(found.sentences) or f"{found.applied:,} of {orders:,} orders were applied"
        raise BenchError(f"a journal that nobody touched was found wrong: {said}")


def _demand_named(found: Audit, position: int) -> None:
    named = {finding.position for finding in found.findings}
    if named != {position}:
        raise BenchError(f"a bit was flipped in block {position}, and the audit names {named}")


def flip_a_bit(place: Path, dice: np.random.Generator) -> int:
    """Flip one bit of one stored block, as a disk does; returns its position."""
    with lmdb.open(str(place), map_size=MAP_BYTES, max_dbs=5) as environment:
        table = environment.open_db(b"blocks")
        with environment.begin(write=True, db=table) as transaction:
            position = int(dice.integers(transaction.stat(table)["entries"]))
            key = position.to_bytes(8, "big")
            stored = bytearray(transaction.get(key) or b"")
            stored[int(dice.integers(len(stored)))] ^= 1 << int(dice.integers(8))
            transaction.put(key, bytes(stored))
    return position
