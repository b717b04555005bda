"""Invoices of merchants: kept by their rings, so that a payment of one is told where its software listens.

An invoice moves no money and asks nobody: it says under which account something is owed. Whoever pays a bill
under that account is told to the address that the merchant's software opted in with, besides the address
where all payments are confirmed. The home keeps an invoice first and brings it to the others of the ring,
again whenever one of them can be reached again; so whoever delivers events in its place knows it, too.
"""

import asyncio
import contextlib
from typing import Final

import msgspec

from harambee.merchants.book import Book, key_of, ring
from harambee.merchants.ground import Ground, GroundError, Matter
from harambee.merchants.port import (
    NAME_CHARACTERS_MAX,
    Invoice,
    Merchant,
    MerchantsError,
    Reason,
)
from harambee.merchants.post import Post, PostError
from harambee.merchants.rows import (
    TOLD_BYTES_MAX,
    InvoiceRow,
    RowError,
    read_row,
    write_row,
    write_told,
)
from harambee.merchants.store import Changes, MerchantStore, MerchantStoreError

INVOICES_MAX: Final = 1_000_000
"""Of all merchants whose rings a super-agent is in."""
KEPT_MS: Final = 90 * 86_400_000
"""An invoice is forgotten some days after so long, paid or not."""
TELL_S: Final = 5.0
KEEP_S: Final = 3.0
SENTENCE_MAX: Final = 256
BROUGHT_AT_ONCE: Final = 256


class _Errand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a merchant's software wants of the merchant's home; one of the three."""

    consumer_key: str
    short_code: str
    keep: Invoice | None = None
    cancel: str = ""
    """The reference of an invoice."""
    paid: str = ""
    """The receipt code of a payment."""
    amount_cents: int = 0
    """Of that payment."""


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why that was not done; nothing where it was."""

    reason: Reason | None = None
    sentence: str = ""


