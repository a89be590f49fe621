"""The pictures of an optimisation: the front of its prompts, and what its steps tried and won."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from poise.evals.rows import Interval
from poise.evals.stats import wilson
from poise.report import words
from poise.report.figures import base, plotly_objects
from poise.report.frontier import Point
from poise.report.palette import Look, looks
from poise.report.tuning.picks import slopes
from poise.report.tuning.read import Judged, Step, Tried, Tuning
from poise.report.tuning.told import edit, standing
from poise.tune.budget import Spent
from poise.tune.shortlist import Source

if TYPE_CHECKING:
    import plotly.graph_objects as go

Across: TypeAlias = Callable[[int, Spent], float]
_INITIAL = ("#5b6878", "square", "s")
_FEW, _MANY = 12, 150
_BAND, _LINE = "rgba(0, 114, 178, 0.16)", "#0072B2"


class Measure(Enum):
    """What the steps are drawn over: the label of the axis."""

    STEPS = "steps"
    CALLS = "answers drawn"
    TOKENS = "tokens, generated or run through the model"
    SECONDS = "minutes"

    def of(self, number: int, spent: Spent) -> float:
        """How much of it there was after so many steps."""
        return {
            Measure.STEPS: float(number),
            Measure.CALLS: float(spent.calls),
            Measure.TOKENS: float(spent.tokens),
            Measure.SECONDS: spent.seconds / 60,
        }[self]


def sources() -> dict[Source, Look]:
    """How the edits of each source are drawn, the same everywhere."""
    drawn = looks(source.value for source in Source)
    return {source: drawn[source.value] for source in Source}


def prompts(judged: Sequence[Judged], initial: str) -> dict[str, Look]:
    """How each judged prompt is drawn; the initial one is marked."""
    others = [one for one in judged if one.measured.name != initial]
    drawn = looks(one.name for one in others)
    found = {one.measured.name: drawn[one.name] for one in others}
    return {initial: Look("initial", *_INITIAL, "solid")} | found


def points(judged: Sequence[Judged]) -> list[Point]:
    """Judged prompts with a cost, by rising cost."""
    found = []
    for one in judged:
        measured, cost = one.measured, one.tokens
        if measured.cost > 0:
            share = wilson(sum(measured.right), len(measured.right))
            low = max(cost.low, cost.mean / 1000)  # 0 has no place on a log axis
            found.append(Point(measured.name, share, Interval(cost.mean, low, cost.high), one.kept))
    return found


@dataclass(frozen=True, slots=True)
class Stood:
    """An incumbent: from which step on (the one after it was accepted) to which, and its accuracy over their races."""

    made: Step | None
    steps: tuple[Step, ...]

    @property
    def accuracy(self) -> Interval | None:
        """None where it stood in no race that was recorded."""
        right, rows = sum(step.right for step in self.steps), sum(step.rows for step in self.steps)
        return wilson(right, rows) if rows else None


def stood(steps: Sequence[Step]) -> list[Stood]:
    """The incumbents in their order."""
    found, made, held = list[Stood](), None, list[Step]()
    for step in steps:
        held.append(step)
        if step.prompt != step.before:
            found.append(Stood(made, tuple(held)))
            made, held = step, []
    return [*found, Stood(made, tuple(held))]


def accuracy(tuning: Tuning, measure: Measure) -> go.Figure:
    """The accuracy of the incumbent on the rows of its races: every race a dot, and over all of its races a line with
    its interval; a mark where an edit took its place."""
    figure, at = plotly_objects().Figure(), _after(tuning.steps, measure)
    raced = [step for step in tuning.steps if step.rows]
    figure.add_scatter(
        x=[at[step.number] for step in raced], y=[step.right / step.rows for step in raced], mode="markers",
        name="one race", marker={"size": 6, "color": "var(--muted)"}, opacity=0.4,
        text=[f"step {step.number}: {step.right} of {step.rows} right" for step in raced],
        hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip
    spans = [(each, each.accuracy, *_ends(each, at)) for each in stood(tuning.steps)]
    known = [(share, start, end) for _, share, start, end in spans if share is not None]
    figure.add_scatter(
        x=_joined((start, start, end, end) for _, start, end in known), fill="toself", fillcolor=_BAND, mode="lines",
        y=_joined((share.low, share.high, share.high, share.low) for share, _, _ in known), line={"width": 0},
        hoverinfo="skip", name="95 % interval",
    )  # fmt: skip
    figure.add_scatter(
        x=_joined((start, end) for _, start, end in known), y=_joined((share.mean,) * 2 for share, _, _ in known),
        mode="lines", line={"color": _LINE, "width": 2.5}, name="all races of a prompt", hoverinfo="skip",
    )  # fmt: skip
    _marks(figure, spans)
    whole = 1 if measure is Measure.STEPS and len(tuning.steps) < _FEW else None
    figure.update_xaxes(title=measure.value, rangemode="tozero", zeroline=False, dtick=whole)
    figure.update_yaxes(title="share right", tickformat=".1~%", zeroline=False)
    figure.update_layout(**base(430, legend=True))
    return figure


def tries(steps: Sequence[Step]) -> go.Figure:
    """What every edit gained over the incumbent in its race, by its source; those that took its place are ringed."""
    edits = [(step, each) for step in steps for each in step.edits if each.standing.rows]
    figure = plotly_objects().Figure()
    drawn = [source for source in Source if any(each.source is source for _, each in edits)]
    for index, source in enumerate(drawn):
        own = [(step, each) for step, each in edits if each.source is source]
        beside = 0.5 * ((index + 0.5) / len(drawn) - 0.5)  # so that the edits of a step do not hide each other
        figure.add_trace(_dots(own, [step.number + beside for step, _ in own], sources()[source]))
    figure.update_xaxes(title="step", zeroline=False, dtick=1 if len(steps) < _FEW else None)
    _gained(figure)
    figure.update_layout(**base(380, legend=True))
    return figure


def foresight(steps: Sequence[Step]) -> go.Figure:
    """What edits gained against what the gradient expected of them."""
    figure, told = plotly_objects().Figure(), slopes(steps)
    for source, look in sources().items():
        own = [(step, each) for step, each in told if each.source is source]
        if own:
            figure.add_trace(_dots(own, [each.slope or 0.0 for _, each in own], look))
    figure.update_xaxes(title="slope: the change of the loss that the gradient expects", zerolinecolor="var(--muted)")
    _gained(figure)
    figure.update_layout(**base(400, legend=True))
    return figure


def _after(steps: Sequence[Step], measure: Measure) -> dict[int, float]:
    """Where each step's end is on the axis; -1: the beginning."""
    return {-1: 0.0} | {step.number: measure.of(count, step.spent) for count, step in enumerate(steps, 1)}


