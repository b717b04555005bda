"""Dynamic QR codes: EMVCo's merchant-presented format, with Kenya's template for mobile money.

The content is fields of a two-digit tag, a two-digit length in characters and a value; the last one is a
CRC over everything before its value. EMVCo, QR Code Specification for Payment Systems, Merchant-Presented
Mode, 1.1; the template's name is that of Kenya's QR standard of 2023.
"""

import base64
import io
from typing import Any, Final

import segno

from harambee.gateways.daraja.calls import Call
from harambee.gateways.daraja.errors import invalid
from harambee.gateways.daraja.identifiers import conversation_id, request_id
from harambee.gateways.daraja.shillings import two_decimals
from harambee.handset.telephone import TelephoneError, telephone

SIZE_PIXELS_MAX: Final = 1_000
SIZE_PIXELS: Final = 300
_BORDER: Final = 4
_TO_SHORT_CODES: Final = ("BG", "PB", "SB", "WA")
_TO_TELEPHONES: Final = ("SM",)
"""What the CPI is: an agent, a till or a business has a short code, and money is sent to a telephone."""

FORMAT: Final = "00"
METHOD: Final = "01"
MOBILE_MONEY: Final = "28"
CATEGORY: Final = "52"
CURRENCY: Final = "53"
AMOUNT: Final = "54"
COUNTRY: Final = "58"
NAME: Final = "59"
CITY: Final = "60"
ADDITIONAL: Final = "62"
CRC: Final = "63"
_NAME_CHARACTERS_MAX: Final = 25
_REFERENCE_CHARACTERS_MAX: Final = 25


async def generate(call: Call) -> dict[str, Any]:
    """POST /mpesa/qrcode/v1/generate: a picture that a handset's camera reads."""
    fields = call.fields
    name = fields.text("MerchantName", 100)
    reference = fields.text("RefNo", _REFERENCE_CHARACTERS_MAX, least=0)
    kind = fields.choice("TrxCode", _TO_SHORT_CODES + _TO_TELEPHONES)
    payee = fields.text("CPI", 20)
    if kind in _TO_TELEPHONES:
        try:
            payee = telephone(payee)
        except TelephoneError as error:
            raise invalid("CPI") from error
    else:
        payee = fields.short_code("CPI")
    content = payment_text(name, kind, payee, fields.amount_cents(), reference)
    return {
        "ResponseCode": conversation_id(call.now_ms),
        "RequestID": request_id(),
        "ResponseDescription": "QR Code Successfully Generated.",
        "QRCode": base64.b64encode(picture(content, _size_pixels(call))).decode(),
    }


def _size_pixels(call: Call) -> int:
    text = call.fields.text("Size", 4, least=0)
    if not text:
        return SIZE_PIXELS
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) <= SIZE_PIXELS_MAX:
        raise invalid("Size")
    return int(text)


def picture(content: str, size_pixels: int) -> bytes:
    """Return a square PNG, as near to `size_pixels` as whole pixels of a module come without going beyond."""
    code = segno.make_qr(content, error="m")
    modules, _ = code.symbol_size(scale=1, border=_BORDER)
    written = io.BytesIO()
    code.save(written, kind="png", scale=max(size_pixels // modules, 1), border=_BORDER)
    return written.getvalue()


def payment_text(name: str, kind: str, payee: str, amount_cents: int, reference: str) -> str:
    """Return what the QR code of one payment says."""
    account = field("00", "ke.go.qr") + field("01", kind) + field("02", payee)
    body = (
        field(FORMAT, "01")
        + field(METHOD, "12")
        + field(MOBILE_MONEY, account)
        + field(CATEGORY, "0000")
        + field(CURRENCY, "404")
        + field(AMOUNT, two_decimals(amount_cents))
        + field(COUNTRY, "KE")
        + field(NAME, name[:_NAME_CHARACTERS_MAX])
        + field(CITY, "KENYA")
    )
    if reference:
        body += field(ADDITIONAL, field("05", reference))
    return sealed(body)


def field(tag: str, value: str) -> str:
    """Return a value behind its tag and its length in characters, of which there are 1 to 99."""
    assert 0 < len(value) < 100
    return f"{tag}{len(value):02d}{value}"


def sealed(body: str) -> str:
    """Return all fields with the CRC over them behind."""
    covered = f"{body}{CRC}04"
    return f"{covered}{crc16(covered.encode()):04X}"


def crc16(content: bytes) -> int:
    """Return the CRC-16/CCITT-FALSE: polynomial 0x1021, beginning with 0xFFFF, nothing reversed."""
    value = 0xFFFF
    for byte in content:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1) ^ (0x1021 if value & 0x8000 else 0)
        value &= 0xFFFF
    return value
