"""The parts of a tariff: bands of amounts with what they cost, limits, and the rule for shares.

A band reaches from just above the band before it up to its own upper bound, inclusive, to the cent.
Every record here refuses what it could not be with TariffError, a `ValueError` of one sentence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, unique
from itertools import pairwise
from typing import Final, NoReturn, Protocol

from harambee.money.amounts import MAX_AMOUNT_CENTS

# Widths of the fields of an order and an account that carry these.
VERSION_MAX: Final = 2**16 - 1
FEE_CENTS_MAX: Final = 2**32 - 1
DAILY_CENTS_MAX: Final = 2**32 - 1
TIERS: Final = 16

WHOLE_BASIS_POINTS: Final = 10_000
"""Shares are hundredths of a per cent."""


class TariffError(ValueError):
    """A schedule is not a valid tariff; the text is one clear sentence."""


@unique
class FeeTable(IntEnum):
    """Which table of the schedule an order is priced by. Numbers are never reused."""

    NONE = 0  # free, of any amount
    SEND = 1
    WITHDRAW = 2
    BUY_GOODS = 3
    PAY_BILL = 4
    PAY_OUT = 5
    BUSINESS_TRANSFER = 6
    AIRTIME = 7
    DEPOSIT = 8
    BANK_DEPOSIT = 9
    BANK_WITHDRAWAL = 10
    # What an agent earns, by the amount that the customer brought or took.
    DEPOSIT_COMMISSION = 11
    WITHDRAW_COMMISSION = 12


assert [int(table) for table in FeeTable] == list(range(len(FeeTable))), "they index the arrays"


@unique
class FeeMode(IntEnum):
    """Who bears the charge: the account flags of a biller and the option byte of a bill have it."""

    PAYER = 0
    PAYEE = 1
    SHARED = 2


def share_cents(cents: int, basis_points: int) -> int:
    """Return a share of an amount, rounded down to a whole cent (decision 21)."""
    return cents * basis_points // WHOLE_BASIS_POINTS


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a customer may move or hold, and the least that she may withdraw, in cents."""

    transaction_cents: int
    daily_cents: int
    balance_cents: int
    withdraw_minimum_cents: int

    def __post_init__(self) -> None:
        """Raise TariffError unless each limit is a possible amount that fits its field."""
        check_int("limits.transaction_cents", self.transaction_cents, 1, MAX_AMOUNT_CENTS)
        check_int("limits.daily_cents", self.daily_cents, 1, DAILY_CENTS_MAX)
        check_int("limits.balance_cents", self.balance_cents, 1, MAX_AMOUNT_CENTS)
        check_int("limits.withdraw_minimum_cents", self.withdraw_minimum_cents, 1, 10**9)


@dataclass(frozen=True, slots=True)
class Tier:
    """The limits of customers of one tier above 0, in cents; those of tier 0 are `Limits`."""

    tier: int
    name: str
    transaction_cents: int
    daily_cents: int
    balance_cents: int

    def __post_init__(self) -> None:
        """Raise TariffError unless each limit is a possible amount that fits its field."""
        check_int("tier.tier", self.tier, 1, TIERS - 1)
        check_text("tier.name", self.name)
        check_int("tier.transaction_cents", self.transaction_cents, 1, MAX_AMOUNT_CENTS)
        check_int("tier.daily_cents", self.daily_cents, 1, DAILY_CENTS_MAX)
        check_int("tier.balance_cents", self.balance_cents, 1, MAX_AMOUNT_CENTS)


@dataclass(frozen=True, slots=True)
class Band:
    """The fees, in cents, of amounts up to `upper_cents`; None where there is no service."""

    upper_cents: int
    send_cents: int
    withdraw_cents: int | None = None

    def __post_init__(self) -> None:
        """Raise TariffError unless the bound is a possible amount and the fees fit an order."""
        check_int("upper_cents", self.upper_cents, 1, MAX_AMOUNT_CENTS)
        check_int("send_cents", self.send_cents, 0, FEE_CENTS_MAX)
        if self.withdraw_cents is not None:
            check_int("withdraw_cents", self.withdraw_cents, 0, FEE_CENTS_MAX)


