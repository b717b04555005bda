"""What an audit read, as Parquet files for DuckDB and others: orders, blocks and accounts.

Whole columns are written, as they lie in the records, so ten million orders take a minute and little memory.
Money is whole cents. There are no names of people: the ledger has none.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from harambee.audit.recomputing import Recomputing
from harambee.audit.records import Records
from harambee.crypto.durable_files import sync_folder
from harambee.crypto.hashing import TAG_ORDER, digest_many, signed_prefix
from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import (
    BODY_BYTES,
    KIND_MASK,
    ORDER,
    ORDER_BYTES,
    POSITION_BITS,
    REGION_ACCOUNTS,
    STATUS_MASK,
    STATUS_SHIFT,
    TIER_MASK,
    TIER_SHIFT,
    AccountKind,
    Status,
)
from harambee.protocol.wire import Block

ROWS_AT_ONCE: Final = 1 << 16
"""Rows of a group."""
BLOCKS_AT_ONCE: Final = 1 << 10

Column = tuple[str, Any]
"""A name, and the Arrow array or NumPy array of its values."""


class ParquetError(Exception):
    """The files cannot be written; the message is one sentence."""


def need_pyarrow() -> None:
    """ParquetError where pyarrow is not installed: before the work is done that it is for."""
    try:
        import_module("pyarrow.parquet")
    except ImportError as error:
        raise ParquetError(
            "Parquet needs pyarrow: install it with `pip install 'harambee[parquet]'`"
        ) from error


def write_parquet(folder: Path, work: Recomputing, records: Records) -> None:
    """Write orders.parquet, blocks.parquet and accounts.parquet into a folder.

    `work` has audited these `records` with `note_applied`. Blocks that cannot be read are in neither
    file. ParquetError; OSError.
    """
    need_pyarrow()
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        files = [
            stack.enter_context(_table(folder / f"{name}.parquet"))
            for name in ("orders", "blocks", "accounts")
        ]
        orders, blocks, accounts = files
        for some in _batches(work, records):
            blocks.write(_block_columns(work, some))
            _write_orders(orders, work, some)
        for numbers in _account_numbers(work):
            accounts.write(_account_columns(work, numbers))


class _Table:
    """One Parquet file; its columns are those of the first rows."""

    def __init__(self, file: IO[bytes]) -> None:
        self._arrow: Any = import_module("pyarrow")
        self._parquet: Any = import_module("pyarrow.parquet")
        self._file = file
        self._writer: Any = None

    def write(self, columns: list[Column]) -> None:
        """Write rows as a group; all columns are equally long."""
        table = self._arrow.table({name: self._array(values) for name, values in columns})
        if self._writer is None:
            self._writer = self._parquet.ParquetWriter(self._file, table.schema)
        self._writer.write_table(table)

    def _array(self, values: Any) -> Any:
        """The values as Arrow has them: bytes of rows stay bytes, words are kept once."""
        arrow = self._arrow
        if isinstance(values, _Words):
            codes = arrow.array(values.codes)
            return arrow.DictionaryArray.from_arrays(codes, arrow.array(values.words))
        if values.ndim == 2:  # rows of bytes
            content = arrow.py_buffer(np.ascontiguousarray(values).tobytes())
            kind = arrow.binary(values.shape[1])
            return arrow.FixedSizeBinaryArray.from_buffers(kind, len(values), [None, content])
        return arrow.array(np.ascontiguousarray(values))

    def close(self) -> None:
        """Write the file's end."""
        if self._writer is not None:
            self._writer.close()


class _Words:
    """A column of few words: (n,) codes, and the word of each code."""

    def __init__(self, codes: npt.NDArray[np.integer[Any]], words: list[str]) -> None:
        self.codes, self.words = codes.astype(np.int16), words


@contextmanager
def _table(file: Path) -> Iterator[_Table]:
    """A file that takes its name when it is whole."""
    aside = file.with_name(f".{file.name}.new")
    try:
        with aside.open("wb") as opened:
            with closing(_Table(opened)) as table:
                yield table
            opened.flush()
            os.fsync(opened.fileno())
        aside.replace(file)
        sync_folder(file.parent)
    finally:
        aside.unlink(missing_ok=True)


Read = list[tuple[int, Block]]


def _batches(work: Recomputing, records: Records) -> Iterator[Read]:
    """Blocks that can be read, with their positions: as many as make a group of rows."""
    some: Read = []
    orders = 0
    for position, data in records.blocks():
        block = work.fold.read(data) if isinstance(data, bytes) else None
        if isinstance(block, Block):
            some.append((position, block))
            orders += len(block.orders)
        if len(some) >= BLOCKS_AT_ONCE or orders >= ROWS_AT_ONCE:
            yield some
            some, orders = [], 0
    yield some  # with none, still the columns


