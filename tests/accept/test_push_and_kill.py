"""An STK push from end to end, and the super-agent that took it is killed before the customer answers."""

import json
import os
import signal
import subprocess

import pytest
from mpesa import MpesaClient
from mpesa.exceptions import MpesaError
from tests.accept.quiet_network import until
from tests.accept.test_daraja_clients import Receiver, serving
from tests.accept.test_up_and_pay import HARAMBEE, document_of, harambee, processes_of, up

from harambee.node.network_folder import load_network
from harambee.traffic.temporary_network import free_ports

pytestmark = [pytest.mark.accept, pytest.mark.timeout(240)]

SHORT_CODE, PHONE, CUSTOMER = "174379", "254708374149", "customer-sandbox"
SHILLINGS = 25
PENDING = "500.001.1001"


@pytest.fixture
def network(tmp_path):
    """A network whose customers answer by themselves no more than anybody does."""
    folder, base = tmp_path / "network", free_ports(8)
    ports = ["--http-port", str(base), "--peer-port", str(base + 4)]
    made = harambee(folder, "init", *ports)
    assert made.returncode == 0, made.stderr
    with up(folder, tmp_path / "said.txt", "--no-sandbox"):
        yield load_network(folder)


def client_of(network, door):
    known = json.loads((network.folder / "sandbox.json").read_text())
    return MpesaClient(
        known["consumer_key"],
        known["consumer_secret"],
        SHORT_CODE,
        known["passkey"],
        base_url=network.addresses[door].http,
    )


def kill(network, name):
    """`kill -9` of one super-agent's process."""
    config = str(network.node_file(name))
    [pid] = processes_of(config)
    os.kill(pid, signal.SIGKILL)


def is_told(client, checkout):
    try:
        return client.stk_query(checkout).result_code
    except MpesaError as error:
        if error.code != PENDING:
            raise
        return None


def test_a_push_outlives_the_super_agent_that_took_it(network, tmp_path):
    taker = network.names[0]
    before = document_of(network.folder, "balance", CUSTOMER)["balance_cents"]
    with serving(Receiver()) as receiver:
        pushed = client_of(network, 0).stk_push(
            phone=PHONE,
            amount=SHILLINGS,
            reference="order 17",
            description="tea",
            callback_url=f"{receiver.address}/paid",
        )
        assert is_told(client_of(network, 1), pushed.checkout_request_id) is None
        kill(network, taker)
        [waiting] = document_of(network.folder, "requests", CUSTOMER)["requests"]
        assert waiting["request"] == pushed.checkout_request_id
        paid = document_of(network.folder, "accept", CUSTOMER)
        assert paid["status"] == "final"
        [callback, *more] = receiver.told("paid")
        assert not more, "told once"
    told = callback["Body"]["stkCallback"]
    assert (told["CheckoutRequestID"], told["ResultCode"]) == (pushed.checkout_request_id, 0)
    items = {item["Name"]: item["Value"] for item in told["CallbackMetadata"]["Item"]}
    assert items["MpesaReceiptNumber"] == paid["receipt_code"]
    assert (items["Amount"], items["PhoneNumber"]) == (SHILLINGS, int(PHONE))
    for door in (1, 2, 3):
        client = client_of(network, door)
        until(
            lambda client=client: is_told(client, pushed.checkout_request_id) == "0",
            lambda door=door: f"{network.names[door]} does not know that it is paid",
        )
    after = document_of(network.folder, "balance", CUSTOMER)["balance_cents"]
    assert after == before - 100 * SHILLINGS - paid["fee_cents"]
    proof = tmp_path / "paid.txt"
    written = harambee(network.folder, "receipt", CUSTOMER, paid["receipt_code"], "-o", str(proof))
    assert written.returncode == 0, written.stderr
    for pid in processes_of(network.folder):
        os.kill(pid, signal.SIGKILL)
    verified = harambee(network.folder, "verify", str(proof), "--amount", str(SHILLINGS))
    assert verified.returncode == 0, "it verifies where nobody can be asked"
    assert harambee(network.folder, "verify", str(proof), "--amount", "26").returncode == 1


def test_no_callback_is_lost_or_doubled_where_half_of_them_fail():
    words = ["--rate", "40", "--seconds", "5", "--customers", "100", "--failing", "0.5", "--json"]
    measured = subprocess.run(
        [HARAMBEE, "bench", "requests", *words],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert measured.returncode == 0, measured.stderr
    found = json.loads(measured.stdout.splitlines()[-1])
    assert (found["pushes"], found["callbacks"], found["paid"]) == (200, 200, 200)
    assert (found["lost"], found["doubled"], found["refused"]) == (0, 0, 0)
    assert found["failed_on_purpose"] > 50
