"""Many signatures in one equation: the arrays around `harambee.crypto.ed25519.kernels`."""

import os
import threading
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harambee.crypto.ed25519.kernels import (
    AFFINE_BYTES,
    ENCODING_BYTES,
    EXTENDED_BYTES,
    HASH_BYTES,
    KEY_UNKNOWN,
    MOST_BUCKETS,
    MOST_WINDOWS,
    NAF_POSITIONS,
    SCALAR_ROW,
    STRAUS_PAIRS,
    TABLE_BYTES,
    TRANSCRIPT_ROW,
    Batch,
    Library,
    Memory,
    Room,
    decompress,
    judge_keys,
    recall_keys,
    remember_keys,
    verify_chunk,
)
from harambee.crypto.rows import Rows
from harambee.crypto.sodium import BLAKE2B, SCALAR_REDUCE, SHA512

CHUNK: Final = 4_096
"""So many signatures are put into one equation at most: a full block. It takes 3 MB of scratch."""

SLOTS: Final = 1 << 16
"""Keys remembered: 153 bytes each, 10 MB when all slots have been used."""

_LIBRARY: Final = Library(SHA512, BLAKE2B, SCALAR_REDUCE)


def _bytes(count: int) -> NDArray[np.uint8]:
    """Return zeroed memory of so many bytes, aligned to words."""
    return np.zeros(-(-count // 8), np.uint64).view(np.uint8)


class KeyMemory:
    """The points of keys that were seen before, by key: who pays once pays again.

    A table with one place for each key, where the newest stays. It decides about time only: that
    two keys want one place, by chance or by design, costs what a new key costs.
    """

    def __init__(self, slots: int = SLOTS) -> None:
        """`slots` is a power of two, at most 2^24."""
        assert slots & (slots - 1) == 0
        assert 0 < slots <= 1 << 24
        self._keys = _bytes(slots * ENCODING_BYTES)
        self._points = _bytes(slots * AFFINE_BYTES)
        self._used = _bytes(slots)
        self._lock = threading.Lock()
        self._memory = Memory(
            slots, self._keys.ctypes.data, self._points.ctypes.data, self._used.ctypes.data
        )

    def forget(self) -> None:
        """Forget every key."""
        with self._lock:
            self._used[:] = 0

    def recall(self, batch: Batch) -> int:
        """Fill in the points of the keys that are known; return how many."""
        with self._lock:
            return int(recall_keys(self._memory, batch))

    def remember(self, batch: Batch) -> int:
        """Keep the good keys that were new; return how many."""
        with self._lock:
            return int(remember_keys(self._memory, batch))


keys = KeyMemory()
"""The process's memory of keys."""


def _begin_anew() -> None:
    """Give a forked child a memory of its own: the lock of its parent's may never be released."""
    global keys  # noqa: PLW0603 - one memory for the process is the point
    keys = KeyMemory()


os.register_at_fork(after_in_child=_begin_anew)


def _base_point() -> NDArray[np.uint8]:
    """Return the base point, affine: y = 4/5 and x even (RFC 8032, section 5.1)."""
    encoding, affine = _bytes(ENCODING_BYTES), _bytes(AFFINE_BYTES)
    encoding[:] = 0x66
    encoding[0] = 0x58
    found = decompress(encoding.ctypes.data, affine.ctypes.data)
    assert found, "the base point is on the curve"
    return affine


_BASE: Final = _base_point()


class _Scratch:
    """Memory for chunks of up to `most` signatures; one thread at a time."""

    def __init__(self, most: int, prefix: bytes, width: int) -> None:
        """Messages are `prefix` ‖ `width` bytes."""
        few = min(most, STRAUS_PAIRS)
        points = 2 * most + 1
        of_pippenger = most > STRAUS_PAIRS
        sizes = {
            "signed": 2 * ENCODING_BYTES + len(prefix) + width,
            "transcript": most * TRANSCRIPT_ROW,
            "dice": 2 * HASH_BYTES + 8,
            "rows": 8 * most,
            "points": 2 * most * AFFINE_BYTES,
            "scalars": 2 * most * SCALAR_ROW,
            "base_scalar": SCALAR_ROW,
            "digits": 2 * max(NAF_POSITIONS * (2 * few + 1), of_pippenger * MOST_WINDOWS * points),
            "tables": max(
                TABLE_BYTES * (2 * few + 1), of_pippenger * MOST_BUCKETS * EXTENDED_BYTES
            ),
            "sums": 4 * EXTENDED_BYTES + HASH_BYTES,
        }
        places, end = {}, 0
        for name, size in sizes.items():
            places[name] = end
            end += -(-size // 8) * 8
        self._memory = np.empty(end // 8, np.uint64).view(np.uint8)
        base_scalar = places["base_scalar"]
        self._memory[base_scalar : base_scalar + SCALAR_ROW] = 0
        after_keys = places["signed"] + 2 * ENCODING_BYTES
        self._memory[after_keys : after_keys + len(prefix)] = np.frombuffer(prefix, np.uint8)
        start = self._memory.ctypes.data
        self.room = Room(
            base=_BASE.ctypes.data, **{name: start + place for name, place in places.items()}
        )


def judge_rows(publics: Rows, faults: NDArray[np.uint8], first: int, stop: int) -> None:
    """Set faults[first:stop] to what is wrong with those rows of `publics`, contiguous (n, 32).

    Values as `harambee.crypto.signatures.KeyFault` names them.
    """
    room = _bytes(AFFINE_BYTES + EXTENDED_BYTES)
    affine = room.ctypes.data
    judge_keys(publics.ctypes.data, affine, affine + AFFINE_BYTES, faults, first, stop)


def verify_rows(
    prefix: bytes,
    bodies: Rows,
    publics: Rows,
    signatures: Rows,
    valid: NDArray[np.uint8],
    first: int,
    stop: int,
) -> int:
    """Set valid[first:stop], zeros before; return how many signatures the equations were of.

    Shapes as in `harambee.crypto.signatures.verify_many`, checked there.
    """
    width = bodies.shape[1]
    # As few chunks as there can be, all of about one size.
    most = -(-(stop - first) // -(-(stop - first) // CHUNK))
    scratch = _Scratch(most, prefix, width)
    key_points = np.empty(most * AFFINE_BYTES // 8, np.uint64)
    key_states = np.empty(most, np.uint8)
    memory = keys
    work = 0
    for start in range(first, stop, most):
        count = min(most, stop - start)
        key_states[:] = KEY_UNKNOWN
        batch = Batch(
            count,
            len(prefix),
            width,
            bodies.ctypes.data + start * bodies.strides[0],
            bodies.strides[0],
            publics.ctypes.data + start * publics.strides[0],
            publics.strides[0],
            signatures.ctypes.data + start * signatures.strides[0],
            signatures.strides[0],
            key_points.ctypes.data,
            key_states.ctypes.data,
            valid.ctypes.data + start,
        )
        memory.recall(batch)
        work += int(verify_chunk(_LIBRARY, batch, scratch.room))
        memory.remember(batch)
    return work
