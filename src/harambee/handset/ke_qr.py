"""KE-QR: what the code at a till says, written and read.

EMVCo's merchant-presented format: fields of a two-digit tag, a two-digit length in characters and a value,
some of which are made of fields again; the last one is a CRC-16 over the UTF-8 of everything before its
value. EMVCo, QR Code Specification for Payment Systems, Merchant-Presented Mode, 1.1. Kenya's standard of
2023 gives mobile money the template 28 and banks 29, both named `ke.go.qr`. Inside the template stand
here: 01 what the payee is (`Kind`), 02 his number.

What is read comes from strangers: it is bounded, and anything odd is no code at all.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final

from harambee.handset.numbers import canonical_number
from harambee.handset.telephone import TelephoneError
from harambee.money.amounts import MAX_AMOUNT_CENTS, AmountError, parse_cents

TEXT_MAX: Final = 512
"""Characters of a code: what a telephone's camera still reads from paper."""
NAME_MAX: Final = 25
REFERENCE_MAX: Final = 25
NAMED: Final = "ke.go.qr"
SHILLING: Final = "404"
COUNTRY: Final = "KE"
CITY: Final = "KENYA"
NO_CATEGORY: Final = "0000"

FORMAT: Final = "00"
METHOD: Final = "01"
MOBILE_MONEY: Final = "28"
CATEGORY: Final = "52"
CURRENCY: Final = "53"
AMOUNT: Final = "54"
COUNTRY_TAG: Final = "58"
NAME: Final = "59"
CITY_TAG: Final = "60"
POSTCODE: Final = "61"
ADDITIONAL: Final = "62"
CRC: Final = "63"
REFERENCE: Final = "05"
"""Of the additional data: the reference label."""
STATIC: Final = "11"
"""The method of a code that is used again and again; the payer says how much."""
DYNAMIC: Final = "12"
_TEMPLATES: Final = tuple(f"{tag:02d}" for tag in range(26, 52))
"""Tags of templates that are not those of EMVCo's own members."""
_HEAD: Final = re.compile(r"[0-9]{4}", re.ASCII)
_CRC: Final = re.compile(r"[0-9A-Fa-f]{4}", re.ASCII)
_PAYEE: Final = re.compile(r"\+?[0-9]{1,15}", re.ASCII)
_SHILLINGS: Final = re.compile(r"[0-9]{1,13}(?:\.[0-9]{0,2})?", re.ASCII)


class CodeError(ValueError):
    """A text is no such code; the message is one sentence."""


@unique
class Kind(StrEnum):
    """What the payee of a code is."""

    TILL = "BG"
    PAYBILL = "PB"
    AGENT = "WA"
    TELEPHONE = "SM"
    BUSINESS = "SB"
    ACCOUNT = "AC"
    """An account of this network, by its number."""


_WORDS: Final[Mapping[Kind, str]] = MappingProxyType(
    {Kind.TILL: "till", Kind.PAYBILL: "paybill", Kind.AGENT: "agent", Kind.BUSINESS: "paybill"}
)


@dataclass(frozen=True, slots=True)
class Code:
    """What a code asks for."""

    kind: Kind
    payee: str
    """Digits; of a telephone with a plus before them."""
    name: str
    amount_cents: int | None = None
    """None where the payer says how much."""
    reference: str = ""
    """The account at a biller, or what the merchant wants to see again."""
    category: str = NO_CATEGORY
    """ISO 18245."""
    postcode: str = ""
    others: Mapping[str, str] = field(default_factory=dict)
    """Further fields of the code, by tag, as they stand there."""

    @property
    def number(self) -> str:
        """Return whom to pay, as a person would type it."""
        word = _WORDS.get(self.kind)
        return self.payee if word is None else f"{word} {self.payee}"


def write_code(code: Code) -> str:
    """Return the text of a code; CodeError for what no code can say."""
    _check(code)
    template = _field("00", NAMED) + _field("01", code.kind) + _field("02", code.payee)
    parts = [
        _field(FORMAT, "01"),
        _field(METHOD, STATIC if code.amount_cents is None else DYNAMIC),
        _field(MOBILE_MONEY, template),
        _field(CATEGORY, code.category),
        _field(CURRENCY, SHILLING),
        "" if code.amount_cents is None else _field(AMOUNT, _shillings(code.amount_cents)),
        _field(COUNTRY_TAG, COUNTRY),
        _field(NAME, code.name[:NAME_MAX].strip()),
        _field(CITY_TAG, CITY),
        _field(POSTCODE, code.postcode) if code.postcode else "",
        _field(ADDITIONAL, _field(REFERENCE, code.reference)) if code.reference else "",
    ]
    covered = "".join(parts) + f"{CRC}04"
    return f"{covered}{crc16(covered.encode()):04X}"


