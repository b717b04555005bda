"""How many orders a second one core checks and applies, over millions of accounts.

What is timed is what a replica does with orders whose signatures are known to hold: every rule,
every fee, the debit, the credits, the statement entry and its chains. Payers and payees are drawn
anew for each order from all accounts, so nearly every visit goes to memory. Orders are made before
the clock runs, a round at a time; afterwards the books must balance and every order must be there.
"""

import os
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.kinds import OrderKind
from harambee.ledger.ledger import Ledger
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.records import (
    FIRST_FREE_POSITION,
    OPENING,
    ORDER,
    POSITION_BITS,
    POSITION_REVENUE,
    AccountKind,
)
from harambee.ledger.warm import warm_up
from harambee.money.tariff import Tariff, shipped_tariff
from harambee.traffic.processes import rss_bytes
from harambee.traffic.workload import fees_of

REGION_CUSTOMERS: Final = 1_000_000
OPENING_CENTS: Final = 10_000_000
AMOUNT_CENTS_MAX: Final = 500_000
DAY: Final = 20_000
ROUND_ORDERS: Final = 1 << 20
BATCH_ORDERS: Final = 1 << 12
"""A batch is checked, then applied: its orders and accounts stay in the cache between the two."""
BANK: Final = FIRST_FREE_POSITION
"""Where in its region each bank is."""

Progress = Callable[[int, int], None]


