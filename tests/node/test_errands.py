"""Errands between super-agents: answered once, by the right one, and never for ever."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.node.errands import (
    ANSWER_BYTES_MAX,
    ASKED_BYTES_MAX,
    ERRANDS,
    SERVED_AT_ONCE_MAX,
    WAITING_MAX,
    Errand,
    ErrandError,
    Errands,
)
from harambee.node.frames import FrameError, FrameType

PEER, OTHER = 1, 2


class Side:
    """One super-agent's errands; what it sends is kept, and is delivered by hand."""

    def __init__(self, serve=None):
        self.sent = []
        self.linked = True
        self.served = []
        self.errands = Errands(3, self._send, serve or self._serve)

    def _send(self, peer, kind, content):
        if self.linked:
            self.sent.append((peer, kind, content))
        return self.linked

    async def _serve(self, peer, what, content):
        self.served.append((peer, what, content))
        return content[::-1]


def run(story):
    return asyncio.run(story)


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def asked(side, content=b"abc", peer=PEER, patience_s=60):
    task = asyncio.create_task(side.errands.ask(peer, Errand.CHECK_NAME, content, patience_s))
    await settle()
    return task


def test_an_errand_is_answered():
    async def story():
        here, there = Side(), Side()
        waiting = await asked(here)
        (_, kind, content) = here.sent.pop()
        assert kind == FrameType.ERRAND
        there.errands.take(0, kind, content)
        await settle()
        assert there.served == [(0, Errand.CHECK_NAME, b"abc")]
        (_, kind, content) = there.sent.pop()
        here.errands.take(PEER, kind, content)
        assert await waiting == b"cba"

    run(story())


def test_an_answer_from_somebody_else_or_to_another_ticket_is_none():
    async def story():
        here = Side()
        waiting = await asked(here)
        ticket = here.sent[0][2][:4]
        here.errands.take(OTHER, FrameType.ERRAND_ANSWER, ticket + b"forged")
        here.errands.take(PEER, FrameType.ERRAND_ANSWER, b"\xff" * 4 + b"forged")
        await settle()
        assert not waiting.done()
        here.errands.take(PEER, FrameType.ERRAND_ANSWER, ticket + b"right")
        here.errands.take(PEER, FrameType.ERRAND_ANSWER, ticket + b"again")
        assert await waiting == b"right"
        here.errands.take(PEER, FrameType.ERRAND_ANSWER, ticket + b"late")

    run(story())


def test_who_is_gone_or_silent_is_not_waited_for():
    async def story():
        here = Side()
        waiting = await asked(here)
        other = await asked(here, peer=OTHER)
        here.errands.lost(PEER)
        with pytest.raises(ErrandError, match="down"):
            await waiting
        assert not other.done()
        other.cancel()
        with pytest.raises(ErrandError, match="in time"):
            await here.errands.ask(PEER, Errand.CHECK_NAME, b"", 0)
        here.linked = False
        with pytest.raises(ErrandError, match="no link"):
            await here.errands.ask(PEER, Errand.CHECK_NAME, b"", 60)

    run(story())


def test_what_waits_for_one_peer_is_bounded():
    async def story():
        here = Side()
        tasks = [
            asyncio.create_task(here.errands.ask(PEER, Errand.CHECK_NAME, b"", 60))
            for _ in range(WAITING_MAX)
        ]
        await settle()
        with pytest.raises(ErrandError, match="too much waits"):
            await here.errands.ask(PEER, Errand.CHECK_NAME, b"", 60)
        here.errands.lost(PEER)
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(answer, ErrandError) for answer in answers)

    run(story())


def errand(ticket, what=Errand.CHECK_NAME, content=b""):
    return ticket.to_bytes(4, "little") + bytes([what]) + content


def test_what_one_peer_has_done_at_once_is_bounded():
    async def story():
        gate = asyncio.Event()

        async def slow(peer, what, content):
            await gate.wait()
            return b""

        there = Side(slow)
        for ticket in range(SERVED_AT_ONCE_MAX * 3):
            there.errands.take(PEER, FrameType.ERRAND, errand(ticket))
        there.errands.take(OTHER, FrameType.ERRAND, errand(0))
        gate.set()
        await settle()
        answered = [peer for peer, _, _ in there.sent]
        assert answered.count(PEER) == SERVED_AT_ONCE_MAX
        assert answered.count(OTHER) == 1, "who floods takes nobody's place but its own"

    run(story())


def test_a_flood_is_not_looked_at_beyond_its_rate():
    async def story():
        there = Side()
        for ticket in range(2 * ERRANDS.burst):
            there.errands.take(PEER, FrameType.ERRAND, errand(ticket))
            if ticket % SERVED_AT_ONCE_MAX == 0:
                await settle()
        await settle()
        assert len(there.served) <= ERRANDS.burst + ERRANDS.per_second

    run(story())


def test_stopping_ends_what_is_under_way():
    async def story():
        async def never(peer, what, content):
            await asyncio.Event().wait()

        there = Side(never)
        there.errands.take(PEER, FrameType.ERRAND, errand(1))
        await settle()
        await there.errands.stop()
        assert there.sent == []

    run(story())


def test_a_mistake_of_ours_is_logged_and_not_answered(caplog):
    async def story():
        async def broken(peer, what, content):
            raise RuntimeError("a bug")

        there = Side(broken)
        there.errands.take(PEER, FrameType.ERRAND, errand(1, content=b"secret"))
        await settle()
        assert there.sent == []

    run(story())
    assert "an errand could not be answered" in caplog.text
    assert "secret" not in caplog.text


@given(
    st.sampled_from([FrameType.ERRAND, FrameType.ERRAND_ANSWER]),
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([b"\0" * (ASKED_BYTES_MAX + 1), b"\0" * (ANSWER_BYTES_MAX + 9)]),
    ),
)
def test_garbage_costs_the_link_and_nothing_else(kind, content):
    async def story():
        there = Side()
        try:
            there.errands.take(PEER, kind, content)
        except FrameError as error:
            assert "errand" in str(error)  # noqa: PT017 - either of the two is right
        await settle()
        assert all(len(sent) < ASKED_BYTES_MAX + 9 for _, _, sent in there.sent)

    run(story())
