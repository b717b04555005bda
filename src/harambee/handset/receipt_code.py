"""The ten characters that customers read to each other, made of the order alone.

Three characters say the day: a letter for the year (T is 2025, U is 2026), one for the month (A to
L), a digit or letter for the day of the month (1 to 9, then A to V). Seven base-36 characters name
the payment: (sequence mod K) and payer, as one number below 36**7, through a permutation without a
key. It hides nothing and is not meant to: it only makes neighbours look unlike, so that a slip of
the pen is noticed. Every super-agent and every handset computes the same code, and no two payments
of one day share one unless one payer makes more than K of them. What ends a hold has the code of the
hold: it is one matter for those two, and no money moved before.

The permutation is a Feistel network. 36**7 is the square of 6**7, so the halves are numbers below
6**7 and the rounds add modulo 6**7: it is a permutation of exactly this range, with nothing to walk
around.
"""

import hashlib
import struct
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Final

from harambee.ledger.kinds import ENDINGS
from harambee.ledger.records import REGION_ACCOUNTS, REGION_BITS

LENGTH: Final = 10
NAME_LENGTH: Final = 7
DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DAYS: Final = "123456789ABCDEFGHIJKLMNOPQRSTUV"
FIRST_YEAR: Final = 2006
"""The year of the letter A; after Z comes A again."""
YEARS: Final = 26
ROUNDS: Final = 8
HALF: Final = 6**7
SPACE: Final = 36**NAME_LENGTH
assert HALF * HALF == SPACE
assert len(DAYS) == 31
assert SPACE // REGION_ACCOUNTS >= 1 << REGION_BITS, (
    "even the largest network has sequences to tell apart"
)

_EPOCH: Final = date(1970, 1, 1)
# Of an order: payer u4 at 0, sequence u4 at 20; kind u1 at 24, day u2 at 27; the reference at 32.
_SLOT_OF: Final = struct.Struct("<I16xI")
_KIND_AT: Final = 24
_KIND_AND_DAY: Final = struct.Struct("<B2xH")
_REFERENCE_AT: Final = 32
_HOLD_NAMED: Final = struct.Struct("<II12xH")
_PERSON: Final = b"harambee receipt"


@dataclass(frozen=True, slots=True)
class CodeContent:
    """What a receipt code says by itself."""

    payer: int
    sequence_remainder: int
    """The sequence modulo `sequences(regions)`."""
    year_letter: str
    month: int
    day_of_month: int


def sequences(regions: int) -> int:
    """Return K: how many payments of one payer have different codes on one day."""
    return SPACE // (regions * REGION_ACCOUNTS)


def receipt_code(payer: int, sequence: int, day: int, regions: int) -> str:
    """Return the code of the order in slot (payer, sequence); `day` counts from 1970-01-01."""
    accounts = regions * REGION_ACCOUNTS
    # A payer that the network cannot have is refused elsewhere; its code must merely be a code.
    number = sequence % sequences(regions) * accounts + payer % accounts
    scrambled = permute(number)
    name = ""
    for _ in range(NAME_LENGTH):
        scrambled, digit = divmod(scrambled, len(DIGITS))
        name = DIGITS[digit] + name
    return _day_characters(day) + name


def code_of(order: bytes, regions: int) -> str:
    """Return the code of an order, its 64 bytes or its 128; of what ends a hold, that of the hold."""
    payer, sequence = _SLOT_OF.unpack_from(order)
    kind, day = _KIND_AND_DAY.unpack_from(order, _KIND_AT)
    if kind in ENDINGS:
        payer, sequence, day = _HOLD_NAMED.unpack_from(order, _REFERENCE_AT)
    return receipt_code(payer, sequence, day, regions)


def read_receipt_code(code: str, regions: int) -> CodeContent | None:
    """Return what a code says, or None for a text that is no payment's code on this network."""
    text = code.strip().upper()
    if len(text) != LENGTH or not set(text) <= set(DIGITS):
        return None
    year, month, day = text[0], ord(text[1]) - ord("A") + 1, DAYS.find(text[2]) + 1
    scrambled = 0
    for character in text[3:]:
        scrambled = scrambled * len(DIGITS) + DIGITS.index(character)
    accounts = regions * REGION_ACCOUNTS
    remainder, payer = divmod(unpermute(scrambled), accounts)
    if not year.isalpha() or not 1 <= month <= 12 or not day or remainder >= sequences(regions):
        return None
    return CodeContent(payer, remainder, year, month, day)


@cache
def _day_characters(day: int) -> str:
    when = _EPOCH + timedelta(days=day)
    year = chr(ord("A") + (when.year - FIRST_YEAR) % YEARS)
    return year + chr(ord("A") + when.month - 1) + DAYS[when.day - 1]


def _round(number: int, half: int) -> int:
    state = hashlib.blake2b(digest_size=8, person=_PERSON)
    state.update(bytes([number]) + half.to_bytes(4, "little"))
    return int.from_bytes(state.digest(), "little") % HALF


def permute(number: int) -> int:
    """Return the scrambled form of a number below SPACE."""
    left, right = divmod(number, HALF)
    for turn in range(ROUNDS):
        left, right = right, (left + _round(turn, right)) % HALF
    return left * HALF + right


def unpermute(number: int) -> int:
    """Return the number whose scrambled form this is."""
    left, right = divmod(number, HALF)
    for turn in reversed(range(ROUNDS)):
        left, right = (right - _round(turn, left)) % HALF, left
    return left * HALF + right
