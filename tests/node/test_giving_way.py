"""Whoever only reads the ledger rests while a super-agent reads what it has missed, and not otherwise."""

import asyncio
from types import SimpleNamespace

import pytest

from harambee.node import service
from harambee.node.service import Service

AN_HOUR_S = 3_600.0


def reading(reading_up):
    return SimpleNamespace(_engine=SimpleNamespace(snapshot=SimpleNamespace(reading_up=reading_up)))


async def rest(super_agent, took_s):
    async with asyncio.timeout(10):
        await Service.give_way(super_agent, took_s)


@pytest.mark.parametrize(("reading_up", "took_s"), [(False, AN_HOUR_S), (True, 0.0)])
def test_nobody_rests_without_reason(reading_up, took_s):
    asyncio.run(rest(reading(reading_up), took_s))


def test_a_rest_ends_as_soon_as_everything_is_read(monkeypatch):
    monkeypatch.setattr(service, "LOOK_S", 0.001)
    super_agent = reading(True)

    async def story():
        resting = asyncio.create_task(rest(super_agent, AN_HOUR_S))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not resting.done()
        super_agent._engine.snapshot.reading_up = False
        await resting

    asyncio.run(story())
