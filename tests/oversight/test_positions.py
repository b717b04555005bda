"""Positions of a day: they add up to zero, and are what the ledger says changed in each party's accounts."""

import random
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger.dice import AMOUNTS, any_books, any_order
from tests.ledger.test_house_rules import House
from tests.ledger.town import (
    ALL_SERVICES,
    NUMBERS,
    REGIONS,
    TARIFF,
    TODAY,
    Town,
    apply_all,
    ledger_of,
    openings,
    order_records,
    payments_in,
)

from harambee.ledger.kinds import MOVEMENTS, OrderKind
from harambee.ledger.outcomes import Applied
from harambee.ledger.records import ORDER, PAYEE, REGION_ACCOUNTS
from harambee.money.amounts import MAX_AMOUNT_CENTS
from harambee.node.day_books import Books
from harambee.oversight.day_close import read_close, read_flows
from harambee.oversight.flows import (
    ORDERS_AT_ONCE,
    FlowReader,
    NotFinalError,
    Splitter,
    excise_cents_of,
)
from harambee.oversight.settlement_parties import Party, SettlementParties

OWNERS = [[0], [1]]
NETWORK = bytes(range(32))


def parties_of(array=None):
    return SettlementParties(OWNERS, openings() if array is None else array)


def genesis_of(array, tariffs=(TARIFF, ALL_SERVICES)):
    """As much of a genesis as the books of the days read."""
    members = tuple(SimpleNamespace(regions=tuple(own)) for own in OWNERS)
    committee = SimpleNamespace(epoch=0, members=members)
    return SimpleNamespace(
        openings=array.tobytes(), committee=committee, network=NETWORK, tariffs=tariffs
    )


def holdings(ledger, parties):
    """What the accounts of each party hold, by the ledger itself."""
    banks = [party.number for party in parties.all if party.is_bank]
    held = [
        sum(ledger.accounts["balance"][r * REGION_ACCOUNTS : (r + 1) * REGION_ACCOUNTS].tolist())
        for r in range(REGIONS)
    ]
    for bank in banks:
        held[bank // REGION_ACCOUNTS] -= int(ledger.accounts["balance"][bank])
    return held + [int(ledger.accounts["balance"][bank]) for bank in banks]


def tables_by_row(orders, tables):
    named = payments_in(tables)
    return {
        row: np.array([tuple(one) for one in named[order.reference]], PAYEE)
        for row, order in enumerate(orders)
        if order.reference in named
    }


def test_a_super_agent_has_its_regions_and_banks_are_parties_wherever_they_lie():
    parties = parties_of()
    banks = [NUMBERS["bank"], NUMBERS["branch"]]
    assert parties.all == (
        Party(is_bank=False, number=0),
        Party(is_bank=False, number=1),
        *(Party(is_bank=True, number=bank) for bank in banks),
    )
    whom = ["customer", "far-customer", "far-revenue", "bank", "branch", "last"]
    numbers = np.array([NUMBERS[name] for name in whom], np.uint32)
    assert parties.rows_of(numbers).tolist() == [0, 1, 1, 2, 3, 1]
    assert parties.opening_cents == (600_000_00 - 300_00, 10_600_00, -610_300_00, 0)
    assert sum(parties.opening_cents) == 0


def test_a_network_without_banks_has_super_agents_only():
    parties = parties_of(openings()[:1])
    assert len(parties.all) == 2
    assert parties.rows_of(np.array([NUMBERS["far-customer"]], np.uint32)).tolist() == [1]


HERE, FAR, BANK = 0, 1, 2


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        ("send customer neighbour 100.00", {}),
        # The fee stays with the payer's super-agent, as its revenue and as excise.
        ("send customer far-customer 100.00", {(HERE, FAR): 100_00}),
        ("send far-customer customer 500.00", {(FAR, HERE): 500_00}),
        # The agent's part of the charge goes with the money, the rest stays.
        ("withdraw far-customer agent 500.00", {(FAR, HERE): 508_00}),
        ("withdraw customer agent 500.00", {}),
        ("buy-goods far-customer merchant 1000.00", {(FAR, HERE): 994_50}),
        ("pay-bill far-customer utility 500.00", {(FAR, HERE): 495_00}),
        ("pay-bill far-customer school 500.00", {(FAR, HERE): 497_50}),
        ("bank-withdrawal bank far-customer 70.00", {(BANK, FAR): 70_00}),
        ("bank-deposit customer bank 70.00", {(HERE, BANK): 70_00}),
        ("treasury float bank 9.00", {(HERE, BANK): 9_00}),
        ("deposit shop far-customer 30.00", {(HERE, FAR): 30_00}),
        (
            "bulk-pay-out business self 150.00 to customer=100.00+far-customer=50.00",
            {(HERE, FAR): 50_00},
        ),
        ("cancel customer customer 0.00", {}),
        ("enrol enrolment new 0.00 key k", {}),
    ],
)
def test_what_each_movement_moves_between_parties(story, expected):
    town, parties = Town(ALL_SERVICES), parties_of()
    before = holdings(town.ledger, parties)
    order, _ = town.order(story.split())
    assert town.apply(order) is Applied.APPLIED
    tariffs = {tariff.version: tariff for tariff in town.ledger.tariffs}
    tables = tables_by_row([order], town.tables)
    moved = {
        (flow.payer, flow.payee): flow.cents
        for flow in FlowReader(parties, tariffs).flows(order_records([order]), tables)
    }
    assert moved == expected
    change = [b - a for a, b in zip(before, holdings(town.ledger, parties), strict=True)]
    for (payer, payee), cents in expected.items():
        change[payer] += cents
        change[payee] -= cents
    assert not any(change)


