"""A statement as text, for a terminal or a letter."""

from harambee.statements.columns import columns_of, summary_of
from harambee.statements.sheet import Sheet

_GAP = "  "


def plain(sheet: Sheet) -> str:
    """Return the statement as lines of text, the last one ended too."""
    columns = columns_of(sheet)
    table = [[column.heading for column in columns]]
    table += [[_printable(column.text(row)) for column in columns] for row in sheet.rows]
    widths = [max(len(cells[at]) for cells in table) for at in range(len(columns))]
    label = max(len(name) for name, _ in summary_of(sheet))
    lines = [f"{name:<{label}}  {_printable(value)}" for name, value in summary_of(sheet)]
    lines.append("")
    for cells in table:
        padded = [
            f"{cell:>{width}}" if column.is_amount else f"{cell:<{width}}"
            for column, cell, width in zip(columns, cells, widths, strict=True)
        ]
        lines.append(_GAP.join(padded).rstrip())
    if not sheet.rows:
        lines.append("Nothing moved the account in this period.")
    return "\n".join(lines) + "\n"


def _printable(text: str) -> str:
    """Return a text on one line: a name may not write lines of its own into a statement."""
    return "".join(sign if sign.isprintable() else " " for sign in text)
