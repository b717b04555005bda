"""A part of a month of mobile money, signed, sent through a network, and its books closed to the cent.

The orders are those of `month`; here they go through super-agents instead of kernels. A month is
lived through day by day: the agents' floats are evened out, then all transactions of the day are
offered, each payer's one after the other, while the commissions of the day before are paid. What
became final is what the load was told; from that alone the books are closed, and every super-agent
must hold what they say.

**Time is short.** A month goes by in minutes, and all orders carry the date of the day on which
they are sent. So there are as many agents as belong to the part of the month, whose floats live
through it, but half as many customers as transactions, whose limits are those of a day. A
super-agent's own accounts have one order in flight, as any payer has; so that paying 46,000
commissions does not take half an hour, each super-agent has several regions, with accounts of its
own in each. For the same reason there are many employers, and most salaries are in the opening
balances.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

import aiohttp
import numpy as np
import numpy.typing as npt

from harambee.crypto.hashing import TAG_ORDER, signed_prefix
from harambee.crypto.key_places import read_key_pair
from harambee.crypto.signatures import secret_keys_from_seeds
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import (
    POSITION_BITS,
    POSITION_COMMISSION,
    POSITION_EXCISE,
    POSITION_FLOAT,
    POSITION_REVENUE,
)
from harambee.node.development import FLOAT_CENTS
from harambee.node.network_folder import KIND_TREASURY, NetworkFolder
from harambee.traffic.book import Book, Tally, tally_of
from harambee.traffic.generator import Generator, LoadError, Pace, ask_accounts
from harambee.traffic.month import (
    HOURS_PER_DAY,
    SALARY_SHILLINGS,
    Cents,
    Month,
    Orders,
    closing_cents,
    figures_of,
)
from harambee.traffic.month import Tally as MonthTally
from harambee.traffic.nation import Nation, make_nation, settled_nation
from harambee.traffic.profile import Profile
from harambee.traffic.temporary_network import Network
from harambee.traffic.verdict import Verdict, agreed_balances, judge_told
from harambee.traffic.workload import CENTS_PER_SHILLING

TRANSACTIONS_PER_AGENT: Final = 800
"""As in `bench_month`, which has a million customers and 24.6 million transactions."""
AGENTS_EACH_LEAST: Final = 4
"""In a region: of so many, one has no head office."""
TRANSACTIONS_PER_CUSTOMER: Final = 2
CUSTOMERS_LEAST: Final = 100
PAID_ONE_IN: Final = 10
"""One customer in so many is paid her salary by an order."""
PAID_PER_EMPLOYER: Final = 25
TRANSACTIONS_PER_REGION: Final = 1_000
REGIONS_EACH_MAX: Final = 16
"""Of one super-agent."""
FUNDING_CENTS: Final = FLOAT_CENTS // 4
"""What each commission account begins with, out of its super-agent's float."""
PACE: Final = Pace()


