"""The rules of `harambee.ledger.rules`, compiled: check and apply for a million orders a second.

Property tests hold each to its twin, outcome by outcome and byte by byte. Here the order of the
branches is the order of `Outcome`, too. Two things to beware of:

- Numba makes a float of a u64 beside an i64, so each field is cast before it meets another.
- A compiled kernel is kept on disk by the date of this file alone. What comes from other files is
  therefore either an argument or never changes: codes, masks, limits of the format.
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from harambee.ledger.kinds import LIMITED, MODE_OF_THE_ORDER, Commission, OrderKind, mask_of
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.prefetch import prefetch
from harambee.ledger.records import (
    CUSTODIAL_BIT,
    FEE_MODE_MASK,
    FEE_MODE_SHIFT,
    FIRST_FREE_POSITION,
    IDENTITY,
    KEY_FORM_MASK,
    KEY_TYPE_MASK,
    KEY_TYPE_SHIFT,
    KIND_MASK,
    LINE_BYTES,
    NO_ACCOUNT_SLOT,
    NOBODY,
    P256_SIGN_BIT,
    PAYEES_MAX,
    POSITION_BITS,
    POSITION_EXCISE,
    POSITION_REVENUE,
    REGION_ACCOUNTS,
    ROW_OF_TABLE,
    SEQUENCE_LAST,
    STATUS_MASK,
    STATUS_SHIFT,
    SUPPLY_CENTS_MAX,
    TIER_MASK,
    TIER_SHIFT,
    AccountKind,
    KeyType,
)
from harambee.money.amounts import MAX_AMOUNT_CENTS
from harambee.money.kernels import excise_of, fee_of, share_of
from harambee.money.tariff import FEE, FeeMode, FeeTable

Records = NDArray[np.void]
Bytes = NDArray[np.uint8]
Words = NDArray[np.int64]
Whole = int | np.int64

_CANCEL: Final = int(OrderKind.CANCEL)
_ENROL: Final = int(OrderKind.ENROL)
_CLAIM: Final = int(OrderKind.CLAIM)
_BULK: Final = int(OrderKind.BULK_PAY_OUT)
_JOIN: Final = int(OrderKind.JOIN_HEAD_OFFICE)
_CUSTOMER: Final = int(AccountKind.CUSTOMER)
_BUSINESS: Final = int(AccountKind.BUSINESS)
_BANK: Final = int(AccountKind.BANK)
_ENROLMENT: Final = int(AccountKind.ENROLMENT)
_POCHI: Final = int(AccountKind.POCHI)
_LIMITED: Final = 1 << _CUSTOMER | 1 << _POCHI
assert mask_of(LIMITED) == _LIMITED, "a change there is a change of this file too, see above"

_PAYER_PAYS: Final = int(FeeMode.PAYER)
_PAYEE_PAYS: Final = int(FeeMode.PAYEE)
_SHARED: Final = int(FeeMode.SHARED)
_NO_COMMISSION: Final = int(Commission.NONE)
_OF_THE_CHARGE: Final = int(Commission.OF_THE_CHARGE)
_OF_THE_AMOUNT: Final = int(Commission.OF_THE_AMOUNT)
_PAY_OUT_TABLE: Final = int(FeeTable.PAY_OUT)
_DEPOSIT_COMMISSION: Final = int(FeeTable.DEPOSIT_COMMISSION)
_WITHDRAW_COMMISSION: Final = int(FeeTable.WITHDRAW_COMMISSION)

_ACCEPTED: Final = int(Outcome.ACCEPTED)
_KIND_UNKNOWN: Final = int(Outcome.KIND_UNKNOWN)
_OPTIONS_INVALID: Final = int(Outcome.OPTIONS_INVALID)
_PAYER_UNKNOWN: Final = int(Outcome.PAYER_UNKNOWN)
_SIGNATURE_INVALID: Final = int(Outcome.SIGNATURE_INVALID)
_SEQUENCE_STALE: Final = int(Outcome.SEQUENCE_STALE)
_SEQUENCE_AHEAD: Final = int(Outcome.SEQUENCE_AHEAD)
_PAYER_IS_PAYEE: Final = int(Outcome.PAYER_IS_PAYEE)
_PAYEE_UNKNOWN: Final = int(Outcome.PAYEE_UNKNOWN)
_PAYER_KIND_WRONG: Final = int(Outcome.PAYER_KIND_WRONG)
_PAYEE_KIND_WRONG: Final = int(Outcome.PAYEE_KIND_WRONG)
_AMOUNT_ZERO: Final = int(Outcome.AMOUNT_ZERO)
_AMOUNT_NOT_ZERO: Final = int(Outcome.AMOUNT_NOT_ZERO)
_AMOUNT_ABOVE_LIMIT: Final = int(Outcome.AMOUNT_ABOVE_LIMIT)
_TARIFF_UNKNOWN: Final = int(Outcome.TARIFF_UNKNOWN)
_TARIFF_NOT_IN_FORCE: Final = int(Outcome.TARIFF_NOT_IN_FORCE)
_AMOUNT_WITHOUT_TARIFF: Final = int(Outcome.AMOUNT_WITHOUT_TARIFF)
_FEE_WRONG: Final = int(Outcome.FEE_WRONG)
_DAY_WRONG: Final = int(Outcome.DAY_WRONG)
_DAY_BEFORE_LAST: Final = int(Outcome.DAY_BEFORE_LAST)
_PAYER_NOT_ACTIVE: Final = int(Outcome.PAYER_NOT_ACTIVE)
_PAYEE_NOT_ACTIVE: Final = int(Outcome.PAYEE_NOT_ACTIVE)
_DAILY_LIMIT_EXCEEDED: Final = int(Outcome.DAILY_LIMIT_EXCEEDED)
_PAYEE_BALANCE_ABOVE_LIMIT: Final = int(Outcome.PAYEE_BALANCE_ABOVE_LIMIT)
_BALANCE_INSUFFICIENT: Final = int(Outcome.BALANCE_INSUFFICIENT)
_POSSESSION_UNPROVEN: Final = int(Outcome.POSSESSION_UNPROVEN)
_POSITION_TAKEN: Final = int(Outcome.POSITION_TAKEN)
_KEY_REFUSED: Final = int(Outcome.KEY_REFUSED)
_LAST_KEY_TYPE: Final = int(KeyType.P256)
assert set(KeyType) == set(range(_LAST_KEY_TYPE + 1))
_ALIAS_SEQUENCE_WRONG: Final = int(Outcome.ALIAS_SEQUENCE_WRONG)
_ALIAS_NOT_OWNED: Final = int(Outcome.ALIAS_NOT_OWNED)
_REFERENCE_MISSING: Final = int(Outcome.REFERENCE_MISSING)
_PAYEE_TABLE_MISSING: Final = int(Outcome.PAYEE_TABLE_MISSING)
_PAYEE_TABLE_INVALID: Final = int(Outcome.PAYEE_TABLE_INVALID)
_FEE_MODE_WRONG: Final = int(Outcome.FEE_MODE_WRONG)
_HEAD_OFFICE_WRONG: Final = int(Outcome.HEAD_OFFICE_WRONG)

_APPLIED: Final = int(Applied.APPLIED)
_ALREADY: Final = int(Applied.ALREADY)
_WAITING: Final = int(Applied.WAITING)

_STATUS: Final = STATUS_MASK << STATUS_SHIFT
_SPENT_MAX: Final = 2**32 - 1
_MARK: Final = np.uint64(NO_ACCOUNT_SLOT)
_ROW: Final = np.uint64(ROW_OF_TABLE)
assert _ROW < _MARK, "at least this is no entry before it, but a mark"

PAGE_BITS: Final = 10
PAGE_TOUCHED: Final = 1
PAGE_UNHASHED: Final = 2
PAGE_UNSUMMED: Final = 4
PAGE_DIRTY: Final = PAGE_TOUCHED | PAGE_UNHASHED | PAGE_UNSUMMED
"""What is known of a page of accounts: ever touched; touched since it was hashed, since it was added up."""

VERSION, EXCISE, SHARED_PAYER, HEAD_OFFICE, BEGINS, ENDS = range(6)
"""Columns of `terms`: one row for each tariff; basis points, and the days from and before which it is
in force."""

TRANSACTION, DAILY, BALANCE = range(3)
"""Columns of `limits`: TIERS rows for each tariff, cents."""
TIERS: Final = TIER_MASK + 1

TABLES: Final = len(FeeTable)
"""Rows of `prices` for each tariff. Slicing it would count references, atomically."""

IDENTITY_BYTES: Final = IDENTITY.itemsize

AHEAD: Final = 12
"""How many orders before its turn an order's accounts are called for; measured."""


