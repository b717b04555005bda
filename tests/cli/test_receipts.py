"""`harambee receipt` and `harambee verify`: what a payer shows, and what a merchant sees of it."""

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from harambee.cli.main import main
from harambee.handset.pictures import read_picture
from harambee.handset.receipts import Receipt


def last_json(result):
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture
def paid(served):
    """A purchase of 250 shillings at till 100001: what `pay --json` said, and the text besides."""
    said = served.run("pay", "customer-1", "till:100001", "250", "--json")
    assert said.exit_code == 0, said.stderr
    return last_json(said)


@pytest.fixture
def proof(served, paid, tmp_path):
    """The proof of it in three files, made while the network was up; then every door is closed."""
    files = [tmp_path / name for name in ("paid.png", "paid.svg", "paid.txt")]
    made = served.run(
        "receipt", "customer-1", paid["receipt_code"], "--qr", files[0], "-o", files[2], "--json"
    )
    assert made.exit_code == 0, made.stderr
    assert served.run("receipt", "customer-1", "0", "--qr", files[1]).exit_code == 0
    for index in range(4):
        served.stop(index)
    named = dict(zip(("png", "svg", "txt"), map(str, files), strict=True))
    return last_json(made) | named


def test_the_payer_gets_a_proof_by_code_or_sequence_and_the_payee_by_code(served, paid):
    by_code = last_json(served.run("receipt", "customer-1", paid["receipt_code"], "--json"))
    assert by_code["order_id"] == paid["order_id"]
    assert (by_code["payee"], by_code["amount_cents"]) == (paid["payee"], 250_00)
    assert len(by_code["super_agents"]) == 2
    assert last_json(served.run("receipt", "customer-1", "0", "--json")) == by_code
    for who in ("till:100001", "till-1", str(paid["payee"])):
        assert last_json(served.run("receipt", who, paid["receipt_code"], "--json")) == by_code


def test_one_super_agent_is_too_few_and_any_two_will_do(served, paid):
    served.stop(0)
    served.stop(3)
    shown = served.run("receipt", "customer-1", "0")
    assert shown.exit_code == 0
    assert "Signed by baraka and chapa." in shown.stdout
    served.stop(1)
    alone = served.run("receipt", "customer-1", "0", "--json")
    assert alone.exit_code == 1
    assert last_json(alone)["sentence"] == "Too few super-agents answer: 1, and 2 must agree."
    assert alone.stderr == "Too few super-agents answer: 1, and 2 must agree.\n"


WRONGLY_ASKED = [
    (["customer-1", "7"], "No payment of account "),
    (["customer-1", "4294967296"], "A sequence is a number from 0 to 4294967295."),
    (["customer-1", "9" * 5_000], "A sequence is a number from 0 to 4294967295."),
    (["customer-1", "UKO"], "This is no receipt code of this network."),
    (["customer-2", None], "The payment with this receipt code is not one of customer-2's."),
    (["nobody", "0"], "'nobody' is nobody"),
    (["customer-1", "0", "-o", "/nowhere/paid.txt"], "Cannot write /nowhere/paid.txt"),
]


def test_what_cannot_be_proven_is_one_sentence(served, paid):
    for words, said in WRONGLY_ASKED:
        result = served.run("receipt", *(paid["receipt_code"] if w is None else w for w in words))
        assert result.exit_code == 1
        assert result.stderr.startswith(said)
        assert result.stderr.count("\n") == 1


def test_a_picture_of_another_sort_is_wrong_usage(served):
    assert served.run("receipt", "customer-1", "0", "--qr", "paid.gif").exit_code == 2
    assert served.run("receipt", "customer-1").exit_code == 2
    assert served.run("verify").exit_code == 2


