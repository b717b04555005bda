"""What a person at the terminal types, reads and gets back as an exit status."""

import asyncio
import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import click
import pytest
from click.testing import CliRunner

from harambee.cli.main import COMMANDS, main
from harambee.cli.parties import Parties
from harambee.cli.terminal import FailureError, network_words, one_sentence, program
from harambee.cli.window import window_seconds
from harambee.crypto.hashing import TAG_ORDER, signed_prefix
from harambee.crypto.keys import public_of, verify
from harambee.crypto.p256 import P256KeyPair
from harambee.handset.doors import open_doors
from harambee.handset.network_file import read_network
from harambee.ledger.days import EAST_AFRICA
from harambee.ledger.records import KEY_TYPE_SHIFT, key_of
from harambee.node.outbox import Outbox
from harambee.node.texts import Text
from harambee.texts.languages import Language


def run(*words):
    return CliRunner().invoke(main, words)


def last_json(result):
    return json.loads(result.stdout.splitlines()[-1])


def test_help_lists_every_command_and_imports_none():
    result = run("--help")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in COMMANDS)
    code = (
        "import sys; from click.testing import CliRunner; from harambee.cli.main import main;"
        "CliRunner().invoke(main, ['--help']);"
        "sys.exit(any(name in sys.modules for name in ('numpy', 'numba', 'aiohttp')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", [n for n in COMMANDS if n not in ("replay", "demo", "bench")])
def test_every_command_explains_itself(name):
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout or name == "cancel"


def test_paying_is_quick_to_start_with():
    code = (
        "import sys, harambee.cli.pay;"
        "sys.exit(any(name in sys.modules for name in ('numpy', 'numba', 'aiohttp')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_payment_is_final_and_says_so(served):
    result = served.run("pay", "customer-1", "customer-2", "100")
    assert result.exit_code == 0, result.stderr
    receipts, text = result.stdout.splitlines()
    assert "signed receipts of" in receipts
    assert re.fullmatch(
        r"\w{10} Confirmed\. Ksh100\.00 sent to customer-2 on \d+/\d+/\d\d at \d+:\d\d [AP]M\. "
        r"New Harambee balance is Ksh4,900\.00\. Transaction cost, Ksh0\.00\.",
        text,
    )
    before = served.run("balance", "customer-2", "--json")
    assert last_json(before)["balance_cents"] == 510_000


def test_a_payment_as_json(served):
    result = served.run("pay", "customer-1", "0700000002", "1,000.50", "--json", "--via", "chapa")
    document = last_json(result)
    assert (document["status"], document["amount_cents"]) == ("final", 100_050)
    assert len(document["receipts"]) == 2
    assert document["via"] in (None, "chapa")


@pytest.mark.parametrize("dead", range(4))
def test_any_super_agent_may_be_dead(served, dead):
    served.stop(dead)
    for _ in range(2):
        result = served.run("pay", "customer-1", "customer-3", "50")
        assert result.exit_code == 0, result.stderr


def test_a_payment_beyond_the_balance_is_refused_and_the_next_one_works(served):
    result = served.run("pay", "customer-1", "customer-2", "99999")
    assert result.exit_code == 1
    assert result.stderr == "The balance does not cover the amount and the fee.\n"
    assert served.run("pay", "customer-1", "customer-2", "100").exit_code == 0
    lines = last_json(served.run("statement", "customer-1", "--json"))["lines"]
    assert [line["order"]["kind"] for line in lines] == ["send", "cancel"]


def test_a_payee_by_telephone_is_shown_masked(served):
    result = served.run("pay", "customer-1", "0700000002", "100")
    assert "sent to customer-2 0700***002 on" in result.stdout


def texted(served, index, *accounts):
    outbox = Outbox(served.network.node(index).texts_folder)
    texts = [
        Text(account, Language.ENGLISH, "sent", f"UC{account:08d}", account, f"To {account}.")
        for account in accounts
    ]
    asyncio.run(outbox.send(texts))


def test_texts_that_have_left(served):
    assert served.run("texts").stdout == "No texts have left yet.\n"
    two = next(row.account for row in served.network.demo() if row.name == "customer-2")
    texted(served, 0, 3, two)
    texted(served, 1, 4)
    first, second = served.network.names[:2]
    assert served.run("texts").stdout.splitlines() == [
        f"{first} to account 3: To 3.",
        f"{second} to account 4: To 4.",
        f"{first} to account {two}: To {two}.",
    ]
    assert served.run("texts", "customer-2").stdout == f"{first} to account {two}: To {two}.\n"
    (text,) = last_json(served.run("texts", "--super-agent", second, "--json"))["texts"]
    assert (text["super_agent"], text["account"], text["segments"]) == (second, 4, 1)
    assert served.run("texts", "--limit", "1").stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (["--follow", "--json"], 2, "does not end"),
        (["--super-agent", "nobody"], 1, "There is no super-agent nobody here"),
        (["nobody"], 1, "nobody with a key"),
    ],
)
def test_texts_that_cannot_be_shown(served, words, status, sentence):
    result = served.run("texts", *words)
    assert (result.exit_code, sentence in result.stderr) == (status, True)


