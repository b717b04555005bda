"""Ed25519 by libsodium: one signature at a time, and whole blocks of them off the GIL.

The validity rule is libsodium's, and it is part of the protocol: the equation without cofactor,
S below the group's order, R and the public key canonical and not of small order. Two replicas that
judged one signature differently would disagree about money, so single and batch both ask
`crypto_sign_open`; there is no batch equation here, which would accept what the single one refuses.

In a batch, message i is `prefix` ‖ `bodies[i]`; see `harambee.crypto.rows` for the arrays and
`harambee.crypto.kernels` for the loops over them.
"""

import secrets
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError
from numpy.typing import NDArray

from harambee.crypto.kernels import (
    SECRET_BYTES,
    SIGNATURE_BYTES,
    keys_of_rows,
    sign_rows,
    verify_rows,
)
from harambee.crypto.rows import Rows, check_rows
from harambee.crypto.sodium import SIGN, SIGN_OPEN, SIGN_SEED_KEYPAIR
from harambee.crypto.threads import over_threads

SEED_BYTES: Final = 32
PUBLIC_BYTES: Final = 32
assert SECRET_BYTES == SEED_BYTES + PUBLIC_BYTES


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A signing key. Its text never shows the seed.

    The public key (32 bytes) is always computed from the seed (32 bytes): signing with a public key
    that belongs to another seed would give the secret away. ValueError if the seed has another
    length.
    """

    seed: bytes = field(repr=False)
    public: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Compute the public key."""
        if not isinstance(self.seed, bytes) or len(self.seed) != SEED_BYTES:
            message = f"a seed is {SEED_BYTES} bytes long"
            raise ValueError(message)
        public, _ = crypto_sign_seed_keypair(self.seed)
        object.__setattr__(self, "public", public)

    @property
    def secret(self) -> bytes:
        """Return libsodium's 64-byte secret key: seed ‖ public."""
        return self.seed + self.public


def generate() -> KeyPair:
    """Return a new key pair from the operating system's randomness."""
    return KeyPair(secrets.token_bytes(SEED_BYTES))


def from_seed(seed: bytes) -> KeyPair:
    """Return the key pair of a 32-byte seed; ValueError for another length."""
    return KeyPair(seed)


def sign(keypair: KeyPair, message: bytes) -> bytes:
    """Return the 64-byte signature of `message`; the same each time."""
    return crypto_sign(message, keypair.secret)[:SIGNATURE_BYTES]


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether `signature` is the key's signature of `message`; False for wrong lengths too."""
    if len(public) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(b"".join((signature, message)), bytes(public))
    except BadSignatureError:
        return False
    return True


def verify_many(
    prefix: bytes, bodies: Rows, publics: Rows, signatures: Rows, threads: int = 1
) -> NDArray[np.bool_]:
    """Say for each i whether `signatures[i]` is the signature of `prefix` ‖ `bodies[i]`.

    Shapes: bodies (n, m), publics (n, 32), signatures (n, 64); the answer is bool (n,). The GIL is
    free meanwhile, and the work is split over up to `threads` threads. ValueError for other shapes.
    """
    check_rows("bodies", bodies)
    count, width = bodies.shape
    check_rows("publics", publics, count=count, width=PUBLIC_BYTES)
    check_rows("signatures", signatures, count=count, width=SIGNATURE_BYTES)
    valid = np.zeros(count, np.uint8)

    def work(start: int, stop: int) -> None:
        signed = _signed_scratch(prefix, width)
        verify_rows(
            SIGN_OPEN,
            signed.ctypes.data,
            len(prefix),
            width,
            bodies.ctypes.data,
            bodies.strides[0],
            publics.ctypes.data,
            publics.strides[0],
            signatures.ctypes.data,
            signatures.strides[0],
            valid,
            start,
            stop,
        )

    over_threads(work, count, threads)
    return valid.view(np.bool_)


def sign_many(prefix: bytes, bodies: Rows, secrets_: Rows, threads: int = 1) -> Rows:
    """Return the (n, 64) signatures of `prefix` ‖ `bodies[i]` under the secret keys.

    Shapes: bodies (n, m), secrets_ (n, 64) as `secret_keys_from_seeds` makes them: a row whose
    halves do not belong together gives its seed away. Off the GIL; ValueError for other shapes.
    """
    check_rows("bodies", bodies)
    count, width = bodies.shape
    check_rows("secrets_", secrets_, count=count, width=SECRET_BYTES)
    signatures = np.empty((count, SIGNATURE_BYTES), np.uint8)

    def work(start: int, stop: int) -> None:
        signed = _signed_scratch(prefix, width)
        failed = sign_rows(
            SIGN,
            signed.ctypes.data,
            len(prefix),
            width,
            bodies.ctypes.data,
            bodies.strides[0],
            secrets_.ctypes.data,
            secrets_.strides[0],
            signatures.ctypes.data,
            start,
            stop,
        )
        assert failed == 0, "libsodium signs any message with any 64 bytes"

    over_threads(work, count, threads)
    return signatures


def secret_keys_from_seeds(seeds: Rows, threads: int = 1) -> Rows:
    """Return the (n, 64) secret keys, seed ‖ public, of (n, 32) seeds; `[:, 32:]` is public.

    Off the GIL; ValueError for other shapes.
    """
    check_rows("seeds", seeds, width=SEED_BYTES)
    count = seeds.shape[0]
    secret_keys = np.empty((count, SECRET_BYTES), np.uint8)

    def work(start: int, stop: int) -> None:
        public = np.empty(PUBLIC_BYTES, np.uint8)
        failed = keys_of_rows(
            SIGN_SEED_KEYPAIR,
            public.ctypes.data,
            seeds.ctypes.data,
            seeds.strides[0],
            secret_keys.ctypes.data,
            start,
            stop,
        )
        assert failed == 0, "libsodium makes a key of any seed"

    over_threads(work, count, threads)
    return secret_keys


def _signed_scratch(prefix: bytes, width: int) -> NDArray[np.uint8]:
    """Return room for signature ‖ prefix ‖ body, with the prefix in its place."""
    signed = np.zeros(SIGNATURE_BYTES + len(prefix) + width, np.uint8)
    signed[SIGNATURE_BYTES : SIGNATURE_BYTES + len(prefix)] = np.frombuffer(prefix, np.uint8)
    return signed
