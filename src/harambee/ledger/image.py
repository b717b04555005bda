"""A ledger from pages, and its pages one after the other: how its state travels and rests (docs/wire.md 18).

Pages are taken in ascending order of their leaves, by whoever has checked them against a root. What a page
says about itself is checked here all the same: a root can be that of nonsense.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harambee.ledger.aliases import page_numbers
from harambee.ledger.ledger import Ledger
from harambee.ledger.packing import unpack
from harambee.ledger.pages import PAGE_ACCOUNTS, PAGE_BYTES, PAGES_TOGETHER, Section, cut_into_pages
from harambee.ledger.records import ALIAS
from harambee.ledger.rest import RestError, read_rest


class ImageError(ValueError):
    """These pages are not those of a ledger of this network; one sentence."""


class Page(NamedTuple):
    """One page of a ledger, or of a frame."""

    section: int
    number: int
    content: bytes


def pages_of(ledger: Ledger) -> Iterator[Page]:
    """Yield the pages of a ledger in the order of its leaves; each is written as it is when it is yielded."""
    leaves = ledger.leaves()
    used = leaves["page"][leaves["section"] == Section.ACCOUNTS].astype(np.int64)
    for start in range(0, len(used), PAGES_TOGETHER):
        some = used[start : start + PAGES_TOGETHER]
        for number, content in zip(some.tolist(), ledger.account_pages(some), strict=True):
            yield Page(int(Section.ACCOUNTS), number, content.tobytes())
    for number, content in ledger.aliases.pages():
        yield Page(int(Section.ALIASES), number, content)
    for number, content in cut_into_pages(ledger.rest()):
        yield Page(int(Section.REST), number, content)


def load(ledger: Ledger, pages: Iterable[Page]) -> None:
    """Fill a ledger that nothing was opened in yet; ImageError where pages are none of a ledger's.

    The ledger is of no use after an error.
    """
    rest = bytearray()
    together: list[Page] = []
    before = (0, -1)
    for page in pages:
        if page[:2] <= before:
            raise ImageError(f"page {page.number} of section {page.section} is out of order")
        before = page[:2]
        match page.section:
            case Section.ACCOUNTS:
                together.append(page)
                if len(together) == PAGES_TOGETHER:
                    _load_accounts(ledger, together)
                    together = []
            case Section.ALIASES:
                ledger.aliases.put_many(_aliases_in(page))
            case Section.REST:
                rest += page.content
            case _:
                raise ImageError(f"a ledger has no pages of section {page.section}")
    if together:
        _load_accounts(ledger, together)
    try:
        ledger.take_rest(read_rest(bytes(rest)))
    except RestError as error:
        raise ImageError(str(error)) from error


def _load_accounts(ledger: Ledger, pages: list[Page]) -> None:
    for page in pages:
        if len(page.content) != PAGE_BYTES or (page.number + 1) * PAGE_ACCOUNTS > len(
            ledger.accounts
        ):
            raise ImageError(f"page {page.number} is no page of accounts of this network")
    numbers = np.array([page.number for page in pages], np.int64)
    packed = np.frombuffer(b"".join(page.content for page in pages), np.uint8)
    unpack(packed.reshape(-1, PAGE_BYTES), numbers, ledger.accounts, ledger.identities)
    ledger.pages_changed(numbers)


def _aliases_in(page: Page) -> npt.NDArray[np.void]:
    """Return the rows of a page of aliases, an ALIAS array."""
    if not page.content or len(page.content) % ALIAS.itemsize:
        raise ImageError(f"page {page.number} is no page of aliases")
    rows = np.frombuffer(page.content, ALIAS)
    words = np.ascontiguousarray(rows["alias"]).view(">u8").reshape(-1, 4)
    ascending = (np.lexsort(words.T[::-1]) == np.arange(len(rows))).all()
    twice = (words[1:] == words[:-1]).all(axis=1).any()
    here = (page_numbers(rows["alias"]) == page.number).all()
    if not ascending or twice or not here or not rows["next_sequence"].all():
        raise ImageError(f"page {page.number} of aliases is not written as it has to be")
    return rows
