"""A checksum behind what a disk keeps: a disk that changes what it was given is found out."""

import hashlib
from typing import Final

CHECKSUM_BYTES: Final = 16


def sealed(content: bytes) -> bytes:
    """Return the content with its checksum behind it, as it is stored."""
    return content + hashlib.blake2b(content, digest_size=CHECKSUM_BYTES).digest()


def opened(stored: bytes | None) -> bytes | None:
    """Return what was sealed, or None if it is not that any more."""
    if stored is None or len(stored) < CHECKSUM_BYTES:
        return None
    content = stored[:-CHECKSUM_BYTES]
    checksum = hashlib.blake2b(content, digest_size=CHECKSUM_BYTES).digest()
    return content if checksum == stored[-CHECKSUM_BYTES:] else None
