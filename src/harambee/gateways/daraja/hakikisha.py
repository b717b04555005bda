"""Hakikisha: whom a number belongs to, as far as somebody may know who is about to pay her."""

import re
from typing import Any, Final

from harambee.gateways.daraja.calls import Call
from harambee.gateways.daraja.errors import invalid
from harambee.gateways.daraja.identifiers import request_id

REFERENCE_MAX: Final = 64
_PERSON: Final = re.compile(r"(\S+) (\S)\.")
"""A person's name is shown as "BRIAN K."; that of whoever trades is shown whole."""
_HIDDEN: Final = "*" * 6


async def name(call: Call) -> dict[str, Any]:
    """POST /mpesa/b2c/hakikisha/v1/hakikisha: a name before money is paid out."""
    header, body = call.fields.inner("header"), call.fields.inner("body")
    reference = header.text("requestID", REFERENCE_MAX, least=0) or request_id()
    timestamp = header.text("timestamp", REFERENCE_MAX, least=0) or str(call.now_ms // 1_000)
    short_code = body.short_code("shortcode")
    if short_code not in call.app.short_codes:
        raise invalid("shortcode")
    msisdn = body.msisdn("msisdn")
    shown = await call.port.name_of_number(call.app.consumer_key, short_code, msisdn)
    first, middle, last = names_of(shown)
    return {
        "header": {
            "requestID": reference,
            "timestamp": timestamp,
            "status": "200",
            "message": "Success",
        },
        "body": {"firstName": first, "middleName": middle, "lastName": last},
    }


def names_of(shown: str) -> tuple[str, str, str]:
    """Return a name, as it is shown before a payment, in the three parts that Daraja has."""
    person = _PERSON.fullmatch(shown)
    if person is None:
        return shown, "", ""
    return person[1], "", f"{person[2]}{_HIDDEN}"
