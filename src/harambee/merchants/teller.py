"""What merchants are told: events, and callbacks that arrive at least once.

Three super-agents record what happens to a merchant, its ring: each sees it for itself, in the ledger or
signed by the customer, and gives it the same id. The first of them that is alive delivers, the others
hear from it what was delivered, and take over when it has been down for some seconds; one that is in
doubt asks it. So an event reaches its address also when the super-agent dies that was about to send it,
and normally once; it may come twice, always with the same id, where one dies between sending and saying
so.

Events of our own form reach an address in their order, one after the other. Callbacks of other forms
stand each for itself, as in the software that they are made for.
"""

import asyncio
import contextlib
import heapq
import ipaddress
import itertools
import logging
import random
import socket
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from harambee.merchants.book import Book, key_of, ring
from harambee.merchants.ground import Ground
from harambee.merchants.port import Bodies, Delivery, Event, Merchant
from harambee.merchants.post import Post, PostError
from harambee.merchants.rows import DeliveryRow, EventRow
from harambee.merchants.store import Changes, MerchantStore

RETRY_S: Final = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 900.0)
"""Between two attempts; the last one goes on."""
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
AT_ONCE_MAX: Final = 128
OF_HOST_MAX: Final = 64
ANSWER_BYTES_MAX: Final = 64 << 10
TOLD_REMEMBERED: Final = 65_536
OURS: Final = "harambee.v1"
"""The form whose events come in order."""

UNKNOWN, MINE, TOLD = 0, 1, 2
"""Answers to the question who tells an event."""

log: Final = logging.getLogger(__name__)


class AddressError(OSError):
    """A merchant's address is one that this super-agent does not call; the message is one sentence."""


@dataclass(slots=True)
class Faults:
    """What a development network does to callbacks, so that software can be tried against it."""

    late_s: float = 0.0
    late_share: float = 0.0
    lost_share: float = 0.0
    """These are never sent: the software has to ask."""
    doubled_share: float = 0.0


