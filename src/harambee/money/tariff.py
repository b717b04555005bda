"""The tariff: what a payment costs, as a versioned schedule that is data and not code.

A schedule is a list of bands for each service. A band reaches from just above the upper bound of
the band before it up to its own upper bound, **inclusive, to the cent**. Published tables speak of
whole shillings ("50-100", "101-500"); amounts between two bands belong to the next one: Ksh100.00
is in 50-100 and Ksh100.01 in 101-500. A table may offer no service in the lowest bands: there is no
withdrawal below `withdraw_minimum_cents`.

Beside prices it says what agents earn and how much of it is their head office's, which part of
every charge is excise, and the limits of customers by tier.

An order names the version it paid by, so versions stand side by side and none is ever edited. The
fields of `Tariff.to_document` go into the genesis, where every replica must read the same. A
version from before a field existed does not have it, and means what it always meant.

`Tariff.fee_cents` and its neighbours are the rules to be read; `harambee.money.kernels` has the
same for kernels, over the array that `Tariff.as_array` gives.
"""

import json
import tomllib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields
from importlib import resources
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from harambee.money.amounts import MAX_AMOUNT_CENTS, format_cents
from harambee.money.bands import (
    DAILY_CENTS_MAX,
    FEE_CENTS_MAX,
    FREE_UNLESS_PRICED,
    VERSION_MAX,
    WHOLE_BASIS_POINTS,
    Band,
    CommissionBand,
    Commissions,
    FeeMode,
    FeeTable,
    Limits,
    Price,
    Service,
    TariffError,
    Tier,
    check_ascending,
    check_int,
    check_text,
    refuse,
    share_cents,
)

__all__ = [
    "DAILY_CENTS_MAX",
    "FEE",
    "FEE_CENTS_MAX",
    "NEWEST_VERSION",
    "NO_SERVICE",
    "RATE",
    "UPPER",
    "VERSION_MAX",
    "Band",
    "Charge",
    "CommissionBand",
    "Commissions",
    "FeeMode",
    "FeeTable",
    "Limits",
    "NoBandError",
    "Price",
    "Service",
    "Tariff",
    "TariffError",
    "Tier",
    "load_tariff",
    "shipped_tariff",
]

NEWEST_VERSION: Final = 2
"""The schedule that a new network begins with."""

UPPER, FEE, RATE = range(3)
"""What the array for kernels says of each band."""

NO_SERVICE: Final = -1
"""The fee in it where a table offers no service; every fee is at least 0."""

_ANY_AMOUNT_FREE: Final = (Price(MAX_AMOUNT_CENTS, 0),)
_NOT_OFFERED: Final = (Price(MAX_AMOUNT_CENTS, None),)


class NoBandError(ValueError):
    """The tariff offers no such service for this amount; the text is one clear sentence."""


class Charge(NamedTuple):
    """What a payment costs: the payer's part, on top of the amount, and the payee's, out of it."""

    payer_cents: int
    payee_cents: int


