"""A proof outlives its network: made by four super-agents, verified when all of them are dead."""

import json
import subprocess
import sys

import pytest
from tests.accept.quiet_network import QuietNetwork, quiet_population

from harambee.handset.orders import OrderBody
from harambee.handset.pictures import picture_of
from harambee.handset.proofs import read_proof
from harambee.traffic.temporary_network import TemporaryNetwork

pytestmark = [pytest.mark.accept, pytest.mark.timeout(240)]


@pytest.fixture
def network():
    with TemporaryNetwork(4, quiet_population()) as running:
        yield QuietNetwork(running)


def harambee(network, *words):
    folder = network.running.folder.folder
    return subprocess.run(
        [sys.executable, "-m", "harambee", "--network", folder, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def document(network, *words):
    done = harambee(network, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def refused(network, *words):
    done = harambee(network, "verify", *words)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr


def forged(text, **changes):
    """The same signatures under an order that says something else."""
    proof = read_proof(text)
    body = OrderBody.from_bytes(proof.body)
    changed = OrderBody(**{name: getattr(body, name) for name in body.__slots__} | changes)
    return type(proof)(proof.epoch, changed.to_bytes(), proof.receipts).to_text()


def test_a_receipt_is_good_when_every_super_agent_is_dead(network, tmp_path):
    payer, payee, other = (network.customer() for _ in range(3))
    fate = network.pay(2, payer, payee)
    picture, drawing = tmp_path / "paid.png", tmp_path / "paid.svg"
    made = document(network, "receipt", str(payer.account), "0", "--qr", str(picture))
    assert (made["order_id"], made["receipt_code"]) == (fate["id"], fate["receipt_code"])
    by_code = ["receipt", str(payee.account), fate["receipt_code"], "--qr", str(drawing)]
    assert document(network, *by_code)["order_id"] == fate["id"]

    # One is enough to be short of w, and none to verify.
    for name in network.names[1:]:
        network.running.kill(name)
    alone = harambee(network, "receipt", str(payer.account), "0")
    assert alone.returncode == 1
    assert alone.stderr == "Too few super-agents answer: 1, and 2 must agree.\n"
    network.running.kill(network.names[0])
    assert network.running.pids == {}

    wanted = ["--payee", str(payee.account), "--amount", "100"]
    text = (
        f"{fate['receipt_code']} Confirmed. Ksh100.00 sent to account {payee.account} on "
        f"{shown_day(made['day'])} at 1:00 PM."
    )
    proven = document(network, "verify", str(picture), *wanted, "--text", text)
    assert proven["order_id"] == fate["id"]
    assert (proven["payer"], proven["payee"]) == (payer.account, payee.account)
    assert (proven["amount_cents"], proven["text_of"]) == (100_00, "payer")

    assert "less than Ksh100.01" in refused(network, str(picture), "--amount", "100.01")
    assert "This paid account" in refused(network, str(picture), "--payee", str(other.account))
    raised = text.replace("Ksh100.00", "Ksh9,100.00")
    assert "is forged or of another payment" in refused(network, str(picture), "--text", raised)
    for lie in ({"amount_cents": 9_100_00}, {"payee": other.account}, {"sequence": 1}):
        fake = tmp_path / "fake.png"
        fake.write_bytes(picture_of(forged(made["proof"], **lie), "png"))
        assert "the proof is forged, was altered" in refused(network, str(fake))
    cut = tmp_path / "cut.png"
    cut.write_bytes(picture_of(made["proof"][:-90], "png"))
    assert "This is no proof" in refused(network, str(cut))


def shown_day(day):
    year, month, number = (int(part) for part in day.split("-"))
    return f"{number}/{month}/{year % 100:02d}"
