"""The rules of the house, told as stories in the town."""

import random
from dataclasses import replace

import numpy as np
import pytest
from tests.ledger.town import NUMBERS, REFERENCES, TODAY, Town, order_records

from harambee.crypto.hashing import digest
from harambee.ledger import house_rules, invariants
from harambee.ledger.kinds import HOUSE, OrderKind, Space
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.payees import document_digest
from harambee.ledger.records import NAMED_HOLD, NAMED_SLOT, AccountKind, Status
from harambee.ledger.rules import Order
from harambee.ledger.side_tables import (
    TARIFF_SUBJECT,
    Reversal,
    subject_of_account,
    subject_of_hold,
)
from harambee.money.tariff import FeeMode, shipped_tariff

SEND, GOODS, BILL = OrderKind.SEND, OrderKind.BUY_GOODS, OrderKind.PAY_BILL
NEW_KEY = digest(b"the new phone")
POINT, NO_POINT = REFERENCES["point"], REFERENCES["no-point"]


class House:
    """The town's people, and what they sign beside payments."""

    def __init__(self, tariff=2, key_days=2):
        self.town = Town(shipped_tariff(tariff))
        self.ledger = self.town.ledger
        self.ledger.key_days = key_days
        self.today = TODAY

    def tell(self, story):
        self.town.tell(story)

    # -- orders -----------------------------------------------------------------------------------

    def order(self, kind, payer, payee, cents=0, **fields):
        payer, payee = NUMBERS.get(payer, payer), NUMBERS.get(payee, payee)
        order = Order(int(kind), payer, payee, cents, tariff=2, day=self.today)
        order = replace(order, **fields)
        if "sequence" in fields:
            return order
        space, subject, _ = self.slot(order)
        return replace(order, sequence=self.ledger.next_in(space, subject))

    def slot(self, order):
        space = house_rules.MOVEMENTS[OrderKind(order.kind)].space
        return space, house_rules.subject_of(order), order.sequence

    def hold(
        self, payer, payee, cents, movement=SEND, days=1, authorisation=False, mode=0, **fields
    ):
        terms = mode | (house_rules.AUTHORISATION_BIT if authorisation else 0)
        options = bytes([movement, days, terms])
        fee = fields.pop("fee_cents") if "fee_cents" in fields else self.fee(movement, cents, mode)
        return self.order(
            OrderKind.HOLD, payer, payee, cents, fee_cents=fee, options=options, **fields
        )

    def fee(self, movement, cents, mode=0):
        movement = house_rules.MOVEMENTS[OrderKind(movement)]
        mode = mode if movement.fee_mode is None else movement.fee_mode
        return shipped_tariff(2).charge(movement.fee_table, FeeMode(mode), cents).payer_cents

    def ending(self, kind, hold, signer, cents=0, **fields):
        named = np.zeros((), NAMED_HOLD)
        named["payer"], named["sequence"] = hold.payer, hold.sequence
        named["amount"], named["fee"] = hold.amount_cents, hold.fee_cents
        named["day"], named["movement"] = hold.day, hold.options[0]
        named["fee_mode"] = hold.options[2] & 3
        if kind is OrderKind.RELEASE and "fee_cents" not in fields:
            fields["fee_cents"] = self.fee(hold.options[0], cents, hold.options[2] & 3)
        fields.setdefault("reference", named.tobytes())
        fields.setdefault("tariff", hold.tariff)
        return self.order(kind, signer, hold.payee, cents, **fields)

    def about(self, kind, payer, payee, original, cents=0, **fields):
        named = np.zeros((), NAMED_SLOT)
        named["payer"], named["sequence"] = original.payer, original.sequence
        return self.order(kind, payer, payee, cents, reference=named.tobytes(), **fields)

    # -- what becomes of them ---------------------------------------------------------------------

    def judge(self, order, **signatures):
        return self.town.judge(order, **signatures)

    def final(self, order):
        """Apply it twice: the second time must change nothing."""
        assert self.town.apply(order) is Applied.APPLIED
        digest_before = self.ledger.digest()
        assert self.town.apply(order) is Applied.ALREADY
        assert self.ledger.digest() == digest_before
        return order

    def accept(self, order):
        """Judge it, and apply it."""
        assert self.judge(order) is Outcome.ACCEPTED
        return self.final(order)

    def paid(self, payer, payee, cents, kind=SEND, **fields):
        return self.accept(
            self.order(kind, payer, payee, cents, fee_cents=self.fee(kind, cents), **fields)
        )

    def account(self, name):
        return self.ledger.account(NUMBERS[name])

    def status(self, name):
        return Status(int(self.account(name)["flags"]) >> 4 & 0xF)


