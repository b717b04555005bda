"""`harambee qr`: what it writes it reads, and whatever is wrong is one sentence."""

import json

import pytest
from click.testing import CliRunner

from harambee.cli.qr import qr


def run(*arguments):
    return CliRunner().invoke(qr, [str(argument) for argument in arguments])


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_file_is_written(tmp_path, suffix):
    file = tmp_path / f"till.{suffix}"
    found = run("write", "till 174379", "Duka la Mama", "--amount", "1,200", "-o", file)
    assert found.exit_code == 0, found.output
    assert file.stat().st_size > 500
    if suffix == "png":
        told = json.loads(run("read", file, "--json").output)
        assert (told["number"], told["amount_cents"]) == ("till 174379", 120_000)
        assert "Ksh1,200.00, at till 174379" in run("read", file).output


def test_a_text_is_read():
    text = json.loads(run("write", "0712 345678", "Customer 1", "--json").output)["text"]
    assert "as much as you like, at +254712345678" in run("read", text).output


@pytest.mark.parametrize(
    "arguments",
    [
        ("write", "till 1", "Shop"),
        ("write", "till 174379", " "),
        ("write", "till 174379", "Shop", "--amount", "much"),
        ("write", "till 174379", "Shop", "--amount", "0"),
        ("read", "nothing of the sort"),
    ],
)
def test_what_is_wrong_is_one_sentence(arguments):
    found = run(*arguments)
    assert found.exit_code == 1
    assert found.output.strip().endswith((".", "1,000.50"))


def test_a_picture_without_a_code_is_refused(tmp_path):
    file = tmp_path / "nothing.png"
    file.write_bytes(b"not a picture")
    assert run("read", file).exit_code == 1


def test_another_suffix_is_wrong_usage(tmp_path):
    found = run("write", "till 174379", "Shop", "-o", tmp_path / "till.gif")
    assert found.exit_code == 2
