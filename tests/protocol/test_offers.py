"""What peers offer beside the chains that are followed: taken, but never without end."""

from harambee.protocol.effects import Name
from harambee.protocol.offers import Offers
from harambee.protocol.slot import Slot

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND


def fork(number, author=3):
    return Name(author, 0, 5, number.to_bytes(32, "big"))


def test_what_a_peer_offers_is_asked_for_and_asked_again_until_it_comes():
    offers = Offers()
    assert offers.take(1, [fork(1)], 0) == (fork(1),)
    assert offers.take(1, [fork(1)], 1) == (fork(1),)
    assert fork(1).digest in offers
    assert fork(2).digest not in offers


def test_a_peer_with_endless_forks_is_asked_for_ever_fewer():
    offers = Offers()
    taken = [second for second in range(3_600) if offers.take(1, [fork(second)], second * SECOND)]
    assert taken == [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 2047]


def test_peers_and_authors_are_counted_apart_and_one_word_holds_one_block_of_each():
    offers = Offers()
    assert len(offers.take(1, [fork(1), fork(2)], 0)) == 1
    assert len(offers.take(1, [fork(1, author=2)], 0)) == 1
    assert len(offers.take(2, [fork(3)], 0)) == 1


def test_a_clock_that_was_set_back_stops_nothing():
    offers = Offers()
    offers.take(1, [fork(1)], HOUR)
    assert offers.take(1, [fork(2)], 0) == (fork(2),)


def test_the_others_are_asked_where_a_dispute_goes_on_and_ever_more_rarely():
    offers = Offers()
    slot, other = Slot.of_account(0, 0), Slot.of_account(0, 1)
    asked = [second for second in range(100) if offers.are_due(slot, second * SECOND)]
    assert asked == [2, 4, 8, 16, 32, 64]
    assert not offers.are_due(None, 200 * SECOND)
    assert not offers.are_due(other, 201 * SECOND)
    assert offers.are_due(other, 203 * SECOND)