@njit(nogil=True, cache=True)
def _call_for(base: Whole, row: Whole) -> None:
    """Bring an account's line into the cache."""
    prefetch(base + row * LINE_BYTES)


@njit(nogil=True, cache=True)
def _tariff_row(terms: Words, version: Whole) -> Whole:
    """Return the row of a tariff version, or -1; there are few of them."""
    for row in range(terms.shape[0]):
        if terms[row, VERSION] == version:
            return row
    return -1


@njit(nogil=True, cache=True)
def _issuer_limit(issuers: Words, number: Whole) -> Whole:
    """Return how far an account may go below zero, in cents; issuers are (number, limit) rows."""
    low, high = 0, issuers.shape[0]
    while low < high:
        middle = (low + high) >> 1
        if issuers[middle, 0] < number:
            low = middle + 1
        else:
            high = middle
    if low < issuers.shape[0] and issuers[low, 0] == number:
        return np.int64(issuers[low, 1])
    return 0


# -- aliases: an open-addressed table ------------------------------------------------------------


@njit(nogil=True, cache=True)
def _word(data: Bytes, start: int) -> np.uint64:
    """Return eight bytes as a little-endian integer."""
    word = np.uint64(0)
    for j in range(8):
        word |= np.uint64(data[start + j]) << np.uint64(8 * j)
    return word


@njit(nogil=True, cache=True)
def _turn(word: np.uint64, bits: int) -> np.uint64:
    turned: np.uint64 = (word << np.uint64(bits)) | (word >> np.uint64(64 - bits))
    return turned


@njit(nogil=True, cache=True)
def alias_hash(alias: Bytes, key0: np.uint64, key1: np.uint64) -> np.uint64:
    """Return SipHash-1-3 (Aumasson and Bernstein, 2012) of 32 bytes.

    Keyed, because a super-agent chooses what it claims and could otherwise fill one place.
    """
    v0 = key0 ^ np.uint64(0x736F6D6570736575)
    v1 = key1 ^ np.uint64(0x646F72616E646F6D)
    v2 = key0 ^ np.uint64(0x6C7967656E657261)
    v3 = key1 ^ np.uint64(0x7465646279746573)
    for part in range(8):
        word = np.uint64(0)
        if part < 4:
            word = _word(alias, 8 * part)
        elif part == 4:
            word = np.uint64(32) << np.uint64(56)
        elif part == 5:
            v2 ^= np.uint64(0xFF)
        v3 ^= word
        v0 += v1
        v1 = _turn(v1, 13) ^ v0
        v0 = _turn(v0, 32)
        v2 += v3
        v3 = _turn(v3, 16) ^ v2
        v0 += v3
        v3 = _turn(v3, 21) ^ v0
        v2 += v1
        v1 = _turn(v1, 17) ^ v2
        v2 = _turn(v2, 32)
        v0 ^= word
    return v0 ^ v1 ^ v2 ^ v3


@njit(nogil=True, cache=True)
def _same(left: Bytes, right: Bytes) -> bool:
    different = np.uint8(0)
    for j in range(32):
        different |= left[j] ^ right[j]
    return bool(different == 0)


@njit(nogil=True, cache=True)
def find_alias(aliases: Records, alias: Bytes, key0: np.uint64, key1: np.uint64) -> Whole:
    """Return the row that holds an alias, or the empty one (next_sequence 0) where it belongs.

    `aliases` is an ALIAS array whose length is a power of two, never full.
    """
    mask = np.int64(aliases.shape[0] - 1)
    row = np.int64(alias_hash(alias, key0, key1)) & mask
    while aliases[row]["next_sequence"] != 0 and not _same(aliases[row]["alias"], alias):
        row = (row + 1) & mask
    return row


@njit(nogil=True, cache=True)
def move_aliases(source: Records, target: Records, key0: np.uint64, key1: np.uint64) -> None:
    """Enter every alias of one table into another, larger one."""
    for row in range(source.shape[0]):
        if source[row]["next_sequence"] != 0:
            target[find_alias(target, source[row]["alias"], key0, key1)] = source[row]


