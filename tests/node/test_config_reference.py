"""The page about node.toml says what the reader of the file does.

That the page in docs/ is up to date, tests/gateways/test_metrics.py shows.
"""

import pytest

from harambee.node.config import ConfigError, Document, read_config
from harambee.node.config_reference import meanings, reference
from harambee.node.network_folder import NODE_TOML


def rows():
    _, _, *lines = reference()
    return {line.split("|")[1].strip(" `"): line for line in lines}


def test_every_field_of_the_file_has_a_row_with_a_sentence():
    assert list(rows()) == list(Document.__struct_fields__)
    assert set(meanings()) == set(Document.__struct_fields__)
    assert all(says.endswith((".", "key.")) for says in meanings().values())


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("signing_key", "| a path, `env:NAME`, or `pkcs11:...` | must be there |"),
        ("directory_key", "| a path, or `env:NAME` | must be there |"),
        ("journal", '| a path | `"journal"` |'),
        ("pace_ms", "| 1 to 60,000 | `20` |"),
        ("checkpoint_minutes", "| 0 to 10,080, also with a fraction | `10` |"),
        ("log_format", '| `"json"`, `"text"` | `"text"` |'),
        ("listen_http", '| host:port | `"127.0.0.1:8401"` |'),
        ("agent_places", "| a path | none |"),
        ("operators", "| a table: names, and keys of 64 hexadecimal digits | nobody |"),
        ("pay_commissions", "| `true` or `false` | `true` |"),
        ("texts_brand", '| text of at most 16 characters | `"Harambee"` |'),
    ],
)
def test_a_row_says_what_may_stand_there_and_what_holds_otherwise(field, said):
    assert said in rows()[field]


def test_what_a_new_network_writes_is_in_the_reference():
    written = [line.split(" = ")[0] for line in NODE_TOML.splitlines() if " = " in line]
    assert set(written) - {"#"} <= set(rows())


def test_a_field_that_is_not_in_the_reference_is_refused(tmp_path):
    file = tmp_path / "node.toml"
    file.write_text('colour = "red"\n', encoding="utf-8")
    with pytest.raises(ConfigError):
        read_config(file)
