"""What merchants ask a customer for, at her handset: what is believed, paid once, and declined."""

import asyncio
from dataclasses import replace

import msgspec
import pytest
from tests.handset.conftest import KEYS, OWNER, PAYEE, PAYER, SHOP, make_genesis

from harambee.crypto.keys import public_of
from harambee.crypto.signatures import sign
from harambee.handset.answering import Answering
from harambee.handset.doors import AccountView, DoorError, SignedRequest
from harambee.handset.handset import HandsetError, PaymentStatus
from harambee.handset.orders import OrderBody, bill_reference
from harambee.handset.payment_requests import (
    PaymentRequest,
    is_declined_by,
    read_decline,
    request_id,
    request_prefix,
)
from harambee.handset.requesting import (
    EndedError,
    UnpayableError,
    approve,
    decline,
    finish_earlier,
    waiting,
)
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import AccountKind
from harambee.money.tariff import FeeMode

NOW = 1_796_000_000_000
BILLER = 19
HONEST = "honest honest honest honest"
TILL = PaymentRequest(
    name="ws_CO_1",
    super_agent=2,
    payee=SHOP,
    payer=PAYER,
    amount_cents=50_00,
    kind="buy_goods",
    payee_name="Till 1",
    short_code="174379",
    account="",
    text="Tea",
    made_ms=NOW - 1_000,
    expires_ms=NOW + 60_000,
    nonce="a",
)
BILL = msgspec.structs.replace(
    TILL, name="ws_CO_2", payee=BILLER, kind="pay_bill", account="INV-7", made_ms=NOW - 500
)


def signed(stage, said, signer=None):
    """The request as a door tells it, signed by the super-agent that says it took it."""
    document, genesis = said.to_bytes(), stage.truth.genesis
    name = request_id(genesis.network, document)
    index = said.super_agent if signer is None else signer
    prefix = request_prefix(genesis.network, genesis.committee.epoch)
    return SignedRequest(document, said.super_agent, sign(KEYS[index], prefix + name))


def staged(scene, *asked, words=HONEST):
    stage = scene(words)
    stage.truth.genesis = make_genesis(tariff=2)
    stage.truth.accounts[BILLER] = AccountView(
        BILLER, bytes(32), AccountKind.BUSINESS, 0, 0, FeeMode.SHARED
    )
    stage.truth.requests = [signed(stage, one) for one in asked]
    return stage


def changed(**fields):
    return msgspec.structs.replace(TILL, **fields)


def waits(stage):
    found = asyncio.run(waiting(stage.handset(), lambda: NOW))
    return [one.said.name for one in found]


def paid(stage, which=0, clock=lambda: NOW):
    async def run():
        handset = stage.handset()
        found = await waiting(handset, lambda: NOW)
        return await approve(handset, found[which], clock)

    return asyncio.run(run())


def declines(stage):
    """Who took which decline, each signed by the customer."""
    network = stage.truth.genesis.network
    assert all(is_declined_by(one, network, public_of(OWNER)) for _, one in stage.truth.declines)
    return [(index, read_decline(one)) for index, one in stage.truth.declines]


def test_what_waits_is_shown_once_and_oldest_first(scene):
    assert waits(staged(scene, BILL, TILL, BILL)) == ["ws_CO_1", "ws_CO_2"]


@pytest.mark.parametrize(
    "lie",
    [
        {"payer": PAYEE},
        {"expires_ms": NOW},
        {"payee": PAYEE},
        {"kind": "pay_bill", "account": "7"},
        {"payee": 77},
        {"payee": PAYER},
        {"super_agent": 4},
    ],
    ids=str,
)
def test_what_is_not_to_be_believed_is_not_shown(scene, lie):
    """Another's account, too late, payees of the wrong kind or of none, a super-agent that is none."""
    stage = staged(scene, BILL)
    lied = changed(**lie)
    stage.truth.requests.append(signed(stage, lied, signer=2))
    assert waits(stage) == ["ws_CO_2"]


def test_a_request_that_its_super_agent_did_not_sign_is_not_shown(scene):
    stage = staged(scene)
    good = signed(stage, TILL)
    other = changed(amount_cents=5_000_00).to_bytes()
    stage.truth.requests = [
        signed(stage, TILL, signer=1),
        replace(good, super_agent=1),
        replace(good, document=other),
        replace(good, document=b"{"),
        replace(good, signature=b""),
    ]
    assert waits(stage) == []
    stage.truth.requests.append(good)
    assert waits(stage) == ["ws_CO_1"], "a forgery keeps no honest word away"


def test_a_liar_cannot_say_what_kind_a_payee_is(scene):
    class Flattering(type(staged(scene).doors[0])):
        async def standings(self, numbers):
            return tuple(int(AccountKind.MERCHANT) for _ in numbers)

    stage = staged(scene, changed(payee=PAYEE), TILL)
    stage.doors[0] = Flattering(0, stage.truth)
    assert waits(stage) == ["ws_CO_1"]


