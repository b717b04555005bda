"""The verdict: what the load was told, against what every super-agent holds when it has ended.

The judge trusts nobody's sum. She reads every final order from each replica, adds the
openings and the orders up herself, in plain NumPy, and compares: the orders with the load's own
log, the balances with the accounts that the replica shows, the digests with each other.

- **lost**: orders and cancels told final that some replica does not have, byte for byte of what was
  signed.
- **duplicated**: final orders beyond the first in one slot, in any replica.
- **conserved**: every replica's accounts add up to zero by its own word, and its balances and
  sequences are those that its final orders make of the openings.
- **digests equal**: all replicas show one digest, with one count of entries.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import numpy as np
import numpy.typing as npt

from harambee.ledger.kinds import IS_ELSEWHERE, MOVEMENTS, OrderKind
from harambee.ledger.ledger import slot_of
from harambee.ledger.records import (
    ACCOUNT,
    BODY_BYTES,
    ORDER,
    ORDER_BYTES,
    POSITION_BITS,
    POSITION_EXCISE,
    POSITION_REVENUE,
)
from harambee.ledger.rules import Order, as_moved, credits_of
from harambee.money.tariff import Tariff
from harambee.traffic.book import Book
from harambee.traffic.generator import Door

FINALS_PER_REQUEST: Final = 32_768
ACCOUNTS_PER_REQUEST: Final = 32_768
POLL_S: Final = 0.1
OCTETS: Final = {"Content-Type": "application/octet-stream"}

Orders = npt.NDArray[np.void]
Slots = npt.NDArray[np.uint64]


class VerdictError(Exception):
    """A replica cannot be examined; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Openings:
    """The accounts as the network's genesis has them: numbers ascending."""

    numbers: npt.NDArray[np.uint32]
    balances_cents: npt.NDArray[np.int64]
    next_sequences: npt.NDArray[np.uint32]
    tariffs: Mapping[int, Tariff] = field(default_factory=dict)
    """By version; an order that names none of them pays its whole fee into revenue."""

    def __post_init__(self) -> None:
        assert np.all(self.numbers[1:] > self.numbers[:-1]), "numbers ascend"


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found in one replica."""

    lost: npt.NDArray[np.bool_]
    """For each told order, whether the replica lacks it."""
    duplicated: int
    balances_agree: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found in all of them."""

    lost: int
    lost_cents: int
    """The amounts of what was lost."""
    duplicated: int
    conserved: bool
    digests_equal: bool
    entries: int
    examined: int

    @property
    def clean(self) -> bool:
        """Nothing lost, nothing doubled, no cent made."""
        return not self.lost and not self.duplicated and self.conserved and self.digests_equal

    def as_json(self) -> dict[str, Any]:
        """The fields, for programs."""
        return {
            "lost": self.lost,
            "lost_cents": self.lost_cents,
            "duplicated": self.duplicated,
            "conserved": self.conserved,
            "digests_equal": self.digests_equal,
            "entries": self.entries,
            "examined": self.examined,
        }


def examine(told: Orders, finals: Orders, openings: Openings, accounts: Orders) -> Examination:
    """Compare one replica's final orders and accounts with what was told and with the openings.

    `told` and `finals` are ORDER arrays, `accounts` the ACCOUNT records of the openings' numbers.
    """
    return Examination(
        lost_in(told, finals),
        duplicates_in(finals),
        _as_recomputed(finals, openings, accounts),
    )


def lost_in(told: Orders, finals: Orders) -> npt.NDArray[np.bool_]:
    """For each order told final: whether its slot holds nothing here, or other signed bytes."""
    finals = finals[_holds_account_slot(finals)]
    if not len(finals):
        return np.ones(len(told), np.bool_)
    held = _slots(finals)
    order = np.argsort(held, kind="stable")
    wanted = _slots(told)
    place = np.minimum(np.searchsorted(held[order], wanted), len(held) - 1)
    found = order[place]
    same = (_bodies(finals)[found] == _bodies(told)).all(axis=1)
    return np.asarray((held[found] != wanted) | ~same)


def duplicates_in(finals: Orders) -> int:
    """How many final orders stand in a slot that another one has."""
    in_account = _holds_account_slot(finals)
    slots = _slots(finals[in_account])
    others = finals[~in_account]
    # Those of aliases, of holds, and of what is governed.
    other_slots = {slot_of(order) for order in others}
    return len(slots) - len(np.unique(slots)) + len(others) - len(other_slots)


def recompute(finals: Orders, openings: Openings) -> Openings:
    """Return the accounts that the final orders make of the openings.

    Orders of accounts that were enrolled later count for those that were there from the beginning.
    """
    numbers = openings.numbers
    balances = openings.balances_cents.copy()
    sequences = openings.next_sequences.astype(np.int64)
    moved = _as_moved(finals)
    debits = moved["amount"].astype(np.int64) + moved["fee"].astype(np.int64)
    payers: npt.NDArray[np.uint32] = moved["payer"]
    for whom, cents in ((payers, -debits), *_credits(moved, openings.tariffs)):
        rows, here = _rows_of(numbers, whom)
        np.add.at(balances, rows[here], cents[here])
    rows, here = _rows_of(numbers, finals["payer"])
    here = here & _holds_account_slot(finals)
    np.add.at(sequences, rows[here], 1)
    return Openings(numbers, balances, sequences.astype(np.uint32), openings.tariffs)


