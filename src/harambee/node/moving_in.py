"""Moving house: which accounts of an incumbent's file can be opened here, and why the others cannot.

Every row is judged, and gets one Reason. Whatever is wrong with it, it stays in the count: accepted and
refused rows are all rows, and their cents are all cents of the file that can be read. Of each row 84
bytes are kept, and no text; `refusals` reads the file again and puts a sentence beside each refused row.

A number is judged before the balance and the key of its row, and whoever has it first has it: a later
row with the same number is refused even where the first one is refused too, because it is not known then
which of the two is right. Keys may be shared: one phone signs for a customer, her pochi and her till.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harambee.crypto.keys import PublicKey
from harambee.crypto.p256 import read_point
from harambee.crypto.signatures import PUBLIC_BYTES, KeyFault, key_faults
from harambee.handset.numbers import canonical_number
from harambee.handset.telephone import TelephoneError, telephone
from harambee.ledger.memory import reserved
from harambee.ledger.records import (
    FIRST_FREE_POSITION,
    REGION_ACCOUNTS,
    TIER_MASK,
    AccountKind,
    KeyType,
    account_flags,
)
from harambee.money.amounts import MAX_AMOUNT_CENTS, AmountError, read_cents
from harambee.money.tariff import FeeMode, Tariff
from harambee.node.account_files import ROWS_AT_ONCE, AccountFile, AccountFileError, Row, Tell
from harambee.node.directory import ALIAS_BYTES, alias_of_canonical

KINDS: Final = {
    kind.name.lower(): kind
    for kind in (
        AccountKind.CUSTOMER,
        AccountKind.AGENT,
        AccountKind.MERCHANT,
        AccountKind.BUSINESS,
        AccountKind.POCHI,
    )
}
UNKNOWN_KIND: Final = "unknown"

_WORDS: Final = {
    AccountKind.AGENT: "agent",
    AccountKind.MERCHANT: "till",
    AccountKind.BUSINESS: "paybill",
    AccountKind.POCHI: "pochi",
}
"""What stands before the number of such an account; a customer's has no word."""
_TIERED: Final = frozenset({AccountKind.CUSTOMER, AccountKind.POCHI})
_KEY_TYPES: Final = {"": KeyType.ED25519, "ed25519": KeyType.ED25519, "p256": KeyType.P256}
_FEE_MODES: Final = {mode.name.lower(): mode for mode in FeeMode}
_NO_KEY: Final = bytes(PUBLIC_BYTES)


class Reason(IntEnum):
    """What became of a row, in the order in which it is asked; the first that holds."""

    ACCEPTED = 0
    NOT_A_ROW = 1
    KIND_UNKNOWN = 2
    NUMBER_WRONG = 3
    BALANCE_NOT_EXACT = 4
    BALANCE_NEGATIVE = 5
    BALANCE_TOO_LARGE = 6
    NO_KEY = 7
    KEY_UNREADABLE = 8
    KEY_NOT_A_POINT = 9
    KEY_OF_SMALL_ORDER = 10
    TIER_WRONG = 11
    FEE_MODE_WRONG = 12
    SUPER_AGENT_UNKNOWN = 13
    HEAD_OFFICE_WRONG = 14
    NUMBER_TAKEN = 15
    REGION_FULL = 16
    HEAD_OFFICE_UNKNOWN = 17


