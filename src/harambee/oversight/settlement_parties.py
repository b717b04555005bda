"""Who settles with whom at the end of a day: every super-agent, and every trust bank.

A super-agent answers for all accounts of its regions, its own and its customers'. A bank's account
lies in some region too, but the money in it is the bank's: so banks are parties of their own.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harambee.ledger.records import KIND_MASK, OPENING, POSITION_BITS, AccountKind
from harambee.protocol.genesis import Genesis

PARTIES_MAX: Final = 4_096
"""More than a network has super-agents and a country banks; bounds what a stranger's document says."""


class Party(NamedTuple):
    """A super-agent by its index in the committee, or a bank by its account number."""

    is_bank: bool
    number: int


class SettlementParties:
    """The parties of one network: super-agents in the committee's order, then banks by account.

    Flows name a party by its row in `all`. Banks come with the genesis; no order makes one.
    """

    def __init__(self, regions: Sequence[Sequence[int]], openings: npt.NDArray[np.void]) -> None:
        """`regions` are those of each super-agent, `openings` the OPENING array of the genesis."""
        banks = openings[openings["flags"] & KIND_MASK == AccountKind.BANK]
        self._banks: npt.NDArray[np.uint32] = np.sort(banks["number"])
        self._owners = np.zeros(sum(map(len, regions)), np.int64)
        for index, own in enumerate(regions):
            self._owners[list(own)] = index
        self.super_agents: Final = len(regions)
        self.all: Final = (
            *(Party(is_bank=False, number=index) for index in range(len(regions))),
            *(Party(is_bank=True, number=number) for number in self._banks.tolist()),
        )
        opening_cents = [0] * len(self.all)
        rows = self.rows_of(openings["number"])
        for row, cents in zip(rows.tolist(), openings["balance"].tolist(), strict=True):
            if cents:
                opening_cents[row] += cents
        self.opening_cents: Final = tuple(opening_cents)
        """What the accounts of each party held together when the network began."""

    @classmethod
    def of(cls, genesis: Genesis) -> "SettlementParties":
        """Return the parties of a genesis that was read with its opening accounts."""
        members = genesis.committee.members
        openings = np.frombuffer(genesis.openings, OPENING)
        return cls([member.regions for member in members], openings)

    def rows_of(self, numbers: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
        """Return to which party each of (n,) accounts of the network belongs."""
        rows: npt.NDArray[np.int64] = self._owners[numbers >> POSITION_BITS]
        if len(self._banks):
            places = np.searchsorted(self._banks, numbers)
            places[places == len(self._banks)] = 0
            is_bank = self._banks[places] == numbers
            rows = np.where(is_bank, self.super_agents + places, rows)
        return rows
