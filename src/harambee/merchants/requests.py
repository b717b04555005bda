"""Requests for payments: taken from a merchant, known to w super-agents, answered by the customer.

Who takes a request signs it, and answers the merchant once w super-agents have it on disk, itself among
them: first those who record what happens to the merchant (its ring), then those to whom the customer's
handset is led (the holders of her profile), then whoever else can be reached. So the death of any f of
them loses no request. What ends it is the ledger (an order that pays it), the customer's signed decline,
or the time; each keeper sees that for itself.

Everything belongs to the event loop's thread. Memory is what counts; the store makes it last.
"""

import asyncio
import heapq
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from harambee.crypto.signatures import sign
from harambee.handset.orders import OrderBody, OrderError
from harambee.handset.payment_requests import (
    PaymentRequest,
    RequestError,
    is_declined_by,
    is_question_of,
    is_taken_by,
    read_decline,
    read_requests_question,
    request_id,
    request_prefix,
)
from harambee.ledger.records import key_of as account_key
from harambee.merchants.book import Book, ring
from harambee.merchants.ground import Ground, GroundError, Matter
from harambee.merchants.port import (
    Ask,
    Merchant,
    MerchantsError,
    PaymentFacts,
    Reason,
    RequestState,
    RequestView,
    SignedRequest,
    Trade,
)
from harambee.merchants.post import Post, PostError, join_items, split_items
from harambee.merchants.rows import RequestRow, RowError, read_row, write_row
from harambee.merchants.store import Changes, MerchantStore
from harambee.money.amounts import MAX_AMOUNT_CENTS
from harambee.protocol.holders import holders

WAITING_OF_PAYER_MAX: Final = 1_024
"""Requests that wait for one customer's answer."""
LASTS_MS_MAX: Final = 600_000
GRACE_MS: Final = 5_000
"""An order that was signed in time may become final a little later."""
CLOCK_US_MAX: Final = 300_000_000
"""How far a handset's clock may be off: five minutes."""
KEEP_S: Final = 3.0
FIND_S: Final = 1.0
LOOK_S: Final = 0.5
"""Between two looks for the requests of a customer whose holders are others."""
ENDED_REMEMBERED: Final = 65_536
WAIT_MS_MAX: Final = 10_000
ANSWER_BYTES_MAX: Final = 48 << 10
"""Of requests that one super-agent tells another at once."""

log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class Kept:
    """A request that is kept here."""

    id: bytes
    request: PaymentRequest
    row: RequestRow

    @property
    def view(self) -> RequestView:
        """As gateways see it."""
        return self.row.view(self.id, self.request)


def pays(order: OrderBody, kept: Kept) -> bool:
    """Say whether an order pays a request (docs/wire.md, section 20)."""
    request = kept.request
    return (order.payer, order.payee, order.amount_cents, order.kind, order.reference) == (
        request.payer,
        request.payee,
        request.amount_cents,
        request.order_kind,
        kept.id,
    )


Ended = Callable[[Kept], Awaitable[None]]
"""Told of every request that ends here, once it is durable that it has ended."""


