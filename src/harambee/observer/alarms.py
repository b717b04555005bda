"""What an observer has found wrong: a sentence that names the super-agent, kept for whoever looks later."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

FILE: Final = "alarms.jsonl"
KEPT_MAX: Final = 10_000
"""So many different ones are written down; a liar shall not fill the disk."""


class Alarm(msgspec.Struct, frozen=True):
    """One thing that is wrong."""

    kind: str
    """"block", "page", "proof", "words", "digest", "total", "balance", "checkpoint", "fork", "chain" or
    "ledger". The last one says that the observer's own numbers cannot be shown."""
    super_agent: int
    """Who lied, by its index in the committee."""
    name: str
    sentence: str
    time_ms: int = 0
    """When it was found, by this machine's clock."""


LEDGER: Final = "ledger"


class Alarms:
    """All alarms of one folder, each once; a folder of None keeps them in memory."""

    def __init__(self, folder: Path | None, tell: Callable[[Alarm], None] | None = None) -> None:
        """Read what is kept. `tell` hears of new ones."""
        self.new: list[Alarm] = []
        """Those of this run."""
        self._file = None if folder is None else folder / FILE
        self._tell = tell
        self.all = [] if self._file is None else _read(self._file)
        self._known = {(alarm.kind, alarm.sentence) for alarm in self.all}
        self._seen: set[tuple[str, str]] = set()

    def ring(self, kind: str, super_agent: int, name: str, sentence: str) -> None:
        """Note an alarm; said and written once."""
        key = kind, sentence
        if key in self._seen or len(self._seen) >= KEPT_MAX:
            return
        self._seen.add(key)
        alarm = Alarm(kind, super_agent, name, sentence, time.time_ns() // 1_000_000)
        self.new.append(alarm)
        if self._tell is not None:
            self._tell(alarm)
        if key in self._known or len(self.all) >= KEPT_MAX:
            return
        self._known.add(key)
        self.all.append(alarm)
        if self._file is not None:
            with self._file.open("ab") as file:
                file.write(msgspec.json.encode(alarm) + b"\n")
                file.flush()
                os.fsync(file.fileno())

    @property
    def against_the_ledger(self) -> Alarm | None:
        """The alarm, if there is one, because of which no number of this folder is shown."""
        return next((a for a in (*self.new, *self.all) if a.kind == LEDGER), None)


def _read(file: Path) -> list[Alarm]:
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines[:KEPT_MAX]:
        try:
            found.append(msgspec.json.decode(line, type=Alarm))
        except msgspec.DecodeError:
            continue  # the end of a line that a crash cut off
    return found