@pytest.fixture
def house():
    return House()


# -- holds ----------------------------------------------------------------------------------------


def test_what_is_held_is_not_free_and_not_gone(house):
    hold = house.accept(house.hold("customer", "neighbour", 500_00))
    assert int(house.account("customer")["held"]) == 500_00 + hold.fee_cents
    house.tell("""
        balance customer                          -> 1,000.00
        balance neighbour                         -> 200.00
        buy-goods customer merchant 500.00        -> BALANCE_INSUFFICIENT
        buy-goods customer merchant 400.00        -> ACCEPTED
        statement customer                        -> 0
        statement neighbour                       -> 0
    """)


def test_a_hold_keeps_the_rules_of_the_payment_that_it_becomes(house):
    judged = {
        Outcome.BALANCE_INSUFFICIENT: house.hold("customer", "neighbour", 1_000_00),
        Outcome.PAYEE_KIND_WRONG: house.hold("customer", "merchant", 100_00),
        Outcome.PAYER_IS_PAYEE: house.hold("customer", "customer", 100_00),
        Outcome.AMOUNT_ZERO: house.hold("customer", "neighbour", 0, fee_cents=0),
        Outcome.FEE_WRONG: house.hold("customer", "neighbour", 100_00, fee_cents=1),
        Outcome.DAY_WRONG: house.hold("customer", "neighbour", 100_00, day=TODAY + 2),
        Outcome.SEQUENCE_AHEAD: house.hold("customer", "neighbour", 100_00, sequence=1),
        Outcome.REFERENCE_MISSING: house.hold("customer", "business", 100_00, BILL),
        Outcome.ACCEPTED: house.hold("customer", "merchant", 100_00, GOODS, authorisation=True),
    }
    assert {outcome: house.judge(order) for outcome, order in judged.items()} == {
        outcome: outcome for outcome in judged
    }
    assert house.judge(judged[Outcome.ACCEPTED], signed=False) is Outcome.SIGNATURE_INVALID


@pytest.mark.parametrize(
    "options", ["000100", "030100", "010000", "011f00", "010101", "010120", "0b0103"]
)
def test_terms_of_a_hold_that_could_not_be(house, options):
    order = house.order(
        OrderKind.HOLD, "customer", "neighbour", 100_00, options=bytes.fromhex(options)
    )
    assert house.judge(order) is Outcome.OPTIONS_INVALID


def test_a_release_pays_and_spends_the_fee(house):
    hold = house.accept(house.hold("customer", "neighbour", 500_00))
    before = int(house.account("neighbour")["balance"])
    house.accept(house.ending(OrderKind.RELEASE, hold, "customer", 500_00))
    customer = house.account("customer")
    assert int(customer["held"]) == 0
    assert int(customer["balance"]) == 1_000_00 - 500_00 - hold.fee_cents
    assert int(customer["debited"]) == 500_00 + hold.fee_cents
    assert int(house.account("neighbour")["balance"]) == before + 500_00
    assert not house.ledger.side.holds
    house.tell("""
        statement customer      -> 1 0
        statement neighbour     -> 1 0
    """)


def test_a_hold_ends_once(house):
    hold = house.accept(house.hold("customer", "neighbour", 500_00))
    release = house.ending(OrderKind.RELEASE, hold, "customer", 500_00)
    void = house.ending(OrderKind.VOID, hold, "customer")
    assert house.judge(release) is house.judge(void) is Outcome.ACCEPTED
    assert house.slot(release) == house.slot(void)
    house.final(void)
    assert house.judge(release) is Outcome.HOLD_UNKNOWN
    assert house.town.apply(release) is Applied.ALREADY
    house.tell("balance customer -> 1,000.00")


def test_a_release_waits_for_its_hold(house):
    hold = house.hold("customer", "neighbour", 500_00)
    release = house.ending(OrderKind.RELEASE, hold, "customer", 500_00)
    assert house.judge(release) is Outcome.HOLD_UNKNOWN
    assert house.town.apply(release) is Applied.WAITING
    house.final(hold)
    house.final(release)


def test_a_part_is_captured_and_the_rest_is_free_again(house):
    hold = house.accept(house.hold("customer", "neighbour", 500_00))
    assert hold.fee_cents > house.fee(SEND, 100_00)
    house.accept(house.ending(OrderKind.RELEASE, hold, "customer", 100_00))
    customer = house.account("customer")
    assert int(customer["held"]) == 0
    assert int(customer["balance"]) == 1_000_00 - 100_00 - house.fee(SEND, 100_00)
    assert int(customer["spent_today"]) == 100_00


