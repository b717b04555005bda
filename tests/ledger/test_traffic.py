"""A busy town: money is conserved, statements explain every cent, and the order does not matter."""

import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.dice import ORDINARY, any_order, any_table
from tests.ledger.town import (
    ALL_SERVICES,
    NUMBERS,
    TARIFF,
    apply_all,
    books_of,
    check_all,
    open_town,
    openings,
    order_records,
    payments_in,
)

from harambee.crypto.hashing import digest
from harambee.crypto.keys import KeyForm
from harambee.ledger import invariants
from harambee.ledger.invariants import Snapshot
from harambee.ledger.kinds import MOVEMENTS, OrderKind
from harambee.ledger.ledger import Ledger
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.records import NO_ACCOUNT_SLOT, ROW_OF_TABLE, key_of
from harambee.ledger.rules import Order, credits_of

AMOUNTS = (1, 100, 4_900, 5_000, 10_000, 10_001, 100_000, 2_000_000)
ROUNDS = 40
OFFERED = 50
BOTH = (TARIFF, ALL_SERVICES)


@dataclass
class Traffic:
    """A town after many rounds: in each, orders are offered, judged, and applied if accepted."""

    ledger: Ledger = field(default_factory=lambda: open_town(BOTH))
    final: list[Order] = field(default_factory=list)
    """The orders applied, in their order."""
    entries: list[tuple[Order, int | None]] = field(default_factory=list)
    """Each entry's order, and for those of a table's rows the row."""
    tables: list[bytes] = field(default_factory=list)
    """The payee tables of all rounds."""

    def round(self, pick, position=0):
        books = books_of(self.ledger)
        self.tables += [any_table(pick, books.accounts) for _ in range(2)]
        books = books_of(self.ledger, self.tables[-4:])
        orders = [any_order(pick, books, AMOUNTS) for _ in range(OFFERED)]
        codes = check_all(self.ledger, orders, tables=self.tables)
        accepted = [o for o, code in zip(orders, codes, strict=True) if code is Outcome.ACCEPTED]
        states = apply_all(self.ledger, accepted, position, self.tables)
        # Two accepted orders of one slot are applied once: here as in the network, first come.
        assert set(states) <= {Applied.APPLIED, Applied.ALREADY}
        for order, state in zip(accepted, states, strict=True):
            if state is Applied.APPLIED:
                self.final.append(order)
                self.entries.append((order, None))
                if MOVEMENTS[order.kind].by_table:
                    rows = range(len(books.tables[order.reference]))
                    self.entries += [(order, row) for row in rows]

    def credits(self, order):
        """What a payment credits, by the rules."""
        tariff = {tariff.version: tariff for tariff in BOTH}[order.tariff]
        if MOVEMENTS[order.kind].by_table:
            return credits_of(order, tariff, payments_in(self.tables)[order.reference])
        return credits_of(order, tariff)


def after_traffic(seed):
    traffic, pick = Traffic(), random.Random(seed).choice
    before = invariants.check(traffic.ledger)
    for position in range(ROUNDS):
        traffic.round(pick, position)
        before = invariants.check(traffic.ledger, before)
    return traffic


@pytest.fixture(scope="module", params=range(3), ids=lambda seed: f"seed-{seed}")
def traffic(request):
    return after_traffic(request.param)


@given(st.integers(0, 2**64))
def test_whatever_is_accepted_at_once_may_become_final_at_once(seed):
    """No cent is made or lost, and nobody but an issuer falls below zero, in whatever town."""
    traffic, pick = Traffic(), random.Random(seed).choice
    before = invariants.check(traffic.ledger)
    for position in range(5):
        traffic.round(pick, position)
        before = invariants.check(traffic.ledger, before)


def test_traffic_is_of_every_kind(traffic):
    assert {order.kind for order in traffic.final} == set(ORDINARY)
    assert len(traffic.final) > 200


def test_money_is_conserved(traffic):
    assert traffic.ledger.total_cents() == 0
    paid = [order for order in traffic.final if MOVEMENTS[order.kind].moves_money]
    charged = {"revenue": 0, "excise": 0}
    for order in paid:
        credited = traffic.credits(order)
        assert sum(cents for _, cents in credited.all) == order.amount_cents + order.fee_cents
        assert all(cents >= 0 for _, cents in credited.all)
        charged["revenue"] += credited.revenue.cents
        charged["excise"] += credited.excise.cents
    for name, cents in charged.items():
        numbers = {NUMBERS[where + name] for where in ("", "far-")}
        received = sum(int(traffic.ledger.account(number)["credited"]) for number in numbers)
        by_treasuries = sum(order.amount_cents for order in paid if order.payee in numbers)
        assert received == cents + by_treasuries
        assert cents > 0


