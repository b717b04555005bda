"""What the desks of a super-agent ask of it alike: the ledger, and other super-agents.

A desk stands below the node and knows none of its errors, so each ground raises its desk's own.
"""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ORDER
from harambee.money.tariff import Tariff
from harambee.node.errands import Errand, ErrandError
from harambee.node.links import Links
from harambee.node.names import NameDesk
from harambee.node.port import State, UnavailableError
from harambee.node.service import Service
from harambee.protocol.genesis import Genesis

T = TypeVar("T")


@dataclass(frozen=True)
class DeskGround:
    """A super-agent as its desks see it. Belongs to the event loop's thread."""

    cannot: ClassVar[type[Exception]]
    """What is raised where the super-agent cannot tell or do something now; one sentence."""
    errand: ClassVar[Errand]
    """As which the desk asks others."""

    service: Service
    names: NameDesk
    links: Links

    @property
    def genesis(self) -> Genesis:
        """The network's genesis."""
        return self.service.genesis

    @property
    def index(self) -> int:
        """This super-agent's index in the committee."""
        return self.service.index

    def today(self) -> int:
        """Return the day number that this super-agent would put into an order now."""
        return self.service.today()

    def ready(self) -> str | None:
        """Return None when this super-agent serves; otherwise why not."""
        return self.service.ready()

    async def account(self, number: int) -> npt.NDArray[np.void] | None:
        """Return the ACCOUNT record, shape (1,), or None."""
        return await self.told(self.service.account(number))

    async def tariff(self) -> Tariff:
        """Return the tariff of today."""
        return await self.told(self.service.tariff_today())

    async def submitted(
        self, order: bytes, possessions: Mapping[int, bytes], wait_ms: int
    ) -> Outcome | None:
        """Offer an order; ACCEPTED once it is final, None where that is not decided in time."""
        orders = np.frombuffer(order, ORDER)
        submission = await self.told(self.service.submit(orders, dict(possessions), wait_ms))
        return submission.outcome_of(0)

    async def final(self, payer: int, sequence: int, wait_ms: int) -> tuple[bool, bytes | None]:
        """Return whether a slot is decided, and the 128 bytes that are final in it, if any are."""
        slot = await self.told(self.service.slot(payer, sequence, wait_ms))
        return slot.state in (State.FINAL, State.SKIPPED), slot.order

    def is_linked(self, peer: int) -> bool:
        """Whether there is a link to a super-agent now."""
        return self.links.is_up(peer)

    async def asked(self, peer: int, matter: int, content: bytes, patience_s: float) -> bytes:
        """Return a super-agent's answer to its desk's matter; `cannot` if there is none in time."""
        asked = bytes([matter]) + content
        try:
            return await self.names.errands.ask(peer, self.errand, asked, patience_s)
        except ErrandError as error:
            raise self.cannot(str(error)) from error

    async def told(self, answer: Awaitable[T]) -> T:
        """Return what the super-agent answers; `cannot` where it has no answer now."""
        try:
            return await answer
        except UnavailableError as error:
            raise self.cannot(str(error)) from error
