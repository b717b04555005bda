"""What a handset keeps: its key, its account number, and the order that is under way.

A wallet is a folder of its owner alone: `owner.key`, `wallet.json` (account and network) and
`state.json` (the next sequence that is known to be free, and the pending orders); `pay-outs/` has
the bulk pay-outs that are final, by the name under which they paid, and `requests/` which requests of
merchants were answered (`answered.py`). The state is
written aside, made durable and renamed **before** a signed order first leaves: after a crash the
next run finds the same bytes and sends those, and never signs a second payment in an open slot.
"""

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from harambee.crypto import durable_files, p256, signatures
from harambee.crypto.hashing import digest
from harambee.crypto.keyfiles import (
    KeyFileError,
    StoredKey,
    read_owner_key_file,
    replace_key_file,
    write_key_file,
)
from harambee.crypto.keys import OwnerKey, PublicKey, public_of
from harambee.handset.orders import PAYEE_ROW
from harambee.ledger.records import KEY_TYPE_MASK, ORDER_BYTES, KeyType

KEY_KIND: Final = "customer"
KEY_FILE: Final = "owner.key"
NEW_KEY_FILE: Final = "new.key"
WALLET_FILE: Final = "wallet.json"
STATE_FILE: Final = "state.json"
LOCK_FILE: Final = "lock"
PAID_FOLDER: Final = "pay-outs"
REQUEST_FILE: Final = "request.json"
POSSESSION_BYTES: Final = 64


class WalletError(Exception):
    """A wallet cannot be read, written or trusted; the message is one sentence."""


class _WalletDocument(msgspec.Struct, forbid_unknown_fields=True):
    account: int
    network: str


