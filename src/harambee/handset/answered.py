"""Which requests a wallet has answered: an empty file for each, so that none is paid twice.

Nothing in the ledger keeps two orders from paying one request, and a door may tell a request again that
was paid long ago. So a handset notes, durably and before it signs, that it answers a request, and forgets
it only when the request has expired for so long that no clock of its own can bring it back.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harambee.crypto.durable_files import sync_folder
from harambee.handset.wallet import Wallet, WalletError

FOLDER: Final = "requests"
FORGOTTEN_AFTER_MS: Final = 15 * 60_000
_DIGITS: Final = 16


@dataclass(frozen=True)
class Answered:
    """The answered requests of one wallet; every method may raise WalletError."""

    wallet: Wallet

    def has(self, request: bytes, expires_ms: int) -> bool:
        """Say whether this request was answered."""
        try:
            return self._file(request, expires_ms).exists()
        except OSError as error:
            raise self._trouble(error) from error

    def note(self, request: bytes, expires_ms: int, now_ms: int) -> None:
        """Keep, durably, that this request is answered; long expired ones are forgotten."""
        file = self._file(request, expires_ms)
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.touch(mode=0o600)
            sync_folder(file.parent)
            oldest_kept = _digits(max(0, now_ms - FORGOTTEN_AFTER_MS))
            for old in file.parent.iterdir():
                if old.name < oldest_kept:
                    old.unlink(missing_ok=True)
        except OSError as error:
            raise self._trouble(error) from error

    def forget(self, request: bytes, expires_ms: int) -> None:
        """The slot in which it was to be paid went to another order: it may be paid after all."""
        try:
            self._file(request, expires_ms).unlink(missing_ok=True)
        except OSError as error:
            raise self._trouble(error) from error

    def _file(self, request: bytes, expires_ms: int) -> Path:
        return self.wallet.folder / FOLDER / f"{_digits(expires_ms)}-{request.hex()}"

    def _trouble(self, error: OSError) -> WalletError:
        return WalletError(f"Cannot use {self.wallet.folder / FOLDER}: {error.strerror}.")


def _digits(time_ms: int) -> str:
    """Return a time so that its names stand in the order of time; it is below 2 to the 53rd."""
    return f"{time_ms:0{_DIGITS}}"
