"""What a super-agent keeps of merchants and their customers' payments, sealed. LMDB.

A folder of its own beside the journal: no block holds any of it, and it may be lost: what is in flight is
known to w super-agents, and what is final is in the ledger. Every value is sealed
(`harambee.crypto.vault`), bound to this network, its table and its key.

| table | key | value |
|---|---|---|
| `meta` | `format`, `network`, `author` | the folder belongs to this one |
| `meta` | `read` | u64 statement entries, u64 blocks: what becomes final is followed from there |
| `merchants` | trade ":" short code | MerchantRow |
| `requests` | id 32 | RequestRow |
| `waiting` | id 32 | nothing: these requests have not ended |
| `names` | name | the id of the request |
| `events` | cursor u64 | EventRow |
| `happened` | event id | cursor u64; what happens a second time makes no second event |
| `told` | event id | nothing: it has reached every address, here or from another super-agent |
| `of_merchant` | trade ":" short code, 0, cursor u64 | nothing |
| `deliveries` | cursor u64, number u8 | DeliveryRow |
| `codes` | trade ":" short code, 0, receipt code | cursor u64 of its event |
| `bills` | payer u32, reference 32 | BillRow |
| `instructions` | trade ":" short code, 0, name | InstructionRow |
| `undone` | the same | nothing: these have no result yet |

Integers are big-endian in keys. Writes that come together are made durable together, in another thread.
"""

import asyncio
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import lmdb
import msgspec

from harambee.crypto.vault import Vault, VaultError
from harambee.merchants.rows import (
    BillRow,
    DeliveryRow,
    EventRow,
    InstructionRow,
    MerchantRow,
    RequestRow,
    RowError,
    read_row,
    write_row,
)

T = TypeVar("T")
R = TypeVar("R", bound=msgspec.Struct)

FORMAT: Final = 1
MAP_BYTES: Final = 64 << 30
"""Address space kept free; the file grows as it is written."""
TABLES: Final = (
    "meta",
    "merchants",
    "requests",
    "waiting",
    "names",
    "events",
    "happened",
    "told",
    "of_merchant",
    "deliveries",
    "codes",
    "bills",
    "instructions",
    "undone",
)
READERS_MAX: Final = 512

_CURSOR: Final = struct.Struct(">Q")
_DELIVERY: Final = struct.Struct(">QB")
_BILL: Final = struct.Struct(">I32s")
_FORMAT: Final = struct.Struct("<I")
_READ: Final = struct.Struct(">QQ")
_READ_KEY: Final = b"read"
_AAD_TAG: Final = b"hrb1:merchants\0\0"
assert len(_AAD_TAG) == 16


class MerchantStoreError(Exception):
    """The store cannot be opened, read or written; the message is one sentence, without persons."""