SEEN: set[int] = set()
"""Every kind that the property below has seen applied."""


@given(st.integers(0, 2**32), st.data())
@settings(max_examples=40)
def test_positions_add_up_to_zero_and_are_what_changed_in_the_ledger(seed, data):
    pick = random.Random(seed).choice
    books = any_books(pick)
    ledger = ledger_of(books)
    tables = [
        np.array([tuple(r) for r in table], PAYEE).tobytes() for table in books.tables.values()
    ]
    parties = parties_of()
    before = holdings(ledger, parties)
    orders = [any_order(pick, books, AMOUNTS) for _ in range(60)]
    applied = [o for o in orders if apply_all(ledger, [o], tables=tables) == [Applied.APPLIED]]
    SEEN.update(order.kind for order in applied)
    changes = [b - a for a, b in zip(before, holdings(ledger, parties), strict=True)]

    told = Books(genesis_of(openings(), tuple(books.tariffs.values())))
    told.take(order_records(applied), np.arange(len(applied)), tables_by_row(applied, tables))
    days = told.days
    closes = [told.close(day) for day in days]
    assert [close.orders for close in closes] == [
        sum(order.day == day for order in applied) for day in days
    ]
    assert [sum(p) for p in zip(*(c.positions_cents for c in closes), strict=True)] == (
        changes if closes else []
    )
    for close in closes:
        assert sum(close.positions_cents) == sum(close.balances_cents) == 0
        assert close.circulation_cents == sum(close.owed_cents.values())
        assert read_close(close.to_bytes()) == close
        read_flows(told.flows(close.day), close)
    # Another replica applied them in another order, and read them in pieces.
    other = Books(genesis_of(openings(), tuple(books.tariffs.values())))
    shuffled = data.draw(st.permutations(applied))
    for at in range(0, len(shuffled), 3):
        part = shuffled[at : at + 3]
        other.take(order_records(part), np.arange(len(part)) + at, tables_by_row(part, tables))
    assert [other.close(day).to_bytes() for day in days] == [c.to_bytes() for c in closes]


def test_every_kind_that_moves_money_was_among_them():
    if not SEEN:
        test_positions_add_up_to_zero_and_are_what_changed_in_the_ledger()
    wanted = {int(kind) for kind, row in MOVEMENTS.items() if row.moves_money and not row.house}
    assert wanted <= SEEN


@pytest.mark.parametrize(
    ("payee", "movement", "signer", "gets"),
    [
        ("neighbour", OrderKind.SEND, "neighbour", 0),
        ("far-customer", OrderKind.SEND, "customer", 400_00),
        # The payee signs, and it is the payer's money all the same.
        ("far-customer", OrderKind.SEND, "far-customer", 400_00),
    ],
)
def test_a_released_hold_is_the_debit_of_who_held_it(payee, movement, signer, gets):
    house, parties = House(), parties_of()
    before = holdings(house.ledger, parties)
    authorised = signer == payee
    hold = house.accept(house.hold("customer", payee, 400_00, movement, authorisation=authorised))
    release = house.accept(house.ending(OrderKind.RELEASE, hold, signer, 400_00))
    books = Books(genesis_of(openings()))
    books.take(order_records([hold, release]), np.arange(2), {})
    close = books.close(TODAY)
    assert close.positions_cents == (-gets, gets, 0, 0)
    after = holdings(house.ledger, parties)
    assert list(close.positions_cents) == [b - a for a, b in zip(before, after, strict=True)]
    taxes = excise_cents_of(order_records([hold, release]), Splitter({2: ALL_SERVICES})).tolist()
    assert taxes == [0, int(house.account("excise")["balance"])]


def test_a_refund_goes_back():
    house, parties = House(), parties_of()
    before = holdings(house.ledger, parties)
    paid = house.paid("far-customer", "customer", 300_00)
    back = house.accept(house.about(OrderKind.REFUND, "customer", "far-customer", paid, 120_00))
    books = Books(genesis_of(openings()))
    books.take(order_records([paid, back]), np.arange(2), {})
    assert books.close(TODAY).positions_cents == (180_00, -180_00, 0, 0)
    after = holdings(house.ledger, parties)
    assert [b - a for a, b in zip(before, after, strict=True)] == [180_00, -180_00, 0, 0]


