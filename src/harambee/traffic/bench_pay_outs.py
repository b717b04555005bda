"""How long a business needs to pay everybody in a file, on a whole network.

The clock runs over all that its office waits for: the file is read, every payee's account is asked
for, the orders are signed, kept and brought to a super-agent, and receipts are believed. Then every
payee's balance is read from every super-agent, and held against what the file says.
"""

import asyncio
import time
from dataclasses import asdict, dataclass
from typing import Any, Final

import aiohttp
import numpy as np
import numpy.typing as npt

from harambee.crypto.signatures import KeyPair
from harambee.handset.doors import open_doors
from harambee.handset.handset import Handset, PaymentStatus
from harambee.handset.network_file import read_network
from harambee.handset.pay_outs import PayOuts, read_rows
from harambee.handset.wallet import Wallet
from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import ACCOUNT, AccountKind
from harambee.money.tariff import FeeTable
from harambee.node.development import Population, Residents
from harambee.node.network_folder import NetworkFolder

WAGE_CENTS: Final = 10_000_00
WAGES: Final = 500
"""So many different wages, a shilling apart."""
SINGLE_CENTS: Final = 250_00
OPENING_CENTS: Final = 1_000_00
EMPLOYER_CENTS_EACH: Final = 20_000_00
"""What the business holds for each payee: enough for a wage, for some single pay-outs and all fees."""
ACCOUNTS_AT_ONCE: Final = 32_768
AGREE_S: Final = 60
POLL_S: Final = 0.02


class PayOutError(Exception):
    """The network did not do what it was there for; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured, and what was found in the ledgers afterwards."""

    rows: int
    orders: int
    seconds: float
    """From the file to receipts of w super-agents for the last order."""
    seconds_everywhere: float
    """From the file until the last order is final at every super-agent."""
    rows_per_second: float
    single: int
    """How many pay-outs were made with an order each, one after the other."""
    single_per_minute: float
    balances_right: bool
    """At every super-agent, every payee holds what the file and the single orders make of the opening."""
    conserved: bool
    digests_equal: bool

    @property
    def is_clean(self) -> bool:
        """Everybody was paid exactly once, everywhere."""
        return self.balances_right and self.conserved and self.digests_equal

    def as_json(self) -> dict[str, Any]:
        """The fields, for programs."""
        return asdict(self)


def population(payees: int, super_agents: int, seed: int) -> Population:
    """Return a business, and so many customers spread over the super-agents' regions."""
    kinds = np.full(payees + 1, AccountKind.CUSTOMER, np.uint8)
    kinds[0] = AccountKind.BUSINESS
    balances = np.full(payees + 1, OPENING_CENTS, np.int64)
    balances[0] = (payees + 100) * EMPLOYER_CENTS_EACH
    regions = (np.arange(payees + 1) % super_agents).astype(np.uint16)
    seeds = np.random.default_rng([seed, 5]).integers(0, 256, (payees + 1, 32), dtype=np.uint8)
    return Population(kinds, balances, regions, seeds)


