"""Requests: kept by w, shown to the customer, ended once; and what liars can do about them."""

import asyncio
from dataclasses import replace

import msgspec
import pytest
from tests.merchants.town import KEY, OTHER, PAYBILL, TILL, Person, signing_key, until

from harambee.crypto.signatures import sign
from harambee.handset.payment_requests import read_request, request_id, request_prefix
from harambee.ledger.kinds import OrderKind
from harambee.merchants import requests
from harambee.merchants.ground import Matter
from harambee.merchants.port import (
    LASTS_MS_MAX,
    MerchantsError,
    Reason,
    RequestState,
    SignedRequest,
)
from harambee.merchants.post import join_items
from harambee.merchants.requests import GRACE_MS
from harambee.merchants.rows import RequestRow, write_row
from harambee.merchants.store import MerchantStoreError


def raised(call):
    """Return for what reason a call raises a MerchantsError."""

    async def reason():
        with pytest.raises(MerchantsError) as caught:
            await call
        return caught.value.reason

    return reason()


def row_signed_by(town, taker, **fields):
    """Return a request for the till as that super-agent would have it, but for some fields."""
    request = read_request(fields.pop("document"))
    document = msgspec.json.encode(
        msgspec.structs.replace(request, **({"super_agent": taker} | fields))
    )
    identity = request_id(town.genesis.network, document)
    prefix = request_prefix(town.genesis.network, town.genesis.committee.epoch)
    signature = sign(signing_key(taker), prefix + identity)
    return RequestRow(document, taker, signature, "+254712345678", KEY)


@pytest.mark.parametrize("n", [4, 7])
def test_a_request_is_answered_only_when_w_have_it_durably(play, n):
    async def scenario(town, receiver):
        for taker in range(n):
            view = await town.ask(taker, f"request-{taker}")
            assert len(town.keepers(view.id)) >= town.genesis.committee.w

    play(scenario, n=n)


@pytest.mark.parametrize("n", [4, 7, 10])
def test_the_taker_dies_right_after_answering_and_the_customer_gets_it_everywhere(play, n):
    async def scenario(town, receiver):
        view = await town.ask(n - 1)
        await town.stop(n - 1)
        for door in list(town.desks):
            (shown,) = await town.pending(door, 2_000)
            assert request_id(town.genesis.network, shown.document) == view.id

    play(scenario, n=n)


def test_the_taker_dies_when_only_those_who_need_not_show_it_have_it(play):
    async def scenario(town, receiver):
        # The customer is led to 0, 1 and 2, the till's ring is 4, 5 and 6.
        town.separate(3, 0, 1, 2)
        await town.ask(3)
        await town.stop(3)
        (shown,) = await town.pending(0, 2_000)
        assert shown.super_agent == 3

    play(scenario, n=7, home=4)


@pytest.mark.parametrize(("n", "dead"), [(7, (0, 1)), (10, (0, 1, 2))])
def test_others_stand_in_for_the_customers_holders_that_are_down(play, n, dead):
    async def scenario(town, receiver):
        for holder in dead:
            await town.stop(holder)
        await town.ask(5)
        for door in list(town.desks):
            assert len(await town.pending(door, 2_000)) == 1

    play(scenario, n=n, home=3)


def test_others_stand_in_for_holders_that_die_later(play):
    async def scenario(town, receiver):
        await town.ask(5)
        for holder in (0, 1, 2):
            await town.stop(holder)
        assert len(await town.pending(9, 2_000)) == 1

    play(scenario, n=10, home=6)


def test_what_fewer_than_w_can_be_told_of_is_withdrawn_and_asked_again_as_the_same(play):
    async def scenario(town, receiver):
        town.separate(2)
        assert await raised(town.ask(2)) is Reason.UNAVAILABLE
        assert await town.pending(2) == []
        assert await town.desks[2].request("request-1") is None
        first = town.stores[2].named("request-1")
        town.join(2)
        view = await town.ask(2)
        assert (view.id, view.state) == (first, RequestState.WAITING)
        assert len(town.keepers(view.id)) >= town.genesis.committee.w
        assert len(await town.pending(0, 1_000)) == 1

    play(scenario)


def test_what_was_withdrawn_may_be_something_else_when_it_is_asked_again(play):
    async def scenario(town, receiver):
        town.separate(2)
        assert await raised(town.ask(2)) is Reason.UNAVAILABLE
        town.join(2)
        assert (await town.ask(2, amount_cents=700)).amount_cents == 700

    play(scenario)


