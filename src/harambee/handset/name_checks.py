"""Questions for a payee's name, as the asker signs them before the money goes (Hakikisha).

The signature shows which account asks, so that its questions can be counted; the time, that the
question is a new one. docs/wire.md, section 14, is the layout.
"""

import struct
from dataclasses import dataclass
from typing import Final

from harambee.crypto.hashing import TAG_NAME_CHECK, signed_prefix
from harambee.crypto.keys import OwnerKey, PublicKey, sign, verify

_BODY: Final = struct.Struct("<IIQ")
BODY_BYTES: Final = 16
QUESTION_BYTES: Final = BODY_BYTES + 64
assert _BODY.size == BODY_BYTES


class QuestionError(ValueError):
    """These bytes are no question; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Question:
    """Account `asker` wants to know whose account `payee` is."""

    asker: int
    payee: int
    time_us: int
    """When it was signed, by the asker's clock: microseconds since 1970 UTC."""

    def to_bytes(self) -> bytes:
        """Return the 16 bytes that are signed."""
        return _BODY.pack(self.asker, self.payee, self.time_us)


def sign_question(keypair: OwnerKey, network: bytes, question: Question) -> bytes:
    """Return the 80 bytes of a signed question."""
    body = question.to_bytes()
    return body + sign(keypair, signed_prefix(TAG_NAME_CHECK, network) + body)


def read_question(signed: bytes) -> Question:
    """Return the question in 80 bytes, the signature not checked; QuestionError if it is none."""
    if len(signed) != QUESTION_BYTES:
        raise QuestionError(f"A question for a name has {QUESTION_BYTES} bytes.")
    return Question(*_BODY.unpack_from(signed))


def is_asked_by(signed: bytes, network: bytes, key: PublicKey) -> bool:
    """Say whether the owner of this key signed the question."""
    prefix = signed_prefix(TAG_NAME_CHECK, network)
    return verify(key, prefix + signed[:BODY_BYTES], signed[BODY_BYTES:])
