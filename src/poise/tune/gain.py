"""Whether the most accurate of some prompts is better than the one to begin with, or the luckiest of them. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from poise.evals.rows import Interval
from poise.evals.stats import mcnemar, resample
from poise.tune.archive import Measured

LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Gain:
    """Of `best`, the most accurate of `among` prompts, over the first. `interval`: its lower end holds for all of them
    at once (95 %, paired bootstrap over clusters of the largest of their errors), so that choosing does not flatter it;
    `p`: McNemar's exact test, times `among` (Bonferroni), for where rows that differ are too few for a bootstrap."""

    best: Measured
    interval: Interval
    p: float
    among: int

    def told(self) -> str:
        """In points, with its interval."""
        mean, low, high = (100 * each for each in (self.interval.mean, self.interval.low, self.interval.high))
        return f"{mean:+.1f} points [{low:.1f}, {high:.1f}]"

    @property
    def shown(self) -> bool:
        """Whether both say so, at 5 %."""
        return self.interval.low > 0 and self.p < LEVEL


def gain(first: Measured, others: Sequence[Measured], clusters: Sequence[Hashable]) -> Gain:
    """Of the most accurate of the others, the shortest of equals; nothing where there is none. Rows of all are the
    same, in one order, as are their `clusters`."""
    if not others:
        return Gain(first, Interval(0.0, 0.0, 0.0), 1.0, 0)
    place = max(range(len(others)), key=lambda each: (others[each].accuracy, -others[each].cost))
    best, rows = others[place], len(first.right)
    columns = np.array([*(one.right for one in others), first.right, [True] * rows], float).T
    drawn = resample(columns, clusters)
    points = (drawn.total[:-2] - drawn.total[-2]) / rows
    errors = (drawn.sums[:, :-2] - drawn.sums[:, -2:-1]) / drawn.sums[:, -1:] - points
    point = float(points[place])
    low = point - float(np.quantile(errors.max(axis=1), 0.975))
    high = point - float(np.quantile(errors[:, place], 0.025))
    pairs = list(zip(best.right, first.right, strict=True))
    p = mcnemar(pairs.count((True, False)), pairs.count((False, True)))
    return Gain(best, Interval(point, min(point, low), max(point, high)), min(1.0, p * len(others)), len(others))
