"""Tables: whole or not there, numbers as numbers, and no text that a spreadsheet would run."""

import csv

import pytest

from harambee.oversight.tables import TableError, numbers, table, words

COLUMNS = [*words("name"), *numbers("cents")]


def test_a_table_is_there_when_it_is_whole(tmp_path):
    file = tmp_path / "a.CSV"
    with table(file, COLUMNS) as sink:
        sink.write([("one", 5)])
        assert not file.exists()
        sink.write([("two, three", -(2**63))])
    assert list(csv.reader(file.read_text().splitlines())) == [
        ["name", "cents"],
        ["one", "5"],
        ["two, three", str(-(2**63))],
    ]


def test_half_a_table_is_none_and_an_old_one_stays(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("old")

    def break_off():
        with table(file, COLUMNS) as sink:
            sink.write([("one", 5)])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert [one.name for one in tmp_path.iterdir()] == ["a.csv"]
    assert file.read_text() == "old"


def test_no_cell_is_a_formula(tmp_path):
    file = tmp_path / "a.csv"
    bad = ["=1+1", "+1", "-1", "@A1", "\tx", "\rx"]
    with table(file, COLUMNS) as sink:
        sink.write([(text, -1) for text in bad])
    content = file.read_bytes()
    assert content.count(b"'") == len(bad)
    assert content.count(b",-1\n") == len(bad), "a number stays one"


def test_parquet_has_types_and_groups(tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("harambee.oversight.tables.ROWS_AT_ONCE", 3)
    file = tmp_path / "a.parquet"
    with table(file, COLUMNS) as sink:
        for number in range(8):
            sink.write([(f"row {number}", number)])
    found = parquet.read_table(file)
    assert found.column("cents").to_pylist() == list(range(8))
    assert parquet.ParquetFile(file).metadata.num_row_groups == 3
    with table(file, COLUMNS):
        pass
    assert parquet.read_table(file).num_rows == 0


def test_another_ending_is_refused(tmp_path):
    with (
        pytest.raises(TableError, match=r"neither a \.csv nor a \.parquet file"),
        table(tmp_path / "a.xlsx", COLUMNS),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
