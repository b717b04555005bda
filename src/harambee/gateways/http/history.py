"""Checkpoints, their pages and blocks, for whoever computes the ledger himself (docs/observing.md).

Whatever is answered here is checked by who asked. Records are as docs/wire.md has them.
"""

from typing import Final

import msgspec
import numpy as np

from harambee.gateways.http.answers import Answer, Hex, json_answer, octets_answer
from harambee.gateways.http.problems import ProblemError, bad_request, not_found
from harambee.gateways.http.requests import U16_MAX, U32_MAX, Request, hexadecimal, whole_text
from harambee.ledger.pages import PAGE_LEAF, Section
from harambee.node.port import Port
from harambee.protocol.effects import Name

INDEX_ROWS_DEFAULT: Final = 4_096
INDEX_ROWS_MAX: Final = 16_384
INDEX_ROW: Final = np.dtype([("leaf", PAGE_LEAF), ("length", "<u4")])
"""A page: its leaf, and how long it is."""
assert INDEX_ROW.itemsize == 41
BLOCKS_MAX: Final = 4_096
DIGEST_BYTES: Final = 32


class WordDocument(msgspec.Struct):
    """A super-agent's signature of a checkpoint."""

    super_agent: int
    signature: Hex


class CheckpointRow(msgspec.Struct):
    """A checkpoint's document, and who has signed it."""

    digest: Hex
    number: int
    document: Hex
    words: list[WordDocument]


class CheckpointsDocument(msgspec.Struct):
    """The checkpoints that lie here, oldest first."""

    checkpoints: list[CheckpointRow]


class HeadRow(msgspec.Struct):
    """The newest block of a branch."""

    author: int
    incarnation: int
    height: int
    digest: Hex


class HeadsDocument(msgspec.Struct):
    """The newest block of each author, then those of other branches."""

    heads: list[HeadRow]


def _unknown() -> ProblemError:
    return not_found(
        "CHECKPOINT_UNKNOWN", "This super-agent has no such checkpoint, or page of it."
    )


async def checkpoints(port: Port, request: Request) -> Answer:
    """GET /v1/checkpoints: the documents that lie here, oldest first, and who has signed them."""
    del request
    found = await port.history.checkpoints()
    return json_answer(
        CheckpointsDocument(
            [
                CheckpointRow(
                    digest=checkpoint.digest.hex(),
                    number=checkpoint.number,
                    document=checkpoint.to_bytes().hex(),
                    words=[WordDocument(word.signer, word.signature.hex()) for word in words],
                )
                for checkpoint, words in found
            ]
        )
    )


async def index(port: Port, request: Request) -> Answer:
    """GET /v1/checkpoints/{digest}/index: leaf 37 and length u32 of its pages."""
    digest = _digest(request)
    start = request.number("after", 0, U32_MAX)
    limit = max(1, request.number("limit", INDEX_ROWS_DEFAULT, INDEX_ROWS_MAX))
    found = await port.history.index(digest, start, limit)
    if found is None:
        raise _unknown()
    rows = np.zeros(len(found), INDEX_ROW)
    rows["leaf"], rows["length"] = found["leaf"], found["length"]
    return octets_answer(rows.tobytes())


async def page(port: Port, request: Request) -> Answer:
    """GET /v1/checkpoints/{digest}/pages/{section}/{page}: the page's content."""
    digest = _digest(request)
    section = request.captured_number(1, "the section")
    number = request.captured_number(2, "the page")
    known = section in {int(section) for section in Section}
    found = await port.history.page(digest, section, number) if known else None
    if found is None:
        raise _unknown()
    return octets_answer(found)


async def piece(port: Port, request: Request) -> Answer:
    """GET /v1/checkpoints/{digest}/accounts/{number}: the account's piece and its way to the root."""
    digest = _digest(request)
    account = request.captured_number(1, "the account number")
    found = await port.history.piece(digest, account)
    if found is None:
        raise _unknown()
    return octets_answer(found.to_bytes())


async def heads(port: Port, request: Request) -> Answer:
    """GET /v1/heads: the newest block of each author here, then those of other branches."""
    del request
    found = await port.history.heads()
    return json_answer(
        HeadsDocument(
            [
                HeadRow(
                    author=int(row["author"]),
                    incarnation=int(row["incarnation"]),
                    height=int(row["height"]),
                    digest=row["digest"].tobytes().hex(),
                )
                for row in found
            ]
        )
    )


async def blocks(port: Port, request: Request) -> Answer:
    """GET /v1/blocks: length u32 and block, from the first height on.

    As many as one answer takes; it ends before the first that is not here.
    """
    author = _author(port, _needed(request, "author"))
    first, last = (whole_text(_needed(request, name), name, U32_MAX) for name in ("from", "to"))
    incarnation = request.number("incarnation", 0, U16_MAX)
    if not 0 < first <= last:
        raise bad_request("RANGE_INVALID", "Heights count from 1, and from is no more than to.")
    last = min(last, first + BLOCKS_MAX - 1)
    found = await port.history.blocks(author, incarnation, first, last)
    return octets_answer(b"".join(_sized(block) for block in found))


async def block(port: Port, request: Request) -> Answer:
    """GET /v1/blocks/{author}/{incarnation}/{height}/{digest}: length u32 and exactly this block."""
    author = _author(port, request.captured[0])
    incarnation = whole_text(request.captured[1], "the incarnation", U16_MAX)
    height = request.captured_number(2, "the height")
    digest = hexadecimal(request.captured[3], "the digest", DIGEST_BYTES)
    found = await port.history.block(Name(author, incarnation, height, digest))
    if found is None:
        raise not_found("BLOCK_UNKNOWN", "This super-agent does not have this block.")
    return octets_answer(_sized(found))


def _digest(request: Request) -> bytes:
    return hexadecimal(request.captured[0], "the digest", DIGEST_BYTES)


def _needed(request: Request, name: str) -> str:
    if name not in request.query:
        raise bad_request("QUERY_INVALID", f"The address must say {name}=.")
    return request.query[name]


def _author(port: Port, text: str) -> int:
    return whole_text(text, "the author", port.genesis.committee.n - 1)


def _sized(content: bytes) -> bytes:
    return len(content).to_bytes(4, "little") + content
