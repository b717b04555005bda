"""Places: what is read as one, and how far one is from another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.handset.places import (
    EARTH_RADIUS_M,
    Place,
    PlaceError,
    distance_m,
    parse_pair,
    parse_place,
    spoken,
)

NAIROBI, MOMBASA, KISUMU = Place(-1.2864, 36.8172), Place(-4.0435, 39.6682), Place(-0.0917, 34.768)


@pytest.mark.parametrize(
    ("here", "there", "kilometres"),
    [
        (NAIROBI, MOMBASA, 441),
        (NAIROBI, KISUMU, 264),
        (Place(0, 0), Place(0, 180), 20_015),
        (Place(0, 179.9), Place(0, -179.9), 22),  # over the date line
        (Place(0, 0), Place(0, 0), 0),
    ],
)
def test_known_distances(here, there, kilometres):
    assert round(distance_m(here, there) / 1_000) == kilometres


_PLACES = st.builds(Place, st.floats(-90, 90), st.floats(-180, 180))


@given(_PLACES, _PLACES)
def test_a_distance_is_one(here, there):
    assert distance_m(here, there) == distance_m(there, here)
    assert 0 <= distance_m(here, there) <= round(3.1416 * EARTH_RADIUS_M)
    assert distance_m(here, here) == 0


def test_places_are_read():
    assert parse_pair("-1.2864,36.8172") == NAIROBI
    assert parse_pair(" -1.2864 , 36.8172 ") == NAIROBI
    assert parse_place("90", "-180") == Place(90, -180)


@pytest.mark.parametrize(
    "text",
    ["", "1", "1;2", "91,0", "0,181", "1e1,2", "nan,0", "inf,0", "+1,2", "1,", "0x1,2", "\u0661,2",
     "1." + "0" * 20 + ",2"],
)  # fmt: skip
def test_what_is_no_place_is_a_sentence(text):
    with pytest.raises(PlaceError, match=r"^A .*\.$"):
        parse_pair(text)


def test_distances_in_words():
    assert [spoken(m) for m in (0, 999, 1_000, 4_240)] == ["0 m", "999 m", "1.0 km", "4.2 km"]
