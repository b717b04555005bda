"""Arrays of byte rows, as the batch functions of this package take them.

A batch is a uint8 array of shape (n, width). Rows may lie apart from each other (the bodies inside
an array of 128-byte orders; or one key repeated by `numpy.broadcast_to`), but the bytes of one row
are adjacent, so that a kernel can walk it by address without a copy.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.uint8]

ROW_AXES = 2


def check_rows(
    name: str, rows: Rows, *, count: int | None = None, width: int | None = None
) -> None:
    """Raise ValueError unless `rows` is a (count, width) uint8 array with adjacent row bytes.

    A count or width of None means any. `name` is what the sentence in the error calls the array.
    """
    if rows.dtype != np.uint8 or rows.ndim != ROW_AXES:
        message = f"{name} must be a 2-D uint8 array, not {rows.ndim}-D {rows.dtype}"
        raise ValueError(message)
    if count is not None and rows.shape[0] != count:
        message = f"{name} must have {count} rows, not {rows.shape[0]}"
        raise ValueError(message)
    if width is not None and rows.shape[1] != width:
        message = f"{name} must have rows of {width} bytes, not {rows.shape[1]}"
        raise ValueError(message)
    if len(rows) > 0 and rows.shape[1] > 1 and rows.strides[1] != 1:
        message = f"{name} must have the bytes of each row next to each other"
        raise ValueError(message)