def test_a_withdrawn_request_that_is_asked_again_in_vain_is_withdrawn_again(play):
    async def scenario(town, receiver):
        town.separate(2)
        for _ in range(2):
            assert await raised(town.ask(2)) is Reason.UNAVAILABLE
        assert await town.pending(2) == []

    play(scenario)


def test_the_same_is_the_same_and_anything_else_is_taken(play):
    async def scenario(town, receiver):
        view = await town.ask(0)
        assert (await town.ask(0)).id == view.id
        assert (await town.ask(3)).id == view.id
        for door in (0, 3):
            for other in ({"amount_cents": 1}, {"msisdn": OTHER}, {"text": "for tea"}):
                assert await raised(town.ask(door, **other)) is Reason.NAME_TAKEN

    play(scenario)


def test_asked_twice_at_once_it_is_one_request(play):
    async def scenario(town, receiver):
        views = await asyncio.gather(*(town.ask(0) for _ in range(20)))
        assert len({view.id for view in views}) == 1
        assert len(await town.pending(0)) == 1

    play(scenario)


def test_a_request_found_at_one_is_brought_to_w_before_it_is_answered_again(play):
    async def scenario(town, receiver):
        town.separate(3, 0, 1)
        view = await town.ask(3)
        assert town.keepers(view.id) == {2, 3}
        await town.stop(3)
        assert (await town.ask(0)).id == view.id
        assert len(town.keepers(view.id)) >= town.genesis.committee.w

    play(scenario)


@pytest.mark.parametrize(
    ("reason", "other"),
    [
        (Reason.MERCHANT_UNKNOWN, {"short_code": "999999"}),
        (Reason.PAYER_UNKNOWN, {"msisdn": "+254700000000"}),
        (Reason.AMOUNT_INVALID, {"amount_cents": 0}),
        (Reason.AMOUNT_INVALID, {"amount_cents": 1 << 62}),
        (Reason.INVALID, {"name": ""}),
        (Reason.INVALID, {"name": "n" * 65}),
        (Reason.INVALID, {"name": "\ud800"}),
        (Reason.INVALID, {"text": "t" * 101}),
        (Reason.INVALID, {"callback_url": "\ud800"}),
        (Reason.INVALID, {"extra": {"big": "x" * 8_000}}),
    ],
)
def test_what_cannot_be_asked_is_refused_and_nothing_is_kept(play, reason, other):
    async def scenario(town, receiver):
        assert await raised(town.ask(0, **other)) is reason
        assert await town.pending(0) == []

    play(scenario)


# -- how they end -------------------------------------------------------------------------------------


def test_one_order_pays_one_request(play):
    async def scenario(town, receiver):
        first, second = await town.ask(0), await town.ask(0, "request-2")
        documents = [shown.document for shown in await town.pending(0)]
        for wrong in ({"amount_cents": 4_999}, {"payee": town.paybill.account}):
            await town.pay(documents[0], **wrong)
            assert (await town.desks[0].request(first.name)).state is RequestState.WAITING
        await town.pay(documents[0])
        for door in range(4):
            assert (await town.desks[door].request(first.name)).state is RequestState.PAID
            assert (await town.desks[door].request(second.name)).state is RequestState.WAITING
        await until(lambda: receiver.accepted[f"req_{first.id.hex()[:32]}_paid"])
        await town.pay(documents[0])
        for door in (1, 2, 3):
            ended = [event for event in town.events(door) if event.startswith("req_")]
            assert ended == [f"req_{first.id.hex()[:32]}_paid"]

    play(scenario)


def test_a_request_that_expired_is_paid_all_the_same_by_an_order_that_comes_late(play):
    async def scenario(town, receiver):
        view = await town.ask(0)
        document = await town.document(0)
        town.later_ms = 60_000 + GRACE_MS + 1
        name = f"req_{view.id.hex()[:32]}"
        await until(lambda: receiver.accepted[f"{name}_unpaid"])
        assert await town.pending(0) == []
        await town.pay(document)
        await until(lambda: receiver.accepted[f"{name}_paid"])
        for door in range(4):
            assert (await town.desks[door].request(view.name)).state is RequestState.PAID
        assert set(receiver.accepted.values()) == {1}

    play(scenario)