SENTENCES: Final = {
    Reason.NOT_A_ROW: "The row has not as many cells as the file has columns, or one is too long.",
    Reason.KIND_UNKNOWN: f"The kind is none of {', '.join(KINDS)}.",
    Reason.NUMBER_WRONG: (
        "This is not a number of such an account: a customer and a pochi have a mobile number, "
        "others a code of 5 to 7 digits."
    ),
    Reason.BALANCE_NOT_EXACT: "The balance is not shillings with two decimals, as in 1000.50.",
    Reason.BALANCE_NEGATIVE: "The balance is below zero.",
    Reason.BALANCE_TOO_LARGE: "The balance is larger than an amount can be here.",
    Reason.NO_KEY: (
        "There is no key, so nobody could sign for this account: pay the money out, or let its "
        "owner open an account later with `harambee register`."
    ),
    Reason.KEY_UNREADABLE: (
        "The key is not one: 64 hexadecimal digits of type ed25519, or of type p256 the 66 or 130 "
        "of a point."
    ),
    Reason.KEY_NOT_A_POINT: "The key is no point of its curve, so nobody could sign for it.",
    Reason.KEY_OF_SMALL_ORDER: "The key is a point of small order, so anybody could sign for it.",
    Reason.TIER_WRONG: "The tier is none of the tariff's, or the account is of a kind without tiers.",
    Reason.FEE_MODE_WRONG: (
        "The fee mode is not payer, payee or shared, or the account is not a business."
    ),
    Reason.SUPER_AGENT_UNKNOWN: "There is no such super-agent, by name or by index.",
    Reason.HEAD_OFFICE_WRONG: (
        "The head office is not the number of an agent or a paybill, or the account is no agent."
    ),
    Reason.NUMBER_TAKEN: "Line {line} has this number already.",
    Reason.REGION_FULL: "The region of this super-agent is full.",
    Reason.HEAD_OFFICE_UNKNOWN: (
        "The head office is no accepted account of the same super-agent, or has a head office itself."
    ),
}
assert set(SENTENCES) == set(Reason) - {Reason.ACCEPTED}

JUDGED: Final = np.dtype(
    [
        ("alias", "u1", ALIAS_BYTES),
        ("key", "u1", PUBLIC_BYTES),
        ("balance", "<i8"),
        ("flags", "<u4"),
        ("line", "<u4"),
        ("region", "<u2"),
        ("kind", "u1"),
        ("reason", "u1"),
    ]
)
"""What is kept of a row; an alias of zeros where it has no number, cents where it has an amount."""
assert JUDGED.itemsize == 84
_BRANCH: Final = np.dtype([("row", "<u4"), ("office", "u1", ALIAS_BYTES)])
"""An agent with a head office: its row, and the alias of the office."""


class Count(NamedTuple):
    """How many rows, and how many cents they hold."""

    rows: int
    cents: int


@dataclass
class Tally:
    """Rows and cents of a file, by kind and reason; together they are all of them."""

    counts: dict[tuple[str, Reason], Count] = field(default_factory=dict)
    without_amount: int = 0
    """Rows whose balance cannot be read, so that their cents are not counted; all of them refused."""
    shared_keys: int = 0
    """Accepted accounts whose key another accepted account has, too."""

    def add(self, kind: str, reason: Reason, rows: int, cents: int) -> None:
        """Count some more."""
        before = self.counts.get((kind, reason), Count(0, 0))
        self.counts[kind, reason] = Count(before.rows + rows, before.cents + cents)

    def total(self, *, accepted: bool | None = None) -> Count:
        """Return the sum over the accepted rows, over the refused ones, or over all."""
        found = [
            count
            for (_, reason), count in self.counts.items()
            if accepted in (None, reason is Reason.ACCEPTED)
        ]
        return Count(sum(c.rows for c in found), sum(c.cents for c in found))


@dataclass(frozen=True, eq=False)
class Incumbent:
    """An incumbent's accounts, judged."""

    file: AccountFile
    directory_key: bytes
    """With which the aliases were made: it must become the network's."""
    rows: npt.NDArray[np.void]
    """JUDGED, in the file's order."""
    by_alias: npt.NDArray[np.int64]
    """Accepted rows, ascending by alias."""
    branches: npt.NDArray[np.uint32]
    """(n, 2): accepted rows of agents, and of their head offices."""
    repeats: npt.NDArray[np.uint32]
    """(n, 2): rows whose number is taken, ascending, and the lines that have it."""
    tally: Tally

    @property
    def accepted(self) -> npt.NDArray[np.int64]:
        """The accepted rows, in the file's order."""
        return np.flatnonzero(self.rows["reason"] == Reason.ACCEPTED)

    def refusals(self, tell: Tell) -> Iterator[tuple[Row, Reason, str]]:
        """Yield every refused row with its reason and a sentence; AccountFileError, OSError.

        The file is read again for it.
        """
        reasons = self.rows["reason"]
        lines = iter(self.repeats[:, 1])
        for at, row in enumerate(self.file.rows(tell)):
            if at >= len(reasons):
                raise AccountFileError(f"{self.file.path.name} was changed while it was read")
            if reason := int(reasons[at]):
                sentence = SENTENCES[Reason(reason)]
                if reason == Reason.NUMBER_TAKEN:
                    sentence = sentence.format(line=next(lines))
                yield row, Reason(reason), sentence


