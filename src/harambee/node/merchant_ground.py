"""A super-agent as the desk for merchants sees it (`harambee.merchants.ground.Ground`)."""

import time
from dataclasses import dataclass
from typing import Final

from harambee.crypto.signatures import Signer
from harambee.handset.telephone import TelephoneError
from harambee.ledger.outcomes import Outcome
from harambee.merchants.ground import GroundError, Matter
from harambee.merchants.port import MerchantsError, Reason
from harambee.node.errands import Errand
from harambee.node.ground import DeskGround
from harambee.node.port import NameStatus

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

MILLION: Final = 1_000_000


@dataclass(frozen=True)
class MerchantGround(DeskGround):
    """Implements `Ground` over a super-agent's parts. Belongs to the event loop's thread."""

    cannot = GroundError
    errand = Errand.MERCHANTS

    signing: Signer

    def now_ms(self) -> int:
        """Return milliseconds since 1970 UTC."""
        return time.time_ns() // MILLION

    async def number(self, text: str) -> int | None:
        """Return the account of a telephone number or short code in its canonical form."""
        try:
            alias = self.service.alias_of(text)
        except TelephoneError:
            return None
        return await self.told(self.service.alias(alias))

    async def is_open(self, payer: int, sequence: int) -> bool:
        """Whether an order of the account is in flight in that slot."""
        return await self.told(
            self.service.ask(lambda replica: replica.slots.is_open(payer, sequence))
        )

    async def offer(self, order: bytes, wait_ms: int) -> Outcome | None:
        """Offer an order; ACCEPTED once it is final, None where that is not decided in time."""
        return await self.submitted(order, {}, wait_ms)

    async def name_of(self, account: int) -> str | None:
        """Return the name that others may see of an account whose profile lies here."""
        party = (await self.names.parties([account])).get(account)
        return None if party is None else party.name

    async def ask_name(self, question: bytes) -> str:
        """Return the name that an account may see of another one, by a question that it has signed."""
        answer = await self.told(self.service.check_name(question))
        if answer.name is not None:
            return answer.name
        if answer.status not in _NO_NAME:
            raise GroundError("Nobody who holds this name can be reached.")
        raise MerchantsError(*_NO_NAME[answer.status])

    async def ask(self, peer: int, matter: Matter, content: bytes, patience_s: float) -> bytes:
        """Return a super-agent's answer; GroundError if there is none in time."""
        return await self.asked(peer, matter, content, patience_s)
