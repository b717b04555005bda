"""Statements of a busy town, whose orders are of every kind: they add up to what the ledger holds."""

import pytest
from tests.ledger.test_traffic import BOTH, after_traffic, changes_of
from tests.ledger.town import NUMBERS, openings

from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import AccountKind
from harambee.ledger.shares import Shares, other_side, shares_of
from harambee.statements.sheet import Entry, sheet_of, side_of

TARIFFS = {tariff.version: tariff for tariff in BOTH}


def entries_of(traffic, number):
    """An account's entries as a super-agent tells them, oldest first."""
    changes = changes_of(traffic)
    balance = int(traffic.ledger.account(number)["balance"])
    entries = []
    for at in traffic.ledger.entries_of(number, len(traffic.entries)).tolist():
        order, row = traffic.entries[at]
        change = changes[at][number]
        shares = (
            shares_of(number, order, TARIFFS[order.tariff]) if order.tariff in TARIFFS else Shares()
        )
        # The payer of a bulk pay-out could be in no row of it; its rows cost their payees nothing.
        assert row is None or shares == Shares()
        entries.append(
            Entry(
                receipt_code=f"{at:010d}",
                kind=OrderKind(order.kind).name.lower(),
                side=side_of(number, order.payer, order.payee),
                other=other_side(number, order),
                time_ms=at * 1000,
                change_cents=change,
                balance_cents=balance,
                charge_cents=shares.charge_cents,
                commission_cents=shares.commission_cents,
            )
        )
        balance -= change
    return entries[::-1]


@pytest.mark.parametrize("seed", range(3))
def test_every_statement_of_the_town_adds_up(seed):
    traffic = after_traffic(seed)
    opened = {int(row["number"]): int(row["balance"]) for row in openings()}
    shown = set()
    for number in NUMBERS.values():
        account = traffic.ledger.account(number)
        sheet = sheet_of(
            number, AccountKind.BUSINESS, entries_of(traffic, number), int(account["balance"])
        )
        assert sheet.opening_cents == opened[number]
        assert sheet.closing_cents == int(account["balance"])
        moved = sheet.paid_in_cents - sheet.withdrawn_cents
        assert moved == int(account["credited"]) - int(account["debited"])
        shown |= {row.reason_type for row in sheet.rows}
    assert {"Withdrawal", "Pay Bill", "Business Payment", "Float Sale", "Deposit"} <= shown


@pytest.mark.parametrize("seed", range(3))
def test_no_share_is_more_than_what_was_moved(seed):
    """A charge is never paid in and a commission never withdrawn."""
    traffic = after_traffic(seed)
    for number in NUMBERS.values():
        for line in entries_of(traffic, number):
            payment = line.change_cents + line.charge_cents - line.commission_cents
            assert line.charge_cents >= 0
            assert line.commission_cents >= 0
            is_payer = line.side.name == "PAYER"
            # An account may pay its own region's revenue account: then it is on both sides.
            assert payment <= 0 if is_payer and line.kind != "treasury" else True