def bench_apply(
    accounts: int = 10_000_000,
    seed: int = 1,
    progress: Progress | None = None,
    *,
    orders: int = 10_000_000,
) -> dict[str, Any]:
    """Check and apply at least so many orders among so many customers on one core; the figures.

    `progress(done, all)` is called between rounds, outside the timed spans. ValueError for fewer
    customers than a batch needs, for each payer occurs once in it.
    """
    if accounts < 2 * BATCH_ORDERS:
        raise ValueError(f"this measures at least {2 * BATCH_ORDERS} accounts, not {accounts}")
    warm_up()
    tariff = shipped_tariff()
    ledger, customers = _open(accounts, tariff)
    bench = _Bench(ledger, customers, tariff, seed)
    rounds = max(1, -(-orders // ROUND_ORDERS))
    for done in range(rounds):
        bench.run_round(done)
        if progress is not None:
            progress(done + 1, rounds)
    bench.verify()
    return {
        "orders_per_second": round(bench.orders / bench.seconds),
        "accounts": accounts,
        "rss_bytes": rss_bytes(os.getpid()),
        "seconds": round(bench.seconds, 3),
        "orders": bench.orders,
        "check_seconds": round(bench.check_seconds, 3),
        "apply_seconds": round(bench.seconds - bench.check_seconds, 3),
        "entries": ledger.entry_count,
        "regions": len(ledger.accounts) >> POSITION_BITS,
        "batch_orders": BATCH_ORDERS,
        "conserved": ledger.total_cents() == 0,
        "seed": seed,
    }


class _Bench:
    """One measurement: its ledger, its dice and its clock."""

    def __init__(
        self, ledger: Ledger, customers: npt.NDArray[np.uint32], tariff: Tariff, seed: int
    ) -> None:
        self.orders = 0
        self.seconds = 0.0
        self.check_seconds = 0.0
        self._ledger = ledger
        self._customers = customers
        self._tariff = tariff
        self._dice = np.random.default_rng(seed)
        self._made: npt.NDArray[np.void] = np.zeros(ROUND_ORDERS, ORDER)
        self._moved_cents = 0
        self._fees_cents = 0

    def run_round(self, position: int) -> None:
        """Make a round of orders, then check and apply them batch by batch against the clock."""
        self._make()
        holds = np.ones(BATCH_ORDERS, np.bool_)
        indices = np.arange(BATCH_ORDERS, dtype=np.uint32)
        outcomes = np.empty(ROUND_ORDERS, np.uint8)
        states = np.empty(ROUND_ORDERS, np.uint8)
        ledger = self._ledger
        for start in range(0, ROUND_ORDERS, BATCH_ORDERS):
            batch = slice(start, start + BATCH_ORDERS)
            orders = self._made[batch]
            began = time.perf_counter()
            outcomes[batch] = ledger.check(orders, holds, holds, DAY)
            checked = time.perf_counter()
            states[batch] = ledger.apply(orders, position, indices)
            ended = time.perf_counter()
            self.check_seconds += checked - began
            self.seconds += ended - began
        self.orders += ROUND_ORDERS
        assert (outcomes == Outcome.ACCEPTED).all(), "each order keeps every rule"
        assert (states == Applied.APPLIED).all(), "each order is applied"

    def _make(self) -> None:
        """Fill the round: random payers and payees, real fees, and the sequences as they stand."""
        orders, customers = self._made, self._customers
        payers = self._distinct_in_batches()
        # Anyone but oneself: so many places further round the circle.
        steps = self._dice.integers(1, len(customers), ROUND_ORDERS)
        orders["payer"] = customers[payers]
        orders["payee"] = customers[(payers + steps) % len(customers)]
        shillings = self._dice.integers(1, AMOUNT_CENTS_MAX // 100, ROUND_ORDERS, endpoint=True)
        orders["amount"] = shillings * 100
        orders["kind"] = OrderKind.SEND
        orders["tariff"] = self._tariff.version
        orders["day"] = DAY
        fees = fees_of(self._tariff, orders["kind"], shillings * 100)
        orders["fee"] = fees
        following = self._ledger.accounts["next_sequence"][orders["payer"]]
        orders["sequence"] = following + occurrence(payers)
        self._moved_cents += int(shillings.sum()) * 100
        self._fees_cents += int(fees.sum())

    def _distinct_in_batches(self) -> npt.NDArray[np.int64]:
        """Draw payers so that none occurs twice in a batch: one order in flight for each."""
        batches = ROUND_ORDERS // BATCH_ORDERS
        drawn = self._dice.integers(0, len(self._customers), (batches, BATCH_ORDERS))
        for batch in drawn:
            while len(chosen := np.unique(batch)) < BATCH_ORDERS:
                more = BATCH_ORDERS - len(chosen)
                again = self._dice.integers(0, len(self._customers), more)
                batch[:] = self._dice.permutation(np.concatenate([chosen, again]))
        return drawn.reshape(-1)

    def verify(self) -> None:
        """Every order was applied once, to the cent, and no cent is lost or made."""
        accounts = self._ledger.accounts
        customers = accounts[self._customers]
        assert int(customers["next_sequence"].astype(np.int64).sum()) == self.orders
        assert int(customers["credited"].sum()) == self._moved_cents
        assert int(customers["debited"].sum()) == self._moved_cents + self._fees_cents
        revenue = accounts["balance"][POSITION_REVENUE :: 1 << POSITION_BITS]
        assert int(revenue.sum()) == self._fees_cents
        assert self._ledger.entry_count == self.orders
        assert self._ledger.total_cents() == 0


def _open(accounts: int, tariff: Tariff) -> tuple[Ledger, npt.NDArray[np.uint32]]:
    """Return a ledger with so many customers, a million a region, and their numbers, (n,).

    Each region has a bank of its own, whose debt is its customers' balances.
    """
    regions = -(-accounts // REGION_CUSTOMERS)
    ledger = Ledger(regions, [tariff])
    numbers = []
    for region in range(regions):
        customers = min(REGION_CUSTOMERS, accounts - region * REGION_CUSTOMERS)
        first = region << POSITION_BITS
        openings = np.zeros(customers + 2, OPENING)
        openings["number"][0] = first + POSITION_REVENUE
        openings["flags"][0] = AccountKind.REVENUE
        openings["number"][1] = first + BANK
        openings["balance"][1] = -customers * OPENING_CENTS
        openings["flags"][1] = AccountKind.BANK
        openings["number"][2:] = np.arange(first + BANK + 1, first + BANK + 1 + customers)
        openings["balance"][2:] = OPENING_CENTS
        openings["flags"][2:] = AccountKind.CUSTOMER
        ledger.open_accounts(openings, {first + BANK: customers * OPENING_CENTS})
        numbers.append(openings["number"][2:].copy())
    return ledger, np.concatenate(numbers)


def occurrence(payers: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint32]:
    """Return how often each element occurred before it in the array."""
    ascending = np.argsort(payers, kind="stable")
    ordered = payers[ascending]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    starts = np.maximum.accumulate(np.where(first, np.arange(len(payers)), 0))
    ranks = np.empty(len(payers), np.uint32)
    ranks[ascending] = np.arange(len(payers)) - starts
    return ranks
