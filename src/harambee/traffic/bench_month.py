"""A whole month of mobile money through the rules and kernels, and the books closed to the cent.

Every transaction of the statistics becomes an order with its real fee, is checked, and is applied
if it is accepted; nothing is signed or sent (decision 23). Around them goes on what a month needs:
agents join their head offices and employers pay salaries by bulk orders before it begins; each
accepted deposit is followed by its commission; once a day agents with little float buy some of
their super-agent and those with much sell it; at the end the treasuries take their revenue and
remit the excise.

An account has one order in flight. So the orders of an hour are taken in rounds, in each of which
every payer occurs once: a round is judged against one state and applied together, like orders in
flight in the network.

**Closing the books.** Of what was accepted, a tally keeps how often each amount was paid in each
way. From it and the schedule alone, plain Python adds up what every group of accounts must hold.
It shares no code with rules and kernels, and must agree with the ledger to the cent.
"""

import os
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harambee.crypto.hashing import TAG_ORDER, digest_many, signed_prefix
from harambee.ledger.kinds import OrderKind
from harambee.ledger.ledger import Ledger
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.payees import NO_TABLES, Tables, table_digest, tables_of
from harambee.ledger.records import (
    BODY_BYTES,
    ORDER,
    PAYEE,
    PAYEES_MAX,
    POSITION_BITS,
    POSITION_COMMISSION,
    POSITION_EXCISE,
    POSITION_FLOAT,
    POSITION_REVENUE,
    REGION_ACCOUNTS,
)
from harambee.ledger.warm import warm_up
from harambee.money.tariff import FEE, RATE, UPPER, FeeTable, Tariff, shipped_tariff
from harambee.traffic.bench_apply import occurrence
from harambee.traffic.nation import Nation, activity_of, drawn_by, make_nation, open_ledger
from harambee.traffic.processes import rss_bytes
from harambee.traffic.profile import Action, Profile
from harambee.traffic.workload import AGENT_FLOAT_CENTS, CENTS_PER_SHILLING, amounts_of

FIRST_DAY: Final = 20_000
HOURS_PER_DAY: Final = 24
FLOAT_LOW_CENTS: Final = AGENT_FLOAT_CENTS // 2
FLOAT_HIGH_CENTS: Final = 2 * AGENT_FLOAT_CENTS
SALARY_SHILLINGS: Final = (15_000, 45_000)
AMOUNTS_MAX: Final = 250_001
"""Whole shillings up to the limit of a transaction."""

Orders = npt.NDArray[np.void]
Cents = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]

# How a payment is made, as the tally and the sum know it. Deposits and withdrawals: at an agent
# without, then with a head office; bills: the payer, the payee, both.
WAYS: Final = (
    "send",
    "withdraw",
    "withdraw, head office",
    "deposit",
    "deposit, head office",
    "buy goods",
    "bill, customer pays",
    "bill, business pays",
    "bill, shared",
    "bank deposit",
)
_WITHDRAW, _DEPOSIT, _BILL = WAYS.index("withdraw"), WAYS.index("deposit"), 6


