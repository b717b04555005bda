"""Evidence: none where nobody lies; and against a liar, a file that convinces a stranger."""

import json
import shutil
import subprocess
import sys

import pytest
from tests.accept.quiet_network import QuietNetwork, get, quiet_population, until
from tests.accept.test_bad_peers import MEMBER, client, dialled, frame, hello, send

from harambee.crypto.signatures import sign
from harambee.node.frames import FrameType
from harambee.node.journal import Journal
from harambee.node.network_folder import load_node
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import Draft, block_prefix, read_block, write_block
from harambee.traffic.temporary_network import TemporaryNetwork

pytestmark = [pytest.mark.accept, pytest.mark.timeout(240)]

HONEST = (0, 1, 2)
NOBODY = "No super-agent is convicted of anything.\n"


@pytest.fixture(scope="module")
def quiet():
    """A network in which one will be a liar."""
    with TemporaryNetwork(4, quiet_population()) as running:
        yield QuietNetwork(running)


def evidence(folder, *options):
    command = [sys.executable, "-m", "harambee", "--network", str(folder), "evidence", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def forked(quiet):
    """Another block in the place of one that the member has signed, signed with the same key."""
    files = load_node(quiet.running.folder.node(MEMBER))
    genesis = files.genesis
    epoch = genesis.committee.epoch
    with Journal.open(files.config.journal, genesis.network, MEMBER, epoch) as journal:
        own = []
        for _, data in journal.blocks():
            block = read_block(data, genesis.network, genesis.committee.n)
            assert not isinstance(block, Malformed)
            own += [block] if block.author == MEMBER else []
    block = own[len(own) // 2]
    draft = Draft(genesis.network, epoch, MEMBER, block.height, block.previous, 7, ())
    unsigned, digest = write_block(draft)
    assert digest != block.digest
    signature = sign(files.signing, block_prefix(genesis.network, epoch) + digest)
    return block.height, unsigned + signature


def test_evidence_convicts_a_liar_before_a_stranger_and_nobody_else(quiet, tmp_path):
    folder = quiet.running.folder.folder
    for door in range(4):
        quiet.pay(door, quiet.customer(), quiet.customer())
    # Where nobody lies there is none.
    told = evidence(folder)
    assert (told.returncode, told.stdout, told.stderr) == (0, NOBODY, "")
    assert json.loads(evidence(folder, "--json").stdout) == {"evidence": []}
    assert evidence(folder, "--save", str(tmp_path / "none")).stdout == NOBODY
    assert not (tmp_path / "none").exists()
    # A member signs two blocks of one height.
    liar = quiet.names[MEMBER]
    quiet.running.kill(liar)
    height, block = forked(quiet)
    config = quiet.running.folder.node(MEMBER)
    context = client()
    context.load_cert_chain(config.tls_certificate, config.tls_key)
    with dialled(quiet, context) as link:
        send(link, hello(quiet))
        send(link, frame(FrameType.BLOCK, block))
        until(lambda: convicted(quiet, 0) == [liar], lambda: "nobody is convicted")
    why = f"signed two different blocks of height {height}"
    told = evidence(folder)
    assert (told.returncode, told.stdout, told.stderr) == (0, f"{liar} {why}.\n", "")
    expected = {"evidence": [{"super_agent": liar, "why": why}]}
    assert json.loads(evidence(folder, "--json").stdout) == expected
    # The honest three pay on without it, and evidence outlasts a restart.
    for door in HONEST:
        quiet.pay(door, quiet.customer(), quiet.customer())
    quiet.running.kill(quiet.names[0])
    quiet.running.restart(quiet.names[0])
    quiet.running.wait_ready((quiet.names[0],))
    assert convicted(quiet, 0) == [liar]
    quiet.pay(0, quiet.customer(), quiet.customer())
    # One file, checked by somebody who has the genesis and asks nobody.
    assert evidence(folder, "--save", str(tmp_path)).returncode == 0
    file = tmp_path / f"{liar}.evidence"
    for name in HONEST:
        quiet.running.kill(quiet.names[name])
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    for public in ("genesis.json", "openings.bin", "addresses.json"):
        if (folder / public).exists():
            shutil.copy(folder / public, stranger)
    told = evidence(stranger, "--check", str(file))
    assert (told.returncode, told.stdout, told.stderr) == (0, f"{liar} {why}.\n", "")
    assert json.loads(evidence(stranger, "--check", str(file), "--json").stdout) == expected
    unasked = evidence(stranger)
    assert (unasked.returncode, unasked.stderr) == (1, "No super-agent can be reached.\n")
    content = file.read_bytes()
    changed = tmp_path / "changed.evidence"
    for place in (0, 20, len(content) // 3, len(content) // 2, len(content) - 1):
        other = bytearray(content)
        other[place] ^= 1
        changed.write_bytes(other)
        told = evidence(stranger, "--check", str(changed))
        assert (told.returncode, told.stdout) == (1, ""), place
        assert told.stderr.startswith("This proves nothing: ")
    for name in quiet.names:
        assert "Traceback" not in quiet.log_of(name)


def convicted(quiet, door):
    peers = get(quiet.urls[door], "/v1/status").document["peers"]
    return [peer["name"] for peer in peers if peer["convicted"]]
