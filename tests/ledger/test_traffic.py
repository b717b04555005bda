"""A busy town: money is conserved, statements explain every cent, and the order does not matter."""

import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from tests.ledger.dice import any_order
from tests.ledger.town import (
    NUMBERS,
    apply_all,
    books_of,
    check_all,
    open_town,
    openings,
    order_records,
)

from harambee.crypto.hashing import digest
from harambee.ledger import invariants
from harambee.ledger.invariants import Snapshot
from harambee.ledger.kinds import MOVEMENTS, OrderKind
from harambee.ledger.ledger import Ledger
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.records import NO_ACCOUNT_SLOT, revenue_account
from harambee.ledger.rules import Order

AMOUNTS = (1, 100, 4_900, 5_000, 10_000, 10_001, 100_000, 2_000_000)
ROUNDS = 25
OFFERED = 40


@dataclass
class Traffic:
    """A town after many rounds: in each, orders are offered, judged, and applied if accepted."""

    ledger: Ledger = field(default_factory=open_town)
    final: list[Order] = field(default_factory=list)
    """The orders applied, in their order: number i is entry i."""

    def round(self, pick, position=0):
        books = books_of(self.ledger)
        orders = [any_order(pick, books, AMOUNTS) for _ in range(OFFERED)]
        codes = check_all(self.ledger, orders)
        accepted = [o for o, code in zip(orders, codes, strict=True) if code is Outcome.ACCEPTED]
        states = apply_all(self.ledger, accepted, position)
        # Two accepted orders of one slot are applied once: here as in the network, first come.
        assert set(states) <= {Applied.APPLIED, Applied.ALREADY}
        self.final += [
            o for o, state in zip(accepted, states, strict=True) if state is Applied.APPLIED
        ]


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


def test_traffic_is_of_every_kind(traffic):
    assert {order.kind for order in traffic.final} == set(OrderKind)
    assert len(traffic.final) > 200


def test_money_is_conserved(traffic):
    assert traffic.ledger.total_cents() == 0
    paid = [order for order in traffic.final if MOVEMENTS[order.kind].moves_money]
    revenue = sum(
        int(traffic.ledger.account(NUMBERS[name])["balance"]) for name in ("revenue", "far-revenue")
    )
    assert revenue == sum(order.fee_cents for order in paid) > 0


# -- statements -----------------------------------------------------------------------------------


def effect_on(number, order):
    """What an order did to an account's balance, in cents."""
    if not MOVEMENTS[order.kind].moves_money:
        return 0
    effect = -(order.amount_cents + order.fee_cents) if order.payer == number else 0
    effect += order.amount_cents if order.payee == number else 0
    effect += order.fee_cents if revenue_account(order.payer) == number else 0
    return effect


def accounts_of(ledger):
    return [number for number, account in books_of(ledger).accounts.items() if account.exists]


def test_walking_a_statement_back_leads_to_the_opening_balance(traffic):
    opened = {int(row["number"]): int(row["balance"]) for row in openings()}
    for number in accounts_of(traffic.ledger):
        balance = int(traffic.ledger.account(number)["balance"])
        for entry in traffic.ledger.entries_of(number, len(traffic.final)).tolist():
            balance -= effect_on(number, traffic.final[entry])
        assert balance == opened.get(number, 0), f"account {number}"


def test_a_statement_shows_every_order_that_touched_the_account(traffic):
    for number in accounts_of(traffic.ledger):
        shown = set(traffic.ledger.entries_of(number, len(traffic.final)).tolist())
        for entry, order in enumerate(traffic.final):
            touched = number in {order.payer, order.payee} or effect_on(number, order) != 0
            assert (entry in shown) == touched


@pytest.mark.parametrize("page", [1, 2, 7])
def test_a_statement_read_page_by_page_is_the_whole_statement(traffic, page):
    for number in accounts_of(traffic.ledger):
        whole = traffic.ledger.entries_of(number, len(traffic.final)).tolist()
        pages, before = [], None
        while found := traffic.ledger.entries_of(number, page, before).tolist():
            pages += found
            before = found[-1]
        assert pages == whole == sorted(whole, reverse=True)


def test_a_statement_may_begin_before_any_entry(traffic):
    revenue = NUMBERS["revenue"]  # its chain is not entered in the middle but walked
    for number in (revenue, NUMBERS["customer"]):
        whole = traffic.ledger.entries_of(number, len(traffic.final)).tolist()
        for before in range(len(traffic.final) + 2):
            expected = [entry for entry in whole if entry < before]
            assert traffic.ledger.entries_of(number, 10**6, before).tolist() == expected


def test_every_slot_finds_its_entry(traffic):
    ledger, opened = traffic.ledger, {int(r["number"]): int(r["next_sequence"]) for r in openings()}
    slots = {
        (order.payer, order.sequence): entry
        for entry, order in enumerate(traffic.final)
        if order.kind != OrderKind.CLAIM
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
    for entry, order in zip(traffic.ledger.entries, traffic.final, strict=True):
        said = (entry["payer"], entry["payee"], entry["sequence"])
        assert said == (order.payer, order.payee, order.sequence)
        is_claim = int(entry["revenue_previous"]) == NO_ACCOUNT_SLOT
        assert is_claim == (order.kind == OrderKind.CLAIM)
    assert not traffic.ledger.entries.flags.writeable


def test_an_account_that_does_not_exist_has_no_statement():
    ledger = open_town()
    for number in (-1, 24, 2**21, 2**32):
        assert len(ledger.entries_of(number, 10)) == 0
        assert ledger.entry_of_slot(number, 0) is None
        assert ledger.account(number) is None
        assert ledger.next_sequence(number) == 0


# -- the digest -----------------------------------------------------------------------------------


def brought(orders, batch):
    """Return a town to which the orders came so, in batches; what waits is brought again."""
    ledger, waiting = open_town(), orders
    while waiting:
        states = []
        for start in range(0, len(waiting), batch):
            states += apply_all(ledger, waiting[start : start + batch], start)
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
    ledger = brought(twice, dice.choice((1, 7, 10_000)))
    assert ledger.digest() == traffic.ledger.digest()
    assert ledger.total_cents() == 0
    assert ledger.account_count == traffic.ledger.account_count
    invariants.check(ledger)


def test_the_digest_misses_any_order_that_is_left_out(traffic):
    last = {order.payer: order for order in traffic.final if order.kind != OrderKind.CLAIM}
    for missing in last.values():
        ledger = open_town()
        apply_all(ledger, [order for order in traffic.final if order is not missing])
        assert ledger.digest() != traffic.ledger.digest()


def test_the_digest_is_the_same_after_every_page_was_hashed_anew(traffic):
    before = traffic.ledger.digest()
    traffic.ledger._pages[traffic.ledger._pages != 0] = 3
    traffic.ledger._page_digests.clear()
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
    numbers = np.array([*accounts_of(ledger), 2, 999, 2**21, 2**32 - 1], np.uint32)
    keys, known = ledger.keys_of(numbers)
    following = ledger.next_sequences(numbers)
    for number, key, is_known, sequence in zip(
        numbers.tolist(), keys, known.tolist(), following.tolist(), strict=True
    ):
        account = ledger.account(number)
        assert is_known == (account is not None)
        assert key.tobytes() == (account["key"].tobytes() if is_known else bytes(32))
        assert sequence == ledger.next_sequence(number)
    assert keys[0].tobytes() == digest(b"enrolment")
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
