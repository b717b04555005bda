"""The menu, from what was typed to what is shown or done; and that whatever is shown fits a screen."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.feature_phones.messages import Deed, Done, Fate, Line
from harambee.feature_phones.port import Caller, Quote, Wish
from harambee.gateways.ussd.app import _done, _paid
from harambee.gateways.ussd.menu import Confirm, Do, End, Show, walk
from harambee.gateways.ussd.wording import SCREEN_MAX, WORDS, Words, say, screen
from harambee.handset.receipt_code import DIGITS
from harambee.ledger.kinds import OrderKind
from harambee.money.amounts import MAX_AMOUNT_CENTS
from harambee.texts.gsm import is_gsm
from harambee.texts.languages import Language

ME, BEN = "+254712345678", "+254722000001"
AIRTIME = "paybill:400009"


def typed(text, **more):
    inputs = text.split("*") if text else []
    return walk(inputs, number=ME, airtime=AIRTIME, **more)


def wish(kind, to, cents, **more):
    return Wish(kind, to, cents, **more)


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("", Show(Words.ROOT)),
        ("9", Show(Words.ROOT, Words.WRONG_CHOICE)),
        ("9*1", Show(Words.SEND_TO)),
        ("1*12", Show(Words.SEND_TO, Words.WRONG_NUMBER)),
        ("1*0722000001", Show(Words.AMOUNT)),
        ("1*0722000001*-5", Show(Words.AMOUNT, Words.WRONG_AMOUNT)),
        ("1*0722000001*1.5", Show(Words.AMOUNT, Words.WRONG_AMOUNT)),
        ("1*0722000001*0", Show(Words.ROOT)),
        ("1*0*2", Show(Words.WITHDRAW_AT)),
        ("2*12345", Show(Words.AMOUNT)),
        ("3", Show(Words.AIRTIME)),
        ("3*2", Show(Words.AIRTIME_FOR)),
        ("4", Show(Words.LIPA)),
        ("4*1", Show(Words.TILL)),
        ("4*1*12", Show(Words.TILL, Words.WRONG_CODE)),
        ("4*2", Show(Words.PAYBILL)),
        ("4*2*400001", Show(Words.BILL_ACCOUNT)),
        ("5", Show(Words.ACCOUNT)),
        ("5*1", Show(Words.PIN)),
        ("5*1*12", Show(Words.PIN, Words.WRONG_PIN_FORM)),
        ("5*1*2580", Do(Deed.BALANCE, "2580")),
        ("5*2*2580", Do(Deed.STATEMENT, "2580")),
        ("5*3*2580", Show(Words.NEW_PIN)),
        ("5*3*2580*1111", Show(Words.NEW_PIN, Words.WEAK_PIN)),
        ("5*3*2580*8642*8643", Show(Words.NEW_PIN, Words.PINS_DIFFER)),
        ("5*3*2580*8642*8642", Do(Deed.NEW_PIN, "2580", "8642")),
        ("5*4*2", Do(Deed.LANGUAGE, language=Language.SWAHILI)),
    ],
)
def test_what_is_typed_leads_to(text, step):
    assert typed(text) == step


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1*0722000001*100", wish(OrderKind.SEND, BEN, 10_000)),
        ("2*12345*500", wish(OrderKind.WITHDRAW, "agent:12345", 50_000)),
        ("3*1*20", wish(OrderKind.AIRTIME, AIRTIME, 2_000, airtime_for=ME)),
        ("3*2*0722000001*20", wish(OrderKind.AIRTIME, AIRTIME, 2_000, airtime_for=BEN)),
        ("4*1*123456*50", wish(OrderKind.BUY_GOODS, "till:123456", 5_000)),
        (
            "4*2*400001*AB-7*50",
            wish(OrderKind.PAY_BILL, "paybill:400001", 5_000, bill_account="AB-7"),
        ),
    ],
)
def test_a_payment_is_shown_before_its_pin_which_comes_last(text, wanted):
    led_here = tuple(text.split("*"))
    assert typed(text) == Confirm(wanted, led_here)
    assert typed(text + "*7") == Confirm(wanted, led_here, Words.WRONG_CHOICE)
    assert typed(text + "*1") == Show(Words.PIN)
    assert typed(text + "*1*2580") == Do(Deed.PAY, "2580", inputs=led_here)
    assert typed(text + "*1*0") == Show(Words.ROOT)
    assert typed(text + "*0") == Show(Words.ROOT)


def test_a_request_that_waits_comes_first():
    assert typed("", has_request=True) == Show(Words.REQUEST)
    assert typed("1", has_request=True) == Confirm(None, ("1",))
    assert typed("1*1*2580", has_request=True) == Do(Deed.PAY, "2580", inputs=("1",))
    assert typed("2", has_request=True) == Do(Deed.DECLINE)
    assert typed("3", has_request=True) == Show(Words.ROOT)
    assert typed("3*1", has_request=True) == Show(Words.SEND_TO)
    assert typed("1*0", has_request=True) == Show(Words.ROOT)


def test_where_nobody_sells_airtime_the_menu_says_so():
    assert walk(["3"], number=ME) == End(Words.NO_AIRTIME)


def test_more_than_anybody_types_ends():
    assert typed("*".join("9" * 60)) == End(Words.TOO_LONG)
    assert typed("1" * 65) == End(Words.TOO_LONG)


INPUT = st.one_of(
    st.sampled_from([*"0123456789", "0722000001", "12345", "123456", "400001", "100", "2580"]),
    st.text(max_size=70),
)


@given(st.lists(INPUT, max_size=60), st.booleans())
def test_whatever_is_typed_has_a_next_step_and_only_a_pin_does_something(inputs, has_request):
    step = walk(inputs, number=ME, airtime=AIRTIME, has_request=has_request)
    assert isinstance(step, (Show, Confirm, Do, End))
    if isinstance(step, Do) and step.deed not in (Deed.LANGUAGE, Deed.DECLINE):
        # The PIN is the last word, or the new one that was typed after it.
        assert step.pin is not None
        assert (step.new_pin or step.pin) == inputs[-1].strip()
    if isinstance(step, (Confirm, Do)):
        assert step.inputs == tuple(text.strip() for text in inputs[: len(step.inputs)])


LONG = {
    "brand": "W" * 16,
    "name": "W" * 80,
    "amount": "Ksh10,000,000,000.00",
    "fee": "Ksh10,000,000,000.00",
    "account": "W" * 40,
    "code": "W" * 10,
    "balance": "Ksh10,000,000,000.00",
    "available": "Ksh10,000,000,000.00",
    "left": "2",
    "lines": "",
    "reason": "",
}


@pytest.mark.parametrize(("words", "language"), list(itertools.product(Words, Language)))
def test_every_screen_is_whole_within_its_characters(words, language):
    """Cut nowhere: with the longest names and sums that a phone's owner can have."""
    text = say(words, language, **LONG)
    assert len(screen(text, goes_on=True)) == len(f"CON {text}") <= SCREEN_MAX
    assert is_gsm(text)
    assert set(WORDS[words]) != {""}


