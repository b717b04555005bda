"""Ed25519: one signature at a time, and whole blocks of them off the GIL.

The validity rule is part of the protocol, for two replicas that judged one signature differently
would disagree about money. It is that of RFC 8032, section 5.1.7, with the cofactor, and one
condition more; together they are algorithm 2 of Chalkias, Garillot and Nikolaenko, "Taming the many
EdDSAs" (2020):

- S, the second half of the signature, is below L, the order of the group;
- R, the first half, and the public key A are the canonical encodings of points;
- A is not of small order: 8·A is not neutral;
- 8·S·B = 8·R + 8·k·A, where k is SHA-512(R ‖ A ‖ message) modulo L.

The factor 8 is what makes the rule the same for one signature and for many in one equation
(`harambee.crypto.ed25519`). What libsodium accepts is valid by this rule, so a single signature is
shown to libsodium first; what it refuses may be valid, so the rule itself is then computed. The
condition on A is there because a key of small order signs whatever one likes, and 32 zero bytes,
which are the key of an account that has none, are such a key.

In a batch, message i is `prefix` ‖ `bodies[i]`; see `harambee.crypto.rows` for the arrays and
`harambee.crypto.kernels` for the loops over them.
"""

import secrets
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Protocol

import numpy as np
from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError
from numpy.typing import NDArray

from harambee.crypto.ed25519.batch import judge_rows, verify_rows
from harambee.crypto.ed25519.kernels import KEY_GOOD, KEY_NOT_A_POINT, KEY_OF_SMALL_ORDER
from harambee.crypto.kernels import (
    SECRET_BYTES,
    SIGNATURE_BYTES,
    keys_of_rows,
    open_rows,
    sign_rows,
)
from harambee.crypto.rows import Rows, check_rows
from harambee.crypto.sodium import SIGN, SIGN_OPEN, SIGN_SEED_KEYPAIR
from harambee.crypto.threads import over_threads

SEED_BYTES: Final = 32
PUBLIC_BYTES: Final = 32
FEWEST_TOGETHER: Final = 2
"""So few signatures are checked sooner by libsodium than by one equation."""
assert SECRET_BYTES == SEED_BYTES + PUBLIC_BYTES


class KeyFault(IntEnum):
    """Why no signature can be, or must be, of a public key."""

    NONE = 0
    NOT_A_POINT = 1
    """The 32 bytes are no canonical encoding of a point: nobody can sign."""
    SMALL_ORDER = 2
    """A point of small order: anybody could sign, so no signature counts."""


assert (KeyFault.NONE, KeyFault.NOT_A_POINT, KeyFault.SMALL_ORDER) == (
    KEY_GOOD,
    KEY_NOT_A_POINT,
    KEY_OF_SMALL_ORDER,
)


class Signer(Protocol):
    """Whoever can sign: a key pair, or a device that keeps its key to itself."""

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of `message`; the same each time."""


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

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of `message`; the same each time."""
        return crypto_sign(message, self.secret)[:SIGNATURE_BYTES]


def generate() -> KeyPair:
    """Return a new key pair from the operating system's randomness."""
    return KeyPair(secrets.token_bytes(SEED_BYTES))


def from_seed(seed: bytes) -> KeyPair:
    """Return the key pair of a 32-byte seed; ValueError for another length."""
    return KeyPair(seed)


def sign(signer: Signer, message: bytes) -> bytes:
    """Return the 64-byte signature of `message`; the same each time."""
    return signer.sign(message)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether `signature` is the key's signature of `message`; False for wrong lengths too."""
    if len(public) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(b"".join((signature, message)), bytes(public))
    except BadSignatureError:
        none, key, mark = (_row(part) for part in (b"", public, signature))
        valid = np.zeros(1, np.uint8)
        verify_rows(bytes(message), none, key, mark, valid, 0, 1)
        return bool(valid[0])
    return True


def verify_many(
    prefix: bytes, bodies: Rows, publics: Rows, signatures: Rows, threads: int = 1
) -> NDArray[np.bool_]:
    """Say for each i whether `signatures[i]` is a valid signature of `prefix` ‖ `bodies[i]`.

    Shapes: bodies (n, m), publics (n, 32), signatures (n, 64); the answer is bool (n,). The GIL is
    free meanwhile, and the work is split over up to `threads` threads. ValueError for other shapes.
    """
    count = _check_signed(bodies, publics, signatures)
    valid = np.zeros(count, np.uint8)

    def work(start: int, stop: int) -> None:
        if stop - start > FEWEST_TOGETHER:
            verify_rows(prefix, bodies, publics, signatures, valid, start, stop)
            return
        _open(prefix, bodies, publics, signatures, valid, start, stop)
        for row in range(start, stop):
            if not valid[row]:
                verify_rows(prefix, bodies, publics, signatures, valid, row, row + 1)

    over_threads(work, count, threads)
    return valid.view(np.bool_)


def open_many(prefix: bytes, bodies: Rows, publics: Rows, signatures: Rows) -> NDArray[np.bool_]:
    """Say for each i whether libsodium accepts `signatures[i]`: only if it is valid, not whenever.

    Shapes and errors as in `verify_many`; what that is measured against.
    """
    count = _check_signed(bodies, publics, signatures)
    valid = np.zeros(count, np.uint8)
    _open(prefix, bodies, publics, signatures, valid, 0, count)
    return valid.view(np.bool_)


def _check_signed(bodies: Rows, publics: Rows, signatures: Rows) -> int:
    """Return how many rows there are; ValueError unless the three arrays fit together."""
    check_rows("bodies", bodies)
    count: int = bodies.shape[0]
    check_rows("publics", publics, count=count, width=PUBLIC_BYTES)
    check_rows("signatures", signatures, count=count, width=SIGNATURE_BYTES)
    return count


def _open(
    prefix: bytes,
    bodies: Rows,
    publics: Rows,
    signatures: Rows,
    valid: NDArray[np.uint8],
    start: int,
    stop: int,
) -> None:
    """Set valid[start:stop] to what libsodium says of those rows."""
    width = bodies.shape[1]
    signed = _signed_scratch(prefix, width)
    open_rows(
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


def key_faults(publics: Rows, threads: int = 1) -> NDArray[np.uint8]:
    """Return the KeyFault of each of (n, 32) public keys, (n,).

    Off the GIL, over up to `threads` threads; ValueError for other shapes.
    """
    check_rows("publics", publics, width=PUBLIC_BYTES)
    together = np.ascontiguousarray(publics)
    faults = np.empty(len(together), np.uint8)
    over_threads(
        lambda start, stop: judge_rows(together, faults, start, stop), len(together), threads
    )
    return faults


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


def _row(content: bytes) -> Rows:
    """Return bytes as an array of one row."""
    return np.frombuffer(content, np.uint8).reshape(1, len(content))


def _signed_scratch(prefix: bytes, width: int) -> NDArray[np.uint8]:
    """Return room for signature ‖ prefix ‖ body, with the prefix in its place."""
    signed = np.zeros(SIGNATURE_BYTES + len(prefix) + width, np.uint8)
    signed[SIGNATURE_BYTES : SIGNATURE_BYTES + len(prefix)] = np.frombuffer(prefix, np.uint8)
    return signed
