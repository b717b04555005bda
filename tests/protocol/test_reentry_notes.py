"""From where on who lost its disk does not abstain, kept over a start from a later checkpoint."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.network import customers, make_committee, make_ledger, make_order

from harambee.protocol.reentry import Phase, ReEntering

PEOPLE = 5
ANN, BEN, *_ = customers(PEOPLE)


def abstaining():
    ledger = make_ledger(4, PEOPLE)
    ledger.accounts["next_sequence"][ANN] = 7
    one = ReEntering(make_committee(4), 2)
    one.begin_to_abstain(ledger)
    return one, ledger


def orders():
    return np.concatenate([make_order(ANN, BEN, 10_000, at) for at in range(5, 14)])


def test_it_abstains_where_it_did_before_however_far_payers_are_by_now():
    one, ledger = abstaining()
    noted = one.to_bytes(1)
    ledger.accounts["next_sequence"][ANN] = 11
    other = ReEntering(make_committee(4), 2)
    other.go_on(noted, 1)
    assert other.phase == Phase.ABSTAINING
    assert other.rows(orders()) == one.rows(orders()) == [0, 1, 2, 3]
    later = ReEntering(make_committee(4), 2)
    later.begin_to_abstain(ledger)
    assert later.rows(orders()) == list(range(8)), "noted again, it would be later"


def test_what_another_life_noted_is_not_gone_on_with():
    one, _ = abstaining()
    other = ReEntering(make_committee(4), 2)
    other.go_on(one.to_bytes(1), 2)
    assert other.phase == Phase.NONE


@given(st.binary(max_size=200), st.integers(0, 400))
def test_what_is_no_note_changes_nothing(garbage, cut):
    one, _ = abstaining()
    for content in (garbage, one.to_bytes(1)[:cut]):
        other = ReEntering(make_committee(4), 2)
        other.go_on(content, 1)
        assert other.phase == Phase.NONE or content == one.to_bytes(1)
