"""Serving the pages of checkpoints to peers: as fast as each takes them, and never a damaged one.

Pages are read in another thread than the event loop's and held against their digests as they are read. What
is not here, or damaged, is said to be not here: somebody else has it.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from harambee.node.frames import FrameType
from harambee.protocol.limits import SECOND_NS, SERVED_BYTES_EACH, SERVED_PAGES, Allowance
from harambee.protocol.malformed import Malformed
from harambee.protocol.page_wire import (
    IndexRows,
    Places,
    index_rows,
    read_ask_index,
    read_ask_pages,
    write_index,
    write_page,
)
from harambee.storage.checkpoint_store import CheckpointDamaged, CheckpointStore, Stored

ASKS_MAX: Final = 8
"""Questions of one peer that wait to be answered; what is beyond it, asks again."""
AT_ONCE: Final = 8
"""Pages that are read in one turn of the other thread."""
PACE_BYTES: Final = 4 << 20
"""No more than this waits to be sent to a peer."""
PAUSE_S: Final = 0.005
STORED_MAX: Final = 2
"""Checkpoints whose indexes are kept in memory: 8 MB each for 100 million accounts."""

log: Final = logging.getLogger(__name__)

Send = Callable[[int, int, bytes], object]
Ask = tuple[bytes, int | Places]
"""Of which checkpoint which part of the index, or which pages."""


class PageServer:
    """Answers peers that ask for pages. Belongs to the event loop's thread."""

    def __init__(
        self, store: CheckpointStore, send: Send, outgoing_bytes: Callable[[int], int], members: int
    ) -> None:
        """`outgoing_bytes` says how much waits to be sent to a peer."""
        self._store, self._send, self._outgoing_bytes = store, send, outgoing_bytes
        self._allowances = [Allowance(SERVED_PAGES) for _ in range(members)]
        self._asks: list[deque[Ask]] = [deque() for _ in range(members)]
        self._servers: dict[int, asyncio.Task[None]] = {}
        self._stored: dict[bytes, Stored] = {}
        self._finding = threading.Lock()
        self._damaged: set[Path] = set()
        """Folders of which it was said already that they are damaged."""

    def take(self, peer: int, kind: int, content: bytes) -> str | None:
        """Take a question; a sentence where it is none, which ends the link."""
        ask = (read_ask_index if kind == FrameType.ASK_INDEX else read_ask_pages)(content)
        if isinstance(ask, Malformed):
            return ask.why
        if len(self._asks[peer]) < ASKS_MAX:
            self._asks[peer].append(ask)
        if peer not in self._servers:
            self._servers[peer] = asyncio.create_task(self._serve(peer))
        return None

    def lost(self, peer: int) -> None:
        """The link is gone: nobody waits for an answer."""
        self._asks[peer].clear()

    async def stop(self) -> None:
        """Serve no more."""
        servers = list(self._servers.values())
        for server in servers:
            server.cancel()
        await asyncio.gather(*servers, return_exceptions=True)

    async def _serve(self, peer: int) -> None:
        """Answer a peer's questions one after the other."""
        try:
            while self._asks[peer]:
                checkpoint, wanted = self._asks[peer].popleft()
                if isinstance(wanted, int):
                    await self._serve_index(peer, checkpoint, wanted)
                else:
                    for start in range(0, len(wanted), AT_ONCE):
                        await self._serve_pages(peer, checkpoint, wanted[start : start + AT_ONCE])
        finally:
            del self._servers[peer]

    async def _serve_index(self, peer: int, checkpoint: bytes, part: int) -> None:
        await self._until_allowed(peer)
        rows = await asyncio.to_thread(self._index_of, checkpoint)
        self._give(peer, FrameType.INDEX, write_index(checkpoint, part, rows))

    async def _serve_pages(self, peer: int, checkpoint: bytes, some: Places) -> None:
        await self._until_allowed(peer)
        contents = await asyncio.to_thread(lambda: list(self._contents_of(checkpoint, some)))
        for (section, page), content in zip(some, contents, strict=True):
            self._give(peer, FrameType.PAGE, write_page(checkpoint, section, page, content))

    def _give(self, peer: int, kind: FrameType, content: bytes) -> None:
        self._allowances[peer].pay(len(content))
        self._send(peer, kind, content)

    async def _until_allowed(self, peer: int) -> None:
        """Wait while a peer has been served as much as one may, or reads slower than it is served."""
        allowance = self._allowances[peer]
        while not allowance.lasts(now := self._now()):  # noqa: ASYNC110 - time is what it waits for
            await asyncio.sleep(max(PAUSE_S, (allowance.back_at() - now) / SECOND_NS))
        allowance.pay(SERVED_BYTES_EACH)
        while self._outgoing_bytes(peer) > PACE_BYTES:  # noqa: ASYNC110
            await asyncio.sleep(PAUSE_S)

    def _now(self) -> int:
        return int(asyncio.get_running_loop().time() * SECOND_NS)

    # -- in the other thread ----------------------------------------------------------------------

    def _find(self, checkpoint: bytes) -> Stored | None:
        """Return a checkpoint that is here, its index read once; None where it is not, or damaged."""
        with self._finding:
            stored = self._stored.get(checkpoint) or self._store.find(checkpoint)
            if stored is None or not stored.folder.is_dir():
                self._stored.pop(checkpoint, None)
                return None
            self._stored[checkpoint] = stored
            while len(self._stored) > STORED_MAX:
                del self._stored[next(name for name in self._stored if name != checkpoint)]
            return stored

    def _index_of(self, checkpoint: bytes) -> IndexRows | None:
        stored = self._find(checkpoint)
        if stored is None:
            return None
        try:
            return index_rows(stored.leaves, stored.index["length"])
        except (CheckpointDamaged, OSError) as error:
            self._say(stored, error)
            return None

    def _contents_of(self, checkpoint: bytes, some: Places) -> Iterator[bytes]:
        """Yield the contents of pages, empty for one that is not here."""
        stored = self._find(checkpoint)
        for section, page in some:
            content = None
            if stored is not None:
                try:
                    content = stored.page(section, page)
                except (CheckpointDamaged, OSError) as error:
                    self._say(stored, error)
            yield content or b""

    def _say(self, stored: Stored, error: Exception) -> None:
        """Say once of a folder that it is damaged; one that was just taken away is no news."""
        if isinstance(error, CheckpointDamaged) and stored.folder not in self._damaged:
            self._damaged.add(stored.folder)
            log.error("%s; peers are not served it", error)
