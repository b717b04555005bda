"""Merchants' software at one door: so many requests a second, each with its callback.

Pushes come at an even rate over Daraja's interface, as unchanged software sends them. Each customer's
handset asks another super-agent what waits, checks the signature of what it is told, pays by an order
that her key signs, and brings it to a third. The callbacks are counted where they arrive, by id; a
receiver that fails answers some of them with an error, and those do not count.
"""

import asyncio
import base64
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import numpy as np
from aiohttp import web

from harambee.handset.orders import OrderBody, fee_of, options_for, sign_order, today
from harambee.handset.payment_requests import (
    RequestsQuestion,
    is_taken_by,
    read_request,
    request_id,
    sign_requests_question,
)
from harambee.ledger.records import AccountKind
from harambee.money.tariff import FeeMode
from harambee.node.development import DemoAccount
from harambee.node.network_folder import NetworkFolder
from harambee.node.port import State
from harambee.node.sandbox import CONSUMER_KEY, CONSUMER_SECRET, PARTIES, PASSKEY, SHORT_CODE

SHILLINGS: Final = 10
STAMP: Final = "20260101120000"
CALLBACKS_S: Final = 120.0
"""So long is waited for callbacks once the last push was sent."""
LOOK_S: Final = 0.05
PATIENCE_S: Final = 60.0
"""Of a customer's handset."""
WAIT_MS: Final = 10_000
CONNECTIONS_MAX: Final = 512
_OCTETS: Final = {"Content-Type": "application/octet-stream"}


class RequestsError(Exception):
    """The network did not do what it was there for; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of the network."""

    rate: int
    seconds: int
    failing: float
    """The share of callbacks that the receiver answers with an error."""
    seed: int


@dataclass(frozen=True, slots=True)
class Found:
    """What was counted."""

    pushes: int
    refused: int
    """Pushes that were not taken."""
    paid: int
    callbacks: int
    """Different ids that arrived and were taken."""
    lost: int
    doubled: int
    """Ids that were taken more than once."""
    failed_on_purpose: int
    pushes_per_second: float
    callback_ms_p50: float
    """From the push to its callback."""
    callback_ms_p99: float
    answer_ms_p50: float
    """From the push to the answer that it was taken."""
    answer_ms_p99: float

    @property
    def is_clean(self) -> bool:
        """Nothing lost, nothing doubled, nothing refused."""
        return not (self.lost or self.doubled or self.refused) and self.callbacks == self.pushes

    def as_json(self) -> dict[str, Any]:
        """The fields, for programs."""
        return asdict(self)


@dataclass
class _Counts:
    began: dict[str, float] = field(default_factory=dict)
    """When each push was sent, by checkout id."""
    answers: list[float] = field(default_factory=list)
    taken: Counter[str] = field(default_factory=Counter)
    times: dict[str, float] = field(default_factory=dict)
    refused: int = 0
    paid: int = 0
    failed: int = 0


async def run(folder: NetworkFolder, load: Load, tell: Callable[[str], None]) -> Found:
    """Push, pay and count; RequestsError."""
    counts = _Counts()
    receiver = await _receive(counts, load)
    connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
    try:
        async with aiohttp.ClientSession(connector=connector) as session:
            crowd = _Crowd(folder, session, counts)
            token = await _token(session, crowd.urls[0])
            push = _Push(session, crowd.urls[0], token, f"{receiver.name}/callback", counts)
            began = time.perf_counter()
            await _push_all(load, crowd, push, tell)
            lasted = time.perf_counter() - began
            await _until_told(counts, tell)
    finally:
        await receiver.stop()
    return _found(counts, load, lasted)


async def _push_all(
    load: Load, crowd: "_Crowd", push: "_Push", tell: Callable[[str], None]
) -> None:
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(load.rate * load.seconds):
            due = began + number / load.rate
            pause = due - time.perf_counter()
            if pause > 0:
                await asyncio.sleep(pause)
            if number % load.rate == 0:
                tell(f"{number:,} pushes, {len(push.counts.taken):,} callbacks")
            group.create_task(_journey(crowd, push, number))


