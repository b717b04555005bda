"""Tables of an audit: every order of every block, and whether it came to anything."""

from importlib import import_module

import pytest
from tests.audit.histories import blocks_of, genesis_of_tests, journal_of, payments
from tests.protocol.network import BANK, NETWORK, customer_key, customers

from harambee.audit import parquet as tables
from harambee.audit.auditing import audit
from harambee.audit.parquet import ParquetError, write_parquet
from harambee.audit.records import JournalRecords
from harambee.audit.workers import here
from harambee.crypto.hashing import TAG_ORDER, digest, signed_prefix
from harambee.ledger.records import BODY_BYTES

GENESIS = genesis_of_tests()
parquet = import_module("pyarrow.parquet")  # it has no types


def written(folder, journal):
    records = JournalRecords(journal)
    with here() as alone:
        found, work = audit(GENESIS, records, alone, note_applied=True)
    write_parquet(folder, work, records)
    return found, {
        name: parquet.read_table(folder / f"{name}.parquet").to_pylist()
        for name in ("orders", "blocks", "accounts")
    }


@pytest.mark.parametrize("rows", [5, 1 << 16])
def test_tables_have_what_the_journal_has(tmp_path, monkeypatch, rows):
    monkeypatch.setattr(tables, "ROWS_AT_ONCE", rows)
    orders = payments(20)
    blocks = blocks_of(orders[:6], orders[:6], orders[6:12], orders[12:])
    with journal_of(tmp_path / "j", GENESIS, blocks) as journal:
        found, seen = written(tmp_path / "tables", journal)
    assert found.orders == len(seen["orders"]) == 26
    assert found.applied == sum(row["applied"] for row in seen["orders"]) == 20
    assert [row["orders"] for row in seen["blocks"]][:4] == [6, 6, 6, 8]
    assert sum(row["applied"] for row in seen["blocks"]) == 20
    assert [row["height"] for row in seen["blocks"]] == [1, 1, 1, 1] + [2] * 4 + [3] * 4 + [4] * 4
    assert [(row["position"], row["row"]) for row in seen["orders"]] == [
        (position, row) for position, count in enumerate([6, 6, 6, 8]) for row in range(count)
    ]
    first = orders[0]
    row = seen["orders"][0]
    assert (row["payer"], row["payee"]) == (first["payer"][0], first["payee"][0])
    assert (row["amount_cents"], row["fee_cents"]) == (first["amount"][0], first["fee"][0])
    assert (row["kind"], row["super_agent"]) == ("send", "super-agent-0")
    body = first.tobytes()[:BODY_BYTES]
    assert row["id"] == digest(signed_prefix(TAG_ORDER, NETWORK), body)
    assert row["signature"] == first["signature"].tobytes()
    assert sum(row["balance_cents"] for row in seen["accounts"]) == 0
    accounts = {row["account"]: row for row in seen["accounts"]}
    assert accounts[BANK]["kind"] == "bank"
    ann = customers(1)[0]
    assert accounts[ann]["key"] == customer_key(ann).public
    assert accounts[ann]["next_sequence"] == sum(int(o["payer"][0]) == ann for o in orders)


def test_an_empty_journal_has_tables_without_rows(tmp_path):
    with journal_of(tmp_path / "j", GENESIS, []) as journal:
        found, seen = written(tmp_path / "tables", journal)
    assert found.ok
    assert (seen["orders"], seen["blocks"]) == ([], [])
    assert len(seen["accounts"]) == found.accounts


def test_a_file_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    def fails(*_):
        raise OSError("no room")

    monkeypatch.setattr(tables, "_account_columns", fails)
    with (
        journal_of(tmp_path / "j", GENESIS, blocks_of(payments(4))) as journal,
        pytest.raises(OSError, match="no room"),
    ):
        written(tmp_path / "tables", journal)
    assert list((tmp_path / "tables").iterdir()) == []


def test_without_pyarrow_one_sentence_says_how_to_install_it(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(tables, "import_module", missing)
    with pytest.raises(ParquetError, match=r"pip install 'harambee\[parquet\]'"):
        tables.need_pyarrow()
