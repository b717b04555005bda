"""Events reach their addresses at least once, normally once, always under one id."""

import asyncio
import random

import pytest
from tests.merchants.town import KEY, TILL, until

from harambee.merchants import teller
from harambee.merchants.ground import Matter
from harambee.merchants.port import MerchantsError, Urls
from harambee.merchants.post import join_items
from harambee.merchants.teller import is_public


async def declined(town, name="request-1", door=0):
    """Let something be asked for and declined; returns the event's id."""
    view = await town.ask(door, name)
    await town.desks[door].decline(town.decline(view.id))
    return f"req_{view.id.hex()[:32]}_unpaid"


async def all_quiet(town):
    """Wait until nobody has anything to deliver."""
    await until(lambda: not any(desk._teller.waiting for desk in town.desks.values()))


@pytest.mark.parametrize("n", [4, 7])
def test_an_event_is_told_once_by_one_of_three(play, n):
    async def scenario(town, receiver):
        events = [await declined(town, f"request-{i}", i % n) for i in range(8)]
        await all_quiet(town)
        assert receiver.seen == dict.fromkeys(events, 1)

    play(scenario, n=n, home=2)


def test_a_receiver_that_fails_half_of_the_time_accepts_each_event_once(play):
    async def scenario(town, receiver):
        dice = random.Random(7)
        receiver.refuses = lambda said: dice.random() < 0.5
        events = [await declined(town, f"request-{i}") for i in range(40)]
        await until(lambda: len(receiver.accepted) == 40)
        await all_quiet(town)
        assert receiver.accepted == dict.fromkeys(events, 1)
        assert receiver.seen.total() > 40

    play(scenario)


def test_the_home_is_down_and_another_tells_and_the_home_comes_back_and_does_not(play):
    async def scenario(town, receiver):
        await town.stop(1)
        events = [await declined(town, f"request-{i}") for i in range(5)]
        await until(lambda: len(receiver.accepted) == 5)
        await town.start(1)
        await all_quiet(town)
        assert receiver.seen == dict.fromkeys(events, 1)

    play(scenario)


def test_the_home_dies_with_events_that_others_tell_and_is_not_heard_again_of_them(play):
    async def scenario(town, receiver):
        receiver.refuses = lambda said: True
        events = [await declined(town, f"request-{i}") for i in range(5)]
        await until(lambda: receiver.seen.total() >= 5)
        await town.stop(1)
        receiver.refuses = lambda said: False
        await until(lambda: len(receiver.accepted) == 5)
        # The one that told them has been started anew since, too.
        for index in (2, 3):
            await town.stop(index)
            await town.start(index)
        await town.start(1)
        await all_quiet(town)
        assert receiver.accepted == dict.fromkeys(events, 1)

    play(scenario)


def test_two_of_three_are_down(play):
    async def scenario(town, receiver):
        await town.stop(2)
        await town.stop(3)
        event = await declined(town)
        await until(lambda: receiver.accepted[event])
        await town.start(2)
        await town.start(3)
        await all_quiet(town)
        assert receiver.seen[event] == 1

    play(scenario, n=7, home=2)


def test_a_home_that_answers_nothing_is_replaced(play):
    async def scenario(town, receiver):
        receiver.refuses = lambda said: 1 not in town.hung
        event = await declined(town)
        await until(lambda: receiver.seen[event])
        receiver.refuses = lambda said: False
        town.hung.add(1)
        town.desks[1]._teller.post = None
        town.desks[1]._teller._posted = lambda *_, **__: asyncio.Event().wait()
        await until(lambda: receiver.accepted[event])

    async def quickly(town, receiver):
        for desk in town.desks.values():
            desk._notes._carry = desk._carry(Matter.NOTES, 0.05)
        await scenario(town, receiver)

    play(quickly)


