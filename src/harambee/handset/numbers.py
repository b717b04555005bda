"""Numbers as people type them: telephones and short codes, in the one form that the directory hashes.

Agents, tills and paybills have short codes, and every telephone may have a pochi beside its own
account. The word before a code belongs to it: till 123456 and agent 123456 are two numbers.
"""

import re
from typing import Final

from harambee.handset.telephone import LENGTH_MAX, TelephoneError, looks_like_telephone, telephone

_SHORT_CODE: Final = re.compile(r"(agent|till|paybill)[ :-]?([0-9]{5,7})", re.ASCII | re.IGNORECASE)
_WORD: Final = re.compile(r"(agent|till|paybill)\b", re.ASCII | re.IGNORECASE)
_SHORT_WORD: Final = re.compile(r"(agent|till|paybill|pochi)[ :]", re.ASCII | re.IGNORECASE)
_POCHI: Final = re.compile(r"pochi[ :-]?(.+)", re.ASCII | re.IGNORECASE)


def canonical_number(text: str) -> str:
    """Return a number in the one form that stands for it; TelephoneError, one sentence, if it is none.

    "0712 345678" gives "+254712345678", "Till 123456" gives "till:123456", and "pochi 0712345678"
    gives "pochi:+254712345678".
    """
    bare = text.strip() if len(text) <= LENGTH_MAX else ""
    if match := _SHORT_CODE.fullmatch(bare):
        return f"{match[1].lower()}:{match[2]}"
    if match := _POCHI.fullmatch(bare):
        return f"pochi:{telephone(match[1])}"
    if match := _WORD.match(bare):
        word = match[1].lower()
        raise TelephoneError(f"This is not a short code: write it as {word} 123456.")
    return telephone(text)


def looks_like_number(text: str) -> bool:
    """Say whether `text` is meant as a telephone number or a short code, and not as an account number."""
    bare = text.strip() if len(text) <= LENGTH_MAX else ""
    if _SHORT_WORD.match(bare) or _SHORT_CODE.fullmatch(bare):
        return True
    return looks_like_telephone(text)
