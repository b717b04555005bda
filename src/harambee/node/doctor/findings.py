"""One thing that was looked at, and how it stands."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is."""

    FINE = "fine"
    LOOK = "look"
    """It runs; somebody should look."""
    WRONG = "wrong"
    """It does not start, does not serve, or is not safe, until this is mended."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, in sentences."""

    subject: str
    severity: Severity
    sentence: str
    remedy: str = ""
    """What to do; empty where nothing is to be done."""


def fine(subject: str, sentence: str) -> Finding:
    """It is as it should be."""
    return Finding(subject, Severity.FINE, sentence)


def look(subject: str, sentence: str, remedy: str) -> Finding:
    """Somebody should look."""
    return Finding(subject, Severity.LOOK, sentence, remedy)


def wrong(subject: str, sentence: str, remedy: str) -> Finding:
    """It must be mended."""
    return Finding(subject, Severity.WRONG, sentence, remedy)


def as_sentence(error: BaseException) -> str:
    """Return an error's text with a capital and a full stop."""
    text = str(error).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
