"""The ledger of one replica: every account as one array, the rules over it, and its digest.

**What it promises.** `check` judges any number of orders against one state and changes nothing.
`apply` changes everything an order changes, or nothing; it never clamps and never drops a cent, so
the balances add up to zero after it as before it. What it does depends on the final orders alone:
replicas that applied the same orders have the same digest, in whatever order they came.

**What is in here.** Accounts, aliases, issuers and tariffs, an entry log that chains statements,
and which pages of accounts were touched. No super-agents, votes or blocks, and no time: the day is
an argument. The rules themselves are in `rules.py`, to be read, and in `kernels.py`, to be run.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harambee.ledger import house_rules, kernels, rules
from harambee.ledger.aliases import Aliases
from harambee.ledger.entries import EntryLog
from harambee.ledger.kinds import (
    IS_ELSEWHERE,
    IS_HOUSE,
    MOVEMENTS,
    OrderKind,
    Space,
    kind_table,
)
from harambee.ledger.memory import expect_dense, reserved
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.packing import pack
from harambee.ledger.pages import (
    PAGE_ACCOUNTS,
    PAGES_TOGETHER,
    Leaves,
    Section,
    cut_into_pages,
    digests_of,
    leaves_for,
    leaves_of_parts,
    root_of_pages,
)
from harambee.ledger.payees import DOCUMENT, NO_TABLES, PayeeTable, Tables
from harambee.ledger.records import (
    ACCOUNT,
    IDENTITY,
    KEY_FORM_MASK,
    KEY_TYPE_SHIFT,
    KIND_MASK,
    LINE,
    LINE_FIELDS,
    NOBODY,
    OPENING,
    ORDER,
    PAYEE,
    POSITION_BITS,
    REGION_ACCOUNTS,
    REGION_BITS,
    ROW_OF_TABLE,
    SEQUENCE_LAST,
    SUPPLY_CENTS_MAX,
    AccountKind,
    excise_account,
    readable,
    revenue_account,
)
from harambee.ledger.rest import Rest, write_rest
from harambee.ledger.rules import Account, Books, Effects, Order, as_moved, named_slot
from harambee.ledger.rules import Alias as AliasRow
from harambee.ledger.side_tables import SideTables, SlotKey, subject_of_account, subject_of_hold
from harambee.money.tariff import FEE, NO_SERVICE, UPPER, FeeTable, Tariff

__all__ = ["Applied", "Ledger", "LedgerError"]

Orders = npt.NDArray[np.void]
Codes = npt.NDArray[np.uint8]

KEY_CHANGES_KEPT: Final = 4_096
HOLD_ENTRIES_WALKED: Final = 1 << 16
"""How far back a payer's entries are searched for how a hold ended; further back nobody looks."""
HOLD_ENDS_READ: Final = 64
"""And how many orders are read for it: those that ended holds between the same two, from the hold on."""
MANY_ACCOUNTS: Final = 1 << 15
"""A region with so many accounts is expected to fill."""
OPENED_AT_ONCE: Final = 1 << 20
assert PAGE_ACCOUNTS == 1 << kernels.PAGE_BITS
assert REGION_ACCOUNTS % PAGE_ACCOUNTS == 0, "a page belongs to one region"

_CLAIM: Final = int(OrderKind.CLAIM)
_BULK: Final = int(OrderKind.BULK_PAY_OUT)
_ENROL: Final = int(OrderKind.ENROL)
_UNPROVEN: Final = int(Outcome.POSSESSION_UNPROVEN)
_KINDS: Final = [int(kind) for kind in AccountKind if kind]
_NO_TABLE: Final = readable(np.zeros(0, PAYEE), PAYEE)


class LedgerError(ValueError):
    """These accounts cannot open a ledger; the message is one sentence."""


