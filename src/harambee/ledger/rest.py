"""What the ledger knows beside accounts and aliases, as bytes (docs/wire.md section 18): digests cover them.

Issuers' limits, the tariffs, and the six tables of `side_tables.py`, each with the count of its rows before
it. Whoever reads them has them from somebody else: they are bounded by their own length, and anything that a
writer would not have written is refused.
"""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from harambee.ledger.side_tables import (
    ATTESTATION_ROW,
    HOLD_ROW,
    KEY_REQUEST_ROW,
    REVERSAL_ROW,
    SUBJECT_BYTES,
    Attestation,
    Change,
    Hold,
    KeyRequest,
    Reversal,
    SideTables,
)
from harambee.money.tariff import FeeMode, Tariff, TariffError

COUNT: Final = struct.Struct("<I")
_ISSUER: Final = struct.Struct("<IQ")
_NUMBER: Final = struct.Struct("<I")
_SLOT: Final = struct.Struct("<II")
_GOVERNED: Final = struct.Struct(f"<{SUBJECT_BYTES}sI")
_TARIFF_DAY: Final = struct.Struct("<HH")

Item = TypeVar("Item")


class RestError(ValueError):
    """These bytes are not what a ledger knows beside accounts and aliases; one sentence."""


@dataclass(slots=True)
class Rest:
    """All of it, read."""

    issuers: dict[int, int] = field(default_factory=dict)
    tariffs: list[Tariff] = field(default_factory=list)
    side: SideTables = field(default_factory=SideTables)


def write_rest(issuers: dict[int, int], tariffs: Iterable[Tariff], side: SideTables) -> bytes:
    """Return the bytes; the same for the same content, whatever order it came in."""
    documents = [tariff.to_bytes() for tariff in tariffs]
    return b"".join(
        [
            _counted(_ISSUER.pack(*row) for row in sorted(issuers.items())),
            _counted(COUNT.pack(len(text)) + text for text in documents),
            _counted(_SLOT.pack(*key) + side.holds[key].to_bytes() for key in sorted(side.holds)),
            _counted(
                _SLOT.pack(*key) + side.reversals[key].to_bytes() for key in sorted(side.reversals)
            ),
            _counted(
                _NUMBER.pack(number) + side.key_requests[number].to_bytes()
                for number in sorted(side.key_requests)
            ),
            _counted(
                _NUMBER.pack(number) + side.attestations[number].to_bytes()
                for number in sorted(side.attestations)
            ),
            _counted(_GOVERNED.pack(*row) for row in sorted(side.governed.items())),
            _counted(_TARIFF_DAY.pack(*row) for row in sorted(side.tariff_days.items())),
        ]
    )


def _counted(rows: Iterable[bytes]) -> bytes:
    written = list(rows)
    return COUNT.pack(len(written)) + b"".join(written)


def read_rest(content: bytes) -> Rest:
    """Read what `write_rest` wrote; RestError for anything else."""
    reader = _Reader(content)
    try:
        rest = Rest(
            dict(reader.rows(_ISSUER, lambda number, limit: (number, limit))),
            [Tariff.from_bytes(text) for text in reader.texts()],
        )
        _read_tables(reader, rest.side)
    except (struct.error, TariffError, ValueError) as error:
        raise RestError(f"what lies beside the accounts cannot be read: {error}") from error
    if content != write_rest(rest.issuers, rest.tariffs, rest.side):
        raise RestError("what lies beside the accounts is not written as it has to be")
    return rest


def _read_tables(reader: "_Reader", side: SideTables) -> None:
    changes: list[Change] = []
    changes += reader.rows(
        struct.Struct("<II" + HOLD_ROW.format[1:]),
        lambda payer, at, *row: Change("holds", (payer, at), _hold(*row)),
    )
    changes += reader.rows(
        struct.Struct("<II" + REVERSAL_ROW.format[1:]),
        lambda payer, at, asked, back, refused, disputed: Change(
            "reversals", (payer, at), Reversal(asked, back, bool(refused), bool(disputed))
        ),
    )
    changes += reader.rows(
        struct.Struct("<I" + KEY_REQUEST_ROW.format[1:]),
        lambda number, *row: Change("key_requests", number, KeyRequest(*row)),
    )
    changes += reader.rows(
        struct.Struct("<I" + ATTESTATION_ROW.format[1:]),
        lambda number, *row: Change("attestations", number, Attestation(*row)),
    )
    changes += reader.rows(_GOVERNED, lambda subject, at: Change("governed", subject, at))
    changes += reader.rows(_TARIFF_DAY, lambda version, day: Change("tariff_days", version, day))
    for change in changes:
        side.put(change)


def _hold(
    payee: int,
    amount: int,
    fee: int,
    tariff: int,
    day: int,
    movement: int,
    fee_mode: int,
    days: int,
    authorisation: int,
    following: int,
) -> Hold:
    mode, first_word = FeeMode(fee_mode), bool(authorisation)
    return Hold(payee, amount, fee, tariff, day, movement, mode, days, first_word, following)


class _Reader:
    """Takes counted rows off the front of some bytes."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def rows(self, form: struct.Struct, make: Callable[..., Item]) -> list[Item]:
        """Return what `make` makes of each row's fields; struct.error where there are not so many."""
        count = self._count()
        start, self._at = self._at, self._at + count * form.size
        if self._at > len(self._content):
            raise struct.error("it ends in the middle of a table")
        return [make(*fields) for fields in form.iter_unpack(self._content[start : self._at])]

    def texts(self) -> list[bytes]:
        """Return counted byte strings."""
        found = []
        for _ in range(self._count()):
            length = self._count()
            start, self._at = self._at, self._at + length
            if self._at > len(self._content):
                raise struct.error("it ends in the middle of a tariff")
            found.append(self._content[start : self._at])
        return found

    def _count(self) -> int:
        (count,) = COUNT.unpack_from(self._content, self._at)
        self._at += COUNT.size
        return int(count)
