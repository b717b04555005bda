"""The running audit: the sum of all balances from sums of pages, which finds what the rules did not do."""

import numpy as np
import pytest
from tests.ledger.town import NUMBERS, open_town

PATROL = 2


def spread(ledger):
    """Touch more pages than one patrol looks at: fees may come to a place before its account."""
    pages = ledger.accounts["balance"].reshape(-1, 1024)
    pages[100:110, 5] += 7
    pages[100:110, 6] -= 7
    ledger._pages[100:110] = 7


def test_an_audit_is_the_sum_of_all_balances():
    town = open_town()
    assert town.audited_cents(PATROL) == town.total_cents() == 0
    spread(town)
    for _ in range(20):
        assert town.audited_cents(PATROL) == 0


@pytest.mark.parametrize("bit", [0, 20, 40, 63])
def test_a_flipped_bit_is_found_when_all_pages_have_had_their_turn(bit):
    ledger = open_town()
    spread(ledger)
    assert ledger.audited_cents(PATROL) == 0
    ledger.accounts["balance"].view(np.uint64)[NUMBERS["bank"]] ^= np.uint64(1 << bit)
    found = [ledger.audited_cents(PATROL) for _ in range(len(np.flatnonzero(ledger._pages)))]
    assert any(found)
    assert found[-1] in (1 << bit, -(1 << bit))


def test_money_that_moves_between_audits_is_not_taken_for_damage():
    ledger = open_town()
    dice = np.random.default_rng(7)
    for _ in range(200):
        one, other = dice.integers(0, len(ledger.accounts), 2)
        ledger.accounts["balance"][one] += 5
        ledger.accounts["balance"][other] -= 5
        ledger._pages[[one >> 10, other >> 10]] = 7
        assert ledger.audited_cents(PATROL) == 0
