"""What one super-agent offers to its gateways: the port, over its engine, journal and links."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from harambee.crypto.hashing import TAG_ORDER, TAG_RECEIPT, TAG_REFUSAL, signed_prefix
from harambee.crypto.signatures import sign
from harambee.feature_phones.desk import PhonesDesk
from harambee.feature_phones.port import UssdSettings
from harambee.handset.network_file import DoorAddress
from harambee.ledger.kinds import ENDINGS, HOUSE, MOVEMENTS, OrderKind
from harambee.ledger.outcomes import SENTENCES, Outcome
from harambee.ledger.payees import PayeeTable
from harambee.ledger.records import (
    BODY_BYTES,
    ENTRY,
    KIND_MASK,
    NO_ACCOUNT_SLOT,
    NOBODY,
    ORDER,
    POSITION_BITS,
    POSITION_ENROLMENT,
    ROW_OF_TABLE,
    account_number,
    region_of,
)
from harambee.ledger.rules import Order, Payment, credits_of, named_slot, sides_of
from harambee.ledger.shares import other_side, shares_of
from harambee.ledger.side_tables import TARIFF_SUBJECT, SlotKey
from harambee.merchants.desk import MerchantsDesk
from harambee.money.tariff import Tariff
from harambee.node import hold_facts
from harambee.node.agent_places import AgentPlace, AgentPlaces
from harambee.node.checkpoints import CheckpointDesk
from harambee.node.commissions import CommissionFacts
from harambee.node.directory import alias_of
from harambee.node.engine import Engine
from harambee.node.float_watch import FloatFacts
from harambee.node.forgotten import refuse_forgotten
from harambee.node.governance import GovernanceDesk
from harambee.node.history_desk import HistoryDesk
from harambee.node.journal import Journal, JournalLacks
from harambee.node.links import Links
from harambee.node.machine import free_bytes, resident_bytes
from harambee.node.names import NameDesk
from harambee.node.network_folder import NodeFiles
from harambee.node.order_path import OrderPaths
from harambee.node.oversight_desk import OversightDesk
from harambee.node.port import (
    NO_TABLES,
    SKIPPED_KIND,
    EnrolmentError,
    Governed,
    HoldFacts,
    NameAnswer,
    NewFinal,
    OpenHold,
    OrderPath,
    ProfileStatus,
    ProposalView,
    ReversalFacts,
    Slot,
    State,
    StatementLine,
    Submission,
    UnavailableError,
)
from harambee.node.profile_store import ProfileStoreError
from harambee.node.proposals import ProposalStoreError
from harambee.node.remembered_blocks import RememberedBlocks
from harambee.node.tariff_shelf import TariffShelf
from harambee.node.tickets import Tickets, account_key
from harambee.protocol.checking import Checking
from harambee.protocol.genesis import Genesis
from harambee.protocol.malformed import Malformed
from harambee.protocol.messages import OrdersOffered
from harambee.protocol.replica import Replica, day_of
from harambee.protocol.wire import Block

T = TypeVar("T")
Orders = npt.NDArray[np.void]

INBOX_ORDERS_MAX: Final = 1 << 16
"""Room of orders, tables included, that wait to be looked at; beyond it BROKER_BUSY refuses new ones."""
GIVE_WAY: Final = 9
LOOK_S: Final = 0.25
"""Whoever rests while this super-agent reads up, looks so often whether it still does."""
READ_TOGETHER: Final = 32
"""Blocks that are read in one turn of another thread; each may be some megabytes."""
BLOCKS_REMEMBERED: Final = 256
RATE_WINDOW_S: Final = 5.0
STATEMENT_WALK_MAX: Final = 100_000
"""How many newer lines are read to know the running balance at the start of a page."""
CLAIM_WALK_MAX: Final = 1_000
CLAIMS_RECOGNISED_MAX: Final = 16
"""How many claims of one submission may be recognised, and among how many of an account's."""
ENDINGS_RECOGNISED_MAX: Final = 64
"""How many releases and voids of one submission may be recognised."""
PAGES_REMEMBERED: Final = 4_096
"""Ends of pages, so that whoever reads on from there costs one page and not all newer ones."""
PAID_WALK_MAX: Final = 4_096
"""How many of an account's newest entries are read to see whom it paid."""
_SHOP: Final = np.dtype([("head_office", "<u4"), ("shop", "<u4")])
PAID_READ_MAX: Final = 512
_UNPAID: Final = HOUSE - {OrderKind.RELEASE, OrderKind.REFUND}
_ENDED: Final = (Outcome.HOLD_UNKNOWN, Outcome.SUBJECT_SEQUENCE_WRONG)
"""What a release or a void is refused with once the hold has ended, perhaps by that very order."""
_PAST: Final = (Outcome.SEQUENCE_STALE, Outcome.SIGNATURE_INVALID)
"""The second of an order whose payer has another key by now, perhaps by that very order."""
_PAYMENTS: Final = frozenset(int(kind) for kind, row in MOVEMENTS.items() if row.moves_money)


