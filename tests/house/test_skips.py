"""Where CI=true, a skip that nobody agreed to is a failure."""

from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

TESTS = """
    import pytest

    def test_passes():
        pass

    @pytest.mark.skip(reason="no browser")
    def test_skips():
        pass

    @pytest.mark.xfail(reason="known")
    def test_is_known_to_fail():
        raise AssertionError

    @pytest.mark.parametrize("n", [1])
    def test_skips_inside(n):
        pytest.skip("no root")
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("CI", "true")
    tests = pytester.mkdir("tests")
    (tests / "conftest.py").write_text(CONFTEST.read_text(encoding="utf-8"), encoding="utf-8")
    pytester.mkdir(".ci")
    # Its own, or pytest would look for one in the folders above, which are anybody's.
    pytester.makeini("[pytest]")
    pytester.makepyfile(**{"tests/test_some": TESTS})
    return pytester


def run(project: pytest.Pytester, allowed: str) -> pytest.RunResult:
    (project.path / ".ci" / "allowed-skips.txt").write_text(allowed, encoding="utf-8")
    return project.runpytest_subprocess("tests")


def test_an_unlisted_skip_fails_and_is_named(project: pytest.Pytester) -> None:
    result = run(project, "")
    # A mark skips before the test starts, which pytest calls an error, not a failure.
    result.assert_outcomes(passed=1, failed=1, errors=1, xfailed=1)
    result.stdout.fnmatch_lines(["*test_some.py::test_skips was skipped (*no browser)*"])


def test_a_listed_skip_stays_a_skip(project: pytest.Pytester) -> None:
    result = run(
        project, "# why\n*::test_skips # no browser\n\n*::test_skips_inside[1] # no root\n"
    )
    result.assert_outcomes(passed=1, skipped=2, xfailed=1)


def test_a_list_without_reasons_is_refused(project: pytest.Pytester) -> None:
    result = run(project, "*::test_skips\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*gives no reason: *::test_skips*"])


def test_a_module_that_skips_itself_fails(project: pytest.Pytester) -> None:
    source = 'import pytest\npytest.skip("no such package", allow_module_level=True)'
    project.makepyfile(**{"tests/test_other": source})
    result = run(project, "*::test_skips* # agreed\n")
    result.assert_outcomes(errors=1)


def test_elsewhere_a_skip_is_only_a_skip(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI")
    result = run(project, "")
    result.assert_outcomes(passed=1, skipped=2, xfailed=1)
