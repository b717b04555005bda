"""`harambee rejoin`: a super-agent comes back after it has lost its disk, or was given an old one."""

from pathlib import Path

import click

from harambee.cli.terminal import network_option, one_sentence


@click.command()
@click.argument("name", required=False)
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Its node.toml, where it is not in the network's folder.",
)
@network_option
def rejoin(name: str | None, file: Path | None, folder: Path) -> None:
    """Let super-agent NAME come back under a new incarnation, after its disk was lost or is old.

    A super-agent that lost its journal has lost its promises, and must not vote as if it had made
    none. It therefore refuses to go on until its operator says so with this command, while it is
    stopped. When it is started again it reads what the others hold (the pages of their newest
    checkpoint first, where that is the quicker way), begins a new chain, and leaves out the slots
    in which it may have promised something. It needs q others for that: with four
    super-agents, all three.

    \b
    Example:
      harambee rejoin baraka
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.node.config import ConfigError, read_config
    from harambee.node.journal import Journal, JournalError
    from harambee.node.network_folder import NetworkFolderError, load_network, load_node

    if (name is None) == (file is None):
        raise click.UsageError("Name the super-agent, or its configuration with --config.")
    with one_sentence(ConfigError, NetworkFolderError, JournalError):
        if file is None:
            assert name is not None
            file = load_network(folder).node_file(name)
        config = read_config(file)
        files = load_node(config)
        genesis = files.genesis
        journal = Journal.open(
            config.journal, genesis.network, files.index, genesis.committee.epoch
        )
        with journal:
            given_up = journal.give_up_damaged()
            journal.re_entering = True
    if given_up:
        click.echo(
            f"Its journal is damaged: the last {given_up} blocks are read from the others again."
        )
    click.echo(f"{config.name} will come back under a new incarnation when it is started.")
