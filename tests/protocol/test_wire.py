"""Blocks and frames from strangers: whatever the bytes, an answer, and never another meaning."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.network import NETWORK, customers, make_block, make_order

from harambee.ledger.kinds import OrderKind
from harambee.ledger.payees import table_digest
from harambee.ledger.records import ORDER, PAYEE, PAYEES_MAX
from harambee.protocol.effects import Name, Range
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import (
    ATTACHMENT_PAYEES,
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
    write_payees,
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


def bulk(table):
    """A bulk pay-out that names a table; its signature is of no matter here."""
    order = np.zeros(1, ORDER)
    order["payer"] = order["payee"] = DAN
    order["kind"] = OrderKind.BULK_PAY_OUT
    order["reference"] = np.frombuffer(table_digest(table), np.uint8)
    return order


def rows(count):
    return np.array([(ANN + k, 10_000) for k in range(count)], PAYEE).tobytes()


def with_attachments(orders, attachments):
    unsigned, _ = write_block(
        Draft(NETWORK, 0, 1, 1, NO_DIGEST, 0, (), orders=orders.tobytes(), attachments=attachments)
    )
    return unsigned + bytes(64)


TWO = rows(2)
PAYING = np.concatenate([ORDERS[:1], bulk(TWO), bulk(rows(3))])
TABLES = write_payees(2, rows(3)) + write_possession(0, bytes(64)) + write_payees(1, TWO)
BULK = with_attachments(PAYING, TABLES)


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


def test_payee_tables_read_back_under_the_names_that_orders_give_them():
    block = read_block(BULK, NETWORK, 4)
    assert isinstance(block, Block), block
    assert {name: table.tobytes() for name, table in block.tables.items()} == {
        table_digest(content): content for content in (TWO, rows(3))
    }
    assert block.table_rows == 5
    assert block.possessions == {0: bytes(64)}
    assert all(not table.flags.writeable for table in block.tables.values())
    whole = rows(PAYEES_MAX)
    one = read_block(with_attachments(bulk(whole), write_payees(0, whole)), NETWORK, 4)
    assert one.tables[table_digest(whole)].tobytes() == whole


@pytest.mark.parametrize(
    ("attachments", "why"),
    [
        (write_payees(1, TWO), "without the payee table"),
        (write_payees(1, TWO) + write_payees(2, TWO), "not the one that its order names"),
        (TABLES + write_payees(1, TWO), "has its own"),
        (TABLES + write_payees(0, TWO), "not the one that its order names"),
        (TABLES + write_payees(3, TWO), "belongs to no order"),
        (write_payees(1, TWO) + write_payees(2, rows(3)[:-1]), "length"),
        (write_payees(1, TWO) + write_payees(2, b""), "length"),
        (write_payees(1, TWO) + write_payees(2, rows(PAYEES_MAX + 1)), "length"),
        (TABLES[:-1], "cut short"),
        (TABLES + b"\x04" + bytes(15), "type that is not known"),
    ],
)
def test_a_bulk_pay_out_has_exactly_its_own_table_or_the_block_is_malformed(attachments, why):
    block = read_block(with_attachments(PAYING, attachments), NETWORK, 4)
    assert isinstance(block, Malformed)
    assert why in block.why


@given(st.integers(0, len(BULK) - 65), st.integers(1, 255))
def test_no_byte_of_a_payee_table_changes_without_notice(place, change):
    altered = bytearray(BULK)
    altered[place] ^= change
    block = read_block(bytes(altered), NETWORK, 4)
    good = read_block(BULK, NETWORK, 4)
    assert isinstance(block, Malformed) or block.digest != good.digest


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.one_of(st.sampled_from([TWO, rows(3)]), st.binary())),
        max_size=4,
    )
)
def test_whatever_tables_a_stranger_attaches_those_of_a_block_are_those_named(attached):
    """A block that reads has every table that its orders name, and no other."""
    parts = b"".join(write_payees(index, content) for index, content in attached)
    block = read_block(with_attachments(PAYING, parts), NETWORK, 4)
    whole = sorted(attached) == [(1, TWO), (2, rows(3))]
    assert isinstance(block, Block) is whole
    if whole:
        assert block.tables.keys() == {table_digest(TWO), table_digest(rows(3))}


@given(st.binary(max_size=80))
def test_any_bytes_after_the_head_of_a_table_are_answered(content):
    head = bytes([ATTACHMENT_PAYEES, 0, 0, 0]) + len(content).to_bytes(4, "little")
    block = read_block(with_attachments(PAYING, TABLES + head + content), NETWORK, 4)
    assert isinstance(block, Malformed)


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
