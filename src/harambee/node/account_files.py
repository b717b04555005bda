"""The file in which an incumbent hands over its accounts: CSV or Parquet, read row by row.

docs/moving-in.md is for those who write it. Whatever the file is, a row is text, a cell for each of
COLUMNS; what the cells mean is not decided here. A file is read twice, to be judged and to be reported
on, and must not change in between. What makes the file itself unreadable is an AccountFileError of one
sentence; memory is bounded by one page of rows, and one line of a CSV file.
"""

import codecs
import csv
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

REQUIRED: Final = ("number", "kind", "balance", "key", "super_agent")
OPTIONAL: Final = ("key_type", "tier", "head_office", "fee_mode")
COLUMNS: Final = REQUIRED + OPTIONAL

LINE_BYTES_MAX: Final = 1 << 20
"""Of a CSV file's line: a thousand times what an account needs."""
CELL_CHARACTERS_MAX: Final = 200
ROWS_AT_ONCE: Final = 65_536
ROWS_MAX: Final = 2**32 - 2
_SHOWN: Final = 40

_ROW_BYTES_LEAST: Final = 2
"""Of a CSV file: a character and the end of the line."""


class AccountFileError(Exception):
    """The file cannot be read as one of accounts; the message is one sentence."""


class Row(NamedTuple):
    """One row of the file."""

    line: int
    """Of a CSV file the line on which it ends, of a Parquet file the row; both from 1."""
    cells: Sequence[str]
    """As they stand, in the file's own columns; of a CSV file perhaps more or fewer of them."""


Tell = Callable[[int, int], None]
"""Told how much of the file has been read: (done, whole), in bytes or rows."""


class AccountFile:
    """A file of accounts, its columns read; AccountFileError if they are not those it must have."""

    def __init__(self, path: Path) -> None:
        """Look at the head of the file. OSError where it cannot be opened."""
        self.path = path
        self._status = path.stat()
        if not stat.S_ISREG(self._status.st_mode):
            raise AccountFileError(f"{path} is not a plain file, and it is read twice")
        reader = _PARQUET if path.suffix.lower() == ".parquet" else _CSV
        self.columns, self.rows_most = reader.head(path)
        _check_columns(self.columns)
        self._read = reader.rows
        places = [self.columns.index(c) if c in self.columns else -1 for c in COLUMNS]
        self._pick = itemgetter(*places)

    def rows(self, tell: Tell) -> Iterator[Row]:
        """Yield all rows that are not empty; AccountFileError where one cannot be read, OSError.

        Also if the file is not the one that was opened first.
        """
        for count, row in enumerate(self._read(self.path, tell)):
            if count == ROWS_MAX:
                raise AccountFileError(f"{self.path.name} has more than {ROWS_MAX:,} rows")
            yield row
        now = self.path.stat()
        if (now.st_ino, now.st_size, now.st_mtime_ns) != (
            self._status.st_ino,
            self._status.st_size,
            self._status.st_mtime_ns,
        ):
            raise AccountFileError(f"{self.path.name} was changed while it was read")

    def cells(self, row: Row) -> Sequence[str] | None:
        """Return a cell for each of COLUMNS, "" where the file lacks it; None if this is not a row.

        A row has as many cells as the file has columns, none longer than CELL_CHARACTERS_MAX.
        """
        if len(row.cells) != len(self.columns) or len(max(row.cells, key=len)) > (
            CELL_CHARACTERS_MAX
        ):
            return None
        picked: Sequence[str] = self._pick([*row.cells, ""])
        return picked