def judge(
    file: AccountFile,
    *,
    super_agents: Sequence[str],
    tariff: Tariff,
    directory_key: bytes,
    taken: Sequence[int],
    tell: Tell,
) -> Incumbent:
    """Read a file to its end and judge every row; AccountFileError, OSError.

    Super-agent i has region i, in which `taken[i]` accounts are opened beside the file's.
    """
    judging = _Judging(super_agents, tariff, directory_key)
    rows = reserved(max(1, file.rows_most), JUDGED)
    branches, count = [np.empty(0, _BRANCH)], 0
    page: list[Row] = []

    def end_page() -> None:
        nonlocal count
        end = count + len(page)
        if end > len(rows):
            raise AccountFileError(f"{file.path.name} was changed while it was read")
        branches.append(judging.page(file, page, rows[count:end], count))
        count = end
        page.clear()

    for row in file.rows(tell):
        page.append(row)
        if len(page) == ROWS_AT_ONCE:
            end_page()
    if page:
        end_page()
    if not count:
        raise AccountFileError(f"{file.path.name} has no rows")
    rows = rows[:count]
    rooms = [REGION_ACCOUNTS - FIRST_FREE_POSITION - of_region for of_region in taken]
    return _compared(file, directory_key, rows, np.concatenate(branches), rooms, judging.tally)


# -- one row by itself ----------------------------------------------------------------------------


@lru_cache(maxsize=4_096)
def _flags_of(kind: AccountKind, tier: int, form: int, fee_mode: FeeMode) -> int:
    return account_flags(
        kind,
        tier=tier,
        key_type=KeyType(form & 3),
        p256_sign=bool(form & 4),
        fee_mode=fee_mode,
    )


class _Taken:
    """What was taken from one row's cells so far."""

    __slots__ = ("alias", "fee_mode", "kind", "office", "public", "region", "tier")

    def __init__(self, kind: AccountKind) -> None:
        self.kind = kind
        self.alias = b""
        self.public = PublicKey(0, _NO_KEY)
        self.tier = 0
        self.fee_mode = FeeMode.PAYER
        self.region = 0
        self.office = b""