def test_a_request_that_comes_later_than_its_payment_is_paid_and_never_expires(play):
    async def scenario(town, receiver):
        # 1 is the till's home, and is brought the request after the ledger has the order.
        town.separate(1)
        view = await town.ask(0)
        row = await town.row(0, view.id)
        await town.pay(await town.document(0))
        assert [event[:4] for event in town.events(1)] == ["pay_"]
        batch = join_items([write_row(row)])
        assert await town.desks[1].serve(0, Matter.KEEP_REQUESTS, batch) == b"\1"
        assert town.stores[1].request(view.id).state is RequestState.PAID
        town.later_ms = 60_000 + GRACE_MS + 1
        await until(lambda: receiver.accepted[f"req_{view.id.hex()[:32]}_paid"])
        assert not any("unpaid" in event for event in town.events(1))

    play(scenario)


def test_a_decline_ends_it_everywhere_and_only_hers_does(play):
    async def scenario(town, receiver):
        view = await town.ask(0)
        theirs = town.decline(view.id, town.other.keypair, town.other.account)
        forged = town.decline(view.id, town.other.keypair)
        for said in (theirs, forged, b"", b"x" * 101, town.decline(b"n" * 32)):
            assert await raised(town.desks[3].decline(said)) in (Reason.NOT_FOUND, Reason.INVALID)
        await town.desks[3].decline(town.decline(view.id, reason=23))
        for door in range(4):
            found = await town.desks[door].request(view.name)
            assert (found.state, found.reason) == (RequestState.DECLINED, 23)
        await until(lambda: receiver.accepted[f"req_{view.id.hex()[:32]}_unpaid"])
        await town.desks[3].decline(town.decline(view.id, reason=23))
        town.later_ms = 60_000 + GRACE_MS + 1
        assert await raised(town.desks[0].decline(town.decline(b"n" * 32))) is Reason.NOT_FOUND
        assert len(town.events(1)) == 1

    play(scenario)


def test_a_customer_may_be_quicker_than_the_taker(play):
    async def scenario(town, receiver):
        town.separate(1)
        view = await town.ask(0)
        note = join_items([b"D" + town.decline(view.id, reason=7)])
        forged = join_items([b"D" + town.decline(view.id, town.other.keypair)])
        assert await town.desks[1].serve(2, Matter.NOTES, forged) == b"\0"
        assert await town.desks[1].serve(2, Matter.NOTES, note) == b"\0"
        town.join(1)
        await until(lambda: town.stores[1].request(view.id) is not None)
        await until(lambda: town.stores[1].request(view.id).state is RequestState.DECLINED)
        assert town.stores[1].request(view.id).reason == 7

    play(scenario)


def test_early_declines_are_bounded(play, monkeypatch):
    monkeypatch.setattr(requests, "EARLY_MAX", 8)

    async def scenario(town, receiver):
        for i in range(20):
            note = join_items([b"D" + town.decline(bytes([i]) * 32)])
            await town.desks[1].serve(2, Matter.NOTES, note)
        assert len(town.desks[1]._requests._early_declines) == 8

    play(scenario)


def test_a_request_that_ends_unpaid_in_two_ways_is_one_event(play):
    async def scenario(town, receiver):
        # The home has the request, and not the decline: for it, its time is over.
        view = await town.ask(0)
        await until(lambda: town.keepers(view.id) == {0, 1, 2, 3})
        town.separate(1)
        await town.desks[0].decline(town.decline(view.id))
        event = f"req_{view.id.hex()[:32]}_unpaid"
        await until(lambda: receiver.accepted[event])
        town.join(1)
        town.later_ms = 60_000 + GRACE_MS + 1
        await until(lambda: town.events(1) == [event])
        await until(lambda: not any(desk._teller.waiting for desk in town.desks.values()))
        assert receiver.seen == {event: 1}

    play(scenario)


def test_who_declined_and_pays_all_the_same_has_paid(play):
    async def scenario(town, receiver):
        view = await town.ask(0)
        document = await town.document(0)
        await town.desks[0].decline(town.decline(view.id))
        await town.pay(document)
        assert (await town.desks[1].request(view.name)).state is RequestState.PAID

    play(scenario)


def test_a_payment_told_many_times_at_once_is_one_event(play):
    async def scenario(town, receiver):
        view = await town.ask(0)
        order = await town.pay(await town.document(0))
        await asyncio.gather(*(town.desks[1].take_final(order, town.now_ms()) for _ in range(20)))
        assert sorted(event[:4] for event in town.events(1)) == ["pay_", "req_"]
        assert (await town.desks[1].request(view.name)).payment.account == ""

    play(scenario)


# -- restarts and disks ---------------------------------------------------------------------------------


