"""Standing orders: what a customer has agreed to is asked for again in each period, by the merchant's ring.

A payment of a standing order is a request as any other, with the standing order's id and a number; her
handset pays it by itself if that is what she agreed to. The first of the ring that is alive asks. Where
another takes over it asks under the same name, and no handset pays one number twice. What a period has
missed is not asked for in the next one, for nobody expects two payments at once.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from harambee.handset.payment_requests import (
    AGREED,
    NAME_MAX,
    RequestError,
    is_declined_by,
    is_taken_by,
    read_decline,
    request_id,
)
from harambee.handset.standing_orders import day_of
from harambee.ledger.records import key_of as account_key
from harambee.merchants.book import Book, ring
from harambee.merchants.ground import Ground, GroundError
from harambee.merchants.port import (
    DECLINED_BY_CUSTOMER,
    Ask,
    Merchant,
    MerchantsError,
    Reason,
    RequestState,
    RequestView,
)
from harambee.merchants.post import Post, PostError
from harambee.merchants.rows import (
    TOLD_BYTES_MAX,
    RequestRow,
    RowError,
    StandingRow,
    read_row,
    write_row,
)
from harambee.merchants.store import Changes, MerchantStore, MerchantStoreError

LOOK_S: Final = 5.0
"""Between two looks for what is due."""
AGAIN_MS: Final = 3_600_000
"""Until a payment is asked for again: her handset may have been off, or her account empty."""
TRIES_MAX: Final = 24
LASTS_MS: Final = 600_000
_SUFFIX_MAX: Final = 12

log: Final = logging.getLogger(__name__)

Asks = Callable[[Ask], Awaitable[RequestView]]
Named = Callable[[str], Awaitable[RequestView | None]]


class StandingDesk:
    """The standing orders of the merchants whose rings a super-agent is in. Of the event loop's thread."""

    def __init__(
        self,
        ground: Ground,
        store: MerchantStore,
        book: Book,
        notes: Post,
        ask: Asks,
        named: Named,
    ) -> None:
        self._ground = ground
        self._store = store
        self._book = book
        self._notes = notes
        self._ask = ask
        self._named = named
        self._rows: dict[bytes, StandingRow] = {}

    def load(self) -> None:
        """Go on with what was agreed to when the super-agent stopped."""
        self._rows = dict(self._store.standing())

    def take(self, identity: bytes, request: RequestRow) -> Callable[[Changes], None]:
        """Begin with a standing order; returns the change that makes it durable."""
        row = self._rows.setdefault(identity, StandingRow(request))

        def change(changes: Changes) -> None:
            changes.put_standing(identity, row)

        return change

    async def run(self) -> None:
        """Ask for what is due, for ever."""
        while True:
            try:
                await self.look()
            except MerchantStoreError as error:
                log.warning("standing orders are looked at later: %s", error)
            except Exception:
                # Ours, and the other standing orders are not to wait for ever.
                log.exception("a standing order could not be looked at")
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Ask for whatever is due now and asked for by nobody before this super-agent."""
        if self._ground.ready() is not None:
            return
        for identity, row in list(self._rows.items()):
            merchant = self._book.of_account(row.request.request().payee)
            if merchant is None or not self._is_first(merchant):
                continue
            try:
                await self._one(identity, row, merchant)
            except (MerchantsError, GroundError) as error:
                log.debug("a payment of a standing order is asked for later: %s", error)

    def _is_first(self, merchant: Merchant) -> bool:
        """Whether nobody of the ring who should rather ask can be reached."""
        members = ring(self._ground.genesis.committee, merchant)
        if self._ground.index not in members:
            return False
        before = members[: members.index(self._ground.index)]
        return not any(self._ground.is_linked(peer) for peer in before)

    async def _one(self, identity: bytes, row: StandingRow, merchant: Merchant) -> None:
        request, now_ms = row.request.request(), self._ground.now_ms()
        assert request.terms is not None, "nobody agrees to anything else"
        day = day_of(now_ms)
        number = request.terms.number_on(day)
        if not number:
            if day > request.terms.last_day:
                await self._drop(identity)
            return
        if number == row.number:
            if row.tries >= TRIES_MAX or now_ms - row.asked_ms < AGAIN_MS:
                return
            if await self._is_settled(_name(request.name, number, row.tries)):
                await self._keep(identity, msgspec.structs.replace(row, tries=TRIES_MAX))
                return
        tries = row.tries + 1 if number == row.number else 1
        ask = Ask(
            consumer_key=row.request.consumer_key,
            short_code=f"{merchant.trade}:{merchant.short_code}",
            msisdn=row.request.msisdn,
            amount_cents=request.amount_cents,
            name=_name(request.name, number, tries),
            account=request.account,
            text=request.text,
            lasts_ms=LASTS_MS,
            under=identity.hex(),
            number=number,
        )
        try:
            await self._ask(ask)
        except MerchantsError as error:
            if error.reason in (Reason.UNAVAILABLE, Reason.PAYER_BUSY, Reason.BUSY):
                raise
            log.warning("a payment of a standing order cannot be asked for: %s", error.reason)
        asked = StandingRow(row.request, number, tries, now_ms)
        await self._keep(identity, asked)

    async def _is_settled(self, name: str) -> bool:
        """Whether nothing is to be asked for again in this period."""
        view = await self._named(name)
        if view is None:
            return False
        refused = view.state is RequestState.DECLINED and view.reason == DECLINED_BY_CUSTOMER
        return refused or view.state is RequestState.PAID

    # -- the others of the ring -------------------------------------------------------------------

    async def bring_all(self, peer: int) -> None:
        """A super-agent can be reached again: it gets the standing orders that it should have."""
        for row in list(self._rows.values()):
            merchant = self._book.of_account(row.request.request().payee)
            if merchant is None or peer not in ring(self._ground.genesis.committee, merchant):
                continue
            with contextlib.suppress(PostError):
                await self._notes.bring(peer, b"S" + write_row(row))

    async def take_copy(self, content: bytes) -> int:
        """Take a standing order from another one of the ring; 1 where it is kept.

        Nobody needs to be believed: its taker has signed it, and its payer has signed that she agrees.
        """
        try:
            row = read_row(content, StandingRow, TOLD_BYTES_MAX)
            request, said = row.request.request(), read_decline(row.request.decline)
        except (RowError, RequestError):
            return 0
        genesis, taker = self._ground.genesis, row.request.super_agent
        identity = request_id(genesis.network, row.request.document)
        if identity in self._rows:
            return 1
        merchant = self._book.of_account(request.payee)
        record = await self._ground.account(request.payer)
        if (
            merchant is None
            or record is None
            or request.terms is None
            or self._ground.index not in ring(genesis.committee, merchant)
            or (said.request, said.account, said.reason) != (identity, request.payer, AGREED)
            or not is_declined_by(row.request.decline, genesis.network, account_key(record))
            or not is_taken_by(genesis, row.request.document, taker, row.request.signature)
        ):
            return 0
        if request.terms.last_day < day_of(self._ground.now_ms()):
            return 1
        await self._keep(identity, StandingRow(row.request))
        return 1

    async def _keep(self, identity: bytes, row: StandingRow) -> None:
        await self._store.write(lambda changes: changes.put_standing(identity, row))
        self._rows[identity] = row

    async def _drop(self, identity: bytes) -> None:
        await self._store.write(lambda changes: changes.drop_standing(identity))
        del self._rows[identity]


def _name(standing: str, number: int, tries: int) -> str:
    return f"{standing[: NAME_MAX - _SUFFIX_MAX]}.{number}.{tries}"
