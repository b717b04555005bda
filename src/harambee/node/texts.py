"""The port through which texts leave a super-agent; an adapter writes them to a file or sends SMS."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from harambee.texts.languages import Language


@dataclass(frozen=True, slots=True)
class Text:
    """One text to the holder of an account. The number of her telephone is the adapter's to know."""

    account: int
    language: Language
    kind: str
    """The TextKind's name in lower case."""
    receipt_code: str
    time_ms: int
    """Of what it tells, milliseconds since 1970."""
    text: str


class TextPortError(Exception):
    """Texts could not be taken over now, and are to be brought again; the message is one sentence."""


class TextPort(Protocol):
    """Implemented by `harambee.node.outbox.Outbox`; an SMS gateway's adapter is another."""

    async def send(self, texts: Sequence[Text]) -> None:
        """Take over texts, all of them and durably; TextPortError where that cannot be now.

        Called one at a time. After an error or a crash the same texts may come again: a text that comes
        twice is better than one that is lost, and its receipt code and kind say that it is the same.
        """
