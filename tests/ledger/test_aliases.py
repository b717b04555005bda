"""The table of aliases is a dictionary, whatever it holds and however it grew."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.town import NUMBERS, apply_all, open_town

from harambee.crypto.hashing import digest
from harambee.ledger.aliases import FIRST_ROWS, Aliases
from harambee.ledger.kernels import alias_hash
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Applied
from harambee.ledger.rules import Order

WORD = 2**64 - 1


def siphash_1_3(message, key0, key1):
    """SipHash with one round a word and three at the end, as its authors describe it."""

    def turn(word, bits):
        return (word << bits | word >> (64 - bits)) & WORD

    def sip_round(v0, v1, v2, v3):
        v0, v2 = (v0 + v1) & WORD, (v2 + v3) & WORD
        v1, v3 = turn(v1, 13) ^ v0, turn(v3, 16) ^ v2
        v0 = turn(v0, 32)
        v2, v0 = (v2 + v1) & WORD, (v0 + v3) & WORD
        v1, v3 = turn(v1, 17) ^ v2, turn(v3, 21) ^ v0
        return v0, v1, turn(v2, 32), v3

    v0, v1 = key0 ^ 0x736F6D6570736575, key1 ^ 0x646F72616E646F6D
    v2, v3 = key0 ^ 0x6C7967656E657261, key1 ^ 0x7465646279746573
    padded = message + bytes(7 - len(message) % 8) + bytes([len(message) % 256])
    for start in range(0, len(padded), 8):
        word = int.from_bytes(padded[start : start + 8], "little")
        v0, v1, v2, v3 = sip_round(v0, v1, v2, v3 ^ word)
        v0 ^= word
    v2 ^= 0xFF
    for _ in range(3):
        v0, v1, v2, v3 = sip_round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3


@given(st.binary(min_size=32, max_size=32), st.integers(0, WORD), st.integers(0, WORD))
def test_the_hash_is_siphash(alias, key0, key1):
    found = alias_hash(np.frombuffer(alias, np.uint8), np.uint64(key0), np.uint64(key1))
    assert int(found) == siphash_1_3(alias, key0, key1)


@pytest.mark.parametrize("seed", range(3))
def test_the_table_is_a_dictionary(seed):
    dice = random.Random(seed)
    names = [digest(dice.randbytes(8)) for _ in range(2 * FIRST_ROWS)]
    table, said = Aliases(), {}
    for _ in range(6 * FIRST_ROWS):
        name = dice.choice(names)
        owner, following = dice.randrange(2**32), dice.randrange(1, 2**32)
        table.put(name, owner, following)
        said[name] = (owner, following)
    assert len(table) == len(said)
    assert all(table.get(name) == said.get(name) for name in names)
    assert len(table.rows) >= len(table) * 4 // 3
    assert len(table.rows).bit_count() == 1


def test_aliases_that_differ_in_one_byte_are_two():
    table = Aliases()
    names = [bytes(n) + b"\1" + bytes(31 - n) for n in range(32)] + [bytes(32), b"\xff" * 32]
    for owner, name in enumerate(names):
        assert table.get(name) is None
        table.put(name, owner, 1)
    assert [table.get(name) for name in names] == [(owner, 1) for owner in range(len(names))]


def test_the_digest_does_not_depend_on_the_order_of_claiming():
    rows = [(digest(bytes([n])), n, 1 + n % 3) for n in range(200)]
    first, second = Aliases(), Aliases()
    for row in rows:
        first.put(*row)
    second.reserve(10 * FIRST_ROWS)  # in a table of another size, too
    for name, owner, following in rows[::-1]:
        second.put(name, owner + 1, 1)
        second.leaves()
        second.put(name, owner, following)
    assert first.leaves().tobytes() == second.leaves().tobytes()
    second.put(rows[0][0], 5, 4)
    assert first.leaves().tobytes() != second.leaves().tobytes()


def test_many_claims_in_one_batch_find_room():
    count = 3 * FIRST_ROWS
    ledger = open_town()
    claims = [
        Order(
            kind=int(OrderKind.CLAIM),
            payer=NUMBERS["enrolment"],
            payee=NUMBERS["merchant"],
            reference=digest(n.to_bytes(4, "little")),
        )
        for n in range(count)
    ]
    assert apply_all(ledger, claims) == [Applied.APPLIED] * count
    assert apply_all(ledger, claims) == [Applied.ALREADY] * count
    assert len(ledger.aliases) == count
    assert all(ledger.alias(c.reference) == (NUMBERS["merchant"], 1) for c in claims)
