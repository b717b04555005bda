"""The languages that texts are written in."""

from enum import StrEnum


class Language(StrEnum):
    """By their ISO 639-1 codes."""

    ENGLISH = "en"
    SWAHILI = "sw"
