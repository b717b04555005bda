"""Texts by Africa's Talking's API: POST /version1/messaging, one text a call.

The API key travels in a header and is in no log and no error. What the provider answers is read within
bounds; of its sentences only numbers are repeated.
"""

from dataclasses import dataclass, field
from typing import Final

import aiohttp
import msgspec

from harambee.node.sms.sending import RefusedError
from harambee.node.texts import TextPortError

ADDRESS: Final = "https://api.africastalking.com"
PATH: Final = "/version1/messaging"
ANSWER_S: Final = 20
ANSWER_BYTES_MAX: Final = 64 << 10
TAKEN: Final = frozenset({100, 101, 102})
"""Processed, sent, queued."""
NOT_NOW: Final = frozenset({405, 407, 500, 501, 502})
"""No credit, no route, and what is the provider's own fault: all of these pass."""


class _Recipient(msgspec.Struct):
    status_code: int = msgspec.field(name="statusCode")


class _Data(msgspec.Struct):
    recipients: list[_Recipient] = msgspec.field(name="Recipients", default_factory=list)


class _Answer(msgspec.Struct):
    data: _Data = msgspec.field(name="SMSMessageData")


@dataclass
class AfricasTalking:
    """Implements `Sender`."""

    user: str
    secret: str = field(repr=False)
    sender: str = ""
    """From whom texts come; the provider's own number where it is empty."""
    address: str = ADDRESS
    _session: aiohttp.ClientSession | None = None

    async def send(self, number: str, text: str) -> None:
        """Hand over one text; RefusedError where it is refused for good, TextPortError where not now."""
        form = {"username": self.user, "to": number, "message": text, "bulkSMSMode": "1"}
        if self.sender:
            form["from"] = self.sender
        headers = {"apiKey": self.secret, "accept": "application/json"}
        try:
            async with self._opened().post(
                self.address + PATH, data=form, headers=headers, allow_redirects=False
            ) as response:
                status, content = response.status, await _read(response)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise TextPortError("Africa's Talking cannot be reached") from error
        if status != 201:
            raise TextPortError(f"Africa's Talking answers with status {status}")
        judge(content)

    async def stop(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=ANSWER_S), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for piece in response.content.iter_any():
        content += piece
        if len(content) > ANSWER_BYTES_MAX:
            raise TextPortError("Africa's Talking answers too much")
    return bytes(content)


def judge(content: bytes) -> None:
    """Return if an answer says that the one text was taken; RefusedError, TextPortError."""
    try:
        recipients = msgspec.json.decode(content, type=_Answer).data.recipients
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TextPortError("Africa's Talking answers what cannot be understood") from error
    if len(recipients) != 1:
        raise RefusedError("Africa's Talking took the text for nobody")
    code = recipients[0].status_code
    if code in TAKEN:
        return
    if code in NOT_NOW:
        raise TextPortError(f"Africa's Talking takes no texts now, code {code}")
    raise RefusedError(f"Africa's Talking refused it with code {code}")
