"""A disk that is full: the super-agent says so, the other three pay on, and it goes on with room again."""

import shutil
import subprocess
from contextlib import contextmanager

import pytest
from tests.accept.quiet_network import (
    QuietNetwork,
    get,
    ledger_of,
    quiet_population,
    submit,
    until,
)

from harambee.traffic.temporary_network import TemporaryNetwork

pytestmark = [pytest.mark.accept, pytest.mark.alone, pytest.mark.timeout(240)]

VICTIM = 2
DISK_BYTES = 1 << 20
PAGE_BYTES = 4_096
FULL_S = 60


@contextmanager
def small_disk(folder, keep):
    """A disk of its own under a folder, with what the folder held."""
    shutil.copytree(folder, keep)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    try:
        shutil.copytree(keep, folder, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(ballast):
    """Take all the room that is left, so that not one more page fits."""
    with ballast.open("ab", buffering=0) as file:
        size = PAGE_BYTES
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2


def test_a_full_disk_stops_one_super_agent_and_nobody_else(tmp_path):
    with TemporaryNetwork(4, quiet_population()) as running:
        quiet = QuietNetwork(running)
        name = quiet.names[VICTIM]
        others = [door for door in range(4) if door != VICTIM]
        quiet.pay(VICTIM, quiet.customer(), quiet.customer())
        quiet.state()
        running.kill(name)
        journal = running.folder.node(name).journal
        with small_disk(journal, tmp_path / "kept"):
            running.restart(name)
            running.wait_ready((name,))
            quiet.pay(VICTIM, quiet.customer(), quiet.customer())
            fill(journal / "ballast")
            # Every block goes into the journal, so that soon it has to say so.
            url = quiet.urls[VICTIM]
            payer, turn = quiet.customer(), 0

            def pay_on():
                nonlocal turn
                quiet.pay(others[turn % 3], payer, quiet.customer(), sequence=turn)
                turn += 1
                return get(url, "/readyz").status == 503

            until(pay_on, lambda: "it still says that it is ready", FULL_S)
            problem = get(url, "/readyz").document
            assert problem["code"] == "NOT_READY"
            assert "the disk is full" in problem["detail"]
            assert problem["detail"].endswith(".")
            assert "\n" not in problem["detail"]
            assert "the disk is full" in quiet.log_of(name)
            assert get(url, "/livez").status == 200
            # Whoever comes to it is sent away in a sentence, and not left waiting.
            refused = get(url, f"/v1/accounts/{payer.account}")
            assert (refused.status, refused.document["code"]) == (503, "UNAVAILABLE")
            order = quiet.sign(payer, quiet.body(payer, 0, 100_00, sequence=turn))
            with pytest.raises(AssertionError, match="UNAVAILABLE"):
                submit(url, [order])
            # The other three pay on.
            for door in others:
                quiet.pay(door, quiet.customer(), quiet.customer())
            (journal / "ballast").unlink()
            running.wait_ready((name,))
            assert "the journal can be written again" in quiet.log_of(name)
            quiet.pay(VICTIM, quiet.customer(), quiet.customer())
            assert quiet.state()["total_cents"] == 0
            # What it wrote before, during and after is a journal: it starts from it again.
            running.kill(name)
            running.restart(name)
            running.wait_ready((name,))
            quiet.pay(VICTIM, quiet.customer(), quiet.customer())
            state = quiet.state()
            assert state["total_cents"] == 0
            assert ledger_of(url) == state
            assert "Traceback" not in quiet.log_of(name)
            running.kill(name)
