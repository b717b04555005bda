"""Which tariff a handset pays by: that of its order's day, by the word of w super-agents."""

import asyncio
from dataclasses import replace

import pytest
from tests.handset.conftest import OWNER, PAYEE, PAYER, TODAY, FakeDoor, Truth

from harambee.handset.doors import DoorError, TariffRow
from harambee.handset.handset import Handset, HandsetError
from harambee.handset.orders import OrderBody
from harambee.handset.tariffs import in_force, tariff_of_day
from harambee.handset.wallet import Wallet
from harambee.money.tariff import Tariff, shipped_tariff

FIRST = shipped_tariff()


def next_version(version=3, name="the next one"):
    return Tariff.from_document(
        shipped_tariff(2).to_document() | {"version": version, "name": name}
    )


@pytest.fixture
def truth():
    truth = Truth()
    truth.later_tariffs = [(TODAY + 3, next_version())]
    return truth


@pytest.fixture
def doors(truth):
    return [FakeDoor(index, truth) for index in range(4)]


def of_day(truth, doors, day):
    return asyncio.run(tariff_of_day(truth.genesis, doors, day))


def test_a_tariff_is_that_of_the_day(truth, doors):
    assert of_day(truth, doors, TODAY) == of_day(truth, doors, TODAY + 2) == FIRST
    assert of_day(truth, doors, TODAY + 3) == of_day(truth, doors, TODAY + 9) == next_version()


def test_of_those_that_have_begun_the_newest_is_in_force():
    rows = [(0, FIRST), (0, shipped_tariff(2)), (9, next_version())]
    assert in_force(rows, 8).version == 2
    assert in_force(rows, 9).version == 3


class Forger(FakeDoor):
    """Has a tariff of its own, which pays more."""

    async def tariffs(self):
        rows = await super().tariffs()
        return (*rows[:-1], replace(rows[-1], digest=bytes(32), first_day=0))

    async def tariff(self, version):
        return next_version(version, "mine").to_bytes()


class Mute(FakeDoor):
    async def tariff(self, version):
        raise DoorError("It says nothing.")


def test_one_door_that_lies_names_no_tariff_and_brings_no_document(truth):
    doors = [Forger(0, truth), *(FakeDoor(index, truth) for index in range(1, 4))]
    assert of_day(truth, doors, TODAY) == FIRST
    assert of_day(truth, doors, TODAY + 3) == next_version()


def test_a_document_that_nobody_has_is_said(truth):
    with pytest.raises(HandsetError, match="shows the document of tariff version 3"):
        of_day(truth, [Mute(index, truth) for index in range(4)], TODAY + 3)


def test_a_network_that_names_no_tariff_of_the_day_is_not_paid_in(truth, doors, monkeypatch):
    async def later(self):
        return (TariffRow(9, TODAY + 9, bytes(32)),)

    monkeypatch.setattr(FakeDoor, "tariffs", later)
    with pytest.raises(HandsetError, match="no tariff of this day"):
        of_day(truth, doors, TODAY)


@pytest.mark.parametrize(("day", "version"), [(TODAY + 2, 1), (TODAY + 3, 3)])
def test_a_payment_names_the_tariff_of_its_day(tmp_path, truth, doors, day, version):
    wallet = Wallet(tmp_path / "wallet", PAYER, OWNER)
    handset = Handset(truth.genesis, doors, wallet, 0.2, lambda: day)
    asyncio.run(handset.pay(PAYEE, 1_000))
    body = OrderBody.from_bytes(truth.seen[0])
    assert (body.tariff, body.day) == (version, day)
