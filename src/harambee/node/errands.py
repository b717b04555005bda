"""Errands: what one super-agent asks of another beside the protocol, and the answer to it.

Two frames (docs/wire.md, section 10): a question with a ticket, and an answer with the same one.
The links say who is at the other end and hide what is said from everybody else, so an errand needs
neither signature nor cipher of its own. An errand may fail at any time: the link goes down, no
answer comes in time, the other is busy. Whoever asked then asks somebody else, or again later.

What a peer can make us hold is bounded: questions of one peer beyond a rate, or too many at once,
are not looked at. Everything here belongs to the event loop's thread.
"""

import asyncio
import itertools
import logging
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from harambee.node.frames import FrameError, FrameType
from harambee.protocol.limits import SECOND_NS, Allowance, Rate

ASKED_BYTES_MAX: Final = 192 << 10
ANSWER_BYTES_MAX: Final = 64 << 10
SERVED_AT_ONCE_MAX: Final = 64
"""Errands of one peer under way here."""
WAITING_MAX: Final = 4_096
"""Errands of ours that wait for one peer."""
ERRANDS: Final = Rate(256, 2_048)
"""Errands of one peer. A nation's names are asked for a thousand times a second, by a hundred peers."""
ERRAND_BYTES: Final = Rate(4 << 20, 32 << 20)

log: Final = logging.getLogger(__name__)

_ASKED: Final = struct.Struct("<IB")
_ANSWER: Final = struct.Struct("<I")


class Errand(IntEnum):
    """What is asked; codes stand on the wire."""

    TAKE_PROFILE = 1
    """Of the home: its owner brings this profile."""
    CHECK_NAME = 2
    """Of a holder of the asker's: count the question, and find the name."""
    TELL_NAME = 3
    """Of a holder of the payee's, by one of the asker's: say the name."""
    SEND_PROFILES = 4
    """Of a super-agent that holds profiles with the one that asks: it has lost them, perhaps."""
    KEEP_PROFILE = 5
    """Of a holder, by another holder: here is a profile that you should hold too."""
    MERCHANTS = 6
    """What the desks for merchants say to each other (`harambee.merchants.ground.Matter`)."""
    PHONES = 7
    """What holders of feature phones say to each other (`harambee.feature_phones.messages.Matter`)."""


class ErrandError(Exception):
    """No answer to an errand; the message is one sentence."""


Serve = Callable[[int, Errand, bytes], Awaitable[bytes]]


@dataclass(slots=True)
class _Waiting:
    peer: int
    answer: "asyncio.Future[bytes]"


class Errands:
    """The errands of one super-agent, both ways."""

    def __init__(self, members: int, send: Callable[[int, int, bytes], bool], serve: Serve) -> None:
        """`send` sends a frame (peer, type, content) if there is a link; `serve` answers a peer."""
        self._send = send
        self._serve = serve
        self._tickets = itertools.count()
        self._waiting: dict[int, _Waiting] = {}
        self._waits = [0] * members
        self._allowances = [Allowance(ERRANDS, ERRAND_BYTES) for _ in range(members)]
        self._serving: list[set[asyncio.Task[None]]] = [set() for _ in range(members)]

    async def ask(self, peer: int, what: Errand, content: bytes, patience_s: float) -> bytes:
        """Return a peer's answer; ErrandError if there is none in time."""
        if self._waits[peer] >= WAITING_MAX:
            raise ErrandError("too much waits for this super-agent already")
        ticket = next(self._tickets) & 0xFFFF_FFFF
        asked = _ASKED.pack(ticket, what) + content
        if not self._send(peer, FrameType.ERRAND, asked):
            raise ErrandError("there is no link to this super-agent")
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = _Waiting(peer, answer)
        self._waits[peer] += 1
        try:
            async with asyncio.timeout(patience_s):
                return await answer
        except TimeoutError:
            raise ErrandError("this super-agent does not answer in time") from None
        finally:
            del self._waiting[ticket]
            self._waits[peer] -= 1

    def take(self, peer: int, kind: int, content: bytes) -> None:
        """Take a frame of these two types; FrameError, which ends the link, if it is none."""
        if kind == FrameType.ERRAND_ANSWER:
            self._take_answer(peer, content)
        else:
            self._take_errand(peer, content)

    def lost(self, peer: int) -> None:
        """The link to a peer is down: nobody waits for it in vain."""
        for waiting in self._waiting.values():
            if waiting.peer == peer and not waiting.answer.done():
                waiting.answer.set_exception(ErrandError("the link to this super-agent is down"))

    async def stop(self) -> None:
        """End whatever is being answered."""
        tasks = [task for of_peer in self._serving for task in of_peer]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _take_answer(self, peer: int, content: bytes) -> None:
        if not _ANSWER.size <= len(content) <= _ANSWER.size + ANSWER_BYTES_MAX:
            raise FrameError("an answer to an errand of a wrong size")
        (ticket,) = _ANSWER.unpack_from(content)
        waiting = self._waiting.get(ticket)
        # An answer that comes late, or from somebody who was not asked, is no answer.
        if waiting is not None and waiting.peer == peer and not waiting.answer.done():
            waiting.answer.set_result(content[_ANSWER.size :])

    def _take_errand(self, peer: int, content: bytes) -> None:
        if not _ASKED.size <= len(content) <= ASKED_BYTES_MAX:
            raise FrameError("an errand of a wrong size")
        ticket, code = _ASKED.unpack_from(content)
        if code not in iter(Errand):
            raise FrameError(f"an errand of the unknown kind {code}")
        allowance, serving = self._allowances[peer], self._serving[peer]
        now = int(asyncio.get_running_loop().time() * SECOND_NS)
        if len(serving) >= SERVED_AT_ONCE_MAX or not allowance.lasts(now):
            return
        allowance.pay(1, len(content))
        body = content[_ASKED.size :]
        task = asyncio.create_task(self._answer(peer, ticket, Errand(code), body))
        serving.add(task)
        task.add_done_callback(lambda done: self._end(peer, done))

    def _end(self, peer: int, task: asyncio.Task[None]) -> None:
        self._serving[peer].discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an errand could not be answered", exc_info=error)

    async def _answer(self, peer: int, ticket: int, what: Errand, content: bytes) -> None:
        answer = await self._serve(peer, what, content)
        assert len(answer) <= ANSWER_BYTES_MAX
        self._send(peer, FrameType.ERRAND_ANSWER, _ANSWER.pack(ticket) + answer)
