"""`harambee register`: a key made on this machine gets an account of its own."""

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from harambee.cli.terminal import (
    FailureError,
    json_option,
    key_type_option,
    network_option,
    print_json,
)

if TYPE_CHECKING:
    from harambee.cli.parties import Parties
    from harambee.handset.network_file import KnownNetwork
    from harambee.handset.wallet import Wallet
    from harambee.ledger.records import KeyType

FIRST_VERSION: Final = 1
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}", re.ASCII)


@click.command()
@click.argument("called", metavar="NAME", required=False)
@click.option(
    "--feature-phone",
    "feature_phone",
    metavar="NUMBER",
    help="For this telephone, whose key super-agents keep; as an operator of its home (--via).",
)
@click.option("--operator", metavar="NAME", help="With --feature-phone: the operator who signs.")
@click.option("--telephone", metavar="NUMBER", help="A number by which others can pay you.")
@click.option("--name", "person", metavar="TEXT", help="Your name; payers see it, masked.")
@click.option(
    "--document",
    "documents",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="A file that shows who you are; up to four.",
)
@click.option(
    "--language",
    type=click.Choice(("en", "sw")),
    default="en",
    show_default=True,
    help="In which language you are written to.",
)
@click.option("--via", metavar="NAME", help="The super-agent to try first; it will be your home.")
@key_type_option
@network_option
@json_option
def register(
    called: str | None,
    feature_phone: str | None,
    operator: str | None,
    telephone: str | None,
    person: str | None,
    documents: tuple[Path, ...],
    language: str,
    via: str | None,
    key_type: "KeyType",
    folder: Path,
    as_json: bool,
) -> None:
    """Open an account; NAME is what this machine will call it.

    The key is made here and never leaves: it lies in handsets/NAME in the network's folder, for you
    alone to read. Whoever loses it loses the money. Its type is Ed25519; or P-256, which is what the
    secure hardware of a phone can make and keep.

    --name is kept, sealed, by the super-agent that opens the account and by two others, and is in
    no ledger. Given again for an account that has none yet, it is added.

    \b
    Example:
      harambee register wanjiku --telephone 0712345678 --name "Your Name"
      harambee register baraka --key-type p256
      harambee register --feature-phone 0712345678 --name "Your Name"
      harambee pay customer-1 wanjiku 500
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.handset_use import handset_errors, read_parties

    if feature_phone is not None:
        from harambee.cli.feature_phones import register_phone

        if called is not None or telephone is not None or documents or person is None:
            raise click.UsageError(
                "A feature phone has a number and --name, and nothing else here."
            )
        register_phone(feature_phone, person, language, via, operator, folder, as_json=as_json)
        return
    if called is None:
        raise click.UsageError("Say what this machine will call the account.")
    if not NAME.fullmatch(called):
        raise click.BadParameter("a name begins with a letter; then letters, digits, _ and -")
    if person is None and documents:
        raise click.UsageError("Documents belong to a person: say who with --name.")
    with handset_errors(as_json=as_json):
        known, parties = read_parties(folder)
        owner = None if person is None else _Owner(person, telephone, documents, language)
        wallet = parties.registered(called) if owner is not None else None
        if wallet is None:
            if parties.is_taken(called):
                raise FailureError(f"There is somebody called {called} on this machine already.")
            wallet = _open_account(known, parties, called, telephone, via, key_type)
        if owner is not None:
            owner.tell(known, wallet, via)
    if as_json:
        key = wallet.keypair.public.hex()
        print_json({"name": called, "account": wallet.account, "key": key})
    else:
        click.echo(f"{called} has account {wallet.account}; the key lies in {wallet.folder}.")


def _open_account(
    known: "KnownNetwork",
    parties: "Parties",
    called: str,
    telephone: str | None,
    via: str | None,
    key_type: "KeyType",
) -> "Wallet":
    from harambee.cli.handset_use import with_doors
    from harambee.handset import handset
    from harambee.handset.wallet import finish_wallet, new_key_of, prepare_wallet

    folder = parties.handsets / called
    keypair = prepare_wallet(folder, new_key_of(key_type))
    number = with_doors(
        known, via, lambda doors: handset.register(known.genesis, doors, keypair, telephone)
    )
    return finish_wallet(folder, number, known.genesis.network)


class _Owner:
    """Who an account's owner says she is; checked before an account is opened for her."""

    def __init__(
        self, person: str, telephone: str | None, documents: tuple[Path, ...], language: str
    ) -> None:
        from harambee.cli.name import read_documents
        from harambee.handset.handset import HandsetError
        from harambee.handset.profiles import Profile, ProfileError, documents_of
        from harambee.handset.telephone import TelephoneError
        from harambee.handset.telephone import telephone as canonical
        from harambee.texts.languages import Language

        try:
            number = None if telephone is None else canonical(telephone)
            spoken = Language(language)
            read = documents_of(read_documents(documents))
            self._profile = Profile(0, FIRST_VERSION, person.strip(), number, spoken, read)
            self._profile.to_bytes()
        except (TelephoneError, ProfileError) as error:
            raise HandsetError(str(error)) from error

    def tell(self, known: "KnownNetwork", wallet: "Wallet", via: str | None) -> None:
        """Sign it as the account's and bring it to those who keep it."""
        from harambee.cli.handset_use import with_doors
        from harambee.handset.handset import HandsetError
        from harambee.handset.naming import keep_profile

        profile = replace(self._profile, account=wallet.account)
        try:
            with_doors(
                known,
                via,
                lambda doors: keep_profile(known.genesis, doors, wallet.keypair, profile),
            )
        except HandsetError as error:
            raise HandsetError(
                f"Account {wallet.account} is open, but its name is not kept yet: {error}"
            ) from error
