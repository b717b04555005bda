"""Bringing one slot to its end: the same bytes to one door after another, until enough have spoken.

An order is final on receipts of w super-agents, and refused on refusals of q, each checked with the
committee's keys: a broker's bare word counts for nothing. Everything else is "not yet".
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from harambee.handset.doors import Door, DoorError, SlotView
from harambee.handset.orders import KIND_AT
from harambee.handset.receipts import Receipt, Refusal
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.protocol.genesis import Genesis

OFFER_WAIT_MS: Final = 3_000
"""How long a door may wait for the order to be decided before it answers."""
WATCH_WAIT_MS: Final = 10_000
OVERTAKE_S: Final = 1
PAUSE_S: Final = 0.1
PAUSE_S_MAX: Final = 2

NOT_YET: Final = frozenset(
    {
        Outcome.SEQUENCE_AHEAD,
        Outcome.SLOT_TAKEN,
        Outcome.SLOT_FENCED,
        Outcome.BROKER_BUSY,
        # The slot is decided; the watch on it will say how.
        Outcome.SEQUENCE_STALE,
        Outcome.SLOT_SKIPPED,
    }
)
"""Refusals that say "later", or "look at the slot", and are no reason to give the order up."""


LOOK_AT_THE_HOLD: Final = frozenset({Outcome.HOLD_UNKNOWN, Outcome.SUBJECT_SEQUENCE_WRONG})
"""Of who has seen the hold: it has ended, or its slot was closed, or the door has not heard of it yet."""


@dataclass(frozen=True, slots=True)
class SlotOfOrders:
    """A slot and the handset's own orders in it, by id; the last one is to be offered."""

    payer: int
    sequence: int
    orders: dict[bytes, bytes]
    table: bytes = b""
    """The payee table of the first order, where that is a bulk pay-out."""
    possession: bytes = b""
    """What a new key signed, where the first order brings one."""
    hold: tuple[int, int] | None = None
    """The hold whose slot it is; `sequence` counts those of the hold then."""

    @property
    def not_yet(self) -> frozenset[Outcome]:
        """Which refusals are no reason to give an order up in this slot."""
        return NOT_YET if self.hold is None else NOT_YET | LOOK_AT_THE_HOLD

    async def asked(self, door: Door, name: bytes, wait_ms: int) -> SlotView:
        """Ask a door what is final here, if not the order of that id."""
        if self.hold is None:
            return await door.slot(self.payer, self.sequence, name, wait_ms)
        return await door.ending(self.hold, self.sequence, name, wait_ms)

    @property
    def last_id(self) -> bytes:
        """The id of the order that is to be offered."""
        return next(reversed(self.orders))


@dataclass
class Decision:
    """What became of a slot, as far as the handset could prove it."""

    final_id: bytes | None = None
    """The own order that is final, on w receipts."""
    receipts: tuple[Receipt, ...] = ()
    foreign: bool = False
    """The slot is final with an order that this handset does not know; w super-agents say so."""
    skipped: bool = False
    """The slot was closed without an order; w super-agents say so."""
    refused_by: Outcome | None = None
    """The reason most super-agents gave, where q refused."""
    refusals: tuple[Refusal, ...] = ()
    heard: bool = False
    """At least one super-agent has taken the order or spoken about it."""
    via: str | None = None
    """The first super-agent that took the order."""


