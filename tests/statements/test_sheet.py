"""The rows of a statement, and that they add up."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.statements.sheets import (
    AGENT,
    AGENTS,
    ANNA,
    ANNAS,
    BEN,
    OFFICE,
    PAYEE,
    PAYER,
    SHARE,
    agents,
    annas,
    entry,
)

from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import AccountKind
from harambee.statements.sheet import Side, StatementError, sheet_of, side_of, within

NOON = (2026, 3, 1, 12, 0, 0)


def told(sheet):
    """Details, in, out and balance of each row."""
    return [
        (row.details, row.paid_in_cents, row.withdrawn_cents, row.balance_cents)
        for row in sheet.rows
    ]


def test_a_customers_rows():
    assert told(annas()) == [
        ("Account Opened", 0, 0, 0),
        ("Deposit of Funds at Agent JAMII AGENCIES", 100_000, 0, 100_000),
        ("Customer Transfer to BEN", 0, 50_000, 50_000),
        ("Customer Transfer Charge", 0, 700, 49_300),
        ("Payment Cancelled", 0, 0, 49_300),
        ("Merchant Payment to account 20", 0, 10_000, 39_300),
        ("Customer Withdrawal at Agent JAMII AGENCIES", 0, 20_000, 19_300),
        ("Withdrawal Charge", 0, 2_900, 16_400),
    ]
    sheet = annas()
    assert (sheet.opening_cents, sheet.closing_cents) == (0, 16_400)
    assert (sheet.paid_in_cents, sheet.withdrawn_cents) == (100_000, 83_600)
    assert [row.status for row in sheet.rows].count("Cancelled") == 1


def test_an_agents_rows_have_his_commissions():
    assert told(agents()) == [
        ("Customer Deposit by ANNA", 0, 100_000, 400_000),
        ("Deposit Commission", 720, 0, 400_720),
        ("Customer Withdrawal by ANNA", 20_000, 0, 420_720),
        ("Withdrawal Commission", 640, 0, 421_360),
    ]
    assert agents().opening_cents == 500_000
    assert {row.reason_type for row in agents().rows} == {"Deposit", "Withdrawal"}
    assert agents().rows[0].other_party == "ANNA"


# Kind, side, change, charge, commission; then the rows' details and changes.
KINDS = [
    ("send", PAYEE, 100, 0, 0, [("Funds Received from BEN", 100)]),
    (
        "buy_goods",
        PAYEE,
        995,
        5,
        0,
        [("Merchant Payment from BEN", 1000), ("Merchant Payment Charge", -5)],
    ),
    ("pay_bill", PAYER, -1005, 5, 0, [("Pay Bill to BEN", -1000), ("Pay Bill Charge", -5)]),
    ("pay_bill", PAYEE, 995, 5, 0, [("Pay Bill from BEN", 1000), ("Pay Bill Charge", -5)]),
    ("airtime", PAYER, -100, 0, 0, [("Airtime Purchase at BEN", -100)]),
    ("airtime", PAYEE, 100, 0, 0, [("Airtime Sold to BEN", 100)]),
    (
        "pay_out",
        PAYER,
        -109,
        9,
        0,
        [("Business Payment to BEN", -100), ("Business Payment Charge", -9)],
    ),
    ("pay_out", PAYEE, 100, 0, 0, [("Business Payment from BEN", 100)]),
    (
        "bulk_pay_out",
        PAYER,
        -109,
        9,
        0,
        [("Bulk Business Payment", -100), ("Business Payment Charge", -9)],
    ),
    ("bulk_pay_out", PAYEE, 100, 0, 0, [("Business Payment from BEN", 100)]),
    ("business_transfer", PAYER, -100, 0, 0, [("Business Transfer to BEN", -100)]),
    ("business_transfer", PAYEE, 100, 0, 0, [("Business Transfer from BEN", 100)]),
    ("bank_deposit", PAYER, -100, 0, 0, [("Transfer to Bank BEN", -100)]),
    ("bank_withdrawal", PAYEE, 100, 0, 0, [("Funds Received from Bank BEN", 100)]),
    ("float_sale", PAYER, -100, 0, 0, [("Float Sold to BEN", -100)]),
    ("float_sale", PAYEE, 100, 0, 0, [("Float Bought from BEN", 100)]),
    ("withdraw", SHARE, 160, 0, 160, [("Withdrawal Commission of BEN", 160)]),
    ("deposit_commission", SHARE, 160, 0, 160, [("Deposit Commission of BEN", 160)]),
    ("deposit_commission", PAYER, -800, 0, 0, [("Deposit Commission to BEN", -800)]),
    ("withdraw", SHARE, 1722, 0, 0, [("Withdrawal Charge of BEN", 1722)]),
    ("treasury", PAYER, -5, 0, 0, [("Treasury Transfer to BEN", -5)]),
    ("excise_remittance", PAYEE, 5, 0, 0, [("Excise Duty Received from BEN", 5)]),
    ("claim", PAYEE, 0, 0, 0, [("Number Registered", 0)]),
    ("join_head_office", PAYER, 0, 0, 0, [("Head Office Joined BEN", 0)]),
    ("hold", PAYER, 0, 0, 0, [("Held for BEN", 0)]),
    ("hold", PAYEE, 0, 0, 0, [("Held by BEN for This Account", 0)]),
    (
        "release",
        PAYER,
        -107,
        7,
        0,
        [("Held Funds Released to BEN", -100), ("Hold Charge", -7)],
    ),
    ("release", PAYEE, 99, 1, 0, [("Held Funds Received from BEN", 100), ("Hold Charge", -1)]),
    ("release", SHARE, 6, 0, 0, [("Hold Charge of BEN", 6)]),
    ("void", PAYER, 0, 0, 0, [("Hold Voided for BEN", 0)]),
    ("void", PAYEE, 0, 0, 0, [("Hold Voided by BEN", 0)]),
    ("refund", PAYER, -100, 0, 0, [("Refund to BEN", -100)]),
    ("refund", PAYEE, 100, 0, 0, [("Refund from BEN", 100)]),
    ("ask_reversal", PAYEE, 0, 0, 0, [("Reversal Asked by BEN", 0)]),
    ("refuse_reversal", PAYEE, 0, 0, 0, [("Reversal Refused by BEN", 0)]),
    ("dispute", PAYEE, 0, 0, 0, [("Disputed by BEN", 0)]),
    ("change_key", PAYER, 0, 0, 0, [("Key Changed", 0)]),
    ("refuse_key", PAYER, 0, 0, 0, [("New Key Refused", 0)]),
    ("take_key", PAYER, 0, 0, 0, [("New Key Took Over", 0)]),
    ("adopt_limit", PAYER, 0, 0, 0, [("Trust Limit Adopted", 0)]),
    ("freeze", PAYEE, 0, 0, 0, [("Frozen by the Network", 0)]),
    ("unfreeze", PAYEE, 0, 0, 0, [("Unfrozen by the Network", 0)]),
    ("close", PAYEE, 0, 0, 0, [("Closed by the Network", 0)]),
    ("set_tier", PAYEE, 0, 0, 0, [("Tier Set by the Network", 0)]),
    ("attest", PAYER, 0, 0, 0, [("Trust Money Attested", 0)]),
    ("new_tariff", PAYER, 0, 0, 0, [("New Tariff", 0)]),
    ("request_key", PAYEE, 0, 0, 0, [("New Key Asked for This Account", 0)]),
    ("escrow_release", PAYEE, 5, 0, 0, [("Escrow Release from BEN", 5)]),
]


@pytest.mark.parametrize(("kind", "side", "change", "charge", "commission", "rows"), KINDS)
def test_the_words_of_each_kind(kind, side, change, charge, commission, rows):
    line = entry("UC1AAAAAAA", kind, side, BEN, NOON, change, change, charge, commission)
    sheet = sheet_of(ANNA, AccountKind.BUSINESS, [line], change, names={BEN: "BEN"})
    assert [(row.details, row.paid_in_cents - row.withdrawn_cents) for row in sheet.rows] == rows
    assert len({row.receipt_no for row in sheet.rows}) == 1


def test_every_kind_is_in_a_table_here():
    shown = {kind for kind, *_ in KINDS} | {line.kind for line in ANNAS + AGENTS}
    assert {kind.name.lower() for kind in OrderKind} <= shown


@pytest.mark.parametrize(
    ("days", "opening", "closing", "count", "words"),
    [
        ((None, None), 0, 16_400, 8, "all entries"),
        ((date(2026, 3, 2), None), 100_000, 16_400, 6, "from 2026-03-02"),
        ((None, date(2026, 3, 2)), 0, 49_300, 5, "to 2026-03-02"),
        ((date(2026, 3, 2), date(2026, 3, 3)), 100_000, 39_300, 4, "2026-03-02 to 2026-03-03"),
        ((date(2026, 3, 5), None), 16_400, 16_400, 0, "from 2026-03-05"),
        ((None, date(2026, 2, 1)), 0, 0, 0, "to 2026-02-01"),
        ((date(2025, 1, 1), date(2025, 2, 1)), 0, 0, 0, "2025-01-01 to 2025-02-01"),
    ],
)
def test_a_period(days, opening, closing, count, words):
    sheet = annas(*days)
    assert (sheet.opening_cents, sheet.closing_cents, len(sheet.rows)) == (opening, closing, count)
    assert sheet.period == words


def test_nothing_has_moved_yet():
    sheet = sheet_of(ANNA, AccountKind.CUSTOMER, [], 500)
    assert (sheet.opening_cents, sheet.closing_cents, sheet.rows) == (500, 500, ())


def test_an_entry_between_two_of_the_period_belongs_to_it():
    """Its author's clock was slow by a day: leaving it out would leave a hole in the sums."""
    lines = [
        entry("UC1AAAAAAA", "send", PAYEE, BEN, (2026, 3, 2, 0, 0, 5), 100, 100),
        entry("UC1BBBBBBB", "send", PAYEE, BEN, (2026, 3, 1, 23, 59, 59), 100, 200),
        entry("UC1CCCCCCC", "send", PAYEE, BEN, (2026, 3, 2, 0, 0, 6), 100, 300),
    ]
    assert within(lines, date(2026, 3, 2), None) == slice(0, 3)
    assert within(lines, date(2026, 3, 1), date(2026, 3, 1)) == slice(1, 2)


