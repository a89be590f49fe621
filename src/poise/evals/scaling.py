"""What more compute buys: accuracy against log cost of arms that differ in their width alone. Pure numpy.

A family's curve is a saturating power law, accuracy = a - b x cost^-c; its knee is the cost past which one more
doubling buys less than half a point.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from poise.errors import ConfigError
from poise.evals import stats
from poise.evals.passes import Pass, cluster_of, is_right
from poise.evals.rows import Interval, Row
from poise.records import Json

Array: TypeAlias = npt.NDArray[np.float64]

LEAST_GAIN = 0.005
"""Share of questions that a doubling must buy to be worth it: half a point."""
LEAST_BUDGETS, _LEAST_TO_SATURATE = 3, 4

_WIDTHS = ("n", "width", "k")  # the knob that says how wide; the first that a strategy has
_SINGLE = ("direct", "cot", "chain_of_draft")  # one draw, and no knob but the prompt
# of width 1, these are such a draw
_OF_DRAFTS = ("self_consistency", "adaptive_consistency", "best_of_n", "weighted_vote")
_SLOWEST, _STEEPEST = 0.02, 4.0  # c: below, a line over log cost; above, a step
_GRID, _ROUNDS = 41, 3
_LN2 = math.log(2.0)


@dataclass(frozen=True, slots=True)
class Family:
    """Arms alike in everything but their width, by rising width. `label` is no other family's."""

    label: str
    arms: tuple[str, ...]
    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """accuracy = a - b x cost^-c, with 0 <= a <= 1, b >= 0; where c is 0 its limit, the line a + b x log2(cost).
    `residual`: root of the mean squared distance of the points, as a share."""

    a: float
    b: float
    c: float
    residual: float

    def at(self, cost: float) -> float:
        """Accuracy at a cost above 0."""
        return self.a - self.b * cost**-self.c if self.c else self.a + self.b * math.log2(cost)

    def gain(self, cost: float) -> float:
        """What doubling this cost buys."""
        return self.b * cost**-self.c * (1 - 2**-self.c) if self.c else self.b


@dataclass(frozen=True, slots=True)
class Knee:
    """The cost past which one more doubling buys less than LEAST_GAIN, with its 95 % interval; never below the first
    budget. None: beyond what was measured."""

    cost: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Measured:
    """One arm of a family: mean cost per question and accuracy with its Wilson interval, over n questions."""

    arm: str
    width: int
    n: int
    cost: float
    accuracy: Interval


@dataclass(frozen=True, slots=True)
class Scaling:
    """A family measured, by rising cost. Below LEAST_BUDGETS budgets there is neither curve nor knee. `gain`: accuracy
    bought by the last doubling up to the dearest arm, by the curve, or between the two arms where there are but two."""

    family: Family
    points: tuple[Measured, ...]
    curve: Curve | None
    knee: Knee | None
    gain: Interval
    passes: tuple[Pass, ...] = ()


def families(arms: Sequence[Json]) -> list[Family]:
    """Families of two widths or more, from the arms of a run's config.json. A single draw by the same prompt, engine,
    sampling and ceilings is the member of width 1 of a family that votes or chooses among whole drafts."""
    alike: dict[str, dict[int, str]] = {}
    named: dict[str, tuple[str, Json]] = {}
    singles = {_conditions(arm): arm["name"] for arm in arms if _strategy(arm)["name"] in _SINGLE}
    for arm in arms:
        strategy = _strategy(arm)
        knob = next((knob for knob in _WIDTHS if isinstance(strategy.get(knob), int)), None)
        if knob is None:
            continue
        rest = {name: setting for name, setting in strategy.items() if name != knob}
        key = json.dumps([rest, arm["plan"].get("scorer"), _conditions(arm)], sort_keys=True)
        alike.setdefault(key, {}).setdefault(strategy[knob], arm["name"])
        named.setdefault(key, (" · ".join(filter(None, (strategy["name"], arm["plan"].get("scorer")))), arm))
    for key, (_, arm) in named.items():
        if _strategy(arm)["name"] in _OF_DRAFTS and _conditions(arm) in singles:
            alike[key].setdefault(1, singles[_conditions(arm)])
    wide = [(named[key][0], dict(sorted(members.items()))) for key, members in alike.items() if len(members) > 1]
    labels = Counter(label for label, _ in wide)
    return [_family(label, members, labels[label] > 1) for label, members in wide]


