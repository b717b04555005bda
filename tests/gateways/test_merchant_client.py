"""The client for merchants' software against doors on real sockets, some of which are closed or lie."""

import asyncio
import re
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from tests.gateways.conftest import FakePort
from tests.gateways.fake_merchants import KEY, SECRET, TILL
from tests.gateways.test_http_server import _served

from harambee.gateways.http.webhooks import FORM, body, secret_text
from harambee.handset import merchant_client
from harambee.handset.merchant_client import (
    MerchantClient,
    MerchantClientError,
    MerchantProblemError,
)
from harambee.merchants.port import Delivery, Reason

GUIDE = Path(__file__).parents[2] / "docs" / "http.md"
NOBODY = "http://127.0.0.1:9"
"""Nothing listens there."""


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """Look again at once: nobody is waited for here."""
    for name in ("LOOK_S", "EVENTS_PAUSE_S"):
        monkeypatch.setattr(merchant_client, name, 0.01)
    monkeypatch.setattr(merchant_client, "PAUSES_S", (0.0, 0.01))


def with_client(story, ports, before=(), secret=SECRET):
    """Run a story with a client of these super-agents, behind other addresses if any."""

    async def run():
        async with AsyncExitStack() as open_doors:
            urls = [await open_doors.enter_async_context(_served(port)) for port in ports]
            async with MerchantClient([*before, *urls], KEY, secret) as client:
                return await story(client)

    return asyncio.run(run())


@asynccontextmanager
async def answering(status, content):
    """Serve one answer to everything."""

    async def answer(request):
        return web.Response(status=status, body=content)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
def ports():
    """Two super-agents that know of the same requests."""
    first, second = FakePort(), FakePort(index=1)
    second.merchants = first.merchants
    return [first, second]


def test_a_sale_is_asked_waited_for_and_paid(ports):
    async def story(client):
        asked = await client.ask(TILL, "0712345678", 15_000, account="INV-7")
        assert asked.state == "waiting"
        waiting = asyncio.ensure_future(client.wait(asked))
        await asyncio.sleep(0)
        ports[0].merchants.pay(asked.name)
        return await waiting

    ended = with_client(story, ports)
    assert (ended.state, ended.amount_cents, ended.account) == ("paid", 15_000, "INV-7")
    assert ended.payment.receipt_code == "SK1ABCDEFG"


def test_the_customer_is_asked_once_however_often_it_is_sent(ports):
    async def story(client):
        names = set()
        for _ in range(2):
            asked = await client.ask(TILL, "0712345678", 15_000, idempotency_key="sale-7")
            names.add(asked.name)
        return names

    assert len(with_client(story, ports[:1]) | with_client(story, ports[1:])) == 1
    assert len(ports[0].merchants.asked) == 1


def test_a_door_that_is_closed_or_out_of_order_is_left_for_the_next(ports):
    ports[0].merchants.app = None  # a bug: this door answers 500

    async def story(client):
        return await client.ask(TILL, "0712345678", 15_000)

    second = FakePort(index=1)
    assert with_client(story, [ports[0], second], [NOBODY]).state == "waiting"
    assert len(second.merchants.asked) == 1


def test_what_every_super_agent_would_say_is_said_once(ports):
    async def story(client):
        with pytest.raises(MerchantProblemError) as refused:
            await client.ask(TILL, "0799999999", 15_000)
        return refused.value

    problem = with_client(story, ports)
    assert (problem.status, problem.code) == (404, "PAYER_UNKNOWN")
    stranger = with_client(story, ports, secret="another")
    assert (stranger.status, stranger.code) == (401, "UNAUTHORIZED")


def test_when_nobody_answers_it_says_so_in_the_end(ports):
    ports[0].merchants.refuses = Reason.UNAVAILABLE

    async def story(client):
        with pytest.raises(MerchantClientError, match="No super-agent"):
            await client.ask(TILL, "0712345678", 15_000)
        with pytest.raises(MerchantClientError, match="No super-agent"):
            await anext(client.events(TILL))

    with_client(story, ports[:1], [NOBODY])


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (200, b""),
        (200, b"<html>"),
        (201, b'{"name": 5}'),
        (204, b""),
        (302, b"elsewhere"),
        (404, b"nothing"),
        (503, b"{}"),
    ],
)
def test_an_answer_that_is_none_is_as_good_as_no_answer(ports, status, content):
    async def run():
        async with (
            answering(status, content) as liar,
            _served(ports[0]) as honest,
            MerchantClient([liar, honest], KEY, SECRET) as client,
        ):
            return await client.ask(TILL, "0712345678", 15_000)

    assert asyncio.run(run()).state == "waiting"


