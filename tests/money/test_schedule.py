"""The schedule of all services that ships: every published table, to the cent; and wrong schedules."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.money.amounts import MAX_AMOUNT_CENTS, parse_cents
from harambee.money.bands import share_cents
from harambee.money.kernels import excise_of, fee_of, share_of
from harambee.money.tariff import (
    UPPER,
    FeeMode,
    FeeTable,
    NoBandError,
    Tariff,
    TariffError,
    load_tariff,
    shipped_tariff,
)

TARIFF = shipped_tariff(2)
FIRST = shipped_tariff(1)
PRICES = TARIFF.as_array()

# As published, in whole shillings: "up to" and what it costs or earns.
PAY_BILL = """
    100 0; 500 5; 1,000 10; 1,500 15; 2,500 20; 3,500 25; 5,000 34; 7,500 42; 10,000 48; 15,000 57;
    20,000 62; 25,000 67; 30,000 72; 35,000 83; 40,000 99; 45,000 103; 250,000 108
"""
PAY_OUT = "100 0; 1,500 5; 5,000 9; 20,000 11; 250,000 13"
# And what an agent earns up to it, by a deposit and by a withdrawal.
COMMISSIONS = """
    100 4 5; 510 8 8; 1,010 9 10; 1,510 10 12; 2,510 11 15; 3,510 12 20; 5,010 14 25; 7,510 20 30;
    10,010 28 35; 15,010 40 45; 20,020 55 60; 25,020 71 65; 30,020 87 70; 35,020 103 70;
    40,020 119 100; 45,020 135 150; 50,020 150 180; 250,000 190 200
