"""A feature phone by the commands, over processes: its home is killed, and comes back."""

import json
import subprocess
import sys
import time
import urllib.request

import pytest

from harambee.traffic.temporary_network import TemporaryNetwork

pytestmark = [pytest.mark.accept, pytest.mark.timeout(400)]

NUMBER, PIN = "0712345678", "2580"


def run(network, *words, typed=""):
    done = subprocess.run(
        [sys.executable, "-m", "harambee", "--network", str(network.folder.folder), *words],
        input=typed,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def dialled(network, *inputs, via):
    """The last screen of a session; until links are up, she is told to dial again."""
    for _ in range(60):
        status, shown = run(network, "dial", NUMBER, "--via", via, typed="\n".join(inputs) + "\n")
        assert status == 0, shown
        if "Dial again" not in shown and "cannot be reached" not in shown:
            return shown
        time.sleep(0.5)
    raise AssertionError(shown)


def test_a_feature_phone_outlives_its_home(tmp_path):
    with TemporaryNetwork(4, None, customers=2) as network:
        home, *_, other = network.folder.names
        status, said = run(
            network, "register", "--feature-phone", NUMBER, "--name", "Customer One",
            "--via", home, "--json", typed=f"{PIN}\n",
        )  # fmt: skip
        assert status == 0, said
        account = json.loads(said.splitlines()[-1])["account"]
        assert run(network, "pay", "customer-1", NUMBER, "2000", "--yes")[0] == 0
        ben = network.folder.demo()[1].msisdn
        send = ("1", ben, "100", "1", PIN)
        assert "Confirmed" in dialled(network, *send, via=other)
        assert "Tries left: 2" in dialled(network, "5", "1", "1357", via=other)
        network.kill(home)
        assert "Tries left: 1" in dialled(network, "5", "1", "1357", via=other)
        assert "Confirmed" in dialled(network, "1", ben, "50", "1", PIN, via=other)
        network.restart(home)
        network.wait_ready([home])
        assert "Confirmed" in dialled(network, "1", ben, "25", "1", PIN, via=other)
        door = network.folder.addresses[-1].http
        with urllib.request.urlopen(f"{door}/v1/accounts/{account}/statement") as answer:
            kinds = [line["order"]["kind"] for line in json.load(answer)["lines"]]
        assert kinds.count("change_key") == 2
        assert kinds.count("send") == 4
        # Three wrong ones lock, and an operator of a holder unlocks.
        shown = [dialled(network, "5", "1", "1357", via=other) for _ in range(3)]
        assert "locked" in shown[-1]
        assert "locked" in dialled(network, "5", "1", PIN, via=home)
        assert run(network, "unlock-pin", NUMBER, "--at", home)[0] == 0
        assert "Balance Ksh" in dialled(network, "5", "1", PIN, via=other)
        status, said = run(network, "unlock-pin", NUMBER, "--at", other)
        assert status == 1
        assert "is held by" in said
