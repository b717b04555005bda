"""`harambee init`: a network's folder, with keys, genesis, and demo customers or an incumbent's."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harambee.cli.moving_in import banks_of
from harambee.cli.terminal import (
    FailureError,
    json_option,
    network_option,
    network_words,
    one_sentence,
    print_json,
    program,
)

if TYPE_CHECKING:
    from harambee.node.development import Bank
    from harambee.node.moving_in import Incumbent

FROM_DEFAULT = click.core.ParameterSource.DEFAULT


@click.command()
@click.option("--super-agents", type=click.IntRange(1, 100), default=4, show_default=True)
@click.option("--customers", type=click.IntRange(0, 100_000), default=20, show_default=True)
@click.option("--name", default="demo", show_default=True, help="What the network calls itself.")
@click.option("--http-port", type=click.IntRange(1, 65_535), default=8401, show_default=True)
@click.option("--peer-port", type=click.IntRange(1, 65_535), default=9401, show_default=True)
@click.option(
    "--key-days",
    type=click.IntRange(0, 30),
    default=3,
    show_default=True,
    help="For how many days the owner of an account may refuse a new key.",
)
@click.option(
    "--accounts",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Open these accounts, and no demo customers: .csv, or .parquet with pyarrow.",
)
@click.option(
    "--bank",
    "banks",
    metavar="NAME=LIMIT",
    multiple=True,
    callback=banks_of,
    help="With --accounts: a trust bank, and how many shillings it may owe; default: two.",
)
@click.option(
    "--leave-out-refused", is_flag=True, help="With --accounts: open the others all the same."
)
@network_option
@json_option
@click.pass_context
def init(
    ctx: click.Context,
    super_agents: int,
    customers: int,
    name: str,
    http_port: int,
    peer_port: int,
    key_days: int,
    accounts: Path | None,
    banks: "tuple[Bank, ...]",
    leave_out_refused: bool,
    folder: Path,
    as_json: bool,
) -> None:
    """Make a network's folder: genesis, every super-agent's keys, demo customers with money.

    For development only: all keys lie in one place. Super-agent i listens on --http-port + i for
    handsets and on --peer-port + i for the others.

    With --accounts the network has the customers, agents and businesses of FILE instead, with their
    numbers, balances and public keys; docs/moving-in.md has the columns. Rows that cannot be opened are
    reported in FILE.refused.csv, and then nothing is made unless --leave-out-refused is given.

    \b
    Example:
      harambee init --super-agents 7
      harambee init --accounts accounts.csv --bank bank-a=6000000 --bank bank-b=4000000
      harambee up
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.node.account_files import AccountFileError
    from harambee.node.network_folder import NetworkFolderError, create_network, refuse_taken

    if accounts is None and (banks or leave_out_refused):
        raise click.UsageError("--bank and --leave-out-refused are for --accounts.")
    if accounts is not None and ctx.get_parameter_source("customers") is not FROM_DEFAULT:
        raise click.UsageError("--customers are a demo's; with --accounts there are none.")
    incumbent: Incumbent | None = None
    moved: dict[str, Any] = {}
    with one_sentence(NetworkFolderError, AccountFileError, OSError, as_json=as_json):
        if accounts is not None:
            refuse_taken(folder)
            incumbent, moved = _judged(
                accounts, super_agents, banks, leave_out=leave_out_refused, as_json=as_json
            )
        made = create_network(
            folder,
            super_agents=super_agents,
            name=name,
            customers=customers,
            incumbent=incumbent,
            trust_banks=banks,
            base_http_port=http_port,
            base_peer_port=peer_port,
            key_days=key_days,
        )
    if as_json:
        document = {
            "folder": str(folder),
            "network": made.genesis.network.hex(),
            "super_agents": [{"name": a.name, "http": a.http} for a in made.addresses],
            **moved,
        }
        print_json(document)
        return
    click.echo(f"Made a network of {super_agents} in {folder}: {', '.join(made.names)}.")
    click.echo(f"Start it: {program()} up{network_words(folder)}")


def _judged(
    file: Path, super_agents: int, banks: "tuple[Bank, ...]", *, leave_out: bool, as_json: bool
) -> "tuple[Incumbent, dict[str, Any]]":
    """Return an incumbent's accounts and what became of its rows; FailureError if any is refused."""
    from harambee.cli.moving_in import document_of, read_and_report, report_file, table_of
    from harambee.node.network_folder import read_incumbent

    report = report_file(file)
    incumbent = read_and_report(
        file,
        report,
        lambda file, tell: read_incumbent(
            file, super_agents=super_agents, trust_banks=banks, tell=tell
        ),
    )
    moved = {"accounts": document_of(incumbent, report)}
    if not as_json:
        click.echo(table_of(incumbent))
    refused = incumbent.tally.total(accepted=False).rows
    if refused and not leave_out:
        sentence = (
            f"{refused:,} of {len(incumbent.rows):,} rows cannot be opened, so nothing was made: "
            f"{report} says why; --leave-out-refused goes on without them."
        )
        if as_json:
            print_json({"status": "error", "sentence": sentence, **moved})
        raise FailureError(sentence)
    if not incumbent.tally.total(accepted=True).rows:
        sentence = f"None of the rows can be opened: {report} says why."
        if as_json:
            print_json({"status": "error", "sentence": sentence, **moved})
        raise FailureError(sentence)
    return incumbent, moved
