"""Three wrong PINs in all, over three super-agents together: a count that no two of them can split.

Every try has a number. Before a PIN is looked at, its try is *claimed*: a majority of the account's
holders must have noted, durably, that this try and no other has this number. A holder grants numbers
upwards only, and each once. From this follows what matters:

- Two tries never have one number granted by a majority each: some holder would have granted both.
- Whoever claims number n hears from a majority what it has noted. A try that was granted before stands
  at a majority too, the two meet, and where they meet it was noted before n was. So every earlier granted
  try is seen, and one that follows three without a right one between them is not looked at.

A right PIN is noted as a *mark*: tries up to its number count no more. Marks only grow. One that reached
few holders is not lost by that: it says what was so, and is merged whenever it is seen. What is in doubt
counts as wrong: a claim that found no majority, or a holder that died before it answered.

Nothing here waits, writes or sends: `custody` does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

TRIES_MAX: Final = 3
"""So many wrong PINs, one after the other, lock an account."""
ID_BYTES: Final = 16
NUMBER_MAX: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a PIN, as a holder has noted it."""

    number: int
    id: bytes
    """Drawn by who claims it: two claims of one number are told apart by it."""


@dataclass(frozen=True, slots=True)
class Tries:
    """What one holder, or several together, know of the tries of an account."""

    mark: int = 0
    """The highest number up to which tries count no more."""
    counting: frozenset[Try] = frozenset()
    """Those above the mark."""

    @property
    def top(self) -> int:
        """The highest number that was given away."""
        return max((one.number for one in self.counting), default=self.mark)

    @property
    def is_locked(self) -> bool:
        """Whether as many tries were wrong as may be."""
        return len(self.counting) >= TRIES_MAX

    @property
    def left(self) -> int:
        """How many may still be wrong."""
        return max(0, TRIES_MAX - len(self.counting))

    def marked(self, number: int) -> "Tries":
        """Return what is known once tries up to this number count no more."""
        mark = max(self.mark, number)
        return Tries(mark, frozenset(one for one in self.counting if one.number > mark))

    def before(self, number: int) -> "Tries":
        """Return what is known of tries with lower numbers."""
        return Tries(self.mark, frozenset(one for one in self.counting if one.number < number))


NO_TRIES: Final = Tries()


def merged(known: Iterable[Tries]) -> Tries:
    """Return what several holders know together."""
    told = list(known)
    every = frozenset(one for tries in told for one in tries.counting)
    return Tries(0, every).marked(max((tries.mark for tries in told), default=0))


def claimed(tries: Tries, asked: Try, mark: int) -> tuple[Tries, bool]:
    """Return what a holder notes of a claim, and whether it grants it.

    `mark` is the highest that the claimer has seen. A claim that is repeated is granted again.
    """
    seen = tries.marked(mark)
    if asked in seen.counting:
        return seen, True
    if seen.is_locked or not seen.top < asked.number <= NUMBER_MAX or len(asked.id) != ID_BYTES:
        return seen, False
    return Tries(seen.mark, seen.counting | {asked}), True


def majority(holders: int) -> int:
    """Return how many of the holders are more than half of them."""
    return holders // 2 + 1
