"""The study as a Markdown page: tables whose every number has its n and its interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from poise.evals.rows import ArmSummary, Interval, Summary
from poise.report import words
from poise.study.analysis import Affords, Analysis, Bought, Split, Third
from poise.study.duels import Duel
from poise.study.settings import SearchSettings
from poise.study.verdicts import Payoff, payoff


def page(settings: SearchSettings, analysis: Analysis, model: str) -> str:
    """The whole page."""
    parts = [
        "# Search at equal cost",
        _about(settings, analysis, model),
        "![accuracy against cost](study.png)",
        "## Where trees pay",
        *_findings(analysis),
        f"## Trees against flat arms of the same cost (n = {analysis.joint.arms[0].n})",
        _DUELS,
        _duels(analysis.duels),
        f"## The best arm of each budget (n = {analysis.joint.arms[0].n})",
        _AFFORDS,
        _affords(analysis.affords, analysis.unit),
        f"### Flat arms alone, on all items (n = {analysis.flat.arms[0].n})",
        _affords(analysis.flat_affords, analysis.unit, trees=False),
        *_stops(analysis),
        "## By difficulty",
        _DIFFICULTY,
        *(part for split in analysis.splits for part in _split(split, analysis.unit)),
        f"## All arms on the items that all answered (n = {analysis.joint.arms[0].n})",
        _arms(analysis.joint),
        f"## Flat arms on all items (n = {analysis.flat.arms[0].n})",
        _arms(analysis.flat),
    ]
    return "\n\n".join(parts) + "\n"


_DUELS = (
    "Pairs of answers to the same items. Nearest: the arm of that family nearest in cost, tested by the exact McNemar "
    "test, Holm over this table. At equal cost: against a mix of the family's two neighbouring arms that costs as much."
)
_AFFORDS = (
    "Accuracy in per cent with a 95 % interval by cluster bootstrap. The best of many flatters itself: `repeated` is "
    "the share of bootstrap replicates that choose the same arm, `left out` the accuracy of those choices on items "
    "that they were not made on."
)
_STOPS = (
    "Accuracy above what fixed votes, and mixes of two of them, reach at the same cost: the upper convex hull of the "
    "single draw and all self_consistency arms, drawn anew in every replicate of the bootstrap."
)
_DIFFICULTY = (
    "An item's difficulty is the share of its recorded draws that are right. Flat arms choose from those very draws: "
    "where luck made a hard item look easy, it helped them too."
)
_BIAS = (
    "So the first split favours flat arms among the easy items and trees among the hard ones. The second split uses "
    "only draws that flat arms of half the width or less never see; for those arms it has no such bias."
)


def _about(settings: SearchSettings, analysis: Analysis, model: str) -> str:
    how = settings.sampling
    failed = sum(arm.failed for arm in (*analysis.flat.arms, *analysis.joint.arms))
    tasks = ", ".join(f"`{words.clean(task)}`" for task in settings.tasks)
    told = [
        f"{words.clean(model)}; prompt `{words.clean(settings.prompt)}`, temperature {how.temperature:g}, at most "
        f"{how.max_tokens} tokens a path, seed {settings.seed}.",
        f"Flat arms choose from {settings.draws} recorded draws of {analysis.flat.arms[0].n} items of {tasks}.",
        f"Trees are searched live on the first {settings.tree_limit} items of each task; all arms share "
        f"{analysis.joint.arms[0].n} items.",
        f"Costs are means per question: {_UNIT[analysis.unit]}, those of scorers included. Intervals are 95 %.",
    ]
    return " ".join(told) + (f" {failed} answers failed and count as wrong." if failed else "")


_UNIT = {"flops": "executed FLOPs", "new_tokens": "tokens generated or scored"}


def _findings(analysis: Analysis) -> list[str]:
    """What is shown either way, over all items and in each third of the first split; the rest by its number."""
    groups = [("all items", analysis.duels)]
    groups += [(f"{third.name} items", third.duels) for third in analysis.splits[0].thirds]
    lines = []
    for where, duels in groups:
        shown = [
            f"{verdict.value}: {_named(duels, verdict)}"
            for verdict in Payoff
            if verdict is not Payoff.OPEN and any(payoff(duel) is verdict for duel in duels)
        ]
        still = sum(payoff(duel) is Payoff.OPEN for duel in duels)
        n = f" (n = {duels[0].n})" if duels else ""
        lines.append(f"- {where}{n}: " + "; ".join([*shown, f"{still} of {len(duels)} {Payoff.OPEN.value}"]))
    return ["\n".join(lines)]


def _named(duels: Sequence[Duel], verdict: Payoff) -> str:
    return ", ".join(
        f"`{duel.tree}` against {duel.family} {points(duel.at_equal_cost)}" for duel in duels if payoff(duel) is verdict
    )


def _duels(duels: Sequence[Duel]) -> str:
    heads = ("tree", "family", "nearest", "cost ratio", "only tree : only flat", "difference, points",
             "McNemar p", "Holm p", "at equal cost, points", "verdict")  # fmt: skip
    rows = [
        (
            f"`{duel.tree}`", duel.family, f"`{duel.flat}`",
            f"{duel.cost_ratio.mean:.2f} {words.bracket(duel.cost_ratio, digits=2)}",
            f"{duel.only_tree} : {duel.only_flat}", points(duel.difference),
            _p(duel.p_value), _p(duel.p_holm),
            points(duel.at_equal_cost) + ("" if duel.inside else " (beyond the family's costs)"),
            payoff(duel).value,
        )
        for duel in duels
    ]  # fmt: skip
    return _table(heads, rows)


def _stops(analysis: Analysis) -> list[str]:
    if not analysis.stops:
        return []
    heads = ("arm", "cost", "above the hull of fixed votes, points")
    rows = [(f"`{one.arm}`", amount(one.cost, analysis.unit), points(one.above)) for one in analysis.stops]
    return [f"## Votes that stop by themselves, on all items (n = {analysis.stops[0].n})", _STOPS, _table(heads, rows)]


def _affords(found: Sequence[Affords], unit: str, *, trees: bool = True) -> str:
    sides = ("best", "best flat", "best tree") if trees else ("best",)
    heads = ("budget", *(f"{side} {what}" for side in sides for what in ("arm", "accuracy", "repeated", "left out")))
    rows = []
    for each in found:
        of_sides = (each.best, each.flat, each.tree) if trees else (each.best,)
        rows.append((amount(each.budget, unit), *(cell for bought in of_sides for cell in _bought(bought))))
    return _table(heads, rows)


def _bought(bought: Bought | None) -> tuple[str, str, str, str]:
    if bought is None:
        return ("-",) * 4
    left_out = "-" if bought.left_out is None else words.percent(bought.left_out)
    return f"`{bought.arm}`", share(bought.accuracy), words.percent(bought.repeated), left_out


def _split(split: Split, unit: str) -> Iterable[str]:
    yield f"### Difficulty by draws {split.first} to {split.last}"
    if split.first == 1:
        yield _BIAS
    yield "; ".join(bounds(third) for third in split.thirds) + "."
    yield _standings(split.thirds, unit)
    for third in split.thirds:
        yield f"The best arm of each budget, {third.name} items (n = {third.n}):"
        yield _affords(third.affords, unit)
        if third.duels:
            yield f"Trees against flat arms of the same cost, {third.name} items (n = {third.n}):"
            yield _duels(third.duels)


def _standings(thirds: Sequence[Third], unit: str) -> str:
    """An arm a row, by family and width; its cost and accuracy in each third."""
    heads = ("family", "arm", *(f"{third.name}: {what}" for third in thirds for what in ("cost", "accuracy")))
    order = sorted(
        range(len(thirds[0].standings) if thirds else 0),
        key=lambda at: (thirds[0].standings[at].way.family, thirds[0].standings[at].way.width),
    )
    rows = []
    for at in order:
        way = thirds[0].standings[at].way
        cells = ((amount(third.standings[at].cost, unit), share(third.standings[at].accuracy)) for third in thirds)
        rows.append((way.family, f"`{way.arm}`", *(cell for pair in cells for cell in pair)))
    return _table(heads, rows)


def _arms(summary: Summary) -> str:
    heads = ("arm", "on the frontier", "accuracy", summary.cost, "new tokens", "failed", "n")
    return _table(heads, [_arm(arm, summary.cost) for arm in summary.arms])


def _arm(arm: ArmSummary, unit: str) -> tuple[str, ...]:
    cost = arm.cost(unit)
    spread = f"{amount(cost.mean, unit)} [{amount(cost.low, unit)}, {amount(cost.high, unit)}]"
    frontier = "yes" if arm.on_frontier else ""
    tokens = f"{words.count(arm.new_tokens.mean)} {words.bracket(arm.new_tokens, digits=0)}"
    return f"`{arm.arm}`", frontier, share(arm.accuracy), spread, tokens, str(arm.failed), str(arm.n)


def bounds(third: Third) -> str:
    """A third in words: its bounds, as shares of right draws, and its size."""
    return f"{third.name}: {words.percent(third.low)} to {words.percent(third.high)} right, n = {third.n}"


def share(accuracy: Interval) -> str:
    """An accuracy with its interval, in per cent."""
    return f"{100 * accuracy.mean:.1f} {words.bracket(accuracy, 100)}"


def amount(cost: float, unit: str) -> str:
    """A cost in its unit."""
    return words.si(cost, "FLOP") if unit == "flops" else words.count(cost)


def points(gap: Interval) -> str:
    """A difference of accuracies with its interval, in points."""
    return f"{words.points(gap.mean)} {words.bracket(gap, 100)}"


def _p(p: float) -> str:
    return words.probability(p).removeprefix("= ")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
