"""The tariff that ships, to the cent; and which schedules are none."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.money.amounts import MAX_AMOUNT_CENTS, parse_cents
from harambee.money.kernels import fee_of
from harambee.money.tariff import (
    UPPER,
    FeeTable,
    NoBandError,
    Tariff,
    TariffError,
    load_tariff,
    shipped_tariff,
)

TARIFF = shipped_tariff(1)
PRICES = TARIFF.as_array()

# As published: lowest and highest amount of the band, then the fees, in whole shillings.
PUBLISHED = """
        1-49         0    -
       50-100        0   11
      101-500        7   29
      501-1,000     13   29
    1,001-1,500     23   29
    1,501-2,500     33   29
    2,501-3,500     53   52
    3,501-5,000     57   69
    5,001-7,500     78   87
    7,501-10,000    90  115
   10,001-15,000   100  167
   15,001-20,000   105  185
   20,001-35,000   108  197
   35,001-50,000   108  278
   50,001-250,000  108  309
"""

# Between the bands, at their edges to the cent, and beyond the last.
TRANSCRIPT = """
    send     0.00       -> no fee
    send     0.01       -> 0
    send     49.00      -> 0
    send     49.01      -> 0
    send     100.00     -> 0
    send     100.01     -> 7
    send     100.50     -> 7
    send     101.00     -> 7
    send     500.00     -> 7
    send     500.01     -> 13
    send     1,000.00   -> 13
    send     1,000.01   -> 23
    send     250,000.00 -> 108
    send     250,000.01 -> no fee
    withdraw 0.00       -> no fee
    withdraw 0.01       -> no fee
    withdraw 49.00      -> no fee
    withdraw 49.01      -> no fee
    withdraw 49.99      -> no fee
    withdraw 50.00      -> 11
    withdraw 100.00     -> 11
    withdraw 100.01     -> 29
    withdraw 2,500.00   -> 29
    withdraw 2,500.01   -> 52
    withdraw 250,000.00 -> 309
    withdraw 250,000.01 -> no fee
    none     0.00       -> 0
    none     0.01       -> 0
    none     250,000.01 -> 0
    none     10,000,000,000,000.00 -> 0
