"""One order followed over HTTP, and found by its receipt's code."""

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateways.conftest import PAYEE, PAYER, TODAY

from harambee.handset.receipt_code import DIGITS, receipt_code
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ORDER
from harambee.node.port import SKIPPED_KIND, OrderPath, PathStep, State


def ask(client, path, method="GET"):
    return asyncio.run(client.ask(method, path))


def step(author, height, time_ms, outcome=0):
    return PathStep(author, 0, height, time_ms, outcome)


def row(author, height, time_ms):
    return {"super_agent": author, "incarnation": 0, "height": height, "time_ms": time_ms}


def test_the_whole_path_of_a_final_order(client, port, order):
    port.paths[PAYER, 7] = OrderPath(
        State.FINAL,
        order,
        step(1, 30, 100),
        (step(0, 41, 105), step(1, 30, 100), step(3, 22, 107)),
        (step(2, 9, 109, Outcome.DAY_WRONG),),
        (step(0, 42, 120), step(1, 31, 121)),
    )
    reply = ask(client, f"/v1/orders/{PAYER}/7/path")
    assert reply.status == 200
    document = reply.document
    assert (document["state"], document["n"], document["q"]) == ("final", 4, 3)
    assert document["known"] is True
    assert document["block"] == row(1, 30, 100)
    assert document["votes"] == [row(0, 41, 105), row(1, 30, 100), row(3, 22, 107)]
    assert document["refusals"] == [row(2, 9, 109) | {"outcome": "DAY_WRONG"}]
    assert document["acknowledgements"] == [row(0, 42, 120), row(1, 31, 121)]
    assert document["order"]["receipt_code"] == receipt_code(PAYER, 7, TODAY, 4)


def test_an_order_of_long_ago_has_its_block_and_no_heights(client, port, order):
    port.paths[PAYER, 7] = OrderPath(State.FINAL, order, step(1, 30, 100), is_known=False)
    document = ask(client, f"/v1/orders/{PAYER}/7/path").document
    assert (document["known"], document["votes"], document["block"]) == (False, [], row(1, 30, 100))


def test_of_a_slot_without_an_order_only_its_state_is_told(client):
    document = ask(client, f"/v1/orders/{PAYER}/8/path").document
    assert document["state"] == "unknown"
    assert not {"order", "block"} & set(document)


@pytest.mark.parametrize("slot", [f"{PAYER}/x", "-1/0", f"{2**32}/0", f"{PAYER}/7/8"])
def test_what_is_no_slot_is_refused(client, slot):
    assert ask(client, f"/v1/orders/{slot}/path").status in (400, 404)


def paid(port, order, **changes):
    """Let an order be final, and its payer be past it."""
    row = np.frombuffer(order, ORDER).copy()
    for name, value in changes.items():
        row[name] = value
    port.finals_held.append(row.tobytes())
    port.accounts_held[PAYER]["next_sequence"] = int(row["sequence"][0]) + 1
    return row.tobytes()


def test_a_code_finds_its_order_however_it_is_typed(client, port, order):
    paid(port, order)
    code = receipt_code(PAYER, 7, TODAY, 4)
    for typed in (code, code.lower()):
        reply = ask(client, f"/v1/receipts/{typed}")
        assert (reply.status, reply.document["state"]) == (200, "final")
        assert reply.document["order"]["receipt_code"] == code
        assert (reply.document["order"]["payer"], reply.document["order"]["payee"]) == (
            PAYER,
            PAYEE,
        )
        assert reply.document["receipt"]["super_agent"] == 0


def test_a_high_sequence_is_found_by_what_the_code_keeps_of_it(client, port, order):
    sequence = 18_683 * 3 + 7
    paid(port, order, sequence=sequence)
    reply = ask(client, f"/v1/receipts/{receipt_code(PAYER, sequence, TODAY, 4)}")
    assert reply.document["order"]["sequence"] == sequence


def test_the_same_slot_on_another_day_has_another_code(client, port, order):
    paid(port, order)
    reply = ask(client, f"/v1/receipts/{receipt_code(PAYER, 7, TODAY - 1, 4)}")
    assert (reply.status, reply.code) == (404, "RECEIPT_UNKNOWN")


def test_a_slot_that_was_closed_without_an_order_has_no_receipt(client, port, order):
    paid(port, order, kind=SKIPPED_KIND, day=0)
    assert ask(client, f"/v1/receipts/{receipt_code(PAYER, 7, 0, 4)}").status == 404


@pytest.mark.parametrize("code", ["", "SHORT", "ABCDEFGHIJK", "0AA1234567", "A!A1234567"])
def test_what_is_no_code_is_refused(client, code):
    assert ask(client, f"/v1/receipts/{code}").code == "RECEIPT_CODE_INVALID"


@given(st.text(alphabet=DIGITS, min_size=10, max_size=10) | st.text(max_size=12))
def test_whatever_is_asked_for_the_answer_is_a_sentence(make_client, code):
    reply = asyncio.run(make_client().ask("GET", f"/v1/receipts/{code}"))
    assert reply.status in (400, 404)
    assert reply.document["detail"].endswith(".")
