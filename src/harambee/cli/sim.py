"""`harambee sim`: a network with liars and bad luck, simulated from a seed, and judged."""

from pathlib import Path
from typing import Any

import click

from harambee.cli.terminal import (
    FailureError,
    json_option,
    one_sentence,
    print_json,
    seed_option,
)


@click.command()
@click.argument("name", metavar="[STORY]", required=False)
@click.option("--super-agents", type=click.IntRange(1, 100), help="How many there are.")
@click.option("--traitors", type=click.IntRange(0, 100), help="How many of them lie.")
@click.option("--orders", type=click.IntRange(1), help="How many orders people bring.")
@click.option("--seconds", type=click.FloatRange(0.25), help="For how long, in simulated time.")
@seed_option
@click.option(
    "--seeds", type=click.IntRange(1), default=1, help="Run so many seeds, from --seed on."
)
@click.option(
    "--timeline",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw what happened, as SVG.",
)
@click.option("--list", "listed", is_flag=True, help="List the stories that ship.")
@json_option
def sim(
    name: str | None,
    super_agents: int | None,
    traitors: int | None,
    orders: int | None,
    seconds: float | None,
    seed: int,
    seeds: int,
    timeline: Path | None,
    listed: bool,
    as_json: bool,
) -> None:
    """Simulate a network: replicas as they ship, a seeded clock, network and disk, and liars.

    STORY is one that ships (--list) or a TOML file; without it, an ordinary day with liars, crashes
    and partitions. The same seed gives the same history, to the byte, on every machine. An auditor
    that trusts no super-agent checks every word; the command fails if something that must hold does
    not.

    \b
    Examples:
      harambee sim
      harambee sim --super-agents 7 --traitors 2 --seed 7 --timeline run.svg
      harambee sim two-orders-split-three-ways --seeds 20
    """  # noqa: D301 - click's sign for lines to keep
    import gc

    from harambee.sim.marks import never
    from harambee.sim.run import Run
    from harambee.sim.story import Story, StoryError, find_story, shipped

    if listed:
        for candidate in shipped():
            click.echo(f"{candidate.name:44}  {candidate.story.title}")
        return
    given = {
        "super_agents": super_agents,
        "traitors": traitors,
        "orders": orders,
        "seconds": seconds,
    }
    with one_sentence(StoryError, as_json=as_json):
        story = Story() if name is None else find_story(name)
        story = story.changed({key: value for key, value in given.items() if value is not None})
        if name is None:
            story = story.sized()
            story = story if seconds is None else story.changed({"seconds": seconds})
    found = []
    for number in range(seed, seed + seeds):
        run = Run(story, number)
        verdict = _told(run)
        found.append(verdict)
        if timeline is not None:
            with one_sentence(OSError, as_json=as_json):
                timeline.write_text(run.world.timeline.svg(story.title), encoding="utf-8")
        if not as_json:
            click.echo(_line(verdict))
    if as_json:
        print_json(found[0] if seeds == 1 else {"runs": found})
    if seeds > 1 and not as_json:
        click.echo("Never reached: " + (", ".join(never(v["marks"] for v in found)) or "nothing"))
    # The process ends, and is not to look once more through all that a large world is made of.
    gc.freeze()
    _judge(found)


def _told(run: Any) -> dict[str, Any]:
    """Tell the story, with a bar on a terminal."""
    import sys

    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    if not sys.stderr.isatty():
        verdict: dict[str, Any] = run.tell()
        return verdict
    from rich.console import Console

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[final]} final"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"seed {run.seed}", total=run.story.seconds, final=0)
        return run.tell(  # type: ignore[no-any-return]
            lambda at, final: bar.update(task, completed=at, final=final)
        )


def _line(verdict: dict[str, Any]) -> str:
    made = "no" if verdict["conserved"] else "SOME"
    same = "the same ledger" if verdict["digests_equal"] else "DIFFERENT ledgers"
    return (
        f"Seed {verdict['seed']}: {verdict['super_agents']} super-agents, "
        f"{verdict['traitors']} of them lying, {verdict['killed']} killed. "
        f"{verdict['offered']} payments: {verdict['final']} final, {verdict['rejected']} refused or "
        f"cancelled, {verdict['stuck']} of honest people stuck. Lost {verdict['lost']}, paid twice "
        f"{verdict['duplicated']}, {made} money made, {same}. "
        f"History {verdict['history'][:12]}."
    )


def _judge(found: list[dict[str, Any]]) -> None:
    """FailureError if something does not hold that the network promises."""
    for verdict in found:
        if verdict["clean"]:
            continue
        why = "; ".join(verdict["violations"][:3]) or "it did not come to rest"
        if not verdict["within_bounds"]:
            raise FailureError(
                f"Seed {verdict['seed']}: with {verdict['traitors']} traitors, more than a third, the "
                f"network may stop or be cheated by a crooked payer: {why}."
            )
        raise FailureError(f"Seed {verdict['seed']} breaks a promise: {why}.")
