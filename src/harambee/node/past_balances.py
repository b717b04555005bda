"""What accounts had after entries that are not their newest, for whoever tells a backlog in its order.

The ledger knows what an account has now. What it had after an earlier entry is that, less what every later
entry changed; and the order of each lies in another block of the journal. Whoever goes through the entries in
their order needs to look for them once for each account: from then on, what it had after its next entry
follows from what it had after the one before.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from harambee.protocol.replica import Replica

T = TypeVar("T")

REMEMBERED: Final = 1 << 16
"""Accounts whose last balance is remembered."""
NEWER_FIRST: Final = 4
NEWER_MAX: Final = 16_384
"""How many newer entries of one account are looked through."""
ASKED_AT_ONCE: Final = 16
"""Accounts whose newer entries are asked for in one question."""
NOWHERE: Final = -2
"""Instead of an entry: before no other one, and not before the first one either."""
CHANGES_AT_ONCE: Final = 256
"""Orders that are read from the journal before others have their turn."""


class Source(Protocol):
    """What is asked of a super-agent; `harambee.node.service.Service` has it."""

    async def ask(self, question: Callable[[Replica], T]) -> T:
        """Ask the replica; UnavailableError where it cannot answer."""

    async def changes_at(self, number: int, entries: npt.NDArray[np.void]) -> list[int]:
        """By how many cents (n,) entries changed an account's balance."""


@dataclass(frozen=True, slots=True)
class Touched:
    """One entry, as it touched an account."""

    number: int
    entry: int
    place: np.void
    """The ENTRY record."""
    change_cents: int
    newest_cents: int | None
    """What the account has, where this is its newest entry."""

    @property
    def before(self) -> int:
        """The account's entry before this one; -1 where there is none."""
        side = "payer_previous" if int(self.place["payer"]) == self.number else "payee_previous"
        return int(self.place[side]) - 1


class PastBalances:
    """Remembers what accounts had. Belongs to the event loop's thread."""

    def __init__(self, source: Source) -> None:
        """Nothing is known yet."""
        self._source = source
        self._known: OrderedDict[int, tuple[int, int]] = OrderedDict()
        """By account: an entry, and what the account had after it, in cents. The last used come last."""

    async def after(self, touched: Sequence[Touched]) -> list[int | None]:
        """What each account had after its entry, in cents; the entries ascend.

        None where an account has so many newer entries that nobody looks through them.
        """
        found: dict[tuple[int, int], int | None] = {}
        # What would follow from an entry that nobody looks behind, is looked for itself.
        while unknown := self._unknown(touched, found):
            found |= await self._look_for(unknown)
        balances: list[int | None] = []
        for at in touched:
            key = at.number, at.entry
            last, cents = self._known.pop(at.number, (NOWHERE, 0))
            balance: int | None = None
            if at.newest_cents is not None:
                balance = at.newest_cents
            elif key in found:
                balance = found[key]
            elif last == at.before:
                balance = cents + at.change_cents
            if balance is not None:
                self._known[at.number] = at.entry, balance
            balances.append(balance)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return balances

    def _unknown(
        self, touched: Sequence[Touched], found: Mapping[tuple[int, int], int | None]
    ) -> list[Touched]:
        """Those whose balance is not found, and follows from nothing that is known or will be then."""
        reached: dict[int, int] = {}
        unknown = []
        for at in touched:
            last, _ = self._known.get(at.number, (NOWHERE, 0))
            key = at.number, at.entry
            follows = reached.get(at.number, last) == at.before
            if at.newest_cents is None and key not in found and not follows:
                unknown.append(at)
            is_known = key not in found or found[key] is not None
            reached[at.number] = at.entry if is_known else NOWHERE
        return unknown

    async def _look_for(self, unknown: Sequence[Touched]) -> dict[tuple[int, int], int | None]:
        """Take from what each account has now what its newer entries changed; by account and entry."""
        found: dict[tuple[int, int], int | None] = {}
        for start in range(0, len(unknown), ASKED_AT_ONCE):
            some = unknown[start : start + ASKED_AT_ONCE]
            newer = await self._source.ask(partial(_all_newer, some))
            for at, (cents, entries) in zip(some, newer, strict=True):
                if len(entries) > NEWER_MAX:
                    found[at.number, at.entry] = None
                else:
                    found[at.number, at.entry] = cents - await self._sum_of(at.number, entries)
        return found

    async def _sum_of(self, number: int, entries: npt.NDArray[np.void]) -> int:
        """By how many cents these entries changed an account's balance, together."""
        cents = 0
        for start in range(0, len(entries), CHANGES_AT_ONCE):
            some = entries[start : start + CHANGES_AT_ONCE]
            cents += sum(await self._source.changes_at(number, some))
        return cents


def _all_newer(
    touched: Sequence[Touched], replica: Replica
) -> list[tuple[int, npt.NDArray[np.void]]]:
    return [_newer(replica, at.number, at.entry) for at in touched]


def _newer(replica: Replica, number: int, entry: int) -> tuple[int, npt.NDArray[np.void]]:
    """An account's balance now, and the ENTRY records of what touched it behind an entry.

    More than NEWER_MAX are not all of them.
    """
    ledger, limit = replica.ledger, NEWER_FIRST
    while True:
        found = ledger.entries_of(number, limit)
        if len(found) < limit or found[-1] <= entry or limit > NEWER_MAX:
            newer = ledger.entries[found[found > entry]]
            return int(ledger.accounts[number]["balance"]), newer
        limit = min(8 * limit, NEWER_MAX + 1)
