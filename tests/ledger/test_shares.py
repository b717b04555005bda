"""Charges and commissions as statements show them: the parts of what an order changed."""

import pytest

from harambee.ledger.kinds import OrderKind
from harambee.ledger.rules import Order
from harambee.ledger.shares import Shares, other_side, shares_of
from harambee.money.tariff import shipped_tariff

REVENUE, COMMISSION, EXCISE, ANNA, SHOP, OFFICE, BILLER = 1, 2, 4, 16, 17, 18, 19
TARIFF = shipped_tariff(2)
NONE = Shares()

# Kind, payer, payee, cents, fee, options; then, by account: charge, commission, whom the line is about.
CASES = {
    "a sending": (
        (OrderKind.SEND, ANNA, 20, 50_000, 700, 0),
        {ANNA: (Shares(700), 20), 20: (NONE, ANNA), REVENUE: (NONE, ANNA), EXCISE: (NONE, ANNA)},
    ),
    "a withdrawal at a shop with a head office": (
        (OrderKind.WITHDRAW, ANNA, SHOP, 50_000, 2_900, OFFICE),
        {
            ANNA: (Shares(2_900), SHOP),
            SHOP: (Shares(0, 640), ANNA),
            OFFICE: (Shares(0, 160), SHOP),
            REVENUE: (NONE, ANNA),
        },
    ),
    "a till's share": (
        (OrderKind.BUY_GOODS, ANNA, 20, 50_000, 0, 0),
        {ANNA: (NONE, 20), 20: (Shares(275), ANNA)},
    ),
    "a bill whose charge is shared": (
        (OrderKind.PAY_BILL, ANNA, BILLER, 50_000, 250, 2),
        {ANNA: (Shares(250), BILLER), BILLER: (Shares(250), ANNA)},
    ),
    "a bill whose charge the business pays": (
        (OrderKind.PAY_BILL, ANNA, BILLER, 50_000, 0, 1),
        {ANNA: (NONE, BILLER), BILLER: (Shares(500), ANNA)},
    ),
    "a deposit's commission": (
        (OrderKind.DEPOSIT_COMMISSION, COMMISSION, SHOP, 800, 0, OFFICE),
        {
            COMMISSION: (NONE, SHOP),
            SHOP: (Shares(0, 640), COMMISSION),
            OFFICE: (Shares(0, 160), SHOP),
        },
    ),
    "a bulk pay-out": (
        (OrderKind.BULK_PAY_OUT, BILLER, BILLER, 50_000, 1_000, 0),
        {BILLER: (Shares(1_000), None), ANNA: (NONE, BILLER)},
    ),
    "a cancel": ((OrderKind.CANCEL, ANNA, ANNA, 0, 0, 0), {ANNA: (NONE, None)}),
    "a kind of a version to come": ((99, ANNA, SHOP, 5, 1, 0), {SHOP: (NONE, ANNA)}),
}


@pytest.mark.parametrize(("said", "seen"), CASES.values(), ids=CASES)
def test_the_shares_of_an_order(said, seen):
    kind, payer, payee, cents, fee, options = said
    order = Order(int(kind), payer, payee, cents, fee, tariff=2, options=bytes([options, 0, 0]))
    found = {n: (shares_of(n, order, TARIFF), other_side(n, order)) for n in seen}
    assert found == seen
