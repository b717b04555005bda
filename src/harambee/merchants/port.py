"""What a super-agent offers to the doors of merchants' software, and nothing of what they look like.

Gateways translate (Daraja, our own HTTP); what happens is decided behind this port. Amounts are cents,
times milliseconds since 1970 UTC, short codes are digits as people write them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final, Protocol

from harambee.handset.standing_orders import Terms
from harambee.ledger.outcomes import Outcome

NAME_CHARACTERS_MAX: Final = 64
URL_CHARACTERS_MAX: Final = 1_024
LASTS_MS_MAX: Final = 600_000
"""A customer has ten minutes at most to answer."""


class MerchantsError(Exception):
    """What was asked cannot be done; carries a reason that programs read, and one sentence."""

    def __init__(self, reason: "Reason", sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence


@unique
class Reason(StrEnum):
    """Why something cannot be done."""

    MERCHANT_UNKNOWN = "merchant-unknown"
    PAYER_UNKNOWN = "payer-unknown"
    """No account is registered under the customer's number."""
    PAYEE_UNKNOWN = "payee-unknown"
    AMOUNT_INVALID = "amount-invalid"
    NAME_TAKEN = "name-taken"
    """Something else was asked under this name."""
    PAYER_BUSY = "payer-busy"
    """As many requests of this customer wait for her answer as are kept."""
    CREDENTIAL_WRONG = "credential-wrong"
    INITIATOR_UNKNOWN = "initiator-unknown"
    NOT_FOUND = "not-found"
    SIGNATURE_INVALID = "signature-invalid"
    TOO_LATE = "too-late"
    """It has ended already."""
    BUSY = "busy"
    QUOTA = "quota"
    """As much as one day allows was asked already; tomorrow it may go."""
    UNAVAILABLE = "unavailable"
    """Not enough super-agents can be reached, or the merchant's home is down; later it may go."""
    INVALID = "invalid"


@unique
class Trade(StrEnum):
    """What a short code is for."""

    TILL = "till"
    PAYBILL = "paybill"


@dataclass(frozen=True, slots=True)
class App:
    """A merchant's software, as every super-agent knows it."""

    consumer_key: str
    short_codes: tuple[str, ...]
    """For which of them it may act."""
    token_key: bytes = field(repr=False)
    """Signs this app's access tokens; every super-agent has it, so a token is good at all of them."""
    secret_digest: bytes = field(repr=False)
    """SHA-256 of the consumer secret, which is long and random."""


@dataclass(frozen=True, slots=True)
class Urls:
    """Where payments that nobody asked for are told, and whether somebody validates them before."""

    confirmation: str
    validation: str = ""
    """Empty: nobody is asked."""
    accept_unanswered: bool = True
    """What happens to a payment when the validation address does not answer (Completed or Cancelled)."""
    form: str = ""
    """How the body looks; `Delivery.form`."""


@dataclass(frozen=True, slots=True)
class Billing:
    """How a merchant's software keeps invoices, and where payments of them are told."""

    consumer_key: str
    """The software that has opted in; its invoices are this merchant's."""
    since_ms: int
    callback_url: str
    form: str
    """How the body looks; `Delivery.form`."""
    email: str = field(default="", repr=False)
    contact: str = field(default="", repr=False)
    reminders: bool = False


@dataclass(frozen=True, slots=True)
class Invoice:
    """What somebody owes a merchant."""

    reference: str
    """The merchant's own, unique among its invoices."""
    account: str
    """What is to be written when it is paid; several invoices may have one."""
    name: str
    period: str
    due: str
    amount_cents: int
    billed_name: str = field(default="", repr=False)
    billed_msisdn: str = field(default="", repr=False)
    items: tuple[tuple[str, int], ...] = ()
    """What it is for, and how many cents of each."""


@dataclass(frozen=True, slots=True)
class Merchant:
    """A till or a paybill, as every super-agent knows it."""

    short_code: str
    trade: Trade
    account: int
    name: str
    home: int
    """Index of the super-agent where its key lies."""
    passkey: str = field(repr=False)
    urls: Urls | None = None
    webhook: str = ""
    """Where our own events go; empty: nowhere."""
    webhook_secret: bytes = field(default=b"", repr=False)
    billing: Billing | None = None


@unique
class RequestState(StrEnum):
    """How it stands with a payment that was asked for."""

    WAITING = "waiting"
    PAID = "paid"
    DECLINED = "declined"
    EXPIRED = "expired"
    AGREED = "agreed"
    """To a standing order: its payments are requests of their own."""