class Service:
    """Implements `harambee.node.port.Port`. Belongs to the event loop's thread."""

    names: NameDesk
    governance: GovernanceDesk
    oversight: OversightDesk
    history: HistoryDesk
    checkpoints: CheckpointDesk
    merchants: MerchantsDesk
    phones: PhonesDesk
    """Whoever makes the service gives it its desks."""

    def __init__(
        self, files: NodeFiles, engine: Engine, journal: Journal, links: Links, tickets: Tickets
    ) -> None:
        self.is_leaving = False
        """Whether it is about to end: whoever listens to it is let go."""
        self.inbox_orders = 0
        """Room of orders on their way to the replica; the runner takes off what has arrived."""
        self.text_facts: Callable[[], dict[str, int]] = dict
        """What the status shows of the texts; nothing where none are sent."""
        self._files = files
        self._engine = engine
        self._journal = journal
        self._links = links
        self._tickets = tickets
        self._archive = _Archive(journal, files.genesis, engine.checking)
        self._read_through = _Archive(journal, files.genesis, engine.checking)
        """For whoever reads through everything: it does not drive out what customers look at."""
        self._how_to_ask = hold_facts.Ask(self.ask, self.orders_at)
        self._paths = OrderPaths(self.ask, journal, self._read_through.blocks)
        self._began = time.monotonic()
        self._refused = 0
        self._places = AgentPlaces(files.config.agent_places)
        self._shelf = TariffShelf(files.genesis.tariffs, self.ask)
        self._joined = 0
        """How often agents were seen to join a head office."""
        self._shops: dict[int, tuple[int, npt.NDArray[np.void]]] = {}
        """Every agent with a head office, by region, as it was when so many had joined."""
        self._rates: deque[tuple[float, int]] = deque()
        self._enrolling = asyncio.Lock()
        self._page_ends: OrderedDict[tuple[int, int], int] = OrderedDict()
        """(account, entry) -> its balance before that entry, in cents."""
        self.commissions: list[CommissionFacts] = []
        """What is owed to agents for deposits: one for each region of this super-agent's."""
        self.floats: list[FloatFacts] = []
        """How long its own floats last: one for each region."""
        network = files.genesis.network
        epoch = files.genesis.committee.epoch.to_bytes(4, "little")
        self._receipt_prefix = signed_prefix(TAG_RECEIPT, network) + epoch
        self._refusal_prefix = signed_prefix(TAG_REFUSAL, network) + epoch
        self._order_prefix = signed_prefix(TAG_ORDER, network)

    # -- who this is ------------------------------------------------------------------------------

    @property
    def genesis(self) -> Genesis:
        """The network's genesis."""
        return self._files.genesis

    @property
    def index(self) -> int:
        """This super-agent's index in the committee."""
        return self._files.index

    @property
    def doors(self) -> tuple[DoorAddress, ...]:
        """Where each super-agent serves handsets, in the committee's order."""
        return tuple(DoorAddress(at.name, at.http) for at in self._files.addresses)

    @property
    def ussd(self) -> UssdSettings:
        """What its configuration says of USSD."""
        config = self._files.config
        return UssdSettings(
            config.texts_brand, config.texts_language, config.ussd_sources, config.ussd_airtime
        )

    @property
    def operators(self) -> Mapping[str, bytes]:
        """The Ed25519 public keys of its own operators, by name."""
        return self._files.config.operators

    def today(self) -> int:
        """Return the day number that this super-agent would put into an order now."""
        return day_of(time.time_ns())

    def ready(self) -> str | None:
        """Return None when this super-agent serves; otherwise a sentence that says why not yet."""
        engine = self._engine
        if engine.trouble is not None:
            return engine.trouble
        if engine.halted is not None:
            return f"This super-agent does not speak: {engine.halted}."
        if not engine.snapshot.speaking:
            heard = sum(row.connected for row in self._links.stats())
            needed = self.genesis.committee.q - 1
            return (
                f"This super-agent waits for the others: it hears {heard} and needs {needed}, "
                f"and is {engine.snapshot.behind} blocks behind."
            )
        if engine.snapshot.reading_up:
            return f"This super-agent reads what it missed: {engine.snapshot.behind} blocks to go."
        if not engine.snapshot.takes_part:
            needed = self.genesis.committee.q
            return (
                f"This super-agent comes back under a new incarnation: it waits until {needed} others "
                f"have recorded that."
            )
        return None

    # -- orders -----------------------------------------------------------------------------------

    async def submit(
        self,
        orders: Orders,
        possessions: dict[int, bytes],
        wait_ms: int,
        tables: Mapping[int, bytes] = NO_TABLES,
    ) -> Submission:
        """Offer orders (ORDER array (n,)); wait at most `wait_ms` for them all to be decided."""
        reason = self.ready()
        if reason is not None:
            # The next door takes the order at once; here it would wait for this super-agent's return.
            raise UnavailableError(reason)
        count = len(orders)
        offer = OrdersOffered(0, orders, possessions, dict(tables))
        if self.inbox_orders + offer.room > INBOX_ORDERS_MAX:
            busy = np.full(count, Outcome.BROKER_BUSY, np.uint8)
            return Submission(np.full(count, State.REFUSED, np.uint8), busy)
        ticket = self._tickets.open(orders)
        self.inbox_orders += offer.room
        self._engine.tell(replace(offer, ticket=ticket.number))
        try:
            async with asyncio.timeout(wait_ms / 1_000):
                await ticket.decided
        except TimeoutError:
            pass  # what is not decided yet stays PENDING in the answer
        finally:
            self._tickets.close(ticket)
        submission = Submission(ticket.states, ticket.outcomes)
        await self._recognise(orders, submission)
        self._refused += int(np.count_nonzero(submission.states == State.REFUSED))
        return submission

    async def _recognise(self, orders: Orders, submission: Submission) -> None:
        """An order refused because its slot is past may be the very one that is final there."""
        moved = np.flatnonzero(submission.outcomes == Outcome.ALIAS_SEQUENCE_WRONG)
        for row in moved[:CLAIMS_RECOGNISED_MAX].tolist():
            if await self._is_final_claim(orders[row : row + 1]):
                submission.states[row], submission.outcomes[row] = State.FINAL, Outcome.ACCEPTED
        ended = np.isin(submission.outcomes, _ENDED) & np.isin(orders["kind"], list(ENDINGS))
        for row in np.flatnonzero(ended)[:ENDINGS_RECOGNISED_MAX].tolist():
            if await hold_facts.is_final_ending(self._how_to_ask, orders[row]):
                submission.states[row], submission.outcomes[row] = State.FINAL, Outcome.ACCEPTED
        past = np.flatnonzero(np.isin(submission.outcomes, _PAST))
        if not len(past):
            return
        found = await self.slots(orders[past])
        same = (_bodies(found) == _bodies(orders[past])).all(axis=1)
        # Where the signature does not hold, it was another key's that signed these very bytes.
        forged = submission.outcomes[past] == Outcome.SIGNATURE_INVALID
        same &= ~forged | (found["signature"] == orders[past]["signature"]).all(axis=1)
        submission.states[past[same]] = State.FINAL
        submission.outcomes[past[same]] = Outcome.ACCEPTED

    async def _is_final_claim(self, claim: Orders) -> bool:
        """Whether this very claim is final; its slot is its alias's, so its payee is asked.

        Only the payee's newest claims are looked through: whoever retries does so soon.
        """
        payee = int(claim["payee"][0])

        def question(replica: Replica) -> npt.NDArray[np.void]:
            ledger = replica.ledger
            if ledger.account(payee) is None:
                return np.zeros(0, ENTRY)
            entries = ledger.entries[ledger.entries_of(payee, CLAIM_WALK_MAX)]
            claims = entries[entries["revenue_previous"] == NO_ACCOUNT_SLOT]
            return np.asarray(claims[:CLAIMS_RECOGNISED_MAX].copy())

        found = await self._archive.orders(await self.ask(question))
        return bool((_bodies(found) == _bodies(claim)).all(axis=1).any())

    async def slot(self, payer: int, sequence: int, wait_ms: int) -> Slot:
        """Say what is final in a slot; wait for it at most `wait_ms`."""
        place, state = await self.ask(_slot_question(payer, sequence))
        if state in (State.PENDING, State.UNKNOWN) and wait_ms:
            await self._tickets.watch(account_key(payer, sequence), wait_ms / 1_000)
            place, state = await self.ask(_slot_question(payer, sequence))
        if place is None:
            return Slot(state, None)
        return Slot(State.FINAL, (await self._archive.orders(place)).tobytes())

    async def slots(self, keys: npt.NDArray[np.void]) -> Orders:
        """Return the ORDER that is final in each (payer, sequence) slot; zero rows where none is.

        A slot that was closed without an order has its payer and sequence, and kind SKIPPED_KIND.
        """
        wanted = list(zip(keys["payer"].tolist(), keys["sequence"].tolist(), strict=True))

        def question(replica: Replica) -> tuple[list[int], npt.NDArray[np.void], list[int]]:
            ledger = replica.ledger
            for key in wanted:
                refuse_forgotten(ledger, *key)
            entries = [ledger.entry_of_slot(*key) for key in wanted]
            rows = [row for row, entry in enumerate(entries) if entry is not None]
            skipped = [
                row
                for row, (payer, sequence) in enumerate(wanted)
                if entries[row] is None and sequence < ledger.next_sequence(payer)
            ]
            found = ledger.entries[[entry for entry in entries if entry is not None]]
            return rows, found, skipped

        rows, entries, skipped = await self.ask(question)
        found = np.zeros(len(keys), ORDER)
        found[rows] = await self._archive.orders(entries)
        found["kind"][skipped] = SKIPPED_KIND
        for name in ("payer", "sequence"):
            found[name][skipped] = keys[name][skipped]
        return found

    async def finals(self, after: int, limit: int) -> tuple[Orders, int]:
        """Return final orders in the order of applying, from entry `after` on, and what follows.

        None are returned only where there are none left.
        """
        assert limit > 0, "a page of none never ends"

        def question(replica: Replica) -> tuple[npt.NDArray[np.void], int]:
            entries = replica.ledger.entries
            at, found = after, entries[:0]
            while at < len(entries) and not len(found):
                part = entries[at : at + limit]
                at += len(part)
                # An order is told once, however many payees have an entry of it.
                found = part[part["revenue_previous"] != ROW_OF_TABLE]
            return found.copy(), at

        entries, following = await self.ask(question)
        return await self._archive.orders(entries), following

    async def path(self, payer: int, sequence: int) -> OrderPath:
        """Return how the order in a slot became final, or how far it is."""
        return await self._paths.of(payer, sequence)

    async def newest(self, limit: int) -> list[NewFinal]:
        """Return the newest final orders, the newest first; `limit` entries at most are looked at."""

        def question(replica: Replica) -> npt.NDArray[np.void]:
            part = replica.ledger.entries[-limit:][::-1]
            return np.asarray(part[part["revenue_previous"] != ROW_OF_TABLE])

        entries = await self.ask(question)
        orders = await self._archive.orders(entries)
        told = [await self._archive.told_by(position) for position in entries["position"].tolist()]
        return [
            NewFinal(order.tobytes(), author, time_ms)
            for order, (author, time_ms) in zip(orders, told, strict=True)
        ]

    async def payees(self, payer: int, sequence: int) -> PayeeTable | None:
        """Return the PAYEE table of the bulk pay-out that is final in a slot; None where none is."""
        place, _ = await self.ask(_slot_question(payer, sequence))
        if place is None:
            return None
        tables = await self._archive.tables(await self._archive.orders(place), place)
        return tables.get(0)

    # -- holds and reversals ----------------------------------------------------------------------

    async def hold(self, payer: int, sequence: int, wait_ms: int) -> HoldFacts | None:
        """Return the hold that is final in a slot, and how it ended; None where none is."""
        if wait_ms:
            await self.slot(payer, sequence, wait_ms)
        return await hold_facts.hold_of(self._how_to_ask, (payer, sequence))

    async def ending(self, key: SlotKey, number: int, wait_ms: int) -> Slot:
        """Say what has ended the hold of a slot; wait for it at most `wait_ms`."""
        return await hold_facts.ending(self._how_to_ask, self._tickets, key, number, wait_ms)

    async def holds(self, account: int, limit: int, after: SlotKey | None) -> list[OpenHold]:
        """Return the first open holds of an account, on either side, behind one; ascending by slot."""
        return await hold_facts.open_holds(self._how_to_ask, account, limit, after)

    async def reversal(self, payer: int, sequence: int) -> ReversalFacts | None:
        """Return what became of the wish to have a payment back; None where none is final there."""
        return await hold_facts.reversal_of(self._how_to_ask, (payer, sequence))

    # -- accounts ---------------------------------------------------------------------------------

    async def account(self, number: int) -> npt.NDArray[np.void] | None:
        """Return the ACCOUNT record, shape (1,), or None where there is no such account."""
        found = await self.accounts(np.array([number], np.uint32))
        return found if int(found["flags"][0]) & KIND_MASK else None

    async def accounts(self, numbers: npt.NDArray[np.uint32]) -> npt.NDArray[np.void]:
        """Return ACCOUNT records of many numbers; zero rows where there is none."""
        return await self.ask(lambda replica: replica.ledger.records(numbers))

    async def statement(self, number: int, limit: int, before: int | None) -> list[StatementLine]:
        """Return the newest `limit` entries of an account, older than entry `before` if given."""
        begun = None if before is None else self._page_ends.get((number, before))

        def question(replica: Replica) -> tuple[int, npt.NDArray[np.int64], npt.NDArray[np.void]]:
            ledger = replica.ledger
            account = ledger.account(number)
            if account is None:
                return 0, np.zeros(0, np.int64), np.zeros(0, ENTRY)
            if begun is not None:
                found = ledger.entries_of(number, limit, before)
                return begun, found, ledger.entries[found]
            walked = limit if before is None else STATEMENT_WALK_MAX + limit
            found = ledger.entries_of(number, walked)
            if before is not None:
                newer = int((found >= before).sum())
                if newer > STATEMENT_WALK_MAX:
                    raise UnavailableError(
                        "This page is too far back to begin with; read from the newest."
                    )
                found = found[: newer + limit]
            return int(account["balance"]), found, ledger.entries[found]

        balance, numbers, entries = await self.ask(question)
        lines: list[StatementLine] = []
        told = await self.lines_at(np.full(len(entries), number, np.uint32), numbers, entries)
        for line in told:
            if before is None or line.entry < before:
                lines.append(replace(line, balance_cents=balance))
            balance -= line.change_cents
        if lines:
            self._remember_page(number, lines[-1].entry, balance)
        return lines

    async def lines_at(
        self,
        numbers: npt.NDArray[np.uint32],
        indices: npt.NDArray[np.int64],
        entries: npt.NDArray[np.void],
    ) -> list[StatementLine]:
        """Return what (n,) entries are on the statements of (n,) accounts, without asking the replica.

        But for the balances, which are all 0. `entries` are the ENTRY records of what `indices` names.
        """
        orders = await self._archive.orders(entries)
        tables = await self._archive.tables(orders, entries)
        tariffs = await self._shelf.known()
        lines: list[StatementLine] = []
        for row, (number, entry, position) in enumerate(
            zip(numbers.tolist(), indices.tolist(), entries["position"].tolist(), strict=True)
        ):
            order = orders[row]
            author, time_ms = await self._archive.told_by(position)
            change = change_cents(number, order, tariffs, tables.get(row))
            seen = _seen_by(number, order, tariffs)
            lines.append(StatementLine(entry, order.tobytes(), author, time_ms, change, 0, *seen))
        return lines

    async def changes_at(self, number: int, entries: npt.NDArray[np.void]) -> list[int]:
        """Return by how many cents ENTRY (n,), which touched an account, changed its balance."""
        orders = await self.orders_at(entries)
        tables = await self.tables_at(orders, entries)
        tariffs = await self._shelf.known()
        return [
            change_cents(number, order, tariffs, tables.get(row))
            for row, order in enumerate(orders)
        ]

    def _remember_page(self, number: int, entry: int, balance_cents: int) -> None:
        self._page_ends[number, entry] = balance_cents
        self._page_ends.move_to_end((number, entry))
        while len(self._page_ends) > PAGES_REMEMBERED:
            self._page_ends.popitem(last=False)

    async def shops(self, head_office: int) -> npt.NDArray[np.uint32]:
        """Return the accounts whose head office is this one, ascending."""
        region = region_of(head_office)

        def question(replica: Replica) -> npt.NDArray[np.void]:
            ledger = replica.ledger
            first = region << POSITION_BITS
            enrolment = account_number(region, POSITION_ENROLMENT)
            offices = ledger.identities["head_office"][
                first : first + ledger.next_sequence(enrolment)
            ]
            rows = np.flatnonzero(offices)
            pairs = np.empty(len(rows), _SHOP)
            pairs["head_office"], pairs["shop"] = offices[rows], rows + first
            return pairs

        if region >= self.genesis.regions:
            return np.empty(0, np.uint32)
        joined, pairs = self._shops.get(region, (-1, np.empty(0, _SHOP)))
        if joined != self._joined:
            # Counted before the question is asked: who joins meanwhile makes the answer old.
            joined = self._joined
            pairs = await self.ask(question)
            self._shops[region] = joined, pairs
        return np.ascontiguousarray(pairs["shop"][pairs["head_office"] == head_office])

    def note_final(self, orders: Orders) -> None:
        """Orders became final here, (n,): agents may have joined a head office, a tariff have come."""
        if np.any(orders["kind"] == OrderKind.JOIN_HEAD_OFFICE):
            self._joined += 1
        self._shelf.note_final(orders)

    def agent_places(self) -> Mapping[int, AgentPlace]:
        """Return where this super-agent's agents are, by account."""
        return self._places.rows()

    async def alias(self, alias: bytes) -> int | None:
        """Return the account that a keyed hash names."""
        found = await self.ask(lambda replica: replica.ledger.alias(alias))
        return None if found is None else found[0]

    def alias_of(self, msisdn: str) -> bytes:
        """Return the keyed hash of a telephone number."""
        return alias_of(self._files.directory_key, msisdn)

    # -- enrolment --------------------------------------------------------------------------------

    async def next_enrolment(self) -> tuple[int, int]:
        """Return (enrolment account, next sequence) of this super-agent's first region."""
        regions = self.genesis.committee.members[self.index].regions
        if not regions:
            raise EnrolmentError("This super-agent has no region in which to open accounts.")
        payer = account_number(regions[0], POSITION_ENROLMENT)
        return payer, await self.ask(lambda replica: replica.ledger.next_sequence(payer))

    async def enrol(
        self, order_body: bytes, possession: bytes, msisdn: str | None, wait_ms: int
    ) -> int:
        """Sign and submit an enrolment that the new key has signed, then claim its number."""
        async with self._enrolling:
            enrolment_account, sequence = await self.next_enrolment()
            order = self._signed(order_body)
            if (
                int(order["kind"][0]) != OrderKind.ENROL
                or int(order["payer"][0]) != enrolment_account
                or int(order["sequence"][0]) != sequence
            ):
                raise EnrolmentError(
                    "This is not the enrolment that comes next here; ask for it again and sign it."
                )
            claim: bytes | None = None
            number = int(order["payee"][0])
            if msisdn is not None:
                claim = await self._claim_of(self.alias_of(msisdn), enrolment_account, number)
            await self._carry_out(order, {0: possession}, wait_ms)
        if claim is not None:
            await self._carry_out(self._signed(claim), {}, wait_ms)
        return number

    async def _claim_of(self, alias: bytes, payer: int, number: int) -> bytes:
        """Return the body of the claim that gives a free alias to a new account."""
        if await self.alias(alias) is not None:
            raise EnrolmentError("This telephone number is registered already.")
        claim = np.zeros(1, ORDER)
        claim["payer"], claim["payee"] = payer, number
        claim["kind"] = OrderKind.CLAIM
        claim["day"] = self.today()
        claim["reference"] = np.frombuffer(alias, np.uint8)
        return claim.tobytes()[:BODY_BYTES]

    def _signed(self, body: bytes) -> Orders:
        signature = sign(self._files.enrolment, self._order_prefix + body)
        return np.frombuffer(body + signature, ORDER)

    async def _carry_out(self, order: Orders, possessions: dict[int, bytes], wait_ms: int) -> None:
        submission = await self.submit(order, possessions, wait_ms)
        state = State(submission.states[0])
        if state is State.REFUSED:
            raise EnrolmentError(SENTENCES[Outcome(submission.outcomes[0])])
        if state is not State.FINAL:
            raise EnrolmentError("The network did not confirm it in time; ask again.")

    # -- names ------------------------------------------------------------------------------------

    async def keep_profile(self, signed: bytes) -> ProfileStatus:
        """Keep a signed profile at the super-agents that hold it."""
        try:
            return await self.names.keep_profile(signed)
        except ProfileStoreError as error:
            raise UnavailableError(f"This super-agent cannot keep profiles: {error}.") from error

    async def check_name(self, question: bytes) -> NameAnswer:
        """Answer a signed question for a payee's name."""
        try:
            return await self.names.check_name(question)
        except ProfileStoreError as error:
            raise UnavailableError(f"This super-agent cannot look names up: {error}.") from error

    async def paid_since(self, payer: int, sequence: int) -> tuple[int, dict[int, int]]:
        """Return the payer's next sequence, and the highest one in which it paid each payee.

        Only of its newest PAID_WALK_MAX entries, and of sequences from `sequence` on.
        """

        def question(replica: Replica) -> tuple[int, npt.NDArray[np.void]]:
            ledger = replica.ledger
            entries = ledger.entries[ledger.entries_of(payer, PAID_WALK_MAX)]
            own = entries[(entries["payer"] == payer) & (entries["sequence"] >= sequence)]
            return ledger.next_sequence(payer), own[:PAID_READ_MAX]

        following, own = await self.ask(question)
        paid: dict[int, int] = {}
        for order in map(Order.of, await self._archive.orders(own)):
            # A hold that is voided again has cost nothing: it has paid once it is released.
            at = order.sequence
            if order.kind == OrderKind.RELEASE:
                _, at = named_slot(order)
            if order.kind not in _UNPAID and at >= sequence:
                paid[order.payee] = max(at, paid.get(order.payee, -1))
        return following, paid

    # -- governance -------------------------------------------------------------------------------

    async def proposals(self) -> list[ProposalView]:
        """Return what is proposed, and was lately: the newest first."""
        return await self.governance.proposals()

    async def proposal(self, name: bytes) -> ProposalView:
        """Return one proposal by its order's id."""
        return await self.governance.proposal(name)

    async def propose(
        self,
        order: bytes,
        possession: bytes | None,
        content: bytes | None,
        operator: str | None,
        approval: bytes | None,
    ) -> ProposalView:
        """Keep a proposal."""
        try:
            return await self.governance.propose(order, possession, content, operator, approval)
        except ProposalStoreError as error:
            raise UnavailableError(f"This super-agent cannot keep proposals: {error}.") from error

    async def approve(self, name: bytes, operator: str, approval: bytes) -> ProposalView:
        """Count an operator's approval."""
        try:
            return await self.governance.approve(name, operator, approval)
        except ProposalStoreError as error:
            raise UnavailableError(f"This super-agent cannot keep approvals: {error}.") from error

    async def governed(self, account: int) -> Governed | None:
        """Return what of an account is governed."""
        return await self.governance.governed(account)

    async def tariff_slot(self) -> int:
        """Return the next governance slot of the tariff."""
        return await self.ask(lambda replica: replica.ledger.side.governed.get(TARIFF_SUBJECT, 0))

    async def tariffs(self) -> list[tuple[int, Tariff]]:
        """Return every version of the tariff with its first day, ascending by version."""
        return await self._shelf.rows()

    async def tariff_today(self) -> Tariff:
        """Return the tariff that orders of today pay by."""
        return await self._shelf.of_day(self.today())

    # -- the whole --------------------------------------------------------------------------------

    async def digest(self) -> dict[str, Any]:
        """Return the digest of the state, the sum of all balances, and where in time it was taken."""

        def question(replica: Replica) -> dict[str, Any]:
            ledger = replica.ledger
            return {
                "digest": ledger.digest().hex(),
                "total_cents": ledger.total_cents(),
                "entries": ledger.entry_count,
                "heads": replica.chains.heads[replica.chains.current].tolist(),
                "accounts": ledger.account_count,
            }

        return await self.ask(question)

    async def evidence(self) -> dict[int, bytes]:
        """Return the evidence that this super-agent keeps, by culprit."""
        return await asyncio.to_thread(self._journal.evidence)

    def receipt(self, order_id: bytes) -> bytes:
        """Return this super-agent's 64-byte signature that the order is final."""
        said = order_id + bytes([Outcome.ACCEPTED])
        return sign(self._files.signing, self._receipt_prefix + said)

    def refusal(self, order_id: bytes, outcome: int, day: int) -> bytes:
        """Return this super-agent's 64-byte signature that it refused the order on that day."""
        said = order_id + bytes([outcome]) + day.to_bytes(2, "little")
        return sign(self._files.signing, self._refusal_prefix + said)

    def status(self) -> dict[str, Any]:
        """Return live facts for the status page and metrics; docs/operating.md explains each."""
        facts = self._engine.snapshot
        p50, p99 = _percentiles(self._tickets.latencies_ms)
        return {
            "name": self.genesis.committee.members[self.index].name,
            "index": self.index,
            "network": self.genesis.network.hex(),
            "ready": self.ready(),
            "time_s": round(time.time(), 3),
            "uptime_s": round(time.monotonic() - self._began, 1),
            "final_total": facts.applied,
            "refused_total": self._refused,
            "finals_per_second": self._finals_per_second(facts.applied),
            "latency_ms_p50": p50,
            "latency_ms_p99": p99,
            "latency": self._tickets.latencies.facts(),
            "height": facts.height,
            "queued": facts.queued + self.inbox_orders,
            "open_slots": facts.open_slots,
            "blocks_held": facts.open_blocks,
            "journal_blocks": facts.journal_blocks,
            "total_cents": facts.total_cents,
            "signatures_checked": facts.signatures,
            "fsync_ms_p50": round(facts.fsync_ms_p50, 2),
            "commits": facts.commits,
            "rss_bytes": resident_bytes(),
            "disk_free_bytes": free_bytes(self._files.config.journal),
            **self.text_facts(),
            **self.names.facts(),
            **self.governance.facts(),
            **self._own_money(),
            **self.oversight.facts(),
            **self.checkpoints.facts(),
            **self.merchants.facts(),
            "catching_up": self._engine.catching_up,
            "peers": self._peers(),
        }

    def _own_money(self) -> dict[str, Any]:
        """Return how it stands with what this super-agent owes its agents, and sells them."""
        troubles = [facts.trouble for facts in self.commissions if facts.trouble]
        floats = [f.balance_cents for f in self.floats if f.balance_cents is not None]
        lasting = [facts.lasts_s for facts in self.floats if facts.lasts_s is not None]
        return {
            "commissions_owed": sum(facts.owed for facts in self.commissions),
            "commissions_owed_cents": sum(facts.owed_cents for facts in self.commissions),
            "commissions_paid_total": sum(facts.paid for facts in self.commissions),
            "commissions_trouble": troubles[0] if troubles else None,
            "float_cents": sum(floats) if floats else None,
            "float_low": any(facts.is_low for facts in self.floats),
            "float_lasts_s": min(lasting) if lasting else None,
        }

    def _peers(self) -> list[dict[str, Any]]:
        """Return how it stands with each super-agent, in the committee's order."""
        facts, members = self._engine.snapshot, self.genesis.committee.n
        nothing = np.zeros(members, np.int64)
        heads, final = (facts.heads, facts.final) if len(facts.heads) else (nothing, nothing)
        behind = nothing
        if len(facts.heads):
            behind = np.maximum(facts.heads - facts.held_by, 0).sum(axis=1)
            behind[self.index] = 0
        return [
            {
                "name": link.name,
                "index": peer,
                "connected": peer == self.index or link.connected,
                "height": height,
                "height_final": height_final,
                "behind": missing,
                "convicted": peer in facts.convicted,
                "bytes_in": link.bytes_in,
                "bytes_out": link.bytes_out,
            }
            for peer, (link, height, height_final, missing) in enumerate(
                zip(
                    self._links.stats(),
                    heads.tolist(),
                    final.tolist(),
                    behind.tolist(),
                    strict=True,
                )
            )
        ]

    def _finals_per_second(self, total: int) -> float:
        now = time.monotonic()
        self._rates.append((now, total))
        while len(self._rates) > 1 and now - self._rates[0][0] > RATE_WINDOW_S:
            self._rates.popleft()
        began, before = self._rates[0]
        return round((total - before) / (now - began), 1) if now - began > 0.2 else 0.0

    def _demand_service(self) -> None:
        if self._engine.trouble is not None:
            raise UnavailableError(self._engine.trouble)

    async def ask(self, question: Callable[[Replica], T]) -> T:
        """Ask the replica something; what else runs beside this service in one process may ask too.

        The answer is of one consistent state, all of it durable; UnavailableError while there is none.
        """
        self._demand_service()
        return await asyncio.wrap_future(self._engine.ask(question))

    async def give_way(self, took_s: float) -> None:
        """Rest after a piece of work that took so long, and that no payment waits for.

        As long as this super-agent reads what it has missed, whoever works so has a tenth of the time: what
        the ledger is read for is late already, and shares one interpreter with the engine (decision 74).
        """
        end = time.monotonic() + GIVE_WAY * took_s
        await asyncio.sleep(0)
        while self._engine.snapshot.reading_up and (rest_s := end - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(rest_s, LOOK_S))

    async def orders_at(self, entries: npt.NDArray[np.void]) -> Orders:
        """Return the ORDER (n,) that each ENTRY (n,) stands for, read from the journal."""
        return await self._read_through.orders(entries)

    async def tables_at(
        self, orders: Orders, entries: npt.NDArray[np.void]
    ) -> dict[int, PayeeTable]:
        """Return the PAYEE tables of the bulk pay-outs among ORDER (n,), by row; ENTRY (n,) are theirs."""
        return await self._read_through.tables(orders, entries)

    async def told_by(
        self, entries: npt.NDArray[np.void]
    ) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint64]]:
        """Return the author, (n,), and his clock in milliseconds since 1970, (n,), of ENTRY (n,)."""
        positions, rows = np.unique(entries["position"], return_inverse=True)
        told = [await self._read_through.told_by(position) for position in positions.tolist()]
        authors = np.array([author for author, _ in told], np.uint16)
        times = np.array([time_ms for _, time_ms in told], np.uint64)
        return authors[rows], times[rows]


