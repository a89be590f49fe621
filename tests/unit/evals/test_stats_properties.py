"""Laws that hold for any input."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from poise.evals import stats
from poise.evals.frontier import Point, cost_to_match, hull, hull_accuracy, hypervolume, pareto

law = settings(deadline=None, max_examples=60)
counts = st.integers(0, 2000)
p_values = st.lists(st.floats(0, 1), max_size=12)
points = st.lists(
    st.builds(Point, st.floats(1e-3, 1e6), st.integers(0, 100).map(lambda percent: percent / 100)),
    min_size=1,
    max_size=12,
)


@law
@given(counts, counts)
def test_wilson_holds_the_share_and_mirrors(a: int, b: int) -> None:
    found, mirror = stats.wilson(a, a + b), stats.wilson(b, a + b)
    assert 0 <= found.low <= found.mean <= found.high <= 1
    if a + b:
        assert abs(found.low - (1 - mirror.high)) < 1e-12


@law
@given(counts, counts)
def test_mcnemar_is_symmetric_and_falls_with_imbalance(a: int, b: int) -> None:
    p = stats.mcnemar(a, b)
    assert 0 <= p <= 1
    assert p == stats.mcnemar(b, a)
    if a >= b:
        assert stats.mcnemar(a + 1, b) <= p + 1e-9


@law
@given(p_values)
def test_holm_never_lowers_keeps_the_order_and_is_below_bonferroni(values: list[float]) -> None:
    adjusted = stats.holm(values)
    assert all(p <= q <= min(1.0, len(values) * p) + 1e-12 for p, q in zip(values, adjusted, strict=True))
    by_p = [q for _, q in sorted(zip(values, adjusted, strict=True))]
    assert by_p == sorted(by_p)


@law
@given(st.integers(1, 300), st.data(), st.floats(0.01, 0.5))
def test_noninferiority_is_a_probability_and_falls_when_first_wins(n: int, data: st.DataObject, margin: float) -> None:
    b = data.draw(st.integers(0, n - 1))
    c = data.draw(st.integers(0, n - 1 - b))
    p = stats.noninferior(b, c, n, margin)
    assert 0 <= p <= 1
    assert stats.noninferior(b + 1, c, n, margin) <= p + 1e-9


@law
@given(st.lists(st.tuples(st.integers(0, 5), st.floats(-10, 10)), min_size=1, max_size=40))
def test_bootstrap_intervals_hold_the_mean_and_ignore_cluster_names(rows: list[tuple[int, float]]) -> None:
    table = np.array([[1.0, value] for _, value in rows])
    found = stats.resample(table, [cluster for cluster, _ in rows], times=200).ratio(1, over=0)
    assert found.low <= found.mean <= found.high
    renamed = stats.resample(table, [f"t{cluster}" for cluster, _ in rows], times=200).ratio(1, over=0)
    assert renamed == found


@law
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.randoms())
def test_calibration_measures_are_shares_and_ignore_order(rows: list[tuple[float, bool]], rng: object) -> None:
    shuffled = rows[:]
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    for measure in (stats.calibration_error, stats.brier):
        value = measure(*zip(*rows, strict=True))
        assert -1e-12 <= value <= 1 + 1e-12
        assert abs(value - measure(*zip(*shuffled, strict=True))) < 1e-9


@law
@given(points)
def test_the_hull_covers_every_point_and_is_concave(arms: list[Point]) -> None:
    corners = hull(arms)
    for arm in arms:
        reached = hull_accuracy(arms, arm.cost)
        assert reached is not None
        assert reached >= arm.accuracy - 1e-9
    slopes = [(b.accuracy - a.accuracy) / (b.cost - a.cost) for a, b in itertools.pairwise(corners)]
    assert all(later <= earlier for earlier, later in itertools.pairwise(slopes))
    assert set(corners) <= {arms[index] for index in pareto(arms)}


@law
@given(points)
def test_an_arm_is_on_the_frontier_unless_another_beats_it(arms: list[Point]) -> None:
    kept = pareto(arms)
    for index, arm in enumerate(arms):
        beaten = any(o.cost <= arm.cost and o.accuracy >= arm.accuracy and o != arm for o in arms)
        assert (arm in {arms[i] for i in kept}) == (not beaten), index
    assert [arms[i].cost for i in kept] == sorted(arms[i].cost for i in kept)


@law
@given(points, st.builds(Point, st.floats(1e-3, 1e6), st.floats(0, 1)))
def test_hypervolume_never_falls_when_an_arm_is_added(arms: list[Point], more: Point) -> None:
    def volume(some: list[Point]) -> float:
        return float(hypervolume([p.cost for p in some], [p.accuracy for p in some], 1e7))

    assert volume([*arms, more]) >= volume(arms) - 1e-9
    assert abs(volume(arms[::-1]) - volume(arms)) < 1e-9


@law
@given(points, st.floats(0, 1))
def test_cost_to_match_lies_on_the_hull(arms: list[Point], accuracy: float) -> None:
    cost = cost_to_match(arms, accuracy)
    if cost is None:
        assert accuracy > max(arm.accuracy for arm in arms)
        return
    reached = hull_accuracy(arms, cost)
    assert reached is not None
    assert reached >= accuracy - 1e-6
