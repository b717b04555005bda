"""Who "customer-1" is: names, account numbers and telephone numbers as people type them.

Demo customers' keys lie in the network's folder (`keys/`), registered customers' wallets in
`handsets/NAME/`. Only what a payment needs is read: one list, one key.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from harambee.crypto.keyfiles import KeyFileError, read_key_file
from harambee.handset.telephone import TelephoneError, looks_like_telephone, telephone
from harambee.handset.wallet import WALLET_FILE, Wallet, WalletError, open_wallet

ACCOUNT_MAX = 2**32 - 1


class PartyError(Exception):
    """There is nobody of that name; the message is one sentence."""


class DemoRow(msgspec.Struct, frozen=True):
    """One demo account as keys/demo.json lists it."""

    name: str
    account: int
    telephone: str
    kind: str
    key: str


class _DemoList(msgspec.Struct):
    accounts: list[DemoRow]


@dataclass(frozen=True)
class Parties:
    """Everybody whom a network's folder knows by name."""

    folder: Path
    network: bytes

    @property
    def handsets(self) -> Path:
        """Where wallets lie."""
        return self.folder / "handsets"

    def demo(self) -> list[DemoRow]:
        """Return the demo accounts; none in a real network."""
        file = self.folder / "keys" / "demo.json"
        try:
            return msgspec.json.decode(file.read_bytes(), type=_DemoList).accounts
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError) as error:
            raise PartyError(f"The list of demo accounts, {file}, cannot be read.") from error

    def payee(self, text: str) -> int | str:
        """Return an account number, or a telephone number for the directory."""
        for row in self.demo():
            if text == row.name:
                return row.account
        if looks_like_telephone(text):
            return telephone(text)
        if self._is_account(text):
            return int(text)
        if (wallet := self._registered(text)) is not None:
            return wallet.account
        raise self._nobody(text)

    def wallet(self, text: str) -> Wallet:
        """Return the wallet of somebody whose key is on this machine."""
        for row in self.demo():
            if text in (row.name, str(row.account)) or self._same_number(text, row.telephone):
                try:
                    stored = read_key_file(self.folder / "keys" / row.key)
                except KeyFileError as error:
                    raise PartyError(f"{error}.") from error
                return Wallet(self.handsets / row.name, row.account, stored.keypair)
        if (wallet := self._registered(text)) is not None:
            return wallet
        if self._is_account(text):
            for wallet in self._all_registered():
                if wallet.account == int(text):
                    return wallet
        raise self._nobody(text)

    def someone(self) -> Wallet:
        """Return the wallet of the only one registered here, or else of the first demo account."""
        registered = self._all_registered()
        if len(registered) == 1:
            return registered[0]
        demo = [row for row in self.demo() if row.kind == "customer"]
        if registered or not demo:
            raise PartyError("Say whose key signs here: --from NAME.")
        return self.wallet(demo[0].name)

    def registered(self, name: str) -> Wallet | None:
        """Return the wallet that `harambee register` made under this name, if it made one."""
        return self._registered(name)

    def is_taken(self, name: str) -> bool:
        """Say whether somebody here has this name already."""
        return any(row.name == name for row in self.demo()) or self._registered(name) is not None

    def _registered(self, name: str) -> Wallet | None:
        folder = Path(name) if "/" in name else self.handsets / name
        if name in ("", ".", "..") or not (folder / WALLET_FILE).exists():
            return None
        return open_wallet(folder, self.network)

    def _all_registered(self) -> list[Wallet]:
        found = []
        for file in sorted(self.handsets.glob(f"*/{WALLET_FILE}")):
            try:
                found.append(open_wallet(file.parent, self.network))
            except WalletError:
                continue  # a damaged wallet is reported when it is itself asked for
        return found

    @staticmethod
    def _is_account(text: str) -> bool:
        return text.isascii() and text.isdigit() and int(text) <= ACCOUNT_MAX

    @staticmethod
    def _same_number(text: str, number: str) -> bool:
        try:
            return telephone(text) == telephone(number)
        except TelephoneError:
            return False

    def _nobody(self, text: str) -> PartyError:
        shown = "This number" if looks_like_telephone(text) else repr(text)
        return PartyError(
            f"{shown} is nobody with a key on this machine, and no account number: "
            "`harambee up` lists the demo customers, `harambee register` opens an account."
        )