def test_a_tariff_that_came_later_is_learnt():
    newer = replace(ALL_SERVICES, version=3)
    orders = np.zeros(1, ORDER)
    orders["kind"], orders["payer"] = OrderKind.WITHDRAW, NUMBERS["far-customer"]
    orders["payee"], orders["amount"], orders["fee"] = NUMBERS["agent"], 500_00, 29_00
    orders["tariff"], orders["day"] = 3, TODAY
    books = Books(genesis_of(openings()))
    with pytest.raises(NotFinalError):
        books.take(orders, np.arange(1), {})
    assert books.days == [], "nothing of it was entered"
    books.know([newer])
    books.take(orders, np.arange(1), {})
    assert books.close(TODAY).positions_cents == (508_00, -508_00, 0, 0)


def test_balances_at_a_days_end_are_those_of_the_ledger_when_nothing_came_later():
    town = Town(ALL_SERVICES)
    books = Books(genesis_of(openings()))
    lines = [
        ("send customer far-customer 100.00", TODAY - 1),
        ("bank-withdrawal bank far-customer 70.00", TODAY - 1),
        ("withdraw far-customer agent 500.00", TODAY),
    ]
    for entry, (line, day) in enumerate(lines):
        order, _ = town.order([*line.split(), "day", str(day)])
        assert town.apply(order) is Applied.APPLIED
        books.take(order_records([order]), np.array([entry]), {})
    assert list(books.close(TODAY).balances_cents) == holdings(town.ledger, books.parties)
    assert books.close(TODAY + 5).balances_cents == books.close(TODAY).balances_cents
    assert books.close(TODAY + 5).positions_cents == (0, 0, 0, 0)
    assert books.close(TODAY - 2).balances_cents == books.parties.opening_cents
    assert books.close(TODAY - 1).owed_cents[NUMBERS["bank"]] == 610_300_00 + 70_00
    assert books.days == [TODAY - 1, TODAY], "asking for a day does not make one"
    book = books.book(TODAY - 1)
    assert (book.orders, book.first_entry, book.end_entry) == (2, 0, 2)


def test_sums_beyond_64_bits_are_exact():
    orders = np.zeros(3 * ORDERS_AT_ONCE, ORDER)
    orders["kind"], orders["payer"], orders["payee"] = 1, NUMBERS["customer"], NUMBERS["last"]
    orders["amount"], orders["tariff"], orders["day"] = MAX_AMOUNT_CENTS, 2, TODAY
    books = Books(genesis_of(openings()))
    rounds = 5
    for _ in range(rounds):
        books.take(orders, np.arange(len(orders)), {})
    total = rounds * len(orders) * MAX_AMOUNT_CENTS
    assert total > 2**63
    close = books.close(TODAY)
    assert close.positions_cents == (-total, total, 0, 0)
    assert read_close(close.to_bytes()) == close


def test_excise_is_what_the_ledger_credits_to_the_tax_account():
    town = Town(ALL_SERVICES)
    lines = [
        "send customer far-customer 100.00",
        "withdraw far-customer agent 500.00",
        "buy-goods far-customer merchant 1000.00",
        "pay-bill far-customer school 500.00",
        "bulk-pay-out business self 150.00 to customer=100.00+far-customer=50.00",
        "deposit agent customer 30.00",
        "cancel customer customer 0.00",
    ]
    tariffs = {tariff.version: tariff for tariff in town.ledger.tariffs}
    taxes = [NUMBERS["excise"], NUMBERS["far-excise"]]
    for line in lines:
        before = town.ledger.accounts["balance"][taxes].sum()
        order, _ = town.order(line.split())
        assert town.apply(order) is Applied.APPLIED
        credited = int(town.ledger.accounts["balance"][taxes].sum() - before)
        assert excise_cents_of(order_records([order]), Splitter(tariffs)).tolist() == [credited], (
            line
        )


_ANYTHING = st.binary(min_size=128, max_size=128 * 3).map(lambda b: b[: len(b) // 128 * 128])


@given(_ANYTHING, st.sampled_from([0, *OrderKind]), st.sampled_from([0, 1, 2]))
def test_orders_of_a_liar_are_refused_in_a_sentence_or_taxed(data, kind, tariff):
    orders = np.frombuffer(data, ORDER).copy()
    orders["kind"], orders["tariff"] = kind, tariff
    try:
        found = excise_cents_of(orders, Splitter({1: TARIFF, 2: ALL_SERVICES}))
    except NotFinalError:
        return
    assert found.shape == orders.shape
    assert found.min() >= 0
