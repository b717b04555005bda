"""The trust line: both sides, each bank's share in whole basis points, and what rings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.oversight.trust_line import trust_line


@pytest.mark.parametrize(
    ("circulation", "banks", "holds", "shares"),
    [
        (900, [(7, -900, 900)], True, [10_000]),
        (900, [(7, -900, 899)], False, [10_000]),
        (901, [(7, -900, 1_000)], False, [10_000]),
        (400, [(9, -100, 100), (7, -300, 300)], True, [7_500, 2_500]),
        # A bank that holds e-money owes less than nothing, and has no share.
        (250, [(7, -300, 300), (8, 50, 0)], True, [10_000, 0]),
        (0, [(7, 0, 0)], True, [0]),
        (0, [], True, []),
    ],
)
def test_circulation_is_what_is_owed_within_limits(circulation, banks, holds, shares):
    line = trust_line(circulation, banks)
    assert line.holds is holds
    assert [bank.share_basis_points for bank in line.banks] == shares
    assert [bank.account for bank in line.banks] == sorted(account for account, _, _ in banks)


def test_exactly_a_quarter_does_not_ring_and_more_does():
    quarter = trust_line(400, [(n, -100, 100) for n in range(4)])
    assert not any(bank.is_concentrated for bank in quarter.banks)
    more = trust_line(10_000, [(1, -2_501, 9_999), (2, -2_499, 9_999), (3, -5_000, 9_999)])
    assert [bank.is_concentrated for bank in more.banks] == [True, False, True]


@given(st.lists(st.integers(-(2**61), 2**61), max_size=40))
def test_shares_are_of_the_whole_and_nothing_is_lost(balances):
    line = trust_line(0, [(n, cents, 0) for n, cents in enumerate(balances)])
    assert line.owed_cents == -sum(balances)
    shares = [bank.share_basis_points for bank in line.banks]
    owing = sum(cents < 0 for cents in balances)
    assert 10_000 - owing < sum(shares) <= 10_000 or not owing
