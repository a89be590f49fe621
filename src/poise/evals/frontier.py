"""Accuracy against cost: which arms are worth having, and how far an arm lies from a mix of the others. Pure.

A coin that sends each question to one of two arms reaches every point on the line between them, so an arm has to beat
the upper convex hull of the others, not only the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poise.errors import ConfigError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Point:
    """An arm: mean cost per question (flops or tokens) and accuracy (share)."""

    cost: float
    accuracy: float


def pareto(points: Sequence[Point]) -> tuple[int, ...]:
    """Indices of the points that no other beats, by rising cost; of equal points the first."""
    kept: list[int] = []
    best = -1.0
    for index in sorted(range(len(points)), key=lambda i: (points[i].cost, -points[i].accuracy)):
        if points[index].accuracy > best:
            kept.append(index)
            best = points[index].accuracy
    return tuple(kept)


def hull(points: Sequence[Point]) -> tuple[Point, ...]:
    """Corners of the upper convex hull, by rising cost, from the cheapest point to the most accurate one: what static
    arms and mixes of two of them reach. The origin is not a corner: answering nothing is not an arm."""
    corners: list[Point] = []
    for point in (points[index] for index in pareto(points)):
        while len(corners) >= 2 and _slope(corners[-2], corners[-1]) <= _slope(corners[-1], point):
            corners.pop()
        corners.append(point)
    return tuple(corners)


def hull_accuracy(points: Sequence[Point], cost: float) -> float | None:
    """Best accuracy of a mix of `points` for at most `cost` per question; None where no mix is that cheap."""
    corners = hull(points)
    if not corners or cost < corners[0].cost:
        return None
    return float(np.interp(cost, [c.cost for c in corners], [c.accuracy for c in corners]))


def hull_gap(point: Point, others: Sequence[Point]) -> float:
    """Accuracy of `point` above the best mix of `others` at its cost (negative: below). 0 where no mix is that cheap:
    there is nothing to beat, and nothing is claimed."""
    reached = hull_accuracy(others, point.cost)
    return 0.0 if reached is None else point.accuracy - reached


def cost_to_match(points: Sequence[Point], accuracy: float) -> float | None:
    """Least cost per question at which a mix of `points` is as accurate as `accuracy`; None where none is."""
    corners = hull(points)
    if not corners or accuracy > corners[-1].accuracy:
        return None
    return float(np.interp(accuracy, [c.accuracy for c in corners], [c.cost for c in corners]))


def hypervolume(costs: npt.ArrayLike, accuracies: npt.ArrayLike, reference: float) -> Array:
    """Area (accuracy x decades of cost) that the arms of the last axis dominate, up to the cost `reference` and from
    accuracy 0. Leading axes are replicates. An arm at or beyond the reference adds nothing; costs must be above 0."""
    cost, accuracy = np.broadcast_arrays(np.asarray(costs, float), np.asarray(accuracies, float))
    if not (cost > 0).all() or reference <= 0:
        raise ConfigError("cost", float(cost.min(initial=reference)), "above 0 (the axis is logarithmic)")
    order = np.argsort(cost, axis=-1, kind="stable")
    best = np.maximum.accumulate(np.take_along_axis(accuracy, order, axis=-1), axis=-1)
    edges = np.log10(np.minimum(np.take_along_axis(cost, order, axis=-1), reference))
    widths = np.diff(edges, axis=-1, append=np.log10(reference))
    return np.asarray((best * widths).sum(axis=-1))


def oracle(correct: npt.NDArray[np.bool_]) -> float:
    """Share of items (last axis) that at least one arm (first axis) got right: the ceiling of any choice of arms."""
    return float(correct.any(axis=0).mean()) if correct.size else 0.0


def _slope(left: Point, right: Point) -> float:
    return (right.accuracy - left.accuracy) / (right.cost - left.cost)