def paid_twice(served):
    assert served.run("pay", "customer-1", "customer-2", "100").exit_code == 0
    assert served.run("pay", "customer-1", "customer-3", "200").exit_code == 0


def test_a_whole_statement_as_text(served):
    paid_twice(served)
    shown = served.run("statement", "customer-1", "--format", "text")
    assert shown.exit_code == 0, shown.stderr
    assert "Opening Balance  Ksh 5,000.00\n" in shown.stdout
    assert "Customer Transfer to customer-3" in shown.stdout
    balance = last_json(served.run("balance", "customer-1", "--json"))["balance_cents"]
    assert f"Closing Balance  Ksh {balance // 100:,}.{balance % 100:02d}\n" in shown.stdout
    received = served.run("statement", "customer-2", "--format", "text").stdout
    assert "Funds Received from customer-1" in received


def test_a_whole_statement_as_csv_and_pdf(served, tmp_path):
    paid_twice(served)
    shown = served.run("statement", "customer-1", "--format", "csv")
    assert shown.stdout_bytes.startswith(b"Receipt No.,Completion Time,Details,")
    assert shown.stdout_bytes.count(b"\r\n") == 6
    file = tmp_path / "statement.pdf"
    made = served.run("statement", "customer-1", "--format", "pdf", "-o", str(file), "--json")
    assert made.exit_code == 0, made.stderr
    assert last_json(made)["rows"] == 3
    assert file.read_bytes().startswith(b"%PDF-")
    to_nowhere = served.run("statement", "customer-1", "-o", str(tmp_path))
    assert to_nowhere.exit_code == 2
    assert served.run("statement", "customer-1", "-o", str(file / "x")).exit_code == 1


def test_a_statement_of_a_period(served):
    paid_twice(served)
    today = datetime.now(UTC).astimezone(EAST_AFRICA).date()
    assert "Customer" in served.run("statement", "customer-1", "--from", str(today)).stdout
    before = served.run("statement", "customer-1", "--to", str(today - timedelta(days=1))).stdout
    assert "Nothing moved the account in this period." in before
    assert "Closing Balance  Ksh 5,000.00" in before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--format", "pdf", "--limit", "5"], "--limit is for the short list"),
        (["--from", "2026-03-01", "--before", "5"], "--before is for the short list"),
        (["--format", "csv", "--json"], "-o FILE"),
        (["--from", "2026-03-02", "--to", "2026-03-01"], "ends before it begins"),
        (["--from", "1/3/2026"], "does not match the format"),
    ],
)
def test_statements_that_cannot_be_asked_for(served, words, sentence):
    result = served.run("statement", "customer-1", *words)
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_somebody_registers_is_paid_and_pays(served):
    made = served.run("register", "wanjiku", "--telephone", "0712345678", "--json")
    assert made.exit_code == 0, made.stderr
    account = last_json(made)["account"]
    assert served.run("pay", "customer-1", "0712345678", "500").exit_code == 0
    assert served.run("pay", str(account), "customer-1", "100").exit_code == 0
    assert served.run("pay", "wanjiku", "customer-1", "100").exit_code == 0
    assert "Ksh300.00" in served.run("balance", "wanjiku").stdout
    again = served.run("register", "wanjiku")
    assert (again.exit_code, again.stderr.count("\n")) == (1, 1)


def test_somebody_whose_key_is_a_phones_registers_is_paid_and_pays(served):
    words = ("register", "baraka", "--key-type", "p256", "--name", "Baraka Otieno", "--json")
    made = served.run(*words)
    assert made.exit_code == 0, made.stderr
    opened = last_json(made)
    key = json.loads((served.folder / "handsets" / "baraka" / "owner.key").read_text())
    assert (key["version"], key["type"]) == (2, "p256")
    keypair = P256KeyPair(bytes.fromhex(key["seed"]))
    assert keypair.public.hex() == opened["key"]
    record = served.ledger.accounts[opened["account"]]
    assert key_of(record[0]) == public_of(keypair)
    assert served.run("pay", "customer-1", "baraka", "500").exit_code == 0
    assert served.run("pay", "baraka", "customer-1", "100").exit_code == 0
    order = served.ledger.final[opened["account"], 0]
    prefix = signed_prefix(TAG_ORDER, served.ledger.network.genesis.network)
    assert verify(public_of(keypair), prefix + order[:64], order[64:])


@pytest.mark.parametrize("form", [0, 1, 5, 2, 3])
def test_a_door_is_believed_how_an_accounts_key_is_meant(served, form):
    """Also where its type has no name here: such an account can still be paid."""
    parties = Parties(served.folder, served.ledger.network.genesis.network)
    number = parties.payee("customer-2")
    served.ledger.accounts[number]["flags"] |= form << KEY_TYPE_SHIFT

    async def ask():
        async with open_doors(read_network(served.folder).doors[:1]) as doors:
            return await doors[0].account(number)

    view = asyncio.run(ask())
    assert view.public == key_of(served.ledger.accounts[number])
    assert view.key_form == form
    assert served.run("pay", "customer-1", "customer-2", "5").exit_code == 0


