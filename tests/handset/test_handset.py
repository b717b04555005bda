"""What a customer may believe: payments through doors that are honest, dead, slow or lying."""

import asyncio
import stat
from dataclasses import replace

import pytest

from harambee.crypto.keys import public_of
from harambee.crypto.signatures import generate
from harambee.handset.agreement import agreed
from harambee.handset.doors import AccountView, Line, Statement
from harambee.handset.handset import Handset, HandsetError, PaymentStatus, find_telephone, register
from harambee.handset.orders import OrderBody, bill_reference, sign_order
from harambee.handset.wallet import Wallet, WalletError, WalletState, new_key_of
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import AccountKind, KeyType
from harambee.money.tariff import FeeMode, shipped_tariff

DAY_MS = 86_400_000

PAYER, PAYEE, SHOP, NOBODY, TODAY = 16, 17, 18, 99, 20_781
TELEPHONE = "+254712345678"


def pay(scene, *arguments, **named):
    return asyncio.run(scene.handset(**named).pay(*arguments))


@pytest.mark.parametrize(
    "words",
    [
        "honest honest honest honest",
        "dead honest honest honest",
        "silent honest honest honest",
        "lying honest honest honest",
        "eager honest honest honest",
        "refusing honest honest honest",
        "holding honest honest honest",
        "honest honest honest dead",
        "foreign honest honest honest",
        "honest lying honest honest",
    ],
)
def test_a_payment_is_final_whatever_one_door_does(scene, words):
    stage = scene(words)
    paid = pay(stage, PAYEE, 5_000)
    assert paid.status is PaymentStatus.FINAL
    assert len({receipt.super_agent for receipt in paid.receipts}) >= 2
    assert stage.truth.final[PAYER, 0] == paid.order
    assert stage.kinds_seen() == ["send"]
    assert len(set(stage.truth.seen)) == 1, "the same bytes at every door"


def test_a_payment_has_the_tariffs_fee_and_its_code(scene):
    paid = pay(scene("honest honest honest honest"), PAYEE, 100_000 - 10_000)
    assert (paid.fee_cents, paid.kind) == (1_300, OrderKind.SEND)
    assert paid.receipt_code.startswith("UKO")


def test_the_kind_follows_from_who_pays_whom(scene):
    paid = pay(scene("honest honest honest honest"), SHOP, 5_000)
    assert (paid.kind, paid.fee_cents) == (OrderKind.BUY_GOODS, 0)


def test_a_telephone_number_is_believed_only_from_w_doors(scene):
    stage = scene("lying honest honest honest")
    paid = pay(stage, TELEPHONE, 5_000)
    assert (paid.payee, paid.status) == (PAYEE, PaymentStatus.FINAL)
    number = asyncio.run(find_telephone(stage.truth.genesis, stage.doors, "0712 345 678"))
    assert number == PAYEE


def test_one_eager_door_alone_proves_nothing(scene):
    stage = scene("eager holding holding holding")
    paid = pay(stage, PAYEE, 5_000, patience_s=0.3)
    assert (paid.status, paid.receipts) == (PaymentStatus.SENT, ())


def test_a_refused_payment_is_cancelled_and_says_why(scene):
    stage = scene("honest honest honest honest")
    paid = pay(stage, PAYEE, 200_000)
    assert (paid.status, paid.outcome) == (PaymentStatus.REFUSED, Outcome.BALANCE_INSUFFICIENT)
    assert paid.sentence == "The balance does not cover the amount and the fee."
    assert stage.kinds_seen() == ["send", "cancel"]
    assert stage.truth.accounts[PAYER].next_sequence == 1
    assert pay(stage, PAYEE, 5_000).sequence == 1


def test_refusals_of_fewer_than_q_cancel_nothing(scene):
    stage = scene("refusing refusing holding holding")
    paid = pay(stage, PAYEE, 5_000, patience_s=0.5)
    assert paid.status is PaymentStatus.SENT
    assert stage.kinds_seen() == ["send"]


def test_an_open_payment_is_resumed_with_the_same_bytes(scene):
    stage = scene("holding holding holding holding")
    first = pay(stage, PAYEE, 5_000, patience_s=0.2)
    assert first.status is PaymentStatus.SENT
    later = scene("honest honest honest honest")
    again = pay(later, PAYEE, 5_000)
    assert (again.status, again.resumed) == (PaymentStatus.FINAL, True)
    assert again.order == first.order
    assert later.truth.seen[0] == first.order
    second = pay(later, PAYEE, 5_000)
    assert (second.sequence, second.resumed) == (1, False)


