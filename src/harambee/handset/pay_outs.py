"""Paying everybody in a file: rows that people wrote, bulk orders of at most ten thousand payees each.

What it promises: **under one name nobody is paid twice.** A pay-out has a name, and the wallet keeps,
durably and before it forgets the order, whom each final order of that name has paid. The same file
again pays those whom it has not paid yet, and if that is nobody, pays nobody. So a run that was
broken off is resumed by the same command, and a row that was mended later is paid alone.

Everything that can be wrong with a row is looked for before anything is signed: the text, the
payee's account by the word of w super-agents, the tariff's price, the amounts against the balance.
"""

import asyncio
import contextlib
import csv
import io
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from harambee.handset.agreement import DisagreementError
from harambee.handset.doors import DoorError
from harambee.handset.handset import (
    Handset,
    HandsetError,
    Payment,
    PaymentStatus,
    believed,
    find_telephone,
)
from harambee.handset.orders import OrderError, fee_of
from harambee.handset.tariffs import tariff_of_day
from harambee.ledger.kinds import MOVEMENTS, OrderKind
from harambee.ledger.records import (
    KIND_MASK,
    PAYEES_MAX,
    STATUS_MASK,
    STATUS_SHIFT,
    TIER_MASK,
    TIER_SHIFT,
    AccountKind,
    Status,
)
from harambee.money.amounts import AmountError, format_cents, parse_cents
from harambee.money.tariff import Tariff

FILE_BYTES_MAX: Final = 64 << 20
ROWS_MAX: Final = 1_000_000
CELL_CHARACTERS_MAX: Final = 200
LOOK_UPS_AT_ONCE: Final = 16
ACCOUNTS_AT_ONCE: Final = 5_000
PROBLEMS_SHOWN: Final = 20

_HEADINGS: Final = frozenset({"payee", "account", "telephone", "phone", "to", "number"})


class Row(NamedTuple):
    """One row of a file: where it stands, and what it says."""

    line: int
    payee: str
    amount_cents: int


class Paying(NamedTuple):
    """One row whose payee's account is known."""

    line: int
    payee: int
    amount_cents: int
    fee_cents: int


class Problem(NamedTuple):
    """What is wrong with a row."""

    line: int
    sentence: str