def _family(label: str, members: Mapping[int, str], doubled: bool) -> Family:
    arms = tuple(members.values())
    return Family(f"{label} ({arms[-1]})" if doubled else label, arms, tuple(members))


def _strategy(arm: Json) -> Json:
    strategy: Json = arm["plan"]["strategy"]
    return strategy


def _conditions(arm: Json) -> str:
    """What a single draw and a vote over such draws must share."""
    plan = arm["plan"]
    prompt = _strategy(arm).get("prompt"), plan.get("prompt_hash")
    return json.dumps([prompt, plan.get("engines"), plan.get("budget"), arm.get("sampling")], sort_keys=True)


def scaling(
    family: Family, rows: Mapping[str, Sequence[Row]], cost: Callable[[Row], float], *, seed: int = 0, times: int = 1000
) -> Scaling | None:
    """A family measured, from its arms' rows. Intervals by paired cluster bootstrap over the questions. None where
    fewer than two arms have rows and a cost, or all cost the same. Takes about a tenth of a second."""
    points = [
        _measured(arm, width, rows.get(arm, ()), cost) for arm, width in zip(family.arms, family.widths, strict=True)
    ]
    found = sorted(
        (point for point in points if point.n and point.cost > 0), key=lambda point: (point.cost, point.width)
    )
    if len(found) < 2 or found[0].cost == found[-1].cost:
        return None
    curves = _replicates([rows[point.arm] for point in found], cost, seed, times)
    first, last = found[0].cost, found[-1].cost
    drawn = len(found) >= LEAST_BUDGETS
    return Scaling(
        family=family,
        points=tuple(found),
        curve=curves[0] if drawn else None,
        knee=_knee([knee(curve, first, last) for curve in curves]) if drawn else None,
        gain=stats.interval(curves[0].gain(last / 2), np.array([curve.gain(last / 2) for curve in curves])),
    )


def fit(costs: Sequence[float], accuracies: Sequence[float], n: Sequence[int]) -> Curve:
    """The curve of least squares, weighted by n, by a grid over c and in closed form over a and b. A line below four
    points, and where no power law within the bounds is closer than it. ConfigError: a cost that is not above 0."""
    if not costs or min(costs) <= 0:
        raise ConfigError("cost", min(costs, default=None), "above 0 (the axis is logarithmic)")
    return _fit(np.array([costs], float), np.array([accuracies], float), np.array([n], float))[0]


def knee(curve: Curve, first: float, last: float) -> float | None:
    """Where doubling begins to buy less than LEAST_GAIN, between two costs; the first where it does from the
    start, None where it does not up to the last."""
    if curve.gain(first) < LEAST_GAIN:
        return first
    if not curve.c:
        return None
    cost = (curve.b * (1 - 2**-curve.c) / LEAST_GAIN) ** (1 / curve.c)
    return cost if cost <= last else None


def _measured(arm: str, width: int, rows: Sequence[Row], cost: Callable[[Row], float]) -> Measured:
    n = len(rows)
    return Measured(arm, width, n, math.fsum(map(cost, rows)) / max(n, 1), stats.wilson(sum(map(is_right, rows)), n))


def _replicates(arms: Sequence[Sequence[Row]], cost: Callable[[Row], float], seed: int, times: int) -> list[Curve]:
    """The curve of all questions, then those of replicates in which every arm has questions and a cost."""
    clusters = {row.item: cluster_of(row) for rows in arms for row in rows}
    place = {item: index for index, item in enumerate(sorted(clusters))}
    table = np.zeros((len(place), 3 * len(arms)))
    for index, rows in enumerate(arms):
        for row in rows:
            table[place[row.item], 3 * index : 3 * index + 3] = 1.0, is_right(row), cost(row)
    drawn = stats.resample(table, [clusters[item] for item in place], seed=seed, times=times)
    sums = np.vstack([drawn.total, drawn.sums])
    sums = sums[(sums[:, 0::3] > 0).all(axis=1) & (sums[:, 2::3] > 0).all(axis=1)]
    return _fit(sums[:, 2::3] / sums[:, 0::3], sums[:, 1::3] / sums[:, 0::3], sums[:, 0::3])


