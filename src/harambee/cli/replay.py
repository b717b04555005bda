"""`harambee replay`: one real hour of mobile money, signed, sent and judged."""

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harambee.cli.progress import follow
from harambee.cli.replay_month import replay_month
from harambee.cli.terminal import json_option, one_sentence, seed_option

if TYPE_CHECKING:
    from rich.console import Console

    from harambee.traffic.profile import Profile


@click.command()
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--hour", type=click.IntRange(min=1), help="Hour of the month in FILE; the busiest is 18."
)
@click.option(
    "--percent",
    type=click.FloatRange(0.0001, 100),
    help="So many percent of the whole month in FILE, and its books closed.",
)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Orders a second.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many orders of the hour.")
@seed_option
@click.option(
    "--network",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a network that runs already.",
)
@click.option("--super-agents", type=click.IntRange(1, 64), default=4, show_default=True)
@json_option
def replay(
    file: Path | None,
    hour: int | None,
    percent: float | None,
    rate: float | None,
    limit: int | None,
    seed: int,
    network: Path | None,
    super_agents: int,
    as_json: bool,
) -> None:
    """Turn real mobile money into signed orders, send them, and judge what came of it.

    It is an hour of the statistics or, with --percent, a part of every hour of their month: then
    every movement goes on around it that a month needs, from salaries to remitting the excise, and
    the books are closed to the cent.

    FILE is a table like aggregatedTransactions.csv of PaySim; without it, a small hour that ships
    is used. Orders go as fast as the network takes them, or at --rate. A network of --super-agents
    is started for it and thrown away afterwards, unless --network names one.
    """
    if file is None and hour is not None:
        raise click.UsageError("--hour chooses an hour of FILE; the hour that ships is only one")
    if percent is not None and (hour, rate, limit, network) != (None, None, None, None):
        raise click.UsageError(
            "--percent is of the whole month, as fast as it goes, in a network made for it: "
            "it takes no --hour, --rate, --limit or --network"
        )
    from rich.console import Console

    from harambee.traffic.generator import LoadError
    from harambee.traffic.profile import ProfileError, read_profile
    from harambee.traffic.temporary_network import NetworkError
    from harambee.traffic.verdict import VerdictError

    # ValueError: more people than there is room for in the regions.
    expected = (ProfileError, NetworkError, LoadError, VerdictError, ValueError)
    console = Console(stderr=True)
    with one_sentence(*expected, as_json=as_json):
        if percent is not None:
            raise SystemExit(replay_month(file, percent, seed, super_agents, as_json, console))
        profile = read_profile(file, hour)
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
        uvloop.run(follow(load.run(), count, lambda: load.decided, console, "Orders decided"))
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
