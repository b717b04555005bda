"""Between accounts as a ledger keeps them, two records each, and as pages have them: 90 bytes each.

Both layouts are packed and little-endian, so it is four runs of bytes that change places; which ones, is
asserted against the records' own offsets.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from harambee.ledger.pages import PAGE_ACCOUNTS, PAGE_BYTES
from harambee.ledger.records import ACCOUNT, ACCOUNT_DIGESTED_BYTES, IDENTITY, LINE

Bytes = npt.NDArray[np.uint8]

# (where in ACCOUNT, which record, where in it, how many bytes)
_KEY: Final = 32
_SUMS: Final = 24
_HELD: Final = 16
_STATE: Final = 14
_HELD_AT: Final = 24
_STATE_AT: Final = 48
_OFFICE: Final = 4
assert _KEY + _SUMS + _STATE + _HELD + _OFFICE == ACCOUNT_DIGESTED_BYTES


def _offset(record: np.dtype[np.void], name: str) -> int:
    assert record.fields is not None
    return int(record.fields[name][1])


assert _offset(ACCOUNT, "balance") == _KEY
assert _offset(ACCOUNT, "next_sequence") == _KEY + _SUMS
assert _offset(ACCOUNT, "held") == _KEY + _SUMS + _STATE
assert _offset(ACCOUNT, "head_office") == _KEY + _SUMS + _STATE + _HELD
assert (_offset(LINE, "balance"), _offset(LINE, "credited")) == (0, _SUMS - 8)
assert (_offset(LINE, "held"), _offset(LINE, "frozen")) == (_HELD_AT, _HELD_AT + 8)
assert (_offset(LINE, "next_sequence"), _offset(LINE, "day")) == (_STATE_AT, _STATE_AT + 12)
assert _offset(IDENTITY, "head_office") == _KEY


def pack(
    lines: npt.NDArray[np.void], identities: npt.NDArray[np.void], pages: npt.NDArray[np.int64]
) -> Bytes:
    """Return these (k,) pages of accounts, (k, PAGE_BYTES)."""
    packed = np.empty((len(pages), PAGE_BYTES), np.uint8)
    _pack(_bytes_of(lines), _bytes_of(identities), pages, packed)
    return packed


def unpack(
    packed: Bytes,
    pages: npt.NDArray[np.int64],
    lines: npt.NDArray[np.void],
    identities: npt.NDArray[np.void],
) -> None:
    """Write (k, PAGE_BYTES) as these pages of accounts; their newest entries become none."""
    _unpack(packed, pages, _bytes_of(lines), _bytes_of(identities))


def _bytes_of(records: npt.NDArray[np.void]) -> Bytes:
    return records.view(np.uint8).reshape(len(records), records.itemsize)


@njit(cache=True, nogil=True)
def _pack(lines: Bytes, identities: Bytes, pages: npt.NDArray[np.int64], packed: Bytes) -> None:
    for k in range(pages.shape[0]):
        for i in range(PAGE_ACCOUNTS):
            row = pages[k] * PAGE_ACCOUNTS + i
            at = i * ACCOUNT_DIGESTED_BYTES
            for b in range(_KEY):
                packed[k, at + b] = identities[row, b]
            at += _KEY
            for b in range(_SUMS):
                packed[k, at + b] = lines[row, b]
            at += _SUMS
            for b in range(_STATE):
                packed[k, at + b] = lines[row, _STATE_AT + b]
            at += _STATE
            for b in range(_HELD):
                packed[k, at + b] = lines[row, _HELD_AT + b]
            at += _HELD
            for b in range(_OFFICE):
                packed[k, at + b] = identities[row, _KEY + b]


@njit(cache=True, nogil=True)
def _unpack(packed: Bytes, pages: npt.NDArray[np.int64], lines: Bytes, identities: Bytes) -> None:
    for k in range(pages.shape[0]):
        for i in range(PAGE_ACCOUNTS):
            row = pages[k] * PAGE_ACCOUNTS + i
            at = i * ACCOUNT_DIGESTED_BYTES
            for b in range(_KEY):
                identities[row, b] = packed[k, at + b]
            at += _KEY
            lines[row, :] = 0
            for b in range(_SUMS):
                lines[row, b] = packed[k, at + b]
            at += _SUMS
            for b in range(_STATE):
                lines[row, _STATE_AT + b] = packed[k, at + b]
            at += _STATE
            for b in range(_HELD):
                lines[row, _HELD_AT + b] = packed[k, at + b]
            at += _HELD
            for b in range(_OFFICE):
                identities[row, _KEY + b] = packed[k, at + b]
