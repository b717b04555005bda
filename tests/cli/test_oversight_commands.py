"""close-day, trust, flags and export at the terminal, against four doors over one ledger."""

import csv
import json
from dataclasses import replace

import pytest
from tests.cli.conftest import Desk

from harambee.cli.export import ACCOUNT_COLUMNS, FLAG_COLUMNS, ORDER_COLUMNS, POSITION_COLUMNS
from harambee.cli.watching import day_text
from harambee.handset.orders import today
from harambee.oversight import tables
from harambee.oversight.trust_line import trust_line

TODAY = today()
DATE = day_text(TODAY)


def last_json(result):
    return json.loads(result.stdout.splitlines()[-1])


def rows_in(file):
    return list(csv.DictReader(file.read_text().splitlines()))


def account(served, name):
    return next(one.account for one in served.network.demo() if one.name == name)


@pytest.fixture
def busy(served):
    """Customers of two super-agents have paid each other."""
    for words in (
        ("customer-1", "customer-2", "100"),
        ("customer-2", "customer-1", "30"),
        ("customer-1", "customer-2", "50"),
    ):
        result = served.run("pay", *words, "--yes")
        assert result.exit_code == 0, result.stderr
    return served


def names_of(served):
    return [member.name for member in served.network.genesis.committee.members]


# -- close-day ------------------------------------------------------------------------------------


def test_a_day_that_is_not_over_is_shown_and_not_closed(busy):
    result = busy.run("close-day", DATE)
    assert result.exit_code == 1
    first, second = names_of(busy)[:2]
    assert f"{DATE}: 3 final orders, e-money in circulation Ksh" in result.stdout
    assert f"{first} owes {second} Ksh120.00" in result.stdout
    assert result.stderr == (
        f"{DATE} is not over: orders of that day are accepted for a day after it, "
        f"and it can be closed from {day_text(TODAY + 2)} on.\n"
    )
    document = last_json(busy.run("close-day", str(TODAY), "--json"))
    assert (document["status"], document["signed"]) == ("provisional", [])
    assert document["debts"] == [{"from": first, "to": second, "cents": 120_00}]


def test_a_day_is_settled_and_the_file_proves_it_to_who_asks_nobody(busy, tmp_path):
    busy.ledger.days_on = 2
    file = tmp_path / "day.close"
    result = busy.run("close-day", DATE, "-o", str(file))
    assert result.exit_code == 0, result.stderr
    assert result.stdout.endswith(
        f"Signed alike by {', '.join(names_of(busy))}.\nSettled.\nAll signatures are in {file}.\n"
    )
    for index in range(4):
        busy.stop(index)
    checked = busy.run("close-day", "--check", str(file), "--json")
    assert checked.exit_code == 0, checked.stderr
    document = last_json(checked)
    assert document["status"] == "settled"
    assert document["sentence"] is None
    assert document["debts"][0]["cents"] == 120_00
    assert sum(row["position_cents"] for row in document["parties"]) == 0
    assert sum(row["balance_cents"] for row in document["parties"]) == 0
    assert document["circulation_cents"] == document["owed_by_banks_cents"]
    file.write_bytes(file.read_bytes()[:-1])
    broken = busy.run("close-day", "--check", str(file))
    assert (broken.exit_code, broken.stderr) == (1, "The close is cut short.\n")


def test_who_differs_and_who_is_missing_is_said(busy, tmp_path):
    busy.ledger.days_on = 2

    def less(close):
        positions = list(close.positions_cents)
        positions[0] += 5
        positions[1] -= 5
        return replace(close, positions_cents=tuple(positions), orders=close.orders + 1)

    busy.ledger.lies[1] = less
    names = names_of(busy)
    file = tmp_path / "day.close"
    settled = busy.run("close-day", DATE, "-o", str(file))
    assert settled.exit_code == 0
    differs = (
        f"{names[1]} differs: 4 orders instead of 3, +5 cents in the position of {names[0]}, "
        f"-5 cents in the position of {names[1]}.\n"
    )
    assert differs in settled.stdout
    assert differs in busy.run("close-day", "--check", str(file)).stdout
    busy.stop(3)
    unsettled = busy.run("close-day", DATE)
    assert unsettled.exit_code == 1
    assert f"{names[3]} is missing: {names[3]} cannot be reached." in unsettled.stdout
    assert unsettled.stderr == (
        f"{DATE} is not settled: 2 of the 3 super-agents that are needed have signed the same.\n"
    )


