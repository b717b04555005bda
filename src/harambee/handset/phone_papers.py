"""What an operator signs to open a feature phone's account, or to unlock its PIN, at one super-agent.

Whoever may do this could open accounts in anybody's name, and let a thief guess PINs three by three. So it is
signed by an operator whose key that super-agent's configuration names, counts there alone, and counts once.
"""

from typing import Annotated, Final, Literal

import msgspec

from harambee.crypto.hashing import TAG_PHONE_PAPER, signed_prefix
from harambee.crypto.signatures import KeyPair, sign, verify
from harambee.texts.languages import Language

PAPER_BYTES_MAX: Final = 1_024
CLOCK_MS_MAX: Final = 300_000
"""So far may the clocks of operator and super-agent be apart; for so long no paper counts twice."""


class PaperError(ValueError):
    """This is no such paper; the message is one sentence."""


class PhonePaper(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an operator wants. Its JSON, byte for byte, is what is signed."""

    wish: Literal["register", "unlock"]
    super_agent: int
    """The index of the one at which it counts."""
    operator: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
    number: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
    """The telephone's."""
    time_ms: int
    name: Annotated[str, msgspec.Meta(max_length=60)] = ""
    pin: Annotated[str, msgspec.Meta(max_length=8)] = ""
    language: Language = Language.ENGLISH

    def __repr__(self) -> str:
        """Return what may be shown: neither person nor PIN."""
        return f"PhonePaper(wish={self.wish!r}, operator={self.operator!r})"

    def to_bytes(self) -> bytes:
        """Return the paper's bytes."""
        return msgspec.json.encode(self)


def read_paper(content: bytes) -> PhonePaper:
    """Return the paper in bytes, the signature not checked; PaperError if it is none."""
    if len(content) > PAPER_BYTES_MAX:
        raise PaperError("A paper is too long.")
    try:
        return msgspec.json.decode(content, type=PhonePaper)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # From None: the error would quote what was sent, and a PIN is in it.
        raise PaperError("This is no paper of an operator's.") from None


def sign_paper(keypair: KeyPair, network: bytes, content: bytes) -> bytes:
    """Return an operator's 64-byte signature of a paper."""
    return sign(keypair, signed_prefix(TAG_PHONE_PAPER, network) + content)


def is_paper_of(key: bytes, network: bytes, content: bytes, signature: bytes) -> bool:
    """Say whether the holder of a key has signed a paper."""
    return verify(key, signed_prefix(TAG_PHONE_PAPER, network) + content, signature)