def test_more_than_was_held_is_never_captured(house):
    hold = house.accept(house.hold("customer", "neighbour", 500_00))
    more = house.ending(OrderKind.RELEASE, hold, "customer", 500_01)
    nothing = house.ending(OrderKind.RELEASE, hold, "customer", 0, fee_cents=0)
    assert house.judge(more) is house.judge(nothing) is Outcome.AMOUNT_ABOVE_LIMIT
    cheap = house.ending(OrderKind.RELEASE, hold, "customer", 500_00, fee_cents=0)
    assert house.judge(cheap) is Outcome.FEE_WRONG
    assert house.town.apply(more) is Applied.WAITING


@pytest.mark.parametrize("authorisation", [False, True])
@pytest.mark.parametrize("kind", [OrderKind.RELEASE, OrderKind.VOID])
@pytest.mark.parametrize("signer", ["customer", "merchant"])
def test_who_may_end_a_hold_and_when(house, authorisation, kind, signer):
    hold = house.hold("customer", "merchant", 500_00, GOODS, 2, authorisation)
    house.accept(hold)
    cents = 500_00 if kind is OrderKind.RELEASE else 0
    gives_in = (signer, kind) in {("customer", OrderKind.RELEASE), ("merchant", OrderKind.VOID)}
    first_word = signer == ("merchant" if authorisation else "customer")
    early = house.ending(kind, hold, signer, cents, day=TODAY + 1)
    expected = Outcome.ACCEPTED if gives_in or first_word else Outcome.HOLD_TOO_EARLY
    assert house.judge(early) is expected
    ended = house.ending(kind, hold, signer, cents, day=TODAY + 2)
    later = house_rules.judge(ended, house.ledger._books({}), TODAY + 2)
    assert later is Outcome.ACCEPTED


def test_nobody_else_ends_a_hold(house):
    hold = house.accept(house.hold("customer", "neighbour", 500_00))
    for stranger in ("rich", "agent", "enrolment", "bank"):
        for kind, cents in ((OrderKind.RELEASE, 500_00), (OrderKind.VOID, 0)):
            order = house.ending(kind, hold, stranger, cents)
            assert house.judge(order) is Outcome.HOLD_NOT_YOURS


@pytest.mark.parametrize("field", ["amount", "fee", "day", "movement", "fee_mode"])
def test_what_ends_a_hold_tells_of_it_as_it_is(house, field):
    hold = house.accept(house.hold("customer", "neighbour", 500_00))
    void = house.ending(OrderKind.VOID, hold, "customer")
    named = np.frombuffer(void.reference, NAMED_HOLD).copy()
    named[field] += 3 if field == "movement" else 1
    told = replace(void, reference=named.tobytes())
    assert house.judge(told) is Outcome.HOLD_DIFFERENT
    assert house.judge(replace(void, tariff=1)) is Outcome.HOLD_DIFFERENT
    assert house.judge(replace(void, payee=NUMBERS["rich"])) is Outcome.HOLD_DIFFERENT
    assert house.town.apply(told) is Applied.WAITING


def test_a_skipped_slot_leaves_the_hold_and_the_next_slot_ends_it(house):
    hold = house.accept(house.hold("customer", "neighbour", 500_00))
    subject = subject_of_hold((hold.payer, hold.sequence))
    assert house.ledger.skip(Space.HOLD, subject, 0)
    assert not house.ledger.skip(Space.HOLD, subject, 0)
    late = house.ending(OrderKind.VOID, hold, "customer", sequence=0)
    assert house.judge(late) is Outcome.SUBJECT_SEQUENCE_WRONG
    assert house.town.apply(late) is Applied.ALREADY
    house.accept(house.ending(OrderKind.VOID, hold, "customer"))
    assert not house.ledger.skip(Space.HOLD, subject, 2)


def test_a_void_gives_the_day_back_and_only_that_day(house):
    house.tell("given rich balance 300,000.00 ->")
    hold = house.accept(house.hold("rich", "neighbour", 100_00))
    assert int(house.account("rich")["spent_today"]) == 100_00
    house.accept(house.ending(OrderKind.VOID, hold, "rich"))
    assert int(house.account("rich")["spent_today"]) == 0
    hold = house.accept(house.hold("rich", "neighbour", 100_00))
    house.paid("rich", "neighbour", 30_00, day=TODAY + 1)
    house.accept(house.ending(OrderKind.VOID, hold, "rich"))
    assert int(house.account("rich")["spent_today"]) == 30_00