def _block_columns(work: Recomputing, some: Read) -> list[Column]:
    blocks = [block for _, block in some]
    applied = [int(_applied(work, position, block).sum()) for position, block in some]
    return [
        ("position", np.array([position for position, _ in some], np.uint64)),
        *_names(work, blocks, np.arange(len(blocks))),
        ("digest", _rows([block.digest for block in blocks], 32)),
        ("previous", _rows([block.previous for block in blocks], 32)),
        ("time_ms", np.array([block.time_ms for block in blocks], np.uint64)),
        ("references", np.array([len(block.names) for block in blocks], np.uint32)),
        ("bytes", np.array([len(block.data) for block in blocks], np.uint32)),
        ("orders", np.array([len(block.orders) for block in blocks], np.uint32)),
        ("applied", np.array(applied, np.uint32)),
    ]


def _write_orders(table: _Table, work: Recomputing, some: Read) -> None:
    blocks = [block for _, block in some]
    counts = [len(block.orders) for block in blocks]
    whose = np.repeat(np.arange(len(blocks)), counts)
    parts = [block.orders for block in blocks]
    orders = np.concatenate(parts) if parts else np.zeros(0, ORDER)
    positions = np.array([position for position, _ in some], np.uint64)
    applied = [_applied(work, position, block) for position, block in some]
    rows = [np.arange(count, dtype=np.uint32) for count in counts]
    octets = orders.view(np.uint8).reshape(len(orders), ORDER_BYTES)
    prefix = signed_prefix(TAG_ORDER, work.genesis.network)
    table.write(
        [
            ("position", positions[whose]),
            *_names(work, blocks, whose),
            ("row", np.concatenate(rows) if rows else np.zeros(0, np.uint32)),
            ("id", digest_many(prefix, octets[:, :BODY_BYTES])),
            ("kind", _kinds(orders["kind"])),
            ("kind_code", orders["kind"]),
            *((name, orders[name]) for name in ("payer", "payee")),
            ("amount_cents", orders["amount"]),
            ("fee_cents", orders["fee"]),
            *((name, orders[name]) for name in ("sequence", "tariff", "day")),
            *((name, orders[name]) for name in ("options", "reference", "signature")),
            ("applied", np.concatenate(applied) if applied else np.zeros(0, np.bool_)),
        ]
    )


def _applied(work: Recomputing, position: int, block: Block) -> npt.NDArray[np.bool_]:
    assert work.applied is not None, "it was told to note what is applied"
    found = work.applied.get(position)
    return np.zeros(len(block.orders), np.bool_) if found is None else found


def _names(work: Recomputing, blocks: list[Block], whose: npt.NDArray[np.intp]) -> list[Column]:
    """The names of blocks, as columns of rows that belong to `whose`."""
    authors = np.array([block.author for block in blocks], np.int16)
    members = [member.name for member in work.genesis.committee.members]
    incarnations = np.array([block.incarnation for block in blocks], np.uint16)
    heights = np.array([block.height for block in blocks], np.uint32)
    return [
        ("super_agent", _Words(authors[whose], members)),
        ("incarnation", incarnations[whose]),
        ("height", heights[whose]),
    ]


def _kinds(codes: npt.NDArray[np.uint8]) -> _Words:
    known = {int(kind): kind.name.lower() for kind in OrderKind}
    return _Words(codes, [known.get(code, f"kind {code}") for code in range(256)])


def _rows(values: list[bytes], width: int) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"".join(values), np.uint8).reshape(len(values), width)


def _account_numbers(work: Recomputing) -> Iterator[npt.NDArray[np.int64]]:
    """The numbers of all accounts, ascending, at most as many as make a group of rows."""
    lines = work.ledger.accounts
    for region in range(0, len(lines), REGION_ACCOUNTS):
        flags = lines["flags"][region : region + REGION_ACCOUNTS]
        numbers = region + np.flatnonzero(flags & KIND_MASK)
        for start in range(0, len(numbers), ROWS_AT_ONCE):
            yield numbers[start : start + ROWS_AT_ONCE]


def _account_columns(work: Recomputing, numbers: npt.NDArray[np.int64]) -> list[Column]:
    records = work.ledger.records(numbers)
    flags = records["flags"]
    kinds = {int(kind): kind.name.lower() for kind in AccountKind}
    states = {int(state): state.name.lower() for state in Status}
    status = flags >> np.uint32(STATUS_SHIFT) & np.uint32(STATUS_MASK)
    return [
        ("account", numbers.astype(np.uint32)),
        ("region", (numbers >> POSITION_BITS).astype(np.uint16)),
        (
            "kind",
            _Words(flags & np.uint32(KIND_MASK), [kinds.get(k, f"kind {k}") for k in range(16)]),
        ),
        ("status", _Words(status, [states.get(s, f"status {s}") for s in range(16)])),
        ("tier", (flags >> np.uint32(TIER_SHIFT) & np.uint32(TIER_MASK)).astype(np.uint8)),
        ("balance_cents", records["balance"]),
        ("held_cents", records["held"]),
        ("frozen_cents", records["frozen"]),
        ("debited_cents", records["debited"]),
        ("credited_cents", records["credited"]),
        ("next_sequence", records["next_sequence"]),
        ("head_office", records["head_office"]),
        ("flags", flags),
        ("key", records["key"]),
    ]
