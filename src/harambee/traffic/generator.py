"""The load generator: a crowd of handsets in one process, in arrays instead of objects.

What every handset does, this does for all of them:

- One order in flight for each payer. The next is signed when the slot of the one before is closed.
- An order that nobody answered is sent again, *the same bytes*, to another super-agent; ten
  tries are one payment. A door that breaks is left until it says that it is ready again.
- "Later" (a sequence that is ahead of the super-agent, a full super-agent) is tried again later.
- Any other refusal is taken to other doors until q of them have refused: one alone may lag.
  Then the payer signs a cancel, and when that is final the order counts as refused, with its
  reason.
- An order whose slot recovery has closed without one counts as refused, too: SLOT_SKIPPED.

**The arrays.** The orders of payer p stand, in turn, at `queue[starts[p]:starts[p + 1]]` of the
book; `cursor[p]` says which is next. A payer with something to do stands in one line or is
carried by one batch, never both. A line is a queue of arrays of payers, so one batch costs some
calls of NumPy and one HTTP request however many orders it carries.

**Closed loop**: a bounded number of batches in flight at each door; as fast as they go. **Open
loop**: order i is due at i / rate, whether or not the network keeps up, and latency counts from
then: a network that stalls cannot hide it by slowing its questioner down.
"""

import asyncio
import math
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import numpy as np
import numpy.typing as npt

from harambee.crypto.hashing import TAG_ORDER, signed_prefix
from harambee.crypto.signatures import sign_many
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ACCOUNT, BODY_BYTES, ORDER, ORDER_BYTES
from harambee.node.port import State
from harambee.traffic.book import Book, Rows

ORDERS_PER_REQUEST_MAX: Final = 8_192
ACCOUNTS_PER_REQUEST: Final = 8_192
TICK_S: Final = 0.01
"""How often an open loop looks what is due."""
PROBE_S: Final = 0.25
"""How often a broken door is asked whether it is ready."""
LATER_S: Final = 0.05
"""How long a payer waits who was told "later"."""
GRACE_S: Final = 5
"""So much longer than asked may an answer take before the door counts as broken."""
SLOT: Final = np.dtype([("payer", "<u4"), ("sequence", "<u4")])
DECIDED: Final = np.array([Outcome.SEQUENCE_STALE, Outcome.SLOT_SKIPPED], np.uint8)
LATER: Final = np.array(
    [Outcome.SEQUENCE_AHEAD, Outcome.BROKER_BUSY, Outcome.SLOT_TAKEN, Outcome.SLOT_FENCED], np.uint8
)
BUSY_STATUSES: Final = frozenset({429, 503})
DOORS_IN_A_WORD: Final = 64
SECONDS_PER_DAY: Final = 86_400
EAST_AFRICA_S: Final = 3 * 3_600

Payers = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint8]


class LoadError(Exception):
    """The load cannot go on; the message is one sentence."""


def today() -> int:
    """The day number that a handset writes into an order now: days since 1970 in UTC+3."""
    return int(time.time() + EAST_AFRICA_S) // SECONDS_PER_DAY


@dataclass(frozen=True, slots=True)
class Pace:
    """How the load is offered."""

    rate: float | None = None
    """Orders a second of an open loop; None for a closed one."""
    batch: int = 256
    """Most orders in one request."""
    in_flight: int = 3
    """Most requests in flight at each door."""
    wait_ms: int = 2_000
    """How long a request waits for its orders to be decided."""
    patience_s: float = 60
    """After so long without one decision the load ends; what is open is unanswered."""

    def __post_init__(self) -> None:
        assert 0 < self.batch <= ORDERS_PER_REQUEST_MAX
        assert self.rate is None or self.rate > 0


class Line:
    """A queue of payers, kept as the arrays that joined it."""

    def __init__(self) -> None:
        self._arrays: deque[Payers] = deque()
        self.length = 0

    def put(self, payers: Payers) -> None:
        """Join at the end."""
        if len(payers):
            self._arrays.append(payers)
            self.length += len(payers)

    def take(self, most: int) -> Payers:
        """Leave from the front; at most so many."""
        taken: list[Payers] = []
        while most and self._arrays:
            first = self._arrays.popleft()
            if len(first) > most:
                self._arrays.appendleft(first[most:])
                first = first[:most]
            taken.append(first)
            most -= len(first)
        if not taken:
            return np.empty(0, np.int64)
        joined = taken[0] if len(taken) == 1 else np.concatenate(taken)
        self.length -= len(joined)
        return joined


