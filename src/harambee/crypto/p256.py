"""ECDSA over P-256 with SHA-256 (FIPS 186-5), for keys that a phone's own hardware makes and keeps.

Android's Keystore, the secure enclave of an iPhone and a browser's WebCrypto have this curve and not
Ed25519. A public key is the x of a point, 32 bytes big-endian, and whether its y is odd. A signature
is r ‖ s, 64 bytes big-endian (IEEE P1363).

The validity rule: 0 < r < n, 0 < s ≤ n/2, the key a point of the curve, and the equation of FIPS
186-5. It leaves no case open in which two libraries differ, as there is for Ed25519. Of the two s that
satisfy the equation only the lower one is valid (decision 51): otherwise whoever sees a signature could
make another one of it. Hardware returns the higher one half of the time, and a handset puts `with_low_s`
between it and the network; no secret is needed for that.

The library is `cryptography`. It leaves the GIL free while it verifies, and not while it finds the y of
a key.
"""

import secrets
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from numpy.typing import NDArray

from harambee.crypto.rows import Rows, check_rows
from harambee.crypto.threads import over_threads

SCALAR_BYTES: Final = 32
SIGNATURE_BYTES: Final = 2 * SCALAR_BYTES
COMPRESSED_BYTES: Final = 1 + SCALAR_BYTES
UNCOMPRESSED_BYTES: Final = 1 + 2 * SCALAR_BYTES
ORDER: Final = 0xFFFFFFFF_00000000_FFFFFFFF_FFFFFFFF_BCE6FAAD_A7179E84_F3B9CAC2_FC632551
"""The order n of the curve's group, a prime."""
LOW_S_MAX: Final = ORDER // 2

_CURVE: Final = ec.SECP256R1()
_VERIFYING: Final = ec.ECDSA(SHA256())
_SIGNING: Final = ec.ECDSA(SHA256(), deterministic_signing=True)
"""With the nonce of RFC 6979: the same signature each time, and no dice that could fail."""


@dataclass(frozen=True, slots=True)
class P256KeyPair:
    """A signing key. Its text never shows the seed.

    The seed is the secret scalar, 32 bytes big-endian, from 1 to n - 1; ValueError if it is none. The
    public key, `public` and `is_odd`, is computed from it.
    """

    seed: bytes = field(repr=False)
    public: bytes = field(init=False)
    """The x of its point, 32 bytes."""
    is_odd: bool = field(init=False)
    """Whether the y of its point is odd."""

    def __post_init__(self) -> None:
        """Compute the public key."""
        if not isinstance(self.seed, bytes) or len(self.seed) != SCALAR_BYTES:
            message = f"a seed is {SCALAR_BYTES} bytes long"
            raise ValueError(message)
        if not 0 < int.from_bytes(self.seed, "big") < ORDER:
            raise ValueError("a P-256 seed lies between 0 and the order of the group")
        point = _secret_of(self.seed).public_key().public_numbers()
        object.__setattr__(self, "public", point.x.to_bytes(SCALAR_BYTES, "big"))
        object.__setattr__(self, "is_odd", point.y % 2 == 1)


def generate() -> P256KeyPair:
    """Return a new key pair from the operating system's randomness."""
    scalar = 1 + secrets.randbelow(ORDER - 1)
    return P256KeyPair(scalar.to_bytes(SCALAR_BYTES, "big"))


def sign(keypair: P256KeyPair, message: bytes) -> bytes:
    """Return the 64-byte signature of `message`, with the low s; the same each time."""
    r, s = decode_dss_signature(_secret_of(keypair.seed).sign(message, _SIGNING))
    return with_low_s(r.to_bytes(SCALAR_BYTES, "big") + s.to_bytes(SCALAR_BYTES, "big"))


def with_low_s(signature: bytes) -> bytes:
    """Return r ‖ s as the network takes it, of the r ‖ s that any signer made; it needs no secret."""
    s = int.from_bytes(signature[SCALAR_BYTES:], "big")
    if not LOW_S_MAX < s < ORDER:
        return signature
    return signature[:SCALAR_BYTES] + (ORDER - s).to_bytes(SCALAR_BYTES, "big")


def is_point(public: bytes) -> bool:
    """Say whether the curve has points with this x, 32 bytes; there are two of them then."""
    return len(public) == SCALAR_BYTES and _key_of(public, is_odd=False) is not None


def read_point(encoded: bytes) -> tuple[bytes, bool] | None:
    """Return x and whether y is odd, of a point as SEC 1 writes it; None if it is none of the curve's.

    That is 2 or 3 and x, or 4, x and y (SEC 1, section 2.3.3); the point at infinity is no key.
    """
    if len(encoded) not in (COMPRESSED_BYTES, UNCOMPRESSED_BYTES):
        return None
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, encoded)
    except ValueError:
        return None
    point = key.public_numbers()
    return point.x.to_bytes(SCALAR_BYTES, "big"), point.y % 2 == 1


def verify(public: bytes, message: bytes, signature: bytes, *, is_odd: bool) -> bool:
    """Say whether `signature` is the key's signature of `message`; False for wrong lengths too."""
    if len(public) != SCALAR_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    if not (0 < r < ORDER and 0 < s <= LOW_S_MAX):
        return False
    key = _key_of(public, is_odd=is_odd)
    if key is None:
        return False
    try:
        key.verify(encode_dss_signature(r, s), message, _VERIFYING)
    except InvalidSignature:
        return False
    return True


def verify_many(
    prefix: bytes,
    bodies: Rows,
    publics: Rows,
    are_odd: NDArray[np.bool_],
    signatures: Rows,
    threads: int = 1,
) -> NDArray[np.bool_]:
    """Say for each i whether `signatures[i]` is the signature of `prefix` ‖ `bodies[i]`.

    Shapes: bodies (n, m), publics (n, 32), are_odd (n,), signatures (n, 64); the answer is bool (n,).
    Row by row, over up to `threads` threads. ValueError for other shapes.
    """
    check_rows("bodies", bodies)
    count = len(bodies)
    check_rows("publics", publics, count=count, width=SCALAR_BYTES)
    check_rows("signatures", signatures, count=count, width=SIGNATURE_BYTES)
    valid = np.zeros(count, np.bool_)

    def work(start: int, stop: int) -> None:
        for i in range(start, stop):
            valid[i] = verify(
                publics[i].tobytes(),
                prefix + bodies[i].tobytes(),
                signatures[i].tobytes(),
                is_odd=bool(are_odd[i]),
            )

    over_threads(work, count, threads)
    return valid


def _secret_of(seed: bytes) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(seed, "big"), _CURVE)


def _key_of(public: bytes, *, is_odd: bool) -> ec.EllipticCurvePublicKey | None:
    """The point of this x and this sign of y, written as in SEC 1; None where the curve has none."""
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, bytes([2 + is_odd]) + public)
    except ValueError:
        return None
