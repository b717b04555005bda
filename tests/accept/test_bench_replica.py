"""`harambee bench replica`: one real super-agent, and a small nation that is simulated around it."""

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.accept, pytest.mark.alone, pytest.mark.timeout(180)]


SMALL = (
    *("--super-agents", "13", "--accounts", "130000", "--active", "5200"),
    *("--rate", "400", "--window", "800", "--seconds", "4", "--pace-ms", "100", "--json"),
)


def test_a_super_agent_replicates_a_nation():
    done = subprocess.run(
        [sys.executable, "-m", "harambee", "bench", "replica", *SMALL],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["conserved"]
    assert figures["each_paid_once"]
    assert figures["accounts"] >= 130_000 - 13
    fast, even = figures["fast"], figures["even"]
    for run in (fast, even):
        # Its own customers pay at its own door, and are told: its blocks became final too.
        assert 0 < run["own"]["final"] == run["own"]["offered"]
        assert 400 * 4 < run["orders"] <= 400 * 4 + run["own"]["final"]
    assert figures["final"] > 400 + fast["orders"] + even["orders"]
    # Every customer's signature is checked: of what comes in blocks, and at the door.
    assert figures["signatures_checked"] >= figures["final"]