@dataclass(frozen=True, slots=True)
class Price:
    """What amounts up to `upper_cents` cost: a fixed sum and a share of the amount.

    No service has `fee_cents` None.
    """

    upper_cents: int
    fee_cents: int | None
    basis_points: int = 0

    def __post_init__(self) -> None:
        """Raise TariffError unless the bound is a possible amount and every fee fits an order."""
        check_int("upper_cents", self.upper_cents, 0, MAX_AMOUNT_CENTS)
        check_int("basis_points", self.basis_points, 0, WHOLE_BASIS_POINTS)
        if self.fee_cents is not None:
            check_int("fee_cents", self.fee_cents, 0, FEE_CENTS_MAX)
            if self.of(self.upper_cents) > FEE_CENTS_MAX:
                refuse("the largest fee of a band must fit an order")

    def of(self, amount_cents: int) -> int:
        """Return the charge for an amount of this band, in cents."""
        assert self.fee_cents is not None, "no service, no charge"
        return self.fee_cents + share_cents(amount_cents, self.basis_points)


@dataclass(frozen=True, slots=True)
class Service:
    """The prices of one table, from `least_cents` up to the last band."""

    table: FeeTable
    bands: tuple[Price, ...]
    least_cents: int = 1

    def __post_init__(self) -> None:
        """Raise TariffError unless the table may be priced so, and the bands ascend from the least."""
        if self.table not in SERVICES:
            refuse(f"{self.table.name.lower()} is not a service with prices of its own")
        name = self.table.name.lower()
        check_ascending(f"service {name}", self.bands)
        check_int("least_cents", self.least_cents, 1, self.bands[0].upper_cents)
        if self.table in BORNE_BY_PAYEES:
            lowest = [self.least_cents, *(band.upper_cents + 1 for band in self.bands[:-1])]
            for amount, band in zip(lowest, self.bands, strict=True):
                if band.of(amount) > amount:
                    refuse(f"a charge of {name} must not be more than what is paid")


@dataclass(frozen=True, slots=True)
class CommissionBand:
    """What an agent earns by amounts up to `upper_cents`, in cents, head office included."""

    upper_cents: int
    deposit_cents: int
    withdraw_cents: int

    def __post_init__(self) -> None:
        """Raise TariffError unless the bound and the commissions are possible amounts."""
        check_int("upper_cents", self.upper_cents, 1, MAX_AMOUNT_CENTS)
        check_int("deposit_cents", self.deposit_cents, 0, FEE_CENTS_MAX)
        check_int("withdraw_cents", self.withdraw_cents, 0, FEE_CENTS_MAX)


@dataclass(frozen=True, slots=True)
class Commissions:
    """What agents earn, and the share of it that goes to their head office."""

    head_office_basis_points: int
    bands: tuple[CommissionBand, ...]

    def __post_init__(self) -> None:
        """Raise TariffError unless the share is one and the bands ascend."""
        name = "commission.head_office_basis_points"
        check_int(name, self.head_office_basis_points, 0, WHOLE_BASIS_POINTS)
        check_ascending("commission", self.bands)


SERVICES: Final = frozenset(table for table in FeeTable if 3 <= table <= 10)
"""Tables that a schedule prices with a Service; the others have places of their own in it."""

FREE_UNLESS_PRICED: Final = frozenset(
    {FeeTable.BUY_GOODS, FeeTable.DEPOSIT, FeeTable.BANK_DEPOSIT, FeeTable.BANK_WITHDRAWAL}
)
"""What was free of any amount before it had a table; other services are offered where priced."""

BORNE_BY_PAYEES: Final = frozenset({FeeTable.BUY_GOODS, FeeTable.PAY_BILL})
"""Whose charge may be taken out of what the payee receives, and so must not be more than that."""


class _Bounded(Protocol):
    @property
    def upper_cents(self) -> int: ...


def check_ascending(what: str, bands: Sequence[_Bounded]) -> None:
    """Raise TariffError unless there are bands, and each reaches further than the one before it."""
    if not bands:
        refuse(f"{what} has at least one band")
    if any(above.upper_cents <= below.upper_cents for below, above in pairwise(bands)):
        refuse(f"the upper bounds of the bands of {what} must ascend")


def check_int(name: str, value: object, lowest: int, highest: int) -> None:
    """Raise TariffError unless the value is an integer (no float, no bool) in the range."""
    if type(value) is not int or not lowest <= value <= highest:
        refuse(f"{name} must be an integer from {lowest} to {highest}, not {value!r}")


def check_text(name: str, value: object) -> None:
    """Raise TariffError unless the value is text that says something."""
    if not isinstance(value, str) or not value.strip():
        refuse(f"{name} must be a text that is not empty")


def refuse(message: str) -> NoReturn:
    """Raise TariffError with the sentence."""
    raise TariffError(message)
