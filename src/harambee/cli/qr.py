"""`harambee qr`: codes of Kenya's standard, written as pictures and posters, and read."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from harambee.cli.terminal import FailureError, json_option, one_sentence, print_json

if TYPE_CHECKING:
    from harambee.handset.ke_qr import Code, Kind

SUFFIXES: Final = (".png", ".svg", ".pdf")
SCALE: Final = 8
BORDER: Final = 4


@click.group()
def qr() -> None:
    """Write the QR code of a till, a bill, an agent or a telephone, or read one.

    \b
    Examples:
      harambee qr write "till 174379" "Duka la Mama" -o poster.pdf
      harambee qr read poster.png
    """  # noqa: D301 - click's sign for lines to keep


@qr.command()
@click.argument("number")
@click.argument("name")
@click.option("--amount", help="How much is to be paid; without it the payer says.")
@click.option("--reference", default="", help="The account at a biller, or what is bought.")
@click.option("--category", default="0000", show_default=True, help="The merchant's, of ISO 18245.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png|.svg|.pdf",
    help="Where to: a picture, or a poster of one page.",
)
@json_option
def write(
    number: str,
    name: str,
    amount: str | None,
    reference: str,
    category: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Write the code of whoever has NUMBER and is called NAME.

    NUMBER is "till 174379", "paybill 600000", "agent 10001", a telephone number or an account number.
    At a terminal the code is shown, too.

    \b
    Examples:
      harambee qr write "till 174379" "Duka la Mama" -o poster.pdf
      harambee qr write "paybill 600000" "Water" --amount 1,200 --reference A-17 -o bill.png
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.handset.ke_qr import Code, CodeError, write_code
    from harambee.handset.posters import poster, qr_of
    from harambee.handset.telephone import TelephoneError
    from harambee.money.amounts import AmountError, parse_cents

    if output is not None and output.suffix.lower() not in SUFFIXES:
        raise click.UsageError("--output names a file that ends in .png, .svg or .pdf.")
    with one_sentence(CodeError, TelephoneError, AmountError, as_json=as_json):
        kind, payee = _payee(number)
        cents = None if amount is None else parse_cents(amount)
        code = Code(kind, payee, name, cents, reference, category)
        text = write_code(code)
        drawn = qr_of(code)
        if output is not None:
            try:
                if output.suffix.lower() == ".pdf":
                    output.write_bytes(poster(code))
                else:
                    drawn.save(str(output), scale=SCALE, border=BORDER)
            except OSError as error:
                raise FailureError(f"Cannot write {output}: {error.strerror}.") from error
    if as_json:
        print_json({"text": text, "file": None if output is None else str(output)})
        return
    click.echo(text)
    if sys.stdout.isatty():
        drawn.terminal(compact=True, border=BORDER)


@qr.command()
@click.argument("source")
@json_option
def read(source: str, as_json: bool) -> None:
    """Say what a code asks for; SOURCE is a picture of it, or its text.

    \b
    Examples:
      harambee qr read bill.png
      harambee qr read 00020101021128...
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.handset.ke_qr import CodeError, read_code
    from harambee.handset.proofs import ProofError
    from harambee.money.amounts import format_cents

    with one_sentence(CodeError, ProofError, as_json=as_json):
        code = read_code(_text_of(source))
    if as_json:
        print_json(_document(code))
        return
    asked = "as much as you like" if code.amount_cents is None else format_cents(code.amount_cents)
    click.echo(f"Pay {code.name or 'somebody'} {asked}, at {code.number}.")
    if code.reference:
        click.echo(f"Reference: {code.reference}")


def _document(code: "Code") -> dict[str, object]:
    return {
        "number": code.number,
        "kind": code.kind.value,
        "payee": code.payee,
        "name": code.name,
        "amount_cents": code.amount_cents,
        "reference": code.reference,
        "category": code.category,
    }


def _payee(number: str) -> "tuple[Kind, str]":
    """Return what a number is of, and it without its word; TelephoneError."""
    from harambee.handset.ke_qr import Kind
    from harambee.handset.numbers import canonical_number, looks_like_number

    if number.isascii() and number.isdigit() and not looks_like_number(number):
        return Kind.ACCOUNT, number
    canonical = canonical_number(number)
    word, colon, digits = canonical.partition(":")
    kinds = {"till": Kind.TILL, "paybill": Kind.PAYBILL, "agent": Kind.AGENT}
    if not colon or word not in kinds:
        return Kind.TELEPHONE, canonical.rpartition(":")[2]
    return kinds[word], digits


def _text_of(source: str) -> str:
    from harambee.handset.ke_qr import TEXT_MAX, CodeError
    from harambee.handset.pictures import PICTURE_BYTES_MAX, texts_in

    file = Path(source)
    try:
        if len(source) > TEXT_MAX or not file.is_file():
            return source
        with file.open("rb") as opened:
            content = opened.read(PICTURE_BYTES_MAX + 1)
    except OSError as error:
        raise FailureError(f"Cannot read {file}: {error.strerror}.") from error
    texts = texts_in(content)
    if len(texts) != 1:
        found = "several codes" if texts else "no code that can be read"
        raise CodeError(f"There is {found} in this picture: show one.")
    return texts.pop()
