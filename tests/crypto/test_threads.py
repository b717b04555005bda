"""How a batch is split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.crypto import threads
from harambee.crypto.threads import SMALLEST_SHARE, over_threads, shares


@given(count=st.integers(0, 5000), wanted=st.integers(1, 64))
def test_shares_cover_every_row_once_and_evenly(count, wanted):
    ranges = shares(count, wanted)
    assert [row for start, stop in ranges for row in range(start, stop)] == list(range(count))
    assert len(ranges) <= wanted
    lengths = {stop - start for start, stop in ranges}
    assert not lengths or max(lengths) - min(lengths) <= 1
    assert len(ranges) == 1 or sum(lengths) == 0 or count > SMALLEST_SHARE


def test_an_error_in_any_share_is_raised():
    def work(start, _stop):
        if start:
            message = f"share from {start}"
            raise LookupError(message)

    with pytest.raises(LookupError, match="share from 50"):
        over_threads(work, 100, 2)


def test_a_forked_child_makes_a_pool_of_its_own():
    done = []
    over_threads(lambda start, stop: done.append((start, stop)), 100, 2)
    first = threads._pool
    threads._forget_pool()
    over_threads(lambda start, stop: done.append((start, stop)), 100, 2)
    assert threads._pool is not first
    assert sorted(done) == [(0, 50), (0, 50), (50, 100), (50, 100)]
