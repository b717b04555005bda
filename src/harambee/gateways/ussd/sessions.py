"""What a door remembers of a session: who dials, what she was shown, and what was answered already.

It is little, and forgotten after some minutes. A session whose memory is gone, or that never began here,
ends with a sentence and without anything being done: what is to be done is never read from `text` alone.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from harambee.feature_phones.port import Caller, Obstacle, Quote

SESSIONS_MAX: Final = 4_096
SESSIONS_OF_NUMBER_MAX: Final = 32
"""Of one telephone, within LIFETIME_S."""
LIFETIME_S: Final = 300.0
"""Networks end a session after two or three minutes; a callback that comes again comes soon."""
ANSWERS_MAX: Final = 64


@dataclass
class Session:
    """One session, from its first callback on."""

    number: str
    began_s: float
    caller: Caller | None = None
    quotes: dict[tuple[str, ...], Quote | Obstacle] = field(default_factory=dict)
    """What was shown to be confirmed, by what was typed until then."""
    answers: "dict[bytes, asyncio.Task[str]]" = field(default_factory=dict, repr=False)
    """By a digest of `text`: a callback that comes again gets the same answer, and does nothing again."""


class Sessions:
    """The sessions of one door. Belongs to the event loop's thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds that are never set back."""
        self._clock = clock
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def find(self, name: str) -> Session | None:
        """Return a session that has begun here."""
        self._forget()
        return self._sessions.get(name)

    def begin(self, name: str, number: str) -> Session | None:
        """Remember a new session; None where one telephone has too many, or there is no room."""
        self._forget()
        of_number = sum(session.number == number for session in self._sessions.values())
        if of_number >= SESSIONS_OF_NUMBER_MAX or len(self._sessions) >= SESSIONS_MAX:
            return None
        session = self._sessions[name] = Session(number, self._clock())
        return session

    def _forget(self) -> None:
        """Forget what is too old; what is still being done goes on and is answered."""
        until = self._clock() - LIFETIME_S
        while self._sessions and next(iter(self._sessions.values())).began_s < until:
            self._sessions.popitem(last=False)
