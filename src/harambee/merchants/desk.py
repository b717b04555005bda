"""The desk for merchants of one super-agent: everything behind `MerchantsPort`, put together."""

import asyncio
import contextlib
import functools
import hashlib
import logging
import os
import secrets
import signal
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from harambee.crypto.signatures import KeyPair
from harambee.handset.orders import NO_REFERENCE, OrderBody, OrderError, bill_reference
from harambee.handset.payment_requests import (
    SIGNATURE_BYTES,
    Announcement,
    RequestError,
    is_announced_by,
    read_announcement,
)
from harambee.handset.receipt_code import code_of
from harambee.ledger.records import key_of as account_key
from harambee.merchants.billing import BillingDesk
from harambee.merchants.book import Book, key_of, ring
from harambee.merchants.credentials import Credentials
from harambee.merchants.ground import Ground, GroundError, Matter
from harambee.merchants.inquiries import Inquiries
from harambee.merchants.instructions import InstructionDesk
from harambee.merchants.port import (
    URL_CHARACTERS_MAX,
    App,
    Ask,
    Billing,
    Bodies,
    Event,
    EventKind,
    Faults,
    Instruction,
    Invoice,
    Merchant,
    MerchantsError,
    PaymentFacts,
    Reason,
    RequestState,
    RequestView,
    Result,
    SignedRequest,
    Trade,
    Urls,
    Verdict,
)
from harambee.merchants.post import Carry, Post, PostError, split_items
from harambee.merchants.requests import CLOCK_US_MAX, Kept, RequestDesk
from harambee.merchants.rows import (
    TOLD_BYTES_MAX,
    BillRow,
    EventRow,
    InstructionRow,
    RowError,
    read_row,
    write_row,
    write_told,
)
from harambee.merchants.standing import StandingDesk
from harambee.merchants.store import KEPT_MS, Changes, MerchantStore, MerchantStoreError
from harambee.merchants.teller import QUESTION_S, Teller, Tiding

NOTES_S: Final = 5.0
KEEP_S: Final = 3.0
ARRANGE_S: Final = 5.0
EVENTS_MAX: Final = 500
WEBHOOK_SECRET_BYTES: Final = 24
JUDGED_MAX: Final = 4_096
"""Announcements whose verdict is remembered: the same one brought again is not asked again."""
BILL_OF_TILL_MS: Final = 600_000
SENTENCE_MAX: Final = 256
CODE_MAX: Final = 32
FORM_MAX: Final = 64
LOOK_S: Final = 1.0
"""Between two looks for requests that have ended, and for who is down."""
FORGET_S: Final = 60.0
"""Between two looks for what may be forgotten."""

T = TypeVar("T")

_Take = Callable[[bytes], Awaitable[int]]

log: Final = logging.getLogger(__name__)


class _Arrangement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a merchant's home is to keep of it."""

    consumer_key: str
    short_code: str
    urls: Urls | None = None
    webhook: str | None = None
    billing: Billing | None = None


