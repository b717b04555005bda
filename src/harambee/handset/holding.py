"""Money held and let go, through doors that fail: what a handset does with holds.

A hold is an order like a payment, in the payer's own slot. What ends it is in a slot of the hold,
for which payer and payee may both sign; whichever becomes final first is the one that counts, and
the other side is told which it was.
"""

import asyncio
from dataclasses import dataclass, replace
from typing import Final

from harambee.handset.agreement import DisagreementError
from harambee.handset.doors import AccountView, Door
from harambee.handset.handset import Handset, HandsetError, Payment, PaymentStatus, believed
from harambee.handset.holds import (
    HoldState,
    HoldView,
    hold_options,
    release_of,
    released_fee_cents,
    slot_named,
    void_of,
)
from harambee.handset.orders import (
    NO_REFERENCE,
    OrderBody,
    OrderError,
    bill_reference,
    check_between,
    check_reference,
    fee_of,
    kind_between,
)
from harambee.handset.proof_collection import collect_proof, collect_proof_of_code
from harambee.handset.tariffs import tariff_of_day, tariff_of_version
from harambee.ledger.kinds import OrderKind

SLOTS_TRIED: Final = 3
"""Slots of one hold that recovery may close under a handset before it gives up."""
TOLD_ROUNDS: Final = 20
TOLD_PAUSE_S: Final = 0.1
"""How long doors have to hear of a hold, and of what has ended it, once others have."""
PAGES_MAX: Final = 20
SEQUENCE_MAX: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a release or a void, and of the hold."""

    payment: Payment
    """REPLACED where the hold ended otherwise."""
    hold: HoldView
    """As it was, or as w super-agents say it ended."""


async def hold(
    handset: Handset,
    payee: int | str,
    amount_cents: int,
    *,
    days: int = 1,
    authorisation: bool = False,
    account: str | None = None,
) -> Payment:
    """Hold money for a payee; the same command again after a failure goes on with the same order.

    `days` are those after which the side that waits may end it alone. With `authorisation` that is
    the payer, and the payee may take all or a part until then; else it is the payee. `account` is
    that of a bill at the biller.
    """
    number = await handset.payee_number(payee)
    other = await handset.account(number)
    day = handset.day()
    tariff = await tariff_of_day(handset.genesis, handset.doors, day)

    async def make(own: AccountView, sequence: int) -> OrderBody:
        if number == own.account:
            raise HandsetError("Payer and payee are the same account.")
        try:
            movement = kind_between(own.kind, other.kind) if account is None else OrderKind.PAY_BILL
            check_between(movement, own.kind, other.kind)
            options = hold_options(movement, days, other.fee_mode, authorisation=authorisation)
            reference = NO_REFERENCE if account is None else bill_reference(number, account)
            check_reference(movement, reference)
            fee = fee_of(tariff, movement, amount_cents, other.fee_mode)
        except OrderError as error:
            raise HandsetError(str(error)) from error
        return OrderBody(
            payer=own.account,
            payee=number,
            amount_cents=amount_cents,
            fee_cents=fee,
            sequence=sequence,
            kind=OrderKind.HOLD,
            tariff=tariff.version,
            day=day,
            options=options,
            reference=reference,
        )

    return await handset.sign_next(make)


async def release(handset: Handset, key: tuple[int, int], cents: int | None = None) -> Ended:
    """Release a hold as one of its sides: all of it, or so much."""
    return await _end(handset, key, OrderKind.RELEASE, cents)


async def void(handset: Handset, key: tuple[int, int]) -> Ended:
    """Give a hold back as one of its sides."""
    return await _end(handset, key, OrderKind.VOID, None)


async def _end(handset: Handset, key: tuple[int, int], kind: OrderKind, cents: int | None) -> Ended:
    earlier = await handset.resume()  # what an earlier run has signed for this hold, first
    found = await hold_view(handset, key)
    own = handset.wallet.account
    if earlier is not None and _has_ended(earlier, key, kind):
        return Ended(_in_words(replace(earlier, resumed=True), kind), found)
    for _ in range(SLOTS_TRIED):
        if own not in (found.payer, found.payee):
            raise HandsetError("Only the payer and the payee of a hold can end it.")
        if not found.is_open:
            raise HandsetError(how_it_ended(found, own))
        payment = await handset.sign_ending(await _body(handset, found, kind, cents))
        if payment.status is PaymentStatus.REPLACED:
            found = await _told_ended(handset, key)
            return Ended(replace(payment, sentence=how_it_ended(found, own)), found)
        if payment.status is not PaymentStatus.CANCELLED:
            return Ended(_in_words(payment, kind), found)
        found = await hold_view(handset, key)  # its slot was closed: the next one is to be signed
    raise HandsetError("The network does not get round to ending this hold; try again in a moment.")


def _has_ended(earlier: Payment, key: tuple[int, int], kind: OrderKind) -> bool:
    """Say whether what an earlier run left open is final now, and is what is asked for again."""
    is_it = earlier.kind is kind and earlier.status is PaymentStatus.FINAL
    return is_it and slot_named(OrderBody.from_bytes(earlier.order)) == key


async def _body(handset: Handset, found: HoldView, kind: OrderKind, cents: int | None) -> OrderBody:
    own, day = handset.wallet.account, handset.day()
    if kind is OrderKind.VOID:
        return void_of(found, own, day)
    amount, tariff = found.amount_cents if cents is None else cents, None
    if amount != found.amount_cents:
        tariff = await tariff_of_version(handset.genesis, handset.doors, found.tariff)
    try:
        fee = released_fee_cents(found, amount, tariff)
    except OrderError as error:
        raise HandsetError(str(error)) from error
    return release_of(found, own, amount, fee, day)


def _in_words(payment: Payment, kind: OrderKind) -> Payment:
    if payment.status is not PaymentStatus.FINAL:
        return payment
    done = "released" if kind is OrderKind.RELEASE else "voided"
    return replace(payment, sentence=f"The hold is {done}.")


def how_it_ended(found: HoldView, own: int) -> str:
    """Return in one sentence how a hold has ended, for one of its sides."""
    by = "you" if found.ended_by == own else f"account {found.ended_by}"
    return f"This hold has ended already: {by} {found.state} it."


async def hold_view(handset: Handset, key: tuple[int, int]) -> HoldView:
    """Return a hold as w super-agents tell it; HandsetError where there is none.

    Where q others have just made it final, w may hear of it a moment later.
    """
    for _ in range(TOLD_ROUNDS):
        found = await _believed_hold(handset, key)
        if found is not None:
            return found
        await asyncio.sleep(TOLD_PAUSE_S)
    raise HandsetError("There is no hold of this name.")


async def _told_ended(handset: Handset, key: tuple[int, int]) -> HoldView:
    """Return how a hold has ended that w super-agents say has: the others may hear of it a moment later."""
    for _ in range(TOLD_ROUNDS):
        found = await hold_view(handset, key)
        if found.state is not HoldState.HELD:
            return found
        await asyncio.sleep(TOLD_PAUSE_S)
    raise HandsetError("This hold has ended, and the super-agents do not tell yet how; ask again.")


async def _believed_hold(handset: Handset, key: tuple[int, int]) -> HoldView | None:
    try:
        return await believed(handset.genesis, handset.doors, lambda door: door.hold(*key))
    except DisagreementError as error:
        raise HandsetError(str(error)) from error


async def open_holds(handset: Handset) -> list[HoldView]:
    """Return the own open holds, as payer and as payee, as the first door that answers tells them."""
    return await handset.told(lambda door: _all_pages(door, handset.wallet.account))


async def _all_pages(door: Door, number: int) -> list[HoldView]:
    found: list[HoldView] = []
    after: int | None = None
    for _ in range(PAGES_MAX):
        page = await door.holds(number, after)
        found += page.holds
        if page.next_after is None or (after is not None and page.next_after <= after):
            break
        after = page.next_after
    return found


async def find_payment(handset: Handset, named: str) -> OrderBody:
    """Return the final order that a receipt code or PAYER/SEQUENCE names, on the word of w super-agents."""
    genesis, doors = handset.genesis, handset.doors
    payer, slash, sequence = named.partition("/")
    if slash:
        key = _number(payer), _number(sequence)
        proof = await collect_proof(genesis, doors, *key)
        if proof is None:
            raise HandsetError(f"Nothing of account {key[0]} with sequence {key[1]} is final.")
    else:
        proof = await collect_proof_of_code(genesis, doors, named)
    return OrderBody.from_bytes(proof.body)


async def find_hold(handset: Handset, named: str) -> tuple[int, int]:
    """Return the slot of a hold that is named so; HandsetError for what is no hold."""
    body = await find_payment(handset, named)
    if body.kind is not OrderKind.HOLD:
        name = body.kind.name.lower().replace("_", " ")
        raise HandsetError(f"This is no hold: it is the order of a {name}.")
    return body.payer, body.sequence


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(SEQUENCE_MAX)):
        raise HandsetError("Name it by its receipt code, or as PAYER/SEQUENCE in numbers.")
    if int(text) > SEQUENCE_MAX:
        raise HandsetError(f"A number in PAYER/SEQUENCE is at most {SEQUENCE_MAX}.")
    return int(text)
