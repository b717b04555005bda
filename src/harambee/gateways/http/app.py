"""The HTTP gateway: a raw ASGI application over a node's port.

It routes, reads within limits, hands over to one handler and sends one answer. A request that
cannot be served gets a problem document (RFC 9457) with one sentence; whatever a stranger sends,
the answer is a 4xx and never a 5xx, and nothing of what he sent is logged.
"""

import base64
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Final

from harambee.gateways.daraja.app import DarajaGateway, serves
from harambee.gateways.daraja.calls import Simulator
from harambee.gateways.http import (
    accounts,
    agents,
    evidence,
    governance,
    history,
    holds,
    merchants,
    metrics,
    names,
    network,
    orders,
    oversight,
    pay_outs,
    payment_requests,
)
from harambee.gateways.http.answers import Answer, json_answer
from harambee.gateways.http.problems import ProblemError, not_found
from harambee.gateways.http.requests import (
    ClientGoneError,
    Receive,
    Request,
    Scope,
    Send,
    read_request,
)
from harambee.node.port import Port, UnavailableError

Handler = Callable[[Port, Request], Awaitable[Answer]]
Route = dict[str, Handler]

PATH_BYTES_MAX: Final = 256
NO_CONTENT: Final = 204
"""The status of an answer that has no body, and so says neither its length nor its type."""
ANY: Final = "*"
"""A segment of a route that captures whatever stands there."""

_log: Final = logging.getLogger(__name__)

_STANDING_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


