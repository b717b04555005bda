"""What the desk for merchants asks of its super-agent, and of others; the node gives it."""

from enum import IntEnum, unique
from typing import Protocol

import numpy as np
import numpy.typing as npt

from harambee.crypto.signatures import Signer
from harambee.ledger.outcomes import Outcome
from harambee.money.tariff import Tariff
from harambee.protocol.genesis import Genesis


class GroundError(Exception):
    """The super-agent cannot tell or do that now; the message is one sentence."""


@unique
class Matter(IntEnum):
    """What one super-agent asks of another for merchants; codes stand on the wire."""

    KEEP_REQUESTS = 1
    """Here are requests; keep them until they end."""
    NOTES = 2
    """Requests were declined, events are being told or were told."""
    PENDING = 3
    """What waits for this customer's answer?"""
    BILL = 4
    """Of a holder of the payee's: what does it say of a bill?"""
    INSTRUCT = 5
    """Of a merchant's home: do this."""
    KEEP_MERCHANTS = 6
    """Here are merchants as their homes have them now."""
    FIND = 7
    """The request of this name."""
    ARRANGE = 8
    """Of a merchant's home: these are its addresses from now on."""
    NAME = 9
    """Of a merchant's home: ask for a payee's name by the merchant's key."""
    BILLING = 10
    """Of a merchant's home: keep or forget an invoice, or look for a payment of one."""


class Ground(Protocol):
    """A super-agent, as this desk sees it. Every method may raise GroundError."""

    @property
    def genesis(self) -> Genesis:
        """The network's genesis."""

    @property
    def index(self) -> int:
        """This super-agent's index in the committee."""

    @property
    def signing(self) -> Signer:
        """The key by which it signs requests."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC."""

    def today(self) -> int:
        """The day number that this super-agent would put into an order now."""

    def ready(self) -> str | None:
        """None when this super-agent serves; otherwise why not."""

    async def account(self, number: int) -> npt.NDArray[np.void] | None:
        """The ACCOUNT record, shape (1,), or None."""

    async def number(self, text: str) -> int | None:
        """The account of a telephone number or short code in its canonical form."""

    async def is_open(self, payer: int, sequence: int) -> bool:
        """Whether an order of the account is in flight in that slot."""

    async def tariff(self) -> Tariff:
        """The tariff of today."""

    async def offer(self, order: bytes, wait_ms: int) -> Outcome | None:
        """Offer an order; ACCEPTED once it is final, None where that is not decided in time."""

    async def final(self, payer: int, sequence: int, wait_ms: int) -> tuple[bool, bytes | None]:
        """Whether a slot is decided, and the 128 bytes that are final in it, if any are."""

    async def name_of(self, account: int) -> str | None:
        """The name that others may see of an account whose profile lies here."""

    async def ask_name(self, question: bytes) -> str:
        """The name that an account may see of another one, by a question that it has signed.

        `harambee.merchants.port.MerchantsError` where it may not, or where there is no name.
        """

    def is_linked(self, peer: int) -> bool:
        """Whether there is a link to a super-agent now."""

    async def ask(self, peer: int, matter: Matter, content: bytes, patience_s: float) -> bytes:
        """Return a super-agent's answer; GroundError if there is none in time."""
