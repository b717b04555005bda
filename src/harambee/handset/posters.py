"""A till's poster: what hangs at the counter, as a PDF of one page that any printer prints."""

import io
from typing import Final

import segno
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from harambee.handset.ke_qr import Code, Kind, write_code
from harambee.money.amounts import format_cents

BOLD: Final = "Helvetica-Bold"
PLAIN: Final = "Helvetica"
CODE_MM: Final = 130
LARGEST: Final = 44
SMALLEST: Final = 10
MARGIN_MM: Final = 18
QUIET_MODULES: Final = 4
"""White around a code, as the standard asks."""

_CALLED: Final = {
    Kind.TILL: "Till number",
    Kind.PAYBILL: "Paybill",
    Kind.BUSINESS: "Paybill",
    Kind.AGENT: "Agent number",
    Kind.TELEPHONE: "Telephone",
    Kind.ACCOUNT: "Account",
}


def qr_of(code: Code) -> segno.QRCode:
    """Return the QR code; CodeError for what no code can say."""
    return segno.make_qr(write_code(code), error="m")


def poster(code: Code) -> bytes:
    """Return the PDF of a code; CodeError for what no code can say.

    Letters that the standard fonts of PDF do not have are printed as question marks.
    """
    matrix = qr_of(code).matrix
    written = io.BytesIO()
    canvas = Canvas(written, pagesize=A4, invariant=True)
    canvas.setTitle(f"{code.name}: {code.number}")
    width, height = A4
    _line(canvas, _printed(code.name), BOLD, width / 2, height - 40 * mm)
    _draw(canvas, matrix, (width - CODE_MM * mm) / 2, height - 60 * mm - CODE_MM * mm)
    below = height - 60 * mm - CODE_MM * mm
    _line(canvas, f"{_CALLED[code.kind]} {code.payee}", BOLD, width / 2, below - 22 * mm)
    said = []
    if code.amount_cents is not None:
        said.append(format_cents(code.amount_cents))
    if code.reference:
        said.append(_printed(code.reference))
    if said:
        _line(canvas, " · ".join(said), PLAIN, width / 2, below - 38 * mm, 26)
    told = "Scan to pay, or dial and type the number.  Changanua kulipa."
    _line(canvas, told, PLAIN, width / 2, 20 * mm, 14)
    canvas.save()
    return written.getvalue()


def _printed(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1")


def _line(
    canvas: Canvas, text: str, font: str, middle: float, up: float, largest: float = LARGEST
) -> None:
    """Write a line in the middle, as large as the page is wide and no larger."""
    room = A4[0] - 2 * MARGIN_MM * mm
    size = largest
    while size > SMALLEST and stringWidth(text, font, size) > room:
        size -= 1
    canvas.setFont(font, size)
    canvas.drawCentredString(middle, up, text)


def _draw(canvas: Canvas, matrix: tuple[bytearray, ...], left: float, below: float) -> None:
    """Draw the modules as squares, so that a printer makes them sharp at any size."""
    count = len(matrix) + 2 * QUIET_MODULES
    side = CODE_MM * mm / count
    top = below + CODE_MM * mm - QUIET_MODULES * side
    start = left + QUIET_MODULES * side
    for row, line in enumerate(matrix):
        column = 0
        while column < len(line):
            run = column
            while run < len(line) and line[run]:
                run += 1
            if run > column:
                canvas.rect(
                    start + column * side,
                    top - (row + 1) * side,
                    (run - column) * side,
                    side,
                    stroke=0,
                    fill=1,
                )
            column = run + 1
