"""Desks for merchants of several super-agents in one process, over a ledger that is a dictionary."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from aiohttp import web

from harambee.crypto.signatures import from_seed
from harambee.crypto.vault import SealingKey, Vault
from harambee.handset.name_checks import Question, is_asked_by, read_question
from harambee.handset.orders import OrderBody, bill_reference, sign_order
from harambee.handset.payment_requests import (
    Announcement,
    Decline,
    RequestsQuestion,
    read_request,
    request_id,
    sign_announcement,
    sign_decline,
    sign_requests_question,
)
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ACCOUNT, account_number
from harambee.ledger.records import key_of as account_key
from harambee.merchants.credentials import Credentials
from harambee.merchants.desk import MerchantsDesk
from harambee.merchants.ground import GroundError, Matter
from harambee.merchants.port import App, Ask, Merchant, Trade, Verdict
from harambee.merchants.store import MerchantStore, MerchantStoreError
from harambee.money.tariff import shipped_tariff
from harambee.protocol.genesis import Genesis, GenesisDocument, MemberDocument

TODAY = 20_781
TILL, PAYBILL = "174379", "600000"
KEY = "key-1"
CUSTOMER, OTHER = "+254712345678", "+254712345679"
PASSWORD = "a long password"


@cache
def credentials():
    """Return one key for all: making it takes longer than a test should."""
    with TemporaryDirectory() as folder:
        return Credentials.open(Path(folder), "agent")


def make_genesis(n):
    members = [
        MemberDocument(f"agent-{i}", signing_key(i).public.hex(), f"{i:064x}", [i])
        for i in range(n)
    ]
    tariffs = [shipped_tariff(2).to_document()]
    document = GenesisDocument(1, "test", True, 0, "2026-01-01", members, tariffs, [], [], 0, "")
    return Genesis(document, b"")


def signing_key(index):
    return from_seed(bytes([index + 1]) * 32)


class Bodies:
    """Bodies that say the event's id and how it ended."""

    def __call__(self, delivery, merchant, now_ms):
        event = delivery.event
        state = getattr(event.facts, "state", "")
        said = {"id": event.id, "kind": event.kind, "state": state, "cursor": event.cursor}
        return {"Content-Type": "application/json"}, json.dumps(said).encode()

    def question(self, payment, merchant):
        said = {"account": payment.account, "msisdn": payment.msisdn}
        return {}, json.dumps(said).encode()

    def verdict(self, status, content):
        try:
            said = json.loads(content)
            return Verdict(bool(said["accepted"]), said.get("code", ""), said.get("sentence", ""))
        except (ValueError, KeyError, TypeError):
            return Verdict(accepted=False)


class Receiver:
    """A merchant's software: counts what it accepts by the ids of events."""

    def __init__(self):
        self.accepted = Counter()
        self.order = []
        self.places = []
        self.seen = Counter()
        self.refuses = lambda said: False
        self.verdict = b'{"accepted": true}'
        self.questions = []
        self.hangs = asyncio.Event()

    async def __aenter__(self):
        app = web.Application()
        app.router.add_post("/hang", self._hang)
        app.router.add_post("/verdict", self._judge)
        app.router.add_post("/{name:.*}", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_):
        self.hangs.set()
        await self._runner.cleanup()

    async def _take(self, request):
        said = json.loads(await request.read())
        self.seen[said["id"]] += 1
        if self.refuses(said):
            return web.Response(status=500)
        self.accepted[said["id"]] += 1
        self.order.append(said["id"])
        self.places.append(request.path)
        return web.Response()

    async def _hang(self, request):
        self.seen["hung"] += 1
        await self.hangs.wait()
        return web.Response()

    async def _judge(self, request):
        self.questions.append(json.loads(await request.read()))
        answer = web.StreamResponse()
        await answer.prepare(request)
        for byte in self.verdict:
            await answer.write(bytes([byte]))
            await asyncio.sleep(0)
        return answer


