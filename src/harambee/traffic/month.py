"""The orders of a month of mobile money, and the sum that closes its books.

A month is made once and run in two ways: `bench_month` puts it through rules and kernels alone,
`replay_month` signs it and sends it through a network. Both draw the same orders here, keep the same
tally of what was accepted, and are held to the same sum.

Around the transactions of the statistics goes on what a month needs: agents join their head
offices and employers pay salaries before it begins; each accepted deposit is followed by its
commission; once a day agents with little float buy some of their super-agent and those with much
sell it; at the end the treasuries take their revenue and remit the excise.

**Closing the books.** Of what was accepted, a tally keeps how often each amount was paid in each
way. From it and the schedule alone, plain Python adds up what every group of accounts must hold.
It shares no code with rules and kernels, and must agree with the ledgers to the cent.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harambee.crypto.hashing import digest_many
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import (
    BODY_BYTES,
    ORDER,
    POSITION_BITS,
    POSITION_COMMISSION,
    POSITION_EXCISE,
    POSITION_FLOAT,
    POSITION_REVENUE,
    REGION_ACCOUNTS,
)
from harambee.money.tariff import FEE, RATE, UPPER, FeeTable, Tariff
from harambee.traffic.nation import Nation, activity_of, drawn_by
from harambee.traffic.profile import Action, Profile, ProfileError
from harambee.traffic.workload import AGENT_FLOAT_CENTS, CENTS_PER_SHILLING, amounts_of

FIRST_DAY: Final = 20_000
HOURS_PER_DAY: Final = 24
FLOAT_LOW_CENTS: Final = AGENT_FLOAT_CENTS // 2
FLOAT_HIGH_CENTS: Final = 2 * AGENT_FLOAT_CENTS
SALARY_SHILLINGS: Final = (15_000, 45_000)
AMOUNTS_MAX: Final = 250_001
"""Whole shillings up to the limit of a transaction."""
MILLION: Final = 1_000_000

Orders = npt.NDArray[np.void]
Cents = npt.NDArray[np.int64]

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
    funded_cents: int = 0
    """What super-agents moved from their floats to their commission accounts."""
    commissions: int = 0
    """How many deposit commissions were paid."""
    orders: int = 0
    """All orders checked, those around the month too."""
    seconds: float = 0.0
    """In check and apply."""

    def note(self, ways: npt.NDArray[np.int64], orders: Orders, codes: npt.NDArray[Any]) -> None:
        """Count orders that were made in these ways; `codes` are what became of them, (n,)."""
        amounts = orders["amount"].astype(np.int64)
        bad = np.flatnonzero(codes)
        self.refused.update(zip(orders["kind"][bad].tolist(), codes[bad].tolist(), strict=True))
        good = codes == Outcome.ACCEPTED
        flat = ways[good] * AMOUNTS_MAX + amounts[good] // CENTS_PER_SHILLING
        self.accepted += np.bincount(flat, minlength=self.accepted.size).reshape(
            self.accepted.shape
        )

    @property
    def transactions_accepted(self) -> int:
        """How many transactions of the statistics became final."""
        return int(self.accepted.sum())


def part_of(month: Sequence[Profile], per_million: int) -> tuple[Profile, ...]:
    """Return so many of a million transactions of a month, of each kind, spread as they were.

    Hours of which nothing is left are left out. ProfileError where that is all of them.
    """
    before: Counter[OrderKind] = Counter()
    hours = []
    for profile in month:
        actions = []
        for action in profile.actions:
            after = before[action.kind] + action.count
            count = after * per_million // MILLION - before[action.kind] * per_million // MILLION
            before[action.kind] = after
            if count:
                actions.append(replace(action, count=count))
        if actions:
            hours.append(replace(profile, actions=tuple(actions)))
    if not hours:
        raise ProfileError("so small a part of the month has no transactions")
    return tuple(hours)


class Month:
    """Draws the orders of a nation's month; the same seed and the same calls give the same orders.

    Orders come without sequence and signature.
    """

    def __init__(self, profile: Profile, nation: Nation, tariff: Tariff, seed: int) -> None:
        """`profile` is any hour of the month: how often each acts is the same in all of them."""
        self.nation: Final = nation
        self.tariff: Final = tariff
        self.day = FIRST_DAY
        """The day that orders carry."""
        self._prices = tariff.as_array()
        self._dice = np.random.default_rng([seed, 5])
        customer_kinds = (
            OrderKind.SEND,
            OrderKind.WITHDRAW,
            OrderKind.BUY_GOODS,
            OrderKind.BANK_DEPOSIT,
        )
        people = len(nation.customers)
        self._activity = {
            kind: activity_of(self._dice, profile, kind, people) for kind in customer_kinds
        }
        # An agent that takes much cash in need not hand much out: that is why float runs short.
        self._takes_in, self._hands_out = (
            activity_of(self._dice, profile, OrderKind.DEPOSIT, len(nation.agents))
            for _ in range(2)
        )
        self._agents_ascending = np.argsort(nation.agents)

    # -- before, around and after -----------------------------------------------------------------

    def joins(self) -> Orders:
        """Return the orders by which agents join their head offices."""
        nation = self.nation
        joining = nation.offices_of_agents != 0
        return self.orders(
            OrderKind.JOIN_HEAD_OFFICE, nation.agents[joining], nation.offices_of_agents[joining]
        )

    def salaries(self, people: int) -> Cents:
        """Return what so many people earn in a month, in cents."""
        return self._dice.integers(*SALARY_SHILLINGS, people) * CENTS_PER_SHILLING

    def pay_outs(self, people: npt.NDArray[np.uint32]) -> Orders:
        """Return an order for the salary of each of these, from one employer after the other."""
        employers = self.nation.employers
        amounts = self.salaries(len(people))
        employer = employers[np.arange(len(people)) % len(employers)]
        orders = self.orders(OrderKind.PAY_OUT, employer, people, amounts)
        orders["fee"] = self.charges(FeeTable.PAY_OUT, amounts)
        return orders

    def funding(self, cents: int) -> Orders:
        """Return orders by which each super-agent puts money into its commission accounts."""
        nation = self.nation
        return self.orders(
            OrderKind.TREASURY,
            nation.system(POSITION_FLOAT),
            nation.system(POSITION_COMMISSION),
            cents,
        )

    def float_sales(self, balances_cents: Cents) -> tuple[Orders, Orders]:
        """Return what agents with these balances sell to their super-agent, and what they buy.

        Whole shillings. Balances stand in the order of the nation's agents.
        """
        agents = self.nation.agents
        floats = (agents >> np.uint32(POSITION_BITS) << np.uint32(POSITION_BITS)) + np.uint32(
            POSITION_FLOAT
        )
        wanted = (AGENT_FLOAT_CENTS - balances_cents) // CENTS_PER_SHILLING * CENTS_PER_SHILLING
        low, high = balances_cents < FLOAT_LOW_CENTS, balances_cents > FLOAT_HIGH_CENTS
        return (
            self.orders(OrderKind.FLOAT_SALE, agents[high], floats[high], -wanted[high]),
            self.orders(OrderKind.FLOAT_SALE, floats[low], agents[low], wanted[low]),
        )

    def commissions(self, deposits: Orders, order_prefix: bytes) -> Orders:
        """Return the orders that pay the agents of final deposits, whose ids they name.

        `order_prefix` is what the network's orders are signed with.
        """
        earned = self.charges(FeeTable.DEPOSIT_COMMISSION, deposits["amount"].astype(np.int64))
        deposits, earned = deposits[earned > 0], earned[earned > 0]
        agents = deposits["payer"]
        region = agents >> np.uint32(POSITION_BITS) << np.uint32(POSITION_BITS)
        orders = self.orders(
            OrderKind.DEPOSIT_COMMISSION, region + np.uint32(POSITION_COMMISSION), agents, earned
        )
        if len(orders):
            bodies = deposits.view(np.uint8).reshape(len(deposits), -1)[:, :BODY_BYTES]
            orders["reference"] = digest_many(order_prefix, np.ascontiguousarray(bodies))
        orders["options"] = _head_office_options(self._offices_of(agents))
        return orders

    def _offices_of(self, agents: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        """Return the head office of each of these agents, 0 for none."""
        ascending = self._agents_ascending
        rows = ascending[np.searchsorted(self.nation.agents, agents, sorter=ascending)]
        return self.nation.offices_of_agents[rows]

    def settlement(self, revenue_cents: Cents, excise_cents: Cents) -> Orders:
        """Return the orders that take revenue into floats and remit the excise; none of nothing."""
        nation = self.nation
        to_float = self.orders(
            OrderKind.TREASURY,
            nation.system(POSITION_REVENUE),
            nation.system(POSITION_FLOAT),
            revenue_cents,
        )
        authority = np.full(nation.regions, nation.authority, np.uint32)
        remittances = self.orders(
            OrderKind.EXCISE_REMITTANCE, nation.system(POSITION_EXCISE), authority, excise_cents
        )
        orders = np.concatenate([to_float, remittances])
        return np.asarray(orders[orders["amount"] > 0])

    # -- an hour of the statistics ----------------------------------------------------------------

    def hour(self, profile: Profile) -> tuple[Orders, npt.NDArray[np.int64]]:
        """Return all transactions of an hour, in random order, and the way of each."""
        made = [self._made(action) for action in profile.actions]
        orders = np.concatenate([orders for orders, _ in made])
        ways = np.concatenate([ways for _, ways in made])
        shuffled = self._dice.permutation(len(orders))
        return orders[shuffled], ways[shuffled]

    def _made(self, action: Action) -> tuple[Orders, npt.NDArray[np.int64]]:
        """Return the orders of one action and the way of each."""
        amounts = amounts_of(self._dice, action, action.count, self.tariff)
        count, nation = action.count, self.nation
        if action.kind is OrderKind.DEPOSIT:
            agents = drawn_by(self._dice, self._takes_in, count)
            people = drawn_by(self._dice, self._activity[OrderKind.WITHDRAW], count)
            orders = self.orders(
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
        orders = self.orders(action.kind, nation.customers[payers], payees, amounts)
        if action.kind is OrderKind.SEND:
            orders["fee"] = self.charges(FeeTable.SEND, amounts)
            return orders, np.full(count, WAYS.index("send"))
        return orders, np.full(count, WAYS.index("bank deposit"))

    def _withdrawals(
        self, payers: npt.NDArray[np.int64], amounts: Cents
    ) -> tuple[Orders, npt.NDArray[np.int64]]:
        """Return withdrawals at agents."""
        nation = self.nation
        agents = drawn_by(self._dice, self._hands_out, len(payers))
        orders = self.orders(
            OrderKind.WITHDRAW, nation.customers[payers], nation.agents[agents], amounts
        )
        orders["fee"] = self.charges(FeeTable.WITHDRAW, amounts)
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
        orders = self.orders(
            OrderKind.BUY_GOODS, nation.customers[payers], nation.merchants[merchants], amounts
        )
        bills = modes >= 0
        orders["kind"][bills] = OrderKind.PAY_BILL
        orders["options"][:, 0] = np.maximum(modes, 0)
        orders["reference"][bills, 0] = 1
        charges = self.charges(FeeTable.PAY_BILL, amounts)
        shared = charges * self.tariff.shared_payer_basis_points // 10_000
        orders["fee"] = np.select([modes == 0, modes == 2], [charges, shared], 0)
        return orders, np.where(bills, _BILL + modes, WAYS.index("buy goods"))

    def orders(
        self,
        kind: OrderKind,
        payers: npt.NDArray[Any],
        payees: npt.NDArray[Any],
        amounts: npt.NDArray[Any] | int = 0,
    ) -> Orders:
        """Return orders of a kind, (n,), amounts in cents, fees still to be written."""
        orders = np.zeros(len(payers), ORDER)
        orders["kind"], orders["day"] = kind, self.day
        orders["tariff"] = self.tariff.version
        orders["payer"], orders["payee"], orders["amount"] = payers, payees, amounts
        return orders

    def charges(self, table: FeeTable, amounts: Cents) -> Cents:
        """Return the schedule's charge for each amount; all of them have one."""
        prices = self._prices[table]
        bands = np.searchsorted(prices[UPPER], amounts)
        assert not prices[RATE].any(), "a table of fixed sums"
        charges: Cents = prices[FEE][bands]
        return charges


