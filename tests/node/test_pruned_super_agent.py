"""A super-agent whose journal was pruned: it starts as before, and says what it lacks."""

import shutil

import numpy as np
import pytest
import uvloop
from tests.node.test_journal_formats import make_network
from tests.node.test_runner import nothing, running

from harambee.cli.node import make_bodies
from harambee.node.journal import Journal
from harambee.node.runner import NodeError, serve_nodes

PAYER = 17
"""She paid three times."""


@pytest.fixture
def network(tmp_path):
    """One that took three payments; all its blocks but the newest lie in the archive."""
    network = make_network(tmp_path / "network")
    folder = network.node("amani").journal
    with Journal.open(
        folder, network.genesis.network, 0, network.genesis.committee.epoch
    ) as journal:
        assert journal.prune(np.arange(journal.count - 1, dtype=np.int64)) > 3
    return network


def test_it_starts_and_reads_orders_from_its_archive(network):
    async def story():
        async with running(network) as ports:
            (port,) = ports
            assert (await port.digest())["entries"] == 3
            lines = await port.statement(PAYER, 10, None)
            assert [line.balance_cents for line in lines] == [4_700_00, 4_800_00, 4_900_00]

    uvloop.run(story())


def test_without_its_archive_it_says_what_it_lacks(network):
    shutil.rmtree(network.node("amani").journal / "archive")
    with pytest.raises(NodeError, match=r"amani cannot start: block 0 of the journal .* was moved"):
        uvloop.run(serve_nodes([network.node("amani")], lambda _port: nothing, make_bodies()))
