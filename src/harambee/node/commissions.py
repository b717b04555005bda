"""Deposit commissions: what a super-agent owes its agents for deposits, and the payer that pays it.

A deposit costs the customer nothing, so its commission is an order of its own, by the commission
account of the agent's region, with the deposit's id as reference (docs/movements.md). It is paid as
soon as the deposit is final, once for each deposit, and agents are paid in the order of their
deposits. Nothing is remembered for this on disk. What is owed follows from the ledger alone:

    owed = final deposits of the region's agents - references of final commission orders

and it is paid **at most once**, because an order is signed for slot s only by who has read all that
is final before slot s: had the deposit been paid for, the order that did so would be among that. In
slot s itself at most one order ever becomes final, whatever was signed for it before a crash. It is
paid **at least once**, because what is not among the finals stays owed, over every restart.

`Owed` is the arithmetic and knows no ledger; `CommissionPayer` reads, signs and waits.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harambee.crypto.hashing import TAG_ORDER, signed_prefix
from harambee.crypto.signatures import sign
from harambee.handset.orders import OrderBody, order_id
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import SENTENCES, Outcome
from harambee.ledger.records import (
    KIND_MASK,
    ORDER,
    POSITION_BITS,
    POSITION_COMMISSION,
    REGION_ACCOUNTS,
    STATUS_MASK,
    STATUS_SHIFT,
    AccountKind,
    Status,
    account_number,
)
from harambee.money.amounts import format_cents
from harambee.money.tariff import FeeTable, Tariff
from harambee.node.port import State, UnavailableError

if TYPE_CHECKING:
    from harambee.node.network_folder import NodeFiles
    from harambee.node.service import Service
    from harambee.protocol.replica import Replica

Orders = npt.NDArray[np.void]

SCAN_ENTRIES: Final = 65_536
"""Statement entries that are looked at in one question to the ledger."""
SCAN_ORDERS: Final = 1_024
"""Orders that are read from the journal at once."""
PAID_BETWEEN_SCANS: Final = 16
"""Commissions paid one after the other before the ledger is read again."""
DECIDE_MS: Final = 10_000
AGAIN_S: Final = 0.1
RETRY_S: Final = 1.0
WITHOUT_MONEY_S: Final = 5.0
ASIDE_S: Final = 60.0
"""How long an agent who cannot be paid just now, because he is frozen, is left alone."""

log: Final = logging.getLogger(__name__)


class Due(NamedTuple):
    """One commission to be paid."""

    reference: bytes
    """The deposit's id."""
    agent: int
    cents: int
    tariff: int
    """The version by which the deposit was made; its table says the commission."""


class Owed:
    """What is owed to the agents of one region, oldest deposit first.

    Finals are told in whatever order; a commission may be told of before its deposit.
    """

    def __init__(self, region: int, tariffs: Iterable[Tariff]) -> None:
        """Nothing is owed yet."""
        self.payer = account_number(region, POSITION_COMMISSION)
        self.cents = 0
        """All that is owed, in cents."""
        self._region = region
        self._tariffs: dict[int, Tariff] = {}
        self.know(tariffs)
        self._due: dict[bytes, Due] = {}
        self._early: set[bytes] = set()
        """References of commissions whose deposits have not been told of."""

    def __len__(self) -> int:
        """How many commissions are owed."""
        return len(self._due)

    def __iter__(self) -> Iterator[Due]:
        """Go through what is owed, in the order of the deposits."""
        return iter(self._due.values())

    def know(self, tariffs: Iterable[Tariff]) -> None:
        """These are versions by which deposits are made."""
        self._tariffs |= {tariff.version: tariff for tariff in tariffs}

    def take(self, order: np.void, name: bytes) -> None:
        """Take note of one final order, an ORDER record, and its id."""
        kind, payer = int(order["kind"]), int(order["payer"])
        if kind == OrderKind.DEPOSIT and payer >> POSITION_BITS == self._region:
            self._deposited(order, payer, name)
        elif kind == OrderKind.DEPOSIT_COMMISSION and payer == self.payer:
            self._paid(order["reference"].tobytes())

    def _deposited(self, order: np.void, agent: int, name: bytes) -> None:
        if name in self._early:
            self._early.remove(name)
            return
        tariff = self._tariffs[int(order["tariff"])]
        cents = tariff.commission_cents(FeeTable.DEPOSIT_COMMISSION, int(order["amount"]))
        if cents:
            self._due[name] = Due(name, agent, cents, tariff.version)
            self.cents += cents

    def _paid(self, reference: bytes) -> None:
        due = self._due.pop(reference, None)
        if due is None:
            self._early.add(reference)
        else:
            self.cents -= due.cents


