"""What one super-agent tells observers: checkpoints, their pages, and blocks; all read from its disk.

Nothing here needs to be believed, for whoever asks checks it. So it is served without a key to anybody, in
other threads than the event loop's, a few readings at a time, and not beyond an allowance: payments go first.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from harambee.node.journal import JournalReader
from harambee.node.port import UnavailableError
from harambee.protocol.account_proofs import PIECE_PROOF_BYTES_MAX, Piece
from harambee.protocol.checkpoint import Checkpoint, Word
from harambee.protocol.effects import Name
from harambee.protocol.limits import FRAME_BYTES, HISTORY_BYTES, Allowance
from harambee.storage.checkpoint_store import INDEX, CheckpointDamaged, CheckpointStore, Stored

if TYPE_CHECKING:
    from harambee.node.network_folder import NodeFiles
    from harambee.protocol.replica import Replica

READINGS_MAX: Final = 4
"""So many readings run at a time; others wait for them."""
WAITING_MAX: Final = 256
BLOCKS_BYTES_MAX: Final = 1 << 20
"""An answer has so many bytes of blocks, or one block."""
CHECKPOINTS_KEPT: Final = 2
"""Of so many checkpoints the index stays in memory."""

T = TypeVar("T")

log: Final = logging.getLogger(__name__)


class Ask(Protocol):
    """Asks the replica, as `Service.ask` does."""

    def __call__(self, question: "Callable[[Replica], T]", /) -> Awaitable[T]:
        """Return the answer."""


class HistoryDesk:
    """Implements `harambee.node.port.HistoryPort`. Belongs to the event loop's thread."""

    def __init__(self, files: "NodeFiles", journal: JournalReader, ask: Ask) -> None:
        """`ask` asks the replica."""
        genesis = files.genesis
        self._committee, self._journal, self._ask = genesis.committee, journal, ask
        self._store = CheckpointStore(files.config.checkpoints, genesis.network, genesis.committee)
        self._known: OrderedDict[bytes, Stored] = OrderedDict()
        self._allowance = Allowance(HISTORY_BYTES)
        self._room = asyncio.Semaphore(READINGS_MAX)
        self._waiting = 0

    async def checkpoints(self) -> list[tuple[Checkpoint, list[Word]]]:
        """Return the checkpoints that lie here, oldest first, and who has signed each."""
        return await self._read(
            FRAME_BYTES,
            lambda: [(s.checkpoint, s.words(self._committee)) for s in self._store.all()],
        )

    async def index(self, digest: bytes, start: int, limit: int) -> npt.NDArray[np.void] | None:
        """Return some rows of a checkpoint's index; None where the checkpoint does not lie here."""

        def read() -> npt.NDArray[np.void] | None:
            stored = self._stored(digest)
            return None if stored is None else stored.index[start : start + limit]

        return await self._read(limit * INDEX.itemsize, read)

    async def page(self, digest: bytes, section: int, number: int) -> bytes | None:
        """Return a page of a checkpoint, held against its digest; None where it does not lie here."""

        def read() -> bytes | None:
            stored = self._stored(digest)
            return None if stored is None else stored.page(section, number)

        found = await self._read(FRAME_BYTES, read)
        self._allowance.pay(len(found or b""))
        return found

    async def piece(self, digest: bytes, account: int) -> Piece | None:
        """Return an account in a checkpoint, and its way to the root."""

        def read() -> Piece | None:
            stored = self._stored(digest)
            return None if stored is None else stored.piece(account)

        return await self._read(FRAME_BYTES + PIECE_PROOF_BYTES_MAX, read)

    async def heads(self) -> npt.NDArray[np.void]:
        """Return each author's newest block here, then loose ends."""
        return await self._ask(lambda replica: replica.heads().copy())

    async def blocks(self, author: int, incarnation: int, first: int, last: int) -> list[bytes]:
        """Return an author's blocks of these heights, as many from the first on as one answer takes."""
        found = await self._read(
            FRAME_BYTES,
            lambda: self._journal.range_of(author, first, last, BLOCKS_BYTES_MAX, incarnation),
        )
        self._allowance.pay(sum(map(len, found)))
        return found

    async def block(self, name: Name) -> bytes | None:
        """Return exactly this block; None where it is not here."""
        found = await self._read(FRAME_BYTES, lambda: self._journal.find_digest(name))
        self._allowance.pay(len(found or b""))
        return found

    def _stored(self, digest: bytes) -> Stored | None:
        """A checkpoint, found on the disk and remembered. Called in other threads."""
        stored = self._known.get(digest) or self._store.find(digest)
        if stored is not None:
            self._known[digest] = stored
            while len(self._known) > CHECKPOINTS_KEPT:
                self._known.popitem(last=False)
        return stored

    async def _read(self, cost: int, read: Callable[[], T]) -> T:
        """Read something in another thread; UnavailableError where that cannot be now."""
        if self._waiting >= WAITING_MAX or not self._allowance.lasts(time.monotonic_ns()):
            raise UnavailableError(
                "This super-agent tells observers no more at the moment; ask again in a second, or another."
            )
        self._allowance.pay(cost)
        self._waiting += 1
        try:
            async with self._room:
                return await asyncio.to_thread(read)
        except FileNotFoundError as error:
            self._known.clear()
            raise UnavailableError("The checkpoint was just taken away.") from error
        except CheckpointDamaged as damage:
            log.error("%s", damage)  # noqa: TRY400 - it is no mistake of ours, and says where it is
            sentence = "This super-agent's copy is damaged; ask another."
            raise UnavailableError(sentence) from damage
        finally:
            self._waiting -= 1
