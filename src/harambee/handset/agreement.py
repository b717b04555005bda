"""Believing doors: a fact counts when w super-agents say the same, because one of them is honest.

A lying door is outvoted, a dead one is replaced, and a slow one is overtaken.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, Final, TypeVar

from harambee.handset.doors import Door, DoorError, WrongNetworkError

HEDGE_S: Final = 0.5
"""After so long without an answer one more door is asked."""

T = TypeVar("T", bound=Hashable)


class NoDoorError(Exception):
    """Too few super-agents answer to believe anything; the message is one sentence."""


class DisagreementError(Exception):
    """No w super-agents say the same; the message is one sentence."""

    def __init__(self, sentence: str, answers: Mapping[Any, int]) -> None:
        super().__init__(sentence)
        self.answers = answers
        """How many doors gave each answer."""


async def agreed(
    doors: Sequence[Door],
    needed: int,
    ask: Callable[[Door], Awaitable[T]],
    hedge_s: float = HEDGE_S,
) -> T:
    """Return the first answer that `needed` doors give alike.

    Asks as many doors as are needed, in order, and one more whenever those under way can no longer
    agree, or take long. NoDoorError or DisagreementError when there is nobody left to ask.
    """
    waiting = list(doors)
    running: dict[asyncio.Task[T], Door] = {}
    answers: dict[T, int] = {}
    failures: list[DoorError] = []
    wanted = needed
    try:
        while True:
            while waiting and len(running) < wanted:
                door = waiting.pop(0)
                running[asyncio.create_task(_asked(ask, door))] = door
            if not running:
                raise _nobody_left(needed, answers, failures)
            done, _ = await asyncio.wait(
                running, timeout=hedge_s, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                del running[task]
                try:
                    answer = task.result()
                except DoorError as error:
                    failures.append(error)
                    continue
                answers[answer] = answers.get(answer, 0) + 1
                if answers[answer] >= needed:
                    return answer
            # Those under way could all join the strongest answer; nobody answering: one more.
            wanted = needed - max(answers.values(), default=0)
            wanted = max(wanted, len(running) + (not done))
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _asked(ask: Callable[[Door], Awaitable[T]], door: Door) -> T:
    return await ask(door)


def _nobody_left(
    needed: int, answers: dict[T, int], failures: list[DoorError]
) -> NoDoorError | DisagreementError:
    heard = sum(answers.values())
    if heard >= needed:
        return DisagreementError(
            "The super-agents do not agree; try again in a moment.", {**answers}
        )
    if failures and all(isinstance(failure, WrongNetworkError) for failure in failures):
        return NoDoorError(str(failures[0]))
    if not heard:
        return NoDoorError(f"No super-agent can be reached: {failures[-1]}")
    return NoDoorError(f"Too few super-agents answer: {heard}, and {needed} must agree.")