def test_dead_doors_are_replaced_and_one_honest_one_is_heard(scene):
    stage = staged(scene, TILL, words="dead honest honest dead")
    assert waits(stage) == ["ws_CO_1"]
    nobody = staged(scene, TILL, words="dead dead dead dead")
    with pytest.raises(HandsetError, match="cannot be reached"):
        waits(nobody)


@pytest.mark.parametrize(("which", "said"), [(0, TILL), (1, BILL)])
def test_approving_pays_by_an_order_that_names_the_request(scene, which, said):
    stage = staged(scene, TILL, BILL)
    payment = paid(stage, which)
    assert payment.status is PaymentStatus.FINAL
    body = OrderBody.from_bytes(payment.order)
    assert (body.payer, body.payee, body.amount_cents) == (PAYER, said.payee, 50_00)
    assert body.kind is said.order_kind
    assert body.reference == request_id(stage.truth.genesis.network, said.to_bytes())
    mode = FeeMode.SHARED if said is BILL else FeeMode.PAYER
    assert body.options[0] == mode
    assert not stage.truth.declines


def test_a_request_is_never_paid_twice_whatever_doors_tell(scene):
    stage = staged(scene, TILL)
    assert paid(stage).status is PaymentStatus.FINAL
    assert waits(stage) == ["ws_CO_1"], "the doors still tell it"
    with pytest.raises(EndedError, match="answered before"):
        paid(stage)
    assert stage.truth.accounts[PAYER].next_sequence == 1


def test_an_order_that_an_earlier_run_left_open_is_the_one_that_pays(scene):
    stage = staged(scene, TILL, words="holding holding holding holding")

    async def first():
        handset = stage.handset(patience_s=0.3)
        (found,) = await waiting(handset, lambda: NOW)
        return await approve(handset, found, lambda: NOW)

    left = asyncio.run(first())
    assert left.status is PaymentStatus.SENT
    again = scene(HONEST)
    again.truth = stage.truth
    for door in again.doors:
        door.truth = stage.truth
    payment = paid(again, clock=lambda: NOW + 70_000)
    assert (payment.status, payment.resumed) == (PaymentStatus.FINAL, True)
    assert payment.order == left.order


def test_a_merchant_hears_of_an_order_that_is_refused_only_in_a_later_run(scene):
    stage = staged(scene, changed(amount_cents=2_000_00), words="holding holding holding holding")

    async def left():
        handset = stage.handset(patience_s=0.3)
        (found,) = await waiting(handset, lambda: NOW)
        return await approve(handset, found, lambda: NOW)

    order = asyncio.run(left()).order
    again = scene(HONEST)
    again.truth = stage.truth
    for door in again.doors:
        door.truth = stage.truth
    stage.truth.requests = []
    earlier = asyncio.run(finish_earlier(again.handset()))
    assert (earlier.status, earlier.order) == (PaymentStatus.REFUSED, order)
    assert {(said.request, said.reason) for _, said in declines(stage)} == {
        (OrderBody.from_bytes(order).reference, Outcome.BALANCE_INSUFFICIENT)
    }


def test_it_may_expire_between_seeing_and_approving(scene):
    stage = staged(scene, TILL)
    with pytest.raises(EndedError, match="expired"):
        paid(stage, clock=lambda: NOW + 60_000)
    assert not stage.truth.seen


def test_a_refused_order_becomes_a_decline_that_says_why(scene):
    stage = staged(scene, changed(amount_cents=2_000_00))
    payment = paid(stage)
    assert (payment.status, payment.outcome) == (
        PaymentStatus.REFUSED,
        Outcome.BALANCE_INSUFFICIENT,
    )
    assert [index for index, _ in declines(stage)] == [0, 1]
    assert {said.reason for _, said in declines(stage)} == {Outcome.BALANCE_INSUFFICIENT}
    assert {said.request for _, said in declines(stage)} == {
        OrderBody.from_bytes(payment.order).reference
    }


def test_a_payment_that_there_is_not_becomes_a_decline_without_any_order(scene):
    stage = staged(scene, changed(amount_cents=9_000_000_00))
    with pytest.raises(UnpayableError):
        paid(stage)
    assert {said.reason for _, said in declines(stage)} == {Outcome.AMOUNT_WITHOUT_TARIFF}
    stage.truth.declines.clear()
    stage.truth.requests = [signed(stage, TILL)]
    payer = stage.truth.accounts[PAYER]
    stage.truth.accounts[PAYER] = replace(payer, kind=AccountKind.BANK)
    with pytest.raises(UnpayableError):
        paid(stage)
    assert {said.reason for _, said in declines(stage)} == {Outcome.PAYER_KIND_WRONG}
    assert not stage.truth.seen


