"""Frames of checkpoints' pages from strangers: an answer, whatever the bytes; and one reading each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.ledger.pages import PAGE_LEAF
from harambee.protocol.malformed import Malformed
from harambee.protocol.page_wire import (
    ASKED_MAX,
    INDEX_ROW,
    PAGE_CONTENT_MAX,
    ROWS_MAX,
    index_rows,
    parts_of,
    read_ask_index,
    read_ask_pages,
    read_index,
    read_page,
    rows_in_part,
    write_ask_index,
    write_ask_pages,
    write_index,
    write_page,
)

NAME = bytes(range(32))
names = st.binary(min_size=32, max_size=32)
u32 = st.integers(0, 2**32 - 1)
sections = st.integers(1, 4)


def rows_of(count):
    leaves = np.zeros(count, PAGE_LEAF)
    leaves["section"], leaves["page"] = 1, np.arange(count)
    return index_rows(leaves, np.full(count, 92_160))


@given(names, u32)
def test_who_asks_for_an_index_is_understood(name, part):
    assert read_ask_index(write_ask_index(name, part)) == (name, part)


@given(names, st.lists(st.tuples(sections, u32), min_size=1, max_size=ASKED_MAX))
def test_who_asks_for_pages_is_understood(name, pages):
    assert read_ask_pages(write_ask_pages(name, tuple(pages))) == (name, tuple(pages))


@given(names, sections, u32, st.binary(max_size=300))
def test_a_page_arrives_as_it_was_sent(name, section, page, content):
    found = read_page(5, write_page(name, section, page, content))
    assert (found.peer, found.checkpoint, found.section, found.page, found.content) == (
        5,
        name,
        section,
        page,
        content,
    )


@pytest.mark.parametrize("count", [1, ROWS_MAX, ROWS_MAX + 1, 2 * ROWS_MAX])
def test_an_index_arrives_in_parts(count):
    rows = rows_of(count)
    parts = [read_index(3, write_index(NAME, k, rows)) for k in range(parts_of(count))]
    assert [(part.part, part.parts) for part in parts] == [
        (k, len(parts)) for k in range(len(parts))
    ]
    assert np.concatenate([part.rows for part in parts]).tobytes() == rows.tobytes()
    assert [len(part.rows) for part in parts] == [rows_in_part(k, count) for k in range(len(parts))]
    assert rows_in_part(len(parts), count) == 0


def test_an_index_that_is_not_there_is_said_to_be_in_no_parts():
    found = read_index(3, write_index(NAME, 7, None))
    assert (found.parts, len(found.rows)) == (0, 0)


@given(st.binary(max_size=400))
def test_whatever_the_bytes_there_is_an_answer(content):
    for read in (
        read_ask_index,
        read_ask_pages,
        lambda data: read_index(1, data),
        lambda data: read_page(1, data),
    ):
        read(content)


@given(st.integers(0, 2), st.data())
def test_a_frame_that_is_read_is_written_alike(kind, data):
    """Nothing is read in two ways: what a parser takes, its writer gives back to the byte."""
    content = data.draw(st.binary(min_size=32, max_size=120))
    match kind:
        case 0:
            found = read_ask_index(content)
            again = None if isinstance(found, Malformed) else write_ask_index(*found)
        case 1:
            found = read_ask_pages(content)
            again = None if isinstance(found, Malformed) else write_ask_pages(*found)
        case 2:
            found = read_page(0, content)
            again = (
                None
                if isinstance(found, Malformed)
                else write_page(found.checkpoint, found.section, found.page, found.content)
            )
    assert again in (None, content)


@pytest.mark.parametrize(
    ("read", "content"),
    [
        (read_ask_index, NAME + b"abc"),
        (read_ask_index, NAME + b"abcde"),
        (read_ask_pages, NAME),
        (read_ask_pages, NAME + b"\1\0\0\0\0" * (ASKED_MAX + 1)),
        (read_ask_pages, NAME + b"\5\0\0\0\0"),
        (read_ask_pages, NAME + b"\1\0\0\0"),
        (lambda c: read_page(0, c), NAME + b"\0\0\0\0\0content"),
        (lambda c: read_page(0, c), NAME + b"\1\0\0\0"),
        (lambda c: read_page(0, c), NAME + b"\1\0\0\0\0" + bytes(PAGE_CONTENT_MAX + 1)),
        (lambda c: read_index(0, c), NAME + b"\0\0\0\0\1\0\0"),
        (lambda c: read_index(0, c), NAME + b"\0\0\0\0\1\0\0\0"),
        (lambda c: read_index(0, c), NAME + b"\1\0\0\0\1\0\0\0" + bytes(41)),
        (lambda c: read_index(0, c), NAME + b"\0\0\0\0\1\0\0\0" + bytes(40)),
        (
            lambda c: read_index(0, c),
            NAME + b"\0\0\0\0\2\0\0\0" + bytes(INDEX_ROW.itemsize * (ROWS_MAX + 1)),
        ),
    ],
)
def test_what_is_no_such_frame_is_refused(read, content):
    assert isinstance(read(content), Malformed)