def _credits(
    finals: Orders, tariffs: Mapping[int, Tariff]
) -> list[tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]]:
    """Return whom the orders credit, (n,) account numbers, and with how many cents, (n,).

    One pair for payees, one each for revenue, excise and head offices. Orders that are alike but
    for who pays whom are asked about once.
    """
    fields = ["kind", "tariff", "amount", "fee", "options"]
    alike = np.ascontiguousarray(np.asarray(finals[fields]).astype(_PRICED))
    _, first, which = np.unique(
        alike.view(f"V{_PRICED.itemsize}"), return_index=True, return_inverse=True
    )
    shares = np.array([_shares(finals[row], tariffs) for row in first.tolist()], np.int64)
    shares = shares.reshape(-1, 4)[which.reshape(-1)]
    region = finals["payer"] >> POSITION_BITS << POSITION_BITS
    options = finals["options"].astype(np.uint32)
    place = options[:, 0] | options[:, 1] << 8 | options[:, 2] << 16
    offices = (finals["payee"] >> POSITION_BITS << POSITION_BITS) + place
    whom = (finals["payee"], region + POSITION_REVENUE, region + POSITION_EXCISE, offices)
    return [
        (np.asarray(numbers, np.uint32), cents)
        for numbers, cents in zip(whom, shares.T, strict=True)
    ]


_STILL: Final = tuple(int(kind) for kind, row in MOVEMENTS.items() if not row.moves_money)
"""Kinds that move no money, whatever amount stands in them."""

_PRICED: Final = np.dtype(
    [("kind", "u1"), ("tariff", "<u2"), ("amount", "<u8"), ("fee", "<u4"), ("options", "u1", 3)]
)
"""All of an order that says how its debit is parted."""


def _as_moved(finals: Orders) -> Orders:
    """Return the orders as what they move: releases as the payments that they make of holds.

    The amount of an order that moves none, a freeze's say, is a figure and counts as nothing.
    """
    orders = finals.copy()
    for row in np.flatnonzero(orders["kind"] == OrderKind.RELEASE).tolist():
        paid = as_moved(Order.of(orders[row]))
        orders["payer"][row], orders["kind"][row] = paid.payer, paid.kind
        orders["options"][row] = list(paid.options)
    still = np.isin(orders["kind"], _STILL)
    orders["amount"][still] = 0
    orders["fee"][still] = 0
    return orders


def _shares(record: np.void, tariffs: Mapping[int, Tariff]) -> tuple[int, int, int, int]:
    """Return what payee, revenue, excise and head office receive of an order, in cents."""
    order = Order.of(record)
    moves_money = order.kind in set(OrderKind) and MOVEMENTS[OrderKind(order.kind)].moves_money
    if not moves_money or order.tariff not in tariffs:
        return order.amount_cents, order.fee_cents, 0, 0
    credited = credits_of(order, tariffs[order.tariff])
    assert credited is not None, "what was applied could be"
    office = 0 if credited.head_office is None else credited.head_office.cents
    (payee,) = credited.payees
    return payee.cents, credited.revenue.cents, credited.excise.cents, office


async def judge(
    book: Book, doors: list[Door], openings: Openings, deadline_s: float = 60
) -> Verdict:
    """Examine every replica by the log of a load; see `judge_told`."""
    return await judge_told(book.orders[book.told_final], doors, openings, deadline_s)


async def judge_told(
    told: Orders, doors: list[Door], openings: Openings, deadline_s: float = 60
) -> Verdict:
    """Wait until the replicas agree, at most so long, then examine each; VerdictError.

    `told` are the orders and cancels, (n,), that were told final. `doors` are those of all honest
    super-agents; one that does not answer cannot be examined. Where orders become final while it
    reads, it reads again, and judges what it has at the deadline.
    """
    end = time.monotonic() + deadline_s
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            digests = await _settled_digests(session, doors, end)
            while True:
                lost = np.zeros(len(told), np.bool_)
                duplicated = 0
                agree = True
                for door in doors:
                    finals = await read_finals(session, door)
                    accounts = await _read_accounts(session, door, openings.numbers)
                    found = examine(told, finals, openings, accounts)
                    lost |= found.lost
                    duplicated += found.duplicated
                    agree &= found.balances_agree
                before, digests = digests, await _settled_digests(session, doors, end)
                if _ledgers(digests) == _ledgers(before) or time.monotonic() > end:
                    break
    except (aiohttp.ClientError, TimeoutError) as error:
        message = f"a super-agent could not be examined: {type(error).__name__} {error}".rstrip()
        raise VerdictError(message) from error
    entries = [int(digest["entries"]) for digest in digests]
    return Verdict(
        lost=int(np.count_nonzero(lost)),
        lost_cents=int(told["amount"][lost].sum()),
        duplicated=duplicated,
        conserved=agree and all(digest["total_cents"] == 0 for digest in digests),
        digests_equal=len(_ledgers(digests)) == 1,
        entries=max(entries),
        examined=len(doors),
    )


