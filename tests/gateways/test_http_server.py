"""The same application behind the server that the node really runs, and a handset's door to it."""

import asyncio
import io
import json
import socket
from contextlib import asynccontextmanager

import aiohttp
import pytest
import uvicorn

from harambee.crypto.signatures import from_seed
from harambee.gateways.http.app import HttpGateway
from harambee.handset.doors import DoorError, DoorProblemError, open_doors
from harambee.handset.network_file import DoorAddress
from harambee.handset.orders import order_id
from harambee.handset.profiles import Profile, sign_profile
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import AccountKind
from harambee.node.port import ProfileStatus, State

PAYER, PAYEE, MISSING = 16, 17, 99
PROFILE = sign_profile(from_seed(b"o" * 32), b"n" * 32, Profile(PAYER, 1, "Given Family"))


@asynccontextmanager
async def _served(port):
    listener = socket.create_server(("127.0.0.1", 0))
    configuration = uvicorn.Config(
        HttpGateway(port, "1.2.3"),
        http="httptools",
        lifespan="on",
        log_level="warning",
        ws="none",
    )
    server = uvicorn.Server(configuration)
    served = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await served


async def _drive(port, order):
    async with _served(port) as base, aiohttp.ClientSession(base) as session:
        answers = []
        async with session.post(
            "/v1/orders?wait_ms=5",
            data=order * 2,
            headers={"content-type": "application/octet-stream"},
        ) as answer:
            answers.append((answer.status, await answer.read()))
        async with session.get("/v1/network") as answer:
            answers.append((answer.status, (await answer.json())["software_version"]))
        async with session.post("/v1/orders", data=io.BytesIO(b"x" * (3 << 20))) as answer:
            answers.append((answer.status, (await answer.json(content_type=None))["code"]))
        async with session.get("/", allow_redirects=False) as answer:
            answers.append((answer.status, answer.headers["location"]))
        return answers


def test_a_real_server_serves_it(port, order):
    assert asyncio.run(_drive(port, order)) == [
        (200, bytes([2, 0, 2, 0])),
        (200, "1.2.3"),
        (413, "BODY_TOO_LARGE"),
        (307, "/console/"),
    ]


async def _ask_as_a_handset(port, order):
    name = order_id(port.genesis.network, order)
    async with _served(port) as base, open_doors([DoorAddress("agent-0", base)]) as (door,):
        assert await door.network() == port.genesis.network.hex()
        account = await door.account(PAYER)
        assert account is not None
        assert (account.kind, account.balance_cents) == (AccountKind.CUSTOMER, 1000)
        assert await door.account(MISSING) is None
        assert await door.directory("0712345678") == PAYEE
        assert await door.directory("0799999999") is None
        offered = await door.offer(order, 5)
        assert offered.state == "final"
        assert offered.receipt is not None
        assert offered.receipt.holds(port.genesis, name)
        port.state, port.outcome = State.REFUSED, Outcome.DAY_WRONG
        refused = await door.offer(order, 5)
        assert refused.refusal is not None
        assert refused.refusal.outcome is Outcome.DAY_WRONG
        assert refused.refusal.holds(port.genesis, name)
        port.finals_held.append(order)
        view = await door.slot(PAYER, 7, name, 5)
        assert view.receipt is not None
        assert view.receipt.holds(port.genesis, name)
        assert (await door.slot(PAYER, 7, bytes(32), 5)).other_id == name
        final = await door.final_order(PAYER, 7, 5)
        assert final is not None
        assert final.body == order[:64]
        assert final.receipt.holds(port.genesis, name)
        assert await door.final_order(PAYER, 8, 5) is None
        (line,) = (await door.statement(PAYER, 5, None)).lines
        assert line.change_cents == -100
        assert (await door.enrolment()).account == (1 << 20) + 40
        assert await door.register(bytes(64), bytes(64), None) == (1 << 20) + 40
        found = await door.name_of(bytes(80))
        assert (found.name, found.number) == ("GIVEN F.", "0712***678")
        await door.keep_profile(PROFILE)
        assert port.profiles == [PROFILE]
        port.profile_status = ProfileStatus.UNSIGNED
        with pytest.raises(DoorProblemError, match="has not signed"):
            await door.keep_profile(PROFILE)
        with pytest.raises(DoorProblemError, match="registered already"):
            await door.register(bytes(64), bytes(64), "0712345678")
    async with open_doors([DoorAddress("agent-0", base)]) as (door,):
        with pytest.raises(DoorError, match=r"agent-0 cannot be reached\."):
            await door.network()


def test_a_handsets_door_understands_the_gateway(port, order):
    asyncio.run(_ask_as_a_handset(port, order))


async def _ask_nonsense(answer, ask):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer})

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning", ws="none"))
    served = asyncio.create_task(server.serve(sockets=[listener]))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        async with open_doors([DoorAddress("agent-0", base)]) as (door,):
            for question in ask(door):
                with pytest.raises(DoorError, match="nothing that can be understood"):
                    await question
    finally:
        server.should_exit = True
        await served


@pytest.mark.parametrize(
    "answer", [b"", b"null", b"[" * 10_000, b"\xff" * 100, b"x" * (2 << 20), b'{"orders":[]}']
)
def test_a_door_that_answers_nonsense_is_only_a_door_to_pass_by(answer):
    asyncio.run(
        _ask_nonsense(
            answer,
            lambda door: (
                door.network(),
                door.account(1),
                door.offer(bytes(128), 0),
                door.final_order(1, 2, 0),
            ),
        )
    )


FINAL = {
    "payer": 16,
    "payee": 17,
    "amount_cents": 500,
    "fee_cents": 0,
    "sequence": 7,
    "kind": "send",
    "tariff": 1,
    "day": 20_781,
    "options": "000000",
    "reference": "00" * 32,
}
RECEIPT = {"super_agent": 0, "signature": "00" * 64}


@pytest.mark.parametrize(
    "changes",
    [
        {"payer": -1},
        {"payee": 2**32},
        {"amount_cents": 2**64},
        {"amount_cents": 10**400},
        {"day": 65_536},
        {"kind": "gift"},
        {"kind": 1},
        {"options": "00"},
        {"options": "0000000"},
        {"reference": "zz" * 32},
        {"reference": "00" * 33},
    ],
)
def test_an_order_that_is_none_is_nonsense(changes):
    answer = json.dumps({"state": "final", "order": FINAL | changes, "receipt": RECEIPT}).encode()
    asyncio.run(_ask_nonsense(answer, lambda door: [door.final_order(16, 7, 0)]))


def test_a_receipt_that_is_none_is_nonsense():
    for receipt in ({"super_agent": 0, "signature": "0"}, {"super_agent": "a"}, 5):
        answer = json.dumps({"state": "final", "order": FINAL, "receipt": receipt}).encode()
        asyncio.run(_ask_nonsense(answer, lambda door: [door.final_order(16, 7, 0)]))
