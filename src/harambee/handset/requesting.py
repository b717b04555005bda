"""What merchants ask a customer to pay, at her handset: she sees it, pays it or declines it.

Doors only carry requests. One is shown if the super-agent that took it from the merchant has signed it,
if it is for this account and has not expired, and if w super-agents say that the payee is of the kind
that is paid so. Paying is an ordinary order whose reference is the request's id.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from harambee.handset.agreement import DisagreementError
from harambee.handset.answered import Answered
from harambee.handset.believing import believed, check_network
from harambee.handset.doors import AccountView, Door, DoorError, SignedRequest
from harambee.handset.handset import Handset, HandsetError, Payment, PaymentStatus
from harambee.handset.orders import OrderBody, OrderError, check_between, fee_of, options_for
from harambee.handset.payment_requests import (
    AGREED,
    ORDER_KINDS,
    Decline,
    PaymentRequest,
    RequestError,
    RequestsQuestion,
    is_taken_by,
    read_request,
    request_id,
    sign_decline,
    sign_requests_question,
)
from harambee.handset.tariffs import tariff_of_day
from harambee.ledger.kinds import MOVEMENTS
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import KIND_MASK

DOOR_S: Final = 8.0
"""A door that takes longer has not answered."""
PAYEES_AT_ONCE: Final = 1_000
PAYS_REQUESTS: Final = frozenset(ORDER_KINDS.values())
BY_CUSTOMER: Final = 0
"""The reason of a decline that no refused order has."""

A = TypeVar("A")
Clock = Callable[[], int]


class EndedError(HandsetError):
    """This request cannot be paid any more: it is answered, or has expired."""


class UnpayableError(EndedError):
    """No order can pay this request from this account; the merchant is told the outcome."""

    def __init__(self, sentence: str, outcome: Outcome) -> None:
        super().__init__(sentence)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request that waits, checked."""

    id: bytes
    """32 bytes: the reference of the order that pays it."""
    said: PaymentRequest


def now_ms() -> int:
    """Return the time in milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def question_of(handset: Handset) -> bytes:
    """Return a question for requests, signed now."""
    question = RequestsQuestion(handset.wallet.account, time.time_ns() // 1_000)
    return sign_requests_question(handset.wallet.keypair, handset.genesis.network, question)


async def waiting(handset: Handset, clock: Clock = now_ms) -> list[CheckedRequest]:
    """Return what waits for the customer's answer, oldest first, by the word of w doors together.

    HandsetError if no door answers, or too few say what the payees are.
    """
    told, said = await _of_doors(handset, lambda door: door.requests(question_of(handset)))
    if not told:
        raise HandsetError(said)
    signed = [request for requests in told for request in requests]
    return await checked(handset, signed, clock())


async def checked(
    handset: Handset, told: Iterable[SignedRequest], time_ms: int
) -> list[CheckedRequest]:
    """Return which of these requests are to be believed, each once, oldest first; see `waiting`."""
    found: dict[bytes, CheckedRequest] = {}
    for signed in told:
        request = _signed_for(handset, signed, time_ms)
        if request is not None:
            found.setdefault(request.id, request)
    kinds = await _kinds_of(handset, sorted({one.said.payee for one in found.values()}))
    fit = [
        one
        for one in found.values()
        if kinds[one.said.payee] in MOVEMENTS[one.said.order_kind].payees
        and one.said.payee != handset.wallet.account
    ]
    return sorted(fit, key=lambda one: (one.said.made_ms, one.id))


def _signed_for(handset: Handset, signed: SignedRequest, time_ms: int) -> CheckedRequest | None:
    """Return the request if it is this account's, has not expired and was signed by who took it."""
    try:
        said = read_request(signed.document)
    except RequestError:
        return None
    ours = said.payer == handset.wallet.account and said.super_agent == signed.super_agent
    if not ours or said.expires_ms <= time_ms:
        return None
    genesis = handset.genesis
    if not is_taken_by(genesis, signed.document, signed.super_agent, signed.signature):
        return None
    return CheckedRequest(request_id(genesis.network, signed.document), said)


async def _kinds_of(handset: Handset, payees: list[int]) -> dict[int, int]:
    """Return the kinds of accounts as w super-agents say; 0 where there is none."""
    kinds: dict[int, int] = {}
    for at in range(0, len(payees), PAYEES_AT_ONCE):
        part = tuple(payees[at : at + PAYEES_AT_ONCE])
        try:
            flags = await believed(
                handset.genesis,
                handset.doors,
                lambda door, part=part: door.standings(part),  # type: ignore[misc]
            )
        except DisagreementError as error:
            raise HandsetError(str(error)) from error
        kinds.update(
            (payee, standing & KIND_MASK) for payee, standing in zip(part, flags, strict=True)
        )
    return kinds


