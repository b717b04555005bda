"""The picture of an outage ledger: what was paid in each minute, and what waits, as SVG or PNG.

Both come from one description, so that they cannot differ: lines, areas and words on a surface, of which
one writes SVG and the other paints pixels. Points are whole tenths of a pixel.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Protocol
from xml.sax.saxutils import escape

from PIL import Image, ImageDraw, ImageFont

from harambee.sim.outage_ledger import OutageLedger, clock
from harambee.traffic.sampled_day import MINUTES, MINUTES_AN_HOUR

Points = Sequence[tuple[int, int]]

TENTHS: Final = 10
WIDTH_PX: Final = 860
HEIGHT_PX: Final = 640
LEFT_PX: Final = 80
RIGHT_PX: Final = 30
PANELS: Final = ((70, 230), (370, 190))
"""The top and the height of each, in pixels."""
TITLE_SIZE: Final = 17
WORDS_SIZE: Final = 12
PNG_SCALE: Final = 2
HOURS_EACH: Final = 3
TICKS: Final = 4
CENTS_PER_MILLION: Final = 100_000_000

INK: Final = "#222222"
GRID: Final = "#dddddd"
SHADE: Final = "#f3efe6"
NETWORK: Final = "#1b7f4b"
CENTRAL: Final = "#c1121f"
WANTED: Final = "#888888"


class Surface(Protocol):
    """Whatever can be drawn on; all places and sizes in tenths of a pixel, but the size of words."""

    def line(self, points: Points, colour: str, width: int) -> None:
        """Draw a line through points."""

    def area(self, points: Points, colour: str) -> None:
        """Fill a polygon."""

    def words(self, at: tuple[int, int], text: str, colour: str, size: int, anchor: str) -> None:
        """Write words whose base line begins, has its middle or ends there: start, middle, end."""


class SvgSurface:
    """Writes SVG."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def line(self, points: Points, colour: str, width: int) -> None:
        """Draw a line through points."""
        self._parts.append(
            f'<polyline points="{_written(points)}" fill="none" stroke="{colour}" '
            f'stroke-width="{_px(width)}" stroke-linejoin="round"/>'
        )

    def area(self, points: Points, colour: str) -> None:
        """Fill a polygon."""
        self._parts.append(f'<polygon points="{_written(points)}" fill="{colour}"/>')

    def words(self, at: tuple[int, int], text: str, colour: str, size: int, anchor: str) -> None:
        """Write words."""
        self._parts.append(
            f'<text x="{_px(at[0])}" y="{_px(at[1])}" fill="{colour}" font-size="{size}" '
            f'text-anchor="{anchor}">{escape(text)}</text>'
        )

    def document(self) -> str:
        """Return the whole picture."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" '
            'font-family="sans-serif" role="img">'
        )
        ground = f'<rect width="{WIDTH_PX}" height="{HEIGHT_PX}" fill="#ffffff"/>'
        return "\n".join([head, ground, *self._parts, "</svg>\n"])


class PngSurface:
    """Paints pixels."""

    _ANCHORS: Final = {"start": "ls", "middle": "ms", "end": "rs"}

    def __init__(self) -> None:
        size = WIDTH_PX * PNG_SCALE, HEIGHT_PX * PNG_SCALE
        self._image = Image.new("RGB", size, "#ffffff")
        self._draw = ImageDraw.Draw(self._image)

    def line(self, points: Points, colour: str, width: int) -> None:
        """Draw a line through points."""
        scaled = [_scaled(point) for point in points]
        self._draw.line(scaled, colour, max(1, width * PNG_SCALE // TENTHS), joint="curve")

    def area(self, points: Points, colour: str) -> None:
        """Fill a polygon."""
        self._draw.polygon([_scaled(point) for point in points], colour)

    def words(self, at: tuple[int, int], text: str, colour: str, size: int, anchor: str) -> None:
        """Write words."""
        font = ImageFont.load_default(size * PNG_SCALE)
        self._draw.text(_scaled(at), text, colour, font, self._ANCHORS[anchor])

    def document(self) -> bytes:
        """Return the whole picture."""
        out = io.BytesIO()
        self._image.save(out, "PNG", optimize=True)
        return out.getvalue()


def as_svg(ledger: OutageLedger) -> str:
    """Return the picture as SVG."""
    surface = SvgSurface()
    draw(ledger, surface)
    return surface.document()


def as_png(ledger: OutageLedger) -> bytes:
    """Return the picture as PNG."""
    surface = PngSurface()
    draw(ledger, surface)
    return surface.document()


@dataclass(frozen=True, slots=True)
class Panel:
    """A rectangle with minutes from left to right, and cents upwards to `most`."""

    top_px: int
    height_px: int
    most: int

    def at(self, minute: int, cents: int) -> tuple[int, int]:
        """Return where that is; what is above the panel's top is drawn at it."""
        across = (WIDTH_PX - LEFT_PX - RIGHT_PX) * TENTHS * minute // MINUTES
        up = self.height_px * TENTHS * min(cents, self.most) // self.most
        return LEFT_PX * TENTHS + across, (self.top_px + self.height_px) * TENTHS - up

    def steps(self, cents: Sequence[int]) -> list[tuple[int, int]]:
        """Return the corners of a line that is level through each minute."""
        corners: list[tuple[int, int]] = []
        for minute, value in enumerate(cents):
            for corner in (self.at(minute, value), self.at(minute + 1, value)):
                level = len(corners) > 1 and corners[-2][1] == corners[-1][1] == corner[1]
                if level:
                    corners[-1] = corner
                else:
                    corners.append(corner)
        return corners

    def under(self, cents: Sequence[int]) -> list[tuple[int, int]]:
        """Return the corners of what lies under such a line."""
        return [self.at(0, 0), *self.steps(cents), self.at(MINUTES, 0)]


