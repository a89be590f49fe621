"""What the search study shows: the best arm of each budget, trees against flat arms of the same cost, and where, from
hard to easy questions, searching pays. Pure numpy; plain data comes out.

Choosing the best of many arms on the same items that measure it flatters the winner. So each choice says how often the
bootstrap repeats it, and what the arm that a replicate chose is worth on the items which that replicate left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from poise.errors import ConfigError
from poise.evals import stats
from poise.evals.rows import Interval, Row, Summary
from poise.evals.summary import summarise
from poise.study.duels import Duel, duels
from poise.study.grid import Grid, Replicates, Way, accuracy, grid_of, replicates
from poise.study.stops import Stop, stops

_THIRDS = ("hard", "middle", "easy")


@dataclass(frozen=True, slots=True)
class Bought:
    """The arm with the best accuracy among those that a budget affords, and its own mean cost. `repeated`: the share of
    bootstrap replicates that choose the same one; `left_out`: what the choices of all replicates are worth on items
    that they were not made on, None where there are no such items."""

    arm: str
    cost: float
    accuracy: Interval
    repeated: float
    left_out: float | None


@dataclass(frozen=True, slots=True)
class Affords:
    """What a budget per question affords, of all arms, of the flat ones, and of the trees (None: no such arm)."""

    budget: float
    best: Bought
    flat: Bought | None
    tree: Bought | None


@dataclass(frozen=True, slots=True)
class Standing:
    """One arm on some items; `accuracy` carries a Wilson interval, `cost` is a mean per question."""

    way: Way
    n: int
    accuracy: Interval
    cost: float


@dataclass(frozen=True, slots=True)
class Third:
    """A tercile of the questions that all arms answered: those whose share of right draws is above `low` (from it on,
    in the first) and up to `high`. Ties stay together, so thirds may differ in size."""

    name: str
    low: float
    high: float
    n: int
    standings: tuple[Standing, ...]
    affords: tuple[Affords, ...]
    duels: tuple[Duel, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """Thirds by difficulty, which was taken from the draws numbered `first` up to `last`, counted from 1."""

    first: int
    last: int
    thirds: tuple[Third, ...]


@dataclass(frozen=True, slots=True)
class Analysis:
    """The whole study. `flat`: flat arms on all their items; `joint`: all arms on the items that trees answered too;
    `flat_affords` and `affords`: the compute-optimal envelope of each; `stops`: votes that stop by themselves, on all
    items of flat arms. Holm runs over all `duels`, and over those of each third by itself."""

    unit: str
    seed: int
    ways: tuple[Way, ...]
    flat: Summary
    joint: Summary
    flat_affords: tuple[Affords, ...]
    affords: tuple[Affords, ...]
    stops: tuple[Stop, ...]
    duels: tuple[Duel, ...]
    splits: tuple[Split, ...]


def analyse(
    ways: Sequence[Way],
    rows: Iterable[Row],
    grades: Mapping[str, Sequence[bool]],
    against: Sequence[str],
    seed: int = 0,
    times: int = 2000,
) -> Analysis:
    """From the rows of all arms and the grades of all draws by item. Questions are split by the share of right draws
    twice: by all draws, and by the second half alone, which arms of half the width or less do not choose from.
    ConfigError: no item that every arm answered, or none that was drawn. Takes seconds."""
    kept = list({(row.arm, row.item): row for row in rows}.values())
    flat_ways = [way for way in ways if not way.tree]
    everything = grid_of(flat_ways, [row for row in kept if row.arm in {way.arm for way in flat_ways}])
    of_flat = replicates(everything, seed, times)
    grid = grid_of(ways, kept)
    drawn, shared = replicates(grid, seed, times), set(grid.items)
    most = max((len(each) for each in grades.values()), default=0)
    if not most:
        raise ConfigError("draws", most, "at least one, of the items of the study")
    return Analysis(
        unit=grid.unit,
        seed=seed,
        ways=tuple(ways),
        flat=_summary([row for row in kept if row.arm in everything.arms], seed),
        joint=_summary([row for row in kept if row.item in shared and row.arm in grid.arms], seed),
        flat_affords=affords(everything, of_flat, budgets(everything)),
        affords=affords(grid, drawn, budgets(grid)),
        stops=stops(everything, of_flat),
        duels=duels(grid, drawn, against),
        splits=tuple(
            Split(first + 1, most, thirds(grid, difficulty(grades, first), against, seed, times))
            for first in dict.fromkeys((0, most // 2))
        ),
    )


def _summary(rows: Sequence[Row], seed: int) -> Summary:
    return replace(summarise(rows, seed=seed), replayed=True)


def budgets(grid: Grid) -> list[float]:
    """Doublings of the cheapest arm's cost, until the dearest is affordable."""
    costs = grid.cost.mean(axis=0)
    least, most = float(costs.min()), float(costs.max())
    if least <= 0:
        raise ConfigError("cost", least, "above 0, for every arm")
    return [least * 2**power for power in range(math.ceil(round(math.log2(most / least), 9)) + 1)]