class MerchantStore:
    """The open store of one super-agent. Reads may come from any thread; writes go through `write`."""

    def __init__(self, environment: Any, network: bytes, vault: Vault) -> None:
        """For `open` only."""
        self._environment = environment
        self._network = network
        self._vault = vault
        self._tables = {name: environment.open_db(name.encode()) for name in TABLES}
        self._closing = threading.Lock()
        self._queue: list[tuple[Callable[[Changes], Any], asyncio.Future[Any]]] = []
        self._writer: asyncio.Task[None] | None = None
        with environment.begin(db=self._tables["events"]) as transaction:
            cursor = transaction.cursor()
            self._last = _CURSOR.unpack(cursor.key())[0] if cursor.last() else 0

    @classmethod
    def open(cls, folder: Path, network: bytes, author: int, vault: Vault) -> Self:
        """Open the store in `folder`, or make one; MerchantStoreError if it is another's or damaged."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            environment: Any = lmdb.open(
                str(folder),
                map_size=MAP_BYTES,
                max_dbs=len(TABLES),
                mode=0o600,
                max_readers=READERS_MAX,
            )
            wanted = {
                b"format": _FORMAT.pack(FORMAT),
                b"network": network,
                b"author": author.to_bytes(2, "little"),
            }
            meta = environment.open_db(b"meta")
            with environment.begin(write=True, db=meta) as transaction:
                for name, value in wanted.items():
                    found = transaction.get(name)
                    if found is None:
                        transaction.put(name, value)
                    elif found != value:
                        raise MerchantStoreError(
                            f"what is kept of merchants in {folder} belongs to another {name.decode()}"
                        )
            return cls(environment, network, vault)
        except (OSError, lmdb.Error) as error:
            raise MerchantStoreError(f"cannot open the merchants' {folder}: {error}") from error

    async def close(self) -> None:
        """Make durable what waits for that, and let go of the files."""
        while self._writer is not None:
            await self._writer
        with self._closing:
            self._environment.close()

    # -- writing ----------------------------------------------------------------------------------

    async def write(self, change: "Callable[[Changes], T]") -> T:
        """Make a change and return its answer once it is durable; MerchantStoreError if it is not."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append((change, answer))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())
        return await answer

    async def _write_all(self) -> None:
        try:
            while self._queue:
                batch, self._queue = self._queue, []
                try:
                    results = await asyncio.to_thread(self._commit, [change for change, _ in batch])
                except (lmdb.Error, OSError) as error:
                    failure = MerchantStoreError(
                        f"what is kept of merchants cannot be written: {error}"
                    )
                    for _, answer in batch:
                        if not answer.done():
                            answer.set_exception(failure)
                else:
                    for (_, answer), result in zip(batch, results, strict=True):
                        if not answer.done():
                            answer.set_result(result)
        finally:
            self._writer = None

    def _commit(self, changes: "list[Callable[[Changes], Any]]") -> list[Any]:
        last = self._last
        with self._environment.begin(write=True) as transaction:
            open_ = Changes(transaction, self._tables, self._sealed, last)
            results = [change(open_) for change in changes]
        self._last = open_.last
        return results

    # -- reading ----------------------------------------------------------------------------------

    def merchants(self) -> list[MerchantRow]:
        """Return every merchant."""
        return [row for _, row in self._all("merchants", MerchantRow)]

    def waiting(self) -> list[tuple[bytes, RequestRow]]:
        """Return the requests that have not ended, by id."""
        with self._reading("waiting") as transaction:
            ids = [bytes(key) for key in transaction.cursor().iternext(values=False)]
        found = [(identity, self.request(identity)) for identity in ids]
        return [(identity, row) for identity, row in found if row is not None]

    def request(self, identity: bytes) -> RequestRow | None:
        """Return a request by its id."""
        return self._get("requests", identity, RequestRow)

    def named(self, name: str) -> bytes | None:
        """Return the id of the request of this name."""
        with self._reading("names") as transaction:
            found = transaction.get(name.encode())
        return None if found is None else bytes(found)

    def bill(self, payer: int, reference: bytes) -> BillRow | None:
        """Return what a payer said of a payment of this reference."""
        return self._get("bills", _BILL.pack(payer, reference), BillRow)

    def event(self, cursor: int) -> EventRow | None:
        """Return an event."""
        return self._get("events", _CURSOR.pack(cursor), EventRow)

    def events(self, key: str, after: int, limit: int) -> list[tuple[int, EventRow]]:
        """Return a merchant's events behind a cursor, oldest first."""
        prefix = key.encode() + b"\0"
        cursors: list[int] = []
        with self._reading("of_merchant") as transaction:
            place = transaction.cursor()
            more = place.set_range(prefix + _CURSOR.pack(after + 1))
            while more and len(cursors) < limit and place.key().startswith(prefix):
                cursors.append(_CURSOR.unpack(place.key()[len(prefix) :])[0])
                more = place.next()
        found = [(cursor, self.event(cursor)) for cursor in cursors]
        return [(cursor, row) for cursor, row in found if row is not None]

    def event_of_code(self, key: str, receipt_code: str) -> EventRow | None:
        """Return the event of a merchant's payment or instruction that has this receipt code."""
        with self._reading("codes") as transaction:
            found = transaction.get(key.encode() + b"\0" + receipt_code.encode())
        return None if found is None else self.event(_CURSOR.unpack(found)[0])

    def happened(self, event_id: str) -> bool:
        """Say whether there is this event already."""
        with self._reading("happened") as transaction:
            return transaction.get(event_id.encode()) is not None

    def is_told(self, event_id: str) -> bool:
        """Say whether an event has reached every address."""
        with self._reading("told") as transaction:
            return transaction.get(event_id.encode()) is not None

    def deliveries(self) -> list[tuple[tuple[int, int], DeliveryRow]]:
        """Return what has yet to be delivered, oldest first, by (cursor, number)."""
        return [
            ((cursor, number), row)
            for key, row in self._all("deliveries", DeliveryRow)
            for cursor, number in (_DELIVERY.unpack(key),)
        ]

    def instruction(self, key: str, name: str) -> InstructionRow | None:
        """Return a merchant's instruction by its name."""
        return self._get("instructions", key.encode() + b"\0" + name.encode(), InstructionRow)

    def undone(self) -> list[InstructionRow]:
        """Return the instructions that have no result yet."""
        with self._reading("undone") as transaction:
            keys = [bytes(key) for key in transaction.cursor().iternext(values=False)]
        found = [self._get("instructions", key, InstructionRow) for key in keys]
        return sorted((row for row in found if row is not None), key=lambda row: row.told_ms)

    def read_up_to(self) -> tuple[int, int] | None:
        """Return how far what became final was followed: entries, and blocks of the journal then."""
        with self._reading("meta") as transaction:
            found = transaction.get(_READ_KEY)
        return None if found is None else _READ.unpack(found)

    # -- inside -----------------------------------------------------------------------------------

    @contextmanager
    def _reading(self, table: str) -> Iterator[Any]:
        with self._closing, self._environment.begin(db=self._tables[table]) as transaction:
            yield transaction

    def _get(self, table: str, key: bytes, kind: type[R]) -> R | None:
        with self._reading(table) as transaction:
            found = transaction.get(key)
        return None if found is None else self._opened(table, key, bytes(found), kind)

    def _all(self, table: str, kind: type[R]) -> list[tuple[bytes, R]]:
        with self._reading(table) as transaction:
            rows = [(bytes(key), bytes(value)) for key, value in transaction.cursor()]
        return [(key, self._opened(table, key, value, kind)) for key, value in rows]

    def _opened(self, table: str, key: bytes, value: bytes, kind: type[R]) -> R:
        try:
            return read_row(self._vault.open(value, self._place(table, key)), kind)
        except (VaultError, RowError) as error:
            raise MerchantStoreError(f"a row of {table} cannot be read: {error}") from error

    def _sealed(self, table: str, key: bytes, row: msgspec.Struct) -> bytes:
        return self._vault.seal(write_row(row), self._place(table, key))

    def _place(self, table: str, key: bytes) -> bytes:
        return _AAD_TAG + self._network + table.encode() + b"\0" + key


