"""A super-agent as the desk for merchants sees it (`harambee.merchants.ground.Ground`)."""

import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from harambee.crypto.signatures import Signer
from harambee.handset.telephone import TelephoneError
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ORDER
from harambee.merchants.ground import GroundError, Matter
from harambee.merchants.port import MerchantsError, Reason
from harambee.money.tariff import Tariff
from harambee.node.errands import Errand, ErrandError
from harambee.node.links import Links
from harambee.node.names import NameDesk
from harambee.node.port import NameStatus, State, UnavailableError
from harambee.node.service import Service
from harambee.protocol.genesis import Genesis

_NO_NAME: Final = {
    NameStatus.NONE: (Reason.NOT_FOUND, "The owner of this number has given no name."),
    NameStatus.LOCKED: (
        Reason.QUOTA,
        "Too many names were asked for today without a payment; there are no more until tomorrow.",
    ),
    NameStatus.BUSY: (Reason.BUSY, "Another question of this merchant's is under way."),
    NameStatus.PAYEE_UNKNOWN: (
        Reason.PAYER_UNKNOWN,
        "No account is registered under this number.",
    ),
}
"""Why an account is told no name. What else there may be is this super-agent's own doing."""

T = TypeVar("T")

MILLION: Final = 1_000_000


@dataclass(frozen=True)
class MerchantGround:
    """Implements `Ground` over a super-agent's parts. Belongs to the event loop's thread."""

    service: Service
    names: NameDesk
    links: Links
    signing: Signer

    @property
    def genesis(self) -> Genesis:
        """The network's genesis."""
        return self.service.genesis

    @property
    def index(self) -> int:
        """This super-agent's index in the committee."""
        return self.service.index

    def now_ms(self) -> int:
        """Return milliseconds since 1970 UTC."""
        return time.time_ns() // MILLION

    def today(self) -> int:
        """Return the day number that this super-agent would put into an order now."""
        return self.service.today()

    def ready(self) -> str | None:
        """Return None when this super-agent serves; otherwise why not."""
        return self.service.ready()

    async def account(self, number: int) -> npt.NDArray[np.void] | None:
        """Return the ACCOUNT record, shape (1,), or None."""
        return await _told(self.service.account(number))

    async def number(self, text: str) -> int | None:
        """Return the account of a telephone number or short code in its canonical form."""
        try:
            alias = self.service.alias_of(text)
        except TelephoneError:
            return None
        return await _told(self.service.alias(alias))

    async def is_open(self, payer: int, sequence: int) -> bool:
        """Whether an order of the account is in flight in that slot."""
        return await _told(self.service.ask(lambda replica: replica.slots.is_open(payer, sequence)))

    async def tariff(self) -> Tariff:
        """Return the tariff of today."""
        return await _told(self.service.tariff_today())

    async def offer(self, order: bytes, wait_ms: int) -> Outcome | None:
        """Offer an order; ACCEPTED once it is final, None where that is not decided in time."""
        submission = await _told(self.service.submit(np.frombuffer(order, ORDER), {}, wait_ms))
        match State(submission.states[0]):
            case State.FINAL:
                return Outcome.ACCEPTED
            case State.REFUSED:
                return Outcome(submission.outcomes[0])
            case _:
                return None

    async def final(self, payer: int, sequence: int, wait_ms: int) -> tuple[bool, bytes | None]:
        """Return whether a slot is decided, and the 128 bytes that are final in it, if any are."""
        slot = await _told(self.service.slot(payer, sequence, wait_ms))
        return slot.state in (State.FINAL, State.SKIPPED), slot.order

    async def name_of(self, account: int) -> str | None:
        """Return the name that others may see of an account whose profile lies here."""
        party = (await self.names.parties([account])).get(account)
        return None if party is None else party.name

    async def ask_name(self, question: bytes) -> str:
        """Return the name that an account may see of another one, by a question that it has signed."""
        answer = await _told(self.service.check_name(question))
        if answer.name is not None:
            return answer.name
        if answer.status not in _NO_NAME:
            raise GroundError("Nobody who holds this name can be reached.")
        raise MerchantsError(*_NO_NAME[answer.status])

    def is_linked(self, peer: int) -> bool:
        """Whether there is a link to a super-agent now."""
        return self.links.is_up(peer)

    async def ask(self, peer: int, matter: Matter, content: bytes, patience_s: float) -> bytes:
        """Return a super-agent's answer; GroundError if there is none in time."""
        asked = bytes([matter]) + content
        try:
            return await self.names.errands.ask(peer, Errand.MERCHANTS, asked, patience_s)
        except ErrandError as error:
            raise GroundError(str(error)) from error


async def _told(answer: Awaitable[T]) -> T:
    try:
        return await answer
    except UnavailableError as error:
        raise GroundError(str(error)) from error