def nation_for(month: Sequence[Profile], super_agents: int, seed: int) -> Nation:
    """Return the country that lives through a month or a part of it.

    It has the same number of regions for each super-agent. ValueError where they have no room.
    """
    transactions = sum(profile.transactions for profile in month)
    customers = max(CUSTOMERS_LEAST, transactions // TRANSACTIONS_PER_CUSTOMER)
    regions_each = min(max(1, transactions // TRANSACTIONS_PER_REGION), REGIONS_EACH_MAX)
    regions = regions_each * super_agents
    nation = make_nation(
        month[0],
        customers,
        regions,
        seed,
        agents=max(AGENTS_EACH_LEAST * regions, transactions // TRANSACTIONS_PER_AGENT),
        employers_each=max(1, customers // (PAID_ONE_IN * PAID_PER_EMPLOYER * regions)),
    )
    salaries = np.random.default_rng([seed, 6]).integers(*SALARY_SHILLINGS, customers)
    salaries[::PAID_ONE_IN] = 0
    openings = nation.openings.copy()
    ascending = np.argsort(openings["number"])
    rows = ascending[np.searchsorted(openings["number"], nation.customers, sorter=ascending)]
    openings["balance"][rows] += salaries * CENTS_PER_SHILLING
    # What banks owe for it, the network says that is made for the nation.
    return replace(nation, openings=openings)


@dataclass(frozen=True, slots=True)
class Keys:
    """Who can pay: account numbers, ascending, (n,), and their secret keys, (n, 64)."""

    numbers: npt.NDArray[np.uint32]
    secrets: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, folder: NetworkFolder) -> "Keys":
        """Read the keys of a development network's crowd, and of its super-agents' treasuries."""
        residents = folder.population()
        assert residents is not None, "it was made for a crowd"
        numbers, seeds = [residents.numbers], [residents.seeds]
        for index, member in enumerate(folder.genesis.committee.members):
            treasury = read_key_pair(folder.node(index).treasury_key, KIND_TREASURY)
            own = [
                (region << POSITION_BITS) + position
                for region in member.regions
                for position in (
                    POSITION_REVENUE,
                    POSITION_COMMISSION,
                    POSITION_FLOAT,
                    POSITION_EXCISE,
                )
            ]
            numbers.append(np.array(own, np.uint32))
            seed = np.frombuffer(treasury.seed, np.uint8)
            seeds.append(np.tile(seed, (len(own), 1)))
        everybody = np.concatenate(numbers)
        ascending = np.argsort(everybody)
        secrets = secret_keys_from_seeds(np.concatenate(seeds)[ascending])
        return cls(everybody[ascending], secrets)


class MonthReplay:
    """One month through one network; `run` it once, then `report`."""

    def __init__(
        self,
        month: Sequence[Profile],
        nation: Nation,
        folder: NetworkFolder,
        network: Network,
        seed: int,
    ) -> None:
        """`nation` is the one that the network was made for, under its own numbers."""
        residents = folder.population()
        assert residents is not None, "it was made for a crowd"
        self._profiles = month
        self.nation: Final = settled_nation(nation, residents.numbers, folder.openings)
        self.tally: Final = MonthTally()
        self.closes = False
        """Whether every super-agent holds what the books say, before and after the treasuries."""
        self.remitted_cents = 0
        self._network = network
        self._keys = Keys.of(folder)
        self._sequences = np.zeros(len(self._keys.numbers), np.int64)
        self._month = Month(month[0], self.nation, network.tariff, seed)
        self._order_prefix = signed_prefix(TAG_ORDER, network.network)
        self._books: list[Book] = []
        self._seconds = 0.0
        self._done = 0
        self._today: Generator | None = None
        self._expected: dict[str, dict[str, int]] = {}

    @property
    def transactions(self) -> int:
        """How many there are in this month."""
        return sum(profile.transactions for profile in self._profiles)

    @property
    def decided(self) -> int:
        """How many of them are final or refused by now."""
        return self._done + (0 if self._today is None else self._today.decided)

    async def run(self) -> None:
        """Live through the month; LoadError if orders stay unanswered, VerdictError."""
        began = time.perf_counter()
        await self._begin()
        unpaid: list[Orders] = []
        paying = asyncio.ensure_future(self._pay_commissions(unpaid))
        for day, hours in groupby(self._profiles, lambda profile: profile.hour // HOURS_PER_DAY):
            first = day == self._profiles[0].hour // HOURS_PER_DAY
            unpaid.append(await self._live(list(hours), rebalance=not first))
            if paying.done():
                await paying
                paying = asyncio.ensure_future(self._pay_commissions(unpaid))
                unpaid = []
        await paying
        await self._pay_commissions(unpaid)
        await self._close()
        self._seconds = time.perf_counter() - began

    async def judge(self) -> Verdict:
        """Compare what was told with what every super-agent holds; VerdictError."""
        told = np.concatenate([book.orders[book.told_final] for book in self._books])
        return await judge_told(told, self._network.doors, self._network.openings)

    def load_tally(self) -> Tally:
        """Add up all orders of the load, those around the transactions too."""
        return tally_of(self._books, self._seconds)

    def figures(self) -> dict[str, Any]:
        """Return what was moved, charged and earned, and each kind's orders, for programs."""
        kinds: dict[str, dict[str, int]] = {}
        offered: Counter[int] = Counter()
        final: Counter[int] = Counter()
        for book in self._books:
            offered.update(book.orders["kind"][: book.count].tolist())
            final.update(book.orders["kind"][: book.count][book.is_final].tolist())
        for kind in sorted(offered):
            counts = {"offered": offered[kind], "final": final[kind]}
            kinds[OrderKind(kind).name.lower()] = counts
        return {
            "transactions": self.transactions,
            **figures_of(self.tally, self._expected),
            "remitted_cents": self.remitted_cents,
            "closes": self.closes,
            "kinds": kinds,
            "days": len({profile.hour // HOURS_PER_DAY for profile in self._profiles}),
            "customers": len(self.nation.customers),
            "accounts": len(self.nation.openings),
            "regions": self.nation.regions,
        }

    # -- the month --------------------------------------------------------------------------------

    async def _begin(self) -> None:
        """Let agents join their head offices, pay salaries, and fund the commissions."""
        joins = self._month.joins()
        pay_outs = self._month.pay_outs(self.nation.customers[::PAID_ONE_IN])
        funding = self._month.funding(FUNDING_CENTS)
        book = await self._offer(np.concatenate([joins, funding, pay_outs]))
        final = book.orders[: book.count][book.is_final]
        salaries = final["amount"][final["kind"] == OrderKind.PAY_OUT].astype(np.int64)
        self.tally.salaries += [salaries[row : row + 1] for row in range(len(salaries))]
        self.tally.funded_cents += _cents_of(final, OrderKind.TREASURY)

    async def _live(self, hours: list[Profile], *, rebalance: bool) -> Orders:
        """Live through one day; its final deposits."""
        if rebalance:
            await self._rebalance()
        made = [self._month.hour(profile) for profile in hours]
        ways = np.concatenate([ways for _, ways in made])
        book = await self._offer(np.concatenate([orders for orders, _ in made]), are_counted=True)
        orders = book.orders[: book.count]
        codes = np.where(book.is_final, Outcome.ACCEPTED, book.reasons)
        self.tally.note(ways, orders, codes)
        return np.asarray(orders[book.is_final & (orders["kind"] == OrderKind.DEPOSIT)])

    async def _rebalance(self) -> None:
        """Let agents buy float of their super-agent, or sell it."""
        sales, bought = self._month.float_sales(await self._balances(self.nation.agents))
        book = await self._offer(np.concatenate([sales, bought]))
        final = book.is_final
        self.tally.float_sold_cents += int(sales["amount"][final[: len(sales)]].sum())
        self.tally.float_bought_cents += int(bought["amount"][final[len(sales) :]].sum())

    async def _pay_commissions(self, deposits: list[Orders]) -> None:
        """Pay the agents of these final deposits."""
        if not deposits:
            return
        orders = self._month.commissions(np.concatenate(deposits), self._order_prefix)
        book = await self._offer(orders)
        self.tally.commissions += int(np.count_nonzero(book.is_final))

    async def _close(self) -> None:
        """Close the books, and again when the treasuries have taken and remitted what is theirs."""
        self._expected = closing_cents(self.tally, self.nation, self._network.tariff)
        balances = dict(self._expected["balances"])
        before = await self._all_hold(balances)
        revenue = await self._balances(self.nation.system(POSITION_REVENUE))
        excise = await self._balances(self.nation.system(POSITION_EXCISE))
        book = await self._offer(self._month.settlement(revenue, excise))
        self.remitted_cents = _cents_of(
            book.orders[: book.count][book.is_final], OrderKind.EXCISE_REMITTANCE
        )
        for source, target in (("revenue", "float"), ("excise", "authority")):
            balances[target] += balances[source]
            balances[source] = 0
        self.closes = before and await self._all_hold(balances)

    async def _all_hold(self, balances_cents: dict[str, int]) -> bool:
        """Whether each super-agent's groups of accounts hold exactly this."""
        groups = self.nation.groups()
        numbers = np.concatenate(list(groups.values()))
        ends = np.cumsum([len(group) for group in groups.values()])[:-1]
        wanted = [balances_cents[name] for name in groups]
        return all(
            [sum(part.tolist()) for part in np.split(found, ends)] == wanted
            for found in await agreed_balances(self._network.doors, numbers)
        )

    async def _balances(self, numbers: npt.NDArray[np.uint32]) -> Cents:
        """Return what accounts hold by the first super-agent that answers; it may lag a little."""
        async with aiohttp.ClientSession() as session:
            pieces = [
                (await ask_accounts(session, self._network.doors, numbers[start : start + 8_192]))
                for start in range(0, len(numbers), 8_192)
            ]
        return np.concatenate(pieces)["balance"].astype(np.int64)

    # -- orders through the network ---------------------------------------------------------------

    async def _offer(self, orders: Orders, *, are_counted: bool = False) -> Book:
        """Offer orders and follow them to their end; LoadError if one stays unanswered."""
        book = Book(orders)
        if not len(orders):
            return book
        payers = np.unique(orders["payer"])
        rows = np.searchsorted(self._keys.numbers, payers)
        load = Generator(
            book,
            self._network.doors,
            self._network.network,
            (payers, self._keys.secrets[rows]),
            self._network.quorum,
            PACE,
        )
        load.begin_at(self._sequences[rows])
        if are_counted:
            self._today = load
        await load.run()
        if load.decided < book.count:
            # Its slot is still open, and a second order must never be signed for it.
            raise LoadError(f"{book.count - load.decided:,} orders were never answered")
        self._sequences[rows] = load.next_sequences
        self._books.append(book)
        if are_counted:
            self._done, self._today = self._done + load.decided, None
        return book


def _cents_of(orders: Orders, kind: OrderKind) -> int:
    return int(orders["amount"][orders["kind"] == kind].sum())
