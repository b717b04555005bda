"""Webhooks as a merchant's software receives them: from a super-agent, whole and of now, or not believed.

The form is that of Standard Webhooks 1.0 (standardwebhooks.com), so their libraries read it too. Whoever
knows a merchant's webhook secret can write events in its name; nobody else can. An event comes at
least once: its id says whether it came before, and the payment in it is worth what its receipts are.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

TOLERANCE_S: Final = 300
"""How far the sender's clock and the delivery may be from ours, either way."""
BODY_BYTES_MAX: Final = 65_536
ID_CHARACTERS_MAX: Final = 128
SIGNATURES_MAX: Final = 8
"""A sender signs with an old and a new secret for a while; more than some is no such thing."""
SECRET_BYTES_MIN: Final = 16
SECRET_BYTES_MAX: Final = 64

_SECONDS: Final = re.compile(r"[0-9]{1,12}", re.ASCII)


class WebhookError(ValueError):
    """This did not come from a super-agent now, or not to this merchant; the message is one sentence."""


class WebhookEvent(msgspec.Struct, frozen=True):
    """Something that a merchant is told; docs/http.md says what `data` has for each type."""

    id: str
    type: str
    """"request.ended", "payment.received" or "instruction.ended"; later versions may have more."""
    cursor: int
    """Where it stands among the events of the super-agent that sent it."""
    short_code: str
    made_ms: int
    data: dict[str, Any]


def signature(key: bytes, event_id: str, seconds: str, content: bytes) -> str:
    """Return what signs a webhook: Base64 of the HMAC-SHA256 over its id, its time and its body."""
    signed = f"{event_id}.{seconds}.".encode() + content
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def verify(headers: Mapping[str, str], body: bytes, secret: str, now: int) -> WebhookEvent:
    """Return the event of a webhook; WebhookError where it is not to be believed.

    `headers` are those of the request, in any case; `body` its bytes, not read and written again;
    `secret` the text that began with whsec_ when the webhook was set; `now` seconds since 1970 UTC.
    """
    key = _key(secret)
    event_id, seconds, signatures = _heads(headers)
    if len(body) > BODY_BYTES_MAX:
        raise WebhookError(f"A webhook has at most {BODY_BYTES_MAX} bytes.")
    if abs(now - int(seconds)) > TOLERANCE_S:
        raise WebhookError("The webhook was sent at another time, or a clock is wrong.")
    right = signature(key, event_id, seconds, body)
    # Every signature is compared, so that the time tells nothing of where one first differs.
    found = [hmac.compare_digest(right.encode(), given.encode()) for given in signatures]
    if not any(found):
        raise WebhookError("The webhook is not signed with this secret.")
    try:
        event = msgspec.json.decode(body, type=WebhookEvent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WebhookError("The webhook is signed, and no event that can be read.") from error
    if event.id != event_id:
        raise WebhookError("The webhook is signed for another event than the one in it.")
    return event


def _key(secret: str) -> bytes:
    wrong = WebhookError("This is no webhook secret: it begins with whsec_ and goes on in base64.")
    if not secret.startswith("whsec_"):
        raise wrong
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise wrong from error
    # An empty secret is what a merchant without webhook has; it must not be one that anybody knows.
    if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise wrong
    return key


def _heads(headers: Mapping[str, str]) -> tuple[str, str, list[str]]:
    """Return a webhook's id, its time in seconds, and the signatures of the kind that we know."""
    lower = {name.lower(): value for name, value in headers.items()}
    event_id = lower.get("webhook-id", "")
    seconds = lower.get("webhook-timestamp", "")
    given = lower.get("webhook-signature", "").split(" ")[:SIGNATURES_MAX]
    if not 0 < len(event_id) <= ID_CHARACTERS_MAX or not _plain(event_id):
        raise WebhookError("The webhook has no id.")
    if not _SECONDS.fullmatch(seconds):
        raise WebhookError("The webhook does not say when it was sent.")
    signatures = [text.removeprefix("v1,") for text in given if text.startswith("v1,")]
    if not signatures or not all(_plain(text) for text in signatures):
        raise WebhookError("The webhook is not signed.")
    return event_id, seconds, signatures


def _plain(text: str) -> bool:
    return text.isascii() and text.isprintable()
