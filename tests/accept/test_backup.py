"""docs/operating.md, followed: a backup under load, the super-agent's folder deleted, and the way back."""

import json
import shutil
import subprocess
import sys
import threading

import pytest
from tests.accept.quiet_network import QuietNetwork, quiet_population, until

from harambee.node.config import read_config
from harambee.node.journal import Journal
from harambee.traffic.temporary_network import TemporaryNetwork

pytestmark = [pytest.mark.accept, pytest.mark.alone, pytest.mark.timeout(180)]

VICTIM = 2


@pytest.fixture
def quiet():
    """A network of one's own: its victim comes back under a new incarnation."""
    with TemporaryNetwork(4, quiet_population()) as running:
        yield QuietNetwork(running)


def command(*words):
    line = [sys.executable, "-m", "harambee", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


class Load:
    """Payments through the other doors, one after the other, until it is stopped."""

    def __init__(self, quiet):
        self.paid = 0
        self._quiet = quiet
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._pay)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _pay(self):
        while not self._stop.is_set() and self.paid < 150:
            door = (0, 1, 3)[self.paid % 3]
            self._quiet.pay(door, self._quiet.customer(), self._quiet.customer())
            self.paid += 1


def test_a_backup_made_under_load_brings_a_deleted_super_agent_back(quiet, tmp_path):
    name = quiet.names[VICTIM]
    config = quiet.running.folder.node_file(name)
    home, target = config.parent, tmp_path / "backup"
    quiet.pay(VICTIM, quiet.customer(), quiet.customer())
    with Load(quiet) as load:
        until(lambda: load.paid >= 5, lambda: "nobody pays")
        before = load.paid
        told = command("backup", config, "--to", target, "--json")
        assert (told.returncode, load.paid > before) == (0, True), told.stderr
        backup = json.loads(told.stdout.splitlines()[-1])
        # It has promised more since then.
        until(lambda: load.paid >= before + 5, lambda: "nobody pays any more")
        quiet.running.kill(name)
        keys = {file: file.read_bytes() for file in home.glob("*.key")}
        shutil.rmtree(home)
        told = command("restore", target, "--to", config)
        assert (told.returncode, told.stdout.count("Put this key back")) == (0, len(keys)), told
        assert "A backup is an old disk" in told.stdout
        for file, content in keys.items():
            file.touch(0o600)
            file.write_bytes(content)
        quiet.running.restart(name)
        quiet.running.wait_ready((name,))
    # The newest payments are there, it takes new ones, and all four have one ledger.
    quiet.pay(VICTIM, quiet.customer(), quiet.customer())
    state = quiet.state()
    assert state["total_cents"] == 0
    assert state["entries"] == load.paid + 2
    # It runs, so nothing is restored over it; and it has more than the backup anyhow.
    refused = command("restore", target, "--to", config)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "in use by another running process" in refused.stderr
    quiet.running.kill(name)
    refused = command("restore", target, "--to", config)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"and the backup {backup['positions']}: nothing is restored over it" in refused.stderr
    with Journal.open_to_read(read_config(config).journal) as journal:
        assert journal.count > backup["positions"]
        assert journal.find(VICTIM, 1, incarnation=1) is not None
        assert not journal.re_entering
    for each in quiet.names:
        assert "no honest super-agent signs" not in quiet.log_of(each)
        assert "Traceback" not in quiet.log_of(each)
