"""BLAKE2b-256, and the tags that keep one kind of signed bytes from passing for another.

Whatever is signed, and whatever is named by its digest, begins with `signed_prefix`: 16 bytes that
say its role and 32 that say which network. So an order can never be replayed as a block, nor an
order of a test network as one of the real one. All tags have one length; no tag and body together
can be read as another tag with another body.
"""

import hashlib
from typing import Final, TypeAlias

import numpy as np

from harambee.crypto.kernels import DIGEST_BYTES, digest_rows
from harambee.crypto.rows import Rows, check_rows
from harambee.crypto.sodium import BLAKE2B

BytesLike: TypeAlias = bytes | bytearray | memoryview

TAG_BYTES: Final = 16
NETWORK_BYTES: Final = 32
PREFIX_BYTES: Final = TAG_BYTES + NETWORK_BYTES
assert PREFIX_BYTES == 48

# The 1 is the version of the format below the tag. Tags live in signatures: never change or reuse.
TAG_ORDER: Final = b"hrb1:order\0\0\0\0\0\0"
TAG_BLOCK: Final = b"hrb1:block\0\0\0\0\0\0"
TAG_RECEIPT: Final = b"hrb1:receipt\0\0\0\0"
TAG_POSSESSION: Final = b"hrb1:possession\0"  # the key of a new account signs for itself
TAG_CHECKPOINT: Final = b"hrb1:checkpoint\0"
TAG_GENESIS: Final = b"hrb1:genesis\0\0\0\0"
TAG_EVIDENCE: Final = b"hrb1:evidence\0\0\0"
TAG_REFUSAL: Final = b"hrb1:refusal\0\0\0\0"
TAG_PROFILE: Final = b"hrb1:profile\0\0\0\0"  # an account's key signs who its owner is
TAG_NAME_CHECK: Final = b"hrb1:name-check\0"  # an account's key signs whose name it asks for
TAG_DAY_CLOSE: Final = b"hrb1:day-close\0\0"  # a super-agent signs what a day made everybody owe
TAG_APPROVAL: Final = b"hrb1:approval\0\0\0"  # an operator approves, at one super-agent
TAG_REQUEST: Final = (
    b"hrb1:request\0\0\0\0"  # a super-agent took a merchant's request for a payment
)
TAG_REQUESTS_QUESTION: Final = (
    b"hrb1:requests?\0\0"  # an account's key asks what it is asked to pay
)
TAG_DECLINE: Final = b"hrb1:decline\0\0\0\0"  # an account's key declines a request
TAG_ANNOUNCEMENT: Final = (
    b"hrb1:announce\0\0\0"  # an account's key says what it is about to pay for
)
TAG_PHONE_PAPER: Final = b"hrb1:phone-desk\0"  # an operator opens or unlocks a feature phone

TAGS: Final = (
    TAG_ORDER,
    TAG_BLOCK,
    TAG_RECEIPT,
    TAG_POSSESSION,
    TAG_CHECKPOINT,
    TAG_GENESIS,
    TAG_EVIDENCE,
    TAG_REFUSAL,
    TAG_PROFILE,
    TAG_NAME_CHECK,
    TAG_DAY_CLOSE,
    TAG_APPROVAL,
    TAG_REQUEST,
    TAG_REQUESTS_QUESTION,
    TAG_DECLINE,
    TAG_ANNOUNCEMENT,
    TAG_PHONE_PAPER,
)
assert all(len(tag) == TAG_BYTES for tag in TAGS)
assert len(set(TAGS)) == len(TAGS)


def signed_prefix(tag: bytes, network: bytes) -> bytes:
    """Return the 48 bytes that go before whatever is signed in this role on this network.

    `tag` is one of TAGS, `network` the 32-byte digest of the genesis; ValueError for anything else.
    """
    if tag not in TAGS:
        message = "not a role tag of this program"
        raise ValueError(message)
    if len(network) != NETWORK_BYTES:
        message = f"a network is named by {NETWORK_BYTES} bytes, not {len(network)}"
        raise ValueError(message)
    return tag + network


def digest(*parts: BytesLike) -> bytes:
    """Return the 32-byte BLAKE2b-256 of the parts, one after the other.

    Where one part ends and the next begins is not hashed: give parts of fixed or stated length.
    """
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        state.update(part)
    return state.digest()


def digest_many(prefix: bytes, rows: Rows) -> Rows:
    """Return the (n, 32) BLAKE2b-256 digests of `prefix` ‖ row for each of (n, m) rows.

    The GIL is free meanwhile. ValueError if `rows` is no 2-D uint8 array of contiguous rows.
    """
    check_rows("rows", rows)
    count, width = rows.shape
    digests = np.empty((count, DIGEST_BYTES), np.uint8)
    scratch = np.empty(len(prefix) + width, np.uint8)
    scratch[: len(prefix)] = np.frombuffer(prefix, np.uint8)
    failed = digest_rows(
        BLAKE2B,
        scratch.ctypes.data,
        len(prefix),
        rows.ctypes.data,
        rows.strides[0],
        count,
        width,
        digests.ctypes.data,
    )
    assert failed == 0, "BLAKE2b-256 is defined for every input"
    return digests
