"""What merchants are told: events, and callbacks that arrive at least once.

Three super-agents record what happens to a merchant, its ring: each sees it for itself, in the ledger or
signed by the customer, and gives it the same id. The first of them that is alive delivers, the others
hear from it what was delivered, and take over when it has been down for some seconds; one that is in
doubt asks it. Who comes late to an event, because it was away, asks the others first whether it was
told. So an event reaches its address also when the super-agent dies that was about to send it, and
normally once; it may come twice, always with the same id, where one dies between sending and saying so.

Events reach a merchant's webhook in their order, one after the other. Callbacks to addresses that were
named for one thing stand each for itself, as in the software that they are made for. A merchant whose
software hangs has a bounded share of what is under way, and of memory: the rest waits on the disk.
"""

import asyncio
import contextlib
import heapq
import ipaddress
import itertools
import logging
import random
import socket
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from harambee.merchants.book import Book, key_of, ring
from harambee.merchants.ground import Ground
from harambee.merchants.port import Bodies, Delivery, Event, Faults, Merchant
from harambee.merchants.post import Post, PostError
from harambee.merchants.rows import DeliveryRow, EventRow
from harambee.merchants.store import Changes, MerchantStore, MerchantStoreError, NewEvent

RETRY_S: Final = (
    *(0.5, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 4.0, 4.0, 4.0, 5.0, 5.0, 5.0, 5.0),
    *(10.0, 15.0, 30.0, 60.0, 300.0, 900.0),
)
"""Between two attempts; the last one goes on. A server that fails half of the time gets nearly all within
a minute; one that is down is not asked much."""
KEPT_MS: Final = 72 * 3_600_000
"""What could not be delivered for so long is left to be pulled."""
ATTEMPT_S: Final = 10.0
QUESTION_S: Final = 8.0
"""As long as a biller may take to say whether it accepts a payment."""
DOWN_S: Final = 3.0
"""A super-agent that cannot be reached for so long does not deliver."""
DOUBT_S: Final = (30.0, 30.0, 60.0, 300.0)
"""How old an event is when who does not deliver it asks who should; and then between two questions."""
UNKNOWN_TIMES: Final = 2
"""Who should tell an event, and knows nothing of it when asked so often, will not: it may merely be late."""
LOOK_S: Final = 1.0
"""Between two looks for who is down."""
UNANSWERED_MAX: Final = 3
"""So often who should deliver may leave a question unanswered until another takes over."""
UNANSWERED_S: Final = 5.0
QUIET_AGAIN_S: Final = 30.0
"""A link that comes up again holds events back no oftener: one that flaps stops nothing."""
AT_ONCE_MAX: Final = 256
OF_MERCHANT_MAX: Final = 32
ANSWER_BYTES_MAX: Final = 64 << 10
HELD_OF_MERCHANT_MAX: Final = 8_192
"""Deliveries to one merchant in memory; what is beyond them waits in the store."""
REFILL: Final = 256
"""Events that are taken up from the store at once."""
EARLY_MAX: Final = 8_192
"""Of one super-agent: events told there that have not happened here yet."""
EVENT_ID_MAX: Final = 96
TRIES_MIN: Final = 3
"""What is older than KEPT_MS is tried so often all the same: the clock may be wrong."""
OURS: Final = "harambee.v1"
"""The form of webhooks."""
THE_WEBHOOK: Final = ""
"""In the place of an address: the merchant's webhook, wherever that is when it is told."""

_TRANSLATED: Final = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")))
"""IPv6 addresses behind which an IPv4 address is called."""

UNKNOWN, MINE, TOLD = 0, 1, 2
"""Answers to the question who tells an event."""

log: Final = logging.getLogger(__name__)


class AddressError(OSError):
    """A merchant's address is one that this super-agent does not call; the message is one sentence."""


