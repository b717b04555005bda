"""Folders, ports and files that are not as they should be: one sentence, exit status 1, nothing touched."""

import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from harambee.node.network_folder import create_network
from harambee.traffic.temporary_network import free_ports

pytestmark = [pytest.mark.accept, pytest.mark.timeout(120)]

HARAMBEE = str(Path(sys.executable).with_name("harambee"))
FIRST = "amani"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pristine") / "network"
    base = free_ports(8)
    create_network(folder, base_http_port=base, base_peer_port=base + 4)
    return folder


@pytest.fixture
def network(pristine, tmp_path):
    """A network's folder to spoil."""
    shutil.copytree(pristine, tmp_path / "network")
    return tmp_path / "network"


def run(*words):
    return subprocess.run(
        [HARAMBEE, *map(str, words)], capture_output=True, text=True, timeout=90, check=False
    )


def node(network):
    return run("node", "--config", network / "super-agents" / FIRST / "node.toml")


def one_sentence(done, *words):
    """It failed, and said why in one line that begins and ends as a sentence does."""
    assert done.returncode == 1, done
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr[0] == done.stderr[0].upper()
    assert done.stderr.endswith((".\n", "?\n"))
    for word in words:
        assert word in done.stderr, done.stderr


def everything_in(folder):
    return {file: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def garble(file):
    file.write_bytes(b"\xff\x00\xfe" * 100)


def empty(file):
    file.write_bytes(b"")


HOME = f"super-agents/{FIRST}"
SPOILT = [
    ("genesis.json", cut, "genesis"),
    ("genesis.json", garble, "genesis"),
    ("genesis.json", empty, "genesis"),
    ("openings.bin", cut, "opening accounts"),
    ("openings.bin", flip, "opening accounts"),
    ("openings.bin", Path.unlink, "openings.bin is missing"),
    ("addresses.json", garble, "addresses"),
    ("directory.key", cut, "directory.key"),
    ("directory.key", Path.unlink, "directory.key"),
    (f"{HOME}/signing.key", Path.unlink, "signing.key"),
    (f"{HOME}/signing.key", cut, "signing.key"),
    (f"{HOME}/signing.key", garble, "signing.key"),
    (f"{HOME}/enrolment.key", Path.unlink, "enrolment.key"),
    (f"{HOME}/treasury.key", Path.unlink, "treasury.key"),
    (f"{HOME}/profile.key", Path.unlink, "profile.key"),
    (f"{HOME}/profile.key", cut, "profile.key"),
    (f"{HOME}/profiles/data.mdb", garble, "profiles"),
    (f"{HOME}/tls.key", Path.unlink, "tls.key"),
    (f"{HOME}/tls.key", garble, "tls.key"),
    (f"{HOME}/tls.crt", garble, "tls.crt"),
    ("certificates/chapa.crt", Path.unlink, "chapa.crt"),
    (f"{HOME}/node.toml", garble, "node.toml"),
    (f"{HOME}/node.toml", empty, "node.toml"),
]


@pytest.mark.parametrize(
    ("name", "spoil", "words"), SPOILT, ids=[f"{s.__name__} {n}" for n, s, _ in SPOILT]
)
def test_a_super_agent_does_not_start_from_a_spoilt_folder(network, name, spoil, words):
    spoil(network / name)
    before = everything_in(network)
    one_sentence(node(network), words)
    after = everything_in(network)
    journal = network / HOME / "journal"
    readers = network / HOME / "profiles" / "lock.mdb"  # who reads now: no content of anybody
    for seen in (before, after):
        seen.pop(readers)
    assert {file: data for file, data in after.items() if journal not in file.parents} == before


@pytest.mark.parametrize("name", ["genesis.json", "openings.bin"])
@pytest.mark.parametrize("command", [("up",), ("replay", "--limit", "10")])
def test_up_and_replay_say_what_is_wrong_with_a_folder(network, name, command):
    cut(network / name)
    one_sentence(run(*command, "--network", network), "genesis" if "gen" in name else "opening")


def test_paying_in_a_spoilt_network_is_one_sentence(network):
    cut(network / "genesis.json")
    pay = ("pay", "customer-1", "customer-2", "5")
    one_sentence(run("--network", network, *pay), "cannot be read")
    one_sentence(run("--network", network / "none", *pay), "There is no network")


def test_a_key_that_others_can_read_is_not_used(network):
    (network / HOME / "signing.key").chmod(0o644)
    one_sentence(node(network), "signing.key")
    one_sentence(run("up", "--network", network), "signing.key")


@pytest.mark.parametrize("port", ["http", "peer"])
def test_a_port_in_use(network, port):
    text = (network / HOME / "node.toml").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith(f"listen_{port}")]
    host, _, number = line.partition('"')[2].rstrip('"').rpartition(":")
    with socket.create_server((host, int(number))):
        one_sentence(node(network), f"listen on {host}:{number}", "in use")
        one_sentence(run("up", "--network", network), f"{host}:{number}")


def spoil_meta(journal, key, value):
    """Make the journal's table of facts say something else; returns what it said."""
    with (
        lmdb.open(str(journal), max_dbs=3) as environment,
        environment.begin(write=True) as transaction,
    ):
        table = environment.open_db(b"meta", txn=transaction)
        return transaction.replace(key, value, db=table)


@pytest.fixture
def journal(network):
    """The journal of a super-agent that has run."""
    config = network / HOME / "node.toml"
    process = subprocess.Popen(
        [HARAMBEE, "node", "--config", str(config)], stderr=subprocess.PIPE, text=True
    )
    try:
        lines = iter(process.stderr.readline, "")
        assert any("listens to customers" in line for line in lines)
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0
    return network / HOME / "journal"


def test_a_journal_of_another_network_format_or_super_agent(network, journal):
    for key, value, words in [
        (b"author", struct.pack("<H", 3), "belongs to super-agent 3, not 0"),
        (b"epoch", struct.pack("<I", 7), "belongs to epoch 7, not 0"),
        (b"network", bytes(32), "belongs to another network"),
        (b"format", struct.pack("<I", 99), "newer version wrote the journal"),
    ]:
        right = spoil_meta(journal, key, value)
        before = (journal / "data.mdb").read_bytes()
        one_sentence(node(network), words)
        assert (journal / "data.mdb").read_bytes() == before
        spoil_meta(journal, key, right)


@pytest.mark.parametrize("spoil", [garble, lambda file: file.write_bytes(b"x" * 100_000)])
def test_a_journal_that_is_none(network, journal, spoil):
    spoil(journal / "data.mdb")
    one_sentence(node(network), "journal")


def test_a_journal_in_use_by_a_running_super_agent(network):
    config = network / HOME / "node.toml"
    process = subprocess.Popen(
        [HARAMBEE, "node", "--config", str(config)], stderr=subprocess.PIPE, text=True
    )
    try:
        lines = iter(process.stderr.readline, "")
        assert any("listens to customers" in line for line in lines)
        one_sentence(node(network), "in use by another running process")
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_a_folder_that_is_taken_is_not_made_a_network(network, tmp_path):
    one_sentence(run("--network", network, "init"), "There is a network")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear Amina")
    one_sentence(run("--network", tmp_path / "full", "init"), "not an empty folder")
    assert (tmp_path / "full" / "letter.txt").read_text() == "dear Amina"
    one_sentence(run("--network", network, "init", "--http-port", "65535"))