DECLINED_BY_CUSTOMER: Final = 0
"""Reason of a decline; any other is the Outcome by which her order was refused."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A merchant asks a customer, or another business, for money."""

    consumer_key: str
    short_code: str
    """Who is paid."""
    msisdn: str = field(repr=False)
    """The customer's telephone in the +254 form; empty where a business is asked."""
    amount_cents: int
    name: str
    """Unique; what the request is called from now on, chosen by the gateway."""
    account: str = ""
    """The account at a biller, or a till's reference."""
    text: str = ""
    callback_url: str = ""
    form: str = ""
    """How the callback's body looks; `Delivery.form`."""
    fresh: bool = False
    """Whether the gateway made the name up just now, so that nobody can have asked under it before."""
    lasts_ms: int = 60_000
    terms: Terms | None = None
    """Of a standing order: nothing is paid now."""
    under: str = ""
    """The id of the standing order that it is a payment of, in hexadecimal."""
    number: int = 0
    """Which of its payments, from 1."""
    payer: str = ""
    """The business that is asked, as the directory has it: "till:174379"."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """What the gateway wants to see again in `RequestView.extra`; some hundred bytes."""


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """A payment to a merchant that is final."""

    receipt_code: str
    order: bytes
    """The 128 bytes."""
    short_code: str
    payer: int
    amount_cents: int
    time_ms: int
    account: str = ""
    """The account at the biller as the payer wrote it, where it is known."""
    msisdn: str | None = field(default=None, repr=False)
    """The payer's telephone where the merchant may know it."""
    payer_name: str | None = field(default=None, repr=False)
    balance_cents: int | None = None
    """What the merchant has, after it or a little later."""
    sequence: int = 0
    """Rising over one merchant's payments at one super-agent."""


@dataclass(frozen=True, slots=True)
class RequestView:
    """A request as one super-agent knows it."""

    id: bytes
    """32 bytes: the order that pays it has them as its reference."""
    name: str
    short_code: str
    payee: int
    payer: int
    msisdn: str = field(repr=False)
    """Empty where a business was asked."""
    amount_cents: int
    account: str
    text: str
    made_ms: int
    expires_ms: int
    state: RequestState
    reason: int = DECLINED_BY_CUSTOMER
    """Of a decline."""
    payment: PaymentFacts | None = None
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as a customer's handset gets it."""

    document: bytes
    super_agent: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a biller says of a bill before it is paid."""

    accepted: bool
    code: str = ""
    """The biller's own code where he refuses, as C2B00012."""
    sentence: str = ""
    third_party_id: str = ""


@unique
class Deed(StrEnum):
    """What a merchant can have done at its home, by its own key."""

    PAY_CUSTOMER = "pay-customer"
    PAY_BUSINESS = "pay-business"
    REVERSE = "reverse"
    BALANCE = "balance"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Instruction:
    """A merchant tells its home to do something; the answer comes by a callback.

    What is told twice under one name is done once.
    """

    deed: Deed
    consumer_key: str
    short_code: str
    initiator: str
    credential: str = field(repr=False)
    """Base64: the initiator's password, encrypted for the home's certificate."""
    name: str
    """Unique for the merchant (OriginatorConversationID)."""
    conversation: str
    """What the gateway calls it (ConversationID)."""
    form: str
    result_url: str
    amount_cents: int = 0
    payee: str = field(default="", repr=False)
    """Telephone in the +254 form, or a short code as the directory has it: "till:174379"."""
    subject: str = ""
    """The receipt code, or the name of an instruction, that it is about."""
    remarks: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """How an instruction ended."""

    instruction: Instruction
    outcome: Outcome | None
    """ACCEPTED where it was done; None where `reason` says why it was not."""
    reason: Reason | None = None
    sentence: str = ""
    ended_ms: int = 0
    receipt_code: str = ""
    fee_cents: int = 0
    balance_cents: int | None = None
    payee_name: str = field(default="", repr=False)
    payment: PaymentFacts | None = None
    """Of STATUS and REVERSE: the payment that it is about."""
    payment_kind: str = ""
    """Of STATUS: the kind of the order, in lower case."""
    debit_party: str = ""
    credit_party: str = ""


@unique
class EventKind(StrEnum):
    """What happened."""

    REQUEST_ENDED = "request.ended"
    PAYMENT_RECEIVED = "payment.received"
    INSTRUCTION_ENDED = "instruction.ended"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a merchant is told of, at least once; the same happening has the same id everywhere."""

    id: str
    cursor: int
    """Rising at one super-agent."""
    kind: EventKind
    short_code: str
    made_ms: int
    facts: RequestView | PaymentFacts | Result


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to an address."""

    event: Event
    url: str
    form: str
    """Names the function that makes the body: "daraja.stk", "daraja.c2b.v1", "harambee.v1", ..."""


