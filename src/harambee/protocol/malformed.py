"""What a parser answers where bytes are not what they should be: a value, for a bad message is an event."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Malformed:
    """Why bytes are not a block, a frame or an entry; one sentence for the log."""

    why: str