def test_a_home_that_knows_nothing_of_an_event_is_asked_and_replaced(play):
    async def scenario(town, receiver):
        home = town.desks[1]._requests
        home.take_decline = lambda signed: asyncio.sleep(0, False)
        event = await declined(town)
        assert town.events(1) == []
        await until(lambda: receiver.accepted[event])
        await all_quiet(town)
        assert receiver.seen[event] == 1

    play(scenario)


def test_what_was_told_before_it_happened_here_is_not_told_again(play):
    async def scenario(town, receiver):
        view = await town.ask(0)
        event = f"req_{view.id.hex()[:32]}_unpaid"
        note = join_items([b"T" + event.encode()])
        assert await town.desks[1].serve(2, Matter.NOTES, note) == b"\1"
        # It may be declined there before it has come there: that is what early means.
        await town.desks[1].decline(town.decline(view.id))
        await until(lambda: town.events(1) == [event])
        assert town.desks[1]._teller.waiting == 0
        assert not any(town.desks[1]._teller._early.values())

    play(scenario)


def test_who_does_not_record_a_merchant_cannot_say_that_it_was_told(play):
    async def scenario(town, receiver):
        receiver.refuses = lambda said: True
        event = await declined(town)
        early = await town.ask(0, "request-2")
        other = f"req_{early.id.hex()[:32]}_unpaid"
        for name in (event, other):
            await town.desks[1].serve(0, Matter.NOTES, join_items([b"T" + name.encode()]))
        await town.desks[0].decline(town.decline(early.id))
        receiver.refuses = lambda said: False
        await until(lambda: receiver.accepted[event] and receiver.accepted[other])

    play(scenario)


def test_what_others_say_early_is_bounded(play, monkeypatch):
    monkeypatch.setattr(teller, "EARLY_MAX", 16)

    async def scenario(town, receiver):
        for i in range(100):
            note = join_items([b"T" + b"pay_1_%d" % i, b"T" + b"x" * 400])
            await town.desks[1].serve(2, Matter.NOTES, note)
        (early,) = town.desks[1]._teller._early.values()
        assert len(early) == 16
        assert all(len(name) < 100 for name in early)

    play(scenario)


def test_our_own_events_come_in_their_order_whatever_fails(play):
    async def scenario(town, receiver):
        await town.desks[0].set_webhook(KEY, TILL, f"{receiver.url}/events")
        dice = random.Random(3)
        receiver.refuses = lambda said: dice.random() < 0.5
        events = [await declined(town, f"request-{i}", 0) for i in range(20)]
        await until(lambda: len(receiver.order) == 20)
        assert receiver.order == events

    async def own_form_only(town, receiver):
        town.url = ""
        await scenario(town, receiver)

    play(own_form_only)


def test_a_callback_in_the_form_of_a_webhook_goes_where_it_was_asked_for(play):
    async def scenario(town, receiver):
        await town.desks[0].set_webhook(KEY, TILL, f"{receiver.url}/hook")
        view = await town.ask(0, callback_url=f"{receiver.url}/asked", form=teller.OURS)
        await town.desks[0].decline(town.decline(view.id))
        event = f"req_{view.id.hex()[:32]}_unpaid"
        await until(lambda: receiver.accepted[event] == 2)
        await all_quiet(town)
        assert sorted(receiver.places) == ["/asked", "/hook"]

    play(scenario)


def test_a_webhook_that_has_moved_is_followed_and_one_that_was_ended_is_not_called(play):
    async def scenario(town, receiver):
        town.url = ""
        await town.desks[0].set_webhook(KEY, TILL, "http://127.0.0.1:1/nobody")
        event = await declined(town)
        await until(lambda: town.desks[1]._teller.counts["failed"])
        await town.desks[0].set_webhook(KEY, TILL, f"{receiver.url}/events")
        await until(lambda: receiver.accepted[event])
        receiver.refuses = lambda said: True
        other = await declined(town, "request-2")
        await until(lambda: receiver.seen[other])
        await town.desks[0].set_webhook(KEY, TILL, "")
        await all_quiet(town)
        assert not receiver.accepted[other]

    play(scenario)


