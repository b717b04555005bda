"""Events over HTTP: who listens is told twice a second; who goes, sleeps or is one too many is let go."""

import asyncio
import json

import pytest
from tests.gateways.conftest import PAYEE, PAYER, TODAY, FakePort

from harambee.gateways.http import app, live
from harambee.gateways.http.app import HttpGateway
from harambee.gateways.http.live import LISTENERS_MAX, alarms
from harambee.handset.receipt_code import receipt_code
from harambee.node.port import NewFinal, UnavailableError
from harambee.oversight.trust_line import trust_line


class Trust:
    async def trust(self):
        return trust_line(900, [(700, -900, 1_000)])


@pytest.fixture
def port(order):
    found = FakePort()
    found.oversight = Trust()
    found.newest_held.append(NewFinal(order, 3, 1_000))
    return found


@pytest.fixture
def quick(monkeypatch):
    """Events as fast as they can be told."""
    monkeypatch.setattr(live, "EVENT_S", 0)


class Listener:
    """A client that hangs up when it is told to, and takes nothing while it sleeps."""

    def __init__(self, application, method="GET"):
        self.gone, self.awake = asyncio.Event(), asyncio.Event()
        self.awake.set()
        self.heard = asyncio.Queue()
        self.started = None
        self._asked = False
        scope = {
            "type": "http",
            "method": method,
            "path": "/v1/live",
            "query_string": b"",
            "headers": [],
        }
        self.served = asyncio.ensure_future(application(scope, self._receive, self._send))

    async def _receive(self):
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        if message["type"] == "http.response.start":
            self.started = message
            return
        await self.awake.wait()
        self.heard.put_nowait(message)

    async def next(self):
        async with asyncio.timeout(5):
            return await self.heard.get()

    async def event(self):
        """The next event's document; what stands before it is left out."""
        while True:
            body = (await self.next())["body"]
            for line in body.splitlines():
                if line.startswith(b"data: "):
                    return json.loads(line.removeprefix(b"data: "))

    async def hang_up(self):
        self.gone.set()
        async with asyncio.timeout(5):
            await self.served


def desk_of(application):
    return application._routes["v1", "live"]["GET"].__self__


def story(port, tell):
    async def run():
        async with asyncio.timeout(20):
            await tell(HttpGateway(port, "1.2.3"))

    asyncio.run(run())


def test_an_event_says_how_it_stands(port, quick):
    async def tell(application):
        listener = Listener(application)
        first = (await listener.next())["body"]
        assert first.startswith(b"retry: 1000\ndata: {")
        assert first.endswith(b"}\n\n")
        document = await listener.event()
        assert document["super_agent"] == 0
        assert document["status"]["finals_per_second"] == 2.5
        assert document["trust"] == {
            "circulation_cents": 900,
            "owed_cents": 900,
            "holds": True,
        }
        assert document["digest"]["entries"] == 0
        (newest,) = document["newest"]
        assert newest["receipt_code"] == receipt_code(PAYER, 7, TODAY, 4)
        assert (newest["payer"], newest["payee"], newest["super_agent"]) == (PAYER, PAYEE, 3)
        headers = dict(listener.started["headers"])
        assert headers[b"content-type"] == b"text/event-stream"
        assert headers[b"cache-control"] == b"no-store"
        assert headers[b"access-control-allow-origin"] == b"*"
        await listener.hang_up()

    story(port, tell)


def test_however_many_listen_the_facts_are_looked_up_once(port, monkeypatch):
    looked = []
    monkeypatch.setattr(FakePort, "status", lambda self: looked.append(1) or {"peers": []})

    async def tell(application):
        listeners = [Listener(application) for _ in range(10)]
        for listener in listeners:
            await listener.event()
        assert len(looked) == 1
        for listener in listeners:
            await listener.hang_up()

    story(port, tell)


def test_one_too_many_is_told_so_and_a_place_that_is_free_is_given(port, quick):
    async def tell(application):
        listeners = [Listener(application) for _ in range(LISTENERS_MAX)]
        for listener in listeners:
            await listener.event()
        refused = Listener(application)
        document = json.loads((await refused.next())["body"])
        assert (refused.started["status"], document["code"]) == (503, "BUSY")
        await listeners[0].hang_up()
        again = Listener(application)
        assert (await again.event())["super_agent"] == 0
        for listener in [*listeners[1:], again]:
            await listener.hang_up()

    story(port, tell)


