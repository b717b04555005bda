"""Texts by SMPP 3.4: one connection to an SMSC, bound as a transmitter, over which texts are submitted.

The connection is made when something is to be sent, and anew after it broke. An answer that does not come
in time counts as a connection that broke: whether the text was taken is then unknown, and it is sent again.
SMPP 3.4 has no cipher: the SMSC belongs on the same network, or behind a tunnel.
"""

import asyncio
import contextlib
import itertools
import logging
from dataclasses import dataclass, field
from typing import Final

from harambee.node.sms.sending import RefusedError
from harambee.node.sms.smpp_wire import (
    HEAD,
    RESPONSE,
    Command,
    Pdu,
    SmppError,
    Status,
    bind_body,
    body_bytes,
    read_pdu,
    submit_bodies,
)
from harambee.node.texts import TextPortError

ANSWER_S: Final = 10.0
QUIET_S: Final = 30.0
"""So often a connection is asked whether it still lives."""
SEQUENCE_MAX: Final = 0x7FFF_FFFF
NOT_NOW: Final = frozenset({Status.SYSTEM_ERROR, Status.QUEUE_FULL, Status.THROTTLED})

log: Final = logging.getLogger(__name__)


class _Bound:
    """One connection that is bound."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._sequences = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Pdu]] = {}
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._ask_alive())]
        self.is_broken = False

    async def ask(self, command: Command, body: bytes = b"") -> Pdu:
        """Send a PDU and return its answer; TextPortError where none comes."""
        sequence = next(self._sequences) % SEQUENCE_MAX or next(self._sequences)
        answer: asyncio.Future[Pdu] = asyncio.get_running_loop().create_future()
        self._waiting[sequence] = answer
        try:
            if self.is_broken:
                raise TextPortError("the connection to the SMSC is broken")
            self._writer.write(Pdu(command, 0, sequence, body).to_bytes())
            async with asyncio.timeout(ANSWER_S):
                await self._writer.drain()
                return await answer
        except (OSError, TimeoutError) as error:
            self.is_broken = True
            raise TextPortError("the SMSC does not answer") from error
        finally:
            self._waiting.pop(sequence, None)

    async def close(self) -> None:
        """End the connection."""
        self.is_broken = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await self._writer.wait_closed()

    async def _read(self) -> None:
        try:
            while True:
                head = await self._reader.readexactly(HEAD.size)
                body = await self._reader.readexactly(body_bytes(head))
                self._take(read_pdu(head, body))
        except (OSError, asyncio.IncompleteReadError, SmppError) as error:
            log.debug("the connection to the SMSC ended: %s", error)
        finally:
            self.is_broken = True
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(TextPortError("the connection to the SMSC is broken"))

    def _take(self, pdu: Pdu) -> None:
        if pdu.command & RESPONSE:
            answer = self._waiting.get(pdu.sequence)
            if answer is not None and not answer.done():
                answer.set_result(pdu)
            return
        known = pdu.command in (Command.ENQUIRE_LINK, Command.UNBIND)
        command = pdu.command | RESPONSE if known else Command.GENERIC_NACK
        status = Status.OK if known else Status.INVALID_COMMAND
        self._writer.write(Pdu(command, status, pdu.sequence).to_bytes())
        if pdu.command == Command.UNBIND:
            self.is_broken = True

    async def _ask_alive(self) -> None:
        while not self.is_broken:
            await asyncio.sleep(QUIET_S)
            with contextlib.suppress(TextPortError):
                await self.ask(Command.ENQUIRE_LINK)


@dataclass
class Smpp:
    """Implements `Sender`."""

    host: str
    port: int
    user: str
    secret: str = field(repr=False)
    sender: str = ""
    _bound: _Bound | None = None
    _binding: asyncio.Lock = field(default_factory=asyncio.Lock)
    _references: "itertools.count[int]" = field(default_factory=itertools.count)

    async def send(self, number: str, text: str) -> None:
        """Hand over one text; RefusedError where it is refused for good, TextPortError where not now."""
        try:
            bodies = list(submit_bodies(self.sender, number, text, next(self._references)))
        except SmppError as error:
            raise RefusedError(str(error)) from error
        bound = await self._connected()
        for body in bodies:
            answer = await bound.ask(Command.SUBMIT_SM, body)
            if answer.command != Command.SUBMIT_SM | RESPONSE:
                raise TextPortError("the SMSC does not understand what it is sent")
            if answer.status in NOT_NOW:
                raise TextPortError(f"the SMSC takes no texts now, status {answer.status}")
            if answer.status != Status.OK:
                raise RefusedError(f"the SMSC refused it with status {answer.status}")

    async def stop(self) -> None:
        """Unbind, and end the connection."""
        bound, self._bound = self._bound, None
        if bound is not None:
            if not bound.is_broken:
                with contextlib.suppress(TextPortError):
                    async with asyncio.timeout(1):
                        await bound.ask(Command.UNBIND)
            await bound.close()

    async def _connected(self) -> _Bound:
        async with self._binding:
            if self._bound is not None and self._bound.is_broken:
                await self._bound.close()
                self._bound = None
            if self._bound is None:
                self._bound = await self._bind()
            return self._bound

    async def _bind(self) -> _Bound:
        try:
            body = bind_body(self.user, self.secret)
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_connection(self.host, self.port)
        except SmppError as error:
            raise TextPortError(f"the configuration of the SMSC cannot be used: {error}") from error
        except (OSError, TimeoutError) as error:
            raise TextPortError("the SMSC cannot be reached") from error
        bound = _Bound(reader, writer)
        try:
            answer = await bound.ask(Command.BIND_TRANSMITTER, body)
        except BaseException:
            await bound.close()
            raise
        if answer.status != Status.OK:
            await bound.close()
            raise TextPortError(f"the SMSC does not let us in, status {answer.status}")
        return bound
