"""Standing orders: when they are due, and what a handset pays of them without asking."""

import asyncio
import datetime as dt
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.handset.conftest import PAYER, SHOP
from tests.handset.test_requesting import NOW, TILL, answered, declines, signed, staged

from harambee.handset.agreed import Agreements, agree, pay_due, refusal_of
from harambee.handset.handset import PaymentStatus
from harambee.handset.orders import OrderBody
from harambee.handset.payment_requests import (
    AGREED,
    PaymentRequest,
    RequestError,
    read_request,
    request_id,
)
from harambee.handset.requesting import EndedError, approve, waiting
from harambee.handset.standing_orders import Terms, date_of, day_of, number_of
from harambee.ledger.outcomes import Outcome

TODAY = day_of(NOW)
DAY_MS = 86_400_000


def day(text):
    return number_of(dt.date.fromisoformat(text))


@pytest.mark.parametrize(
    ("frequency", "on", "number"),
    [
        (1, "2026-01-31", 1),
        (1, "2026-12-31", 1),
        (2, "2026-01-31", 1),
        (2, "2026-02-02", 3),
        (3, "2026-02-06", 1),
        (3, "2026-02-07", 2),
        (4, "2026-02-27", 1),
        (4, "2026-02-28", 2),
        (4, "2026-03-30", 2),
        (4, "2026-03-31", 3),
        (5, "2026-03-30", 1),
        (5, "2026-03-31", 2),
        (6, "2026-04-29", 1),
        (6, "2026-04-30", 2),
        (7, "2026-07-31", 2),
        (8, "2026-12-31", 1),
        (8, "2027-01-31", 2),
        (2, "2026-01-30", 0),
        (2, "2028-01-01", 0),
    ],
)
def test_which_payment_is_due(frequency, on, number):
    terms = Terms("pay_bill", frequency, day("2026-01-31"), day("2027-12-31"))
    assert terms.number_on(day(on)) == number


@given(st.integers(1, 8), st.integers(0, 40_000), st.integers(0, 3_000), st.integers(0, 3_000))
def test_each_period_has_one_payment_and_none_is_left_out(frequency, first, lasts, at):
    terms = Terms("pay_bill", frequency, first, first + lasts)
    assert terms.are_possible
    numbers = [terms.number_on(first + since) for since in range(min(at, lasts) + 1)]
    assert numbers[0] == 1
    assert all(after - before in (0, 1) for before, after in pairwise(numbers))
    assert terms.number_on(first - 1) == terms.number_on(first + lasts + 1) == 0


def test_a_day_is_east_africas():
    assert date_of(day_of(1_795_899_600_000 - 1)) == dt.date(2026, 11, 28)
    assert date_of(day_of(1_795_899_600_000)) == dt.date(2026, 11, 29)


STANDING = msgspec.structs.replace(
    TILL,
    name="sto_1",
    kind="standing_order",
    terms=Terms("buy_goods", 2, TODAY, TODAY + 30),
)


def due(stage, number=1, **other):
    identity = request_id(stage.truth.genesis.network, STANDING.to_bytes()).hex()
    fields = {"under": identity, "number": number, "nonce": str(number), "made_ms": NOW - 10}
    named = fields | {"name": f"sto_1.{number}.1"} | other
    return msgspec.structs.replace(TILL, **named)


@pytest.fixture
def stage(scene):
    return staged(scene, STANDING)


def run(stage, do, time_ms=NOW):
    async def main():
        handset = stage.handset()
        (found,) = await waiting(handset, lambda: NOW)
        return await do(handset, found, lambda: time_ms)

    return asyncio.run(main())


def asked(stage, said):
    stage.truth.requests = [signed(stage, said)]


def test_a_customer_agrees_by_her_key_and_pays_nothing_yet(stage):
    run(stage, agree)
    assert {said.reason for _, said in declines(stage)} == {AGREED}
    (agreement,) = Agreements(stage.handset().wallet).all().values()
    assert (agreement.said, agreement.last_number) == (STANDING, 0)
    assert stage.truth.accounts[PAYER].next_sequence == 0
    with pytest.raises(EndedError, match="Nothing is paid"):
        run(stage, approve)


def test_nobody_agrees_to_what_has_expired(stage):
    with pytest.raises(EndedError, match="expired"):
        run(stage, agree, NOW + 60_000)
    assert Agreements(stage.handset().wallet).all() == {}


