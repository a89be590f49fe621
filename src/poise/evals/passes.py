"""Oracle pass@k: the share of questions that k drafts hold a right answer to, and what a choice among them loses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from poise.errors import ConfigError
from poise.evals import stats
from poise.evals.rows import Interval, Row


@dataclass(frozen=True, slots=True)
class Pass:
    """Oracle pass@k, the chance that k drafts hold a right one. `gap`: pass@k minus the accuracy that the arm of
    width k attained on the same questions; None where there is no such arm."""

    k: int
    share: Interval
    gap: Interval | None


@dataclass(frozen=True, slots=True)
class Graded:
    """How many of the `drafts` drafts of each question (by item id) are right."""

    drafts: int
    right: Mapping[str, int]


def pass_at_k(drafts: int, right: int, k: int) -> float:
    """Chance that k of `drafts` drafts, drawn without replacement, hold one of the `right` ones: the unbiased estimate
    of pass@k (Chen et al. 2021, arXiv 2107.03374, section 2.1)."""
    if not 0 <= right <= drafts or not 1 <= k <= drafts:
        raise ConfigError("pass@k", (drafts, right, k), "0 <= right <= drafts, 1 <= k <= drafts")
    return 1.0 - math.comb(drafts - right, k) / math.comb(drafts, k)


def passes(
    arms: Mapping[int, str], rows: Mapping[str, Sequence[Row]], graded: Graded, *, seed: int = 0, times: int = 1000
) -> tuple[Pass, ...]:
    """pass@k over the graded questions, at every power of two, at every width that an arm has (`arms`, by width) and at
    all drafts; intervals by paired cluster bootstrap. Empty where nothing is graded."""
    kept = {row.item: row for arm in arms.values() for row in rows.get(arm, ()) if row.item in graded.right}
    if not kept:
        return ()
    found = [2**power for power in range(graded.drafts.bit_length())]
    ks = sorted({k for k in (*found, *arms, graded.drafts) if k <= graded.drafts})
    columns = [np.ones(len(kept))]
    for k in ks:
        chances = {right: pass_at_k(graded.drafts, right, k) for right in set(graded.right.values())}
        answered = {row.item: row for row in rows.get(arms.get(k, ""), ())}
        passed = np.array([chances[graded.right[item]] for item in kept])
        shared = np.array([item in answered for item in kept], float)
        columns += [passed, shared, passed * shared, np.array([is_right(answered.get(item)) for item in kept], float)]
    drawn = stats.resample(
        np.stack(columns, axis=1), [cluster_of(row) for row in kept.values()], seed=seed, times=times
    )
    return tuple(
        Pass(k, drawn.ratio(at, over=0), drawn.difference(at + 2, at + 3, over=at + 1) if drawn.total[at + 1] else None)
        for k, at in zip(ks, range(1, len(columns), 4), strict=True)
    )


def is_right(row: Row | None) -> bool:
    """Whether a question was answered, and rightly."""
    return row is not None and row.correct and row.error is None


def cluster_of(row: Row) -> tuple[str, str]:
    """The unit of every bootstrap: a cluster of its task."""
    return row.task, row.cluster
