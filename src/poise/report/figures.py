"""The plotly figures of the page. Colours that follow the reader's theme are written `var(--name)`; the page resolves
them, so one figure serves light and dark."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from poise.errors import ConfigError
from poise.evals.rows import Interval, Row, Summary
from poise.evals.scaling import Measured, Scaling
from poise.report import words
from poise.report.calibration import Reliability
from poise.report.frontier import Axis, Point, hull, points, span, stairs, ticks
from poise.report.labels import Box, along, place
from poise.report.palette import Look
from poise.report.scaling import amount, curve, extent, heights, oracle, shared

if TYPE_CHECKING:
    import plotly.graph_objects as go

Array: TypeAlias = npt.NDArray[np.float64]
_SIZE = (955.0, 456.0)  # the plot area that labels are placed for; narrower screens use the legend


def plotly_objects() -> go:
    """plotly.graph_objects, or a ConfigError that names the extra."""
    try:
        import plotly.graph_objects as go
    except ImportError:
        raise ConfigError("report", "plotly is not installed", 'pip install "poise[report]"') from None
    return go


def frontier(summary: Summary, axis: Axis, looks: dict[str, Look]) -> go.Figure:
    """Accuracy against one cost: every arm with both intervals, the staircase and the hull."""
    return cloud(points(summary, axis), axis, looks)


def cloud(line: Sequence[Point], axis: Axis, looks: dict[str, Look]) -> go.Figure:
    """The same of any points, by rising cost, that have a look; texts longer than their look's label are shown too."""
    go = plotly_objects()
    left, right = span(line)
    low, high = _heights(line)
    figure = go.Figure()
    for xs, ys, name, dash in (
        (*hull(line), "random mix of two", "dot"), (*stairs(line, 10**right), "frontier", "solid"),
    ):  # fmt: skip
        stroke = {"color": "var(--ink)" if dash == "solid" else "var(--muted)", "width": 1.5, "dash": dash}
        figure.add_scatter(x=xs, y=ys, mode="lines", name=name, line=stroke, hoverinfo="skip")
    for point in line:
        figure.add_trace(_arm(point, axis, looks[point.arm]))
    _axes(figure, axis, (left, right), (low, high))
    figure.update_layout(**base(520), annotations=_labels(line, (left, right), (low, high), looks))
    return figure


def scaling(found: Sequence[Scaling], axis: Axis, looks: dict[str, Look]) -> go.Figure:
    """Accuracy against log cost by family (`looks` by label): its arms, the fitted curve with the knee, and above them
    the oracle pass@k."""
    figure = plotly_objects().Figure()
    for one in found:
        look = looks[one.family.label]
        costs, shares = oracle(one)
        figure.add_scatter(
            x=costs, y=shares, mode="lines+markers", legendgroup="oracle", name="oracle pass@k", hoverinfo="text",
            line={"color": look.colour, "width": 1.5, "dash": "dash"}, showlegend=False,
            marker={"size": 6, "symbol": "circle-open", "color": look.colour},
            text=[f"{_name(look)}<br>pass@{p.k} {words.percent(p.share.mean)} {words.bracket(p.share, 100)}"
                  + (f"<br>selection gap {words.points(p.gap.mean)} {words.bracket(p.gap, 100)}" if p.gap else "")
                  for p in one.passes],
        )  # fmt: skip
        xs, ys = curve(one)
        figure.add_scatter(
            x=xs, y=ys, mode="lines", line={"color": look.colour, "width": 2.5}, legendgroup=_name(look),
            showlegend=False, hoverinfo="skip",
        )  # fmt: skip
        figure.add_traces([_measured(one.points, axis, look), *_knees(one, axis, look)])
    for point in shared(found):
        figure.add_trace(_measured([point], axis, Look(words.cut(point.arm, 44), "var(--ink)", "circle", "o", "solid")))
    _keys(figure, found)
    left, right = extent(found)
    _axes(figure, axis, (left, right), heights(found))
    figure.update_layout(**base(500, legend=True))
    return figure


