"""Asking super-agents as a stranger who watches: over HTTP, one by one or all at once, with bounds.

An answer that is late, too long or no answer at all is a NoAnswerError of one sentence. Nothing here
decides whether an answer is true.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import aiohttp
import msgspec
import numpy as np
import numpy.typing as npt

from harambee.handset.network_file import DoorAddress
from harambee.ledger.records import ACCOUNT, ORDER
from harambee.oversight.day_close import CLOSE_BYTES_MAX, FLOWS_BYTES_MAX

CONNECT_S: Final = 2
ANSWER_S: Final = 60
"""A replica that adds up a country's accounts, or reads a day up, takes its time."""
PAGE_ROWS: Final = 16_384
ACCOUNTS_AT_ONCE: Final = 65_536
FINAL_ORDER: Final = np.dtype([("order", ORDER), ("author", "<u2"), ("time_ms", "<u8")])
"""A row of a day's page: the order, and when whose block had it, by that author's clock."""
PAGE_BYTES_MAX: Final = PAGE_ROWS * FINAL_ORDER.itemsize
_TEXT_BYTES_MAX: Final = 1 << 20

T = TypeVar("T")


class NoAnswerError(Exception):
    """A super-agent did not answer, or not as agreed; the message is one sentence."""


class CloseView(msgspec.Struct, frozen=True):
    """A day's close as one super-agent tells it, in hexadecimal."""

    super_agent: int
    document: str
    signature: str | None

    def parts(self) -> tuple[bytes, bytes | None]:
        """Return document and signature; ValueError where they are no hexadecimal."""
        signature = None if self.signature is None else bytes.fromhex(self.signature)
        return bytes.fromhex(self.document), signature


class BankView(msgspec.Struct, frozen=True):
    """What one bank owes, in cents."""

    account: int
    owed_cents: int
    limit_cents: int
    share_basis_points: int
    within_limit: bool
    alarm: bool
    name: str | None = None


class TrustView(msgspec.Struct, frozen=True):
    """The trust line as one super-agent tells it, in cents."""

    circulation_cents: int
    owed_cents: int
    holds: bool
    banks: tuple[BankView, ...]


class _Network(msgspec.Struct):
    network: str
    today: int


class _Problem(msgspec.Struct):
    detail: str


