"""Bodies of our own webhooks, as Standard Webhooks 1.0 has them (standardwebhooks.com).

Three headers say what it is, when it was sent and by whom: the signature is an HMAC over id, time and
body, by a secret that only the merchant and super-agents have. `harambee.handset.webhooks` checks it.
"""

import base64
from typing import Final

import msgspec

from harambee.gateways.http.merchant_documents import event_document
from harambee.handset.webhooks import signature
from harambee.merchants.port import Body, Delivery, Merchant

FORM: Final = "harambee.v1"
"""`Delivery.form` of the bodies that are made here."""


def body(delivery: Delivery, merchant: Merchant, now_ms: int) -> Body:
    """Return headers and content of a webhook; sent again, it has the same id and another time."""
    event = delivery.event
    content = msgspec.json.encode(event_document(event))
    seconds = str(now_ms // 1000)
    headers = {
        "content-type": "application/json",
        "webhook-id": event.id,
        "webhook-timestamp": seconds,
        "webhook-signature": "v1," + signature(merchant.webhook_secret, event.id, seconds, content),
    }
    return headers, content


def secret_text(secret: bytes) -> str:
    """Return a secret as merchants' software is given it; empty for none."""
    return f"whsec_{base64.b64encode(secret).decode()}" if secret else ""
