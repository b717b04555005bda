"""Every claim has an argument, rests on claims that there are, and is shown by tests that there are."""

import ast
from pathlib import Path

import pytest

from harambee.protocol.claims import CLAIMS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_is_argued_and_shown(name):
    claim = CLAIMS[name]
    assert claim.says.endswith(".")
    assert claim.because.endswith(".")
    assert claim.shown_by
    for test in claim.shown_by:
        file, function = test.split("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert function in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}, test


def test_no_claim_rests_on_itself():
    def foundations(name, above=()):
        assert name not in above, f"{name} rests on itself"
        for other in CLAIMS[name].rests_on:
            foundations(other, (*above, name))

    for name in CLAIMS:
        foundations(name)
