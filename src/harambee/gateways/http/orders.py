"""Orders over HTTP: offered, looked up by slot, and read back in the order of applying.

The octet-stream forms are for programs that carry many: the bytes of the wire go to the port as one
array, and no Python object is made for each order. The JSON forms are for people and small
handsets.
"""

import asyncio
from typing import Annotated, Final

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Meta, UnsetType

from harambee.gateways.http import pay_outs
from harambee.gateways.http.answers import (
    OCTETS,
    Answer,
    Hex,
    json_answer,
    octets_answer,
    one_of,
)
from harambee.gateways.http.problems import ProblemError, bad_request
from harambee.gateways.http.requests import (
    U16_MAX,
    U32_MAX,
    U64_MAX,
    Request,
    hex_field,
    hexadecimal,
    number_field,
    whole,
)
from harambee.handset.orders import order_id
from harambee.handset.receipt_code import code_of
from harambee.ledger.kinds import ENDINGS, OrderKind
from harambee.ledger.outcomes import SENTENCES, Outcome
from harambee.ledger.payees import table_digest
from harambee.ledger.records import ORDER, ORDER_BYTES
from harambee.ledger.rules import Order, named_slot
from harambee.node.port import Port, Slot, State

ORDERS_MAX: Final = 8192
FINALS_MAX: Final = 65_536
SIGNED_AT_ONCE: Final = 64
"""Receipts signed before other work has a turn."""

SLOT_KEY: Final = np.dtype([("payer", "<u4"), ("sequence", "<u4")])
assert SLOT_KEY.itemsize == 8

_KIND_NAMES: Final = {int(kind): kind.name.lower() for kind in OrderKind}

STATE_SENTENCES: Final = {
    State.UNKNOWN: "This super-agent knows nothing of the order.",
    State.PENDING: "The order is on its way; ask again for its slot.",
    State.FINAL: "The order is final.",
    State.SKIPPED: "The slot was closed without an order.",
}


U16 = Annotated[object, number_field(U16_MAX)]
U32 = Annotated[object, number_field(U32_MAX)]
U64 = Annotated[object, number_field(U64_MAX)]


class OrderDocument(msgspec.Struct, forbid_unknown_fields=True):
    """One order in JSON: its bytes in hexadecimal, or its fields by name."""

    bytes: Annotated[object, hex_field(ORDER_BYTES, or_null=True)] = None
    payer: U32 = None
    payee: U32 = None
    amount_cents: U64 = 0
    fee_cents: U32 = 0
    sequence: U32 = None
    kind: Annotated[object, Meta(extra_json_schema={"enum": [*_KIND_NAMES.values(), None]})] = None
    tariff: U16 = 0
    day: U16 = None
    options: Annotated[object, hex_field(3, or_null=True)] = "00" * 3
    reference: Annotated[object, hex_field(32, or_null=True)] = None
    signature: Annotated[object, hex_field(64, or_null=True)] = None
    network: Annotated[object, hex_field(32, or_null=True)] = None
    possession: Annotated[object, hex_field(64, or_null=True)] = None
    payees: Annotated[
        object,
        Meta(
            extra_json_schema={
                "type": ["array", "null"],
                "items": {
                    "type": "object",
                    "properties": {
                        "payee": {"type": "integer", "minimum": 0, "maximum": U32_MAX},
                        "amount_cents": {"type": "integer", "minimum": 0, "maximum": U64_MAX},
                    },
                    "required": ["payee", "amount_cents"],
                    "additionalProperties": False,
                },
                "minItems": 1,
            }
        ),
    ] = None


