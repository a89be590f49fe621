"""How the axes of every picture look. Nothing here imports matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from poise.evals.rows import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, LINE = "#16202c", "#5b6878", "#dfe4ea"


def framed(axes: Axes, pad: int) -> None:
    """Shares as per cent upwards, a pale grid, no frame but the line below. `pad`: of the tick labels, in points."""
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.4g} %")
    axes.grid(color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, length=0, pad=pad)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(LINE)


def whiskers(found: Sequence[Interval]) -> list[list[float]]:
    """Intervals as matplotlib wants error bars: below the means, and above them."""
    return [[each.mean - each.low for each in found], [each.high - each.mean for each in found]]
