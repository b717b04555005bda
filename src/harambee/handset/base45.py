"""Bytes as text for a QR code, by RFC 9285: two bytes are three of the 45 characters it packs best.

Of every text that stands for bytes there is one and no other: what a group cannot have, such as a
number above 65,535, is refused, so nobody can write one proof in two ways.
"""

from typing import Final

DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
BASE: Final = 45
assert len(DIGITS) == BASE
assert BASE**3 > 1 << 16, "three characters have room for two bytes"
assert BASE**2 > 1 << 8, "and two for one"

_VALUE_OF: Final = {digit: value for value, digit in enumerate(DIGITS)}


class Base45Error(ValueError):
    """A text that stands for no bytes; the message is one sentence."""


def text_length(count: int) -> int:
    """Return how many characters so many bytes take."""
    return count // 2 * 3 + count % 2 * 2


def encode(content: bytes) -> str:
    """Return the text of bytes; the least digit of a group comes first."""
    digits: list[str] = []
    for at in range(0, len(content), 2):
        group = content[at : at + 2]
        number = int.from_bytes(group, "big")
        for _ in range(len(group) + 1):
            number, value = divmod(number, BASE)
            digits.append(DIGITS[value])
    return "".join(digits)


def decode(text: str) -> bytes:
    """Return the bytes of a text; Base45Error unless it is just what `encode` would write."""
    if len(text) % 3 == 1:
        raise Base45Error("The text is cut short.")
    content = bytearray()
    for at in range(0, len(text), 3):
        group = text[at : at + 3]
        number = 0
        for digit in reversed(group):
            if digit not in _VALUE_OF:
                raise Base45Error("The text has a character that does not belong into it.")
            number = number * BASE + _VALUE_OF[digit]
        width = len(group) - 1
        if number >= 1 << 8 * width:
            raise Base45Error("The text has a group of characters that stands for nothing.")
        content += number.to_bytes(width, "big")
    return bytes(content)