class _Judging:
    """Judges rows one by one, and keys a page at once."""

    def __init__(self, super_agents: Sequence[str], tariff: Tariff, directory_key: bytes) -> None:
        self.tally = Tally()
        self._regions = {str(i): i for i in range(len(super_agents))}
        self._regions |= {name: i for i, name in enumerate(super_agents)}
        tiers = {own.tier for own in tariff.tiers} or set(range(1, TIER_MASK + 1))
        self._tiers = {"": 0} | {str(tier): tier for tier in {0, *tiers}}
        self._directory_key = directory_key

    def page(
        self, file: AccountFile, page: Sequence[Row], rows: npt.NDArray[np.void], first: int
    ) -> npt.NDArray[np.void]:
        """Judge a page into `rows`, which are zeros; returns its branches. `first` is its first row."""
        aliases, keys, offices = [], [], []
        columns: list[tuple[int, int, int, int, int, int]] = []
        for at, row in enumerate(page):
            taken, cents, reason = self._judged(file.cells(row))
            aliases.append(taken.alias or bytes(ALIAS_BYTES))
            keys.append(taken.public.key)
            if taken.office:
                offices.append((first + at, np.frombuffer(taken.office, np.uint8)))
            flags = _flags_of(taken.kind, taken.tier, taken.public.form, taken.fee_mode)
            columns.append((cents, flags, row.line, taken.region, taken.kind, reason))
        rows["alias"] = _bytes_of(aliases, ALIAS_BYTES)
        rows["key"] = _bytes_of(keys, PUBLIC_BYTES)
        names = ("balance", "flags", "line", "region", "kind", "reason")
        for name, column in zip(names, zip(*columns, strict=True), strict=False):
            rows[name] = column
        self._judge_keys(rows)
        return np.array(offices, _BRANCH)

    @staticmethod
    def _judge_keys(rows: npt.NDArray[np.void]) -> None:
        """Refuse keys of Ed25519 of which no signature counts; points of P-256 were read as such."""
        is_ed25519 = rows["flags"] == rows["flags"] & ~np.uint32(_KEY_TYPE_IN_FLAGS)
        # Whatever was refused for what stands behind the key in the order of reasons has one.
        asked = np.flatnonzero(
            is_ed25519 & ((rows["reason"] == 0) | (rows["reason"] > Reason.KEY_OF_SMALL_ORDER))
        )
        faults = key_faults(rows["key"][asked], threads=1)
        rows["reason"][asked[faults == KeyFault.NOT_A_POINT]] = Reason.KEY_NOT_A_POINT
        rows["reason"][asked[faults == KeyFault.SMALL_ORDER]] = Reason.KEY_OF_SMALL_ORDER

    def _judged(self, cells: Sequence[str] | None) -> tuple[_Taken, int, Reason]:
        """Return what a row has, its cents, and its reason as far as it shows from the row's text."""
        if cells is None:
            self.tally.without_amount += 1
            return _Taken(AccountKind.NONE), 0, Reason.NOT_A_ROW
        number, kind, balance, key, super_agent, key_type, tier, office, fee_mode = map(
            str.strip, cells
        )
        taken = _Taken(KINDS.get(kind.lower(), AccountKind.NONE))
        reason = Reason.KIND_UNKNOWN if not taken.kind else self._take_number(taken, number)
        cents, worth = self._cents_of(balance)
        reason = (
            reason
            or worth
            or _take_key(taken, key, key_type.lower())
            or self._take_terms(taken, tier, fee_mode.lower())
            or self._take_home(taken, super_agent, office)
        )
        if abs(cents) > MAX_AMOUNT_CENTS:
            # No array has room for it, and its row is refused whatever the others are.
            kind_name = taken.kind.name.lower() if taken.kind else UNKNOWN_KIND
            self.tally.add(kind_name, reason, 0, cents)
            cents = 0
        return taken, cents, reason

    def _take_number(self, taken: _Taken, text: str) -> Reason:
        try:
            number = _number_of(taken.kind, text)
        except TelephoneError:
            return Reason.NUMBER_WRONG
        taken.alias = alias_of_canonical(self._directory_key, number)
        return Reason.ACCEPTED

    def _cents_of(self, text: str) -> tuple[int, Reason]:
        try:
            cents = read_cents(text)
        except AmountError:
            self.tally.without_amount += 1
            return 0, Reason.BALANCE_NOT_EXACT
        if cents < 0:
            return cents, Reason.BALANCE_NEGATIVE
        too_large = cents > MAX_AMOUNT_CENTS
        return cents, Reason.BALANCE_TOO_LARGE if too_large else Reason.ACCEPTED

    def _take_terms(self, taken: _Taken, tier: str, fee_mode: str) -> Reason:
        known = self._tiers.get(tier)
        if known is None or (known and taken.kind not in _TIERED):
            return Reason.TIER_WRONG
        taken.tier = known
        if fee_mode:
            if taken.kind is not AccountKind.BUSINESS or fee_mode not in _FEE_MODES:
                return Reason.FEE_MODE_WRONG
            taken.fee_mode = _FEE_MODES[fee_mode]
        return Reason.ACCEPTED

    def _take_home(self, taken: _Taken, super_agent: str, office: str) -> Reason:
        region = self._regions.get(super_agent)
        if region is None:
            return Reason.SUPER_AGENT_UNKNOWN
        taken.region = region
        if office:
            try:
                number = _office_number(office)
            except TelephoneError:
                return Reason.HEAD_OFFICE_WRONG
            if taken.kind is not AccountKind.AGENT:
                return Reason.HEAD_OFFICE_WRONG
            taken.office = alias_of_canonical(self._directory_key, number)
        return Reason.ACCEPTED