async def agreed_balances(
    doors: list[Door], numbers: npt.NDArray[np.uint32], deadline_s: float = 60
) -> list[npt.NDArray[np.int64]]:
    """Wait until the replicas agree, and return these accounts' balances by each; VerdictError."""
    async with aiohttp.ClientSession() as session:
        try:
            await _settled_digests(session, doors, time.monotonic() + deadline_s)
            records = [await _read_accounts(session, door, numbers) for door in doors]
        except (aiohttp.ClientError, TimeoutError) as error:
            raise VerdictError(f"a super-agent could not be asked: {error}".rstrip()) from error
    return [found["balance"].astype(np.int64) for found in records]


async def read_digest(session: aiohttp.ClientSession, door: Door) -> dict[str, Any]:
    """What a replica says of its ledger: digest, total_cents, entries, heads, accounts."""
    async with session.get(door.url + "/v1/digest") as answer:
        answer.raise_for_status()
        document: dict[str, Any] = await answer.json()
        return document


async def read_finals(session: aiohttp.ClientSession, door: Door, after: int = 0) -> Orders:
    """Every final order of a replica from entry `after` on, as an ORDER array."""
    pieces = []
    while True:
        path = f"/v1/finals?after={after}&limit={FINALS_PER_REQUEST}"
        async with session.get(door.url + path) as answer:
            answer.raise_for_status()
            content = await answer.read()
            following = int(answer.headers["Harambee-Next"])
        if len(content) % ORDER_BYTES:
            raise VerdictError(f"{door.name} answered finals that are not whole orders")
        if not content or following <= after:
            break
        pieces.append(np.frombuffer(content, ORDER))
        after = following
    return np.concatenate(pieces) if pieces else np.empty(0, ORDER)


def _ledgers(digests: list[dict[str, Any]]) -> set[tuple[str, int]]:
    """The different ledgers among these: their digests and how many orders made them."""
    return {(digest["digest"], int(digest["entries"])) for digest in digests}


async def _settled_digests(
    session: aiohttp.ClientSession, doors: list[Door], end: float
) -> list[dict[str, Any]]:
    """The digests of all replicas as soon as they agree, or those at the monotonic moment `end`."""
    while True:
        digests = await asyncio.gather(*(read_digest(session, door) for door in doors))
        if len(_ledgers(digests)) == 1 or time.monotonic() > end:
            return digests
        await asyncio.sleep(POLL_S)


async def _read_accounts(
    session: aiohttp.ClientSession, door: Door, numbers: npt.NDArray[np.uint32]
) -> Orders:
    pieces = []
    for start in range(0, len(numbers), ACCOUNTS_PER_REQUEST):
        asked = numbers[start : start + ACCOUNTS_PER_REQUEST].astype("<u4")
        path = door.url + "/v1/accounts/query"
        async with session.post(path, data=asked.tobytes(), headers=OCTETS) as answer:
            answer.raise_for_status()
            content = await answer.read()
        if len(content) != len(asked) * ACCOUNT.itemsize:
            raise VerdictError(f"{door.name} did not answer every account asked for")
        pieces.append(np.frombuffer(content, ACCOUNT))
    return np.concatenate(pieces) if pieces else np.empty(0, ACCOUNT)


def _as_recomputed(finals: Orders, openings: Openings, accounts: Orders) -> bool:
    """Whether balances are those that the orders make of the openings, and no sequence was used twice.

    A slot that recovery closed without an order moves the sequence on, and nothing else.
    """
    expected = recompute(finals, openings)
    return bool(
        np.array_equal(accounts["balance"], expected.balances_cents)
        and (accounts["next_sequence"] >= expected.next_sequences).all()
    )


def _rows_of(
    numbers: npt.NDArray[np.uint32], wanted: npt.NDArray[np.uint32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    rows = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
    return rows, numbers[rows] == wanted


def _holds_account_slot(orders: Orders) -> npt.NDArray[np.bool_]:
    """Whether an order's slot is its payer's: not that of an alias, a hold, or what is governed."""
    return np.asarray(~IS_ELSEWHERE[orders["kind"]])


def _slots(orders: Orders) -> Slots:
    return np.asarray(orders["payer"].astype(np.uint64) << np.uint64(32) | orders["sequence"])


def _bodies(orders: Orders) -> npt.NDArray[np.uint8]:
    """The signed part of the orders, shape (n, 64)."""
    whole = np.ascontiguousarray(orders).view(np.uint8)
    return whole.reshape(-1, ORDER_BYTES)[:, :BODY_BYTES]
