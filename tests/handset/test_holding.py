"""A handset holds money, lets it go and gives it back, among doors that are dead, silent or lie."""

import asyncio
import itertools
from dataclasses import replace

import pytest
from tests.handset.conftest import OWNER, PAYEE, PAYER, SHOP, TODAY

from harambee.crypto.signatures import from_seed
from harambee.handset import holding, reversing
from harambee.handset.handset import HandsetError, PaymentStatus
from harambee.handset.holds import (
    HoldState,
    hold_options,
    release_of,
    released_fee_cents,
    slot_named,
    slot_reference,
    void_of,
)
from harambee.handset.orders import OrderBody, OrderError, sign_order
from harambee.handset.proof_collection import collect_proof, with_ending
from harambee.handset.proofs import verify_proof
from harambee.handset.receipt_code import code_of
from harambee.handset.wallet import WalletState
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.money.tariff import FeeMode, shipped_tariff

TRADER = from_seed(b"t" * 32)
KEY = PAYER, 0
CENTS = 50_000


def run(asking):
    return asyncio.run(asking)


@pytest.fixture
def stage(scene):
    """Four honest doors, a shop whose key we have, and a hold of the customer's for a neighbour."""
    return lambda words="honest honest honest honest": opened(scene(words))


def opened(stage):
    account = stage.truth.accounts[PAYEE]
    stage.truth.accounts[PAYEE] = replace(account, key=TRADER.public)
    return stage


def payee(stage):
    """The payee's handset, with a wallet of its own."""
    handset = stage.handset(account=PAYEE, keypair=TRADER)
    return replace(handset, wallet=replace(handset.wallet, folder=stage.folder / "payee"))


def held(stage, **terms):
    made = run(holding.hold(stage.handset(), PAYEE, CENTS, **terms))
    assert made.status is PaymentStatus.FINAL, made.sentence
    return made


@pytest.mark.parametrize(
    "words",
    [
        "honest honest honest honest",
        "dead honest honest honest",
        "silent honest honest honest",
        "lying honest honest honest",
    ],
)
def test_money_is_held_and_released_whatever_one_door_does(stage, words):
    stage = stage(words)
    made = held(stage)
    assert (made.kind, made.fee_cents) == (OrderKind.HOLD, 7_00)
    ended = run(holding.release(stage.handset(), KEY))
    assert ended.payment.status is PaymentStatus.FINAL
    assert len(ended.payment.receipts) >= 2
    assert ended.payment.receipt_code == made.receipt_code
    assert stage.truth.ends[KEY][1].released_cents == CENTS
    assert stage.handset().wallet.state() == WalletState(next_sequence=1)


def test_it_goes_back_by_a_void_and_the_own_slots_stay_where_they_are(stage):
    stage = stage()
    held(stage)
    ended = run(holding.void(stage.handset(), KEY))
    assert ended.payment.sentence == "The hold is voided."
    assert stage.truth.ends[KEY][1].state is HoldState.VOIDED
    paid = run(stage.handset().pay(PAYEE, 10_000))
    assert (paid.status, paid.sequence) == (PaymentStatus.FINAL, 1)


def test_a_release_pays_by_the_tariff_of_the_hold_whatever_began_since(stage):
    stage = stage()
    stage.truth.later_tariffs.append((TODAY, replace(shipped_tariff(2), version=3)))
    assert OrderBody.from_bytes(held(stage, authorisation=True).order).tariff == 3
    stage.truth.later_tariffs.append((TODAY, replace(shipped_tariff(2), version=4)))
    ended = run(holding.release(payee(stage), KEY, 20_000))
    assert ended.payment.status is PaymentStatus.FINAL
    assert OrderBody.from_bytes(ended.payment.order).tariff == 3
    back = run(reversing.refund(payee(stage), f"{PAYER}/0"))
    assert OrderBody.from_bytes(back.order).tariff == 4, "a refund is a payment of its own day"


