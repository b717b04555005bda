"""What a super-agent keeps of persons, sealed, and of who asked for whose name. LMDB.

Profiles lie in a folder of their own beside the journal, because they are not the journal's: no
block holds one, no other replica needs them, and they may be deleted (docs/profiles.md). Every
profile is sealed (`harambee.crypto.vault`), bound to this network, its account and its version.

| table | key | value |
|---|---|---|
| `profiles` | account | version u32 and the sealed profile |
| `outbox` | super-agent u16, account | version u32 that this super-agent has yet to confirm |
| `checks` | day u16, asker | when it last asked, whether it is locked, and whom it asked for |
| `meta` | `format`, `network`, `author` | the folder belongs to this one |
| `meta` | `asked`, super-agent u16 | this super-agent was asked for what lies here too |

Keys are big-endian, values little-endian, accounts u32. Every write is durable when the call
returns, so calls that write belong into a thread; they may come from any.
"""

import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, Self

import lmdb

from harambee.crypto.keyfiles import KeyFileError, StoredKey, read_key_file, write_key_file
from harambee.crypto.signatures import generate
from harambee.crypto.vault import SealingKey, Vault, VaultError
from harambee.storage.owner import claim

FORMAT: Final = 1
KIND_SEALING: Final = "profiles"
"""The kind of key file that seals profiles."""
OLDER_SUFFIX: Final = ".old"
MAP_BYTES: Final = 64 << 30
"""Address space kept free; the file grows as it is written."""
CHECKS_DAILY_MAX: Final = 100
"""The most that a configuration may allow; a row of the table stays small."""
SWEPT_AT_ONCE: Final = 64
"""Rows of past days that one check takes away, so that the table does not grow."""
ROWS_AT_ONCE: Final = 1_000
"""Rows that one transaction goes through, where all are gone through."""
ACCOUNT_MAX: Final = (1 << 32) - 1

_AAD: Final = struct.Struct("<16s32sII")
_VERSION: Final = struct.Struct("<I")
_ACCOUNT: Final = struct.Struct(">I")
_OUTBOX: Final = struct.Struct(">HI")
_CHECKS: Final = struct.Struct(">HI")
_CHECKS_HEAD: Final = struct.Struct("<QBB")
_CHECKED: Final = struct.Struct("<II")
_ASKED: Final = b"asked"
_AAD_TAG: Final = b"hrb1:at rest\0\0\0\0"
assert len(_AAD_TAG) == 16


class ProfileStoreError(Exception):
    """The store cannot be opened, read or written; the message is one sentence, without persons."""


class Kept(IntEnum):
    """What became of a profile that was to be kept."""

    NEW = 0
    SAME = 1
    """It was there already."""
    OLDER = 2
    """Another one of this or a higher version is there; it stays."""


class Counted(IntEnum):
    """What became of a question for a name."""

    NEW = 0
    AGAIN = 1
    """The asker asked for this payee today; it counts once."""
    LOCKED = 2
    """Too many today without a payment; locked until the next day."""
    REPLAYED = 3
    """A later question of this asker has been seen: this one was sent before."""


@dataclass(frozen=True, slots=True)
class Checks:
    """What one asker asked today."""

    last_us: int = 0
    locked: bool = False
    payees: tuple[tuple[int, int], ...] = ()
    """(payee, the asker's next sequence then): what was paid from that sequence on came after."""

    def to_bytes(self) -> bytes:
        """Return a row's value."""
        head = _CHECKS_HEAD.pack(self.last_us, self.locked, len(self.payees))
        return head + b"".join(_CHECKED.pack(*row) for row in self.payees)

    @classmethod
    def of(cls, value: bytes | None) -> Self:
        """Return what a row's value says; nothing was asked where there is no row."""
        if value is None:
            return cls()
        last_us, locked, count = _CHECKS_HEAD.unpack_from(value)
        rows = value[_CHECKS_HEAD.size : _CHECKS_HEAD.size + count * _CHECKED.size]
        return cls(last_us, bool(locked), tuple(_CHECKED.iter_unpack(rows)))


