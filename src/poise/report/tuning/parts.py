"""The parts of the page of an optimisation, as markup."""

from __future__ import annotations

from collections.abc import Sequence

from poise.evals.rows import Interval
from poise.evals.stats import wilson
from poise.report import sections, words
from poise.report.markup import Html, el
from poise.report.tuning import told
from poise.report.tuning.figures import prompts, sources
from poise.report.tuning.heat import changed, pulled
from poise.report.tuning.lineage import Piece, Version
from poise.report.tuning.picks import Tally, tallies
from poise.report.tuning.picks import foresight as correlation
from poise.report.tuning.read import Judged, Step, Tried, Tuning
from poise.report.tuning.told import Finding
from poise.report.words import Verdict

_BADGE = {Verdict.BETTER: "badge good", Verdict.WORSE: "badge bad", Verdict.OPEN: "badge open", None: "badge open"}
_LATE = 12  # edits that are shown without asking
_JUDGED = ("Prompt", "Accuracy", "Gain, points", "New tokens", "p95", "Text")
_SOURCES = ("Picked by", "Tried", "Ahead in the end", "Accepted", "Rows won : lost", "Mean gain, points")


def tiles(tuning: Tuning, judged: Sequence[Judged]) -> Html:
    """Headline numbers."""
    ended, spent = tuning.ended, tuning.spent
    by_name = {one.measured.name: one for one in judged}
    first, best = by_name.get(tuning.initial), by_name.get(ended.picked) if ended else None
    found = []
    if ended:
        others = any(one.gain for one in judged)
        about = f"points {words.bracket(ended.gain, 100)}, {'shown' if ended.shown else 'not shown'}"
        figure, about = (words.points(ended.gain.mean), about) if others else ("none", "no edit was accepted")
        found.append(sections.tile("Gain of the best finalist", figure, about))
    if best and first:
        for what, show in (("Accuracy", _accuracy), ("New tokens an answer", _tokens)):
            before = (
                "of the prompt to begin with, which stays" if best is first else f"from {show(first)} to begin with"
            )
            found.append(sections.tile(what, show(best), before))
    accepted = len(tuning.accepted)
    figure = f"{len(tuning.steps):,} step{'s' if len(tuning.steps) != 1 else ''}"
    tokens = words.si(spent.tokens).replace(" ", "\u00a0")
    cost = f"{spent.calls:,} answers, {tokens} tokens, {words.seconds(spent.seconds)}"
    found.append(sections.tile("Spent", figure, f"{accepted} accepted; {cost}"))
    return el("div", *found, class_="tiles")


def outcome(tuning: Tuning, last: Sequence[Piece]) -> Html:
    """The verdict, the prompt before and after, and what became of its tokens."""
    shown = [el("h3", "To begin with"), el("div", tuning.initial, class_="question")]
    ended = tuning.ended
    if ended and ended.picked != tuning.initial:
        shown += [el("h3", f"What came out ({tuning.name(ended.picked)})"), sections.copied(ended.picked)]
    caption = "A gain counts where its interval (bootstrap) lies above 0 and p is below .05; else the prompt stays."
    return sections.card(
        "Outcome",
        caption,
        _findings(told.ended(tuning)),
        *shown,
        changed(last, tuning),
        pulled(last),
    )


def table(tuning: Tuning, judged: Sequence[Judged]) -> Html:
    """The judged prompts, the most accurate first."""
    head = el("tr", *(el("th", name, data_sort=True, tabindex="0", scope="col") for name in _JUDGED))
    drawn, best = prompts(judged, tuning.initial), tuning.ended.picked if tuning.ended else None
    rows = (
        el(
            "tr",
            *_cells(one, best == one.measured.name),
            class_=None if one.kept else "dominated",
            style=f"--arm:{drawn[one.measured.name].colour}",
        )
        for one in sorted(judged, key=lambda each: -each.measured.accuracy)
    )
    return el("div", el("table", el("thead", head), el("tbody", *rows), class_="prompts"), class_="wide")


def control(tuning: Tuning) -> Html:
    """How often the picks of each source won."""
    head = el("tr", *(el("th", name, scope="col") for name in _SOURCES))
    rows = (_tally(each) for each in tallies(tuning.steps))
    caption = (
        "The control: picks of the gradient and picks at random are raced in the same steps, on the same questions and "
        "dice. Shares carry 95 % Wilson intervals; gains are means over edits, bootstrapped over steps."
    )
    inside = el("div", el("table", el("thead", head), el("tbody", *rows)), class_="wide")
    return sections.card("Gradient against chance", caption, inside, _findings(told.control(tuning)))


def foresight(tuning: Tuning) -> Html:
    """How well slopes tell what is gained."""
    rank = correlation(tuning.steps)
    if rank is None:
        return el("p", "Too few edits to tell whether a slope means anything.", class_="quiet")
    said = "no relation is shown" if rank.low <= 0 <= rank.high else "steeper edits did " + (
        "better" if rank.mean < 0 else "worse"
    )  # fmt: skip
    return el("p", f"Rank correlation {_signed(rank.mean)} {words.bracket(rank, digits=2)}: {said}.", class_="quiet")


def descent(tuning: Tuning, versions: Sequence[Version], judged: Sequence[Judged]) -> Html:
    """From the initial prompt, edit by edit."""
    by_name = {one.measured.name: one for one in judged}
    caption = (
        "Every edit that was accepted: what it took out and put in, and the rows of its race that it won and lost. A "
        "race is won by chance now and then: what a prompt is worth stands beside it where it was judged."
    )
    first, *edits = [_version(each, by_name) for each in versions]
    early, late = edits[:-_LATE], edits[-_LATE:]
    folded = el("details", el("summary", f"{len(early):,} edits before"), el("ol", *early, class_="lineage"))
    line = el("ol", first, el("li", folded) if early else None, *late, class_="lineage")
    return sections.card("Lineage", caption, line)