async def _journey(crowd: "_Crowd", push: "_Push", number: int) -> None:
    """One push, and its customer's answer."""
    customer = crowd.of(number)
    async with customer.turn:
        name = await push.send(customer.account.msisdn, number)
        if name is not None:
            await crowd.pay(customer, name)


async def _until_told(counts: _Counts, tell: Callable[[str], None]) -> None:
    end = time.perf_counter() + CALLBACKS_S
    while len(counts.taken) < len(counts.began) and time.perf_counter() < end:
        tell(f"{len(counts.taken):,} of {len(counts.began):,} callbacks")
        await asyncio.sleep(LOOK_S)
    # Whatever would come a second time has a moment to do so.
    await asyncio.sleep(2.0)


def _found(counts: _Counts, load: Load, lasted: float) -> Found:
    late = [
        counts.times[name] - began for name, began in counts.began.items() if name in counts.times
    ]
    if not late or not counts.answers:
        raise RequestsError("not one callback arrived")
    middle, tail = np.percentile(late, (50, 99)).tolist()
    answer_middle, answer_tail = np.percentile(counts.answers, (50, 99)).tolist()
    return Found(
        pushes=load.rate * load.seconds,
        refused=counts.refused,
        paid=counts.paid,
        callbacks=len(counts.taken),
        lost=len(counts.began.keys() - counts.taken.keys()),
        doubled=sum(times > 1 for times in counts.taken.values()),
        failed_on_purpose=counts.failed,
        pushes_per_second=round(load.rate * load.seconds / lasted, 1),
        callback_ms_p50=round(1_000 * middle, 1),
        callback_ms_p99=round(1_000 * tail, 1),
        answer_ms_p50=round(1_000 * answer_middle, 1),
        answer_ms_p99=round(1_000 * answer_tail, 1),
    )


@dataclass(frozen=True)
class _Receiver:
    runner: web.AppRunner
    name: str
    """Where it listens."""

    async def stop(self) -> None:
        """Stop listening."""
        await self.runner.cleanup()


async def _receive(counts: _Counts, load: Load) -> _Receiver:
    """Start the merchant's own server."""
    dice = random.Random(load.seed)

    async def callback(request: web.Request) -> web.Response:
        body = await request.json()
        if dice.random() < load.failing:
            counts.failed += 1
            return web.Response(status=500)
        told = body["Body"]["stkCallback"]
        name = told["CheckoutRequestID"]
        counts.taken[name] += 1
        counts.times.setdefault(name, time.perf_counter())
        counts.paid += told["ResultCode"] == 0
        return web.json_response({"ResultCode": 0, "ResultDesc": "Accepted"})

    application = web.Application()
    application.router.add_post("/callback", callback)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    return _Receiver(runner, f"http://{host}:{port}")


async def _token(session: aiohttp.ClientSession, url: str) -> str:
    basic = base64.b64encode(f"{CONSUMER_KEY}:{CONSUMER_SECRET}".encode()).decode()
    address = f"{url}/oauth/v1/generate?grant_type=client_credentials"
    async with session.get(address, headers={"Authorization": f"Basic {basic}"}) as answer:
        if answer.status != 200:
            raise RequestsError(f"no access token: {answer.status}")
        return str((await answer.json())["access_token"])


@dataclass
class _Push:
    session: aiohttp.ClientSession
    url: str
    token: str
    callback: str
    counts: _Counts

    async def send(self, msisdn: str, number: int) -> str | None:
        """Ask a customer; returns the request's name, or None where it is not taken."""
        password = base64.b64encode(f"{SHORT_CODE}{PASSKEY}{STAMP}".encode()).decode()
        document = {
            "BusinessShortCode": SHORT_CODE,
            "Password": password,
            "Timestamp": STAMP,
            "TransactionType": "CustomerPayBillOnline",
            "Amount": SHILLINGS,
            "PartyA": msisdn[1:],
            "PartyB": SHORT_CODE,
            "PhoneNumber": msisdn[1:],
            "CallBackURL": self.callback,
            "AccountReference": f"order {number}",
            "TransactionDesc": "a load test",
        }
        began = time.perf_counter()
        async with self.session.post(
            f"{self.url}/mpesa/stkpush/v1/processrequest",
            json=document,
            headers={"Authorization": f"Bearer {self.token}"},
        ) as answer:
            told = await answer.json()
        if answer.status != 200:
            self.counts.refused += 1
            return None
        name = str(told["CheckoutRequestID"])
        self.counts.answers.append(time.perf_counter() - began)
        self.counts.began[name] = began
        return name