@dataclass(slots=True)
class Door:
    """One super-agent's HTTP address, and what the load knows of it."""

    name: str
    url: str
    index: int = 0
    alive: bool = True
    line: Line = field(default_factory=Line)
    idle: deque[asyncio.Future[None]] = field(default_factory=deque)
    """Carriers that have nothing to carry."""
    told: int = 0
    """Orders and cancels that it answered as decided."""
    broken: int = 0
    """How often it broke off, was silent too long or did not open."""


class Generator:
    """Offers the orders of a book to the doors. One load; `run` it once."""

    def __init__(
        self,
        book: Book,
        doors: list[Door],
        network: bytes,
        payers: tuple[npt.NDArray[np.uint32], Keys],
        quorum: int,
        pace: Pace,
    ) -> None:
        """`payers` are the account numbers that pay, ascending, and their (n, 64) secret keys."""
        assert doors
        self.book = book
        # A copy: what one load finds out about a door is nothing to the next load.
        self.doors = [Door(door.name, door.url, index) for index, door in enumerate(doors)]
        self.failovers = 0
        """Orders that were taken to another door because theirs broke."""
        self._pace = pace
        self._prefix = signed_prefix(TAG_ORDER, network)
        self._refusals_needed = min(quorum, len(doors))
        self._numbers, self._secrets = payers
        rows = np.searchsorted(self._numbers, book.orders["payer"][: book.count])
        found = self._numbers[np.minimum(rows, len(self._numbers) - 1)]
        assert np.array_equal(found, book.orders["payer"][: book.count]), "every payer has a key"
        self._payer_of: Payers = rows.astype(np.int64)
        self._queue: Rows = np.argsort(rows, kind="stable").astype(np.int64)
        lengths = np.bincount(rows, minlength=len(self._numbers))
        self._starts: Rows = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self._cursor = np.zeros(len(self._numbers), np.int64)
        self._released = np.zeros(len(self._numbers), np.int64)
        self._first_sequence = np.zeros(len(self._numbers), np.int64)
        self._standing = np.zeros(len(self._numbers), np.bool_)
        """Payers in a line or in a batch."""
        self._cancelling = np.zeros(len(self._numbers), np.bool_)
        words = -(-len(self.doors) // DOORS_IN_A_WORD)
        self._asked = np.zeros((len(self._numbers), words), np.uint64)
        """The doors that refused a payer's order, as bits, (payers, words)."""
        self._fresh, self._again, self._parked = Line(), Line(), Line()
        self._open = 0
        self._decided = 0
        self._last_progress = 0.0
        self._prepared = False
        self._stopping = False
        self._turn = 0
        self._over = asyncio.Event()
        self._started = 0.0
        self._http: aiohttp.ClientSession | None = None

    # What the command shows while it runs.

    @property
    def decided(self) -> int:
        """Orders that are final or whose cancel is."""
        return self._decided

    @property
    def now(self) -> float:
        """Seconds since the load began."""
        return time.perf_counter() - self._started

    @property
    def next_sequences(self) -> npt.NDArray[np.int64]:
        """The sequence after the last slot that was decided, for each payer."""
        return np.asarray(self._first_sequence + self._cursor)

    def stop(self) -> None:
        """Offer no new orders; those in flight are still followed to their end."""
        self._stopping = True
        dropped = self._fresh.take(self._fresh.length)
        self._standing[dropped] = False
        self._end_if_done()

    # Before the load.

    def begin_at(self, next_sequences: npt.NDArray[np.int64]) -> None:
        """Take every payer's next sequence from a load before this one, instead of asking.

        A super-agent that lags would answer one that is used already.
        """
        self._first_sequence[:] = next_sequences
        self._prepared = True

    async def prepare(self, *, presign: bool = False) -> None:
        """Ask for every payer's next sequence and, if wanted, sign everything; LoadError."""
        async with aiohttp.ClientSession() as session:
            next_sequence = [
                (await ask_accounts(session, self.doors, numbers))["next_sequence"]
                for numbers in _pieces(self._numbers, ACCOUNTS_PER_REQUEST)
            ]
        self._first_sequence[:] = np.concatenate(next_sequence)
        self._prepared = True
        if presign:
            await asyncio.get_running_loop().run_in_executor(None, self.sign_all)

    def sign_all(self) -> None:
        """Sign every order now, on all cores.

        Their sequences are known beforehand, because a cancel takes the sequence of its order.
        """
        rows = np.arange(self.book.count)
        rank = np.empty(self.book.count, np.int64)
        rank[self._queue] = rows - np.repeat(self._starts[:-1], np.diff(self._starts))
        self._write_slots(rows, self._payer_of, rank)
        signatures = sign_many(
            self._prefix,
            _bodies(self.book.orders[: self.book.count]),
            self._secrets[self._payer_of],
            os.cpu_count() or 1,
        )
        self.book.orders["signature"][: self.book.count] = signatures
        self.book.signed[: self.book.count] = True

    # The load.

    async def run(self, on_start: Callable[[], None] | None = None) -> None:
        """Offer everything and follow it to its end; LoadError."""
        if not self._prepared:
            await self.prepare()
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=self._pace.wait_ms / 1000 + GRACE_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            self._http = session
            self._started = time.perf_counter()
            if on_start is not None:
                on_start()
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [
                        group.create_task(self._serve(door))
                        for _ in range(self._pace.in_flight)
                        for door in self.doors
                    ]
                    tasks.append(group.create_task(self._probe()))
                    tasks.append(group.create_task(self._release()))
                    tasks.append(group.create_task(self._watch()))
                    await self._over.wait()
                    for task in tasks:
                        task.cancel()
            except* LoadError as errors:
                raise errors.exceptions[0] from None

    async def _release(self) -> None:
        """Let orders go when they are due: all at once, or by the rate."""
        if self._pace.rate is None:
            self._released[:] = np.diff(self._starts)
            _, first = np.unique(self._payer_of, return_index=True)
            self._stand_fresh(self._payer_of[np.sort(first)])
            self._end_if_done()
            return
        self.book.due_at[:] = np.arange(self.book.count) / self._pace.rate
        released = 0
        while released < self.book.count and not self._stopping:
            due = min(self.book.count, math.floor(self.now * self._pace.rate) + 1)
            payers = self._payer_of[released:due]
            np.add.at(self._released, payers, 1)
            idle = payers[~self._standing[payers]]
            if len(idle):
                _, first = np.unique(idle, return_index=True)
                self._stand_fresh(idle[np.sort(first)])
            released = due
            await asyncio.sleep(TICK_S)

    async def _watch(self) -> None:
        """End a load that nothing answers any more."""
        while True:
            await asyncio.sleep(PROBE_S)
            waits = self._open > 0 and self.now - self._last_progress > self._pace.patience_s
            if waits:
                self._over.set()

    async def _probe(self) -> None:
        """Ask broken doors whether they are ready again."""
        while True:
            await asyncio.sleep(PROBE_S)
            for door in self.doors:
                if not door.alive and await self._is_ready(door):
                    door.alive = True
                    self._route(self._parked.take(self._parked.length))
                    self._wake_for_all()

    async def _is_ready(self, door: Door) -> bool:
        assert self._http is not None
        try:
            async with self._http.get(
                door.url + "/readyz", timeout=aiohttp.ClientTimeout(total=1)
            ) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _serve(self, door: Door) -> None:
        """Carry batch after batch to a door; `in_flight` of these run for each."""
        while True:
            payers = self._take(door) if door.alive else np.empty(0, np.int64)
            if len(payers):
                await self._carry(door, payers)
                continue
            if not door.alive:
                self._wake_for_all()  # what this one was woken for, another must do
            woken = asyncio.get_running_loop().create_future()
            door.idle.append(woken)
            await woken

    def _take(self, door: Door) -> Payers:
        """The next batch for a door: what must go there, or else cancels and then new orders.

        Second opinions travel by themselves: most are refusals, which are answered at once, and
        should not wait for payments to become final.
        """
        if door.line.length:
            return door.line.take(self._pace.batch)
        taken = self._again.take(self._pace.batch)
        if len(taken) < self._pace.batch and self._fresh.length:
            taken = np.concatenate([taken, self._fresh.take(self._pace.batch - len(taken))])
        return taken

    def _wake(self, door: Door, waiting: int) -> None:
        """Wake as many idle carriers of a door as so many orders fill batches."""
        for _ in range(min(len(door.idle), -(-waiting // self._pace.batch))):
            woken = door.idle.popleft()
            if not woken.done():  # cancelled: the load has ended
                woken.set_result(None)

    def _wake_for_all(self) -> None:
        """Wake idle carriers, door after door, for what any door may take."""
        waiting = self._again.length + self._fresh.length
        idle = [door for door in self._turned() if door.alive and door.idle]
        while waiting > 0 and idle:
            for door in idle:
                if waiting > 0:
                    self._wake(door, 1)
                    waiting -= self._pace.batch
            idle = [door for door in idle if door.idle]

    def _turned(self) -> list[Door]:
        """All doors, beginning with another one each time."""
        self._turn = (self._turn + 1) % len(self.doors)
        return self.doors[self._turn :] + self.doors[: self._turn]

    async def _carry(self, door: Door, payers: Payers) -> None:
        rows = self._queue[self._starts[payers] + self._cursor[payers]]
        rows = rows + self.book.count * self._cancelling[payers]
        unsent = np.isnan(self.book.sent_at[rows])
        self._open += int(np.count_nonzero(unsent & (rows < self.book.count)))
        if not self.book.signed[rows].all():
            await self._sign(payers, rows)
        self.book.sent_at[rows[unsent]] = self.now
        if unsent.any():
            self._last_progress = self.now
        try:
            content = await self._post(
                door, f"/v1/orders?wait_ms={self._pace.wait_ms}", self.book.orders[rows].tobytes()
            )
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            self._break(door, payers)
            return
        if content is None:
            self._later(payers)
            return
        if len(content) != 2 * len(rows):
            raise LoadError(f"{door.name} answered {len(content)} bytes for {len(rows)} orders")
        answer = np.frombuffer(content, np.uint8).reshape(-1, 2)
        await self._hear(door, payers, rows, answer[:, 0], answer[:, 1])

    async def _post(self, door: Door, path: str, body: bytes) -> bytes | None:
        """The content of the answer; None when the door is full."""
        assert self._http is not None
        headers = {"Content-Type": "application/octet-stream"}
        async with self._http.post(door.url + path, data=body, headers=headers) as answer:
            content = await answer.read()
            if answer.status == 200:
                return content
            if answer.status in BUSY_STATUSES:
                return None
            text = content[:200].decode(errors="replace")
            raise LoadError(f"{door.name} answered {answer.status} to {path}: {text}")

    async def _sign(self, payers: Payers, rows: Rows) -> None:
        unsigned = ~self.book.signed[rows]
        payers, rows = payers[unsigned], rows[unsigned]
        self._write_slots(rows, payers, self._cursor[payers])
        bodies, secrets = _bodies(self.book.orders[rows]), self._secrets[payers]
        loop = asyncio.get_running_loop()
        signatures = await loop.run_in_executor(None, sign_many, self._prefix, bodies, secrets)
        self.book.orders["signature"][rows] = signatures
        self.book.signed[rows] = True

    def _write_slots(self, rows: Rows, payers: Payers, rank: Rows) -> None:
        """Write sequence and day: order number `rank` of a payer takes the sequence that far on."""
        self.book.orders["sequence"][rows] = self._first_sequence[payers] + rank
        self.book.orders["day"][rows] = today()

    # What becomes of a batch.

    async def _hear(
        self,
        door: Door,
        payers: Payers,
        rows: Rows,
        states: npt.NDArray[np.uint8],
        outcomes: npt.NDArray[np.uint8],
    ) -> None:
        final = states == State.FINAL
        self._close(payers[final], rows[final], door)
        refused = states == State.REFUSED
        open_still = ~final & ~refused
        if open_still.any():
            self._route(payers[open_still], door)
        if not refused.any():
            return
        stale = refused & np.isin(outcomes, DECIDED)
        # A cancel is never cancelled: it is offered until the slot is closed, by it or its order.
        cancels = rows >= self.book.count
        later = refused & ~stale & (np.isin(outcomes, LATER) | cancels)
        self._later(payers[later])
        judged = refused & ~stale & ~later
        self._second_opinion(door, payers[judged], rows[judged], outcomes[judged])
        if stale.any():
            await self._look_up(door, payers[stale], rows[stale])

    def _close(self, payers: Payers, rows: Rows, door: Door) -> None:
        """Their slots are final with these rows of the book: on to each payer's next order."""
        if not len(payers):
            return
        now = self.now
        self.book.told_at[rows] = now
        door.told += len(rows)
        self._turn_page(payers, now)

    def _turn_page(self, payers: Payers, now: float) -> None:
        self._last_progress = now
        self._decided += len(payers)
        self._open -= len(payers)
        self._cursor[payers] += 1
        self._cancelling[payers] = False
        self._asked[payers] = 0
        self._standing[payers] = False
        if not self._stopping:
            more = self._cursor[payers] < self._released[payers]
            self._stand_fresh(payers[more])
        self._end_if_done()

    def _second_opinion(
        self, door: Door, payers: Payers, rows: Rows, outcomes: npt.NDArray[np.uint8]
    ) -> None:
        """Take refused orders to doors that have not refused them; cancel when enough have."""
        if not len(payers):
            return
        word, bit = _bit_of(door)
        self._asked[payers, word] |= bit
        enough = np.bitwise_count(self._asked[payers]).sum(axis=1) >= self._refusals_needed
        self._route(payers[~enough], door)
        refused, rows = payers[enough], rows[enough]
        if len(refused):
            self.book.reasons[rows] = outcomes[enough]
            self.book.draw_cancels(rows)
            self._cancelling[refused] = True
            self._asked[refused] = 0
            self._again.put(refused)
            self._wake_for_all()

    async def _look_up(self, door: Door, payers: Payers, rows: Rows) -> None:
        """The sequence is used already: by this order, by its cancel, by somebody else, or by nobody."""
        slots = np.empty(len(rows), SLOT)
        slots["payer"] = self.book.orders["payer"][rows]
        slots["sequence"] = self.book.orders["sequence"][rows]
        try:
            content = await self._post(door, "/v1/slots", slots.tobytes())
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            self._break(door, payers)
            return
        if content is None or len(content) != len(rows) * ORDER_BYTES:
            self._later(payers)
            return
        found = _bodies(np.frombuffer(content, ORDER))
        order = rows % self.book.count
        for ours in (order, order + self.book.count):
            same = (found == _bodies(self.book.orders[ours])).all(axis=1)
            same &= self.book.signed[ours]
            self._close(payers[same], ours[same], door)
            payers, order, found = payers[~same], order[~same], found[~same]
            if not len(payers):
                return
        # A slot that is past and empty was closed by recovery, without an order.
        empty = ~found.any(axis=1)
        self.book.reasons[order] = np.where(empty, Outcome.SLOT_SKIPPED, Outcome.SEQUENCE_STALE)
        self.book.overtaken[order] = True
        self._turn_page(payers, self.now)

    def _break(self, door: Door, payers: Payers) -> None:
        """A door broke: everything that waits for it goes elsewhere, the same bytes."""
        door.broken += door.alive
        door.alive = False
        self.failovers += len(payers)
        self._route(payers, door)
        self._route(door.line.take(door.line.length), door)

    def _later(self, payers: Payers) -> None:
        if len(payers):
            asyncio.get_running_loop().call_later(LATER_S, self._route, payers)

    def _route(self, payers: Payers, avoid: Door | None = None) -> None:
        """Line payers up at living doors that have not refused them; park those without one."""
        choices = [door for door in self._turned() if door.alive and door is not avoid]
        if avoid is not None and avoid.alive:
            choices.append(avoid)
        for door in choices:
            if not len(payers):
                break
            word, bit = _bit_of(door)
            unasked = self._asked[payers, word] & bit == 0
            door.line.put(payers[unasked])
            self._wake(door, door.line.length)
            payers = payers[~unasked]
        self._parked.put(payers)

    def _stand_fresh(self, payers: Payers) -> None:
        self._standing[payers] = True
        self._fresh.put(payers)
        self._wake_for_all()

    def _end_if_done(self) -> None:
        all_decided = self._decided == self.book.count
        if all_decided or (self._stopping and self._open == 0):
            self._over.set()


async def ask_accounts(
    session: aiohttp.ClientSession, doors: list[Door], numbers: npt.NDArray[np.uint32]
) -> npt.NDArray[np.void]:
    """The ACCOUNT records of many numbers, from the first door that answers; LoadError."""
    for door in doors:
        try:
            async with session.post(
                door.url + "/v1/accounts/query",
                data=numbers.astype("<u4").tobytes(),
                headers={"Content-Type": "application/octet-stream"},
            ) as answer:
                content = await answer.read()
                if answer.status == 200 and len(content) == len(numbers) * ACCOUNT.itemsize:
                    return np.frombuffer(content, ACCOUNT)
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            continue
    raise LoadError("no super-agent answers what the payers' next sequences are")


def _bit_of(door: Door) -> tuple[int, np.uint64]:
    """The word and the bit of a door among those that were asked."""
    word, place = divmod(door.index, DOORS_IN_A_WORD)
    return word, np.uint64(1 << place)


def _pieces(numbers: npt.NDArray[np.uint32], length: int) -> list[npt.NDArray[np.uint32]]:
    return [numbers[start : start + length] for start in range(0, len(numbers), length)]


def _bodies(orders: npt.NDArray[np.void]) -> npt.NDArray[np.uint8]:
    """The signed part of contiguous orders, shape (n, 64)."""
    return orders.view(np.uint8).reshape(-1, ORDER_BYTES)[:, :BODY_BYTES]
