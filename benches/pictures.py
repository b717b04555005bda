"""Measure how a network's speed and latency change with load, size, accounts and pace; draw it.

    python -m benches.pictures

Writes into docs/pictures, for each picture, a PNG, an SVG and the JSON of its points. With
`--from-points` it draws again what the JSON there says, and measures nothing.
"""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from benches.drawing import draw_change, draw_load
from benches.points import Subject, measure_all
from harambee.cli.terminal import json_option, one_sentence, seed_option
from harambee.traffic.generator import LoadError
from harambee.traffic.temporary_network import NetworkError
from harambee.traffic.verdict import VerdictError

FOLDER: Final = Path("docs/pictures")
LOAD: Final = "load"


@dataclass(frozen=True, slots=True)
class Picture:
    """What changes from point to point, and what stands under the axis.

    Without values, load is offered in shares of what the network can do.
    """

    field: str
    axis: str
    title: str
    values: tuple[int, ...]


PICTURES: Final[dict[str, Picture]] = {
    LOAD: Picture(
        "rate",
        "offered payments a second",
        "Latency against offered load",
        (),
    ),
    "super-agents": Picture(
        "super_agents", "super-agents, all on this machine", "More super-agents", (4, 7, 10)
    ),
    "accounts": Picture("accounts", "accounts", "More accounts", (10_000, 100_000, 500_000)),
    "pace": Picture("pace_ms", "least time between two blocks, ms", "Pace", (5, 10, 20, 50, 100)),
}


def subjects_of(name: str, values: tuple[int, ...], base: Subject) -> list[Subject]:
    """The networks of a picture's points."""
    match name:
        case "load":
            return [replace(base, rates=values)]
        case "super-agents":
            return [replace(base, super_agents=value) for value in values]
        case "accounts":
            return [replace(base, accounts=value) for value in values]
    assert name == "pace", "every picture has its subjects"
    return [replace(base, pace_ms=value) for value in values]


def measured(
    name: str,
    subjects: list[Subject],
    seconds: float,
    seed: int,
    console: Console,
) -> dict[str, Any]:
    """Measure the points of a picture, as the JSON beside it has them."""
    busy = [round(os.getloadavg()[0], 1)]
    with console.status(f"{name}: starting") as status:
        points = measure_all(
            subjects, seconds, seed, lambda subject: status.update(f"{name}: {subject}")
        )
    return {
        "picture": name,
        "seconds": seconds,
        "seed": seed,
        "cores": os.cpu_count(),
        # Who else was at work, before and after; the network itself is in the second.
        "load_average": [*busy, round(os.getloadavg()[0], 1)],
        "points": points,
    }


def draw(name: str, document: dict[str, Any], folder: Path) -> None:
    """Draw a picture of what a document says."""
    picture = PICTURES[name]
    where = f"{document['cores']} cores"
    if name == LOAD:
        title = f"{picture.title}: {document['points'][0]['super_agents']} super-agents, {where}"
        draw_load(document["points"], title, folder / name)
    else:
        title = f"{picture.title}, {where}"
        draw_change(document["points"], picture.field, picture.axis, title, folder / name)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([*PICTURES]))
@click.option("--values", help="Numbers with commas instead of the picture's own: for one picture.")
@click.option("--seconds", type=click.FloatRange(min=1), default=5, show_default=True)
@click.option(
    "--rate",
    type=click.IntRange(min=10),
    default=300,
    show_default=True,
    help="Orders a second where latency is measured, unless load itself changes.",
)
@click.option("--accounts", type=click.IntRange(min=100), default=20_000, show_default=True)
@click.option("--super-agents", type=click.IntRange(1, 64), default=4, show_default=True)
@seed_option
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), default=FOLDER, show_default=True
)
@click.option("--from-points", is_flag=True, help="Draw again, without measuring.")
@json_option
def pictures(
    *,
    names: tuple[str, ...],
    values: str | None,
    seconds: float,
    rate: int,
    accounts: int,
    super_agents: int,
    seed: int,
    folder: Path,
    from_points: bool,
    as_json: bool,
) -> None:
    """Measure and draw NAMES, or all pictures."""
    console = Console(stderr=True)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = names or tuple(PICTURES)
    if values is not None and len(chosen) != 1:
        raise click.UsageError("--values is for one picture: name it.")
    base = Subject(super_agents=super_agents, accounts=accounts, rates=(rate,))
    clean = True
    documents = {}
    for name in chosen:
        file = folder / f"{name}.json"
        if not from_points:
            numbers = PICTURES[name].values if values is None else _numbers(values)
            with one_sentence(NetworkError, LoadError, VerdictError, as_json=as_json):
                document = measured(name, subjects_of(name, numbers, base), seconds, seed, console)
            file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        documents[name] = json.loads(file.read_text(encoding="utf-8"))
        draw(name, documents[name], folder)
        clean &= all(point["clean"] for point in documents[name]["points"])
        console.print(f"{folder / name}.png, .svg and .json")
    if as_json:
        print(json.dumps({"clean": clean, "pictures": documents}))
    if not clean:
        raise SystemExit(1)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise click.UsageError(f"--values are whole numbers with commas, not {text}.") from error
    if not found or min(found) < 1 or sorted(set(found)) != list(found):
        raise click.UsageError("--values ascend from at least 1.")
    return found


if __name__ == "__main__":
    pictures()
