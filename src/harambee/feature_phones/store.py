"""What a holder keeps of feature phones, sealed. LMDB.

A folder of its own beside the journal. Every value is sealed (`harambee.crypto.vault`), bound to this
network, its table and its key, so that a row that was altered or moved does not open.

| table | key | value |
|---|---|---|
| `meta` | `format`, `network`, `author` | the folder belongs to this one |
| `keys` | account u32, maker u16 | KeyRow: one key of each holder at most |
| `pins` | account u32 | PinRow |
| `tries` | account u32 | TriesRow |
| `pending` | account u32 | PendingRow: what this holder signed and nobody has decided |

Integers are big-endian. Every write is durable when the call returns, so calls that write belong into a
thread; they may come from any.
"""

import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import lmdb
import msgspec

from harambee.crypto.vault import Vault, VaultError
from harambee.feature_phones.rows import (
    KeyRow,
    PendingRow,
    PinRow,
    RowError,
    TriesRow,
    read_row,
    write_row,
)
from harambee.feature_phones.tries import NO_TRIES, Tries, Try, claimed
from harambee.storage.owner import claim

R = TypeVar("R", bound=msgspec.Struct)

FORMAT: Final = 1
MAP_BYTES: Final = 16 << 30
"""Address space kept free; the file grows as it is written."""
TABLES: Final = ("meta", "keys", "pins", "tries", "pending")
READERS_MAX: Final = 512
FINISHED_AT_ONCE: Final = 256

_ACCOUNT: Final = struct.Struct(">I")
_KEY: Final = struct.Struct(">IH")
_AAD_TAG: Final = b"hrb1:phones\0\0\0\0\0"
assert len(_AAD_TAG) == 16


class PhoneStoreError(Exception):
    """The store cannot be opened, read or written; the message is one sentence, without persons."""


