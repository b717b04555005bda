"""The courier: tells payers and payees what became final, through the text port.

Each account has one super-agent that texts it: the one in whose region it was enrolled (decision 27).
The ledger itself is the queue. The courier looks at entries in their order, composes the texts of its own
accounts, brings them to the port, and only then notes durably that they are done: so a slow or failing
port, or a super-agent that was down, makes texts late and never loses one. It asks the engine small
questions at a bounded rate, and nothing that pays waits for it.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from harambee.handset.receipt_code import code_of
from harambee.ledger.house_rules import is_reversal_of
from harambee.ledger.kinds import LIMITED, PARTIES, OrderKind
from harambee.ledger.records import (
    ENTRY,
    KIND_MASK,
    ORDER,
    REGION_ACCOUNTS,
    ROW_OF_TABLE,
    TIER_MASK,
    TIER_SHIFT,
    AccountKind,
)
from harambee.ledger.rules import Order, named_hold, sides_of
from harambee.money.tariff import Tariff
from harambee.node.past_balances import PastBalances, Touched
from harambee.node.port import ReversalFacts, StatementLine, UnavailableError
from harambee.node.text_cursor import CursorError, TextCursor, marks_of
from harambee.node.texts import Text, TextPort, TextPortError
from harambee.protocol.genesis import Genesis
from harambee.protocol.replica import Replica
from harambee.texts.confirmations import Facts, confirmation
from harambee.texts.languages import Language
from harambee.texts.parties import Party
from harambee.texts.wording import TextKind, told_of

T = TypeVar("T")

WINDOW: Final = 4_096
"""Entries looked at in one step."""
TEXTS_AT_ONCE: Final = 128
COMPOSED_AT_ONCE: Final = 16
"""Texts composed before whoever pays has a turn."""
PAUSE_S: Final = 0.2
RESTS: Final = 3
"""Between two steps, and so many times as long as composing took: so that a backlog is worked off beside the
payments and not before them."""
IDLE_S: Final = 5.0
RETRY_S: Final = (1.0, 5.0, 30.0, 60.0)
DAYS_LATE_MAX: Final = 3
"""A text of what is older would only frighten; the statement has it."""

log: Final = logging.getLogger(__name__)


class Source(Protocol):
    """What a courier asks of its super-agent; `harambee.node.service.Service` has it."""

    @property
    def genesis(self) -> Genesis:
        """The network's genesis."""

    @property
    def index(self) -> int:
        """This super-agent's index in the committee."""

    def today(self) -> int:
        """The day number of now."""

    async def ask(self, question: Callable[[Replica], T]) -> T:
        """Ask the replica; UnavailableError where it cannot answer."""

    async def accounts(self, numbers: npt.NDArray[np.uint32]) -> npt.NDArray[np.void]:
        """ACCOUNT records."""

    async def tariff_today(self) -> Tariff:
        """The tariff of today."""

    async def reversal(self, payer: int, sequence: int) -> ReversalFacts | None:
        """The payment in a slot, and what became of the wish to have it back."""

    async def lines_at(
        self,
        numbers: npt.NDArray[np.uint32],
        indices: npt.NDArray[np.int64],
        entries: npt.NDArray[np.void],
    ) -> list[StatementLine]:
        """What entries are on the statements of accounts, but for the balances."""

    async def changes_at(self, number: int, entries: npt.NDArray[np.void]) -> list[int]:
        """By how many cents (n,) entries changed an account's balance."""

    async def give_way(self, took_s: float) -> None:
        """Rest after work that took so long, while the super-agent reads what it has missed."""


Parties = Callable[[Sequence[int]], Awaitable[Mapping[int, Party]]]
"""Says what texts may show of accounts: what it knows, in bounded time, and it raises nothing."""


async def nameless(accounts: Sequence[int]) -> Mapping[int, Party]:
    """Know nobody: texts then show account numbers."""
    del accounts
    return {}


