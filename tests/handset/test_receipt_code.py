"""The ten characters name a payment: the same everywhere, never the same for two of one day."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.handset.receipt_code import (
    SPACE,
    permute,
    read_receipt_code,
    receipt_code,
    sequences,
    unpermute,
)

REGIONS = st.integers(1, 4096)
U32 = st.integers(0, 2**32 - 1)
DAYS = st.integers(0, 2**16 - 1)


@given(st.integers(0, SPACE - 1))
def test_the_permutation_has_an_exact_inverse(number):
    assert 0 <= permute(number) < SPACE
    assert unpermute(permute(number)) == number
    assert permute(unpermute(number)) == number


def test_neighbours_do_not_look_alike():
    numbers = [permute(number) for number in range(10_000)]
    assert len(set(numbers)) == len(numbers)
    assert len({receipt_code(16, sequence, 20_000, 4)[3:5] for sequence in range(500)}) > 200


@given(REGIONS, st.data(), U32, DAYS)
def test_a_code_says_its_payer_and_sequence(regions, data, sequence, day):
    payer = data.draw(st.integers(0, regions * 2**20 - 1))
    content = read_receipt_code(receipt_code(payer, sequence, day, regions), regions)
    assert content is not None
    assert content.payer == payer
    assert content.sequence_remainder == sequence % sequences(regions)


@pytest.mark.parametrize(
    ("day", "begins"),
    [
        (20_089, "TA1"),  # 1 January 2025
        (20_453, "TLV"),  # 31 December 2025
        (20_454, "UA1"),  # 1 January 2026
        (20_781, "UKO"),  # 24 November 2026
        (20_097, "TA9"),
        (20_098, "TAA"),
    ],
)
def test_the_first_three_characters_say_the_day(day, begins):
    code = receipt_code(16, 0, day, 4)
    assert code[:3] == begins
    assert len(code) == 10


def test_known_codes_stay_what_they_are():
    assert [receipt_code(payer, 3, 20_781, 4)[3:] for payer in (16, 17)] == ["8EN1IRV", "3JNZ512"]


@pytest.mark.parametrize(
    "text", ["", "UKO", "UKO12345678", "UK!1234567", "1KO1234567", "UZ01234567"]
)
def test_what_is_no_code_is_none(text):
    assert read_receipt_code(text, 4) is None
