"""Telephone numbers as people write them, in the one form that the directory hashes: +2547..."""

import re
from typing import Final

_SEPARATORS: Final = re.compile(r"[ \-().]+", re.ASCII)
_LOCAL: Final = re.compile(r"0([17][0-9]{8})", re.ASCII)
_INTERNATIONAL: Final = re.compile(r"\+?(254[17][0-9]{8})", re.ASCII)
LENGTH_MAX: Final = 32


class TelephoneError(ValueError):
    """A text that is not a telephone number; the message is one sentence and does not repeat it."""


def telephone(text: str) -> str:
    """Return a Kenyan mobile number, in any usual spelling, in the form +254712345678."""
    bare = _SEPARATORS.sub("", text) if len(text) <= LENGTH_MAX else ""
    if match := _LOCAL.fullmatch(bare):
        return f"+254{match[1]}"
    if match := _INTERNATIONAL.fullmatch(bare):
        return f"+{match[1]}"
    message = "This is not a mobile number: write it as 0712345678 or +254712345678."
    raise TelephoneError(message)


def looks_like_telephone(text: str) -> bool:
    """Say whether `text` is a telephone number and not an account number."""
    try:
        telephone(text)
    except TelephoneError:
        return False
    return True
