"""Asking super-agents that lie, babble or say nothing: each is one sentence, and ends."""

import asyncio

import numpy as np
import pytest
from aiohttp import web

from harambee.handset.network_file import DoorAddress
from harambee.ledger.records import ACCOUNT
from harambee.oversight import inquiry
from harambee.oversight.inquiry import FINAL_ORDER, NoAnswerError, ask_all, inquirers

ROW = FINAL_ORDER.itemsize
NONSENSE = "liar answers nothing that can be understood"


def page(body=b"", following="1", end="1"):
    headers = {"harambee-next": following, "harambee-end": end}
    return lambda asked: web.Response(body=body, headers=headers)


def json_text(text, status=200):
    return lambda asked: web.Response(text=text, status=status)


async def with_liar(answer, use):
    """Run `use` with somebody to ask whose every answer is this."""

    async def handle(request):
        return answer(request)

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    try:
        async with inquirers([DoorAddress("liar", f"http://127.0.0.1:{port}")]) as asked:
            return await use(asked[0])
    finally:
        await runner.cleanup()


def told(answer, use):
    return asyncio.run(with_liar(answer, use))


async def pages_of(inquirer):
    return [rows async for rows in inquirer.day_orders(7)]


ASKED = {
    "close": lambda inquirer: inquirer.close(7),
    "trust": lambda inquirer: inquirer.trust(),
    "network": lambda inquirer: inquirer.network(),
    "accounts": lambda inquirer: inquirer.accounts(np.array([1, 2], np.uint32)),
    "pages": pages_of,
}


@pytest.mark.parametrize("what", ASKED)
@pytest.mark.parametrize(
    "answer",
    [
        json_text(""),
        json_text("[" * 5_000),
        json_text('{"document": 7}'),
        json_text("no", 500),
        json_text('{"detail": 7}', 404),
        page(b"x" * (ROW + 1)),
        page(b"x" * ((1 << 20) + 200_000), "5", "5"),
    ],
)
def test_nonsense_is_one_sentence(what, answer):
    with pytest.raises(NoAnswerError, match=NONSENSE):
        told(answer, ASKED[what])


def test_a_close_that_is_no_hexadecimal_is_nonsense():
    text = '{"super_agent": 0, "document": "xyz", "signature": null}'
    with pytest.raises(NoAnswerError, match=NONSENSE):
        told(json_text(text), ASKED["close"])


def test_a_problem_is_told_in_its_own_words_and_not_endlessly():
    text = '{"detail": "This day has not begun."}'
    with pytest.raises(NoAnswerError, match=r"liar says: This day has not begun$"):
        told(json_text(text, 404), ASKED["trust"])
    with pytest.raises(NoAnswerError) as endless:
        told(json_text('{"detail": "%s"}' % ("x" * 100_000), 404), ASKED["trust"])
    assert len(str(endless.value)) < 600


def test_pages_that_never_go_on_end():
    with pytest.raises(NoAnswerError, match=NONSENSE):
        told(page(b"", "0", "9"), pages_of)
    with pytest.raises(NoAnswerError, match=NONSENSE):
        told(page(b"x" * ROW, "5", "9"), pages_of)  # always the same page
    with pytest.raises(NoAnswerError, match=NONSENSE):
        told(page(b"x" * ROW, "five", "9"), pages_of)


def test_pages_are_read_to_their_end_and_empty_ones_are_left_out():
    def answer(request):
        after = int(request.query["after"])
        body = bytes(ROW * 2) if after == 2 else b""
        return page(body, str(after + 2), "6")(request)

    (rows,) = told(answer, pages_of)
    assert len(rows) == 2
    assert told(page(b"", "0", "0"), pages_of) == []


def test_many_accounts_are_asked_for_in_pieces(monkeypatch):
    monkeypatch.setattr(inquiry, "ACCOUNTS_AT_ONCE", 3)

    def answer(request):
        return web.Response(body=bytes(request.content_length // 4 * ACCOUNT.itemsize))

    found = told(answer, lambda i: i.accounts(np.arange(8, dtype=np.uint32)))
    assert found.shape == (8,)


def test_who_is_dead_is_told_apart_and_a_mistake_is_not_hidden():
    async def run(ask):
        async with inquirers([DoorAddress("dead", "http://127.0.0.1:9")]) as asked:
            return await ask_all(asked, ask)

    answers, silent = asyncio.run(run(lambda inquirer: inquirer.trust()))
    assert (answers, silent) == ({}, {0: "dead cannot be reached"})

    async def mistaken(inquirer):
        raise KeyError(inquirer.name)

    with pytest.raises(KeyError, match="dead"):
        asyncio.run(run(mistaken))
