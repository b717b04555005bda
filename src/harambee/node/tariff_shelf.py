"""Every version of the tariff that a super-agent's ledger knows, without asking the replica each time."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from harambee.handset.tariffs import in_force
from harambee.ledger.kinds import OrderKind
from harambee.money.tariff import Tariff
from harambee.protocol.replica import Replica

T = TypeVar("T")
Row = tuple[int, Tariff]
"""The number of its first day, and the tariff."""


class Ask(Protocol):
    """Asks the replica."""

    def __call__(self, question: Callable[[Replica], T]) -> Coroutine[Any, Any, T]:
        """Return the answer of one consistent state."""


class TariffShelf:
    """The tariffs as they were when the last one came. Belongs to the event loop's thread."""

    def __init__(self, genesis: Sequence[Tariff], ask: Ask) -> None:
        """It begins with those of the genesis, and asks once for what came since."""
        self._ask = ask
        self._rows: list[Row] = [(0, tariff) for tariff in genesis]
        self._came = 1
        """How many may have come: what the journal has, and those noted since."""
        self._read = 0

    def note_final(self, orders: npt.NDArray[np.void]) -> None:
        """Orders became final, (n,)."""
        if np.any(orders["kind"] == OrderKind.NEW_TARIFF):
            self._came += 1

    async def rows(self) -> list[Row]:
        """Return all, ascending by version."""
        if self._read != self._came:
            # Counted before the question is asked: what comes meanwhile is asked for next time.
            came = self._came
            self._rows = await self._ask(_rows)
            self._read = came
        return self._rows

    async def known(self) -> Mapping[int, Tariff]:
        """Return all by version."""
        return {tariff.version: tariff for _, tariff in await self.rows()}

    async def of_day(self, day: int) -> Tariff:
        """Return the tariff that orders of a day pay by."""
        return in_force(await self.rows(), day)


def _rows(replica: Replica) -> list[Row]:
    ledger = replica.ledger
    days = ledger.side.tariff_days
    return [(days.get(tariff.version, 0), tariff) for tariff in ledger.tariffs]