@dataclass
class Settlement:
    """Collects signed words about one slot; `decide` returns when they suffice or time is up."""

    genesis: Genesis
    doors: Sequence[Door]
    slot: SlotOfOrders
    _receipts: dict[bytes, dict[int, Receipt]] = field(default_factory=dict)
    _refusals: dict[int, Refusal] = field(default_factory=dict)
    _others: dict[bytes | None, set[int]] = field(default_factory=dict)
    """Who says that another order is final in the slot; None stands for no order at all."""
    _decision: Decision = field(default_factory=Decision)
    _decided: asyncio.Event = field(default_factory=asyncio.Event)

    async def decide(self, patience_s: float) -> Decision:
        """Offer and watch until the slot is decided, q have refused, or the patience is over."""
        tasks = [asyncio.create_task(self._watch(door)) for door in self.doors]
        tasks.append(asyncio.create_task(self._offer_in_turn()))
        ended = asyncio.create_task(self._decided.wait())
        everything: list[asyncio.Task[Any]] = [*tasks, ended]
        try:
            # A task that ends before the decision has a bug to report; waiting would hide it.
            await asyncio.wait(everything, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            await _end(everything)
        return self._decision

    async def _offer_in_turn(self) -> None:
        """Bring the bytes to one door after another, and after a refusal to all at once.

        A door that is slow to answer is overtaken, not waited for: the bytes are the same.
        """
        running: dict[int, asyncio.Task[None]] = {}
        pause_s = PAUSE_S
        try:
            while True:
                for door in self.doors:
                    if door.index in running and not running[door.index].done():
                        continue
                    offer = asyncio.create_task(self._offer(door))
                    running[door.index] = offer
                    if not self._refusals:
                        await asyncio.wait([offer], timeout=OVERTAKE_S)
                    if offer.done():
                        offer.result()
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, PAUSE_S_MAX)
        finally:
            await _end(list(running.values()))

    async def _offer(self, door: Door) -> None:
        name = self.slot.last_id
        try:
            order = self.slot.orders[name]
            if self.slot.table and order[KIND_AT] == OrderKind.BULK_PAY_OUT:
                answer = await door.pay_out(order, self.slot.table, OFFER_WAIT_MS)
            elif self.slot.possession and order[KIND_AT] == OrderKind.CHANGE_KEY:
                answer = await door.offer(order, OFFER_WAIT_MS, self.slot.possession)
            else:
                answer = await door.offer(order, OFFER_WAIT_MS)
        except DoorError:
            return
        self._decision.heard = True
        if answer.state in ("final", "pending") and self._decision.via is None:
            self._decision.via = door.name
        self._take_receipt(door, name, answer.receipt)
        self._take_refusal(door, name, answer.refusal)

    async def _watch(self, door: Door) -> None:
        """Ask a door about the slot again and again; it waits with us until there is an answer."""
        name = self.slot.last_id
        while True:
            try:
                view = await self.slot.asked(door, name, WATCH_WAIT_MS)
            except DoorError:
                await asyncio.sleep(PAUSE_S)
                continue
            self._take_receipt(door, name, view.receipt)
            if view.state == "other" and view.other_id is not None:
                if view.other_id in self.slot.orders and view.other_id != name:
                    name = view.other_id
                    continue
                self._take_other(door, view.other_id)
            elif view.state == "skipped":
                self._take_other(door, None)
            await asyncio.sleep(PAUSE_S)

    def _take_receipt(self, door: Door, name: bytes, receipt: Receipt | None) -> None:
        if receipt is None or receipt.super_agent != door.index:
            return
        mine = self._receipts.setdefault(name, {})
        if door.index in mine or not receipt.holds(self.genesis, name):
            return
        mine[door.index] = receipt
        if len(mine) >= self.genesis.committee.w and not self._decided.is_set():
            self._decision.final_id = name
            self._decision.receipts = tuple(mine.values())
            self._decided.set()

    def _take_refusal(self, door: Door, name: bytes, refusal: Refusal | None) -> None:
        if (
            refusal is None
            or refusal.outcome in self.slot.not_yet
            or refusal.super_agent != door.index
        ):
            return
        if refusal.outcome is Outcome.ACCEPTED or not refusal.holds(self.genesis, name):
            return
        self._refusals[door.index] = refusal
        if len(self._refusals) >= self.genesis.committee.q and not self._decided.is_set():
            reasons = [given.outcome for given in self._refusals.values()]
            self._decision.refused_by = max(reasons, key=reasons.count)
            self._decision.refusals = tuple(self._refusals.values())
            self._decided.set()

    def _take_other(self, door: Door, other: bytes | None) -> None:
        said = self._others.setdefault(other, set())
        said.add(door.index)
        if len(said) >= self.genesis.committee.w and not self._decided.is_set():
            self._decision.foreign = other is not None
            self._decision.skipped = other is None
            self._decided.set()


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel what is still under way, and see every task to its end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
