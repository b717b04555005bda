"""Bulk pay-outs over HTTP: one order and the table of those whom it pays.

In JSON an order of POST /v1/orders has its `payees` beside its other fields; programs that pay many
send the order's bytes and the table's, one after the other, to POST /v1/pay-outs.
"""

from typing import Final

import msgspec
import numpy as np

from harambee.gateways.http.answers import Answer, json_answer, octets_answer
from harambee.gateways.http.problems import ProblemError, bad_request, not_found
from harambee.gateways.http.requests import U32_MAX, U64_MAX, Request, whole
from harambee.ledger.kinds import OrderKind
from harambee.ledger.payees import table_digest
from harambee.ledger.records import BODY_BYTES, ORDER, ORDER_BYTES, PAYEE, PAYEES_MAX
from harambee.node.port import Port

_FIELDS: Final = frozenset({"payee", "amount_cents"})
_KIND_AT: Final = 24
_REFERENCE: Final = slice(BODY_BYTES - 32, BODY_BYTES)


class PayeeRow(msgspec.Struct):
    """Somebody who was paid, and how much."""

    payee: int
    amount_cents: int


class PayeesDocument(msgspec.Struct):
    """Whom a bulk pay-out has paid, ascending."""

    payer: int
    sequence: int
    payees: list[PayeeRow]


def table_bytes(value: object) -> bytes:
    """Return `payees` in JSON as a table, in any order, ascending as it is signed; or ProblemError."""
    if not isinstance(value, list) or not 0 < len(value) <= PAYEES_MAX:
        raise bad_request("PAYEES_INVALID", f"payees must be a list of 1 to {PAYEES_MAX:,} payees.")
    rows = [_row(index, row) for index, row in enumerate(value)]
    return np.array(sorted(rows), PAYEE).tobytes()


def _row(index: int, row: object) -> tuple[int, int]:
    if not isinstance(row, dict) or row.keys() != _FIELDS:
        sentence = f"payees[{index}] must be an object with payee and amount_cents."
        raise bad_request("PAYEES_INVALID", sentence)
    payee = whole(row["payee"], f"payees[{index}].payee", U32_MAX)
    return payee, whole(row["amount_cents"], f"payees[{index}].amount_cents", U64_MAX)


def table_for(order: bytes, table: bytes) -> bytes:
    """Return a table that came with an order, if it is the one that the order names; or ProblemError."""
    if order[_KIND_AT] != OrderKind.BULK_PAY_OUT:
        raise bad_request("PAYEES_UNWANTED", "Only an order of kind bulk_pay_out has payees.")
    if table_digest(table) != order[_REFERENCE]:
        sentence = "The order's reference is not the hash of these payees."
        raise bad_request("PAYEES_WRONG", sentence)
    return table


async def submit(port: Port, request: Request) -> Answer:
    """POST /v1/pay-outs: one order of 128 bytes, then its table of 12 bytes for each payee."""
    order, table = request.body[:ORDER_BYTES], request.body[ORDER_BYTES:]
    count, rest = divmod(len(table), PAYEE.itemsize)
    if len(order) < ORDER_BYTES or rest or not count:
        raise bad_request(
            "BODY_MISALIGNED",
            f"The body must be an order of {ORDER_BYTES} bytes and one or more rows of "
            f"{PAYEE.itemsize} bytes each.",
        )
    if count > PAYEES_MAX:
        raise ProblemError(413, "TOO_MANY", f"One order pays at most {PAYEES_MAX:,} payees.")
    tables = {0: table_for(order, table)}
    orders = np.frombuffer(order, ORDER)
    submission = await port.submit(orders, {}, request.wait_ms(), tables)
    return octets_answer(bytes([submission.states[0], submission.outcomes[0]]))


async def payees(port: Port, request: Request) -> Answer:
    """GET /v1/orders/{payer}/{sequence}/payees: whom the bulk pay-out that is final there has paid."""
    payer = request.captured_number(0, "payer")
    sequence = request.captured_number(1, "sequence")
    table = await port.payees(payer, sequence)
    if table is None:
        raise not_found("PAY_OUT_UNKNOWN", "No bulk pay-out is final in this slot.")
    rows = [PayeeRow(payee, cents) for payee, cents in table.tolist()]
    return json_answer(PayeesDocument(payer, sequence, rows))
