"""Which availability of each super-agent gives which of the network: statistics, exact, and far from money.

A network of n super-agents serves while at most f of them are down. If each is up with probability a, and
one's being down says nothing about another's, the number of those that are down is binomial. It is summed in
fractions of whole numbers, since the answers differ from one by less than a float can show.

Independence is the assumption that fails in life: super-agents that rent from one data centre, use one
carrier or install one faulty release on one night go down together. `halting` therefore also takes them in
groups that share something which is itself up with some probability.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any, Final

from harambee.protocol.committee import tolerated

SIZES: Final = (1, 4, 7, 10, 31, 100)
"""One is a switch in the middle."""
AVAILABILITIES: Final = ("0.9", "0.95", "0.99", "0.995", "0.999", "0.9999")
SECONDS_A_YEAR: Final = 365 * 86_400
DIGITS: Final = 3


@dataclass(frozen=True, slots=True)
class Group:
    """Super-agents that share something, and stop together when that is down."""

    members: int
    shared_up: Fraction = Fraction(1)
    """How probably what they share is up."""


def halting(groups: Iterable[Group], up: Fraction) -> Fraction:
    """Return how probably more super-agents are down than the network bears.

    Each is up with probability `up`, where what its group shares is up; groups are independent.
    """
    down = [Fraction(1)]
    members = 0
    for group in groups:
        members += group.members
        own = _binomial(group.members, 1 - up)
        shared = [group.shared_up * share for share in own]
        shared[group.members] += 1 - group.shared_up
        down = _both(down, shared)
    return sum(down[tolerated(members) + 1 :], Fraction(0))


def halting_alone(members: int, up: Fraction) -> Fraction:
    """The same for super-agents that share nothing."""
    return halting([Group(members)], up)


def _binomial(members: int, chance: Fraction) -> list[Fraction]:
    """Return how probably 0, 1, ... of so many are down."""
    return [
        math.comb(members, k) * chance**k * (1 - chance) ** (members - k)
        for k in range(members + 1)
    ]


def _both(one: list[Fraction], other: list[Fraction]) -> list[Fraction]:
    """Return the distribution of the sum of two independent numbers."""
    total = [Fraction(0)] * (len(one) + len(other) - 1)
    for i, left in enumerate(one):
        for j, right in enumerate(other):
            total[i + j] += left * right
    return total


def table() -> list[dict[str, Any]]:
    """Return a row for each size of a network and availability of its super-agents, as JSON has them."""
    return [_row(members, up) for members in SIZES for up in AVAILABILITIES]


def _row(members: int, up: str) -> dict[str, Any]:
    halts = halting_alone(members, Fraction(up))
    return {
        "super_agents": members,
        "bears": tolerated(members),
        "availability_of_each": up,
        "halted_share": written(halts),
        "halted_seconds_a_year": written(halts * SECONDS_A_YEAR),
    }


def written(number: Fraction) -> str:
    """Return a fraction in three significant digits: 0.0523, 1.97e-25; above a thousand, whole."""
    if number >= 10**DIGITS:
        return str(round(number))
    with localcontext() as context:
        context.prec = DIGITS
        return f"{Decimal(number.numerator) / Decimal(number.denominator):g}"


def time_written(seconds: Fraction) -> str:
    """Return how long that is, for people: 19 days, 5 h, 52 min, 31 s, < 1 ms."""
    whole = round(seconds)
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        if whole >= 2 * size or (size == 1 and whole >= 1):
            return f"{round(seconds / size):,} {unit}"
    return "< 1 ms" if seconds < Fraction(1, 1_000) else "< 1 s"
