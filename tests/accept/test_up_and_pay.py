"""The first journey: `harambee up`, payments through each of the four, Ctrl-C, and up again."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.accept.quiet_network import get, ledger_of, until

from harambee.node.network_folder import load_network
from harambee.traffic.temporary_network import free_ports

pytestmark = [pytest.mark.accept, pytest.mark.timeout(240)]

HARAMBEE = str(Path(sys.executable).with_name("harambee"))
SERVE_S = 120
STOP_S = 30


def harambee(folder, *words):
    """Run a command to its end, as somebody at a terminal does."""
    return subprocess.run(
        [HARAMBEE, "--network", str(folder), *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def document_of(folder, *words):
    done = harambee(folder, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def up(folder, said, *options):
    """`harambee up` in a session of its own, as a terminal would start it; serving when entered."""
    with said.open("wb") as output:
        process = subprocess.Popen(
            [HARAMBEE, "up", "--network", str(folder), *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        until(
            lambda: "Ctrl-C stops it." in said.read_text() or process.poll() is not None,
            lambda: f"it does not serve: {said.read_text()}",
            SERVE_S,
        )
        assert process.poll() is None, said.read_text()
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(STOP_S)
        for pid in processes_of(folder):
            os.kill(pid, signal.SIGKILL)


def processes_of(folder):
    """The processes of this machine whose command line names the network's folder."""
    named = os.fsencode(str(folder))
    return [
        int(place.parent.name)
        for place in Path("/proc").glob("[0-9]*/cmdline")
        if named in read_or_gone(place)
    ]


def read_or_gone(place):
    try:
        return place.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def press_ctrl_c(process):
    """Send what a terminal sends to its foreground group; the exit status."""
    os.killpg(process.pid, signal.SIGINT)
    return process.wait(STOP_S)


def accounts_seen(network):
    """Every demo account's balance and statement, as each super-agent tells it."""
    return [
        (
            name.name,
            get(door.http, f"/v1/accounts/{name.account}").document,
            get(door.http, f"/v1/accounts/{name.account}/statement").document,
        )
        for door in network.addresses
        for name in network.demo()
    ]


def ledgers(network):
    return [ledger_of(address.http) for address in network.addresses]


def agreed(network):
    until(
        lambda: len({json.dumps(one) for one in ledgers(network)}) == 1,
        lambda: f"the ledgers differ: {ledgers(network)}",
    )
    return ledgers(network)[0]


def test_up_pay_stop_and_up_again(tmp_path):
    folder = tmp_path / "network"
    base = free_ports(8)
    ports = ["--http-port", str(base), "--peer-port", str(base + 4)]
    assert harambee(folder, "init", *ports).returncode == 0
    network = load_network(folder)
    with up(folder, tmp_path / "first.txt") as process:
        greeting = (tmp_path / "first.txt").read_text()
        assert all(address.http in greeting for address in network.addresses)
        assert "short code 174379" in greeting, "what software that asks for payments is told"
        codes = set()
        for turn, name in enumerate(network.names):
            paid = document_of(folder, "pay", "customer-1", "customer-2", "100", "--via", name)
            assert (paid["status"], paid["sequence"]) == ("final", turn)
            assert paid["via"] in {None, name}, "None: others had told by then that it is final"
            assert len(paid["receipts"]) == 2
            assert paid["latency_ms"] < 5_000, "well under a second, on a machine that is not busy"
            codes.add(paid["receipt_code"])
        assert len(codes) == 4
        by_number = document_of(folder, "pay", "customer-3", "0700000004", "250.50")
        assert by_number["status"] == "final"
        made = document_of(folder, "register", "fatuma", "--telephone", "0712345678")
        assert document_of(folder, "pay", "customer-5", "0712345678", "300")["status"] == "final"
        too_much = harambee(folder, "pay", "customer-4", "customer-1", "99999")
        assert too_much.returncode == 1
        assert too_much.stderr == "The balance does not cover the amount and the fee.\n"
        assert document_of(folder, "balance", "customer-2")["balance_cents"] == 5_400_00
        before, seen = agreed(network), accounts_seen(network)
        assert before["total_cents"] == 0
        assert press_ctrl_c(process) == 0
        assert processes_of(folder) == []
        assert "Stopped." in (tmp_path / "first.txt").read_text()
    dead = harambee(folder, "pay", "customer-1", "customer-2", "5")
    assert (dead.returncode, dead.stderr.count("\n")) == (1, 1)
    # What was on its way when the network ended is taken up again, and is not a second payment.
    with up(folder, tmp_path / "second.txt") as process:
        assert agreed(network) == before
        assert accounts_seen(network) == seen
        assert document_of(folder, "balance", "fatuma") == {
            "account": made["account"],
            "balance_cents": 300_00,
            "held_cents": 0,
            "frozen_cents": 0,
            "available_cents": 300_00,
            "agreed": True,
        }
        lines = document_of(folder, "statement", "customer-1")["lines"]
        assert len(lines) == 4
        assert document_of(folder, "pay", "fatuma", "customer-1", "100")["status"] == "final"
        second = harambee(folder, "up")
        assert second.returncode == 1
        assert "cannot listen on" in second.stderr
        assert second.stderr.count("\n") == 1
        assert press_ctrl_c(process) == 0
        assert processes_of(folder) == []


def test_up_goes_on_when_one_dies_and_names_it(tmp_path):
    folder = tmp_path / "network"
    base = free_ports(8)
    ports = ["--http-port", str(base), "--peer-port", str(base + 4)]
    assert harambee(folder, "init", *ports).returncode == 0
    said = tmp_path / "said.txt"
    with up(folder, said) as process:
        victim = load_network(folder).node_file("chapa")
        (pid,) = processes_of(victim)
        os.kill(pid, signal.SIGKILL)
        until(lambda: "chapa ended with status -9" in said.read_text(), said.read_text)
        assert "Traceback" not in said.read_text()
        assert document_of(folder, "pay", "customer-1", "customer-2", "100")["status"] == "final"
        assert press_ctrl_c(process) == 0
        assert processes_of(folder) == []