async def approve(handset: Handset, request: CheckedRequest, clock: Clock = now_ms) -> Payment:
    """Pay a request; after a failure the same call goes on with the same order, and pays once.

    Where the order is refused, the merchant is told by which rule. EndedError where it was answered
    before or has expired, UnpayableError where there is no such payment from this account.
    """
    answered, said = Answered(handset.wallet), request.said
    if said.terms is not None:
        raise EndedError("Nothing is paid for a standing order itself.")
    earlier = await finish_earlier(handset)
    if earlier is not None and OrderBody.from_bytes(earlier.order).reference == request.id:
        payment = replace(earlier, resumed=True)
    else:
        day = handset.day()
        payee, tariff = await asyncio.gather(
            handset.account(said.payee), tariff_of_day(handset.genesis, handset.doors, day)
        )

        async def make(own: AccountView, sequence: int) -> OrderBody:
            time_ms = clock()
            if said.expires_ms <= time_ms:
                raise EndedError("The request has expired.")
            if answered.has(request.id, said.expires_ms):
                raise EndedError("This request was answered before.")
            kind = said.order_kind
            try:
                check_between(kind, own.kind, payee.kind)
            except OrderError as error:
                raise UnpayableError(str(error), Outcome.PAYER_KIND_WRONG) from error
            try:
                fee_cents = fee_of(tariff, kind, said.amount_cents, payee.fee_mode)
            except OrderError as error:
                raise UnpayableError(str(error), Outcome.AMOUNT_WITHOUT_TARIFF) from error
            # From here on it counts as answered: what is lost by a crash is asked again by the merchant,
            # what is paid twice is gone.
            answered.note(request.id, said.expires_ms, time_ms)
            return OrderBody(
                payer=own.account,
                payee=said.payee,
                amount_cents=said.amount_cents,
                fee_cents=fee_cents,
                sequence=sequence,
                kind=kind,
                tariff=tariff.version,
                day=day,
                options=options_for(kind, payee.fee_mode, payee.head_office),
                reference=request.id,
            )

        try:
            payment = await handset.sign_next(make)
        except UnpayableError as error:
            await _tell_declined(handset, request.id, error.outcome)
            raise
        await _tell_refused(handset, payment)
    if payment.status is PaymentStatus.REPLACED:
        answered.forget(request.id, said.expires_ms)
    return payment


async def finish_earlier(handset: Handset) -> Payment | None:
    """Go on with what an earlier run left open, and tell a merchant whose request it does not pay."""
    earlier = await handset.resume()
    if earlier is not None and earlier.kind in PAYS_REQUESTS:
        await _tell_refused(handset, earlier)
    return earlier


async def decline(handset: Handset, request: CheckedRequest, clock: Clock = now_ms) -> None:
    """Say that the customer does not pay; it can be said again where w doors did not take it.

    HandsetError where too few took it, or an order of this wallet for it is on its way.
    """
    for order in handset.wallet.state().pending:
        if OrderBody.from_bytes(order).reference == request.id:
            raise HandsetError("This request is being paid just now.")
    Answered(handset.wallet).note(request.id, request.said.expires_ms, clock())
    await _bring_decline(handset, request.id, BY_CUSTOMER)


async def tell_agreed(handset: Handset, request: CheckedRequest, clock: Clock = now_ms) -> None:
    """Say that the customer agrees to a standing order; HandsetError where too few doors take it."""
    Answered(handset.wallet).note(request.id, request.said.expires_ms, clock())
    await _bring_decline(handset, request.id, AGREED)


async def _tell_refused(handset: Handset, payment: Payment) -> None:
    """Tell the merchant by which rule an order was refused; a bill's that is no request's is nobody's."""
    if payment.status is PaymentStatus.REFUSED:
        reference = OrderBody.from_bytes(payment.order).reference
        await _tell_declined(handset, reference, payment.outcome)


async def _tell_declined(handset: Handset, request: bytes, outcome: Outcome) -> None:
    """Tell the merchant why it is not paid, if it can be told: otherwise the request expires."""
    try:
        await _bring_decline(handset, request, outcome)
    except HandsetError:
        return


async def _bring_decline(handset: Handset, request: bytes, reason: int) -> None:
    wallet, genesis = handset.wallet, handset.genesis
    signed = sign_decline(wallet.keypair, genesis.network, Decline(request, wallet.account, reason))
    took, said = await _of_doors(handset, lambda door: door.decline(signed))
    if len(took) < genesis.committee.w:
        raise HandsetError(said)


async def _of_doors(handset: Handset, ask: Callable[[Door], Awaitable[A]]) -> tuple[list[A], str]:
    """Return what w doors answer, and what the last one said that did not; another is asked in its place."""
    left = iter(handset.doors)
    answers: list[A] = []
    said = "No super-agent can be reached."

    async def one() -> None:
        nonlocal said
        for door in left:
            try:
                async with asyncio.timeout(DOOR_S):
                    await check_network(door, handset.genesis)
                    answers.append(await ask(door))
            except DoorError as error:
                said = str(error)
            except TimeoutError:
                said = f"{door.name} does not answer in time."
            else:
                return

    await asyncio.gather(*(one() for _ in range(handset.genesis.committee.w)))
    return answers, said
