"""What every SMS adapter does: numbers are found, texts go out a few at a time, and come back if they fail.

A provider either takes a text, refuses it for good, or cannot be had. Refused ones, and those whose account
has no telephone here, are written to the outbox, where an operator sees them: to bring them again would hold
up all others for ever. Where the provider cannot be had, all are brought again later; what it has taken of
them meanwhile is remembered, so that a hiccup doubles few.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from harambee.node.texts import Text, TextPort

AT_ONCE_MAX: Final = 8

log: Final = logging.getLogger(__name__)

Telephones = Callable[[Sequence[int]], Awaitable[Mapping[int, str]]]
"""Returns the telephones of accounts, as far as they are known."""


class RefusedError(Exception):
    """The provider will never take this text; the message is one sentence and names nobody."""


class Sender(Protocol):
    """A provider of SMS."""

    async def send(self, number: str, text: str) -> None:
        """Hand over one text; RefusedError where it is refused for good, TextPortError where not now."""

    async def stop(self) -> None:
        """Let go of the provider."""


@dataclass
class SmsPort:
    """Implements `TextPort` over a provider."""

    sender: Sender
    telephones: Telephones
    left_over: TextPort
    """Takes what cannot be sent."""
    _taken: set[tuple[int, str, str, str]] = field(default_factory=set, repr=False)

    async def send(self, texts: Sequence[Text]) -> None:
        """Hand over texts; TextPortError where the provider cannot be had, and nothing is forgotten."""
        waiting = [text for text in texts if _name(text) not in self._taken]
        numbers = await self.telephones(sorted({text.account for text in waiting}))
        slots = asyncio.Semaphore(AT_ONCE_MAX)
        left_over: list[Text] = []

        async def one(text: Text) -> None:
            number = numbers.get(text.account)
            if number is None:
                left_over.append(text)
                return
            async with slots:
                try:
                    await self.sender.send(number, text.text)
                except RefusedError as error:
                    log.warning("a text was refused: %s", error)
                    left_over.append(text)
                else:
                    self._taken.add(_name(text))

        results = await asyncio.gather(*map(one, waiting), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        if left_over:
            await self.left_over.send(left_over)
        self._taken.clear()

    async def stop(self) -> None:
        """Let go of the provider."""
        await self.sender.stop()


def _name(text: Text) -> tuple[int, str, str, str]:
    """Return what makes a text that is brought again the same."""
    return text.account, text.receipt_code, text.kind, text.text
