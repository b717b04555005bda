"""`harambee dial`: a feature phone on the terminal, against any super-agent's USSD door."""

import asyncio
import re
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from harambee.cli.terminal import FailureError, network_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harambee.handset.network_file import DoorAddress

CODE: Final = re.compile(r"\*334(\*[^#]*)?#")
ANSWER_S: Final = 60
ANSWER_BYTES_MAX: Final = 4_096
WIDTH: Final = 40


@click.command()
@click.argument("number")
@click.argument("code", default="*334#")
@click.option("--via", metavar="NAME", help="The super-agent whose door is dialled.")
@network_option
def dial(number: str, code: str, via: str | None, folder: Path) -> None:
    """Be the feature phone NUMBER and dial *334#.

    Each screen is shown as the phone would show it; type what you would type, or Ctrl-C to hang up.
    Where no terminal is, what is typed is read line by line.

    \b
    Examples:
      harambee dial 0712345678
      harambee dial 0712345678 '*334*5*1#'
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.handset_use import handset_errors, read_parties

    if not CODE.fullmatch(code):
        raise click.BadParameter("what is dialled is *334#, or *334*...# with what would be typed")
    with handset_errors(as_json=False):
        known, _ = read_parties(folder)
    names = [door.name for door in known.doors]
    if via is not None and via not in names:
        raise FailureError(f"There is no super-agent {via}; there are {', '.join(names)}.")
    doors = sorted(known.doors, key=lambda door: door.name != via)
    typed = [text for text in code.removeprefix("*334").removesuffix("#").split("*") if text]
    asyncio.run(_session(doors, number, typed))


async def _session(doors: "Sequence[DoorAddress]", number: str, typed: list[str]) -> None:
    """Dial at the first door that answers, and go on there until the session ends."""
    session = secrets.token_hex(16)
    door, shown = await _first(doors, session, number)
    inputs: list[str] = []
    while shown.startswith("CON "):
        if not typed:
            _show(shown)
            typed.append(await asyncio.to_thread(_typed))
        inputs.append(typed.pop(0))
        shown = await _post(door, session, number, "*".join(inputs))
    _show(shown)


async def _first(
    doors: "Sequence[DoorAddress]", session: str, number: str
) -> "tuple[DoorAddress, str]":
    said = "No super-agent can be reached."
    for door in doors:
        try:
            return door, await _post(door, session, number, "")
        except FailureError as error:
            said = error.message
    raise FailureError(said)


async def _post(door: "DoorAddress", session: str, number: str, text: str) -> str:
    """Return the screen that a door answers; FailureError as the network would end the session."""
    import aiohttp

    form = {
        "sessionId": session,
        "serviceCode": "*334#",
        "phoneNumber": number,
        "networkCode": "99999",
        "text": text,
    }
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as client,
            client.post(f"{door.http}/ussd", data=form, allow_redirects=False) as response,
        ):
            answer = (await response.content.read(ANSWER_BYTES_MAX)).decode(errors="replace")
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise FailureError(f"{door.name} does not answer; the session is over.") from error
    if response.status != 200 or not answer.startswith(("CON ", "END ")):
        sentence = answer.removeprefix("END ").strip() or "this is no USSD door"
        raise FailureError(f"{door.name}: {sentence[:200]}")
    return answer


def _show(screen: str) -> None:
    click.echo("-" * WIDTH)
    click.echo(screen[4:])
    click.echo("-" * WIDTH)


def _typed() -> str:
    if sys.stdin.isatty():
        return str(click.prompt(">", prompt_suffix=" "))
    line = sys.stdin.readline()
    if not line:
        raise FailureError("Nothing more was typed; the session is over.")
    return line.strip()
