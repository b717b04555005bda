"""An incumbent's file as such: what is read of it, and the sentence for what cannot be."""

import codecs
import os
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.node.incumbents import csv_file, csv_of, nobody, row

from harambee.node import account_files
from harambee.node.account_files import (
    CELL_CHARACTERS_MAX,
    COLUMNS,
    LINE_BYTES_MAX,
    REQUIRED,
    AccountFile,
    AccountFileError,
)

HEAD = ",".join(COLUMNS).encode() + b"\n"
GOOD = csv_of([row(1), row(2)])


def written(folder, content, name="accounts.csv"):
    file = folder / name
    file.write_bytes(content)
    return file


def cells_in(path):
    file = AccountFile(path)
    return [file.cells(one) for one in file.rows(nobody)]


def lines_in(path):
    return [one.line for one in AccountFile(path).rows(nobody)]


EXPECTED = [tuple(row(n).values()) for n in (1, 2)]
assert tuple(row()) == COLUMNS


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD[:-1],
        codecs.BOM_UTF8 + GOOD,
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"\n", b"\n\n ,,,,,,,,\n"),
        b"\n" + GOOD,
        HEAD.upper() + GOOD[len(HEAD) :],
        csv_of([row(1), row(2)], quoting=1),
        csv_of([row(1), row(2)], columns=COLUMNS[::-1]),
        csv_of([row(1), row(2)], columns=COLUMNS[::-1]).replace(b",", b" , ", 8),
    ],
    ids=[
        "plain",
        "without a last line's end",
        "BOM",
        "CRLF",
        "empty lines",
        "an empty line first",
        "headings in capitals",
        "quoted",
        "columns in another order",
        "headings with spaces",
    ],
)
def test_the_same_rows_however_they_are_written(tmp_path, content):
    assert [tuple(cells) for cells in cells_in(written(tmp_path, content))] == EXPECTED


def test_columns_that_may_be_left_out_are_empty(tmp_path):
    content = csv_of([row(1)], columns=REQUIRED, extrasaction="ignore")
    assert [tuple(cells) for cells in cells_in(written(tmp_path, content))] == EXPECTED[:1]


def test_a_line_is_where_a_row_ends(tmp_path):
    content = HEAD + b'\n"1\n2",customer,1.00,,amani,,,,\n\n3,customer,1.00,,amani,,,,\n'
    assert lines_in(written(tmp_path, content)) == [4, 6]


@pytest.mark.parametrize(
    "line",
    [
        b"0700000001,customer,1.00",
        b"0700000001,customer,1.00,,amani,,,,,",
        b"x" * (CELL_CHARACTERS_MAX + 1) + b",customer,1.00,,amani,,,,",
        b",".join([b"x"] * 10_000),
    ],
    ids=["too few", "too many", "enormous", "ten thousand"],
)
def test_what_is_not_a_row_of_the_file_has_no_cells(tmp_path, line):
    assert cells_in(written(tmp_path, HEAD + line + b"\n")) == [None]


REFUSED = [
    (b"", "accounts.csv is empty"),
    (b"\n\n", "accounts.csv is empty"),
    (b"number,kind,balance,key\n", "there is no column super_agent"),
    (b"number;kind;balance;key;super_agent\n", "column 1 is 'number;kind;balance;key;super_agent'"),
    (HEAD.replace(b"tier", b"kind"), "there are two columns kind"),
    (HEAD.replace(b"tier", b"name"), "column 7 is 'name', which is none of number, kind,"),
    (b",".join(b"c%d" % n for n in range(9_000)), "column 1 is 'c0', which is none of"),
    (b"x" * 1_000 + b",", r"column 1 is 'x{40}\.\.\.', which"),
    (b"x" * LINE_BYTES_MAX, "line 1 is longer than 1 MiB"),
    (HEAD + b"x" * 200_000, "line 2 is not a row of a CSV file: field larger than"),
    (HEAD + b"1," * LINE_BYTES_MAX, "line 2 is longer than 1 MiB"),
    (HEAD + b'"1,2', "line 2 is not a row of a CSV file: unexpected end of data"),
    (HEAD + b'"1"2,', "line 2 is not a row of a CSV file: ',' expected after '\"'"),
    (HEAD + b'"' + b"1\n" * 100_000, "is not a row of a CSV file: field larger than"),
    (GOOD.replace(b"\n", b"\r"), "line 1 is not a row of a CSV file: new-line character seen"),
    (HEAD + b"\n" + b"caf\xe9\n", "line 3 is not text in UTF-8"),
    (GOOD.decode().encode("utf-16"), "line 1 is not text in UTF-8"),
    (GOOD.decode().encode("utf-16-le"), "column 1 is 'n.x00u"),
    (b"\x1f\x8b\x08\x00" + b"\xff" * 40, "line 1 is not text in UTF-8"),
]


@pytest.mark.parametrize(("content", "sentence"), REFUSED)
def test_what_is_no_file_of_accounts_is_refused_in_a_sentence(tmp_path, content, sentence):
    with pytest.raises(AccountFileError, match=sentence) as refused:
        cells_in(written(tmp_path, content))
    assert len(str(refused.value)) < 250
    assert "\n" not in str(refused.value)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_bytes_there_are_they_are_rows_or_a_sentence(tmp_path_factory, content):
    folder, refusals = tmp_path_factory.mktemp("any"), set()
    for name, head in (("a.csv", b""), ("b.csv", HEAD), ("c.parquet", b""), ("d.parquet", b"PAR1")):
        try:
            found = cells_in(written(folder, head + content, name))
        except AccountFileError as error:
            refusals.add(str(error))
        else:
            assert all(cells is None or len(cells) == len(COLUMNS) for cells in found)
    assert "" not in refusals


