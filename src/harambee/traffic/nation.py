"""A country's accounts for a whole month: people, shops, businesses and the super-agents' own.

Every region has the accounts of its super-agent, some head offices, agents of whom three in four
are under one of them, tills, billers of each agreement on fees, an employer and customers. Two
trust banks owe what all others hold. How often each customer and each agent acts is drawn from the
monthly counts of the profile. Where nothing is signed, the nation opens as it stands here, with
keys of zeros; where a network is made for it, it has the network's account numbers
(`population_of_nation`, `settled_nation`).
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.kinds import OrderKind
from harambee.ledger.ledger import Ledger
from harambee.ledger.records import (
    FEE_MODE_MASK,
    FEE_MODE_SHIFT,
    FIRST_FREE_POSITION,
    KIND_MASK,
    OPENING,
    POSITION_BITS,
    POSITION_COMMISSION,
    POSITION_ENROLMENT,
    POSITION_EXCISE,
    POSITION_FLOAT,
    POSITION_REVENUE,
    REGION_ACCOUNTS,
    AccountKind,
    account_flags,
)
from harambee.money.tariff import FeeMode, Tariff
from harambee.node.development import Population
from harambee.traffic.profile import Profile
from harambee.traffic.workload import (
    AGENT_FLOAT_CENTS,
    CENTS_PER_SHILLING,
    CUSTOMERS_PER_MERCHANT,
    opening_balances,
)

Numbers = npt.NDArray[np.uint32]
Weights = npt.NDArray[np.float64]

CUSTOMERS_PER_AGENT: Final = 33
"""So that a million customers' deposits are as many for each agent as in the profile."""
HEAD_OFFICES_PER_REGION: Final = 5
FLOAT_CENTS: Final = 200_000_000 * CENTS_PER_SHILLING
COMMISSION_CENTS: Final = 10_000_000 * CENTS_PER_SHILLING
EMPLOYER_CENTS_PER_CUSTOMER: Final = 46_000 * CENTS_PER_SHILLING

# Of sixteen merchants twelve are tills, and four are billers: two of them pass the charge on, one
# bears it, one shares it.
BILLER_MODES: Final = (FeeMode.PAYER, FeeMode.PAYER, FeeMode.PAYEE, FeeMode.SHARED)
MERCHANTS_PER_BILLER: Final = 4


@dataclass(frozen=True, slots=True)
class Nation:
    """Account numbers by what they are, and how often they act; each array is of one group."""

    regions: int
    customers: Numbers
    agents: Numbers
    head_offices: Numbers
    merchants: Numbers
    """Tills and billers; a biller every `MERCHANTS_PER_BILLER`."""
    merchant_modes: npt.NDArray[np.int64]
    """Who bears the charge of a bill, FeeMode; -1 for tills."""
    employers: Numbers
    """As many in each region."""
    banks: Numbers
    authority: int
    """The revenue authority, to which excise is remitted."""
    openings: npt.NDArray[np.void]
    offices_of_agents: Numbers
    """The head office of each agent, 0 for none."""

    def system(self, position: int) -> Numbers:
        """Return one account of every super-agent, in the order of regions."""
        regions = np.arange(self.regions, dtype=np.uint32)
        return (regions << np.uint32(POSITION_BITS)) + np.uint32(position)

    def groups(self) -> dict[str, Numbers]:
        """Return every account, by the name of its group."""
        return {
            "customers": self.customers,
            "agents": self.agents,
            "head_offices": self.head_offices,
            "merchants": self.merchants,
            "employers": self.employers,
            "banks": self.banks,
            "authority": np.array([self.authority], np.uint32),
            "revenue": self.system(POSITION_REVENUE),
            "commission": self.system(POSITION_COMMISSION),
            "float": self.system(POSITION_FLOAT),
            "excise": self.system(POSITION_EXCISE),
        }


