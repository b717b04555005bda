"""What a tariff says, compiled: `Tariff.fee_cents` and its neighbours for a million orders.

Property tests hold each to the readable rule, at every edge of every band.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from harambee.money.bands import WHOLE_BASIS_POINTS


@njit(nogil=True, cache=True)
def share_of(cents: int | np.int64, basis_points: int | np.int64) -> np.int64:
    """Return `bands.share_cents`; in two steps, so that no product is beyond an i64."""
    whole = np.int64(cents) // WHOLE_BASIS_POINTS
    rest = np.int64(cents) - whole * WHOLE_BASIS_POINTS
    share: np.int64 = whole * basis_points + rest * basis_points // WHOLE_BASIS_POINTS
    return share


@njit(nogil=True, cache=True)
def excise_of(charge: int | np.int64, basis_points: int | np.int64) -> np.int64:
    """Return `Tariff.excise_cents` of a charge, which is below 2**34 cents."""
    tax: np.int64 = np.int64(charge) * basis_points // (WHOLE_BASIS_POINTS + basis_points)
    return tax


@njit(nogil=True, cache=True)
def fee_of(
    uppers: NDArray[np.int64],
    fees: NDArray[np.int64],
    rates: NDArray[np.int64],
    table: int,
    amount: int,
) -> np.int64:
    """Return the charge in cents by the arrays of `Tariff.as_arrays`, or -1 where there is none.

    `amount` is in cents, `table` the number of a FeeTable; integers of any type, but a u64 above
    the range of i64 counts as negative. An unknown table, an amount out of range and an amount
    without the service give -1. Only FeeTable.NONE has a fee, 0, for an amount of zero.
    """
    row = np.int64(table)
    cents = np.int64(amount)  # before any comparison: of a u64 with an i64, Numba makes two floats
    none = np.int64(-1)
    if row < 0 or row >= fees.shape[0] or cents < 0 or (cents == 0 and row != 0):
        return none
    band = 0
    for j in range(uppers.shape[1]):  # counted without a branch, which real amounts mispredict
        band += int(cents > uppers[row, j])
    if band == uppers.shape[1]:
        return none
    fee: np.int64 = fees[row, band]
    rate = rates[row, band]
    if rate != 0 and fee >= 0:
        fee += share_of(cents, rate)
    return fee