class _Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a payer signed, and its biller accepted, handed to those who record what happens to him."""

    announcement: bytes
    third_party_id: str = ""


def _die() -> None:
    """End this process as a machine does whose power is gone."""
    os.kill(os.getpid(), signal.SIGKILL)


class MerchantsDesk:
    """Implements `MerchantsPort`. Belongs to the event loop's thread."""

    def __init__(
        self,
        ground: Ground,
        store: MerchantStore,
        credentials: Credentials,
        bodies: Bodies,
        *,
        private_too: bool,
        die: Callable[[], None] = _die,
    ) -> None:
        """`die` ends this super-agent without a word, where the faults of a development network want that."""
        self._die = die
        self._ground = ground
        self._store = store
        self._credentials = credentials
        self._bodies = bodies
        self._book = Book(ground, store)
        self._keep = Post(self._carry(Matter.KEEP_REQUESTS, KEEP_S))
        self._notes = Post(self._carry(Matter.NOTES, NOTES_S))
        self._teller = Teller(
            ground, store, self._book, self._notes, bodies, private_too=private_too
        )
        self._requests = RequestDesk(
            ground, store, self._book, (self._keep, self._notes), self._request_ended
        )
        self._instructions = InstructionDesk(
            ground, store, self._book, credentials, self._instruction_ended
        )
        self._standing = StandingDesk(
            ground,
            store,
            self._book,
            self._notes,
            self._requests.ask,
            self._requests.named,
        )
        self._inquiries = Inquiries(ground, self._book)
        self._billing = BillingDesk(ground, store, self._book, self._notes)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._judged: OrderedDict[bytes, asyncio.Task[Verdict]] = OrderedDict()
        self._followed = asyncio.Event()
        """Set once this super-agent has read what became final while it was away."""

    async def start(
        self,
        apps: Iterable[App],
        merchants: Iterable[Merchant],
        keys: Mapping[str, KeyPair],
        initiators: Mapping[str, str],
    ) -> None:
        """Go on where it stopped, with what the super-agent's files say of merchants."""
        await self._book.load(merchants, apps)
        self._requests.load()
        self._teller.load()
        self._instructions.load(keys, initiators)
        self._inquiries.load(keys)
        self._standing.load()
        self._spawn(self._teller.run())
        self._spawn(self._stand())
        self._spawn(self._expire())
        self._spawn(self._forget())

    async def stop(self) -> None:
        """End; what is not done is gone on with after the next start."""
        await self._instructions.stop()
        tasks = [*self._tasks, *self._judged.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._requests.stop()
        await self._book.stop()
        await self._keep.stop()
        await self._notes.stop()
        await self._store.close()

    def facts(self) -> dict[str, int]:
        """Return counts for the status page and metrics."""
        asked = {f"requests_{name}": count for name, count in self._requests.counts.items()}
        told = {f"callbacks_{name}": count for name, count in self._teller.counts.items()}
        return {
            **asked,
            "requests_waiting": self._requests.waiting,
            **told,
            "callbacks_waiting": self._teller.waiting,
            "instructions_waiting": self._instructions.waiting,
        }

    @property
    def faults(self) -> Faults:
        """What a development network does to callbacks, and to this super-agent."""
        return self._teller.faults

    def push_answered(self) -> None:
        """Count an answer to a merchant's software; the last one that the faults allow is the last of all."""
        if self.faults.dies_after_pushes:
            self.faults.dies_after_pushes -= 1
            if not self.faults.dies_after_pushes:
                log.warning("this super-agent dies now, as it was told to")
                self._die()

    def link_up(self, peer: int) -> None:
        """A super-agent can be reached again."""
        self._book.link_up(peer)
        self._teller.link_up(peer)
        self._requests.link_up(peer)
        self._spawn(self._billing.bring_all(peer))
        self._spawn(self._standing.bring_all(peer))

    # -- what becomes final -----------------------------------------------------------------------

    def accounts(self) -> npt.NDArray[np.uint32]:
        """Return the accounts, (k,) ascending, whose payments are to be told to `take_final`."""
        asked = np.fromiter(self._requests.payees(), np.uint32)
        return np.union1d(self._book.accounts, asked)

    def read_up_to(self) -> tuple[int, int] | None:
        """Return entries and blocks as `note_read` had them last; None at the very first start."""
        return self._store.read_up_to()

    async def note_read(self, entries: int, blocks: int) -> None:
        """So many entries, of a journal of so many blocks, have been told to `take_final`."""
        await self._store.write(lambda changes: changes.note_read(entries, blocks))

    def followed(self) -> None:
        """Everything that was final when this super-agent began to follow has been told."""
        self._followed.set()

    async def take_final(self, order: bytes, time_ms: int) -> None:
        """An order that pays one of `accounts` is final; the same one may be told again."""
        try:
            body = OrderBody.from_bytes(order)
        except OrderError:
            return  # of a kind that this version does not know
        merchant = self._book.of_account(body.payee)
        if merchant is None or not body.amount_cents:
            return
        facts = PaymentFacts(
            receipt_code=code_of(order, self._ground.genesis.regions),
            order=order,
            short_code=merchant.short_code,
            payer=body.payer,
            amount_cents=body.amount_cents,
            time_ms=time_ms,
        )
        bill = self._store.bill(body.payer, _bill_key(body.payee, body.reference))
        # Nothing but time ties what was said at a till to one payment of several.
        if bill is not None and (
            any(body.reference) or abs(time_ms - bill.time_ms) <= BILL_OF_TILL_MS
        ):
            facts = replace(facts, account=bill.account, msisdn=bill.msisdn)
        kept = await self._requests.take_payment(body, facts)
        if kept is not None and kept.row.payment is not None:
            facts = kept.row.payment
        if self._ground.index not in ring(self._ground.genesis.committee, merchant):
            return
        row = EventRow(
            id=f"pay_{body.payer}_{body.sequence}",
            kind=EventKind.PAYMENT_RECEIVED,
            short_code=key_of(merchant),
            made_ms=time_ms,
            payment=await self._with_balance(facts, merchant),
        )
        urls = merchant.urls
        url, form = (urls.confirmation, urls.form) if urls is not None else ("", "")
        also: tuple[tuple[str, str], ...] = ()
        billing = merchant.billing
        if billing is not None and self._billing.is_invoiced(merchant, facts.account):
            also = ((billing.callback_url, billing.form),)
        tiding = Tiding(row, url, form, facts.receipt_code, body.reference, also)
        await self._teller.tell(merchant, tiding)
        if kept is None:
            # It may have been brought here while the payment was being recorded.
            await self._requests.take_payment(body, facts)

    async def _with_balance(self, facts: PaymentFacts, merchant: Merchant) -> PaymentFacts:
        record = await self._ground.account(merchant.account)
        balance = None if record is None else int(record["balance"][0])
        name = facts.payer_name or await self._ground.name_of(facts.payer)
        return replace(facts, balance_cents=balance, payer_name=name)

    async def _request_ended(self, kept: Kept, change: Callable[[Changes], None]) -> None:
        merchant = self._book.of_account(kept.request.payee)
        committee = self._ground.genesis.committee
        if merchant is None or self._ground.index not in ring(committee, merchant):
            await self._store.write(change)
            return
        view = kept.view
        payment = view.payment
        if payment is not None:
            payment = await self._with_balance(payment, merchant)
        # However it ends unpaid it is one event; and one that ends by the clock has ended when it expired, so
        # that the others are asked first whether they told of another end.
        is_expired = view.state is RequestState.EXPIRED
        row = EventRow(
            id=f"req_{kept.id.hex()[:32]}_{'paid' if payment else 'unpaid'}",
            kind=EventKind.REQUEST_ENDED,
            short_code=key_of(merchant),
            made_ms=view.expires_ms if is_expired else self._ground.now_ms(),
            request=replace(view, payment=payment),
        )
        tiding = Tiding(row, kept.row.callback_url, kept.row.form)
        if view.state is not RequestState.AGREED:
            await self._teller.tell(merchant, tiding, change)
            return
        begin = self._standing.take(kept.id, kept.row)

        def both(changes: Changes) -> None:
            change(changes)
            begin(changes)

        await self._teller.tell(merchant, tiding, both)

    async def _instruction_ended(
        self, merchant: Merchant, row: InstructionRow, result: Result
    ) -> None:
        instruction = row.instruction
        digest = hashlib.sha256(f"{key_of(merchant)}\0{instruction.name}".encode()).hexdigest()
        event = EventRow(
            id=f"ins_{digest[:32]}",
            kind=EventKind.INSTRUCTION_ENDED,
            short_code=key_of(merchant),
            made_ms=result.ended_ms,
            result=result,
        )
        code = result.receipt_code if row.order else ""
        tiding = Tiding(event, instruction.result_url, instruction.form, code)
        await self._teller.tell(merchant, tiding)

    async def _expire(self) -> None:
        await self._followed.wait()
        while True:
            pause_s = LOOK_S
            try:
                self._requests.look_who_is_down()
                if self._ground.ready() is None:
                    pause_s = min(LOOK_S, await self._requests.expire())
            except GroundError as error:
                log.debug("requests are ended later: %s", error)
            except MerchantStoreError as error:
                log.warning("requests are ended later: %s", error)
            except Exception:
                log.exception("requests could not be ended")
            await asyncio.sleep(pause_s)

    async def _stand(self) -> None:
        # What was paid while it was away is not asked for again.
        await self._followed.wait()
        await self._standing.run()

    async def _forget(self) -> None:
        while True:
            before_ms = self._ground.now_ms() - KEPT_MS
            try:
                while await self._store.write(functools.partial(_forget_some, before_ms)):
                    log.debug("some of what is past is forgotten")
            except MerchantStoreError as error:
                log.warning("what is past is forgotten later: %s", error)
            await asyncio.sleep(FORGET_S)

    # -- the port ---------------------------------------------------------------------------------

    async def app(self, consumer_key: str) -> App | None:
        """Return a merchant's software, by its key."""
        return self._book.app(consumer_key)

    async def merchant(self, short_code: str) -> Merchant | None:
        """Return a till or a paybill, by its digits or as "till:174379"."""
        return self._book.find(short_code)

    async def ask_payment(self, ask: Ask) -> RequestView:
        """Ask a customer; MerchantsError."""
        return await self._whole(self._requests.ask(ask))

    async def request(self, name: str) -> RequestView | None:
        """Return a request by its name."""
        with _in_words():
            return await self._requests.named(name)

    async def pending(self, question: bytes, wait_ms: int = 0) -> list[SignedRequest]:
        """Return what waits for a customer's answer; waits for it at most `wait_ms`."""
        with _in_words():
            return await self._requests.pending(question, wait_ms)

    async def decline(self, signed: bytes) -> None:
        """A customer does not pay; MerchantsError."""
        await self._whole(self._requests.decline(signed))

    async def announce(self, signed: bytes) -> Verdict:
        """Return what a biller says of a bill that somebody is about to pay; MerchantsError."""
        said = await self._announced(signed)
        merchant = self._book.of_account(said.payee)
        if merchant is None:
            return Verdict(accepted=True)
        members = ring(self._ground.genesis.committee, merchant)
        for member in members:
            if member == self._ground.index:
                return await self._whole(self._judge_bill(signed, said, merchant))
            if not self._ground.is_linked(member):
                continue
            try:
                content = await self._ground.ask(member, Matter.BILL, signed, QUESTION_S + 1)
                return _bounded(msgspec.msgpack.decode(content, type=Verdict))
            except (GroundError, msgspec.DecodeError):
                continue
        raise MerchantsError(
            Reason.UNAVAILABLE, "Nobody who speaks for this biller can be reached."
        )

    async def judge(self, short_code: str, msisdn: str, amount_cents: int, account: str) -> Verdict:
        """Return what a biller says of a payment that a customer might make; MerchantsError."""
        merchant = self._known(short_code)
        with _in_words():
            payer = await self._ground.number(msisdn)
            if payer is None:
                sentence = "No account is registered under the customer's number."
                raise MerchantsError(Reason.PAYER_UNKNOWN, sentence)
            said = Announcement(
                payer=payer,
                payee=merchant.account,
                amount_cents=amount_cents,
                account=account,
                time_us=self._ground.now_ms() * 1_000,
                msisdn=msisdn,
            )
            return await self._verdict(said, merchant)

    async def name_of_number(self, consumer_key: str, short_code: str, msisdn: str) -> str:
        """Return the name that a merchant may see of a number's owner; MerchantsError."""
        return await self._whole(self._inquiries.name_of_number(consumer_key, short_code, msisdn))

    async def instruct(self, instruction: Instruction) -> bool:
        """Keep an instruction durably at the merchant's home; whether it is new; MerchantsError."""
        return await self._whole(self._instructions.instruct(instruction))

    async def set_urls(self, consumer_key: str, short_code: str, urls: Urls) -> None:
        """Keep where payments are confirmed and validated; MerchantsError."""
        await self._whole(self._arrange(_Arrangement(consumer_key, short_code, urls=urls)))

    async def set_webhook(self, consumer_key: str, short_code: str, url: str) -> bytes:
        """Keep where our own events go; returns the secret that signs them; MerchantsError."""
        return await self._whole(self._arrange(_Arrangement(consumer_key, short_code, webhook=url)))

    async def set_billing(self, short_code: str, billing: Billing) -> None:
        """Keep how a merchant's software keeps invoices; MerchantsError."""
        wanted = _Arrangement(billing.consumer_key, short_code, billing=billing)
        await self._whole(self._arrange(wanted))

    async def keep_invoice(self, consumer_key: str, short_code: str, invoice: Invoice) -> None:
        """Keep an invoice with the merchant's ring; MerchantsError."""
        await self._whole(self._billing.keep(consumer_key, short_code, invoice))

    async def cancel_invoice(self, consumer_key: str, short_code: str, reference: str) -> None:
        """Forget an invoice; MerchantsError."""
        await self._whole(self._billing.cancel(consumer_key, short_code, reference))

    async def acknowledge(
        self, consumer_key: str, short_code: str, receipt_code: str, amount_cents: int
    ) -> None:
        """Make sure that a merchant has got a payment; MerchantsError."""
        await self._whole(
            self._billing.acknowledge(consumer_key, short_code, receipt_code, amount_cents)
        )

    async def events(self, short_code: str, after: int, limit: int) -> list[Event]:
        """Return events of a merchant behind a cursor of this super-agent's, oldest first."""
        merchant = self._known(short_code)
        key, most = key_of(merchant), min(limit, EVENTS_MAX)
        with _in_words():
            rows = await asyncio.to_thread(self._store.events, key, after, most)
        return [row.event(cursor) for cursor, row in rows]

    async def payments(
        self, short_code: str, since_ms: int, until_ms: int, offset: int, limit: int
    ) -> list[PaymentFacts]:
        """Return payments to a merchant in a time, oldest first."""
        merchant = self._known(short_code)
        key, most = key_of(merchant), min(limit, EVENTS_MAX)
        with _in_words():
            return await asyncio.to_thread(
                self._payments, key, (since_ms, until_ms), max(0, offset), most
            )

    def certificate(self) -> bytes:
        """Return this super-agent's X.509 certificate (PEM)."""
        return self._credentials.certificate

    def _payments(
        self, key: str, span_ms: tuple[int, int], offset: int, limit: int
    ) -> list[PaymentFacts]:
        found: list[PaymentFacts] = []
        after = 0
        while len(found) < limit:
            rows = self._store.events(key, after, EVENTS_MAX)
            for after, row in rows:
                if row.payment is None or not span_ms[0] <= row.payment.time_ms <= span_ms[1]:
                    continue
                if offset:
                    offset -= 1
                elif len(found) < limit:
                    found.append(replace(row.payment, sequence=after))
            if len(rows) < EVENTS_MAX:
                break
        return found

    def _known(self, short_code: str) -> Merchant:
        merchant = self._book.find(short_code)
        if merchant is None:
            raise MerchantsError(
                Reason.MERCHANT_UNKNOWN, "There is no merchant of this short code."
            )
        return merchant

    async def _arrange(self, wanted: _Arrangement) -> bytes:
        merchant = self._known(wanted.short_code)
        if merchant.home == self._ground.index:
            return await self._arrange_here(merchant, wanted)
        try:
            content = write_told(wanted)
        except RowError as error:
            raise MerchantsError(Reason.INVALID, str(error)) from error
        try:
            answer = await self._ground.ask(merchant.home, Matter.ARRANGE, content, ARRANGE_S)
        except GroundError as error:
            name = self._ground.genesis.committee.members[merchant.home].name
            sentence = (
                f"What is known of this merchant is changed at {name}, which cannot be reached now."
            )
            raise MerchantsError(Reason.UNAVAILABLE, sentence) from error
        if answer[:1] != b"\1":
            raise MerchantsError(Reason.INVALID, "This merchant's home refuses that.")
        return answer[1:]

    async def _arrange_here(self, merchant: Merchant, wanted: _Arrangement) -> bytes:
        app = self._book.app(wanted.consumer_key)
        if app is None or merchant.short_code not in app.short_codes:
            raise MerchantsError(Reason.INVALID, "This software does not act for this merchant.")
        urls = wanted.urls or Urls("")
        billing = wanted.billing or Billing("", 0, "", "")
        addresses = (
            urls.confirmation,
            urls.validation,
            wanted.webhook or "",
            billing.callback_url,
        )
        if max(len(urls.form), len(billing.form)) > FORM_MAX or not all(
            map(_is_address, addresses)
        ):
            sentence = f"An address has at most {URL_CHARACTERS_MAX} characters of ASCII."
            raise MerchantsError(Reason.INVALID, sentence)
        if wanted.urls is not None:
            merchant = await self._book.change(merchant, urls=wanted.urls)
        if wanted.billing is not None:
            merchant = await self._book.change(merchant, billing=billing)
        if wanted.webhook is not None:
            secret = merchant.webhook_secret or secrets.token_bytes(WEBHOOK_SECRET_BYTES)
            merchant = await self._book.change(
                merchant, webhook=wanted.webhook, webhook_secret=secret
            )
        return merchant.webhook_secret

    # -- bills ------------------------------------------------------------------------------------

    async def _announced(self, signed: bytes) -> Announcement:
        """Return what a payer announces; MerchantsError unless she signed it, just now."""
        try:
            said = read_announcement(signed)
            record = await self._ground.account(said.payer)
        except RequestError as error:
            raise MerchantsError(Reason.INVALID, str(error)) from error
        except GroundError as error:
            raise MerchantsError(Reason.UNAVAILABLE, str(error)) from error
        network = self._ground.genesis.network
        if record is None or not is_announced_by(signed, network, account_key(record)):
            sentence = "The announcement is not signed by this account."
            raise MerchantsError(Reason.SIGNATURE_INVALID, sentence)
        if abs(said.time_us - self._ground.now_ms() * 1_000) > CLOCK_US_MAX:
            raise MerchantsError(Reason.SIGNATURE_INVALID, "The clock of this handset is wrong.")
        return said

    async def _judge_bill(self, signed: bytes, said: Announcement, merchant: Merchant) -> Verdict:
        """Ask the biller, once for one announcement, and keep what the payer says until she has paid."""
        name = hashlib.sha256(signed[:-SIGNATURE_BYTES]).digest()
        judging = self._judged.get(name)
        if judging is None or (judging.done() and judging.exception() is not None):
            judging = asyncio.create_task(self._judge_anew(signed, said, merchant))
            self._judged[name] = judging
            if len(self._judged) > JUDGED_MAX:
                self._judged.popitem(last=False)
        return await asyncio.shield(judging)

    async def _judge_anew(self, signed: bytes, said: Announcement, merchant: Merchant) -> Verdict:
        verdict = await self._verdict(said, merchant)
        if verdict.accepted:
            note = _Note(signed, verdict.third_party_id)
            await self._keep_bill(note, said, merchant)
            for peer in ring(self._ground.genesis.committee, merchant):
                if peer != self._ground.index:
                    self._spawn(self._hand_on(peer, b"B" + write_row(note)))
        return verdict

    async def _verdict(self, said: Announcement, merchant: Merchant) -> Verdict:
        """Ask the biller, if it has said where."""
        verdict = Verdict(accepted=True)
        urls = merchant.urls
        if urls is not None and urls.validation:
            payment = PaymentFacts(
                receipt_code="",
                order=b"",
                short_code=merchant.short_code,
                payer=said.payer,
                amount_cents=said.amount_cents,
                time_ms=self._ground.now_ms(),
                account=said.account,
                msisdn=await self._own_number(said),
                payer_name=await self._ground.name_of(said.payer),
            )
            headers, content = self._bodies.question(payment, merchant)
            answer = await self._teller.post(urls.validation, headers, content, QUESTION_S)
            if answer is None:
                sentence = "" if urls.accept_unanswered else "The biller does not answer."
                verdict = Verdict(accepted=urls.accept_unanswered, sentence=sentence)
            else:
                verdict = _bounded(self._bodies.verdict(*answer))
        return verdict

    async def _own_number(self, said: Announcement) -> str | None:
        """Return the number that a payer says is hers, if it is."""
        if said.msisdn is None:
            return None
        with contextlib.suppress(GroundError, ValueError):
            if await self._ground.number(said.msisdn) == said.payer:
                return said.msisdn
        return None

    async def _keep_bill(self, note: _Note, said: Announcement, merchant: Merchant) -> None:
        msisdn = await self._own_number(said)
        bill = BillRow(said.account, self._ground.now_ms(), msisdn, note.third_party_id)
        place = _bill_key(merchant.account, _reference_of(merchant, said.account))

        def change(changes: Changes) -> None:
            changes.put_bill(said.payer, place, bill)

        await self._store.write(change)

    async def _take_bill(self, peer: int, content: bytes) -> int:
        """Keep what another one of a merchant's ring was told by a payer; 1 where it is kept."""
        try:
            note = read_row(content, _Note, TOLD_BYTES_MAX)
            said = await self._announced(note.announcement)
        except (RowError, MerchantsError):
            return 0
        merchant = self._book.of_account(said.payee)
        if merchant is None or peer not in ring(self._ground.genesis.committee, merchant):
            return 0
        await self._keep_bill(
            _Note(note.announcement, note.third_party_id[:CODE_MAX]), said, merchant
        )
        return 1

    async def _hand_on(self, peer: int, item: bytes) -> None:
        # The others of the ring go on where this one dies; without the note they know less of a payment.
        with contextlib.suppress(PostError):
            await self._notes.bring(peer, item)

    # -- other super-agents -----------------------------------------------------------------------

    async def serve(self, peer: int, matter: Matter, content: bytes) -> bytes:
        """Answer another super-agent; nothing where there is no answer."""
        match matter:
            case Matter.KEEP_REQUESTS:
                return await self._each(content, self._requests.keep)
            case Matter.NOTES:
                return await self._each(content, lambda item: self._take_note(peer, item))
            case Matter.KEEP_MERCHANTS:
                return await self._each(content, lambda item: self._book.keep(peer, item))
            case Matter.PENDING:
                return await self._requests.told_pending(content)
            case Matter.FIND:
                return await self._requests.told(content.decode("utf-8", "replace"))
            case Matter.INSTRUCT:
                return await self._instructions.told(content)
            case Matter.BILL:
                return await self._serve_bill(content)
            case Matter.ARRANGE:
                return await self._serve_arrangement(content)
            case Matter.BILLING:
                return await self._billing.told(content)
            case Matter.NAME:
                return await self._inquiries.told(content)

    async def _each(self, batch: bytes, take: _Take) -> bytes:
        try:
            items = split_items(batch)
        except ValueError:
            return b""

        async def taken(item: bytes) -> int:
            try:
                return await take(item)
            except (GroundError, MerchantStoreError) as error:
                log.debug("what another super-agent brings is not taken: %s", error)
                return 0

        return bytes(await asyncio.gather(*map(taken, items)))

    async def _take_note(self, peer: int, item: bytes) -> int:
        kind, content = item[:1], item[1:]
        text = content.decode("utf-8", "replace")
        match kind:
            case b"D":
                return int(await self._requests.take_decline(content))
            case b"P":
                return await self._requests.has_pending(content)
            case b"N":
                return self._requests.knows(text)
            case b"T":
                await self._teller.take_told(peer, text)
                return 1
            case b"Q":
                return self._teller.who_tells(text)
            case b"S":
                return await self._standing.take_copy(content)
            case b"I":
                return await self._billing.take(peer, content)
            case b"B":
                return await self._take_bill(peer, content)
            case _:
                return 0

    async def _serve_bill(self, content: bytes) -> bytes:
        try:
            said = await self._announced(content)
        except MerchantsError as error:
            return msgspec.msgpack.encode(Verdict(accepted=False, sentence=error.sentence))
        merchant = self._book.of_account(said.payee)
        if merchant is None or self._ground.index not in ring(
            self._ground.genesis.committee, merchant
        ):
            return b""
        return msgspec.msgpack.encode(await self._judge_bill(content, said, merchant))

    async def _serve_arrangement(self, content: bytes) -> bytes:
        try:
            wanted = read_row(content, _Arrangement, TOLD_BYTES_MAX)
        except RowError:
            return b"\0"
        merchant = self._book.find(wanted.short_code)
        if merchant is None or merchant.home != self._ground.index:
            return b"\0"
        try:
            return b"\1" + await self._arrange_here(merchant, wanted)
        except MerchantsError:
            return b"\0"

    def _carry(self, matter: Matter, patience_s: float) -> Carry:
        async def carry(peer: int, batch: bytes) -> bytes:
            try:
                return await self._ground.ask(peer, matter, batch, patience_s)
            except GroundError as error:
                raise PostError(str(error)) from error

        return carry

    async def _whole(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it to its end, although whoever asked may be gone before; MerchantsError."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget_task)
        with _in_words():
            return await asyncio.shield(task)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _forget_task(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits for it hears of it


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """Raise as a MerchantsError what may keep a super-agent from answering now."""
    try:
        yield
    except GroundError as error:
        raise MerchantsError(Reason.UNAVAILABLE, str(error)) from error
    except MerchantStoreError as error:
        log.debug("a merchant is told to come back later: %s", error)
        sentence = "This super-agent cannot read or write what it keeps of merchants now."
        raise MerchantsError(Reason.UNAVAILABLE, sentence) from error


def _forget_some(before_ms: int, changes: Changes) -> int:
    return changes.forget(before_ms)


def _bounded(verdict: Verdict) -> Verdict:
    """Return what a biller says, as much of it as anybody shows or keeps."""
    return replace(
        verdict,
        code=verdict.code[:CODE_MAX],
        sentence=verdict.sentence[:SENTENCE_MAX],
        third_party_id=verdict.third_party_id[:CODE_MAX],
    )


def _is_address(url: str) -> bool:
    return len(url) <= URL_CHARACTERS_MAX and url.isascii()


def _reference_of(merchant: Merchant, account: str) -> bytes:
    """Return the reference that an order will have by which somebody pays what she announced."""
    if merchant.trade is Trade.PAYBILL and account.strip():
        return bill_reference(merchant.account, account)
    return NO_REFERENCE


def _bill_key(payee: int, reference: bytes) -> bytes:
    """Return where an announcement lies: an order at a till has no reference of its own."""
    return hashlib.sha256(payee.to_bytes(4, "little") + reference).digest()
