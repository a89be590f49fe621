"""What a doubling of compute buys, for every picture and table of it: the families of a run, in figures and words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from poise.evals import scaling as arithmetic
from poise.evals.passes import passes
from poise.evals.rows import Interval, Row
from poise.evals.scaling import Knee, Measured, Scaling
from poise.report import words
from poise.report.drafts import graded
from poise.report.frontier import Axis, main_axis
from poise.report.markup import Html, el
from poise.report.read import Reading

HEADINGS = ("Family", "Budgets", "Knee", "Last doubling", "Oracle pass@k", "Selection gap")
_BEYOND = "beyond"


def scalings(reading: Reading) -> list[Scaling]:
    """Every family of a run that has two budgets, on the summary's own cost axis. Reads all traces once, where there is
    such a family."""
    families = arithmetic.families(reading.settings.get("arms", ()))
    rows, seed = reading.by_arm(), reading.settings.get("seed", 0)
    cost = _flops if main_axis(reading.summary) is Axis.FLOPS else _tokens
    found = [one for family in families if (one := arithmetic.scaling(family, rows, cost, seed=seed))]
    widest = [max(one.points, key=lambda point: point.width) for one in found]
    drafts = graded(reading, {point.arm: point.width for point in widest}) if found else {}
    for index, point in enumerate(widest):
        if point.arm in drafts:
            arms = {each.width: each.arm for each in found[index].points}
            found[index] = replace(found[index], passes=passes(arms, rows, drafts[point.arm], seed=seed))
    return found


def cells(one: Scaling, axis: Axis) -> tuple[tuple[str, str], ...]:
    """A family under HEADINGS: every figure with what is shown small beside it, its interval where it has one."""
    first, last = one.points[0].cost, one.points[-1].cost
    at = one.passes[-1] if one.passes else None
    return (
        (one.family.label, ""),
        (str(len(one.points)), f"{amount(first, axis)} to {amount(last, axis)}"),
        (_knee(one.knee, first, axis), _range(one.knee, first, axis)) if one.knee else ("-", "two budgets"),
        (words.points(one.gain.mean), words.bracket(one.gain, 100)),
        (words.percent(at.share.mean), f"k = {at.k}, {words.bracket(at.share, 100)}") if at else ("-", ""),
        (words.points(at.gap.mean), words.bracket(at.gap, 100)) if at and at.gap else ("-", ""),
    )


def table(found: Sequence[Scaling], axis: Axis) -> Html:
    """The same on the page."""
    head = el("tr", *(el("th", heading, scope="col") for heading in HEADINGS))
    rows = (
        el("tr", *(el("td", figure, el("span", beside, class_="range") if beside else None) for figure, beside in each))
        for each in (cells(one, axis) for one in found)
    )
    return el("div", el("table", el("thead", head), el("tbody", *rows)), class_="wide")


def sentence(one: Scaling, axis: Axis) -> str:
    """What is seen of a family, whichever way it falls."""
    seen = "two budgets: too few to fit" if one.curve is None else _seen(one, axis)
    bought = f"{'Between them a' if one.curve is None else 'By it the last'} doubling bought {_points(one.gain)}"
    return f"{words.clean(one.family.label)}: {seen}. {bought}.{_chosen(one)}"


def amount(cost: float, axis: Axis) -> str:
    """A cost with its unit."""
    return words.si(cost, "FLOP") if axis is Axis.FLOPS else f"{words.count(cost)} tokens"


def curve(one: Scaling, steps: int = 120) -> tuple[list[float], list[float]]:
    """The fitted curve over what was measured; empty where there is none."""
    if one.curve is None:
        return [], []
    costs = np.geomspace(one.points[0].cost, one.points[-1].cost, steps).tolist()
    return costs, [one.curve.at(cost) for cost in costs]


def oracle(one: Scaling) -> tuple[list[float], list[float]]:
    """pass@k at what the family's arm of k drafts costs; between arms, and below the first, in proportion to k."""
    at = sorted((point.width, point.cost) for point in one.points)
    costs = np.interp([each.k for each in one.passes], [0, *(k for k, _ in at)], [0.0, *(cost for _, cost in at)])
    return costs.tolist(), [each.share.mean for each in one.passes]


def extent(found: Sequence[Scaling]) -> tuple[float, float]:
    """The cost range of a picture with a margin, as log10."""
    costs = [point.cost for one in found for point in one.points] + [cost for one in found for cost in oracle(one)[0]]
    low, high = math.log10(min(costs)), math.log10(max(costs))
    return low - 0.06 * (high - low), high + 0.06 * (high - low)


def heights(found: Sequence[Scaling]) -> tuple[float, float]:
    """The range of accuracies of a picture, intervals and oracle included, with a margin."""
    shares = [end for one in found for p in one.points for end in (p.accuracy.low, p.accuracy.high)]
    shares += [each.share.mean for one in found for each in one.passes]
    room = 0.06 * max(max(shares) - min(shares), 0.05)
    return max(min(shares) - room, -0.02), min(max(shares) + room, 1.04)


def shared(found: Sequence[Scaling]) -> list[Measured]:
    """Arms that several families have, as the single draw of each."""
    times = Counter(point.arm for one in found for point in one.points)
    arms = {point.arm: point for one in found for point in one.points}
    return [point for arm, point in arms.items() if times[arm] > 1]


def _flops(row: Row) -> float:
    return row.usage.flops


def _tokens(row: Row) -> float:
    return row.usage.total_tokens - row.usage.prompt_tokens


def _knee(knee: Knee, first: float, axis: Axis) -> str:
    if knee.cost is None:
        return _BEYOND
    return f"{'≤ ' if knee.cost <= first else ''}{amount(knee.cost, axis)}"


def _range(knee: Knee, first: float, axis: Axis) -> str:
    """Both ends, or what they say where they are the ends of what was measured."""
    low, high = (_knee(Knee(end, None, None), first, axis) for end in (knee.low, knee.high))
    return f"{low} to {high}" if low != high else "" if low == _knee(knee, first, axis) else low


def _seen(one: Scaling, axis: Axis) -> str:
    """Where the knee is, and how sure that is."""
    knee, first, last = one.knee, one.points[0].cost, one.points[-1].cost
    if knee is None or one.curve is None:
        return ""
    off = f"residual {100 * one.curve.residual:.1f} points"
    shape = f"fitted curve ({off})" if one.curve.c else f"straight line fitted to {len(one.points)} budgets ({off})"
    if knee.cost is None:
        more = _signed(one.curve.gain(last))
        said = f"no knee up to {amount(last, axis)}, where one more doubling still buys {more} points by the {shape}"
    elif knee.cost <= first:
        said = f"already from {amount(first, axis)} on one more doubling buys less than half a point by the {shape}"
    else:
        said = f"past {amount(knee.cost, axis)} one more doubling buys less than half a point by the {shape}"
    if knee.high is None and knee.low is not None and knee.low <= first:
        return f"{said}; this is not settled, the interval of the knee covers all that was measured"
    ends = _range(knee, first, axis)
    return f"{said}; 95 % interval of the knee: {ends}" if ends else said


def _points(share: Interval) -> str:
    return f"{_signed(share.mean)} points {words.bracket(share, 100)}"


def _signed(share: float) -> str:
    return words.points(share).removeprefix("+")


def _chosen(one: Scaling) -> str:
    """What all drafts hold, against what was chosen among them."""
    if not one.passes:
        return ""
    last = one.passes[-1]
    gap = f", {_points(last.gap)} more than the choice among them" if last.gap else ""
    return f" Of {last.k} drafts one at least is right for {words.percent(last.share.mean)} of the questions{gap}."
