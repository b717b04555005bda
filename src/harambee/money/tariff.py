"""The tariff: what a payment costs, as a versioned schedule that is data and not code.

A schedule is a list of bands. A band reaches from just above the upper bound of the band before it
up to its own upper bound, **inclusive, to the cent**. Published tables speak of whole shillings
("50-100", "101-500"); amounts between two bands belong to the next one: Ksh100.00 is in 50-100 and
Ksh100.01 in 101-500. A table may offer no service in the lowest bands: there is no withdrawal below
`withdraw_minimum_cents`.

An order names the version it paid by, so versions stand side by side and none is ever edited. The
fields of `Tariff.to_document` go into the genesis, where every replica must read the same.

`Tariff.fee_cents` is the rule to be read; `harambee.money.kernels.fee_of` is the same for
kernels, over the arrays that `Tariff.as_arrays` gives.
"""

import json
import tomllib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import IntEnum, unique
from importlib import resources
from itertools import pairwise
from typing import Any, Final, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from harambee.money.amounts import MAX_AMOUNT_CENTS, format_cents

# Widths of the fields of an order and an account that carry these.
VERSION_MAX: Final = 2**16 - 1
FEE_CENTS_MAX: Final = 2**32 - 1
DAILY_CENTS_MAX: Final = 2**32 - 1

# What the fee arrays hold where a table offers no service; every fee is at least 0.
NO_SERVICE: Final = -1


class TariffError(ValueError):
    """A schedule is not a valid tariff; the text is one clear sentence."""


class NoBandError(ValueError):
    """The tariff offers no such service for this amount; the text is one clear sentence."""


@unique
class FeeTable(IntEnum):
    """Which column of the schedule a kind of payment pays by. Numbers are never reused."""

    NONE = 0  # free, of any amount
    SEND = 1
    WITHDRAW = 2