def _ends(each: Stood, at: dict[int, float]) -> tuple[float, float]:
    start = at[each.made.number] if each.made else 0.0
    return start, at[each.steps[-1].number] if each.steps else start


def _marks(figure: go.Figure, spans: Sequence[tuple[Stood, Interval | None, float, float]]) -> None:
    """A mark for every incumbent but the first, in the colour of its source, at its accuracy where that is known."""
    height = next((share.mean for _, share, _, _ in spans if share), 0.0)
    drawn: dict[Source | None, list[tuple[float, float, str]]] = {}
    for each, share, start, _ in spans:
        height = share.mean if share else height
        if each.made:
            won = each.made.accepted
            told = f"step {each.made.number}: {words.cut(each.made.prompt, 88)}"
            told = html.escape(f"{told} ({standing(won)})" if won else told, quote=False)
            drawn.setdefault(won.source if won else None, []).append((start, height, told))
    for source, found in drawn.items():
        look = sources()[source] if source else Look("edit", "#5b6878", "circle", "o", "solid")
        xs, ys, texts = zip(*found, strict=True)
        figure.add_scatter(
            x=xs, y=ys, text=texts, mode="markers", name=f"won by {look.label}", hovertemplate="%{text}<extra></extra>",
            marker={
                "size": _size(len(spans)), "symbol": "diamond", "color": look.colour,
                "line": {"color": "var(--card)", "width": 1},
            },
        )  # fmt: skip


def _dots(own: Sequence[tuple[Step, Tried]], xs: Sequence[float], look: Look) -> go.Scatter:
    won = [step.accepted is each for step, each in own]
    about = [
        f"step {step.number}, {look.label}: {html.escape(edit(step, each), quote=False)}<br>{standing(each)}"
        + ("" if each.slope is None else f", slope {each.slope:+.3g}")
        for step, each in own
    ]
    return plotly_objects().Scatter(
        x=xs, y=[100 * each.standing.gain for _, each in own], mode="markers", name=look.label, text=about,
        hovertemplate="%{text}<extra></extra>",
        marker={
            "color": look.colour, "size": [_size(len(own)) if each else 8 if len(own) < _MANY else 5 for each in won],
            "opacity": [1.0 if each else 0.55 for each in won],
            "line": {"color": "var(--ink)", "width": [1.5 if each else 0 for each in won]},
        },
    )  # fmt: skip


def _size(count: int) -> int:
    """Of a mark that should be seen, smaller where there are many."""
    return 13 if count < 60 else 10 if count < _MANY else 8


def _gained(figure: go.Figure) -> None:
    figure.update_yaxes(title="points gained in the race", zerolinecolor="var(--muted)", tickformat="+~g")


def _joined(parts: Iterable[Sequence[float]]) -> list[float | None]:
    """Lines one after the other, with a gap between them."""
    return [each for part in parts for each in (*part, None)]
