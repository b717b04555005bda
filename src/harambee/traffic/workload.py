"""A crowd and the orders that it wants to make, drawn from a profile by a seed.

**The crowd.** Half as many customers as orders (one hour's active people make about two orders
each), a merchant for every forty customers, 1,000 agents for each super-agent, and some bank
accounts. How often each of them acts is skewed as in the profile: its weight is one, because it
is active in this hour, and a seventieth of a monthly count drawn from the profile's table; a
customer has one weight for each kind, an agent one for what it takes in and one for what it hands
out.

**Opening balances.** Two accounts in three of the profile open with less than 100 units, that is
two shillings, and one in seventeen more with less than 9,000, that is KES 180: they are asleep, for
there is little that one could do with so much. People who are active are drawn from the others: a
band by its share, then evenly within it. Agents open with a float of KES 150,000, merchants with
nothing.

**The orders.** As many of each kind as the profile says, in random order. An amount is drawn from
the lognormal distribution that has the row's mean and deviation, becomes Kenyan shillings by
`profile.CENTS_PER_UNIT`, is rounded to whole shillings, as people pay, and held within the limits
of the tariff. Some are more than their payer has: they are to be refused, and `expect` says how
many.

Parties are numbered customers first, then agents, merchants and banks.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.kinds import MOVEMENTS, OrderKind
from harambee.money.tariff import FEE, NO_SERVICE, UPPER, FeeMode, Tariff
from harambee.traffic.profile import CENTS_PER_UNIT, Action, Profile

CENTS_PER_SHILLING: Final = 100
AGENT_FLOAT_CENTS: Final = 150_000 * CENTS_PER_SHILLING
AGENTS_PER_SUPER_AGENT: Final = 1_000
CUSTOMERS_PER_MERCHANT: Final = 40
BANKS: Final = 4
CUSTOMERS_LEAST: Final = 2
BUSY_HOURS: Final = 70
"""The busiest hour has one in seventy of the month's transactions."""
ASLEEP_BELOW_UNITS: Final = 9_000

Cents = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many parties of each sort there are; `starts` gives each sort its first party number."""

    customers: int
    agents: int
    merchants: int
    banks: int

    def __post_init__(self) -> None:
        if self.customers < CUSTOMERS_LEAST or min(self.agents, self.merchants, self.banks) < 0:
            raise ValueError(f"a crowd has at least {CUSTOMERS_LEAST} customers")

    @property
    def parties(self) -> int:
        """All of them together."""
        return self.customers + self.agents + self.merchants + self.banks

    @property
    def first_agent(self) -> int:
        """The party number of the first agent."""
        return self.customers

    @property
    def first_merchant(self) -> int:
        """The party number of the first merchant."""
        return self.customers + self.agents

    @property
    def first_bank(self) -> int:
        """The party number of the first bank account."""
        return self.customers + self.agents + self.merchants


@dataclass(frozen=True, slots=True)
class Workload:
    """The orders of a crowd, one element of each array for an order, in the order of offering."""

    crowd: Crowd
    kinds: npt.NDArray[np.uint8]
    payers: npt.NDArray[np.int64]
    payees: npt.NDArray[np.int64]
    amounts_cents: Cents
    fees_cents: Cents

    def __len__(self) -> int:
        return len(self.kinds)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What becomes of a workload when its orders are made one after the other."""

    affordable: int
    offered: int

    @property
    def share(self) -> float:
        """Affordable orders, of all."""
        return self.affordable / max(1, self.offered)


