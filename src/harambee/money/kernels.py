"""What a tariff says, compiled: `Tariff.fee_cents` and its neighbours for a million orders.

Property tests hold each to the readable rule, at every edge of every band.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from harambee.money.bands import WHOLE_BASIS_POINTS
from harambee.money.tariff import FEE, RATE, UPPER


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
def fee_of(prices: NDArray[np.int64], table: int, amount: int) -> np.int64:
    """Return the charge in cents by the array of `Tariff.as_array`, or -1 where there is none.

    `amount` is in cents, `table` the number of a FeeTable; integers of any type, but a u64 above
    the range of i64 counts as negative. An unknown table, an amount out of range and an amount
    without the service give -1. Only FeeTable.NONE has a fee, 0, for an amount of zero.
    """
    row = np.int64(table)
    cents = np.int64(amount)  # before any comparison: of a u64 with an i64, Numba makes two floats
    none = np.int64(-1)
    if row < 0 or row >= prices.shape[0] or cents < 0 or (cents == 0 and row != 0):
        return none
    band = 0
    for j in range(prices.shape[2]):  # counted without a branch, which real amounts mispredict
        band += int(cents > prices[row, UPPER, j])
    if band == prices.shape[2]:
        return none
    fee: np.int64 = prices[row, FEE, band]
    rate = prices[row, RATE, band]
    if rate != 0 and fee >= 0:
        fee += share_of(cents, rate)
    return fee
