"""From rows to a Summary: each arm on its own items, arms against each other on the items that all of them answered.

A failed row is a wrong answer at the cost it had. Comparisons are only those named beforehand.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poise.errors import ConfigError, UnknownName
from poise.evals import frontier, stats
from poise.evals.energy import WATTS_PER_BUSY_CORE
from poise.evals.rows import ArmSummary, Comparison, Interval, Row, Summary, TaskScore

Array = npt.NDArray[np.float64]

# columns of the resampled table: 0 marks shared items, then these for each arm
_PRESENT, _TOKENS, _FLOPS, _RIGHT, _COST = range(1, 6)


@dataclass(frozen=True, slots=True)
class _Column:
    """One arm over all items, in item order; 0 where it has no row."""

    arm: str
    rows: tuple[Row, ...]
    present: Array
    correct: Array
    new_tokens: Array
    flops: Array


def summarise(
    rows: Sequence[Row], *, compare: Sequence[tuple[str, str]] = (), seed: int = 0, joules: float | None = None
) -> Summary:
    """Everything that a report shows, from one row per (item, arm); of repeated rows the last counts. `joules`: what a
    meter measured over the whole benchmark, shared out by busy seconds; without it energy is estimated from them.
    ConfigError: no rows, or `compare` names an arm that has none. Takes seconds for 100,000 rows."""
    latest = {(row.arm, row.item): row for row in rows}
    if not latest:
        raise ConfigError("rows", 0, "at least one")
    items = {row.item: (row.task, row.cluster) for row in latest.values()}
    place = {item: index for index, item in enumerate(sorted(items))}
    columns = [
        _column(arm, [row for row in latest.values() if row.arm == arm], place)
        for arm in dict.fromkeys(arm for arm, _ in latest)
    ]
    for name in (name for pair in compare for name in pair):
        if name not in {column.arm for column in columns}:
            raise UnknownName("compare", name, [column.arm for column in columns])
    shared = np.prod([column.present for column in columns], axis=0)
    table = _Table(columns, shared, [items[item] for item in place], seed)
    watts = _watts(columns, joules)
    arms = tuple(_arm(table, index, watts) for index in range(len(columns)))
    return Summary(
        arms=arms,
        frontier=tuple(columns[index].arm for index in table.frontier),
        hypervolume=table.hypervolume,
        reference=table.reference,
        cost=table.cost,
        oracle=frontier.oracle(np.array([c.correct[shared > 0] > 0 for c in columns])),
        comparisons=_comparisons(table, compare),
        energy_measured=joules is not None,
    )


class _Table:
    """All arms on one grid of items, resampled once: present, tokens and flops of an arm on its own items, right and
    cost on the shared ones."""

    def __init__(
        self, columns: Sequence[_Column], shared: Array, clusters: Sequence[tuple[str, str]], seed: int
    ) -> None:
        self.columns, self.shared = columns, shared
        self.n = int(shared.sum())
        by_flops = self.n > 0 and all((column.flops * shared).sum() > 0 for column in columns)
        self.cost = "flops" if by_flops else "new_tokens"
        grid = [shared]
        for c in columns:
            cost = c.flops if by_flops else c.new_tokens
            grid += [c.present, c.new_tokens, c.flops, c.correct * shared, cost * shared]
        self.resampled = stats.resample(np.stack(grid, axis=1), clusters, seed=seed)
        means = (self.resampled.total / max(self.n, 1)).tolist()
        self.points = [frontier.Point(means[_at(arm, _COST)], means[_at(arm, _RIGHT)]) for arm in range(len(columns))]
        self.frontier = frontier.pareto(self.points) if self.n else ()
        dearest = max(point.cost for point in self.points)
        self.reference = 10.0 ** (math.floor(math.log10(dearest)) + 1) if dearest > 0 else 0.0

    @property
    def hypervolume(self) -> Interval:
        """Against the next power of ten above the dearest arm; 0 where some arm is free or nothing is shared."""
        sums = self.resampled.sums
        sums = sums[(sums[:, 0] > 0) & (sums[:, _COST::5] > 0).all(axis=1)]
        if not self.n or not len(sums) or not all(point.cost > 0 for point in self.points):
            return Interval(0.0, 0.0, 0.0)
        mean = frontier.hypervolume([p.cost for p in self.points], [p.accuracy for p in self.points], self.reference)
        costs, accuracies = sums[:, _COST::5] / sums[:, :1], sums[:, _RIGHT::5] / sums[:, :1]
        return stats.interval(float(mean), frontier.hypervolume(costs, accuracies, self.reference))


def _at(arm: int, column: int) -> int:
    return 5 * arm + column


def _column(arm: str, rows: Sequence[Row], place: dict[str, int]) -> _Column:
    at = np.array([place[row.item] for row in rows])

    def spread(values: Sequence[float]) -> Array:
        column = np.zeros(len(place))
        column[at] = values
        return column

    return _Column(
        arm,
        tuple(rows),
        spread([1.0] * len(rows)),
        spread([_right(row) for row in rows]),
        spread([row.usage.total_tokens - row.usage.prompt_tokens for row in rows]),
        spread([row.usage.flops for row in rows]),
    )


def _right(row: Row) -> bool:
    return row.correct and row.error is None


def _watts(columns: Sequence[_Column], joules: float | None) -> float:
    """Joules per busy second."""
    busy = math.fsum(row.usage.busy_seconds for column in columns for row in column.rows)
    if joules is None:
        return WATTS_PER_BUSY_CORE
    return joules / busy if busy > 0 else 0.0


def _arm(table: _Table, index: int, watts: float) -> ArmSummary:
    column = table.columns[index]
    rows, n = column.rows, len(column.rows)
    correct, seconds = sum(map(_right, rows)), math.fsum(row.usage.seconds for row in rows)
    busy = math.fsum(row.usage.busy_seconds for row in rows) / n
    firsts = [row.first_token_seconds for row in rows if row.first_token_seconds is not None]
    reads = [row.prefix_reads for row in rows if row.prefix_reads is not None]
    others = [point for other, point in enumerate(table.points) if other != index]
    return ArmSummary(
        arm=column.arm,
        n=n,
        correct=correct,
        failed=sum(row.error is not None for row in rows),
        accuracy=stats.wilson(correct, n),
        completion=stats.wilson(sum(row.complete for row in rows), n),
        new_tokens=table.resampled.ratio(_at(index, _TOKENS), over=_at(index, _PRESENT)),
        prompt_tokens=sum(row.usage.prompt_tokens for row in rows) / n,
        flops=table.resampled.ratio(_at(index, _FLOPS), over=_at(index, _PRESENT)),
        seconds=stats.quantiles([row.usage.seconds for row in rows]),
        busy_seconds=busy,
        first_token_seconds=_mean(firsts),
        tokens_per_second=float(column.new_tokens.sum()) / seconds if seconds > 0 else 0.0,
        joules=watts * busy,
        money=math.fsum(row.usage.money for row in rows) / n,
        on_frontier=index in table.frontier,
        hull_gap=frontier.hull_gap(table.points[index], others) if table.n else 0.0,
        tasks=_tasks(rows),
        prefix_reads=_mean(reads),
        unweighed=sum(row.unweighed for row in rows),
    )


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _difference(table: _Table, first: int, second: int, discordant: tuple[int, int]) -> Interval:
    """Where no item told two arms apart, as many more might as n items can hide."""
    if discordant == (0, 0):
        return Interval(0.0, -stats.none_seen(table.n), stats.none_seen(table.n))
    return table.resampled.difference(_at(first, _RIGHT), _at(second, _RIGHT), over=0)


def _tasks(rows: Sequence[Row]) -> tuple[TaskScore, ...]:
    asked, right = Counter(row.task for row in rows), Counter(row.task for row in rows if _right(row))
    return tuple(TaskScore(task, n, stats.wilson(right[task], n)) for task, n in asked.items())


def _comparisons(table: _Table, compare: Sequence[tuple[str, str]]) -> tuple[Comparison, ...]:
    index = {column.arm: number for number, column in enumerate(table.columns)}
    pairs = [(index[first], index[second]) for first, second in compare]
    discordant = []
    for first, second in pairs:
        gap = (table.columns[first].correct - table.columns[second].correct) * table.shared
        discordant.append((int((gap > 0).sum()), int((gap < 0).sum())))
    p_values = [stats.mcnemar(*counts) for counts in discordant]
    adjusted = stats.holm(p_values)
    return tuple(
        Comparison(
            first=table.columns[first].arm,
            second=table.columns[second].arm,
            n=table.n,
            only_first=discordant[k][0],
            only_second=discordant[k][1],
            p_value=p_values[k],
            p_holm=adjusted[k],
            difference=_difference(table, first, second, discordant[k]),
            cost_ratio=table.resampled.ratio(_at(first, _COST), over=_at(second, _COST)),
        )
        for k, (first, second) in enumerate(pairs)
    )
