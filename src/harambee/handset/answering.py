"""A handset that stays, and pays by itself what its account is asked for: for tests and machines.

It listens at w doors, because one of them is honest; each answers as soon as something waits. Requests
are paid one after the other, in the order in which they were made.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from harambee.handset.agreed import Agreements, agree, pay_due, refusal_of
from harambee.handset.believing import check_network
from harambee.handset.doors import Door, DoorError
from harambee.handset.handset import Handset, HandsetError, Payment, PaymentStatus
from harambee.handset.payment_requests import request_id
from harambee.handset.requesting import (
    CheckedRequest,
    Clock,
    EndedError,
    approve,
    checked,
    finish_earlier,
    now_ms,
    question_of,
)
from harambee.handset.wallet import WalletError
from harambee.money.amounts import format_cents

WAIT_MS: Final = 10_000
"""How long a door may wait for a request before it answers."""
PAUSE_S: Final = 0.1
"""Between two looks at a door that says nothing new at once."""
FAILED_PAUSE_S_MAX: Final = 2.0
"""After doors that fail one after the other; the first time it is PAUSE_S, and each time twice as long."""
RETRY_S: Final = 1.0
QUEUED_MAX: Final = 16
"""With so many to pay, doors are not asked for more."""
SEEN_MAX: Final = 4_096


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request, for whoever watches."""

    request: CheckedRequest
    payment: Payment | None
    """None where no order was signed."""
    sentence: str
    agreed: bool = False
    """To a standing order: nothing is paid yet."""

    @property
    def status(self) -> str:
        """Return the payment's status, or "left" where there is none, or "agreed"."""
        if self.payment is None:
            return "agreed" if self.agreed else "left"
        return str(self.payment.status)


@dataclass
class Answering:
    """Pays what one account is asked for, up to an amount; `run` ends when it is cancelled."""

    handset: Handset
    most_cents: int | None
    """What is more than this waits for somebody else; None where all is paid."""
    tell: Callable[[Answer], None]
    clock: Clock = now_ms
    _doors: deque[Door] = field(default_factory=deque)
    """At which nobody listens."""
    _seen: dict[bytes, int] = field(default_factory=dict)
    """The requests that were taken or left, by id, and when they expire."""
    _queue: list[tuple[int, bytes, CheckedRequest]] = field(default_factory=list)
    _come: asyncio.Event = field(default_factory=asyncio.Event)
    _room: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Listen and pay for ever; what an earlier run left open is brought to its end first."""
        try:
            await finish_earlier(self.handset)
        except (HandsetError, WalletError):
            await asyncio.sleep(RETRY_S)  # the first payment tries again, and says why if it fails
        self._doors.extend(self.handset.doors)
        self._room.set()
        async with asyncio.TaskGroup() as group:
            for _ in range(self.handset.genesis.committee.w):
                group.create_task(self._listen())
            group.create_task(self._pay())

    async def _listen(self) -> None:
        """Stay at one door while it answers, and go to another when it does not."""
        pause_s = PAUSE_S
        while True:
            door = self._doors.popleft()
            try:
                await check_network(door, self.handset.genesis)
                while True:
                    await self._room.wait()
                    has_new = await self._take_from(door)
                    pause_s = PAUSE_S
                    if not has_new:
                        await asyncio.sleep(PAUSE_S)
            except (DoorError, HandsetError):
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, FAILED_PAUSE_S_MAX)
            finally:
                self._doors.append(door)

    async def _take_from(self, door: Door) -> bool:
        """Queue what a door tells and nobody has told before; False where that is nothing."""
        network = self.handset.genesis.network
        told = await door.requests(question_of(self.handset), WAIT_MS)
        fresh = [one for one in told if request_id(network, one.document) not in self._seen]
        if not fresh:
            return False
        time_ms = self.clock()
        found = await checked(self.handset, fresh, time_ms)
        taken = [one for one in found if one.id not in self._seen]
        if len(self._seen) > SEEN_MAX:
            self._seen = {name: ends for name, ends in self._seen.items() if ends > time_ms}
        for one in taken:
            self._seen[one.id] = one.said.expires_ms
            if one.said.under:
                self._take_due(one, time_ms)
            elif self.most_cents is not None and one.said.amount_cents > self.most_cents:
                self.tell(Answer(one, None, f"More than {format_cents(self.most_cents)}."))
            else:
                self._put(one)
        return bool(taken)

    def _take_due(self, request: CheckedRequest, time_ms: int) -> None:
        """Queue a payment of a standing order if it was agreed to, however much is paid unasked."""
        agreement = Agreements(self.handset.wallet).find(request.said.under)
        refusal = refusal_of(agreement, request, time_ms)
        if refusal is None:
            self._put(request)
        else:
            self.tell(Answer(request, None, refusal))

    def _put(self, request: CheckedRequest) -> None:
        heapq.heappush(self._queue, (request.said.made_ms, request.id, request))
        self._come.set()
        if len(self._queue) >= QUEUED_MAX:
            self._room.clear()

    async def _pay(self) -> None:
        """Pay the oldest first; one that fails stays the first until it is decided or has expired."""
        while True:
            while not self._queue:
                self._come.clear()
                await self._come.wait()
            _, _, request = heapq.heappop(self._queue)
            if len(self._queue) < QUEUED_MAX:
                self._room.set()
            try:
                if request.said.terms is not None:
                    await agree(self.handset, request, self.clock)
                    self.tell(Answer(request, None, request.said.terms.words, agreed=True))
                    continue
                pay = pay_due if request.said.under else approve
                payment = await pay(self.handset, request, self.clock)
            except EndedError as error:
                self.tell(Answer(request, None, str(error)))
            except (HandsetError, WalletError) as error:
                self.tell(Answer(request, None, str(error)))
                self._put(request)
                await asyncio.sleep(RETRY_S)
            else:
                self.tell(Answer(request, payment, payment.sentence))
                if payment.is_open or payment.status is PaymentStatus.REPLACED:
                    self._put(request)
