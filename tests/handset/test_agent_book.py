"""An agent's book: each sort of order, and what always adds up between drawer and float."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.town import ALL_SERVICES, NUMBERS, TODAY

from harambee.crypto.signatures import from_seed
from harambee.handset.agent_book import (
    BookError,
    Cash,
    Total,
    book_of,
    counted,
    flows_of,
    read_cash,
    write_cash,
)
from harambee.handset.doors import Line
from harambee.handset.float_forecast import Flow
from harambee.handset.orders import options_for
from harambee.handset.wallet import Wallet, WalletError
from harambee.ledger.kinds import MOVEMENTS, OrderKind
from harambee.ledger.records import AccountKind
from harambee.ledger.rules import Order, credits_of
from harambee.money.tariff import FeeMode

SHOP, CHAIN = NUMBERS["shop"], NUMBERS["chain"]
OPENING_CENTS = 80_000_00


def order_of(word, payer, payee, cents, day=TODAY):
    """An order as the ledger has it, with the tariff's fee and the shop's head office."""
    kind = OrderKind[word.replace("-", "_").upper()]
    movement = MOVEMENTS[kind]
    mode = FeeMode.PAYER if movement.fee_mode is None else movement.fee_mode
    fee = ALL_SERVICES.charge(movement.fee_table, mode, cents).payer_cents
    options = options_for(kind, FeeMode.PAYER, CHAIN)
    return Order(kind, payer, payee, cents, fee, 0, 2, day, options, b"r" * 32)


def change_of(account, order):
    credited = credits_of(order, ALL_SERVICES)
    change = sum(cents for payee, cents in credited.all if payee == account)
    return change - (order.amount_cents + order.fee_cents if order.payer == account else 0)


def line_of(account, order, time_ms=0, balance=0):
    document = {
        "kind": OrderKind(order.kind).name.lower(),
        "payer": order.payer,
        "payee": order.payee,
        "amount_cents": order.amount_cents,
        "day": order.day,
        "receipt_code": "UKPON7N950",
    }
    return Line(0, time_ms, change_of(account, order), balance, document)


def statement(account, *orders):
    return [line_of(account, order) for order in orders]


@pytest.mark.parametrize(
    ("order", "account", "float_cents", "commission", "cash"),
    [
        (("deposit", SHOP, NUMBERS["customer"], 500_00), SHOP, -500_00, 0, 500_00),
        (("withdraw", NUMBERS["customer"], SHOP, 500_00), SHOP, 506_40, 6_40, -500_00),
        (("withdraw", NUMBERS["customer"], SHOP, 500_00), CHAIN, 1_60, 1_60, 0),
        (("deposit-commission", NUMBERS["commission"], SHOP, 8_00), SHOP, 6_40, 6_40, 0),
        (("deposit-commission", NUMBERS["commission"], SHOP, 8_00), CHAIN, 1_60, 1_60, 0),
        (("airtime", SHOP, NUMBERS["business"], 50_00), SHOP, -50_00, 0, 50_00),
        (("float-sale", NUMBERS["float"], SHOP, 900_00), SHOP, 900_00, 0, 0),
        (("float-sale", SHOP, NUMBERS["agent"], 900_00), SHOP, -900_00, 0, 0),
        (("bank-deposit", SHOP, NUMBERS["bank"], 900_00), SHOP, -900_00, 0, 0),
    ],
)
def test_what_each_order_is_in_the_book(order, account, float_cents, commission, cash):
    (posting,) = book_of(account, statement(account, order_of(*order))).postings
    assert (posting.float_cents, posting.commission_cents, posting.cash_cents) == (
        float_cents,
        commission,
        cash,
    )
    assert posting.receipt_code == "UKPON7N950"
    assert posting.other == (order[2] if order[1] == account else order[1])


_BUSINESS = st.one_of(
    st.tuples(st.just("deposit"), st.integers(1, 25_000_000)),
    st.tuples(st.just("withdraw"), st.integers(5_000, 25_000_000)),
    st.tuples(st.just("airtime"), st.integers(1, 25_000_000)),
    st.tuples(st.just("float-sale"), st.integers(1, 25_000_000)),
    st.tuples(st.just("deposit-commission"), st.sampled_from([4_00, 8_00, 9_00, 55_00])),
)
_PARTIES = {
    "deposit": (SHOP, NUMBERS["customer"]),
    "withdraw": (NUMBERS["customer"], SHOP),
    "airtime": (SHOP, NUMBERS["business"]),
    "float-sale": (NUMBERS["float"], SHOP),
    "deposit-commission": (NUMBERS["commission"], SHOP),
}


@given(st.lists(st.tuples(_BUSINESS, st.integers(TODAY - 3, TODAY)), max_size=30))
def test_drawer_and_float_add_up(orders):
    """What a customer gives goes from one to the other; only commission and float trades add."""
    made = [order_of(word, *_PARTIES[word], cents, day) for (word, cents), day in orders]
    book = book_of(SHOP, statement(SHOP, *made))
    traded = sum(p.float_cents for p in book.postings if p.kind is OrderKind.FLOAT_SALE)
    assert book.cash_cents + book.float_cents == book.commission_cents + traded
    assert book.float_cents == sum(change_of(SHOP, order) for order in made)
    days = [book.on(day) for day in range(TODAY - 3, TODAY + 1)]
    assert sum(day.cash_cents for day in days) == book.cash_cents
    assert sum(len(day.postings) for day in days) == len(book.postings)
    for kind in OrderKind:
        amounts = [order.amount_cents for order in made if order.kind == kind]
        assert book.total(kind) == Total(len(amounts), sum(amounts))
    # Counted at any moment, the drawer is what it was counted as; and later what has come since.
    cash = counted(70_000_00, TODAY, book)
    assert cash.now_cents(book) == 70_000_00
    later = book_of(
        SHOP, [line_of(SHOP, order_of("deposit", SHOP, 16, 100_00)), *statement(SHOP, *made)]
    )
    assert cash.now_cents(later) == 70_100_00


def test_cash_goes_on_over_midnight():
    yesterday = order_of("deposit", SHOP, 16, 300_00, TODAY - 1)
    this_morning = order_of("withdraw", 16, SHOP, 100_00, TODAY)
    book = book_of(SHOP, statement(SHOP, this_morning, yesterday))
    assert Cash(TODAY - 1, 50_000_00).now_cents(book) == 50_200_00
    assert Cash(TODAY, 50_000_00).now_cents(book) == 49_900_00


def test_only_business_is_forecast():
    orders = [
        order_of("deposit", SHOP, 16, 300_00),
        order_of("float-sale", NUMBERS["float"], SHOP, 900_00),
    ]
    lines = [line_of(SHOP, order, time_ms=7) for order in orders]
    assert flows_of(AccountKind.AGENT, lines) == [Flow(7, -300_00)]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"kind": "gift", "payer": 1, "payee": 2, "amount_cents": 1, "day": 1},
        {"kind": 3, "payer": 1, "payee": 2, "amount_cents": 1, "day": 1},
        {"kind": "deposit", "payer": 1, "payee": 2, "amount_cents": "1", "day": 1},
        {"kind": "deposit", "payer": True, "payee": 2, "amount_cents": 1, "day": 1},
        {"kind": "deposit", "payer": 1, "payee": 2, "amount_cents": 1},
    ],
)
def test_a_statement_that_is_none_is_refused_in_a_sentence(document):
    with pytest.raises(BookError, match=r"^The statement has an order .*\.$"):
        book_of(SHOP, [Line(0, 0, 0, 0, document)])


def test_the_cash_figure_is_kept_and_a_damaged_one_is_not_believed(tmp_path):
    wallet = Wallet(tmp_path / "shop", SHOP, from_seed(b"s" * 32))
    assert read_cash(wallet) is None
    write_cash(wallet, Cash(TODAY, 50_000_00))
    assert read_cash(wallet) == Cash(TODAY, 50_000_00)
    for content in (b"", b"{", b'{"day":1}', b'{"day":1,"opening_cents":' + b"9" * 30 + b"}"):
        (wallet.folder / "cash.json").write_bytes(content)
        with pytest.raises(WalletError, match="is damaged; count your cash"):
            read_cash(wallet)