def test_a_part_is_captured_by_whom_it_was_authorised_for(stage):
    stage = stage()
    held(stage, authorisation=True, days=7)
    ended = run(holding.release(payee(stage), KEY, 20_000))
    assert ended.payment.amount_cents == 20_000
    assert ended.payment.fee_cents == 7_00
    assert stage.truth.ends[KEY][1].ended_by == PAYEE


def test_the_loser_is_told_which_end_won(stage):
    stage = stage()
    held(stage)
    hold = stage.truth.holds[KEY]
    void = sign_order(TRADER, stage.truth.genesis.network, void_of(hold, PAYEE, TODAY))

    class Racing(type(stage.doors[0])):
        """The payee's void becomes final just before this release comes."""

        async def offer(self, order, wait_ms):
            self.truth.judge(void)
            return await super().offer(order, wait_ms)

    stage.doors[:] = [Racing(index, stage.truth) for index in range(4)]
    ended = run(holding.release(stage.handset(), KEY))
    assert ended.payment.status is PaymentStatus.REPLACED
    assert ended.payment.sentence == (f"This hold has ended already: account {PAYEE} voided it.")
    assert ended.hold.state is HoldState.VOIDED
    assert not stage.handset().wallet.state().orders
    with pytest.raises(HandsetError, match=f"account {PAYEE} voided it"):
        run(holding.release(stage.handset(), KEY))


def test_what_q_refuse_is_given_up_and_signs_no_cancel(stage):
    stage = stage()
    held(stage)
    ended = run(holding.release(payee(stage), KEY))
    assert ended.payment.status is PaymentStatus.REFUSED
    assert ended.payment.outcome is Outcome.HOLD_TOO_EARLY
    assert ended.payment.sentence.startswith("Until the day named in the hold")
    assert stage.kinds_seen() == ["hold", "release"]
    assert not payee(stage).wallet.state().orders


def test_one_liar_that_refuses_does_not_matter(stage):
    stage = stage("refusing honest honest honest")
    held(stage)
    assert run(holding.release(stage.handset(), KEY)).payment.status is PaymentStatus.FINAL


def test_where_recovery_closed_a_slot_the_next_one_is_signed(stage):
    stage = stage()
    held(stage)
    hold = stage.truth.holds[KEY]

    class Skipping(type(stage.doors[0])):
        """The hold's first slot is closed when the first release comes."""

        async def offer(self, order, wait_ms):
            if OrderBody.from_bytes(order).sequence == 0:
                self.truth.holds[KEY] = replace(hold, slot=1)
                self.truth._wake()
            return await super().offer(order, wait_ms)

    stage.doors[:] = [Skipping(index, stage.truth) for index in range(4)]
    ended = run(holding.release(stage.handset(), KEY))
    assert ended.payment.status is PaymentStatus.FINAL
    assert ended.payment.sequence == 1


def test_a_release_that_was_left_open_is_gone_on_with(stage):
    stage = stage()
    held(stage)
    hold = stage.truth.holds[KEY]
    body = release_of(hold, PAYER, CENTS, hold.fee_cents, TODAY)
    order = sign_order(OWNER, stage.truth.genesis.network, body)
    stage.handset().wallet.write_state(WalletState(1, (order.hex(),)))
    ended = run(holding.release(stage.handset(), KEY))
    assert ended.payment.resumed
    assert stage.truth.ends[KEY][0] == order
    assert stage.truth.seen.count(order) >= 1
    assert stage.handset().wallet.state() == WalletState(next_sequence=1)


def test_nobody_answers_and_the_same_bytes_go_out_again(stage):
    stage = stage()
    held(stage)
    hidden = stage.doors[:]
    stage.doors[2:] = [type(door)(door.index, door.truth) for door in hidden[2:]]

    class Holding(type(hidden[0])):
        async def offer(self, order, wait_ms):
            self.truth.seen.append(order)
            await asyncio.Event().wait()

        async def ending(self, hold, slot, name, wait_ms):
            await asyncio.Event().wait()

    stage.doors[:] = [Holding(index, stage.truth) for index in range(4)]
    ended = run(holding.release(stage.handset(patience_s=0.2), KEY))
    assert ended.payment.status is PaymentStatus.WAITING
    (kept,) = stage.handset().wallet.state().orders
    with pytest.raises(HandsetError, match="cannot be cancelled"):
        run(stage.handset().cancel())
    stage.doors[:] = hidden
    again = run(holding.release(stage.handset(), KEY))
    assert again.payment.status is PaymentStatus.FINAL
    assert stage.truth.ends[KEY][0].hex() == kept


