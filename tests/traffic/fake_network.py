"""A network in one process, without replicas: doors over one ledger, each with its own faults."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
from aiohttp import web

from harambee.crypto.hashing import TAG_ORDER, signed_prefix
from harambee.crypto.signatures import secret_keys_from_seeds, verify_many
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ACCOUNT, ORDER
from harambee.node.port import State
from harambee.traffic.generator import Door

NETWORK = bytes(range(32))
SLOT = np.dtype([("payer", "<u4"), ("sequence", "<u4")])
Answer = tuple[int, int]
FINAL: Answer = (State.FINAL, 0)
PENDING: Answer = (State.PENDING, 0)


def refused(outcome: Outcome) -> Answer:
    return (State.REFUSED, outcome)


@dataclass
class FakeDoor:
    """One door. `judge(order, times_seen)` may answer instead of the ledger."""

    name: str
    judge: Callable[[np.void, int], Answer | None] = lambda _order, _times: None
    dead: bool = False
    silent: bool = False
    full_for: int = 0
    """Requests that are answered with 503 first."""
    requests: list[bytes] = field(default_factory=list)
    seen: dict[bytes, int] = field(default_factory=dict)


class FakeNetwork:
    """One ledger; every door shows it. Everyone opens with `balance_cents`."""

    def __init__(self, doors: list[FakeDoor], people: int, balance_cents: int = 10**6) -> None:
        self.fakes = doors
        self.doors: list[Door] = []
        self.numbers = np.arange(16, 16 + people, dtype=np.uint32)
        seeds = np.zeros((people, 32), np.uint8)
        seeds[:, 0] = np.arange(people) % 251
        seeds[:, 1] = np.arange(people) // 251
        self.secrets = secret_keys_from_seeds(seeds)
        self.accounts = np.zeros(people, ACCOUNT)
        self.accounts["key"] = self.secrets[:, 32:]
        self.accounts["balance"] = balance_cents
        self.openings = self.accounts.copy()
        self.finals: list[bytes] = []
        self.by_slot: dict[tuple[int, int], bytes] = {}
        self.waits = asyncio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        runners = []
        for fake in self.fakes:
            runner = web.AppRunner(self._application(fake), access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            self.doors.append(Door(fake.name, f"http://127.0.0.1:{port}"))
            runners.append(runner)
        try:
            yield
        finally:
            self.waits.set()
            for runner in runners:
                await runner.cleanup()

    def _application(self, fake: FakeDoor) -> web.Application:
        async def answer(request: web.Request) -> web.Response:
            if fake.dead:
                assert request.transport is not None
                request.transport.close()
                return web.Response()
            if request.path == "/v1/orders":
                return await self._orders(fake, await request.read())
            if request.path == "/v1/slots":
                return self._slots(await request.read())
            if request.path == "/v1/accounts/query":
                asked = np.frombuffer(await request.read(), "<u4")
                return web.Response(body=self.records(asked).tobytes())
            if request.path == "/v1/digest":
                return web.json_response(
                    {"digest": "d", "total_cents": 0, "entries": len(self.finals)}
                )
            if request.path == "/v1/finals":
                after = int(request.query["after"])
                found = self.finals[after : after + 3]
                following = {"Harambee-Next": str(after + len(found))}
                return web.Response(body=b"".join(found), headers=following)
            return web.Response()

        application = web.Application(client_max_size=1 << 22)
        application.router.add_route("*", "/{path:.*}", answer)
        return application

    def records(self, numbers: np.ndarray) -> np.ndarray:
        return np.asarray(self.accounts[numbers - 16])

    async def _orders(self, fake: FakeDoor, body: bytes) -> web.Response:
        fake.requests.append(body)
        if fake.full_for:
            fake.full_for -= 1
            return web.Response(status=503)
        orders = np.frombuffer(body, ORDER)
        if fake.silent:
            await self.waits.wait()
        answers = bytearray()
        for order in orders:
            raw = order.tobytes()
            fake.seen[raw] = fake.seen.get(raw, 0) + 1
            answer = fake.judge(order, fake.seen[raw]) or self._decide(order)
            answers += bytes(answer)
        return web.Response(body=bytes(answers))

    def _decide(self, order: np.void) -> Answer:
        raw = order.tobytes()
        slot = (int(order["payer"]), int(order["sequence"]))
        if self.by_slot.get(slot) == raw:
            return FINAL
        row = slot[0] - 16
        if not self._signature_holds(order, row):
            return refused(Outcome.SIGNATURE_INVALID)
        expected = int(self.accounts["next_sequence"][row])
        if slot[1] != expected:
            stale = slot[1] < expected
            return refused(Outcome.SEQUENCE_STALE if stale else Outcome.SEQUENCE_AHEAD)
        amount = int(order["amount"])
        if order["kind"] == OrderKind.CANCEL:
            assert amount == 0
            assert order["payee"] == order["payer"]
        elif amount > int(self.accounts["balance"][row]):
            return refused(Outcome.BALANCE_INSUFFICIENT)
        self.finalise(order)
        return FINAL

    def finalise(self, order: np.void) -> None:
        row, payee = int(order["payer"]) - 16, int(order["payee"]) - 16
        self.accounts["balance"][row] -= int(order["amount"])
        self.accounts["balance"][payee] += int(order["amount"])
        self.accounts["next_sequence"][row] += 1
        self.by_slot[int(order["payer"]), int(order["sequence"])] = order.tobytes()
        self.finals.append(order.tobytes())

    def _signature_holds(self, order: np.void, row: int) -> bool:
        raw = np.frombuffer(order.tobytes(), np.uint8).reshape(1, 128)
        prefix = signed_prefix(TAG_ORDER, NETWORK)
        keys = self.accounts["key"][row : row + 1]
        return bool(verify_many(prefix, raw[:, :64], keys, raw[:, 64:])[0])

    def _slots(self, body: bytes) -> web.Response:
        found = [
            self.by_slot.get((int(slot["payer"]), int(slot["sequence"])), bytes(128))
            for slot in np.frombuffer(body, SLOT)
        ]
        return web.Response(body=b"".join(found))