def declined(stage):
    async def run():
        handset = stage.handset()
        (found,) = await waiting(handset, lambda: NOW)
        await decline(handset, found, lambda: NOW)

    asyncio.run(run())


def test_a_customer_declines_at_w_doors_and_never_pays_it_after(scene):
    stage = staged(scene, TILL, words="dead honest honest honest")
    declined(stage)
    assert [(index, said.reason) for index, said in declines(stage)] == [(1, 0), (2, 0)]
    with pytest.raises(EndedError):
        paid(stage)


def test_a_decline_that_too_few_take_says_so_and_can_be_repeated(scene):
    stage = staged(scene, TILL)
    honest = type(stage.doors[0])

    class Deaf(honest):
        async def decline(self, signed):
            raise DoorError(f"{self.name} cannot be reached.")

    stage.doors[:3] = [Deaf(index, stage.truth) for index in range(3)]
    with pytest.raises(HandsetError, match="cannot be reached"):
        declined(stage)
    stage.doors[0] = honest(0, stage.truth)
    declined(stage)


class Watcher:
    """Runs a handset that answers by itself until it has told so many answers."""

    def __init__(self, stage, count, most_cents=None):
        self.stage, self.count, self.told = stage, count, []
        self.enough = asyncio.Event()
        self.answering = Answering(
            stage.handset(), most_cents, self.tell, clock=lambda: stage.now_ms
        )
        stage.now_ms = NOW

    def tell(self, answer):
        self.told.append(answer)
        if len(self.told) == self.count:
            self.enough.set()

    async def run(self):
        task = asyncio.create_task(self.answering.run())
        ended = asyncio.create_task(self.enough.wait())
        async with asyncio.timeout(20):
            await asyncio.wait([task, ended], return_when=asyncio.FIRST_COMPLETED)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return [(one.request.said.name, one.status) for one in self.told]


def answered(stage, count, most_cents=None):
    async def run():
        stage.truth.asked = asyncio.Event()
        stage.truth.asked.set()
        return await Watcher(stage, count, most_cents).run()

    return asyncio.run(run())


def test_a_handset_that_answers_by_itself_pays_in_the_order_of_asking(scene):
    several = [changed(name=f"ws_CO_{n}", made_ms=NOW - n, nonce=str(n)) for n in range(4)]
    stage = staged(scene, *several, words="honest dead honest honest")
    names = [f"ws_CO_{n}" for n in (3, 2, 1, 0)]
    assert answered(stage, 4) == [(name, "final") for name in names]
    assert stage.truth.accounts[PAYER].next_sequence == 4


def test_it_leaves_what_is_more_than_it_may_pay(scene):
    stage = staged(scene, changed(name="much", amount_cents=51_00), TILL)
    assert sorted(answered(stage, 2, most_cents=50_00)) == [("much", "left"), ("ws_CO_1", "final")]


def test_it_waits_for_what_is_asked_later_and_declines_what_is_refused(scene):
    stage = staged(scene)

    async def run():
        stage.truth.asked = asyncio.Event()
        watcher = Watcher(stage, 2)
        asking = asyncio.create_task(ask())
        told = await watcher.run()
        await asking
        return told

    async def ask():
        stage.truth.requests = [
            signed(stage, changed(name="too-much", amount_cents=2_000_00)),
            signed(stage, BILL),
        ]
        stage.truth.asked.set()

    assert asyncio.run(run()) == [("too-much", "refused"), ("ws_CO_2", "final")]
    assert {said.reason for _, said in declines(stage)} == {Outcome.BALANCE_INSUFFICIENT}


def test_while_another_program_pays_it_tries_again_until_the_request_has_expired(scene):
    stage = staged(scene, TILL)

    async def run():
        stage.truth.asked = asyncio.Event()
        stage.truth.asked.set()
        watcher = Watcher(stage, 2)
        record, first = watcher.answering.tell, asyncio.Event()

        def tell(answer):
            stage.now_ms = TILL.expires_ms
            record(answer)
            first.set()

        watcher.answering.tell = tell
        with stage.handset().wallet.locked():
            watching = asyncio.create_task(watcher.run())
            await first.wait()
        return await watching, [one.sentence for one in watcher.told]

    told, sentences = asyncio.run(run())
    assert told == [("ws_CO_1", "left")] * 2
    assert sentences == [
        "Another program is paying from this account just now.",
        "The request has expired.",
    ]


def test_the_order_of_a_bill_without_a_request_has_the_hash_of_its_account(scene):
    """A request's id and a bill's account are hashed under different names: neither is the other."""
    stage = staged(scene, BILL)
    payment = asyncio.run(stage.handset().pay(BILLER, 50_00, account="INV-7"))
    assert OrderBody.from_bytes(payment.order).reference == bill_reference(BILLER, "INV-7")
    assert paid(stage).kind is OrderKind.PAY_BILL
    assert stage.truth.accounts[PAYER].next_sequence == 2
