"""Intervals and tests for benchmarks where every arm answers the same items. Pure numpy.

Shares carry Wilson intervals; pairs the exact McNemar test, Holm over all comparisons made; means, differences and
ratios a paired bootstrap over clusters, because items of one template are not independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from poise.errors import ConfigError
from poise.evals.rows import Interval, Quantiles

Array: TypeAlias = npt.NDArray[np.float64]
Places: TypeAlias = npt.NDArray[np.intp]
Key = TypeVar("Key", bound=Hashable)

Z_TWO_SIDED = 1.959963984540054  # 97.5 % point of the normal
_DRAWS_AT_ONCE = 4_000_000  # cluster draws held in memory at a time (32 MB)
_MOST_CLUSTERS = 10_000


def wilson(correct: int, n: int) -> Interval:
    """Share with its 95 % score interval (Wilson 1927). Nothing known (n = 0) is the interval 0 to 1."""
    if n == 0:
        return Interval(0.0, 0.0, 1.0)
    share, z2 = correct / n, Z_TWO_SIDED**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_TWO_SIDED * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # at 0 and at 1 the bound is the share itself; rounding must not put it on the wrong side
    return Interval(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p-value of the discordant counts under Binomial(n, 1/2) (McNemar 1947)."""
    n, fewer = only_first + only_second, min(only_first, only_second)
    if 2 * fewer >= n:
        return 1.0
    log_ways = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(fewer + 1)]
    return min(1.0, 2.0 * math.fsum(math.exp(ways - n * math.log(2.0)) for ways in log_ways))


