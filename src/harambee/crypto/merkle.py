"""Merkle trees, as RFC 6962 section 2.1 builds them, over BLAKE2b-256.

A leaf's digest is H(0x00 ‖ leaf), a node's H(0x01 ‖ left ‖ right); where a level has an odd count, its last
one goes up as it is. So no leaf passes for a node, and a tree of other leaves or of another count of them has
another root. Whole levels are hashed in one call, off the GIL.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.crypto.hashing import digest, digest_many
from harambee.crypto.rows import Rows

DIGEST_BYTES: Final = 32
LEAF: Final = b"\0"
NODE: Final = b"\1"
EMPTY: Final = digest()
"""The root of a tree without leaves."""


def leaves_of(rows: Rows) -> Rows:
    """Return the leaf digests, (n, 32), of (n, m) rows of bytes."""
    return digest_many(LEAF, rows)


def leaf_of(content: bytes) -> bytes:
    """Return the leaf digest of some bytes."""
    return digest(LEAF, content)


def roots_of(leaves: npt.NDArray[np.uint8]) -> Rows:
    """Return the roots, (t, 32), of t trees of k leaf digests each, (t, k, 32); k is 1 or more."""
    level = np.ascontiguousarray(leaves)
    while level.shape[1] > 1:
        trees, count, _ = level.shape
        pairs = np.ascontiguousarray(level[:, : count // 2 * 2]).reshape(-1, 2 * DIGEST_BYTES)
        above = digest_many(NODE, pairs).reshape(trees, count // 2, DIGEST_BYTES)
        level = above if count % 2 == 0 else np.concatenate([above, level[:, -1:]], axis=1)
    return level[:, 0]


def root_of(leaves: npt.NDArray[np.uint8]) -> bytes:
    """Return the root of one tree of leaf digests, (k, 32)."""
    if not len(leaves):
        return EMPTY
    return bytes(roots_of(leaves[np.newaxis])[0].tobytes())


def path_of(leaves: npt.NDArray[np.uint8], index: int) -> list[bytes]:
    """Return the digests beside the way from a leaf up to the root, from below; `leaves` are (k, 32)."""
    assert 0 <= index < len(leaves)
    path = []
    level = np.ascontiguousarray(leaves)
    while len(level) > 1:
        if index ^ 1 < len(level):
            path.append(level[index ^ 1].tobytes())
        pairs = np.ascontiguousarray(level[: len(level) // 2 * 2]).reshape(-1, 2 * DIGEST_BYTES)
        above = digest_many(NODE, pairs)
        level = above if len(level) % 2 == 0 else np.concatenate([above, level[-1:]])
        index //= 2
    return path


def root_by_path(leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root of a tree of `count` leaves, one of which is at `index`; None if the path fits none.

    `leaf` is its digest, `path` what `path_of` returned.
    """
    if not 0 <= index < count:
        return None
    beside = list(path)
    while count > 1:
        if index ^ 1 < count:
            if not beside or len(beside[0]) != DIGEST_BYTES:
                return None
            other = beside.pop(0)
            leaf = digest(NODE, other, leaf) if index & 1 else digest(NODE, leaf, other)
        index //= 2
        count = (count + 1) // 2
    return None if beside else leaf
