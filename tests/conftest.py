"""What holds for every test: repeatable examples, and no skip that nobody agreed to.

A skipped test looks like a passed one from far away. Where the environment says CI=true, a skip
whose test is not named in .ci/allowed-skips.txt therefore fails, and says which test it was.
"""

import fnmatch
import os
from collections.abc import Generator, Iterable
from pathlib import Path

import pytest
from hypothesis import Phase, settings

ACCEPT = Path(__file__).parent / "accept"
ALLOWED_SKIPS = Path(__file__).parent.parent / ".ci" / "allowed-skips.txt"

# No deadline: how fast a shared machine is must not decide whether a test passes.
settings.register_profile("test", derandomize=True, deadline=None, max_examples=100, database=None)
settings.register_profile("soak", deadline=None, max_examples=10_000, print_blob=True)
# Where it is only asked whether there is an example, not which is the smallest.
settings.register_profile(
    "any",
    settings.get_profile("test"),
    phases=(Phase.explicit, Phase.generate),
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave tests/accept alone where none of it is to be run: it imports what `make accept` installs."""
    chosen = str(config.getoption("markexpr"))
    return True if "not accept" in chosen and collection_path == ACCEPT else None


def read_allowed_skips(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the test patterns of an allow-list: one a line, then ` # ` and the reason."""
    allowed = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        pattern, hash_sign, reason = text.partition(" # ")
        if not hash_sign or not reason.strip():
            message = f"line {number} of the list of allowed skips gives no reason: {text}"
            raise pytest.UsageError(message)
        allowed.append(pattern.strip())
    return tuple(allowed)


class SkipWatch:
    """Turns every skip that is not allowed into a failure."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = allowed

    def _is_allowed(self, nodeid: str) -> bool:
        # Parametrised names hold brackets, which fnmatch would read as a set of characters.
        return any(fnmatch.fnmatchcase(nodeid, p.replace("[", "[[]")) for p in self._allowed)

    def _refuse(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        expected_failure = hasattr(report, "wasxfail")
        if report.skipped and not expected_failure and not self._is_allowed(report.nodeid):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            report.outcome = "failed"
            unlisted = "and .ci/allowed-skips.txt does not list it"
            report.longrepr = f"{report.nodeid} was skipped ({reason}), {unlisted}"

    # Outermost, so that pytest's own plugin has by then told an expected failure from a skip.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        self._refuse(report)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(
        self,
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        self._refuse(report)
        return report


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("CI") == "true":
        allowed = read_allowed_skips(ALLOWED_SKIPS.read_text(encoding="utf-8").splitlines())
        config.pluginmanager.register(SkipWatch(allowed), "skip-watch")
