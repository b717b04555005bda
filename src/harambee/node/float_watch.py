"""A super-agent watches the float that it sells to its agents, and says before it runs out."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from harambee.handset.float_forecast import Flow, Outlook, is_business, outlook, sentence
from harambee.handset.orders import OrderBody
from harambee.ledger.records import POSITION_FLOAT, AccountKind, account_number
from harambee.node.port import StatementLine, UnavailableError

if TYPE_CHECKING:
    from harambee.node.service import Service

LOOK_S: Final = 60.0
RETRY_S: Final = 1.0
LINES: Final = 500
"""How much of the float's statement a forecast reads: its newest lines."""

log: Final = logging.getLogger(__name__)


@dataclass
class FloatFacts:
    """What the status page and metrics say of one region's float."""

    balance_cents: int | None = None
    """None until it was first looked at."""
    lasts_s: int | None = None
    """None where it lasts two days or more."""
    is_low: bool = False


@dataclass
class FloatWatch:
    """Looks once a minute. Belongs to the event loop's thread."""

    service: "Service"
    region: int
    facts: FloatFacts = field(default_factory=FloatFacts)

    async def run(self) -> None:
        """Look for ever; a failure is logged and the next look is a new one."""
        while True:
            rest_s = LOOK_S
            try:
                await self._look()
            except UnavailableError:
                rest_s = RETRY_S  # the super-agent's own status says why
            except Exception:
                log.exception("the float of region %d could not be looked at", self.region)
            await asyncio.sleep(rest_s)

    async def _look(self) -> None:
        number = account_number(self.region, POSITION_FLOAT)
        account = await self.service.account(number)
        if account is None:
            return
        lines = await self.service.statement(number, LINES, None)
        now_ms = time.time_ns() // 1_000_000
        self._keep(
            outlook(flows_of(lines, AccountKind.FLOAT), int(account["balance"][0]), now_ms), now_ms
        )

    def _keep(self, found: Outlook, now_ms: int) -> None:
        """Keep what was found, and log it when the float becomes low, or no longer is."""
        facts = self.facts
        if found.is_low and not facts.is_low:
            log.warning("the float of region %d is low: %s", self.region, sentence(found, now_ms))
        elif facts.is_low and not found.is_low:
            log.info("the float of region %d is low no more", self.region)
        facts.balance_cents, facts.is_low = found.balance_cents, found.is_low
        until = found.lasts_until_ms
        facts.lasts_s = None if until is None else max(0, until - now_ms) // 1_000


def flows_of(lines: Sequence[StatementLine], kind: AccountKind) -> list[Flow]:
    """Return the business in the statement of an account of this kind."""
    return [
        Flow(line.time_ms, line.change_cents)
        for line in lines
        if is_business(kind, OrderBody.from_bytes(line.order).kind, line.change_cents)
    ]
