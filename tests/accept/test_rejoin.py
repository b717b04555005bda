"""Disks that are lost, old or damaged: said plainly, never voted with, and the way back."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from tests.accept.quiet_network import QuietNetwork, get, quiet_population, submit, until

from harambee.ledger.records import POSITION_BITS
from harambee.node.journal import Journal
from harambee.traffic.temporary_network import TemporaryNetwork

pytestmark = [pytest.mark.accept, pytest.mark.alone, pytest.mark.timeout(240)]

VICTIM = 2
OTHERS = (0, 1, 3)


@pytest.fixture
def quiet():
    """A network of one's own: who has lost its disk is not as it was."""
    with TemporaryNetwork(4, quiet_population()) as running:
        yield QuietNetwork(running)


@pytest.fixture
def name(quiet):
    return quiet.names[VICTIM]


@pytest.fixture
def url(quiet):
    return quiet.urls[VICTIM]


@pytest.fixture
def journal(quiet, name):
    return quiet.running.folder.node(name).journal


def command(quiet, *words):
    folder = str(quiet.running.folder.folder)
    line = [sys.executable, "-m", "harambee", "--network", folder, *words]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def rejoin(quiet, name):
    return command(quiet, "rejoin", name)


def opened(quiet, name):
    """The journal of a super-agent that does not run."""
    genesis = quiet.running.folder.genesis
    folder = quiet.running.folder.node(name).journal
    return Journal.open(folder, genesis.network, VICTIM, genesis.committee.epoch)


def not_ready(url):
    """The sentence that says why it does not serve; nothing where it serves or does not listen."""
    try:
        answer = get(url, "/readyz")
    except OSError:
        return ""
    return answer.document["detail"] if answer.status == 503 else ""


def says(url, words):
    until(lambda: words in not_ready(url), lambda: f"no {words!r} but {not_ready(url)!r}")
    sentence = not_ready(url)
    assert sentence.endswith(".")
    assert "\n" not in sentence


def pay_on(quiet, doors):
    for door in doors:
        quiet.pay(door, quiet.customer(), quiet.customer())


def wipe(quiet, name, journal, old):
    """Take away what the victim has promised: its whole journal, or what is not in the old one."""
    quiet.running.kill(name)
    shutil.rmtree(journal)
    if old is not None:
        shutil.copytree(old, journal)
    quiet.running.restart(name)


@pytest.mark.parametrize("disk", ["lost", "old"])
def test_a_disk_that_has_forgotten_promises_silences_until_the_operator_says_so(
    quiet, name, url, journal, tmp_path, disk
):
    payer = quiet.customer()
    quiet.pay(VICTIM, payer, quiet.customer())
    quiet.state()
    quiet.running.kill(name)
    shutil.copytree(journal, tmp_path / "old")
    quiet.running.restart(name)
    quiet.running.wait_ready((name,))
    quiet.pay(VICTIM, payer, quiet.customer(), sequence=1)
    quiet.state()
    wipe(quiet, name, journal, tmp_path / "old" if disk == "old" else None)
    says(url, "a lost or an old disk")
    assert "a lost or an old disk" in quiet.log_of(name)
    stays_silent(quiet, name, url, payer)
    comes_back(quiet, name, payer)
    # A restart continues the new chain, without the operator.
    quiet.running.kill(name)
    quiet.running.restart(name)
    quiet.running.wait_ready((name,))
    pay_on(quiet, range(4))
    assert quiet.state()["total_cents"] == 0
    quiet.running.kill(name)
    with opened(quiet, name) as kept:
        assert kept.find(VICTIM, 1, incarnation=1) is not None
        assert kept.find(VICTIM, 1, incarnation=2) is None
        assert not kept.re_entering
    for each in quiet.names:
        assert "Traceback" not in quiet.log_of(each)
        assert "no honest super-agent signs" not in quiet.log_of(each)


def stays_silent(quiet, name, url, payer):
    """It says nothing and takes no orders, whatever time passes, and the other three pay on."""
    height = chain_of(quiet)
    assert get(url, "/livez").status == 200
    order = quiet.sign(payer, quiet.body(payer, quiet.customer().account, 100_00, sequence=2))
    with pytest.raises(AssertionError, match="a lost or an old disk"):
        submit(url, [order])
    pay_on(quiet, OTHERS)
    # Another start is no way back, and the command is refused while it runs.
    refused = rejoin(quiet, name)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "is in use by another running process" in refused.stderr
    quiet.running.kill(name)
    quiet.running.restart(name)
    says(url, "a lost or an old disk")
    pay_on(quiet, OTHERS)
    assert chain_of(quiet) == height


