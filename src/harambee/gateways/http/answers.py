"""What a handler returns: a value, sent in one piece, or what is sent as it comes."""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol

import msgspec
from msgspec import Meta

JSON: Final = b"application/json"
OCTETS: Final = b"application/octet-stream"
TEXT: Final = b"text/plain; charset=utf-8"
EVENTS: Final = b"text/event-stream"

Hex = Annotated[str, Meta(pattern="^([0-9a-f]{2})*$", description="Bytes in hexadecimal.")]


def one_of(*names: str) -> Meta:
    """Return what says of a text in the description that it is one of these."""
    return Meta(extra_json_schema={"enum": sorted(names)})


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and headers of one HTTP answer."""

    body: bytes
    content_type: bytes = JSON
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Source(Protocol):
    """Where the pieces of a stream come from."""

    async def following(self) -> bytes | None:
        """Wait for the next piece; None when there are no more."""

    def close(self) -> None:
        """Nobody takes anything more; called once, whatever happened."""


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that goes on, piece by piece, until its source ends or the client goes."""

    source: Source
    content_type: bytes = EVENTS
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ()


def json_answer(document: Any, status: int = 200) -> Answer:
    """Return `document` (any msgspec-encodable value) as JSON."""
    return Answer(msgspec.json.encode(document), JSON, status)


def octets_answer(body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
    """Return plain records."""
    return Answer(body, OCTETS, 200, headers)


def text_answer(text: str) -> Answer:
    """Return a line of plain text."""
    return Answer(text.encode(), TEXT)


def no_content() -> Answer:
    """Return an answer that has nothing to say but that it is done."""
    return Answer(b"", status=204)
