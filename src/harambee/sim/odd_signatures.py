"""Signatures on which implementations differ, as a customer can craft them who holds her own key.

The arithmetic of the curve is written out as in RFC 8032, slowly, in whole numbers: libsodium makes none of
these. Each variant is one that some verifier accepts somewhere and another does not. Our rule (the head of
`harambee.crypto.signatures`) multiplies by the cofactor, so a nonce may have torsion or be of small order; it
refuses S above the order of the group, and points that are not written in their one canonical way.
"""

import hashlib
from typing import Final

from harambee.crypto.signatures import from_seed, sign

P: Final = 2**255 - 19
L: Final = 2**252 + 27742317777372353535851937790883648493
D: Final = -121665 * pow(121666, -1, P) % P
NONCE: Final = 12345678901234567
NEUTRAL: Final = (0, 1)

Point = tuple[int, int]


def _add(p: Point, q: Point) -> Point:
    (a, b), (c, d) = p, q
    k = D * a * b * c * d % P
    return (a * d + b * c) * pow(1 + k, -1, P) % P, (b * d + a * c) * pow(1 - k, -1, P) % P


def _times(n: int, p: Point) -> Point:
    result = NEUTRAL
    while n:
        if n & 1:
            result = _add(result, p)
        p, n = _add(p, p), n >> 1
    return result


def _encode(point: Point) -> bytes:
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE: Final[Point] = (
    15112221349535400772501151409588531511454012693041857206046113283949847762202,
    46316835694926478169428394003475163141307993866256225615783033603165251855960,
)
ORDER_FOUR: Final[Point] = (pow(2, (P - 1) >> 2, P), 0)
"""A point that is the neutral one four times over: the square root of -1, and 0."""
assert _times(2, ORDER_FOUR) == (0, P - 1)


def _craft(seed: bytes, message: bytes, nonce_point: bytes, nonce: int) -> bytes:
    """The signature whose R is this encoding and whose S is nonce + challenge · secret scalar."""
    digits = bytearray(hashlib.sha512(seed).digest()[:32])
    digits[0] &= 248
    digits[31] = digits[31] & 127 | 64
    scalar = int.from_bytes(digits, "little")
    hashed = hashlib.sha512(nonce_point + from_seed(seed).public + message).digest()
    challenge = int.from_bytes(hashed, "little") % L
    return nonce_point + ((nonce + challenge * scalar) % L).to_bytes(32, "little")


def valid_variants(seed: bytes, message: bytes) -> dict[str, bytes]:
    """Signatures by the key of this seed that our rule accepts and others do not, by what is odd."""
    twisted = _encode(_add(_times(NONCE, BASE), ORDER_FOUR))
    return {
        "a nonce with torsion": _craft(seed, message, twisted, NONCE),
        "a nonce of small order": _craft(seed, message, _encode(ORDER_FOUR), 0),
        "the neutral point as a nonce": _craft(seed, message, _encode(NEUTRAL), 0),
    }


def invalid_variants(seed: bytes, message: bytes) -> dict[str, bytes]:
    """Signatures by the key of this seed that our rule refuses, by what is odd."""
    good = sign(from_seed(seed), message)
    r, s = good[:32], int.from_bytes(good[32:], "little")
    twisted = _encode(_add(_times(NONCE, BASE), ORDER_FOUR))
    with_torsion = _craft(seed, message, twisted, NONCE + 1)
    return {
        "S and the order of the group": r + (s + L).to_bytes(32, "little"),
        "S and the order of the group, many times": r + (s + 14 * L).to_bytes(32, "little"),
        "a nonce with torsion, and another S": with_torsion,
        "a nonce that is not canonical": _craft(seed, message, (P + 1).to_bytes(32, "little"), 0),
        "the sign of nothing": _craft(seed, message, (1 | 1 << 255).to_bytes(32, "little"), 0),
        "a bit flipped": bytes([good[0] ^ 1]) + good[1:],
        "nothing at all": bytes(64),
    }
