"""Frontiers by hand."""

import numpy as np
import pytest

from poise.errors import ConfigError
from poise.evals.frontier import (
    Point,
    cost_to_match,
    hull,
    hull_accuracy,
    hull_gap,
    hypervolume,
    oracle,
    pareto,
)

DIRECT, DRAFT, VOTE, BEAM = Point(10, 0.3), Point(20, 0.35), Point(50, 0.5), Point(60, 0.4)
ARMS = (BEAM, VOTE, DRAFT, DIRECT)


def test_pareto_keeps_what_nothing_beats_by_rising_cost() -> None:
    assert [ARMS[index] for index in pareto(ARMS)] == [DIRECT, DRAFT, VOTE]
    assert pareto(()) == ()
    assert pareto([VOTE, VOTE]) == (0,)
    assert pareto([Point(1, 0.5), Point(1, 0.6), Point(2, 0.6)]) == (1,)


def test_the_hull_leaves_out_what_a_coin_between_two_arms_beats() -> None:
    # at cost 20 a quarter of the way from 10 to 50: .3 + .2 / 4 = .35, which drafts only equal
    assert hull(ARMS) == (DIRECT, VOTE)
    assert hull([DIRECT, Point(20, 0.36), VOTE]) == (DIRECT, Point(20, 0.36), VOTE)


def test_the_hull_is_flat_beyond_its_best_arm_and_nothing_before_its_cheapest() -> None:
    assert hull_accuracy(ARMS, 30) == pytest.approx(0.4)
    assert hull_accuracy(ARMS, 1000) == 0.5
    assert hull_accuracy(ARMS, 9) is None
    assert hull_accuracy((), 9) is None


def test_gap_of_an_arm_against_a_mix_of_the_others() -> None:
    assert hull_gap(VOTE, [DIRECT, DRAFT, BEAM]) == pytest.approx(0.5 - (0.35 + 0.05 * 30 / 40))
    assert hull_gap(BEAM, [DIRECT, VOTE]) == pytest.approx(-0.1)
    assert hull_gap(DIRECT, [VOTE]) == 0.0  # no other is as cheap: nothing to beat
    assert hull_gap(DIRECT, []) == 0.0


def test_cost_at_matched_accuracy() -> None:
    assert cost_to_match(ARMS, 0.4) == pytest.approx(30)
    assert cost_to_match(ARMS, 0.1) == 10
    assert cost_to_match(ARMS, 0.51) is None
    assert cost_to_match((), 0.1) is None


def test_hypervolume_is_accuracy_times_decades() -> None:
    # from 10 to 100 at .3, from 100 to the reference 1,000 at .5
    assert float(hypervolume([100, 10], [0.5, 0.3], 1000)) == pytest.approx(0.8)
    assert float(hypervolume([10, 100], [0.3, 0.2], 1000)) == pytest.approx(0.6)  # the dearer one adds nothing
    assert float(hypervolume([10, 5000], [0.3, 0.9], 1000)) == pytest.approx(0.6)  # nor does one past the reference


def test_hypervolume_takes_replicates_at_once() -> None:
    rng = np.random.default_rng(0)
    costs, accuracies = rng.uniform(1, 1e4, (20, 5)), rng.random((20, 5))
    together = hypervolume(costs, accuracies, 1e4)
    apart = [float(hypervolume(c, a, 1e4)) for c, a in zip(costs, accuracies, strict=True)]
    assert together == pytest.approx(apart)


@pytest.mark.parametrize(("costs", "reference"), [([0.0, 1.0], 10.0), ([1.0, 2.0], 0.0)])
def test_a_logarithmic_axis_has_no_zero(costs: list[float], reference: float) -> None:
    with pytest.raises(ConfigError, match="logarithmic"):
        hypervolume(costs, [0.1, 0.2], reference)


def test_oracle_is_any_arm() -> None:
    assert oracle(np.array([[True, False, False, False], [False, True, False, False]])) == 0.5
    assert oracle(np.zeros((0, 0), bool)) == 0.0
