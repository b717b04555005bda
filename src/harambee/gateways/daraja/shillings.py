"""Amounts as Daraja writes them: shillings, as text or as JSON numbers, and never by way of a float."""

import msgspec

from harambee.money.amounts import CENTS_PER_SHILLING


def two_decimals(amount_cents: int) -> str:
    """Return shillings as text: 500 is "5.00", and -154000 is "-1540.00"."""
    shillings, cents = divmod(abs(amount_cents), CENTS_PER_SHILLING)
    return f"{'-' if amount_cents < 0 else ''}{shillings}.{cents:02d}"


def decimal(amount_cents: int) -> msgspec.Raw:
    """Return shillings as a JSON number with a decimal: 100 is 1.0, and 1234 is 12.34."""
    return msgspec.Raw(two_decimals(amount_cents).removesuffix("0").encode())


def number(amount_cents: int) -> msgspec.Raw:
    """Return shillings as a JSON number, whole where it is: 1000 is 10, and 1050 is 10.5."""
    return msgspec.Raw(bytes(decimal(amount_cents)).removesuffix(b".0"))
