"""The compiled arithmetic of the curve is that of whole numbers, at the edges of its bounds too."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit
from tests.crypto import curve
from tests.crypto.curve import BASE, NEUTRAL, TORSION_ENCODINGS, TORSION_POINTS, L, P, times

from harambee.crypto.ed25519 import batch, kernels, limbs

NARROW, MINUS_ABLE, WIDE = 2**51 + 2**13, [2**53 - 76, *[2**53 - 4] * 4], 2**54 - 1


@njit(nogil=True)
def products(a, b):
    return (
        limbs.multiply(a, b),
        limbs.square(a),
        limbs.narrowed(a),
        limbs.canonical(a),
    )


@njit(nogil=True)
def sums(a, b):
    return limbs.add(a, b), limbs.subtract(a, b), limbs.negate(b)


@njit(nogil=True)
def zero(a):
    return kernels.is_zero(a)


@njit(nogil=True)
def number_kernels(address, other):
    return limbs.is_scalar(address), limbs.is_reduced(address), limbs.bits(address, other, 9)


@njit(nogil=True)
def change_numbers(total, a, b):
    limbs.add_product(total, a, b)
    limbs.negate_scalar(b)


def value(element):
    return sum(int(limb) << 51 * i for i, limb in enumerate(element))


def elements(most):
    """Return a strategy of elements whose limbs are at most so large, mostly at an edge."""
    highest = most if isinstance(most, list) else [most] * 5
    edges = (0, 1, 2**51 - 20, 2**51 - 19, 2**51 - 18, 2**51 - 1, 2**51)
    limb = [st.sampled_from([*edges, top - 1, top]) | st.integers(0, top) for top in highest]
    return st.tuples(*limb).map(lambda found: tuple(np.uint64(x) for x in found))


def is_within(element, most):
    return all(int(limb) <= most for limb in element)


@given(elements(WIDE), elements(WIDE))
def test_products_of_wide_elements_are_right_and_narrow(a, b):
    product, square, narrowed, canonical = products(a, b)
    assert value(product) % P == value(a) * value(b) % P
    assert value(square) % P == value(a) ** 2 % P
    assert value(narrowed) % P == value(a) % P
    assert value(canonical) == value(a) % P
    assert all(is_within(result, NARROW) for result in (product, square, narrowed))
    assert is_within(canonical, 2**51 - 1)
    assert zero(a) is (value(a) % P == 0)


def test_the_largest_limbs_of_all_do_not_overflow():
    largest = tuple(np.uint64(WIDE) for _ in range(5))
    product, square, narrowed, canonical = products(largest, largest)
    assert value(product) % P == value(square) % P == value(largest) ** 2 % P
    assert is_within(product, NARROW)
    assert is_within(square, NARROW)
    assert is_within(narrowed, NARROW)
    assert value(canonical) == value(largest) % P
    # The bound has something to spare, but not a bit in every column: what the comments compute.
    assert 77 * WIDE**2 + 2**64 < 2**115
    assert (5 * WIDE**2 + 2**64 >> 51) * 19 + 2**51 < 2**64


@given(elements(2 * NARROW), elements(MINUS_ABLE))
def test_differences_never_borrow(a, b):
    added, difference, negated = sums(a, b)
    assert value(added) == value(a) + value(b)
    assert value(difference) == value(a) + 4 * P - value(b)
    assert value(negated) == 4 * P - value(b)
    assert is_within(difference, WIDE)
    assert all(int(x) <= most for x, most in zip(negated, MINUS_ABLE, strict=True))


def test_three_narrow_elements_less_nothing_are_wide():
    """The widest difference of the formulas: F of the doubling."""
    three = tuple(np.uint64(3 * NARROW) for _ in range(5))
    nothing = tuple(np.uint64(0) for _ in range(5))
    assert is_within(sums(three, nothing)[1], WIDE)


@pytest.mark.parametrize("number", [*range(20), *range(P - 20, P + 19), 2 * P, 4 * P, 2**255 - 1])
def test_one_number_has_one_canonical_form(number):
    spread = [number >> 51 * i & (2**51 - 1) for i in range(4)]
    a = tuple(np.uint64(x) for x in (*spread, number >> 204))
    assert value(products(a, a)[3]) == number % P
    assert zero(a) is (number % P == 0)


def test_every_kernel_leaves_the_gil_free_and_is_kept():
    compiled = [value for value in vars(kernels).values() if hasattr(value, "targetoptions")]
    assert len(compiled) > 20
    assert all(kernel.targetoptions["nogil"] for kernel in compiled)
    assert all(kernel.stats.cache_path for kernel in compiled)


# -- memory -------------------------------------------------------------------------------------------


def memory(content):
    """Return bytes as an array, with room behind it that `bits` may read."""
    return np.frombuffer(bytes(content).ljust(len(content) + 16, b"\0"), np.uint8).copy()


def room_for(count):
    return np.zeros(count, np.uint64)


@given(st.sampled_from([0, 1, L - 1, L, L + 1, P - 1, P, P + 18, 2**255 - 1]), st.integers(0, 250))
def test_what_is_said_about_a_number_of_32_bytes(number, offset):
    for whole in (number, number | 1 << 255):
        array = memory(whole.to_bytes(32, "little"))
        said = number_kernels(array.ctypes.data, offset)
        assert said == (whole < L, whole % 2**255 < P, whole >> offset & 511)


NUMBERS = st.sampled_from([0, 1, 2**64 - 1, 2**64, 2**127, 2**128 - 1, 2**192 - 1, L - 1])


@given(
    st.integers(0, 2**500) | st.sampled_from([2**64 - 1, 2**256 - 1, 2**448 - 1]),
    NUMBERS | st.integers(0, 2**128 - 1),
    NUMBERS | st.integers(0, L - 1),
)
def test_long_products_and_opposites(total, a, b):
    a %= 2**128
    sum_, of_a, of_b = (
        memory(number.to_bytes(width, "little"))
        for number, width in ((total, 64), (a, 16), (b, 32))
    )
    change_numbers(sum_.ctypes.data, of_a.ctypes.data, of_b.ctypes.data)
    assert int.from_bytes(sum_[:64].tobytes(), "little") == total + a * b
    assert int.from_bytes(of_b[:32].tobytes(), "little") == L - b


# -- points -------------------------------------------------------------------------------------------


def affine_of(encoding):
    """Return the affine point that the kernel makes of an encoding, or None."""
    affine, source = room_for(15), memory(encoding)
    found = kernels.decompress(source.ctypes.data, affine.ctypes.data)
    return affine if found else None


def point_of_affine(affine):
    """Return (x, y) of an affine point in memory."""
    plus, minus, product = (value(affine[i : i + 5]) for i in (0, 5, 10))
    x, y = (plus - minus) * pow(2, -1, P) % P, (plus + minus) * pow(2, -1, P) % P
    assert product % P == 2 * curve.D * x * y % P
    assert max(affine) <= WIDE
    return x, y


def extended(point, z=1):
    """Return the extended form of (x, y) with this Z."""
    x, y = point
    parts = (x * z, y * z, z, x * y * z)
    return np.array([limb for part in parts for limb in limbs.element(part)], np.uint64)


def point_of(memory_):
    """Return (x, y) of an extended point in memory, which is on the curve and narrow."""
    x, y, z, t = (value(memory_[i : i + 5]) for i in (0, 5, 10, 15))
    inverse = pow(z, -1, P)
    assert (x * y - z * t) % P == 0
    assert max(memory_) <= NARROW
    point = x * inverse % P, y * inverse % P
    assert curve.is_on_curve(point)
    return point


SCALARS = st.integers(1, L - 1)
POINTS = st.sampled_from(TORSION_POINTS) | st.builds(
    lambda scalar, torsion: curve.add(times(scalar, BASE), torsion),
    SCALARS,
    st.sampled_from(TORSION_POINTS),
)
ZS = st.sampled_from([1, 2, P - 1]) | st.integers(1, P - 1)


@given(st.binary(min_size=32, max_size=32) | st.sampled_from(TORSION_ENCODINGS))
def test_an_encoding_is_the_point_that_the_readable_rule_sees(encoding):
    affine, expected = affine_of(encoding), curve.decode(encoding)
    assert (affine is None) == (expected is None)
    assert affine is None or point_of_affine(affine) == expected


@pytest.mark.parametrize("sign", [0, 1 << 255])
def test_encodings_at_the_edges_of_the_coordinate(sign):
    for y in (*range(60), *range(P - 60, 2**255)):
        encoding = (y | sign).to_bytes(32, "little")
        affine, expected = affine_of(encoding), curve.decode(encoding)
        assert (affine is None) == (expected is None), y
        assert affine is None or point_of_affine(affine) == expected


def check_addition(p, q, z_of_p, z_of_q):
    affine = affine_of(curve.encode(q))
    for negative, expected in ((0, curve.add(p, q)), (1, curve.add(p, curve.negative(q)))):
        total = extended(p, z_of_p)
        kernels.add_affine(total.ctypes.data, affine.ctypes.data, negative)
        assert point_of(total) == expected
        total, other, cached = extended(p, z_of_p), extended(q, z_of_q), room_for(20)
        kernels.cache_point(other.ctypes.data, cached.ctypes.data)
        kernels.add_cached(total.ctypes.data, cached.ctypes.data, negative)
        assert point_of(total) == expected


@given(POINTS, POINTS, ZS, ZS)
def test_additions_are_those_of_the_curve(p, q, z_of_p, z_of_q):
    check_addition(p, q, z_of_p, z_of_q)


def test_the_law_is_complete():
    """No pair of points, equal, opposite or of small order, is an exception."""
    some = [*TORSION_POINTS, BASE, curve.negative(BASE), curve.add(BASE, TORSION_POINTS[1])]
    for p in some:
        for q in some:
            check_addition(p, q, 1, 1)


@given(POINTS, ZS, st.integers(0, 20))
def test_doublings(p, z, count):
    point = extended(p, z)
    kernels.double(point.ctypes.data, count)
    assert point_of(point) == times(1 << count, p)
    point = extended(p, z)
    assert kernels.is_torsion(point.ctypes.data) is (times(8, p) == NEUTRAL)


# -- digits and sums ----------------------------------------------------------------------------------

EDGE_SCALARS = [0, 1, 2, 15, 16, 31, 32, 2**128 - 1, 2**252, L - 1, L, 2**253 - 1]
LONG = st.sampled_from(EDGE_SCALARS) | st.integers(0, 2**253 - 1)


@given(LONG, st.sampled_from([kernels.SCALAR_BITS, kernels.MULTIPLIER_BITS]))
def test_digits_mean_the_scalar(scalar, length):
    scalar %= 1 << length
    source = memory(scalar.to_bytes(32, "little"))
    digits = np.zeros(256, np.int16)
    kernels._write_naf(source.ctypes.data, length, digits.ctypes.data, 2)
    assert sum(int(digit) << i for i, digit in enumerate(digits)) == scalar
    used = np.flatnonzero(digits)
    assert np.all(digits[used] % 2 == 1)
    assert np.all(np.abs(digits[used]) < 1 << kernels.NAF_WIDTH - 1)
    assert np.all(np.diff(used) >= kernels.NAF_WIDTH)
    for width in range(kernels.NARROWEST_WINDOW, kernels.WIDEST_WINDOW + 1):
        digits = np.zeros(256, np.int16)
        kernels._write_windows(source.ctypes.data, length, width, digits.ctypes.data, 2)
        assert sum(int(digit) << width * i for i, digit in enumerate(digits)) == scalar
        assert digits.max() <= 1 << width - 1
        assert digits.min() > -(1 << width - 1)
        assert not digits[length // width + 1 :].any()


@njit(nogil=True)
def both_sums(points, scalars, count, room, wanted):
    if wanted == 0:
        kernels._straus(points, scalars, count, room)
    else:
        kernels._pippenger(points, scalars, count, room)


def combined(pairs, base_scalar, kind):
    """Return Σ scalar · point + base_scalar · B of (scalar, point) pairs, as the kernel computes it."""
    count = len(pairs) // 2
    scratch = batch._Scratch(max(count, 65), b"", 0)
    points = np.concatenate([affine_of(curve.encode(point)) for _, point in pairs])
    scalars = memory(b"".join(scalar.to_bytes(40, "little") for scalar, _ in pairs))
    last = memory(base_scalar.to_bytes(40, "little"))
    room = scratch.room._replace(base_scalar=last.ctypes.data)
    both_sums(points.ctypes.data, scalars.ctypes.data, count, room, kind)
    start = room.sums - scratch._memory.ctypes.data
    return point_of(scratch._memory[start : start + 160].view(np.uint64))


def readable_sum(pairs, base_scalar):
    total = times(base_scalar, BASE)
    for scalar, point in pairs:
        total = curve.add(total, times(scalar, point))
    return total


PAIRS = st.lists(st.tuples(LONG, POINTS, LONG, POINTS), min_size=1, max_size=3)


@pytest.mark.parametrize("kind", [0, 1])
@given(PAIRS, LONG)
def test_sums_of_multiples(kind, quadruples, base_scalar):
    pairs = [
        pair
        for of_key, key, of_nonce, nonce in quadruples
        for pair in ((of_key, key), (of_nonce % 2**128, nonce))
    ]
    assert combined(pairs, base_scalar, kind) == readable_sum(pairs, base_scalar)


def test_every_width_of_window_is_used_and_right():
    """Many multiples of few points, so that the readable sum is quick: Σ sᵢ·P = (Σ sᵢ)·P."""
    dice = np.random.default_rng(5)
    points = [curve.add(times(i + 2, BASE), TORSION_POINTS[i]) for i in range(8)]
    widths = set()
    for count in (1, 3, 20, 64, 65, 128, 300, 1_024, 2_000, 4_096):
        widths.add(kernels.window_width(count))
        lengths = [253, 128] * count
        scalars = [int.from_bytes(dice.bytes(32), "little") % (1 << length) for length in lengths]
        pairs = [(scalar, points[i % 8]) for i, scalar in enumerate(scalars)]
        expected = times(7, BASE)
        for i, point in enumerate(points):
            expected = curve.add(expected, times(sum(scalars[i::8]), point))
        assert combined(pairs, 7, 1) == expected, count
        if count <= kernels.STRAUS_PAIRS:
            assert combined(pairs, 7, 0) == expected, count
    assert widths == set(range(kernels.NARROWEST_WINDOW, kernels.WIDEST_WINDOW + 1))
