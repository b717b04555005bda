"""What is asked of whom: each block once as long as it may come, and of somebody else when it may not."""

import numpy as np

from harambee.protocol.catchup import (
    ANSWER_NS_MAX,
    ANSWERS_MAX,
    AT_ONCE,
    AT_ONCE_BYTES,
    RANGE_BLOCKS_MAX,
    RANGE_BLOCKS_MIN,
    CatchUp,
)

N = 100
SECOND = 1_000_000_000


SMALL = 250


def behind(members=N, blocks=10_000, size=SMALL):
    """One who holds nothing, whose peers hold so many blocks of everybody, and who has seen their size."""
    catch_up = CatchUp(members, 0)
    catch_up.holds(1, 1, 1)
    heads = np.zeros(members, np.int64)
    asked(catch_up, heads, 0, members)
    for _ in range(200):
        catch_up.hears(1, 1, 1, size, 0)
    heads[1] = 1
    asked(catch_up, heads, 0, members)
    for peer in range(1, members):
        catch_up.holds_all(peer, np.arange(members), np.full(members, blocks))
    return catch_up


def asked(catch_up, heads, now, members=N):
    """The ranges asked for at a moment, with whom they are asked of."""
    ends = np.full(members, 10_000)
    up = set(range(1, members))
    fetches, _ = catch_up.requests(heads, up, now, ends=ends, eager=True, without=set())
    return [(fetch.peer, part) for fetch in fetches for part in fetch.ranges]


def blocks_in(ranges):
    return sum(part.last - part.first + 1 for _, part in ranges)


def test_of_a_hundred_no_more_is_asked_for_than_can_be_read():
    catch_up, heads = behind(), np.zeros(N, np.int64)
    first = asked(catch_up, heads, SECOND)
    assert len(first) == N, "something of everybody"
    assert AT_ONCE // 2 < blocks_in(first) <= AT_ONCE
    assert not asked(catch_up, heads, SECOND + 1), "it is on the way"


def test_of_four_as_much_as_ever():
    ranges = asked(behind(4), np.zeros(4, np.int64), SECOND, 4)
    assert [part.last for _, part in ranges] == [RANGE_BLOCKS_MAX] * 4


def test_large_blocks_are_asked_for_by_the_room_that_they_take():
    size = 26_000
    ranges = asked(behind(4, size=size), np.zeros(4, np.int64), SECOND, 4)
    assert 0.9 * AT_ONCE_BYTES < blocks_in(ranges) * size < 1.1 * AT_ONCE_BYTES
    first = asked(behind(4, size=0), np.zeros(4, np.int64), SECOND, 4)
    assert [part.last for _, part in first] == [RANGE_BLOCKS_MAX] * 4, (
        "nothing bounds what has no size"
    )


def test_before_a_block_has_come_it_is_taken_to_be_large():
    catch_up = CatchUp(4, 0)
    catch_up.holds(1, 1, 10_000)
    (only,) = asked(catch_up, np.zeros(4, np.int64), SECOND, 4)
    assert blocks_in([only]) < RANGE_BLOCKS_MAX // 2


