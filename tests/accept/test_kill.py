"""`kill -9` of any super-agent, at any instant, under load: nothing that was answered is lost."""

import asyncio
import random

import pytest

from harambee.traffic.book import Book
from harambee.traffic.generator import Generator, Pace
from harambee.traffic.parties import keys_of, orders_of, population_of
from harambee.traffic.profile import read_profile
from harambee.traffic.temporary_network import TemporaryNetwork
from harambee.traffic.verdict import judge
from harambee.traffic.workload import crowd_of, make_workload, party_balances

pytestmark = [pytest.mark.accept, pytest.mark.alone, pytest.mark.timeout(420)]

SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 12))]
"""A network for each: one that is old starts slowly, because it reads its whole journal."""
KILLS = 8
LONGEST_LIFE_S = 1.5
"""A super-agent is killed at a random instant of so long a time, counted from when it serves."""
LONGEST_START_S = 3.0
"""Or, one time in four, of so long a time from its start: before it serves, if that takes long."""
RATE = 300
ORDERS = RATE * 300
CUSTOMERS = 2_000
PATIENCE_S = 90


async def kill_in_turn(running, load, dice):
    """Kill and restart all four in turn while the load runs; how many were killed before serving."""
    unready = 0
    for kill in range(KILLS):
        name = running.folder.names[kill % 4]
        await asyncio.sleep(dice.uniform(0, LONGEST_LIFE_S))
        running.kill(name)
        running.restart(name)
        if dice.random() < 0.25:
            await asyncio.sleep(dice.uniform(0, LONGEST_START_S))
            unready += not await asyncio.to_thread(running.is_ready, name)
            running.kill(name)
            running.restart(name)
        await asyncio.to_thread(running.wait_ready, (name,))
    load.stop()
    return unready


async def under_load(running, load, dice):
    started = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(load.run(started.set))
        await started.wait()
        killing = group.create_task(kill_in_turn(running, load, dice))
    return killing.result()


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_random_moments_nothing_answered_is_lost(seed):
    dice = random.Random(seed)
    crowd = crowd_of(CUSTOMERS, 4)
    balances = party_balances(crowd, 200_000_00, 5_000_000_00)
    with TemporaryNetwork(4, population_of(crowd, balances, 4, seed)) as running:
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
        unready = asyncio.run(under_load(running, load, dice))
        verdict = asyncio.run(judge(book, network.doors, network.openings))
        tally = book.tally()
    print(tally, verdict, f"{unready} were killed before they served")
    assert verdict.lost == 0
    assert verdict.duplicated == 0
    assert verdict.conserved
    assert verdict.digests_equal
    assert verdict.examined == 4
    assert len(running.killed) >= KILLS
    assert set(running.killed) == set(running.folder.names)
    assert load.decided < ORDERS, "the load lasted as long as the killing"
    # One dead super-agent of four holds nobody up, and its orders move over.
    assert tally.unanswered == 0
    assert tally.final > KILLS * RATE // 4
    assert load.failovers > 0
