"""The merchants and their software, as every super-agent knows them.

A merchant's home alone changes what is known of it, and numbers each change; the others keep the
highest number that they have seen. Merchants are few and their rows small, so all are held in memory.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.merchants.ground import Ground, GroundError, Matter
from harambee.merchants.port import App, Merchant, Trade
from harambee.merchants.post import join_items
from harambee.merchants.rows import MerchantRow, RowError, read_row, write_row
from harambee.merchants.store import Changes, MerchantStore
from harambee.protocol.committee import Committee

RING: Final = 3
"""Who records what happens to a merchant, its home among them."""
TOLD_AT_ONCE: Final = 64
TELL_S: Final = 5.0
_PREFERRED: Final = (Trade.PAYBILL, Trade.TILL)

log: Final = logging.getLogger(__name__)


def key_of(merchant: Merchant) -> str:
    """Return what the store and the directory call a merchant: "paybill:174379"."""
    return f"{merchant.trade}:{merchant.short_code}"


def ring(committee: Committee, merchant: Merchant) -> tuple[int, ...]:
    """Return who records what happens to a merchant: its home and the next ones, in their order."""
    return tuple((merchant.home + place) % committee.n for place in range(min(RING, committee.n)))


class Book:
    """Merchants and apps. Belongs to the event loop's thread."""

    def __init__(self, ground: Ground, store: MerchantStore) -> None:
        self._ground = ground
        self._store = store
        self._rows: dict[str, MerchantRow] = {}
        self._by_account: dict[int, Merchant] = {}
        self._apps: dict[str, App] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self.accounts: npt.NDArray[np.uint32] = np.zeros(0, np.uint32)
        """The accounts of the merchants whose ring this super-agent is in, ascending."""

    async def load(self, merchants: Iterable[Merchant], apps: Iterable[App]) -> None:
        """Begin with what the store has, and what the super-agent's files add to it."""
        self._apps = {app.consumer_key: app for app in apps}
        for row in self._store.merchants():
            self._take(row)
        for merchant in merchants:
            if key_of(merchant) not in self._rows:
                await self._keep(MerchantRow(0, merchant))

    def app(self, consumer_key: str) -> App | None:
        """Return a merchant's software by its key."""
        return self._apps.get(consumer_key)

    def find(self, short_code: str) -> Merchant | None:
        """Return a merchant by its digits, a paybill before a till, or by "till:174379"."""
        names = (
            (short_code,) if ":" in short_code else tuple(f"{t}:{short_code}" for t in _PREFERRED)
        )
        rows = (self._rows.get(name) for name in names)
        return next((row.merchant for row in rows if row is not None), None)

    def of_account(self, account: int) -> Merchant | None:
        """Return the merchant whose account this is."""
        return self._by_account.get(account)

    async def change(self, merchant: Merchant, **fields: object) -> Merchant:
        """At its home: change what is known of a merchant, and tell everybody."""
        assert merchant.home == self._ground.index, "only its home changes a merchant"
        row = self._rows[key_of(merchant)]
        changed = MerchantRow(row.version + 1, replace(row.merchant, **fields))  # type: ignore[arg-type]
        await self._keep(changed)
        for peer in range(self._ground.genesis.committee.n):
            if peer != self._ground.index:
                self._tell(peer, [changed])
        return changed.merchant

    def link_up(self, peer: int) -> None:
        """A super-agent can be reached again: it is told of the merchants whose home is here."""
        own = [row for row in self._rows.values() if row.version and self._is_home(row.merchant)]
        if own:
            self._tell(peer, own)

    async def keep(self, sender: int, content: bytes) -> int:
        """Keep what a merchant's home says of it; 1 where it is kept, or an older word."""
        try:
            row = read_row(content, MerchantRow)
        except RowError:
            return 0
        known = self._rows.get(key_of(row.merchant))
        home = row.merchant.home if known is None else known.merchant.home
        if sender != home:
            return 0
        if known is not None and known.version >= row.version:
            return 1
        if known is not None and known.merchant.account != row.merchant.account:
            return 0
        await self._keep(row)
        return 1

    async def stop(self) -> None:
        """End what is being told."""
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)

    def _is_home(self, merchant: Merchant) -> bool:
        return merchant.home == self._ground.index

    async def _keep(self, row: MerchantRow) -> None:
        self._take(row)

        def change(changes: Changes) -> None:
            changes.put_merchant(key_of(row.merchant), row)

        await self._store.write(change)

    def _take(self, row: MerchantRow) -> None:
        self._rows[key_of(row.merchant)] = row
        account = row.merchant.account
        if account not in self._by_account and self._ground.index in ring(
            self._ground.genesis.committee, row.merchant
        ):
            self.accounts = np.union1d(self.accounts, np.array([account], np.uint32))
        self._by_account[account] = row.merchant

    def _tell(self, peer: int, rows: list[MerchantRow]) -> None:
        task = asyncio.create_task(self._bring(peer, rows))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _bring(self, peer: int, rows: list[MerchantRow]) -> None:
        for start in range(0, len(rows), TOLD_AT_ONCE):
            items = [write_row(row) for row in rows[start : start + TOLD_AT_ONCE]]
            try:
                await self._ground.ask(peer, Matter.KEEP_MERCHANTS, join_items(items), TELL_S)
            except GroundError as error:
                # It is told again when the link comes up again.
                log.debug("a super-agent does not know of merchants yet: %s", error)
                return