class RowsError(Exception):
    """Rows that cannot be paid; nothing was signed. The message has a line for each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        shown = [f"  line {p.line}: {p.sentence}" for p in self.problems[:PROBLEMS_SHOWN]]
        if len(self.problems) > PROBLEMS_SHOWN:
            shown.append(f"  and {len(self.problems) - PROBLEMS_SHOWN:,} more")
        count = f"{len(self.problems):,} {'rows' if len(self.problems) > 1 else 'row'}"
        lines = "\n".join(shown)
        super().__init__(f"{count} cannot be paid, so nothing was signed:\n{lines}")


@dataclass(frozen=True, slots=True)
class PayOut:
    """What became of a pay-out."""

    status: PaymentStatus
    """FINAL where every row is paid; else that of the first order that is not."""
    sentence: str
    rows: int
    """How many the file has."""
    paid_before: int
    """How many of them earlier runs had paid."""
    paid_rows: int
    """How many this run has paid, by orders that are final."""
    paid_cents: int
    fee_cents: int
    payments: tuple[Payment, ...]
    """The orders of this run, one after the other; the last one may not be final."""


Tell = Callable[[str, int, int], None]
"""Told what is being done, and of how much, so much is done: (words, done, total)."""


def read_rows(content: bytes) -> list[Row]:
    """Return the rows of a file: payee and amount in shillings, a heading and empty lines left out.

    RowsError with everything that is wrong with their text.
    """
    if len(content) > FILE_BYTES_MAX:
        raise RowsError([Problem(1, f"The file is larger than {FILE_BYTES_MAX >> 20} MiB.")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RowsError([Problem(line, "The file is not text in UTF-8.")]) from error
    rows: list[Row] = []
    problems: list[Problem] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not rows and not problems and cells[0].strip().lower() in _HEADINGS:
                continue
            read = _read_row(reader.line_num, cells)
            if isinstance(read, Row):
                rows.append(read)
            else:
                problems.append(read)
            if len(rows) + len(problems) > ROWS_MAX:
                raise RowsError([Problem(reader.line_num, f"More than {ROWS_MAX:,} rows.")])
    except csv.Error as error:
        problems.append(Problem(reader.line_num, f"This is not a row of a CSV file: {error}."))
    if problems:
        raise RowsError(problems)
    if not rows:
        raise RowsError([Problem(1, "The file has no rows.")])
    return rows


def _read_row(line: int, cells: list[str]) -> Row | Problem:
    if len(cells) != 2 or any(len(cell) > CELL_CHARACTERS_MAX for cell in cells):
        sentence = "A row is a payee and an amount, as in: 0712345678, 1500.50"
        return Problem(line, f"{sentence} (an amount with commas needs quotes).")
    payee, amount = (cell.strip() for cell in cells)
    if not payee:
        return Problem(line, "The payee is missing.")
    try:
        cents = parse_cents(amount)
    except AmountError as error:
        sentence = str(error)
        return Problem(line, f"{sentence[:1].upper()}{sentence[1:]}.")
    return Row(line, payee, cents) if cents else Problem(line, "The amount is zero.")


@dataclass(frozen=True)
class PayOuts:
    """Pay-outs from one business's handset."""

    handset: Handset
    find: Callable[[str], int | str]
    """What a payee's text stands for: an account number, or a telephone number for the directory.

    It raises an error of `not_found`, in one sentence, where it stands for nobody.
    """
    not_found: tuple[type[Exception], ...]
    tell: Tell

    async def pay(self, name: str, rows: Sequence[Row]) -> PayOut:
        """Pay every row that is not paid yet under this name; HandsetError, WalletError or RowsError.

        An order that an earlier run left open is brought to its end first.
        """
        earlier = await self.handset.resume()
        if earlier is not None and earlier.is_open:
            return self._ended(earlier.status, earlier.sentence, rows, 0, [], [earlier])
        paying = await self._checked(rows)
        left = _not_paid(paying, self.handset.wallet.paid_under(name))
        before = len(paying) - len(left)
        if left:
            await self._check_balance(left)
        done: list[Paying] = []
        payments: list[Payment] = []
        self.tell("Paying", 0, len(left))
        for at in range(0, len(left), PAYEES_MAX):
            part = left[at : at + PAYEES_MAX]
            payment = await self.handset.pay_table(
                name,
                [(row.payee, row.amount_cents) for row in part],
                sum(row.fee_cents for row in part),
            )
            payments.append(payment)
            if payment.status is not PaymentStatus.FINAL:
                sentence = payment.sentence
                return self._ended(payment.status, sentence, rows, before, done, payments)
            done += part
            self.tell("Paying", len(done), len(left))
        sentence = "Everybody is paid." if left else "Everybody had been paid already."
        return self._ended(PaymentStatus.FINAL, sentence, rows, before, done, payments)

    @staticmethod
    def _ended(
        status: PaymentStatus,
        sentence: str,
        rows: Sequence[Row],
        before: int,
        done: Sequence[Paying],
        payments: Sequence[Payment],
    ) -> PayOut:
        return PayOut(
            status,
            sentence,
            rows=len(rows),
            paid_before=before,
            paid_rows=len(done),
            paid_cents=sum(row.amount_cents for row in done),
            fee_cents=sum(row.fee_cents for row in done),
            payments=tuple(payments),
        )

    # -- before anything is signed ----------------------------------------------------------------

    async def _checked(self, rows: Sequence[Row]) -> list[Paying]:
        """Return the rows with their payees' accounts and fees; RowsError with all that is wrong."""
        numbers = await self._numbers_of(rows)
        known = sorted({n for n in numbers if isinstance(n, int)})
        standings = await self._standings_of(known)
        held = await self._least_held(known)
        problems: list[Problem] = []
        tariff = await tariff_of_day(self.handset.genesis, self.handset.doors, self.handset.day())
        paying: list[Paying] = []
        lines: dict[int, int] = {}
        for row, number in zip(rows, numbers, strict=True):
            found: Paying | str
            if isinstance(number, str):
                found = number
            else:
                standing, cents = standings[number], held.get(number, 0)
                found = self._judged(row, number, standing, cents, lines, tariff)
            if isinstance(found, str):
                problems.append(Problem(row.line, found))
            else:
                paying.append(found)
        if problems:
            raise RowsError(problems)
        return paying

    def _judged(
        self,
        row: Row,
        number: int,
        standing: int,
        held_cents: int,
        lines: dict[int, int],
        tariff: Tariff,
    ) -> Paying | str:
        """Return a row that can be paid, or a sentence that says why it cannot.

        `standing` are the account's flags, `lines` where each account was paid first.
        """
        first = lines.setdefault(number, row.line)
        if first != row.line:
            return f"Line {first} pays the same account; put the two together, or take one out."
        if number == self.handset.wallet.account:
            return "This is the paying account itself."
        kind, status = standing & KIND_MASK, standing >> STATUS_SHIFT & STATUS_MASK
        if kind == AccountKind.NONE:
            return "There is no such account."
        if kind not in MOVEMENTS[OrderKind.BULK_PAY_OUT].payees:
            return f"An account of kind {AccountKind(kind).name.lower()} cannot be paid so."
        if status != Status.ACTIVE:
            return "The account is frozen or closed."
        _, _, balance_cents_max = tariff.limits_of(standing >> TIER_SHIFT & TIER_MASK)
        if held_cents + row.amount_cents > balance_cents_max:
            return "The account would hold more than it may."
        try:
            fee = fee_of(tariff, OrderKind.BULK_PAY_OUT, row.amount_cents)
        except OrderError as error:
            return str(error)
        return Paying(row.line, number, row.amount_cents, fee)

    async def _numbers_of(self, rows: Sequence[Row]) -> list[int | str]:
        """Return each row's account number, or a sentence where it has none."""
        found: dict[str, int | str] = {}
        telephones: dict[str, str] = {}
        for row in rows:
            try:
                stands_for = self.find(row.payee)
            except self.not_found as error:
                found[row.payee] = str(error)
                continue
            if isinstance(stands_for, int):
                found[row.payee] = stands_for
            else:
                telephones[row.payee] = stands_for
        done = 0

        async def look_up(text: str, telephone: str) -> None:
            nonlocal done
            try:
                found[text] = await find_telephone(
                    self.handset.genesis, self.handset.doors, telephone
                )
            except HandsetError as error:
                found[text] = str(error)
            done += 1
            self.tell("Looking up telephone numbers", done, len(telephones))

        await _at_once(LOOK_UPS_AT_ONCE, [look_up(*pair) for pair in telephones.items()])
        return [found[row.payee] for row in rows]

    async def _standings_of(self, numbers: Sequence[int]) -> dict[int, int]:
        """Return the flags that w super-agents tell of these accounts, 0 where there is none."""
        standings: dict[int, int] = {}
        for at in range(0, len(numbers), ACCOUNTS_AT_ONCE):
            part = tuple(numbers[at : at + ACCOUNTS_AT_ONCE])
            try:
                said = await believed(
                    self.handset.genesis,
                    self.handset.doors,
                    lambda door, part=part: door.standings(part),  # type: ignore[misc]
                )
            except DisagreementError as error:
                raise HandsetError(str(error)) from error
            standings.update(zip(part, said, strict=True))
            self.tell("Checking accounts", len(standings), len(numbers))
        return standings

    async def _least_held(self, numbers: Sequence[int]) -> dict[int, int]:
        """Return the least that any of w super-agents says that these accounts hold, in cents.

        Balances change while one asks; so this is no belief, and a door that lies makes no account full
        that an honest one sees empty. Nothing is said where too few answer.
        """
        held: dict[int, int] = {}
        needed = self.handset.genesis.committee.w
        for at in range(0, len(numbers), ACCOUNTS_AT_ONCE):
            part = tuple(numbers[at : at + ACCOUNTS_AT_ONCE])
            said: list[tuple[int, ...]] = []
            for door in self.handset.doors:
                with contextlib.suppress(DoorError):
                    said.append(await door.balances(part))
                if len(said) == needed:
                    held.update(zip(part, map(min, zip(*said, strict=True)), strict=True))
                    break
        return held

    async def _check_balance(self, left: Sequence[Paying]) -> None:
        """Refuse what the balance cannot cover, before the first of several orders is paid."""
        balance = await self.handset.balance()
        needed = sum(row.amount_cents + row.fee_cents for row in left)
        if balance.agreed and balance.cents < needed:
            raise HandsetError(
                f"{format_cents(needed)} are needed for amounts and fees, and the account holds "
                f"{format_cents(balance.cents)}; nothing was signed."
            )


def _not_paid(paying: Sequence[Paying], paid: dict[int, int]) -> list[Paying]:
    """Return the rows whose payees were not paid yet; RowsError where one was paid another amount."""
    problems = [
        Problem(
            row.line,
            f"This account was paid {format_cents(paid[row.payee])} already under this name; "
            "pay the difference under another one.",
        )
        for row in paying
        if paid.get(row.payee, row.amount_cents) != row.amount_cents
    ]
    if problems:
        raise RowsError(problems)
    return [row for row in paying if row.payee not in paid]


async def _at_once(limit: int, work: Sequence[Awaitable[None]]) -> None:
    """Do it all, so much at the same time."""
    room = asyncio.Semaphore(limit)

    async def do(one: Awaitable[None]) -> None:
        async with room:
            await one

    await asyncio.gather(*(do(one) for one in work))
