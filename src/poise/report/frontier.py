"""The frontier as points and lines, for every picture of it: accuracy against one cost, on a logarithmic axis."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

import numpy as np

from poise.evals import frontier
from poise.evals.rows import ArmSummary, Interval, Summary


class Axis(Enum):
    """What a question costs. The value is the label of the axis."""

    FLOPS = "FLOP per question"
    TOKENS = "new tokens per question"
    SECONDS = "seconds per question (median, whisker to p95)"
    WORK = "seconds of work per question"


@dataclass(frozen=True, slots=True)
class Point:
    """One arm in one picture. `cost` is a mean with its interval, or a median with the p95 as its high end."""

    arm: str
    accuracy: Interval
    cost: Interval
    on_frontier: bool


def main_axis(summary: Summary) -> Axis:
    """The axis that the summary's own frontier was drawn on."""
    return Axis.FLOPS if summary.cost == "flops" else Axis.TOKENS


def axes(summary: Summary) -> list[Axis]:
    """The axes on which every arm has a cost, the main one first."""
    first = main_axis(summary)
    return [axis for axis in (first, *(a for a in Axis if a is not first)) if points(summary, axis)]


def points(summary: Summary, axis: Axis) -> list[Point]:
    """Arms by rising cost; empty where some arm's cost is unknown (0)."""
    costs = [_cost(arm, axis) for arm in summary.arms]
    if not all(math.isfinite(cost.mean) and cost.mean > 0 for cost in costs):
        return []
    best = set(summary.frontier)
    if axis is not main_axis(summary):
        spots = [frontier.Point(c.mean, arm.accuracy.mean) for c, arm in zip(costs, summary.arms, strict=True)]
        best = {summary.arms[index].arm for index in frontier.pareto(spots)}
    found = [Point(a.arm, a.accuracy, c, a.arm in best) for a, c in zip(summary.arms, costs, strict=True)]
    return sorted(found, key=lambda point: (point.cost.mean, -point.accuracy.mean))


def stairs(line: Sequence[Point], right: float) -> tuple[list[float], list[float]]:
    """The frontier as a staircase up to the cost `right`: the best accuracy that each budget buys with one arm."""
    best: list[Point] = []
    for point in line:
        if point.on_frontier and not (best and point.accuracy.mean <= best[-1].accuracy.mean):
            best.append(point)
    costs = [cost for point, following in pairwise(best) for cost in (point.cost, following.cost)]
    xs = [cost.mean for cost in costs] + ([best[-1].cost.mean, right] if best else [])
    ys = [accuracy for point in best for accuracy in (point.accuracy.mean,) * 2]
    return xs, ys


def hull(line: Sequence[Point], steps: int = 100) -> tuple[list[float], list[float]]:
    """What a random mix of arms reaches, as a curve for a logarithmic axis; empty where there is nothing to mix."""
    corners = frontier.hull([frontier.Point(point.cost.mean, point.accuracy.mean) for point in line])
    if len(corners) < 2:
        return [], []
    costs, shares = [corner.cost for corner in corners], [corner.accuracy for corner in corners]
    xs = np.union1d(np.geomspace(costs[0], costs[-1], steps), costs)
    return xs.tolist(), np.interp(xs, costs, shares).tolist()


def span(line: Sequence[Point], margin: float = 0.12) -> tuple[float, float]:
    """The cost range of a picture with a margin, as log10."""
    low = math.log10(min(max(point.cost.low, point.cost.mean / 10) for point in line))
    high = math.log10(max(point.cost.high for point in line))
    room = max((high - low) * margin, (0.4 - (high - low)) / 2)
    return low - room, high + room


def _cost(arm: ArmSummary, axis: Axis) -> Interval:
    match axis:
        case Axis.FLOPS | Axis.TOKENS:
            cost = arm.flops if axis is Axis.FLOPS else arm.new_tokens
            return Interval(cost.mean, max(cost.low, cost.mean / 1000), cost.high)  # 0 has no place on a log axis
        case Axis.SECONDS:
            return Interval(arm.seconds.p50, arm.seconds.p50, max(arm.seconds.p95, arm.seconds.p50))
        case Axis.WORK:
            return Interval(arm.busy_seconds, arm.busy_seconds, arm.busy_seconds)


def ticks(left: float, right: float, most: int = 9) -> list[float]:
    """Round numbers between two log10 ends, at most so many: 1, 2, 5 a decade, more where there is room for names, else
    fewer."""
    room = 0.72 / most * (right - left)
    for digits in ((1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9), (1, 1.5, 2, 3, 4, 6, 8), (1, 2, 5), (1, 3), (1,)):
        marks = [digit * 10.0**power for power in range(math.floor(left), math.ceil(right)) for digit in digits]
        inside = [mark for mark in marks if left <= math.log10(mark) <= right]
        crowded = any(math.log10(b / a) < room for a, b in itertools.pairwise(inside))
        if len(inside) <= most and not crowded:
            return inside
    return inside[:: math.ceil(len(inside) / most)]
