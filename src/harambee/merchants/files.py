"""A super-agent's files about merchants: what its desk begins with.

    merchants.json              format, apps and merchants, as every super-agent knows them; 0600
    merchant-keys/CODE-TRADE.key    at a merchant's home: the key of its account
    initiators.json             at a home: the password of each who may instruct it; 0600

Without merchants.json there are none. Every error is a MerchantFilesError of one sentence, and repeats
no secret.
"""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec

from harambee.crypto.durable_files import replace_file
from harambee.crypto.keyfiles import (
    ANYONE_ELSE,
    KeyFileError,
    StoredKey,
    read_key_file,
    write_key_file,
)
from harambee.crypto.signatures import KeyPair
from harambee.merchants.port import NAME_CHARACTERS_MAX, App, Merchant, Trade

FORMAT: Final = 1
MERCHANTS_FILE: Final = "merchants.json"
KEYS_FOLDER: Final = "merchant-keys"
INITIATORS_FILE: Final = "initiators.json"
KEY_KIND: Final = "merchant"
FILE_BYTES_MAX: Final = 64 << 20
"""Some two hundred thousand merchants."""
TOKEN_KEY_BYTES: Final = 32
DIGEST_BYTES: Final = 32
ACCOUNT_MAX: Final = 2**32 - 1
MEMBERS_MAX: Final = 2**16 - 1

_CODE: Final = re.compile(r"[0-9]{5,7}", re.ASCII)
_KEY_PATH: Final = re.compile(rf"{KEYS_FOLDER}/[0-9]{{5,7}}-(?:till|paybill)\.key", re.ASCII)
_CONSUMER_KEY: Final = re.compile(r"[!-9;-~]{1,64}", re.ASCII)
"""Printable and without a colon, behind which the secret stands in HTTP."""

Number = Annotated[int, msgspec.Meta(ge=0, le=ACCOUNT_MAX)]
Document = TypeVar("Document")


class MerchantFilesError(Exception):
    """The files cannot be read, written or trusted; the message is one sentence."""


