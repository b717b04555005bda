"""`harambee audit` at a terminal: which journal, what it says, and with which exit status."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from harambee.cli.main import main
from harambee.node.journal import Journal
from harambee.node.network_folder import create_network
from harambee.traffic.bench_audit import BEGAN_MS, bench_audit, signed_orders
from harambee.traffic.bench_network import OPENING_CENTS
from harambee.traffic.parties import population_of
from harambee.traffic.temporary_network import network_of
from harambee.traffic.workload import Crowd, party_balances
from harambee.traffic.written_journals import chorus_of, write_journal

ORDERS = 200
SECOND = 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network whose second super-agent has a journal."""
    crowd = Crowd(50, 0, 0, 0)
    population = population_of(crowd, party_balances(crowd, OPENING_CENTS), 4, 1)
    home = tmp_path_factory.mktemp("audit") / "network"
    made = create_network(home, super_agents=4, population=population)
    network = network_of(made)
    sequences = np.zeros(int(network.parties.numbers.max()) + 1, np.uint32)
    orders = signed_orders(network, ORDERS, sequences, np.random.default_rng(1))
    place, epoch = made.node(SECOND).journal, made.genesis.committee.epoch
    with Journal.open(place, network.network, SECOND, epoch, 1 << 28) as journal:
        write_journal(journal, chorus_of(made, BEGAN_MS), orders, 4, 16)
    return made


def run(folder, *words):
    return CliRunner().invoke(main, ["audit", "--network", str(folder.folder), *words])


def said(result):
    return json.loads(result.stdout.splitlines()[-1])


def test_the_first_journal_that_is_there_is_audited(folder):
    result = run(folder, "--workers", "1", "--json")
    assert result.exit_code == 0, result.output
    document = said(result)
    assert document["ok"]
    assert document["orders"] == document["applied"] == ORDERS
    assert document["total_cents"] == document["refused"] == 0
    assert document["heights"].keys() == set(folder.names)
    assert document["workers"] == 1


def test_people_get_a_table_and_a_sentence(folder):
    result = run(folder, folder.names[SECOND], "--workers", "1")
    assert result.exit_code == 0
    assert "signatures checked" in result.stdout
    assert result.stdout.splitlines()[-1] == "Nothing is wrong."


def test_a_copied_journal_needs_no_more_than_the_genesis(folder, tmp_path):
    for name in ("genesis.json", "openings.bin"):
        (tmp_path / name).write_bytes((folder.folder / name).read_bytes())
    place = tmp_path / "copy"
    place.mkdir()
    (place / "data.mdb").write_bytes((folder.node(SECOND).journal / "data.mdb").read_bytes())
    words = ["audit", str(place), "--network", str(tmp_path), "--workers", "1", "--json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert said(result)["applied"] == ORDERS


def test_a_digest_to_compare_with(folder):
    ours = said(run(folder, "--workers", "1", "--json"))["digest"]
    assert run(folder, "--workers", "1", "--compare", ours).exit_code == 0
    other = run(folder, "--workers", "1", "--compare", "00" * 32)
    assert other.exit_code == 1
    assert "was expected" in other.stdout
    assert run(folder, "--compare", "abc").exit_code == 2


def test_a_finding_is_a_sentence_and_exit_status_one(folder, tmp_path):
    place, epoch = tmp_path / "journal", folder.genesis.committee.epoch
    with Journal.open_to_read(folder.node(SECOND).journal) as journal:
        blocks = [block for _, block in journal.blocks()]
    blocks[3] = blocks[3][:-1] + bytes([blocks[3][-1] ^ 1])
    with Journal.open(place, folder.genesis.network, SECOND, epoch, 1 << 28) as journal:
        journal.append(blocks)
    result = run(folder, str(place), "--workers", "1")
    assert result.exit_code == 1
    author, height = folder.names[3], 1
    assert f"Block {height} of {author} (incarnation 0, journal position 3," in result.stdout
    assert "its author has not signed it" in result.stdout
    document = said(run(folder, str(place), "--workers", "1", "--json"))
    assert not document["ok"]
    (finding,) = document["findings"]
    assert (finding["super_agent"], finding["height"], finding["position"]) == (author, height, 3)


def test_a_journal_of_another_network_or_none_is_refused_in_a_sentence(folder, tmp_path):
    with Journal.open(tmp_path / "other", bytes(32), 0, 0, 1 << 28):
        pass
    for words, sentence in (
        ((str(tmp_path / "other"),), "belongs to another network"),
        ((folder.names[0],), "no journal"),
        (("nobody",), "There is no super-agent nobody here"),
    ):
        result = run(folder, *words)
        assert result.exit_code == 1
        assert sentence in result.stderr


def test_workers_and_a_cluster_exclude_each_other(folder):
    assert run(folder, "--workers", "2", "--ray", "auto").exit_code == 2


def test_the_bench_measures_what_it_has_checked():
    told = []
    figures = bench_audit(1_000, 100, 1, 1, told.append)
    assert figures["signatures_checked"] == 1_000 + figures["blocks"]
    assert figures["flipped_bit_found"]
    assert figures["orders_per_second"] > 0
    assert told