def draw(ledger: OutageLedger, surface: Surface) -> None:
    """Draw the picture on a surface."""
    settings = ledger.settings
    outage = settings.outage
    title = (
        f"{clock(outage.starts)} to {clock(outage.ends)}: the switch in the middle down; "
        f"{settings.down} of {settings.super_agents} super-agents down"
    )
    surface.words((LEFT_PX * TENTHS, 280), title, INK, TITLE_SIZE, "start")
    wanted = _each_minute(ledger)
    network, central = _spread(ledger, ledger.network.paid), _spread(ledger, ledger.central.paid)
    (top, height), (low_top, low_height) = PANELS
    ceiling = max(*wanted, *central)
    paid = Panel(top, height, _rounded_up(ceiling))
    _frame(surface, paid, ledger, "Paid in a minute, million shillings", CENTS_PER_MILLION)
    surface.area(paid.under(central), "#f2b8bc")
    surface.line(paid.steps(central), CENTRAL, 14)
    surface.line(paid.steps(wanted), WANTED, 40)
    surface.line(paid.steps(network), NETWORK, 20)
    missing = [_missing(wanted, series) for series in (central, network)]
    waits = Panel(low_top, low_height, _rounded_up(max(*missing[0], *missing[1], 1)))
    words = "Wanted and not paid, billion shillings"
    _frame(surface, waits, ledger, words, 1_000 * CENTS_PER_MILLION)
    surface.area(waits.under(missing[0]), "#f2b8bc")
    surface.line(waits.steps(missing[0]), CENTRAL, 14)
    surface.line(waits.steps(missing[1]), NETWORK, 20)
    _legend(surface, ledger)


def _each_minute(ledger: OutageLedger) -> list[int]:
    """What people wanted to pay, in each minute of the day."""
    wanted = [0] * MINUTES
    for order in ledger.orders:
        wanted[order.minute] = order.value_cents
    return _spread(ledger, wanted)


def _spread(ledger: OutageLedger, cents: Sequence[int]) -> list[int]:
    """Spread what stands in the first minute of an order over those for which it stands."""
    each = ledger.settings.minutes_each
    return [cents[minute - minute % each] // each for minute in range(MINUTES)]


def _missing(wanted: Sequence[int], paid: Sequence[int]) -> list[int]:
    """What was wanted until the end of each minute, less what was paid until then."""
    return list(accumulate(want - got for want, got in zip(wanted, paid, strict=True)))


def _rounded_up(cents: int) -> int:
    """Return the end of a scale: the next one, two, four or eight with noughts."""
    step = 1
    while True:
        for times in (1, 2, 4, 8):
            if cents <= times * step:
                return times * step
        step *= 10


def _frame(surface: Surface, panel: Panel, ledger: OutageLedger, title: str, unit: int) -> None:
    outage = ledger.settings.outage
    bottom_right = panel.at(outage.ends, 0), panel.at(outage.ends, panel.most)
    top_left = panel.at(outage.starts, panel.most), panel.at(outage.starts, 0)
    surface.area([*bottom_right, *top_left], SHADE)
    for tick in range(TICKS + 1):
        cents = panel.most * tick // TICKS
        surface.line([panel.at(0, cents), panel.at(MINUTES, cents)], GRID, 10)
        left, y = panel.at(0, cents)
        whole, tenth = divmod(cents * 10 // unit, 10)
        words = f"{whole:,}" if not tenth else f"{whole:,}.{tenth}"
        surface.words((left - 80, y + 40), words, INK, WORDS_SIZE, "end")
    for hour in range(0, MINUTES // MINUTES_AN_HOUR + 1, HOURS_EACH):
        x, y = panel.at(hour * MINUTES_AN_HOUR, 0)
        surface.line([(x, y), (x, y + 40)], INK, 10)
        words = clock(hour * MINUTES_AN_HOUR)
        surface.words((x, y + 170), words, INK, WORDS_SIZE, "middle")
    left, top = panel.at(0, panel.most)
    surface.words((left, top - 80), title, INK, WORDS_SIZE + 1, "start")


def _legend(surface: Surface, ledger: OutageLedger) -> None:
    again = ledger.settings.again_percent
    entries = (
        (WANTED, "wanted"),
        (NETWORK, "paid by this network"),
        (CENTRAL, f"paid by the switch; {again} of 100 come again"),
    )
    x, y = LEFT_PX * TENTHS, (HEIGHT_PX - 22) * TENTHS
    for colour, words in entries:
        surface.line([(x, y - 40), (x + 240, y - 40)], colour, 30)
        surface.words((x + 320, y), words, INK, WORDS_SIZE, "start")
        x += 320 + len(words) * 62 + 220


def _px(tenths: int) -> str:
    whole, tenth = divmod(tenths, TENTHS)
    return f"{whole}.{tenth}" if tenth else str(whole)


def _written(points: Points) -> str:
    return " ".join(f"{_px(x)},{_px(y)}" for x, y in points)


def _scaled(point: tuple[int, int]) -> tuple[int, int]:
    return point[0] * PNG_SCALE // TENTHS, point[1] * PNG_SCALE // TENTHS
