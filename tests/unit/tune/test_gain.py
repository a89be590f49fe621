"""Whether a prompt is better, or the luckiest of some: by numbers, and how often nothing is taken for a gain."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise.evals.stats import mcnemar
from poise.tune.archive import Measured
from poise.tune.gain import gain


def measured(name, right):
    return Measured(name, tuple(map(bool, right)), (10,) * len(right), (1.0,) * len(right))


def rows(n):
    return [str(row) for row in range(n)]


def test_of_nothing_there_is_no_gain():
    first = measured("first", [1, 0, 1])
    found = gain(first, [], rows(3))
    assert (found.best, found.interval.mean, found.p, found.shown) == (first, 0.0, 1.0, False)


@pytest.mark.parametrize(("only", "n"), [(1, 1), (3, 5), (4, 40), (4, 300), (5, 300)])
def test_a_few_rows_that_differ_show_nothing_however_the_bootstrap_sees_them(only, n):
    """Five to none has p = .0625; of one row all replicates are alike."""
    found = gain(measured("first", [0] * n), [measured("other", [1] * only + [0] * (n - only))], rows(n))
    assert found.p == pytest.approx(mcnemar(only, 0))
    assert found.p >= 0.05
    assert not found.shown


def test_the_same_difference_is_less_sure_among_more():
    first = measured("first", [0] * 9 + [1] * 91)
    best = measured("best", [1] * 9 + [1] * 91)
    others = [measured(f"other {k}", [0] * 9 + [1] * 91) for k in range(19)]
    alone, among = gain(first, [best], rows(100)), gain(first, [*others, best], rows(100))
    assert alone.shown
    assert among.best is best
    assert among.p == pytest.approx(20 * alone.p)
    assert not gain(first, [*others, measured("less", [1] * 8 + [0] + [1] * 91)], rows(100)).shown


def test_the_lower_end_is_that_of_the_largest_error():
    """Twelve prompts of the same worth on their own dice: the best of them is taken for less than by itself."""
    dice = np.random.default_rng(5)
    first, others = (
        measured("first", dice.random(300) < 0.4),
        [measured(str(k), dice.random(300) < 0.4) for k in range(12)],
    )
    among = gain(first, others, rows(300))
    alone = gain(first, [among.best], rows(300))
    assert among.interval.mean == alone.interval.mean > 0
    assert among.interval.low < alone.interval.low - 0.01
    assert among.interval.high == pytest.approx(alone.interval.high, abs=0.02)


def test_rows_of_one_template_are_not_many():
    """Ten templates of thirty rows that go all one way or the other."""
    first = measured("first", [0] * 300)
    other = measured("other", ([1] * 30 + [0] * 30) * 5)
    clusters = [str(row // 30) for row in range(300)]
    assert gain(first, [other], clusters).interval.low < gain(first, [other], rows(300)).interval.low - 0.1


@pytest.mark.parametrize("among", [1, 5, 12])
def test_nothing_is_rarely_taken_for_a_gain(among):
    """Prompts that are all alike, 200 times: at most 2.5 %, and what three binomial deviations allow."""
    dice = np.random.default_rng(among)

    def alike(base):
        return np.where(dice.random(300) < 0.25, dice.random(300) < 0.3, base)

    taken = 0
    for _ in range(200):
        base = dice.random(300) < 0.3
        taken += gain(measured("first", base), [measured(str(k), alike(base)) for k in range(among)], rows(300)).shown
    assert taken / 200 <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / 200)


@given(st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=2, max_size=5))
def test_the_interval_holds_its_point_and_the_best_is_the_best(outcomes):
    first, *others = (measured(str(k), right) for k, right in enumerate(outcomes))
    found = gain(first, others, rows(12))
    assert found.best.accuracy == max(one.accuracy for one in others)
    assert found.interval.mean == pytest.approx(found.best.accuracy - first.accuracy)
    assert found.interval.low <= found.interval.mean <= found.interval.high
    assert 0 < found.p <= 1
    assert found.among == len(others)