def test_another_payment_waits_until_the_open_one_is_decided(scene):
    stage = scene("holding holding holding holding")
    pay(stage, PAYEE, 5_000, patience_s=0.2)
    with pytest.raises(HandsetError, match="still on its way"):
        pay(stage, PAYEE, 6_000, patience_s=0.2)
    assert len(set(stage.truth.seen)) == 1
    paid = pay(scene("honest honest honest honest"), PAYEE, 6_000)
    assert (paid.sequence, paid.amount_cents, paid.resumed) == (1, 6_000, False)


def test_the_bytes_are_on_disk_before_they_leave(scene):
    stage = scene("honest honest honest honest")
    wallet = stage.handset().wallet
    kept = []

    class Watching(type(stage.doors[0])):
        async def offer(self, order, wait_ms):
            kept.append(order in wallet.state().pending)
            mode = (wallet.folder / "state.json").stat().st_mode
            kept.append(stat.S_IMODE(mode) == 0o600)
            return await super().offer(order, wait_ms)

    stage.doors = [Watching(door.index, stage.truth) for door in stage.doors]
    pay(stage, PAYEE, 200_000)
    assert kept
    assert all(kept)
    assert wallet.state().orders == ()


def test_a_payment_that_became_too_old_is_cancelled_on_resuming(scene):
    stage = scene("honest honest honest honest")
    handset = stage.handset()
    body = OrderBody(PAYER, PAYEE, 5_000, 0, 0, OrderKind.SEND, 1, TODAY - 9)
    order = sign_order(handset.wallet.keypair, stage.truth.genesis.network, body)
    handset.wallet.write_state(WalletState(0, (order.hex(),)))
    ended = asyncio.run(handset.resume())
    assert (ended.status, ended.outcome) == (PaymentStatus.REFUSED, Outcome.DAY_WRONG)
    assert asyncio.run(handset.resume()) is None


def test_a_cancel_ends_an_open_payment(scene):
    pay(scene("holding holding holding holding"), PAYEE, 5_000, patience_s=0.2)
    ended = asyncio.run(scene("honest honest honest honest").handset().cancel())
    assert ended.status is PaymentStatus.CANCELLED
    with pytest.raises(HandsetError, match="no open payment"):
        asyncio.run(scene("honest honest honest honest").handset().cancel())


def test_a_cancel_that_comes_too_late_reports_the_payment_as_final(scene):
    stage = scene("holding holding holding holding")
    paid = pay(stage, PAYEE, 5_000, patience_s=0.2)
    later = scene("honest honest honest honest")
    assert later.truth.judge(paid.order) is Outcome.ACCEPTED
    ended = asyncio.run(later.handset().cancel())
    assert (ended.status, ended.order) == (PaymentStatus.FINAL, paid.order)


def test_a_slot_that_another_device_used_is_reported(scene):
    pay(scene("holding holding holding holding"), PAYEE, 5_000, patience_s=0.2)
    later = scene("honest honest honest lying")
    handset = later.handset()
    foreign = OrderBody(PAYER, SHOP, 700, 0, 0, OrderKind.BUY_GOODS, 1, TODAY)
    later.truth.judge(sign_order(handset.wallet.keypair, later.truth.genesis.network, foreign))
    ended = asyncio.run(handset.resume())
    assert ended.status is PaymentStatus.REPLACED
    assert not handset.wallet.state().orders


@pytest.mark.parametrize(
    ("words", "payee", "cents", "sentence"),
    [
        ("dead dead dead dead", PAYEE, 5_000, "No super-agent can be reached"),
        ("dead dead dead honest", PAYEE, 5_000, "Too few super-agents answer: 1, and 2 must agree"),
        ("foreign foreign foreign foreign", PAYEE, 5_000, "serves another network"),
        ("honest honest honest honest", NOBODY, 5_000, "The receiving account does not exist"),
        ("honest honest honest honest", PAYER, 5_000, "Payer and payee are the same account"),
        ("honest honest honest honest", PAYEE, 0, "more than nothing"),
        ("honest honest honest honest", PAYEE, -1, "more than nothing"),
        ("honest honest honest honest", PAYEE, 10**18, "larger than any payment"),
        ("honest honest honest honest", "0799999999", 5_000, "No account is registered"),
        ("honest honest honest honest", "x", 5_000, "not a mobile number"),
    ],
)
def test_what_cannot_be_paid_is_one_sentence_and_signs_nothing(
    scene, words, payee, cents, sentence
):
    stage = scene(words)
    with pytest.raises(HandsetError, match=sentence) as caught:
        pay(stage, payee, cents)
    assert str(caught.value).endswith(".")
    assert not stage.truth.seen
    assert stage.handset().wallet.state() == WalletState()


