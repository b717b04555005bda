"""A file of payees: what is refused before anything is signed, and that nobody is ever paid twice."""

import asyncio
import stat
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.handset.conftest import make_genesis

from harambee.handset import pay_outs
from harambee.handset.doors import AccountView
from harambee.handset.handset import HandsetError, PaymentStatus
from harambee.handset.orders import PAYEE_ROW, OrderBody
from harambee.handset.pay_outs import PayOuts, Row, RowsError, read_rows
from harambee.handset.telephone import TelephoneError, looks_like_telephone, telephone
from harambee.handset.wallet import WalletError
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.payees import table_digest
from harambee.ledger.records import AccountKind
from harambee.money.tariff import shipped_tariff

PAYEE, SHOP, EMPLOYER = 17, 18, 19
WORKERS = range(100, 130)
TELEPHONE = "+254712345678"
HONEST = "honest honest honest honest"
OPENING_CENTS = 10_000_000


class NobodyError(Exception):
    pass


def find(text):
    if looks_like_telephone(text):
        return telephone(text)
    if text.isdigit():
        return int(text)
    raise NobodyError("This is nobody here.")


class Office:
    """A business with its workers, a wallet on disk, and files to pay."""

    def __init__(self, scene, words=HONEST):
        self.scene, self.told = scene, []
        self.stage = self.open(words)
        self.truth = self.stage.truth

    def open(self, words):
        stage = self.scene(words)
        truth = stage.truth
        truth.genesis = make_genesis(2)
        key = truth.accounts[16].key
        truth.accounts[EMPLOYER] = AccountView(
            EMPLOYER, key, AccountKind.BUSINESS, 0, OPENING_CENTS
        )
        for number in WORKERS:
            view = AccountView(number, bytes([number]) * 32, AccountKind.CUSTOMER, 0, 0)
            truth.accounts[number] = view
        return stage

    def change(self, words):
        """Other doors from now on, which know what the ones before knew."""
        later = self.open(words)
        later.truth.accounts, later.truth.final = self.truth.accounts, self.truth.final
        self.stage, self.truth = later, later.truth

    def handset(self, patience_s=5):
        return self.stage.handset(patience_s, account=EMPLOYER)

    def pay(self, text, name="wages", patience_s=5):
        outs = PayOuts(
            self.handset(patience_s),
            find,
            (NobodyError, TelephoneError),
            lambda *told: self.told.append(told),
        )
        return asyncio.run(outs.pay(name, read_rows(text.encode())))

    def paid(self):
        """Everybody whom the final bulk orders have paid, each time anew."""
        tables = {table_digest(table): table for table in self.truth.tables}
        orders = [OrderBody.from_bytes(order) for order in self.truth.final.values()]
        return [
            row
            for order in orders
            if order.kind is OrderKind.BULK_PAY_OUT
            for row in PAYEE_ROW.iter_unpack(tables[order.reference])
        ]


@pytest.fixture
def office(scene):
    return Office(scene)


WAGES = 'payee,amount\n100,150\n 101 ,"1,000.50"\n\n0712 345678,20\n'


def test_a_file_is_paid_by_one_signature(office):
    paid = office.pay(WAGES)
    assert (paid.status, paid.rows, paid.paid_rows, paid.paid_before) == ("final", 3, 3, 0)
    assert sorted(office.paid()) == [(PAYEE, 2_000), (100, 15_000), (101, 100_050)]
    (payment,) = paid.payments
    assert payment.kind is OrderKind.BULK_PAY_OUT
    assert (paid.paid_cents, payment.amount_cents) == (117_050, 117_050)
    assert paid.fee_cents == payment.fee_cents > 0
    assert len({receipt.super_agent for receipt in payment.receipts}) >= 2
    assert ("Looking up telephone numbers", 1, 1) in office.told
    assert office.told[-1] == ("Paying", 3, 3)


def test_the_table_is_ascending_and_the_one_that_was_signed(office):
    office.pay("105,10\n101,20\n103,30\n")
    (table,) = set(office.truth.tables)
    assert [payee for payee, _ in PAYEE_ROW.iter_unpack(table)] == [101, 103, 105]
    assert OrderBody.from_bytes(office.truth.seen[0]).reference == table_digest(table)


