"""Our network and a central ledger, side by side: one machine, one run, by turns.

    python -m benches.beside --json

A turn starts one of the two from nothing, opens the same accounts, offers the same signed payments
from one process, first as fast as they go and then at an even rate, examines what is held in the
end, and leaves nothing behind. So neither disturbs the other, and noisy neighbours meet both.

In its last turn the central ledger also shows what it is made of: the same without checking
signatures, then with a transaction for each order. At the very end its primary is killed under
load, both standbys are promoted, and everything that was ever acknowledged is looked for in each.
"""

import asyncio
import json
import os
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
from rich.console import Console

from benches.central import CentralError, Finding, Mode, TemporaryCentral
from benches.loads import Load, closed, even, load, population, warm_up
from benches.postgres import PRIMARY, STANDBYS, PostgresError, program
from harambee.cli.terminal import json_option, one_sentence, seed_option
from harambee.node.network_folder import NetworkFolder, create_network
from harambee.traffic.generator import LoadError
from harambee.traffic.temporary_network import NetworkError, TemporaryNetwork
from harambee.traffic.verdict import VerdictError, judge_told

BATCHED: Final = Mode()
UNCHECKED: Final = Mode(check_signatures=False)
ONE_BY_ONE: Final = Mode(connections=32, orders_max=0)
PATIENCE_S: Final = 2
"""How long a load goes on that nobody answers, once the primary is dead."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run of this bench is to do."""

    super_agents: int
    gateways: int
    accounts: int
    seconds: float
    rate: int
    turns: int
    seed: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn of one side came to."""

    fast: Load
    even: Load
    lost: int
    duplicated: int
    conserved: bool

    @property
    def clean(self) -> bool:
        """Nothing lost, nothing doubled, no cent made, nothing left open."""
        silent = self.fast.unanswered + self.even.unanswered
        return not (self.lost or self.duplicated or silent) and self.conserved

    def as_json(self) -> dict[str, Any]:
        """The fields, for programs."""
        return {
            "fast": self.fast.as_json(),
            "even": self.even.as_json(),
            "lost": self.lost,
            "duplicated": self.duplicated,
            "conserved": self.conserved,
        }


@dataclass(slots=True)
class Extras:
    """What the last turn of the central ledger shows besides."""

    unchecked: Load
    one_by_one: Load
    one_by_one_even: Load
    acknowledged: int
    standbys: dict[str, Finding]

    def variants(self) -> dict[str, Any]:
        """The other ways to run it."""
        return {
            "without_signatures": self.unchecked.as_json(),
            "a_transaction_each": self.one_by_one.as_json(),
            "a_transaction_each_even": self.one_by_one_even.as_json(),
        }


def our_turn(plan: Plan, turn: int) -> Turn:
    """A network of super-agents."""
    people = population(plan.accounts, plan.super_agents, plan.seed)
    with TemporaryNetwork(plan.super_agents, people) as running:
        network = running.network
        pids = {name: [pid] for name, pid in running.pids.items()}
        dice = np.random.default_rng([plan.seed, 4, turn])
        books = [warm_up(network, dice)]
        fast = load(network, closed(network), plan.seconds, dice, pids)
        paced = load(network, even(network, plan.rate), plan.seconds, dice, pids)
        books += [fast.book, paced.book]
        told = np.concatenate([book.orders[book.told_final] for book in books])
        verdict = asyncio.run(judge_told(told, network.doors, network.openings))
    conserved = verdict.conserved and verdict.digests_equal
    return Turn(fast, paced, verdict.lost, verdict.duplicated, conserved)


def central_turn(
    plan: Plan, turn: int, opened: NetworkFolder, *, last: bool
) -> tuple[Turn, Extras | None]:
    """PostgreSQL with two synchronous standbys, and its gateways."""
    with TemporaryCentral(opened, plan.gateways) as central:
        central.start_gateways(BATCHED)
        network = central.network
        dice = np.random.default_rng([plan.seed, 4, turn])
        books = [warm_up(network, dice)]
        fast = load(network, closed(network), plan.seconds, dice, central.pids)
        paced = load(network, even(network, plan.rate), plan.seconds, dice, central.pids)
        books += [fast.book, paced.book]
        told = np.concatenate([book.orders[book.told_final] for book in books])
        found = central.judge(told)
        measured = Turn(fast, paced, found.lost, found.duplicated, found.conserved)
        return measured, _extras(plan, central, dice, told) if last else None


def _extras(
    plan: Plan, central: TemporaryCentral, dice: np.random.Generator, told: np.ndarray
) -> Extras:
    network = central.network
    central.start_gateways(UNCHECKED)
    unchecked = load(network, closed(network), plan.seconds, dice, central.pids)
    central.start_gateways(ONE_BY_ONE)
    single = load(network, closed(network), plan.seconds, dice, central.pids)
    single_even = load(network, even(network, plan.rate), plan.seconds, dice, central.pids)
    central.start_gateways(BATCHED)
    pace = even(network, plan.rate, PATIENCE_S)
    interrupted = load(
        network, pace, plan.seconds, dice, {}, midway=lambda: central.cluster.kill(PRIMARY)
    )
    books = [part.book for part in (unchecked, single, single_even, interrupted)]
    acknowledged = np.concatenate([told] + [book.orders[book.told_final] for book in books])
    central.promote_standbys()
    standbys = {name: central.judge(acknowledged, name) for name in STANDBYS}
    return Extras(unchecked, single, single_even, len(acknowledged), standbys)


def best(turns: list[Turn]) -> dict[str, Any]:
    """The figures of a side: noise only ever takes away, so the best turn says most."""
    calm = min(turns, key=lambda turn: turn.even.latency_ms_p99)
    return {
        "final_per_second": round(max(turn.fast.per_second for turn in turns), 1),
        "latency_ms_p50": round(calm.even.latency_ms_p50, 1),
        "latency_ms_p99": round(calm.even.latency_ms_p99, 1),
        "lost": sum(turn.lost for turn in turns),
        "duplicated": sum(turn.duplicated for turn in turns),
        "conserved": all(turn.conserved for turn in turns),
        "turns": [turn.as_json() for turn in turns],
    }


def measure(plan: Plan, console: Console) -> dict[str, Any]:
    """Run all turns; every field that a program may count on."""
    version = subprocess.run(
        [program("postgres"), "--version"], check=True, capture_output=True, text=True
    ).stdout.split()[2]
    ours: list[Turn] = []
    theirs: list[Turn] = []
    extras: Extras | None = None
    with tempfile.TemporaryDirectory(prefix="harambee-beside-") as scratch:
        people = population(plan.accounts, plan.super_agents, plan.seed)
        opened = create_network(
            Path(scratch) / "network",
            super_agents=plan.super_agents,
            name="temporary",
            customers=0,
            agents_per_super_agent=0,
            population=people,
        )
        for turn in range(plan.turns):
            say = f"turn {turn + 1} of {plan.turns}"
            with console.status(f"Our network, {say}"):
                ours.append(our_turn(plan, turn))
            with console.status(f"A central ledger, {say}"):
                last = turn + 1 == plan.turns
                measured, extras = central_turn(plan, turn, opened, last=last)
                theirs.append(measured)
    assert extras is not None, "there is a last turn"
    us, them = best(ours), best(theirs)
    intact = all(finding.clean for finding in extras.standbys.values())
    return {
        "ratio": round(us["final_per_second"] / them["final_per_second"], 3),
        "network": us,
        "central": them | {"variants": extras.variants()},
        "failover": {
            "acknowledged": extras.acknowledged,
            "standbys": {name: asdict(finding) for name, finding in extras.standbys.items()},
        },
        "clean": all(turn.clean for turn in ours + theirs) and intact,
        "postgresql": version,
        "cores": os.cpu_count(),
        **asdict(plan),
    }


def tell(figures: dict[str, Any]) -> None:
    """The same in sentences."""
    rate = figures["rate"]
    for name, side in (("Our network", figures["network"]), ("PostgreSQL", figures["central"])):
        print(
            f"{name}: {side['final_per_second']:,.0f} payments a second; at {rate:,} a second"
            f" p50 {side['latency_ms_p50']:,.1f} ms, p99 {side['latency_ms_p99']:,.1f} ms."
        )
    for name, variant in figures["central"]["variants"].items():
        print(
            f"    {name.replace('_', ' ')}: {variant['per_second']:,.0f} a second,"
            f" p50 {variant['latency_ms_p50']:,.1f} ms, p99 {variant['latency_ms_p99']:,.1f} ms"
        )
    print(f"Ours is {figures['ratio']:.2f} of PostgreSQL {figures['postgresql']}.")
    for name, found in figures["failover"]["standbys"].items():
        print(
            f"After the primary was killed, {name} holds {found['orders']:,} payments; of"
            f" {figures['failover']['acknowledged']:,} acknowledged {found['lost']:,} are lost."
        )
    print("All is conserved." if figures["clean"] else "SOMETHING IS LOST OR LEFT OPEN.")


@click.command()
@click.option("--super-agents", type=click.IntRange(1, 64), default=4, show_default=True)
@click.option("--gateways", type=click.IntRange(1, 16), default=2, show_default=True)
@click.option("--accounts", type=click.IntRange(min=100), default=100_000, show_default=True)
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=10,
    show_default=True,
    help="How long each load is offered.",
)
@click.option(
    "--rate",
    type=click.IntRange(min=10),
    default=1_000,
    show_default=True,
    help="Orders a second where latency is measured.",
)
@click.option("--turns", type=click.IntRange(1, 10), default=2, show_default=True)
@seed_option
@json_option
def beside(*, as_json: bool, **options: Any) -> None:
    """Our network and PostgreSQL with two synchronous standbys, by turns."""
    with one_sentence(
        NetworkError, LoadError, VerdictError, PostgresError, CentralError, as_json=as_json
    ):
        figures = measure(Plan(**options), Console(stderr=True))
    if as_json:
        print(json.dumps(figures))
    else:
        tell(figures)
    if not figures["clean"]:
        raise SystemExit(1)


if __name__ == "__main__":
    beside()
