"""How fast a whole network is: processes, signatures, fsync and TLS included.

Everything is signed before the clock starts, so that what is measured is the network and not the
handsets. Two runs: as fast as it goes, for payments a second; then at an even pace, for latency.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import ORDER
from harambee.traffic.book import Book, Tally
from harambee.traffic.generator import Generator, Pace
from harambee.traffic.parties import Parties, keys_of
from harambee.traffic.processes import cpu_seconds
from harambee.traffic.temporary_network import Network
from harambee.traffic.workload import fees_of

AMOUNT_CENTS: Final = 150_00
OPENING_CENTS: Final = 100_000_00
ITSELF: Final = "load generator"
EVERYBODY: Final = slice(None)


@dataclass(frozen=True, slots=True)
class Run:
    """One run: what became of its orders, and what every process used for it."""

    book: Book
    tally: Tally
    cpu_seconds: dict[str, float]


def payments(
    network: Network, count: int, dice: np.random.Generator, who: slice = EVERYBODY
) -> npt.NDArray[np.void]:
    """Return payments by customers to customers: each payer once before anyone twice, all affordable.

    `who` are those of the customers that pay.
    """
    parties: Parties = network.parties
    people = parties.crowd.customers
    some = np.arange(people)[who]
    rounds = -(-count // len(some))
    payers = np.concatenate([dice.permutation(some) for _ in range(rounds)])[:count]
    payees = (payers + dice.integers(1, people, count)) % people
    orders = np.zeros(count, ORDER)
    orders["kind"] = OrderKind.SEND
    orders["payer"] = parties.numbers[payers]
    orders["payee"] = parties.numbers[payees]
    orders["amount"] = AMOUNT_CENTS
    amounts = np.full(count, AMOUNT_CENTS, np.int64)
    orders["fee"] = fees_of(network.tariff, orders["kind"], amounts)
    orders["tariff"] = network.tariff.version
    return orders


async def run(
    network: Network, orders: npt.NDArray[np.void], pace: Pace, pids: dict[str, int]
) -> Run:
    """Sign the orders, then offer them and measure; LoadError."""
    book = Book(orders)
    payers = keys_of(orders, network.parties)
    load = Generator(book, network.doors, network.network, payers, network.quorum, pace)
    await load.prepare(presign=True)
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    await load.run()
    used = {name: round(cpu_seconds(pid) - before[name], 2) for name, pid in pids.items()}
    return Run(book, book.tally(), used)
