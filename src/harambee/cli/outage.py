"""`harambee outage`: an evening without the switch, beside one without a third of the network."""

import re
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from harambee.cli.terminal import FailureError, json_option, one_sentence, print_json, seed_option

if TYPE_CHECKING:
    from harambee.sim.outage_ledger import OutageLedger, Settings

MINUTES_AN_HOUR: Final = 60
MINUTES_A_DAY: Final = 24 * MINUTES_AN_HOUR
_CLOCK: Final = re.compile(r"([0-9]{1,2}):([0-9]{2})", re.ASCII)
_SPAN: Final = re.compile(r"([0-9]{1,4})([mh])", re.ASCII)
SUFFIXES: Final = (".svg", ".png")


def _minute(_ctx: click.Context, _parameter: click.Parameter, text: str) -> int:
    """Return which minute of the day 17:00 is."""
    found = _CLOCK.fullmatch(text.strip())
    if found is None or int(found[1]) > 23 or int(found[2]) >= MINUTES_AN_HOUR:
        raise click.BadParameter("a time of the day is written like 17:00.")
    return int(found[1]) * MINUTES_AN_HOUR + int(found[2])


def _span(_ctx: click.Context, _parameter: click.Parameter, text: str) -> int:
    """Return how many minutes 4h or 90m are."""
    found = _SPAN.fullmatch(text.strip().lower())
    minutes = 0 if found is None else int(found[1]) * (MINUTES_AN_HOUR if found[2] == "h" else 1)
    if not 0 < minutes <= MINUTES_A_DAY:
        raise click.BadParameter("so many minutes or hours are written like 90m or 4h, up to 24h.")
    return minutes


