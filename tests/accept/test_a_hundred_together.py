"""A hundred super-agents on this machine: 33 are killed, then one more, which comes back."""

import pytest

from harambee.traffic.bench_together import Gathering, bench_together

pytestmark = [pytest.mark.accept, pytest.mark.alone, pytest.mark.timeout(1_200)]


def test_a_hundred_lose_a_third_and_pay_on_and_stop_with_one_more_down():
    said = []
    size = Gathering(super_agents=100, processes=None, rate=4, seconds=15, seed=1)
    found = bench_together(size, said.append)
    assert found["down"] == 33
    for load in ("with_all", "with_f_down", "after_that"):
        assert found[load]["final"] == found[load]["offered"] == size.payments, (load, found)
    assert found["final_with_one_more_down"] == 0
    assert found["examined"] == 67
    assert found["digests_equal"]
    assert found["conserved"]
    assert found["lost"] == found["duplicated"] == 0
    # Whoever pays first at a super-agent that died pays through another one: all are final all the same.
    assert found["entries"] >= 3 * size.payments
    assert said[0] == "Starting 100 super-agents"
