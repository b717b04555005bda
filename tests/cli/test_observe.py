"""`harambee observe` where there is nobody to ask: what its folder answers, and what it refuses to show."""

import asyncio
import json

import pytest
from click.testing import CliRunner

from harambee.cli.main import main
from harambee.node.network_folder import create_network, load_genesis
from harambee.observer.alarms import Alarms
from harambee.observer.observer import Observer


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("observed") / "network"
    create_network(folder, customers=3, agents_per_super_agent=1)
    return folder


@pytest.fixture
def place(network, tmp_path):
    """The folder of an observer that has begun at the genesis and met nobody."""
    folder = tmp_path / "observer"
    observer = Observer(load_genesis(network), [], folder, Alarms(folder))
    asyncio.run(observer.begin())
    observer.close()
    return folder


def run(network, place, *words):
    line = ["observe", *map(str, words), "--network", str(network), "--folder", str(place)]
    return CliRunner().invoke(main, line)


def test_a_balance_comes_from_the_folder_alone(network, place):
    customer = json.loads((network / "keys" / "demo.json").read_bytes())["accounts"][0]
    answer = run(network, place, "balance", customer["name"], "--json")
    assert answer.exit_code == 0, answer.output
    document = json.loads(answer.stdout.splitlines()[-1])
    assert document["account"] == customer["account"]
    assert document["balance_cents"] > 0
    assert document["blocks"] == 0
    by_number = run(network, place, "balance", customer["telephone"])
    assert by_number.exit_code == 0, by_number.output
    assert f"Account {customer['account']} holds" in by_number.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("balance", 99_999), "There is no account 99999 in the ledger here."),
        (("balance", "nobody"), "'nobody' is nobody"),
        (("proof", 16), "There is no checkpoint here yet that enough super-agents have signed."),
        (("--light", 16), "No checkpoint is shown that 2 super-agents have signed."),
        (("--once",), "No super-agent can be reached."),
    ],
)
def test_what_cannot_be_shown_is_said_in_a_sentence(network, place, words, sentence):
    answer = run(network, place, *words)
    assert answer.exit_code == 1
    assert sentence in answer.stderr
    assert "Traceback" not in answer.output


def test_a_folder_with_an_alarm_against_the_ledger_says_it_in_the_place_of_a_balance(
    network, place
):
    sentence = "Order 0 of block 7 of amani was applied and is not signed by its payer."
    Alarms(place).ring("ledger", 0, "amani", sentence)
    answer = run(network, place, "balance", "customer-1")
    assert answer.exit_code == 1
    assert sentence in answer.stderr
    assert "holds" not in answer.output


def test_without_a_folder_there_is_no_balance(network, tmp_path):
    answer = run(network, tmp_path / "none", "balance", "customer-1")
    assert answer.exit_code == 1
    assert "there is no observer's folder" in answer.stderr.lower()


def test_a_file_that_is_no_proof_proves_nothing(network, tmp_path):
    file = tmp_path / "some.proof"
    file.write_bytes(b"hrb1:account".ljust(400, b"\0"))
    line = ["observe", "verify", str(file), "--network", str(network / "genesis.json")]
    answer = CliRunner().invoke(main, line)
    assert answer.exit_code == 1
    assert answer.stderr.count("\n") == 1
