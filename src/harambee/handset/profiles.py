"""Profiles: who owns an account, as its owner signs it; and the little of it that a payer is shown.

A profile is a name, a telephone number, a language and documents. It travels from the owner to the
super-agents that hold it (docs/profiles.md) and is in no block and in no ledger. `docs/wire.md`,
section 14, is its layout; everything here that reads it faces strangers and is bounded.
"""

import struct
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from harambee.crypto.hashing import TAG_PROFILE, signed_prefix
from harambee.crypto.keys import OwnerKey, PublicKey, sign, verify
from harambee.handset.telephone import TelephoneError, telephone
from harambee.ledger.records import AccountKind
from harambee.texts.languages import Language

FORMAT: Final = 1
SIGNATURE_BYTES: Final = 64
NAME_CHARACTERS_MAX: Final = 60
NAME_BYTES_MAX: Final = 240
NUMBER_BYTES_MAX: Final = 13
DOCUMENTS_MAX: Final = 4
LABEL_BYTES_MAX: Final = 64
PROFILE_BYTES_MAX: Final = 128 << 10
"""A whole signed profile. Photographs are made smaller before they are sent."""
U32_MAX: Final = (1 << 32) - 1

LANGUAGES: Final = (Language.ENGLISH, Language.SWAHILI)
"""By their codes in profiles."""

_HEAD: Final = struct.Struct("<HIIBBBB")
_DOCUMENT: Final = struct.Struct("<BI")
assert _HEAD.size == 14

TRADES: Final = frozenset(
    {
        AccountKind.AGENT,
        AccountKind.MERCHANT,
        AccountKind.BUSINESS,
        AccountKind.BANK,
        AccountKind.POCHI,
    }
)
"""Who trades is known by the name over the door: it is shown whole."""


class ProfileError(ValueError):
    """This is no profile; the message is one sentence and repeats nothing of what was sent."""


@dataclass(frozen=True, slots=True)
class ProfileDocument:
    """A document that shows who somebody is, or a description of one."""

    label: str = field(repr=False)
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Profile:
    """Who owns an account. Its text never shows the person."""

    account: int
    version: int
    """From 1; a higher one replaces a lower one, and never the other way."""
    name: str = field(repr=False)
    number: str | None = field(default=None, repr=False)
    """In the form +254712345678."""
    language: Language = Language.ENGLISH
    """In which the owner is written to."""
    documents: tuple[ProfileDocument, ...] = field(default=(), repr=False)

    def to_bytes(self) -> bytes:
        """Return what the owner signs; ProfileError if it cannot be a profile."""
        name = checked_name(self.name).encode()
        number = b"" if self.number is None else _checked_number(self.number).encode("ascii")
        if not 0 < self.version <= U32_MAX or not 0 <= self.account <= U32_MAX:
            raise ProfileError("An account and a version are numbers of 32 bits.")
        if len(self.documents) > DOCUMENTS_MAX:
            raise ProfileError(f"A profile has at most {DOCUMENTS_MAX} documents.")
        head = _HEAD.pack(
            FORMAT,
            self.account,
            self.version,
            LANGUAGES.index(self.language),
            len(name),
            len(number),
            len(self.documents),
        )
        body = b"".join((head, name, number, *map(_document_bytes, self.documents)))
        if len(body) + SIGNATURE_BYTES > PROFILE_BYTES_MAX:
            raise ProfileError(
                f"A profile with its documents has at most {PROFILE_BYTES_MAX >> 10} KiB."
            )
        return body


def sign_profile(keypair: OwnerKey, network: bytes, profile: Profile) -> bytes:
    """Return the signed profile: its bytes and the owner's signature; ProfileError if it is none."""
    body = profile.to_bytes()
    return body + sign(keypair, signed_prefix(TAG_PROFILE, network) + body)


