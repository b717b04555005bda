"""What a super-agent keeps of merchants and their customers' payments, sealed. LMDB.

A folder of its own beside the journal: no block holds any of it, and it may be lost: what is in flight is
known to w super-agents, and what is final is in the ledger. Every value is sealed
(`harambee.crypto.vault`), bound to this network, its table and its key.

| table | key | value |
|---|---|---|
| `meta` | `format`, `network`, `author` | the folder belongs to this one |
| `meta` | `place`, `copied` | device and number of the data file as last opened; u64 when it was another |
| `meta` | `last` | cursor u64 of the newest event |
| `meta` | `read` | u64 statement entries, u64 blocks: what becomes final is followed from there |
| `merchants` | trade ":" short code | MerchantRow |
| `requests` | id 32 | RequestRow |
| `waiting` | id 32 | nothing: these requests have not ended |
| `names` | name | the id of the request |
| `events` | cursor u64 | EventRow |
| `happened` | event id | cursor u64; what happens a second time makes no second event |
| `told` | event id | nothing: it has reached every address, here or from another of its ring |
| `of_merchant` | trade ":" short code, 0, cursor u64 | nothing |
| `deliveries` | cursor u64, number u8 | DeliveryRow |
| `codes` | trade ":" short code, 0, receipt code | cursor u64 of its event |
| `references` | reference 32 | cursor u64 of the payment that had it |
| `bills` | payer u32, reference 32 | BillRow |
| `instructions` | trade ":" short code, 0, name | InstructionRow |
| `undone` | the same | nothing: these have no result yet |
| `invoices` | trade ":" short code, 0, the merchant's reference | InvoiceRow |
| `invoiced` | trade ":" short code, 0, account, 0, reference | nothing: by what its invoices are paid |
| `standing` | id 32 of a request | StandingRow: its payer has agreed to it |
| `past` | time u64, table u8, key | nothing: from then on this row is not needed for what goes on |

Integers are big-endian in keys. Writes that come together are made durable together, in another thread; one
that fails is undone by itself. What is past is forgotten after some days, a little at a time.
"""

import asyncio
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
    InvoiceRow,
    MerchantRow,
    RequestRow,
    RowError,
    StandingRow,
    read_row,
    write_row,
)
from harambee.storage.owner import claim

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
    "references",
    "bills",
    "instructions",
    "undone",
    "past",
    "invoices",
    "invoiced",
    "standing",
)
"""Their places are in `past`: new ones stand last."""
READERS_MAX: Final = 512
DATA_NAME: Final = "data.mdb"
KEY_BYTES_MAX: Final = 511
"""LMDB's; what is asked for under a longer name is not here."""
KEPT_DAYS: Final = 10
"""So long what has ended can be asked for, and a name stands for what it stood for."""
KEPT_MS: Final = KEPT_DAYS * 86_400_000
FORGOTTEN_AT_ONCE: Final = 256

_CURSOR: Final = struct.Struct(">Q")
_DELIVERY: Final = struct.Struct(">QB")
_BILL: Final = struct.Struct(">I32s")
_READ: Final = struct.Struct(">QQ")
_PAST: Final = struct.Struct(">QB")
_CURSOR_MAX: Final = 1 << 63
_TIME_MS_MAX: Final = 1 << 63
_READ_KEY: Final = b"read"
_LAST_KEY: Final = b"last"
_PLACE_KEY: Final = b"place"
_COPIED_KEY: Final = b"copied"
_POINTERS: Final = ("names", "codes", "references")
"""They may point to something newer by now."""
_AAD_TAG: Final = b"hrb1:merchants\0\0"
assert len(_AAD_TAG) == 16


class MerchantStoreError(Exception):
    """The store cannot be opened, read or written; the message is one sentence, without persons."""


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


