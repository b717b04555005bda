"""Dynamic QR codes, as `harambee.handset.ke_qr` writes them."""

import base64
import io
from typing import Any, Final

import segno

from harambee.gateways.daraja.calls import Call
from harambee.gateways.daraja.errors import invalid
from harambee.gateways.daraja.identifiers import conversation_id, request_id
from harambee.handset.ke_qr import REFERENCE_MAX, Code, CodeError, Kind, write_code
from harambee.handset.telephone import TelephoneError, telephone

SIZE_PIXELS_MAX: Final = 1_000
SIZE_PIXELS: Final = 300
_BORDER: Final = 4
_TO_SHORT_CODES: Final = (Kind.TILL, Kind.PAYBILL, Kind.BUSINESS, Kind.AGENT)
_TO_TELEPHONES: Final = (Kind.TELEPHONE,)
"""What the CPI is: an agent, a till or a business has a short code, and money is sent to a telephone."""


async def generate(call: Call) -> dict[str, Any]:
    """POST /mpesa/qrcode/v1/generate: a picture that a handset's camera reads."""
    fields = call.fields
    name = fields.text("MerchantName", 100)
    reference = fields.text("RefNo", REFERENCE_MAX, least=0)
    kind = Kind(fields.choice("TrxCode", _TO_SHORT_CODES + _TO_TELEPHONES))
    payee = fields.text("CPI", 20)
    if kind in _TO_TELEPHONES:
        try:
            payee = telephone(payee)
        except TelephoneError as error:
            raise invalid("CPI") from error
    else:
        payee = fields.short_code("CPI")
    try:
        content = write_code(Code(kind, payee, name, fields.amount_cents(), reference))
    except CodeError as error:
        raise invalid("MerchantName") from error
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