def test_an_answer_without_end_is_not_read_to_its_end(ports, monkeypatch):
    monkeypatch.setattr(merchant_client, "ANSWER_BYTES_MAX", 1_000)

    async def run():
        async with (
            answering(200, b" " * 100_000) as endless,
            MerchantClient([endless], KEY, SECRET) as client,
        ):
            await client.request("order-7")

    with pytest.raises(MerchantClientError):
        asyncio.run(run())


def test_events_are_told_once_and_from_where_the_reader_was(ports):
    cursors = {}

    async def sell(client, key):
        asked = await client.ask(TILL, "0712345678", 15_000, idempotency_key=key)
        ports[0].merchants.pay(asked.name)

    async def read(client, count):
        found = []
        async for event in client.events(TILL, cursors):
            found.append((event.type, event.cursor))
            if len(found) == count:
                return found
        return found

    async def story(client):
        await sell(client, "sale-1")
        first = await read(client, 2)
        await sell(client, "sale-2")
        return first, await read(client, 2)

    first, rest = with_client(story, ports[:1])
    assert first == [("request.ended", 1), ("payment.received", 2)]
    # The second event was told, and its reader ended before it said that it was done with it.
    assert rest == [("payment.received", 2), ("request.ended", 3)]


def test_events_are_read_where_they_are_recorded(ports):
    elsewhere = FakePort(index=2)
    elsewhere.merchants = ports[0].merchants

    async def story(client):
        asked = await client.ask(TILL, "0712345678", 15_000)
        ports[0].merchants.pay(asked.name)
        return await anext(client.events(TILL))

    assert with_client(story, [elsewhere, ports[0]]).type == "request.ended"


def test_another_super_agents_events_are_not_told_again(ports):
    cursors = {}

    async def story(client):
        for key in ("sale-1", "sale-2"):
            asked = await client.ask(TILL, "0712345678", 15_000, idempotency_key=key)
            ports[0].merchants.pay(asked.name)
        ids, reader = [], client.events(TILL, cursors)
        ids.append((await anext(reader)).id)
        ports[0].index = 2  # from now on it says that others have the events
        ids.extend([(await anext(reader)).id for _ in range(3)])
        return ids

    assert with_client(story, ports) == ["evt_1", "evt_2", "evt_3", "evt_4"]


def test_a_webhook_is_set_and_checked(ports):
    async def story(client):
        secret = await client.set_webhook(TILL, "https://duka.example/hook")
        asked = await client.ask(TILL, "0712345678", 15_000)
        ports[0].merchants.pay(asked.name)
        return secret

    secret = with_client(story, ports)
    merchant = ports[0].merchants.merchants[TILL]
    assert secret == secret_text(merchant.webhook_secret)
    event = ports[0].merchants.told[0]
    headers, content = body(Delivery(event, merchant.webhook, FORM), merchant, 1_000)
    assert MerchantClient.verify_webhook(headers, content, secret, now=1).id == event.id


def test_without_an_address_there_is_nobody_to_ask():
    with pytest.raises(ValueError, match="address of a super-agent"):
        MerchantClient([], KEY, SECRET)


def guide():
    """Return what the example of the guide defines."""
    (source,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    defined = {}
    exec(compile(source, GUIDE.name, "exec"), defined)
    return defined


def test_the_example_of_the_guide_sells_and_follows(ports, capsys):
    example, merchants = guide(), ports[0].merchants

    class Cursors(dict):
        def __init__(self):
            self.both_told = asyncio.Event()

        def __setitem__(self, url, cursor):
            super().__setitem__(url, cursor)
            if cursor == 2:
                self.both_told.set()

    async def ask_and_pay(ask):
        view = await asked(ask)
        merchants.pay(ask.name)
        return view

    asked, merchants.ask_payment = merchants.ask_payment, ask_and_pay

    async def run():
        async with _served(ports[0]) as url:
            code = await example["sell"]([url], KEY, SECRET)
            cursors = Cursors()
            following = asyncio.ensure_future(example["follow"]([url], KEY, SECRET, cursors))
            await cursors.both_told.wait()
            following.cancel()
            with pytest.raises(asyncio.CancelledError):
                await following
            return code

    assert asyncio.run(run()) == "SK1ABCDEFG"
    assert capsys.readouterr().out == "SK1ABCDEFG 15000\n"
