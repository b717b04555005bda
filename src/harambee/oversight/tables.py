"""Tables that a regulator asks for, as CSV or Parquet, row by row: integers and words, no names of people.

A column of money is whole cents and says so in its name. CSV needs nothing but Python; Parquet needs
pyarrow, which is an extra. A file is written aside and takes its name when it is whole.
"""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, Protocol

from harambee.crypto.durable_files import sync_folder

Value = int | str
ROWS_AT_ONCE: Final = 65_536
"""Rows of a Parquet file's group."""

# Programs that open CSV files take such a text for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class TableError(Exception):
    """A table cannot be written; the message is one sentence."""


class Column(NamedTuple):
    """A column: its name, and whether it holds whole numbers or text."""

    name: str
    is_number: bool


def numbers(*names: str) -> list[Column]:
    """Return columns of whole numbers."""
    return [Column(name, is_number=True) for name in names]


def words(*names: str) -> list[Column]:
    """Return columns of text."""
    return [Column(name, is_number=False) for name in names]


class Sink(Protocol):
    """Where rows go."""

    def write(self, rows: Sequence[Sequence[Value]]) -> None:
        """Write rows, each as long as there are columns."""


class _Csv:
    def __init__(self, file: IO[bytes], columns: Sequence[Column]) -> None:
        self._text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
        self._rows = csv.writer(self._text, lineterminator="\n")
        self._rows.writerow([column.name for column in columns])

    def write(self, rows: Sequence[Sequence[Value]]) -> None:
        self._rows.writerows([[_harmless(value) for value in row] for row in rows])

    def close(self) -> None:
        self._text.flush()
        self._text.detach()


def _harmless(value: Value) -> Value:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


class _Parquet:
    def __init__(self, file: IO[bytes], columns: Sequence[Column]) -> None:
        try:
            pyarrow = import_module("pyarrow")
            parquet = import_module("pyarrow.parquet")
        except ImportError as error:
            raise TableError(
                "Parquet needs pyarrow: install it with `pip install pyarrow`, or write a .csv"
            ) from error
        self._arrow: Any = pyarrow
        self._schema: Any = pyarrow.schema(
            [
                (column.name, pyarrow.int64() if column.is_number else pyarrow.string())
                for column in columns
            ]
        )
        self._writer: Any = parquet.ParquetWriter(file, self._schema)
        self._waiting: list[Sequence[Value]] = []

    def write(self, rows: Sequence[Sequence[Value]]) -> None:
        self._waiting += rows
        if len(self._waiting) >= ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        columns = zip(*self._waiting, strict=True)
        arrays = [
            self._arrow.array(values, field.type)
            for values, field in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_table(self._arrow.table(arrays, self._schema))
        self._waiting = []

    def close(self) -> None:
        if self._waiting:
            self._flush()
        self._writer.close()


FORMATS: Final[dict[str, type[_Csv] | type[_Parquet]]] = {".csv": _Csv, ".parquet": _Parquet}
"""By the end of the file's name."""


@contextmanager
def table(file: Path, columns: Sequence[Column]) -> Iterator[Sink]:
    """Open a table, CSV or Parquet by its name; it is there when the context ends without an error.

    TableError for a name of neither, and where pyarrow is missing; OSError.
    """
    kind = FORMATS.get(file.suffix.lower())
    if kind is None:
        raise TableError(f"the file {file.name} is neither a .csv nor a .parquet file")
    aside = file.with_name(f".{file.name}.new")
    try:
        with aside.open("wb") as opened:
            sink = kind(opened, columns)
            yield sink
            sink.close()
            opened.flush()
            os.fsync(opened.fileno())
        aside.replace(file)
        sync_folder(file.parent)
    finally:
        aside.unlink(missing_ok=True)
