"""`harambee replay --percent` before it starts a network; the rest is an acceptance test."""

import pytest
from click.testing import CliRunner

from harambee.cli.replay import replay


@pytest.mark.parametrize("option", [["--hour", "18"], ["--limit", "9"], ["--rate", "5"]])
def test_a_part_of_the_month_is_no_hour_of_it(tmp_path, option):
    file = tmp_path / "month.csv"
    file.write_text("step,action\n")
    found = CliRunner().invoke(replay, [str(file), "--percent", "1", *option])
    assert found.exit_code == 2
    assert "--percent is of the whole month" in found.stderr


@pytest.mark.parametrize("percent", ["0", "100.1", "-1", "much"])
def test_a_percentage_that_is_none(percent):
    assert CliRunner().invoke(replay, ["--percent", percent]).exit_code == 2


def test_too_small_a_part_is_one_sentence():
    found = CliRunner().invoke(replay, ["--percent", "0.0001"])
    assert found.exit_code == 1
    assert found.stderr == "So small a part of the month has no transactions.\n"
