"""Who waits for what: orders that were offered at this door, and slots that somebody watches.

A ticket is one submission. Its orders are found again by their slots, because a slot's fate is the fate
of every order that was offered for it. Everything here but `is_awaited` belongs to the event loop's thread.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.kinds import IS_ELSEWHERE, Space
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import BODY_BYTES
from harambee.node.durations import PAYMENT_BOUNDS_S, Durations
from harambee.node.port import State
from harambee.protocol.effects import Refused
from harambee.protocol.slot import Slot

Orders = npt.NDArray[np.void]
SlotKey = int | Slot
"""payer << 32 | sequence, or the slot of what is not an account: of an alias, of a hold."""

LATENCIES_REMEMBERED: Final = 4_096


@dataclass(eq=False, slots=True)
class Ticket:
    """One submission and what has become of it so far."""

    number: int
    orders: Orders
    states: npt.NDArray[np.uint8]
    outcomes: npt.NDArray[np.uint8]
    left: int
    decided: "asyncio.Future[None]"
    """Done when every order is final or refused."""
    began: float
    bodies: list[bytes]
    keys: list[SlotKey]


@dataclass(slots=True)
class Tickets:
    """All open tickets of one super-agent."""

    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_REMEMBERED))
    """From offer to final, of the newest orders."""
    latencies: Durations = field(default_factory=lambda: Durations(PAYMENT_BOUNDS_S))
    """The same of all orders."""
    _number: int = 0
    _open: dict[int, Ticket] = field(default_factory=dict)
    _waiting: dict[SlotKey, list[tuple[Ticket, int]]] = field(default_factory=dict)
    _watched: dict[SlotKey, list["asyncio.Future[None]"]] = field(default_factory=dict)

    def open(self, orders: Orders) -> Ticket:
        """Return a ticket for (n,) orders, none of them decided."""
        self._number += 1
        count = len(orders)
        loop = asyncio.get_running_loop()
        data = orders.tobytes()
        width = orders.dtype.itemsize
        ticket = Ticket(
            self._number,
            orders,
            np.full(count, State.PENDING, np.uint8),
            np.zeros(count, np.uint8),
            count,
            loop.create_future(),
            time.monotonic(),
            [data[at : at + BODY_BYTES] for at in range(0, len(data), width)],
            slot_keys(orders),
        )
        self._open[ticket.number] = ticket
        for index, key in enumerate(ticket.keys):
            self._waiting.setdefault(key, []).append((ticket, index))
        return ticket

    def close(self, ticket: Ticket) -> None:
        """Forget a ticket; what becomes of its orders later, nobody here waits for."""
        del self._open[ticket.number]
        for index in np.flatnonzero(ticket.states == State.PENDING).tolist():
            self._forget(ticket, index)

    async def watch(self, key: SlotKey, wait_s: float) -> None:
        """Return when a slot is decided, or when the time is over."""
        decided = asyncio.get_running_loop().create_future()
        watchers = self._watched.setdefault(key, [])
        watchers.append(decided)
        try:
            async with asyncio.timeout(wait_s):
                await decided
        except TimeoutError:
            watchers.remove(decided)
            if not watchers and self._watched.get(key) is watchers:
                del self._watched[key]

    def is_awaited(self, orders: Orders) -> bool:
        """Whether somebody waits for one of these orders' slots now. From any thread."""
        if not self._waiting and not self._watched:
            return False
        return any(key in self._waiting or key in self._watched for key in slot_keys(orders))

    def settled(self, orders: Orders) -> None:
        """These orders are final: whoever waits for their slots, learns it."""
        if not self._waiting and not self._watched:
            return
        now = time.monotonic()
        width = orders.dtype.itemsize
        data = orders.tobytes()
        for place, key in enumerate(slot_keys(orders)):
            self._wake(key)
            waiting = self._waiting.pop(key, None)
            if waiting is None:
                continue
            body = data[place * width : place * width + BODY_BYTES]
            for ticket, index in waiting:
                if ticket.bodies[index] == body:
                    self.latencies_ms.append((now - ticket.began) * 1e3)
                    self.latencies.add(now - ticket.began)
                    _decide(ticket, index, State.FINAL, Outcome.ACCEPTED)
                else:
                    _decide(ticket, index, State.REFUSED, _lost_in(key))

    def skipped(self, slots: Sequence[Slot]) -> None:
        """These slots were closed without an order."""
        for slot in slots:
            key: SlotKey = slot
            if slot.is_of_account:
                key = account_key(slot.payer, slot.sequence)
            self._wake(key)
            for ticket, index in self._waiting.pop(key, ()):
                _decide(ticket, index, State.REFUSED, Outcome.SLOT_SKIPPED)

    def refused(self, refused: Refused) -> None:
        """A rule refuses these orders of a ticket."""
        ticket = self._open.get(refused.ticket)
        if ticket is None:
            return
        for index, outcome in zip(refused.indices.tolist(), refused.outcomes.tolist(), strict=True):
            if ticket.states[index] == State.PENDING:
                self._forget(ticket, index)
                _decide(ticket, index, State.REFUSED, Outcome(outcome))

    def _wake(self, key: SlotKey) -> None:
        """A slot is decided: whoever watches it, learns it."""
        for decided in self._watched.pop(key, ()):
            if not decided.done():
                decided.set_result(None)

    def _forget(self, ticket: Ticket, index: int) -> None:
        key = ticket.keys[index]
        waiting = self._waiting.get(key)
        if waiting is None:
            return
        waiting[:] = [pair for pair in waiting if pair != (ticket, index)]
        if not waiting:
            del self._waiting[key]


def account_key(payer: int, sequence: int) -> int:
    """Return the key of an account's slot."""
    return payer << 32 | sequence


def _lost_in(key: SlotKey) -> Outcome:
    """Return what an order is told whose slot went to another one."""
    is_of_hold = not isinstance(key, int) and key.space == Space.HOLD
    return Outcome.HOLD_UNKNOWN if is_of_hold else Outcome.SEQUENCE_STALE


def _decide(ticket: Ticket, index: int, state: State, outcome: Outcome) -> None:
    ticket.states[index] = state
    ticket.outcomes[index] = outcome
    ticket.left -= 1
    if not ticket.left and not ticket.decided.done():
        ticket.decided.set_result(None)


def slot_keys(orders: Orders) -> list[SlotKey]:
    """Return the slot of each order."""
    numbers = orders["payer"].astype(np.uint64) << np.uint64(32) | orders["sequence"]
    keys: list[SlotKey] = numbers.tolist()
    for index in np.flatnonzero(IS_ELSEWHERE[orders["kind"]]).tolist():
        keys[index] = Slot.of(orders[index])
    return keys
