"""`harambee replay --percent`: a part of a month through a network, and its books closed."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

from harambee.cli.progress import follow

if TYPE_CHECKING:
    from rich.console import Console

    from harambee.traffic.profile import Profile

PER_MILLION_OF_A_PERCENT = 10_000


def replay_month(
    file: Path | None,
    percent: float,
    seed: int,
    super_agents: int,
    as_json: bool,
    console: "Console",
) -> int:
    """Replay so many percent of the file's month; the exit status.

    ProfileError, NetworkError, LoadError or VerdictError where it could not, ValueError where the
    nation would not fit its regions.
    """
    import uvloop

    from harambee.traffic import report
    from harambee.traffic.month import part_of
    from harambee.traffic.nation import population_of_nation
    from harambee.traffic.profile import read_month
    from harambee.traffic.replay_month import MonthReplay, nation_for
    from harambee.traffic.temporary_network import TemporaryNetwork

    month = part_of(read_month(file), round(percent * PER_MILLION_OF_A_PERCENT))
    nation = nation_for(month, super_agents, seed)
    status = console.status(
        f"Starting {super_agents} super-agents, {len(nation.openings):,} accounts"
    )
    status.start()
    with TemporaryNetwork(
        super_agents,
        population_of_nation(nation, seed),
        regions_each=nation.regions // super_agents,
    ) as running:
        status.stop()
        replay = MonthReplay(month, nation, running.folder, running.network, seed)
        console.print(_what(month, percent, len(nation.customers), len(nation.agents)))
        uvloop.run(
            follow(
                replay.run(), replay.transactions, lambda: replay.decided, console, "Transactions"
            )
        )
        with console.status("Comparing the log with every super-agent's ledger"):
            verdict = asyncio.run(replay.judge())
    tally, figures = replay.load_tally(), replay.figures()
    lines = report.lines(tally, verdict) + report.month_lines(figures)
    lines += report.kind_lines(figures["kinds"])
    lines.append(report.closing_line(figures | {"conserved": verdict.conserved}))
    for line in lines:
        console.print(line) if as_json else print(line)
    if as_json:
        document = report.as_json(tally, verdict, super_agents=super_agents, killed=0, seed=seed)
        print(json.dumps(document | figures | {"percent": percent}))
    return 0 if verdict.clean and replay.closes else 1


def _what(month: "tuple[Profile, ...]", percent: float, customers: int, agents: int) -> str:
    transactions = sum(profile.transactions for profile in month)
    return (
        f"{percent:g}% of the month of {month[0].source}: {transactions:,} transactions of "
        f"{customers:,} customers and {agents:,} agents; their salaries and commissions besides."
    )