class _Regions:
    """Hands out positions, region after region, so that each has its share of every group."""

    def __init__(self, regions: int) -> None:
        self._regions = regions
        self._next = FIRST_FREE_POSITION

    def take(self, count: int) -> Numbers:
        """Return so many new account numbers."""
        rank = np.arange(count, dtype=np.int64)
        place = self._next + rank // self._regions
        self._next += -(-count // self._regions)
        if self._next > REGION_ACCOUNTS:
            raise ValueError(f"so many accounts do not fit {self._regions} regions")
        return ((rank % self._regions << POSITION_BITS) + place).astype(np.uint32)


def make_nation(
    profile: Profile,
    customers: int,
    regions: int,
    seed: int,
    *,
    agents: int | None = None,
    employers_each: int = 1,
) -> Nation:
    """Return a country of so many customers; ValueError where the regions have no room for them.

    There are at least as many agents as regions, and by themselves one for every
    `CUSTOMERS_PER_AGENT`; each region has `employers_each` employers.
    """
    places = _Regions(regions)
    banks, authority = places.take(2), int(places.take(1)[0])
    head_offices = places.take(HEAD_OFFICES_PER_REGION * regions)
    employers = places.take(employers_each * regions)
    shops = places.take(
        max(regions, customers // CUSTOMERS_PER_AGENT if agents is None else agents)
    )
    merchants = places.take(max(16, customers // CUSTOMERS_PER_MERCHANT))
    people = places.take(customers)
    modes = np.full(len(merchants), -1, np.int64)
    billers = np.arange(0, len(merchants), MERCHANTS_PER_BILLER)
    modes[billers] = np.resize(BILLER_MODES, len(billers))
    nation = Nation(
        regions,
        people,
        shops,
        head_offices,
        merchants,
        modes,
        employers,
        banks,
        authority,
        np.zeros(0, OPENING),
        _offices_of(shops, regions),
    )
    balances = opening_balances(profile, customers, seed)
    return _opened(nation, balances)


def _offices_of(agents: Numbers, regions: int) -> Numbers:
    """Return the head office of each agent, in its own region; every fourth agent has none."""
    rank = np.arange(len(agents)) // regions
    region = agents >> np.uint32(POSITION_BITS) << np.uint32(POSITION_BITS)
    # Banks and the authority took one place of a region each, and then come the head offices.
    first = FIRST_FREE_POSITION + 2
    office = region + (first + rank % HEAD_OFFICES_PER_REGION).astype(np.uint32)
    return np.where(rank % 4 != 0, office, 0).astype(np.uint32)


def _opened(nation: Nation, balances_cents: npt.NDArray[np.int64]) -> Nation:
    """Return the nation with its opening accounts, which add up to zero."""
    per_employer = -(-len(nation.customers) // len(nation.employers)) * EMPLOYER_CENTS_PER_CUSTOMER
    rows: list[npt.NDArray[np.void]] = []

    def add(numbers: Numbers, kind: AccountKind, cents: object = 0, modes: object = 0) -> None:
        opening = np.zeros(len(numbers), OPENING)
        opening["number"] = numbers
        opening["flags"] = account_flags(kind) | np.asarray(modes) << 16
        opening["balance"] = cents
        rows.append(opening)

    tills = nation.merchant_modes < 0
    add(nation.customers, AccountKind.CUSTOMER, balances_cents)
    add(nation.agents, AccountKind.AGENT, AGENT_FLOAT_CENTS)
    add(nation.head_offices, AccountKind.AGENT)
    add(nation.merchants[tills], AccountKind.MERCHANT)
    add(nation.merchants[~tills], AccountKind.BUSINESS, 0, nation.merchant_modes[~tills])
    add(nation.employers, AccountKind.BUSINESS, per_employer)
    add(np.array([nation.authority], np.uint32), AccountKind.BUSINESS)
    for position, kind, cents in (
        (POSITION_ENROLMENT, AccountKind.ENROLMENT, 0),
        (POSITION_REVENUE, AccountKind.REVENUE, 0),
        (POSITION_COMMISSION, AccountKind.COMMISSION, COMMISSION_CENTS),
        (POSITION_FLOAT, AccountKind.FLOAT, FLOAT_CENTS),
        (POSITION_EXCISE, AccountKind.EXCISE, 0),
    ):
        add(nation.system(position), kind, cents)
    owed = sum(int(opening["balance"].sum()) for opening in rows)
    add(nation.banks, AccountKind.BANK, [-(owed // 2), owed // 2 - owed])
    return replace(nation, openings=np.concatenate(rows))


def open_ledger(nation: Nation, tariff: Tariff) -> Ledger:
    """Return a ledger of the nation; its banks may owe as much again as they do."""
    ledger = Ledger(nation.regions, [tariff])
    banks = nation.openings[np.isin(nation.openings["number"], nation.banks)]
    limits = {int(row["number"]): -2 * int(row["balance"]) for row in banks}
    ledger.open_accounts(nation.openings, limits)
    return ledger


def population_of_nation(nation: Nation, seed: int) -> Population:
    """Return the nation as a network is told to open it: all but the super-agents' own accounts.

    Keys come from the seed: they are for a network that is thrown away. The network gives the
    accounts new numbers, in the same regions and in this order.
    """
    people = _people(nation)
    kinds = (people["flags"] & KIND_MASK).astype(np.uint8)
    seeds = np.random.default_rng([seed, 3]).integers(0, 256, (len(people), 32), dtype=np.uint8)
    return Population(
        kinds,
        np.where(kinds == AccountKind.BANK, 0, people["balance"]),
        (people["number"] >> POSITION_BITS).astype(np.uint16),
        seeds,
        fee_mode=(people["flags"] >> FEE_MODE_SHIFT & FEE_MODE_MASK).astype(np.uint8),
    )


def settled_nation(nation: Nation, numbers: Numbers, openings: npt.NDArray[np.void]) -> Nation:
    """Return the nation under the numbers that a network gave to its population.

    `openings` are the network's, ascending.
    """
    before = _people(nation)["number"]
    ascending = np.argsort(before)

    def renumbered(old: Numbers) -> Numbers:
        found = numbers[ascending[np.searchsorted(before, old, sorter=ascending)]]
        return np.asarray(found, np.uint32)

    offices = nation.offices_of_agents
    has_office = offices != 0
    new_offices = np.zeros(len(offices), np.uint32)
    new_offices[has_office] = renumbered(offices[has_office])
    return replace(
        nation,
        customers=renumbered(nation.customers),
        agents=renumbered(nation.agents),
        head_offices=renumbered(nation.head_offices),
        merchants=renumbered(nation.merchants),
        employers=renumbered(nation.employers),
        banks=renumbered(nation.banks),
        authority=int(renumbered(np.array([nation.authority], np.uint32))[0]),
        openings=openings,
        offices_of_agents=new_offices,
    )


def _people(nation: Nation) -> npt.NDArray[np.void]:
    """Return the openings of all accounts but the super-agents' own."""
    places = nation.openings["number"] & np.uint32(REGION_ACCOUNTS - 1)
    return np.asarray(nation.openings[places >= FIRST_FREE_POSITION])


def activity_of(
    dice: np.random.Generator, profile: Profile, kind: OrderKind, people: int
) -> Weights:
    """Draw for each how often it does a kind in a month; returned added up, for `drawn_by`."""
    bands = [band for band in profile.activity if band.kind is kind and band.share > 0]
    if not bands:
        return np.arange(1, people + 1, dtype=np.float64)
    shares = np.array([band.share for band in bands])
    drawn = dice.choice(len(bands), people, p=shares / shares.sum())
    least = np.array([band.least for band in bands], np.int64)[drawn]
    most = np.array([band.most for band in bands], np.int64)[drawn]
    return np.cumsum(dice.integers(least, most, endpoint=True), dtype=np.float64)


def drawn_by(dice: np.random.Generator, activity: Weights, count: int) -> npt.NDArray[np.int64]:
    """Draw `count` of the people, each as often as its activity says."""
    drawn: npt.NDArray[np.int64] = np.searchsorted(
        activity, dice.random(count) * activity[-1], side="right"
    )
    return drawn