def _fit(costs: Array, accuracies: Array, n: Array) -> list[Curve]:
    """A curve per row."""
    unit, weights = costs.min(axis=1, keepdims=True), n / n.sum(axis=1, keepdims=True)
    x, rows = np.log(costs / unit), np.arange(len(costs))
    level, slope, far = _lines(x, accuracies, weights)
    found = [level - slope * np.log2(unit[:, 0]), slope, np.zeros(len(costs)), far]
    if costs.shape[1] >= _LEAST_TO_SATURATE:
        low, high = np.full(len(costs), _SLOWEST), np.full(len(costs), _STEEPEST)
        for _ in range(_ROUNDS):
            grid = np.geomspace(low, high, _GRID, axis=1)
            a, b, far = _saturating(x, accuracies, weights, grid)
            best = far.argmin(axis=1)
            low, high = grid[rows, np.maximum(best - 1, 0)], grid[rows, np.minimum(best + 1, _GRID - 1)]
        a, b, c, far = a[rows, best], b[rows, best], grid[rows, best], far[rows, best]
        bends = (c > _SLOWEST * 1.001) & (b > 1e-9) & (far < found[3])
        found = [np.where(bends, *pair) for pair in zip((a, b * unit[:, 0] ** c, c, far), found, strict=True)]
    return [Curve(a, b, c, math.sqrt(far)) for a, b, c, far in zip(*(each.tolist() for each in found), strict=True)]


def _lines(x: Array, y: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Level at x = 0, slope per doubling, and mean squared distance."""
    dx, mean = x - (weights * x).sum(axis=1, keepdims=True), (weights * y).sum(axis=1, keepdims=True)
    spread = (weights * dx**2).sum(axis=1, keepdims=True)
    slope = np.divide((weights * dx * y).sum(axis=1, keepdims=True), spread, out=np.zeros_like(mean), where=spread > 0)
    far = (weights * (y - mean - slope * dx) ** 2).sum(axis=1)
    return (mean - slope * (x - dx)[:, :1])[:, 0], slope[:, 0] * _LN2, far


def _saturating(x: Array, y: Array, weights: Array, c: Array) -> tuple[Array, Array, Array]:
    """a, b and mean squared distance for every c of the grid: least squares, then b held at 0 or a at 1 where it would
    pass them (both cannot)."""
    z, w, y = np.exp(-c[:, :, None] * x[:, None, :]), weights[:, None, :], y[:, None, :]
    mean, level = (w * z).sum(axis=2), (w * y).sum(axis=2)
    dz = z - mean[:, :, None]
    spread = (w * dz**2).sum(axis=2)
    b = np.maximum(-np.divide((w * dz * y).sum(axis=2), spread, out=np.zeros_like(spread), where=spread > 0), 0.0)
    a = level + b * mean
    b = np.where(a > 1, (w * z * (1 - y)).sum(axis=2) / (w * z * z).sum(axis=2), b)
    a = np.minimum(a, 1.0)
    return a, b, (w * (y - a[:, :, None] + b[:, :, None] * z) ** 2).sum(axis=2)


def _knee(costs: Sequence[float | None]) -> Knee:
    """The first is that of all questions; the interval, of the replicates in order, is widened to hold it."""
    order = sorted(math.inf if cost is None else cost for cost in costs[1:] or costs)
    point = math.inf if costs[0] is None else costs[0]
    low, high = (order[min(int(share * len(order)), len(order) - 1)] for share in (0.025, 0.975))
    return Knee(*(cost if math.isfinite(cost) else None for cost in (point, min(low, point), max(high, point))))
