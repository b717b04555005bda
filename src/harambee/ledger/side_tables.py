"""What the ledger knows beside accounts and aliases: holds, reversals, and what is governed.

All of it is rare, so it lies in dictionaries of small values and not in arrays, and every byte of
it is inside the ledger's digest. A row here is a function of the final orders alone, like an
account: in whatever order replicas applied them, they have the same rows.
"""

import struct
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from harambee.money.tariff import FeeMode

HOLD_ROW: Final = struct.Struct("<IQIHHBBBBI")
REVERSAL_ROW: Final = struct.Struct("<QQBB")
KEY_REQUEST_ROW: Final = struct.Struct("<I32sBH")
ATTESTATION_ROW: Final = struct.Struct("<IQH")
"""The rows behind their keys, as digests cover them (docs/wire.md section 8)."""

SlotKey = tuple[int, int]
"""(payer, sequence): an order, named by the slot in which it became final."""

SUBJECT_BYTES: Final = 32
TARIFF_SUBJECT: Final = b"tariff".ljust(SUBJECT_BYTES, b"\xff")
"""The tariff as what is governed; no account is named so, for those end in zeros."""


def subject_of_account(number: int) -> bytes:
    """Return an account as the subject of a slot, 32 bytes."""
    return number.to_bytes(SUBJECT_BYTES, "little")


def subject_of_hold(key: SlotKey) -> bytes:
    """Return a hold as the subject of the slots in which it ends, 32 bytes."""
    payer, sequence = key
    return (payer | sequence << 32).to_bytes(SUBJECT_BYTES, "little")


def hold_of_subject(subject: bytes) -> SlotKey:
    """Return the hold that is the subject of a slot."""
    return int.from_bytes(subject[:4], "little"), int.from_bytes(subject[4:8], "little")


class Hold(NamedTuple):
    """Money that has left its payer's hands and has not reached the payee."""

    payee: int
    amount_cents: int
    fee_cents: int
    """The payer's part of the charge of all of it."""
    tariff: int
    day: int
    movement: int
    """The OrderKind that it becomes when it is released."""
    fee_mode: FeeMode
    days: int
    """So many days after `day` the side that waits may end it alone."""
    is_authorisation: bool
    """Whether it is the payee who has the first word; otherwise the payer."""
    next_sequence: int = 0
    """Of its own slots: more than 0 where one was skipped."""

    @property
    def cents(self) -> int:
        """What is held of the payer's balance."""
        return self.amount_cents + self.fee_cents

    def to_bytes(self) -> bytes:
        """Return it as digests cover it."""
        return HOLD_ROW.pack(*self)


class Reversal(NamedTuple):
    """What became of the wish to have a payment back, and how much came back."""

    asked_cents: int = 0
    refunded_cents: int = 0
    is_refused: bool = False
    is_disputed: bool = False

    def to_bytes(self) -> bytes:
        """Return it as digests cover it."""
        return REVERSAL_ROW.pack(*self)


class KeyRequest(NamedTuple):
    """A new key for an account whose owner has lost the phone with the old one."""

    sequence: int
    """The governance slot of the account in which it was asked for."""
    key: bytes
    options: int
    """Type and custody of the key, as in the options of an enrolment."""
    day: int

    def to_bytes(self) -> bytes:
        """Return it as digests cover it."""
        return KEY_REQUEST_ROW.pack(*self)


class Attestation(NamedTuple):
    """How much money a bank has said it holds in trust, and in which governance slot of it."""

    sequence: int
    cents: int
    day: int

    def to_bytes(self) -> bytes:
        """Return it as digests cover it."""
        return ATTESTATION_ROW.pack(*self)


Row = Hold | Reversal | KeyRequest | Attestation


class Change(NamedTuple):
    """One row of a table as it is after an order; None where it is gone."""

    table: str
    key: "SlotKey | int | bytes"
    row: "Row | int | None"


@dataclass
class SideTables:
    """All rows beside the accounts. Not thread-safe; belongs to one ledger."""

    holds: dict[SlotKey, Hold] = field(default_factory=dict)
    reversals: dict[SlotKey, Reversal] = field(default_factory=dict)
    """By the slot of the payment that is asked back."""
    key_requests: dict[int, KeyRequest] = field(default_factory=dict)
    attestations: dict[int, Attestation] = field(default_factory=dict)
    governed: dict[bytes, int] = field(default_factory=dict)
    """Subject -> its next governance slot, where that is not 0."""
    tariff_days: dict[int, int] = field(default_factory=dict)
    """Version -> the first day of a tariff that came after the genesis."""
    changes: int = field(default=0, init=False, repr=False, compare=False)
    """How often a row was entered or taken out."""
    _holds_of: dict[int, list[SlotKey]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """Account -> its open holds on either side, ascending."""

    def holds_of(self, account: int, after: SlotKey | None, limit: int) -> list[SlotKey]:
        """Return the first `limit` open holds of an account, as payer or payee, behind one of them."""
        keys = self._holds_of.get(account, [])
        start = 0 if after is None else bisect_right(keys, after)
        return keys[start : start + limit]

    def _index_hold(self, key: SlotKey, row: Hold | None) -> None:
        """Keep it known whose a hold is, as it comes or ends."""
        before = self.holds.get(key)
        if (before is None) == (row is None):
            return  # it only moved on to another slot, or never was
        known = before if row is None else row
        assert known is not None, "one of the two is a hold"
        for account in {key[0], known.payee}:
            keys = self._holds_of.setdefault(account, [])
            if row is not None:
                insort(keys, key)
            else:
                del keys[bisect_left(keys, key)]
                if not keys:
                    del self._holds_of[account]

    def put(self, change: Change) -> None:
        """Enter a row, or take it out."""
        if change.table == "holds":
            assert isinstance(change.key, tuple)
            assert change.row is None or isinstance(change.row, Hold)
            self._index_hold(change.key, change.row)
        table: dict[object, object] = getattr(self, change.table)
        if change.row is None:
            table.pop(change.key, None)
        else:
            table[change.key] = change.row
        self.changes += 1
