"""Who "customer-1" is: names, account numbers and telephone numbers as people type them.

Demo customers' keys lie in the network's folder (`keys/`), registered customers' wallets in
`handsets/NAME/`. Only what a payment needs is read: one list, one key.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from harambee.crypto.keyfiles import KeyFileError, read_owner_key_file
from harambee.handset.numbers import canonical_number, looks_like_number
from harambee.handset.telephone import TelephoneError
from harambee.handset.wallet import WALLET_FILE, Wallet, WalletError, open_wallet
from harambee.ledger.records import (
    POSITION_COMMISSION,
    POSITION_EXCISE,
    POSITION_FLOAT,
    POSITION_REVENUE,
    account_number,
)

ACCOUNT_MAX = 2**32 - 1

OWN_ACCOUNTS: Final = {
    "float": POSITION_FLOAT,
    "revenue": POSITION_REVENUE,
    "commission": POSITION_COMMISSION,
    "excise": POSITION_EXCISE,
}
"""A super-agent's own accounts, as "float:amani" names them, by their positions in its region."""


class PartyError(Exception):
    """There is nobody of that name; the message is one sentence."""


class DemoRow(msgspec.Struct, frozen=True):
    """One demo account as keys/demo.json lists it."""

    name: str
    account: int
    telephone: str
    kind: str
    key: str
    short_code: str = ""
    head_office: int = 0


class _DemoList(msgspec.Struct):
    accounts: list[DemoRow]


@dataclass(frozen=True)
class Parties:
    """Everybody whom a network's folder knows by name."""

    folder: Path
    network: bytes
    members: tuple[tuple[str, int], ...] = ()
    """Each super-agent's name and first region."""

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

    def name_of(self, account: int) -> str:
        """Return what people here call an account: a demo name, or a super-agent's own; or a number."""
        for row in self.demo():
            if row.account == account:
                return row.name
        for what, position in OWN_ACCOUNTS.items():
            for name, region in self.members:
                if account == account_number(region, position):
                    return f"{what}:{name}"
        return f"account {account}"

    def payee(self, text: str) -> int | str:
        """Return an account number, or a telephone number or short code for the directory."""
        for row in self.demo():
            if text == row.name:
                return row.account
        if (own := self._own(text)) is not None:
            return own[1]
        if looks_like_number(text):
            try:
                return canonical_number(text)
            except TelephoneError as error:
                raise PartyError(str(error)) from error
        if self._is_account(text):
            return int(text)
        if (wallet := self._registered(text)) is not None:
            return wallet.account
        raise self._nobody(text)

    def number_known_here(self, number: str) -> int | None:
        """Return the account of a telephone number or short code, without asking; None if unknown."""
        for row in self.demo():
            if self._same_number(number, row.telephone) or self._same_number(
                number, row.short_code
            ):
                return row.account
        return None

    def wallet(self, text: str) -> Wallet:
        """Return the wallet of somebody whose key is on this machine."""
        for row in self.demo():
            if (
                text in (row.name, str(row.account))
                or self._same_number(text, row.telephone)
                or self._same_number(text, row.short_code)
            ):
                key = self.folder / "keys" / row.key
                return self._wallet_of(row.name, row.account, key, row.telephone or None)
        if (own := self._own(text)) is not None:
            name, account = own
            key = self.folder / "super-agents" / name / "treasury.key"
            return self._wallet_of(text, account, key)
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

    def _wallet_of(
        self, name: str, account: int, key: Path, telephone: str | None = None
    ) -> Wallet:
        """Return the wallet of an account whose key lies in a file; its state is a handset's."""
        try:
            stored = read_owner_key_file(key)
        except KeyFileError as error:
            raise PartyError(f"{error}.") from error
        return Wallet(self.handsets / name, account, stored.keypair, key, telephone)

    def _own(self, text: str) -> tuple[str, int] | None:
        """Return name and account where the text is a super-agent's own account, "float:amani"."""
        what, colon, name = text.partition(":")
        if not colon or what not in OWN_ACCOUNTS:
            return None
        for member, region in self.members:
            if member == name:
                return name, account_number(region, OWN_ACCOUNTS[what])
        raise PartyError(f"There is no super-agent called {name}.")

    def is_own_account(self, text: str) -> bool:
        """Say whether this names an account of a super-agent's own, as "float:amani" does."""
        return self._own(text) is not None

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
            return canonical_number(text) == canonical_number(number)
        except TelephoneError:
            return False

    def _nobody(self, text: str) -> PartyError:
        shown = "This number" if looks_like_number(text) else repr(text)
        return PartyError(
            f"{shown} is nobody with a key on this machine, and no account number: "
            "`harambee up` lists the demo customers, `harambee register` opens an account."
        )
