"""Follows what becomes final, and tells the desk for merchants of every payment to one of them.

The ledger itself is the queue, as for texts: entries are looked at in their order, and how far is noted
once what they led to is durable. Entries are counted anew at every start and may stand a little earlier or
later then; so a start goes back some, and what was told before makes no second event.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.merchants.desk import MerchantsDesk
from harambee.merchants.ground import GroundError
from harambee.merchants.store import MerchantStoreError
from harambee.node.port import UnavailableError
from harambee.node.service import Service
from harambee.protocol.replica import Replica

WINDOW: Final = 16_384
"""Entries looked at in one step."""
TOLD_AT_ONCE: Final = 512
BACK: Final = 2_048
"""So many entries a start goes back."""
PAUSE_S: Final = 0.02
"""Between two steps: what comes together goes together."""
IDLE_S: Final = 1.0
RETRY_S: Final = 1.0
NOTED_EVERY_S: Final = 1.0
DAY_MS: Final = 86_400_000
OLD_MS: Final = 3 * DAY_MS
"""What is older is in the statement; nobody waits for a callback any more."""

log: Final = logging.getLogger(__name__)


class MerchantWatch:
    """Belongs to the event loop's thread."""

    def __init__(
        self,
        service: Service,
        desk: MerchantsDesk,
        journal_blocks: Callable[[], int],
        pause_s: float = PAUSE_S,
    ) -> None:
        """What becomes final within `pause_s` is told together."""
        self._pause_s = pause_s
        self._service = service
        self._desk = desk
        self._journal_blocks = journal_blocks
        self._blocks_at_start = journal_blocks()
        self._at: int | None = None
        self._noted = 0
        self._noted_at = 0.0
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Orders became final."""
        self._news.set()

    async def run(self) -> None:
        """Follow for ever; ends only when cancelled."""
        while True:
            began = time.monotonic()
            try:
                more = await self.step()
            except (UnavailableError, GroundError):
                await asyncio.sleep(PAUSE_S)  # it reads its journal, or its disk is full
                continue
            except MerchantStoreError as error:
                log.warning("payments are told to merchants later: %s", error)
                await asyncio.sleep(RETRY_S)
                continue
            except Exception:
                # Ours; payments go on, and nothing is passed over.
                log.exception("payments could not be told to merchants")
                await asyncio.sleep(RETRY_S)
                continue
            await self._service.give_way(time.monotonic() - began)
            if not more:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_S):
                        await self._news.wait()
            await asyncio.sleep(self._pause_s)

    async def step(self) -> bool:
        """Look at the next entries; returns whether there are more already."""
        self._news.clear()
        at = self._at if self._at is not None else await self._begin()
        count, entries = await self._service.ask(lambda replica: _window(replica, at))
        found = entries[np.isin(entries["payee"], self._desk.accounts())]
        for start in range(0, len(found), TOLD_AT_ONCE):
            await self._tell(found[start : start + TOLD_AT_ONCE])
        self._at = at + len(entries)
        more = count > self._at
        now_s = time.monotonic()
        if self._at != self._noted and now_s - self._noted_at > NOTED_EVERY_S:
            await self._desk.note_read(self._at, self._journal_blocks())
            self._noted, self._noted_at = self._at, now_s
        if not more and self._service.ready() is None:
            self._desk.followed()
        return more

    async def _begin(self) -> int:
        """Return the entry to begin with."""
        count = await self._service.ask(lambda replica: replica.ledger.entry_count)
        read = self._desk.read_up_to()
        if read is None:
            # A network that began with this process has told nothing yet, however soon it was paid.
            return count if self._blocks_at_start else 0
        entries, blocks = read
        if blocks > self._blocks_at_start:
            return 0  # the journal was lost and is read anew from the others
        return max(0, min(entries, count) - BACK)

    async def _tell(self, entries: npt.NDArray[np.void]) -> None:
        orders = await self._service.orders_at(entries)
        _, times = await self._service.told_by(entries)
        now_ms = time.time_ns() // 1_000_000
        await asyncio.gather(
            *(
                self._desk.take_final(order.tobytes(), int(time_ms))
                for order, time_ms in zip(orders, times.tolist(), strict=True)
                if now_ms - int(time_ms) < OLD_MS
            )
        )


def _window(replica: Replica, at: int) -> tuple[int, npt.NDArray[np.void]]:
    ledger = replica.ledger
    return ledger.entry_count, ledger.entries[at : at + WINDOW].copy()