def test_the_same_file_again_pays_nobody_and_under_another_name_everybody(office):
    first = office.pay(WAGES)
    again = office.pay(WAGES)
    assert (again.status, again.paid_rows, again.paid_before) == ("final", 0, 3)
    assert not again.payments
    assert len(office.paid()) == 3
    once_more = office.pay(WAGES, name="wages, March")
    assert (once_more.paid_rows, len(office.paid())) == (3, 6)
    assert once_more.payments[0].sequence == first.payments[0].sequence + 1


def test_a_row_that_is_added_later_is_paid_alone(office):
    office.pay(WAGES)
    more = office.pay(WAGES + "102,70\n")
    assert (more.paid_rows, more.paid_before) == (1, 3)
    assert (102, 7_000) in office.paid()
    assert len(office.paid()) == 4


def test_another_amount_for_somebody_who_was_paid_is_refused_with_its_line(office):
    office.pay(WAGES)
    with pytest.raises(RowsError, match=r"line 2: This account was paid Ksh150\.00 already"):
        office.pay(WAGES.replace("100,150", "100,160"))
    assert len(office.paid()) == 3


def test_more_rows_than_one_order_pays_are_several_orders(office, monkeypatch):
    monkeypatch.setattr(pay_outs, "PAYEES_MAX", 4)
    rows = "".join(f"{number},10\n" for number in WORKERS[:10])
    paid = office.pay(rows)
    assert [payment.sequence for payment in paid.payments] == [0, 1, 2]
    assert sorted(office.paid()) == [(number, 1_000) for number in WORKERS[:10]]
    assert [told for told in office.told if told[0] == "Paying"] == [
        ("Paying", done, 10) for done in (0, 4, 8, 10)
    ]


@pytest.mark.parametrize("broken_after", range(3))
def test_a_run_that_is_broken_off_goes_on_and_pays_nobody_twice(office, monkeypatch, broken_after):
    """The super-agents fall silent after so many orders; the same command later pays the rest."""
    monkeypatch.setattr(pay_outs, "PAYEES_MAX", 4)
    rows = "".join(f"{number},10\n" for number in WORKERS[:10])
    judge, judged = office.truth.judge, set()

    def judge_some(order):
        if order not in judged and len(judged) >= broken_after:
            return Outcome.BROKER_BUSY
        judged.add(order)
        return judge(order)

    office.truth.judge = judge_some
    paid = office.pay(rows, patience_s=0.3)
    assert (paid.status, paid.paid_rows) == (PaymentStatus.SENT, 4 * broken_after)
    signed = office.truth.seen[-1]
    office.truth.judge = judge
    again = office.pay(rows)
    assert again.status is PaymentStatus.FINAL
    assert sorted(office.paid()) == [(number, 1_000) for number in WORKERS[:10]]
    assert signed in office.truth.final.values(), "the bytes that had left are those that are final"


def test_the_order_and_its_table_are_durable_before_they_leave(office):
    kept = []
    for door in office.stage.doors:
        bring = door.pay_out

        async def look(order, table, wait_ms, bring=bring):
            state = office.handset().wallet.state()
            kept.append((state.pending, state.payees) == ((order,), table))
            return await bring(order, table, wait_ms)

        door.pay_out = look
    office.pay(WAGES)
    assert kept
    assert all(kept)


def test_a_crash_between_final_and_written_down_pays_nobody_twice(office, monkeypatch):
    def full(_wallet, _state):
        raise WalletError("The disk is full.")

    with monkeypatch.context() as broken:
        broken.setattr("harambee.handset.wallet.Wallet.note_paid", full)
        with pytest.raises(WalletError):
            office.pay(WAGES)
    assert office.handset().wallet.state().orders, "the order is still under way"
    again = office.pay(WAGES)
    assert (again.status, again.paid_rows, again.paid_before) == ("final", 0, 3)
    assert len(office.paid()) == 3