def test_what_is_due_is_paid_once_whatever_is_asked(stage):
    run(stage, agree)
    asked(stage, due(stage))
    payment = run(stage, pay_due)
    assert payment.status is PaymentStatus.FINAL
    body = OrderBody.from_bytes(payment.order)
    assert (body.payee, body.amount_cents) == (SHOP, STANDING.amount_cents)
    asked(stage, due(stage, nonce="another request for the same payment"))
    with pytest.raises(EndedError, match="paid already"):
        run(stage, pay_due)
    assert stage.truth.accounts[PAYER].next_sequence == 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"number": 2}, "not due"),
        ({"amount_cents": STANDING.amount_cents + 1}, "more than"),
        ({"under": "ab" * 32}, "no such"),
        ({"kind": "pay_bill", "payee": 19}, "Another payee"),
    ],
)
def test_what_was_not_agreed_to_is_not_paid_unasked(stage, changes, why):
    run(stage, agree)
    asked(stage, due(stage, **changes))
    with pytest.raises(EndedError, match=why):
        run(stage, pay_due)
    assert not stage.truth.seen


def test_before_the_first_day_and_after_the_last_one_nothing_is_due(stage):
    run(stage, agree)
    asked(stage, due(stage))
    agreement = next(iter(Agreements(stage.handset().wallet).all().values()))

    async def judge(handset, request, clock):
        return refusal_of(agreement, request, clock())

    assert run(stage, judge) is None
    for time_ms in (NOW - DAY_MS, NOW + DAY_MS, NOW + 31 * DAY_MS):
        assert run(stage, judge, time_ms) == "It is not due."


def test_a_payment_that_was_refused_may_be_asked_for_again(stage):
    run(stage, agree)
    much = msgspec.structs.replace(STANDING, amount_cents=2_000_00, nonce="much")
    asked(stage, much)
    run(stage, agree)
    identity = request_id(stage.truth.genesis.network, much.to_bytes()).hex()
    for nonce in "ab":
        asked(stage, due(stage, under=identity, amount_cents=2_000_00, nonce=nonce))
        payment = run(stage, pay_due)
        assert payment.outcome is Outcome.BALANCE_INSUFFICIENT
        assert Agreements(stage.handset().wallet).find(identity).last_number == 0


def test_what_was_ended_is_paid_no_more(stage):
    run(stage, agree)
    agreements = Agreements(stage.handset().wallet)
    (identity,) = agreements.all()
    agreements.end(identity)
    agreements.end(identity)
    asked(stage, due(stage))
    with pytest.raises(EndedError, match="no such"):
        run(stage, pay_due)


def test_a_handset_pays_by_itself_what_was_agreed_to_and_nothing_else(stage):
    run(stage, agree)
    stage.truth.requests = [
        signed(stage, one) for one in (TILL, due(stage), due(stage, number=2, nonce="early"))
    ]
    assert sorted(answered(stage, 3, most_cents=0)) == [
        ("sto_1.1.1", "final"),
        ("sto_1.2.1", "left"),
        ("ws_CO_1", "left"),
    ]


def test_a_handset_that_pays_everything_agrees_to_everything(stage):
    assert answered(stage, 1) == [("sto_1", "agreed")]
    assert len(Agreements(stage.handset().wallet).all()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"terms": None},
        {"kind": "buy_goods"},
        {"terms": Terms("standing_order", 2, 0, 1)},
        {"terms": Terms("buy_goods", 9, 0, 1)},
        {"terms": Terms("buy_goods", 2, 2, 1)},
        {"terms": Terms("buy_goods", 2, 0, 1 << 40)},
        {"under": "ab" * 32, "number": 1},
    ],
)
def test_terms_that_nobody_can_agree_to_are_no_request(changes):
    with pytest.raises(RequestError):
        msgspec.structs.replace(STANDING, **changes).to_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"under": "ab" * 32},
        {"number": 1},
        {"under": "ab", "number": 1},
        {"under": "../" + "ab" * 30 + "a", "number": 1},
        {"under": "ab" * 32, "number": -1},
        {"under": "ab" * 32, "number": 1 << 32},
    ],
)
def test_what_is_no_payment_of_a_standing_order_is_no_request(changes):
    with pytest.raises(RequestError):
        msgspec.structs.replace(TILL, **changes).to_bytes()


def test_requests_without_terms_are_written_as_they_always_were():
    assert set(msgspec.json.decode(TILL.to_bytes())) == {
        name
        for name in PaymentRequest.__struct_fields__
        if name not in ("terms", "under", "number")
    }
    assert read_request(STANDING.to_bytes()) == STANDING
