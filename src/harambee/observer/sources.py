"""One super-agent as an observer sees it: what it shows of its history, and nothing of it is checked here."""

import asyncio
import re
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import aiohttp
import msgspec
import numpy as np
import numpy.typing as npt

from harambee.handset.doors import ANSWER_BYTES_MAX, JSON, DoorProblemError, HttpDoor
from harambee.handset.network_file import DoorAddress
from harambee.ledger.pages import PAGE_BYTES, PAGE_LEAF
from harambee.protocol.account_proofs import PIECE_PROOF_BYTES_MAX
from harambee.protocol.effects import Name
from harambee.protocol.wire import BLOCK_BYTES_MAX

INDEX_ROW: Final = np.dtype([("leaf", PAGE_LEAF), ("length", "<u4")])
INDEX_ROWS: Final = 16_384
"""So many rows of an index are asked for at a time."""
BLOCKS_AT_ONCE: Final = 1_024
_SIZE: Final = struct.Struct("<I")
_BLOCKS_BYTES_MAX: Final = BLOCK_BYTES_MAX + (1 << 20)
DIGEST: Final = re.compile("[0-9a-f]{64}", re.ASCII)
UNKNOWN_STATUS: Final = 404
BUSY_STATUS: Final = 503
PAUSES_S: Final = (0.5, 1.0, 2.0)
"""So long one waits for a door that is busy, each time before it is asked again."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A checkpoint as a door shows it: bytes and signatures, and nothing checked."""

    document: bytes
    words: tuple[tuple[int, bytes], ...]
    """Super-agent, signature."""


class LedgerView(msgspec.Struct, frozen=True):
    """What a door says its ledger is, and where in time."""

    digest: str
    total_cents: int
    accounts: int
    heads: list[int]
    """The height of each author's newest block, in the committee's order."""


class Source(Protocol):
    """What an observer asks of a super-agent; every method may raise DoorError."""

    @property
    def index(self) -> int:
        """Which super-agent this should be: its index in the committee."""

    @property
    def name(self) -> str:
        """Its name in the genesis."""

    async def network(self) -> str:
        """Return the id of the network that it serves, in hexadecimal."""

    async def checkpoints(self) -> tuple[Shown, ...]:
        """Return the checkpoints that it shows."""

    async def pages(self, digest: bytes, after: int) -> npt.NDArray[np.void]:
        """Return rows of a checkpoint's index, an INDEX_ROW array; none behind its end."""

    async def page(self, digest: bytes, section: int, number: int) -> bytes | None:
        """Return a page of a checkpoint, or None where it has none."""

    async def piece(self, digest: bytes, account: int) -> bytes | None:
        """Return an account's piece and its way to the root, or None where it has none."""

    async def heads(self) -> tuple[Name, ...]:
        """Return each author's newest block there, then those of other branches."""

    async def blocks(self, author: int, incarnation: int, first: int, last: int) -> list[bytes]:
        """Return some blocks of an author, from the first on."""

    async def block(self, name: Name) -> bytes | None:
        """Return exactly this block, or None where it has not got it."""

    async def ledger(self) -> LedgerView:
        """Return what it says its ledger is."""

    async def records(self, numbers: Sequence[int]) -> npt.NDArray[np.void]:
        """Return the ACCOUNT records of these numbers; zeros where there is none."""


class _Word(msgspec.Struct):
    super_agent: int
    signature: str


class _Checkpoint(msgspec.Struct):
    document: str
    words: list[_Word]


class _Checkpoints(msgspec.Struct):
    checkpoints: list[_Checkpoint]


class _Head(msgspec.Struct):
    author: int
    incarnation: int
    height: int
    digest: str


class _Heads(msgspec.Struct):
    heads: list[_Head]


