"""An account over which two orders fight is free again: its slot is decided, and its payer pays on."""

import asyncio

import pytest
from tests.accept.quiet_network import quiet_population

from harambee.node.journal import Journal
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import read_block
from harambee.traffic import bench_free
from harambee.traffic.temporary_network import TemporaryNetwork

pytestmark = [pytest.mark.accept, pytest.mark.alone, pytest.mark.timeout(240)]

FIGHTS = 96
RECOVERED = 6
"""Nobody fences where one order is quick enough to have a quorum: on a fast machine, four times in five."""


def fenced_slots(running):
    """The slots that were in recovery, as a journal has it; its super-agent may not run."""
    genesis = running.folder.genesis
    folder = running.folder.node(0).journal
    found = set()
    with Journal.open(folder, genesis.network, 0, genesis.committee.epoch) as journal:
        for _, data in journal.blocks():
            block = read_block(data, genesis.network, genesis.committee.n)
            assert not isinstance(block, Malformed)
            found |= {fence.slot for fence in block.recovery.fences}
    return found


def test_every_fight_is_decided_and_its_payer_pays_on():
    with TemporaryNetwork(4, quiet_population()) as running:
        found = asyncio.run(bench_free.run(running.network, FIGHTS))
        running.kill(running.folder.names[0])
        fenced = fenced_slots(running)
    print(found.as_json(), len(fenced))
    assert found.all_free
    assert len(found.seconds) == found.paid_on == FIGHTS
    assert len(fenced) >= RECOVERED
