"""The merchants and their software, as every super-agent knows them.

A merchant's home alone changes what is known of it, and numbers each change by its clock, so that one
that has lost its disk goes on above what it said before; the others keep the highest number that they
have seen. A super-agent that names itself the home of somebody new is believed as far as the ledger: the
short code has to lead to that account, and neither may be another merchant's already. Merchants are few
and their rows small, so all are held in memory.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.merchants.ground import Ground, GroundError, Matter
from harambee.merchants.port import NAME_CHARACTERS_MAX, App, Merchant, Trade
from harambee.merchants.post import join_items
from harambee.merchants.rows import TOLD_BYTES_MAX, MerchantRow, RowError, read_row, write_row
from harambee.merchants.store import Changes, MerchantStore
from harambee.protocol.committee import Committee

RING: Final = 3
"""Who records what happens to a merchant, its home among them."""
TOLD_AT_ONCE: Final = 64
TELL_S: Final = 5.0
VERSION_MAX: Final = 1 << 62
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
        self._own_accounts: set[int] = set()
        self._accounts: npt.NDArray[np.uint32] | None = None
        self._apps: dict[str, App] = {}
        self._telling: dict[int, asyncio.Task[None]] = {}
        self._untold: dict[int, dict[str, MerchantRow]] = {}
        """For each peer what it has yet to be told."""

    @property
    def accounts(self) -> npt.NDArray[np.uint32]:
        """The accounts of the merchants whose ring this super-agent is in, ascending."""
        if self._accounts is None:
            self._accounts = np.array(sorted(self._own_accounts), np.uint32)
        return self._accounts

    async def load(self, merchants: Iterable[Merchant], apps: Iterable[App]) -> None:
        """Begin with what the store has, and what the super-agent's files add to it or correct.

        The files have the word where no home has spoken yet, and at the home itself.
        """
        self._apps = {app.consumer_key: app for app in apps}
        rows = {key_of(row.merchant): row for row in self._store.merchants()}
        fresh = {}
        for merchant in merchants:
            row = _corrected(rows.get(key_of(merchant)), merchant, self._ground)
            if row is not None:
                rows[key_of(merchant)] = fresh[key_of(merchant)] = row
        for row in rows.values():
            self._take(row)

        def change(changes: Changes) -> None:
            for key, row in fresh.items():
                changes.put_merchant(key, row)

        if fresh:
            await self._store.write(change)

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
        version = max(row.version + 1, self._ground.now_ms())
        changed = MerchantRow(version, replace(row.merchant, **fields))  # type: ignore[arg-type]
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
            row = read_row(content, MerchantRow, TOLD_BYTES_MAX)
        except RowError:
            return 0
        key, merchant = key_of(row.merchant), row.merchant
        known = self._rows.get(key)
        if sender != merchant.home or not 0 < row.version <= VERSION_MAX:
            return 0
        if known is None:
            if not await self._may_be(merchant):
                return 0
        elif known.merchant.home != sender or known.merchant.account != merchant.account:
            return 0
        # It may have come twice while the ledger was asked.
        known = self._rows.get(key)
        if known is None or known.version < row.version:
            await self._keep(row)
        return 1

    async def _may_be(self, merchant: Merchant) -> bool:
        """Say whether somebody nobody here has heard of can be a merchant."""
        if not merchant.short_code.isascii() or not merchant.short_code.isdigit():
            return False
        texts = (merchant.short_code, merchant.name, merchant.passkey)
        if not all(0 < len(text) <= NAME_CHARACTERS_MAX for text in texts):
            return False
        if self.find(merchant.short_code) is not None or merchant.account in self._by_account:
            return False
        return await self._ground.number(key_of(merchant)) == merchant.account

    async def stop(self) -> None:
        """End what is being told."""
        tasks = list(self._telling.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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
        self._by_account[account] = row.merchant
        if self._ground.index in ring(self._ground.genesis.committee, row.merchant):
            self._own_accounts.add(account)
            self._accounts = None

    def _tell(self, peer: int, rows: list[MerchantRow]) -> None:
        untold = self._untold.setdefault(peer, {})
        untold.update((key_of(row.merchant), row) for row in rows)
        if peer not in self._telling:
            self._telling[peer] = asyncio.create_task(self._bring(peer, untold))

    async def _bring(self, peer: int, untold: dict[str, MerchantRow]) -> None:
        try:
            while untold:
                rows = [untold[key] for key in list(untold)[:TOLD_AT_ONCE]]
                items = [write_row(row) for row in rows]
                content = join_items(items)
                await self._ground.ask(peer, Matter.KEEP_MERCHANTS, content, TELL_S)
                for row in rows:
                    if untold[key_of(row.merchant)] is row:
                        del untold[key_of(row.merchant)]
        except GroundError as error:
            # It is told again when the link comes up again.
            log.debug("a super-agent does not know of merchants yet: %s", error)
            untold.clear()
        finally:
            del self._telling[peer]


def _corrected(known: MerchantRow | None, filed: Merchant, ground: Ground) -> MerchantRow | None:
    """Return what is known of a merchant as a file corrects it; None where it corrects nothing."""
    if known is None:
        return MerchantRow(0, filed)
    if known.version and known.merchant.home != ground.index:
        return None
    before = known.merchant
    kept = replace(
        filed,
        urls=before.urls,
        webhook=before.webhook,
        webhook_secret=before.webhook_secret,
        billing=before.billing,
        home=before.home if known.version else filed.home,
    )
    if kept == before:
        return None
    version = max(known.version + 1, ground.now_ms()) if known.version else 0
    return MerchantRow(version, kept)
