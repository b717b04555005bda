"""Large arrays of zeros, beginning on a page, that take no memory until they are written."""

import mmap
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_MAP_NORESERVE: Final = 0x4000
"""Linux: promise no memory for the mapping. Python names it from 3.13 on."""


def reserved(rows: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return (rows,) zeros of a dtype; only what is written takes memory, page by page."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    memory = mmap.mmap(-1, rows * dtype.itemsize, flags=flags)
    # Large pages: fewer faults while it is written, fewer misses of the address table afterwards.
    memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, dtype)