@given(
    st.sampled_from(sorted(Words, key=lambda one: one.value)),
    st.sampled_from(sorted(Words, key=lambda one: one.value)),
    st.sampled_from(Language),
    st.fixed_dictionaries({name: st.text(max_size=200) for name in LONG}),
)
def test_no_screen_is_longer_whatever_fills_it(words, error, language, fields):
    said = screen(say(words, language, **fields), goes_on=True, error=say(error, language, **LONG))
    assert said.startswith("CON ")
    assert len(said) <= SCREEN_MAX


CENTS = st.integers(-MAX_AMOUNT_CENTS, MAX_AMOUNT_CENTS)
CODE = st.text(DIGITS, min_size=10, max_size=10)


@given(
    st.sampled_from(Fate),
    st.sampled_from([Deed.BALANCE, Deed.STATEMENT, Deed.NEW_PIN, Deed.DECLINE, Deed.LANGUAGE]),
    st.sampled_from(Language),
    st.integers(0, 70),
    CENTS,
    st.lists(st.builds(Line, st.just(0), CENTS, st.just(1), CODE), max_size=4),
)
def test_whatever_became_of_it_fits_a_screen(fate, deed, language, outcome, cents, lines):
    done = Done(fate, "QC352PDIVL", 2, outcome, cents, cents, lines)
    caller = Caller(16, language, 0)
    quote = Quote(OrderKind.SEND, 17, abs(cents), 0, bytes(32))
    for text in (_done(done, Do(deed, "2580"), caller), _paid(done, quote, language)):
        said = screen(text, goes_on=False)
        assert len(said) <= SCREEN_MAX
        assert text
