"""A statement as PDF: A4, upright for customers and across for organisations, with page numbers.

The fonts are those that every reader has, so nothing is embedded; they know the letters of Western
Europe, and a letter beyond them loses its mark ("Wanjikũ" is "Wanjiku"). No clock and no dice: the same
sheet is the same bytes.
"""

import io
import unicodedata
from dataclasses import dataclass
from typing import Any, Final

from reportlab.lib.pagesizes import A4, landscape
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from harambee.statements.columns import Column, columns_of, summary_of
from harambee.statements.sheet import Row, Sheet

FONT: Final = "Helvetica"
BOLD: Final = "Helvetica-Bold"
SIZE: Final = 7
TITLE_SIZE: Final = 14
LEADING: Final = 9
"""Points, as all lengths here."""
MARGIN: Final = 36
PADDING: Final = 3
AMOUNT_PADDING: Final = 9
"""After what is set to the right, so that the next column does not touch it."""
SUMMARY_LABEL: Final = 90
ENCODING: Final = "cp1252"

WIDTHS: Final = {
    "Receipt No.": 58,
    "Completion Time": 80,
    "Initiation Time": 80,
    "Details": 0,
    "Transaction Status": 50,
    "Paid In": 66,
    "Withdrawn": 66,
    "Balance": 70,
    "Reason Type": 78,
    "Other Party Info": 90,
}
"""The details get what is left of a page's width."""


def portable_document(sheet: Sheet, brand: str = "Harambee") -> bytes:
    """Return the statement as a PDF file."""
    size = A4 if sheet.is_personal else landscape(A4)
    written = io.BytesIO()
    canvas = Canvas(written, pagesize=size, invariant=1, pageCompression=1)
    canvas.setTitle(in_font(f"{brand} statement of account {sheet.account}"))
    canvas.setAuthor(in_font(brand))
    canvas.setSubject(in_font(sheet.period))
    page = _Page(canvas, sheet, brand, size)
    pages = page.divided()
    for number, rows in enumerate(pages, 1):
        page.draw(rows, number, len(pages))
    canvas.save()
    return written.getvalue()


def in_font(text: str) -> str:
    """Return a text that the fonts can show, on one line: what they lack loses its marks, or is "?"."""
    return "".join(map(_sign, text))


def _sign(sign: str) -> str:
    if not sign.isprintable():
        return " "
    if _is_shown(sign):
        return sign
    bare = "".join(c for c in unicodedata.normalize("NFKD", sign) if not unicodedata.combining(c))
    return bare if bare and all(map(_is_shown, bare)) else "?"


def _is_shown(sign: str) -> bool:
    return sign.encode(ENCODING, "ignore") != b""


def folded(text: str, font: str, width: float) -> list[str]:
    """Return a text in lines no wider than `width`, broken between words, or in a word too long."""
    lines = [""]
    for word in in_font(text).split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if stringWidth(longer, font, SIZE) <= width:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for sign in word:
            if lines[-1] and stringWidth(lines[-1] + sign, font, SIZE) > width:
                lines.append("")
            lines[-1] += sign
    return lines


Cells = list[list[str]]
"""For each column the lines of its cell."""


@dataclass
class _Page:
    """Draws pages of one sheet; the table is measured before the first page is drawn."""

    canvas: Any
    """A Canvas; reportlab has no types."""
    sheet: Sheet
    brand: str
    size: tuple[float, float]

    def divided(self) -> list[list[Cells]]:
        """Return the rows of each page; at least one page, the first with the summary above."""
        pages: list[list[Cells]] = [[]]
        left = self._room(first=True)
        for row in self.sheet.rows:
            cells = self._cells(row)
            height = _height(cells)
            if height > left and pages[-1]:
                pages.append([])
                left = self._room(first=False)
            pages[-1].append(cells)
            left -= height
        return pages

    def draw(self, rows: list[Cells], number: int, of: int) -> None:
        """Draw one page and end it."""
        width, height = self.size
        y = height - MARGIN
        if number == 1:
            y = self._draw_summary(y)
        y = self._draw_row(self._headings(), BOLD, y)
        self.canvas.setLineWidth(0.5)
        self.canvas.line(MARGIN, y, width - MARGIN, y)
        for cells in rows:
            y = self._draw_row(cells, FONT, y)
        if not self.sheet.rows:
            self._text("Nothing moved the account in this period.", FONT, MARGIN, y - LEADING)
        self.canvas.setFont(FONT, SIZE)
        self.canvas.drawCentredString(width // 2, MARGIN // 2, f"Page {number} of {of}")
        self.canvas.showPage()

    def _draw_summary(self, y: float) -> float:
        self.canvas.setFont(BOLD, TITLE_SIZE)
        y -= TITLE_SIZE
        self.canvas.drawString(MARGIN, y, in_font(f"{self.brand} statement"))
        y -= LEADING
        for name, value in summary_of(self.sheet):
            y -= LEADING
            self._text(name, BOLD, MARGIN, y)
            self._text(value, FONT, MARGIN + SUMMARY_LABEL, y)
        return y - 2 * LEADING

    def _text(self, text: str, font: str, x: float, y: float) -> None:
        self.canvas.setFont(font, SIZE)
        self.canvas.drawString(x, y, in_font(text))

    def _draw_row(self, cells: Cells, font: str, y: float) -> float:
        """Draw the cells of one row below `y`; returns its lower edge."""
        self.canvas.setFont(font, SIZE)
        x = float(MARGIN)
        for column, lines in zip(self._columns, cells, strict=True):
            width = self._width(column)
            for at, line in enumerate(lines, 1):
                if column.is_amount:
                    self.canvas.drawRightString(x + width - AMOUNT_PADDING, y - at * LEADING, line)
                else:
                    self.canvas.drawString(x, y - at * LEADING, line)
            x += width
        return y - _height(cells)

    @property
    def _columns(self) -> tuple[Column, ...]:
        return columns_of(self.sheet)

    def _width(self, column: Column) -> float:
        fixed = WIDTHS[column.heading]
        taken = sum(WIDTHS[one.heading] for one in self._columns)
        return fixed or self.size[0] - 2 * MARGIN - taken

    def _headings(self) -> Cells:
        return [
            folded(column.heading, BOLD, self._width(column) - PADDING) for column in self._columns
        ]

    def _cells(self, row: Row) -> Cells:
        return [
            folded(column.text(row), FONT, self._width(column) - PADDING)
            for column in self._columns
        ]

    def _room(self, *, first: bool) -> float:
        """How much of a page's height its rows have."""
        above = TITLE_SIZE + LEADING * (3 + len(summary_of(self.sheet))) if first else 0
        return self.size[1] - 2 * MARGIN - above - _height(self._headings())


def _height(cells: Cells) -> float:
    return LEADING * max(len(lines) for lines in cells) + PADDING
