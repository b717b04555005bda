"""The benches that need PostgreSQL and a pencil: they run, what they say adds up, and nothing is left."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harambee.crypto.hashing import TAG_ORDER, signed_prefix
from harambee.crypto.signatures import secret_keys_from_seeds, sign_many
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import BODY_BYTES, ORDER, ORDER_BYTES
from harambee.node.network_folder import create_network
from harambee.node.port import State
from harambee.traffic.generator import today
from harambee.traffic.parties import population_of
from harambee.traffic.workload import Crowd, fees_of, party_balances

pytestmark = [pytest.mark.accept, pytest.mark.alone, pytest.mark.timeout(420)]

ROOT = Path(__file__).parents[2]
STANDBYS = {"standby-1", "standby-2"}


def bench(module, *arguments):
    """Run a bench as `make` does, and return the JSON of its last line."""
    done = subprocess.run(
        [sys.executable, "-m", f"benches.{module}", *arguments, "--json"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def servers_running(scratch):
    """The servers of PostgreSQL and the super-agents whose files lie in this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(scratch) in line:
            found.append(line)
    return found


@pytest.fixture
def scratch(monkeypatch):
    """A folder for temporary files; PostgreSQL's own user may pass it, as he may not pass pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="harambee-beside-test-"))
    folder.chmod(0o711)
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder)


def test_both_sides_run_and_both_standbys_hold_what_was_acknowledged(scratch):
    figures = bench(
        "beside", "--accounts", "2000", "--seconds", "2", "--rate", "100", "--turns", "1"
    )
    ours, theirs = figures["network"], figures["central"]
    for side in (ours, theirs):
        assert side["conserved"]
        assert (side["lost"], side["duplicated"]) == (0, 0)
        assert 0 < side["latency_ms_p50"] <= side["latency_ms_p99"]
    assert figures["clean"]
    assert figures["ratio"] == round(ours["final_per_second"] / theirs["final_per_second"], 3)
    failover = figures["failover"]
    assert set(failover["standbys"]) == STANDBYS
    for found in failover["standbys"].values():
        assert found["lost"] == found["duplicated"] == 0
        assert found["conserved"]
        # A payment may have reached the standbys without anybody having been told.
        assert found["orders"] >= failover["acknowledged"] > 2000
    assert servers_running(scratch) == []
    assert list(scratch.iterdir()) == []


def test_a_ctrl_c_leaves_no_server_behind(scratch):
    with subprocess.Popen(
        [sys.executable, "-m", "benches.beside", "--accounts", "1000", "--seconds", "12"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        end = time.monotonic() + 300
        # Our own turn comes first; a Ctrl-C amid all three servers is what is asked about here.
        while not any("standby-2" in line for line in servers_running(scratch)):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(8)
        if process.poll() is None:
            # Python loses one that comes amid a callback whose exceptions it ignores: a person presses
            # again, long before the bench would end by itself.
            process.send_signal(signal.SIGINT)
        process.wait(60)
    assert process.returncode != 0
    assert servers_running(scratch) == []
    assert list(scratch.iterdir()) == []


@dataclass
class Town:
    """A central ledger whose gateway the test is a customer of."""

    central: object
    secrets: object

    def order(self, payer, receiver, shillings, sequence, kind=OrderKind.SEND, **fields):
        network = self.central.network
        order = np.zeros(1, ORDER)
        order["kind"], order["day"] = kind, today()
        order["payer"] = network.parties.numbers[payer]
        order["payee"] = network.parties.numbers[receiver]
        order["amount"] = shillings * 100
        order["sequence"] = sequence
        order["tariff"] = network.tariff.version
        if kind == OrderKind.SEND:
            order["fee"] = fees_of(network.tariff, order["kind"], order["amount"].astype(np.int64))
        for name, value in fields.items():
            order[name] = value
        bodies = order.view(np.uint8).reshape(1, ORDER_BYTES)[:, :BODY_BYTES]
        prefix = signed_prefix(TAG_ORDER, network.network)
        order["signature"] = sign_many(prefix, bodies, self.secrets[payer : payer + 1])
        return order

    def pay(self, *orders):
        """The gateway's answers: ACCEPTED for what is final."""
        import urllib.request

        url = self.central.network.doors[0].url + "/v1/orders"
        body = np.concatenate(orders).tobytes()
        with urllib.request.urlopen(urllib.request.Request(url, body)) as answer:
            told = np.frombuffer(answer.read(), np.uint8).reshape(-1, 2)
        assert set(told[:, 0]) <= {State.FINAL, State.REFUSED}
        return [Outcome(code).name for code in told[:, 1]]


