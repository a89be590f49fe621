"""The analysis on rows made by hand, whose outcome is known."""

import math

import numpy as np
import pytest

from poise.costs import Usage
from poise.errors import ConfigError
from poise.evals.rows import Row
from poise.study.analysis import affords, analyse, budgets, difficulty, thirds
from poise.study.duels import duels
from poise.study.grid import Way, accuracy, grid_of, replicates
from poise.study.stops import stops
from poise.study.verdicts import Payoff, payoff

SINGLE, VOTE2, VOTE8 = (
    Way("single", "cot"),
    Way("vote2", "self_consistency", width=2),
    Way("vote8", "self_consistency", width=8),
)
BEST2 = Way("best2", "best_of_n", "agreement", 2)
TREE = Way("rebase4", "rebase", "verifier", 4, tree=True)
WAYS = (SINGLE, VOTE2, VOTE8, BEST2, TREE)
COSTS = {"single": 1e9, "vote2": 2e9, "vote8": 8e9, "best2": 2.1e9, "rebase4": 5e9}
N = 60


def row(arm, item, correct, *, flops=None, error=None):
    usage = Usage(calls=1, prompt_tokens=20, new_tokens=10, flops=COSTS[arm] if flops is None else flops)
    return Row(item, "sums", item, arm, "4", "4", "####", correct, True, None, 1, None, usage, error=error)


def rows_of(right, n=N):
    """`right`: how many of the first items each arm gets right, or a set of them."""
    return [
        row(arm, f"i{place:02}", place in of if isinstance(of, set) else place < of)
        for arm, of in right.items()
        for place in range(n)
    ]


RIGHT = {"single": 20, "vote2": 25, "vote8": 40, "best2": 22, "rebase4": 50}
ROWS = rows_of(RIGHT)


def grid(rows=ROWS, ways=WAYS):
    return grid_of(ways, rows)


