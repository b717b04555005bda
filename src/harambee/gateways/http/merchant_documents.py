"""What merchants' software reads in JSON: merchants, requests, payments, results and events.

The same documents are answers and the bodies of webhooks, so whoever reads one reads the other.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from harambee.handset.payment_requests import ACCOUNT_MAX, TEXT_MAX
from harambee.ledger.outcomes import SENTENCES, Outcome
from harambee.merchants.port import (
    DECLINED_BY_CUSTOMER,
    LASTS_MS_MAX,
    NAME_CHARACTERS_MAX,
    URL_CHARACTERS_MAX,
    Deed,
    Event,
    EventKind,
    Merchant,
    PaymentFacts,
    RequestState,
    RequestView,
    Result,
    Trade,
)
from harambee.money.amounts import MAX_AMOUNT_CENTS

TELEPHONE_MAX: Final = 32
CREDENTIAL_MAX: Final = 2_048
REMARKS_MAX: Final = 100
LASTS_MS_MIN: Final = 5_000
RECEIPT_CODE_MAX: Final = 32
DECLINED: Final = "DECLINED_BY_CUSTOMER"

_DECLINED_SENTENCE: Final = "The customer does not want to pay."
_STATE_SENTENCES: Final = {
    RequestState.WAITING: "The customer has not answered yet.",
    RequestState.PAID: "The customer has paid.",
    RequestState.AGREED: "The customer has agreed to the standing order.",
    RequestState.EXPIRED: "The customer did not answer in time.",
}
_OUTCOMES: Final = frozenset(int(outcome) for outcome in Outcome)
assert set(_STATE_SENTENCES) | {RequestState.DECLINED} == set(RequestState)

Name = Annotated[
    str,
    Meta(
        pattern=f"^[A-Za-z0-9._~-]{{1,{NAME_CHARACTERS_MAX}}}$",
        description="What the merchant calls it; it stands in addresses, so it tells nothing of a customer.",
    ),
]
Telephone = Annotated[
    str, Meta(min_length=1, max_length=TELEPHONE_MAX, description="As people write it.")
]
Cents = Annotated[int, Meta(ge=1, le=MAX_AMOUNT_CENTS)]
ShortCode = Annotated[str, Meta(pattern="^[0-9]{5,7}$")]
Url = Annotated[
    str, Meta(max_length=URL_CHARACTERS_MAX, description="http or https; empty: nowhere.")
]


class AskDocument(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/requests: a customer is asked for money."""

    short_code: ShortCode
    msisdn: Telephone
    amount_cents: Cents
    name: Name | None = None
    account: Annotated[str, Meta(max_length=ACCOUNT_MAX)] = ""
    text: Annotated[str, Meta(max_length=TEXT_MAX)] = ""
    callback_url: Url = ""
    lasts_ms: Annotated[int, Meta(ge=LASTS_MS_MIN, le=LASTS_MS_MAX)] = 60_000


class WebhookDocument(msgspec.Struct, forbid_unknown_fields=True):
    """The body of PUT /v1/merchants/{short_code}/webhook."""

    url: Url


class SecretDocument(msgspec.Struct):
    """What signs the events that go to a webhook, in the form of Standard Webhooks."""

    secret: str
    """"whsec_" and base64; empty where events go nowhere."""


