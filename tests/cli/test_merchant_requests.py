"""What merchants ask, typed at a terminal: listed, paid, declined, and answered by a handset that stays."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from harambee.crypto.keyfiles import read_key_file
from harambee.crypto.signatures import sign
from harambee.handset.doors import BillVerdict
from harambee.handset.payment_requests import (
    PaymentRequest,
    is_announced_by,
    is_declined_by,
    is_question_of,
    read_announcement,
    read_decline,
    request_id,
    request_prefix,
)
from harambee.ledger.records import key_of

TEXT = "Ksh100.00 to Till 1 (174379), INV-7, Tea"


class Merchant:
    """A till that asks one customer, through every door of a served network."""

    def __init__(self, served, customer="customer-1"):
        self.served, self.genesis = served, served.network.genesis
        people = {person.name: person.account for person in served.network.demo()}
        self.payer, self.payee, self.biller = (
            people[name] for name in (customer, "till-1", "paybill-1")
        )
        self.key = key_of(served.ledger.accounts[self.payer][0])
        self.rows, self.declines, self.announced = [], [], []
        self.verdict = BillVerdict(accepted=True)
        self.declined = threading.Event()
        served.ledger.merchant_routes |= {
            "/v1/requests/query": self._query,
            "/v1/requests/declines": self._decline,
            "/v1/bills": self._bill,
        }

    def ask(self, name, cents, signer=0):
        now_ms = time.time_ns() // 1_000_000 + len(self.rows)
        request = PaymentRequest(
            name=name,
            super_agent=0,
            payee=self.payee,
            payer=self.payer,
            amount_cents=cents,
            kind="buy_goods",
            payee_name="Till 1",
            short_code="174379",
            account="INV-7",
            text="Tea",
            made_ms=now_ms,
            expires_ms=now_ms + 60_000,
            nonce=name,
        )
        document, network = request.to_bytes(), self.genesis.network
        name = self.served.network.names[signer]
        key = read_key_file(self.served.folder / "super-agents" / name / "signing.key").keypair
        prefix = request_prefix(network, self.genesis.committee.epoch)
        wanted = request_id(network, document)
        signature = sign(key, prefix + wanted).hex()
        self.rows.append(
            {
                "id": wanted.hex(),
                "document": document.decode(),
                "super_agent": 0,
                "signature": signature,
            }
        )

    def _query(self, body):
        if not is_question_of(body, self.genesis.network, self.key):
            return 403, b'{"code": "NOT_YOURS", "detail": "This is not signed."}'
        return 200, json.dumps({"requests": self.rows}).encode()

    def _decline(self, body):
        assert is_declined_by(body, self.genesis.network, self.key)
        self.declines.append(read_decline(body))
        self.declined.set()
        return 204, b""

    def _bill(self, body):
        assert is_announced_by(body, self.genesis.network, self.key)
        self.announced.append(read_announcement(body))
        return 200, json.dumps(
            {name: getattr(self.verdict, name) for name in ("accepted", "code", "sentence")}
        ).encode()


@pytest.fixture
def merchant(served):
    return Merchant(served)


def last_json(result):
    return json.loads(result.stdout.splitlines()[-1])


def test_what_is_asked_is_shown_and_a_forgery_is_not(served, merchant):
    assert served.run("requests", "customer-1").stdout == "Nobody asks for anything.\n"
    merchant.ask("ws_CO_1", 100_00)
    merchant.ask("ws_CO_2", 5_00, signer=1)
    shown = served.run("requests", "customer-1")
    assert shown.exit_code == 0, shown.stderr
    first, hint = shown.stdout.splitlines()
    assert first.startswith(f"ws_CO_1  {TEXT}; ")
    assert "harambee accept customer-1 NAME" in hint
    (row,) = last_json(served.run("requests", "customer-1", "--json"))["requests"]
    assert (row["request"], row["amount_cents"], row["account"]) == ("ws_CO_1", 100_00, "INV-7")


def test_a_request_is_accepted_once(served, merchant):
    merchant.ask("ws_CO_1", 100_00)
    merchant.ask("ws_CO_2", 200_00)
    result = served.run("accept", "customer-1")
    assert (result.exit_code, result.stderr) == (1, "Say which: ws_CO_1, ws_CO_2.\n")
    result = served.run("accept", "customer-1", "ws_CO_2")
    assert result.exit_code == 0, result.stderr
    assert "Ksh200.00 paid to Till 1" in result.stdout
    assert merchant.rows[1]["id"] in {order[32:64].hex() for order in served.ledger.final.values()}
    again = served.run("accept", "customer-1", "ws_CO_2", "--json")
    assert (again.exit_code, again.stderr) == (1, "This request was answered before.\n")
    assert last_json(again)["status"] == "error"
    assert last_json(served.run("accept", "customer-1", "ws_CO_1", "--json"))["status"] == "final"
    assert len(served.ledger.final) == 2


def test_a_request_is_declined(served, merchant):
    merchant.ask("ws_CO_1", 100_00)
    result = served.run("decline", "customer-1", "ws_CO")
    assert (result.exit_code, result.stdout) == (0, f"Declined: {TEXT}.\n")
    assert {one.request.hex() for one in merchant.declines} == {merchant.rows[0]["id"]}
    assert len(merchant.declines) == 2, "at w doors"
    assert served.run("decline", "customer-1", "ws_CO_9").exit_code == 1


def test_a_handset_that_stays_pays_and_declines_until_ctrl_c(served, merchant):
    merchant.ask("ws_CO_1", 100_00)
    merchant.ask("ws_CO_2", 90_000_00)

    def stop():
        merchant.declined.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    stopping = threading.Thread(target=stop)
    stopping.start()
    result = served.run("handset", "customer-1", "--approve", "all", "--json")
    stopping.join()
    assert result.exit_code == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert (lines[0]["request"], lines[0]["status"]) == ("ws_CO_1", "final")
    assert {one.reason for one in merchant.declines} == {23}, "the balance does not cover it"


def test_a_handset_listens_for_accounts_whose_keys_are_here_each_once(served):
    twice = served.run("handset", "customer-1", "customer-1", "--approve", "all")
    assert (twice.exit_code, "each account once" in twice.stderr) == (2, True)
    nobody = served.run("handset", "nobody", "--approve", "all")
    assert (nobody.exit_code, nobody.stderr.count("\n")) == (1, 1)
    assert served.run("handset", "customer-1", "--approve", "much").exit_code == 1
    assert served.run("handset", "customer-1").exit_code == 2


def test_a_bill_is_announced_and_a_biller_may_refuse_it(served, merchant):
    words = ("pay", "customer-1", "paybill:200001", "100", "--account", "INV-7")
    assert served.run(*words).exit_code == 0
    (said,) = merchant.announced
    assert (said.payee, said.amount_cents, said.account) == (merchant.biller, 100_00, "INV-7")
    assert said.msisdn == "+254700000001", "the payer's own, as far as this machine knows it"
    merchant.verdict = BillVerdict(False, "C2B00012", "There is no account INV-8.")
    refused = served.run(*words[:-1], "INV-8")
    assert (refused.exit_code, refused.stderr) == (1, "There is no account INV-8.\n")
    assert len(served.ledger.final) == 1


def test_doors_that_take_no_requests_say_so(served):
    result = served.run("requests", "customer-1")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"",
        b"[]",
        b'{"requests": [{"document": 7}]}',
        b'{"requests": [{"document": "{}", "super_agent": 0, "signature": "zz"}]}',
    ],
)
def test_doors_that_tell_nonsense_are_not_believed(served, nonsense):
    served.ledger.merchant_routes["/v1/requests/query"] = lambda _: (200, nonsense)
    result = served.run("requests", "customer-1")
    assert (result.exit_code, "nothing that can be understood" in result.stderr) == (1, True)
    for verdict in (b"{}", b'{"accepted": false, "sentence": "\\u001b[2J"}'):
        served.ledger.merchant_routes["/v1/bills"] = lambda _, said=verdict: (200, said)
        words = ("pay", "customer-1", "paybill:200001", "100", "--account", "INV-7")
        assert served.run(*words).exit_code == 0, "a door's nonsense stops no payment"


def test_the_wallet_keeps_what_it_answered(served, merchant):
    merchant.ask("ws_CO_1", 100_00)
    assert served.run("accept", "customer-1").exit_code == 0
    kept = list(Path(served.folder / "handsets" / "customer-1" / "requests").iterdir())
    assert [file.name.partition("-")[2] for file in kept] == [merchant.rows[0]["id"]]
