"""Names of customers, asked for by a merchant's key, at whichever door its software stands."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.merchants.test_requests import raised
from tests.merchants.town import CUSTOMER, KEY, PAYBILL, TILL

from harambee.merchants.ground import GroundError, Matter
from harambee.merchants.inquiries import Inquiries
from harambee.merchants.port import MerchantsError, Reason


def test_at_every_door_the_merchants_key_asks(play):
    async def scenario(town, receiver):
        for door in town.desks.values():
            assert await door.name_of_number(KEY, TILL, CUSTOMER) == "BRIAN K."
        assert {(said.asker, said.payee) for said in town.questions} == {
            (town.till.account, town.customer.account)
        }
        times = [said.time_us for said in town.questions]
        assert len(set(times)) == len(times) == town.n, "no question is another one again"

    play(scenario)


@pytest.mark.parametrize("reason", [Reason.QUOTA, Reason.NOT_FOUND, Reason.BUSY])
def test_what_the_home_is_told_everybody_is_told(play, reason):
    async def scenario(town, receiver):
        town.no_name = MerchantsError(reason, "There is no name.")
        for door in town.desks.values():
            assert await raised(door.name_of_number(KEY, TILL, CUSTOMER)) is reason

    play(scenario)


def test_nobody_is_asked_for_strangers_to_the_merchant_or_to_the_network(play):
    async def scenario(town, receiver):
        for door in town.desks.values():
            asked = door.name_of_number
            assert await raised(asked("key-2", TILL, CUSTOMER)) is Reason.INVALID
            assert await raised(asked(KEY, "999999", CUSTOMER)) is Reason.MERCHANT_UNKNOWN
            assert await raised(asked(KEY, PAYBILL, "+254799999999")) is Reason.PAYER_UNKNOWN
        assert town.questions == []

    play(scenario)


def test_without_its_home_a_merchant_asks_nothing(play):
    async def scenario(town, receiver):
        await town.stop(town.home)
        assert await raised(town.desks[0].name_of_number(KEY, TILL, CUSTOMER)) is Reason.UNAVAILABLE
        await town.start(town.home)
        town.no_name = GroundError("Nobody who holds this name can be reached.")
        for door in town.desks.values():
            assert await raised(door.name_of_number(KEY, TILL, CUSTOMER)) is Reason.UNAVAILABLE

    play(scenario)


def test_a_home_that_lies_says_nothing_that_cannot_be_shown(play):
    async def scenario(town, receiver):
        for answer in (b"", b"\x80", b"\x81\xa4name\xa3a\nb", b"\xff" * 9):
            town.liars[town.home] = lambda matter, content, answer=answer: answer
            asked = town.desks[0].name_of_number(KEY, TILL, CUSTOMER)
            assert await raised(asked) is Reason.UNAVAILABLE

    play(scenario)


@given(st.binary(max_size=80))
def test_other_super_agents_garbage_is_answered_with_nothing(content):
    assert Matter.NAME == 9
    assert asyncio.run(Inquiries(None, _NoBook()).told(content)) == b""


class _NoBook:
    def find(self, short_code):
        return None