"""


def published_bands():
    lines = [line.split() for line in PUBLISHED.splitlines() if line.strip()]
    assert len(lines) == 15
    for reach, send, withdraw in lines:
        lowest, highest = reach.split("-")
        yield parse_cents(lowest), parse_cents(highest), send, withdraw


def fee_or_none(table, cents, tariff=TARIFF):
    try:
        return tariff.fee_cents(table, cents)
    except NoBandError:
        return None


def compiled(table, cents):
    fee = fee_of(PRICES, table, cents)
    return None if fee == -1 else fee


@pytest.mark.parametrize(("lowest", "highest", "send", "withdraw"), list(published_bands()))
def test_fees_are_the_published_ones_at_both_edges_of_each_band(lowest, highest, send, withdraw):
    for cents in (lowest, highest):
        assert TARIFF.fee_cents(FeeTable.SEND, cents) == parse_cents(send)
        expected = None if withdraw == "-" else parse_cents(withdraw)
        assert fee_or_none(FeeTable.WITHDRAW, cents) == expected


@pytest.mark.parametrize("line", [line for line in TRANSCRIPT.splitlines() if line.strip()])
@pytest.mark.parametrize("rule", [fee_or_none, compiled])
def test_transcript(line, rule):
    question, answer = line.split(" -> ")
    table, amount = question.split()
    expected = None if answer == "no fee" else parse_cents(answer)
    assert rule(FeeTable[table.upper()], parse_cents(amount)) == expected


def test_every_edge_of_every_band_a_cent_below_and_above_compiled_and_readable_agree():
    edges = {int(edge) for edge in PRICES[:, UPPER].flat} | {0, 1, MAX_AMOUNT_CENTS}
    asked = [
        (table, edge + step) for table in FeeTable for edge in sorted(edges) for step in (-1, 0, 1)
    ]
    assert len(asked) > 100
    answers = [compiled(table, cents) for table, cents in asked]
    assert answers == [fee_or_none(table, cents) for table, cents in asked]
    assert None in answers


@given(table=st.sampled_from(FeeTable), cents=st.integers(-(2**63), 2**63 - 1))
def test_compiled_and_readable_fees_agree_on_any_amount(table, cents):
    assert compiled(table, cents) == fee_or_none(table, cents)


@given(table=st.sampled_from(FeeTable), cents=st.integers(0, 30_000_000))
def test_compiled_and_readable_fees_agree_on_likely_amounts(table, cents):
    assert compiled(np.uint8(table), np.uint64(cents)) == fee_or_none(table, cents)


@pytest.mark.parametrize("table", [-1, len(FeeTable), 255, -(2**63)])
def test_a_table_that_does_not_exist_has_no_fee(table):
    assert compiled(table, 10_000) is None


@pytest.mark.parametrize("table", FeeTable)
def test_a_u64_beyond_i64_has_no_fee(table):
    assert compiled(np.uint8(table), np.uint64(2**63)) is None
    assert compiled(np.uint8(table), np.uint64(2**64 - 1)) is None


def test_the_error_says_what_is_possible():
    with pytest.raises(NoBandError, match=r"the least withdrawal is Ksh50\.00, not Ksh49\.99"):
        TARIFF.fee_cents(FeeTable.WITHDRAW, 4_999)
    with pytest.raises(NoBandError, match=r"tariff 1 has no SEND fee for Ksh250,000\.01"):
        TARIFF.fee_cents(FeeTable.SEND, 25_000_001)


def test_limits_are_the_published_ones():
    assert TARIFF.limits.transaction_cents == parse_cents("250,000")
    assert TARIFF.limits.daily_cents == parse_cents("500,000")
    assert TARIFF.limits.balance_cents == parse_cents("500,000")
    assert TARIFF.limits.withdraw_minimum_cents == parse_cents("50")


def test_the_array_is_of_integers_that_nobody_can_change():
    assert (PRICES.dtype, PRICES.shape) == (np.int64, (len(FeeTable), 3, 15))
    with pytest.raises(ValueError, match="read-only"):
        PRICES[0, 0, 0] = 1


def test_a_published_version_is_never_edited():
    """Orders name the version they paid by. A new tariff is a new file."""
    assert hashlib.sha256(TARIFF.to_bytes()).hexdigest() == (
        "eb7cda093f41a42e62d46834d4fb765b871403eca699608dea7bc6b294514556"
    )


def test_a_version_that_does_not_ship():
    with pytest.raises(TariffError, match="no tariff of version 999"):
        shipped_tariff(999)


def test_bytes_and_document_give_the_same_tariff_back():
    assert Tariff.from_bytes(TARIFF.to_bytes()) == TARIFF
    assert Tariff.from_document(TARIFF.to_document()) == TARIFF
    assert json.loads(TARIFF.to_bytes()) == TARIFF.to_document()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda content: content + b"\n", "canonical form"),
        (lambda content: content.replace(b":", b": "), "canonical form"),
        (lambda content: content.replace(b'"version":1', b'"version":1,"version":1'), "canonical"),
        (lambda content: content[:-1], "must be JSON"),
        (lambda content: content.replace(b"Kenya", "Kénya".encode()), "must be JSON"),
        (lambda _: b"[" * 100_000, "must be JSON"),
        (lambda _: b"[]", "a table of named fields"),
    ],
)
def test_one_tariff_has_one_form_in_bytes(spoil, sentence):
    with pytest.raises(TariffError, match=sentence):
        Tariff.from_bytes(spoil(TARIFF.to_bytes()))


SMALL = """
version = 7
name = "small"
source = "this test"
[limits]
transaction_cents = 300
daily_cents = 900
balance_cents = 900
withdraw_minimum_cents = 150
[[band]]
upper_cents = 100
send_cents = 1
[[band]]
upper_cents = 200
send_cents = 2
withdraw_cents = 3
[[band]]
upper_cents = 300
send_cents = 4
withdraw_cents = 5
"""


def test_a_small_schedule_is_a_tariff():
    tariff = load_tariff(SMALL)
    assert tariff.version == 7
    fees = [fee_or_none(FeeTable.WITHDRAW, cents, tariff) for cents in (149, 150, 200, 201, 301)]
    assert fees == [None, 3, 3, 5, None]


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("version = 7", "version = 0", "version must be an integer from 1 to 65535"),
        ("version = 7", "version = 65536", "version must be an integer from 1 to 65535"),
        ("version = 7", "", "the tariff lacks version"),
        ("version = 7", "version = 7\nexcise = 1", "unknown fields: excise"),
        ("version = 7", "version 7", "not valid TOML"),
        ("version = 7", f"version = {'7' * 9_000}", "not valid TOML"),
        ('name = "small"', 'name = ""', "name must be a text"),
        ('name = "small"', "name = 1", "name must be a text"),
        ("daily_cents = 900", "daily_cents = 900.0", "daily_cents must be an integer"),
        ("daily_cents = 900", "daily_cents = 4294967296", "daily_cents must be an integer"),
        ("daily_cents = 900", "", "limits lacks daily_cents"),
        ("upper_cents = 200", "upper_cents = 100", "must ascend"),
        ("upper_cents = 200", "upper_cents = 300", "must ascend"),
        ("upper_cents = 200", "upper_cents = true", "upper_cents must be an integer"),
        ("upper_cents = 300", "upper_cents = 299", "must reach the limit of a transaction"),
        ("send_cents = 2", "send_cents = -1", "send_cents must be an integer"),
        ("send_cents = 2", "send_cents = 2.5", "send_cents must be an integer"),
        ("send_cents = 2", "send_cents = 4294967296", "send_cents must be an integer"),
        ("send_cents = 2", "", "a band lacks send_cents"),
        ("send_cents = 2", "send_cents = 2\nsend = 2", "unknown fields: send"),
        ("withdraw_cents = 5", "", "without a gap"),
        ("withdraw_cents = 3", "", "must lie in the first band that has a fee"),
        ("send_cents = 1", "send_cents = 1\nwithdraw_cents = 1", "must lie in the first band"),
        ("withdraw_minimum_cents = 150", "withdraw_minimum_cents = 100", "must lie in the first"),
        ("withdraw_minimum_cents = 150", "withdraw_minimum_cents = 201", "must lie in the first"),
    ],
)
def test_a_schedule_with_a_mistake_is_refused_with_one_sentence(before, after, sentence):
    assert before in SMALL
    with pytest.raises(TariffError, match=sentence):
        load_tariff(SMALL.replace(before, after, 1))


def test_a_least_withdrawal_without_a_band_below_it_is_refused():
    text = SMALL.replace("send_cents = 1", "send_cents = 1\nwithdraw_cents = 1").replace(
        "withdraw_minimum_cents = 150", "withdraw_minimum_cents = 50"
    )
    with pytest.raises(TariffError, match="there must be a band without a fee"):
        load_tariff(text)


def test_a_schedule_without_bands_is_refused():
    text = SMALL[: SMALL.index("[[band]]")]
    with pytest.raises(TariffError, match="the tariff lacks band"):
        load_tariff(text)
    with pytest.raises(TariffError, match="at least one band"):
        load_tariff("band = []\n" + text)


def test_table_numbers_are_never_reused():
    assert [(table.name, table.value) for table in FeeTable] == [
        ("NONE", 0),
        ("SEND", 1),
        ("WITHDRAW", 2),
        ("BUY_GOODS", 3),
        ("PAY_BILL", 4),
        ("PAY_OUT", 5),
        ("BUSINESS_TRANSFER", 6),
        ("AIRTIME", 7),
        ("DEPOSIT", 8),
        ("BANK_DEPOSIT", 9),
        ("BANK_WITHDRAWAL", 10),
        ("DEPOSIT_COMMISSION", 11),
        ("WITHDRAW_COMMISSION", 12),
    ]
