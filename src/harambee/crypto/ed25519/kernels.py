"""Points of Ed25519's curve and the batch equation over them, compiled, off the GIL.

The curve is −x² + y² = 1 + d·x²·y² over the integers modulo 2^255 − 19 (RFC 8032, section 5.1).
Its addition law is complete: −1 is a square and d is none, so the formulas below hold for any two
points, the neutral one and those of small order included, and nothing here asks which case it has.
They are those of Hisil, Wong, Carter and Dawson, "Twisted Edwards Curves Revisited" (2008).

A point lies in memory in one of three forms, each made of elements (`harambee.crypto.ed25519.limbs`,
which also says what *narrow* and *wide* mean):

- *extended*, 160 bytes: X, Y, Z, T with x = X/Z, y = Y/Z, x·y = T/Z; narrow.
- *affine*, 120 bytes: y + x, y − x, 2d·x·y; wide. For points that come from an encoding.
- *cached*, 160 bytes: Y + X, Y − X, 2d·T, 2Z; wide. For points that were computed.

Every argument is a number or an address, as in `harambee.crypto.kernels`; nothing is allocated here
and nothing is secret, so branches and table look-ups may depend on the values.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from harambee.crypto.ed25519.limbs import (
    ELEMENT_BYTES,
    Element,
    L,
    P,
    add,
    add_product,
    bits,
    byte,
    canonical,
    choose,
    element,
    get_digit,
    get_word,
    is_reduced,
    is_scalar,
    load,
    multiply,
    narrowed,
    negate,
    negate_scalar,
    put_byte,
    put_digit,
    put_word,
    read,
    square,
    store,
    subtract,
)
from harambee.crypto.sodium import call, copy_bytes

EXTENDED_BYTES: Final = 4 * ELEMENT_BYTES
CACHED_BYTES: Final = 4 * ELEMENT_BYTES
AFFINE_BYTES: Final = 3 * ELEMENT_BYTES

ENCODING_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
SCALAR_ROW: Final = 40
"""A scalar is 32 bytes; behind it lie zeros, because `bits` reads a little further."""

MULTIPLIER_BITS: Final = 128
SCALAR_BITS: Final = 253
assert L < 1 << SCALAR_BITS

TRANSCRIPT_ROW: Final = 96
"""What a row says of itself before the multipliers are drawn: SHA-512(R ‖ A ‖ message) ‖ S."""
HASH_BYTES: Final = 64
MULTIPLIER_BYTES: Final = 16
assert MULTIPLIER_BITS == 8 * MULTIPLIER_BYTES

STRAUS_PAIRS: Final = 64
"""Up to so many signatures the tables of Straus cost less than the buckets of Pippenger."""
NAF_WIDTH: Final = 5
NAF_POSITIONS: Final = 256
TABLE_POINTS: Final = 1 << (NAF_WIDTH - 2)
TABLE_BYTES: Final = TABLE_POINTS * CACHED_BYTES

WIDEST_WINDOW: Final = 10
MOST_BUCKETS: Final = 1 << (WIDEST_WINDOW - 1)
NARROWEST_WINDOW: Final = 5
MOST_WINDOWS: Final = SCALAR_BITS // NARROWEST_WINDOW + 1

FEW: Final = 32
"""A batch that fails is looked through in groups of this size, or of `FEWER`, or one by one."""
FEWER: Final = 8

KEY_UNKNOWN, KEY_RECALLED, KEY_LEARNT = 0, 1, 2
KEY_GOOD, KEY_NOT_A_POINT, KEY_OF_SMALL_ORDER = 0, 1, 2

_D: Final = element(-121665 * pow(121666, -1, P))
_TWICE_D: Final = element(-2 * 121665 * pow(121666, -1, P))
_SQRT_OF_MINUS_ONE: Final = element(pow(2, (P - 1) // 4, P))
_ZERO: Final = element(0)
_ONE: Final = element(1)
_U0: Final = np.uint64(0)


class Library(NamedTuple):
    """The addresses of the functions of libsodium that the kernels call."""

    sha512: int
    blake2b: int
    scalar_reduce: int


class Batch(NamedTuple):
    """Addresses of what is asked and answered, `size` rows of it: one message is prefix ‖ body."""

    size: int
    prefix_length: int
    width: int
    bodies: int
    body_stride: int
    publics: int
    public_stride: int
    signatures: int
    signature_stride: int
    key_points: int
    """One affine point a row, of the keys; filled where the state is KEY_RECALLED."""
    key_states: int
    """One byte a row; a key that was decompressed here becomes KEY_LEARNT."""
    valid: int
    """One byte a row: 1 where the signature holds, else 0."""


class Room(NamedTuple):
    """Addresses of scratch memory for one chunk of up to n signatures."""

    signed: int
    """R ‖ A ‖ prefix ‖ body, with the prefix in its place."""
    transcript: int
    """n × TRANSCRIPT_ROW."""
    dice: int
    """Two hashes and a counter."""
    rows: int
    """n numbers: which row of the batch the i-th pair of points belongs to."""
    points: int
    """2n affine points: A and R of each signature in turn."""
    scalars: int
    """2n × SCALAR_ROW, in the same order."""
    base: int
    """The base point, affine; never written."""
    base_scalar: int
    """One SCALAR_ROW, with its zeros in place."""
    digits: int
    """Two bytes for each point and window (Pippenger) or bit (Straus)."""
    tables: int
    """Buckets (Pippenger) or tables of odd multiples (Straus)."""
    sums: int
    """Four extended points and a number of 64 bytes."""


class Memory(NamedTuple):
    """Addresses of the table of remembered keys, one a slot; `slots` is a power of two."""

    slots: int
    keys: int
    points: int
    used: int
    """One byte a slot: 32 zero bytes are a key like others, so that an empty slot must say so."""


@njit(nogil=True, cache=True)
def is_zero(a: Element) -> bool:
    """Say whether a wide element is 0 modulo p."""
    a0, a1, a2, a3, a4 = canonical(a)
    return bool((a0 | a1 | a2 | a3 | a4) == _U0)


@njit(nogil=True, cache=True)
def _squared(a: Element, times: int) -> Element:
    """Return a^(2^times)."""
    for _ in range(times):
        a = square(a)
    return a


@njit(nogil=True, cache=True)
def power(a: Element) -> Element:
    """Return a^((p − 5) / 8) = a^(2^252 − 3), by 251 squarings and 11 products.

    Each name says the exponent: e5 is 2^5 − 1, and so on.
    """
    a2 = square(a)
    a9 = multiply(a, _squared(a2, 2))
    a11 = multiply(a2, a9)
    e5 = multiply(a9, square(a11))
    e10 = multiply(e5, _squared(e5, 5))
    e20 = multiply(e10, _squared(e10, 10))
    e40 = multiply(e20, _squared(e20, 20))
    e50 = multiply(e10, _squared(e40, 10))
    e100 = multiply(e50, _squared(e50, 50))
    e200 = multiply(e100, _squared(e100, 100))
    e250 = multiply(e50, _squared(e200, 50))
    return multiply(a, _squared(e250, 2))


@njit(nogil=True, cache=True)
def decompress(encoding: int, affine: int) -> bool:
    """Write the affine point of a 32-byte encoding; False, and nothing written, if there is none.

    RFC 8032, section 5.1.3: y is below p, x = 0 has the sign 0, and the root of u/v, which is
    (y²−1)/(d·y²+1), is x = u·v³·(u·v⁷)^((p−5)/8), perhaps times √−1.
    """
    if not is_reduced(encoding):
        return False
    y = read(encoding)
    yy = square(y)
    u = narrowed(subtract(yy, _ONE))
    v = add(multiply(yy, _D), _ONE)
    v3 = multiply(square(v), v)
    v7 = multiply(square(v3), v)
    x = multiply(multiply(u, v3), power(multiply(u, v7)))
    found = multiply(v, square(x))
    if not is_zero(subtract(found, u)):
        if not is_zero(add(found, u)):
            return False
        x = multiply(x, _SQRT_OF_MINUS_ONE)
    x = canonical(x)
    sign = byte(encoding + ENCODING_BYTES - 1) >> 7
    if sign == 1 and is_zero(x):
        return False
    # A negated x is minus-able, so that both y + x and y − x stay wide.
    x = choose(sign ^ np.int64(x[0] & np.uint64(1)), negate(x), x)
    store(affine, add(y, x))
    store(affine + ELEMENT_BYTES, subtract(y, x))
    store(affine + 2 * ELEMENT_BYTES, multiply(multiply(x, y), _TWICE_D))
    return True


@njit(nogil=True, cache=True)
def set_neutral(point: int) -> None:
    """Write the neutral point, extended."""
    store(point, _ZERO)
    store(point + ELEMENT_BYTES, _ONE)
    store(point + 2 * ELEMENT_BYTES, _ONE)
    store(point + 3 * ELEMENT_BYTES, _ZERO)


@njit(nogil=True, cache=True)
def _store_sum(point: int, a: Element, b: Element, c: Element, d: Element) -> None:
    """Write the end of the addition law: A, B and D narrow or the sum of two such, C minus-able."""
    e, f, g, h = subtract(b, a), subtract(d, c), add(d, c), add(b, a)
    store(point, multiply(e, f))
    store(point + ELEMENT_BYTES, multiply(g, h))
    store(point + 2 * ELEMENT_BYTES, multiply(f, g))
    store(point + 3 * ELEMENT_BYTES, multiply(e, h))


@njit(nogil=True, cache=True)
def add_affine(point: int, affine: int, negative: int) -> None:
    """Add an affine point to the extended one in place; subtract it if `negative` is 1 and not 0.

    To negate is to exchange y + x with y − x and to change the sign of the product.
    """
    x, y = load(point), load(point + ELEMENT_BYTES)
    z, t = load(point + 2 * ELEMENT_BYTES), load(point + 3 * ELEMENT_BYTES)
    exchange = negative * ELEMENT_BYTES
    a = multiply(subtract(y, x), load(affine + ELEMENT_BYTES - exchange))
    b = multiply(add(y, x), load(affine + exchange))
    c = multiply(t, load(affine + 2 * ELEMENT_BYTES))
    d = add(z, z)
    _store_sum(point, a, b, choose(negative, negate(c), c), d)


@njit(nogil=True, cache=True)
def add_cached(point: int, cached: int, negative: int) -> None:
    """Add a cached point to the extended one in place; subtract it if `negative` is 1 and not 0."""
    x, y = load(point), load(point + ELEMENT_BYTES)
    z, t = load(point + 2 * ELEMENT_BYTES), load(point + 3 * ELEMENT_BYTES)
    exchange = negative * ELEMENT_BYTES
    a = multiply(subtract(y, x), load(cached + ELEMENT_BYTES - exchange))
    b = multiply(add(y, x), load(cached + exchange))
    c = multiply(t, load(cached + 2 * ELEMENT_BYTES))
    d = multiply(z, load(cached + 3 * ELEMENT_BYTES))
    _store_sum(point, a, b, choose(negative, negate(c), c), d)


@njit(nogil=True, cache=True)
def cache_point(point: int, cached: int) -> None:
    """Write the cached form of an extended point."""
    x, y, z = load(point), load(point + ELEMENT_BYTES), load(point + 2 * ELEMENT_BYTES)
    store(cached, add(y, x))
    store(cached + ELEMENT_BYTES, subtract(y, x))
    store(cached + 2 * ELEMENT_BYTES, multiply(load(point + 3 * ELEMENT_BYTES), _TWICE_D))
    store(cached + 3 * ELEMENT_BYTES, add(z, z))


@njit(nogil=True, cache=True)
def double(point: int, times: int) -> None:
    """Double the extended point so many times, in place.

    The widest difference is F = 2·Z² + X² − Y², of three narrow elements and one.
    """
    if times == 0:
        return
    x, y, z = load(point), load(point + ELEMENT_BYTES), load(point + 2 * ELEMENT_BYTES)
    e, h = _ZERO, _ZERO
    for _ in range(times):
        xx, yy, zz = square(x), square(y), square(z)
        g, h = subtract(yy, xx), add(yy, xx)
        e = subtract(square(add(x, y)), h)
        f = subtract(add(add(zz, zz), xx), yy)
        x, y, z = multiply(e, f), multiply(g, h), multiply(f, g)
    store(point, x)
    store(point + ELEMENT_BYTES, y)
    store(point + 2 * ELEMENT_BYTES, z)
    # Doubling needs no T, so only the last one makes it.
    store(point + 3 * ELEMENT_BYTES, multiply(e, h))


@njit(nogil=True, cache=True)
def is_torsion(point: int) -> bool:
    """Say whether 8 times the extended point is neutral; it is multiplied by 8 in place."""
    double(point, 3)
    y, z = load(point + ELEMENT_BYTES), load(point + 2 * ELEMENT_BYTES)
    return is_zero(load(point)) and is_zero(subtract(y, z))


@njit(nogil=True, cache=True)
def decompress_key(encoding: int, affine: int, point: int) -> bool:
    """Decompress a public key; False if it encodes nothing or a point of small order.

    `point` is room for an extended point.
    """
    if not decompress(encoding, affine):
        return False
    set_neutral(point)
    add_affine(point, affine, 0)
    return not is_torsion(point)


@njit(nogil=True, cache=True)
def judge_keys(
    publics: int, affine: int, point: int, faults: NDArray[np.uint8], start: int, stop: int
) -> None:
    """Set faults[start:stop] of public keys, ENCODING_BYTES each from `publics` on.

    `affine` and `point` are room for an affine and an extended point.
    """
    for i in range(start, stop):
        encoding = publics + i * ENCODING_BYTES
        faults[i] = KEY_NOT_A_POINT
        if decompress(encoding, affine):
            set_neutral(point)
            add_affine(point, affine, 0)
            faults[i] = KEY_OF_SMALL_ORDER if is_torsion(point) else KEY_GOOD


@njit(nogil=True, cache=True)
def _write_naf(scalar: int, scalar_bits: int, digits: int, stride: int) -> None:
    """Write the non-adjacent form of a scalar: 256 digits, odd or 0, each in ±(2^(w−1) − 1).

    Of any w digits in a row at most one is not 0. Digit i goes to digits + i · stride.
    """
    for position in range(NAF_POSITIONS):
        put_digit(digits + position * stride, 0)
    position, carry = 0, 0
    while position <= scalar_bits:
        window = bits(scalar, position, NAF_WIDTH) + carry
        if window & 1 == 0:
            # This digit is 0. A carry of 1 stays: with this bit, which is then 1, it makes 2.
            position += 1
            continue
        carry = window >> (NAF_WIDTH - 1)
        put_digit(digits + position * stride, window - (carry << NAF_WIDTH))
        position += NAF_WIDTH


@njit(nogil=True, cache=True)
def _write_table(affine: int, table: int, point: int, twice: int) -> None:
    """Write P, 3P, …, 15P in cached form; `point` and `twice` are room for extended points."""
    set_neutral(point)
    add_affine(point, affine, 0)
    cache_point(point, table)
    copy_bytes(twice, point, EXTENDED_BYTES)
    double(twice, 1)
    # The cached form of 2P is needed in each step and lies where it is overwritten last.
    last = table + (TABLE_POINTS - 1) * CACHED_BYTES
    cache_point(twice, last)
    for i in range(1, TABLE_POINTS):
        add_cached(point, last, 0)
        cache_point(point, table + i * CACHED_BYTES)


@njit(nogil=True, cache=True)
def _straus(points: int, scalars: int, count: int, room: Room) -> None:
    """Put Σ scalarᵢ·Pᵢ of 2·count points and the base point into the first of the room's sums.

    E. G. Straus, "Addition chains of vectors" (1964): all points share the doublings.
    """
    total, point = room.sums, room.sums + EXTENDED_BYTES
    twice = point + EXTENDED_BYTES
    every = 2 * count + 1
    stride = 2 * every
    for i in range(every):
        is_base = i == 2 * count
        affine = room.base if is_base else points + i * AFFINE_BYTES
        scalar = room.base_scalar if is_base else scalars + i * SCALAR_ROW
        length = MULTIPLIER_BITS if i & 1 == 1 else SCALAR_BITS
        _write_table(affine, room.tables + i * TABLE_BYTES, point, twice)
        _write_naf(scalar, length, room.digits + 2 * i, stride)
    set_neutral(total)
    waiting = 0
    for backwards in range(NAF_POSITIONS):
        waiting += 1
        row = room.digits + (NAF_POSITIONS - 1 - backwards) * stride
        for i in range(every):
            digit = get_digit(row + 2 * i)
            if digit != 0:
                double(total, waiting)
                waiting = 0
                size = abs(digit) >> 1
                negative = int(digit < 0)
                add_cached(total, room.tables + i * TABLE_BYTES + size * CACHED_BYTES, negative)
    double(total, waiting)


@njit(nogil=True, cache=True)
def window_width(count: int) -> int:
    """Return the width of window for which Pippenger needs the fewest additions of 2·count points.

    A window of w bits costs an addition for each point that has it and two for each of its 2^(w−1)
    buckets.
    """
    best, fewest = NARROWEST_WINDOW, 1 << 60
    for width in range(NARROWEST_WINDOW, WIDEST_WINDOW + 1):
        windows = SCALAR_BITS // width + 1
        additions = count * (windows + MULTIPLIER_BITS // width + 1) + (windows << width)
        if additions < fewest:
            best, fewest = width, additions
    return best


@njit(nogil=True, cache=True)
def _write_windows(scalar: int, scalar_bits: int, width: int, digits: int, stride: int) -> None:
    """Write the digits of a scalar to the base 2^width, each from −2^(width−1) + 1 to 2^(width−1).

    There are scalar_bits // width + 1 of them. The topmost has at most width − 1 bits, so that with
    the carry it is at most 2^(width−1) and carries nothing.
    """
    half = 1 << (width - 1)
    carry = 0
    for window in range(scalar_bits // width + 1):
        digit = bits(scalar, window * width, width) + carry
        carry = int(digit > half)
        put_digit(digits + window * stride, digit - (carry << width))


@njit(nogil=True, cache=True)
def _drop(buckets: int, affine: int, digit: int) -> None:
    """Add a point to the bucket of the digit's size, with the digit's sign."""
    if digit != 0:
        add_affine(buckets + (abs(digit) - 1) * EXTENDED_BYTES, affine, int(digit < 0))


@njit(nogil=True, cache=True)
def _pippenger(points: int, scalars: int, count: int, room: Room) -> None:
    """Put Σ scalarᵢ·Pᵢ of 2·count points and the base point into the first of the room's sums.

    N. Pippenger, "On the evaluation of powers and related problems" (1976), with signed digits: of
    each window, points of one digit are added up in a bucket, and Σ digit · bucket is a sum of sums.
    """
    total, running = room.sums, room.sums + EXTENDED_BYTES
    window_sum, cached = running + EXTENDED_BYTES, running + 2 * EXTENDED_BYTES
    width = window_width(count)
    windows, short_windows = SCALAR_BITS // width + 1, MULTIPLIER_BITS // width + 1
    every = 2 * count + 1
    stride = 2 * every
    for i in range(2 * count):
        length = MULTIPLIER_BITS if i & 1 == 1 else SCALAR_BITS
        _write_windows(scalars + i * SCALAR_ROW, length, width, room.digits + 2 * i, stride)
    _write_windows(room.base_scalar, SCALAR_BITS, width, room.digits + 4 * count, stride)
    set_neutral(total)
    for backwards in range(windows):
        window = windows - 1 - backwards
        row = room.digits + window * stride
        for bucket in range(1 << (width - 1)):
            set_neutral(room.tables + bucket * EXTENDED_BYTES)
        # Only the even points, which are keys, have scalars longer than a multiplier.
        for i in range(0, 2 * count, 1 if window < short_windows else 2):
            _drop(room.tables, points + i * AFFINE_BYTES, get_digit(row + 2 * i))
        _drop(room.tables, room.base, get_digit(row + 4 * count))
        set_neutral(running)
        set_neutral(window_sum)
        for bucket in range((1 << (width - 1)) - 1, -1, -1):
            cache_point(room.tables + bucket * EXTENDED_BYTES, cached)
            add_cached(running, cached, 0)
            cache_point(running, cached)
            add_cached(window_sum, cached, 0)
        double(total, width)
        cache_point(window_sum, cached)
        add_cached(total, cached, 0)


@njit(nogil=True, cache=True)
def _holds(library: Library, room: Room, first: int, count: int) -> bool:
    """Say whether the combined equation of `count` signatures from the `first` on holds.

    8 · (Σ zᵢ·Rᵢ + Σ zᵢ·kᵢ·Aᵢ − (Σ zᵢ·Sᵢ)·B) is neutral.
    """
    long_sum = room.sums + 4 * EXTENDED_BYTES
    for word in range(8):
        put_word(long_sum + 8 * word, 0)
    for i in range(first, first + count):
        response = room.transcript + i * TRANSCRIPT_ROW + HASH_BYTES
        # Below 2^13 · 2^128 · L: no overflow.
        add_product(long_sum, room.scalars + (2 * i + 1) * SCALAR_ROW, response)
    call(library.scalar_reduce, (room.base_scalar, long_sum))
    negate_scalar(room.base_scalar)
    points = room.points + 2 * first * AFFINE_BYTES
    scalars = room.scalars + 2 * first * SCALAR_ROW
    if count <= STRAUS_PAIRS:
        _straus(points, scalars, count, room)
    else:
        _pippenger(points, scalars, count, room)
    return is_torsion(room.sums)


@njit(nogil=True, cache=True)
def _gather(library: Library, batch: Batch, room: Room) -> int:
    """Hash and decompress all signatures; return how many may be valid.

    Those whose S is too large, whose R or A encodes no point, and whose key is of small order are
    left out and stay invalid.
    """
    count = 0
    body_place = room.signed + 2 * ENCODING_BYTES + batch.prefix_length
    length = 2 * ENCODING_BYTES + batch.prefix_length + batch.width
    for row in range(batch.size):
        signature = batch.signatures + row * batch.signature_stride
        public = batch.publics + row * batch.public_stride
        key_point = batch.key_points + row * AFFINE_BYTES
        if not is_scalar(signature + ENCODING_BYTES):
            continue
        if byte(batch.key_states + row) == KEY_UNKNOWN:
            if not decompress_key(public, key_point, room.sums):
                continue
            put_byte(batch.key_states + row, KEY_LEARNT)
        points = room.points + 2 * count * AFFINE_BYTES
        if not decompress(signature, points + AFFINE_BYTES):
            continue
        copy_bytes(points, key_point, AFFINE_BYTES)
        copy_bytes(room.signed, signature, ENCODING_BYTES)
        copy_bytes(room.signed + ENCODING_BYTES, public, ENCODING_BYTES)
        copy_bytes(body_place, batch.bodies + row * batch.body_stride, batch.width)
        said = room.transcript + count * TRANSCRIPT_ROW
        call(library.sha512, (said, room.signed, length))
        copy_bytes(said + HASH_BYTES, signature + ENCODING_BYTES, ENCODING_BYTES)
        put_word(room.rows + 8 * count, row)
        count += 1
    return count


@njit(nogil=True, cache=True)
def _draw(library: Library, room: Room, count: int) -> None:
    """Write the scalars: zᵢ for Rᵢ, and zᵢ·kᵢ for Aᵢ, from a hash of the whole transcript."""
    seed, counter = room.dice, room.dice + HASH_BYTES
    drawn = counter + 8
    length = count * TRANSCRIPT_ROW
    call(library.blake2b, (seed, HASH_BYTES, room.transcript, length, 0, 0, 0, 0))
    each = HASH_BYTES // MULTIPLIER_BYTES
    long_product = room.sums
    for i in range(count):
        if i % each == 0:
            put_word(counter, i)
            call(library.blake2b, (drawn, HASH_BYTES, seed, HASH_BYTES + 8, 0, 0, 0, 0))
        of_key = room.scalars + 2 * i * SCALAR_ROW
        of_nonce = of_key + SCALAR_ROW
        for word in range(SCALAR_ROW // 8):
            put_word(of_key + 8 * word, 0)
            put_word(of_nonce + 8 * word, 0)
        copy_bytes(of_nonce, drawn + i % each * MULTIPLIER_BYTES, MULTIPLIER_BYTES)
        call(library.scalar_reduce, (of_key, room.transcript + i * TRANSCRIPT_ROW))
        for word in range(HASH_BYTES // 8):
            put_word(long_product + 8 * word, 0)
        add_product(long_product, of_nonce, of_key)
        call(library.scalar_reduce, (of_key, long_product))


@njit(nogil=True, cache=True)
def _judged(library: Library, batch: Batch, room: Room, first: int, count: int) -> bool:
    """Say whether the equation of `count` signatures holds, and if it does, that each of them does."""
    if not _holds(library, room, first, count):
        return False
    for i in range(first, first + count):
        put_byte(batch.valid + get_word(room.rows + 8 * i), 1)
    return True


@njit(nogil=True, cache=True)
def verify_chunk(library: Library, batch: Batch, room: Room) -> int:
    """Set `valid`, zeros before; return how many signatures all equations together were of.

    One equation judges all. If it fails, groups of 32 are judged; where one fails, groups of 8, and
    where one of these fails, one by one. Groups become larger again when as many signatures in a row
    have held as the larger group takes. So whoever forges cannot make much more work than checking
    one by one: no signature is in more than four equations. For a group that fails holds a forgery,
    so that as many in a row as it takes can hold only behind it, and the next group of its size is
    of others.
    """
    whole = _gather(library, batch, room)
    if whole == 0:
        return 0
    _draw(library, room, whole)
    place, size, held, work = 0, whole, 0, 0
    while place < whole:
        count = min(size, whole - place)
        work += count
        if _judged(library, batch, room, place, count):
            place += count
            held += count
            larger = FEWER if size == 1 else FEW
            if held >= larger and size < larger:
                size, held = larger, 0
        else:
            held = 0
            if count == 1:
                place += 1
            size = FEW if count > FEW else FEWER if count > FEWER else 1
    return work


@njit(nogil=True, cache=True)
def _slot_of(public: int, slots: int) -> int:
    """Return the slot of a key among `slots`, a power of two: its lowest bits choose."""
    return bits(public, 0, 24) & (slots - 1)


@njit(nogil=True, cache=True)
def _is_same_key(a: int, b: int) -> bool:
    """Say whether two encodings are the same bytes."""
    difference = 0
    for word in range(0, ENCODING_BYTES, 8):
        difference |= get_word(a + word) ^ get_word(b + word)
    return difference == 0


@njit(nogil=True, cache=True)
def recall_keys(memory: Memory, batch: Batch) -> int:
    """Fill in the points of the keys that are remembered; return how many they are."""
    recalled = 0
    for row in range(batch.size):
        public = batch.publics + row * batch.public_stride
        slot = _slot_of(public, memory.slots)
        known = byte(memory.used + slot) != 0
        if known and _is_same_key(public, memory.keys + slot * ENCODING_BYTES):
            point = batch.key_points + row * AFFINE_BYTES
            copy_bytes(point, memory.points + slot * AFFINE_BYTES, AFFINE_BYTES)
            put_byte(batch.key_states + row, KEY_RECALLED)
            recalled += 1
    return recalled


@njit(nogil=True, cache=True)
def remember_keys(memory: Memory, batch: Batch) -> int:
    """Remember the keys that were decompressed and are good; return how many they are."""
    learnt = 0
    for row in range(batch.size):
        if byte(batch.key_states + row) == KEY_LEARNT:
            public = batch.publics + row * batch.public_stride
            slot = _slot_of(public, memory.slots)
            copy_bytes(memory.keys + slot * ENCODING_BYTES, public, ENCODING_BYTES)
            point = batch.key_points + row * AFFINE_BYTES
            copy_bytes(memory.points + slot * AFFINE_BYTES, point, AFFINE_BYTES)
            put_byte(memory.used + slot, 1)
            learnt += 1
    return learnt