_KEY_TYPE_IN_FLAGS: Final = account_flags(AccountKind.NONE, key_type=KeyType.P256)


def _bytes_of(cells: Sequence[bytes], width: int) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"".join(cells), np.uint8).reshape(len(cells), width)


def _number_of(kind: AccountKind, text: str) -> str:
    """Return the canonical number of an account of this kind; TelephoneError if it is none.

    The word of its kind may stand before it.
    """
    word = _WORDS.get(kind)
    if word is None:
        return telephone(text)
    number = canonical_number(text if text[:1].isalpha() else f"{word}:{text}")
    if not number.startswith(word):
        raise TelephoneError("This is a number of an account of another kind.")
    return number


def _office_number(text: str) -> str:
    """Return the canonical number of a head office, an agent's where it does not say paybill."""
    is_biller = text[:1].lower() == "p"
    return _number_of(AccountKind.BUSINESS if is_biller else AccountKind.AGENT, text)


def _take_key(taken: _Taken, text: str, type_text: str) -> Reason:
    if not text:
        return Reason.NO_KEY
    key_type = _KEY_TYPES.get(type_text)
    try:
        encoded = bytes.fromhex(text)
    except ValueError:
        return Reason.KEY_UNREADABLE
    if key_type is None or 2 * len(encoded) != len(text):
        return Reason.KEY_UNREADABLE
    if key_type is KeyType.ED25519:
        if len(encoded) != PUBLIC_BYTES:
            return Reason.KEY_UNREADABLE
        taken.public = PublicKey(KeyType.ED25519, encoded)
        return Reason.ACCEPTED
    if (len(encoded), encoded[0]) not in {(33, 2), (33, 3), (65, 4)}:
        return Reason.KEY_UNREADABLE
    point = read_point(encoded)
    if point is None:
        return Reason.KEY_NOT_A_POINT
    taken.public = PublicKey(KeyType.P256 | (4 if point[1] else 0), point[0])
    return Reason.ACCEPTED


# -- one row beside the others --------------------------------------------------------------------


def _compared(
    file: AccountFile,
    directory_key: bytes,
    rows: npt.NDArray[np.void],
    branches: npt.NDArray[np.void],
    rooms: Sequence[int],
    tally: Tally,
) -> Incumbent:
    """Refuse rows for what others are: their number, the room in their region, their head office."""
    by_alias, is_repeated = _groups(rows["alias"])
    begins = np.maximum.accumulate(np.where(is_repeated, 0, np.arange(len(rows))))
    repeated = is_repeated & rows["alias"][by_alias].any(axis=1)
    repeated &= rows["reason"][by_alias] == Reason.ACCEPTED
    again, firsts = by_alias[repeated], by_alias[begins[repeated]]
    rows["reason"][again] = Reason.NUMBER_TAKEN
    repeats = np.column_stack((again.astype(np.uint32), rows["line"][firsts]))[np.argsort(again)]
    for region, room in enumerate(rooms):
        own = np.flatnonzero((rows["reason"] == Reason.ACCEPTED) & (rows["region"] == region))
        rows["reason"][own[room:]] = Reason.REGION_FULL
    joined = _join(rows, by_alias, branches)
    accepted = by_alias[rows["reason"][by_alias] == Reason.ACCEPTED]
    _count(rows, tally)
    return Incumbent(file, directory_key, rows, accepted, joined, repeats, tally)