@dataclass(slots=True)
class _Waiting:
    place: tuple[int, int]
    row: DeliveryRow
    event_id: str
    key: str
    """The merchant, "till:174379"."""
    made_ms: int
    ask_s: float
    """When to ask whoever should tell it."""
    is_old: bool
    """It may have been told already: the others are asked first."""
    due_s: float | None = None
    tries: int = 0
    doubts: int = 0
    unknown: int = 0
    """How often in a row they knew nothing of it."""
    unanswered: int = 0
    under_way: bool = False
    is_sent: bool = False
    """It has reached its address, and that is not durable yet."""


@dataclass(frozen=True, slots=True)
class Tiding:
    """An event, and by what it is found and where it goes besides the merchant's webhook."""

    row: EventRow
    url: str = ""
    form: str = ""
    receipt_code: str = ""
    reference: bytes = b""
    also: tuple[tuple[str, str], ...] = ()
    """More addresses, each with the form of what goes there."""


class Teller:
    """The events of one super-agent. Belongs to the event loop's thread."""

    def __init__(
        self,
        ground: Ground,
        store: MerchantStore,
        book: Book,
        notes: Post,
        bodies: Bodies,
        *,
        private_too: bool,
    ) -> None:
        """`private_too` lets it call addresses inside its own network, as a development network does."""
        self.faults = Faults()
        self.counts = dict.fromkeys(("delivered", "failed", "abandoned"), 0)
        self._ground = ground
        self._store = store
        self._book = book
        self._notes = notes
        self._bodies = bodies
        self._private_too = private_too
        self._waiting: dict[tuple[int, int], _Waiting] = {}
        self._lines: dict[str, deque[tuple[int, int]]] = {}
        """Per merchant what goes to its webhook, in order."""
        self._due: list[tuple[float, int, tuple[int, int]]] = []
        self._tickets = itertools.count()
        self._news = asyncio.Event()
        self._room = asyncio.Semaphore(AT_ONCE_MAX)
        self._busy: Counter[str] = Counter()
        """Attempts under way for each merchant."""
        self._held: Counter[str] = Counter()
        """Deliveries to each merchant in memory."""
        self._beyond: dict[str, int] = {}
        """For merchants with more: the event from which on theirs lie in the store alone."""
        self._parked: dict[str, deque[tuple[int, int]]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._down_since: dict[int, float] = {}
        self._gone: frozenset[int] = frozenset()
        """Super-agents that have been down for DOWN_S."""
        self._quiet_until: dict[int, float] = {}
        """Since a super-agent came back: until then it is heard first."""
        self._recording: dict[str, asyncio.Future[None]] = {}
        self._early: dict[int, OrderedDict[str, None]] = {}
        """By super-agent: what it has told that has not happened here yet."""
        self._session: aiohttp.ClientSession | None = None
        self._begin_s = 0.0

    # -- events -----------------------------------------------------------------------------------

    async def tell(
        self, merchant: Merchant, tiding: Tiding, also: Callable[[Changes], None] | None = None
    ) -> None:
        """Record an event, in one step with another change; then bring it where it is to go.

        Who is told of the same event again makes that other change alone.
        """
        key, event_id = key_of(merchant), tiding.row.id
        addresses = [(tiding.url, tiding.form)] if tiding.url else []
        addresses += tiding.also
        if merchant.webhook:
            addresses.append((THE_WEBHOOK, OURS))
        new = NewEvent(
            tiding.row,
            self._ground.now_ms(),
            addresses,
            tiding.receipt_code,
            tiding.reference,
            self._was_told_early(merchant, event_id),
        )

        def change(changes: Changes) -> int | None:
            if also is not None:
                also(changes)
            return changes.put_event(key, new)

        recording = self._recording[event_id] = asyncio.get_running_loop().create_future()
        try:
            cursor = await self._store.write(change)
            if cursor is None or new.is_told:
                return
            for number, (address, form) in enumerate(addresses):
                delivery = DeliveryRow(cursor, address, form)
                self._add((cursor, number), delivery, tiding.row)
        finally:
            if self._recording.get(event_id) is recording:
                del self._recording[event_id]
            recording.set_result(None)

    def load(self) -> None:
        """Take up what was not delivered when the super-agent stopped."""
        for place, delivery in self._store.deliveries():
            row = self._store.event(delivery.cursor)
            if row is not None:
                self._add(place, delivery, row, is_old=True)

    @property
    def waiting(self) -> int:
        """How many deliveries wait here."""
        return len(self._waiting)

    # -- from other super-agents ------------------------------------------------------------------

    async def take_told(self, peer: int, event_id: str) -> None:
        """Another super-agent has told this event to everybody; of its merchant's ring it is believed."""
        if (recording := self._recording.get(event_id)) is not None:
            await asyncio.wait([recording])
        row = self._store.event_of_id(event_id)
        if row is None:
            if len(event_id) <= EVENT_ID_MAX:
                early = self._early.setdefault(peer, OrderedDict())
                early[event_id] = None
                if len(early) > EARLY_MAX:
                    early.popitem(last=False)
            return
        merchant = self._book.find(row.short_code)
        if merchant is not None and peer in ring(self._ground.genesis.committee, merchant):
            await self._note_told(event_id)

    async def _note_told(self, event_id: str) -> None:
        def change(changes: Changes) -> list[tuple[int, int]]:
            return changes.note_told(event_id)

        for place in await self._store.write(change):
            self._drop(place)

    def _was_told_early(self, merchant: Merchant, event_id: str) -> bool:
        told = [
            peer
            for peer in ring(self._ground.genesis.committee, merchant)
            if event_id in self._early.get(peer, ())
        ]
        for peer in told:
            del self._early[peer][event_id]
        return bool(told)

    def who_tells(self, event_id: str) -> int:
        """Answer another super-agent that is in doubt: MINE, TOLD, or UNKNOWN."""
        if self._store.is_told(event_id):
            return TOLD
        return MINE if self._store.happened(event_id) else UNKNOWN

    def link_up(self, peer: int) -> None:
        """A super-agent can be reached again: it may have told what waits here."""
        now_s = asyncio.get_running_loop().time()
        held_until = self._quiet_until.get(peer, 0.0)
        if peer in self._gone and now_s > held_until + QUIET_AGAIN_S:
            self._quiet_until[peer] = now_s + DOWN_S
            for waiting in self._waiting.values():
                waiting.is_old = True
        self._news.set()

    # -- delivering -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Deliver for ever; ends only when cancelled."""
        loop = asyncio.get_running_loop()
        self._begin_s = loop.time() + DOWN_S
        connector = aiohttp.TCPConnector(
            limit=2 * AT_ONCE_MAX, resolver=_Resolver(private_too=self._private_too)
        )
        timeout = aiohttp.ClientTimeout(total=ATTEMPT_S)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False, trust_env=False
        ) as session:
            self._session = session
            try:
                while True:
                    await self._step(loop)
            finally:
                self._session = None
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _step(self, loop: asyncio.AbstractEventLoop) -> None:
        self._news.clear()
        self._look_who_is_down(loop.time())
        while self._due and self._due[0][0] <= loop.time():
            at_s, _, place = heapq.heappop(self._due)
            waiting = self._waiting.get(place)
            if waiting is None or waiting.under_way or waiting.due_s != at_s:
                continue
            waiting.due_s = None
            if self._busy[waiting.key] >= OF_MERCHANT_MAX:
                self._parked.setdefault(waiting.key, deque()).append(place)
                continue
            waiting.under_way = True
            self._busy[waiting.key] += 1
            await self._room.acquire()
            self._spawn(self._attempt(waiting))
        until = min(self._due[0][0] - loop.time(), LOOK_S) if self._due else LOOK_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until)):
                await self._news.wait()

    def _look_who_is_down(self, now_s: float) -> None:
        for peer in range(self._ground.genesis.committee.n):
            if peer == self._ground.index or self._ground.is_linked(peer):
                self._down_since.pop(peer, None)
            else:
                self._down_since.setdefault(peer, now_s)
        gone = frozenset(p for p, since in self._down_since.items() if now_s - since >= DOWN_S)
        before, self._gone = self._gone, gone
        if gone - before:
            # What they should have told is perhaps for this one to tell.
            for waiting in self._waiting.values():
                if waiting.due_s is not None and waiting.tries == 0:
                    self._schedule(waiting, 0.0)

    def _before(self, merchant: Merchant) -> list[int]:
        """Who of a merchant's ring is to deliver rather than this super-agent; nobody where it is to."""
        members = ring(self._ground.genesis.committee, merchant)
        place = members.index(self._ground.index) if self._ground.index in members else len(members)
        return [one for one in members[:place] if one not in self._gone]

    async def _attempt(self, waiting: _Waiting) -> None:
        """Bring an event to an address once, and decide when to go on with it."""
        again_s: float | None
        try:
            again_s = await self._try(waiting)
        except asyncio.CancelledError:
            raise
        except MerchantStoreError as error:
            log.debug("a callback cannot be noted: %s", error)
            again_s = RETRY_S[0]
        except Exception:
            # Ours, and it must not end the others' deliveries: it is tried again and stays visible.
            log.exception("a callback could not be made")
            again_s = RETRY_S[-1]
        finally:
            waiting.under_way = False
            self._room.release()
            self._leave(waiting.key)
        if again_s is not None and waiting.place in self._waiting:
            self._schedule(waiting, again_s)

    def _leave(self, key: str) -> None:
        """An attempt for a merchant is over: the next one that waits for that may begin."""
        self._busy[key] -= 1
        if not self._busy[key]:
            del self._busy[key]
        parked = self._parked.get(key)
        while parked:
            if (waiting := self._waiting.get(parked.popleft())) is not None:
                self._schedule(waiting, 0.0)
                break
        if not parked:
            self._parked.pop(key, None)

    async def _try(self, waiting: _Waiting) -> float | None:
        """Return for how long to leave it; None where it is done with."""
        merchant = self._book.find(waiting.key)
        if merchant is None or waiting.is_sent:
            await self._end(waiting, merchant)
            return None
        if (quiet_s := self._quiet_s(merchant)) > 0:
            return quiet_s
        before = self._before(merchant)
        if before and not await self._takes_over(waiting, before):
            return max(0.05, waiting.ask_s - asyncio.get_running_loop().time())
        if waiting.is_old and await self._was_told(waiting, merchant):
            return None
        event_row = self._store.event(waiting.row.cursor)
        if event_row is None or waiting.place not in self._waiting:
            await self._end(waiting, None)
            return None
        event = event_row.event(waiting.row.cursor)
        waiting.is_sent = await self._send(event, waiting, merchant)
        if waiting.is_sent:
            self.counts["delivered"] += 1
            await self._end(waiting, merchant)
            return None
        self.counts["failed"] += 1
        waiting.tries += 1
        if waiting.tries >= TRIES_MIN and self._ground.now_ms() - event.made_ms > KEPT_MS:
            self.counts["abandoned"] += 1
            await self._end(waiting, merchant)
            return None
        pause = RETRY_S[min(waiting.tries, len(RETRY_S)) - 1]
        return pause * random.uniform(0.8, 1.2)  # noqa: S311 - so that many do not return in step

    def _quiet_s(self, merchant: Merchant) -> float:
        """For how long to leave a merchant's events to whoever may say that they were told."""
        members = ring(self._ground.genesis.committee, merchant)
        until_s = max(self._quiet_until.get(member, 0.0) for member in members)
        return max(self._begin_s, until_s) - asyncio.get_running_loop().time()

    async def _was_told(self, waiting: _Waiting, merchant: Merchant) -> bool:
        """Ask the others of the ring whether they have told an event meanwhile."""
        members = ring(self._ground.genesis.committee, merchant)
        peers = [p for p in members if p != self._ground.index and self._ground.is_linked(p)]
        answers = await asyncio.gather(*(self._asked(peer, waiting.event_id) for peer in peers))
        if TOLD in answers:
            await self._note_told(waiting.event_id)
            return True
        waiting.is_old = False
        return False

    async def _asked(self, peer: int, event_id: str) -> int | None:
        with contextlib.suppress(PostError):
            return await self._notes.bring(peer, b"Q" + event_id.encode())
        return None

    async def _takes_over(self, waiting: _Waiting, before: list[int]) -> bool:
        """Whether to tell what others should tell: they know nothing of it, or do not answer."""
        now_s = asyncio.get_running_loop().time()
        if now_s < waiting.ask_s:
            return False
        answers = await asyncio.gather(*(self._asked(peer, waiting.event_id) for peer in before))
        if TOLD in answers:
            await self._note_told(waiting.event_id)
            return False
        if MINE in answers or None not in answers:
            waiting.unanswered = 0
            waiting.doubts += 1
            waiting.ask_s = now_s + DOUBT_S[min(waiting.doubts, len(DOUBT_S) - 1)]
            waiting.unknown = 0 if MINE in answers else waiting.unknown + 1
            return waiting.unknown >= UNKNOWN_TIMES
        waiting.unanswered += 1
        waiting.ask_s = now_s + UNANSWERED_S
        return waiting.unanswered >= UNANSWERED_MAX

    async def _send(self, event: Event, waiting: _Waiting, merchant: Merchant) -> bool:
        # A merchant that has moved its webhook means what waits for it, too; without one it wants none.
        url = waiting.row.url or merchant.webhook
        if not url:
            return True
        delivery = Delivery(event, url, waiting.row.form)
        faults = self.faults
        if random.random() < faults.lost_share:  # noqa: S311 - faults of a development network
            return True
        if faults.late_share and random.random() < faults.late_share:  # noqa: S311
            await asyncio.sleep(faults.late_s)
        headers, content = self._bodies(delivery, merchant, self._ground.now_ms())
        if random.random() < faults.doubled_share:  # noqa: S311
            await self._posted(url, headers, content)
        found = await self._posted(url, headers, content)
        return found is not None and 200 <= found[0] < 300

    async def post(
        self, url: str, headers: Mapping[str, str], content: bytes, patience_s: float
    ) -> tuple[int, bytes] | None:
        """Ask a merchant's address; returns status and answer, None where there is none."""
        return await self._posted(url, headers, content, patience_s, is_read=True)

    async def _posted(
        self,
        url: str,
        headers: Mapping[str, str],
        content: bytes,
        patience_s: float = ATTEMPT_S,
        *,
        is_read: bool = False,
    ) -> tuple[int, bytes] | None:
        """Send a body; what an event is answered is not waited for beyond its status."""
        if self._session is None:
            return None
        try:
            _refuse_address(url, private_too=self._private_too)
            async with asyncio.timeout(patience_s):
                async with self._session.post(
                    url, data=content, headers=dict(headers), allow_redirects=False
                ) as answer:
                    return answer.status, await _read_whole(answer) if is_read else b""
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            log.debug("a callback did not reach its address: %s", type(error).__name__)
            return None

    async def _end(self, waiting: _Waiting, merchant: Merchant | None) -> None:
        cursor, number = waiting.place

        def change(changes: Changes) -> bool:
            return changes.end_delivery(cursor, number, waiting.event_id)

        is_last = await self._store.write(change)
        self._drop(waiting.place)
        if not is_last or merchant is None:
            return
        for peer in ring(self._ground.genesis.committee, merchant):
            if peer != self._ground.index:
                self._spawn(self._say_told(waiting.event_id, peer))

    async def _say_told(self, event_id: str, peer: int) -> None:
        # Who does not hear it asks when it is in doubt, or comes back.
        with contextlib.suppress(PostError):
            await self._notes.bring(peer, b"T" + event_id.encode())

    def _add(
        self, place: tuple[int, int], row: DeliveryRow, event: EventRow, *, is_old: bool = False
    ) -> None:
        if event.short_code in self._beyond or self._held[event.short_code] >= HELD_OF_MERCHANT_MAX:
            self._beyond.setdefault(event.short_code, place[0])
            return
        age_s = (self._ground.now_ms() - event.made_ms) / 1_000
        ask_s = asyncio.get_running_loop().time() + min(DOUBT_S[0], max(0.0, DOUBT_S[0] - age_s))
        waiting = _Waiting(
            place,
            row,
            event.id,
            event.short_code,
            event.made_ms,
            ask_s,
            is_old=is_old or age_s > DOWN_S,
        )
        self._waiting[place] = waiting
        self._held[waiting.key] += 1
        if row.url == THE_WEBHOOK:
            line = self._lines.setdefault(waiting.key, deque())
            line.append(place)
            if line[0] != place:
                return
        self._schedule(waiting, 0.0)

    def _drop(self, place: tuple[int, int]) -> None:
        waiting = self._waiting.pop(place, None)
        if waiting is None:
            return
        self._held[waiting.key] -= 1
        if not self._held[waiting.key]:
            del self._held[waiting.key]
        if waiting.row.url == THE_WEBHOOK:
            self._drop_of_line(waiting)
        if waiting.key in self._beyond and self._held[waiting.key] <= HELD_OF_MERCHANT_MAX // 2:
            self._refill(waiting.key)

    def _refill(self, key: str) -> None:
        """Take up from the store what there was no room for."""
        rows, beyond = self._store.deliveries_of(key, self._beyond[key], REFILL)
        events = [self._store.event(cursor) for (cursor, _), _ in rows]
        # Read whole: from here on nothing fails.
        del self._beyond[key]
        for (place, row), event in zip(rows, events, strict=True):
            if event is not None and place not in self._waiting:
                self._add(place, row, event, is_old=True)
        if beyond is not None:
            self._beyond.setdefault(key, beyond)
            if not self._held[key]:
                # All of these were delivered already: nothing else would come here again.
                asyncio.get_running_loop().call_soon(self._refill_on, key)

    def _refill_on(self, key: str) -> None:
        if key in self._beyond:
            self._refill(key)

    def _drop_of_line(self, waiting: _Waiting) -> None:
        place = waiting.place
        line = self._lines[waiting.key]
        was_first = line[0] == place
        line.remove(place)
        if not line:
            del self._lines[waiting.key]
        elif was_first:
            self._schedule(self._waiting[line[0]], 0.0)

    def _schedule(self, waiting: _Waiting, pause_s: float) -> None:
        at_s = asyncio.get_running_loop().time() + pause_s
        waiting.due_s = at_s
        heapq.heappush(self._due, (at_s, next(self._tickets), waiting.place))
        self._news.set()

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@dataclass
class _Resolver(AbstractResolver):
    """Resolves names, and leaves out addresses that nobody outside should make us call."""

    private_too: bool
    _system: aiohttp.ThreadedResolver = field(init=False)

    def __post_init__(self) -> None:
        self._system = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host; AddressError where only private ones are left."""
        found = await self._system.resolve(host, port, family)
        if self.private_too:
            return found
        public = [one for one in found if is_public(one["host"])]
        if not public:
            raise AddressError("This address lies inside a network.")
        return public

    async def close(self) -> None:
        """Let go of the system's resolver."""
        await self._system.close()


def _refuse_address(url: str, *, private_too: bool) -> None:
    """Raise AddressError or ValueError unless this is an address that may be called."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a callback goes to http or https")
    if private_too:
        return
    try:
        is_called = is_public(parts.hostname)
    except ValueError:
        return  # a name: the resolver looks at what it stands for
    if not is_called:
        raise AddressError("This address lies inside a network.")


def is_public(host: str) -> bool:
    """Say whether an IP address is everybody's, whatever it is wrapped in; ValueError if it is none."""
    address = ipaddress.ip_address(host)
    inner: ipaddress.IPv4Address | None = None
    if isinstance(address, ipaddress.IPv6Address):
        teredo = address.teredo
        inner = address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
        if any(address in network for network in _TRANSLATED):
            inner = ipaddress.IPv4Address(address.packed[-4:])
    if inner is not None and not is_public(str(inner)):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


async def _read_whole(answer: aiohttp.ClientResponse) -> bytes:
    """Return what is answered, as far as anybody reads it."""
    content = b""
    while len(content) < ANSWER_BYTES_MAX:
        more = await answer.content.read(ANSWER_BYTES_MAX - len(content))
        if not more:
            break
        content += more
    return content
