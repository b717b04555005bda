"""`harambee verify`: what a proof proves, by the committee's keys alone. Nobody is asked."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from harambee.cli.terminal import json_option, network_option, one_sentence, print_json

if TYPE_CHECKING:
    from harambee.cli.parties import Parties

STANDARD_INPUT: Final = "-"


@click.command()
@click.argument("proof", metavar="PROOF|FILE|PICTURE|-")
@click.option("--text", metavar="TEXT", help="A text that somebody shows: is it of this payment?")
@click.option("--payee", metavar="WHO", help="Refuse a proof of a payment to anybody else.")
@click.option("--amount", metavar="SHILLINGS", help="Refuse a proof of less than this.")
@network_option
@json_option
def verify(
    proof: str,
    text: str | None,
    payee: str | None,
    amount: str | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Say what a proof proves; exit status 1 if it proves nothing, or not this.

    PROOF is its text (in single quotes: it has spaces and dollar signs), a file with the text, a
    picture of its QR code as PNG, JPEG or WebP, or - for either on standard input. No network is
    needed, only its genesis: --network names the folder, or the file genesis.json itself.

    --payee is an account number, or somebody whom this machine knows. A proof says that a payment
    is final, and not that nobody has shown it before: hand goods over once for each receipt code.

    \b
    Examples:
      harambee verify paid.png --payee till:100001 --amount 250
      harambee verify paid.txt --text "UKO3JNZ512 Confirmed. Ksh250.00 paid to ..."
      harambee verify - < paid.txt
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.parties import Parties, PartyError
    from harambee.cli.receipt import proof_document
    from harambee.handset.network_file import NetworkFileError, read_committee
    from harambee.handset.proof_texts import check_text
    from harambee.handset.proofs import ProofError, verify_proof
    from harambee.money.amounts import AmountError, parse_cents

    expected = (NetworkFileError, PartyError, ProofError, AmountError)
    with one_sentence(*expected, as_json=as_json):
        cents = 0 if amount is None else parse_cents(amount)
        genesis = read_committee(folder)
        number = None
        if payee is not None:
            home = folder.parent if folder.is_file() else folder
            number = _account(Parties(home, genesis.network), payee)
        proven = verify_proof(_given(proof), genesis)
        if payee is not None or amount is not None:
            proven.check_payment(number, cents)
        side = None if text is None else check_text(proven, text)
    if as_json:
        shown = {"text_of": None if side is None else str(side)}
        print_json({"status": "proven"} | proof_document(proven) | shown)
        return
    click.echo(proven.sentence)
    signers = len(proven.signers)
    click.echo(f"Proven by {signers} signature{'' if signers == 1 else 's'} of super-agents.")
    if not proven.moves_money:
        click.echo("No money moved by it.")
    if side is not None:
        click.echo(f"The text is the {side}'s, and code, amount and day are those of the proof.")


def _given(proof: str) -> str:
    """Return the text of what was given; ProofError where there is none."""
    from harambee.handset.proofs import BEGINS, ProofError

    if proof == STANDARD_INPUT:
        return _text_of(sys.stdin.buffer)
    if proof.strip().startswith(BEGINS):
        return proof
    try:
        with Path(proof).open("rb") as file:
            return _text_of(file)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no name of a file"
        raise ProofError(f"{proof[:80]!r} is no proof, and cannot be read: {why}.") from error


def _text_of(source: BinaryIO) -> str:
    """Return the text in a file, or that of the QR code in it; of a large one no more is read."""
    from harambee.handset.proofs import BEGINS, CHARACTERS_MAX

    start = source.read(CHARACTERS_MAX)
    if start.strip().startswith(BEGINS.encode()):
        # One byte more than any proof has is enough for the proof's own reader to refuse it.
        return (start + source.read(1)).decode("latin-1")
    # The libraries behind it are read only by whoever has a picture.
    from harambee.handset.pictures import PICTURE_BYTES_MAX, read_picture

    return read_picture(start + source.read(PICTURE_BYTES_MAX + 1 - len(start)))


def _account(parties: "Parties", text: str) -> int:
    """Return an account number without asking anybody; PartyError where only the directory knows it."""
    from harambee.cli.parties import PartyError

    found = parties.payee(text)
    if isinstance(found, int):
        return found
    number = parties.number_known_here(found)
    if number is None:
        raise PartyError(
            "Without a network this number is nobody that this machine knows: give the account."
        )
    return number
