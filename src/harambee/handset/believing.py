"""What a handset believes of this network, and the one error it has for whoever holds it."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Final, TypeVar

from harambee.handset.agreement import DisagreementError, NoDoorError, agreed
from harambee.handset.doors import Door, WrongNetworkError
from harambee.protocol.genesis import Genesis

ROUNDS: Final = 5
ROUND_PAUSE_S: Final = 0.1
"""Honest doors differ while a payment travels; a moment later they agree."""

T = TypeVar("T", bound=Hashable)


class HandsetError(Exception):
    """The handset could not do what it was asked; the message is one sentence for the customer."""


async def believed(
    genesis: Genesis, doors: Sequence[Door], ask: Callable[[Door], Awaitable[T]]
) -> T:
    """Return what w super-agents of this network say alike; asks again while they differ.

    HandsetError if too few answer; DisagreementError if they still differ after some rounds.
    """

    async def ask_checked(door: Door) -> T:
        await check_network(door, genesis)
        return await ask(door)

    for turn in range(ROUNDS):
        try:
            return await agreed(doors, genesis.committee.w, ask_checked)
        except NoDoorError as error:
            raise HandsetError(str(error)) from error
        except DisagreementError:
            if turn == ROUNDS - 1:
                raise
        await asyncio.sleep(ROUND_PAUSE_S)
    raise AssertionError("the last round has returned or raised")


async def check_network(door: Door, genesis: Genesis) -> None:
    """Raise WrongNetworkError if the door serves another network, DoorError if it does not answer."""
    if await door.network() != genesis.network.hex():
        raise WrongNetworkError(f"{door.name} serves another network than this handset's.")
