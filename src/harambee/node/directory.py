"""The directory's hash: how a number becomes an alias that says nothing to an outsider.

The ledger knows accounts and never numbers. An alias is the keyed hash of a number in its one
canonical form; the key is the committee's. Whoever holds the key can try all numbers of a country
in minutes, so it is a secret like a signing key (SECURITY.md says what a leak exposes).
"""

import hashlib
from typing import Final

from harambee.handset.numbers import canonical_number
from harambee.handset.telephone import telephone

KEY_BYTES: Final = 32
ALIAS_BYTES: Final = 32


def canonical_msisdn(text: str) -> str:
    """Return the +254 form of a Kenyan mobile number however it is written.

    "0700 000001", "254700000001" and "+254 700 000 001" all give "+254700000001". TelephoneError, a
    ValueError whose message is one sentence, for anything else.
    """
    return telephone(text)


def alias_of(key: bytes, text: str) -> bytes:
    """Return the alias, 32 bytes, of a telephone number or short code under the committee's key.

    Keyed BLAKE2b-256 (RFC 7693) over the canonical form in ASCII, with the key of 32 bytes.
    TelephoneError as `canonical_number`; ValueError for a key of another length.
    """
    if len(key) != KEY_BYTES:
        raise ValueError(f"the directory key is {KEY_BYTES} bytes long, not {len(key)}")
    return alias_of_canonical(key, canonical_number(text))


def alias_of_canonical(key: bytes, number: str) -> bytes:
    """Return the alias of a number that has its canonical form already."""
    return hashlib.blake2b(number.encode("ascii"), digest_size=ALIAS_BYTES, key=key).digest()
