"""The frontier and the scaling as PNGs, for a README or a slide."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poise.errors import ConfigError
from poise.evals.scaling import Measured, Scaling
from poise.report import words
from poise.report.axes import INK, LINE, MUTED, framed, whiskers
from poise.report.frontier import Axis, Point, hull, main_axis, points, span, stairs, ticks
from poise.report.headed import Headed
from poise.report.labels import Box, along, place
from poise.report.palette import Look, looks
from poise.report.read import Reading
from poise.report.scaling import curve, extent, heights, oracle, shared
from poise.store.whole import drafted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

_FONTS = ("Inter", "Source Sans 3", "Helvetica Neue", "Arial", "DejaVu Sans")
_PAST = "knee: one more doubling buys < 0.5 points"


def write_png(reading: Reading, out: Path, width: int = 1600, height: int = 1000) -> Path:
    """Draw the frontier on the summary's own cost axis, `width` x `height` pixels. ConfigError: matplotlib is missing,
    or some arm has no cost to draw."""
    axis = main_axis(reading.summary)
    line = points(reading.summary, axis)
    if not line:
        raise ConfigError("png", "an arm without any cost", "arms whose tokens or FLOPs are known")
    return draw(reading, line, axis, looks(arm.arm for arm in reading.summary.arms), out, (width, height))


def draw(
    about: Headed, line: Sequence[Point], axis: Axis, drawn: dict[str, Look], out: Path,
    size: tuple[int, int] = (1600, 1000),
) -> Path:  # fmt: skip
    """The same of any points, at least one, by rising cost, that have a look. ConfigError: matplotlib is missing."""
    with _sheet(about, out, *size) as axes:
        _draw(axes, line, axis, drawn)
    return out


def write_scaling_png(reading: Reading, out: Path, scaled: Sequence[Scaling]) -> Path:
    """Draw what a doubling of compute buys, family by family. ConfigError: matplotlib is missing."""
    with _sheet(reading, out, 1600, 1000) as axes:
        _draw_families(axes, scaled, main_axis(reading.summary))
    return out


@contextlib.contextmanager
def _sheet(reading: Headed, out: Path, width: int, height: int) -> Iterator[Axes]:
    """A picture with its titles, saved when it has been drawn. StoreError: the disk refuses."""
    try:
        import matplotlib
        from matplotlib import font_manager
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError("report", "matplotlib is not installed", 'pip install "poise[report]"') from None

    installed = set(font_manager.get_font_names())
    font = next(name for name in _FONTS if name in installed or name == _FONTS[-1])
    with matplotlib.rc_context({"font.family": font, "font.size": 15, "text.color": INK, "text.parse_math": False}):
        figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="white")
        FigureCanvasAgg(figure)  # texts can then be measured before saving
        _titles(figure, reading)
        yield figure.add_axes((0.075, 0.115, 0.895, 0.745))
        with drafted(out) as draft:
            figure.savefig(draft, format="png", metadata={"Software": "Poise"})


def _titles(figure: Figure, reading: Headed) -> None:
    about = " · ".join((*reading.about, *reading.notes))
    _fit(figure, figure.text(0.02, 0.945, reading.title, fontweight="bold", va="center"), (26, 22, 19))
    _fit(figure, figure.text(0.02, 0.895, about, color=MUTED, va="center"), (15, 13))


def _fit(figure: Figure, text: Text, sizes: Sequence[int]) -> None:
    """Write a line in the first size in which it fits into the sheet; cut it where none does."""
    room, whole = 0.96 * figure.bbox.width, text.get_text()
    for size in sizes:
        text.set_fontsize(size)
        if text.get_window_extent().width <= room:
            return
    length = len(whole)
    while length > 1 and text.get_window_extent().width > room:
        length -= 1
        text.set_text(words.cut(whole, length))


def _draw(axes: Axes, line: Sequence[Point], axis: Axis, drawn: dict[str, Look]) -> None:
    left, right = span(line)
    axes.set_xscale("log")
    axes.set_xlim(10**left, 10**right)
    low, high = min(p.accuracy.low for p in line), max(p.accuracy.high for p in line)
    axes.set_ylim(low - 0.08 * (high - low), high + 0.08 * (high - low))
    axes.plot(*hull(line), color=MUTED, linewidth=1.6, linestyle=(0, (2, 3)), zorder=1)
    axes.plot(*stairs(line, 10**right), color=INK, linewidth=1.8, zorder=1)
    for point in line:
        _mark(axes, point, drawn[point.arm])
    _frame(axes, axis, ticks(left, right))
    _names(axes, line, drawn)


def _draw_families(axes: Axes, scaled: Sequence[Scaling], axis: Axis) -> None:
    left, right = extent(scaled)
    axes.set_xscale("log")
    axes.set_xlim(10**left, 10**right)
    axes.set_ylim(*heights(scaled))
    drawn = looks(one.family.label for one in scaled)
    for one in scaled:
        look = drawn[one.family.label]
        axes.plot(*oracle(one), color=look.colour, linewidth=1.8, linestyle=(0, (5, 3)), marker="o", markersize=6,
                  markerfacecolor="white", zorder=1)  # fmt: skip
        axes.plot(*curve(one), color=look.colour, linewidth=3, zorder=2)
        _bars(axes, one.points, look)
        if one.curve and one.knee and one.knee.cost:
            axes.plot([one.knee.cost], [one.curve.at(one.knee.cost)], color=INK, marker="|", markersize=26,
                      markeredgewidth=3.5, linestyle="", zorder=4)  # fmt: skip
    for point in shared(scaled):
        _bars(axes, [point], Look(words.cut(point.arm, 44), INK, "circle", "o", "solid"))
    if any(one.passes for one in scaled):
        axes.plot([], [], color=MUTED, linewidth=1.8, linestyle=(0, (5, 3)), label="oracle pass@k")
    if any(one.knee and one.knee.cost for one in scaled):
        axes.plot([], [], color=INK, marker="|", markersize=20, markeredgewidth=3.5, linestyle="", label=_PAST)
    _frame(axes, axis, ticks(left, right))
    axes.legend(loc="best", frameon=False, labelcolor=INK)


def _bars(axes: Axes, found: Sequence[Measured], look: Look) -> None:
    shares = [point.accuracy for point in found]
    axes.errorbar(
        [point.cost for point in found], [share.mean for share in shares], color=look.colour, fmt=look.marker,
        yerr=whiskers(shares),
        markersize=12, elinewidth=2, markeredgecolor="white", markeredgewidth=1.5, label=look.label, zorder=3,
    )  # fmt: skip


def _mark(axes: Axes, point: Point, look: Look) -> None:
    axes.errorbar(
        [point.cost.mean], [point.accuracy.mean], fmt=look.marker, markersize=13,
        color=look.colour if point.on_frontier else _paler(look.colour),
        xerr=whiskers([point.cost]), yerr=whiskers([point.accuracy]),
        elinewidth=2, markeredgecolor="white", markeredgewidth=1.5, zorder=3 if point.on_frontier else 2,
    )  # fmt: skip


def _frame(axes: Axes, axis: Axis, marks: Sequence[float]) -> None:
    from matplotlib.ticker import MaxNLocator

    unit = "FLOP" if axis is Axis.FLOPS else ""
    axes.set_xticks(marks, [words.si(mark, unit) if unit else words.count(mark) for mark in marks])
    axes.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    axes.set_xlabel(f"{axis.value} (log scale)", color=MUTED, labelpad=10)
    axes.set_ylabel("accuracy, 95 % intervals", color=MUTED, labelpad=10)
    framed(axes, pad=8)


def _names(axes: Axes, line: Sequence[Point], drawn: dict[str, Look]) -> None:
    """Arm names beside their points, with a thin leader where there was no room close by."""
    from matplotlib import patheffects

    spots = [Box(*_pixels(axes, p.cost.mean, p.accuracy.mean), 20, 20) for p in line]
    lines = [box for path in (hull(line), stairs(line, axes.get_xlim()[1])) for box in _along(axes, *path)]
    for p in line:
        lines += _along(axes, [p.cost.mean] * 2, [p.accuracy.low, p.accuracy.high])
        lines += _along(axes, [p.cost.low, p.cost.high], [p.accuracy.mean] * 2)
    texts = [
        axes.text(0, 0, drawn[p.arm].label, ha="center", va="center", fontsize=16, zorder=4,
                  fontweight="bold" if p.on_frontier else "normal", color=INK if p.on_frontier else MUTED,
                  path_effects=[patheffects.withStroke(linewidth=4, foreground="white")])
        for p in line
    ]  # fmt: skip
    sizes = [(extent.width + 8, extent.height + 4) for extent in (text.get_window_extent() for text in texts)]
    window = axes.get_window_extent()
    frame = Box((window.x0 + window.x1) / 2, (window.y0 + window.y1) / 2, window.width, window.height)
    back = axes.transData.inverted()
    for text, spot, box in zip(texts, spots, place(spots, sizes, frame, lines), strict=True):
        text.set_position(tuple(back.transform((box.x, box.y))))
        if max(abs(box.x - spot.x) - box.width / 2, abs(box.y - spot.y) - box.height / 2) > 24:
            ends = [back.transform((spot.x, spot.y)), back.transform((box.x, box.y))]
            axes.plot(*zip(*ends, strict=True), color=LINE, linewidth=1.2, zorder=2)


def _along(axes: Axes, costs: Sequence[float], shares: Sequence[float]) -> list[Box]:
    spots = [_pixels(axes, cost, share) for cost, share in zip(costs, shares, strict=True)]
    return along([x for x, _ in spots], [y for _, y in spots], 14)


def _pixels(axes: Axes, cost: float, share: float) -> tuple[float, float]:
    x, y = axes.transData.transform((cost, share))
    return float(x), float(y)


def _paler(colour: str, share: float = 0.55) -> str:
    """The colour mixed with white."""
    parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(part + (255 - part) * share):02x}" for part in parts)
