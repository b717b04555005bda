"""What only a development network has: people with printed keys, banks without money, swift crowds.

A real network's opening accounts come from real agreements. A network on one machine has to
invent them: banks whose negative balances stand for the trust, customers and agents whose keys lie
in files that say what they are for, and, for load, whole populations as arrays.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import cos, sin, sqrt
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harambee.crypto.keys import OwnerKey
from harambee.crypto.signatures import PUBLIC_BYTES, SEED_BYTES, KeyPair, secret_keys_from_seeds
from harambee.handset.places import Place
from harambee.ledger.records import (
    FEE_MODE_SHIFT,
    FIRST_FREE_POSITION,
    OPENING,
    POSITION_BITS,
    REGION_ACCOUNTS,
    SUPPLY_CENTS_MAX,
    TIER_MASK,
    TIER_SHIFT,
    AccountKind,
    account_flags,
    account_number,
    region_of,
)
from harambee.money.amounts import format_cents
from harambee.money.tariff import FeeMode

REMARK: Final = "FOR DEVELOPMENT ONLY: whoever reads this file can spend from this account"

CUSTOMER_CENTS: Final = 5_000_00
AGENT_CENTS: Final = 200_000_00
FLOAT_CENTS: Final = 10_000_000_00
COMMISSION_CENTS: Final = 1_000_000_00
BUSINESS_CENTS: Final = 1_000_000_00
POCHI_CENTS: Final = 1_000_00
DORMANT_CENTS: Final = 1_000_00
BANK_ROOM_CENTS: Final = 1_000_000_000_00
"""How much more e-money each trust bank may issue than the openings need."""

# Demo numbers lie in blocks that no operator has given out; the last digits count from 1.
CUSTOMER_TELEPHONES: Final = 254_700_000_000
AGENT_TELEPHONES: Final = 254_701_000_000
AGENT_CODES: Final = 10_000
HEAD_OFFICE_CODES: Final = 2_000_000
TILL_CODES: Final = 100_000
PAYBILL_CODES: Final = 200_000
AIRTIME_CODE: Final = f"paybill:{PAYBILL_CODES + len(FeeMode) + 1}"
DEMO_ACCOUNTS_MAX: Final = 999_999

POPULATION: Final = np.dtype([("number", "<u4"), ("kind", "u1"), ("balance", "<i8")])
"""One row of a network's population file: a crowd's account as it opened, balance in cents."""
POPULATION_BYTES: Final = 13
assert POPULATION.itemsize == POPULATION_BYTES

CROWD_KINDS: Final = frozenset(
    {
        AccountKind.CUSTOMER,
        AccountKind.AGENT,
        AccountKind.MERCHANT,
        AccountKind.BUSINESS,
        AccountKind.BANK,
        AccountKind.POCHI,
    }
)

# Swahili words; peace, blessing, brand, always, knowledge, pride, ...
NAMES: Final = tuple(
    """
    amani baraka chapa daima elimu fahari gurudumu haki imani jamii kazi lulu maji nuru okoa
    pamoja rafiki salama tumaini umoja vuna wema yakini zawadi asali bahari chui dhahabu embe
    faida goma hekima ishara jua kilimo lengo mwezi nyota ongoza pwani rehema simba tembo ukweli
    vito wimbo yai ziwa anga bidii chanzo dira enzi fanaka ghala hodari inuka jasiri karama likizo
    mlima ndoto ongezeko pomboo rahisi safari taji utu vitendo wingu yungi zamani alfajiri bustani
    chai duma eneo furaha gari hazina ikweta jioni kahawa leo msitu njiwa orodha pilipili ratiba
    soko twiga upepo vazi wakati yote zuri asubuhi bonde chemchemi dunia
    """.split()  # noqa: SIM905 - a hundred words are read best as text
)
assert len(NAMES) >= 100
assert len(set(NAMES)) == len(NAMES)


class DemoAccount(NamedTuple):
    """A person of the demonstration: the key is in the network's folder, for anyone to use."""

    name: str
    account: int
    msisdn: str
    kind: AccountKind
    keypair: OwnerKey
    short_code: str = ""
    """As the directory hashes it, "till:100001"; a telephone may stand beside it."""
    head_office: int = 0
    """The account that this shop joins when the network first starts; 0 for none."""


