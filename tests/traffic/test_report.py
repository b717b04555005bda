"""What people read and what programs read, and how the commands say no."""

import json

import pytest
from click.testing import CliRunner

from harambee.cli.bench import bench
from harambee.cli.demo import demo
from harambee.cli.replay import replay
from harambee.traffic import report
from harambee.traffic.book import Tally
from harambee.traffic.verdict import Verdict

TALLY = Tally(
    offered=100,
    final=70,
    rejected=28,
    unanswered=2,
    cancelled=28,
    reasons={"FEE_WRONG": 1, "BALANCE_INSUFFICIENT": 27},
    seconds=2.0,
    final_per_second=35.0,
    latency_ms_p50=40.0,
    latency_ms_p99=90.0,
)
CLEAN = Verdict(0, 0, 0, conserved=True, digests_equal=True, entries=98, examined=4)
BROKEN = Verdict(3, 500, 1, conserved=False, digests_equal=False, entries=98, examined=4)
REQUIRED = {
    "offered",
    "final",
    "rejected",
    "lost",
    "duplicated",
    "conserved",
    "digests_equal",
    "seconds",
    "final_per_second",
    "latency_ms_p50",
    "latency_ms_p99",
    "super_agents",
    "killed",
    "seed",
}


def test_programs_find_every_field_they_may_count_on():
    document = report.as_json(TALLY, CLEAN, super_agents=4, killed=1, seed=9)
    assert set(document) >= REQUIRED
    assert json.loads(json.dumps(document)) == document


def test_people_read_sentences_and_the_commonest_reason_first():
    text = "\n".join(report.lines(TALLY, CLEAN))
    assert "70 became final (70%), 35 a second." in text
    assert text.index("27 times: The balance does not cover") < text.index("1 times: The fee")
    assert "2 were never answered." in text
    assert "Lost: 0. Paid twice: 0. Money made or destroyed: none." in text
    assert "the same ledger, byte for byte" in text


def test_what_went_wrong_is_not_whispered():
    text = "\n".join(report.verdict_lines(BROKEN))
    assert "Lost: 3. Paid twice: 1. Money made or destroyed: YES." in text
    assert "DIFFERENT ledgers" in text


@pytest.mark.parametrize(
    ("verdict", "clean"),
    [
        (CLEAN, True),
        (Verdict(1, 1, 0, conserved=True, digests_equal=True, entries=1, examined=4), False),
        (Verdict(0, 0, 1, conserved=True, digests_equal=True, entries=1, examined=4), False),
        (Verdict(0, 0, 0, conserved=False, digests_equal=True, entries=1, examined=4), False),
        (Verdict(0, 0, 0, conserved=True, digests_equal=False, entries=1, examined=4), False),
    ],
)
def test_only_a_clean_verdict_is_clean(verdict, clean):
    assert verdict.clean is clean


@pytest.mark.parametrize(
    ("command", "arguments", "status", "sentence"),
    [
        (replay, ["--hour", "18"], 2, "--hour chooses an hour of FILE"),
        (replay, ["absent.csv"], 2, "does not exist"),
        (replay, ["--rate", "0"], 2, "is not in the range"),
        (replay, ["--network", "."], 1, "There is no network in"),
        (demo, ["--seconds", "3"], 2, "is not in the range"),
        (bench, ["network", "--accounts", "1"], 2, "is not in the range"),
    ],
)
def test_the_commands_say_no_in_one_sentence(
    tmp_path, monkeypatch, command, arguments, status, sentence
):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == status
    assert sentence in result.stderr
    assert not result.stdout


def test_signatures_are_measured_against_libsodium():
    result = CliRunner().invoke(bench, ["verify", "--signatures", "100", "--json"])
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures["verified_per_second"] > 0
    assert figures["ratio_to_libsodium"] > 0
    assert list(figures["by_batch_size"]) == ["1", "4", "16", "64", "100"]
    assert all(value > 0 for name, value in figures.items() if name.startswith("ratio_"))