@njit(nogil=True, cache=True)
def first_odd_alias(rows: Records, table: Records, key0: np.uint64, key1: np.uint64) -> Whole:
    """Return the first of (n,) OPENING_ALIAS rows that is not above the one before, or is in the table.

    n where there is none.
    """
    for i in range(rows.shape[0]):
        if i > 0:
            j = 0
            while j < 31 and rows[i]["alias"][j] == rows[i - 1]["alias"][j]:
                j += 1
            if rows[i]["alias"][j] <= rows[i - 1]["alias"][j]:
                return i
        if table[find_alias(table, rows[i]["alias"], key0, key1)]["next_sequence"] != 0:
            return i
    return len(rows)


@njit(nogil=True, cache=True)
def enter_aliases(rows: Records, table: Records, key0: np.uint64, key1: np.uint64) -> None:
    """Enter OPENING_ALIAS rows, none of them in the table yet; their next slot is 1."""
    for i in range(rows.shape[0]):
        at = find_alias(table, rows[i]["alias"], key0, key1)
        for j in range(32):
            table[at]["alias"][j] = rows[i]["alias"][j]
        table[at]["owner"] = rows[i]["owner"]
        table[at]["next_sequence"] = 1


# -- check ---------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def _has_reference(order: Records) -> bool:
    marked = np.uint8(0)
    for j in range(32):
        marked |= order["reference"][j]
    return bool(marked != 0)


@njit(nogil=True, cache=True)
def _head_office(order: Records) -> Whole:
    """Return `records.head_office_named` of an order with a commission, or -1 for None."""
    options = order["options"]
    position = np.int64(options[0]) | np.int64(options[1]) << 8 | np.int64(options[2]) << 16
    if position == 0:
        return 0
    if position < FIRST_FREE_POSITION or position >= REGION_ACCOUNTS:
        return -1
    return ((np.int64(order["payee"]) >> POSITION_BITS) << POSITION_BITS) + position


@njit(nogil=True, cache=True)
def _is_commission(prices: NDArray[np.int64], row: Whole, amount: Whole) -> bool:
    """Whether a table of deposit commissions has exactly this one."""
    for band in range(prices.shape[2]):
        if prices[row, FEE, band] == amount:
            return bool(amount > 0)
    return False


@njit(nogil=True, cache=True)
def _payers_part(charge: Whole, mode: Whole, shared_payer: Whole) -> Whole:
    """Return what the payer bears of a charge; the payee bears the rest."""
    if mode == _PAYER_PAYS:
        return charge
    if mode == _PAYEE_PAYS:
        return 0
    return share_of(charge, shared_payer)


@njit(nogil=True, cache=True)
def _options_hold(order: Records, kind: Whole, movement: Records) -> bool:
    """Whether options, and for a cancel all that it may not carry, are as the kind has them."""
    options = order["options"]
    if kind == _ENROL:
        account_kind = options[0] & KIND_MASK
        mode = options[0] >> 4
        low_bits = options[1] & 3
        sign = options[1] & 4
        return bool(
            ((account_kind >= _CUSTOMER and account_kind <= _BUSINESS) or account_kind == _POCHI)
            and (mode == 0 or (mode <= _SHARED and account_kind == _BUSINESS))
            and options[1] < 16
            and (sign == 0 or low_bits != 0)
            and options[2] <= TIER_MASK
        )
    if movement["commission"] != _NO_COMMISSION:
        return bool(_head_office(order) >= 0)
    if movement["fee_mode"] == MODE_OF_THE_ORDER:
        return bool(options[0] <= _SHARED and (options[1] | options[2]) == 0)
    if (options[0] | options[1] | options[2]) != 0:
        return False
    if kind == _CANCEL:
        return bool(order["payee"] == order["payer"] and not _has_reference(order))
    if kind == _JOIN:
        return not _has_reference(order)
    return bool(kind != _BULK or order["payee"] == order["payer"])


