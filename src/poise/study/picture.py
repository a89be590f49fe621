"""The study as one picture: accuracy against cost, over all items that trees answered, and in each third of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poise.errors import ConfigError
from poise.report.axes import INK, MUTED, framed, whiskers
from poise.report.frontier import ticks
from poise.report.palette import Look, looks
from poise.store.whole import drafted
from poise.study.analysis import Affords, Analysis, Standing, Third
from poise.study.markdown import amount, bounds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ABOUT = "dots: flat arms; stars: trees; steps: the best arm that a budget affords; bars: 95 % intervals"


def write_picture(analysis: Analysis, out: Path) -> Path:
    """Draw the study, 1600 x 1200 pixels. ConfigError: matplotlib is missing. StoreError: the disk refuses."""
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError("report", "matplotlib is not installed", 'pip install "poise[report]"') from None
    with matplotlib.rc_context({"font.size": 13, "text.color": INK, "text.parse_math": False}):
        figure = Figure(figsize=(16, 12), dpi=100, facecolor="white")
        FigureCanvasAgg(figure)
        _drawn(figure, analysis)
        with drafted(out) as draft:
            figure.savefig(draft, format="png", metadata={"Software": "Poise"})
    return out


def _drawn(figure: Figure, analysis: Analysis) -> None:
    everything = _everything(analysis)
    look = looks(dict.fromkeys(each.way.family for each in sorted(everything, key=lambda one: one.way.tree)))
    figure.text(0.06, 0.965, "Search at equal cost", fontsize=24, fontweight="bold", va="center")
    figure.text(0.06, 0.935, f"{_ABOUT}; seed {analysis.seed}", color=MUTED, va="center")
    axes = figure.add_axes((0.06, 0.45, 0.66, 0.44))
    _panel(axes, everything, analysis.affords, look, analysis.unit)
    axes.set_title(f"all items that every arm answered, n = {everything[0].n}", loc="left", fontsize=14)
    axes.set_ylabel("accuracy", color=MUTED)
    lines, labels = axes.get_legend_handles_labels()
    figure.legend(lines, labels, loc="upper left", bbox_to_anchor=(0.735, 0.89), frameon=False, fontsize=12)
    thirds = analysis.splits[0].thirds
    for place, third in enumerate(thirds):
        _third(figure.add_axes((0.06 + 0.315 * place, 0.07, 0.27, 0.28)), third, look, analysis.unit)


def _third(axes: Axes, third: Third, look: dict[str, Look], unit: str) -> None:
    _panel(axes, third.standings, third.affords, look, unit, few=True)
    axes.set_title(bounds(third), loc="left", fontsize=12)


def _everything(analysis: Analysis) -> list[Standing]:
    arms = {arm.arm: arm for arm in analysis.joint.arms}
    found = [(way, arms[way.arm]) for way in analysis.ways]
    return [Standing(way, arm.n, arm.accuracy, arm.cost(analysis.unit).mean) for way, arm in found]


def _panel(
    axes: Axes,
    standings: Sequence[Standing],
    affords: Sequence[Affords],
    look: dict[str, Look],
    unit: str,
    *,
    few: bool = False,
) -> None:
    """`few`: a small panel, with few marks on its axis."""
    axes.set_xscale("log")
    families: dict[str, list[Standing]] = {}
    for each in standings:
        families.setdefault(each.way.family, []).append(each)
    for family, members in families.items():
        _family(axes, sorted(members, key=lambda one: one.cost), look[family], slim=few)
    steps = [(each.best.cost, each.best.accuracy.mean) for each in affords]
    steps.append((max(each.cost for each in standings), steps[-1][1]))
    axes.step(*zip(*steps, strict=True), where="post", color=INK, linewidth=1.4, zorder=1)
    low, high = axes.get_xlim()
    marks = ticks(math.log10(low), math.log10(high), 3 if few else 9)
    axes.set_xticks(marks, [amount(mark, unit) for mark in marks])
    framed(axes, pad=6)


def _family(axes: Axes, members: Sequence[Standing], look: Look, *, slim: bool) -> None:
    tree = members[0].way.tree
    xs, ys = [each.cost for each in members], [each.accuracy.mean for each in members]
    axes.errorbar(
        xs, ys, yerr=whiskers([each.accuracy for each in members]), label=look.label, color=look.colour,
        marker="*" if tree else look.marker, markersize=(10 if slim else 15) if tree else (4 if slim else 7),
        linestyle=(0, (1, 2)) if tree else "-", linewidth=1, elinewidth=0.8 if slim else 1.2,
        alpha=0.9, zorder=3 if tree else 2,
    )  # fmt: skip
