"""Which blocks show that an author voted for an order in view 0, where a vote is a reference and no entry.

`evidence.py` checks such a ballot with the committee's keys alone; docs/wire.md section 13 says why it proves
what it says. It is made only where it is small: as long as everybody speaks at its pace, a ballot is a few
heads and the block that holds the order.
"""

from typing import Final

from harambee.protocol.chains import VOTED, Chains
from harambee.protocol.disputes import Candidate, Dispute
from harambee.protocol.effects import Ballot, Name

HEADS_MAX: Final = 64
"""Heads of one chain in a ballot."""


def ballot_of(chains: Chains, dispute: Dispute, order: bytes, lane: int) -> Ballot | None:
    """What shows that a lane voted for an order of the slot in view 0; None if it would be too large.

    Also where the block that holds the order belongs to an author who forked: that is evidence by itself.
    """
    votes = dispute.votes[Candidate(0, order)]
    place = votes.place_of(lane)
    block = _name_at(chains, place.lane, place.height)
    if block is None:
        return None
    if place.lane == lane:
        return Ballot(place.row, block)
    if any(about.parent in (lane, place.lane) for about in chains.lanes):
        return None
    at = votes.heights[lane]
    lowest = max(1, int(chains.heads[lane]) - chains.window + 1)
    if at < lowest:
        return None
    reached = int(chains.row(lane, at)[VOTED, place.lane])
    names_it = reached == place.height and not chains.lanes[lane].incarnation
    first = at if names_it else _range_start(chains, lane, at, place.lane, lowest)
    if first is None or reached - place.height > HEADS_MAX:
        return None
    voting = [_name_at(chains, lane, height) for height in range(at, first - 1, -1)]
    chain = [_name_at(chains, place.lane, height) for height in range(reached, place.height, -1)]
    if None in voting or None in chain:
        return None
    return Ballot(
        place.row,
        block,
        tuple(name for name in voting if name is not None),
        tuple(name for name in chain if name is not None),
    )


def _range_start(chains: Chains, lane: int, at: int, on: int, lowest: int) -> int | None:
    """The height of the lane's reference to `on` before the one at `at`, or of its first block.

    None where a ballot would need too many heads: it is asked for again with every count of the dispute.
    Only a first life has a first block that shows anything: who comes back references all of history at once.
    """
    for height in range(at - 1, max(lowest, at - HEADS_MAX + 1) - 1, -1):
        voted = int(chains.row(lane, height)[VOTED, on])
        before = int(chains.row(lane, height - 1)[VOTED, on]) if height > lowest else 0
        if (height == 1 and not chains.lanes[lane].incarnation) or (
            (height == 1 or height > lowest) and voted > before
        ):
            return height
    return None


def _name_at(chains: Chains, lane: int, height: int) -> Name | None:
    digest = chains.digest_at(lane, height)
    if digest is None:
        return None
    about = chains.lanes[lane]
    return Name(about.author, about.incarnation, height, digest)