def read_code(text: str) -> Code:
    """Return what a code of Kenya's standard asks for; CodeError, one sentence, if it is none."""
    fields = read_fields(text)
    if fields.get(CURRENCY) != SHILLING:
        raise CodeError("This code is not about Kenyan shillings.")
    template = _template(fields)
    try:
        kind = Kind(template.get("01", ""))
    except ValueError:
        raise CodeError(
            "This code does not say whom it pays in a way that is known here."
        ) from None
    payee = template.get("02", "")
    if not _PAYEE.fullmatch(payee):
        raise CodeError("This code does not say whom it pays.")
    amount = _cents(fields[AMOUNT]) if AMOUNT in fields else None
    additional = _fields(fields[ADDITIONAL]) if ADDITIONAL in fields else {}
    known = (FORMAT, METHOD, CATEGORY, CURRENCY, AMOUNT, NAME, POSTCODE, ADDITIONAL, CRC)
    return Code(
        kind=kind,
        payee=payee,
        name=fields.get(NAME, ""),
        amount_cents=amount,
        reference=additional.get(REFERENCE, ""),
        category=fields.get(CATEGORY, NO_CATEGORY),
        postcode=fields.get(POSTCODE, ""),
        others={tag: value for tag, value in fields.items() if tag not in known},
    )


def read_fields(text: str) -> dict[str, str]:
    """Return the fields of any EMVCo code, by tag, once its CRC holds; CodeError."""
    bare = text.strip()
    if len(bare) > TEXT_MAX:
        raise CodeError(f"A code has at most {TEXT_MAX} characters.")
    covered, crc = bare[:-4], bare[-4:]
    if not covered.endswith(f"{CRC}04") or not _CRC.fullmatch(crc):
        raise CodeError("This is no code for a payment.")
    if int(crc, 16) != crc16(covered.encode("utf-8", "surrogatepass")):
        raise CodeError("This code is damaged: read it again.")
    fields = _fields(bare)
    if next(iter(fields)) != FORMAT or fields[FORMAT] != "01":
        raise CodeError("This code is of another version.")
    return fields


def crc16(content: bytes) -> int:
    """Return the CRC-16/CCITT-FALSE: polynomial 0x1021, beginning with 0xFFFF, nothing reversed."""
    value = 0xFFFF
    for byte in content:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1) ^ (0x1021 if value & 0x8000 else 0)
        value &= 0xFFFF
    return value


def _check(code: Code) -> None:
    if not _PAYEE.fullmatch(code.payee):
        raise CodeError("The payee of a code is a number.")
    if code.kind is Kind.TELEPHONE or code.kind in _WORDS:
        try:
            canonical_number(code.number)
        except TelephoneError as error:
            raise CodeError(str(error)) from error
    if not code.name.strip() or not code.name.isprintable():
        raise CodeError("A code says the payee's name.")
    if code.amount_cents is not None and not 0 < code.amount_cents <= MAX_AMOUNT_CENTS:
        raise CodeError("The amount of a code must be more than nothing, and possible.")
    if len(code.reference) > REFERENCE_MAX or not code.reference.isprintable():
        raise CodeError(f"The reference of a code has at most {REFERENCE_MAX} characters.")
    if len(code.category) != 4 or not (code.category.isascii() and code.category.isdigit()):
        raise CodeError("A merchant's category has four digits.")
    if len(code.postcode) > 10 or not code.postcode.isprintable():
        raise CodeError("A postcode has at most 10 characters.")


def _field(tag: str, value: str) -> str:
    assert 0 < len(value) < 100, "a length has two digits"
    return f"{tag}{len(value):02d}{value}"


def _fields(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        head = text[at : at + 4]
        if not _HEAD.fullmatch(head):
            raise CodeError("This is no code for a payment.")
        tag, length = head[:2], int(head[2:])
        value = text[at + 4 : at + 4 + length]
        if not length or len(value) != length or tag in found:
            raise CodeError("This is no code for a payment.")
        found[tag] = value
        at += 4 + length
    return found


def _template(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of the template that is Kenya's; mobile money's own before others."""
    for tag in (MOBILE_MONEY, *_TEMPLATES):
        if tag in fields:
            template = _fields(fields[tag])
            if template.get("00", "").lower() == NAMED:
                return template
    raise CodeError("This code is for another way to pay.")


def _shillings(cents: int) -> str:
    whole, rest = divmod(cents, 100)
    return f"{whole}.{rest:02d}"


def _cents(text: str) -> int:
    if not _SHILLINGS.fullmatch(text):
        raise CodeError("The amount of this code cannot be read.")
    try:
        cents = parse_cents(text.rstrip("."))
    except AmountError as error:
        raise CodeError("The amount of this code cannot be read.") from error
    if not cents:
        raise CodeError("This code asks for nothing.")
    return cents
