"""The operations of the HTTP door as a page, from the description that every super-agent serves."""

from collections.abc import Iterator
from typing import Any

import msgspec

from harambee import __version__
from harambee.gateways.http.openapi import document
from harambee.gateways.http.operations import operations


def description() -> dict[str, Any]:
    """Return the OpenAPI document, as plain values."""
    made = msgspec.json.encode(document(operations(__version__), __version__))
    plain: dict[str, Any] = msgspec.json.decode(made)
    return plain


def http_page(described: dict[str, Any]) -> str:
    """Return the page, in Markdown: operations by what they are about, then every type."""
    lines = [
        "# HTTP operations",
        "",
        f"{described['info']['description']} How to begin: [http.md](http.md). The same as OpenAPI 3.1, for",
        "programs that write clients: every super-agent serves it at `/v1/openapi.json`.",
        "",
    ]
    by_tag: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append((method, path, operation))
    for name, hook in described["webhooks"].items():
        for method, operation in hook.items():
            by_tag.setdefault("webhooks", []).append((method, name, operation))
    for tag, found in sorted(by_tag.items()):
        lines += [f"## {tag.replace('_', ' ').capitalize()}", ""]
        for method, path, operation in found:
            lines += _operation(method, path, operation)
    lines += ["## Types", ""]
    for name, schema in sorted(described["components"]["schemas"].items()):
        lines += _type(name, schema)
    return "\n".join(lines)


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield from (f"### `{method.upper()} {path}`", "", operation["summary"], "")
    if "description" in operation:
        yield from (operation["description"], "")
    parameters = operation.get("parameters", ())
    if parameters:
        yield from ("| parameter | where | what |", "|---|---|---|")
        for one in parameters:
            must = "" if one.get("required") else ", may be left out"
            shape = _shape(one["schema"])
            yield f"| `{one['name']}` | {one['in']} | {shape}{must}. {_cell(one.get('description', ''))} |"
        yield ""
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield from (f"Body, `{kind}`: {_shape(content['schema'])}", "")
    yield from ("| answer | |", "|---|---|")
    for status, answer in operation["responses"].items():
        shapes = [
            _shape(content["schema"])
            for kind, content in answer.get("content", {}).items()
            if "problem" not in kind
        ]
        yield f"| {status} | {' '.join([_cell(answer['description']), *shapes])} |"
    yield ""


def _type(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield from (f"### {name}", "")
    if "description" in schema:
        yield from (" ".join(schema["description"].split()), "")
    if "properties" not in schema:
        yield from (_shape(schema), "")
        return
    needed = schema.get("required", ())
    yield from ("| field | type | |", "|---|---|---|")
    for field, its in schema["properties"].items():
        may = "" if field in needed else "may be left out"
        yield f"| `{field}` | {_shape(its)} | {may} |"
    yield ""


def _shape(schema: dict[str, Any]) -> str:
    """Return a schema in a few words, with a link to each type that it names."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    for several, between in (("anyOf", " or "), ("oneOf", " or "), ("allOf", " and ")):
        if several in schema:
            return between.join(_shape(one) for one in schema[several])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"a list of {_shape(schema.get('items', {}))}"
    bounds = [
        f"{words} {schema[key]:,}"
        for key, words in (
            ("minimum", "from"),
            ("maximum", "to"),
            ("minLength", "at least"),
            ("maxLength", "at most"),
        )
        if key in schema
    ]
    return " ".join([str(schema.get("type", "anything")), *bounds])


def _cell(text: str) -> str:
    """Return a text that may stand in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