class PhoneStore:
    """The open store of one super-agent."""

    def __init__(self, environment: Any, network: bytes, vault: Vault) -> None:
        """For `open` only."""
        self._environment = environment
        self._network = network
        self._vault = vault
        self._tables = {name: environment.open_db(name.encode()) for name in TABLES}
        self._closing = threading.Condition()
        self._users = 0
        self._is_closed = False

    @classmethod
    def open(cls, folder: Path, network: bytes, author: int, vault: Vault) -> Self:
        """Open the store in `folder`, or make one; PhoneStoreError if it is another's or damaged."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            environment: Any = lmdb.open(
                str(folder),
                map_size=MAP_BYTES,
                max_dbs=len(TABLES),
                mode=0o600,
                max_readers=READERS_MAX,
            )
            meta = environment.open_db(b"meta")
            with environment.begin(write=True, db=meta) as transaction:
                other = claim(transaction, FORMAT, network, author)
                if other is not None:
                    raise PhoneStoreError(
                        f"what is kept of feature phones in {folder} belongs to another {other}"
                    )
            store = cls(environment, network, vault)
            store._seal_again()
        except (OSError, lmdb.Error) as error:
            raise PhoneStoreError(f"cannot open the feature phones' {folder}: {error}") from error
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files once nobody reads or writes; what was written is on disk already."""
        with self._closing:
            self._is_closed = True
            self._closing.wait_for(lambda: self._users == 0)
        self._environment.close()

    # -- keys -------------------------------------------------------------------------------------

    def keys(self, account: int) -> list[KeyRow]:
        """Return the keys of an account that lie here, in the order of their makers."""
        first = _KEY.pack(account, 0)
        found: list[KeyRow] = []
        with self._transaction("keys", write=False) as transaction:
            cursor = transaction.cursor()
            more = cursor.set_range(first)
            while more and cursor.key()[:4] == first[:4]:
                found.append(self._opened("keys", bytes(cursor.key()), cursor.value(), KeyRow))
                more = cursor.next()
        return found

    def keep_key(self, account: int, row: KeyRow) -> bool:
        """Keep a key; False where its maker has given another one before, which stays."""
        key = _KEY.pack(account, row.maker)
        with self._transaction("keys", write=True) as transaction:
            found = transaction.get(key)
            if found is not None:
                return self._opened("keys", key, found, KeyRow) == row
            transaction.put(key, self._sealed("keys", key, row))
        return True

    # -- PINs -------------------------------------------------------------------------------------

    def pin(self, account: int) -> PinRow | None:
        """Return what is kept of an owner's PIN, or None."""
        return self._get("pins", account, PinRow)

    def keep_pin(self, account: int, row: PinRow) -> bool:
        """Keep it; False where another of this or a higher version is there, which stays."""
        key = _ACCOUNT.pack(account)
        with self._transaction("pins", write=True) as transaction:
            found = transaction.get(key)
            if found is not None:
                before = self._opened("pins", key, found, PinRow)
                if before.version >= row.version:
                    return before == row
            transaction.put(key, self._sealed("pins", key, row))
        return True

    # -- tries ------------------------------------------------------------------------------------

    def tries(self, account: int) -> Tries:
        """Return the tries that were noted here."""
        found = self._get("tries", account, TriesRow)
        return NO_TRIES if found is None else found.tries()

    def claim(self, account: int, asked: Try, mark: int) -> tuple[Tries, bool]:
        """Note a try, and return what is noted and whether it was granted; durable before it returns."""
        return self._change_tries(account, lambda tries: claimed(tries, asked, mark))

    def mark(self, account: int, number: int) -> Tries:
        """Tries up to this number count no more."""
        tries, _ = self._change_tries(account, lambda tries: (tries.marked(number), True))
        return tries

    def _change_tries(
        self, account: int, change: Callable[[Tries], tuple[Tries, bool]]
    ) -> tuple[Tries, bool]:
        key = _ACCOUNT.pack(account)
        with self._transaction("tries", write=True) as transaction:
            found = transaction.get(key)
            before = (
                NO_TRIES if found is None else self._opened("tries", key, found, TriesRow).tries()
            )
            after, granted = change(before)
            if after != before:
                transaction.put(key, self._sealed("tries", key, TriesRow.of(after)))
        return after, granted

    # -- orders on their way ----------------------------------------------------------------------

    def pending(self, account: int) -> PendingRow | None:
        """Return what this holder has signed for an account that is not decided yet."""
        return self._get("pending", account, PendingRow)

    def all_pending(self) -> list[int]:
        """Return the accounts of which something is not decided, so many as are finished at once."""
        with self._transaction("pending", write=False) as transaction:
            keys = transaction.cursor().iternext(values=False)
            return [
                _ACCOUNT.unpack(key)[0]
                for _, key in zip(range(FINISHED_AT_ONCE), keys, strict=False)
            ]

    def put_pending(self, account: int, row: PendingRow | None) -> None:
        """Keep signed orders before they leave; None once their slot is decided."""
        key = _ACCOUNT.pack(account)
        with self._transaction("pending", write=True) as transaction:
            if row is None:
                transaction.delete(key)
            else:
                transaction.put(key, self._sealed("pending", key, row))

    def _seal_again(self) -> None:
        """Seal by the newest key whatever an older one has sealed; PhoneStoreError if one is missing."""
        kinds: dict[str, type[msgspec.Struct]] = {
            "keys": KeyRow,
            "pins": PinRow,
            "tries": TriesRow,
            "pending": PendingRow,
        }
        for table, kind in kinds.items():
            with self._transaction(table, write=True) as transaction:
                for key, value in transaction.cursor():
                    if not self._vault.is_newest(bytes(value)):
                        row = self._opened(table, bytes(key), value, kind)
                        transaction.put(bytes(key), self._sealed(table, bytes(key), row))

    # -- inside -----------------------------------------------------------------------------------

    def _get(self, table: str, account: int, kind: type[R]) -> R | None:
        key = _ACCOUNT.pack(account)
        with self._transaction(table, write=False) as transaction:
            found = transaction.get(key)
            return None if found is None else self._opened(table, key, found, kind)

    @contextmanager
    def _transaction(self, table: str, *, write: bool) -> Iterator[Any]:
        with self._closing:
            if self._is_closed:
                raise PhoneStoreError("what is kept of feature phones is closed")
            self._users += 1
        try:
            with self._environment.begin(write=write, db=self._tables[table]) as transaction:
                yield transaction
        except (lmdb.Error, OSError) as error:
            raise PhoneStoreError(
                f"what is kept of feature phones cannot be read or written: {error}"
            ) from error
        finally:
            with self._closing:
                self._users -= 1
                self._closing.notify_all()

    def _sealed(self, table: str, key: bytes, row: msgspec.Struct) -> bytes:
        return self._vault.seal(write_row(row), self._place(table, key))

    def _opened(self, table: str, key: bytes, value: bytes, kind: type[R]) -> R:
        try:
            return read_row(self._vault.open(bytes(value), self._place(table, key)), kind)
        except (VaultError, RowError) as error:
            raise PhoneStoreError(f"a row of {table} cannot be read: {error}") from error

    def _place(self, table: str, key: bytes) -> bytes:
        return _AAD_TAG + self._network + table.encode() + b"\0" + key
