"""A gateway of the central ledger: one process between the handsets and PostgreSQL.

It speaks the binary door of a super-agent (docs/wire.md), as far as payments need it, so that the
same load generator drives both. It checks what an order says by itself: the signature, with the
same libsodium and off the GIL as in a super-agent, then kind, price and day. What needs an account
is judged by the function in the database (central_ledger.sql).

Batched, each of its connections takes the orders that wait, at most `orders_max`, and brings them
in one transaction; the next batch gathers meanwhile. So a busy ledger has large batches and a quiet
one answers at once. One by one, each order is a transaction on one of many connections, and the
database's group commit lets them share a sync of the disks.
"""

import argparse
import asyncio
import json
import signal
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
import numpy as np
import numpy.typing as npt
import uvloop
from aiohttp import web

from benches.postgres import DATABASE, USER
from harambee.crypto.hashing import TAG_ORDER, signed_prefix
from harambee.crypto.signatures import PUBLIC_BYTES, verify_many
from harambee.ledger.kinds import MOVEMENTS, OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ACCOUNT, BODY_BYTES, ORDER, ORDER_BYTES
from harambee.money.tariff import FEE, UPPER, Tariff
from harambee.node.port import State
from harambee.traffic.generator import SLOT, today

BODY_BYTES_MAX: Final = 8_192 * ORDER_BYTES
SEEN_BEFORE: Final = -1
"""What the database says of an order that it has already, byte for byte."""
SEND_TABLE: Final = MOVEMENTS[OrderKind.SEND].fee_table

PAY_ALL: Final = "SELECT pay_all($1, $2, $3, $4, $5, $6, $7, $8)"
PAY: Final = "SELECT pay($1, $2, $3, $4, $5, $6, $7, $8)"

Codes = npt.NDArray[np.int64]
Orders = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a gateway is told, in a JSON file."""

    socket: str
    """The folder of the primary's socket."""
    port: int
    network: str
    """In hexadecimal: what signatures are for."""
    tariff: dict[str, Any]
    connections: int
    orders_max: int
    """Most orders in one transaction; 0: each is a transaction of its own."""
    check_signatures: bool


@dataclass(slots=True)
class Waiting:
    """Orders of one request that passed the gateway's rules, and who waits for their codes."""

    orders: Orders
    answered: asyncio.Future[Codes]