def affords(grid: Grid, drawn: Replicates, wanted: Sequence[float]) -> tuple[Affords, ...]:
    """The envelope: what each budget buys. Budgets that afford no arm are left out."""
    tree = np.array([way.tree for way in grid.ways])
    found = []
    for budget in wanted:
        sides = (np.ones(len(tree), bool), ~tree, tree)
        best, of_flat, of_tree = (_bought(grid, drawn, budget, side) for side in sides)
        if best is not None:
            found.append(Affords(budget, best, of_flat, of_tree))
    return tuple(found)


def _bought(grid: Grid, drawn: Replicates, budget: float, side: npt.NDArray[np.bool_]) -> Bought | None:
    costs, right = grid.cost.mean(axis=0), grid.right.mean(axis=0)
    within = np.flatnonzero(side & (costs <= budget * (1 + 1e-9)))
    if not within.size:
        return None
    within = within[np.argsort(costs[within], kind="stable")]  # of equal arms the cheapest
    best = int(within[right[within].argmax()])
    chosen = within[drawn.right[:, within].argmax(axis=1)]
    worth = drawn.left_out[np.arange(len(chosen)), chosen]
    worth = worth[~np.isnan(worth)]
    return Bought(
        arm=grid.ways[best].arm,
        cost=float(costs[best]),
        accuracy=accuracy(grid, drawn, best),
        repeated=float((chosen == best).mean()),
        left_out=float(worth.mean()) if worth.size else None,
    )


def difficulty(grades: Mapping[str, Sequence[bool]], first: int = 0) -> dict[str, float]:
    """The share of right draws of each item, of those from number `first` on."""
    return {item: sum(each[first:]) / len(each[first:]) for item, each in grades.items() if len(each) > first}


def thirds(
    grid: Grid, shares: Mapping[str, float], against: Sequence[str], seed: int, times: int = 2000
) -> tuple[Third, ...]:
    """The questions of a grid in three, hardest first; a third that ties leave empty is left out."""
    known = sorted(shares[item] for item in grid.items if item in shares)
    if not known:
        return ()
    cuts = [known[math.ceil(len(known) * part / 3) - 1] for part in (1, 2, 3)]
    found, low = [], known[0]
    for name, high, first in zip(_THIRDS, cuts, (True, False, False), strict=True):
        inside = [item for item in grid.items if item in shares and low <= shares[item] <= high]
        if not first:
            inside = [item for item in inside if shares[item] > low]
        if inside:
            found.append(_third(name, (low, high), grid.of_items(set(inside)), against, (seed, times)))
        low = high
    return tuple(found)


def _third(name: str, bounds: tuple[float, float], grid: Grid, against: Sequence[str], how: tuple[int, int]) -> Third:
    drawn = replicates(grid, *how)
    standings = tuple(
        Standing(way, grid.n, stats.wilson(int(grid.right[:, arm].sum()), grid.n), float(grid.cost[:, arm].mean()))
        for arm, way in enumerate(grid.ways)
    )
    return Third(name, *bounds, grid.n, standings, affords(grid, drawn, budgets(grid)), duels(grid, drawn, against))
