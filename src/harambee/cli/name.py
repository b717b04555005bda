"""`harambee name`: whose number it is, as a payer sees it before the money goes."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harambee.cli.terminal import (
    FailureError,
    json_option,
    network_option,
    one_sentence,
    print_json,
)

if TYPE_CHECKING:
    from harambee.handset.doors import NameView


@click.command()
@click.argument("payee", metavar="NUMBER")
@click.option("--from", "asker", metavar="NAME", help="Whose key signs the question here.")
@click.option("--via", metavar="NAME", help="The super-agent to try first; any will do.")
@network_option
@json_option
def name(payee: str, asker: str | None, via: str | None, folder: Path, as_json: bool) -> None:
    """Show the masked name behind NUMBER: a telephone number, an account or a name.

    Only the owner of an account may ask, and five names a day may stay without a payment to them;
    then checking is locked until the next day. Without --from the only account that was registered
    on this machine asks, or else the first demo customer.

    \b
    Examples:
      harambee name 0700000002
      harambee name customer-2 --from customer-1
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.handset_use import handset_errors, name_of, read_parties, with_handset
    from harambee.handset.naming import NoNameError

    with handset_errors(as_json=as_json):
        known, parties = read_parties(folder)
        wallet = parties.someone() if asker is None else parties.wallet(asker)
        target = parties.payee(payee)
        account = with_handset(known, wallet, via, lambda handset: handset.payee_number(target))
        with one_sentence(NoNameError, as_json=as_json):
            found = name_of(known, wallet, via, account)
    if as_json:
        print_json({"account": account, "name": found.name, "number": found.number})
    else:
        click.echo(f"{shown(found)}, account {account}.")


def shown(view: "NameView") -> str:
    """Return a name and number on one line, as a payer sees them."""
    return view.name if view.number is None else f"{view.name} {view.number}"


def read_documents(files: tuple[Path, ...]) -> list[tuple[str, bytes]]:
    """Return (name, content) of files; FailureError if one cannot be read or is too large."""
    from harambee.handset.profiles import PROFILE_BYTES_MAX

    found = []
    for file in files:
        try:
            if file.stat().st_size > PROFILE_BYTES_MAX:
                raise FailureError(
                    f"{file} is too large: a profile has at most {PROFILE_BYTES_MAX >> 10} KiB."
                )
            found.append((file.name, file.read_bytes()))
        except OSError as error:
            raise FailureError(f"Cannot read {file}: {error.strerror}.") from error
    return found