def test_what_waits_waits_after_a_restart_and_ends_once(play):
    async def scenario(town, receiver):
        view = await town.ask(0)
        for index in range(4):
            await town.stop(index)
        for index in range(4):
            await town.start(index)
        assert len(await town.pending(0)) == 1
        assert (await town.ask(0)).id == view.id
        town.later_ms = 60_000 + GRACE_MS + 1
        await until(lambda: receiver.accepted[f"req_{view.id.hex()[:32]}_unpaid"])
        assert receiver.accepted.total() == 1

    play(scenario)


def test_an_end_and_its_event_are_one_step(play):
    async def scenario(town, receiver):
        view = await town.ask(0)
        document = await town.document(0)
        mends = [town.disk_full(index) for index in range(4)]
        with pytest.raises(MerchantStoreError):
            await town.pay(document)
        for index in range(4):
            assert town.stores[index].request(view.id).state is RequestState.WAITING
            assert town.events(index) == []
        for mend in mends:
            mend()
        # The watch tells it again.
        for index in range(4):
            await town._tell(index, next(iter(town.finals.values())))
        await until(lambda: receiver.accepted[f"req_{view.id.hex()[:32]}_paid"])

    play(scenario)


def test_what_cannot_be_ended_now_is_ended_when_the_disk_has_room(play):
    async def scenario(town, receiver):
        view = await town.ask(0)
        mends = [town.disk_full(index) for index in range(4)]
        town.later_ms = 60_000 + GRACE_MS + 1
        assert await raised(town.desks[0].decline(town.decline(view.id))) is Reason.UNAVAILABLE
        for mend in mends:
            mend()
        await until(lambda: receiver.accepted[f"req_{view.id.hex()[:32]}_unpaid"])

    play(scenario)


def test_a_taker_without_room_counts_for_nothing(play):
    async def scenario(town, receiver):
        town.disk_full(0)
        view = await town.ask(0)
        assert len(town.keepers(view.id)) >= 2
        assert 0 not in town.keepers(view.id)
        for index in (1, 2):
            town.disk_full(index)
        assert await raised(town.ask(0, "request-2")) is Reason.UNAVAILABLE

    play(scenario)


def test_what_is_being_made_durable_counts_only_once_it_is(play):
    async def scenario(town, receiver):
        view = await town.ask(0)
        item = write_row(await town.row(0, view.id))
        await town.stop(3)
        (town.folder / "agent-3" / "data.mdb").unlink()
        town.separate(3)
        await town.start(3)
        town.disk_full(3)
        answers = await asyncio.gather(
            *(town.desks[3].serve(0, Matter.KEEP_REQUESTS, join_items([item])) for _ in range(5))
        )
        assert answers == [b"\0"] * 5
        assert await town.pending(3) == []

    play(scenario)


def test_who_declines_what_is_just_being_made_durable_has_declined_it(play):
    async def scenario(town, receiver):
        store, is_written, goes_on = town.stores[0], asyncio.Event(), asyncio.Event()
        write = store.write

        async def write_and_pause(change):
            store.write = write
            answer = await write(change)
            is_written.set()
            await goes_on.wait()
            return answer

        store.write = write_and_pause
        view = await town.ask(0)  # durable at two others: the customer is shown it there
        await is_written.wait()
        declining = asyncio.create_task(town.desks[0].decline(town.decline(view.id)))
        await asyncio.wait([declining], timeout=0.1)  # as far as it comes meanwhile
        goes_on.set()
        await declining
        await until(lambda: not town.desks[0]._requests._keeping)
        assert (await town.desks[0].request("request-1")).state is RequestState.DECLINED
        assert await town.pending(0) == []

    play(scenario)


# -- liars ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lie",
    [
        {"payee_name": "Somebody Else"},
        {"short_code": "600000"},
        {"kind": "pay_bill"},
        {"payee": 12_345},
        {"expires_ms": 1 << 52},
        {"made_ms": 1, "expires_ms": 2},
    ],
)
def test_a_request_that_says_what_no_taker_may_say_is_not_kept(play, lie):
    async def scenario(town, receiver):
        await town.ask(0)
        row = row_signed_by(town, 3, document=await town.document(0), **lie)
        batch = join_items([write_row(row)])
        assert await town.desks[1].serve(3, Matter.KEEP_REQUESTS, batch) == b"\0"

    play(scenario)