@dataclass(slots=True)
class Faults:
    """What a development network does to its merchants' software, so that it can be tried against it."""

    late_s: float = 0.0
    late_share: float = 0.0
    lost_share: float = 0.0
    """These callbacks are never sent: the software has to ask."""
    doubled_share: float = 0.0
    dies_after_pushes: int = 0
    """So many requests are answered yet, and then the super-agent dies at once; 0: it does not."""


Body = tuple[Mapping[str, str], bytes]
"""Headers and content of a callback."""


class Bodies(Protocol):
    """Makes callbacks' bodies; a gateway has one."""

    def __call__(self, delivery: Delivery, merchant: Merchant, now_ms: int) -> Body:
        """Return headers and content."""

    def question(self, payment: PaymentFacts, merchant: Merchant) -> Body:
        """Return headers and content of the question whether a bill may be paid."""

    def verdict(self, status: int, content: bytes) -> Verdict:
        """Return what the answer to that question says; refused where it is none."""


class MerchantsPort(Protocol):
    """Implemented by `harambee.merchants.desk.MerchantsDesk`; every method may raise MerchantsError."""

    async def app(self, consumer_key: str) -> App | None:
        """A merchant's software, by its key."""

    async def merchant(self, short_code: str) -> Merchant | None:
        """A till or a paybill, by its digits."""

    async def ask_payment(self, ask: Ask) -> RequestView:
        """Ask a customer; returns once w super-agents know of it.

        The same under the same name is the same request; anything else under it is NAME_TAKEN.
        """

    async def request(self, name: str) -> RequestView | None:
        """A request by its name; None where none of that name is known here or at the payee's holders."""

    async def pending(self, question: bytes, wait_ms: int = 0) -> list[SignedRequest]:
        """What waits for a customer's answer; the question is signed by her key.

        Where nothing waits, something is waited for, at most `wait_ms`.
        """

    async def decline(self, signed: bytes) -> None:
        """A customer does not pay; signed by her key."""

    async def announce(self, signed: bytes) -> Verdict:
        """A customer is about to pay a bill: what does the biller say? Signed by her key."""

    async def judge(self, short_code: str, msisdn: str, amount_cents: int, account: str) -> Verdict:
        """What a biller says of a payment that the customer of this number might make."""

    async def name_of_number(self, consumer_key: str, short_code: str, msisdn: str) -> str:
        """The name that a merchant may see of a number's owner before it pays her.

        It is asked for by the merchant's key at its home and counted as every account's questions are:
        QUOTA where too many are open today, NOT_FOUND where the owner has given no name.
        """

    async def instruct(self, instruction: Instruction) -> bool:
        """Keep an instruction durably at the merchant's home; what comes of it is an event.

        NAME_TAKEN where the name is that of another one; the same one again changes nothing. Returns
        whether it is new.
        """

    async def set_urls(self, consumer_key: str, short_code: str, urls: Urls) -> None:
        """Keep where payments are confirmed and validated; at the merchant's home."""

    async def set_webhook(self, consumer_key: str, short_code: str, url: str) -> bytes:
        """Keep where our own events go, and return the secret that signs them; empty: nowhere."""

    async def set_billing(self, short_code: str, billing: Billing) -> None:
        """Keep how a merchant's software keeps invoices; at the merchant's home."""

    async def keep_invoice(self, consumer_key: str, short_code: str, invoice: Invoice) -> None:
        """Keep an invoice with the merchant's ring; NAME_TAKEN where its reference is another one's."""

    async def cancel_invoice(self, consumer_key: str, short_code: str, reference: str) -> None:
        """Forget an invoice; NOT_FOUND where there is none."""

    async def acknowledge(
        self, consumer_key: str, short_code: str, receipt_code: str, amount_cents: int
    ) -> None:
        """A merchant has booked a payment: NOT_FOUND where it has got no such one."""

    async def events(self, short_code: str, after: int, limit: int) -> list[Event]:
        """Events of a merchant behind a cursor of this super-agent's, oldest first."""

    async def payments(
        self, short_code: str, since_ms: int, until_ms: int, offset: int, limit: int
    ) -> list[PaymentFacts]:
        """Payments to a merchant in a time, oldest first; of the last 48 hours at least."""

    @property
    def faults(self) -> Faults:
        """What it does to callbacks and to itself: to be changed in development networks only."""

    def push_answered(self) -> None:
        """A request for a payment is taken and answered: the faults may want a death now."""

    def certificate(self) -> bytes:
        """This super-agent's X.509 certificate (PEM), for which credentials are encrypted."""