def test_a_release_may_pay_by_a_tariff_that_is_past(house):
    hold = house.accept(house.hold("customer", "neighbour", 500_00))
    bring_tariff(house, house.today + house_rules.TARIFF_DAYS)
    house.today += 5
    release = house.ending(OrderKind.RELEASE, hold, "customer", 500_00)
    books = house.ledger._books({})
    assert house_rules.judge(release, books, house.today) is Outcome.ACCEPTED


def test_a_frozen_payer_gets_voided_money_back_and_a_frozen_payee_nothing(house):
    hold = house.accept(house.hold("customer", "merchant", 500_00, GOODS, authorisation=True))
    release = house.ending(OrderKind.RELEASE, hold, "merchant", 500_00)
    house.tell("given customer status FROZEN ->")
    assert house.judge(release) is Outcome.ACCEPTED
    assert house.judge(house.ending(OrderKind.VOID, hold, "merchant")) is Outcome.ACCEPTED
    house.tell("given merchant status FROZEN ->")
    assert house.judge(release) is Outcome.PAYER_NOT_ACTIVE
    house.tell("given customer status ACTIVE ->")
    by_payer = house.ending(OrderKind.RELEASE, hold, "customer", 500_00)
    assert house.judge(by_payer) is Outcome.PAYEE_NOT_ACTIVE


# -- refunds and reversals ------------------------------------------------------------------------


def test_a_refund_is_of_its_receiver_and_no_more_than_was_paid(house):
    house.paid("far-customer", "merchant", 500_00, GOODS)
    paid = house.paid("customer", "merchant", 500_00, GOODS)
    refund = house.about(OrderKind.REFUND, "merchant", "customer", paid, 300_00)
    house.accept(refund)
    again = house.about(OrderKind.REFUND, "merchant", "customer", paid, 200_01)
    assert house.judge(again) is Outcome.REFUND_ABOVE_ORIGINAL
    house.accept(house.about(OrderKind.REFUND, "merchant", "customer", paid, 200_00))
    assert house.ledger.side.reversals[paid.payer, paid.sequence].refunded_cents == 500_00


def test_a_refund_names_a_payment_between_the_two(house):
    paid = house.paid("customer", "merchant", 500_00, GOODS)
    to_another = house.about(OrderKind.REFUND, "merchant", "neighbour", paid, 1_00)
    by_another = house.about(OrderKind.REFUND, "business", "customer", paid, 1_00)
    of_nothing = house.about(
        OrderKind.REFUND, "merchant", "customer", replace(paid, sequence=5), 1_00
    )
    assert house.judge(to_another) is Outcome.ORIGINAL_DIFFERENT
    assert house.judge(by_another) is Outcome.ORIGINAL_DIFFERENT
    assert house.judge(of_nothing) is Outcome.ORIGINAL_UNKNOWN
    cancelled = house.accept(house.order(OrderKind.CANCEL, "customer", "customer"))
    of_a_cancel = house.about(OrderKind.REFUND, "merchant", "customer", cancelled, 1_00)
    assert house.judge(of_a_cancel) is Outcome.ORIGINAL_UNKNOWN


def test_a_refund_is_paid_out_of_what_the_receiver_has(house):
    paid = house.paid("customer", "neighbour", 500_00)
    house.paid("neighbour", "rich", 600_00)
    refund = house.about(OrderKind.REFUND, "neighbour", "customer", paid, 500_00)
    assert house.judge(refund) is Outcome.BALANCE_INSUFFICIENT


def test_a_reversal_is_asked_for_refused_and_disputed_once_each(house):
    paid = house.paid("customer", "neighbour", 500_00)
    key = paid.payer, paid.sequence
    refuse = house.about(OrderKind.REFUSE_REVERSAL, "neighbour", "customer", paid)
    dispute = house.about(OrderKind.DISPUTE, "customer", "neighbour", paid)
    assert house.judge(refuse) is house.judge(dispute) is Outcome.REVERSAL_STATE_WRONG
    ask = house.about(OrderKind.ASK_REVERSAL, "customer", "neighbour", paid, 500_00)
    by_another = house.about(OrderKind.ASK_REVERSAL, "rich", "neighbour", paid, 500_00)
    too_much = house.about(OrderKind.ASK_REVERSAL, "customer", "neighbour", paid, 500_01)
    assert house.judge(by_another) is Outcome.ORIGINAL_DIFFERENT
    assert house.judge(too_much) is Outcome.REFUND_ABOVE_ORIGINAL
    assert house.town.apply(refuse) is Applied.WAITING
    house.accept(ask)
    assert house.ledger.side.reversals[key] == Reversal(500_00)
    again = house.about(OrderKind.ASK_REVERSAL, "customer", "neighbour", paid, 1_00)
    assert house.judge(again) is Outcome.REVERSAL_STATE_WRONG
    house.accept(refuse)
    assert house.ledger.side.reversals[key] == Reversal(500_00, 0, is_refused=True)
    again = house.about(OrderKind.REFUSE_REVERSAL, "neighbour", "customer", paid)
    assert house.judge(again) is Outcome.REVERSAL_STATE_WRONG
    house.accept(house.about(OrderKind.DISPUTE, "customer", "neighbour", paid))
    house.accept(house.about(OrderKind.REFUND, "neighbour", "customer", paid, 200_00))
    state = Reversal(500_00, 200_00, is_refused=True, is_disputed=True)
    assert house.ledger.side.reversals[key] == state