@dataclass
class Person:
    account: int
    keypair: object
    msisdn: str


@dataclass
class FakeGround:
    town: "Town"
    index: int
    refuses: object = None
    """Outcome by which orders offered here are refused, but for cancels."""

    @property
    def genesis(self):
        return self.town.genesis

    @property
    def signing(self):
        return signing_key(self.index)

    def now_ms(self):
        return self.town.now_ms()

    def today(self):
        return TODAY

    def ready(self):
        return None

    async def account(self, number):
        if self.town.asleep:
            raise GroundError("it reads its journal")
        record = self.town.accounts.get(number)
        return None if record is None else record.copy()

    async def number(self, text):
        return self.town.numbers.get(text)

    async def is_open(self, payer, sequence):
        return False

    async def tariff(self):
        return shipped_tariff(2)

    async def offer(self, order, wait_ms):
        body = OrderBody.from_bytes(order)
        self.town.offered.append(order)
        if self.refuses is not None and body.kind is not OrderKind.CANCEL:
            return self.refuses
        if body.sequence != int(self.town.accounts[body.payer]["next_sequence"][0]):
            return Outcome.SEQUENCE_STALE
        await self.town.make_final(order)
        return Outcome.ACCEPTED

    async def final(self, payer, sequence, wait_ms):
        order = self.town.finals.get((payer, sequence))
        return order is not None, order

    async def ask_name(self, question):
        said = read_question(question)
        key = account_key(self.town.accounts[said.asker])
        assert is_asked_by(question, self.genesis.network, key)
        self.town.questions.append(said)
        if self.town.no_name is not None:
            raise self.town.no_name
        return "BRIAN K."

    async def name_of(self, account):
        return "Customer 1"

    def is_linked(self, peer):
        return self.town.is_linked(self.index, peer)

    async def ask(self, peer, matter, content, patience_s):
        self.town.asked[self.index, peer, matter] += 1
        if not self.is_linked(peer):
            raise GroundError("there is no link")
        try:
            async with asyncio.timeout(patience_s):
                if peer in self.town.hung:
                    await asyncio.Event().wait()
                liar = self.town.liars.get(peer)
                if liar is not None and (said := liar(matter, content)) is not None:
                    return said
                answer = await self._served(peer, matter, content)
        except TimeoutError:
            raise GroundError("no answer in time") from None
        if not self.is_linked(peer):
            raise GroundError("the link is down")
        return answer

    async def _served(self, peer, matter, content):
        try:
            return await self.town.desks[peer].serve(self.index, Matter(matter), content)
        except MerchantStoreError:
            return b""  # as a node answers what it cannot tell now


