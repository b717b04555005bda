"""Amounts of money: integer cents, and the text that people read and type.

Only this file turns text into cents and back. A text is either exactly an amount, or it is refused
with a sentence; nothing is rounded.
"""

import re
from typing import Final, SupportsIndex

CENTS_PER_SHILLING: Final = 100

# Ten trillion shillings: more than all the money in the country, so no honest sum is near it.
# Thousands of such amounts still add up inside a signed 64-bit integer, and one of them is exact
# even for a program that reads JSON numbers as doubles.
MAX_AMOUNT_CENTS: Final = 10**15
assert MAX_AMOUNT_CENTS * 4096 < 2**63
assert MAX_AMOUNT_CENTS < 2**53

_TEXT_LENGTH_MAX: Final = 40
_AMOUNT: Final = re.compile(
    r"(?:ksh|kes)? ?(?P<shillings>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.(?P<cents>[0-9]{1,2}))?",
    re.ASCII | re.IGNORECASE,
)


_LEDGERS: Final = re.compile(r"(-?[0-9]{1,36})\.([0-9]{2})", re.ASCII)


class AmountError(ValueError):
    """A text is not an amount of money; the error's text is one clear sentence."""


def parse_cents(text: str) -> int:
    """Return the cents that a text such as "Ksh1,000.50", "1000.5" or "1000" stands for.

    Refused with AmountError: signs, more than two decimals, exponents, misplaced commas, digits of
    other scripts, and anything above MAX_AMOUNT_CENTS. Zero is an amount; whether it may be paid is
    not decided here.
    """
    if len(text) > _TEXT_LENGTH_MAX:
        message = f"an amount has at most {_TEXT_LENGTH_MAX} characters, not {len(text)}"
        raise AmountError(message)
    if not text.strip():
        message = "the amount is empty"
        raise AmountError(message)
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        message = f"{text!r} is not an amount: write it like 1000, 1,000 or 1,000.50"
        raise AmountError(message)
    shillings = int(found["shillings"].replace(",", ""))
    cents = int((found["cents"] or "").ljust(2, "0"))
    total = shillings * CENTS_PER_SHILLING + cents
    if total > MAX_AMOUNT_CENTS:
        message = f"{text!r} is above the largest amount, {format_cents(MAX_AMOUNT_CENTS)}"
        raise AmountError(message)
    return total


def read_cents(text: str) -> int:
    """Return the cents of an amount as another ledger writes it: "1000.50", "0.05" or "-12.00".

    Two decimals, always, and no comma, sign or word but a minus. AmountError for anything else. How large
    an amount may be, and whether it may be negative, is not decided here.
    """
    found = _LEDGERS.fullmatch(text)
    if found is None:
        raise AmountError("a balance is shillings with two decimals, as in 1000.50")
    return int(found[1] + found[2])


def format_cents(amount_cents: SupportsIndex) -> str:
    """Return cents as people read them: 100050 is "Ksh1,000.50", and -5 is "-Ksh0.05".

    Takes any integer, NumPy's too; TypeError for a float.
    """
    amount = amount_cents.__index__()
    shillings, cents = divmod(abs(amount), CENTS_PER_SHILLING)
    sign = "-" if amount < 0 else ""
    return f"{sign}Ksh{shillings:,}.{cents:02d}"
