"""Standing orders: agreed to once, asked for in each period, by whoever of the ring is alive."""

import msgspec
import pytest
from tests.merchants.town import until

from harambee.handset.payment_requests import AGREED, read_request
from harambee.handset.standing_orders import Terms, day_of
from harambee.merchants import standing
from harambee.merchants.port import RequestState
from harambee.merchants.rows import write_row
from harambee.merchants.standing import AGAIN_MS

DAY_MS = 86_400_000


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(standing, "LOOK_S", 0.02)


async def agreed(town, door=0, frequency=2, days=30):
    today = day_of(town.now_ms())
    view = await town.ask(
        door,
        "sto_1",
        terms=Terms("buy_goods", frequency, today, today + days),
        form="ratiba",
        lasts_ms=300_000,
    )
    await town.desks[door].decline(town.decline(view.id, reason=AGREED))
    return view


async def the_due(town, door=0):
    """Return the request that waits at a door."""
    (shown,) = await town.pending(door, 8_000)
    return read_request(shown.document)


def has_ended(town, name, door=0):
    """Whether a door has a request, which it may have shown from elsewhere first, and it does not wait."""
    known = town.desks[door]._requests._named_here(name)
    return known is not None and known.row.state is not RequestState.WAITING


def test_what_she_agreed_to_is_asked_for_in_each_period(play):
    async def scenario(town, receiver):
        view = await agreed(town)
        for index in town.desks:
            assert (await town.desks[index].request("sto_1")).state is RequestState.AGREED
        await until(lambda: receiver.accepted[f"req_{view.id.hex()[:32]}_unpaid"] == 1)
        for number in (1, 2, 3):
            request = await the_due(town)
            assert (request.under, request.number) == (view.id.hex(), number)
            assert (request.kind, request.amount_cents) == ("buy_goods", view.amount_cents)
            await town.pay(await town.document(0))
            assert await town.pending(0) == []
            town.later_ms += DAY_MS

    play(scenario)


def test_what_she_does_not_agree_to_is_never_asked_for(play):
    async def scenario(town, receiver):
        today = day_of(town.now_ms())
        view = await town.ask(0, "sto_1", terms=Terms("buy_goods", 2, today, today + 9))
        await town.desks[0].decline(town.decline(view.id))
        await until(lambda: receiver.accepted[f"req_{view.id.hex()[:32]}_unpaid"] == 1)
        assert all(store.standing() == [] for store in town.stores.values())

    play(scenario)


def test_nobody_else_agrees_for_her(play):
    async def scenario(town, receiver):
        today = day_of(town.now_ms())
        view = await town.ask(0, "sto_1", terms=Terms("buy_goods", 2, today, today + 9))
        forged = town.decline(view.id, keypair=town.other.keypair, reason=AGREED)
        for desk in town.desks.values():
            assert not await desk._requests.take_decline(forged)
        assert all(store.standing() == [] for store in town.stores.values())

    play(scenario)


def test_to_agree_to_an_ordinary_request_is_to_decline_it(play):
    async def scenario(town, receiver):
        view = await town.ask(0)
        await town.desks[0].decline(town.decline(view.id, reason=AGREED))
        assert (await town.desks[0].request("request-1")).state is RequestState.DECLINED

    play(scenario)


def test_the_next_of_the_ring_asks_when_the_home_is_dead_and_the_home_when_it_is_back(play):
    async def scenario(town, receiver):
        await agreed(town)
        await the_due(town)
        await town.pay(await town.document(0))
        await town.stop(town.home)
        town.later_ms += DAY_MS
        assert (await the_due(town)).number == 2
        await town.pay(await town.document(0))
        await town.start(town.home)
        town.later_ms += DAY_MS
        assert (await the_due(town)).number == 3

    play(scenario)


def test_what_was_not_paid_is_asked_for_again_later_and_not_twice_in_the_next_period(play):
    async def scenario(town, receiver):
        await agreed(town, frequency=3)
        first = await the_due(town)
        town.later_ms += AGAIN_MS + 1
        await until(lambda: has_ended(town, first.name))
        again = await the_due(town)
        assert (again.number, again.name) == (1, "sto_1.1.2")
        town.later_ms += 7 * DAY_MS
        await until(lambda: has_ended(town, again.name))
        assert (await the_due(town)).number == 2

    play(scenario)


def test_after_its_last_day_a_standing_order_is_forgotten(play):
    async def scenario(town, receiver):
        await agreed(town, days=0)
        await the_due(town)
        await town.pay(await town.document(0))
        town.later_ms += DAY_MS
        await until(lambda: town.stores[town.home].standing() == [])

    play(scenario)


def test_who_was_away_when_she_agreed_asks_for_what_is_due_later(play):
    async def scenario(town, receiver):
        await town.stop(2)
        view = await agreed(town)
        await the_due(town)
        await town.pay(await town.document(0))
        await town.start(2)
        await until(lambda: [identity for identity, _ in town.stores[2].standing()] == [view.id])
        await town.stop(town.home)
        town.later_ms += DAY_MS
        assert (await the_due(town)).number == 2

    play(scenario)


def test_a_copy_is_believed_for_what_is_signed_in_it_alone(play):
    async def scenario(town, receiver):
        view = await agreed(town)
        await until(town.stores[1].standing)
        ((_, row),) = town.stores[1].standing()
        desk = town.desks[0]._standing
        assert await desk.take_copy(write_row(row)) == 0, "it is not of the ring"
        desk = town.desks[2]._standing
        desk._rows.clear()
        forgeries = (
            {"decline": town.decline(view.id, keypair=town.other.keypair, reason=AGREED)},
            {"decline": town.decline(view.id)},
            {"decline": b""},
            {"signature": bytes(64)},
            {"super_agent": 3},
        )
        for forged in forgeries:
            request = msgspec.structs.replace(row.request, **forged)
            assert (
                await desk.take_copy(write_row(msgspec.structs.replace(row, request=request))) == 0
            )
        assert await desk.take_copy(b"garbage") == 0
        assert await desk.take_copy(write_row(row)) == 1

    play(scenario)


def test_whoever_does_not_keep_it_finds_that_she_agreed(play):
    async def scenario(town, receiver):
        await agreed(town)
        for desk in town.desks.values():
            assert (await desk.request("sto_1")).state is RequestState.AGREED

    play(scenario, n=10, home=5)