def test_without_flows_no_file_is_written(busy, tmp_path, monkeypatch):
    async def other_flows(desk, day):
        return b""

    busy.ledger.days_on = 2
    monkeypatch.setattr(Desk, "flows", other_flows)
    file = tmp_path / "day.close"
    result = busy.run("close-day", DATE, "-o", str(file))
    assert (result.exit_code, result.stderr) == (
        1,
        f"Nobody tells the flows of {DATE}, so no file is written.\n",
    )
    assert not file.exists()
    assert busy.run("close-day", DATE).exit_code == 0, "the day is settled all the same"


def test_a_forger_is_named(busy):
    busy.ledger.days_on = 2
    busy.ledger.lies[2] = lambda close: replace(close, day=close.day + 1)
    document = last_json(busy.run("close-day", DATE, "--json"))
    assert document["differing"] == [
        {"super_agent": names_of(busy)[2], "by": "it is of another day"}
    ]


def test_nobody_answers(served):
    for index in range(4):
        served.stop(index)
    result = served.run("close-day", DATE)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"No super-agent says anything of {DATE}: ")


def test_a_day_ahead_is_no_day_yet(served):
    result = served.run("close-day", day_text(TODAY + 9))
    assert result.exit_code == 1
    assert "says: This day has not begun" in result.stderr


@pytest.mark.parametrize(
    "words", [("2026-13-01",), ("tomorrow",), ("65536",), ("٣",), ("1969-12-31",)]
)
def test_what_is_no_day_is_wrong_usage(served, words):
    result = served.run("close-day", *words)
    assert result.exit_code == 2
    assert "is no day" in result.stderr


def test_check_takes_nothing_else(served, tmp_path):
    file = tmp_path / "x"
    file.write_bytes(b"")
    assert served.run("close-day", DATE, "--check", str(file)).exit_code == 2


# -- trust ----------------------------------------------------------------------------------------


def test_circulation_is_what_the_banks_owe_and_a_quarter_in_one_rings(busy):
    result = busy.run("trust")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("more than a quarter of the trust money") == 2, "there are two banks"
    assert result.stdout.endswith(f"So say {', '.join(names_of(busy))}.\n")
    document = last_json(busy.run("trust", "--json"))
    assert document["circulation_cents"] == document["owed_cents"] > 0
    assert (document["alarms"], document["agreeing"], document["needed"]) == (2, 4, 2)


def test_a_liar_about_the_trust_is_outvoted_and_named(busy):
    def lie(line):
        return replace(line, circulation_cents=line.circulation_cents + 1)

    busy.ledger.lies["trust", 0] = lie
    document = last_json(busy.run("trust", "--json"))
    assert [row["super_agent"] for row in document["differ"]] == names_of(busy)[:1]
    assert document["sentence"] is None
    for index in (1, 2, 3):
        busy.ledger.lies["trust", index] = lie
    result = busy.run("trust")
    assert (result.exit_code, result.stderr) == (
        1,
        "E-money in circulation is not what the banks owe.\n",
    )


def test_a_bank_above_its_limit_and_too_few_answers_are_said(busy):
    for index in range(4):
        busy.ledger.lies["trust", index] = lambda line: trust_line(
            700, [(bank.account, -350, 100) for bank in line.banks]
        )
    result = busy.run("trust")
    assert (result.exit_code, result.stderr) == (1, "bank-1 owes more than it has attested.\n")
    for index in (1, 2, 3):
        busy.stop(index)
    result = busy.run("trust")
    assert (result.exit_code, result.stderr) == (
        1,
        "Only 1 super-agents say the same, and 2 must.\n",
    )


# -- flags and exports ----------------------------------------------------------------------------


def test_flags_are_told_with_their_sentence_and_written(busy, tmp_path):
    one, two = account(busy, "customer-1"), account(busy, "customer-2")
    for number in (one, two):
        busy.ledger.accounts[number]["balance"] += 1_000_000_00
    for _ in range(2):
        assert busy.run("pay", "customer-1", "customer-2", "240,000", "--yes").exit_code == 0
    file = tmp_path / "flags.csv"
    result = busy.run("flags", DATE, "--csv", str(file), "--json")
    assert result.exit_code == 0, result.stderr
    document = last_json(result)
    assert document["orders"] == 5
    (flag,) = document["flags"]
    assert (flag["flag"], flag["account"], flag["amount_cents"]) == ("below_limit", one, 480_000_00)
    rows = rows_in(file)
    assert list(rows[0]) == [column.name for column in FLAG_COLUMNS]
    assert rows[0]["sentence"] == flag["sentence"]
    shown = busy.run("flags", DATE)
    assert flag["sentence"] in shown.stdout