"""


def published(text):
    return [tuple(map(parse_cents, pair.split())) for pair in text.split(";")]


EDGES = {
    FeeTable.PAY_BILL: published(PAY_BILL),
    FeeTable.PAY_OUT: published(PAY_OUT),
    FeeTable.DEPOSIT_COMMISSION: [(up, earned) for up, earned, _ in published(COMMISSIONS)],
    FeeTable.WITHDRAW_COMMISSION: [(up, earned) for up, _, earned in published(COMMISSIONS)],
}
LEAST = {
    FeeTable.PAY_BILL: 1,
    FeeTable.PAY_OUT: 1,
    FeeTable.DEPOSIT_COMMISSION: 50_00,
    FeeTable.WITHDRAW_COMMISSION: 50_00,
}


def compiled(table, cents):
    fee = fee_of(PRICES, table, cents)
    return None if fee == -1 else fee


def readable(table, cents):
    try:
        return TARIFF.fee_cents(table, cents)
    except NoBandError:
        return None


@pytest.mark.parametrize("rule", [readable, compiled])
@pytest.mark.parametrize("table", EDGES, ids=lambda table: table.name)
def test_tables_are_the_published_ones_at_both_edges_of_each_band(table, rule):
    lowest = LEAST[table]
    for upper, cents in EDGES[table]:
        assert rule(table, lowest) == cents, lowest
        assert rule(table, upper) == cents, upper
        lowest = upper + 1


@pytest.mark.parametrize("table", [FeeTable.SEND, FeeTable.WITHDRAW])
def test_customers_pay_what_they_paid_under_the_first_version(table):
    for band in FIRST.bands:
        for cents in (band.upper_cents, band.upper_cents + 1):
            try:
                assert TARIFF.fee_cents(table, cents) == FIRST.fee_cents(table, cents)
            except NoBandError:
                assert readable(table, cents) is None


def test_merchants_pay_a_share_rounded_down_and_capped():
    shown = {
        "0.01": "0.00",
        "200.00": "0.00",
        "200.01": "1.10",  # 0.55% of it is 1.100055
        "201.81": "1.10",
        "201.82": "1.11",
        "1,000.00": "5.50",
        "36,363.63": "199.99",
        "36,363.64": "200.00",
        "250,000.00": "200.00",
    }
    for amount, cost in shown.items():
        cents = parse_cents(amount)
        assert readable(FeeTable.BUY_GOODS, cents) == parse_cents(cost), amount
        assert compiled(FeeTable.BUY_GOODS, cents) == parse_cents(cost), amount
    assert readable(FeeTable.BUY_GOODS, parse_cents("250,000.01")) is None


def test_every_edge_of_every_table_compiled_and_readable_agree():
    edges = {int(edge) for edge in PRICES[:, UPPER].flat} | {0, 1, MAX_AMOUNT_CENTS}
    asked = [
        (table, edge + step) for table in FeeTable for edge in sorted(edges) for step in (-1, 0, 1)
    ]
    assert [compiled(*one) for one in asked] == [readable(*one) for one in asked]


@given(table=st.sampled_from(FeeTable), cents=st.integers(-(2**63), 2**63 - 1))
def test_any_amount_compiled_and_readable_agree(table, cents):
    assert compiled(table, cents) == readable(table, cents)


@given(cents=st.integers(0, MAX_AMOUNT_CENTS), rate=st.integers(0, 10_000))
def test_shares_compiled_and_readable_agree(cents, rate):
    assert share_of(cents, rate) == share_cents(cents, rate) <= cents


@given(charge=st.integers(0, 2**34))
def test_excise_compiled_and_readable_agree(charge):
    tax = TARIFF.excise_cents(charge)
    assert excise_of(charge, TARIFF.excise_basis_points) == tax
    # What remains is the price without tax; the tax is 15% of it, but for less than a cent.
    assert 0 <= 15 * (charge - tax) - 100 * tax < 115


def test_excise_of_what_people_know():
    for charge, tax in {"0": "0", "7": "0.91", "11": "1.43", "29": "3.78", "309": "40.30"}.items():
        assert TARIFF.excise_cents(parse_cents(charge)) == parse_cents(tax)
    assert FIRST.excise_cents(10_000) == 0


@pytest.mark.parametrize(
    ("mode", "amount", "payer", "payee"),
    [
        (FeeMode.PAYER, "1,000", "10", "0"),
        (FeeMode.PAYEE, "1,000", "0", "10"),
        (FeeMode.SHARED, "1,000", "5", "5"),
        (FeeMode.SHARED, "3,000", "12.50", "12.50"),
        (FeeMode.SHARED, "100", "0", "0"),
    ],
)
def test_three_ways_to_bear_the_charge_of_a_bill(mode, amount, payer, payee):
    found = TARIFF.charge(FeeTable.PAY_BILL, mode, parse_cents(amount))
    assert found == (parse_cents(payer), parse_cents(payee))


def test_of_an_odd_charge_that_is_shared_the_payee_has_the_larger_half():
    odd = load_tariff(SMALL.replace("fee_cents = 1", "fee_cents = 1\nbasis_points = 200"))
    assert odd.charge(FeeTable.PAY_BILL, FeeMode.SHARED, 300) == (3, 4)
    assert odd.charge(FeeTable.PAY_BILL, FeeMode.SHARED, 49) == (0, 1)


def test_a_head_office_has_a_fifth():
    assert TARIFF.head_office_cents(parse_cents("4")) == parse_cents("0.80")
    assert TARIFF.head_office_cents(parse_cents("190")) == parse_cents("38")
    assert TARIFF.head_office_cents(1) == 0
    assert FIRST.head_office_cents(1_000) == 0


def test_every_withdrawal_pays_its_excise_and_its_agent():
    for upper in {int(edge) for edge in PRICES[:, UPPER].flat}:
        for cents in (upper, upper + 1):
            fee = readable(FeeTable.WITHDRAW, cents)
            if fee is not None:
                earned = TARIFF.commission_cents(FeeTable.WITHDRAW_COMMISSION, cents)
                assert fee - TARIFF.excise_cents(fee) - earned > 0, cents


def test_limits_by_tier():
    assert TARIFF.limits_of(0) == (25_000_000, 50_000_000, 50_000_000)
    assert TARIFF.limits_of(1) == (3_000_000, 7_000_000, 10_000_000)
    assert TARIFF.limits_of(2) == (0, 0, 0)
    assert FIRST.limits_of(7) == FIRST.limits_of(0)


def test_what_a_version_does_not_name_is_free_as_it_was_or_not_offered():
    for table in (FeeTable.BUY_GOODS, FeeTable.DEPOSIT, FeeTable.BANK_DEPOSIT):
        assert FIRST.fee_cents(table, 12_345_678_90) == 0
    for table in (FeeTable.PAY_BILL, FeeTable.PAY_OUT, FeeTable.AIRTIME):
        with pytest.raises(NoBandError):
            FIRST.fee_cents(table, 100)
    assert FIRST.commission_cents(FeeTable.WITHDRAW_COMMISSION, 100_000) == 0


def test_bytes_and_document_give_the_same_tariff_back():
    assert Tariff.from_bytes(TARIFF.to_bytes()) == TARIFF
    assert json.loads(TARIFF.to_bytes()) == TARIFF.to_document()


def test_the_published_version_is_never_edited():
    assert hashlib.sha256(TARIFF.to_bytes()).hexdigest() == (
        "5880ba020cd235a41cc697d0318a628fa34aa95a9ec728291a6d4e350061ccc3"
    )


SMALL = """
version = 7
name = "small"
source = "this test"
excise_basis_points = 1_000
shared_payer_basis_points = 5_000
[limits]
transaction_cents = 300
daily_cents = 900
balance_cents = 900
withdraw_minimum_cents = 150
[[tier]]
tier = 1
name = "low"
transaction_cents = 100
daily_cents = 100
balance_cents = 100
[[band]]
upper_cents = 100
send_cents = 1
[[band]]
upper_cents = 300
send_cents = 2
withdraw_cents = 30
[[service]]
table = "pay_bill"
least_cents = 2
[[service.band]]
upper_cents = 300
fee_cents = 1
[[service]]
table = "pay_out"
[[service.band]]
upper_cents = 300
basis_points = 55
[commission]
head_office_basis_points = 2_000
[[commission.band]]
upper_cents = 300
deposit_cents = 9
withdraw_cents = 20
"""


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("excise_basis_points = 1_000", "excise_basis_points = 10_001", "integer from 0 to 10000"),
        ("excise_basis_points = 1_000", "excise_basis_points = 0.15", "integer from 0 to 10000"),
        ("shared_payer_basis_points = 5_000", "shared_payer_basis_points = -1", "from 0 to 10000"),
        ("tier = 1", "tier = 0", "tier.tier must be an integer from 1 to 15"),
        ("tier = 1", "tier = 16", "tier.tier must be an integer from 1 to 15"),
        ("tier = 1", "", "a tier lacks tier"),
        ('name = "low"', 'name = ""', "tier.name must be a text"),
        ("[[service]]\ntable", "[[service]]\nkind = 3\ntable", "unknown fields: kind"),
        ('table = "pay_bill"', 'table = "send"', "send is not a service with prices of its own"),
        ('table = "pay_bill"', 'table = "PAY_BILL"', "there is no service 'PAY_BILL'"),
        ('table = "pay_bill"', "table = 4", "there is no service 4"),
        ('table = "pay_bill"', 'table = "pay_out"', "each once"),
        ('table = "pay_bill"', 'table = "airtime"', "in the order of their tables"),
        ("least_cents = 2", "least_cents = 301", "least_cents must be an integer from 1 to 300"),
        ("fee_cents = 1", "", "has fee_cents or basis_points"),
        ("fee_cents = 1", "fee_cents = 3", "a charge of pay_bill must not be more than what is"),
        ("fee_cents = 1", "fee_cents = 4294967296", "fee_cents must be an integer"),
        ("basis_points = 55", "basis_points = 10_001", "basis_points must be an integer"),
        ("[[commission.band]]", "[[commission.bands]]", "commission lacks band"),
        ("head_office_basis_points = 2_000", "head_office_basis_points = 20_000", "to 10000"),
        ("withdraw_cents = 20", "withdraw_cents = 29", "does not cover its excise and its comm"),
        ("withdraw_cents = 20", "", "a band lacks withdraw_cents"),
        ("deposit_cents = 9", "deposit_cents = -1", "deposit_cents must be an integer"),
    ],
)
def test_a_schedule_with_a_mistake_is_refused_with_one_sentence(before, after, sentence):
    assert before in SMALL
    with pytest.raises(TariffError, match=sentence):
        load_tariff(SMALL.replace(before, after, 1))


def test_a_share_of_an_amount_must_fit_an_order():
    text = SMALL.replace(
        "upper_cents = 300\nbasis_points = 55", f"upper_cents = {10**15}\nbasis_points = 55"
    )
    with pytest.raises(TariffError, match="the largest fee of a band must fit an order"):
        load_tariff(text)


def test_the_small_schedule_is_one():
    tariff = load_tariff(SMALL)
    assert Tariff.from_bytes(tariff.to_bytes()) == tariff
    assert tariff.fee_cents(FeeTable.PAY_OUT, 299) == 1
    with pytest.raises(NoBandError):
        tariff.fee_cents(FeeTable.PAY_BILL, 1)
