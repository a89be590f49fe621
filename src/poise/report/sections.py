"""The parts of the page, as markup: headline, comparisons, table, tasks, settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from poise.evals.rows import ArmSummary, Interval, Summary, TaskScore
from poise.records import Json
from poise.report import words
from poise.report.frontier import Axis, axes
from poise.report.markup import Html, el
from poise.report.palette import Look
from poise.report.recipe import recipe
from poise.report.words import Verdict

_BADGE = {Verdict.BETTER: "badge good", Verdict.WORSE: "badge bad", Verdict.OPEN: "badge open"}
_SWITCH = {
    Axis.FLOPS: "FLOPs", Axis.TOKENS: "Tokens", Axis.SECONDS: "Seconds", Axis.WORK: "Seconds of work",
}  # fmt: skip


def card(title: str, caption: str, *inside: str | None) -> Html:
    """A titled card."""
    return el("section", el("h2", title), el("p", kept_together(caption), class_="caption"), *inside, class_="card")


def tiles(summary: Summary) -> Html:
    """Headline numbers."""
    best = max(summary.arms, key=lambda arm: (arm.accuracy.mean, -arm.cost(summary.cost).mean))
    arms = {arm.arm: arm for arm in summary.arms}
    found = [tile("Most accurate arm", words.percent(best.accuracy.mean), _about(best.accuracy, best.arm))]
    if summary.frontier and summary.frontier[0] != best.arm:
        cheap = arms[summary.frontier[0]]
        costs = [arm.cost(summary.cost).mean for arm in (best, cheap)]
        times = f", {costs[0] / costs[1]:.3g} times cheaper" if costs[1] else ""
        about = _about(cheap.accuracy, cheap.arm) + times
        found.append(tile("Cheapest arm", words.percent(cheap.accuracy.mean), about))
    oracle = "questions that some arm got right (oracle)"
    found.append(tile("Reach of a perfect choice", words.percent(summary.oracle), oracle))
    kept = (
        "gives the most accuracy for its cost"
        if len(summary.frontier) == 1
        else "give the most accuracy for their cost"
    )
    found.append(tile("On the frontier", f"{len(summary.frontier)} of {len(summary.arms)} arms", kept))
    return el("div", *found, class_="tiles")


def switch(summary: Summary, chart: str) -> Html | None:
    """Buttons that choose the cost axis of the frontier chart."""
    return el(
        "div",
        *(
            el(
                "button", _SWITCH[axis], type="button", data_on=chart, data_axis=f"frontier-{axis.name.lower()}",
                aria_pressed="true" if index == 0 else "false",
            )
            for index, axis in enumerate(axes(summary))
        ),
        class_="switch", role="group", aria_label="cost axis",
    )  # fmt: skip


def comparisons(summary: Summary) -> Html | None:
    """Each named comparison: the verdict and the sentence."""
    if not summary.comparisons:
        return None
    found = []
    for comparison in summary.comparisons:
        verdict = words.verdict(comparison)
        badge = el("span", verdict.value, class_=_BADGE[verdict])
        found.append(el("li", badge, el("span", kept_together(words.sentence(comparison, summary)))))
    caption = (
        "Named before the run, on the same questions; intervals by paired cluster bootstrap, p-values by the exact "
        "McNemar test, the verdict at the 5 % level after Holm. No difference shown is not no difference."
    )
    return card("Comparisons", caption, el("ul", *found, class_="findings"))


def table(summary: Summary, looks: Mapping[str, Look]) -> Html:
    """Arms with intervals; a click on a heading sorts."""
    headings = (
        "Arm",
        "Accuracy",
        "Complete",
        "New tokens",
        "FLOP",
        "p50",
        "p95",
        "Work",
        "Joules",
        "Reads",
        "Hull gap",
        "n",
    )
    head = el("tr", *(el("th", name, data_sort=True, tabindex="0", scope="col") for name in headings))
    rows = (
        el("tr", *_cells(arm), class_=None if arm.on_frontier else "dominated", style=f"--arm:{looks[arm.arm].colour}")
        for arm in summary.arms
    )
    caption = (
        "Costs are means per question with 95 % bootstrap intervals; accuracy and completion carry Wilson intervals. "
        "Reads: how often each token was run through the model. "
        "Hull gap: points above what mixing the other arms at random would reach at this cost. "
        f"Joules are {'metered' if summary.energy_measured else 'an estimate from busy seconds, not metered'}."
    )
    inside = el("table", el("thead", head), el("tbody", *rows))
    return card("Arms", caption, el("div", inside, class_="wide"))


def tasks(summary: Summary) -> Html | None:
    """Accuracy per task and arm as a heat map; None for a single task."""
    names = list(dict.fromkeys(score.task for arm in summary.arms for score in arm.tasks))
    if len(names) < 2:
        return None
    head = el("tr", el("th", "Arm"), *(el("th", name, scope="col") for name in names))
    rows = []
    for arm in summary.arms:
        scores = {score.task: score for score in arm.tasks}
        cells = (_heat(scores.get(name)) for name in names)
        rows.append(el("tr", el("td", arm.arm, class_="name"), *cells))
    inside = el("table", el("thead", head), el("tbody", *rows), class_="heat")
    return card("Tasks", "Accuracy with its 95 % Wilson interval, per task.", el("div", inside, class_="wide"))


def plain(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """A table of words."""
    head = el("tr", *(el("th", heading, scope="col") for heading in headings))
    body = (el("tr", *(el("td", cell) for cell in row)) for row in rows)
    return el("div", el("table", el("thead", head), el("tbody", *body)), class_="wide")


def settings(told: Json, machine: Json) -> Html:
    """How to run it again, and what it ran on."""
    return card(
        "Run it again",
        "Save the settings as again.toml. Same items, same seeds; on an engine that honours seeds, the same answers.",
        copied("poise bench --config again.toml --run runs/again"),
        el("details", el("summary", "again.toml"), copied(recipe(told))),
        el("details", el("summary", "Environment"), listed(machine)),
    )


def copied(text: str) -> Html:
    """Text with a button that copies it."""
    return el("div", el("code", text), el("button", "Copy", type="button", class_="copy"), class_="command")


def kept_together(text: str) -> str:
    """No line break around an equals sign or before a per cent sign."""
    return text.replace(" = ", "\u00a0=\u00a0").replace(" %", "\u00a0%").replace(" <", "\u00a0<")


def tile(what: str, figure: str, about: str) -> Html:
    """One headline number."""
    return el("div", el("span", what, class_="what"), el("b", figure), el("span", about, class_="who"), class_="tile")


def _about(interval: Interval, arm: str) -> str:
    return f"{words.clean(arm)} {words.bracket(interval, 100)}"


def _cells(arm: ArmSummary) -> list[Html]:
    failed = el("span", f" {arm.failed} failed", class_="failure") if arm.failed else None
    mark = el("span", " ◆", title="on the frontier") if arm.on_frontier else None
    return [
        el("td", el("span", class_="dot"), arm.arm, mark, failed, class_="name", data_key=arm.arm),
        el("td", words.percent(arm.accuracy.mean), el("span", words.bracket(arm.accuracy, 100), class_="range"),
           bar(arm.accuracy), data_key=str(arm.accuracy.mean)),
        el("td", words.percent(arm.completion.mean), data_key=str(arm.completion.mean)),
        _ranged(arm.new_tokens, words.count),
        _ranged(arm.flops, words.si),
        el("td", words.seconds(arm.seconds.p50), data_key=str(arm.seconds.p50)),
        el("td", words.seconds(arm.seconds.p95), data_key=str(arm.seconds.p95)),
        el("td", words.seconds(arm.busy_seconds), data_key=str(arm.busy_seconds)),
        el("td", words.si(arm.joules), data_key=str(arm.joules)),
        el("td", words.times(arm.prefix_reads), data_key=str(arm.prefix_reads or 0)),
        el("td", words.points(arm.hull_gap), data_key=str(arm.hull_gap)),
        el("td", str(arm.n), data_key=str(arm.n)),
    ]  # fmt: skip


def _ranged(cost: Interval, show: words.Show) -> Html:
    spread = el("span", f"{show(cost.low)} to {show(cost.high)}", class_="range") if cost.high > cost.low else None
    return el("td", show(cost.mean), spread, data_key=str(cost.mean))


def bar(share: Interval) -> Html:
    """A share with its interval on a line from 0 to 1."""
    places = f"--low:{share.low:.2%};--high:{share.high:.2%};--mean:{share.mean:.2%}"
    return el("span", el("i"), el("b"), class_="bar", style=places, aria_hidden="true")


def _heat(score: TaskScore | None) -> Html:
    if score is None:
        return el("td", "-", class_="cell")
    about = el("span", f"{words.bracket(score.accuracy, 100, 0)}, n = {score.n}", class_="range")
    share = score.accuracy.mean
    return el("td", f"{100 * share:.0f} %", about, class_="cell", style=f"--heat:{60 * share:.0f}%")


def listed(told: Json) -> Html:
    """Settings as a list; entries of entries are joined by dots."""
    pairs = (part for name, entry in _flat(told, "") for part in (el("dt", name), el("dd", el("code", entry))))
    return el("dl", *pairs)


def _flat(node: object, at: str) -> list[tuple[str, str]]:
    if isinstance(node, Mapping) and node:
        return [pair for key, inside in node.items() for pair in _flat(inside, f"{at}.{key}" if at else str(key))]
    return [(at, ", ".join(map(str, node)) if isinstance(node, list) else str(node))]
