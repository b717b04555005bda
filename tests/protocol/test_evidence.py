"""Evidence convicts a liar before a stranger, and nobody else whatever the bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.network import (
    NETWORK,
    SUPER_AGENT_KEYS,
    customers,
    make_block,
    make_committee,
    make_order,
)

from harambee.crypto.signatures import sign
from harambee.ledger.records import ORDER
from harambee.protocol.evidence import Conviction, read_evidence, write_evidence
from harambee.protocol.malformed import Malformed
from harambee.protocol.recovery_entries import Fence, Recovery, Vote, write_recovery
from harambee.protocol.slot import Slot
from harambee.protocol.wire import NO_DIGEST, Draft, block_prefix, write_block

ANN, BEN, CYD = customers(3)
COMMITTEE = make_committee(4)
ONE, ONE_NAME = make_block(3, 1, NO_DIGEST, (), make_order(ANN, BEN, 10_000, 0))
OTHER, _ = make_block(3, 1, NO_DIGEST, (), make_order(ANN, CYD, 20_000, 0))
SLOT = Slot.of_account(ANN, 0)
FORK = write_evidence(NETWORK, ONE, OTHER)


def voting(value, height, previous):
    fence = Fence(SLOT, 1, np.zeros(0, ORDER))
    recovery = write_recovery(Recovery((fence,), (), (Vote(SLOT, 1, value),)))
    return make_block(3, height, previous, recovery=recovery)


def test_a_fork_convicts_its_author():
    assert read_evidence(FORK, NETWORK, COMMITTEE) == Conviction(
        3, "signed two different blocks of height 1"
    )


def test_two_votes_in_one_view_convict_and_two_alike_do_not():
    first, name = voting(bytes(32), 1, NO_DIGEST)
    second, _ = voting(b"x" * 32, 2, name)
    same, _ = voting(bytes(32), 2, name)
    found = read_evidence(write_evidence(NETWORK, first, second), NETWORK, COMMITTEE)
    assert isinstance(found, Conviction)
    assert (found.culprit, "two different values" in found.why) == (3, True)
    assert isinstance(
        read_evidence(write_evidence(NETWORK, first, same), NETWORK, COMMITTEE), Malformed
    )


def signed_by_another():
    unsigned, name = write_block(Draft(NETWORK, 0, 3, 1, NO_DIGEST, 7, ()))
    return unsigned + sign(SUPER_AGENT_KEYS[2], block_prefix(NETWORK, 0) + name)


HONEST = {
    "one block twice": write_evidence(NETWORK, ONE, ONE),
    "a chain": write_evidence(NETWORK, ONE, make_block(3, 2, ONE_NAME)[0]),
    "two authors": write_evidence(NETWORK, ONE, make_block(2, 1, NO_DIGEST)[0]),
    "forged signature": write_evidence(NETWORK, ONE, signed_by_another()),
    "a reference more": write_evidence(
        NETWORK, make_block(2, 1, NO_DIGEST)[0], make_block(1, 1, NO_DIGEST)[0]
    ),
    "nothing": b"",
    "something behind": FORK + b"x",
    "cut short": FORK[:-1],
    "another network": write_evidence(bytes(32), ONE, OTHER),
}


@pytest.mark.parametrize("case", HONEST)
def test_forged_evidence_convicts_nobody(case):
    assert isinstance(read_evidence(HONEST[case], NETWORK, COMMITTEE), Malformed)


@given(st.integers(0, len(FORK) - 1), st.integers(1, 255))
def test_no_changed_byte_convicts_somebody_else(place, change):
    altered = bytearray(FORK)
    altered[place] ^= change
    found = read_evidence(bytes(altered), NETWORK, COMMITTEE)
    assert isinstance(found, Malformed)


@given(st.binary(max_size=400))
def test_garbage_convicts_nobody(data):
    assert isinstance(read_evidence(data, NETWORK, COMMITTEE), Malformed)
