"""Merchants in memory, as the port shows them, and a client that speaks ASGI to the whole gateway."""

import asyncio
import base64
import hashlib
import json
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from harambee.gateways.daraja.app import DarajaGateway
from harambee.gateways.http.app import HttpGateway
from harambee.merchants.port import (
    App,
    Ask,
    Instruction,
    Merchant,
    MerchantsError,
    PaymentFacts,
    Reason,
    RequestState,
    RequestView,
    Trade,
    Urls,
    Verdict,
)

KEY, SECRET = "key-of-a-shop", "secret-of-a-shop"
OTHER_KEY, OTHER_SECRET = "key-of-another", "secret-of-another"
PASSKEY = "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"
PAYBILL, TILL, FOREIGN = "174379", "600988", "600000"
PHONE = "254708374149"
NOON_MS = 1_574_683_275_000
"""25 November 2019, 15:01:15 in Nairobi."""


def app(key, secret, *short_codes):
    return App(
        key,
        short_codes,
        hashlib.sha256(key.encode()).digest(),
        hashlib.sha256(secret.encode()).digest(),
    )


def merchant(short_code, trade):
    return Merchant(short_code, trade, 40, f"Merchant {short_code}", 0, PASSKEY)


@dataclass
class FakeMerchants:
    """Keeps what the port is told; a customer answers when a test says so."""

    apps: dict[str, App] = field(default_factory=dict)
    merchants: dict[str, Merchant] = field(default_factory=dict)
    requests: dict[str, RequestView] = field(default_factory=dict)
    asks: list[Ask] = field(default_factory=list)
    instructions: dict[str, Instruction] = field(default_factory=dict)
    urls: dict[str, Urls] = field(default_factory=dict)
    received: list[PaymentFacts] = field(default_factory=list)
    verdict: Verdict = field(default_factory=lambda: Verdict(accepted=True))
    asked_for: list[Any] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    invoices: dict[str, Any] = field(default_factory=dict)
    answered: int = 0
    fails: Exception | None = None
    """What every method raises that could."""

    async def app(self, consumer_key):
        self._fail()
        return self.apps.get(consumer_key)

    async def merchant(self, short_code):
        trade, colon, digits = short_code.rpartition(":")
        found = self.merchants.get(digits)
        return None if found is None or (colon and found.trade != trade) else found

    async def ask_payment(self, ask):
        self._fail()
        if ask in self.asks:
            return self.requests[ask.name]
        if ask.name in self.requests:
            raise MerchantsError(Reason.NAME_TAKEN, "Something else was asked under this name.")
        self.asks.append(ask)
        view = RequestView(
            id=hashlib.sha256(ask.name.encode()).digest(),
            name=ask.name,
            short_code=ask.short_code.rpartition(":")[2],
            payee=40,
            payer=50,
            msisdn=ask.msisdn,
            amount_cents=ask.amount_cents,
            account=ask.account,
            text=ask.text,
            made_ms=NOON_MS,
            expires_ms=NOON_MS + ask.lasts_ms,
            state=RequestState.WAITING,
            extra=dict(ask.extra),
        )
        self.requests[ask.name] = view
        return view

    def ends(self, name, state, reason=0, payment=None):
        """Let a request end."""
        ended = replace(self.requests[name], state=state, reason=int(reason), payment=payment)
        self.requests[name] = ended
        return ended

    async def request(self, name):
        self._fail()
        return self.requests.get(name)

    async def instruct(self, instruction):
        self._fail()
        is_new = instruction.name not in self.instructions
        kept = self.instructions.setdefault(instruction.name, instruction)
        if replace(kept, conversation="", extra={}) != replace(
            instruction, conversation="", extra={}
        ):
            raise MerchantsError(Reason.NAME_TAKEN, "Another instruction has this name.")
        return is_new

    async def judge(self, short_code, msisdn, amount_cents, account):
        self._fail()
        return self.verdict

    async def name_of_number(self, consumer_key, short_code, msisdn):
        self._fail()
        self.asked_for.append((consumer_key, short_code, msisdn))
        if msisdn not in self.names:
            raise MerchantsError(Reason.NOT_FOUND, "The owner has given no name.")
        return self.names[msisdn]

    async def set_billing(self, short_code, billing):
        self._fail()
        digits = short_code.rpartition(":")[2]
        self.merchants[digits] = replace(self.merchants[digits], billing=billing)

    async def keep_invoice(self, consumer_key, short_code, invoice):
        self._fail()
        if self.invoices.setdefault(invoice.reference, (short_code, invoice))[1] != invoice:
            raise MerchantsError(Reason.NAME_TAKEN, "Another invoice has this reference.")

    async def cancel_invoice(self, consumer_key, short_code, reference):
        self._fail()
        if self.invoices.pop(reference, None) is None:
            raise MerchantsError(Reason.NOT_FOUND, "There is no such invoice.")

    async def acknowledge(self, consumer_key, short_code, receipt_code, amount_cents):
        self._fail()
        known = {(row.receipt_code, row.amount_cents) for row in self.received}
        if (receipt_code, amount_cents) not in known:
            raise MerchantsError(Reason.NOT_FOUND, "There is no such payment.")

    async def set_urls(self, consumer_key, short_code, urls):
        self._fail()
        self.urls[short_code] = urls

    async def payments(self, short_code, since_ms, until_ms, offset, limit):
        self.asked_for.append((short_code, since_ms, until_ms, offset, limit))
        inside = [row for row in self.received if since_ms <= row.time_ms <= until_ms]
        return inside[offset : offset + limit]

    def push_answered(self):
        self.answered += 1

    def certificate(self):
        return b"-----BEGIN CERTIFICATE-----\n"

    def _fail(self):
        if self.fails is not None:
            raise self.fails


