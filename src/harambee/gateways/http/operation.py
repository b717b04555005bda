"""What is said of one operation of the HTTP door: enough to route to it, and to describe it to others."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Final

from msgspec import Meta

from harambee.gateways.http import merchant_documents
from harambee.gateways.http.answers import Answer, Stream
from harambee.gateways.http.problems import STATUS_OF
from harambee.gateways.http.requests import U16_MAX, U32_MAX, Request
from harambee.merchants.port import Reason
from harambee.node.port import Port

Handler = Callable[[Port, Request], Awaitable[Answer | Stream]]


@dataclass(frozen=True, slots=True)
class Octets:
    """A body of plain records, as docs/wire.md has them."""

    layout: str


@dataclass(frozen=True, slots=True)
class Text:
    """A body of text."""

    media_type: str
    what: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """No body at all."""


Content = type | Octets | Text | Nothing
"""What a body has: the type of its JSON, or what else it is."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named value of the address or the head."""

    name: str
    what: str
    kind: Any
    """The type of its value, which the schema is made of."""
    is_needed: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    """With its variable segments in braces."""
    handler: Handler
    answer: Content
    problems: tuple[str, ...] = ()
    """Codes besides those that parameters and bodies bring along."""
    query: tuple[Parameter, ...] = ()
    headers: tuple[Parameter, ...] = ()
    bodies: tuple[Content, ...] = ()
    """What it reads, one of these."""
    status: int = 200
    says: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Headers of the answer, and what they say."""
    of_merchants: bool = False
    """Whether merchants' software has to say who it is."""

    @property
    def what(self) -> str:
        """What it does, in a sentence; and whatever more its handler says of it."""
        assert self.handler.__doc__ is not None, "a handler says what it does"
        first, _, more = self.handler.__doc__.partition("\n")
        sentence = first.partition(": ")[2]
        rest = " ".join(more.split())
        return f"{sentence[0].upper()}{sentence[1:]}" + (f"\n\n{rest}" if rest else "")

    @property
    def captured(self) -> tuple[Parameter, ...]:
        """The variable segments of its path."""
        segments = self.path.split("/")
        return tuple(CAPTURED[part[1:-1]] for part in segments if part.startswith("{"))

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of every problem that it can answer, in the order of their names."""
        found = {*ALWAYS, *self.problems}
        for parameter in (*self.captured, *self.query):
            found.update(_CODES_OF_KIND.get(parameter.kind, ()))
        for body in self.bodies:
            found.update(_OF_OCTETS if isinstance(body, Octets) else _OF_JSON)
        if self.of_merchants:
            found.update(_OF_MERCHANTS)
        return tuple(sorted(found))


ALWAYS: Final = (
    "QUERY_INVALID",
    "RESOURCE_UNKNOWN",
    "METHOD_UNKNOWN",
    "BODY_TOO_SLOW",
    "BODY_TOO_LARGE",
    "INTERNAL",
    "UNAVAILABLE",
)
"""Every operation may have to say these, for a segment of an address may hold anything."""
_OF_OCTETS: Final = ("CONTENT_TYPE_UNKNOWN",)
_OF_JSON: Final = ("BODY_INVALID", "BODY_NOT_JSON", "CONTENT_TYPE_UNKNOWN")
_OF_MERCHANTS: Final = ("UNAUTHORIZED", *(reason.name for reason in Reason))

U16 = Annotated[int, Meta(ge=0, le=U16_MAX)]
U32 = Annotated[int, Meta(ge=0, le=U32_MAX)]
WHOLE = Annotated[int, Meta(ge=0)]
"""Numbers of a query; what is more than an operation has is cut down to that."""
DIGEST = Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$")]
DEGREES = Annotated[str, Meta(pattern=r"^-?[0-9]{1,3}(\.[0-9]{1,12})?$")]
_CODES_OF_KIND: Final = {
    U16: ("NUMBER_INVALID",),
    U32: ("NUMBER_INVALID",),
    WHOLE: ("NUMBER_INVALID",),
    DIGEST: ("HEX_INVALID",),
    DEGREES: ("PLACE_INVALID",),
}

CAPTURED: Final = {
    parameter.name: parameter
    for parameter in (
        Parameter("payer", "The account that pays.", U32),
        Parameter("sequence", "The slot of that account.", U32),
        Parameter("number", "An account's number.", U32),
        Parameter("proposal", "The id of the proposal's order.", DIGEST),
        Parameter("version", "The tariff's version.", U16),
        Parameter("digest", "A digest, in hexadecimal.", DIGEST),
        Parameter("section", "A section of a checkpoint.", U32),
        Parameter("page", "A page of that section.", U32),
        Parameter("author", "The index of the super-agent whose block it is.", U32),
        Parameter("incarnation", "Which life of that author.", U16),
        Parameter("height", "The block's height.", U32),
        Parameter("super_agent", "The index of a super-agent.", U32),
        Parameter("day", "Days since 1970.", U16),
        Parameter("code", "The code of a receipt, ten letters and digits.", str),
        Parameter("name", "What the request is called.", merchant_documents.Name),
        Parameter("short_code", "The digits of a till or a paybill.", merchant_documents.ShortCode),
    )
}


assert set(ALWAYS) <= STATUS_OF.keys()
