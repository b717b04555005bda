"""Who makes the orders: the crowd of a workload as accounts of a network, with their keys.

A workload numbers its parties from zero, sort by sort. A network gives them account numbers when it
is made. This file is where the two meet.
"""

import os
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.crypto.signatures import secret_keys_from_seeds
from harambee.ledger.records import ORDER, AccountKind
from harambee.node.development import Population, Residents
from harambee.traffic.workload import Crowd, Workload

SORTS: Final = (AccountKind.CUSTOMER, AccountKind.AGENT, AccountKind.MERCHANT, AccountKind.BANK)
"""The order in which a workload numbers its parties."""


@dataclass(frozen=True, slots=True)
class Parties:
    """The accounts of a crowd, in the order of party numbers."""

    crowd: Crowd
    numbers: npt.NDArray[np.uint32]
    seeds: npt.NDArray[np.uint8]
    """(n, 32), of the signing keys."""
    openings_cents: npt.NDArray[np.int64]


def population_of(
    crowd: Crowd, balances_cents: npt.NDArray[np.int64], super_agents: int, seed: int
) -> Population:
    """Return the crowd as a network is told to open it, spread evenly over the super-agents.

    `balances_cents` are those of all parties. Keys come from the seed: they are for a network that
    is thrown away, and must never guard money.
    """
    kinds = np.repeat(
        np.array(SORTS, np.uint8), [crowd.customers, crowd.agents, crowd.merchants, crowd.banks]
    )
    regions = (np.arange(crowd.parties) % super_agents).astype(np.uint16)
    seeds = np.random.default_rng([seed, 3]).integers(0, 256, (crowd.parties, 32), dtype=np.uint8)
    return Population(kinds, balances_cents, regions, seeds)


def parties_of(residents: Residents) -> Parties:
    """Return a network's residents as parties of a workload; ValueError if there are too few."""
    rows = np.concatenate([np.flatnonzero(residents.kinds == sort) for sort in SORTS])
    customers, agents, merchants, banks = (
        int(np.count_nonzero(residents.kinds == sort)) for sort in SORTS
    )
    crowd = Crowd(customers, agents, merchants, banks)
    return Parties(crowd, residents.numbers[rows], residents.seeds[rows], residents.balances[rows])


def orders_of(workload: Workload, parties: Parties, tariff: int) -> npt.NDArray[np.void]:
    """Return the workload as ORDER records, still without sequence, day and signature."""
    assert workload.crowd == parties.crowd, "the workload was drawn for this crowd"
    orders = np.zeros(len(workload), ORDER)
    orders["kind"] = workload.kinds
    orders["payer"] = parties.numbers[workload.payers]
    orders["payee"] = parties.numbers[workload.payees]
    orders["amount"] = workload.amounts_cents
    orders["fee"] = workload.fees_cents
    orders["tariff"] = tariff
    return orders


def keys_of(
    orders: npt.NDArray[np.void], parties: Parties
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8]]:
    """Return the account numbers that pay, ascending, and their (n, 64) secret keys."""
    payers = np.unique(orders["payer"])
    ascending = np.argsort(parties.numbers)
    rows = ascending[np.searchsorted(parties.numbers[ascending], payers)]
    return payers, secret_keys_from_seeds(parties.seeds[rows], threads=os.cpu_count() or 1)
