"""What one super-agent tells whoever watches over the network: its closes, a day's orders, the trust line."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.records import ORDER, ROW_OF_TABLE
from harambee.node.day_books import DayBooks
from harambee.node.port import FINAL_ROW, CloseAnswer, DayPage, UnavailableError
from harambee.oversight.day_close import GRACE_DAYS, sign_close
from harambee.oversight.trust_line import TrustLine, trust_line

if TYPE_CHECKING:
    from harambee.node.network_folder import NodeFiles
    from harambee.node.service import Service
    from harambee.protocol.replica import Replica

LOOK_S: Final = 5.0
"""So often it reads what became final since, so that whoever asks for a close need not wait."""
RETRY_S: Final = 1.0
AFTER_MISTAKE_S: Final = 60.0

log: Final = logging.getLogger(__name__)


class OversightDesk:
    """Implements `harambee.node.port.OversightPort`. Belongs to the event loop's thread."""

    def __init__(self, files: "NodeFiles", service: "Service") -> None:
        """Nothing runs yet."""
        self._files = files
        self._service = service
        self._days = DayBooks(service)
        self._task: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[TrustLine] | None = None
        self._line: TrustLine | None = None
        """As it was when last looked at, for metrics."""

    def start(self) -> None:
        """Begin to read."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; all that was read is read again at the next start."""
        tasks = [task for task in (self._task, self._asking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            rest_s = LOOK_S
            try:
                await self._days.read_up()
                if self._service.ready() is None:
                    self._keep(await self._service.ask(self._banks))
            except UnavailableError:
                rest_s = RETRY_S  # the super-agent's own status says why
            except Exception:
                # A mistake here must not end the super-agent, which serves payments without it.
                log.exception("the books of the days could not be kept")
                rest_s = AFTER_MISTAKE_S
            await asyncio.sleep(rest_s)

    # -- days -------------------------------------------------------------------------------------

    async def close(self, day: int) -> CloseAnswer:
        """Return a day's close, signed once no voter accepts an order of that day any more."""
        reason = self._service.ready()
        if reason is not None:
            # Who lags would sign less than there is, and take it back a moment later.
            raise UnavailableError(reason)
        await self._days.read_up()
        close = self._days.books.close(day)
        is_over = self._service.today() >= day + GRACE_DAYS
        signature = sign_close(self._files.signing, close) if is_over else None
        return CloseAnswer(close.to_bytes(), signature)

    async def flows(self, day: int) -> bytes:
        """Return a day's flows between parties, which its close names by their digest."""
        await self._days.read_up()
        return self._days.books.flows(day)

    async def orders(self, day: int, after: int, limit: int) -> DayPage:
        """Return final orders of a day from entry `after` on, looking at `limit` entries at most."""
        await self._days.read_up()
        book = self._days.books.book(day)
        start = max(after, book.first_entry)
        end = max(start, min(start + limit, book.end_entry))

        def question(replica: "Replica") -> npt.NDArray[np.void]:
            part = replica.ledger.entries[start:end]
            found: npt.NDArray[np.void] = part[part["revenue_previous"] != ROW_OF_TABLE]
            return found

        entries = await self._service.ask(question)
        orders = await self._service.orders_at(entries)
        own = np.flatnonzero(orders["day"] == day)
        rows = np.zeros(len(own), FINAL_ROW)
        rows["order"] = orders[own].view(np.uint8).reshape(len(own), ORDER.itemsize)
        rows["author"], rows["time_ms"] = await self._service.told_by(entries[own])
        return DayPage(rows, end, book.end_entry)

    # -- trust ------------------------------------------------------------------------------------

    async def trust(self) -> TrustLine:
        """Return the trust line; however many ask at once, the ledger is added up once for all."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._service.ask(self._whole_line))
        return await asyncio.shield(self._asking)

    def _whole_line(self, replica: "Replica") -> TrustLine:
        """Add up every account but the banks'."""
        banks = self._banks(replica)
        others = replica.ledger.total_cents() - sum(balance for _, balance, _ in banks)
        return trust_line(others, banks)

    def _banks(self, replica: "Replica") -> list[tuple[int, int, int]]:
        """Return (account, balance, limit) of every bank, in cents."""
        ledger = replica.ledger
        numbers = [party.number for party in self._days.books.parties.all if party.is_bank]
        balances = ledger.accounts["balance"][numbers].tolist() if numbers else []
        limits = [ledger.issuers.get(number, 0) for number in numbers]
        return list(zip(numbers, balances, limits, strict=True))

    def _keep(self, banks: list[tuple[int, int, int]]) -> None:
        """Keep the banks' side for metrics, and log when a bank begins or ceases to ring."""
        before, line = self._line, trust_line(-sum(balance for _, balance, _ in banks), banks)
        self._line = line
        rang = {bank.account for bank in before.banks if not bank.is_within_limit} if before else ()
        for bank in line.banks:
            if not bank.is_within_limit and bank.account not in rang:
                log.error("bank %d owes more than it has attested", bank.account)

    def facts(self) -> dict[str, Any]:
        """Return what the status and metrics show of trust and days."""
        line = self._line
        if line is None:
            return {}
        return {
            "trust_owed_cents": line.owed_cents,
            "trust_holds": line.holds,
            "trust_largest_share_basis_points": max(
                (bank.share_basis_points for bank in line.banks), default=0
            ),
            "trust_banks_above_quarter": sum(bank.is_concentrated for bank in line.banks),
            "day_books_entries": self._days.read_up_to,
        }