def test_a_proof_is_verified_with_every_door_closed(served, proof):
    for shown in (proof["proof"], proof["png"], proof["txt"]):
        result = served.run("verify", shown, "--json")
        assert result.exit_code == 0, result.stderr
        document = last_json(result)
        assert document["status"] == "proven"
        assert (
            document.items()
            >= {
                name: proof[name] for name in ("receipt_code", "order_id", "payer", "payee", "day")
            }.items()
        )
    for content in (Path(proof["png"]).read_bytes(), f"\n{proof['proof']}\n".encode()):
        words = ["--network", str(served.folder), "verify", "-"]
        assert CliRunner().invoke(main, words, input=content).exit_code == 0
    for_people = served.run("verify", proof["png"]).stdout
    assert "buy goods, Ksh250.00 from account" in for_people
    assert "Proven by 2 signatures of super-agents." in for_people


def test_the_genesis_alone_is_enough(served, proof, tmp_path):
    alone = tmp_path / "pinned.json"
    alone.write_bytes((served.folder / "genesis.json").read_bytes())
    result = CliRunner().invoke(main, ["verify", proof["png"], "--network", str(alone)])
    assert result.exit_code == 0, result.stderr
    nothing = CliRunner().invoke(main, ["verify", proof["proof"], "--network", str(tmp_path)])
    assert (nothing.exit_code, nothing.stderr.count("\n")) == (1, 1)
    assert "There is no network in" in nothing.stderr


def test_verifying_imports_nothing_that_could_ask(served, proof):
    code = (
        "import socket, sys\n"
        "from click.testing import CliRunner\n"
        "from harambee.cli.main import main\n"
        "def refuse(*_words): raise AssertionError('it asks')\n"
        "socket.socket.connect = refuse\n"
        "socket.getaddrinfo = refuse\n"
        "done = CliRunner().invoke(main, sys.argv[1:])\n"
        "assert done.exit_code == 0, done.output\n"
        "sys.exit(any(name in sys.modules for name in ('aiohttp', 'uvicorn')))\n"
    )
    words = ["--network", str(served.folder), "verify", proof["png"]]
    assert subprocess.run([sys.executable, "-c", code, *words], check=False).returncode == 0


WANTED = [
    (["--payee", "till:100001", "--amount", "250"], None),
    (["--payee", "till-1"], None),
    (["--payee", "customer-2"], "This paid account "),
    (["--payee", "till:100009"], "Without a network this number is nobody"),
    (["--payee", "till:1"], "This is not a short code"),
    (["--amount", "250.01"], "This paid Ksh250.00, which is less than Ksh250.01."),
    (["--amount", "much"], "'much' is not an amount"),
]


def test_a_merchant_says_whom_and_how_much_it_must_have_paid(served, proof):
    for words, said in WANTED:
        result = served.run("verify", proof["png"], *words)
        assert result.exit_code == (0 if said is None else 1), result.output
        assert result.stderr.startswith(said or "")
        assert result.stderr.count("\n") == (0 if said is None else 1)


def test_the_text_that_pay_shows_is_true_and_an_altered_one_is_exposed(served, paid, proof):
    text = (
        f"{paid['receipt_code']} Confirmed. Ksh250.00 paid to KIOSK. on "
        f"{shown_day(proof['day'])} at 5:28 PM."
    )
    true = served.run("verify", proof["proof"], "--text", text, "--json")
    assert true.exit_code == 0, true.stderr
    assert last_json(true)["text_of"] == "payer"
    for old, new, said in (
        ("250.00", "9,250.00", "it says Ksh9,250.00, and proven are Ksh250.00"),
        (paid["receipt_code"], "UKO0000000", "its code is UKO0000000"),
        ("paid to", "paid by", None),
        ("paid to", "sent to", "not worded as the one about buy goods is"),
    ):
        shown = served.run("verify", proof["proof"], "--text", text.replace(old, new), "--json")
        if said is None:
            assert last_json(shown)["text_of"] == "payee"
            continue
        assert shown.exit_code == 1
        assert said in shown.stderr
        assert last_json(shown)["status"] == "error"


