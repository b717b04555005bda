"""Bills: the biller is asked once, and what a payer said reaches her payment and no other."""

import asyncio
from dataclasses import replace

import msgspec
import pytest
from tests.merchants.town import CUSTOMER, KEY, OTHER, PAYBILL, until

from harambee.handset.orders import bill_reference
from harambee.merchants.desk import BILL_OF_TILL_MS, _bill_key, _Note
from harambee.merchants.ground import Matter
from harambee.merchants.port import MerchantsError, Reason, Urls, Verdict
from harambee.merchants.post import join_items
from harambee.merchants.rows import write_row

PAYBILL_KEY = f"paybill:{PAYBILL}"


async def validated(town, receiver, **other):
    urls = Urls(f"{receiver.url}/confirm", f"{receiver.url}/verdict", form="c2b")
    await town.desks[1].set_urls(KEY, PAYBILL, replace(urls, **other))
    await until(lambda: all(desk._book.find(PAYBILL).urls for desk in town.desks.values()))
    await until(lambda: all(desk._teller._session is not None for desk in town.desks.values()))


def payment(town, index, key=PAYBILL_KEY):
    events = town.stores[index].events(key, 0, 10)
    return [row.payment for _, row in events if row.payment is not None][-1]


def bill_of(town, index, account):
    place = _bill_key(town.paybill.account, bill_reference(town.paybill.account, account))
    return town.stores[index].bill(town.customer.account, place)


def test_a_biller_is_asked_and_what_it_says_is_kept_by_its_whole_ring(play):
    async def scenario(town, receiver):
        receiver.verdict = b'{"accepted": true}'
        await validated(town, receiver)
        verdict = await town.desks[0].announce(town.announcement("acc-7"))
        assert verdict.accepted
        assert receiver.questions == [{"account": "acc-7", "msisdn": CUSTOMER}]
        await until(lambda: all(bill_of(town, index, "acc-7") for index in (1, 2, 3)))
        await town.make_final(town.bill("ACC-7"))
        for index in (1, 2, 3):
            assert payment(town, index).account == "acc-7"
            assert payment(town, index).msisdn == CUSTOMER

    play(scenario)


def test_a_refusal_is_told_in_its_own_words_and_no_more_of_them_than_anybody_reads(play):
    async def scenario(town, receiver):
        receiver.verdict = msgspec.json.encode(
            {"accepted": False, "code": "C2B00012", "sentence": "x" * 5_000}
        )
        await validated(town, receiver)
        for door in (0, 1):
            verdict = await town.desks[door].announce(town.announcement())
            assert (verdict.accepted, verdict.code, len(verdict.sentence)) == (
                False,
                "C2B00012",
                256,
            )
        assert bill_of(town, 1, "A-1") is None

    play(scenario)


@pytest.mark.parametrize("accepts", [True, False])
def test_a_biller_that_does_not_answer_is_taken_as_it_arranged(play, accepts):
    async def scenario(town, receiver):
        nobody = "http://127.0.0.1:1/"
        await validated(town, receiver, validation=nobody, accept_unanswered=accepts)
        verdict = await town.desks[0].announce(town.announcement())
        assert verdict.accepted is accepts

    play(scenario)


def test_one_announcement_asks_once_however_often_it_is_brought(play):
    async def scenario(town, receiver):
        await validated(town, receiver)
        said = town.announcement()
        told = [town.desks[1].serve(0, Matter.BILL, said) for _ in range(10)]
        answers = await asyncio.gather(*told)
        assert {msgspec.msgpack.decode(answer, type=Verdict).accepted for answer in answers} == {
            True
        }
        assert len(receiver.questions) == 1

    play(scenario)


def test_what_is_not_signed_by_the_payer_just_now_is_no_announcement(play):
    async def scenario(town, receiver):
        await validated(town, receiver)
        good = town.announcement()
        forged = good[:-1] + bytes([good[-1] ^ 1])
        late = town.announcement(time_us=(town.now_ms() - 400_000) * 1_000)
        theirs = town.announcement(payer=town.other.account)
        for said in (forged, late, theirs, b"", b"{}" + bytes(64), good * 3):
            with pytest.raises(MerchantsError) as caught:
                await town.desks[0].announce(said)
            assert caught.value.reason in (Reason.SIGNATURE_INVALID, Reason.INVALID)
            note = b"B" + write_row(_Note(said, ""))
            assert await town.desks[2].serve(1, Matter.NOTES, join_items([note])) == b"\0"
        assert not receiver.questions

    play(scenario)


def test_only_those_of_the_ring_hand_on_what_a_payer_said(play):
    async def scenario(town, receiver):
        note = join_items([b"B" + write_row(_Note(town.announcement(), "t" * 5_00))])
        assert await town.desks[2].serve(0, Matter.NOTES, note) == b"\0"
        assert await town.desks[2].serve(1, Matter.NOTES, note) == b"\1"

    play(scenario)


def test_a_number_that_is_not_the_payers_is_not_shown(play):
    async def scenario(town, receiver):
        await validated(town, receiver)
        await town.desks[1].announce(town.announcement(msisdn=OTHER))
        assert receiver.questions[0]["msisdn"] is None
        await town.make_final(town.bill("A-1"))
        assert payment(town, 1).msisdn is None
        assert payment(town, 1).account == "A-1"

    play(scenario)


def test_what_was_said_at_a_till_is_of_the_next_minutes_only(play):
    async def scenario(town, receiver):
        said = town.announcement("table 4", payee=town.till.account, amount_cents=5_000)
        await town.desks[1].announce(said)
        await town.ask(0)
        document = await town.document(0)
        await town.pay(document, reference=bytes(32))
        assert payment(town, 1, f"till:{town.till.short_code}").account == "table 4"
        town.later_ms = BILL_OF_TILL_MS + 1_000
        await town.pay(document, reference=bytes(32))
        assert payment(town, 1, f"till:{town.till.short_code}").account == ""

    play(scenario)


def test_without_anybody_of_the_ring_nothing_is_said_for_the_biller(play):
    async def scenario(town, receiver):
        for index in (1, 2, 3):
            await town.stop(index)
        with pytest.raises(MerchantsError) as caught:
            await town.desks[0].announce(town.announcement())
        assert caught.value.reason is Reason.UNAVAILABLE
        assert (await town.desks[0].announce(town.announcement(payee=5))).accepted

    play(scenario)