def test_a_hold_that_was_left_open_is_not_paid_beside(stage):
    stage = stage()
    made = held(stage)
    stage.handset().wallet.write_state(WalletState(0, (made.order.hex(),)))
    with pytest.raises(HandsetError, match="held for this payee already"):
        run(stage.handset().pay(PAYEE, CENTS))
    assert stage.kinds_seen() == ["hold"]


def test_open_holds_and_what_they_are_called(stage):
    stage = stage()
    made = held(stage)
    (mine,) = run(holding.open_holds(stage.handset()))
    (theirs,) = run(holding.open_holds(payee(stage)))
    assert mine == theirs == stage.truth.holds[KEY]
    for named in (made.receipt_code, f"{PAYER}/0"):
        assert run(holding.find_hold(stage.handset(), named)) == KEY
    for named, why in (
        ("x/0", "as PAYER/SEQUENCE"),
        ("16/99999999999", "as PAYER/SEQUENCE"),
        ("16/4294967296", "at most 4294967295"),
        ("16/3", "Nothing of account 16 with sequence 3 is final"),
        ("NOCODE", "no receipt code"),
    ):
        with pytest.raises(HandsetError, match=why):
            run(holding.find_hold(stage.handset(), named))
    paid = run(stage.handset().pay(PAYEE, 10_000))
    with pytest.raises(HandsetError, match="This is no hold: it is the order of a send"):
        run(holding.find_hold(stage.handset(), paid.receipt_code))


def test_a_stranger_cannot_end_a_hold_and_signs_nothing(stage):
    stage = stage()
    held(stage)
    stage.truth.accounts[SHOP] = replace(stage.truth.accounts[SHOP], key=TRADER.public)
    stranger = replace(
        stage.handset(account=SHOP, keypair=TRADER),
        wallet=replace(payee(stage).wallet, account=SHOP),
    )
    with pytest.raises(HandsetError, match="Only the payer and the payee"):
        run(holding.void(stranger, KEY))
    assert stage.kinds_seen() == ["hold"]


def test_the_proof_of_a_hold_is_that_of_what_ended_it(stage):
    stage = stage()
    made = held(stage)
    genesis = stage.truth.genesis
    own = run(collect_proof(genesis, stage.doors, *KEY))
    assert run(with_ending(genesis, stage.doors, own)) == own
    run(holding.release(stage.handset(), KEY))
    ended = run(with_ending(genesis, stage.doors, own))
    proven = verify_proof(ended.to_text(), genesis)
    assert (proven.kind, proven.payer, proven.sequence) == (OrderKind.RELEASE, *KEY)
    assert proven.receipt_code == made.receipt_code
    proven.check_payment(PAYEE, CENTS)


# -- refunds and reversals ------------------------------------------------------------------------


def test_a_payment_is_asked_back_refused_disputed_and_refunded(stage):
    stage = stage()
    paid = run(stage.handset().pay(PAYEE, CENTS))
    code = paid.receipt_code
    with pytest.raises(HandsetError, match="Nobody has asked"):
        run(reversing.refuse(payee(stage), code))
    asked = run(reversing.ask(stage.handset(), code))
    assert (asked.status, asked.amount_cents) == (PaymentStatus.FINAL, CENTS)
    assert slot_named(OrderBody.from_bytes(asked.order)) == (PAYER, 0)
    with pytest.raises(HandsetError, match="done once"):
        run(reversing.ask(stage.handset(), code))
    assert run(reversing.refuse(payee(stage), code)).status is PaymentStatus.FINAL
    assert run(reversing.dispute(stage.handset(), code)).status is PaymentStatus.FINAL
    back = run(reversing.refund(payee(stage), code, 20_000))
    assert (back.status, back.payee, back.fee_cents) == (PaymentStatus.FINAL, PAYER, 0)
    original, state = run(reversing.show(stage.handset(), code))
    assert (original.amount_cents, state.refunded_cents) == (CENTS, 20_000)
    assert state.refused
    assert state.disputed
    assert run(reversing.refund(payee(stage), code)).amount_cents == CENTS - 20_000


