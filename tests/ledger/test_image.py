"""A ledger in pages: what is written is read back to the byte, and goes on as if nothing had been."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger.test_traffic import BOTH, Traffic, after_traffic

from harambee.crypto.merkle import path_of, root_by_path
from harambee.ledger import invariants
from harambee.ledger.image import ImageError, Page, load, pages_of
from harambee.ledger.ledger import Ledger
from harambee.ledger.pages import (
    PAGE_BYTES,
    PIECE_BYTES,
    Section,
    digest_of,
    leaves_for,
    piece_leaves,
    root_of_pages,
)
from harambee.ledger.rest import RestError, read_rest
from harambee.ledger.side_tables import Change, Reversal


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    found: Traffic = after_traffic(5)
    return found


def loaded(ledger: Ledger, pages: list[Page]) -> Ledger:
    regions = len(ledger.accounts) >> 20
    other = Ledger(regions, BOTH[:1], ledger.key_days)
    load(other, pages)
    return other


def test_a_ledger_from_pages_has_the_same_digest_and_goes_on_alike(traffic: Traffic) -> None:
    pages = list(pages_of(traffic.ledger))
    other = loaded(traffic.ledger, pages)
    assert other.digest() == traffic.ledger.digest()
    assert list(pages_of(other)) == pages
    assert other.total_cents() == other.audited_cents(1) == 0
    assert other.account_count == traffic.ledger.account_count
    invariants.check(other)
    one, two = after_traffic(5), Traffic(loaded(traffic.ledger, pages))
    two.tables = list(one.tables)
    for seed in range(3):
        one.round(random.Random(seed).choice, seed)
        two.round(random.Random(seed).choice, seed)
    assert one.ledger.digest() == two.ledger.digest() != traffic.ledger.digest()


def test_the_digest_is_the_root_of_the_pages_as_they_are_written(traffic: Traffic) -> None:
    pages = list(pages_of(traffic.ledger))
    assert {page.section for page in pages} == {Section.ACCOUNTS, Section.ALIASES, Section.REST}
    leaves = np.concatenate(
        [
            leaves_for(
                Section(page.section),
                np.array([page.number]),
                np.frombuffer(digest_of(page.content), np.uint8)[np.newaxis],
            )
            for page in pages
        ]
    )
    assert root_of_pages(leaves) == traffic.ledger.digest()


def test_one_account_is_proved_by_its_piece(traffic: Traffic) -> None:
    page = next(pages_of(traffic.ledger))
    leaves = piece_leaves(page.content)
    piece = page.content[3 * PIECE_BYTES : 4 * PIECE_BYTES]
    assert leaves[3].tobytes() == piece_leaves(piece)[0].tobytes()
    path = path_of(leaves, 3)
    assert root_by_path(leaves[3].tobytes(), 3, len(leaves), path) == digest_of(page.content)
    assert len(piece) + 32 * len(path) < 1_700


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_flipped_bit_is_another_root_or_no_ledger(traffic: Traffic, data: st.DataObject) -> None:
    pages = list(pages_of(traffic.ledger))
    at = data.draw(st.integers(0, len(pages) - 1))
    content = bytearray(pages[at].content)
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    pages[at] = pages[at]._replace(content=bytes(content))
    try:
        other = loaded(traffic.ledger, pages)
    except ImageError:
        return
    assert other.digest() != traffic.ledger.digest()


@pytest.mark.parametrize(
    "page",
    [
        Page(Section.ACCOUNTS, 1 << 20, bytes(PAGE_BYTES)),
        Page(Section.ACCOUNTS, 0, bytes(PAGE_BYTES - 1)),
        Page(Section.ALIASES, 0, b""),
        Page(Section.ALIASES, 0, bytes(39)),
        Page(Section.ALIASES, 0, bytes(36) + b"\1\0\0\0" + bytes(36) + b"\1\0\0\0"),
        Page(Section.ALIASES, 1, bytes(36) + b"\1\0\0\0"),
        Page(Section.ALIASES, 0, bytes(40)),
        Page(Section.FRAME, 0, b"x"),
        Page(9, 0, b"x"),
        Page(Section.REST, 0, b""),
    ],
)
def test_what_is_no_page_is_refused(traffic: Traffic, page: Page) -> None:
    with pytest.raises(ImageError):
        loaded(traffic.ledger, [page])


def test_pages_out_of_order_are_refused(traffic: Traffic) -> None:
    pages = list(pages_of(traffic.ledger))
    with pytest.raises(ImageError, match="out of order"):
        loaded(traffic.ledger, [*pages, pages[0]])


@given(st.binary(max_size=200))
def test_anything_read_as_the_rest_is_refused_with_a_sentence(content: bytes) -> None:
    with pytest.raises(RestError):
        read_rest(content + b"\xff")


def test_the_rest_is_written_in_one_way(traffic: Traffic) -> None:
    rest = read_rest(traffic.ledger.rest())
    assert rest.side == traffic.ledger.side
    rest.side.put(Change("reversals", (7, 7), Reversal(5)))
    other = Ledger(1, ())
    other.take_rest(rest)
    content = bytearray(other.rest())
    content[content.index(b"\7\0\0\0\7\0\0\0") + 24] = 2  # neither refused nor not refused
    with pytest.raises(RestError):
        read_rest(bytes(content))