@njit(cache=True)
def check_orders(
    orders: Records,
    signatures_hold: NDArray[np.bool_],
    possessions_hold: NDArray[np.bool_],
    today: Whole,
    accounts: Records,
    identities: Records,
    kinds: Records,
    prices: NDArray[np.int64],
    terms: Words,
    limits: Words,
    issuers: Words,
    aliases: Records,
    key0: np.uint64,
    key1: np.uint64,
    codes: Bytes,
) -> Whole:
    """Write into `codes` the Outcome of each of (n,) orders, all judged against the same state.

    Returns how many the caller has to look at: bulk pay-outs, which are left to `check_bulk`, kinds of the
    house, and enrolments whose key is unproven, for a kernel does not know which curve it is on.

    `prices` is that of `Tariff.as_array`, of one tariff below the other, padded to (tariffs · TABLES,
    3, bands); `terms` is (tariffs, 6), `limits` (tariffs · TIERS, 3), `issuers`
    (k, 2) ascending. Twin of `rules.judge`.
    """
    left = 0
    rows = np.int64(accounts.shape[0])
    base = accounts.ctypes.data
    count = orders.shape[0]
    for i in range(count):
        if i + AHEAD < count:
            _call_for(base, np.int64(orders[i + AHEAD]["payer"]))
            _call_for(base, np.int64(orders[i + AHEAD]["payee"]))
        order = orders[i]
        kind = np.int64(order["kind"])
        movement = kinds[kind]
        if movement["payers"] == 0:
            codes[i] = _KIND_UNKNOWN
            continue
        plain = movement["plain"] != 0
        if not plain and (kind == _BULK or movement["house"] != 0):
            left += 1
            continue
        if plain:
            if order["options"][0] | order["options"][1] | order["options"][2]:
                codes[i] = _OPTIONS_INVALID
                continue
        else:
            if not _options_hold(order, kind, movement):
                codes[i] = _OPTIONS_INVALID
                continue
            if movement["needs_reference"] != 0 and not _has_reference(order):
                codes[i] = _REFERENCE_MISSING
                continue
        payer = np.int64(order["payer"])
        if payer >= rows or (accounts[payer]["flags"] & KIND_MASK) == 0:
            codes[i] = _PAYER_UNKNOWN
            continue
        if not signatures_hold[i]:
            codes[i] = _SIGNATURE_INVALID
            continue
        sequence = np.int64(order["sequence"])
        if kind != _CLAIM:
            following = np.int64(accounts[payer]["next_sequence"])
            if sequence < following or sequence == SEQUENCE_LAST:
                codes[i] = _SEQUENCE_STALE
                continue
            if sequence > following:
                codes[i] = _SEQUENCE_AHEAD
                continue
        payee = np.int64(order["payee"])
        if payee == payer and kind != _CANCEL:
            codes[i] = _PAYER_IS_PAYEE
            continue
        if kind != _ENROL and (payee >= rows or (accounts[payee]["flags"] & KIND_MASK) == 0):
            codes[i] = _PAYEE_UNKNOWN
            continue
        payer_flags = np.int64(accounts[payer]["flags"])
        payer_kind = payer_flags & KIND_MASK
        if (np.int64(movement["payers"]) >> payer_kind) & 1 == 0:
            codes[i] = _PAYER_KIND_WRONG
            continue
        day = np.int64(order["day"])
        if movement["moves_money"] == 0:
            if kind in (_CLAIM, _JOIN):
                payee_kind = np.int64(accounts[payee]["flags"]) & KIND_MASK
                if (np.int64(movement["payees"]) >> payee_kind) & 1 == 0:
                    codes[i] = _PAYEE_KIND_WRONG
                    continue
            if kind == _JOIN and (
                payee >> POSITION_BITS != payer >> POSITION_BITS
                or payee & (REGION_ACCOUNTS - 1) < FIRST_FREE_POSITION
                or identities[payer]["head_office"] != 0
            ):
                codes[i] = _HEAD_OFFICE_WRONG
                continue
            if order["amount"] != 0 or order["fee"] != 0:
                codes[i] = _AMOUNT_NOT_ZERO
                continue
            if day < today - 1 or day > today + 1:
                codes[i] = _DAY_WRONG
                continue
            if day < np.int64(accounts[payer]["day"]):
                codes[i] = _DAY_BEFORE_LAST
                continue
            if kind == _CANCEL:
                codes[i] = _ACCEPTED
                continue
            if payer_flags & _STATUS != 0:
                codes[i] = _PAYER_NOT_ACTIVE
                continue
            if kind == _ENROL:
                codes[i] = _check_enrolment(order, payer, rows, accounts, possessions_hold[i])
                left += codes[i] == _POSSESSION_UNPROVEN
                continue
            if np.int64(accounts[payee]["flags"]) & _STATUS != 0:
                codes[i] = _PAYEE_NOT_ACTIVE
                continue
            if kind == _JOIN:
                codes[i] = _ACCEPTED
                continue
            codes[i] = _check_claim(order, payer, payer_kind, aliases, key0, key1)
            continue
        payee_flags = np.int64(accounts[payee]["flags"])
        payee_kind = payee_flags & KIND_MASK
        if (np.int64(movement["payees"]) >> payee_kind) & 1 == 0:
            codes[i] = _PAYEE_KIND_WRONG
            continue
        mode: Whole = _PAYER_PAYS
        commission: Whole = _NO_COMMISSION
        if not plain:
            mode = np.int64(movement["fee_mode"])
            commission = np.int64(movement["commission"])
            if mode == MODE_OF_THE_ORDER:
                mode = np.int64(order["options"][0])
                if mode != (payee_flags >> FEE_MODE_SHIFT) & FEE_MODE_MASK:
                    codes[i] = _FEE_MODE_WRONG
                    continue
            if commission != _NO_COMMISSION and (
                _head_office(order) != np.int64(identities[payee]["head_office"])
            ):
                codes[i] = _HEAD_OFFICE_WRONG
                continue
        if order["amount"] == 0:
            codes[i] = _AMOUNT_ZERO
            continue
        if order["amount"] > np.uint64(MAX_AMOUNT_CENTS):
            codes[i] = _AMOUNT_ABOVE_LIMIT
            continue
        amount = np.int64(order["amount"])
        tariff = _tariff_row(terms, np.int64(order["tariff"]))
        is_limited = (_LIMITED >> payer_kind) & 1 != 0
        if tariff >= 0 and is_limited:
            tier = tariff * TIERS + ((payer_flags >> TIER_SHIFT) & TIER_MASK)
            if amount > limits[tier, TRANSACTION]:
                codes[i] = _AMOUNT_ABOVE_LIMIT
                continue
        if tariff < 0:
            codes[i] = _TARIFF_UNKNOWN
            continue
        if commission != _OF_THE_AMOUNT and (
            day < terms[tariff, BEGINS] or day >= terms[tariff, ENDS]
        ):
            codes[i] = _TARIFF_NOT_IN_FORCE
            continue
        table = tariff * TABLES + np.int64(movement["fee_table"])
        fee = fee_of(prices, int(table), int(amount))
        if fee < 0:
            codes[i] = _AMOUNT_WITHOUT_TARIFF
            continue
        if not plain:
            earned = tariff * TABLES + _DEPOSIT_COMMISSION
            if commission == _OF_THE_AMOUNT and not _is_commission(prices, earned, amount):
                codes[i] = _AMOUNT_WITHOUT_TARIFF
                continue
            if mode != _PAYER_PAYS:
                fee = np.int64(_payers_part(fee, mode, terms[tariff, SHARED_PAYER]))
        if fee != np.int64(order["fee"]):
            codes[i] = _FEE_WRONG
            continue
        if day < today - 1 or day > today + 1:
            codes[i] = _DAY_WRONG
            continue
        if day < np.int64(accounts[payer]["day"]):
            codes[i] = _DAY_BEFORE_LAST
            continue
        if payer_flags & _STATUS != 0:
            codes[i] = _PAYER_NOT_ACTIVE
            continue
        if payee_flags & _STATUS != 0:
            codes[i] = _PAYEE_NOT_ACTIVE
            continue
        if is_limited:
            spent = np.int64(0)
            if day == np.int64(accounts[payer]["day"]):
                spent = np.int64(accounts[payer]["spent_today"])
            tier = tariff * TIERS + ((payer_flags >> TIER_SHIFT) & TIER_MASK)
            if spent + amount > limits[tier, DAILY]:
                codes[i] = _DAILY_LIMIT_EXCEEDED
                continue
        # As `_is_too_much` and `_covers` say; written out, because the calls cost a fifth of the speed.
        if (_LIMITED >> payee_kind) & 1 != 0:
            tier = tariff * TIERS + ((payee_flags >> TIER_SHIFT) & TIER_MASK)
            if accounts[payee]["balance"] + amount > limits[tier, BALANCE]:
                codes[i] = _PAYEE_BALANCE_ABOVE_LIMIT
                continue
        held = accounts[payer]["held"]
        frozen = accounts[payer]["frozen"]
        if held > np.uint64(SUPPLY_CENTS_MAX) or frozen > np.uint64(SUPPLY_CENTS_MAX):
            codes[i] = _BALANCE_INSUFFICIENT
            continue
        free = np.int64(accounts[payer]["balance"]) - np.int64(held) - np.int64(frozen)
        if payer_kind == _BANK:
            free += np.int64(_issuer_limit(issuers, payer))
        codes[i] = _ACCEPTED if free >= amount + fee else _BALANCE_INSUFFICIENT
    return left