@dataclass
class Town:
    """N super-agents, one till with its home at `home`, one paybill, two customers."""

    folder: Any
    n: int = 4
    home: int = 1
    receiver: Any = None
    private_too: bool = True
    accounts: dict[Any, Any] = field(default_factory=dict)
    numbers: dict[Any, Any] = field(default_factory=dict)
    finals: dict[Any, Any] = field(default_factory=dict)
    offered: list[Any] = field(default_factory=list)
    desks: dict[Any, Any] = field(default_factory=dict)
    stores: dict[Any, Any] = field(default_factory=dict)
    grounds: dict[Any, Any] = field(default_factory=dict)
    cut: set[Any] = field(default_factory=set)
    hung: set[Any] = field(default_factory=set)
    liars: dict[Any, Any] = field(default_factory=dict)
    asked: Counter[Any] = field(default_factory=Counter)
    questions: list[Question] = field(default_factory=list)
    """For names, as they were signed."""
    no_name: Exception | None = None
    """Why nobody is told a name."""
    died: list[int] = field(default_factory=list)
    """Who ended itself, as it was told to."""
    later_ms: int = 0
    asleep: bool = False

    def __post_init__(self):
        self.genesis = make_genesis(self.n)
        self.customer = self._person(account_number(0, 100), b"c", CUSTOMER)
        self.other = self._person(account_number(1, 100), b"o", OTHER)
        self.keys = {
            f"till:{TILL}": from_seed(b"t" * 32),
            f"paybill:{PAYBILL}": from_seed(b"p" * 32),
        }
        self.till = self._merchant(TILL, Trade.TILL, account_number(self.home, 200))
        self.paybill = self._merchant(PAYBILL, Trade.PAYBILL, account_number(self.home, 201))
        self.apps = [App(KEY, (TILL, PAYBILL), b"k" * 32, b"d" * 32)]
        self.initiators = {"alice": PASSWORD}
        url = self.receiver.url if self.receiver else ""
        self.url = f"{url}/stk" if url else ""

    def _open(self, account, keypair):
        record = np.zeros(1, ACCOUNT)
        record["key"][0] = np.frombuffer(keypair.public, np.uint8)
        record["balance"], record["next_sequence"] = 1_000_000, 1
        self.accounts[account] = record

    def _person(self, account, seed, msisdn):
        keypair = from_seed(seed * 32)
        self._open(account, keypair)
        self.numbers[msisdn] = account
        return Person(account, keypair, msisdn)

    def _merchant(self, code, trade, account):
        self._open(account, self.keys[f"{trade}:{code}"])
        self.numbers[f"{trade}:{code}"] = account
        return Merchant(code, trade, account, f"Duka {code}", self.home, "passkey")

    # -- super-agents -----------------------------------------------------------------------------

    async def __aenter__(self):
        for index in range(self.n):
            await self.start(index)
        return self

    async def __aexit__(self, *_):
        for index in list(self.desks):
            await self.stop(index)

    async def start(self, index):
        vault = Vault(SealingKey(bytes([index + 1]) * 32))
        folder = self.folder / f"agent-{index}"
        store = MerchantStore.open(folder, self.genesis.network, index, vault)
        ground = self.grounds.setdefault(index, FakeGround(self, index))
        desk = MerchantsDesk(
            ground,
            store,
            credentials(),
            Bodies(),
            private_too=self.private_too,
            die=lambda: self.died.append(index),
        )
        keys = self.keys if index == self.home else {}
        await desk.start(self.apps, [self.till, self.paybill], keys, self.initiators)
        self.stores[index], self.desks[index] = store, desk
        for order in list(self.finals.values()):
            await self._tell(index, order)
        desk.followed()
        for peer in list(self.desks):
            if self.is_linked(index, peer):
                desk.link_up(peer)
                self.desks[peer].link_up(index)

    async def stop(self, index):
        """It dies: nobody hears of it from now on."""
        self.stores.pop(index, None)
        await self.desks.pop(index).stop()

    def is_linked(self, one, other):
        return (
            one != other
            and one in self.desks
            and other in self.desks
            and frozenset((one, other)) not in self.cut
        )

    def separate(self, index, *others):
        for other in others or range(self.n):
            if other != index:
                self.cut.add(frozenset((index, other)))

    def join(self, index, *others):
        for other in others or range(self.n):
            link = frozenset((index, other))
            if link in self.cut:
                self.cut.remove(link)
                if self.is_linked(index, other):
                    self.desks[index].link_up(other)
                    self.desks[other].link_up(index)

    def disk_full(self, index, *, after=0):
        """From the so-manieth commit on nothing can be written there; returns how it is mended."""
        store, left = self.stores[index], [after]
        commit = store._made

        def refuse(changes):
            if left[0] <= 0:
                raise OSError(28, "No space left on device")
            left[0] -= 1
            return commit(changes)

        store._made = refuse

        def mend():
            store._made = commit

        return mend

    # -- the ledger -------------------------------------------------------------------------------

    def now_ms(self):
        return time.time_ns() // 1_000_000 + self.later_ms

    async def make_final(self, order):
        body = OrderBody.from_bytes(order)
        assert (body.payer, body.sequence) not in self.finals
        self.finals[body.payer, body.sequence] = order
        for account, change in ((body.payer, -body.amount_cents), (body.payee, body.amount_cents)):
            self.accounts[account]["balance"] += change
        self.accounts[body.payer]["next_sequence"] += 1
        await asyncio.gather(*(self._tell(index, order) for index in list(self.desks)))

    async def _tell(self, index, order):
        body = OrderBody.from_bytes(order)
        if body.payee in self.desks[index].accounts():
            with contextlib.suppress(GroundError):
                await self.desks[index].take_final(order, self.now_ms())

    def order(self, person, document, **other):
        """Return the order by which somebody pays a request."""
        request = read_request(document)
        body = OrderBody(
            payer=person.account,
            payee=request.payee,
            amount_cents=request.amount_cents,
            fee_cents=0,
            sequence=int(self.accounts[person.account]["next_sequence"][0]),
            kind=request.order_kind,
            tariff=1,
            day=TODAY,
            reference=request_id(self.genesis.network, document),
        )
        return sign_order(person.keypair, self.genesis.network, replace(body, **other))

    async def pay(self, document, **other):
        order = self.order(self.customer, document, **other)
        await self.make_final(order)
        return order

    def bill(self, account, amount_cents=100):
        body = OrderBody(
            payer=self.customer.account,
            payee=self.paybill.account,
            amount_cents=amount_cents,
            fee_cents=0,
            sequence=int(self.accounts[self.customer.account]["next_sequence"][0]),
            kind=OrderKind.PAY_BILL,
            tariff=1,
            day=TODAY,
            reference=bill_reference(self.paybill.account, account),
        )
        return sign_order(self.customer.keypair, self.genesis.network, body)

    # -- what people do ---------------------------------------------------------------------------

    def an_ask(self, name="request-1", **other):
        ask = Ask(
            KEY, TILL, CUSTOMER, 5_000, name, text="for milk", callback_url=self.url, form="stk"
        )
        return replace(ask, **other)

    async def ask(self, index, name="request-1", **other):
        return await self.desks[index].ask_payment(self.an_ask(name, **other))

    def question(self, person=None, time_ms=None):
        person = person or self.customer
        time_us = (self.now_ms() if time_ms is None else time_ms) * 1_000
        asked = RequestsQuestion(person.account, time_us)
        return sign_requests_question(person.keypair, self.genesis.network, asked)

    async def pending(self, index, wait_ms=0):
        return await self.desks[index].pending(self.question(), wait_ms)

    def decline(self, identity, keypair=None, account=None, reason=0):
        said = Decline(identity, account or self.customer.account, reason)
        return sign_decline(keypair or self.customer.keypair, self.genesis.network, said)

    def announcement(self, account="A-1", **other):
        said = Announcement(
            self.customer.account,
            self.paybill.account,
            100,
            account,
            self.now_ms() * 1_000,
            CUSTOMER,
        )
        said = Announcement(
            **{name: getattr(said, name) for name in said.__struct_fields__} | other
        )
        return sign_announcement(self.customer.keypair, self.genesis.network, said)

    async def document(self, index):
        """Return the one document that waits for the customer there."""
        (shown,) = await self.pending(index)
        return shown.document

    async def row(self, index, identity):
        """Return a request as it lies there, once it does: w others may have been quicker."""
        await until(lambda: self.stores[index].request(identity) is not None)
        return self.stores[index].request(identity)

    def keepers(self, identity):
        """Return who has a request durably."""
        return {i for i, store in self.stores.items() if store.request(identity) is not None}

    def events(self, index, key=f"till:{TILL}"):
        return [row.id for _, row in self.stores[index].events(key, 0, 500)]


async def until(condition, seconds=8.0):
    """Wait until something is so; AssertionError where it is not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not become so in time"
        await asyncio.sleep(0.005)


def play(scenario, folder, **town):
    """Run a scenario, an async function of a town and, if it wants one, a receiver."""

    async def main():
        async with Receiver() as receiver, Town(folder, receiver=receiver, **town) as made:
            await scenario(made, receiver)

    asyncio.run(main())
