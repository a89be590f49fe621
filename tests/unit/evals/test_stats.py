"""Statistics against numbers of scipy, of papers, and of hand calculation."""

import math

import numpy as np
import pytest
from scipy import optimize
from scipy import stats as scipy_stats

from poise.errors import ConfigError
from poise.evals import stats
from poise.evals.rows import Interval, Quantiles


@pytest.mark.parametrize(("correct", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (37, 100), (960, 1000)])
def test_wilson_is_scipys(correct: int, n: int) -> None:
    theirs = scipy_stats.binomtest(correct, n).proportion_ci(0.95, method="wilson")
    ours = stats.wilson(correct, n)
    assert ours.mean == correct / n
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilson_of_nothing_knows_nothing() -> None:
    assert stats.wilson(0, 0) == Interval(0.0, 0.0, 1.0)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (0, 1), (0, 6), (3, 3), (12, 3), (3, 12), (40, 61), (900, 1000)])
def test_mcnemar_is_the_binomial_test(b: int, c: int) -> None:
    expected = scipy_stats.binomtest(b, b + c).pvalue if b + c else 1.0
    assert stats.mcnemar(b, c) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_many_pairs_neither_overflows_nor_underflows() -> None:
    assert stats.mcnemar(49_000, 51_000) == pytest.approx(scipy_stats.binomtest(49_000, 100_000).pvalue, rel=1e-6)
    assert stats.mcnemar(0, 100_000) == 0.0


def test_holm_is_the_worked_example_of_four() -> None:
    # .01, .04, .03, .005 times 4, 3, 2, 1 in rising order, then made monotone
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([]) == []
    assert stats.holm([0.7, 0.9]) == [1.0, 1.0]


def test_five_hundred_items_support_five_points_not_one() -> None:
    assert stats.smallest_margin(0.2, 500) == pytest.approx(0.0497, abs=1e-4)
    assert stats.smallest_margin(0.2, 500) > 0.01
    quantile = scipy_stats.norm.ppf
    assert (quantile(0.95) + quantile(0.8)) ** 2 == pytest.approx(6.18, abs=0.005)
    with pytest.raises(ConfigError, match="n: got 0"):
        stats.smallest_margin(0.2, 0)


@pytest.mark.parametrize(("b", "c", "n", "margin"), [(10, 12, 100, 0.1), (3, 0, 40, 0.1), (20, 30, 200, 0.05)])
def test_noninferiority_uses_the_likeliest_shares_under_the_null(b: int, c: int, n: int, margin: float) -> None:
    def loss(q: float) -> float:  # first only: q - margin, second only: q, concordant: the rest
        return -(b * math.log(q - margin) + c * math.log(q) + (n - b - c) * math.log(1 - 2 * q + margin))

    q = optimize.minimize_scalar(loss, bounds=(margin + 1e-9, (1 + margin) / 2 - 1e-9), method="bounded").x
    z = (b - c + n * margin) / math.sqrt(n * (2 * q - margin - margin**2))
    assert stats.noninferior(b, c, n, margin) == pytest.approx(float(scipy_stats.norm.sf(z)), abs=1e-4)


def test_noninferiority_needs_evidence_even_without_any_discordant_pair() -> None:
    assert stats.noninferior(0, 0, 5, 0.1) > 0.05
    assert stats.noninferior(0, 0, 500, 0.1) < 0.001


@pytest.mark.parametrize(
    ("pairs", "margin"), [((1, 1, 10), 0.0), ((1, 1, 10), 1.0), ((6, 6, 10), 0.1), ((0, 0, 0), 0.1)]
)
def test_noninferiority_refuses_what_cannot_be(pairs: tuple[int, int, int], margin: float) -> None:
    with pytest.raises(ConfigError):
        stats.noninferior(*pairs, margin)


def test_bootstrap_of_single_items_has_the_standard_error_of_the_mean() -> None:
    values = np.random.default_rng(1).normal(size=(400, 1))
    table = np.hstack([np.ones((400, 1)), values])
    resampled = stats.resample(table, range(400), seed=3)
    replicates = resampled.sums[:, 1] / resampled.sums[:, 0]
    assert replicates.std() == pytest.approx(values.std() / math.sqrt(400), rel=0.08)
    found = resampled.ratio(1, over=0)
    assert found.mean == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_items_of_a_cluster_count_once() -> None:
    values = np.repeat(np.random.default_rng(1).integers(2, size=50), 8).astype(float)
    table = np.stack([np.ones(400), values], axis=1)
    apart = stats.resample(table, range(400)).ratio(1, over=0)
    together = stats.resample(table, np.repeat(np.arange(50), 8).tolist()).ratio(1, over=0)
    assert together.mean == apart.mean
    assert (together.high - together.low) / (apart.high - apart.low) == pytest.approx(math.sqrt(8), rel=0.15)


def test_many_clusters_are_gathered_and_keep_their_spread() -> None:
    values = np.random.default_rng(1).normal(size=30_000)
    table = np.stack([np.ones(30_000), values], axis=1)
    found = stats.resample(table, range(30_000), times=1000).ratio(1, over=0)
    assert found.high - found.low == pytest.approx(2 * 1.96 / math.sqrt(30_000), rel=0.1)