@njit(nogil=True, cache=True)
def _is_too_much(payee: Records, amount: Whole, tariff: Whole, limits: Words) -> bool:
    """Whether a payee whose balance is limited would hold more than the tier may."""
    flags = np.int64(payee["flags"])
    if (_LIMITED >> (flags & KIND_MASK)) & 1 == 0:
        return False
    tier = tariff * TIERS + ((flags >> TIER_SHIFT) & TIER_MASK)
    return bool(payee["balance"] + amount > limits[tier, BALANCE])


@njit(nogil=True, cache=True)
def _covers(payer: Records, number: Whole, kind: Whole, due: Whole, issuers: Words) -> bool:
    """Whether what is neither held nor frozen, and an issuer's limit, cover what is due."""
    held = payer["held"]
    frozen = payer["frozen"]
    if held > np.uint64(SUPPLY_CENTS_MAX) or frozen > np.uint64(SUPPLY_CENTS_MAX):
        return False
    free = np.int64(payer["balance"]) - np.int64(held) - np.int64(frozen)
    if kind == _BANK:
        free += np.int64(_issuer_limit(issuers, number))
    return bool(free >= due)


@njit(nogil=True, cache=True)
def _table_is_sound(table: Records, total: np.uint64) -> bool:
    """Whether a payee table has 1 to PAYEES_MAX ascending rows that add up to the total."""
    count = table.shape[0]
    if count == 0 or count > PAYEES_MAX:
        return False
    left = total
    for k in range(count):
        if k != 0 and table[k]["payee"] <= table[k - 1]["payee"]:
            return False
        if table[k]["amount"] > left:
            return False
        left -= table[k]["amount"]
    return bool(left == 0)


@njit(nogil=True, cache=True)
def check_bulk(
    order: Records,
    table: Records,
    table_came: np.bool_,
    signature_holds: np.bool_,
    today: Whole,
    accounts: Records,
    kinds: Records,
    prices: NDArray[np.int64],
    terms: Words,
    limits: Words,
    issuers: Words,
) -> Whole:
    """Return the Outcome of one bulk pay-out, (1,), by all rows of its PAYEE table.

    All payees are valid, or the order is refused. The second twin of `rules.judge`.
    """
    rows = np.int64(accounts.shape[0])
    one = order[0]
    payer = np.int64(one["payer"])
    movement = kinds[_BULK]
    if not _options_hold(one, _BULK, movement):
        return _OPTIONS_INVALID
    if payer >= rows or (accounts[payer]["flags"] & KIND_MASK) == 0:
        return _PAYER_UNKNOWN
    if not signature_holds:
        return _SIGNATURE_INVALID
    sequence = np.int64(one["sequence"])
    following = np.int64(accounts[payer]["next_sequence"])
    if sequence < following or sequence == SEQUENCE_LAST:
        return _SEQUENCE_STALE
    if sequence > following:
        return _SEQUENCE_AHEAD
    if not table_came:
        return _PAYEE_TABLE_MISSING
    if not _table_is_sound(table, one["amount"]):
        return _PAYEE_TABLE_INVALID
    # What is wrong with any payee; the order of the rules is of rules over all rows, not of rows.
    to_itself = unknown = wrong_kind = nothing = without_price = not_active = too_much = False
    tariff = _tariff_row(terms, np.int64(one["tariff"]))
    fee = np.int64(0)
    for k in range(table.shape[0]):
        payee = np.int64(table[k]["payee"])
        to_itself |= bool(payee == payer)
        if payee >= rows or (accounts[payee]["flags"] & KIND_MASK) == 0:
            unknown = True
            continue
        flags = np.int64(accounts[payee]["flags"])
        wrong_kind |= bool((np.int64(movement["payees"]) >> (flags & KIND_MASK)) & 1 == 0)
        not_active |= bool(flags & _STATUS != 0)
        nothing |= bool(table[k]["amount"] == 0)
        if tariff < 0 or table[k]["amount"] > np.uint64(MAX_AMOUNT_CENTS):
            continue
        amount = np.int64(table[k]["amount"])
        of_row = fee_of(prices, int(tariff * TABLES + _PAY_OUT_TABLE), int(amount))
        without_price |= bool(of_row < 0)
        fee += of_row
        too_much |= _is_too_much(accounts[payee], amount, tariff, limits)
    if to_itself:
        return _PAYER_IS_PAYEE
    if unknown:
        return _PAYEE_UNKNOWN
    payer_flags = np.int64(accounts[payer]["flags"])
    payer_kind = payer_flags & KIND_MASK
    if (np.int64(movement["payers"]) >> payer_kind) & 1 == 0:
        return _PAYER_KIND_WRONG
    if wrong_kind:
        return _PAYEE_KIND_WRONG
    if nothing or one["amount"] == 0:
        return _AMOUNT_ZERO
    if one["amount"] > np.uint64(MAX_AMOUNT_CENTS):
        return _AMOUNT_ABOVE_LIMIT
    if tariff < 0:
        return _TARIFF_UNKNOWN
    day = np.int64(one["day"])
    if day < terms[tariff, BEGINS] or day >= terms[tariff, ENDS]:
        return _TARIFF_NOT_IN_FORCE
    if without_price:
        return _AMOUNT_WITHOUT_TARIFF
    if fee != np.int64(one["fee"]):
        return _FEE_WRONG
    if day < today - 1 or day > today + 1:
        return _DAY_WRONG
    if day < np.int64(accounts[payer]["day"]):
        return _DAY_BEFORE_LAST
    if payer_flags & _STATUS != 0:
        return _PAYER_NOT_ACTIVE
    if not_active:
        return _PAYEE_NOT_ACTIVE
    if too_much:
        return _PAYEE_BALANCE_ABOVE_LIMIT
    due = np.int64(one["amount"]) + fee
    covered = _covers(accounts[payer], payer, payer_kind, due, issuers)
    return _ACCEPTED if covered else _BALANCE_INSUFFICIENT


