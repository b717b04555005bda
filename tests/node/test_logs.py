"""A log for programs: one JSON object a line, whatever is said."""

import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.node.logs import JsonLines, begin_log


def record(message, *words, error=None):
    told = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("harambee.node.links", logging.WARNING, "", 0, message, words, told)


def test_a_line_says_when_who_what_and_how_bad():
    line = JsonLines(["amani"]).format(record("no link to %s", "baraka"))
    said = json.loads(line)
    assert said.pop("time").endswith("+00:00")
    assert said == {
        "level": "warning",
        "logger": "harambee.node.links",
        "message": "no link to baraka",
        "super_agent": "amani",
    }


def test_an_error_stands_with_its_traceback_in_the_same_line():
    try:
        (1).to_bytes(0, "little")
    except OverflowError as error:
        line = JsonLines(["amani", "baraka"]).format(record("it failed", error=error))
    assert "\n" not in line
    said = json.loads(line)
    assert said["error"].startswith("Traceback")
    assert "OverflowError: " in said["error"]
    assert said["super_agent"] == "amani, baraka"


@given(st.text())
def test_whatever_is_said_is_one_line_that_reads_back(message):
    line = JsonLines(["amani"]).format(record(message.replace("%", "%%")))
    assert len(line.splitlines()) == 1
    assert json.loads(line)["message"] == message.replace("%", "%%")


@pytest.fixture
def log_as_it_was():
    """Pytest's own handlers come back."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers[:] = []
    yield
    root.handlers[:], root.level = before


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_log_goes_to_standard_error_from_its_level_on(log_format, log_as_it_was, capsys):
    begin_log("warning", log_format, ["amani"])
    log = logging.getLogger("harambee.node.test")
    log.info("this is not said")
    log.warning("this is said")
    sys.stderr.flush()
    (line,) = capsys.readouterr().err.splitlines()
    assert "this is said" in line
    assert line.startswith("{") == (log_format == "json")