@pytest.mark.parametrize("orders_max", [512, 0], ids=["batched", "a transaction each"])
def test_the_opponent_keeps_the_rules_that_matter(scratch, orders_max):
    from benches.central import Mode, TemporaryCentral

    crowd = Crowd(20, 0, 0, 0)
    people = population_of(crowd, party_balances(crowd, 240_000_00), 4, 1)
    opened = create_network(
        scratch / "network", customers=0, agents_per_super_agent=0, population=people
    )
    with TemporaryCentral(opened, 1) as central:
        central.start_gateways(Mode(connections=2, orders_max=orders_max))
        seeds = central.network.parties.seeds
        town = Town(central, secret_keys_from_seeds(seeds))
        first = town.order(0, 1, 100, 0)
        assert town.pay(first) == ["ACCEPTED"]
        assert town.pay(first) == ["ACCEPTED"], "the same bytes again are the same payment"
        assert town.pay(town.order(0, 1, 200, 0)) == ["SEQUENCE_STALE"]
        assert town.pay(town.order(0, 1, 200, 5)) == ["SEQUENCE_AHEAD"]
        forged = town.order(0, 1, 100, 1)
        forged["signature"][0, 5] ^= 1
        assert town.pay(forged) == ["SIGNATURE_INVALID"]
        assert town.pay(town.order(0, 1, 100, 1, fee=1)) == ["FEE_WRONG"]
        assert town.pay(town.order(0, 1, 100, 1, day=today() - 2)) == ["DAY_WRONG"]
        assert town.pay(town.order(0, 0, 100, 1)) == ["PAYER_IS_PAYEE"]
        assert town.pay(town.order(0, 1, 100, 1, payee=7)) == ["PAYEE_UNKNOWN"]
        assert town.pay(town.order(2, 3, 100, 0), town.order(3, 2, 100, 0)) == ["ACCEPTED"] * 2
        # Two of one payer in one request: the second comes before its time.
        assert sorted(town.pay(town.order(4, 5, 1, 0), town.order(4, 5, 1, 1))) == [
            "ACCEPTED",
            "SEQUENCE_AHEAD",
        ]
        assert town.pay(town.order(0, 0, 0, 1, OrderKind.CANCEL)) == ["ACCEPTED"]
        assert town.pay(town.order(0, 1, 100, 1)) == ["SEQUENCE_STALE"]
        assert town.pay(town.order(6, 19, 250_000, 0)) == ["BALANCE_INSUFFICIENT"]
        assert town.pay(town.order(6, 19, 200_000, 0)) == ["ACCEPTED"]
        assert town.pay(town.order(7, 19, 200_000, 0)) == ["PAYEE_BALANCE_ABOVE_LIMIT"]
        for sequence, payee in enumerate((17, 18)):
            assert town.pay(town.order(19, payee, 200_000, sequence)) == ["ACCEPTED"]
        assert town.pay(town.order(7, 19, 200_000, 0)) == ["ACCEPTED"]
        assert town.pay(town.order(19, 16, 150_000, 2)) == ["DAILY_LIMIT_EXCEEDED"]
        found = central.judge(first)
        assert found.clean
        assert found.orders == 9


def test_pictures_are_drawn_from_their_points(scratch):
    folder = scratch / "pictures"
    small = ("--accounts", "500", "--seconds", "1", "--folder", str(folder))
    figures = bench("pictures", "load", "--values", "20,40", *small)
    assert figures["clean"]
    points = figures["pictures"]["load"]["points"]
    assert [point["rate"] for point in points] == [20, 40]
    assert all(0 < p["latency_ms_p50"] <= p["latency_ms_p99"] for p in points)
    assert json.loads((folder / "load.json").read_text()) == figures["pictures"]["load"]
    with Image.open(folder / "load.png") as picture:
        assert picture.getpixel((2, 2))[:3] == (255, 255, 255)
        assert len(picture.getcolors(maxcolors=picture.width * picture.height)) > 10
    text = "".join(ET.parse(folder / "load.svg").getroot().itertext())
    assert "latency until final, ms" in text
    assert "offered payments a second" in text
    drawn = (folder / "load.svg").read_bytes()
    bench("pictures", "load", "--from-points", "--folder", str(folder))
    assert (folder / "load.svg").read_bytes() == drawn, "the same points, the same bytes"


def test_another_pace_is_what_the_super_agents_are_told(scratch):
    from benches.points import paced

    network = create_network(scratch / "network", customers=0, agents_per_super_agent=0)
    file = network.node_file(network.names[0])
    paced(70)(file)
    assert "pace_ms = 70\n" in file.read_text()
    assert os.access(file, os.R_OK)
