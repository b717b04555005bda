"""What the desk for feature phones offers to gateways."""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from harambee.feature_phones.messages import Act, Done
from harambee.handset.payment_requests import PaymentRequest
from harambee.ledger.kinds import OrderKind
from harambee.texts.languages import Language


class Obstacle(Enum):
    """Why somebody cannot go on."""

    NUMBER_UNKNOWN = auto()
    """Nobody is registered under her own number."""
    OWN_KEY = auto()
    """The key of her account is on a telephone of her own; no super-agent can sign for her."""
    UNAVAILABLE = auto()
    PAYEE_UNKNOWN = auto()
    PAYEE_HERSELF = auto()
    PAYEE_WRONG = auto()
    """There is no such payment to that account."""
    AMOUNT_WRONG = auto()
    """The tariff has no price for the amount."""
    NAMES_LOCKED = auto()
    """She has looked up too many names today."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who dials, and what her menu begins with."""

    account: int
    language: Language
    next_sequence: int
    request: PaymentRequest | None = None
    """What a merchant asks her to pay."""
    request_id: bytes = b""


@dataclass(frozen=True, slots=True)
class Wish:
    """A payment as it was typed."""

    kind: OrderKind
    to: str
    """A telephone number or short code, in its canonical form."""
    amount_cents: int
    bill_account: str = ""
    """The account at a biller."""
    airtime_for: str = ""
    """Whose airtime it is, if not her own."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A payment as it is shown before the PIN: to whom, how much, at which price."""

    kind: OrderKind
    payee: int
    amount_cents: int
    fee_cents: int
    reference: bytes
    name: str = ""
    number: str = ""


@dataclass(frozen=True, slots=True)
class NewPhone:
    """An account that an operator opens for somebody with a feature phone."""

    number: str
    """In the form +254712345678."""
    name: str = field(repr=False)
    pin: str = field(repr=False)
    language: Language


@dataclass(frozen=True, slots=True)
class UssdSettings:
    """What a super-agent's configuration says of USSD."""

    brand: str = "Harambee"
    language: Language = Language.ENGLISH
    """Of screens before it is known who dials."""
    sources: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Networks from which callbacks are taken."""
    airtime: str = ""
    """The short code of who sells airtime, `paybill:123456`."""


class PhonesError(ValueError):
    """An operator's wish that cannot be met; the message is one sentence."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class PhonesPort(Protocol):
    """Implemented by `harambee.feature_phones.desk.PhonesDesk`."""

    async def caller(self, number: str) -> Caller | Obstacle:
        """Return who dials from a number."""

    async def quote(self, caller: Caller, wish: Wish) -> Quote | Obstacle:
        """Return what a payment would be."""

    async def quote_request(self, caller: Caller) -> Quote | Obstacle:
        """Return what paying the request that waits would be."""

    async def act(self, act: Act) -> Done:
        """Have something done by a holder that can be reached."""

    async def register(self, phone: NewPhone) -> int:
        """Open an account whose key is kept here; returns its number. PhonesError."""

    async def unlock(self, number: str) -> int:
        """Let a locked PIN be tried again; returns the account. PhonesError."""
