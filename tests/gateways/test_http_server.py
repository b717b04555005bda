"""The same application behind the server that the node really runs."""

import asyncio
import io
import socket

import aiohttp
import uvicorn

from harambee.gateways.http.app import HttpGateway


async def _drive(port, order):
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
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        async with aiohttp.ClientSession(base) as session:
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
            async with session.get("/") as answer:
                answers.append((answer.status, "<h1" in await answer.text()))
            return answers
    finally:
        server.should_exit = True
        await served


def test_a_real_server_serves_it(port, order):
    assert asyncio.run(_drive(port, order)) == [
        (200, bytes([2, 0, 2, 0])),
        (200, "1.2.3"),
        (413, "BODY_TOO_LARGE"),
        (200, True),
    ]
