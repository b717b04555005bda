"""How many make a quorum: never 2f + 1, which is wrong whenever n > 3f + 1."""

import pytest
from tests.protocol.network import make_committee


@pytest.mark.parametrize("n", range(1, 17))
def test_quorums_meet_and_the_honest_are_one(n):
    committee = make_committee(n)
    assert 3 * committee.f < n <= 3 * committee.f + 3
    assert 2 * committee.q - n > committee.f, "two quorums share an author that does not lie"
    assert n - committee.f >= committee.q, "those who do not lie suffice"
    assert committee.w == committee.f + 1
