"""Small things for other super-agents, many of which travel in one errand.

For each peer one errand is under way at a time; what is to be said meanwhile waits and goes together. So
two hundred requests a second cost a peer some tens of errands a second, and nobody waits for a clock.
"""

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable
from typing import Final

BATCH_BYTES_MAX: Final = 128 << 10
BATCH_ITEMS_MAX: Final = 512
"""Whoever serves a batch looks at no more."""
WAITING_MAX: Final = 8_192
"""Items that wait for one peer; what is beyond it fails at once."""
PAUSE_S: Final = 0.02
"""Between two errands to one peer: its allowance of 256 a second is for all that is asked of it."""

log: Final = logging.getLogger(__name__)

_LENGTH: Final = struct.Struct("<I")


class PostError(Exception):
    """An item was not taken; the message is one sentence."""


_Item = tuple[bytes, "asyncio.Future[int]"]

Carry = Callable[[int, bytes], Awaitable[bytes]]
"""Brings a batch to a peer and returns one byte for each item; PostError."""


def join_items(items: list[bytes]) -> bytes:
    """Return items as one batch."""
    return b"".join(_LENGTH.pack(len(item)) + item for item in items)


def split_items(batch: bytes) -> list[bytes]:
    """Return the items of a batch; ValueError if it is none, or has more than anybody sends."""
    items: list[bytes] = []
    start = 0
    while start < len(batch):
        if len(items) == BATCH_ITEMS_MAX:
            raise ValueError(f"a batch has at most {BATCH_ITEMS_MAX} items")
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
        self._waiting: dict[int, list[_Item]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._stopped = False

    async def bring(self, peer: int, item: bytes) -> int:
        """Return the byte by which the peer answered an item; PostError if it did not take it."""
        queue = self._waiting.setdefault(peer, [])
        if self._stopped:
            raise PostError("this super-agent stops")
        if len(queue) >= WAITING_MAX:
            raise PostError("too much waits for this super-agent already")
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        queue.append((item, answer))
        if peer not in self._tasks:
            self._tasks[peer] = asyncio.create_task(self._run(peer))
        return await answer

    async def stop(self) -> None:
        """End; whoever waits is told."""
        self._stopped = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for queue in self._waiting.values():
            _fail(queue, PostError("this super-agent stops"))
            queue.clear()

    async def _run(self, peer: int) -> None:
        try:
            while batch := self._take(peer):
                try:
                    answers = await self._carry(peer, join_items([item for item, _ in batch]))
                except PostError as error:
                    _fail(batch, error)
                except asyncio.CancelledError:
                    _fail(batch, PostError("this super-agent stops"))
                    raise
                except Exception:
                    # Ours; what waits for this peer goes on.
                    log.exception("items could not be brought to a super-agent")
                    _fail(batch, PostError("it could not be brought"))
                else:
                    _end(batch, answers)
                await asyncio.sleep(PAUSE_S)
        finally:
            del self._tasks[peer]

    def _take(self, peer: int) -> "list[_Item]":
        """Return the next batch, without what nobody waits for any more."""
        queue, size, count = self._waiting[peer], 0, 0
        queue[:] = [waiting for waiting in queue if not waiting[1].done()]
        for item, _ in queue[:BATCH_ITEMS_MAX]:
            size += len(item) + _LENGTH.size
            if count and size > BATCH_BYTES_MAX:
                break
            count += 1
        batch = queue[:count]
        del queue[:count]
        return batch


def _end(batch: list[_Item], answers: bytes) -> None:
    if len(answers) != len(batch):
        _fail(batch, PostError("this super-agent answers something else"))
        return
    for (_, answer), code in zip(batch, answers, strict=True):
        if not answer.done():
            answer.set_result(code)


def _fail(batch: list[_Item], error: PostError) -> None:
    for _, answer in batch:
        if not answer.done():
            answer.set_exception(error)