def tokens(rows: dict[str, list[Row]], looks: dict[str, Look]) -> go.Figure:
    """The distribution of new tokens per question, an arm a band, on a log scale; the bar is the median."""
    go = plotly_objects()
    figure, logs = go.Figure(), []
    for arm in reversed(rows):
        counts = [row.usage.total_tokens - row.usage.prompt_tokens for row in rows[arm]]
        spread = np.log10(np.maximum(_quantiles(counts, 160), 1.0))
        logs += [spread.min(), spread.max()]
        figure.add_violin(
            x=spread, name=_name(looks[arm]), side="positive", orientation="h", width=1.7, points=False,
            spanmode="hard", line={"color": looks[arm].colour, "width": 1.5}, meanline={"visible": False},
            hoverinfo="skip", box={"visible": True, "width": 0.08}, showlegend=False,
        )  # fmt: skip
    marks = ticks(min(logs, default=0) - 0.1, max(logs, default=1) + 0.1, 6)
    figure.update_xaxes(
        title="new tokens per question", tickvals=[math.log10(mark) for mark in marks],
        ticktext=[words.count(mark) for mark in marks], tickangle=0, zeroline=False,
    )  # fmt: skip
    figure.update_layout(**base(120 + 46 * len(rows)))
    return figure


def seconds(rows: dict[str, list[Row]], looks: dict[str, Look]) -> go.Figure:
    """The share of questions answered within x seconds: read off what a deadline would cut."""
    figure, most, least = plotly_objects().Figure(), -3.0, 3.0
    for arm, answered in rows.items():
        spans = [row.usage.seconds for row in answered if row.usage.seconds > 0]
        if not spans:
            continue
        shown = _quantiles(spans, 200)
        least, most = min(least, math.log10(shown[0])), max(most, math.log10(shown[-1]))
        figure.add_scatter(
            x=shown, y=np.linspace(0, 1, len(shown)), name=_name(looks[arm]), mode="lines",
            line={"color": looks[arm].colour, "dash": looks[arm].dash, "width": 2},
            hovertemplate="%{y:.0%} within %{x:.3~s} s<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    marks = ticks(least - 0.05, most + 0.05, 6)
    figure.update_xaxes(type="log", title="seconds per question", tickvals=marks, ticktext=[*map(words.seconds, marks)])
    figure.update_yaxes(title="share answered", tickformat=".1~%", range=[0, 1.02])
    figure.update_layout(**base(120 + 46 * max(len(rows), 5), legend=True))
    return figure


def calibration(found: Sequence[Reliability], looks: dict[str, Look]) -> go.Figure:
    """Share right against stated confidence; on the diagonal confidence can be believed."""
    figure = plotly_objects().Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", hoverinfo="skip", showlegend=False,
        line={"color": "var(--muted)", "dash": "dot", "width": 1.5},
    )  # fmt: skip
    for index, arm in enumerate(found):
        look = looks[arm.arm]
        figure.add_scatter(
            x=[b.confidence for b in arm.bins], y=[b.accuracy.mean for b in arm.bins],
            error_y=whisker([b.accuracy for b in arm.bins], look.colour, 1), mode="lines+markers",
            name=f"{_name(look)} (ECE {100 * arm.error:.1f})", visible=True if index < 3 else "legendonly",
            marker={"size": [6 + 22 * math.sqrt(b.n / arm.n) for b in arm.bins], "color": look.colour},
            line={"color": look.colour, "width": 1.5, "dash": look.dash}, customdata=[b.n for b in arm.bins],
            hovertemplate="said %{x:.2f}, right %{y:.1%} (n = %{customdata})<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    figure.update_xaxes(title="confidence", range=[-0.02, 1.04], tickformat=".1f")
    figure.update_yaxes(title="share right", range=[-0.02, 1.04], tickformat=".1~%")
    figure.update_layout(**base(440, legend=True))
    return figure


def _arm(point: Point, axis: Axis, look: Look) -> go.Scatter:
    opacity = 1.0 if point.on_frontier else 0.42
    cost = words.si(point.cost.mean, "FLOP") if axis is Axis.FLOPS else _unit(axis, point.cost.mean)
    whole = "" if point.arm == look.label else f"<br>{html.escape(words.cut(point.arm, 88), quote=False)}"
    about = (
        f"<b>{_name(look)}</b>{whole}<br>{words.percent(point.accuracy.mean)} {words.bracket(point.accuracy, 100)}<br>"
        f"{cost}{'' if point.on_frontier else '<br>dominated'}"
    )
    return plotly_objects().Scatter(
        x=[point.cost.mean], y=[point.accuracy.mean], mode="markers", name=_name(look), text=[about],
        hovertemplate="%{text}<extra></extra>", opacity=opacity,
        marker={"size": 13, "symbol": look.symbol, "color": look.colour, "line": {"color": "var(--card)", "width": 1}},
        error_x=whisker([point.cost], look.colour, 1.5), error_y=whisker([point.accuracy], look.colour, 1.5),
    )  # fmt: skip


def _measured(found: Sequence[Measured], axis: Axis, look: Look) -> go.Scatter:
    return plotly_objects().Scatter(
        x=[p.cost for p in found], y=[p.accuracy.mean for p in found], mode="markers", name=_name(look),
        legendgroup=_name(look), hovertemplate="%{text}<extra></extra>", showlegend=True,
        text=[f"<b>{html.escape(words.cut(p.arm, 44), quote=False)}</b><br>{words.percent(p.accuracy.mean)} "
              f"{words.bracket(p.accuracy, 100)}<br>{amount(p.cost, axis)}, n = {p.n}" for p in found],
        marker={"size": 11, "symbol": look.symbol, "color": look.colour, "line": {"color": "var(--card)", "width": 1}},
        error_y=whisker([p.accuracy for p in found], look.colour, 1.5),
    )  # fmt: skip


def _knees(one: Scaling, axis: Axis, look: Look) -> list[go.Scatter]:
    """The knee on the curve, its interval across, as far as was measured."""
    if one.curve is None or one.knee is None or one.knee.cost is None:
        return []
    low, last = one.knee.low or one.knee.cost, one.points[-1].cost
    across = Interval(one.knee.cost, low, one.knee.high or last)
    return [
        plotly_objects().Scatter(
            x=[one.knee.cost], y=[one.curve.at(one.knee.cost)], mode="markers", legendgroup="knee", name="knee",
            marker={"size": 15, "symbol": "line-ns-open", "color": "var(--ink)", "line": {"width": 3}},
            error_x=whisker([across], "var(--ink)", 1), showlegend=False, hovertemplate="%{text}<extra></extra>",
            text=[f"{_name(look)}<br>knee {amount(one.knee.cost, axis)}"],
        )
    ]  # fmt: skip


def _keys(figure: go.Figure, found: Sequence[Scaling]) -> None:
    """One entry of the legend for all knees and one for all oracles, in no family's colour."""
    if any(one.passes for one in found):
        figure.add_scatter(
            x=[None], y=[None], mode="lines", legendgroup="oracle", name="oracle pass@k",
            line={"color": "var(--muted)", "width": 1.5, "dash": "dash"},
        )  # fmt: skip
    if any(one.knee and one.knee.cost for one in found):
        figure.add_scatter(
            x=[None], y=[None], mode="markers", legendgroup="knee", name="knee: a doubling buys < 0.5 points",
            marker={"size": 12, "symbol": "line-ns-open", "color": "var(--ink)", "line": {"width": 3}},
        )  # fmt: skip


def _axes(figure: go.Figure, axis: Axis, across: tuple[float, float], up: tuple[float, float]) -> None:
    marks = ticks(*across)
    names = [words.si(mark, "FLOP") if axis is Axis.FLOPS else _unit(axis, mark) for mark in marks]
    figure.update_xaxes(type="log", range=across, title=axis.value, tickvals=marks, ticktext=names)
    figure.update_yaxes(range=up, title="accuracy", tickformat=".1~%")


def whisker(intervals: Sequence[Interval], colour: str, thickness: float) -> dict[str, object]:
    """Error bars from intervals, without caps."""
    return {
        "type": "data", "symmetric": False, "color": colour, "thickness": thickness, "width": 0,
        "array": [i.high - i.mean for i in intervals], "arrayminus": [i.mean - i.low for i in intervals],
    }  # fmt: skip


def _labels(
    line: Sequence[Point], across: tuple[float, float], up: tuple[float, float], looks: dict[str, Look]
) -> list[dict[str, object]]:
    width, height = _SIZE

    def pixels(costs: Sequence[float], shares: Sequence[float]) -> tuple[list[float], list[float]]:
        xs = [(math.log10(cost) - across[0]) / (across[1] - across[0]) * width for cost in costs]
        return xs, [(share - up[0]) / (up[1] - up[0]) * height for share in shares]

    spots = [Box(x, y, 14, 14) for p in line for x, y in zip(*pixels([p.cost.mean], [p.accuracy.mean]), strict=True)]
    lines = along(*pixels(*hull(line))) + along(*pixels(*stairs(line, 10 ** across[1])))
    for point in line:
        lines += along(*pixels([point.cost.mean] * 2, [point.accuracy.low, point.accuracy.high]))
        lines += along(*pixels([point.cost.low, point.cost.high], [point.accuracy.mean] * 2))
    sizes = [(7.2 * len(looks[p.arm].label) + 6, 17.0) for p in line]
    boxes = place(spots, sizes, Box(width / 2, height / 2, width, height), lines)
    return [_label_at(p, looks[p.arm], spot, box) for p, spot, box in zip(line, spots, boxes, strict=True)]


def _label_at(point: Point, look: Look, spot: Box, box: Box) -> dict[str, object]:
    far = max(abs(box.x - spot.x) - box.width / 2, abs(box.y - spot.y) - box.height / 2) > 16
    return {
        "x": math.log10(point.cost.mean), "y": point.accuracy.mean, "text": _name(look), "showarrow": True,
        "ax": box.x - spot.x, "ay": spot.y - box.y, "arrowhead": 0, "arrowwidth": 1, "standoff": 8,
        "arrowcolor": "var(--line)" if far else "rgba(0,0,0,0)",
        "font": {"color": "var(--ink)" if point.on_frontier else "var(--muted)", "size": 13},
    }  # fmt: skip


def _heights(line: Sequence[Point]) -> tuple[float, float]:
    low, high = min(p.accuracy.low for p in line), max(p.accuracy.high for p in line)
    room = 0.08 * max(high - low, 0.05)
    return max(low - room, -0.02), min(high + room, 1.04)


def base(height: int, legend: bool = False) -> dict[str, object]:
    """The layout that every figure shares; `height` in pixels."""
    return {
        "height": height, "margin": {"l": 60, "r": 16, "t": 12, "b": 52}, "showlegend": legend, "template": "none",
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "hovermode": "closest",
        "font": {"family": "Inter, system-ui, sans-serif", "size": 13, "color": "var(--muted)"},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "var(--muted)", "activecolor": "var(--ink)"},
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
    }  # fmt: skip


def _quantiles(values: Sequence[float], most: int) -> Array:
    return np.asarray(np.quantile(values, np.linspace(0, 1, min(most, len(values)))))


def _name(look: Look) -> str:
    """Plotly reads a little HTML in its texts."""
    return html.escape(look.label, quote=False)


def _unit(axis: Axis, amount: float) -> str:
    return f"{words.count(amount)} tokens" if axis is Axis.TOKENS else words.seconds(amount)