class ProfileStore:
    """The open store of one super-agent; a context manager that closes itself."""

    def __init__(self, environment: Any, network: bytes, vault: Vault) -> None:
        """For `open` only."""
        self._environment = environment
        self._use = _Use()
        self._network = network
        self._vault = vault
        self._profiles = environment.open_db(b"profiles")
        self._outbox = environment.open_db(b"outbox")
        self._meta = environment.open_db(b"meta")
        self._checks = environment.open_db(b"checks")

    @classmethod
    def open(cls, folder: Path, network: bytes, author: int, vault: Vault) -> Self:
        """Open the store in `folder`, or make one; seals again what an older key has sealed.

        ProfileStoreError if it belongs to another network or super-agent, is damaged, or its
        newest key is not in the vault.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            environment: Any = lmdb.open(
                str(folder), map_size=MAP_BYTES, max_dbs=4, mode=0o600, max_readers=512
            )
            meta = environment.open_db(b"meta")
            with environment.begin(write=True, db=meta) as transaction:
                other = claim(transaction, FORMAT, network, author)
                if other is not None:
                    raise ProfileStoreError(f"the profiles in {folder} belong to another {other}")
            store = cls(environment, network, vault)
            store._seal_again()
        except (OSError, lmdb.Error) as error:
            raise ProfileStoreError(f"cannot open the profiles {folder}: {error}") from error
        except VaultError as error:
            raise ProfileStoreError(f"{folder}: {error}") from error
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files once nobody reads or writes; what was written is on disk already."""
        self._use.end()
        self._environment.close()

    # -- profiles ---------------------------------------------------------------------------------

    def get(self, account: int) -> bytes | None:
        """Return an account's signed profile, or None; ProfileStoreError if it does not open."""
        return self.get_many([account]).get(account)

    def get_many(self, accounts: Iterable[int]) -> dict[int, bytes]:
        """Return the signed profiles of those of these accounts whose profiles lie here, by account."""
        with self._reading(self._profiles) as transaction:
            values = {account: transaction.get(_ACCOUNT.pack(account)) for account in accounts}
        try:
            return {
                account: self._opened(account, value)
                for account, value in values.items()
                if value is not None
            }
        except VaultError as error:
            raise ProfileStoreError(f"the profile of an account cannot be read: {error}") from error

    def put(self, account: int, version: int, signed: bytes, tell: tuple[int, ...] = ()) -> Kept:
        """Keep a signed profile unless one of this version or a higher one is there.

        `tell` are the super-agents that have yet to confirm it: they get it until they do.
        """
        with self._writing() as transaction:
            return self._put(transaction, account, version, signed, tell)

    def put_all(self, profiles: Iterable[tuple[int, int, bytes]]) -> None:
        """Keep many (account, version, signed) at once, as `put` does, in one durable step."""
        with self._writing() as transaction:
            for account, version, signed in profiles:
                self._put(transaction, account, version, signed, ())

    def _put(
        self, transaction: Any, account: int, version: int, signed: bytes, tell: tuple[int, ...]
    ) -> Kept:
        key = _ACCOUNT.pack(account)
        found = transaction.get(key, db=self._profiles)
        if found is not None and _VERSION.unpack_from(found)[0] >= version:
            same = self._opened_or_none(account, found) == signed
            return Kept.SAME if same else Kept.OLDER
        sealed = self._vault.seal(signed, self._place(account, version))
        transaction.put(key, _VERSION.pack(version) + sealed, db=self._profiles)
        for peer in tell:
            transaction.put(_OUTBOX.pack(peer, account), _VERSION.pack(version), db=self._outbox)
        return Kept.NEW

    def count(self) -> int:
        """Return how many profiles are kept."""
        return self._rows(self._profiles)

    def undelivered_count(self) -> int:
        """Return how often a profile has yet to be confirmed by an alternate."""
        return self._rows(self._outbox)

    def undelivered(self, peer: int, limit: int, after: int = -1) -> list[tuple[int, int]]:
        """Return (account, version) that a super-agent has yet to confirm, by account."""
        found: list[tuple[int, int]] = []
        with self._reading(self._outbox) as transaction:
            cursor = transaction.cursor()
            more = after < ACCOUNT_MAX and cursor.set_range(_OUTBOX.pack(peer, after + 1))
            while more and len(found) < limit:
                owner, account = _OUTBOX.unpack(cursor.key())
                if owner != peer:
                    break
                found.append((account, _VERSION.unpack(cursor.value())[0]))
                more = cursor.next()
        return found

    def delivered(self, peer: int, account: int, version: int) -> None:
        """A super-agent has confirmed that it holds this version, or a higher one."""
        key = _OUTBOX.pack(peer, account)
        with self._writing() as transaction:
            if transaction.get(key, db=self._outbox) == _VERSION.pack(version):
                transaction.delete(key, db=self._outbox)

    def owe(self, peer: int, belongs: Callable[[int], bool]) -> None:
        """Put every profile whose account belongs to a super-agent into its outbox."""
        after = -1
        while True:
            rows: list[tuple[int, bytes]] = []
            with self._reading(self._profiles) as transaction:
                cursor = transaction.cursor()
                more = after < ACCOUNT_MAX and cursor.set_range(_ACCOUNT.pack(after + 1))
                while more and len(rows) < ROWS_AT_ONCE:
                    (after,) = _ACCOUNT.unpack(cursor.key())
                    rows.append((after, bytes(cursor.value()[: _VERSION.size])))
                    more = cursor.next()
            with self._writing() as transaction:
                for account, version in rows:
                    if belongs(account):
                        transaction.put(_OUTBOX.pack(peer, account), version, db=self._outbox)
            if not more:
                return

    def has_asked(self, peer: int) -> bool:
        """Say whether a super-agent was asked for what this store may have lost."""
        with self._reading(self._meta) as transaction:
            return transaction.get(_ASKED + peer.to_bytes(2, "big")) is not None

    def note_asked(self, peer: int) -> None:
        """A super-agent will send what this store may have lost."""
        with self._writing() as transaction:
            transaction.put(_ASKED + peer.to_bytes(2, "big"), b"1", db=self._meta)

    # -- questions for names ----------------------------------------------------------------------

    def checks(self, day: int, asker: int) -> Checks:
        """Return what an account asked on a day."""
        with self._reading(self._checks) as transaction:
            return Checks.of(transaction.get(_CHECKS.pack(day, asker)))

    def count_check(
        self,
        day: int,
        asker: int,
        payee: int,
        time_us: int,
        next_sequence: int,
        paid: Mapping[int, int],
        limit: int,
    ) -> Counted:
        """Count a question, and take away those that a payment followed.

        `paid` has the highest sequence in which the asker paid each payee lately. The answer is
        durable before it is returned.
        """
        key = _CHECKS.pack(day, asker)
        with self._writing() as transaction:
            checks = Checks.of(transaction.get(key, db=self._checks))
            if time_us <= checks.last_us:
                return Counted.REPLAYED
            open_ = tuple(row for row in checks.payees if paid.get(row[0], -1) < row[1])
            known = any(row[0] == payee for row in open_)
            locked = checks.locked or (not known and len(open_) >= limit)
            if not locked and not known:
                open_ = (*open_, (payee, next_sequence))
            value = Checks(time_us, locked, open_).to_bytes()
            transaction.put(key, value, db=self._checks)
            self._sweep(transaction, day)
        if locked:
            return Counted.LOCKED
        return Counted.AGAIN if known else Counted.NEW

    def uncount_check(self, day: int, asker: int, payee: int) -> None:
        """Nothing was learnt by this question: it does not count."""
        key = _CHECKS.pack(day, asker)
        with self._writing() as transaction:
            checks = Checks.of(transaction.get(key, db=self._checks))
            left = tuple(row for row in checks.payees if row[0] != payee)
            value = Checks(checks.last_us, checks.locked, left).to_bytes()
            transaction.put(key, value, db=self._checks)

    def rows_of_checks(self) -> int:
        """Return how many askers the table remembers."""
        return self._rows(self._checks)

    def _rows(self, table: Any) -> int:
        with self._reading(table) as transaction:
            return int(transaction.stat(table)["entries"])

    def _sweep(self, transaction: Any, day: int) -> None:
        """Take away some rows of past days; yesterday's stays, for clocks that are set back."""
        cursor = transaction.cursor(db=self._checks)
        more = cursor.first()
        for _ in range(SWEPT_AT_ONCE):
            if not more or _CHECKS.unpack(cursor.key())[0] >= day - 1:
                return
            more = cursor.delete()

    # -- sealing ----------------------------------------------------------------------------------

    def _place(self, account: int, version: int) -> bytes:
        """Return what a sealed profile is bound to."""
        return _AAD.pack(_AAD_TAG, self._network, account, version)

    def _opened(self, account: int, value: bytes) -> bytes:
        (version,) = _VERSION.unpack_from(value)
        return self._vault.open(value[_VERSION.size :], self._place(account, version))

    def _opened_or_none(self, account: int, value: bytes) -> bytes | None:
        try:
            return self._opened(account, value)
        except VaultError:
            return None

    def _seal_again(self) -> None:
        """Seal by the newest key whatever an older one has sealed; VaultError if one is missing."""
        after = b""
        while True:
            found: list[tuple[bytes, bytes]] = []
            with self._reading(self._profiles) as transaction:
                cursor = transaction.cursor()
                more = cursor.set_range(after) if after else cursor.first()
                while more and len(found) < ROWS_AT_ONCE:
                    key, value = bytes(cursor.key()), bytes(cursor.value())
                    after = key + b"\0"
                    if not self._vault.is_newest(value[_VERSION.size :]):
                        found.append((key, value))
                    more = cursor.next()
            with self._writing() as transaction:
                for key, value in found:
                    (account,) = _ACCOUNT.unpack(key)
                    (version,) = _VERSION.unpack_from(value)
                    again = self._vault.seal(
                        self._opened(account, value), self._place(account, version)
                    )
                    transaction.put(key, value[: _VERSION.size] + again, db=self._profiles)
            if not more:
                return

    def _reading(self, table: Any) -> "_Transaction":
        return _Transaction(self._environment, self._use, write=False, table=table)

    def _writing(self) -> "_Transaction":
        return _Transaction(self._environment, self._use, write=True, table=None)


