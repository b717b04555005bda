"""What a super-agent keeps of merchants, as it lies in the store and travels between super-agents.

MessagePack, each with all its names; a row of a later version that has more is refused, not guessed at.
"""

from typing import Final, TypeVar

import msgspec

from harambee.handset.payment_requests import PaymentRequest, RequestError, read_request
from harambee.merchants.port import (
    Event,
    EventKind,
    Instruction,
    Invoice,
    Merchant,
    PaymentFacts,
    RequestState,
    RequestView,
    Result,
)

T = TypeVar("T")

ROW_BYTES_MAX: Final = 16 << 10
"""Of an event, which has a request or an instruction in it and more."""
TOLD_BYTES_MAX: Final = 6 << 10
"""Of what merchants' software or another super-agent brings: a request, an instruction, a merchant."""


class RowError(ValueError):
    """These bytes are no such row; the message is one sentence."""


class MerchantRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A till or a paybill; the row of the higher version is the newer one, and only its home makes one."""

    version: int
    merchant: Merchant


class RequestRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request, what its merchant is told by, and how it stands."""

    document: bytes
    super_agent: int
    signature: bytes
    msisdn: str
    consumer_key: str
    callback_url: str = ""
    form: str = ""
    extra: dict[str, str] = {}
    state: RequestState = RequestState.WAITING
    reason: int = 0
    payment: PaymentFacts | None = None
    decline: bytes = b""
    """What the customer signed, of one that is declined."""
    withdrawn: bool = False
    """It ended because too few super-agents could be told of it; its merchant had no answer."""

    def request(self) -> PaymentRequest:
        """Return what the document says; RowError if it says nothing."""
        try:
            return read_request(self.document)
        except RequestError as error:
            raise RowError(str(error)) from error

    def view(self, identity: bytes, request: PaymentRequest) -> RequestView:
        """Return it as gateways see it."""
        return RequestView(
            id=identity,
            name=request.name,
            short_code=request.short_code,
            payee=request.payee,
            payer=request.payer,
            msisdn=self.msisdn,
            amount_cents=request.amount_cents,
            account=request.account,
            text=request.text,
            made_ms=request.made_ms,
            expires_ms=request.expires_ms,
            state=self.state,
            reason=self.reason,
            payment=self.payment,
            extra=self.extra,
        )


class EventRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event without its cursor, which is its place in the store. One of the three facts is there."""

    id: str
    kind: EventKind
    short_code: str
    made_ms: int
    request: RequestView | None = None
    payment: PaymentFacts | None = None
    result: Result | None = None

    def event(self, cursor: int) -> Event:
        """Return the event."""
        facts = self.request or self.payment or self.result
        assert facts is not None, "an event has facts"
        return Event(self.id, cursor, self.kind, self.short_code, self.made_ms, facts)


class DeliveryRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event that has yet to reach an address; where it is empty, the merchant's webhook."""

    cursor: int
    url: str
    form: str


class BillRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a payer said that she was about to pay for."""

    account: str
    time_ms: int
    msisdn: str | None = None
    third_party_id: str = ""


class StandingRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A standing order that a customer has agreed to, and which of its payments was asked for last."""

    request: RequestRow
    number: int = 0
    tries: int = 0
    """How often it was asked for."""
    asked_ms: int = 0


class InvoiceRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An invoice that is open, or was."""

    invoice: Invoice
    made_ms: int


class InstructionRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An instruction at its merchant's home, and how far it has come."""

    instruction: Instruction
    told_ms: int
    order: bytes = b""
    """128 bytes, durable before they left; empty while nothing is signed."""
    cancel: bytes = b""
    """The order that burns the slot of one that was refused."""
    outcome: int = 0
    """Why it was refused, where there is a cancel."""
    done: bool = False


def write_row(row: msgspec.Struct) -> bytes:
    """Return a row's bytes."""
    return msgspec.msgpack.encode(row)


def write_told(row: object) -> bytes:
    """Return the bytes of what somebody brings; RowError where it is too much, or no text."""
    try:
        content = msgspec.msgpack.encode(row)
    except (ValueError, TypeError, OverflowError) as error:
        raise RowError("This cannot be written.") from error
    if len(content) > TOLD_BYTES_MAX:
        raise RowError(f"This has more than {TOLD_BYTES_MAX} bytes.")
    return content


def read_row(content: bytes, kind: type[T], most: int = ROW_BYTES_MAX) -> T:
    """Return the row of `kind` in these bytes; RowError if there is none, or they are too many."""
    if len(content) > most:
        raise RowError(f"A row has at most {most} bytes.")
    try:
        return msgspec.msgpack.decode(content, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise RowError(f"This is no {kind.__name__}.") from error
