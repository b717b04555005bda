"""Four real processes: a name given at one is shown at each other one, to who may ask, and lies nowhere."""

import json
import shutil
import subprocess
import sys

import pytest
from tests.accept.quiet_network import (
    JSON,
    QuietNetwork,
    get,
    quiet_population,
    request,
    until,
)

from harambee.handset.name_checks import Question, sign_question
from harambee.handset.naming import now_us
from harambee.handset.profiles import Profile, sign_profile
from harambee.ledger.records import POSITION_BITS
from harambee.traffic.temporary_network import TemporaryNetwork

pytestmark = [pytest.mark.accept, pytest.mark.timeout(240)]

HOME, FIRST, SECOND, OUTSIDE = 1, 2, 3, 0
"""Who enrols here, its two alternates, and the one that never holds the name."""
NAME = "Givenword Middleword Familyword"
TELEPHONE = "0712345678"
DOCUMENT = "a photograph of somebody"
SHOWN = {"name": "GIVENWORD F.", "number": "0712***678"}
SECRETS = ("givenword", "middleword", "familyword", "712345678", "0712***678", DOCUMENT)


@pytest.fixture
def quiet():
    """A network of one's own: some of it is killed."""
    with TemporaryNetwork(4, quiet_population()) as running:
        yield QuietNetwork(running)


