"""Bulk pay-outs at the door: an order, and the table of those whom it pays."""

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.payees import table_digest
from harambee.ledger.records import ORDER, PAYEE, PAYEES_MAX
from harambee.node.port import State

OCTETS = "application/octet-stream"
PAYER, TODAY = 16, 20_781
ROWS = [{"payee": 40, "amount_cents": 100}, {"payee": 17, "amount_cents": 400}]
TABLE = np.array([(17, 400), (40, 100)], PAYEE).tobytes()


def ask(client, *arguments, **named):
    return asyncio.run(client.ask(*arguments, **named))


def signed(table=TABLE, kind=OrderKind.BULK_PAY_OUT):
    row = np.zeros(1, ORDER)
    row["payer"] = row["payee"] = PAYER
    row["amount"], row["sequence"] = 500, 7
    row["kind"], row["tariff"], row["day"] = kind, 2, TODAY
    row["reference"] = np.frombuffer(table_digest(table), np.uint8)
    row["signature"] = 3
    return row.tobytes()


def spelled(**changes):
    return {"orders": [{"bytes": signed().hex(), "payees": ROWS} | changes]}


def test_an_order_with_its_payees_in_any_order_goes_in_with_the_table_it_names(client, port):
    (fate,) = ask(client, "POST", "/v1/orders", spelled()).document["orders"]
    assert fate["state"] == "final"
    assert port.submitted[0][0].tobytes() == signed()
    assert port.tables == [{0: TABLE}]


def test_an_order_spelled_out_needs_no_reference_beside_its_payees(client, port):
    fields = {
        "payer": PAYER,
        "payee": PAYER,
        "amount_cents": 500,
        "sequence": 7,
        "kind": "bulk_pay_out",
        "tariff": 2,
        "day": TODAY,
        "signature": "03" * 64,
        "payees": ROWS,
    }
    assert ask(client, "POST", "/v1/orders", {"orders": [fields]}).status == 200
    assert port.submitted[0][0].tobytes() == signed()


def test_the_bytes_of_an_order_and_its_table_go_in_together(client, port):
    port.state, port.outcome = State.REFUSED, Outcome.BALANCE_INSUFFICIENT
    reply = ask(client, "POST", "/v1/pay-outs", signed() + TABLE, OCTETS, query=b"wait_ms=50")
    assert reply.body == bytes([State.REFUSED, Outcome.BALANCE_INSUFFICIENT])
    assert port.submitted[0][0].tobytes() == signed()
    assert (port.tables, port.waits) == ([{0: TABLE}], [50])


def test_ten_thousand_payees_fit_into_either_form(client, port):
    table = np.array([(20_000_000 + k, 1_000_000 + k) for k in range(PAYEES_MAX)], PAYEE)
    rows = [{"payee": payee, "amount_cents": cents} for payee, cents in table.tolist()]
    order = signed(table.tobytes())
    in_words = {"orders": [{"bytes": order.hex(), "payees": rows}]}
    assert ask(client, "POST", "/v1/orders", in_words).status == 200
    assert ask(client, "POST", "/v1/pay-outs", order + table.tobytes(), OCTETS).status == 200
    assert port.tables == [{0: table.tobytes()}] * 2


@pytest.mark.parametrize(
    ("changes", "code", "sentence"),
    [
        ({"payees": []}, "PAYEES_INVALID", "a list of 1 to 10,000 payees"),
        ({"payees": {}}, "PAYEES_INVALID", "a list of 1 to 10,000 payees"),
        ({"payees": ROWS[:1] * 10_001}, "PAYEES_INVALID", "a list of 1 to 10,000 payees"),
        ({"payees": [17]}, "PAYEES_INVALID", "payees[0] must be an object"),
        ({"payees": [*ROWS, {"payee": 1}]}, "PAYEES_INVALID", "payees[2] must be an object"),
        ({"payees": [ROWS[0] | {"name": "x"}]}, "PAYEES_INVALID", "payees[0] must be an object"),
        ({"payees": [ROWS[0] | {"payee": 1.5}]}, "NUMBER_INVALID", "payees[0].payee must be"),
        ({"payees": [ROWS[0] | {"payee": 2**32}]}, "NUMBER_INVALID", "payees[0].payee must be"),
        ({"payees": [ROWS[0] | {"amount_cents": -1}]}, "NUMBER_INVALID", "payees[0].amount_cents"),
        ({"payees": ROWS[:1]}, "PAYEES_WRONG", "reference is not the hash of these payees"),
        ({"bytes": signed(kind=1).hex()}, "PAYEES_UNWANTED", "Only an order of kind bulk_pay_out"),
    ],
)
def test_payees_that_cannot_be_taken_get_one_sentence(client, port, changes, code, sentence):
    reply = ask(client, "POST", "/v1/orders", spelled(**changes))
    assert (reply.status, reply.code) == (400, code)
    assert sentence in reply.document["detail"]
    assert reply.document["detail"].count(". ") == 0
    assert not port.submitted


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "BODY_MISALIGNED"),
        (signed()[:-1], 400, "BODY_MISALIGNED"),
        (signed(), 400, "BODY_MISALIGNED"),
        (signed() + TABLE[:-1], 400, "BODY_MISALIGNED"),
        (signed() + TABLE + TABLE, 400, "PAYEES_WRONG"),
        (signed(kind=1) + TABLE, 400, "PAYEES_UNWANTED"),
        (signed() + bytes(12 * 10_001), 413, "TOO_MANY"),
    ],
)
def test_bytes_that_are_no_pay_out_are_said_to_be_none(client, port, body, status, code):
    reply = ask(client, "POST", "/v1/pay-outs", body, OCTETS)
    assert (reply.status, reply.code) == (status, code)
    assert not port.submitted


@given(st.binary(max_size=400))
def test_whatever_a_stranger_sends_as_a_pay_out_the_answer_is_no_5xx(make_client, body):
    assert asyncio.run(make_client().ask("POST", "/v1/pay-outs", body, OCTETS)).status < 500


def test_whom_a_final_pay_out_has_paid_is_told(client):
    reply = ask(client, "GET", f"/v1/orders/{PAYER}/7/payees")
    assert reply.document == {
        "payer": PAYER,
        "sequence": 7,
        "payees": [{"payee": 17, "amount_cents": 700}],
    }
    assert ask(client, "GET", f"/v1/orders/{PAYER}/8/payees").code == "PAY_OUT_UNKNOWN"
