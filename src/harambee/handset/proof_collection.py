"""Collecting a proof: the same question to one super-agent after another, until w have signed.

Each door says which order is final in a slot and signs for it, so a lying one is just one that does
not count. Nobody has to have made the payment: who paid, who was paid and an auditor ask alike.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from harambee.handset.agreement import DisagreementError
from harambee.handset.doors import Door, DoorError, FinalOrder
from harambee.handset.handset import HandsetError, believed
from harambee.handset.holds import slot_named
from harambee.handset.orders import OrderBody, order_id
from harambee.handset.proofs import Proof, make_proof
from harambee.handset.receipt_code import read_receipt_code, receipt_code, sequences
from harambee.handset.receipts import Receipt
from harambee.ledger.kinds import ENDINGS, OrderKind
from harambee.protocol.genesis import Genesis

WAIT_MS: Final = 1_000
"""So long a door that lags behind may wait for the order to be final with it too."""
SAME_NAME_MAX: Final = 64
"""So many payments of one payer whose codes differ in the day alone are looked through."""


async def collect_proof(
    genesis: Genesis, doors: Sequence[Door], payer: int, sequence: int, wait_ms: int = WAIT_MS
) -> Proof | None:
    """Return the proof of what is final in a slot, or None if w super-agents say that nothing is.

    HandsetError, with one sentence, if fewer than w answer, or no w of them alike.
    """
    return await _collected(
        genesis,
        doors,
        lambda door: door.final_order(payer, sequence, wait_ms),
        lambda body: (body.payer, body.sequence) == (payer, sequence) and body.kind not in ENDINGS,
    )


async def _collected(
    genesis: Genesis,
    doors: Sequence[Door],
    ask_for: Callable[[Door], Awaitable[FinalOrder | None]],
    is_asked: Callable[[OrderBody], bool],
) -> Proof | None:
    """Return the proof of what w super-agents tell and sign for alike; None if they say there is nothing."""
    receipts: dict[bytes, dict[int, Receipt]] = {}

    async def ask(door: Door) -> bytes | None:
        found = await ask_for(door)
        if found is None:
            return None
        receipt = found.receipt
        if not is_asked(OrderBody.from_bytes(found.body)) or receipt.super_agent != door.index:
            raise DoorError(f"{door.name} answers what was not asked.")
        if not receipt.holds(genesis, order_id(genesis.network, found.body)):
            raise DoorError(f"{door.name} signs a receipt that does not hold.")
        receipts.setdefault(found.body, {})[receipt.super_agent] = receipt
        return found.body

    try:
        body = await believed(genesis, doors, ask)
    except DisagreementError as error:
        raise HandsetError(str(error)) from error
    return None if body is None else make_proof(genesis, body, receipts[body].values())


async def with_ending(
    genesis: Genesis, doors: Sequence[Door], proof: Proof, wait_ms: int = 0
) -> Proof:
    """Return the proof of what ended the hold that a proof is of; any other proof, or an open hold's, itself.

    HandsetError as `collect_proof`.
    """
    body = OrderBody.from_bytes(proof.body)
    if body.kind is not OrderKind.HOLD:
        return proof
    key = body.payer, body.sequence

    def is_its(ending: OrderBody) -> bool:
        return ending.kind in ENDINGS and slot_named(ending) == key

    ended = await _collected(genesis, doors, lambda door: door.final_ending(key, wait_ms), is_its)
    return proof if ended is None else ended


async def collect_proof_of_code(genesis: Genesis, doors: Sequence[Door], code: str) -> Proof:
    """Return the proof of the payment that has a receipt code; HandsetError if there is none.

    A code says its payer, and the remainder of its sequence: those that leave this remainder are
    looked through, newest first.
    """
    code = code.strip().upper()
    content = read_receipt_code(code, genesis.regions)
    if content is None:
        raise HandsetError("This is no receipt code of this network.")
    apart = sequences(genesis.regions)
    try:
        following = await believed(genesis, doors, lambda door: _next_sequence(door, content.payer))
    except DisagreementError as error:
        raise HandsetError(str(error)) from error
    # The payment itself may be one that those who answered have not applied yet.
    newest = following - (following - content.sequence_remainder) % apart
    candidates = range(newest, -1, -apart)
    for sequence in candidates[:SAME_NAME_MAX]:
        wait_ms = WAIT_MS if sequence == following else 0
        proof = await collect_proof(genesis, doors, content.payer, sequence, wait_ms)
        if proof is None:
            continue
        body = OrderBody.from_bytes(proof.body)
        if receipt_code(body.payer, body.sequence, body.day, genesis.regions) == code:
            return proof
    if len(candidates) > SAME_NAME_MAX:
        raise HandsetError("None of the newest payments has this receipt code: name its sequence.")
    raise HandsetError("No payment with this receipt code is final.")


async def _next_sequence(door: Door, number: int) -> int:
    view = await door.account(number)
    return 0 if view is None else view.next_sequence
