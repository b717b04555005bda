"""The rules of the house that no linter knows, and a bad example of each.

- Near money there are no floats and no true division: cents are whole.
- The core has no clock, socket, thread or dice: time is an argument, so a history can be replayed.
- Agreement reads no files either: the shell hands it everything.
- A module is named for what it holds, and an error that could be anything is never swallowed.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "harambee"

# Findings that are right as they are: (file under src/harambee, finding) -> the reason.
ALLOWED: dict[tuple[str, str], str] = {}

FLOATING_NAMES = {"float", "complex", "Decimal", "Fraction"}
FLOATING_ATTRIBUTES = {
    "average",
    "divide",
    "double",
    "float16",
    "float32",
    "float64",
    "floating",
    "mean",
    "sqrt",
    "true_divide",
}
OUTSIDE_MODULES = {
    "asyncio",
    "concurrent",
    "multiprocessing",
    "random",
    "secrets",
    "select",
    "selectors",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
    "uuid",
    "uvloop",
}
FILE_MODULES = {"io", "lmdb", "os", "pathlib", "shutil", "tempfile"}
CLOCK_ATTRIBUTES = {"now", "today", "utcnow"}
NOTHING_NAMES = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
ANY_ERROR = {"BaseException", "Exception"}


class Finding(NamedTuple):
    line: int
    what: str


Rule = Callable[[ast.Module], Iterator[Finding]]


def no_floats(tree: ast.Module) -> Iterator[Finding]:
    """Find what could make a fraction of a cent."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float() | complex() as value):
                yield Finding(node.lineno, f"float literal {value}")
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield Finding(node.lineno, "true division")
            case ast.Name(id=name) if name in FLOATING_NAMES:
                yield Finding(node.lineno, name)
            case ast.Attribute(attr=name) if name in FLOATING_ATTRIBUTES:
                yield Finding(node.lineno, f".{name}")
            case _:
                pass


