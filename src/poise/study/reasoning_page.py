"""What the study of thoughts and search shows, as Markdown and as one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import poise
from poise.evals.rows import ArmSummary, Interval, Summary
from poise.evals.stats import noninferior, smallest_margin
from poise.report import figures, html, sections, words
from poise.report.frontier import Axis, points
from poise.report.markup import Html, el, join
from poise.report.palette import looks
from poise.report.read import Reading
from poise.report.scored import ABOUT, HEADINGS, scored
from poise.study.published_tables import figures as published
from poise.study.reasoning_arms import PROMISES

if TYPE_CHECKING:
    import plotly.graph_objects as go

TITLE = "Inference scaling vs reasoning"
_FLAWS = (
    (
        "flaw_leaf",
        "The leaf rule fired on the question's own digits, so that nearly every path ended at once.",
    ),
    (
        "flaw_cut",
        "Steps were cut at 96 tokens, in the middle of a line; by the leaf rule, what was left open was never closed. "
        "Where answers are shorter than that they are cut earlier here (knob cut of the arm).",
    ),
    ("flaw_last_integer", "The last whole number of such a fragment was read as its answer."),
    ("flaw_argmax", "The single best score chose the answer, where votes would have evened out what scores get wrong."),
    ("flaw_all", "All of these together."),
)
_UNCHARGED = (
    "And thoughts were not charged: the published FLOPs leave out every thought token, the prompt and the scorer. The "
    'column "as published" counts so, the tokens of text alone; beside it is what was executed.'
)
_SHARED = (
    "Arms draw on the same dice, and what two of them drew alike was drawn once and billed to both; so there are no "
    "seconds."
)
_EFFICIENCY = (
    "Score: what the published study ranks by, 100 x (accuracy in %)^2 / (TFLOP x seconds) of a question, with what "
    "was executed and the seconds of a question asked by itself. It rewards whatever is cheap, however wrong, so "
    "nothing here is decided by it."
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the finished parts hold."""

    main: Reading
    timed: Reading
    ablation: Reading

    def idle(self) -> Summary:
        """Of the main arms, with the seconds of questions that were asked one at a time."""
        seconds = {arm.arm: arm for arm in self.timed.summary.arms}
        arms = tuple(
            replace(arm, seconds=seconds[arm.arm].seconds, busy_seconds=seconds[arm.arm].busy_seconds)
            for arm in self.main.summary.arms
            if arm.arm in seconds
        )
        return replace(self.main.summary, arms=arms)


@dataclass(frozen=True, slots=True)
class Line:
    """One arm of a table. `thoughts`: tokens thought for each token of text; `charged`: FLOPs as the published study
    counts them, 2 for each parameter and token of text (0 where the model's size is not known)."""

    arm: ArmSummary
    thoughts: float
    charged: float

    def efficiency(self, share: float) -> float:
        """The published score, were the accuracy this share; 0 where FLOPs or seconds are not known."""
        spent = self.arm.flops.mean / 1e12 * self.arm.seconds.mean
        return 100 * (100 * share) ** 2 / spent if spent else 0.0


def lines(reading: Reading, summary: Summary | None = None) -> list[Line]:
    """The arms of a run, in its order; `summary`: with other seconds than its own."""
    found = []
    rows = reading.by_arm()
    sizes = [engine.get("parameters") or 0 for engine in reading.environment.get("engines", {}).values()]
    for arm in (summary or reading.summary).arms:
        new = sum(row.usage.new_tokens + row.usage.overrun_tokens for row in rows[arm.arm])
        thought = sum(row.usage.thought_tokens for row in rows[arm.arm])
        charged = 2 * max(sizes, default=0) * new / len(rows[arm.arm])
        found.append(Line(arm, thought / new if new else 0.0, charged))
    return found


_HEADINGS = ("arm", "accuracy %", "95 %", "GFLOP", "as published", "tokens", "thoughts a token")
_TIMED = (*_HEADINGS, "s, median", "s of work", "score")


def _cells(line: Line) -> tuple[str, ...]:
    arm = line.arm
    return (
        arm.arm,
        f"{100 * arm.accuracy.mean:.1f}",
        words.bracket(arm.accuracy, 100),
        f"{arm.flops.mean / 1e9:,.0f}",
        f"{line.charged / 1e9:,.1f}",
        f"{arm.new_tokens.mean:,.0f}",
        f"{line.thoughts:.2f}",
    )


def _timed(found: Outcome) -> list[tuple[str, ...]]:
    return [
        (
            *_cells(line),
            f"{line.arm.seconds.p50:.2f}",
            f"{line.arm.busy_seconds:.2f}",
            f"{line.efficiency(line.arm.accuracy.mean):,.0f}",
        )
        for line in lines(found.main, found.idle())
    ]


def tables(found: Outcome) -> list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    """What was measured beside what was published, and the ablations: titles, headings and rows."""
    return [
        ("Here", _TIMED, _timed(found)),
        ("As published (Mistral-7B, 128 items of GSM8K)", *_published()),
        ("Ablations", _HEADINGS, [_cells(line) for line in lines(found.ablation)]),
        ("Scores", HEADINGS, [told.cells() for part in (found.main, found.ablation) for told in scored(part)]),
    ]