@njit(nogil=True, cache=True)
def _check_enrolment(
    order: Records, payer: Whole, rows: Whole, accounts: Records, possession_holds: np.bool_
) -> Whole:
    """Judge what only an enrolment has: the proof of the key, the place, the key itself."""
    type_is_known = (order["options"][1] & KEY_TYPE_MASK) <= _LAST_KEY_TYPE
    if type_is_known and not possession_holds:
        return _POSSESSION_UNPROVEN
    position = np.int64(order["sequence"])
    payee = np.int64(order["payee"])
    if position < FIRST_FREE_POSITION or position >= REGION_ACCOUNTS:
        return _POSITION_TAKEN
    if payee != ((payer >> POSITION_BITS) << POSITION_BITS) + position or payee >= rows:
        return _POSITION_TAKEN
    if (accounts[payee]["flags"] & KIND_MASK) != 0:
        return _POSITION_TAKEN
    key = np.uint8(0)
    for j in range(32):
        key |= order["reference"][j]
    if key == 0 or not type_is_known:
        return _KEY_REFUSED
    return _ACCEPTED


@njit(nogil=True, cache=True)
def _check_claim(
    order: Records,
    payer: Whole,
    payer_kind: Whole,
    aliases: Records,
    key0: np.uint64,
    key1: np.uint64,
) -> Whole:
    """Judge what only a claim has: the alias's next slot, and whose it is."""
    row = find_alias(aliases, order["reference"], key0, key1)
    following = aliases[row]["next_sequence"]
    if order["sequence"] != following or following == SEQUENCE_LAST:
        return _ALIAS_SEQUENCE_WRONG
    if following == 0 or aliases[row]["owner"] == NOBODY:
        return _ACCEPTED if payer_kind == _ENROLMENT else _ALIAS_NOT_OWNED
    return _ACCEPTED if np.int64(aliases[row]["owner"]) == payer else _ALIAS_NOT_OWNED


# -- apply ---------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def _begin_entry(order: Records, entry: Records, index: np.uint32, position: Whole) -> None:
    """Write of an entry what its order says, and no entry before it."""
    entry["payer"] = order["payer"]
    entry["payee"] = order["payee"]
    entry["sequence"] = order["sequence"]
    entry["index"] = index
    entry["position"] = position
    entry["payer_previous"] = 0
    entry["payee_previous"] = 0
    entry["revenue_previous"] = 0
    entry["excise_previous"] = 0
    entry["head_office_previous"] = 0


@njit(cache=True)
def apply_orders(
    orders: Records,
    first: Whole,
    indices: NDArray[np.uint32],
    position: Whole,
    accounts: Records,
    identities: Records,
    pages: Bytes,
    kinds: Records,
    prices: NDArray[np.int64],
    terms: Words,
    aliases: Records,
    key0: np.uint64,
    key1: np.uint64,
    entries: Records,
    entry_count: Whole,
    states: Bytes,
) -> tuple[Whole, Whole, Whole]:
    """Apply final orders one after the other, from `first` to the next that has a way of its own.

    That is a bulk pay-out, or an order of the house. Writes Applied into `states`. `entries` has room
    for n more than `entry_count`, `aliases` for n more. Returns where it stopped, the new count of
    entries and how many aliases are new. Twin of `rules.effects`.
    """
    rows = np.int64(accounts.shape[0])
    base = accounts.ctypes.data
    count = orders.shape[0]
    new_aliases = 0
    for i in range(first, count):
        if i + AHEAD < count:
            _call_for(base, np.int64(orders[i + AHEAD]["payer"]))
            _call_for(base, np.int64(orders[i + AHEAD]["payee"]))
        order = orders[i]
        kind = np.int64(order["kind"])
        movement = kinds[kind]
        if movement["plain"] == 0 and (kind == _BULK or movement["house"] != 0):
            return i, entry_count, new_aliases
        payer = np.int64(order["payer"])
        payee = np.int64(order["payee"])
        sequence = np.int64(order["sequence"])
        if movement["payers"] == 0 or payer >= rows or sequence == SEQUENCE_LAST:
            states[i] = _WAITING
            continue
        if (accounts[payer]["flags"] & KIND_MASK) == 0:
            states[i] = _WAITING
            continue
        row: Whole = 0
        if kind == _CLAIM:
            row = find_alias(aliases, order["reference"], key0, key1)
            following = np.int64(aliases[row]["next_sequence"])
        else:
            following = np.int64(accounts[payer]["next_sequence"])
        if sequence != following:
            states[i] = _ALREADY if sequence < following else _WAITING
            continue
        if kind not in (_CANCEL, _ENROL) and (
            payee >= rows or (accounts[payee]["flags"] & KIND_MASK) == 0
        ):
            states[i] = _WAITING
            continue
        moves_money = movement["moves_money"] != 0
        payees_part = np.int64(0)
        commission = np.int64(0)
        head_office: Whole = 0
        head_office_part = np.int64(0)
        tax = np.int64(0)
        kept = np.int64(0)
        if moves_money:
            tariff = _tariff_row(terms, np.int64(order["tariff"]))
            if tariff < 0 or order["amount"] > np.uint64(MAX_AMOUNT_CENTS):
                states[i] = _WAITING
                continue
            kept = np.int64(order["fee"])
            if movement["plain"] == 0:
                amount = np.int64(order["amount"])
                mode = np.int64(movement["fee_mode"])
                if mode != _PAYER_PAYS:
                    if mode == MODE_OF_THE_ORDER:
                        mode = np.int64(order["options"][0])
                    table = tariff * TABLES + np.int64(movement["fee_table"])
                    charge = fee_of(prices, int(table), int(amount))
                    if mode > _SHARED or charge < 0:
                        states[i] = _WAITING
                        continue
                    payers_part = _payers_part(charge, mode, terms[tariff, SHARED_PAYER])
                    payees_part = charge - np.int64(payers_part)
                    kept += payees_part
            if kept != 0:
                tax = excise_of(kept, terms[tariff, EXCISE])
                kept -= tax
            if movement["commission"] != _NO_COMMISSION:
                if movement["commission"] == _OF_THE_CHARGE:
                    earned_by = tariff * TABLES + _WITHDRAW_COMMISSION
                    earned = fee_of(prices, int(earned_by), int(amount))
                    commission = max(earned, np.int64(0))
                    kept -= commission
                head_office = _head_office(order)
                if head_office < 0 or kept < 0:
                    states[i] = _WAITING
                    continue
                if head_office != 0:
                    if head_office >= rows or (accounts[head_office]["flags"] & KIND_MASK) == 0:
                        states[i] = _WAITING
                        continue
                    is_whole = movement["commission"] == _OF_THE_AMOUNT
                    whole = amount if is_whole else commission
                    head_office_part = share_of(whole, terms[tariff, HEAD_OFFICE])
        # From here on nothing can fail.
        states[i] = _APPLIED
        number = np.uint64(entry_count + 1)
        entry = entries[entry_count]
        entry_count += 1
        _begin_entry(order, entry, indices[i], position)
        entry["payer_previous"] = accounts[payer]["last_entry"]
        accounts[payer]["last_entry"] = number
        pages[payer >> PAGE_BITS] = PAGE_DIRTY
        touches_payee = payee != payer
        if kind == _CLAIM:
            entry["revenue_previous"] = _MARK
            if following == 0:
                new_aliases += 1
                for j in range(32):
                    aliases[row]["alias"][j] = order["reference"][j]
            aliases[row]["owner"] = order["payee"]
            aliases[row]["next_sequence"] = sequence + 1
        else:
            accounts[payer]["next_sequence"] = sequence + 1
            if kind == _CANCEL:
                touches_payee = False
            elif kind == _ENROL:
                touches_payee = _create(order, payer, payee, accounts, identities)
            elif kind == _JOIN:
                identities[payer]["head_office"] = payee
        if moves_money:
            _debit(order, payer, accounts)
            received = np.int64(order["amount"]) - payees_part + commission - head_office_part
            _credit(accounts, payee, received)
            region = (payer >> POSITION_BITS) << POSITION_BITS
            if kept != 0:
                entry["revenue_previous"] = _credit_share(
                    accounts, pages, region + POSITION_REVENUE, kept, payer, payee, number
                )
            if tax != 0:
                entry["excise_previous"] = _credit_share(
                    accounts, pages, region + POSITION_EXCISE, tax, payer, payee, number
                )
            if head_office_part != 0:
                entry["head_office_previous"] = _credit_share(
                    accounts, pages, head_office, head_office_part, payer, payee, number
                )
        if touches_payee:
            entry["payee_previous"] = accounts[payee]["last_entry"]
            accounts[payee]["last_entry"] = number
            pages[payee >> PAGE_BITS] = PAGE_DIRTY
    return count, entry_count, new_aliases