def test_a_merchant_whose_software_hangs_holds_up_nobody_else(play, monkeypatch):
    monkeypatch.setattr(teller, "OF_MERCHANT_MAX", 2)
    monkeypatch.setattr(teller, "AT_ONCE_MAX", 4)

    async def scenario(town, receiver):
        for i in range(12):
            view = await town.ask(
                0,
                f"hangs-{i}",
                short_code="600000",
                account="A",
                callback_url=f"{receiver.url}/hang",
            )
            await town.desks[0].decline(town.decline(view.id))
        await until(lambda: receiver.seen["hung"] == 2)
        event = await declined(town)
        await until(lambda: receiver.accepted[event])
        assert receiver.seen["hung"] == 2
        receiver.hangs.set()
        await all_quiet(town)
        assert receiver.seen["hung"] == 12

    play(scenario)


@pytest.mark.parametrize("restarts", [False, True])
def test_what_there_is_no_room_for_waits_in_the_store_and_comes_in_order(
    play, monkeypatch, restarts
):
    monkeypatch.setattr(teller, "HELD_OF_MERCHANT_MAX", 4)
    monkeypatch.setattr(teller, "REFILL", 3)

    async def scenario(town, receiver):
        town.url = ""
        await town.desks[1].set_webhook(KEY, TILL, f"{receiver.url}/hook")
        await until(lambda: all(d._book.find(TILL).webhook for d in town.desks.values()))
        receiver.refuses = lambda said: True
        events = [await declined(town, f"request-{i}") for i in range(25)]
        for desk in town.desks.values():
            assert desk._teller.waiting <= 4
        if restarts:
            await town.stop(1)
            await town.start(1)
            assert town.desks[1]._teller.waiting <= 4
        receiver.refuses = lambda said: False
        await until(lambda: len(receiver.accepted) == 25)
        await all_quiet(town)
        assert receiver.order == events
        for desk in town.desks.values():
            assert not desk._teller._held
            assert not desk._teller._beyond
            assert not desk._teller._lines

    play(scenario)


def test_a_link_that_flaps_stops_no_delivery(play):
    async def scenario(town, receiver):
        event = await declined(town)

        async def flap():
            while True:
                town.separate(1, 2)
                await asyncio.sleep(0.03)
                town.join(1, 2)
                await asyncio.sleep(0.03)

        flapping = asyncio.create_task(flap())
        await until(lambda: receiver.accepted[event])
        later = await declined(town, "request-2")
        await until(lambda: receiver.accepted[later])
        flapping.cancel()

    play(scenario)


def test_what_was_not_delivered_is_after_a_restart(play):
    async def scenario(town, receiver):
        receiver.refuses = lambda said: True
        events = [await declined(town, f"request-{i}") for i in range(3)]
        for index in range(4):
            await town.stop(index)
        receiver.refuses = lambda said: False
        for index in range(4):
            await town.start(index)
        await until(lambda: len(receiver.accepted) == 3)
        await all_quiet(town)
        assert receiver.accepted == dict.fromkeys(events, 1)

    play(scenario)


def test_who_dies_between_sending_and_noting_sends_it_again_under_the_same_id(play):
    async def scenario(town, receiver):
        for index in (2, 3):
            await town.stop(index)
        view = await town.ask(0)
        mend = None

        def refuse(said):
            nonlocal mend
            if mend is None:
                mend = town.disk_full(1)
            return False

        receiver.refuses = refuse
        await town.desks[0].decline(town.decline(view.id))
        await until(lambda: receiver.seen.total() == 1)
        await town.stop(1)
        await town.start(1)
        await until(lambda: receiver.seen.total() == 2)
        assert len(receiver.seen) == 1

    play(scenario, n=7)