def test_a_wallet_with_the_wrong_key_signs_nothing(scene):
    stage = scene("honest honest honest honest")
    with pytest.raises(HandsetError, match="not the key of the paying account"):
        pay(stage, PAYEE, 5_000, keypair=generate())
    with pytest.raises(HandsetError, match="paying account does not exist"):
        pay(stage, PAYEE, 5_000, account=NOBODY)


def test_a_lagging_pair_of_doors_cannot_talk_the_sequence_down(scene):
    stage = scene("honest honest honest honest")
    pay(stage, PAYEE, 5_000)
    view = stage.truth.accounts[PAYER]
    stale = AccountView(view.account, view.key, view.kind, 0, 0)
    for door in stage.doors[:2]:

        async def account(number, door=door):
            return stale if number == PAYER else stage.truth.accounts.get(number)

        door.account = account
    assert pay(stage, PAYEE, 6_000).sequence == 1


def test_two_programs_cannot_pay_from_one_wallet(scene):
    stage = scene("honest honest honest honest")
    with stage.handset().wallet.locked(), pytest.raises(WalletError, match="just now"):
        pay(stage, PAYEE, 5_000)


def test_a_balance_is_what_w_doors_say(scene):
    balance = asyncio.run(scene("lying honest honest honest").handset().balance())
    assert (balance.cents, balance.agreed) == (100_000, True)


def test_a_balance_on_which_doors_differ_is_marked(scene):
    stage = scene("honest honest honest honest")
    for door in stage.doors:

        async def account(number, door=door):
            return AccountView(number, bytes(32), AccountKind.CUSTOMER, 0, door.index)

        door.account = account
    assert not asyncio.run(stage.handset().balance()).agreed


def test_a_statement_comes_from_the_first_door_that_answers(scene):
    assert asyncio.run(scene("dead honest honest honest").handset().statement()).lines == []
    with pytest.raises(HandsetError, match="cannot be reached"):
        asyncio.run(scene("dead dead dead dead").handset().statement())


def test_the_balance_after_a_payment_is_that_of_those_who_signed(scene):
    """Two others that have not applied it yet agree on the balance before, and are not asked."""
    stage = scene("honest honest honest honest")
    payment = pay(stage, PAYEE, 5_000)
    signed = {receipt.super_agent for receipt in payment.receipts}
    before = replace(stage.truth.accounts[PAYER], balance_cents=100_000)

    async def slow(number):
        return before

    for door in stage.doors:
        if door.index not in signed:
            door.account = slow
    after = 100_000 - 5_000 - payment.fee_cents
    assert asyncio.run(stage.handset().balance_after(payment)).cents == after
    stage.doors[min(signed)].account = slow
    assert asyncio.run(stage.handset().balance_after(payment)) is None


def told_in_pages(door, entries, page=500):
    """Let a door tell a statement with these entries, newest first, in pages."""

    async def statement(number, limit, before):
        older = [entry for entry in entries if before is None or entry < before][:page]
        lines = [Line(entry, entry * DAY_MS, 0, 0, {}) for entry in older]
        last = older and older[-1] != entries[-1]
        return Statement(lines, older[-1] if last else None)

    door.statement = statement


def test_a_whole_statement_is_all_pages_of_one_door(scene):
    stage = scene("dead honest honest honest")
    told_in_pages(stage.doors[1], list(range(1_200, 0, -1)))
    told_in_pages(stage.doors[2], [7])
    whole = asyncio.run(stage.handset().whole_statement())
    assert [line.entry for line in whole.lines] == list(range(1_200, 0, -1))
    assert whole.account.balance_cents == 100_000


def test_a_whole_statement_of_a_period_goes_no_further_back_than_clocks_may_differ(scene):
    stage = scene("honest honest honest honest")
    told_in_pages(stage.doors[0], list(range(1_200, 0, -1)), page=10)
    whole = asyncio.run(stage.handset().whole_statement(since_ms=1_100 * DAY_MS))
    assert whole.lines[-1].entry <= 1_099
    assert len(whole.lines) <= 120


