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

    def paid(self):
        """Wait until every request has an order that is final, and return the orders' references."""
        wanted = {row["id"] for row in self.rows}
        for _ in range(START_S * 20):
            final = {order[32:64].hex() for order in list(self.served.ledger.final.values())}
            if wanted <= final:
                return
            threading.Event().wait(0.05)
        raise AssertionError((self.served.folder / LOG).read_text())

    def _query(self, body):
        # The other customer of the sandbox asks, too, and nothing waits for her.
        status, content = super()._query(body)
        return (200, b'{"requests": []}') if status == 403 else (status, content)


def test_they_pay_what_is_asked_and_again_after_they_were_killed(served, handsets, monkeypatch):
    monkeypatch.setattr(sandbox_handsets, "RESTART_S", 0.0)
    merchant = Asked(served, "customer-sandbox")
    merchant.ask("ws_CO_1", 100_00)
    handsets.start()
    merchant.paid()
    handsets.tend()
    handsets.kill()
    merchant.ask("ws_CO_2", 200_00)
    while len(served.ledger.final) < 2:
        handsets.tend()
        threading.Event().wait(0.05)
    merchant.paid()
    handsets.stop()
    assert len(served.ledger.final) == 2, (
        "the first one is not paid again, though doors still tell it"
    )
    log = (served.folder / LOG).read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    paid = {line["request"]: line for line in lines if line["status"] == "final"}
    assert paid["ws_CO_1"]["amount_cents"] == 100_00
    assert "708374149" not in log, "no telephone number stands in a log"


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
