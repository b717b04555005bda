"""The reliability sum: exact, beside a Monte Carlo over outages with the committee's own quorum."""

import random
from fractions import Fraction

import pytest

from harambee.protocol.committee import Committee, Member, tolerated
from harambee.traffic.reliability import (
    AVAILABILITIES,
    SIZES,
    Group,
    halting,
    halting_alone,
    table,
    time_written,
    written,
)

TRIALS = 20_000
SIGMAS = 5


def committee(members):
    keys = (number.to_bytes(32, "little") for number in range(members))
    return Committee(0, tuple(Member(f"super-agent-{key[0]}", key, bytes(32), ()) for key in keys))


@pytest.mark.parametrize(
    ("members", "up", "expected"),
    [
        (1, "0.9", "0.1"),
        (4, "0.9", "0.0523"),  # 1 - 0.9^4 - 4 * 0.1 * 0.9^3
        (7, "0.5", "0.7734375"),  # 99 of 128
        (4, "1", "0"),
        (4, "0", "1"),
    ],
)
def test_the_sum_is_the_binomial(members, up, expected):
    assert halting_alone(members, Fraction(up)) == Fraction(expected)


@pytest.mark.parametrize("members", [4, 7, 10, 31, 100])
@pytest.mark.parametrize("up", ["0.9", "0.7", "0.6"])
def test_the_sum_is_what_dice_and_the_quorum_say(members, up):
    dice = random.Random(f"{members} {up}")
    q, chance = committee(members).q, float(up)
    halts = sum(sum(dice.random() < chance for _ in range(members)) < q for _ in range(TRIALS))
    expected = float(halting_alone(members, Fraction(up)))
    sigma = (expected * (1 - expected) / TRIALS) ** 0.5
    assert abs(halts / TRIALS - expected) <= SIGMAS * sigma + 1 / TRIALS


def test_more_super_agents_that_are_as_good_halt_less():
    for up in AVAILABILITIES:
        halts = [halting_alone(members, Fraction(up)) for members in SIZES]
        assert halts == sorted(halts, reverse=True)
        assert len(set(halts)) == len(SIZES)


def test_who_shares_one_place_is_as_good_as_the_place():
    place = Fraction("0.99")
    assert halting([Group(100, place)], Fraction(1)) == 1 - place
    # Ten places of ten: three may be gone, and four are more than a third.
    ten = halting([Group(10, place)] * 10, Fraction(1))
    assert ten == halting_alone(10, place)
    assert ten < Fraction(1, 100_000)


def test_groups_that_share_nothing_are_the_sum_of_their_members():
    up = Fraction("0.95")
    assert halting([Group(3), Group(4)], up) == halting_alone(7, up)


def test_the_table_has_a_row_for_each():
    rows = table()
    assert {(row["super_agents"], row["availability_of_each"]) for row in rows} == {
        (members, up) for members in SIZES for up in AVAILABILITIES
    }
    assert all(row["bears"] == tolerated(row["super_agents"]) for row in rows)
    hundred = next(
        r for r in rows if (r["super_agents"], r["availability_of_each"]) == (100, "0.9")
    )
    assert Fraction(hundred["halted_share"]) < Fraction(1, 10**9)


@pytest.mark.parametrize(
    ("number", "text"),
    [("0", "0"), ("0.0523", "0.0523"), ("1/3", "0.333"), ("12345.6", "12346"), ("1e-25", "1e-25")],
)
def test_fractions_are_written_short(number, text):
    assert written(Fraction(number)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        ("0", "< 1 ms"),
        ("1/100", "< 1 s"),
        ("3/2", "2 s"),
        ("90", "90 s"),
        ("120", "2 min"),
        ("9000", "2 h"),
        ("1650000", "19 days"),
    ],
)
def test_times_are_written_for_people(seconds, text):
    assert time_written(Fraction(seconds)) == text
