"""How one order became final, as a super-agent tells it: whose block, who voted, who acknowledged."""

import asyncio

import numpy as np
import pytest
from tests.node.test_runner import WAIT_MS, journey, payment, people
from tests.protocol.network import (
    NETWORK,
    customers,
    make_block,
    make_order,
)

from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ORDER
from harambee.node.order_path import _refused_by, _steps
from harambee.node.port import State
from harambee.protocol.chains import Chains
from harambee.protocol.wire import NO_DIGEST, read_block, write_rejection

CARRIED_BY = 2


async def until_all_acknowledge(port, payer, sequence):
    async with asyncio.timeout(20):
        while True:
            path = await port.path(payer, sequence)
            if len(path.acknowledgements) == 4:
                return path
            await asyncio.sleep(0.02)


def test_every_super_agent_tells_the_same_path(tmp_path):
    async def story(folder, ports):
        ann, ben = people(folder)[:2]
        order = payment(folder, ann, ben, 10_000, 0)
        taken = await ports[CARRIED_BY].submit(order, {}, WAIT_MS)
        assert taken.states.tolist() == [State.FINAL]
        paths = [await until_all_acknowledge(port, ann.account, 0) for port in ports]
        assert len(set(paths)) == 1
        path = paths[0]
        assert (path.state, path.order, path.is_known) == (State.FINAL, order.tobytes(), True)
        assert path.block is not None
        assert path.block.author == CARRIED_BY
        assert path.block in path.votes, "a block is its author's own vote"
        assert [step.author for step in path.votes] == [0, 1, 2, 3]
        assert path.refusals == ()
        votes = {step.author: step.height for step in path.votes}
        for step in path.acknowledgements:
            assert step.height >= votes[step.author]
        blocks = await ports[0].history.blocks(CARRIED_BY, 0, path.block.height, path.block.height)
        block = read_block(blocks[0], folder.genesis.network, 4)
        assert block.time_ms == path.block.time_ms
        assert order.tobytes() in {row.tobytes() for row in block.orders}

    journey(tmp_path, story)


def test_what_is_not_there_and_what_waits(tmp_path):
    async def story(folder, ports):
        ann, ben = people(folder)[:2]
        assert (await ports[0].path(ann.account, 0)).state is State.UNKNOWN
        assert (await ports[0].path(2**32 - 1, 0)).state is State.UNKNOWN
        for sequence in range(3):
            await ports[0].submit(payment(folder, ann, ben, 10_000, sequence), {}, WAIT_MS)
        newest = await ports[0].newest(2)
        told = [np.frombuffer(one.order, ORDER)[0] for one in newest]
        assert [int(order["sequence"]) for order in told] == [2, 1]
        assert {one.author for one in newest} == {0}
        asked = asyncio.ensure_future(
            ports[1].submit(payment(folder, ben, ann, 10_000, 0), {}, WAIT_MS)
        )
        seen = set()
        while not asked.done():
            path = await ports[1].path(ben.account, 0)
            seen.add(path.state)
            if path.state is State.PENDING and path.block is not None:
                assert path.block.author == 1
                assert path.block in path.votes
        assert (await ports[1].path(ben.account, 0)).state is State.FINAL
        assert State.FINAL in seen | {(await ports[1].path(ben.account, 0)).state}

    journey(tmp_path, story)


def test_of_a_block_below_the_window_nothing_is_guessed():
    data, digest = make_block(0, 1, NO_DIGEST, ())
    block = read_block(data, NETWORK, 4)
    chains = Chains(4, 3, window=8)
    none = np.zeros((0, 2), np.int64)
    chains.extend(0, digest, none)
    voting, acknowledging = _steps(chains, block)
    assert [(name.author, name.height) for name in voting] == [(0, 1)]
    assert acknowledging == []
    for height in range(2, 9):
        chains.extend(0, bytes([height]) * 32, none)
    assert _steps(chains, block) is not None
    chains.extend(0, b"9" * 32, none)
    assert _steps(chains, block) is None


def test_a_voter_that_referenced_it_long_ago_is_not_known_either():
    data, digest = make_block(0, 1, NO_DIGEST, ())
    block = read_block(data, NETWORK, 4)
    chains = Chains(4, 3, window=8)
    none = np.zeros((0, 2), np.int64)
    chains.extend(0, digest, none)
    chains.extend(1, b"1" * 32, np.array([[0, 1]]))
    assert _steps(chains, block) is not None
    for height in range(2, 12):
        chains.extend(1, bytes([height]) * 32, none)
    assert _steps(chains, block) is None


@pytest.mark.parametrize(("row", "outcome"), [(0, None), (1, Outcome.DAY_WRONG), (2, None)])
def test_a_refusal_names_its_order_and_no_other(row, outcome):
    payers = customers(4)
    orders = np.concatenate([make_order(payer, payers[3], 100, 0) for payer in payers[:3]])
    data, digest = make_block(0, 1, NO_DIGEST, (), orders)
    refusals = write_rejection(0, 0, 1, 3, np.array([1]), np.array([Outcome.DAY_WRONG], np.uint8))
    voter, _ = make_block(1, 1, NO_DIGEST, ((0, 1, digest),), None, refusals)
    its, block = read_block(voter, NETWORK, 4), read_block(data, NETWORK, 4)
    assert _refused_by(its, block, row) == outcome
    other, _ = make_block(1, 1, NO_DIGEST, ((0, 1, digest),))
    assert _refused_by(read_block(other, NETWORK, 4), block, row) is None