class Ledger:
    """All accounts of the network. Not thread-safe; one replica owns it."""

    def __init__(self, regions: int, tariffs: Sequence[Tariff], key_days: int = 0) -> None:
        """An empty ledger of so many regions, under these versions of the tariff.

        `key_days` is for how many days the owner of an account may refuse a new key.
        """
        if not 0 < regions <= 1 << REGION_BITS:
            raise LedgerError(f"a ledger has 1 to {1 << REGION_BITS} regions, not {regions}")
        self.tariffs = tuple(sorted(tariffs, key=lambda tariff: tariff.version))
        if len({tariff.version for tariff in self.tariffs}) != len(self.tariffs):
            raise LedgerError("two tariffs have the same version")
        # The system gives pages of zeros only when they are written: an empty region costs nothing.
        rows = regions * REGION_ACCOUNTS
        self.accounts: npt.NDArray[np.void] = reserved(rows, LINE)
        """A LINE for every account number; its key and head office are in `identities`."""
        self.identities: npt.NDArray[np.void] = reserved(rows, IDENTITY)
        self.aliases = Aliases()
        self.issuers: dict[int, int] = {}
        """Account number of each issuer -> how far it may go below zero, in cents."""
        self.side = SideTables()
        """Holds, reversals, and what is governed."""
        self.entries_missing = 0
        """How many orders were applied before the first entry here: those of a state that came as pages."""
        self.original_at: Callable[[int, int], np.void | None] = _not_known
        """Reads the ORDER at (position, index) of the journal; a shell that has one says how."""
        self.keys_changed = 0
        """How often the key of an account became another one."""
        self._whose_keys: deque[int] = deque(maxlen=KEY_CHANGES_KEPT)
        """Whose the newest of them were."""
        self.key_days = key_days
        self._log = EntryLog()
        self._kinds = kind_table()
        self._prices, self._terms, self._limits = _tariff_arrays(self.tariffs, {})
        self._issuer_rows: npt.NDArray[np.int64] = np.zeros((0, 2), np.int64)
        self._pages: npt.NDArray[np.uint8] = np.zeros(
            regions * REGION_ACCOUNTS // PAGE_ACCOUNTS, "u1"
        )
        self._page_digests = reserved(len(self._pages), np.dtype(("u1", 32)))
        self._page_used = reserved(len(self._pages), np.dtype(np.bool_))
        self._page_sums: npt.NDArray[np.int64] = reserved(len(self._pages), np.dtype(np.int64))
        self._audited, self._patrolled = 0, 0
        """The sum of `_page_sums`, and how many pages have had their turn."""

    # -- opening ----------------------------------------------------------------------------------

    def open_accounts(self, openings: npt.NDArray[np.void], issuers: Mapping[int, int]) -> None:
        """Open accounts, an OPENING array; `issuers` says how far each bank may go below zero.

        Raises LedgerError, and changes nothing, unless every account is new, of a known kind and in
        a region of this ledger, only banks are below zero and none below its limit, and the
        balances add up to zero.
        """
        if openings.dtype != OPENING or openings.ndim != 1:
            raise LedgerError("the opening accounts are not an array of opening records")
        self.take_large_pages(openings["number"])
        self._check_openings(openings)
        _check_balances(openings, issuers)
        if sum(self.issuers.values()) + sum(issuers.values()) > SUPPLY_CENTS_MAX:
            raise LedgerError("the issuers' limits add up to more money than the ledger can hold")
        # Nothing is refused from here on.
        for some in _pieces(openings):
            numbers = some["number"].astype(np.int64)
            self._pages[numbers >> kernels.PAGE_BITS] = kernels.PAGE_DIRTY
            for name in ("flags", "next_sequence"):
                self.accounts[name][numbers] = some[name]
            self.identities["key"][numbers] = some["key"]
            # Added, because fees may have come to the place of a revenue account before it.
            self.accounts["balance"][numbers] += some["balance"]
        self._set_limits(issuers)

    def take_large_pages(self, numbers: npt.NDArray[np.uint32]) -> None:
        """Take large pages of memory for regions in which many of these accounts are, (n,).

        Before anything there was even read: memory that was touched in small pages stays in them.
        """
        regions = len(self.accounts) // REGION_ACCOUNTS
        counts = np.bincount(numbers >> np.uint32(POSITION_BITS), minlength=regions)[:regions]
        for region in np.flatnonzero(counts >= MANY_ACCOUNTS).tolist():
            for array in (self.accounts, self.identities):
                expect_dense(array, region * REGION_ACCOUNTS, REGION_ACCOUNTS)

    def _set_limits(self, issuers: Mapping[int, int]) -> None:
        """Let banks go so far below zero from now on, in cents."""
        self.issuers.update(issuers)
        rows = sorted(self.issuers.items())
        self._issuer_rows = np.array(rows, np.int64).reshape(len(rows), 2)

    def open_aliases(self, aliases: Mapping[bytes, int]) -> None:
        """Let aliases of 32 bytes name accounts from the beginning; their next slot is 1.

        Raises LedgerError, and changes nothing, where the account or the freedom of one is missing.
        """
        for alias, owner in aliases.items():
            if not self._exists(owner):
                raise LedgerError(f"an alias names account {owner}, which does not exist")
            if self.aliases.get(alias) is not None:
                raise LedgerError(f"the alias {alias.hex()} is taken already")
        for alias, owner in aliases.items():
            self.aliases.put(alias, owner, 1)

    def open_alias_rows(self, rows: npt.NDArray[np.void]) -> None:
        """Do the same for (n,) OPENING_ALIAS rows, ascending: a country's numbers, not one by one."""
        owners = rows["owner"].astype(np.int64)
        within = owners < len(self.accounts)
        kinds = self.accounts["flags"][np.where(within, owners, 0)] & KIND_MASK
        missing = np.flatnonzero(~within | (kinds == 0))
        if len(missing):
            owner = int(owners[missing[0]])
            raise LedgerError(f"an alias names account {owner}, which does not exist")
        odd = self.aliases.first_odd(rows)
        if odd is not None:
            alias = rows["alias"][odd].tobytes().hex()
            raise LedgerError(f"the alias {alias} is taken already, or not in ascending order")
        self.aliases.enter(rows)

    def _check_openings(self, openings: npt.NDArray[np.void]) -> None:
        """Raise LedgerError unless every account is new, of a known kind and in a region of this ledger."""
        ascends = (openings["number"][1:] > openings["number"][:-1]).all()
        ascending = openings["number"] if ascends else np.sort(openings["number"])
        regions = len(self.accounts) // REGION_ACCOUNTS
        if len(ascending) and int(ascending[-1]) >= len(self.accounts):
            number = int(openings["number"][openings["number"] >= len(self.accounts)][0])
            raise LedgerError(f"account {number} is in none of the {regions} regions")
        twice = np.flatnonzero(ascending[1:] == ascending[:-1])
        if len(twice):
            raise LedgerError(f"account {int(ascending[twice[0]])} is opened twice")
        for some in _pieces(openings):
            numbers = some["number"].astype(np.int64)
            taken = np.flatnonzero(self.accounts["flags"][numbers] & KIND_MASK)
            if len(taken):
                raise LedgerError(f"account {int(numbers[taken[0]])} is open already")
            odd = np.flatnonzero(~np.isin(some["flags"] & KIND_MASK, _KINDS))
            if len(odd):
                raise LedgerError(f"account {int(numbers[odd[0]])} has no known kind")

    # -- the rules --------------------------------------------------------------------------------

    def check(
        self,
        orders: Orders,
        signatures_hold: npt.NDArray[np.bool_],
        possessions_hold: npt.NDArray[np.bool_],
        day: int,
        tables: Tables = NO_TABLES,
    ) -> Codes:
        """Return the Outcome of each of (n,) orders, every one judged against the same state.

        The bools are (n,): whether an order's signature holds, and for an enrolment whether the new
        key has signed too. `day` is today's number, `tables` the payee tables that came with the
        orders. Changes nothing.
        """
        codes = np.empty(len(orders), np.uint8)
        left = kernels.check_orders(
            readable(orders, ORDER),
            readable(signatures_hold, np.bool_),
            readable(possessions_hold, np.bool_),
            day,
            self.accounts,
            self.identities,
            self._kinds,
            self._prices,
            self._terms,
            self._limits,
            self._issuer_rows,
            self.aliases.rows,
            self.aliases.key0,
            self.aliases.key1,
            codes,
        )
        if left:
            self._check_by_hand(orders, signatures_hold, possessions_hold, day, tables, codes)
        return codes

    def _check_by_hand(
        self,
        orders: Orders,
        signatures_hold: npt.NDArray[np.bool_],
        possessions_hold: npt.NDArray[np.bool_],
        day: int,
        tables: Tables,
        codes: Codes,
    ) -> None:
        """Judge what `kernels.check_orders` leaves: payee tables, the house, and keys that are none."""
        for i in np.flatnonzero(orders["kind"] == _BULK).tolist():
            order = orders[i : i + 1]
            codes[i] = kernels.check_bulk(
                readable(order, ORDER),
                *_table_of(order, tables),
                signatures_hold[i],
                day,
                self.accounts,
                self._kinds,
                self._prices,
                self._terms,
                self._limits,
                self._issuer_rows,
            )
        house = np.flatnonzero(IS_HOUSE[orders["kind"]])
        if len(house):
            books = self._books(tables)
            for i in house.tolist():
                codes[i] = house_rules.judge(
                    Order.of(orders[i]),
                    books,
                    day,
                    signature_holds=bool(signatures_hold[i]),
                    possession_holds=bool(possessions_hold[i]),
                )
        for i in np.flatnonzero((codes == _UNPROVEN) & (orders["kind"] == _ENROL)).tolist():
            if not rules.can_be_a_key(
                int(orders["options"][i, 1]), orders["reference"][i].tobytes()
            ):
                codes[i] = Outcome.KEY_NOT_A_POINT

    def apply(
        self,
        orders: Orders,
        position: int,
        indices: npt.NDArray[np.uint32],
        tables: Tables = NO_TABLES,
    ) -> Codes:
        """Apply (n,) final orders in the order of the array; return Applied for each.

        They lie in the block at `position` of the journal, at these (n,) `indices`, and `tables`
        are the payee tables that came with them. Orders that are WAITING change nothing and are to
        be brought again.
        """
        states = np.empty(len(orders), np.uint8)
        claims = int(np.count_nonzero(orders["kind"] == _CLAIM))
        if claims:
            self.aliases.reserve(claims)
        new_aliases = at = 0
        while at < len(orders):
            stopped, count, new = kernels.apply_orders(
                readable(orders, ORDER),
                at,
                readable(indices, np.uint32),
                position,
                self.accounts,
                self.identities,
                self._pages,
                self._kinds,
                self._prices,
                self._terms,
                self.aliases.rows,
                self.aliases.key0,
                self.aliases.key1,
                self._log.room_for(len(orders) - at),
                self._log.count,
                states,
            )
            self._log.count = int(count)
            new_aliases += int(new)
            at = int(stopped)
            if at < len(orders):
                by_hand = self._apply_house if IS_HOUSE[orders[at]["kind"]] else self._apply_bulk
                states[at] = by_hand(orders[at : at + 1], position, indices[at], tables)
                at += 1
        if claims:
            self.aliases.changed(new_aliases)
        return states

    def _apply_bulk(self, order: Orders, position: int, index: np.uint32, tables: Tables) -> int:
        """Apply one bulk pay-out; returns its Applied."""
        table, came = _table_of(order, tables)
        state, count = kernels.apply_bulk(
            readable(order, ORDER),
            table,
            came,
            index,
            position,
            self.accounts,
            self._pages,
            self._terms,
            self._log.room_for(1 + len(table)),
            self._log.count,
        )
        self._log.count = int(count)
        return int(state)

    def _apply_house(self, order: Orders, position: int, index: np.uint32, tables: Tables) -> int:
        """Apply one order of the house by the readable rules; returns its Applied."""
        read = Order.of(order[0])
        done = house_rules.effects(read, self._books(tables))
        if done.applied is not Applied.APPLIED:
            return int(done.applied)
        for number, account in done.accounts.items():
            self._put(number, account)
        self._enter_effects(done)
        self._append_entry(read, done.statements, position, int(index))
        return int(Applied.APPLIED)

    def has_a_say(self, order: np.void) -> bool:
        """Whether whoever signs an ORDER is one of those whose slot it is in."""
        return house_rules.has_a_say(Order.of(order), self._books(NO_TABLES))

    def _books(self, tables: Tables) -> Books:
        """What the readable rules read, as it is now; nothing is copied."""
        return Books(
            accounts=_Accounts(self),
            aliases=_Aliases(self),
            tariffs={tariff.version: tariff for tariff in self.tariffs},
            issuers=self.issuers,
            documents=_Documents(tables),
            side=self.side,
            originals=self._original,
            key_days=self.key_days,
        )

    def _original(self, slot: SlotKey) -> Order | None:
        """The order that was applied in a slot, as far as the shell can read it.

        Of a hold that has ended, what ended it: the payment that its release made, or its void.
        """
        entry = self.entry_of_slot(*slot)
        order = None if entry is None else self._order_of(entry)
        if (
            entry is None
            or order is None
            or order.kind != OrderKind.HOLD
            or slot in self.side.holds
        ):
            return order
        ends = self._entries_after_hold(order, entry)[:HOLD_ENDS_READ]
        for end in filter(None, map(self._order_of, ends.tolist())):
            if end.kind in (OrderKind.RELEASE, OrderKind.VOID) and named_slot(end) == slot:
                return as_moved(end)
        return order

    def _order_of(self, entry: int) -> Order | None:
        """The order of an entry, as far as the shell can read it."""
        place = self.entries[entry]
        record = self.original_at(int(place["position"]), int(place["index"]))
        return None if record is None else Order.of(record)

    def _entries_after_hold(self, hold: Order, entry: int) -> npt.NDArray[np.int64]:
        """Entries by which a hold may have ended that stands at `entry`, oldest first."""
        found = self.entries_of(hold.payer, HOLD_ENTRIES_WALKED)
        found = found[found > entry][::-1]
        rows = self.entries[found]
        ends = (rows["payer"] == hold.payer) & (rows["payee"] == hold.payee)
        ends &= (rows["sequence"] == SEQUENCE_LAST) & (rows["revenue_previous"] < ROW_OF_TABLE)
        chosen: npt.NDArray[np.int64] = found[ends]
        return chosen

    def _put(self, number: int, account: Account) -> None:
        """Write an account as the readable rules have it; its newest entry stays."""
        line, identity = self.accounts[number], self.identities[number]
        form_changes = (int(line["flags"]) ^ account.flags) & KEY_FORM_MASK << KEY_TYPE_SHIFT
        line["balance"], line["debited"] = account.balance_cents, account.debited_cents
        line["credited"], line["next_sequence"] = account.credited_cents, account.next_sequence
        line["flags"], line["spent_today"] = account.flags, account.spent_today_cents
        line["day"], line["held"] = account.day, account.held_cents
        line["frozen"], identity["head_office"] = account.frozen_cents, account.head_office
        key = np.frombuffer(account.key, np.uint8)
        if form_changes or not np.array_equal(identity["key"], key):
            identity["key"] = key
            self.keys_changed += 1
            self._whose_keys.append(number)
        self._pages[number >> kernels.PAGE_BITS] = kernels.PAGE_DIRTY

    def _enter_effects(self, done: Effects) -> None:
        """Enter what an order changes beside accounts."""
        for change in done.side:
            self.side.put(change)
        if done.issuers:
            self._set_limits(done.issuers)
        if done.tariff is not None:
            self.tariffs = tuple(sorted((*self.tariffs, done.tariff), key=lambda t: t.version))
            self._set_tariff_arrays()

    def _append_entry(
        self, order: Order, touched: Sequence[int], position: int, index: int
    ) -> None:
        """Append the statement entry of an order of the house, and chain it for whom it touched.

        One that is in no slot of its payer has no sequence of his, and what ends a hold is shown to
        whose money it was.
        """
        entry = self._log.room_for(1)[self._log.count]  # zeros, as memory that nobody wrote to
        self._log.count += 1
        entry["payer"], entry["payee"] = touched[0], order.payee
        elsewhere = IS_ELSEWHERE[order.kind]
        entry["sequence"] = SEQUENCE_LAST if elsewhere else order.sequence
        entry["index"], entry["position"] = index, position
        chains = {touched[0]: "payer_previous"}
        chains.setdefault(order.payee, "payee_previous")
        chains.setdefault(revenue_account(touched[0]), "revenue_previous")
        chains.setdefault(excise_account(touched[0]), "excise_previous")
        for number in touched:
            entry[chains.get(number, "head_office_previous")] = self.accounts[number]["last_entry"]
            self.accounts[number]["last_entry"] = self._log.count
            self._pages[number >> kernels.PAGE_BITS] = kernels.PAGE_DIRTY

    def skip(self, space: Space, subject: bytes, sequence: int) -> bool:
        """Burn the next slot of a subject: it goes on to the one after it, and nothing else changes.

        False where another slot is the next one, or there is no such account or hold.
        """
        match space:
            case Space.ACCOUNT:
                return self._skip_account(int.from_bytes(subject, "little"), sequence)
            case Space.ALIAS:
                return self._skip_alias(subject, sequence)
        changes = house_rules.skip(space, subject, sequence, self._books(NO_TABLES))
        for change in changes or ():
            self.side.put(change)
        return changes is not None

    def _skip_account(self, number: int, sequence: int) -> bool:
        if not self._exists(number) or self.next_sequence(number) != sequence:
            return False
        self.accounts[number]["next_sequence"] = sequence + 1
        self._pages[number >> kernels.PAGE_BITS] = kernels.PAGE_DIRTY
        return True

    def _skip_alias(self, alias: bytes, sequence: int) -> bool:
        """Burn an alias's next slot: whoever owned it owns it."""
        owner, following = self.aliases.get(alias) or (NOBODY, 0)
        if following != sequence:
            return False
        self.aliases.put(alias, owner, sequence + 1)
        return True

    # -- looking things up ------------------------------------------------------------------------

    def keys_of(
        self, numbers: npt.NDArray[np.uint32]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """Return the keys of (n,) accounts, (n, 32), their forms, (n,), and which accounts exist, (n,).

        The key of an account that does not is zero. A form is a `KeyForm`.
        """
        keys = np.zeros((len(numbers), 32), np.uint8)
        forms = np.zeros(len(numbers), np.uint8)
        known = np.zeros(len(numbers), np.uint8)
        kernels.copy_keys(
            self.accounts, self.identities, readable(numbers, np.uint32), keys, forms, known
        )
        return keys, forms, known.view(np.bool_)

    def keys_changed_since(self, count: int) -> list[int] | None:
        """Return whose keys changed since `keys_changed` was `count`; None if that is too long ago."""
        new = self.keys_changed - count
        if new > len(self._whose_keys):
            return None
        return list(self._whose_keys)[len(self._whose_keys) - new :]

    def account(self, number: int) -> np.void | None:
        """Return a copy of an ACCOUNT record, or None where there is no such account."""
        if not self._exists(number):
            return None
        record: np.void = self.records(np.array([number]))[0]
        return record

    def records(self, numbers: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.void]:
        """Return ACCOUNT records of (n,) account numbers, a copy; zeros where there is no such row."""
        found = np.zeros(len(numbers), ACCOUNT)
        within = numbers < len(self.accounts)
        lines = self.accounts[numbers[within]]
        identities = self.identities[numbers[within]]
        for name in LINE_FIELDS:
            found[name][within] = lines[name]
        for name in ("key", "head_office"):
            found[name][within] = identities[name]
        return found

    def next_sequence(self, number: int) -> int:
        """Return the only sequence that an order of the account may carry; 0 without an account."""
        if not 0 <= number < len(self.accounts):
            return 0
        return int(self.accounts["next_sequence"][number])

    def next_sequences(self, numbers: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        """Return `next_sequence` of (n,) accounts, (n,); 0 where there is no account."""
        within = numbers < len(self.accounts)
        found: npt.NDArray[np.uint32] = self.accounts["next_sequence"][np.where(within, numbers, 0)]
        return np.where(within, found, np.uint32(0))

    def alias(self, alias: bytes) -> tuple[int, int] | None:
        """Return (owner, next slot) of an alias of 32 bytes, or None where nobody claimed it."""
        found = self.aliases.get(alias)
        return None if found is None or found[0] == NOBODY else found

    def alias_next(self, alias: bytes) -> int:
        """Return the only sequence that a claim of this alias may carry."""
        found = self.aliases.get(alias)
        return 0 if found is None else found[1]

    def next_in(self, space: Space, subject: bytes) -> int:
        """Return the next slot of a subject of 32 bytes; SEQUENCE_LAST of a hold that has ended."""
        match space:
            case Space.ACCOUNT:
                return self.next_sequence(int.from_bytes(subject, "little"))
            case Space.ALIAS:
                return self.alias_next(subject)
        return house_rules.following(space, subject, self._books(NO_TABLES))

    def following_elsewhere(self) -> dict[tuple[int, bytes], int]:
        """Return the next slot of every alias, hold and governed subject, by space and subject.

        Where one is not named, that is 0: of a hold that has ended, too, whose slots nobody decides again.
        """
        aliases, side = self.aliases.following(), self.side
        found = {(int(Space.ALIAS), alias): at for alias, at in aliases.items()}
        found |= {(int(Space.GOVERNANCE), subject): at for subject, at in side.governed.items()}
        for key, hold in side.holds.items():
            found[int(Space.HOLD), subject_of_hold(key)] = hold.next_sequence
        return found

    def following(self, orders: npt.NDArray[np.void]) -> npt.NDArray[np.uint32]:
        """Return the next sequence of each order's slot, (n,): its payer's, or what else its slot is of."""
        found = self.next_sequences(orders["payer"])
        for row in np.flatnonzero(IS_ELSEWHERE[orders["kind"]]).tolist():
            found[row] = self.next_in(*slot_of(orders[row])[:2])
        return found

    # -- statements -------------------------------------------------------------------------------

    @property
    def entries(self) -> npt.NDArray[np.void]:
        """All statement entries in the order of applying: a read-only ENTRY view, not a copy."""
        return self._log.written

    @property
    def entry_count(self) -> int:
        """How many orders were applied."""
        return self._log.count

    def entries_of(
        self, number: int, limit: int, before: int | None = None
    ) -> npt.NDArray[np.int64]:
        """Return the newest `limit` entries that touched an account, newest first, as indices.

        With `before`, only those with a smaller index: the next page of a statement.
        """
        found = np.zeros(max(0, min(limit, self._log.count)), np.int64)
        if not self._exists(number):
            return found[:0]
        newest = int(self.accounts[number]["last_entry"])
        end = self._log.count if before is None else min(max(before, 0), self._log.count)
        if end < newest and self._touches(end, number):
            newest = end + 1  # the chain is entered in its middle, not walked from its end
        count = kernels.walk_entries(self.entries, newest, number, end, found)
        return found[:count]

    def entry_of_slot(self, payer: int, sequence: int) -> int | None:
        """Return the entry of the order applied in an account's slot; None while there is none."""
        if not 0 <= sequence < self.next_sequence(payer):
            return None
        newest = int(self.accounts[payer]["last_entry"])
        entry = kernels.find_slot(self.entries, newest, int(payer), int(sequence))
        return None if entry < 0 else int(entry)

    def is_forgotten(self, payer: int, sequence: int) -> bool:
        """Whether a slot was decided, and nobody can tell from these entries by what."""
        decided = 0 <= sequence < self.next_sequence(payer)
        return (
            bool(self.entries_missing) and decided and self.entry_of_slot(payer, sequence) is None
        )

    def _touches(self, entry: int, number: int) -> bool:
        """Whether an entry surely is in an account's chain: as payer or payee, not as revenue."""
        record = self.entries[entry]
        if record["revenue_previous"] == ROW_OF_TABLE:  # its payer has the entry of the order
            return number == int(record["payee"])
        return number in (int(record["payer"]), int(record["payee"]))

    def _exists(self, number: int) -> bool:
        if not 0 <= number < len(self.accounts):
            return False
        return bool(self.accounts[number]["flags"] & KIND_MASK)

    # -- the whole --------------------------------------------------------------------------------

    def digest(self) -> bytes:
        """Return 32 bytes that name the state: every account, alias, issuer, tariff, hold, all of it.

        It does not depend on the order in which the state was reached. Only pages of accounts that
        were touched since the last digest are hashed again.
        """
        return root_of_pages(self.leaves())

    def leaves(self) -> Leaves:
        """Return the leaves of the tree of its pages: what `digest` is the root of."""
        self._hash_dirty_pages()
        used = np.flatnonzero(self._page_used)
        accounts = leaves_for(Section.ACCOUNTS, used, self._page_digests[used])
        rest = leaves_of_parts(Section.REST, list(cut_into_pages(self.rest())))
        return np.concatenate([accounts, self.aliases.leaves(), rest])

    def rest(self) -> bytes:
        """Return what there is beside accounts and aliases, as digests cover it."""
        return write_rest(self.issuers, self.tariffs, self.side)

    def take_rest(self, rest: Rest) -> None:
        """Take what lay beside the accounts of the ledger from which this one is filled."""
        self.issuers = {}
        self._set_limits(rest.issuers)
        self.tariffs = tuple(rest.tariffs)
        self.side = rest.side
        self._set_tariff_arrays()

    def know_digests(self, leaves: Leaves) -> None:
        """These are the leaves of the pages of accounts as they are now: they were just checked."""
        pages = leaves["page"][leaves["section"] == Section.ACCOUNTS].astype(np.int64)
        self._page_digests[pages] = leaves["digest"][leaves["section"] == Section.ACCOUNTS]
        self._page_used[pages] = True
        self._pages[pages] &= ~np.uint8(kernels.PAGE_UNHASHED)

    def take_entries(
        self,
        parts: Iterable[npt.NDArray[np.void]],
        accounts: npt.NDArray[np.uint32],
        newest: npt.NDArray[np.uint64],
    ) -> None:
        """Take statement entries, ENTRY arrays one behind the other, before there are any.

        `newest` (k,) are the newest entries, plus one, of these (k,) accounts.
        """
        assert not self._log.count
        for part in parts:
            self._log.room_for(len(part))[self._log.count : self._log.count + len(part)] = part
            self._log.count += len(part)
        self.accounts["last_entry"][accounts] = newest

    def newest_entries(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
        """Return the accounts that have statement entries, (k,), and their newest ones plus one, (k,)."""
        pages = np.flatnonzero(self._pages)
        rows = (pages[:, None] * PAGE_ACCOUNTS + np.arange(PAGE_ACCOUNTS)).reshape(-1)
        rows = rows[self.accounts["last_entry"][rows] != 0]
        return rows, self.accounts["last_entry"][rows]

    def pages_changed(self, numbers: npt.NDArray[np.int64]) -> None:
        """These (k,) pages of accounts were written from outside: they are to be hashed and added up."""
        self._pages[numbers] = kernels.PAGE_DIRTY

    def _set_tariff_arrays(self) -> None:
        arrays = _tariff_arrays(self.tariffs, self.side.tariff_days)
        self._prices, self._terms, self._limits = arrays

    def account_pages(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Return these (k,) pages of accounts, (k, PAGE_BYTES), a copy."""
        return pack(self.accounts, self.identities, numbers)

    def _hash_dirty_pages(self) -> None:
        """Bring `_page_digests` up to date; a page of zeros has none, touched or not."""
        dirty = np.flatnonzero(self._pages & kernels.PAGE_UNHASHED)
        for start in range(0, len(dirty), PAGES_TOGETHER):
            numbers = dirty[start : start + PAGES_TOGETHER]
            pages = self.account_pages(numbers)
            self._page_digests[numbers] = digests_of(pages)
            self._page_used[numbers] = np.any(pages, axis=1)
            self._pages[numbers] &= ~np.uint8(kernels.PAGE_UNHASHED)

    @property
    def account_count(self) -> int:
        """How many accounts exist."""
        touched = np.flatnonzero(self._pages)
        flags = self.accounts["flags"].reshape(-1, PAGE_ACCOUNTS)[touched]
        return int(np.count_nonzero(flags & KIND_MASK))

    def total_cents(self) -> int:
        """Return the exact sum of all balances, in cents: zero, always."""
        high, low = kernels.add_up(self.accounts, np.flatnonzero(self._pages))
        return (int(high) << 32) + int(low)

    def audited_cents(self, patrol: int) -> int:
        """Return the sum of all balances, in cents: zero, always, unless a bit of memory has flipped.

        Only pages that were touched since the last audit are added up anew, and `patrol` others in turn:
        so an audit costs what has changed, and a flipped bit is found when all pages have had their turn.
        """
        touched = np.flatnonzero(self._pages)
        if not len(touched):
            return 0
        changed = touched[self._pages[touched] & kernels.PAGE_UNSUMMED != 0]
        turn = touched[(self._patrolled + np.arange(min(patrol, len(touched)))) % len(touched)]
        self._patrolled = (self._patrolled + patrol) % len(touched)
        again = np.union1d(changed, turn)
        self._audited += int(kernels.add_up_pages(self.accounts, again, self._page_sums))
        self._pages[again] &= ~np.uint8(kernels.PAGE_UNSUMMED)
        return self._audited


def slot_of(order: np.void) -> tuple[Space, bytes, int]:
    """Return the slot of an ORDER record: whose it is, and its sequence."""
    read = Order.of(order)
    space = MOVEMENTS[OrderKind(read.kind)].space if read.kind in MOVEMENTS else Space.ACCOUNT
    if space is Space.ACCOUNT:
        return space, subject_of_account(read.payer), read.sequence
    return space, house_rules.subject_of(read), read.sequence


class _Accounts(Mapping[int, Account]):
    """A ledger's accounts for the readable rules, each read when it is asked for.

    A row where no account is may hold fees that came before it, and is read too.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __getitem__(self, number: int) -> Account:
        if not 0 <= number < len(self._ledger.accounts):
            raise KeyError(number)
        return Account.of(self._ledger.records(np.array([number]))[0])

    def __iter__(self) -> Iterator[int]:
        return iter(np.flatnonzero(self._ledger.accounts["flags"]).tolist())

    def __len__(self) -> int:
        return self._ledger.account_count


class _Aliases(Mapping[bytes, AliasRow]):
    """A ledger's aliases for the readable rules."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __getitem__(self, alias: bytes) -> AliasRow:
        found = self._ledger.aliases.get(alias)
        if found is None:
            raise KeyError(alias)
        return AliasRow(*found)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._ledger.aliases.following())

    def __len__(self) -> int:
        return len(self._ledger.aliases)


class _Documents(Mapping[bytes, bytes]):
    """What came with orders, as bytes, for the readable rules."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def __getitem__(self, name: bytes) -> bytes:
        found = self._tables[name]
        if found.dtype != DOCUMENT:
            raise KeyError(name)
        return found.tobytes()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)


def _not_known(_position: int, _index: int) -> np.void | None:
    """No journal, no originals."""
    return None


def _pieces(openings: npt.NDArray[np.void]) -> Iterator[npt.NDArray[np.void]]:
    """Yield a nation's accounts a million at a time: between two pieces other threads have their turn."""
    for start in range(0, len(openings), OPENED_AT_ONCE):
        yield openings[start : start + OPENED_AT_ONCE]


def _check_balances(openings: npt.NDArray[np.void], issuers: Mapping[int, int]) -> None:
    """Raise LedgerError unless only banks are below zero, within limits, and the sum is zero."""
    banks: dict[int, int] = {}
    total = 0
    for some in _pieces(openings):
        is_bank = (some["flags"] & KIND_MASK) == AccountKind.BANK
        banks |= {int(row["number"]): int(row["balance"]) for row in some[is_bank]}
        below = np.flatnonzero((some["balance"] < 0) & ~is_bank)
        if len(below):
            number = int(some["number"][below[0]])
            raise LedgerError(f"account {number} opens below zero and is not a bank")
        high = int((some["balance"] >> 32).sum())
        total += (high << 32) + int((some["balance"] & 0xFFFFFFFF).sum())
    for number, limit in issuers.items():
        if number not in banks:
            raise LedgerError(f"account {number} is to issue money but is not opened as a bank")
        if limit < 0:
            raise LedgerError(f"the limit of bank {number} is below zero")
    for number, balance in banks.items():
        if balance < -issuers.get(number, 0):
            raise LedgerError(f"bank {number} opens below its limit")
    if total:
        raise LedgerError(f"the opening balances add up to {total} cents, not to zero")


def _tariff_arrays(
    tariffs: Sequence[Tariff], first_days: Mapping[int, int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the (prices, terms, limits) of `kernels.check_orders`; `first_days` are by version.

    A tariff with fewer bands is padded with its last upper bound: no amount lies between the two.
    """
    arrays = [tariff.as_array() for tariff in tariffs]
    # Whole vectors of four: the kernel then counts bands without a remainder.
    bands = -(-max((array.shape[2] for array in arrays), default=1) // 4) * 4
    prices = np.zeros((len(tariffs), len(FeeTable), 3, bands), np.int64)
    terms = np.zeros((len(tariffs), 6), np.int64)
    limits = np.zeros((len(tariffs), kernels.TIERS, 3), np.int64)
    for row, (tariff, own) in enumerate(zip(tariffs, arrays, strict=True)):
        width = own.shape[2]
        prices[row, :, :, :width] = own
        prices[row, :, UPPER, width:] = own[:, UPPER, -1:]
        prices[row, :, FEE, width:] = NO_SERVICE
        terms[row, kernels.VERSION] = tariff.version
        terms[row, kernels.EXCISE] = tariff.excise_basis_points
        terms[row, kernels.SHARED_PAYER] = tariff.shared_payer_basis_points
        begins = first_days.get(tariff.version, 0)
        terms[row, kernels.BEGINS] = begins
        terms[row, kernels.ENDS] = min(
            (d for d in first_days.values() if d > begins), default=1 << 16
        )
        if tariff.commissions is not None:
            terms[row, kernels.HEAD_OFFICE] = tariff.commissions.head_office_basis_points
        limits[row] = [tariff.limits_of(tier) for tier in range(kernels.TIERS)]
    return prices.reshape(-1, 3, bands), terms, limits.reshape(-1, 3)


def _table_of(order: Orders, tables: Tables) -> tuple[PayeeTable, np.bool_]:
    """Return the table that a bulk pay-out, (1,), names, and whether it came."""
    table = tables.get(order["reference"].tobytes())
    if table is None or table.dtype != PAYEE:
        return _NO_TABLE, np.False_
    return readable(table, PAYEE), np.True_
