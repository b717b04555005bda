"""Checkpoints among real processes: they form under load, are begun at after a kill, and stop no payment."""

import threading

import pytest
from tests.accept.quiet_network import QuietNetwork, get, quiet_population, until

from harambee.node.journal import Journal
from harambee.traffic.temporary_network import TemporaryNetwork

pytestmark = [pytest.mark.accept, pytest.mark.alone, pytest.mark.timeout(300)]

MINUTES = 0.1
FORM_S = 120
"""Four processes that fold, beside four that pay, on two cores."""


@pytest.fixture
def quiet():
    with TemporaryNetwork(4, quiet_population(), checkpoint_minutes=MINUTES) as running:
        yield QuietNetwork(running)


class Load:
    """Payments through all doors in turn, one after the other."""

    def __init__(self, quiet, doors, most=180):
        self.paid, self._quiet, self._doors, self._most = 0, quiet, doors, most
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._pay)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _pay(self):
        while not self._stop.wait(0.1) and self.paid < self._most:
            door = self._doors[self.paid % len(self._doors)]
            self._quiet.pay(door, self._quiet.customer(), self._quiet.customer())
            self.paid += 1


def facts(quiet, index):
    return get(quiet.urls[index], "/v1/status").document


def set_minutes(quiet, name, minutes):
    file = quiet.running.folder.node_file(name)
    text = file.read_text()
    line = next(line for line in text.splitlines() if line.startswith("checkpoint_minutes"))
    file.write_text(text.replace(line, f"checkpoint_minutes = {minutes}"))


def test_checkpoints_form_under_load_and_a_killed_super_agent_begins_at_one(quiet):
    victim = quiet.names[1]
    home = quiet.running.folder.node(victim)

    def formed(number):
        seen = facts(quiet, 1)
        return seen["checkpoint"] >= number and seen["checkpoint_signed_by"] >= 3

    with Load(quiet, (0, 2, 3)) as load:
        until(lambda: formed(2), lambda: f"no checkpoint forms: {facts(quiet, 1)}", FORM_S)
        quiet.running.kill(victim)
        quiet.running.restart(victim)
        quiet.running.wait_ready((victim,))
        assert load.paid > 5
    assert "began at checkpoint" in quiet.log_of(victim)
    quiet.pay(1, quiet.customer(), quiet.customer())
    state = quiet.state()
    assert state["total_cents"] == 0
    assert state["entries"] == load.paid + 1
    # What is behind q signatures has moved to the archive, and is still read back.
    until(
        lambda: "blocks to the archive" in quiet.log_of(victim),
        lambda: f"nothing is pruned: {facts(quiet, 1)}",
        FORM_S,
    )
    quiet.running.kill(victim)
    with Journal.open_to_read(home.journal) as journal:
        assert journal.pruned > 0
        assert journal.read(0)
        assert not journal.damaged()
    for name in quiet.names:
        assert "Traceback" not in quiet.log_of(name)
        assert "another state" not in quiet.log_of(name)
        assert "could not be made" not in quiet.log_of(name)


def test_without_the_others_none_forms_an_alarm_rings_and_payments_go_on(quiet):
    for name in quiet.names[1:]:
        quiet.running.kill(name)
        set_minutes(quiet, name, 0)
        quiet.running.restart(name)
        quiet.running.wait_ready((name,))
    with Load(quiet, (0, 1, 2, 3), most=300) as load:
        until(lambda: load.paid >= 10, lambda: "nothing is paid")
        until(
            lambda: any("signed by enough" in a for a in facts(quiet, 0)["checkpoint_alarms"]),
            lambda: f"no alarm rings: {facts(quiet, 0)}",
            FORM_S,
        )
        now = load.paid
        until(lambda: load.paid >= now + 10, lambda: "payments have stopped")
    assert facts(quiet, 0)["ready"] is None
    metrics = get(quiet.urls[0], "/metrics").body.decode()
    assert "harambee_checkpoint_alarms 1" in metrics
    state = quiet.state()
    assert (state["total_cents"], state["entries"]) == (0, load.paid)
