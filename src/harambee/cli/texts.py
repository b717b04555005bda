"""`harambee texts`: what super-agents of this machine have texted to their customers."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from harambee.cli.terminal import (
    FailureError,
    json_option,
    network_option,
    one_sentence,
    print_json,
)

if TYPE_CHECKING:
    from harambee.node.outbox import OutboxLine, OutboxReader

POLL_S: Final = 0.3


@click.command()
@click.argument("who", required=False)
@click.option("--super-agent", "names", metavar="NAME", multiple=True, help="Only of this one.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--follow", is_flag=True, help="Go on showing texts as they leave, until Ctrl-C.")
@network_option
@json_option
def texts(
    who: str | None,
    names: tuple[str, ...],
    limit: int,
    follow: bool,
    folder: Path,
    as_json: bool,
) -> None:
    """Show the texts in the outboxes of this machine's super-agents, to all or to WHO.

    An outbox holds texts until an SMS gateway is configured; node.toml says where it lies.

    \b
    Examples:
      harambee texts customer-2
      harambee texts --super-agent amani --follow
    """  # noqa: D301 - click's sign for lines to keep
    if follow and as_json:
        raise click.UsageError("--json ends with one object, and --follow does not end.")
    account = None if who is None else _account(folder, who, as_json=as_json)
    readers = _readers(folder, names, as_json=as_json)
    found = [
        (name, line)
        for name, reader in readers.items()
        for line in reader.newest(limit if account is None else 10_000)
        if account in (None, line.account)
    ]
    found = sorted(found, key=lambda row: row[1].time_ms)[-limit:]
    if as_json:
        print_json({"texts": [_document(name, line) for name, line in found]})
        return
    for name, line in found:
        click.echo(_line(name, line))
    if not found and not follow:
        click.echo("No texts have left yet.")
    while follow:
        time.sleep(POLL_S)
        for name, reader in readers.items():
            for line in reader.further():
                if account in (None, line.account):
                    click.echo(_line(name, line))


def _account(folder: Path, who: str, *, as_json: bool) -> int:
    from harambee.cli.handset_use import handset_errors, read_parties, with_doors
    from harambee.handset.handset import find_telephone

    with handset_errors(as_json=as_json):
        known, parties = read_parties(folder)
        payee = parties.payee(who)
        if isinstance(payee, int):
            return payee
        return with_doors(known, None, lambda doors: find_telephone(known.genesis, doors, payee))


def _readers(folder: Path, names: tuple[str, ...], *, as_json: bool) -> "dict[str, OutboxReader]":
    from harambee.node.network_folder import NetworkFolderError, load_network
    from harambee.node.outbox import OutboxReader

    with one_sentence(NetworkFolderError, as_json=as_json):
        network = load_network(folder)
        configs = [network.node(name) for name in names or network.names]
    if all(config.texts == "off" for config in configs):
        raise FailureError("Texts are off in the configuration of these super-agents.")
    return {config.name: OutboxReader(config.texts_folder) for config in configs}


def _document(name: str, line: "OutboxLine") -> dict[str, object]:
    return {
        "super_agent": name,
        "account": line.account,
        "language": line.language,
        "kind": line.kind,
        "receipt_code": line.receipt_code,
        "time_ms": line.time_ms,
        "segments": line.segments,
        "text": line.text,
    }


def _line(name: str, line: "OutboxLine") -> str:
    return f"{name} to account {line.account}: {line.text}"
