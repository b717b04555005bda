"""`harambee demo`: an outage, with figures that a newspaper could print."""

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from harambee.cli.terminal import json_option, one_sentence, seed_option

if TYPE_CHECKING:
    from rich.console import Console

CUSTOMERS: Final = 20_000
CUSTOMER_CENTS: Final = 200_000_00
"""Enough that hardly an order is refused: this is a story about outages."""
AGENT_CENTS: Final = 5_000_000_00
ORDERS_A_SECOND: Final = 6_000
"""At full load, so many orders are drawn for each second: more than it will take."""
SECONDS_A_MINUTE: Final = 60
CENTS_PER_SHILLING: Final = 100


@click.command()
@click.option(
    "--seconds", type=click.IntRange(10, 600), default=60, show_default=True, help="How long."
)
@click.option("--rate", type=click.FloatRange(1), help="Orders a second; default: full load.")
@seed_option
@json_option
def demo(seconds: int, rate: float | None, seed: int, as_json: bool) -> None:
    """Kill super-agents under full load, and count what was lost.

    Starts four of them for the purpose. One is killed; then two at once.
    """
    from rich.console import Console

    from harambee.traffic.generator import LoadError
    from harambee.traffic.profile import ProfileError
    from harambee.traffic.temporary_network import NetworkError
    from harambee.traffic.verdict import VerdictError

    console = Console(stderr=True)
    tell: Callable[[str], None] = console.print if as_json else print
    with one_sentence(ProfileError, NetworkError, LoadError, VerdictError, as_json=as_json):
        story = _play(seconds, rate, seed, console, tell)
    if as_json:
        print(json.dumps(story))
    if not story["clean"]:
        raise SystemExit(1)


def _play(
    seconds: int, rate: float | None, seed: int, console: "Console", tell: Callable[[str], None]
) -> dict[str, Any]:
    import uvloop

    from harambee.traffic import report
    from harambee.traffic.book import Book
    from harambee.traffic.generator import Generator, Pace
    from harambee.traffic.outage import PATIENCE_S, SHILLINGS_AN_HOUR, SUPER_AGENTS, Outage
    from harambee.traffic.parties import keys_of, orders_of, population_of
    from harambee.traffic.profile import read_profile
    from harambee.traffic.temporary_network import TemporaryNetwork
    from harambee.traffic.verdict import judge
    from harambee.traffic.workload import crowd_of, make_workload, party_balances

    crowd = crowd_of(2 * CUSTOMERS, SUPER_AGENTS)
    balances = party_balances(crowd, CUSTOMER_CENTS, AGENT_CENTS)
    population = population_of(crowd, balances, SUPER_AGENTS, seed)
    status = console.status(f"Starting {SUPER_AGENTS} super-agents with {crowd.parties:,} accounts")
    status.start()
    with TemporaryNetwork(SUPER_AGENTS, population) as running:
        network = running.network
        status.stop()
        count = int(seconds * (rate or ORDERS_A_SECOND))
        with console.status(f"Drawing {count:,} orders"):
            workload = make_workload(read_profile(), crowd, network.tariff, seed, count)
            orders = orders_of(workload, network.parties, network.tariff.version)
            payers = keys_of(orders, network.parties)
        book = Book(orders)
        pace = Pace(rate=rate, patience_s=PATIENCE_S)
        load = Generator(book, network.doors, network.network, payers, network.quorum, pace)
        outage = Outage(running, load, seconds, tell)
        uvloop.run(outage.play())
        with console.status("Comparing the log with every super-agent's ledger"):
            verdict = asyncio.run(judge(book, network.doors, network.openings))
    tally = book.tally()
    away_minutes = outage.silent_with_centre_s / SECONDS_A_MINUTE
    delayed = outage.shillings_delayed_with_centre
    tell("")
    for line in report.lines(tally, verdict):
        tell(line)
    tell(
        f"The super-agent was away for {away_minutes:.1f} minutes. Had it been the switch in the "
        f"centre, Sh{delayed:,} would have stood still, at Sh{SHILLINGS_AN_HOUR:,} an hour."
    )
    tell(
        f"Here Sh{verdict.lost_cents // CENTS_PER_SHILLING:,} was lost, and the longest silence "
        f"was {outage.silent_without_centre_s:.1f} s."
    )
    tell(
        "Two dead of four is this network's limit: it stops, and waits. More super-agents bear "
        "more: of 100, any 33 may be dead."
    )
    document = report.as_json(
        tally, verdict, super_agents=SUPER_AGENTS, killed=len(running.killed), seed=seed
    )
    return document | {
        "failovers": load.failovers,
        "acts": [act.as_json() for act in outage.acts.values()],
        "money_made_while_two_were_dead": outage.money_made,
        "silent_minutes": round(outage.silent_without_centre_s / SECONDS_A_MINUTE, 4),
        "shillings_lost": verdict.lost_cents // CENTS_PER_SHILLING,
        "central_silent_minutes": round(away_minutes, 4),
        "central_shillings_delayed": delayed,
        "clean": verdict.clean and not outage.money_made,
    }
