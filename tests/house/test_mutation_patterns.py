"""Every mutation of the acceptance tests still finds the one line that it breaks; this takes a moment."""

import pytest
from tests.accept.test_mutations import MUTATIONS, ROOT


@pytest.mark.parametrize("what", MUTATIONS)
def test_the_rule_that_a_mutation_breaks_stands_in_one_place(what):
    mutation = MUTATIONS[what]
    file = ROOT / "src" / "harambee" / "protocol" / f"{mutation.file}.py"
    assert file.read_text(encoding="utf-8").count(mutation.right) == 1
    assert mutation.wrong != mutation.right
