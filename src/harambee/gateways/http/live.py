"""GET /v1/live: how it stands with this super-agent, told twice a second to whoever listens.

Server-sent events, as the HTML standard has them. However many listen, the facts are looked up and written
once for all, and only while somebody listens. Nothing waits for a listener: one that is slow misses events,
and goes on with the newest.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, Generic, TypeVar

import msgspec
import numpy as np

from harambee.gateways.http.answers import Stream
from harambee.gateways.http.evidence import EvidenceRow, convicted
from harambee.gateways.http.orders import kind_name
from harambee.gateways.http.problems import ProblemError
from harambee.gateways.http.requests import Request
from harambee.handset.receipt_code import code_of
from harambee.ledger.records import ORDER
from harambee.ledger.rules import Order
from harambee.node.port import Port, UnavailableError

T = TypeVar("T")

LISTENERS_MAX: Final = 64
EVENT_S: Final = 0.5
HEARTBEAT_S: Final = 15.0
AGAIN_MS: Final = 1_000
"""After so long a browser asks again that has lost its stream."""
NEWEST: Final = 8
"""So many entries are looked at for the newest final orders."""
EVIDENCE_S: Final = 5.0
DIGEST_S: Final = 2.0
COST_SHARE: Final = 20
"""What costs the replica time is asked no oftener than this many times its own duration."""
NEWEST_COST_SHARE: Final = 5
"""The same for the newest orders, whose cost is mostly waiting for the replica's turn."""
DIGEST_COST_SHARE: Final = 100
"""The same for the digest: a nation's takes long, and payments go first."""

PATIENCE_S: Final = 0.5
"""An event waits no longer for an answer: that it comes says that the super-agent is there."""

log: Final = logging.getLogger(__name__)


class NewestRow(msgspec.Struct):
    """An order that became final lately, and whose block carried it."""

    payer: int
    payee: int
    sequence: int
    amount_cents: int
    kind: str
    receipt_code: str
    super_agent: int
    time_ms: int


class TrustRow(msgspec.Struct):
    """Both sides of the trust; their difference is always zero."""

    circulation_cents: int
    owed_cents: int
    holds: bool


class LiveDocument(msgspec.Struct):
    """What one event says: docs/operating.md explains the facts of `status`."""

    super_agent: int
    time_ms: int
    status: dict[str, Any]
    alarms: list[str]
    trust: TrustRow | None
    evidence: list[EvidenceRow]
    newest: list[NewestRow]
    digest: dict[str, Any] | None


class _Rationed(Generic[T]):
    """An answer that is asked for anew no oftener than it may be; the one before is told meanwhile."""

    def __init__(
        self, ask: Callable[[], Awaitable[T]], least_s: float, share: int, first: T
    ) -> None:
        self.value = first
        self._ask, self._least_s, self._share = ask, least_s, share
        self._asking: asyncio.Future[T] | None = None
        self._began = self._due = 0.0

    async def look(self) -> None:
        """Ask anew if that may be, and wait for the answer for a moment; UnavailableError."""
        if self._asking is None:
            if time.monotonic() < self._due:
                return
            self._began = time.monotonic()
            self._asking = asyncio.ensure_future(self._ask())
        asked = self._asking
        await asyncio.wait((asked,), timeout=PATIENCE_S)
        if asked.done():
            cost_s = time.monotonic() - self._began
            self._asking, self._due = (
                None,
                time.monotonic() + max(self._least_s, self._share * cost_s),
            )
            self.value = asked.result()