def test_only_a_plain_file_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(AccountFileError, match="is not a plain file"):
        AccountFile(tmp_path / "pipe")


def test_a_file_that_changes_between_two_readings_is_refused(tmp_path):
    file = AccountFile(csv_file(tmp_path, [row(1)]))
    assert len(list(file.rows(nobody))) == 1
    csv_file(tmp_path, [row(1), row(2)])
    with pytest.raises(AccountFileError, match=r"accounts.csv was changed while it was read"):
        list(file.rows(nobody))


def test_whoever_waits_is_told_how_much_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(account_files, "ROWS_AT_ONCE", 2)
    told = []
    path = csv_file(tmp_path, [row(n) for n in range(1, 7)])
    list(AccountFile(path).rows(lambda done, whole: told.append((done, whole))))
    size = path.stat().st_size
    assert told[-1] == (size, size)
    assert [done for done, _ in told] == [*sorted({done for done, _ in told[:-1]}), size]
    assert len(told) == 4


# -- Parquet --------------------------------------------------------------------------------------


@pytest.fixture
def arrow():
    pytest.importorskip("pyarrow.parquet")
    return pytest.importorskip("pyarrow")


def parquet_file(folder, columns, **options):
    file = folder / "accounts.parquet"
    table = import_module("pyarrow").table(columns)
    import_module("pyarrow.parquet").write_table(table, file, **options)
    return file


def columns_of(rows):
    return {column: [one[column] for one in rows] for column in COLUMNS}


def test_text_in_parquet_is_text_in_csv(tmp_path, arrow):
    rows = [row(1), row(2)]
    assert cells_in(parquet_file(tmp_path, columns_of(rows))) == EXPECTED
    words = {
        name: arrow.array(values).dictionary_encode() for name, values in columns_of(rows).items()
    }
    assert cells_in(parquet_file(tmp_path, words)) == EXPECTED
    large = {n: arrow.array(v, arrow.large_string()) for n, v in columns_of(rows).items()}
    assert cells_in(parquet_file(tmp_path, large)) == EXPECTED


def test_numbers_decimals_and_bytes_that_are_exact_are_read(tmp_path, arrow):
    from decimal import Decimal

    columns = {
        "number": arrow.array([254700000001, None], arrow.int64()),
        "kind": arrow.array(["customer", None]),
        "balance": arrow.array([Decimal("1000.50"), Decimal("-0.07")], arrow.decimal128(18, 2)),
        "key": arrow.array([b"\x01\xff", None], arrow.binary()),
        "super_agent": arrow.array([0, 1], arrow.uint8()),
        "tier": arrow.nulls(2),
    }
    assert cells_in(parquet_file(tmp_path, columns)) == [
        ("254700000001", "customer", "1000.50", "01ff", "0", "", "", "", ""),
        ("", "", "-0.07", "", "1", "", "", "", ""),
    ]
    thirds = columns | {"balance": arrow.array([Decimal("1.005")] * 2, arrow.decimal128(18, 3))}
    assert cells_in(parquet_file(tmp_path, thirds))[0][2] == "1.005", (
        "the row is refused, not rounded"
    )


def test_pages_of_rows_are_numbered_through(tmp_path, arrow, monkeypatch):
    monkeypatch.setattr(account_files, "ROWS_AT_ONCE", 2)
    rows = [row(n) for n in range(1, 8)]
    rows[3] = dict.fromkeys(COLUMNS, " ")
    path = parquet_file(tmp_path, columns_of(rows), row_group_size=3)
    assert lines_in(path) == [1, 2, 3, 5, 6, 7], "rows of nothing are left out, and counted"


def test_types_that_are_not_exact_are_refused(tmp_path, arrow):
    good = columns_of([row(1)])
    for column, values, sentence in (
        (
            "balance",
            arrow.array([1000.5]),
            "balance is of type double; it must be text, or decimals",
        ),
        ("balance", arrow.array([1000]), "balance is of type int64; it must be text, or decimals"),
        ("number", arrow.array([7e8]), "number is of type double; it must be text"),
        ("number", arrow.array([b"1"], arrow.binary()), "number is of type binary"),
        ("tier", arrow.array([True]), "tier is of type bool"),
        ("kind", arrow.array([["customer"]]), "kind is of type list"),
    ):
        with pytest.raises(AccountFileError, match=sentence):
            AccountFile(parquet_file(tmp_path, good | {column: values}))


def test_a_parquet_file_of_other_columns_or_none_at_all_is_refused(tmp_path, arrow):
    with pytest.raises(AccountFileError, match="column 1 is 'names'"):
        AccountFile(parquet_file(tmp_path, {"names": ["Given"]}))
    with pytest.raises(AccountFileError, match="there is no column super_agent"):
        AccountFile(parquet_file(tmp_path, {c: [""] for c in REQUIRED[:-1]}))
    with pytest.raises(AccountFileError, match=r"accounts.parquet is not a Parquet file"):
        AccountFile(written(tmp_path, GOOD, "accounts.parquet"))


def test_a_damaged_parquet_file_is_refused(tmp_path, arrow):
    path = parquet_file(tmp_path, columns_of([row(n) for n in range(1, 9)]), compression="none")
    content = bytearray(path.read_bytes())
    text = content.index(b"0700000001")
    content[text : text + 10] = b"\xff" * 10
    path.write_bytes(content)
    with pytest.raises(AccountFileError, match="is damaged, or not text in UTF-8"):
        cells_in(path)


def test_without_the_extra_parquet_says_what_to_install(tmp_path, monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(account_files, "import_module", absent)
    with pytest.raises(
        AccountFileError, match="Parquet needs pyarrow: install it with `pip install"
    ):
        AccountFile(written(tmp_path, b"PAR1", "accounts.parquet"))
