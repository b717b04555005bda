"""Whom developers of payment software know from the incumbent's sandbox, in a development network.

Software that was written for that sandbox has its short codes, passkey, telephone numbers and initiator
in its settings and tests. A development network has the same ones, so it need not be changed to be tried.
None of these values is a secret of anybody's: they are printed in public documentation, or here.
"""

import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from harambee.crypto.durable_files import replace_file
from harambee.crypto.signatures import KeyPair
from harambee.ledger.records import AccountKind, region_of
from harambee.merchants.files import TOKEN_KEY_BYTES, MerchantFiles
from harambee.merchants.port import App, Merchant, Trade
from harambee.node.development import (
    BUSINESS_CENTS,
    REMARK,
    DemoAccount,
    Openings,
    open_demo_account,
)

FILE: Final = "sandbox.json"
CONSUMER_KEY: Final = "harambee-development-consumer-key"
CONSUMER_SECRET: Final = "harambee-development-consumer-secret"  # noqa: S105 - public, as the head says
PASSKEY: Final = "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"
INITIATORS: Final = ("testapi", "testinitiator")
INITIATOR_PASSWORD: Final = "Safaricom999!*!"  # noqa: S105 - likewise
SHORT_CODE: Final = "174379"
"""The one that every example asks for money with: a paybill and a till."""
PAYBILLS: Final = (
    SHORT_CODE,
    "600000",
    "600426",
    "600584",
    "600978",
    "600981",
    "600983",
    "600996",
    "600999",
    "601426",
)
TILLS: Final = (SHORT_CODE, "600988")
CUSTOMERS: Final = {
    "customer-sandbox": "+254708374149",
    "customer-sandbox-2": "+254722000000",
}
PARTIES: Final = frozenset(
    {
        *CUSTOMERS,
        *(f"{Trade.PAYBILL}-{code}" for code in PAYBILLS),
        *(f"{Trade.TILL}-{code}" for code in TILLS),
    }
)
"""Their names among the demo's people."""
CUSTOMER_CENTS: Final = 250_000_00


class SandboxMerchant(msgspec.Struct, frozen=True):
    """A short code that can be asked for, and whose account it is."""

    short_code: str
    trade: str
    account: int
    name: str


class SandboxCustomer(msgspec.Struct, frozen=True):
    """A customer who can be asked."""

    name: str
    telephone: str
    account: int


class Sandbox(msgspec.Struct, frozen=True):
    """What a developer configures her software with."""

    purpose: str
    consumer_key: str
    consumer_secret: str
    passkey: str
    initiators: list[str]
    initiator_password: str
    short_codes: list[SandboxMerchant]
    customers: list[SandboxCustomer]


def sandbox_accounts(openings: Openings, region: int) -> list[DemoAccount]:
    """Open these parties in the region and return them, customers last."""
    merchants = [
        open_demo_account(openings, region, f"{trade}-{code}", "", kind, BUSINESS_CENTS)._replace(
            short_code=f"{trade}:{code}"
        )
        for trade, kind, codes in (
            (Trade.PAYBILL, AccountKind.BUSINESS, PAYBILLS),
            (Trade.TILL, AccountKind.MERCHANT, TILLS),
        )
        for code in codes
    ]
    customers = [
        open_demo_account(openings, region, name, msisdn, AccountKind.CUSTOMER, CUSTOMER_CENTS)
        for name, msisdn in CUSTOMERS.items()
    ]
    return merchants + customers


def write_sandbox(folder: Path, names: Sequence[str], people: Sequence[DemoAccount]) -> None:
    """Write what each super-agent's desk must know, and beside it what a developer must; OSError.

    Nothing is written where none of `people` are the sandbox's. `names` are the super-agents' in the
    committee's order. MerchantFilesError as its files raise it.
    """
    parties = [one for one in people if one.name in PARTIES]
    if not parties:
        return
    merchants = tuple(_merchants_of(parties, len(names)))
    app = App(
        CONSUMER_KEY,
        tuple(dict.fromkeys(one.short_code for one in merchants)),
        secrets.token_bytes(TOKEN_KEY_BYTES),
        hashlib.sha256(CONSUMER_SECRET.encode()).digest(),
    )
    keys = {one.short_code: one.keypair for one in parties if one.short_code}
    for index, name in enumerate(names):
        own = {
            f"{one.trade}:{one.short_code}": keys[f"{one.trade}:{one.short_code}"]
            for one in merchants
            if one.home == index
        }
        files = MerchantFiles(
            (app,),
            merchants,
            {key: keypair for key, keypair in own.items() if isinstance(keypair, KeyPair)},
            dict.fromkeys(INITIATORS, INITIATOR_PASSWORD) if own else {},
        )
        files.write(folder / "super-agents" / name)
    content = msgspec.json.encode(_sandbox_of(merchants, parties))
    replace_file(folder / FILE, msgspec.json.format(content, indent=2) + b"\n")


def _merchants_of(parties: Sequence[DemoAccount], super_agents: int) -> list[Merchant]:
    found = []
    for one in parties:
        trade, _, code = one.short_code.partition(":")
        if code:
            home = region_of(one.account) % super_agents
            name = one.name.replace("-", " ").title()
            found.append(Merchant(code, Trade(trade), one.account, name, home, PASSKEY))
    return found


def read_sandbox(folder: Path) -> Sandbox | None:
    """Return what a network's folder says of its sandbox; None where it has none, or none to be read."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Sandbox)
    except (OSError, msgspec.DecodeError):
        return None


def _sandbox_of(merchants: Sequence[Merchant], parties: Sequence[DemoAccount]) -> Sandbox:
    return Sandbox(
        purpose=REMARK,
        consumer_key=CONSUMER_KEY,
        consumer_secret=CONSUMER_SECRET,
        passkey=PASSKEY,
        initiators=list(INITIATORS),
        initiator_password=INITIATOR_PASSWORD,
        short_codes=[
            SandboxMerchant(one.short_code, str(one.trade), one.account, one.name)
            for one in merchants
        ],
        customers=[
            SandboxCustomer(one.name, one.msisdn, one.account) for one in parties if one.msisdn
        ],
    )
