"""An observer of a real network: it agrees with all under load, and names a door that lies."""

import json
import subprocess
import sys

import pytest
from tests.accept.lying_proxy import LyingProxy, folder_with_door
from tests.accept.quiet_network import QuietNetwork, quiet_population, until
from tests.accept.test_checkpoints import FORM_S, Load, facts

from harambee.traffic.temporary_network import TemporaryNetwork

pytestmark = [pytest.mark.accept, pytest.mark.alone, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def quiet():
    with TemporaryNetwork(4, quiet_population(), checkpoint_minutes=0.1) as running:
        yield QuietNetwork(running)


def observe(network, folder, *words):
    """Run it; its exit status, the JSON of its last line, and what it said beside."""
    line = [sys.executable, "-m", "harambee", "observe", *map(str, words)]
    line += ["--network", str(network), "--folder", str(folder), "--json"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=240, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_an_observer_agrees_with_everybody_under_load_and_with_their_checkpoints(quiet, tmp_path):
    network, mine = quiet.running.folder.folder, tmp_path / "observer"
    with Load(quiet, (0, 1, 2, 3), most=150):
        status, found, said = observe(network, mine, "--once")
        assert (status, found["ok"], found["alarms"]) == (0, True, []), (found, said)
        assert sorted(found["agreed"]) == sorted(quiet.names), found
        assert found["total_cents"] == 0
        until(
            lambda: facts(quiet, 1)["checkpoint"] >= 2,
            lambda: f"no checkpoint forms: {facts(quiet, 1)}",
            FORM_S,
        )
        # A second one begins at that checkpoint, without any opening account.
        bare = folder_with_door(network, tmp_path / "bare", "nobody", "")
        (bare / "openings.bin").unlink()
        status, found, said = observe(bare, tmp_path / "second", "--once")
        assert (status, found["alarms"]) == (0, []), (found, said)
        assert found["checkpoint"] >= 2
        assert sorted(found["agreed"]) == sorted(quiet.names), found
    # Now nobody pays: the first goes on, and all say the same.
    status, found, said = observe(network, mine, "--once")
    assert status == 0, (found, said)
    state = quiet.state()
    assert (found["digest"], found["accounts"]) == (state["digest"], state["accounts"])
    payer = int(quiet.running.network.parties.numbers[0])
    status, shown, _ = observe(network, mine, "balance", payer)
    assert (status, shown["balance_cents"]) == (0, quiet.balance(0, payer))
    # The proof of one that began at a checkpoint, and light mode's, convince who has the genesis alone.
    status, proof, _ = observe(
        network, tmp_path / "second", "proof", payer, "--output", tmp_path / "proof"
    )
    assert (status, proof["account"]) == (0, payer)
    assert len(verified(tmp_path / "proof", network)["signed_by"]) == 2
    status, light, _ = observe(network, tmp_path / "phone", "--light", payer)
    assert (status, light["account"], light["alarms"]) == (0, payer, [])
    assert light["balance_cents"] > 0
    kept = verified(tmp_path / "phone" / f"account-{payer}.proof", network)
    assert kept["balance_cents"] == light["balance_cents"]


def verified(file, network):
    line = [sys.executable, "-m", "harambee", "observe", "verify", str(file), "--json"]
    genesis = str(network / "genesis.json")
    done = subprocess.run(
        [*line, "--network", genesis], capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


def test_a_door_that_lies_is_named(quiet, tmp_path):
    network, liar = quiet.running.folder.folder, quiet.names[0]

    def false_block(path, body):
        changed = bytearray(body)
        if path.startswith("/v1/blocks?") and len(changed) > 500:
            changed[300] ^= 1
        return bytes(changed)

    def false_total(path, body):
        return body.replace(b'"total_cents":0', b'"total_cents":7') if "digest" in path else body

    def false_piece(path, body):
        changed = bytearray(body)
        if "/accounts/" in path and path.startswith("/v1/checkpoints/"):
            changed[-1_000] ^= 1
        return bytes(changed)

    for place, (lie, kind) in enumerate([(false_block, "block"), (false_total, "total")]):
        with LyingProxy(quiet.urls[0], lie) as proxy:
            theirs = folder_with_door(network, tmp_path / f"network-{place}", liar, proxy.url)
            status, found, said = observe(theirs, tmp_path / f"observer-{place}", "--once")
        assert status == 1, (found, said)
        assert {(alarm["kind"], alarm["super_agent"]) for alarm in found["alarms"]} == {
            (kind, liar)
        }
        assert liar in said
    account = int(quiet.running.network.parties.numbers[0])
    with LyingProxy(quiet.urls[0], false_piece) as proxy:
        theirs = folder_with_door(network, tmp_path / "network-light", liar, proxy.url)
        looks = []

        def is_caught():
            # The door lies about the checkpoint that it shows, which is not always the newest there is.
            looks.append(observe(theirs, tmp_path / "phone", "--light", account))
            return looks[-1][0] == 1

        until(is_caught, lambda: f"nobody is named: {looks}", FORM_S)
    # Another door has shown the account as it is, and this one is named.
    assert {alarm["super_agent"] for alarm in looks[-1][1]["alarms"]} == {liar}
    assert {look[1]["balance_cents"] for look in looks} == {quiet.balance(1, account)}