def test_what_has_come_makes_room_for_what_is_next():
    catch_up, heads = behind(), np.zeros(N, np.int64)
    first = asked(catch_up, heads, SECOND)
    for _, part in first[: N // 2]:
        heads[part.author] = part.last
    for peer in {peer for peer, _ in first[: N // 2]}:
        catch_up.answered(peer)
    second = asked(catch_up, heads, 2 * SECOND)
    assert {part.author for _, part in second} == {part.author for _, part in first[: N // 2]}
    assert all(part.first == heads[part.author] + 1 for _, part in second)
    waiting = blocks_in(first[N // 2 :])
    assert blocks_in(second) + waiting <= AT_ONCE + N * RANGE_BLOCKS_MIN


FEW, MORE = 20, 40


def two_fetches_of_one_peer():
    """Peer 1 alone holds a few blocks of 2 and 3, was asked for the one and then the other, and has more."""
    catch_up, heads = CatchUp(4, 0), np.zeros(4, np.int64)
    for author in (2, 3):
        catch_up.holds(1, author, FEW)
        ((_, part),) = asked(catch_up, heads, SECOND, 4)
        assert (part.author, part.last) == (author, FEW)
    catch_up.holds_all(1, np.array([2, 3]), np.array([MORE, MORE]))
    return catch_up, heads


def test_an_answer_ends_the_fetch_that_was_asked_first_and_no_other():
    catch_up, heads = two_fetches_of_one_peer()
    heads[2] = FEW - 1
    catch_up.answered(1)
    ((_, part),) = asked(catch_up, heads, SECOND + 1, 4)
    assert (part.author, part.first) == (2, FEW), "the other is on the way"
    heads[3] = FEW - 1
    catch_up.answered(1)
    ((_, part),) = asked(catch_up, heads, SECOND + 2, 4)
    assert (part.author, part.first) == (3, FEW)


def test_an_answer_without_a_block_says_that_its_peer_has_none():
    catch_up, heads = two_fetches_of_one_peer()
    catch_up.answered(1)
    assert not asked(catch_up, heads, SECOND + 1, 4), (
        "nobody has the one, and the other is on the way"
    )
    assert not catch_up.is_claimed(2, 1, {1})
    assert catch_up.is_claimed(3, MORE, {1}), "in that fetch it was not asked for"


def test_what_has_come_whole_is_followed_by_the_next_before_its_answer_ends():
    catch_up, heads = two_fetches_of_one_peer()
    heads[2] = FEW
    ((_, part),) = asked(catch_up, heads, SECOND + 1, 4)
    assert (part.author, part.first) == (2, FEW + 1)
    catch_up.answered(1)
    assert not asked(catch_up, heads, SECOND + 2, 4), "what has ended is the fetch before"


def test_an_answer_that_nobody_waits_for_ends_nothing():
    catch_up, heads = two_fetches_of_one_peer()
    catch_up.answered(2)
    assert not asked(catch_up, heads, SECOND + 1, 4)
    catch_up.forget(1)
    catch_up.answered(1)
    assert len(asked(catch_up, heads, SECOND + 2, 4)) == 2, "asked again over a new link"
    assert not asked(catch_up, heads, SECOND + 3, 4)


def test_a_fetch_that_was_never_answered_does_not_stand_before_others_for_ever():
    catch_up, heads = CatchUp(4, 0), np.zeros(4, np.int64)
    catch_up.note_fetch(1, SECOND)  # the peer had too many to answer, and dropped it
    catch_up.holds(1, 2, 10_000)
    late = SECOND + ANSWERS_MAX * ANSWER_NS_MAX
    ((_, part),) = asked(catch_up, heads, late, 4)
    heads[2] = part.first
    catch_up.answered(1)
    ((_, rest),) = asked(catch_up, heads, late + 1, 4)
    assert rest.first == part.first + 1


def test_whoever_owes_an_answer_is_asked_after_those_who_owe_none():
    catch_up, heads = CatchUp(4, 0), np.zeros(4, np.int64)
    for peer in (1, 2, 3):
        catch_up.holds(peer, 1, 10_000)
    catch_up.note_fetch(1, SECOND)
    catch_up.note_fetch(3, SECOND)
    for _ in range(3):
        ((peer, part),) = asked(catch_up, heads, SECOND, 4)
        assert peer == 2
        heads[1] = part.last
        catch_up.answered(2)


def test_whoever_is_silent_is_passed_over_and_whoever_sends_is_waited_for():
    catch_up, heads = behind(), np.zeros(N, np.int64)
    first = {part.author: peer for peer, part in asked(catch_up, heads, SECOND)}
    late = SECOND + ANSWER_NS_MAX - 1
    sending = first[7]
    catch_up.hears(sending, 7, 1, SMALL, late)
    others = next(peer for author, peer in first.items() if peer != sending)
    catch_up.hears(others, 7, 1, SMALL, late)  # it was not asked for that
    catch_up.hears(sending, 7, 9_999, SMALL, late)
    again = asked(catch_up, heads, SECOND + ANSWER_NS_MAX)
    whose = {part.author for _, part in again}
    assert 7 not in whose
    assert whose == {author for author, peer in first.items() if peer != sending}
    assert all(first[part.author] != peer for peer, part in again)


def test_whoever_sends_for_ever_and_never_that_is_passed_over_too():
    catch_up, heads = behind(), np.zeros(N, np.int64)
    first = {part.author: peer for peer, part in asked(catch_up, heads, SECOND)}
    for step in range(1, 2 * ANSWERS_MAX):
        for peer in range(1, N):
            for author in first:
                catch_up.hears(peer, author, 1, SMALL, SECOND + step * ANSWER_NS_MAX)
        again = asked(catch_up, heads, SECOND + step * ANSWER_NS_MAX + 1)
        if again:
            break
    assert step == ANSWERS_MAX
    assert all(first[part.author] != peer for peer, part in again)


def test_a_clock_that_is_set_back_stops_nothing():
    catch_up, heads = behind(4), np.zeros(4, np.int64)
    assert asked(catch_up, heads, 3_600 * SECOND, 4)
    assert asked(catch_up, heads, SECOND, 4), "what was asked in the future is asked again"
