"""Orders that somebody refused: counted one by one, over all their occurrences.

Whole chains are counted by `chains.py`. That is exact for an order which nobody refused. As soon as one
author refuses an order in some block, the order is *contested*: its votes are then the distinct authors
that voted for it in any of its occurrences (PROTOCOL section 2, "Counting"), and its block's finality says
nothing about it. Contests are rare: honest brokers include only what every voter can see to be right.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from harambee.protocol.chains import Chains


@dataclass(slots=True)
class Contest:
    """One contested order and where it lies."""

    order: npt.NDArray[np.void]
    """ORDER array of shape (1,)."""
    occurrences: dict[tuple[int, int, int], set[int]] = field(default_factory=dict)
    """(author, height, index) -> the authors who refused it there."""
    offered_again: int = 0
    """When this door last put it into a block again; nanoseconds."""

    def standing(self, chains: Chains) -> tuple[npt.NDArray[np.bool_], bool]:
        """Who acknowledges it (n,), and whether the votes held now certify it."""
        places = np.array([(a, h) for a, h, _ in self.occurrences], np.int64).reshape(-1, 2)
        rejected = np.zeros((len(places), chains.members), np.bool_)
        for k, refusers in enumerate(self.occurrences.values()):
            rejected[k, list(refusers)] = True
        return chains.supporters(places, rejected)


class Contests:
    """All contested orders whose slots are still open, by order id."""

    def __init__(self) -> None:
        """None yet."""
        self._by_id: dict[bytes, Contest] = {}
        self._places: dict[tuple[int, int], dict[int, bytes]] = {}
        """(author, height) -> index -> order id, to know what a block's own finality does not decide."""

    def __len__(self) -> int:
        """How many orders are contested."""
        return len(self._by_id)

    def get(self, name: bytes) -> Contest | None:
        """The contest of an order id, if it is contested."""
        return self._by_id.get(name)

    def open(self, name: bytes, order: npt.NDArray[np.void]) -> Contest:
        """The contest of an order, opened if it was not."""
        return self._by_id.setdefault(name, Contest(order.copy()))

    def add_occurrence(self, name: bytes, author: int, height: int, index: int) -> set[int]:
        """Note a block in which the contested order lies; the set of its refusers there, to add to."""
        self._places.setdefault((author, height), {})[index] = name
        return self._by_id[name].occurrences.setdefault((author, height, index), set())

    def payers(self) -> npt.NDArray[np.uint32]:
        """The payers of all contested orders, to find further occurrences by."""
        return np.array([c.order["payer"][0] for c in self._by_id.values()], np.uint32)

    def indices_in(self, author: int, height: int) -> list[int]:
        """Which orders of a block are contested."""
        return sorted(self._places.get((author, height), {}))

    def named(self) -> list[tuple[bytes, Contest]]:
        """All contests with their order ids, in the order in which they were opened."""
        return list(self._by_id.items())

    def close(self, name: bytes) -> list[tuple[int, int]]:
        """Forget a contest: its slot is decided. The (author, height) that have no other one now."""
        contest = self._by_id.pop(name)
        left: list[tuple[int, int]] = []
        for author, height, index in contest.occurrences:
            place = self._places[author, height]
            del place[index]
            if not place:
                del self._places[author, height]
                left.append((author, height))
        return left
