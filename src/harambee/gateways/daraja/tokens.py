"""Access tokens that every super-agent can check, and that die when a newer one is seen.

A token says whose it is and from when to when, under a key that all super-agents have of the app; so
nothing is kept for it, and it is good at all of them. M-PESA's newest token ends the one before it. A door
here does the same with what it knows: it remembers, for each app, the newest token that it has made or been
shown, and refuses those before. A token that was renewed at one door lives on at the others until they see
the new one, or until it expires.
"""

import base64
import hashlib
import hmac
import struct
from collections import OrderedDict
from typing import Final

from harambee.merchants.port import NAME_CHARACTERS_MAX, App, MerchantsPort

LIFETIME_S: Final = 3_599
CLOCKS_APART_MS: Final = 300_000
"""How far ahead of this door's clock another's may have been."""
APPS_REMEMBERED: Final = 4_096
TOKEN_CHARACTERS_MAX: Final = 512
_LIFETIME_MS: Final = LIFETIME_S * 1_000
_TIMES: Final = struct.Struct(">QQ")
_MAC_BYTES: Final = 32
_NOBODYS_DIGEST: Final = bytes(32)


class TokenDesk:
    """One door's tokens. Remembers no more than APPS_REMEMBERED apps."""

    def __init__(self) -> None:
        self._newest: OrderedDict[str, int] = OrderedDict()
        """When the newest token of an app was made, as far as it is known here, in milliseconds."""

    def issue(self, app: App, now_ms: int) -> str:
        """Return a new token; the ones before it are good no more."""
        made_ms = max(now_ms, self._newest.get(app.consumer_key, 0) + 1)
        self._remember(app.consumer_key, made_ms)
        content = _TIMES.pack(made_ms, made_ms + _LIFETIME_MS) + app.consumer_key.encode()
        return base64.urlsafe_b64encode(content + _mac(app, content)).decode().rstrip("=")

    async def app_of(self, port: MerchantsPort, token: str, now_ms: int) -> App | None:
        """Return the app whose token this is; None where it is nobody's, or good no more."""
        content, mac = _parts(token)
        if len(content) <= _TIMES.size:
            return None
        made_ms, ends_ms = _TIMES.unpack_from(content)
        consumer_key = content[_TIMES.size :].decode("utf-8", "replace")
        if len(consumer_key) > NAME_CHARACTERS_MAX:
            return None
        app = await port.app(consumer_key)
        if app is None or not hmac.compare_digest(mac, _mac(app, content)):
            return None
        if ends_ms != made_ms + _LIFETIME_MS or not now_ms < ends_ms:
            return None
        if made_ms > now_ms + CLOCKS_APART_MS or made_ms < self._newest.get(consumer_key, 0):
            return None
        self._remember(consumer_key, made_ms)
        return app

    def _remember(self, consumer_key: str, made_ms: int) -> None:
        self._newest[consumer_key] = made_ms
        self._newest.move_to_end(consumer_key)
        if len(self._newest) > APPS_REMEMBERED:
            self._newest.popitem(last=False)


def _mac(app: App, content: bytes) -> bytes:
    return hmac.digest(app.token_key, content, "sha256")


def _parts(token: str) -> tuple[bytes, bytes]:
    """Return what a token says, and its code; empty where it is none."""
    if len(token) > TOKEN_CHARACTERS_MAX:
        return b"", b""
    try:
        whole = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b"", b""
    return whole[:-_MAC_BYTES], whole[-_MAC_BYTES:]


async def app_with_secret(port: MerchantsPort, authorization: str) -> App | None:
    """Return the app whose key and secret a Basic authorization has; None where they are wrong."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > TOKEN_CHARACTERS_MAX:
        return None
    try:
        pair = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError:
        return None
    consumer_key, colon, secret = pair.partition(":")
    if not colon or not 0 < len(consumer_key) <= NAME_CHARACTERS_MAX:
        return None
    app = await port.app(consumer_key)
    # Nobody's digest is compared too, so that the time does not tell which keys there are.
    expected = _NOBODYS_DIGEST if app is None else app.secret_digest
    same = hmac.compare_digest(hashlib.sha256(secret.encode()).digest(), expected)
    return app if same else None


def bearer(authorization: str) -> str:
    """Return the token of a Bearer authorization; empty where it is none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
