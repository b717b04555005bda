"""A network's processes: started, killed, restarted, and gone at the end whatever happens."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from harambee.ledger.records import AccountKind
from harambee.node.network_folder import create_network
from harambee.traffic.parties import keys_of, orders_of, population_of
from harambee.traffic.processes import cpu_seconds, rss_bytes
from harambee.traffic.profile import read_profile
from harambee.traffic.temporary_network import (
    NetworkError,
    TemporaryNetwork,
    free_ports,
    network_of,
    running_network,
)
from harambee.traffic.workload import Crowd, make_workload, party_balances

CROWD = Crowd(customers=30, agents=8, merchants=3, banks=2)
POPULATION = population_of(CROWD, party_balances(CROWD, 5_000_00), super_agents=4, seed=1)

# A super-agent that does nothing but say that it is ready.
READY = """
import sys, http.server, tomllib
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
host, port = tomllib.load(open(sys.argv[1], "rb"))["listen_http"].rsplit(":", 1)
http.server.HTTPServer((host, int(port)), Handler).serve_forever()
"""


def says_ready(config: Path) -> list[str]:
    return [sys.executable, "-c", READY, str(config)]


def falls_over(_config: Path) -> list[str]:
    return [sys.executable, "-c", "raise SystemExit('the disk is full')"]


def is_running(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_super_agents_are_killed_and_come_back_and_nothing_is_left():
    with TemporaryNetwork(4, POPULATION, says_ready) as running:
        folder, first = running.folder.folder, running.pids
        assert list(first) == list(running.folder.names)
        name = running.folder.names[1]
        running.kill(name)
        assert name not in running.pids
        assert running.killed == [name]
        running.restart(name)
        running.wait_ready((name,))
        assert running.pids[name] != first[name]
        last = running.pids
        assert all(cpu_seconds(pid) >= 0 and rss_bytes(pid) > 0 for pid in last.values())
    assert not folder.exists()
    assert not any(is_running(pid) for pid in [*first.values(), *last.values()])


def test_nothing_is_left_after_an_error():
    seen = {}

    def fail_inside():
        with TemporaryNetwork(4, POPULATION, says_ready) as running:
            seen.update(pids=running.pids, folder=running.folder.folder)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert not seen["folder"].exists()
    assert not any(is_running(pid) for pid in seen["pids"].values())


def test_a_super_agent_that_ends_by_itself_gets_one_sentence_with_its_last_words():
    with (
        pytest.raises(NetworkError, match="ended with status 1: the disk is full"),
        TemporaryNetwork(4, POPULATION, falls_over),
    ):
        pass


def test_a_network_that_is_not_there_gets_one_sentence(tmp_path):
    with pytest.raises(NetworkError, match="there is no network"):
        running_network(tmp_path)


def test_free_ports_are_free_twice_in_a_row():
    assert free_ports(8) == free_ports(8)


def test_a_folder_gives_a_load_what_it_needs(tmp_path):
    network = network_of(create_network(tmp_path / "n", customers=2, population=POPULATION))
    assert network.super_agents == 4
    assert network.quorum == 3
    assert network.parties.crowd == CROWD
    assert network.openings.balances_cents.sum() == 0
    customers = network.parties.numbers[: CROWD.customers]
    rows = np.searchsorted(network.openings.numbers, customers)
    assert set(network.openings.balances_cents[rows]) == {5_000_00}
    assert set(customers >> 20) == {0, 1, 2, 3}


def test_without_a_crowd_the_demo_accounts_make_the_orders(tmp_path):
    network = network_of(create_network(tmp_path / "n", customers=6))
    crowd = network.parties.crowd
    assert (crowd.customers, crowd.agents, crowd.merchants, crowd.banks) == (6, 20, 0, 0)
    workload = make_workload(read_profile(), crowd, network.tariff, seed=1, limit=200)
    assert len(workload) == 200


def test_orders_are_signed_by_the_keys_that_the_network_knows(tmp_path):
    network = network_of(create_network(tmp_path / "n", population=POPULATION))
    workload = make_workload(read_profile(), CROWD, network.tariff, seed=1, limit=100)
    orders = orders_of(workload, network.parties, network.tariff.version)
    numbers, secrets = keys_of(orders, network.parties)
    assert np.array_equal(numbers, np.unique(orders["payer"]))
    folder = create_network(tmp_path / "again", population=POPULATION)
    opened = {int(row["number"]): row["key"].tobytes() for row in folder.openings}
    assert [secret[32:].tobytes() for secret in secrets] == [opened[int(n)] for n in numbers]
    assert set(workload.kinds.tolist()) <= {1, 2, 3, 4, 5}
    assert AccountKind.CUSTOMER in set(POPULATION.kind.tolist())
