"""The block by which each author first votes for a block, and first acknowledges it, found twice."""

import random

import numpy as np
import pytest

from harambee.protocol.chains import CERTIFIED, NEVER, VOTED, Chains

MEMBERS, QUORUM = 4, 3


def grown(seed, window, lasting):
    """Random chains, and the rows of every block as they were when it was added."""
    dice = random.Random(seed)
    chains, rows = Chains(MEMBERS, QUORUM, window=window), {}
    for _ in range(lasting):
        author = dice.randrange(MEMBERS)
        voted = chains.head_row(author)[VOTED]
        references = [
            (other, int(chains.heads[other]))
            for other in range(MEMBERS)
            if other != author and chains.heads[other] > voted[other] and dice.random() < 0.7
        ]
        height = int(chains.heads[author]) + 1
        name = bytes([author]) + height.to_bytes(31, "little")
        chains.extend(author, name, np.array(references, np.int64).reshape(-1, 2))
        rows[author, height] = chains.row(author, height).copy()
    return chains, rows


def looked_up(rows, what, on, height):
    """The first height of each author whose row reaches the block; NEVER where none does."""
    found = []
    for author in range(MEMBERS):
        reaching = [h for (a, h), row in rows.items() if a == author and row[what][on] >= height]
        found.append(min(reaching, default=NEVER))
    return found


@pytest.mark.parametrize("seed", range(8))
def test_the_search_finds_what_looking_at_every_block_finds(seed):
    chains, rows = grown(seed, 1 << 10, 120)
    for on, height in rows:
        votes, seen = chains.first_votes(on, height), chains.first_acknowledgements(on, height)
        assert votes.tolist() == looked_up(rows, VOTED, on, height)
        assert seen.tolist() == looked_up(rows, CERTIFIED, on, height)
        assert votes[on] == height, "a block is its author's own vote"
        is_final = np.count_nonzero(seen != NEVER) >= QUORUM
        assert is_final == (chains.final[on] >= height)


def test_below_the_window_nothing_is_taken_for_the_first():
    chains, rows = grown(1, 8, 200)
    for author in range(MEMBERS):
        lowest = chains.lowest_kept(author)
        assert chains.heads[author] - lowest == 7
        assert chains.digest_at(author, lowest) is not None
        assert chains.digest_at(author, lowest - 1) is None
    young, _ = grown(1, 1 << 10, 20)
    assert [young.lowest_kept(author) for author in range(MEMBERS)] == [1] * MEMBERS
    assert len(rows) == 200
