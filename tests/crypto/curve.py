"""The curve of Ed25519 and the rule of validity, in whole numbers, to be read; slow.

Written after RFC 8032, section 5.1, with affine points (x, y) and one inversion for each coordinate.
What the program computes in limbs is held to this.
"""

import hashlib
import itertools

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)
NEUTRAL = (0, 1)


def add(p, q):
    (a, b), (c, d) = p, q
    k = D * a * b * c * d % P
    return (a * d + b * c) * pow(1 + k, -1, P) % P, (b * d + a * c) * pow(1 - k, -1, P) % P


def negative(p):
    return -p[0] % P, p[1]


def times(n, p):
    result = NEUTRAL
    while n:
        if n & 1:
            result = add(result, p)
        p, n = add(p, p), n >> 1
    return result


def is_on_curve(point):
    x, y = point
    return (y * y - x * x - 1 - D * x * x * y * y) % P == 0


def encode(point):
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode(encoding):
    """Return the point of 32 bytes, or None: y is below P, and the sign of x = 0 is 0."""
    number = int.from_bytes(encoding, "little")
    sign, y = number >> 255, number % 2**255
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P:
        return None
    if x == 0 and sign == 1:
        return None
    return (-x % P if x & 1 != sign else x, y)


def challenge(r, public, message):
    return int.from_bytes(hashlib.sha512(r + public + message).digest(), "little") % L


def is_valid(public, message, signature):
    """The rule, as the head of `harambee.crypto.signatures` says it."""
    r_bytes, s = signature[:32], int.from_bytes(signature[32:], "little")
    a, r = decode(public), decode(r_bytes)
    if s >= L or a is None or r is None or times(8, a) == NEUTRAL:
        return False
    right = add(r, times(challenge(r_bytes, public, message), a))
    return times(8, add(times(s, BASE), negative(right))) == NEUTRAL


def secret_scalar(seed):
    digits = bytearray(hashlib.sha512(seed).digest()[:32])
    digits[0] &= 248
    digits[31] = digits[31] & 127 | 64
    return int.from_bytes(digits, "little")


def sign_with(scalar, nonce, public, r, message):
    """Return the signature of this R with S = nonce + challenge · scalar, whatever R and the key are."""
    s = (nonce + challenge(r, public, message) * scalar) % L
    return r + s.to_bytes(32, "little")


def generator_of_torsion():
    """Return a point of order 8: L times a point that is outside the group of prime order."""
    for y in itertools.count(2):
        point = decode(y.to_bytes(32, "little"))
        candidate = NEUTRAL if point is None else times(L, point)
        if times(4, candidate) != NEUTRAL:
            return candidate
    raise AssertionError


def encodings_of(point):
    """Return whatever some verifier somewhere reads as this point, the canonical encoding first."""
    x, y = point
    return [
        (number | sign << 255).to_bytes(32, "little")
        for number in (y, y + P)
        if number < 2**255
        for sign in ([x & 1] if x else [0, 1])
    ]


BASE = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
TORSION = generator_of_torsion()
TORSION_POINTS = [times(i, TORSION) for i in range(8)]
TORSION_ENCODINGS = [encoding for point in TORSION_POINTS for encoding in encodings_of(point)]
assert len(TORSION_ENCODINGS) == 14
