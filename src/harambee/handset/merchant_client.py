"""A merchant's software in Python: asks customers for money, and sees what came, at any super-agent.

Whatever is asked is asked with an Idempotency-Key, so it can be sent again to another super-agent when
one does not answer: the customer is asked once. docs/http.md shows it at work.
"""

import asyncio
import base64
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, MutableMapping, Sequence
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

import aiohttp
import msgspec

from harambee.handset.webhooks import WebhookEvent, verify

ANSWER_BYTES_MAX: Final = 8 << 20
CONNECT_S: Final = 2
ANSWER_S: Final = 20
"""A super-agent asks others before it answers, and some of them may be dead."""
PAUSES_S: Final = (0.0, 0.5, 1.0, 2.0)
"""Before each round through the super-agents; after the last one it is given up."""
LOOK_S: Final = 0.5
"""Between two looks at a request that waits for the customer."""
EVENTS_ON_A_PAGE: Final = 100
EVENTS_PAUSE_S: Final = 1.0
REMEMBERED_MAX: Final = 10_000
"""Ids of events that are not told again where another super-agent tells them."""
ELSEWHERE: Final = 421
"""The status by which a super-agent says that others have what is asked for."""

T = TypeVar("T")
State = Literal["waiting", "paid", "declined", "expired"]


class MerchantClientError(Exception):
    """No super-agent gave an answer that can be understood; the message is one sentence."""


