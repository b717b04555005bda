"""The sandbox's customers beside `harambee up`: they pay by themselves, and come back when they die."""

import json
import signal
import threading

import pytest
from tests.cli.test_merchant_requests import Merchant

from harambee.cli import sandbox_handsets
from harambee.cli.sandbox_handsets import LOG, SandboxHandsets, sandbox_lines

START_S = 60


@pytest.fixture
def handsets(served):
    made = SandboxHandsets(served.folder)
    yield made
    made.stop()


class Asked(Merchant):
    """A merchant of the sandbox's first customer, which waits for what becomes of its requests."""

    def says_paid(self, request, meanwhile=lambda: None):
        """Wait until the log says that a request is paid; returns its line."""
        log = self.served.folder / LOG
        for _ in range(START_S * 20):
            meanwhile()
            whole = [line for line in log.read_text().splitlines(keepends=True) if line[-1] == "\n"]
            for line in map(json.loads, whole):
                if (line["request"], line["status"]) == (request, "final"):
                    return line
            threading.Event().wait(0.05)
        raise AssertionError(log.read_text())

    def _query(self, body):
        # The other customer of the sandbox asks, too, and nothing waits for her.
        status, content = super()._query(body)
        return (200, b'{"requests": []}') if status == 403 else (status, content)


def test_they_pay_what_is_asked_and_again_after_they_were_killed(served, handsets, monkeypatch):
    monkeypatch.setattr(sandbox_handsets, "RESTART_S", 0.0)
    merchant = Asked(served, "customer-sandbox")
    merchant.ask("ws_CO_1", 100_00)
    handsets.start()
    assert merchant.says_paid("ws_CO_1")["amount_cents"] == 100_00
    handsets.tend()
    handsets.kill()
    merchant.ask("ws_CO_2", 200_00)
    assert merchant.says_paid("ws_CO_2", handsets.tend)["amount_cents"] == 200_00
    handsets.stop()
    paid = [order[32:64].hex() for order in served.ledger.final.values()]
    assert paid == [row["id"] for row in merchant.rows], "each once, though doors still tell them"
    assert "708374149" not in (served.folder / LOG).read_text(), "no telephone stands in a log"


def test_it_stops_when_it_is_asked_to(served, handsets):
    Asked(served, "customer-sandbox")
    handsets.stop()
    handsets.start()
    process = handsets._process
    handsets.stop()
    assert process.returncode in (0, -signal.SIGTERM)
    handsets.stop()


def test_without_a_sandbox_there_is_nothing_to_start_and_nothing_to_say(served):
    (served.folder / "sandbox.json").unlink()
    handsets = SandboxHandsets(served.folder)
    handsets.start()
    handsets.tend()
    handsets.stop()
    assert not (served.folder / LOG).exists()
    assert sandbox_lines(served.folder, "http://x", answered=True) == []


def test_what_software_is_configured_with_is_said_in_few_lines(served):
    told = sandbox_lines(served.folder, "http://127.0.0.1:1", answered=True)
    assert len(told) == 5
    text = "\n".join(told)
    for fact in ("http://127.0.0.1:1", "174379", "consumer-key", "consumer-secret", "bfb279f9"):
        assert fact in text
    assert told[-1] == "  254708374149 and 254722000000 pay what they are asked"
    alone = sandbox_lines(served.folder, "http://x", answered=False)
    assert "handset customer-sandbox customer-sandbox-2 --approve all" in alone[-1]