def test_a_refused_pay_out_is_cancelled_and_may_be_paid_later(office):
    judge = office.truth.judge

    def refuse(order):
        is_bulk = OrderBody.from_bytes(order).kind is OrderKind.BULK_PAY_OUT
        return Outcome.PAYEE_NOT_ACTIVE if is_bulk else judge(order)

    office.truth.judge = refuse
    refused = office.pay(WAGES)
    assert (refused.status, refused.paid_rows) == (PaymentStatus.REFUSED, 0)
    assert refused.sentence == "The receiving account is frozen or closed."
    office.truth.judge = judge
    paid = office.pay(WAGES)
    assert (paid.status, paid.paid_rows) == (PaymentStatus.FINAL, 3)
    assert len(office.paid()) == 3


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", [(1, "The file has no rows.")]),
        ("payee,amount\n", [(1, "The file has no rows.")]),
        ("100\n", [(1, "A row is a payee and an amount")]),
        ("100,1,000\n", [(1, "A row is a payee and an amount")]),
        ("100,5\n,7\n", [(2, "The payee is missing.")]),
        ("100,-5\n101,0\n102,x\n", [(1, "'-5' is not"), (2, "is zero"), (3, "'x' is not")]),
        ('100,5\n"101,6\n', [(2, "not a row of a CSV file")]),
        ("100," + "9" * 300, [(1, "A row is a payee")]),
    ],
)
def test_bad_text_is_named_with_its_line(text, problems):
    with pytest.raises(RowsError) as refused:
        read_rows(text.encode())
    found = refused.value.problems
    assert [line for line, _ in found] == [line for line, _ in problems]
    assert all(part in said for (_, said), (_, part) in zip(found, problems, strict=True))
    assert str(refused.value).startswith(f"{len(found)} row")


@given(st.binary(max_size=200))
def test_whatever_a_file_holds_it_is_rows_or_refused_by_line(content):
    try:
        rows = read_rows(content)
    except RowsError as error:
        rows, problems = [], error.problems
    else:
        problems = ()
    assert bool(rows) is not bool(problems)
    assert all(isinstance(row, Row) and row.amount_cents > 0 and row.payee for row in rows)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nobody,5\n", "line 1: This is nobody here."),
        ("0799 999999,5\n", "line 1: No account is registered under this number."),
        ("4000,5\n", "line 1: There is no such account."),
        (f"{SHOP},5\n", "line 1: An account of kind merchant cannot be paid so."),
        (f"{EMPLOYER},5\n", "line 1: This is the paying account itself."),
        (f"100,5\n{PAYEE},7\n0712345678,9\n", "line 3: Line 2 pays the same account"),
        ("100,900000\n", "line 1: "),
    ],
)
def test_rows_that_no_voter_would_accept_are_refused_before_anything_is_signed(
    office, text, problem
):
    with pytest.raises(RowsError) as refused:
        office.pay(text)
    assert problem in str(refused.value)
    assert not office.truth.seen
    assert not office.handset().wallet.state().orders


def fill(office, number):
    view = office.truth.accounts[number]
    full = shipped_tariff(2).limits_of(0)[2]
    office.truth.accounts[number] = replace(view, balance_cents=full)


def test_an_account_that_is_full_is_refused_with_its_line(office):
    fill(office, 101)
    with pytest.raises(RowsError, match="line 3: The account would hold more than it may"):
        office.pay(WAGES)
    assert not office.truth.seen


def test_a_door_that_lies_makes_no_account_full(scene):
    office = Office(scene)
    full = shipped_tariff(2).limits_of(0)[2]

    async def lie(numbers):
        return (full,) * len(numbers)

    office.stage.doors[0].balances = lie
    assert office.pay(WAGES).status is PaymentStatus.FINAL


def test_a_balance_that_does_not_cover_all_orders_is_refused_before_the_first(office, monkeypatch):
    monkeypatch.setattr(pay_outs, "PAYEES_MAX", 1)
    with pytest.raises(HandsetError, match=r"are needed for amounts and fees.*nothing was signed"):
        office.pay("100,60000\n101,60000\n")
    assert not office.truth.seen


def test_many_bad_rows_are_counted_and_some_shown():
    with pytest.raises(RowsError) as refused:
        read_rows(b"100,x\n" * 500)
    assert len(refused.value.problems) == 500
    assert "and 480 more" in str(refused.value)


def test_what_was_paid_is_kept_for_its_owner_alone_and_damage_is_said(office):
    office.pay(WAGES)
    wallet = office.handset().wallet
    assert wallet.paid_under("wages") == {PAYEE: 2_000, 100: 15_000, 101: 100_050}
    assert wallet.paid_under("other") == {}
    (file,) = (wallet.folder / "pay-outs").glob("*/*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(WalletError, match="damaged"):
        wallet.paid_under("wages")