class HttpGateway:
    """One super-agent's HTTP door: `HttpGateway(port, version)` is an ASGI application.

    Daraja's paths are served by a gateway of their own, whose errors are Daraja's; `simulator` pays there
    as customers of a development network would.
    """

    def __init__(self, port: Port, version: str, simulator: Simulator | None = None) -> None:
        self._port = port
        self._daraja = DarajaGateway(port, simulator)
        self._version = version
        self._page = _status_page()
        self._routes = self._table()
        """Exact paths first; then paths with captured segments, by their shape."""

    def _table(self) -> dict[tuple[str, ...], Route]:
        desk = network.DigestDesk()
        return {
            ("",): {"GET": self._status_page},
            ("livez",): {"GET": network.live},
            ("readyz",): {"GET": network.ready},
            ("metrics",): {"GET": metrics.metrics},
            ("v1", "orders"): {"POST": orders.submit},
            ("v1", "orders", ANY, ANY): {"GET": orders.slot},
            ("v1", "orders", ANY, ANY, "payees"): {"GET": pay_outs.payees},
            ("v1", "holds", ANY, ANY): {"GET": holds.hold},
            ("v1", "holds", ANY, ANY, "ending"): {"GET": holds.ending},
            ("v1", "reversals", ANY, ANY): {"GET": holds.reversal},
            ("v1", "pay-outs"): {"POST": pay_outs.submit},
            ("v1", "slots"): {"POST": orders.slots},
            ("v1", "finals"): {"GET": orders.finals},
            ("v1", "accounts"): {"POST": accounts.register},
            ("v1", "accounts", "query"): {"POST": accounts.query},
            ("v1", "accounts", ANY): {"GET": accounts.account},
            ("v1", "accounts", ANY, "statement"): {"GET": accounts.statement},
            ("v1", "accounts", ANY, "holds"): {"GET": holds.open_holds},
            ("v1", "accounts", ANY, "shops"): {"GET": agents.shops},
            ("v1", "accounts", ANY, "float"): {"GET": agents.float_outlook},
            ("v1", "agents", ANY): {"GET": agents.place},
            ("v1", "float-sources"): {"GET": agents.float_sources},
            ("v1", "directory"): {"POST": accounts.directory},
            ("v1", "profiles"): {"POST": names.keep},
            ("v1", "names"): {"POST": names.check},
            ("v1", "enrolment"): {"GET": accounts.enrolment},
            ("v1", "requests"): {"POST": merchants.ask},
            ("v1", "requests", "query"): {"POST": payment_requests.pending},
            ("v1", "requests", "declines"): {"POST": payment_requests.decline},
            ("v1", "requests", ANY): {"GET": merchants.request_named},
            ("v1", "bills"): {"POST": payment_requests.announce},
            ("v1", "merchants", ANY): {"GET": merchants.merchant},
            ("v1", "merchants", ANY, "events"): {"GET": merchants.events},
            ("v1", "merchants", ANY, "payments"): {"GET": merchants.payments},
            ("v1", "merchants", ANY, "webhook"): {"PUT": merchants.webhook},
            ("v1", "merchants", ANY, "refunds"): {"POST": merchants.refund},
            ("v1", "merchants", ANY, "pay-outs"): {"POST": merchants.pay_out},
            ("v1", "network"): {"GET": self._network},
            ("v1", "tariffs"): {"GET": governance.tariffs},
            ("v1", "tariffs", ANY): {"GET": governance.tariff},
            ("v1", "governance", "proposals"): {
                "GET": governance.listed,
                "POST": governance.propose,
            },
            ("v1", "governance", "proposals", ANY): {"GET": governance.one},
            ("v1", "governance", "proposals", ANY, "approvals"): {"POST": governance.approve},
            ("v1", "governance", "tariff"): {"GET": governance.governed_tariff},
            ("v1", "governance", "accounts", ANY): {"GET": governance.governed},
            ("v1", "digest"): {"GET": desk.digest},
            ("v1", "checkpoints"): {"GET": history.checkpoints},
            ("v1", "checkpoints", ANY, "index"): {"GET": history.index},
            ("v1", "checkpoints", ANY, "pages", ANY, ANY): {"GET": history.page},
            ("v1", "checkpoints", ANY, "accounts", ANY): {"GET": history.piece},
            ("v1", "heads"): {"GET": history.heads},
            ("v1", "blocks"): {"GET": history.blocks},
            ("v1", "blocks", ANY, ANY, ANY, ANY): {"GET": history.block},
            ("v1", "evidence"): {"GET": evidence.listed},
            ("v1", "evidence", ANY): {"GET": evidence.file},
            ("v1", "status"): {"GET": network.status},
            ("v1", "trust"): {"GET": oversight.trust},
            ("v1", "days", ANY, "close"): {"GET": oversight.close},
            ("v1", "days", ANY, "flows"): {"GET": oversight.flows},
            ("v1", "days", ANY, "orders"): {"GET": oversight.orders},
        }

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
        await _send(answer, send, with_body=scope["method"] != "HEAD")

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        if serves(scope["path"]):
            return await self._daraja.answer(scope, receive)
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

    async def _network(self, port: Port, request: Request) -> Answer:
        del request
        return json_answer(network.network_document(port, self._version))

    async def _status_page(self, port: Port, request: Request) -> Answer:
        del port, request
        return self._page


def _fits(shape: tuple[str, ...], segments: tuple[str, ...]) -> bool:
    """Say whether the segments of a path have the shape of a route with captured segments."""
    return (
        ANY in shape
        and len(shape) == len(segments)
        and all(part in (ANY, segment) for part, segment in zip(shape, segments, strict=True))
    )


async def _send(answer: Answer, send: Send, *, with_body: bool) -> None:
    headers = [*_STANDING_HEADERS, *answer.headers]
    if answer.status != NO_CONTENT:
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


def _status_page() -> Answer:
    """Return the page, allowed its own script and style and nothing from elsewhere."""
    page = files(__package__).joinpath("status_page.html").read_bytes()

    def allowed(tag: bytes) -> str:
        found = re.search(rb"<%s>(.*?)</%s>" % (tag, tag), page, re.DOTALL)
        assert found is not None, "the page has one script and one style, both inside it"
        return "'sha256-" + base64.b64encode(hashlib.sha256(found[1]).digest()).decode() + "'"

    policy = (
        f"default-src 'none'; connect-src 'self'; script-src {allowed(b'script')}; "
        f"style-src {allowed(b'style')}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = ((b"content-security-policy", policy.encode()), (b"referrer-policy", b"no-referrer"))
    return Answer(page, b"text/html; charset=utf-8", 200, headers)