def read_profile(signed: bytes) -> Profile:
    """Return the profile in signed bytes, the signature not checked; ProfileError if it is none."""
    if len(signed) > PROFILE_BYTES_MAX:
        raise ProfileError(f"A profile has at most {PROFILE_BYTES_MAX >> 10} KiB.")
    reader = _Reader(signed[:-SIGNATURE_BYTES])
    format_, account, version, language, name_bytes, number_bytes, documents = _HEAD.unpack(
        reader.take(_HEAD.size)
    )
    if format_ != FORMAT:
        raise ProfileError(f"This is no profile of format {FORMAT}.")
    if language >= len(LANGUAGES):
        raise ProfileError("A profile's language is 0 (English) or 1 (Swahili).")
    if documents > DOCUMENTS_MAX:
        raise ProfileError(f"A profile has at most {DOCUMENTS_MAX} documents.")
    name = reader.text(name_bytes)
    number = reader.text(number_bytes) or None
    found = []
    for _ in range(documents):
        label_bytes, content_bytes = _DOCUMENT.unpack(reader.take(_DOCUMENT.size))
        found.append(ProfileDocument(reader.text(label_bytes), reader.take(content_bytes)))
    reader.end()
    profile = Profile(account, version, name, number, LANGUAGES[language], tuple(found))
    if profile.to_bytes() != signed[:-SIGNATURE_BYTES]:
        raise ProfileError("This profile is not written as a profile is.")
    return profile


def is_signed(signed: bytes, network: bytes, key: PublicKey) -> bool:
    """Say whether the owner of this key signed the profile."""
    body, signature = signed[:-SIGNATURE_BYTES], signed[-SIGNATURE_BYTES:]
    return verify(key, signed_prefix(TAG_PROFILE, network) + body, signature)


def checked_name(text: str) -> str:
    """Return a name that can be shown to others; ProfileError if this is none.

    Letters of any language, with single spaces. What could turn the line around on a screen, or
    pass for something else than a name, is refused.
    """
    if len(text) > NAME_CHARACTERS_MAX or len(text.encode(errors="replace")) > NAME_BYTES_MAX:
        raise ProfileError(f"A name has at most {NAME_CHARACTERS_MAX} characters.")
    if not text.strip() or text != " ".join(text.split()):
        raise ProfileError("A name is one or more words with one space between them.")
    if unicodedata.normalize("NFC", text) != text or not all(map(_may_stand_in_name, text)):
        raise ProfileError("A name has letters, digits, spaces and . , ' & / ( ) - only.")
    return text


def masked_name(name: str, kind: AccountKind) -> str:
    """Return what a payer sees of a name, in capitals.

    Of a person the first name and the initial of the last one ("BRIAN K."), never what stands
    between; of whoever trades, the whole.
    """
    words = name.upper().split()
    if kind in TRADES or len(words) == 1:
        return " ".join(words)
    first, last = words[0], words[-1]
    return f"{first} {last[0]}." if last[0].isalpha() else f"{first} {last}"


def documents_of(files: Sequence[tuple[str, bytes]]) -> tuple[ProfileDocument, ...]:
    """Return documents of (label, content) pairs."""
    return tuple(ProfileDocument(label, content) for label, content in files)


def _may_stand_in_name(character: str) -> bool:
    return character in " .,'’&/()-" or unicodedata.category(character)[0] in "LMN"


def _checked_number(number: str) -> str:
    try:
        canonical = telephone(number)
    except TelephoneError as error:
        raise ProfileError(str(error)) from None
    if canonical != number:
        raise ProfileError("A profile's number is written as +254712345678.")
    return number


def _document_bytes(document: ProfileDocument) -> bytes:
    label = document.label.encode(errors="replace")
    if not 0 < len(label) <= LABEL_BYTES_MAX or not document.label.isprintable():
        raise ProfileError(f"A document's name has 1 to {LABEL_BYTES_MAX} printable bytes.")
    return _DOCUMENT.pack(len(label), len(document.content)) + label + document.content


class _Reader:
    """Takes bytes from the front; ProfileError where there are too few."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise ProfileError("This profile ends too early.")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def text(self, count: int) -> str:
        try:
            return self.take(count).decode()
        except UnicodeDecodeError:
            raise ProfileError("A text of this profile is not UTF-8.") from None

    def end(self) -> None:
        if self._at != len(self._data):
            raise ProfileError("This profile has bytes beyond its end.")