@pytest.mark.parametrize("spoilt", range(len(ANNAS)))
def test_what_does_not_add_up_is_refused(spoilt):
    lines = list(ANNAS)
    lines[spoilt] = replace(lines[spoilt], balance_cents=lines[spoilt].balance_cents + 1)
    with pytest.raises(StatementError, match="does not add up"):
        sheet_of(ANNA, AccountKind.CUSTOMER, lines, 16_400)


def test_a_line_that_is_missing_is_noticed():
    with pytest.raises(StatementError, match="does not add up"):
        sheet_of(ANNA, AccountKind.CUSTOMER, ANNAS[:2] + ANNAS[3:], 16_400)


@pytest.mark.parametrize(
    ("account", "payer", "payee", "side"),
    [
        (ANNA, ANNA, BEN, Side.PAYER),
        (BEN, ANNA, BEN, Side.PAYEE),
        (OFFICE, ANNA, AGENT, Side.SHARE),
        (1, ANNA, BEN, Side.SHARE),
        (BEN, 20, 20, Side.PAYEE),  # in the table of a bulk pay-out
        (20, 20, 20, Side.PAYER),
        (1, 20, 20, Side.SHARE),
        (4, 20, 20, Side.SHARE),
    ],
)
def test_the_side_of_an_account(account, payer, payee, side):
    assert side_of(account, payer, payee) is side


parts = st.tuples(st.integers(-(10**12), 10**12), st.integers(0, 10**6), st.integers(0, 10**6))


@given(opening=st.integers(-(10**12), 10**12), moves=st.lists(parts, max_size=30))
def test_whatever_adds_up_entry_by_entry_adds_up_row_by_row(opening, moves):
    lines, balance = [], opening
    for payment, charge, commission in moves:
        change = payment - charge + commission
        balance += change
        lines.append(
            entry("UC1AAAAAAA", "send", PAYER, BEN, NOON, change, balance, charge, commission)
        )
    sheet = sheet_of(ANNA, AccountKind.CUSTOMER, lines, balance)
    assert sheet.opening_cents == opening
    assert opening + sheet.paid_in_cents - sheet.withdrawn_cents == balance == sheet.closing_cents