class MerchantProblemError(MerchantClientError):
    """A super-agent says why it does not do what was asked; another would say the same."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code


class MerchantPayment(msgspec.Struct, frozen=True):
    """A payment that is final."""

    receipt_code: str
    order: str
    short_code: str
    payer: int
    amount_cents: int
    time_ms: int
    account: str = ""
    msisdn: str | None = None
    payer_name: str | None = None
    balance_cents: int | None = None


class MerchantRequest(msgspec.Struct, frozen=True):
    """A payment that a customer was asked for."""

    id: str
    name: str
    short_code: str
    amount_cents: int
    account: str
    made_ms: int
    expires_ms: int
    state: State
    sentence: str
    """How it stands, for a person."""
    reason: str | None = None
    """Of a decline, for a program."""
    payment: MerchantPayment | None = None


class _Events(msgspec.Struct):
    events: list[WebhookEvent]
    next_after: int


class _Secret(msgspec.Struct):
    secret: str


class _Problem(msgspec.Struct):
    code: str
    detail: str


class MerchantClient:
    """The super-agents at `urls`, for the software that has this consumer key and secret.

    Use it in `async with`. Every method may raise MerchantClientError.
    """

    def __init__(self, urls: Sequence[str], key: str, secret: str) -> None:
        if not urls:
            raise ValueError("A merchant's software needs the address of a super-agent.")
        self._urls = tuple(dict.fromkeys(url.rstrip("/") for url in urls))
        self._first = 0
        """The super-agent that answered last; it is asked first."""
        said = base64.b64encode(f"{key}:{secret}".encode()).decode()
        self._headers = {"authorization": f"Basic {said}"}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open connections as they are needed from here on."""
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close them."""
        if self._session is not None:
            await self._session.close()

    async def ask(
        self,
        short_code: str,
        msisdn: str,
        amount_cents: int,
        *,
        account: str = "",
        text: str = "",
        callback_url: str = "",
        lasts_ms: int = 60_000,
        idempotency_key: str | None = None,
    ) -> MerchantRequest:
        """Ask a customer for money; her handset rings when this returns.

        Keep your own `idempotency_key` with the sale: asked again with it, also after a crash, it is the
        same request. Without one, only this call's own repetitions are.
        """
        body = {
            "short_code": short_code,
            "msisdn": msisdn,
            "amount_cents": amount_cents,
            "account": account,
            "text": text,
            "callback_url": callback_url,
            "lasts_ms": lasts_ms,
        }
        headers = {"idempotency-key": idempotency_key or secrets.token_hex(16)}
        return await self._ask("POST", "/v1/requests", MerchantRequest, body, headers)

    async def request(self, name: str) -> MerchantRequest:
        """Return how it stands with a request."""
        return await self._ask("GET", f"/v1/requests/{name}", MerchantRequest)

    async def wait(self, request: MerchantRequest) -> MerchantRequest:
        """Return a request once it is paid, declined or expired."""
        while request.state == "waiting":
            await asyncio.sleep(LOOK_S)
            request = await self.request(request.name)
        return request

    async def set_webhook(self, short_code: str, url: str) -> str:
        """Have events told to an address, and return the secret that signs them."""
        path = f"/v1/merchants/{short_code}/webhook"
        return (await self._ask("PUT", path, _Secret, {"url": url})).secret

    async def events(
        self, short_code: str, cursors: MutableMapping[str, int] | None = None
    ) -> AsyncIterator[WebhookEvent]:
        """Yield what happens to a merchant, each event once, and wait for more without end.

        `cursors` has where this reader is at each super-agent. It is moved on after the loop's body has
        dealt with an event: keep it, and a reader that begins with it again misses nothing.
        """
        where = {} if cursors is None else cursors
        seen: OrderedDict[str, None] = OrderedDict()
        while True:
            url, page = await self._page(short_code, where)
            for event in page.events:
                if event.id not in seen:
                    yield event
                    seen[event.id] = None
                where[url] = event.cursor
            while len(seen) > REMEMBERED_MAX:
                seen.popitem(last=False)
            if not page.events:
                await asyncio.sleep(EVENTS_PAUSE_S)

    @staticmethod
    def verify_webhook(
        headers: Mapping[str, str], body: bytes, secret: str, now: int | None = None
    ) -> WebhookEvent:
        """Return the event of a webhook; WebhookError where it is not to be believed."""
        return verify(headers, body, secret, int(time.time()) if now is None else now)

    async def _page(self, short_code: str, where: Mapping[str, int]) -> tuple[str, _Events]:
        """Return a page of events, and the super-agent that it is of."""

        def path_at(url: str) -> str:
            after = where.get(url, 0)
            return f"/v1/merchants/{short_code}/events?after={after}&limit={EVENTS_ON_A_PAGE}"

        for pause in PAUSES_S:
            await asyncio.sleep(pause)
            for url in self._in_order():
                try:
                    return url, self._read(
                        await self._send(url, "GET", path_at(url), None, {}), _Events
                    )
                except _NextError:
                    continue
        raise self._nobody()

    async def _ask(
        self,
        method: str,
        path: str,
        kind: type[T],
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """Ask one super-agent after the other until one answers."""
        content = None if body is None else msgspec.json.encode(body)
        for pause in PAUSES_S:
            await asyncio.sleep(pause)
            for url in self._in_order():
                try:
                    answer = await self._send(url, method, path, content, headers or {})
                    return self._read(answer, kind)
                except _NextError:
                    continue
        raise self._nobody()

    def _in_order(self) -> list[str]:
        return [*self._urls[self._first :], *self._urls[: self._first]]

    async def _send(
        self, url: str, method: str, path: str, content: bytes | None, headers: Mapping[str, str]
    ) -> bytes:
        """Return one super-agent's answer; _NextError where another may do better."""
        assert self._session is not None, "used in `async with`"
        sent = {**self._headers, **headers}
        if content is not None:
            sent["content-type"] = "application/json"
        try:
            async with self._session.request(
                method,
                url + path,
                data=content,
                headers=sent,
                timeout=aiohttp.ClientTimeout(total=ANSWER_S, sock_connect=CONNECT_S),
                allow_redirects=False,
            ) as response:
                status, answer = response.status, bytearray()
                async for piece in response.content.iter_any():
                    answer += piece
                    if len(answer) > ANSWER_BYTES_MAX:
                        raise _NextError
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _NextError from error
        if status >= 500 or status == ELSEWHERE:
            raise _NextError
        self._first = self._urls.index(url)
        if status >= 300:
            problem = self._read(bytes(answer), _Problem)
            raise MerchantProblemError(status, problem.code, problem.detail)
        return bytes(answer)

    def _read(self, answer: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(answer, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _NextError from error

    def _nobody(self) -> MerchantClientError:
        return MerchantClientError("No super-agent that is asked answers; ask again later.")


class _NextError(Exception):
    """This super-agent does not help; another may."""