class _Archive:
    """Orders as they lie in the journal's blocks; read in other threads, the newest kept."""

    def __init__(self, journal: Journal, genesis: Genesis, checking: Checking | None) -> None:
        self._blocks = RememberedBlocks(journal, genesis, BLOCKS_REMEMBERED, checking)

    async def orders(self, entries: npt.NDArray[np.void]) -> Orders:
        """Return the ORDER (n,) that each ENTRY (n,) stands for."""
        found = np.zeros(len(entries), ORDER)
        positions, which = np.unique(entries["position"], return_inverse=True)
        ends = np.cumsum(np.bincount(which, minlength=len(positions)))
        rows_of = np.split(np.argsort(which, kind="stable"), ends[:-1])
        for start in range(0, len(positions), READ_TOGETHER):
            some = slice(start, start + READ_TOGETHER)
            blocks = await self.blocks(positions[some].tolist())
            for block, rows in zip(blocks, rows_of[some], strict=True):
                found[rows] = block.orders[entries["index"][rows]]
        return found

    async def tables(self, orders: Orders, entries: npt.NDArray[np.void]) -> dict[int, PayeeTable]:
        """Return the PAYEE tables of those of these ORDER (n,) that are bulk pay-outs, by row.

        They lie in the blocks of `entries`, ENTRY (n,).
        """
        found: dict[int, PayeeTable] = {}
        for row in np.flatnonzero(orders["kind"] == OrderKind.BULK_PAY_OUT).tolist():
            block = await self._block(int(entries["position"][row]))
            found[row] = block.tables[orders[row]["reference"].tobytes()]
        return found

    async def told_by(self, position: int) -> tuple[int, int]:
        """Return (author, milliseconds since 1970) of a block."""
        block = await self._block(position)
        return block.author, block.time_ms

    async def _block(self, position: int) -> Block:
        (block,) = await self.blocks([position])
        return block

    async def blocks(self, positions: list[int]) -> list[Block]:
        """Return the blocks at these positions; what must be read is read in one turn of another thread."""
        found = {position: self._blocks.find(position) for position in positions}
        missing = [position for position, block in found.items() if block is None]
        if missing:
            try:
                read = await asyncio.to_thread(lambda: [self._blocks.read(at) for at in missing])
            except JournalLacks as lack:
                raise UnavailableError(f"This super-agent cannot tell: {lack}.") from lack
            for position, block in zip(missing, read, strict=True):
                assert not isinstance(block, Malformed), "what is in the journal was read before"
                self._blocks.remember(position, block)
                found[position] = block
        return [block for block in found.values() if block is not None]


