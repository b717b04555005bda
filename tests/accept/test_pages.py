"""Real processes: one whose folder is wiped comes back by the others' pages, while they pay on."""

import shutil

import pytest
from tests.accept.quiet_network import QuietNetwork, get, ledger_of, quiet_population, until
from tests.accept.test_checkpoints import FORM_S, MINUTES, Load, facts
from tests.accept.test_rejoin import rejoin

from harambee.node.journal import Journal
from harambee.traffic.temporary_network import TemporaryNetwork

pytestmark = [pytest.mark.accept, pytest.mark.alone, pytest.mark.timeout(300)]

VICTIM = 2
OTHERS = (0, 1, 3)
BLOCKS = 400
"""Behind a checkpoint of so many blocks, pages cost less than blocks."""


@pytest.fixture
def quiet():
    with TemporaryNetwork(4, quiet_population(), checkpoint_minutes=MINUTES) as running:
        yield QuietNetwork(running)


class LongLoad(Load):
    """The same few pay over and over, for as long as it takes."""

    PAYERS = 25

    def _pay(self):
        payers = [self._quiet.customer() for _ in range(self.PAYERS)]
        while not self._stop.wait(0.1) and self.paid < self._most:
            door = self._doors[self.paid % len(self._doors)]
            turn, who = divmod(self.paid, self.PAYERS)
            payee = payers[(who + 1) % self.PAYERS]
            self._quiet.pay(door, payers[who], payee, sequence=turn)
            self.paid += 1


def blocks_in_checkpoint(quiet, index):
    """How many blocks the newest checkpoint that was made there covers, and its log says so."""
    said = [
        line
        for line in quiet.log_of(quiet.names[index]).splitlines()
        if " is signed by " in line and line.endswith(" blocks")
    ]
    return int(said[-1].split()[-2]) if said else 0


def digests(quiet):
    """What all four say their ledger is; how many statement entries each has is its own affair."""
    ledgers = [ledger_of(url) for url in quiet.urls]
    for ledger in ledgers:
        del ledger["entries"]
    return ledgers


def test_a_wiped_super_agent_comes_back_by_pages_under_load(quiet):
    name = quiet.names[VICTIM]
    home = quiet.running.folder.node(name)
    early, payee = quiet.customer(), quiet.customer()
    quiet.pay(VICTIM, early, payee)
    with LongLoad(quiet, OTHERS, most=5_000) as load:
        until(
            lambda: blocks_in_checkpoint(quiet, 0) >= BLOCKS,
            lambda: f"no checkpoint forms: {facts(quiet, 0)}",
            FORM_S,
        )
        quiet.running.kill(name)
        shutil.rmtree(home.journal)
        shutil.rmtree(home.checkpoints)
        told = rejoin(quiet, name)
        assert told.returncode == 0, told.stderr
        before = load.paid
        quiet.running.restart(name)
        quiet.running.wait_ready((name,))
        until(lambda: load.paid > before, lambda: "payments have stopped")
    log = quiet.log_of(name)
    assert "is here:" in log, "its pages came"
    assert "began at checkpoint" in log
    quiet.pay(VICTIM, quiet.customer(), quiet.customer())
    seen = []

    def agree():
        seen[:] = digests(quiet)
        return all(one == seen[0] for one in seen)

    until(agree, lambda: f"the four ledgers differ: {seen}")
    assert seen[0]["total_cents"] == 0
    assert facts(quiet, VICTIM)["catching_up"] is None
    # What was decided before it came back, another one has to tell; it does not say that it was skipped.
    slot = f"/v1/orders/{early.account}/0"
    refused = get(quiet.urls[VICTIM], slot)
    assert (refused.status, refused.document["code"]) == (503, "UNAVAILABLE")
    assert "another one can tell" in refused.document["detail"]
    assert get(quiet.urls[0], slot).document["state"] == "final"
    assert quiet.balance(VICTIM, payee.account) == quiet.balance(0, payee.account)
    # A restart begins at what it fetched, or at one that it has made since, and makes the next ones.
    quiet.running.kill(name)
    quiet.running.restart(name)
    quiet.running.wait_ready((name,))
    quiet.pay(VICTIM, quiet.customer(), quiet.customer())
    until(
        lambda: "made checkpoint" in log_since(quiet, name, log),
        lambda: f"it makes no checkpoint: {facts(quiet, VICTIM)}",
        FORM_S,
    )
    quiet.running.kill(name)
    with Journal.open_to_read(home.journal) as journal:
        assert journal.find(VICTIM, 1, incarnation=1) is not None
        assert journal.find(0, 1) is None, "what lies below came as pages alone"
    for each in quiet.names:
        assert "Traceback" not in quiet.log_of(each)
        assert "could not be made" not in quiet.log_of(each)
        assert "another state" not in quiet.log_of(each)


def log_since(quiet, name, before):
    return quiet.log_of(name)[len(before) :]
