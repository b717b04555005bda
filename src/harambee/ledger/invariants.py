"""What is true of every ledger at every moment, each under its name.

Tests look after every public method, and a simulator after every event: `check(ledger)` raises
InvariantError with the name and an example, and returns a snapshot to hold the next moment against.

Two groups. **OF_MOMENTS** look at one moment; **OF_HISTORIES** compare two, the later with any
earlier one. In both are a few that rest on the voters: they hold once every order that was judged
ACCEPTED against the books is applied, and need not hold while orders that depend on each other are
half applied, or for orders that no voter would accept. Those are named in `RESTING_ON_VOTERS`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.ledger import Ledger
from harambee.ledger.pages import PAGE_ACCOUNTS
from harambee.ledger.records import (
    ACCOUNT,
    KEY_FORM_MASK,
    KEY_TYPE_SHIFT,
    KIND_MASK,
    NOBODY,
    ROW_OF_TABLE,
    SEQUENCE_LAST,
    AccountKind,
)
from harambee.ledger.side_tables import Hold, subject_of_account


class InvariantError(AssertionError):
    """The ledger is in a state that cannot be; the message names the invariant and an example."""


@dataclass(frozen=True)
class Snapshot:
    """All of a ledger at one moment, copied: later changes do not reach it."""

    numbers: npt.NDArray[np.int64]
    """(k,) ascending account numbers: every row that is not zero."""
    records: npt.NDArray[np.void]
    """(k,) ACCOUNT records of those numbers."""
    aliases: Mapping[bytes, tuple[int, int]]
    """Alias -> (owner, next slot)."""
    issuers: Mapping[int, int]
    """Account number -> how far it may go below zero, in cents."""
    holds: Mapping[tuple[int, int], Hold]
    """What is held, by the slots of the holds."""
    governed: Mapping[bytes, int]
    """Subject -> its next governance slot."""
    slots_used: Mapping[int, int]
    """Account number -> how many entries stand in slots of its own."""
    entry_count: int
    total_cents: int
    """The sum of all balances, as the ledger itself adds it up."""

    @classmethod
    def of(cls, ledger: Ledger) -> "Snapshot":
        """Copy a ledger; the cost is that of the accounts in use, not of the regions."""
        touched = np.flatnonzero(ledger._pages)  # noqa: SLF001 - where to look is all it tells
        rows = (touched[:, None] * PAGE_ACCOUNTS + np.arange(PAGE_ACCOUNTS)).reshape(-1)
        records = ledger.records(rows)
        used = np.any(records.view(np.uint8).reshape(-1, ACCOUNT.itemsize), axis=1)
        aliases = ledger.aliases.rows[ledger.aliases.rows["next_sequence"] != 0]
        entries = ledger.entries
        in_slots = entries[
            (entries["revenue_previous"] < ROW_OF_TABLE) & (entries["sequence"] != SEQUENCE_LAST)
        ]
        payers, counts = np.unique(in_slots["payer"], return_counts=True)
        return cls(
            numbers=rows[used],
            records=records[used],
            aliases={
                row["alias"].tobytes(): (int(row["owner"]), int(row["next_sequence"]))
                for row in aliases
            },
            issuers=dict(ledger.issuers),
            holds=dict(ledger.side.holds),
            governed=dict(ledger.side.governed),
            slots_used=dict(zip(payers.tolist(), counts.tolist(), strict=True)),
            entry_count=ledger.entry_count,
            total_cents=ledger.total_cents(),
        )

    @property
    def kinds(self) -> npt.NDArray[np.uint32]:
        """(k,) AccountKind of each row; 0 where there is no account."""
        flags: npt.NDArray[np.uint32] = self.records["flags"]
        return flags & np.uint32(KIND_MASK)

    def sum_of(self, name: str) -> int:
        """Return the exact sum of an integer field over all rows."""
        return sum(self.records[name].tolist())

    def same_rows(self, later: "Snapshot") -> tuple[npt.NDArray[np.void], npt.NDArray[np.void]]:
        """Return (earlier, later) records, (k,) each, of every row of this snapshot.

        A row that is zero in the later one is given as zeros.
        """
        found = np.zeros_like(self.records)
        _, here, there = np.intersect1d(
            self.numbers, later.numbers, assume_unique=True, return_indices=True
        )
        found[here] = later.records[there]
        return self.records, found


OfMoment = Callable[[Snapshot], Iterator[str]]
OfHistory = Callable[[Snapshot, Snapshot], Iterator[str]]


# -- of one moment --------------------------------------------------------------------------------


def balances_add_up_to_zero(now: Snapshot) -> Iterator[str]:
    """No cent is made or destroyed: what some hold, issuers owe."""
    total = now.sum_of("balance")
    if total != 0:
        yield f"they add up to {total} cents"
    if now.total_cents != total:
        yield f"the ledger says {now.total_cents} cents where its accounts hold {total}"


def credits_equal_debits(now: Snapshot) -> Iterator[str]:
    """Whatever was ever debited to one account was credited to others."""
    debited, credited = now.sum_of("debited"), now.sum_of("credited")
    if debited != credited:
        yield f"{debited} cents were debited and {credited} credited"


def nobody_but_issuers_is_below_zero(now: Snapshot) -> Iterator[str]:
    """Only a bank may owe, and no more than its attested limit."""
    for row in np.flatnonzero(now.records["balance"] < 0):
        number, balance = int(now.numbers[row]), int(now.records["balance"][row])
        limit = now.issuers.get(number, 0) if now.kinds[row] == AccountKind.BANK else 0
        if balance < -limit:
            yield f"account {number} stands at {balance} cents and may go to {-limit}"


def no_money_lies_where_no_account_is(now: Snapshot) -> Iterator[str]:
    """Every cent belongs to somebody, and every region has the account its fees go to."""
    for row in np.flatnonzero((now.kinds == 0) & (now.records["balance"] != 0)):
        yield f"row {now.numbers[row]} holds {now.records['balance'][row]} cents and no account"


def what_is_held_is_held_by_holds(now: Snapshot) -> Iterator[str]:
    """An account's held cents are those of its holds, no more and no less."""
    due: dict[int, int] = {}
    for (payer, _), hold in now.holds.items():
        due[payer] = due.get(payer, 0) + hold.cents
    held = dict(zip(now.numbers.tolist(), now.records["held"].tolist(), strict=True))
    for number in sorted({*due, *(n for n, cents in held.items() if cents)}):
        if held.get(number, 0) != due.get(number, 0):
            yield f"account {number} holds {held.get(number, 0)} cents for {due.get(number, 0)}"


