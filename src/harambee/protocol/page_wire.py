"""Frames in which a checkpoint's pages travel (docs/wire.md section 10), read and written here alone.

What is read here came from anybody: every length is checked before it is used, and whether a page or an index
is the one that was asked for, `page_catchup.py` decides by digests.
"""

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.pages import PAGE_LEAF, Leaves, Section
from harambee.protocol.malformed import Malformed
from harambee.protocol.messages import IndexArrived, PageArrived

DIGEST_BYTES: Final = 32
INDEX_ROW: Final = np.dtype([("leaf", PAGE_LEAF), ("length", "<u4")])
"""A page's leaf, and how many bytes the page has: said for people who wait, and not relied on."""
assert INDEX_ROW.itemsize == 41
ROWS_MAX: Final = 65_536
"""Rows of an index in one part: 2.7 MB."""
PARTS_MAX: Final = 1 << 16
ASKED_MAX: Final = 64
PAGE_CONTENT_MAX: Final = 4 << 20
"""Pages have 92,160 bytes, but for those of aliases, which have 40 for each number that begins alike."""

_PART: Final = struct.Struct("<I")
_PARTS: Final = struct.Struct("<II")
_PAGE: Final = struct.Struct("<BI")

IndexRows = npt.NDArray[np.void]
"""An INDEX_ROW array."""
Places = tuple[tuple[int, int], ...]
"""(section, page number) of pages."""

_SECTIONS: Final = frozenset(int(section) for section in Section)


def parts_of(rows: int) -> int:
    """Return in how many parts an index of so many rows travels."""
    return -(-rows // ROWS_MAX)


def rows_in_part(part: int, rows: int) -> int:
    """Return how many of an index's rows travel in this part of it."""
    return max(0, min(ROWS_MAX, rows - part * ROWS_MAX))


def index_rows(leaves: Leaves, lengths: npt.NDArray[np.integer]) -> IndexRows:
    """Return the rows of an index, (k,), as they travel."""
    rows = np.zeros(len(leaves), INDEX_ROW)
    rows["leaf"], rows["length"] = leaves, lengths
    return rows


def write_ask_index(checkpoint: bytes, part: int) -> bytes:
    """Return the content of a frame that asks for a part of an index."""
    return checkpoint + _PART.pack(part)


def read_ask_index(content: bytes) -> tuple[bytes, int] | Malformed:
    """Return of which checkpoint, by its digest, which part of the index is asked for."""
    if len(content) != DIGEST_BYTES + _PART.size:
        return Malformed("who asks for an index says more or less than which")
    (part,) = _PART.unpack_from(content, DIGEST_BYTES)
    return content[:DIGEST_BYTES], part


def write_index(checkpoint: bytes, part: int, rows: IndexRows | None) -> bytes:
    """Return the content of a frame with a part of an index; `rows` are all of it, or None for none."""
    if rows is None:
        return checkpoint + _PARTS.pack(part, 0)
    some = rows[part * ROWS_MAX : (part + 1) * ROWS_MAX]
    return checkpoint + _PARTS.pack(part, parts_of(len(rows))) + some.tobytes()


def read_index(peer: int, content: bytes) -> IndexArrived | Malformed:
    """Return what a peer has of an index."""
    start = DIGEST_BYTES + _PARTS.size
    count, rest = divmod(len(content) - start, INDEX_ROW.itemsize)
    if rest or not 0 <= count <= ROWS_MAX:
        return Malformed("a part of an index is no list of pages")
    part, parts = _PARTS.unpack_from(content, DIGEST_BYTES)
    if parts > PARTS_MAX or (part >= parts and count) or (part < parts and not count):
        return Malformed("a part of an index is beyond its end")
    rows = np.frombuffer(content, INDEX_ROW, count, start)
    return IndexArrived(peer, content[:DIGEST_BYTES], part, parts, rows)


def write_ask_pages(checkpoint: bytes, pages: Places) -> bytes:
    """Return the content of a frame that asks for 1 to 64 pages."""
    assert 0 < len(pages) <= ASKED_MAX
    return checkpoint + b"".join(_PAGE.pack(*page) for page in pages)


def read_ask_pages(content: bytes) -> tuple[bytes, Places] | Malformed:
    """Return of which checkpoint which pages are asked for."""
    count, rest = divmod(len(content) - DIGEST_BYTES, _PAGE.size)
    if rest or not 0 < count <= ASKED_MAX:
        return Malformed("who asks for pages has not 1 to 64 of them")
    pages = tuple(_PAGE.iter_unpack(content[DIGEST_BYTES:]))
    if any(section not in _SECTIONS for section, _ in pages):
        return Malformed("somebody asks for a page of no section")
    return content[:DIGEST_BYTES], pages


def write_page(checkpoint: bytes, section: int, page: int, content: bytes) -> bytes:
    """Return the content of a frame with a page; `content` is empty where it is not here."""
    return checkpoint + _PAGE.pack(section, page) + content


def read_page(peer: int, content: bytes) -> PageArrived | Malformed:
    """Return a page as a peer has it."""
    start = DIGEST_BYTES + _PAGE.size
    if not start <= len(content) <= start + PAGE_CONTENT_MAX:
        return Malformed("a page is too short or too long")
    section, page = _PAGE.unpack_from(content, DIGEST_BYTES)
    if section not in _SECTIONS:
        return Malformed("a page is of no section")
    return PageArrived(peer, content[:DIGEST_BYTES], section, page, content[start:])