@pytest.mark.parametrize("entries", [[5, 5], [5, 6], [5, 4, 9]])
def test_a_door_whose_lines_are_in_no_order_is_left(scene, entries):
    stage = scene("honest honest honest honest")
    told_in_pages(stage.doors[0], entries)
    told_in_pages(stage.doors[1], [7])
    whole = asyncio.run(stage.handset().whole_statement())
    assert [line.entry for line in whole.lines] == [7]


def test_a_door_that_pages_for_ever_is_left(scene):
    stage = scene("honest honest honest honest")

    async def statement(number, limit, before):
        return Statement([Line(9, 0, 0, 0, {})], 9)

    stage.doors[0].statement = statement
    told_in_pages(stage.doors[1], [7])
    assert len(asyncio.run(stage.handset().whole_statement()).lines) == 1


@pytest.mark.parametrize("key_type", KeyType)
def test_a_new_key_gets_an_account(scene, key_type):
    stage = scene("dead honest honest honest")
    keypair = new_key_of(key_type)
    number = asyncio.run(register(stage.truth.genesis, stage.doors, keypair))
    assert number == (1 << 20) + 40
    assert stage.truth.accounts[number].public == public_of(keypair)


def test_a_door_cannot_give_what_is_another_super_agents(scene):
    stage = scene("honest")
    stage.doors[0].index = 1
    stage.doors[0].enrolment = type(stage.doors[0])(0, stage.truth).enrolment
    with pytest.raises(HandsetError, match="not its own to give"):
        asyncio.run(register(stage.truth.genesis, stage.doors, generate()))


def test_agreement_asks_no_more_doors_than_it_needs():
    asked = []

    async def ask(door):
        asked.append(door)
        return "same"

    assert asyncio.run(agreed([0, 1, 2, 3], 2, ask)) == "same"
    assert asked == [0, 1]


def test_a_handset_is_a_value(scene):
    stage = scene("honest honest honest honest")
    wallet = Wallet(stage.folder / "w", PAYER, generate())
    assert isinstance(Handset(stage.truth.genesis, stage.doors, wallet), Handset)
    assert "seed" not in repr(wallet)


def at_a_biller(stage, *, fee_mode=FeeMode.PAYER):
    stage.truth.genesis.document.tariffs[:] = [shipped_tariff(2).to_document()]
    stage.truth.accounts[SHOP] = AccountView(SHOP, bytes(32), AccountKind.BUSINESS, 0, 0, fee_mode)
    return stage


def pay_bill(stage, account, **named):
    handset = stage.handset(**named)
    return asyncio.run(handset.pay(SHOP, 5_000, account=account))


def test_an_open_bill_is_not_another_accounts_bill(scene):
    stage = at_a_biller(scene("holding holding holding holding"))
    first = pay_bill(stage, "INV-7", patience_s=0.3)
    assert (first.status, first.kind) == (PaymentStatus.SENT, OrderKind.PAY_BILL)
    again = pay_bill(stage, "inv-7 ", patience_s=0.3)
    assert (again.order, again.resumed) == (first.order, True)
    with pytest.raises(HandsetError, match="still on its way"):
        pay_bill(stage, "INV-8", patience_s=0.3)


@pytest.mark.parametrize("mode", FeeMode)
def test_a_bills_order_says_who_bears_its_charge(scene, mode):
    stage = at_a_biller(scene("honest honest honest honest"), fee_mode=mode)
    paid = pay_bill(stage, "INV-7")
    body = OrderBody.from_bytes(paid.order)
    assert body.options == bytes([mode, 0, 0])
    assert body.reference == bill_reference(SHOP, "INV-7")


def test_a_withdrawal_names_the_agents_head_office_as_w_doors_say(scene):
    stage = scene("lying honest honest honest")
    stage.truth.accounts[SHOP] = AccountView(
        SHOP, bytes(32), AccountKind.AGENT, 0, 0, head_office=40
    )
    paid = pay(stage, SHOP, 5_000)
    assert paid.status is PaymentStatus.FINAL
    assert OrderBody.from_bytes(paid.order).options == bytes([40, 0, 0])


def test_a_bill_without_an_account_is_refused_before_it_is_signed(scene):
    stage = at_a_biller(scene("honest honest honest honest"))
    with pytest.raises(HandsetError, match="names the account at the biller"):
        pay(stage, SHOP, 5_000, OrderKind.PAY_BILL)
    assert stage.truth.seen == []