def test_what_is_sent_and_cannot_be_noted_is_noted_later_and_not_sent_again(play):
    async def scenario(town, receiver):
        mends = []

        def refuse(said):
            mends.append(town.disk_full(1))
            return False

        receiver.refuses = refuse
        event = await declined(town)
        await until(lambda: mends)
        await asyncio.sleep(0)
        mends[0]()
        await all_quiet(town)
        assert receiver.seen[event] == 1

    play(scenario)


def test_a_merchant_that_is_no_more_has_nothing_told(play):
    async def scenario(town, receiver):
        receiver.refuses = lambda said: True
        event = await declined(town)
        await until(lambda: receiver.seen[event])
        for desk in town.desks.values():
            desk._book._rows.clear()
        await all_quiet(town)

    play(scenario)


def test_a_clock_that_is_set_back_or_forward_loses_nothing(play):
    async def scenario(town, receiver):
        receiver.refuses = lambda said: said["state"] == "declined"
        event = await declined(town)
        await until(lambda: receiver.seen[event])
        town.later_ms = -3_600_000
        receiver.refuses = lambda said: False
        await town.stop(1)
        await until(lambda: receiver.accepted[event])

    play(scenario)


def test_what_nobody_takes_for_three_days_is_left_to_be_pulled(play):
    async def scenario(town, receiver):
        receiver.refuses = lambda said: True
        event = await declined(town)
        town.later_ms = teller.KEPT_MS + 1_000
        await all_quiet(town)
        assert sum(desk.facts()["callbacks_abandoned"] for desk in town.desks.values()) >= 1
        (told,) = await town.desks[1].events(TILL, 0, 10)
        assert told.id == event

    play(scenario)


# -- addresses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/x",
        "http://localhost:{port}/x",
        "http://[::ffff:127.0.0.1]:{port}/x",
        "http://[::1]:{port}/x",
        "http://127.1:{port}/x",
        "http://2130706433:{port}/x",
        "http://0x7f000001:{port}/x",
        "http://0.0.0.0:{port}/x",
        "http://169.254.169.254/latest",
        "http://[fe80::1%25lo]:{port}/x",
        "http://[64:ff9b::7f00:1]:{port}/x",
        "ftp://127.0.0.1/x",
        "http:///x",
        "file:///etc/passwd",
        "http://[::1",
        "",
        "\ud800",
    ],
)
def test_an_address_inside_is_not_called(play, url):
    async def scenario(town, receiver):
        desk = town.desks[0]._teller
        await until(lambda: desk._session is not None)
        port = receiver.url.rsplit(":", 1)[1]
        content = b'{"id": "forged"}'
        assert await desk.post(url.replace("{port}", port), {}, content, 2.0) is None
        assert not receiver.seen

    play(scenario, private_too=False)


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("ff02::1", False),
        ("::ffff:8.8.8.8", False),
        ("::ffff:10.0.0.1", False),
        ("2002:0a00:0001::", False),
        ("::10.0.0.1", False),
        ("240.0.0.1", False),
    ],
)
def test_which_addresses_are_everybodys(address, is_one):
    assert is_public(address) is is_one


def test_a_long_address_is_refused_at_the_home_and_before_it(play):
    async def scenario(town, receiver):
        for door in (0, 1):
            with pytest.raises(MerchantsError):
                await town.desks[door].set_webhook(KEY, TILL, "http://x/" + "y" * 1_024)
            with pytest.raises(MerchantsError):
                await town.desks[door].set_urls(KEY, TILL, Urls("http://\ud800"))
            with pytest.raises(MerchantsError):
                await town.desks[door].set_webhook("another-app", TILL, "http://x/")

    play(scenario)


def test_who_is_told_to_die_dies_after_so_many_answers(play):
    async def scenario(town, receiver):
        desk = town.desks[0]
        desk.push_answered()
        desk.faults.dies_after_pushes = 2
        desk.push_answered()
        assert town.died == []
        desk.push_answered()
        assert town.died == [0]
        desk.push_answered()
        assert town.died == [0], "once"

    play(scenario)