def comes_back(quiet, name, payer):
    """When it says that it serves, it does."""
    quiet.running.kill(name)
    told = rejoin(quiet, name)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == f"{name} will come back under a new incarnation when it is started.\n"
    quiet.running.restart(name)
    quiet.running.wait_ready((name,))
    # First the payer in whose slot it abstains, then others, at its door and elsewhere.
    quiet.pay(VICTIM, payer, quiet.customer(), sequence=2)
    pay_on(quiet, (VICTIM, *OTHERS, VICTIM))
    # Nobody but itself enrols in its region.
    told = command(quiet, "register", "wanjiku", "--telephone", "0712345678", "--via", name)
    assert (told.returncode, told.stderr) == (0, "")
    number = int(told.stdout.split()[3].rstrip(";"))
    assert number >> POSITION_BITS == VICTIM
    assert quiet.state()["total_cents"] == 0


def chain_of(quiet):
    """How long the victim's chain is, as the others have it; not each has its newest block at once."""
    peers = [get(quiet.urls[door], "/v1/status").document["peers"] for door in OTHERS]
    return max(rows[VICTIM]["height"] for rows in peers)


@contextmanager
def held_still(quiet, doors):
    """Nobody behind these doors moves; who is asked does not answer."""
    pids = [quiet.running.pids[quiet.names[door]] for door in doors]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def flip(journal, block):
    """Change a bit of a block on the disk, in its middle; older copies of its page may lie there too."""
    file = journal / "data.mdb"
    content = file.read_bytes()
    at = content.find(block)
    assert at >= 0
    with file.open("r+b") as disk:
        while at >= 0:
            place = at + len(block) // 2
            disk.seek(place)
            disk.write(bytes([content[place] ^ 4]))
            at = content.find(block, at + 1)


def test_a_damaged_block_is_never_served_and_comes_back_from_the_others(quiet, name, url, journal):
    payer, payee = quiet.customer(), quiet.customer()
    quiet.pay(0, payer, payee)
    statement = f"/v1/accounts/{payer.account}/statement"
    pay_on(quiet, range(4))
    before = quiet.state()
    quiet.running.kill(name)
    with opened(quiet, name) as kept:
        number, block = next(
            (number, data)
            for number, data in kept.blocks()
            if payer.account.to_bytes(4, "little") + payee.account.to_bytes(4, "little") in data
        )
        assert 0 < number < kept.count - 1
    quiet.running.restart(name)
    quiet.running.wait_ready((name,))
    # Damaged while it runs: it does not show what it cannot vouch for.
    flip(journal, block)
    refused = get(url, statement)
    assert (refused.status, refused.document["code"]) == (503, "UNAVAILABLE")
    assert f"block {number} of the journal" in refused.document["detail"]
    quiet.running.kill(name)
    # Damaged when it starts: as long as nobody gives it the block, it says nothing at all.
    with held_still(quiet, OTHERS):
        quiet.running.restart(name)
        says(url, f"block {number} of the journal")
        assert "repairs its journal" in not_ready(url)
        for path in (statement, "/v1/digest", f"/v1/orders/{payer.account}/0"):
            refused = get(url, path)
            assert (refused.status, refused.document["code"]) == (503, "UNAVAILABLE")
    quiet.running.wait_ready((name,))
    assert "the journal is whole again" in quiet.log_of(name)
    assert len(get(url, statement).document["lines"]) == 1
    assert quiet.state() == before
    pay_on(quiet, range(4))
    quiet.running.kill(name)
    with opened(quiet, name) as kept:
        assert kept.read(number) == block
        assert not kept.damaged()
    assert "Traceback" not in quiet.log_of(name)


def test_who_cannot_come_back_yet_says_why_it_does_not_serve(quiet, name, url, journal):
    payer = quiet.customer()
    quiet.pay(VICTIM, payer, quiet.customer())
    quiet.state()
    quiet.running.kill(name)
    shutil.rmtree(journal)
    assert rejoin(quiet, name).returncode == 0
    # With four it needs all three others.
    away = quiet.names[OTHERS[0]]
    quiet.running.kill(away)
    quiet.running.restart(name)
    says(url, "waits for the others")
    order = quiet.sign(payer, quiet.body(payer, quiet.customer().account, 100_00, sequence=1))
    with pytest.raises(AssertionError, match="waits for the others"):
        submit(url, [order])
    quiet.running.restart(away)
    quiet.running.wait_ready((away, name))
    pay_on(quiet, range(4))
    assert quiet.state()["total_cents"] == 0