# -- governance -----------------------------------------------------------------------------------


def governed(house, kind, payee, cents=0, signer="enrolment", **fields):
    return house.order(kind, signer, payee, cents, **fields)


def test_a_freeze_stops_voters_and_nothing_that_is_final(house):
    before = house.hold("customer", "neighbour", 100_00)
    house.accept(governed(house, OrderKind.FREEZE, "customer"))
    assert house.status("customer") is Status.FROZEN
    house.tell("""
        send customer neighbour 1.00       -> PAYER_NOT_ACTIVE
        send neighbour customer 1.00       -> PAYEE_NOT_ACTIVE
        cancel customer self 0             -> ACCEPTED
        final send customer neighbour 1.00 -> APPLIED
    """)
    assert house.judge(replace(before, sequence=1)) is Outcome.PAYER_NOT_ACTIVE
    again = governed(house, OrderKind.FREEZE, "customer")
    assert house.judge(again) is Outcome.SUBJECT_STATE_WRONG
    house.accept(governed(house, OrderKind.UNFREEZE, "customer"))
    house.tell("send customer neighbour 1.00 -> ACCEPTED")


def test_an_amount_is_frozen_and_what_is_left_is_free(house):
    house.accept(governed(house, OrderKind.FREEZE, "customer", 400_00))
    house.accept(governed(house, OrderKind.FREEZE, "customer", 100_00, "far-enrolment"))
    house.tell("""
        buy-goods customer merchant 500.00 -> ACCEPTED
        buy-goods customer merchant 500.01 -> BALANCE_INSUFFICIENT
        send neighbour customer 1.00       -> ACCEPTED
    """)
    too_much = governed(house, OrderKind.UNFREEZE, "customer", 500_01)
    assert house.judge(too_much) is Outcome.SUBJECT_STATE_WRONG
    house.accept(governed(house, OrderKind.UNFREEZE, "customer", 500_00))
    house.tell("buy-goods customer merchant 1,000.00 -> ACCEPTED")


def test_governance_has_slots_of_what_it_is_about(house):
    freeze = governed(house, OrderKind.FREEZE, "customer")
    rival = governed(house, OrderKind.FREEZE, "customer", 1_00, "far-enrolment")
    assert house.slot(freeze) == house.slot(rival)
    assert house.slot(freeze) != house.slot(governed(house, OrderKind.FREEZE, "neighbour"))
    house.final(freeze)
    assert house.judge(rival) is Outcome.SUBJECT_SEQUENCE_WRONG
    assert house.town.apply(rival) is Applied.ALREADY
    subject = subject_of_account(NUMBERS["customer"])
    assert house.ledger.skip(Space.GOVERNANCE, subject, 1)
    house.accept(governed(house, OrderKind.UNFREEZE, "customer"))
    assert house.ledger.side.governed[subject] == 3


def test_only_a_super_agent_proposes(house):
    for kind in (OrderKind.FREEZE, OrderKind.CLOSE, OrderKind.SET_TIER, OrderKind.REQUEST_KEY):
        order = governed(house, kind, "neighbour", signer="customer")
        assert house.judge(order) is Outcome.PAYER_KIND_WRONG


def test_who_an_account_is_only_its_own_super_agent_changes(house):
    other = governed(
        house, OrderKind.SET_TIER, "customer", signer="far-enrolment", options=b"\1\0\0"
    )
    assert house.judge(other) is Outcome.SUBJECT_OF_ANOTHER
    close = governed(house, OrderKind.CLOSE, "rich", signer="far-enrolment")
    assert house.judge(close) is Outcome.SUBJECT_OF_ANOTHER


