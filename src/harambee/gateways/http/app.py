"""The HTTP gateway: a raw ASGI application over a node's port.

It routes, reads within limits, hands over to one handler and sends one answer. A request that
cannot be served gets a problem document (RFC 9457) with one sentence; whatever a stranger sends,
the answer is a 4xx and never a 5xx, and nothing of what he sent is logged.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Final

from harambee.gateways.daraja.app import DarajaGateway, serves
from harambee.gateways.daraja.calls import Simulator
from harambee.gateways.http import faults
from harambee.gateways.http.answers import Answer, Stream
from harambee.gateways.http.operation import Handler, Operation
from harambee.gateways.http.operations import operations
from harambee.gateways.http.origins import ALLOWED, is_open, preflight
from harambee.gateways.http.pages import Pages
from harambee.gateways.http.problems import ProblemError, not_found
from harambee.gateways.http.requests import (
    ClientGoneError,
    Receive,
    Scope,
    Send,
    read_request,
)
from harambee.gateways.ussd import app as ussd
from harambee.gateways.ussd.app import UssdGateway
from harambee.node.port import Port, UnavailableError

Route = dict[str, Handler]

PATH_BYTES_MAX: Final = 256
SLOW_S: Final = 10
"""A listener that takes nothing for so long is let go."""
WITHOUT_CONTENT: Final = frozenset({204, 304})
"""The statuses of answers that have no body, and so say neither its length nor its type."""
NO_PAGES: Final[Mapping[str, Traversable]] = MappingProxyType({})
ANY: Final = "*"
"""A segment of a route that captures whatever stands there."""

_log: Final = logging.getLogger(__name__)

_STANDING_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


class HttpGateway:
    """One super-agent's HTTP door: `HttpGateway(port, version)` is an ASGI application.

    Daraja's paths are served by a gateway of their own, whose errors are Daraja's, and USSD's by another;
    `simulator` pays at Daraja's as customers of a development network would.
    """

    def __init__(
        self,
        port: Port,
        version: str,
        simulator: Simulator | None = None,
        pages: Mapping[str, Traversable] = NO_PAGES,
    ) -> None:
        """`pages` are folders of files that are served, each under its name."""
        self._port = port
        self._pages = Pages(pages)
        self._daraja = DarajaGateway(port, simulator)
        self._ussd = UssdGateway(port)
        self._routes = _routes(operations(version))
        """Exact paths first; then paths with captured segments, by their shape."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope, receive)
        except ClientGoneError:
            return
        except ProblemError as problem:
            answer = problem.answer()
        except UnavailableError as unavailable:
            answer = ProblemError(503, "UNAVAILABLE", str(unavailable)).answer()
        except Exception:  # noqa: BLE001 - the last line of defence, and it does not pass silently
            # Ours: the log gets the traceback, which names no customer, and the client a sentence.
            _log.exception("a request could not be answered")
            sentence = "This super-agent made a mistake; another will take the request."
            answer = ProblemError(500, "INTERNAL", sentence).answer()
        if is_open(scope["path"]):
            answer = replace(answer, headers=(*answer.headers, ALLOWED))
        with_body = scope["method"] != "HEAD"
        if isinstance(answer, Stream):
            await _send_stream(answer, receive, send, with_body=with_body)
        else:
            await _send(answer, send, with_body=with_body)
            if faults.is_push(scope["method"], scope["path"], answer.status):
                self._port.merchants.push_answered()

    async def _answer(self, scope: Scope, receive: Receive) -> Answer | Stream:
        if serves(scope["path"]):
            return await self._daraja.answer(scope, receive)
        if scope["path"] == ussd.PATH:
            return await self._ussd.answer(scope, receive)
        if self._pages.serves(scope["path"]):
            return self._pages.answer(scope["path"], scope["method"], scope["headers"])
        if scope["method"] == "OPTIONS" and is_open(scope["path"]):
            return preflight(tuple(self._route(scope["path"])[0]))
        handler, captured = self._handler(scope["path"], scope["method"])
        request = await read_request(scope, receive, captured)
        return await handler(self._port, request)

    def _handler(self, path: str, method: str) -> tuple[Handler, tuple[str, ...]]:
        route, captured = self._route(path)
        handler = route.get("GET" if method == "HEAD" else method)
        if handler is None:
            allowed = ", ".join(route)
            sentence = f"This resource takes {allowed} only."
            raise ProblemError(405, "METHOD_UNKNOWN", sentence, allow=allowed)
        return handler, captured

    def _route(self, path: str) -> tuple[Route, tuple[str, ...]]:
        if len(path) <= PATH_BYTES_MAX:
            segments = tuple(path.removeprefix("/").split("/"))
            if ANY not in segments and (route := self._routes.get(segments)) is not None:
                return route, ()
            for shape, route in self._routes.items():
                if _fits(shape, segments):
                    return route, tuple(s for s, p in zip(segments, shape, strict=True) if p == ANY)
        raise not_found("RESOURCE_UNKNOWN", "There is nothing under this address.")


def _routes(table: Sequence[Operation]) -> dict[tuple[str, ...], Route]:
    routes: dict[tuple[str, ...], Route] = {}
    for operation in table:
        segments = operation.path.removeprefix("/").split("/")
        shape = tuple(ANY if segment.startswith("{") else segment for segment in segments)
        routes.setdefault(shape, {})[operation.method] = operation.handler
    return routes


def _fits(shape: tuple[str, ...], segments: tuple[str, ...]) -> bool:
    """Say whether the segments of a path have the shape of a route with captured segments."""
    return (
        ANY in shape
        and len(shape) == len(segments)
        and all(part in (ANY, segment) for part, segment in zip(shape, segments, strict=True))
    )


def _headers(answer: Answer | Stream) -> list[tuple[bytes, bytes]]:
    own = {name for name, _ in answer.headers}
    return [*(one for one in _STANDING_HEADERS if one[0] not in own), *answer.headers]


async def _send_stream(stream: Stream, receive: Receive, send: Send, *, with_body: bool) -> None:
    """Send what comes until the source ends, the client goes, or takes nothing for SLOW_S."""
    headers = [*_headers(stream), (b"content-type", stream.content_type)]
    pump = asyncio.ensure_future(_pump(stream, send, headers, with_body=with_body))
    gone = asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait((pump, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (pump, gone):
            task.cancel()
        await asyncio.gather(pump, gone, return_exceptions=True)
        stream.source.close()
    # Who was slow gets the end when he has taken the rest, as with any other answer.
    await send({"type": "http.response.body", "body": b""})


async def _pump(
    stream: Stream, send: Send, headers: list[tuple[bytes, bytes]], *, with_body: bool
) -> None:
    await send({"type": "http.response.start", "status": stream.status, "headers": headers})
    while with_body and (piece := await stream.source.following()) is not None:
        try:
            async with asyncio.timeout(SLOW_S):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError:
            return


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(answer: Answer, send: Send, *, with_body: bool) -> None:
    headers = _headers(answer)
    if answer.status not in WITHOUT_CONTENT:
        headers.append((b"content-type", answer.content_type))
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body if with_body else b""})


async def _lifespan(receive: Receive, send: Send) -> None:
    """Answer the server: nothing is opened here, the node owns what the port needs."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
