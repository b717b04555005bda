"""What is final, brought to the ledger: at once, or when what it waits for is there.

Orders become final in any order: the payer's next one before this one, a payment before the enrolment of its
payee. The ledger says of such an order that it waits, and it is kept here until it does not. All that wait
are tried again together, and only those whose turn it is: so many final orders that came in the wrong order
cost one attempt each, and not one for each other.
"""

import numpy as np
import numpy.typing as npt

from harambee.ledger.kinds import HAS_CONTENT, Space
from harambee.ledger.ledger import Applied, Ledger
from harambee.ledger.payees import NO_TABLES, PayeeTable, Tables
from harambee.protocol.slot import Slot

Orders = npt.NDArray[np.void]
Indices = npt.NDArray[np.uint32]


class Applier:
    """The ledger's door for what is final. Not thread-safe; belongs to one replica."""

    def __init__(self, ledger: Ledger) -> None:
        """Nothing waits yet."""
        self.ledger = ledger
        self._waiting: list[tuple[Orders, npt.NDArray[np.int64], Indices]] = []
        """Orders with the positions of their blocks and their indices in them."""
        self._tables: dict[Slot, PayeeTable] = {}
        """What came beside those that wait, by their orders' slots: copies, which hold no block."""
        self._slots: set[Slot] = set()
        self._moved = False
        """Whether something was applied or skipped since those that wait were tried."""

    def __len__(self) -> int:
        """How many final orders wait."""
        return len(self._slots)

    def waits_in(self, slot: Slot) -> bool:
        """Whether the order that is final in a slot waits to be applied."""
        return slot in self._slots

    def apply(
        self, orders: Orders, position: int, indices: Indices, tables: Tables = NO_TABLES
    ) -> Orders:
        """Apply (n,) final orders of the block at a position of the journal, which lie there at `indices`.

        `tables` are what the block carries beside its orders.
        Returns those that were applied now; those that wait are kept, and are found by `apply_waiting`.
        """
        if not len(orders):
            return orders
        states = self.ledger.apply(orders, position, indices, tables)
        waits = states == Applied.WAITING
        if waits.any():
            where = np.full(int(waits.sum()), position, np.int64)
            self._waiting.append((orders[waits], where, indices[waits]))
            self._slots.update(map(Slot.of, orders[waits]))
            self._keep_tables(orders[waits], tables)
        done: Orders = orders[states == Applied.APPLIED]
        self._moved = self._moved or len(done) > 0
        if self._slots:
            self._slots.difference_update(map(Slot.of, done))
        for order in done[HAS_CONTENT[done["kind"]]] if self._tables else ():
            self._tables.pop(Slot.of(order), None)
        return done

    def places_waiting(self) -> list[tuple[int, int]]:
        """Return where the orders that wait lie: positions of blocks in the journal, and indices in them."""
        return [
            (int(position), int(index))
            for _, positions, indices in self._waiting
            for position, index in zip(positions, indices, strict=True)
        ]

    def wait(self, order: Orders, position: int, index: int, tables: Tables) -> None:
        """Let a final order, (1,), wait again that waited when a frame was written."""
        place = np.array([position], np.int64), np.array([index], np.uint32)
        self._waiting.append((order.copy(), *place))
        self._slots.add(Slot.of(order[0]))
        self._keep_tables(order, tables)
        self._moved = True

    def _keep_tables(self, orders: Orders, tables: Tables) -> None:
        """Keep what came beside orders that wait."""
        for order in orders[HAS_CONTENT[orders["kind"]]]:
            self._tables[Slot.of(order)] = tables[order["reference"].tobytes()].copy()

    def _tables_of(self, orders: Orders) -> Tables:
        """Return what is kept beside orders that waited.

        There is none where an order waited in two blocks and was applied from the other one just now.
        """
        return {
            order["reference"].tobytes(): self._tables[Slot.of(order)]
            for order in orders[HAS_CONTENT[orders["kind"]]]
            if Slot.of(order) in self._tables
        }

    def skip(self, slot: Slot) -> bool:
        """Burn a slot: the sequence goes on, and nothing else happens. False where it is not the next."""
        skipped = self.ledger.skip(Space(slot.space), slot.subject, slot.sequence)
        self._moved = self._moved or skipped
        return skipped

    def apply_waiting(self) -> list[Orders]:
        """Apply those whose wait is over, and those that waited for them; returns what was applied."""
        applied: list[Orders] = []
        while self._moved and self._waiting:
            self._moved = False
            for orders, position, indices in self._take_ready():
                done = self.apply(orders, position, indices, self._tables_of(orders))
                if len(done):
                    applied.append(done)
        self._moved = False
        return applied

    def _take_ready(self) -> list[tuple[Orders, int, Indices]]:
        """Take out those that are next in their slots, together where they lie in one block."""
        orders, positions, indices = map(np.concatenate, zip(*self._waiting, strict=True))
        ready = self.ledger.following(orders) == orders["sequence"]
        rest = ~ready
        self._waiting = [(orders[rest], positions[rest], indices[rest])] if rest.any() else []
        taken = []
        for position in np.unique(positions[ready]).tolist():
            here = ready & (positions == position)
            taken.append((orders[here], position, indices[here]))
        return taken
