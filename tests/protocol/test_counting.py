"""Counting whole chains at once against PROTOCOL's definition, which counts blocks one by one.

The definition (section 3, view 0) is written out here with sets, slowly. Random blocks by six authors are
shown to a silent replica of seven, which must find the same orders final, and never one too many.
"""

import random

import numpy as np
import pytest
from tests.protocol.network import (
    MS,
    NETWORK,
    START_NS,
    SUPER_AGENT_KEYS,
    customers,
    make_block,
    make_committee,
    make_ledger,
    make_order,
)

from harambee.protocol.chains import Chains
from harambee.protocol.effects import Effects
from harambee.protocol.fold import Fold
from harambee.protocol.messages import BlockArrived
from harambee.protocol.replica import Replica
from harambee.protocol.wire import NO_DIGEST, read_block, write_rejection

PEOPLE = 24
PAYEE = customers(PEOPLE + 1)[-1]
POOL = [make_order(payer, PAYEE, 10_000, 0) for payer in customers(PEOPLE)]


class Definition:
    """votes, cert, ack and final of PROTOCOL section 3, for view 0 and without fences."""

    def __init__(self, quorum):
        self.quorum = quorum
        self.blocks = {}
        """(author, height) -> (references, orders, refused: set of (author, height, order))"""

    def past(self, block):
        seen, left = set(), [block]
        while left:
            author, height = left.pop()
            if height and (author, height) not in seen:
                seen.add((author, height))
                left.append((author, height - 1))
                left += self.blocks[author, height][0]
        return seen

    def votes(self, block):
        author, height = block
        references, orders, refused = self.blocks[block]
        found = set(orders)
        for other, reached in references:
            before = 0
            for earlier in range(1, height):
                before = max(
                    [before, *(h for a, h in self.blocks[author, earlier][0] if a == other)]
                )
            for voted in range(before + 1, reached + 1):
                in_it = self.blocks[other, voted][1]
                found |= {o for o in in_it if (other, voted, o) not in refused}
        return found

    def final(self):
        """The orders that are final in all the blocks there are."""
        votes = {block: self.votes(block) for block in self.blocks}
        acknowledged = {}
        for block in self.blocks:
            voters = {}
            for seen in self.past(block):
                for order in votes[seen]:
                    voters.setdefault(order, set()).add(seen[0])
            for order, who in voters.items():
                if len(who) >= self.quorum:
                    acknowledged.setdefault(order, set()).add(block[0])
        return {order for order, who in acknowledged.items() if len(who) >= self.quorum}


class Author:
    def __init__(self, index):
        self.index, self.height, self.name = index, 0, NO_DIGEST
        self.known = {}
        """author -> (height, digest) of the newest block it may reference"""
        self.referenced = {}


@pytest.mark.parametrize("seed", range(25))
def test_whole_chains_count_as_the_definition_does(seed):
    dice = random.Random(seed)
    definition = Definition(quorum=5)
    replica = Replica(
        NETWORK, make_committee(7), 0, SUPER_AGENT_KEYS[0], make_ledger(7, PEOPLE + 1)
    )
    exact = Fold(NETWORK, make_committee(7), make_ledger(7, PEOPLE + 1))
    authors = [Author(i) for i in range(1, 7)]
    names = {}
    placed = {}
    refusing = dice.random() < 0.7
    for step in range(90):
        author = dice.choice(authors)
        for other in authors:
            if other is not author and other.height and dice.random() < 0.7:
                author.known[other.index] = dice.randint(
                    max(author.known.get(other.index, 0), 1), other.height
                )
        references = []
        for other, height in sorted(author.known.items()):
            if height > author.referenced.get(other, 0) and _held(definition, other, height):
                references.append((other, height))
        orders = _some_orders(dice, definition, author, placed)
        refused, refusals = _some_refusals(dice, definition, author, references, refusing)
        author.height += 1
        chosen = np.concatenate([POOL[o] for o in orders]) if orders else None
        data, name = make_block(
            author.index,
            author.height,
            author.name,
            tuple((a, h, names[a, h]) for a, h in references),
            chosen,
            refusals,
        )
        author.name = names[author.index, author.height] = name
        author.referenced |= dict(references)
        definition.blocks[author.index, author.height] = (references, orders, refused)
        now = START_NS + step * MS
        replica.receive(BlockArrived(author.index, data), now)
        replica.act(now, may_speak=False)
        assert replica.counters.malformed == 0
        assert replica.blocks_integrated == step + 1
        expected = definition.final()
        found = _final(replica)
        assert found <= expected, "nothing is final that the definition does not make final"
        once = {o for o in expected if len(placed[o]) == 1}
        assert once <= found, "what lies in one block is final as soon as the definition says so"
        block = read_block(data, NETWORK, 7)
        exact.fold_one(step, block, Effects())
        exact.decide_everything(Effects())
        assert _final(exact) == expected, "and who counts exactly finds what the definition finds"
    assert len(found) >= 5, "the case is not an empty one"
    assert replica.ledger.total_cents() == 0


def _held(definition, author, height):
    return (author, height) in definition.blocks


def _some_orders(dice, definition, author, placed):
    """One payer has one order, so that no vote here ever meets a lock."""
    del definition
    orders = []
    for order in dice.sample(range(PEOPLE), dice.choice([0, 0, 1, 2])):
        where = placed.setdefault(order, set())
        if author.index not in where and (not where or dice.random() < 0.3):
            where.add(author.index)
            orders.append(order)
    return orders


def _some_refusals(dice, definition, author, references, refusing):
    refused, entries = set(), []
    for other, reached in references:
        for height in range(author.referenced.get(other, 0) + 1, reached + 1):
            orders = definition.blocks[other, height][1]
            indices = [i for i in range(len(orders)) if refusing and dice.random() < 0.15]
            if indices:
                refused |= {(other, height, orders[i]) for i in indices}
                outcomes = np.full(len(indices), 24, np.uint8)
                entries.append(
                    write_rejection(other, 0, height, len(orders), np.array(indices), outcomes)
                )
    return refused, b"".join(entries)


def _final(replica):
    return {
        number
        for number, order in enumerate(POOL)
        if replica.ledger.entry_of_slot(int(order["payer"][0]), 0) is not None
    }


@pytest.mark.parametrize("seed", range(10))
def test_a_small_window_delays_and_never_invents(seed):
    """With eight rows for each author counts may come late, but never before the full window's."""
    dice = random.Random(seed)
    small, full = Chains(4, 3, window=8), Chains(4, 3, window=1 << 12)
    heights = [0] * 4
    lasting = 300
    for step in range(lasting):
        author = dice.randrange(3) if 100 < step < 200 else dice.randrange(4)
        voted = full.head_row(author)[1]
        references = tuple(
            (other, heights[other])
            for other in range(4)
            if other != author and heights[other] > voted[other] and dice.random() < 0.8
        )
        for chains in (small, full):
            chains.extend(author, bytes(32), np.array(references, np.int64).reshape(-1, 2))
        heights[author] += 1
        assert (small.final <= full.final).all()
    for _ in range(4):
        for author in range(4):
            voted = full.head_row(author)[1]
            references = tuple(
                (o, heights[o]) for o in range(4) if o != author and heights[o] > voted[o]
            )
            for chains in (small, full):
                chains.extend(author, bytes(32), np.array(references, np.int64).reshape(-1, 2))
            heights[author] += 1
    assert (small.final == full.final).all(), "once all have heard of all, nothing is missing"
