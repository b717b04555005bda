"""`harambee audit`: the ledger computed anew from a journal, and every signature in it checked."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harambee.cli.terminal import json_option, network_option, one_sentence, print_json

if TYPE_CHECKING:
    from harambee.audit.auditing import Audit, Progress
    from harambee.node.journal import JournalReader
    from harambee.protocol.genesis import Genesis

DIGEST_BYTES = 32


class DigestType(click.ParamType[bytes]):
    """32 bytes in hexadecimal; the bytes come out."""

    name = "digest"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> bytes:
        """Return the bytes; wrong usage for anything else."""
        if isinstance(value, bytes):
            return value
        try:
            digest = bytes.fromhex(str(value))
        except ValueError:
            digest = b""
        if len(digest) != DIGEST_BYTES:
            self.fail(f"{value} is not {2 * DIGEST_BYTES} hexadecimal digits.", param, ctx)
        return digest


@click.command()
@click.argument("which", metavar="[NAME|FOLDER]", required=False)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes that check signatures; default: one for each core. 1: none but this one.",
)
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="Check signatures on a Ray cluster: auto, its address, or ray://HOST:PORT.",
)
@click.option(
    "--parquet",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write orders, blocks and accounts into this folder, for DuckDB and others.",
)
@click.option(
    "--compare",
    type=DigestType(),
    help="The digest that the ledger should have; else it is a finding.",
)
@network_option
@json_option
def audit(
    which: str | None,
    workers: int | None,
    ray: str | None,
    parquet: Path | None,
    compare: bytes | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Compute the ledger anew from a journal, and check every signature; exit status 1 if anything is wrong.

    The journal is that of a super-agent (default: the first that has one here), or the one in a
    FOLDER. Its super-agent may be running. Only genesis.json and the two .bin files beside it are
    needed beside it. Everything that is wrong is said in a sentence that names the block.

    \b
    Examples:
      harambee audit amani
      harambee audit /mnt/copy/journal --network . --workers 8
      harambee audit amani --ray auto --json
      harambee audit amani --parquet tables
    """  # noqa: D301 - click's sign for lines to keep
    if workers is not None and ray is not None:
        raise click.UsageError("--workers is of this machine, and --ray of a cluster: give one")
    from harambee.audit.auditing import audit as audit_records
    from harambee.audit.parquet import ParquetError, need_pyarrow, write_parquet
    from harambee.audit.records import JournalRecords, convicted_by
    from harambee.audit.workers import WorkersError, chosen
    from harambee.ledger.ledger import LedgerError
    from harambee.node.journal import JournalError
    from harambee.node.network_folder import NetworkFolderError

    expected = (JournalError, NetworkFolderError, LedgerError, WorkersError, ParquetError, OSError)
    with one_sentence(*expected, as_json=as_json), ExitStack() as stack:
        if parquet is not None:
            need_pyarrow()
        genesis, journal = _opened(which, folder)
        stack.enter_context(journal)
        records = JournalRecords(journal)
        who = stack.enter_context(chosen(workers or os.cpu_count() or 1, ray))
        with _bar(records.count) as progress:
            found, work = audit_records(
                genesis,
                records,
                who,
                convicted=convicted_by(journal.evidence(), genesis),
                expected=compare,
                progress=progress,
                note_applied=parquet is not None,
            )
        if parquet is not None:
            write_parquet(parquet, work, records)
    if as_json:
        print_json(found.as_json())
    else:
        _tell(found)
    if not found.ok:
        raise SystemExit(1)


def _opened(which: str | None, folder: Path) -> "tuple[Genesis, JournalReader]":
    """The network, and the journal that is meant; JournalError, NetworkFolderError."""
    from harambee.node.journal import DATA_NAME, Journal, JournalError
    from harambee.node.network_folder import load_genesis, load_network

    if which is not None and (Path(which) / DATA_NAME).exists():
        genesis, place = load_genesis(folder), Path(which)
    else:
        network = load_network(folder)
        genesis = network.genesis
        places = [network.node(name).journal for name in network.names]
        if which is not None:
            place = network.node(which).journal
        else:
            place = next((p for p in places if (p / DATA_NAME).exists()), places[0])
    journal = Journal.open_to_read(place)
    if journal.network != genesis.network or journal.epoch != genesis.committee.epoch:
        journal.close()
        raise JournalError(f"the journal {place} belongs to another network or epoch")
    return genesis, journal


@contextmanager
def _bar(blocks: int) -> "Iterator[Progress]":
    """A bar of blocks on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("Blocks", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:
        bar = shown.add_task("", total=blocks)
        yield lambda done: shown.update(bar, completed=done)


def _tell(found: "Audit") -> None:
    """Print what was found, for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None)
    table.add_column()
    table.add_column(justify="right")
    document = found.as_json()
    for name in (
        *("blocks", "orders", "applied", "refused", "undecided", "signatures_checked"),
        *("accounts", "total_cents", "seconds", "orders_per_second", "workers"),
    ):
        table.add_row(name.replace("_", " "), f"{document[name]:,}")
    for name, height in document["heights"].items():
        table.add_row(f"height of {name}", f"{height:,}")
    Console().print(table)
    click.echo(f"The ledger's digest is {found.digest.hex()}.")
    for sentence in found.sentences:
        click.echo(sentence)
    click.echo("Nothing is wrong." if found.ok else "This journal is not as it should be.")
