"""A day as one super-agent tells it, made ready to be looked at or written down."""

from collections.abc import AsyncIterator
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.kinds import MOVEMENTS, OrderKind
from harambee.ledger.records import (
    KIND_MASK,
    POSITION_BITS,
    POSITION_ENROLMENT,
    AccountKind,
    account_number,
)
from harambee.money.tariff import Tariff, TariffError
from harambee.oversight.flags import DAYS_BEFORE, SLIM, Day, accounts_in, slim
from harambee.oversight.inquiry import ACCOUNTS_AT_ONCE, Inquirer, NoAnswerError
from harambee.protocol.genesis import Genesis

KINDS: Final = tuple(kind for kind in AccountKind if kind is not AccountKind.NONE)


async def read_day(inquirer: Inquirer, genesis: Genesis, day: int) -> Day:
    """Return a day's orders with what flags need beside them; NoAnswerError."""
    orders = await _slim_day(inquirer, day)
    earlier = np.zeros(0, SLIM)
    for before in range(max(0, day - DAYS_BEFORE), day):
        known = await _slim_day(inquirer, before)
        kept = np.isin(known["kind"], (OrderKind.SEND, OrderKind.ENROL))
        earlier = np.concatenate([earlier, known[kept]])
    numbers = accounts_in(orders)
    records = await inquirer.accounts(numbers)
    tariffs = await _tariffs_of(inquirer, genesis, orders)
    return Day(orders, earlier, numbers, records["flags"].astype(np.uint32), tariffs)


async def _tariffs_of(
    inquirer: Inquirer, genesis: Genesis, orders: npt.NDArray[np.void]
) -> dict[int, Tariff]:
    """Return the tariffs that payments name: the genesis's, and later ones as this super-agent has them.

    One that it does not show is left out, and with it what flags would say by its limits.
    """
    tariffs = {tariff.version: tariff for tariff in genesis.tariffs}
    paying = [int(kind) for kind, row in MOVEMENTS.items() if row.moves_money]
    named = np.unique(orders["tariff"][np.isin(orders["kind"], paying)]).tolist()
    for version in sorted(set(named) - tariffs.keys()):
        try:
            tariffs[version] = Tariff.from_bytes(await inquirer.tariff(version))
        except (NoAnswerError, TariffError):
            continue  # said above
    return tariffs


async def _slim_day(inquirer: Inquirer, day: int) -> npt.NDArray[np.void]:
    parts = [slim(page["order"]) async for page in inquirer.day_orders(day)]
    return np.concatenate([np.zeros(0, SLIM), *parts])


async def accounts_of(
    inquirer: Inquirer, regions: int
) -> AsyncIterator[tuple[int, npt.NDArray[np.void]]]:
    """Yield every account that exists, as (region, ACCOUNT records), page by page; NoAnswerError.

    A region's places are filled one after the other, and its enrolment account says how far.
    """
    enrolments = np.array(
        [account_number(region, POSITION_ENROLMENT) for region in range(regions)], np.uint32
    )
    ends = (await inquirer.accounts(enrolments))["next_sequence"].tolist()
    for region, end in enumerate(ends):
        for start in range(0, end, ACCOUNTS_AT_ONCE):
            places = np.arange(start, min(end, start + ACCOUNTS_AT_ONCE), dtype=np.uint32)
            found = await inquirer.accounts(places | np.uint32(region << POSITION_BITS))
            yield region, found[found["flags"] & KIND_MASK != AccountKind.NONE]
