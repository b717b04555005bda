"""Amounts: what people may type, and what they are shown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.money.amounts import (
    MAX_AMOUNT_CENTS,
    AmountError,
    format_cents,
    parse_cents,
    read_cents,
)


@pytest.mark.parametrize(
    ("text", "cents"),
    [
        ("1,000.50", 100_050),
        ("Ksh1,000.50", 100_050),
        ("ksh 1000.5", 100_050),
        ("KES 1000", 100_000),
        ("1000", 100_000),
        ("1000.5", 100_050),
        ("0.01", 1),
        ("0", 0),
        ("0.00", 0),
        ("007", 700),
        ("  49 ", 4_900),
        ("12,345,678.09", 1_234_567_809),
        ("10,000,000,000,000.00", MAX_AMOUNT_CENTS),
    ],
)
def test_an_amount_is_read_to_the_cent(text, cents):
    assert parse_cents(text) == cents


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the amount is empty"),
        (" \t", "the amount is empty"),
        ("-1", "is not an amount"),
        ("+1", "is not an amount"),
        ("1.005", "is not an amount"),
        ("1.", "is not an amount"),
        (".50", "is not an amount"),
        ("1e3", "is not an amount"),
        ("nan", "is not an amount"),
        ("inf", "is not an amount"),
        ("Ksh", "is not an amount"),
        ("1,00", "is not an amount"),
        ("1000,000", "is not an amount"),
        (",100", "is not an amount"),
        ("1,000,", "is not an amount"),
        ("1.000,50", "is not an amount"),
        ("1 000", "is not an amount"),
        ("1_000", "is not an amount"),
        ("0x10", "is not an amount"),
        ("100 bob", "is not an amount"),
        ("1\n2", "is not an amount"),
        ("١٢٣", "is not an amount"),
        ("\N{FULLWIDTH DIGIT ONE}00", "is not an amount"),
        ("\N{KELVIN SIGN}sh100", "is not an amount"),
        ("10,000,000,000,000.01", "above the largest amount, Ksh10,000,000,000,000.00"),
        ("9" * 40, "above the largest amount"),
        ("9" * 41, "at most 40 characters, not 41"),
        ("9" * 100_000, "at most 40 characters, not 100000"),
    ],
)
def test_anything_else_is_refused_with_one_sentence(text, sentence):
    with pytest.raises(AmountError, match=sentence) as caught:
        parse_cents(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("cents", "text"),
    [
        (100_050, "Ksh1,000.50"),
        (0, "Ksh0.00"),
        (9, "Ksh0.09"),
        (-5, "-Ksh0.05"),
        (-123_456_789, "-Ksh1,234,567.89"),
        (np.int64(10_800), "Ksh108.00"),
    ],
)
def test_cents_are_shown_as_people_read_them(cents, text):
    assert format_cents(cents) == text


@pytest.mark.parametrize("value", [1.0, "100", None, np.float64(1)])
def test_only_integers_are_shown_as_money(value):
    with pytest.raises((TypeError, AttributeError)):
        format_cents(value)


@given(st.integers(0, MAX_AMOUNT_CENTS))
def test_what_is_shown_can_be_typed(cents):
    assert parse_cents(format_cents(cents)) == cents


@given(st.text())
def test_no_text_does_anything_but_be_an_amount_or_be_refused(text):
    try:
        cents = parse_cents(text)
    except AmountError:
        return
    assert 0 <= cents <= MAX_AMOUNT_CENTS
    assert type(cents) is int


@given(st.integers(-(10**38) + 1, 10**38 - 1))
def test_another_ledgers_amount_is_read_to_the_cent_whatever_its_size(cents):
    whole, rest = divmod(abs(cents), 100)
    assert read_cents(f"{'-' if cents < 0 else ''}{whole}.{rest:02d}") == cents


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.",
        "1.5",
        "1.505",
        ".50",
        "1,000.00",
        "+1.00",
        "--1.00",
        "1e2.00",
        "Ksh1.00",
        " 1.00",
        "1.00\\n",
        "\\u0661.00",
        "1.0\\u0661",
        "0x1.00",
        "1_0.00",
        "nan",
        "1" * 37 + ".00",
    ],
)
def test_a_ledgers_amount_has_two_decimals_and_nothing_else(text):
    with pytest.raises(AmountError, match="a balance is shillings with two decimals"):
        read_cents(text)
