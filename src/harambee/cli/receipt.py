"""`harambee receipt`: a payment's proof, as text and as a QR code."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from harambee.cli.terminal import (
    FailureError,
    json_option,
    network_option,
    one_sentence,
    print_json,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harambee.handset.doors import Door
    from harambee.handset.proofs import Proof, Proven
    from harambee.protocol.genesis import Genesis

SEQUENCE_LAST: Final = 2**32 - 1
FORMS: Final = {".png": "png", ".svg": "svg"}


@click.command()
@click.argument("who")
@click.argument("which", metavar="SEQUENCE|RECEIPT-CODE")
@click.option(
    "--qr",
    "picture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png|.svg",
    help="Write the proof as a QR code.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write its text."
)
@click.option("--via", metavar="NAME", help="The super-agent to try first; any will do.")
@network_option
@json_option
def receipt(
    who: str,
    which: str,
    picture: Path | None,
    output: Path | None,
    via: str | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Show the proof that a payment of WHO's is final.

    WHO paid, or was paid: a name, an account number, a telephone number or a short code. The
    payment is named by the code in its text, or by its sequence among those that WHO paid; a hold that
    was released or voided is shown by what ended it. So many
    super-agents sign that one of them is honest; `harambee verify` checks it without any network.

    At a terminal the QR code is shown too, if it fits.

    \b
    Examples:
      harambee receipt customer-1 UKO3JNZ512
      harambee receipt customer-1 0 --qr paid.png
      harambee receipt till:100001 UKO3JNZ512 -o paid.txt
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.handset_use import handset_errors, read_parties, with_doors
    from harambee.handset.handset import HandsetError, find_telephone
    from harambee.handset.proofs import ProofError, verify_proof

    form = None if picture is None else FORMS.get(picture.suffix.lower())
    if picture is not None and form is None:
        raise click.UsageError("--qr names a file that ends in .png or .svg.")
    with handset_errors(as_json=as_json), one_sentence(ProofError, as_json=as_json):
        known, parties = read_parties(folder)
        target = parties.payee(who)

        async def collect(doors: "Sequence[Door]") -> "tuple[int, Proof]":
            number = target
            if isinstance(number, str):
                number = await find_telephone(known.genesis, doors, number)
            return number, await _collected(known.genesis, doors, number, which)

        number, proof = with_doors(known, via, collect)
        text = proof.to_text()
        proven = verify_proof(text, known.genesis)
        if number not in (proven.payer, proven.payee) and not proven.is_bulk:
            raise HandsetError(f"The payment with this receipt code is not one of {who}'s.")
        if picture is not None and form is not None:
            _write_picture(picture, text, form)
        if output is not None:
            _write(output, f"{text}\n".encode())
    if as_json:
        print_json(
            proof_document(proven) | {"proof": text, "qr": _named(picture), "file": _named(output)}
        )
        return
    click.echo(proven.sentence)
    click.echo(f"Signed by {_listed(proven.signers)}.")
    if proven.is_bulk:
        click.echo("Whom it paid stands in its table, which the order names and the proof lacks.")
    click.echo(text)
    if sys.stdout.isatty():
        _show(text)


async def _collected(
    genesis: "Genesis", doors: "Sequence[Door]", number: int, which: str
) -> "Proof":
    """Return the proof of what was named; HandsetError if nothing of that name is final."""
    from harambee.handset.handset import HandsetError
    from harambee.handset.proof_collection import (
        collect_proof,
        collect_proof_of_code,
        with_ending,
    )

    if not (which.isascii() and which.isdigit()):
        return await with_ending(genesis, doors, await collect_proof_of_code(genesis, doors, which))
    if len(which) > len(str(SEQUENCE_LAST)) or int(which) > SEQUENCE_LAST:
        raise HandsetError(f"A sequence is a number from 0 to {SEQUENCE_LAST}.")
    proof = await collect_proof(genesis, doors, number, int(which))
    if proof is None:
        raise HandsetError(f"No payment of account {number} with sequence {which} is final.")
    return await with_ending(genesis, doors, proof)


def proof_document(proven: "Proven") -> dict[str, Any]:
    """Return what is proven, for programs."""
    return {
        "receipt_code": proven.receipt_code,
        "order_id": proven.order_id.hex(),
        "payer": proven.payer,
        "payee": proven.payee,
        "amount_cents": proven.amount_cents,
        "fee_cents": proven.fee_cents,
        "sequence": proven.sequence,
        "kind": proven.kind.name.lower(),
        "day": proven.day.isoformat(),
        "super_agents": list(proven.signers),
    }


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _named(file: Path | None) -> str | None:
    return None if file is None else str(file)


def _write_picture(file: Path, text: str, form: str) -> None:
    from harambee.handset.pictures import picture_of

    _write(file, picture_of(text, form))


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise FailureError(f"Cannot write {file}: {error.strerror}.") from error


def _show(text: str) -> None:
    """Show the QR code, white on black whatever the terminal's colours are; or say why not."""
    from harambee.handset.pictures import terminal_lines
    from harambee.handset.proofs import ProofError

    try:
        lines = terminal_lines(text)
    except ProofError as error:
        click.echo(str(error))
        return
    if len(lines[0]) > shutil.get_terminal_size().columns:
        click.echo("Its QR code is wider than this terminal: --qr FILE.png writes it.")
        return
    for line in lines:
        click.secho(line, fg="bright_white", bg="black")