class _App(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    consumer_key: str
    secret_digest: str
    """SHA-256 of the consumer secret, in hexadecimal."""
    token_key: str
    """In hexadecimal; the same at all super-agents."""
    short_codes: list[str]

    def app(self) -> App:
        """Return it; ValueError, in words that repeat no secret, for what no app is."""
        digest, token_key = _bytes(self.secret_digest), _bytes(self.token_key)
        if not _CONSUMER_KEY.fullmatch(self.consumer_key):
            raise ValueError("a consumer key has 1 to 64 printable characters and no colon")
        if (len(digest), len(token_key)) != (DIGEST_BYTES, TOKEN_KEY_BYTES):
            raise ValueError(f"the digest or the token key of an app is not {DIGEST_BYTES} bytes")
        for code in self.short_codes:
            _check_code(code)
        return App(self.consumer_key, tuple(self.short_codes), token_key, digest)


class _Merchant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    short_code: str
    trade: Trade
    account: Number
    name: str
    home: Annotated[int, msgspec.Meta(ge=0, le=MEMBERS_MAX)]
    passkey: str

    def merchant(self) -> Merchant:
        """Return it; ValueError for what no merchant is."""
        _check_code(self.short_code)
        for text in (self.name, self.passkey):
            if not 1 <= len(text) <= NAME_CHARACTERS_MAX or not text.isprintable():
                raise ValueError(
                    f"name and passkey of {self.short_code} have 1 to {NAME_CHARACTERS_MAX} "
                    "printable characters"
                )
        return Merchant(
            self.short_code, self.trade, self.account, self.name, self.home, self.passkey
        )


class _Merchants(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    apps: list[_App]
    merchants: list[_Merchant]


@dataclass(frozen=True)
class MerchantFiles:
    """What the files of one super-agent say."""

    apps: tuple[App, ...] = ()
    merchants: tuple[Merchant, ...] = ()
    keys: Mapping[str, KeyPair] = field(default_factory=dict, repr=False)
    """Of the merchants whose home this is, by "paybill:174379"."""
    initiators: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Passwords, by the names of who may instruct merchants whose home this is."""

    @classmethod
    def load(cls, folder: Path) -> "MerchantFiles":
        """Read a super-agent's folder; nothing is known where there is no merchants.json."""
        file = folder / MERCHANTS_FILE
        document = _read(file, _Merchants)
        if document is None:
            return cls()
        if document.format != FORMAT:
            raise MerchantFilesError(f"{file} has format {document.format}; this reads {FORMAT}.")
        try:
            apps = tuple(row.app() for row in document.apps)
            merchants = tuple(row.merchant() for row in document.merchants)
        except ValueError as error:
            raise MerchantFilesError(f"{file}: {error}.") from error
        _refuse_twice(file, [app.consumer_key for app in apps])
        _refuse_twice(file, [_key_of(one) for one in merchants])
        initiators = _read(folder / INITIATORS_FILE, dict[str, str]) or {}
        return cls(apps, merchants, _read_keys(folder / KEYS_FOLDER, merchants), initiators)

    def write(self, folder: Path) -> None:
        """Write them; keys are never overwritten, the other files are replaced."""
        document = _Merchants(
            FORMAT,
            [
                _App(
                    one.consumer_key,
                    one.secret_digest.hex(),
                    one.token_key.hex(),
                    [*one.short_codes],
                )
                for one in self.apps
            ],
            [
                _Merchant(one.short_code, one.trade, one.account, one.name, one.home, one.passkey)
                for one in self.merchants
            ],
        )
        codes = {_key_of(one): one for one in self.merchants}
        try:
            _write(folder / MERCHANTS_FILE, document)
            if self.initiators:
                _write(folder / INITIATORS_FILE, dict(self.initiators))
            for key, keypair in self.keys.items():
                file = _key_file(folder / KEYS_FOLDER, codes[key])
                file.parent.mkdir(mode=0o700, exist_ok=True)
                comment = f"key of the account of {codes[key].name}"
                write_key_file(file, StoredKey(KEY_KIND, keypair, comment))
        except KeyFileError as error:
            raise MerchantFilesError(f"{error}.") from error
        except OSError as error:
            raise MerchantFilesError(f"Cannot write in {folder}: {error.strerror}.") from error


def is_merchant_file(path: str) -> bool:
    """Say whether a path in a super-agent's folder is that of one of these files."""
    return path in (MERCHANTS_FILE, INITIATORS_FILE) or _KEY_PATH.fullmatch(path) is not None


def merchant_files(folder: Path) -> list[Path]:
    """Return which of these files there are in a super-agent's folder."""
    named = [folder / MERCHANTS_FILE, folder / INITIATORS_FILE]
    return [file for file in named if file.is_file()] + sorted((folder / KEYS_FOLDER).glob("*.key"))


def _key_of(merchant: Merchant) -> str:
    return f"{merchant.trade}:{merchant.short_code}"


def _key_file(folder: Path, merchant: Merchant) -> Path:
    return folder / f"{merchant.short_code}-{merchant.trade}.key"


def _read_keys(folder: Path, merchants: Sequence[Merchant]) -> dict[str, KeyPair]:
    """Return the keys that lie here; a merchant of another home has none."""
    keys: dict[str, KeyPair] = {}
    for merchant in merchants:
        file = _key_file(folder, merchant)
        if file.exists():
            try:
                keys[_key_of(merchant)] = read_key_file(file, KEY_KIND).keypair
            except KeyFileError as error:
                raise MerchantFilesError(f"{error}.") from error
    return keys


def _bytes(text: str) -> bytes:
    """Return the bytes of a secret in hexadecimal; ValueError that does not quote it."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError("a digest or a token key of an app is not hexadecimal") from None


def _check_code(code: str) -> None:
    if not _CODE.fullmatch(code):
        raise ValueError(f"{code[:20]!r} is no short code of five to seven digits")


def _refuse_twice(file: Path, names: Sequence[str]) -> None:
    """Raise MerchantFilesError if a name is there twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise MerchantFilesError(f"{file} has {name} twice.")
        seen.add(name)


def _read(file: Path, kind: type[Document]) -> Document | None:
    """Return a private JSON file's content as `kind`; None where there is no such file."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
        try:
            _refuse_unsafe(file, os.fstat(descriptor))
            with os.fdopen(descriptor, "rb", closefd=False) as opened:
                content = opened.read(FILE_BYTES_MAX + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MerchantFilesError(f"Cannot read {file}: {error.strerror}.") from error
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # from None: the text of the error could quote a secret.
        raise MerchantFilesError(f"{file} is not as such a file must be.") from None


def _refuse_unsafe(file: Path, status: os.stat_result) -> None:
    """Raise MerchantFilesError if the open file is not plain, not its owner's alone, or too large."""
    if not stat.S_ISREG(status.st_mode):
        raise MerchantFilesError(f"{file} is not a plain file.")
    if status.st_mode & ANYONE_ELSE:
        raise MerchantFilesError(f"{file} can be read by others: chmod 600 it first.")
    if status.st_size > FILE_BYTES_MAX:
        raise MerchantFilesError(f"{file} has more than {FILE_BYTES_MAX:,} bytes.")


def _write(file: Path, document: object) -> None:
    """Replace a private file durably; OSError."""
    replace_file(file, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