def _groups(table: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the order of (n, 32) bytes, ascending, and which of it are equal to the one before.

    Equal ones keep the order in which they came.
    """
    heads = _words_of(table[:, :8])[:, 0]
    order = np.argsort(heads, kind="stable")
    heads = heads[order]
    is_repeated = np.zeros(len(table), np.bool_)
    is_repeated[1:] = heads[1:] == heads[:-1]
    # Where the first eight bytes tell two apart, as they nearly always do, the others need no look.
    is_tied = is_repeated.copy()
    is_tied[:-1] |= is_repeated[1:]
    places = np.flatnonzero(is_tied)
    words = _words_of(table[order[places]])
    ascending = np.lexsort(words.T[::-1])
    order[places], words = order[places[ascending]], words[ascending]
    is_repeated[places[1:]] = (words[1:] == words[:-1]).all(axis=1)
    return order, is_repeated


def _words_of(table: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Return (n, 8·m) bytes as (n, m) numbers that ascend as they do."""
    return np.ascontiguousarray(table).view(">u8").astype(np.uint64)


def _join(
    rows: npt.NDArray[np.void], by_alias: npt.NDArray[np.int64], branches: npt.NDArray[np.void]
) -> npt.NDArray[np.uint32]:
    """Refuse agents whose head office cannot be one; return the others with theirs, (n, 2) rows."""
    branches = branches[rows["reason"][branches["row"]] == Reason.ACCEPTED]
    if not len(branches):
        return np.empty((0, 2), np.uint32)
    offices, which = np.unique(branches["office"], axis=0, return_inverse=True)
    found = np.array([_find(rows, by_alias, office) for office in offices], np.int64)[
        which.reshape(-1)
    ]
    has_office = np.zeros(len(rows), np.bool_)
    has_office[branches["row"]] = True
    good = (
        (found >= 0)
        & (rows["reason"][found] == Reason.ACCEPTED)
        & (rows["region"][found] == rows["region"][branches["row"]])
        & ~has_office[found]
    )
    rows["reason"][branches["row"][~good]] = Reason.HEAD_OFFICE_UNKNOWN
    return np.column_stack((branches["row"][good], found[good].astype(np.uint32)))


def _find(
    rows: npt.NDArray[np.void], by_alias: npt.NDArray[np.int64], alias: npt.NDArray[np.uint8]
) -> int:
    """Return the first row with this alias, by halving; -1 if there is none."""
    wanted, low, high = alias.tobytes(), 0, len(by_alias)
    while low < high:
        middle = (low + high) // 2
        if rows["alias"][by_alias[middle]].tobytes() < wanted:
            low = middle + 1
        else:
            high = middle
    if low == len(by_alias) or rows["alias"][by_alias[low]].tobytes() != wanted:
        return -1
    return int(by_alias[low])


def _count(rows: npt.NDArray[np.void], tally: Tally) -> None:
    """Count rows and cents by kind and reason."""
    for kind in np.unique(rows["kind"]).tolist():
        name = AccountKind(kind).name.lower() if kind else UNKNOWN_KIND
        is_kind = rows["kind"] == kind
        for reason in np.unique(rows["reason"][is_kind]).tolist():
            balances = rows["balance"][is_kind & (rows["reason"] == reason)]
            tally.add(name, Reason(reason), len(balances), _exact_sum(balances))
    keys = rows["key"][rows["reason"] == Reason.ACCEPTED]
    order, is_repeated = _groups(keys)
    is_shared = is_repeated.copy()
    is_shared[:-1] |= is_repeated[1:]
    assert len(order) == len(keys)
    tally.shared_keys = int(is_shared.sum())


def _exact_sum(cents: npt.NDArray[np.int64]) -> int:
    """Return the sum of amounts of up to MAX_AMOUNT_CENTS, too many of which would overflow an i64."""
    return (int((cents >> 32).sum()) << 32) + int((cents & 0xFFFF_FFFF).sum())
