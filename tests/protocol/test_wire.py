"""Blocks and frames from strangers: whatever the bytes, an answer, and never another meaning."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.network import NETWORK, customers, make_block, make_order

from harambee.protocol.effects import Name, Range
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import (
    HEAD_BYTES,
    LOOSE_ENDS_MAX,
    NO_DIGEST,
    Block,
    Draft,
    names_in,
    read_block,
    read_fetch,
    read_heads,
    read_named,
    write_block,
    write_fetch,
    write_names,
    write_possession,
    write_rejection,
)

ANN, BEN, CYD, DAN = customers(4)
ORDERS = np.concatenate([make_order(p, BEN, 10_000, 0) for p in (ANN, CYD, DAN)])
NAME = bytes(range(32))
REFUSALS = write_rejection(1, 0, 7, 10, np.array([0, 3, 9]), np.array([4, 5, 23], np.uint8))
UNSIGNED, DIGEST = write_block(
    Draft(
        network=NETWORK,
        epoch=0,
        author=2,
        height=5,
        previous=NAME,
        time_ms=1_790_000_000_000,
        references=(Name(0, 0, 3, NAME), Name(1, 2, 9, NAME)),
        rejections=REFUSALS,
        orders=ORDERS.tobytes(),
        attachments=write_possession(1, bytes(64)),
    )
)
GOOD = UNSIGNED + bytes(64)


def test_a_block_reads_back_as_it_was_written():
    block = read_block(GOOD, NETWORK, 4)
    assert isinstance(block, Block), block
    assert (block.author, block.height, block.epoch, block.incarnation) == (2, 5, 0, 0)
    assert block.previous == NAME
    assert block.digest == DIGEST
    assert block.references == (Name(0, 0, 3, NAME), Name(1, 2, 9, NAME))
    assert block.orders.tobytes() == ORDERS.tobytes()
    assert block.possessions == {1: bytes(64)}
    (refusals,) = block.rejections
    assert (refusals.author, refusals.height, refusals.orders) == (1, 7, 10)
    assert refusals.indices.tolist() == [0, 3, 9]
    assert refusals.outcomes.tolist() == [4, 5, 23]
    assert block.data == GOOD


@given(st.integers(0, len(UNSIGNED) - 1), st.integers(1, 255))
def test_no_byte_under_the_signature_changes_without_changing_the_digest(place, change):
    altered = bytearray(GOOD)
    altered[place] ^= change
    block = read_block(bytes(altered), NETWORK, 4)
    assert isinstance(block, Malformed) or block.digest != DIGEST


@given(st.integers(0, len(GOOD)))
def test_a_block_cut_short_is_malformed(length):
    if length < len(GOOD):
        assert isinstance(read_block(GOOD[:length], NETWORK, 4), Malformed)


@given(st.binary(max_size=600))
def test_garbage_is_malformed(data):
    assert isinstance(read_block(data, NETWORK, 4), Malformed)


@given(
    st.binary(min_size=64, max_size=400),
    st.lists(st.integers(0, 2**32 - 1), min_size=5, max_size=5),
)
def test_a_head_with_any_counts_is_answered_and_allocates_nothing_for_them(tail, counts):
    head = bytearray(GOOD[:HEAD_BYTES])
    head[120:140] = np.array(counts, "<u4").tobytes()
    block = read_block(bytes(head) + tail, NETWORK, 4)
    assert isinstance(block, Block | Malformed)


@given(st.binary(max_size=200))
def test_any_bytes_as_rejections_or_attachments_are_answered(part):
    for field in ("rejections", "attachments"):
        parts = {"rejections": b"", "attachments": b""} | {field: part}
        unsigned, _ = write_block(
            Draft(NETWORK, 0, 1, 1, NO_DIGEST, 0, (), orders=ORDERS.tobytes(), **parts)
        )
        block = read_block(unsigned + bytes(64), NETWORK, 4)
        assert isinstance(block, Block | Malformed)
        if isinstance(block, Block):
            assert all(0 <= index < 3 for index in block.possessions)


@pytest.mark.parametrize(
    ("references", "why"),
    [
        (((1, 1, NAME), (0, 1, NAME)), "ascending"),
        (((0, 1, NAME), (0, 2, NAME)), "ascending"),
        (((2, 1, NAME),), "its own author"),
        (((0, 0, NAME),), "names nobody"),
        (((9, 1, NAME),), "names nobody"),
    ],
)
def test_references_are_ascending_and_of_others(references, why):
    data, _ = make_block(2, 1, NO_DIGEST, references)
    block = read_block(data, NETWORK, 4)
    assert isinstance(block, Malformed)
    assert why in block.why


def test_a_block_of_another_network_is_malformed():
    assert isinstance(read_block(GOOD, bytes(32), 4), Malformed)


def test_heads_read_back_and_bad_ones_are_malformed():
    heads = tuple(Name(author, author, author, bytes([author]) * 32) for author in range(4))
    content = write_names(heads)
    assert names_in(read_heads(content, 4)) == heads
    assert isinstance(read_heads(content, 5), Malformed)
    assert isinstance(read_heads(content[40:] + content[:40], 4), Malformed)
    assert isinstance(read_heads(b"", 4), Malformed)
    loose = (Name(2, 0, 9, bytes(32)),) * LOOSE_ENDS_MAX
    assert names_in(read_heads(write_names(heads + loose), 4)) == heads + loose
    assert isinstance(read_heads(write_names(heads + loose + loose[:1]), 4), Malformed)
    assert isinstance(read_heads(write_names((*heads, Name(4, 0, 9, bytes(32)))), 4), Malformed)


def test_a_fetch_reads_back_and_bad_ones_are_malformed():
    ranges = (Range(0, 1, 9), Range(3, 5, 5))
    assert read_fetch(write_fetch(ranges), 4) == ranges
    for bad in (
        b"",
        b"x",
        write_fetch((Range(4, 1, 1),)),
        write_fetch((Range(0, 0, 1),)),
        write_fetch((Range(0, 2, 1),)),
        write_fetch(ranges[:1] * 257),
    ):
        assert isinstance(read_fetch(bad, 4), Malformed)


@given(st.binary(max_size=300))
def test_any_bytes_as_heads_or_fetch_are_answered(content):
    assert read_heads(content, 4) is not None
    assert read_fetch(content, 4) is not None
    assert read_named(content, 4) is not None