class Gateway:
    """The door, its customers' keys, and its way into the database."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._prefix = signed_prefix(TAG_ORDER, bytes.fromhex(settings.network))
        self._tariff = Tariff.from_document(settings.tariff)
        self._prices = self._tariff.as_array()[SEND_TABLE]
        self._waiting: deque[Waiting] = deque()
        self._arrived = asyncio.Event()
        self._idle: asyncio.Queue[asyncpg.Connection] = asyncio.Queue()
        self._numbers = np.empty(0, np.int64)
        self._keys = np.empty((0, PUBLIC_BYTES), np.uint8)

    async def serve(self) -> None:
        """Answer until a signal ends it."""
        connections = [
            await asyncpg.connect(host=self._settings.socket, user=USER, database=DATABASE)
            for _ in range(self._settings.connections)
        ]
        await self._read_keys(connections[0])
        for connection in connections:
            self._idle.put_nowait(connection)
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_post("/v1/orders", self._post_orders)
        app.router.add_post("/v1/slots", self._post_slots)
        app.router.add_post("/v1/accounts/query", self._post_accounts)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self._settings.port).start()
        over = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
        batched = connections if self._settings.orders_max else []
        carriers = [asyncio.create_task(self._carry()) for _ in batched]
        await over.wait()
        for carrier in carriers:
            carrier.cancel()
        await runner.cleanup()

    async def _read_keys(self, connection: asyncpg.Connection) -> None:
        """All customers' keys, ascending: a check of a signature must not ask the database."""
        rows = await connection.fetch("SELECT number, key FROM account ORDER BY number")
        self._numbers = np.array([row["number"] for row in rows], np.int64)
        keys = b"".join(row["key"] for row in rows)
        self._keys = np.frombuffer(keys, np.uint8).reshape(-1, PUBLIC_BYTES)

    async def _readyz(self, _request: web.Request) -> web.Response:
        return web.Response()

    async def _post_orders(self, request: web.Request) -> web.Response:
        content = await request.read()
        if not content or len(content) % ORDER_BYTES:
            return web.Response(status=400, text="the body is whole orders of 128 bytes")
        orders = np.frombuffer(content, ORDER)
        loop = asyncio.get_running_loop()
        codes = await loop.run_in_executor(None, self._judge, orders)
        sound = np.flatnonzero(codes == Outcome.ACCEPTED)
        if len(sound):
            try:
                codes[sound] = await self._pay(orders[sound])
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                # Whether they are in the ledger nobody knows; the handset asks again.
                return web.Response(status=503)
        answer = np.empty((len(orders), 2), np.uint8)
        done = (codes == Outcome.ACCEPTED) | (codes == SEEN_BEFORE)
        answer[:, 0] = np.where(done, State.FINAL, State.REFUSED)
        answer[:, 1] = np.where(done, Outcome.ACCEPTED, codes)
        return web.Response(body=answer.tobytes())

    def _judge(self, orders: Orders) -> Codes:
        """What can be said without an account: an Outcome for each order; any thread."""
        codes = np.full(len(orders), Outcome.ACCEPTED, np.int64)
        amounts = orders["amount"].astype(np.int64)
        sends = orders["kind"] == OrderKind.SEND
        cancels = orders["kind"] == OrderKind.CANCEL
        most = self._tariff.limits.transaction_cents
        bands = np.searchsorted(self._prices[UPPER], np.minimum(amounts, most))
        rows = np.minimum(np.searchsorted(self._numbers, orders["payer"]), len(self._numbers) - 1)
        # From the last rule to the first, so that the first one broken is what is answered.
        broken = [
            (np.abs(orders["day"].astype(np.int64) - today()) > 1, Outcome.DAY_WRONG),
            (sends & (orders["fee"] != self._prices[FEE][bands]), Outcome.FEE_WRONG),
            (sends & (orders["tariff"] != self._tariff.version), Outcome.TARIFF_UNKNOWN),
            (sends & (amounts > most), Outcome.AMOUNT_ABOVE_LIMIT),
            (cancels & ((amounts != 0) | (orders["fee"] != 0)), Outcome.AMOUNT_NOT_ZERO),
            (sends & (amounts == 0), Outcome.AMOUNT_ZERO),
            (sends & (orders["payer"] == orders["payee"]), Outcome.PAYER_IS_PAYEE),
            (~self._holds(orders, rows), Outcome.SIGNATURE_INVALID),
            (self._numbers[rows] != orders["payer"], Outcome.PAYER_UNKNOWN),
            (cancels & (orders["payer"] != orders["payee"]), Outcome.OPTIONS_INVALID),
            (orders["options"].any(axis=1), Outcome.OPTIONS_INVALID),
            (~sends & ~cancels, Outcome.KIND_UNKNOWN),
        ]
        for is_broken, outcome in broken:
            codes[is_broken] = outcome
        return codes

    def _holds(self, orders: Orders, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
        if not self._settings.check_signatures:
            return np.ones(len(orders), np.bool_)
        octets = orders.view(np.uint8).reshape(-1, ORDER_BYTES)
        bodies, signatures = octets[:, :BODY_BYTES], octets[:, BODY_BYTES:]
        return verify_many(self._prefix, bodies, self._keys[rows], signatures)

    async def _pay(self, orders: Orders) -> Codes:
        """Bring orders into the ledger; the database's code for each."""
        codes = np.full(len(orders), Outcome.SEQUENCE_AHEAD, np.int64)
        # One order of each payer; a second one comes before its time, and is asked for again.
        _, first = np.unique(orders["payer"], return_index=True)
        chosen = orders[first]
        if self._settings.orders_max:
            waiting = Waiting(chosen, asyncio.get_running_loop().create_future())
            self._waiting.append(waiting)
            self._arrived.set()
            codes[first] = await waiting.answered
        else:
            rows = zip(*_columns(chosen), strict=True)
            codes[first] = await asyncio.gather(*(self._pay_one(row) for row in rows))
        return codes

    async def _pay_one(self, row: tuple[Any, ...]) -> int:
        connection = await self._idle.get()
        try:
            code: int = await connection.fetchval(PAY, *row)
        finally:
            self._idle.put_nowait(connection)
        return code

    async def _carry(self) -> None:
        """One connection's work: whatever waits, in one transaction, again and again."""
        connection = await self._idle.get()
        while True:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            taken = self._take()
            joined = np.concatenate([waiting.orders for waiting in taken])
            try:
                codes = np.array(await connection.fetchval(PAY_ALL, *_columns(joined)), np.int64)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                for waiting in taken:
                    waiting.answered.set_exception(error)
                continue
            ends = np.cumsum([len(waiting.orders) for waiting in taken])[:-1]
            for waiting, part in zip(taken, np.split(codes, ends), strict=True):
                waiting.answered.set_result(part)

    def _take(self) -> list[Waiting]:
        """The first that waits, and more while they fit and none has a payer of those before."""
        first = self._waiting.popleft()
        taken, payers = [first], set(first.orders["payer"].tolist())
        while self._waiting:
            following = self._waiting[0].orders
            new = set(following["payer"].tolist())
            if len(payers) + len(new) > self._settings.orders_max or payers & new:
                break
            taken.append(self._waiting.popleft())
            payers |= new
        return taken

    async def _post_accounts(self, request: web.Request) -> web.Response:
        numbers = np.frombuffer(await request.read(), "<u4").astype(np.int64)
        rows = await self._fetch(
            "SELECT number, key, balance, next_sequence, flags, spent_today, day"
            " FROM account WHERE number = ANY ($1)",
            numbers.tolist(),
        )
        known = {row["number"]: row for row in rows}
        records = np.zeros(len(numbers), ACCOUNT)
        for record, number in zip(records, numbers.tolist(), strict=True):
            if (row := known.get(number)) is not None:
                record["key"] = np.frombuffer(row["key"], np.uint8)
                for name in ("balance", "next_sequence", "flags", "spent_today", "day"):
                    record[name] = row[name]
        return web.Response(body=records.tobytes())

    async def _post_slots(self, request: web.Request) -> web.Response:
        slots = np.frombuffer(await request.read(), SLOT)
        rows = await self._fetch(
            "SELECT j.payer, j.sequence, j.signed FROM journal j"
            " JOIN unnest($1::int8[], $2::int8[]) AS s (payer, sequence) USING (payer, sequence)",
            slots["payer"].tolist(),
            slots["sequence"].tolist(),
        )
        known = {(row["payer"], row["sequence"]): row["signed"] for row in rows}
        found = [known.get((int(p), int(s)), bytes(ORDER_BYTES)) for p, s in slots.tolist()]
        return web.Response(body=b"".join(found))

    async def _fetch(self, query: str, *arguments: list[int]) -> list[Any]:
        """Read on a connection of its own: the others are busy with payments."""
        connection = await asyncpg.connect(host=self._settings.socket, user=USER, database=DATABASE)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()


def _columns(orders: Orders) -> tuple[list[Any], ...]:
    """The arguments of `pay_all`: a list for each."""
    octets = np.ascontiguousarray(orders).tobytes()
    signed = [octets[at : at + ORDER_BYTES] for at in range(0, len(octets), ORDER_BYTES)]
    names = ("payer", "sequence", "payee", "amount", "fee", "day", "kind")
    return (signed, *(orders[name].tolist() for name in names))


def main() -> None:
    """Serve as the JSON file says that is named on the command line."""
    parser = argparse.ArgumentParser(prog="benches.gateway")
    parser.add_argument("settings", type=Path)
    text = parser.parse_args().settings.read_text(encoding="utf-8")
    uvloop.run(Gateway(Settings(**json.loads(text))).serve())


if __name__ == "__main__":
    main()
