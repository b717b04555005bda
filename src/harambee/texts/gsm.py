"""The alphabet of an SMS, GSM 03.38, and how many of its segments a text takes.

One character outside it turns a whole message to UCS-2 and its segments from 160 characters to 70,
so every text is folded into it first: a letter with a mark that the alphabet lacks loses the mark.
"""

import unicodedata
from typing import Final

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED: Final = frozenset("^{}\\[~]|€")
"""Each of these is sent as an escape and a character."""
assert len(_BASIC) == 127, "and the escape"
_SHOWN: Final = (_BASIC | _EXTENDED) - {"\n", "\r"}

SEPTETS_ALONE: Final = 160
SEPTETS_OF_SEVERAL: Final = 153
"""A message of several segments spends seven septets of each on saying which one it is."""

_LIKE: Final = str.maketrans(
    {
        "‘": "'",  # noqa: RUF001 - the signs that telephones type for these
        "’": "'",
        "\N{MODIFIER LETTER APOSTROPHE}": "'",
        "“": '"',
        "”": '"',
        "–": "-",
        "—": "-",
        "…": "...",
        "\N{NO-BREAK SPACE}": " ",
    }
)


def fold(text: str) -> str:
    """Return the text in the alphabet, on one line: "Wanjikũ" is "Wanjiku", an unknown sign "?"."""
    if not set(text) <= _SHOWN:
        text = "".join(map(_folded, text.translate(_LIKE)))
    return " ".join(text.split())


def _folded(character: str) -> str:
    if not character.isprintable():
        return " "
    if character in _BASIC or character in _EXTENDED:
        return character
    bare = "".join(
        c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c)
    )
    return bare if bare and set(bare) <= _BASIC else "?"


def is_gsm(text: str) -> bool:
    """Say whether every character of a text is in the alphabet."""
    return set(text) <= _BASIC | _EXTENDED


def segments(text: str) -> int:
    """Return how many segments a text in the alphabet takes; ValueError for a text that is not."""
    if not is_gsm(text):
        raise ValueError("the text has characters that the alphabet lacks: fold it first")
    costs = [2 if character in _EXTENDED else 1 for character in text]
    if sum(costs) <= SEPTETS_ALONE:
        return 1
    count, used = 1, 0
    for cost in costs:
        if used + cost > SEPTETS_OF_SEVERAL:  # an escape and its character stay together
            count, used = count + 1, 0
        used += cost
    return count
