"""PINs: four digits, of which a holder keeps a slow hash with a salt, sealed.

Four digits are ten thousand. Against somebody who has both a holder's disk and its sealing key no hash
helps, however slow. So what guards a PIN is the key that seals the row, which lies in a file of its own
(`crypto.vault`), and that wrong tries are counted before a PIN is looked at; the hash is for whoever sees a
row opened, in memory or in a dump, and must still not read what people use elsewhere too.
"""

import hmac
import re
import secrets
from typing import Final

from nacl import pwhash

PIN_DIGITS: Final = 4
SALT_BYTES: Final = pwhash.argon2id.SALTBYTES
VERIFIER_BYTES: Final = 32
MEMORY_BYTES: Final = 32 << 20
PASSES: Final = 3
"""Some tens of milliseconds: a person waits for a network anyway, and a door serves few at once."""

_PIN: Final = re.compile(rf"[0-9]{{{PIN_DIGITS}}}", re.ASCII)
_WEAK: Final = frozenset({"1234", "4321", "0123", *(digit * PIN_DIGITS for digit in "0123456789")})


class PinError(ValueError):
    """No PIN that somebody may choose; the message is one sentence and does not repeat it."""


def is_pin(text: str) -> bool:
    """Say whether a text has the form of a PIN."""
    return _PIN.fullmatch(text) is not None


def check_new_pin(text: str) -> None:
    """Raise PinError unless somebody may choose this PIN."""
    if not is_pin(text):
        raise PinError(f"A PIN has {PIN_DIGITS} digits.")
    if text in _WEAK:
        raise PinError("This PIN is too easy to guess; choose another one.")


def new_salt() -> bytes:
    """Return a salt for a new PIN."""
    return secrets.token_bytes(SALT_BYTES)


def verifier_of(pin: str, salt: bytes) -> bytes:
    """Return what is kept of a PIN: Argon2id, 32 bytes. It takes long; call it in a thread."""
    hashed: bytes = pwhash.argon2id.kdf(
        VERIFIER_BYTES, pin.encode(), salt, opslimit=PASSES, memlimit=MEMORY_BYTES
    )
    return hashed


def is_right(pin: str, salt: bytes, verifier: bytes) -> bool:
    """Say whether this is the PIN; as slow as `verifier_of`, and as long for a wrong one."""
    return hmac.compare_digest(verifier_of(pin, salt), verifier)
