"""Flags: each rule's pattern is found, and the same money moved in the ordinary way is not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import ORDER, AccountKind, account_flags
from harambee.money.tariff import shipped_tariff
from harambee.oversight.flags import RULES, SLIM, THRESHOLDS, Day, accounts_in, flags_of, slim

Kind = OrderKind
TARIFF = shipped_tariff(2)
LIMIT_CENTS, DAILY_CENTS, _ = TARIFF.limits_of(0)
ONE, AGENT, TILL = 16, 900, 901
PEOPLE = range(100, 200)
SPECIAL = {
    AGENT: account_flags(AccountKind.AGENT),
    TILL: account_flags(AccountKind.MERCHANT),
    17: account_flags(AccountKind.CUSTOMER, tier=1),
}


def orders_of(rows):
    found = np.zeros(len(rows), SLIM)
    for row, (kind, payer, payee, cents) in zip(found, rows, strict=True):
        row["kind"], row["payer"], row["payee"], row["amount"] = kind, payer, payee, cents
        row["tariff"] = 2
    return found


def day_of(rows, earlier=()):
    orders = orders_of(rows)
    accounts = accounts_in(orders)
    usual = account_flags(AccountKind.CUSTOMER)
    flags = [SPECIAL.get(number, usual) for number in accounts.tolist()]
    return Day(orders, orders_of(list(earlier)), accounts, np.array(flags, np.uint32), {2: TARIFF})


def found(rows, earlier=()):
    return [(flag.name, flag.account) for flag in flags_of(day_of(rows, earlier))]


def send(payer, payee, cents=100_00):
    return Kind.SEND, payer, payee, cents


NEAR = LIMIT_CENTS * 9 // 10
MULE = [send(p, ONE, 1_000_00) for p in PEOPLE[:5]] + [send(ONE, p, 900_00) for p in PEOPLE[50:55]]
ENROLLED = (Kind.ENROL, 0, ONE, 0)


@pytest.mark.parametrize(
    ("rule", "rows", "earlier"),
    [
        ("below_limit", [send(ONE, 100, NEAR), send(ONE, 101, NEAR)], []),
        ("below_limit", [(Kind.WITHDRAW, ONE, AGENT, LIMIT_CENTS), send(ONE, 101, NEAR)], []),
        # The limit is that of the account's tier.
        ("below_limit", [send(17, 100, 2_700_000), send(17, 101, 3_000_000)], []),
        (
            "equal_parts",
            [send(ONE, 100 + i, cents) for i, cents in enumerate((12_000_000, 11_500_000) * 2)],
            [],
        ),
        ("fan_in_fan_out", MULE, []),
        (
            "pass_through",
            [(Kind.DEPOSIT, AGENT, ONE, 60_000_00), (Kind.WITHDRAW, ONE, AGENT, 54_000_00)],
            [],
        ),
        ("young_and_busy", [send(ONE, person) for person in PEOPLE[:10]], [ENROLLED]),
        (
            "young_and_busy",
            [ENROLLED, *(send(person, ONE) for person in PEOPLE[:10])],
            [],
        ),
        (
            "churn",
            [(Kind.CANCEL, ONE, ONE, 0)] * 5 + [send(ONE, 100)] * 10,
            [],
        ),
        (
            "churn",
            [(Kind.REFUND, ONE, 100, 50_00)] * 3 + [(Kind.VOID, ONE, 100, 0)] * 2,
            [],
        ),
    ],
)
def test_the_pattern_is_found(rule, rows, earlier):
    account = 17 if any(row[1] == 17 for row in rows) else ONE
    assert (rule, account) in found(rows, earlier)
    assert [name for name, _ in found(rows, earlier)].count(rule) == 1


@pytest.mark.parametrize(
    ("rule", "rows", "earlier"),
    [
        ("below_limit", [send(ONE, 100, NEAR)], []),
        ("below_limit", [send(ONE, 100, NEAR), send(ONE, 101, NEAR - 1)], []),
        # Agents and tills have no such limit.
        ("below_limit", [(Kind.FLOAT_SALE, AGENT, 902, NEAR)] * 5, []),
        ("equal_parts", [send(ONE, 100, DAILY_CENTS // 3)] * 3, []),
        (
            "equal_parts",
            [send(ONE, 100, c) for c in (24_000_000, 8_000_000, 7_000_000, 7_000_000)],
            [],
        ),
        ("equal_parts", [send(ONE, 100, 100_00)] * 9, []),
        # First out, then in: the money that went out was not what came in.
        ("fan_in_fan_out", MULE[5:] + MULE[:5], []),
        ("fan_in_fan_out", MULE[:4] + MULE[5:], []),
        ("fan_in_fan_out", MULE[:9], []),
        # A collection that is spent at one place.
        ("fan_in_fan_out", MULE[:5] + [send(ONE, 150)] * 5, []),
        (
            "pass_through",
            [(Kind.DEPOSIT, AGENT, ONE, 60_000_00), (Kind.WITHDRAW, ONE, AGENT, 53_000_00)],
            [],
        ),
        # Most of it was there before.
        (
            "pass_through",
            [(Kind.DEPOSIT, AGENT, ONE, 60_000_00), (Kind.WITHDRAW, ONE, AGENT, 70_000_00)],
            [],
        ),
        ("pass_through", [send(100, ONE, 40_000_00), send(ONE, 101, 40_000_00)], []),
        # A till is there to be paid and to pay out.
        (
            "pass_through",
            [
                (Kind.BANK_WITHDRAWAL, 950, TILL, 90_000_00),
                (Kind.BANK_DEPOSIT, TILL, 950, 90_000_00),
            ],
            [],
        ),
        ("young_and_busy", [send(ONE, person) for person in PEOPLE[:10]], []),
        ("young_and_busy", [send(ONE, person) for person in PEOPLE[:9]], [ENROLLED]),
        (
            "young_and_busy",
            [send(ONE, person) for person in PEOPLE[:10]],
            [ENROLLED, send(PEOPLE[0], ONE)],
        ),
        ("churn", [(Kind.CANCEL, ONE, ONE, 0)] * 4, []),
        ("churn", [(Kind.CANCEL, ONE, ONE, 0)] * 5 + [send(ONE, 100)] * 11, []),
    ],
)
def test_what_is_ordinary_is_not(rule, rows, earlier):
    assert rule not in [name for name, _ in found(rows, earlier)]


def test_a_flag_says_how_much_and_why():
    flag = next(flag for flag in flags_of(day_of(MULE)) if flag.name == "fan_in_fan_out")
    assert (flag.account, flag.count, flag.cents) == (ONE, 10, 4_500_00)
    assert flag.sentence == (
        "5 people sent to this account, which then sent Ksh4,500.00 to 5 others."
    )


def test_every_rule_explains_itself_and_every_number_has_its_reason():
    assert all(rule.__doc__ and rule.__doc__.endswith(".") for rule in RULES.values())
    assert all(one.value > 0 and one.reason for one in THRESHOLDS.values())
    source = "".join(str(code.__code__.co_consts) for code in RULES.values())
    used = [name for name in THRESHOLDS if name in source]
    assert used == list(THRESHOLDS), "no number that no rule reads"


def test_an_empty_day_has_no_flags():
    assert flags_of(day_of([])) == []


_ROW = st.tuples(
    st.sampled_from([*OrderKind]),
    st.sampled_from([ONE, 17, AGENT, TILL, *PEOPLE[:4]]),
    st.sampled_from([ONE, 17, AGENT, TILL, *PEOPLE[:4]]),
    st.sampled_from([0, 100_00, NEAR, LIMIT_CENTS, 60_000_00, 2**63]),
)


@given(st.lists(_ROW, max_size=60), st.lists(_ROW, max_size=20))
@settings(max_examples=60)
def test_whatever_the_day_flags_name_accounts_of_it_and_the_same_from_whole_orders(rows, earlier):
    day = day_of(rows, earlier)
    flags = flags_of(day)
    assert {flag.account for flag in flags} <= set(day.accounts.tolist())
    assert {flag.name for flag in flags} <= set(RULES)
    whole = np.zeros(len(day.orders), ORDER)
    for name in SLIM.names:
        whole[name] = day.orders[name]
    assert slim(whole).tobytes() == day.orders.tobytes()
    assert flags_of(Day(whole, day.earlier, day.accounts, day.flags, day.tariffs)) == flags