class Issuer(NamedTuple):
    """A trust bank's account and how far it may go below zero, in cents."""

    name: str
    account: int
    limit_cents: int


class Residents(NamedTuple):
    """A crowd's accounts as they opened; rows of the four arrays belong together."""

    numbers: npt.NDArray[np.uint32]
    kinds: npt.NDArray[np.uint8]
    seeds: npt.NDArray[np.uint8]
    """(n, 32); the signing keys come from these (`crypto.signatures.secret_keys_from_seeds`)."""
    balances: npt.NDArray[np.int64]
    """Cents."""


@dataclass(frozen=True, eq=False)
class Population:
    """Further accounts for load: kind, opening balance in cents, and region of each; shape (n,).

    Keys come from `seeds` (n, 32), drawn from the operating system where none are given. A bank of
    the crowd opens with its share of the trust instead of a balance, so its balance here must be 0.
    `tier` and `fee_mode`, the latter of businesses, are zeros where none are given. ValueError, in
    one sentence, for anything that no account can be.
    """

    kind: npt.NDArray[np.uint8]
    balance_cents: npt.NDArray[np.int64]
    region: npt.NDArray[np.uint16]
    seeds: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, SEED_BYTES), "u1"))
    tier: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    fee_mode: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))

    def __post_init__(self) -> None:
        n = len(self.kind)
        if not len(self.balance_cents) == len(self.region) == n:
            raise ValueError("a population's kind, balance and region have the same length")
        if n and not len(self.seeds):
            drawn = np.frombuffer(os.urandom(n * SEED_BYTES), np.uint8).reshape(n, SEED_BYTES)
            object.__setattr__(self, "seeds", drawn)
        if self.seeds.shape != (n, SEED_BYTES):
            raise ValueError(f"a population of {n} has as many seeds of {SEED_BYTES} bytes")
        if unknown := set(np.unique(self.kind).tolist()) - CROWD_KINDS:
            raise ValueError(f"a population cannot have accounts of kind {min(unknown)}")
        if n and int(self.balance_cents.min()) < 0:
            raise ValueError("a population's opening balances are not negative")
        if np.any(self.balance_cents[self.kind == AccountKind.BANK]):
            raise ValueError("a bank opens with its share of the trust; its balance here must be 0")
        self._check_flags(n)

    def _check_flags(self, n: int) -> None:
        for name in ("tier", "fee_mode"):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.zeros(n, np.uint8))
        if not len(self.tier) == len(self.fee_mode) == n:
            raise ValueError("a population's tiers and fee modes have the length of its kinds")
        if n and int(self.tier.max()) > TIER_MASK:
            raise ValueError(f"a population's tiers are 0 to {TIER_MASK}")
        modes = self.fee_mode[self.kind == AccountKind.BUSINESS]
        if np.any(self.fee_mode[self.kind != AccountKind.BUSINESS]):
            raise ValueError("only businesses have an agreement on who pays a bill's fee")
        if unknown := set(np.unique(modes).tolist()) - set(FeeMode):
            raise ValueError(f"a population cannot have a fee mode {min(unknown)}")

    @property
    def flags(self) -> npt.NDArray[np.uint32]:
        """The flags of the accounts: kind, tier and fee mode."""
        flags = _flags_of(self.kind) | self.tier.astype(np.uint32) << np.uint32(TIER_SHIFT)
        return np.asarray(flags | self.fee_mode.astype(np.uint32) << np.uint32(FEE_MODE_SHIFT))


