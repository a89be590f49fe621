"""Trees against flat arms of the same cost, on the same items. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from poise.evals import stats
from poise.evals.rows import Interval
from poise.study.grid import Array, Grid, Replicates, Way


@dataclass(frozen=True, slots=True)
class Duel:
    """A tree against the arm of a flat family that is nearest in cost. `only_tree`: items that only the tree got right;
    `p_value` exact McNemar, `p_holm` over all duels made together; `difference` and `cost_ratio` are the tree's against
    that arm's, by paired cluster bootstrap.

    `at_equal_cost`: the tree's accuracy minus that of a mix of the family's two arms on either side, which costs just
    as much. Where the tree is dearer (or cheaper) than the whole family, `inside` is false, and it is held against the
    family's dearest (cheapest) arm."""

    tree: str
    family: str
    flat: str
    n: int
    only_tree: int
    only_flat: int
    p_value: float
    p_holm: float
    difference: Interval
    cost_ratio: Interval
    at_equal_cost: Interval
    inside: bool


def duels(grid: Grid, drawn: Replicates, against: Sequence[str]) -> tuple[Duel, ...]:
    """Every tree against every flat family of the methods named, by the same scorer or by none. A single draw is the
    member of width 1 of each."""
    found = [
        _duel(grid, drawn, tree, members)
        for tree, way in enumerate(grid.ways)
        if way.tree
        for members in _families(grid.ways, way, against)
    ]
    adjusted = stats.holm([duel.p_value for duel in found])
    return tuple(replace(duel, p_holm=p) for duel, p in zip(found, adjusted, strict=True))


def _families(ways: Sequence[Way], tree: Way, against: Sequence[str]) -> list[list[int]]:
    """The columns of each family; the last is its own, whatever single draws come before."""
    flat = [place for place, way in enumerate(ways) if not way.tree]
    found = []
    for method in against:
        own = [place for place in flat if ways[place].method == method and ways[place].scorer in (None, tree.scorer)]
        singles = [place for place in flat if ways[place].width == 1 and ways[place].scorer is None]
        if own:
            found.append([*(place for place in singles if place not in own), *own])
    return found


def _duel(grid: Grid, drawn: Replicates, tree: int, members: Sequence[int]) -> Duel:
    costs = grid.cost.mean(axis=0)
    nearest = min(members, key=lambda arm: abs(np.log(costs[arm] / costs[tree])))
    gap = grid.right[:, tree] - grid.right[:, nearest]
    only = int((gap > 0).sum()), int((gap < 0).sum())
    p_value = stats.mcnemar(*only)
    return Duel(
        tree=grid.ways[tree].arm,
        family=grid.ways[members[-1]].family,
        flat=grid.ways[nearest].arm,
        n=grid.n,
        only_tree=only[0],
        only_flat=only[1],
        p_value=p_value,
        p_holm=p_value,
        difference=stats.interval(float(gap.mean()), drawn.right[:, tree] - drawn.right[:, nearest]),
        cost_ratio=stats.interval(float(costs[tree] / costs[nearest]), drawn.cost[:, tree] / drawn.cost[:, nearest]),
        at_equal_cost=_at_equal_cost(grid, drawn, tree, members),
        inside=bool(costs[list(members)].min() <= costs[tree] <= costs[list(members)].max()),
    )


def _at_equal_cost(grid: Grid, drawn: Replicates, tree: int, members: Sequence[int]) -> Interval:
    """The costs and accuracies of each replicate are its own, and so are the two neighbours."""
    cost, right = np.vstack([grid.cost.mean(axis=0), drawn.cost]), np.vstack([grid.right.mean(axis=0), drawn.right])
    gaps = right[:, tree] - _mixed(cost[:, list(members)], right[:, list(members)], cost[:, tree])
    return stats.interval(float(gaps[0]), gaps[1:])


def _mixed(costs: Array, accuracies: Array, cost: Array) -> Array:
    """The accuracy of a mix of the two neighbours of a cost, a row at a time; beyond the ends, that of the end."""
    order = np.argsort(costs, axis=1, kind="stable")
    xs, ys = np.take_along_axis(costs, order, axis=1), np.take_along_axis(accuracies, order, axis=1)
    rows, at = np.arange(len(xs)), np.clip(cost, xs[:, 0], xs[:, -1])
    left = np.clip((xs <= at[:, None]).sum(axis=1) - 1, 0, xs.shape[1] - 1)
    right = np.minimum(left + 1, xs.shape[1] - 1)
    width = xs[rows, right] - xs[rows, left]
    share = np.divide(at - xs[rows, left], width, out=np.zeros_like(at), where=width > 0)
    return np.asarray(ys[rows, left] + share * (ys[rows, right] - ys[rows, left]))
