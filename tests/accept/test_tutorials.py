"""docs/tutorials, typed: every command that stands there, in order, on a network that a newcomer has too.

A block marked `console` has commands (`$ ...`, going on in the next line after a backslash or in an open
quote) and below each the lines that it promises, in their order; `...` in a line stands for anything, and
other lines may stand between. `status=1` is the exit status of its last command. A block marked `python NAME`
is saved under that name.
"""

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.accept.test_up_and_pay import harambee, up

from harambee.traffic.temporary_network import free_ports

pytestmark = [pytest.mark.accept, pytest.mark.timeout(240)]

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"
READERS = ("customer", "merchant-developer", "agent", "operator", "regulator")
WRITTEN_PORTS = (8401, 8402, 8403, 8404, 9000)
"""Those of the super-agents, and of the server in the merchant developer's."""
TYPED_S = 150
FENCE = re.compile(r"^```(\w+) ?(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Command:
    """What is typed, and what is promised of it."""

    text: str
    promised: list[str] = field(default_factory=list)
    status: int = 0


@dataclass
class Saved:
    """A file that the reader is told to save."""

    name: str
    content: str


def read_tutorial(text):
    """What a tutorial lets its reader do, in order."""
    found: list[Command | Saved] = []
    for language, note, content in FENCE.findall(text):
        if language == "python" and note:
            found.append(Saved(note, content))
        elif language == "console":
            commands = commands_of(content)
            if note:
                commands[-1].status = int(note.removeprefix("status="))
            found += commands
    return found


def commands_of(block):
    found: list[Command] = []
    goes_on = False
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:]))
        elif goes_on or quotes_are_open(found[-1].text):
            found[-1].text += "\n" + line
        else:
            found[-1].promised.append(line)
        goes_on = line.endswith("\\")
    return found


def quotes_are_open(text):
    return text.count("'") % 2 == 1


def missing(promised, said):
    """The first promised line that does not stand where it should; None if all do."""
    lines = iter(said.splitlines())
    for line in promised:
        pattern = re.compile(".*".join(map(re.escape, line.strip().split("..."))))
        if not any(pattern.fullmatch(each.strip()) for each in lines):
            return line
    return None


class Desk:
    """Somebody's second terminal: a folder, the network of the first one, and a shell for each tutorial."""

    def __init__(self, folder, ports):
        self.folder = folder
        self._ports = dict(zip(map(str, WRITTEN_PORTS), map(str, ports), strict=True))
        self._sessions = []

    def here(self, text):
        """The text with the ports of this network instead of those that are written."""
        return re.sub(r"\b\d{4}\b", lambda found: self._ports.get(found[0], found[0]), text)

    def follow(self, reader, steps):
        """Type everything; returns (command, exit status or None, what it said) of each."""
        kept = self.folder / f"said-to-{reader}"
        kept.mkdir()
        commands = [step for step in steps if isinstance(step, Command)]
        for step in steps:
            if isinstance(step, Saved):
                (self.folder / step.name).write_text(self.here(step.content))
        script = kept / "typed.sh"
        script.write_text(
            "".join(
                f"{{\n{self.here(command.text)}\n}} > {kept}/{row}.txt 2>&1\necho $? > {kept}/{row}\n"
                for row, command in enumerate(commands)
            )
        )
        self._type(script)
        return [(command, *self._told(kept, row)) for row, command in enumerate(commands)]

    def _type(self, script):
        binaries = str(Path(sys.executable).parent)
        shell = subprocess.Popen(
            ["bash", str(script)],
            cwd=self.folder,
            env=os.environ | {"PATH": f"{binaries}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._sessions.append(shell.pid)
        try:
            shell.wait(TYPED_S)
        except subprocess.TimeoutExpired:
            # What hangs has no exit status, and the test names it.
            shell.kill()
            shell.wait()

    def _told(self, kept, row):
        status, said = kept / str(row), kept / f"{row}.txt"
        if not said.exists():
            return None, "(not reached)"
        return (int(status.read_text()) if status.exists() else None), said.read_text()

    def close(self):
        """End what runs in the background of the shells."""
        for session in self._sessions:
            try:
                os.killpg(session, signal.SIGTERM)
            except ProcessLookupError:
                continue


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    base = free_ports(9)
    network = folder / "harambee-network"
    ports = ["--http-port", str(base), "--peer-port", str(base + 4)]
    made = harambee(network, "init", *ports)
    assert made.returncode == 0, made.stderr
    here = Desk(folder, (base, base + 1, base + 2, base + 3, base + 8))
    with up(network, folder / "first-terminal.txt"):
        yield here
        here.close()


@pytest.mark.parametrize("reader", READERS)
def test_a_tutorial_does_what_it_says(desk, reader):
    steps = read_tutorial((TUTORIALS / f"{reader}.md").read_text(encoding="utf-8"))
    assert sum(isinstance(step, Command) for step in steps) > 5
    wrong = [
        f"$ {command.text}\nended with {status} and not with {command.status}, and said:\n{said}"
        if status != command.status
        else f"$ {command.text}\ndid not say in its place: {lacks}\nbut:\n{said}"
        for command, status, said in desk.follow(reader, steps)
        if status != command.status or (lacks := missing(command.promised, said)) is not None
    ]
    assert not wrong, "\n\n".join(wrong)


def test_every_tutorial_is_typed():
    assert {file.stem for file in TUTORIALS.glob("*.md")} == {*READERS, "README"}


@pytest.mark.parametrize(
    ("promised", "said", "lacks"),
    [
        (["Final after ... ms"], "Compiling\nFinal after 12 ms\n", None),
        (["b", "a"], "a\nb\n", "a"),
        (["Ksh100.00"], "Ksh1000.00", "Ksh100.00"),
        (["a ... c", "d"], "a b c\n  d", None),
    ],
)
def test_lines_are_promised_in_their_order(promised, said, lacks):
    assert missing(promised, said) == lacks