def _flags_of(kinds: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """Return the flags of active accounts of these kinds, with nothing else in them."""
    flags = np.zeros(16, np.uint32)
    for kind in AccountKind:
        flags[kind] = account_flags(kind)
    return flags[kinds]


def name_of(index: int) -> str:
    """Return the name of the index-th demo super-agent: a Swahili word, then name-NN."""
    if index < len(NAMES):
        return NAMES[index]
    return f"name-{index:02d}"


class Openings:
    """The opening accounts of a network, gathered in any order; `by_region` ends it."""

    def __init__(self, regions: int, dormant_each: int = 0) -> None:
        """Start with no accounts; each region's positions are given out from its first free one.

        Besides, each region has so many dormant accounts: customers whose keys nobody has, each with
        DORMANT_CENTS. ValueError if that is more than a region has room for.
        """
        if not 0 <= dormant_each <= REGION_ACCOUNTS - FIRST_FREE_POSITION:
            raise ValueError(f"a region has room for {REGION_ACCOUNTS:,} accounts, not for more")
        self._dormant_each = dormant_each
        self._parts: list[npt.NDArray[np.void]] = []
        self._next = np.full(regions, FIRST_FREE_POSITION, np.int64)

    def place(self, regions: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint32]:
        """Return new account numbers, one in each of the regions; ValueError if one is full."""
        if len(regions) and int(regions.max()) >= len(self._next):
            raise ValueError(f"region {regions.max()} is not one of this network's")
        counts = np.bincount(regions, minlength=len(self._next))
        if np.any(self._next + counts + self._dormant_each > REGION_ACCOUNTS):
            raise ValueError(f"a region has room for {REGION_ACCOUNTS:,} accounts, not for more")
        order = np.argsort(regions, kind="stable")
        starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
        sorted_regions = regions[order]
        rank = np.arange(len(regions)) - starts[sorted_regions]
        positions = np.empty(len(regions), np.int64)
        positions[order] = self._next[sorted_regions] + rank
        self._next += counts
        return (regions.astype(np.int64) << POSITION_BITS | positions).astype(np.uint32)

    def next_position(self, region: int) -> int:
        """Return the first position of the region that is still free."""
        return int(self._next[region]) + self._dormant_each

    def add(
        self,
        numbers: npt.NDArray[np.uint32],
        publics: npt.NDArray[np.uint8],
        balances_cents: npt.NDArray[np.int64],
        flags: npt.NDArray[np.uint32],
    ) -> None:
        """Open accounts: numbers (n,), public keys (n, 32), balances and flags (n,)."""
        part = np.zeros(len(numbers), OPENING)
        part["number"] = numbers
        part["key"] = publics
        part["balance"] = balances_cents
        part["flags"] = flags
        self._parts.append(part)

    def add_one(
        self,
        number: int,
        public: bytes,
        balance_cents: int,
        kind: AccountKind,
        sequence: int = 0,
        fee_mode: FeeMode = FeeMode.PAYER,
    ) -> None:
        """Open one account, whose next sequence is `sequence`; the mode is a biller's."""
        part = np.zeros(1, OPENING)
        part["number"] = number
        part["key"] = np.frombuffer(public, np.uint8)
        part["balance"] = balance_cents
        part["flags"] = account_flags(kind, fee_mode=fee_mode)
        part["next_sequence"] = sequence
        self._parts.append(part)

    def supply_cents(self) -> int:
        """Return the sum of all balances so far: what trust banks must stand for."""
        dormant = len(self._next) * self._dormant_each * DORMANT_CENTS
        return dormant + sum(int(part["balance"].sum()) for part in self._parts)

    def by_region(self) -> Iterator[npt.NDArray[np.void]]:
        """Yield an OPENING array for each region, ascending by account number.

        All balances together add up to zero. There may be too many accounts to hold them all at once.
        """
        assert self.supply_cents() == 0, "e-money in circulation equals money in trust"
        merged = np.concatenate(self._parts)
        self._parts.clear()
        order = np.argsort(merged["number"], kind="stable")
        starts = np.arange(len(self._next) + 1, dtype=np.int64) << POSITION_BITS
        rows = np.searchsorted(merged["number"], starts, sorter=order).tolist()
        for region in range(len(self._next)):
            own = order[rows[region] : rows[region + 1]]
            yield np.concatenate((merged[own], self._dormant(region)))

    def _dormant(self, region: int) -> npt.NDArray[np.void]:
        """The dormant accounts of a region, behind all others: nobody knows the seeds of their keys."""
        asleep = np.zeros(self._dormant_each, OPENING)
        first = account_number(region, int(self._next[region]))
        asleep["number"] = np.arange(first, first + len(asleep), dtype=np.int64)
        keys = np.frombuffer(os.urandom(32 * len(asleep)), np.uint8)
        asleep["key"] = keys.reshape(len(asleep), 32)
        asleep["balance"] = DORMANT_CENTS
        asleep["flags"] = account_flags(AccountKind.CUSTOMER)
        return asleep


def publics_of(seeds: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the (n, 32) public keys of (n, 32) seeds, computed on all cores."""
    secret_keys = secret_keys_from_seeds(seeds, threads=os.cpu_count() or 1)
    return secret_keys[:, -PUBLIC_BYTES:]


def demo_accounts(
    openings: Openings, regions: int, customers: int, agents_per_region: int
) -> list[DemoAccount]:
    """Open the demo customers, spread over the regions, and each region's agents.

    ValueError if there are more than the block of demo telephone numbers has.
    """
    if not 0 <= max(customers, agents_per_region * regions) <= DEMO_ACCOUNTS_MAX:
        raise ValueError(f"a demo has at most {DEMO_ACCOUNTS_MAX:,} customers and as many agents")
    people = []
    for i in range(agents_per_region * regions):
        name, msisdn = f"agent-{i + 1}", f"+{AGENT_TELEPHONES + i + 1}"
        agent = open_demo_account(
            openings, i % regions, name, msisdn, AccountKind.AGENT, AGENT_CENTS
        )
        people.append(agent._replace(short_code=f"agent:{AGENT_CODES + i + 1}"))
    for i in range(customers):
        name, msisdn = f"customer-{i + 1}", f"+{CUSTOMER_TELEPHONES + i + 1}"
        people.append(
            open_demo_account(
                openings, i % regions, name, msisdn, AccountKind.CUSTOMER, CUSTOMER_CENTS
            )
        )
    return people


def demo_businesses(
    openings: Openings, shop: DemoAccount, trader: DemoAccount
) -> list[DemoAccount]:
    """Open whom a demonstration needs beside customers and agents; returns them.

    That is a till, three paybills, one for each way to bear the fee, a seller of airtime, `trader`'s
    pochi, and for the agent `shop` a head office and an operator: both shop and operator are to join
    the head office when the network first starts. All are in the region of the shop.
    """
    region = region_of(shop.account)
    business, agent = AccountKind.BUSINESS, AccountKind.AGENT
    bills = [
        open_demo_account(
            openings, region, f"paybill-{i + 1}", "", business, BUSINESS_CENTS, mode
        )._replace(short_code=f"paybill:{PAYBILL_CODES + i + 1}")
        for i, mode in enumerate(FeeMode)
    ]
    till = open_demo_account(openings, region, "till-1", "", AccountKind.MERCHANT, BUSINESS_CENTS)
    airtime = open_demo_account(openings, region, "airtime-1", "", business, 0)
    pochi = open_demo_account(openings, region, "pochi-1", "", AccountKind.POCHI, POCHI_CENTS)
    office = open_demo_account(openings, region, "head-office-1", "", agent, AGENT_CENTS)
    operator = open_demo_account(openings, region, "operator-1", "", agent, AGENT_CENTS)
    return [
        till._replace(short_code=f"till:{TILL_CODES + 1}"),
        *bills,
        airtime._replace(short_code=AIRTIME_CODE),
        pochi._replace(short_code=f"pochi:{trader.msisdn}"),
        office._replace(short_code=f"agent:{HEAD_OFFICE_CODES + 1}"),
        operator._replace(short_code=f"agent:{HEAD_OFFICE_CODES + 2}", head_office=office.account),
    ]


def demo_places(count: int) -> list[Place]:
    """Return invented places for so many shops: a spiral, some hundred metres apart, over Nairobi."""
    centre, turn, step = Place(-1.2864, 36.8172), 2.4, 0.004
    return [
        Place(
            centre.latitude + step * sqrt(i) * sin(turn * i),
            centre.longitude + step * sqrt(i) * cos(turn * i),
        )
        for i in range(count)
    ]


def open_demo_account(
    openings: Openings,
    region: int,
    name: str,
    msisdn: str,
    kind: AccountKind,
    balance_cents: int,
    fee_mode: FeeMode = FeeMode.PAYER,
) -> DemoAccount:
    """Open one demo account in the region, with a new key."""
    keypair = KeyPair(os.urandom(SEED_BYTES))
    (number,) = openings.place(np.array([region], np.uint16)).tolist()
    openings.add_one(number, keypair.public, balance_cents, kind, fee_mode=fee_mode)
    return DemoAccount(name, number, msisdn, kind, keypair)


class Bank(NamedTuple):
    """A trust bank that is to be opened: its name, and how much it may owe, in cents."""

    name: str
    limit_cents: int


def issue(
    openings: Openings, numbers: npt.NDArray[np.uint32], banks: Sequence[Bank]
) -> tuple[list[Issuer], list[DemoAccount]]:
    """Open trust banks that owe exactly what is open so far, each in proportion to its limit.

    Each bank has one of the numbers, and a key of its own. Returns the issuers, ascending by account, and
    the banks with their keys. ValueError if that is more than the banks may owe.
    """
    supply, limits = openings.supply_cents(), sum(bank.limit_cents for bank in banks)
    if limits > SUPPLY_CENTS_MAX:
        raise ValueError("the banks' limits are more money than a ledger can hold")
    if supply > limits:
        raise ValueError(
            f"the accounts hold {format_cents(supply)}, and the trust banks may owe "
            f"{format_cents(limits)}: raise their limits"
        )
    shares = [supply * bank.limit_cents // limits if limits else 0 for bank in banks]
    issuers: list[Issuer] = []
    people: list[DemoAccount] = []
    for bank, share, number in zip(banks, shares, numbers.tolist(), strict=True):
        # What rounding left over, less than a cent a bank, goes to the first that have room for it.
        owed = share + min(supply - sum(shares), bank.limit_cents - share)
        shares[len(issuers)] = owed
        keypair = KeyPair(os.urandom(SEED_BYTES))
        openings.add_one(number, keypair.public, -owed, AccountKind.BANK)
        issuers.append(Issuer(bank.name, number, bank.limit_cents))
        people.append(DemoAccount(bank.name, number, "", AccountKind.BANK, keypair))
    return sorted(issuers, key=lambda issuer: issuer.account), people


def banks_for(supply_cents: int) -> tuple[Bank, ...]:
    """Return two banks that may owe so much together, and have as much room as a demo's beside it."""
    limit = -(-supply_cents // 2) + BANK_ROOM_CENTS
    return tuple(Bank(f"bank-{i + 1}", limit) for i in range(2))


def settle(population: Population, openings: Openings) -> Residents:
    """Give a population its account numbers; its accounts are opened by `trust`, banks included."""
    numbers = openings.place(population.region)
    return Residents(
        numbers, population.kind, population.seeds, population.balance_cents.astype(np.int64)
    )


def trust(
    openings: Openings,
    residents: Residents,
    flags: npt.NDArray[np.uint32],
    banks: int,
    regions: int,
) -> tuple[Residents, list[Issuer], list[DemoAccount]]:
    """Open the crowd and the trust banks, so that all balances add up to exactly zero.

    `flags` are the crowd's, (n,). `banks` banks have keys of their own; the crowd's banks share the
    trust with them evenly. Returns the crowd with its banks' balances, the issuers ascending by
    account, and the banks with keys. ValueError if that is more money than a ledger can hold.
    """
    own = [
        (f"bank-{i + 1}", number, KeyPair(os.urandom(SEED_BYTES)))
        for i, number in enumerate(
            openings.place(np.arange(banks, dtype=np.uint16) % np.uint16(regions)).tolist()
        )
    ]
    crowd = np.flatnonzero(residents.kinds == AccountKind.BANK)
    supply = openings.supply_cents() + sum(residents.balances.tolist())  # exact, however large
    if supply + (len(own) + len(crowd)) * BANK_ROOM_CENTS > SUPPLY_CENTS_MAX:
        raise ValueError("the opening balances are more money than a ledger can hold")
    share, rest = divmod(supply, len(own) + len(crowd))
    balances = residents.balances.copy()
    balances[crowd] = -share
    openings.add(residents.numbers, publics_of(residents.seeds), balances, flags)
    issuers, people = [], []
    for i, (name, number, keypair) in enumerate(own):
        owed = share + (rest if i == 0 else 0)
        openings.add_one(number, keypair.public, -owed, AccountKind.BANK)
        issuers.append(Issuer(name, number, owed + BANK_ROOM_CENTS))
        people.append(DemoAccount(name, number, "", AccountKind.BANK, keypair))
    for i, number in enumerate(residents.numbers[crowd].tolist()):
        issuers.append(Issuer(f"crowd-bank-{i + 1}", number, share + BANK_ROOM_CENTS))
    issuers.sort(key=lambda issuer: issuer.account)
    return residents._replace(balances=balances), issuers, people
