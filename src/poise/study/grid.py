"""Rows of arms as a table, items x arms, and its bootstrap. Pure numpy."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from poise.errors import ConfigError
from poise.evals.rows import Interval, Row
from poise.evals.stats import interval, none_seen

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Way:
    """What an analysis knows of an arm: its method and scorer, the width that says how much it buys (1: one draw), and
    whether it searches a tree."""

    arm: str
    method: str
    scorer: str | None = None
    width: int = 1
    tree: bool = False

    @property
    def family(self) -> str:
        """Arms alike in everything but their width."""
        return f"{self.method} · {self.scorer}" if self.scorer else self.method


@dataclass(frozen=True, slots=True)
class Grid:
    """The items that every arm answered. `right` and `cost`: items x arms; `cluster`: a number per item, the unit of
    the bootstrap. `unit` of the costs: flops, or new_tokens where some arm has none."""

    ways: tuple[Way, ...]
    items: tuple[str, ...]
    cluster: npt.NDArray[np.intp]
    right: Array
    cost: Array
    unit: str

    @property
    def n(self) -> int:
        """Items."""
        return len(self.items)

    @property
    def arms(self) -> tuple[str, ...]:
        """Names, in the order of the columns."""
        return tuple(way.arm for way in self.ways)

    def of_items(self, items: Collection[str]) -> Grid:
        """Only these items."""
        kept = np.array([item in items for item in self.items], bool)
        names = tuple(item for item in self.items if item in items)
        return replace(self, items=names, cluster=self.cluster[kept], right=self.right[kept], cost=self.cost[kept])

    def of_arms(self, *, tree: bool) -> Grid:
        """Only flat arms, or only trees."""
        kept = [place for place, way in enumerate(self.ways) if way.tree is tree]
        ways = tuple(self.ways[place] for place in kept)
        return replace(self, ways=ways, right=self.right[:, kept], cost=self.cost[:, kept])


def grid_of(ways: Sequence[Way], rows: Iterable[Row]) -> Grid:
    """Rows as a grid; of repeated ones the last counts, and what failed is wrong. ConfigError: no item that every arm
    answered."""
    latest = {(row.arm, row.item): row for row in rows}
    clusters = {item: (row.task, row.cluster) for (_, item), row in latest.items()}
    items = tuple(item for item in clusters if all((way.arm, item) in latest for way in ways))
    if not items:
        raise ConfigError("rows", len(latest), "at least one item that every arm answered")
    table = [[latest[way.arm, item] for way in ways] for item in items]
    right = np.array([[row.correct and row.error is None for row in line] for line in table], float)
    flops = np.array([[row.usage.flops for row in line] for line in table])
    tokens = np.array([[row.usage.total_tokens - row.usage.prompt_tokens for row in line] for line in table], float)
    known = bool((flops.sum(axis=0) > 0).all())
    codes: dict[tuple[str, str], int] = {}
    cluster = np.array([codes.setdefault(clusters[item], len(codes)) for item in items], np.intp)
    return Grid(tuple(ways), items, cluster, right, flops if known else tokens, "flops" if known else "new_tokens")


@dataclass(frozen=True, slots=True)
class Replicates:
    """Whole clusters drawn with replacement, `times` over. `right` and `cost`: means, replicates x arms; `left_out`:
    shares right among the items of the clusters that a replicate does not hold (nan where it holds all)."""

    right: Array
    cost: Array
    left_out: Array


def replicates(grid: Grid, seed: int, times: int = 2000) -> Replicates:
    """The paired cluster bootstrap of a grid. Takes about a second for 500 items and 50 arms."""
    _, code = np.unique(grid.cluster, return_inverse=True)
    clusters = int(code.max()) + 1
    counts = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), times).astype(float)
    sizes = np.bincount(code, minlength=clusters).astype(float)
    right, cost = (_by_cluster(table, code, clusters) for table in (grid.right, grid.cost))
    n = (counts @ sizes)[:, None]
    absent = (counts == 0).astype(float)
    out = (absent @ sizes)[:, None]
    left_out = np.divide(absent @ right, out, out=np.full((times, len(grid.ways)), np.nan), where=out > 0)
    return Replicates(counts @ right / n, counts @ cost / n, left_out)


def accuracy(grid: Grid, drawn: Replicates, arm: int) -> Interval:
    """Of one arm, by the bootstrap: items of one cluster are not independent. Where all are right, or none is, by the
    exact interval of independent items."""
    mean = float(grid.right[:, arm].mean())
    if mean in (0.0, 1.0):
        return Interval(mean, mean * (1 - none_seen(grid.n)), max(mean, none_seen(grid.n)))
    return interval(mean, drawn.right[:, arm])


def _by_cluster(table: Array, code: npt.NDArray[np.intp], clusters: int) -> Array:
    return np.stack([np.bincount(code, column, clusters) for column in table.T], axis=1)
