"""`harambee checkpoint`: which checkpoints lie on a disk, who has signed them, and whether they are whole."""

import datetime as dt
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
    from harambee.protocol.genesis import Genesis
    from harambee.storage.checkpoint_store import CheckpointStore, Stored

checkpoints_argument = click.argument(
    "place", type=click.Path(path_type=Path, exists=True, file_okay=False), required=False
)


@click.group()
def checkpoint() -> None:
    """List and verify checkpoints: the ledger at a moment, under one root that super-agents sign.

    PLACE is a folder of checkpoints; without it, those of all super-agents that have theirs in the
    network's folder are meant. A super-agent may run meanwhile.

    \b
    Examples:
      harambee checkpoint list
      harambee checkpoint verify
    """  # noqa: D301 - click's sign for lines to keep


@checkpoint.command("list")
@checkpoints_argument
@network_option
@json_option
def list_(place: Path | None, folder: Path, as_json: bool) -> None:
    """Show the checkpoints that lie in PLACE, and how many super-agents have signed each.

    \b
    Examples:
      harambee checkpoint list
      harambee checkpoint list /var/lib/harambee/checkpoints
    """  # noqa: D301 - click's sign for lines to keep
    genesis, stores = _stores(place, folder, as_json=as_json)
    rows = [_row(store.folder, stored, genesis) for store in stores for stored in store.all()]
    if as_json:
        print_json({"checkpoints": rows})
        return
    if not rows:
        click.echo("There is no checkpoint here yet.")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("super-agent", "number", "digest", "of", "accounts", "orders", "signed by")
    w, q = genesis.committee.w, genesis.committee.q
    for row in rows:
        at = dt.datetime.fromtimestamp(row["time_ms"] / 1_000, dt.UTC)
        count = len(row["signed_by"])
        worth = "q" if count >= q else "w" if count >= w else ""
        table.add_row(
            row["super_agent"],
            str(row["number"]),
            row["digest"][:16],
            f"{at:%Y-%m-%d %H:%M:%S}",
            f"{row['accounts']:,}",
            f"{row['orders']:,}",
            f"{count} {worth}".strip(),
        )
    Console().print(table)
    click.echo(f"w ({w}) signatures convince a phone; behind q ({q}) blocks move to the archive.")


@checkpoint.command()
@checkpoints_argument
@network_option
@json_option
def verify(place: Path | None, folder: Path, as_json: bool) -> None:
    """Read every page of every checkpoint in PLACE: digests, roots, signatures, the sum of all balances.

    Exit status 1 if anything is not as it was signed.

    \b
    Example:
      harambee checkpoint verify
    """  # noqa: D301 - click's sign for lines to keep
    from rich.console import Console

    genesis, stores = _stores(place, folder, as_json=as_json)
    found: list[dict[str, Any]] = []
    console = Console(stderr=True)
    for store in stores:
        for stored in store.all():
            row = _row(store.folder, stored, genesis)
            row["wrong"] = _verified(stored, genesis, console)
            found.append(row)
            if not as_json:
                _say(row)
    if as_json:
        print_json({"checkpoints": found, "ok": not any(row["wrong"] for row in found)})
    if not found:
        raise FailureError("There is no checkpoint here yet.")
    if any(row["wrong"] for row in found):
        raise FailureError("Not every checkpoint is as it was signed.")


def _say(row: dict[str, Any]) -> None:
    name = f"{row['super_agent']}: checkpoint {row['number']} ({row['digest'][:16]})"
    if row["wrong"]:
        click.echo(f"{name}: {row['wrong']}.")
    else:
        click.echo(
            f"{name} is whole: {row['pages']} pages, {row['accounts']:,} accounts whose balances "
            f"add up to zero; signed by {', '.join(row['signed_by']) or 'nobody yet'}."
        )


def _stores(
    place: Path | None, folder: Path, *, as_json: bool
) -> "tuple[Genesis, list[CheckpointStore]]":
    from harambee.node.config import ConfigError
    from harambee.node.network_folder import NetworkFolderError, load_network
    from harambee.protocol.genesis import GenesisError, read_genesis_document
    from harambee.storage.checkpoint_store import CheckpointStore

    with one_sentence(NetworkFolderError, ConfigError, GenesisError, OSError, as_json=as_json):
        genesis = read_genesis_document((folder / "genesis.json").read_bytes())
        if place is not None:
            places = [place]
        else:
            network = load_network(folder)
            places = [network.node(name).checkpoints for name in network.names]
        return genesis, [CheckpointStore(at, genesis.network, genesis.committee) for at in places]


def _row(folder: Path, stored: "Stored", genesis: "Genesis") -> dict[str, Any]:
    said = stored.checkpoint
    words = stored.words(genesis.committee)
    return {
        "super_agent": folder.absolute().parent.name,
        "folder": str(stored.folder),
        "number": said.number,
        "digest": said.digest.hex(),
        "ledger_root": said.ledger_root.hex(),
        "time_ms": said.time_ms,
        "blocks": said.blocks,
        "orders": said.orders,
        "accounts": said.accounts,
        "in_circulation_cents": said.in_circulation,
        "pages": said.ledger_pages + said.frame_pages,
        "signed_by": [genesis.committee.members[word.signer].name for word in words],
    }


def _verified(stored: "Stored", genesis: "Genesis", console: Any) -> str:
    """What is wrong with a checkpoint, in a sentence without its end; nothing if it is whole."""
    from rich.progress import track

    from harambee.ledger.image import ImageError, load
    from harambee.ledger.ledger import Ledger
    from harambee.protocol.frame import FrameBroken, read_frame
    from harambee.storage.checkpoint_store import CheckpointDamaged

    said = stored.checkpoint
    ledger = Ledger(genesis.regions, genesis.tariffs, genesis.key_days)
    try:
        pages = track(
            stored.pages(frame=False),
            f"checkpoint {said.number}",
            total=said.ledger_pages,
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        load(ledger, pages)
        read_frame(stored.frame(), genesis.committee.n, genesis.committee.q)
    except (CheckpointDamaged, ImageError, FrameBroken, OSError) as error:
        return str(error)
    if total := ledger.total_cents():
        return f"all balances together are {total} cents"
    owed = sum(max(0, -int(ledger.accounts["balance"][bank])) for bank in ledger.issuers)
    counted = ledger.account_count, len(ledger.aliases), owed, ledger.digest()
    if counted != (said.accounts, said.aliases, said.in_circulation, said.ledger_root):
        return "what it says of itself is not what its pages say"
    return ""