# -- statements -----------------------------------------------------------------------------------


def changes_of(traffic):
    """What each entry shows: for every account on it, the change of its balance in cents."""
    shown = []
    for order, row in traffic.entries:
        if not MOVEMENTS[order.kind].moves_money:
            shown.append(dict.fromkeys((order.payer, *touched_by(order)), 0))
            continue
        credited = traffic.credits(order)
        by_table = MOVEMENTS[order.kind].by_table
        if row is not None:
            shown.append(dict([credited.payees[row]]))
            continue
        changes = {order.payer: -(order.amount_cents + order.fee_cents)}
        for number, cents in credited.all[len(credited.payees) if by_table else 0 :]:
            changes[number] = changes.get(number, 0) + cents
        shown.append(changes)
    return shown


def touched_by(order):
    """The payee on whose statement an order stands that moves no money."""
    return () if order.kind == OrderKind.CANCEL else (order.payee,)


def accounts_of(ledger):
    return [number for number, account in books_of(ledger).accounts.items() if account.exists]


def test_walking_a_statement_back_leads_to_the_opening_balance(traffic):
    opened = {int(row["number"]): int(row["balance"]) for row in openings()}
    changes = changes_of(traffic)
    for number in accounts_of(traffic.ledger):
        balance = int(traffic.ledger.account(number)["balance"])
        for entry in traffic.ledger.entries_of(number, len(traffic.entries)).tolist():
            balance -= changes[entry][number]
        assert balance == opened.get(number, 0), f"account {number}"


def test_a_statement_shows_every_order_that_touched_the_account(traffic):
    changes = changes_of(traffic)
    for number in accounts_of(traffic.ledger):
        shown = traffic.ledger.entries_of(number, len(traffic.entries)).tolist()
        touching = [entry for entry, changed in enumerate(changes) if number in changed]
        assert shown == touching[::-1]


@pytest.mark.parametrize("page", [1, 2, 7])
def test_a_statement_read_page_by_page_is_the_whole_statement(traffic, page):
    for number in accounts_of(traffic.ledger):
        whole = traffic.ledger.entries_of(number, len(traffic.entries)).tolist()
        pages, before = [], None
        while found := traffic.ledger.entries_of(number, page, before).tolist():
            pages += found
            before = found[-1]
        assert pages == whole == sorted(whole, reverse=True)


def test_a_statement_may_begin_before_any_entry(traffic):
    revenue = NUMBERS["revenue"]  # its chain is not entered in the middle but walked
    for number in (revenue, NUMBERS["customer"]):
        whole = traffic.ledger.entries_of(number, len(traffic.entries)).tolist()
        for before in range(0, len(traffic.entries) + 2, 7):
            expected = [entry for entry in whole if entry < before]
            assert traffic.ledger.entries_of(number, 10**6, before).tolist() == expected


def test_every_slot_finds_its_entry(traffic):
    ledger, opened = traffic.ledger, {int(r["number"]): int(r["next_sequence"]) for r in openings()}
    slots = {
        (order.payer, order.sequence): entry
        for entry, (order, row) in enumerate(traffic.entries)
        if order.kind != OrderKind.CLAIM and row is None
    }
    for (payer, sequence), entry in slots.items():
        assert ledger.entry_of_slot(payer, sequence) == entry
    for number in accounts_of(ledger):
        following = ledger.next_sequence(number)
        assert ledger.entry_of_slot(number, following) is None
        assert ledger.entry_of_slot(number, -1) is None
        assert ledger.entry_of_slot(number, opened.get(number, 0) - 1) is None
        for sequence in range(opened.get(number, 0), following):
            assert (number, sequence) in slots


def test_entries_say_where_the_orders_lie(traffic):
    for entry, (order, row) in zip(traffic.ledger.entries, traffic.entries, strict=True):
        payee = order.payee if row is None else traffic.credits(order).payees[row].payee
        said = (entry["payer"], entry["payee"], entry["sequence"])
        assert said == (order.payer, payee, order.sequence)
        mark = int(entry["revenue_previous"])
        assert (mark == NO_ACCOUNT_SLOT) == (order.kind == OrderKind.CLAIM)
        assert (mark == ROW_OF_TABLE) == (row is not None)
    assert not traffic.ledger.entries.flags.writeable


