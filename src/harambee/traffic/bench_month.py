"""A whole month of mobile money through the rules and kernels, and the books closed to the cent.

Every transaction of the statistics becomes an order with its real fee, is checked, and is applied
if it is accepted; nothing is signed or sent (decision 23). What the orders are and how the books
are closed, `month` says.

An account has one order in flight. So the orders of an hour are taken in rounds, in each of which
every payer occurs once: a round is judged against one state and applied together, like orders in
flight in the network.
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harambee.crypto.hashing import TAG_ORDER, signed_prefix
from harambee.ledger.kinds import OrderKind
from harambee.ledger.ledger import Ledger
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.payees import NO_TABLES, Tables, table_digest, tables_of
from harambee.ledger.records import (
    PAYEE,
    PAYEES_MAX,
    POSITION_BITS,
    POSITION_EXCISE,
    POSITION_REVENUE,
)
from harambee.ledger.warm import warm_up
from harambee.money.tariff import FeeTable, shipped_tariff
from harambee.traffic.bench_apply import occurrence
from harambee.traffic.month import (
    FIRST_DAY,
    HOURS_PER_DAY,
    WAYS,
    Cents,
    Month,
    Orders,
    Tally,
    closing_cents,
    figures_of,
)
from harambee.traffic.nation import make_nation, open_ledger
from harambee.traffic.processes import rss_bytes
from harambee.traffic.profile import Profile

__all__ = ["WAYS", "bench_month", "closing_cents"]

Progress = Callable[[int, int], None]


def bench_month(
    month: Sequence[Profile],
    customers: int = 1_000_000,
    super_agents: int = 100,
    seed: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run the hours of a month through rules and kernels; the figures.

    `progress(done, all)` counts transactions. ValueError for more customers than the regions have
    room for.
    """
    warm_up()
    began = time.perf_counter()
    run = _Month(month[0], customers, super_agents, seed)
    run.begin()
    total, done = sum(profile.transactions for profile in month), 0
    for profile in month:
        run.hour(profile)
        done += profile.transactions
        if progress is not None:
            progress(done, total)
    tally, ledger = run.tally, run.ledger
    expected = closing_cents(tally, run.nation, run.tariff)
    closed = {name: run.balance_of(numbers) for name, numbers in run.nation.groups().items()}
    remitted_cents = run.settle()
    return {
        "transactions": total,
        **figures_of(tally, expected),
        "remitted_cents": remitted_cents,
        "bulk_orders": len(tally.salaries),
        "closes": closed == expected["balances"],
        "conserved": ledger.total_cents() == 0,
        "orders": tally.orders,
        "entries": ledger.entry_count,
        "seconds": round(time.perf_counter() - began, 1),
        "kernel_seconds": round(tally.seconds, 1),
        "orders_per_second": round(tally.orders / max(tally.seconds, 1e-9)),
        "super_agents": super_agents,
        "accounts": ledger.account_count,
        "rss_bytes": rss_bytes(os.getpid()),
        "hours": len(month),
        "seed": seed,
    }