def crowd_of(orders: int, super_agents: int) -> Crowd:
    """Return a crowd of the size that makes so many orders in an hour."""
    customers = max(2 * CUSTOMERS_PER_MERCHANT, orders // 2)
    agents = AGENTS_PER_SUPER_AGENT * super_agents
    return Crowd(customers, agents, customers // CUSTOMERS_PER_MERCHANT, BANKS)


def opening_balances(profile: Profile, customers: int, seed: int) -> Cents:
    """Return the opening balances of active customers, in cents, shape (customers,)."""
    dice = np.random.default_rng([seed, 1])
    bands = [band for band in profile.balances if band.low >= ASLEEP_BELOW_UNITS and band.share > 0]
    shares = np.array([band.share for band in bands])
    lows = np.array([band.low for band in bands], np.int64)
    highs = np.array([band.high for band in bands], np.int64)
    drawn = dice.choice(len(bands), customers, p=shares / shares.sum())
    units = dice.integers(lows[drawn], highs[drawn], endpoint=True)
    return units * CENTS_PER_UNIT


def make_workload(
    profile: Profile, crowd: Crowd, tariff: Tariff, seed: int, limit: int | None = None
) -> Workload:
    """Return the profile's orders, or `limit` orders in its proportions; same seed, same orders.

    Kinds for which the crowd has nobody on the other side are left out.
    """
    dice = np.random.default_rng([seed, 2])
    actions = [action for action in profile.actions if _has_parties(crowd, action.kind)]
    counts = np.array([action.count for action in actions], np.int64)
    if limit is not None:
        counts = _in_proportion(dice, counts, limit)
    kinds = np.repeat(np.array([action.kind for action in actions], np.uint8), counts)
    amounts = np.concatenate(
        [
            amounts_of(dice, action, int(count), tariff)
            for action, count in zip(actions, counts, strict=True)
        ]
    )
    payers = np.empty(len(kinds), np.int64)
    payees = np.empty(len(kinds), np.int64)
    for action in actions:
        rows = np.flatnonzero(kinds == action.kind)
        payers[rows], payees[rows] = _parties(dice, profile, crowd, action.kind, len(rows))
    shuffled = dice.permutation(len(kinds))
    kinds, amounts = kinds[shuffled], amounts[shuffled]
    return Workload(
        crowd, kinds, payers[shuffled], payees[shuffled], amounts, fees_of(tariff, kinds, amounts)
    )


def fees_of(tariff: Tariff, kinds: npt.NDArray[np.uint8], amounts_cents: Cents) -> Cents:
    """Return the payer's fee of each order, in cents; every amount must have one."""
    prices = tariff.as_array()
    charged = np.zeros(len(kinds), np.int64)
    for kind in np.unique(kinds):
        movement = MOVEMENTS[OrderKind(kind)]
        if movement.fee_mode is FeeMode.PAYEE:
            continue
        assert movement.fee_mode is FeeMode.PAYER, "the order need not say who pays its fee"
        table = movement.fee_table
        rows = kinds == kind
        bands = np.searchsorted(prices[table, UPPER], amounts_cents[rows])
        charged[rows] = prices[table, FEE][bands]
    assert not np.any(charged == NO_SERVICE), "amounts are held within what the tariff offers"
    return charged


def expect(workload: Workload, balances_cents: Cents, tariff: Tariff) -> Expectation:
    """Make the orders one after the other, from all parties' balances, and count those that pass.

    Banks may go below zero. Concurrent orders may fare a little differently: a credit comes
    earlier or later than here.
    """
    crowd = workload.crowd
    balances = balances_cents.tolist()
    spent = [0] * crowd.parties
    limits = tariff.limits
    affordable = 0
    rows = zip(
        workload.payers.tolist(),
        workload.payees.tolist(),
        workload.amounts_cents.tolist(),
        workload.fees_cents.tolist(),
        strict=True,
    )
    for payer, payee, amount, fee in rows:
        if payer < crowd.first_bank and balances[payer] < amount + fee:
            continue
        if payer < crowd.customers and spent[payer] + amount > limits.daily_cents:
            continue
        if payee < crowd.customers and balances[payee] + amount > limits.balance_cents:
            continue
        balances[payer] -= amount + fee
        balances[payee] += amount
        spent[payer] += amount
        affordable += 1
    return Expectation(affordable, len(workload))


def party_balances(
    crowd: Crowd, customers_cents: Cents | int, agents_cents: int = AGENT_FLOAT_CENTS
) -> Cents:
    """Return all parties' opening balances: these of customers, the agents' floats, and zeros."""
    balances = np.zeros(crowd.parties, np.int64)
    balances[: crowd.customers] = customers_cents
    balances[crowd.first_agent : crowd.first_merchant] = agents_cents
    return balances


def amounts_of(dice: np.random.Generator, action: Action, count: int, tariff: Tariff) -> Cents:
    """Draw the amounts of `count` transactions of an action: whole shillings, in cents."""
    # Of a lognormal with mean m and deviation s: sigma^2 = ln(1 + s^2/m^2), mu = ln m - sigma^2 /
    # 2.
    variance = math.log1p((action.deviation / action.mean) ** 2)
    location = math.log(action.mean) - variance / 2
    units = dice.lognormal(location, math.sqrt(variance), count)
    shillings = np.rint(units * CENTS_PER_UNIT / CENTS_PER_SHILLING).astype(np.int64)
    cash = action.kind in {OrderKind.WITHDRAW, OrderKind.DEPOSIT}
    least = tariff.limits.withdraw_minimum_cents if cash else CENTS_PER_SHILLING
    return np.clip(shillings * CENTS_PER_SHILLING, least, tariff.limits.transaction_cents)


def _has_parties(crowd: Crowd, kind: OrderKind) -> bool:
    """Whether the crowd has somebody on the other side of such an order."""
    others = {
        OrderKind.DEPOSIT: crowd.agents,
        OrderKind.WITHDRAW: crowd.agents,
        OrderKind.BUY_GOODS: crowd.merchants,
        OrderKind.BANK_DEPOSIT: crowd.banks,
    }
    return others.get(kind, crowd.customers) > 0


def _in_proportion(
    dice: np.random.Generator, counts: npt.NDArray[np.int64], wanted: int
) -> npt.NDArray[np.int64]:
    """Return `wanted` in proportion to the counts: the hour over and over, then part of one."""
    hours, rest = divmod(wanted, int(counts.sum()))
    return counts * hours + dice.multivariate_hypergeometric(counts, rest)


def _parties(
    dice: np.random.Generator, profile: Profile, crowd: Crowd, kind: OrderKind, count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Draw who pays whom in `count` orders of a kind."""
    if kind is OrderKind.DEPOSIT:
        agents = _skewed(dice, profile, kind, crowd.agents, count)
        return crowd.first_agent + agents, dice.integers(0, crowd.customers, count)
    payers = _skewed(dice, profile, kind, crowd.customers, count)
    if kind is OrderKind.WITHDRAW:
        # Agents that hand out much cash also take much in: the same table says how skewed they are.
        agents = _skewed(dice, profile, OrderKind.DEPOSIT, crowd.agents, count)
        return payers, crowd.first_agent + agents
    if kind is OrderKind.BUY_GOODS:
        return payers, crowd.first_merchant + dice.integers(0, crowd.merchants, count)
    if kind is OrderKind.BANK_DEPOSIT:
        return payers, crowd.first_bank + dice.integers(0, crowd.banks, count)
    assert kind is OrderKind.SEND, "every kind of the statistics has its parties"
    # Anyone but oneself: so many places further round the circle.
    return payers, (payers + dice.integers(1, crowd.customers, count)) % crowd.customers


def _skewed(
    dice: np.random.Generator, profile: Profile, kind: OrderKind, people: int, count: int
) -> npt.NDArray[np.int64]:
    """Draw `count` of the people, each as often as its monthly count in the profile says."""
    bands = [band for band in profile.activity if band.kind is kind and band.share > 0]
    if not bands:
        return dice.integers(0, people, count)
    shares = np.array([band.share for band in bands])
    drawn = dice.choice(len(bands), people, p=shares / shares.sum())
    least = np.array([band.least for band in bands], np.int64)[drawn]
    most = np.array([band.most for band in bands], np.int64)[drawn]
    weights = 1 + dice.integers(least, most, endpoint=True) / BUSY_HOURS
    return dice.choice(people, count, p=weights / weights.sum())
