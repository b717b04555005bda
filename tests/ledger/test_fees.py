"""The fee at every edge of every band: paid to the cent, and refused a cent beside it."""

import pytest
from tests.ledger.town import NUMBERS, TARIFF, TODAY, Town, apply_all, check_all

from harambee.ledger.kinds import HOUSE, MOVEMENTS, OrderKind
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.rules import Order
from harambee.money.tariff import FeeTable, NoBandError

PAYEES = {OrderKind.SEND: "neighbour", OrderKind.WITHDRAW: "agent", OrderKind.BUY_GOODS: "merchant"}
LEAST = TARIFF.limits.withdraw_minimum_cents
EDGES = sorted(
    {
        amount
        for edge in (LEAST, *(band.upper_cents for band in TARIFF.bands))
        for amount in (edge - 1, edge, edge + 1)
        if amount <= TARIFF.limits.transaction_cents
    }
)


def payment(kind, amount_cents, fee_cents):
    return Order(
        kind=int(kind),
        payer=NUMBERS["rich"],
        payee=NUMBERS[PAYEES[kind]],
        amount_cents=amount_cents,
        fee_cents=fee_cents,
        tariff=TARIFF.version,
        day=TODAY,
    )


def published(kind, amount_cents):
    try:
        return TARIFF.fee_cents(MOVEMENTS[kind].fee_table, amount_cents)
    except NoBandError:
        return None


@pytest.fixture(scope="module")
def ledger():
    town = Town()
    town.give("rich", "balance", "300,000.00")
    return town.ledger


@pytest.mark.parametrize("kind", PAYEES)
def test_the_fee_is_the_tariffs_to_the_cent(ledger, kind):
    for amount in EDGES:
        fee = published(kind, amount)
        for asked in {0, 1, (fee or 0) + 1, max((fee or 0) - 1, 0), fee or 0}:
            if fee is None:
                expected = Outcome.AMOUNT_WITHOUT_TARIFF
            else:
                expected = Outcome.ACCEPTED if asked == fee else Outcome.FEE_WRONG
            assert check_all(ledger, [payment(kind, amount, asked)]) == [expected], (amount, asked)


def test_edges_meet_every_band():
    assert len(EDGES) >= 3 * len(TARIFF.bands) - 1
    assert {published(OrderKind.SEND, amount) for amount in EDGES} == {
        band.send_cents for band in TARIFF.bands
    }
    assert {published(OrderKind.WITHDRAW, amount) for amount in EDGES} == {
        band.withdraw_cents for band in TARIFF.bands
    }


@pytest.mark.parametrize("kind", PAYEES)
def test_the_fee_is_what_the_revenue_account_receives(kind):
    for amount in EDGES[::5]:
        fee = published(kind, amount)
        if fee is None:
            continue
        town = Town()
        town.give("rich", "balance", "300,000.00")
        assert apply_all(town.ledger, [payment(kind, amount, fee)]) == [Applied.APPLIED]
        assert int(town.record("revenue")["balance"]) == fee
        assert int(town.record("rich")["debited"]) == amount + fee
        assert int(town.record("rich")["balance"]) == 300_000_00 - amount - fee


def test_kinds_without_a_fee_table_are_free():
    free = {kind for kind, movement in MOVEMENTS.items() if movement.fee_table is FeeTable.NONE}
    free -= HOUSE
    assert free == {
        OrderKind.CANCEL,
        OrderKind.ENROL,
        OrderKind.CLAIM,
        OrderKind.FLOAT_SALE,
        OrderKind.DEPOSIT_COMMISSION,
        OrderKind.TREASURY,
        OrderKind.EXCISE_REMITTANCE,
        OrderKind.JOIN_HEAD_OFFICE,
    }
