"""Kills, silences, cuts and a lost disk, many in a row under load: nothing that was answered is lost."""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys

import pytest
from tests.accept.relayed_network import Cut, RelayedNetwork

from harambee.node.journal import Journal
from harambee.traffic.book import Book
from harambee.traffic.generator import Generator, Pace
from harambee.traffic.parties import keys_of, orders_of, population_of
from harambee.traffic.profile import read_profile
from harambee.traffic.verdict import judge
from harambee.traffic.workload import crowd_of, make_workload, party_balances

pytestmark = [pytest.mark.accept, pytest.mark.alone, pytest.mark.timeout(420)]

SEEDS = [1, 2]
RATE = 150
ORDERS = RATE * 300
CUSTOMERS = 2_000
PATIENCE_S = 90
PAUSE_S = 1.0
"""Between two disturbances passes up to so much; those before the lost disk may overlap."""
LONG_S, BRIEF_S = 4.0, 1.0
"""How long a super-agent is silent or cut off at most: before the lost disk, and after it."""

KILL, FREEZE, WIPE = "kill", "freeze", "wipe"
BEFORE = [KILL, KILL, FREEZE, FREEZE, Cut.BOTH, Cut.BOTH, Cut.HEAR, Cut.SPEAK]
AFTER = [KILL, KILL, FREEZE, Cut.BOTH, Cut.HEAR, Cut.SPEAK]


class Chaos:
    """What befalls a network of four, as the dice say."""

    def __init__(self, running, dice):
        self._running = running
        self._dice = dice
        self._busy = {name: asyncio.Lock() for name in running.folder.names}
        self.history = []
        """(what, to whom), in order."""
        self.wiped = None

    async def go_on(self):
        """Several at once, then a lost disk, then one after the other.

        Who has lost its disk counts among the f until the slots of that day have moved on. So there is
        only one, and after it the others are away only for a moment.
        """
        async with asyncio.TaskGroup() as group:
            for what in self._shuffled(BEFORE):
                await asyncio.sleep(self._dice.uniform(0, PAUSE_S))
                group.create_task(self._befall(what, self._somebody(), LONG_S))
        await self._befall(WIPE, self._somebody(), 0)
        for what in self._shuffled(AFTER):
            await asyncio.sleep(self._dice.uniform(0, PAUSE_S))
            await self._befall(what, self._somebody(), BRIEF_S)

    def _shuffled(self, deck):
        return self._dice.sample(deck, len(deck))

    def _somebody(self):
        return self._dice.choice(self._running.folder.names)

    async def _befall(self, what, name, longest_s):
        seconds = self._dice.uniform(0, longest_s)
        async with self._busy[name]:
            self.history.append((what if isinstance(what, str) else f"cannot {what.value}", name))
            if isinstance(what, Cut):
                index = self._running.folder.names.index(name)
                with self._running.relays.cut_off(index, what):
                    await asyncio.sleep(seconds)
            elif what == FREEZE:
                await self._freeze(name, seconds)
            else:
                await self._kill(name, wipe=what == WIPE)

    async def _freeze(self, name, seconds):
        pid = self._running.pids[name]
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    async def _kill(self, name, *, wipe):
        self._running.kill(name)
        if wipe:
            self.wiped = name
            shutil.rmtree(self._running.folder.node(name).journal)
            await asyncio.to_thread(rejoin, self._running, name)
        self._running.restart(name)
        await asyncio.to_thread(self._running.wait_ready, (name,))


def rejoin(running, name):
    folder = str(running.folder.folder)
    command = [sys.executable, "-m", "harambee", "--network", folder, "rejoin", name]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def incarnations(running):
    """The newest incarnation of each super-agent, as each one's journal has it; nobody may run."""
    names = running.folder.names
    genesis = running.folder.genesis
    told = {}
    for index, name in enumerate(names):
        folder = running.folder.node(name).journal
        with Journal.open(folder, genesis.network, index, genesis.committee.epoch) as journal:
            told[name] = [
                max(i for i in range(3) if journal.find(author, 1, i) is not None)
                for author in range(len(names))
            ]
    return told


async def under_load(load, chaos):
    started = asyncio.Event()

    async def disturb():
        await started.wait()
        await chaos.go_on()
        load.stop()

    async with asyncio.TaskGroup() as group:
        group.create_task(load.run(started.set))
        group.create_task(disturb())


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_befalls_four_super_agents_nothing_answered_is_lost(seed):
    crowd = crowd_of(CUSTOMERS, 4)
    balances = party_balances(crowd, 200_000_00, 5_000_000_00)
    with RelayedNetwork(4, population_of(crowd, balances, 4, seed)) as running:
        network = running.network
        workload = make_workload(read_profile(), crowd, network.tariff, seed, ORDERS)
        orders = orders_of(workload, network.parties, network.tariff.version)
        book = Book(orders)
        load = Generator(
            book,
            network.doors,
            network.network,
            keys_of(orders, network.parties),
            network.quorum,
            Pace(rate=RATE, patience_s=PATIENCE_S),
        )
        chaos = Chaos(running, random.Random(seed))
        asyncio.run(under_load(load, chaos))
        verdict = asyncio.run(judge(book, network.doors, network.openings))
        tally = book.tally()
        logs = {n: running._log_file(n).read_text(errors="replace") for n in running.folder.names}
        for name in running.folder.names:
            running.kill(name)
        told = incarnations(running)
    print(tally, verdict, chaos.history, told)
    assert verdict.lost == 0
    assert verdict.duplicated == 0
    assert verdict.conserved
    assert verdict.digests_equal
    assert verdict.examined == 4
    # One has begun a new chain, and nobody takes anyone for a liar.
    expected = [int(name == chaos.wiped) for name in running.folder.names]
    assert told == dict.fromkeys(running.folder.names, expected)
    assert not [n for n, log in logs.items() if "no honest super-agent signs" in log]
    assert not [name for name, log in logs.items() if "Traceback" in log]
    assert len(chaos.history) == len(BEFORE) + 1 + len(AFTER)
    assert load.decided < ORDERS, "the load lasted as long as the chaos"
    assert tally.unanswered == 0
    assert tally.final > RATE