class OrdersDocument(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/orders."""

    orders: list[OrderDocument]


class HoldSlot(msgspec.Struct):
    """The slot of a hold."""

    payer: int
    sequence: int


class OrderShown(msgspec.Struct):
    """An order spelled out; `hold` is there where it ends one."""

    id: Hex
    payer: int
    payee: int
    amount_cents: int
    fee_cents: int
    sequence: int
    kind: str
    tariff: int
    day: int
    options: Hex
    reference: Hex
    receipt_code: str
    hold: HoldSlot | UnsetType = UNSET


class ReceiptDocument(msgspec.Struct):
    """A super-agent's signed word that an order is final."""

    super_agent: int
    outcome: int
    signature: Hex


class RefusalDocument(msgspec.Struct):
    """A super-agent's signed word that it refused an order on that day."""

    super_agent: int
    outcome: int
    day: int
    signature: Hex


class FateDocument(msgspec.Struct):
    """What became of one order: a receipt where it is final, a refusal where a rule refused it."""

    id: Hex
    state: Annotated[str, one_of(*(state.name.lower() for state in State))]
    outcome: str
    sentence: str
    receipt_code: str
    receipt: ReceiptDocument | UnsetType = UNSET
    refusal: RefusalDocument | UnsetType = UNSET


class FatesDocument(msgspec.Struct):
    """What became of the orders, in the order in which they came."""

    orders: list[FateDocument]


class SlotDocument(msgspec.Struct):
    """What is final in a slot, signed for; "other" where it is not the order that was asked for."""

    state: Annotated[str, one_of("other", *(state.name.lower() for state in State))]
    order: OrderShown | UnsetType = UNSET
    receipt: ReceiptDocument | UnsetType = UNSET


async def submit(port: Port, request: Request) -> Answer:
    """POST /v1/orders: offer orders, and wait for what becomes of them."""
    if request.content_type == OCTETS.decode():
        return await _submit_octets(port, request)
    return await _submit_json(port, request)


async def _submit_octets(port: Port, request: Request) -> Answer:
    count = request.records(ORDER_BYTES, ORDERS_MAX)
    orders = np.frombuffer(request.body, ORDER, count)
    submission = await port.submit(orders, {}, request.wait_ms())
    answer = np.empty((count, 2), np.uint8)
    answer[:, 0] = submission.states
    answer[:, 1] = submission.outcomes
    return octets_answer(answer.tobytes())


async def _submit_json(port: Port, request: Request) -> Answer:
    documents = request.json(OrdersDocument).orders
    if not documents:
        raise bad_request("BODY_EMPTY", "The list of orders is empty.")
    if len(documents) > ORDERS_MAX:
        raise ProblemError(413, "TOO_MANY", f"One body holds at most {ORDERS_MAX} orders.")
    tables = {
        index: pay_outs.table_bytes(document.payees)
        for index, document in enumerate(documents)
        if document.payees is not None
    }
    rows = [
        order_bytes(document, port.genesis.network, tables.get(index))
        for index, document in enumerate(documents)
    ]
    for index, table in tables.items():
        pay_outs.table_for(rows[index], table)
    possessions = {
        index: hexadecimal(document.possession, "possession", 64)
        for index, document in enumerate(documents)
        if document.possession is not None
    }
    orders = np.frombuffer(b"".join(rows), ORDER)
    submission = await port.submit(orders, possessions, request.wait_ms(), tables)
    fates = []
    for index, row in enumerate(rows):
        if index % SIGNED_AT_ONCE == SIGNED_AT_ONCE - 1:
            await asyncio.sleep(0)
        state, outcome = State(submission.states[index]), Outcome(submission.outcomes[index])
        fates.append(_fate(port, row, state, outcome))
    return json_answer(FatesDocument(fates))


def order_bytes(document: OrderDocument, network: bytes, table: bytes | None = None) -> bytes:
    """Return the 128 bytes of an order in JSON; ProblemError with one sentence if it is none.

    A reference that is not given is that of the `table` of payees beside it, or zero.
    """
    if document.network is not None and hexadecimal(document.network, "network", 32) != network:
        raise ProblemError(
            409, "NETWORK_WRONG", f"The order is of another network; this one is {network.hex()}."
        )
    if document.bytes is not None:
        return hexadecimal(document.bytes, "bytes", ORDER_BYTES)
    row = np.zeros(1, ORDER)
    row["payer"] = whole(document.payer, "payer", U32_MAX)
    row["payee"] = whole(document.payee, "payee", U32_MAX)
    row["amount"] = whole(document.amount_cents, "amount_cents", U64_MAX)
    row["fee"] = whole(document.fee_cents, "fee_cents", U32_MAX)
    row["sequence"] = whole(document.sequence, "sequence", U32_MAX)
    row["kind"] = _kind_code(document.kind)
    row["tariff"] = whole(document.tariff, "tariff", U16_MAX)
    row["day"] = whole(document.day, "day", U16_MAX)
    row["options"] = np.frombuffer(hexadecimal(document.options, "options", 3), np.uint8)
    if document.reference is not None:
        reference = hexadecimal(document.reference, "reference", 32)
    else:
        reference = bytes(32) if table is None else table_digest(table)
    row["reference"] = np.frombuffer(reference, np.uint8)
    row["signature"] = np.frombuffer(hexadecimal(document.signature, "signature", 64), np.uint8)
    return row.tobytes()


def _kind_code(name: object) -> int:
    kind = OrderKind.__members__.get(name.upper()) if isinstance(name, str) else None
    if kind is None:
        names = ", ".join(kind.name.lower() for kind in OrderKind)
        raise bad_request("KIND_UNKNOWN", f"kind must be one of {names}.")
    return int(kind)


def kind_name(kind: int) -> str:
    """Return what a kind of order is called; its code where it is none."""
    return _KIND_NAMES.get(kind, str(kind))


def order_document(port: Port, order: bytes) -> OrderShown:
    """Return an order spelled out, with its id and its receipt code, and the hold that it ends if it does."""
    row = np.frombuffer(order, ORDER)[0]
    kind = int(row["kind"])
    document = OrderShown(
        id=order_id(port.genesis.network, order).hex(),
        payer=int(row["payer"]),
        payee=int(row["payee"]),
        amount_cents=int(row["amount"]),
        fee_cents=int(row["fee"]),
        sequence=int(row["sequence"]),
        kind=kind_name(kind),
        tariff=int(row["tariff"]),
        day=int(row["day"]),
        options=row["options"].tobytes().hex(),
        reference=row["reference"].tobytes().hex(),
        receipt_code=code_of(order, port.genesis.regions),
    )
    if kind in ENDINGS:
        document.hold = HoldSlot(*named_slot(Order.of(row)))
    return document


def _fate(port: Port, order: bytes, state: State, outcome: Outcome) -> FateDocument:
    name = order_id(port.genesis.network, order)
    code = code_of(order, port.genesis.regions)
    refused = state is State.REFUSED
    fate = FateDocument(
        id=name.hex(),
        state=state.name.lower(),
        outcome=outcome.name,
        sentence=SENTENCES[outcome] if refused else STATE_SENTENCES[state],
        receipt_code=code,
    )
    if state is State.FINAL:
        fate.receipt = receipt_document(port, name)
    elif refused:
        day = port.today()
        fate.refusal = RefusalDocument(
            super_agent=port.index,
            outcome=int(outcome),
            day=day,
            signature=port.refusal(name, int(outcome), day).hex(),
        )
    return fate


def receipt_document(port: Port, name: bytes) -> ReceiptDocument:
    """Return this super-agent's signed word that the order of that id is final."""
    return ReceiptDocument(port.index, int(Outcome.ACCEPTED), port.receipt(name).hex())


async def slot(port: Port, request: Request) -> Answer:
    """GET /v1/orders/{payer}/{sequence}: what is final there, signed for, unless it is not order `id`."""
    payer = request.captured_number(0, "payer")
    sequence = request.captured_number(1, "sequence")
    wanted = request.query.get("id")
    wanted_id = None if wanted is None else hexadecimal(wanted, "id", 32)
    return slot_answer(port, await port.slot(payer, sequence, request.wait_ms()), wanted_id)


def slot_answer(port: Port, found: Slot, wanted_id: bytes | None) -> Answer:
    """Return what is final in a slot, signed for, unless it is another order than the one wanted."""
    if found.order is None:
        return json_answer(SlotDocument(found.state.name.lower()))
    document = order_document(port, found.order)
    name = order_id(port.genesis.network, found.order)
    if wanted_id not in (None, name):
        return json_answer(SlotDocument("other", document))
    return json_answer(SlotDocument("final", document, receipt_document(port, name)))


async def slots(port: Port, request: Request) -> Answer:
    """POST /v1/slots: the final orders of many slots, zero bytes where none is."""
    count = request.records(SLOT_KEY.itemsize, ORDERS_MAX)
    found: npt.NDArray[np.void] = await port.slots(np.frombuffer(request.body, SLOT_KEY, count))
    return octets_answer(found.tobytes())


async def finals(port: Port, request: Request) -> Answer:
    """GET /v1/finals: final orders in this super-agent's order of applying, from `after` on."""
    after = request.number("after", 0, (1 << 63) - 1)
    limit = max(1, request.number("limit", ORDERS_MAX, FINALS_MAX))
    found, following = await port.finals(after, limit)
    return octets_answer(found.tobytes(), ((b"harambee-next", str(following).encode()),))
