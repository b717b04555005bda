"""Memory of processes that hold ledgers: arrays that take none until written, and rare collections."""

import mmap
from typing import Any, Final

import numpy as np
import numpy.typing as npt

GARBAGE_THRESHOLDS: Final = (50_000, 20, 50)
"""For `gc.set_threshold`; Python's own are (700, 10, 10). A ledger is many objects that stay: to look through
them all so often was a twentieth of the work of fifty super-agents, a fifth of a hundred simulated ones."""
_MAP_NORESERVE: Final = 0x4000
"""Linux: promise no memory for the mapping. Python names it from 3.13 on."""


def reserved(rows: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return (rows,) zeros of a dtype; only what is written takes memory, page by page."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    memory = mmap.mmap(-1, rows * dtype.itemsize, flags=flags)
    return np.frombuffer(memory, dtype)


def expect_dense(array: npt.NDArray[Any], first: int, rows: int) -> None:
    """Say that so many rows of a `reserved` array, from `first` on, will be in use one beside the other.

    They get pages of 2 MB then: fewer faults while they are written, fewer misses of the address table
    afterwards. Where a few rows are in use, such pages would take five hundred times the memory.
    """
    base: Any = array.base
    assert isinstance(base, memoryview), "a reserved array, not a part of one"
    memory: Any = base.obj
    assert isinstance(memory, mmap.mmap)
    start = first * array.itemsize // mmap.PAGESIZE * mmap.PAGESIZE
    memory.madvise(mmap.MADV_HUGEPAGE, start, (first + rows) * array.itemsize - start)
