"""`harambee replay`: one real hour of mobile money, signed, sent and judged."""

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from harambee.cli.terminal import one_sentence

if TYPE_CHECKING:
    from rich.console import Console

    from harambee.traffic.generator import Generator
    from harambee.traffic.profile import Profile

SHOWN_EVERY_S: Final = 0.2


@click.command()
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--hour", type=click.IntRange(min=1), help="Hour of the month in FILE; the busiest is 18."
)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Orders a second.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many orders of the hour.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@click.option(
    "--network",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a network that runs already.",
)
@click.option("--super-agents", type=click.IntRange(1, 64), default=4, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object as the last line.")
def replay(
    file: Path | None,
    hour: int | None,
    rate: float | None,
    limit: int | None,
    seed: int,
    network: Path | None,
    super_agents: int,
    as_json: bool,
) -> None:
    """Turn an hour of real mobile money into signed orders, send them, and judge what came of it.

    FILE is a table like aggregatedTransactions.csv of PaySim; without it, a small hour that ships
    is used. Orders go as fast as the network takes them, or at --rate. A network of --super-agents
    is started for it and thrown away afterwards, unless --network names one.
    """
    if file is None and hour is not None:
        raise click.UsageError("--hour chooses an hour of FILE; the hour that ships is only one")
    from rich.console import Console

    from harambee.traffic.generator import LoadError
    from harambee.traffic.profile import ProfileError, read_profile
    from harambee.traffic.temporary_network import NetworkError
    from harambee.traffic.verdict import VerdictError

    expected = (ProfileError, NetworkError, LoadError, VerdictError)
    with one_sentence(*expected, as_json=as_json):
        profile = read_profile(file, hour)
        console = Console(stderr=True)
        code = _replay(profile, rate, limit, seed, network, super_agents, as_json, console)
    if code:
        raise SystemExit(code)


def _replay(
    profile: "Profile",
    rate: float | None,
    limit: int | None,
    seed: int,
    folder: Path | None,
    super_agents: int,
    as_json: bool,
    console: "Console",
) -> int:
    import uvloop

    from harambee.traffic import report
    from harambee.traffic.book import Book
    from harambee.traffic.generator import Generator, Pace
    from harambee.traffic.parties import keys_of, orders_of, population_of
    from harambee.traffic.temporary_network import TemporaryNetwork, running_network
    from harambee.traffic.verdict import judge
    from harambee.traffic.workload import (
        crowd_of,
        expect,
        make_workload,
        opening_balances,
        party_balances,
    )

    count = min(limit or profile.transactions, profile.transactions)
    with ExitStack() as stack:
        if folder is not None:
            network = running_network(folder)
        else:
            crowd = crowd_of(count, super_agents)
            openings = party_balances(crowd, opening_balances(profile, crowd.customers, seed))
            population = population_of(crowd, openings, super_agents, seed)
            with console.status(
                f"Starting {super_agents} super-agents, {crowd.parties:,} accounts"
            ):
                network = stack.enter_context(TemporaryNetwork(super_agents, population)).network
        workload = make_workload(profile, network.parties.crowd, network.tariff, seed, count)
        expected = expect(workload, network.parties.openings_cents, network.tariff)
        orders = orders_of(workload, network.parties, network.tariff.version)
        with console.status("Reading the payers' keys"):
            payers = keys_of(orders, network.parties)
        console.print(
            f"Hour {profile.hour} of {profile.source}: {count:,} orders of {len(payers[0]):,} "
            f"payers; made one after the other, {100 * expected.share:.0f}% would be affordable."
        )
        book = Book(orders)
        load = Generator(
            book, network.doors, network.network, payers, network.quorum, Pace(rate=rate)
        )
        uvloop.run(offer(load, console))
        with console.status("Comparing the log with every super-agent's ledger"):
            verdict = asyncio.run(judge(book, network.doors, network.openings))
    tally = book.tally()
    for line in report.lines(tally, verdict):
        console.print(line) if as_json else print(line)
    if as_json:
        document = report.as_json(
            tally, verdict, super_agents=network.super_agents, killed=0, seed=seed
        )
        document["expected_affordable_share"] = round(expected.share, 4)
        document["failovers"] = load.failovers
        print(json.dumps(document))
    return 0 if verdict.clean else 1


async def offer(load: "Generator", console: "Console") -> None:
    """Run the load with a progress bar on standard error."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("Orders decided", total=load.book.count)
        running = asyncio.ensure_future(load.run())
        while not running.done():
            progress.update(bar, completed=load.decided)
            await asyncio.wait([running], timeout=SHOWN_EVERY_S)
        progress.update(bar, completed=load.decided)
        await running