def test_a_key_of_no_type_that_there_is(served):
    result = served.run("register", "baraka", "--key-type", "p521")
    assert (result.exit_code, "'p521' is not one of 'ed25519', 'p256'" in result.stderr) == (
        2,
        True,
    )


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (["pay", "customer-1", "nobody", "5"], 1, "nobody with a key"),
        (["pay", "nobody", "customer-1", "5"], 1, "nobody with a key"),
        (["pay", "customer-1", "4000000000", "5"], 1, "The receiving account does not exist."),
        (["pay", "customer-1", "0799999999", "5"], 1, "No account is registered"),
        (["pay", "customer-1", "customer-1", "5"], 1, "Payer and payee are the same account."),
        (["pay", "customer-1", "customer-2", "0"], 1, "more than nothing"),
        (["pay", "customer-1", "customer-2", "-5"], 1, "is not an amount"),
        (["pay", "customer-1", "customer-2", "1e9"], 1, "is not an amount"),
        (["pay", "customer-1", "customer-2", "9" * 30], 1, "above the largest amount"),
        (["pay", "customer-1", "customer-2", "5", "--via", "nobody"], 1, "no super-agent nobody"),
        (["pay", "customer-1", "customer-2"], 2, "Missing argument"),
        (["pay", "customer-1", "customer-2", "5", "--kind", "gift"], 2, "Invalid value"),
        (["cancel", "customer-1"], 1, "There is no open payment to cancel."),
        (["balance", "nobody"], 1, "nobody with a key"),
        (["register", "../evil"], 2, "a name begins with a letter"),
        (["fly"], 2, "No such command"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(served, words, status, sentence):
    result = served.run(*words)
    assert (result.exit_code, sentence in result.stderr) == (status, True), result.stderr
    assert "Traceback" not in result.stderr
    if status == 1:
        assert result.stderr.count("\n") == 1


def test_nobody_there_and_nothing_there(tmp_path):
    nothing = run("--network", str(tmp_path / "none"), "balance", "customer-1", "--json")
    assert nothing.exit_code == 1
    assert "There is no network" in nothing.stderr
    assert last_json(nothing)["status"] == "error"
    made = run("init", "--network", str(tmp_path / "net"), "--http-port", "1", "--json")
    assert made.exit_code == 0
    assert len(last_json(made)["super_agents"]) == 4
    twice = run("init", "--network", str(tmp_path / "net"))
    assert (twice.exit_code, twice.stderr.count("\n")) == (1, 1)
    dead = run("--network", str(tmp_path / "net"), "pay", "customer-1", "customer-2", "5")
    assert (dead.exit_code, "No super-agent can be reached" in dead.stderr) == (1, True)


def test_the_folder_may_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("HARAMBEE_NETWORK", str(tmp_path / "from-environment"))
    assert "from-environment" in run("balance", "x").stderr
    assert "before" in run("--network", str(tmp_path / "before"), "balance", "x").stderr
    assert "after" in run("balance", "x", "--network", str(tmp_path / "after")).stderr


def test_up_names_a_port_that_is_taken(served):
    result = served.run("up")
    assert result.exit_code == 1
    assert "cannot listen on 127.0.0.1" in result.stderr
    assert result.stderr.count("\n") == 1


def test_up_does_not_resize_a_network(served):
    result = served.run("up", "--super-agents", "7")
    assert (result.exit_code, "has 4 super-agents" in result.stderr) == (1, True)


def test_a_node_without_a_configuration_says_so(tmp_path):
    result = run("node", "--config", str(tmp_path / "node.toml"))
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert run("node").exit_code == 2


def test_expected_errors_become_sentences(capsys):
    with (
        pytest.raises(FailureError, match=r"^A thing is missing\.$"),
        one_sentence(KeyError, ValueError, as_json=True),
    ):
        raise ValueError("a thing is missing")
    assert json.loads(capsys.readouterr().out)["sentence"] == "A thing is missing."


def test_examples_can_be_pasted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / ".venv" / "bin" / "harambee")])
    assert program() == ".venv/bin/harambee"
    assert network_words(tmp_path / "harambee-network") == ""
    assert network_words(tmp_path / "a b").startswith(" --network '/")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), (" 1H ", 3_600), ("24h", 86_400)]
)
def test_a_window_is_so_many_seconds(text, seconds):
    assert window_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "0s", "10", "m", "-5m", "25h", "1d", "9999999s", "1.5h", "\u0661m"]
)
def test_what_is_no_window_is_wrong_usage(text):
    with pytest.raises(click.UsageError, match="--window is so many"):
        window_seconds(text)