def test_who_goes_and_comes_back_hears_nothing_old(port, quick):
    async def tell(application):
        listener = Listener(application)
        await listener.event()
        await listener.hang_up()
        port.not_ready = "This super-agent waits."
        await asyncio.sleep(0.05)  # nobody listens any more
        again = Listener(application)
        assert (await again.event())["status"]["ready"] == "This super-agent waits."
        await again.hang_up()

    story(port, tell)


def test_a_slow_listener_misses_events_and_is_let_go_at_last(port, quick, monkeypatch):
    monkeypatch.setattr(app, "SLOW_S", 0.1)

    async def tell(application):
        slow, other = Listener(application), Listener(application)
        await slow.event()
        slow.awake.clear()
        for _ in range(5):
            await other.event()
        async with asyncio.timeout(5):
            while desk_of(application)._listeners > 1:
                await other.event()
        slow.awake.set()
        last = None
        while last is None or last.get("more_body"):
            last = await slow.next()
        async with asyncio.timeout(5):
            await slow.served
        await other.hang_up()

    story(port, tell)


def test_where_nothing_is_new_a_comment_keeps_the_line(port, monkeypatch):
    monkeypatch.setattr(live, "EVENT_S", 60)
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.05)

    async def tell(application):
        listener = Listener(application)
        await listener.event()
        assert (await listener.next())["body"] == b": nothing new\n\n"
        assert (await listener.next())["body"] == b": nothing new\n\n"
        await listener.hang_up()

    story(port, tell)


def test_when_the_super_agent_ends_so_do_the_streams(port, quick):
    async def tell(application):
        listener = Listener(application)
        await listener.event()
        port.is_leaving = True
        async with asyncio.timeout(5):
            await listener.served
        while (last := await listener.next()).get("more_body"):
            pass
        assert last["body"] == b""

    story(port, tell)


def test_head_has_no_events(port, quick):
    async def tell(application):
        listener = Listener(application, "HEAD")
        async with asyncio.timeout(5):
            await listener.served
        assert (listener.started["status"], (await listener.next())["body"]) == (200, b"")

    story(port, tell)


def test_what_cannot_be_asked_now_is_told_as_it_was(port, quick):
    async def busy():
        raise UnavailableError("This super-agent cannot write: the disk is full.")

    async def tell(application):
        listener = Listener(application)
        assert (await listener.event())["trust"]["owed_cents"] == 900
        port.oversight.trust = busy
        port.not_ready = "This super-agent cannot write: the disk is full."
        while (document := await listener.event())["status"]["ready"] is None:
            pass
        assert document["trust"]["owed_cents"] == 900
        assert document["alarms"][0] == port.not_ready
        await listener.hang_up()

    story(port, tell)


def test_an_answer_that_takes_long_keeps_no_event_back(port, quick, monkeypatch):
    monkeypatch.setattr(live, "PATIENCE_S", 0.01)
    answered, asked = asyncio.Event(), []

    async def slow():
        asked.append(1)
        await answered.wait()
        return {"digest": "11", "entries": 5}

    port.digest = slow

    async def tell(application):
        listener = Listener(application)
        for _ in range(5):
            assert (await listener.event())["digest"] is None
        assert asked == [1], "it is not asked again while it has not answered"
        answered.set()
        while (document := await listener.event())["digest"] is None:
            pass
        assert document["digest"]["entries"] == 5
        await listener.hang_up()

    story(port, tell)


def test_a_mistake_ends_the_streams_and_not_the_super_agent(port, quick, caplog, monkeypatch):
    def broken(_self):
        raise RuntimeError("a bug")

    monkeypatch.setattr(FakePort, "status", broken)

    async def tell(application):
        listener = Listener(application)
        async with asyncio.timeout(5):
            await listener.served

    story(port, tell)
    assert "the live facts could not be told" in caplog.text


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"ready": "It waits."}, "It waits."),
        ({"total_cents": 5}, "All balances add up to 5 cents, and must add up to zero."),
        ({"trust_holds": False}, "A bank owes more than it has attested."),
        ({"trust_banks_above_quarter": 2}, "More than a quarter of the trust money lies"),
        ({"float_low": True}, "The float that this super-agent sells ends soon."),
        ({"commissions_trouble": "Nothing is paid."}, "Nothing is paid."),
        ({"checkpoint_alarms": ["No checkpoint."]}, "No checkpoint."),
        ({"peers": [{"name": "amani", "convicted": True}]}, "amani has signed what no honest"),
    ],
)
def test_everything_that_somebody_should_look_at_is_a_sentence(facts, sentence):
    (said,) = alarms(facts)
    assert said.startswith(sentence)
    assert list(alarms({"ready": None, "total_cents": 0, "peers": []})) == []