class _Facts:
    """Looks up what events say, at one super-agent."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._trust: _Rationed[TrustRow | None] = _Rationed(self._ask_trust, 0, COST_SHARE, None)
        self._evidence: _Rationed[list[EvidenceRow]] = _Rationed(
            lambda: convicted(port), EVIDENCE_S, COST_SHARE, []
        )
        self._newest: _Rationed[list[NewestRow]] = _Rationed(
            self._ask_newest, 0, NEWEST_COST_SHARE, []
        )
        self._digest: _Rationed[dict[str, Any] | None] = _Rationed(
            port.digest, DIGEST_S, DIGEST_COST_SHARE, None
        )

    async def event(self) -> bytes:
        """Return one event; what cannot be asked now is told as it was."""
        for rationed in (self._trust, self._evidence, self._newest, self._digest):
            try:
                await rationed.look()
            except UnavailableError:
                break  # the status says why
        status = self._port.status()
        document = LiveDocument(
            super_agent=self._port.index,
            time_ms=time.time_ns() // 1_000_000,
            status=status,
            alarms=list(alarms(status)),
            trust=self._trust.value,
            evidence=self._evidence.value,
            newest=self._newest.value,
            digest=self._digest.value,
        )
        return b"data: " + msgspec.json.encode(document) + b"\n\n"

    async def _ask_trust(self) -> TrustRow:
        line = await self._port.oversight.trust()
        return TrustRow(line.circulation_cents, line.owed_cents, line.holds)

    async def _ask_newest(self) -> list[NewestRow]:
        rows, regions = [], self._port.genesis.regions
        for one in await self._port.newest(NEWEST):
            order = Order.of(np.frombuffer(one.order, ORDER)[0])
            rows.append(
                NewestRow(
                    payer=order.payer,
                    payee=order.payee,
                    sequence=order.sequence,
                    amount_cents=order.amount_cents,
                    kind=kind_name(order.kind),
                    receipt_code=code_of(one.order, regions),
                    super_agent=one.author,
                    time_ms=one.time_ms,
                )
            )
        return rows


def alarms(status: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for everything in a status that somebody should look at."""
    if status.get("ready"):
        yield status["ready"]
    if status.get("total_cents"):
        yield f"All balances add up to {status['total_cents']} cents, and must add up to zero."
    if status.get("trust_holds") is False:
        yield "A bank owes more than it has attested."
    if status.get("trust_banks_above_quarter"):
        yield "More than a quarter of the trust money lies in one bank."
    if status.get("float_low"):
        yield "The float that this super-agent sells ends soon."
    if status.get("commissions_trouble"):
        yield status["commissions_trouble"]
    yield from status.get("checkpoint_alarms") or ()
    for peer in status.get("peers", ()):
        if peer.get("convicted"):
            yield f"{peer['name']} has signed what no honest super-agent signs."


class LiveDesk:
    """Answers GET /v1/live."""

    def __init__(self) -> None:
        self._listeners = 0
        self._facts: _Facts | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._newest = b""
        self._number = 0
        self._told = asyncio.Condition()
        self._has_ended = False

    async def live(self, port: Port, request: Request) -> Stream:
        """GET /v1/live: how it stands with this super-agent, as events, twice a second.

        Each event's data is one JSON object. A comment comes where there was no event for 15 seconds; a
        listener that takes nothing for ten seconds is let go, and so is everybody when the super-agent ends.
        """
        del request
        if self._listeners >= LISTENERS_MAX:
            sentence = "As many listen to this super-agent as may; ask again later, or another one."
            raise ProblemError(503, "BUSY", sentence)
        self._listeners += 1
        heard = self._number - 1
        if self._ticking is None or self._ticking.done():
            # What was told the last time somebody listened is old.
            self._has_ended, heard = False, self._number
            self._ticking = asyncio.ensure_future(self._tick(port))
        return Stream(_Listener(self, heard))

    async def _tick(self, port: Port) -> None:
        """Look the facts up and tell all listeners, until there are none or the super-agent ends."""
        facts = self._facts = self._facts or _Facts(port)
        try:
            while self._listeners and not port.is_leaving:
                event = await facts.event()
                async with self._told:
                    self._newest, self._number = event, self._number + 1
                    self._told.notify_all()
                await asyncio.sleep(EVENT_S)
        except Exception:
            # Ours; whoever listens is let go and asks again, and the super-agent serves on.
            log.exception("the live facts could not be told")
        finally:
            async with self._told:
                self._has_ended = True
                self._told.notify_all()

    async def after(self, number: int) -> tuple[int, bytes] | None:
        """Wait for an event newer than that number; None where none comes any more."""
        async with self._told:
            await self._told.wait_for(lambda: self._number > number or self._has_ended)
        return (self._number, self._newest) if self._number > number else None

    def leave(self) -> None:
        """Somebody listens no more."""
        self._listeners -= 1


class _Listener:
    """One who listens: a `harambee.gateways.http.answers.Source`."""

    def __init__(self, desk: LiveDesk, heard: int) -> None:
        self._desk = desk
        self._number = heard
        self._begin = f"retry: {AGAIN_MS}\n".encode()

    async def following(self) -> bytes | None:
        """Return the newest event that was not told yet, or a comment where there is none for long."""
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                told = await self._desk.after(self._number)
        except TimeoutError:
            return b": nothing new\n\n"
        if told is None:
            return None
        begin, self._begin = self._begin, b""
        self._number, event = told
        return begin + event

    def close(self) -> None:
        """Listen no more."""
        self._desk.leave()