@dataclass
class CommissionFacts:
    """What the status page and metrics say of one region's commissions."""

    owed: int = 0
    owed_cents: int = 0
    paid: int = 0
    """Since this process began to serve."""
    trouble: str | None = None
    """Why nothing is paid now although something is owed; one sentence."""


class _Moment(NamedTuple):
    """The commission account at one instant, when everything final before was read."""

    sequence: int
    free_cents: int
    is_open: bool
    """Whether an order of the account is in flight in that slot."""


@dataclass
class CommissionPayer:
    """Pays what one region owes, one order after the other. Belongs to the event loop's thread."""

    files: "NodeFiles"
    service: "Service"
    region: int
    facts: CommissionFacts = field(default_factory=CommissionFacts)

    def __post_init__(self) -> None:
        """Nothing is read yet."""
        self._owed = Owed(self.region, self.service.genesis.tariffs)
        self._read_up_to = 0
        self._news = asyncio.Event()
        self._aside: dict[int, float] = {}
        """Agents who cannot be paid now, and when, on the loop's clock, to try again."""
        self._prefix = signed_prefix(TAG_ORDER, self.service.genesis.network)

    def note_final(self, orders: Orders) -> None:
        """Orders became final, (n,): wake up if one of them is of this region's business."""
        if self._news.is_set():
            return
        agents = (orders["kind"] == OrderKind.DEPOSIT) & (
            orders["payer"] >> POSITION_BITS == self.region
        )
        payer = self._owed.payer
        if np.any(agents | (orders["payee"] == payer) | (orders["payer"] == payer)):
            self._news.set()

    @property
    def is_awake(self) -> bool:
        """Whether there is news that it has not looked at."""
        return self._news.is_set()

    async def run(self) -> None:
        """Pay whatever is owed, for ever; a failure is logged and what was owed is owed still."""
        while True:
            try:
                rest_s = await self.pay_all()
            except UnavailableError:
                rest_s = RETRY_S  # the super-agent's own status says why
            except Exception:
                # A mistake here must not end the super-agent; nothing is lost, for what is owed
                # is read from the ledger again.
                log.exception("commissions of region %d could not be paid", self.region)
                rest_s = ASIDE_S
            await self._wait(rest_s)

    async def _wait(self, rest_s: float | None) -> None:
        """Wait for news, or as long as `rest_s`, which None leaves open."""
        try:
            async with asyncio.timeout(rest_s):
                await self._news.wait()
        except TimeoutError:
            return

    async def pay_all(self) -> float | None:
        """Pay until nothing is owed or nothing can be paid; returns how long to rest at most."""
        while True:
            self._news.clear()
            moment = await self._read()
            if not len(self._owed):
                self._say(None)
                return None
            if self.service.ready() is not None:
                return RETRY_S
            if moment.is_open:
                # Signed before a restart, or by somebody else who holds the key: its end is awaited
                # before another order is signed. If it has none, a second one leads to recovery.
                slot = await self.service.slot(self._owed.payer, moment.sequence, DECIDE_MS)
                if slot.state in (State.FINAL, State.SKIPPED):
                    continue
            rest_s = await self._pay_some(moment)
            if rest_s is not None:
                return rest_s

    async def _pay_some(self, moment: _Moment) -> float | None:
        """Pay some of what is owed; None when the ledger is to be read again, else how long to rest."""
        sequence, free_cents = moment.sequence, moment.free_cents
        now = asyncio.get_running_loop().time()
        waiting = list(islice(self._payable(now), PAID_BETWEEN_SCANS))
        if not waiting:
            return ASIDE_S
        for due in waiting:
            if free_cents < due.cents:
                self._say(
                    f"The commission account of region {self.region} has"
                    f" {format_cents(free_cents)}, and owes {format_cents(self.facts.owed_cents)} to its"
                    f" agents: pay money into account {self._owed.payer}"
                )
                return WITHOUT_MONEY_S
            outcome = await self._pay(due, sequence)
            if outcome is not Outcome.ACCEPTED:
                return self._refused(due, outcome)
            self._say(None)
            self.facts.paid += 1
            self.facts.owed -= 1
            self.facts.owed_cents -= due.cents
            sequence += 1
            free_cents -= due.cents
        return None

    def _payable(self, now: float) -> Iterator[Due]:
        """What is owed and not set aside, oldest first."""
        return (due for due in self._owed if self._aside.get(due.agent, 0.0) <= now)

    def _refused(self, due: Due, outcome: Outcome | None) -> float | None:
        """Decide how to go on after an order that did not become final; as `_pay_some` returns."""
        match outcome:
            case Outcome.SEQUENCE_STALE | Outcome.HEAD_OFFICE_WRONG | Outcome.SLOT_SKIPPED:
                return AGAIN_S  # the ledger went on meanwhile; what it says now is another order
            case Outcome.PAYEE_NOT_ACTIVE:
                self._aside[due.agent] = asyncio.get_running_loop().time() + ASIDE_S
                log.warning("agent %d is frozen: his commission waits", due.agent)
                return None
            case None:
                self._say("The commission order is sent and not yet final")
                return RETRY_S
            case _:
                self._say(f"The commission order is refused: {SENTENCES[outcome].rstrip('.')}")
                return RETRY_S

    async def _pay(self, due: Due, sequence: int) -> Outcome | None:
        """Sign and offer one order; its Outcome, or None where it is not decided in time.

        The same bytes for the same slot on one day, so that a second offer is the first one again.
        """
        agent = await self.service.account(due.agent)
        assert agent is not None, "who made a deposit has an account"
        if int(agent["flags"][0]) >> STATUS_SHIFT & STATUS_MASK != Status.ACTIVE:
            return Outcome.PAYEE_NOT_ACTIVE
        position = int(agent["head_office"][0]) % REGION_ACCOUNTS
        body = OrderBody(
            payer=self._owed.payer,
            payee=due.agent,
            amount_cents=due.cents,
            fee_cents=0,
            sequence=sequence,
            kind=OrderKind.DEPOSIT_COMMISSION,
            tariff=due.tariff,
            day=self.service.today(),
            options=position.to_bytes(3, "little"),
            reference=due.reference,
        ).to_bytes()
        signed = body + sign(self.files.treasury, self._prefix + body)
        submission = await self.service.submit(np.frombuffer(signed, ORDER), {}, DECIDE_MS)
        return submission.outcome_of(0)

    async def _read(self) -> _Moment:
        """Read all that became final since; returns the account as it was at the end of that."""
        while True:
            tariffs, entries, end, moment = await self.service.ask(self._question)
            self._owed.know(tariffs)
            orders = [
                await self.service.orders_at(entries[start : start + SCAN_ORDERS])
                for start in range(0, len(entries), SCAN_ORDERS)
            ]
            # All of it or nothing: where the journal cannot be read, the same is read again later.
            for part in orders:
                self._take(part)
            self._read_up_to = end
            if moment is not None:
                self.facts.owed, self.facts.owed_cents = len(self._owed), self._owed.cents
                return moment

    def _question(
        self, replica: "Replica"
    ) -> tuple[tuple[Tariff, ...], Orders, int, _Moment | None]:
        """The tariffs, entries not yet read that may matter here, the entry to go on from, and the moment.

        There is no moment while further entries are left.
        """
        ledger, payer = replica.ledger, self._owed.payer
        fresh = ledger.entries[self._read_up_to : self._read_up_to + SCAN_ENTRIES]
        payers = fresh["payer"]
        kinds = ledger.accounts["flags"][payers] & KIND_MASK
        ours = (payers >> POSITION_BITS == self.region) & (kinds == AccountKind.AGENT)
        found = fresh[ours | (payers == payer)]
        end = self._read_up_to + len(fresh)
        if end < ledger.entry_count:
            return ledger.tariffs, found, end, None
        account = ledger.accounts[payer]
        sequence = int(account["next_sequence"])
        free = int(account["balance"]) - int(account["held"]) - int(account["frozen"])
        moment = _Moment(sequence, free, replica.slots.is_open(payer, sequence))
        return ledger.tariffs, found, end, moment

    def _take(self, orders: Orders) -> None:
        network = self.service.genesis.network
        for order in orders:
            self._owed.take(order, order_id(network, order.tobytes()))

    def _say(self, trouble: str | None) -> None:
        """Keep why nothing is paid, and log it when that changes; numbers in it change unsaid."""
        before, self.facts.trouble = self.facts.trouble, trouble
        if trouble is not None and before is None:
            log.warning("%s; they are paid later", trouble)
        elif trouble is None and before is not None:
            log.info("commissions of region %d are paid again", self.region)