def test_each_side_says_only_what_is_its_own_to_say(stage):
    stage = stage()
    code = run(stage.handset().pay(PAYEE, CENTS)).receipt_code
    for wrong, side in (
        (reversing.refund(stage.handset(), code), "received"),
        (reversing.refuse(stage.handset(), code), "received"),
        (reversing.ask(payee(stage), code), "made"),
        (reversing.dispute(payee(stage), code), "made"),
    ):
        with pytest.raises(HandsetError, match=f"Only who {side} this payment"):
            run(wrong)
    asked = run(reversing.ask(stage.handset(), code))
    with pytest.raises(HandsetError, match="ask reversal, cannot be given back"):
        run(reversing.show(stage.handset(), asked.receipt_code))


def test_of_a_hold_what_was_released_is_given_back(stage):
    stage = stage()
    code = held(stage, authorisation=True).receipt_code
    with pytest.raises(HandsetError, match="Nothing of this hold was paid"):
        run(reversing.refund(payee(stage), code))
    run(holding.release(payee(stage), KEY, 20_000))
    assert run(reversing.refund(payee(stage), code)).amount_cents == 20_000


# -- orders alone -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("movement", "days", "why"),
    [
        (OrderKind.WITHDRAW, 1, "not for a withdraw"),
        (OrderKind.SEND, 0, "1 to 30 days"),
        (OrderKind.SEND, 31, "1 to 30 days"),
    ],
)
def test_terms_that_no_super_agent_accepts(movement, days, why):
    with pytest.raises(OrderError, match=why):
        hold_options(movement, days, FeeMode.PAYER, authorisation=False)


def test_what_is_released_and_its_fee(stage):
    stage = stage()
    held(stage)
    hold, tariff = stage.truth.holds[KEY], shipped_tariff(1)
    assert released_fee_cents(hold, CENTS, None) == 7_00
    assert released_fee_cents(hold, 10_000, tariff) == 0
    for cents in (0, -1, CENTS + 1):
        with pytest.raises(OrderError, match="no more than is held"):
            released_fee_cents(hold, cents, tariff)
    with pytest.raises(OrderError, match="release all of it"):
        released_fee_cents(hold, 10_000, None)
    without_a_price = replace(hold, movement=OrderKind.WITHDRAW)
    with pytest.raises(OrderError, match=r"Ksh0\.01"):
        released_fee_cents(without_a_price, 1, tariff)


def test_what_names_a_slot_names_it():
    body = OrderBody(1, 2, 3, 0, 4, OrderKind.REFUND, 1, TODAY, reference=slot_reference(16, 9))
    assert slot_named(body) == (16, 9)
    assert code_of(body.to_bytes(), 4) != code_of(replace(body, sequence=5).to_bytes(), 4)


@pytest.mark.parametrize("deaf", [0, 3, None], ids=["at once", "in a moment", "never"])
def test_a_hold_that_w_have_not_heard_of_yet_is_asked_for_again(monkeypatch, deaf):
    view = object()
    answers = itertools.repeat(None) if deaf is None else iter([*[None] * deaf, view])

    async def believed_hold(_handset, _key):
        return next(answers)

    monkeypatch.setattr(holding, "_believed_hold", believed_hold)
    monkeypatch.setattr(holding, "TOLD_PAUSE_S", 0)
    if deaf is None:
        with pytest.raises(HandsetError, match="no hold of this name"):
            asyncio.run(holding.hold_view(None, (1, 0)))
    else:
        assert asyncio.run(holding.hold_view(None, (1, 0))) is view
