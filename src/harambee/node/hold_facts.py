"""What a super-agent tells of holds and of reversals: from its ledger, and from its journal what is past.

The ledger keeps open holds only. How one ended stands in the statement of its payer, behind the hold
itself: there the order that ended it is looked for. Payers of holds are people, so that is a short way.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from harambee.ledger.house_rules import REFUNDABLE
from harambee.ledger.kinds import ENDINGS, OrderKind, Space
from harambee.ledger.records import BODY_BYTES, SEQUENCE_LAST
from harambee.ledger.rules import Order, named_slot
from harambee.ledger.side_tables import Reversal, SlotKey, subject_of_hold
from harambee.node.forgotten import refuse_forgotten
from harambee.node.port import HoldFacts, OpenHold, ReversalFacts, Slot, State, UnavailableError
from harambee.node.tickets import Tickets
from harambee.protocol.replica import Replica
from harambee.protocol.slot import Slot as LedgerSlot

T = TypeVar("T")
Orders = npt.NDArray[np.void]

WALK_MAX: Final = 1 << 16
"""How many newer entries of its payer are looked through for what ended a hold."""
READ_AT_ONCE: Final = 64
READ_MAX: Final = 4_096
"""How many orders that ended holds between the same two are read to find the one."""

_TOO_FAR: Final = "This hold is too long ago to say how it ended."


class Ask(NamedTuple):
    """How to ask one super-agent: its replica, in its turn, and its journal."""

    replica: Callable[[Callable[[Replica], Any]], Awaitable[Any]]
    orders_at: Callable[[npt.NDArray[np.void]], Awaitable[Orders]]
    """The ORDER (n,) that each ENTRY (n,) stands for."""


class _Traces(NamedTuple):
    """What the ledger says of a hold."""

    own: npt.NDArray[np.void]
    """The ENTRY (1,) of the order in the slot named; (0,) where none is final."""
    slot: int
    """The hold's next slot; SEQUENCE_LAST once it has ended."""
    is_open: bool
    is_waited_for: bool
    """Whether an order that ends it waits here, or is locked."""
    later: npt.NDArray[np.void]
    """The ENTRY (n,) of orders that may have ended it, oldest first."""


def _traces(replica: Replica, key: SlotKey) -> _Traces:
    """Ask the ledger; UnavailableError where the way back is too long."""
    ledger, (payer, _) = replica.ledger, key
    nothing = ledger.entries[:0].copy()
    refuse_forgotten(ledger, *key)
    entry = ledger.entry_of_slot(*key)
    if entry is None:
        return _Traces(nothing, 0, is_open=False, is_waited_for=False, later=nothing)
    own = ledger.entries[entry : entry + 1].copy()
    hold = ledger.side.holds.get(key)
    if hold is not None:
        slot = LedgerSlot(int(Space.HOLD), subject_of_hold(key), hold.next_sequence)
        waits = replica.slots.holder(slot) is not None
        return _Traces(own, hold.next_sequence, is_open=True, is_waited_for=waits, later=nothing)
    walked = ledger.entries_of(payer, WALK_MAX)
    if len(walked) == WALK_MAX and int(walked[-1]) > entry:
        raise UnavailableError(_TOO_FAR)
    newer = ledger.entries[walked[walked > entry][::-1]]
    of_both = (newer["payer"] == payer) & (newer["payee"] == own["payee"][0])
    endings = newer[of_both & (newer["sequence"] == SEQUENCE_LAST)]
    return _Traces(own, SEQUENCE_LAST, is_open=False, is_waited_for=False, later=endings)


async def _hold_and_ending(
    ask: Ask, key: SlotKey
) -> tuple[_Traces, np.void | None, np.void | None]:
    """Return what the ledger says, the ORDER of the hold, and the one that ended it; None for no such."""
    traces: _Traces = await ask.replica(lambda replica: _traces(replica, key))
    found = await ask.orders_at(traces.own)
    if not len(found) or int(found[0]["kind"]) != OrderKind.HOLD:
        return traces, None, None
    if len(traces.later) > READ_MAX:
        raise UnavailableError(_TOO_FAR)
    for start in range(0, len(traces.later), READ_AT_ONCE):
        for order in await ask.orders_at(traces.later[start : start + READ_AT_ONCE]):
            if int(order["kind"]) in ENDINGS and named_slot(Order.of(order)) == key:
                return traces, found[0], order
    return traces, found[0], None


async def hold_of(ask: Ask, key: SlotKey) -> HoldFacts | None:
    """Return a hold and how it ended; None where no hold is final in the slot."""
    traces, hold, ending = await _hold_and_ending(ask, key)
    if hold is None:
        return None
    return HoldFacts(hold.tobytes(), traces.slot, None if ending is None else ending.tobytes())


async def ending(ask: Ask, tickets: Tickets, key: SlotKey, number: int, wait_ms: int) -> Slot:
    """Say what is final in the slots of a hold; wait for it at most `wait_ms`.

    `number` is which of them is asked for: it is SKIPPED where recovery closed it and the hold is open.
    """
    found = await _ending_now(ask, key, number)
    if found.state in (State.PENDING, State.UNKNOWN) and wait_ms:
        slot = LedgerSlot(int(Space.HOLD), subject_of_hold(key), number)
        await tickets.watch(slot, wait_ms / 1_000)
        found = await _ending_now(ask, key, number)
    return found


async def _ending_now(ask: Ask, key: SlotKey, number: int) -> Slot:
    traces, hold, ended = await _hold_and_ending(ask, key)
    if ended is not None:
        return Slot(State.FINAL, ended.tobytes())
    if hold is None or not traces.is_open:
        return Slot(State.UNKNOWN, None)
    if number < traces.slot:
        return Slot(State.SKIPPED, None)
    return Slot(State.PENDING if traces.is_waited_for else State.UNKNOWN, None)


async def is_final_ending(ask: Ask, order: np.void) -> bool:
    """Whether this very order has ended the hold that it names."""
    key = named_slot(Order.of(order))
    found = await _ending_now(ask, key, int(order["sequence"]))
    return found.order is not None and found.order[:BODY_BYTES] == order.tobytes()[:BODY_BYTES]


async def open_holds(ask: Ask, account: int, limit: int, after: SlotKey | None) -> list[OpenHold]:
    """Return open holds of an account, as payer and as payee, ascending by their slots."""

    def question(replica: Replica) -> list[OpenHold]:
        side = replica.ledger.side
        keys = side.holds_of(account, after, limit)
        return [OpenHold(*key, side.holds[key]) for key in keys]

    found: list[OpenHold] = await ask.replica(question)
    return found


async def reversal_of(ask: Ask, key: SlotKey) -> ReversalFacts | None:
    """Return what became of the wish to have a payment back; None where no such payment is final."""

    def question(replica: Replica) -> tuple[npt.NDArray[np.void], Reversal]:
        ledger = replica.ledger
        refuse_forgotten(ledger, *key)
        entry = ledger.entry_of_slot(*key)
        own = ledger.entries[:0] if entry is None else ledger.entries[entry : entry + 1]
        return own.copy(), ledger.side.reversals.get(key, Reversal())

    own, state = await ask.replica(question)
    found = await ask.orders_at(own)
    if not len(found) or int(found[0]["kind"]) not in REFUNDABLE:
        return None
    return ReversalFacts(found[0].tobytes(), state)
