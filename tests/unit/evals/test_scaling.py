"""Curves and knees, by hand and on accuracies that are known."""

import dataclasses
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poise.costs import Usage
from poise.errors import ConfigError
from poise.evals.rows import Row
from poise.evals.scaling import LEAST_GAIN, Curve, Family, Scaling, families, fit, knee, scaling

COSTS = [1e10 * 2**power for power in range(6)]
FAMILY = Family("vote", tuple(f"vote{2**power}" for power in range(6)), tuple(2**power for power in range(6)))


def arm(name: str, strategy: str, *, scorer: str | None = None, sampling: float = 0.7, **knobs: object) -> dict:
    plan = {"strategy": {"name": strategy, "prompt": "cot", **knobs}, "engines": {"main": "main"}, "budget": {}}
    return {"name": name, "plan": {**plan, "scorer": scorer}, "sampling": {"temperature": sampling}}


def rows_of(rights: dict[str, list[bool]], flops: dict[str, float]) -> dict[str, list[Row]]:
    return {
        name: [
            Row(f"i{k}", "sums", f"i{k}", name, "4", "4", "####", ok, True, None, 1, None, Usage(flops=flops[name]))
            for k, ok in enumerate(line)
        ]
        for name, line in rights.items()
    }


def measured(shares: list[float], n: int = 400, flops: list[float] | None = None, times: int = 200) -> Scaling | None:
    """A family whose accuracies are these shares; the questions that an arm gets right are drawn for each arm."""
    lines = {}
    for name, share in zip(FAMILY.arms, shares, strict=False):
        line = [k < round(share * n) for k in range(n)]
        random.Random(name).shuffle(line)
        lines[name] = line
    family = Family("vote", FAMILY.arms[: len(shares)], FAMILY.widths[: len(shares)])
    costs = dict(zip(family.arms, flops or COSTS, strict=False))
    return scaling(family, rows_of(lines, costs), lambda row: row.usage.flops, seed=1, times=times)


def test_arms_that_differ_in_width_alone_are_a_family() -> None:
    found = families([
        arm("vote8", "self_consistency", n=8), arm("vote2", "self_consistency", n=2),
        arm("hot8", "self_consistency", n=8, sampling=1.0),
        arm("best2", "best_of_n", n=2, scorer="verifier"), arm("best4", "best_of_n", n=4, scorer="verifier"),
        arm("best8", "best_of_n", n=8, scorer="agreement"),
        arm("beam4", "beam", width=4, expand=2), arm("beam8", "beam", width=8, expand=2),
        arm("beam8x4", "beam", width=8, expand=4), arm("first8", "first_finish", k=8, m=3),
        arm("first16", "first_finish", k=16, m=3), arm("plain", "direct"),
    ][:-1])  # fmt: skip
    assert found == [
        Family("self_consistency", ("vote2", "vote8"), (2, 8)),
        Family("best_of_n · verifier", ("best2", "best4"), (2, 4)),
        Family("beam", ("beam4", "beam8"), (4, 8)),
        Family("first_finish", ("first8", "first16"), (8, 16)),
    ]


def test_a_single_draw_under_the_same_conditions_is_a_vote_of_one() -> None:
    vote = arm("vote4", "self_consistency", n=4)
    assert families([arm("single", "cot"), vote]) == [Family("self_consistency", ("single", "vote4"), (1, 4))]
    assert families([arm("greedy", "cot", sampling=0.0), vote]) == []
    assert families([arm("single", "cot"), arm("beam4", "beam", width=4)]) == []
    own = arm("vote1", "self_consistency", n=1)
    assert families([arm("single", "cot"), own, vote])[0].arms == ("vote1", "vote4")


def test_labels_of_families_differ() -> None:
    arms = [arm(f"{heat}-{n}", "self_consistency", n=n, sampling=heat) for heat in (0.7, 1.0) for n in (2, 4)]
    assert [family.label for family in families(arms)] == ["self_consistency (0.7-4)", "self_consistency (1.0-4)"]
    assert families([]) == []


@settings(deadline=None, max_examples=60)
@given(st.floats(0.3, 1.0), st.floats(0.1, 0.3), st.floats(0.1, 2.5))
def test_a_power_law_is_recovered(a: float, drop: float, c: float) -> None:
    law = Curve(a, drop * COSTS[0] ** c, c, 0.0)
    found = fit(COSTS, [law.at(cost) for cost in COSTS], [100] * 6)
    assert found.c == pytest.approx(c, rel=0.01)
    assert found.a == pytest.approx(a, abs=0.01)
    assert found.residual < 1e-4
    for cost in COSTS:
        assert found.at(cost) == pytest.approx(law.at(cost), abs=1e-3)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.integers(0, 2**16))
def test_the_curve_keeps_its_bounds_and_beats_its_mean(shares: list[float], seed: int) -> None:
    n = [random.Random(seed + place).randint(1, 500) for place in range(len(shares))]
    found = fit(COSTS[: len(shares)], shares, n)
    mean = sum(w * share for w, share in zip(n, shares, strict=True)) / sum(n)
    spread = math.sqrt(sum(w * (share - mean) ** 2 for w, share in zip(n, shares, strict=True)) / sum(n))
    assert found.residual <= spread + 1e-6
    if found.c:
        assert 0 <= found.a <= 1
        assert found.b >= 0
        assert len(shares) >= 4