def shown(text: str) -> str:
    """Return a text of the file as a sentence can have it: quoted, and not for long."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _check_columns(columns: Sequence[str]) -> None:
    for place, column in enumerate(columns):
        if column not in COLUMNS:
            raise AccountFileError(
                f"column {place + 1} is {shown(column)}, which is none of {', '.join(COLUMNS)}"
            )
        if column in columns[:place]:
            raise AccountFileError(f"there are two columns {column}")
    missing = [column for column in REQUIRED if column not in columns]
    if missing:
        raise AccountFileError(f"there is no column {missing[0]}")


# -- CSV ------------------------------------------------------------------------------------------


def _csv_head(path: Path) -> tuple[list[str], int]:
    """Return the columns, and how many rows there can be at most."""
    head = next(_csv_cells(path, _nobody), None)
    if head is None:
        raise AccountFileError(f"{path.name} is empty")
    return _names(head.cells), path.stat().st_size // _ROW_BYTES_LEAST + 1


def _csv_rows(path: Path, tell: Tell) -> Iterator[Row]:
    rows = _csv_cells(path, tell)
    next(rows, None)
    return rows


def _csv_cells(path: Path, tell: Tell) -> Iterator[Row]:
    with path.open("rb") as file:
        whole = os.fstat(file.fileno()).st_size
        reader = csv.reader(_lines(file, whole, tell), strict=True)
        try:
            for cells in reader:
                if any(map(str.strip, cells)):
                    yield Row(reader.line_num, cells)
        except csv.Error as error:
            raise AccountFileError(
                f"line {reader.line_num} is not a row of a CSV file: {error}"
            ) from error


def _lines(file: Any, whole: int, tell: Tell) -> Iterator[str]:
    """Yield the lines of a file in UTF-8, whatever they end with, one at a time."""
    number = done = 0
    while line := file.readline(LINE_BYTES_MAX):
        number += 1
        if len(line) == LINE_BYTES_MAX and not line.endswith(b"\n"):
            raise AccountFileError(f"line {number} is longer than {LINE_BYTES_MAX >> 20} MiB")
        done += len(line)
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)  # some spreadsheets write it
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise AccountFileError(f"line {number} is not text in UTF-8") from error
        yield text
        if number % ROWS_AT_ONCE == 0:
            tell(done, whole)
    tell(whole, whole)


def _names(cells: Iterable[str]) -> list[str]:
    return [cell.strip().lower() for cell in cells]


def _nobody(_done: int, _whole: int) -> None:
    """Nobody is told."""


# -- Parquet --------------------------------------------------------------------------------------


def _parquet_head(path: Path) -> tuple[list[str], int]:
    with _Parquet(path) as file:
        columns = _names(field.name for field in file.schema_arrow)
        for field, name in zip(file.schema_arrow, columns, strict=True):
            _text_of(field.type, name)
        return columns, int(file.metadata.num_rows)


def _parquet_rows(path: Path, tell: Tell) -> Iterator[Row]:
    with _Parquet(path) as file:
        names = _names(field.name for field in file.schema_arrow)
        done, whole = 0, int(file.metadata.num_rows)
        for page in file.iter_batches(ROWS_AT_ONCE, use_threads=False):
            texts = [
                list(map(_text_of(column.type, name), column.to_pylist()))
                for name, column in zip(names, page.columns, strict=True)
            ]
            for line, cells in enumerate(zip(*texts, strict=True), start=done + 1):
                if any(map(str.strip, cells)):
                    yield Row(line, cells)
            done += len(page)
            tell(done, whole)


class _Parquet:
    """A Parquet file while it is open; what pyarrow raises becomes an AccountFileError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._arrow: Any = import_module("pyarrow")
            self._parquet: Any = import_module("pyarrow.parquet")
        except ImportError as error:
            raise AccountFileError(
                "Parquet needs pyarrow: install it with `pip install pyarrow`, or hand in a .csv"
            ) from error
        self._file: Any = None

    def __enter__(self) -> Any:
        try:
            self._file = self._parquet.ParquetFile(self._path)
        except (self._arrow.ArrowException, OSError, ValueError) as error:
            raise AccountFileError(f"{self._path.name} is not a Parquet file") from error
        return self._file

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        self._file.close()
        if isinstance(error, self._arrow.ArrowException | OSError | ValueError):
            raise AccountFileError(f"{self._path.name} is damaged, or not text in UTF-8") from error


def _text_of(kind: Any, column: str) -> Callable[[Any], str]:
    """Return what makes text of a column's values; AccountFileError for a type that is not exact."""
    types: Any = import_module("pyarrow.types")
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_null(kind) or types.is_string(kind) or types.is_large_string(kind):
        return _own_text
    if types.is_integer(kind) and column != "balance":
        return _plain_text
    if types.is_decimal(kind) and column == "balance":
        return _plain_text
    if column == "key" and (
        types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    ):
        return _hexadecimal
    wanted = "text, or decimals with two places" if column == "balance" else "text"
    raise AccountFileError(f"the column {column} is of type {kind}; it must be {wanted}")


def _own_text(value: str | None) -> str:
    return value or ""


def _plain_text(value: object) -> str:
    return "" if value is None else format(value, "f" if not isinstance(value, int) else "d")


def _hexadecimal(value: bytes | None) -> str:
    return (value or b"").hex()


class _Reader(NamedTuple):
    """How one format is read."""

    head: Callable[[Path], tuple[list[str], int]]
    """Its columns, and how many rows it has at most."""
    rows: Callable[[Path, Tell], Iterator[Row]]


_CSV: Final = _Reader(_csv_head, _csv_rows)
_PARQUET: Final = _Reader(_parquet_head, _parquet_rows)
