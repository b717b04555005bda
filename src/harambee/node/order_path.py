"""How one order became final: whose block carried it, who voted at which height, who acknowledged it.

Nothing is written down for this. Who votes for a block and who acknowledges it is arithmetic on heights
(`protocol.chains`), so it is computed from the rows that a replica keeps anyway, and only for blocks of
which it still keeps them; the blocks themselves, read from the journal, say when their authors' clocks made
them, and which orders they refused.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from harambee.node.forgotten import refuse_forgotten
from harambee.node.journal import JournalReader
from harambee.node.port import OrderPath, PathStep, State
from harambee.protocol.chains import NEVER, Chains
from harambee.protocol.effects import Name
from harambee.protocol.slot import Slot
from harambee.protocol.wire import Block

if TYPE_CHECKING:
    from harambee.protocol.replica import Replica

ASKED_AT_ONCE: Final = 2
"""Two blocks of every super-agent are read for one path; others wait for their turn."""

T = TypeVar("T")


class Ask(Protocol):
    """Asks the replica, as `Service.ask` does."""

    def __call__(self, question: "Callable[[Replica], T]", /) -> Awaitable[T]:
        """Return the answer."""


class OrderPaths:
    """Paths of orders, for people to look at. Belongs to the event loop's thread."""

    def __init__(
        self,
        ask: Ask,
        journal: JournalReader,
        blocks: Callable[[list[int]], Awaitable[list[Block]]],
    ) -> None:
        """`blocks` reads those at some positions of the journal."""
        self._ask, self._journal, self._blocks = ask, journal, blocks
        self._room = asyncio.Semaphore(ASKED_AT_ONCE)

    async def of(self, payer: int, sequence: int) -> OrderPath:
        """Return the path of the order in a slot; UnavailableError where nobody can tell here."""
        async with self._room:
            return await self._of(payer, sequence)

    async def _of(self, payer: int, sequence: int) -> OrderPath:
        found = await self._ask(lambda replica: _look(replica, payer, sequence))
        if isinstance(found, State):
            return OrderPath(found)
        state = State.PENDING
        if isinstance(found, int):
            entry = await self._ask(lambda replica: replica.ledger.entries[found].copy())
            (block,) = await self._blocks([int(entry["position"])])
            row, state = int(entry["index"]), State.FINAL
        else:
            block, row = found
        own = PathStep(block.author, block.incarnation, block.height, block.time_ms)
        order = block.orders[row].tobytes()
        rows = await self._ask(lambda replica: _steps(replica.chains, block))
        if rows is None:
            return OrderPath(state, order, own, is_known=False)
        voting, acknowledging = rows
        votes, refusals = [], []
        for step, its in await self._read(voting):
            outcome = _refused_by(its, block, row)
            if outcome is None:
                votes.append(step)
            else:
                refusals.append(
                    PathStep(step.author, step.incarnation, step.height, step.time_ms, outcome)
                )
        # An order that somebody refused is counted by itself, and not with its block.
        counted = [] if refusals else await self._read(acknowledging)
        return OrderPath(
            state,
            order,
            own,
            tuple(votes),
            tuple(refusals),
            tuple(step for step, _ in counted),
        )

    async def _read(self, names: list[Name]) -> list[tuple[PathStep, Block]]:
        """Return the steps that some blocks are, and the blocks; what is not here is left out."""
        positions = await asyncio.to_thread(
            lambda: [self._journal.position_of(name) for name in names]
        )
        blocks = await self._blocks([position for position in positions if position is not None])
        return [
            (PathStep(one.author, one.incarnation, one.height, one.time_ms), one) for one in blocks
        ]


def _look(replica: "Replica", payer: int, sequence: int) -> State | int | tuple[Block, int]:
    """Return the entry of a slot's final order, or where one waits (block, row), or why there is none."""
    ledger = replica.ledger
    refuse_forgotten(ledger, payer, sequence)
    entry = ledger.entry_of_slot(payer, sequence)
    if entry is not None:
        return entry
    if sequence < ledger.next_sequence(payer):
        return State.SKIPPED
    waiting = replica.waiting_in(Slot.of_account(payer, sequence))
    if not waiting:
        is_open = replica.slots.is_open(payer, sequence)
        return State.PENDING if is_open else State.UNKNOWN
    (_, _, row), block = waiting[0]
    return block, row


def _steps(chains: Chains, block: Block) -> tuple[list[Name], list[Name]] | None:
    """Return the blocks by which each author first votes for a block, and first acknowledges it.

    None where the window has gone past one of them, for then nobody knows which was the first.
    """
    lane = chains.find(block.author, block.height, block.digest, block.incarnation)
    if lane is None:
        return None
    voting = _first_of_each(chains, chains.first_votes(lane, block.height))
    acknowledging = _first_of_each(chains, chains.first_acknowledgements(lane, block.height))
    return None if voting is None or acknowledging is None else (voting, acknowledging)


def _first_of_each(chains: Chains, heights: npt.NDArray[np.int32]) -> list[Name] | None:
    names = []
    for author, lanes in enumerate(chains.lanes_of):
        lane = next((lane for lane in lanes if heights[lane] != NEVER), None)
        if lane is None:
            continue
        height, about = int(heights[lane]), chains.lanes[lane]
        digest = chains.digest_at(lane, height)
        if digest is None or about.base + 1 < height == chains.lowest_kept(lane):
            return None
        names.append(Name(author, about.incarnation, height, digest))
    return names


def _refused_by(voter: Block, block: Block, row: int) -> int | None:
    """Return the outcome by which one block refuses an order of another, None where it does not."""
    for rejection in voter.rejections:
        its = rejection.author, rejection.incarnation, rejection.height
        if its == (block.author, block.incarnation, block.height) and row in rejection.rows:
            return int(rejection.outcomes[rejection.indices == row][0])
    return None
