"""Audits beyond one process: on a Ray cluster of several nodes, of a running node, and by DuckDB's sums."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest

from harambee.audit import recomputing, workers
from harambee.audit.auditing import audit
from harambee.audit.records import JournalRecords
from harambee.audit.segments import check_segment
from harambee.audit.workers import here, in_processes, on_ray
from harambee.node.journal import Journal
from harambee.node.network_folder import create_network
from harambee.traffic.bench_audit import BEGAN_MS, flip_a_bit, signed_orders
from harambee.traffic.bench_network import OPENING_CENTS
from harambee.traffic.parties import population_of
from harambee.traffic.temporary_network import network_of
from harambee.traffic.workload import Crowd, party_balances
from harambee.traffic.written_journals import chorus_of, write_journal

pytestmark = [pytest.mark.accept, pytest.mark.alone, pytest.mark.timeout(600)]

ORDERS = 20_000
NODES = 2
OBJECTS_BYTES = 128 << 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network whose first super-agent has a journal."""
    crowd = Crowd(2_000, 0, 0, 0)
    population = population_of(crowd, party_balances(crowd, OPENING_CENTS), 4, 1)
    home = tmp_path_factory.mktemp("audit") / "network"
    made = create_network(home, super_agents=4, population=population)
    network = network_of(made)
    sequences = np.zeros(int(network.parties.numbers.max()) + 1, np.uint32)
    orders = signed_orders(network, ORDERS, sequences, np.random.default_rng(1))
    with Journal.open(made.node(0).journal, network.network, 0, made.genesis.committee.epoch) as to:
        write_journal(to, chorus_of(made, BEGAN_MS), orders, 4, 256)
    return made


@pytest.fixture(scope="module")
def flipped(folder, tmp_path_factory):
    """The same journal with one flipped bit, and the position of the block in which it is."""
    place = tmp_path_factory.mktemp("flipped") / "journal"
    shutil.copytree(folder.node(0).journal, place)
    return place, flip_a_bit(place, np.random.default_rng(2))


@pytest.fixture(scope="module")
def cluster():
    """Nodes of one processor each, that nobody beyond this machine hears of."""
    os.environ.update({workers.USAGE_STATS_VARIABLE: "0", workers.CLUSTER_VARIABLE: "0"})
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": OBJECTS_BYTES}
    started = Cluster()
    try:
        started.add_node(include_dashboard=False, **node)
        for _ in range(NODES - 1):
            started.add_node(**node)
        started.wait_for_nodes()
        yield started.address
    finally:
        started.shutdown()


def answer(found):
    """All that an audit says, as bytes, but for how long it took and by how many."""
    document = found.as_json()
    for name in ("seconds", "orders_per_second", "workers"):
        del document[name]
    return json.dumps(document).encode()


@contextmanager
def cut_small():
    """Segments small enough that all nodes have some."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recomputing, "SEGMENT_SIGNATURES", 512)
        yield patch


def audited(folder, place, who):
    with Journal.open_to_read(place) as journal:
        return audit(folder.genesis, JournalRecords(journal), who)[0]


def test_a_cluster_of_two_nodes_says_what_one_process_and_what_two_say(
    folder, flipped, cluster, tmp_path
):
    nodes = tmp_path / "nodes"
    nodes.mkdir()

    def check_and_tell_where(segment):
        import ray

        (nodes / ray.get_runtime_context().get_node_id()).touch()
        return check_segment(segment)

    clean, (spoilt, position) = folder.node(0).journal, flipped
    said = {clean: [], spoilt: []}
    with cut_small() as patch:
        for ways in (here(), in_processes(2)):
            with ways as who:
                for place, answers in said.items():
                    answers.append(answer(audited(folder, place, who)))
        patch.setattr(workers, "check_segment", check_and_tell_where)
        with on_ray(cluster) as who:
            assert who.count == NODES
            for place, answers in said.items():
                found = audited(folder, place, who)
                answers.append(answer(found))
    assert len(list(nodes.iterdir())) == NODES, "each node has checked something"
    for answers in said.values():
        assert len(set(answers)) == 1
        assert len(answers) == 3
    assert json.loads(said[clean][0])["ok"]
    spoilt_found = json.loads(said[spoilt][0])
    assert not spoilt_found["ok"]
    assert [finding["position"] for finding in spoilt_found["findings"]] == [position]


def run(folder, *words):
    command = [sys.executable, "-m", "harambee", "audit", "--network", str(folder.folder), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_the_command_on_a_cluster(folder, flipped, cluster):
    done = run(folder, "--ray", cluster, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout.splitlines()[-1])
    assert (document["applied"], document["workers"]) == (ORDERS, NODES)
    done = run(folder, str(flipped[0]), "--ray", cluster)
    assert done.returncode == 1
    assert f"journal position {flipped[1]}," in done.stdout


def test_where_no_cluster_is_one_sentence_says_so(folder):
    done = run(folder, "--ray", "127.0.0.1:1")
    assert done.returncode == 1
    assert "No Ray cluster answers at 127.0.0.1:1" in done.stderr


def test_duckdb_reads_the_tables_and_money_is_conserved(folder, tmp_path):
    import duckdb

    tables = tmp_path / "tables"
    done = run(folder, "--parquet", str(tables), "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout.splitlines()[-1])

    def ask(question):
        (row,) = duckdb.sql(question.replace("TABLES", str(tables))).fetchall()
        return row

    assert ask("select sum(balance_cents), count(*) from 'TABLES/accounts.parquet'") == (
        0,
        document["accounts"],
    )
    assert ask(
        "select count(*), count(distinct id) from 'TABLES/orders.parquet' where applied"
    ) == (
        ORDERS,
        ORDERS,
    )
    assert ask("select count(*), sum(orders), sum(applied) from 'TABLES/blocks.parquet'") == (
        document["blocks"],
        ORDERS,
        ORDERS,
    )
    # What customers paid, and what the accounts say that was taken from them: two tables, one sum.
    (paid,) = ask("select sum(amount_cents + fee_cents) from 'TABLES/orders.parquet' where applied")
    (debited,) = ask("select sum(debited_cents) from 'TABLES/accounts.parquet'")
    assert paid == debited
    unpaid = """
        select count(*) from 'TABLES/accounts.parquet' a
        where kind = 'customer' and next_sequence !=
            (select count(*) from 'TABLES/orders.parquet' o where o.payer = a.account and applied)
    """
    assert ask(unpaid) == (0,)
