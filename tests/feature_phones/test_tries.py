"""However three holders go and come, no more than three wrong PINs in a row are ever looked at."""

from hypothesis import given
from hypothesis import strategies as st

from harambee.feature_phones.tries import (
    NO_TRIES,
    TRIES_MAX,
    Tries,
    Try,
    claimed,
    majority,
    merged,
)

HOLDERS = 3


def name(number):
    return number.to_bytes(16, "big")


def test_a_number_is_granted_once_and_only_upwards():
    noted, granted = claimed(NO_TRIES, Try(1, name(1)), 0)
    assert granted
    assert not claimed(noted, Try(1, name(2)), 0)[1]
    assert claimed(noted, Try(1, name(1)), 0) == (noted, True)
    assert claimed(noted, Try(3, name(3)), 0)[1]
    assert not claimed(claimed(noted, Try(3, name(3)), 0)[0], Try(2, name(2)), 0)[1]


def test_three_lock_and_a_mark_unlocks():
    noted = NO_TRIES
    for number in range(1, TRIES_MAX + 1):
        noted, granted = claimed(noted, Try(number, name(number)), 0)
        assert granted
    assert noted.is_locked
    assert not claimed(noted, Try(4, name(4)), 0)[1]
    assert claimed(noted, Try(4, name(4)), noted.top)[1]
    assert noted.marked(3) == Tries(3)
    assert noted.marked(1).left == TRIES_MAX - 2


def test_marks_never_fall():
    assert Tries(5).marked(3) == Tries(5)
    assert merged([Tries(5), Tries(2, frozenset({Try(4, name(4)), Try(6, name(6))}))]) == Tries(
        5, frozenset({Try(6, name(6))})
    )


STEPS = st.lists(
    st.tuples(
        st.frozensets(st.integers(0, HOLDERS - 1), min_size=1),  # who is read
        st.frozensets(st.integers(0, HOLDERS - 1), min_size=1),  # who hears the claim
        st.frozensets(st.integers(0, HOLDERS - 1)),  # who hears the mark
        st.booleans(),  # whether the PIN is right
        st.booleans(),  # whether another reads at the same moment, and claims the same number
    ),
    max_size=14,
)


@given(STEPS)
def test_no_more_than_three_wrong_ones_in_a_row_are_looked_at(steps):
    holders = [NO_TRIES] * HOLDERS
    drawn, looked_at = 0, []

    def read(who):
        known = merged(holders[each] for each in who)
        return None if len(who) < majority(HOLDERS) or known.is_locked else known

    def claim(known, who, right, marked):
        nonlocal drawn
        drawn += 1
        asked = Try(known.top + 1, name(drawn))
        granting = []
        for each in who:
            holders[each], granted = claimed(holders[each], asked, known.mark)
            if granted:
                granting.append(holders[each])
        if len(granting) < majority(HOLDERS) or merged(granting).before(asked.number).is_locked:
            return
        looked_at.append(right)
        if right:
            for each in marked:
                holders[each] = holders[each].marked(asked.number)

    for read_at, heard_at, marked_at, right, at_once in steps:
        known = read(read_at)
        if known is None:
            continue
        claim(known, heard_at, right, marked_at)
        if at_once:
            claim(known, read_at, right, marked_at)
    row = 0
    for right in looked_at:
        row = 0 if right else row + 1
        assert row <= TRIES_MAX
    assert all(len(tries.counting) <= TRIES_MAX for tries in holders)


@given(st.lists(st.sampled_from([(0, 1), (1, 2), (0, 2), (0, 1, 2)]), min_size=4, max_size=12))
def test_wrong_ones_at_whichever_two_holders_lock_after_exactly_three(reachable):
    holders = [NO_TRIES] * HOLDERS
    looked_at = 0
    for drawn, who in enumerate(reachable):
        known = merged(holders[each] for each in who)
        if known.is_locked:
            continue
        asked = Try(known.top + 1, name(drawn))
        told = [claimed(holders[each], asked, known.mark) for each in who]
        for each, (tries, _) in zip(who, told, strict=True):
            holders[each] = tries
        assert all(granted for _, granted in told)
        looked_at += 1
    assert looked_at == TRIES_MAX
