"""docs/configuration.md: every field of node.toml, as `harambee.node.config` reads it.

What a field means is the sentence under it in `NodeConfig`; what may be written there, and what holds where
nothing is, comes from the document that the file is read as. So a field cannot be added without both.
"""

import ast
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_type_hints

import msgspec

from harambee.crypto.key_places import KeyPlace, SecretPlace
from harambee.node.config import Address, Document, NodeConfig

UNWRITTEN: Final = frozenset({"file"})
"""Fields of the configuration that do not stand in the file."""


def reference() -> Iterator[str]:
    """Yield the lines of a table: field, what may stand there, default, meaning."""
    yield from ("| field | value | default | meaning |", "|---|---|---|---|")
    says = meanings()
    meant = get_type_hints(NodeConfig)
    shapes = msgspec.inspect.type_info(Document)
    assert isinstance(shapes, msgspec.inspect.StructType)
    for field in shapes.fields:
        kind = _of_meaning(meant[field.name]) or _of_shape(field.type)
        yield f"| `{field.name}` | {kind} | {_default(field)} | {says[field.name]} |"


def meanings() -> dict[str, str]:
    """Return the sentence under each field of `NodeConfig`, in one line; one must stand there."""
    (tree,) = ast.parse(inspect.getsource(NodeConfig)).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for statement, below in zip(tree.body, [*tree.body[1:], None], strict=True):
        match statement, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = " ".join(text.split())
            case ast.AnnAssign(), _:
                raise AssertionError(f"{ast.unparse(statement)} has no sentence under it")
            case _:
                continue
    return {name: text for name, text in found.items() if name not in UNWRITTEN}


def _of_meaning(annotation: Any) -> str | None:
    """Return what stands in the file for a type that is written as text; None for others."""
    if annotation in (Path, Path | None):
        return "a path"
    if annotation == KeyPlace:
        return "a path, `env:NAME`, or `pkcs11:...`"
    if annotation == SecretPlace:
        return "a path, or `env:NAME`"
    return "host:port" if annotation is Address else None


def _of_shape(shape: Any) -> str:
    """Return in words what may stand in the file."""
    match shape:
        case msgspec.inspect.BoolType():
            return "`true` or `false`"
        case msgspec.inspect.IntType(ge=least, le=most):
            return f"{least:,} to {most:,}"
        case msgspec.inspect.FloatType(ge=least, le=most):
            return f"{least:,} to {most:,}, also with a fraction"
        case msgspec.inspect.LiteralType(values=values):
            return ", ".join(f"`{json.dumps(value)}`" for value in values)
        case msgspec.inspect.EnumType(cls=cls):
            return ", ".join(f"`{json.dumps(one.value)}`" for one in cls)
        case msgspec.inspect.StrType(max_length=int(most)):
            return f"text of at most {most} characters"
        case msgspec.inspect.ListType():
            return "a list of texts"
        case msgspec.inspect.DictType():
            return "a table: names, and keys of 64 hexadecimal digits"
        case _:
            return "text"


def _default(field: msgspec.inspect.Field) -> str:
    if field.required:
        return "must be there"
    if field.default is msgspec.NODEFAULT:
        made = field.default_factory()
        return f"`{json.dumps(made)}`" if made else "nobody"
    return "none" if field.default is None else f"`{json.dumps(field.default)}`"