def what_is_held_is_covered(now: Snapshot) -> Iterator[str]:
    """Nobody's held money was spent."""
    held = now.records["held"].astype(np.int64)
    for row in np.flatnonzero((held > 0) & (now.records["balance"] < held)):
        yield f"account {now.numbers[row]} has {now.records['balance'][row]} cents and holds {held[row]}"


def aliases_name_accounts(now: Snapshot) -> Iterator[str]:
    """Money sent to an alias reaches somebody."""
    accounts = set(now.numbers[now.kinds != 0].tolist())
    for alias, (owner, _) in now.aliases.items():
        if owner not in accounts and owner != NOBODY:  # each of its slots so far was skipped
            yield f"alias {alias.hex()} names account {owner}, which does not exist"


def chains_end_within_the_log(now: Snapshot) -> Iterator[str]:
    """An account's newest entry has been written."""
    for row in np.flatnonzero(now.records["last_entry"] > now.entry_count):
        newest = int(now.records["last_entry"][row]) - 1
        yield f"account {now.numbers[row]} points at entry {newest} of {now.entry_count}"


# -- of two moments -------------------------------------------------------------------------------


def every_change_of_a_balance_is_explained(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """A balance changes by what was credited less what was debited, and by nothing else."""
    old, new = before.same_rows(after)
    change = new["balance"] - old["balance"]
    credited = (new["credited"] - old["credited"]).view(np.int64)
    debited = (new["debited"] - old["debited"]).view(np.int64)
    for row in np.flatnonzero(change != credited - debited):
        yield (
            f"account {before.numbers[row]} changed by {change[row]} cents,"
            f" credited {credited[row]}, debited {debited[row]}"
        )


def totals_and_sequences_never_fall(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """What was ever debited or credited, the next sequence, the last day: all only grow."""
    old, new = before.same_rows(after)
    for name in ("debited", "credited", "next_sequence", "day", "last_entry"):
        for row in np.flatnonzero(new[name] < old[name]):
            yield f"{name} of account {before.numbers[row]} fell to {new[name][row]}"


def every_slot_passed_has_its_entry(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """A next sequence grows by exactly the entries written in the account's own slots."""
    old, new = before.same_rows(after)
    passed = new["next_sequence"].astype(np.int64) - old["next_sequence"]
    for number, slots in zip(before.numbers.tolist(), passed.tolist(), strict=True):
        written = after.slots_used.get(number, 0) - before.slots_used.get(number, 0)
        if slots != written:
            yield f"account {number} passed {slots} slots and has {written} entries in them"


def accounts_stay_who_they_are(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """An account never vanishes and keeps its kind.

    Its key changes only in a slot of its own, and its status and tier only in one of governance.
    """
    old, new = before.same_rows(after)
    for row in np.flatnonzero((old["flags"] & KIND_MASK) != 0):
        number = int(before.numbers[row])
        was, became = int(old["flags"][row]), int(new["flags"][row])
        signed = old["next_sequence"][row] != new["next_sequence"][row]
        subject = subject_of_account(number)
        governed = before.governed.get(subject, 0) != after.governed.get(subject, 0)
        if was & KIND_MASK != became & KIND_MASK or (was != became and not signed | governed):
            yield f"the flags of account {number} became {became:#x}"
        same_form = not (was ^ became) >> KEY_TYPE_SHIFT & KEY_FORM_MASK
        if not (same_form and np.array_equal(old["key"][row], new["key"][row])) and not signed:
            yield f"the key of account {number} changed without an order of its own"


def a_head_office_is_joined_once(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """An agent that has a head office keeps it: nothing parts the two yet."""
    old, new = before.same_rows(after)
    parted = (old["head_office"] != 0) & (old["head_office"] != new["head_office"])
    for row in np.flatnonzero(parted):
        number, office = before.numbers[row], new["head_office"][row]
        yield f"the head office of {number} became {office}"


def aliases_only_move_on(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """An alias stays claimed, and its owner changes only in a slot of its own."""
    for alias, (owner, slot) in before.aliases.items():
        now_owner, now_slot = after.aliases.get(alias, (None, 0))
        if now_slot < slot:
            yield f"the next slot of alias {alias.hex()} fell from {slot} to {now_slot}"
        elif now_slot == slot and now_owner != owner:
            yield f"alias {alias.hex()} went from {owner} to {now_owner} without a claim"


def limits_change_in_slots_of_their_banks(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """How far a bank may go below zero changes only by an order of the bank."""
    old, new = before.same_rows(after)
    moved_on = old["next_sequence"] != new["next_sequence"]
    banks = set(before.numbers[moved_on].tolist())
    for number, limit in before.issuers.items():
        if after.issuers.get(number) != limit and number not in banks:
            yield f"the limit of {number} went from {limit} to {after.issuers.get(number)} cents"


def entries_are_only_appended(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """The entry log never shrinks."""
    if after.entry_count < before.entry_count:
        yield f"of {before.entry_count} entries {after.entry_count} are left"


# -- all of them ----------------------------------------------------------------------------------

OF_MOMENTS: Final[tuple[OfMoment, ...]] = (
    balances_add_up_to_zero,
    credits_equal_debits,
    nobody_but_issuers_is_below_zero,
    no_money_lies_where_no_account_is,
    what_is_held_is_held_by_holds,
    what_is_held_is_covered,
    aliases_name_accounts,
    chains_end_within_the_log,
)
OF_HISTORIES: Final[tuple[OfHistory, ...]] = (
    every_change_of_a_balance_is_explained,
    totals_and_sequences_never_fall,
    every_slot_passed_has_its_entry,
    accounts_stay_who_they_are,
    a_head_office_is_joined_once,
    aliases_only_move_on,
    limits_change_in_slots_of_their_banks,
    entries_are_only_appended,
)
RESTING_ON_VOTERS: Final[frozenset[OfMoment | OfHistory]] = frozenset(
    {
        nobody_but_issuers_is_below_zero,
        what_is_held_is_covered,
        no_money_lies_where_no_account_is,
        a_head_office_is_joined_once,
    }
)


def check(
    ledger: Ledger,
    before: Snapshot | None = None,
    *,
    leave_out: Collection[OfMoment | OfHistory] = (),
) -> Snapshot:
    """Return a snapshot of the ledger in which every invariant holds, alone and since `before`.

    Raises InvariantError, which names all that do not hold.
    """
    now = Snapshot.of(ledger)
    broken = [
        f"{invariant.__name__}: {example}"
        for invariant in OF_MOMENTS
        if invariant not in leave_out
        for example in invariant(now)
    ]
    if before is not None:
        broken += [
            f"{invariant.__name__}: {example}"
            for invariant in OF_HISTORIES
            if invariant not in leave_out
            for example in invariant(before, now)
        ]
    if broken:
        raise InvariantError("\n".join(broken))
    return now