def test_differences_are_paired_and_ratios_are_of_sums() -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(size=200) * 100
    table = np.stack([np.ones(200), base + 1, base, np.full(200, 6.0), np.full(200, 3.0), np.zeros(200)], axis=1)
    resampled = stats.resample(table, range(200))
    gap = resampled.difference(1, 2, over=0)
    assert (gap.mean, gap.low, gap.high) == pytest.approx((1, 1, 1))  # the noise is common and cancels
    assert resampled.ratio(3, over=4) == Interval(2.0, 2.0, 2.0)
    assert resampled.ratio(3, over=5) == Interval(0.0, 0.0, 0.0)


def test_one_seed_one_bootstrap() -> None:
    table = np.random.default_rng(0).normal(size=(30, 2))
    first, again, other = (stats.resample(table, range(30), seed=seed).sums for seed in (5, 5, 6))
    assert (first == again).all()
    assert (first != other).any()
    with pytest.raises(ConfigError, match="clusters"):
        stats.resample(table, range(29))


def test_spearman_is_scipys_ties_included() -> None:
    rng = np.random.default_rng(4)
    first = rng.integers(0, 5, 60).astype(float)
    second = first + rng.normal(scale=3, size=60)
    assert stats.spearman(first, second) == pytest.approx(scipy_stats.spearmanr(first, second).statistic)
    assert stats.spearman(first, np.ones(60)) is None


def test_the_bootstrap_of_any_statistic_is_that_of_sums_where_both_apply() -> None:
    rng = np.random.default_rng(5)
    values, clusters = rng.normal(size=90), [number // 3 for number in range(90)]
    known = stats.resample(np.stack([values, np.ones(90)], 1), clusters, seed=1).ratio(0, over=1)
    told = stats.bootstrap(lambda places: float(values[places].mean()), clusters, seed=2)
    assert told is not None
    assert told.mean == pytest.approx(known.mean)
    assert told.low == pytest.approx(known.low, abs=0.03)
    assert told.high == pytest.approx(known.high, abs=0.03)


def test_a_statistic_that_is_not_always_defined_is_bootstrapped_where_it_is() -> None:
    told = stats.bootstrap(lambda places: 1.0 if 0 in places else None, range(3))
    assert told == Interval(1.0, 1.0, 1.0)
    assert stats.bootstrap(lambda places: None, range(3)) is None


def test_quantiles() -> None:
    assert stats.quantiles(list(range(101))) == Quantiles(50.0, 50.0, 95.0, 99.0)
    assert stats.quantiles([]) == Quantiles(0.0, 0.0, 0.0, 0.0)


def test_auroc_is_averaged_over_questions_that_have_both() -> None:
    questions = ["a", "a", "a", "b", "b", "c", "c"]
    scores = [0.9, 0.5, 0.1, 0.3, 0.3, 0.1, 0.2]
    correct = [True, False, True, True, False, True, True]
    # a: one of two pairs in order; b: a tie; c: no wrong draft
    assert stats.auroc_within(questions, scores, correct) == pytest.approx((0.5 + 0.5) / 2)
    assert stats.auroc_within(["a", "a"], [1.0, 0.0], [True, False]) == 1.0
    assert stats.auroc_within(["a", "b"], [1.0, 0.0], [True, False]) is None


def test_auroc_of_one_question_is_the_rank_statistic() -> None:
    rng = np.random.default_rng(4)
    scores, correct = rng.integers(6, size=40) / 5, rng.random(40) < 0.5
    u = scipy_stats.mannwhitneyu(scores[correct], scores[~correct]).statistic
    expected = u / (correct.sum() * (~correct).sum())
    assert stats.auroc_within(["q"] * 40, scores.tolist(), correct.tolist()) == pytest.approx(expected)


def test_calibration_error_by_hand() -> None:
    # two bins of two: |.15 - .5| and |.85 - 1|, half the mass each
    assert stats.calibration_error([0.1, 0.2, 0.8, 0.9], [False, True, True, True], bins=2) == pytest.approx(0.25)
    assert stats.calibration_error([0.75] * 4, [True, True, True, False]) == 0.0
    assert stats.calibration_error([], []) == 0.0


def test_calibration_does_not_depend_on_the_order_of_ties() -> None:
    confidence, correct = [0.5] * 20, [True] * 10 + [False] * 10
    assert stats.calibration_error(confidence, correct) == 0.0


def test_brier() -> None:
    assert stats.brier([1.0, 0.5], [False, True]) == pytest.approx((1 + 0.25) / 2)
    assert stats.brier([], []) == 0.0


def test_signs_are_flipped_by_cluster():
    """Five gains of one sign: 2 of the 32 ways to sign them reach as far. As one cluster, every way does."""
    gains = np.array([0.1, 0.2, 0.3, 0.1, 0.4])
    assert stats.sign_flip(gains, range(5)) == pytest.approx(2 / 32, abs=0.006)
    assert stats.sign_flip(gains, ["one"] * 5) == pytest.approx(1.0, abs=1e-3)
    assert stats.sign_flip(np.array([0.5, -0.5, 0.25, -0.25]), range(4)) == pytest.approx(1.0, abs=1e-3)
    assert stats.sign_flip(np.full(40, 0.3), range(40)) < 0.001
