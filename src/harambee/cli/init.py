"""`harambee init`: a network's folder, with keys, genesis and demo customers."""

from pathlib import Path

import click

from harambee.cli.terminal import (
    json_option,
    network_option,
    network_words,
    one_sentence,
    print_json,
    program,
)


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
@network_option
@json_option
def init(
    super_agents: int,
    customers: int,
    name: str,
    http_port: int,
    peer_port: int,
    key_days: int,
    folder: Path,
    as_json: bool,
) -> None:
    """Make a network's folder: genesis, every super-agent's keys, demo customers with money.

    For development only: all keys lie in one place. Super-agent i listens on --http-port + i for
    handsets and on --peer-port + i for the others.

    \b
    Example:
      harambee init --super-agents 7
      harambee up
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.node.network_folder import NetworkFolderError, create_network

    with one_sentence(NetworkFolderError, as_json=as_json):
        made = create_network(
            folder,
            super_agents=super_agents,
            name=name,
            customers=customers,
            base_http_port=http_port,
            base_peer_port=peer_port,
            key_days=key_days,
        )
    if as_json:
        document = {
            "folder": str(folder),
            "network": made.genesis.network.hex(),
            "super_agents": [{"name": a.name, "http": a.http} for a in made.addresses],
        }
        print_json(document)
        return
    click.echo(f"Made a network of {super_agents} in {folder}: {', '.join(made.names)}.")
    click.echo(f"Start it: {program()} up{network_words(folder)}")
