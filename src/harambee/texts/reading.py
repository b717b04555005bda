"""Reading a text back: what somebody's telephone shows, by the same table that words it.

A text is only read, never believed: anybody can type one. What it says is for whoever holds a proof
of the payment to compare.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache
from string import Formatter
from typing import Final

from harambee.money.amounts import AmountError, parse_cents
from harambee.texts.gsm import fold
from harambee.texts.languages import Language
from harambee.texts.wording import ENDS, WORDINGS, TextKind

TEXT_MAX: Final = 1_000
"""Characters; no text that is sent is longer than two segments, and nothing longer is read."""
_FIRST_YEAR: Final = 2000

_MONEY: Final = r"-?Ksh[0-9,]{1,26}\.[0-9]{2}"
_FIELDS: Final = {
    "code": r"[0-9A-Z]{10}",
    "amount": _MONEY,
    "other": r".{1,80}?",
    "date": r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{2}",
    "from_day": r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{2}",
    "time": r"[0-9]{1,2}:[0-9]{2} [AP]M",
    "for_reference": r"(?: (?:for account|kwa akaunti) .{1,32}?)?",
    "for_number": r"(?: (?:for|kwa) 0[0-9]{3}\*{3}[0-9]{3})?",
    "brand": r".{1,16}?",
    "until": r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{2}",
    "paid": r"[0-9A-Z]{10}",
    "balance": _MONEY,
    "free": _MONEY,
    "cost": _MONEY,
    "left": r"-?[0-9,]{1,26}\.[0-9]{2}",
    "commission": _MONEY,
}
"""How each field of the wording may look; each is bounded, so that no text takes long."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a text says, where it is worded as one that is sent."""

    kind: TextKind
    language: Language
    code: str
    amount_cents: int | None
    """None where such a text names no amount."""
    other: str | None
    """The other side as it is shown: a name, a masked number, "account 17"."""
    day: date
    cost_cents: int | None
    """What its reader paid for it, if it says so."""


def read_text(text: str, kinds: Iterable[TextKind]) -> list[Told]:
    """Return each way in which a text can be read as one of these kinds; [] for anything else."""
    if len(text) > TEXT_MAX:
        return []
    folded = fold(text)
    readings = (_read(folded, kind, language) for kind in kinds for language in Language)
    return [told for told in readings if told is not None]


def _read(text: str, kind: TextKind, language: Language) -> Told | None:
    found = _pattern(kind, language).fullmatch(text)
    if found is None:
        return None
    said = found.groupdict()
    day, month, year = (int(number) for number in said["date"].split("/"))
    try:
        return Told(
            kind=kind,
            language=language,
            code=said["code"],
            amount_cents=_cents(said.get("amount")),
            other=said.get("other"),
            day=date(_FIRST_YEAR + year, month, day),
            cost_cents=_cents(said.get("cost")),
        )
    except (AmountError, ValueError):
        # Thirteen months, or commas where none can be: nobody is sent that.
        return None


def _cents(shown: str | None) -> int | None:
    return None if shown is None else parse_cents(shown)


@cache
def _pattern(kind: TextKind, language: Language) -> re.Pattern[str]:
    """Return what every text of a kind looks like: its beginning, and the sentences that it may have."""
    wording = WORDINGS[kind]
    ends = (ENDS[end][language is Language.SWAHILI] for end in wording.ends)
    pieces = [_spelled(wording.begins(language))]
    pieces += [f"(?: {_spelled(end)})?" for end in ends]
    return re.compile("".join(pieces), re.ASCII)


def _spelled(sentence: str) -> str:
    """Return the regular expression of a sentence with fields."""
    seen: set[str] = set()
    return "".join(
        re.escape(words) + ("" if name is None else _field(name, seen))
        for words, name, _, _ in Formatter().parse(sentence)
    )


def _field(name: str, seen: set[str]) -> str:
    """Return the regular expression of a field; where it stands again, it says the same again."""
    if name in seen:
        return f"(?P={name})"
    seen.add(name)
    return f"(?P<{name}>{_FIELDS[name]})"
