"""What the desk for feature phones asks of its super-agent, and of others; the node gives it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from harambee.feature_phones.messages import Matter
from harambee.ledger.outcomes import Outcome
from harambee.money.tariff import Tariff
from harambee.protocol.genesis import Genesis


class GroundError(Exception):
    """The super-agent cannot tell or do that now; the message is one sentence."""


class Shown(NamedTuple):
    """A payee as payers may see her."""

    name: str
    number: str
    is_locked: bool = False
    """Whether the asker has asked too often today, and is shown nobody."""


class StatementRow(NamedTuple):
    """One line of an account's statement."""

    order: bytes
    change_cents: int


class Ground(Protocol):
    """A super-agent, as this desk sees it. Every method may raise GroundError."""

    @property
    def genesis(self) -> Genesis:
        """The network's genesis."""

    @property
    def index(self) -> int:
        """This super-agent's index in the committee."""

    def now_us(self) -> int:
        """Microseconds since 1970 UTC."""

    def today(self) -> int:
        """The day number that this super-agent would put into an order now."""

    def ready(self) -> str | None:
        """None when this super-agent serves; otherwise why not."""

    async def account(self, number: int) -> npt.NDArray[np.void] | None:
        """The ACCOUNT record, shape (1,), or None."""

    async def number(self, text: str) -> int | None:
        """The account of a telephone number or short code in its canonical form."""

    async def alias(self, text: str) -> bytes:
        """The keyed hash of a telephone number in its canonical form."""

    async def tariff(self) -> Tariff:
        """The tariff of today."""

    async def offer(self, order: bytes, possession: bytes, wait_ms: int) -> Outcome | None:
        """Offer an order; ACCEPTED once it is final, None where that is not decided in time."""

    async def final(self, payer: int, sequence: int, wait_ms: int) -> tuple[bool, bytes | None]:
        """Whether a slot is decided, and the 128 bytes that are final in it, if any are."""

    async def statement(self, account: int, limit: int) -> Sequence[StatementRow]:
        """The newest lines of an account, the newest first."""

    async def name_of(self, question: bytes) -> Shown | None:
        """The payee that a signed question is about; None where she has given no name."""

    async def requests(self, question: bytes) -> Sequence[bytes]:
        """The documents of the requests that wait for the account that signed the question."""

    async def decline(self, signed: bytes) -> None:
        """Bring a signed decline of a request."""

    async def next_enrolment(self) -> tuple[int, int]:
        """This super-agent's enrolment account, and its next sequence."""

    async def enrol(self, body: bytes, possession: bytes, msisdn: str) -> int:
        """Open an account for a key that has signed, and claim a number for it."""

    async def keep_profile(self, signed: bytes) -> bool:
        """Keep a signed profile at its holders; whether it is kept."""

    def is_linked(self, peer: int) -> bool:
        """Whether there is a link to a super-agent now."""

    async def ask(self, peer: int, matter: Matter, content: bytes, patience_s: float) -> bytes:
        """Return a super-agent's answer; GroundError if there is none in time."""
