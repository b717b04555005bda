"""Requests for payments: taken from a merchant, known to w super-agents, answered by the customer.

Who takes a request signs it, and answers the merchant once w super-agents have it on disk, itself among
them: first those who record what happens to the merchant (its ring), then those to whom the customer's
handset is led (the holders of her profile, or who stands in for one that is down), then whoever else can
be reached. So the death of any f of them loses no request: where the taker dies, or somebody who should
show it, each of the others brings it to those who should now. What ends it is the ledger (an order that
pays it), the customer's signed decline, or the time; each keeper sees that for itself.

A request that fewer than w could be told of is withdrawn: its merchant had no answer, and may ask again
under the same name. What is asked again is the same document, so no customer sees it twice.

Everything belongs to the event loop's thread. What is not durable yet counts as not kept.
"""

import asyncio
import contextlib
import heapq
import logging
import secrets
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from itertools import chain, islice, zip_longest
from typing import Any, Final, TypeVar

import msgspec

from harambee.crypto.signatures import sign
from harambee.handset.orders import OrderBody, OrderError
from harambee.handset.payment_requests import (
    AGREED,
    BUSINESS_TRANSFER,
    NAME_MAX,
    STANDING_ORDER,
    Decline,
    PaymentRequest,
    RequestError,
    is_declined_by,
    is_question_of,
    is_taken_by,
    read_decline,
    read_request,
    read_requests_question,
    request_id,
    request_prefix,
)
from harambee.handset.receipt_code import code_of
from harambee.ledger.records import key_of as account_key
from harambee.merchants.book import Book, ring
from harambee.merchants.ground import Ground, GroundError, Matter
from harambee.merchants.port import (
    LASTS_MS_MAX,
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
from harambee.merchants.rows import (
    TOLD_BYTES_MAX,
    RequestRow,
    RowError,
    read_row,
    write_row,
    write_told,
)
from harambee.merchants.store import Changes, MerchantStore, MerchantStoreError
from harambee.money.amounts import MAX_AMOUNT_CENTS
from harambee.protocol.holders import holders

WAITING_OF_PAYER_MAX: Final = 1_024
"""Requests taken by one super-agent that wait for one customer's answer: a liar makes nobody else busy."""
WAITING_OF_TAKER_MAX: Final = 32_768
"""Requests taken by one super-agent that wait: those of a minute, five hundred a second."""
SHOWN_MAX: Final = 64
"""Requests that a handset gets at once; those of all takers in turn."""
GRACE_MS: Final = 5_000
"""An order that was signed in time may become final a little later."""
CLOCK_US_MAX: Final = 300_000_000
"""How far a handset's clock may be off: five minutes."""
CLOCK_MS_MAX: Final = 300_000
"""The same of another super-agent's."""
KEEP_S: Final = 3.0
FIND_S: Final = 1.0
LOOK_S: Final = 0.5
"""Between two looks for the requests of a customer whose holders are others."""
ENDED_REMEMBERED: Final = 65_536
WAIT_MS_MAX: Final = 10_000
EARLY_MAX: Final = 4_096
"""Declines of what has not come here yet."""
PUSHED_AT_ONCE: Final = 256
ANSWER_BYTES_MAX: Final = 48 << 10
"""Of requests that one super-agent tells another at once."""

log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class Kept:
    """A request that is kept here."""

    id: bytes
    request: PaymentRequest
    row: RequestRow
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One ending at a time."""
    is_spread: bool = False
    """W super-agents have it, for all that is known here."""
    at: set[int] = field(default_factory=set)
    """Others that are known to have it."""

    @property
    def view(self) -> RequestView:
        """As gateways see it."""
        return self.row.view(self.id, self.request)


def pays(order: OrderBody, kept: Kept) -> bool:
    """Say whether an order pays a request (docs/wire.md, section 20)."""
    request = kept.request
    if request.terms is not None:
        return False
    return (order.payer, order.payee, order.amount_cents, order.kind, order.reference) == (
        request.payer,
        request.payee,
        request.amount_cents,
        request.order_kind,
        kept.id,
    )


Ended = Callable[[Kept, Callable[[Changes], None]], Awaitable[None]]
"""Makes a request's end durable by that change, in one step with what its merchant is told of it."""


class RequestDesk:
    """The requests of one super-agent."""

    def __init__(
        self,
        ground: Ground,
        store: MerchantStore,
        book: Book,
        posts: tuple[Post, Post],
        ended: Ended,
    ) -> None:
        """`posts` bring requests, and notes."""
        self._ground = ground
        self._store = store
        self._book = book
        self._post, self._notes = posts
        self._ended = ended
        self._waiting: dict[bytes, Kept] = {}
        self._of_payer: dict[int, dict[bytes, None]] = {}
        self._of_payee: Counter[int] = Counter()
        """How many requests wait for each payee."""
        self._of_taker: Counter[int] = Counter()
        self._of_pair: Counter[tuple[int, int]] = Counter()
        """By payer and taker."""
        self._expiries: list[tuple[int, bytes]] = []
        self._remembered: OrderedDict[bytes, Kept] = OrderedDict()
        self._early_declines: OrderedDict[tuple[bytes, int], bytes] = OrderedDict()
        """By request and payer: declines, not checked, of requests that have not come here yet."""
        self._taking: dict[str, asyncio.Future[None]] = {}
        self._keeping: dict[bytes, asyncio.Task[bool]] = {}
        """What is being made durable."""
        self._news: dict[int, set[asyncio.Event]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._pushes: dict[int, asyncio.Task[None]] = {}
        self._down: frozenset[int] | None = None
        self.counts = dict.fromkeys(("taken", "paid", "declined", "expired", "agreed"), 0)

    def load(self) -> None:
        """Take up what waited when the super-agent stopped."""
        for identity, row in self._store.waiting():
            self._wait_for(Kept(identity, row.request(), row))

    async def stop(self) -> None:
        """End what is being brought to others."""
        tasks = [*self._tasks, *self._pushes.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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
        if not 1 <= len(ask.name) <= NAME_MAX or not ask.name.isprintable():
            raise MerchantsError(Reason.INVALID, f"A name has 1 to {NAME_MAX} characters.")
        if not 0 < ask.amount_cents <= MAX_AMOUNT_CENTS:
            raise MerchantsError(Reason.AMOUNT_INVALID, "The amount must be more than nothing.")
        payer = await self._ground.number(ask.payer or ask.msisdn)
        if payer is None:
            sentence = "No account is registered under the payer's number."
            raise MerchantsError(Reason.PAYER_UNKNOWN, sentence)
        if payer == merchant.account:
            raise MerchantsError(Reason.INVALID, "Nobody is asked for money by himself.")
        known = None if ask.fresh else await self._asked_before(ask, payer, merchant)
        if known is not None:
            await self._make_sure(known, ask, merchant)
            return known.view
        index = self._ground.index
        if (
            self._of_pair[payer, index] >= WAITING_OF_PAYER_MAX
            or self._of_taker[index] >= WAITING_OF_TAKER_MAX
        ):
            sentence = "Too much waits for this customer's answer already."
            raise MerchantsError(Reason.PAYER_BUSY, sentence)
        kept = self._signed(ask, payer, merchant)
        try:
            await self._spread(kept, merchant)
        except MerchantsError:
            await self._withdraw(kept)
            raise
        self.counts["taken"] += 1
        return kept.view

    async def _asked_before(self, ask: Ask, payer: int, merchant: Merchant) -> Kept | None:
        """Return what was asked for under this name, if it was this; MerchantsError if something else."""

        def is_same(kept: Kept) -> bool:
            request = kept.request
            before = (request.payee, request.payer, request.amount_cents)
            words = (request.account, request.text, request.terms, request.under, request.number)
            asked = (merchant.account, payer, ask.amount_cents)
            said = (ask.account, ask.text, ask.terms, ask.under, ask.number)
            return (before, words) == (asked, said)

        taken = MerchantsError(Reason.NAME_TAKEN, "Something else was asked for under this name.")
        known = self._named_here(ask.name)
        if known is not None and not known.row.withdrawn:
            if not is_same(known):
                raise taken
            return known
        wanted = self._wanted(payer, merchant)
        peers = [peer for peer in wanted if self._ground.is_linked(peer)]
        found = await self._find_elsewhere(ask.name, peers)
        others = [kept for kept in found if not is_same(kept)]
        if len({peer for kept in others for peer in kept.at}) >= self._ground.genesis.committee.w:
            raise taken  # fewer could be liars, and make every name theirs
        same = [kept for kept in found if is_same(kept)]
        if known is not None and is_same(known):
            same.append(known)
        left_ms = self._ground.now_ms() + GRACE_MS
        for kept in same:
            if kept.row.state in (RequestState.PAID, RequestState.AGREED):
                return kept
            if kept.request.expires_ms > left_ms and (
                kept.row.withdrawn or kept.row.state is RequestState.WAITING
            ):
                return kept
        return None

    async def _make_sure(self, known: Kept, ask: Ask, merchant: Merchant) -> None:
        """See to it that w know a request that is asked for again; MerchantsError if they cannot.

        Its taker may have died, or had no answer for its merchant; so may this super-agent.
        """
        was_withdrawn = known.row.withdrawn
        if known.is_spread or not (was_withdrawn or known.row.state is RequestState.WAITING):
            return
        if not self._waits(known):
            row = replace_row(known.row, state=RequestState.WAITING, reason=0, payment=None)
            known.row = msgspec.structs.replace(
                row,
                msisdn=ask.msisdn,
                consumer_key=ask.consumer_key,
                callback_url=ask.callback_url,
                form=ask.form,
                extra=dict(ask.extra),
                withdrawn=False,
            )
        try:
            await self._spread(known, merchant)
        except MerchantsError:
            if was_withdrawn:
                await self._withdraw(known)
            raise

    def _signed(self, ask: Ask, payer: int, merchant: Merchant) -> Kept:
        genesis, now_ms = self._ground.genesis, self._ground.now_ms()
        request = PaymentRequest(
            name=ask.name,
            super_agent=self._ground.index,
            payee=merchant.account,
            payer=payer,
            amount_cents=ask.amount_cents,
            kind=_kind_asked(ask, merchant),
            payee_name=merchant.name,
            short_code=merchant.short_code,
            account=ask.account,
            text=ask.text,
            made_ms=now_ms,
            expires_ms=now_ms + max(1, min(ask.lasts_ms, LASTS_MS_MAX)),
            nonce=secrets.token_hex(8),
            terms=ask.terms,
            under=ask.under,
            number=ask.number,
        )
        try:
            document = request.to_bytes()
        except (RequestError, UnicodeError) as error:
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
        try:
            write_told(row)
        except RowError as error:
            raise MerchantsError(Reason.INVALID, str(error)) from error
        return Kept(identity, request, row)

    async def _spread(self, kept: Kept, merchant: Merchant) -> None:
        """Return once w super-agents keep it; MerchantsError where they cannot be reached."""
        committee = self._ground.genesis.committee
        first, others = self._keepers(kept, merchant)
        under_way = {self._spawn(self._keep_here(kept))}
        under_way |= {self._spawn(self._bring(peer, kept)) for peer in first}
        have = 0
        while have < committee.w:
            missing = max(0, committee.w - have - len(under_way))
            under_way |= {self._spawn(self._bring(peer, kept)) for peer in others[:missing]}
            del others[:missing]
            if not under_way:
                break
            done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            have += sum(task.result() for task in done)
        # What is under way still goes on: the more keep it, the better.
        if have < committee.w:
            sentence = f"{have} of the {committee.w} super-agents that must know of a request can be reached."
            raise MerchantsError(Reason.UNAVAILABLE, sentence)
        kept.is_spread = True

    async def _withdraw(self, kept: Kept) -> None:
        """Take back a request that too few know of; its merchant has had no answer."""
        async with kept.lock:
            if kept.row.state is not RequestState.WAITING:
                return
            row = replace_row(kept.row, state=RequestState.EXPIRED, reason=0, payment=None)
            kept.row = msgspec.structs.replace(row, withdrawn=True)
            self._waits_no_more(kept)
            try:
                await self._store.write(self._ending(kept))
            except MerchantStoreError as error:
                # It is forgotten with the next start, or waits until its time is over.
                log.warning("a request is not withdrawn durably: %s", error)

    def _wanted(self, payer: int, merchant: Merchant) -> list[int]:
        """Who should keep a request, but for this super-agent."""
        committee = self._ground.genesis.committee
        wanted = dict.fromkeys((*ring(committee, merchant), *self._led_to(payer)))
        wanted.pop(self._ground.index, None)
        return list(wanted)

    def _led_to(self, payer: int) -> tuple[int, ...]:
        """Who shows a customer what waits for her: the holders, or the next ones for those that are down."""
        committee, index = self._ground.genesis.committee, self._ground.index
        held_by = holders(committee, payer)
        if not held_by:
            return ()
        circle = ((held_by[0] + place) % committee.n for place in range(committee.n))
        alive = (peer for peer in circle if peer == index or self._ground.is_linked(peer))
        return tuple(islice(alive, len(held_by)))

    def _keepers(self, kept: Kept, merchant: Merchant) -> tuple[list[int], list[int]]:
        """Who of those that can be reached should keep a request, and who else may."""
        wanted = self._wanted(kept.request.payer, merchant)
        others = range(self._ground.genesis.committee.n)
        linked = [p for p in others if p != self._ground.index and self._ground.is_linked(p)]
        first = [peer for peer in wanted if peer in linked]
        return first, [peer for peer in linked if peer not in wanted]

    async def _bring(self, peer: int, kept: Kept) -> bool:
        try:
            async with asyncio.timeout(KEEP_S):
                took = await self._post.bring(peer, write_row(kept.row)) == 1
        except (PostError, TimeoutError):
            return False
        if took:
            kept.at.add(peer)
        return took

    async def named(self, name: str) -> RequestView | None:
        """Return the request of a name: as it is here, or at somebody who keeps it."""
        kept = self._named_here(name)
        if kept is not None and not kept.row.withdrawn and not self._may_be_stale(kept):
            return kept.view
        peers = range(self._ground.genesis.committee.n)
        linked = [p for p in peers if p != self._ground.index and self._ground.is_linked(p)]
        found = await self._find_elsewhere(name, linked)
        if kept is not None and not kept.row.withdrawn:
            found = [one for one in found if one.id == kept.id] + [kept]
        return max(found, key=_certainty).view if found else None

    def _may_be_stale(self, kept: Kept) -> bool:
        """Whether others may know more: who keeps no record of a merchant does not see late payments."""
        merchant = self._book.of_account(kept.request.payee)
        records = merchant is not None and self._ground.index in ring(
            self._ground.genesis.committee, merchant
        )
        return kept.row.state is RequestState.EXPIRED and not records

    def _named_here(self, name: str) -> Kept | None:
        identity = self._store.named(name)
        return None if identity is None else self._find(identity)

    # -- from customers ---------------------------------------------------------------------------

    async def pending(self, signed: bytes, wait_ms: int) -> list[SignedRequest]:
        """Return what waits for a customer's answer; waits for something at most so long."""
        payer = await self._asker(signed)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + min(wait_ms, WAIT_MS_MAX) / 1_000
        news = asyncio.Event()
        self._news.setdefault(payer, set()).add(news)
        try:
            while True:
                news.clear()
                found = self._pending_here(payer)
                led_to = self._led_to(payer)
                # What others have besides is told once these have been answered.
                for row in [] if found else await self._pending_elsewhere(signed, payer, led_to):
                    found.setdefault(row.document, row)
                left_s = until_s - loop.time()
                if found or left_s <= 0:
                    return list(found.values())[:SHOWN_MAX]
                look_s = left_s if self._ground.index in led_to else min(LOOK_S, left_s)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(look_s):
                        await news.wait()
        finally:
            self._news[payer].discard(news)
            if not self._news[payer]:
                del self._news[payer]

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
        """Return by their documents what waits for her, one of each taker in turn, the oldest first."""
        now_ms = self._ground.now_ms()
        of_taker: dict[int, list[SignedRequest]] = {}
        for identity in self._of_payer.get(payer, ()):
            kept = self._waiting[identity]
            if kept.request.expires_ms > now_ms:
                row = kept.row
                shown = SignedRequest(row.document, row.super_agent, row.signature)
                of_taker.setdefault(row.super_agent, []).append(shown)
        in_turn = chain.from_iterable(zip_longest(*of_taker.values()))
        shown_at_once = islice((shown for shown in in_turn if shown is not None), SHOWN_MAX)
        return {shown.document: shown for shown in shown_at_once}

    async def has_pending(self, signed: bytes) -> int:
        """Answer another super-agent whether something waits for this customer; 1 where it does."""
        try:
            asker = read_requests_question(signed).account
            if asker not in self._of_payer or not self._pending_here(asker):
                return 0
            await self._asker(signed)
        except (RequestError, MerchantsError):
            return 0
        return 1

    async def _pending_elsewhere(
        self, signed: bytes, payer: int, led_to: tuple[int, ...]
    ) -> list[SignedRequest]:
        """Return what waits at others to whom she is led; they are asked for it only if something does."""
        peers = [p for p in led_to if p != self._ground.index and self._ground.is_linked(p)]
        answers = await asyncio.gather(*(self._pending_at(peer, signed) for peer in peers))
        genesis = self._ground.genesis
        return [
            row
            for row in chain.from_iterable(answers)
            if is_taken_by(genesis, row.document, row.super_agent, row.signature)
            and _payer_of(row.document) == payer
        ]

    async def _pending_at(self, peer: int, signed: bytes) -> list[SignedRequest]:
        if await self._note(peer, b"P" + signed, FIND_S) != 1:
            return []
        try:
            answer = await self._ground.ask(peer, Matter.PENDING, signed, FIND_S)
            items = split_items(answer)[:SHOWN_MAX]
            return [msgspec.msgpack.decode(item, type=SignedRequest) for item in items]
        except (GroundError, ValueError, msgspec.DecodeError):
            return []

    async def decline(self, signed: bytes) -> None:
        """A customer does not pay; MerchantsError where that is not hers to say, or too late."""
        try:
            said = read_decline(signed)
        except RequestError as error:
            raise MerchantsError(Reason.INVALID, str(error)) from error
        took = await self.take_decline(signed)
        merchant = None
        if (kept := self._find(said.request)) is not None:
            merchant = self._book.of_account(kept.request.payee)
        everybody: Iterable[int] = range(self._ground.genesis.committee.n)
        wanted = everybody if merchant is None else self._wanted(said.account, merchant)
        peers = [p for p in wanted if p != self._ground.index and self._ground.is_linked(p)]
        note = b"D" + signed
        told = await asyncio.gather(*(self._note(peer, note, KEEP_S) for peer in peers))
        if not took and 1 not in told:
            raise MerchantsError(Reason.NOT_FOUND, "There is no such request that waits.")

    async def _note(self, peer: int, note: bytes, patience_s: float) -> int:
        try:
            async with asyncio.timeout(patience_s):
                return await self._notes.bring(peer, note)
        except (PostError, TimeoutError):
            return 0

    async def take_decline(self, signed: bytes) -> bool:
        """Take what a customer signed, here or by way of another super-agent; whether it is so now."""
        try:
            said = read_decline(signed)
        except RequestError:
            return False
        if not await self._is_hers(said, signed):
            return False
        kept = await self._settled(said.request)
        if kept is None:
            # She may be quicker than its taker; it is looked at when the request is here.
            self._early_declines.setdefault((said.request, said.account), signed)
            if len(self._early_declines) > EARLY_MAX:
                self._early_declines.popitem(last=False)
            return False
        return said.account == kept.request.payer and await self._decline(kept, signed)

    async def _decline(self, kept: Kept, signed: bytes) -> bool:
        """End a request that its payer, as was checked, has declined; whether it ended so."""
        reason = read_decline(signed).reason
        state = _answered(kept.request, reason)
        await self._end(kept, state, reason=reason, decline=signed)
        return kept.row.state is state

    async def _is_declined(self, kept: Kept, signed: bytes) -> bool:
        """Whether the request's payer, and nobody else, signed that she does not pay it."""
        try:
            said = read_decline(signed)
        except RequestError:
            return False
        is_of_it = (said.request, said.account) == (kept.id, kept.request.payer)
        return is_of_it and await self._is_hers(said, signed)

    async def _is_hers(self, said: Decline, signed: bytes) -> bool:
        """Whether the account that a decline names has signed it."""
        try:
            record = await self._ground.account(said.account)
        except GroundError:
            return False
        network = self._ground.genesis.network
        return record is not None and is_declined_by(signed, network, account_key(record))

    # -- from other super-agents ------------------------------------------------------------------

    async def keep(self, content: bytes) -> int:
        """Keep a request that another super-agent brings; 1 where it is durable here."""
        try:
            row = read_row(content, RequestRow, TOLD_BYTES_MAX)
            request = row.request()
        except RowError:
            return 0
        identity = request_id(self._ground.genesis.network, row.document)
        known = self._find(identity)
        if known is not None and not known.row.withdrawn:
            return int(await self._keep_here(known))
        if not self._may_keep(row, request):
            return 0
        fresh = replace_row(row, state=RequestState.WAITING, reason=0, payment=None)
        fresh = msgspec.structs.replace(fresh, decline=b"", withdrawn=False)
        return int(await self._keep_here(Kept(identity, request, fresh)))

    def _may_keep(self, row: RequestRow, request: PaymentRequest) -> bool:
        """Whether a request is one that its taker may have made, and there is room for it."""
        now_ms, taker = self._ground.now_ms(), row.super_agent
        merchant = self._book.of_account(request.payee)
        if merchant is None or request.super_agent != taker:
            return False
        said = (request.short_code, request.payee_name)
        kinds = (_kind_of(merchant), BUSINESS_TRANSFER, STANDING_ORDER)
        if said != (merchant.short_code, merchant.name) or request.kind not in kinds:
            return False
        if request.terms is not None and request.terms.kind != _kind_of(merchant):
            return False
        lasts = request.expires_ms - request.made_ms <= LASTS_MS_MAX
        is_now = request.made_ms <= now_ms + CLOCK_MS_MAX and request.expires_ms + GRACE_MS > now_ms
        has_room = (
            self._of_pair[request.payer, taker] < WAITING_OF_PAYER_MAX
            and self._of_taker[taker] < WAITING_OF_TAKER_MAX
        )
        return (
            lasts
            and is_now
            and has_room
            and is_taken_by(self._ground.genesis, row.document, taker, row.signature)
        )

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

    def link_up(self, peer: int) -> None:
        """A super-agent can be reached again: it gets what it should have kept meanwhile."""
        wanted = [kept for kept in self._waiting.values() if peer in self._wanted_of(kept)]
        self._push(peer, wanted)

    def look_who_is_down(self) -> None:
        """Where somebody has died, others take its place: they get what it was to show or to bring."""
        peers = (p for p in range(self._ground.genesis.committee.n) if p != self._ground.index)
        down = frozenset(peer for peer in peers if not self._ground.is_linked(peer))
        before, self._down = self._down, down
        if before is None or not down - before:
            return
        pushed: dict[int, list[Kept]] = {}
        for kept in self._waiting.values():
            if kept.row.super_agent != self._ground.index and kept.row.super_agent not in down:
                continue  # whoever took it sees to it
            for peer in self._wanted_of(kept):
                if peer not in kept.at and peer not in down:
                    pushed.setdefault(peer, []).append(kept)
        for peer, wanted in pushed.items():
            self._push(peer, wanted)

    def _wanted_of(self, kept: Kept) -> list[int]:
        merchant = self._book.of_account(kept.request.payee)
        return [] if merchant is None else self._wanted(kept.request.payer, merchant)

    def _push(self, peer: int, wanted: list[Kept]) -> None:
        """Bring requests to a peer that should have them; a newer list is in the place of an older one."""
        if (before := self._pushes.get(peer)) is not None:
            before.cancel()
        self._pushes[peer] = asyncio.create_task(self._bring_all(peer, wanted))

    async def _bring_all(self, peer: int, wanted: list[Kept]) -> None:
        for start in range(0, len(wanted), PUSHED_AT_ONCE):
            some = [kept for kept in wanted[start : start + PUSHED_AT_ONCE] if self._waits(kept)]
            took = await asyncio.gather(*(self._bring(peer, kept) for kept in some))
            if some and not any(took):
                return

    def _waits(self, kept: Kept) -> bool:
        return kept.id in self._waiting

    # -- how they end -----------------------------------------------------------------------------

    async def take_payment(self, order: OrderBody, facts: PaymentFacts) -> Kept | None:
        """An order is final: end the request that it pays, if it is kept here; returns that."""
        if not any(order.reference):
            return None
        kept = await self._settled(order.reference)
        if kept is None or not pays(order, kept):
            return None
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
        ends = (self._end(kept, RequestState.EXPIRED) for kept in due)
        failures = [
            (error, kept)
            for error, kept in zip(
                await asyncio.gather(*ends, return_exceptions=True), due, strict=True
            )
            if error is not None
        ]
        for _, kept in failures:
            heapq.heappush(self._expiries, (kept.request.expires_ms, kept.id))
        if failures:
            raise failures[0][0]
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
        decline: bytes = b"",
    ) -> None:
        """End a request, unless it has ended already; a payment ends it whatever was before."""
        async with kept.lock:
            was = kept.row.state
            if was is RequestState.PAID or (
                was is not RequestState.WAITING and state is not RequestState.PAID
            ):
                return
            row = replace_row(kept.row, state=state, reason=reason, payment=payment)
            row = msgspec.structs.replace(row, decline=decline, withdrawn=False)
            ended = Kept(kept.id, kept.request, row)
            await self._ended(ended, self._ending(ended))
            kept.row = row
            self._waits_no_more(kept)
            self.counts[state.value] += 1
            self._remember(kept)

    def _ending(self, kept: Kept) -> Callable[[Changes], None]:
        now_ms = self._ground.now_ms()

        def change(changes: Changes) -> None:
            changes.put_request(kept.id, kept.request.name, kept.row, past_ms=now_ms)

        return change

    # -- what is kept -----------------------------------------------------------------------------

    async def _keep_here(self, kept: Kept) -> bool:
        """Return once a request is durable here; whether it is."""
        if kept.id in self._waiting:
            return True
        task = self._keeping.get(kept.id)
        if task is None:
            if kept.row.state is not RequestState.WAITING:
                return True  # it has ended, durably
            # It takes its room at once: what comes together with it is bounded, too.
            self._count_taker(kept, 1)
            task = self._keeping[kept.id] = self._spawn(self._make_durable(kept))
            task.add_done_callback(lambda _: self._is_kept(kept))
        return await asyncio.shield(task)

    async def _make_durable(self, kept: Kept) -> bool:
        row = kept.row

        def change(changes: Changes) -> None:
            changes.put_request(kept.id, kept.request.name, row, past_ms=None)

        try:
            await self._store.write(change)
        except MerchantStoreError as error:
            log.debug("a request cannot be kept: %s", error)
            return False
        self._wait_for(kept)
        # It may come later than the payment: from somebody who was cut off, or by a slow link.
        paid = self._store.payment_of_reference(kept.id)
        if paid is not None and (facts := paid.payment) is not None:
            order = OrderBody.from_bytes(facts.order)
            if pays(order, kept):
                known = replace(facts, account=kept.request.account, msisdn=kept.row.msisdn)
                await self._end(kept, RequestState.PAID, payment=known)
        decline = self._early_declines.pop((kept.id, kept.request.payer), None)
        if decline is not None and await self._is_declined(kept, decline):
            await self._decline(kept, decline)
        return True

    def _is_kept(self, kept: Kept) -> None:
        del self._keeping[kept.id]
        self._count_taker(kept, -1)

    def _wait_for(self, kept: Kept) -> None:
        self._remember(kept)
        if kept.id in self._waiting:
            return
        request = kept.request
        self._waiting[kept.id] = kept
        self._of_payer.setdefault(request.payer, {})[kept.id] = None
        self._count(kept, 1)
        heapq.heappush(self._expiries, (request.expires_ms, kept.id))
        for news in self._news.get(request.payer, ()):
            news.set()

    def _waits_no_more(self, kept: Kept) -> None:
        if self._waiting.pop(kept.id, None) is None:
            return
        of_payer = self._of_payer[kept.request.payer]
        del of_payer[kept.id]
        if not of_payer:
            del self._of_payer[kept.request.payer]
        self._count(kept, -1)

    def _count(self, kept: Kept, by: int) -> None:
        self._count_taker(kept, by)
        _add_to(self._of_payee, kept.request.payee, by)

    def _count_taker(self, kept: Kept, by: int) -> None:
        taker = kept.row.super_agent
        _add_to(self._of_taker, taker, by)
        _add_to(self._of_pair, (kept.request.payer, taker), by)

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

    async def _settled(self, identity: bytes) -> Kept | None:
        """Return a request once it waits, if it is just being made durable.

        Before that the store may have it already, and would give it as one that nobody waits for.
        """
        if (keeping := self._keeping.get(identity)) is not None:
            await asyncio.wait([keeping])
        return self._find(identity)

    def knows(self, name: str) -> int:
        """Answer another super-agent whether a request of this name is kept here; 1 where one is."""
        return int(self._store.named(name) is not None)

    async def _find_elsewhere(self, name: str, peers: list[int]) -> list[Kept]:
        """Return what others keep under a name, each with who says so; one state for each document.

        Of what they say, what the ledger, a signature or the clock shows is believed.
        """
        said = await asyncio.gather(*(self._found_at(peer, name) for peer in peers))
        found: dict[bytes, Kept] = {}
        for peer, kept in zip(peers, said, strict=True):
            if kept is None:
                continue
            known = found.setdefault(kept.id, kept)
            if _certainty(kept) > _certainty(known):
                kept.at |= known.at
                known = found[kept.id] = kept
            known.at.add(peer)
        return list(found.values())

    async def _found_at(self, peer: int, name: str) -> Kept | None:
        if await self._note(peer, b"N" + name.encode(errors="replace"), FIND_S) != 1:
            return None
        try:
            content = await self._ground.ask(
                peer, Matter.FIND, name.encode(errors="replace"), FIND_S
            )
            kept = self._told_by_another(name, content) if content else None
        except (GroundError, RowError):
            return None
        return None if kept is None else await self._believed(kept)

    def _told_by_another(self, name: str, content: bytes) -> Kept | None:
        row = read_row(content, RequestRow, TOLD_BYTES_MAX)
        request, genesis = row.request(), self._ground.genesis
        if request.name != name or request.super_agent != row.super_agent:
            return None
        if not is_taken_by(genesis, row.document, row.super_agent, row.signature):
            return None
        return Kept(request_id(genesis.network, row.document), request, row)

    async def _believed(self, kept: Kept) -> Kept:
        """Return a request as it stands for all that can be checked."""
        row, now_ms = kept.row, self._ground.now_ms()
        state, reason, payment = RequestState.WAITING, 0, None
        if row.payment is not None and await self._is_paid_by(kept, row.payment):
            state, payment = RequestState.PAID, self._facts_of(kept, row.payment)
        elif row.decline and await self._is_declined(kept, row.decline):
            reason = read_decline(row.decline).reason
            state = _answered(kept.request, reason)
        elif kept.request.expires_ms + GRACE_MS <= now_ms:
            state = RequestState.EXPIRED
        checked = replace_row(row, state=state, reason=reason, payment=payment)
        withdrawn = row.withdrawn and state is not RequestState.PAID
        kept.row = msgspec.structs.replace(checked, withdrawn=withdrawn)
        return kept

    def _facts_of(self, kept: Kept, told: PaymentFacts) -> PaymentFacts:
        """Return what the order itself says of a payment, and the time from whoever told of it."""
        return PaymentFacts(
            receipt_code=code_of(told.order, self._ground.genesis.regions),
            order=told.order,
            short_code=kept.request.short_code,
            payer=kept.request.payer,
            amount_cents=kept.request.amount_cents,
            time_ms=told.time_ms,
            account=kept.request.account,
            msisdn=kept.row.msisdn,
        )

    async def _is_paid_by(self, kept: Kept, payment: PaymentFacts) -> bool:
        try:
            order = OrderBody.from_bytes(payment.order)
            _, final = await self._ground.final(order.payer, order.sequence, 0)
        except (GroundError, OrderError):
            return False
        return final == payment.order and pays(order, kept)

    def _spawn(self, work: Coroutine[Any, Any, bool]) -> asyncio.Task[bool]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


K = TypeVar("K")


def _add_to(counter: Counter[K], key: K, by: int) -> None:
    counter[key] += by
    if not counter[key]:
        del counter[key]


_CERTAINTY: Final = (
    RequestState.WAITING,
    RequestState.EXPIRED,
    RequestState.DECLINED,
    RequestState.AGREED,
    RequestState.PAID,
)


def _certainty(kept: Kept) -> int:
    """Return how much is known of a request: what has happened cannot be said of one by mistake."""
    return -1 if kept.row.withdrawn else _CERTAINTY.index(kept.row.state)


def _kind_of(merchant: Merchant) -> str:
    return "pay_bill" if merchant.trade is Trade.PAYBILL else "buy_goods"


def _answered(request: PaymentRequest, reason: int) -> RequestState:
    """Return what a customer's decline of a request makes of it: AGREED is one to standing orders alone."""
    is_agreed = reason == AGREED and request.terms is not None
    return RequestState.AGREED if is_agreed else RequestState.DECLINED


def _kind_asked(ask: Ask, merchant: Merchant) -> str:
    if ask.terms is not None:
        return STANDING_ORDER
    return BUSINESS_TRANSFER if ask.payer else _kind_of(merchant)


def _payer_of(document: bytes) -> int | None:
    try:
        return read_request(document).payer
    except RequestError:
        return None


def replace_row(
    row: RequestRow, *, state: RequestState, reason: int, payment: PaymentFacts | None
) -> RequestRow:
    """Return a row that says otherwise how it stands."""
    return msgspec.structs.replace(row, state=state, reason=reason, payment=payment)