def test_rules_are_explained_without_asking(served):
    for index in range(4):
        served.stop(index)
    result = served.run("flags", "--rules")
    assert result.exit_code == 0
    assert "fan_in_fan_out" in result.stdout
    assert "thresholds" in last_json(served.run("flags", "--rules", "--json"))


def test_a_days_orders_as_csv(busy, tmp_path):
    file = tmp_path / "day.csv"
    result = busy.run("export", DATE, "-o", str(file), "--json")
    assert result.exit_code == 0, result.stderr
    assert last_json(result)["rows"] == 3
    rows = rows_in(file)
    assert list(rows[0]) == [column.name for column in ORDER_COLUMNS]
    first, second = names_of(busy)[:2]
    amounts = {row["amount_cents"] for row in rows if row["payer_super_agent"] == first}
    assert amounts == {"10000", "5000"}
    assert {row["payee_super_agent"] for row in rows} == {first, second}
    assert {row["kind"] for row in rows} == {"send"}
    assert all(len(row["receipt_code"]) == 10 for row in rows)
    assert not list(tmp_path.glob(".*")), "nothing half-written is left"


def test_the_same_orders_as_parquet(busy, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    comma, file = tmp_path / "day.csv", tmp_path / "day.parquet"
    assert busy.run("export", DATE, "-o", str(comma)).exit_code == 0
    result = busy.run("export", DATE, "-o", str(file))
    assert result.exit_code == 0, result.stderr
    found = parquet.read_table(file)
    assert str(found.schema.field("amount_cents").type) == "int64"
    rows = [{name: str(value) for name, value in row.items()} for row in found.to_pylist()]
    assert rows == rows_in(comma)


def test_parquet_without_its_extra_says_what_to_install(busy, tmp_path, monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(tables, "import_module", absent)
    file = tmp_path / "day.parquet"
    result = busy.run("export", DATE, "-o", str(file))
    assert result.exit_code == 1
    assert result.stderr == (
        "Parquet needs pyarrow: install it with `pip install pyarrow`, or write a .csv.\n"
    )
    assert not file.exists()


@pytest.mark.parametrize(
    ("what", "columns"),
    [
        ("positions", POSITION_COLUMNS),
        ("flags", FLAG_COLUMNS),
        ("accounts-by-kind", ACCOUNT_COLUMNS),
    ],
)
def test_other_exports(busy, tmp_path, what, columns):
    file = tmp_path / "table.csv"
    result = busy.run("export", DATE, "--what", what, "-o", str(file))
    assert result.exit_code == 0, result.stderr
    lines = file.read_text().splitlines()
    assert lines[0] == ",".join(column.name for column in columns)
    rows = rows_in(file)
    if what == "positions":
        assert sum(int(row["position_cents"]) for row in rows) == 0
        assert [int(row["position_cents"]) for row in rows[:2]] == [-120_00, 120_00]
    if what == "accounts-by-kind":
        customers = [row for row in rows if row["kind"] == "customer"]
        assert sum(int(row["accounts"]) for row in customers) == 3 + 2, "the sandbox has two more"
        assert {row["super_agent"] for row in rows} == set(names_of(busy))


def test_accounts_are_of_today_only_and_files_of_two_sorts(busy, tmp_path):
    day = day_text(TODAY - 1)
    result = busy.run("export", day, "--what", "accounts-by-kind", "-o", str(tmp_path / "x.csv"))
    assert result.exit_code == 1
    assert (
        result.stderr
        == f"What accounts hold is known of now only: ask for {DATE}, which is today.\n"
    )
    result = busy.run("export", DATE, "-o", str(tmp_path / "x.txt"))
    assert (result.exit_code, result.stderr) == (
        1,
        "The file x.txt is neither a .csv nor a .parquet file.\n",
    )
    assert list(tmp_path.glob("*.csv")) == []


def test_one_super_agent_by_name(busy, tmp_path):
    file = tmp_path / "day.csv"
    assert busy.run("export", DATE, "-o", str(file), "--via", names_of(busy)[2]).exit_code == 0
    result = busy.run("export", DATE, "-o", str(file), "--via", "nobody")
    assert result.exit_code == 1
    assert result.stderr.startswith("There is no super-agent nobody; there are ")