class RequestDesk:
    """The requests of one super-agent."""

    def __init__(
        self, ground: Ground, store: MerchantStore, book: Book, post: Post, ended: Ended
    ) -> None:
        self._ground = ground
        self._store = store
        self._book = book
        self._post = post
        self._ended = ended
        self._waiting: dict[bytes, Kept] = {}
        self._of_payer: dict[int, dict[bytes, None]] = {}
        self._of_payee: dict[int, int] = {}
        """How many requests wait for each payee."""
        self._expiries: list[tuple[int, bytes]] = []
        self._remembered: OrderedDict[bytes, Kept] = OrderedDict()
        self._taking: dict[str, asyncio.Future[None]] = {}
        self._news: dict[int, asyncio.Event] = {}
        self._spreading: set[asyncio.Task[bool]] = set()
        self.counts = dict.fromkeys(("taken", "paid", "declined", "expired"), 0)

    def load(self) -> None:
        """Take up what waited when the super-agent stopped."""
        for identity, row in self._store.waiting():
            self._wait_for(Kept(identity, row.request(), row))

    @property
    def waiting(self) -> int:
        """How many requests wait here."""
        return len(self._waiting)

    def payees(self) -> Iterable[int]:
        """The accounts for which a request waits here."""
        return self._of_payee.keys()

    # -- from merchants ---------------------------------------------------------------------------

    async def ask(self, ask: Ask) -> RequestView:
        """Take a request; MerchantsError."""
        while (under_way := self._taking.get(ask.name)) is not None:
            await asyncio.wait([under_way])
        taking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._taking[ask.name] = taking
        try:
            return await self._ask(ask)
        finally:
            del self._taking[ask.name]
            taking.set_result(None)

    async def _ask(self, ask: Ask) -> RequestView:
        merchant = self._book.find(ask.short_code)
        if merchant is None:
            raise MerchantsError(
                Reason.MERCHANT_UNKNOWN, "There is no merchant of this short code."
            )
        if not 0 < ask.amount_cents <= MAX_AMOUNT_CENTS:
            raise MerchantsError(Reason.AMOUNT_INVALID, "The amount must be more than nothing.")
        try:
            payer = await self._ground.number(ask.msisdn)
        except GroundError as error:
            raise MerchantsError(Reason.UNAVAILABLE, str(error)) from error
        if payer is None:
            sentence = "No account is registered under the customer's number."
            raise MerchantsError(Reason.PAYER_UNKNOWN, sentence)
        known = None if ask.fresh else await self.named(ask.name)
        if known is not None:
            return _same(known, ask, payer, merchant)
        if len(self._of_payer.get(payer, ())) >= WAITING_OF_PAYER_MAX:
            sentence = "Too much waits for this customer's answer already."
            raise MerchantsError(Reason.PAYER_BUSY, sentence)
        kept = self._signed(ask, payer, merchant)
        await self._spread(kept, merchant)
        self.counts["taken"] += 1
        return kept.view

    def _signed(self, ask: Ask, payer: int, merchant: Merchant) -> Kept:
        genesis, now_ms = self._ground.genesis, self._ground.now_ms()
        request = PaymentRequest(
            name=ask.name,
            super_agent=self._ground.index,
            payee=merchant.account,
            payer=payer,
            amount_cents=ask.amount_cents,
            kind="pay_bill" if merchant.trade is Trade.PAYBILL else "buy_goods",
            payee_name=merchant.name,
            short_code=merchant.short_code,
            account=ask.account,
            text=ask.text,
            made_ms=now_ms,
            expires_ms=now_ms + max(1, min(ask.lasts_ms, LASTS_MS_MAX)),
            nonce=secrets.token_hex(8),
        )
        try:
            document = request.to_bytes()
        except RequestError as error:
            raise MerchantsError(Reason.INVALID, str(error)) from error
        identity = request_id(genesis.network, document)
        prefix = request_prefix(genesis.network, genesis.committee.epoch)
        row = RequestRow(
            document=document,
            super_agent=self._ground.index,
            signature=sign(self._ground.signing, prefix + identity),
            msisdn=ask.msisdn,
            consumer_key=ask.consumer_key,
            callback_url=ask.callback_url,
            form=ask.form,
            extra=dict(ask.extra),
        )
        return Kept(identity, request, row)

    async def _spread(self, kept: Kept, merchant: Merchant) -> None:
        """Return once w super-agents keep it; MerchantsError where they cannot be reached."""
        committee = self._ground.genesis.committee
        first, others = self._keepers(kept, merchant)
        item = write_row(kept.row)
        own = asyncio.create_task(self._keep_here(kept))
        asked = [asyncio.create_task(self._bring(peer, item)) for peer in first]
        have = int(await own)
        waiting: set[asyncio.Task[bool]] = set(asked)
        while have < committee.w:
            missing = committee.w - have - len(waiting)
            for peer in others[: max(0, missing)]:
                waiting.add(asyncio.create_task(self._bring(peer, item)))
            del others[: max(0, missing)]
            if not waiting:
                break
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            have += sum(task.result() for task in done)
        # What is under way still goes on: the more keep it, the better.
        self._spreading.update(waiting)
        for task in waiting:
            task.add_done_callback(self._spreading.discard)
        if have < committee.w:
            await self._end(kept, RequestState.EXPIRED, told=False)
            sentence = f"{have} of the {committee.w} super-agents that must know of a request can be reached."
            raise MerchantsError(Reason.UNAVAILABLE, sentence)

    def _keepers(self, kept: Kept, merchant: Merchant) -> tuple[list[int], list[int]]:
        """Who should keep a request, and who else may, but for this super-agent."""
        committee = self._ground.genesis.committee
        wanted = (*ring(committee, merchant), *holders(committee, kept.request.payer))
        order = dict.fromkeys((*wanted, *range(committee.n)))
        del order[self._ground.index]
        linked = [peer for peer in order if self._ground.is_linked(peer)]
        first = [peer for peer in linked if peer in wanted]
        return first, [peer for peer in linked if peer not in wanted]

    async def _bring(self, peer: int, item: bytes) -> bool:
        try:
            async with asyncio.timeout(KEEP_S):
                return await self._post.bring(peer, item) == 1
        except (PostError, TimeoutError):
            return False

    async def named(self, name: str) -> RequestView | None:
        """Return the request of a name: as it is here, or at somebody who keeps it."""
        identity = self._store.named(name)
        if identity is not None and (kept := self._find(identity)) is not None:
            return kept.view
        kept = await self._find_elsewhere(name)
        return None if kept is None else kept.view

    # -- from customers ---------------------------------------------------------------------------

    async def pending(self, signed: bytes, wait_ms: int) -> list[SignedRequest]:
        """Return what waits for a customer's answer; waits for something at most so long."""
        payer = await self._asker(signed)
        until = self._ground.now_ms() + min(wait_ms, WAIT_MS_MAX)
        held_by = holders(self._ground.genesis.committee, payer)
        news = self._news.setdefault(payer, asyncio.Event())
        try:
            while True:
                news.clear()
                found = self._pending_here(payer)
                # What others have besides is told once these have been answered.
                for row in [] if found else await self._pending_elsewhere(signed, held_by):
                    found.setdefault(row.document, row)
                left_ms = until - self._ground.now_ms()
                if found or left_ms <= 0:
                    return list(found.values())
                look_s = left_ms / 1_000 if self._ground.index in held_by else LOOK_S
                try:
                    async with asyncio.timeout(min(look_s, left_ms / 1_000)):
                        await news.wait()
                except TimeoutError:
                    continue
        finally:
            if self._news.get(payer) is news and not self._of_payer.get(payer):
                self._news.pop(payer, None)

    async def _asker(self, signed: bytes) -> int:
        """Return who signed a question for requests; MerchantsError if nobody did, or not now."""
        wrong = MerchantsError(
            Reason.SIGNATURE_INVALID, "The question is not signed by this account."
        )
        try:
            question = read_requests_question(signed)
            record = await self._ground.account(question.account)
        except RequestError as error:
            raise MerchantsError(Reason.INVALID, str(error)) from error
        except GroundError as error:
            raise MerchantsError(Reason.UNAVAILABLE, str(error)) from error
        if record is None or not is_question_of(
            signed, self._ground.genesis.network, account_key(record)
        ):
            raise wrong
        if abs(question.time_us - self._ground.now_ms() * 1_000) > CLOCK_US_MAX:
            raise MerchantsError(Reason.SIGNATURE_INVALID, "The clock of this handset is wrong.")
        return question.account

    def _pending_here(self, payer: int) -> dict[bytes, SignedRequest]:
        now_ms = self._ground.now_ms()
        rows = [self._waiting[identity] for identity in self._of_payer.get(payer, ())]
        return {
            kept.row.document: SignedRequest(
                kept.row.document, kept.row.super_agent, kept.row.signature
            )
            for kept in rows
            if kept.request.expires_ms > now_ms
        }

    async def _pending_elsewhere(
        self, signed: bytes, held_by: tuple[int, ...]
    ) -> list[SignedRequest]:
        peers = [p for p in held_by if p != self._ground.index and self._ground.is_linked(p)]
        answers = await asyncio.gather(
            *(self._ground.ask(peer, Matter.PENDING, signed, FIND_S) for peer in peers),
            return_exceptions=True,
        )
        found: list[SignedRequest] = []
        for answer in answers:
            if isinstance(answer, GroundError):
                continue
            if isinstance(answer, BaseException):
                raise answer
            try:
                items = split_items(answer)
                found += [msgspec.msgpack.decode(item, type=SignedRequest) for item in items]
            except (ValueError, msgspec.DecodeError):
                continue
        genesis = self._ground.genesis
        return [
            row
            for row in found
            if is_taken_by(genesis, row.document, row.super_agent, row.signature)
        ]

    async def decline(self, signed: bytes) -> None:
        """A customer does not pay; MerchantsError where that is not hers to say, or too late."""
        try:
            said = read_decline(signed)
        except RequestError as error:
            raise MerchantsError(Reason.INVALID, str(error)) from error
        took = await self.take_decline(signed)
        committee = self._ground.genesis.committee
        merchant = None
        if (kept := self._find(said.request)) is not None:
            merchant = self._book.of_account(kept.request.payee)
        wanted = (
            range(committee.n)
            if merchant is None
            else {*ring(committee, merchant), *holders(committee, said.account)}
        )
        peers = [p for p in wanted if p != self._ground.index and self._ground.is_linked(p)]
        note = b"D" + signed
        told = await asyncio.gather(*(self._note(peer, note) for peer in peers))
        if not took and not any(told):
            raise MerchantsError(Reason.NOT_FOUND, "There is no such request that waits.")

    async def _note(self, peer: int, note: bytes) -> bool:
        try:
            answer = await self._ground.ask(peer, Matter.NOTES, join_items([note]), KEEP_S)
        except GroundError:
            return False
        return answer == b"\1"

    async def take_decline(self, signed: bytes) -> bool:
        """Take what a customer signed, here or by way of another super-agent; whether it is so now."""
        try:
            said = read_decline(signed)
            record = await self._ground.account(said.account)
        except (RequestError, GroundError):
            return False
        network = self._ground.genesis.network
        if record is None or not is_declined_by(signed, network, account_key(record)):
            return False
        kept = self._find(said.request)
        if kept is None or kept.request.payer != said.account:
            return False
        if kept.row.state is RequestState.WAITING:
            await self._end(kept, RequestState.DECLINED, reason=said.reason)
        return kept.row.state is RequestState.DECLINED

    # -- from other super-agents ------------------------------------------------------------------

    async def keep(self, content: bytes) -> int:
        """Keep a request that another super-agent brings; 1 where it is durable here."""
        try:
            row = read_row(content, RequestRow)
            request = row.request()
        except RowError:
            return 0
        genesis = self._ground.genesis
        identity = request_id(genesis.network, row.document)
        merchant = self._book.of_account(request.payee)
        if merchant is None or request.super_agent != row.super_agent:
            return 0
        if not is_taken_by(genesis, row.document, row.super_agent, row.signature):
            return 0
        if self._find(identity) is not None:
            return 1
        if len(self._of_payer.get(request.payer, ())) >= WAITING_OF_PAYER_MAX:
            return 0
        fresh = replace_row(row, state=RequestState.WAITING, reason=0, payment=None)
        return int(await self._keep_here(Kept(identity, request, fresh)))

    async def told_pending(self, signed: bytes) -> bytes:
        """Answer another super-agent's question for what waits for a customer."""
        try:
            payer = await self._asker(signed)
        except MerchantsError:
            return b""
        items: list[bytes] = []
        size = 0
        for row in self._pending_here(payer).values():
            item = msgspec.msgpack.encode(row)
            size += len(item) + 4
            if size > ANSWER_BYTES_MAX:
                break
            items.append(item)
        return join_items(items)

    async def told(self, name: str) -> bytes:
        """Answer another super-agent's question for the request of a name."""
        identity = self._store.named(name)
        kept = None if identity is None else self._find(identity)
        return b"" if kept is None else write_row(kept.row)

    def undelivered_to(self, peer: int) -> list[bytes]:
        """Return the requests that wait here and that this super-agent should keep too."""
        committee = self._ground.genesis.committee
        items: list[bytes] = []
        for kept in self._waiting.values():
            merchant = self._book.of_account(kept.request.payee)
            wanted = holders(committee, kept.request.payer)
            if peer in wanted or (merchant is not None and peer in ring(committee, merchant)):
                items.append(write_row(kept.row))
        return items

    async def link_up(self, peer: int) -> None:
        """A super-agent can be reached again: it gets what it should have kept meanwhile."""
        await asyncio.gather(*(self._bring(peer, item) for item in self.undelivered_to(peer)))

    # -- how they end -----------------------------------------------------------------------------

    async def take_payment(self, order: OrderBody, facts: PaymentFacts) -> Kept | None:
        """An order is final: end the request that it pays, if it is kept here; returns that."""
        kept = self._find(order.reference)
        if kept is None or not pays(order, kept):
            return None
        if kept.row.state is not RequestState.PAID:
            known = replace(facts, account=kept.request.account, msisdn=kept.row.msisdn)
            await self._end(kept, RequestState.PAID, payment=known)
        return kept

    async def expire(self) -> float:
        """End whatever nobody answered in time; returns for how many seconds nothing will expire."""
        now_ms = self._ground.now_ms()
        due: list[Kept] = []
        while self._expiries and self._expiries[0][0] + GRACE_MS <= now_ms:
            _, identity = heapq.heappop(self._expiries)
            if (kept := self._waiting.get(identity)) is not None:
                due.append(kept)
        await asyncio.gather(*(self._end(kept, RequestState.EXPIRED) for kept in due))
        if not self._expiries:
            return 1.0
        return min(1.0, max(0.01, (self._expiries[0][0] + GRACE_MS - now_ms) / 1_000))

    async def _end(
        self,
        kept: Kept,
        state: RequestState,
        *,
        reason: int = 0,
        payment: PaymentFacts | None = None,
        told: bool = True,
    ) -> None:
        kept.row = replace_row(kept.row, state=state, reason=reason, payment=payment)
        if self._waiting.pop(kept.id, None) is not None:
            of_payer = self._of_payer[kept.request.payer]
            del of_payer[kept.id]
            if not of_payer:
                del self._of_payer[kept.request.payer]
            self._of_payee[kept.request.payee] -= 1
            if not self._of_payee[kept.request.payee]:
                del self._of_payee[kept.request.payee]
        self.counts[state.value] += 1
        self._remember(kept)

        def change(changes: Changes) -> None:
            changes.put_request(kept.id, kept.request.name, kept.row, waits=False)

        await self._store.write(change)
        if told:
            await self._ended(kept)

    # -- what is kept -----------------------------------------------------------------------------

    async def _keep_here(self, kept: Kept) -> bool:
        def change(changes: Changes) -> None:
            changes.put_request(kept.id, kept.request.name, kept.row, waits=True)

        self._remember(kept)
        await self._store.write(change)
        if kept.row.state is RequestState.WAITING:
            self._wait_for(kept)
        return True

    def _wait_for(self, kept: Kept) -> None:
        self._remember(kept)
        if kept.id in self._waiting:
            return
        request = kept.request
        self._waiting[kept.id] = kept
        self._of_payer.setdefault(request.payer, {})[kept.id] = None
        self._of_payee[request.payee] = self._of_payee.get(request.payee, 0) + 1
        heapq.heappush(self._expiries, (request.expires_ms, kept.id))
        if (news := self._news.get(request.payer)) is not None:
            news.set()

    def _remember(self, kept: Kept) -> None:
        self._remembered[kept.id] = kept
        self._remembered.move_to_end(kept.id)
        while len(self._remembered) > ENDED_REMEMBERED + len(self._waiting):
            oldest = next(iter(self._remembered))
            if oldest in self._waiting:
                self._remembered.move_to_end(oldest)
            else:
                del self._remembered[oldest]

    def _find(self, identity: bytes) -> Kept | None:
        found = self._waiting.get(identity) or self._remembered.get(identity)
        if found is None and (row := self._store.request(identity)) is not None:
            found = Kept(identity, row.request(), row)
            self._remember(found)
        return found

    async def _find_elsewhere(self, name: str) -> Kept | None:
        """Ask who can be reached for a request; of what it says, what the ledger has is believed."""
        committee, index = self._ground.genesis.committee, self._ground.index
        peers = [p for p in range(committee.n) if p != index and self._ground.is_linked(p)]
        asked = [
            asyncio.create_task(self._ground.ask(peer, Matter.FIND, name.encode(), FIND_S))
            for peer in peers
        ]
        try:
            for answer in asyncio.as_completed(asked):
                try:
                    content = await answer
                    kept = None if not content else self._told_by_another(name, content)
                except (GroundError, RowError):
                    continue
                if kept is not None:
                    return await self._believed(kept)
        finally:
            for task in asked:
                task.cancel()
        return None

    def _told_by_another(self, name: str, content: bytes) -> Kept | None:
        row = read_row(content, RequestRow)
        request, genesis = row.request(), self._ground.genesis
        if request.name != name or request.super_agent != row.super_agent:
            return None
        if not is_taken_by(genesis, row.document, row.super_agent, row.signature):
            return None
        return Kept(request_id(genesis.network, row.document), request, row)

    async def _believed(self, kept: Kept) -> Kept:
        """Return it as waiting where another says that it is paid and the ledger does not."""
        payment = kept.row.payment
        if kept.row.state is RequestState.PAID and payment is not None:
            try:
                order = OrderBody.from_bytes(payment.order)
                _, final = await self._ground.final(order.payer, order.sequence, 0)
            except (GroundError, OrderError):
                final = None
            if final == payment.order and pays(order, kept):
                return kept
        if kept.row.state is RequestState.PAID:
            kept.row = replace_row(kept.row, state=RequestState.WAITING, reason=0, payment=None)
        return kept


def replace_row(
    row: RequestRow, *, state: RequestState, reason: int, payment: PaymentFacts | None
) -> RequestRow:
    """Return a row that says otherwise how it stands."""
    return msgspec.structs.replace(row, state=state, reason=reason, payment=payment)


def _same(known: RequestView, ask: Ask, payer: int, merchant: Merchant) -> RequestView:
    """Return what was asked for under this name before, if it was this; MerchantsError."""
    before = (known.payee, known.payer, known.amount_cents, known.account, known.text)
    if before != (merchant.account, payer, ask.amount_cents, ask.account, ask.text):
        sentence = "Something else was asked for under this name."
        raise MerchantsError(Reason.NAME_TAKEN, sentence)
    return known