class Inquirer:
    """One super-agent, asked from outside."""

    def __init__(self, index: int, address: DoorAddress, session: aiohttp.ClientSession) -> None:
        """`index` is its place in the committee."""
        self.index = index
        self.name = address.name
        self._base = address.http
        self._session = session

    async def network(self) -> tuple[str, int]:
        """Return the id of the network that it serves, in hexadecimal, and the day that it has now."""
        found = await self._read("/v1/network", _Network)
        return found.network, found.today

    async def tariff(self, version: int) -> bytes:
        """Return the document of a version of the tariff, in its canonical form."""
        content, _ = await self._ask("GET", f"/v1/tariffs/{version}", _TEXT_BYTES_MAX)
        return content

    async def close(self, day: int) -> CloseView:
        """Return a day's close; its signature is None while the day may still change."""
        most = 2 * CLOSE_BYTES_MAX + _TEXT_BYTES_MAX
        found = await self._read(f"/v1/days/{day}/close", CloseView, most)
        try:
            found.parts()
        except ValueError as error:
            raise self._nonsense() from error
        return found

    async def flows(self, day: int) -> bytes:
        """Return a day's flows between parties."""
        content, _ = await self._ask("GET", f"/v1/days/{day}/flows", FLOWS_BYTES_MAX)
        return content

    async def trust(self) -> TrustView:
        """Return the trust line."""
        return await self._read("/v1/trust", TrustView)

    async def day_orders(self, day: int) -> AsyncIterator[npt.NDArray[np.void]]:
        """Yield a day's final orders, page by page, as FINAL_ORDER arrays, none of them empty."""
        after = 0
        while True:
            path = f"/v1/days/{day}/orders?after={after}&limit={PAGE_ROWS}"
            content, headers = await self._ask("GET", path, PAGE_BYTES_MAX)
            try:
                following, end = int(headers["harambee-next"]), int(headers["harambee-end"])
            except (KeyError, ValueError) as error:
                raise self._nonsense() from error
            if len(content) % FINAL_ORDER.itemsize:
                raise self._nonsense()
            if content:
                yield np.frombuffer(content, FINAL_ORDER)
            if following >= end:
                return
            if following <= after:
                raise self._nonsense()  # it would be asked the same for ever
            after = following

    async def accounts(self, numbers: npt.NDArray[np.uint32]) -> npt.NDArray[np.void]:
        """Return ACCOUNT records of (n,) account numbers; zeros where there is none."""
        parts = [np.zeros(0, ACCOUNT)]
        for start in range(0, len(numbers), ACCOUNTS_AT_ONCE):
            asked = numbers[start : start + ACCOUNTS_AT_ONCE].astype("<u4")
            most = len(asked) * ACCOUNT.itemsize
            content, _ = await self._ask("POST", "/v1/accounts/query", most, asked.tobytes())
            if len(content) != most:
                raise self._nonsense()
            parts.append(np.frombuffer(content, ACCOUNT))
        return np.concatenate(parts)

    async def _read(self, path: str, kind: type[T], most: int = _TEXT_BYTES_MAX) -> T:
        content, _ = await self._ask("GET", path, most)
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise self._nonsense() from error

    async def _ask(
        self, method: str, path: str, most: int, body: bytes | None = None
    ) -> tuple[bytes, Any]:
        """Send one request; its answer's body, of `most` bytes at most, and headers."""
        headers = {} if body is None else {"content-type": "application/octet-stream"}
        timeout = aiohttp.ClientTimeout(total=ANSWER_S, sock_connect=CONNECT_S)
        try:
            async with self._session.request(
                method,
                self._base + path,
                data=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                content = bytearray()
                async for piece in response.content.iter_any():
                    content += piece
                    if len(content) > max(most, _TEXT_BYTES_MAX):
                        raise self._nonsense()
        except TimeoutError as error:
            raise NoAnswerError(f"{self.name} does not answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswerError(f"{self.name} cannot be reached") from error
        if response.status >= 400:
            raise self._problem(bytes(content))
        if len(content) > most:
            raise self._nonsense()
        return bytes(content), response.headers

    def _problem(self, content: bytes) -> NoAnswerError:
        try:
            detail = msgspec.json.decode(content, type=_Problem).detail[:500]
        except (msgspec.DecodeError, RecursionError, ValueError):
            return self._nonsense()
        return NoAnswerError(f"{self.name} says: {detail.rstrip('.')}")

    def _nonsense(self) -> NoAnswerError:
        return NoAnswerError(f"{self.name} answers nothing that can be understood")


@asynccontextmanager
async def inquirers(addresses: Sequence[DoorAddress]) -> AsyncIterator[list[Inquirer]]:
    """Yield who can be asked, in the committee's order; connections end with the context."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield [Inquirer(index, address, session) for index, address in enumerate(addresses)]


async def ask_all(
    asked: Sequence[Inquirer], ask: Callable[[Inquirer], Awaitable[T]]
) -> tuple[dict[int, T], dict[int, str]]:
    """Ask everybody at once: the answers, and of who gave none why, by super-agent."""
    results = await asyncio.gather(*map(ask, asked), return_exceptions=True)
    answers: dict[int, T] = {}
    silent: dict[int, str] = {}
    for inquirer, result in zip(asked, results, strict=True):
        if isinstance(result, NoAnswerError):
            silent[inquirer.index] = str(result)
        elif isinstance(result, BaseException):
            raise result
        else:
            answers[inquirer.index] = result
    return answers, silent
