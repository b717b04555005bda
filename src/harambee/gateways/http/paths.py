"""One order followed: how it became final, block by block; and the order that a receipt's code names."""

from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from harambee.gateways.http.answers import Answer, json_answer, one_of
from harambee.gateways.http.orders import (
    SLOT_KEY,
    OrderShown,
    order_document,
    slot_answer,
)
from harambee.gateways.http.problems import bad_request, not_found
from harambee.gateways.http.requests import Request
from harambee.handset.receipt_code import code_of, read_receipt_code, sequences
from harambee.ledger.outcomes import Outcome
from harambee.node.port import SKIPPED_KIND, PathStep, Port, Slot, State

CANDIDATES_MAX: Final = 1_024
"""Slots of one payer that could have a code and are looked at, the newest first."""


class StepRow(msgspec.Struct):
    """A block on the way, and its author's clock, for display."""

    super_agent: int
    incarnation: int
    height: int
    time_ms: int


class RefusalRow(msgspec.Struct):
    """A block that refuses the order, and by which rule."""

    super_agent: int
    incarnation: int
    height: int
    time_ms: int
    outcome: str


class PathDocument(msgspec.Struct):
    """How an order became final: its block, the blocks that vote for it, those that acknowledge it.

    q votes are a certificate, and q acknowledgements make it final. `known` is false where this
    super-agent does not keep the heights of so long ago any more; where somebody refused the order, its
    acknowledgements are not told, for it is counted by itself then.
    """

    state: Annotated[str, one_of(*(state.name.lower() for state in State))]
    n: int
    q: int
    known: bool
    order: OrderShown | UnsetType = UNSET
    block: StepRow | UnsetType = UNSET
    votes: list[StepRow] = []
    refusals: list[RefusalRow] = []
    acknowledgements: list[StepRow] = []


def _row(step: PathStep) -> StepRow:
    return StepRow(step.author, step.incarnation, step.height, step.time_ms)


async def path(port: Port, request: Request) -> Answer:
    """GET /v1/orders/{payer}/{sequence}/path: how the order in a slot became final, or how far it is."""
    payer = request.captured_number(0, "payer")
    sequence = request.captured_number(1, "sequence")
    found = await port.path(payer, sequence)
    committee = port.genesis.committee
    document = PathDocument(found.state.name.lower(), committee.n, committee.q, found.is_known)
    if found.order is not None:
        document.order = order_document(port, found.order)
    if found.block is not None:
        document.block = _row(found.block)
    document.votes = [_row(step) for step in found.votes]
    document.acknowledgements = [_row(step) for step in found.acknowledgements]
    document.refusals = [
        RefusalRow(
            step.author,
            step.incarnation,
            step.height,
            step.time_ms,
            Outcome(step.outcome).name,
        )
        for step in found.refusals
    ]
    return json_answer(document)


async def receipt(port: Port, request: Request) -> Answer:
    """GET /v1/receipts/{code}: the order that a receipt's code names, signed for.

    A code says which account pays and the last digits of its sequence, so the account's newest slots
    that fit are looked at. Of what ends a hold, the code is that of the hold, and names it.
    """
    regions = port.genesis.regions
    content = read_receipt_code(request.captured[0], regions)
    if content is None:
        sentence = "This is no receipt's code: ten letters and digits, as they stand in the text."
        raise bad_request("RECEIPT_CODE_INVALID", sentence)
    account = await port.account(content.payer)
    if account is not None:
        newest = int(account["next_sequence"][0]) - 1
        fitting = range(content.sequence_remainder, newest + 1, sequences(regions))
        candidates = fitting[-CANDIDATES_MAX:]
        keys = np.zeros(len(candidates), SLOT_KEY)
        keys["payer"], keys["sequence"] = content.payer, candidates
        for order in (await port.slots(keys))[::-1] if len(keys) else ():
            found = order.tobytes()
            is_one = order["kind"] not in (0, SKIPPED_KIND)
            if is_one and code_of(found, regions) == request.captured[0].strip().upper():
                return slot_answer(port, Slot(State.FINAL, found), None)
    raise not_found("RECEIPT_UNKNOWN", "This super-agent knows no final order with this code.")
