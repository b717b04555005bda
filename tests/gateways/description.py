"""What the HTTP door says of itself, and whether an answer is as it says."""

import json
import re
from functools import cache

from harambee.gateways.http.openapi import document
from harambee.gateways.http.operations import operations

VERSION = "1.2.3"


@cache
def described():
    """Return the description as a reader gets it."""
    return json.loads(json.dumps(document(operations(VERSION), VERSION)))


def every_operation():
    for path, methods in described()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


class Schema:
    """Enough of JSON Schema to hold an answer against what the description says of it."""

    def __init__(self, components):
        self._components = components

    def errors(self, schema, value, place="$"):
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            yield from self.errors(self._components[name], value, place)
        for every in schema.get("allOf", []):
            yield from self.errors(every, value, place)
        if "anyOf" in schema and all(list(self.errors(s, value)) for s in schema["anyOf"]):
            yield f"{place}: none of anyOf"
        if "enum" in schema and value not in schema["enum"]:
            yield f"{place}: {value!r} is none of the enum"
        if "const" in schema and value != schema["const"]:
            yield f"{place}: {value!r} is not {schema['const']!r}"
        kinds = schema.get("type", [])
        if kinds and not any(
            self._is(kind, value) for kind in ([kinds] if isinstance(kinds, str) else kinds)
        ):
            yield f"{place}: {value!r} is no {kinds}"
        if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
            yield f"{place}: {value!r} is not {schema['pattern']}"
        if isinstance(value, list):
            for index, each in enumerate(value):
                yield from self.errors(schema.get("items", {}), each, f"{place}[{index}]")
        if isinstance(value, dict):
            yield from self._of_object(schema, value, place)

    def _of_object(self, schema, value, place):
        properties = schema.get("properties", {})
        for name in schema.get("required", []):
            if name not in value:
                yield f"{place}.{name} is missing"
        for name, each in value.items():
            if name in properties:
                yield from self.errors(properties[name], each, f"{place}.{name}")
            elif schema.get("additionalProperties") is False:
                yield f"{place}.{name} is too much"

    @staticmethod
    def _is(kind, value):
        whole = isinstance(value, int) and not isinstance(value, bool)
        return {
            "object": isinstance(value, dict),
            "array": isinstance(value, list),
            "string": isinstance(value, str),
            "boolean": isinstance(value, bool),
            "null": value is None,
            "integer": whole,
            "number": whole or isinstance(value, float),
        }[kind]


def breaches_at(method, path, reply):
    """Return what an answer of that address is that its description does not say."""
    for wanted, pattern, operation in _patterns():
        if wanted == ("GET" if method == "HEAD" else method) and pattern.fullmatch(path):
            return breaches(operation, reply)
    return []


@cache
def _patterns():
    # Addresses without variable segments first, as the door routes.
    rows = sorted(every_operation(), key=lambda row: row[1].count("{"))
    return [
        (method, re.compile(re.sub(r"\\{.*?\\}", "[^/]*", re.escape(path))), operation)
        for method, path, operation in rows
    ]


def breaches(operation, reply):
    """Return what an answer is that its description does not say."""
    response = operation["responses"].get(str(reply.status))
    if response is None:
        return [f"status {reply.status} ({reply.body[:200]!r})"]
    content = response.get("content", {})
    media_type = reply.headers.get("content-type", "").partition(";")[0]
    if not content:
        return [] if (media_type, reply.body) == ("", b"") else ["a body"]
    if media_type == "application/octet-stream" and reply.status == 200:
        # An operation that reads orders either way answers in the way that it was asked.
        return []
    if media_type not in content:
        return [f"media type {media_type}"]
    missing = [name for name in response.get("headers", {}) if name not in reply.headers]
    if not media_type.endswith("json"):
        return missing
    schema = content[media_type]["schema"]
    return [*missing, *Schema(described()["components"]["schemas"]).errors(schema, reply.document)]
