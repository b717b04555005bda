"""What a handler is given: one request, read within limits before any handler sees it.

Everything here faces strangers. Each parser answers garbage with a ProblemError and one sentence,
and reads no more than its limit.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta

from harambee.gateways.http.problems import ProblemError, bad_request

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

T = TypeVar("T")

BODY_BYTES_MAX: Final = 2 << 20
BODY_SECONDS_MAX: Final = 20
QUERY_BYTES_MAX: Final = 1024
QUERY_FIELDS_MAX: Final = 8
HEADERS_READ: Final = frozenset({"authorization", "idempotency-key", "x-idempotency-key"})
"""Besides content-type and content-length; what no handler reads is not kept."""
WAIT_MS_MAX: Final = 30_000
U16_MAX: Final = (1 << 16) - 1
U32_MAX: Final = (1 << 32) - 1
U64_MAX: Final = (1 << 64) - 1

_DIGITS: Final = re.compile(r"[0-9]{1,20}", re.ASCII)
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})*", re.ASCII)


class ClientGoneError(Exception):
    """The client hung up before its request was complete; there is nobody to answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, complete."""

    captured: tuple[str, ...]
    """The variable segments of the path, in order."""
    query: dict[str, str]
    content_type: str
    """Lower case, without parameters; empty if none was sent."""
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Those of HEADERS_READ that were sent; the names are lower case."""

    def header(self, name: str) -> str:
        """Return a header of HEADERS_READ, empty if it was not sent."""
        assert name in HEADERS_READ, "what is not read cannot be asked for"
        return self.headers.get(name, "")

    def number(self, name: str, default: int, maximum: int) -> int:
        """Return a whole number of the query, `default` where it is absent, at most `maximum`."""
        text = self.query.get(name)
        return default if text is None else min(whole_text(text, name, U64_MAX), maximum)

    def wait_ms(self) -> int:
        """Return how long the client is ready to wait, in milliseconds."""
        return self.number("wait_ms", 0, WAIT_MS_MAX)

    def captured_number(self, place: int, name: str) -> int:
        """Return the variable segment `place` of the path as a u32."""
        return whole_text(self.captured[place], name, U32_MAX)

    def json(self, kind: type[T]) -> T:
        """Return the body as a `kind` of msgspec.Struct."""
        if self.content_type not in ("application/json", ""):
            sentence = "This resource reads application/json."
            raise ProblemError(415, "CONTENT_TYPE_UNKNOWN", sentence)
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.ValidationError as error:
            raise bad_request(
                "BODY_INVALID", f"The body is not as this resource needs it: {error}."
            ) from error
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise bad_request("BODY_NOT_JSON", "The body is not JSON that can be read.") from error

    def octets(self) -> bytes:
        """Return the body of a resource that reads bytes."""
        if self.content_type not in ("application/octet-stream", ""):
            sentence = "This resource reads application/octet-stream."
            raise ProblemError(415, "CONTENT_TYPE_UNKNOWN", sentence)
        return self.body

    def records(self, width: int, records_max: int) -> int:
        """Return how many records of `width` bytes the body holds; ProblemError if it is not so."""
        count, rest = divmod(len(self.body), width)
        if rest or not count:
            raise bad_request(
                "BODY_MISALIGNED", f"The body must be one or more records of {width} bytes each."
            )
        if count > records_max:
            raise ProblemError(413, "TOO_MANY", f"One body holds at most {records_max} records.")
        return count


def whole_text(text: str, name: str, maximum: int) -> int:
    """Return a decimal text as a number up to `maximum`; the sentence calls it `name`."""
    if not _DIGITS.fullmatch(text) or (value := int(text)) > maximum:
        raise bad_request("NUMBER_INVALID", f"{name} must be a whole number from 0 to {maximum}.")
    return value


def whole(value: object, name: str, maximum: int) -> int:
    """Return a JSON value as a number up to `maximum`: no fraction, text, true or false."""
    if type(value) is not int or not 0 <= value <= maximum:
        raise bad_request("NUMBER_INVALID", f"{name} must be a whole number from 0 to {maximum}.")
    return value


def hexadecimal(value: object, name: str, length: int) -> bytes:
    """Return the `length` bytes that a text of hexadecimal digits stands for."""
    if not isinstance(value, str) or len(value) != 2 * length or not _HEX.fullmatch(value):
        raise bad_request("HEX_INVALID", f"{name} must be {2 * length} hexadecimal digits.")
    return bytes.fromhex(value)


def number_field(maximum: int) -> Meta:
    """Return what the description says of a field that may be left out, else `whole` reads it."""
    return Meta(extra_json_schema={"type": ["integer", "null"], "minimum": 0, "maximum": maximum})


def hex_field(length: int, *, or_null: bool = False) -> Meta:
    """Return what the description says of a field that `hexadecimal` reads."""
    kind = ["string", "null"] if or_null else "string"
    return Meta(extra_json_schema={"type": kind, "pattern": f"^[0-9a-fA-F]{{{2 * length}}}$"})


async def read_request(scope: Scope, receive: Receive, captured: tuple[str, ...]) -> Request:
    """Read the rest of a request within the limits; ProblemError beyond them."""
    content_type, length = "", 0
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        if name == b"content-type":
            content_type = value.decode("latin-1").partition(";")[0].strip().lower()
        elif name == b"content-length" and value.isdigit():
            length = int(value[:20])
        elif (known := name.decode("latin-1")) in HEADERS_READ:
            # One that comes twice is one with a comma in it, as RFC 9110 has it.
            before = f"{headers[known]}, " if known in headers else ""
            headers[known] = before + value.decode("latin-1").strip()
    query = _read_query(scope.get("query_string", b""))
    if length > BODY_BYTES_MAX:
        raise _too_large()
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            body = await _read_body(receive)
    except TimeoutError as error:
        raise ProblemError(408, "BODY_TOO_SLOW", "The body took too long to arrive.") from error
    return Request(captured, query, content_type, body, headers)


def _read_query(query_string: bytes) -> dict[str, str]:
    if not query_string:
        return {}
    invalid = bad_request("QUERY_INVALID", "The query of the address cannot be read.")
    if len(query_string) > QUERY_BYTES_MAX:
        raise invalid
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            max_num_fields=QUERY_FIELDS_MAX,
            errors="strict",
        )
    except ValueError as error:
        raise invalid from error
    query = dict(pairs)
    if len(query) != len(pairs):
        raise bad_request("QUERY_INVALID", "The query of the address names one thing twice.")
    return query


async def _read_body(receive: Receive) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        piece = message.get("body", b"")
        size += len(piece)
        if size > BODY_BYTES_MAX:
            raise _too_large()
        pieces.append(piece)
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_large() -> ProblemError:
    sentence = f"A body is at most {BODY_BYTES_MAX} bytes."
    return ProblemError(413, "BODY_TOO_LARGE", sentence)
