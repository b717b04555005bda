"""`harambee register`: a key made on this machine gets an account of its own."""

import re
from pathlib import Path

import click

from harambee.cli.terminal import FailureError, json_option, network_option, print_json

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}", re.ASCII)


@click.command()
@click.argument("name")
@click.option("--telephone", metavar="NUMBER", help="A number by which others can pay you.")
@click.option("--via", metavar="NAME", help="The super-agent to try first; it will be your home.")
@network_option
@json_option
def register(
    name: str, telephone: str | None, via: str | None, folder: Path, as_json: bool
) -> None:
    """Open an account; NAME is what this machine will call it.

    The key is made here and never leaves: it lies in handsets/NAME in the network's folder, for you
    alone to read. Whoever loses it loses the money.

    \b
    Example:
      harambee register wanjiku --telephone 0712345678
      harambee pay customer-1 wanjiku 500
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.handset_use import handset_errors, read_parties, with_doors
    from harambee.crypto.signatures import generate
    from harambee.handset import handset
    from harambee.handset.wallet import finish_wallet, prepare_wallet

    if not NAME.fullmatch(name):
        raise click.BadParameter("a name begins with a letter; then letters, digits, _ and -")
    with handset_errors(as_json=as_json):
        known, parties = read_parties(folder)
        if parties.is_taken(name):
            raise FailureError(f"There is somebody called {name} on this machine already.")
        wallet_folder = parties.handsets / name
        keypair = prepare_wallet(wallet_folder, generate())
        number = with_doors(
            known,
            via,
            lambda doors: handset.register(known.genesis, doors, keypair, telephone),
        )
        wallet = finish_wallet(wallet_folder, number, known.genesis.network)
    if as_json:
        print_json({"name": name, "account": wallet.account, "key": keypair.public.hex()})
    else:
        click.echo(f"{name} has account {wallet.account}; the key lies in {wallet_folder}.")
