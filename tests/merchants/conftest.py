"""Desks in one process, whose seconds are short."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.merchants import town as town_module

from harambee.merchants import desk, instructions, post, requests, teller


@pytest.fixture(autouse=True)
def short_seconds(monkeypatch):
    """Make what is waited for in seconds take hundredths."""
    monkeypatch.setattr(post, "PAUSE_S", 0.001)
    monkeypatch.setattr(teller, "DOWN_S", 0.08)
    monkeypatch.setattr(teller, "RETRY_S", (0.02, 0.04))
    monkeypatch.setattr(teller, "DOUBT_S", (0.2, 0.1, 0.1))
    monkeypatch.setattr(teller, "UNANSWERED_S", 0.05)
    monkeypatch.setattr(teller, "LOOK_S", 0.02)
    monkeypatch.setattr(desk, "LOOK_S", 0.03)
    monkeypatch.setattr(instructions, "RETRY_S", 0.02)
    monkeypatch.setattr(requests, "LOOK_S", 0.05)


@pytest.fixture
def folder(tmp_path):
    """Return where stores lie: in memory where there is such a place, for each write waits for its disk."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    with TemporaryDirectory(dir=memory) as made:
        yield Path(made)


@pytest.fixture
def play(folder):
    """Return what runs a scenario."""

    def run(scenario, **town):
        town_module.play(scenario, folder, **town)

    return run