def imported(tree: ast.Module) -> Iterator[Finding]:
    """Give the first part of every absolute import, wherever it stands."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield Finding(node.lineno, alias.name.partition(".")[0])
            case ast.ImportFrom(module=str(module), level=0):
                yield Finding(node.lineno, module.partition(".")[0])
            case _:
                pass


def no_outside_world(tree: ast.Module) -> Iterator[Finding]:
    """Find clocks, sockets, threads and dice."""
    for line, module in imported(tree):
        if module in OUTSIDE_MODULES:
            yield Finding(line, f"import {module}")
    for node in ast.walk(tree):
        match node:
            case (
                ast.Attribute(value=ast.Name(id="datetime" | "date"), attr=name)
                | ast.Attribute(value=ast.Attribute(attr="datetime" | "date"), attr=name)
            ) if name in CLOCK_ATTRIBUTES:
                yield Finding(node.lineno, f"datetime.{name}")
            case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="random"):
                yield Finding(node.lineno, "numpy.random")
            case _:
                pass


def no_files(tree: ast.Module) -> Iterator[Finding]:
    """Find what reaches for a disk."""
    for line, module in imported(tree):
        if module in FILE_MODULES:
            yield Finding(line, f"import {module}")
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "open"
        ):
            yield Finding(node.lineno, "open()")


def no_swallowed_errors(tree: ast.Module) -> Iterator[Finding]:
    """Find handlers that take any error whatever and do nothing with it."""
    for node in ast.walk(tree):
        match node:
            case ast.ExceptHandler(type=kind, body=body) if names_any_error(kind):
                if all(does_nothing(statement) for statement in body):
                    yield Finding(node.lineno, "swallowed error")
            case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress")):
                if any(names_any_error(argument) for argument in node.args):
                    yield Finding(node.lineno, "swallowed error")
            case _:
                pass


def names_any_error(kind: ast.expr | None) -> bool:
    match kind:
        case None:
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in ANY_ERROR
        case ast.Tuple(elts=kinds):
            return any(names_any_error(one) for one in kinds)
        case _:
            return False


def does_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Continue() | ast.Expr(value=ast.Constant()):
            return True
        case _:
            return False


def names_nothing(path: Path) -> bool:
    """Whether a file or one of its folders has a name that would fit any content."""
    return any(part in NOTHING_NAMES for part in path.with_suffix("").parts)


RULES_OF_FOLDERS: dict[str, tuple[Rule, ...]] = {
    "money": (no_floats,),
    "ledger": (no_floats, no_outside_world),
    "protocol": (no_outside_world, no_files),
    "": (no_swallowed_errors,),
}


def findings(rule: Rule, folder: str) -> Iterator[tuple[str, Finding]]:
    for file in sorted((PACKAGE / folder).rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
        for finding in rule(tree):
            yield file.relative_to(PACKAGE).as_posix(), finding


@pytest.mark.parametrize(
    ("folder", "rule"),
    [
        pytest.param(folder, rule, id=f"{folder or 'everything'}-{rule.__name__}")
        for folder, rules in RULES_OF_FOLDERS.items()
        for rule in rules
    ],
)
def test_the_house_keeps_its_rules(folder: str, rule: Rule) -> None:
    broken = [
        f"src/harambee/{file}:{finding.line}: {finding.what}"
        for file, finding in findings(rule, folder)
        if (file, finding.what) not in ALLOWED
    ]
    assert not broken, "\n" + "\n".join(broken)


def test_every_exception_to_the_rules_is_still_needed() -> None:
    found = {
        (file, finding.what)
        for folder, rules in RULES_OF_FOLDERS.items()
        for rule in rules
        for file, finding in findings(rule, folder)
    }
    assert set(ALLOWED) <= found


def test_every_module_is_named_for_what_it_holds() -> None:
    files = [
        file.relative_to(ROOT)
        for folder in ("src", "tests", "scripts", "benches")
        for file in (ROOT / folder).rglob("*.py")
    ]
    assert [file for file in files if names_nothing(file)] == []


@pytest.mark.parametrize(
    ("rule", "source", "what"),
    [
        (no_floats, "fee = 0.01", "float literal 0.01"),
        (no_floats, "cents = 1e6", "float literal 1000000.0"),
        (no_floats, "half = amount / 2", "true division"),
        (no_floats, "amount /= 2", "true division"),
        (no_floats, "fee = float(amount)", "float"),
        (no_floats, "total = balances.astype(float)", "float"),
        (no_floats, "def fee(amount: float): ...", "float"),
        (no_floats, "fees = np.zeros(3, np.float64)", ".float64"),
        (no_floats, "share = np.true_divide(a, b)", ".true_divide"),
        (no_floats, "typical = balances.mean()", ".mean"),
        (no_outside_world, "import time", "import time"),
        (no_outside_world, "from time import monotonic", "import time"),
        (no_outside_world, "import os, socket", "import socket"),
        (no_outside_world, "import asyncio.events", "import asyncio"),
        (no_outside_world, "from threading import Lock", "import threading"),
        (no_outside_world, "def f():\n    import random", "import random"),
        (no_outside_world, "today = datetime.now(UTC)", "datetime.now"),
        (no_outside_world, "today = datetime.datetime.utcnow()", "datetime.utcnow"),
        (no_outside_world, "day = date.today()", "datetime.today"),
        (no_outside_world, "x = np.random.default_rng(1)", "numpy.random"),
        (no_files, "import os", "import os"),
        (no_files, "from pathlib import Path", "import pathlib"),
        (no_files, "text = open('genesis').read()", "open()"),
        (no_swallowed_errors, "try: f()\nexcept: pass", "swallowed error"),
        (no_swallowed_errors, "try: f()\nexcept Exception: pass", "swallowed error"),
        (no_swallowed_errors, "try: f()\nexcept BaseException as e: ...", "swallowed error"),
        (no_swallowed_errors, "try: f()\nexcept (KeyError, Exception): pass", "swallowed error"),
        (no_swallowed_errors, "for x in y:\n try: f()\n except: continue", "swallowed error"),
        (no_swallowed_errors, "with suppress(Exception): f()", "swallowed error"),
    ],
)
def test_a_bad_example_is_caught(rule: Rule, source: str, what: str) -> None:
    assert [finding.what for finding in rule(ast.parse(source))] == [what]


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (no_floats, "fee = amount * 3 // 100"),
        (no_floats, "whole, rest = divmod(amount, 100)"),
        (no_floats, "text = 'the fee is 0.01 / day'"),
        (no_outside_world, "from datetime import date\nday = date(2026, 1, 1)"),
        (no_outside_world, "def receive(message, now): return now"),
        (no_outside_world, "from harambee.protocol import time"),
        (no_files, "def open_slots(): ..."),
        (no_swallowed_errors, "try: f()\nexcept KeyError: pass"),
        (no_swallowed_errors, "try: f()\nexcept Exception as error:\n    raise Ours from error"),
        (no_swallowed_errors, "with suppress(KeyError): f()"),
    ],
)
def test_a_good_example_passes(rule: Rule, source: str) -> None:
    assert list(rule(ast.parse(source))) == []


@pytest.mark.parametrize(
    ("path", "nothing"),
    [
        ("src/harambee/utils.py", True),
        ("src/harambee/node/common.py", True),
        ("src/harambee/helpers/text.py", True),
        ("src/harambee/node/manager.py", True),
        ("src/harambee/node/journal.py", False),
        ("src/harambee/node/common_past.py", False),
    ],
)
def test_a_name_that_fits_anything_is_caught(path: str, nothing: bool) -> None:
    assert names_nothing(Path(path)) is nothing
