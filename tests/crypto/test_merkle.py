"""Merkle trees: held against RFC 6962's own recursive definition, and proofs against every forgery nearby."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harambee.crypto.hashing import digest
from harambee.crypto.merkle import (
    EMPTY,
    leaf_of,
    leaves_of,
    path_of,
    root_by_path,
    root_of,
    roots_of,
)


def by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1: split at the largest power of two below the count."""
    if not leaves:
        return digest()
    if len(leaves) == 1:
        return digest(b"\0", leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return digest(b"\1", by_definition(leaves[:split]), by_definition(leaves[split:]))


def rows_of(leaves: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(leaves), np.uint8).reshape(len(leaves), -1)


CONTENTS = st.lists(st.binary(min_size=5, max_size=5), min_size=1, max_size=40, unique=True)


@given(CONTENTS)
def test_the_root_is_that_of_the_definition(leaves: list[bytes]) -> None:
    digests = leaves_of(rows_of(leaves))
    assert [row.tobytes() for row in digests] == [leaf_of(leaf) for leaf in leaves]
    assert root_of(digests) == by_definition(leaves)


def test_a_tree_without_leaves_has_a_root_of_its_own() -> None:
    assert root_of(np.zeros((0, 32), np.uint8)) == by_definition([]) == EMPTY


@given(st.integers(1, 20), st.integers(1, 5))
def test_many_trees_are_hashed_together(count: int, trees: int) -> None:
    rng = np.random.default_rng(count * 7 + trees)
    leaves = rng.integers(0, 256, (trees, count, 32), np.uint8)
    assert [root.tobytes() for root in roots_of(leaves)] == [root_of(tree) for tree in leaves]


@given(CONTENTS, st.data())
def test_a_path_leads_from_its_leaf_to_the_root_and_from_no_other(
    leaves: list[bytes], data: st.DataObject
) -> None:
    digests = leaves_of(rows_of(leaves))
    root, count = root_of(digests), len(leaves)
    index = data.draw(st.integers(0, count - 1))
    leaf, path = digests[index].tobytes(), path_of(digests, index)
    assert root_by_path(leaf, index, count, path) == root
    forged = bytearray(leaf)
    forged[data.draw(st.integers(0, 31))] ^= 1 << data.draw(st.integers(0, 7))
    assert root_by_path(bytes(forged), index, count, path) != root
    assert root_by_path(leaf, index, count, [*path, EMPTY]) is None
    assert root_by_path(leaf, count, count, path) is None
    if path:
        assert root_by_path(leaf, index, count, path[:-1]) is None
        assert root_by_path(leaf, index ^ 1, count, path) != root
        assert root_by_path(leaf, index, count, [path[0][:-1], *path[1:]]) is None
