"""A picture of a run: one lane for each super-agent, what befell it, and when payments became final."""

from typing import Final
from xml.sax.saxutils import escape

LANE_PX: Final = 26
LEFT_PX: Final = 230
SECOND_PX: Final = 90
TOP_PX: Final = 40
COLOURS: Final = {
    "block": "#9db4c0",
    "final": "#2a9d4a",
    "crash": "#c1121f",
    "restart": "#2a6f97",
    "part": "#e09f3e",
    "wipe": "#7b2cbf",
    "forget": "#7b2cbf",
}
OTHER_COLOUR: Final = "#555555"
MARKS_MAX: Final = 20_000
"""A picture of more could not be looked at."""


class Timeline:
    """Collects what is to be drawn."""

    def __init__(self, super_agents: int, start_ns: int) -> None:
        """`start_ns` is the left edge."""
        self._labels = [f"super-agent-{index}" for index in range(super_agents)]
        self._start_ns = start_ns
        self._marks: list[tuple[int, int, str]] = []

    def label(self, index: int, what: str) -> None:
        """Say what a super-agent is."""
        self._labels[index] = f"super-agent-{index}: {what}"

    def mark(self, now: int, who: tuple[int, ...], what: str) -> None:
        """Something happens to some of them."""
        if len(self._marks) < MARKS_MAX:
            self._marks += [(now - self._start_ns, index, what) for index in who]

    def svg(self, title: str) -> str:
        """Return the picture."""
        longest = max((at for at, _, _ in self._marks), default=0) / 1e9
        width = LEFT_PX + int((longest + 1) * SECOND_PX)
        height = TOP_PX + LANE_PX * (len(self._labels) + 1)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
            "<style>text { font: 11px sans-serif }</style>",
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            f'<text x="10" y="20" font-size="15">{escape(title)}</text>',
        ]
        for second in range(int(longest) + 2):
            edge = LEFT_PX + second * SECOND_PX
            parts.append(
                f'<line x1="{edge}" y1="{TOP_PX}" x2="{edge}" y2="{height - LANE_PX}" stroke="#eeeeee"/>'
                f'<text x="{edge}" y="{height - 8}">{second} s</text>'
            )
        for index, label in enumerate(self._labels):
            y = TOP_PX + index * LANE_PX
            parts.append(
                f'<text x="10" y="{y + 16}">{escape(label)}</text>'
                f'<line x1="{LEFT_PX}" y1="{y + 12}" x2="{width}" y2="{y + 12}" stroke="#dddddd"/>'
            )
        for at, index, what in self._marks:
            x = LEFT_PX + at / 1e9 * SECOND_PX
            y = TOP_PX + index * LANE_PX + 12
            colour = COLOURS.get(what, OTHER_COLOUR)
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y}" r="4" fill="{colour}">'
                f"<title>{escape(what)} at {at / 1e9:.3f} s</title></circle>"
            )
        parts.append("</svg>\n")
        return "\n".join(parts)