def test_an_account_that_does_not_exist_has_no_statement():
    ledger = open_town()
    for number in (-1, 24, 2**21, 2**32):
        assert len(ledger.entries_of(number, 10)) == 0
        assert ledger.entry_of_slot(number, 0) is None
        assert ledger.account(number) is None
        assert ledger.next_sequence(number) == 0


# -- the digest -----------------------------------------------------------------------------------


def brought(orders, batch, tables):
    """Return a town to which the orders came so, in batches; what waits is brought again."""
    ledger, waiting = open_town(BOTH), orders
    while waiting:
        states = []
        for start in range(0, len(waiting), batch):
            states += apply_all(ledger, waiting[start : start + batch], start, tables)
            ledger.digest()  # now and then, as a checkpoint would
        again = [o for o, s in zip(waiting, states, strict=True) if s is Applied.WAITING]
        assert len(again) < len(waiting), "no order ever waits for what never comes"
        waiting = again
    return ledger


@pytest.mark.parametrize("seed", range(4))
def test_the_digest_does_not_depend_on_the_order_of_applying(traffic, seed):
    dice = random.Random(seed)
    shuffled = dice.sample(traffic.final, len(traffic.final))
    twice = shuffled + dice.sample(shuffled, 50)  # some blocks bring an order that another brought
    ledger = brought(twice, dice.choice((1, 7, 10_000)), traffic.tables)
    assert ledger.digest() == traffic.ledger.digest()
    assert ledger.total_cents() == 0
    assert ledger.account_count == traffic.ledger.account_count
    invariants.check(ledger)


def test_the_digest_misses_any_order_that_is_left_out(traffic):
    last = {order.payer: order for order in traffic.final if order.kind != OrderKind.CLAIM}
    for missing in last.values():
        ledger = open_town(BOTH)
        rest = [order for order in traffic.final if order is not missing]
        apply_all(ledger, rest, tables=traffic.tables)
        assert ledger.digest() != traffic.ledger.digest()


def test_the_digest_is_the_same_after_every_page_was_hashed_anew(traffic):
    before = traffic.ledger.digest()
    traffic.ledger._pages[traffic.ledger._pages != 0] = 3
    traffic.ledger._page_digests[:] = 0
    assert traffic.ledger.digest() == before


def test_the_digest_knows_tariffs_and_limits_and_not_the_statements():
    town = open_town()
    opened = town.digest()
    town.accounts["last_entry"][NUMBERS["customer"]] = 5
    town._pages[0] = 3
    assert town.digest() == opened
    town.issuers[NUMBERS["bank"]] -= 1
    assert town.digest() != opened


# -- looking things up ----------------------------------------------------------------------------


def test_keys_and_sequences_of_many_accounts(traffic):
    ledger, before = traffic.ledger, Snapshot.of(traffic.ledger)
    numbers = np.array([*accounts_of(ledger), 5, 999, 2**21, 2**32 - 1], np.uint32)
    keys, forms, known = ledger.keys_of(numbers)
    following = ledger.next_sequences(numbers)
    for number, key, form, is_known, sequence in zip(
        numbers.tolist(), keys, forms.tolist(), known.tolist(), following.tolist(), strict=True
    ):
        account = ledger.account(number)
        assert is_known == (account is not None)
        assert (form, key.tobytes()) == (key_of(account) if is_known else (0, bytes(32)))
        assert sequence == ledger.next_sequence(number)
    assert keys[0].tobytes() == digest(b"enrolment")
    assert set(forms.tolist()) == set(KeyForm)
    assert Snapshot.of(ledger).records.tobytes() == before.records.tobytes()


def test_judging_changes_nothing(traffic):
    before = traffic.ledger.digest(), Snapshot.of(traffic.ledger).records.tobytes()
    check_all(traffic.ledger, traffic.final)
    assert before == (traffic.ledger.digest(), Snapshot.of(traffic.ledger).records.tobytes())


def test_no_orders_at_all_are_no_trouble():
    ledger = open_town()
    assert check_all(ledger, []) == []
    assert apply_all(ledger, []) == []
    assert len(order_records([])) == ledger.entry_count == 0