@njit(nogil=True, cache=True)
def _credit(accounts: Records, number: Whole, cents: Whole) -> None:
    accounts[number]["balance"] += np.int64(cents)
    accounts[number]["credited"] += np.uint64(cents)


@njit(nogil=True, cache=True)
def _credit_share(
    accounts: Records,
    pages: Bytes,
    number: Whole,
    cents: Whole,
    payer: Whole,
    payee: Whole,
    entry: np.uint64,
) -> np.uint64:
    """Credit an account beside the payee, and put the entry on its statement: the one before it there.

    Nothing is put there, and 0 returned, where the account is a party and has the order already.
    """
    _credit(accounts, number, cents)
    pages[number >> PAGE_BITS] = PAGE_DIRTY
    if number in (payer, payee):
        return np.uint64(0)
    before = np.uint64(accounts[number]["last_entry"])
    accounts[number]["last_entry"] = entry
    return before


@njit(nogil=True, cache=True)
def _debit(order: Records, payer: Whole, accounts: Records) -> None:
    """Debit amount and fee; the credits, which add up to it, are the caller's."""
    amount = np.int64(order["amount"])
    debit = amount + np.int64(order["fee"])
    accounts[payer]["balance"] -= debit
    accounts[payer]["debited"] += np.uint64(debit)
    last_day = np.int64(accounts[payer]["day"])
    day = np.int64(order["day"])
    payer_kind = np.int64(accounts[payer]["flags"] & KIND_MASK)
    if (_LIMITED >> payer_kind) & 1 != 0:
        spent = amount
        if day <= last_day:
            spent += np.int64(accounts[payer]["spent_today"])
        # No money: only what is left of a limit, which voters have held below this.
        accounts[payer]["spent_today"] = min(spent, _SPENT_MAX)
    accounts[payer]["day"] = max(day, last_day)


@njit(nogil=True, cache=True)
def apply_bulk(
    order: Records,
    table: Records,
    table_came: np.bool_,
    index: np.uint32,
    position: Whole,
    accounts: Records,
    pages: Bytes,
    terms: Words,
    entries: Records,
    entry_count: Whole,
) -> tuple[Whole, Whole]:
    """Apply one final bulk pay-out, (1,), with all rows of its PAYEE table, or nothing of it.

    `entries` has room for its own entry and one for each row. Returns Applied and the new count of
    entries. The second twin of `rules.effects`.
    """
    rows = np.int64(accounts.shape[0])
    one = order[0]
    payer = np.int64(one["payer"])
    sequence = np.int64(one["sequence"])
    if payer >= rows or sequence == SEQUENCE_LAST or (accounts[payer]["flags"] & KIND_MASK) == 0:
        return _WAITING, entry_count
    following = np.int64(accounts[payer]["next_sequence"])
    if sequence != following:
        return (_ALREADY if sequence < following else _WAITING), entry_count
    tariff = _tariff_row(terms, np.int64(one["tariff"]))
    if tariff < 0 or one["amount"] > np.uint64(MAX_AMOUNT_CENTS):
        return _WAITING, entry_count
    if not table_came or not _table_is_sound(table, one["amount"]):
        return _WAITING, entry_count
    for k in range(table.shape[0]):
        payee = np.int64(table[k]["payee"])
        if payee >= rows or (accounts[payee]["flags"] & KIND_MASK) == 0:
            return _WAITING, entry_count
    # From here on nothing can fail.
    number = np.uint64(entry_count + 1)
    entry = entries[entry_count]
    entry_count += 1
    _begin_entry(one, entry, index, position)
    entry["payee"] = one["payer"]
    entry["payer_previous"] = accounts[payer]["last_entry"]
    accounts[payer]["last_entry"] = number
    accounts[payer]["next_sequence"] = sequence + 1
    pages[payer >> PAGE_BITS] = PAGE_DIRTY
    _debit(one, payer, accounts)
    region = (payer >> POSITION_BITS) << POSITION_BITS
    tax = excise_of(np.int64(one["fee"]), terms[tariff, EXCISE])
    kept = np.int64(one["fee"]) - tax
    if kept != 0:
        entry["revenue_previous"] = _credit_share(
            accounts, pages, region + POSITION_REVENUE, kept, payer, payer, number
        )
    if tax != 0:
        entry["excise_previous"] = _credit_share(
            accounts, pages, region + POSITION_EXCISE, tax, payer, payer, number
        )
    for k in range(table.shape[0]):
        payee = np.int64(table[k]["payee"])
        _credit(accounts, payee, np.int64(table[k]["amount"]))
        pages[payee >> PAGE_BITS] = PAGE_DIRTY
        of_row = entries[entry_count]
        entry_count += 1
        _begin_entry(one, of_row, index, position)
        of_row["payee"] = table[k]["payee"]
        of_row["revenue_previous"] = _ROW
        if accounts[payee]["last_entry"] != number:  # what the order's own entry shows already
            of_row["payee_previous"] = accounts[payee]["last_entry"]
            accounts[payee]["last_entry"] = entry_count
    return _APPLIED, entry_count