def test_a_tier_has_other_limits(house):
    same = governed(house, OrderKind.SET_TIER, "customer", options=bytes(3))
    assert house.judge(same) is Outcome.SUBJECT_STATE_WRONG
    house.accept(governed(house, OrderKind.SET_TIER, "newcomer", options=b"\0\0\0"))
    house.accept(governed(house, OrderKind.SET_TIER, "customer", options=b"\1\0\0"))
    assert int(house.account("customer")["flags"]) >> 8 & 0xF == 1


def test_only_an_empty_account_is_closed(house):
    full = governed(house, OrderKind.CLOSE, "customer")
    assert house.judge(full) is Outcome.SUBJECT_STATE_WRONG
    house.accept(governed(house, OrderKind.CLOSE, "rich"))
    assert house.status("rich") is Status.CLOSED
    reopen = governed(house, OrderKind.UNFREEZE, "rich")
    assert house.judge(reopen) is Outcome.SUBJECT_STATE_WRONG
    house.tell("""
        send customer rich 1.00       -> PAYEE_NOT_ACTIVE
        final send customer rich 1.00 -> APPLIED
        balance rich                  -> 1.00
    """)
    assert house.judge(reopen) is Outcome.ACCEPTED


# -- keys -----------------------------------------------------------------------------------------


def test_an_owner_changes_her_key(house):
    change = house.order(OrderKind.CHANGE_KEY, "customer", "customer", reference=NEW_KEY)
    assert house.judge(change, proven=False) is Outcome.POSSESSION_UNPROVEN
    assert house.judge(replace(change, reference=bytes(32))) is Outcome.KEY_REFUSED
    assert house.judge(replace(change, options=b"\0\2\0")) is Outcome.KEY_REFUSED
    assert house.judge(replace(change, options=b"\0\2\0"), proven=False) is Outcome.KEY_REFUSED
    assert house.judge(replace(change, options=b"\0\4\0")) is Outcome.OPTIONS_INVALID
    assert house.judge(replace(change, payee=NUMBERS["rich"])) is Outcome.OPTIONS_INVALID
    house.accept(change)
    assert house.account("customer")["key"].tobytes() == NEW_KEY
    assert house.ledger.keys_changed_since(0) == [NUMBERS["customer"]]
    house.tell("balance customer -> 1,000.00")


@pytest.mark.parametrize("options", [b"\0\1\0", b"\0\5\0", b"\0\x0d\0"])
def test_an_owner_changes_to_a_key_of_her_phones_hardware_and_back(house, options):
    change = house.order(
        OrderKind.CHANGE_KEY, "customer", "customer", reference=POINT, options=options
    )
    assert house.judge(change, proven=False) is Outcome.POSSESSION_UNPROVEN
    nowhere = replace(change, reference=NO_POINT)
    assert house.judge(nowhere, proven=False) is Outcome.KEY_NOT_A_POINT
    house.accept(change)
    keys, forms, known = house.ledger.keys_of(np.array([NUMBERS["customer"]], np.uint32))
    assert (keys[0].tobytes(), forms.tolist(), known.all()) == (POINT, [options[1] & 7], True)
    house.accept(house.order(OrderKind.CHANGE_KEY, "customer", "customer", reference=NEW_KEY))
    assert house.account("customer")["key"].tobytes() == NEW_KEY
    assert house.account("customer")["flags"] == AccountKind.CUSTOMER


def test_the_same_32_bytes_in_another_form_are_a_change_of_key(house):
    """So that what was checked with the key before is checked again."""
    number = NUMBERS["customer"]
    for options in (b"\0\0\0", b"\0\1\0", b"\0\5\0"):
        house.accept(
            house.order(
                OrderKind.CHANGE_KEY, "customer", "customer", reference=POINT, options=options
            )
        )
    assert house.ledger.keys_changed_since(0) == [number] * 3
    house.tell("final send customer rich 1.00 -> APPLIED")
    assert house.ledger.keys_changed_since(0) == [number] * 3


@pytest.mark.parametrize("form", [1, 5])
def test_a_lost_phones_new_key_may_be_of_the_other_type(house, form):
    asked = request(house, POINT, options=bytes([0, form, 0]))
    assert house.judge(replace(asked, reference=NO_POINT), proven=False) is Outcome.KEY_NOT_A_POINT
    house.accept(asked)
    house.today += 2
    books = house.ledger._books({})
    takes = {other: named(house, OrderKind.TAKE_KEY, asked, form=other) for other in (0, 1, 5)}
    assert {
        other: house_rules.judge(take, books, house.today) for other, take in takes.items()
    } == dict.fromkeys(takes, Outcome.KEY_REQUEST_UNKNOWN) | {form: Outcome.ACCEPTED}
    house.final(takes[form])
    _, forms, _ = house.ledger.keys_of(np.array([NUMBERS["customer"]], np.uint32))
    assert forms.tolist() == [form]