def markdown(found: Outcome, margin: float) -> str:
    """The whole study as text."""
    main, ablation = found.main, found.ablation
    here, theirs, ablations, scores = tables(found)
    parts = [
        f"# {TITLE}",
        " · ".join(main.about),
        *(f"*{note}*" for note in dict.fromkeys((*main.notes, *found.timed.notes))),
        f"## {here[0]}",
        _grid(*here[1:]),
        _seconds(found),
        f"## {theirs[0]}",
        _grid(*theirs[1:]),
        "## Tests named beforehand",
        *_sentences(main),
        *(f"- {promise}" for promise in promises(main, margin)),
        "## Why the published union failed",
        *(f"- `{name}`: {text}" for name, text in _FLAWS),
        _UNCHARGED,
        _SHARED,
        *(f"*{note}*" for note in ablation.notes),
        _grid(*ablations[1:]),
        *_sentences(ablation),
        f"## {scores[0]}",
        ABOUT,
        _grid(*scores[1:]),
        f"{_EFFICIENCY}",
    ]
    return "\n\n".join(parts) + "\n"


def _seconds(found: Outcome) -> str:
    n = len({row.item for row in found.timed.rows})
    charged = "GFLOP are those of policy, thoughts, prompts and scorer."
    return f"Seconds are of {n} of the questions, asked one at a time. {charged}"


def _grid(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    told = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in told)


def _published() -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    headings = ("configuration", "correct of 128", "accuracy %", "TFLOP, as claimed", "seconds")
    return headings, [
        (row.label, str(row.correct), f"{100 * row.correct / row.items:.1f}", f"{row.teraflops}", f"{row.seconds}")
        for row in published()
    ]


def _sentences(reading: Reading) -> list[str]:
    return [f"- {words.sentence(comparison, reading.summary)}" for comparison in reading.summary.comparisons]


def promises(main: Reading, margin: float) -> list[str]:
    """Of each promised pair, whether its first arm is worse by `margin` or not, by Tango's test, and for how much."""
    found = []
    pairs = {(comparison.first, comparison.second): comparison for comparison in main.summary.comparisons}
    for first, second in PROMISES:
        told = pairs[first, second]
        p = noninferior(told.only_first, told.only_second, told.n, margin)
        supported = smallest_margin((told.only_first + told.only_second) / told.n, told.n)
        found.append(
            f"{first} {'is not' if p < 0.05 else 'was not shown not to be'} worse than {second} by {100 * margin:.1f} "
            f"points, the margin stated beforehand (one-sided p {words.probability(p)}; as often as they differ, n = "
            f"{told.n} supports {100 * supported:.1f} points), at {told.cost_ratio.mean:.2f} times its "
            f"{words.unit_word(main.summary)}."
        )
    return found


def page(found: Outcome, margin: float) -> str:
    """The study as a page: tables, three pictures, tests, and the flaws. Raises ConfigError without plotly."""
    main, ablation = found.main, found.ablation
    here, theirs, ablations, scores = tables(found)
    drawn = looks(arm.arm for arm in main.summary.arms)
    axes = {"compute": (main.summary, Axis.FLOPS), "runtime": (found.idle(), Axis.SECONDS)}
    charts = {
        name: figures.frontier(summary, axis, drawn).to_json()
        for name, (summary, axis) in axes.items()
        if points(summary, axis)
    }
    charts["efficiency"] = efficiency(lines(main, found.idle())).to_json()
    told = [
        *html.head(main, TITLE, "Poise · thoughts and search"),
        sections.tiles(main.summary),
        *(_panel(name, charts) for name in _PANELS),
        sections.comparisons(main.summary),
        sections.card(
            "Not worse?",
            "Tests of non-inferiority, named beforehand.",
            el("ul", *(el("li", promise) for promise in promises(main, margin))),
        ),
        sections.card("Arms", f"Means per question. {_seconds(found)}", sections.plain(*here[1:])),
        sections.card("As published", "Mistral-7B, 128 items of GSM8K, arXiv 2412.16260.", sections.plain(*theirs[1:])),
        sections.card(
            "Why the published union failed",
            "Each flaw switched on alone, upon the union that always thinks and has none of them.",
            el("ul", *(el("li", el("code", name), f" {text}") for name, text in _FLAWS), class_="findings"),
            el("p", _UNCHARGED, " ", _SHARED),
            sections.plain(*ablations[1:]),
        ),
        sections.comparisons(ablation.summary),
        sections.card(scores[0], ABOUT, sections.plain(*scores[1:])),
        sections.settings(main.settings, main.environment),
        el("footer", f"Made by Poise {poise.__version__} from {len(main.rows) + len(ablation.rows):,} graded answers."),
    ]
    return html.shell(TITLE, join(told, "\n"), charts)


_PANELS = {
    "compute": ("Accuracy and compute", "Up and to the left is better. Bars are 95 % intervals."),
    "runtime": (
        "Accuracy and runtime",
        "Median seconds of a few questions asked one by one, with a whisker to the 95th percentile.",
    ),
    "efficiency": ("Efficiency", _EFFICIENCY),
}


def _panel(name: str, charts: dict[str, str]) -> Html | None:
    title, caption = _PANELS[name]
    return sections.card(title, caption, html.chart(name)) if name in charts else None


def efficiency(told: Sequence[Line]) -> go.Figure:
    """The published score of each arm, over the interval of its accuracy."""
    objects = figures.plotly_objects()
    ranked = sorted(told, key=lambda line: line.efficiency(line.arm.accuracy.mean))
    names, spans = [line.arm.arm for line in ranked], [_spread(line) for line in ranked]
    bars = {
        "type": "data",
        "array": [span.high - span.mean for span in spans],
        "arrayminus": [span.mean - span.low for span in spans],
    }
    spots = [span.mean for span in spans]
    figure = objects.Figure(objects.Bar(x=spots, y=names, orientation="h", error_x=bars, marker_color="#0072B2"))
    figure.update_layout(**figures.base(40 + 28 * len(names)), xaxis_title="100 x accuracy%^2 / (TFLOP x s)")
    return figure


def _spread(line: Line) -> Interval:
    share = line.arm.accuracy
    return Interval(*(line.efficiency(each) for each in (share.mean, share.low, share.high)))
