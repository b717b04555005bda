"""Signatures on which implementations differ, as a customer can craft them who holds her own key.

The arithmetic of Ed25519's curve is written out as in RFC 8032, slowly, in whole numbers: libsodium makes
none of these. Each variant is one that some verifier accepts somewhere and another does not. Our rule (the
head of `harambee.crypto.signatures`) multiplies by the cofactor, so a nonce may have torsion or be of small
order; it refuses S above the order of the group, and points that are not written in their one canonical way.
Of P-256 they are the higher one of the two s, which most verifiers accept; numbers out of their range, some
of which hold for every message where the range is not checked; what the key on the other side of the curve
signs; and a signature of the other type.
"""

import hashlib
from typing import Final

from harambee.crypto import p256
from harambee.crypto.keys import KeyForm, OwnerKey, PublicKey
from harambee.crypto.p256 import ORDER, P256KeyPair
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


def valid_variants(key: OwnerKey, message: bytes) -> dict[str, bytes]:
    """Signatures by this key that our rule accepts and others do not, by what is odd; none of P-256."""
    return {} if isinstance(key, P256KeyPair) else _valid_of_ed25519(key.seed, message)


def invalid_variants(key: OwnerKey, message: bytes) -> dict[str, bytes]:
    """Signatures by this key that our rule refuses, by what is odd."""
    if isinstance(key, P256KeyPair):
        return _invalid_of_p256(key, message)
    return _invalid_of_ed25519(key.seed, message)


def bent_of(key: PublicKey | None, signature: bytes) -> list[bytes]:
    """What anybody can make of another's signature without her key, as her key's type suggests."""
    if key is None or key.form == KeyForm.ED25519:
        s = int.from_bytes(signature[32:], "little")
        others = [(odd % 2**256).to_bytes(32, "little") for odd in (s + L, s ^ 1)]
    else:
        s = int.from_bytes(signature[32:], "big")
        others = [(odd % 2**256).to_bytes(32, "big") for odd in (ORDER - s, s ^ 1)]
    return [signature[:32] + other for other in others]


def _invalid_of_p256(key: P256KeyPair, message: bytes) -> dict[str, bytes]:
    good = p256.sign(key, message)
    r, s = (int.from_bytes(half, "big") for half in (good[:32], good[32:]))

    def written(r: int, s: int) -> bytes:
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    negative = ORDER - int.from_bytes(key.seed, "big")
    return {
        "the higher s": written(r, ORDER - s),
        "minus r": written(ORDER - r, s),
        "r is nothing": written(0, s),
        "s is nothing": written(r, 0),
        "r is the order of the group": written(ORDER, s),
        "by the key of the same x": p256.sign(P256KeyPair(negative.to_bytes(32, "big")), message),
        "by an Ed25519 key of the same seed": sign(from_seed(key.seed), message),
        "a bit flipped": bytes([good[0] ^ 1]) + good[1:],
        "nothing at all": bytes(64),
    }


def _craft(seed: bytes, message: bytes, nonce_point: bytes, nonce: int) -> bytes:
    """The signature whose R is this encoding and whose S is nonce + challenge · secret scalar."""
    digits = bytearray(hashlib.sha512(seed).digest()[:32])
    digits[0] &= 248
    digits[31] = digits[31] & 127 | 64
    scalar = int.from_bytes(digits, "little")
    hashed = hashlib.sha512(nonce_point + from_seed(seed).public + message).digest()
    challenge = int.from_bytes(hashed, "little") % L
    return nonce_point + ((nonce + challenge * scalar) % L).to_bytes(32, "little")


def _valid_of_ed25519(seed: bytes, message: bytes) -> dict[str, bytes]:
    twisted = _encode(_add(_times(NONCE, BASE), ORDER_FOUR))
    return {
        "a nonce with torsion": _craft(seed, message, twisted, NONCE),
        "a nonce of small order": _craft(seed, message, _encode(ORDER_FOUR), 0),
        "the neutral point as a nonce": _craft(seed, message, _encode(NEUTRAL), 0),
    }


def _invalid_of_ed25519(seed: bytes, message: bytes) -> dict[str, bytes]:
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
