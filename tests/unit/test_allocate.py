"""Sharing out the children of a search."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise.search import allocate

scores = st.lists(st.floats(0, 1), min_size=1, max_size=40)
units = st.integers(0, 300)
temperatures = st.floats(0.01, 10)


@given(scores, units, temperatures)
def test_shares_sum_to_the_units_and_rise_with_the_score(scores, units, temperature):
    shares = allocate.balanced(scores, units, temperature)
    assert sum(shares) == units
    ranked = sorted(zip(scores, shares, strict=True))
    assert all(low[1] <= high[1] for low, high in itertools.pairwise(ranked) if low[0] < high[0])


@given(scores, units, temperatures, st.randoms(use_true_random=False))
def test_shares_do_not_depend_on_the_order(scores, units, temperature, dice):
    shuffled = list(scores)
    dice.shuffle(shuffled)
    pairs = zip(scores, allocate.balanced(scores, units, temperature), strict=True)
    others = zip(shuffled, allocate.balanced(shuffled, units, temperature), strict=True)
    assert sorted(pairs) == sorted(others)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20, unique=True), st.integers(1, 64))
def test_hot_is_uniform_and_cold_is_greedy(scores, units):
    hot = allocate.balanced(scores, units, 1e9)
    assert max(hot) - min(hot) <= 1
    scores = [round(score, 3) for score in scores]
    if scores.count(max(scores)) == 1:
        assert allocate.balanced(scores, units, 1e-6)[scores.index(max(scores))] == units


def test_the_papers_formula():
    shares = allocate.balanced([0.9, 0.7, 0.5], 100, 0.2)
    weights = [math.exp(score / 0.2) for score in (0.9, 0.7, 0.5)]
    assert shares == [round(100 * weight / sum(weights)) for weight in weights]
    assert allocate.balanced([], 5, 0.2) == []


def test_naive_rounding_would_miss_the_sum():
    """Three equal nodes and 16 units: 5.33 each. Rounding gives 15, rounding up 18."""
    assert sorted(allocate.balanced([0.5, 0.5, 0.5], 16, 0.2)) == [5, 5, 6]


@given(scores, st.integers(0, 100), st.floats(0.1, 100))
def test_uncertain_shares_sum_to_the_units(scores, units, kappa):
    assert sum(allocate.uncertain(scores, units, kappa)) == units


def test_uncertain_shares_follow_the_marginal_gain():
    """By hand: kappa 4, scores 3/4 and 1/4: gains ln(4/1), ln(5/2), ... against ln(4/3), ..."""
    assert allocate.uncertain([0.75, 0.25], 1, 4.0) == [1, 0]
    assert allocate.uncertain([0.75, 0.25], 3, 4.0) == [3, 0]  # ln 4, ln 5/2, ln 2 against ln 4/3
    assert allocate.uncertain([0.75, 0.25], 40, 4.0) == [32, 8]  # gains are level where 3 / (1 + W1) = 1 / (3 + W2)
    assert allocate.uncertain([0.5, 0.5], 4, 4.0, costs=[1.0, 3.0])[0] >= 3


def test_uncertain_gives_unsure_nodes_more_than_the_softmax_does():
    scores = [0.95, 0.5]
    assert allocate.uncertain(scores, 16, 8.0)[1] > allocate.balanced(scores, 16, 0.1)[1]


@given(scores, st.integers(0, 64))
def test_unique_shares_sum_to_the_units(scores, units):
    texts = [f"word{number % 5} other" for number in range(len(scores))]
    assert sum(allocate.unique(scores, texts, units, 0.2, 0.1)) == units


def test_copies_share_what_one_would_get():
    shares = allocate.unique([0.5, 0.5, 0.5], ["a b c", "a b c", "x y z"], 40, 0.2, 0.01)
    assert shares == [10, 10, 20]
    assert allocate.unique([], [], 3, 0.2, 0.1) == []


def test_texts_without_words_are_like_each_other_alone():
    likeness = allocate.similarities(["", "  ", "a"])
    assert likeness[0, 1] == pytest.approx(1)
    assert likeness[0, 2] == pytest.approx(0)


@pytest.mark.parametrize(
    ("chance", "sure", "width"), [(0.5, 0.99, 7), (0.9, 0.99, 2), (0.995, 0.99, 1), (0.0, 0.99, 64), (0.01, 0.99, 64)]
)
def test_width_by_chance(chance, sure, width):
    assert allocate.width_for(chance, sure, 64) == width
    if 1 < width < 64:
        assert 1 - (1 - chance) ** width >= sure > 1 - (1 - chance) ** (width - 1)


@given(scores, st.integers(0, 64), st.integers(1, 8))
def test_beams_give_to_the_best_first(scores, units, each):
    shares = allocate.kept(scores, units, each)
    assert sum(shares) == units
    if units <= each * len(scores):
        assert max(shares) <= each
        assert sum(share > 0 for share in shares) == math.ceil(units / each)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.05, 5))
def test_rations_without_leaves_sum_to_the_width(scores, temperature):
    rations = allocate.Rations(len(scores), temperature)
    assert sum(rations.take(0, score) for score in scores) == len(scores)


@given(st.data())
def test_rations_never_give_a_depth_more_than_the_width(data):
    width = data.draw(st.integers(1, 12))
    rations, waiting, given_out = allocate.Rations(width, 0.2), [0] * width, {}
    while waiting:
        depth = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
        if depth == 4 or data.draw(st.booleans()):
            rations.leave(depth)
            continue
        share = rations.take(depth, data.draw(st.floats(0, 1)))
        assert share >= 0
        given_out[depth] = given_out.get(depth, 0) + share
        waiting += [depth + 1] * share
    assert all(total <= width for total in given_out.values())


def test_rations_hand_a_lone_survivor_what_is_left():
    rations = allocate.Rations(3, 0.2)
    rations.leave(0)
    rations.leave(0)
    assert rations.take(0, 0.4) == 1
    rations = allocate.Rations(4, 0.2)
    assert rations.take(0, 0.5) == 1  # the three still out are taken to be as good
    assert rations.take(0, 0.5) == 1


prices = st.sampled_from([1.0, 2.05, 8.0])


@given(st.lists(st.tuples(st.floats(0, 1), prices), min_size=1, max_size=30), st.floats(0, 200), temperatures)
def test_priced_shares_spend_what_buys_something_and_no_more(nodes, budget, temperature):
    scores, costs = zip(*nodes, strict=True)
    shares = allocate.priced(scores, costs, budget, temperature)
    spent = math.fsum(share * cost for share, cost in zip(shares, costs, strict=True))
    assert spent <= budget + 1e-6
    assert budget - spent < min(costs) + 1e-6
    assert min(shares) >= 0


@given(scores, units, temperatures)
def test_priced_shares_at_a_price_of_one_are_rebases(scores, units, temperature):
    assert allocate.priced(scores, [1.0] * len(scores), units, temperature) == pytest.approx(
        allocate.balanced(scores, units, temperature), abs=1
    )
    assert sum(allocate.priced(scores, [1.0] * len(scores), units, temperature)) == units


def test_a_dear_child_gets_as_much_of_the_budget_and_so_fewer_children():
    assert allocate.priced([0.5, 0.5], [1.0, 4.0], 16, 0.2) == [8, 2]
    assert allocate.priced([], [], 16, 0.2) == []
