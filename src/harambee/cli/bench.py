"""`harambee bench NAME`: how fast, on this machine, with which figures behind it."""

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from harambee.cli.terminal import json_option, one_sentence, seed_option

if TYPE_CHECKING:
    from rich.console import Console

VERIFIED: Final = 20_000
WARM_UP_ORDERS: Final = 4_000
LATENCY_RATE: Final = 1_000
BATCHES_IN_FLIGHT_OPEN: Final = 16
"""An open loop must not be held up by its own bound."""


@click.group()
def bench() -> None:
    """Measure this machine: bench NAME."""


@bench.command()
@click.option("--accounts", type=click.IntRange(min=10_000), default=10_000_000, show_default=True)
@click.option("--orders", type=click.IntRange(min=1), default=10_000_000, show_default=True)
@seed_option
@json_option
def apply(accounts: int, orders: int, seed: int, as_json: bool) -> None:
    """Orders checked and applied on one core, with every rule and fee."""
    from rich.console import Console
    from rich.progress import Progress

    from harambee.traffic.bench_apply import bench_apply

    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task(f"Orders among {accounts:,} accounts", total=None)

        def show(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        figures = bench_apply(accounts, seed, show, orders=orders)
    _tell(figures, as_json=as_json)


@bench.command()
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--customers", type=click.IntRange(min=100), default=1_000_000, show_default=True)
@click.option("--super-agents", type=click.IntRange(1, 1_024), default=100, show_default=True)
@click.option("--hours", type=click.IntRange(min=1), help="Only so many hours of the month.")
@seed_option
@json_option
def month(
    file: Path | None,
    customers: int,
    super_agents: int,
    hours: int | None,
    seed: int,
    as_json: bool,
) -> None:
    """A month of mobile money through the rules on one core; then the books are closed.

    FILE is a table like aggregatedTransactions.csv of PaySim; without it, the small hour that
    ships is taken for a month.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from harambee.traffic.bench_month import bench_month
    from harambee.traffic.profile import ProfileError, read_month

    with one_sentence(ProfileError, as_json=as_json):
        profiles = read_month(file)[:hours]
    columns = ("Transactions", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        one_sentence(ValueError, as_json=as_json),
        Progress(*columns, console=Console(stderr=True)) as progress,
    ):
        bar = progress.add_task("", total=None)

        def show(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        figures = bench_month(profiles, customers, super_agents, seed, show)
    if as_json:
        print(json.dumps(figures))
    else:
        _tell_month(figures)
    if not (figures["closes"] and figures["conserved"]):
        raise SystemExit(1)


def _tell_month(figures: dict[str, Any]) -> None:
    """Print what became of a month, for people."""
    from harambee.traffic.report import closing_line, month_lines

    for line in month_lines(figures):
        print(line)
    print(
        f"{figures['salaries']:,} salaries by {figures['bulk_orders']:,} bulk orders;"
        f" {figures['deposit_commissions']:,} deposit commissions."
    )
    speed = f"{figures['orders_per_second']:,} orders a second in the kernels"
    print(f"{figures['orders']:,} orders in {figures['seconds']:,} s, {speed}.")
    print(closing_line(figures))


@bench.command()
@click.option("--signatures", type=click.IntRange(min=100), default=VERIFIED, show_default=True)
@seed_option
@json_option
def verify(signatures: int, seed: int, as_json: bool) -> None:
    """Signatures verified in batches on one core, against libsodium one by one."""
    from harambee.traffic.bench_verify import bench_verify

    _tell(bench_verify(signatures, seed), as_json=as_json)


@bench.command()
@click.option("--accounts", type=click.IntRange(min=100), default=100_000, show_default=True)
@click.option("--orders", type=click.IntRange(min=100), default=60_000, show_default=True)
@click.option("--super-agents", type=click.IntRange(1, 64), default=4, show_default=True)
@click.option("--batch", type=click.IntRange(1, 8_192), default=256, show_default=True)
@click.option("--in-flight", type=click.IntRange(1, 64), default=3, show_default=True)
@click.option(
    "--latency-seconds",
    type=click.IntRange(min=1),
    default=15,
    show_default=True,
    help=f"How long {LATENCY_RATE:,} orders a second are offered.",
)
@seed_option
@json_option
def network(
    accounts: int,
    orders: int,
    super_agents: int,
    batch: int,
    in_flight: int,
    latency_seconds: int,
    seed: int,
    as_json: bool,
) -> None:
    """Final payments a second of a whole network, and their latency at an even pace."""
    from rich.console import Console

    from harambee.traffic.generator import LoadError, Pace
    from harambee.traffic.temporary_network import NetworkError
    from harambee.traffic.verdict import VerdictError

    saturating = Pace(batch=batch, in_flight=in_flight)
    even = Pace(rate=LATENCY_RATE, batch=batch, in_flight=BATCHES_IN_FLIGHT_OPEN)
    console = Console(stderr=True)
    counts = (orders, latency_seconds * LATENCY_RATE)
    with one_sentence(NetworkError, LoadError, VerdictError, as_json=as_json):
        figures = _network(super_agents, accounts, counts, (saturating, even), seed, console)
    _tell(figures, as_json=as_json)
    if not figures["clean"]:
        raise SystemExit(1)


@bench.command()
@click.option("--accounts", type=click.IntRange(min=1_000), default=100_000_000, show_default=True)
@click.option("--active", type=click.IntRange(min=1_000), default=1_000_000, show_default=True)
@click.option("--super-agents", type=click.IntRange(4, 1_024), default=100, show_default=True)
@click.option(
    "--rate",
    type=click.IntRange(min=100),
    default=12_000,
    show_default=True,
    help="Orders a second of the nation, for latency.",
)
@click.option(
    "--window",
    type=click.IntRange(min=100),
    default=48_000,
    show_default=True,
    help="Orders that are on the way when it goes as fast as it can.",
)
@click.option("--pace-ms", type=click.IntRange(1, 2_000), default=200, show_default=True)
@click.option("--seconds", type=click.IntRange(min=1), default=30, show_default=True)
@click.option(
    "--with-checkpoint", is_flag=True, help="And once more, while a checkpoint is made beside it."
)
@seed_option
@json_option
def replica(
    accounts: int,
    active: int,
    super_agents: int,
    rate: int,
    window: int,
    pace_ms: int,
    seconds: int,
    with_checkpoint: bool,
    seed: int,
    as_json: bool,
) -> None:
    """One super-agent that replicates a nation of a hundred, whose other 99 are simulated."""
    from rich.console import Console

    from harambee.traffic.bench_replica import Nationwide, bench_replica
    from harambee.traffic.generator import LoadError
    from harambee.traffic.temporary_network import NetworkError

    pace_s = pace_ms / 1_000
    size = Nationwide(
        super_agents, accounts, active, rate, window, pace_s, seconds, seed, with_checkpoint
    )
    status = Console(stderr=True).status("")
    with one_sentence(NetworkError, LoadError, as_json=as_json), status:
        figures = bench_replica(size, status.update)
    _tell(figures, as_json=as_json)
    if not (figures["conserved"] and figures["each_paid_once"]):
        raise SystemExit(1)


@bench.command()
@click.option("--fights", type=click.IntRange(1, 1_000), default=20, show_default=True)
@click.option("--super-agents", type=click.IntRange(4, 64), default=4, show_default=True)
@seed_option
@json_option
def free(fights: int, super_agents: int, seed: int, as_json: bool) -> None:
    """Time until an account is free over which two orders fight."""
    from rich.console import Console

    from harambee.traffic import bench_free
    from harambee.traffic.bench_network import OPENING_CENTS
    from harambee.traffic.parties import population_of
    from harambee.traffic.temporary_network import NetworkError, TemporaryNetwork
    from harambee.traffic.workload import Crowd, party_balances

    crowd = Crowd(bench_free.PARTIES * fights, 0, 0, 0)
    population = population_of(crowd, party_balances(crowd, OPENING_CENTS), super_agents, seed)
    console = Console(stderr=True)
    status = console.status(f"Starting {super_agents} super-agents")
    status.start()
    with (
        one_sentence(NetworkError, bench_free.FreeError, as_json=as_json),
        TemporaryNetwork(super_agents, population) as running,
    ):
        status.update(f"{fights} payers, two orders of each for one slot")
        found = asyncio.run(bench_free.run(running.network, fights))
        status.stop()
    figures = found.as_json() | {"super_agents": super_agents, "seed": seed}
    _tell(figures, as_json=as_json)
    if not found.all_free:
        raise SystemExit(1)


@bench.command()
@click.option("--super-agents", type=click.IntRange(4, 100), default=100, show_default=True)
@click.option("--processes", type=click.IntRange(1), help="Default: as `harambee up` has it.")
@click.option(
    "--rate", type=click.FloatRange(0.1, 1_000), default=20, show_default=True, help="A second."
)
@click.option(
    "--seconds",
    type=click.IntRange(1, 86_400),
    default=60,
    show_default=True,
    help="Of each of the three loads.",
)
@seed_option
@json_option
def together(
    super_agents: int, processes: int | None, rate: float, seconds: int, seed: int, as_json: bool
) -> None:
    """Many super-agents on this machine: a third is killed, then one more, which comes back.

    \b
    Example:
      harambee bench together --super-agents 100 --rate 20 --json
    """  # noqa: D301 - click's sign for lines to keep
    from rich.console import Console

    from harambee.traffic.bench_together import Gathering, bench_together
    from harambee.traffic.generator import LoadError
    from harambee.traffic.temporary_network import NetworkError
    from harambee.traffic.verdict import VerdictError

    size = Gathering(super_agents, processes, rate, seconds, seed)
    with (
        one_sentence(NetworkError, LoadError, VerdictError, as_json=as_json),
        Console(stderr=True).status("Making a network") as status,
    ):
        figures = bench_together(size, status.update)
    _tell(figures, as_json=as_json)


@bench.command()
@click.option("--payees", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True)
@click.option(
    "--single",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="How many pay-outs with an order each are made besides.",
)
@click.option("--super-agents", type=click.IntRange(1, 64), default=4, show_default=True)
@seed_option
@json_option
def pay_outs(payees: int, single: int, super_agents: int, seed: int, as_json: bool) -> None:
    """A business pays everybody in a file, and then some of them one by one."""
    from rich.console import Console

    from harambee.handset.handset import HandsetError
    from harambee.traffic import bench_pay_outs
    from harambee.traffic.temporary_network import NetworkError, TemporaryNetwork

    population = bench_pay_outs.population(payees, super_agents, seed)
    status = Console(stderr=True).status(f"Starting {super_agents} super-agents")
    status.start()
    with (
        one_sentence(NetworkError, HandsetError, bench_pay_outs.PayOutError, as_json=as_json),
        TemporaryNetwork(super_agents, population) as running,
    ):
        status.update(f"{payees:,} payees of one business")
        found = asyncio.run(bench_pay_outs.run(running.folder, single))
        status.stop()
    figures = found.as_json() | {"super_agents": super_agents, "seed": seed}
    _tell(figures, as_json=as_json)
    if not found.is_clean:
        raise SystemExit(1)


@bench.command()
@click.option(
    "--rate", type=click.IntRange(1, 10_000), default=200, show_default=True, help="A second."
)
@click.option("--seconds", type=click.IntRange(1, 86_400), default=60, show_default=True)
@click.option(
    "--failing",
    type=click.FloatRange(0, 0.99),
    default=0.0,
    show_default=True,
    help="The share of callbacks that the merchant's own server answers with an error.",
)
@click.option(
    "--customers",
    type=click.IntRange(1, 100_000),
    default=1_000,
    show_default=True,
    help="Who are asked in turn; each answers one request after the other.",
)
@click.option("--super-agents", type=click.IntRange(2, 64), default=4, show_default=True)
@seed_option
@json_option
def requests(
    rate: int,
    seconds: int,
    failing: float,
    customers: int,
    super_agents: int,
    seed: int,
    as_json: bool,
) -> None:
    """Merchants' software asks customers at one door, and every callback is counted."""
    from rich.console import Console

    from harambee.traffic import bench_requests
    from harambee.traffic.temporary_network import NetworkError, TemporaryNetwork

    status = Console(stderr=True).status(f"Starting {super_agents} super-agents")
    status.start()
    load = bench_requests.Load(rate, seconds, failing, seed)
    with (
        one_sentence(NetworkError, bench_requests.RequestsError, as_json=as_json),
        TemporaryNetwork(super_agents, None, customers=customers) as running,
    ):
        found = asyncio.run(bench_requests.run(running.folder, load, status.update))
        status.stop()
    figures = found.as_json() | {"super_agents": super_agents, "failing": failing, "seed": seed}
    _tell(figures, as_json=as_json)
    if not found.is_clean:
        raise SystemExit(1)


@bench.command()
@click.option("--rounds", type=click.IntRange(1, 10_000), default=50, show_default=True)
@seed_option
@json_option
def receipts(rounds: int, seed: int, as_json: bool) -> None:
    """Milliseconds to check a proof, from text and picture, of 4 and of 100 super-agents."""
    from harambee.traffic.bench_receipts import bench_receipts

    _tell(bench_receipts(rounds, seed), as_json=as_json)


@bench.command()
@click.option("--orders", type=click.IntRange(min=1_000), default=1_000_000, show_default=True)
@click.option("--accounts", type=click.IntRange(min=100), default=100_000, show_default=True)
@click.option(
    "--workers", type=click.IntRange(min=1), help="Worker processes; default: one for each core."
)
@seed_option
@json_option
def audit(orders: int, accounts: int, workers: int | None, seed: int, as_json: bool) -> None:
    """A journal audited with one core and with all, and once more with a flipped bit in it."""
    from rich.console import Console

    from harambee.audit.workers import WorkersError
    from harambee.node.network_folder import NetworkFolderError
    from harambee.traffic.bench_audit import BenchError, bench_audit

    status = Console(stderr=True).status("")
    with one_sentence(BenchError, WorkersError, NetworkFolderError, as_json=as_json), status:
        count = workers or os.cpu_count() or 1
        figures = bench_audit(orders, accounts, count, seed, status.update)
    _tell(figures, as_json=as_json)


@bench.command()
@click.option("--accounts", type=click.IntRange(min=1_000), default=1_000_000, show_default=True)
@click.option(
    "--orders",
    type=click.IntRange(min=1),
    default=200_000,
    show_default=True,
    help="Between the first checkpoint and the second.",
)
@click.option("--super-agents", type=click.IntRange(1, 100), default=100, show_default=True)
@seed_option
@json_option
def checkpoint(accounts: int, orders: int, super_agents: int, seed: int, as_json: bool) -> None:
    """Seconds to make a checkpoint, to make the next one, and to start from it."""
    from rich.console import Console

    from harambee.node.network_folder import NetworkFolderError
    from harambee.traffic.bench_checkpoint import BenchError, Nation, bench_checkpoint

    status = Console(stderr=True).status("")
    with one_sentence(BenchError, NetworkFolderError, as_json=as_json), status:
        size = Nation(super_agents, accounts, orders, seed)
        figures = bench_checkpoint(size, status.update)
    _tell(figures, as_json=as_json)


@bench.command("catch-up")
@click.option("--seconds", type=click.IntRange(min=1), default=60, show_default=True)
@click.option("--rate", type=click.IntRange(1, 20_000), default=6_000, show_default=True)
@click.option("--active", type=click.IntRange(min=100), default=100_000, show_default=True)
@click.option("--super-agents", type=click.IntRange(4, 100), default=4, show_default=True)
@click.option("--pace-ms", type=click.IntRange(10, 1_000), default=100, show_default=True)
@seed_option
@json_option
def catch_up(
    seconds: int, rate: int, active: int, super_agents: int, pace_ms: int, seed: int, as_json: bool
) -> None:
    """Seconds to catch up with so many seconds of payments, while as many go on."""
    from rich.console import Console

    from harambee.traffic.bench_catchup import Absence, bench_catch_up
    from harambee.traffic.temporary_network import NetworkError

    size = Absence(super_agents, active, rate, seconds, pace_ms / 1_000, seed)
    status = Console(stderr=True).status("")
    with one_sentence(NetworkError, as_json=as_json), status:
        figures = bench_catch_up(size, status.update)
    _tell(figures, as_json=as_json)


def _network(
    super_agents: int,
    accounts: int,
    counts: tuple[int, int],
    paces: tuple[Any, Any],
    seed: int,
    console: "Console",
) -> dict[str, Any]:
    import numpy as np
    import uvloop

    from harambee.traffic import bench_network
    from harambee.traffic.bench_network import ITSELF, OPENING_CENTS, payments
    from harambee.traffic.generator import Pace
    from harambee.traffic.parties import population_of
    from harambee.traffic.processes import rss_bytes
    from harambee.traffic.temporary_network import TemporaryNetwork
    from harambee.traffic.verdict import judge
    from harambee.traffic.workload import Crowd, party_balances

    crowd = Crowd(accounts, 0, 0, 0)
    population = population_of(crowd, party_balances(crowd, OPENING_CENTS), super_agents, seed)
    dice = np.random.default_rng([seed, 4])
    status = console.status(f"Starting {super_agents} super-agents with {accounts:,} accounts")
    status.start()
    with TemporaryNetwork(super_agents, population) as running:
        status.stop()
        pids = running.pids | {ITSELF: os.getpid()}
        runs = []
        for what, count, pace in (
            ("Warming up", min(WARM_UP_ORDERS, accounts), Pace()),
            ("As fast as it goes", counts[0], paces[0]),
            (f"At {LATENCY_RATE:,} a second", counts[1], paces[1]),
        ):
            with console.status(f"{what}: {count:,} payments, signed beforehand"):
                orders = payments(running.network, count, dice)
                runs.append(uvloop.run(bench_network.run(running.network, orders, pace, pids)))
        rss = {name: rss_bytes(pid) for name, pid in running.pids.items()}
        with console.status("Comparing the log with every super-agent's ledger"):
            verdicts = [
                asyncio.run(judge(run.book, running.network.doors, running.network.openings))
                for run in runs[1:]
            ]
    _, fast, even = runs
    return {
        "final_per_second": round(fast.tally.final_per_second, 1),
        "latency_ms_p50": round(even.tally.latency_ms_p50, 1),
        "latency_ms_p99": round(even.tally.latency_ms_p99, 1),
        "super_agents": super_agents,
        "accounts": accounts,
        "rss_bytes": max(rss.values()),
        "cpu_seconds": fast.cpu_seconds,
        "saturated": fast.tally.as_json(),
        "even": even.tally.as_json() | {"cpu_seconds": even.cpu_seconds},
        "lost": sum(verdict.lost for verdict in verdicts),
        "duplicated": max(verdict.duplicated for verdict in verdicts),
        "conserved": all(verdict.conserved for verdict in verdicts),
        "digests_equal": all(verdict.digests_equal for verdict in verdicts),
        "clean": all(verdict.clean for verdict in verdicts),
        "seed": seed,
    }


def _tell(figures: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        shown = f"{value:,}" if isinstance(value, int | float) else value
        print(f"{name.replace('_', ' ')}: {shown}")
