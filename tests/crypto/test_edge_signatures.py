"""Signatures on which implementations differ: here is what ours answers, singly and in a batch.

They need the arithmetic of the curve, which is written out below as in RFC 8032, slowly.
"""

import hashlib

import numpy as np
import pytest

from harambee.crypto.signatures import from_seed, sign, verify, verify_many

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
NEUTRAL = (0, 1)

KEY = from_seed(bytes(range(32)))
NONCE = 12345678901234567


def add(p, q):
    (a, b), (c, d) = p, q
    k = D * a * b * c * d % P
    return (a * d + b * c) * pow(1 + k, -1, P) % P, (b * d + a * c) * pow(1 - k, -1, P) % P


def times(n, p):
    result = NEUTRAL
    while n:
        if n & 1:
            result = add(result, p)
        p, n = add(p, p), n >> 1
    return result


def encode(point):
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode(y):
    """Return the point with this y and an even x, or None."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        return None
    return (P - x if x & 1 else x, y)


def torsion_point():
    """Return a point of order 8: L times any point that is not in the prime-order group."""
    for y in range(2, 100):
        point = decode(y)
        candidate = NEUTRAL if point is None else times(L, point)
        if times(4, candidate) != NEUTRAL:
            return candidate
    raise AssertionError


def secret_scalar(seed):
    digits = bytearray(hashlib.sha512(seed).digest()[:32])
    digits[0] &= 248
    digits[31] = digits[31] & 127 | 64
    return int.from_bytes(digits, "little")


def challenge(r, public, message):
    return int.from_bytes(hashlib.sha512(r + public + message).digest(), "little") % L


BASE = decode(4 * pow(5, -1, P) % P)
TORSION = torsion_point()
SCALAR = secret_scalar(KEY.seed)


def craft(r_point, a_point, message, nonce=NONCE):
    """Return (public, signature) with S = nonce + challenge · scalar, whatever R and A are."""
    r, public = encode(r_point), encode(a_point)
    s = (nonce + challenge(r, public, message) * SCALAR) % L
    return public, r + s.to_bytes(32, "little")


def judge(public, message, signature):
    """Return the one answer of both verifiers."""
    single = verify(public, message, signature)
    rows = [np.frombuffer(x, np.uint8).reshape(1, -1) for x in (message, public, signature)]
    assert verify_many(b"", *rows).tolist() == [single]
    return single


def test_the_arithmetic_of_this_file_signs_what_libsodium_accepts():
    assert encode(times(SCALAR, BASE)) == KEY.public
    assert judge(*reorder(craft(times(NONCE, BASE), times(SCALAR, BASE), b"pay"), b"pay"))


def test_a_key_with_torsion_is_judged_without_cofactor():
    """The equation holds only where the challenge cancels the torsion, in one of eight messages."""
    twisted = add(times(SCALAR, BASE), TORSION)
    r_point = times(NONCE, BASE)
    answers, cancelled = [], []
    for message in (b"order %02d" % i for i in range(40)):
        public, signature = craft(r_point, twisted, message)
        answers.append(judge(public, message, signature))
        cancelled.append(challenge(signature[:32], public, message) % 8 == 0)
    assert answers == cancelled
    assert set(answers) == {True, False}


def test_a_nonce_with_torsion_is_refused():
    twisted = add(times(NONCE, BASE), TORSION)
    public, signature = craft(twisted, times(SCALAR, BASE), b"pay")
    assert not judge(public, b"pay", signature)


@pytest.mark.parametrize("multiple", range(8))
def test_a_nonce_of_small_order_is_refused(multiple):
    public, signature = craft(times(multiple, TORSION), times(SCALAR, BASE), b"pay", nonce=0)
    assert not judge(public, b"pay", signature)


@pytest.mark.parametrize("multiple", range(8))
def test_a_key_of_small_order_signs_nothing(multiple):
    """Without that check, S = nonce would hold for every message whose challenge is 0 mod 8."""
    public, r = encode(times(multiple, TORSION)), encode(times(NONCE, BASE))
    messages = [b"order %02d" % i for i in range(40)]
    assert any(challenge(r, public, message) % 8 == 0 for message in messages)
    signature = r + NONCE.to_bytes(32, "little")
    assert not any(judge(public, message, signature) for message in messages)


@pytest.mark.parametrize("multiple", range(1, 15))
def test_s_is_below_the_order_of_the_group(multiple):
    signature = sign(KEY, b"pay")
    s = int.from_bytes(signature[32:], "little") + multiple * L
    assert judge(KEY.public, b"pay", signature)
    assert not judge(KEY.public, b"pay", signature[:32] + s.to_bytes(32, "little"))


def reorder(crafted, message):
    public, signature = crafted
    return public, message, signature