assert [int(table) for table in FeeTable] == list(range(len(FeeTable))), "they index the arrays"


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a customer may move or hold, and the least that she may withdraw, in cents."""

    transaction_cents: int
    daily_cents: int
    balance_cents: int
    withdraw_minimum_cents: int

    def __post_init__(self) -> None:
        """Raise TariffError unless each limit is a possible amount that fits its field."""
        _check_int("limits.transaction_cents", self.transaction_cents, 1, MAX_AMOUNT_CENTS)
        _check_int("limits.daily_cents", self.daily_cents, 1, DAILY_CENTS_MAX)
        _check_int("limits.balance_cents", self.balance_cents, 1, MAX_AMOUNT_CENTS)
        _check_int("limits.withdraw_minimum_cents", self.withdraw_minimum_cents, 1, 10**9)


@dataclass(frozen=True, slots=True)
class Band:
    """The fees, in cents, of amounts up to `upper_cents`; None where there is no service."""

    upper_cents: int
    send_cents: int
    withdraw_cents: int | None = None

    def __post_init__(self) -> None:
        """Raise TariffError unless the bound is a possible amount and the fees fit an order."""
        _check_int("upper_cents", self.upper_cents, 1, MAX_AMOUNT_CENTS)
        _check_int("send_cents", self.send_cents, 0, FEE_CENTS_MAX)
        if self.withdraw_cents is not None:
            _check_int("withdraw_cents", self.withdraw_cents, 0, FEE_CENTS_MAX)


@dataclass(frozen=True, slots=True)
class Tariff:
    """One version of the schedule; TariffError when its parts do not make one."""

    version: int
    name: str
    source: str
    limits: Limits
    bands: tuple[Band, ...]

    def __post_init__(self) -> None:
        """Raise TariffError unless bands ascend, reach the limit, and offer withdrawals soundly."""
        _check_int("version", self.version, 1, VERSION_MAX)
        _check_text("name", self.name)
        _check_text("source", self.source)
        if not self.bands:
            _refuse("a tariff has at least one band")
        if any(above.upper_cents <= below.upper_cents for below, above in pairwise(self.bands)):
            _refuse("the upper bounds of the bands must ascend")
        if self.bands[-1].upper_cents < self.limits.transaction_cents:
            _refuse("the last band must reach the limit of a transaction")
        self._check_withdrawals()

    def _check_withdrawals(self) -> None:
        """Raise TariffError unless the least withdrawal lies in the first band that offers one.

        The kernel knows the minimum only as the upper bound of the bands without the service.
        """
        offered = [band.withdraw_cents is not None for band in self.bands]
        if not any(offered) or offered != sorted(offered):
            _refuse("withdrawals must be offered from some band upwards, without a gap")
        first = offered.index(True)
        above = self.bands[first - 1].upper_cents if first else 0
        if not above < self.limits.withdraw_minimum_cents <= self.bands[first].upper_cents:
            _refuse("the least withdrawal must lie in the first band that has a fee for it")
        if first == 0 and self.limits.withdraw_minimum_cents > 1:
            _refuse("below the least withdrawal there must be a band without a fee for it")

    def fee_cents(self, table: FeeTable, amount_cents: int) -> int:
        """Return the fee, in cents, of an amount; NoBandError where the tariff has none for it."""
        if table is FeeTable.NONE and 0 <= amount_cents <= MAX_AMOUNT_CENTS:
            return 0
        if table is FeeTable.WITHDRAW and amount_cents < self.limits.withdraw_minimum_cents:
            least = format_cents(self.limits.withdraw_minimum_cents)
            message = f"the least withdrawal is {least}, not {format_cents(amount_cents)}"
            raise NoBandError(message)
        for band in self.bands:
            if 0 < amount_cents <= band.upper_cents:
                fee = band.send_cents if table is FeeTable.SEND else band.withdraw_cents
                if fee is not None:
                    return fee
        message = f"tariff {self.version} has no {table.name} fee for {format_cents(amount_cents)}"
        raise NoBandError(message)

    def as_arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (uppers, fees) for kernels: int64 cents of shape (tables, bands), read-only.

        Row t belongs to FeeTable(t). fees is NO_SERVICE where the table has none; there the upper
        bound of WITHDRAW is moved up to one cent below the least withdrawal.
        """
        uppers = np.full((len(FeeTable), len(self.bands)), MAX_AMOUNT_CENTS, np.int64)
        fees = np.zeros_like(uppers)
        below_minimum = self.limits.withdraw_minimum_cents - 1
        for j, band in enumerate(self.bands):
            uppers[FeeTable.SEND, j] = band.upper_cents
            fees[FeeTable.SEND, j] = band.send_cents
            if band.withdraw_cents is None:
                uppers[FeeTable.WITHDRAW, j] = max(band.upper_cents, below_minimum)
                fees[FeeTable.WITHDRAW, j] = NO_SERVICE
            else:
                uppers[FeeTable.WITHDRAW, j] = band.upper_cents
                fees[FeeTable.WITHDRAW, j] = band.withdraw_cents
        uppers.setflags(write=False)
        fees.setflags(write=False)
        return uppers, fees

    def to_document(self) -> dict[str, Any]:
        """Return the tariff as the fields of a schedule file: integers, texts and tables."""
        return {
            "version": self.version,
            "name": self.name,
            "source": self.source,
            "limits": {name: getattr(self.limits, name) for name in _names(Limits)},
            "band": [_band_document(band) for band in self.bands],
        }

    @classmethod
    def from_document(cls, document: object) -> Self:
        """Return the tariff of such fields; TariffError for missing, unknown or wrong ones."""
        fields = _fields("the tariff", document, {"version", "name", "source", "limits", "band"})
        limits = _fields("limits", fields["limits"], set(_names(Limits)))
        if not isinstance(fields["band"], list):
            _refuse("band must be a list of bands")
        bands = [
            _fields("a band", band, {"upper_cents", "send_cents"}, optional={"withdraw_cents"})
            for band in fields["band"]
        ]
        return cls(
            version=fields["version"],
            name=fields["name"],
            source=fields["source"],
            limits=Limits(**limits),
            bands=tuple(Band(**band) for band in bands),
        )

    def to_bytes(self) -> bytes:
        """Return the tariff as JSON in its one canonical form: sorted, without spaces, ASCII."""
        return json.dumps(self.to_document(), sort_keys=True, separators=(",", ":")).encode("ascii")

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Return the tariff whose `to_bytes` is exactly `content`; TariffError otherwise."""
        try:
            document = json.loads(content.decode("ascii"))
        except (ValueError, RecursionError):
            _refuse("the bytes of a tariff must be JSON")
        tariff = cls.from_document(document)
        if tariff.to_bytes() != content:
            _refuse("the bytes of a tariff must be in canonical form")
        return tariff


def load_tariff(text: str) -> Tariff:
    """Return the tariff that the text of a TOML schedule describes; TariffError if it is wrong."""
    try:
        document = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError is one; an endless integer is another
        message = f"the tariff is not valid TOML: {error}"
        raise TariffError(message) from error
    return Tariff.from_document(document)


def shipped_tariff(version: int = 1) -> Tariff:
    """Return a tariff that ships with this program; TariffError if there is no such version."""
    file = resources.files("harambee.money").joinpath("schedules", f"{version}.toml")
    if not file.is_file():
        message = f"no tariff of version {version} ships with this program"
        raise TariffError(message)
    tariff = load_tariff(file.read_text(encoding="utf-8"))
    if tariff.version != version:
        _refuse(f"the file of tariff {version} says that it is version {tariff.version}")
    return tariff


def _fields(
    what: str, record: object, required: set[str], optional: AbstractSet[str] = frozenset()
) -> Mapping[str, Any]:
    """Return the record if its names are the required ones and perhaps optional ones."""
    if not isinstance(record, dict):
        _refuse(f"{what} must be a table of named fields")
    if missing := sorted(required - record.keys()):
        _refuse(f"{what} lacks {', '.join(missing)}")
    if unknown := sorted(record.keys() - required - optional):
        _refuse(f"{what} has unknown fields: {', '.join(unknown)}")
    return record


def _names(kind: type[Limits] | type[Band]) -> tuple[str, ...]:
    """Return the names of a record's fields."""
    return tuple(kind.__dataclass_fields__)


def _band_document(band: Band) -> dict[str, int]:
    """Return a band as named fields, leaving out the services that it does not offer."""
    values = {name: getattr(band, name) for name in _names(Band)}
    return {name: value for name, value in values.items() if value is not None}


def _check_int(name: str, value: object, lowest: int, highest: int) -> None:
    """Raise TariffError unless the value is an integer (no float, no bool) in the range."""
    if type(value) is not int or not lowest <= value <= highest:
        _refuse(f"{name} must be an integer from {lowest} to {highest}, not {value!r}")


def _check_text(name: str, value: object) -> None:
    """Raise TariffError unless the value is text that says something."""
    if not isinstance(value, str) or not value.strip():
        _refuse(f"{name} must be a text that is not empty")


def _refuse(message: str) -> NoReturn:
    """Raise TariffError with the sentence."""
    raise TariffError(message)
