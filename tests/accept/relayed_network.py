"""A network whose super-agents reach each other through relays that a test can close.

Each link goes through a relay in this process. A closed way holds what comes, as a network does that
loses every packet and whose senders repeat them: nothing arrives, nothing is said to fail, and once the
way is open again all of it arrives in order. So a cut needs no root and happens when the test says so,
in one direction or in both, and a connection that is dialled meanwhile is not answered.
"""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from enum import Enum
from itertools import combinations
from pathlib import Path

from harambee.node.config import Address
from harambee.traffic.temporary_network import TemporaryNetwork

PIECE_BYTES = 1 << 16
HOST = "127.0.0.1"


class Cut(Enum):
    """What a super-agent that is cut off cannot do."""

    HEAR = "hear"
    SPEAK = "speak"
    BOTH = "hear or speak"


class Relays:
    """A relay for each two of so many super-agents, in an event loop and a thread of its own."""

    def __init__(self, listeners: list[Address]) -> None:
        """`listeners` are where the super-agents listen for each other, in the committee's order."""
        self._listeners = listeners
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relays")
        pairs = list(combinations(range(len(listeners)), 2))
        self._open = {way: asyncio.Event() for a, b in pairs for way in ((a, b), (b, a))}
        """Whether what `a` says reaches `b`, by (a, b)."""
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()
        self.ports: dict[tuple[int, int], int] = {}
        """Where the higher index dials the lower, by (lower, higher)."""
        for way in self._open.values():
            way.set()

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def stop(self) -> None:
        """End all connections; returns when the thread is gone."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextlib.contextmanager
    def cut_off(self, index: int, cut: Cut) -> Iterator[None]:
        """One super-agent and all others: nothing goes through in the directions of the cut."""
        closed = [
            way
            for (speaker, hearer), way in self._open.items()
            if (hearer == index and cut is not Cut.SPEAK)
            or (speaker == index and cut is not Cut.HEAR)
        ]
        # A way that another cut has closed is that one's to open.
        closed = [way for way in closed if way.is_set()]
        self._each(closed, "clear")
        try:
            yield
        finally:
            self._each(closed, "set")

    def _each(self, ways: list[asyncio.Event], what: str) -> None:
        async def change() -> None:
            for way in ways:
                getattr(way, what)()

        asyncio.run_coroutine_threadsafe(change(), self._loop).result()

    async def _listen(self) -> None:
        for lower, higher in combinations(range(len(self._listeners)), 2):
            server = await asyncio.start_server(self._relay_of(lower, higher), HOST, 0)
            self._servers.append(server)
            self.ports[lower, higher] = server.sockets[0].getsockname()[1]

    def _relay_of(self, lower: int, higher: int):
        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._connections.add(task)
            try:
                async with _closing(writer):
                    # A call and its answer go both ways: who cannot do both, is not connected.
                    await self._open[higher, lower].wait()
                    await self._open[lower, higher].wait()
                    inner, outer = await asyncio.open_connection(*self._listeners[lower])
                    async with _closing(outer):
                        await self._pump_both(reader, outer, inner, writer, lower, higher)
            except OSError:
                pass  # nobody listens, or one side is gone: so is the other
            finally:
                self._connections.discard(task)

        return relay

    async def _pump_both(
        self,
        from_higher: asyncio.StreamReader,
        to_lower: asyncio.StreamWriter,
        from_lower: asyncio.StreamReader,
        to_higher: asyncio.StreamWriter,
        lower: int,
        higher: int,
    ) -> None:
        pumps = [
            asyncio.create_task(_pump(from_higher, to_lower, self._open[higher, lower])),
            asyncio.create_task(_pump(from_lower, to_higher, self._open[lower, higher])),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: asyncio.Event):
    """Carry bytes one way, and then the news that there are no more, while the way is open."""
    while True:
        piece = await reader.read(PIECE_BYTES)
        await way.wait()
        if not piece:
            return
        writer.write(piece)
        await writer.drain()


@contextlib.asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        writer.transport.abort()


class RelayedNetwork(TemporaryNetwork):
    """A temporary network whose links go through relays."""

    def _create(self, folder: Path) -> None:
        super()._create(folder)
        self.relays = Relays([address.peer for address in self.folder.addresses])
        self.relays.start()
        for index, name in enumerate(self.folder.names):
            self._write_addresses(index, self.folder.node_file(name))

    def _write_addresses(self, index: int, file: Path) -> None:
        """Tell one super-agent where its relays are, instead of where the others are."""
        rows = json.loads((self.folder.folder / "addresses.json").read_text(encoding="utf-8"))
        for other, row in enumerate(rows):
            if other < index:
                row["peer"] = str(Address(HOST, self.relays.ports[other, index]))
        (file.parent / "addresses.json").write_text(json.dumps(rows), encoding="utf-8")
        text = file.read_text(encoding="utf-8")
        own = text.replace('addresses = "../../addresses.json"', 'addresses = "addresses.json"')
        assert own != text
        file.write_text(own, encoding="utf-8")

    def _stop_all(self) -> None:
        super()._stop_all()
        if hasattr(self, "relays"):
            self.relays.stop()
