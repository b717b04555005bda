"""Small things for other super-agents, many of which travel in one errand.

For each peer one errand is under way at a time; what is to be said meanwhile waits and goes together. So
two hundred requests a second cost a peer some tens of errands a second, and nobody waits for a clock.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Final

BATCH_BYTES_MAX: Final = 128 << 10
WAITING_MAX: Final = 8_192
"""Items that wait for one peer; what is beyond it fails at once."""
PAUSE_S: Final = 0.01
"""Between two errands to one peer: its allowance is for all that is asked of it."""

_LENGTH: Final = struct.Struct("<I")


class PostError(Exception):
    """An item was not taken; the message is one sentence."""


Carry = Callable[[int, bytes], Awaitable[bytes]]
"""Brings a batch to a peer and returns one byte for each item; PostError."""


def join_items(items: list[bytes]) -> bytes:
    """Return items as one batch."""
    return b"".join(_LENGTH.pack(len(item)) + item for item in items)


def split_items(batch: bytes) -> list[bytes]:
    """Return the items of a batch; ValueError if it is none."""
    items: list[bytes] = []
    start = 0
    while start < len(batch):
        if start + _LENGTH.size > len(batch):
            raise ValueError("a batch ends within a length")
        (length,) = _LENGTH.unpack_from(batch, start)
        start += _LENGTH.size
        if start + length > len(batch):
            raise ValueError("a batch ends within an item")
        items.append(batch[start : start + length])
        start += length
    return items


class Post:
    """Items on their way to every peer. Belongs to the event loop's thread."""

    def __init__(self, carry: Carry) -> None:
        self._carry = carry
        self._waiting: dict[int, list[tuple[bytes, asyncio.Future[int]]]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def bring(self, peer: int, item: bytes) -> int:
        """Return the byte by which the peer answered an item; PostError if it did not take it."""
        queue = self._waiting.setdefault(peer, [])
        if len(queue) >= WAITING_MAX:
            raise PostError("too much waits for this super-agent already")
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        queue.append((item, answer))
        if peer not in self._tasks:
            self._tasks[peer] = asyncio.create_task(self._run(peer))
        return await answer

    async def stop(self) -> None:
        """End; whoever waits is told."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for queue in self._waiting.values():
            _fail(queue, PostError("this super-agent stops"))

    async def _run(self, peer: int) -> None:
        try:
            while self._waiting[peer]:
                batch = self._take(peer)
                try:
                    answers = await self._carry(peer, join_items([item for item, _ in batch]))
                except PostError as error:
                    _fail(batch, error)
                except BaseException:
                    _fail(batch, PostError("this super-agent stops"))
                    raise
                else:
                    _end(batch, answers)
                await asyncio.sleep(PAUSE_S)
        finally:
            del self._tasks[peer]

    def _take(self, peer: int) -> list[tuple[bytes, "asyncio.Future[int]"]]:
        queue, size, count = self._waiting[peer], 0, 0
        for item, _ in queue:
            size += len(item) + _LENGTH.size
            if count and size > BATCH_BYTES_MAX:
                break
            count += 1
        self._waiting[peer] = queue[count:]
        return queue[:count]


def _end(batch: list[tuple[bytes, "asyncio.Future[int]"]], answers: bytes) -> None:
    if len(answers) != len(batch):
        _fail(batch, PostError("this super-agent answers something else"))
        return
    for (_, answer), code in zip(batch, answers, strict=True):
        if not answer.done():
            answer.set_result(code)


def _fail(batch: list[tuple[bytes, "asyncio.Future[int]"]], error: PostError) -> None:
    for _, answer in batch:
        if not answer.done():
            answer.set_exception(error)