@dataclass(frozen=True, slots=True)
class Style:
    """How this super-agent's texts are written."""

    brand: str
    language: Language
    """Of accounts that have chosen none."""


@dataclass(frozen=True, slots=True)
class _Errand:
    """An account to be told of an entry."""

    entry: int
    account: int
    place: np.void
    """The ENTRY record."""


class Courier:
    """Texts of one super-agent. Belongs to the event loop's thread."""

    def __init__(
        self,
        source: Source,
        port: TextPort,
        file: Path,
        style: Style,
        journal_blocks: Callable[[], int],
        parties: Parties = nameless,
        pause_s: float = PAUSE_S,
    ) -> None:
        """`file` is the cursor's; who has chosen no language gets the style's.

        What becomes final within `pause_s` is told together.
        """
        self._pause_s = pause_s
        self.sent = 0
        self.failed = 0
        """How often the port did not take texts; they were brought again."""
        self.too_old = 0
        self._source = source
        self._port = port
        self._file = file
        self._style = style
        self._journal_blocks = journal_blocks
        self._blocks_at_start = journal_blocks()
        self._parties = parties
        self._past = PastBalances(source)
        self._composed_s = 0.0
        """How long the last step took to compose its texts."""
        self._cursor: TextCursor | None = None
        self._applied = 0
        self._news = asyncio.Event()
        self._tariff = source.genesis.tariffs[-1]
        members = source.genesis.committee.members
        self._regions = np.array(members[source.index].regions, np.uint32)

    def facts(self) -> dict[str, int]:
        """Return what the status shows of it."""
        done = 0 if self._cursor is None else self._cursor.entries
        return {
            "texts_sent": self.sent,
            "texts_failed": self.failed,
            "texts_too_old": self.too_old,
            "texts_waiting": max(0, self._applied - done),
        }

    def wake(self, orders: int) -> None:
        """So many orders became final."""
        self._applied += orders
        self._news.set()

    async def run(self) -> None:
        """Tell for ever; ends only when cancelled."""
        failures = 0
        while True:
            try:
                more = await self.step()
                failures = 0
            except UnavailableError:
                await asyncio.sleep(PAUSE_S)  # it reads its journal, or its disk is full
                continue
            except (TextPortError, CursorError) as error:
                failures += 1
                self._tell_failure(failures, error)
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S)) - 1])
                continue
            except Exception:
                failures += 1
                # Ours; payments go on, and the texts are tried again rather than lost.
                log.exception("texts could not be composed")
                await asyncio.sleep(RETRY_S[-1])
                continue
            if not more:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), IDLE_S)
            # What comes together goes together, too.
            await asyncio.sleep(max(self._pause_s, RESTS * self._composed_s))
            await self._source.give_way(self._composed_s)

    def _tell_failure(self, failures: int, error: Exception) -> None:
        self.failed += 1
        if failures == 1:
            log.warning("texts wait: %s", error)

    async def step(self) -> bool:
        """Do the next entries; returns whether there are more already.

        TextPortError where the port did not take the texts, and nothing has advanced; CursorError where
        that they are sent is not durable yet; UnavailableError where the super-agent cannot say.
        """
        self._news.clear()
        self._composed_s = 0.0
        cursor = await self._opened()
        at = cursor.entries
        self._applied, entries = await self._source.ask(lambda replica: _window(replica, at))
        if not len(entries):
            return False
        marks = marks_of(entries)
        errands, done = self._errands(at, entries, cursor.told(marks))
        began = time.monotonic()
        texts = await self._compose(errands)
        self._composed_s = time.monotonic() - began
        if texts:
            await self._port.send(texts)
        cursor.advance(marks[:done])
        self.sent += len(texts)
        await asyncio.to_thread(cursor.write, self._journal_blocks())
        return self._applied > cursor.entries

    async def _opened(self) -> TextCursor:
        if self._cursor is None:
            self._applied = await self._source.ask(lambda replica: replica.ledger.entry_count)
            # A network that began with this process has told nothing yet, however soon it was paid.
            told = self._applied if self._blocks_at_start else 0
            cursor = TextCursor.read(self._file, told, self._applied, self._blocks_at_start)
            await asyncio.to_thread(cursor.write, self._journal_blocks())
            self._cursor = cursor
        return self._cursor

    def _errands(
        self, at: int, entries: npt.NDArray[np.void], told: npt.NDArray[np.bool_]
    ) -> tuple[list[_Errand], int]:
        """Return whom of this super-agent's accounts to tell of which entries, and how many are done then."""
        payers, payees = entries["payer"], entries["payee"]
        ours = [np.isin(side // REGION_ACCOUNTS, self._regions) for side in (payers, payees)]
        tells_payer = ours[0] & (entries["revenue_previous"] != ROW_OF_TABLE) & ~told
        tells_payee = ours[1] & (payers != payees) & ~told
        errands: list[_Errand] = []
        for row in np.flatnonzero(tells_payer | tells_payee).tolist():
            if len(errands) >= TEXTS_AT_ONCE:
                return errands, row
            if tells_payer[row]:
                errands.append(_Errand(at + row, int(payers[row]), entries[row]))
            if tells_payee[row]:
                errands.append(_Errand(at + row, int(payees[row]), entries[row]))
        return errands, len(entries)

    async def _compose(self, errands: Sequence[_Errand]) -> list[Text]:
        if not errands:
            return []
        numbers = np.unique(np.array([errand.account for errand in errands], np.uint32))
        records = await self._source.accounts(numbers)
        known = {
            int(number): record
            for number, record in zip(numbers, records, strict=True)
            if int(record["flags"]) & KIND_MASK in PARTIES
        }
        lines = await self._lines_of(errands, known)
        self._tariff = await self._source.tariff_today()
        shown = await self._parties(sorted({*known, *_others(errands, lines)}))
        paid_codes = await self._paid_codes(errands, lines)
        texts: list[Text] = []
        for count, errand in enumerate(errands):
            if count % COMPOSED_AT_ONCE == COMPOSED_AT_ONCE - 1:
                await asyncio.sleep(0)
            if errand.account in known:
                told = lines[errand.account]
                text = self._text(known[errand.account], errand, told, shown, paid_codes)
                texts += [] if text is None else [text]
        return texts

    async def _lines_of(
        self, errands: Sequence[_Errand], known: Mapping[int, np.void]
    ) -> dict[int, dict[int, StatementLine]]:
        """Return the lines that errands are about, by account and entry.

        Most are the newest of their accounts, whose records say the balance.
        """
        told = [errand for errand in errands if errand.account in known]
        lines = await self._source.lines_at(
            np.array([errand.account for errand in told], np.uint32),
            np.array([errand.entry for errand in told], np.int64),
            np.array([errand.place for errand in told], ENTRY),
        )
        touched = []
        for errand, line in zip(told, lines, strict=True):
            record = known[errand.account]
            is_newest = int(record["last_entry"]) == errand.entry + 1
            cents = int(record["balance"]) if is_newest else None
            touched.append(
                Touched(errand.account, errand.entry, errand.place, line.change_cents, cents)
            )
        found: dict[int, dict[int, StatementLine]] = {number: {} for number in known}
        balances = await self._past.after(touched)
        for errand, line, balance in zip(told, lines, balances, strict=True):
            if balance is not None:
                found[errand.account][errand.entry] = replace(line, balance_cents=balance)
        return found

    def _text(
        self,
        record: np.void,
        errand: _Errand,
        lines: dict[int, StatementLine],
        shown: Mapping[int, Party],
        paid_codes: Mapping[int, str],
    ) -> Text | None:
        """Return what to tell an account of an entry, or None for what is not told.

        `paid_codes` are the receipt codes of payments that are asked back, by the entry that says so.
        """
        line = lines.get(errand.entry)
        if line is None:
            # Too many newer lines of one account; its statement has it.
            self.too_old += 1
            return None
        read = _order_of(line)
        kind = _told_to(read, errand.account)
        if kind is None:
            return None
        if self._source.today() - read.day > DAYS_LATE_MAX:
            self.too_old += 1
            return None
        own = shown.get(errand.account)
        language = (None if own is None else own.language) or self._style.language
        number = _other_of(line, errand.account)
        other = shown.get(number, Party(number))
        facts = self._facts(record, line, read, other, paid=errand.account == sides_of(read)[0])
        facts = replace(facts, paid_code=paid_codes.get(errand.entry, ""))
        return Text(
            account=errand.account,
            language=language,
            kind=kind.name.lower(),
            receipt_code=facts.code,
            time_ms=line.time_ms,
            text=confirmation(kind, facts, language, self._style.brand),
        )

    def _facts(
        self, record: np.void, line: StatementLine, order: Order, other: Party, *, paid: bool
    ) -> Facts:
        amount = order.amount_cents
        if order.kind in {OrderKind.BULK_PAY_OUT, OrderKind.DEPOSIT_COMMISSION} and not paid:
            # A payee of a table is told his own row, and an agent what he earned, not what was shared.
            amount = line.change_cents
        elif order.kind == OrderKind.VOID:
            amount = int(named_hold(order)["amount"])
        held, frozen = int(record["held"]), int(record["frozen"])
        return Facts(
            code=code_of(line.order, self._source.genesis.regions),
            time_ms=line.time_ms,
            other=other,
            amount_cents=amount,
            balance_cents=line.balance_cents,
            cost_cents=line.charge_cents,
            left_today_cents=self._left_today(record),
            commission_cents=line.commission_cents or None,
            from_day=order.day + self._source.genesis.key_days,
            free_cents=int(record["balance"]) - held - frozen,
            until_day=order.day + order.options[1] if order.kind == OrderKind.HOLD else 0,
        )

    async def _paid_codes(
        self, errands: Sequence[_Errand], lines: Mapping[int, Mapping[int, StatementLine]]
    ) -> dict[int, str]:
        """Return the receipt codes of the payments that are asked back, by the entries that say so."""
        codes: dict[int, str] = {}
        for errand in errands:
            line = lines.get(errand.account, {}).get(errand.entry)
            slot = None if line is None else is_reversal_of(_order_of(line))
            if slot is None or errand.entry in codes:
                continue
            facts = await self._source.reversal(*slot)
            if facts is not None:
                codes[errand.entry] = code_of(facts.order, self._source.genesis.regions)
        return codes

    def _left_today(self, record: np.void) -> int | None:
        """Return what a limited account may still move today, in cents; None for others."""
        flags = int(record["flags"])
        if AccountKind(flags & KIND_MASK) not in LIMITED:
            return None
        of_a_day = self._tariff.limits_of(flags >> TIER_SHIFT & TIER_MASK)[1]
        spent = int(record["spent_today"]) if int(record["day"]) == self._source.today() else 0
        return max(0, of_a_day - spent)


def _window(replica: Replica, at: int) -> tuple[int, npt.NDArray[np.void]]:
    ledger = replica.ledger
    return ledger.entry_count, ledger.entries[at : at + WINDOW].copy()


def _other_of(line: StatementLine, account: int) -> int:
    """Return whom a text is about; a cancel and a bulk pay-out are about nobody else."""
    return account if line.other is None else line.other


def _others(
    errands: Sequence[_Errand], lines: Mapping[int, Mapping[int, StatementLine]]
) -> set[int]:
    """Return whom the texts of these errands are about."""
    return {
        _other_of(line, errand.account)
        for errand in errands
        if (line := lines.get(errand.account, {}).get(errand.entry)) is not None
    }


def _told_to(order: Order, account: int) -> TextKind | None:
    """Return what an account is told of an order; None for what is not told."""
    to_payer, to_payee = told_of(order)
    return to_payer if account == sides_of(order)[0] else to_payee


def _order_of(line: StatementLine) -> Order:
    return Order.of(np.frombuffer(line.order, ORDER)[0])