def request(house, key=NEW_KEY, **fields):
    return governed(house, OrderKind.REQUEST_KEY, "customer", reference=key, **fields)


def named(house, kind, asked, form=0, **fields):
    options = asked.sequence.to_bytes(2, "little") + bytes([form])
    return house.order(
        kind, "customer", "customer", reference=asked.reference, options=options, **fields
    )


def test_a_new_key_takes_over_once_the_owner_had_her_days(house):
    asked = request(house)
    take = named(house, OrderKind.TAKE_KEY, asked)
    assert house.judge(take) is Outcome.KEY_REQUEST_UNKNOWN
    assert house.town.apply(take) is Applied.WAITING
    assert house.judge(asked, proven=False) is Outcome.POSSESSION_UNPROVEN
    house.accept(asked)
    assert house.judge(take) is Outcome.KEY_REQUEST_TOO_YOUNG
    other = replace(take, reference=digest(b"another"))
    assert house.judge(other) is Outcome.KEY_REQUEST_UNKNOWN
    house.tell("given customer status FROZEN ->")
    house.today += 2
    take = named(house, OrderKind.TAKE_KEY, asked)
    assert house_rules.judge(take, house.ledger._books({}), house.today) is Outcome.ACCEPTED
    house.final(take)
    assert house.account("customer")["key"].tobytes() == NEW_KEY
    assert not house.ledger.side.key_requests


def test_the_old_key_refuses_a_new_one(house):
    asked = house.accept(request(house))
    refuse = named(house, OrderKind.REFUSE_KEY, asked)
    take = named(house, OrderKind.TAKE_KEY, asked, day=TODAY + 2)
    house.accept(refuse)
    assert not house.ledger.side.key_requests
    take = named(house, OrderKind.TAKE_KEY, asked)
    assert house.judge(take) is Outcome.KEY_REQUEST_UNKNOWN


def test_refusing_an_older_request_leaves_the_newer_one(house):
    """In whatever order a replica applies them: the two are in slots of different subjects."""
    first = house.accept(request(house))
    refuse = named(house, OrderKind.REFUSE_KEY, first)
    second = request(house, digest(b"another phone"))
    other = House()
    for order in (first, refuse, second):
        other.final(order)
    for order in (second, refuse):
        house.final(order)
    assert house.ledger.digest() == other.ledger.digest()
    assert house.ledger.side.key_requests[NUMBERS["customer"]].key == second.reference


# -- trust ----------------------------------------------------------------------------------------


def attested(house, cents, **fields):
    return house.order(OrderKind.ATTEST, "bank", "bank", cents, **fields)


def adopted(house, attestation, **fields):
    fields.setdefault("reference", attestation.sequence.to_bytes(4, "little") + bytes(28))
    return house.order(
        OrderKind.ADOPT_LIMIT,
        "bank",
        "bank",
        fields.pop("cents", attestation.amount_cents),
        **fields,
    )


def test_a_bank_goes_to_the_limit_that_it_attested_and_adopted(house):
    attestation = house.accept(attested(house, 2_000_000_00))
    assert house.ledger.issuers[NUMBERS["bank"]] == 1_000_000_00
    house.tell("bank-withdrawal bank business 389,700.01 -> BALANCE_INSUFFICIENT")
    house.accept(adopted(house, attestation))
    house.tell("""
        bank-withdrawal bank business 1,389,700.00 -> ACCEPTED
        bank-withdrawal bank business 1,389,700.01 -> BALANCE_INSUFFICIENT
    """)


def test_no_other_limit_is_adopted_than_the_newest_attested_one(house):
    first = house.accept(attested(house, 2_000_000_00))
    second = house.accept(attested(house, 700_000_00))
    low = attested(house, 600_000_00)
    assert house.judge(adopted(house, first)) is Outcome.ATTESTATION_DIFFERENT
    assert house.judge(adopted(house, second, cents=700_000_01)) is Outcome.ATTESTATION_DIFFERENT
    house.accept(low)
    assert house.judge(adopted(house, low)) is Outcome.ATTESTATION_DIFFERENT  # it owes 610,300
    beyond = house.order(OrderKind.ATTEST, "bank", "bank", 2**61 + 1)
    assert house.judge(beyond) is Outcome.AMOUNT_ABOVE_LIMIT