@click.command()
@click.option(
    "--super-agents", type=click.IntRange(4, 100), default=100, show_default=True, help="How many."
)
@click.option(
    "--down",
    type=click.IntRange(0, 100),
    help="How many of them are down; default: as many as the network bears.",
)
@click.option(
    "--from",
    "starts",
    default="17:00",
    show_default=True,
    callback=_minute,
    help="When it begins.",
)
@click.option(
    "--for", "lasts", default="4h", show_default=True, callback=_span, help="How long: 4h, 90m."
)
@click.option(
    "--again",
    type=click.IntRange(0, 100),
    default=50,
    show_default=True,
    help="How many of 100 whom the switch failed come again.",
)
@click.option(
    "--plot",
    "plots",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw it, to FILE.svg or FILE.png; both where it has neither ending.",
    metavar="FILE",
)
@seed_option
@json_option
def outage(
    super_agents: int,
    down: int | None,
    starts: int,
    lasts: int,
    again: int,
    plots: tuple[Path, ...],
    seed: int,
    as_json: bool,
) -> None:
    """Let a switch in the middle be down for an evening, and as many super-agents as are borne.

    The same orders of a day of Sh16.3 billion go to both. The network is replicas as they ship, in
    the simulator: super-agents are killed with payments under way, and restarted when it is over.
    The switch is a queue. Fails if the network loses, makes or doubles a shilling.

    \b
    Examples:
      harambee outage
      harambee outage --down 34 --json
      harambee outage --super-agents 4 --from 06:00 --for 90m --plot evening.svg
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.protocol.committee import tolerated
    from harambee.sim.outage_ledger import Settings
    from harambee.traffic.profile import ProfileError
    from harambee.traffic.sampled_day import Outage

    if starts + lasts > MINUTES_A_DAY:
        raise click.UsageError("The outage must end by midnight.")
    down = tolerated(super_agents) if down is None else down
    if down > super_agents:
        raise click.UsageError("More super-agents would be down than there are.")
    settings = Settings(super_agents, down, Outage(starts, starts + lasts), again, seed)
    with one_sentence(ProfileError, as_json=as_json):
        ledger = _kept(settings)
    for plot in plots:
        with one_sentence(OSError, as_json=as_json):
            _draw(ledger, plot)
    if as_json:
        print_json(ledger.as_json())
    else:
        _tell(ledger)
    if not ledger.as_promised:
        why = "; ".join(ledger.network.violations[:3]) or "see the figures"
        raise FailureError(f"Seed {seed}: the network did not do what it promises: {why}.")


def _kept(settings: "Settings") -> "OutageLedger":
    """Keep the ledger, with a bar on a terminal."""
    from harambee.sim.outage_ledger import keep_ledger

    if not sys.stderr.isatty():
        return keep_ledger(settings)
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        bar = shown.add_task("moments of the day", total=None)
        return keep_ledger(settings, lambda done, of: shown.update(bar, completed=done, total=of))


def _draw(ledger: "OutageLedger", plot: Path) -> None:
    from harambee.sim.outage_picture import as_png, as_svg

    wanted = [plot] if plot.suffix in SUFFIXES else [Path(f"{plot}{end}") for end in SUFFIXES]
    for file in wanted:
        if file.suffix == ".svg":
            file.write_text(as_svg(ledger), encoding="utf-8")
        else:
            file.write_bytes(as_png(ledger))


def _tell(ledger: "OutageLedger") -> None:
    """Print the figures, and what they rest on, for people."""
    from rich.console import Console
    from rich.table import Table

    figures = ledger.as_json()
    console = Console()
    table = Table(title=f"An outage from {figures['from']} to {figures['to']}", title_style="bold")
    table.add_column()
    table.add_column(
        f"{figures['super_agents']} super-agents, {figures['down']} down", justify="right"
    )
    table.add_column("one switch, down", justify="right")
    for words, ours, theirs in (
        ("minutes of silence", "silent_minutes", "central_silent_minutes"),
        ("shillings delayed", "shillings_delayed", "central_shillings_delayed"),
        ("shillings lost", "shillings_lost", "central_shillings_lost"),
    ):
        table.add_row(words, f"{figures[ours]:,}", f"{figures[theirs]:,}")
    console.print(table)
    for sentence in _sentences(figures):
        click.echo(sentence)
    click.echo()
    console.print(_reliability(figures["reliability"]))
    click.echo(
        "As if one's being down said nothing about another's. Those that share a data centre, a "
        "carrier or a release go down together: docs/outage.md has the sum for that."
    )


def _sentences(figures: dict[str, Any]) -> list[str]:
    """What happened, what was simulated and what was scaled."""
    offered, inside = figures["offered"], figures["offered_in_outage"]
    if figures["halted"]:
        served = (
            f"With {figures['down']} down, more than the {figures['bears']} it bears, the network "
            f"halted: none of the {inside} orders brought meanwhile became final before it was over. "
            "They waited, signed, and were paid then: here at once, in a country as fast as its "
            "capacity allows. Who stands at a counter may have walked away, as from the switch."
        )
    else:
        served = (
            f"Of {inside} orders brought meanwhile {figures['final_in_outage']} became final before "
            f"it was over; half of all the day's within {figures['latency_ms_p50']} ms."
        )
    made = "no" if figures["conserved"] else "SOME"
    same = "the same ledger" if figures["digests_equal"] else "DIFFERENT ledgers"
    came_of_it = (
        f"{offered} orders: {figures['final']} final, {figures['lost']} lost, "
        f"{figures['duplicated']} paid twice, {made} money made, {same} on every super-agent, "
        f"{figures['back_after_ms']} ms after the restart."
    )
    simulated = (
        f"Simulated: {figures['super_agents']} replicas as they ship, for "
        f"{figures['simulated_seconds']} s in {figures['moments']} moments of the day, every order "
        "signed and checked. Left out: the time between the moments, liars, lost messages."
    )
    scaled = (
        f"Scaled: each order stands for one minute of a day of Sh{figures['shillings_a_day']:,}; "
        f"Sh{figures['shillings_in_outage']:,} of it fall into the outage."
    )
    assumed = (
        f"Assumed: of 100 whom the switch failed {figures['again_percent']} come again (--again). "
        f"Back at {figures['to']}, the switch is through with them at "
        f"{figures['central_caught_up_at']}."
    )
    return [served, came_of_it, simulated, scaled, assumed]


def _reliability(rows: list[dict[str, Any]]) -> Any:
    """Return the table of how long in a year the network halts, by its size and how often each is up."""
    from rich.table import Table

    from harambee.traffic.reliability import time_written

    sizes = list(dict.fromkeys(row["super_agents"] for row in rows))
    found = {
        (row["availability_of_each"], row["super_agents"]): time_written(
            Fraction(row["halted_seconds_a_year"])
        )
        for row in rows
    }
    title = "How long in a year the network halts, by how many super-agents it has"
    table = Table(title=title, title_style="bold")
    table.add_column("each is up")
    for size in sizes:
        table.add_column("1, a switch" if size == 1 else f"{size}", justify="right")
    for up in dict.fromkeys(row["availability_of_each"] for row in rows):
        table.add_row(up, *(found[up, size] for size in sizes))
    return table
