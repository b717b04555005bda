"""`harambee outage`: what a person types, and the picture that it draws."""

import io
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from harambee.cli.main import main
from harambee.cli.outage import MINUTES_A_DAY, _minute, _span
from harambee.sim.outage_ledger import Settings, keep_ledger
from harambee.sim.outage_picture import HEIGHT_PX, PNG_SCALE, WIDTH_PX, as_png, as_svg

SVG = "{http://www.w3.org/2000/svg}"


def run(*words):
    return CliRunner().invoke(main, ["outage", *words])


@pytest.fixture(scope="module")
def ledger():
    return keep_ledger(Settings(super_agents=4, down=2, minutes_each=30))


def test_help_has_examples():
    result = run("--help")
    assert result.exit_code == 0
    assert "harambee outage --down 34 --json" in result.stdout


def test_json_is_the_last_line_and_says_who_paid_on(tmp_path):
    plot = tmp_path / "evening"
    result = run("--super-agents", "4", "--json", "--plot", str(plot))
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout.splitlines()[-1])
    assert (found["super_agents"], found["down"], found["seed"]) == (4, 1, 1)
    assert (found["from"], found["to"]) == ("17:00", "21:00")
    assert found["silent_minutes"] == found["shillings_lost"] == 0
    assert found["central_silent_minutes"] == 240
    in_outage = found["shillings_in_outage"]
    assert 0 < found["central_shillings_lost"] < in_outage
    assert found["central_shillings_delayed"] > 0
    assert {file.name for file in tmp_path.iterdir()} == {"evening.svg", "evening.png"}


def test_people_read_what_was_simulated_scaled_and_assumed():
    result = run("--super-agents", "4", "--down", "2", "--from", "06:00", "--for", "30m")
    assert result.exit_code == 0, result.output
    for words in ("halted", "Simulated:", "Scaled:", "Assumed:", "How long in a year"):
        assert words in result.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("--super-agents", "3"),
        ("--super-agents", "101"),
        ("--super-agents", "4", "--down", "5"),
        ("--from", "25:00"),
        ("--from", "5pm"),
        ("--for", "0h"),
        ("--for", "4"),
        ("--from", "22:00", "--for", "3h"),
        ("--again", "101"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_is_wrong_usage(words):
    assert run(*words).exit_code == 2


@given(st.one_of(st.text(max_size=12), st.from_regex(r"[0-9]{1,5}[:mh][0-9]{0,3}", fullmatch=True)))
def test_times_are_in_a_day_or_refused(text):
    for read in (_minute, _span):
        try:
            found = read(None, None, text)
        except click.BadParameter:
            continue
        assert 0 <= found <= MINUTES_A_DAY


def test_a_plot_that_cannot_be_written_is_one_sentence(tmp_path):
    words = ("--super-agents", "4", "--for", "10m", "--plot", str(tmp_path / "none" / "a.svg"))
    result = run(*words)
    assert result.exit_code == 1
    assert "No such file" in result.stderr


def test_the_svg_is_a_picture_with_both_systems(ledger):
    root = ET.fromstring(as_svg(ledger))
    assert root.get("viewBox") == f"0 0 {WIDTH_PX} {HEIGHT_PX}"
    words = [text.text for text in root.iter(f"{SVG}text")]
    assert "17:00 to 21:00: the switch in the middle down; 2 of 4 super-agents down" in words
    assert "paid by this network" in words
    for line in root.iter(f"{SVG}polyline"):
        for place in line.get("points").split():
            x, y = map(float, place.split(","))
            assert 0 <= x <= WIDTH_PX
            assert 0 <= y <= HEIGHT_PX


def test_the_png_is_the_same_picture_twice_as_large(ledger):
    image = Image.open(io.BytesIO(as_png(ledger)))
    assert image.size == (WIDTH_PX * PNG_SCALE, HEIGHT_PX * PNG_SCALE)
    assert len(image.getcolors(1 << 20)) > 10
    assert as_png(ledger) == as_png(ledger)


def test_the_output_is_the_same_whatever_pythons_hash_seed():
    def said(hash_seed):
        words = (sys.executable, "-m", "harambee", "outage", "--super-agents", "4", "--json")
        settings = os.environ | {"PYTHONHASHSEED": hash_seed}
        return subprocess.run(words, env=settings, check=True, capture_output=True).stdout

    assert said("1") == said("2")