class HttpSource(HttpDoor):
    """A super-agent behind its HTTP gateway."""

    async def checkpoints(self) -> tuple[Shown, ...]:
        """Return the checkpoints that it shows."""
        found = await self._ask("GET", "/v1/checkpoints", _Checkpoints)
        try:
            return tuple(
                Shown(
                    bytes.fromhex(row.document),
                    tuple((w.super_agent, bytes.fromhex(w.signature)) for w in row.words),
                )
                for row in found.checkpoints
            )
        except ValueError as error:
            raise self._nonsense() from error

    async def pages(self, digest: bytes, after: int) -> npt.NDArray[np.void]:
        """Return rows of a checkpoint's index; none behind its end."""
        path = f"/v1/checkpoints/{digest.hex()}/index?after={after}&limit={INDEX_ROWS}"
        content = await self._read_patiently(path, ANSWER_BYTES_MAX)
        if len(content) % INDEX_ROW.itemsize:
            raise self._nonsense()
        return np.frombuffer(content, INDEX_ROW)

    async def page(self, digest: bytes, section: int, number: int) -> bytes | None:
        """Return a page of a checkpoint."""
        path = f"/v1/checkpoints/{digest.hex()}/pages/{section}/{number}"
        return await self._if_there(path, PAGE_BYTES)

    async def piece(self, digest: bytes, account: int) -> bytes | None:
        """Return an account's piece and its way to the root."""
        path = f"/v1/checkpoints/{digest.hex()}/accounts/{account}"
        return await self._if_there(path, PIECE_PROOF_BYTES_MAX)

    async def heads(self) -> tuple[Name, ...]:
        """Return each author's newest block there, then those of other branches."""
        found = await self._ask("GET", "/v1/heads", _Heads)
        try:
            return tuple(
                Name(row.author, row.incarnation, row.height, bytes.fromhex(row.digest))
                for row in found.heads
            )
        except ValueError as error:
            raise self._nonsense() from error

    async def blocks(self, author: int, incarnation: int, first: int, last: int) -> list[bytes]:
        """Return some blocks of an author, from the first on."""
        asked = f"author={author}&incarnation={incarnation}&from={first}&to={last}"
        path = f"/v1/blocks?{asked}"
        return self._cut(await self._read_patiently(path, _BLOCKS_BYTES_MAX))

    async def block(self, name: Name) -> bytes | None:
        """Return exactly this block."""
        path = f"/v1/blocks/{name.author}/{name.incarnation}/{name.height}/{name.digest.hex()}"
        content = await self._if_there(path, _BLOCKS_BYTES_MAX)
        found = [] if content is None else self._cut(content)
        return found[0] if found else None

    async def ledger(self) -> LedgerView:
        """Return what it says its ledger is."""
        found = await self._ask("GET", "/v1/digest", LedgerView)
        if not DIGEST.fullmatch(found.digest):
            raise self._nonsense()  # it stands in sentences for people, and shall be nothing else
        return found

    async def records(self, numbers: Sequence[int]) -> npt.NDArray[np.void]:
        """Return the ACCOUNT records of these numbers."""
        return await self._records(tuple(numbers))

    async def _if_there(self, path: str, bytes_max: int) -> bytes | None:
        try:
            return await self._read_patiently(path, bytes_max)
        except DoorProblemError as problem:
            if problem.status == UNKNOWN_STATUS:
                return None
            raise

    async def _read_patiently(self, path: str, bytes_max: int) -> bytes:
        """Read much of a door that tells observers only so much in a second."""
        for pause_s in PAUSES_S:
            try:
                return await self._send("GET", path, None, JSON, bytes_max=bytes_max)
            except DoorProblemError as problem:
                if problem.status != BUSY_STATUS:
                    raise
            await asyncio.sleep(pause_s)
        return await self._send("GET", path, None, JSON, bytes_max=bytes_max)

    def _cut(self, content: bytes) -> list[bytes]:
        found, at = [], 0
        while at < len(content):
            if at + _SIZE.size > len(content):
                raise self._nonsense()
            (size,) = _SIZE.unpack_from(content, at)
            at += _SIZE.size
            found.append(content[at : at + size])
            if len(found[-1]) != size:
                raise self._nonsense()
            at += size
        return found


@asynccontextmanager
async def open_sources(addresses: Sequence[DoorAddress]) -> AsyncIterator[list[Source]]:
    """Yield a network's super-agents, in the committee's order; connections end with the context."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield [HttpSource(index, address, session) for index, address in enumerate(addresses)]