@dataclass
class FakeSimulator:
    paid: list[Any] = field(default_factory=list)

    async def pay(self, msisdn, short_code, amount_cents, account):
        self.paid.append((msisdn, short_code, amount_cents, account))


def fake_merchants():
    return FakeMerchants(
        apps={
            KEY: app(KEY, SECRET, PAYBILL, TILL),
            OTHER_KEY: app(OTHER_KEY, OTHER_SECRET, FOREIGN),
        },
        merchants={
            PAYBILL: merchant(PAYBILL, Trade.PAYBILL),
            TILL: merchant(TILL, Trade.TILL),
            FOREIGN: merchant(FOREIGN, Trade.PAYBILL),
        },
    )


def development_genesis():
    members = [SimpleNamespace(name="amani")]
    return SimpleNamespace(
        document=SimpleNamespace(development=True), committee=SimpleNamespace(members=members)
    )


@dataclass
class FakePort:
    merchants: FakeMerchants = field(default_factory=fake_merchants)
    index: int = 0
    genesis: Any = field(default_factory=development_genesis)


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self):
        return json.loads(self.body)

    @property
    def error(self):
        """HTTP status, code and message of an error, which has these three names and no other."""
        assert self.headers["content-type"] == "application/json"
        document = self.document
        assert set(document) == {"requestId", "errorCode", "errorMessage"}
        return self.status, document["errorCode"], document["errorMessage"]


class Door:
    """A super-agent's door; its clock stands still until a test moves it."""

    def __init__(self, port=None, simulator=None):
        self.port = port or FakePort()
        self.now_ms = NOON_MS
        self.gateway = HttpGateway(self.port, "1.2.3")
        self.gateway._daraja = DarajaGateway(self.port, simulator, lambda: self.now_ms)

    @property
    def merchants(self):
        return self.port.merchants

    def send(self, method, path, body=b"", query=b"", headers=()):
        return asyncio.run(self._send(method, path, body, query, headers))

    async def _send(self, method, path, body, query, headers):
        incoming = [{"type": "http.request", "body": body, "more_body": False}]
        sent = []

        async def receive():
            return incoming.pop(0) if incoming else {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query,
            "headers": list(headers),
        }
        await self.gateway(scope, receive, send)
        start, end = sent
        headers_back = {name.decode(): value.decode() for name, value in start["headers"]}
        return Reply(start["status"], headers_back, end["body"])

    def oauth(self, key=KEY, secret=SECRET, query=b"grant_type=client_credentials"):
        pair = base64.b64encode(f"{key}:{secret}".encode())
        headers = [(b"authorization", b"Basic " + pair)]
        return self.send("GET", "/oauth/v1/generate", query=query, headers=headers)

    def token(self, key=KEY, secret=SECRET):
        return self.oauth(key, secret).document["access_token"]

    def post(self, path, document, token=None, more=()):
        """Make a call, with a fresh token unless one is given, and `more` headers."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        bearer = self.token() if token is None else token
        headers = [
            (b"content-type", b"application/json"),
            (b"authorization", f"Bearer {bearer}".encode()),
            *more,
        ]
        return self.send("POST", path, body, headers=headers)


def payment(**changes):
    facts = {
        "receipt_code": "NLJ7RT61SV",
        "order": bytes(128),
        "short_code": PAYBILL,
        "payer": 50,
        "amount_cents": 100,
        "time_ms": 1_576_740_075_000,
        "account": "INV-001",
        "msisdn": f"+{PHONE}",
        "payer_name": "CUSTOMER NUMBER ONE",
        "balance_cents": 2_500,
    }
    return PaymentFacts(**(facts | changes))


def password(short_code, timestamp, passkey=PASSKEY):
    return base64.b64encode(f"{short_code}{passkey}{timestamp}".encode()).decode()