class RefundDocument(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/merchants/{short_code}/refunds: a payment is given back."""

    name: Name
    initiator: Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
    credential: Annotated[str, Meta(min_length=1, max_length=CREDENTIAL_MAX)]
    receipt_code: Annotated[str, Meta(min_length=1, max_length=RECEIPT_CODE_MAX)]
    amount_cents: Annotated[int, Meta(ge=0, le=MAX_AMOUNT_CENTS)] = 0
    """0: all of it."""
    remarks: Annotated[str, Meta(max_length=REMARKS_MAX)] = ""
    result_url: Url = ""


class PayOutDocument(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/merchants/{short_code}/pay-outs: the merchant pays somebody."""

    name: Name
    initiator: Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
    credential: Annotated[str, Meta(min_length=1, max_length=CREDENTIAL_MAX)]
    payee: Telephone
    """A telephone number, or a short code as "till 174379"."""
    amount_cents: Cents
    remarks: Annotated[str, Meta(max_length=REMARKS_MAX)] = ""
    result_url: Url = ""


class InstructionTaken(msgspec.Struct):
    """An instruction is kept; what comes of it is an event of the merchant's."""

    name: str
    conversation: str
    """What the event calls it."""


class MerchantDocument(msgspec.Struct):
    """A till or a paybill."""

    short_code: str
    trade: Trade
    account: int
    name: str
    home: int
    """Index of the super-agent where its key lies."""
    webhook: str
    """Where events go; empty: nowhere."""
    recorded_at: list[int]
    """Indices of the super-agents that record what happens to it: they have its events and payments."""


class PaymentDocument(msgspec.Struct):
    """A payment to a merchant that is final."""

    receipt_code: str
    order: str
    """The 128 bytes that the payer signed, in hexadecimal."""
    short_code: str
    payer: int
    amount_cents: int
    time_ms: int
    account: str
    """The account at the biller as the payer wrote it, where it is known."""
    msisdn: str | None
    payer_name: str | None
    balance_cents: int | None
    """What the merchant has, after it or a little later."""


class RequestDocument(msgspec.Struct):
    """A payment that was asked for, as one super-agent knows it."""

    id: str
    """32 bytes in hexadecimal: the reference of the order that pays it."""
    name: str
    short_code: str
    payee: int
    payer: int
    msisdn: str
    amount_cents: int
    account: str
    text: str
    made_ms: int
    expires_ms: int
    state: RequestState
    reason: str | None
    """Of a decline: DECLINED_BY_CUSTOMER, or the rule that refused her order."""
    sentence: str
    payment: PaymentDocument | None


class ResultDocument(msgspec.Struct):
    """How an instruction ended."""

    name: str
    conversation: str
    deed: Deed
    done: bool
    reason: str | None
    """Why it was not done: a problem's code, or the rule that refused the order."""
    sentence: str
    ended_ms: int
    receipt_code: str
    amount_cents: int
    fee_cents: int
    balance_cents: int | None
    payee_name: str
    payment: PaymentDocument | None


class RequestEnded(msgspec.Struct, tag_field="type", tag=EventKind.REQUEST_ENDED.value):
    """A customer paid, declined or did not answer."""

    id: str
    cursor: int
    short_code: str
    made_ms: int
    data: RequestDocument


class PaymentReceived(msgspec.Struct, tag_field="type", tag=EventKind.PAYMENT_RECEIVED.value):
    """A payment to the merchant is final."""

    id: str
    cursor: int
    short_code: str
    made_ms: int
    data: PaymentDocument


class InstructionEnded(msgspec.Struct, tag_field="type", tag=EventKind.INSTRUCTION_ENDED.value):
    """A refund or a pay-out was made, or was not."""

    id: str
    cursor: int
    short_code: str
    made_ms: int
    data: ResultDocument


EventDocument = RequestEnded | PaymentReceived | InstructionEnded


class EventsDocument(msgspec.Struct):
    """Events behind a cursor, oldest first."""

    events: list[EventDocument]
    next_after: int
    """The `after` of the next page, and of the next look where this one is empty."""


class PaymentsDocument(msgspec.Struct):
    """Payments to a merchant in a time, oldest first."""

    payments: list[PaymentDocument]
    next_offset: int | None


def merchant_document(merchant: Merchant, recorded_at: Sequence[int]) -> MerchantDocument:
    """Return what its own software may see of a merchant; no secret is in it."""
    return MerchantDocument(
        merchant.short_code,
        merchant.trade,
        merchant.account,
        merchant.name,
        merchant.home,
        merchant.webhook,
        list(recorded_at),
    )


def payment_document(payment: PaymentFacts) -> PaymentDocument:
    """Return a payment as merchants read it."""
    return PaymentDocument(
        payment.receipt_code,
        payment.order.hex(),
        payment.short_code,
        payment.payer,
        payment.amount_cents,
        payment.time_ms,
        payment.account,
        payment.msisdn,
        payment.payer_name,
        payment.balance_cents,
    )


def request_document(view: RequestView) -> RequestDocument:
    """Return a request as the merchant that asked reads it."""
    reason, sentence = _why(view)
    return RequestDocument(
        view.id.hex(),
        view.name,
        view.short_code,
        view.payee,
        view.payer,
        view.msisdn,
        view.amount_cents,
        view.account,
        view.text,
        view.made_ms,
        view.expires_ms,
        view.state,
        reason,
        sentence,
        None if view.payment is None else payment_document(view.payment),
    )


def _why(view: RequestView) -> tuple[str | None, str]:
    if view.state is not RequestState.DECLINED:
        return None, _STATE_SENTENCES[view.state]
    # Her handset says why; a code that no rule has is her own way of not wanting to.
    if view.reason == DECLINED_BY_CUSTOMER or view.reason not in _OUTCOMES:
        return DECLINED, _DECLINED_SENTENCE
    outcome = Outcome(view.reason)
    return outcome.name, SENTENCES[outcome]


def result_document(result: Result) -> ResultDocument:
    """Return how an instruction ended."""
    told, outcome = result.instruction, result.outcome
    done = outcome is Outcome.ACCEPTED
    if done:
        reason, sentence = None, "It was done."
    elif outcome is not None:
        reason, sentence = outcome.name, SENTENCES[outcome]
    else:
        reason, sentence = None if result.reason is None else result.reason.name, result.sentence
    return ResultDocument(
        told.name,
        told.conversation,
        told.deed,
        done,
        reason,
        sentence,
        result.ended_ms,
        result.receipt_code,
        told.amount_cents,
        result.fee_cents,
        result.balance_cents,
        result.payee_name,
        None if result.payment is None else payment_document(result.payment),
    )


def event_document(event: Event) -> EventDocument:
    """Return an event as answers and webhooks tell it."""
    head, made_ms = (event.id, event.cursor), event.made_ms
    match event.facts:
        case RequestView() as view:
            return RequestEnded(*head, view.short_code, made_ms, request_document(view))
        case PaymentFacts() as paid:
            return PaymentReceived(*head, paid.short_code, made_ms, payment_document(paid))
        case Result() as result:
            told = result.instruction.short_code
            return InstructionEnded(*head, told, made_ms, result_document(result))
