"""The Daraja gateway: which calls there are, who may make them, and what every one is answered with.

It is served by the same listener as the rest of HTTP. Everything under its paths is answered in Daraja's
shape, errors too; a stranger's bytes give a 4xx, and the 500s are those that Daraja documents.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from harambee.crypto.hashing import digest
from harambee.gateways.daraja import (
    b2b_express,
    bill_manager,
    c2b,
    hakikisha,
    instructions,
    pull,
    qr,
    ratiba,
    stk,
)
from harambee.gateways.daraja.calls import Call, Simulator
from harambee.gateways.daraja.errors import DarajaError, internal, refusal, unreadable
from harambee.gateways.daraja.fields import Fields, read_fields, read_rows
from harambee.gateways.daraja.identifiers import local
from harambee.gateways.daraja.tokens import LIFETIME_S, TokenDesk, app_with_secret, bearer
from harambee.gateways.http.answers import Answer, json_answer
from harambee.gateways.http.problems import ProblemError
from harambee.gateways.http.requests import ClientGoneError, Receive, Request, Scope, read_request
from harambee.merchants.port import App, MerchantsError
from harambee.node.port import Port, UnavailableError

PREFIXES: Final = (
    "/oauth",
    "/mpesa",
    "/standingorder",
    "/pulltransactions",
    "/sfcverify",
    "/imsi",
    "/v1/billmanager-invoice",
    "/v1/ussdpush",
)
CERTIFICATE_PATH: Final = "/mpesa/credentials/v1/certificate"
"""Not of M-PESA, whose certificate is on its website: here each super-agent has one."""
PEM: Final = b"application/x-pem-file"
SENT_AGAIN_MARK: Final = "x-idempotency-key"
TOKEN_PATH: Final = "/oauth/v1/generate"  # noqa: S105 - an address, no secret

_log: Final = logging.getLogger(__name__)

Handler = Callable[[Call], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class _Refusal:
    """How an API says that a token is not good: it really differs between them."""

    status: int
    code: str


_NOT_FOUND: Final = _Refusal(404, "404.001.03")
_UNAUTHORISED: Final = _Refusal(401, "401.002.01")
_BAD: Final = _Refusal(400, "400.003.01")

_BILLS: Final = "/v1/billmanager-invoice"
LISTS: Final = frozenset({f"{_BILLS}/bulk-invoicing", f"{_BILLS}/cancel-bulk-invoices"})
"""Calls whose body is a list."""

ROUTES: Final[dict[str, tuple[Handler, _Refusal]]] = {
    "/mpesa/stkpush/v1/processrequest": (stk.push, _NOT_FOUND),
    "/mpesa/stkpushquery/v1/query": (stk.query, _NOT_FOUND),
    "/mpesa/c2b/v1/registerurl": (c2b.register_v1, _BAD),
    "/mpesa/c2b/v2/registerurl": (c2b.register_v2, _BAD),
    "/mpesa/c2b/v1/simulate": (c2b.simulate, _BAD),
    "/mpesa/c2b/v2/simulate": (c2b.simulate, _BAD),
    "/mpesa/b2c/v1/paymentrequest": (instructions.pay_customer, _NOT_FOUND),
    "/mpesa/b2c/v3/paymentrequest": (instructions.pay_customer, _NOT_FOUND),
    "/mpesa/b2pochi/v1/paymentrequest": (instructions.pay_pochi, _NOT_FOUND),
    "/mpesa/b2b/v1/paymentrequest": (instructions.pay_business, _NOT_FOUND),
    "/mpesa/b2b/v1/remittax": (instructions.remit_tax, _NOT_FOUND),
    "/mpesa/reversal/v1/request": (instructions.reverse, _NOT_FOUND),
    "/mpesa/b2c/hakikisha/v1/hakikisha": (hakikisha.name, _NOT_FOUND),
    "/v1/ussdpush/get-msisdn": (b2b_express.push, _NOT_FOUND),
    "/standingorder/v1/createStandingOrderExternal": (ratiba.create, _NOT_FOUND),
    f"{_BILLS}/optin": (bill_manager.opt_in, _NOT_FOUND),
    f"{_BILLS}/change-optin-details": (bill_manager.change_opt_in, _NOT_FOUND),
    f"{_BILLS}/single-invoicing": (bill_manager.invoice, _NOT_FOUND),
    f"{_BILLS}/bulk-invoicing": (bill_manager.invoices, _NOT_FOUND),
    f"{_BILLS}/cancel-single-invoice": (bill_manager.cancel, _NOT_FOUND),
    f"{_BILLS}/cancel-bulk-invoices": (bill_manager.cancel_all, _NOT_FOUND),
    f"{_BILLS}/reconciliation": (bill_manager.reconcile, _NOT_FOUND),
    "/mpesa/transactionstatus/v1/query": (instructions.status, _BAD),
    "/mpesa/accountbalance/v1/query": (instructions.balance, _UNAUTHORISED),
    "/mpesa/qrcode/v1/generate": (qr.generate, _NOT_FOUND),
    "/pulltransactions/v1/register": (pull.register, _NOT_FOUND),
    "/pulltransactions/v1/query": (pull.query, _NOT_FOUND),
    "/sfcverify/v1/query/info": (pull.organisation, _NOT_FOUND),
}
"""Each call's handler, all of them POST, and what it says of a token that is not good."""


