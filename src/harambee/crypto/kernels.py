"""The batch loops: verify, sign, make keys and hash for a whole block in one call, off the GIL.

Each is the compiled twin of a function in `harambee.crypto.signatures` or
`harambee.crypto.hashing`, which check the shapes, hold the arrays and hand over addresses; property
tests hold the two together. `harambee.crypto.sodium` says how a kernel reaches libsodium and what
it must not do.

Every argument is an address, a length or a stride in bytes, or a row number (int64).
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from harambee.crypto.sodium import call, copy_bytes

DIGEST_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
SECRET_BYTES: Final = 64  # libsodium's secret key: seed ‖ public


@njit(nogil=True, cache=True)
def open_rows(
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
    """Set valid[start:stop] to 1 where libsodium accepts the signature, to 0 elsewhere.

    What it accepts is valid; what it refuses may be, see `harambee.crypto.signatures`.
    """
    body_place = signed + SIGNATURE_BYTES + prefix_length
    length = SIGNATURE_BYTES + prefix_length + width
    for i in range(start, stop):
        copy_bytes(signed, signatures + i * signature_stride, SIGNATURE_BYTES)
        copy_bytes(body_place, bodies + i * body_stride, width)
        public = publics + i * public_stride
        valid[i] = call(sign_open, (0, 0, signed, length, public)) == 0


@njit(nogil=True, cache=True)
def sign_rows(
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
def keys_of_rows(
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


@njit(nogil=True, cache=True)
def digest_rows(
    blake2b: int,
    scratch: int,
    prefix_length: int,
    rows: int,
    stride: int,
    count: int,
    width: int,
    digests: int,
) -> int:
    """Hash each row behind the prefix that scratch begins with; return how many calls failed."""
    failed = 0
    length = prefix_length + width
    for i in range(count):
        copy_bytes(scratch + prefix_length, rows + i * stride, width)
        target = digests + i * DIGEST_BYTES
        failed += call(blake2b, (target, DIGEST_BYTES, scratch, length, 0, 0, 0, 0)) != 0
    return failed