class _Use:
    """Who uses the files now; a thread may still write when the event loop has gone on."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._users = 0
        self._ended = False

    def begin(self) -> None:
        with self._changed:
            if self._ended:
                raise ProfileStoreError("the profiles are closed")
            self._users += 1

    def leave(self) -> None:
        with self._changed:
            self._users -= 1
            self._changed.notify_all()

    def end(self) -> None:
        """Let nobody in any more, and wait for those who are."""
        with self._changed:
            self._ended = True
            self._changed.wait_for(lambda: self._users == 0)


class _Transaction:
    """A transaction whose failure is a ProfileStoreError in one sentence: a full disk, say."""

    def __init__(self, environment: Any, use: _Use, *, write: bool, table: Any) -> None:
        self._environment = environment
        self._use = use
        self._write = write
        self._table = table
        self._transaction: Any = None

    def __enter__(self) -> Any:
        self._use.begin()
        try:
            self._transaction = self._environment.begin(write=self._write, db=self._table)
        except lmdb.Error as error:
            self._use.leave()
            raise _in_a_sentence(error) from error
        return self._transaction

    def __exit__(self, kind: type[BaseException] | None, error: object, _trace: object) -> None:
        try:
            if kind is None and self._write:
                self._transaction.commit()
            else:
                self._transaction.abort()
        except lmdb.Error as failed:
            raise _in_a_sentence(failed) from failed
        finally:
            self._use.leave()
        if isinstance(error, lmdb.Error):
            raise _in_a_sentence(error) from error


def _in_a_sentence(error: lmdb.Error) -> ProfileStoreError:
    return ProfileStoreError(f"the profiles cannot be read or written: {error}")


def open_vault(key_file: Path, store: Path) -> Vault:
    """Return the vault of this super-agent's key file, and of an older key beside it.

    Makes the key where the store does not exist yet, and where the older key is all there is: so
    a key is replaced. A lost key is never replaced silently: what it sealed is lost with it, and
    ProfileStoreError says that it is missing.
    """
    older = older_key_file(key_file)
    try:
        files = [key_file]
        if older.exists():
            files.append(older)
        if not key_file.exists() and (older.exists() or not (store / "data.mdb").exists()):
            write_sealing_key(key_file, "")
        seeds = [read_key_file(file, KIND_SEALING).keypair.seed for file in files]
    except KeyFileError as error:
        raise ProfileStoreError(str(error)) from error
    return Vault(*map(SealingKey, seeds))


def older_key_file(key_file: Path) -> Path:
    """Return where the key before this one lies while records are sealed again."""
    return key_file.with_name(key_file.name + OLDER_SUFFIX)


def write_sealing_key(key_file: Path, comment: str) -> None:
    """Make a new key in a file, mode 0600; KeyFileError if it exists."""
    write_key_file(key_file, StoredKey(KIND_SEALING, generate(), comment))
