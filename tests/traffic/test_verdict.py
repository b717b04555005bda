"""The verdict against doctored ledgers: it must find what is missing, doubled or changed."""

import numpy as np
import pytest

from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import ACCOUNT, NAMED_HOLD, ORDER, account_number
from harambee.money.tariff import shipped_tariff
from harambee.traffic.verdict import Openings, duplicates_in, examine, lost_in, recompute

REVENUE, ANNA, BEN, CARO = account_number(0, 1), 16, 17, account_number(1, 16)
OTHER_REVENUE = account_number(1, 1)
NUMBERS = np.array([REVENUE, ANNA, BEN, OTHER_REVENUE, CARO], np.uint32)
OPENINGS = Openings(
    NUMBERS, np.array([0, 1_000, 1_000, 0, 1_000], np.int64), np.array([0, 0, 5, 0, 0], np.uint32)
)


def order(payer, payee, amount, sequence, fee=0, kind=OrderKind.SEND):
    row = np.zeros(1, ORDER)
    for field, value in (
        ("payer", payer),
        ("payee", payee),
        ("amount", amount),
        ("sequence", sequence),
        ("fee", fee),
        ("kind", kind),
    ):
        row[field] = value
    return row


FINALS = np.concatenate(
    [
        order(ANNA, BEN, 300, sequence=0, fee=7),
        order(ANNA, ANNA, 0, sequence=1, kind=OrderKind.CANCEL),
        order(CARO, ANNA, 50, sequence=0, fee=3),
        order(BEN, CARO, 1_300, sequence=5),
    ]
)


def accounts_of(finals):
    expected = recompute(finals, OPENINGS)
    accounts = np.zeros(len(NUMBERS), ACCOUNT)
    accounts["balance"] = expected.balances_cents
    accounts["next_sequence"] = expected.next_sequences
    return accounts


def test_the_sum_knows_excise_commissions_and_what_a_merchant_bears():
    shop, office, till, excise = 18, 19, 20, account_number(0, 4)
    numbers = np.array([REVENUE, excise, ANNA, shop, office, till], np.uint32)
    openings = Openings(
        numbers,
        np.array([0, 0, 300_000, 0, 0, 0], np.int64),
        np.zeros(6, np.uint32),
        {2: shipped_tariff(2)},
    )
    withdrawal = order(ANNA, shop, 50_000, sequence=0, fee=2_900, kind=OrderKind.WITHDRAW)
    withdrawal["options"][0] = [office, 0, 0]
    bought = order(ANNA, till, 100_000, sequence=1, kind=OrderKind.BUY_GOODS)
    finals = np.concatenate([withdrawal, bought, withdrawal])
    finals["tariff"] = 2
    assert recompute(finals, openings).balances_cents.tolist() == [
        2 * 1_722 + 479,
        2 * 378 + 71,
        300_000 - 2 * 52_900 - 100_000,
        2 * 50_640,
        2 * 160,
        99_450,
    ]


def test_the_sum_that_the_judge_does_herself():
    after = recompute(FINALS, OPENINGS)
    assert dict(zip(NUMBERS.tolist(), after.balances_cents.tolist(), strict=True)) == {
        REVENUE: 7,
        ANNA: 1_000 - 300 - 7 + 50,
        BEN: 0,
        OTHER_REVENUE: 3,
        CARO: 1_000 - 53 + 1_300,
    }
    assert after.next_sequences.tolist() == [0, 2, 6, 0, 1]


def test_an_honest_replica_has_nothing_against_it():
    found = examine(FINALS, FINALS[[2, 0, 3, 1]], OPENINGS, accounts_of(FINALS))
    assert not found.lost.any()
    assert found.duplicated == 0
    assert found.balances_agree


@pytest.mark.parametrize("missing", range(4))
def test_a_missing_order_is_lost(missing):
    assert lost_in(FINALS, np.delete(FINALS, missing)).tolist() == [
        row == missing for row in range(4)
    ]


def test_other_bytes_in_the_slot_are_a_loss_but_another_signature_is_not():
    changed = FINALS.copy()
    changed["amount"][0] += 1
    changed["signature"][2] = 9
    assert lost_in(FINALS, changed).tolist() == [True, False, False, False]


def test_in_an_empty_ledger_everything_is_lost():
    assert lost_in(FINALS, FINALS[:0]).all()


def test_two_finals_in_one_slot_are_a_duplicate_even_if_they_are_the_same_order():
    assert duplicates_in(np.concatenate([FINALS, FINALS[2:3]])) == 1
    other = order(ANNA, CARO, 1, sequence=1)
    assert duplicates_in(np.concatenate([FINALS, other, other])) == 2


def test_the_slot_of_a_claim_is_its_alias():
    claims = np.concatenate([order(0, ANNA, 0, 0, kind=OrderKind.CLAIM) for _ in range(3)])
    claims["reference"][1] = 1
    assert duplicates_in(claims[:2]) == 0
    assert duplicates_in(claims) == 1


@pytest.mark.parametrize(
    ("field", "change"), [("balance", 1), ("balance", -1), ("next_sequence", -1)]
)
def test_a_changed_account_does_not_agree(field, change):
    accounts = accounts_of(FINALS)
    row = int(accounts["next_sequence"].argmax())  # one that has paid
    accounts[field][row] += np.array(change).astype(accounts[field].dtype)
    assert not examine(FINALS, FINALS, OPENINGS, accounts).balances_agree


def test_a_cent_made_of_nothing_is_seen_though_the_orders_are_all_there():
    accounts = accounts_of(FINALS)
    accounts["balance"][0] += 1
    found = examine(FINALS, FINALS, OPENINGS, accounts)
    assert not found.lost.any()
    assert not found.balances_agree


def test_what_is_of_the_house_is_added_up_as_what_it_moves():
    """A hold moves nothing, its release what was captured, whoever signs; a freeze's amount is a figure."""
    hold = order(ANNA, BEN, 500, 0, kind=OrderKind.HOLD)
    release = order(BEN, BEN, 300, 0, kind=OrderKind.RELEASE)
    named = np.zeros(1, NAMED_HOLD)
    named["payer"], named["amount"], named["movement"] = ANNA, 500, OrderKind.SEND
    release["reference"] = named.view(np.uint8)
    freezes = [order(0, payee, 700, 0, kind=OrderKind.FREEZE) for payee in (ANNA, BEN)]
    orders = np.concatenate([hold, release, *freezes])
    assert duplicates_in(orders) == 0
    assert duplicates_in(orders[[0, 1, 1, 2, 2]]) == 2
    after = recompute(orders, OPENINGS)
    assert after.balances_cents.tolist() == [0, 700, 1_300, 0, 1_000]
    assert after.next_sequences.tolist() == [0, 1, 5, 0, 0]