def shown_day(day):
    year, month, number = (int(part) for part in day.split("-"))
    return f"{number}/{month}/{year % 100:02d}"


def test_what_is_no_proof_is_one_sentence(served, proof, tmp_path):
    text = proof["proof"]
    forged = tmp_path / "forged.png"
    blank = Image.new("L", (200, 200), 255)
    blank.save(forged)
    long = tmp_path / "long.txt"
    long.write_text(text + "0" * 1_000_000)
    short = tmp_path / "short.png"
    short.write_bytes(Path(proof["png"]).read_bytes()[:400])
    for shown in (
        text[:-3],
        text[:-1] + ("1" if text.endswith("0") else "0"),
        text.lower(),
        "HRB1:",
        "no such file",
        "no\0such file",
        "x" * 10_000,
        str(tmp_path),
        str(forged),
        str(short),
        str(long),
        proof["svg"],
        os.devnull,
    ):
        result = served.run("verify", shown)
        assert result.exit_code == 1, shown[:80]
        assert result.stderr.count("\n") == 1
        assert result.stdout == ""


def test_a_forged_receipt_of_a_door_does_not_count(served, paid, monkeypatch):
    monkeypatch.setattr(Receipt, "holds", lambda *_words: False)
    result = served.run("receipt", "customer-1", "0")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "signs a receipt that does not hold" in result.stderr


def at_a_terminal(words, columns):
    """What a command prints when its output is a terminal of so many columns."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": str(columns)}
    process = subprocess.Popen(
        [sys.executable, "-m", "harambee", *words],
        stdout=theirs,
        stderr=theirs,
        stdin=subprocess.DEVNULL,
        env=environment,
    )
    os.close(theirs)
    content = bytearray()
    while True:
        try:
            piece = os.read(ours, 65_536)
        except OSError:  # a terminal whose other side has gone
            break
        if not piece:
            break
        content += piece
    os.close(ours)
    assert process.wait() == 0, content.decode()
    return content.decode()


def test_a_terminal_shows_the_code_white_on_black(served, paid):
    words = ["--network", str(served.folder), "receipt", "customer-1", "0"]
    shown = at_a_terminal(words, 100)
    lines = [line for line in shown.splitlines() if line.startswith("\x1b[97m\x1b[40m")]
    rows = [line.removeprefix("\x1b[97m\x1b[40m").removesuffix("\x1b[0m") for line in lines]
    halves = {"█": (255, 255), "▀": (255, 0), "▄": (0, 255), " ": (0, 0)}
    pixels = [[halves[sign][half] for sign in row] for row in rows for half in (0, 1)]
    seen = Image.new("L", (len(rows[0]), len(pixels)))
    seen.putdata([pixel for row in pixels for pixel in row])
    content = io.BytesIO()
    seen.resize((seen.width * 4, seen.height * 4), Image.Resampling.NEAREST).save(content, "PNG")
    assert read_picture(content.getvalue()) in shown
    narrow = at_a_terminal(words, 40)
    assert "wider than this terminal: --qr FILE.png writes it." in narrow
    assert "█" not in narrow


def test_a_bulk_pay_out_proves_itself_and_no_payee(served, tmp_path):
    table = tmp_path / "wages.csv"
    table.write_text("customer-2,500\ncustomer-3,600\n")
    paid = served.run("pay-out", "paybill-1", str(table))
    assert paid.exit_code == 0, paid.output
    shown = served.run("receipt", "paybill-1", "0")
    assert "bulk pay out, Ksh1,100.00 by account" in shown.stdout
    assert "Whom it paid stands in its table" in shown.stdout
    text = next(line for line in shown.stdout.splitlines() if line.startswith("HRB1:"))
    assert served.run("verify", text).exit_code == 0
    refused = served.run("verify", text, "--payee", "customer-2")
    assert refused.stderr == "This is a bulk pay-out, and its proof does not say who was paid.\n"