def test_a_request_that_no_super_agent_signed_is_neither_kept_nor_shown(play):
    async def scenario(town, receiver):
        view = await town.ask(0)
        honest = await town.document(0)
        good = row_signed_by(town, 3, document=honest, nonce="other", name="other")
        for bad in (
            msgspec.structs.replace(good, signature=bytes(64)),
            msgspec.structs.replace(good, super_agent=2),
            msgspec.structs.replace(good, document=good.document.replace(b"for milk", b"for meat")),
        ):
            batch = join_items([write_row(bad)])
            assert await town.desks[1].serve(3, Matter.KEEP_REQUESTS, batch) == b"\0"
            shown = SignedRequest(bad.document, bad.super_agent, bad.signature)
            answer = join_items([msgspec.msgpack.encode(shown)])
            town.liars[1] = lambda matter, _, answer=answer: (
                b"\1" if matter is Matter.NOTES else answer
            )
            found = await town.pending(0)
            assert [one.document for one in found] == [honest]
        theirs = row_signed_by(town, 1, document=honest, payer=town.other.account, name="x")
        shown = SignedRequest(theirs.document, 1, theirs.signature)
        answer = join_items([msgspec.msgpack.encode(shown)])
        assert [one.document for one in await town.pending(0)] == [honest]
        assert view.payer == town.customer.account

    play(scenario)


def test_a_lying_taker_makes_nobody_elses_customer_busy_and_is_bounded(play, monkeypatch):
    monkeypatch.setattr(requests, "WAITING_OF_PAYER_MAX", 3)

    async def scenario(town, receiver):
        await town.ask(0)
        honest = await town.document(0)
        rows = [
            row_signed_by(town, 3, document=honest, name=f"lie-{i}", nonce=f"{i}") for i in range(8)
        ]
        batch = join_items([write_row(row) for row in rows])
        taken = await town.desks[1].serve(3, Matter.KEEP_REQUESTS, batch)
        assert sum(taken) == 3
        await town.ask(0, "request-2")
        shown = await town.pending(1)
        # Those of the liar stand in turn with the others.
        assert {one.super_agent for one in shown[:2]} == {0, 3}

    play(scenario)


def test_nobody_keeps_more_of_one_taker_than_its_share(play, monkeypatch):
    monkeypatch.setattr(requests, "WAITING_OF_TAKER_MAX", 2)

    async def scenario(town, receiver):
        await town.ask(0)
        await town.ask(0, "request-2", msisdn=OTHER)
        assert await raised(town.ask(0, "request-3")) is Reason.PAYER_BUSY
        await town.ask(2, "request-3")

    play(scenario)


def test_a_liar_cannot_say_that_a_request_is_paid_or_declined(play):
    async def scenario(town, receiver):
        view = await town.ask(0)
        order = town.order(town.customer, await town.document(0))
        row = await town.row(0, view.id)
        await town.stop(2)
        (town.folder / "agent-2" / "data.mdb").unlink()
        town.separate(2)
        await town.start(2)
        town.join(2, 3)
        facts = {"receipt_code": "SK1", "order": order, "short_code": TILL, "payer": 1}
        paid = msgspec.convert(facts | {"amount_cents": 1, "time_ms": 1}, requests.PaymentFacts)
        lies = [
            msgspec.structs.replace(row, state=RequestState.PAID, payment=paid),
            msgspec.structs.replace(row, state=RequestState.DECLINED, decline=b"x" * 101),
            msgspec.structs.replace(row, state=RequestState.EXPIRED),
        ]
        for lie in lies:
            answer = write_row(lie)
            town.liars[3] = lambda matter, _, answer=answer: (
                b"\1" if matter is Matter.NOTES else answer if matter is Matter.FIND else b"\0"
            )
            found = await town.desks[2].request(view.name)
            assert found is None or found.state is RequestState.WAITING

    play(scenario)


def test_a_liar_cannot_take_the_name_of_what_another_merchant_asks(play):
    async def scenario(town, receiver):
        await town.ask(0, "before")
        document = await town.document(0)

        def lie(matter, content):
            if matter is Matter.NOTES:
                return b"\1" if content[4:5] == b"N" else None
            if matter is Matter.FIND:
                other = row_signed_by(town, 1, document=document, name=content.decode())
                return write_row(other)
            return None

        town.liars[1] = lie
        view = await town.ask(0, "request-1", amount_cents=900)
        assert view.amount_cents == 900

    play(scenario)