@dataclass
class _Customer:
    account: DemoAccount
    sequence: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class _Crowd:
    """The demo's customers as handsets: they ask one super-agent and pay at the next."""

    def __init__(
        self, folder: NetworkFolder, session: aiohttp.ClientSession, counts: _Counts
    ) -> None:
        self.urls = [address.http for address in folder.addresses]
        self._session = session
        self._counts = counts
        self._genesis = folder.genesis
        self._customers = [
            _Customer(person)
            for person in folder.demo()
            if person.kind is AccountKind.CUSTOMER and person.name not in PARTIES
        ]

    def of(self, number: int) -> _Customer:
        """Return whose turn it is."""
        return self._customers[number % len(self._customers)]

    async def pay(self, customer: _Customer, name: str) -> None:
        """Find the request of this name among what waits for a customer, and pay it; RequestsError."""
        network, account = self._genesis.network, customer.account
        document = await self._document(account, name)
        request = read_request(document)
        tariff = self._genesis.tariffs[-1]
        body = OrderBody(
            payer=request.payer,
            payee=request.payee,
            amount_cents=request.amount_cents,
            fee_cents=fee_of(tariff, request.order_kind, request.amount_cents),
            sequence=customer.sequence,
            kind=request.order_kind,
            tariff=tariff.version,
            day=today(),
            options=options_for(request.order_kind, FeeMode.PAYER, 0),
            reference=request_id(network, document),
        )
        order = sign_order(account.keypair, network, body)
        end = time.perf_counter() + PATIENCE_S
        while (state := await self._bring(account.account, order)) is not State.FINAL:
            if state is State.REFUSED or time.perf_counter() > end:
                raise RequestsError(f"an order is {state.name.lower()}, and not final")
        customer.sequence += 1

    async def _document(self, account: DemoAccount, name: str) -> bytes:
        """Return what a super-agent has signed; a door may have it a moment later than its taker."""
        door = self.urls[account.account % len(self.urls)]
        end = time.perf_counter() + PATIENCE_S
        while time.perf_counter() < end:
            for told in await self._waiting(account, door):
                document: bytes = told["document"].encode()
                if read_request(document).name != name:
                    continue
                signature = bytes.fromhex(told["signature"])
                if not is_taken_by(self._genesis, document, told["super_agent"], signature):
                    raise RequestsError("a request is not signed by a super-agent")
                return document
            await asyncio.sleep(LOOK_S)
        raise RequestsError("a customer's handset is not told of a request that was taken")

    async def _waiting(self, account: DemoAccount, door: str) -> list[dict[str, Any]]:
        question = RequestsQuestion(account.account, time.time_ns() // 1_000)
        signed = sign_requests_question(account.keypair, self._genesis.network, question)
        with suppress(aiohttp.ClientConnectionError):
            async with self._session.post(
                f"{door}/v1/requests/query?wait_ms={WAIT_MS}", data=signed, headers=_OCTETS
            ) as answer:
                if answer.status == HTTPStatus.OK:
                    told: list[dict[str, Any]] = (await answer.json())["requests"]
                    return told
        return []

    async def _bring(self, account: int, order: bytes) -> State:
        """Offer an order; the same bytes again are the same payment."""
        door = self.urls[(account + 1) % len(self.urls)]
        with suppress(aiohttp.ClientConnectionError):
            async with self._session.post(
                f"{door}/v1/orders?wait_ms={WAIT_MS}", data=order, headers=_OCTETS
            ) as answer:
                if answer.status == HTTPStatus.OK:
                    return State((await answer.read())[0])
        return State.PENDING
