"""Histograms of durations: what is counted where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.node.durations import COMMIT_BOUNDS_S, Durations


@pytest.mark.parametrize(
    ("took_s", "up_to"),
    [
        (0.0, [(0.1, 1), (1.0, 1)]),
        (0.1, [(0.1, 1), (1.0, 1)]),
        (0.11, [(0.1, 0), (1.0, 1)]),
        (1.0, [(0.1, 0), (1.0, 1)]),
        (7.5, [(0.1, 0), (1.0, 0)]),
    ],
)
def test_a_bound_counts_what_took_so_long_at_most(took_s, up_to):
    counted = Durations((0.1, 1.0))
    counted.add(took_s)
    assert counted.facts() == {"up_to": up_to, "count": 1, "sum_s": took_s}


@given(st.lists(st.floats(0, 10), max_size=50))
def test_counts_are_those_of_counting_by_hand(durations):
    counted = Durations(COMMIT_BOUNDS_S)
    for took_s in durations:
        counted.add(took_s)
    facts = counted.facts()
    by_hand = [(bound, sum(took <= bound for took in durations)) for bound in COMMIT_BOUNDS_S]
    assert facts["up_to"] == by_hand
    assert facts["count"] == len(durations)
    assert facts["sum_s"] == pytest.approx(sum(durations), abs=1e-5)


def test_bounds_that_do_not_ascend_are_a_mistake():
    with pytest.raises(AssertionError):
        Durations((1.0, 0.1))