async def run(folder: NetworkFolder, single: int) -> Found:
    """Pay everybody, then so many by an order each; HandsetError, WalletError or PayOutError."""
    residents = folder.population()
    assert residents is not None, "the network was made with a population"
    known = read_network(folder.folder)
    employer = int(residents.numbers[0])
    wallet = Wallet(
        folder.folder / "handsets" / "employer", employer, KeyPair(residents.seeds[0].tobytes())
    )
    payees = residents.numbers[1:]
    wages = WAGE_CENTS + np.arange(len(payees), dtype=np.int64) % WAGES * 100
    file = "".join(
        f"{number},{cents // 100}\n"
        for number, cents in zip(payees.tolist(), wages.tolist(), strict=True)
    ).encode()
    async with open_doors(known.doors) as doors, aiohttp.ClientSession() as session:
        handset = Handset(known.genesis, doors, wallet)
        urls = [address.http for address in folder.addresses]
        began = time.perf_counter()
        paid = await PayOuts(handset, int, (ValueError,), lambda *_told: None).pay(
            "wages", read_rows(file)
        )
        seconds = time.perf_counter() - began
        if paid.status is not PaymentStatus.FINAL:
            raise PayOutError(f"not everybody was paid: {paid.sentence}")
        last = paid.payments[-1].sequence
        await asyncio.gather(*(_is_final(session, url, employer, last) for url in urls))
        everywhere = time.perf_counter() - began
        began = time.perf_counter()
        for number in payees[:single].tolist():
            payment = await handset.pay(number, SINGLE_CENTS, OrderKind.PAY_OUT)
            if payment.status is not PaymentStatus.FINAL:
                raise PayOutError(f"a single pay-out was not final: {payment.sentence}")
        alone = time.perf_counter() - began
        wages[:single] += SINGLE_CENTS
        digests = await _settled_digests(session, urls)
        fees = paid.fee_cents + min(single, len(payees)) * (
            known.genesis.tariffs[-1].fee_cents(FeeTable.PAY_OUT, SINGLE_CENTS)
        )
        expected = _expected(residents, wages, fees)
        held = [await _balances(session, url, residents.numbers) for url in urls]
    return Found(
        rows=paid.paid_rows,
        orders=len(paid.payments),
        seconds=round(seconds, 2),
        seconds_everywhere=round(everywhere, 2),
        rows_per_second=round(paid.paid_rows / everywhere, 1),
        single=min(single, len(payees)),
        single_per_minute=round(60 * min(single, len(payees)) / alone, 1) if single else 0.0,
        balances_right=all(np.array_equal(balances, expected) for balances in held),
        conserved=all(digest["total_cents"] == 0 for digest in digests),
        digests_equal=len({digest["digest"] for digest in digests}) == 1,
    )


def _expected(
    residents: Residents, paid_cents: npt.NDArray[np.int64], fee_cents: int
) -> npt.NDArray[np.int64]:
    """Return what everybody must hold, in plain arithmetic over the openings."""
    expected = residents.balances.copy()
    expected[1:] += paid_cents
    expected[0] -= int(paid_cents.sum()) + fee_cents
    return expected


async def _is_final(session: aiohttp.ClientSession, url: str, payer: int, sequence: int) -> None:
    """Return when an order is final in a slot at a super-agent; PayOutError after a minute."""
    end = time.monotonic() + AGREE_S
    while time.monotonic() < end:
        async with session.get(f"{url}/v1/orders/{payer}/{sequence}?wait_ms=5000") as answer:
            answer.raise_for_status()
            if (await answer.json())["state"] == "final":
                return
    raise PayOutError(f"after {AGREE_S} seconds the pay-out is not final at {url}")


async def _settled_digests(session: aiohttp.ClientSession, urls: list[str]) -> list[dict[str, Any]]:
    """Return all super-agents' digests as soon as they are equal, or those after a minute."""
    end = time.monotonic() + AGREE_S
    while True:
        digests = [await _digest(session, url) for url in urls]
        if len({digest["digest"] for digest in digests}) == 1 or time.monotonic() > end:
            return digests
        await asyncio.sleep(POLL_S)


async def _digest(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with session.get(f"{url}/v1/digest") as answer:
        answer.raise_for_status()
        document: dict[str, Any] = await answer.json()
        return document


async def _balances(
    session: aiohttp.ClientSession, url: str, numbers: npt.NDArray[np.uint32]
) -> npt.NDArray[np.int64]:
    """Return the balances of accounts, in cents, as a super-agent tells them."""
    pieces = []
    for at in range(0, len(numbers), ACCOUNTS_AT_ONCE):
        asked = numbers[at : at + ACCOUNTS_AT_ONCE].astype("<u4").tobytes()
        headers = {"Content-Type": "application/octet-stream"}
        async with session.post(f"{url}/v1/accounts/query", data=asked, headers=headers) as answer:
            answer.raise_for_status()
            pieces.append(np.frombuffer(await answer.read(), ACCOUNT)["balance"])
    return np.concatenate(pieces).astype(np.int64)
