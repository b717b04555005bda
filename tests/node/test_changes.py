"""What a statement says that an order changed, for each account on whose statement it stands."""

import numpy as np
import pytest

from harambee.ledger.kinds import OrderKind
from harambee.ledger.payees import table_digest
from harambee.ledger.records import ORDER, PAYEE
from harambee.ledger.rules import Order, Payment, credits_of
from harambee.money.tariff import shipped_tariff
from harambee.node.service import change_cents

TARIFFS = {version: shipped_tariff(version) for version in (1, 2)}
REVENUE, EXCISE, ANNA, SHOP, OFFICE, BILLER = 1, 4, 16, 17, 18, 19

# Kind, payee, cents, fee, tariff, options; then the change of each account, in cents.
CASES = {
    "a withdrawal at a shop with a head office": (
        (OrderKind.WITHDRAW, SHOP, 50_000, 2_900, 2, (OFFICE, 0, 0)),
        {ANNA: -52_900, SHOP: 50_640, OFFICE: 160, EXCISE: 378, REVENUE: 1_722},
    ),
    "the same under the first tariff": (
        (OrderKind.WITHDRAW, SHOP, 50_000, 2_900, 1, (0, 0, 0)),
        {ANNA: -52_900, SHOP: 50_000, OFFICE: 0, EXCISE: 0, REVENUE: 2_900},
    ),
    "a bill whose charge is shared": (
        (OrderKind.PAY_BILL, BILLER, 50_000, 250, 2, (2, 0, 0)),
        {ANNA: -50_250, BILLER: 49_750, EXCISE: 65, REVENUE: 435},
    ),
    "a cancel": (
        (OrderKind.CANCEL, ANNA, 0, 0, 0, (0, 0, 0)),
        {ANNA: 0, REVENUE: 0, EXCISE: 0},
    ),
}


def test_the_changes_of_a_bulk_pay_out_are_those_of_its_rows():
    rows = [(SHOP, 10_000), (OFFICE, 25_000), (BILLER, 1)]
    table = np.array(rows, PAYEE)
    order = np.zeros(1, ORDER)[0]
    order["payer"] = order["payee"] = ANNA
    order["kind"], order["tariff"] = OrderKind.BULK_PAY_OUT, 2
    order["amount"], order["fee"] = 35_001, 2_000
    order["reference"] = np.frombuffer(table_digest(table.tobytes()), np.uint8)
    payments = tuple(Payment(*row) for row in rows)
    credited = credits_of(Order.of(order), TARIFFS[2], payments)
    expected = {ANNA: -37_001, BILLER + 1: 0} | dict(credited.all)
    found = {number: change_cents(number, order, TARIFFS, table) for number in expected}
    assert found == expected
    assert sum(found.values()) == 0


@pytest.mark.parametrize(("said", "changes"), CASES.values(), ids=CASES)
def test_the_changes_of_an_order(said, changes):
    order = np.zeros(1, ORDER)[0]
    order["payer"] = ANNA
    names = ("kind", "payee", "amount", "fee", "tariff", "options")
    for name, value in zip(names, said, strict=True):
        order[name] = value
    assert {number: change_cents(number, order, TARIFFS) for number in changes} == changes
    assert sum(changes.values()) == 0