@dataclass(frozen=True, slots=True)
class Tariff:
    """One version of the schedule; TariffError when its parts do not make one."""

    version: int
    name: str
    source: str
    limits: Limits
    bands: tuple[Band, ...]
    tiers: tuple[Tier, ...] = ()
    """The limits of tiers above 0; where there are none, all tiers have those of tier 0."""
    services: tuple[Service, ...] = ()
    commissions: Commissions | None = None
    excise_basis_points: int = 0
    """The tax on a price without it; every charge of the schedule includes it."""
    shared_payer_basis_points: int = 0
    """The payer's part of a shared charge."""

    def __post_init__(self) -> None:
        """Raise TariffError unless bands ascend, reach the limit, and offer withdrawals soundly."""
        check_int("version", self.version, 1, VERSION_MAX)
        check_text("name", self.name)
        check_text("source", self.source)
        check_ascending("a tariff", self.bands)
        if self.bands[-1].upper_cents < self.limits.transaction_cents:
            refuse("the last band must reach the limit of a transaction")
        check_int("excise_basis_points", self.excise_basis_points, 0, WHOLE_BASIS_POINTS)
        shared = self.shared_payer_basis_points
        check_int("shared_payer_basis_points", shared, 0, WHOLE_BASIS_POINTS)
        numbers = [tier.tier for tier in self.tiers]
        if numbers != sorted(set(numbers)):
            refuse("the tiers must ascend")
        tables = [service.table for service in self.services]
        if tables != sorted(set(tables)):
            refuse("the services must stand in the order of their tables, each once")
        self._check_withdrawals()
        self._check_withdraw_commissions()

    def _check_withdrawals(self) -> None:
        """Raise TariffError unless the least withdrawal lies in the first band that offers one.

        The kernel knows the minimum only as the upper bound of the bands without the service.
        """
        offered = [band.withdraw_cents is not None for band in self.bands]
        if not any(offered) or offered != sorted(offered):
            refuse("withdrawals must be offered from some band upwards, without a gap")
        first = offered.index(True)
        above = self.bands[first - 1].upper_cents if first else 0
        if not above < self.limits.withdraw_minimum_cents <= self.bands[first].upper_cents:
            refuse("the least withdrawal must lie in the first band that has a fee for it")
        if first == 0 and self.limits.withdraw_minimum_cents > 1:
            refuse("below the least withdrawal there must be a band without a fee for it")

    def _check_withdraw_commissions(self) -> None:
        """Raise TariffError unless each withdrawal's fee pays its excise and its commission."""
        if self.commissions is None:
            return
        edges = {band.upper_cents for band in self.bands}
        edges |= {band.upper_cents for band in self.commissions.bands}
        for amount in sorted(edges):
            try:
                fee = self.fee_cents(FeeTable.WITHDRAW, amount)
            except NoBandError:
                continue
            commission = self.commission_cents(FeeTable.WITHDRAW_COMMISSION, amount)
            if self.excise_cents(fee) + commission > fee:
                refuse(
                    f"the fee of withdrawing {format_cents(amount)} does not cover"
                    " its excise and its commission"
                )

    # -- what it says -----------------------------------------------------------------------------

    def prices(self, table: FeeTable) -> tuple[Price, ...]:
        """Return the bands of a table, ascending; amounts beyond the last have no service."""
        match table:
            case FeeTable.NONE:
                return _ANY_AMOUNT_FREE
            case FeeTable.SEND:
                return tuple(Price(band.upper_cents, band.send_cents) for band in self.bands)
            case FeeTable.WITHDRAW:
                below_minimum = self.limits.withdraw_minimum_cents - 1
                return tuple(
                    Price(max(band.upper_cents, below_minimum), None)
                    if band.withdraw_cents is None
                    else Price(band.upper_cents, band.withdraw_cents)
                    for band in self.bands
                )
            case FeeTable.DEPOSIT_COMMISSION | FeeTable.WITHDRAW_COMMISSION:
                return self._commission_prices(table)
        for service in self.services:
            if service.table is table:
                below_least = Price(service.least_cents - 1, None)
                return (below_least, *service.bands)
        return _ANY_AMOUNT_FREE if table in FREE_UNLESS_PRICED else _NOT_OFFERED

    def _commission_prices(self, table: FeeTable) -> tuple[Price, ...]:
        """Return what agents earn, as bands that reach any amount."""
        if self.commissions is None:
            return _ANY_AMOUNT_FREE
        of_deposits = table is FeeTable.DEPOSIT_COMMISSION
        earned = tuple(
            Price(band.upper_cents, band.deposit_cents if of_deposits else band.withdraw_cents)
            for band in self.commissions.bands
        )
        return (*earned, *_ANY_AMOUNT_FREE)

    def fee_cents(self, table: FeeTable, amount_cents: int) -> int:
        """Return the whole charge of an amount; NoBandError where the tariff has none for it."""
        if table is FeeTable.NONE and 0 <= amount_cents <= MAX_AMOUNT_CENTS:
            return 0
        if table is FeeTable.WITHDRAW and amount_cents < self.limits.withdraw_minimum_cents:
            least = format_cents(self.limits.withdraw_minimum_cents)
            message = f"the least withdrawal is {least}, not {format_cents(amount_cents)}"
            raise NoBandError(message)
        for price in self.prices(table):
            if 0 < amount_cents <= price.upper_cents:
                if price.fee_cents is None:
                    break
                return price.of(amount_cents)
        message = f"tariff {self.version} has no {table.name} fee for {format_cents(amount_cents)}"
        raise NoBandError(message)

    def charge(self, table: FeeTable, mode: FeeMode, amount_cents: int) -> Charge:
        """Return who bears which part of the charge; NoBandError where there is no price."""
        fee = self.fee_cents(table, amount_cents)
        match mode:
            case FeeMode.PAYER:
                return Charge(fee, 0)
            case FeeMode.PAYEE:
                return Charge(0, fee)
            case FeeMode.SHARED:
                payers = share_cents(fee, self.shared_payer_basis_points)
                return Charge(payers, fee - payers)

    def excise_cents(self, charge_cents: int) -> int:
        """Return the tax that a charge includes, rounded down to a whole cent (decision 21)."""
        rate = self.excise_basis_points
        return charge_cents * rate // (WHOLE_BASIS_POINTS + rate)

    def commission_cents(self, table: FeeTable, amount_cents: int) -> int:
        """Return what an agent earns by an amount, head office included; often nothing."""
        try:
            return self.fee_cents(table, amount_cents)
        except NoBandError:
            return 0

    def head_office_cents(self, commission_cents: int) -> int:
        """Return a head office's share of a commission, rounded down; the rest is the agent's."""
        if self.commissions is None:
            return 0
        return share_cents(commission_cents, self.commissions.head_office_basis_points)

    def limits_of(self, tier: int) -> tuple[int, int, int]:
        """Return the most that a customer of a tier may move at once, in a day, and hold, in cents.

        Zeros where the schedule has tiers and not this one: she may do nothing yet.
        """
        if tier == 0 or not self.tiers:
            limits = self.limits
            return limits.transaction_cents, limits.daily_cents, limits.balance_cents
        for own in self.tiers:
            if own.tier == tier:
                return own.transaction_cents, own.daily_cents, own.balance_cents
        return 0, 0, 0

    # -- for kernels ------------------------------------------------------------------------------

    def as_array(self) -> NDArray[np.int64]:
        """Return every table for kernels, read-only, of shape (tables, 3, bands).

        Row t belongs to FeeTable(t); within it UPPER, FEE and RATE say of each band how far it
        reaches, what it costs, and how many basis points of the amount on top of that. A fee is
        NO_SERVICE where the table offers none. Shorter tables repeat their last upper bound.
        """
        tables = [self.prices(table) for table in FeeTable]
        array = np.zeros((len(tables), 3, max(map(len, tables))), np.int64)
        array[:, FEE] = NO_SERVICE
        for of_table, prices in zip(array, tables, strict=True):
            of_table[UPPER] = prices[-1].upper_cents
            for band, price in enumerate(prices):
                of_table[UPPER, band] = price.upper_cents
                if price.fee_cents is not None:
                    of_table[FEE, band] = price.fee_cents
                    of_table[RATE, band] = price.basis_points
        array.setflags(write=False)
        return array

    # -- as a document ----------------------------------------------------------------------------

    def to_document(self) -> dict[str, Any]:
        """Return the tariff as the fields of a schedule file: integers, texts and tables."""
        document: dict[str, Any] = {
            "version": self.version,
            "name": self.name,
            "source": self.source,
            "limits": _document_of(self.limits),
            "band": [_document_of(band) for band in self.bands],
        }
        for name in ("excise_basis_points", "shared_payer_basis_points"):
            if getattr(self, name):
                document[name] = getattr(self, name)
        if self.tiers:
            document["tier"] = [_document_of(tier) for tier in self.tiers]
        if self.services:
            document["service"] = [
                {
                    "table": service.table.name.lower(),
                    "least_cents": service.least_cents,
                    "band": [_document_of(band) for band in service.bands],
                }
                for service in self.services
            ]
        if self.commissions is not None:
            document["commission"] = {
                "head_office_basis_points": self.commissions.head_office_basis_points,
                "band": [_document_of(band) for band in self.commissions.bands],
            }
        return document

    @classmethod
    def from_document(cls, document: object) -> Self:
        """Return the tariff of such fields; TariffError for missing, unknown or wrong ones."""
        named = _fields(
            "the tariff",
            document,
            {"version", "name", "source", "limits", "band"},
            {
                "tier",
                "service",
                "commission",
                "excise_basis_points",
                "shared_payer_basis_points",
            },
        )
        limits = _fields("limits", named["limits"], set(_names(Limits)))
        bands = _rows("band", named["band"], {"upper_cents", "send_cents"}, {"withdraw_cents"})
        tiers = _rows("tier", named.get("tier", []), set(_names(Tier)))
        services = _list("service", named.get("service", []))
        return cls(
            version=named["version"],
            name=named["name"],
            source=named["source"],
            limits=Limits(**limits),
            bands=tuple(Band(**band) for band in bands),
            tiers=tuple(Tier(**tier) for tier in tiers),
            services=tuple(_service(service) for service in services),
            commissions=_commissions(named["commission"]) if "commission" in named else None,
            excise_basis_points=named.get("excise_basis_points", 0),
            shared_payer_basis_points=named.get("shared_payer_basis_points", 0),
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
            refuse("the bytes of a tariff must be JSON")
        tariff = cls.from_document(document)
        if tariff.to_bytes() != content:
            refuse("the bytes of a tariff must be in canonical form")
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
        refuse(f"the file of tariff {version} says that it is version {tariff.version}")
    return tariff


def _service(record: object) -> Service:
    named = _fields("a service", record, {"table", "band"}, {"least_cents"})
    table = named["table"]
    members = FeeTable.__members__
    if not isinstance(table, str) or table != table.lower() or table.upper() not in members:
        refuse(f"there is no service {table!r}")
    bands = _rows("band", named["band"], {"upper_cents"}, {"fee_cents", "basis_points"})
    if any({"fee_cents", "basis_points"}.isdisjoint(band) for band in bands):
        refuse("a band of a service has fee_cents or basis_points")
    prices = tuple(Price(**{"fee_cents": 0} | band) for band in bands)
    return Service(members[table.upper()], prices, named.get("least_cents", 1))


def _commissions(record: object) -> Commissions:
    named = _fields("commission", record, {"head_office_basis_points", "band"})
    bands = _rows("band", named["band"], set(_names(CommissionBand)))
    return Commissions(
        named["head_office_basis_points"], tuple(CommissionBand(**band) for band in bands)
    )


def _list(what: str, records: object) -> list[object]:
    if not isinstance(records, list):
        refuse(f"{what} must be a list of {what}s")
    return records


def _rows(
    what: str, records: object, required: set[str], optional: AbstractSet[str] = frozenset()
) -> list[dict[str, Any]]:
    """Return a list of tables, each with the required names and perhaps optional ones."""
    return [
        dict(_fields(f"a {what}", record, required, optional)) for record in _list(what, records)
    ]


def _fields(
    what: str, record: object, required: set[str], optional: AbstractSet[str] = frozenset()
) -> Mapping[str, Any]:
    """Return the record if its names are the required ones and perhaps optional ones."""
    if not isinstance(record, dict):
        refuse(f"{what} must be a table of named fields")
    if missing := sorted(required - record.keys()):
        refuse(f"{what} lacks {', '.join(missing)}")
    if unknown := sorted(record.keys() - required - optional):
        refuse(f"{what} has unknown fields: {', '.join(unknown)}")
    return record


_Record = Limits | Tier | Band | Price | CommissionBand


def _names(kind: type[_Record]) -> tuple[str, ...]:
    """Return the names of a record's fields."""
    return tuple(field.name for field in fields(kind))


def _document_of(record: _Record) -> dict[str, int | str]:
    """Return a record as named fields, leaving out services that it does not offer."""
    values = {name: getattr(record, name) for name in _names(type(record))}
    return {name: value for name, value in values.items() if value is not None}