class MerchantStore:
    """The open store of one super-agent. Reads may come from any thread; writes go through `write`."""

    def __init__(self, environment: Any, network: bytes, vault: Vault) -> None:
        """For `open` only."""
        self._environment = environment
        self._network = network
        self._vault = vault
        self._tables = {name: environment.open_db(name.encode()) for name in TABLES}
        self._closing = threading.Lock()
        self._closed = False
        self._queue: list[tuple[Callable[[Changes], Any], asyncio.Future[Any]]] = []
        self._writer: asyncio.Task[None] | None = None
        with environment.begin(db=self._tables["meta"]) as transaction:
            last = transaction.get(_LAST_KEY)
            copied = transaction.get(_COPIED_KEY)
        self.copied_ms: Final = 0 if copied is None else _CURSOR.unpack(copied)[0]
        """When this was found to be a copy; what it has from before may be older than what was done."""
        self._last = 0 if last is None else _CURSOR.unpack(last)[0]

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
            meta = environment.open_db(b"meta")
            with environment.begin(write=True, db=meta) as transaction:
                other = claim(transaction, FORMAT, network, author)
                if other is not None:
                    raise MerchantStoreError(
                        f"what is kept of merchants in {folder} belongs to another {other}"
                    )
                _note_place(transaction, folder / DATA_NAME)
            return cls(environment, network, vault)
        except (OSError, lmdb.Error) as error:
            raise MerchantStoreError(f"cannot open the merchants' {folder}: {error}") from error

    async def close(self) -> None:
        """Make durable what waits for that, and let go of the files."""
        self._closed = True
        while self._writer is not None:
            await asyncio.wait([self._writer])
        with self._closing:
            self._environment.close()

    # -- writing ----------------------------------------------------------------------------------

    async def write(self, change: "Callable[[Changes], T]") -> T:
        """Make a change and return its answer once it is durable; MerchantStoreError if it is not."""
        if self._closed:
            raise MerchantStoreError("what is kept of merchants is closed")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append((change, answer))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())
        return await answer

    async def _write_all(self) -> None:
        try:
            while self._queue:
                batch, self._queue = self._queue, []
                results = await asyncio.to_thread(self._commit, [change for change, _ in batch])
                for (_, answer), result in zip(batch, results, strict=True):
                    if answer.done():
                        continue
                    if isinstance(result, _Failed):
                        answer.set_exception(result.error)
                    else:
                        answer.set_result(result)
        finally:
            self._writer = None

    def _commit(self, changes: "list[Callable[[Changes], Any]]") -> list[Any]:
        """Return what each change answers, or _Failed: one that cannot be made spoils no other."""
        try:
            return self._made(changes)
        except Exception as error:  # noqa: BLE001 - whoever made the change gets it, and nobody else
            if len(changes) > 1:
                return [result for change in changes for result in self._commit([change])]
            if isinstance(error, (lmdb.Error, OSError)):
                return [_Failed(MerchantStoreError(f"what is kept cannot be written: {error}"))]
            return [_Failed(error)]

    def _made(self, changes: "list[Callable[[Changes], Any]]") -> list[Any]:
        with self._environment.begin(write=True) as transaction:
            open_ = Changes(transaction, self._tables, self._sealed, self._last)
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
        return self._looked_up("names", name.encode(errors="replace"))

    def bill(self, payer: int, reference: bytes) -> BillRow | None:
        """Return what a payer said of a payment of this reference."""
        key = _BILL.pack(payer, reference)
        found = self._looked_up("bills", key)
        return None if found is None else self._opened("bills", key, found[_CURSOR.size :], BillRow)

    def standing(self) -> list[tuple[bytes, StandingRow]]:
        """Return the standing orders, by the ids of their requests."""
        return self._all("standing", StandingRow)

    def invoice(self, key: str, reference: str) -> InvoiceRow | None:
        """Return a merchant's invoice by its own reference."""
        return self._get("invoices", _of(key, reference), InvoiceRow)

    def invoices(self) -> list[tuple[str, InvoiceRow]]:
        """Return every invoice with its merchant's key."""
        rows = self._all("invoices", InvoiceRow)
        return [(place.partition(b"\0")[0].decode(), row) for place, row in rows]

    def invoices_count(self) -> int:
        """Return how many invoices there are of all merchants."""
        with self._reading("invoices") as transaction:
            return int(transaction.stat(self._tables["invoices"])["entries"])

    def is_invoiced(self, key: str, account: str) -> bool:
        """Say whether a merchant has an invoice that is paid under this account."""
        prefix = _of(key, account) + b"\0"
        if len(prefix) > KEY_BYTES_MAX:
            return False
        with self._reading("invoiced") as transaction:
            cursor = transaction.cursor()
            return bool(cursor.set_range(prefix)) and bytes(cursor.key()).startswith(prefix)

    def event(self, cursor: int) -> EventRow | None:
        """Return an event."""
        return self._get("events", _CURSOR.pack(cursor), EventRow)

    def events(self, key: str, after: int, limit: int) -> list[tuple[int, EventRow]]:
        """Return a merchant's events behind a cursor, oldest first."""
        prefix = key.encode() + b"\0"
        cursors: list[int] = []
        with self._reading("of_merchant") as transaction:
            place = transaction.cursor()
            more = place.set_range(prefix + _CURSOR.pack(max(0, min(after, _CURSOR_MAX)) + 1))
            while more and len(cursors) < limit and place.key().startswith(prefix):
                cursors.append(_CURSOR.unpack(place.key()[len(prefix) :])[0])
                more = place.next()
        found = [(cursor, self.event(cursor)) for cursor in cursors]
        return [(cursor, row) for cursor, row in found if row is not None]

    def event_of_code(self, key: str, receipt_code: str) -> EventRow | None:
        """Return the event of a merchant's payment or instruction that has this receipt code."""
        found = self._looked_up("codes", _of(key, receipt_code))
        return None if found is None else self.event(_CURSOR.unpack(found)[0])

    def payment_of_reference(self, reference: bytes) -> EventRow | None:
        """Return the event of the payment to a merchant that had this reference."""
        found = self._looked_up("references", reference)
        return None if found is None else self.event(_CURSOR.unpack(found)[0])

    def event_of_id(self, event_id: str) -> EventRow | None:
        """Return an event by its id."""
        found = self._looked_up("happened", event_id.encode(errors="replace"))
        return None if found is None else self.event(_CURSOR.unpack(found)[0])

    def happened(self, event_id: str) -> bool:
        """Say whether there is this event already."""
        return self._looked_up("happened", event_id.encode(errors="replace")) is not None

    def is_told(self, event_id: str) -> bool:
        """Say whether an event has reached every address."""
        return self._looked_up("told", event_id.encode(errors="replace")) is not None

    def deliveries(self) -> list[tuple[tuple[int, int], DeliveryRow]]:
        """Return what has yet to be delivered, oldest first, by (cursor, number)."""
        return [
            ((cursor, number), row)
            for key, row in self._all("deliveries", DeliveryRow)
            for cursor, number in (_DELIVERY.unpack(key),)
        ]

    def deliveries_of(
        self, key: str, cursor: int, limit: int
    ) -> tuple[list[tuple[tuple[int, int], DeliveryRow]], int | None]:
        """Return what has yet to be delivered to a merchant, from an event on, of so many events.

        And the event behind those, if there is one.
        """
        prefix = _of(key, "")
        with self._reading("of_merchant") as transaction:
            place = transaction.cursor()
            more = place.set_range(prefix + _CURSOR.pack(cursor))
            cursors: list[bytes] = []
            while more and len(cursors) <= limit and place.key().startswith(prefix):
                cursors.append(bytes(place.key()[len(prefix) :]))
                more = place.next()
        beyond = _CURSOR.unpack(cursors.pop())[0] if len(cursors) > limit else None
        found: list[tuple[bytes, bytes]] = []
        with self._reading("deliveries") as transaction:
            place = transaction.cursor()
            for one in cursors:
                more = place.set_range(one)
                while more and place.key().startswith(one):
                    found.append((bytes(place.key()), bytes(place.value())))
                    more = place.next()
        rows = [(_DELIVERY.unpack(at), at, value) for at, value in found]
        return [
            (place, self._opened("deliveries", at, value, DeliveryRow)) for place, at, value in rows
        ], beyond

    def instruction(self, key: str, name: str) -> InstructionRow | None:
        """Return a merchant's instruction by its name."""
        return self._get("instructions", _of(key, name), InstructionRow)

    def undone(self) -> list[InstructionRow]:
        """Return the instructions that have no result yet."""
        with self._reading("undone") as transaction:
            keys = [bytes(key) for key in transaction.cursor().iternext(values=False)]
        found = [self._get("instructions", key, InstructionRow) for key in keys]
        rows = (row for row in found if row is not None)
        # What is signed holds the merchant's next slot: it is first, whatever the clock did.
        return sorted(rows, key=lambda row: (not row.order, row.told_ms))

    def read_up_to(self) -> tuple[int, int] | None:
        """Return how far what became final was followed: entries, and blocks of the journal then."""
        with self._reading("meta") as transaction:
            found = transaction.get(_READ_KEY)
        return None if found is None else _READ.unpack(found)

    # -- inside -----------------------------------------------------------------------------------

    @contextmanager
    def _reading(self, table: str) -> Iterator[Any]:
        try:
            with self._closing, self._environment.begin(db=self._tables[table]) as transaction:
                yield transaction
        except lmdb.Error as error:
            raise MerchantStoreError(
                f"what is kept of merchants cannot be read: {error}"
            ) from error

    def _looked_up(self, table: str, key: bytes) -> bytes | None:
        if not 0 < len(key) <= KEY_BYTES_MAX:
            return None
        with self._reading(table) as transaction:
            found = transaction.get(key)
        return None if found is None else bytes(found)

    def _get(self, table: str, key: bytes, kind: type[R]) -> R | None:
        found = self._looked_up(table, key)
        return None if found is None else self._opened(table, key, found, kind)

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


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that has happened just now, and where it is to be brought."""

    row: EventRow
    now_ms: int
    addresses: Sequence[tuple[str, str]]
    """(url, form)."""
    receipt_code: str = ""
    reference: bytes = b""
    """Of a payment."""
    is_told: bool = False
    """Another super-agent has brought it everywhere already."""


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

    def put_request(
        self, identity: bytes, name: str, row: RequestRow, *, past_ms: int | None
    ) -> None:
        """Keep a request that waits, or that has ended at `past_ms`."""
        self._put("requests", identity, row)
        self._mark("names", name.encode(), identity)
        if past_ms is None:
            self._mark("waiting", identity, b"")
        else:
            self._delete("waiting", identity)
            self._is_past(past_ms, "requests", identity, [("names", name.encode())])

    def put_bill(self, payer: int, reference: bytes, row: BillRow) -> None:
        """Keep what a payer says of a payment to come."""
        key, time = _BILL.pack(payer, reference), _CURSOR.pack(_bounded_ms(row.time_ms))
        self._mark("bills", key, time + self._seal("bills", key, row))
        self._is_past(row.time_ms, "bills", key)

    def put_instruction(self, key: str, row: InstructionRow, *, past_ms: int | None) -> None:
        """Keep an instruction that has no result yet, or that had one at `past_ms`."""
        place = _of(key, row.instruction.name)
        self._put("instructions", place, row)
        if past_ms is None:
            self._mark("undone", place, b"")
        else:
            self._delete("undone", place)
            self._is_past(past_ms, "instructions", place)

    def put_standing(self, identity: bytes, row: StandingRow) -> None:
        """Keep a standing order, and how far it is asked for."""
        self._put("standing", identity, row)

    def drop_standing(self, identity: bytes) -> None:
        """Forget a standing order that is over."""
        self._delete("standing", identity)

    def put_invoice(self, key: str, account: str, row: InvoiceRow, past_ms: int) -> None:
        """Keep an invoice, which is paid under `account`, until it is past."""
        place = _of(key, row.invoice.reference)
        self._put("invoices", place, row)
        named = ("invoiced", _of(key, account) + b"\0" + row.invoice.reference.encode())
        self._mark(*named, b"")
        self._is_past(past_ms, "invoices", place, [named])

    def drop_invoice(self, key: str, account: str, reference: str) -> None:
        """Forget an invoice."""
        self._delete("invoices", _of(key, reference))
        self._delete("invoiced", _of(key, account) + b"\0" + reference.encode())

    def put_event(self, key: str, new: NewEvent) -> int | None:
        """Keep an event with the addresses that it has yet to reach; returns its cursor.

        None where it has happened already.
        """
        tables, identity = self._tables, new.row.id.encode()
        if self._transaction.get(identity, db=tables["happened"]) is not None:
            return None
        self.last += 1
        place = _CURSOR.pack(self.last)
        self._put("events", place, new.row)
        self._mark("happened", identity, place)
        self._mark("of_merchant", _of(key, "") + place, b"")
        self._mark("meta", _LAST_KEY, place)
        named = [("happened", identity), ("told", identity), ("of_merchant", _of(key, "") + place)]
        if new.receipt_code:
            named.append(("codes", _of(key, new.receipt_code)))
            self._mark(*named[-1], place)
        if any(new.reference):
            named.append(("references", new.reference))
            self._mark(*named[-1], place)
        self._is_past(new.now_ms, "events", place, named)
        if new.is_told:
            self._mark("told", identity, b"")
            return self.last
        for number, (url, form) in enumerate(new.addresses):
            self._put(
                "deliveries", _DELIVERY.pack(self.last, number), DeliveryRow(self.last, url, form)
            )
        return self.last

    def end_delivery(self, cursor: int, number: int, event_id: str) -> bool:
        """An event has reached an address; returns whether that was the last of its addresses."""
        self._delete("deliveries", _DELIVERY.pack(cursor, number))
        place = self._transaction.cursor(db=self._tables["deliveries"])
        if place.set_range(_CURSOR.pack(cursor)) and place.key().startswith(_CURSOR.pack(cursor)):
            return False
        if self._transaction.get(event_id.encode(), db=self._tables["happened"]) is not None:
            self._mark("told", event_id.encode(), b"")
        return True

    def note_told(self, event_id: str) -> list[tuple[int, int]]:
        """Another super-agent has told this; returns the deliveries that are not needed any more."""
        identity = event_id.encode()
        found = self._transaction.get(identity, db=self._tables["happened"])
        if found is None:
            return []
        self._mark("told", identity, b"")
        return self._end_deliveries(bytes(found))

    def forget(self, before_ms: int) -> int:
        """Forget some of what was past before then; returns how much, 0 where nothing is left.

        What waits is never past, but an event whose addresses could not be reached is.
        """
        place = self._transaction.cursor(db=self._tables["past"])
        place.first()
        count = 0
        # Behind the last one a cursor has an empty key.
        while count < FORGOTTEN_AT_ONCE and (mark := bytes(place.key())):
            time_ms, table = _PAST.unpack_from(mark)
            if time_ms >= before_ms:
                break
            named = msgspec.msgpack.decode(place.value(), type=list[tuple[str, bytes]])
            self._forget(TABLES[table], mark[_PAST.size :], time_ms, named)
            place.delete()
            count += 1
        return count

    def _forget(self, table: str, key: bytes, time_ms: int, named: list[tuple[str, bytes]]) -> None:
        """Forget a row and whatever is named after it, unless it has become something newer."""
        found = self._transaction.get(key, db=self._tables[table])
        waits = self._transaction.get(key, db=self._tables["waiting"]) is not None
        is_newer = (
            table == "bills" and found is not None and _CURSOR.unpack_from(found)[0] > time_ms
        )
        if found is None or waits or is_newer:
            return
        if table == "events":
            self._end_deliveries(key)
        self._delete(table, key)
        for other, name in named:
            pointed = self._transaction.get(name, db=self._tables[other])
            if other not in _POINTERS or pointed == key:
                self._delete(other, name)

    def _end_deliveries(self, cursor: bytes) -> list[tuple[int, int]]:
        ended: list[tuple[int, int]] = []
        place = self._transaction.cursor(db=self._tables["deliveries"])
        place.set_range(cursor)
        while bytes(place.key()).startswith(cursor):
            ended.append(_DELIVERY.unpack(place.key()))
            place.delete()
        return ended

    def _is_past(
        self, time_ms: int, table: str, key: bytes, named: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        mark = _PAST.pack(_bounded_ms(time_ms), TABLES.index(table)) + key
        self._mark("past", mark, msgspec.msgpack.encode(named))

    def _delete(self, table: str, key: bytes) -> None:
        self._transaction.delete(key, db=self._tables[table])

    def _put(self, table: str, key: bytes, row: msgspec.Struct) -> None:
        self._mark(table, key, self._seal(table, key, row))

    def _mark(self, table: str, key: bytes, value: bytes) -> None:
        self._transaction.put(key, value, db=self._tables[table])


def _note_place(transaction: Any, file: Path) -> None:
    """Note where a store lies, and when it was opened in another place than before: it is a copy then."""
    status = file.stat()
    place = f"{status.st_dev}:{status.st_ino}".encode()
    before = transaction.get(_PLACE_KEY)
    if before != place:
        transaction.put(_PLACE_KEY, place)
        if before is not None:
            transaction.put(_COPIED_KEY, _CURSOR.pack(time.time_ns() // 1_000_000))


def _of(key: str, name: str) -> bytes:
    """Return where something of a merchant's lies, by its name."""
    return key.encode() + b"\0" + name.encode(errors="replace")


def _bounded_ms(time_ms: int) -> int:
    return max(0, min(time_ms, _TIME_MS_MAX))