@njit(nogil=True, cache=True)
def _create(
    order: Records, payer: Whole, payee: Whole, accounts: Records, identities: Records
) -> bool:
    """Create an account, if its place is the slot's and free; otherwise the slot is only burnt."""
    region = payer >> POSITION_BITS
    own = (region << POSITION_BITS) + np.int64(order["sequence"])
    options = order["options"]
    if payee != own or payee >> POSITION_BITS != region or (options[0] & KIND_MASK) == 0:
        return False
    if payee >= accounts.shape[0] or (accounts[payee]["flags"] & KIND_MASK) != 0:
        return False
    flags = np.int64(options[0] & KIND_MASK)
    flags |= ((np.int64(options[0]) >> 4) & FEE_MODE_MASK) << FEE_MODE_SHIFT
    flags |= np.int64(options[1] & KEY_TYPE_MASK) << KEY_TYPE_SHIFT
    flags |= np.int64(options[2] & TIER_MASK) << TIER_SHIFT
    if options[1] & 4:
        flags |= P256_SIGN_BIT
    if options[1] & 8:
        flags |= CUSTODIAL_BIT
    accounts[payee]["flags"] = flags
    for j in range(32):
        identities[payee]["key"][j] = order["reference"][j]
    return True


# -- looking things up ---------------------------------------------------------------------------


@njit(cache=True)
def copy_keys(
    accounts: Records,
    identities: Records,
    numbers: NDArray[np.uint32],
    keys: Bytes,
    forms: Bytes,
    known: Bytes,
) -> None:
    """Write the key of each account into `keys` (n, 32) and `forms`, and whether there is such an account."""
    rows = np.int64(accounts.shape[0])
    base = accounts.ctypes.data
    keys_at = identities.ctypes.data
    count = numbers.shape[0]
    for i in range(count):
        if i + AHEAD < count:
            soon = np.int64(numbers[i + AHEAD])
            prefetch(base + soon * LINE_BYTES)
            prefetch(keys_at + soon * IDENTITY_BYTES)
            prefetch(keys_at + soon * IDENTITY_BYTES + 31)
        row = np.int64(numbers[i])
        known[i] = 0
        if row < rows and (accounts[row]["flags"] & KIND_MASK) != 0:
            known[i] = 1
            keys[i] = identities[row]["key"]
            forms[i] = (accounts[row]["flags"] >> KEY_TYPE_SHIFT) & KEY_FORM_MASK


@njit(nogil=True, cache=True)
def _older(entry: Records, number: Whole) -> Whole:
    """Return the entry before this one in an account's chain, plus one; 0 if it was the first."""
    if np.int64(entry["payer"]) == number:
        return np.int64(entry["payer_previous"])
    if np.int64(entry["payee"]) == number:
        return np.int64(entry["payee_previous"])
    place = number & (REGION_ACCOUNTS - 1)
    if place == POSITION_REVENUE:
        return np.int64(entry["revenue_previous"])
    if place == POSITION_EXCISE:
        return np.int64(entry["excise_previous"])
    return np.int64(entry["head_office_previous"])


@njit(nogil=True, cache=True)
def walk_entries(
    entries: Records, newest: Whole, number: Whole, before: Whole, found: Words
) -> Whole:
    """Write an account's entries below `before` into `found`, newest first; return how many.

    `newest` is the account's `last_entry`, or an entry of its chain to begin at, plus one.
    """
    count = 0
    at = newest
    while at != 0 and count < found.shape[0]:
        if at - 1 < before:
            found[count] = at - 1
            count += 1
        at = _older(entries[at - 1], number)
    return count


@njit(nogil=True, cache=True)
def find_slot(entries: Records, newest: Whole, payer: Whole, sequence: Whole) -> Whole:
    """Return the entry of an account's slot, or -1 where the slot was skipped or is older."""
    at = newest
    while at != 0:
        entry = entries[at - 1]
        if np.int64(entry["payer"]) == payer and entry["revenue_previous"] < _ROW:
            if np.int64(entry["sequence"]) == sequence:
                return np.int64(at - 1)
            if np.int64(entry["sequence"]) < sequence:
                return -1
        at = _older(entry, payer)
    return -1


@njit(nogil=True, cache=True)
def add_up(accounts: Records, touched: Words) -> tuple[Whole, Whole]:
    """Return (high, low): the balances of the touched pages add up to high · 2³² + low cents."""
    high = np.int64(0)
    low = np.int64(0)
    for i in range(touched.shape[0]):
        first = touched[i] << PAGE_BITS
        for row in range(first, first + (1 << PAGE_BITS)):
            balance = np.int64(accounts[row]["balance"])
            high += balance >> 32
            low += balance & 0xFFFFFFFF
    return high, low


@njit(nogil=True, cache=True)
def add_up_pages(accounts: Records, pages: Words, sums: Words) -> Whole:
    """Add up the balances of some pages anew, into `sums`; returns by how many cents these changed.

    Modulo 2⁶⁴, in which the sum of all pages is exact: no ledger holds that much money.
    """
    change = np.int64(0)
    for i in range(pages.shape[0]):
        first = pages[i] << PAGE_BITS
        total = np.int64(0)
        for row in range(first, first + (1 << PAGE_BITS)):
            total += np.int64(accounts[row]["balance"])
        change += total - sums[pages[i]]
        sums[pages[i]] = total
    return change
