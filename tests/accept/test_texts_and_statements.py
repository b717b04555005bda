"""Texts and statements of four real super-agents, one of which dies and comes back."""

import csv
import io
import json
import re
import subprocess
import sys
import zlib
from base64 import a85decode

import pytest
from tests.accept.quiet_network import (
    Customer,
    QuietNetwork,
    get,
    ledger_of,
    quiet_population,
    until,
)

from harambee.ledger.records import region_of
from harambee.traffic.temporary_network import TemporaryNetwork

pytestmark = [pytest.mark.accept, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def network():
    with TemporaryNetwork(4, quiet_population()) as running:
        yield QuietNetwork(running)


def harambee(network, *words):
    done = subprocess.run(
        [sys.executable, "-m", "harambee", "--network", network.running.folder.folder, *words],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def document(network, *words):
    return json.loads(harambee(network, *words, "--json").splitlines()[-1])


def texts_of(network, account, count):
    """The texts to an account, once there are so many."""
    found = []

    def enough():
        found[:] = document(network, "texts", str(account))["texts"]
        return len(found) >= count

    until(enough, lambda: f"{len(found)} of {count} texts to account {account}: {found}")
    assert len({(text["receipt_code"], text["kind"]) for text in found}) == len(found) == count
    return found


def shillings(cents):
    return f"{cents // 100:,}.{cents % 100:02d}"


def pdf_strings(content):
    shown = []
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL):
        page = zlib.decompress(a85decode(b"<~" + stream.strip(), adobe=True))
        shown += re.findall(rb"\(((?:\\.|[^\\)])*)\) Tj", page)
    return [text.decode("cp1252") for text in shown]


def test_what_anna_is_told(network, tmp_path):
    account = document(network, "register", "anna", "--telephone", "0712345678")["account"]
    anna, ben = Customer(account, None), network.customer()
    home = network.names[region_of(account)]
    for sequence in range(3):
        network.pay(sequence, ben, anna, sequence)
    network.state()
    *_, last = harambee(network, "pay", "anna", str(ben.account), "200").decode().splitlines()
    balance = document(network, "balance", "anna")["balance_cents"]
    assert f"Confirmed. Ksh200.00 sent to account {ben.account} on " in last
    assert f"New Harambee balance is Ksh{shillings(balance)}. Transaction cost, Ksh7.00." in last

    told = texts_of(network, account, 4)
    assert {text["super_agent"] for text in told} == {home}
    (sent,) = [text["text"] for text in told if text["kind"] == "sent"]
    assert sent.startswith(last.partition(" on ")[0])
    assert f"balance is Ksh{shillings(balance)}." in sent
    assert "Amount you can transact within the day is" in sent

    # Her super-agent dies: she is paid all the same, and told when it is back.
    network.running.kill(home)
    door = next(at for at, name in enumerate(network.names) if name != home)
    network.pay(door, ben, anna, 3)
    alive = [url for url, name in zip(network.urls, network.names, strict=True) if name != home]
    until(
        lambda: len({json.dumps(ledger_of(url)) for url in alive}) == 1,
        lambda: "the three that live do not agree",
    )
    statement_adds_up(network, tmp_path, account, rows=8)
    network.running.restart(home)
    network.running.wait_ready((home,))
    told = texts_of(network, account, 5)
    assert {text["super_agent"] for text in told} == {home}
    metrics = get(network.urls[network.names.index(home)], "/metrics").body.decode()
    assert "harambee_texts_failed_total 0\n" in metrics
    assert re.search(r"^harambee_texts_sent_total [1-9]", metrics, re.MULTILINE)


def statement_adds_up(network, tmp_path, account, rows):
    """All three formats end with what the account holds, and their rows lead there."""
    balance = document(network, "balance", "anna")["balance_cents"]
    text = harambee(network, "statement", "anna", "--format", "text").decode()
    assert f"Closing Balance  Ksh {shillings(balance)}\n" in text
    assert "Name             anna\n" in text
    assert "Funds Received from account" in text
    assert "Customer Transfer Charge" in text

    table = harambee(network, "statement", "anna", "--format", "csv").decode()
    opening, *lines, closing = list(csv.DictReader(io.StringIO(table, newline=""), strict=True))
    assert len(lines) == rows
    held = cents_of(opening["Balance"])
    for line in lines:
        held += cents_of(line["Paid In"]) - cents_of(line["Withdrawn"])
        assert held == cents_of(line["Balance"])
    assert held == cents_of(closing["Balance"]) == balance

    file = tmp_path / "statement.pdf"
    made = document(network, "statement", "anna", "--format", "pdf", "-o", str(file))
    assert (made["closing_cents"], made["rows"]) == (balance, rows)
    shown = pdf_strings(file.read_bytes())
    assert f"Ksh {shillings(balance)}" in shown
    assert {line["Receipt No."] for line in lines} <= set(shown)
    assert f"{account} \\(customer\\)" in shown


def cents_of(text):
    return int(text.replace(".", "") or 0)