@dataclass(slots=True)
class _Waiting:
    place: tuple[int, int]
    row: DeliveryRow
    event_id: str
    short_code: str
    made_ms: int
    tries: int = 0
    doubts: int = 0
    unknown: int = 0
    """How often in a row who should tell it knew nothing of it."""
    left_to: int | None = None
    """Who tells it, as long as that one is alive."""
    under_way: bool = False


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
        """Per address of our own form: what goes there, in order."""
        self._due: list[tuple[float, int, tuple[int, int]]] = []
        self._tickets = itertools.count()
        self._news = asyncio.Event()
        self._room = asyncio.Semaphore(AT_ONCE_MAX)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._down_since: dict[int, float] = {}
        self._given_up: set[int] = set()
        """Who has been down for so long that others tell what it should."""
        self._told_for_others: OrderedDict[str, int] = OrderedDict()
        """Events that were told from here although another one should have, and who that is."""
        self._session: aiohttp.ClientSession | None = None
        self._quiet_until = 0.0

    # -- events -----------------------------------------------------------------------------------

    async def tell(
        self, merchant: Merchant, row: EventRow, receipt_code: str, url: str, form: str
    ) -> None:
        """Record an event, and bring it to an address (if any) and to the merchant's webhook."""
        addresses = [
            (address, name) for address, name in ((url, form), (merchant.webhook, OURS)) if address
        ]

        def change(changes: Changes) -> int | None:
            return changes.put_event(key_of(merchant), row, receipt_code, addresses)

        cursor = await self._store.write(change)
        if cursor is None or self._store.is_told(row.id):
            return
        for number, (address, name) in enumerate(addresses):
            place = (cursor, number)
            delivery = DeliveryRow(cursor, address, name)
            self._add(_Waiting(place, delivery, row.id, key_of(merchant), row.made_ms))

    def load(self) -> None:
        """Take up what was not delivered when the super-agent stopped."""
        for place, delivery in self._store.deliveries():
            row = self._store.event(delivery.cursor)
            assert row is not None, "a delivery is of an event"
            self._add(_Waiting(place, delivery, row.id, row.short_code, row.made_ms))

    @property
    def waiting(self) -> int:
        """How many deliveries wait here."""
        return len(self._waiting)

    # -- from other super-agents ------------------------------------------------------------------

    async def take_told(self, event_id: str) -> None:
        """Another super-agent has told this event to everybody."""

        def change(changes: Changes) -> list[tuple[int, int]]:
            return changes.note_told(event_id)

        for place in await self._store.write(change):
            self._drop(place)

    async def who_tells(self, event_id: str) -> int:
        """Answer another super-agent that is in doubt: MINE, TOLD, or UNKNOWN."""
        if self._store.is_told(event_id):
            return TOLD
        return MINE if self._store.happened(event_id) else UNKNOWN

    def link_up(self, peer: int) -> None:
        """A super-agent can be reached again: it hears what was told in its place."""
        self._quiet_until = asyncio.get_running_loop().time() + DOWN_S
        for event_id, first in list(self._told_for_others.items()):
            if first == peer:
                del self._told_for_others[event_id]
                self._spawn(self._say_told(event_id, peer))
        self._news.set()

    # -- delivering -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Deliver for ever; ends only when cancelled."""
        loop = asyncio.get_running_loop()
        self._quiet_until = loop.time() + DOWN_S
        connector = aiohttp.TCPConnector(
            limit=AT_ONCE_MAX,
            limit_per_host=OF_HOST_MAX,
            resolver=_Resolver(self._private_too),
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
            _, _, place = heapq.heappop(self._due)
            waiting = self._waiting.get(place)
            if waiting is None or waiting.under_way:
                continue
            waiting.under_way = True
            await self._room.acquire()
            self._spawn(self._attempt(waiting))
        until = min(self._due[0][0] - loop.time(), 1.0) if self._due else 1.0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until)):
                await self._news.wait()

    def _look_who_is_down(self, now_s: float) -> None:
        """Note who cannot be reached; what was left to one who is down now is looked at again."""
        for peer in range(self._ground.genesis.committee.n):
            if peer == self._ground.index or self._ground.is_linked(peer):
                self._down_since.pop(peer, None)
                self._given_up.discard(peer)
                continue
            since = self._down_since.setdefault(peer, now_s)
            if now_s - since >= DOWN_S and peer not in self._given_up:
                self._given_up.add(peer)
                for waiting in list(self._waiting.values()):
                    if waiting.left_to == peer and not waiting.under_way:
                        self._schedule(waiting, 0.0)

    def _first_alive(self, merchant: Merchant) -> int:
        """Who of a merchant's ring is to deliver now."""
        for member in ring(self._ground.genesis.committee, merchant):
            if member == self._ground.index:
                return member
            if member not in self._given_up:
                return member
        return self._ground.index

    async def _attempt(self, waiting: _Waiting) -> None:
        """Bring an event to an address once, and decide when to go on with it."""
        again_s: float | None
        try:
            again_s = await self._try(waiting)
        except asyncio.CancelledError:
            raise
        except Exception:
            # Ours, and it must not end the others' deliveries: it is tried again and stays visible.
            log.exception("a callback could not be made")
            again_s = RETRY_S[-1]
        finally:
            waiting.under_way = False
            self._room.release()
        if again_s is not None and waiting.place in self._waiting:
            self._schedule(waiting, again_s)

    async def _try(self, waiting: _Waiting) -> float | None:
        """Return for how long to leave it; None where it is done with."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._quiet_until:
            return self._quiet_until - loop.time()
        merchant = self._book.find(waiting.short_code)
        event_row = self._store.event(waiting.row.cursor)
        if merchant is None or event_row is None:
            await self._end(waiting)
            return None
        first = self._first_alive(merchant)
        waiting.left_to = None if first == self._ground.index else first
        if waiting.left_to is not None and not await self._takes_over(waiting, first):
            return None if waiting.place not in self._waiting else self._doubt_s(waiting)
        event = event_row.event(waiting.row.cursor)
        if await self._send(event, waiting, merchant):
            self.counts["delivered"] += 1
            await self._end(waiting, merchant)
            return None
        self.counts["failed"] += 1
        if self._ground.now_ms() - event.made_ms > KEPT_MS:
            self.counts["abandoned"] += 1
            await self._end(waiting, merchant)
            return None
        waiting.tries += 1
        pause = RETRY_S[min(waiting.tries, len(RETRY_S)) - 1]
        return pause * random.uniform(0.8, 1.2)  # noqa: S311 - so that many do not return in step

    def _doubt_s(self, waiting: _Waiting) -> float:
        """How long to leave an event to whoever should tell it, while that one is alive."""
        if not waiting.doubts:
            age_s = (self._ground.now_ms() - waiting.made_ms) / 1_000
            return max(1.0, DOUBT_S[0] - age_s)
        return DOUBT_S[min(waiting.doubts, len(DOUBT_S) - 1)]

    async def _takes_over(self, waiting: _Waiting, first: int) -> bool:
        """Whether to tell what `first` should tell: it was asked, and knows nothing of it."""
        age_s = (self._ground.now_ms() - waiting.made_ms) / 1_000
        if age_s < DOUBT_S[0]:
            return False
        try:
            answer = await self._notes.bring(first, b"Q" + waiting.event_id.encode())
        except PostError:
            return False
        waiting.doubts += 1
        if answer == TOLD:
            await self.take_told(waiting.event_id)
        waiting.unknown = waiting.unknown + 1 if answer == UNKNOWN else 0
        return waiting.unknown >= UNKNOWN_TIMES

    async def _send(self, event: Event, waiting: _Waiting, merchant: Merchant) -> bool:
        delivery = Delivery(event, waiting.row.url, waiting.row.form)
        faults, dice = self.faults, random.random()  # noqa: S311 - faults of a development network
        if dice < faults.lost_share:
            return True
        if faults.late_share and random.random() < faults.late_share:  # noqa: S311
            await asyncio.sleep(faults.late_s)
        headers, content = self._bodies(delivery, merchant, self._ground.now_ms())
        if random.random() < faults.doubled_share:  # noqa: S311
            await self.post(waiting.row.url, headers, content)
        found = await self.post(waiting.row.url, headers, content)
        return found is not None and 200 <= found[0] < 300

    async def post(
        self, url: str, headers: Mapping[str, str], content: bytes, patience_s: float = ATTEMPT_S
    ) -> tuple[int, bytes] | None:
        """Send a body to a merchant's address; returns status and answer, None where there is none."""
        if self._session is None:
            return None
        try:
            _refuse_address(url, private_too=self._private_too)
            async with asyncio.timeout(patience_s):
                async with self._session.post(
                    url, data=content, headers=dict(headers), allow_redirects=False
                ) as answer:
                    return answer.status, await answer.content.read(ANSWER_BYTES_MAX)
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            log.debug("a callback did not reach its address: %s", type(error).__name__)
            return None

    async def _end(self, waiting: _Waiting, merchant: Merchant | None = None) -> None:
        cursor, number = waiting.place

        def change(changes: Changes) -> bool:
            return changes.end_delivery(cursor, number, waiting.event_id)

        is_last = await self._store.write(change)
        self._drop(waiting.place)
        if not is_last or merchant is None:
            return
        first, *_ = members = ring(self._ground.genesis.committee, merchant)
        if first != self._ground.index:
            self._told_for_others[waiting.event_id] = first
            while len(self._told_for_others) > TOLD_REMEMBERED:
                self._told_for_others.popitem(last=False)
        for peer in members:
            if peer != self._ground.index:
                self._spawn(self._say_told(waiting.event_id, peer))

    async def _say_told(self, event_id: str, peer: int) -> None:
        # Who does not hear it asks when it is in doubt.
        with contextlib.suppress(PostError):
            await self._notes.bring(peer, b"T" + event_id.encode())

    def _add(self, waiting: _Waiting) -> None:
        self._waiting[waiting.place] = waiting
        if waiting.row.form == OURS:
            line = self._lines.setdefault(waiting.row.url, deque())
            line.append(waiting.place)
            if line[0] != waiting.place:
                return
        self._schedule(waiting, 0.0)

    def _drop(self, place: tuple[int, int]) -> None:
        waiting = self._waiting.pop(place, None)
        if waiting is None or waiting.row.form != OURS:
            return
        line = self._lines[waiting.row.url]
        was_first = line[0] == place
        line.remove(place)
        if not line:
            del self._lines[waiting.row.url]
        elif was_first:
            self._schedule(self._waiting[line[0]], 0.0)

    def _schedule(self, waiting: _Waiting, pause_s: float) -> None:
        at_s = asyncio.get_running_loop().time() + pause_s
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
        public = [one for one in found if ipaddress.ip_address(one["host"]).is_global]
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
        address = ipaddress.ip_address(parts.hostname)
    except ValueError:
        return  # a name: the resolver looks at what it stands for
    if not address.is_global:
        raise AddressError("This address lies inside a network.")
