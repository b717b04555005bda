"""A bill is announced before it is signed: the biller may refuse it, and nobody else can stop it."""

import asyncio

import pytest
from tests.handset.conftest import OWNER, PAYER, SHOP, make_genesis

from harambee.crypto.keys import public_of
from harambee.handset import announcing
from harambee.handset.doors import AccountView, BillVerdict
from harambee.handset.handset import HandsetError, PaymentStatus
from harambee.handset.orders import OrderBody, bill_reference
from harambee.handset.payment_requests import is_announced_by, read_announcement
from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import AccountKind

HONEST = "honest honest honest honest"


def biller(stage):
    stage.truth.genesis = make_genesis(tariff=2)
    stage.truth.accounts[SHOP] = AccountView(SHOP, bytes(32), AccountKind.BUSINESS, 0, 0)
    return stage


def pay(stage, **named):
    return asyncio.run(stage.handset().pay(SHOP, 50_00, **named))


def test_the_biller_hears_the_account_before_anything_is_signed(scene):
    stage = biller(scene(HONEST))
    stage.truth.verdict = BillVerdict(accepted=True)
    assert pay(stage, account=" INV-7 ").status is PaymentStatus.FINAL
    ((index, signed),) = stage.truth.announced
    said = read_announcement(signed)
    assert index == 0
    assert (said.payer, said.payee, said.amount_cents, said.account) == (
        PAYER,
        SHOP,
        50_00,
        "INV-7",
    )
    assert said.msisdn is None, "this wallet does not know its number"
    assert is_announced_by(signed, stage.truth.genesis.network, public_of(OWNER))


def test_a_biller_that_refuses_is_not_paid_and_says_why(scene):
    stage = biller(scene(HONEST))
    stage.truth.verdict = BillVerdict(False, "C2B00012", "There is no account INV-7.")
    with pytest.raises(HandsetError, match=r"^There is no account INV-7\.$"):
        pay(stage, account="INV-7")
    assert not stage.truth.seen
    stage.truth.verdict = BillVerdict(accepted=False)
    with pytest.raises(HandsetError, match="does not take this payment"):
        pay(stage, account="INV-7")


@pytest.mark.parametrize(
    "words", [HONEST, "dead honest honest dead", "foreign honest honest honest"]
)
def test_doors_without_such_a_service_stop_nobody(scene, words):
    stage = biller(scene(words))
    assert pay(stage, account="INV-7").status is PaymentStatus.FINAL
    alive = [index for index, word in enumerate(words.split()) if word == "honest"]
    assert [index for index, _ in stage.truth.announced] == alive


def test_a_silent_door_is_passed_over(scene, monkeypatch):
    monkeypatch.setattr(announcing, "GREETING_S", 0.05)
    stage = biller(scene("silent honest honest honest"))
    stage.truth.verdict = BillVerdict(accepted=True)
    assert pay(stage, account="INV-7").status is PaymentStatus.FINAL
    assert [index for index, _ in stage.truth.announced] == [1]


def test_a_biller_that_takes_too_long_is_waited_for_no_longer(scene):
    stage = biller(scene(HONEST))

    class Slow(type(stage.doors[0])):
        async def announce(self, signed):
            await asyncio.Event().wait()

    handset = stage.handset()
    doors = [Slow(0, stage.truth)]
    asked = announcing.verdict_on(
        handset.genesis, doors, handset.wallet, SHOP, 5, "7", patience_s=0.05
    )
    assert asyncio.run(asked) is None


def test_a_tills_customer_writes_something_too(scene):
    stage = scene(HONEST)
    payment = pay(stage, account="Table 4", kind=OrderKind.BUY_GOODS)
    assert payment.kind is OrderKind.BUY_GOODS
    assert OrderBody.from_bytes(payment.order).reference == bill_reference(SHOP, "Table 4")
    assert len(stage.truth.announced) == 4


def test_a_payment_without_an_account_is_announced_to_nobody(scene):
    stage = scene(HONEST)
    assert pay(stage).status is PaymentStatus.FINAL
    assert not stage.truth.announced