@dataclass
class Tally:
    """What was accepted, by way and amount; what was refused, by kind and outcome."""

    accepted: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((len(WAYS), AMOUNTS_MAX), np.int64)
    )
    """How often each whole number of shillings was paid in each way."""
    refused: Counter[tuple[int, int]] = field(default_factory=Counter)
    salaries: list[Cents] = field(default_factory=list)
    """The amounts of each bulk order."""
    float_bought_cents: int = 0
    float_sold_cents: int = 0
    commissions: int = 0
    """How many deposit commissions were paid."""
    orders: int = 0
    """All orders checked, those around the month too."""
    seconds: float = 0.0
    """In check and apply."""

    def note(self, ways: npt.NDArray[np.int64], amounts: Cents, codes: npt.NDArray[Any]) -> None:
        """Count the accepted ones among orders that were made in these ways."""
        good = codes == Outcome.ACCEPTED
        flat = ways[good] * AMOUNTS_MAX + amounts[good] // CENTS_PER_SHILLING
        self.accepted += np.bincount(flat, minlength=self.accepted.size).reshape(
            self.accepted.shape
        )

    @property
    def transactions_accepted(self) -> int:
        """How many transactions of the statistics became final."""
        return int(self.accepted.sum())


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
    refused: Counter[str] = Counter()
    for (_, outcome), count in tally.refused.items():
        refused[Outcome(outcome).name.lower()] += count
    no_float = (int(OrderKind.DEPOSIT), int(Outcome.BALANCE_INSUFFICIENT))
    return {
        "transactions": total,
        "accepted": tally.transactions_accepted,
        "refused": dict(sorted(refused.items())),
        "agents_without_float": tally.refused[no_float],
        "moved_cents": _moved_cents(tally),
        "charged_cents": sum(expected["due"].values()),
        "revenue_cents": expected["due"]["revenue"],
        "excise_cents": expected["due"]["excise"],
        "agents_commission_cents": expected["due"]["agents"] + expected["paid"]["agents"],
        "head_offices_commission_cents": (
            expected["due"]["head_offices"] + expected["paid"]["head_offices"]
        ),
        "remitted_cents": remitted_cents,
        "deposit_commissions": tally.commissions,
        "salaries": sum(map(len, tally.salaries)),
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
        self._prices = self.tariff.as_array()
        self._dice = np.random.default_rng([seed, 5])
        self._day = FIRST_DAY
        self._order_prefix = signed_prefix(TAG_ORDER, bytes(32))
        customer_kinds = (
            OrderKind.SEND,
            OrderKind.WITHDRAW,
            OrderKind.BUY_GOODS,
            OrderKind.BANK_DEPOSIT,
        )
        self._activity = {
            kind: activity_of(self._dice, profile, kind, customers) for kind in customer_kinds
        }
        # An agent that takes much cash in need not hand much out: that is why float runs short.
        self._takes_in, self._hands_out = (
            activity_of(self._dice, profile, OrderKind.DEPOSIT, len(self.nation.agents))
            for _ in range(2)
        )

    # -- before, around and after -----------------------------------------------------------------

    def begin(self) -> None:
        """Let agents join their head offices, and pay everybody's salary."""
        nation = self.nation
        joining = nation.offices_of_agents != 0
        joins = self._orders(
            OrderKind.JOIN_HEAD_OFFICE, nation.agents[joining], nation.offices_of_agents[joining]
        )
        self._must_pass(joins)
        regions = nation.customers >> np.uint32(POSITION_BITS)
        for region, employer in enumerate(nation.employers.tolist()):
            people = np.sort(nation.customers[regions == region])
            for start in range(0, len(people), PAYEES_MAX):
                self._pay_salaries(employer, people[start : start + PAYEES_MAX])

    def _pay_salaries(self, employer: int, people: npt.NDArray[np.uint32]) -> None:
        """Pay so many people by one order and one signature."""
        rows = np.zeros(len(people), PAYEE)
        rows["payee"] = people
        rows["amount"] = self._dice.integers(*SALARY_SHILLINGS, len(people)) * CENTS_PER_SHILLING
        table = rows.tobytes()
        order = self._orders(OrderKind.BULK_PAY_OUT, np.array([employer]), np.array([employer]))
        amounts = rows["amount"].astype(np.int64)
        order["amount"] = amounts.sum()
        order["fee"] = self._charges(FeeTable.PAY_OUT, amounts).sum()
        order["reference"] = np.frombuffer(table_digest(table), np.uint8)
        self._must_pass(order, tables_of([table]))
        self.tally.salaries.append(amounts)

    def _rebalance(self) -> None:
        """Let agents buy float of their super-agent, or sell it, in whole shillings."""
        agents = self.nation.agents
        balances = self.ledger.accounts["balance"][agents].astype(np.int64)
        floats = (agents >> np.uint32(POSITION_BITS) << np.uint32(POSITION_BITS)) + np.uint32(
            POSITION_FLOAT
        )
        wanted = (AGENT_FLOAT_CENTS - balances) // CENTS_PER_SHILLING * CENTS_PER_SHILLING
        low, high = balances < FLOAT_LOW_CENTS, balances > FLOAT_HIGH_CENTS
        sales = self._orders(OrderKind.FLOAT_SALE, agents[high], floats[high], -wanted[high])
        bought = self._orders(OrderKind.FLOAT_SALE, floats[low], agents[low], wanted[low])
        sold_codes, bought_codes = self._run(sales), self._run(bought)
        self.tally.float_sold_cents += _accepted_cents(sales, sold_codes)
        self.tally.float_bought_cents += _accepted_cents(bought, bought_codes)

    def settle(self) -> int:
        """Let each treasury take its revenue into its float, and remit the excise; the latter."""
        nation = self.nation
        excise, revenue = nation.system(POSITION_EXCISE), nation.system(POSITION_REVENUE)
        balances = self.ledger.accounts["balance"]
        to_float = self._orders(
            OrderKind.TREASURY, revenue, nation.system(POSITION_FLOAT), balances[revenue]
        )
        authority = np.full(len(excise), nation.authority, np.uint32)
        remittances = self._orders(OrderKind.EXCISE_REMITTANCE, excise, authority, balances[excise])
        for orders in (to_float, remittances):
            self._must_pass(orders[orders["amount"] > 0])
        assert not balances[excise].any(), "all of it was remitted"
        return int(balances[nation.authority])

    def balance_of(self, numbers: npt.NDArray[np.uint32]) -> int:
        """Return what a group of accounts holds together, in cents."""
        return sum(self.ledger.accounts["balance"][numbers].tolist())

    # -- an hour of the statistics ----------------------------------------------------------------

    def hour(self, profile: Profile) -> None:
        """Make all transactions of an hour, in random order."""
        day = FIRST_DAY + profile.hour // HOURS_PER_DAY
        if day != self._day:
            self._day = day
            self._rebalance()
        made = [self._made(action) for action in profile.actions]
        orders = np.concatenate([orders for orders, _ in made])
        ways = np.concatenate([ways for _, ways in made])
        shuffled = self._dice.permutation(len(orders))
        orders, ways = orders[shuffled], ways[shuffled]
        codes = self._run(orders)
        self.tally.note(ways, orders["amount"].astype(np.int64), codes)
        bad = np.flatnonzero(codes)
        pairs = zip(orders["kind"][bad].tolist(), codes[bad].tolist(), strict=True)
        self.tally.refused.update(pairs)
        good = (codes == Outcome.ACCEPTED) & (orders["kind"] == OrderKind.DEPOSIT)
        self._pay_commissions(orders[good])

    def _made(self, action: Action) -> tuple[Orders, npt.NDArray[np.int64]]:
        """Return the orders of one action and the way of each."""
        amounts = amounts_of(self._dice, action, action.count, self.tariff)
        count, nation = action.count, self.nation
        if action.kind is OrderKind.DEPOSIT:
            agents = drawn_by(self._dice, self._takes_in, count)
            people = drawn_by(self._dice, self._activity[OrderKind.WITHDRAW], count)
            orders = self._orders(
                action.kind, nation.agents[agents], nation.customers[people], amounts
            )
            return orders, _DEPOSIT + (nation.offices_of_agents[agents] != 0)
        payers = drawn_by(self._dice, self._activity[action.kind], count)
        if action.kind is OrderKind.WITHDRAW:
            return self._withdrawals(payers, amounts)
        if action.kind is OrderKind.BUY_GOODS:
            return self._payments(payers, amounts)
        if action.kind is OrderKind.BANK_DEPOSIT:
            payees = nation.banks[self._dice.integers(0, len(nation.banks), count)]
        else:
            everybody = len(nation.customers)
            # Anyone but oneself: so many places further round the circle.
            payees = nation.customers[
                (payers + self._dice.integers(1, everybody, count)) % everybody
            ]
        orders = self._orders(action.kind, nation.customers[payers], payees, amounts)
        if action.kind is OrderKind.SEND:
            orders["fee"] = self._charges(FeeTable.SEND, amounts)
            return orders, np.full(count, WAYS.index("send"))
        return orders, np.full(count, WAYS.index("bank deposit"))

    def _withdrawals(
        self, payers: npt.NDArray[np.int64], amounts: Cents
    ) -> tuple[Orders, npt.NDArray[np.int64]]:
        """Return withdrawals at agents."""
        nation = self.nation
        agents = drawn_by(self._dice, self._hands_out, len(payers))
        orders = self._orders(
            OrderKind.WITHDRAW, nation.customers[payers], nation.agents[agents], amounts
        )
        orders["fee"] = self._charges(FeeTable.WITHDRAW, amounts)
        offices = nation.offices_of_agents[agents]
        orders["options"] = _head_office_options(offices)
        return orders, _WITHDRAW + (offices != 0)

    def _payments(
        self, payers: npt.NDArray[np.int64], amounts: Cents
    ) -> tuple[Orders, npt.NDArray[np.int64]]:
        """Return payments at tills, and of bills as each biller has agreed."""
        nation = self.nation
        merchants = self._dice.integers(0, len(nation.merchants), len(payers))
        modes = nation.merchant_modes[merchants]
        orders = self._orders(
            OrderKind.BUY_GOODS, nation.customers[payers], nation.merchants[merchants], amounts
        )
        bills = modes >= 0
        orders["kind"][bills] = OrderKind.PAY_BILL
        orders["options"][:, 0] = np.maximum(modes, 0)
        orders["reference"][bills, 0] = 1
        charges = self._charges(FeeTable.PAY_BILL, amounts)
        shared = charges * self.tariff.shared_payer_basis_points // 10_000
        orders["fee"] = np.select([modes == 0, modes == 2], [charges, shared], 0)
        return orders, np.where(bills, _BILL + modes, WAYS.index("buy goods"))

    def _pay_commissions(self, deposits: Orders) -> None:
        """Pay the agents of final deposits what the schedule says, by orders that name them."""
        earned = self._charges(FeeTable.DEPOSIT_COMMISSION, deposits["amount"].astype(np.int64))
        deposits, earned = deposits[earned > 0], earned[earned > 0]
        if not len(deposits):
            return
        agents = deposits["payer"]
        region = agents >> np.uint32(POSITION_BITS) << np.uint32(POSITION_BITS)
        orders = self._orders(
            OrderKind.DEPOSIT_COMMISSION, region + np.uint32(POSITION_COMMISSION), agents, earned
        )
        bodies = deposits.view(np.uint8).reshape(len(deposits), -1)[:, :BODY_BYTES]
        orders["reference"] = digest_many(self._order_prefix, np.ascontiguousarray(bodies))
        orders["options"] = _head_office_options(self.ledger.identities["head_office"][agents])
        self._must_pass(orders)
        self.tally.commissions += len(orders)

    # -- orders through the rules -----------------------------------------------------------------

    def _orders(
        self,
        kind: OrderKind,
        payers: npt.NDArray[Any],
        payees: npt.NDArray[Any],
        amounts: npt.NDArray[Any] | int = 0,
    ) -> Orders:
        orders = np.zeros(len(payers), ORDER)
        orders["kind"], orders["day"] = kind, self._day
        orders["tariff"] = self.tariff.version
        orders["payer"], orders["payee"], orders["amount"] = payers, payees, amounts
        return orders

    def _charges(self, table: FeeTable, amounts: Cents) -> Cents:
        """Return the schedule's charge for each amount; all of them have one."""
        prices = self._prices[table]
        bands = np.searchsorted(prices[UPPER], amounts)
        assert not prices[RATE].any(), "a table of fixed sums"
        charges: Cents = prices[FEE][bands]
        return charges

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
            found = self.ledger.check(batch, holds, holds, self._day, tables)
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


def _head_office_options(offices: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    """Return the option bytes, (n, 3), that name head offices; zeros for none."""
    places = (offices & np.uint32(REGION_ACCOUNTS - 1)).astype("<u4")
    return places.view(np.uint8).reshape(len(offices), 4)[:, :3]


def _accepted_cents(orders: Orders, codes: npt.NDArray[np.uint8]) -> int:
    return int(orders["amount"][codes == Outcome.ACCEPTED].sum())


def _moved_cents(tally: Tally) -> int:
    """Return the amounts of all accepted transactions, added up."""
    counts = tally.accepted.sum(axis=0)
    used = np.flatnonzero(counts)
    return sum(
        shillings * CENTS_PER_SHILLING * count
        for shillings, count in zip(used.tolist(), counts[used].tolist(), strict=True)
    )


# -- the sum over the schedule, in plain Python ---------------------------------------------------


class _Column:
    """A table of the schedule, looked up amount by amount."""

    def __init__(self, tariff: Tariff, table: FeeTable) -> None:
        self._prices = tariff.prices(table)
        self._uppers = [price.upper_cents for price in self._prices]

    def of(self, cents: int) -> int:
        price = self._prices[bisect_left(self._uppers, cents)]
        assert price.fee_cents is not None, "what was accepted has a price"
        return price.fee_cents + cents * price.basis_points // 10_000


def closing_cents(tally: Tally, nation: Nation, tariff: Tariff) -> dict[str, dict[str, int]]:
    """Return what the schedule makes of a tally, in cents.

    `due`: of all charges, what revenue, excise, agents and head offices are due; `paid`: what
    deposit commissions pay the latter two; `balances`: what each group of accounts then holds.
    """
    held = _opening_cents(nation)
    due = dict.fromkeys(("revenue", "excise", "agents", "head_offices"), 0)
    paid = dict.fromkeys(("agents", "head_offices"), 0)
    share = 0 if tariff.commissions is None else tariff.commissions.head_office_basis_points

    def split(earned: int, count: int, into: dict[str, int], *, has_office: bool) -> None:
        office = earned * share // 10_000 if has_office else 0
        into["agents"] += (earned - office) * count
        into["head_offices"] += office * count

    def charged(cents: int, count: int, earned: int = 0) -> None:
        tax = cents * tariff.excise_basis_points // (10_000 + tariff.excise_basis_points)
        due["excise"] += tax * count
        due["revenue"] += (cents - tax - earned) * count

    columns = {table: _Column(tariff, table) for table in FeeTable}
    for way, shillings, count in _tallied(tally):
        cents = shillings * CENTS_PER_SHILLING
        name = WAYS[way]
        payee, table = _WHERE[name]
        fee = columns[table].of(cents)
        payers = fee
        if name in {"buy goods", "bill, business pays"}:
            payers = 0
        elif name == "bill, shared":
            payers = fee * tariff.shared_payer_basis_points // 10_000
        payer = "agents" if name.startswith("deposit") else "customers"
        held[payer] -= (cents + payers) * count
        held[payee] += (cents - (fee - payers)) * count
        has_office = name.endswith("head office")
        earned = 0
        if name.startswith("withdraw"):
            earned = columns[FeeTable.WITHDRAW_COMMISSION].of(cents)
            split(earned, count, due, has_office=has_office)
        elif name.startswith("deposit"):
            commission = columns[FeeTable.DEPOSIT_COMMISSION].of(cents)
            split(commission, count, paid, has_office=has_office)
        charged(fee, count, earned)
    for salaries in tally.salaries:
        amounts = salaries.tolist()
        fee = sum(columns[FeeTable.PAY_OUT].of(cents) for cents in amounts)
        held["employers"] -= sum(amounts) + fee
        held["customers"] += sum(amounts)
        charged(fee, 1)
    for group, cents in due.items():
        held[group] += cents
    for group, cents in paid.items():
        held[group] += cents
        held["commission"] -= cents
    bought = tally.float_bought_cents - tally.float_sold_cents
    held["agents"] += bought
    held["float"] -= bought
    return {"due": due, "paid": paid, "balances": held}


_WHERE: Final = {
    "send": ("customers", FeeTable.SEND),
    "withdraw": ("agents", FeeTable.WITHDRAW),
    "withdraw, head office": ("agents", FeeTable.WITHDRAW),
    "deposit": ("customers", FeeTable.DEPOSIT),
    "deposit, head office": ("customers", FeeTable.DEPOSIT),
    "buy goods": ("merchants", FeeTable.BUY_GOODS),
    "bill, customer pays": ("merchants", FeeTable.PAY_BILL),
    "bill, business pays": ("merchants", FeeTable.PAY_BILL),
    "bill, shared": ("merchants", FeeTable.PAY_BILL),
    "bank deposit": ("banks", FeeTable.BANK_DEPOSIT),
}
assert tuple(_WHERE) == WAYS


def _tallied(tally: Tally) -> Sequence[tuple[int, int, int]]:
    """Return (way, shillings, how often) of everything that was accepted."""
    ways, shillings = np.nonzero(tally.accepted)
    counts = tally.accepted[ways, shillings]
    return list(zip(ways.tolist(), shillings.tolist(), counts.tolist(), strict=True))


def _opening_cents(nation: Nation) -> dict[str, int]:
    """Return what each group of accounts opened with."""
    numbers = nation.openings["number"]
    ascending = np.argsort(numbers)
    balances = nation.openings["balance"][ascending]
    return {
        name: sum(balances[np.searchsorted(numbers[ascending], group)].tolist())
        for name, group in nation.groups().items()
    }