def serves(path: str) -> bool:
    """Say whether a path is Daraja's, and its errors therefore too."""
    return any(path == prefix or path.startswith(prefix + "/") for prefix in PREFIXES)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class DarajaGateway:
    """One super-agent's Daraja door."""

    def __init__(
        self,
        port: Port,
        simulator: Simulator | None = None,
        clock_ms: Callable[[], int] = _now_ms,
    ) -> None:
        self._port = port
        self._simulator = simulator
        self._clock_ms = clock_ms
        self._tokens = TokenDesk()

    async def answer(self, scope: Scope, receive: Receive) -> Answer:
        """Answer one request under PREFIXES; raises nothing but ClientGoneError."""
        try:
            return await self._answer(scope, receive)
        except ClientGoneError:
            raise
        except DarajaError as error:
            return error.answer()
        except ProblemError as problem:
            return unreadable(problem.status).answer()
        except MerchantsError as error:
            return refusal(error).answer()
        except UnavailableError as unavailable:
            return internal(str(unavailable)).answer()
        except Exception:  # noqa: BLE001 - the last line of defence, and it does not pass silently
            # As in the rest of HTTP: the log gets the traceback, which names no customer.
            _log.exception("a call of Daraja's could not be answered")
            return internal().answer()

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        path, method = scope["path"], scope["method"]
        if path == TOKEN_PATH:
            _require(method, "GET")
            return await self._token(await read_request(scope, receive, ()))
        if path == CERTIFICATE_PATH:
            _require(method, "GET")
            return await self._certificate(await read_request(scope, receive, ()))
        route = ROUTES.get(path)
        if route is None:
            raise DarajaError(404, "404.001.01", "Resource not found")
        _require(method, "POST")
        handler, wrong_token = route
        request = await read_request(scope, receive, ())
        app = await self._app(request, wrong_token)
        now_ms = self._clock_ms()
        call = Call(
            self._port.merchants,
            app,
            Fields({}) if path in LISTS else read_fields(request.body),
            now_ms,
            self._simulator,
            read_rows(request.body) if path in LISTS else (),
            _sent_again_as(app, request, now_ms),
        )
        return json_answer(await handler(call))

    async def _token(self, request: Request) -> Answer:
        if request.query.get("grant_type") != "client_credentials":
            raise DarajaError(400, "400.008.02", "Invalid grant type passed")
        app = await app_with_secret(self._port.merchants, request.header("authorization"))
        if app is None:
            raise DarajaError(400, "400.008.01", "Invalid Authentication passed")
        token = self._tokens.issue(app, self._clock_ms())
        # Text, as the interface has always had it; clients make a number of it.
        return json_answer({"access_token": token, "expires_in": str(LIFETIME_S)})

    async def _certificate(self, request: Request) -> Answer:
        """GET /mpesa/credentials/v1/certificate?ShortCode=: for it a merchant's credentials are encrypted."""
        short_code = Fields(dict(request.query)).short_code("ShortCode")
        merchant = await self._port.merchants.merchant(short_code)
        if merchant is None:
            raise DarajaError(404, "404.001.01", "Resource not found")
        if merchant.home != self._port.index:
            # Another's certificate would make every credential a wrong one, and nobody would see why.
            home = self._port.genesis.committee.members[merchant.home].name
            sentence = f"This merchant's certificate is at the super-agent {home}"
            raise DarajaError(404, "404.001.01", sentence)
        return Answer(self._port.merchants.certificate(), PEM)

    async def _app(self, request: Request, wrong: _Refusal) -> App:
        token = bearer(request.header("authorization"))
        app = await self._tokens.app_of(self._port.merchants, token, self._clock_ms())
        if app is None:
            raise DarajaError(wrong.status, wrong.code, "Invalid Access Token")
        return app


def _sent_again_as(app: App, request: Request, now_ms: int) -> bytes:
    """Return what is the same for one marked call, however often it is sent in a day; else nothing.

    Clients make the mark from what they send, so that next month's wages would have that of this month's.
    """
    mark = request.header(SENT_AGAIN_MARK)
    if not mark:
        return b""
    day = f"{local(now_ms):%Y%m%d}"
    parts = (app.consumer_key.encode(), mark.encode(), day.encode(), request.body)
    return digest(b"harambee daraja again", *(digest(part) for part in parts))


def _require(method: str, wanted: str) -> None:
    if method != wanted:
        raise DarajaError(405, "405.001", "Method Not Allowed")
