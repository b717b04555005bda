"""Pictures of measured points: PNG for pages, SVG to look closer, the same bytes for the same points."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

INK: Final = "#222222"
GRID: Final = "#d9d9d9"
# Told apart in print without colour, too: by their markers.
P50: Final[dict[str, Any]] = {"color": "#0b6e99", "marker": "o", "label": "p50"}
P99: Final[dict[str, Any]] = {"color": "#c2410c", "marker": "s", "label": "p99"}
SPEED: Final[dict[str, Any]] = {"color": "#3f6212", "marker": "D", "label": "final"}
DPI: Final = 130
WIDTH_INCHES: Final = 7.2
HEIGHT_INCHES: Final = 4.4

Points = Sequence[dict[str, Any]]

STYLE: Final[dict[str, Any]] = {
    "font.size": 12,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 2,
    "lines.markersize": 7,
    "svg.hashsalt": "harambee",
    "svg.fonttype": "none",
}


def draw_load(points: Points, title: str, file: Path) -> None:
    """Latency against offered load, above what became final of it; writes FILE.png and FILE.svg."""
    with mpl.rc_context(STYLE):
        figure = Figure(
            (WIDTH_INCHES, 1.5 * HEIGHT_INCHES), layout="constrained", facecolor="white"
        )
        latency, speed = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        rates = [point["rate"] for point in points]
        _draw_latency(latency, rates, points)
        latency.set_title(title)
        top = max(rates)
        speed.plot([0, top], [0, top], color=GRID, linestyle="--", label="offered")
        speed.plot(rates, [point["rate_per_second"] for point in points], **SPEED)
        fastest = points[0]["fastest_per_second"]
        speed.axhline(fastest, color=INK, linewidth=1, linestyle=":", label="as fast as it goes")
        _finish(speed, "final payments a second")
        speed.set_xlabel("offered payments a second")
        _save(figure, file)


def draw_change(points: Points, what: str, axis: str, title: str, file: Path) -> None:
    """Speed and latency against one thing that changes; writes FILE.png and FILE.svg.

    `what` is the field of the points that changes, `axis` its name with its unit.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(
            (1.5 * WIDTH_INCHES, HEIGHT_INCHES), layout="constrained", facecolor="white"
        )
        speed, latency = figure.subplots(1, 2)
        values = [point[what] for point in points]
        speed.plot(values, [point["fastest_per_second"] for point in points], **SPEED)
        _finish(speed, "final payments a second", legend=False)
        speed.set_title("as fast as it goes")
        _draw_latency(latency, values, points)
        latency.set_title(f"at {points[0]['rate']:,} payments a second")
        figure.suptitle(title)
        for axes in (speed, latency):
            if max(values) >= 5 * min(values):
                axes.set_xscale("log")
            axes.set_xticks(values, [f"{value:,}" for value in values])
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_xlabel(axis)
        _save(figure, file)


def _draw_latency(axes: Axes, values: Sequence[float], points: Points) -> None:
    axes.plot(values, [point["latency_ms_p50"] for point in points], **P50)
    axes.plot(values, [point["latency_ms_p99"] for point in points], **P99)
    # Half a network's delay and a saturated one's are both to be read.
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    _finish(axes, "latency until final, ms", floor=None)
    ticks = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000]
    low, high = axes.get_ylim()
    shown = [tick for tick in ticks if low <= tick <= high]
    axes.set_yticks(shown, [f"{tick:,}" for tick in shown])


def _finish(axes: Axes, label: str, *, floor: float | None = 0, legend: bool = True) -> None:
    axes.set_ylabel(label)
    axes.grid(visible=True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(b=True)
    axes.spines[["top", "right"]].set_visible(False)
    if floor is not None:
        axes.set_ylim(bottom=floor)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    if legend:
        axes.legend(frameon=False)


def _save(figure: Figure, file: Path) -> None:
    figure.savefig(file.with_suffix(".png"), dpi=DPI)
    figure.savefig(file.with_suffix(".svg"), metadata={"Date": None})
