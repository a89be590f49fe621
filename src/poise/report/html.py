"""The report as one self-contained page: no network, no build, opens from disk. Everything shown is escaped, and a
content security policy lets nothing run but the two scripts whose hashes it names."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

import poise
from poise.evals.rows import Summary
from poise.evals.scaling import Scaling
from poise.report import figures, sections
from poise.report.calibration import reliability
from poise.report.examples import examples
from poise.report.frontier import Axis, axes, main_axis
from poise.report.headed import Headed
from poise.report.markup import Html, el, join
from poise.report.palette import looks
from poise.report.read import Reading
from poise.report.scaling import scalings, sentence, table
from poise.report.scored import ABOUT, HEADINGS, scored
from poise.store.whole import write_whole

_FRONTIER = (
    "Up and to the left is better. Bars are 95 % intervals. The solid line is the best accuracy that each cost buys "
    "with one arm, the dotted line what a random mix of two arms reaches: below it, an arm is not worth its cost."
)
_SCALING = (
    "Arms that differ in width alone, 95 % intervals, and a fitted curve. Past the knee one more doubling buys less "
    "than half a point. Dashed: questions for which one at least of k drafts is right (oracle pass@k); the selection "
    "gap is how far the choice among them falls short."
)
_CALIBRATION = (
    "On the diagonal, confidence can be believed. Bars are 95 % Wilson intervals; the larger the dot, the more answers."
)
_TRACES = "Not chosen by hand: the first right and the first wrong answer of each arm."


def write_html(reading: Reading, out: Path, scaled: Sequence[Scaling] | None = None) -> Path:
    """Write the page of a run to `out`; about 5 MB, nearly all of it plotly.js. `scaled`: its families, where they are
    known already. Raises ConfigError without plotly, StoreError when the disk refuses."""
    write_whole(out, page(reading, scaled))
    return out


def page(reading: Reading, scaled: Sequence[Scaling] | None = None) -> str:
    """The whole page as text."""
    figures.plotly_objects()
    scaled = scalings(reading) if scaled is None else scaled
    charts = _charts(reading, scaled)
    return shell(reading.title, _body(reading, charts, scaled), charts)


def shell(title: str, body: Html, charts: Mapping[str, str]) -> str:
    """A self-contained page: `charts` are plotly figures as JSON, by the name that an element's `data-figure` gives.
    Raises ConfigError without plotly, StoreError when the disk refuses."""
    figures.plotly_objects()
    from plotly.offline import get_plotlyjs

    js, plotly = _file("page.js"), get_plotlyjs()
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in (plotly, js))
    policy = f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"
    return Template(_file("page.html")).substitute(
        policy=policy,
        version=poise.__version__,
        title=join([title]),
        css=_file("page.css"),
        body=body,
        figures=_embedded(charts),
        plotly=plotly,
        js=js,
    )


def _charts(reading: Reading, scaled: Sequence[Scaling]) -> dict[str, str]:
    """Every figure of the page by name, as JSON."""
    summary, rows = reading.summary, reading.by_arm()
    drawn = looks(rows)
    charts = {f"frontier-{axis.name.lower()}": figures.frontier(summary, axis, drawn) for axis in axes(summary)}
    if scaled:
        families = looks(one.family.label for one in scaled)
        charts["scaling"] = figures.scaling(scaled, main_axis(summary), families)
    charts |= {"tokens": figures.tokens(rows, drawn), "seconds": figures.seconds(rows, drawn)}
    if believed := reliability(rows):
        charts["calibration"] = figures.calibration(believed, drawn)
    return {name: figure.to_json() for name, figure in charts.items()}


def _body(reading: Reading, charts: Mapping[str, str], scaled: Sequence[Scaling]) -> Html:
    summary, traces = reading.summary, reading.examples()
    parts = [
        *head(reading, reading.title, "Poise · accuracy, latency and cost"),
        sections.tiles(summary),
        _frontier(summary, charts),
        _scaling(scaled, main_axis(summary)),
        sections.comparisons(summary),
        sections.table(summary, looks(arm.arm for arm in summary.arms)),
        sections.tasks(summary),
        el(
            "div",
            sections.card("Tokens", "Generated tokens per question; the box is the middle half.", chart("tokens")),
            sections.card("Seconds", "Read upwards: what a deadline of x seconds would answer.", chart("seconds")),
            class_="pair",
        ),
        sections.card("Calibration", _CALIBRATION, chart("calibration")) if "calibration" in charts else None,
        _scores(reading),
        sections.card("Traces", _TRACES, examples(traces)) if traces else None,
        sections.settings(reading.settings, reading.environment),
        el("footer", f"Made by Poise {poise.__version__} from {len(reading.rows):,} graded answers."),
    ]
    return join(parts, "\n")


def head(reading: Headed, title: str, eyebrow: str) -> list[Html]:
    """The top of a page about a run."""
    return [
        el("p", eyebrow, class_="eyebrow"),
        el("h1", title),
        el("p", " · ".join(reading.about), class_="lead quiet"),
        *(el("p", note, class_="note", role="note") for note in reading.notes),
    ]


def _frontier(summary: Summary, charts: Mapping[str, str]) -> Html | None:
    first = next((name for name in charts if name.startswith("frontier")), None)
    if first is None:
        return None
    chart = el("div", id="frontier", class_="chart", data_figure=first)
    return sections.card("Frontier", _FRONTIER, sections.switch(summary, "frontier"), chart)


def _scores(reading: Reading) -> Html | None:
    told = scored(reading)
    return sections.card("Scores", ABOUT, sections.plain(HEADINGS, [each.cells() for each in told])) if told else None


def _scaling(scaled: Sequence[Scaling], axis: Axis) -> Html | None:
    if not scaled:
        return None
    told = (el("li", sections.kept_together(sentence(one, axis))) for one in scaled)
    return sections.card("Scaling", _SCALING, chart("scaling"), table(scaled, axis), el("ul", *told, class_="findings"))


def chart(name: str) -> Html:
    """The place of a figure."""
    return el("div", class_="chart", data_figure=name)


def _embedded(charts: Mapping[str, str]) -> str:
    """Figures as one JSON object that cannot end its script element: `<` only occurs inside JSON strings."""
    return f"{{{','.join(f'{json.dumps(name)}:{figure}' for name, figure in charts.items())}}}".replace("<", "\\u003c")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _file(name: str) -> str:
    return files("poise.report").joinpath(name).read_text(encoding="utf-8")
