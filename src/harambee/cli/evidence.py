"""`harambee evidence`: who signed what no honest super-agent signs, and a file that proves it."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harambee.cli.terminal import (
    FailureError,
    json_option,
    network_option,
    one_sentence,
    print_json,
)

if TYPE_CHECKING:
    from harambee.handset.network_file import KnownNetwork


@click.command()
@click.option(
    "--check",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Check this file with the committee's keys alone; nobody is asked.",
)
@click.option(
    "--save",
    "target",
    type=click.Path(path_type=Path, file_okay=False),
    help="Save each piece as NAME.evidence in this folder.",
)
@network_option
@json_option
def evidence(file: Path | None, target: Path | None, folder: Path, as_json: bool) -> None:
    """Show which super-agents are convicted, and by what.

    Each piece holds blocks, or heads of blocks, that no honest super-agent signs together. The
    file proves it to anyone who has the network's genesis, without asking anybody.

    \b
    Examples:
      harambee evidence
      harambee evidence --save .
      harambee evidence --check baraka.evidence
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.handset.network_file import NetworkFileError, read_network
    from harambee.protocol.evidence import read_evidence
    from harambee.protocol.malformed import Malformed

    with one_sentence(NetworkFileError, OSError, as_json=as_json):
        known = read_network(folder)
        pieces = _fetched(known) if file is None else {"": file.read_bytes()}
    found: list[dict[str, Any]] = []
    for name, content in sorted(pieces.items()):
        proved = read_evidence(content, known.genesis.network, known.genesis.committee)
        if isinstance(proved, Malformed):
            if file is not None:
                raise FailureError(f"This proves nothing: {proved.why}.")
            continue
        culprit = known.genesis.committee.members[proved.culprit].name
        found.append({"super_agent": culprit, "why": proved.why})
        if target is not None:
            with one_sentence(OSError, as_json=as_json):
                target.mkdir(parents=True, exist_ok=True)
                (target / f"{name or culprit}.evidence").write_bytes(content)
    if as_json:
        print_json({"evidence": found})
        return
    if not found:
        click.echo("No super-agent is convicted of anything.")
    for item in found:
        click.echo(f"{item['super_agent']} {item['why']}.")


def _fetched(known: "KnownNetwork") -> dict[str, bytes]:
    """The evidence that the super-agents keep, by the culprit's name; FailureError if none answers."""
    import aiohttp

    async def fetch() -> dict[str, bytes]:
        pieces: dict[str, bytes] = {}
        answered = 0
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for door in known.doors:
                try:
                    async with session.get(f"{door.http}/v1/evidence") as answer:
                        listed = (await answer.json())["evidence"]
                    answered += 1
                    for item in listed:
                        if item["name"] in pieces:
                            continue
                        address = f"{door.http}/v1/evidence/{int(item['super_agent'])}"
                        async with session.get(address) as answer:
                            pieces[str(item["name"])] = await answer.read()
                except (aiohttp.ClientError, TimeoutError, KeyError, TypeError, ValueError):
                    continue  # a super-agent that is down, or says nonsense: the others are asked
        if not answered:
            raise FailureError("No super-agent can be reached.")
        return pieces

    return asyncio.run(fetch())