class Changes:
    """What may be changed in one durable step; used inside `MerchantStore.write` alone."""

    def __init__(
        self,
        transaction: Any,
        tables: dict[str, Any],
        seal: Callable[[str, bytes, msgspec.Struct], bytes],
        last: int,
    ) -> None:
        """`last` is the newest event's cursor."""
        self.last = last
        self._transaction = transaction
        self._tables = tables
        self._seal = seal

    def note_read(self, entries: int, blocks: int) -> None:
        """What became final was followed so far."""
        self._mark("meta", _READ_KEY, _READ.pack(entries, blocks))

    def put_merchant(self, key: str, row: MerchantRow) -> None:
        """Keep a merchant."""
        self._put("merchants", key.encode(), row)

    def put_request(self, identity: bytes, name: str, row: RequestRow, *, waits: bool) -> None:
        """Keep a request, and whether it waits for its end."""
        self._put("requests", identity, row)
        self._mark("names", name.encode(), identity)
        if waits:
            self._mark("waiting", identity, b"")
        else:
            self._transaction.delete(identity, db=self._tables["waiting"])

    def put_bill(self, payer: int, reference: bytes, row: BillRow) -> None:
        """Keep what a payer says of a payment to come."""
        self._put("bills", _BILL.pack(payer, reference), row)

    def put_instruction(self, key: str, row: InstructionRow) -> None:
        """Keep an instruction, and whether it has a result."""
        place = key.encode() + b"\0" + row.instruction.name.encode()
        self._put("instructions", place, row)
        if row.done:
            self._transaction.delete(place, db=self._tables["undone"])
        else:
            self._mark("undone", place, b"")

    def put_event(
        self, key: str, row: EventRow, receipt_code: str, addresses: list[tuple[str, str]]
    ) -> int | None:
        """Keep an event with the addresses, (url, form), that it has yet to reach; returns its cursor.

        None where it has happened already. Nothing is to be delivered where another super-agent has
        told it to everybody already.
        """
        tables, identity = self._tables, row.id.encode()
        if self._transaction.get(identity, db=tables["happened"]) is not None:
            return None
        self.last += 1
        place = _CURSOR.pack(self.last)
        self._put("events", place, row)
        self._mark("happened", identity, place)
        self._mark("of_merchant", key.encode() + b"\0" + place, b"")
        if receipt_code:
            self._mark("codes", key.encode() + b"\0" + receipt_code.encode(), place)
        if self._transaction.get(identity, db=tables["told"]) is None:
            for number, (url, form) in enumerate(addresses):
                self._put(
                    "deliveries",
                    _DELIVERY.pack(self.last, number),
                    DeliveryRow(self.last, url, form),
                )
        return self.last

    def end_delivery(self, cursor: int, number: int, event_id: str) -> bool:
        """An event has reached an address; returns whether that was the last of its addresses."""
        tables = self._tables
        self._transaction.delete(_DELIVERY.pack(cursor, number), db=tables["deliveries"])
        place = self._transaction.cursor(db=tables["deliveries"])
        if place.set_range(_CURSOR.pack(cursor)) and place.key().startswith(_CURSOR.pack(cursor)):
            return False
        self._mark("told", event_id.encode(), b"")
        return True

    def note_told(self, event_id: str) -> list[tuple[int, int]]:
        """Another super-agent has told this; returns the deliveries that are not needed any more."""
        tables, identity = self._tables, event_id.encode()
        self._mark("told", identity, b"")
        found = self._transaction.get(identity, db=tables["happened"])
        if found is None:
            return []
        ended: list[tuple[int, int]] = []
        place = self._transaction.cursor(db=tables["deliveries"])
        more = place.set_range(bytes(found))
        while more and place.key().startswith(bytes(found)):
            ended.append(_DELIVERY.unpack(place.key()))
            more = place.delete()
        return ended

    def _put(self, table: str, key: bytes, row: msgspec.Struct) -> None:
        self._mark(table, key, self._seal(table, key, row))

    def _mark(self, table: str, key: bytes, value: bytes) -> None:
        self._transaction.put(key, value, db=self._tables[table])
