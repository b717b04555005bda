"""The ledger in pages under a Merkle root (docs/wire.md section 18): what digests and checkpoints name.

A page is cut into pieces of 1,440 bytes, 16 accounts or 36 aliases each, so that one account is proved by
its piece and a handful of digests, and not by a whole page.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.crypto.merkle import leaf_of, leaves_of, root_of, roots_of
from harambee.ledger.records import ACCOUNT_DIGESTED_BYTES

PAGE_ACCOUNTS: Final = 1_024
PAGE_BYTES: Final = PAGE_ACCOUNTS * ACCOUNT_DIGESTED_BYTES
PIECE_BYTES: Final = 16 * ACCOUNT_DIGESTED_BYTES
PIECES: Final = PAGE_BYTES // PIECE_BYTES
assert PIECES * PIECE_BYTES == PAGE_BYTES
PAGES_TOGETHER: Final = 128
"""How many pages are hashed together: 12 MB."""


class Section(IntEnum):
    """What a page is of."""

    ACCOUNTS = 1
    ALIASES = 2
    REST = 3
    FRAME = 4


PAGE_LEAF: Final = np.dtype([("section", "u1"), ("page", "<u4"), ("digest", "u1", 32)])
"""A leaf of the tree of pages."""
assert PAGE_LEAF.itemsize == 37

Leaves = npt.NDArray[np.void]
"""A PAGE_LEAF array."""


def digests_of(pages: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the digests, (k, 32), of full pages, (k, PAGE_BYTES)."""
    digests = np.empty((len(pages), 32), np.uint8)
    for start in range(0, len(pages), PAGES_TOGETHER):
        some = np.ascontiguousarray(pages[start : start + PAGES_TOGETHER])
        leaves = leaves_of(some.reshape(-1, PIECE_BYTES)).reshape(len(some), PIECES, 32)
        digests[start : start + PAGES_TOGETHER] = roots_of(leaves)
    return digests


def piece_leaves(content: bytes) -> npt.NDArray[np.uint8]:
    """Return the leaf digests of a page's pieces, (pieces, 32); the last piece may be shorter."""
    whole = len(content) // PIECE_BYTES
    rows = np.frombuffer(content, np.uint8, whole * PIECE_BYTES).reshape(whole, PIECE_BYTES)
    leaves = leaves_of(rows)
    rest = content[whole * PIECE_BYTES :]
    if not rest:
        return leaves
    return np.concatenate([leaves, np.frombuffer(leaf_of(rest), np.uint8)[np.newaxis]])


def digest_of(content: bytes) -> bytes:
    """Return the digest of one page of any length."""
    return root_of(piece_leaves(content))


def leaves_for(
    section: Section, pages: npt.NDArray[np.integer], digests: npt.NDArray[np.uint8]
) -> Leaves:
    """Return the leaves of some pages of a section, (k,), in the order in which they are given."""
    leaves = np.empty(len(pages), PAGE_LEAF)
    leaves["section"], leaves["page"], leaves["digest"] = int(section), pages, digests
    return leaves


def leaves_of_parts(section: Section, parts: list[tuple[int, bytes]]) -> Leaves:
    """Return the leaves of (page number, content) pairs of a section."""
    numbers = np.array([number for number, _ in parts], np.uint32)
    digests = b"".join(digest_of(content) for _, content in parts)
    return leaves_for(section, numbers, np.frombuffer(digests, np.uint8).reshape(-1, 32))


def rows_of_leaves(leaves: Leaves) -> npt.NDArray[np.uint8]:
    """Return the leaf digests, (k, 32), of the tree over pages' leaves."""
    rows = np.ascontiguousarray(leaves).view(np.uint8).reshape(len(leaves), PAGE_LEAF.itemsize)
    return leaves_of(rows)


def root_of_pages(leaves: Leaves) -> bytes:
    """Return the root of the tree over pages' leaves, which ascend by section and page."""
    return root_of(rows_of_leaves(leaves))


def cut_into_pages(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (page number, content) of something that is longer than a page."""
    for page, start in enumerate(range(0, len(content), PAGE_BYTES)):
        yield page, content[start : start + PAGE_BYTES]