def test_a_forged_question_shows_nothing(play):
    async def scenario(town, receiver):
        await town.ask(0)
        forged = (
            town.question(town.other)[:0] + town.question()[:12] + town.question(town.other)[12:]
        )
        for said in (forged, b"", b"x" * 76, town.question(time_ms=town.now_ms() - 400_000)):
            assert await raised(town.desks[0].pending(said)) in (
                Reason.SIGNATURE_INVALID,
                Reason.INVALID,
            )
            assert await town.desks[0].serve(1, Matter.PENDING, said) == b""
            batch = join_items([b"P" + said])
            assert await town.desks[0].serve(1, Matter.NOTES, batch) == b"\0"
        assert await town.desks[0].pending(town.question(town.other)) == []

    play(scenario)


# -- waiting for them ---------------------------------------------------------------------------------------


def test_all_who_wait_at_a_door_are_told_at_once_and_nothing_is_left_of_them(play):
    async def scenario(town, receiver):
        waits = [asyncio.create_task(town.pending(door, 5_000)) for door in (0, 0, 0, 3)]
        gone = asyncio.create_task(town.pending(0, 5_000))
        await until(lambda: len(town.desks[0]._requests._news.get(town.customer.account, ())) == 4)
        gone.cancel()
        await town.ask(0)
        for shown in await asyncio.gather(*waits):
            assert len(shown) == 1
        assert not town.desks[0]._requests._news
        await town.pending(0)
        assert not town.desks[0]._requests._news

    play(scenario)


def test_a_link_that_comes_up_again_and_again_brings_what_waits_once_at_a_time(play):
    async def scenario(town, receiver):
        town.separate(1)
        for i in range(30):
            await town.ask(0, f"request-{i}")
        town.asked.clear()
        for _ in range(20):
            town.join(1)
            town.separate(1)
        town.join(1)
        await until(lambda: len(town.stores[1].waiting()) == 30)
        assert town.asked[0, 1, Matter.KEEP_REQUESTS] < 30

    play(scenario)


def test_two_hundred_requests_cost_a_peer_few_errands(play):
    async def scenario(town, receiver):
        await asyncio.gather(*(town.ask(0, f"request-{i}") for i in range(200)))
        for peer in (1, 2, 3):
            assert sum(town.asked[0, peer, matter] for matter in Matter) <= 20

    play(scenario)


def test_memory_is_given_back_when_requests_end(play, monkeypatch):
    monkeypatch.setattr(requests, "ENDED_REMEMBERED", 4)

    async def scenario(town, receiver):
        views = [await town.ask(0, f"request-{i}") for i in range(10)]
        for view in views:
            await town.desks[0].decline(town.decline(view.id))
        for desk in town.desks.values():
            kept = desk._requests
            await until(lambda kept=kept: not kept._waiting)
            assert not kept._of_payer
            assert not kept._of_payee
            assert not kept._of_taker
            assert not kept._of_pair
            assert len(kept._remembered) <= 4
        assert (await town.desks[0].request("request-0")).state is RequestState.DECLINED

    play(scenario)


def test_no_request_lasts_longer_than_any_may(play):
    async def scenario(town, receiver):
        view = await town.ask(0, lasts_ms=1 << 40)
        assert view.expires_ms - view.made_ms == LASTS_MS_MAX
        assert replace(view, id=b"").name == "request-1"

    play(scenario)


def test_a_business_is_asked_and_pays_by_a_transfer(play):
    async def scenario(town, receiver):
        view = await town.ask(0, msisdn="", payer=f"paybill:{PAYBILL}", account="INV-1")
        assert (view.payer, view.msisdn) == (town.paybill.account, "")
        operator = Person(town.paybill.account, town.keys[f"paybill:{PAYBILL}"], "")
        for door in list(town.desks.values()):
            (shown,) = await door.pending(town.question(operator), 2_000)
            request = read_request(shown.document)
            assert request.order_kind is OrderKind.BUSINESS_TRANSFER
        order = town.order(operator, shown.document)
        await town.make_final(order)
        for index in town.desks:
            assert (await town.desks[index].request("request-1")).state is RequestState.PAID
        await until(lambda: receiver.accepted[f"req_{view.id.hex()[:32]}_paid"] == 1)

    play(scenario)


def test_nobody_is_asked_by_himself(play):
    async def scenario(town, receiver):
        assert await raised(town.ask(0, msisdn="", payer=f"till:{TILL}")) is Reason.INVALID

    play(scenario)


def test_a_business_that_nobody_knows_is_not_asked(play):
    async def scenario(town, receiver):
        asked = town.ask(0, msisdn="", payer="till:999999")
        assert await raised(asked) is Reason.PAYER_UNKNOWN

    play(scenario)