def test_a_grid_holds_what_every_arm_answered():
    made = grid([*ROWS, row("single", "alone", True), row("single", "i00", True, error="EngineSilent")])
    assert (made.n, made.unit) == (N, "flops")
    assert made.right.sum(axis=0).tolist() == [19, 25, 40, 22, 50]  # what failed is wrong
    assert made.of_items({"i01", "i59"}).right.tolist() == [[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]
    with pytest.raises(ConfigError, match="every arm"):
        grid([row("single", "a", True)])
    free = grid(
        [*(one for one in ROWS if one.arm != "single"), *(row("single", f"i{k:02}", True, flops=0.0) for k in range(N))]
    )
    assert free.unit == "new_tokens"


def test_replicates_are_paired_and_leave_items_out():
    drawn = replicates(grid(), 0, 500)
    assert drawn.right.mean(axis=0) == pytest.approx([k / N for k in (20, 25, 40, 22, 50)], abs=0.02)
    assert np.nanmean(drawn.left_out, axis=0) == pytest.approx([k / N for k in (20, 25, 40, 22, 50)], abs=0.02)
    assert (drawn.right[:, 4] >= drawn.right[:, 2]).all()  # nested sets of right items stay nested
    assert drawn.cost == pytest.approx(np.tile(list(COSTS.values()), (500, 1)))


def test_the_envelope_names_the_best_arm_of_each_budget():
    made = grid()
    wanted = budgets(made)
    assert wanted == [1e9, 2e9, 4e9, 8e9]
    found = affords(made, replicates(made, 0, 300), wanted)
    assert [each.best.arm for each in found] == ["single", "vote2", "vote2", "rebase4"]
    assert [each.flat.arm for each in found] == ["single", "vote2", "vote2", "vote8"]
    assert [each.tree and each.tree.arm for each in found] == [None, None, None, "rebase4"]
    last = found[-1].best
    assert (last.cost, last.accuracy.mean) == (5e9, 50 / N)
    assert last.accuracy.low < 50 / N < last.accuracy.high
    assert last.repeated > 0.99
    assert last.left_out == pytest.approx(50 / N, abs=0.02)
    assert affords(made, replicates(made, 0, 10), [1e8]) == ()


def test_an_arm_that_is_always_right_may_still_be_wrong():
    made = grid(rows_of({"single": 0, "vote2": N}), (SINGLE, VOTE2))
    drawn = replicates(made, 0, 100)
    none, every = (accuracy(made, drawn, arm) for arm in (0, 1))
    assert (none.low, none.mean, every.mean, every.high) == (0, 0, 1, 1)
    assert none.high == pytest.approx(1 - every.low) == pytest.approx(1 - 0.025 ** (1 / N))


def test_the_winner_of_noise_is_worth_less_where_it_was_not_chosen():
    dice = np.random.default_rng(1)
    ways = [Way(f"arm{k}", f"method{k}") for k in range(20)]
    COSTS.update({way.arm: 1e9 for way in ways})
    made = grid(rows_of({way.arm: set(np.flatnonzero(dice.random(N) < 0.5).tolist()) for way in ways}), ways)
    (found,) = affords(made, replicates(made, 0, 500), [1e9])
    assert found.best.accuracy.mean > 0.58
    assert found.best.left_out < found.best.accuracy.mean - 0.03
    assert found.best.repeated < 0.9


def test_a_vote_that_stops_is_held_against_mixes_of_fixed_votes():
    stopped = Way("adaptive8", "adaptive_consistency", width=8)
    COSTS["adaptive8"] = 5e9
    ways = (SINGLE, VOTE2, VOTE8, stopped)
    made = grid(rows_of(RIGHT | {"adaptive8": 40}), ways)
    [found] = stops(made, replicates(made, 0, 300))
    assert (found.arm, found.n, found.cost) == ("adaptive8", N, 5e9)
    assert found.above.mean == pytest.approx(40 / N - (25 + 15 * 3 / 6) / N)
    assert 0 < found.above.low < found.above.mean < found.above.high
    worse = grid(rows_of(RIGHT | {"adaptive8": 25}), ways)
    assert stops(worse, replicates(worse, 0, 300))[0].above.high < 0
    assert stops(grid(), replicates(grid(), 0, 10)) == ()


def test_a_tree_meets_the_nearest_arm_and_the_mix_of_its_cost():
    made = grid()
    (duel,) = duels(made, replicates(made, 0), ("self_consistency",))
    assert (duel.tree, duel.family, duel.flat, duel.n) == ("rebase4", "self_consistency", "vote8", N)
    assert (duel.only_tree, duel.only_flat) == (10, 0)
    assert duel.p_value == pytest.approx(2 * 0.5**10)
    assert duel.difference.mean == pytest.approx(10 / N)
    assert duel.cost_ratio.mean == pytest.approx(5 / 8)
    assert duel.at_equal_cost.mean == pytest.approx(50 / N - (25 + 15 * 3 / 6) / N)
    assert duel.at_equal_cost.low > 0
    assert duel.inside
    assert payoff(duel) is Payoff.PAYS


def test_families_are_those_named_by_the_same_scorer_or_none():
    made = grid()
    drawn = replicates(made, 0, 50)
    assert duels(made, drawn, ("best_of_n",)) == ()  # by another scorer than the tree's
    (one,) = duels(made, drawn, ("cot",))
    assert (one.flat, one.inside) == ("single", False)
    assert one.at_equal_cost.mean == pytest.approx(30 / N)


def test_holm_runs_over_all_duels():
    other = Way("beam4", "beam", "verifier", 4, tree=True)
    COSTS["beam4"] = 5e9
    made = grid(rows_of({**RIGHT, "beam4": 34}), (*WAYS, other))
    first, second = duels(made, replicates(made, 0, 200), ("self_consistency",))
    assert first.p_holm == pytest.approx(2 * first.p_value)
    assert (second.only_tree, second.only_flat) == (0, 6)
    assert second.p_holm == second.p_value == pytest.approx(2 * 0.5**6)
    assert payoff(second) is Payoff.OPEN  # less than vote8, at less cost: on the line between vote2 and vote8


def test_a_tree_that_loses_is_said_to_lose():
    made = grid(rows_of({**RIGHT, "rebase4": 10}))
    (duel,) = duels(made, replicates(made, 0, 200), ("self_consistency",))
    assert duel.at_equal_cost.high < 0
    assert payoff(duel) is Payoff.LOSES


def test_thirds_keep_ties_together_and_tell_their_bounds():
    made = grid()
    shares = {item: place / (N - 1) for place, item in enumerate(made.items)}
    found = thirds(made, shares, ("self_consistency",), 0, 50)
    assert [(third.name, third.n) for third in found] == [("hard", 20), ("middle", 20), ("easy", 20)]
    assert found[0].low == 0
    assert found[0].high == found[1].low == pytest.approx(19 / 59)
    assert found[2].high == 1
    by_arm = {each.way.arm: each.accuracy.mean for each in found[1].standings}
    assert by_arm == {"single": 0, "vote2": 0.25, "vote8": 1, "best2": 0.1, "rebase4": 1}
    assert [third.duels[0].difference.mean for third in found] == [0, 0, 0.5]
    tied = thirds(made, {item: float(place > 44) for place, item in enumerate(made.items)}, (), 0, 50)
    assert [(third.name, third.low, third.high, third.n) for third in tied] == [("hard", 0, 0, 45), ("easy", 0, 1, 15)]
    assert thirds(made, {}, (), 0, 50) == ()


def test_difficulty_is_the_share_of_right_draws():
    grades = {"a": (True, False, True, True), "b": (False,)}
    assert difficulty(grades) == {"a": 0.75, "b": 0}
    assert difficulty(grades, 2) == {"a": 1}


def test_the_whole_analysis_keeps_flat_arms_on_all_their_items():
    rows = [one for one in ROWS if one.arm != "rebase4" or one.item < "i30"]
    grades = {f"i{place:02}": [place < k * 8 for k in range(8)] for place in range(N)}
    found = analyse(WAYS, rows, grades, ("self_consistency",), seed=5, times=100)
    assert {arm.n for arm in found.flat.arms} == {N}
    assert {arm.n for arm in found.joint.arms} == {30}
    assert [(split.first, split.last) for split in found.splits] == [(1, 8), (5, 8)]
    assert sum(third.n for third in found.splits[0].thirds) == 30
    assert found == analyse(WAYS, rows, grades, ("self_consistency",), seed=5, times=100)
    assert all(math.isfinite(each.budget) for each in found.affords)
    with pytest.raises(ConfigError, match="draws"):
        analyse(WAYS, rows, {}, ("self_consistency",))
