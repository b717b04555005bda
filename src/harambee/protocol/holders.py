"""Who holds the profile of an account: a function of its region and the committee (decision 30)."""

from typing import Final

from harambee.ledger.records import region_of
from harambee.protocol.committee import Committee

ALTERNATES: Final = 2


def holders(committee: Committee, account: int) -> tuple[int, ...]:
    """Return who holds an account's profile, the home first; nobody for a region that is none.

    The home is the super-agent that enrols in the account's region, the alternates are the next
    two in the committee's order. So everybody computes the same, and each stands in for two others.
    """
    region = region_of(account)
    homes = [i for i, member in enumerate(committee.members) if region in member.regions]
    return circle(committee, homes[0]) if homes else ()


def co_holders(committee: Committee, index: int) -> frozenset[int]:
    """Return the super-agents that hold some profile together with this one."""
    circles = [circle(committee, home) for home in range(committee.n)]
    return frozenset(peer for ring in circles if index in ring for peer in ring) - {index}


def circle(committee: Committee, home: int) -> tuple[int, ...]:
    """Return a super-agent and its alternates; fewer where the committee is smaller."""
    count = min(1 + ALTERNATES, committee.n)
    return tuple((home + place) % committee.n for place in range(count))