class _Month:
    """One run: the nation, its ledger, its dice, and what has come of it so far."""

    def __init__(self, profile: Profile, customers: int, regions: int, seed: int) -> None:
        self.tariff: Final = shipped_tariff(2)
        self.nation: Final = make_nation(profile, customers, regions, seed)
        self.ledger: Final[Ledger] = open_ledger(self.nation, self.tariff)
        self.tally: Final = Tally()
        self._month = Month(profile, self.nation, self.tariff, seed)
        self._order_prefix = signed_prefix(TAG_ORDER, bytes(32))

    def begin(self) -> None:
        """Let agents join their head offices, and pay everybody's salary."""
        nation = self.nation
        self._must_pass(self._month.joins())
        regions = nation.customers >> np.uint32(POSITION_BITS)
        for region, employer in enumerate(nation.employers.tolist()):
            people = np.sort(nation.customers[regions == region])
            for start in range(0, len(people), PAYEES_MAX):
                self._pay_salaries(employer, people[start : start + PAYEES_MAX])

    def _pay_salaries(self, employer: int, people: npt.NDArray[np.uint32]) -> None:
        """Pay so many people by one order and one signature."""
        amounts: Cents = self._month.salaries(len(people))
        rows = np.zeros(len(people), PAYEE)
        rows["payee"] = people
        rows["amount"] = amounts
        table = rows.tobytes()
        payer = np.array([employer], np.uint32)
        order = self._month.orders(OrderKind.BULK_PAY_OUT, payer, payer, amounts.sum())
        order["fee"] = self._month.charges(FeeTable.PAY_OUT, amounts).sum()
        order["reference"] = np.frombuffer(table_digest(table), np.uint8)
        self._must_pass(order, tables_of([table]))
        self.tally.salaries.append(amounts)

    def _rebalance(self) -> None:
        """Let agents buy float of their super-agent, or sell it."""
        balances = self.ledger.accounts["balance"][self.nation.agents].astype(np.int64)
        sales, bought = self._month.float_sales(balances)
        sold_codes, bought_codes = self._run(sales), self._run(bought)
        self.tally.float_sold_cents += _accepted_cents(sales, sold_codes)
        self.tally.float_bought_cents += _accepted_cents(bought, bought_codes)

    def settle(self) -> int:
        """Let each treasury take its revenue into its float, and remit the excise; the latter."""
        nation = self.nation
        balances = self.ledger.accounts["balance"]
        excise = nation.system(POSITION_EXCISE)
        self._must_pass(
            self._month.settlement(balances[nation.system(POSITION_REVENUE)], balances[excise])
        )
        assert not balances[excise].any(), "all of it was remitted"
        return int(balances[nation.authority])

    def balance_of(self, numbers: npt.NDArray[np.uint32]) -> int:
        """Return what a group of accounts holds together, in cents."""
        return sum(self.ledger.accounts["balance"][numbers].tolist())

    def hour(self, profile: Profile) -> None:
        """Make all transactions of an hour, and pay the commissions of its deposits."""
        day = FIRST_DAY + profile.hour // HOURS_PER_DAY
        if day != self._month.day:
            self._month.day = day
            self._rebalance()
        orders, ways = self._month.hour(profile)
        codes = self._run(orders)
        self.tally.note(ways, orders, codes)
        good = (codes == Outcome.ACCEPTED) & (orders["kind"] == OrderKind.DEPOSIT)
        commissions = self._month.commissions(orders[good], self._order_prefix)
        self._must_pass(commissions)
        self.tally.commissions += len(commissions)

    def _run(self, orders: Orders, tables: Tables = NO_TABLES) -> npt.NDArray[np.uint8]:
        """Check and apply orders, round by round, each payer once in a round; their outcomes.

        Writes the sequences into `orders`.
        """
        codes = np.empty(len(orders), np.uint8)
        for rows in _rounds(orders["payer"]):
            batch = orders[rows]
            batch["sequence"] = self.ledger.accounts["next_sequence"][batch["payer"]]
            orders["sequence"][rows] = batch["sequence"]
            holds = np.ones(len(batch), np.bool_)
            began = time.perf_counter()
            found = self.ledger.check(batch, holds, holds, self._month.day, tables)
            good = batch if not found.any() else batch[found == Outcome.ACCEPTED]
            indices = np.zeros(len(good), np.uint32)
            states = self.ledger.apply(good, 0, indices, tables)
            self.tally.seconds += time.perf_counter() - began
            assert not states.any(), f"{Applied.APPLIED.name}: what was accepted applies at once"
            codes[rows] = found
        self.tally.orders += len(orders)
        return codes

    def _must_pass(self, orders: Orders, tables: Tables = NO_TABLES) -> None:
        """Run orders of which none can be refused."""
        codes = self._run(orders, tables)
        refused = {Outcome(code).name for code in np.unique(codes).tolist() if code}
        assert not refused, f"super-agents and employers keep the rules: {refused}"


def _rounds(payers: npt.NDArray[np.uint32]) -> list[npt.NDArray[np.int64]]:
    """Return the rows of each round: the first order of every payer, then the second, and so on."""
    if not len(payers):
        return []
    ranks = occurrence(payers)
    by_rank = np.argsort(ranks, kind="stable")
    return np.split(by_rank, np.cumsum(np.bincount(ranks))[:-1])


def _accepted_cents(orders: Orders, codes: npt.NDArray[np.uint8]) -> int:
    return int(orders["amount"][codes == Outcome.ACCEPTED].sum())
