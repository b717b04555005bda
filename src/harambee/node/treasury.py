"""What a super-agent does with its own accounts beside serving others: commissions paid, float watched."""

import asyncio
import logging
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.records import OPENING, POSITION_COMMISSION, account_number
from harambee.node.commissions import CommissionPayer
from harambee.node.float_watch import FloatWatch
from harambee.node.network_folder import NodeFiles
from harambee.node.service import Service

log: Final = logging.getLogger(__name__)


class Treasury:
    """The tasks that go with one super-agent's regions. Belongs to the event loop's thread."""

    def __init__(self, files: NodeFiles, service: Service) -> None:
        """Nothing runs yet."""
        regions = service.genesis.committee.members[service.index].regions
        self._watches = [FloatWatch(service, region) for region in regions]
        self._payers = [
            CommissionPayer(files, service, region)
            for region in regions
            if files.config.pay_commissions and _holds_key(files, region)
        ]
        service.floats = [watch.facts for watch in self._watches]
        service.commissions = [payer.facts for payer in self._payers]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; what is to be read is read as soon as the super-agent can tell."""
        runs = [payer.run() for payer in self._payers] + [watch.run() for watch in self._watches]
        self._tasks = [asyncio.create_task(run) for run in runs]

    async def stop(self) -> None:
        """End; an order that is on its way is found again in the journal."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def note_final(self, orders: npt.NDArray[np.void]) -> None:
        """Orders became final here, (n,)."""
        for payer in self._payers:
            payer.note_final(orders)


def _holds_key(files: NodeFiles, region: int) -> bool:
    """Whether the treasury key is that of the region's commission account; says so where it is not."""
    openings = np.frombuffer(files.genesis.openings, OPENING)
    number = account_number(region, POSITION_COMMISSION)
    row = np.flatnonzero(openings["number"] == number)
    if len(row) and openings["key"][row[0]].tobytes() == files.treasury.public:
        return True
    log.warning(
        "%s is not the key of account %d: no commissions", files.config.treasury_key, number
    )
    return False
