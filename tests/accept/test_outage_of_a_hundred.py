"""The outage ledger at its full size: a hundred replicas, of which 33 die, and then one more."""

import pytest

from harambee.sim.outage_ledger import EVENING, Settings, keep_ledger

pytestmark = [pytest.mark.accept, pytest.mark.timeout(1_800)]

HUNDRED = 100
IN_EVENING = 4
"""Hours from 17:00 to 21:00, an order for each."""


def kept(down):
    ledger = keep_ledger(Settings(super_agents=HUNDRED, down=down, minutes_each=60))
    found = ledger.as_json()
    assert found["offered_in_outage"] == IN_EVENING
    assert found["final"] == found["offered"] == 24
    assert found["shillings_lost"] == found["lost"] == found["duplicated"] == 0
    assert found["conserved"]
    assert found["digests_equal"]
    assert found["as_promised"]
    assert found["central_silent_minutes"] == EVENING.minutes
    return found


def test_with_33_down_it_pays_on_without_a_minute_of_silence():
    found = kept(33)
    assert found["final_in_outage"] == IN_EVENING
    assert found["silent_minutes"] == found["shillings_delayed"] == 0


def test_with_34_down_it_halts_and_neither_loses_nor_makes_a_shilling():
    found = kept(34)
    assert found["halted"]
    assert found["final_in_outage"] == 0
    assert found["silent_minutes"] == EVENING.minutes
    assert found["shillings_delayed"] == found["shillings_in_outage"]