def _head_office_options(offices: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    """Return the option bytes, (n, 3), that name head offices; zeros for none."""
    places = (offices & np.uint32(REGION_ACCOUNTS - 1)).astype("<u4")
    return places.view(np.uint8).reshape(len(offices), 4)[:, :3]


def figures_of(tally: Tally, expected: dict[str, dict[str, int]]) -> dict[str, Any]:
    """Return what both ways to run a month report; `expected` is `closing_cents` of the tally."""
    refused: Counter[str] = Counter()
    for (_, outcome), count in tally.refused.items():
        refused[Outcome(outcome).name.lower()] += count
    due, paid = expected["due"], expected["paid"]
    return {
        "accepted": tally.transactions_accepted,
        "refused": dict(sorted(refused.items())),
        "agents_without_float": tally.refused[
            int(OrderKind.DEPOSIT), int(Outcome.BALANCE_INSUFFICIENT)
        ],
        "moved_cents": _moved_cents(tally),
        "charged_cents": sum(due.values()),
        "revenue_cents": due["revenue"],
        "excise_cents": due["excise"],
        "agents_commission_cents": due["agents"] + paid["agents"],
        "head_offices_commission_cents": due["head_offices"] + paid["head_offices"],
        "deposit_commissions": tally.commissions,
        "salaries": sum(map(len, tally.salaries)),
    }


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
    held["float"] -= bought + tally.funded_cents
    held["commission"] += tally.funded_cents
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
