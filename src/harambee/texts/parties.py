"""How the other side of a payment is shown: by name, by a masked telephone, by a public number."""

import re
from dataclasses import dataclass
from typing import Final

from harambee.texts.gsm import fold
from harambee.texts.languages import Language

NAME_MAX: Final = 32
"""Characters of a name or a reference that a text shows, so that it stays within its segments."""

_TELEPHONE: Final = re.compile(r"(?:pochi:)?\+254([17][0-9]{8})", re.ASCII)
_SHORT_CODE: Final = re.compile(r"(?:agent|till|paybill):([0-9]{5,7})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Party:
    """The other side, as far as this side may know it."""

    account: int
    name: str | None = None
    number: str | None = None
    """In the form that the directory hashes: "+254712345678", "till:123456", "agent:12345"."""
    language: Language | None = None
    """In which it wants to be written to, if that is known."""


def shown_name(name: str) -> str:
    """Return a name or reference in the alphabet of texts and no longer than they bear."""
    return fold(name)[:NAME_MAX].rstrip()


def masked_telephone(number: str) -> str | None:
    """Return "0712***678" for "+254712345678"; None for what is no telephone number."""
    found = _TELEPHONE.fullmatch(number)
    return None if found is None else f"0{found[1][:3]}***{found[1][-3:]}"


def short_code(number: str) -> str | None:
    """Return "123456" for "till:123456"; None for what is no short code. These are on the wall."""
    found = _SHORT_CODE.fullmatch(number)
    return None if found is None else found[1]


def shown(party: Party, word: str) -> str:
    """Return a party as texts name it: "FIRST LAST 0712***678", or "`word` 17" of who is unknown."""
    number = "" if party.number is None else masked_telephone(party.number) or ""
    name = "" if party.name is None else shown_name(party.name)
    return f"{name} {number}".strip() or f"{word} {_public(party)}"


def shown_by_code(party: Party, word: str) -> str:
    """Return a party whose number is public as texts name it: "123456 - SHOP NAME"."""
    name = "" if party.name is None else shown_name(party.name)
    code = None if party.number is None else short_code(party.number)
    if name and code:
        return f"{code} - {name}"
    return name or f"{word} {_public(party)}"


def _public(party: Party) -> str:
    code = None if party.number is None else short_code(party.number)
    return code or str(party.account)
