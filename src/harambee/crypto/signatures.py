"""Ed25519 by libsodium: one signature at a time, and whole blocks of them off the GIL.

The validity rule is libsodium's, and it is part of the protocol: the equation without cofactor,
S below the group's order, R and the public key canonical and not of small order. Two replicas that
judged one signature differently would disagree about money, so single and batch both ask
`crypto_sign_open`; there is no batch equation here, which would accept what the single one refuses.

In a batch, message i is `prefix` ‖ `bodies[i]`; see `harambee.crypto.rows` for the arrays and
`harambee.crypto.sodium` for how a kernel reaches libsodium.
"""

import secrets
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError
from numba import njit
from numpy.typing import NDArray

from harambee.crypto.rows import Rows, check_rows
from harambee.crypto.sodium import SIGN, SIGN_OPEN, SIGN_SEED_KEYPAIR, call, copy_bytes
from harambee.crypto.threads import over_threads

SEED_BYTES: Final = 32
PUBLIC_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
SECRET_BYTES: Final = 64  # libsodium's secret key: seed ‖ public
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
        _verify_kernel(
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
        failed = _sign_kernel(
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
        failed = _keys_kernel(
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


@njit(nogil=True, cache=True)
def _verify_kernel(
    sign_open: int,
    signed: int,
    prefix_length: int,
    width: int,
    bodies: int,
    body_stride: int,
    publics: int,
    public_stride: int,
    signatures: int,
    signature_stride: int,
    valid: NDArray[np.uint8],
    start: int,
    stop: int,
) -> None:
    """Set valid[start:stop] to 1 where libsodium accepts the signature, to 0 elsewhere."""
    body_place = signed + SIGNATURE_BYTES + prefix_length
    length = SIGNATURE_BYTES + prefix_length + width
    for i in range(start, stop):
        copy_bytes(signed, signatures + i * signature_stride, SIGNATURE_BYTES)
        copy_bytes(body_place, bodies + i * body_stride, width)
        public = publics + i * public_stride
        valid[i] = call(sign_open, (0, 0, signed, length, public)) == 0


@njit(nogil=True, cache=True)
def _sign_kernel(
    sign_: int,
    signed: int,
    prefix_length: int,
    width: int,
    bodies: int,
    body_stride: int,
    secrets_: int,
    secret_stride: int,
    signatures: int,
    start: int,
    stop: int,
) -> int:
    """Write signatures[start:stop]; return how many calls failed."""
    failed = 0
    message = signed + SIGNATURE_BYTES
    length = prefix_length + width
    for i in range(start, stop):
        copy_bytes(message + prefix_length, bodies + i * body_stride, width)
        failed += call(sign_, (signed, 0, message, length, secrets_ + i * secret_stride)) != 0
        copy_bytes(signatures + i * SIGNATURE_BYTES, signed, SIGNATURE_BYTES)
    return failed


@njit(nogil=True, cache=True)
def _keys_kernel(
    seed_keypair: int,
    public: int,
    seeds: int,
    seed_stride: int,
    secret_keys: int,
    start: int,
    stop: int,
) -> int:
    """Write secret_keys[start:stop]; return how many calls failed."""
    failed = 0
    for i in range(start, stop):
        target = secret_keys + i * SECRET_BYTES
        failed += call(seed_keypair, (public, target, seeds + i * seed_stride)) != 0
    return failed
