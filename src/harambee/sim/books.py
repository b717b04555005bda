"""Whether the books of every super-agent close: what each is owed and owes, by the orders' own days.

Every honest super-agent reads its own disk. All must come to the same flows between the same parties on the
same days; positions add up to zero; and what a party held at the beginning, with all its positions, is what
its accounts hold now, to the cent.
"""

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from harambee.oversight.flows import FlowReader
from harambee.oversight.settlement_parties import SettlementParties

if TYPE_CHECKING:
    from harambee.sim.auditor import Auditor
    from harambee.sim.machine import Machine
    from harambee.sim.world import World

Flows = Counter[tuple[int, int, int]]
"""(day, paying party, paid party) -> cents."""


def books_close_in(world: "World", auditor: "Auditor") -> bool:
    """Close the books of every honest super-agent; what does not close is a violation."""
    town = world.town
    members = town.committee.members
    parties = SettlementParties([member.regions for member in members], town.opening_rows())
    told: Flows | None = None
    before = len(auditor.violations)
    for machine in world.honest:
        flows = flows_of(machine, FlowReader(parties, {t.version: t for t in machine.tariffs}))
        told = flows if told is None else told
        if flows != told:
            auditor.violations.append(
                f"machine {machine.index}: its flows are not those of the first"
            )
        held = list(parties.opening_cents)
        for (_, payer, payee), cents in flows.items():
            held[payer] -= cents
            held[payee] += cents
        accounts = machine.accounts()
        now = [0] * len(held)
        rows = parties.rows_of(np.array(list(accounts), np.uint32))
        for row, (balance, _) in zip(rows.tolist(), accounts.values(), strict=True):
            now[row] += balance
        if held != now:
            auditor.violations.append(
                f"machine {machine.index}: its parties hold {now}, not {held}"
            )
    return len(auditor.violations) == before


def flows_of(machine: "Machine", reader: FlowReader) -> Flows:
    """Return what a super-agent's final orders moved between parties."""
    flows: Flows = Counter()
    for order, tables in machine.final_orders():
        for day, payer, payee, cents in reader.flows(order, tables):
            flows[day, payer, payee] += cents
    return flows
