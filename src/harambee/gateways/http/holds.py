"""Holds and reversals over HTTP: what is held, how it ended, and who wants a payment back.

All of it is as public as an account's balance and statement are.
"""

from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from harambee.gateways.http.answers import Answer, json_answer, one_of
from harambee.gateways.http.orders import (
    OrderShown,
    ReceiptDocument,
    order_document,
    receipt_document,
    slot_answer,
)
from harambee.gateways.http.problems import not_found
from harambee.gateways.http.requests import U32_MAX, U64_MAX, Request, hexadecimal
from harambee.handset.orders import order_id
from harambee.handset.receipt_code import receipt_code
from harambee.ledger.house_rules import AUTHORISATION_BIT
from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import FEE_MODE_MASK, ORDER
from harambee.ledger.side_tables import Hold
from harambee.money.tariff import FeeMode
from harambee.node.port import HoldFacts, Port

HOLDS_DEFAULT: Final = 50
HOLDS_MAX: Final = 500


class TermsDocument(msgspec.Struct):
    """What a hold says; from `free_day` on either side may end it alone."""

    payer: int
    sequence: int
    payee: int
    amount_cents: int
    fee_cents: int
    tariff: int
    day: int
    days: int
    free_day: int
    movement: str
    fee_mode: str
    authorisation: bool
    receipt_code: str


class OpenHoldRow(TermsDocument):
    """An open hold; `slot` is which of its own slots its end will be in."""

    slot: int


class OpenHoldsDocument(msgspec.Struct):
    """Open holds of an account, ascending; `next_after` is the `after` of the next page."""

    account: int
    holds: list[OpenHoldRow]
    next_after: int | None


class HoldDocument(TermsDocument):
    """A hold, and how it stands with it; `slot` is which of its own slots its end will be in."""

    state: Annotated[str, one_of("held", "released", "voided")]
    slot: int | None
    released_cents: int
    ended_by: int | None
    order: OrderShown
    ending: OrderShown | None
    receipt: ReceiptDocument | UnsetType = UNSET


class ReversalDocument(msgspec.Struct):
    """A payment, and what became of the wish to have it back."""

    payer: int
    sequence: int
    asked_cents: int
    refunded_cents: int
    refused: bool
    disputed: bool
    order: OrderShown


def _terms_document(port: Port, payer: int, sequence: int, terms: Hold) -> dict[str, Any]:
    """Return what a hold says; the day from which either side may end it alone is `free_day`."""
    return {
        "payer": payer,
        "sequence": sequence,
        "payee": terms.payee,
        "amount_cents": terms.amount_cents,
        "fee_cents": terms.fee_cents,
        "tariff": terms.tariff,
        "day": terms.day,
        "days": terms.days,
        "free_day": terms.day + terms.days,
        "movement": OrderKind(terms.movement).name.lower(),
        "fee_mode": FeeMode(terms.fee_mode).name.lower(),
        "authorisation": terms.is_authorisation,
        "receipt_code": receipt_code(payer, sequence, terms.day, port.genesis.regions),
    }


def _terms_of(order: np.void) -> Hold:
    """Return the terms of a hold that is final, so that they are some."""
    movement, days, terms = order["options"].tolist()
    return Hold(
        payee=int(order["payee"]),
        amount_cents=int(order["amount"]),
        fee_cents=int(order["fee"]),
        tariff=int(order["tariff"]),
        day=int(order["day"]),
        movement=movement,
        fee_mode=FeeMode(terms & FEE_MODE_MASK),
        days=days,
        is_authorisation=bool(terms & AUTHORISATION_BIT),
    )


def _fate(facts: HoldFacts) -> dict[str, Any]:
    """Return how it stands with a hold; `slot` is which of its own slots its end will be in."""
    if facts.ending is None:
        return {"state": "held", "slot": facts.slot, "released_cents": 0, "ended_by": None}
    ending = np.frombuffer(facts.ending, ORDER)[0]
    released = int(ending["kind"]) == OrderKind.RELEASE
    return {
        "state": "released" if released else "voided",
        "slot": None,
        "released_cents": int(ending["amount"]),
        "ended_by": int(ending["payer"]),
    }


async def hold(port: Port, request: Request) -> Answer:
    """GET /v1/holds/{payer}/{sequence}: a hold's terms, and whether it is held, released or voided."""
    payer = request.captured_number(0, "payer")
    sequence = request.captured_number(1, "sequence")
    facts = await port.hold(payer, sequence, request.wait_ms())
    if facts is None:
        raise not_found("HOLD_UNKNOWN", "No hold is final in this slot.")
    order = np.frombuffer(facts.order, ORDER)[0]
    document = HoldDocument(
        **_terms_document(port, payer, sequence, _terms_of(order)),
        **_fate(facts),
        order=order_document(port, facts.order),
        ending=None,
    )
    if facts.ending is not None:
        document.ending = order_document(port, facts.ending)
        document.receipt = receipt_document(port, order_id(port.genesis.network, facts.ending))
    return json_answer(document)


async def ending(port: Port, request: Request) -> Answer:
    """GET /v1/holds/{payer}/{sequence}/ending: what ended a hold, signed for, unless it is not order `id`.

    Answers as /v1/orders does for a slot. `slot` is which of the hold's own slots is asked for.
    """
    key = request.captured_number(0, "payer"), request.captured_number(1, "sequence")
    wanted = request.query.get("id")
    wanted_id = None if wanted is None else hexadecimal(wanted, "id", 32)
    number = request.number("slot", 0, U32_MAX)
    return slot_answer(port, await port.ending(key, number, request.wait_ms()), wanted_id)


async def open_holds(port: Port, request: Request) -> Answer:
    """GET /v1/accounts/{number}/holds: what is held of an account, and for it, in pages.

    Ascending by (payer, sequence); `next_after` is the `after` of the next page.
    """
    number = request.captured_number(0, "the account number")
    if await port.account(number) is None:
        raise not_found("ACCOUNT_UNKNOWN", "There is no account of this number.")
    limit = max(1, request.number("limit", HOLDS_DEFAULT, HOLDS_MAX))
    after = None
    if "after" in request.query:
        joined = request.number("after", 0, U64_MAX)
        after = joined >> 32, joined & U32_MAX
    found = await port.holds(number, limit, after)
    rows = [
        OpenHoldRow(
            **_terms_document(port, row.payer, row.sequence, row.terms),
            slot=row.terms.next_sequence,
        )
        for row in found
    ]
    following = (
        found[-1].payer << 32 | found[-1].sequence if found and len(found) == limit else None
    )
    return json_answer(OpenHoldsDocument(number, rows, following))


async def reversal(port: Port, request: Request) -> Answer:
    """GET /v1/reversals/{payer}/{sequence}: whether a payment is asked back, refused, disputed, refunded."""
    payer = request.captured_number(0, "payer")
    sequence = request.captured_number(1, "sequence")
    facts = await port.reversal(payer, sequence)
    if facts is None:
        raise not_found("PAYMENT_UNKNOWN", "No payment that could be given back is final here.")
    state = facts.state
    return json_answer(
        ReversalDocument(
            payer=payer,
            sequence=sequence,
            asked_cents=state.asked_cents,
            refunded_cents=state.refunded_cents,
            refused=state.is_refused,
            disputed=state.is_disputed,
            order=order_document(port, facts.order),
        )
    )
