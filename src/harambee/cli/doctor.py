"""`harambee doctor`: what is wrong with a super-agent, in sentences."""

from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from harambee.cli.terminal import json_option, print_json

SIGNS: Final = {"fine": "  ", "look": "! ", "wrong": "x "}


@click.command()
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The super-agent's node.toml.",
)
@json_option
def doctor(file: Path, as_json: bool) -> None:
    """Say what is wrong with a super-agent, whether it runs or not.

    Looks at its configuration, keys, certificates, ports, disk, memory, journal, checkpoints, merchants' and
    texts' files, at the other super-agents and at everybody's clock, and changes nothing. Ends with 1 if
    anything is wrong that must be mended; what is only worth a look (!) does not count.

    \b
    Example:
      harambee doctor --config harambee-network/super-agents/amani/node.toml
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.node.doctor.examining import examine
    from harambee.node.doctor.findings import Severity

    findings = examine(file)
    counts = {each: sum(one.severity is each for one in findings) for each in Severity}
    if as_json:
        print_json(
            {
                "status": "wrong" if counts[Severity.WRONG] else "fine",
                **{each.value: count for each, count in counts.items()},
                "findings": [asdict(one) for one in findings],
            }
        )
    else:
        width = max(len(one.subject) for one in findings)
        for one in findings:
            click.echo(f"{SIGNS[one.severity]}{one.subject:<{width}}  {one.sentence}")
            if one.remedy:
                click.echo(f"{'':<{width + 4}}-> {one.remedy}")
        click.echo(
            f"{counts[Severity.WRONG]} must be mended, {counts[Severity.LOOK]} are worth a look, "
            f"{counts[Severity.FINE]} are fine."
        )
    if counts[Severity.WRONG]:
        raise SystemExit(1)
