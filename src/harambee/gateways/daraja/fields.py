"""The body of a call, read field by field, with the error that names the field that is wrong.

Existing clients send a number as a JSON number or as a string, and so both are read as text: no amount
is ever a float. The official samples write some names with a space ("Command ID"); it does not count.
"""

import re
from collections.abc import Container
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from harambee.gateways.daraja.errors import invalid, unreadable
from harambee.handset.telephone import TelephoneError, telephone
from harambee.merchants.port import URL_CHARACTERS_MAX
from harambee.money.amounts import CENTS_PER_SHILLING

BODY_BYTES_MAX: Final = 64 << 10
CREDENTIAL_CHARACTERS_MAX: Final = 1_024
"""Base64 of what an RSA key of 6,144 bits encrypts."""

_SHORT_CODE: Final = re.compile(r"[0-9]{5,7}", re.ASCII)
_SHILLINGS: Final = re.compile(r"([0-9]{1,9})(?:\.0{1,2})?", re.ASCII)
_DECODER: Final = msgspec.json.Decoder(float_hook=str)


class Fields:
    """The fields of one call."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = {name.replace(" ", ""): value for name, value in document.items()}

    def text(self, name: str, most: int, *, least: int = 1) -> str:
        """Return a text of `least` to `most` characters; empty where it is absent and may be."""
        value = self._document.get(name)
        if value is None:
            value = ""
        elif type(value) is int:
            value = str(value)
        if not isinstance(value, str):
            raise invalid(name)
        bare = value.strip()
        if not least <= len(bare) <= most or not bare.isprintable():
            raise invalid(name)
        return bare

    def inner(self, name: str) -> "Fields":
        """Return the fields of an object inside this one; it may be absent, and then has none."""
        value = self._document.get(name)
        if value is not None and not isinstance(value, dict):
            raise invalid(name)
        return Fields(value or {})

    def rows(self, name: str, most: int) -> tuple["Fields", ...]:
        """Return the objects of a list inside this one, at most so many; none where it is absent."""
        value = self._document.get(name)
        if value is not None and not isinstance(value, list):
            raise invalid(name)
        if value and (len(value) > most or not all(isinstance(one, dict) for one in value)):
            raise invalid(name)
        return tuple(map(Fields, value or ()))

    def choice(self, name: str, known: Container[str]) -> str:
        """Return a text that is one of those `known`."""
        value = self.text(name, 64)
        if value not in known:
            raise invalid(name)
        return value

    def short_code(self, name: str) -> str:
        """Return the digits of a till or a paybill."""
        value = self.text(name, 7)
        if not _SHORT_CODE.fullmatch(value):
            raise invalid(name)
        return value

    def msisdn(self, name: str) -> str:
        """Return a telephone number in the +254 form."""
        try:
            return telephone(self.text(name, 20))
        except TelephoneError as error:
            raise invalid(name) from error

    def amount_cents(self, name: str = "Amount") -> int:
        """Return an amount of whole shillings, more than none, in cents."""
        found = _SHILLINGS.fullmatch(self.text(name, 12))
        if found is None or not (shillings := int(found[1])):
            raise invalid(name)
        return shillings * CENTS_PER_SHILLING

    def url(self, name: str, *, optional: bool = False) -> str:
        """Return an address to call back; empty where it is absent and may be."""
        value = self.text(name, URL_CHARACTERS_MAX, least=0)
        if not value and optional:
            return ""
        if not is_web_address(value):
            raise invalid(name)
        return value


def is_web_address(text: str) -> bool:
    """Say whether a text is an http or https address with a host."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def read_fields(body: bytes) -> Fields:
    """Return the fields of a body; DarajaError if it is no JSON object, or too large."""
    document = _read(body)
    if not isinstance(document, dict):
        raise unreadable()
    return Fields(document)


def read_rows(body: bytes) -> tuple[Fields, ...]:
    """Return the fields of each object of a body; DarajaError if it is no list of them, or too large."""
    document = _read(body)
    if not isinstance(document, list) or not all(isinstance(one, dict) for one in document):
        raise unreadable()
    return tuple(map(Fields, document))


def _read(body: bytes) -> Any:
    if len(body) > BODY_BYTES_MAX:
        raise unreadable(413)
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise unreadable() from error
