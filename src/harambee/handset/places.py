"""Places on the earth: latitude and longitude in degrees, and how far one is from another."""

import re
from math import asin, cos, radians, sin, sqrt
from typing import Final, NamedTuple

EARTH_RADIUS_M: Final = 6_371_009
"""The mean radius of the earth."""

_DEGREES: Final = re.compile(r"-?[0-9]{1,3}(?:\.[0-9]{1,10})?", re.ASCII)
LATITUDE_MAX: Final = 90
LONGITUDE_MAX: Final = 180


class PlaceError(ValueError):
    """A text that is not a place; the message is one sentence."""


class Place(NamedTuple):
    """A point on the earth, in degrees; south and west are below zero."""

    latitude: float
    longitude: float


def parse_place(latitude: str, longitude: str) -> Place:
    """Return the place of two decimal texts; PlaceError."""
    return Place(
        _degrees(latitude, "latitude", LATITUDE_MAX),
        _degrees(longitude, "longitude", LONGITUDE_MAX),
    )


def parse_pair(text: str) -> Place:
    """Return the place of "-1.2864,36.8172"; PlaceError."""
    latitude, comma, longitude = text.partition(",")
    if not comma:
        raise PlaceError("A place is written as latitude,longitude: -1.2864,36.8172.")
    return parse_place(latitude.strip(), longitude.strip())


def _degrees(text: str, name: str, most: int) -> float:
    if not _DEGREES.fullmatch(text) or abs(value := float(text)) > most:
        raise PlaceError(f"A {name} is a decimal number from -{most} to {most}, such as 36.8172.")
    return value


def distance_m(here: Place, there: Place) -> int:
    """Return how many metres apart two places are, along the ground (haversine)."""
    up = radians(there.latitude - here.latitude)
    across = radians(there.longitude - here.longitude)
    level = cos(radians(here.latitude)) * cos(radians(there.latitude))
    half = sin(up / 2) ** 2 + level * sin(across / 2) ** 2
    return round(2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(half))))


def spoken(metres: int) -> str:
    """Return a distance as people say it: "350 m", "4.2 km"."""
    return f"{metres} m" if metres < 1_000 else f"{metres / 1_000:.1f} km"
