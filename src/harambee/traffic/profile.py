"""Aggregate statistics of real mobile money, as published with PaySim, by the hour.

Three tables: how often each action happened in each hour and for how much; how often clients do
it in a month; how large opening balances are. Without a file, small ones that ship with this
program are read (`profiles/`, each with its source in its head).

Amounts are in the file's own currency, which its publishers do not name. They become Kenyan cents
by one stated factor, `CENTS_PER_UNIT`. Fractions exist here only: what leaves `workload` is whole
cents.
"""

import csv
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from harambee.ledger.kinds import OrderKind

CENTS_PER_UNIT: Final = 2
"""Kenyan cents for one unit of the file's currency.

With 2 cents, the month's mean deposit and withdrawal at an agent, 166,187 and 171,651 units, become
KES 3,324 and KES 3,433: in the middle of the 3,000 to 4,000 shillings that one visit to a Kenyan
agent moves. The mean payment to a merchant becomes KES 256."""

KINDS: Final[dict[str, OrderKind]] = {
    "CASH_IN": OrderKind.DEPOSIT,
    "CASH_OUT": OrderKind.WITHDRAW,
    "PAYMENT": OrderKind.BUY_GOODS,
    "TRANSFER": OrderKind.SEND,
    "DEBIT": OrderKind.BANK_DEPOSIT,
}
"""What an action of the file is here."""

BUSIEST_HOUR: Final = 18
"""The step of aggregatedTransactions.csv with the most transactions: 349,600."""

SYSTEM_ACCOUNT_TIMES: Final = 10_000
"""A client that acts this often in a month is a machine of the operator; it is left out."""


class ProfileError(ValueError):
    """Statistics that cannot be read or used; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Action:
    """One row of an hour: how often, and how much, in units of the file's currency."""

    kind: OrderKind
    count: int
    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class ActivityBand:
    """So many of the clients (a share, 0 to 1) do a kind from `least` to `most` times a month."""

    kind: OrderKind
    least: int
    most: int
    share: float


@dataclass(frozen=True, slots=True)
class BalanceBand:
    """So many of the accounts (a share, 0 to 1) open with `low` to `high` units."""

    low: int
    high: int
    share: float


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything that a workload is drawn from."""

    source: str
    hour: int
    actions: tuple[Action, ...]
    activity: tuple[ActivityBand, ...]
    balances: tuple[BalanceBand, ...]

    @property
    def transactions(self) -> int:
        """How many transactions the hour had."""
        return sum(action.count for action in self.actions)


def read_profile(file: Path | None = None, hour: int | None = None) -> Profile:
    """Return the profile of one hour of the file, or of the one that ships; ProfileError.

    `hour` counts from the beginning of the month (column `step`). The tables clientsProfiles.csv
    and initialBalancesDistribution.csv are read from the file's folder where they lie beside it.
    """
    if file is not None and hour is None:
        hour = BUSIEST_HOUR
    (profile,) = _read(file, lambda rows: [_chosen(rows, hour)])
    return profile


def read_month(file: Path | None = None) -> tuple[Profile, ...]:
    """Return the profile of every hour of the file that has transactions, in order; ProfileError.

    Without a file, a month of the one hour that ships.
    """
    return _read(file, lambda rows: sorted({int(row["step"]) for row in rows}))


Rows = list[dict[str, str]]


def _read(file: Path | None, hours: Callable[[Rows], list[int]]) -> tuple[Profile, ...]:
    """Return the profiles of the hours that are chosen of a file, or of the one that ships."""
    if file is None:
        lines = shipped("quiet_hour.csv")
        source = "the small profile that ships with this program"
    else:
        lines = _lines(file)
        source = file.name
    activity = _beside(file, "clientsProfiles.csv") or shipped("activity.csv")
    balances = _beside(file, "initialBalancesDistribution.csv") or shipped("balances.csv")
    try:
        rows: Rows = list(csv.DictReader(lines))
        if not rows:
            raise ProfileError("there is no row in the statistics")
        chosen = hours(rows)
        by_hour: dict[int, Rows] = {hour: [] for hour in chosen}
        for row in rows:
            if int(row["step"]) in by_hour:
                by_hour[int(row["step"])].append(row)
        tables = _activity(activity), _balances(balances)
        return tuple(
            Profile(source, hour, _actions(of_hour, hour), *tables)
            for hour, of_hour in by_hour.items()
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, ProfileError):
            raise
        raise ProfileError(
            f"{source} does not have the columns and numbers expected: {error}"
        ) from error


def _chosen(rows: Rows, hour: int | None) -> int:
    """Return the hour if the rows have it, or the first they have; ProfileError."""
    steps = sorted({int(row["step"]) for row in rows})
    if hour is None:
        return steps[0]
    if hour not in steps:
        raise ProfileError(
            f"the statistics have no hour {hour}, only from {steps[0]} to {steps[-1]}"
        )
    return hour


def _actions(rows: Rows, hour: int) -> tuple[Action, ...]:
    found = [
        Action(KINDS[row["action"]], int(row["count"]), float(row["avg"]), float(row["std"]))
        for row in rows
        if row["action"] in KINDS
    ]
    for action in found:
        numbers = (action.count, action.mean, action.deviation)
        if min(numbers) < 0 or not all(math.isfinite(number) for number in numbers):
            raise ProfileError(f"hour {hour} has a negative or infinite number")
    found = [action for action in found if action.count and action.mean]
    if not found:
        raise ProfileError(f"hour {hour} has no transactions")
    return tuple(found)


def _activity(lines: Iterable[str]) -> tuple[ActivityBand, ...]:
    bands = []
    for row in csv.DictReader(lines):
        # The published table has these two names the wrong way round.
        least, most = sorted((int(row["minCount"]), int(row["maxCount"])))
        if row["action"] in KINDS and most < SYSTEM_ACCOUNT_TIMES:
            bands.append(ActivityBand(KINDS[row["action"]], least, most, float(row["freq"])))
    return tuple(bands)


def _balances(lines: Iterable[str]) -> tuple[BalanceBand, ...]:
    return tuple(
        BalanceBand(int(row["range_start"]), int(row["range_end"]), float(row["percentage"]))
        for row in csv.DictReader(lines)
    )


def _beside(file: Path | None, name: str) -> list[str] | None:
    if file is None or not file.with_name(name).is_file():
        return None
    return _lines(file.with_name(name))


def shipped(name: str) -> list[str]:
    """Return the lines of a table that ships, without the remarks in its head."""
    file = resources.files("harambee.traffic").joinpath("profiles", name)
    return _without_remarks(file.read_text(encoding="utf-8"))


def _lines(file: Path) -> list[str]:
    try:
        return _without_remarks(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProfileError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ProfileError(f"{file} is not a text file") from error


def _without_remarks(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