# -- the tariff -----------------------------------------------------------------------------------


def tariff_order(house, version=3, begins=None, content=None, **fields):
    begins = house.today + house_rules.TARIFF_DAYS if begins is None else begins
    if content is None:
        content = replace(shipped_tariff(2), version=version).to_bytes()
    house.town.tables.append(content)
    return house.order(
        OrderKind.NEW_TARIFF,
        "enrolment",
        "enrolment",
        tariff=version,
        reference=document_digest(content),
        options=begins.to_bytes(2, "little") + b"\0",
        **fields,
    )


def bring_tariff(house, begins):
    return house.accept(tariff_order(house, begins=begins))


def test_a_new_tariff_is_that_of_an_orders_own_day(house):
    begins = TODAY + house_rules.TARIFF_DAYS
    bring_tariff(house, begins)
    assert house.ledger.next_in(Space.GOVERNANCE, TARIFF_SUBJECT) == 1
    judged = {}
    for today in (begins - 1, begins, begins + 1):
        for day in (begins - 1, begins):
            for version in (2, 3):
                order = house.order(SEND, "customer", "neighbour", 100_00, day=day, tariff=version)
                books = house.ledger._books({})
                judged[today, day, version] = house_rules.judge(order, books, today)
                (code,) = house.ledger.check(
                    order_records([order]), np.ones(1, bool), np.ones(1, bool), today
                )
                assert code == judged[today, day, version]
    assert {key for key, outcome in judged.items() if outcome is Outcome.ACCEPTED} == {
        (begins - 1, begins - 1, 2),
        (begins - 1, begins, 3),
        (begins, begins - 1, 2),
        (begins, begins, 3),
        (begins + 1, begins, 3),
    }


def test_what_is_no_new_tariff_is_refused(house):
    soon = tariff_order(house, begins=TODAY + house_rules.TARIFF_DAYS - 1)
    assert house.judge(soon) is Outcome.TARIFF_TOO_SOON
    for version, content in (
        (2, None),
        (1, None),
        (3, b"{}"),
        (3, b"\xff"),
        (4, shipped_tariff(2).to_bytes()),
    ):
        order = tariff_order(house, version, content=content)
        assert house.judge(order) is Outcome.TARIFF_DOCUMENT_INVALID
    order = tariff_order(house)
    house.town.tables.clear()
    assert house.judge(order) is Outcome.TARIFF_DOCUMENT_INVALID


def test_a_tariff_begins_after_the_one_before_it(house):
    bring_tariff(house, TODAY + 10)
    earlier = tariff_order(house, 4, TODAY + 9)
    assert house.judge(earlier) is Outcome.TARIFF_TOO_SOON
    house.accept(tariff_order(house, 4, TODAY + 11))
    assert [tariff.version for tariff in house.ledger.tariffs] == [1, 2, 3, 4]


def test_a_commission_pays_by_the_tariff_of_its_deposit(house):
    bring_tariff(house, TODAY + 3)
    order = Order(
        int(OrderKind.DEPOSIT_COMMISSION),
        NUMBERS["commission"],
        NUMBERS["agent"],
        amount_cents=shipped_tariff(2).commissions.bands[1].deposit_cents,
        tariff=2,
        day=TODAY + 4,
        reference=digest(b"the deposit"),
    )
    assert house_rules.judge(order, house.ledger._books({}), TODAY + 4) is Outcome.ACCEPTED


# -- all of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(HOUSE))
def test_what_was_never_possible_changes_nothing_and_breaks_nothing(house, kind):
    """Whatever bytes become final among too many liars: money and holds still add up."""
    dice = random.Random(int(kind))
    house.accept(house.hold("customer", "neighbour", 500_00))
    house.accept(request(house))
    before = invariants.check(house.ledger)
    numbers = list(NUMBERS.values())
    for _ in range(60):
        order = Order(
            kind=int(kind),
            payer=dice.choice(numbers),
            payee=dice.choice(numbers),
            amount_cents=dice.choice([0, 1, 500_00, 2**63, 2**64 - 1]),
            fee_cents=dice.choice([0, 29_00, 2**32 - 1]),
            sequence=dice.choice([0, 1, 24, 2**32 - 1]),
            tariff=dice.choice([0, 1, 2]),
            day=dice.choice([0, TODAY, 2**16 - 1]),
            options=dice.randbytes(3),
            reference=dice.choice([NEW_KEY, bytes(32), dice.randbytes(32)]),
        )
        house.town.apply(order)
        house.judge(order)
    invariants.check(house.ledger, before, leave_out=invariants.RESTING_ON_VOTERS)