def sign_flip(gains: Array, clusters: Sequence[Hashable], *, seed: int = 0, times: int = 20_000) -> float:
    """Two-sided p-value of "the mean gain is 0" for paired gains of any size, by flipping the signs of whole clusters
    at random (a permutation test; Fisher 1935, section 21). At least 1 / (times + 1)."""
    sums = np.bincount(_codes(clusters), weights=gains)
    flips = np.random.default_rng(seed).choice(np.array([-1.0, 1.0]), (times, len(sums)))
    as_far = np.abs(flips @ sums) >= abs(sums.sum()) - 1e-9
    return float((as_far.sum() + 1) / (times + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given, that hold the family-wise error over all of them (Holm 1979)."""
    adjusted, worst = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = worst
    return adjusted


def smallest_margin(discordant_share: float, n: int) -> float:
    """The non-inferiority margin that n pairs can support, one-sided 5 % at power 80 %:
    sqrt((1.645 + .842)^2 x discordant share / n). A margin stated beforehand must not be below it."""
    if n < 1:
        raise ConfigError("n", n, "1 or more")
    return math.sqrt(6.18 * discordant_share / n)


def noninferior(only_first: int, only_second: int, n: int, margin: float) -> float:
    """One-sided p-value against "first is worse than second by `margin` or more" (share of n pairs), by the score test
    for paired shares (Tango 1998, Statistics in Medicine 17:891). Small: first is not inferior."""
    if not 0 < margin < 1:
        raise ConfigError("margin", margin, "between 0 and 1")
    if not 0 <= only_first + only_second <= n or n < 1:
        raise ConfigError("n", n, "at least the discordant pairs, and 1")
    # the likeliest share of pairs that only second gets right, were first worse by exactly the margin
    b = -(only_first + only_second) - (2 * n - only_first + only_second) * margin
    c = only_second * margin * (1 + margin)
    share = (math.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
    variance = n * (2 * share - margin * (1 + margin))
    z = (only_first - only_second + n * margin) / math.sqrt(variance) if variance > 0 else math.inf
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def interval(mean: float, replicates: Array) -> Interval:
    """A point with the central 95 % of its bootstrap replicates, widened to hold the point (a maximum over arms is
    biased upwards in every replicate)."""
    low, high = np.quantile(replicates, (0.025, 0.975))
    return Interval(mean, min(mean, float(low)), max(mean, float(high)))


def none_seen(n: int) -> float:
    """The upper end of the exact 95 % interval of a share of which n items showed none (Clopper & Pearson 1934). No
    bootstrap can say it: it draws again what was seen."""
    return float(1 - 0.025 ** (1 / n)) if n else 1.0


@dataclass(frozen=True, slots=True)
class Resampled:
    """Column sums of a table: of the table itself (`total`, one per column) and of each bootstrap replicate (`sums`,
    replicates x columns). Everything paired is a ratio of such sums, so one resampling serves all comparisons."""

    total: Array
    sums: Array

    def ratio(self, column: int, over: int) -> Interval:
        """Sum of one column over the sum of another (a mean, when `over` counts items). 0 where the divisor is 0."""
        return self._interval(self.total[column], self.sums[:, column], over)

    def difference(self, first: int, second: int, over: int) -> Interval:
        """Mean of column `first` minus mean of column `second`."""
        gaps = self.sums[:, first] - self.sums[:, second]
        return self._interval(self.total[first] - self.total[second], gaps, over)

    def _interval(self, total: float, sums: Array, over: int) -> Interval:
        below = self.sums[:, over]
        replicates = np.divide(sums, below, out=np.zeros_like(sums), where=below != 0)
        return interval(total / self.total[over] if self.total[over] else 0.0, replicates)


def resample(columns: Array, clusters: Sequence[Hashable], *, seed: int = 0, times: int = 2000) -> Resampled:
    """Paired cluster bootstrap of a table (items x columns): whole clusters are drawn with replacement, as many as
    there are. With a single cluster there is no spread to see and every replicate is the table itself. Above 10,000
    clusters, they are first gathered at random into 10,000: the same spread for less work."""
    if len(columns) != len(clusters) or not len(columns):
        raise ConfigError("clusters", len(clusters), f"one per item ({len(columns)}, at least 1)")
    code = _codes(clusters)
    rng, n = np.random.default_rng(seed), int(code.max()) + 1
    if n > _MOST_CLUSTERS:
        code, n = (rng.permutation(n) % _MOST_CLUSTERS)[code], _MOST_CLUSTERS
    by_cluster = np.stack([np.bincount(code, column, n) for column in columns.T], axis=1)
    sums, rows = np.empty((times, columns.shape[1])), max(1, _DRAWS_AT_ONCE // n)
    for start in range(0, times, rows):
        block = sums[start : start + rows]
        drawn = rng.integers(n, size=(len(block), n)) + np.arange(len(block))[:, None] * n
        block[:] = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape) @ by_cluster
    return Resampled(columns.sum(axis=0), sums)


def bootstrap(
    statistic: Callable[[Places], float | None], clusters: Sequence[Hashable], *, seed: int = 0, times: int = 2000
) -> Interval | None:
    """What `resample` does, for a statistic that is no ratio of sums, told of the places of some items. None where all
    items give None; replicates that do are left out. Cost: `times` calls."""
    whole = statistic(np.arange(len(clusters)))
    if whole is None:
        return None
    rng, code = np.random.default_rng(seed), _codes(clusters)
    members = [np.flatnonzero(code == cluster) for cluster in range(int(code.max()) + 1)]
    drawn = (rng.integers(len(members), size=len(members)) for _ in range(times))
    replicates = [statistic(np.concatenate([members[cluster] for cluster in each])) for each in drawn]
    return interval(whole, np.array([each for each in replicates if each is not None] or [whole]))


def _codes(clusters: Sequence[Hashable]) -> Places:
    """Clusters as numbers from 0, in order of appearance."""
    codes: dict[Hashable, int] = {}
    return np.array([codes.setdefault(cluster, len(codes)) for cluster in clusters], np.intp)


def spearman(first: Array, second: Array) -> float | None:
    """Correlation of ranks, ties by their mean rank (Spearman 1904). None where one of the two does not vary."""
    one, other = _ranks(first), _ranks(second)
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(np.corrcoef(one, other)[0, 1])


def _ranks(values: Array) -> Array:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place])


def quantiles(seconds: Sequence[float] | Array) -> Quantiles:
    """Mean, median, p95 and p99, by linear interpolation; zeros of nothing."""
    if not len(seconds):
        return Quantiles(0.0, 0.0, 0.0, 0.0)
    p50, p95, p99 = np.quantile(seconds, (0.5, 0.95, 0.99))
    return Quantiles(float(np.mean(seconds)), float(p50), float(p95), float(p99))


def auroc_within(questions: Sequence[Hashable], scores: Sequence[float], correct: Sequence[bool]) -> float | None:
    """How well scores order drafts of the same question: the chance that a right one is above a wrong one, ties half,
    averaged over questions that have both. None where no question has both: nothing can be said."""
    areas = _areas(questions, scores, correct)
    return math.fsum(areas.values()) / len(areas) if areas else None


def auroc_interval(
    questions: Sequence[Key],
    scores: Sequence[float],
    correct: Sequence[bool],
    clusters: Mapping[Key, Hashable],
    *,
    seed: int = 0,
) -> tuple[Interval | None, int]:
    """`auroc_within` with its interval over the clusters of questions, and the number of questions that have both."""
    areas = _areas(questions, scores, correct)
    if not areas:
        return None, 0
    table = np.array([[area, 1.0] for area in areas.values()])
    return resample(table, [clusters[question] for question in areas], seed=seed).ratio(0, over=1), len(areas)


def _areas(questions: Sequence[Key], scores: Sequence[float], correct: Sequence[bool]) -> dict[Key, float]:
    right: dict[Key, list[float]] = {}
    wrong: dict[Key, list[float]] = {}
    for question, score, good in zip(questions, scores, correct, strict=True):
        (right if good else wrong).setdefault(question, []).append(score)
    areas = {}
    for question in (each for each in right if each in wrong):
        gaps = np.subtract.outer(np.array(right[question]), np.array(wrong[question]))
        areas[question] = float(np.mean((np.sign(gaps) + 1) / 2))
    return areas


def calibration_error(confidences: Sequence[float], correct: Sequence[bool], bins: int = 10) -> float:
    """Expected calibration error over bins of equal mass; equal confidences always share a bin. 0 of nothing."""
    confidence, outcome = np.asarray(confidences, float), np.asarray(correct, float)
    if not len(confidence):
        return 0.0
    mass_below = np.searchsorted(np.sort(confidence), confidence, side="left")
    gaps = np.bincount(mass_below * bins // len(confidence), confidence - outcome, bins)
    return float(np.abs(gaps).sum() / len(confidence))


def brier(confidences: Sequence[float], correct: Sequence[bool]) -> float:
    """Mean squared distance of confidences from what happened (Brier 1950). 0 of nothing."""
    gaps = np.asarray(confidences, float) - np.asarray(correct, float)
    return float(np.mean(gaps**2)) if len(gaps) else 0.0