class _Copy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a home brings to its ring: an invoice, or that there is none any more."""

    key: str
    row: InvoiceRow
    is_cancelled: bool = False


class BillingDesk:
    """The invoices of one super-agent. Belongs to the event loop's thread."""

    def __init__(self, ground: Ground, store: MerchantStore, book: Book, notes: Post) -> None:
        self._ground = ground
        self._store = store
        self._book = book
        self._notes = notes

    async def keep(self, consumer_key: str, short_code: str, invoice: Invoice) -> None:
        """Keep an invoice with the merchant's ring; MerchantsError."""
        await self._sent(_Errand(consumer_key, short_code, keep=invoice))

    async def cancel(self, consumer_key: str, short_code: str, reference: str) -> None:
        """Forget an invoice; MerchantsError."""
        await self._sent(_Errand(consumer_key, short_code, cancel=reference))

    async def acknowledge(
        self, consumer_key: str, short_code: str, receipt_code: str, amount_cents: int
    ) -> None:
        """Make sure that a merchant has got a payment; MerchantsError."""
        await self._sent(
            _Errand(consumer_key, short_code, paid=receipt_code, amount_cents=amount_cents)
        )

    def is_invoiced(self, merchant: Merchant, account: str) -> bool:
        """Say whether an invoice of the merchant's is paid under this account."""
        place = _account(account)
        return bool(place) and self._store.is_invoiced(key_of(merchant), place)

    async def _sent(self, errand: _Errand) -> None:
        merchant = self._book.find(errand.short_code)
        if merchant is None:
            raise MerchantsError(
                Reason.MERCHANT_UNKNOWN, "There is no merchant of this short code."
            )
        try:
            content = write_told(errand)
        except RowError as error:
            raise MerchantsError(Reason.INVALID, str(error)) from error
        if merchant.home == self._ground.index:
            await self._done(merchant, errand)
            return
        try:
            answer = await self._ground.ask(merchant.home, Matter.BILLING, content, TELL_S)
            told = read_row(answer, _Answer, TOLD_BYTES_MAX)
        except (GroundError, RowError) as error:
            name = self._ground.genesis.committee.members[merchant.home].name
            sentence = f"Invoices of this merchant are kept at {name}, which cannot be reached now."
            raise MerchantsError(Reason.UNAVAILABLE, sentence) from error
        if told.reason is not None:
            raise MerchantsError(told.reason, told.sentence[:SENTENCE_MAX])

    async def told(self, content: bytes) -> bytes:
        """Do what another super-agent asks for a merchant's software; nothing where that is nothing."""
        try:
            errand = read_row(content, _Errand, TOLD_BYTES_MAX)
        except RowError:
            return b""
        merchant = self._book.find(errand.short_code)
        if merchant is None or merchant.home != self._ground.index:
            return b""
        try:
            await self._done(merchant, errand)
        except MerchantsError as error:
            return write_row(_Answer(error.reason, error.sentence))
        return write_row(_Answer())

    async def _done(self, merchant: Merchant, errand: _Errand) -> None:
        app = self._book.app(errand.consumer_key)
        if app is None or merchant.short_code not in app.short_codes:
            raise MerchantsError(Reason.INVALID, "This software does not act for this merchant.")
        if errand.keep is not None:
            await self._keep_here(merchant, errand.keep)
        elif errand.cancel:
            await self._cancel_here(merchant, errand.cancel)
        else:
            self._look_for(merchant, errand)

    async def _keep_here(self, merchant: Merchant, invoice: Invoice) -> None:
        reference, account = invoice.reference, _account(invoice.account)
        if not 1 <= len(reference) <= NAME_CHARACTERS_MAX or "\0" in reference + account:
            raise MerchantsError(
                Reason.INVALID, "An invoice has a reference, which can be printed."
            )
        key = key_of(merchant)
        row = self._store.invoice(key, reference)
        if row is not None and row.invoice != invoice:
            raise MerchantsError(Reason.NAME_TAKEN, "Another invoice has this reference.")
        if row is None:
            if self._store.invoices_count() >= INVOICES_MAX:
                raise MerchantsError(Reason.BUSY, "Too many invoices are kept already.")
            row = InvoiceRow(invoice, self._ground.now_ms())
            await self._put(_Copy(key, row))
        await self._spread(merchant, _Copy(key, row))

    async def _cancel_here(self, merchant: Merchant, reference: str) -> None:
        key = key_of(merchant)
        row = self._store.invoice(key, reference)
        if row is None:
            raise MerchantsError(Reason.NOT_FOUND, "There is no such invoice.")
        # The others first: what is asked again after a failure is still known here.
        await self._spread(merchant, _Copy(key, row, is_cancelled=True))
        await self._put(_Copy(key, row, is_cancelled=True))

    def _look_for(self, merchant: Merchant, errand: _Errand) -> None:
        event = self._store.event_of_code(key_of(merchant), errand.paid)
        payment = None if event is None else event.payment
        if payment is None or payment.amount_cents != errand.amount_cents:
            sentence = "There is no payment to this merchant of this receipt code and amount."
            raise MerchantsError(Reason.NOT_FOUND, sentence)

    async def _put(self, copy: _Copy) -> None:
        account = _account(copy.row.invoice.account)

        def change(changes: Changes) -> None:
            if copy.is_cancelled:
                changes.drop_invoice(copy.key, account, copy.row.invoice.reference)
            else:
                changes.put_invoice(copy.key, account, copy.row, copy.row.made_ms + KEPT_MS)

        await self._store.write(change)

    async def _spread(self, merchant: Merchant, copy: _Copy) -> None:
        """Bring it to the others of the ring; MerchantsError unless one of them has it, too."""
        others = [p for p in ring(self._ground.genesis.committee, merchant) if p != merchant.home]
        took = await asyncio.gather(*(self._bring(peer, copy) for peer in others))
        if others and not any(took):
            sentence = "Nobody who keeps this merchant's invoices beside its home can be reached."
            raise MerchantsError(Reason.UNAVAILABLE, sentence)

    async def _bring(self, peer: int, copy: _Copy) -> bool:
        if not self._ground.is_linked(peer):
            return False
        with contextlib.suppress(PostError, TimeoutError):
            async with asyncio.timeout(KEEP_S):
                return await self._notes.bring(peer, b"I" + write_row(copy)) == 1
        return False

    async def take(self, peer: int, content: bytes) -> int:
        """Keep what a merchant's home brings; 1 where it is kept."""
        try:
            copy = read_row(content, _Copy, TOLD_BYTES_MAX)
        except RowError:
            return 0
        merchant = self._book.find(copy.key)
        if merchant is None or merchant.home != peer or key_of(merchant) != copy.key:
            return 0
        if self._ground.index not in ring(self._ground.genesis.committee, merchant):
            return 0
        known = self._store.invoice(copy.key, copy.row.invoice.reference)
        is_new = known != copy.row
        if copy.is_cancelled and known is not None:
            # By what is known here: the index goes by the account that it was kept under.
            await self._put(_Copy(copy.key, known, is_cancelled=True))
        elif is_new and not copy.is_cancelled:
            if self._store.invoices_count() >= INVOICES_MAX:
                return 0
            await self._put(copy)
        return 1

    async def bring_all(self, peer: int) -> None:
        """A super-agent can be reached again: it gets the invoices of this home that it should have."""
        try:
            rows = await asyncio.to_thread(self._store.invoices)
        except MerchantStoreError:
            return  # they are brought with the next link, and each is asked for by itself
        wanted = []
        for key, row in rows:
            merchant = self._book.find(key)
            if merchant is None or merchant.home != self._ground.index:
                continue
            if peer in ring(self._ground.genesis.committee, merchant):
                wanted.append(_Copy(key, row))
        for start in range(0, len(wanted), BROUGHT_AT_ONCE):
            some = wanted[start : start + BROUGHT_AT_ONCE]
            if not any(await asyncio.gather(*(self._bring(peer, copy) for copy in some))):
                return


def _account(text: str) -> str:
    """Return an account as invoices are found by: who pays writes it as she likes."""
    return text.strip().upper()