class WalletState(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What changes; one file, replaced as a whole."""

    next_sequence: int = 0
    """No sequence below this is open: proven by receipts, so no door can talk it down."""
    orders: tuple[str, ...] = ()
    """Orders under way in one slot, in hexadecimal: a payment, and perhaps its cancels."""
    refused_by: str | None = None
    """The name of the Outcome for which the payment is being cancelled."""
    table: str = ""
    """The payee table of the first order, in hexadecimal, where that is a bulk pay-out."""
    pay_out: str = ""
    """The name under which it pays."""
    possession: str = ""
    """What a new key signed of the first order, in hexadecimal, where that brings one."""

    @property
    def pending(self) -> tuple[bytes, ...]:
        """The orders under way, oldest first; empty if none is."""
        return tuple(bytes.fromhex(order) for order in self.orders)

    @property
    def payees(self) -> bytes:
        """The payee table under way; empty if the order has none."""
        return bytes.fromhex(self.table)

    @property
    def proof(self) -> bytes:
        """What a new key signed of the first order; empty if that brings none."""
        return bytes.fromhex(self.possession)


class _Paid(msgspec.Struct, forbid_unknown_fields=True):
    """A bulk pay-out that is final."""

    name: str
    order: str
    table: str


@dataclass(frozen=True)
class Wallet:
    """One customer's wallet; `folder` is made when something is first written."""

    folder: Path
    account: int
    keypair: OwnerKey
    key_file: Path | None = None
    """Where its key lies, if that is not `owner.key` in the folder."""
    telephone: str | None = field(default=None, repr=False)
    """In the form +254712345678, where it is known here: billers are told it."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the wallet: two programs that pay from it at once could sign one slot twice."""
        self._make_folder()
        try:
            descriptor = os.open(self.folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise WalletError(f"Cannot use the wallet {self.folder}: {error.strerror}.") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise WalletError("Another program is paying from this account just now.") from error
        try:
            yield
        finally:
            os.close(descriptor)

    def state(self) -> WalletState:
        """Return what is under way; WalletError if the file cannot be read."""
        file = self.folder / STATE_FILE
        try:
            state = msgspec.json.decode(file.read_bytes(), type=WalletState)
            whole = all(len(order) == ORDER_BYTES for order in state.pending)
            whole = whole and len(state.payees) % PAYEE_ROW.size == 0
            whole = whole and len(state.proof) in (0, POSSESSION_BYTES)
        except FileNotFoundError:
            return WalletState()
        except OSError as error:
            raise WalletError(f"Cannot read {file}: {error.strerror}.") from error
        except (msgspec.DecodeError, ValueError) as error:
            raise WalletError(f"{file} is damaged.") from error
        if not whole:
            raise WalletError(f"{file} is damaged.")
        return state

    def write_state(self, state: WalletState) -> None:
        """Replace the state, durably and as a whole; WalletError leaves the old one in place."""
        self._make_folder()
        replace_file(self.folder / STATE_FILE, msgspec.json.encode(state))

    def new_key(self, key_type: KeyType | None = None) -> OwnerKey:
        """Return the key that is to take this one's place, made durable; the same until it has done so.

        It is of this one's type, unless another is wished. WalletError if one of another type waits:
        it may be the account's by now, so it is never dropped.
        """
        file = self.folder / NEW_KEY_FILE
        self._make_folder()
        try:
            if file.exists():
                kept = read_owner_key_file(file, KEY_KIND).keypair
                if public_of(kept) != public_of(self.keypair):
                    return _of_type(kept, key_type, self.folder)
                file.unlink()  # it took over, and this program was stopped before it tidied up
            made = new_key_of(type_of(self.keypair) if key_type is None else key_type)
            write_key_file(file, StoredKey(KEY_KIND, made))
        except (KeyFileError, OSError) as error:
            raise WalletError(f"The new key cannot be kept: {error}.") from error
        return made

    def take_new_key(self, public: PublicKey) -> None:
        """The new key is the account's: it takes the old one's place, durably, before the state is let go.

        WalletError, and both stay, if the new key is not the one that became the account's.
        """
        new, own = self.folder / NEW_KEY_FILE, self.key_file or self.folder / KEY_FILE
        try:
            if public_of(self.keypair) == public and not new.exists():
                return
            stored = read_owner_key_file(new, KEY_KIND)
            if public_of(stored.keypair) != public:
                raise WalletError(f"{new} is not the key that the account has now.")
            kind = read_owner_key_file(own).kind
            replace_key_file(own, StoredKey(kind, stored.keypair, stored.comment))
            new.unlink()
        except (KeyFileError, OSError) as error:
            raise WalletError(f"The new key cannot take its place: {error}.") from error

    def note_paid(self, state: WalletState) -> None:
        """Keep, durably, whom the final pay-out of a state has paid: before the state is let go."""
        sequence = int.from_bytes(state.pending[0][20:24], "little")
        folder = self._paid_folder(state.pay_out)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise WalletError(f"Cannot make {folder}: {error.strerror}.") from error
        paid = _Paid(state.pay_out, state.orders[0], state.table)
        replace_file(folder / f"{sequence:010}.json", msgspec.json.encode(paid))

    def paid_under(self, name: str) -> dict[int, int]:
        """Return whom the final pay-outs of a name have paid, and how much, in cents."""
        paid: dict[int, int] = {}
        for file in sorted(self._paid_folder(name).glob("*.json")):
            try:
                table = bytes.fromhex(msgspec.json.decode(file.read_bytes(), type=_Paid).table)
                paid.update(PAYEE_ROW.iter_unpack(table))
            except OSError as error:
                raise WalletError(f"Cannot read {file}: {error.strerror}.") from error
            except (msgspec.DecodeError, ValueError, struct.error) as error:
                raise WalletError(f"{file} is damaged.") from error
        return paid

    def _paid_folder(self, name: str) -> Path:
        return self.folder / PAID_FOLDER / digest(name.encode())[:16].hex()

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise WalletError(f"Cannot make {self.folder}: {error.strerror}.") from error


def type_of(keypair: OwnerKey) -> KeyType:
    """Return the type of a key."""
    return KeyType(public_of(keypair).form & KEY_TYPE_MASK)


def new_key_of(key_type: KeyType) -> OwnerKey:
    """Return a new key of this type."""
    return p256.generate() if key_type is KeyType.P256 else signatures.generate()


def _of_type(kept: OwnerKey, key_type: KeyType | None, folder: Path) -> OwnerKey:
    """Return a key that was kept earlier; WalletError if it is of another type than is wished."""
    if key_type not in (None, type_of(kept)):
        name = type_of(kept).name.lower()
        raise WalletError(f"A key of type {name} waits in {folder} already: go on with that one.")
    return kept


def prepare_wallet(folder: Path, keypair: OwnerKey) -> OwnerKey:
    """Keep a key durably before its account exists; returns the key that is there if one is.

    WalletError if that one is of another type.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (folder / WALLET_FILE).exists():
            raise WalletError(f"There is a wallet in {folder} already.")
        if (folder / KEY_FILE).exists():
            kept = read_owner_key_file(folder / KEY_FILE, KEY_KIND).keypair
            return _of_type(kept, type_of(keypair), folder)
        write_key_file(folder / KEY_FILE, StoredKey(KEY_KIND, keypair))
    except KeyFileError as error:
        raise WalletError(f"{error}.") from error
    except OSError as error:
        raise WalletError(f"Cannot make {folder}: {error.strerror}.") from error
    return keypair


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    account: int
    network: str


@dataclass(frozen=True, slots=True)
class KeyWanted:
    """A key on a new phone that is to take over an account."""

    account: int
    keypair: OwnerKey


def prepare_key(folder: Path, keypair: OwnerKey, account: int, network: bytes) -> OwnerKey:
    """Keep a new phone's key, and whose account it is for; returns the key that is there if one is.

    WalletError if the folder is a wallet already, or waits for another account, or has a key of another
    type.
    """
    kept = prepare_wallet(folder, keypair)
    file = folder / REQUEST_FILE
    if file.exists():
        if wanted_key(folder, network).account != account:
            raise WalletError(f"The key in {folder} is for another account.")
    else:
        replace_file(file, msgspec.json.encode(_Request(account, network.hex())))
    return kept


def wanted_key(folder: Path, network: bytes) -> KeyWanted:
    """Return the key that waits in a folder to take over an account; WalletError if none does."""
    missing = f"No new key waits in {folder}."
    document, keypair = _document_and_key(folder, REQUEST_FILE, _Request, missing)
    if document.network != network.hex():
        raise WalletError(f"The key in {folder} is for another network.")
    return KeyWanted(document.account, keypair)


def finish_wallet(folder: Path, account: int, network: bytes) -> Wallet:
    """Write down which account the prepared key owns; returns the wallet."""
    document = _WalletDocument(account, network.hex())
    replace_file(folder / WALLET_FILE, msgspec.json.encode(document))
    return open_wallet(folder, network)


def open_wallet(folder: Path, network: bytes) -> Wallet:
    """Return the wallet in `folder`; WalletError if it is none, or one of another network."""
    missing = f"There is no wallet in {folder}."
    document, keypair = _document_and_key(folder, WALLET_FILE, _WalletDocument, missing)
    if document.network != network.hex():
        raise WalletError(f"The wallet in {folder} belongs to another network.")
    return Wallet(folder, document.account, keypair)


Document = TypeVar("Document", _WalletDocument, _Request)


def _document_and_key(
    folder: Path, name: str, kind: type[Document], missing: str
) -> tuple[Document, OwnerKey]:
    """Read a folder's document of that name, and its key; `missing` is said where either is not there."""
    file = folder / name
    try:
        document = msgspec.json.decode(file.read_bytes(), type=kind)
        keypair = read_owner_key_file(folder / KEY_FILE, KEY_KIND).keypair
    except FileNotFoundError as error:
        raise WalletError(missing) from error
    except OSError as error:
        raise WalletError(f"Cannot read {file}: {error.strerror}.") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise WalletError(f"{file} is damaged.") from error
    except KeyFileError as error:
        raise WalletError(f"{error}.") from error
    return document, keypair


def replace_file(file: Path, content: bytes) -> None:
    """Replace a file of a wallet durably, as a whole; WalletError leaves the old one in place."""
    try:
        durable_files.replace_file(file, content)
    except OSError as error:
        raise WalletError(f"Cannot write {file}: {error.strerror}.") from error