def _slot_question(
    payer: int, sequence: int
) -> Callable[[Replica], tuple[npt.NDArray[np.void] | None, State]]:
    def question(replica: Replica) -> tuple[npt.NDArray[np.void] | None, State]:
        ledger = replica.ledger
        refuse_forgotten(ledger, payer, sequence)
        entry = ledger.entry_of_slot(payer, sequence)
        if entry is not None:
            return ledger.entries[entry : entry + 1].copy(), State.FINAL
        if sequence < ledger.next_sequence(payer):
            return None, State.SKIPPED
        is_open = replica.slots.is_open(payer, sequence)
        return None, State.PENDING if is_open else State.UNKNOWN

    return question


def _bodies(orders: Orders) -> npt.NDArray[np.uint8]:
    rows = np.ascontiguousarray(orders).view(np.uint8).reshape(len(orders), ORDER.itemsize)
    return rows[:, :BODY_BYTES]


def change_cents(
    number: int,
    record: np.void,
    tariffs: Mapping[int, Tariff],
    table: PayeeTable | None = None,
) -> int:
    """Return what an applied order changed in an account's balance, in cents.

    `table` is the payee table of a bulk pay-out. Its payees ascend, so one of ten thousand is found
    without looking at the others.
    """
    if int(record["kind"]) not in _PAYMENTS:
        return 0
    order = Order.of(record)
    change = 0
    payments: tuple[Payment, ...] | None = None
    if table is not None and MOVEMENTS[OrderKind(order.kind)].by_table:
        row = int(np.searchsorted(table["payee"], number))
        if row < len(table) and int(table["payee"][row]) == number:
            change += int(table["amount"][row])
        # Whoever is paid by a row is no payee of the order itself; what others get, is not the rows'.
        payments = (Payment(NOBODY, order.amount_cents),)
    credited = credits_of(order, tariffs[order.tariff], payments)
    assert credited is not None, "it was applied"
    change += sum(cents for payee, cents in credited.all if payee == number)
    payer, _ = sides_of(order)
    return change - (order.amount_cents + order.fee_cents if number == payer else 0)


def _seen_by(
    number: int, record: np.void, tariffs: Mapping[int, Tariff]
) -> tuple[int | None, int, int]:
    """Return whom an account's line of an applied order is about, its charge and its commission."""
    order = Order.of(record)
    other = other_side(number, order)
    if int(record["kind"]) not in _PAYMENTS:
        return other, 0, 0
    charge, commission = shares_of(number, order, tariffs[order.tariff])
    return other, charge, commission


def _percentiles(latencies_ms: deque[float]) -> tuple[float, float]:
    if not latencies_ms:
        return 0.0, 0.0
    p50, p99 = np.percentile(np.array(latencies_ms), [50, 99]).round(1).tolist()
    return p50, p99
