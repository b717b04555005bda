"""What crooked people try with the rules of the house, and what comes of it."""

import pytest
from tests.ledger.test_house_rules import GOODS, SEND, House, governed, tariff_order
from tests.ledger.town import TODAY, apply_all

from harambee.ledger import house_rules
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Applied, Outcome


@pytest.fixture
def house():
    return House()


# -- refunds as free sends ------------------------------------------------------------------------


def refund(house, payer, payee, original, cents):
    return house.about(OrderKind.REFUND, payer, payee, original, cents)


def ask(house, payer, payee, original, cents):
    return house.about(OrderKind.ASK_REVERSAL, payer, payee, original, cents)


def test_a_hold_that_paid_nothing_is_no_excuse_for_a_refund(house):
    """Hold, void, "refund": that would be a payment without a fee, as often as one likes."""
    hold = house.accept(house.hold("neighbour", "customer", 150_00))
    while_held = refund(house, "customer", "neighbour", hold, 150_00)
    assert house.judge(while_held) is Outcome.ORIGINAL_UNKNOWN
    assert house.judge(ask(house, "neighbour", "customer", hold, 1_00)) is Outcome.ORIGINAL_UNKNOWN
    house.accept(house.ending(OrderKind.VOID, hold, "customer"))
    voided = refund(house, "customer", "neighbour", hold, 150_00)
    assert house.judge(voided) is Outcome.ORIGINAL_UNKNOWN
    assert house.judge(ask(house, "neighbour", "customer", hold, 1_00)) is Outcome.ORIGINAL_UNKNOWN


@pytest.mark.parametrize("signer", ["customer", "merchant"])
def test_no_more_is_given_back_of_a_hold_than_was_captured(house, signer):
    hold = house.accept(house.hold("customer", "merchant", 500_00, GOODS, authorisation=True))
    other = house.accept(house.hold("customer", "merchant", 20_00, GOODS, authorisation=True))
    house.accept(house.ending(OrderKind.RELEASE, hold, signer, 300_00))
    house.accept(house.ending(OrderKind.RELEASE, other, signer, 20_00))
    house.paid("customer", "neighbour", 1_00)
    more = refund(house, "merchant", "customer", hold, 300_01)
    assert house.judge(more) is Outcome.REFUND_ABOVE_ORIGINAL
    assert house.judge(ask(house, "customer", "merchant", hold, 300_01)) is (
        Outcome.REFUND_ABOVE_ORIGINAL
    )
    house.accept(ask(house, "customer", "merchant", hold, 300_00))
    to_another = refund(house, "merchant", "neighbour", hold, 1_00)
    assert house.judge(to_another) is Outcome.ORIGINAL_DIFFERENT
    house.accept(refund(house, "merchant", "customer", hold, 300_00))


def test_a_refund_is_no_payment_to_be_refunded(house):
    paid = house.paid("customer", "neighbour", 100_00)
    back = house.accept(refund(house, "neighbour", "customer", paid, 100_00))
    again = refund(house, "customer", "neighbour", back, 100_00)
    assert house.judge(again) is Outcome.ORIGINAL_UNKNOWN


def test_a_deposit_given_back_would_be_a_withdrawal_without_its_fee(house):
    """And a commission for the agent each time round, paid by the super-agent."""
    deposit = house.paid("agent", "customer", 1_000_00, OrderKind.DEPOSIT)
    back = refund(house, "customer", "agent", deposit, 1_000_00)
    assert house.judge(back) is Outcome.ORIGINAL_UNKNOWN


def test_the_sides_are_looked_at_before_a_payment_is_searched_for(house):
    """Whoever names a slot in a chain of millions makes nobody walk it."""
    asked = []
    house.ledger.original_at = lambda *place: asked.append(place)
    paid = house.paid("business", "customer", 100_00, OrderKind.PAY_OUT)
    for order in (
        refund(house, "customer", "merchant", paid, 1_00),
        ask(house, "merchant", "customer", paid, 1_00),
    ):
        assert house.judge(order) is Outcome.ORIGINAL_DIFFERENT
    assert not asked


# -- freezing and closing -------------------------------------------------------------------------


def test_money_that_comes_to_a_closed_account_is_not_lost(house):
    """A payment and a close become final together: voters of each had not heard of the other."""
    close = governed(house, OrderKind.CLOSE, "rich")
    paid = house.order(SEND, "customer", "rich", 100_00, fee_cents=house.fee(SEND, 100_00))
    assert house.judge(close) is house.judge(paid) is Outcome.ACCEPTED
    house.final(close)
    house.final(paid)
    house.tell("send rich neighbour 50.00 -> PAYER_NOT_ACTIVE")
    house.accept(governed(house, OrderKind.UNFREEZE, "rich"))
    house.tell("send rich neighbour 50.00 -> ACCEPTED")


# -- tariffs --------------------------------------------------------------------------------------


def test_a_slip_in_the_first_day_does_not_bar_every_tariff_after_it(house):
    """The next one begins later than this one: a date in the far future would be the last tariff."""
    late = tariff_order(house, begins=TODAY + house_rules.TARIFF_DAYS_MAX + 1)
    assert house.judge(late) is Outcome.TARIFF_TOO_SOON
    house.accept(tariff_order(house, begins=TODAY + house_rules.TARIFF_DAYS_MAX))


def test_a_final_tariff_without_its_document_waits_for_it(house):
    """Whoever burnt its slot instead would have other books than those who have the document."""
    order = tariff_order(house)
    (state,) = apply_all(house.ledger, [order], tables=())
    assert state is Applied.WAITING
    house.final(order)
    assert [tariff.version for tariff in house.ledger.tariffs] == [1, 2, 3]
