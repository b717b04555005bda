"""Names at the handset: whose account is it that is about to be paid, and who owns one's own.

A name is one super-agent's word: those who hold it are three, so no w of them can be compared. The
account that is paid is not; w super-agents agree on it before.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from harambee.crypto.keys import OwnerKey
from harambee.handset.doors import Door, DoorError, DoorProblemError, NameView
from harambee.handset.handset import HandsetError, check_network
from harambee.handset.name_checks import Question, sign_question
from harambee.handset.profiles import Profile, ProfileError, sign_profile
from harambee.protocol.genesis import Genesis

TRIES: Final = 3
PAUSE_S: Final = 0.2
PATIENCE_S: Final = 6.0
"""A payment does not wait any longer for a name."""
TRY_AGAIN: Final = frozenset({"QUESTION_REPLAYED", "NAMES_BUSY", "CLOCK_WRONG"})
"""A question that was signed before midnight, too, is signed again."""


class NoNameError(Exception):
    """No name can be shown; the message is one sentence for the customer, `code` the problem's."""

    def __init__(self, sentence: str, code: str) -> None:
        super().__init__(sentence)
        self.code = code


def now_us() -> int:
    """Return the time for a question that is signed now: microseconds since 1970 UTC."""
    return time.time_ns() // 1_000


async def find_name(
    genesis: Genesis,
    doors: Sequence[Door],
    keypair: OwnerKey,
    asker: int,
    payee: int,
    clock: Callable[[], int] = now_us,
    patience_s: float = PATIENCE_S,
) -> NameView:
    """Return a payee's masked name, by the first door that can tell; NoNameError if none can.

    `keypair` is the asking account's. Every try is signed afresh; the same payee counts once a day.
    """
    try:
        async with asyncio.timeout(patience_s):
            return await _find_name(genesis, doors, keypair, asker, payee, clock)
    except TimeoutError:
        raise NoNameError("The super-agents take too long to find the name.", "TOO_SLOW") from None


async def _find_name(
    genesis: Genesis,
    doors: Sequence[Door],
    keypair: OwnerKey,
    asker: int,
    payee: int,
    clock: Callable[[], int],
) -> NameView:
    said, code = "No super-agent can be reached.", "UNREACHABLE"
    for turn in range(TRIES):
        again = False
        for door in doors:
            question = sign_question(keypair, genesis.network, Question(asker, payee, clock()))
            try:
                await check_network(door, genesis)
                return await door.name_of(question)
            except DoorProblemError as problem:
                said, code = str(problem), problem.code
                again = problem.code in TRY_AGAIN
                if again or problem.status < 500:
                    break
            except DoorError as error:
                said = str(error)
        if not again:
            break
        await asyncio.sleep(PAUSE_S * (turn + 1))
    raise NoNameError(said, code)


async def keep_profile(
    genesis: Genesis, doors: Sequence[Door], keypair: OwnerKey, profile: Profile
) -> None:
    """Sign a profile and bring it to those who hold it; HandsetError with one sentence."""
    said = "No super-agent can be reached."
    try:
        signed = sign_profile(keypair, genesis.network, profile)
    except ProfileError as error:
        raise HandsetError(str(error)) from error
    for _ in range(TRIES):
        for door in doors:
            try:
                await check_network(door, genesis)
                await door.keep_profile(signed)
            except DoorProblemError as problem:
                said = str(problem)
                # A door may not have heard of a new account yet; the next one has.
                if problem.status < 500 and problem.code != "ACCOUNT_UNKNOWN":
                    raise HandsetError(said) from problem
            except DoorError as error:
                said = str(error)
            else:
                return
        await asyncio.sleep(PAUSE_S)
    raise HandsetError(said)
