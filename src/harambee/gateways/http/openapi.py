"""The table of operations as an OpenAPI 3.1 document; schemas are made of the types that are answered."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from harambee.gateways.http.answers import EVENTS, JSON, OCTETS
from harambee.gateways.http.merchant_documents import EventDocument
from harambee.gateways.http.operation import (
    Content,
    Nothing,
    Octets,
    Operation,
    Parameter,
    Text,
)
from harambee.gateways.http.problems import PROBLEM_JSON, STATUS_OF, ProblemDocument

OPENAPI: Final = "3.1.0"
_SCHEMA_AT: Final = "#/components/schemas/{name}"
_ABOUT: Final = (
    "What a super-agent offers to handsets, merchants' software, operators and whoever watches. Any "
    "super-agent of a network answers the same questions. Amounts are cents, times milliseconds since "
    "1970 UTC. Telephone numbers stand in bodies only, never in addresses."
)
_HOOK_HEADERS: Final = {
    "webhook-id": "The event's id: the same each time it is sent.",
    "webhook-timestamp": "When this one was sent, in seconds since 1970 UTC.",
    "webhook-signature": "v1, and an HMAC-SHA256 of id.timestamp.body by the webhook's secret.",
}


class _Schemas:
    """Schemas of types, and what they refer to."""

    def __init__(self, kinds: Sequence[Any]) -> None:
        distinct = list(dict.fromkeys(kinds))
        schemas, self.components = msgspec.json.schema_components(distinct, ref_template=_SCHEMA_AT)
        self._of: dict[Any, dict[str, Any]] = dict(zip(distinct, schemas, strict=True))

    def of(self, kind: Any) -> dict[str, Any]:
        return self._of[kind]


def document(table: Sequence[Operation], version: str) -> dict[str, Any]:
    """Return the description of these operations."""
    schemas = _Schemas([ProblemDocument, EventDocument, *_kinds(table)])
    paths: dict[str, dict[str, Any]] = {}
    for operation in table:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(
            operation, schemas
        )
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "Harambee",
            "version": version,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This super-agent."}],
        "paths": paths,
        "webhooks": {"event": {"post": _hook(schemas)}},
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "merchant": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "A consumer key and its secret.",
                }
            },
        },
    }


def _kinds(table: Sequence[Operation]) -> list[Any]:
    bodies = [body for operation in table for body in (operation.answer, *operation.bodies)]
    parameters = [
        parameter.kind
        for operation in table
        for parameter in (*operation.captured, *operation.query, *operation.headers)
    ]
    return [*filter(_is_json, bodies), *parameters]


def _is_json(body: Content) -> bool:
    return not isinstance(body, Octets | Text | Nothing)


def _described(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    sentence, _, more = operation.what.partition("\n\n")
    described: dict[str, Any] = {
        "operationId": _name(operation),
        "tags": [_name(operation).partition(".")[0]],
        "summary": sentence,
        "responses": _responses(operation, schemas),
    }
    if more:
        described["description"] = more
    parameters = [
        _parameter(parameter, place, schemas)
        for place, parameters in (
            ("path", operation.captured),
            ("query", operation.query),
            ("header", operation.headers),
        )
        for parameter in parameters
    ]
    if parameters:
        described["parameters"] = parameters
    if operation.bodies:
        content: dict[str, Any] = {}
        for body in operation.bodies:
            content |= _content(body, schemas)
        described["requestBody"] = {"required": True, "content": content}
    if operation.of_merchants:
        described["security"] = [{"merchant": []}]
    return described


def _name(operation: Operation) -> str:
    """Return the operation's id: the module of its handler, and what the handler is called there."""
    module = operation.handler.__module__.rpartition(".")[2]
    return f"{module}.{operation.handler.__name__}"


def _parameter(parameter: Parameter, place: str, schemas: _Schemas) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": place,
        "description": parameter.what,
        "required": place == "path" or parameter.is_needed,
        "schema": schemas.of(parameter.kind),
    }


def _content(body: Content, schemas: _Schemas) -> dict[str, Any]:
    """Return what a body has, by its media type."""
    match body:
        case Nothing():
            return {}
        case Octets(layout):
            schema = {"type": "string", "format": "binary", "description": layout}
            return {OCTETS.decode(): {"schema": schema}}
        case Text(media_type, what):
            # Events are described one by one, and programs take each for an object of its own.
            kind = {} if media_type == EVENTS.decode() else {"type": "string"}
            return {media_type: {"schema": {**kind, "description": what}}}
        case kind:
            return {JSON.decode(): {"schema": schemas.of(kind)}}


def _responses(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    answered: dict[str, Any] = {"description": _what(operation.answer)}
    if content := _content(operation.answer, schemas):
        answered["content"] = content
    if operation.says:
        answered["headers"] = {
            name: {"description": what, "schema": {"type": "string"}}
            for name, what in operation.says.items()
        }
    by_status: dict[int, list[str]] = {}
    for code in operation.codes:
        by_status.setdefault(STATUS_OF[code], []).append(code)
    problems = {
        str(status): _problem(status, codes, schemas) for status, codes in sorted(by_status.items())
    }
    return {str(operation.status): answered, **problems}


def _what(body: Content) -> str:
    match body:
        case Nothing():
            return "It is done."
        case Octets(layout):
            return layout
        case Text(what=what):
            return what
        case kind:
            return (kind.__doc__ or "").partition("\n")[0] or "A JSON object."


def _problem(status: int, codes: list[str], schemas: _Schemas) -> dict[str, Any]:
    narrowed = {"properties": {"code": {"enum": codes}, "status": {"const": status}}}
    schema = {"allOf": [schemas.of(ProblemDocument), narrowed]}
    problem: dict[str, Any] = {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(codes)}",
        "content": {PROBLEM_JSON.decode(): {"schema": schema}},
    }
    if status == HTTPStatus.UNAUTHORIZED:
        said = {"description": "How to say who asks.", "schema": {"type": "string"}}
        problem["headers"] = {"www-authenticate": said}
    return problem


def _hook(schemas: _Schemas) -> dict[str, Any]:
    return {
        "operationId": "webhooks.event",
        "tags": ["webhooks"],
        "summary": "An event, told to the address that a merchant has set; at least once.",
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": what,
                "schema": {"type": "string"},
            }
            for name, what in _HOOK_HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {JSON.decode(): {"schema": schemas.of(EventDocument)}},
        },
        "responses": {"2XX": {"description": "It was taken; anything else has it sent again."}},
    }
