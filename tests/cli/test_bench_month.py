"""`harambee bench month` as people and programs see it."""

import json

import pytest
from click.testing import CliRunner

from harambee.cli.bench import bench

SMALL = ["month", "--customers", "3000", "--super-agents", "2"]


def test_people_read_what_was_refused_who_earned_and_that_the_books_close():
    found = CliRunner().invoke(bench, SMALL)
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert lines[0].endswith("of 4,954 transactions were accepted; refused:")
    assert any(line.endswith("excise, remitted") for line in lines)
    assert any(line.endswith("their head offices") for line in lines)
    assert lines[-1] == "The books close to the cent; money is conserved."


def test_programs_read_one_object_on_the_last_line():
    found = CliRunner().invoke(bench, [*SMALL, "--json"])
    figures = json.loads(found.stdout.splitlines()[-1])
    assert (
        figures["transactions"] == figures["accepted"] + sum(figures["refused"].values()) == 4_954
    )
    assert figures["closes"]
    assert figures["conserved"]
    assert figures["accounts"] > 3_000


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("nothing\n1\n", "No.csv does not have the columns and numbers expected: 'step'.\n"),
        ("step,action\n", "There is no row in the statistics.\n"),
    ],
)
def test_a_table_that_is_none_is_one_sentence(tmp_path, content, sentence):
    file = tmp_path / "no.csv"
    file.write_text(content)
    found = CliRunner().invoke(bench, [*SMALL, str(file)])
    assert found.exit_code == 1
    assert found.stderr == sentence


def test_books_that_do_not_close_fail(monkeypatch):
    from harambee.traffic import bench_month

    honest = bench_month.closing_cents

    def off_by_one(*about):
        expected = honest(*about)
        expected["balances"]["excise"] += 1
        return expected

    monkeypatch.setattr(bench_month, "closing_cents", off_by_one)
    found = CliRunner().invoke(bench, SMALL)
    assert found.exit_code == 1
    assert "The books DO NOT CLOSE" in found.stdout
