"""`harambee init --accounts` at the terminal: the table, the report, and when nothing is made."""

import csv
import json
import stat

import pytest
from click.testing import CliRunner
from tests.node.incumbents import csv_file, row

from harambee.cli.main import main
from harambee.node.account_files import COLUMNS
from harambee.node.network_folder import load_network

GOOD = [row(1), row(2), row(3, kind="pochi")]
BAD = [row(4, key=""), row(5, number="0700000001"), row(6, balance="12.5"), row(7, balance="-1.00")]


@pytest.fixture
def run(tmp_path):
    def run(*words):
        return CliRunner().invoke(main, ["--network", str(tmp_path / "network"), "init", *words])

    return run


def last_json(result):
    return json.loads(result.stdout.splitlines()[-1])


def report_of(tmp_path):
    file = tmp_path / "accounts.csv.refused.csv"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600, "numbers and balances are nobody else's"
    return list(csv.DictReader(file.read_text().splitlines()))


def test_a_file_becomes_a_network(run, tmp_path):
    file = csv_file(tmp_path, GOOD)
    result = run("--accounts", str(file), "--super-agents", "2", "--bank", "alpha=1,000,000")
    assert result.exit_code == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[:-2] == [
        ["kind", "rows", "Ksh"],
        ["customer", "accepted", "2", "3,001.00"],
        ["pochi", "accepted", "1", "3,000.50"],
        ["all", "accepted", "3", "6,001.50"],
        ["all", "refused", "0", "0.00"],
        ["all", "3", "6,001.50"],
    ]
    assert "Made a network of 2 in" in result.stdout
    (issuer,) = load_network(tmp_path / "network").genesis.document.issuers
    assert (issuer.name, issuer.limit_cents) == ("alpha", 1_000_000_00)
    assert report_of(tmp_path) == []


def test_any_refused_row_means_that_nothing_is_made(run, tmp_path):
    file = csv_file(tmp_path, GOOD + BAD)
    result = run("--accounts", str(file), "--super-agents", "2")
    assert result.exit_code == 1
    assert result.stderr == (
        f"4 of 7 rows cannot be opened, so nothing was made: {file}.refused.csv says why; "
        "--leave-out-refused goes on without them.\n"
    )
    assert not (tmp_path / "network").exists()
    found = report_of(tmp_path)
    assert [(r["line"], r["reason"]) for r in found] == [
        ("5", "no_key"),
        ("6", "number_taken"),
        ("7", "balance_not_exact"),
        ("8", "balance_negative"),
    ]
    assert found[1]["sentence"] == "Line 2 has this number already."
    assert "harambee register" in found[0]["sentence"]
    assert [{c: r[c] for c in COLUMNS} for r in found] == BAD, "each row as it stands"
    assert "no key                          1                 4,000.50" in result.stdout
    assert "1 refused rows have no amount" in result.stdout


def test_the_others_are_opened_where_that_is_wished(run, tmp_path):
    file = csv_file(tmp_path, GOOD + BAD)
    result = run("--accounts", str(file), "--super-agents", "2", "--leave-out-refused", "--json")
    assert result.exit_code == 0, result.stderr
    document = last_json(result)
    network = load_network(tmp_path / "network")
    assert document["network"] == network.genesis.network.hex()
    said = document["accounts"]
    assert (said["rows"], said["accepted"], said["refused"]) == (7, 3, 4)
    assert said["accepted_cents"] == 6_001_50
    assert said["refused_cents"] == 4_000_50 + 5_000_50 - 1_00
    assert said["cents"] == said["accepted_cents"] + said["refused_cents"]
    assert (said["without_amount"], said["shared_keys"]) == (1, 0)
    counts = said["by_kind_and_reason"]
    assert sum(one["rows"] for one in counts) == 7
    assert sum(one["cents"] for one in counts) == said["cents"]
    assert {"kind": "customer", "reason": "no_key", "rows": 1, "cents": 4_000_50} in counts
    owed = [row["balance"] for row in network.openings if row["balance"] < 0]
    assert -sum(owed) == said["accepted_cents"]