def log(tuning: Tuning) -> Html:
    """What every step tried."""
    key = el(
        "p", el("span", "won more rows than it lost", class_="agrees"), el("span", "lost more", class_="differs"),
        el("span", "even", class_="silent"),
        "framed: accepted; ∅: left out; ∅ …: with all behind it; +: put in; =: as it was",
        class_="key",
    )  # fmt: skip
    rows = (el("tr", el("td", *_heading(step)), el("td", _fan(step))) for step in tuning.steps)
    inside = el("div", el("table", el("tbody", *rows), class_="log"), class_="wide")
    caption = "The token at hand, and what was tried in its place; point at an edit to see its race."
    return sections.card("Every step", caption, el("details", el("summary", "Show"), key, inside))


def _findings(found: Sequence[Finding]) -> Html:
    told = (
        el("li", el("span", each.label, class_=_BADGE[each.verdict]), el("span", sections.kept_together(each.sentence)))
        for each in found
    )
    return el("ul", *told, class_="findings")


def _cells(one: Judged, chosen: bool) -> list[Html]:
    measured = one.measured
    share = wilson(sum(measured.right), len(measured.right))
    mark = el("span", " ✓", title="the prompt that came out") if chosen else None
    gain = el("td", "-", data_key="0") if one.gain is None else _gain(one.gain)
    return [
        el("td", el("span", class_="dot"), one.name, mark, class_="name", data_key=one.name),
        el("td", words.percent(share.mean), el("span", words.bracket(share, 100), class_="range"), sections.bar(share),
           data_key=str(share.mean)),
        gain,
        el("td", words.count(measured.cost), el("span", f"{words.count(one.tokens.low)} to "
           f"{words.count(one.tokens.high)}", class_="range"), data_key=str(measured.cost)),
        el("td", words.seconds(measured.latency), data_key=str(measured.latency)),
        el("td", measured.name, class_="said", data_key=measured.name),
    ]  # fmt: skip


def _gain(gain: Interval) -> Html:
    spread = el("span", words.bracket(gain, 100), class_="range")
    return el("td", words.points(gain.mean), spread, data_key=str(gain.mean))


def _tally(each: Tally) -> Html:
    shares = (
        el("td", f"{count} · {words.percent(share.mean)}", el("span", words.bracket(share, 100), class_="range"),
           sections.bar(share))
        for count, share in ((each.ahead, each.ahead_share), (each.accepted, each.accepted_share))
    )  # fmt: skip
    name = el("td", el("span", class_="dot"), each.source.value, class_="name")
    rows = el("td", f"{each.wins:,} : {each.losses:,}")
    gain = _gain(each.gain) if each.gain else el("td", "-")
    look = sources()[each.source]
    return el("tr", name, el("td", f"{each.tried:,}"), *shares, rows, gain, style=f"--arm:{look.colour}")


def _version(each: Version, judged: dict[str, Judged]) -> Html:
    kept = (el("span", *(piece.text for piece in part)) for part in (each.before, each.behind))
    before, behind = kept
    out = el("del", *(piece.text for piece in each.removed)) if each.removed else None
    put = el("ins", *(piece.text for piece in each.added)) if each.added else None
    one = judged.get(each.text)
    worth = None
    if one:
        share = wilson(sum(one.measured.right), len(one.measured.right))
        worth = el("span", f"judged: {words.percent(share.mean)} {words.bracket(share, 100)}", class_="badge open")
    return el("li", el("div", *_made(each.step), worth), el("div", before, out, put, behind, class_="text"))


def _made(step: Step | None) -> list[Html | None]:
    """Who made a version, and how its race went."""
    if step is None:
        return [el("b", "initial "), None]
    won = step.accepted
    if won is None:
        return [el("b", f"step {step.number} "), None]
    dot = el("span", class_="dot", style=f"--arm:{sources()[won.source].colour}")
    slope = "" if won.slope is None else f", slope {_signed(won.slope)}"
    about = f"{won.source.value}, {told.standing(won)}, sure {100 * won.standing.sure:.0f} %{slope} "
    return [el("b", dot, f"step {step.number} "), el("span", about, class_="quiet")]


def _heading(step: Step) -> list[Html | str]:
    at = told.token(step)
    found: list[Html | str] = [el("b", f"{step.number}"), f" {at}" if at else ""]
    return [*found, el("span", f"{step.right} of {step.rows} right", class_="range")] if step.rows else found


def _fan(step: Step) -> Html:
    return el("div", *(_chip(step, each) for each in step.tried), class_="fan")


def _chip(step: Step, each: Tried) -> Html:
    race = each.standing
    kind = "silent" if race.wins == race.losses else "agrees" if race.wins > race.losses else "differs"
    about = f"{each.source.value}: {told.edit(step, each)}, {told.standing(each)}"
    about += "" if each.slope is None else f", slope {_signed(each.slope)}"
    short = f"{told.chip(step, each)} {race.wins}:{race.losses}"
    return el("span", short, class_=f"{kind} picked" if step.accepted is each else kind, title=about)


def _accuracy(one: Judged) -> str:
    return words.percent(one.measured.accuracy)


def _tokens(one: Judged) -> str:
    return words.count(one.measured.cost)


def _signed(number: float) -> str:
    return f"{number:+.2f}".replace("-", "\N{MINUS SIGN}")