def command(quiet, *words):
    folder = str(quiet.running.folder.folder)
    line = [sys.executable, "-m", "harambee", "--network", folder, *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def registered(quiet, tmp_path):
    """Somebody with a name, a number and a document, by way of the command line; her account."""
    scan = tmp_path / "scan"
    scan.write_text(DOCUMENT)
    words = ("--telephone", TELEPHONE, "--name", NAME, "--document", str(scan))
    done = command(quiet, "register", "owner", *words, "--via", quiet.names[HOME], "--json")
    assert done.returncode == 0, done.stderr
    account = int(json.loads(done.stdout.splitlines()[-1])["account"])
    assert account >> POSITION_BITS == HOME
    return account


def named(quiet, customer, name):
    """Give a customer of the crowd a name, through any door."""
    profile = Profile(customer.account, 1, name)
    signed = sign_profile(customer.keypair, quiet.running.network.network, profile)
    return post(quiet, OUTSIDE, "/v1/profiles", {"profile": signed.hex()})


def post(quiet, door, path, document):
    return request(quiet.urls[door], "POST", path, json.dumps(document).encode(), JSON)


def ask(quiet, door, asker, payee):
    network = quiet.running.network.network
    question = Question(asker.account, payee, now_us())
    signed = sign_question(asker.keypair, network, question)
    return post(quiet, door, "/v1/names", {"question": signed.hex()})


def becomes_known(quiet, doors, asker, payee):
    """Wait until the name is shown at all of these doors: an alternate may not have it yet."""
    for door in doors:
        until(
            lambda door=door: ask(quiet, door, asker, payee).status == 200,
            lambda door=door: f"{ask(quiet, door, asker, payee)}",
        )


def customers(quiet, count, not_of=()):
    """So many customers whose names are counted by a super-agent that stays alive."""
    found = []
    while len(found) < count:
        customer = quiet.customer()
        if customer.account >> POSITION_BITS not in not_of:
            found.append(customer)
    return found


def test_a_name_is_shown_everywhere_with_its_home_dead_and_is_nowhere_in_clear(quiet, tmp_path):
    payee = registered(quiet, tmp_path)
    (asker,) = customers(quiet, 1, not_of=(HOME,))
    for door in range(4):
        assert ask(quiet, door, asker, payee).document == SHOWN
    until(lambda: delivered(quiet), lambda: "the alternates do not get the profile")
    quiet.running.kill(quiet.names[HOME])
    becomes_known(quiet, (OUTSIDE, FIRST, SECOND), asker, payee)
    for door in (OUTSIDE, FIRST, SECOND):
        assert ask(quiet, door, asker, payee).document == SHOWN
    quiet.running.restart(quiet.names[HOME])
    quiet.running.wait_ready((quiet.names[HOME],))
    assert ask(quiet, HOME, asker, payee).document == SHOWN
    nothing_in_clear(quiet)


def delivered(quiet):
    """Whether the home has handed over to both alternates, as it says itself."""
    return get(quiet.urls[HOME], "/v1/status").document["profiles_undelivered"] == 0


def all_linked(quiet):
    """Whether everybody hears everybody: until then an alternate counts in a home's place."""
    statuses = [get(url, "/v1/status").document for url in quiet.urls]
    return all(peer["connected"] for status in statuses for peer in status["peers"])


def nothing_in_clear(quiet):
    """No file of any super-agent, journal and logs with it, has anything of the person."""
    folder = quiet.running.folder.folder
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert any(file.suffix == ".log" and file.stat().st_size for file in files)
    assert any(file.name == "data.mdb" for file in files)
    for file in files:
        content = file.read_bytes().lower()
        found = [secret for secret in SECRETS if secret.encode() in content]
        assert not found, f"{file} has {found}"


def test_five_unpaid_checks_lock_whichever_doors_are_asked_and_restarts_forget_nothing(quiet):
    (asker,) = customers(quiet, 1)
    home = asker.account >> POSITION_BITS
    payees = customers(quiet, 8)
    for payee in payees:
        assert named(quiet, payee, "Givenword Familyword").status == 201
    quiet.pay(0, asker, payees[0])
    for turn, payee in enumerate(payees[:5]):
        assert ask(quiet, turn % 4, asker, payee.account).status == 200
    # She pays one of them, and may ask for one more.
    quiet.pay(0, asker, payees[1], sequence=1)
    until(lambda: quiet.state() is not None, lambda: "the ledgers differ")
    assert ask(quiet, 3, asker, payees[5].account).status == 200
    name = quiet.names[home]
    quiet.running.kill(name)
    quiet.running.restart(name)
    quiet.running.wait_ready((name,))
    until(lambda: all_linked(quiet), lambda: "the links do not come up")
    for door in range(4):
        locked = ask(quiet, door, asker, payees[6].account)
        assert locked.status == 429
        assert locked.document["code"] == "NAMES_LOCKED"
        assert "locked until tomorrow" in locked.document["detail"]
    (other,) = customers(quiet, 1)
    assert ask(quiet, 0, other, payees[6].account).status == 200


def test_an_alternate_that_was_dead_gets_the_name_when_it_comes_back(quiet, tmp_path):
    quiet.running.kill(quiet.names[FIRST])
    payee = registered(quiet, tmp_path)
    assert get(quiet.urls[HOME], "/v1/status").document["profiles_undelivered"] >= 1
    (asker,) = customers(quiet, 1, not_of=(HOME, FIRST))
    quiet.running.restart(quiet.names[FIRST])
    quiet.running.wait_ready((quiet.names[FIRST],))
    until(lambda: delivered(quiet), lambda: "the alternate does not get the profile")
    loses_its_profiles(quiet, FIRST)
    quiet.running.kill(quiet.names[HOME])
    becomes_known(quiet, (OUTSIDE, FIRST, SECOND), asker, payee)
    nothing_in_clear(quiet)


def loses_its_profiles(quiet, holder):
    """Take a super-agent's profiles away, and wait until the others have given it all back."""
    name, url = quiet.names[holder], quiet.urls[holder]
    held = get(url, "/v1/status").document["profiles"]
    assert held
    quiet.running.kill(name)
    shutil.rmtree(quiet.running.folder.node(holder).profiles)
    quiet.running.restart(name)
    quiet.running.wait_ready((name,))
    until(
        lambda: get(url, "/v1/status").document["profiles"] == held,
        lambda: "it does not get its profiles back",
    )