def test_programs_learn_why_nothing_was_made(run, tmp_path):
    result = run("--accounts", str(csv_file(tmp_path, GOOD + BAD)), "--super-agents", "2", "--json")
    assert result.exit_code == 1
    document = last_json(result)
    assert document["status"] == "error"
    assert document["sentence"] == result.stderr.strip()
    assert document["accounts"]["refused"] == 4


def test_where_nothing_is_left_nothing_is_made(run, tmp_path):
    file = csv_file(tmp_path, BAD[:1])
    result = run("--accounts", str(file), "--super-agents", "2", "--leave-out-refused", "--json")
    assert result.exit_code == 1
    assert result.stderr == f"None of the rows can be opened: {file}.refused.csv says why.\n"
    assert last_json(result)["accounts"]["accepted"] == 0
    assert not (tmp_path / "network").exists()


def test_what_is_no_file_of_accounts_is_one_sentence(run, tmp_path):
    file = csv_file(tmp_path, GOOD)
    file.write_text("name,money\n")
    result = run("--accounts", str(file), "--json")
    assert result.exit_code == 1
    assert result.stderr.startswith("Column 1 is 'name', which is none of number, kind, balance")
    assert result.stderr.count("\n") == 1
    assert last_json(result)["status"] == "error"
    assert [path.name for path in tmp_path.iterdir()] == ["accounts.csv"]


def test_banks_that_may_not_owe_so_much_are_one_sentence(run, tmp_path):
    file = csv_file(tmp_path, GOOD)
    result = run("--accounts", str(file), "--super-agents", "2", "--bank", "alpha=10")
    assert result.exit_code == 1
    assert result.stderr == (
        "The accounts hold Ksh6,001.50, and the trust banks may owe Ksh10.00: raise their limits.\n"
    )
    assert not (tmp_path / "network").exists()


def test_a_taken_folder_is_refused_before_the_file_is_read(run, tmp_path):
    (tmp_path / "network").mkdir()
    (tmp_path / "network" / "letter").touch()
    result = run("--accounts", str(csv_file(tmp_path, GOOD)))
    assert (result.exit_code, "is not an empty folder" in result.stderr) == (1, True)
    assert not (tmp_path / "accounts.csv.refused.csv").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--bank", "alpha=10"), "are for --accounts"),
        (("--leave-out-refused",), "are for --accounts"),
        (("--accounts", "FILE", "--customers", "20"), "with --accounts there are none"),
        (("--accounts", "FILE", "--bank", "alpha"), "is not NAME=LIMIT"),
        (("--accounts", "FILE", "--bank", "al/pha=1"), "is not NAME=LIMIT"),
        (("--accounts", "FILE", "--bank", "alpha=1.005"), "is not an amount"),
        (("--accounts", "FILE", "--bank", "a=1", "--bank", "a=2"), "two banks a"),
        (("--accounts", "missing.csv"), "does not exist"),
    ],
)
def test_wrong_usage_is_told_and_nothing_is_read(run, tmp_path, words, sentence):
    file = str(csv_file(tmp_path, GOOD))
    result = run(*(file if word == "FILE" else word for word in words))
    assert (result.exit_code, sentence in result.stderr) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["accounts.csv"]


def test_without_the_option_a_network_is_what_it_was(run, tmp_path):
    result = run("--super-agents", "2", "--customers", "3", "--json")
    assert result.exit_code == 0, result.stderr
    assert set(last_json(result)) == {"folder", "network", "super_agents"}
    network = load_network(tmp_path / "network")
    assert {"customer-1", "customer-3", "bank-2", "agent-10"} < {p.name for p in network.demo()}
    assert not (network.folder / "aliases.bin").exists()
    assert "aliases_count" not in (network.folder / "genesis.json").read_text()