def test_few_points_and_straight_ones_are_a_line() -> None:
    three = fit(COSTS[:3], [0.3, 0.4, 0.44], [100] * 3)
    assert three.c == 0
    assert three.gain(COSTS[0]) == pytest.approx(0.07)
    assert three.at(2 * COSTS[1]) - three.at(COSTS[1]) == pytest.approx(0.07)
    straight = fit(COSTS, [0.2 + 0.05 * k for k in range(6)], [100] * 6)
    assert (straight.c, straight.b) == (0, pytest.approx(0.05))
    assert straight.at(COSTS[2]) == pytest.approx(0.3)


def test_points_of_many_questions_weigh_more() -> None:
    light = fit(COSTS[:3], [0.3, 0.4, 0.9], [1000, 1000, 1])
    assert light.at(COSTS[1]) == pytest.approx(0.4, abs=0.01)


def test_a_cost_of_nothing_has_no_place_on_the_axis() -> None:
    for costs in ([0.0, 1.0], []):
        with pytest.raises(ConfigError, match="logarithmic"):
            fit(costs, [0.1] * len(costs), [1] * len(costs))


def test_the_knee_is_where_a_doubling_buys_half_a_point() -> None:
    curve = Curve(0.8, 0.4 * COSTS[0], 1.0, 0.0)  # a doubling from x buys .2 x first / x
    assert knee(curve, COSTS[0], 1e12) == pytest.approx(40 * COSTS[0])
    assert curve.gain(40 * COSTS[0]) == pytest.approx(LEAST_GAIN)
    assert knee(curve, COSTS[0], 39 * COSTS[0]) is None
    assert knee(curve, 50 * COSTS[0], 1e12) == 50 * COSTS[0]
    assert knee(Curve(0.1, 0.006, 0.0, 0.0), 1.0, 9.0) is None
    assert knee(Curve(0.1, 0.004, 0.0, 0.0), 1.0, 9.0) == 1.0
    assert knee(Curve(0.9, -0.01, 0.0, 0.0), 1.0, 9.0) == 1.0


def test_a_family_that_saturates_has_its_knee_inside_its_interval() -> None:
    law = Curve(0.8, 0.4 * COSTS[0] ** 1.5, 1.5, 0.0)
    found = measured([law.at(cost) for cost in COSTS], n=2000)
    assert found is not None
    assert found.knee is not None
    assert found.curve is not None
    assert found.knee.cost == pytest.approx(knee(law, COSTS[0], COSTS[-1]), rel=0.1)
    assert found.knee.low is not None
    assert COSTS[0] < found.knee.low < found.knee.cost
    assert found.knee.high is None or found.knee.high > found.knee.cost
    assert found.gain.mean == pytest.approx(found.curve.at(COSTS[-1]) - found.curve.at(COSTS[-2]))
    assert found.gain.low < found.gain.mean < found.gain.high


def test_a_family_that_keeps_rising_has_none_where_it_was_measured() -> None:
    found = measured([0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert found is not None
    assert found.knee is not None
    assert (found.knee.cost, found.knee.low, found.knee.high) == (None, None, None)


def test_two_budgets_are_not_fitted() -> None:
    found = measured([0.3, 0.4])
    assert found is not None
    assert (found.curve, found.knee) == (None, None)
    assert found.gain.mean == pytest.approx(0.1)
    assert found.gain.low < 0.1 < found.gain.high
    four_times = measured([0.3, 0.4], flops=[1e10, 4e10])
    assert four_times is not None
    assert four_times.gain.mean == pytest.approx(0.05)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_constant_accuracy_has_its_knee_at_the_first_budget(share: float) -> None:
    found = measured([share] * 5)
    assert found is not None
    assert found.knee is not None
    assert found.knee.cost == COSTS[0]
    assert found.gain.mean == pytest.approx(0, abs=1e-6)


def test_one_question_is_enough_not_to_fail() -> None:
    found = measured([0.0, 1.0, 1.0, 0.0], n=1)
    assert found is not None
    assert [point.n for point in found.points] == [1] * 4
    assert found.gain.low <= found.gain.mean <= found.gain.high


def test_what_cost_nothing_or_was_not_asked_is_left_out() -> None:
    assert measured([0.3, 0.4, 0.5], flops=[0.0, 0.0, 1e10]) is None
    assert measured([0.3, 0.4], flops=[1e10, 1e10]) is None
    found = measured([0.3, 0.4, 0.5], flops=[0.0, 1e10, 2e10])
    assert found is not None
    assert [point.width for point in found.points] == [2, 4]
    assert scaling(FAMILY, {}, lambda row: row.usage.flops) is None


def test_failed_rows_are_wrong_and_seeds_repeat() -> None:
    rows = rows_of({"vote1": [True] * 8, "vote2": [True] * 8}, {"vote1": 1e10, "vote2": 2e10})
    rows["vote2"][0] = dataclasses.replace(rows["vote2"][0], error="EngineSilent")
    found = [scaling(FAMILY, rows, lambda row: row.usage.flops, seed=5, times=100) for _ in range(2)]
    assert found[0] == found[1]
    assert found[0] is not None
    assert found[0].points[1].accuracy.mean == 7 / 8


def test_questions_of_one_cluster_are_drawn_together() -> None:
    lines = {"vote1": [k % 2 == 0 for k in range(40)], "vote2": [k % 4 != 3 for k in range(40)]}
    rows = rows_of(lines, {"vote1": 1e10, "vote2": 2e10})
    together = {name: [dataclasses.replace(row, cluster="one") for row in line] for name, line in rows.items()}
    apart, whole = (scaling(FAMILY, each, lambda row: row.usage.flops, times=100) for each in (rows, together))
    assert apart is not None
    assert whole is not None
    assert apart.gain.high > apart.gain.low
    assert whole.gain.high == pytest.approx(whole.gain.low)
