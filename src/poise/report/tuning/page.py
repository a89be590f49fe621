"""An optimisation as one self-contained page: what came of it, the front, the steps, and if the gradient helped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import poise
from poise.report import figures, html, sections
from poise.report.frontier import Axis
from poise.report.markup import Html, el, join
from poise.report.tuning import figures as pictures
from poise.report.tuning import parts
from poise.report.tuning.figures import Measure
from poise.report.tuning.lineage import lineage
from poise.report.tuning.picks import slopes
from poise.report.tuning.read import Judged, Tuning
from poise.store.whole import write_whole

_FRONT = (
    "Prompts on questions that no step has seen. Up and to the left is better; bars are 95 % intervals. Solid: the "
    "best accuracy that each cost buys with one prompt; dotted: a random mix of two. The square is the prompt to begin "
    "with; pale is what another surely beats."
)
_RACES = (
    "How the prompt did in its races, on questions to learn from: a dot is one race, the line all races of one prompt, "
    "the band its 95 % interval, a diamond an edit that was accepted. What counts is on the front, not here."
)
_TRIES = "Every edit that was raced, by what it gained over the prompt at hand; the large ones were accepted."
_FORESIGHT = "To the left of 0 the gradient expects a gain, above 0 there was one: dots would fall from left to right."


def write_html(tuning: Tuning, out: Path) -> Path:
    """Write the page of an optimisation to `out`. ConfigError: plotly is missing. StoreError: the disk refuses."""
    write_whole(out, page(tuning))
    return out


def page(tuning: Tuning) -> str:
    """The whole page as text."""
    figures.plotly_objects()
    judged = tuning.judged()
    charts = _charts(tuning, judged)
    return html.shell(tuning.title, _body(tuning, judged, charts), charts)


def _charts(tuning: Tuning, judged: Sequence[Judged]) -> dict[str, str]:
    """Every figure of the page by name, as JSON."""
    charts = {}
    if line := pictures.points(judged):
        charts["front"] = figures.cloud(line, Axis.TOKENS, pictures.prompts(judged, tuning.initial))
    if any(step.rows for step in tuning.steps):
        charts |= {f"accuracy-{measure.name.lower()}": pictures.accuracy(tuning, measure) for measure in Measure}
    charts["tries"] = pictures.tries(tuning.steps)
    if slopes(tuning.steps):
        charts["foresight"] = pictures.foresight(tuning.steps)
    return {name: figure.to_json() for name, figure in charts.items()}


def _body(tuning: Tuning, judged: Sequence[Judged], charts: dict[str, str]) -> Html:
    versions, last = lineage(tuning)
    told = [
        *html.head(tuning, tuning.title, "Poise · prompt tuning"),
        parts.tiles(tuning, judged),
        parts.outcome(tuning, last),
        sections.card("Front", _FRONT, html.chart("front"), parts.table(tuning, judged)) if "front" in charts else None,
        _steps(charts),
        sections.card("Edits", _TRIES, html.chart("tries")),
        parts.control(tuning),
        sections.card("Foresight", _FORESIGHT, html.chart("foresight"), parts.foresight(tuning))
        if "foresight" in charts
        else None,
        parts.descent(tuning, versions, judged),
        parts.log(tuning),
        _again(tuning),
        el("footer", f"Made by Poise {poise.__version__} from {len(tuning.steps):,} steps."),
    ]
    return join(told, "\n")


def _steps(charts: dict[str, str]) -> Html | None:
    """The accuracy chart, over what the reader chooses."""
    names = [name for name in charts if name.startswith("accuracy-")]
    if not names:
        return None
    buttons = (
        el(
            "button",
            label,
            type="button",
            data_on="accuracy",
            data_axis=name,
            aria_pressed=str(name == names[0]).lower(),
        )
        for name, label in zip(names, ("Steps", "Answers", "Tokens", "Minutes"), strict=True)
    )  # fmt: skip
    switch = el("div", *buttons, class_="switch", role="group", aria_label="what the steps are drawn over")
    return sections.card("Races", _RACES, switch, el("div", id="accuracy", class_="chart", data_figure=names[0]))


def _again(tuning: Tuning) -> Html:
    settings = {name: told for name, told in tuning.settings.items() if name not in ("learn", "judge")}
    return sections.card(
        "Settings",
        "What decides the outcome, and what it ran on. The same command goes on where the run stopped.",
        el("details", el("summary", "Settings"), sections.listed(settings)),
        el("details", el("summary", "Environment"), sections.listed(tuning.environment)),
    )
