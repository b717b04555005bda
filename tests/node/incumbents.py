"""Incumbents for tests: people with numbers, keys and money, and the files in which they are handed over."""

import csv
import io
from dataclasses import dataclass
from typing import Any

from harambee.crypto import p256, signatures
from harambee.crypto.keys import OwnerKey, public_of
from harambee.node.account_files import COLUMNS

SUPER_AGENTS = ("amani", "baraka")
ED25519 = [signatures.from_seed(bytes([n]) * 32) for n in range(1, 30)]
P256 = [p256.P256KeyPair(bytes([n]) * 32) for n in range(1, 6)]


def nobody(_done, _whole):
    """Nobody is told."""


def hexadecimal(keypair: OwnerKey) -> str:
    """The public key as a row has it: of P-256 as a compressed point."""
    form, key = public_of(keypair)
    return key.hex() if form == 0 else f"{'03' if form & 4 else '02'}{key.hex()}"


def row(n: int = 1, **changes: Any) -> dict[str, str]:
    """A customer's row that is good in everything but the changes."""
    good = {
        "number": f"07000000{n:02d}",
        "kind": "customer",
        "balance": f"{n}000.50",
        "key": hexadecimal(ED25519[n]),
        "super_agent": SUPER_AGENTS[n % 2],
    }
    return dict.fromkeys(COLUMNS, "") | good | changes


def csv_of(rows: list[dict[str, str]], columns=COLUMNS, **dialect: Any) -> bytes:
    text = io.StringIO(newline="")
    written = csv.DictWriter(text, columns, lineterminator="\n", **dialect)
    written.writeheader()
    written.writerows(rows)
    return text.getvalue().encode()


def csv_file(folder, rows: list[dict[str, str]], name="accounts.csv"):
    file = folder / name
    file.write_bytes(csv_of(rows))
    return file


@dataclass
class Fresh:
    """A new folder for each example of a property."""

    root: Any
    count: int = 0

    def folder(self):
        self.count += 1
        made = self.root / str(self.count)
        made.mkdir()
        return made
