"""The books of every day: what its final orders moved between parties, read from the journal once.

Nothing of it is on disk: it is a fold over the final orders, as they are applied here, by the day
that each of them names. So it is the same at every super-agent that holds the same orders, and an
order that becomes final late finds its day still.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.payees import PayeeTable
from harambee.ledger.records import ROW_OF_TABLE
from harambee.money.tariff import Tariff
from harambee.node.forgotten import refuse_without_history
from harambee.oversight.day_close import DayClose, flows_digest, write_flows
from harambee.oversight.flows import FlowReader
from harambee.oversight.settlement_parties import SettlementParties

if TYPE_CHECKING:
    from harambee.node.service import Service
    from harambee.protocol.genesis import Genesis
    from harambee.protocol.replica import Replica

Orders = npt.NDArray[np.void]

SCAN_ENTRIES: Final = 65_536
"""Statement entries that are looked at in one question to the ledger."""
READ_ORDERS: Final = 1_024
"""Orders that are read from the journal at once; then other work has its turn."""


@dataclass
class DayBook:
    """One day: what was moved, and where in this super-agent's entries its orders are."""

    cells: dict[tuple[int, int], int] = field(default_factory=dict)
    """(paying party, paid party) -> cents."""
    orders: int = 0
    first_entry: int = 0
    end_entry: int = 0
    """One past the last entry of an order of the day; orders of other days lie between."""


class Books:
    """The arithmetic, by day; knows no ledger."""

    def __init__(self, genesis: "Genesis") -> None:
        """Nothing is read yet."""
        self.parties: Final = SettlementParties.of(genesis)
        self._genesis = genesis
        self._tariffs = {tariff.version: tariff for tariff in genesis.tariffs}
        self._reader = FlowReader(self.parties, self._tariffs)
        self._days: defaultdict[int, DayBook] = defaultdict(DayBook)

    def know(self, tariffs: Iterable[Tariff]) -> None:
        """Learn of tariffs that came after the genesis; orders name them once they are final."""
        self._tariffs |= {tariff.version: tariff for tariff in tariffs}

    def take(
        self, orders: Orders, entries: npt.NDArray[np.int64], tables: dict[int, PayeeTable]
    ) -> None:
        """Enter (n,) final ORDER records with their entry numbers, (n,), ascending.

        `tables` are the payee tables of the bulk orders among them, by row.
        """
        # Computed in full before anything is entered, so that a failure enters nothing twice.
        flows = list(self._reader.flows(orders, tables))
        days = orders["day"]
        for day in np.unique(days).tolist():
            own = entries[days == day]
            book = self._days[day]
            if not book.orders:
                book.first_entry = int(own[0])
            book.orders += len(own)
            book.end_entry = int(own[-1]) + 1
        for day, payer, payee, cents in flows:
            cells = self._days[day].cells
            cells[payer, payee] = cells.get((payer, payee), 0) + cents

    @property
    def days(self) -> list[int]:
        """The days of which there are orders, ascending."""
        return sorted(self._days)

    def book(self, day: int) -> DayBook:
        """Return a day's book, empty where it has no orders."""
        return self._days[day] if day in self._days else DayBook()

    def flows(self, day: int) -> bytes:
        """Return a day's flows as a close names them."""
        return write_flows(self.book(day).cells)

    def close(self, day: int) -> DayClose:
        """Return what a day came to, by all that was entered so far."""
        balances = list(self.parties.opening_cents)
        positions = [0] * len(balances)
        for earlier, book in self._days.items():
            if earlier <= day:
                change = _positions(book, len(balances))
                balances = [sum(pair) for pair in zip(balances, change, strict=True)]
                if earlier == day:
                    positions = change
        return DayClose(
            network=self._genesis.network,
            epoch=self._genesis.committee.epoch,
            day=day,
            orders=self.book(day).orders,
            flows_digest=flows_digest(self.flows(day)),
            parties=self.parties.all,
            positions_cents=tuple(positions),
            balances_cents=tuple(balances),
        )


def _positions(book: DayBook, parties: int) -> list[int]:
    positions = [0] * parties
    for (payer, payee), cents in book.cells.items():
        positions[payer] -= cents
        positions[payee] += cents
    return positions


class DayBooks:
    """Keeps `Books` up to date with one super-agent's ledger. Belongs to the event loop's thread."""

    def __init__(self, service: "Service") -> None:
        """Nothing is read yet."""
        self.books: Final = Books(service.genesis)
        self.read_up_to = 0
        """The entry from which on nothing was read yet."""
        self._service = service
        self._reading = asyncio.Lock()

    async def read_up(self) -> None:
        """Read all that is final now; UnavailableError where the journal cannot tell."""
        async with self._reading:
            at_end = False
            while not at_end:
                entries, numbers, end, at_end = await self._service.ask(self._question)
                for start in range(0, len(entries), READ_ORDERS):
                    began = time.monotonic()
                    part = entries[start : start + READ_ORDERS]
                    orders = await self._service.orders_at(part)
                    tables = await self._service.tables_at(orders, part)
                    own = numbers[start : start + READ_ORDERS]
                    self.books.take(orders, own, tables)
                    # Exactly what was entered: what fails in between is read again, and nothing twice.
                    self.read_up_to = int(own[-1]) + 1
                    # Customers wait in this thread too.
                    await self._service.give_way(time.monotonic() - began)
                self.read_up_to = end

    def _question(self, replica: "Replica") -> tuple[Orders, npt.NDArray[np.int64], int, bool]:
        """Orders' entries not yet read, their numbers, the entry to go on from, and if it is the end."""
        refuse_without_history(replica.ledger)
        fresh = replica.ledger.entries[self.read_up_to : self.read_up_to + SCAN_ENTRIES]
        places = np.flatnonzero(fresh["revenue_previous"] != ROW_OF_TABLE)
        end = self.read_up_to + len(fresh)
        at_end = end == replica.ledger.entry_count
        # All that these orders may name: what they say is final here.
        self.books.know(replica.ledger.tariffs)
        return fresh[places], places + self.read_up_to, end, at_end
